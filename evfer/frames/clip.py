"""One clip's events to its frames."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError, EventsError
from evfer.events import Events, SensorSize
from evfer.frames.histogram import NOWHERE, collect, collect_cells, collect_ranges
from evfer.frames.params import Edge, FramesParams, Kind, Resize
from evfer.frames.representations import fill_surface
from evfer.frames.resize import cells, resized
from evfer.frames.slicing import step_bounds
from evfer.region import Region

__all__ = ["cell_tables", "fill_frames", "to_frames"]

_X, _Y, _TIME = range(3)


def to_frames(
    events: Events,
    sensor_size: SensorSize = SensorSize(200, 200),  # noqa: B008 (frozen)
    n_steps: int = 6,
    kind: Kind = "time_bins",
    edge: Edge = "exact",
    binary: bool = True,
    size: int | None = None,
    resize: Resize = "maxpool",
    event_count: int = 2500,
    tau_us: float = 50_000.0,
    bits: int = 8,
    region: Region | None = None,
) -> NDArray[np.float32]:
    """Collect a clip's events on frames.

    Args:
        events: structured events with fields t, x, y and p, shape (n,), sorted by time; n may
            be 0.
        sensor_size: the sensor that the coordinates belong to.
        n_steps: see `FramesParams`, as for the next eight.
        kind: how the clip is cut into steps, and what a cell holds.
        edge: how equal durations are rounded.
        binary: ones instead of counts.
        size: side of the square frame in pixels, or None to keep the region's size.
        resize: how pixels become cells.
        event_count: events a frame for the counting kinds.
        tau_us: time constant of the decaying kinds, microseconds.
        bits: digits of "binary_code".
        region: the part of the sensor that fills the frame; by default all of it.

    Returns:
        Frames, float32, shape (t, c, h, w); channel 0 holds negative, 1 positive events. An
        empty clip gives frames of zeros.

    Raises:
        EventsError: if events lie off the sensor or go back in time.
        ConfigError: if a setting cannot be used.

    Examples:
        >>> events = np.array([(3, 1, True, 10)], [("x", "<i2"), ("y", "<i2"), ("p", "?"),
        ...     ("t", "<i8")])
        >>> frames = to_frames(events, SensorSize(8, 4), n_steps=2)
        >>> frames.shape, float(frames[0, 1, 1, 3]), float(frames.sum())
        ((2, 2, 4, 8), 1.0, 1.0)
    """
    if not isinstance(sensor_size, SensorSize):
        raise ConfigError(
            f"a sensor's size of type {type(sensor_size).__name__}",
            expected="SensorSize(width, height)",
        )
    params = FramesParams(
        n_steps, kind, edge, binary, size, resize, event_count, tau_us=tau_us, bits=bits
    )
    region = region or Region(0, 0, sensor_size.width, sensor_size.height)
    x, y, p, t = _columns(events, sensor_size)
    steps = len(step_bounds(t, params)) if kind == "count" else n_steps
    shape = params.shape(region, steps)
    # ones are collected as bytes, a quarter of the memory to walk about in
    frames = np.zeros(shape, np.uint8 if binary else np.float32)
    fill_frames(frames, x, y, p, t, sensor_size, params, region)
    return frames.astype(np.float32, copy=False)


def fill_frames(
    frames: NDArray[Any],
    x: NDArray[np.int16],
    y: NDArray[np.int16],
    p: NDArray[np.bool_],
    t: NDArray[Any],
    sensor_size: SensorSize,
    params: FramesParams,
    region: Region,
) -> None:
    """Collect a clip's events on frames that the caller owns; the loader's way in.

    Args:
        frames: zeros of any number type, shape (t, c, h, w), in C order; filled here.
        x: columns, shape (n,).
        y: rows, likewise.
        p: polarities, likewise.
        t: sorted times in microseconds, likewise; the order is not checked.
        sensor_size: the sensor that the coordinates belong to.
        params: how events become frames.
        region: the part of the sensor that fills the frame.

    Raises:
        EventsError: if an event that is used lies off the sensor.
        ConfigError: if a setting cannot be used.
    """
    bounds = step_bounds(t, params)
    shape = params.shape(region, len(bounds) if params.kind == "count" else None)
    if frames.shape != shape:
        raise ConfigError(f"frames of shape {frames.shape}", expected=str(shape))
    whole = Region(0, 0, sensor_size.width, sensor_size.height)
    signs = p.view(np.uint8)
    pooled = _pooled(params, region)
    grid = frames
    if pooled:
        grid = np.zeros((*shape[:2], region.height, region.width), frames.dtype)
    height, width = grid.shape[2:]
    flat, area = grid.reshape(-1), width * height
    plain = region == whole == Region(0, 0, width, height) and not params.real
    tables = None if plain else cell_tables(sensor_size, region, params)
    if not plain and (params.real or tables is None):
        ranges = _cell_ranges(sensor_size, region, width, height, params)
    if params.real:
        wrong = fill_surface(grid, x, y, signs, t, bounds, *ranges, params)
    elif plain:
        wrong = collect(flat, x, y, signs, bounds, width, height, params.binary)
    elif tables is not None:
        wrong = collect_cells(flat, x, y, signs, bounds, *tables, area, params.binary)
    else:
        wrong = collect_ranges(grid, x, y, signs, bounds, *ranges, params.binary)
    if wrong >= 0:
        raise EventsError(
            f"event {wrong} at x = {x[wrong]}, y = {y[wrong]}",
            expected=f"a place on a sensor of {sensor_size.width} x {sensor_size.height}",
        )
    if pooled:
        frames[:] = resized(grid, *shape[2:], params.resize)


@functools.lru_cache(maxsize=64)  # clips that are not cropped share one region
def cell_tables(
    sensor_size: SensorSize, region: Region, params: FramesParams
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]] | None:
    """Give the tables that `collect_cells` takes, columns and rows.

    Returns:
        None where a pixel reaches more cells than they can say, or values are resized only once
        they stand.
    """
    if _pooled(params, region):
        return None
    _, _, height, width = params.shape(region)
    columns, rows = _cell_ranges(sensor_size, region, width, height, params)
    reach = max(int((axis[:, 1] - axis[:, 0]).max(initial=0)) for axis in (columns, rows))
    if reach > 1 + params.binary:
        return None
    return _corners(columns, 1, reach), _corners(rows, width, reach)


def _pooled(params: FramesParams, region: Region) -> bool:
    # ones are resized while they are collected; other values have to stand first
    resized_later = params.size is not None or region.fills is not None
    return not params.binary and resized_later and params.resize != "event"


def _cell_ranges(
    sensor_size: SensorSize, region: Region, width: int, height: int, params: FramesParams
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    columns = cells(sensor_size.width, region.left, region.width, width, params.resize)
    return columns, cells(sensor_size.height, region.top, region.height, height, params.resize)


def _corners(axis: NDArray[np.int64], stride: int, reach: int) -> NDArray[np.uint32]:
    """Give the first and, where some reach two, the last cell of each sensor pixel."""
    ends = np.stack([axis[:, 0], axis[:, 1] - 1][: max(reach, 1)]) * stride
    return np.where(axis[:, 0] == axis[:, 1], NOWHERE, ends).astype(np.uint32)


def _columns(
    events: Events, sensor_size: SensorSize
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[Any]]:
    """Take structured events apart, without copying them where their types allow."""
    names = getattr(getattr(events, "dtype", None), "names", None)
    if not names or not {"x", "y", "p", "t"} <= set(names) or events.ndim != 1:
        raise EventsError(
            f"events of {getattr(events, 'dtype', type(events).__name__)}",
            expected="one axis of records with fields t, x, y and p",
        )
    x, y, p, t = (events[name] for name in ("x", "y", "p", "t"))
    index, what = _first_wrong(x, y, t, sensor_size.width, sensor_size.height)
    if what == _TIME:
        raise EventsError(
            "events that go back in time",
            expected="events sorted by time",
            hint='Sort them first: events[np.argsort(events["t"], kind="stable")]',
        )
    if index >= 0:
        name, limit = ("x", sensor_size.width) if what == _X else ("y", sensor_size.height)
        raise EventsError(
            f"an event at {name} = {events[name][index]}", expected=f"0 to {limit - 1}"
        )
    t = t if t.dtype == np.int64 else t.astype(np.int64)
    small = x.dtype == y.dtype == np.int16
    x, y = (x, y) if small else (x.astype(np.int16), y.astype(np.int16))
    return x, y, p if p.dtype == np.bool_ else p > 0, t


@numba.njit(nogil=True, cache=True)
def _first_wrong(
    x: NDArray[Any], y: NDArray[Any], t: NDArray[Any], width: int, height: int
) -> tuple[int, int]:
    """Give the index of the first event that breaks a rule, and which; -1 if none does."""
    for i in range(len(t)):
        if x[i] < 0 or x[i] >= width:
            return i, _X
        if y[i] < 0 or y[i] >= height:
            return i, _Y
        if i and t[i] < t[i - 1]:
            return i, _TIME
    return -1, 0
