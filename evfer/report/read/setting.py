"""Settings: all rows of one model on one data set, under one protocol and recipe."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer import metrics
from evfer.bench.row_fields import Leak, Prediction, RowEnergy
from evfer.bench.rows import ResultRow
from evfer.report.read.energy import mean_energy

__all__ = ["LEVEL", "Setting", "make_setting", "mean_known"]

LEVEL = 0.95
"""Of the report's intervals."""
_FEW_SUBJECTS = 10


@dataclass(frozen=True)
class Setting:
    """All folds, seeds and repeats of one model on one data set under one protocol and recipe.

    Attributes:
        name: the model, with what sets it apart from others of the same name.
        model: the model, with the digest of its source where results of several are there.
        rows: by seed and fold.
        accuracy: of the folds' accuracies; None if no row states one.
        interval: 95 % interval of the pooled clips' accuracy over subjects; None if the rows
            hold no predictions of at least two subjects.
        pooled: accuracy of all test clips together, each counted as often as it was tested.
        confusion: pooled counts, rows true, columns predicted, shape (C, C).
    """

    name: str
    model: str
    rows: tuple[ResultRow, ...]
    accuracy: metrics.Spread | None
    uar: metrics.Spread | None
    macro_f1: metrics.Spread | None
    interval: tuple[float, float] | None
    pooled: float | None
    confusion: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def first(self) -> ResultRow:
        """A row that stands for what all rows share."""
        return self.rows[0]

    @functools.cached_property
    def predictions(self) -> list[Prediction]:
        """The predictions of all rows."""
        return [said for row in self.rows for said in row.predictions]

    @functools.cached_property
    def folds(self) -> tuple[int, ...]:
        """The folds that there are rows of."""
        return tuple(sorted({row.fold for row in self.rows if row.fold is not None}))

    @functools.cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that there are rows of."""
        return tuple(sorted({row.seed for row in self.rows if row.seed is not None}))

    @functools.cached_property
    def splits(self) -> tuple[str, ...]:
        """Digests of the folds, one for each time that they were drawn."""
        return tuple(dict.fromkeys(row.folds_sha256 for row in self.rows))

    @functools.cached_property
    def tests(self) -> frozenset[tuple[str, int | None, int]]:
        """What there are rows of: digest of the folds, seed and fold."""
        known = ((row.folds_sha256, row.seed, row.fold) for row in self.rows)
        return frozenset((split, seed, fold) for split, seed, fold in known if fold is not None)

    @functools.cached_property
    def rounds(self) -> tuple[tuple[str, int | None], ...]:
        """Each time that the folds were gone through: their digest and the seed."""
        return tuple(dict.fromkeys((row.folds_sha256, row.seed) for row in self.rows))

    @functools.cached_property
    def over_rounds(self) -> metrics.Spread | None:
        """The rounds' mean accuracies; None for fewer than two, or if one has no accuracy."""
        scores: dict[Any, list[float | None]] = defaultdict(list)
        for row in self.rows:
            scores[row.folds_sha256, row.seed].append(row.accuracy)
        found = [mean_known(values) for values in scores.values()]
        return _spread(found) if len(found) > 1 and None not in found else None

    @functools.cached_property
    def n_subjects(self) -> int:
        """The number of people tested."""
        return len({said.subject for said in self.predictions})

    @property
    def few_subjects(self) -> bool:
        """Whether there are so few people that an interval over them is rough."""
        return 0 < self.n_subjects < _FEW_SUBJECTS

    @property
    def ece(self) -> float | None:
        """Expected calibration error of all answers together; without confidences the rows' mean.

        Of few answers it is too large, so that the mean over folds is more than that of all.
        """
        return (
            self.calibration.error if self.calibration else mean_known(row.ece for row in self.rows)
        )

    @property
    def anytime(self) -> tuple[float, ...]:
        """Mean accuracy had each clip ended after its step 1, 2, ...; empty if not all rows say."""
        steps = {len(row.anytime) for row in self.rows}
        if len(steps) > 1:
            return ()
        return tuple(float(v) for v in np.mean([row.anytime for row in self.rows], axis=0))

    @property
    def chance(self) -> float | None:
        """The accuracy of guessing evenly."""
        stated = mean_known(row.chance for row in self.rows)
        if stated is None and self.classes:
            return metrics.chance(len(self.classes))
        return stated

    @property
    def majority(self) -> float | None:
        """Mean accuracy of always naming the class that training holds most of."""
        return mean_known(row.majority for row in self.rows)

    @property
    def collapsed(self) -> int:
        """The number of rows in which nearly all predictions were one class."""
        return sum(row.collapsed is True for row in self.rows)

    @property
    def optimistic(self) -> bool:
        """Whether test data chose the epoch or anything else."""
        chose = self.leak.test_chose or ()
        return self.first.selected_on == "best_test_epoch" or bool(chose)

    @functools.cached_property
    def people(self) -> tuple[metrics.SubjectScore, ...]:
        """Each person's score."""
        right: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for said in self.predictions:
            counts = right[said.subject]
            counts[0] += 1
            counts[1] += said.label == said.prediction
        return tuple(metrics.SubjectScore(s, n, r / n) for s, (n, r) in sorted(right.items()))

    @functools.cached_property
    def calibration(self) -> metrics.Calibration | None:
        """How confidences fit accuracies, over all rows; None where no row states confidences."""
        said = [said for said in self.predictions if said.confidence is not None]
        if not said:
            return None
        return metrics.calibrate([s.confidence or 0.0 for s in said], [s.right for s in said])

    @functools.cached_property
    def energy(self) -> RowEnergy | None:
        """Mean energy of a clip; None if no row says it."""
        return mean_energy(row.energy for row in self.rows)

    @functools.cached_property
    def leak(self) -> Leak:
        """The leak report over all rows."""
        weights = [row.n_test or len(row.predictions) or 1 for row in self.rows]
        overlaps = [
            (row.leak.subject_overlap, weight)
            for row, weight in zip(self.rows, weights, strict=True)
            if row.leak.subject_overlap is not None
        ]
        shared = None
        if overlaps:
            shared = sum(s * w for s, w in overlaps) / sum(w for _, w in overlaps)
        said = [row.leak.test_chose for row in self.rows if row.leak.test_chose is not None]
        return Leak(
            shared,
            mean_known(row.leak.never_tested for row in self.rows),
            mean_known(row.leak.multiply_tested for row in self.rows),
            tuple(dict.fromkeys(name for names in said for name in names)) if said else None,
            tuple(dict.fromkeys(group for row in self.rows for group in row.leak.alike)),
        )


