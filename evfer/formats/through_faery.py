"""`.es` and `.aedat4`, read and written by the package faery.

Source:
    faery by Marcireau, Pedersen and Lenz (LGPL-3.0), github.com/aestream/faery.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError, MissingExtra, RecordingError
from evfer.events import Events, SensorSize
from evfer.formats.assemble import EventSource, ReadParams, assemble, check_count

__all__ = ["load_faery", "read_through_faery", "size_through_faery", "write_through_faery"]

_PANIC = "PanicException"


def load_faery(what: str) -> Any:
    """Import faery.

    Args:
        what: what it is needed for, for the message.

    Raises:
        MissingExtra: with the line that installs it.
    """
    try:
        return importlib.import_module("faery")
    except ImportError as error:
        raise MissingExtra(
            f"{what} ({error})",
            expected="the package faery",
            hint='pip install "evfer[export]"',
        ) from error


def read_through_faery(path: Path, kind: str, params: ReadParams) -> EventSource:
    """Read a file's first stream of events.

    Args:
        path: the file.
        kind: "es" or "aedat", whatever the file is called.
        params: what the user says.

    Raises:
        MissingExtra: if faery is not installed.
        RecordingError: if faery cannot read it.
    """
    faery = load_faery(f"{path}: reading it")
    parts: list[NDArray[Any]] = []
    count = 0
    with _told(path):
        stream = faery.events_stream_from_file(path, file_type=kind)
        size = SensorSize(*stream.dimensions())
        for part in stream:
            count += len(part)
            check_count(path, count)
            parts.append(part.copy())
    columns: dict[str, NDArray[Any]] = {
        name: np.concatenate([part[field] for part in parts]) if parts else np.zeros(0, np.int64)
        for name, field in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on"))
    }
    said = {"format": {"es": "Event Stream", "aedat": "AEDAT 4"}[kind]}
    return assemble(path, columns, size, params, unit="us", remarks=said)


def size_through_faery(path: Path) -> SensorSize | None:
    """Give the size of a `.aedat4` file's first stream of events, without reading it.

    Raises:
        MissingExtra: if faery is not installed.
        RecordingError: if faery cannot read the file.
    """
    faery = load_faery(f"{path}: reading it")
    with _told(path):
        return SensorSize(*faery.events_stream_from_file(path, file_type="aedat").dimensions())


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn whatever faery raises into an error that names the file."""
    try:
        yield
    except (RecordingError, KeyboardInterrupt, SystemExit):
        raise
    except EventsError as error:
        raise RecordingError(f"{path}: {error.found}", expected=error.expected) from error
    except BaseException as error:
        # faery is written in Rust, whose panics are no Exceptions in Python
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        raise RecordingError(
            f"{path}: {' '.join(str(error).split())}", expected="what faery can read and write"
        ) from error


def write_through_faery(path: Path, kind: str, events: Events, size: SensorSize) -> None:
    """Write a `.es` or `.aedat4` file; times stay as they are.

    Raises:
        MissingExtra: if faery is not installed.
        RecordingError: if faery refuses the events.
    """
    faery = load_faery(f"writing {'.es' if kind == 'es' else '.aedat4'} files")
    made = np.zeros(len(events), faery.EVENTS_DTYPE)
    for name, field in (("t", "t"), ("x", "x"), ("y", "y"), ("on", "p")):
        made[name] = events[field]
    stream = faery.events_stream_from_array(made, (size.width, size.height))
    with _told(path):
        stream.to_file(path, file_type=kind, zero_t0=False)
