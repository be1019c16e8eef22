"""What the pixels of the emulated sensor are like."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from evfer.errors import ConfigError

__all__ = ["MIN_THRESHOLD", "DVSParams"]

MIN_THRESHOLD = 0.001
"""The lowest threshold, in log units: 0.1 % contrast, a tenth of what the best sensors see."""

_PARTS_TO_COME = {
    "cutoff_hz": "photoreceptor low-pass",
    "leak_rate_hz": "leak events",
    "shot_noise_rate_hz": "shot noise",
}


@dataclass(frozen=True, kw_only=True)
class DVSParams:
    """Settings of the pixel model, named as in v2e; the defaults are the published benchmark's.

    The benchmark was made with v2e's `--dvs_params clean`, a threshold spread of 0.02 and the
    refractory period left at v2e's default.

    Args:
        pos_thres: mean rise of log intensity that makes an ON event, natural-log units.
        neg_thres: mean fall of log intensity that makes an OFF event, natural-log units, positive.
        sigma_thres: standard deviation of the thresholds from pixel to pixel, log units.
        cutoff_hz: cutoff of the photoreceptor's low-pass, Hz; 0 is none, the only choice so far.
        leak_rate_hz: rate of leak events per pixel, Hz; 0 is none, the only choice so far.
        shot_noise_rate_hz: rate of noise events per pixel, Hz; 0 is none, the only choice so far.
        refractory_period_s: time after an event in which its pixel stays silent, seconds.

    Raises:
        ConfigError: for a value out of range, or one that asks for a part yet to come.

    Source:
        SensorsINI/v2e, `v2ecore/emulator.py` (names, meaning) and the benchmark's command line
        (values); deviates: none.
    """

    pos_thres: float = 0.2
    neg_thres: float = 0.2
    sigma_thres: float = 0.02
    cutoff_hz: float = 0.0
    leak_rate_hz: float = 0.0
    shot_noise_rate_hz: float = 0.0
    refractory_period_s: float = 0.0005

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            lowest = MIN_THRESHOLD if field.name in ("pos_thres", "neg_thres") else 0.0
            if not (_is_number(value) and math.isfinite(value) and value >= lowest):
                raise ConfigError(
                    f"{field.name} = {value!r}", expected=f"a number of at least {lowest:g}"
                )
            if field.name in _PARTS_TO_COME and value > 0:
                part = _PARTS_TO_COME[field.name]
                raise ConfigError(
                    f"{field.name} = {value:g}, but this version's emulator has no {part}",
                    expected="0",
                    hint=f"Set {field.name} = 0, as the published benchmark does",
                )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
