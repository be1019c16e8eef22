"""When a made frame is taken and which time it carries: exactly, or as v2e has it."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactTimeline", "Timeline", "V2eTimeline"]

Times = NDArray[np.float64]

_FINEST_S = 1e-6  # frames nearer than a recording can tell apart are not made
_EVEN_S = 1e-9  # times this near to even ones are even


class Timeline(Protocol):
    """Lays out the frames of a pair.

    `keeps_frames` says whether a pair's first frame comes before those made; `least_factor` is
    the fewest steps that a pair may have.
    """

    keeps_frames: bool
    least_factor: int

    def lay(self, pair: int, factor: int, origin: int) -> tuple[Times, Times]:
        """Lay out one pair.

        Args:
            pair: number of its first frame.
            factor: steps from its first frame to its second.
            origin: number of the frame from which the steps are counted, `pair` or before.

        Returns:
            Where the made frames are taken, 0 at the pair's first frame and 1 at its second;
            and the times of all its frames, seconds.
        """
        ...


class ExactTimeline:
    """Given frames at their own times, those made at even steps between.

    Args:
        times_s: times of the given frames, seconds, shape (n,).
    """

    keeps_frames = True
    least_factor = 1

    def __init__(self, times_s: Times) -> None:
        self._times_s = times_s

    def lay(self, pair: int, factor: int, origin: int) -> tuple[Times, Times]:
        """Lay out one pair; it has fewer steps than `factor` where those would be too short."""
        start, stop = float(self._times_s[pair]), float(self._times_s[pair + 1])
        factor = max(min(factor, math.floor((stop - start) / _FINEST_S)), 1)
        steps = np.arange(factor) / factor
        return steps[1:], start + (stop - start) * steps


class V2eTimeline:
    """Made frames only, taken half a step late, their times stretched over the clip.

    Step j of U after frame i shows the moment i + (j + 0.5) / U but is said to be at i + j / U;
    all these are then stretched so that the last made frame lands on the last given time.

    Args:
        times_s: times of the given frames, seconds, shape (n,), n at least 2.
        factor: steps of the last pair, at least 2.
        origin: number of the frame from which the last pair's steps are counted.

    Source:
        SensorsINI/v2e, `v2ecore/slomo.py` and `v2e.py`; deviates: v2e knows evenly spaced
        frames only. Uneven ones are read off the given times, straight from frame to frame.
    """

    keeps_frames = False
    least_factor = 2

    def __init__(self, times_s: Times, factor: int, origin: int) -> None:
        self._times_s = times_s
        self._last = len(times_s) - 1
        even = np.linspace(times_s[0], times_s[-1], len(times_s))
        self._even = bool(np.abs(times_s - even).max() < _EVEN_S)
        self._end = float(_count(self._last - 1, factor, origin)[-1])

    def lay(self, pair: int, factor: int, origin: int) -> tuple[Times, Times]:
        """Lay out one pair."""
        return (np.arange(factor) + 0.5) / factor, self._stretch(_count(pair, factor, origin))

    def _stretch(self, counted: Times) -> Times:
        times_s = self._times_s
        if self._even:  # in v2e's own order, and so equal to the last bit
            start_s, stop_s = float(times_s[0]), float(times_s[-1])
            return start_s + (stop_s - start_s) / self._end * counted
        place = counted * (self._last / self._end)
        before = np.minimum(place.astype(np.int64), self._last - 1)
        start, stop = times_s[before], times_s[before + 1]
        # rounding must not carry a time beyond that of the next frame
        read: Times = np.minimum(start + (stop - start) * (place - before), stop)
        return read


def _count(pair: int, factor: int, origin: int) -> Times:
    # v2e counts the steps of a batch of pairs from its first frame; this rounds as it does
    steps = (pair - origin) * factor + np.arange(factor, dtype=np.float64)
    return origin + steps * (1 / factor)
