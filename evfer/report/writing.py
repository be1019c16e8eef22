"""Write a report: the page, its tables and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evfer.files import whole_file, write_text
from evfer.report.draw.examples import FrameLookup, collect
from evfer.report.draw.gallery import draw_all
from evfer.report.draw.page import compose
from evfer.report.draw.spike_maps import collect_spike_maps
from evfer.report.read.comparison import group_rows
from evfer.report.read.results import read_results
from evfer.report.read.studies import find_studies
from evfer.report.say.table import to_csv, to_json, to_latex, to_markdown
from evfer.report.say.tables import build_tables

__all__ = ["ReportPaths", "render"]


@dataclass(frozen=True)
class ReportPaths:
    """What a report wrote.

    Args:
        page: the HTML page, which needs none of the others.
        tables: CSV, JSON, Markdown and LaTeX.
        figures: PNG, PDF and SVG.
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

    Rows that are cut short or make no sense are left out and told about. The same rows,
    recordings and weights give the same page, byte for byte.

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
    comparisons = group_rows(found.rows)
    studies = find_studies(comparisons, found)
    tables = build_tables(comparisons, studies)
    examples = collect(comparisons, found.runs, data, frames)
    spike_maps = collect_spike_maps(comparisons, found.runs, data)
    gallery = draw_all(comparisons, studies, spike_maps)
    page = compose(found, comparisons, studies, tables, gallery, examples, spike_maps)
    written_tables: list[Path] = []
    for table in tables.values():
        forms = {"csv": to_csv, "json": to_json}
        if table.main:
            forms |= {"md": to_markdown, "tex": to_latex}
        for ending, write in forms.items():
            path = out / "tables" / f"{table.name}.{ending}"
            write_text(path, write(table))
            written_tables.append(path)
    written_figures: list[Path] = []
    for figure in gallery.all:
        base = out / "figures" / figure.name
        write_text(base.with_suffix(".svg"), figure.svg)
        for ending, content in ((".png", figure.png), (".pdf", figure.pdf)):
            with whole_file(base.with_suffix(ending)) as part:
                part.write_bytes(content)
        written_figures += [base.with_suffix(ending) for ending in (".svg", ".png", ".pdf")]
    # the page last: where it is, all else is
    write_text(out / "report.html", page)
    return ReportPaths(
        out / "report.html", tuple(written_tables), tuple(written_figures), found.problems
    )
