"""Augmentation by noise: events that nothing in the scene caused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evfer.events import Columns
from evfer.transforms.base import DrawnTransform, check_amount, check_share
from evfer.transforms.edits import ClipSummary, Insert

__all__ = ["UniformNoise"]


@dataclass(frozen=True)
class UniformNoise(DrawnTransform):
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

    def __post_init__(self) -> None:
        check_share("noise.p", self.p)
        check_amount("noise.severity", self.severity)

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> Insert | None:
        """Add noise to the clip with probability `p`."""
        count = int(self.severity * summary.n)
        if rng.random() >= self.p or not count:
            return None
        # sums of exponential gaps, over their total, are sorted uniform numbers; sorting takes
        # four times as long
        gaps = rng.standard_exponential(count + 1)
        sums = np.cumsum(gaps[:-1])
        span = max(summary.last - summary.first, 1)
        times = summary.first + (sums * (span / (sums[-1] + gaps[-1]))).astype(np.int64)
        x = rng.integers(0, summary.sensor_size.width, count, np.int16)
        y = rng.integers(0, summary.sensor_size.height, count, np.int16)
        # half of all bytes are below 128
        p = np.frombuffer(rng.bytes(count), np.uint8) < 128
        return Insert(Columns(x, y, p, times))
