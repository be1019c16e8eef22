"""A data set as a page: one row a class, clips that play where the reader points."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.pictures import GROUNDS, Colours, accumulate
from evfer.pictures.text import shorten
from evfer.view.clip import Clip, short_number
from evfer.view.packing import pack
from evfer.view.page import picture_address, write_page

__all__ = ["film_cells", "write_gallery"]

_STEPS = 24
_MOST_SIDE = 112
_LEAST_WINDOW_US = 50_000
_LEVELS = (1, 2, 4)
"""Events from which on a cell has each of its three strengths."""
_STRENGTHS = (0.55, 0.8, 1.0)
_SCRIPTS = ("bytes.js", "paint.js", "stage.js", "gallery.js")


def write_gallery(
    rows: Mapping[str, Sequence[Clip]],
    path: Path,
    *,
    title: str,
    subtitle: str,
    counts: Mapping[str, int] | None = None,
) -> None:
    """Write a few recordings of each class as a self-contained page, one row a class.

    Args:
        rows: recordings of each class, by the class's name; their subtitles name them.
        path: where to write.
        title: the data set's name.
        subtitle: what else to say about it.
        counts: recordings that the set has of each class, by the class's name.

    Raises:
        OutputError: if `path` cannot be written.
    """
    films: list[dict[str, Any]] = []
    shown = []
    factors = {_factor(clip) for clips in rows.values() for clip in clips}
    for name, clips in rows.items():
        tiles = []
        for clip in clips:
            cells, factor = film_cells(clip)
            busiest = int(np.count_nonzero(cells, axis=(1, 2)).argmax())
            height, width = cells.shape[1:]
            tiles.append(
                {
                    "place": len(films),
                    "width": width,
                    "height": height,
                    "stills": {
                        name: picture_address(_still(cells[busiest], colours), "PNG")
                        for name, colours in GROUNDS.items()
                    },
                    "name": shorten(clip.subtitle, 60),
                    "words": f"{short_number(len(clip.events))} events, "
                    f"{clip.duration_us / 1e6:.2f} s"
                    + (f", pixels of {factor} × {factor}" if len(factors) > 1 else ""),  # noqa: RUF001
                }
            )
            films.append(
                {
                    "width": width,
                    "height": height,
                    "steps": _STEPS,
                    "busiest": busiest,
                    "duration_us": clip.duration_us,
                    "cells": pack(cells.reshape(-1)),
                }
            )
        total = (counts or {}).get(name, len(clips))
        words = f"{len(clips)} of {total:,}" if total > len(clips) else f"{len(clips)}"
        shown.append({"name": shorten(name, 60) or "no label", "words": words, "clips": tiles})
    write_page(
        path,
        "gallery.html",
        _SCRIPTS,
        {"clips": films, "strengths": list(_STRENGTHS)},
        title=shorten(title, 200),
        subtitle=subtitle,
        rows=shown,
        steps=_STEPS,
        window=f"{_STEPS}th",
        binned=_binned_words(factors),
    )


def _still(cells: NDArray[np.uint8], colours: Colours) -> NDArray[np.uint8]:
    """Paint a film's step as the page's script does, for readers that run no script."""
    both = np.mean([colours.on, colours.off], axis=0)
    ground = np.array(colours.ground, np.float64)
    table = [ground] + [
        ground + strength * (np.array(kind) - ground)
        for kind in (colours.off, colours.on, both)
        for strength in _STRENGTHS
    ]
    painted: NDArray[np.uint8] = np.floor(np.array(table) + 0.5).astype(np.uint8)[cells]
    return painted


def _factor(clip: Clip) -> int:
    """Give how many sensor pixels a side share a cell of a film."""
    return -(-max(clip.sensor_size.width, clip.sensor_size.height) // _MOST_SIDE)


def _binned_words(factors: Collection[int]) -> str:
    """Say how many sensor pixels a pixel of the page is; nothing where all are one."""
    low, high = min(factors, default=1), max(factors, default=1)
    if high == 1:
        return ""
    if low == high:
        return f"A pixel here is {high} × {high} of the sensor's."  # noqa: RUF001
    return (
        f"A pixel here is {low} × {low} to {high} × {high} of the sensor's, "  # noqa: RUF001
        "as each clip says."
    )


def film_cells(clip: Clip) -> tuple[NDArray[np.uint8], int]:
    """Boil a clip down to a small film of cells.

    Args:
        clip: what to show.

    Returns:
        Numbers of shape (steps, h, w), uint8: 0 where no event fell, else 1 to 9, namely
        1 + 3 kind + level with kind 0 OFF, 1 ON, 2 as many of both, and level 0 to 2 for 1, 2
        and 4 events or more; and how many sensor pixels a side share a cell.
    """
    size = clip.sensor_size
    factor = _factor(clip)
    height, width = -(-size.height // factor), -(-size.width // factor)
    cells = np.zeros((_STEPS, height, width), np.uint8)
    for step in range(_STEPS):
        end = clip.duration_us * (step + 1) // _STEPS
        if step == _STEPS - 1 and len(clip.events):
            end = max(end, int(clip.events["t"][-1]) + 1)
        start = min(clip.duration_us * step // _STEPS, end - _LEAST_WINDOW_US)
        counts = accumulate(clip.events, size, max(0, start), end)
        padded = np.zeros((2, height * factor, width * factor), np.int64)
        padded[:, : size.height, : size.width] = counts
        off, on = padded.reshape(2, height, factor, width, factor).sum(axis=(2, 4))
        kind = np.where(on > off, 1, np.where(off > on, 0, 2))
        level = np.digitize(off + on, _LEVELS) - 1
        cells[step] = np.where(level < 0, 0, 1 + 3 * kind + level)
    return cells, factor
