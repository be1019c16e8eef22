"""Fit one fold, choose an epoch, test it once.

Nothing here splits or stores results: clips to train and to test come in, a `FoldResult` goes
out. Every epoch depends on the weights before it and on (seed, fold, epoch) alone, so a run that
was killed and resumed from its checkpoint ends in the same numbers as one that was not, on the
same machine with the same number of threads.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from evfer.errors import ConfigError
from evfer.inputs import Batch, Loader, class_indices
from evfer.models import Estimator
from evfer.training.checkpoint import load_checkpoint, save_checkpoint
from evfer.training.estimating import fit_estimator
from evfer.training.faults import explain_faults, not_finite
from evfer.training.fold import Device, EpochRecord, FoldResult, FoldTask, TrainEvent
from evfer.training.losses import load_loss, mix
from evfer.training.predictions import Predictions, predict, predict_steps
from evfer.training.recipe import TrainParams
from evfer.training.validation import validation_split
from evfer.transforms import sample_rng

__all__ = ["fit", "learning_rate", "require_device"]


def fit(
    build: Callable[[], nn.Module],
    task: FoldTask,
    *,
    device: Device = "auto",
    checkpoint: Path | None = None,
    checkpoint_every_s: float = 30.0,
    loader_workers: int = 1,
    progress: Callable[[TrainEvent], None] | None = None,
) -> FoldResult:
    """Train a network on a fold and test it.

    Args:
        build: makes the network, (n, t, c, h, w) frames to (n, classes) logits. One that is
            an `evfer.models.Estimator` fits itself, and keeps no checkpoint.
        task: the fold.
        device: where to train; "auto" takes a GPU if there is one.
        checkpoint: file to resume from and to write the state to; None keeps none.
        checkpoint_every_s: least time between two checkpoints; 0 writes one after each epoch.
        loader_workers: threads that make batches ahead.
        progress: called after each batch and each epoch; what it raises ends the training.

    Returns:
        The result. The test clips are read after training, unless the recipe says that they
        choose the epoch.

    Raises:
        ConfigError: if the loss, a gradient or a prediction is not finite, memory runs out, or a
            setting cannot be used here.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_reproducible())
        stack.enter_context(explain_faults(task.config.train.batch_size))
        _seed(task, "weights")
        module = build()
        if isinstance(module, Estimator):
            return fit_estimator(module, task, loader_workers=loader_workers, progress=progress)
        run = stack.enter_context(_Run(module, task, device, loader_workers))
        run.restore(checkpoint)
        saved = time.monotonic()
        for epoch in range(len(run.curve), task.config.train.epochs):
            if run.out_of_patience:
                break
            run.train_epoch(epoch, progress)
            run.validate(epoch)
            run.watch_test(epoch)
            run.record(epoch)
            if checkpoint is not None and time.monotonic() - saved >= checkpoint_every_s:
                run.save(checkpoint)
                saved = time.monotonic()
            if progress:
                progress(run.event("epoch", epoch))
        return run.test()


