"""What training makes small, by name, and mixup, which blends the clips that it is asked of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from evfer import plugins

__all__ = ["Loss", "Mixed", "cross_entropy", "load_loss", "mix"]

Loss = Callable[[Tensor, Tensor, float], Tensor]
"""Takes logits (n, classes), targets and label smoothing; gives the mean over the clips. Targets
are class indices, int64, shape (n,), or shares of classes, float32, shape (n, classes)."""


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Give the cross-entropy; see `Loss`."""
    return functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def load_loss(name: str) -> Loss:
    """Find a loss: "cross_entropy", a plug-in's of the group `evfer.losses`, or module:function.

    Raises:
        UnknownNameError: if no such loss exists.
        ConfigError: if it cannot be imported.
    """
    loss: Loss = plugins.load("evfer.losses", name)
    return loss


@dataclass(frozen=True, eq=False)
class Mixed:
    """A batch of blends.

    Args:
        frames: blended frames, float32, shape (n, t, c, h, w), or the batch's own.
        targets: what is right for each blend's one clip; see `Loss`.
        others: what is right for its other clip.
        share: how much of each blend is the one clip, 0 to 1; 1 where nothing was blended.
    """

    frames: Tensor
    targets: Tensor
    others: Tensor
    share: float

    def loss(self, of: Loss, logits: Tensor, label_smoothing: float) -> Tensor:
        """Give the loss for both clips, each by its share."""
        one = of(logits, self.targets, label_smoothing)
        if self.share == 1:
            return one
        other = of(logits, self.others, label_smoothing)
        return self.share * one + (1 - self.share) * other

    def right(self, logits: Tensor) -> float:
        """Give how many predictions are right, each clip by its share."""
        predictions = logits.argmax(1)
        one = int((predictions == _classes(self.targets)).sum())
        if self.share == 1:
            return one
        other = int((predictions == _classes(self.others)).sum())
        return self.share * one + (1 - self.share) * other


def mix(frames: Tensor, targets: Tensor, alpha: float) -> Mixed:
    """Blend each clip of a batch with another one, drawn by torch's own generator.

    Args:
        frames: shape (n, t, c, h, w).
        targets: see `Loss`; on the device where the logits will be.
        alpha: the share is drawn from Beta(alpha, alpha), one a batch; 0 blends nothing.

    Source:
        Zhang et al., mixup, ICLR 2018, equation 2, on frames; deviates: none.
    """
    if not alpha:
        return Mixed(frames, targets, targets, 1.0)
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    order = torch.randperm(len(targets))
    values = frames.float()
    blended = share * values + (1 - share) * values[order.to(values.device)]
    return Mixed(blended, targets, targets[order.to(targets.device)], share)


def _classes(targets: Tensor) -> Tensor:
    return targets if targets.ndim == 1 else targets.argmax(1)
