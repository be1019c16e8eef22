"""Pictures and films of recordings and data sets, for looking at them.

`render` takes a path, `render_events` events in memory, with source frames where there are some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer import index, store
from evfer.errors import ConfigError, RecordingError
from evfer.events import Events, SensorSize
from evfer.view.clip import Clip, ViewParams
from evfer.view.dataset import choose_clips, describe_set

__all__ = ["Clip", "ViewParams", "clip_of", "render", "render_events"]

_ENDINGS = (".png", ".gif", ".mp4")


def render(
    path: Path,
    out: Path,
    *,
    params: ViewParams | None = None,
    frames: NDArray[np.generic] | None = None,
    frame_times_s: NDArray[np.float64] | None = None,
    sensor_size: SensorSize | None = None,
) -> Path:
    """Show a recording, or a few recordings of every class of a data set.

    Args:
        path: a recording, or a converted data set's folder.
        out: where to write. A recording gives `.png` (panels over time), `.gif` or `.mp4` (a
            film); a data set's folder gives `.png`.
        params: how it should look.
        frames: grey source frames to show beside a recording's events, shape (n, h, w).
        frame_times_s: when each frame begins, seconds from the clip's start, shape (n,).
        sensor_size: for recordings of other tools that do not name it.

    Returns:
        `out`.

    Raises:
        ConfigError: for an ending that is not written, or settings that do not fit.
        RecordingError: if there is no recording at `path`, or it is damaged.
        SourceError: if a folder is no converted data set.
        OutputError: if `out` cannot be written.
    """
    path, out = Path(path), Path(out)
    params = params or ViewParams()
    if path.is_dir():
        _check_ending(out, (".png",), "a data set's folder")
        _render_set(path, out, params)
        return out
    _check_ending(out, _ENDINGS, "a recording")
    recording = store.read(path, sensor_size)
    clip = clip_of(recording, name=path.stem, frames=frames, frame_times_s=frame_times_s)
    _render_clip(clip, out, params)
    return out


def render_events(
    events: Events,
    sensor_size: SensorSize,
    out: Path,
    *,
    params: ViewParams | None = None,
    duration_us: int | None = None,
    frames: NDArray[np.generic] | None = None,
    frame_times_s: NDArray[np.float64] | None = None,
    title: str = "",
    subtitle: str = "",
) -> Path:
    """Show events in memory, as `render` shows a recording's.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor that they lie on.
        out: where to write: `.png`, `.gif` or `.mp4`.
        params: how it should look.
        duration_us: the clip's length; by default up to the last event.
        frames: grey source frames, 0 to 255, shape (m, h, w), or None.
        frame_times_s: when each frame begins, seconds from the clip's start, shape (m,).
        title: in large type, such as the label.
        subtitle: in small type, such as the clip's name.

    Returns:
        `out`.

    Raises:
        ConfigError: for an ending that is not written, or settings that do not fit.
        EventsError: if events, frames or times break the rules.
    """
    out = Path(out)
    _check_ending(out, _ENDINGS, "a recording")
    recording = store.Recording(events, sensor_size, {})
    clip = clip_of(
        recording,
        title=title,
        subtitle=subtitle,
        duration_us=duration_us,
        frames=frames,
        frame_times_s=frame_times_s,
    )
    _render_clip(clip, out, params or ViewParams())
    return out


def clip_of(
    recording: store.Recording,
    *,
    name: str = "",
    title: str | None = None,
    subtitle: str | None = None,
    duration_us: int | None = None,
    frames: NDArray[np.generic] | None = None,
    frame_times_s: NDArray[np.float64] | None = None,
) -> Clip:
    """Put a recording and its words together for showing.

    Args:
        recording: events and attributes; label, clip name and length are taken from these.
        name: stands for the clip where the recording does not name it.
        title: instead of the recording's label.
        subtitle: instead of the recording's clip name.
        duration_us: instead of the recording's length.
        frames: grey source frames, shape (m, h, w), or None.
        frame_times_s: when each frame begins, seconds; needed with frames.

    Raises:
        ConfigError: if frames come without times.
    """
    if frames is not None and frame_times_s is None:
        raise ConfigError("source frames without times", expected="frame_times_s beside frames")
    said: Mapping[str, Any] = recording.attributes
    events = recording.events
    last = int(events["t"][-1]) + 1 if len(events) else 1
    stated = said.get("duration_us")
    if duration_us is None:
        duration_us = stated if isinstance(stated, int) and stated > 0 else last
    times = np.zeros(0) if frame_times_s is None else np.asarray(frame_times_s, np.float64)
    return Clip(
        events,
        recording.sensor_size,
        duration_us,
        str(said.get("label_name", "")) if title is None else title,
        str(said.get("clip_id", name)) if subtitle is None else subtitle,
        frames,
        times,
    )


def _render_clip(clip: Clip, out: Path, params: ViewParams) -> None:
    _WRITERS[out.suffix.lower()](clip, out, params)


def _write_png(clip: Clip, out: Path, params: ViewParams) -> None:
    from evfer.view.sheet import write_clip_sheet

    write_clip_sheet(clip, out, params)


def _write_gif(clip: Clip, out: Path, params: ViewParams) -> None:
    from evfer.view.animation import write_gif

    write_gif(clip, out, params)


def _write_mp4(clip: Clip, out: Path, params: ViewParams) -> None:
    from evfer.view.animation import write_mp4

    write_mp4(clip, out, params)


_WRITERS: dict[str, Callable[[Clip, Path, ViewParams], None]] = {
    ".png": _write_png,
    ".gif": _write_gif,
    ".mp4": _write_mp4,
}


def _render_set(folder: Path, out: Path, params: ViewParams) -> None:
    from evfer.view.sheet import write_set_sheet

    entries = index.read_index(folder)
    if not entries:
        raise RecordingError(f"{folder}: its index names no recording", expected="one or more")
    rows = {
        name: [
            clip_of(store.read(folder / entry.path), title="", subtitle=entry.clip_id)
            for entry in chosen
        ]
        for name, chosen in choose_clips(entries, params.clips_per_class).items()
    }
    title = folder.resolve().name
    write_set_sheet(rows, out, params, title=title, subtitle=describe_set(entries))


def _check_ending(out: Path, endings: tuple[str, ...], what: str) -> None:
    if out.suffix.lower() not in endings:
        raise ConfigError(
            f'--out "{out.name}"',
            expected=f"{', '.join(endings)} as the ending, for {what}",
        )
