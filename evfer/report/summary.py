"""Rows brought together: one group for each data set, protocol and model, and their differences.

Rows are only brought together when everything that shaped them but fold and seed is the same.
Repeats draw their folds anew, of one kind and number: their rows belong together too, and a fold
of one repeat is not that fold of another.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer import metrics
from evfer.bench.row_fields import Leak, Prediction, RowEnergy
from evfer.bench.rows import ResultRow
from evfer.report.energy import mean_energy

__all__ = ["MOST_COMPARED", "Arena", "Difference", "Group", "bring_together"]

MOST_COMPARED = 12
"""Groups of an arena, the best first, that are compared each with each."""
_FEW_SUBJECTS = 10
_LEVEL = 0.95

_WITHOUT_CHANCE = ("imported", "published", "loso")
"""Kinds of folds that no seed changes: others than before are another split, never a repeat."""

_Shares = dict[tuple[str, int | None, str, str], float]
"""Share of right answers over the seeds, by digest of the folds, fold, clip and subject."""


@dataclass(frozen=True)
class Group:
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
        found = [_mean(values) for values in scores.values()]
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
        return self.calibration.error if self.calibration else _mean(row.ece for row in self.rows)

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
        n_clips: clips compared, each as often as it was tested; seeds of the same folds are one.
        resampled_t: corrected resampled t-test over the folds of all repeats, whose scores are
            means over seeds of the same folds; None for fewer than two folds, or rows that do not
            say what they trained on.
        mcnemar: McNemar's test over the clips, each once; None where a clip is tested by more
            than one fold of the same folds.
        n_different: clips of that test.
        voted: whether repeats or seeds disagreed or were several, so that a clip counts there as
            right where more than half of its tests are. Repeats test the same clips, so they are
            no further ones.
    """

    first: str
    second: str
    mean: float
    interval: tuple[float, float]
    n_clips: int
    resampled_t: metrics.ResampledT | None = None
    mcnemar: metrics.McNemar | None = None
    n_different: int = 0
    voted: bool = False

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True)
class Arena:
    """The groups that met on the same recordings and folds of the same kind, the best first.

    Groups of the same accuracy stand in the order of their names.
    """

    name: str
    set_name: str
    protocol: str
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    """The best group less each other one that can be compared with it."""
    pairs: tuple[Difference, ...] = ()
    """Each of the best groups less each that comes after it; the first ones are `differences`."""


def bring_together(rows: Sequence[ResultRow]) -> tuple[Arena, ...]:
    """Sort rows into groups, and groups into arenas in which they can be compared."""
    arenas: dict[tuple[str, ...], list[ResultRow]] = defaultdict(list)
    splits = _name_splits(rows)
    sources: dict[str, set[str]] = defaultdict(set)
    for row, split in zip(rows, splits, strict=True):
        arenas[row.set_name, row.protocol, row.data_fingerprint, *split].append(row)
        sources[row.model].add(row.model_sha256)
    names = {key: f"{key[0]}, {key[1]} protocol" for key in arenas}
    alike = Counter(key[:2] for key in arenas)
    for key, name in list(names.items()):
        if alike[key[:2]] > 1:
            names[key] = f"{name} (data {key[2][:8] or 'unknown'}, {key[3]})"
    again = Counter(names.values())
    for key, name in list(names.items()):
        if again[name] > 1:
            names[key] = f"{name[:-1]}, labels {key[4][:8] or 'unknown'})"
    several = frozenset(model for model, found in sources.items() if len(found) > 1)
    return tuple(_arena(names[key], arenas[key], several) for key in sorted(arenas))


def _name_splits(rows: Sequence[ResultRow]) -> list[tuple[str, str]]:
    """Say of each row which split it is of, so that repeats are of the same: words and labels.

    Folds that are drawn by chance are one split if kind and number are the same, and who shows
    what. Should one seed have given one model two kinds of folds, they were made in two ways.
    """
    drawn: dict[Any, set[str]] = defaultdict(set)
    for row in rows:
        drawn[_scheme(row), *_group_key(row), row.split_seed].add(row.folds_sha256)
    unclear = {key[0] for key, digests in drawn.items() if len(digests) > 1}
    found = []
    for row in rows:
        scheme = _scheme(row)
        if scheme is None or scheme in unclear:
            found.append((f"folds {row.folds_sha256[:8] or 'unknown'}", row.folds_sha256))
        else:
            found.append((f"{row.n_folds} {row.split_kind} folds", row.labels_sha256))
    return found


def _scheme(row: ResultRow) -> tuple[Any, ...] | None:
    """Give what repeats of a split share; None where the row does not say, or nothing is drawn."""
    if not row.split_kind or row.split_kind in _WITHOUT_CHANCE or row.split_seed is None:
        return None
    place = (row.set_name, row.protocol, row.data_fingerprint, row.labels_sha256)
    return (*place, row.split_kind, row.n_folds)


