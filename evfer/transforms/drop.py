"""Augmentations that leave events out: at random, for a while, in an area.

Source:
    Gu et al., EventDrop, IJCAI 2021, with the settings of Spiking-FER's published code. Two of
    its ways are kept on purpose, since they shape the published results: an area's ratio is that
    of its sides, and a time span is drawn from 0 on, not from the first event (`origin`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from evfer.errors import ConfigError
from evfer.events import Events, SensorSize
from evfer.transforms.base import check_share

__all__ = ["DropEvent", "DropEventByArea", "DropEventByTime", "EventDrop"]

_NINE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_AREAS = (0.05, 0.1, 0.15, 0.2, 0.25)


def _check_ratios(name: str, ratios: tuple[float, ...]) -> None:
    if not ratios:
        raise ConfigError(f"{name} is empty", expected="one ratio or more")
    check_share(name, *ratios)


@dataclass(frozen=True)
class DropEvent:
    """Leave out a share of the events, chosen at random.

    Args:
        ratios: shares of which one is drawn for each clip.
    """

    ratios: tuple[float, ...] = _NINE
    stage: ClassVar[Literal["events"]] = "events"

    def __post_init__(self) -> None:
        _check_ratios("drop_events.ratios", self.ratios)

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the events that stay, in order."""
        count = min(len(events), int(rng.choice(self.ratios) * len(events) + 0.5))
        stays = np.ones(len(events), bool)
        if count:
            stays[rng.choice(len(events), count, replace=False, shuffle=False)] = False
        return events[stays]


@dataclass(frozen=True)
class DropEventByTime:
    """Leave out all events of a time span.

    Args:
        ratios: lengths of the span, as shares of the clip's; one is drawn for each clip.
        origin: "zero" draws the span between time 0 and the last event, as the published code
            does; "first" between the first and the last event.
    """

    ratios: tuple[float, ...] = _NINE
    origin: Literal["zero", "first"] = "zero"
    stage: ClassVar[Literal["events"]] = "events"

    def __post_init__(self) -> None:
        _check_ratios("drop_time.ratios", self.ratios)

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the events outside the span; both its ends belong to it."""
        if not len(events):
            return events
        begin = int(events["t"][0]) if self.origin == "first" else 0
        end = int(events["t"][-1])
        length = rng.choice(self.ratios) * (end - begin)
        start = rng.uniform(begin, end - length)
        first = np.searchsorted(events["t"], start, side="left")
        after = np.searchsorted(events["t"], start + length, side="right")
        return np.concatenate([events[:first], events[after:]])


@dataclass(frozen=True)
class DropEventByArea:
    """Leave out all events of a rectangle.

    Args:
        ratios: sides of the rectangle, as shares of the sensor's; one is drawn for each clip.
    """

    ratios: tuple[float, ...] = _AREAS
    stage: ClassVar[Literal["events"]] = "events"

    def __post_init__(self) -> None:
        _check_ratios("drop_area.ratios", self.ratios)

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the events outside the rectangle."""
        ratio = float(rng.choice(self.ratios))
        width, height = int(sensor_size.width * ratio), int(sensor_size.height * ratio)
        left = int(rng.integers(0, max(1, sensor_size.width - width)))
        top = int(rng.integers(0, max(1, sensor_size.height - height)))
        x, y = events["x"], events["y"]
        inside = (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
        return events[~inside]


@dataclass(frozen=True)
class EventDrop:
    """Leave events out in one of three ways, or not at all; each with probability 1/4.

    Args:
        time_ratios: see `DropEventByTime.ratios`.
        area_ratios: see `DropEventByArea.ratios`.
        random_ratios: see `DropEvent.ratios`.
        origin: see `DropEventByTime.origin`.
    """

    time_ratios: tuple[float, ...] = _NINE
    area_ratios: tuple[float, ...] = _AREAS
    random_ratios: tuple[float, ...] = _NINE
    origin: Literal["zero", "first"] = "zero"
    stage: ClassVar[Literal["events"]] = "events"

    def __post_init__(self) -> None:
        for name in ("time_ratios", "area_ratios", "random_ratios"):
            _check_ratios(f"eventdrop.{name}", getattr(self, name))

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the events that stay, in order."""
        way = int(rng.integers(4))
        if way == 1:
            return DropEventByTime(self.time_ratios, self.origin)(events, sensor_size, rng)
        if way == 2:
            return DropEventByArea(self.area_ratios)(events, sensor_size, rng)
        if way == 3:
            return DropEvent(self.random_ratios)(events, sensor_size, rng)
        return events
