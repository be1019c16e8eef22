"""Settings of the face stage, as a recipe's section [faces] gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from evfer.config import check_types
from evfer.errors import ConfigError, UnknownNameError

__all__ = ["AlignParams", "Alignment", "Geometry", "Smoothing"]

Geometry = Literal["iod", "paper-literal", "paper-fixed"]
Alignment = Literal["none", "first", "similarity"]
Smoothing = Literal["off", "sg"]


@dataclass(frozen=True)
class AlignParams:
    """How faces are followed, aligned and cut out.

    IOD is the inter-ocular distance: from the mean of points 36-41 to the mean of 42-47.

    Args:
        geometry: size of the crop, always centred on the nose tip (point 30) with the eye line
            level. "iod": a square of `crop_scale` IOD. "paper-literal": 4/3 of the nose's length
            (27-33) high and 4/3 IOD wide, the published formula as written; it shows a nose and
            parts of the eyes. "paper-fixed": 10/3 of the nose's length high and 10/3 of the
            distance of the inner eye corners (39-42) wide, the reading of that formula that
            gives a face.
        crop_scale: side of the "iod" square, in IOD. 2.6 ends at the chin at rest, 3.0 keeps a
            dropped jaw.
        align: "similarity" turns, scales and shifts every frame so that the points that
            expressions leave in place lie where frame 0 has them. "first" keeps frame 0's crop.
            "none" crops every frame anew by its own points, as the published pipeline does;
            the points' jitter then makes most of the events.
        smooth: "sg" smooths the points over time (Savitzky-Golay), "off" takes them as found.
        smooth_window: length of the smoothing window at 30 frames a second, in frames; it
            scales with the frame rate.
        rest_window: the same for a head that holds still; not above `smooth_window` turns it off.
        smooth_order: order of the smoothing polynomial.
        size: side of the crop, in pixels.
        redetect_interval: frames from one check by the face detector to the next.
        max_misses: frames in a row in which the face may be missing.
        search_scale: side of the region searched around a known face, in face boxes.
        patch_size: side of the enlarged face patch on which points are found, in pixels; a
            patch is enlarged at most 4 times and never shrunk.
        n_boxes: boxes over which the points are averaged, 1 to 5; most of the time goes here.

    Raises:
        ConfigError: if a value is out of range.
    """

    geometry: Geometry = "iod"
    crop_scale: float = 3.0
    align: Alignment = "similarity"
    smooth: Smoothing = "sg"
    smooth_window: int = 9
    rest_window: int = 27
    smooth_order: int = 2
    size: int = 200
    redetect_interval: int = 30
    max_misses: int = 5
    search_scale: float = 1.8
    patch_size: int = 720
    n_boxes: int = 5

    def __post_init__(self) -> None:
        check_types(self, "faces")
        for key, known in (("geometry", Geometry), ("align", Alignment), ("smooth", Smoothing)):
            if getattr(self, key) not in get_args(known):
                raise UnknownNameError(f"faces.{key}", str(getattr(self, key)), get_args(known))
        for key, low, high in (
            ("crop_scale", 0.5, 20.0),
            ("smooth_window", 5, 301),
            ("rest_window", 1, 301),
            ("smooth_order", 0, 4),
            ("size", 8, 4096),
            ("redetect_interval", 1, 100_000),
            ("max_misses", 0, 100_000),
            ("search_scale", 1.2, 10.0),
            ("patch_size", 200, 4000),
            ("n_boxes", 1, 5),
        ):
            value = getattr(self, key)
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"faces.{key} = {value}", expected=f"{low} to {high}")
        for key in ("smooth_window", "rest_window"):
            if getattr(self, key) % 2 == 0:
                raise ConfigError(
                    f"faces.{key} = {getattr(self, key)}",
                    expected="an odd number of frames",
                    hint="Smoothing needs a middle frame",
                )
