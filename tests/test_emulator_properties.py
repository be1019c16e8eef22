"""Rules that hold for every clip, and a second emulator written plainly to compare with."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from exploring import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evfer.emulator import DVSEmulator, DVSParams, log_response
from evfer.emulator.pixel import slot_time

f32 = np.float32


@st.composite
def clips(draw, *, at_least=1, floats=True):
    """Frames and times: small pictures, few or many levels, steps that may be zero or long."""
    n = draw(st.integers(at_least, 8))
    shape = (n, draw(st.integers(1, 5)), draw(st.integers(1, 9)))
    if floats and draw(st.booleans()):
        frames = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 255, width=32)))
    else:
        levels = draw(st.sampled_from([(0, 255), (0, 30), (90, 110)]))
        frames = draw(hnp.arrays(np.uint8, shape, elements=st.integers(*levels)))
    steps = draw(st.lists(st.integers(0, 60_000), min_size=n, max_size=n))
    return frames, np.cumsum(steps) / 1e6


@st.composite
def pixels(draw):
    return DVSParams(
        pos_thres=draw(st.floats(0.05, 1)),
        neg_thres=draw(st.floats(0.05, 1)),
        sigma_thres=draw(st.sampled_from([0.0, 0.02, 0.3])),
        refractory_period_s=draw(st.sampled_from([0.0, 0.0005, 0.004, 0.1])),
    )


@st.composite
def any_pixels(draw):
    """Settings of every part of the model, noise and all."""
    noise = draw(st.sampled_from(["none", "shot", "photoreceptor"]))
    return DVSParams(
        pos_thres=draw(st.floats(0.05, 1)),
        neg_thres=draw(st.floats(0.05, 1)),
        sigma_thres=draw(st.sampled_from([0.0, 0.02])),
        cutoff_hz=draw(st.sampled_from([15.0, 300.0] + [0.0] * (noise != "photoreceptor"))),
        leak_rate_hz=draw(st.sampled_from([0.0, 0.1, 30.0])),
        shot_noise_rate_hz=0.0 if noise == "none" else draw(st.sampled_from([0.5, 20.0])),
        refractory_period_s=draw(st.sampled_from([0.0, 0.0005, 0.004, 0.1])),
        leak_jitter_fraction=draw(st.sampled_from([0.0, 0.1])),
        photoreceptor_noise=noise == "photoreceptor",
        timing=draw(st.sampled_from(["slot", "crossing"])),
    )


def plain_emulator(frames, times, params, pos, neg):
    """v2e's rules, pixel by pixel and in exact fractions where its float32 rounds once."""
    memory = log_response(frames[0])
    fired = np.full(memory.shape, -f32(params.refractory_period_s))
    events, previous = [], 0.0
    for frame, now in zip(frames[1:], times[1:], strict=True):
        difference = log_response(frame) - memory
        ups = np.floor_divide(np.maximum(difference, 0), pos).astype(int)
        downs = np.floor_divide(np.maximum(-difference, 0), neg).astype(int)
        n_slots = max(ups.max(), downs.max())
        step = (now - previous) / max(n_slots, 1)
        kept_up, kept_down = np.zeros_like(ups), np.zeros_like(downs)
        for slot in range(n_slots):
            time = plain_slot_time(f32(previous + step), f32(now), slot, n_slots)
            for y, x in np.argwhere(np.maximum(ups, downs) > slot):
                if params.refractory_period_s > step:
                    if not time - fired[y, x] > f32(params.refractory_period_s):
                        continue
                    fired[y, x] = time
                kept_up[y, x] += ups[y, x] > slot
                kept_down[y, x] += downs[y, x] > slot
                events.append((time, x, y, 1 if ups[y, x] > slot else -1))
        memory = memory + kept_up.astype(f32) * pos
        memory = memory - kept_down.astype(f32) * neg
        previous = now
    return events, memory


def plain_slot_time(first, last, slot, n_slots):
    if n_slots == 1:
        return first
    spacing = f32((last - first) / f32(n_slots - 1))
    if slot < n_slots // 2:
        return rounded(Fraction(float(first)) + slot * Fraction(float(spacing)))
    return rounded(Fraction(float(last)) - (n_slots - 1 - slot) * Fraction(float(spacing)))


