"""Augment a clip's events and collect them on frames in one walk, without writing them anywhere.

The walk goes over the events in the order they have at the end: the clip's own and the inserted
ones are merged as they come, each is changed, tested against what is dropped, given to its step
and written into the cells that its pixel reaches. `evfer.transforms.edits` does the same with
NumPy, one change after another; both give the same frames.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError
from evfer.events import SensorSize
from evfer.frames import FramesParams
from evfer.frames.clip import cell_tables
from evfer.frames.collect import NOWHERE
from evfer.frames.cut import step_edges
from evfer.region import Region
from evfer.transforms.edits import Columns, DropBox, DropMask, DropSpan, Pass, Points

__all__ = ["fill"]

_NOBODY = np.zeros(0, np.uint8)
_NONE, _MASK, _SPAN, _BOX = range(4)


def fill(
    frames: NDArray[Any],
    columns: Columns,
    todo: Pass,
    sensor_size: SensorSize,
    params: FramesParams,
    region: Region,
) -> bool:
    """Fill a clip's frames, if this way can.

    Args:
        frames: zeros, shape (t, c, h, w), in C order; filled here.
        columns: the clip's events.
        todo: what to change on the way.
        sensor_size: the sensor.
        params: how events become frames.
        region: the part of the sensor that fills the frame.

    Returns:
        Whether it was done: real-valued kinds, and counts that are resized afterwards, need
        the events as they are at the end.

    Raises:
        EventsError: if an event that is used lies off the sensor.
    """
    tables = cell_tables(sensor_size, region, params) if not params.real else None
    if tables is None:
        return False
    new = todo.insert or Columns(*(column[:0] for column in columns))
    walk = (
        *_plain(columns),
        *_plain(new),
        _numbers(todo.before),
        _mask(todo.before.mask),
        _numbers(todo.after),
        _mask(todo.after.mask),
        *_drop(todo),
        sensor_size.width,
        sensor_size.height,
    )
    nothing, no_edges = np.zeros(0, frames.dtype), np.zeros(0, np.int64)
    count, first, last = _ends(columns, todo)
    if todo.drop is not None:
        count, first, last, _ = _walk(nothing, no_edges, False, *tables, 0, False, *walk)
    by_rank, edges = step_edges(count, first, last, params)
    height, width = frames.shape[2:]
    *_, wrong = _walk(
        frames.reshape(-1), edges, by_rank, *tables, height * width, params.binary, *walk
    )
    if wrong >= 0:
        raise EventsError(
            f"event {wrong} of the augmented clip lies off the sensor",
            expected=f"a place on a sensor of {sensor_size.width} x {sensor_size.height}",
        )
    return True


def _plain(columns: Columns) -> tuple[NDArray[Any], ...]:
    return columns.x, columns.y, columns.p.view(np.uint8), columns.t


def _numbers(points: Points) -> NDArray[np.int64]:
    return np.array([points.flip, points.sign, points.offset, points.swap], np.int64)


def _mask(mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    return _NOBODY if mask is None else np.ascontiguousarray(mask).view(np.uint8)


def _drop(todo: Pass) -> tuple[int, NDArray[np.uint8], NDArray[np.float64]]:
    drop = todo.drop
    if isinstance(drop, DropMask):
        return _MASK, _mask(drop.mask), np.zeros(4)
    if isinstance(drop, DropSpan):
        return _SPAN, _NOBODY, np.array([drop.start, drop.end, 0, 0])
    if isinstance(drop, DropBox):
        sides = np.array([drop.left, drop.top, drop.right, drop.bottom], np.float64)
        return _BOX, _NOBODY, sides
    return _NONE, _NOBODY, np.zeros(4)


def _ends(columns: Columns, todo: Pass) -> tuple[int, int, int]:
    """Give count, first and last time after everything but a drop."""

    def turned(points: Points, first: int, last: int) -> tuple[int, int]:
        ends = points.sign * first + points.offset, points.sign * last + points.offset
        return min(ends), max(ends)

    ends: list[int] = []
    if len(columns.t):
        ends += turned(todo.before, int(columns.t[0]), int(columns.t[-1]))
    count = len(columns.t)
    if todo.insert is not None and len(todo.insert.t):
        ends += int(todo.insert.t[0]), int(todo.insert.t[-1])
        count += len(todo.insert.t)
    return (count, *turned(todo.after, min(ends), max(ends))) if ends else (0, 0, 0)


@numba.njit(nogil=True, cache=True)
def _walk(
    flat: NDArray[Any],
    edges: NDArray[np.int64],
    by_rank: bool,
    cell_columns: NDArray[np.uint32],
    cell_rows: NDArray[np.uint32],
    area: int,
    binary: bool,
    x: NDArray[Any],
    y: NDArray[Any],
    p: NDArray[np.uint8],
    t: NDArray[Any],
    new_x: NDArray[Any],
    new_y: NDArray[Any],
    new_p: NDArray[np.uint8],
    new_t: NDArray[Any],
    before: NDArray[np.int64],
    before_mask: NDArray[np.uint8],
    after: NDArray[np.int64],
    after_mask: NDArray[np.uint8],
    drop: int,
    drop_mask: NDArray[np.uint8],
    limits: NDArray[np.float64],
    width: int,
    height: int,
) -> tuple[int, int, int, int]:
    """Walk over the events; without edges only to see what is left of them.

    Args:
        flat: frames, in one axis.
        edges: where steps begin, and the end of the last: times in microseconds, or ranks among
            the events that are left; shape (t + 1,).
        by_rank: whether edges are ranks.
        cell_columns: see `evfer.frames.collect.collect_cells`.
        cell_rows: likewise.
        area: cells of a frame.
        binary: write ones instead of counting.
        x: the clip's columns, and so on, shape (n,).
        y: rows.
        p: polarities, 0 or 1.
        t: times.
        new_x: the same of the inserted events, shape (m,).
        new_y: rows.
        new_p: polarities.
        new_t: times.
        before: flip, sign, offset and swap of the clip's own events, before the insertion.
        before_mask: whose polarity swaps too, shape (n,) or (0,).
        after: the same for all events.
        after_mask: shape (n + m,) or (0,), in the merged order.
        drop: what is left out: nothing, a mask, a span or a box.
        drop_mask: shape (n + m,) or (0,), in the order at the end.
        limits: start and end of the span, or the box's sides.
        width: columns of the sensor.
        height: rows.

    Returns:
        How many events are left, time of the first and of the last, and the index of the first
        used event that lies off the sensor, or -1.
    """
    n, m = len(t), len(new_t)
    turned, mirrored = after[1] < 0, before[1] < 0
    has_before, has_after = len(before_mask) > 0, len(after_mask) > 0
    size, last_x = np.uint64(area), width - 1
    twice = binary and cell_columns.shape[0] == 2
    steps, step = len(edges) - 1, 0
    left, first, last = 0, 0, 0
    own, new = (n - 1, m - 1) if turned else (0, 0)
    own_time, new_time = np.int64(0), np.int64(0)
    if n:
        own_time = before[1] * np.int64(t[n - 1 - own if mirrored else own]) + before[2]
    if m:
        new_time = np.int64(new_t[new])
    for place in range(n + m):
        # the clip's own event of an instant comes before the inserted ones
        if turned:
            is_own = new < 0 or (own >= 0 and own_time > new_time)
        else:
            is_own = new >= m or (own < n and own_time <= new_time)
        if is_own:
            i = n - 1 - own if mirrored else own
            column, row, sign, time = np.int64(x[i]), np.int64(y[i]), p[i], own_time
            if before[0]:
                column = last_x - column
            sign ^= np.uint8(before[3])
            if has_before:
                sign ^= before_mask[i]
            own += -1 if turned else 1
            if 0 <= own < n:
                own_time = before[1] * np.int64(t[n - 1 - own if mirrored else own]) + before[2]
        else:
            column, row, sign = np.int64(new_x[new]), np.int64(new_y[new]), new_p[new]
            time = new_time
            new += -1 if turned else 1
            if 0 <= new < m:
                new_time = np.int64(new_t[new])
        if after[0]:
            column = last_x - column
        sign ^= np.uint8(after[3])
        if has_after:
            sign ^= after_mask[n + m - 1 - place if turned else place]
        time = after[1] * time + after[2]
        if drop == _MASK:
            if drop_mask[place]:
                continue
        elif drop == _SPAN:
            if limits[0] <= time <= limits[1]:
                continue
        elif drop == _BOX:
            if limits[0] <= column < limits[2] and limits[1] <= row < limits[3]:
                continue
        if left == 0:
            first = time
        rank, last = left, time
        left += 1
        if steps < 1:
            continue
        key = rank if by_rank else time
        while step < steps and key >= edges[step + 1]:
            step += 1
        if step == steps:
            break
        if key < edges[0]:
            continue
        if not (0 <= column < width and 0 <= row < height):
            return left, first, last, place
        x0, y0 = cell_columns[0, column], cell_rows[0, row]
        if x0 == NOWHERE or y0 == NOWHERE:
            continue
        base = (np.uint64(2 * step) + np.uint64(sign)) * size
        if not binary:
            flat[base + np.uint64(y0) + np.uint64(x0)] += 1
            continue
        flat[base + np.uint64(y0) + np.uint64(x0)] = 1
        if twice:
            x1, y1 = np.uint64(cell_columns[1, column]), np.uint64(cell_rows[1, row])
            flat[base + np.uint64(y0) + x1] = 1
            flat[base + y1 + np.uint64(x0)] = 1
            flat[base + y1 + x1] = 1
    return left, first, last, -1
