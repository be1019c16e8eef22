"""Leak, shot noise and photoreceptor noise: their rates against v2e's, and their random numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evfer.emulator import PRESETS, DVSEmulator, DVSParams
from evfer.emulator.noise import noise_level
from evfer.emulator.philox import fill_normals, fill_words, uniform

GOLDEN = Path(__file__).parent / "golden" / "v2e"
NOISE = sorted(path.stem for path in GOLDEN.glob("90-*.npz"))
PIXELS = 384


def bands(levels, n_frames):
    """One row of pixels a level, the same in each frame."""
    picture = np.repeat(np.asarray(levels, np.uint8)[:, None], PIXELS, axis=1)
    return np.broadcast_to(picture, (n_frames, *picture.shape))


def counts_of(raw, shape, polarity):
    counts = np.zeros(shape)
    some = raw[raw["p"] == polarity]
    np.add.at(counts, (some["y"], some["x"]), 1)
    return counts


def within(found, error, expected, expected_error, sigmas=4.0):
    """Tell whether rates agree; 1e-9 where neither side has a spread."""
    return np.abs(found - expected) <= sigmas * np.hypot(error, expected_error) + 1e-9


# against v2e


@pytest.mark.parametrize("case", NOISE)
def test_noise_rates_equal_v2e(case):
    data = np.load(GOLDEN / f"{case}.npz")
    settings = json.loads(str(data["params"]))
    names = DVSParams.__dataclass_fields__.keys() & settings
    emulator = DVSEmulator(DVSParams(**{name: settings[name] for name in names}), seed=11)
    seconds, fps = float(data["seconds"]), int(data["fps"])
    n_frames = int(seconds * fps)
    frames = bands(data["levels"], n_frames)
    raw = emulator.run(frames, np.arange(n_frames) / fps)
    for polarity, name in ((1, "on"), (-1, "off")):
        counts = counts_of(raw, frames.shape[1:], polarity)
        rate = counts.mean(axis=1) / seconds
        error = counts.std(axis=1) / np.sqrt(PIXELS) / seconds
        assert within(rate, error, data[f"{name}_rate"], data[f"{name}_se"]).all(), name
    on = np.sort(raw[raw["p"] == 1], order=["y", "x", "t"])
    same = (np.diff(on["y"]) == 0) & (np.diff(on["x"]) == 0)
    for band, (mean, spread) in enumerate(
        zip(data["on_isi_mean"], data["on_isi_std"], strict=True)
    ):
        gaps = np.diff(on["t"])[same & (on["y"][1:] == band)]
        assert within(gaps.mean(), spread * np.sqrt(2 / PIXELS), mean, 0.0), band
        assert gaps.std() == pytest.approx(spread, rel=0.2), band


def test_there_are_four_noise_files():
    assert len(NOISE) == 4


# shot noise


def test_shot_noise_falls_from_black_to_white():
    params = DVSParams(sigma_thres=0.0, shot_noise_rate_hz=20.0)
    frames = bands([0, 255], 1000)
    raw = DVSEmulator(params, seed=3).run(frames, np.arange(1000) / 100)
    counts = counts_of(raw, frames.shape[1:], 1) + counts_of(raw, frames.shape[1:], -1)
    expected = 20.0 * np.array([1 - 0.75 * 20 / 275, 0.25])
    rate, error = counts.mean(axis=1) / 10, counts.std(axis=1) / np.sqrt(PIXELS) / 10
    assert within(rate, error, expected, 0.0).all()


def test_shot_noise_makes_the_pixel_forget():
    params = DVSParams(sigma_thres=0.0, shot_noise_rate_hz=50.0)
    frames = np.full((2, 40, 50), 100, np.uint8)
    frames[1] = 110  # below the threshold
    emulator = DVSEmulator(params, seed=1)
    raw = emulator.run(frames, [0.0, 0.01])
    memory = emulator.log_memory
    hit = np.zeros(memory.shape, bool)
    hit[raw["y"], raw["x"]] = True
    assert 0 < hit.sum() < hit.size
    assert len(np.unique(memory[hit])) == len(np.unique(memory[~hit])) == 1
    assert memory[hit][0] > memory[~hit][0]


def test_lower_thresholds_make_more_shot_noise():
    pattern = np.repeat([[0.1], [0.2], [0.4]], 500, axis=1)
    emulator = DVSEmulator(
        DVSParams(shot_noise_rate_hz=10.0), seed=5, thresholds=(pattern, pattern)
    )
    raw = emulator.run(np.full((400, 3, 500), 128, np.uint8), np.arange(400) / 100)
    rows = np.bincount(raw["y"], minlength=3)
    assert rows[0] / rows[1] == pytest.approx(2, rel=0.1)
    assert rows[1] / rows[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("timing", ["slot", "crossing"])
def test_when_shot_noise_comes(timing):
    params = DVSParams(shot_noise_rate_hz=20.0, timing=timing)
    raw = DVSEmulator(params, seed=2).run(np.full((3, 50, 50), 30, np.uint8), [0.0, 0.1, 0.2])
    assert len(raw) > 1000
    if timing == "slot":
        assert set(raw["t"]) == {np.float32(0.1), np.float32(0.2)}
    else:
        for polarity in (1, -1):
            spread = stats.kstest(raw["t"][raw["p"] == polarity] / 0.2, "uniform")
            assert spread.pvalue > 1e-3


# leak


def test_leak_makes_on_events_at_its_rate():
    params = DVSParams(sigma_thres=0.0, leak_rate_hz=2.0, timing="crossing")
    raw = DVSEmulator(params, seed=4).run(
        np.full((500, 30, 30), 90, np.uint8), np.arange(500) / 100
    )
    assert (raw["p"] == 1).all()
    counts = counts_of(raw, (30, 30), 1)
    # a spread of 0.1 decades makes the mean of the rates exp((0.1 ln 10)^2 / 2) of the median;
    # half an event is lost, since all pixels start at once
    expected = 2.0 * np.exp((0.1 * np.log(10)) ** 2 / 2) * 4.99 - 0.5
    assert counts.mean() == pytest.approx(expected, rel=0.03)
    assert np.log10(counts).std() == pytest.approx(0.1, rel=0.2)


def test_leak_without_spread_or_jitter_is_a_clock():
    params = DVSParams(
        sigma_thres=0.0, leak_rate_hz=4.0, leak_jitter_fraction=0.0,
        noise_rate_cov_decades=0.0, timing="crossing",
    )  # fmt: skip
    raw = DVSEmulator(params).run(np.full((101, 2, 2), 60, np.uint8), np.arange(101) / 100 + 3)
    times = raw["t"][(raw["x"] == 0) & (raw["y"] == 0)] - 3
    np.testing.assert_allclose(times, [0.25, 0.5, 0.75], atol=2e-4)


# photoreceptor noise


# v2e's rates with the noise level held at ours; asked for are 4 Hz, which v2e does not reach either
@pytest.mark.parametrize(("fps", "v2e_rate_hz"), [(1000, 0.55), (4000, 1.49)])
def test_photoreceptor_noise_makes_as_many_events_as_in_v2e(fps, v2e_rate_hz):
    params = DVSParams(
        sigma_thres=0.0, cutoff_hz=100.0, shot_noise_rate_hz=4.0, photoreceptor_noise=True
    )
    raw = DVSEmulator(params, seed=8).run(
        np.full((2 * fps, 40, 40), 200, np.uint8), np.arange(2 * fps) / fps
    )
    assert len(raw) / 1600 / 2 == pytest.approx(v2e_rate_hz, rel=0.12)
    assert (raw["p"] == 1).mean() == pytest.approx(0.5, abs=0.03)


def test_photoreceptor_noise_equals_v2es_estimate():
    # v2e, 1000 frames a second, thresholds 0.2, spread 0.03, 5 Hz at 100 Hz: median of 9 estimates
    params = DVSParams(
        sigma_thres=0.03, cutoff_hz=100.0, shot_noise_rate_hz=5.0, photoreceptor_noise=True
    )
    assert noise_level(params, 1e-3) == pytest.approx(0.0763, rel=0.03)


def test_photoreceptor_noise_stays_finite_at_long_steps():
    params = DVSParams(cutoff_hz=300.0, shot_noise_rate_hz=5.0, photoreceptor_noise=True)
    emulator = DVSEmulator(params, seed=1)
    raw = emulator.run(np.full((50, 30, 30), 128, np.uint8), np.arange(50) / 5)
    assert len(raw)
    assert np.isfinite(emulator.log_memory).all()
    assert np.abs(emulator.log_memory - np.log(128)).max() < 2


# random numbers


@pytest.mark.parametrize("preset", ["noisy", "photoreceptor"])
@pytest.mark.parametrize("timing", ["slot", "crossing"])
def test_noise_follows_from_the_seed(rng, preset, timing):
    frames = rng.integers(0, 256, (9, 13, 11), dtype=np.uint8)
    values = {f: getattr(PRESETS["noisy"], f) for f in DVSParams.__dataclass_fields__}
    params = DVSParams(
        **{**values, "timing": timing, "photoreceptor_noise": preset == "photoreceptor"}
    )
    times = np.arange(9) / 20
    whole = DVSEmulator(params, seed=(7, 1)).run(frames, times)
    emulator = DVSEmulator(params, seed=(7, 1))
    steps = [emulator.step(frame, t_s) for frame, t_s in zip(frames, times, strict=True)]
    np.testing.assert_array_equal(np.concatenate(steps), whole)
    emulator.reset()
    np.testing.assert_array_equal(emulator.run(frames, times), whole)
    other = DVSEmulator(params, seed=(7, 2)).run(frames, times)
    assert len(other) != len(whole) or (other != whole).any()


def test_words_are_philox():
    # known answers of the authors' library for philox4x32-10 with the counter and key at 0
    words = np.empty(4, np.uint32)
    fill_words(np.zeros(2, np.uint32), 0, 0, words)
    assert [f"{word:08x}" for word in words] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_words_differ_by_key_stream_frame_and_place():
    def draw(key, stream, frame):
        words = np.empty(1000, np.uint32)
        fill_words(np.array(key, np.uint32), stream, frame, words)
        return words

    draws = [draw([1, 2], 0, 0), draw([1, 3], 0, 0), draw([1, 2], 1, 0), draw([1, 2], 0, 1)]
    assert len(np.unique(np.concatenate(draws))) > 3990


def test_uniform_and_normal_numbers_are_so_distributed():
    words = np.empty(400_000, np.uint32)
    fill_words(np.array([5, 6], np.uint32), 0, 9, words)
    even = np.array([uniform(word) for word in words[:100_000]], np.float64)
    assert even.min() >= 0
    assert even.max() < 1
    assert stats.kstest(even, "uniform").pvalue > 1e-3
    bell = normals(words)
    assert stats.kstest(bell, "norm").pvalue > 1e-3
    for size in (2.0, 3.0, 4.0):
        beyond = (np.abs(bell) > size).sum()
        expected = 2 * stats.norm.sf(size) * bell.size
        assert abs(beyond - expected) < 4.5 * np.sqrt(expected), size


def normals(words):
    numbers = np.empty(words.size, np.float32)
    fill_normals(words, numbers)
    return np.float64(numbers)


def test_normal_numbers_are_those_of_box_and_muller(rng):
    words = rng.integers(0, 2**32, 4000, dtype=np.uint32)
    words[:4] = [0, 2**32 - 1, 255, 256]
    words[2000:2004] = [0, 2**31, 2**31 - 1, 2**30]
    length = np.sqrt(-2 * np.log(((words[:2000] >> 8) + 1.0) / 2**24))
    angle = np.pi * words[2000:].astype(np.int32) / 2.0**31
    expected = np.concatenate([length * np.cos(angle), length * np.sin(angle)])
    # near a length of 0 the root makes much of what float32 rounds
    np.testing.assert_allclose(normals(words), expected, atol=4e-4)
    long = np.tile(length > 0.1, 2)
    np.testing.assert_allclose(normals(words)[long], expected[long], atol=3e-6)


def test_normal_numbers_made_together_are_independent():
    words = np.empty(200_000, np.uint32)
    fill_words(np.array([1, 2], np.uint32), 0, 0, words)
    one, other = normals(words).reshape(2, -1)
    for a, b in ((one, other), (one**2, other**2), (abs(one), other)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(one.size)
