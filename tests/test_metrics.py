"""Scores against hand-counted cases and scikit-learn's own averages."""

import numpy as np
import pytest
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from evfer import metrics
from evfer.errors import DataError


def test_hand_counted():
    labels, predictions = [0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2, 2, 0]
    found = metrics.score(labels, predictions)
    assert found.accuracy == pytest.approx(5 / 8)
    assert found.uar == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    f1 = [2 * 3 / (4 + 4), 2 * 1 / (2 + 2), 2 * 1 / (2 + 2)]
    assert found.macro_f1 == pytest.approx(np.mean(f1))
    assert not found.collapsed
    expected = [[3, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert metrics.confusion(labels, predictions, 4).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
@settings(max_examples=examples(60))
def test_equals_plain_definitions(pairs):
    labels, predictions = np.array(pairs).T
    found = metrics.score(labels, predictions)
    counts = metrics.confusion(labels, predictions, 5)
    assert counts.sum() == len(labels)
    assert found.accuracy == pytest.approx(np.trace(counts) / counts.sum())
    present = counts.sum(axis=1) > 0
    recalls = np.diag(counts)[present] / counts.sum(axis=1)[present]
    assert found.uar == pytest.approx(recalls.mean())
    either = present | (counts.sum(axis=0) > 0)
    f1 = 2 * np.diag(counts)[either] / (counts.sum(axis=0) + counts.sum(axis=1))[either]
    assert found.macro_f1 == pytest.approx(f1.mean())
    assert found.accuracy == pytest.approx(sk.accuracy_score(labels, predictions))


def test_collapse_is_seen_at_95_percent():
    assert metrics.collapsed([3] * 19 + [1])
    assert not metrics.collapsed([3] * 18 + [1, 1])
    assert metrics.score([0, 1, 2], [1, 1, 1]).collapsed


def test_baselines():
    assert metrics.chance(6) == pytest.approx(1 / 6)
    assert metrics.majority([0, 2, 2, 1], [2, 2, 0, 1]) == 0.5
    assert metrics.majority([1, 0, 1, 0], [0, 0, 1]) == pytest.approx(2 / 3)  # tie: the lowest


def test_spread_over_folds():
    assert metrics.spread([0.5, 0.7, 0.9]) == metrics.Spread(
        3, pytest.approx(0.7), pytest.approx(0.2)
    )
    assert metrics.spread([0.5]) == metrics.Spread(1, 0.5, None)
    with pytest.raises(DataError, match="no score"):
        metrics.spread([])


def rows(shares, clips=12):
    """Make predictions of subjects, of whose clips the given shares are right."""
    return [
        {"subject": f"S{s:03d}", "label": 1, "prediction": int(i < round(share * clips))}
        for s, share in enumerate(shares)
        for i in range(clips)
    ]


def test_bootstrap_draws_people():
    # people are all right or all wrong, so 8 people are 8 draws, not 96
    apart = rows([1, 1, 1, 1, 0, 0, 0, 0])
    low, high = metrics.subject_bootstrap(apart)
    assert low <= 0.25
    assert high >= 0.75
    alike = rows([0.5] * 8)
    assert metrics.subject_bootstrap(alike) == (0.5, 0.5)
    assert metrics.subject_bootstrap(apart) == (low, high)
    assert metrics.subject_bootstrap(apart, seed=1) != (low, high) or low == 0.125
    narrow = metrics.subject_bootstrap(apart, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_bootstrap_weighs_people_by_their_clips():
    found = rows([1.0], clips=30) + [
        {"subject": "few", "label": 0, "prediction": 1} for _ in range(10)
    ]
    low, high = metrics.subject_bootstrap(found)
    assert (low, high) == (0.0, 1.0)
    middle = metrics.subject_bootstrap(found, level=0.01, n_resamples=4001)
    assert middle[0] == pytest.approx(0.75)


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="as many predictions"):
        metrics.score([], [])
    with pytest.raises(DataError, match="as many predictions"):
        metrics.score([0, 1], [0])
    with pytest.raises(DataError, match="class index 6"):
        metrics.confusion([0, 6], [0, 1], 6)
    with pytest.raises(DataError, match="no prediction"):
        metrics.subject_bootstrap([])
