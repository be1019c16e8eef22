"""What a network says about clips."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from evfer.inputs import Loader, class_indices
from evfer.metrics import score
from evfer.training.faults import not_finite

__all__ = ["Predictions", "predict", "predict_steps"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says about some clips.

    Args:
        labels: true class indices, int64, shape (n,); the largest share where targets are shares.
        predictions: predicted class indices, int64, shape (n,).
        confidences: probability that the network gives its prediction, float64, shape (n,).
        loss: mean cross-entropy.
    """

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float64]
    loss: float

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return score(self.labels, self.predictions).accuracy


def predict(module: nn.Module, loader: Loader, device: torch.device | str = "cpu") -> Predictions:
    """Ask a network about clips.

    Args:
        module: the network; it is left in evaluation mode.
        loader: the clips.
        device: where the network is.

    Raises:
        ConfigError: if a prediction is not finite.
    """
    module.eval()
    batches_of_logs = []
    with torch.inference_mode(), contextlib.closing(loader.epoch(0)) as batches:
        for batch in batches:
            logits = module(batch.frames.to(device).float())
            batches_of_logs.append(logits.float().log_softmax(1).cpu())
    logs = torch.cat(batches_of_logs)
    if not bool(torch.isfinite(logs).all()):
        raise not_finite("the network's predictions are no longer finite")
    clips = list(loader.clips)
    targets = torch.from_numpy(loader.inputs.targets[clips])
    confidences, predictions = logs.double().exp().max(1)
    return Predictions(
        labels=class_indices(targets).numpy(),
        predictions=predictions.numpy(),
        confidences=confidences.numpy(),
        loss=_cross_entropy(logs, targets),
    )


def _cross_entropy(logs: Tensor, targets: Tensor) -> float:
    # never normalised a second time: the last bits decide between epochs of one accuracy
    if targets.ndim == 1:
        return float(functional.nll_loss(logs, targets))
    return float(-(targets * logs).sum(1).mean())


def predict_steps(
    module: nn.Module, loader: Loader, device: torch.device | str = "cpu"
) -> tuple[float, ...]:
    """Ask a network about clips after each of their steps.

    Args:
        module: the network; it is left in evaluation mode.
        loader: the clips.
        device: where the network is.

    Returns:
        Accuracy had each clip ended after its step 1, 2, ..., t; empty for a network that has no
        `forward_steps` (n, t, c, h, w) -> (t, n, classes).
    """
    decide = getattr(module, "forward_steps", None)
    if decide is None:
        return ()
    module.eval()
    labels = torch.from_numpy(class_indices(loader.inputs.targets))
    right = []
    with torch.inference_mode(), contextlib.closing(loader.epoch(0)) as batches:
        for batch in batches:
            predictions = decide(batch.frames.to(device).float()).argmax(2).cpu()
            right.append(predictions == labels[list(batch.clips)])
    return tuple(torch.cat(right, 1).double().mean(1).tolist())
