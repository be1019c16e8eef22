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
from evfer.emulator.philox import fill_normals, fill_words, uniform
from evfer.emulator.pixel import collect, crosses, slot_time, whole_thresholds
from evfer.emulator.response import LOG_OF_LEVEL, SPEED_OF_LEVEL
from evfer.emulator.state import Pixels, Signal

__all__ = ["watch_signals"]

_LEAK, _SHOT, _PHOTORECEPTOR = 0, 1, 2  # streams of random words
_BRIGHT_LESS_DARK = -0.75  # of the rate of shot noise


_SIGNAL = types.NamedTuple(
    [
        types.int64, types.boolean, types.float64, types.float64, types.boolean, types.float64,
        types.float64, types.boolean,
    ],
    Signal,
)  # fmt: skip
_FLAGS, _PLACES, _WORDS = types.uint8[::1], types.int32[::1], types.uint32[::1]
_F32S = types.float32[::1]


def _pixels(state: Any) -> Any:
    drawn, states = types.float32[::1], state[::1]
    kinds = [drawn, drawn, states, states, drawn, drawn, drawn, states, states, drawn]
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
    [
        types.void(_F32S, types.float64, types.float64, types.boolean, types.boolean, _FLAGS, each)
        for each in _EACH_WIDTH
    ],
    cache=True,
    error_model="numpy",
)
def _leak_and_compare(
    normals: Any,
    jitter: float,
    step_s: float,
    leaks: bool,
    trembles: bool,
    flags: Any,
    pixels: Any,
) -> None:
    """Let the memories sink, and flag the pixels that have reached a threshold."""
    step, spread = np.float32(step_s), np.float32(jitter)
    response, memory = pixels.response, pixels.log_memory
    for i in range(memory.size):
        remembered = memory[i]
        if leaks:
            rate = pixels.leak_hz[i] * (np.float32(1) - spread * normals[i])
            remembered -= step * rate * pixels.pos_thres[i]
            memory[i] = remembered
        seen = response[i] + pixels.noise[i] if trembles else response[i]
        flags[i] = crosses(seen - remembered, pixels.pos_count[i], pixels.neg_count[i])


@numba.njit(
    [
        types.int64(_WORDS, types.float64, _FLAGS, types.int64, _PLACES, each)
        for each in _EACH_WIDTH
    ],
    cache=True,
    error_model="numpy",
)
def _find_shots(
    words: Any, chance: float, flags: Any, polarity: int, places: Any, pixels: Any
) -> Any:
    """List the pixels that would make shot noise at black, where it is strongest."""
    most, more = np.float32(chance), np.float32(2.0**-20)
    if polarity > 0:
        for i in range(pixels.noise.size):
            least = np.float32(1) - most * pixels.pos_ratio[i] - more
            flags[i] = uniform(words[i]) >= least
    else:
        for i in range(pixels.noise.size):
            flags[i] = uniform(words[i]) <= most * pixels.neg_ratio[i] + more
    return collect(flags, places)


@numba.njit(
    [
        types.int64(
            EVENTS, types.int64, types.int64, types.int64, _PLACES, _WORDS, _LEVELS, _SPEEDS,
            types.float64, types.float64, types.float64, types.boolean, types.int64, each,
        )
        for each in _EACH_WIDTH
    ],
    cache=True,
    error_model="numpy",
)  # fmt: skip
def _emit_shots(
    events: Any,
    written: int,
    polarity: int,
    n_found: int,
    places: Any,
    words: Any,
    levels: Any,
    speeds: Any,
    chance: float,
    from_s: float,
    duration_s: float,
    spread: bool,
    width: int,
    pixels: Any,
) -> int:
    """Write shot noise events, at `from_s` or spread from there, and reset their pixels."""
    for k in range(n_found):
        i = places[k]
        speed = SPEED_OF_LEVEL[levels[i]] if levels.size else speeds[i]
        ratio = pixels.pos_ratio[i] if polarity > 0 else pixels.neg_ratio[i]
        share = chance * (_BRIGHT_LESS_DARK * speed + 1.0) * ratio
        drawn = np.float64(uniform(words[i]))
        if not (drawn > 1.0 - share if polarity > 0 else drawn < share):
            continue
        time = from_s
        if spread:
            # how far a draw lies within its share is as even as the draw itself
            time += (1.0 - drawn if polarity > 0 else drawn) / share * duration_s
        put(events, written, time, i, width, polarity)
        written += 1
        pixels.log_memory[i] = pixels.response[i]
    return written


