"""Frames between frames: where they land, when they stand, and what is refused."""

from __future__ import annotations

import itertools
import subprocess
import sys

import cv2
import numpy as np
import pytest
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evfer.config import build, to_dict
from evfer.emulator import DVSEmulator, DVSParams
from evfer.errors import ConfigError, EventsError, UnknownNameError
from evfer.interpolation import METHODS, InterpolationParams, interpolate, interpolate_pairs
from evfer.interpolation.blend import add_border, blend_along
from evfer.interpolation.flow import FlowEstimator, fastest_motion, find_slopes

SIZE = 96
# superslomo needs weights; test_superslomo.py makes some
METHODS = [method for method in METHODS if method != "superslomo"]


def waves(seed, shortest):
    """A pattern that can be read at any place: the sum of 80 plane waves, about 30 to 230."""
    rng = np.random.default_rng(seed)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 80, 1, 1))
    pace = 2 * np.pi / rng.uniform(shortest, 5 * shortest, (80, 1, 1))
    rows, columns = np.mgrid[:SIZE, :SIZE]

    def seen(x, y=0.0, turn=0.0):
        """The picture after it moved by (x, y) pixels and turned by `turn` radians, exact."""
        across, down = columns - x - SIZE / 2, rows - y - SIZE / 2
        sine, cosine = np.sin(turn), np.cos(turn)
        across, down = cosine * across + sine * down, cosine * down - sine * across
        path = pace * (np.cos(angle) * across + np.sin(angle) * down)
        return np.clip(np.rint(130 + 5 * np.sin(path + phase).sum(0)), 0, 255).astype(np.uint8)

    return seen


picture = waves(1, shortest=9)


def error(made, true, margin=8):
    inside = np.s_[..., margin:-margin, margin:-margin]
    return float(np.mean((made[inside].astype(float) - true[inside]) ** 2))


# what comes out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1, 2, 5, "auto"])
def test_given_frames_stay_at_their_times(method, factor):
    frames = np.stack([picture(0), picture(1.4), picture(4), picture(4.1)])
    times = np.array([0.0, 1 / 30, 0.07, 0.1])
    before = frames.copy()
    frames.setflags(write=False)
    more, when = interpolate(frames, times, method=method, factor=factor)
    assert more.dtype == np.uint8
    assert when.dtype == np.float64
    assert more.shape == (len(when), SIZE, SIZE)
    places = np.searchsorted(when, times)
    np.testing.assert_array_equal(when[places], times)
    np.testing.assert_array_equal(more[places], before)
    assert (np.diff(when) > 0).all()
    if method == "none" or factor == 1:
        assert len(more) == 4
    elif factor != "auto":
        assert len(more) == 3 * factor + 1


def test_times_are_exact_fractions():
    frames = np.stack([picture(0), picture(1)])
    _, when = interpolate(frames, [2.0, 3.0], factor=8)
    assert when.tolist() == [2 + j / 8 for j in range(9)]


@pytest.mark.parametrize("shift", [(2.0, 0.0), (2.6, -1.3), (-5.0, 3.5), (0.0, 8.0)])
def test_a_moving_picture_lands_where_it_should(shift):
    x, y = shift
    frames = np.stack([picture(0), picture(x, y)])
    true = np.stack([picture(x * j / 4, y * j / 4) for j in range(1, 4)])
    flow, _ = interpolate(frames, [0, 1], method="flow", factor=4)
    linear, _ = interpolate(frames, [0, 1], method="linear", factor=4)
    assert error(flow[1:-1], true) < 1.0
    assert error(flow[1:-1], true) < error(linear[1:-1], true) / 5
    for made, right in zip(flow[1:-1], true, strict=True):
        assert np.hypot(*offset(made, right)) < 0.02


def offset(made, right, margin=8):
    """How far a picture lies beside another, pixels (x, y), by least squares."""
    inside = np.s_[margin:-margin, margin:-margin]
    down, across = (slope[inside].ravel() for slope in np.gradient(right.astype(float)))
    differs = (right.astype(float) - made)[inside].ravel()
    return np.linalg.lstsq(np.stack([across, down], axis=1), differs)[0]


