"""Collect events on frames: one visit an event, one store a cell that its pixel reaches.

Indices are unsigned 64-bit numbers throughout. Signed ones would make the compiler handle
negative indices at every store, which halves the speed.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["NOWHERE", "collect", "collect_cells", "collect_ranges"]

NOWHERE = np.uint32(2**32 - 1)
"""Stands for no cell in the tables of `collect_cells`."""


@numba.njit(nogil=True, cache=True)
def collect(
    flat: NDArray[Any],
    x: NDArray[np.int16],
    y: NDArray[np.int16],
    p: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    width: int,
    height: int,
    binary: bool,
) -> int | np.int64:
    """Collect events of a whole sensor, a cell a pixel.

    Args:
        flat: frames, in one axis.
        x: columns, shape (n,).
        y: rows, likewise.
        p: 0 or 1, likewise.
        bounds: index ranges, one a step, shape (t, 2).
        width: columns of sensor and frame.
        height: rows.
        binary: write ones instead of counting.

    Returns:
        Index of the first used event that lies off the sensor, or -1.
    """
    w, h = np.uint64(width), np.uint64(height)
    area = w * h
    for step in range(bounds.shape[0]):
        base = np.uint64(2 * step) * area
        begin, end = np.uint64(bounds[step, 0]), np.uint64(bounds[step, 1])
        if binary:  # asked for each event, it would cost half the speed
            for i in range(begin, end):
                column, row = np.uint64(np.uint16(x[i])), np.uint64(np.uint16(y[i]))
                if column >= w or row >= h:
                    return np.int64(i)
                flat[base + np.uint64(p[i]) * area + row * w + column] = 1
        else:
            for i in range(begin, end):
                column, row = np.uint64(np.uint16(x[i])), np.uint64(np.uint16(y[i]))
                if column >= w or row >= h:
                    return np.int64(i)
                flat[base + np.uint64(p[i]) * area + row * w + column] += 1
    return -1


@numba.njit(nogil=True, cache=True)
def collect_cells(
    flat: NDArray[Any],
    x: NDArray[np.int16],
    y: NDArray[np.int16],
    p: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    columns: NDArray[np.uint32],
    rows: NDArray[np.uint32],
    area: int,
    binary: bool,
) -> int | np.int64:
    """Collect events whose pixels reach one cell, or two an axis and `binary`.

    Args:
        flat: frames, in one axis.
        x: columns, shape (n,).
        y: rows, likewise.
        p: 0 or 1, likewise.
        bounds: index ranges, one a step, shape (t, 2).
        columns: first and last cell of each sensor column, shape (2, width), or one row where
            they are the same; `NOWHERE` for none.
        rows: the same for rows, times the cells of a row.
        area: cells of a frame.
        binary: write ones instead of counting.

    Returns:
        Index of the first used event that lies off the sensor, or -1.
    """
    size = np.uint64(area)
    w, h = np.uint64(columns.shape[1]), np.uint64(rows.shape[1])
    twice = columns.shape[0] == 2
    for step in range(bounds.shape[0]):
        base = np.uint64(2 * step) * size
        begin, end = np.uint64(bounds[step, 0]), np.uint64(bounds[step, 1])
        if binary and twice:
            for i in range(begin, end):
                column, row = np.uint64(np.uint16(x[i])), np.uint64(np.uint16(y[i]))
                if column >= w or row >= h:
                    return np.int64(i)
                left, top = columns[0, column], rows[0, row]
                if left == NOWHERE or top == NOWHERE:
                    continue
                # the four corners, without asking which of them are the same
                right, bottom = np.uint64(columns[1, column]), np.uint64(rows[1, row])
                place = base + np.uint64(p[i]) * size
                high, low = place + np.uint64(top), place + bottom
                flat[high + np.uint64(left)] = 1
                flat[high + right] = 1
                flat[low + np.uint64(left)] = 1
                flat[low + right] = 1
        else:
            for i in range(begin, end):
                column, row = np.uint64(np.uint16(x[i])), np.uint64(np.uint16(y[i]))
                if column >= w or row >= h:
                    return np.int64(i)
                left, top = columns[0, column], rows[0, row]
                if left == NOWHERE or top == NOWHERE:
                    continue
                place = base + np.uint64(p[i]) * size + np.uint64(top) + np.uint64(left)
                if binary:
                    flat[place] = 1
                else:
                    flat[place] += 1
    return -1


@numba.njit(nogil=True, cache=True)
def collect_ranges(
    frames: NDArray[Any],
    x: NDArray[np.int16],
    y: NDArray[np.int16],
    p: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    binary: bool,
) -> int:
    """Do the same for pixels that reach any number of cells, given as ranges (see `cells`)."""
    for step in range(bounds.shape[0]):
        for i in range(bounds[step, 0], bounds[step, 1]):
            column, row = x[i], y[i]
            if not (0 <= column < columns.shape[0] and 0 <= row < rows.shape[0]):
                return i
            for h in range(rows[row, 0], rows[row, 1]):
                for w in range(columns[column, 0], columns[column, 1]):
                    if binary:
                        frames[step, p[i], h, w] = 1
                    else:
                        frames[step, p[i], h, w] += 1
    return -1
