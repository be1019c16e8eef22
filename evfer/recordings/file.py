"""Recordings: one HDF5 file a clip, readable by the published loader and by plain h5py.

The file holds one table `/events`, uint32, shape (n, 4), columns t (microseconds), x, y and p.
Chunks hold one column each, so that HDF5 packs a column alone and reads one without the others.
Attributes describe the clip and every setting that shaped it. No time of writing is stored: the
same events and settings give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError, RecordingError, UnreadableError
from evfer.events import (
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
from evfer.recordings.opening import (
    FORMAT,
    FORMAT_VERSION,
    events_table,
    open_file,
    plain_value,
    read_attributes,
    require_count,
    require_readable,
    require_stored,
    stored_size,
    unreadable,
)

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Layout",
    "Recording",
    "inspect",
    "is_recording",
    "layout",
    "read",
    "read_columns",
    "require_readable",
    "require_stored",
    "sensor_size",
    "verify_recording",
    "write",
]

_CHUNK_ROWS = 16384
_COLUMNS = ("t", "x", "y", "p")
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
    with open_file(path) as file:
        attributes = read_attributes(file, path)
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
    with open_file(path) as file:
        return _layout(file, read_attributes(file, path, _HEAD), sensor_size, path)


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
            raise unreadable(self.path, error) from error
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
            with open_file(self.path) as file:
                self._require_same(_stamp(file.id.get_vfd_handle()))
                table = events_table(file, self.path)[:]
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
    stamp, table = _stamp(file.id.get_vfd_handle()), events_table(file, path)
    require_count(attributes, table, path)
    size, told = stored_size(attributes, sensor_size, path), attributes.get("events_sha256")
    digest = told if isinstance(told, str) else None
    digest = digest if isinstance(digest, str) else None
    try:
        chunks = locate(table) if len(table) else None
        return Layout(path, len(table), size, digest, chunks, stamp)
    except (OSError, RuntimeError, ValueError) as error:
        raise unreadable(path, error) from error


def is_recording(path: Path) -> bool:
    """Tell whether a file is a recording that evfer wrote, be it damaged further on."""
    try:
        with open_file(path) as file:
            return bool(plain_value(file.attrs.get("format")) == FORMAT)
    except UnreadableError:
        raise
    except (RecordingError, RuntimeError):
        return False


def inspect(path: Path) -> dict[str, Any]:
    """Read a recording's attributes without its events.

    Returns:
        The attributes, as Python values, with `shape` of the table added; `params` and `faces`
        come parsed.

    Raises:
        RecordingError: if the file cannot be read or is not complete.
    """
    path = Path(path)
    with open_file(path) as file:
        found = read_attributes(file, path)
        table = events_table(file, path)
        require_count(found, table, path)
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
    with open_file(path) as file:
        return stored_size(read_attributes(file, path), None, path)


def verify_recording(path: Path) -> str:
    """Recompute the digest of a recording's events and compare it with the stored one.

    Returns:
        The digest.

    Raises:
        RecordingError: if the digests differ, or the file cannot be read.
    """
    path = Path(path)
    with open_file(path) as file:
        attributes = read_attributes(file, path)
        stored = attributes.get("events_sha256")
        require_count(attributes, events_table(file, path), path)
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


def _table_digest(path: Path) -> str:
    found = hashlib.sha256()
    with h5py.File(path, "r", locking=False) as file:
        table = events_table(file, path)
        # a few chunks at a time, so that memory does not grow with the clip
        for block in range(math.ceil(len(table) / _CHUNK_ROWS)):
            rows = table[block * _CHUNK_ROWS : (block + 1) * _CHUNK_ROWS]
            found.update(np.ascontiguousarray(rows, "<u4").tobytes())
    return found.hexdigest()
