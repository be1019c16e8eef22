"""Tables of studies: sets of augmentations, their effects, and the comparison A, B, C."""

from __future__ import annotations

from collections.abc import Sequence

from evfer.report.read.studies import AugmentationStudy
from evfer.report.say.sentences import tally
from evfer.report.say.table import MODEL, PLACE, Column, Table

__all__ = ["study_tables"]


def study_tables(studies: Sequence[AugmentationStudy]) -> dict[str, Table]:
    """Give the tables of studies by their names; columns tell the studies apart.

    Args:
        studies: sets of augmentations compared.
    """
    tables = (_augmentations(studies), _effects(studies), _steps(studies))
    return {table.name: table for table in tables}


def _of_study(studies: Sequence[AugmentationStudy]) -> tuple[Column, ...]:
    places = {(study.model, study.comparison.name) for study in studies}
    return MODEL, *PLACE, Column("settings", "settings" if len(places) < len(studies) else "")


def _place(study: AugmentationStudy) -> tuple[str, ...]:
    return study.model, study.comparison.set_name, study.comparison.protocol, study.digest


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
            *(variant.mean, variant.setting.accuracy.std if variant.setting.accuracy else None),
            *(variant.setting.interval, variant.setting.uar.mean if variant.setting.uar else None),
            *(variant.validation, tally(variant.setting), variant.setting.collapsed),
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
            step.variant.setting.accuracy.std if step.variant.setting.accuracy else None,
            step.variant.setting.interval,
        )
        for study in studies
        for step in study.steps
    )
    return Table("augmentation-steps", "A, B and C", columns, rows)
