"""What a network is fed, and what a bench may know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Inputs", "class_indices"]

Targets = TypeVar("Targets", NDArray[Any], torch.Tensor)


@runtime_checkable
class Inputs(Protocol):
    """Samples that a network learns from and is tested on, whatever they were made from."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def targets(self) -> NDArray[Any]:
        """What is right for each sample.

        Class indices, int64, shape (n,), or shares of the classes that sum to 1, float32, shape
        (n, classes).
        """

    @property
    def ids(self) -> tuple[str, ...]:
        """A name for each sample that no other has (n)."""

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The person shown in each sample (n); None where nobody is named."""

    @property
    def fingerprint(self) -> str:
        """Digest of what the samples are made from."""

    @property
    def splits(self) -> Mapping[str, tuple[str, ...]] | None:
        """A set's own "train", "validation" and "test", as names of samples; None without."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of a sample: (t, c, h, w)."""

    def make(self, sample: int, rng: np.random.Generator | None) -> NDArray[Any] | torch.Tensor:
        """Make one sample, uint8 or float32, shape `shape`.

        Args:
            sample: its position.
            rng: draws its augmentation; None gives it as it is. The same draws give the same
                sample.
        """

    def on(self, device: torch.device) -> Inputs:
        """Give inputs whose samples are made on a device, where that is possible."""

    def describe(self, sample: int) -> Mapping[str, float]:
        """Give numbers of a sample, such as the share of its events that are used.

        A result row holds their means over the test samples.
        """


def class_indices(targets: Targets) -> Targets:
    """Give the class of each sample, shape (n,): of shares (n, classes) that of the largest."""
    return targets if targets.ndim == 1 else targets.argmax(1)
