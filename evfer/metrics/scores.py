"""Scores of predictions, and what guessing would score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

from evfer.errors import DataError

__all__ = [
    "COLLAPSE_SHARE",
    "Scores",
    "SubjectScore",
    "chance",
    "collapsed",
    "confusion",
    "majority",
    "score",
    "score_subjects",
]

COLLAPSE_SHARE = 0.95
"""Share of predictions in one class from which a model counts as collapsed."""


@dataclass(frozen=True)
class Scores:
    """Scores of one set of predictions, from 0 to 1.

    Args:
        accuracy: share of correct predictions; also called WAR, weighted average recall.
        uar: unweighted average recall over the classes that the labels hold.
        macro_f1: unweighted mean of F1 over the classes that labels or predictions hold.
        collapsed: whether nearly all predictions are one class.
    """

    accuracy: float
    uar: float
    macro_f1: float
    collapsed: bool


@dataclass(frozen=True)
class SubjectScore:
    """What a model is worth for one person.

    Args:
        subject: who.
        n: their tests; a clip that was tested several times counts as often.
        accuracy: share of them that is right.
    """

    subject: str
    n: int
    accuracy: float


def score(labels: ArrayLike, predictions: ArrayLike) -> Scores:
    """Score predictions.

    Args:
        labels: true class indices, shape (n,), n at least 1.
        predictions: predicted class indices, shape (n,).

    Raises:
        DataError: if there is nothing to score, or the two differ in length.

    Examples:
        >>> score([0, 0, 0, 1], [0, 0, 1, 1])
        Scores(accuracy=0.75, uar=0.8333333333333333, macro_f1=0.7333333333333334, collapsed=False)
    """
    true, found = _pair(labels, predictions)
    return Scores(
        accuracy=float((true == found).mean()),
        uar=float(sk.recall_score(true, found, labels=np.unique(true), average="macro")),
        macro_f1=float(sk.f1_score(true, found, average="macro", zero_division=0)),
        collapsed=collapsed(found),
    )


def confusion(labels: ArrayLike, predictions: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Count predictions by class: rows are true classes, columns predicted ones.

    Args:
        labels: true class indices, shape (n,).
        predictions: predicted class indices, shape (n,).
        n_classes: number of classes (C).

    Returns:
        Counts, int64, shape (C, C).

    Raises:
        DataError: as for `score`, or if an index is not below `n_classes`.
    """
    true, found = _pair(labels, predictions)
    for index in (true.min(), found.min(), true.max(), found.max()):
        if not 0 <= index < n_classes:
            raise DataError(f"class index {index}", expected=f"0 to {n_classes - 1}")
    counts: NDArray[np.int64] = sk.confusion_matrix(true, found, labels=np.arange(n_classes))
    return counts


def chance(n_classes: int) -> float:
    """Give the accuracy of guessing evenly among the classes."""
    return 1 / n_classes


def majority(train_labels: ArrayLike, test_labels: ArrayLike) -> float:
    """Give the test accuracy of always naming the class that training holds most of.

    Args:
        train_labels: class indices of the training clips, shape (n,).
        test_labels: class indices of the test clips, shape (m,).

    Returns:
        The accuracy; of equally frequent classes the lowest index counts.
    """
    most = int(np.bincount(np.asarray(train_labels)).argmax())
    return float((np.asarray(test_labels) == most).mean())


def collapsed(predictions: ArrayLike) -> bool:
    """Say whether at least 95 % of the predictions are one class."""
    _, counts = np.unique(np.asarray(predictions), return_counts=True)
    return bool(counts.max() >= COLLAPSE_SHARE * counts.sum())


def score_subjects(predictions: Sequence[Mapping[str, Any]]) -> tuple[SubjectScore, ...]:
    """Score each person apart.

    Args:
        predictions: each with `subject`, `label` and `prediction`, as result rows hold them.

    Returns:
        One score a person, by name.
    """
    right: dict[str, list[bool]] = {}
    for row in predictions:
        right.setdefault(str(row["subject"]), []).append(row["label"] == row["prediction"])
    return tuple(
        SubjectScore(subject, len(right[subject]), sum(right[subject]) / len(right[subject]))
        for subject in sorted(right)
    )


def _pair(labels: ArrayLike, predictions: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    true, found = np.asarray(labels, np.int64), np.asarray(predictions, np.int64)
    if true.ndim != 1 or true.shape != found.shape or not true.size:
        raise DataError(
            f"{true.shape} labels and {found.shape} predictions",
            expected="as many predictions as labels, one or more",
        )
    return true, found
