"""One fold as a job: everything it needs by name, so that it can run in any process."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evfer import config, metrics, models, provenance
from evfer.bench.energy import bill
from evfer.bench.optimism import name_choices
from evfer.bench.rows import ROW_FORMAT, ResultRow, row_key
from evfer.bench.trained import SUFFIX, TrainedFile, write_trained
from evfer.errors import ConfigError, RecordingError
from evfer.folds import FoldPlan, LeakReport
from evfer.inputs import EventInputs, EventSet, class_indices, load_set
from evfer.training import EpochRecord, FoldResult, FoldTask, TrainEvent, fit
from evfer.training.fold import Device
from evfer.training.recipe import BenchConfig

__all__ = ["FoldJob", "RunOptions", "remember_set", "run_fold"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How folds are run, all of a run alike.

    Args:
        device: where to train.
        workers: folds to train at a time, each in a process of its own, with GPUs shared out
            among them. With a scheduler the most folds to have under way together; None leaves
            that to the size of the cluster.
        scheduler: address of a running Dask scheduler whose workers share the file system.
        threads: threads that PyTorch may use in each process; by default its own choice, shared
            out among the workers, or what a cluster's worker was started with. Results are the
            same for the same number.
        keep_weights: whether to keep the trained networks, 4 bytes a parameter.
        tensorboard: whether to write curves for TensorBoard.
        energy: whether to count operations on the test clips and price them.
        checkpoint_every_s: least time between two checkpoints of a fold.

    Raises:
        ConfigError: for fewer than one worker.
    """

    device: Device = "auto"
    workers: int | None = 1
    scheduler: str | None = None
    threads: int | None = None
    keep_weights: bool = True
    tensorboard: bool = True
    energy: bool = True
    checkpoint_every_s: float = 30.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"{self.workers} workers", expected="1 or more")


