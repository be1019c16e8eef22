"""What the pixels of a sensor know, and how it starts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evfer.emulator.params import DVSParams
from evfer.emulator.pattern import Pattern
from evfer.emulator.response import log_response, relative_speed

__all__ = ["Pixels", "Signal", "settle", "start_pixels"]


class Signal(NamedTuple):
    """Settings of the pixels, as the machine code takes them; `DVSParams` explains them."""

    width: int
    at_crossings: bool
    refractory_period_s: float
    cutoff_hz: float
    leaks: bool
    leak_jitter_fraction: float
    shot_noise_rate_hz: float
    photoreceptor_noise: bool


class Pixels(NamedTuple):
    """State of the pixels, each of shape (pixels,), and what is drawn for them once.

    Args:
        pos_thres: ON threshold, log units, float32.
        neg_thres: OFF threshold, likewise.
        pos_count: ON threshold in the width of the state, by which v2e counts.
        neg_count: OFF threshold, likewise.
        pos_ratio: nominal ON threshold over the pixel's, float32.
        neg_ratio: likewise, OFF.
        leak_hz: leak rate, float32.
        response: of the photoreceptor, log units.
        log_memory: memorised log intensity.
        noise: photoreceptor noise behind the low-pass, log units, float32.
        last_event_s: time of the last event, seconds, float64.
    """

    pos_thres: Any
    neg_thres: Any
    pos_count: Any
    neg_count: Any
    pos_ratio: Any
    neg_ratio: Any
    leak_hz: Any
    response: Any
    log_memory: Any
    noise: Any
    last_event_s: Any


def settle(params: DVSParams, width: int) -> Signal:
    """Give the settings of the pixels as the machine code takes them."""
    return Signal(
        width=width,
        at_crossings=params.timing == "crossing",
        refractory_period_s=float(params.refractory_period_s),
        cutoff_hz=float(params.cutoff_hz),
        leaks=params.leak_rate_hz > 0,
        leak_jitter_fraction=float(params.leak_jitter_fraction),
        shot_noise_rate_hz=float(params.shot_noise_rate_hz),
        photoreceptor_noise=params.photoreceptor_noise,
    )


def start_pixels(params: DVSParams, pattern: Pattern, frame: NDArray[Any], t_s: float) -> Pixels:
    """Let the pixels see their first frame.

    Args:
        params: the pixel's settings.
        pattern: the sensor's pattern.
        frame: luma, shape (h, w).
        t_s: its time, seconds.

    Source:
        SensorsINI/v2e, `v2ecore/emulator.py`, `generate_events` and `_init`: the state is
        float32, or float64 behind a low-pass, which is applied once to its own start.
    """
    width = np.float64 if params.cutoff_hz > 0 else np.float32
    response = log_response(frame).astype(width)
    if params.cutoff_hz > 0:
        tau_s = 1 / (np.pi * 2 * params.cutoff_hz)
        share = np.minimum(relative_speed(frame) * (t_s / tau_s), 1.0)
        response = (1 - share) * response + share * response

    def spread(values: Any, kind: Any) -> NDArray[Any]:
        return np.array(np.broadcast_to(values, frame.shape), kind).ravel()

    pos, neg = (np.float32(each) for each in (pattern.pos_thres, pattern.neg_thres))
    return Pixels(
        pos_thres=spread(pos, np.float32),
        neg_thres=spread(neg, np.float32),
        # where all are the same number v2e keeps it as float64
        pos_count=spread(pos if pos.ndim else pattern.pos_thres, width),
        neg_count=spread(neg if neg.ndim else pattern.neg_thres, width),
        pos_ratio=spread(np.float32(params.pos_thres) / pos, np.float32),
        neg_ratio=spread(np.float32(params.neg_thres) / neg, np.float32),
        leak_hz=spread(np.float32(params.leak_rate_hz) * pattern.leak, np.float32),
        response=response.ravel(),
        log_memory=response.ravel().copy(),
        noise=np.zeros(frame.size, np.float32),
        last_event_s=np.full(frame.size, -np.float64(np.float32(params.refractory_period_s))),
    )
