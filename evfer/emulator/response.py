"""What a photoreceptor makes of luma, and the tables of it for whole grey levels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LOG_OF_LEVEL", "SPEED_OF_LEVEL", "log_response", "relative_speed"]

_LINEAR_BELOW = 20.0
_DARK_SPEED, _WHITE = 20.0, 255.0


def log_response(levels: ArrayLike) -> NDArray[np.float32]:
    """Map luma to the pixel's log response, linear near black.

    Args:
        levels: luma, digital numbers 0 to 255, any shape, any real dtype.

    Returns:
        Natural-log response, dimensionless, 0 to 5.54, same shape.

    Source:
        SensorsINI/v2e, `v2ecore/emulator_utils.py`, `lin_log`, rounding to 8 decimals included;
        deviates: none.

    Examples:
        >>> log_response([0, 20, 255])
        array([0.       , 2.9957323, 5.5412636], dtype=float32)
    """
    luma = np.asarray(levels, np.float64)
    slope = (1.0 / _LINEAR_BELOW) * math.log(_LINEAR_BELOW)
    response = np.where(
        luma <= _LINEAR_BELOW, luma * slope, np.log(np.maximum(luma, _LINEAR_BELOW))
    )
    return (np.rint(response * 1e8) / 1e8).astype(np.float32)


def relative_speed(levels: ArrayLike) -> NDArray[np.float64]:
    """Give how fast the photoreceptor follows, against its speed at white.

    Shot noise falls with it, too.

    Args:
        levels: luma, digital numbers 0 to 255, any shape, any real dtype.

    Returns:
        0.07 at black to 1 at white, same shape.

    Source:
        SensorsINI/v2e, `v2ecore/emulator_utils.py`, `rescale_intensity_frame`; deviates: none.
    """
    return (np.asarray(levels, np.float64) + _DARK_SPEED) / (_WHITE + _DARK_SPEED)


LOG_OF_LEVEL = log_response(np.arange(256))
SPEED_OF_LEVEL = relative_speed(np.arange(256))
