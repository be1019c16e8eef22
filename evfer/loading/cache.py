"""The packed cache: a set's events as plain columns on disk, 7 bytes an event, mapped on use.

    <set>/.cache/<digest>/  meta.json  offsets.npy  sums.npy  x.npy  y.npy  p.npy  t.npy

or below `$EVFER_CACHE`. It is named by the digest of the recordings' files, and may be deleted at
any time. Reading from it is hundreds of times faster than unpacking HDF5, and processes share its
pages.

It starts out empty, and fills as events are asked for, `ROWS` of one column at a time: framings
that look at a part of each clip never wait for the rest. What is filled has its checksum in
`sums.npy`, which each process compares before it trusts it; so a process may be killed at any
moment, and several may fill one cache at once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import deflate
import numpy as np
from numpy.typing import NDArray

from evfer.errors import EvferError, RecordingError
from evfer.events import Columns, SensorSize
from evfer.files import host_tag
from evfer.workers.stale_parts import remove_stale_parts

__all__ = ["ROWS", "Packed", "digest", "memory", "packed"]

CACHE_VERSION = 2
_FILES = ("offsets", "sums", *Columns._fields)
_HEADER = 128  # bytes of a .npy file before its values
ROWS = 16384
"""Events of a block; a recording's chunk has as many."""

Part = tuple[str, int, int]
"""A column's name, the first event of a clip and the first one behind."""

Read = Callable[[int, Sequence[Part]], Iterable[NDArray[Any]]]
"""Gives parts of a clip from its recording."""


