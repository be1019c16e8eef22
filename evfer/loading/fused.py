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
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError
from evfer.events import Columns, SensorSize
from evfer.frames import FramesParams
from evfer.frames.cells import resized
from evfer.frames.clip import cell_tables
from evfer.frames.cut import step_edges
from evfer.loading.fused_kernels import (
    BLOCK,
    BOX,
    MASK,
    NONE,
    SPAN,
    left_at_end,
    start_near,
    walk_over,
)
from evfer.region import Region
from evfer.transforms.edits import DropBox, DropMask, DropSpan, Pass, Points

__all__ = ["Walk", "fill"]

_NOBODY = np.zeros(0, np.uint8)


@dataclass(frozen=True, eq=False)
class Walk:
    """A walk over a clip that is about to begin.

    Args:
        clip: the events and what changes them, as the compiled functions take them.
        drop: what is left out, likewise.
        n: events, inserted ones included.
        by_rank: whether steps are cut by rank among the events that are left, else by time.
        edges: where steps begin and the last one ends, int64, shape (t + 1,).
        begin: the place where the walk begins; see `evfer.loading.fused_kernels`.
        left: events before it that are left.
        own: how many of the merged events before that place are the clip's own; where the order
            turns round, before and at it.
    """

    clip: Any
    drop: Any
    n: int
    by_rank: bool
    edges: NDArray[np.int64]
    begin: int
    left: int
    own: int

    @staticmethod
    def over(
        columns: Columns,
        todo: Pass,
        sensor_size: SensorSize,
        params: FramesParams,
        time: Callable[[int], int],
    ) -> Walk:
        """Prepare a walk.

        Args:
            columns: the clip's events. Where steps are cut by rank and no box is dropped, none
                of them has to be there yet.
            todo: what to change on the way.
            sensor_size: the sensor.
            params: how events become frames; not as real values.
            time: gives the time of one of the clip's own events.
        """
        clip = _compiled(columns, todo, sensor_size.width)
        n = len(columns.t) + len(clip[7])
        drop = _drop(todo, n, len(columns.t), time)
        count, first, last = left_at_end(clip, n, drop) if n else (0, 0, 0)
        by_rank, edges = step_edges(int(count), int(first), int(last), params)
        begin, left = start_near(edges[0], clip, n, drop) if by_rank and n else (0, 0)
        first = n - begin if todo.after.sign < 0 else begin
        return Walk(clip, drop, n, by_rank, edges, begin, left, _split(first, clip, time))

    def window(self, time: Callable[[int], int]) -> tuple[int, int]:
        """Tell which of the clip's own events the walk looks at, where steps are cut by rank.

        Args:
            time: gives the time of one of the clip's own events.

        Returns:
            The first event and the first one behind.
        """
        stop, _ = start_near(self.edges[-1], self.clip, self.n, self.drop)
        # that is the place of the last step's end, or one shortly before; one event more is
        # looked at
        ahead = BLOCK if self.drop[0] in (MASK, BOX) else 1
        stop = min(stop + ahead, self.n)
        n_own, before, after = len(self.clip[3]), self.clip[8], self.clip[10]
        other = _split(self.n - stop if after[1] < 0 else stop, self.clip, time)
        low, high = min(self.own, other), max(self.own, other)
        if before[1] < 0:
            low, high = n_own - high, n_own - low
        return max(low - 1, 0), min(high + 1, n_own)


def fill(
    frames: NDArray[Any],
    walk: Walk,
    sensor_size: SensorSize,
    params: FramesParams,
    region: Region,
) -> None:
    """Fill a clip's frames.

    Args:
        frames: zeros, shape (t, c, h, w), in C order; filled here.
        walk: the walk; the events that it looks at are there.
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
        fill(grid, walk, sensor_size, own, bare)
        frames[:] = resized(grid, frames.shape[2], frames.shape[3], params.resize)
        return
    cells = (*tables, frames.shape[2] * frames.shape[3], params.binary)
    wrong = walk_over(
        *(frames.reshape(-1), walk.edges, walk.by_rank, cells),
        *(walk.clip, walk.n, walk.drop, sensor_size.height, walk.begin, walk.left, walk.own),
    )
    if wrong >= 0:
        raise EventsError(
            f"event {wrong} of the augmented clip lies off the sensor",
            expected=f"a place on a sensor of {sensor_size.width} x {sensor_size.height}",
        )


def _split(q: int, clip: Any, time: Callable[[int], int]) -> int:
    """Give how many of the first q merged events are the clip's own.

    As the compiled loops do, but for times that come as they are asked for.
    """
    _, _, _, t, _, _, _, new_t, before, _, _, _, _ = clip
    n_own, (_, sign, offset, _) = len(t), before.tolist()

    def is_later(own: int) -> bool:
        its = sign * time(n_own - 1 - own if sign < 0 else own) + offset
        return its > int(new_t[q - 1 - own])

    ends = max(0, q - len(new_t)), min(q, n_own)
    return bisect_left(range(n_own), True, *ends, key=is_later)


def _compiled(columns: Columns, todo: Pass, width: int) -> Any:
    """Give a clip as the compiled functions take it."""
    new = todo.insert or Columns(*(column[:0] for column in columns))
    return (
        *(columns.x, columns.y, columns.p.view(np.uint8), columns.t),
        *(new.x, new.y, new.p.view(np.uint8), new.t),
        *(_numbers(todo.before), _mask(todo.before.mask)),
        *(_numbers(todo.after), _mask(todo.after.mask)),
        width,
    )


def _numbers(points: Points) -> NDArray[np.int64]:
    return np.array([points.flip, points.sign, points.offset, points.swap], np.int64)


def _mask(mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    return _NOBODY if mask is None else np.ascontiguousarray(mask).view(np.uint8)


def _drop(
    todo: Pass, n: int, n_own: int, time: Callable[[int], int]
) -> tuple[int, NDArray[np.uint8], NDArray[np.int64]]:
    """Give what is left out as the compiled functions take it: the kind, a mask, and limits."""
    drop = todo.drop
    if isinstance(drop, DropMask):
        return MASK, _mask(drop.mask), np.zeros(4, np.int64)
    if isinstance(drop, DropSpan):
        return SPAN, _NOBODY, np.array([*_places(drop, todo, n, n_own, time), 0, 0])
    if isinstance(drop, DropBox):
        return BOX, _NOBODY, np.array([drop.left, drop.top, drop.right, drop.bottom])
    return NONE, _NOBODY, np.zeros(4, np.int64)


def _places(
    drop: DropSpan, todo: Pass, n: int, n_own: int, time: Callable[[int], int]
) -> tuple[int, int]:
    """Give the places of the events in a span of time: the first and the first one behind."""
    before, after = todo.before, todo.after

    def until(merged: int) -> int:
        """Count the events up to a time, as it is right after the insertion."""
        new = np.searchsorted(todo.insert.t, merged, "right") if todo.insert else 0
        own = before.sign * (merged - before.offset)
        if before.sign > 0:
            return int(new) + bisect_right(range(n_own), own, key=time)
        return int(new) + n_own - bisect_left(range(n_own), own, key=time)

    # times are whole numbers, and so are the span's ends from here on
    start, end = math.ceil(drop.start) - after.offset, math.floor(drop.end) - after.offset
    if after.sign > 0:
        return until(start - 1), until(end)
    return n - until(-start), n - until(-end - 1)
