"""The emulated event camera: frames in, events out, with a state that carries across calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evfer.emulator.params import MIN_THRESHOLD, DVSParams
from evfer.errors import ConfigError, EventsError
from evfer.events import MAX_TIME_US, RAW_DTYPE, Events, SensorSize

__all__ = ["DVSEmulator", "Seed", "log_response"]

Seed = int | Sequence[int] | np.random.SeedSequence
"""What fixes a sensor pattern: a number, several such as (seed, clip), or numpy's own kind."""

_LINEAR_BELOW = 20.0
_LOWEST_DRAWN = 0.01
_FLOAT_FRAMES_AT_ONCE = 32  # float frames take four times the memory as log intensity
_MOST_ROOM = 2**22  # events; buffers double up to here, or to what one frame needs


def log_response(levels: ArrayLike) -> NDArray[np.float32]:
    """Map luma to the pixel's log response, linear near black.

    Args:
        levels: luma, digital numbers 0 to 255, any shape, any real dtype.

    Returns:
        Natural-log response, dimensionless, 0 to 5.54, same shape.

    Source:
        SensorsINI/v2e, `v2ecore/emulator_utils.py`, `lin_log`, rounding to 8 decimals included;
        deviates: none.

    Example:
        >>> log_response([0, 20, 255])
        array([0.       , 2.9957323, 5.5412636], dtype=float32)
    """
    luma = np.asarray(levels, np.float64)
    slope = (1.0 / _LINEAR_BELOW) * math.log(_LINEAR_BELOW)
    response = np.where(
        luma <= _LINEAR_BELOW, luma * slope, np.log(np.maximum(luma, _LINEAR_BELOW))
    )
    return (np.rint(response * 1e8) / 1e8).astype(np.float32)