def rounded(exact):
    """Round a fraction to float32 once, half to even."""
    guess = f32(float(exact))
    near = [np.nextafter(guess, f32(-np.inf)), guess, np.nextafter(guess, f32(np.inf))]
    return min(near, key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1))


@given(
    st.floats(0, 4000, width=32),
    st.floats(0, 10, width=32),
    st.integers(1, 600),
    st.data(),
)
def test_slot_times_round_once(first, span, n_slots, data):
    first, last = f32(first), f32(f32(first) + f32(span))
    slot = data.draw(st.integers(0, n_slots - 1))
    assert slot_time(first, last, slot, n_slots) == plain_slot_time(first, last, slot, n_slots)


@settings(max_examples=examples(60))
@given(clips(), pixels(), st.integers(0, 5))
def test_equals_the_plain_emulator(clip, params, seed):
    frames, times = clip
    emulator = DVSEmulator(params, seed=seed)
    raw = emulator.run(frames, times)
    events, memory = plain_emulator(frames, times, params, *emulator.thresholds)
    plain = np.array(events, raw.dtype)
    np.testing.assert_array_equal(raw, plain)
    np.testing.assert_array_equal(emulator.log_memory, memory)


@given(clips(), any_pixels())
def test_events_lie_on_the_sensor_and_inside_the_clip(clip, params):
    frames, times = clip
    _, height, width = frames.shape
    raw = DVSEmulator(params).run(frames, times)
    if len(raw) == 0:
        return
    assert raw["x"].min() >= 0
    assert raw["x"].max() < width
    assert raw["y"].min() >= 0
    assert raw["y"].max() < height
    assert set(raw["p"]) <= {-1, 1}
    assert (np.diff(raw["t"]) >= 0).all()
    assert raw["t"][0] >= 0
    if params.timing == "crossing":
        assert times[0] <= raw["t"][0]
        assert raw["t"][-1] <= times[-1]
    else:
        # a slot is float32, so the last may stand half a step of float32 above
        assert raw["t"][-1] <= np.nextafter(f32(times[-1]), f32(np.inf))


@given(clips(at_least=2), any_pixels(), st.data())
def test_blocks_make_no_difference(clip, params, data):
    frames, times = clip
    whole = DVSEmulator(params)
    expected = whole.run(frames, times)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(frames) - 1))))
    pieces, emulator = [], DVSEmulator(params)
    for start, stop in zip([0, *cuts], [*cuts, len(frames)], strict=True):
        if stop - start == 1 and data.draw(st.booleans()):
            pieces.append(emulator.step(frames[start], times[start]))
        else:
            pieces.append(emulator.run(frames[start:stop], times[start:stop]))
    np.testing.assert_array_equal(np.concatenate(pieces), expected)
    np.testing.assert_array_equal(emulator.log_memory, whole.log_memory)


@given(clips(), pixels(), st.sampled_from(["slot", "crossing"]), st.sampled_from([0.0, 30.0]))
def test_a_still_picture_makes_no_events(clip, params, timing, cutoff_hz):
    frames, times = clip
    params = replace(params, timing=timing, cutoff_hz=cutoff_hz)
    still = np.repeat(frames[:1], len(frames), axis=0)
    assert len(DVSEmulator(params).run(still, times)) == 0


