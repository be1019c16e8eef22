"""Augment a clip's events and collect them on frames in one walk, without writing them anywhere.

The walk goes over the events in the order they have at the end: the clip's own and the inserted
ones are merged as they come, each is changed, tested against what is dropped, given to its step
and written into the cells that its pixel reaches. Where steps are cut by rank, the walk begins at
the first event that is used and ends with the last. `evfer.transforms.edits` does the same with
NumPy, one change after another; both give the same frames.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError
from evfer.events import Columns, SensorSize
from evfer.frames import FramesParams
from evfer.frames.clip import cell_tables
from evfer.frames.resize import resized
from evfer.frames.slicing import step_edges
from evfer.inputs.fused_kernels import (
    BOX,
    MASK,
    NONE,
    SPAN,
    left_at_end,
    own_before,
    start_near,
    walk_over,
)
from evfer.region import Region
from evfer.transforms.edits import DropBox, DropMask, DropSpan, EditPlan, PointEdits

__all__ = ["fill"]

_NOBODY = np.zeros(0, np.uint8)


def fill(
    frames: NDArray[Any],
    columns: Columns,
    edits: EditPlan,
    sensor_size: SensorSize,
    params: FramesParams,
    region: Region,
) -> None:
    """Fill a clip's frames.

    Args:
        frames: zeros, shape (t, c, h, w), in C order; filled here.
        columns: the clip's events.
        edits: what to change on the way.
        sensor_size: the sensor.
        params: how events become frames; not as real values.
        region: the part of the sensor that fills the frame.

    Raises:
        EventsError: if an event that is used lies off the sensor.
    """
    tables = cell_tables(sensor_size, region, params)
    if tables is None:  # values that have to stand first, or pixels that reach many cells
        own, bare = replace(params, size=None), replace(region, fills=None)
        grid = np.zeros(own.shape(bare), frames.dtype)
        fill(grid, columns, edits, sensor_size, own, bare)
        frames[:] = resized(grid, frames.shape[2], frames.shape[3], params.resize)
        return
    clip = _compiled(columns, edits, sensor_size.width)
    n = len(columns.t) + len(clip[7])
    drop = _drop(edits, n, columns.t)
    count, first, last = left_at_end(clip, n, drop) if n else (0, 0, 0)
    by_rank, edges = step_edges(int(count), int(first), int(last), params)
    begin, left = start_near(edges[0], clip, n, drop) if by_rank and n else (0, 0)
    own = own_before(n - begin if edits.after.sign < 0 else begin, clip)
    cells = (*tables, frames.shape[2] * frames.shape[3], params.binary)
    wrong = walk_over(
        *(frames.reshape(-1), edges, by_rank, cells),
        *(clip, n, drop, sensor_size.height, begin, left, own),
    )
    if wrong >= 0:
        raise EventsError(
            f"event {wrong} of the augmented clip lies off the sensor",
            expected=f"a place on a sensor of {sensor_size.width} x {sensor_size.height}",
        )


def _compiled(columns: Columns, edits: EditPlan, width: int) -> Any:
    """Give a clip as the compiled functions take it."""
    new = edits.insert or Columns(*(column[:0] for column in columns))
    return (
        *(columns.x, columns.y, columns.p.view(np.uint8), columns.t),
        *(new.x, new.y, new.p.view(np.uint8), new.t),
        *(_numbers(edits.before), _mask(edits.before.mask)),
        *(_numbers(edits.after), _mask(edits.after.mask)),
        width,
    )


def _numbers(points: PointEdits) -> NDArray[np.int64]:
    return np.array([points.flip, points.sign, points.offset, points.swap], np.int64)


def _mask(mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    return _NOBODY if mask is None else np.ascontiguousarray(mask).view(np.uint8)


def _drop(
    edits: EditPlan, n: int, times: NDArray[Any]
) -> tuple[int, NDArray[np.uint8], NDArray[np.int64]]:
    """Give what is left out as the compiled functions take it: the kind, a mask, and limits."""
    drop = edits.drop
    if isinstance(drop, DropMask):
        return MASK, _mask(drop.mask), np.zeros(4, np.int64)
    if isinstance(drop, DropSpan):
        return SPAN, _NOBODY, np.array([*_places(drop, edits, n, times), 0, 0])
    if isinstance(drop, DropBox):
        return BOX, _NOBODY, np.array([drop.left, drop.top, drop.right, drop.bottom])
    return NONE, _NOBODY, np.zeros(4, np.int64)


def _places(drop: DropSpan, edits: EditPlan, n: int, times: NDArray[Any]) -> tuple[int, int]:
    """Give the places of the events in a span of time: the first and the first one behind."""
    before, after, n_own = edits.before, edits.after, len(times)

    def until(merged: int) -> int:
        """Count the events up to a time, as it is right after the insertion."""
        new = np.searchsorted(edits.insert.t, merged, "right") if edits.insert else 0
        own = before.sign * (merged - before.offset)
        if before.sign > 0:
            return int(new) + bisect_right(range(n_own), own, key=times.item)
        return int(new) + n_own - bisect_left(range(n_own), own, key=times.item)

    # times are whole numbers, and so are the span's ends from here on
    start, end = math.ceil(drop.start) - after.offset, math.floor(drop.end) - after.offset
    if after.sign > 0:
        return until(start - 1), until(end)
    return n - until(-start), n - until(-end - 1)