class Packed:
    """Events of several clips, one after another; those of a cache come as they are asked for.

    Args:
        sensor_size: the sensor that they share.
        offsets: where each clip's events begin, int64, shape (clips + 1,).
        columns: all events; x and y uint8, or uint16 on larger sensors, t uint32 microseconds;
            they can be written, be it to this process's memory alone.
        read: gives what is not there yet; None where everything is.
        sums: checksums of what is there, uint32, shape (blocks, columns), 0 for what is not.
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
        self._blocks = _blocks(offsets)
        # what this process has read itself, or has compared with its checksum
        self._known = np.full((int(self._blocks[-1]), len(Columns._fields)), read is None)
        self._whole = [bool(n == 0 or read is None) for n in np.diff(offsets)]

    def length(self, clip: int) -> int:
        """Give a clip's number of events."""
        return int(self.offsets[clip + 1] - self.offsets[clip])

    def whole(self, clip: int) -> bool:
        """Say whether all events of a clip are known to be there."""
        return self._whole[clip]

    def blank(self) -> list[int]:
        """Give the clips that are not all there, by what the checksums promise."""
        if self._read is None:
            return []
        there = self._known if self._sums is None else self._sums != 0
        pairs = zip(self._blocks[:-1], self._blocks[1:], strict=True)
        return [clip for clip, (a, b) in enumerate(pairs) if not there[a:b].all()]

    def clip(self, clip: int) -> Columns:
        """View all events of a clip."""
        self.need(clip, (0, self.length(clip)))
        return self.peek(clip)

    def peek(self, clip: int) -> Columns:
        """View a clip's events as they are; what was not asked for is not there."""
        return self.columns.take(slice(int(self.offsets[clip]), int(self.offsets[clip + 1])))

    def need(
        self, clip: int, *spans: tuple[int, int], names: Sequence[str] = Columns._fields
    ) -> None:
        """Make sure that some of a clip's events are there.

        Args:
            clip: position of the clip.
            spans: for each the first event and the first one behind.
            names: which columns.

        Raises:
            RecordingError: if they cannot be read from the recording.
        """
        if self._whole[clip]:
            return
        base = int(self._blocks[clip])
        which = [Columns._fields.index(name) for name in names]
        blocks = ((base + a // ROWS, base - (-b // ROWS)) for a, b in spans if a < b)
        runs = list(dict.fromkeys(blocks))
        if all(self._known[first:last, which].all() for first, last in runs):
            return
        # threads that ask for the same at once all read it, and all write the same
        parts = [part for k in which for run in runs for part in self._missing(clip, k, *run)]
        if parts and self._read is not None:
            for part, values in zip(parts, self._read(clip, parts), strict=True):
                self._put(clip, part, values)
        self._whole[clip] = bool(self._known[base : int(self._blocks[clip + 1])].all())

    def time_of(self, clip: int) -> Callable[[int], int]:
        """Give a function that tells the time of one event of a clip, microseconds."""
        if self._whole[clip]:
            found: Callable[[int], int] = self.peek(clip).t.item
            return found
        first, there = int(self.offsets[clip]), set[int]()

        def time(event: int) -> int:
            if event // ROWS not in there:
                self.need(clip, (event, event + 1), names=("t",))
                there.add(event // ROWS)
            return int(self.columns.t[first + event])

        return time

    def _missing(self, clip: int, column: int, first: int, last: int) -> Iterator[Part]:
        """Give runs of blocks of one column that have to be read."""
        begun: int | None = None
        for block in range(first, last + 1):
            lacks = block < last and not self._trusted(clip, column, block)
            if lacks and begun is None:
                begun = block
            elif not lacks and begun is not None:
                yield Columns._fields[column], *self._span(clip, begun, block)
                begun = None

    def _trusted(self, clip: int, column: int, block: int) -> bool:
        """Say whether a block is there, and what was written."""
        if not self._known[block, column] and self._sums is not None:
            told = int(self._sums[block, column])
            if not told:
                return False
            start, stop = self._span(clip, block, block + 1)
            self._known[block, column] = _sums(self.peek(clip)[column][start:stop]) == [told]
        return bool(self._known[block, column])

    def _span(self, clip: int, first: int, last: int) -> tuple[int, int]:
        """Give the events of some blocks, as numbers within their clip."""
        base, n = int(self._blocks[clip]), self.length(clip)
        return (first - base) * ROWS, min((last - base) * ROWS, n)

    def _put(self, clip: int, part: Part, values: NDArray[Any]) -> None:
        name, start, stop = part
        column, place = Columns._fields.index(name), int(self.offsets[clip]) + start
        view = self.columns[column][place : place + len(values)]
        first, last = (int(self._blocks[clip]) + end for end in (start // ROWS, -(-stop // ROWS)))
        if name == "t":
            self._check_order(clip, values, start, stop)
        if self._folder is not None:
            try:
                _write(self._folder / f"{name}.npy", self.columns[column], place, values)
            except OSError:  # no room any more: the rest stays in this process
                self._folder = None
        sums = _sums(values)
        if self._folder is None or _sums(view) != sums:  # or the map does not follow the file
            view[:] = values  # changes this process's pages alone
        elif self._sums is not None:
            self._sums[first:last, column] = sums
        self._known[first:last, column] = True

    def _check_order(self, clip: int, times: NDArray[Any], start: int, stop: int) -> None:
        """Compare times with those around them; a part's own order is checked as it is read."""
        column, t = Columns._fields.index("t"), self.peek(clip).t
        base, end = int(self._blocks[clip]), int(self._blocks[clip + 1])
        before, behind = base + start // ROWS - 1, base - (-stop // ROWS)
        if (before >= base and self._trusted(clip, column, before) and t[start - 1] > times[0]) or (
            behind < end and self._trusted(clip, column, behind) and t[stop] < times[-1]
        ):
            raise RecordingError(
                f"clip {clip + 1} of the set: times go back near event {start} or {stop}",
                expected="times that never go back",
                hint="Convert the set again",
            )


def digest(recordings: Sequence[str]) -> str:
    """Name a cache by what tells its recordings from others, in order."""
    lines = [f"packed {CACHE_VERSION} by {ROWS}", *recordings]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def packed(
    folder: Path, name: str, lengths: Sequence[int], look: Callable[[], SensorSize], read: Read
) -> Packed:
    """Open a set's cache; make it first where it is missing or damaged.

    Args:
        folder: the set's folder.
        name: the cache's digest.
        lengths: events of each clip.
        look: gives the sensor; only called to make the cache.
        read: gives parts of a clip.

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
        return Packed(size, offsets, _blank(size, offsets), read)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if "EVFER_CACHE" not in os.environ:
        for old in root.iterdir():  # of clips that have changed since
            if old.name != place.name and not old.name.startswith("."):
                shutil.rmtree(old, ignore_errors=True)
    return _open(place, name, read) or Packed(size, offsets, _blank(size, offsets), read)


def memory(clips: Sequence[Columns], size: SensorSize) -> Packed:
    """Pack clips into memory."""
    offsets = _offsets([len(clip.t) for clip in clips])
    columns = _blank(size, offsets)
    for i, clip in enumerate(clips):
        for column, values in zip(columns, clip, strict=True):
            column[offsets[i] : offsets[i + 1]] = values
    return Packed(size, offsets, columns)


def _blank(size: SensorSize, offsets: NDArray[np.int64]) -> Columns:
    return Columns(*(np.empty(int(offsets[-1]), kind) for kind in _kinds(size)))


def _kinds(size: SensorSize) -> tuple[np.dtype[Any], ...]:
    sides = (np.min_scalar_type(side - 1) for side in (size.width, size.height))
    return (*sides, np.dtype(np.bool_), np.dtype(np.uint32))


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _blocks(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the number of each clip's first block, and of all; a block holds one clip's events."""
    return np.concatenate([[0], np.cumsum(-(-np.diff(offsets) // ROWS))]).astype(np.int64)


def _sums(values: NDArray[Any]) -> list[int]:
    """Give the checksum of each block, never 0; the values begin with one."""
    parts = (values[low : low + ROWS].view(np.uint8) for low in range(0, len(values), ROWS))
    return [int(deflate.crc32(part)) or 1 for part in parts]


def _make(folder: Path, size: SensorSize, offsets: NDArray[np.int64], name: str) -> None:
    """Make a cache's files with nothing in them, but with the room for it."""
    np.save(folder / "offsets.npy", offsets, allow_pickle=False)
    blocks = int(_blocks(offsets)[-1])
    sums = np.zeros((blocks, len(Columns._fields)), np.uint32)
    np.save(folder / "sums.npy", sums, allow_pickle=False)
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


def _write(path: Path, column: NDArray[Any], place: int, values: NDArray[Any]) -> None:
    # opened each time, as a file's position is shared with forked processes; not through the
    # map, where a full disk ends the process
    file = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    try:
        end = os.lseek(file, 0, os.SEEK_END)
        os.lseek(file, end - (len(column) - place) * column.itemsize, os.SEEK_SET)
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


def _open(place: Path, name: str, read: Read | None) -> Packed | None:
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
    return Packed(size, arrays["offsets"], columns, read, arrays["sums"], folder)
