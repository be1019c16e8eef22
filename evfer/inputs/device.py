"""The same augmenting and framing as tensors, for sets whose events lie on a GPU.

Draws are made on the CPU by the sample's own generator, as everywhere; only what they decide is
done here. The code runs on any device, and the tests hold it against the compiled walk on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evfer.errors import EventsError
from evfer.events import Columns, SensorSize
from evfer.frames import FramesParams
from evfer.frames.clip import cell_tables
from evfer.frames.histogram import NOWHERE
from evfer.frames.slicing import step_edges
from evfer.region import Region
from evfer.transforms import Augmentation, RandomMirror
from evfer.transforms.edits import (
    ClipSummary,
    DropBox,
    DropMask,
    DropSpan,
    EditPlan,
    PointEdits,
)

__all__ = ["EventsOnDevice", "make_frames_on"]


@dataclass(frozen=True, eq=False)
class EventsOnDevice:
    """A set's events as tensors on one device, 13 bytes an event.

    Args:
        offsets: where each clip's events begin, int64, shape (clips + 1,).
        sensor_size: the sensor that they share.
        x: columns of all events, int16.
        y: rows, int16.
        p: polarities, bool.
        t: times, int64 microseconds.
    """

    offsets: npt.NDArray[np.int64]
    sensor_size: SensorSize
    x: Tensor
    y: Tensor
    p: Tensor
    t: Tensor

    @staticmethod
    def on(
        columns: Columns,
        offsets: npt.NDArray[np.int64],
        sensor_size: SensorSize,
        device: torch.device,
    ) -> EventsOnDevice | None:
        """Copy events to a device; None where they would take more than half of the free memory."""
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if 13 * int(offsets[-1]) > free // 2:
                return None
        kinds = (np.int16, np.int16, np.bool_, np.int64)
        tensors = [
            torch.from_numpy(column.astype(kind)).to(device)
            for column, kind in zip(columns, kinds, strict=True)
        ]
        return EventsOnDevice(offsets, sensor_size, *tensors)

    def clip(self, clip: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """View a clip's columns."""
        span = slice(int(self.offsets[clip]), int(self.offsets[clip + 1]))
        return self.x[span], self.y[span], self.p[span], self.t[span]


def make_frames_on(
    held: EventsOnDevice,
    columns: Columns,
    clip: int,
    params: FramesParams,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
    rng: np.random.Generator | None = None,
) -> Tensor | None:
    """Make one clip's frames on the device; see `evfer.inputs.make_frames`.

    Args:
        held: the set on the device.
        columns: the clip's events on the CPU, from which augmentations are drawn.
        clip: position of the clip.
        params: how events become frames.
        augmentation: what to change; nothing by default.
        rng: the sample's generator; without it nothing is changed.

    Returns:
        Frames, shape (t, c, h, w), uint8 or float32, or None for settings that need the CPU:
        real-valued kinds, counts resized afterwards, augmentations of an outsider's, and several
        drops in a row.
    """
    size = held.sensor_size
    region, edits = Region(0, 0, size.width, size.height), EditPlan()
    steps = augmentation.of_stage("frames")
    if not all(isinstance(step, RandomMirror) for step in steps):
        return None
    if rng is not None:
        changed, edits = augmentation.plan(ClipSummary.of(columns, size), lambda: columns, rng)
        if changed is not None:  # more than one walk
            return None
        region = augmentation.on_region(size, rng)
    tables = None if params.real else cell_tables(size, region, params)
    if tables is None:
        return None
    device = held.t.device
    kind = torch.uint8 if params.binary else torch.float32
    frames = torch.zeros(params.shape(region), dtype=kind, device=device)
    x, y, p, t = _changed(held.clip(clip), edits, size)
    if len(t):
        _collect(frames, x, y, p, t, size, params, [_table(table, device) for table in tables])
    if rng is not None:
        for step in steps:
            side = step.draw(rng)
            if side:
                frames = _mirrored(frames, side)
    return frames


Events = tuple[Tensor, Tensor, Tensor, Tensor]


