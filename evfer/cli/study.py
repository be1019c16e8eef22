"""`evfer study`."""

from __future__ import annotations

import datetime
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from evfer.cli import _console as console
from evfer.cli._failures import Failures
from evfer.errors import EvferError

if TYPE_CHECKING:
    from evfer.bench import BenchEvent
    from evfer.study import Grid, State, Summary


@click.command()
@click.argument("recipe")
@console.data_option
@click.option("--dataset", "datasets", multiple=True, help="Converted set. [default: the recipe's]")
@click.option("--model", "models", multiple=True, help="Model. [default: the recipe's]")
@click.option(
    "--eda",
    "augmentations",
    multiple=True,
    help="Set of augmentations; common means the 32 subsets. [default: the recipe's]",
)
@click.option("--folds", "n_folds", type=click.IntRange(1), help="Number of folds.")
@click.option("--protocol", help="strict, loso, paper or code. [default: the recipe's]")
@click.option("--epochs", type=click.IntRange(1), help="Same as --set train.epochs=N.")
@click.option("--seed", type=click.IntRange(0), help="Seed of all chance. [default: the recipe's]")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Folds at a time. [default: 1; on a cluster as many as suit it]",
)
@console.scheduler_option
@click.option("--time", "budget", help="Time to spend, such as 2h; 0s only sums up what is there.")
@click.option(
    "--out", type=click.Path(), default="results", show_default=True, help="Results folder."
)
@click.option("--run", "run_name", help="Name of the study's folder. [default: the recipe's name]")
@click.option(
    "--resume/--no-resume", default=True, help="Keep rows and checkpoints that are there."
)
@click.option("--dry-run", is_flag=True, help="Say what would run, and run nothing.")
@console.set_option("train.lr=0.001 or study.seeds=[0,1]")
def command(
    recipe: str,
    data: str,
    datasets: tuple[str, ...],
    models: tuple[str, ...],
    augmentations: tuple[str, ...],
    n_folds: int | None,
    protocol: str | None,
    epochs: int | None,
    seed: int | None,
    device: Literal["auto", "cpu", "cuda"],
    workers: int | None,
    scheduler: str | None,
    budget: str | None,
    out: str,
    run_name: str | None,
    resume: bool,
    dry_run: bool,
    assignments: tuple[str, ...],
) -> None:
    """Measure networks under many sets of augmentations, and estimate what each of these adds.

    RECIPE is eda-study or a file. Folds come in rounds, so that a study that is stopped is
    balanced; the same command goes on from there.
    """
    from evfer import config
    from evfer import study as studies
    from evfer.bench import RunOptions

    overrides = config.parse_overrides(assignments)
    given = {
        "datasets": list(datasets),
        "models": list(models),
        "augmentations": list(augmentations),
        "seeds": [] if seed is None else [seed],
        "split_seed": seed,
        "n_folds": n_folds,
        "protocol": protocol,
    }
    table = {name: value for name, value in given.items() if value not in (None, [])}
    overrides = config.merge(overrides, {"study": table})
    if epochs is not None:
        overrides = config.merge(overrides, {"train": {"epochs": epochs}})
    budget_s = None if budget is None else studies.parse_duration(budget)
    found = studies.load_study(recipe, overrides)
    folder = Path(out) / (run_name or found.name)
    options = RunOptions(device=device, workers=workers, scheduler=scheduler)
    grid = studies.lay_out(found, Path(data), folder, options)
    _announce(grid)
    if dry_run:
        _print_state(studies.examine(grid))
        return
    if not grid.rows() and budget_s == 0:
        console.warn("Nothing to sum up yet.")
        return
    with console.Progress() as progress:
        news = _StudyProgress(progress, len(grid.jobs))
        failures = Failures(progress, lambda: news.heard)
        try:
            state = studies.run_study(
                grid,
                budget_s=budget_s,
                resume=resume,
                command=shlex.join(["evfer", *sys.argv[1:]]),
                progress=news,
                failed=failures,
            )
        except (KeyboardInterrupt, EvferError):
            progress.stop()
            if news.heard:
                _sum_up(grid, studies.examine(grid), folder)
                if not resume:
                    console.warn("To go on from there leave --no-resume away, which starts anew.")
            raise
    if state.done:
        _sum_up(grid, state, folder)
    failures.end()


