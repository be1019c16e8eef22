"""Frames through pixels with low-pass, leak and noise, or of fractional levels, in machine code.

What happens at one frame; the widths are v2e's, float32 without a low-pass, else float64:

    1. response  log of the level, low-passed the faster the brighter
    2. memory    sinks by the leak
    3. counts    whole thresholds in D = response + photoreceptor noise - memory
    4. events    in slots or at crossings
    5. memory    moves by one threshold for every event that was made
    6. noise     shot noise events; they set the memory to the response
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
    put,
    room_for,
    sort_by_time,
)
from evfer.emulator.pixel import collect, crosses, slot_time, whole_thresholds
from evfer.emulator.response import LOG_OF_LEVEL, SPEED_OF_LEVEL
from evfer.emulator.state import Pixels, Signal
from evfer.emulator.words import fill_words, normal, uniform
from evfer.events import RAW_DTYPE

__all__ = ["watch_signals"]

_LEAK, _SHOT, _PHOTORECEPTOR = 0, 1, 2  # streams of random words
_BRIGHT_LESS_DARK = -0.75  # of the rate of shot noise


_SIGNAL = types.NamedTuple(
    [
        types.int64, types.boolean, types.float64, types.float64, types.boolean, types.float64,
        types.float64, types.float64, types.boolean,
    ],
    Signal,
)  # fmt: skip
_FLAGS, _PLACES, _WORDS = types.uint8[::1], types.int32[::1], types.uint32[::1]


def _pixels(state: Any) -> Any:
    drawn, states = types.float32[::1], state[::1]
    kinds = [drawn, drawn, states, states, drawn, drawn, drawn, states, states, states, drawn]
    return types.NamedTuple([*kinds, types.float64[::1]], Pixels)


_EACH_WIDTH = _pixels(types.float32), _pixels(types.float64)
_LEVELS = types.Array(types.uint8, 1, "C", readonly=True)
_VALUES = types.Array(types.float32, 1, "C", readonly=True)
_SPEEDS = types.Array(types.float64, 1, "C", readonly=True)
_KEY = types.Array(types.uint32, 1, "C", readonly=True)


@numba.njit(
    [
        types.void(_LEVELS, _VALUES, _SPEEDS, types.boolean, types.float64, each)
        for each in _EACH_WIDTH
    ],
    cache=True,
    error_model="numpy",
)
def _respond(levels: Any, logs: Any, speeds: Any, lags: bool, share: float, pixels: Any) -> None:
    """Let the photoreceptors follow a frame: at once, or `share` of the way at white."""
    response = pixels.response
    if not lags:
        for i in range(response.size):
            response[i] = LOG_OF_LEVEL[levels[i]] if levels.size else logs[i]
        return
    if levels.size:
        share_of_level = np.minimum(SPEED_OF_LEVEL * share, 1.0)
        log_of_level = LOG_OF_LEVEL.astype(np.float64)
        for i in range(response.size):
            part = share_of_level[levels[i]]
            response[i] = (1.0 - part) * response[i] + part * log_of_level[levels[i]]
    else:
        for i in range(response.size):
            part = min(speeds[i] * share, 1.0)
            response[i] = (1.0 - part) * response[i] + part * np.float64(logs[i])


@numba.njit(
    [types.void(_WORDS, types.float64, types.float64, each) for each in _EACH_WIDTH],
    cache=True,
    error_model="numpy",
)
def _leak(words: Any, jitter: float, step_s: float, pixels: Any) -> None:
    step, spread = np.float32(step_s), np.float32(jitter)
    if spread == 0:
        for i in range(pixels.log_memory.size):
            pixels.log_memory[i] -= step * pixels.leak_hz[i] * pixels.pos_thres[i]
    else:
        for i in range(pixels.log_memory.size):
            rate = pixels.leak_hz[i] * (np.float32(1) - spread * normal(words[i]))
            pixels.log_memory[i] -= step * rate * pixels.pos_thres[i]


@numba.njit(
    [types.void(_WORDS, types.float64, types.float64, each) for each in _EACH_WIDTH],
    cache=True,
    error_model="numpy",
)
def _tremble(words: Any, level: float, share: float, pixels: Any) -> None:
    """Move the photoreceptor noise on by one frame."""
    part, rest, scale = np.float32(share), np.float32(1.0 - share), np.float32(level)
    for i in range(pixels.noise.size):
        pixels.noise[i] = rest * pixels.noise[i] + part * (scale * normal(words[i]))


@numba.njit(
    [
        types.int64(_WORDS, types.float64, types.float64, _FLAGS, _PLACES, each)
        for each in _EACH_WIDTH
    ],
    cache=True,
    error_model="numpy",
)
def _find_shots(
    words: Any, rate: float, highest_ratio: float, flags: Any, places: Any, pixels: Any
) -> Any:
    """List the pixels that may make shot noise, by the most that any of them can."""
    most = np.ceil(rate * highest_ratio * 2.0**32) + 2.0**8
    low = np.uint32(min(most, 2.0**31))
    high = np.uint32(2.0**32 - min(most, 2.0**31))
    for i in range(pixels.noise.size):
        flags[i] = (words[i] <= low) | (words[i] >= high)
    return collect(flags, places)


@numba.njit(
    [
        types.Tuple((EVENTS, types.int64))(
            types.Array(types.uint8, 2, "C", readonly=True),
            types.Array(types.float32, 2, "C", readonly=True),
            types.Array(types.float64, 2, "C", readonly=True),
            types.Array(types.float64, 1, "C", readonly=True),
            types.Array(types.float64, 1, "C", readonly=True),
            types.float64, types.int64, _KEY, _SIGNAL, each,
        )
        for each in _EACH_WIDTH
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def watch_signals(
    levels: Any,
    logs: Any,
    speeds: Any,
    times_s: Any,
    noise_levels: Any,
    previous_s: float,
    number: int,
    key: Any,
    signal: Any,
    pixels: Any,
) -> tuple[Any, int]:
    """Run frames through the pixels.

    Args:
        levels: frames as whole grey levels, shape (n, pixels), or (n, 0) if `logs` is given.
        logs: frames as log intensity, shape (n, pixels), or (n, 0) if `levels` is given.
        speeds: relative speed of the photoreceptor, likewise.
        times_s: time of each frame, seconds, shape (n,).
        noise_levels: strength of the photoreceptor noise at each frame, log units, shape (n,).
        previous_s: time of the frame before, seconds.
        number: frames seen before.
        key: of the random words, shape (2,).
        signal: settings.
        pixels: state; changed in place.

    Returns:
        An array whose first events are those made, and their number.
    """
    n_pixels = pixels.noise.size
    log_memory, difference = pixels.log_memory, pixels.difference
    flags = np.zeros((n_pixels + 7) // 8 * 8, np.uint8)
    words = np.empty((n_pixels + 3) // 4 * 4, np.uint32)
    places = np.empty(n_pixels + 1, np.int32)
    shots = np.empty(n_pixels + 1, np.int32)
    counts = np.empty(n_pixels, np.int32)
    kept = np.empty(n_pixels, np.int32)
    waiting = np.empty(n_pixels, np.int32)
    n_details = n_pixels if signal.at_crossings else 0
    before = np.empty(n_details, np.float64)
    after = np.empty(n_details, np.float64)
    thresholds = np.empty(n_details, np.float64)
    starts = np.empty_like(difference)
    events = np.empty(min(n_pixels, 4096), RAW_DTYPE)
    written = 0
    for frame in range(times_s.size):
        now_s = times_s[frame]
        step_s = now_s - previous_s
        share = step_s / (1.0 / (np.pi * 2.0 * signal.cutoff_hz)) if signal.cutoff_hz > 0 else 0.0
        _respond(levels[frame], logs[frame], speeds[frame], signal.cutoff_hz > 0, share, pixels)
        if signal.leaks:
            if signal.leak_jitter_fraction > 0:
                fill_words(key, _LEAK, number + frame, words)
            _leak(words, signal.leak_jitter_fraction, step_s, pixels)
        if signal.photoreceptor_noise:
            fill_words(key, _PHOTORECEPTOR, number + frame, words)
            _tremble(words, noise_levels[frame], min(share, 1.0), pixels)
        if signal.at_crossings:
            starts[:] = difference
        for i in range(n_pixels):
            found = pixels.response[i] + pixels.noise[i] - log_memory[i]
            difference[i] = found
            flags[i] = crosses(found, pixels.pos_count[i], pixels.neg_count[i])

        n_active = collect(flags, places)
        n_slots, room = 0, 0
        for j in range(n_active):
            i = places[j]
            count = whole_thresholds(difference[i], pixels.pos_count[i], pixels.neg_count[i])
            counts[j] = count
            n_slots = max(n_slots, abs(count))
            room += abs(count)
            if signal.at_crossings:
                sign = 1.0 if count > 0 else -1.0
                before[j], after[j] = sign * starts[i], sign * difference[i]
                thresholds[j] = pixels.pos_count[i] if count > 0 else pixels.neg_count[i]
        n_shots = 0
        chance = 0.0
        if signal.shot_noise_rate_hz > 0 and not signal.photoreceptor_noise:
            fill_words(key, _SHOT, number + frame, words)
            chance = signal.shot_noise_rate_hz / 2.0 * step_s
            n_shots = _find_shots(words, chance, signal.highest_shot_ratio, flags, shots, pixels)
        events = room_for(events, written, room + n_shots)
        new = written
        if signal.at_crossings:
            written = emit_at_crossings(
                events, written, n_active, places, counts, kept, before, after, thresholds,
                previous_s, now_s, signal.refractory_period_s, signal.width, pixels.last_event_s,
            )  # fmt: skip
        else:
            written = emit_in_slots(
                events, written, n_active, places, counts, kept, waiting, n_slots,
                previous_s, now_s, signal.refractory_period_s, signal.width, pixels.last_event_s,
            )  # fmt: skip
        for j in range(n_active):
            i = places[j]
            if counts[j] > 0:
                moved = np.float32(np.float32(kept[j]) * pixels.pos_thres[i])
                log_memory[i] += moved
            else:
                moved = np.float32(np.float32(kept[j]) * pixels.neg_thres[i])
                log_memory[i] -= moved
            difference[i] = pixels.response[i] + pixels.noise[i] - log_memory[i]

        n_slots = max(n_slots, 1)
        first, last = np.float32(previous_s + step_s / n_slots), np.float32(now_s)
        last_slot_s = slot_time(first, last, n_slots - 1, n_slots)
        for k in range(n_shots):
            i = shots[k]
            speed = SPEED_OF_LEVEL[levels[frame, i]] if levels.shape[1] else speeds[frame, i]
            each = chance * (_BRIGHT_LESS_DARK * speed + 1.0)
            on, off = each * pixels.pos_ratio[i], each * pixels.neg_ratio[i]
            drawn = uniform(words[i])
            for polarity in (1, -1):
                # how far the draw lies within its chance is as even as the draw itself
                part = (drawn - (1.0 - on)) / on if polarity > 0 else drawn / off
                if not (part > 0.0 if polarity > 0 else part < 1.0):
                    continue
                time = previous_s + part * step_s if signal.at_crossings else last_slot_s
                put(events, written, time, i, signal.width, polarity)
                written += 1
                log_memory[i] = pixels.response[i]
                difference[i] = pixels.noise[i]
        if signal.at_crossings:
            sort_by_time(events, new, written, previous_s, now_s)
        previous_s = now_s
    return events, written
