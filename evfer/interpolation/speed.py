"""How fast each pixel of a flow moves as far as that can be seen, in machine code."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import types

__all__ = ["visible_speeds"]

_PLANE = types.Array(types.float32, 2, "C", readonly=True)
_FLOW = types.Array(types.float32, 3, "C", readonly=True)


@numba.njit(
    types.float32[::1](_FLOW, _PLANE, _PLANE, types.float32),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def visible_speeds(flow: Any, across: Any, down: Any, steep: Any) -> Any:
    """Give the part of the flow that goes up or down the picture's slope.

    Motion along an edge does not show, nor can its flow be known.

    Args:
        flow: pixels (x, y), shape (h, w, 2).
        across: slope from left to right, grey levels a pixel, shape (h, w).
        down: slope from top to bottom, likewise.
        steep: least slope that counts.

    Returns:
        Pixels, shape (n,), of the n pixels that lie on a steep slope and stay in the picture.
    """
    height, width = across.shape
    speeds = np.empty(across.size, np.float32)
    n = 0
    for y in range(height):
        for x in range(width):
            a, d = across[y, x], down[y, x]
            square = a * a + d * d
            if square < steep * steep:
                continue
            u, v = flow[y, x, 0], flow[y, x, 1]
            if 0 <= x + u <= width - 1 and 0 <= y + v <= height - 1:
                speeds[n] = abs(u * a + v * d) / math.sqrt(square)
                n += 1
    return speeds[:n].copy()
