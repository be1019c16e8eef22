"""Where a clip's noise comes from, and how strong photoreceptor noise is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evfer.emulator.params import DVSParams

__all__ = ["noise_key", "noise_level"]


def noise_key(seed: np.random.SeedSequence) -> NDArray[np.uint32]:
    """Give the key of a clip's noise; what the seed gives otherwise stays independent of it."""
    child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 1))
    return np.asarray(child.generate_state(2, np.uint32), np.uint32)


def noise_level(params: DVSParams, step_s: float) -> float:
    """Give the strength of photoreceptor noise that makes the asked rate of noise events.

    Args:
        params: the pixel's settings, with a cutoff and a rate of shot noise.
        step_s: time from frame to frame, seconds.

    Returns:
        Standard deviation of the white noise ahead of the low-pass, natural-log units.

    Source:
        Graca and Delbruck, "Unraveling the paradox of intensity-dependent DVS pixel noise" 2021,
        figure 3, with the cubic that SensorsINI/v2e fits to it; deviates: expected values in
        place of v2e's 300 drawn thresholds and simulated filter, each frame's own step in place
        of the first one's, and a filter that stops at no filtering where v2e's diverges.
    """
    x = math.log10(params.shot_noise_rate_hz / params.cutoff_hz / 2)
    thresholds_per_noise = 10 ** (-0.0026 * x**3 - 0.036 * x**2 - 0.1949 * x + 0.321)
    behind = _lower_threshold(params) / thresholds_per_noise
    share = min(2 * math.pi * params.cutoff_hz * step_s, 1.0)
    return behind * math.sqrt((2 - share) / share) if share else 0.0


def _lower_threshold(params: DVSParams) -> float:
    """Expect the lower of a pixel's two thresholds."""
    pos, neg = params.pos_thres, params.neg_thres
    spread = math.sqrt(2) * params.sigma_thres
    if spread == 0:
        return min(pos, neg)
    z = (neg - pos) / spread
    below = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return pos * below + neg * (1 - below) - spread * density