class _Run:
    """The state of one fold's training."""

    def __init__(
        self,
        module: nn.Module,
        task: FoldTask,
        device: Device,
        loader_workers: int,
    ) -> None:
        config = task.config
        self.task, self.params = task, config.train
        self.loss_function = load_loss(self.params.loss, self.params.label_smoothing)
        self.workers = loader_workers
        self.accelerator = _accelerator(device, self.params.precision)
        self.inputs = inputs = task.inputs.on(self.accelerator.device)
        train, self.chooser = task.train, None
        if config.select.on == "inner_validation":
            groups, labels = inputs.groups or inputs.ids, class_indices(inputs.targets)
            kept, held = validation_split(
                [groups[i] for i in train],
                [int(labels[i]) for i in train],
                config.select.share,
                seed=task.seed,
                fold=task.fold,
            )
            self.chooser = self._loader(tuple(train[i] for i in held))
            train = tuple(train[i] for i in kept)
        elif config.select.on == "best_test_epoch":
            self.chooser = self._loader(task.test)
        self.loader = self._loader(train, training=True)
        if self.params.channels_last:
            module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.params.compile:
            module.compile()  # in place, so that weights keep their names
        self.parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
        optimizer = _optimizer(module, self.params)
        self.module, self.optimizer = self.accelerator.prepare(module, optimizer)
        self.curve: list[EpochRecord] = []
        self.seconds = 0.0
        self.clock = _Clock(self.params.epochs * len(self.loader))
        self.best: dict[str, Any] | None = None
        self.step = 0
        self.lr = self.loss = self.accuracy = self.waited = 0.0
        self.validation: float | None = None
        self.test_accuracy: float | None = None

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        # drops the prepared objects, which the accelerator would otherwise keep alive
        self.accelerator.free_memory()

    def _loader(self, clips: tuple[int, ...], training: bool = False) -> Loader:
        return Loader(
            self.inputs,
            clips,
            self.params.batch_size,
            training=training,
            seed=self.task.seed,
            fold=self.task.fold,
            workers=self.workers,
            keep_last=self.params.last_batch == "keep",
        )

    def train_epoch(
        self,
        epoch: int,
        progress: Callable[[TrainEvent], None] | None,
    ) -> None:
        """Pass over the training clips once."""
        _seed(self.task, "dropout", epoch)  # and for mixup
        self.module.train()
        self.step, self.waited = 0, 0.0
        self.validation = self.test_accuracy = None
        loss_sum, right, seen = 0.0, 0.0, 0
        with contextlib.closing(self.loader.epoch(epoch)) as batches:
            for step, batch in enumerate(self._timed(batches)):
                self.lr = learning_rate(self.params, epoch, step, len(self.loader))
                for group in self.optimizer.param_groups:
                    group["lr"] = self.lr
                targets = batch.targets.to(self.accelerator.device)
                mixed = mix(batch.frames, targets, self.params.mixup)
                frames = mixed.frames.to(self.accelerator.device).float()
                logits: Tensor = self.module(frames).float()
                loss = mixed.loss(self.loss_function, logits)
                self.accelerator.backward(loss)
                norm = nn.utils.clip_grad_norm_(
                    self.module.parameters(), self.params.clip_norm or math.inf
                )
                values = torch.stack([loss.detach(), norm.to(loss.device)]).tolist()
                self._check_finite(epoch, step, *values)
                self.optimizer.step()
                self.optimizer.zero_grad()
                loss_sum += values[0] * len(targets)
                right += mixed.right(logits)
                seen += len(targets)
                self.loss, self.accuracy, self.step = loss_sum / seen, right / seen, step + 1
                if progress:
                    progress(self.event("step", epoch))

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Hand batches on, and add up how long each was waited for."""
        while True:
            begun = time.monotonic()
            batch = next(batches, None)
            self.waited += time.monotonic() - begun
            if batch is None:
                return
            yield batch

    def _check_finite(self, epoch: int, step: int, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        what = f"the gradient's length is {norm}" if math.isfinite(loss) else f"the loss is {loss}"
        raise not_finite(
            f"{what} in fold {self.task.fold}, epoch {epoch + 1}, batch {step + 1}, "
            f"at a learning rate of {self.lr:.3g}"
        )

    def validate(self, epoch: int) -> None:
        """Ask the clips that choose the epoch, and keep the weights if they are the best yet."""
        if self.chooser is None:
            return
        predictions = self._predict(self.chooser)
        self.validation = predictions.accuracy
        # people held out are few, so equal accuracies are common and the loss decides; clips of
        # the test choose as the published code does, the first of equals
        gain = -predictions.loss if self.task.config.select.on == "inner_validation" else 0.0
        if self.best is None or (predictions.accuracy, gain) > tuple(self.best["value"]):
            self.best = {
                "epoch": epoch + 1,
                "value": [predictions.accuracy, gain],
                "weights": self._weights(),
            }

    @property
    def out_of_patience(self) -> bool:
        """Whether the people held out have seen no better epoch for long enough."""
        patience = self.params.patience
        return (
            patience is not None
            and self.best is not None
            and len(self.curve) - int(self.best["epoch"]) >= patience
        )

    def watch_test(self, epoch: int) -> None:
        """Ask the test clips for the record alone; nothing is chosen by their answers."""
        if self.task.config.select.on == "best_test_epoch":
            self.test_accuracy = self.validation
        elif self.task.config.select.optimistic:
            self.test_accuracy = self._predict(self._loader(self.task.test)).accuracy

    def _predict(self, loader: Loader) -> Predictions:
        return predict(self.module, loader, self.accelerator.device)

    def _predict_steps(self, loader: Loader) -> tuple[float, ...]:
        module = self.accelerator.unwrap_model(self.module)
        # the accelerator's own precision is that of `forward` alone
        with self.accelerator.autocast():
            return predict_steps(module, loader, self.accelerator.device)

    def _weights(self) -> dict[str, Tensor]:
        state = self.accelerator.unwrap_model(self.module).state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}

    def record(self, epoch: int) -> None:
        """Add the epoch to the curve."""
        seconds = self.clock.seconds()
        spent = seconds - self.seconds
        self.curve.append(
            EpochRecord(
                epoch=epoch + 1,
                train_loss=self.loss,
                train_accuracy=self.accuracy,
                validation_accuracy=self.validation,
                lr=self.lr,
                seconds=spent,
                loader_seconds=self.waited,
                test_accuracy=self.test_accuracy,
            )
        )
        self.seconds = seconds

    def event(self, kind: Literal["step", "epoch"], epoch: int) -> TrainEvent:
        """Say how far training is."""
        steps = len(self.loader)
        return TrainEvent(
            kind=kind,
            fold=self.task.fold,
            epoch=epoch + 1,
            epochs=self.params.epochs,
            step=self.step,
            steps=steps,
            loss=self.loss,
            accuracy=self.accuracy,
            validation_accuracy=self.validation,
            lr=self.lr,
            seconds=self.clock.seconds(),
            seconds_left=self.clock.left(epoch * steps + self.step),
        )

    def save(self, path: Path) -> None:
        """Write the state after an epoch, whole or not at all."""
        state = {
            "key": self.task.key,
            "weights": self.accelerator.unwrap_model(self.module).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "seconds": self.seconds,
            "curve": [vars(record) for record in self.curve],
        }
        save_checkpoint(path, state)

    def restore(self, path: Path | None) -> None:
        """Take up the state of a checkpoint, if there is one of this task."""
        state = load_checkpoint(path, self.task.key) if path else None
        if state is None or not self._fits(state):
            return
        self.accelerator.unwrap_model(self.module).load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best, self.seconds = state["best"], state["seconds"]
        self.curve = [EpochRecord(**values) for values in state["curve"]]
        steps = len(self.loader)
        self.clock = _Clock(self.params.epochs * steps, len(self.curve) * steps, self.seconds)

    def _fits(self, state: dict[str, Any]) -> bool:
        """Say whether a checkpoint is of this network; one of another version need not be."""
        own = self.accelerator.unwrap_model(self.module).state_dict()
        try:
            weights, groups = state["weights"], state["optimizer"]["param_groups"]
            same = {name: value.shape for name, value in weights.items()} == {
                name: value.shape for name, value in own.items()
            }
            sizes = [len(group["params"]) for group in groups]
            records = [EpochRecord(**values) for values in state["curve"]]
            complete = {"best", "seconds"} <= set(state)
        except (AttributeError, KeyError, TypeError):
            return False
        own_sizes = [len(group["params"]) for group in self.optimizer.param_groups]
        return same and complete and sizes == own_sizes and len(records) <= self.params.epochs

    def test(self) -> FoldResult:
        """Test the selected epoch."""
        begun = time.monotonic()
        loader = self._loader(self.task.test)
        predictions = self._predict(loader)
        accuracy_last, selected = predictions.accuracy, len(self.curve)
        if self.best is not None and self.best["epoch"] != selected:
            selected = self.best["epoch"]
            self.accelerator.unwrap_model(self.module).load_state_dict(self.best["weights"])
            predictions = self._predict(loader)
        seconds = time.monotonic() - begun
        tests = [r.test_accuracy for r in self.curve if r.test_accuracy is not None]
        best = max(tests, default=None)
        anytime = self._predict_steps(loader)
        # as it was built: without the casts of mixed precision and without compiled calls
        module = self.accelerator.unwrap_model(self.module, keep_fp32_wrapper=False).cpu().eval()
        module._compiled_call_impl = None
        return FoldResult(
            predictions=predictions,
            selected_epoch=selected,
            accuracy_last=accuracy_last,
            curve=tuple(self.curve),
            n_train=len(self.loader.clips),
            n_validation=len(self.chooser.clips) if self.chooser else 0,
            parameters=self.parameters,
            train_seconds=self.seconds,
            test_seconds=seconds,
            device=str(self.accelerator.device),
            module=module,
            selected_on=self.task.config.select.on,
            anytime=anytime,
            accuracy_best=best,
            best_epoch=None if best is None else 1 + tests.index(best),
            precision=self.params.precision,
        )


class _Clock:
    """Time spent and time left, over a resumption too.

    Args:
        total: batches of the whole training.
        done: batches that were done before.
        seconds: time that they took.
    """

    def __init__(self, total: int, done: int = 0, seconds: float = 0.0) -> None:
        self._total, self._done, self._before = total, done, seconds
        self._begun = time.monotonic()

    def seconds(self) -> float:
        """Give the time spent."""
        return self._before + time.monotonic() - self._begun

    def left(self, done: int) -> float:
        """Estimate the time left after some batches, from the pace since the resumption."""
        pace = (time.monotonic() - self._begun) / max(done - self._done, 1)
        return pace * (self._total - done)


def learning_rate(params: TrainParams, epoch: int, step: int, steps: int) -> float:
    """Give the learning rate of a batch.

    Args:
        params: the schedule.
        epoch: number of the epoch, from 0.
        step: number of the batch in the epoch, from 0.
        steps: batches an epoch.

    Source:
        Loshchilov and Hutter, SGDR, ICLR 2017, equation 5 (one cosine, no restart); deviates:
        "cosine_steps" counts batches and warms up linearly.
    """
    if params.schedule == "constant":
        return params.lr
    if params.schedule == "cosine":
        return params.lr * (1 + math.cos(math.pi * epoch / params.epochs)) / 2
    done, total = epoch * steps + step, params.epochs * steps
    rise = round(params.warmup * total)
    if done < rise:
        return params.lr * (done + 1) / rise
    return params.lr * (1 + math.cos(math.pi * (done - rise) / (total - rise))) / 2


def _optimizer(module: nn.Module, params: TrainParams) -> torch.optim.Optimizer:
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [{"params": parameters, "weight_decay": params.weight_decay}]
    if not params.decay_norm:
        # normalisation and biases are the parameters with one axis
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": params.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
    if params.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=params.lr)
    return torch.optim.SGD(groups, lr=params.lr, momentum=params.momentum)


def _seed(task: FoldTask, purpose: str, epoch: int = 0) -> None:
    # initial weights and dropout can only be drawn from torch's own generator; `_reproducible`
    # gives it back as it was
    rng = sample_rng(task.seed, task.fold, f"*{purpose}*", epoch)
    torch.manual_seed(int(rng.integers(2**63)))


@contextlib.contextmanager
def _reproducible() -> Iterator[None]:
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with (
        torch.random.fork_rng(devices=devices),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        yield


def require_device(device: str) -> None:
    """Make sure, before long work, that this machine can train where it is told to.

    Raises:
        ConfigError: for a GPU that is not there, or a word that names no device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            'device "cuda"',
            expected="a CUDA device that this PyTorch can use",
            hint="evfer doctor says what is missing; --device auto takes what there is",
        )
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f'device "{device}"', expected="auto, cpu or cuda")


def _accelerator(device: Device, precision: str) -> Accelerator:
    require_device(device)
    settings = {"cpu": device == "cpu", "mixed_precision": precision}
    try:
        return Accelerator(**settings)
    except ValueError:
        # its settings are one for the whole process; another recipe needs a fresh start
        AcceleratorState._reset_state(reset_partial_state=True)
        return Accelerator(**settings)