def test_a_turning_picture_lands_where_it_should():
    frames = np.stack([picture(0), picture(0, turn=0.06)])
    flow, _ = interpolate(frames, [0, 1], factor=4)
    true = np.stack([picture(0, turn=0.06 * j / 4) for j in range(1, 4)])
    assert error(flow[1:-1], true) < 1.0


def test_an_edge_that_comes_in_continues():
    # beyond the first picture's edge nothing is known; its edge goes on, nothing turns black
    wall = np.full((SIZE, SIZE), 200, np.uint8)
    wall[30:60, 30:60] = 90
    moved = np.roll(wall, 6, axis=1)
    more, _ = interpolate(np.stack([wall, moved]), [0, 1], factor=3)
    assert more[:, :, :4].min() > 195
    assert more[:, :, -4:].min() > 195


def test_made_frames_keep_the_texture():
    # read bilinearly half a pixel off, this pattern would lose a tenth of its contrast
    fine = waves(2, shortest=4)
    frames = np.stack([fine(0), fine(1)])
    more, _ = interpolate(frames, [0, 1], factor=2)
    inside = np.s_[8:-8, 8:-8]
    assert more[1][inside].std() > 0.96 * frames[0][inside].std()


def test_linear_rounds_half_up():
    frames = np.array([[[0, 10, 255]], [[1, 0, 255]]], np.uint8)
    more, _ = interpolate(frames, [0, 1], method="linear", factor=2)
    assert more[1].tolist() == [[1, 5, 255]]


def test_events_come_nearer_to_those_of_a_fast_camera():
    def clip(rate):
        times = np.arange(5 * rate + 1) / rate
        return np.stack([picture(2.5 * t, 1.5 * t) for t in times]), times / 30

    def counted(frames, times):
        raw = DVSEmulator(DVSParams(sigma_thres=0.0)).run(frames, times)
        bins = (raw["t"] * 119.999).astype(int), (raw["p"] > 0) * 1, raw["y"] * 1, raw["x"] * 1
        counts = np.zeros((20, 2, SIZE, SIZE))
        np.add.at(counts, bins, 1)
        return counts[..., 8:-8, 8:-8]

    true = counted(*clip(16))
    away = {
        method: np.abs(counted(*interpolate(*clip(1), method=method, factor=16)) - true).sum()
        for method in METHODS
    }
    assert away["flow"] < 0.25 * true.sum()
    assert away["flow"] < 0.5 * away["linear"]
    assert away["flow"] < 0.3 * away["none"]


# automatic factor


def steps(shift, **keywords):
    frames = np.stack([picture(0), picture(shift)])
    more, _ = interpolate(frames, [0, 1], **keywords)
    return len(more) - 1


def test_factor_grows_with_motion():
    for shift in (0.8, 1.5, 2.5, 4.5, 7.5):
        assert steps(shift) in (np.ceil(2 * shift), np.ceil(2 * shift) + 1)
    assert steps(2.5, method="linear") == steps(2.5)
    assert steps(0.2) == 1
    assert steps(2.5, method="none") == 1


def test_factor_follows_the_fastest_part():
    moved = picture(0)
    moved[20:50, 20:50] = picture(5)[20:50, 20:50]
    more, _ = interpolate(np.stack([picture(0), moved]), [0, 1])
    assert 10 <= len(more) - 1 <= 13


def test_each_pair_has_its_own_factor():
    frames = np.stack([picture(x) for x in (0, 0, 1.5, 6)])
    _, times = interpolate(frames, [0, 1, 2, 3])
    counts = np.histogram(times, bins=[0, 1, 2, 3])[0] - [0, 0, 1]
    assert counts[0] == 1
    assert 3 <= counts[1] <= 4
    assert 9 <= counts[2] <= 11


def test_max_factor_holds_only_the_automatic_one():
    frames, times = np.stack([picture(0), picture(7)]), [0, 1]
    few, _ = interpolate(frames, times, params=InterpolationParams(max_factor=3))
    many, _ = interpolate(frames, times, params=InterpolationParams(factor=5, max_factor=3))
    assert (len(few), len(many)) == (4, 6)


@pytest.mark.parametrize("method", METHODS)
def test_a_still_clip_stays(method):
    frames = np.repeat(picture(0)[np.newaxis], 4, axis=0)
    more, times = interpolate(frames, np.arange(4.0), method=method)
    np.testing.assert_array_equal(more, frames)
    np.testing.assert_array_equal(times, np.arange(4.0))


