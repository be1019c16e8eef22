"""Geometry of the crop: which square of the frame becomes the 200 x 200 picture.

A transform is a (2, 3) matrix that takes crop coordinates to frame coordinates. Both count
from the centre of the top left pixel, x to the right and y down.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evfer.faces.params import AlignParams
from evfer.faces.pixels import Frame

__all__ = [
    "Transform",
    "crop_extent",
    "crop_transform",
    "eye_centres",
    "interocular_distance",
    "oversampling",
    "resample",
    "share_outside",
]

Transform = NDArray[np.float64]

NOSE_TIP = 30


def eye_centres(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the means of points 36-41 and 42-47, each of shape (..., 2)."""
    return points[..., 36:42, :].mean(axis=-2), points[..., 42:48, :].mean(axis=-2)


def interocular_distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the distance between the eye centres, shape (...), for points (..., 68, 2)."""
    left, right = eye_centres(points)
    distance: NDArray[np.float64] = np.linalg.norm(right - left, axis=-1)
    return distance


def crop_extent(points: NDArray[np.float64], params: AlignParams) -> tuple[float, float]:
    """Give the width and height of the crop, in source pixels.

    Args:
        points: the 68 points of one face, shape (68, 2), source pixels.
        params: `geometry` and `crop_scale` are used.

    Source:
        "paper-literal" is the formula of the reference implementation's description, twice two
        thirds of the nose's length and of the eyes' distance, with the nose taken as 27-33 and
        the eyes at their centres. "paper-fixed" supposes that a "1 +" was lost: twice (1 + 2/3)
        of the nose's length 27-33 and of the inner eye corners' distance 39-42. Both stretch
        the face when the two lengths differ.
    """
    iod = float(interocular_distance(points))
    if params.geometry == "iod":
        return params.crop_scale * iod, params.crop_scale * iod
    nose = float(np.linalg.norm(points[33] - points[27]))
    if params.geometry == "paper-literal":
        return 4 / 3 * iod, 4 / 3 * nose
    return 10 / 3 * float(np.linalg.norm(points[42] - points[39])), 10 / 3 * nose


def crop_transform(points: NDArray[np.float64], params: AlignParams) -> Transform:
    """Give the transform from the crop to the frame in which `points` were found.

    Args:
        points: the 68 points of one face, shape (68, 2), source pixels.
        params: `geometry`, `crop_scale` and `size` are used.

    Returns:
        Shape (2, 3): crop coordinates to source coordinates. The crop is centred on the nose
        tip and its rows run along the line from the left to the right eye centre.
    """
    left, right = eye_centres(points)
    cosine, sine = (right - left) / np.linalg.norm(right - left)
    width, height = crop_extent(points, params)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    matrix = turn * (np.array([width, height]) / params.size)
    middle = np.full(2, (params.size - 1) / 2)
    shift = points[NOSE_TIP] - matrix @ middle
    return np.column_stack([matrix, shift])


def oversampling(transform: Transform) -> tuple[int, int]:
    """Give how many samples per crop pixel `resample` must average, along x and y.

    A clip must be sampled with one choice throughout: a change between two frames would show
    as events everywhere.

    Returns:
        (1, 1) as long as one crop pixel covers at most 2 source pixels, else enough samples
        that they lie at most one source pixel apart.
    """
    steps = np.linalg.norm(transform[:, :2], axis=0)
    if steps.max() <= 2:
        return 1, 1
    return math.ceil(steps[0]), math.ceil(steps[1])


def resample(grey: Frame, transform: Transform, size: int, samples: tuple[int, int]) -> Frame:
    """Cut one crop out of a frame, in a single bilinear sampling.

    Args:
        grey: luma, shape (h, w), uint8.
        transform: crop coordinates to `grey`'s coordinates, shape (2, 3).
        size: side of the crop, pixels.
        samples: samples per crop pixel along x and y, from `oversampling`; where there are
            several, the crop pixel is their mean.

    Returns:
        Shape (size, size), uint8. Outside the frame, the border's pixels are repeated.
    """
    import cv2

    fine = transform.copy()
    fine[:, :2] /= samples
    # sample k of crop pixel j lies at j + (k + 0.5) / samples - 0.5
    fine[:, 2] += transform[:, :2] @ (0.5 / np.array(samples) - 0.5)
    crop: Frame = cv2.warpAffine(
        grey,
        fine,
        (size * samples[0], size * samples[1]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if samples == (1, 1):
        return crop
    mean: Frame = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return mean


def share_outside(transform: Transform, size: int, width: int, height: int) -> float:
    """Give the share of the crop that lies outside the frame, from 0 to 1.

    Args:
        transform: crop to frame, shape (2, 3).
        size: side of the crop, pixels.
        width: frame width, pixels.
        height: frame height, pixels.
    """
    import cv2

    low, high = -0.5, size - 0.5
    corners = np.array([[low, low, 1], [high, low, 1], [high, high, 1], [low, high, 1]])
    crop = (corners @ transform.T).astype(np.float32)
    right, bottom = width - 0.5, height - 0.5
    frame = np.array([[low, low], [right, low], [right, bottom], [low, bottom]], np.float32)
    inside, _ = cv2.intersectConvexConvex(crop, frame)
    whole = abs(float(np.linalg.det(transform[:, :2]))) * size**2
    # the intersection comes in single precision
    return round(float(np.clip(1 - inside / whole, 0, 1)), 4)
