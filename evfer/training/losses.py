"""What training makes small, by name, and mixup, which blends the clips of a batch in pairs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from evfer import plugins
from evfer.errors import ConfigError
from evfer.inputs import class_indices

__all__ = ["Loss", "Mixed", "load_loss", "mix"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes logits, float32, shape (n, classes), and targets; gives the mean over the clips, a tensor
of one number. Targets are class indices, int64, shape (n,), or shares of classes, float32, shape
(n, classes)."""


def load_loss(name: str, label_smoothing: float) -> Loss:
    """Find a loss: "cross_entropy", a plug-in's of the group `evfer.losses`, or module:function.

    Args:
        name: the loss; what it names is called as `loss(logits, targets)`, and told
            `label_smoothing` by name if it asks for it.
        label_smoothing: see `evfer.training.recipe.TrainParams`.

    Returns:
        The loss, which raises ConfigError where the result is no single number.

    Raises:
        UnknownNameError: if no such loss exists.
        ConfigError: if it cannot be imported, cannot be called so, or knows no label smoothing
            and some is wanted.
    """
    function = plugins.load("evfer.losses", name)
    expected = "a function (logits, targets) to the batch's mean, a tensor of one number"
    if not callable(function) or isinstance(function, type):
        raise ConfigError(
            f'the loss "{name}" is of type {type(function).__name__}', expected=expected
        )
    options: dict[str, Any] = {"label_smoothing": label_smoothing}
    if not _takes(function, options):
        if label_smoothing:
            raise ConfigError(
                f'train.label_smoothing = {label_smoothing} with the loss "{name}"',
                expected="a loss that takes label_smoothing",
                hint="Set train.label_smoothing=0, or choose another train.loss",
            )
        options = {}
        if not _takes(function, options):
            raise ConfigError(
                f'the loss "{name}" cannot be called with logits and targets alone',
                expected=expected,
            )

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        value = function(logits, targets, **options)
        if not isinstance(value, Tensor):
            raise ConfigError(
                f'the loss "{name}" gives an object of type {type(value).__name__}',
                expected=expected,
            )
        if value.ndim:
            raise ConfigError(
                f'the loss "{name}" gives a tensor of shape {tuple(value.shape)}',
                expected=expected,
            )
        return value

    return loss


def _takes(function: Callable[..., Any], options: dict[str, Any]) -> bool:
    # a module's own call takes anything, and hands it to forward
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        inspect.signature(called).bind(None, None, **options)
    except TypeError:
        return False
    except ValueError:  # compiled functions need not have a signature: only the plain call is sure
        return not options
    return True


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

    def loss(self, of: Loss, logits: Tensor) -> Tensor:
        """Give the loss for both clips, each by its share."""
        one = of(logits, self.targets)
        if self.share == 1:
            return one
        return self.share * one + (1 - self.share) * of(logits, self.others)

    def right(self, logits: Tensor) -> float:
        """Give how many predictions are right, each clip by its share."""
        predictions = logits.argmax(1)
        one = int((predictions == class_indices(self.targets)).sum())
        if self.share == 1:
            return one
        other = int((predictions == class_indices(self.others)).sum())
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