def test_noise_is_no_motion(rng):
    # on a plain wall the flow of noise is ten pixels long and means nothing
    wall = np.full((4, 120, 120), 120.0)
    wall[:, 30:60, 30:90] = 70
    noisy = np.clip(np.rint(wall + rng.normal(0, 1.5, wall.shape)), 0, 255).astype(np.uint8)
    estimator = FlowEstimator()
    forward, backward = estimator.both_ways(noisy[0], noisy[1])
    assert np.abs(forward).max() > 2
    slopes = find_slopes(noisy[0]), find_slopes(noisy[1])
    assert fastest_motion((forward, backward), slopes) < 1
    more, _ = interpolate(noisy, np.arange(4.0))
    assert len(more) <= 7  # one between at most


def test_plain_walls_do_not_count(rng):
    wall = np.clip(np.rint(120 + rng.normal(0, 2, (3, 80, 80))), 0, 255).astype(np.uint8)
    more, _ = interpolate(wall, np.arange(3.0))
    assert len(more) == 3


def test_a_few_wild_pixels_do_not_settle_the_factor():
    flow = np.zeros((100, 100, 2), np.float32)
    flow[..., 0] = 1.5
    slope = np.full((100, 100), 5, np.float32), np.zeros((100, 100), np.float32)
    assert fastest_motion((flow, flow), (slope, slope)) == 1.5
    wild = flow.copy()
    wild[:2, :10, 0] = 50
    assert fastest_motion((wild, flow), (slope, slope)) == 1.5
    wild[:3, :10, 0] = 50
    assert fastest_motion((wild, flow), (slope, slope)) == 50


def test_motion_that_does_not_show_does_not_count():
    flow = np.zeros((100, 100, 2), np.float32)
    flow[..., 1] = 7  # down
    level, steep = np.zeros((100, 100), np.float32), np.full((100, 100), 5, np.float32)
    assert fastest_motion((flow, flow), ((steep, level), (steep, level))) == 0
    assert fastest_motion((flow, flow), ((level, steep), (level, steep))) == 7
    assert fastest_motion((flow, flow), ((steep, steep), (steep, steep))) == pytest.approx(
        4.95, rel=1e-3
    )
    assert fastest_motion((flow, flow), ((level, level), (level, level))) == 0
    away = np.full((100, 100, 2), 200, np.float32)  # out of the picture
    assert fastest_motion((away, away), ((steep, steep), (steep, steep))) == 0


def test_frames_at_one_time_get_none_between():
    frames = np.stack([picture(x) for x in (0, 4, 8)])
    more, times = interpolate(frames, [0.0, 0.0, 1.0], factor=3)
    assert times.tolist() == [0.0, 0.0, 1 / 3, 2 / 3, 1.0]
    assert len(more) == 5
    for method in ("flow", "linear"):
        _, close = interpolate(frames[:2], [0.0, 2.5e-6], method=method, factor=10)
        assert close.tolist() == [0.0, 1.25e-6, 2.5e-6]


def test_a_skipped_pair_leaves_no_trace():
    # the two frames at one time get none between; the slopes of the first must not be used again
    frames = np.stack([picture(0), picture(0), np.full((SIZE, SIZE), 9, np.uint8), picture(3)])
    more, _ = interpolate(frames, [0, 1, 1, 2])
    alone, _ = interpolate(frames[2:], [1, 2])
    np.testing.assert_array_equal(more[-len(alone) :], alone)


# the picture between


def test_no_flow_is_a_fade():
    first, second = picture(0), picture(3)
    none = np.zeros((SIZE, SIZE, 2), np.float32)
    made = np.empty_like(first)
    blend_along(add_border(first), add_border(second), none, none, np.float32(0.25), made)
    faded, _ = interpolate(np.stack([first, second]), [0, 1], method="linear", factor=4)
    np.testing.assert_array_equal(made, faded[1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2), (30, 20)])
