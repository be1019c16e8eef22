"""Frames of whole grey levels through pixels without low-pass, leak or noise, in machine code.

Such a pixel answers with the same log intensity to the same level, so between two of its events
there is a lowest and a highest level that leave it quiet. They are kept as bytes: to pass over a
quiet picture costs three bytes a pixel, compared many at a time, and no arithmetic. Only a pixel
that fires does v2e's float32 arithmetic, and then its two bounds are found anew, with the very
comparison that v2e makes.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types

from evfer.emulator.emission import (
    EVENTS,
    emit_at_crossings,
    emit_in_slots,
    room_for,
    sort_by_time,
)
from evfer.emulator.pixel import collect, whole_thresholds
from evfer.emulator.response import LOG_OF_LEVEL

__all__ = ["quiet_levels", "watch_levels"]

_BYTES = types.uint8[::1]
_CONSTANTS = types.Array(types.float32, 1, "C", readonly=True)
_STATE = types.float32[::1]
_F32 = types.float32

_STEPS = 300  # bins a log unit, each narrower than the step between the two brightest levels
_EDGES = np.arange(int(LOG_OF_LEVEL[-1] * _STEPS) + 2) / _STEPS
# how many levels lie below each bin for sure, whatever float32 rounds: all, or all but one
_LEVELS_BELOW = np.searchsorted(LOG_OF_LEVEL, _EDGES - 1e-5).astype(np.int32)
_LOG_OF_LEVEL = np.append(LOG_OF_LEVEL, np.float32(np.inf)).astype(np.float32)


@numba.njit(types.int64(_F32), cache=True, error_model="numpy", inline="always")
def _levels_below(log: Any) -> Any:
    where: Any = np.int64(log * np.float32(_STEPS))
    return np.int64(_LEVELS_BELOW[min(max(where, 0), _LEVELS_BELOW.size - 1)])


@numba.njit(types.uint8(_F32, _F32), cache=True, error_model="numpy")
def _lowest(memory: Any, neg_thres: Any) -> Any:
    """Count the levels that make an OFF event: one more than are sure to, or none."""
    sure = _levels_below(memory - neg_thres)
    return np.uint8(sure + np.int64(memory - _LOG_OF_LEVEL[sure] >= neg_thres))


@numba.njit(types.uint8(_F32, _F32), cache=True, error_model="numpy")
def _highest(memory: Any, pos_thres: Any) -> Any:
    """Count the levels that make no ON event; the last of them is the highest."""
    sure = _levels_below(memory + pos_thres)
    return np.uint8(sure + np.int64(_LOG_OF_LEVEL[sure] - memory < pos_thres) - 1)


@numba.njit(
    types.void(_CONSTANTS, _CONSTANTS, _STATE, _BYTES, _BYTES), cache=True, error_model="numpy"
)
def quiet_levels(
    pos_thres: Any, neg_thres: Any, log_memory: Any, lowest: Any, highest: Any
) -> None:
    """Find the levels between which each pixel stays quiet.

    Memory lies between the logs of levels 0 and 255, so both bounds are bytes. Where thresholds
    are finer than levels there may be no quiet level; the lowest is then above the highest.

    Args:
        pos_thres: ON threshold, log units, shape (pixels,).
        neg_thres: OFF threshold, log units, shape (pixels,).
        log_memory: memorised log intensity, shape (pixels,).
        lowest: receives the lowest quiet level, shape (pixels,).
        highest: receives the highest, shape (pixels,).
    """
    for i in range(log_memory.size):
        lowest[i] = _lowest(log_memory[i], neg_thres[i])
        highest[i] = _highest(log_memory[i], pos_thres[i])


@numba.njit(
    types.Tuple((EVENTS, types.int64, types.int64))(
        types.Array(types.uint8, 2, "C", readonly=True),
        types.Array(types.float64, 1, "C", readonly=True),
        types.Array(types.uint8, 1, "C", readonly=True), types.float64, types.int64, types.boolean,
        types.float64, _CONSTANTS, _CONSTANTS, _STATE, types.float64[::1], _BYTES, _BYTES,
        EVENTS,
    ),
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def watch_levels(
    frames: Any,
    times_s: Any,
    previous: Any,
    previous_s: float,
    width: int,
    at_crossings: bool,
    refractory_period_s: float,
    pos_thres: Any,
    neg_thres: Any,
    log_memory: Any,
    last_event_s: Any,
    lowest: Any,
    highest: Any,
    events: Any,
) -> tuple[Any, int, int]:
    """Run frames through the pixels.

    Args:
        frames: grey levels, shape (n, pixels).
        times_s: time of each frame, seconds, shape (n,).
        previous: the frame before, shape (pixels,).
        previous_s: its time, seconds.
        width: pixels in a row.
        at_crossings: time events at their crossings, not in v2e's slots.
        refractory_period_s: silence after an event, seconds.
        pos_thres: ON threshold, log units, shape (pixels,).
        neg_thres: OFF threshold, log units, shape (pixels,).
        log_memory: memorised log intensity, shape (pixels,); changed in place.
        last_event_s: time of each pixel's last event, seconds, shape (pixels,); likewise.
        lowest: from `quiet_levels`, shape (pixels,); likewise.
        highest: from `quiet_levels`, shape (pixels,); likewise.
        events: receives the events.

    Returns:
        The array of events, or a larger one if a frame needed it; events written; frames done,
        at least one, fewer than given if the array is nearly full.
    """
    n_pixels = log_memory.size
    flags = np.zeros((n_pixels + 63) // 64 * 64, np.uint8)
    places = np.empty(n_pixels, np.int32)
    counts = np.empty(n_pixels, np.int32)
    kept = np.empty(n_pixels, np.int32)
    n_details = n_pixels if at_crossings else 0
    before = np.empty(n_details, np.float64)
    after = np.empty(n_details, np.float64)
    thresholds = np.empty(n_details, np.float64)
    written, most = 0, 0
    for frame in range(times_s.size):
        levels = frames[frame]
        now_s = times_s[frame]
        for i in range(n_pixels):
            flags[i] = (levels[i] < lowest[i]) | (levels[i] > highest[i])
        n_active = collect(flags, places)
        n_slots, room = 0, 0
        for j in range(n_active):
            i = places[j]
            difference = LOG_OF_LEVEL[levels[i]] - log_memory[i]
            count = whole_thresholds(difference, pos_thres[i], neg_thres[i])
            counts[j] = count
            n_slots = max(n_slots, abs(count))
            room += abs(count)
            if at_crossings:
                sign = np.float32(1) if count > 0 else np.float32(-1)
                start = LOG_OF_LEVEL[previous[i]] - log_memory[i]
                before[j], after[j] = sign * start, sign * difference
                thresholds[j] = pos_thres[i] if count > 0 else neg_thres[i]
        events = room_for(events, written, room)
        new = written
        if at_crossings:
            written = emit_at_crossings(
                events, written, n_active, places, counts, kept, before, after, thresholds,
                previous_s, now_s, refractory_period_s, width, last_event_s,
            )  # fmt: skip
            sort_by_time(events, new, written, previous_s, now_s)
        else:
            written = emit_in_slots(
                events, written, n_active, places, counts, kept, n_slots,
                previous_s, now_s, refractory_period_s, width, last_event_s,
            )  # fmt: skip
        for j in range(n_active):
            i = places[j]
            threshold = pos_thres[i] if counts[j] > 0 else neg_thres[i]
            sign = np.float32(1) if counts[j] > 0 else np.float32(-1)
            log_memory[i] += sign * np.float32(np.float32(kept[j]) * threshold)
            lowest[i] = _lowest(log_memory[i], neg_thres[i])
            highest[i] = _highest(log_memory[i], pos_thres[i])
        previous, previous_s = levels, now_s
        most = max(most, room)
        if written + most > events.size:
            return events, written, frame + 1
    return events, written, times_s.size
