"""The compiled loops of a walk over a clip: what is left of it, where to begin, the walk itself."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from evfer.frames.histogram import NOWHERE

__all__ = ["BOX", "MASK", "NONE", "SPAN", "left_at_end", "own_before", "start_near", "walk_over"]

NONE, MASK, SPAN, BOX = range(4)
_BLOCK = 2048  # events that are counted at once; few enough to walk over some in vain


# A clip travels between the compiled functions as one tuple:
#   x, y, p, t          its own columns, shape (n,)
#   x, y, p, t          the inserted events', shape (m,)
#   numbers, mask       flip, sign, offset and swap of its own events before the insertion, and
#                       whose polarity swaps once more, shape (n,) or (0,)
#   numbers, mask       the same for all, in the merged order, shape (n + m,) or (0,)
#   width               columns of the sensor
# "Merged" is the order right after the insertion, a "place" counts in the order at the end.


@numba.njit(nogil=True, cache=True)
def _own_time(i: int, t: NDArray[Any], before: NDArray[np.int64]) -> int:
    """Give the time of the clip's own event i, as it is before the merge."""
    return before[1] * np.int64(t[len(t) - 1 - i if before[1] < 0 else i]) + before[2]


@numba.njit(nogil=True, cache=True)
def _split(q: int, t: NDArray[Any], new_t: NDArray[Any], before: NDArray[np.int64]) -> int:
    """Give how many of the first q merged events are the clip's own."""
    low, high = max(0, q - len(new_t)), min(q, len(t))
    while low < high:
        middle = (low + high) // 2
        if _own_time(middle, t, before) <= np.int64(new_t[q - 1 - middle]):
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(nogil=True, cache=True)
def own_before(q: int, clip: Any) -> int:
    """Give how many of a clip's first q merged events are its own."""
    return _split(q, clip[3], clip[7], clip[8])


@numba.njit(nogil=True, cache=True)
def _time_at(place: int, clip: Any, n: int) -> int:
    """Give the time of one event at the end."""
    t, new_t, before, after = clip[3], clip[7], clip[8], clip[10]
    q = n - 1 - place if after[1] < 0 else place
    own = _split(q, t, new_t, before)
    new = q - own
    if new >= len(new_t) or (own < len(t) and _own_time(own, t, before) <= np.int64(new_t[new])):
        time = _own_time(own, t, before)
    else:
        time = np.int64(new_t[new])
    return after[1] * time + after[2]


@numba.njit(nogil=True, cache=True)
def left_at_end(clip: Any, n: int, drop: Any) -> tuple[int, int, int]:
    """Give how many events are left at the end, and the times of the first and of the last."""
    kind, mask, limits = drop
    first, last, count = 0, n - 1, n
    if kind == MASK:
        for place in range(n):
            count -= mask[place]
        while first < n and mask[first]:
            first += 1
        while last > first and mask[last]:
            last -= 1
    elif kind == SPAN:
        begin, end = limits[0], limits[1]
        count -= end - begin
        first = end if begin == 0 else 0
        last = begin - 1 if end == n else n - 1
    elif kind == BOX:
        return _outside(clip, limits)
    if count <= 0:
        return 0, 0, 0
    return count, _time_at(first, clip, n), _time_at(last, clip, n)


@numba.njit(nogil=True, cache=True)
def _sides(own: bool, clip: Any, limits: NDArray[np.int64]) -> Any:
    """Give a box as it lies on the columns before they are flipped: left, top, right, bottom."""
    before, after, width = clip[8], clip[10], clip[12]
    left, right = limits[0], limits[2]
    if after[0] ^ (before[0] if own else 0):
        left, right = width - right, width - left
    return left, limits[1], right, limits[3]


@numba.njit(nogil=True, cache=True)
def _outside(clip: Any, limits: NDArray[np.int64]) -> tuple[int, int, int]:
    """Do the same for a box; where events lie does not depend on their order."""
    x, y, _, t, new_x, new_y, _, new_t, before, _, after, _, _ = clip
    count, early, late = 0, 0, 0
    for own in (True, False):
        left, top, right, bottom = _sides(own, clip, limits)
        size = len(t) if own else len(new_t)
        found, first, last = 0, size, -1
        for i in range(size):
            column = np.int64(x[i]) if own else np.int64(new_x[i])
            row = np.int64(y[i]) if own else np.int64(new_y[i])
            inside = (column >= left) & (column < right) & (row >= top) & (row < bottom)
            found += 0 if inside else 1
            if not inside:
                first = min(first, i)
                last = i
        if not found:
            continue
        if own:
            a = before[1] * np.int64(t[first]) + before[2]
            b = before[1] * np.int64(t[last]) + before[2]
        else:
            a, b = np.int64(new_t[first]), np.int64(new_t[last])
        a, b = after[1] * a + after[2], after[1] * b + after[2]
        early = min(a, b) if count == 0 else min(early, a, b)
        late = max(a, b) if count == 0 else max(late, a, b)
        count += found
    return count, early, late


@numba.njit(nogil=True, cache=True)
def _count_in(x: NDArray[Any], y: NDArray[Any], sides: Any) -> int:
    left, top, right, bottom = sides
    found = 0
    for i in range(len(x)):
        column, row = np.int64(x[i]), np.int64(y[i])
        found += (column >= left) & (column < right) & (row >= top) & (row < bottom)
    return found


