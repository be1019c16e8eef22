"""Where a clip's expression reaches its height.

Brows and mouth are followed from the first frame on: how far do they stand from where they
stood there, once the head's own motion is taken out? Sliding, tilting and coming nearer is
taken out by the similarity of the stable points, as for the crops; turning and nodding moves
what stands out from the face against what lies deep, and is taken out by the same points with
the depths of a plain face. Eyelids do not count, since a blink is no expression, and what is
kept for less than a third of a second does not either.

The apex is the first frame from which that displacement hardly rises any more, and that is
near the highest of the clip. Whether the expression is held or falls then makes no difference.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError, EventsError
from evfer.faces.alignment import STABLE_POINTS, fit_similarity, smooth_points
from evfer.faces.crop import eye_centres, interocular_distance
from evfer.faces.params import AlignParams

__all__ = ["LEAST_HEIGHT", "Apex", "displacement", "find_apex"]

LEAST_HEIGHT = 0.03
"""Displacement below which a face is taken to show nothing, in IOD. Rendered heads that make no
expression stay below 0.01 at rest and at 0.02 while they turn by 10 degrees; the weakest
expressions are below it, most reach 0.05 to 0.15."""

_SHOWING = (*range(17, 27), *range(48, 68))
"""Brows and mouth. The jaw is left out: its points slide along the face's outline as it turns."""

_KEPT_S = 0.3  # what is kept for less is a blink or a slip of the points
_LEVEL = 0.8  # of the height, from which a frame may be the apex: a held face creeps and trembles
_STILL_TO_COME = 0.02  # of the height, by which it may rise in the time after its apex
_LOOK_AHEAD_S = 0.2

_DEPTHS = np.array(
    [
        *(-0.51, -0.31, -0.15, -0.04, 0.04, 0.04, -0.04, -0.15, -0.31, -0.51),  # brows
        *(0.02, 0.11, 0.21, 0.30, 0.06, 0.11, 0.15, 0.11, 0.06),  # nose
        *(-0.34, -0.24, -0.21, -0.22, -0.21, -0.25, -0.22, -0.21, -0.24, -0.34, -0.25, -0.21),
        *(-0.15, 0.01, 0.11, 0.13, 0.11, 0.01, -0.15, -0.04, 0.04, 0.05, 0.04, -0.04),  # lips
        *(-0.12, 0.07, 0.09, 0.07, -0.12, 0.05, 0.06, 0.05),  # lips, inside
    ]
)
"""How far points 17 to 67 stand out from the mean of the stable ones, in IOD: the depths that
explain best how the points of twelve rendered heads move as these turn and nod by up to 12
degrees, made symmetric. They leave a third of that motion, over brows and mouth."""


@dataclass(frozen=True, eq=False)
class Apex:
    """The height of a clip's expression.

    Args:
        frame: the first frame that shows it, or None if the face shows none.
        height: the displacement that is kept there, in IOD.
        displacement: of every frame, in IOD, shape (n,).
    """

    frame: int | None
    height: float
    displacement: NDArray[np.float64]


def find_apex(
    points: NDArray[np.float64],
    fps: float = 30.0,
    params: AlignParams | None = None,
    *,
    missed: NDArray[np.bool_] | None = None,
) -> Apex:
    """Find the first frame that shows the expression at its height.

    Args:
        points: the points of every frame as they were found, shape (n, 68, 2), source pixels; in
            the first frame the face is at rest.
        fps: frames per second.
        params: the length of the smoothing windows is used; points are always smoothed.
        missed: frames in which the face was not found, shape (n,); none of them is the apex.

    Returns:
        The apex. Its frame is None if the face never keeps a displacement of `LEAST_HEIGHT`.

    Raises:
        EventsError: if there is no frame, or the points are not 68 a frame.
        ConfigError: if `fps` is not positive.
    """
    shown = displacement(points, fps, params)
    kept = _kept(shown, _odd(_KEPT_S * fps))
    height = float(kept.max())
    if height < LEAST_HEIGHT:
        return Apex(None, height, shown)
    reach = max(1, round(_LOOK_AHEAD_S * fps))
    # the end of the clip is the end of what can follow
    ahead = np.lib.stride_tricks.sliding_window_view(np.pad(kept, (0, reach), "edge"), reach + 1)
    reached = (kept >= _LEVEL * height) & (ahead.max(axis=1) - kept <= _STILL_TO_COME * height)
    if missed is not None:
        reached &= ~missed
    frames = np.flatnonzero(reached)
    return Apex(int(frames[0]) if frames.size else None, height, shown)


def displacement(
    points: NDArray[np.float64], fps: float = 30.0, params: AlignParams | None = None
) -> NDArray[np.float64]:
    """Give how far brows and mouth stand from where they stood in the first frame.

    Args:
        points: shape (n, 68, 2), source pixels.
        fps: frames per second.
        params: the length of the smoothing windows is used.

    Returns:
        Root mean square distance in the first frame's IOD, shape (n,), the head's own motion
        taken out.

    Raises:
        EventsError: if there is no frame, or the points are not 68 a frame.
        ConfigError: if `fps` is not positive.
    """
    if points.ndim != 3 or points.shape[1:] != (68, 2) or not len(points):
        raise EventsError(f"points of shape {points.shape}", expected="(n, 68, 2), n at least 1")
    if not (math.isfinite(fps) and fps > 0):
        raise ConfigError(f"a frame rate of {fps}", expected="a positive number of frames a second")
    settings = dataclasses.replace(params or AlignParams(), smooth="sg")
    smooth = smooth_points(points, fps, settings)
    first, stable = smooth[0], list(STABLE_POINTS)
    aligned = _apply(fit_similarity(smooth[:, stable], first[stable]), smooth)
    moved = (aligned - first) / interocular_distance(first)
    turning = _turning(first)
    # turning and nodding of every frame, from the stable points alone
    amounts, *_ = np.linalg.lstsq(
        turning[:, stable].reshape(2, -1).T, moved[:, stable].reshape(len(moved), -1).T, rcond=None
    )
    shown = (moved - np.einsum("kn,kij->nij", amounts, turning))[:, list(_SHOWING)]
    result: NDArray[np.float64] = np.sqrt((shown**2).sum(axis=-1).mean(axis=-1))
    return result


def _turning(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how the points move, in IOD a radian, as the head turns and nods, shape (2, 68, 2).

    Motion that the alignment on the stable points takes out is not in it.
    """
    left, right = eye_centres(first)
    across = (right - left) / np.linalg.norm(right - left)
    down = np.array([-across[1], across[0]])
    depths = np.zeros(68)
    depths[17:] = _DEPTHS
    stable = list(STABLE_POINTS)
    plain = (first - first[stable].mean(axis=0)) / interocular_distance(first)
    step = 1e-3
    bent = plain + step * depths[:, None] * np.stack([across, down])[:, None]
    aligned = _apply(fit_similarity(bent[:, stable], plain[stable]), bent)
    result: NDArray[np.float64] = (aligned - plain) / step
    return result


def _apply(transforms: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    turned: NDArray[np.float64] = points @ np.swapaxes(transforms[..., :2], -1, -2)
    return turned + transforms[:, None, :, 2]


def _kept(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Cut off peaks that are shorter than the window; the last value counts as held on."""
    from scipy.ndimage import grey_opening

    padded = np.pad(values, window, "edge")
    kept: NDArray[np.float64] = grey_opening(padded, size=(window,))[window:-window]
    return kept


def _odd(frames: float) -> int:
    return 2 * round((frames - 1) / 2) + 1 if frames > 1 else 1
