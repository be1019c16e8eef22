"""Augmentations in time and polarity: reversal, flipped polarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from evfer.events import Events, SensorSize
from evfer.transforms.base import check_share

__all__ = ["RandomFlipPolarity", "RandomTimeReversal"]


@dataclass(frozen=True)
class RandomTimeReversal:
    """Play a clip backwards: t becomes t_max - t, and the order turns round.

    Args:
        p: probability.
        invert_polarity: also swap ON and OFF, as brightness then changes the other way; the
            published code does, the paper's words do not say so.

    Source:
        Barchid et al., Spiking-FER, CBMI 2023, section 3.3; deviates: none.
    """

    p: float = 0.2
    invert_polarity: bool = True
    stage: ClassVar[Literal["events"]] = "events"

    def __post_init__(self) -> None:
        check_share("reverse.p", self.p)

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the clip, backwards with probability `p`; its times then start at 0."""
        if rng.random() >= self.p or not len(events):
            return events
        turned = events[::-1].copy()
        turned["t"] = events["t"][-1] - turned["t"]
        if self.invert_polarity:
            turned["p"] = ~turned["p"]
        return turned


@dataclass(frozen=True)
class RandomFlipPolarity:
    """Swap ON and OFF.

    Args:
        p: probability, of each event or of the clip.
        scope: "event" decides for each event apart, as the published code does; "clip" swaps
            all or none, as the paper's words say.

    Source:
        Barchid et al., Spiking-FER, CBMI 2023, section 3.3; deviates: none.
    """

    p: float = 0.2
    scope: Literal["event", "clip"] = "event"
    stage: ClassVar[Literal["events"]] = "events"

    def __post_init__(self) -> None:
        check_share("polflip.p", self.p)

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the clip with polarities swapped."""
        swap = rng.random(len(events) if self.scope == "event" else 1) < self.p
        flipped = events.copy()
        flipped["p"] = events["p"] ^ swap
        return flipped
