"""The packed cache: a set's events as plain columns on disk, 7 bytes an event, mapped on use.

    <set>/.cache/<digest>/  meta.json  offsets.npy  x.npy  y.npy  p.npy  t.npy

or below `$EVFER_CACHE`. It is made on first use from the recordings, named by the digest of their
files, and may be deleted at any time. Reading from it is hundreds of times faster than unpacking
HDF5, and processes share its pages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evfer.events import Columns, SensorSize
from evfer.files import host_tag
from evfer.workers.leftovers import remove_stale_parts

__all__ = ["Packed", "digest", "memory", "packed"]

CACHE_VERSION = 1
_NAMES = ("offsets", *Columns._fields)

Clips = Iterator[tuple[Columns, SensorSize]]


@dataclass(frozen=True, eq=False)
class Packed:
    """Events of several clips, one after another.

    Args:
        sensor_size: the sensor that they share.
        offsets: where each clip's events begin, int64, shape (clips + 1,).
        columns: all events; x and y uint8, or uint16 on larger sensors, t uint32 microseconds.
    """

    sensor_size: SensorSize
    offsets: NDArray[np.int64]
    columns: Columns


def digest(recordings: Sequence[str]) -> str:
    """Name a cache by what tells its recordings from others, in order."""
    lines = [f"packed {CACHE_VERSION}", *recordings]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def packed(folder: Path, name: str, lengths: Sequence[int], read: Callable[[], Clips]) -> Packed:
    """Open a set's cache; make it first where it is missing or damaged.

    Args:
        folder: the set's folder.
        name: the cache's digest.
        lengths: events of each clip.
        read: gives the clips in order; only called to make the cache.

    Returns:
        The events; in memory where the cache cannot be written.
    """
    root = Path(os.environ.get("EVFER_CACHE") or folder / ".cache")
    place = root / name[:32]
    found = _open(place, name)
    if found:
        return found
    part = root / f".{place.name}.{host_tag()}-{os.getpid()}.part"
    try:
        remove_stale_parts(root)
        part.mkdir(parents=True)
        _write(part, read(), lengths, name)
        _put(part, place, name)
    except OSError:  # no room, or no right to write; the recordings are there all the same
        return memory(read(), lengths)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if "EVFER_CACHE" not in os.environ:
        for old in root.iterdir():  # of clips that have changed since
            if old.name != place.name and not old.name.startswith("."):
                shutil.rmtree(old, ignore_errors=True)
    return _open(place, name) or memory(read(), lengths)


def memory(clips: Clips, lengths: Sequence[int]) -> Packed:
    """Pack clips into memory."""
    first, size = next(clips)
    kinds = _kinds(size)
    offsets = _offsets(lengths)
    columns = Columns(*(np.empty(int(offsets[-1]), kind) for kind in kinds))
    for i, clip in enumerate(_after(first, clips)):
        for column, values in zip(columns, clip, strict=True):
            column[offsets[i] : offsets[i + 1]] = values
    return Packed(size, offsets, columns)


def _kinds(size: SensorSize) -> tuple[np.dtype[Any], ...]:
    sides = (np.min_scalar_type(side - 1) for side in (size.width, size.height))
    return (*sides, np.dtype(np.bool_), np.dtype(np.uint32))


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _after(first: Columns, clips: Clips) -> Iterator[Columns]:
    yield first
    yield from (columns for columns, _ in clips)


def _write(folder: Path, clips: Clips, lengths: Sequence[int], name: str) -> None:
    """Write a cache's files; as they come, so that memory does not grow with the set."""
    first, size = next(clips)
    kinds, offsets = _kinds(size), _offsets(lengths)
    np.save(folder / "offsets.npy", offsets, allow_pickle=False)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context((folder / f"{c}.npy").open("wb")) for c in Columns._fields]
        for file, kind in zip(files, kinds, strict=True):
            described = np.lib.format.dtype_to_descr(kind)
            header = {"descr": described, "fortran_order": False, "shape": (int(offsets[-1]),)}
            np.lib.format.write_array_header_1_0(file, header)
        for clip in _after(first, clips):
            for file, kind, values in zip(files, kinds, clip, strict=True):
                file.write(np.ascontiguousarray(values, kind).data)
        for file in files:
            file.flush()
            os.fsync(file.fileno())
    meta = {
        "version": CACHE_VERSION,
        "digest": name,
        "sensor": [size.width, size.height],
        "bytes": {column: (folder / f"{column}.npy").stat().st_size for column in _NAMES},
    }
    (folder / "meta.json").write_text(json.dumps(meta, sort_keys=True), encoding="utf-8")


def _mode(path: Path) -> Literal["r"] | None:
    return "r" if path.stat().st_size > 128 else None  # a header alone cannot be mapped


def _put(part: Path, place: Path, name: str) -> None:
    if place.exists() and _open(place, name) is None:  # damaged
        shutil.rmtree(place)
    # another process may have been faster; its cache is as good
    with contextlib.suppress(OSError):
        part.rename(place)


def _open(place: Path, name: str) -> Packed | None:
    try:
        meta = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        if meta["version"] != CACHE_VERSION or meta["digest"] != name:
            return None
        arrays = []
        for column in _NAMES:
            path = place / f"{column}.npy"
            if path.stat().st_size != meta["bytes"][column]:
                return None
            mapped = np.load(path, mmap_mode=_mode(path), allow_pickle=False)
            arrays.append(np.asarray(mapped))  # slicing a memmap itself is slow
        width, height = meta["sensor"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Packed(SensorSize(width, height), arrays[0], Columns(*arrays[1:]))
