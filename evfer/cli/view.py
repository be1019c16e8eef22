"""`evfer view`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from evfer.cli import _console as console


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A .png contact sheet, or a .gif or .mp4 film.",
)
@click.option("--source", type=click.Path(path_type=Path), help="Source folder of the clip.")
@click.option("--frames/--no-frames", default=True, help="Show source frames where possible.")
@click.option(
    "--slowdown",
    type=float,
    default=2.0,
    show_default=True,
    help="Seconds of film for one second of events.",
)
@click.option("--fps", type=int, default=25, show_default=True, help="Pictures a second of a film.")
@click.option("--ground", default="dark", show_default=True, help="dark or light.")
def command(
    path: Path,
    out: Path,
    source: Path | None,
    frames: bool,
    slowdown: float,
    fps: int,
    ground: str,
) -> None:
    """Draw events, beside frames where there are any, as PNG, GIF or MP4.

    PATH is a recording, or a set's folder for a contact sheet with a row a class. A recording
    of a converted set is shown beside its face crops, which are made again from the source.
    """
    from evfer import view
    from evfer.convert import recover_frames
    from evfer.errors import DataError, RecordingError

    params = view.ViewParams(slowdown=slowdown, fps=fps, ground=ground)
    crops = times_s = None
    if frames and path.is_file():
        try:
            crops, times_s = recover_frames(path, source)
        except DataError as error:
            if source is not None or isinstance(error, RecordingError):
                raise
            console.warn(f"no frames beside the events: {error}")
    written = view.render(path, out, params=params, frames=crops, frame_times_s=times_s)
    console.echo(f"written: {written}")
