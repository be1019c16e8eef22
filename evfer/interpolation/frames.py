"""Frames in, more frames out; the frames that came in stay as they are, at their own times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evfer.errors import EventsError
from evfer.interpolation.params import InterpolationParams, Method

if TYPE_CHECKING:
    from evfer.interpolation.flow import Flow, FlowEstimator, Slopes

__all__ = ["interpolate", "interpolate_pairs"]

Frame = NDArray[np.uint8]
Times = NDArray[np.float64]

_STILL = 0.25  # pixels: a frame between would lie an eighth of a pixel from its neighbours
_FINEST_S = 1e-6  # frames nearer than a recording can tell apart are not made


def interpolate(
    frames: Iterable[Frame],
    times_s: ArrayLike,
    method: Method = "flow",
    factor: int | Literal["auto"] = "auto",
    *,
    params: InterpolationParams | None = None,
) -> tuple[Frame, Times]:
    """Put frames between the frames of a clip.

    Args:
        frames: grey, shape (n, h, w), uint8.
        times_s: time of each frame, seconds, shape (n,); must not go back.
        method: "none", "linear" or "flow"; see `InterpolationParams`.
        factor: steps between frames, or "auto".
        params: all settings at once, in place of `method` and `factor`.

    Returns:
        Frames, shape (m, h, w), uint8, and their times, seconds, shape (m,). The given frames
        are among them, unchanged and at their own times; step j of U between the times a and b
        is at a + (b - a) j / U. Made frames are rounded half up to whole grey levels.

    Raises:
        ConfigError: for settings that cannot be used.
        EventsError: for frames or times that break these rules, naming the frame.

    Source:
        SensorsINI/v2e upsamples with Super SloMo; deviates: v2e gives no original frame, takes
        its pictures half a step late and stretches their times.

    Example:
        >>> pictures = np.array([[[0]], [[100]]], np.uint8)
        >>> more, times = interpolate(pictures, [0, 1], method="linear", factor=4)
        >>> more.ravel().tolist(), times.tolist()
        ([0, 25, 50, 75, 100], [0.0, 0.25, 0.5, 0.75, 1.0])
    """
    if params is None:
        params = InterpolationParams(method=method, factor=factor)
    pieces = list(interpolate_pairs(frames, times_s, params))
    return np.concatenate([p for p, _ in pieces]), np.concatenate([t for _, t in pieces])


def interpolate_pairs(
    frames: Iterable[Frame], times_s: ArrayLike, params: InterpolationParams
) -> Iterator[tuple[Frame, Times]]:
    """Put frames between frames, one pair at a time, so that a clip of any length fits.

    Args:
        frames: as `interpolate` takes them; walked through once.
        times_s: time of each frame, seconds, shape (n,); must not go back.
        params: how.

    Yields:
        For each frame but the last, that frame and those made after it, shape (u, h, w), uint8,
        with their times, seconds, shape (u,); then the last frame alone.

    Raises:
        EventsError: for frames or times that break these rules, naming the frame; frames are
            checked as they come.
    """
    times = _check_times(times_s)
    return _walk(_check_frames(frames, len(times)), times, params)


def _walk(
    frames: Iterator[Frame], times: Times, params: InterpolationParams
) -> Iterator[tuple[Frame, Times]]:
    between = _Between(params)
    before = next(frames)
    for k, frame in enumerate(frames):
        start, stop = float(times[k]), float(times[k + 1])
        most = math.floor((stop - start) / _FINEST_S)
        made = between.make(before, frame, most)
        steps = np.arange(len(made) + 1) / (len(made) + 1)
        yield np.stack([before, *made]), start + (stop - start) * steps
        before = frame
    yield before[np.newaxis], times[-1:]


class _Between:
    """Makes the frames between two; holds what the next pair can use again."""

    def __init__(self, params: InterpolationParams) -> None:
        self._params = params
        self._estimator: FlowEstimator | None = None
        self._slopes: Slopes | None = None

    def make(self, first: Frame, second: Frame, most: int) -> list[Frame]:
        """Make frames at even steps from the first to the second, `most` steps at most."""
        method, factor = self._params.method, self._params.factor
        if method == "none" or factor == 1 or most < 2:
            return []
        if method == "linear" and factor != "auto":
            return [_fade(first, second, when) for when in _places(min(factor, most))]
        flows = self._estimate(first, second)
        if factor == "auto":
            factor = self._choose(first, second, flows)
        if method == "linear":
            return [_fade(first, second, when) for when in _places(min(factor, most))]
        return _follow(first, second, flows, _places(min(factor, most)))

    def _estimate(self, first: Frame, second: Frame) -> tuple[Flow, Flow]:
        # OpenCV takes long to load, and reading a recipe needs the settings only
        from evfer.interpolation.flow import FlowEstimator

        if self._estimator is None:
            self._estimator = FlowEstimator()
        return self._estimator.both_ways(first, second)

    def _choose(self, first: Frame, second: Frame, flows: tuple[Flow, Flow]) -> int:
        from evfer.interpolation.flow import fastest_motion, find_slopes

        # the second frame of a pair is the first of the next
        before = find_slopes(first) if self._slopes is None else self._slopes
        self._slopes = find_slopes(second)
        motion = fastest_motion(flows, (before, self._slopes))
        if motion < _STILL:
            return 1
        return min(max(math.ceil(motion), 2), self._params.max_factor)


def _places(factor: int) -> list[float]:
    return [j / factor for j in range(1, factor)]


def _fade(first: Frame, second: Frame, when: float) -> Frame:
    weight = np.float32(when)
    value = (1 - weight) * first + weight * second
    return np.floor(value + np.float32(0.5)).astype(np.uint8)


def _follow(
    first: Frame, second: Frame, flows: tuple[Flow, Flow], places: list[float]
) -> list[Frame]:
    from evfer.interpolation.blend import add_border, blend_along

    if not places:
        return []
    made: list[Frame] = [np.empty_like(first) for _ in places]
    before, after = add_border(first), add_border(second)
    for when, out in zip(places, made, strict=True):
        blend_along(before, after, *flows, np.float32(when), out)
    return made


def _check_times(times_s: ArrayLike) -> Times:
    times = np.asarray(times_s)
    if times.dtype.kind not in "fiu" or times.ndim != 1 or len(times) == 0:
        raise EventsError(
            f"times of shape {times.shape} and dtype {times.dtype}",
            expected="one number of seconds for each frame, at least one",
        )
    times = times.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(times))
    if wrong.size:
        raise EventsError(f"frame {wrong[0]} at {times[wrong[0]]} s", expected="a finite time")
    back = np.flatnonzero(np.diff(times) < 0)
    if back.size:
        k = int(back[0]) + 1
        raise EventsError(
            f"frame {k} at {times[k]} s stands after one at {times[k - 1]} s",
            expected="times that never go back",
        )
    return times


def _check_frames(frames: Iterable[Any], n_frames: int) -> Iterator[Frame]:
    shape = None
    k = 0
    for k, given in enumerate(frames, start=1):
        frame = np.asarray(given)
        if frame.dtype != np.uint8 or frame.ndim != 2 or 0 in frame.shape:
            raise EventsError(
                f"frame {k - 1} of dtype {frame.dtype} and shape {frame.shape}",
                expected="uint8 frames of shape (h, w)",
                hint="Convert colour to grey first" if frame.ndim == 3 else "",
            )
        if shape is not None and frame.shape != shape:
            raise EventsError(f"frame {k - 1} of shape {frame.shape}", expected=f"{shape}")
        if k > n_frames:
            break
        shape = frame.shape
        yield np.ascontiguousarray(frame)
    if k != n_frames:
        more = "more than " if k > n_frames else ""
        raise EventsError(
            f"{more}{min(k, n_frames)} frames but {n_frames} times",
            expected="one time for each frame",
        )
