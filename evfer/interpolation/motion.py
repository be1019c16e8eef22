"""Pictures between frames along their optical flow, or faded where only its length counts."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from evfer.interpolation.blend import add_border, blend_along
from evfer.interpolation.flow import Flow, FlowEstimator, Slopes, fastest_motion, find_slopes
from evfer.interpolation.pairs import Frame, Pairs, Places
from evfer.interpolation.params import InterpolationParams

__all__ = ["FlowInterpolator", "StepChooser"]

_STEP = 0.5  # pixels; finer steps bring events no nearer to those of a fast camera


class StepChooser:
    """Chooses how many steps a pair's motion asks for: half a pixel a step at the most.

    Args:
        most: the most steps that may be chosen.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._last: tuple[Frame, Slopes] | None = None

    def choose(self, first: Frame, second: Frame, flows: tuple[Flow, Flow]) -> int:
        """Give the steps from a frame to the next; 1 where nothing moves that shows.

        Args:
            first: shape (h, w).
            second: likewise.
            flows: forward and backward flow, pixels, each of shape (h, w, 2).
        """
        motion = fastest_motion(flows, (self._slopes(first), self._slopes(second)))
        return min(max(math.ceil(motion / _STEP), 1), self._most)

    def _slopes(self, frame: Frame) -> Slopes:
        # the second frame of a pair is the first of the next
        if self._last is None or self._last[0] is not frame:
            self._last = frame, find_slopes(frame)
        return self._last[1]


class FlowInterpolator:
    """The methods "flow" and "linear"; both choose their steps by the flow."""

    n_pairs = 1
    shares_factor = False

    def __init__(self, params: InterpolationParams) -> None:
        self._estimator = FlowEstimator()
        self._chooser = StepChooser(params.max_factor)
        self._kind = _FadedPair if params.method == "linear" else _MovedPair

    def study(self, frames: Sequence[Frame]) -> Pairs:
        """Look at two frames."""
        first, second = frames
        return self._kind(self._estimator, self._chooser, first, second)


class _MovedPair:
    """A pair whose picture moves; its flow is estimated when first needed."""

    def __init__(
        self, estimator: FlowEstimator, chooser: StepChooser, first: Frame, second: Frame
    ) -> None:
        self._estimator = estimator
        self._chooser = chooser
        self._first = first
        self._second = second

    @functools.cached_property
    def _flows(self) -> tuple[Flow, Flow]:
        return self._estimator.both_ways(self._first, self._second)

    def choose_factors(self) -> list[int]:
        return [self._chooser.choose(self._first, self._second, self._flows)]

    def make(self, places: Sequence[Places]) -> list[Frame]:
        (own,) = places
        made = np.empty((len(own), *self._first.shape), np.uint8)
        if len(own):
            before, after = add_border(self._first), add_border(self._second)
            for when, out in zip(own, made, strict=True):
                blend_along(before, after, *self._flows, np.float32(when), out)
        return [made]


class _FadedPair(_MovedPair):
    """A pair of which one picture fades into the other."""

    def make(self, places: Sequence[Places]) -> list[Frame]:
        weights = places[0].astype(np.float32)[:, np.newaxis, np.newaxis]
        value = (1 - weights) * self._first + weights * self._second
        return [np.floor(value + np.float32(0.5)).astype(np.uint8)]
