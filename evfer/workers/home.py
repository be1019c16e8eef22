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

__all__ = ["Home", "leave_mark"]

_SHARED = "a file system that all workers share"


@dataclass(frozen=True)
class Home:
    """A folder and versions of packages that a cluster's worker must have too.

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
        here = f"the worker on {platform.node() or 'another machine'}"
        path, text = self.mark
        try:
            seen = path.read_text(encoding="utf-8")
        except OSError:
            seen = ""
        if seen != text:
            raise ClusterError(f"{here} does not see the folder {path.parent}", expected=_SHARED)
        for folder in folders:
            if not folder.is_dir():
                raise ClusterError(f"{here} does not see the folder {folder}", expected=_SHARED)
        own = provenance.versions(tuple(set(self.versions) - {"evfer", "python"}))
        other = [name for name in self.versions if own[name] != self.versions[name]]
        if other:
            told = ", ".join(f"{n} {own[n]} for {self.versions[n]}" for n in sorted(other))
            raise ClusterError(
                f"{here} has other versions: {told}",
                expected="the same everywhere, or the results may differ",
                hint="Install evfer there with the same constraints.txt",
            )


@contextlib.contextmanager
def leave_mark(
    folder: Path, scheduler: str | None, packages: tuple[str, ...]
) -> Iterator[Home | None]:
    """Leave a mark by which workers on other machines know a folder; none without a scheduler.

    Args:
        folder: where the work is put.
        scheduler: address of the cluster's scheduler.
        packages: those whose versions must agree.

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
        yield Home((mark, text), provenance.versions(packages))
    finally:
        mark.unlink(missing_ok=True)
