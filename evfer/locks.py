"""A folder's lock, so that processes which write the same files take turns.

The lock is the system's, on a file in the folder: it goes with its process, however that ends. Some
network disks know no locks; there the block runs without one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from evfer.errors import BusyError, OutputError
from evfer.files import make_folder

__all__ = ["folder_lock"]

_POLL_S = 0.02
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextlib.contextmanager
def folder_lock(folder: Path, *, name: str = ".lock", wait: bool = True) -> Iterator[None]:
    """Hold a folder's lock for the length of a block.

    Not to be taken twice by one thread: the second would wait for the first.

    Args:
        folder: the folder; made if needed.
        name: the lock's file in it, which names the process that holds it and goes with the lock.
        wait: whether to wait for another process that holds the lock.

    Raises:
        BusyError: if another process holds it and `wait` is false; the message names that process.
        OutputError: if the folder cannot be written.
    """
    make_folder(folder)
    path = folder / name
    try:
        while (descriptor := _take(path)) is None:
            if not wait:
                raise BusyError(
                    f"{folder}: held by {_holder(path)}",
                    expected="one process at a time",
                    hint="Wait until that process has ended, or choose another folder",
                )
            time.sleep(_POLL_S)
    except OSError as error:
        raise OutputError(f"cannot lock {path}: {error.strerror or error}") from error
    with contextlib.suppress(OSError):  # a full disk, or another user's file
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {platform.node()}\n".encode())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # an open file stays on Windows
            path.unlink()
        with contextlib.suppress(OSError):
            _unlock(descriptor)
        os.close(descriptor)


def _take(path: Path) -> int | None:
    """Lock a file and give its descriptor, or give None where another process holds it."""
    while True:
        descriptor = _open(path)
        try:
            locked = _lock(descriptor)
            if locked and _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not locked:
            return None


def _is_at(path: Path, descriptor: int) -> bool:
    # whoever held it may have removed the file between its opening and its locking here
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        # a colleague's file in a shared folder, which may be locked all the same
        return os.open(path, os.O_RDONLY)


def _holder(path: Path) -> str:
    try:
        pid, host = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):  # it is about to write its name
        return "another process"
    return f"process {pid} on {host}"


if sys.platform == "win32":
    import msvcrt

    _BYTE = 1 << 30  # far behind the text, which a locked byte would hide

    def _lock(descriptor: int) -> bool:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLK):
                raise
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True

    def _unlock(descriptor: int) -> None:
        # said by name, since a forked child keeps what is only closed
        fcntl.flock(descriptor, fcntl.LOCK_UN)