@dataclass(frozen=True, kw_only=True)
class FoldJob:
    """One fold to train and test.

    Args:
        folder: the set's folder.
        dataset: the set's short name, such as "demo".
        fingerprint: digest of the set's events.
        labels_sha256: digest of who shows what in it.
        model: the network's name.
        model_sha256: digest of the network's source where it is not evfer's, else empty.
        config: the recipe.
        plan: the set's folds.
        fold: which of them.
        leak: what the plan lets slip.
        protocol: name for the row.
        seed: the run's seed.
        out: the run's folder.
        structure_sha256: digest of the network as built where it is not evfer's, else empty.
        options: all options of the network, see `evfer.models.resolve_options`.
        run: how it is run; nothing of that shapes its result but the number of threads.
        repeats: how often the whole is done, this time included.
    """

    folder: Path
    dataset: str
    fingerprint: str
    labels_sha256: str
    model: str
    model_sha256: str
    config: BenchConfig
    plan: FoldPlan
    fold: int
    leak: LeakReport
    protocol: str
    seed: int
    out: Path
    structure_sha256: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    run: RunOptions = RunOptions()
    repeats: int = 1

    @property
    def naming(self) -> dict[str, Any]:
        """The fields of its row that are known beforehand."""
        structure = {"structure_sha256": self.structure_sha256} if self.structure_sha256 else {}
        return structure | {
            "format": ROW_FORMAT,
            "run": self.out.name,
            "dataset": self.dataset,
            "set": self.folder.name,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "recipe": self.config.name,
            "recipe_sha256": self.config.sha256,
            "protocol": self.protocol,
            "split": {"kind": self.plan.kind, "seed": self.plan.seed},
            "folds_sha256": self.plan.sha256,
            "data_fingerprint": self.fingerprint,
            "labels_sha256": self.labels_sha256,
            "fold": self.fold,
            "n_folds": len(self.plan.splits),
            "seed": self.seed,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Every switch as it was used, those of the folds among them."""
        split, plan = self.config.split, self.plan
        used = {
            "kind": plan.kind,
            "n_folds": len(plan.splits),
            "seed": plan.seed,
            # a set's own folds are as their kind has them
            "stratify": plan.kind == "strict" if split.stratify is None else split.stratify,
            "repeats": self.repeats,
        }
        return self.config.resolved(self.options) | {"split": used}

    @functools.cached_property  # a study asks often, and folds are long to digest
    def key(self) -> str:
        """Digest of what names its result."""
        return row_key(self.naming)

    @property
    def keys(self) -> tuple[str, ...]:
        """Its key, and the one of rows that were written before rows told the structure."""
        return self.key, row_key({**self.naming, "structure_sha256": ""})

    @property
    def stem(self) -> str:
        """A name for its files that people can read and that no other job has."""
        model = re.sub(r"[^\w.-]+", "-", self.model)
        parts = (self.folder.name, model, self.protocol, f"seed{self.seed}", f"fold{self.fold}")
        return "-".join((*parts, self.key[:8]))

    @property
    def checkpoint(self) -> Path:
        """Where training leaves its state; gone once the row is written."""
        return self.out / "checkpoints" / f"{self.stem}.state.pt"

    @property
    def trained(self) -> Path:
        """Where the trained network is kept; see `evfer.load`."""
        return self.out / "checkpoints" / f"{self.stem}{SUFFIX}"


@functools.lru_cache(maxsize=1)  # sets are large, so one at a time
def remember_set(folder: Path, fingerprint: str, labels_sha256: str) -> EventSet:
    """Load a set, or take the one that was loaded last if it is the same.

    Raises:
        RecordingError: if the set has changed since the bench began.
    """
    data = load_set(folder)
    now = (data.fingerprint, data.labels_sha256)
    if now != (fingerprint, labels_sha256):
        raise RecordingError(
            f"{folder}: events {now[0][:16]}... and labels {now[1][:16]}...",
            expected=f"{fingerprint[:16]}... and {labels_sha256[:16]}..., as when the bench began",
            hint="Do not convert into a set while it is being measured",
        )
    return data


def run_fold(job: FoldJob, progress: Callable[[TrainEvent], None] | None = None) -> ResultRow:
    """Train and test one fold.

    Args:
        job: the fold.
        progress: called after each batch and each epoch.

    Returns:
        The result row; the caller stores it.

    Raises:
        EvferError: whatever keeps the fold from its end.
    """
    data = remember_set(job.folder, job.fingerprint, job.labels_sha256)
    position = {clip: i for i, clip in enumerate(data.clip_ids)}
    split = job.plan.splits[job.fold]
    train, test = (
        tuple(position[job.plan.clip_ids[i]] for i in part) for part in (split.train, split.test)
    )
    inputs = EventInputs(data, job.config.frames, job.config.augmentation())
    task = FoldTask(inputs, train, test, job.config, job.fold, job.seed, job.key)
    with _threads(job.run.threads), _curves(job) as write_curves:

        def both(event: TrainEvent) -> None:
            write_curves(event)
            if progress:
                progress(event)

        result = fit(
            lambda: models.create(
                job.model,
                len(inputs.classes),
                inputs.shape[0],
                shape=inputs.shape,
                **job.config.model,
            ),
            task,
            device=job.run.device,
            checkpoint=job.checkpoint,
            checkpoint_every_s=job.run.checkpoint_every_s,
            progress=both,
        )
        threads = torch.get_num_threads()
    row = job.naming | {"settings": job.settings} | _outcome(job, task, result)
    row |= _circumstances(job, result, threads)
    if job.run.energy:
        row |= _energy(job, task, result)
    stored = ResultRow.parse(row, job.out.name)
    if job.run.keep_weights:
        write_trained(job.trained, result.module, _describe(job, data, inputs, stored))
    return stored


def _describe(
    job: FoldJob, data: EventSet, inputs: EventInputs, row: Mapping[str, Any]
) -> TrainedFile:
    """Say all that it takes to use a fold's network."""
    names = ("accuracy", "uar", "macro_f1", "chance")
    size = data.sensor_size
    return TrainedFile(
        key=job.key,
        model=job.model,
        options=job.config.model,
        classes=inputs.classes,
        n_steps=job.config.frames.n_steps,
        frames=config.to_dict(job.config.frames),
        shape=inputs.shape,
        sensor_size=(size.width, size.height),
        dataset=job.dataset,
        conversion=_conversion(job.folder),
        fingerprint=inputs.fingerprint,
        scores={name: row[name] for name in names if row.get(name) is not None},
        versions=row["versions"],
    )


def _conversion(folder: Path) -> dict[str, Any]:
    """Read how a set's clips became events; nothing where that cannot be known."""
    try:
        recipe = config.read_toml(folder / "conversion.toml").get("recipe")
    except ConfigError:  # a set that evfer did not convert
        return {}
    if not isinstance(recipe, dict):
        return {}
    return {name: value for name, value in recipe.items() if name != "dataset"}


def _outcome(job: FoldJob, task: FoldTask, result: FoldResult) -> dict[str, Any]:
    inputs, answers = task.inputs, result.predictions
    scores = metrics.score(answers.labels, answers.predictions)
    train_labels = class_indices(inputs.targets)[list(task.train)]
    groups = inputs.groups or inputs.ids
    trained = {groups[i] for i in task.train}
    overlap = float(np.mean([groups[i] in trained for i in task.test]))
    confidences = answers.confidences.round(6)
    predictions = [
        {
            "clip_id": inputs.ids[clip],
            "subject": groups[clip],
            "label": int(label),
            "prediction": int(prediction),
            "confidence": float(confidence),
        }
        for clip, label, prediction, confidence in zip(
            task.test, answers.labels, answers.predictions, confidences, strict=True
        )
    ]
    described = [inputs.describe(clip) for clip in task.test]
    means = {name: float(np.mean([facts[name] for facts in described])) for name in described[0]}
    return {
        "selected_on": result.selected_on,
        "selected_epoch": result.selected_epoch,
        "epochs": job.config.train.epochs,
        "epochs_run": len(result.curve),
        "n_train": result.n_train,
        "n_validation": result.n_validation,
        "n_test": len(task.test),
        "classes": list(inputs.classes),
        # tested without a training clip, and not tested at all
        "untrained": [inputs.classes[i] for i in sorted({*answers.labels} - {*train_labels})],
        "untested": [n for i, n in enumerate(inputs.classes) if i not in {*answers.labels}],
        **dataclasses.asdict(scores),
        # of the confidences as they are stored, so that the row agrees with itself
        "ece": metrics.calibrate(confidences, answers.labels == answers.predictions).error,
        "anytime": list(result.anytime) or None,
        "accuracy_last": result.accuracy_last,
        # what the test itself would have chosen: optimistic, and for comparison alone
        "accuracy_best": result.accuracy_best,
        "best_epoch": result.best_epoch,
        "chance": metrics.chance(len(inputs.classes)),
        "majority": metrics.majority(train_labels, answers.labels),
        **means,
        "confusion": metrics.confusion(
            answers.labels, answers.predictions, len(inputs.classes)
        ).tolist(),
        "predictions": predictions,
        "curve": [_round(record) for record in result.curve],
        "leak": {
            "subject_overlap": overlap,
            "never_tested": job.leak.never_tested,
            "multiply_tested": job.leak.multiply_tested,
            "test_chose": list(name_choices(job.config, job.folder.name, result.selected_on)),
            # people who may be one, by their names: then nothing can be assured
            **({"alike": [list(group) for group in job.leak.alike]} if job.leak.alike else {}),
        },
    }


def _energy(job: FoldJob, task: FoldTask, result: FoldResult) -> dict[str, Any]:
    with _threads(job.run.threads):
        found, reason = bill(result.module, job.model, task, result.device)
    return {"energy": found} | ({"energy_note": reason} if reason else {})


def _round(record: EpochRecord) -> dict[str, Any]:
    fields = dataclasses.asdict(record)
    return {n: round(v, 6) if isinstance(v, float) else v for n, v in fields.items()}


def _circumstances(job: FoldJob, result: FoldResult, threads: int) -> dict[str, Any]:
    machine: dict[str, str | int] = {**provenance.machine(), "threads": threads}
    if result.device.startswith("cuda"):
        machine["gpu"] = torch.cuda.get_device_name()
    return {
        "parameters": result.parameters,
        "train_seconds": round(result.train_seconds, 3),
        "loader_share": _loader_share(result),
        "test_seconds": round(result.test_seconds, 3),
        "device": result.device.partition(":")[0],
        "precision": result.precision,
        "versions": provenance.versions(provenance.LEARNING_PACKAGES),
        "machine": machine,
    }


def _loader_share(result: FoldResult) -> float:
    """Give the share of the training time that was spent waiting for batches."""
    waited = sum(record.loader_seconds for record in result.curve)
    return round(waited / max(result.train_seconds, 1e-9), 6)


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _curves(job: FoldJob) -> Iterator[Callable[[TrainEvent], None]]:
    """Write epochs to TensorBoard; a resumed run goes on where its checkpoint stood."""
    if not job.run.tensorboard:
        yield lambda event: None
        return
    from torch.utils.tensorboard import SummaryWriter  # on use: it takes a second to import

    writer: Any = None

    def write(event: TrainEvent) -> None:
        nonlocal writer
        if event.kind != "epoch":
            return
        if writer is None:
            folder = job.out / "tensorboard" / job.stem
            writer = SummaryWriter(str(folder), purge_step=event.epoch)
        scalars: Mapping[str, float | None] = {
            "loss/train": event.loss,
            "accuracy/train": event.accuracy,
            "accuracy/validation": event.validation_accuracy,
            "lr": event.lr,
        }
        for name, value in scalars.items():
            if value is not None:
                writer.add_scalar(name, value, event.epoch)
        writer.flush()

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