@numba.njit(nogil=True, cache=True)
def _gone(start: int, stop: int, clip: Any, n: int, drop: Any) -> int:
    """Give how many of the events at some places a mask or a box drops."""
    kind, mask, limits = drop
    if kind == MASK:
        found = 0
        for place in range(start, stop):
            found += mask[place]
        return found
    x, y, _, t, new_x, new_y, _, new_t, before, _, after, _, _ = clip
    low, high = (n - stop, n - start) if after[1] < 0 else (start, stop)
    own_low, own_high = _split(low, t, new_t, before), _split(high, t, new_t, before)
    new = slice(low - own_low, high - own_high)
    if before[1] < 0:
        own_low, own_high = len(t) - own_high, len(t) - own_low
    own = slice(own_low, own_high)
    return _count_in(x[own], y[own], _sides(True, clip, limits)) + _count_in(
        new_x[new], new_y[new], _sides(False, clip, limits)
    )


@numba.njit(nogil=True, cache=True)
def start_near(rank: int, clip: Any, n: int, drop: Any) -> tuple[int, int]:
    """Give a place at or shortly before the event of a rank, and how many are left before it."""
    kind, _, limits = drop
    if kind == NONE:
        return rank, rank
    if kind == SPAN:
        return rank + (limits[1] - limits[0] if rank >= limits[0] else 0), rank
    place, left = 0, 0
    while place < n:
        stop = min(place + _BLOCK, n)
        more = stop - place - _gone(place, stop, clip, n, drop)
        if left + more > rank:
            break
        place, left = stop, left + more
    return place, left


@numba.njit(nogil=True, cache=True)
def walk_over(
    flat: NDArray[Any],
    edges: NDArray[np.int64],
    by_rank: bool,
    cells: Any,
    clip: Any,
    n: int,
    drop: Any,
    height: int,
    begin: int,
    left: int,
    own: int,
) -> int:
    """Walk over the events and write them into the frames.

    Args:
        flat: frames, in one axis.
        edges: where steps begin, and the end of the last: times in microseconds, or ranks among
            the events that are left; shape (t + 1,).
        by_rank: whether edges are ranks.
        cells: tables of columns and rows as `evfer.frames.histogram.collect_cells` takes them,
            cells of a frame, and whether to write ones instead of counting.
        clip: the events and what changes them, see above.
        n: how many there are, inserted ones included.
        drop: what is left out: the kind, a mask by place, and a span's places or a box's sides.
        height: rows of the sensor.
        begin: the place to begin at.
        left: events before it that are left.
        own: how many of the merged events before that place are the clip's own; where the order
            turns round, before and at it.

    Returns:
        Place of the first used event that lies off the sensor, or -1.
    """
    x, y, p, t, new_x, new_y, new_p, new_t, before, before_mask, after, after_mask, width = clip
    columns, rows, area, binary = cells
    kind, mask, limits = drop
    size, twice = np.uint64(area), binary and columns.shape[0] == 2
    n_own, n_new = len(t), len(new_t)
    turned, mirrored = after[1] < 0, before[1] < 0
    has_before, has_after = len(before_mask) > 0, len(after_mask) > 0
    flip, swap = after[0] ^ before[0], np.uint8(after[3] ^ before[3])
    new_flip, new_swap = after[0], np.uint8(after[3])
    last_x = np.int64(width - 1)
    rank = left - 1
    # the next own and the next inserted event, and their times before the changes of all
    new = (n - begin if turned else begin) - own
    ahead = 1
    if turned:
        own, new, ahead = own - 1, new - 1, -1
    own_time = _own_time(own, t, before) if 0 <= own < n_own else np.int64(0)
    new_time = np.int64(new_t[new]) if 0 <= new < n_new else np.int64(0)
    step, steps = 0, len(edges) - 1
    for place in range(begin, n):
        # the clip's own event of an instant comes before the inserted ones
        if turned:
            is_own = new < 0 or (own >= 0 and own_time > new_time)
        else:
            is_own = new >= n_new or (own < n_own and own_time <= new_time)
        if is_own:
            i = n_own - 1 - own if mirrored else own
            column, row, sign, time = np.int64(x[i]), np.int64(y[i]), p[i] ^ swap, own_time
            if flip:
                column = last_x - column
            if has_before:
                sign ^= before_mask[i]
            own += ahead
            if 0 <= own < n_own:
                own_time = _own_time(own, t, before)
        else:
            column, row, sign = np.int64(new_x[new]), np.int64(new_y[new]), new_p[new] ^ new_swap
            time = new_time
            if new_flip:
                column = last_x - column
            new += ahead
            if 0 <= new < n_new:
                new_time = np.int64(new_t[new])
        if has_after:
            sign ^= after_mask[n - 1 - place if turned else place]
        time = after[1] * time + after[2]
        if kind != NONE:
            gone = False
            if kind == MASK:
                gone = mask[place] != 0
            elif kind == SPAN:
                gone = limits[0] <= place < limits[1]
            else:
                gone = limits[0] <= column < limits[2] and limits[1] <= row < limits[3]
            if gone:
                continue
        rank += 1
        key = rank if by_rank else time
        if key >= edges[step + 1]:
            while step < steps and key >= edges[step + 1]:
                step += 1
            if step == steps:
                break
        if key < edges[0]:
            continue
        if not (0 <= column < width and 0 <= row < height):
            return place
        x0, y0 = columns[0, np.uint64(column)], rows[0, np.uint64(row)]
        if x0 == NOWHERE or y0 == NOWHERE:
            continue
        base = (np.uint64(2 * step) + np.uint64(sign)) * size
        if not binary:
            flat[base + np.uint64(y0) + np.uint64(x0)] += 1
            continue
        flat[base + np.uint64(y0) + np.uint64(x0)] = 1
        if twice:
            x1 = np.uint64(columns[1, np.uint64(column)])
            y1 = np.uint64(rows[1, np.uint64(row)])
            flat[base + np.uint64(y0) + x1] = 1
            flat[base + y1 + np.uint64(x0)] = 1
            flat[base + y1 + x1] = 1
    return -1
