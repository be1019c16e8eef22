"""The step form of a spiking network: one frame at a time, for streams that have no end.

    logits, state = network.step(frame, None)       the first frame (n, c, h, w)
    logits, state = network.step(frame, state)      each further one

The logits after k steps are those of a sequence that ends there. The network keeps nothing, so
several streams may take turns, each with its own state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from evfer.errors import ConfigError

__all__ = ["MATRIX_ROWS", "SpikingNetwork", "State", "apply_to_rows", "require_steps"]

State = Mapping[str, Tensor]
"""Potentials and spikes under way, by layer; `step` gives a new one and leaves the old."""

MATRIX_ROWS = 4
"""Matrix products of whole multiples of so many rows round each row as those of many rows do."""


@runtime_checkable
class SpikingNetwork(Protocol):
    """A network that has a step form."""

    def step(self, frame: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Take one frame a stream.

        Args:
            frame: shape (n, c, h, w).
            state: what the step before gave; None before the first.

        Returns:
            Logits of the sequences so far, shape (n, n_classes), and the state after the step.
        """
        ...


def require_steps(module: nn.Module) -> SpikingNetwork:
    """Give the module as one that goes step by step.

    Raises:
        ConfigError: if it has no step form.
    """
    if not callable(getattr(module, "step", None)):
        raise ConfigError(
            f"the network {type(module).__name__} has no step form",
            expected="a network with step(frame, state) -> (logits, state)",
            hint="Use spiking-fer, or feed this one whole sequences",
        )
    return cast("SpikingNetwork", module)


def apply_to_rows(layer: Callable[[Tensor], Tensor], x: Tensor, n_rows: int) -> Tensor:
    """Apply a layer to a batch that zeros fill up to `n_rows`, and give the batch's own rows.

    Libraries sum the products of very small batches in another order. With rows enough each row
    is rounded as it is in a large batch.
    """
    n = len(x)
    if n_rows > n:
        x = torch.cat([x, x.new_zeros(n_rows - n, *x.shape[1:])])
    return layer(x)[:n]
