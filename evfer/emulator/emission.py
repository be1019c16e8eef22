"""From counts to events: which pixel fires when, in machine code.

Both ways of timing take the pixels that crossed a threshold between two frames, write their
events, and tell how many each made; the caller then moves their memory by one threshold for each.
A pixel that the refractory period silences keeps its difference and meets it at the next frame.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types

from evfer.emulator.pixel import slot_time
from evfer.events import RAW_DTYPE

__all__ = ["EVENTS", "emit_at_crossings", "emit_in_slots", "put", "room_for", "sort_by_time"]

EVENTS = numba.from_dtype(RAW_DTYPE)[::1]
_COUNTS = types.int32[::1]
_F64S = types.float64[::1]


@numba.njit(EVENTS(EVENTS, types.int64, types.int64), cache=True, error_model="numpy")
def room_for(events: Any, written: int, more: int) -> Any:
    """Give `events`, or a larger array with what is written, with room for `more`."""
    if written + more <= events.size:
        return events
    larger = np.empty(2 * (written + more), RAW_DTYPE)
    larger[:written] = events[:written]
    return larger


@numba.njit(
    types.void(EVENTS, types.int64, types.float64, types.int64, types.int64, types.int64),
    cache=True,
    error_model="numpy",
)
def put(events: Any, where: int, t_s: float, place: int, width: int, polarity: int) -> None:
    """Write one event of the pixel at `place`, counted row by row."""
    y = np.uint32(place) // np.uint32(width)
    event = events[where]
    event.t = t_s
    event.x = np.uint32(place) - y * np.uint32(width)
    event.y = y
    event.p = polarity


@numba.njit(
    types.int64(
        EVENTS, types.int64, types.int64, _COUNTS, _COUNTS, _COUNTS, types.int64,
        types.float64, types.float64, types.float64, types.int64, _F64S,
    ),
    cache=True,
    error_model="numpy",
)  # fmt: skip
def emit_in_slots(
    events: Any,
    written: int,
    n_active: int,
    places: Any,
    counts: Any,
    kept: Any,
    n_slots: int,
    previous_s: float,
    now_s: float,
    refractory_period_s: float,
    width: int,
    last_event_s: Any,
) -> int:
    """Write the events of one frame at v2e's instants, slot by slot, row-major within one.

    Args:
        events: receives them; has room.
        written: events in it already.
        n_active: pixels that crossed a threshold.
        places: which, ascending.
        counts: thresholds crossed by each, negative for OFF.
        kept: receives the events that each made.
        n_slots: the largest count.
        previous_s: time of the frame before, seconds.
        now_s: time of this frame, seconds.
        refractory_period_s: silence after an event, seconds.
        width: pixels in a row.
        last_event_s: time of each pixel's last event, seconds; changed in place.

    Returns:
        Events written, those before included.
    """
    step = (now_s - previous_s) / max(n_slots, 1)
    first, last = np.float32(previous_s + step), np.float32(now_s)
    times = np.empty(n_slots, np.float32)
    for slot in range(n_slots):
        times[slot] = slot_time(first, last, slot, n_slots)
    silence = np.float32(0)
    jump = 1
    # v2e skips the filter, and its bookkeeping, where slots lie further apart
    silenced = refractory_period_s > step
    if silenced:
        silence = np.float32(refractory_period_s)
        # as many slots as lie within the silence whatever float32 does to their times
        surely: Any = np.int64((refractory_period_s - now_s * 2.0**-21) / step)
        jump += max(surely, 0)

    # counted first, so that each event can be written at its place in the order of slots
    starts = np.zeros(n_slots + 1, np.int64)
    for j in range(n_active):
        n, slot, kept[j] = abs(counts[j]), 0, 0
        before = np.float32(last_event_s[places[j]]) if silenced else np.float32(0)
        while True:
            while silenced and slot < n and not np.float32(times[slot] - before) > silence:
                slot += 1
            if slot >= n:
                break
            starts[slot + 1] += 1
            kept[j] += 1
            before = times[slot]
            slot += jump
    starts[0] = written
    for slot in range(n_slots):
        starts[slot + 1] += starts[slot]
    written = starts[n_slots]
    for j in range(n_active):
        i = places[j]
        polarity = 1 if counts[j] > 0 else -1
        slot = 0
        for _ in range(kept[j]):
            while silenced and not np.float32(times[slot] - np.float32(last_event_s[i])) > silence:
                slot += 1
            put(events, starts[slot], times[slot], i, width, polarity)
            starts[slot] += 1
            if silenced:
                last_event_s[i] = times[slot]
            slot += jump
    return written


@numba.njit(
    types.int64(
        EVENTS, types.int64, types.int64, _COUNTS, _COUNTS, _COUNTS, _F64S, _F64S, _F64S,
        types.float64, types.float64, types.float64, types.int64, _F64S,
    ),
    cache=True,
    error_model="numpy",
)  # fmt: skip
def emit_at_crossings(
    events: Any,
    written: int,
    n_active: int,
    places: Any,
    counts: Any,
    kept: Any,
    before: Any,
    after: Any,
    thresholds: Any,
    previous_s: float,
    now_s: float,
    refractory_period_s: float,
    width: int,
    last_event_s: Any,
) -> int:
    """Write the events of one frame, each when its threshold is reached, pixel by pixel.

    The difference of a pixel is taken as straight from frame to frame. A pixel that is silent at
    a crossing fires when its refractory period ends, if that is before the frame.

    Args:
        events: receives them; has room.
        written: events in it already.
        n_active: pixels that crossed a threshold.
        places: which, ascending.
        counts: thresholds crossed by each, negative for OFF.
        kept: receives the events that each made.
        before: difference of each at the frame before, towards the threshold, log units.
        after: the same at this frame.
        thresholds: the threshold of each, log units.
        previous_s: time of the frame before, seconds.
        now_s: time of this frame, seconds.
        refractory_period_s: silence after an event, seconds.
        width: pixels in a row.
        last_event_s: time of each pixel's last event, seconds; changed in place.

    Returns:
        Events written, those before included.
    """
    duration = now_s - previous_s
    for j in range(n_active):
        i = places[j]
        kept[j] = 0
        for k in range(abs(counts[j])):
            reached = (k + 1) * thresholds[j]
            share = 0.0  # a difference left over from the frame before is met at once
            if reached > before[j]:
                share = (reached - before[j]) / (after[j] - before[j])
            time = max(previous_s + share * duration, last_event_s[i] + refractory_period_s)
            if time > now_s:
                # a share of 1 may round to beyond the frame; silence beyond it waits
                if last_event_s[i] + refractory_period_s > now_s:
                    break
                time = now_s
            last_event_s[i] = time
            kept[j] += 1
            put(events, written, time, i, width, 1 if counts[j] > 0 else -1)
            written += 1
    return written


@numba.njit(
    types.void(EVENTS, types.int64, types.int64, types.float64, types.float64),
    cache=True,
    error_model="numpy",
)
def sort_by_time(events: Any, start: int, stop: int, from_s: float, to_s: float) -> None:
    """Sort some events by time in place; those of one instant keep their order.

    Args:
        events: holds them.
        start: the first that counts.
        stop: one after the last.
        from_s: no event is earlier.
        to_s: no event is later.
    """
    n = stop - start
    if n < 2 or not to_s > from_s:
        return
    # into as many bins as there are events, which leaves next to nothing to sort
    scale = n / (to_s - from_s)
    bins = np.empty(n, np.int32)
    ends = np.zeros(n + 1, np.int32)
    for k in range(n):
        share: Any = np.int64((events[start + k].t - from_s) * scale)
        bins[k] = min(share, n - 1)
        ends[bins[k] + 1] += 1
    for k in range(n):
        ends[k + 1] += ends[k]
    order = np.empty(n, np.int32)
    for k in range(n):
        order[ends[bins[k]]] = k
        ends[bins[k]] += 1
    for k in range(1, n):
        moved = order[k]
        time = events[start + moved].t
        m = k
        while m > 0 and events[start + order[m - 1]].t > time:
            order[m] = order[m - 1]
            m -= 1
        order[m] = moved
    found = events[start:stop].copy()
    for k in range(n):
        events[start + k] = found[order[k]]
