"""The pixel model in machine code: a whole block of frames in one call.

The arithmetic is that of SensorsINI/v2e (commit cac6384) with no low-pass, leak or shot noise,
bit for bit: its state is float32, so the width of every operation here matters, and `fastmath`
or a reordered sum would change events.

What happens at one frame, with `D` the difference between log intensity and memory:

    1. counts   n = floor(|D| / threshold) of every pixel; ON if D > 0, else OFF
    2. slots    M = the largest count of the picture; M times, evenly from t_prev + dt/M to t
    3. events   in slot s all pixels with n > s, if their last event is long enough ago
    4. memory   moves by one threshold for every event that was made, never more

A pixel that the refractory period silences keeps its difference and meets it at the next frame.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from evfer.events import RAW_DTYPE

__all__ = ["crosses", "fused_multiply_add", "simulate", "slot_time", "whole_thresholds"]

_EVENTS = numba.from_dtype(RAW_DTYPE)[::1]
_BYTES = types.Array(types.uint8, 2, "C", readonly=True)
_LOGS = types.Array(types.float32, 2, "C", readonly=True)
_TIMES = types.Array(types.float64, 1, "C", readonly=True)
_CONSTANTS = types.Array(types.float32, 1, "C", readonly=True)
_STATE = types.float32[::1]


@intrinsic
def fused_multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute a * b + c with one rounding; float32, or float64 for all three."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    if a == b == c and a in (types.float32, types.float64):
        return a(a, b, c), generate
    return None


@numba.njit(types.float32(types.float32, types.float32, types.int64, types.int64), cache=True)
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


@numba.njit(types.uint8(types.float32, types.float32, types.float32), cache=True)
def crosses(difference: Any, pos_thres: Any, neg_thres: Any) -> Any:
    """Tell whether a difference reaches a threshold: 1 or 0, without a branch."""
    return np.uint8(difference >= pos_thres) | np.uint8(-difference >= neg_thres)


@numba.njit(types.int32(types.float32, types.float32, types.float32), cache=True)
def whole_thresholds(difference: Any, pos_thres: Any, neg_thres: Any) -> Any:
    """Count the whole thresholds in a difference: positive for ON, negative for OFF, float32."""
    # v2e divides as Python does; the float64 quotient of float32 numbers has the same floor,
    # the float32 quotient has not
    if difference > 0:
        return np.int32(math.floor(np.float64(difference) / np.float64(pos_thres)))
    return -np.int32(math.floor(np.float64(-difference) / np.float64(neg_thres)))


@numba.njit(
    types.Tuple((types.int64, types.int64, types.int64, types.float64))(
        _BYTES, _LOGS, _CONSTANTS, _TIMES, types.int64, _CONSTANTS, _CONSTANTS, types.float64,
        types.float64, _STATE, _STATE, _EVENTS,
    ),
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def simulate(
    levels: Any,
    logs: Any,
    log_of_level: Any,
    times_s: Any,
    width: int,
    pos_thres: Any,
    neg_thres: Any,
    refractory_period_s: float,
    previous_s: float,
    log_memory: Any,
    last_event_s: Any,
    events: Any,
) -> tuple[int, int, int, float]:
    """Run frames until they end or `events` might not hold the next frame's.

    Args:
        levels: frames as bytes, shape (n, pixels), or (0, pixels) if `logs` is given.
        logs: frames as log intensity, shape (n, pixels), or (0, pixels) if `levels` is given.
        log_of_level: log intensity of each byte, shape (256,).
        times_s: time of each frame, seconds, shape (n,).
        width: pixels in a row.
        pos_thres: ON threshold of each pixel, log units, shape (pixels,).
        neg_thres: OFF threshold of each pixel, log units, shape (pixels,).
        refractory_period_s: silence after an event, seconds.
        previous_s: time of the frame before, seconds.
        log_memory: memorised log intensity, shape (pixels,); changed in place.
        last_event_s: time of each pixel's last event, seconds, shape (pixels,); changed in place.
        events: receives the events, `RAW_DTYPE`; those of one slot in row-major order.

    Returns:
        Frames done; events written; room that the next frame may need, 0 if all frames are done;
        time of the last frame done, seconds.
    """
    n_pixels = log_memory.size
    differences = np.empty(n_pixels, np.float32)
    crossed = np.zeros((n_pixels + 7) // 8 * 8, np.uint8)
    crossed_by_eight = crossed.view(np.uint64)
    places = np.empty(n_pixels + 1, np.int32)
    counts = np.empty(n_pixels, np.int32)
    waiting = np.empty(n_pixels, np.int32)
    kept = np.empty(n_pixels, np.int32)
    silence = np.float32(refractory_period_s)
    written = 0
    for frame in range(times_s.size):
        n_active = 0
        n_slots = 0
        room = 0
        if levels.shape[0] > 0:
            row = levels[frame]
            for i in range(n_pixels):
                difference = log_of_level[row[i]] - log_memory[i]
                differences[i] = difference
                crossed[i] = crosses(difference, pos_thres[i], neg_thres[i])
        else:
            log_row = logs[frame]
            for i in range(n_pixels):
                difference = log_row[i] - log_memory[i]
                differences[i] = difference
                crossed[i] = crosses(difference, pos_thres[i], neg_thres[i])
        # most pixels are quiet, so they are passed over eight at a time
        for k in range(crossed_by_eight.size):
            if crossed_by_eight[k]:
                for i in range(8 * k, min(8 * k + 8, n_pixels)):
                    places[n_active] = i
                    n_active += crossed[i]
        for j in range(n_active):
            i = places[j]
            count = whole_thresholds(differences[i], pos_thres[i], neg_thres[i])
            counts[j] = count
            n_slots = max(n_slots, abs(count))
            room += abs(count)
        if room > events.size - written:
            return frame, written, room, previous_s

        now = times_s[frame]
        step = (now - previous_s) / max(n_slots, 1)
        first, last = np.float32(previous_s + step), np.float32(now)
        # v2e skips the filter, and its bookkeeping, where slots lie further apart
        silenced = refractory_period_s > step
        for j in range(n_active):
            waiting[j] = j
            kept[j] = 0
        n_waiting = n_active
        for slot in range(n_slots):
            time = slot_time(first, last, slot, n_slots)
            still = 0
            for k in range(n_waiting):
                j = waiting[k]
                if abs(counts[j]) <= slot:
                    continue
                waiting[still] = j
                still += 1
                i = places[j]
                if silenced:
                    if not np.float32(time - last_event_s[i]) > silence:
                        continue
                    last_event_s[i] = time
                kept[j] += 1
                y = i // width
                event = events[written]
                event.t = time
                event.x = i - y * width
                event.y = y
                event.p = 1 if counts[j] > 0 else -1
                written += 1
            n_waiting = still
        for j in range(n_active):
            i = places[j]
            if counts[j] > 0:
                log_memory[i] += np.float32(np.float32(kept[j]) * pos_thres[i])
            else:
                log_memory[i] -= np.float32(np.float32(kept[j]) * neg_thres[i])
        previous_s = now
    return times_s.size, written, 0, previous_s
