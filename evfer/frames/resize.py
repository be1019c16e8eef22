"""From the pixels of a region to the cells of a frame: the whole of resizing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.frames.params import Resize

__all__ = ["cells", "resized"]


def cells(limit: int, start: int, length: int, size: int, resize: Resize) -> NDArray[np.int64]:
    """Tell which frame cells each sensor pixel of an axis reaches.

    Args:
        limit: pixels of the sensor's axis.
        start: the region's first pixel.
        length: the region's pixels.
        size: the frame's cells.
        resize: how pixels become cells.

    Returns:
        First cell and the one after the last, int64, shape (limit, 2); equal where a pixel
        reaches none.
    """
    place = np.arange(limit, dtype=np.int64) - start
    if length == size:
        first, end = place, place + 1
    elif resize == "event":
        first = place * size // length
        end = first + 1
    elif resize == "nearest":  # cell i reads pixel floor(i length / size)
        first, end = -(-place * size // length), -(-(place + 1) * size // length)
    else:  # cell i reads pixels floor(i length / size) to ceil((i + 1) length / size) - 1
        first, end = place * size // length, -(-(place + 1) * size // length)
    outside = (place < 0) | (place >= length)
    return np.where(outside[:, None], 0, np.stack([first, end], axis=1))


def resized(frames: NDArray[Any], height: int, width: int, resize: Resize) -> NDArray[Any]:
    """Resize frames whose values stand already, shape (t, c, h, w) to (t, c, height, width)."""
    for axis, size in ((2, height), (3, width)):
        length = frames.shape[axis]
        if length == size:
            continue
        if resize == "nearest":
            frames = frames.take(np.arange(size) * length // size, axis=axis)
        else:
            frames = _pool(frames, size, axis)
    return frames


def _pool(frames: NDArray[Any], size: int, axis: int) -> NDArray[Any]:
    length = frames.shape[axis]
    parts = []
    for cell in range(size):
        pixels = slice(cell * length // size, -(-(cell + 1) * length // size))
        index = (*(slice(None),) * axis, pixels)
        parts.append(frames[index].max(axis=axis))
    return np.stack(parts, axis=axis)
