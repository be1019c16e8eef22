"""What the pixels of the emulated sensor are like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from types import MappingProxyType
from typing import Literal, get_args, get_type_hints

from evfer.config import check_types
from evfer.errors import ConfigError, UnknownNameError

__all__ = ["MIN_THRESHOLD", "PRESETS", "Backend", "DVSParams", "PatternSource", "Timing"]

Timing = Literal["slot", "crossing"]
PatternSource = Literal["numpy", "v2e"]
Backend = Literal["evfer", "v2e"]

MIN_THRESHOLD = 0.001
"""The lowest threshold, in log units: 0.1 % contrast, a tenth of what the best sensors see."""


_MAX_RATE_HZ = 10_000.0  # a thousand times what sensors leak; more would only fill the memory


@dataclass(frozen=True, kw_only=True)
class DVSParams:
    """Settings of the pixel model, named as in v2e; the defaults are the published benchmark's.

    The benchmark was made with v2e's `--dvs_params clean`, a threshold spread of 0.02 and the
    refractory period left at v2e's default.

    Args:
        pos_thres: mean rise of log intensity that makes an ON event, natural-log units.
        neg_thres: mean fall of log intensity that makes an OFF event, natural-log units, positive.
        sigma_thres: standard deviation of the thresholds from pixel to pixel, log units.
        cutoff_hz: cutoff of the photoreceptor's low-pass at white, Hz; it falls with the
            intensity, to 7 % of it at black. 0 is no low-pass.
        leak_rate_hz: mean rate of leak events per pixel, Hz; they are ON events.
        shot_noise_rate_hz: rate of noise events per pixel at black, Hz, ON and OFF together; it
            falls to a quarter at white.
        refractory_period_s: time after an event in which its pixel stays silent, seconds.
        leak_jitter_fraction: standard deviation of the leak from frame to frame, as a share of it.
        noise_rate_cov_decades: spread of the leak from pixel to pixel, standard deviation of its
            decimal logarithm.
        photoreceptor_noise: make the noise in the photoreceptor, ahead of the low-pass, in place
            of single noise events; needs a cutoff and a rate of shot noise.
        timing: "slot" times events as v2e does: in a frame where the busiest pixel makes M, all
            pixels use the same M instants and the earliest of them first. "crossing" gives each
            event the instant at which the log intensity, taken as straight from frame to frame,
            reaches the threshold.
        pattern: whose generator draws the thresholds and the spread of the leak from the seed:
            numpy's, or torch's in the order of v2e's `--dvs_emulator_seed`, so that one run can
            be compared with the other event for event.
        backend: "evfer", or "v2e" for the original where it is installed.

    Raises:
        ConfigError: for a value out of range, or values that exclude one another.
        UnknownNameError: for a timing, pattern or backend that does not exist.

    Source:
        SensorsINI/v2e, `v2ecore/emulator.py` (names, meaning) and the benchmark's command line
        (values); deviates: `timing`, `pattern` and `backend` are evfer's own.
    """

    pos_thres: float = 0.2
    neg_thres: float = 0.2
    sigma_thres: float = 0.02
    cutoff_hz: float = 0.0
    leak_rate_hz: float = 0.0
    shot_noise_rate_hz: float = 0.0
    refractory_period_s: float = 0.0005
    leak_jitter_fraction: float = 0.1
    noise_rate_cov_decades: float = 0.1
    photoreceptor_noise: bool = False
    timing: Timing = "slot"
    pattern: PatternSource = "numpy"
    backend: Backend = "evfer"

    def __post_init__(self) -> None:
        check_types(self, "emulator")
        hints = get_type_hints(type(self))
        for field in fields(self):
            value = getattr(self, field.name)
            if hints[field.name] is float:
                _check_number(field.name, value)
            elif hints[field.name] is bool:
                if not isinstance(value, bool):
                    raise ConfigError(f"{field.name} = {value!r}", expected="true or false")
            elif value not in get_args(hints[field.name]):
                raise UnknownNameError(field.name, str(value), get_args(hints[field.name]))
        if self.photoreceptor_noise and not (self.cutoff_hz > 0 and self.shot_noise_rate_hz > 0):
            raise ConfigError(
                f"photoreceptor_noise with cutoff_hz = {self.cutoff_hz:g} and "
                f"shot_noise_rate_hz = {self.shot_noise_rate_hz:g}",
                expected="both above 0, since they settle how strong the noise is",
            )
        if self.backend == "v2e" and self.timing != "slot":
            raise ConfigError(
                f'timing "{self.timing}" with backend "v2e"',
                expected='timing "slot", which is all that v2e has',
            )


def _check_number(name: str, value: object) -> None:
    lowest = MIN_THRESHOLD if name in ("pos_thres", "neg_thres") else 0.0
    highest = _MAX_RATE_HZ if name in ("leak_rate_hz", "shot_noise_rate_hz") else math.inf
    if isinstance(value, bool) or not (
        isinstance(value, Real) and lowest <= float(value) <= highest and math.isfinite(value)
    ):
        most = "" if highest == math.inf else f" and at most {highest:g}"
        raise ConfigError(f"{name} = {value!r}", expected=f"a number of at least {lowest:g}{most}")


PRESETS: Mapping[str, DVSParams] = MappingProxyType(
    {
        "paper": DVSParams(),
        "clean": DVSParams(
            sigma_thres=0.02,
            refractory_period_s=0.0,
            leak_jitter_fraction=0.0,
            noise_rate_cov_decades=0.0,
        ),
        "noisy": DVSParams(
            sigma_thres=0.05,
            cutoff_hz=30.0,
            leak_rate_hz=0.1,
            shot_noise_rate_hz=5.0,
            refractory_period_s=0.0,
            leak_jitter_fraction=0.1,
            noise_rate_cov_decades=0.1,
        ),
    }
)
"""v2e's `--dvs_params clean` and `noisy`, and the published benchmark's settings."""
