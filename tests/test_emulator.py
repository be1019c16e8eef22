"""What the emulator does and refuses, beside the golden cases."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from evfer.config import build, to_dict
from evfer.emulator import PRESETS, DVSEmulator, DVSParams
from evfer.errors import ConfigError, EventsError
from evfer.events import RAW_DTYPE, from_raw

EXACT = DVSParams(sigma_thres=0.0, refractory_period_s=0.0)


@pytest.fixture
def textured(rng):
    """A picture that shifts one pixel a frame: (16, 24, 30) uint8 and times at 30 fps."""
    wide = rng.integers(0, 256, (24, 46), dtype=np.uint8)
    frames = np.stack([wide[:, k : k + 30] for k in range(16)])
    return frames, np.arange(16) / 30


# settings


def test_defaults_are_the_benchmark():
    assert to_dict(DVSParams()) == {
        "pos_thres": 0.2,
        "neg_thres": 0.2,
        "sigma_thres": 0.02,
        "cutoff_hz": 0.0,
        "leak_rate_hz": 0.0,
        "shot_noise_rate_hz": 0.0,
        "refractory_period_s": 0.0005,
        "leak_jitter_fraction": 0.1,
        "noise_rate_cov_decades": 0.1,
        "photoreceptor_noise": False,
        "timing": "slot",
        "pattern": "numpy",
        "backend": "evfer",
    }


def test_params_come_from_a_recipe():
    assert build(DVSParams, {"pos_thres": 1, "sigma_thres": 0}) == DVSParams(
        pos_thres=1.0, sigma_thres=0.0
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pos_thres", 0),
        ("neg_thres", -0.2),
        ("pos_thres", float("nan")),
        ("neg_thres", float("inf")),
        ("sigma_thres", -0.01),
        ("refractory_period_s", -1e-3),
        ("pos_thres", "0.2"),
        ("pos_thres", True),
        ("cutoff_hz", -1),
    ],
)
def test_params_refuse(name, value):
    with pytest.raises(ConfigError, match=f"{name} = {value!r}"):
        DVSParams(**{name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"timing": "slots"}, 'unknown timing "slots".*Did you mean "slot"'),
        ({"pattern": "torch"}, 'unknown pattern "torch"'),
        ({"backend": "dvs"}, 'unknown backend "dvs"'),
        ({"photoreceptor_noise": 1}, "photoreceptor_noise = 1"),
        ({"photoreceptor_noise": True, "cutoff_hz": 30}, "both above 0"),
        ({"photoreceptor_noise": True, "shot_noise_rate_hz": 5}, "both above 0"),
        ({"backend": "v2e", "timing": "crossing"}, 'timing "slot", which is all that v2e has'),
    ],
)
def test_params_that_do_not_go_together(values, message):
    with pytest.raises(ConfigError, match=message):
        DVSParams(**values)


def test_presets_are_those_of_v2e():
    noisy, clean = PRESETS["noisy"], PRESETS["clean"]
    assert (noisy.sigma_thres, noisy.cutoff_hz, noisy.leak_rate_hz) == (0.05, 30, 0.1)
    assert (noisy.shot_noise_rate_hz, noisy.refractory_period_s) == (5, 0)
    assert (clean.sigma_thres, clean.refractory_period_s, clean.leak_rate_hz) == (0.02, 0, 0)
    assert PRESETS["paper"] == DVSParams()


def test_params_load_no_compiler():
    code = "import sys, evfer.emulator; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# what an event is


def test_one_brighter_pixel_makes_on_events():
    frames = np.full((2, 3, 4), 100, np.uint8)
    frames[1, 2, 1] = 200  # ln 2 = 3.46 thresholds of 0.2
    emulator = DVSEmulator(EXACT)
    raw = emulator.run(frames, [0, 0.03])
    assert raw.dtype == RAW_DTYPE
    np.testing.assert_allclose(raw["t"], [0.01, 0.02, 0.03], rtol=1e-6)
    np.testing.assert_array_equal(raw["t"], raw["t"].astype(np.float32))
    assert (raw["x"] == 1).all()
    assert (raw["y"] == 2).all()
    assert (raw["p"] == 1).all()
    # the remainder below one threshold is kept
    assert emulator.log_memory[2, 1] == pytest.approx(np.log(100) + 0.6, abs=1e-6)


def test_darker_makes_off_events_and_equal_makes_none():
    frames = np.full((3, 2, 2), 200, np.uint8)
    frames[1:, 0, 0] = 100
    raw = DVSEmulator(EXACT).run(frames, [0, 0.03, 0.06])
    assert raw["p"].tolist() == [-1, -1, -1]
    assert raw["t"].max() == pytest.approx(0.03)


def test_thresholds_are_met_exactly():
    # float32 says 1 / 0.2 = 5, but its 0.2 is a little more than that
    thres, rise = np.float32(0.2), np.float32(1)
    assert np.floor(rise / thres) == 5
    assert math.floor(Fraction(float(rise)) / Fraction(float(thres))) == 4
    from evfer.emulator.pixel import whole_thresholds

    assert whole_thresholds(rise, thres, thres) == 4
    assert whole_thresholds(-rise, thres, thres) == -4


def test_events_of_an_instant_stand_row_by_row():
    frames = np.stack([np.full((3, 3), 100, np.uint8), np.full((3, 3), 130, np.uint8)])
    raw = DVSEmulator(EXACT).run(frames, [0, 1])
    assert list(zip(raw["y"], raw["x"], strict=True)) == [
        (y, x) for y in range(3) for x in range(3)
    ]


def test_refractory_period_holds_back_and_does_not_lose():
    frames = np.full((3, 1, 1), 50, np.uint8)
    frames[1:] = 120  # 4 thresholds
    params = DVSParams(sigma_thres=0.0, refractory_period_s=0.015)
    raw = DVSEmulator(params).run(frames, [0, 0.04, 0.08])
    np.testing.assert_allclose(raw["t"], [0.01, 0.03, 0.06, 0.08], rtol=1e-6)


def test_refractory_period_must_be_over():
    frames = np.full((2, 1, 1), 50, np.uint8)
    frames[1] = 120  # 4 thresholds, here 0.25 s apart and exact in binary
    params = DVSParams(sigma_thres=0.0, refractory_period_s=0.5)
    raw = DVSEmulator(params).run(frames, [0, 1])
    assert raw["t"].tolist() == [0.25, 1.0]


def test_late_start_counts_from_zero():
    frames = np.array([[[100]], [[200]]], np.uint8)
    raw = DVSEmulator(EXACT).run(frames, [0.9, 1.0])
    np.testing.assert_allclose(raw["t"], [1 / 3, 2 / 3, 1], rtol=1e-6)


def test_one_frame_gives_no_events():
    emulator = DVSEmulator()
    raw = emulator.run(np.full((1, 4, 5), 7, np.uint8), [0.0])
    assert raw.shape == (0,)
    assert raw.dtype == RAW_DTYPE
    assert emulator.log_memory.shape == (4, 5)
    assert from_raw(raw).shape == (0,)


def test_any_number_of_events_fits(textured):
    # 277 events a pixel and frame: far beyond the first buffer
    params = DVSParams(pos_thres=0.02, neg_thres=0.02, sigma_thres=0.0, refractory_period_s=0.0)
    flicker = np.zeros((12, 20, 20), np.uint8)
    flicker[1::2] = 255
    raw = DVSEmulator(params).run(flicker, np.arange(12.0))
    assert len(raw) == 11 * 400 * 277
    assert (np.diff(raw["t"]) >= 0).all()


def test_input_stays_as_it_was(textured):
    frames, times = textured
    before, pos = frames.copy(), np.full((24, 30), 0.2, np.float32)
    frames.setflags(write=False)
    times.setflags(write=False)
    emulator = DVSEmulator(thresholds=(pos, pos))
    emulator.run(frames, times)
    np.testing.assert_array_equal(frames, before)
    assert (pos == np.float32(0.2)).all()
    emulator.log_memory[:] = 0
    assert emulator.log_memory.any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_whole_float_frames_equal_bytes(textured, dtype):
    frames, times = textured
    expected = DVSEmulator().run(frames, times)
    np.testing.assert_array_equal(DVSEmulator().run(frames.astype(dtype), times), expected)


def test_long_float_clips_equal_bytes(rng):
    frames = rng.integers(0, 256, (80, 6, 7), dtype=np.uint8)
    expected = DVSEmulator().run(frames, np.arange(80) / 25)
    np.testing.assert_array_equal(
        DVSEmulator().run(frames.astype(np.float32), np.arange(80) / 25), expected
    )


def test_views_and_lists_will_do(textured):
    frames, times = textured
    expected = DVSEmulator().run(np.ascontiguousarray(frames[::2, ::-1]), times[::2])
    np.testing.assert_array_equal(DVSEmulator().run(frames[::2, ::-1], list(times[::2])), expected)
    one = DVSEmulator(EXACT).run([[[10.0, 20.0]], [[40.0, 20.0]]], [0, 1])
    assert (one["x"] == 0).all()
    assert len(one) > 0


# sensor pattern


def test_zero_is_a_seed(textured):
    frames, times = textured
    first, again = DVSEmulator(seed=0).run(frames, times), DVSEmulator(seed=0).run(frames, times)
    np.testing.assert_array_equal(first, again)
    other = DVSEmulator(seed=1).run(frames, times)
    assert not np.array_equal(first, other)


def test_seeds_may_name_the_clip(textured):
    frames, times = textured

    def pattern(seed):
        emulator = DVSEmulator(seed=seed)
        emulator.run(frames[:1], times[:1])
        return emulator.thresholds

    pos, neg = pattern((42, 7))
    assert not np.array_equal(pos, neg)
    for same in ([42, 7], np.array([42, 7]), np.random.SeedSequence([42, 7])):
        np.testing.assert_array_equal(pattern(same)[0], pos)
    assert not np.array_equal(pattern((42, 8))[0], pos)
    assert not np.array_equal(pattern((43, 7))[0], pos)


def test_thresholds_spread_as_asked():
    emulator = DVSEmulator(DVSParams(pos_thres=0.3, neg_thres=0.1, sigma_thres=0.05))
    emulator.run(np.zeros((1, 200, 200), np.uint8), [0])
    pos, neg = emulator.thresholds
    assert pos.mean() == pytest.approx(0.3, abs=0.001)
    assert pos.std() == pytest.approx(0.05, rel=0.02)
    assert neg.min() == np.float32(0.01)  # v2e's floor
    assert np.median(neg) == pytest.approx(0.1, abs=0.001)


def test_given_thresholds_decide(textured):
    frames, times = textured
    pos, neg = np.full((24, 30), 0.2), np.full((24, 30), 0.2)
    pos[:, :10], neg[:, :10] = 9.0, 9.0
    raw = DVSEmulator(thresholds=(pos, neg)).run(frames, times)
    assert raw["x"].min() == 10
    scalar = DVSEmulator(EXACT, thresholds=(0.2, 0.2)).run(frames, times)
    np.testing.assert_array_equal(scalar, DVSEmulator(EXACT).run(frames, times))


@pytest.mark.parametrize("seed", [-1, 1.5, None, "42", True, (), (1, -2), (1, "S001")])
def test_seeds_that_are_none(seed):
    with pytest.raises(ConfigError, match="seed"):
        DVSEmulator(seed=seed)


@pytest.mark.parametrize(
    "thresholds",
    [
        (np.zeros((2, 2)), np.ones((2, 2))),
        (np.ones((2, 2)), np.full((2, 2), np.nan)),
        (np.ones((2, 2)), np.ones((2, 3))),
        (np.ones(4), np.ones(4)),
        (np.ones((2, 2)), -1.0),
        ("a", "b"),
        (np.ones((2, 2)),),
        0.2,
    ],
)
def test_thresholds_that_are_none(thresholds):
    with pytest.raises(ConfigError, match="thresholds"):
        DVSEmulator(thresholds=thresholds)


def test_params_of_another_type():
    with pytest.raises(ConfigError, match="expected evfer.emulator.DVSParams"):
        DVSEmulator({"pos_thres": 0.2})


# bad input


def frames_of(value, dtype=np.float32):
    frames = np.full((3, 2, 4), 50, dtype)
    frames[2, 1, 3] = value
    return frames


@pytest.mark.parametrize(
    ("frames", "times", "message"),
    [
        (frames_of(np.nan), [0, 1, 2], "frame 2 has the value nan at row 1, column 3"),
        (frames_of(np.inf), [0, 1, 2], "frame 2 has the value inf"),
        (frames_of(-0.5), [0, 1, 2], "frame 2 has the value -0.5.*0 to 255"),
        (frames_of(255.5), [0, 1, 2], "frame 2 has the value 255.5"),
        (frames_of(1), [0, 2, 1], "frame 2 at 1.0 s stands after one at 2.0 s"),
        (frames_of(1), [0, 1, np.nan], "frame 2 at nan s"),
        (frames_of(1), [-1, 1, 2], "frame 0 at -1.0 s"),
        (frames_of(1), [0, 1, 1.7e9], "frame 2 at 1700000000.0 s.*Subtract"),
        (frames_of(1), [0, 1], "times of shape .2,"),
        (frames_of(1), [[0, 1, 2]], "times of shape .1, 3"),
        (frames_of(1), ["a", "b", "c"], "times of shape .3,. and dtype <U1"),
        (frames_of(1, np.int64), [0, 1, 2], "frames of dtype int64"),
        (frames_of(1, bool), [0, 1, 2], "frames of dtype bool"),
        (frames_of(1, complex), [0, 1, 2], "frames of dtype complex128"),
        (np.zeros((3, 4), np.uint8), [0, 1, 2], "frames of shape .3, 4"),
        (np.zeros((3, 4, 4, 3), np.uint8), [0, 1, 2], "Convert colour to grey"),
        (np.zeros((0, 4, 4), np.uint8), [], "no frames"),
        (np.zeros((2, 0, 4), np.uint8), [0, 1], "sensor height 0"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], [0, 1], r"frame 1 of shape \(2, 3\)"),
        (object(), [0], "frames of dtype object"),
    ],
)
def test_bad_input_is_named(frames, times, message):
    with pytest.raises(EventsError, match=message):
        DVSEmulator().run(frames, times)


def test_bad_input_leaves_the_state(textured):
    frames, times = textured
    emulator = DVSEmulator()
    first = emulator.run(frames[:8], times[:8])
    memory = emulator.log_memory
    with pytest.raises(EventsError, match=r"frame 8 of shape \(24, 29\)"):
        emulator.run(frames[8:, :, 1:], times[8:])
    with pytest.raises(EventsError, match="frame 8 at 0.0 s stands after one at"):
        emulator.run(frames, times)
    with pytest.raises(EventsError, match="frame 12 has the value"):
        emulator.run(np.where(np.arange(8)[:, None, None] == 4, 256.0, frames[8:]), times[8:])
    np.testing.assert_array_equal(emulator.log_memory, memory)
    rest = emulator.run(frames[8:], times[8:])
    np.testing.assert_array_equal(np.concatenate([first, rest]), DVSEmulator().run(frames, times))


def test_step_names_a_time_that_goes_back():
    emulator = DVSEmulator()
    emulator.step(np.zeros((2, 2)), 1.0)
    with pytest.raises(EventsError, match=r"frame 1 at 0.5 s.*reset"):
        emulator.step(np.zeros((2, 2)), 0.5)


def test_thresholds_of_another_shape_than_the_frames(textured):
    pattern = np.full((5, 5), 0.2)
    with pytest.raises(EventsError, match=r"\(24, 30\); expected \(5, 5\)"):
        DVSEmulator(thresholds=(pattern, 0.2)).run(*textured)


def test_memory_before_the_first_frame():
    emulator = DVSEmulator()
    with pytest.raises(EventsError, match="has seen no frame"):
        _ = emulator.log_memory
    with pytest.raises(EventsError, match="has seen no frame"):
        _ = emulator.thresholds


# state


def test_reset_makes_it_new(textured):
    frames, times = textured
    emulator = DVSEmulator()
    first = emulator.run(frames, times)
    emulator.reset()
    np.testing.assert_array_equal(emulator.run(frames, times), first)
    emulator.reset()
    emulator.run(frames[:, :5, :5], times)
    assert emulator.log_memory.shape == (5, 5)


def test_an_emulator_travels(textured):
    frames, times = textured
    emulator = DVSEmulator()
    emulator.run(frames[:5], times[:5])
    twin = pickle.loads(pickle.dumps(emulator))
    np.testing.assert_array_equal(
        twin.run(frames[5:], times[5:]), emulator.run(frames[5:], times[5:])
    )


@pytest.mark.parametrize("name", ["leak_rate_hz", "shot_noise_rate_hz"])
def test_a_rate_that_would_only_fill_the_memory_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name} = 1000000000.0.*at most 10000"):
        DVSParams(**{name: 1e9})


def test_numbers_of_numpy_are_numbers():
    assert DVSParams(pos_thres=np.float32(0.25)).pos_thres == 0.25


def test_the_original_is_not_taken_for_the_emulator():
    with pytest.raises(ConfigError, match="create makes the camera"):
        DVSEmulator(DVSParams(backend="v2e"))
