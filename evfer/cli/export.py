"""`evfer export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from evfer.cli import _console as console

if TYPE_CHECKING:
    from evfer.events import SensorSize


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--to",
    required=True,
    metavar="FORMAT",
    help="dsec, npy, npz, csv or evt2; es or aedat4 with the package faery.",
)
@console.sensor_option
@console.out_option("export", "Folder to write to; a set gets a folder of its own in it.")
def command(path: Path, to: str, sensor_size: SensorSize | None, out: str) -> None:
    """Write recordings in the formats of other tools.

    PATH is a recording, or a set's folder, <data>/FerDVS/<Set>. Times, coordinates and
    polarities stay as they are. Beside a set's files comes a clips.csv, with which the data set
    "folder" reads them again.
    """
    from evfer.formats import export

    with console.Progress() as progress:

        def show(done: int, total: int) -> None:
            if done == 1:
                progress.start("export", total)
            progress.step(done, total)

        made = export(path, to, Path(out), on_progress=show, sensor_size=sensor_size)
    first = made.folder if len(made.files) != 1 else made.folder / made.files[0]
    n_files = f"{len(made.files)} file{'' if len(made.files) == 1 else 's'}"
    console.echo(f"{n_files}, {made.n_events:,} events -> {first}")
