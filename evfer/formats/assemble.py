"""What every reader gives, and what it may be told: one form for all event files.

A reader finds columns in a file; `assemble` turns them into events. So all formats share one
rule for times, order, polarity and borders, and one wording of what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError, EventsError, RecordingError
from evfer.events import EVENT_DTYPE, MAX_EVENTS, MAX_TIME_US, Events, SensorSize, validate

__all__ = [
    "EventSource",
    "ReadParams",
    "Start",
    "TimeUnit",
    "assemble",
    "check_count",
    "parse_size",
]

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
Start = Literal["auto", "first", "file"]

_PER_US = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
_COLUMNS = ("t", "x", "y", "p")


@dataclass(frozen=True)
class EventSource:
    """Events of one clip as a camera or another tool wrote them.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor they lie on.
        duration_us: the clip's length in microseconds, one more than the last event's time
            where the file does not say it.
        remarks: what was found or chosen on reading, such as the format or a shift of times.
    """

    events: Events
    sensor_size: SensorSize
    duration_us: int
    remarks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadParams:
    """What a file may not say about itself.

    Args:
        sensor: the sensor's size as `346x260`; needed where the file does not name it.
        crop: the part to keep as `left,top,width,height` in pixels; nothing keeps all.
        columns: order of the columns of a table without names, such as `txyp`.
        time_unit: unit of the times; "auto" takes what the format or the file says, and
            microseconds for whole numbers.
        start: what becomes time 0. "first": the first event. "file": the file's own zero, so
            that its times stay as they are. "auto": the file's own zero where its format counts
            from the clip's beginning (evfer, v2e, DSEC), or else the first event.

    Raises:
        ConfigError: for a value that cannot be used.
    """

    sensor: str = ""
    crop: str = ""
    columns: str = ""
    time_unit: TimeUnit = "auto"
    start: Start = "auto"

    def __post_init__(self) -> None:
        self.size  # noqa: B018 (the properties check the texts)
        self.box  # noqa: B018
        if self.columns and sorted(self.order) != sorted(_COLUMNS):
            raise ConfigError(
                f'columns "{self.columns}"', expected="each of t, x, y, p once, such as txyp"
            )

    @property
    def size(self) -> SensorSize | None:
        """The sensor's size, if it was given."""
        if not self.sensor:
            return None
        size = parse_size(self.sensor)
        if size is None:
            raise ConfigError(
                f'sensor "{self.sensor}"', expected="width x height in pixels, such as 346x260"
            )
        return size

    @property
    def order(self) -> tuple[str, ...]:
        """The columns' order, if it was given."""
        return tuple(re.sub(r"[\s,;]", "", self.columns.casefold()))

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """The crop as left, top, width and height, if it was given."""
        if not self.crop:
            return None
        found = re.fullmatch(r"\s*(\d{1,5})\s*,\s*(\d{1,5})\s*,\s*(\d{1,5})\s*,\s*(\d{1,5})\s*",
                             self.crop)  # fmt: skip
        if not found or 0 in (int(found[3]), int(found[4])):
            raise ConfigError(
                f'crop "{self.crop}"', expected="left,top,width,height in pixels, as 70,30,200,200"
            )
        return (int(found[1]), int(found[2]), int(found[3]), int(found[4]))


def parse_size(text: str) -> SensorSize | None:
    """Read a size such as `1280x720` or `1280,720`, or give None if it is none."""
    found = re.fullmatch(r"\s*(\d{1,5})\s*[xX,]\s*(\d{1,5})\s*", text)
    try:
        return SensorSize(int(found[1]), int(found[2])) if found else None
    except EventsError:
        return None


def check_count(path: Path, count: int) -> None:
    """Refuse a number of events that no clip has, before memory is asked for."""
    if not 0 <= count <= MAX_EVENTS:
        raise RecordingError(
            f"{path}: it claims to hold {count:,} events", expected=f"at most {MAX_EVENTS:,}"
        )


def assemble(
    path: Path,
    columns: Mapping[str, NDArray[Any]],
    size: SensorSize | None,
    params: ReadParams,
    *,
    unit: str = "",
    begins: bool = False,
    duration_us: int | None = None,
    remarks: Mapping[str, str] | None = None,
) -> EventSource:
    """Make events of a file's columns.

    Times become whole microseconds from the clip's beginning, sorted; events of one time keep
    their order. What had to be changed is said in the remarks.

    Args:
        path: the file, for messages.
        columns: t, x, y and p, each of shape (n,), numbers of any type; p may be 0 and 1, -1
            and 1, or truth values.
        size: the sensor's size as the file says it, or None.
        params: what the user says.
        unit: unit of the times as the format or file says it; empty if neither does.
        begins: whether the format counts from the clip's beginning.
        duration_us: the clip's length, if the file says it.
        remarks: what the reader has to say.

    Raises:
        RecordingError: naming the file and the first event that is wrong.
    """
    count = len(columns["t"])
    check_count(path, count)
    for name in _COLUMNS:
        if columns[name].shape != (count,):
            raise RecordingError(
                f"{path}: {name} of shape {columns[name].shape}", expected=f"{count} values, as t"
            )
    size = _agreed(path, size, params.size)
    said = dict(remarks or {})
    events: Events = np.empty(count, EVENT_DTYPE)
    for name, limit in (("x", size.width), ("y", size.height)):
        events[name] = _coordinate(path, name, columns[name], limit)
    events["p"] = _polarity(path, columns["p"], said)
    times = _microseconds(path, columns["t"], unit, params.time_unit)
    steps = np.diff(times)
    if (steps < 0).any():
        said["unsorted"] = f"{int((steps < 0).sum())} events stood after later ones; sorted"
        order = np.argsort(times, kind="stable")
        times, events = times[order], events[order]
    offset = _offset(times, begins, params.start)
    if offset:
        said["time_offset_us"] = str(offset)
        times = times - offset
        duration_us = None if duration_us is None else duration_us - offset
    if count and (times[0] < 0 or times[-1] > MAX_TIME_US):
        raise RecordingError(
            f"{path}: times from {times[0]} to {times[-1]} us",
            expected=f"0 to {MAX_TIME_US} us, about 71 minutes",
            hint="Is the unit right? Name it with dataset.time_unit, or cut the file",
        )
    events["t"] = times
    if params.box:
        events, size = _cropped(path, events, size, params.box)
        said["crop"] = ",".join(map(str, params.box))
    validate(events, size)
    last = int(times[-1]) if count else -1
    if duration_us is None or duration_us < max(last, 0):
        duration_us = last + 1
    return EventSource(events, size, duration_us, said)


