"""Contact sheets: one recording over time, or a few recordings of every class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evfer.files import whole_file
from evfer.pictures import (
    Colours,
    accumulate,
    event_picture,
    event_rates,
    show_frame,
    time_windows,
)
from evfer.pictures.drawing import fixed_style, png_bytes
from evfer.pictures.text import shorten
from evfer.view.clip import Clip, ViewParams, short_number

__all__ = ["write_clip_sheet", "write_set_sheet"]

_DPI = 150
_PANEL = 1.75
"""Side of a panel, inches."""
_GAP = 0.08
_MARGIN = 0.35


def write_clip_sheet(clip: Clip, path: Path, params: ViewParams) -> None:
    """Write one recording as a PNG: panels over time above the curve of its rate.

    Each panel holds all events of its window, so that no event of the clip is left out. Source
    frames, where there are any, stand above the panels, each from the middle of its window.
    """
    colours, n_panels = params.colours, params.n_panels
    last = int(clip.events["t"][-1]) + 1 if len(clip.events) else 0
    windows = time_windows(max(clip.duration_us, last), n_panels)
    tall = _PANEL * clip.sensor_size.height / clip.sensor_size.width
    n_rows = 1 if clip.frames is None else 2
    curve, head = 1.0, 0.75
    # a narrow sheet still has room for its title
    width = max(5.0, 2 * _MARGIN + n_panels * _PANEL + (n_panels - 1) * _GAP)
    height = head + n_rows * (tall + _GAP) + 0.25 + curve + 0.55
    with fixed_style():
        figure = Figure(figsize=(width, height), facecolor=Colours.web(colours.page))
        _write_head(figure, clip.title, f"{clip.subtitle} · {clip.facts}".strip(" ·"), colours)
        bottom = height - head - tall
        if clip.frames is not None:
            for index, (start, end) in enumerate(windows):
                axes = _place(figure, _MARGIN + index * (_PANEL + _GAP), bottom, _PANEL, tall)
                frame = show_frame(clip.frames, clip.frame_times_s, (start + end) / 2e6)
                axes.imshow(frame, cmap="gray", vmin=0, vmax=255, aspect="auto")
            bottom -= tall + _GAP
        for index, (start, end) in enumerate(windows):
            axes = _place(figure, _MARGIN + index * (_PANEL + _GAP), bottom, _PANEL, tall)
            counts = accumulate(clip.events, clip.sensor_size, start, end)
            axes.imshow(event_picture(counts, colours), interpolation="nearest", aspect="auto")
        _draw_curve(figure, clip, windows, (_MARGIN, 0.55, width - 2 * _MARGIN, curve), colours)
        data = png_bytes(figure, _DPI)
    with whole_file(path) as part:
        part.write_bytes(data)


def write_set_sheet(
    rows: Mapping[str, Sequence[Clip]], path: Path, params: ViewParams, *, title: str, subtitle: str
) -> None:
    """Write a few recordings of each class as a PNG, one row a class.

    Args:
        rows: recordings of each class, by the class's name.
        path: where to write.
        params: how.
        title: the data set's name.
        subtitle: what else to say about it.
    """
    colours = params.colours
    n_columns = max((len(clips) for clips in rows.values()), default=1)
    shapes = [clip.sensor_size for clips in rows.values() for clip in clips]
    tall = _PANEL * max((size.height / size.width for size in shapes), default=1.0)
    names, caption, head = 1.1, 0.22, 0.85
    width = max(5.0, 2 * _MARGIN + names + n_columns * (_PANEL + _GAP) - _GAP)
    height = head + len(rows) * (tall + caption + _GAP) + 0.5
    with fixed_style():
        figure = Figure(figsize=(width, height), facecolor=Colours.web(colours.page))
        _write_head(figure, title, subtitle, colours)
        bottom = height - head
        for name, clips in rows.items():
            bottom -= tall + caption + _GAP
            middle = bottom + caption + tall / 2
            _write(figure, name, _MARGIN, middle, colours.ink, size=12, weight="bold", va="center")
            for column, clip in enumerate(clips):
                left = _MARGIN + names + column * (_PANEL + _GAP)
                axes = _place(figure, left, bottom + caption, _PANEL, tall)
                axes.imshow(_busiest(clip, params), interpolation="nearest", aspect="auto")
                words = f"{clip.subtitle} · {short_number(len(clip.events))} events"
                _write(figure, words, left, bottom + caption - 0.05, colours.faint, size=6.5)
        note = "Each picture: the sixth of the clip with the most events."
        _write(figure, note, _MARGIN, 0.4, colours.faint, size=8)
        _legend(figure, width - _MARGIN, 0.4, colours)
        data = png_bytes(figure, _DPI)
    with whole_file(path) as part:
        part.write_bytes(data)


def _busiest(clip: Clip, params: ViewParams) -> NDArray[np.uint8]:
    # a whole clip smears: an expression rises and falls, and its two ways cancel out
    n_bins = 24
    per_bin = event_rates(clip.events, clip.duration_us, n_bins).sum(axis=0)
    span = n_bins // 6
    sums = np.convolve(per_bin, np.ones(span), mode="valid")
    first = int(np.argmax(sums))
    start, end = (clip.duration_us * edge // n_bins for edge in (first, first + span))
    counts = accumulate(clip.events, clip.sensor_size, start, end)
    return event_picture(counts, params.colours)


def _draw_curve(
    figure: Figure,
    clip: Clip,
    windows: Sequence[tuple[int, int]],
    box: tuple[float, float, float, float],
    colours: Colours,
) -> None:
    axes = _place(figure, *box)
    duration_us = windows[-1][1]
    n_bins = 240
    off, on = event_rates(clip.events, duration_us, n_bins)
    edges = np.linspace(0, duration_us / 1e6, n_bins + 1)
    axes.stairs(on, edges, fill=True, color=Colours.web(colours.on))
    axes.stairs(-off, edges, fill=True, color=Colours.web(colours.off))
    highest = max(float(on.max()), float(off.max()), 1.0)
    axes.set_ylim(-1.08 * highest, 1.08 * highest)
    axes.set_xlim(0, duration_us / 1e6)
    faint = Colours.web(colours.faint)
    axes.axhline(0, color=faint, linewidth=0.6)
    for _, end in windows[:-1]:
        axes.axvline(end / 1e6, color=faint, linewidth=0.5, linestyle=(0, (2, 3)))
    axes.xaxis.set_visible(True)
    axes.tick_params(colors=faint, labelsize=8, length=2)
    axes.set_xlabel("time in the clip, s", color=faint, fontsize=8)
    words = f"events/s in {duration_us / n_bins / 1e3:.3g} ms bins, top of scale"
    words += f" {short_number(1.08 * highest)}"
    bottom = box[1] - 0.4
    _write(figure, words, box[0], bottom, colours.faint, size=8)
    _legend(figure, box[0] + box[2], bottom, colours)


def _legend(figure: Figure, right: float, bottom: float, colours: Colours) -> None:
    for words, colour, shift in (("ON brighter", colours.on, 0.95), ("OFF darker", colours.off, 0)):
        _write(figure, words, right - shift, bottom, colour, size=8, ha="right", weight="bold")


def _write_head(figure: Figure, title: str, subtitle: str, colours: Colours) -> None:
    height = figure.get_size_inches()[1]
    room = int((figure.get_size_inches()[0] - 2 * _MARGIN) / 0.17)
    _write(figure, shorten(title, room), _MARGIN, height - 0.16, colours.ink, 15, weight="bold")
    _write(figure, shorten(subtitle, 2 * room), _MARGIN, height - 0.46, colours.faint, 9)


def _write(
    figure: Figure,
    text: str,
    left: float,
    top: float,
    colour: tuple[int, int, int],
    size: float,
    *,
    weight: str = "normal",
    ha: str = "left",
    va: str = "top",
) -> None:
    width, height = figure.get_size_inches()
    figure.text(
        left / width,
        top / height,
        shorten(text, 200),
        color=Colours.web(colour),
        fontsize=size,
        fontweight=weight,
        ha=ha,
        va=va,
    )


def _place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    whole_width, whole_height = figure.get_size_inches()
    axes = figure.add_axes(
        (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    )
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    axes.set_frame_on(False)
    return axes