@given(
    clips(floats=False),
    st.floats(0.05, 1),
    st.sampled_from([0.0, 0.004]),
    st.sampled_from(["slot", "crossing"]),
)
def test_polarities_are_alike(clip, threshold, refractory_period_s, timing):
    frames, times = clip
    # levels 0 to 20 have evenly spaced logs, so 20 - level mirrors them; a rounding decides only
    # where a whole number of thresholds is met, which is left out here
    steps = np.arange(1, 21) * float(log_response(20)) / 20 / threshold
    assume(np.abs(steps - np.rint(steps)).min() > 1e-3)
    rising = np.sort(frames % 21, axis=0)
    params = DVSParams(
        pos_thres=threshold,
        neg_thres=threshold,
        sigma_thres=0.0,
        refractory_period_s=refractory_period_s,
        timing=timing,
    )
    on = DVSEmulator(params).run(rising, times)
    off = DVSEmulator(params).run(20 - rising, times)
    assert (on["p"] == 1).all()
    assert (off["p"] == -1).all()
    if timing == "slot":
        off["p"] = 1
        np.testing.assert_array_equal(on, off)
    else:
        # the mirrored levels differ from these by what float32 rounds, and so do the instants
        on, off = (np.sort(each, order=["y", "x", "t"]) for each in (on, off))
        np.testing.assert_array_equal(on[["x", "y"]], off[["x", "y"]])
        np.testing.assert_allclose(on["t"], off["t"], rtol=0, atol=1e-6 * max(times[-1], 1))


@given(clips(), any_pixels())
def test_bytes_and_floats_are_alike(clip, params):
    frames, times = clip
    levels = frames.astype(np.uint8)
    some = DVSEmulator(params).run(levels, times)
    np.testing.assert_array_equal(DVSEmulator(params).run(levels.astype(f32), times), some)
    mixed = DVSEmulator(params)
    pieces = [mixed.run(levels[:1], times[:1])]
    for k in range(1, len(levels)):
        kind = (np.uint8, f32)[k % 2]
        pieces.append(mixed.run(levels[k : k + 1].astype(kind), times[k : k + 1]))
    np.testing.assert_array_equal(np.concatenate(pieces), some)


def plain_crossings(frames, times, params, pos, neg):
    """Each pixel's crossings on straight lines from frame to frame, one after the other."""
    logs = np.float64(log_response(frames))
    memory = log_response(frames[0])
    events = []
    for y, x in np.ndindex(memory.shape):
        fired = -np.inf
        level = f32(memory[y, x])
        for k in range(1, len(frames)):
            start, stop = logs[k - 1, y, x], logs[k, y, x]
            difference = f32(stop) - level
            up = difference > 0
            threshold = pos[y, x] if up else neg[y, x]
            count = Fraction(float(abs(difference))) // Fraction(float(threshold))
            kept = 0
            for j in range(1, int(count) + 1):
                target = np.float64(level) + (j if up else -j) * np.float64(threshold)
                # what was left over from before is met at once
                beyond = start >= target if up else start <= target
                part = 0.0 if beyond else min((target - start) / (stop - start), 1.0)
                at = max(times[k - 1] + part * (times[k] - times[k - 1]), fired)
                if at > times[k]:
                    break
                fired = at + params.refractory_period_s
                kept += 1
                events.append((at, x, y, 1 if up else -1))
            moved = f32(f32(kept) * threshold)
            level = level + moved if up else level - moved
    return events


@settings(max_examples=examples(60))
@given(clips(), pixels(), st.integers(0, 5))
def test_crossings_equal_the_plain_ones(clip, params, seed):
    frames, times = clip
    assume((np.diff(times) == 0).sum() == 0)
    params = replace(params, timing="crossing")
    emulator = DVSEmulator(params, seed=seed)
    raw = emulator.run(frames, times)
    events = np.array(plain_crossings(frames, times, params, *emulator.thresholds), raw.dtype)
    raw, events = (np.sort(each, order=["y", "x", "t"]) for each in (raw, events))
    np.testing.assert_array_equal(raw[["x", "y", "p"]], events[["x", "y", "p"]])
    # float32 logs decide where a line starts and ends
    np.testing.assert_allclose(raw["t"], events["t"], rtol=0, atol=3e-5 * max(times[-1], 1e-3))


@given(clips(), pixels())
def test_both_timings_make_the_same_number_of_events(clip, params):
    frames, times = clip
    params = replace(params, refractory_period_s=0.0)
    slot = DVSEmulator(params).run(frames, times)
    crossing = DVSEmulator(replace(params, timing="crossing")).run(frames, times)
    assert len(slot) == len(crossing)
    for name in ("x", "y", "p"):
        np.testing.assert_array_equal(np.sort(slot[name]), np.sort(crossing[name]))
