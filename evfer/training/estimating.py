"""Fold by fold for models that fit themselves; see `evfer.models.Estimator`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import cast

from torch import Tensor, nn

from evfer.inputs import Loader, class_indices
from evfer.models import Estimator, count_parameters
from evfer.training.fold import EpochRecord, FoldResult, FoldTask, TrainEvent
from evfer.training.predictions import predict

__all__ = ["fit_estimator"]


def fit_estimator(
    module: nn.Module,
    task: FoldTask,
    *,
    loader_workers: int = 1,
    progress: Callable[[TrainEvent], None] | None = None,
) -> FoldResult:
    """Let a model fit itself to a fold's training clips, and test it.

    There are no epochs to choose from, so all training people are fitted to, whatever
    `select.on` says, and nothing is chosen by anyone.

    Args:
        module: an `evfer.models.Estimator`.
        task: the fold.
        loader_workers: threads that make batches ahead.
        progress: called once, when the model is fitted.

    Returns:
        The result, of one "epoch".

    Raises:
        ConfigError: if a prediction is not finite.
    """
    train = task.config.train

    def load(clips: tuple[int, ...], training: bool) -> Loader:
        return Loader(
            task.inputs,
            clips,
            train.batch_size,
            training=training,
            seed=task.seed,
            fold=task.fold,
            workers=loader_workers,
        )

    def read() -> Generator[tuple[Tensor, Tensor]]:
        loader = load(task.train, training=True)
        for epoch in range(train.epochs):
            with contextlib.closing(loader.epoch(epoch)) as batches:
                for batch in batches:
                    yield batch.frames.float(), class_indices(batch.targets)

    begun = time.monotonic()
    module.train()
    with contextlib.closing(read()) as batches:
        cast(Estimator, module).fit_batches(batches)
    seconds = time.monotonic() - begun
    train_predictions = predict(module, load(task.train, training=False))
    if progress:
        progress(
            TrainEvent(
                kind="epoch",
                fold=task.fold,
                epoch=train.epochs,
                epochs=train.epochs,
                step=1,
                steps=1,
                loss=train_predictions.loss,
                accuracy=train_predictions.accuracy,
                validation_accuracy=None,
                lr=0.0,
                seconds=seconds,
                seconds_left=0.0,
            )
        )
    record = EpochRecord(
        epoch=1,
        train_loss=train_predictions.loss,
        train_accuracy=train_predictions.accuracy,
        validation_accuracy=None,
        lr=0.0,
        seconds=seconds,
    )
    begun = time.monotonic()
    predictions = predict(module, load(task.test, training=False))
    return FoldResult(
        predictions=predictions,
        selected_epoch=1,  # it is fitted once, on clips of so many epochs
        accuracy_last=predictions.accuracy,
        curve=(record,),
        n_train=len(task.train),
        n_validation=0,
        parameters=count_parameters(module),
        train_seconds=seconds,
        test_seconds=time.monotonic() - begun,
        device="cpu",
        module=module,
        selected_on="last",
    )
