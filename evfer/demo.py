"""The whole way on rendered heads: clips, events, folds, two networks, a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evfer.bench import BenchEvent, ResultRow, RunOptions, make_jobs, prepare
from evfer.bench import run as run_bench
from evfer.convert import (
    ConversionSummary,
    Plan,
    Progress,
    convert,
    load_config,
    open_dataset,
    recover_frames,
)
from evfer.errors import DataError
from evfer.report import ReportPaths, render

__all__ = ["FULL", "MODELS", "QUICK", "DemoResult", "DemoSize", "run"]

MODELS = ("spiking-fer", "resnet18")
"""The networks that the demo compares."""


@dataclass(frozen=True)
class DemoSize:
    """How much a demo does.

    Args:
        people: rendered people.
        repetitions: clips of each person and expression.
        frames: frames a clip.
        n_folds: parts that the people are split into.
        only_folds: the parts that are tested; the others only train.
        overrides: recipe keys by model.
    """

    people: int
    repetitions: int
    frames: int
    n_folds: int
    only_folds: tuple[int, ...]
    overrides: dict[str, dict[str, Any]]


FULL = DemoSize(12, 2, 24, 4, (0, 1), {})
"""What the README shows."""

QUICK = DemoSize(
    *(6, 1, 16, 3, (0,)),
    {
        "spiking-fer": {"train": {"epochs": 48, "batch_size": 8}},
        "resnet18": {"train": {"epochs": 24, "batch_size": 8}},
    },
)
"""To see that everything works: far too little for a network to learn much."""


@dataclass(frozen=True)
class DemoResult:
    """What a demo made.

    Args:
        summary: of the conversion.
        rows: results, in order of model and fold.
        report: the page and what lies beside it.
        seconds: how long each stage took.
    """

    summary: ConversionSummary
    rows: tuple[ResultRow, ...]
    report: ReportPaths
    seconds: Mapping[str, float]


def run(
    out: Path,
    size: DemoSize = FULL,
    *,
    seed: int = 0,
    n_workers: int = 1,
    command: str = "",
    on_plan: Callable[[Plan], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_bench: Callable[[BenchEvent], None] | None = None,
) -> DemoResult:
    """Go the whole way; what an earlier run with the same settings finished is kept.

    Args:
        out: the folder for `data`, `results` and `report`.
        size: how much to do.
        seed: seed of the people and of the training.
        n_workers: processes for the conversion, and folds to train at a time.
        command: what the user typed, for the record.
        on_plan: called before the conversion.
        on_progress: called after each clip.
        on_bench: called while folds train.

    Raises:
        DataError: if a rendered clip cannot be converted.
        OutputError: if the folder cannot be written.
    """
    clock = _Clock()
    settings = load_config(
        "default",
        {
            "seed": seed,
            "dataset": {
                "people": size.people,
                "repetitions": size.repetitions,
                "frames": size.frames,
                "seed": seed,
            },
        },
    )
    summary = convert(
        open_dataset("demo", settings),
        None,
        out / "data",
        settings,
        n_workers=n_workers,
        on_plan=on_plan,
        on_progress=on_progress,
    )
    if summary.failures:
        first = summary.failures[0]
        raise DataError(
            f"{len(summary.failures)} rendered clips failed, first {first.native_id}: "
            f"{first.reason}",
            hint=f"See {summary.folder / 'failures.csv'}",
        )
    clock.lap("events")
    rows: list[ResultRow] = []
    for model in MODELS:
        measurements = prepare(
            out / "data",
            model,
            datasets=["demo"],
            protocol="strict",
            n_folds=size.n_folds,
            seed=seed,
            overrides=size.overrides.get(model),
            only_folds=size.only_folds,
        )
        options = RunOptions(workers=min(n_workers, len(size.only_folds)))
        jobs = make_jobs(measurements, out / "results" / model, options)
        rows += run_bench(jobs, command=command, progress=on_bench)
        clock.lap(model)
    report = render(out / "results", out / "report", out / "data", frames=recover_frames)
    clock.lap("report")
    return DemoResult(summary, tuple(rows), report, clock.laps)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self._last = now - self._last, now
