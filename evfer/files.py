"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from evfer.errors import OutputError

__all__ = [
    "append_line",
    "as_text",
    "host_tag",
    "make_folder",
    "sha256_file",
    "whole_file",
    "write_text",
]


def as_text(name: str) -> str:
    r"""Give a name that any table can hold: bytes that are no text become escapes, such as \udce4.

    Examples:
        >>> as_text("b\udce4r"), as_text("bär")
        ('b\\udce4r', 'bär')
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Lend a temporary path beside `path` and rename it into place when the block succeeds.

    Args:
        path: the file to make; its folder is made if needed.

    Yields:
        `.<name>.<machine>-<pid>.part` in the same folder. If the block raises, it is removed.

    Raises:
        OutputError: if the folder cannot be written or the disk is full.
    """
    make_folder(path.parent)
    # the ending stays last, since many writers choose their format by it
    part = path.with_name(f".{path.stem}.{host_tag()}-{os.getpid()}.part{path.suffix}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}",
            hint=_hint(error),
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@functools.cache
def host_tag() -> str:
    """Give eight hexadecimal digits for this machine, without naming it."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, with Unix line ends."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def append_line(path: Path, line: str) -> None:
    """Append one line and force it to disk, so that a kill loses none.

    Raises:
        OutputError: if not the whole of it could be written; the file is then as before.
    """
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            try:
                rest = memoryview(f"{line}\n".encode())
                while rest:  # a disk that fills takes a part and says so only when asked again
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}",
            hint=_hint(error),
        ) from error


def _hint(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "Choose another folder with --out, or make room on the disk"
    return "Choose a folder that can be written with --out"


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        OutputError: if that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {path}: {error.strerror or error}",
            hint="Choose a folder that can be written with --out",
        ) from error


def sha256_file(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(path: Path) -> None:
    if os.name == "posix":  # other systems cannot open a folder
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
