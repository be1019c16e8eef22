"""Cut a clip into steps: index ranges, since its events are sorted by time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.frames.params import FramesParams

__all__ = ["step_bounds", "used_fraction"]

_BY_TIME = ("time_bins", "time_surface", "decay", "binary_code")


def used_fraction(times: NDArray[Any], params: FramesParams) -> float:
    """Give the share of a clip's events that reach a frame; 1 for a clip without events.

    Args:
        times: sorted times in microseconds, shape (n,).
        params: how events become frames.
    """
    if not len(times):
        return 1.0
    bounds = step_bounds(times, params)
    return float((bounds[:, 1] - bounds[:, 0]).sum() / len(times))


def step_bounds(times: NDArray[Any], params: FramesParams) -> NDArray[np.int64]:
    """Cut a clip into steps.

    Args:
        times: sorted times in microseconds, shape (n,).
        params: how events become frames.

    Returns:
        For each step the index of its first event and of the first event after it, int64,
        shape (t, 2). A voxel grid has one such range, which all its steps share.
    """
    n, steps = len(times), params.n_steps
    if params.kind == "voxel_grid":
        return np.array([[0, n]], np.int64)
    if params.kind in _BY_TIME:
        parts = params.bits if params.kind == "binary_code" else 1
        return _ranges(times, time_edges(times, steps * parts, params.edge))
    count, first = params.event_count, 0
    frames = n // count
    if params.kind == "count":
        steps = frames
    elif params.kind == "count_or_bins" and frames >= steps:
        first = (frames - steps) // 2
    else:
        count = n // steps
    starts = (first + np.arange(steps, dtype=np.int64)) * count
    return np.stack([starts, starts + count], axis=1)


def time_edges(times: NDArray[Any], steps: int, edge: str) -> list[int]:
    """Give the times at which equal durations begin, and the end of the last, microseconds."""
    if not len(times):
        return [0] * (steps + 1)
    first, last = int(times[0]), int(times[-1])
    if edge == "tonic":
        length = (last - first) // steps
        return [first + k * length for k in range(steps + 1)]
    # bin k holds floor(T (t - t0) / D) = k, so it starts at the next whole k D / T; integers
    # of Python keep this exact
    duration = last - first + 1
    return [first - (-k * duration) // steps for k in range(steps + 1)]


def _ranges(times: NDArray[Any], edges: list[int]) -> NDArray[np.int64]:
    if not len(times):
        return np.zeros((len(edges) - 1, 2), np.int64)
    # of the times' own type, or searchsorted would convert every time first
    kind = times.dtype if edges[-1] <= np.iinfo(times.dtype).max else np.dtype(np.int64)
    found = np.searchsorted(times, np.array(edges, kind)).astype(np.int64)
    return np.stack([found[:-1], found[1:]], axis=1)
