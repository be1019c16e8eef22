"""Rows brought together: one group for each data set, protocol and model, and their differences.

Rows are only brought together when everything that shaped them but fold and seed is the same.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer import metrics
from evfer.report.energy import RowEnergy, mean_energy
from evfer.report.rows import FoldRow, Leak, Prediction

__all__ = ["MOST_COMPARED", "Arena", "Difference", "Group", "bring_together"]

MOST_COMPARED = 12
"""Groups of an arena, the best first, that are compared each with each."""
_FEW_SUBJECTS = 10
_LEVEL = 0.95

_Shares = dict[tuple[int | None, str, str], float]
"""Share of right answers over the seeds, by fold, clip and subject."""


@dataclass(frozen=True)
class Group:
    """All folds and seeds of one model on one data set under one protocol and recipe.

    Attributes:
        name: the model, with what sets it apart from others of the same name.
        rows: by seed and fold.
        accuracy: of the folds' accuracies; None if no row states one.
        interval: 95 % interval of the pooled clips' accuracy over subjects; None if the rows
            hold no predictions of at least two subjects.
        pooled: accuracy of all test clips together, each counted as often as it was tested.
        confusion: pooled counts, rows true, columns predicted, shape (C, C).
    """

    name: str
    rows: tuple[FoldRow, ...]
    accuracy: metrics.Spread | None
    uar: metrics.Spread | None
    macro_f1: metrics.Spread | None
    interval: tuple[float, float] | None
    pooled: float | None
    confusion: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def first(self) -> FoldRow:
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
    def n_subjects(self) -> int:
        """The number of people tested."""
        return len({said.subject for said in self.predictions})

    @property
    def few_subjects(self) -> bool:
        """Whether there are so few people that an interval over them is rough."""
        return 0 < self.n_subjects < _FEW_SUBJECTS

    @property
    def ece(self) -> float | None:
        """Mean expected calibration error of the rows; of all together where none says it."""
        stated = _mean(row.ece for row in self.rows)
        if stated is None and self.calibration:
            return self.calibration.error
        return stated

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
        stated = _mean(row.chance for row in self.rows)
        if stated is None and self.classes:
            return metrics.chance(len(self.classes))
        return stated

    @property
    def majority(self) -> float | None:
        """Mean accuracy of always naming the class that training holds most of."""
        return _mean(row.majority for row in self.rows)

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
            _mean(row.leak.never_tested for row in self.rows),
            _mean(row.leak.multiply_tested for row in self.rows),
            tuple(dict.fromkeys(name for names in said for name in names)) if said else None,
        )


@dataclass(frozen=True)
class Difference:
    """How much better one group is than another on the clips that both were tested on.

    Attributes:
        mean: difference of accuracy, first less second, from -1 to 1.
        interval: its 95 % interval over subjects, paired by clip.
        n_clips: clips compared, each as often as it was tested.
        resampled_t: corrected resampled t-test over the folds, whose scores are means over the
            seeds; None for fewer than two folds, or rows that do not say what they trained on.
        mcnemar: McNemar's test over the clips; None where a clip was tested more than once.
    """

    first: str
    second: str
    mean: float
    interval: tuple[float, float]
    n_clips: int
    resampled_t: metrics.ResampledT | None = None
    mcnemar: metrics.McNemar | None = None

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True)
class Arena:
    """The groups that met on the same recordings and the same folds, the best first."""

    name: str
    set_name: str
    protocol: str
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    """The best group less each other one that can be compared with it."""
    pairs: tuple[Difference, ...] = ()
    """Each of the best groups less each that comes after it; the first ones are `differences`."""


def bring_together(rows: Sequence[FoldRow]) -> tuple[Arena, ...]:
    """Sort rows into groups, and groups into arenas in which they can be compared."""
    arenas: dict[tuple[str, ...], list[FoldRow]] = defaultdict(list)
    for row in rows:
        place = (row.set_name, row.protocol, row.data_fingerprint, row.folds_sha256)
        arenas[place].append(row)
    names = {key: f"{key[0]}, {key[1]} protocol" for key in arenas}
    alike = Counter(key[:2] for key in arenas)
    for key, name in list(names.items()):
        if alike[key[:2]] > 1:
            data, folds = (digest[:8] or "unknown" for digest in key[2:])
            names[key] = f"{name} (data {data}, folds {folds})"
    return tuple(_arena(names[key], arenas[key]) for key in sorted(arenas))


def _arena(name: str, rows: Sequence[FoldRow]) -> Arena:
    found: dict[tuple[Any, ...], list[FoldRow]] = defaultdict(list)
    for row in rows:
        found[_group_key(row)].append(row)
    names = _names(list(found))
    groups = [_group(names[key], members) for key, members in found.items()]
    groups.sort(key=lambda g: (-(g.accuracy.mean if g.accuracy else -1.0), g.name))
    best = groups[:MOST_COMPARED]
    tests = [_tests(group) for group in best]
    both = itertools.combinations(range(len(best)), 2)
    compared = [_difference(best[i], best[j], tests[i], tests[j]) for i, j in both]
    pairs = tuple(item for item in compared if item is not None)
    differences = tuple(item for item in pairs if item.first == groups[0].name)
    first = rows[0]
    return Arena(name, first.set_name, first.protocol, tuple(groups), differences, pairs)


def _group_key(row: FoldRow) -> tuple[Any, ...]:
    return (row.model, row.recipe, row.recipe_sha256, row.selected_on, row.epochs, row.classes)


def _names(keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], str]:
    """Name each group by its model, and by more where models of one name differ."""
    tries: list[Callable[[tuple[Any, ...]], str]] = [
        lambda key: key[0],
        lambda key: f"{key[0]}, {key[1] or 'no recipe'}",
        lambda key: f"{key[0]}, {key[1] or 'no recipe'} ({key[2][:8] or 'no digest'})",
        lambda key: (
            f"{key[0]}, {key[1] or 'no recipe'} ({key[2][:8] or 'no digest'}), "
            f"epoch by {key[3] or 'no stated rule'}, {key[4] or 'unknown'} epochs"
        ),
    ]
    names = {key: tries[-1](key) for key in keys}
    for spell in reversed(tries):
        shorter = {key: spell(key) for key in keys}
        counts = Counter(shorter.values())
        names |= {key: name for key, name in shorter.items() if counts[name] == 1}
    # what is still alike differs in its classes only
    for name in [name for name, n in Counter(names.values()).items() if n > 1]:
        for number, key in enumerate([key for key in keys if names[key] == name], 1):
            names[key] = f"{name} ({number})"
    return names


def _group(name: str, rows: Sequence[FoldRow]) -> Group:
    ordered = sorted(rows, key=lambda row: (row.seed or 0, row.fold or 0, row.run))
    said = [said for row in ordered for said in row.predictions]
    n_classes = max(len(row.classes) for row in ordered)
    total = np.zeros((n_classes, n_classes), np.int64)
    for row in ordered:
        if row.confusion:
            size = len(row.confusion)
            total[:size, :size] += np.array(row.confusion, np.int64)
    return Group(
        name=name,
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


def _mean(values: Iterable[float | None]) -> float | None:
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
    return metrics.subject_bootstrap(rows, level=_LEVEL)


def _difference(first: Group, second: Group, ours: _Shares, theirs: _Shares) -> Difference | None:
    if not ours or ours.keys() != theirs.keys():
        return None
    subjects = [subject for _, _, subject in ours]
    if len(set(subjects)) < 2:
        return None
    pairs = [(right, theirs[key]) for key, right in ours.items()]
    first_right, second_right = zip(*pairs, strict=True)
    # whole people are drawn, as for the interval of one group's accuracy
    interval = metrics.paired_bootstrap(first_right, second_right, subjects, level=_LEVEL)
    clips = {(clip, subject) for _, clip, subject in ours}
    answered = {*first_right, *second_right} <= {0.0, 1.0}
    mean = float(np.mean(first_right) - np.mean(second_right))
    return Difference(
        first.name,
        second.name,
        mean,
        interval,
        len(ours),
        _resampled_t(first, second, ours, theirs),
        metrics.mcnemar(first_right, second_right)
        if answered and len(clips) == len(ours)
        else None,
    )


def _resampled_t(
    first: Group, second: Group, ours: _Shares, theirs: _Shares
) -> metrics.ResampledT | None:
    gains: dict[int | None, list[float]] = defaultdict(list)
    for key, right in ours.items():
        gains[key[0]].append(right - theirs[key])
    trained = _mean(row.n_train for row in (*first.rows, *second.rows))
    if len(gains) < 2 or None in gains or not trained:
        return None
    tested = len(ours) / len(gains)
    return metrics.corrected_resampled_t(
        [float(np.mean(g)) for g in gains.values()], trained, tested
    )


def _tests(group: Group) -> _Shares:
    """Give the share of right answers for each test of a clip, over the seeds."""
    answers: dict[tuple[int | None, str, str], list[bool]] = defaultdict(list)
    for row in group.rows:
        for said in row.predictions:
            answers[row.fold, said.clip_id, said.subject].append(said.right)
    return {key: sum(right) / len(right) for key, right in answers.items()}
