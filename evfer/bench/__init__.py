"""Measure a network on every fold of converted sets; one row a fold, the moment it ends.

    <out>/rows.jsonl     the rows, one JSON object a line
    <out>/run.toml       every setting, the versions and the command
    <out>/checkpoints/   states of unfinished folds, tested weights of finished ones
    <out>/tensorboard/   curves

A second run does what is missing: folds with a row are passed over, a fold that was cut off goes
on from its checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evfer import config as configuration
from evfer import folds, models, plugins, provenance, recordings
from evfer.bench.claims import Claims, explain_busy
from evfer.bench.fold import FoldJob, load_weights
from evfer.bench.pool import run_jobs
from evfer.bench.rows import ResultRow, RowWriter, row_key
from evfer.datasets import cards
from evfer.errors import BusyError, ConfigError, EvferError, RecordingError
from evfer.files import make_folder, write_text
from evfer.folds import FoldPlan
from evfer.locks import folder_lock
from evfer.recordings.index import class_names, fingerprint_text, labels_digest, read_index
from evfer.region import Region
from evfer.training import TrainEvent, require_device
from evfer.training.recipe import BenchConfig, load_config
from evfer.training.validation import require_people
from evfer.workers import remove_stale_parts, require_scheduler, share_folder

__all__ = [
    "BenchConfig",
    "BenchEvent",
    "ResultRow",
    "bench",
    "load_config",
    "load_weights",
    "make_jobs",
    "row_key",
    "run",
]


@dataclass(frozen=True)
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


def bench(
    sets: Sequence[Path],
    model: str,
    config: BenchConfig,
    *,
    out: Path,
    plans: Mapping[str, FoldPlan] | None = None,
    only_folds: Sequence[int] | None = None,
    protocol: str | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    resume: bool = True,
    workers: int | None = 1,
    scheduler: str | None = None,
    threads: int | None = None,
    keep_weights: bool = True,
    tensorboard: bool = True,
    energy: bool = True,
    checkpoint_every_s: float = 30.0,
    command: str = "",
    progress: Callable[[BenchEvent], None] | None = None,
) -> list[ResultRow]:
    """Train and test a network on every fold of some sets: `make_jobs`, then `run`.

    Args:
        sets: folders of converted sets, `<data>/FerDVS/<Set>`.
        model: the network, see `evfer.models.create`.
        config: the recipe, see `evfer.training.recipe.load_config`.
        out: the run's folder; its name is the run's name.
        plans: folds by name of the set; by default each set's own, from its `manifest.toml`.
        only_folds: numbers of the folds to run; by default all.
        protocol: name for the rows; by default what made the plan.
        seed: seed of weights, order, augmentation and dropout.
        device: where to train.
        resume: keep rows that are there, and go on from checkpoints; else both are thrown away,
            as far as this bench would write them.
        workers: folds to train at a time, each in a process of its own, with GPUs shared out
            among them. With a scheduler the most folds to have under way together; None leaves
            that to the size of the cluster.
        scheduler: address of a running Dask scheduler whose workers share the file system.
        threads: threads that PyTorch may use in each process; by default its own choice, shared
            out among the workers, or what a cluster's worker was started with. Results are the
            same for the same number.
        keep_weights: write the tested weights, 4 bytes a parameter.
        tensorboard: write curves for TensorBoard.
        energy: count operations on test clips; see `FoldJob.energy`.
        checkpoint_every_s: least time between two checkpoints of a fold.
        command: what the user typed, for `run.toml`.
        progress: called for each row, and while folds train.

    Returns:
        The rows of all these folds, in order of set and fold, those that were there included.

    Raises:
        EvferError: before anything is trained if a set, a plan or a setting cannot be used; or
            as soon as a fold fails. Finished rows stay.
    """
    jobs = make_jobs(
        sets,
        model,
        config,
        out=out,
        plans=plans,
        only_folds=only_folds,
        protocol=protocol,
        seed=seed,
        device=device,
        threads=threads,
        keep_weights=keep_weights,
        tensorboard=tensorboard,
        energy=energy,
        checkpoint_every_s=checkpoint_every_s,
    )
    return run(
        jobs,
        resume=resume,
        workers=workers,
        scheduler=scheduler,
        command=command,
        progress=progress,
    )


def make_jobs(
    sets: Sequence[Path],
    model: str,
    config: BenchConfig,
    *,
    out: Path,
    plans: Mapping[str, FoldPlan] | None = None,
    only_folds: Sequence[int] | None = None,
    protocol: str | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int | None = None,
    keep_weights: bool = True,
    tensorboard: bool = True,
    energy: bool = True,
    checkpoint_every_s: float = 30.0,
) -> list[FoldJob]:
    """Make the jobs of a bench, and refuse what cannot be used; nothing is written.

    Args:
        sets: see `bench`, as for all others.
        model: the network.
        config: the recipe.
        out: the run's folder.
        plans: folds by name of the set.
        only_folds: numbers of the folds.
        protocol: name for the rows.
        seed: seed of the training.
        device: where to train.
        threads: threads that PyTorch may use in each process.
        keep_weights: write the tested weights.
        tensorboard: write curves.
        energy: count operations on test clips.
        checkpoint_every_s: least time between two checkpoints of a fold.

    Returns:
        One job a fold, in order of set and fold.

    Raises:
        EvferError: if a set, a plan or a setting cannot be used.
    """
    if not sets:
        raise ConfigError("no data set to measure on", expected="one or more converted sets")
    jobs: list[FoldJob] = []
    for folder in map(Path, sets):
        entries = read_index(folder)
        plan = (plans or {}).get(folder.name) or folds.read(folder, entries)
        missing = sorted(set(plan.clip_ids) - {entry.clip_id for entry in entries})
        if missing:
            raise RecordingError(
                f"{folder}: clip {missing[0]} of the folds is not in the set",
                expected="folds made for the clips that are there",
                hint=f"Run: evfer folds {folder}",
            )
        # tried once, so that a setting that is wrong shows before any training
        if entries and config.frames.resize == "none":
            config.check_frames(recordings.sensor_size(folder / entries[0].path))
        n_classes, n_steps = len(class_names(entries)), config.frames.n_steps
        source = plugins.source_digest("evfer.models", model)
        shape = _frame_shape(folder, entries, config) if source else None
        module = models.create(model, n_classes, n_steps, seed=0, frame_shape=shape, **config.model)
        options = models.resolve_options(module, config.model)
        chosen = _choose(plan, only_folds)
        if config.select.on == "inner_validation" and not isinstance(module, models.Estimator):
            subject = {entry.clip_id: entry.subject for entry in entries}
            for fold in chosen:
                require_people((subject[plan.clip_ids[i]] for i in plan.splits[fold].train), fold)
        fingerprint = fingerprint_text((e.clip_id, e.events_sha256) for e in entries)[1]
        leak = folds.leak(plan, entries)
        for fold in chosen:
            jobs.append(
                FoldJob(
                    folder=folder,
                    dataset=_dataset_name(folder.name),
                    fingerprint=fingerprint,
                    labels_sha256=labels_digest(entries),
                    model=model,
                    model_sha256=source,
                    structure_sha256=models.structure_digest(module) if source else "",
                    config=config,
                    plan=plan,
                    fold=fold,
                    leak=leak,
                    protocol=protocol or plan.kind,
                    seed=seed,
                    out=Path(out),
                    options=options,
                    device=device,
                    threads=threads,
                    keep_weights=keep_weights,
                    tensorboard=tensorboard,
                    energy=energy,
                    checkpoint_every_s=checkpoint_every_s,
                )
            )
    return jobs


def run(
    jobs: Sequence[FoldJob],
    *,
    resume: bool = True,
    workers: int | None = 1,
    scheduler: str | None = None,
    command: str = "",
    progress: Callable[[BenchEvent], None] | None = None,
    admit: Callable[[Sequence[FoldJob]], Iterable[FoldJob]] = iter,
    failed: Callable[[FoldJob, EvferError], None] | None = None,
) -> list[ResultRow]:
    """Train and test folds, of any networks and recipes, into one run's folder.

    Args:
        jobs: the folds, as `make_jobs` gives them, in the order in which they are to run; all
            of one `out`.
        resume: see `bench`, as for the next four.
        workers: folds to train at a time.
        scheduler: address of a cluster's scheduler.
        command: what the user typed.
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
    if workers is not None and workers < 1:
        raise ConfigError(f"{workers} workers", expected="1 or more")
    if scheduler is not None:
        require_scheduler(scheduler)
        # a worker stands in another folder
        jobs = [
            dataclasses.replace(job, folder=job.folder.absolute(), out=job.out.absolute())
            for job in jobs
        ]
    else:
        for device in {job.device for job in jobs}:
            require_device(device)
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
            total, n_folds = len(jobs), len(job.plan.splits)
            place = (kind, job.dataset, job.model, job.fold, n_folds, len(done), total)
            row = done.get(job.key)
            progress(BenchEvent(*place, train, row, job.config.name, job.seed))

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
    return [dataclasses.replace(job, threads=job.threads or share) for job in jobs]


def _choose(plan: FoldPlan, only_folds: Sequence[int] | None) -> list[int]:
    numbers = [split.fold for split in plan.splits]
    for fold in only_folds or ():
        if fold not in numbers:
            raise ConfigError(f"fold {fold}", expected=f"0 to {len(numbers) - 1}")
    return sorted(set(only_folds)) if only_folds is not None else numbers


def _frame_shape(
    folder: Path, entries: Sequence[recordings.IndexEntry], config: BenchConfig
) -> tuple[int, ...]:
    side = config.frames.size
    if side:
        return (2, side, side)
    sensor = recordings.sensor_size(folder / entries[0].path)
    return config.frames.shape(Region(0, 0, sensor.width, sensor.height))[1:]


def _dataset_name(set_name: str) -> str:
    """Give the short name of a set: that of its card, or its own without the ending."""
    card = cards.find_by_set(set_name)
    return card.name if card else set_name.removesuffix("DVS").casefold()


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
