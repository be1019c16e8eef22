"""`evfer convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from evfer.cli import _console as console

if TYPE_CHECKING:
    from evfer.convert import ConversionSummary, Plan, Progress

_SHOWN = 5  # of one kind


@click.command()
@click.option("--dataset", required=True, help="Data set, see evfer list, or module:attribute.")
@click.option("--source", type=click.Path(), help="Source folder. [default: OUT/sources/DATASET]")
@click.option(
    "--out",
    type=click.Path(),
    envvar="EVFER_DATA",
    default="data",
    show_default=True,
    help="Data folder; recordings go to OUT/FerDVS/<Set>.",
)
@click.option("--recipe", default="default", show_default=True, help="Recipe, by name or file.")
@console.label_options
@console.workers_option
@console.scheduler_option
@click.option("--limit", type=click.IntRange(1), help="Convert at most this many clips.")
@click.option("--subjects", help="Convert these subjects only, separated by commas.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@console.set_option("emulator.pos_thres=0.3")
def command(
    dataset: str,
    source: str | None,
    out: str,
    recipe: str,
    labels: str | None,
    fold_file: str | None,
    workers: int | None,
    scheduler: str | None,
    limit: int | None,
    subjects: str | None,
    dry_run: bool,
    assignments: tuple[str, ...],
) -> int:
    """Turn clips into event recordings.

    Clips that are there and up to date are kept, so that a run which was stopped goes on.
    Exit code 3 if any clip failed; the others are converted all the same.
    """
    from evfer import config
    from evfer.convert import convert, load_config, open_dataset, plan
    from evfer.workers import default_workers

    given = config.merge(
        console.label_settings(labels, fold_file), config.parse_overrides(assignments)
    )
    settings = load_config(recipe, given)
    reader = open_dataset(dataset, settings)
    data = Path(out)
    folder = Path(source) if source else data / "sources" / reader.name
    chosen = tuple(name.strip() for name in (subjects or "").split(",") if name.strip())
    if subjects is not None and not chosen:
        raise click.BadParameter("names no subject", param_hint="--subjects")
    origin = folder if reader.needs_source else None
    if dry_run:
        _print_plan(plan(reader, origin, data, settings, limit=limit, subjects=chosen))
        return 0
    if workers is None and scheduler is None:
        workers = default_workers()
    with console.Progress() as progress:

        def show_check(done: int, total: int) -> None:
            if done == 1:
                progress.start("check", total, unit="recording")
            progress.step(done, total)

        def show_plan(found: Plan) -> None:
            for line in _skipped(found):
                progress.say(line, "yellow")
            for failure in found.unreadable:
                progress.say(f"failed {failure.native_id}: {failure.reason}", "red")
            for line in _remarks(found):
                progress.say(line, "yellow")
            if found.kept:
                progress.say(f"{len(found.kept)} clips are up to date and kept")
            progress.start(reader.set_name, len(found.todo))

        def show_progress(now: Progress) -> None:
            if now.failure:
                progress.say(f"failed {now.failure.native_id}: {now.failure.reason}", "red")
            progress.step(now.done, now.total)

        summary = convert(
            reader,
            origin,
            data,
            settings,
            n_workers=workers,
            scheduler=scheduler,
            limit=limit,
            subjects=chosen,
            on_check=show_check,
            on_plan=show_plan,
            on_progress=show_progress,
        )
    _print_summary(summary)
    _warn_uncut(summary, settings.resolved(reader.name).clip.range)
    return 3 if summary.failures else 0


def _print_plan(found: Plan) -> None:
    rows = [(clip.clip_id, clip.label_name, clip.native_id) for clip in found.todo]
    console.print_table(("clip", "label", "source"), rows, title="To convert")
    for line in _skipped(found):
        console.echo(line)
    for failure in found.unreadable:
        console.echo(f"unreadable {failure.native_id}: {failure.reason}")
    for line in _remarks(found):
        console.echo(line)
    n_stale = len(found.todo) - found.n_missing
    console.echo(
        f"{len(found.todo)} to convert ({found.n_missing} missing, {n_stale} stale), "
        f"{len(found.kept)} up to date, {len(found.skipped)} skipped; nothing was written."
    )


def _skipped(found: Plan) -> list[str]:
    """Name a few of each kind that are passed over; a data set may have hundreds."""
    lines = []
    for kind in sorted({item.kind for item in found.skipped}):
        items = [item for item in found.skipped if item.kind == kind]
        lines += [f"skipped {item.path}: {item.reason}" for item in items[:_SHOWN]]
        if len(items) > _SHOWN:
            lines.append(f"skipped {len(items) - _SHOWN} more ({kind}); evfer check counts them")
    return lines


def _remarks(found: Plan) -> list[str]:
    """Say what looks wrong, what becomes of recordings that do not fit, and of foreign files."""
    lines = [f"note: {warning}" for warning in found.warnings]
    for (reason, redo), count in found.stale_reasons.items():
        which = "stale, converted anew" if redo else "stale, not selected, left out of the index"
        lines.append(f"{count} recording{'' if count == 1 else 's'} {which}: {reason}")
    lines += [f"left alone {path}: not a recording of these clips" for path in found.foreign]
    return lines


def _warn_uncut(summary: ConversionSummary, wanted: str) -> None:
    """Name the clips that should end at their apex and have none."""
    from evfer.datasets.tree import name_some

    whole = [entry.clip_id for entry in summary.entries if entry.range == "full"]
    if wanted == "to-apex" and whole:
        console.warn(
            f"No apex was found in {name_some(whole)}, whose faces hardly move: all frames are "
            "kept. Look with evfer view, or name the frames in a table, --set clip.range=FILE."
        )


def _print_summary(summary: ConversionSummary) -> None:
    from evfer.convert import find_concerns

    entries = summary.entries
    labels = sorted({(entry.label, entry.label_name) for entry in entries})
    rows = []
    for label, name in labels:
        of_label = [entry for entry in entries if entry.label == label]
        events = sum(entry.n_events for entry in of_label)
        frames = sum(entry.n_frames for entry in of_label)
        subjects = len({entry.subject for entry in of_label})
        # recordings of an event camera have no frames
        each = events // frames if frames else None
        rows.append((name, len(of_label), subjects, frames or None, events, each))
    columns = ("label", "clips", "subjects", "frames", "events", "events/frame")
    console.print_table(columns, rows)
    console.echo(
        f"{summary.converted} converted, {summary.kept} kept, {len(summary.failures)} failed, "
        f"{len(summary.skipped)} skipped -> {summary.folder}"
    )
    if summary.failures:
        console.echo(f"failures: {summary.folder / 'failures.csv'}", "red")
    if summary.note:
        console.warn(summary.note)
    for line in find_concerns(summary.entries):
        console.warn(f"look at {line}")
    console.echo(f"fingerprint {summary.fingerprint}")
