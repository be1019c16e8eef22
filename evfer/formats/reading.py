"""Which format a file has, and its reader."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from evfer import recordings
from evfer.errors import EventsError, RecordingError, UnreadableError
from evfer.events import SensorSize
from evfer.formats.arrays import MAGIC_NPY, npz_size, read_npy, read_npz
from evfer.formats.assemble import EventSource, ReadParams
from evfer.formats.hdf5 import MAGIC_HDF5, read_hdf5, stored_size
from evfer.formats.prophesee import read_dat, read_header, read_raw
from evfer.formats.tables import looks_like_events, read_table
from evfer.formats.through_faery import load_faery, read_through_faery, size_through_faery
from evfer.recordings.opening import require_readable

__all__ = [
    "SUFFIXES",
    "Support",
    "identify",
    "is_event_file",
    "read",
    "read_recording",
    "sensor_size",
    "supported",
]

_BY_SUFFIX = {
    ".npy": "npy", ".npz": "npz", ".h5": "hdf5", ".hdf5": "hdf5", ".hdf": "hdf5",
    ".raw": "raw", ".dat": "dat", ".es": "es", ".aedat4": "aedat4",
    ".csv": "text", ".txt": "text",
}  # fmt: skip
SUFFIXES = frozenset(_BY_SUFFIX)
"""Endings of event files."""

_MAGIC_ES = b"Event Stream"
_MAGIC_AEDAT4 = b"#!AER-DAT4"
_MAGIC_ZIP = b"PK\x03\x04"
_MAGIC_ZIP_EMPTY = b"PK\x05\x06"

_READERS: dict[str, Callable[[Path, ReadParams], EventSource]] = {
    "npy": read_npy,
    "npz": read_npz,
    "hdf5": read_hdf5,
    "raw": read_raw,
    "dat": read_dat,
    "es": lambda path, params: read_through_faery(path, "es", params),
    "aedat4": lambda path, params: read_through_faery(path, "aedat", params),
    "text": read_table,
}
_ABOUT = {
    "npy": (".npy", "structured arrays, or tables with a stated order", ""),
    "npz": (".npz", "columns t, x, y and p", ""),
    "hdf5": (".h5", "DSEC, v2e, evfer, structured tables", ""),
    "raw": (".raw", "Prophesee EVT 2.0, 2.1 and 3.0", ""),
    "dat": (".dat", "Prophesee DAT, version 2", ""),
    "text": (".csv, .txt", "one event a line, columns named", ""),
    "es": (".es", "Event Stream", "faery"),
    "aedat4": (".aedat4", "iniVation AEDAT 4", "faery"),
    "packed": (".h5 with Blosc, Zstandard, ...", "DSEC as published", "hdf5plugin"),
}


@dataclass(frozen=True)
class Support:
    """What can be read here.

    Args:
        suffix: the files' ending.
        about: what is read.
        package: the package that it takes beside evfer's own, if any.
        ready: whether that is installed.
    """

    suffix: str
    about: str
    package: str
    ready: bool


def supported() -> tuple[Support, ...]:
    """List the formats and whether they can be read here; nothing is imported."""
    return tuple(
        Support(suffix, about, package, not package or util.find_spec(package) is not None)
        for suffix, about, package in _ABOUT.values()
    )


def is_event_file(path: Path) -> bool:
    """Tell whether a file should be an event recording, by its name and, for text, first line."""
    kind = _BY_SUFFIX.get(path.suffix.casefold())
    if kind is None or path.name.startswith("."):
        return False
    return kind != "text" or looks_like_events(path)


def identify(path: Path) -> str:
    """Give the format of a file: npy, npz, hdf5, raw, dat, es, aedat4 or text.

    What the file begins with decides; its name, where that says nothing.

    Raises:
        RecordingError: if it is missing, empty, or nothing known; also if its name promises a
            format that its beginning contradicts.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        require_readable(path, error)
        raise RecordingError(f"{path}: {error.strerror or error}", expected="a file") from error
    if not start:
        raise RecordingError(f"{path}: an empty file", expected="an event recording")
    named = _BY_SUFFIX.get(path.suffix.casefold())
    for magic, kind in (
        (MAGIC_NPY, "npy"), (_MAGIC_ZIP, "npz"), (_MAGIC_ZIP_EMPTY, "npz"), (MAGIC_HDF5, "hdf5"),
        (_MAGIC_ES, "es"), (_MAGIC_AEDAT4, "aedat4"),
    ):  # fmt: skip
        if start.startswith(magic):
            return kind
    # Prophesee's files and tables of text begin with lines of their own, so the name decides
    if named in ("raw", "dat", "text"):
        return named
    if start.startswith(b"#!AER-DAT"):
        raise RecordingError(
            f"{path}: AEDAT of an older version",
            expected="AEDAT 4",
            hint="Convert it with the maker's dv-gui or jAER",
        )
    expected = f"an event recording: {', '.join(sorted(SUFFIXES))}"
    if named:
        raise RecordingError(f"{path}: named {path.suffix}, but not one inside", expected=expected)
    raise RecordingError(f"{path}: of no known format", expected=expected)


def read(path: Path, params: ReadParams = ReadParams()) -> EventSource:  # noqa: B008 (frozen)
    """Read a file of events.

    Args:
        path: the file; a recording of evfer is one, too.
        params: what the file may not say about itself.

    Raises:
        RecordingError: if it is no whole file of a known format, or holds what cannot be events;
            the message names the file, and the event.
        MissingExtra: if its format needs a package that is not installed.
    """
    path = Path(path)
    kind = identify(path)
    try:
        return _READERS[kind](path, params)
    except (OSError, MemoryError) as error:
        require_readable(path, error)
        raise RecordingError(
            f"{path}: it cannot be read ({error})", expected="a whole file"
        ) from error


def read_recording(path: Path, sensor_size: SensorSize | None = None) -> recordings.Recording:
    """Read a recording of any format, evfer's own with its attributes.

    Args:
        path: the file.
        sensor_size: needed where the file does not name it.

    Raises:
        RecordingError: as `read`.
        MissingExtra: as `read`.
    """
    path = Path(path)
    if not path.is_file() or (identify(path) == "hdf5" and stored_size(path) is None):
        return recordings.read(path, sensor_size)  # an `/events` table as v2e writes it, or damage
    if recordings.is_recording(path):
        return recordings.read(path, sensor_size)
    sensor = "" if sensor_size is None else f"{sensor_size.width}x{sensor_size.height}"
    source = read(path, ReadParams(sensor=sensor))
    attributes = {"duration_us": source.duration_us, **source.remarks}
    return recordings.Recording(source.events, source.sensor_size, attributes)


def sensor_size(path: Path) -> SensorSize | None:
    """Give the sensor's size that a file names, without reading its events.

    Returns:
        The size; None where the file does not name it, or is damaged.

    Raises:
        MissingExtra: if its events could not be read for want of a package.
    """
    path = Path(path)
    try:
        kind = identify(path)
        if kind == "hdf5":
            return stored_size(path)
        if kind in ("raw", "dat"):
            return read_header(path)
        if kind == "npz":
            return npz_size(path)
        if kind == "es":
            load_faery(f"{path}: reading it")
            return _es_size(path)
        return size_through_faery(path) if kind == "aedat4" else None
    except UnreadableError:
        raise
    except (EventsError, RecordingError, OSError):
        return None


def _es_size(path: Path) -> SensorSize | None:
    with path.open("rb") as file:
        start = file.read(20)
    return SensorSize(*struct.unpack("<HH", start[16:20])) if len(start) == 20 else None