@numba.njit(
    [
        types.Tuple((EVENTS, types.int64, types.int64))(
            types.Array(types.uint8, 2, "C", readonly=True),
            types.Array(types.float32, 2, "C", readonly=True),
            types.Array(types.float64, 2, "C", readonly=True),
            types.Array(types.float64, 1, "C", readonly=True),
            types.Array(types.float64, 1, "C", readonly=True),
            types.float64, types.int64, _KEY, _SIGNAL, each, EVENTS,
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
    events: Any,
) -> tuple[Any, int, int]:
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
        events: receives the events.

    Returns:
        The array of events, or a larger one if a frame needed it; events written; frames done,
        at least one, fewer than given if the array is nearly full.
    """
    n_pixels = pixels.noise.size
    response, noise, log_memory = pixels.response, pixels.noise, pixels.log_memory
    at_crossings, lags = signal.at_crossings, signal.cutoff_hz > 0
    trembles = signal.photoreceptor_noise
    shoots = signal.shot_noise_rate_hz > 0 and not trembles
    flags = np.zeros((n_pixels + 63) // 64 * 64, np.uint8)
    words = np.empty((n_pixels + 3) // 4 * 4, np.uint32)
    normals = np.zeros(words.size, np.float32)
    places = np.empty(n_pixels, np.int32)
    shots_on = np.empty(n_pixels, np.int32)
    shots_off = np.empty(n_pixels, np.int32)
    counts = np.empty(n_pixels, np.int32)
    kept = np.empty(n_pixels, np.int32)
    starts = np.empty_like(response)
    before = np.empty(n_pixels, np.float64)
    after = np.empty(n_pixels, np.float64)
    thresholds = np.empty(n_pixels, np.float64)
    written, most = 0, 0
    for frame in range(times_s.size):
        now_s = times_s[frame]
        step_s = now_s - previous_s
        share = step_s / (1.0 / (np.pi * 2.0 * signal.cutoff_hz)) if lags else 0.0
        if at_crossings:
            for i in range(n_pixels):
                starts[i] = response[i] + noise[i] - log_memory[i]
        _respond(levels[frame], logs[frame], speeds[frame], lags, share, pixels)
        if trembles:
            fill_words(key, _PHOTORECEPTOR, number + frame, words)
            fill_normals(words, normals)
            part, rest = np.float32(min(share, 1.0)), np.float32(1.0 - min(share, 1.0))
            level = np.float32(noise_levels[frame])
            for i in range(n_pixels):
                noise[i] = rest * noise[i] + part * (level * normals[i])
        if signal.leaks and signal.leak_jitter_fraction > 0:
            fill_words(key, _LEAK, number + frame, words)
            fill_normals(words, normals)
        jitter = signal.leak_jitter_fraction
        _leak_and_compare(normals, jitter, step_s, signal.leaks, trembles, flags, pixels)

        n_active = collect(flags, places)
        n_slots, room = 0, 0
        for j in range(n_active):
            i = places[j]
            difference = response[i] + noise[i] - log_memory[i]
            count = whole_thresholds(difference, pixels.pos_count[i], pixels.neg_count[i])
            counts[j] = count
            n_slots = max(n_slots, abs(count))
            room += abs(count)
            if at_crossings:
                sign = np.float32(1) if count > 0 else np.float32(-1)
                before[j], after[j] = sign * starts[i], sign * difference
                thresholds[j] = pixels.pos_count[i] if count > 0 else pixels.neg_count[i]
        n_on, n_off = 0, 0
        chance = signal.shot_noise_rate_hz / 2.0 * step_s
        if shoots:
            fill_words(key, _SHOT, number + frame, words)
            n_on = _find_shots(words, chance, flags, 1, shots_on, pixels)
            n_off = _find_shots(words, chance, flags, -1, shots_off, pixels)
            room += n_on + n_off
        events = room_for(events, written, room)
        new = written
        if at_crossings:
            written = emit_at_crossings(
                events, written, n_active, places, counts, kept, before, after, thresholds,
                previous_s, now_s, signal.refractory_period_s, signal.width, pixels.last_event_s,
            )  # fmt: skip
        else:
            written = emit_in_slots(
                events, written, n_active, places, counts, kept, n_slots,
                previous_s, now_s, signal.refractory_period_s, signal.width, pixels.last_event_s,
            )  # fmt: skip
        for j in range(n_active):
            i = places[j]
            threshold = pixels.pos_thres[i] if counts[j] > 0 else pixels.neg_thres[i]
            sign = np.float32(1) if counts[j] > 0 else np.float32(-1)
            log_memory[i] += sign * np.float32(np.float32(kept[j]) * threshold)
        if shoots:
            n_slots = max(n_slots, 1)
            first, last = np.float32(previous_s + step_s / n_slots), np.float32(now_s)
            last_slot_s = np.float64(slot_time(first, last, n_slots - 1, n_slots))
            from_s = previous_s if at_crossings else last_slot_s
            for polarity, n_found, found in ((1, n_on, shots_on), (-1, n_off, shots_off)):
                written = _emit_shots(
                    events, written, polarity, n_found, found, words, levels[frame],
                    speeds[frame], chance, from_s, step_s, at_crossings, signal.width, pixels,
                )  # fmt: skip
        if at_crossings:
            sort_by_time(events, new, written, previous_s, now_s)
        previous_s = now_s
        most = max(most, room)
        if written + most > events.size:
            return events, written, frame + 1
    return events, written, times_s.size
