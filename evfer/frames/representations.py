"""Frames of real values: voxel grid, time surface, decaying sums, binary codes."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from evfer.frames.params import FramesParams
from evfer.frames.slicing import time_edges

__all__ = ["fill_surface"]


def fill_surface(
    frames: NDArray[Any],
    x: NDArray[np.int16],
    y: NDArray[np.int16],
    p: NDArray[np.uint8],
    t: NDArray[Any],
    bounds: NDArray[np.int64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    params: FramesParams,
) -> int:
    """Fill frames of a real-valued kind.

    Args:
        frames: zeros, float, shape (t, 2, h, w); filled here.
        x: columns, shape (n,).
        y: rows, likewise.
        p: 0 or 1, likewise.
        t: sorted times in microseconds, likewise.
        bounds: see `step_bounds`.
        columns: cells of each sensor column, at most one, see `cells`.
        rows: the same for rows.
        params: which kind, and its settings.

    Returns:
        Index of the first used event that lies off the sensor, or -1.
    """
    if not len(t):
        return -1
    if params.kind == "voxel_grid":
        first, span = float(t[0]), float(t[-1]) - float(t[0])
        # tonic counts T intervals and so loses the last instant; Zhu et al. have T - 1
        intervals = params.n_steps - (params.edge == "exact")
        scale = intervals / span if span else 0.0
        return _voxels(frames, x, y, p, t, columns, rows, first, scale)
    if params.kind == "binary_code":
        return _code(frames, x, y, p, bounds, columns, rows, params.bits)
    edges = time_edges(len(t), int(t[0]), int(t[-1]), params.n_steps, params.edge)
    ends = np.array(edges[1:], np.float64)
    latest = params.kind == "time_surface"
    return _decaying(frames, x, y, p, t, bounds, ends, columns, rows, params.tau_us, latest)


@numba.njit(nogil=True, cache=True)
def _cell(
    column: int, row: int, columns: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[int, int]:
    """Give a pixel's cell; -1 where it reaches none, -2 where it lies off the sensor."""
    if not (0 <= column < columns.shape[0] and 0 <= row < rows.shape[0]):
        return -2, -2
    if columns[column, 0] == columns[column, 1] or rows[row, 0] == rows[row, 1]:
        return -1, -1
    return columns[column, 0], rows[row, 0]


@numba.njit(nogil=True, cache=True)
def _voxels(
    frames: NDArray[Any],
    x: NDArray[np.int16],
    y: NDArray[np.int16],
    p: NDArray[np.uint8],
    t: NDArray[Any],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    first: float,
    scale: float,
) -> int:
    steps = frames.shape[0]
    for i in range(len(t)):
        w, h = _cell(x[i], y[i], columns, rows)
        if w == -2:
            return i
        if w == -1:
            continue
        place = (t[i] - first) * scale
        step = int(place)
        late = place - step
        if 0 <= step < steps:
            frames[step, p[i], h, w] += 1 - late
        if 0 <= step + 1 < steps:
            frames[step + 1, p[i], h, w] += late
    return -1


@numba.njit(nogil=True, cache=True)
def _decaying(
    frames: NDArray[Any],
    x: NDArray[np.int16],
    y: NDArray[np.int16],
    p: NDArray[np.uint8],
    t: NDArray[Any],
    bounds: NDArray[np.int64],
    ends: NDArray[np.float64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    tau: float,
    latest: bool,
) -> int:
    for step in range(bounds.shape[0]):
        if step:
            frames[step] = frames[step - 1] * np.exp(-(ends[step] - ends[step - 1]) / tau)
        for i in range(bounds[step, 0], bounds[step, 1]):
            w, h = _cell(x[i], y[i], columns, rows)
            if w == -2:
                return i
            if w == -1:
                continue
            value = np.exp(-(ends[step] - t[i]) / tau)
            if latest:  # the newest is the largest
                frames[step, p[i], h, w] = value
            else:
                frames[step, p[i], h, w] += value
    return -1


@numba.njit(nogil=True, cache=True)
def _code(
    frames: NDArray[Any],
    x: NDArray[np.int16],
    y: NDArray[np.int16],
    p: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    bits: int,
) -> int:
    # the first sub-bin is the highest digit; all ones make 1
    unit = 1.0 / (2**bits - 1)
    seen = np.zeros(frames.shape[1:], np.int64)
    for part in range(bounds.shape[0]):
        step, digit = part // bits, bits - 1 - part % bits
        value = unit * 2.0**digit
        for i in range(bounds[part, 0], bounds[part, 1]):
            w, h = _cell(x[i], y[i], columns, rows)
            if w == -2:
                return i
            if w == -1:
                continue
            if seen[p[i], h, w] != part + 1:  # a digit is set once
                seen[p[i], h, w] = part + 1
                frames[step, p[i], h, w] += value
    return -1
