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
from evfer.report.draw.drawing import Figure, colour_of
from evfer.report.draw.examples import N_STEPS, Examples
from evfer.report.draw.gallery import Gallery
from evfer.report.draw.markup import table_html
from evfer.report.draw.spike_maps import SpikeMaps
from evfer.report.read.comparison import MOST_COMPARED, Comparison
from evfer.report.read.results import Results, Run
from evfer.report.read.setting import Setting
from evfer.report.read.studies import AugmentationStudy, holds_only_studies
from evfer.report.say import sentences
from evfer.report.say.energy import explain_energy
from evfer.report.say.study_tables import study_tables
from evfer.report.say.table import Table

__all__ = ["compose"]

_SEVERAL_ORIGINS = 12
"""Settings whose provenance is told in full; of more, what they share would fill pages."""


@dataclass(frozen=True)
class _Origin:
    """Where a setting's rows come from, as name and text."""

    name: str
    facts: tuple[tuple[str, str], ...]
    runs: tuple[tuple[Run, tuple[str, ...]], ...]
    """Each with the commands that can have written the setting's rows."""


def compose(
    results: Results,
    comparisons: Sequence[Comparison],
    studies: Sequence[AugmentationStudy],
    tables: Mapping[str, Table],
    gallery: Gallery,
    examples: Examples,
    spike_maps: SpikeMaps,
) -> str:
    """Write the page.

    Args:
        results: for provenance and for what could not be read.
        comparisons: what was tested.
        studies: sets of augmentations compared.
        tables: every table.
        gallery: every figure.
        examples: clips to show.
        spike_maps: where networks fired.

    Returns:
        HTML in which every text from the data is escaped, and which may run its own script alone.
    """
    environment = Environment(
        loader=PackageLoader("evfer.report.draw"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = sentences.percent

    def source(name: str) -> Markup:
        return Markup(environment.loader.get_source(environment, name)[0])  # type: ignore[union-attr]

    script = source("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    settings = [setting for comparison in comparisons for setting in comparison.settings]
    return environment.get_template("page.html").render(
        light=source("light.css"),
        dark=source("dark.css"),
        style=source("page.css"),
        script=script,
        policy=(
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        title=_title(comparisons),
        facts=_facts(comparisons),
        comparisons=list(zip(comparisons, gallery.comparisons, strict=True)),
        studies=list(zip(studies, gallery.studies, _tell_apart(studies), strict=False)),
        only_studies=lambda comparison: holds_only_studies(comparison, studies),
        gallery=gallery,
        tables=tables,
        table=lambda name, **options: table_html(tables[name], **options),
        part=_part,
        figure=_figure,
        settings_repeat=any(setting.over_rounds for setting in settings),
        counts=_counts(comparisons),
        energy_notes=_energy_notes(settings),
        energy_words=explain_energy([g.energy for g in settings if g.energy]),
        examples=examples,
        spike_maps=spike_maps,
        n_steps=N_STEPS,
        most_compared=MOST_COMPARED,
        colours=colour_of(comparisons),
        # where all results are of one set and protocol, the headings say which
        one_set=["set", "protocol"] if len(comparisons) == 1 else [],
        origins=[_origin(g, results) for a in comparisons for g in a.settings][:_SEVERAL_ORIGINS],
        n_origins=len(settings),
        problems=results.problems,
        sentences=sentences,
    )


def _figure(figure: Figure) -> Markup:
    files = f"figures/{figure.name} .svg .pdf .png"
    # names of files hold letters, digits and hyphens alone
    return Markup(f'{figure.inline}<p class="files">{files}</p>')


def _part(name: str, study: AugmentationStudy) -> Markup:
    """Write a table of one study alone."""
    table = study_tables([study])[name]
    title = f"{table.title}, {study.model} on {study.comparison.name}"
    return table_html(table, hide=("model", "set", "protocol"), label=title)


def _tell_apart(studies: Sequence[AugmentationStudy]) -> list[str]:
    """Give what names each study's settings; nothing where a network has one study on a set."""
    places = [(study.model, study.comparison.name) for study in studies]
    return [
        f", settings {study.digest}" if places.count(place) > 1 else ""
        for study, place in zip(studies, places, strict=True)
    ]


def _counts(comparisons: Sequence[Comparison]) -> list[tuple[str, int, int, int, int]]:
    """Give, of sets whose published counts are known, theirs and ours: clips and subjects."""
    found = {}
    for comparison in comparisons:
        card = cards.find_by_set(comparison.set_name)
        said = [item for setting in comparison.settings for item in setting.predictions]
        if card is None or card.published is None or not said:
            continue
        clips = len({(item.clip_id, item.subject) for item in said})
        people = len({item.subject for item in said})
        known = card.published
        found[comparison.name] = (comparison.name, clips, known.clips, people, known.subjects)
    return list(found.values())


def _title(comparisons: Sequence[Comparison]) -> str:
    models = dict.fromkeys(g.first.model for comparison in comparisons for g in comparison.settings)
    sets = dict.fromkeys(comparison.set_name for comparison in comparisons)
    if len(models) > 3 or len(sets) > 3:
        return f"{_number(len(models), 'model')} on {_number(len(sets), 'data set')}"
    return f"{sentences.join(list(models))} on {sentences.join(list(sets))}"


def _facts(comparisons: Sequence[Comparison]) -> tuple[tuple[str, str], ...]:
    settings = [setting for comparison in comparisons for setting in comparison.settings]
    tested = {
        (comparison.set_name, said.clip_id, said.subject)
        for comparison in comparisons
        for setting in comparison.settings
        for said in setting.predictions
    }
    counts = (
        (len({g.first.model for g in settings}), "model"),
        (len({a.set_name for a in comparisons}), "data set"),
        (sum(len(setting.rows) for setting in settings), "fold result"),
        (len(tested), "test clip"),
        (len({(name, subject) for name, _, subject in tested}), "subject"),
    )
    return tuple((f"{number:,}", noun if number == 1 else f"{noun}s") for number, noun in counts)


def _energy_notes(settings: Sequence[Setting]) -> list[str]:
    """Say why rows state no energies, each reason once."""
    notes = {(g.name, row.energy_note): None for g in settings for row in g.rows if row.energy_note}
    return [f"{name}: no energies ({note.rstrip('.')})." for name, note in notes][:6]


def _origin(setting: Setting, results: Results) -> _Origin:
    row = setting.first
    versions = {f"{k} {v}" for r in setting.rows for k, v in r.versions.items()}
    machines = {", ".join(f"{k} {v}" for k, v in r.machine.items()) for r in setting.rows}
    seconds = [r.train_seconds for r in setting.rows if r.train_seconds is not None]
    facts = (
        ("set and protocol", f"{row.set_name}, {row.protocol}"),
        ("recipe", row.recipe),
        ("recipe digest", row.recipe_sha256),
        ("data fingerprint", row.data_fingerprint),
        ("digest of the source", row.model_sha256 or "none, it is evfer's own or not stated"),
        ("folds digest", "; ".join(setting.splits)),
        ("folds", ", ".join(map(str, setting.folds))),
        ("seeds", ", ".join(map(str, setting.seeds))),
        ("epoch chosen by", sentences.rule(setting)),
        ("parameters", f"{row.parameters:,}" if row.parameters is not None else ""),
        ("training time", f"{sum(seconds):,.0f} s over {len(seconds)} folds" if seconds else ""),
        ("device", "; ".join(sorted({_device(r) for r in setting.rows} - {""}))),
        ("machine", "; ".join(sorted(machines - {""}))),
        ("versions", ", ".join(sorted(versions))),
    )
    runs = {run.name: run for r in setting.rows if (run := results.runs.get(r.run))}
    return _Origin(
        f"{setting.name} on {row.set_name}, {row.protocol} protocol",
        tuple((name, text or "not stated") for name, text in facts),
        tuple((run, run.commands(row)) for run in runs.values()),
    )


def _device(row: ResultRow) -> str:
    # accelerate calls plain 32-bit numbers "no", for no mixed precision
    precision = "32-bit" if row.precision == "no" else row.precision
    return ", ".join(text for text in (row.device, precision) if text)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
