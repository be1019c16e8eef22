"""What a study found: scores of each cell, effects of each augmentation, as tables and files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evfer import metrics
from evfer.bench import ResultRow
from evfer.files import write_text
from evfer.study.effects import Fit, Observation, fit_mixed, fit_ols
from evfer.study.grid import Grid
from evfer.study.outcome import Cell, Nested, Outcome
from evfer.study.sentences import describe_choice, describe_fit, spell_probability, spell_share

__all__ = [
    "Candidate",
    "Summary",
    "choose_in_folds",
    "chosen_in_all",
    "name_tied",
    "summarise",
    "write_summary",
]

Candidate = tuple[str, float | None, float]
"""A set of augmentations in one fold: its name, accuracy on validation, and score."""

_MEASURES = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro-F1"}


@dataclass(frozen=True)
class Summary:
    """What a study found.

    Args:
        name: the study.
        measure: the score.
        done: folds that have a row.
        total: folds of the grid.
        outcomes: one for each data set and network.
    """

    name: str
    measure: str
    done: int
    total: int
    outcomes: tuple[Outcome, ...]


def summarise(grid: Grid) -> Summary:
    """Sum up the rows that a study has so far.

    Args:
        grid: the study.
    """
    # what the bench wrote has every score, a row of elsewhere may not
    rows = {i: row for i, row in grid.rows().items() if _score(grid, row) is not None}
    parts: dict[tuple[str, str], list[int]] = {}
    for i, place in enumerate(grid.places):
        parts.setdefault((place.dataset, place.model), []).append(i)
    outcomes = tuple(
        _outcome(grid, dataset, model, numbers, rows)
        for (dataset, model), numbers in sorted(parts.items())
    )
    params = grid.config.study
    return Summary(grid.config.name, params.measure, len(rows), len(grid.jobs), outcomes)


def write_summary(summary: Summary, out: Path) -> tuple[Path, ...]:
    """Write `study.json`, `study.md`, `effects.csv` and `cells.csv`.

    Args:
        summary: what a study found.
        out: the folder.

    Returns:
        The files.

    Raises:
        OutputError: if the folder cannot be written.
    """
    texts = {
        "study.json": json.dumps(_plain(dataclasses.asdict(summary)), indent=2) + "\n",
        "effects.csv": _effects_csv(summary),
        "cells.csv": _cells_csv(summary),
        "study.md": _markdown(summary),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return tuple(out / name for name in texts)


def _outcome(
    grid: Grid, dataset: str, model: str, numbers: Sequence[int], rows: Mapping[int, ResultRow]
) -> Outcome:
    scores = {
        i: score for i in numbers if i in rows and (score := _score(grid, rows[i])) is not None
    }
    observations = [
        # seeds of one split share it
        Observation(score, grid.places[i].factors, f"fold {grid.places[i].fold}")
        for i, score in scores.items()
    ]
    by_name: dict[str, list[int]] = {}
    for i in numbers:
        by_name.setdefault(grid.places[i].augmentation, []).append(i)
    cells = [
        _cell(
            name,
            len(members),
            [rows[i] for i in members if i in rows],
            [scores[i] for i in members if i in scores],
        )
        for name, members in by_name.items()
    ]
    # cells with fewer folds than others were tested on other people
    whole = len({cell.n for cell in cells}) == 1 and bool(cells[0].n)
    chosen = nested = None
    if whole and all(cell.validation is not None for cell in cells):
        # of equals the first of the grid: sorted by the test, the test clips would break the tie
        chosen = max(cells, key=lambda cell: metrics.tie_key(cell.validation or 0.0))
        folds: dict[tuple[int, int], list[Candidate]] = {}
        for i in numbers:
            place = grid.places[i]
            candidate = (place.augmentation, rows[i].validation_accuracy, scores[i])
            folds.setdefault((place.seed, place.fold), []).append(candidate)
        nested = choose_in_folds(list(folds.values()))
    cells.sort(key=lambda cell: math.inf if cell.mean is None else -metrics.tie_key(cell.mean))
    highest = cells[0] if whole else None
    return Outcome(
        dataset,
        model,
        tuple(cells),
        fit_ols(observations, grid.factors),
        fit_mixed(observations, grid.factors),
        chosen,
        highest,
        chosen_in_all([rows[i].leak.test_chose or () for i in numbers if i in rows]),
        nested,
        name_tied(cells, "validation", chosen),
        name_tied(cells, "mean", highest),
    )


def name_tied(
    cells: Sequence[Cell], score: Literal["mean", "validation"], best: Cell | None
) -> tuple[str, ...]:
    """Name the sets of augmentations whose score is that of the best one, itself included.

    Args:
        cells: the sets.
        score: which of their scores.
        best: the best one; without it there is none to name.
    """
    value = getattr(best, score, None)
    if value is None:
        return ()
    known = [(cell.augmentation, getattr(cell, score)) for cell in cells]
    return tuple(
        name
        for name, other in known
        if other is not None and metrics.tie_key(other) == metrics.tie_key(value)
    )


def choose_in_folds(folds: Sequence[Sequence[Candidate]]) -> Nested:
    """Let each fold take the set that its own validation likes best; of equals the first.

    Args:
        folds: of each fold and seed every set, in the order of the grid and not of the scores.
    """
    best = [
        max(candidates, key=lambda candidate: metrics.tie_key(candidate[1] or 0.0))
        for candidates in folds
    ]
    found = metrics.spread([score for _, _, score in best])
    picks = Counter(name for name, _, _ in best)
    return Nested(found.mean, found.std, found.n, dict(picks.most_common()))


def _score(grid: Grid, row: ResultRow) -> float | None:
    return row.score(grid.config.study.measure)


def _cell(name: str, total: int, rows: Sequence[ResultRow], scores: Sequence[float]) -> Cell:
    if not rows:
        return Cell(name, 0, total, None, None, None, 0)
    found = metrics.spread(scores)
    validations = [row.validation_accuracy for row in rows]
    known = [value for value in validations if value is not None]
    return Cell(
        name,
        found.n,
        total,
        found.mean,
        found.std,
        sum(known) / len(known) if len(known) == len(rows) else None,
        sum(row.collapsed is True for row in rows),
    )


def chosen_in_all(told: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Give what test clips chose in every cell; a set that was once found best is but one cell."""
    return tuple(sorted(set(told[0]).intersection(*told[1:]))) if told else ()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return buffer.getvalue()


