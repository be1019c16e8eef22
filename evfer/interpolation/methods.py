"""The ways to make pictures between frames, all seen alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evfer.interpolation.params import InterpolationParams

__all__ = ["Frame", "Interpolator", "Pairs", "Places", "open_interpolator", "require_method"]

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


def open_interpolator(params: InterpolationParams, n_frames: int) -> Interpolator:
    """Make ready the method that the settings name.

    Args:
        params: settings of any method but "none", which makes nothing.
        n_frames: frames of the clip.

    Raises:
        MissingExtra: if the method needs weights and none are given.
        ConfigError: if the given weights or device are not there.
        DataError: if the file holds other things than the weights.
    """
    # the libraries take long to load, and reading a recipe needs the settings only
    if params.method == "superslomo":
        from evfer.interpolation.superslomo_torch import SuperSloMo

        return SuperSloMo(params, n_frames)
    from evfer.interpolation.motion import FlowInterpolator

    return FlowInterpolator(params)


def require_method(params: InterpolationParams) -> None:
    """Make sure, before long work, that the method that the settings name can be used.

    Raises:
        MissingExtra: if the method needs weights and none are given.
        ConfigError: if the given weights or device are not there.
        DataError: if the file holds other things than the weights.
    """
    if params.method == "superslomo":  # all others have what they need
        open_interpolator(params, 2)
