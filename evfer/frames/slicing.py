"""Cut a clip into steps: index ranges, since its events are sorted by time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.frames.params import FramesParams

__all__ = ["step_bounds", "step_edges", "time_edges", "used_fraction"]


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
    if params.kind == "voxel_grid":
        return np.array([[0, len(times)]], np.int64)
    ends = (int(times[0]), int(times[-1])) if len(times) else (0, 0)
    by_rank, edges = step_edges(len(times), *ends, params)
    if not by_rank:
        # of the times' own type, or searchsorted would convert every time first
        kind = times.dtype if edges[-1] <= np.iinfo(times.dtype).max else np.dtype(np.int64)
        edges = np.searchsorted(times, edges.astype(kind)).astype(np.int64)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def step_edges(
    count: int, first: int, last: int, params: FramesParams
) -> tuple[bool, NDArray[np.int64]]:
    """Tell where steps begin; they follow one another without a gap.

    Args:
        count: number of events.
        first: time of the first, microseconds.
        last: time of the last.
        params: how events become frames; any kind but a voxel grid.

    Returns:
        Whether steps are cut by rank among the events, else by time, and the beginnings of all
        steps with the end of the last, int64, shape (t + 1,); a code's sub-bins count as steps.
    """
    steps = params.n_steps
    if params.by_time:
        parts = params.bits if params.kind == "binary_code" else 1
        return False, np.array(time_edges(count, first, last, steps * parts, params.edge))
    size, skipped = params.event_count, 0
    frames = count // size
    if params.kind == "count":
        steps = frames
    elif params.kind == "count_or_bins" and frames >= steps:
        skipped = (frames - steps) // 2
    else:
        size = count // steps
    return True, (skipped + np.arange(steps + 1, dtype=np.int64)) * size


def time_edges(count: int, first: int, last: int, steps: int, edge: str) -> list[int]:
    """Give the times at which equal durations begin, and the end of the last, microseconds."""
    if not count:
        return [0] * (steps + 1)
    if edge == "tonic":
        length = (last - first) // steps
        return [first + k * length for k in range(steps + 1)]
    # bin k holds floor(T (t - t0) / D) = k, so it starts at the next whole k D / T; integers
    # of Python keep this exact
    duration = last - first + 1
    return [first - (-k * duration) // steps for k in range(steps + 1)]