@pytest.mark.parametrize(("right", "down"), [(2, -1), (-9, 7)])
def test_whole_pixel_motion_is_exact(shape, right, down, rng):
    first = rng.integers(0, 256, shape, dtype=np.uint8)
    forward = np.empty((*shape, 2), np.float32)
    forward[...] = (2 * right, 2 * down)  # half of it at the middle
    made = np.empty_like(first)
    second = add_border(first)
    blend_along(add_border(first), second, forward, -forward, np.float32(0.5), made)
    rows, columns = np.mgrid[: shape[0], : shape[1]]

    def at(y, x):
        return first[y.clip(0, shape[0] - 1), x.clip(0, shape[1] - 1)].astype(float)

    expected = (at(rows - down, columns - right) + at(rows + down, columns + right)) / 2
    np.testing.assert_array_equal(made, np.floor(expected + 0.5))


def test_a_plain_picture_stays_plain(rng):
    plain = np.full((12, 15), 200, np.uint8)
    flows = rng.uniform(-9, 9, (2, 12, 15, 2)).astype(np.float32)
    made = np.empty_like(plain)
    blend_along(add_border(plain), add_border(plain), *flows, np.float32(0.3), made)
    np.testing.assert_array_equal(made, plain)


def test_overshoot_is_cut():
    first = np.zeros((20, 20), np.uint8)
    first[:, 10:] = 255
    forward = np.full((20, 20, 2), 0.5, np.float32)
    made = np.empty_like(first)
    blend_along(add_border(first), add_border(first), forward, -forward, np.float32(0.5), made)
    assert made.min() == 0
    assert made.max() == 255
    assert (np.diff(made[0].astype(int)) >= 0).all()


# form


@settings(max_examples=examples(60))
@given(st.data(), st.sampled_from(list(METHODS)), st.sampled_from([1, 2, 3, "auto"]))
def test_any_clip_comes_out_whole(data, method, factor):
    n = data.draw(st.integers(1, 4))
    shape = (n, data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24)))
    frames = data.draw(hnp.arrays(np.uint8, shape))
    gaps = data.draw(st.lists(st.floats(1e-4, 0.5), min_size=n, max_size=n))
    times = np.cumsum(gaps)
    more, when = interpolate(frames, times, method=method, factor=factor)
    assert more.shape == (len(when), *shape[1:])
    assert (np.diff(when) > 0).all()
    places = np.searchsorted(when, times)
    np.testing.assert_array_equal(when[places], times)
    np.testing.assert_array_equal(more[places], frames)
    if method != "none" and factor != "auto":
        assert len(when) == (n - 1) * factor + 1


def test_one_frame_stays_alone():
    more, times = interpolate(picture(0)[np.newaxis], [0.5])
    assert more.shape == (1, SIZE, SIZE)
    assert times.tolist() == [0.5]


@pytest.mark.parametrize("shape", [(3, 700), (16, 1500), (40, 40)])
def test_odd_shapes_have_flow(shape, rng):
    frames = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    more, _ = interpolate(frames, [0, 1], factor=2)
    assert more.shape == (3, *shape)


def test_views_and_iterators_will_do():
    frames = np.stack([picture(x) for x in (0, 1, 2)])
    expected, _ = interpolate(np.ascontiguousarray(frames[:, ::-1, ::2]), [0, 1, 2], factor=3)
    view, _ = interpolate(frames[:, ::-1, ::2], [0, 1, 2], factor=3)
    walked, _ = interpolate(iter(frames[:, ::-1, ::2]), [0, 1, 2], factor=3)
    np.testing.assert_array_equal(view, expected)
    np.testing.assert_array_equal(walked, expected)


def test_pairs_come_one_by_one():
    taken = []

    def camera():
        for k in itertools.count():
            taken.append(k)
            yield picture(1.2 * k)

    times = np.arange(100) / 30
    pairs = interpolate_pairs(camera(), times, InterpolationParams(factor=3))
    assert taken == []
    first, when = next(pairs)
    assert first.shape == (3, SIZE, SIZE)
    np.testing.assert_allclose(when, [0, 1 / 90, 2 / 90])
    assert taken == [0, 1]


def test_pairs_are_the_whole():
    frames = np.stack([picture(x) for x in (0, 1, 3.5, 3.5)])
    times = np.arange(4) / 25
    whole, when = interpolate(frames, times)
    pairs = list(interpolate_pairs(frames, times, InterpolationParams()))
    assert len(pairs) == 4
    np.testing.assert_array_equal(np.concatenate([made for made, _ in pairs]), whole)
    np.testing.assert_array_equal(np.concatenate([at for _, at in pairs]), when)


