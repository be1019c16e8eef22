"""`evfer check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import rich_click as click

from evfer.cli import _console as console

if TYPE_CHECKING:
    from evfer.datasets.check import CheckReport, Depth, SkipCount

_SHOWN = 10  # lines of one kind; --json has them all
_REASONS = 4


@click.command()
@click.option("--dataset", required=True, help="Data set, see evfer list, or module:attribute.")
@click.option("--source", type=click.Path(), help="Source folder. [default: DATA/sources/DATASET]")
@console.data_option
@console.label_options
@click.option("--quick", "depth", flag_value="quick", help="Read names and label files only.")
@click.option("--deep", "depth", flag_value="deep", help="Decode every frame; find copies.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@console.set_option("dataset.fps=25")
def command(
    dataset: str,
    source: str | None,
    data: str,
    labels: str | None,
    fold_file: str | None,
    depth: str | None,
    as_json: bool,
    assignments: tuple[str, ...],
) -> int:
    """Say what a source tree holds, before converting it.

    Clips and people of each label beside those of a whole copy; what cannot be read, what is
    there twice, and what is passed over, with the reason. Nothing is written. Exit code 3 if
    files cannot be read or nothing was found; a part of a whole copy is fine.
    """
    from evfer import config
    from evfer.convert import load_config, open_dataset
    from evfer.datasets.check import check

    given = config.merge(
        console.label_settings(labels, fold_file), config.parse_overrides(assignments)
    )
    reader = open_dataset(dataset, load_config("default", given))
    folder = Path(source) if source else Path(data) / "sources" / reader.name
    with console.Progress() as progress:

        def show(done: int, total: int) -> None:
            if done == 1:
                progress.start(f"check {reader.name}", total)
            progress.step(done, total)

        report = check(
            reader,
            folder if reader.needs_source else None,
            depth=cast("Depth", depth or "normal"),
            on_progress=show,
        )
    if as_json:
        console.print_json(report.as_dict())
    elif report.problem:
        _print_problem(report)
    else:
        _print_report(report)
    return 0 if report.ok else 3


def _print_problem(report: CheckReport) -> None:
    assert report.problem
    console.echo(f"{report.title}: {report.problem.found}", "red")
    expected, hint = report.problem.expected, report.problem.hint
    if expected.split() == report.right_layout.split():
        console.echo(f"\nThe tree should look like this:\n\n{report.right_layout}\n")
    elif expected:
        console.echo(f"expected {expected}")
    if hint and hint.rstrip(".") != report.access.rstrip("."):
        console.echo(hint)
    if report.access:
        console.echo(f"Access: {report.access}")


def _print_report(report: CheckReport) -> None:
    console.echo(report.title, "bold")
    for name, value in (("source", report.source), ("layout", report.layout)):
        if value:
            console.echo(f"{name}: {value}")
    if report.labels_from:
        console.echo(f"labels: {report.labels_from}")
    console.echo()
    _print_labels(report)
    _print_people(report)
    _print_files(report)
    if report.skipped:
        rows = [(count.kind, count.count, _reasons(count)) for count in report.skip_counts]
        console.print_table(("passed over", "things", "such as"), rows)
        console.echo()
    for fault in report.unreadable[:_SHOWN]:
        console.echo(f"unreadable {fault.native_id}: {fault.reason}", "red")
    for line in report.warnings[:_SHOWN]:
        console.echo(f"note: {line}", "yellow")
    for kind, items in (("unreadable", report.unreadable), ("note", report.warnings)):
        if len(items) > _SHOWN:
            console.echo(f"{kind}: {len(items) - _SHOWN} more; --json lists all")
    _print_verdict(report)


def _print_labels(report: CheckReport) -> None:
    rows = [
        (row.label, row.clips, row.expected, row.missing, row.subjects) for row in report.labels
    ]
    whole = report.expected_clips
    missing = None if whole is None else max(0, whole - report.n_clips)
    rows.append(("all", report.n_clips, whole, missing, report.n_subjects))
    if all(row[2] is None for row in rows):
        console.print_table(("label", "clips", "people"), [(r[0], r[1], r[4]) for r in rows])
    else:
        console.print_table(("label", "clips", "whole copy", "missing", "people"), rows)
    console.echo()


def _print_people(report: CheckReport) -> None:
    totals = {subject: sum(counts.values()) for subject, counts in report.subjects.items()}
    expected = report.expected_subjects
    beside = "" if expected in (None, report.n_subjects) else f" of {expected} in a whole copy"
    console.echo(f"people: {report.n_subjects}{beside}")
    by_count: dict[int, list[str]] = {}
    for subject, count in totals.items():
        by_count.setdefault(count, []).append(subject)
    if len(by_count) == 1:
        (count,) = by_count
        console.echo(f"clips a person: {count}")
        return
    spread = ", ".join(f"{len(names)} with {count}" for count, names in sorted(by_count.items()))
    console.echo(f"clips a person: {spread}")
    few = [f"{name} {count}" for count, names in sorted(by_count.items())[:-1] for name in names]
    if len(few) <= _SHOWN:
        console.echo(f"fewest: {', '.join(few)}")


def _print_files(report: CheckReport) -> None:
    for name, counts in (("pictures", report.sizes), ("frames a second", report.rates)):
        if counts:
            parts = [f"{what} ({n})" if len(counts) > 1 else what for what, n in counts.items()]
            console.echo(f"{name}: {', '.join(parts[:_SHOWN])}")
    if report.lengths:
        shortest, median, longest = report.lengths
        spread = f"{shortest} to {longest}, half of them up to {median}"
        console.echo(f"frames a clip: {shortest if shortest == longest else spread}")
    if report.n_recordings:
        console.echo(f"recordings of an event camera: {report.n_recordings}")
    console.echo()


def _reasons(count: SkipCount) -> str:
    lines = []
    for reason in count.reasons[:_REASONS]:
        more = reason.count - len(reason.examples)
        names = ", ".join(reason.examples) + (f" and {more} more" if more else "")
        lines.append(f"{names}: {reason.reason}")
    left = len(count.reasons) - len(lines)
    return "\n".join([*lines, f"and {left} other reasons; --json lists all"] if left else lines)


def _print_verdict(report: CheckReport) -> None:
    people = f"{report.n_clips} clips of {report.n_subjects} people"
    if not report.n_clips:
        console.echo("No clip was found.", "red")
    elif report.n_unreadable:
        console.echo(f"{people}; {report.n_unreadable} cannot be read.", "red")
    elif report.depth == "quick":
        console.echo(f"{people}; their files were not opened.", "green")
    elif not report.sizes:
        console.echo(f"{people}; they are rendered on demand.", "green")
    else:
        looked = "every frame decoded" if report.depth == "deep" else "all can be opened"
        console.echo(f"{people}; {looked}.", "green")
