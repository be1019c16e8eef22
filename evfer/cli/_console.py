"""What the commands share for talking to the user."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from evfer.events import SensorSize

__all__ = [
    "Progress",
    "data_option",
    "echo",
    "label_options",
    "label_settings",
    "out_option",
    "print_json",
    "print_table",
    "scheduler_option",
    "seed_option",
    "sensor_option",
    "set_option",
    "spell",
    "warn",
    "workers_option",
]

_LINE_EVERY_S = 10.0

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False),
    envvar="EVFER_DATA",
    default="data",
    show_default=True,
    help="Folder of the converted sets.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all chance."
)
workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Number of processes. [default: the cores here]"
)


def _read_size(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> SensorSize | None:
    if value is None:
        return None
    from evfer.formats.assemble import parse_size

    size = parse_size(value)
    if size is None:
        raise click.BadParameter(f"{value!r} is no size such as 346x260")
    return size


sensor_option = click.option(
    "--sensor",
    "sensor_size",
    metavar="WIDTHxHEIGHT",
    callback=_read_size,
    help="Size of the sensor, for files of other tools that do not name it.",
)
scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Work on a running Dask cluster (tcp://HOST:8786) that shares the folders.",
)


def label_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--labels` and `--fold-file`, short for two options of readers; see `label_settings`."""
    fold_file = click.option(
        "--fold-file",
        type=click.Path(),
        help="Your copy of the published fold file; --labels published goes without saying.",
    )
    labels = click.option(
        "--labels",
        type=click.Choice(["official", "published"]),
        help="Take clips and labels from the data set's own files or from --fold-file.",
    )
    return labels(fold_file(command))


def label_settings(labels: str | None, fold_file: str | None) -> dict[str, Any]:
    """Give `--labels` and `--fold-file` as the overrides of a recipe that they are short for."""
    given: dict[str, Any] = {}
    if labels or fold_file:
        given["labels"] = labels or "published"
    if fold_file:
        given["fold_file"] = fold_file
    return {"dataset": given} if given else {}


def set_option(example: str) -> Any:
    """Make a `--set` option that shows an example of its command's keys."""
    return click.option(
        "--set",
        "assignments",
        metavar="KEY=VALUE",
        multiple=True,
        help=f"Change one recipe key, such as {example}. Repeatable.",
    )


def out_option(default: str, text: str) -> Any:
    """Make an `--out` option."""
    return click.option("--out", type=click.Path(), default=default, show_default=True, help=text)


def echo(message: str = "", style: str = "") -> None:
    """Print a result to standard output; markup in it stays text."""
    Console(highlight=False).print(Text(message, style=style), soft_wrap=True)


def warn(message: str) -> None:
    """Print a remark to standard error."""
    Console(stderr=True, highlight=False).print(Text(message, style="yellow"), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None
) -> None:
    """Print a table; columns whose values are numbers stand on the right."""
    lines = [[spell(value) for value in row] for row in rows]
    console = Console(highlight=False)
    if not console.is_terminal:
        # a pipe has no width of its own, and a cut value is worse than a long line
        widths = [max((len(line[i]) for line in lines), default=0) for i in range(len(columns))]
        total = sum(max(w, len(c)) for w, c in zip(widths, columns, strict=True))
        console = Console(highlight=False, width=max(80, total + 4 * len(columns)))
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2))
    for i, column in enumerate(columns):
        numeric = bool(lines) and all(_is_number(line[i]) for line in lines)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(value) for value in line))
    console.print(table)


def spell(value: Any) -> str:
    """Write a value for people: floats with three decimals, a dash for None."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).replace(",", "").lstrip("-").isdecimal()


class _Rate(ProgressColumn):
    """Finished steps a second, or seconds a step when they are slow."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        unit = task.fields["unit"]
        return Text(f"{speed:.1f} {unit}s/s" if speed >= 1 else f"{1 / speed:.1f} s/{unit}")


class Progress:
    """A progress bar on a terminal; on a pipe or in a log, a line now and then."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._started = self._said = time.monotonic()
        self._task: TaskID | None = None
        self._title = self._unit = ""
        self._first = 0
        self._finished = False

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away, so that results can be printed."""
        self._bar.stop()

    def start(self, title: str, total: int, unit: str = "clip", done: int = 0) -> None:
        """Begin a stretch of work of `total` steps, of which `done` need no doing."""
        if self._task is not None:
            self._bar.stop_task(self._task)
        self._task = self._bar.add_task(title, total=total, completed=done, unit=unit, note="")
        self._started = self._said = time.monotonic()
        self._title, self._unit, self._first = title, unit, done
        self._finished = False
        if not self._console.is_terminal:
            self._line(f"{title}: {total} {unit}{'' if total == 1 else 's'}")

    def step(self, done: int, total: int, note: str = "") -> None:
        """Say that `done` of `total` steps are finished."""
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)
        now = time.monotonic()
        if self._console.is_terminal or self._finished:
            return
        if now - self._said < _LINE_EVERY_S and done < total:
            return
        self._said, self._finished = now, done >= total
        rate = (done - self._first) / max(now - self._started, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        tail = f"  {note}" if note else ""
        self._line(f"{self._title}: {done}/{total} {self._unit}s, {rate:.2f}/s{left}{tail}")

    def say(self, message: str, style: str = "") -> None:
        """Print a line above the bar."""
        self._line(message, style)

    def _line(self, message: str, style: str = "") -> None:
        self._console.print(Text(message, style=style), soft_wrap=True)
