"""Events in HDF5: DSEC's columns, v2e's table, evfer's own recordings, structured tables.

Only data that lie in the file itself are read: links and external or virtual data sets could
lead to other files of the reader's machine.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from evfer import recordings
from evfer.errors import EventsError, MissingExtra, RecordingError
from evfer.events import SensorSize
from evfer.formats.assemble import EventSource, ReadParams, assemble, parse_size
from evfer.formats.column_names import column_name, unit_of_name
from evfer.recordings.opening import require_readable, require_stored

__all__ = ["MAGIC_HDF5", "read_hdf5", "stored_size"]

MAGIC_HDF5 = b"\x89HDF\r\n\x1a\n"
_EXPECTED = (
    "columns /events/t, x, y, p (DSEC), a table /events of t, x, y, p (v2e, evfer), "
    "or a structured table /events or /CD/events"
)
_FILTERS = {
    32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP",
    32015: "Zstandard", 32026: "Blosc2", 0x8ECF: "Prophesee's ECF",
}  # fmt: skip
_NO_FILTERS_HERE = (0x8ECF,)
"""Filters that no package on the index brings."""

_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError, OverflowError,
           UnicodeDecodeError)  # fmt: skip


def read_hdf5(path: Path, params: ReadParams) -> EventSource:
    """Read an HDF5 file of events.

    Raises:
        RecordingError: if it has none of the known layouts, or is damaged.
        MissingExtra: if it is compressed with a filter that is not installed.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            if _is_own(file):
                return _read_own(path, params)
            return _read_foreign(path, file, params)
    except _DAMAGE as error:
        require_readable(path, error)
        raise RecordingError(
            f"{path}: {error}", expected="a whole HDF5 file with " + _EXPECTED
        ) from error


