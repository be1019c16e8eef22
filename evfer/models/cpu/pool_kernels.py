"""Largest of 3 x 3 pixels at every second one, and the way back, compiled.

Maps lie as (n, h, w, c), in the types of `evfer.models.cpu.cast_kernels`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from evfer.models.cpu.cast_kernels import narrow, widen

__all__ = ["pool", "pool_backward"]

_Array = NDArray[Any]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def pool(x: _Array, out: _Array, taps: _Array, kind: _Array) -> None:
    """Take the largest of the pixels around every second one, the first of equals.

    Args:
        x: maps, shape (n, h, w, c).
        out: overwritten, shape (n, (h + 1) // 2, (w + 1) // 2, c).
        taps: overwritten with the place of the largest, 0 to 8 in the order of rows, uint8.
        kind: of the type to compute in.
    """
    _, height, width, channels = x.shape
    best, values = np.empty(channels, kind.dtype), np.empty(channels, kind.dtype)
    for image in range(len(out)):
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                tap = taps[image, row, column]
                tap[:] = 0
                best[:] = -np.inf
                for k in range(9):
                    i, j = 2 * row - 1 + k // 3, 2 * column - 1 + k % 3
                    if 0 <= i < height and 0 <= j < width:
                        widen(x[image, i, j], 0, values, channels)
                        place = np.uint8(k)
                        for c in range(channels):
                            larger = values[c] > best[c] or values[c] != values[c]  # or not one
                            tap[c] = place if larger else tap[c]
                        for c in range(channels):
                            larger = values[c] > best[c] or values[c] != values[c]
                            best[c] = values[c] if larger else best[c]
                narrow(best, out[image, row, column], 0, channels)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def pool_backward(grad: _Array, taps: _Array, out: _Array, kind: _Array) -> None:
    """Give each gradient to the pixel that was the largest.

    Args:
        grad: gradients of what `pool` gave.
        taps: what `pool` noted.
        out: overwritten with the gradients of its input.
        kind: of the type to compute in.
    """
    _, height, width, channels = out.shape
    total, values = np.empty(channels, kind.dtype), np.empty(channels, kind.dtype)
    zero = kind.dtype.type(0)
    for image in range(len(out)):
        for i in range(height):
            for j in range(width):
                total[:] = 0
                for row in range(i // 2, min((i + 1) // 2 + 1, grad.shape[1])):
                    for column in range(j // 2, min((j + 1) // 2 + 1, grad.shape[2])):
                        place = np.uint8((i - 2 * row + 1) * 3 + j - 2 * column + 1)
                        tap = taps[image, row, column]
                        widen(grad[image, row, column], 0, values, channels)
                        for c in range(channels):
                            total[c] += values[c] if tap[c] == place else zero
                narrow(total, out[image, i, j], 0, channels)
