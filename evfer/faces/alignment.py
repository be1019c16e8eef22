"""From points over time to one crop transform per frame.

Points found anew in every frame tremble by a fraction of a pixel, and an event camera turns
each tremble of an edge into events: cropping a still face by each frame's own points gives some
forty times the events of its noise alone. So the points are smoothed over time, and frames are
brought to frame 0 by a similarity of those points alone that no expression moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evfer.faces.crop import crop_transform
from evfer.faces.params import AlignParams

__all__ = [
    "STABLE_POINTS",
    "clip_transforms",
    "compose",
    "fit_similarity",
    "invert",
    "residuals",
    "smooth_points",
    "window_length",
]

STABLE_POINTS = (27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45)
"""Nose and eye corners: the points that expressions leave in place. Mouth, brows and jaw are
the signal and must not steer the alignment."""


def window_length(window: int, order: int, fps: float, n_frames: int) -> int:
    """Scale a smoothing window to a clip.

    Args:
        window: frames at 30 frames a second.
        order: order of the smoothing polynomial.
        fps: the clip's frames per second.
        n_frames: frames in the clip.

    Returns:
        Frames: odd, at most the clip's length. 1 means that nothing is smoothed: the clip has
        fewer than 5 frames, or the window no more frames than the polynomial has coefficients.

    Examples:
        >>> [window_length(9, 2, fps, 100) for fps in (60.0, 30.0, 25.0, 10.0)]
        [17, 9, 7, 1]
    """
    if n_frames < 5:
        return 1
    longest = n_frames if n_frames % 2 else n_frames - 1
    scaled = min(2 * round((window * fps / 30 - 1) / 2) + 1, longest)
    return scaled if scaled > order + 1 else 1


def smooth_points(
    points: NDArray[np.float64], fps: float, params: AlignParams
) -> NDArray[np.float64]:
    """Smooth points over time with a Savitzky-Golay filter.

    Where a head holds still, the stable points pass over to a second filter with a longer
    window: as far as the two filters differ by no more than the points' noise explains, the
    longer one is better, and where the head moves it would cut the motion short.

    Args:
        points: shape (n, 68, 2), source pixels.
        fps: frames per second.
        params: the smoothing settings are used.

    Returns:
        Shape (n, 68, 2). The filter looks as far ahead as back, so it does not lag: a causal
        one, such as One-Euro, makes more events on a moving head than no smoothing at all.

    Source:
        Savitzky and Golay, Smoothing and differentiation of data by simplified least squares
        procedures, Analytical Chemistry 1964; ends by the outermost windows' polynomials. The
        longer window at rest is our own.
    """
    order = params.smooth_order
    short = window_length(params.smooth_window, order, fps, len(points))
    if params.smooth == "off" or short == 1:
        return points.copy()
    result = _savitzky_golay(points, short, order)
    long = window_length(params.rest_window, order, fps, len(points))
    if long > short:
        stable = list(STABLE_POINTS)
        rested = _savitzky_golay(points[:, stable], long, order)
        still = _stillness(points[:, stable], result[:, stable], rested, (short, long), order)
        result[:, stable] += still[:, None, None] * (rested - result[:, stable])
    return result


def _savitzky_golay(points: NDArray[np.float64], window: int, order: int) -> NDArray[np.float64]:
    from scipy.signal import savgol_filter

    smooth: NDArray[np.float64] = savgol_filter(points, window, order, axis=0, mode="interp")
    return smooth


def _stillness(
    points: NDArray[np.float64],
    quick: NDArray[np.float64],
    rested: NDArray[np.float64],
    windows: tuple[int, int],
    order: int,
) -> NDArray[np.float64]:
    """Give the weight of the longer filter in every frame, from 0 (moving) to 1, shape (n,)."""
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import savgol_coeffs

    # shares of white noise's power that either filter lets pass
    short, long = (float((savgol_coeffs(window, order) ** 2).sum()) for window in windows)
    noise = np.median(((points - quick) ** 2).sum(-1).mean(-1)) / (1 - short)
    explained = noise * (short - long)
    differing = ((rested - quick) ** 2).sum(-1).mean(-1)
    around = uniform_filter1d(differing, windows[0], mode="nearest")
    # half weight where the filters differ by twice what noise explains; points without any
    # noise need no smoothing
    return explained**2 / (explained**2 + (around / 4) ** 2 + np.finfo(np.float64).tiny)


def fit_similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit the rotation, uniform scale and shift that take one set of points to another.

    Args:
        source: shape (..., k, 2), k at least 2.
        target: shape (..., k, 2) or one that broadcasts to it.

    Returns:
        Shape (..., 2, 3): the transform with the least sum of squared distances in the target.

    Examples:
        >>> corner = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> fit_similarity(corner, 2 * corner + [3.0, 4.0]).round(9).tolist()
        [[2.0, -0.0, 3.0], [0.0, 2.0, 4.0]]
    """
    # a similarity of the plane is z -> a z + b over the complex numbers
    z, w = (
        np.asarray(points)[..., 0] + 1j * np.asarray(points)[..., 1] for points in (source, target)
    )
    mean_z, mean_w = z.mean(axis=-1, keepdims=True), w.mean(axis=-1, keepdims=True)
    spread = (np.abs(z - mean_z) ** 2).sum(axis=-1)
    a = (np.conj(z - mean_z) * (w - mean_w)).sum(axis=-1) / spread
    b = mean_w[..., 0] - a * mean_z[..., 0]
    rows = [
        np.stack([a.real, -a.imag, b.real], axis=-1),
        np.stack([a.imag, a.real, b.imag], axis=-1),
    ]
    return np.stack(rows, axis=-2)


def compose(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the transform that applies `inner`, then `outer`; shapes (..., 2, 3)."""
    matrix = outer[..., :2] @ inner[..., :2]
    shift = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return np.concatenate([matrix, shift], axis=-1)


def invert(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the inverse of each transform, shape (..., 2, 3)."""
    inverse = np.linalg.inv(transforms[..., :2])
    return np.concatenate([inverse, -inverse @ transforms[..., 2:]], axis=-1)


def clip_transforms(points: NDArray[np.float64], params: AlignParams) -> NDArray[np.float64]:
    """Give every frame's transform from the crop to the source.

    Args:
        points: smoothed points, shape (n, 68, 2), source pixels.
        params: `align` and the crop's settings are used.

    Returns:
        Shape (n, 2, 3).
    """
    if params.align == "none":
        return np.stack([crop_transform(frame, params) for frame in points])
    crop = crop_transform(points[0], params)
    if params.align == "first":
        return np.broadcast_to(crop, (len(points), 2, 3)).copy()
    stable = points[:, STABLE_POINTS]
    return compose(invert(fit_similarity(stable, stable[:1])), crop)


def residuals(points: NDArray[np.float64], transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how far each frame's stable points lie from frame 0's once aligned.

    Args:
        points: shape (n, 68, 2), source pixels.
        transforms: crop to source, shape (n, 2, 3).

    Returns:
        Root mean square distance of the 13 points, shape (n,), in source pixels of frame 0.
    """
    stable = points[:, STABLE_POINTS]
    to_first = compose(transforms[:1], invert(transforms))
    moved = stable @ np.swapaxes(to_first[..., :2], -1, -2) + to_first[:, None, :, 2]
    distance: NDArray[np.float64] = np.sqrt(((moved - stable[0]) ** 2).sum(-1).mean(-1))
    return distance
