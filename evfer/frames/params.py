"""Settings of framing, as a recipe's section [frames] gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evfer.config import check_types
from evfer.errors import ConfigError
from evfer.region import Region

__all__ = ["Edge", "FramesParams", "Kind", "Resize"]

Kind = Literal[
    "time_bins",
    "count",
    "event_bins",
    "count_or_bins",
    "voxel_grid",
    "time_surface",
    "decay",
    "binary_code",
]
Edge = Literal["exact", "tonic"]
Resize = Literal["maxpool", "nearest", "event", "none"]

_REAL = ("voxel_grid", "time_surface", "decay", "binary_code")
_BY_TIME = ("time_bins", "time_surface", "decay", "binary_code")


@dataclass(frozen=True)
class FramesParams:
    """How events become frames.

    Args:
        n_steps: frames a clip (T); `kind = "count"` gives as many as the events fill instead.
        kind: how events are collected. Counts of events, each in one frame:
            "time_bins" cuts into equal durations; "count" into frames of `event_count` events
            and drops the tail; "event_bins" into equal numbers of events and drops the
            remainder; "count_or_bins" keeps the middle `n_steps` frames of "count" where there
            are that many, else does "event_bins", as the published code does.
            Real values, which need `binary = false`: "voxel_grid" shares each event between the
            two frames nearest in time; "time_surface" holds exp(-age / tau) of each pixel's
            latest event at the end of each of equal durations, "decay" the sum over all its
            events; "binary_code" reads a frame's `bits` sub-bins as the digits of a number.
        edge: "exact" gives every event to a bin; "tonic" rounds the bin's length down as tonic
            does, and so drops the clip's last events.
        binary: whether a cell says only that an event fell there, or counts them.
        size: side of the square frame in pixels; None keeps the region's own size, and gives a
            region that an augmentation has cropped or scaled the sensor's.
        resize: "maxpool" takes each cell's largest pixel, so no event is lost; "nearest" reads
            one pixel a cell and loses the others; "event" moves events to the new grid and adds
            them up there; "none" needs `size` to be the region's size.
        event_count: events a frame for "count" and "count_or_bins".
        tau_us: time constant of "time_surface" and "decay", microseconds.
        bits: digits of "binary_code".

    Source:
        Barchid et al., Spiking-FER, CBMI 2023, section 4 (equal durations, T = 6) and its
        published code (middle 2500-event frames, nearest); deviates: "exact" edges and "maxpool"
        lose no event. Voxel grid: Zhu et al., CVPR 2019, section 3.1, each polarity apart;
        surface: Lagorce et al., HOTS, TPAMI 2017, equation 3, over the whole sensor; binary code:
        Innocenti et al., Temporal binary representation, ICPR 2021.
    """

    n_steps: int = 6
    kind: Kind = "time_bins"
    edge: Edge = "exact"
    binary: bool = True
    size: int | None = 128
    resize: Resize = "maxpool"
    event_count: int = 2500
    tau_us: float = 50_000.0
    bits: int = 8

    def __post_init__(self) -> None:
        check_types(self, "frames")
        for name in ("n_steps", "size", "event_count"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"frames.{name} = {value}", expected="1 or more")
        if not 1 <= self.bits <= 24:
            raise ConfigError(f"frames.bits = {self.bits}", expected="1 to 24")
        if not (math.isfinite(self.tau_us) and self.tau_us > 0):
            raise ConfigError(f"frames.tau_us = {self.tau_us}", expected="microseconds above 0")
        if self.real and self.binary:
            raise ConfigError(
                f'frames.kind = "{self.kind}" with frames.binary = true',
                expected="real values, which ones would replace",
                hint="Set frames.binary = false",
            )

    @property
    def real(self) -> bool:
        """Whether cells hold real values rather than counts."""
        return self.kind in _REAL

    @property
    def by_time(self) -> bool:
        """Whether equal durations cut a clip into steps; else numbers of events, or nothing."""
        return self.kind in _BY_TIME

    def shape(self, region: Region, n_steps: int | None = None) -> tuple[int, int, int, int]:
        """Give the shape (t, c, h, w) of a clip's frames.

        Raises:
            ConfigError: if `resize` is "none" and the region is not of the wanted size.
        """
        own = (region.width, region.height)
        width, height = (self.size, self.size) if self.size else region.fills or own
        if self.resize == "none" and (width, height) != own:
            other = "frames.size" if self.size else "other augmentations"
            raise ConfigError(
                f'frames.resize = "none" for a region of {region.width} x {region.height} pixels',
                expected=f"a region of {width} x {height} pixels, as the frame has",
                hint=f'Choose frames.resize = "maxpool", or {other}',
            )
        return (self.n_steps if n_steps is None else n_steps, 2, height, width)
