"""`evfer bench`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from evfer.cli import _console as console
from evfer.cli._failures import Failures
from evfer.errors import EvferError

if TYPE_CHECKING:
    from evfer.bench import BenchEvent, Measurement, ResultRow
    from evfer.training import TrainEvent


@click.command()
@click.option("--model", required=True, help="Model, see evfer list, or module:factory.")
@click.option("--dataset", "datasets", multiple=True, help="Converted set. [default: all]")
@console.data_option
@click.option("--folds", "n_folds", type=click.IntRange(1), help="Number of folds.")
@click.option("--only-folds", help="Run these folds only, such as 0,3.")
@click.option(
    "--protocol",
    help="strict, loso, paper or code (as published). [default: the set's own folds]",
)
@click.option("--recipe", help="Bench recipe. [default: the set's card's, else the model's]")
@click.option("--eda", help="Augmentations: a preset, or names joined by +; none is a preset.")
@click.option("--epochs", type=click.IntRange(1), help="Same as --set train.epochs=N.")
@console.seed_option
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Folds at a time. [default: 1; on a cluster as many as suit it]",
)
@console.scheduler_option
@click.option(
    "--out", type=click.Path(), default="results", show_default=True, help="Results folder."
)
@click.option("--run", "run_name", help="Name of the run's folder. [default: the model's name]")
@click.option(
    "--resume/--no-resume", default=True, help="Keep rows and checkpoints that are there."
)
@click.option(
    "--energy/--no-energy",
    default=True,
    help="Count each tested network's operations, for the time of three tests more.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved settings, and train nothing.")
@console.set_option("train.lr=0.001 or split.repeats=3")
def command(
    model: str,
    datasets: tuple[str, ...],
    data: str,
    n_folds: int | None,
    only_folds: str | None,
    protocol: str | None,
    recipe: str | None,
    eda: str | None,
    epochs: int | None,
    seed: int,
    device: Literal["auto", "cpu", "cuda"],
    workers: int | None,
    scheduler: str | None,
    out: str,
    run_name: str | None,
    resume: bool,
    energy: bool,
    dry_run: bool,
    assignments: tuple[str, ...],
) -> None:
    """Train and test a model on every fold.

    One row is written the moment a fold ends; a run that was stopped goes on where it was.
    """
    from evfer import config
    from evfer.bench import RunOptions, make_jobs, prepare, run

    numbers = _numbers(only_folds)
    overrides = config.parse_overrides(assignments)
    if epochs is not None:
        overrides = config.merge(overrides, {"train": {"epochs": epochs}})
    measurements = prepare(
        Path(data),
        model,
        datasets=datasets,
        recipe=recipe,
        protocol=protocol,
        n_folds=n_folds,
        seed=seed,
        eda=eda,
        overrides=overrides,
        only_folds=numbers,
    )
    for item in measurements:
        _announce(item)
    if dry_run:
        for item in measurements:
            console.echo(f"# {item.folder.name}")
            shown = config.to_dict(item.config) | item.config.shaping
            console.echo(config.to_toml(shown | item.config.resolved(item.options)))
        return
    folder = Path(out) / (run_name or model.replace(":", "-"))
    options = RunOptions(device=device, workers=workers, scheduler=scheduler, energy=energy)
    jobs = make_jobs(measurements, folder, options)
    with console.Progress() as progress:
        news = BenchProgress(progress)
        failures = Failures(progress, lambda: bool(news.rows))
        try:
            rows = run(
                jobs,
                resume=resume,
                command=shlex.join(["evfer", *sys.argv[1:]]),
                progress=news,
                failed=failures,
            )
        except (KeyboardInterrupt, EvferError):
            progress.stop()
            _print_unfinished(news, folder, resume)
            raise
    if failures:
        _print_unfinished(news, folder, resume)
        failures.end()
    print_rows(rows)
    console.echo(f"rows: {folder / 'rows.jsonl'}")


def _print_unfinished(news: BenchProgress, folder: Path, resume: bool) -> None:
    """Print what a bench has that was stopped, by the user or by a fault."""
    if not news.rows:
        return
    print_rows(sorted(news.rows, key=lambda row: (row.set_name, row.seed or 0, row.fold or 0)))
    left = news.total - len(news.rows)
    verb = "is" if left == 1 else "are"
    console.echo(f"{len(news.rows)} of {news.total} folds have a result; {left} {verb} left.")
    console.echo(f"rows: {folder / 'rows.jsonl'}")
    if not resume:
        console.warn("To go on from there leave --no-resume away, which starts anew.")


def _announce(item: Measurement) -> None:
    """Say what will be done, what chooses, and what leaks, before anything is done."""
    settings, plan = item.config, item.plan
    frames, train = settings.frames, settings.train
    names = [str(table["name"]) for table in settings.augment]
    rounds = len(item.plans)
    repeats = f", {rounds} times with seeds {plan.seed} to {plan.seed + rounds - 1}"
    passes = f"{train.epochs} epoch{'' if train.epochs == 1 else 's'}"
    training = f"{passes}, protocol {item.protocol}, epoch chosen by {settings.select.on}"
    how = (
        f"{train.optimizer} at {train.lr:g}, {train.batch_size} clips a batch, "
        f"precision {train.precision}"
    )
    if item.estimator:  # no step of an optimiser, and no epoch to choose
        training = f"fitted once to the clips of {passes}, protocol {item.protocol}"
        how = f"{train.batch_size} clips a batch"
    console.warn(f"{item.folder.name}: recipe {settings.name}, {training}")
    size = "the sensor's pixels" if frames.size is None else f"{frames.size} pixels"
    console.warn(
        f"{plan.kind} split of {len(plan.splits)} folds{repeats if rounds > 1 else ''}; "
        f"{frames.n_steps} {frames.kind} of {size} by {frames.resize}; "
        f"{' + '.join(names) or 'no augmentation'}; {how}"
    )
    for sentence in (item.chosen, *item.leak):
        console.warn(sentence)


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no list such as 0,3", param_hint="--only-folds"
        ) from error


class BenchProgress:
    """Show what a bench tells: one bar for all its folds, whatever runs side by side.

    `rows` are those that there are so far, of `total` folds.
    """

    def __init__(self, progress: console.Progress) -> None:
        self._progress = progress
        self._shown = ""
        self._steps: dict[tuple[str, int, int], int] = {}
        self.rows: list[ResultRow] = []
        self.total = 0

    def __call__(self, event: BenchEvent) -> None:
        """Take one piece of news."""
        self.total = event.total
        if event.row is not None:
            self.rows.append(event.row)
            self._steps.pop((event.dataset, event.seed, event.fold), None)
            word = "kept" if event.kind == "kept" else "done"
            seed = f", seed {event.seed}" if event.seed else ""
            self._progress.say(
                f"{event.model} on {event.dataset}, fold {event.fold + 1} of {event.n_folds}"
                f"{seed}: accuracy {console.spell(event.row.accuracy)}"
                f"  ({word}, {event.done} of {event.total})",
                "green",
            )
        elif event.train is not None:
            self._show(event, event.train)

    def _show(self, event: BenchEvent, news: TrainEvent) -> None:
        # folds differ by a batch or so, so the running one stands for all
        fold_steps = news.epochs * news.steps
        total = event.total * fold_steps
        if self._shown != event.model:
            self._shown, self._steps = event.model, {}
            begun = event.done * fold_steps + (news.epoch - 1) * news.steps
            self._progress.start(event.model, total, "step", done=begun)
        place = (event.dataset, event.seed, event.fold)
        self._steps[place] = (news.epoch - 1) * news.steps + news.step
        finished = event.done * fold_steps
        running = sum(self._steps.values())
        self._progress.step(
            min(total, finished + running),
            total,
            f"{event.dataset} fold {event.fold + 1}, epoch {news.epoch}/{news.epochs}, "
            f"loss {news.loss:.3f}, accuracy {news.accuracy:.3f}",
        )


def print_rows(rows: list[ResultRow]) -> None:
    """Print a table of folds, and a line of means for each network, set and protocol."""
    from evfer.metrics import spread

    columns: list[tuple[str, Callable[[ResultRow], Any]]] = [
        ("data set", lambda row: row.dataset),
        ("model", lambda row: row.model),
        ("protocol", lambda row: row.protocol),
        ("fold", lambda row: row.fold),
        ("seed", lambda row: row.seed),
        ("test clips", lambda row: row.n_test),
        ("accuracy", lambda row: row.accuracy),
        ("UAR", lambda row: row.uar),
        ("macro-F1", lambda row: row.macro_f1),
        ("epoch", lambda row: f"{row.selected_epoch} of {row.epochs_run or row.epochs}"),
        ("last epoch", lambda row: row.accuracy_last),
        ("best (optimistic)", lambda row: row.accuracy_best),
        ("energy, mJ", lambda row: row.energy and row.energy.full_mj),
    ]
    if len({row.seed for row in rows}) == 1:
        columns = [column for column in columns if column[0] != "seed"]
    for name in ("best (optimistic)", "energy, mJ"):
        give = dict(columns)[name]
        if all(give(row) is None for row in rows):
            columns = [column for column in columns if column[0] != name]
    console.print_table(
        tuple(name for name, _ in columns),
        [tuple(give(row) for _, give in columns) for row in rows],
    )
    groups: dict[tuple[str, str, str, str], list[ResultRow]] = {}
    for row in rows:
        if row.accuracy is not None:
            key = (row.dataset, row.model, row.protocol, row.selected_on)
            groups.setdefault(key, []).append(row)
    for (dataset, model, protocol, chosen), group in groups.items():
        found = spread([row.accuracy for row in group if row.accuracy is not None])
        seeds = len({row.seed for row in group})
        console.echo(
            f"{model} on {dataset}, {protocol}: accuracy {found.mean:.3f}"
            + (f", standard deviation {found.std:.3f}" if found.std is not None else "")
            + f" over {len(group)} fold{'' if len(group) == 1 else 's'}"
            + (f" of {seeds} seeds" if seeds > 1 else "")
            + f"; chance {console.spell(group[0].chance)}, epoch chosen by {chosen}"
        )
        collapsed = sum(row.collapsed is True for row in group)
        if collapsed:
            console.warn(f"COLLAPSED: in {collapsed} of them nearly all answers are one class.")
    if any(row.selected_on == "best_test_epoch" for row in rows):
        console.echo("OPTIMISTIC: the test clips chose the epoch, as in the published results.")
