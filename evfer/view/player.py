"""One clip as a page that plays it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.events import Columns
from evfer.pictures import accumulate, event_picture
from evfer.pictures.text import shorten
from evfer.view.clip import Clip, ViewParams
from evfer.view.packing import pack_events
from evfer.view.page import picture_address, write_page
from evfer.view.variants import PlayerParams, make_variants

__all__ = ["write_player"]

_SCRIPTS = ("bytes.js", "paint.js", "stage.js", "player.js")
_MOST_FRAMES = 150
_FRAME_SIDE = 240


def write_player(clip: Clip, path: Path, params: ViewParams, player: PlayerParams) -> None:
    """Write a clip as a self-contained HTML page that plays it.

    Args:
        clip: what to show; every event of it goes into the page.
        path: the file.
        params: `slowdown` sets the speed at which it opens.
        player: what to offer beside the events.

    Raises:
        OutputError: if `path` cannot be written.
    """
    size = clip.sensor_size
    columns = Columns.of(clip.events)
    end_us = max(clip.duration_us, int(columns.t[-1]) + 1 if len(columns.t) else 1)
    title, subtitle = shorten(clip.title, 200), shorten(clip.subtitle, 200)
    variants = make_variants(clip.events, size, clip.subtitle, player)
    data: dict[str, Any] = {
        "sensor": [size.width, size.height],
        "duration_us": end_us,
        "speed": 1 / params.slowdown,
        "window_us": params.window_s * 1e6 or 50_000,
        "events": pack_events(columns),
        "frames": _frames(clip),
        **variants,
    }
    write_page(
        path,
        "player.html",
        _SCRIPTS,
        data,
        title=title or subtitle or "clip",
        subtitle=subtitle if title else "",
        facts=clip.facts,
        sensor=size,
        has_frames=clip.frames is not None,
        thinned=_thinned(clip),
        seed=player.seed,
        left_out=variants["left_out"],
        sets=bool(player.augment or player.eda),
        still=_still(clip, params),
    )


def _frames(clip: Clip) -> dict[str, Any] | None:
    """Give source frames as JPEG, small enough that the page stays light."""
    if clip.frames is None:
        return None
    every = _thinned(clip)
    chosen = clip.frames[::every]
    height, width = chosen.shape[1:]
    scale = min(1.0, _FRAME_SIDE / max(height, width))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    times = np.rint(clip.frame_times_s[::every] * 1e6).astype(np.int64)
    return {
        "width": shape[0],
        "height": shape[1],
        "times_us": times.tolist(),
        "images": [picture_address(_grey(frame), "JPEG", shape) for frame in chosen],
    }


def _thinned(clip: Clip) -> int:
    """Tell that every n-th source frame goes into the page."""
    return 1 if clip.frames is None else -(-len(clip.frames) // _MOST_FRAMES)


def _grey(frame: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.clip(np.rint(frame.astype(np.float64)), 0, 255).astype(np.uint8)


def _still(clip: Clip, params: ViewParams) -> str:
    """Give the clip's busiest twelfth, for readers that run no script."""
    times = clip.events["t"]
    span = max(1, clip.duration_us // 12)
    start = 0
    if len(times):
        ends = np.searchsorted(times, times + span)
        start = int(times[int(np.argmax(ends - np.arange(len(times))))])
    counts = accumulate(clip.events, clip.sensor_size, start, start + span)
    return picture_address(event_picture(counts, params.colours), "PNG")
