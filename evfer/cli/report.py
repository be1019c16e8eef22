"""`evfer report`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from evfer.cli import _console as console


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder. [default: RESULTS/report]")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="EVFER_DATA",
    help="Data folder with the recordings of the example clips. [default: the run's own]",
)
def command(results: Path, out: Path | None, data: Path | None) -> None:
    """Turn results into one HTML page, tables and figures.

    RESULTS is a run's folder, or a folder of runs. The page needs no network and no other file.
    """
    from evfer.convert import recover_frames
    from evfer.report import render

    written = render(results, out, data, frames=recover_frames)
    for problem in written.problems:
        console.warn(problem)
    console.echo(f"page: {written.page}")
    console.echo(f"beside it: {len(written.tables)} tables, {len(written.figures)} figures")
