"""`evfer view`."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from evfer.cli import _console as console

if TYPE_CHECKING:
    from evfer.events import SensorSize

_FILMS = (".gif", ".mp4")
_OF_USE = {
    "slowdown": (*_FILMS, ".html"),
    "fps": _FILMS,
    "ground": (".png", *_FILMS),
    "recipe": (".html",),
    "eda": (".html",),
    "seed": (".html",),
    "assignments": (".html",),
    "source": (".png", *_FILMS, ".html"),
    "sensor_size": (".png", *_FILMS, ".html"),
    "frames": (".png", *_FILMS, ".html"),
}
"""For which endings an option of a recording changes anything."""
_OF_USE_FOR_SETS = {"ground": (".png",), "clips": (".png", ".html")}
_LONG = 60
"""From so many pictures or clips on a progress bar is shown."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A .png contact sheet, a .gif or .mp4 film, or an .html page that plays.",
)
@click.option("--source", type=click.Path(path_type=Path), help="Source folder of the clip.")
@console.sensor_option
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
@click.option(
    "--clips", type=int, default=6, show_default=True, help="Clips a class of a contact sheet."
)
@click.option(
    "--recipe",
    default="spiking-fer",
    show_default=True,
    help="Recipe whose frames and augmentations a player shows.",
)
@click.option("--eda", multiple=True, help="More augmentations for a player. Repeatable.")
@console.set_option("frames.n_steps=10")
@console.seed_option
@click.pass_context
def command(
    context: click.Context,
    path: Path,
    out: Path,
    source: Path | None,
    sensor_size: SensorSize | None,
    frames: bool,
    slowdown: float,
    fps: int,
    ground: str,
    clips: int,
    recipe: str,
    eda: tuple[str, ...],
    assignments: tuple[str, ...],
    seed: int,
) -> None:
    """Draw events, beside frames where there are any, as PNG, GIF or MP4, or as a page to play.

    PATH is a recording, or a set's folder for a contact sheet with a row a class. A recording
    of a converted set is shown beside its face crops, which are made again from the source.
    """
    from evfer import config, recordings, transforms, view
    from evfer.convert import recover_frames
    from evfer.errors import DataError, RecordingError
    from evfer.training import recipe as recipes

    params = view.ViewParams(slowdown=slowdown, fps=fps, ground=ground, clips_per_class=clips)
    _say_what_has_no_effect(context, out, path.is_dir())
    player = None
    if out.suffix.lower() == ".html" and not path.is_dir():
        settings = recipes.load_config(
            recipe, "spiking-fer", overrides=config.parse_overrides(assignments)
        )
        player = view.PlayerParams(
            settings.frames,
            settings.name,
            settings.augment,
            tuple((names, transforms.parse_names(names)) for names in eda),
            seed,
            others=recipes.shipped_framings(),
        )
    with _stopped_cleanly():
        crops = times_s = None
        # only what evfer made of frames has some
        if frames and path.is_file() and recordings.is_recording(path):
            try:
                crops, times_s = recover_frames(path, source)
            except DataError as error:
                if source is not None or isinstance(error, RecordingError):
                    raise
                console.warn(f"no frames beside the events: {error}")
        with console.Progress() as progress:
            written = view.render(
                path,
                out,
                params=params,
                frames=crops,
                frame_times_s=times_s,
                sensor_size=sensor_size,
                player=player,
                progress=_Bar(progress, "clip" if path.is_dir() else "picture", out.name),
            )
    console.echo(f"written: {written}")


def _say_what_has_no_effect(context: click.Context, out: Path, is_set: bool) -> None:
    useful = _OF_USE_FOR_SETS if is_set else _OF_USE
    what = f"a {out.suffix} of a {'data set' if is_set else 'recording'}"
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in ("path", "out"):
            continue
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if out.suffix.lower() not in useful.get(name, ()):
            console.warn(f"{parameter.opts[0]} has no effect on {what}")


class _Bar:
    """A progress bar for work of some length; what is done at once needs none."""

    def __init__(self, progress: Any, unit: str, title: str) -> None:
        self._progress, self._unit, self._title = progress, unit, title
        self._started = False

    def __call__(self, done: int, total: int) -> None:
        if total < _LONG:
            return
        if not self._started:
            self._progress.start(self._title, total, unit=self._unit)
            self._started = True
        self._progress.step(done, total)


@contextlib.contextmanager
def _stopped_cleanly() -> Iterator[None]:
    """Let a polite kill end the block as Ctrl-C does, so that no half-written file stays."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []  # Python takes signals in the main thread alone
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
