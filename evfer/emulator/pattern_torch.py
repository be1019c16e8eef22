"""A sensor's pattern as v2e draws it, for a comparison with the original."""

from __future__ import annotations

import math

import numpy as np
import torch

from evfer.emulator.params import DVSParams
from evfer.emulator.sensor_pattern import LOWEST_DRAWN, Pattern

__all__ = ["draw_as_v2e"]


def draw_as_v2e(params: DVSParams, seed: int, shape: tuple[int, int]) -> Pattern:
    """Draw the pattern that v2e draws on a CPU after `--dvs_emulator_seed`.

    Args:
        params: the pixel's settings.
        seed: v2e's, at least 1.
        shape: of the sensor, (h, w).

    Source:
        SensorsINI/v2e, `v2ecore/emulator.py`, `_init`; deviates: none.
    """
    draws = torch.Generator().manual_seed(seed)
    pos, neg = np.array(params.pos_thres), np.array(params.neg_thres)
    if params.sigma_thres > 0:
        pos, neg = (
            torch.normal(mean, params.sigma_thres, shape, generator=draws)
            .clamp(min=LOWEST_DRAWN)
            .numpy()
            for mean in (params.pos_thres, params.neg_thres)
        )
    leak = np.ones((), np.float32)
    if params.leak_rate_hz > 0:
        decades = math.log(10) * params.noise_rate_cov_decades
        leak = torch.exp(decades * torch.randn(shape, generator=draws)).numpy()
    return Pattern(pos.astype(np.float64), neg.astype(np.float64), leak)