def _agreed(path: Path, stored: SensorSize | None, given: SensorSize | None) -> SensorSize:
    if stored is None and given is None:
        raise RecordingError(
            f"{path}: the file does not name its sensor's size",
            expected="a size from the file or from you; it is never guessed from the events",
            hint="Give it: --sensor 346x260, or for a data set --set dataset.sensor=346x260",
        )
    if stored and given and stored != given:
        raise RecordingError(
            f"{path}: a sensor of {stored.width} x {stored.height}",
            expected=f"{given.width} x {given.height}, as asked for",
            hint="Leave the size away where the files name it",
        )
    found = stored or given
    assert found is not None
    return found


def _first(path: Path, wrong: NDArray[np.bool_], what: str, expected: str, hint: str = "") -> None:
    place = np.flatnonzero(wrong)
    if place.size:
        raise RecordingError(f"{path}: event {place[0]} {what}", expected=expected, hint=hint)


def _whole(path: Path, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Give numbers that stand for whole ones as such."""
    kind = values.dtype.kind
    if kind in "iub":
        return values
    if kind != "f":
        raise RecordingError(f"{path}: {name} of type {values.dtype}", expected="numbers")
    with np.errstate(invalid="ignore"):
        wrong = ~np.isfinite(values) | (values != np.rint(values)) | (np.abs(values) >= 2**53)
    if wrong.any():
        value = values[np.flatnonzero(wrong)[0]]
        _first(path, wrong, f"has {name} = {value}", "whole numbers")
    return values.astype(np.int64)


def _coordinate(path: Path, name: str, values: NDArray[Any], limit: int) -> NDArray[Any]:
    values = _whole(path, name, values)
    wrong = (values < 0) | (values >= limit)
    if wrong.any():
        _first(
            path,
            wrong,
            f"has {name} = {values[np.flatnonzero(wrong)[0]]}",
            f"0 to {limit - 1}",
            "Is the sensor's size right, and the order of the columns?",
        )
    return values.astype(np.int16)


def _polarity(path: Path, values: NDArray[Any], said: dict[str, str]) -> NDArray[np.bool_]:
    if values.dtype.kind == "b":
        return values.astype(np.bool_)
    values = _whole(path, "p", values)
    negative = values == -1
    wrong = ~(negative | (values == 0) | (values == 1))
    if wrong.any():
        value = values[np.flatnonzero(wrong)[0]]
        _first(path, wrong, f"has polarity {value}", "0 and 1, or -1 and 1")
    if negative.any():
        said["polarity"] = "-1 and 1"
        if (values == 0).any():
            _first(path, values == 0, "has polarity 0 among -1 and 1", "0 and 1, or -1 and 1")
    return np.asarray(values == 1)


def _microseconds(
    path: Path, values: NDArray[Any], unit: str, given: TimeUnit
) -> NDArray[np.int64]:
    kind = values.dtype.kind
    if kind not in "iuf":
        raise RecordingError(f"{path}: times of type {values.dtype}", expected="numbers")
    if given != "auto":
        unit = given
    if not unit:
        if kind == "f":
            raise RecordingError(
                f"{path}: times as {values.dtype}, of an unknown unit",
                expected="whole microseconds, or a unit",
                hint="Name it with --set dataset.time_unit=s",
            )
        unit = "us"
    times, per = _PER_US[unit]
    if kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            exact = values.astype(np.float64) * times / per
            wrong = ~(np.abs(exact) < 2**62)
        if wrong.any():
            _first(path, wrong, f"has t = {values[np.flatnonzero(wrong)[0]]}", "finite times")
        return np.rint(exact).astype(np.int64)
    limit = 2**62 // times
    wrong = values > limit if kind == "u" else (values > limit) | (values < -limit)
    if wrong.any():
        _first(path, wrong, f"has t = {values[np.flatnonzero(wrong)[0]]}", f"at most {limit}")
    whole = values.astype(np.int64) * times
    return whole if per == 1 else (whole + per // 2) // per


def _offset(times: NDArray[np.int64], begins: bool, start: Start) -> int:
    """Give the time that becomes 0."""
    if not times.size or start == "file":
        return 0
    first = int(times[0])
    # a negative time cannot be stored, so its file has no usable zero of its own
    return first if start == "first" or not begins or first < 0 else 0


def _cropped(
    path: Path, events: Events, size: SensorSize, box: tuple[int, int, int, int]
) -> tuple[Events, SensorSize]:
    left, top, width, height = box
    if left + width > size.width or top + height > size.height:
        raise RecordingError(
            f"{path}: a crop of {width} x {height} at {left}, {top}",
            expected=f"a part of the sensor of {size.width} x {size.height}",
        )
    x, y = events["x"], events["y"]
    inside = (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    kept = events[inside]
    kept["x"] -= left
    kept["y"] -= top
    return kept, SensorSize(width, height)