class DVSEmulator:
    """An event camera that watches frames; equal to v2e event for event.

    State carries across calls: a clip in one call, in blocks or frame by frame gives the same
    events, bit for bit. The first frame only sets the memory and makes no events. v2e's habits
    are kept: the time before the first frame counts as 0, so a clip that starts later has its
    first events spread from 0; a crossing late between two frames is timed at the first slot;
    times are multiples of what float32 can hold (1 us up to 16.8 s).

    Args:
        params: the pixel's settings; the benchmark's by default.
        seed: fixes the thresholds' pattern. 0 is a seed like any other.
        thresholds: ON and OFF thresholds, log units, each of shape (h, w) or a single number;
            they replace those drawn from `seed`.

    Raises:
        ConfigError: for a seed or thresholds that cannot be used.

    Source:
        SensorsINI/v2e, `v2ecore/emulator.py`, `EventEmulator`; deviates: thresholds come from
        numpy's generator, and the events of one instant stand in row-major order, unshuffled.

    Example:
        >>> frames = np.array([[[100, 100]], [[100, 140]]], np.uint8)
        >>> DVSEmulator(DVSParams(sigma_thres=0)).run(frames, [0.0, 0.5])["x"]
        array([1], dtype=int16)
    """

    def __init__(
        self,
        params: DVSParams | None = None,
        seed: Seed = 42,
        thresholds: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        self.params = DVSParams() if params is None else params
        if not isinstance(self.params, DVSParams):
            raise ConfigError(
                f"params of type {type(params).__name__}", expected="evfer.emulator.DVSParams"
            )
        self._seed = _seed_sequence(seed)
        self._given = None if thresholds is None else _check_thresholds(thresholds)
        self.reset()

    def reset(self) -> None:
        """Forget the frames seen, so that another clip can follow; the seed stays."""
        self._frames_seen = 0
        self._shape = (0, 0)
        self._last_frame_s = 0.0
        # not the first frame's time: v2e counts the first interval from 0
        self._previous_s = 0.0
        nothing = np.empty(0, np.float32)
        self._log_memory = self._last_event_s = self._pos_thres = self._neg_thres = nothing

    @property
    def log_memory(self) -> NDArray[np.float32]:
        """Log intensity that each pixel has memorised, shape (h, w); a copy.

        Raises:
            EventsError: before the first frame.
        """
        self._require_frame()
        return self._log_memory.reshape(self._shape).copy()

    @property
    def thresholds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """ON and OFF thresholds, log units, each of shape (h, w); copies.

        Raises:
            EventsError: before the first frame, which settles the shape.
        """
        self._require_frame()
        shape = self._shape
        return self._pos_thres.reshape(shape).copy(), self._neg_thres.reshape(shape).copy()

    def step(self, frame: ArrayLike, t_s: float) -> Events:
        """Watch one frame.

        Args:
            frame: luma 0 to 255, shape (h, w), uint8 or float.
            t_s: its time, seconds, not before the frame before.

        Returns:
            Events since the frame before, as `run` gives them.

        Raises:
            EventsError: as `run` does.
        """
        return self.run(_as_array(frame)[np.newaxis], [t_s])

    def run(self, frames: ArrayLike, times_s: ArrayLike) -> Events:
        """Watch a block of frames.

        Args:
            frames: luma 0 to 255, shape (n, h, w), uint8 or float. The first frame ever watched
                settles the size.
            times_s: time of each frame, seconds, shape (n,); may repeat, must not go back.

        Returns:
            Events of `RAW_DTYPE`, shape (n_events,), in order of time and, within an instant,
            row by row.

        Raises:
            EventsError: for frames or times that break these rules, naming the frame; the
                emulator is then as before the call.
        """
        block = _as_array(frames)
        self._check_frames(block)
        times = self._check_times(times_s, len(block))
        first = self._frames_seen == 0
        if first:
            self._start(block[0])
        self._frames_seen += len(block)
        self._last_frame_s = float(times[-1])
        return self._watch(block[1:], times[1:]) if first else self._watch(block, times)

    def _start(self, frame: NDArray[Any]) -> None:
        shape = (frame.shape[0], frame.shape[1])
        pos, neg = self._draw_thresholds(shape) if self._given is None else self._given
        if any(given.ndim and given.shape != shape for given in (pos, neg)):
            raise EventsError(
                f"frames of shape {shape}",
                expected=f"{pos.shape if pos.ndim else neg.shape}, the shape of the thresholds",
            )
        self._shape = shape
        self._pos_thres = np.broadcast_to(pos, shape).ravel()
        self._neg_thres = np.broadcast_to(neg, shape).ravel()
        self._log_memory = log_response(frame).ravel()
        refractory = np.float32(self.params.refractory_period_s)
        self._last_event_s = np.full(frame.size, -refractory, np.float32)

    def _draw_thresholds(self, shape: tuple[int, int]) -> _Thresholds:
        params = self.params
        if params.sigma_thres == 0:
            return np.array(params.pos_thres, np.float32), np.array(params.neg_thres, np.float32)
        rng = np.random.default_rng(self._seed)
        pos = rng.normal(params.pos_thres, params.sigma_thres, shape)
        neg = rng.normal(params.neg_thres, params.sigma_thres, shape)
        lowest = np.float32(_LOWEST_DRAWN)
        return np.maximum(pos.astype(np.float32), lowest), np.maximum(
            neg.astype(np.float32), lowest
        )

    def _watch(self, block: NDArray[Any], times_s: NDArray[np.float64]) -> Events:
        # numba takes long to load, and reading a recipe needs DVSParams only
        from evfer.emulator.pixel import simulate

        pieces: list[Events] = []
        room = self._log_memory.size
        at_once = len(block) if block.dtype == np.uint8 else _FLOAT_FRAMES_AT_ONCE
        for start in range(0, len(block), max(at_once, 1)):
            levels, logs = _encode(block[start : start + at_once])
            times = times_s[start : start + at_once]
            while len(times):
                events: Events = np.empty(room, RAW_DTYPE)
                done, written, needed, self._previous_s = simulate(
                    levels,
                    logs,
                    _LOG_OF_LEVEL,
                    times,
                    self._shape[1],
                    self._pos_thres,
                    self._neg_thres,
                    self.params.refractory_period_s,
                    self._previous_s,
                    self._log_memory,
                    self._last_event_s,
                    events,
                )
                pieces.append(events[:written])
                levels, logs, times = levels[done:], logs[done:], times[done:]
                room = max(needed, min(2 * room, _MOST_ROOM))
        return _join(pieces)

    def _require_frame(self) -> None:
        if self._frames_seen == 0:
            raise EventsError(
                "an emulator that has seen no frame",
                expected="at least one",
                hint="Call run or step first",
            )

    def _check_frames(self, block: NDArray[Any]) -> None:
        expected = "uint8 or float frames of shape (n, h, w)"
        if block.dtype != np.uint8 and block.dtype.kind != "f":
            raise EventsError(f"frames of dtype {block.dtype}", expected=expected)
        if block.ndim != 3:
            colour = block.ndim == 4 and block.shape[-1] in (3, 4)
            raise EventsError(
                f"frames of shape {block.shape}",
                expected=expected,
                hint="Convert colour to grey first" if colour else "",
            )
        if len(block) == 0:
            raise EventsError("no frames", expected="at least one")
        SensorSize(width=block.shape[2], height=block.shape[1])
        if self._frames_seen and block.shape[1:] != self._shape:
            raise EventsError(
                f"frame {self._frames_seen} of shape {block.shape[1:]}",
                expected=f"{self._shape}, as the frames before",
                hint="Call reset() before another clip",
            )
        if block.dtype != np.uint8 and not (block.min() >= 0 and block.max() <= 255):
            frame, y, x = np.argwhere(~((block >= 0) & (block <= 255)))[0]
            raise EventsError(
                f"frame {self._frames_seen + frame} has the value {block[frame, y, x]} "
                f"at row {y}, column {x}",
                expected="0 to 255",
            )

    def _check_times(self, times_s: ArrayLike, n_frames: int) -> NDArray[np.float64]:
        times = _as_array(times_s)
        if times.dtype.kind not in "fiu" or times.shape != (n_frames,):
            raise EventsError(
                f"times of shape {times.shape} and dtype {times.dtype}",
                expected=f"one number of seconds for each of {n_frames} frames",
            )
        times = np.ascontiguousarray(times, np.float64)
        latest = MAX_TIME_US / 1e6
        outside = np.flatnonzero(~((times >= 0) & (times <= latest)))
        if outside.size:
            frame = int(outside[0])
            raise EventsError(
                f"frame {self._frames_seen + frame} at {times[frame]} s",
                expected=f"times from 0 to {latest:g} s",
                hint="Subtract the first frame's time" if times[frame] > latest else "",
            )
        steps = np.diff(times, prepend=self._last_frame_s)
        back = np.flatnonzero(steps < 0)
        if back.size:
            frame = int(back[0])
            before = times[frame - 1] if frame else self._last_frame_s
            raise EventsError(
                f"frame {self._frames_seen + frame} at {times[frame]} s stands after one at "
                f"{before} s",
                expected="times that never go back",
                hint="Call reset() before another clip" if frame == 0 else "",
            )
        return times


_Thresholds = tuple[NDArray[np.float32], NDArray[np.float32]]


def _as_array(values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise EventsError(f"frames or times that differ in shape: {error}") from error


def _join(pieces: list[Events]) -> Events:
    # as bytes, since numpy joins structured arrays field by field and twenty times slower
    together = [np.empty(0, np.uint8), *(piece.view(np.uint8) for piece in pieces)]
    return np.concatenate(together).view(RAW_DTYPE)


def _encode(block: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    flat = np.ascontiguousarray(block).reshape(len(block), -1)
    if flat.dtype == np.uint8:
        return flat, np.empty((0, flat.shape[1]), np.float32)
    return np.empty((0, flat.shape[1]), np.uint8), log_response(flat)


def _seed_sequence(seed: Seed) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):
        return seed
    numbers = list(seed) if isinstance(seed, Sequence | np.ndarray) else [seed]
    if not numbers or not all(
        isinstance(number, int | np.integer) and not isinstance(number, bool) and number >= 0
        for number in numbers
    ):
        raise ConfigError(
            f"seed {seed!r}", expected="a whole number of at least 0, or several of them"
        )
    return np.random.SeedSequence([int(number) for number in numbers])


def _check_thresholds(thresholds: tuple[ArrayLike, ArrayLike]) -> _Thresholds:
    expected = f"(pos, neg), each at least {MIN_THRESHOLD} log units, of shape (h, w)"
    try:
        pos, neg = (np.array(each, np.float32) for each in thresholds)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"thresholds that are no arrays: {error}", expected=expected) from error
    for name, each in (("pos", pos), ("neg", neg)):
        if each.ndim not in (0, 2):
            raise ConfigError(f"{name} thresholds of shape {each.shape}", expected=expected)
        wrong = each[~((each >= MIN_THRESHOLD) & np.isfinite(each))]
        if wrong.size:
            raise ConfigError(f"{name} thresholds with the value {wrong[0]}", expected=expected)
    if pos.ndim and neg.ndim and pos.shape != neg.shape:
        raise ConfigError(
            f"pos thresholds of shape {pos.shape} and neg of {neg.shape}", expected=expected
        )
    return pos, neg


_LOG_OF_LEVEL = log_response(np.arange(256))
