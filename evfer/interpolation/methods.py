"""The ways to make pictures between frames, all seen alike."""

from __future__ import annotations

from evfer.interpolation.pairs import Interpolator
from evfer.interpolation.params import InterpolationParams

__all__ = ["open_interpolator", "require_method"]


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
