"""What is drawn for each pixel once: its thresholds and its leak."""

from __future__ import annotations

import numpy as np

from evfer.emulator.params import DVSParams
from evfer.emulator.sensor_pattern import LOWEST_DRAWN, Pattern
from evfer.errors import ConfigError

__all__ = ["Pattern", "draw_pattern"]


def draw_pattern(
    params: DVSParams, seed: np.random.SeedSequence, shape: tuple[int, int]
) -> Pattern:
    """Draw a sensor's pattern from a seed.

    Args:
        params: the pixel's settings; `pattern` says whose generator draws.
        seed: the seed.
        shape: of the sensor, (h, w).

    Raises:
        ConfigError: for a seed that v2e's generator cannot take.

    Source:
        SensorsINI/v2e, `v2ecore/emulator.py`, `_init`; deviates: numpy's generator, unless
        `pattern` is "v2e".
    """
    if params.pattern == "v2e":
        from evfer.emulator.pattern_torch import draw_as_v2e

        return draw_as_v2e(params, _plain_seed(seed), shape)
    rng = np.random.default_rng(seed)
    pos, neg = np.array(params.pos_thres), np.array(params.neg_thres)
    if params.sigma_thres > 0:
        drawn = [rng.normal(mean, params.sigma_thres, shape) for mean in (pos, neg)]
        pos, neg = (np.maximum(each.astype(np.float32), LOWEST_DRAWN) for each in drawn)
    leak = np.ones((), np.float32)
    if params.leak_rate_hz > 0:
        decades = params.noise_rate_cov_decades * rng.standard_normal(shape)
        leak = (10.0**decades).astype(np.float32)
    return Pattern(pos.astype(np.float64), neg.astype(np.float64), leak)


def _plain_seed(seed: np.random.SeedSequence) -> int:
    numbers = seed.entropy if isinstance(seed.entropy, list) else [seed.entropy]
    if len(numbers) != 1 or not isinstance(numbers[0], int) or not 0 < numbers[0] < 2**32:
        raise ConfigError(
            f'seed {seed.entropy!r} with pattern "v2e"',
            expected="one whole number from 1 to 4294967295, as v2e's --dvs_emulator_seed takes",
            hint="v2e leaves 0 unseeded" if numbers == [0] else "",
        )
    return numbers[0]
