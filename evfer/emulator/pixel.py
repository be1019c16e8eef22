"""The arithmetic of one pixel, and of the instants that v2e gives to events, in machine code.

The arithmetic is that of SensorsINI/v2e (commit cac6384), bit for bit. Its state is float32, or
float64 behind a low-pass, so the width of every operation here matters, and `fastmath` or a
reordered sum would change events.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

__all__ = [
    "collect",
    "crosses",
    "fused_multiply_add",
    "slot_time",
    "trailing_zeros",
    "whole_thresholds",
]

_F32, _F64 = types.float32, types.float64


@intrinsic
def fused_multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute a * b + c with one rounding; float32, or float64 for all three."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    if a == b == c and a in (types.float32, types.float64):
        return a(a, b, c), generate
    return None


@intrinsic
def trailing_zeros(typing_context: Any, bits: Any) -> Any:
    """Count the zero bits below the lowest one of an uint64 that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.uint64(bits), generate


@numba.njit(_F32(_F32, _F32, types.int64, types.int64), cache=True)
def slot_time(first: Any, last: Any, slot: int, n_slots: int) -> Any:
    """Give the time of one slot, as torch's `linspace` does on a CPU with fused operations.

    Args:
        first: time of slot 0, seconds, float32.
        last: time of the last slot, seconds, float32.
        slot: number of the slot, from 0.
        n_slots: number of slots, at least 1.

    Returns:
        The slot's time, seconds, float32.
    """
    if n_slots == 1:
        return first
    spacing = np.float32((last - first) / np.float32(n_slots - 1))
    # the two halves count from their own end, which keeps both ends exact
    if slot < n_slots // 2:
        return fused_multiply_add(spacing, np.float32(slot), first)
    return fused_multiply_add(-spacing, np.float32(n_slots - 1 - slot), last)


@numba.njit([types.uint8(_F32, _F32, _F32), types.uint8(_F64, _F64, _F64)], cache=True)
def crosses(difference: Any, pos_thres: Any, neg_thres: Any) -> Any:
    """Tell whether a difference reaches a threshold: 1 or 0, without a branch."""
    return np.uint8(difference >= pos_thres) | np.uint8(-difference >= neg_thres)


@numba.njit([types.int32(_F32, _F32, _F32), types.int32(_F64, _F64, _F64)], cache=True)
def whole_thresholds(difference: Any, pos_thres: Any, neg_thres: Any) -> Any:
    """Count the whole thresholds in a difference: positive for ON, negative for OFF."""
    on = difference > 0
    size = np.float64(difference if on else -difference)
    threshold = np.float64(pos_thres if on else neg_thres)
    # v2e divides as Python does: the floor of the exact quotient, not of the rounded one
    count = np.floor(size / threshold)
    count -= np.float64(fused_multiply_add(-count, threshold, size) < 0.0)
    return np.int32(count if on else -count)


@numba.njit(types.int64(types.uint8[::1], types.int32[::1]), cache=True, error_model="numpy")
def collect(flags: Any, places: Any) -> int:
    """List the pixels that are flagged, ascending.

    Args:
        flags: 1 or 0, shape (n,), n a multiple of 64.
        places: receives the pixels.

    Returns:
        How many there are.
    """
    eights = flags.view(np.uint64)
    n_found = 0
    for k in range(0, eights.size, 8):
        # 64 flags as the bits of one number, so that the loop below goes from one to the next
        bits = np.uint64(0)
        for m in range(8):
            # the multiplication brings the lowest bits of eight bytes together in the highest
            byte = (eights[k + m] * np.uint64(0x0102040810204080)) >> np.uint64(56)
            bits |= byte << np.uint64(8 * m)
        while bits:
            places[n_found] = 8 * k + trailing_zeros(bits)
            n_found += 1
            bits &= bits - np.uint64(1)
    return n_found
