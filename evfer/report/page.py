"""The page: everything that the report knows, put into one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evfer.report import words
from evfer.report.examples import N_STEPS, Examples
from evfer.report.figures import Figure, seats
from evfer.report.results import Results, Run
from evfer.report.rows import FoldRow
from evfer.report.summary import Arena, Group

__all__ = ["ArenaFigures", "compose"]


@dataclass(frozen=True)
class ArenaFigures:
    """An arena's figures: the scores, and for each group confusion and curves."""

    scores: Figure
    confusion: tuple[Figure, ...]
    curves: tuple[Figure, ...]

    @property
    def all(self) -> tuple[Figure, ...]:
        """Every figure."""
        return (self.scores, *self.confusion, *self.curves)


@dataclass(frozen=True)
class _Origin:
    """Where a group's rows come from, as name and text."""

    name: str
    facts: tuple[tuple[str, str], ...]
    runs: tuple[tuple[Run, tuple[str, ...]], ...]
    """Each with the commands that can have written the group's rows."""


def compose(
    results: Results,
    arenas: Sequence[Arena],
    figures: Sequence[ArenaFigures],
    examples: Examples,
    tables: Sequence[str],
) -> str:
    """Write the page.

    Args:
        results: for provenance and for what could not be read.
        arenas: what was tested.
        figures: of each arena.
        examples: clips to show.
        tables: names of the tables that lie beside the page.

    Returns:
        HTML in which every text from the data is escaped.
    """
    environment = Environment(
        loader=PackageLoader("evfer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = words.percent
    environment.filters["interval"] = words.interval
    return environment.get_template("page.html").render(
        style=Markup(environment.loader.get_source(environment, "page.css")[0]),  # type: ignore[union-attr]
        title=_title(arenas),
        facts=_facts(arenas),
        arenas=list(zip(arenas, figures, strict=True)),
        examples=examples,
        any_confusion=any(drawn.confusion for drawn in figures),
        any_curves=any(drawn.curves for drawn in figures),
        n_steps=N_STEPS,
        seats=seats(arenas),
        origins=[_origin(g, results) for arena in arenas for g in arena.groups],
        problems=results.problems,
        tables=list(tables),
        n_figures=sum(len(drawn.all) for drawn in figures),
        words=words,
        inline=lambda figure: Markup(figure.inline),
    )


def _title(arenas: Sequence[Arena]) -> str:
    models = dict.fromkeys(g.first.model for arena in arenas for g in arena.groups)
    sets = dict.fromkeys(arena.set_name for arena in arenas)
    if len(models) > 3 or len(sets) > 3:
        return f"{_number(len(models), 'model')} on {_number(len(sets), 'data set')}"
    return f"{words.join(list(models))} on {words.join(list(sets))}"


def _facts(arenas: Sequence[Arena]) -> tuple[tuple[str, str], ...]:
    groups = [group for arena in arenas for group in arena.groups]
    tested = {
        (arena.set_name, said.clip_id, said.subject)
        for arena in arenas
        for group in arena.groups
        for said in group.predictions
    }
    counts = (
        (len({g.first.model for g in groups}), "model"),
        (len({a.set_name for a in arenas}), "data set"),
        (sum(len(group.rows) for group in groups), "fold result"),
        (len(tested), "test clip"),
        (len({(name, subject) for name, _, subject in tested}), "subject"),
    )
    return tuple((f"{number:,}", noun if number == 1 else f"{noun}s") for number, noun in counts)


def _origin(group: Group, results: Results) -> _Origin:
    row = group.first
    versions = {f"{k} {v}" for r in group.rows for k, v in r.versions.items()}
    machines = {", ".join(f"{k} {v}" for k, v in r.machine.items()) for r in group.rows}
    seconds = [r.train_seconds for r in group.rows if r.train_seconds is not None]
    facts = (
        ("set and protocol", f"{row.set_name}, {row.protocol}"),
        ("recipe", row.recipe),
        ("recipe digest", row.recipe_sha256),
        ("data fingerprint", row.data_fingerprint),
        ("folds digest", row.folds_sha256),
        ("folds", ", ".join(map(str, group.folds))),
        ("seeds", ", ".join(map(str, group.seeds))),
        ("epoch chosen by", words.rule(group)),
        ("parameters", f"{row.parameters:,}" if row.parameters is not None else ""),
        ("training time", f"{sum(seconds):,.0f} s over {len(seconds)} folds" if seconds else ""),
        ("device", "; ".join(sorted({_device(r) for r in group.rows} - {""}))),
        ("machine", "; ".join(sorted(machines - {""}))),
        ("versions", ", ".join(sorted(versions))),
    )
    runs = {run.name: run for r in group.rows if (run := results.runs.get(r.run))}
    return _Origin(
        f"{group.name} on {row.set_name}, {row.protocol} protocol",
        tuple((name, text or "not stated") for name, text in facts),
        tuple((run, run.commands(row)) for run in runs.values()),
    )


def _device(row: FoldRow) -> str:
    # accelerate calls plain 32-bit numbers "no", for no mixed precision
    precision = "32-bit" if row.precision == "no" else row.precision
    return ", ".join(text for text in (row.device, precision) if text)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
