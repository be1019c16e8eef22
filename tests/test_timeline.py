"""v2e's timeline: pictures half a step late, their times stretched over the clip."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evfer.errors import ConfigError
from evfer.interpolation import InterpolationParams, interpolate, interpolate_pairs

SIZE = 64


def picture(x):
    """Waves and a disc, moved by `x` pixels."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    across = columns - x
    level = 120 + 60 * np.sin(across / 4) * np.cos(rows / 5)
    level[np.hypot(across - 30, rows - 30) < 12] += 50
    return np.rint(level.clip(0, 255)).astype(np.uint8)


def v2e_times(factors, fps):
    """The rule in v2e's words: count steps, then stretch them over the clip."""
    counted = np.concatenate([k + np.arange(u) / u for k, u in enumerate(factors)])
    return counted * (len(factors) / fps / counted.max())


def test_v2e_takes_pictures_half_a_step_late():
    frames = np.array([0, 80, 240], np.uint8)[:, np.newaxis, np.newaxis]
    params = InterpolationParams(method="linear", factor=4, times="v2e")
    more, when = interpolate(frames, np.arange(3) / 25, params=params)
    assert more.ravel().tolist() == [10, 30, 50, 70, 100, 140, 180, 220]
    np.testing.assert_allclose(when, v2e_times([4, 4], 25), rtol=1e-14)
    assert when[0] == 0
    assert when[-1] == pytest.approx(2 / 25, rel=1e-14)
    assert when[1] == pytest.approx(0.04 / 4 * 2 / 1.75, rel=1e-14)


@pytest.mark.parametrize("method", ["linear", "flow"])
def test_v2e_stretch_knows_the_last_pair_beforehand(method):
    frames = np.stack([picture(x) for x in (0, 0, 1.5, 6)])
    params = InterpolationParams(method=method, times="v2e")
    times = np.arange(4) / 30
    pieces = list(interpolate_pairs(frames, times, params))
    factors = [len(made) for made, _ in pieces]
    assert len(factors) == 3
    assert factors[0] == 2  # never fewer, though nothing moves
    assert 9 <= factors[2] <= 11
    when = np.concatenate([at for _, at in pieces])
    np.testing.assert_allclose(when, v2e_times(factors, 30), rtol=1e-14)
    # a camera that shows its frames but once is held in memory
    for (made, at), (again, then) in zip(
        interpolate_pairs(iter(frames), times, params), pieces, strict=True
    ):
        np.testing.assert_array_equal(made, again)
        np.testing.assert_array_equal(at, then)


def test_v2e_pictures_are_those_between():
    frames = np.stack([picture(0), picture(3)])
    late = InterpolationParams(factor=3, times="v2e")
    fine = InterpolationParams(factor=6)
    made, _ = interpolate(frames, [0, 1], params=late)
    np.testing.assert_array_equal(made, interpolate(frames, [0, 1], params=fine)[0][1::2])


def test_v2e_stretch_follows_uneven_times():
    times = np.array([2.0, 2.1, 2.5, 2.5, 3.0])
    frames = np.arange(5, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    params = InterpolationParams(method="linear", factor=2, times="v2e")
    _, when = interpolate(frames, times, params=params)
    expected = np.interp(v2e_times([2, 2, 2, 2], 1), np.arange(5), times)
    np.testing.assert_allclose(when, expected, rtol=1e-14)
    assert (np.diff(when) >= 0).all()


def test_v2e_times_stream():
    taken = []

    def camera():
        for k in itertools.count():
            taken.append(k)
            yield picture(1.2 * k)

    params = InterpolationParams(factor=3, times="v2e")
    made, _ = next(interpolate_pairs(camera(), np.arange(100) / 30, params))
    assert made.shape == (3, SIZE, SIZE)
    assert taken == [0, 1]


def test_v2e_times_leave_none_alone():
    frames = np.stack([picture(0), picture(3)])
    params = InterpolationParams(method="none", times="v2e")
    more, when = interpolate(frames, [1, 2], params=params)
    np.testing.assert_array_equal(more, frames)
    assert when.tolist() == [1, 2]
    alone, when = interpolate(frames[:1], [0.5], params=InterpolationParams(times="v2e"))
    np.testing.assert_array_equal(alone, frames[:1])
    assert when.tolist() == [0.5]


@settings(max_examples=examples(60))
@given(st.data(), st.sampled_from(["linear", "flow"]), st.sampled_from([2, 3, 49, "auto"]))
def test_v2e_times_fill_any_clip(data, method, factor):
    n = data.draw(st.integers(2, 5))
    frames = data.draw(hnp.arrays(np.uint8, (n, 6, 7)))
    gaps = data.draw(st.lists(st.sampled_from([0, 1e-7, 0.03, 0.5]), min_size=n, max_size=n))
    times = np.cumsum(gaps)
    params = InterpolationParams(method=method, factor=factor, times="v2e")
    more, when = interpolate(frames, times, params=params)
    assert len(more) == len(when) >= 2 * (n - 1)
    assert when[0] == times[0]
    assert when[-1] == pytest.approx(times[-1], rel=1e-12)
    assert (np.diff(when) >= 0).all()


def test_v2e_times_need_two_steps():
    with pytest.raises(ConfigError, match='factor = 1 with times = "v2e"'):
        InterpolationParams(factor=1, times="v2e")
    InterpolationParams(method="none", factor=1, times="v2e")
