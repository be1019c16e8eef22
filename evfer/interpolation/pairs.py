"""What every way to make pictures between frames takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "Interpolator", "Pairs", "Places"]

Frame = NDArray[np.uint8]
Places = NDArray[np.float64]


class Pairs(Protocol):
    """Successive frames, and what is known of the motion from each to the next."""

    def choose_factors(self) -> list[int]:
        """Give the steps for each pair that its motion asks for."""
        ...

    def make(self, places: Sequence[Places]) -> list[Frame]:
        """Make the pictures between.

        Args:
            places: for each pair where its pictures lie, shape (u,), between 0 at the pair's
                first frame and 1 at its second.

        Returns:
            For each pair its pictures, shape (u, h, w), uint8.
        """
        ...


class Interpolator(Protocol):
    """A way to make pictures between frames.

    `n_pairs` is the number of pairs that it looks at together; with `shares_factor` these all
    have one automatic factor.
    """

    n_pairs: int
    shares_factor: bool

    def study(self, frames: Sequence[Frame]) -> Pairs:
        """Look at successive frames, at most one more than `n_pairs`; each shape (h, w)."""
        ...
