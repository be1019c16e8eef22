"""What an event is: the structured dtypes, the sensor's size, order and checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError

__all__ = [
    "EVENT_DTYPE",
    "MAX_EVENTS",
    "MAX_TIME_US",
    "RAW_DTYPE",
    "Columns",
    "Events",
    "SensorSize",
    "canonical_order",
    "check_column",
    "from_raw",
    "validate",
]

Events = NDArray[np.void]
"""A structured array of `EVENT_DTYPE` (or, from the emulator, `RAW_DTYPE`)."""

EVENT_DTYPE = np.dtype([("x", "<i2"), ("y", "<i2"), ("p", "?"), ("t", "<i8")])
"""Events as data sets give them: column, row, polarity (True is ON), time in microseconds."""

RAW_DTYPE = np.dtype([("t", "<f8"), ("x", "<i2"), ("y", "<i2"), ("p", "i1")])
"""Events as the emulator gives them: time in seconds, column, row, polarity +1 or -1."""

MAX_EVENTS = 200_000_000
"""Events that one file may hold: 2.6 GB in memory. More than that is a damaged size field."""

MAX_TIME_US = 2**32 - 1
"""The last time that a recording can hold, in microseconds (about 71 minutes)."""


class Columns(NamedTuple):
    """Events as columns of one length n, sorted by time.

    x, y and t are whole numbers of any width that holds them, p is bool.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    p: NDArray[np.bool_]
    t: NDArray[Any]

    @staticmethod
    def of(events: Events) -> Columns:
        """View structured events as columns."""
        return Columns(*(events[name] for name in ("x", "y", "p", "t")))

    def events(self) -> Events:
        """Copy into a structured array of `EVENT_DTYPE`."""
        found: Events = np.empty(len(self.t), EVENT_DTYPE)
        for name, column in self._asdict().items():
            found[name] = column
        return found

    def take(self, which: Any) -> Columns:
        """Give the events at some positions."""
        return Columns(*(column[which] for column in self))


@dataclass(frozen=True, order=True)
class SensorSize:
    """Size of a sensor in pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        for side, value in (("width", self.width), ("height", self.height)):
            if not 0 < value < 2**15:
                raise EventsError(f"sensor {side} {value}", expected="1 to 32767 pixels")

    @property
    def tonic(self) -> tuple[int, int, int]:
        """The size as tonic writes it: width, height, polarities."""
        return (self.width, self.height, 2)


def from_raw(raw: Events) -> Events:
    """Round emulator events to whole microseconds.

    Args:
        raw: events of `RAW_DTYPE`, shape (n,), times in seconds from the clip's start.

    Returns:
        The same events in the same order, `EVENT_DTYPE`, shape (n,). Times are rounded half to
        even from float64; v2e truncates float32 instead and so loses microseconds.

    Raises:
        EventsError: if a time is negative or does not fit a recording.
    """
    micros = np.rint(raw["t"] * 1e6)
    if micros.size and (micros.min() < 0 or micros.max() > MAX_TIME_US):
        worst = micros.min() if micros.min() < 0 else micros.max()
        raise EventsError(
            f"an event at {worst / 1e6:.6f} s", expected=f"times from 0 to {MAX_TIME_US} us"
        )
    events: Events = np.empty(raw.shape, EVENT_DTYPE)
    events["x"], events["y"], events["p"], events["t"] = raw["x"], raw["y"], raw["p"] > 0, micros
    return events


def canonical_order(events: Events) -> NDArray[np.intp]:
    """Give the indices that sort events by t, then y, x and p.

    The order in which events of one instant were made carries no meaning, so this order makes
    the same events always the same bytes.

    Args:
        events: structured events with fields t, x, y and p, shape (n,), in any order.

    Returns:
        Indices, shape (n,).
    """
    return np.lexsort((events["p"], events["x"], events["y"], events["t"]))


def validate(events: Any, sensor_size: SensorSize) -> None:
    """Check that events have the right fields, lie on the sensor and are sorted in time.

    Args:
        events: structured events of `EVENT_DTYPE`, shape (n,), or the same as `Columns`; n may
            be 0.
        sensor_size: the sensor that the coordinates belong to.

    Raises:
        EventsError: naming the first event that breaks a rule.
    """
    if not isinstance(events, Columns):
        if not isinstance(events, np.ndarray) or events.dtype != EVENT_DTYPE or events.ndim != 1:
            found = getattr(events, "dtype", type(events).__name__)
            raise EventsError(f"events of {found}", expected=f"one axis of {EVENT_DTYPE}")
        events = Columns.of(events)
    for name, limit in (("x", sensor_size.width), ("y", sensor_size.height)):
        check_column(name, getattr(events, name), limit)
    check_column("t", events.t, MAX_TIME_US + 1)


def check_column(name: str, values: NDArray[Any], limit: int) -> None:
    """Check a column of events.

    Args:
        name: "x", "y" or "t"; times may not go back.
        values: its values, shape (n,); n may be 0.
        limit: what they stay below.

    Raises:
        EventsError: naming the first event that breaks a rule.
    """
    if not values.size:
        return
    if name == "t":
        back = values[1:] < values[:-1]
        if back.any():
            i = int(np.flatnonzero(back)[0]) + 1
            raise EventsError(
                f"event {i} at {values[i]} us stands after one at {values[i - 1]} us",
                expected="times that never go back",
            )
    if values.max() >= limit or (values.dtype.kind != "u" and values.min() < 0):
        i = int(np.flatnonzero((values < 0) | (values >= limit))[0])
        found = f"is at {values[i]} us" if name == "t" else f"has {name} = {values[i]}"
        raise EventsError(f"event {i} {found}", expected=f"0 to {limit - 1}")
