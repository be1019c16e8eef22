"""`evfer demo`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from evfer.cli import _console as console
from evfer.cli.bench import BenchProgress, print_rows

if TYPE_CHECKING:
    from evfer.convert import Plan, Progress


@click.command()
@click.option("--quick", is_flag=True, help="A smaller set and less training, to see it work.")
@console.out_option("evfer-demo", "Folder for data, results and report.")
@console.seed_option
@console.workers_option
def command(quick: bool, out: str, seed: int, workers: int | None) -> None:
    """The whole way on rendered heads: faces, events, folds, training, report.

    Needs no data and no network. Ends with the accuracy of Spiking-FER and of its ResNet-18
    twin on people they were not trained on, and with the report's path.
    """
    from evfer import demo
    from evfer.workers import default_workers

    size = demo.QUICK if quick else demo.FULL
    with console.Progress() as progress:
        progress.say(
            f"Rendering {size.people} people, following their faces, making events; the first "
            "run compiles its kernels once (some ten seconds)."
        )

        def show_plan(found: Plan) -> None:
            if found.kept:
                progress.say(f"{len(found.kept)} clips are up to date and kept")
            progress.start("clips to events", len(found.todo))

        def show_progress(now: Progress) -> None:
            progress.step(now.done, now.total)

        made = demo.run(
            Path(out),
            size,
            seed=seed,
            n_workers=workers or default_workers(),
            command=shlex.join(["evfer", *sys.argv[1:]]),
            on_plan=show_plan,
            on_progress=show_progress,
            on_bench=BenchProgress(progress),
        )
    print_rows(list(made.rows))
    laps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in made.seconds.items())
    console.echo(f"{sum(made.seconds.values()):.0f} s: {laps}")
    console.echo(f"report: {made.report.page}", "bold")