def _effects_csv(summary: Summary) -> str:
    head = ("dataset", "model", "measure", "method", "n", "n_splits", "factor", "estimate")
    rows = [
        (
            *(outcome.dataset, outcome.model, summary.measure, fit.method, fit.n, fit.n_splits),
            *dataclasses.astuple(effect),
        )
        for outcome in summary.outcomes
        for fit in (outcome.ols, outcome.mixed)
        for effect in fit.effects
    ]
    return _csv((*head, "std_error", "low", "high", "p_value"), rows)


def _cells_csv(summary: Summary) -> str:
    names = [field.name for field in dataclasses.fields(Cell)]
    rows = [
        (outcome.dataset, outcome.model, summary.measure, *dataclasses.astuple(cell))
        for outcome in summary.outcomes
        for cell in outcome.cells
    ]
    return _csv(("dataset", "model", "measure", *names), rows)


def _markdown(summary: Summary) -> str:
    measure = _MEASURES[summary.measure]
    lines = [f"# {summary.name}", "", f"{summary.done} of {summary.total} folds have a result.", ""]
    for outcome in summary.outcomes:
        lines += [f"## {outcome.model} on {outcome.dataset}", ""]
        for fit, title in (
            (outcome.ols, "Ordinary least squares, as published"),
            (outcome.mixed, "Mixed model, splits as random effects"),
        ):
            lines += [f"### {title}", "", *describe_fit(fit), ""]
            if fit.effects:
                lines += _effects_table(fit, measure)
        lines += ["### Sets of augmentations", "", *describe_choice(outcome, measure), ""]
        lines += [f"| set | results | mean {measure} | spread | validation | collapsed |"]
        lines += ["| --- | --: | --: | --: | --: | --: |"]
        for cell in outcome.cells:
            shares = (spell_share(cell.mean), spell_share(cell.std), spell_share(cell.validation))
            lines.append(
                f"| {cell.augmentation} | {cell.n} of {cell.total} | {' | '.join(shares)} "
                f"| {cell.collapsed} |"
            )
        lines.append("")
    return "\n".join(lines)


def _effects_table(fit: Fit, measure: str) -> list[str]:
    lines = [f"| augmentation | effect on {measure}, points | 95% interval | p |"]
    lines += ["| --- | --: | --: | --: |"]
    for effect in fit.effects:
        values = (100 * value for value in (effect.estimate, effect.low, effect.high))
        p_value = spell_probability(effect.p_value)
        estimate, low, high = (f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") for value in values)
        lines.append(f"| {effect.name} | {estimate} | {low} to {high} | {p_value} |")
    return [*lines, ""]
