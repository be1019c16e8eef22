"""Calibration and tests between models, against hand-worked numbers and the libraries' own."""

import math

import numpy as np
import pytest
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve

from evfer import metrics
from evfer.errors import DataError


def test_calibration_by_hand():
    # two bins: (0, 0.5] holds 0.3 and 0.5, both wrong; (0.5, 1] holds 0.6, 0.8, 1.0, two right
    found = metrics.calibrate([0.3, 0.5, 0.6, 0.8, 1.0], [0, 0, 1, 0, 1], n_bins=2)
    assert found.error == pytest.approx(2 / 5 * 0.4 + 3 / 5 * (0.8 - 2 / 3))
    assert found.bins[0] == metrics.Bin(0.0, 0.5, 2, pytest.approx(0.4), 0.0)
    assert found.bins[1] == metrics.Bin(0.5, 1.0, 3, pytest.approx(0.8), pytest.approx(2 / 3))
    assert metrics.calibrate([0.0, 1.0], [False, True]).error == 0
    assert metrics.calibrate([1.0], [False]).error == 1
    empty = metrics.calibrate([0.9], [True], n_bins=3).bins[0]
    assert (empty.n, empty.confidence, empty.accuracy) == (0, None, None)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=examples(80))
def test_calibration_has_scikit_learns_bins(pairs):
    confidences = np.array([c for c, _ in pairs])
    right = np.array([r for _, r in pairs])
    found = metrics.calibrate(confidences, right, 10)
    filled = [b for b in found.bins if b.n]
    share, mean = (
        calibration_curve(right, confidences, n_bins=10)
        if len(set(right)) == 2
        else (
            [b.accuracy for b in filled],
            [b.confidence for b in filled],
        )
    )
    assert [b.accuracy for b in filled] == pytest.approx(list(share))
    assert [b.confidence for b in filled] == pytest.approx(list(mean))
    assert sum(b.n for b in found.bins) == len(pairs)
    error = sum(b.n * abs(b.accuracy - b.confidence) for b in filled) / len(pairs)
    assert found.error == pytest.approx(error)


def test_calibration_refuses_what_is_no_probability():
    for confidences, right in (([], []), ([0.5], [1, 0]), ([1.1], [1]), ([math.nan], [1])):
        with pytest.raises(DataError):
            metrics.calibrate(confidences, right)


def test_corrected_t_by_hand():
    # mean 0.04, variance 0.0004; (1/3 + 20/80) 0.0004 = 0.00023333; t = 0.04 / 0.015275
    found = metrics.corrected_resampled_t([0.02, 0.04, 0.06], n_train=80, n_test=20)
    assert found.statistic == pytest.approx(0.04 / math.sqrt((1 / 3 + 1 / 4) * 0.0004))
    assert found.p_value == pytest.approx(2 * stats.t.sf(found.statistic, 2))
    assert found.mean == pytest.approx(0.04)
    reach = 4.302653 * 0.015275  # t of 97.5 % with 2 degrees of freedom
    assert found.interval == pytest.approx((0.04 - reach, 0.04 + reach), abs=1e-5)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=12), st.floats(0.05, 1))
@settings(max_examples=examples(60))
def test_corrected_t_is_the_paired_t_made_wider(differences, ratio):
    if np.std(differences) < 1e-6:
        return
    k = len(differences)
    plain = stats.ttest_rel(differences, np.zeros(k))
    # without training clips in common the correction falls away
    none = metrics.corrected_resampled_t(differences, n_train=1e15, n_test=1)
    assert none.statistic == pytest.approx(plain.statistic, rel=1e-6, abs=1e-9)
    assert none.p_value == pytest.approx(plain.pvalue, rel=1e-6)
    low, high = plain.confidence_interval(0.95)
    assert none.interval == pytest.approx((low, high), rel=1e-6, abs=1e-9)
    found = metrics.corrected_resampled_t(differences, n_train=100, n_test=100 * ratio)
    assert found.statistic == pytest.approx(plain.statistic / math.sqrt(1 + k * ratio))
    assert found.p_value >= plain.pvalue


