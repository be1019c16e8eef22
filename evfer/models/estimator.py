"""Models that are not trained step by step, but fitted to all training clips at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["Estimator"]


@runtime_checkable
class Estimator(Protocol):
    """A module that fits itself.

    Any `torch.nn.Module` with this method is one: the bench then calls it instead of training,
    and everything else, answers, rows and stored weights, is as for a network. What it learns has
    to be in its parameters and buffers.
    """

    def fit_batches(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Learn from all training clips.

        Args:
            batches: frames (n, t, c, h, w), float32, and class indices (n,); each clip comes
                `train.epochs` times, augmented as the recipe says. They can be read once.
        """
