"""Augmentation by noise: events that nothing in the scene caused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from evfer.events import EVENT_DTYPE, Events, SensorSize
from evfer.transforms.base import check_amount, check_share

__all__ = ["UniformNoise"]


@dataclass(frozen=True)
class UniformNoise:
    """Add events anywhere on the sensor and at any time of the clip.

    Args:
        p: probability.
        severity: added events as a share of the clip's; the published levels are 0.005, 0.01,
            0.03, 0.10 and 0.20.

    Source:
        Barchid et al., Spiking-FER, CBMI 2023, section 3.3, and its published code (0.20);
        deviates: events of one instant keep their order, noise coming last.
    """

    p: float = 0.5
    severity: float = 0.2
    stage: ClassVar[Literal["events"]] = "events"

    def __post_init__(self) -> None:
        check_share("noise.p", self.p)
        check_amount("noise.severity", self.severity)

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the clip with noise among its events, sorted by time."""
        count = int(self.severity * len(events))
        if rng.random() >= self.p or not count:
            return events
        first, last = int(events["t"][0]), int(events["t"][-1])
        times = np.sort(rng.integers(first, max(last, first + 1), count))
        # where each noise event lands: after all events of its time, and after earlier noise
        places = np.searchsorted(events["t"], times, side="right") + np.arange(count)
        merged = np.empty(len(events) + count, EVENT_DTYPE)
        is_noise = np.zeros(len(merged), bool)
        is_noise[places] = True
        merged[~is_noise] = events
        noise = np.empty(count, EVENT_DTYPE)
        noise["t"] = times
        noise["x"] = rng.integers(0, sensor_size.width, count)
        noise["y"] = rng.integers(0, sensor_size.height, count)
        noise["p"] = rng.integers(0, 2, count)
        merged[places] = noise
        return merged
