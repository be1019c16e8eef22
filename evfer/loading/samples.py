"""One clip to its frames, augmented if asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evfer.events import Columns
from evfer.frames import FramesParams, fill_frames
from evfer.frames.cut import step_edges
from evfer.loading import fused
from evfer.loading.cache import Packed
from evfer.loading.sets import EventSet
from evfer.region import Region
from evfer.transforms import Augmentation
from evfer.transforms.edits import DropBox, Pass

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
    region, walked, todo = Region(0, 0, size.width, size.height), None, Pass()
    if rng is not None:
        if augmentation.of_stage("events"):
            walked, todo = augmentation.plan(data.facts(clip), lambda: data.columns(clip), rng)
        region = augmentation.on_region(size, rng)
    frames = np.zeros(params.shape(region), np.uint8 if params.binary else np.float32)
    if todo.empty or params.real:
        columns = walked or _shown(data.packed, clip, params)
        x, y, p, t = todo(columns, size)
        fill_frames(frames, x, y, p, t, size, params, region)
    else:
        columns = walked or _telling(data.packed, clip, todo, params)
        time = columns.t.item if walked else data.packed.time_of(clip)
        walk = fused.Walk.over(columns, todo, size, params, time)
        if walked is None and not data.packed.whole(clip):  # else the window need not be known
            # ranks alone say what reaches a frame, until events are merged by their times
            names = ("x", "y", "p") if todo.insert is None else Columns._fields
            data.packed.need(clip, walk.window(time), names=names)
        fused.fill(frames, walk, size, params, region)
    return augmentation.on_frames(frames, rng) if rng is not None else frames


def _shown(packed: Packed, clip: int, params: FramesParams) -> Columns:
    """View a clip's events, those that reach a frame made sure of."""
    if params.real or params.by_time:
        return packed.clip(clip)
    _, edges = step_edges(packed.length(clip), 0, 0, params)
    packed.need(clip, (int(edges[0]), int(edges[-1])), names=("x", "y", "p"))
    return packed.peek(clip)


def _telling(packed: Packed, clip: int, todo: Pass, params: FramesParams) -> Columns:
    """View a clip's events, those made sure of that tell which ones reach a frame."""
    if params.by_time:
        return packed.clip(clip)
    if isinstance(todo.drop, DropBox):
        names = ("x", "y") if todo.insert is None else ("x", "y", "t")
        packed.need(clip, (0, packed.length(clip)), names=names)
    return packed.peek(clip)
