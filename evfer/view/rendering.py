"""A path, or events in memory, to a picture, a film or a page; the ending says which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer import formats, recordings
from evfer.errors import ConfigError, RecordingError
from evfer.events import Events, SensorSize
from evfer.view.clip import Clip, ViewParams
from evfer.view.dataset import choose_clips, describe_set
from evfer.view.variants import PlayerParams

__all__ = ["clip_of", "render", "render_events"]

Progress = Callable[[int, int], None]
"""Told how many steps are done, and of how many."""


def render(
    path: Path,
    out: Path,
    *,
    params: ViewParams | None = None,
    frames: NDArray[np.generic] | None = None,
    frame_times_s: NDArray[np.float64] | None = None,
    sensor_size: SensorSize | None = None,
    player: PlayerParams | None = None,
    progress: Progress | None = None,
) -> Path:
    """Show a recording, or a few recordings of every class of a data set.

    Args:
        path: a recording, or a converted data set's folder.
        out: where to write. A recording gives `.png` (panels over time), `.gif` or `.mp4` (a
            film) or `.html` (a player); a data set's folder gives a contact sheet, `.png` or
            `.html`, whose clips play.
        params: how it should look.
        frames: grey source frames to show beside a recording's events, shape (n, h, w).
        frame_times_s: when each frame begins, seconds from the clip's start, shape (n,).
        sensor_size: for recordings of other tools that do not name it.
        player: what a player offers beside the events.
        progress: told of a film's pictures and of a contact sheet's clips, as they are done.

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
        _check_ending(out, _SET_WRITERS, "a data set's folder")
        _render_set(path, out, params, progress)
        return out
    _check_ending(out, _WRITERS, "a recording")
    recording = formats.read_recording(path, sensor_size)
    clip = clip_of(recording, name=path.stem, frames=frames, frame_times_s=frame_times_s)
    _WRITERS[out.suffix.lower()](clip, out, params, player, progress)
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
    player: PlayerParams | None = None,
    progress: Progress | None = None,
) -> Path:
    """Show events in memory, as `render` shows a recording's.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor that they lie on.
        out: where to write: `.png`, `.gif`, `.mp4` or `.html`.
        params: how it should look.
        duration_us: the clip's length; by default up to the last event.
        frames: grey source frames, 0 to 255, shape (m, h, w), or None.
        frame_times_s: when each frame begins, seconds from the clip's start, shape (m,).
        title: in large type, such as the label.
        subtitle: in small type, such as the clip's name.
        player: what a player offers beside the events.
        progress: told of a film's pictures, as they are done.

    Returns:
        `out`.

    Raises:
        ConfigError: for an ending that is not written, or settings that do not fit.
        EventsError: if events, frames or times break the rules.
    """
    out = Path(out)
    _check_ending(out, _WRITERS, "a recording")
    recording = recordings.Recording(events, sensor_size, {})
    clip = clip_of(
        recording,
        title=title,
        subtitle=subtitle,
        duration_us=duration_us,
        frames=frames,
        frame_times_s=frame_times_s,
    )
    _WRITERS[out.suffix.lower()](clip, out, params or ViewParams(), player, progress)
    return out


def clip_of(
    recording: recordings.Recording,
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
    attributes: Mapping[str, Any] = recording.attributes
    events = recording.events
    last = int(events["t"][-1]) + 1 if len(events) else 1
    stated = attributes.get("duration_us")
    if duration_us is None:
        duration_us = stated if isinstance(stated, int) and stated > 0 else last
    times = np.zeros(0) if frame_times_s is None else np.asarray(frame_times_s, np.float64)
    return Clip(
        events,
        recording.sensor_size,
        duration_us,
        str(attributes.get("label_name", "")) if title is None else title,
        str(attributes.get("clip_id", name)) if subtitle is None else subtitle,
        frames,
        times,
    )


Writer = Callable[[Clip, Path, ViewParams, PlayerParams | None, Progress | None], None]


def _write_png(clip: Clip, out: Path, params: ViewParams, *_: object) -> None:
    from evfer.view.sheet import write_clip_sheet

    write_clip_sheet(clip, out, params)


def _write_gif(
    clip: Clip, out: Path, params: ViewParams, _: PlayerParams | None, progress: Progress | None
) -> None:
    from evfer.view.animation import write_gif

    write_gif(clip, out, params, progress)


def _write_mp4(
    clip: Clip, out: Path, params: ViewParams, _: PlayerParams | None, progress: Progress | None
) -> None:
    from evfer.view.animation import write_mp4

    write_mp4(clip, out, params, progress)


def _write_html(
    clip: Clip, out: Path, params: ViewParams, player: PlayerParams | None, _: Progress | None
) -> None:
    from evfer.view.player import write_player

    write_player(clip, out, params, player or PlayerParams())


_WRITERS: dict[str, Writer] = {
    ".png": _write_png,
    ".gif": _write_gif,
    ".mp4": _write_mp4,
    ".html": _write_html,
}
_SET_WRITERS = (".png", ".html")


def _render_set(folder: Path, out: Path, params: ViewParams, progress: Progress | None) -> None:
    entries = recordings.read_index(folder)
    if not entries:
        raise RecordingError(f"{folder}: its index names no recording", expected="one or more")
    chosen = choose_clips(entries, params.clips_per_class)
    total = sum(map(len, chosen.values()))
    rows: dict[str, list[Clip]] = {name: [] for name in chosen}
    done = 0
    for name, entry in ((name, entry) for name, group in chosen.items() for entry in group):
        recording = recordings.read(folder / entry.path)
        rows[name].append(clip_of(recording, title="", subtitle=entry.clip_id))
        done += 1
        if progress is not None:
            progress(done, total)
    title, subtitle = folder.resolve().name, describe_set(entries)
    if out.suffix.lower() == ".html":
        from evfer.view.gallery import write_gallery

        counts = Counter(entry.label_name for entry in entries)
        write_gallery(rows, out, title=title, subtitle=subtitle, counts=counts)
    else:
        from evfer.view.sheet import write_set_sheet

        write_set_sheet(rows, out, params, title=title, subtitle=subtitle)


def _check_ending(out: Path, endings: Iterable[str], what: str) -> None:
    if out.suffix.lower() not in endings:
        raise ConfigError(
            f'--out "{out.name}"',
            expected=f"{', '.join(endings)} as the ending, for {what}",
        )
