"""Refuses what no camera can watch, and names the frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evfer.emulator.params import MIN_THRESHOLD
from evfer.errors import ConfigError, EventsError
from evfer.events import MAX_TIME_US, SensorSize

__all__ = ["Seed", "as_array", "check_frames", "check_thresholds", "check_times", "seed_sequence"]

Seed = int | Sequence[int] | np.random.SeedSequence
"""What fixes a sensor pattern: a number, several such as (seed, clip), or numpy's own kind."""


def as_array(values: ArrayLike) -> NDArray[Any]:
    """Give frames or times as an array.

    Raises:
        EventsError: for frames that differ in shape.
    """
    try:
        return np.asarray(values)
    except ValueError as error:
        shapes = [np.shape(value) for value in values]  # type: ignore[union-attr]
        number = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
        raise EventsError(
            f"frame {number} of shape {shapes[number]}", expected=f"{shapes[0]}, as the first"
        ) from error


def check_frames(block: NDArray[Any], frames_seen: int, shape: tuple[int, int]) -> None:
    """Check that a block of frames can follow those seen.

    Args:
        block: frames as they came.
        frames_seen: how many came before.
        shape: theirs, (h, w); not looked at before the first.

    Raises:
        EventsError: naming the frame.
    """
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
    if frames_seen and block.shape[1:] != shape:
        raise EventsError(
            f"frame {frames_seen} of shape {block.shape[1:]}",
            expected=f"{shape}, as the frames before",
            hint="Call reset() before another clip",
        )
    if block.dtype != np.uint8 and not (block.min() >= 0 and block.max() <= 255):
        frame, y, x = np.argwhere(~((block >= 0) & (block <= 255)))[0]
        raise EventsError(
            f"frame {frames_seen + frame} has the value {block[frame, y, x]} "
            f"at row {y}, column {x}",
            expected="0 to 255",
        )


def check_times(
    times_s: ArrayLike, n_frames: int, frames_seen: int, last_s: float
) -> NDArray[np.float64]:
    """Check the times of a block of frames.

    Args:
        times_s: as they came.
        n_frames: frames in the block.
        frames_seen: frames before it.
        last_s: time of the last of those, seconds; 0 if there are none.

    Returns:
        The times, seconds, shape (n_frames,).

    Raises:
        EventsError: naming the frame.
    """
    times = as_array(times_s)
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
            f"frame {frames_seen + frame} at {times[frame]} s",
            expected=f"times from 0 to {latest:g} s",
            hint="Subtract the first frame's time" if times[frame] > latest else "",
        )
    back = np.flatnonzero(np.diff(times, prepend=last_s) < 0)
    if back.size:
        frame = int(back[0])
        before = times[frame - 1] if frame else last_s
        raise EventsError(
            f"frame {frames_seen + frame} at {times[frame]} s stands after one at {before} s",
            expected="times that never go back",
            hint="Call reset() before another clip" if frame == 0 else "",
        )
    return times


def check_thresholds(
    thresholds: tuple[ArrayLike, ArrayLike],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check ON and OFF thresholds, each a number or an array of shape (h, w).

    Raises:
        ConfigError: for thresholds too low, or of other shapes.
    """
    expected = f"(pos, neg), each at least {MIN_THRESHOLD} log units, of shape (h, w)"
    try:
        pos, neg = (np.array(each, np.float64) for each in thresholds)
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


def seed_sequence(seed: Seed) -> np.random.SeedSequence:
    """Give a seed as numpy's own kind.

    Raises:
        ConfigError: for anything but whole numbers of at least 0.
    """
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
