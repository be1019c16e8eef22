"""The report's tables: what the rows say, and what sums them up, every number unrounded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from evfer import metrics
from evfer.bench.row_fields import RowEnergy
from evfer.report.energy import PUBLISHED_ANN_MJ, PUBLISHED_SNN_MJ
from evfer.report.studies import AugmentationStudy
from evfer.report.summary import Arena, Difference, Group
from evfer.report.table import Column, Kind, Table
from evfer.report.words import chosen, rule, tally

__all__ = ["build_tables", "correct_for_number", "study_tables"]

_PLACE = (Column("set", "set"), Column("protocol", "protocol"))
_MODEL = Column("model", "model")

Pairs = Sequence[tuple[Arena, Group]]


def build_tables(
    arenas: Sequence[Arena], studies: Sequence[AugmentationStudy] = ()
) -> dict[str, Table]:
    """Give every table by its name.

    Args:
        arenas: what was tested.
        studies: sets of augmentations compared.
    """
    pairs = [(arena, group) for arena in arenas for group in arena.groups]
    tables = (
        _accuracy(pairs),
        _folds(pairs),
        _leaks(pairs),
        _confusion(pairs),
        _differences(arenas),
        _subjects(pairs),
        _anytime(pairs),
        _calibration(pairs),
        _energy(pairs),
        _published_energy(),
        *study_tables(studies).values(),
    )
    return {table.name: table for table in tables}


def study_tables(studies: Sequence[AugmentationStudy]) -> dict[str, Table]:
    """Give the tables of studies by their names; columns tell the studies apart.

    Args:
        studies: sets of augmentations compared.
    """
    tables = (_augmentations(studies), _effects(studies), _steps(studies))
    return {table.name: table for table in tables}


def _of_study(studies: Sequence[AugmentationStudy]) -> tuple[Column, ...]:
    places = {(study.model, study.arena.name) for study in studies}
    return _MODEL, *_PLACE, Column("settings", "settings" if len(places) < len(studies) else "")


def _place(study: AugmentationStudy) -> tuple[str, ...]:
    return study.model, study.arena.set_name, study.arena.protocol, study.settings


def _accuracy(pairs: Pairs) -> Table:
    repeated = any(group.over_rounds for _, group in pairs)
    columns = (
        _MODEL,
        *_PLACE,
        Column("accuracy", "accuracy", "share"),
        Column("accuracy_std", "± results", "share"),
        Column("accuracy_std_repeats", "± repeats" if repeated else "", "share"),
        Column("interval", "95% interval", "interval"),
        Column("uar", "UAR", "share"),
        Column("macro_f1", "macro F1", "share"),
        Column("ece", "ECE", "share"),
        Column("results", "results"),
        Column("chance", "chance", "share"),
        Column("majority", "majority", "share"),
        Column("collapsed_results", "collapsed", "whole"),
        Column("rule", "epoch chosen by"),
        Column("warning", "read with care"),
        *(
            Column(key)
            for key in (
                *("n_results", "n_folds", "n_splits", "n_seeds", "pooled_accuracy", "n_subjects"),
                *("selected_on", "optimistic", "subject_overlap", "never_tested"),
                *("multiply_tested", "parameters", "recipe", "recipe_sha256"),
                *("model_sha256", "data_fingerprint", "folds_sha256"),
            )
        ),
    )
    rows = []
    for arena, group in pairs:
        accuracy, leak, first = group.accuracy, group.leak, group.first
        rows.append(
            (
                group.name,
                arena.set_name,
                arena.protocol,
                accuracy.mean if accuracy else None,
                accuracy.std if accuracy else None,
                group.over_rounds.std if group.over_rounds else None,
                group.interval,
                group.uar.mean if group.uar else None,
                group.macro_f1.mean if group.macro_f1 else None,
                group.ece,
                tally(group),
                group.chance,
                group.majority,
                group.collapsed,
                rule(group),
                _warn(group),
                len(group.rows),
                len(group.folds),
                len(group.splits),
                len(group.seeds),
                group.pooled,
                group.n_subjects,
                first.selected_on,
                group.optimistic,
                leak.subject_overlap,
                leak.never_tested,
                leak.multiply_tested,
                first.parameters,
                first.recipe,
                first.recipe_sha256,
                first.model_sha256,
                first.data_fingerprint,
                "; ".join(group.splits),
            )
        )
    brief = ("model", "accuracy", "accuracy_std", "interval", "chance", "warning")
    return Table("accuracy", "Accuracy", columns, tuple(rows), main=True, brief=brief)


def _warn(group: Group) -> str:
    """Name in a word or two what makes a score look better than it is."""
    overlap = group.leak.subject_overlap
    found = {
        "optimistic": group.optimistic,
        f"leak: {overlap or 0:.0%} of test clips show people trained on": bool(overlap),
        "collapsed": bool(group.collapsed),
        "leaks not stated": overlap is None,
    }
    return "; ".join(word for word, applies in found.items() if applies) or "none"


_FOLD_COLUMNS: tuple[tuple[str, str, Kind], ...] = (
    ("run", "", "text"),
    ("seed", "seed", "whole"),
    ("fold", "fold", "whole"),
    ("n_folds", "", "whole"),
    ("folds_sha256", "", "text"),
    ("accuracy", "accuracy", "share"),
    ("uar", "UAR", "share"),
    ("macro_f1", "macro F1", "share"),
    ("ece", "ECE", "share"),
    ("chance", "", "share"),
    ("majority", "", "share"),
    ("collapsed", "collapsed", "flag"),
    ("selected_on", "", "text"),
    ("selected_epoch", "epoch", "whole"),
    ("epochs", "", "whole"),
    ("n_train", "trained on", "whole"),
    ("n_test", "tested on", "whole"),
    ("train_seconds", "seconds", "whole"),
    ("test_seconds", "", "number"),
    ("device", "", "text"),
    ("precision", "", "text"),
)


def _folds(pairs: Pairs) -> Table:
    columns = tuple(Column(*item) for item in _FOLD_COLUMNS)
    names = [key for key, _, _ in _FOLD_COLUMNS]
    rows = tuple(
        (group.name, arena.set_name, arena.protocol, *(getattr(row, name) for name in names))
        for arena, group in pairs
        for row in group.rows
    )
    return Table("folds", "Every fold", (_MODEL, *_PLACE, *columns), rows)


def _leaks(pairs: Pairs) -> Table:
    columns = (
        Column("subject_overlap", "test clips whose subject trained", "share"),
        Column("never_tested", "clips never tested", "share"),
        Column("multiply_tested", "clips tested more than once", "share"),
        Column("test_chose", "chosen by test clips"),
    )
    rows = tuple(
        (
            *(group.name, arena.set_name, arena.protocol),
            *(leak.subject_overlap, leak.never_tested, leak.multiply_tested, chosen(group)),
        )
        for arena, group in pairs
        for leak in (group.leak,)
    )
    brief = ("model", "subject_overlap", "never_tested", "multiply_tested", "test_chose")
    return Table("leaks", "Leaks", (_MODEL, *_PLACE, *columns), rows, main=True, brief=brief)


def _confusion(pairs: Pairs) -> Table:
    columns = (Column("true"), Column("predicted"), Column("count", "", "whole"))
    rows = tuple(
        (group.name, arena.set_name, arena.protocol, true, predicted, int(group.confusion[i, j]))
        for arena, group in pairs
        for i, true in enumerate(group.classes)
        for j, predicted in enumerate(group.classes)
    )
    return Table("confusion", "Confusion", (_MODEL, *_PLACE, *columns), rows)


def _differences(arenas: Sequence[Arena]) -> Table:
    columns = (
        *_PLACE,
        Column("first", "model"),
        Column("second", "against"),
        Column("difference", "difference, points", "points"),
        Column("interval", "95% interval", "gap"),
        Column("n_clips", "tests", "whole"),
        Column("n_different_clips", "", "whole"),
        Column("n_folds", "folds", "whole"),
        Column("resampled_t", "t", "number"),
        Column("resampled_t_p", "p over folds", "probability"),
        Column("resampled_t_p_holm", "p over folds, corrected", "probability"),
        Column("first_only_right", "only first right", "whole"),
        Column("second_only_right", "only second right", "whole"),
        Column("mcnemar_p", "p over clips", "probability"),
        Column("mcnemar_p_holm", "p over clips, corrected", "probability"),
    )
    rows: list[tuple[Any, ...]] = []
    for arena in arenas:
        found = arena.pairs
        over_folds = correct_for_number([_p_value(d.resampled_t) for d in found])
        over_clips = correct_for_number([_p_value(d.mcnemar) for d in found])
        rows += [
            (
                *(arena.set_name, arena.protocol, d.first, d.second, d.mean, d.interval),
                *(d.n_clips, d.n_different, *_test_cells(d, p_folds, p_clips)),
            )
            for d, p_folds, p_clips in zip(found, over_folds, over_clips, strict=True)
        ]
    brief = ("first", "second", "difference", "interval", "resampled_t_p_holm", "mcnemar_p_holm")
    return Table("differences", "Models compared", columns, tuple(rows), main=True, brief=brief)


def _p_value(test: metrics.ResampledT | metrics.McNemar | None) -> float | None:
    return test.p_value if test else None


def _test_cells(d: Difference, p_folds: float | None, p_clips: float | None) -> tuple[Any, ...]:
    t, mcnemar = d.resampled_t, d.mcnemar
    return (
        *((t.n_splits, t.statistic, t.p_value, p_folds) if t else (None,) * 4),
        *(
            (mcnemar.first_only, mcnemar.second_only, mcnemar.p_value, p_clips)
            if mcnemar
            else (None,) * 4
        ),
    )


def correct_for_number(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for how many tests there are.

    Args:
        p_values: of the tests of one family; None where there was no test.

    Source:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
        Statistics 6, 1979; deviates: none.

    Example:
        >>> correct_for_number([0.01, None, 0.04, 0.03])
        [0.03, None, 0.06, 0.06]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        corrected[i] = highest
    return corrected


def _subjects(pairs: Pairs) -> Table:
    columns = (
        Column("subject", "subject"),
        Column("n_tests", "tests", "whole"),
        Column("accuracy", "accuracy", "share"),
    )
    rows = tuple(
        (group.name, arena.set_name, arena.protocol, found.subject, found.n, found.accuracy)
        for arena, group in pairs
        for found in group.people
    )
    return Table("subjects", "Subjects", (_MODEL, *_PLACE, *columns), rows)


def _anytime(pairs: Pairs) -> Table:
    columns = (Column("step", "step", "whole"), Column("accuracy", "accuracy", "share"))
    rows = tuple(
        (group.name, arena.set_name, arena.protocol, step, accuracy)
        for arena, group in pairs
        for step, accuracy in enumerate(group.anytime, 1)
    )
    return Table("anytime", "Accuracy after each step", (_MODEL, *_PLACE, *columns), rows)


def _calibration(pairs: Pairs) -> Table:
    columns = (
        Column("low", "", "share"),
        Column("high", "", "share"),
        Column("n", "tests", "whole"),
        Column("confidence", "confidence", "share"),
        Column("accuracy", "accuracy", "share"),
    )
    rows = tuple(
        (group.name, arena.set_name, arena.protocol, b.low, b.high, b.n, b.confidence, b.accuracy)
        for arena, group in pairs
        if group.calibration
        for b in group.calibration.bins
    )
    return Table("calibration", "Calibration", (_MODEL, *_PLACE, *columns), rows)


_ENERGY_TITLES: dict[str, tuple[str, Kind]] = {
    "clips": ("clips counted", "whole"),
    "full_mj": ("full, mJ", "energy"),
    "full_mac_mj": ("full (MAC), mJ", "energy"),
    "paper_snn_mj": ("paper, mJ", "energy"),
    "paper_ann_mj": ("paper ANN, mJ", "energy"),
    "legacy_snn_mj": ("legacy, mJ", "energy"),
    "legacy_ann_mj": ("legacy ANN, mJ", "energy"),
    "dense_ann_mj": ("dense ANN, mJ", "energy"),
    "sparse_ann_mj": ("sparse ANN, mJ", "energy"),
    "int8_ann_mj": ("8-bit ANN, mJ", "energy"),
    "rate_per_step": ("firing rate", "number"),
}


def _energy(pairs: Pairs) -> Table:
    names = [item.name for item in dataclasses.fields(RowEnergy)]
    ordered = [*_ENERGY_TITLES, *(name for name in names if name not in _ENERGY_TITLES)]
    columns = tuple(Column(name, *_ENERGY_TITLES.get(name, ("", "number"))) for name in ordered)
    rows = tuple(
        (group.name, arena.set_name, arena.protocol, *(getattr(energy, n) for n in ordered))
        for arena, group in pairs
        if (energy := group.energy)
    )
    brief = ("model", "full_mj", "paper_snn_mj", "legacy_snn_mj", "dense_ann_mj", "rate_per_step")
    return Table(
        "energy", "Energy a clip", (_MODEL, *_PLACE, *columns), rows, main=True, brief=brief
    )


def _published_energy() -> Table:
    columns = (
        Column("network", "network"),
        Column("data", "data set"),
        Column("energy_mj", "published, mJ", "stated"),
        Column("times_less", "times less", "number"),
    )
    names = ("lowest of the four", "second", "third", "highest")
    rows = (
        ("ResNet-18", "each of the four", PUBLISHED_ANN_MJ, 1.0),
        *(
            ("Spiking-FER", name, energy, PUBLISHED_ANN_MJ / energy)
            for name, energy in zip(names, PUBLISHED_SNN_MJ, strict=True)
        ),
    )
    return Table("energy-published", "Published energies (table 3)", columns, rows)


def _augmentations(studies: Sequence[AugmentationStudy]) -> Table:
    columns = (
        *_of_study(studies),
        Column("augmentations", "augmentations"),
        Column("accuracy", "accuracy", "share"),
        Column("accuracy_std", "± results", "share"),
        Column("interval", "95% interval", "interval"),
        Column("uar", "UAR", "share"),
        Column("validation", "validation", "share"),
        Column("results", "results"),
        Column("collapsed_results", "collapsed", "whole"),
    )
    rows = tuple(
        (
            *(*_place(study), variant.label),
            *(variant.mean, variant.group.accuracy.std if variant.group.accuracy else None),
            *(variant.group.interval, variant.group.uar.mean if variant.group.uar else None),
            *(variant.validation, tally(variant.group), variant.group.collapsed),
        )
        for study in studies
        for variant in study.variants
    )
    brief = ("model", "augmentations", "accuracy", "accuracy_std", "interval", "validation")
    return Table(
        "augmentations", "Sets of augmentations", columns, rows, main=bool(rows), brief=brief
    )


def _effects(studies: Sequence[AugmentationStudy]) -> Table:
    columns = (
        *_of_study(studies),
        Column("method", "regression"),
        Column("factor", "augmentation"),
        Column("effect", "effect, points", "points"),
        Column("interval", "95% interval", "gap"),
        Column("std_error", "", "number"),
        Column("p_value", "p", "probability"),
        Column("n", "", "whole"),
        Column("n_splits", "", "whole"),
    )
    methods = {"ols": "least squares (published)", "mixed": "mixed, splits as random effects"}
    rows = tuple(
        (
            *(*_place(study), methods[fit.method]),
            *(effect.name, effect.estimate, (effect.low, effect.high), effect.std_error),
            *(effect.p_value, fit.n, fit.n_splits),
        )
        for study in studies
        for fit in (study.ols, study.mixed)
        for effect in fit.effects
    )
    brief = ("model", "method", "factor", "effect", "interval", "p_value")
    return Table("effects", "Effects of augmentations", columns, rows, main=bool(rows), brief=brief)


def _steps(studies: Sequence[AugmentationStudy]) -> Table:
    columns = (
        *_of_study(studies),
        Column("step", "step"),
        Column("augmentations", "augmentations"),
        Column("accuracy", "accuracy", "share"),
        Column("accuracy_std", "± results", "share"),
        Column("interval", "95% interval", "interval"),
    )
    rows = tuple(
        (
            *(*_place(study), step.letter),
            *(step.variant.label, step.variant.mean),
            step.variant.group.accuracy.std if step.variant.group.accuracy else None,
            step.variant.group.interval,
        )
        for study in studies
        for step in study.steps
    )
    return Table("augmentation-steps", "A, B and C", columns, rows)
