"""The packed cache: a set's events as plain columns on disk, 7 bytes an event, mapped on use.

    <set>/.cache/<digest>/  meta.json  offsets.npy  sums.npy  x.npy  y.npy  p.npy  t.npy

or below `$EVFER_CACHE`. It is named by the digest of the recordings' files, and may be deleted at
any time. Reading from it is hundreds of times faster than unpacking HDF5, and processes share its
pages.

It starts out empty, and each clip is unpacked whole when it is first asked for, so that training
begins at once. What is there has its checksum in `sums.npy`, which each process compares before it
trusts it; so a process may be killed at any moment, and several may fill one cache at once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import deflate
import numpy as np
from numpy.typing import NDArray

from evfer.errors import EvferError
from evfer.events import Columns, SensorSize
from evfer.files import host_tag
from evfer.workers.stale_parts import remove_stale_parts

__all__ = ["PackedEvents", "digest", "in_memory", "open_cache"]

CACHE_VERSION = 3

_FILES = ("offsets", "sums", *Columns._fields)
_HEADER = 128  # bytes of a .npy file before its values

Read = Callable[[int], Columns]
"""Reads a clip from its recording."""


class PackedEvents:
    """Events of several clips, one after another; those of a cache come as they are asked for.

    Args:
        sensor_size: the sensor that they share.
        offsets: where each clip's events begin, int64, shape (clips + 1,).
        columns: all events; x and y uint8, or uint16 on larger sensors, t uint32 microseconds;
            they can be written, be it to this process's memory alone.
        read: gives a clip that is not there yet; None where everything is.
        sums: a checksum for each clip that is there, uint32, shape (clips,), 0 for the others.
        folder: where the columns lie as files that can be written; None in memory.
    """

    def __init__(
        self,
        sensor_size: SensorSize,
        offsets: NDArray[np.int64],
        columns: Columns,
        read: Read | None = None,
        sums: NDArray[np.uint32] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.sensor_size, self.offsets, self.columns = sensor_size, offsets, columns
        self._read, self._sums, self._folder = read, sums, folder
        # what this process has read itself, or has compared with its checksum
        self._trusted = [bool(n == 0 or read is None) for n in np.diff(offsets)]

    def length(self, clip: int) -> int:
        """Give a clip's number of events."""
        return int(self.offsets[clip + 1] - self.offsets[clip])

    def has(self, clip: int) -> bool:
        """Say whether a clip is there, as far as its checksum promises."""
        return self._trusted[clip] or (self._sums is not None and bool(self._sums[clip]))

    def clip(self, clip: int) -> Columns:
        """View a clip's events.

        Raises:
            RecordingError: if they are not there yet and cannot be read from the recording.
        """
        view = self.columns.take(slice(int(self.offsets[clip]), int(self.offsets[clip + 1])))
        if not self._trusted[clip]:
            # threads that ask for the same at once all read it, and all write the same
            if self._sums is None or self._sums[clip] != _checksum(view):
                self._fill(clip, view)
            self._trusted[clip] = True
        return view

    def _fill(self, clip: int, view: Columns) -> None:
        """Unpack a clip into the cache, or into this process's memory where that fails."""
        assert self._read is not None
        kinds = [column.dtype for column in self.columns]
        events = Columns(
            *(v.astype(k, copy=False) for v, k in zip(self._read(clip), kinds, strict=True))
        )
        checksum = _checksum(events)
        if self._folder is not None:
            try:
                for name, column, values in zip(Columns._fields, self.columns, events, strict=True):
                    _write(self._folder / f"{name}.npy", column, int(self.offsets[clip]), values)
            except OSError:  # no room any more: the rest stays in this process
                self._folder = None
        if self._folder is not None and self._sums is not None and _checksum(view) == checksum:
            self._sums[clip] = checksum
            return
        # a map that does not follow its file counts as none: this changes our pages alone
        for target, values in zip(view, events, strict=True):
            target[:] = values


def digest(recordings: Sequence[str]) -> str:
    """Name a cache by what tells its recordings from others, in order."""
    lines = [f"packed {CACHE_VERSION}", *recordings]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def open_cache(
    folder: Path, name: str, lengths: Sequence[int], look: Callable[[], SensorSize], read: Read
) -> PackedEvents:
    """Open a set's cache; make it first where it is missing or damaged.

    Args:
        folder: the set's folder.
        name: the cache's digest.
        lengths: events of each clip.
        look: gives the sensor; only called to make the cache.
        read: reads a clip.

    Returns:
        The events; in memory where the cache cannot be written.
    """
    root = Path(os.environ.get("EVFER_CACHE") or folder / ".cache")
    place = root / name[:32]
    found = _open(place, name, read)
    if found:
        return found
    size, offsets = look(), _offsets(lengths)
    part = root / f".{place.name}.{host_tag()}-{os.getpid()}.part"
    try:
        remove_stale_parts(root)
        part.mkdir(parents=True)
        _make(part, size, offsets, name)
        _move(part, place, name)
    except OSError:  # no room, or no right to write; the recordings are there all the same
        return PackedEvents(size, offsets, _blank(size, offsets), read)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if "EVFER_CACHE" not in os.environ:
        for old in root.iterdir():  # of clips that have changed since
            if old.name != place.name and not old.name.startswith("."):
                shutil.rmtree(old, ignore_errors=True)
    return _open(place, name, read) or PackedEvents(size, offsets, _blank(size, offsets), read)


