"""Whether one model is better than another: tests that pair what both were tested on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from evfer.errors import DataError
from evfer.metrics.spread import resample_subjects

__all__ = [
    "McNemar",
    "ResampledT",
    "corrected_resampled_t",
    "mcnemar",
    "paired_bootstrap",
    "tie_key",
]

_EXACT_BELOW = 25
"""Disagreements under which the binomial distribution is taken, not its chi-squared limit."""


def tie_key(score: float) -> float:
    """Give what two scores share if they are a tie, and what orders them if not.

    The same numbers added up in another order differ in their last digits, which is no lead.

    Examples:
        >>> 0.1 + 0.2 == 0.3, tie_key(0.1 + 0.2) == tie_key(0.3)
        (False, True)
    """
    return round(score, 9)


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two models on the same clips.

    Args:
        first_only: clips that only the first model has right.
        second_only: clips that only the second has right.
        p_value: probability of a difference as large if both were equally good.
        exact: whether it is the binomial test's.
    """

    first_only: int
    second_only: int
    p_value: float
    exact: bool


@dataclass(frozen=True)
class ResampledT:
    """The corrected resampled t-test of two models on the same splits.

    Args:
        n_splits: number of splits (k).
        mean: mean difference of the scores, first less second.
        statistic: t; infinite if all splits differ alike.
        p_value: two-sided, with k - 1 degrees of freedom.
        interval: 95 % interval of the mean difference.
    """

    n_splits: int
    mean: float
    statistic: float
    p_value: float
    interval: tuple[float, float]


def corrected_resampled_t(
    differences: ArrayLike, n_train: float, n_test: float, level: float = 0.95
) -> ResampledT:
    """Test whether two models' scores differ over splits that share training clips.

    Splits of one set are not independent, so the plain t-test finds differences where there are
    none. The variance of their mean is taken as (1/k + n_test/n_train) s^2 instead of s^2/k.

    Args:
        differences: first model's score less the second's, one a split, shape (k,).
        n_train: clips to train on in a split.
        n_test: clips to test on in a split.
        level: of the interval.

    Raises:
        DataError: for fewer than two splits, or sizes that are none.

    Source:
        Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003,
        section 5 (corrected resampled t-test); deviates: none.

    Examples:
        >>> found = corrected_resampled_t([0.02, 0.04, 0.06], n_train=80, n_test=20)
        >>> round(found.statistic, 4), round(found.p_value, 4)
        (2.6186, 0.1201)
    """
    values = np.asarray(differences, np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise DataError(
            f"{values.size} differences of scores", expected="finite ones of two splits or more"
        )
    if not (n_train > 0 and n_test > 0):
        raise DataError(f"{n_train} training and {n_test} test clips", expected="some of both")
    mean, k = float(values.mean()), len(values)
    error = math.sqrt((1 / k + n_test / n_train) * float(values.var(ddof=1)))
    reach = error * float(stats.t.ppf((1 + level) / 2, k - 1))
    bounds = (mean - reach, mean + reach)
    if np.ptp(values) == 0:  # rounding could leave some spread, and a t of any size
        return ResampledT(
            k, mean, math.copysign(math.inf, mean) if mean else 0.0, float(not mean), (mean, mean)
        )
    statistic = mean / error
    return ResampledT(k, mean, statistic, float(2 * stats.t.sf(abs(statistic), k - 1)), bounds)


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """Test whether two models are right on equally many of the same clips.

    Only for clips that each model was tested on once: within one split, or over splits that do
    not overlap.

    Args:
        first: whether the first model is right, one a clip, shape (n,).
        second: whether the second is, for the same clips.

    Returns:
        The test: exact where the models disagree on few clips, else chi-squared with continuity
        correction.

    Raises:
        DataError: if there is no clip, or the two differ in length.

    Source:
        McNemar, Note on the sampling error of the difference between correlated proportions or
        percentages, Psychometrika 12, 1947, as in statsmodels; deviates: none.

    Examples:
        >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1])
        McNemar(first_only=5, second_only=1, p_value=0.21875, exact=True)
    """
    ours, theirs = np.asarray(first, bool), np.asarray(second, bool)
    if ours.ndim != 1 or ours.shape != theirs.shape or not ours.size:
        raise DataError(
            f"{ours.shape} and {theirs.shape} answers",
            expected="as many of both models, one or more",
        )
    # on use: it takes a second to import
    from statsmodels.stats.contingency_tables import mcnemar as test

    only = (int((ours & ~theirs).sum()), int((~ours & theirs).sum()))
    exact = sum(only) < _EXACT_BELOW
    table = [[int((ours & theirs).sum()), only[0]], [only[1], int((~ours & ~theirs).sum())]]
    # without disagreement there is nothing to test, and statsmodels would divide by zero
    p_value = float(test(table, exact=exact, correction=True).pvalue) if sum(only) else 1.0
    return McNemar(*only, min(p_value, 1.0), exact)


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    subjects: Sequence[str],
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Give an interval of the difference of two models' accuracies by drawing whole people.

    Args:
        first: share of right answers of the first model, one a clip, shape (n,).
        second: likewise of the second, for the same clips.
        subjects: who is shown, one a clip (n).
        level: share of resamples inside the interval.
        n_resamples: how often people are drawn.
        seed: seed of the draws.

    Returns:
        Lower and upper bound of first less second.

    Raises:
        DataError: if there is no clip.
    """
    gains = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return resample_subjects(
        gains.tolist(), subjects, level=level, n_resamples=n_resamples, seed=seed
    )
