"""What goes into a fold's training, what is told on the way, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from evfer.inputs import Inputs
from evfer.training.predictions import Predictions
from evfer.training.recipe import BenchConfig

__all__ = ["Device", "EpochRecord", "FoldResult", "FoldTask", "TrainEvent"]

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, eq=False)
class FoldTask:
    """One fold to fit.

    Args:
        inputs: what the network is fed; clips that are drawn with a generator are augmented.
        train: positions of the training clips.
        test: positions of the test clips.
        config: the recipe.
        fold: number of the fold.
        seed: the run's seed.
        key: names what shapes the result; a checkpoint of another key is passed over.
    """

    inputs: Inputs
    train: tuple[int, ...]
    test: tuple[int, ...]
    config: BenchConfig
    fold: int = 0
    seed: int = 0
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainEvent:
    """How far a fold is; passed to the caller's function.

    Args:
        kind: "step" after each batch, "epoch" after each epoch.
        fold: number of the fold.
        epoch: number of the epoch, from 1.
        epochs: how many there are.
        step: number of the batch in the epoch, from 1.
        steps: batches an epoch.
        loss: mean training loss of the epoch so far.
        accuracy: training accuracy of the epoch so far.
        validation_accuracy: accuracy for the clips that choose the epoch; None without such.
        lr: learning rate.
        seconds: time spent on training so far.
        seconds_left: estimate for the rest.
    """

    kind: Literal["step", "epoch"]
    fold: int
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    validation_accuracy: float | None
    lr: float
    seconds: float
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of a fold's curve.

    Args:
        epoch: its number, from 1.
        train_loss: mean loss over its batches.
        train_accuracy: accuracy over its batches.
        validation_accuracy: accuracy for the clips that choose the epoch; None without such.
        lr: learning rate of its last batch.
        seconds: time that it took, validation included.
        loader_seconds: time of those that training waited for batches.
        test_accuracy: test accuracy, where `SelectParams.optimistic` asks for it; it chooses
            nothing.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_accuracy: float | None
    lr: float
    seconds: float
    loader_seconds: float = 0.0
    test_accuracy: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldResult:
    """A fitted and tested fold.

    Args:
        predictions: for the test clips, with the selected epoch's weights, in the order of
            `FoldTask.test`.
        selected_epoch: number of the epoch that was tested, from 1.
        accuracy_last: test accuracy of the last epoch.
        curve: what happened in each epoch.
        n_train: clips that the weights were fitted to.
        n_validation: clips that chose the epoch.
        parameters: number of trainable parameters.
        train_seconds: time spent on training, validation included.
        test_seconds: time spent on the test.
        device: where it ran.
        module: the network with the selected epoch's weights, on the CPU, for evaluation.
        selected_on: what chose the epoch, as `SelectParams.on` spells it.
        anytime: test accuracy after each step, for networks that decide step by step.
        accuracy_best: test accuracy of the epoch that the test itself would choose, an optimistic
            number; None where the test was not asked after each epoch.
        best_epoch: number of that epoch.
        precision: what it was computed in, as `TrainParams.precision` spells it.
    """

    predictions: Predictions
    selected_epoch: int
    accuracy_last: float
    curve: tuple[EpochRecord, ...]
    n_train: int
    n_validation: int
    parameters: int
    train_seconds: float
    test_seconds: float
    device: str
    module: nn.Module
    selected_on: str = "last"
    anytime: tuple[float, ...] = ()
    accuracy_best: float | None = None
    best_epoch: int | None = None
    precision: str = "no"
