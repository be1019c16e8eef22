"""Training: fit one fold, choose an epoch, test it once."""

from __future__ import annotations

from evfer.training.fitting import fit, learning_rate, require_device
from evfer.training.fold import EpochRecord, FoldResult, FoldTask, TrainEvent
from evfer.training.predictions import Predictions, predict

__all__ = [
    "EpochRecord",
    "FoldResult",
    "FoldTask",
    "Predictions",
    "TrainEvent",
    "fit",
    "learning_rate",
    "predict",
    "require_device",
]
