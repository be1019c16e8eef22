"""Events as text: `.csv` and `.txt`, one event a line.

The first line may name the columns; without it their order must be given. A line
`%geometry:1280,720`, as Metavision writes it, names the sensor.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evfer.errors import RecordingError
from evfer.events import SensorSize
from evfer.formats.assemble import EventSource, ReadParams, assemble, check_count, parse_size
from evfer.formats.column_names import column_name, unit_of_name

__all__ = ["looks_like_events", "read_table"]

_EXPECTED = "lines of t, x, y and p, below a line that names them"
_LINE_BYTES = 4096
_LEAST_LINE = 8
"""Bytes that a line of four numbers takes at least."""


def looks_like_events(path: Path) -> bool:
    """Tell whether a text's first line names the columns of events, without reading more."""
    try:
        with path.open("rb") as file:
            line = file.readline(_LINE_BYTES).decode("utf-8-sig")
            if line.startswith("%geometry"):
                return True
    except (OSError, UnicodeDecodeError):
        return False
    return _names(line) is not None


def read_table(path: Path, params: ReadParams) -> EventSource:
    """Read a table of events; commas, semicolons, tabs or blanks stand between the numbers.

    Raises:
        RecordingError: if a line is not four numbers, or the columns have no names.
    """
    check_count(path, path.stat().st_size // _LEAST_LINE)
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            skipped, size, line = 0, None, file.readline(_LINE_BYTES)
            while line.startswith(("#", "%")) and _names(line) is None:
                size = size or _geometry(line)
                skipped, line = skipped + 1, file.readline(_LINE_BYTES)
        names = _names(line)
        if names is None and not params.columns:
            raise RecordingError(
                f'{path}: its first line, "{line.strip()[:60]}", names no columns',
                expected=_EXPECTED,
                hint="Or give their order with --set dataset.columns=txyp",
            )
        kept = names or list(params.order)
        columns = [column_name(name) for name in kept]
        used = tuple(columns.index(name) for name in ("t", "x", "y", "p"))
        first = skipped + (names is not None)
        try:
            table = _load(path, _cell_types(path, first, used), _delimiter(line), first, used)
        except ValueError:  # whole numbers at first, broken ones later, such as 0 and 0.5 seconds
            broken = np.dtype([(name, "<f8") for name in ("t", "x", "y", "p")])
            table = _load(path, broken, _delimiter(line), first, used)
    except (OSError, UnicodeDecodeError, ValueError, OverflowError, MemoryError) as error:
        raise RecordingError(f"{path}: {error}", expected=_EXPECTED) from error
    return assemble(
        path,
        {name: table[name] for name in ("t", "x", "y", "p")},
        size,
        params,
        unit=unit_of_name(kept[used[0]]) if names else "",
        remarks={"format": "text"},
    )


def _load(
    path: Path,
    kinds: np.dtype[np.void],
    delimiter: str | None,
    skipped: int,
    used: tuple[int, ...],
) -> NDArray[np.void]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a table without events is one, too
        table: NDArray[np.void] = np.loadtxt(
            path,
            dtype=kinds,
            comments=None,
            delimiter=delimiter,
            skiprows=skipped,
            usecols=used,
            ndmin=1,
            encoding="utf-8-sig",
        )
    return table


def _names(line: str) -> list[str] | None:
    names = [name for name in re.split(r"[,;\s]+", line.strip().lstrip("#%")) if name]
    columns = [column_name(name) for name in names]
    return names if all(columns.count(name) == 1 for name in ("t", "x", "y", "p")) else None


def _geometry(line: str) -> SensorSize | None:
    found = re.match(r"%\s*geometry\s*:(.*)", line)
    return parse_size(found[1]) if found else None


def _delimiter(line: str) -> str | None:
    return next((mark for mark in (",", ";") if mark in line), None)


def _cell_types(path: Path, skipped: int, used: tuple[int, ...]) -> np.dtype[np.void]:
    """Choose whole or broken numbers by the first event; whole ones keep every digit."""
    with path.open(encoding="utf-8-sig", newline=None) as file:
        for _ in range(skipped):
            file.readline(_LINE_BYTES)
        line = file.readline(_LINE_BYTES)
    cells = [cell.strip() for cell in line.strip().split(_delimiter(line))]
    first = [cells[k] if k < len(cells) else "" for k in used]
    whole = [re.fullmatch(r"([+-]?\d+)?", cell) is not None for cell in first]
    kinds = ["<i8" if is_whole else "<f8" for is_whole in whole]
    return np.dtype([*zip(("t", "x", "y", "p"), kinds, strict=True)])
