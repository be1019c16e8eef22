"""Reports: result rows in, one self-contained HTML page, tables and figures out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evfer.files import whole_file, write_text
from evfer.report.examples import FrameLookup, collect
from evfer.report.figures import confusion_figure, curve_figure, score_figure, seats
from evfer.report.page import ArenaFigures, compose
from evfer.report.results import read_results
from evfer.report.summary import Arena, bring_together
from evfer.report.tables import all_tables

__all__ = ["FrameLookup", "ReportPaths", "render"]


@dataclass(frozen=True)
class ReportPaths:
    """What a report wrote.

    Args:
        page: the HTML page, which needs none of the others.
        tables: CSV and Markdown.
        figures: PNG and SVG.
        problems: what in the results could not be used, in words; the page says it too.
    """

    page: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    problems: tuple[str, ...]


def render(
    results: Path,
    out: Path | None = None,
    data: Path | None = None,
    *,
    frames: FrameLookup | None = None,
) -> ReportPaths:
    """Write a report on finished folds.

    Rows that are cut short or make no sense are left out and told about. The same rows and
    recordings give the same page, byte for byte.

    Args:
        results: a run's folder, or a folder of runs.
        out: the folder to write into; by default `report` inside the results.
        data: the data folder with the recordings of the example clips; by default the one that
            the runs name. Without recordings the report shows no clips and says so.
        frames: from a recording's path to its aligned grey source frames, shape (n, h, w), and
            their times in seconds, or None, such as `evfer.convert.recover_frames`. They become
            part of the page: pass it only for sets whose faces may be shown.

    Returns:
        What was written: `report.html`, `tables/` and `figures/`.

    Raises:
        DataError: if there is no result to report.
        OutputError: if the folder cannot be written.
    """
    results = Path(results)
    out = results / "report" if out is None else Path(out)
    found = read_results(results)
    arenas = bring_together(found.rows)
    figures = _figures(arenas)
    examples = collect(arenas, found.runs, data, frames)
    tables = all_tables(arenas)
    drawn = [figure for of_arena in figures for figure in of_arena.all]
    beside = [f"tables/{name}" for name, _ in tables]
    beside += [f"figures/{figure.name}.{ending}" for figure in drawn for ending in ("svg", "png")]
    page = compose(found, arenas, figures, examples, [name for name, _ in tables])
    for name, text in tables:
        write_text(out / "tables" / name, text)
    for figure in drawn:
        write_text(out / "figures" / f"{figure.name}.svg", figure.svg)
        with whole_file(out / "figures" / f"{figure.name}.png") as part:
            part.write_bytes(figure.png)
    # the page last: where it is, all else is
    write_text(out / "report.html", page)
    paths = [out / name for name in beside]
    return ReportPaths(
        out / "report.html",
        tuple(paths[: len(tables)]),
        tuple(paths[len(tables) :]),
        found.problems,
    )


def _figures(arenas: Sequence[Arena]) -> list[ArenaFigures]:
    names, colours = _Names(), seats(arenas)
    found = []
    for arena in arenas:
        where = (arena.set_name, arena.protocol)
        curves = (
            curve_figure(group, arena.name, names.take("curves", *where, group.name))
            for group in arena.groups
        )
        found.append(
            ArenaFigures(
                score_figure(arena, names.take("accuracy", *where), colours),
                tuple(
                    confusion_figure(group, arena.name, names.take("confusion", *where, group.name))
                    for group in arena.groups
                    if group.confusion.sum()
                ),
                tuple(figure for figure in curves if figure is not None),
            )
        )
    return found


class _Names:
    """File names from names in the data: short, plain and each only once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def take(self, *words: str) -> str:
        plain = [re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:32] for word in words]
        base = name = "-".join(word for word in plain if word)
        number = 2
        while name in self.taken:
            name, number = f"{base}-{number}", number + 1
        self.taken.add(name)
        return name
