"""`evfer bench`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from evfer.cli import _console as console

if TYPE_CHECKING:
    from evfer.bench import BenchEvent
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
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Folds at a time."
)
@click.option(
    "--out", type=click.Path(), default="results", show_default=True, help="Results folder."
)
@click.option("--run", "run_name", help="Name of the run's folder. [default: the model's name]")
@click.option(
    "--resume/--no-resume", default=True, help="Keep rows and checkpoints that are there."
)
@console.set_option("train.lr=0.001")
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
    workers: int,
    out: str,
    run_name: str | None,
    resume: bool,
    assignments: tuple[str, ...],
) -> None:
    """Train and test a model on every fold.

    One row is written the moment a fold ends; a run that was stopped goes on where it was.
    """
    from evfer import config
    from evfer.measure import measure, prepare

    chosen = _numbers(only_folds)
    overrides = config.parse_overrides(assignments)
    if epochs is not None:
        overrides = config.merge(overrides, {"train": {"epochs": epochs}})
    found = prepare(
        Path(data),
        model,
        datasets=datasets,
        recipe=recipe,
        protocol=protocol,
        n_folds=n_folds,
        seed=seed,
        eda=eda,
        overrides=overrides,
        only_folds=chosen,
    )
    for item in found:
        console.warn(
            f"{item.folder.name}: recipe {item.config.name}, {item.config.train.epochs} epochs, "
            f"protocol {item.protocol}, epoch chosen by {item.config.select.on}"
        )
        for sentence in item.leak:
            console.warn(sentence)
    folder = Path(out) / (run_name or model.replace(":", "-"))
    with console.Progress() as progress:
        rows = measure(
            found,
            model,
            folder,
            only_folds=chosen,
            seed=seed,
            device=device,
            resume=resume,
            workers=workers,
            command=shlex.join(["evfer", *sys.argv[1:]]),
            progress=BenchProgress(progress),
        )
    print_rows(rows)
    console.echo(f"rows: {folder / 'rows.jsonl'}")


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
    """Show what a bench tells: one bar for all folds of a network on a set."""

    def __init__(self, progress: console.Progress) -> None:
        self._progress = progress
        self._shown: tuple[str, str] | None = None
        self._steps: dict[int, int] = {}

    def __call__(self, event: BenchEvent) -> None:
        """Take one piece of news."""
        name = f"{event.model} on {event.dataset}"
        if event.row is not None:
            word = "kept" if event.kind == "kept" else "done"
            self._progress.say(
                f"{name}, fold {event.fold + 1} of {event.n_folds}: accuracy "
                f"{event.row['accuracy']:.3f}  ({word}, {event.done} of {event.total})",
                "green",
            )
        elif event.train is not None:
            self._show(name, event, event.train)

    def _show(self, name: str, event: BenchEvent, news: TrainEvent) -> None:
        # folds of one plan differ by a batch at most, so the running one stands for all
        fold_steps = news.epochs * news.steps
        total = event.total * fold_steps
        if self._shown != (event.dataset, event.model):
            self._shown, self._steps = (event.dataset, event.model), {}
            begun = event.done * fold_steps + (news.epoch - 1) * news.steps
            self._progress.start(name, total, "step", done=begun)
        self._steps[event.fold] = (news.epoch - 1) * news.steps + news.step
        finished = event.done * fold_steps
        running = sum(steps for steps in self._steps.values() if steps < fold_steps)
        self._progress.step(
            min(total, finished + running),
            total,
            f"fold {event.fold + 1}, epoch {news.epoch}/{news.epochs}, loss {news.loss:.3f}, "
            f"accuracy {news.accuracy:.3f}",
        )


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print a table of folds, and one of means."""
    from evfer.metrics import spread

    console.print_table(
        ("data set", "model", "protocol", "fold", "test clips", "accuracy", "UAR", "macro-F1"),
        [
            (
                row["dataset"], row["model"], row["protocol"], row["fold"], row["n_test"],
                row["accuracy"], row["uar"], row["macro_f1"],
            )
            for row in rows
        ],
    )  # fmt: skip
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["model"], row["protocol"]), []).append(row)
    for (dataset, model, protocol), group in groups.items():
        found = spread([row["accuracy"] for row in group])
        console.echo(
            f"{model} on {dataset}, {protocol}: accuracy {found.mean:.3f}"
            + (f", standard deviation {found.std:.3f}" if found.std is not None else "")
            + f" over {len(group)} fold{'' if len(group) == 1 else 's'}; "
            f"chance {group[0]['chance']:.3f}, epoch chosen by {group[0]['selected_on']}"
        )
