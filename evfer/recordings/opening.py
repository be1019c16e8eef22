"""Open a recording: what its file says of itself, and whether it can hold what it declares."""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from evfer.errors import EventsError, RecordingError, UnreadableError
from evfer.events import (
    MAX_EVENTS,
    SensorSize,
)

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "events_table",
    "open_file",
    "plain_value",
    "read_attributes",
    "require_count",
    "require_readable",
    "require_stored",
    "stored_size",
    "unreadable",
]

FORMAT = "evfer-events"
FORMAT_VERSION = 1
_OF_THE_SYSTEM = {
    errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOLCK, errno.ENOMEM,
    errno.ENOSPC, getattr(errno, "ESTALE", errno.EIO), errno.ETIMEDOUT,
}  # fmt: skip
"""What says nothing of a file's contents."""


def open_file(path: Path) -> h5py.File:
    """Open a recording to read it, without asking the disk for a lock."""
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


def read_attributes(
    file: h5py.File, path: Path, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Give what a file says of itself, all of it or some names."""
    found, stored = {}, file.attrs  # h5py makes them anew each time it is asked
    for name in stored if names is None else names:
        with contextlib.suppress(KeyError):
            found[name] = plain_value(stored[name])
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


def plain_value(value: Any) -> Any:
    """Give an attribute as a Python value."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value


def events_table(file: h5py.File, path: Path) -> h5py.Dataset:
    """Give a recording's table of events, which must lie in the file itself."""
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
        raise unreadable(path, error) from error
    if not whole:
        raise RecordingError(
            f"{path}: {table.name} declares {rows:,} rows, more than the file holds",
            expected="an undamaged recording",
            hint="Delete the file and convert again",
        )


def require_count(attributes: Mapping[str, Any], table: h5py.Dataset, path: Path) -> None:
    """Refuse a table of another number of events than its file says."""
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


def unreadable(path: Path, error: Exception) -> RecordingError:
    """Give the error of a recording whose events cannot be read."""
    require_readable(path, error)
    return RecordingError(
        f"{path}: its events cannot be read ({error})",
        expected="an undamaged recording",
        hint="Delete the file and convert again",
    )


def stored_size(attributes: Mapping[str, Any], given: SensorSize | None, path: Path) -> SensorSize:
    """Give the sensor's size that a file names, or the one that the caller gives."""
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
            hint="Give it: --sensor 346x260, or sensor_size=SensorSize(346, 260)",
        )
    return given
