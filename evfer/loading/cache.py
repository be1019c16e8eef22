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
from numpy.typing import DTypeLike, NDArray

from evfer.events import SensorSize
from evfer.files import host_tag
from evfer.store import Recording
from evfer.transforms.edits import Columns

__all__ = ["Packed", "digest", "memory", "packed"]

CACHE_VERSION = 1
_NAMES = ("offsets", "x", "y", "p", "t")

Allocate = Callable[[str, DTypeLike, int], NDArray[Any]]


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


def packed(
    folder: Path, name: str, lengths: Sequence[int], read: Callable[[], Iterator[Recording]]
) -> Packed:
    """Open a set's cache; make it first where it is missing or damaged.

    Args:
        folder: the set's folder.
        name: the cache's digest.
        lengths: events of each clip.
        read: gives the clips' recordings in order; only called to make the cache.

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
        part.mkdir(parents=True)
        made = _fill(read(), lengths, lambda name, dtype, n: _mapped(part, name, dtype, n))
        _describe(part, name, made)
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


def memory(clips: Iterator[Recording], lengths: Sequence[int]) -> Packed:
    """Pack clips into memory."""
    return _fill(clips, lengths, lambda _, dtype, n: np.empty(n, dtype))


def _fill(clips: Iterator[Recording], lengths: Sequence[int], allocate: Allocate) -> Packed:
    offsets = allocate("offsets", np.int64, len(lengths) + 1)
    offsets[0] = 0
    np.cumsum(lengths, out=offsets[1:])
    total = int(offsets[-1])
    first = next(clips)
    size = first.sensor_size
    kinds = [np.uint8 if side <= 256 else np.uint16 for side in (size.width, size.height)]
    columns = Columns(
        allocate("x", kinds[0], total),
        allocate("y", kinds[1], total),
        allocate("p", np.bool_, total),
        allocate("t", np.uint32, total),
    )
    for i in range(len(lengths)):
        recording = first if i == 0 else next(clips)
        span = slice(offsets[i], offsets[i + 1])
        for name, column in columns._asdict().items():
            column[span] = recording.events[name]
    return Packed(size, offsets, columns)


def _mode(path: Path) -> Literal["r"] | None:
    return "r" if path.stat().st_size > 128 else None  # a header alone cannot be mapped


def _mapped(folder: Path, name: str, dtype: DTypeLike, n: int) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    if not n:  # nothing cannot be mapped
        np.save(path, np.empty(0, dtype), allow_pickle=False)
        return np.empty(0, dtype)
    # all of it now, or a full disk would kill the process with SIGBUS while it writes
    kind = np.dtype(dtype)
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(n,))
    with path.open("rb+") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return mapped


def _describe(part: Path, name: str, made: Packed) -> None:
    for array in (made.offsets, *made.columns):
        if isinstance(array, np.memmap):
            array.flush()
    meta = {
        "version": CACHE_VERSION,
        "digest": name,
        "sensor": [made.sensor_size.width, made.sensor_size.height],
        "bytes": {column: (part / f"{column}.npy").stat().st_size for column in _NAMES},
    }
    (part / "meta.json").write_text(json.dumps(meta, sort_keys=True), encoding="utf-8")


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
            arrays.append(np.load(path, mmap_mode=_mode(path), allow_pickle=False))
        width, height = meta["sensor"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Packed(SensorSize(width, height), arrays[0], Columns(*arrays[1:]))
