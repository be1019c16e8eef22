"""Events of interpolated frames against those of a fast camera, in number and in time."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from evfer.events import RAW_DTYPE
from evfer.interpolation import InterpolationParams, interpolate

sys.path.insert(0, str(Path(__file__).parent / "bench"))
import truth

SIDE = truth.SIDE


def events(*rows):
    """Events from (t, x, y, p)."""
    made = np.zeros(len(rows), RAW_DTYPE)
    for event, (t, x, y, p) in zip(made, rows, strict=True):
        event["t"], event["x"], event["y"], event["p"] = t, x, y, p
    return made


# the measures


BOTH = events((0.1, 3, 4, 1), (0.2, 3, 4, 1), (0.15, 9, 9, -1), (0.3, 199, 199, -1))


def test_a_train_is_at_no_distance_from_itself():
    assert truth.measure(BOTH, BOTH[::-1].copy()) == {
        "events": (1, 1),
        "count error": (0, 0),
        "pooled 5x5": (0, 0),
        "van Rossum 20 ms": (0, 0),
        "van Rossum 5 ms": (0, 0),
        "edit": (0, 0),
    }


def test_no_events_at_all_miss_everything():
    found = truth.measure(BOTH, events())
    assert found.pop("events") == (0, 0)
    assert all(pair == pytest.approx((1, 1)) for pair in found.values())


def test_a_late_event_costs_by_its_lateness():
    true = events((0.1, 3, 4, 1), (0.1, 0, 0, -1))
    for late in (0.002, 0.005, 0.5):
        made = events((0.1 + late, 3, 4, 1), (0.1, 0, 0, -1))
        found = truth.measure(true, made)
        assert found["count error"] == (0, 0)
        expected = math.sqrt(2 - 2 * math.exp(-late / 0.02))
        assert found["van Rossum 20 ms"] == pytest.approx((expected, 0), abs=1e-5)
        assert found["edit"] == pytest.approx((min(late * 100, 2), 0), abs=1e-5)


def test_kinds_and_pixels_are_apart():
    true = events((0.1, 3, 4, 1), (0.1, 0, 0, -1))
    other_kind = events((0.1, 3, 4, -1), (0.1, 0, 0, 1))
    neighbour = events((0.1, 4, 4, 1), (0.1, 0, 1, -1))
    for made in (other_kind, neighbour):
        found = truth.measure(true, made)
        assert found["count error"] == found["edit"] == (2, 2)
        assert found["van Rossum 5 ms"] == pytest.approx((math.sqrt(2), math.sqrt(2)))
    assert truth.measure(true, neighbour)["pooled 5x5"] == (0, 0)


def test_edit_cost_finds_the_cheapest_way(rng):
    # against all ways of leaving out events and moving the others in order
    def cheapest(a, b):
        return min(
            len(a) + len(b) - 2 * k + 100 * sum(abs(x - y) for x, y in zip(p, q, strict=True))
            for k in range(min(len(a), len(b)) + 1)
            for p in itertools.combinations(a, k)
            for q in itertools.combinations(b, k)
        )

    for _ in range(30):
        a, b = (np.sort(rng.uniform(0, 0.06, n)) for n in rng.integers(0, 5, 2))
        trains = [(np.full(len(t), 7), t) for t in (a, b)]
        found = truth.edit_cost(*trains[0], *trains[1], 10, 100.0)
        assert found == pytest.approx(cheapest(a, b))


def test_van_rossum_is_the_integral_of_the_filtered_trains(rng):
    times = np.arange(0, 1, 2e-5)

    def filtered(train):
        since = times[:, None] - train
        return np.where(since >= 0, np.exp(-np.maximum(since, 0) / 0.02), 0).sum(1)

    a, b = (np.sort(rng.uniform(0, 0.5, n)) for n in (6, 4))
    found = truth.van_rossum((np.zeros(6, int), a), (np.zeros(4, int), b), 0.02)
    power = (filtered(a) ** 2).sum()
    expected = math.sqrt(((filtered(a) - filtered(b)) ** 2).sum() / power)
    assert found == pytest.approx(expected, rel=1e-3)


# what the measures say of a pattern that is known at any time


def moving(rate):
    """A pattern that speeds up, `rate` frames for each of six, at 30 a second."""
    rng = np.random.default_rng(3)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 60, 1, 1))
    pace = 2 * np.pi / rng.uniform(8, 40, (60, 1, 1))
    rows, columns = np.mgrid[:80, :80]
    times = np.arange(5 * rate + 1) / rate
    frames = []
    for t in times:
        x = 1.5 * t + 0.15 * t**2
        path = pace * (np.cos(angle) * (columns - x) + np.sin(angle) * (rows - x / 2))
        frames.append(np.clip(np.rint(120 + 7 * np.sin(path + phase).sum(0)), 0, 255))
    return np.array(frames, np.uint8), times / 30


@pytest.fixture(scope="module")
def found():
    """Measures by method and timing, ON and OFF together."""
    true = truth.emulate(*moving(32), "crossing")
    clip = moving(1)
    settings = {
        "none": InterpolationParams(method="none"),
        "linear": InterpolationParams(method="linear", factor=8),
        "flow": InterpolationParams(method="flow", factor=8),
        "flow, auto": InterpolationParams(method="flow"),
    }
    results = {}
    for name, params in settings.items():
        frames, times = interpolate(*clip, params=params)
        for timing in truth.TIMINGS:
            both = truth.measure(true, truth.emulate(frames, times, timing))
            results[name, timing] = {what: np.mean(pair) for what, pair in both.items()}
    return results


@pytest.mark.parametrize("name", ["none", "linear", "flow", "flow, auto"])
def test_crossings_come_nearer_in_time_than_slots(found, name):
    for what in ("edit", "van Rossum 5 ms", "van Rossum 20 ms"):
        assert found[name, "crossing"][what] < found[name, "slot"][what]


@pytest.mark.parametrize("what", ["count error", "edit", "van Rossum 20 ms"])
@pytest.mark.parametrize("timing", truth.TIMINGS)
def test_flow_comes_nearer_than_a_fade(found, what, timing):
    assert found["flow", timing][what] < 0.8 * found["linear", timing][what]


def test_with_crossings_few_steps_do(found):
    few, many = found["flow, auto", "crossing"], found["flow", "crossing"]
    assert few["edit"] < 1.5 * many["edit"]
    assert found["flow, auto", "slot"]["edit"] > 1.2 * found["flow", "slot"]["edit"]
