"""What differs from pixel to pixel of a sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOWEST_DRAWN", "Pattern"]

LOWEST_DRAWN = 0.01
"""Drawn thresholds below are raised to this, log units, as in v2e."""


@dataclass(frozen=True)
class Pattern:
    """A sensor's pattern.

    Args:
        pos_thres: ON thresholds, log units, shape (h, w), or a single number, shape ().
        neg_thres: OFF thresholds, likewise.
        leak: leak of each pixel over the mean, shape (h, w), or a single 1.
    """

    pos_thres: NDArray[np.float64]
    neg_thres: NDArray[np.float64]
    leak: NDArray[np.float32]
