"""Augmentations in time and polarity: reversal, flipped polarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evfer.transforms.base import DrawnTransform, check_share
from evfer.transforms.edits import ClipSummary, Reverse, SwapPolarity

__all__ = ["RandomFlipPolarity", "RandomTimeReversal"]


@dataclass(frozen=True)
class RandomTimeReversal(DrawnTransform):
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

    def __post_init__(self) -> None:
        check_share("reverse.p", self.p)

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> Reverse | None:
        """Turn the clip round with probability `p`; its times then start at 0."""
        turns = rng.random() < self.p
        return Reverse(self.invert_polarity) if turns and summary.n else None


@dataclass(frozen=True)
class RandomFlipPolarity(DrawnTransform):
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

    def __post_init__(self) -> None:
        check_share("polflip.p", self.p)

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> SwapPolarity | None:
        """Swap each event's polarity, or the clip's, with probability `p`."""
        if self.scope == "clip":
            return SwapPolarity() if rng.random() < self.p else None
        return SwapPolarity(rng.random(summary.n, np.float32) < self.p)