def test_corrected_t_without_spread():
    same = metrics.corrected_resampled_t([0.1] * 5, 80, 20)
    assert (same.statistic, same.p_value) == (math.inf, 0.0)
    assert metrics.corrected_resampled_t([-0.1] * 5, 80, 20).statistic == -math.inf
    none = metrics.corrected_resampled_t([0.0, 0.0], 80, 20)
    assert (none.statistic, none.p_value, none.interval) == (0.0, 1.0, (0.0, 0.0))
    for wrong in ([0.1], [[0.1, 0.2]], [0.1, math.nan]):
        with pytest.raises(DataError, match="differences"):
            metrics.corrected_resampled_t(wrong, 80, 20)
    with pytest.raises(DataError, match="0 training"):
        metrics.corrected_resampled_t([0.1, 0.2], 0, 20)


def test_corrected_t_keeps_its_promise_where_the_plain_one_does_not():
    """Two equal rules on overlapping splits of noise: few false alarms with the correction."""
    rng = np.random.default_rng(0)
    alarms = np.zeros(2)
    for _ in range(300):
        gains = rng.choice([-1.0, 0.0, 1.0], 100)  # clip by clip, who is right; equal on average
        splits = [rng.permutation(100)[:20] for _ in range(10)]
        differences = [gains[split].mean() for split in splits]
        alarms += [
            stats.ttest_1samp(differences, 0).pvalue < 0.05,
            metrics.corrected_resampled_t(differences, 80, 20).p_value < 0.05,
        ]
    plain, corrected = alarms / 300
    assert plain > 0.15
    assert corrected < 0.1


def test_mcnemar_by_hand():
    # of 6 disagreements 5 for the first: 2 (C(6,0) + C(6,1)) / 2^6 = 14/64
    found = metrics.mcnemar([1] * 5 + [0] + [1] * 9, [0] * 5 + [1] + [1] * 9)
    assert found == metrics.McNemar(5, 1, pytest.approx(14 / 64), True)
    assert metrics.mcnemar([1, 0], [1, 0]).p_value == 1.0
    assert metrics.mcnemar([1, 0], [0, 1]).p_value == 1.0
    # many disagreements: (|30 - 10| - 1)^2 / 40
    many = metrics.mcnemar([1] * 30 + [0] * 10, [0] * 30 + [1] * 10)
    assert not many.exact
    assert many.p_value == pytest.approx(stats.chi2.sf(19**2 / 40, 1))


@given(st.integers(0, 24), st.integers(0, 24), st.integers(0, 5))
@settings(max_examples=examples(60))
def test_mcnemar_is_the_sign_test_of_the_disagreements(b, c, alike):
    first, second = [1] * b + [0] * c + [1] * alike, [0] * b + [1] * c + [1] * alike
    if not first:
        return
    found = metrics.mcnemar(first, second)
    assert (found.first_only, found.second_only) == (b, c)
    assert found.exact == (b + c < 25)
    assert metrics.mcnemar(second, first).p_value == pytest.approx(found.p_value)
    if found.exact and b + c:
        assert found.p_value == pytest.approx(stats.binomtest(b, b + c).pvalue)


def test_mcnemar_needs_pairs():
    with pytest.raises(DataError):
        metrics.mcnemar([1, 0], [1])
    with pytest.raises(DataError):
        metrics.mcnemar([], [])


def test_paired_bootstrap_draws_people():
    people = [f"S{i}" for i in range(10) for _ in range(4)]
    ours = np.repeat([1, 1, 1, 1, 1, 0, 0, 1, 0, 1], 4)
    assert metrics.paired_bootstrap(ours, ours, people) == (0.0, 0.0)
    low, high = metrics.paired_bootstrap(ours, 1 - ours, people)
    assert low < 0.4 < high
    apart = metrics.paired_bootstrap(ours, 1 - ours, [f"S{i}" for i in range(40)])
    assert apart[1] - apart[0] < high - low


def test_people_apart():
    rows = [
        {"subject": "B", "label": 1, "prediction": 1},
        {"subject": "A", "label": 1, "prediction": 0},
        {"subject": "B", "label": 0, "prediction": 1},
    ]
    assert metrics.score_subjects(rows) == (
        metrics.SubjectScore("A", 1, 0.0),
        metrics.SubjectScore("B", 2, 0.5),
    )
    assert metrics.score_subjects([]) == ()
