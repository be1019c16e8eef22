"""How much scores differ: over folds, and over the people who were tested."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import DataError

__all__ = ["Spread", "resample_subjects", "spread", "subject_bootstrap"]

_MOST_KEPT = 500
"""People beyond whom draws are not kept, for they take 8 MB and more."""


@dataclass(frozen=True)
class Spread:
    """Mean and spread of some scores.

    Args:
        n: how many.
        mean: their mean.
        std: their sample standard deviation (n - 1); None for a single score.
    """

    n: int
    mean: float
    std: float | None


def spread(scores: Sequence[float]) -> Spread:
    """Give mean and sample standard deviation of folds' scores.

    Raises:
        DataError: if there are none.
    """
    if not len(scores):
        raise DataError("no score to average", expected="one or more")
    values = np.asarray(scores, np.float64)
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return Spread(len(values), float(values.mean()), std)


def subject_bootstrap(
    predictions: Sequence[Mapping[str, Any]],
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Give a confidence interval of accuracy that treats people, not clips, as the sample.

    Clips of one person are right or wrong together, so drawing clips would promise too much:
    whole people are drawn, with replacement, and the accuracy of all their clips is taken.

    Args:
        predictions: of all folds together, each with `subject`, `label` and `prediction`, as
            result rows hold them. A clip that was tested several times counts as often.
        level: share of resamples inside the interval.
        n_resamples: how often people are drawn.
        seed: seed of the draws.

    Returns:
        Lower and upper bound (percentiles of the resampled accuracies).

    Raises:
        DataError: if there are no predictions.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile
        interval), over clusters; deviates: none.
    """
    right = [row["label"] == row["prediction"] for row in predictions]
    subjects = [str(row["subject"]) for row in predictions]
    return resample_subjects(right, subjects, level=level, n_resamples=n_resamples, seed=seed)


def resample_subjects(
    values: Sequence[float],
    subjects: Sequence[str],
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Give a confidence interval of a mean over clips by drawing whole people.

    Args:
        values: one a clip (n).
        subjects: who is shown, one a clip (n).
        level: share of resamples inside the interval.
        n_resamples: how often people are drawn.
        seed: seed of the draws.

    Returns:
        Lower and upper bound.

    Raises:
        DataError: if there are none.
    """
    if not len(values):
        raise DataError("no prediction to resample", expected="one or more")
    names, place = np.unique(np.asarray(subjects, str), return_inverse=True)
    sums = np.bincount(place, np.asarray(values, np.float64), len(names))
    counts = np.bincount(place, minlength=len(names))
    # a report asks for thousands of intervals over the same number of people
    count = _count_draws if len(names) <= _MOST_KEPT else _count_draws.__wrapped__
    drawn = count(len(names), n_resamples, seed)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@functools.lru_cache(maxsize=4)
def _count_draws(n_people: int, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """Count how often each person is drawn in each resample, shape (n_resamples, n_people)."""
    drawn = np.random.default_rng(seed).integers(0, n_people, (n_resamples, n_people))
    places = (drawn + n_people * np.arange(n_resamples)[:, None]).ravel()
    counts = np.bincount(places, minlength=n_resamples * n_people)
    found = counts.reshape(n_resamples, n_people).astype(np.float64)
    found.setflags(write=False)
    return found
