"""Run folds, in this process, in several or on a cluster, and keep their rows."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evfer import config as configuration
from evfer import provenance
from evfer.bench.claims import Claims, explain_busy
from evfer.bench.fold import FoldJob
from evfer.bench.pool import run_jobs
from evfer.bench.rows import ResultRow, RowWriter
from evfer.errors import BusyError, ConfigError, EvferError
from evfer.files import make_folder, write_text
from evfer.locks import folder_lock
from evfer.training import TrainEvent, require_device
from evfer.workers import remove_stale_parts, require_scheduler, share_folder

__all__ = ["BenchEvent", "run"]


@dataclass(frozen=True, kw_only=True)
class BenchEvent:
    """How far a bench is; passed to the caller's function.

    Args:
        kind: "kept" for a fold whose row was there, "train" for news of a fold in training,
            "row" for a fold that ended.
        dataset: short name of the set.
        model: name of the network.
        fold: number of the fold.
        n_folds: number of folds of the set's plan.
        done: folds that have a row now.
        total: folds of the whole bench.
        train: the news, for "train".
        row: the row, for "kept" and "row".
        recipe: name of the recipe.
        seed: the fold's seed.
    """

    kind: Literal["kept", "train", "row"]
    dataset: str
    model: str
    fold: int
    n_folds: int
    done: int
    total: int
    train: TrainEvent | None = None
    row: ResultRow | None = None
    recipe: str = ""
    seed: int = 0


def run(
    jobs: Sequence[FoldJob],
    *,
    resume: bool = True,
    command: str = "",
    progress: Callable[[BenchEvent], None] | None = None,
    admit: Callable[[Sequence[FoldJob]], Iterable[FoldJob]] = iter,
    failed: Callable[[FoldJob, EvferError], None] | None = None,
) -> list[ResultRow]:
    """Train and test folds, of any networks and recipes, into one run's folder.

    Args:
        jobs: the folds, as `make_jobs` gives them, in the order in which they are to run; all
            of one `out` and with the same `run`.
        resume: keep rows that are there, and go on from checkpoints; else both are thrown away,
            as far as this bench would write them.
        command: what the user typed, for `run.toml`.
        progress: called for each row, and while folds train.
        admit: gives those of the folds without a row that are to run; each is asked for when
            the one before has its row, or there is a worker for it.
        failed: called with each fold that fails, and why; the others go on, unless it raises.
            Without it the first failure ends all.

    Returns:
        The rows of all these folds that have one now, in order.

    Raises:
        EvferError: as soon as a fold fails, unless `failed` hears of it. Finished rows stay.
        BusyError: if another process measures some of the folds, after all others are done;
            before anything is done if `resume` is false.
    """
    if not jobs:
        raise ConfigError("no fold to run", expected="one or more")
    options = jobs[0].run
    workers, scheduler = options.workers, options.scheduler
    if scheduler is not None:
        require_scheduler(scheduler)
        # a worker stands in another folder
        jobs = [
            dataclasses.replace(job, folder=job.folder.absolute(), out=job.out.absolute())
            for job in jobs
        ]
    else:
        require_device(options.device)
    out = jobs[0].out
    make_folder(out)
    rows, claims = RowWriter(out / "rows.jsonl"), Claims(out)
    if not resume:
        for job in jobs:
            claims.require_free(job)
        rows.forget(key for job in jobs for key in job.keys)
        for job in jobs:
            job.checkpoint.unlink(missing_ok=True)
    with folder_lock(out):
        _describe_run(jobs, command)
    keys = {key: job.key for job in jobs for key in job.keys}
    done = {keys[row.key]: row for row in rows.read_new() if row.key in keys}

    def tell(
        kind: Literal["kept", "train", "row"], job: FoldJob, train: TrainEvent | None = None
    ) -> None:
        if progress:
            progress(
                BenchEvent(
                    kind=kind,
                    dataset=job.dataset,
                    model=job.model,
                    fold=job.fold,
                    n_folds=len(job.plan.splits),
                    done=len(done),
                    total=len(jobs),
                    train=train,
                    row=done.get(job.key),
                    recipe=job.config.name,
                    seed=job.seed,
                )
            )

    for job in jobs:
        if job.key in done:
            tell("kept", job)
    todo = [job for job in jobs if job.key not in done]
    if scheduler is None:
        workers = max(1, min(workers or 1, len(todo)))
        if workers > 1:
            todo = _share_threads(todo, workers)

    def hear(job: FoldJob, event: TrainEvent) -> None:
        tell("train", job, event)

    busy: dict[str, BusyError] = {}

    def claim(jobs: Sequence[FoldJob]) -> Iterator[FoldJob]:
        """Give those of the folds that no other process measures or has measured meanwhile."""
        for job in admit(jobs):
            busy.pop(job.key, None)
            try:
                claims.take(job)
            except BusyError as error:
                busy[job.key] = error
                continue
            done.update((keys[row.key], row) for row in rows.read_new() if row.key in keys)
            if job.key in done:
                claims.release(job, done=True)
                tell("kept", job)
                continue
            yield job

    def claim_twice() -> Iterator[FoldJob]:
        yield from claim(todo)
        # by now others may be done with theirs, or have died over them
        yield from claim([job for job in todo if job.key in busy])

    remove_stale_parts(out)
    packages = provenance.LEARNING_PACKAGES
    with (
        contextlib.closing(claims),
        share_folder(out, scheduler, packages) as shared,
        contextlib.closing(run_jobs(claim_twice(), workers, hear, scheduler, shared)) as results,
    ):
        for job, row in results:
            if isinstance(row, EvferError):
                claims.release(job)
                if failed is None:
                    raise row
                failed(job, row)
                continue
            rows.append(row)
            # only now: a crash before would have needed it
            job.checkpoint.unlink(missing_ok=True)
            claims.release(job, done=True)
            done[job.key] = row
            tell("row", job)
    if busy:
        raise explain_busy([(job, busy[job.key]) for job in todo if job.key in busy])
    return [done[job.key] for job in jobs if job.key in done]


def _share_threads(jobs: Sequence[FoldJob], workers: int) -> list[FoldJob]:
    import torch

    share = max(1, torch.get_num_threads() // workers)
    return [
        dataclasses.replace(job, run=dataclasses.replace(job.run, threads=job.run.threads or share))
        for job in jobs
    ]


def _describe_run(jobs: Sequence[FoldJob], command: str) -> None:
    """Write `run.toml`; a folder may hold several benches, and each keeps its table."""
    path = jobs[0].out / "run.toml"
    benches: dict[str, list[FoldJob]] = {}
    for job in jobs:
        name = "-".join((job.model, job.protocol, f"seed{job.seed}", job.config.sha256[:8]))
        benches.setdefault(name, []).append(job)
    known: dict[str, Any] = {}
    if path.exists():
        # only a record: one that is damaged is written anew
        with contextlib.suppress(ConfigError):
            known = configuration.read_toml(path).get("bench", {})
    for name, members in benches.items():
        job, before = members[0], known.get(name, {}).get("sets", [])
        known[name] = {
            "command": command,
            "data": str(job.folder.parent.parent),  # <data>/FerDVS/<Set>
            "model": job.model,
            "protocol": job.protocol,
            "seed": job.seed,
            "sets": sorted({*before, *(job.folder.name for job in members)}),
            "recipe_sha256": job.config.sha256,
            "recipe": configuration.to_dict(job.config)
            | job.config.shaping
            | job.config.resolved(job.options)
            | {"split": configuration.to_dict(job.config.split) | {"repeats": job.repeats}},
        }
    about = {
        "versions": provenance.versions(provenance.LEARNING_PACKAGES),
        "machine": provenance.machine(),
        "bench": known,
    }
    write_text(path, configuration.to_toml(about))
