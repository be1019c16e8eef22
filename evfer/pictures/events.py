"""Events as colour pictures and rate curves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError
from evfer.events import Events, SensorSize

__all__ = [
    "DARK",
    "GROUNDS",
    "LIGHT",
    "Colours",
    "accumulate",
    "event_picture",
    "event_rates",
    "show_frame",
    "time_windows",
]

Rgb = tuple[int, int, int]

_FIRST_EVENT = 0.7
"""Share of the full colour that a pixel's first event shows; each further one adds as much of
the rest, so that single events are seen and busy pixels do not drown them."""


@dataclass(frozen=True)
class Colours:
    """Colours of an event picture and of what stands around it.

    Args:
        on: brightness went up.
        off: brightness went down.
        ground: no event.
        page: around the pictures.
        ink: text and lines.
        faint: text and lines of less weight.

    Source:
        The orange and blues are of M. Okabe and K. Ito's palette, "Color Universal Design",
        2008, which people with the common colour-vision deficiencies tell apart.
    """

    on: Rgb
    off: Rgb
    ground: Rgb
    page: Rgb
    ink: Rgb
    faint: Rgb

    @staticmethod
    def web(colour: Rgb) -> str:
        """Write a colour as HTML and matplotlib do, such as "#e69f00"."""
        return "#{:02x}{:02x}{:02x}".format(*colour)


DARK = Colours(
    on=(255, 170, 40),
    off=(86, 180, 233),
    ground=(28, 31, 37),
    page=(18, 20, 24),
    ink=(236, 238, 241),
    faint=(140, 148, 160),
)
LIGHT = Colours(
    on=(213, 94, 0),
    off=(0, 114, 178),
    ground=(243, 243, 240),
    page=(255, 255, 255),
    ink=(28, 31, 37),
    faint=(110, 116, 126),
)
GROUNDS = {"dark": DARK, "light": LIGHT}


def time_windows(duration_us: int, n_windows: int) -> list[tuple[int, int]]:
    """Cut a clip into windows of equal length that together cover it.

    Args:
        duration_us: the clip's length, microseconds, 1 or more.
        n_windows: how many, 1 or more.

    Returns:
        Start and end of each, microseconds; a window holds its start and not its end.

    Examples:
        >>> time_windows(10, 3)
        [(0, 3), (3, 6), (6, 10)]
    """
    edges = [duration_us * index // n_windows for index in range(n_windows + 1)]
    return list(itertools.pairwise(edges))


def accumulate(
    events: Events, sensor_size: SensorSize, start_us: int, end_us: int
) -> NDArray[np.int64]:
    """Count the events of each pixel and polarity in a window of time.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor that they lie on.
        start_us: first microsecond of the window.
        end_us: first microsecond after it.

    Returns:
        Counts, shape (2, h, w); channel 0 holds OFF events, channel 1 ON events.
    """
    first, last = np.searchsorted(events["t"], (start_us, end_us))
    part = events[first:last]
    width, height = sensor_size.width, sensor_size.height
    # int16 times a Python integer stays int16 and would wrap
    row = part["y"].astype(np.int64) + height * part["p"].astype(np.int64)
    cell = width * row + part["x"]
    counted = np.bincount(cell, minlength=2 * width * height)
    return counted.reshape(2, height, width)


def event_picture(counts: NDArray[np.int64], colours: Colours = DARK) -> NDArray[np.uint8]:
    """Paint counted events: ON and OFF colours on a neutral ground.

    Args:
        counts: events of each polarity and pixel, as `accumulate` gives them, shape (2, h, w).
        colours: what to paint with.

    Returns:
        Red, green and blue, 0 to 255, shape (h, w, 3). A pixel takes the colour of the polarity
        it has more of, the mean of both when they are equal, and stands out the more events it
        has.
    """
    off, on = counts.astype(np.float64)
    share_on = (0.5 + 0.5 * np.sign(on - off))[..., None]
    colour = share_on * np.array(colours.on) + (1 - share_on) * np.array(colours.off)
    strength = (1 - (1 - _FIRST_EVENT) ** (on + off))[..., None]
    mixed = strength * colour + (1 - strength) * np.array(colours.ground)
    return np.rint(mixed).astype(np.uint8)


def event_rates(events: Events, duration_us: int, n_bins: int) -> NDArray[np.float64]:
    """Give the rate of events over time.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        duration_us: the clip's length, microseconds; later events count to the last bin.
        n_bins: into how many equal bins of time the clip is cut.

    Returns:
        Events per second over the whole sensor, shape (2, n_bins); row 0 OFF, row 1 ON.
    """
    duration_us = max(duration_us, 1)
    bins = np.minimum(events["t"] * n_bins // duration_us, n_bins - 1)
    counted = np.bincount(bins + n_bins * events["p"], minlength=2 * n_bins)
    return counted.astype(np.float64).reshape(2, n_bins) * (1e6 * n_bins / duration_us)


def show_frame(
    frames: NDArray[np.generic], times_s: NDArray[np.float64], time_s: float
) -> NDArray[np.uint8]:
    """Pick the source frame that is on show at a time, as grey values.

    Args:
        frames: grey values 0 to 255, shape (n, h, w), n at least 1.
        times_s: when each frame begins, seconds from the clip's start, rising, shape (n,).
        time_s: the time asked for, seconds.

    Returns:
        The last frame that began at or before the time, else the first; shape (h, w).

    Raises:
        EventsError: if frames and times do not fit together.
    """
    if frames.ndim != 3 or len(frames) == 0 or times_s.shape != (len(frames),):
        raise EventsError(
            f"frames of shape {frames.shape} with times of shape {times_s.shape}",
            expected="frames (n, h, w) and times (n,), n at least 1",
        )
    index = max(0, int(np.searchsorted(times_s, time_s, side="right")) - 1)
    return np.clip(np.rint(frames[index].astype(np.float64)), 0, 255).astype(np.uint8)
