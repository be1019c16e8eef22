"""Numbers read and written by compiled loops: float32, float64, or bfloat16 as bits in uint16.

The last are computed on in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

__all__ = ["narrow", "widen"]


def widen(source: Any, start: Any, target: Any, n: Any) -> None:
    """Read `n` numbers from `start` on."""
    raise NotImplementedError  # compiled code only, below


def narrow(source: Any, target: Any, start: Any, n: Any) -> None:
    """Write `n` numbers from `start` on, rounded to the nearest, to even between two."""
    raise NotImplementedError


@overload(widen)
def _compile_widen(source: Any, start: Any, target: Any, n: Any) -> Any:
    def copy(source: Any, start: Any, target: Any, n: Any) -> None:
        part = source[start : start + n]
        for i in range(n):
            target[i] = part[i]

    def shift(source: Any, start: Any, target: Any, n: Any) -> None:
        bits, part = target.view(np.uint32), source[start : start + n]
        for i in range(n):
            bits[i] = np.uint32(part[i]) << np.uint32(16)

    return shift if source.dtype == types.uint16 else copy


@overload(narrow)
def _compile_narrow(source: Any, target: Any, start: Any, n: Any) -> Any:
    def copy(source: Any, target: Any, start: Any, n: Any) -> None:
        part = target[start : start + n]
        for i in range(n):
            part[i] = source[i]

    def round_(source: Any, target: Any, start: Any, n: Any) -> None:
        bits, part = source.view(np.uint32), target[start : start + n]
        for i in range(n):
            odd = (bits[i] >> np.uint32(16)) & np.uint32(1)
            part[i] = np.uint16((bits[i] + np.uint32(0x7FFF) + odd) >> np.uint32(16))

    return round_ if target.dtype == types.uint16 else copy
