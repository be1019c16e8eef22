"""Recordings: one HDF5 file a clip, readable by the published loader and by plain h5py.

The file holds one table `/events`, uint32, shape (n, 4), columns t (microseconds), x, y and p.
Chunks hold one column each, so that HDF5 packs a column alone and reads one without the others.
Attributes describe the clip and every setting that shaped it. No time of writing is stored: the
same events and settings give the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError, RecordingError, UnreadableError
from evfer.events import (
    MAX_EVENTS,
    MAX_TIME_US,
    Columns,
    Events,
    SensorSize,
    canonical_order,
    check_column,
    validate,
)
from evfer.files import whole_file
from evfer.recordings.chunks import Chunks, locate, narrowed, unpack

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Layout",
    "Recording",
    "inspect",
    "layout",
    "read",
    "read_columns",
    "require_readable",
    "require_stored",
    "sensor_size",
    "verify_recording",
    "write",
]

FORMAT = "evfer-events"
FORMAT_VERSION = 1
_CHUNK_ROWS = 16384
_COLUMNS = ("t", "x", "y", "p")
_OF_THE_SYSTEM = {
    errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOLCK, errno.ENOMEM,
    errno.ENOSPC, getattr(errno, "ESTALE", errno.EIO), errno.ETIMEDOUT,
}  # fmt: skip
"""What says nothing of a file's contents."""
# what tells whether and how the events can be read
_HEAD = (
    "format", "format_version", "complete", "sensor_width", "sensor_height", "events_sha256",
    "n_events",
)  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """Events of one clip.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time.
        sensor_size: the sensor they lie on.
        attributes: what the file says about them; empty for files of other tools.
    """

    events: Events
    sensor_size: SensorSize
    attributes: Mapping[str, Any]


def write(
    path: Path,
    events: Events,
    sensor_size: SensorSize,
    attributes: Mapping[str, str | int | float],
    *,
    duration_us: int,
    order: str = "canonical",
) -> str:
    """Write a recording, whole or not at all, and read it back to make sure.

    Args:
        path: the file; an older one is replaced.
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor they lie on.
        attributes: what else to store, such as clip, label, source and settings.
        duration_us: length of the clip in microseconds.
        order: "canonical" sorts ties in time by y, x and p; "emitted" keeps the given order.

    Returns:
        `events_sha256`: the digest of the (n, 4) little-endian uint32 table in C order.

    Raises:
        EventsError: if the events break the rules of `evfer.events.validate`.
        OutputError: if the file cannot be written.
    """
    validate(events, sensor_size)
    if order == "canonical":
        events = events[canonical_order(events)]
    elif order != "emitted":
        raise EventsError(f'event order "{order}"', expected='"canonical" or "emitted"')
    table = np.stack([events[name].astype("<u4") for name in _COLUMNS], axis=1)
    digest = hashlib.sha256(table.data).hexdigest()
    times = events["t"]
    described: dict[str, Any] = {
        **attributes,
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "columns": "t,x,y,p",
        "time_unit": "us",
        "polarity": "0=OFF,1=ON",
        "sensor_width": sensor_size.width,
        "sensor_height": sensor_size.height,
        "width": sensor_size.width,  # evutils looks for these two
        "height": sensor_size.height,
        "n_events": len(events),
        "t_first_us": int(times[0]) if len(times) else 0,
        "t_last_us": int(times[-1]) if len(times) else 0,
        "duration_us": int(duration_us),
        "order": order,
        "events_sha256": digest,
    }
    with whole_file(path) as part:
        # nobody else knows the part's name, and some network disks have no locks
        with h5py.File(part, "w", track_order=False, locking=False) as file:
            data = file.create_dataset(
                "events",
                data=table,
                chunks=(max(1, min(_CHUNK_ROWS, len(table))), 1),
                maxshape=(None, 4),  # an empty table could not be chunked otherwise
                shuffle=True,
                compression="gzip",
                compression_opts=1,
            )
            data.attrs["sensor_width"] = sensor_size.width
            data.attrs["sensor_height"] = sensor_size.height
            for name in sorted(described):
                file.attrs[name] = described[name]
            file.attrs["complete"] = 1
        if _table_digest(part) != digest:
            raise RecordingError(f"{path}: what was written reads back differently")
    return digest


