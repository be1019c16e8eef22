"""Fold by fold for models that fit themselves; see `evfer.models.Estimator`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import cast

from torch import Tensor, nn

from evfer.loading import Loader
from evfer.models import Estimator, count_parameters
from evfer.training.answers import answer
from evfer.training.fold import EpochRecord, FoldResult, FoldTask, TrainEvent

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
        ConfigError: if an answer is not finite.
    """
    train = task.config.train

    def load(clips: tuple[int, ...], training: bool) -> Loader:
        return Loader(
            task.data,
            clips,
            task.config.frames,
            train.batch_size,
            training,
            task.config.augmentation(),
            task.seed,
            task.fold,
            loader_workers,
        )

    def read() -> Generator[tuple[Tensor, Tensor]]:
        loader = load(task.train, training=True)
        for epoch in range(train.epochs):
            with contextlib.closing(loader.epoch(epoch)) as batches:
                for batch in batches:
                    yield batch.frames.float(), batch.labels

    begun = time.monotonic()
    module.train()
    with contextlib.closing(read()) as batches:
        cast(Estimator, module).fit_batches(batches)
    seconds = time.monotonic() - begun
    own = answer(module, load(task.train, training=False))
    if progress:
        place = (task.fold, train.epochs, train.epochs, 1, 1, own.loss, own.accuracy)
        progress(TrainEvent("epoch", *place, None, 0.0, seconds, 0.0))
    begun = time.monotonic()
    answers = answer(module, load(task.test, training=False))
    return FoldResult(
        answers=answers,
        selected_epoch=1,  # it is fitted once, on clips of so many epochs
        accuracy_last=answers.accuracy,
        curve=(EpochRecord(1, own.loss, own.accuracy, None, 0.0, seconds),),
        n_train=len(task.train),
        n_validation=0,
        parameters=count_parameters(module),
        train_seconds=seconds,
        test_seconds=time.monotonic() - begun,
        device="cpu",
        weights={name: value.detach().clone() for name, value in module.state_dict().items()},
        selected_on="last",
    )