def in_memory(clips: Sequence[Columns], size: SensorSize) -> PackedEvents:
    """Pack clips into memory."""
    offsets = _offsets([len(clip.t) for clip in clips])
    columns = _blank(size, offsets)
    for i, clip in enumerate(clips):
        for column, values in zip(columns, clip, strict=True):
            column[offsets[i] : offsets[i + 1]] = values
    return PackedEvents(size, offsets, columns)


def _blank(size: SensorSize, offsets: NDArray[np.int64]) -> Columns:
    return Columns(*(np.empty(int(offsets[-1]), kind) for kind in _kinds(size)))


def _kinds(size: SensorSize) -> tuple[np.dtype[Any], ...]:
    sides = (np.min_scalar_type(side - 1) for side in (size.width, size.height))
    return (*sides, np.dtype(np.bool_), np.dtype(np.uint32))


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _checksum(events: Columns) -> int:
    """Give the checksum of a clip's columns, never 0."""
    total = 0
    for column in events:
        total = deflate.crc32(np.ascontiguousarray(column).view(np.uint8), total)
    return int(total) or 1


def _make(folder: Path, size: SensorSize, offsets: NDArray[np.int64], name: str) -> None:
    """Make a cache's files with nothing in them, but with the room for it."""
    np.save(folder / "offsets.npy", offsets, allow_pickle=False)
    np.save(folder / "sums.npy", np.zeros(len(offsets) - 1, np.uint32), allow_pickle=False)
    for column, kind in zip(Columns._fields, _kinds(size), strict=True):
        with (folder / f"{column}.npy").open("wb") as file:
            described = np.lib.format.dtype_to_descr(kind)
            header = {"descr": described, "fortran_order": False, "shape": (int(offsets[-1]),)}
            np.lib.format.write_array_header_1_0(file, header)
            end = file.tell() + int(offsets[-1]) * kind.itemsize
            file.truncate(end)
            _reserve(file, end)
    meta = {
        "version": CACHE_VERSION,
        "digest": name,
        "sensor": [size.width, size.height],
        "bytes": {file: (folder / f"{file}.npy").stat().st_size for file in _FILES},
    }
    (folder / "meta.json").write_text(json.dumps(meta, sort_keys=True), encoding="utf-8")


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the room on the disk now, where the file system can."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def _write(path: Path, column: NDArray[Any], first: int, values: NDArray[Any]) -> None:
    # opened each time, as a file's position is shared with forked processes; not through the
    # map, where a full disk ends the process
    file = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    try:
        end = os.lseek(file, 0, os.SEEK_END)
        os.lseek(file, end - (len(column) - first) * column.itemsize, os.SEEK_SET)
        if os.write(file, values.data) != values.nbytes:
            raise OSError(errno.ENOSPC, "not all was written", str(path))
    finally:
        os.close(file)


def _move(part: Path, place: Path, name: str) -> None:
    if place.exists() and _open(place, name, None) is None:  # damaged
        shutil.rmtree(place)
    # another process may have been faster; its cache is as good
    with contextlib.suppress(OSError):
        part.rename(place)


def _open(place: Path, name: str, read: Read | None) -> PackedEvents | None:
    try:
        meta = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        if meta["version"] != CACHE_VERSION or meta["digest"] != name:
            return None
        writable = os.access(place, os.W_OK) and os.access(place / "sums.npy", os.W_OK)
        arrays = {}
        for file in _FILES:
            path = place / f"{file}.npy"
            if path.stat().st_size != meta["bytes"][file]:
                return None
            # columns are written as files; what cannot be is kept in pages of this process
            mode: Literal["c", "r+"] = "r+" if file == "sums" and writable else "c"
            empty = path.stat().st_size <= _HEADER  # a header alone cannot be mapped
            mapped = np.load(path, mmap_mode=None if empty else mode, allow_pickle=False)
            arrays[file] = np.asarray(mapped)  # slicing a memmap itself is slow
        size = SensorSize(*meta["sensor"])
    except (OSError, ValueError, KeyError, TypeError, EvferError):
        return None
    columns = Columns(*(arrays[column] for column in Columns._fields))
    folder = place if writable else None
    return PackedEvents(size, arrays["offsets"], columns, read, arrays["sums"], folder)
