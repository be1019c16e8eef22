"""What workers on other machines must share with the process that sends them tasks."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evfer import provenance
from evfer.errors import ClusterError
from evfer.files import host_tag, write_text

__all__ = ["SharedFolder", "share_folder"]

_SHARED = "a file system that all workers share"


@dataclass(frozen=True)
class SharedFolder:
    """A folder that a cluster's workers must see, and versions of packages that they must have.

    Args:
        mark: a file in the folder, and what it says.
        versions: of the packages that shape a result.
    """

    mark: tuple[Path, str]
    versions: Mapping[str, str]

    def require(self, folders: Iterable[Path] = ()) -> None:
        """Make sure that this worker sees the same folders and has the same libraries.

        Args:
            folders: further ones that it must see.

        Raises:
            ClusterError: if not; its results would be lost, or others than elsewhere.
        """
        worker = f"the worker on {platform.node() or 'another machine'}"
        path, text = self.mark
        try:
            text_seen = path.read_text(encoding="utf-8")
        except OSError:
            text_seen = ""
        if text_seen != text:
            raise ClusterError(f"{worker} does not see the folder {path.parent}", expected=_SHARED)
        for folder in folders:
            if not folder.is_dir():
                raise ClusterError(f"{worker} does not see the folder {folder}", expected=_SHARED)
        own = provenance.versions(tuple(set(self.versions) - {"evfer", "python"}))
        other = [name for name in self.versions if own[name] != self.versions[name]]
        if other:
            differences = ", ".join(f"{n} {own[n]} for {self.versions[n]}" for n in sorted(other))
            raise ClusterError(
                f"{worker} has other versions: {differences}",
                expected="the same everywhere, or the results may differ",
                hint="Install evfer there with the same constraints.txt",
            )


@contextlib.contextmanager
def share_folder(
    folder: Path, scheduler: str | None, packages: tuple[str, ...]
) -> Iterator[SharedFolder | None]:
    """Put a mark into a folder, by which workers on other machines know it.

    Args:
        folder: where the work is put.
        scheduler: address of the cluster's scheduler.
        packages: those whose versions must agree.

    Yields:
        What a worker checks before its work, or None without a scheduler.

    Raises:
        OutputError: if the folder cannot be written.
    """
    if scheduler is None:
        yield None
        return
    text = secrets.token_hex(16)
    # named like other temporary files, so that a killed run's mark goes with those
    mark = folder / f".mark.{host_tag()}-{os.getpid()}.part"
    write_text(mark, text)
    try:
        yield SharedFolder((mark, text), provenance.versions(packages))
    finally:
        mark.unlink(missing_ok=True)
