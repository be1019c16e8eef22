"""Frames in, more frames out, laid on a timeline."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evfer.errors import EventsError
from evfer.interpolation.methods import open_interpolator
from evfer.interpolation.pairs import Frame, Interpolator, Pairs
from evfer.interpolation.params import InterpolationParams, Method
from evfer.interpolation.timeline import ExactTimeline, Timeline, V2eTimeline

__all__ = ["interpolate", "interpolate_pairs"]

Times = NDArray[np.float64]


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
        method: "none", "linear", "flow" or "superslomo"; see `InterpolationParams`.
        factor: steps between frames, or "auto".
        params: all settings at once, in place of `method` and `factor`.

    Returns:
        Frames, shape (m, h, w), uint8, and their times, seconds, shape (m,). The given frames
        are among them, unchanged and at their own times; step j of U between the times a and b
        is at a + (b - a) j / U. Made frames are rounded half up to whole grey levels. With
        `params.times` "v2e" the times are v2e's and no given frame is among the frames, unless
        there is one frame alone; see `V2eTimeline`.

    Raises:
        ConfigError: for settings that cannot be used.
        MissingExtra: if "superslomo" has no weights.
        DataError: if the given weights are no such thing.
        EventsError: for frames or times that break these rules, naming the frame.

    Source:
        SensorsINI/v2e upsamples with Super SloMo; deviates: v2e gives no original frame, takes
        its pictures half a step late and stretches their times.

    Examples:
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
        frames: as `interpolate` takes them; walked through once, some frames ahead. Times
            "v2e" with an automatic factor depend on the last pair, so that they are walked
            through twice, and held in memory if that cannot be done.
        times_s: time of each frame, seconds, shape (n,); must not go back.
        params: how.

    Yields:
        For each frame but the last, that frame and those made after it, shape (u, h, w), uint8,
        with their times, seconds, shape (u,); then the last frame alone. With times "v2e" the
        made frames of each pair.

    Raises:
        MissingExtra: if "superslomo" has no weights.
        DataError: if the given weights are no such thing.
        EventsError: for frames or times that break these rules, naming the frame; frames are
            checked as they come.
    """
    times = _check_times(times_s)
    if params.method == "none" or len(times) == 1:
        return _keep(frames, times)
    return _walk(frames, times, params, open_interpolator(params, len(times)))


def _keep(frames: Iterable[Frame], times: Times) -> Iterator[tuple[Frame, Times]]:
    for k, frame in enumerate(_check_frames(frames, len(times))):
        yield frame[np.newaxis], times[k : k + 1]


def _walk(
    frames: Iterable[Frame], times: Times, params: InterpolationParams, way: Interpolator
) -> Iterator[tuple[Frame, Times]]:
    if params.times == "v2e" and params.factor == "auto" and iter(frames) is frames:
        frames = list(frames)
    timeline = _open_timeline(frames, times, params, way)
    group: list[Frame] = []
    pair = 0
    for group in _groups(_check_frames(frames, len(times)), way.n_pairs):
        studied = way.study(group)
        laid = [
            timeline.lay(k, factor, pair if way.shares_factor else k)
            for k, factor in enumerate(_factors(params, timeline, studied, len(group) - 1), pair)
        ]
        made = studied.make([places for places, _ in laid])
        for given, pictures, (_, when) in zip(group, made, laid, strict=False):
            if timeline.keeps_frames:
                pictures = np.concatenate([given[np.newaxis], pictures])
            yield pictures, when
        pair += len(laid)
    if timeline.keeps_frames:
        yield group[-1][np.newaxis], times[-1:]


def _open_timeline(
    frames: Iterable[Frame], times: Times, params: InterpolationParams, way: Interpolator
) -> Timeline:
    if params.times == "exact":
        return ExactTimeline(times)
    last = len(times) - 2
    group_start = last // way.n_pairs * way.n_pairs
    if params.factor == "auto":
        # v2e's stretch depends on the last pair's factor, and so on the last group
        group = deque(_check_frames(frames, len(times)), maxlen=last - group_start + 2)
        factor = max(way.study(list(group)).choose_factors()[-1], V2eTimeline.least_factor)
    else:
        factor = params.factor
    return V2eTimeline(times, factor, group_start if way.shares_factor else last)


def _factors(
    params: InterpolationParams, timeline: Timeline, studied: Pairs, n_pairs: int
) -> list[int]:
    if params.factor != "auto":
        return [params.factor] * n_pairs
    return [max(factor, timeline.least_factor) for factor in studied.choose_factors()]


def _groups(frames: Iterator[Frame], n_pairs: int) -> Iterator[list[Frame]]:
    """Gather successive frames; the last of a group is the first of the next."""
    group: list[Frame] = []
    for frame in frames:
        group.append(frame)
        if len(group) > n_pairs:
            yield group
            group = [frame]
    if len(group) > 1:
        yield group


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
