"""The page: everything that the report knows, put into one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evfer.bench.rows import ResultRow
from evfer.datasets import cards
from evfer.report import energy, words
from evfer.report.drawing import Figure, seats
from evfer.report.examples import N_STEPS, Examples
from evfer.report.gallery import Gallery
from evfer.report.looking import Looks
from evfer.report.markup import table_html
from evfer.report.results import Results, Run
from evfer.report.studies import AugmentationStudy, holds_only_studies
from evfer.report.summary import MOST_COMPARED, Arena, Group
from evfer.report.table import Table
from evfer.report.tables import study_tables

__all__ = ["compose"]

_SEVERAL_ORIGINS = 12
"""Groups whose provenance is told in full; of more, what they share would fill pages."""


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
    studies: Sequence[AugmentationStudy],
    tables: Mapping[str, Table],
    gallery: Gallery,
    examples: Examples,
    looks: Looks,
) -> str:
    """Write the page.

    Args:
        results: for provenance and for what could not be read.
        arenas: what was tested.
        studies: sets of augmentations compared.
        tables: every table.
        gallery: every figure.
        examples: clips to show.
        looks: where networks fired.

    Returns:
        HTML in which every text from the data is escaped, and which may run its own script alone.
    """
    environment = Environment(
        loader=PackageLoader("evfer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = words.percent

    def source(name: str) -> Markup:
        return Markup(environment.loader.get_source(environment, name)[0])  # type: ignore[union-attr]

    script = source("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    groups = [group for arena in arenas for group in arena.groups]
    return environment.get_template("page.html").render(
        light=source("light.css"),
        dark=source("dark.css"),
        style=source("page.css"),
        script=script,
        policy=(
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        title=_title(arenas),
        facts=_facts(arenas),
        arenas=list(zip(arenas, gallery.arenas, strict=True)),
        studies=list(zip(studies, gallery.studies, _tell_apart(studies), strict=False)),
        only_studies=lambda arena: holds_only_studies(arena, studies),
        gallery=gallery,
        tables=tables,
        table=lambda name, **options: table_html(tables[name], **options),
        part=_part,
        figure=_figure,
        groups_repeat=any(group.over_rounds for group in groups),
        counts=_counts(arenas),
        energy_notes=_energy_notes(groups),
        energy_words=energy.explain([g.energy for g in groups if g.energy]),
        examples=examples,
        looks=looks,
        n_steps=N_STEPS,
        most_compared=MOST_COMPARED,
        seats=seats(arenas),
        # where all results are of one set and protocol, the headings say which
        one_set=["set", "protocol"] if len(arenas) == 1 else [],
        origins=[_origin(g, results) for a in arenas for g in a.groups][:_SEVERAL_ORIGINS],
        n_origins=len(groups),
        problems=results.problems,
        words=words,
    )


def _figure(figure: Figure) -> Markup:
    files = f"figures/{figure.name} .svg .pdf .png"
    # names of files hold letters, digits and hyphens alone
    return Markup(f'{figure.inline}<p class="files">{files}</p>')


def _part(name: str, study: AugmentationStudy) -> Markup:
    """Write a table of one study alone."""
    table = study_tables([study])[name]
    title = f"{table.title}, {study.model} on {study.arena.name}"
    return table_html(table, hide=("model", "set", "protocol"), label=title)


def _tell_apart(studies: Sequence[AugmentationStudy]) -> list[str]:
    """Give what names each study's settings; nothing where a network has one study on a set."""
    places = [(study.model, study.arena.name) for study in studies]
    return [
        f", settings {study.settings}" if places.count(place) > 1 else ""
        for study, place in zip(studies, places, strict=True)
    ]


def _counts(arenas: Sequence[Arena]) -> list[tuple[str, int, int, int, int]]:
    """Give, of sets whose published counts are known, theirs and ours: clips and subjects."""
    found = {}
    for arena in arenas:
        card = cards.find_by_set(arena.set_name)
        said = [item for group in arena.groups for item in group.predictions]
        if card is None or card.published is None or not said:
            continue
        clips = len({(item.clip_id, item.subject) for item in said})
        people = len({item.subject for item in said})
        known = card.published
        found[arena.name] = (arena.name, clips, known.clips, people, known.subjects)
    return list(found.values())


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


def _energy_notes(groups: Sequence[Group]) -> list[str]:
    """Say why rows state no energies, each reason once."""
    notes = {(g.name, row.energy_note): None for g in groups for row in g.rows if row.energy_note}
    return [f"{name}: no energies ({note.rstrip('.')})." for name, note in notes][:6]


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
        ("digest of the source", row.model_sha256 or "none, it is evfer's own or not stated"),
        ("folds digest", "; ".join(group.splits)),
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


def _device(row: ResultRow) -> str:
    # accelerate calls plain 32-bit numbers "no", for no mixed precision
    precision = "32-bit" if row.precision == "no" else row.precision
    return ", ".join(text for text in (row.device, precision) if text)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
