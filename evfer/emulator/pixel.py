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

__all__ = ["collect", "crosses", "fused_multiply_add", "slot_time", "whole_thresholds"]

_F32, _F64 = types.float32, types.float64


@intrinsic
def fused_multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute a * b + c with one rounding; float32, or float64 for all three."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    if a == b == c and a in (types.float32, types.float64):
        return a(a, b, c), generate
    return None


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
    # v2e divides as Python does: the floor of the exact quotient, not of the rounded one
    if difference > 0:
        size, threshold, sign = np.float64(difference), np.float64(pos_thres), np.int32(1)
    else:
        size, threshold, sign = np.float64(-difference), np.float64(neg_thres), np.int32(-1)
    count = np.floor(size / threshold)
    if fused_multiply_add(-count, threshold, size) < 0.0:
        count -= 1.0
    return sign * np.int32(count)


@numba.njit(types.int64(types.uint8[::1], types.int32[::1]), cache=True, error_model="numpy")
def collect(flags: Any, places: Any) -> int:
    """List the pixels that are flagged, ascending.

    Args:
        flags: 1 or 0, shape (n,), n a multiple of 8.
        places: receives the pixels; one longer than there are pixels.

    Returns:
        How many there are.
    """
    n_found = 0
    eights = flags.view(np.uint64)
    # most pixels are quiet, so they are passed over eight at a time
    for k in range(eights.size):
        if eights[k]:
            for i in range(8 * k, 8 * k + 8):
                places[min(n_found, places.size - 1)] = i
                n_found += flags[i]
    return n_found