def _changed(events: Events, edits: EditPlan, sensor_size: SensorSize) -> Events:
    events = _points(events, edits.before, sensor_size.width)
    if edits.insert is not None:
        events = _merged(events, edits.insert)
    x, y, p, t = _points(events, edits.after, sensor_size.width)
    drop = edits.drop
    if drop is None:
        return x, y, p, t
    if isinstance(drop, DropMask):
        gone = _tensor(drop.mask, np.bool_, t.device)
    elif isinstance(drop, DropSpan):
        gone = (t >= drop.start) & (t <= drop.end)
    else:
        assert isinstance(drop, DropBox)
        gone = (x >= drop.left) & (x < drop.right) & (y >= drop.top) & (y < drop.bottom)
    kept = ~gone
    return x[kept], y[kept], p[kept], t[kept]


def _points(events: Events, points: PointEdits, width: int) -> Events:
    x, y, p, t = events
    if points.flip:
        x = width - 1 - x
    if points.mask is not None:
        p = p ^ _tensor(points.mask, np.bool_, p.device)
    if points.swap:
        p = ~p
    if points.sign < 0 or points.offset:
        t = points.sign * t + points.offset
    if points.sign < 0:
        return x.flip(0), y.flip(0), p.flip(0), t.flip(0)
    return x, y, p, t


def _merged(events: Events, more: Columns) -> Events:
    x, y, p, t = events
    device = t.device
    kinds = (np.int16, np.int16, np.bool_, np.int64)
    new = [_tensor(column, kind, device) for column, kind in zip(more, kinds, strict=True)]
    steps = torch.arange(len(new[3]), device=device)
    places = torch.searchsorted(t.contiguous(), new[3], right=True) + steps
    is_new = torch.zeros(len(t) + len(new[3]), dtype=torch.bool, device=device)
    is_new[places] = True
    old_places = (~is_new).nonzero().squeeze(1)
    merged = []
    for old, added in zip((x, y, p, t), new, strict=True):
        column = old.new_empty(len(is_new))
        column[old_places] = old
        column[places] = added
        merged.append(column)
    return merged[0], merged[1], merged[2], merged[3]


def _tensor(column: npt.NDArray[Any], kind: npt.DTypeLike, device: torch.device) -> Tensor:
    # always a copy: numpy calls one element read backwards contiguous, and torch does not
    return torch.from_numpy(np.array(column, kind, order="C")).to(device)


def _table(table: np.ndarray[tuple[int, ...], np.dtype[np.uint32]], device: torch.device) -> Tensor:
    cells = table.astype(np.int64)
    cells[table == NOWHERE] = -1
    return torch.from_numpy(cells).to(device)


def _collect(
    frames: Tensor,
    x: Tensor,
    y: Tensor,
    p: Tensor,
    t: Tensor,
    sensor_size: SensorSize,
    params: FramesParams,
    tables: list[Tensor],
) -> None:
    by_rank, found = step_edges(len(t), int(t[0]), int(t[-1]), params)
    edges = torch.from_numpy(found).to(t.device)
    key = torch.arange(len(t), device=t.device) if by_rank else t
    step = torch.searchsorted(edges, key, right=True) - 1
    used = (step >= 0) & (step < len(edges) - 1)
    x, y, p, step = x[used].long(), y[used].long(), p[used].long(), step[used]
    off = (x < 0) | (x >= sensor_size.width) | (y < 0) | (y >= sensor_size.height)
    if bool(off.any()):
        raise EventsError(
            "an event of the augmented clip lies off the sensor",
            expected=f"a place on a sensor of {sensor_size.width} x {sensor_size.height}",
        )
    columns, rows = tables
    inside = (columns[0, x] >= 0) & (rows[0, y] >= 0)
    x, y, p, step = x[inside], y[inside], p[inside], step[inside]
    flat, area = frames.view(-1), frames.shape[2] * frames.shape[3]
    base = (2 * step + p) * area
    if not params.binary:
        cell = base + rows[0, y] + columns[0, x]
        flat.index_add_(0, cell, torch.ones_like(cell, dtype=flat.dtype))
        return
    for row in rows:
        for column in columns:
            flat[base + row[y] + column[x]] = 1


def _mirrored(frames: Tensor, side: str) -> Tensor:
    half = frames.shape[-1] // 2
    result = frames.clone()
    if side == "left":
        result[..., frames.shape[-1] - half :] = frames[..., :half].flip(-1)
    else:
        result[..., :half] = frames[..., frames.shape[-1] - half :].flip(-1)
    return result