def make_setting(name: str, model: str, rows: Sequence[ResultRow]) -> Setting:
    """Make a setting of its rows."""
    ordered = sorted(rows, key=lambda row: (row.seed or 0, row.fold or 0, row.run))
    said = [said for row in ordered for said in row.predictions]
    n_classes = max(len(row.classes) for row in ordered)
    total = np.zeros((n_classes, n_classes), np.int64)
    for row in ordered:
        if row.confusion:
            size = len(row.confusion)
            total[:size, :size] += np.array(row.confusion, np.int64)
    return Setting(
        name=name,
        model=model,
        rows=tuple(ordered),
        accuracy=_spread(row.accuracy for row in ordered),
        uar=_spread(row.uar for row in ordered),
        macro_f1=_spread(row.macro_f1 for row in ordered),
        interval=_interval(said),
        pooled=float(np.trace(total) / total.sum()) if total.sum() else None,
        confusion=total,
        classes=max((row.classes for row in ordered), key=len),
    )


def _spread(values: Iterable[float | None]) -> metrics.Spread | None:
    known = [value for value in values if value is not None]
    return metrics.spread(known) if known else None


def mean_known(values: Iterable[float | None]) -> float | None:
    """Give the mean of the values that are known; None if none is."""
    found = _spread(values)
    return found.mean if found else None


def _interval(predictions: Sequence[Prediction]) -> tuple[float, float] | None:
    # of one person nothing can be learnt about others
    if len({said.subject for said in predictions}) < 2:
        return None
    rows = [
        {"subject": said.subject, "label": said.label, "prediction": said.prediction}
        for said in predictions
    ]
    return metrics.subject_bootstrap(rows, level=LEVEL)
