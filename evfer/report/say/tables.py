"""The report's tables: what the rows say, and what sums them up, every number unrounded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from evfer import metrics
from evfer.bench.row_fields import RowEnergy
from evfer.report.read.comparison import Comparison
from evfer.report.read.difference import Difference
from evfer.report.read.energy import PUBLISHED_ANN_MJ, PUBLISHED_SNN_MJ
from evfer.report.read.setting import Setting
from evfer.report.read.studies import AugmentationStudy
from evfer.report.say.sentences import chosen, rule, tally
from evfer.report.say.study_tables import study_tables
from evfer.report.say.table import MODEL, PLACE, Column, Kind, Table

__all__ = ["build_tables", "correct_for_number"]

Pairs = Sequence[tuple[Comparison, Setting]]


def build_tables(
    comparisons: Sequence[Comparison], studies: Sequence[AugmentationStudy] = ()
) -> dict[str, Table]:
    """Give every table by its name.

    Args:
        comparisons: what was tested.
        studies: sets of augmentations compared.
    """
    pairs = [(comparison, setting) for comparison in comparisons for setting in comparison.settings]
    tables = (
        _accuracy(pairs),
        _folds(pairs),
        _leaks(pairs),
        _confusion(pairs),
        _differences(comparisons),
        _subjects(pairs),
        _anytime(pairs),
        _calibration(pairs),
        _energy(pairs),
        _published_energy(),
        *study_tables(studies).values(),
    )
    return {table.name: table for table in tables}


def _accuracy(pairs: Pairs) -> Table:
    repeated = any(setting.over_rounds for _, setting in pairs)
    columns = (
        MODEL,
        *PLACE,
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
    for comparison, setting in pairs:
        accuracy, leak, first = setting.accuracy, setting.leak, setting.first
        rows.append(
            (
                setting.name,
                comparison.set_name,
                comparison.protocol,
                accuracy.mean if accuracy else None,
                accuracy.std if accuracy else None,
                setting.over_rounds.std if setting.over_rounds else None,
                setting.interval,
                setting.uar.mean if setting.uar else None,
                setting.macro_f1.mean if setting.macro_f1 else None,
                setting.ece,
                tally(setting),
                setting.chance,
                setting.majority,
                setting.collapsed,
                rule(setting),
                _warn(setting),
                len(setting.rows),
                len(setting.folds),
                len(setting.splits),
                len(setting.seeds),
                setting.pooled,
                setting.n_subjects,
                first.selected_on,
                setting.optimistic,
                leak.subject_overlap,
                leak.never_tested,
                leak.multiply_tested,
                first.parameters,
                first.recipe,
                first.recipe_sha256,
                first.model_sha256,
                first.data_fingerprint,
                "; ".join(setting.splits),
            )
        )
    brief = ("model", "accuracy", "accuracy_std", "interval", "chance", "warning")
    return Table("accuracy", "Accuracy", columns, tuple(rows), main=True, brief=brief)


def _warn(setting: Setting) -> str:
    """Name in a word or two what makes a score look better than it is."""
    overlap = setting.leak.subject_overlap
    found = {
        "optimistic": setting.optimistic,
        f"leak: {overlap or 0:.0%} of test clips show people trained on": bool(overlap),
        "collapsed": bool(setting.collapsed),
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
        (
            setting.name,
            comparison.set_name,
            comparison.protocol,
            *(getattr(row, name) for name in names),
        )
        for comparison, setting in pairs
        for row in setting.rows
    )
    return Table("folds", "Every fold", (MODEL, *PLACE, *columns), rows)


def _leaks(pairs: Pairs) -> Table:
    columns = (
        Column("subject_overlap", "test clips whose subject trained", "share"),
        Column("never_tested", "clips never tested", "share"),
        Column("multiply_tested", "clips tested more than once", "share"),
        Column("test_chose", "chosen by test clips"),
    )
    rows = tuple(
        (
            *(setting.name, comparison.set_name, comparison.protocol),
            *(leak.subject_overlap, leak.never_tested, leak.multiply_tested, chosen(setting)),
        )
        for comparison, setting in pairs
        for leak in (setting.leak,)
    )
    brief = ("model", "subject_overlap", "never_tested", "multiply_tested", "test_chose")
    return Table("leaks", "Leaks", (MODEL, *PLACE, *columns), rows, main=True, brief=brief)


def _confusion(pairs: Pairs) -> Table:
    columns = (Column("true"), Column("predicted"), Column("count", "", "whole"))
    rows = tuple(
        (
            setting.name,
            comparison.set_name,
            comparison.protocol,
            true,
            predicted,
            int(setting.confusion[i, j]),
        )
        for comparison, setting in pairs
        for i, true in enumerate(setting.classes)
        for j, predicted in enumerate(setting.classes)
    )
    return Table("confusion", "Confusion", (MODEL, *PLACE, *columns), rows)


def _differences(comparisons: Sequence[Comparison]) -> Table:
    columns = (
        *PLACE,
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
    for comparison in comparisons:
        found = comparison.pairs
        over_folds = correct_for_number([_p_value(d.resampled_t) for d in found])
        over_clips = correct_for_number([_p_value(d.mcnemar) for d in found])
        rows += [
            (
                *(comparison.set_name, comparison.protocol, d.first, d.second, d.mean, d.interval),
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

    Examples:
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
        (
            setting.name,
            comparison.set_name,
            comparison.protocol,
            found.subject,
            found.n,
            found.accuracy,
        )
        for comparison, setting in pairs
        for found in setting.people
    )
    return Table("subjects", "Subjects", (MODEL, *PLACE, *columns), rows)


def _anytime(pairs: Pairs) -> Table:
    columns = (Column("step", "step", "whole"), Column("accuracy", "accuracy", "share"))
    rows = tuple(
        (setting.name, comparison.set_name, comparison.protocol, step, accuracy)
        for comparison, setting in pairs
        for step, accuracy in enumerate(setting.anytime, 1)
    )
    return Table("anytime", "Accuracy after each step", (MODEL, *PLACE, *columns), rows)


def _calibration(pairs: Pairs) -> Table:
    columns = (
        Column("low", "", "share"),
        Column("high", "", "share"),
        Column("n", "tests", "whole"),
        Column("confidence", "confidence", "share"),
        Column("accuracy", "accuracy", "share"),
    )
    rows = tuple(
        (
            setting.name,
            comparison.set_name,
            comparison.protocol,
            b.low,
            b.high,
            b.n,
            b.confidence,
            b.accuracy,
        )
        for comparison, setting in pairs
        if setting.calibration
        for b in setting.calibration.bins
    )
    return Table("calibration", "Calibration", (MODEL, *PLACE, *columns), rows)


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
        (
            setting.name,
            comparison.set_name,
            comparison.protocol,
            *(getattr(energy, n) for n in ordered),
        )
        for comparison, setting in pairs
        if (energy := setting.energy)
    )
    brief = ("model", "full_mj", "paper_snn_mj", "legacy_snn_mj", "dense_ann_mj", "rate_per_step")
    return Table("energy", "Energy a clip", (MODEL, *PLACE, *columns), rows, main=True, brief=brief)


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