def _sum_up(grid: Grid, state: State, folder: Path) -> None:
    """Write and print the tables of the folds that have a result."""
    from evfer import study as studies

    summary = studies.summarise(grid)
    written = studies.write_summary(summary, folder)
    _print_summary(summary)
    _print_state(state)
    console.echo(f"rows: {folder / 'rows.jsonl'}; beside it {', '.join(p.name for p in written)}")


def _announce(grid: Grid) -> None:
    counts = {
        name: len({getattr(place, name) for place in grid.places})
        for name in ("dataset", "model", "augmentation", "seed")
    }
    grid_words = " x ".join(
        f"{n} {noun}{'' if n == 1 else 's'}"
        for n, noun in zip(
            counts.values(), ("data set", "model", "set of augmentations", "seed"), strict=True
        )
    ).replace("set of augmentationss", "sets of augmentations")
    console.warn(f"{grid.config.name}: {grid_words}, {len(grid.jobs)} folds in all")
    shown: set[tuple[Any, ...]] = set()
    for job in grid.jobs:
        about = (job.folder.name, job.model)
        if about in shown:
            continue
        if job.folder.name not in {name for name, _ in shown}:
            for sentence in grid.leaks[job.folder.name]:
                console.warn(f"{job.folder.name}: {sentence}")
        shown.add(about)
        console.warn(
            f"{job.model} on {job.folder.name}: {len(job.plan.splits)} folds, protocol "
            f"{job.protocol}, {job.config.train.epochs} epochs, epoch chosen by "
            f"{job.config.select.on}"
        )


def _print_state(state: State) -> None:
    left = state.total - state.done
    if not left:
        console.echo(f"All {state.total} folds have a result.", "green")
        return
    time = "" if state.seconds_left is None else f", about {_spell(state.seconds_left)}"
    why = "Out of time: " if state.out_of_time else ""
    verb = "is" if left == 1 else "are"
    console.echo(
        f"{why}{state.done} of {state.total} folds have a result; {left} {verb} left{time}."
    )
    if state.out_of_time:
        console.echo("The same command goes on from there.")


def _spell(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


class _StudyProgress:
    """Show what a study tells: one bar for the whole grid; `heard` once there is a row."""

    def __init__(self, progress: console.Progress, total: int) -> None:
        self._progress, self._total = progress, total
        self._started = False
        self._kept = 0
        self.heard = False

    def __call__(self, event: BenchEvent) -> None:
        """Take one piece of news."""
        self.heard = self.heard or event.row is not None
        if event.kind == "kept":
            self._kept = event.done
            return
        if not self._started:
            self._started = True
            if self._kept:
                self._progress.say(f"{self._kept} folds have a result already")
            self._progress.start("study", self._total, "fold", done=self._kept)
        name = f"{event.model} on {event.dataset}, {event.recipe}"
        place = f"fold {event.fold + 1} of {event.n_folds}, seed {event.seed}"
        note = ""
        if event.row is not None:
            self._progress.say(
                f"{name}, {place}: accuracy {console.spell(event.row.accuracy)}  "
                f"({event.done} of {event.total})",
                "green",
            )
        elif event.train is not None:
            news = event.train
            note = f"{name}, {place}, epoch {news.epoch}/{news.epochs}, loss {news.loss:.3f}"
        self._progress.step(event.done, event.total, note)


def _print_summary(summary: Summary) -> None:
    from evfer.study import describe_choice, describe_fit, spell_probability

    for outcome in summary.outcomes:
        about = f"{outcome.model} on {outcome.dataset}, {summary.measure}"
        console.print_table(
            ("augmentations", "results", "mean", "std", "validation", "collapsed"),
            [
                (
                    c.augmentation, f"{c.n} of {c.total}", c.mean, c.std, c.validation, c.collapsed,
                )
                for c in outcome.cells
            ],
            about,
        )  # fmt: skip
        for sentence in describe_choice(outcome, summary.measure):
            console.echo(sentence)
        console.echo()
        for fit, title in (
            (outcome.ols, "ordinary least squares"),
            (outcome.mixed, "mixed model"),
        ):
            if fit.effects:
                console.print_table(
                    ("augmentation", "effect", "std error", "low", "high", "p"),
                    [
                        (
                            e.name, e.estimate, e.std_error, e.low, e.high,
                            spell_probability(e.p_value),
                        )
                        for e in fit.effects
                    ],
                    f"{about}: {title}",
                )  # fmt: skip
            else:
                console.echo(f"{about}: no {title}", "bold")
            for sentence in describe_fit(fit):
                console.echo(sentence)
            console.echo()
