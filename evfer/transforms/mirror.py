"""Augmentation by symmetry: one half of the face stands for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from evfer.events import Events, SensorSize
from evfer.transforms.base import check_share

__all__ = ["RandomMirror", "RandomMirrorEvents"]


@dataclass(frozen=True)
class RandomMirror:
    """Copy one half of the frames, flipped, onto the other half; either side is as likely.

    Args:
        p: probability.

    Source:
        Barchid et al., Spiking-FER, CBMI 2023, section 3.3; deviates: none.
    """

    p: float = 0.5
    stage: ClassVar[Literal["frames"]] = "frames"

    def __post_init__(self) -> None:
        check_share("mirror.p", self.p)

    def draw(self, rng: np.random.Generator) -> Literal["left", "right"] | None:
        """Give the half that stands for both, or None where nothing is to change."""
        if rng.random() >= self.p:
            return None
        return "left" if rng.random() < 0.5 else "right"

    def __call__(self, frames: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Give the frames, made symmetric with probability `p`."""
        side = self.draw(rng)
        if side is None:
            return frames
        width = frames.shape[-1]
        half = width // 2  # the middle column of an odd width stays
        result = frames.copy()
        if side == "left":
            result[..., width - half :] = frames[..., :half][..., ::-1]
        else:
            result[..., :half] = frames[..., width - half :][..., ::-1]
        return result


@dataclass(frozen=True)
class RandomMirrorEvents:
    """Copy the events of one side of the face, flipped, onto the other side.

    Args:
        p: probability.
        midline: column about which to mirror, pixels; the sensor's middle by default. Events on
            it stay as they are; copies that fall off the sensor are left out.
    """

    p: float = 0.5
    midline: float | None = None
    stage: ClassVar[Literal["events"]] = "events"

    def __post_init__(self) -> None:
        check_share("mirror_events.p", self.p)

    def draw(self, rng: np.random.Generator) -> Literal[-1, 1] | None:
        """Give the side that stands for both, 1 the right and -1 the left one, or None."""
        if rng.random() >= self.p:
            return None
        return 1 if rng.random() < 0.5 else -1

    def twice_midline(self, sensor_size: SensorSize) -> int:
        """Give a column and its mirrored one added up, pixels."""
        middle = (sensor_size.width - 1) / 2 if self.midline is None else self.midline
        return round(2 * middle)  # a mirrored column is a whole number

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the events, made symmetric with probability `p`."""
        side = self.draw(rng)
        return events if side is None else self.mirrored(events, sensor_size, side)

    def mirrored(self, events: Events, sensor_size: SensorSize, side: Literal[-1, 1]) -> Events:
        """Give the events of one side, each followed by its copy on the other."""
        twice = self.twice_midline(sensor_size)
        distance = side * (2 * events["x"].astype(np.int64) - twice)
        kept = events[distance >= 0]
        # each kept event and its copy, side by side, so that time keeps its order
        pairs = np.repeat(kept, 2)
        pairs["x"][1::2] = np.clip(twice - kept["x"].astype(np.int64), -1, sensor_size.width)
        stays = (pairs["x"] >= 0) & (pairs["x"] < sensor_size.width)
        stays[1::2] &= distance[distance >= 0] > 0
        return pairs[stays]
