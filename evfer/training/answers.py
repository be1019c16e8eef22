"""What a network says about clips."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from evfer.loading import Loader
from evfer.metrics import score
from evfer.training.faults import not_finite

__all__ = ["Answers", "answer", "answer_steps"]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says about some clips.

    Args:
        labels: true class indices, int64, shape (n,).
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


def answer(module: nn.Module, loader: Loader, device: torch.device | str = "cpu") -> Answers:
    """Ask a network about clips.

    Args:
        module: the network; it is left in evaluation mode.
        loader: the clips.
        device: where the network is.

    Raises:
        ConfigError: if an answer is not finite.
    """
    module.eval()
    labels, probabilities = [], []
    with torch.inference_mode(), contextlib.closing(loader.epoch(0)) as batches:
        for batch in batches:
            logits = module(batch.frames.to(device).float())
            labels.append(batch.labels)
            probabilities.append(logits.float().log_softmax(1).cpu())
    logs, true = torch.cat(probabilities), torch.cat(labels)
    if not bool(torch.isfinite(logs).all()):
        raise not_finite("the network's answers are no longer finite")
    confidences, predictions = logs.double().exp().max(1)
    return Answers(
        true.numpy(),
        predictions.numpy(),
        confidences.numpy(),
        float(functional.nll_loss(logs, true)),
    )


def answer_steps(
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
    right = []
    with torch.inference_mode(), contextlib.closing(loader.epoch(0)) as batches:
        for batch in batches:
            predictions = decide(batch.frames.to(device).float()).argmax(2).cpu()
            right.append(predictions == batch.labels)
    return tuple(torch.cat(right, 1).double().mean(1).tolist())
