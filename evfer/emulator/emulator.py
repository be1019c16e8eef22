"""The emulated event camera: frames in, events out, with a state that carries across calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evfer.emulator.checks import (
    Seed,
    as_array,
    check_frames,
    check_thresholds,
    check_times,
    seed_sequence,
)
from evfer.emulator.noise import noise_key, noise_level
from evfer.emulator.params import DVSParams
from evfer.emulator.pattern import Pattern, draw_pattern
from evfer.emulator.response import LOG_OF_LEVEL, log_response, relative_speed
from evfer.emulator.state import Pixels, settle, start_pixels
from evfer.errors import ConfigError, EventsError
from evfer.events import RAW_DTYPE, Events

__all__ = ["DVSEmulator"]

_FLOAT_FRAMES_AT_ONCE = 16  # a float frame takes twelve times a byte's memory on its way
_EVENTS_AT_ONCE = 2**16  # to start with; they stay in the cache until they are copied


class DVSEmulator:
    """An event camera that watches frames; equal to v2e event for event.

    State carries across calls: a clip in one call, in blocks or frame by frame gives the same
    events, noise included, bit for bit. The first frame only sets the memory and makes no events.

    With `timing="slot"` v2e's habits are kept: the time before the first frame counts as 0, so a
    clip that starts later has its first events spread from 0; a crossing late between two frames
    is timed at the first slot; times are multiples of what float32 can hold (1 us up to 16.8 s);
    a frame's shot noise comes at its end. With `timing="crossing"` the first interval starts at
    the first frame, each event has its own instant, and shot noise any instant.

    Args:
        params: the pixel's settings; the benchmark's by default.
        seed: fixes the sensor's pattern and its noise. 0 is a seed like any other, save with
            `pattern="v2e"`, which takes one number from 1 up.
        thresholds: ON and OFF thresholds, log units, each of shape (h, w) or a single number;
            they replace those drawn from `seed`.

    Raises:
        ConfigError: for a seed or thresholds that cannot be used.

    Source:
        SensorsINI/v2e, `v2ecore/emulator.py`, `EventEmulator`; deviates: random
        numbers are other ones; the events of one instant stand in row-major order, unshuffled,
        those of shot noise after the rest.

    Examples:
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
        if self.params.backend != "evfer":
            raise ConfigError(
                f'backend "{self.params.backend}" for evfer\'s own emulator',
                expected='backend "evfer"',
                hint="evfer.emulator.create makes the camera that the parameters name",
            )
        self._seed = seed_sequence(seed)
        self._given = None if thresholds is None else check_thresholds(thresholds)
        self.reset()

    def reset(self) -> None:
        """Forget the frames seen, so that another clip can follow; the seed stays."""
        self._frames_seen = 0
        self._shape = (0, 0)
        self._last_s = 0.0
        self._pixels: Pixels | None = None
        self._levels: _Levels | None = None

    @property
    def log_memory(self) -> NDArray[Any]:
        """Log intensity that each pixel has memorised, shape (h, w); a copy.

        float32, or float64 behind a low-pass.

        Raises:
            EventsError: before the first frame.
        """
        return self._started().log_memory.reshape(self._shape).copy()

    @property
    def thresholds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """ON and OFF thresholds, log units, each of shape (h, w); copies.

        Raises:
            EventsError: before the first frame, which settles the shape.
        """
        pixels, shape = self._started(), self._shape
        return pixels.pos_thres.reshape(shape).copy(), pixels.neg_thres.reshape(shape).copy()

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
        return self.run(as_array(frame)[np.newaxis], [t_s])

    def run(self, frames: ArrayLike, times_s: ArrayLike) -> Events:
        """Watch a block of frames.

        Args:
            frames: luma 0 to 255, shape (n, h, w), uint8 or float. The first frame ever watched
                settles the size.
            times_s: time of each frame, seconds, shape (n,); may repeat, must not go back.

        Returns:
            Events of `RAW_DTYPE`, shape (n_events,), in order of time and, within an instant,
            row by row, shot noise last.

        Raises:
            EventsError: for frames or times that break these rules, naming the frame; the
                emulator is then as before the call.
        """
        block = as_array(frames)
        check_frames(block, self._frames_seen, self._shape)
        times = check_times(times_s, len(block), self._frames_seen, self._last_s)
        if self._frames_seen == 0:
            self._start(block[0], float(times[0]))
            block, times = block[1:], times[1:]
        return self._watch(block, times)

    def _start(self, frame: NDArray[Any], t_s: float) -> None:
        params, shape = self.params, (frame.shape[0], frame.shape[1])
        pattern = draw_pattern(params, self._seed, shape)
        if self._given is not None:
            pos, neg = self._given
            if any(given.ndim and given.shape != shape for given in (pos, neg)):
                raise EventsError(
                    f"frames of shape {shape}",
                    expected=f"{pos.shape if pos.ndim else neg.shape}, the shape of the thresholds",
                )
            pattern = Pattern(pos, neg, pattern.leak)
        self._signal = settle(params, shape[1])
        self._pixels = start_pixels(params, pattern, frame, t_s)
        self._key = noise_key(self._seed)
        self._events: Events = np.empty(_EVENTS_AT_ONCE, RAW_DTYPE)
        self._shape = shape
        # v2e counts the first interval from 0
        self._previous_s = t_s if params.timing == "crossing" else 0.0
        self._last_s = t_s
        self._frames_seen = 1
        still = params.cutoff_hz == params.leak_rate_hz == params.shot_noise_rate_hz == 0
        if still and frame.dtype == np.uint8:
            self._levels = _Levels(self._pixels, frame)

    def _watch(self, block: NDArray[Any], times_s: NDArray[np.float64]) -> Events:
        pixels = self._started()
        if block.dtype != np.uint8 and self._levels is not None:
            self._levels.hand_over(pixels)
            self._levels = None
        at_once = len(block) if block.dtype == np.uint8 else _FLOAT_FRAMES_AT_ONCE
        watch = self._watch_signals if self._levels is None else self._watch_levels
        n_frames, n_done, n_made = len(times_s), 0, 0
        # as bytes, since numpy copies structured arrays field by field
        made = np.empty(0, np.uint8)
        while n_done < n_frames:
            rows = slice(n_done, n_done + at_once)
            written, done = watch(block[rows].reshape(-1, pixels.noise.size), times_s[rows])
            n_done += done
            piece = self._events[:written].view(np.uint8)
            if n_made + piece.size > made.size:
                # for all, at the rate so far; what stays empty is never touched
                room = (n_made + piece.size) * n_frames // n_done
                earlier, made = made, np.empty(room + room // 4 * (n_done < n_frames), np.uint8)
                made[:n_made] = earlier[:n_made]
            made[n_made : n_made + piece.size] = piece
            n_made += piece.size
            self._frames_seen += done
            self._last_s = self._previous_s = float(times_s[n_done - 1])
        return made[:n_made].view(RAW_DTYPE)

    def _watch_levels(self, block: NDArray[Any], times_s: NDArray[np.float64]) -> tuple[int, int]:
        # numba takes long to load, and reading a recipe needs DVSParams only
        from evfer.emulator.levels import watch_levels

        levels, pixels, signal = self._levels, self._started(), self._signal
        assert levels is not None
        self._events, written, done = watch_levels(
            np.ascontiguousarray(block),
            times_s,
            levels.previous,
            self._previous_s,
            signal.width,
            signal.at_crossings,
            signal.refractory_period_s,
            pixels.pos_thres,
            pixels.neg_thres,
            pixels.log_memory,
            pixels.last_event_s,
            levels.lowest,
            levels.highest,
            self._events,
        )
        levels.previous = block[done - 1].copy()
        return written, done

    def _watch_signals(self, block: NDArray[Any], times_s: NDArray[np.float64]) -> tuple[int, int]:
        from evfer.emulator.signals import watch_signals

        levels = np.empty((len(block), 0), np.uint8)
        logs, speeds = np.empty(levels.shape, np.float32), np.empty(levels.shape)
        if block.dtype == np.uint8:
            levels = np.ascontiguousarray(block)
        else:
            logs, speeds = log_response(block), relative_speed(block)
        noise_levels = np.zeros(len(times_s))
        if self.params.photoreceptor_noise:
            steps = np.diff(times_s, prepend=self._previous_s)
            noise_levels[:] = [noise_level(self.params, float(step)) for step in steps]
        self._events, written, done = watch_signals(
            levels,
            logs,
            speeds,
            times_s,
            noise_levels,
            self._previous_s,
            self._frames_seen,
            self._key,
            self._signal,
            self._started(),
            self._events,
        )
        return written, done

    def _started(self) -> Pixels:
        if self._pixels is None:
            raise EventsError(
                "an emulator that has seen no frame",
                expected="at least one",
                hint="Call run or step first",
            )
        return self._pixels


class _Levels:
    """What the fast path for whole grey levels keeps besides the pixels' state."""

    def __init__(self, pixels: Pixels, frame: NDArray[np.uint8]) -> None:
        from evfer.emulator.levels import quiet_levels

        self.previous = frame.ravel().copy()
        self.lowest = np.empty(frame.size, np.uint8)
        self.highest = np.empty(frame.size, np.uint8)
        quiet_levels(
            pixels.pos_thres, pixels.neg_thres, pixels.log_memory, self.lowest, self.highest
        )

    def hand_over(self, pixels: Pixels) -> None:
        """Bring the state up to what the general path keeps."""
        pixels.response[:] = LOG_OF_LEVEL[self.previous]
