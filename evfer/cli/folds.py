"""`evfer folds`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import rich_click as click

from evfer.cli import _console as console
from evfer.errors import ConfigError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--protocol", help="strict, loso, kfold (paper) or published (code). [default: strict]"
)
@click.option("--folds", "n_folds", type=click.IntRange(1), help="Number of folds.")
@console.seed_option
@click.option(
    "--import",
    "imported",
    type=click.Path(path_type=Path),
    help="Take the folds of a file in the published format instead.",
)
@click.option(
    "--export",
    "exported",
    type=click.Path(path_type=Path),
    help="Write the folds in the published format too; alone, those that the set has.",
)
@click.option(
    "--ids",
    metavar="own|published|TABLE",
    help="How the imported or exported file names clips; a table subject;sequence;sid tells which "
    "MMI clips its published ids are. [default: whichever fits]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    folder: Path,
    protocol: str | None,
    n_folds: int | None,
    seed: int,
    imported: Path | None,
    exported: Path | None,
    ids: str | None,
    as_json: bool,
) -> None:
    """Split a converted set into folds, and report what leaks.

    FOLDER is a set's folder, <data>/FerDVS/<Set>. Writes folds.csv and manifest.toml there.
    """
    from evfer import folds, recordings

    if imported and (protocol or n_folds):
        raise ConfigError(
            "--import with --protocol or --folds",
            expected="one of them, for the file says which folds there are",
        )
    numbering, table = folds.read_numbering(ids)
    entries = recordings.read_index(folder)
    as_it_is = exported is not None and not (imported or protocol or n_folds or seed)
    if as_it_is:
        plan = folds.read(folder, entries)
    else:
        plan, _ = folds.renew(
            folder, protocol or "strict", n_folds, seed, imported, numbering=numbering, ids=table
        )
    notes = list(plan.notes)
    if exported:
        said = folds.export(
            exported, plan, entries, folder.resolve().name, numbering=numbering, ids=table
        )
        notes += [note for note in said if note not in notes]
    facts = folds.fold_facts(plan, entries)
    if as_json:
        summary = folds.summary(plan, entries) | {"notes": notes}
        console.print_json(summary | {"folds": [dataclasses.asdict(fold) for fold in facts]})
        return
    columns = ("fold", "train clips", "test clips", "test people", "also in training", "majority")
    console.print_table(columns, map(dataclasses.astuple, facts), title=plan.kind)
    for sentence in (*notes, *folds.explain(folds.leak(plan, entries))):
        console.echo(sentence)
    written = [] if as_it_is else [folder / "folds.csv", folder / "manifest.toml"]
    console.echo("written: " + ", ".join(map(str, [*written, *([exported] if exported else [])])))