def read(path: Path, sensor_size: SensorSize | None = None) -> Recording:
    """Read a recording of evfer, or an `/events` table that v2e or the published code wrote.

    Args:
        path: the HDF5 file.
        sensor_size: needed where the file does not name it, as v2e's do not; it is never
            guessed from the events.

    Raises:
        RecordingError: if the file is missing, cut short, of a newer format, or holds values
            that cannot be events.
    """
    path = Path(path)
    with _open(path) as file:
        attributes = _attributes(file, path)
        found = _layout(file, attributes, sensor_size, path)
    return Recording(found.columns().events(), found.sensor_size, attributes)


def read_columns(path: Path, sensor_size: SensorSize | None = None) -> tuple[Columns, SensorSize]:
    """Read a recording's events alone, as columns, in a third of the time.

    Args:
        path: as for `read`.
        sensor_size: as for `read`.

    Returns:
        The events, as `Layout.columns` gives them, and the sensor.

    Raises:
        RecordingError: as `read`.
    """
    found = layout(path, sensor_size)
    return found.columns(), found.sensor_size


def layout(path: Path, sensor_size: SensorSize | None = None) -> Layout:
    """Look at a recording without reading its events.

    Args:
        path: as for `read`.
        sensor_size: as for `read`.

    Raises:
        RecordingError: as `read`, but for the events themselves.
    """
    path = Path(path)
    with _open(path) as file:
        return _layout(file, _attributes(file, path, _HEAD), sensor_size, path)


