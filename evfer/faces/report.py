"""What the face stage has to say about a clip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evfer.faces.alignment import residuals
from evfer.faces.crop import eye_centres, interocular_distance

__all__ = [
    "LARGE_OUTSIDE",
    "LARGE_RESIDUAL",
    "SMALL_IOD",
    "FaceReport",
    "summarise",
    "yaw_degrees",
]

SMALL_IOD = 40.0  # pixels; smaller faces have points too coarse for smoothing to help
LARGE_RESIDUAL = 0.03  # of the IOD; larger ones mean a turned head or lost points
LARGE_OUTSIDE = 0.1  # of the crop
_NOSE_HEIGHT = 0.56  # of the nose tip over the plane of the eyes, in IOD; on rendered heads


@dataclass(frozen=True)
class FaceReport:
    """How well a face could be followed and aligned.

    Args:
        detection_rate: share of the frames in which the face was detected or followed, 0 to 1.
        redetections: how often the face was lost and found again.
        median_iod: median distance of the eye centres, source pixels.
        residual: how far the stable points lie from frame 0's after alignment, root mean square
            over the points and mean over the frames, in frame 0's IOD.
        yaw_first: turn of the head in frame 0, degrees; positive looks to the picture's right.
        yaw_last: the same in the last frame.
        outside: share of the crop that lies outside the frame, in the worst frame, 0 to 1.
        warnings: what a user should look at, in plain sentences.
    """

    detection_rate: float
    redetections: int
    median_iod: float
    residual: float
    yaw_first: float
    yaw_last: float
    outside: float
    warnings: tuple[str, ...] = ()


def yaw_degrees(points: NDArray[np.float64]) -> float:
    """Estimate how far a head is turned, from the nose tip's offset between the eyes.

    Args:
        points: one face's points, shape (68, 2).

    Returns:
        Degrees; positive where the nose points to the picture's right. The nose tip is taken
        to stand 0.56 IOD out of the plane of the eyes; good to a few degrees up to 25.
    """
    left, right = eye_centres(points)
    line = right - left
    offset = float((points[30] - (left + right) / 2) @ line / (line @ line))
    return math.degrees(math.atan(offset / _NOSE_HEIGHT))


def summarise(
    points: NDArray[np.float64],
    transforms: NDArray[np.float64],
    missed: NDArray[np.bool_],
    redetections: int,
    outside: float,
) -> FaceReport:
    """Write the report of one clip.

    Args:
        points: smoothed points, shape (n, 68, 2), source pixels.
        transforms: crop to source, shape (n, 2, 3).
        missed: shape (n,), True where the face was missing.
        redetections: how often the face was lost and found again.
        outside: largest share of a crop outside its frame, 0 to 1.
    """
    iod = interocular_distance(points)
    median_iod = float(np.median(iod))
    residual = float(residuals(points, transforms).mean() / iod[0])
    warnings = []
    if missed.any():
        warnings.append(
            f"The face is missing in {int(missed.sum())} of {len(missed)} frames, "
            f"first in frame {int(np.argmax(missed))}; its points there are interpolated."
        )
    if median_iod < SMALL_IOD:
        warnings.append(
            f"The eyes are only {median_iod:.0f} pixels apart (median); below "
            f"{SMALL_IOD:.0f} the alignment trembles and makes events of its own."
        )
    if residual > LARGE_RESIDUAL:
        warnings.append(
            f"After alignment, nose and eye corners still move by {residual:.3f} of the eyes' "
            f"distance; above {LARGE_RESIDUAL} the head turns or the points are wrong."
        )
    if outside > LARGE_OUTSIDE:
        warnings.append(
            f"Up to {outside:.0%} of the crop lies outside the picture, whose border is repeated."
        )
    return FaceReport(
        detection_rate=float(1 - missed.mean()),
        redetections=redetections,
        median_iod=median_iod,
        residual=residual,
        yaw_first=yaw_degrees(points[0]),
        yaw_last=yaw_degrees(points[-1]),
        outside=outside,
        warnings=tuple(warnings),
    )