def stored_size(path: Path) -> SensorSize | None:
    """Give the sensor's size that a file names, or None.

    Raises:
        RecordingError: if it cannot be opened.
        MissingExtra: if it is compressed with a filter that is not installed.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            for name in ("events/t", "events", "CD/events"):
                if name in file and isinstance(file[name], h5py.Dataset):
                    _require_filters(path, file[name])
                    break
            return _size(path, file)
    except _DAMAGE as error:
        require_readable(path, error)
        raise RecordingError(f"{path}: {error}", expected="a whole HDF5 file") from error


def _is_own(file: h5py.File) -> bool:
    return bool(_text(file.attrs.get("format")) == recordings.FORMAT)


def _read_own(path: Path, params: ReadParams) -> EventSource:
    recording = recordings.read(path, params.size)
    duration = recording.attributes.get("duration_us")
    return assemble(
        path,
        {name: recording.events[name] for name in ("t", "x", "y", "p")},
        recording.sensor_size,
        params,
        unit="us",
        begins=True,
        duration_us=duration if isinstance(duration, int) else None,
        remarks={"format": "evfer recording"},
    )


def _read_foreign(path: Path, file: h5py.File, params: ReadParams) -> EventSource:
    size = _size(path, file)
    events = _own_item(path, file, "CD") if "CD" in file and "events" not in file else file
    found = _own_item(path, events, "events")
    said: dict[str, str] = {}
    if isinstance(found, h5py.Group):
        names = {column_name(name): name for name in found if column_name(name)}
        if set(names) != {"t", "x", "y", "p"}:
            raise RecordingError(
                f"{path}: /events holds {', '.join(list(found)[:8]) or 'nothing'}",
                expected=_EXPECTED,
            )
        items = {name: _own_item(path, found, field) for name, field in names.items()}
        columns = {name: _column(path, item, found.name) for name, item in items.items()}
        offset = _scalar(file.get("t_offset")) if "t_offset" in file else None
        said["format"] = "DSEC HDF5"
        if offset is not None:
            said["t_offset_us"] = str(offset)
        unit = unit_of_name(names["t"]) or ("us" if "ms_to_idx" in file else "")
        return assemble(
            path,
            columns,
            size,
            params,
            unit=unit,
            begins=offset is not None,
            duration_us=_scalar(file.attrs["duration_us"]) if "duration_us" in file.attrs else None,
            remarks=said,
        )
    if found.dtype.names:
        names = {column_name(name): name for name in found.dtype.names if column_name(name)}
        if set(names) != {"t", "x", "y", "p"} or found.ndim != 1:
            raise RecordingError(
                f"{path}: {found.name} has the fields {', '.join(found.dtype.names)}",
                expected=_EXPECTED,
            )
        table = _values(path, found)
        columns = {name: table[field] for name, field in names.items()}
        said["format"] = "HDF5 table"
        return assemble(path, columns, size, params, unit=unit_of_name(names["t"]), remarks=said)
    if found.ndim != 2 or found.shape[1] != 4 or found.dtype.kind not in "iu":
        raise RecordingError(
            f"{path}: {found.name} of shape {found.shape} and type {found.dtype}",
            expected=_EXPECTED,
        )
    table = _values(path, found)
    order = params.order or ("t", "x", "y", "p")
    columns = {name: table[:, k] for k, name in enumerate(order)}
    said["format"] = "v2e HDF5"
    return assemble(path, columns, size, params, unit="us", begins=True, remarks=said)


def _own_item(path: Path, group: Any, name: str) -> Any:
    link = group.get(name, getlink=True) if name in group or name in [*group] else None
    if not isinstance(link, h5py.HardLink):
        found = f"no {group.name.rstrip('/')}/{name}" if link is None else f"{name} is a link"
        raise RecordingError(f"{path}: {found}", expected=_EXPECTED)
    item = group[name]
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        raise RecordingError(f"{path}: {name} does not hold its own data", expected=_EXPECTED)
    return item


def _column(path: Path, item: Any, group: str) -> NDArray[Any]:
    if not isinstance(item, h5py.Dataset) or item.ndim != 1 or item.dtype.kind not in "iufb":
        raise RecordingError(f"{path}: {group}/{item.name} is no column", expected=_EXPECTED)
    return _values(path, item)


def _values(path: Path, item: h5py.Dataset) -> NDArray[Any]:
    require_stored(path, item)
    _require_filters(path, item)
    return np.asarray(item[()])


def _require_filters(path: Path, item: h5py.Dataset) -> None:
    """Make sure that the data can be unpacked; the package that unpacks them loads itself."""
    listed = item.id.get_create_plist()
    codes = [listed.get_filter(k)[0] for k in range(listed.get_nfilters())]
    missing = [code for code in codes if not h5py.h5z.filter_avail(code)]
    if not missing:
        return
    try:
        importlib.import_module("hdf5plugin")
    except ImportError:
        pass
    else:
        missing = [code for code in missing if not h5py.h5z.filter_avail(code)]
        if not missing:
            return
    name = _FILTERS.get(missing[0], f"filter {missing[0]}")
    if missing[0] in _NO_FILTERS_HERE:
        hint = "Install the vendor's plug-in github.com/prophesee-ai/hdf5_ecf, or export as .raw"
    else:
        hint = "pip install hdf5plugin"
    raise MissingExtra(
        f"{path}: its data are packed with {name}, which this HDF5 cannot read",
        expected="the plug-in for it",
        hint=hint,
    )


def _size(path: Path, file: h5py.File) -> SensorSize | None:
    holders = [file.attrs]
    link = file.get("events", getlink=True) if "events" in file else None
    if isinstance(link, h5py.HardLink):
        holders.append(file["events"].attrs)
    for holder in holders:
        if size := parse_size(_text(holder.get("geometry"))):
            return size
        for wide, high in (("sensor_width", "sensor_height"), ("width", "height")):
            if wide in holder and high in holder:
                sides = [_scalar(holder[wide]), _scalar(holder[high])]
                if None in sides:
                    continue
                try:
                    return SensorSize(*(side for side in sides if side is not None))
                except EventsError as error:
                    raise RecordingError(
                        f"{path}: {error.found}", expected=error.expected
                    ) from error
    return None


def _scalar(value: Any) -> int | None:
    if isinstance(value, h5py.Dataset):
        if value.size != 1 or value.external or value.is_virtual:
            return None
        value = value[()]
    array = np.asarray(value)
    return int(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "iu" else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
