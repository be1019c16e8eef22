"""What one picture of a recording needs, and how it should look."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError, EventsError, UnknownNameError
from evfer.events import Events, SensorSize, validate
from evfer.pictures import GROUNDS, Colours

__all__ = ["Clip", "ViewParams", "short_number"]

_MAX_PICTURES = 15_000
"""Ten minutes of film; whoever asks for more has most likely misplaced a digit."""
_LEAST_WINDOW_US = 50_000
"""Of a calm face less time shows dots, and no face."""


@dataclass(frozen=True)
class ViewParams:
    """How a recording is shown.

    Args:
        n_panels: event pictures in a contact sheet of one recording.
        clips_per_class: recordings of each class in a contact sheet of a data set.
        slowdown: seconds of a film for one second of events; 1 is real time.
        fps: pictures per second of a film, 1 to 50.
        window_s: how long events stay on show in a film, seconds of the recording; 0 takes the
            step between pictures, and at least 0.05 s.
        ground: "dark" or "light".
    """

    n_panels: int = 6
    clips_per_class: int = 6
    slowdown: float = 2.0
    fps: int = 25
    window_s: float = 0.0
    ground: str = "dark"

    def __post_init__(self) -> None:
        for name, low, high in (("n_panels", 1, 24), ("clips_per_class", 1, 24), ("fps", 1, 50)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} = {value}", expected=f"{low} to {high}")
        if not (math.isfinite(self.slowdown) and 0.01 <= self.slowdown <= 1000):
            raise ConfigError(f"slowdown = {self.slowdown}", expected="0.01 to 1000")
        if not (math.isfinite(self.window_s) and self.window_s >= 0):
            raise ConfigError(f"window_s = {self.window_s}", expected="0 or more seconds")
        if self.ground not in GROUNDS:
            raise UnknownNameError("ground", self.ground, GROUNDS)

    @property
    def colours(self) -> Colours:
        """The colours of the chosen ground."""
        return GROUNDS[self.ground]


@dataclass(frozen=True)
class Clip:
    """Events of one clip, with the words and source frames that stand beside them.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor that they lie on.
        duration_us: the clip's length, microseconds.
        title: in large type, such as the label; may be empty.
        subtitle: in small type, such as the clip's name; may be empty.
        frames: the grey source frames, 0 to 255, shape (m, h, w), or None.
        frame_times_s: when each frame begins, seconds from the clip's start, shape (m,).

    Raises:
        EventsError: if events, frames or times break the rules.
    """

    events: Events
    sensor_size: SensorSize
    duration_us: int
    title: str = ""
    subtitle: str = ""
    frames: NDArray[np.generic] | None = None
    frame_times_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        validate(self.events, self.sensor_size)
        if self.duration_us < 1:
            raise EventsError(f"a clip of {self.duration_us} us", expected="1 us or more")
        if self.frames is None:
            return
        times = np.asarray(self.frame_times_s)
        if self.frames.ndim != 3 or len(self.frames) == 0 or times.shape != (len(self.frames),):
            raise EventsError(
                f"source frames of shape {self.frames.shape} and times of shape {times.shape}",
                expected="grey frames (n, h, w) and times (n,), n at least 1",
            )
        if np.any(np.diff(times) < 0) or not np.isfinite(times).all():
            raise EventsError("times of source frames that go back", expected="rising times")

    @property
    def facts(self) -> str:
        """Number of events, length and mean rate in one line."""
        seconds = self.duration_us / 1e6
        rate = len(self.events) / seconds
        return f"{len(self.events):,} events · {seconds:.2f} s · {short_number(rate)} events/s"

    def film_steps(self, params: ViewParams, fps: float) -> list[tuple[int, int, int]]:
        """Cut the clip into the pictures of a film.

        Args:
            params: slowdown and window.
            fps: pictures per second.

        Returns:
            For each picture the moment it stands for, and the start and end of the window of
            events that it shows, all in microseconds.

        Raises:
            ConfigError: if the film would have more than 15000 pictures.
        """
        step_us = 1e6 / fps / params.slowdown
        n_pictures = max(1, math.ceil(self.duration_us / step_us - 1e-9))
        if n_pictures > _MAX_PICTURES:
            raise ConfigError(
                f"a film of {n_pictures} pictures",
                expected=f"at most {_MAX_PICTURES}",
                hint="Lower the slowdown or the fps",
            )
        window_us = params.window_s * 1e6 or max(step_us, _LEAST_WINDOW_US)
        ends = [min(round((i + 1) * step_us), self.duration_us) for i in range(n_pictures)]
        # events at the very end, or after a stated length that is too short, still show
        last = max(self.duration_us, int(self.events["t"][-1]) + 1 if len(self.events) else 0)
        ends[-1] = last
        return [(end, max(0, round(end - window_us)), end) for end in ends]


def short_number(value: float) -> str:
    """Write a count in a few characters.

    Examples:
        >>> short_number(118_210)
        '118.2 k'
    """
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return f"{value:.0f}"
