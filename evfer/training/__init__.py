"""Training: fit one fold, choose an epoch, test it once."""

from __future__ import annotations

from evfer.training.answers import Answers, answer
from evfer.training.fitting import fit, learning_rate, require_device
from evfer.training.fold import EpochRecord, FoldResult, FoldTask, TrainEvent

__all__ = [
    "Answers",
    "EpochRecord",
    "FoldResult",
    "FoldTask",
    "TrainEvent",
    "answer",
    "fit",
    "learning_rate",
    "require_device",
]