def _arena(name: str, rows: Sequence[ResultRow], several: frozenset[str]) -> Arena:
    found: dict[tuple[Any, ...], list[ResultRow]] = defaultdict(list)
    for row in rows:
        found[_group_key(row)].append(row)
    models = {key: _name_model(key[0], key[1], several) for key in found}
    names = _names(models)
    groups = [_group(names[key], models[key], members) for key, members in found.items()]
    groups.sort(key=lambda g: (-metrics.tie_key(g.accuracy.mean if g.accuracy else -1.0), g.name))
    best = groups[:MOST_COMPARED]
    tests = [_tests(group) for group in best]
    both = itertools.combinations(range(len(best)), 2)
    compared = [_difference(best[i], best[j], tests[i], tests[j]) for i, j in both]
    pairs = tuple(item for item in compared if item is not None)
    differences = tuple(item for item in pairs if item.first == groups[0].name)
    first = rows[0]
    return Arena(name, first.set_name, first.protocol, tuple(groups), differences, pairs)


def _group_key(row: ResultRow) -> tuple[Any, ...]:
    shaped = (row.recipe, row.recipe_sha256, row.selected_on, row.epochs, row.classes)
    return (row.model, row.model_sha256, *shaped)


def _name_model(model: str, source: str, several: frozenset[str]) -> str:
    """Name a model, with its source's digest where there are results of several sources."""
    return f"{model} (source {source[:8] or 'not stated'})" if model in several else model


def _names(models: Mapping[tuple[Any, ...], str]) -> dict[tuple[Any, ...], str]:
    """Name each group by its model, and by more where models of one name differ."""
    keys = list(models)
    tries: list[Callable[[tuple[Any, ...]], str]] = [
        lambda key: models[key],
        lambda key: f"{models[key]}, {key[2] or 'no recipe'}",
        lambda key: f"{models[key]}, {key[2] or 'no recipe'} ({key[3][:8] or 'no digest'})",
        lambda key: (
            f"{models[key]}, {key[2] or 'no recipe'} ({key[3][:8] or 'no digest'}), "
            f"epoch by {key[4] or 'no stated rule'}, {key[5] or 'unknown'} epochs"
        ),
    ]
    names = {key: tries[-1](key) for key in keys}
    for spell in reversed(tries):
        shorter = {key: spell(key) for key in keys}
        counts = Counter(shorter.values())
        names |= {key: name for key, name in shorter.items() if counts[name] == 1}
    # what is still alike differs in its classes only, or in the end of a digest
    for name in [name for name, n in Counter(names.values()).items() if n > 1]:
        for number, key in enumerate([key for key in keys if names[key] == name], 1):
            names[key] = f"{name} ({number})"
    return names


def _group(name: str, model: str, rows: Sequence[ResultRow]) -> Group:
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
    # of a repeat that only one of them has, or has in full, nothing can be paired
    apart = {key[0] for key in ours.keys() ^ theirs.keys()}
    if apart:
        ours = {key: right for key, right in ours.items() if key[0] not in apart}
    if not ours:
        return None
    subjects = [subject for *_, subject in ours]
    if len(set(subjects)) < 2:
        return None
    pairs = [(right, theirs[key]) for key, right in ours.items()]
    first_right, second_right = zip(*pairs, strict=True)
    # whole people are drawn, as for the interval of one group's accuracy
    interval = metrics.paired_bootstrap(first_right, second_right, subjects, level=_LEVEL)
    clips = {(clip, subject) for _, _, clip, subject in ours}
    answered = {*first_right, *second_right} <= {0.0, 1.0}
    mean = float(np.mean(first_right) - np.mean(second_right))
    return Difference(
        first.name,
        second.name,
        mean,
        interval,
        len(ours),
        _resampled_t(first, second, ours, theirs),
        _mcnemar(ours, theirs),
        len(clips),
        not answered or len(clips) < len(ours),
    )


def _resampled_t(
    first: Group, second: Group, ours: _Shares, theirs: _Shares
) -> metrics.ResampledT | None:
    gains: dict[tuple[str, int | None], list[float]] = defaultdict(list)
    for key, right in ours.items():
        gains[key[:2]].append(right - theirs[key])
    trained = _mean(row.n_train for row in (*first.rows, *second.rows))
    if len(gains) < 2 or any(fold is None for _, fold in gains) or not trained:
        return None
    tested = len(ours) / len(gains)
    return metrics.corrected_resampled_t(
        [float(np.mean(g)) for g in gains.values()], trained, tested
    )


def _mcnemar(ours: _Shares, theirs: _Shares) -> metrics.McNemar | None:
    """Test over clips, each once: right is what more than half of its tests have right."""
    if len({(split, *clip) for split, _, *clip in ours}) < len(ours):
        return None
    votes: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for key, right in ours.items():
        vote = votes[key[2:]]
        vote[0] += right - 0.5
        vote[1] += theirs[key] - 0.5
    # shares such as thirds do not add up to the last bit
    first, second = zip(*((a > 1e-9, b > 1e-9) for a, b in votes.values()), strict=True)
    return metrics.mcnemar(first, second)


def _tests(group: Group) -> _Shares:
    """Give the share of right answers for each test of a clip, over seeds of the same folds."""
    answers: dict[tuple[str, int | None, str, str], list[bool]] = defaultdict(list)
    for row in group.rows:
        for said in row.predictions:
            answers[row.folds_sha256, row.fold, said.clip_id, said.subject].append(said.right)
    return {key: sum(right) / len(right) for key, right in answers.items()}