def test_threads_make_no_difference():
    frames = np.stack([picture(x, 2 * x) for x in range(4)])
    before = cv2.getNumThreads()
    results = []
    try:
        for threads in (1, 2, 7):
            cv2.setNumThreads(threads)
            results.append(interpolate(frames, np.arange(4.0), factor=2)[0])
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_settings_load_no_libraries():
    code = (
        "import sys; from evfer.interpolation import InterpolationParams as P; "
        "P(method='superslomo'); print({'cv2', 'numba', 'torch', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# settings and bad input


def test_settings_come_from_a_recipe():
    assert to_dict(InterpolationParams()) == {
        "method": "flow",
        "factor": "auto",
        "max_factor": 32,
        "times": "exact",
        "weights": "",
        "compat": "corrected",
        "batch_size": 8,
        "device": "auto",
    }
    made = build(InterpolationParams, {"method": "linear", "factor": 4})
    assert made == InterpolationParams(method="linear", factor=4)
    assert build(InterpolationParams, {"factor": "auto"}) == InterpolationParams()


def test_params_stand_in_for_both():
    frames = np.stack([picture(0), picture(3)])
    params = InterpolationParams(method="linear", factor=2)
    more, _ = interpolate(frames, [0, 1], "flow", 7, params=params)
    expected, _ = interpolate(frames, [0, 1], method="linear", factor=2)
    np.testing.assert_array_equal(more, expected)


def test_unknown_method_names_the_nearest():
    with pytest.raises(UnknownNameError, match='Did you mean "flow"'):
        interpolate(np.zeros((2, 4, 4), np.uint8), [0, 1], method="flwo")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("factor", 0),
        ("factor", 2.0),
        ("factor", "all"),
        ("factor", True),
        ("max_factor", 0),
        ("batch_size", 0),
        ("batch_size", 1.5),
    ],
)
def test_settings_refuse(name, value):
    with pytest.raises(ConfigError, match=f"{name} = {value!r}"):
        InterpolationParams(**{name: value})


@pytest.mark.parametrize("name", ["times", "compat", "device"])
def test_unknown_values_are_named(name):
    with pytest.raises(UnknownNameError, match=f'unknown value of {name} "v3e"; expected one of'):
        InterpolationParams(**{name: "v3e"})


def test_what_has_no_effect_shapes_nothing():
    plain = {"method": "flow", "factor": "auto", "max_factor": 32}
    assert InterpolationParams().shaping == plain
    elsewhere = InterpolationParams(weights="lost.ckpt", compat="v2e", batch_size=2, device="cpu")
    assert elsewhere.shaping == plain
    assert InterpolationParams(times="v2e").shaping == plain | {"times": "v2e"}
    assert InterpolationParams(method="none", times="v2e").shaping == plain | {"method": "none"}


@pytest.mark.parametrize(
    ("frames", "times", "message"),
    [
        (np.zeros((2, 4, 4)), [0, 1], "frame 0 of dtype float64"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, 1], r"frame 0 .*\(4, 4, 3\).*Convert colour"),
        (np.zeros((2, 4), np.uint8), [0, 1], r"frame 0 of dtype uint8 and shape \(4,\)"),
        (np.zeros((2, 4, 0), np.uint8), [0, 1], r"shape \(4, 0\)"),
        ([np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)], [0, 1], "frame 1 of shape"),
        (np.zeros((0, 4, 4), np.uint8), [0, 1], "0 frames but 2 times"),
        (np.zeros((0, 4, 4), np.uint8), [], "times of shape .0,"),
        (np.zeros((1, 4, 4), np.uint8), [0, 1], "1 frames but 2 times"),
        (np.zeros((3, 4, 4), np.uint8), [0, 1], "more than 2 frames but 2 times"),
        (np.zeros((2, 4, 4), np.uint8), [1, 0], "frame 1 at 0.0 s stands after one at 1.0 s"),
        (np.zeros((2, 4, 4), np.uint8), [0, np.nan], "frame 1 at nan s"),
        (np.zeros((2, 4, 4), np.uint8), ["a", "b"], "dtype <U1"),
        (np.zeros((2, 4, 4), np.uint8), [[0, 1]], "times of shape .1, 2"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_bad_input_is_named(frames, times, message, method):
    with pytest.raises(EventsError, match=message):
        interpolate(frames, times, method=method)
