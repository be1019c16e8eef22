"""Mixup: a network learns from blends of two clips, and answers for both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Mixed", "mix"]


@dataclass(frozen=True, eq=False)
class Mixed:
    """A batch of blends.

    Args:
        frames: blended frames, float32, shape (n, t, c, h, w), or the batch's own.
        labels: class indices of each blend's one clip, int64, shape (n,).
        others: those of its other clip.
        share: how much of each blend is the one clip, 0 to 1; 1 where nothing was blended.
    """

    frames: Tensor
    labels: Tensor
    others: Tensor
    share: float

    def loss(self, logits: Tensor, label_smoothing: float) -> Tensor:
        """Give the cross-entropy with both labels, each by its share."""
        one = functional.cross_entropy(logits, self.labels, label_smoothing=label_smoothing)
        if self.share == 1:
            return one
        other = functional.cross_entropy(logits, self.others, label_smoothing=label_smoothing)
        return self.share * one + (1 - self.share) * other

    def right(self, logits: Tensor) -> float:
        """Give how many answers are right, each label by its share."""
        told = logits.argmax(1)
        one = int((told == self.labels).sum())
        if self.share == 1:
            return one
        return self.share * one + (1 - self.share) * int((told == self.others).sum())


def mix(frames: Tensor, labels: Tensor, alpha: float) -> Mixed:
    """Blend each clip of a batch with another one, drawn by torch's own generator.

    Args:
        frames: shape (n, t, c, h, w).
        labels: class indices, shape (n,), on the device where the logits will be.
        alpha: the share is drawn from Beta(alpha, alpha), one a batch; 0 blends nothing.

    Source:
        Zhang et al., mixup, ICLR 2018, equation 2, on frames; deviates: none.
    """
    if not alpha:
        return Mixed(frames, labels, labels, 1.0)
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    order = torch.randperm(len(labels))
    values = frames.float()
    blended = share * values + (1 - share) * values[order.to(values.device)]
    return Mixed(blended, labels, labels[order.to(labels.device)], share)