@dataclass(frozen=True, eq=False)
class Layout:
    """Where a recording's events lie in its file; gives parts of them without the rest.

    Args:
        path: the file.
        n: number of events.
        sensor_size: the sensor they lie on.
        events_sha256: the digest that `write` gave; None in files of other tools.
        chunks: their chunks; None where only HDF5 can unpack them.
        stamp: tells whether the file is still the same one.
    """

    path: Path
    n: int
    sensor_size: SensorSize
    events_sha256: str | None
    chunks: Chunks | None
    stamp: tuple[int, int, int]

    def columns(self) -> Columns:
        """Read all events: x and y as uint8 or uint16, p as bool, t as uint32.

        Raises:
            RecordingError: if the file is damaged, is another one by now, or a value cannot be
                an event's.
        """
        size = self.sensor_size
        limits = {"x": size.width, "y": size.height, "p": 2, "t": MAX_TIME_US + 1}
        try:
            columns = self._unpacked(limits)
        except (OSError, MemoryError, RuntimeError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        p = columns["p"]
        if len(p) and (p.min() < 0 or p.max() > 1):
            worst = p.min() if p.min() < 0 else p.max()
            raise RecordingError(f"{self.path}: polarity {worst}", expected="0 or 1")
        for name in ("x", "y", "t"):
            try:
                check_column(name, columns[name], limits[name])
            except EventsError as error:
                raise RecordingError(
                    f"{self.path}: {error.found}", expected=error.expected
                ) from error
        return Columns(columns["x"], columns["y"], p.astype(bool), columns["t"])

    def _unpacked(self, limits: Mapping[str, int]) -> dict[str, NDArray[Any]]:
        if self.chunks is None:
            with _open(self.path) as file:
                self._require_same(_stamp(file.id.get_vfd_handle()))
                table = _table(file, self.path)[:]
            return {
                name: narrowed(table[:, _COLUMNS.index(name)], limit)
                for name, limit in limits.items()
            }
        with io.FileIO(str(self.path)) as file:
            self._require_same(_stamp(file.fileno()))
            return {
                name: unpack(file, self.chunks, _COLUMNS.index(name), np.min_scalar_type(limit - 1))
                for name, limit in limits.items()
            }

    def _require_same(self, stamp: tuple[int, int, int]) -> None:
        if stamp != self.stamp:
            raise RecordingError(
                f"{self.path}: it was changed after it was looked at",
                expected="recordings that stay as they are while they are used",
                hint="Run the command again when nothing converts any more",
            )


def _stamp(file: int) -> tuple[int, int, int]:
    found = os.fstat(file)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _layout(
    file: h5py.File, attributes: Mapping[str, Any], sensor_size: SensorSize | None, path: Path
) -> Layout:
    stamp, table = _stamp(file.id.get_vfd_handle()), _table(file, path)
    _require_count(attributes, table, path)
    size, told = _sensor_size(attributes, sensor_size, path), attributes.get("events_sha256")
    digest = told if isinstance(told, str) else None
    digest = digest if isinstance(digest, str) else None
    try:
        chunks = locate(table) if len(table) else None
        return Layout(path, len(table), size, digest, chunks, stamp)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable(path, error) from error


def inspect(path: Path) -> dict[str, Any]:
    """Read a recording's attributes without its events.

    Returns:
        The attributes, as Python values, with `shape` of the table added; `params` and `faces`
        come parsed.

    Raises:
        RecordingError: if the file cannot be read or is not complete.
    """
    path = Path(path)
    with _open(path) as file:
        found = _attributes(file, path)
        table = _table(file, path)
        _require_count(found, table, path)
        found["shape"] = list(table.shape)
    for name in ("params", "faces"):
        if isinstance(found.get(name), str):
            try:
                found[name] = json.loads(found[name])
            except json.JSONDecodeError as error:
                raise RecordingError(f"{path}: attribute {name} is no JSON: {error}") from error
    return found


def sensor_size(path: Path) -> SensorSize:
    """Read a recording's sensor size alone.

    Raises:
        RecordingError: if the file cannot be read or does not name it.
    """
    with _open(path) as file:
        return _sensor_size(_attributes(file, path), None, path)


def verify_recording(path: Path) -> str:
    """Recompute the digest of a recording's events and compare it with the stored one.

    Returns:
        The digest.

    Raises:
        RecordingError: if the digests differ, or the file cannot be read.
    """
    path = Path(path)
    with _open(path) as file:
        attributes = _attributes(file, path)
        stored = attributes.get("events_sha256")
        _require_count(attributes, _table(file, path), path)
    try:
        found = _table_digest(path)
    except OSError as error:  # gzip's own check failed
        require_readable(path, error)
        raise RecordingError(f"{path}: {error}", expected="an undamaged recording") from error
    if found != stored:
        raise RecordingError(
            f"{path}: its events have the digest {found}",
            expected=str(stored),
            hint="Delete the file and convert again",
        )
    return found


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        require_readable(path, error)
        found = "no such file" if not path.exists() else "not a whole HDF5 file"
        raise RecordingError(
            f"{path}: {found}",
            expected="a recording that was written to its end",
            hint="Convert again; finished clips are kept",
        ) from error


def _attributes(file: h5py.File, path: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    found, stored = {}, file.attrs  # h5py makes them anew each time it is asked
    for name in stored if names is None else names:
        with contextlib.suppress(KeyError):
            found[name] = _plain(stored[name])
    if found.get("format") == FORMAT:
        version = found.get("format_version")
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise RecordingError(
                f"{path}: format version {version}",
                expected=f"at most {FORMAT_VERSION}",
                hint="It was written by a newer evfer: update this one",
            )
        if found.get("complete") != 1:
            raise RecordingError(
                f"{path}: it was never completed", hint="Delete the file and convert again"
            )
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value


def _table(file: h5py.File, path: Path) -> h5py.Dataset:
    expected = "a table /events with four columns t, x, y, p of whole numbers"
    link = file.get("events", getlink=True)
    if not isinstance(link, h5py.HardLink):
        # soft and external links could lead to other files of the reader's machine
        found = "no /events" if link is None else "/events is a link"
        raise RecordingError(f"{path}: {found}", expected=expected)
    table = file["events"]
    if not isinstance(table, h5py.Dataset) or _is_elsewhere(table):
        raise RecordingError(f"{path}: /events does not hold its own data", expected=expected)
    if table.ndim != 2 or table.shape[1] != 4 or table.dtype.kind not in "ui":
        raise RecordingError(
            f"{path}: /events of shape {table.shape} and type {table.dtype}", expected=expected
        )
    require_stored(path, table)
    return table


def require_stored(path: Path, table: h5py.Dataset) -> None:
    """Refuse a table that declares more rows than its file holds, before memory is asked for.

    Raises:
        RecordingError: naming the file.
    """
    rows = len(table)
    if rows > MAX_EVENTS:
        raise RecordingError(
            f"{path}: it claims to hold {rows:,} events", expected=f"at most {MAX_EVENTS:,}"
        )
    try:
        if table.chunks is None:
            # a compact table lies in the header, and is whole if that is
            compact = table.id.get_create_plist().get_layout() == h5py.h5d.COMPACT
            whole = compact or table.id.get_storage_size() >= table.nbytes
        else:
            n_chunks = math.prod(-(-n // k) for n, k in zip(table.shape, table.chunks, strict=True))
            whole = table.id.get_num_chunks() >= n_chunks
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not whole:
        raise RecordingError(
            f"{path}: {table.name} declares {rows:,} rows, more than the file holds",
            expected="an undamaged recording",
            hint="Delete the file and convert again",
        )


def _require_count(attributes: Mapping[str, Any], table: h5py.Dataset, path: Path) -> None:
    n_events = attributes.get("n_events", len(table))
    if attributes.get("format") == FORMAT and n_events != len(table):
        raise RecordingError(
            f"{path}: {len(table):,} events",
            expected=f"{n_events:,}, as its header says",
            hint="Delete the file and convert again",
        )


def _is_elsewhere(table: h5py.Dataset) -> bool:
    settings = table.id.get_create_plist()
    return bool(settings.get_external_count() or settings.get_layout() == h5py.h5d.VIRTUAL)


def require_readable(path: Path, error: Exception) -> None:
    """Raise an error of the system as what it is, and let damage pass.

    Raises:
        UnreadableError: if the system did not hand the file out.
    """
    if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
        raise UnreadableError(
            f"{path}: {os.strerror(error.errno or 0)}",
            expected="a file that the system hands out",
            hint="The recording may be whole: look at the disk and its rights, and try again",
        ) from error


def _unreadable(path: Path, error: Exception) -> RecordingError:
    require_readable(path, error)
    return RecordingError(
        f"{path}: its events cannot be read ({error})",
        expected="an undamaged recording",
        hint="Delete the file and convert again",
    )


def _sensor_size(attributes: Mapping[str, Any], given: SensorSize | None, path: Path) -> SensorSize:
    width, height = attributes.get("sensor_width"), attributes.get("sensor_height")
    if isinstance(width, int) and isinstance(height, int):
        try:
            stored = SensorSize(width, height)
        except EventsError as error:
            raise RecordingError(f"{path}: {error.found}", expected=error.expected) from error
        if given is not None and given != stored:
            raise RecordingError(
                f"{path}: a sensor of {width} x {height}",
                expected=f"{given.width} x {given.height}, as asked for",
            )
        return stored
    if given is None:
        raise RecordingError(
            f"{path}: the file does not name its sensor's size",
            expected="attributes sensor_width and sensor_height, or a size from the caller",
            hint="Pass sensor_size=SensorSize(width, height)",
        )
    return given


def _table_digest(path: Path) -> str:
    found = hashlib.sha256()
    with h5py.File(path, "r", locking=False) as file:
        table = _table(file, path)
        # a few chunks at a time, so that memory does not grow with the clip
        for block in range(math.ceil(len(table) / _CHUNK_ROWS)):
            rows = table[block * _CHUNK_ROWS : (block + 1) * _CHUNK_ROWS]
            found.update(np.ascontiguousarray(rows, "<u4").tobytes())
    return found.hexdigest()
