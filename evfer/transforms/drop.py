"""Augmentations that leave events out: at random, for a while, in an area.

Source:
    Gu et al., EventDrop, IJCAI 2021, with the settings of Spiking-FER's published code. Two of
    its ways are kept on purpose, since they shape the published results: an area's ratio is that
    of its sides, and a time span is drawn from 0 on, not from the first event (`origin`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evfer.errors import ConfigError
from evfer.transforms.base import DrawnTransform, check_share
from evfer.transforms.edits import ClipSummary, Drop, DropBox, DropMask, DropSpan

__all__ = ["DropEvent", "DropEventByArea", "DropEventByTime", "EventDrop"]

_NINE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_AREAS = (0.05, 0.1, 0.15, 0.2, 0.25)


def _check_ratios(name: str, ratios: tuple[float, ...]) -> None:
    if not ratios:
        raise ConfigError(f"{name} is empty", expected="one ratio or more")
    check_share(name, *ratios)


@dataclass(frozen=True)
class DropEvent(DrawnTransform):
    """Leave out a share of the events, chosen at random.

    Args:
        ratios: shares of which one is drawn for each clip.
    """

    ratios: tuple[float, ...] = _NINE

    def __post_init__(self) -> None:
        _check_ratios("drop_events.ratios", self.ratios)

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> DropMask:
        """Choose the events that go."""
        count = min(summary.n, int(rng.choice(self.ratios) * summary.n + 0.5))
        # the fewer are drawn, be it those that go or those that stay: drawing is what takes time
        fewer = min(count, summary.n - count)
        mask = np.full(summary.n, count > fewer)
        if fewer:
            mask[rng.choice(summary.n, fewer, replace=False, shuffle=False)] ^= True
        return DropMask(mask)


@dataclass(frozen=True)
class DropEventByTime(DrawnTransform):
    """Leave out all events of a time span.

    Args:
        ratios: lengths of the span, as shares of the clip's; one is drawn for each clip.
        origin: "zero" draws the span between time 0 and the last event, as the published code
            does; "first" between the first and the last event.
    """

    ratios: tuple[float, ...] = _NINE
    origin: Literal["zero", "first"] = "zero"

    def __post_init__(self) -> None:
        _check_ratios("drop_time.ratios", self.ratios)

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> DropSpan | None:
        """Choose the span; both its ends belong to it."""
        if not summary.n:
            return None
        begin = summary.first if self.origin == "first" else 0
        length = float(rng.choice(self.ratios)) * (summary.last - begin)
        start = rng.uniform(begin, summary.last - length)
        return DropSpan(start, start + length)


@dataclass(frozen=True)
class DropEventByArea(DrawnTransform):
    """Leave out all events of a rectangle.

    Args:
        ratios: sides of the rectangle, as shares of the sensor's; one is drawn for each clip.
    """

    ratios: tuple[float, ...] = _AREAS

    def __post_init__(self) -> None:
        _check_ratios("drop_area.ratios", self.ratios)

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> DropBox:
        """Choose the rectangle."""
        ratio, size = float(rng.choice(self.ratios)), summary.sensor_size
        width, height = int(size.width * ratio), int(size.height * ratio)
        left = int(rng.integers(0, max(1, size.width - width)))
        top = int(rng.integers(0, max(1, size.height - height)))
        return DropBox(left, top, left + width, top + height)


@dataclass(frozen=True)
class EventDrop(DrawnTransform):
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

    def __post_init__(self) -> None:
        for name in ("time_ratios", "area_ratios", "random_ratios"):
            _check_ratios(f"eventdrop.{name}", getattr(self, name))

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> Drop | None:
        """Choose a way, and what it leaves out."""
        way = int(rng.integers(4))
        if way == 1:
            return DropEventByTime(self.time_ratios, self.origin).draw(summary, rng)
        if way == 2:
            return DropEventByArea(self.area_ratios).draw(summary, rng)
        if way == 3:
            return DropEvent(self.random_ratios).draw(summary, rng)
        return None
