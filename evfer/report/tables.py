"""The report's tables as CSV and Markdown, with every number unrounded in the CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from evfer import metrics
from evfer.report.summary import Arena, Difference, Group
from evfer.report.words import interval, percent, rule

__all__ = ["Table", "all_tables"]

Table = tuple[str, str]
"""A file's name and its text."""

_SUMMARY = (
    "set",
    "protocol",
    "model",
    "accuracy",
    "accuracy_std",
    "n_results",
    "n_folds",
    "n_seeds",
    "interval_low",
    "interval_high",
    "pooled_accuracy",
    "n_subjects",
    "uar",
    "macro_f1",
    "ece",
    "chance",
    "majority",
    "collapsed_results",
    "selected_on",
    "optimistic",
    "subject_overlap",
    "never_tested",
    "multiply_tested",
    "parameters",
    "recipe",
    "recipe_sha256",
    "data_fingerprint",
    "folds_sha256",
)
_FOLDS = (
    "set",
    "protocol",
    "model",
    "run",
    "seed",
    "fold",
    "n_folds",
    "accuracy",
    "uar",
    "macro_f1",
    "ece",
    "chance",
    "majority",
    "collapsed",
    "selected_on",
    "selected_epoch",
    "epochs",
    "n_train",
    "n_test",
    "train_seconds",
    "test_seconds",
    "device",
    "precision",
)


def all_tables(arenas: Sequence[Arena]) -> list[Table]:
    """Give every table: the summary as CSV and Markdown, and what it sums up as CSV."""
    pairs = [(arena, group) for arena in arenas for group in arena.groups]
    summary = [_summary_row(arena, group) for arena, group in pairs]
    folds = [
        (
            arena.set_name,
            arena.protocol,
            group.name,
            *(getattr(row, name) for name in _FOLDS[3:]),
        )
        for arena, group in pairs
        for row in group.rows
    ]
    confusion = [
        (arena.set_name, arena.protocol, group.name, true, predicted, int(group.confusion[i, j]))
        for arena, group in pairs
        for i, true in enumerate(group.classes)
        for j, predicted in enumerate(group.classes)
    ]
    differences = [
        (
            *(arena.set_name, arena.protocol, d.first, d.second, d.mean, *d.interval, d.n_clips),
            *_test_cells(d),
        )
        for arena in arenas
        for d in arena.differences
    ]
    subjects = [
        (arena.set_name, arena.protocol, group.name, found.subject, found.n, found.accuracy)
        for arena, group in pairs
        for found in metrics.score_subjects([vars(said) for said in group.predictions])
    ]
    steps = [
        (arena.set_name, arena.protocol, group.name, step, accuracy)
        for arena, group in pairs
        for step, accuracy in enumerate(group.anytime, 1)
    ]
    return [
        ("accuracy.csv", _csv(_SUMMARY, summary)),
        ("accuracy.md", _markdown(pairs)),
        ("folds.csv", _csv(_FOLDS, folds)),
        (
            "confusion.csv",
            _csv(("set", "protocol", "model", "true", "predicted", "count"), confusion),
        ),
        (
            "differences.csv",
            _csv(
                (
                    "set",
                    "protocol",
                    "first",
                    "second",
                    "difference",
                    "interval_low",
                    "interval_high",
                    "n_clips",
                    "n_folds",
                    "resampled_t",
                    "resampled_t_p",
                    "first_only_right",
                    "second_only_right",
                    "mcnemar_p",
                ),
                differences,
            ),
        ),
        (
            "subjects.csv",
            _csv(("set", "protocol", "model", "subject", "n_tests", "accuracy"), subjects),
        ),
        ("anytime.csv", _csv(("set", "protocol", "model", "step", "accuracy"), steps)),
        (
            "calibration.csv",
            _csv(
                ("set", "protocol", "model", "low", "high", "n", "confidence", "accuracy"),
                [row for arena, group in pairs for row in _calibration(arena, group)],
            ),
        ),
    ]


def _test_cells(difference: Difference) -> tuple[Any, ...]:
    t, mcnemar = difference.resampled_t, difference.mcnemar
    return (
        *((t.n_splits, t.statistic, t.p_value) if t else (None, None, None)),
        *(
            (mcnemar.first_only, mcnemar.second_only, mcnemar.p_value)
            if mcnemar
            else (None, None, None)
        ),
    )


def _calibration(arena: Arena, group: Group) -> list[tuple[Any, ...]]:
    said = [said for said in group.predictions if said.confidence is not None]
    if not said:
        return []
    found = metrics.calibrate([s.confidence or 0.0 for s in said], [s.right for s in said])
    names = (arena.set_name, arena.protocol, group.name)
    return [(*names, b.low, b.high, b.n, b.confidence, b.accuracy) for b in found.bins]


def _summary_row(arena: Arena, group: Group) -> tuple[Any, ...]:
    low, high = group.interval or (None, None)
    accuracy, leak = group.accuracy, group.leak
    return (
        arena.set_name,
        arena.protocol,
        group.name,
        accuracy.mean if accuracy else None,
        accuracy.std if accuracy else None,
        len(group.rows),
        len(group.folds),
        len(group.seeds),
        low,
        high,
        group.pooled,
        group.n_subjects,
        group.uar.mean if group.uar else None,
        group.macro_f1.mean if group.macro_f1 else None,
        group.ece,
        group.chance,
        group.majority,
        group.collapsed,
        group.first.selected_on,
        group.optimistic,
        leak.subject_overlap,
        leak.never_tested,
        leak.multiply_tested,
        group.first.parameters,
        group.first.recipe,
        group.first.recipe_sha256,
        group.first.data_fingerprint,
        group.first.folds_sha256,
    )


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(["" if value is None else value for value in row])
    return buffer.getvalue()


def _markdown(pairs: Sequence[tuple[Arena, Group]]) -> str:
    head = (
        "set",
        "protocol",
        "model",
        "accuracy",
        "spread",
        "results",
        "95% interval over subjects",
        "UAR",
        "chance",
        "majority",
        "collapsed",
        "epoch chosen by",
    )
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for arena, group in pairs:
        accuracy = group.accuracy
        cells = (
            arena.set_name,
            arena.protocol,
            group.name,
            percent(accuracy.mean if accuracy else None),
            percent(accuracy.std if accuracy else None),
            f"{len(group.rows)} ({len(group.folds)} folds)",
            interval(group.interval),
            percent(group.uar.mean if group.uar else None),
            percent(group.chance),
            percent(group.majority),
            f"{group.collapsed} of {len(group.rows)}",
            rule(group),
        )
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    for mark in "\\|`*_<>[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())
