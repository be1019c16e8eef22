"""`evfer folds`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from evfer.cli import _console as console


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--protocol",
    default="strict",
    show_default=True,
    help="strict, loso, kfold (paper) or published (code).",
)
@click.option("--folds", "n_folds", type=click.IntRange(1), help="Number of folds.")
@console.seed_option
@click.option(
    "--import",
    "imported",
    type=click.Path(path_type=Path),
    help="Take the folds of a file in the published format instead.",
)
def command(
    folder: Path, protocol: str, n_folds: int | None, seed: int, imported: Path | None
) -> None:
    """Split a converted set into folds, and report what leaks.

    FOLDER is a set's folder, <data>/FerDVS/<Set>. Writes folds.csv and manifest.toml there.
    """
    from evfer import folds

    plan, leak = folds.renew(folder, protocol, n_folds, seed, imported)
    rows = [(split.fold, len(split.train), len(split.test)) for split in plan.splits]
    console.print_table(("fold", "train clips", "test clips"), rows, title=plan.protocol)
    for sentence in folds.explain(leak):
        console.echo(sentence)
    console.echo(f"written: {folder / 'folds.csv'}, {folder / 'manifest.toml'}")
