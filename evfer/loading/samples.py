"""One clip to its frames, augmented if asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evfer.frames import FramesParams, fill_frames
from evfer.loading import fused
from evfer.loading.sets import EventSet
from evfer.region import Region
from evfer.transforms import Augmentation
from evfer.transforms.edits import Pass

__all__ = ["make_frames"]


def make_frames(
    data: EventSet,
    clip: int,
    params: FramesParams,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
    rng: np.random.Generator | None = None,
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Make one clip's frames, augmented if asked for.

    Args:
        data: the set.
        clip: position of the clip in the set.
        params: how events become frames.
        augmentation: what to change; nothing by default.
        rng: the sample's generator; without it nothing is changed.

    Returns:
        Frames, shape (t, c, h, w): uint8 zeros and ones, or float32 counts.
    """
    size = data.sensor_size
    region = Region(0, 0, size.width, size.height)
    columns, todo = data.columns(clip), Pass()
    if rng is not None:
        columns, todo = augmentation.plan(columns, size, rng)
        region = augmentation.on_region(size, rng)
    frames = np.zeros(params.shape(region), np.uint8 if params.binary else np.float32)
    if todo.empty or not fused.fill(frames, columns, todo, size, params, region):
        x, y, p, t = todo(columns, size)
        fill_frames(frames, x, y, p, t, size, params, region)
    return augmentation.on_frames(frames, rng) if rng is not None else frames
