"""Where a spiking network looked: its spike rates on a few test clips, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from evfer import recordings
from evfer.bench.row_fields import Prediction
from evfer.bench.rows import ResultRow
from evfer.bench.trained import SUFFIX
from evfer.errors import EvferError
from evfer.pictures import LIGHT, accumulate, event_picture
from evfer.pictures.text import shorten
from evfer.report.draw.drawing import Drawing, Figure, finish
from evfer.report.draw.examples import find_recording
from evfer.report.read.comparison import Comparison
from evfer.report.read.results import Run
from evfer.report.read.setting import Setting

__all__ = ["ClipSpikes", "RateMap", "SpikeMaps", "collect_spike_maps", "spike_figure"]

_MOST_CLIPS = 4
_MOST_LAYERS = 5
_MOST_NETWORKS = 4
_SIDE = 160
"""Pixels of a map in the figure."""

_DARKEST = (0.0, 0.18, 0.42)
"""Colour of the highest rate; the lowest is white. One hue, so that it reads in grey too."""


@dataclass(frozen=True)
class RateMap:
    """Where one layer fired.

    Args:
        layer: its name.
        rates: spikes a neuron and step, mean over channels and steps, shape (h, w).
    """

    layer: str
    rates: NDArray[np.float64]


@dataclass(frozen=True)
class ClipSpikes:
    """What one network did on one clip.

    Args:
        said: its answer in the result row.
        label: the true class.
        answer: the predicted one.
        events: all of the clip's events as a picture, shape (h, w, 3).
        maps: a map a layer, in the order in which they work.
    """

    said: Prediction
    label: str
    answer: str
    events: NDArray[np.uint8]
    maps: tuple[RateMap, ...]


@dataclass(frozen=True)
class SpikeMaps:
    """What networks did on a few test clips, and in words why there is not more.

    Args:
        found: by the setting and the comparison.
        notes: sentences.
    """

    found: tuple[tuple[Comparison, Setting, tuple[ClipSpikes, ...]], ...] = ()
    notes: tuple[str, ...] = ()


def collect_spike_maps(
    comparisons: Sequence[Comparison], runs: Mapping[str, Run], data: Path | None
) -> SpikeMaps:
    """Run kept networks on test clips of their own fold.

    Args:
        comparisons: what was tested.
        runs: where weights and recipes lie.
        data: the data folder, if the caller knows it.

    Returns:
        The best network of each comparison whose weights are kept and that has spiking layers.
    """
    found: list[tuple[Comparison, Setting, tuple[ClipSpikes, ...]]] = []
    notes: dict[str, None] = {}
    files: dict[Path, dict[str, Path]] = {}
    kept = False
    for comparison in comparisons:
        for setting in comparison.settings:
            if len(found) == _MOST_NETWORKS:
                break
            placed = _find_weights(setting, runs, files)
            if placed is None:
                continue
            kept = True
            try:
                spike_maps = _run_clips(comparison, setting, *placed, runs, data)
            except EvferError as error:
                notes[f"{setting.name} on {comparison.name}: {error}"] = None
                continue
            if spike_maps:
                found.append((comparison, setting, spike_maps))
                break
            notes[f"{setting.name} has no layers of spiking neurons to show."] = None
    if not kept:
        notes["No run here keeps trained weights, so there is nothing to run clips through."] = None
    return SpikeMaps(tuple(found), tuple(notes))


def _find_weights(
    setting: Setting, runs: Mapping[str, Run], files: dict[Path, dict[str, Path]]
) -> tuple[ResultRow, Path] | None:
    """Find the first row whose tested weights are kept; `files` remembers what folders hold."""
    for row in setting.rows:
        run = runs.get(row.run)
        if run is None or run.folder is None or not row.predictions or not row.labels_sha256:
            continue
        if run.folder not in files:
            files[run.folder] = _list_weights(run.folder / "checkpoints")
        if not files[run.folder]:
            continue
        path = files[run.folder].get(row.key[:8])
        if path is not None:
            return row, path
    return None


def _list_weights(folder: Path) -> dict[str, Path]:
    """List files of tested weights by the digits that end their names."""
    found = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    return {path.name.removesuffix(SUFFIX).rpartition("-")[2]: path for path in found}


def _run_clips(
    comparison: Comparison,
    setting: Setting,
    row: ResultRow,
    weights: Path,
    runs: Mapping[str, Run],
    data: Path | None,
) -> tuple[ClipSpikes, ...]:
    from evfer.report.read.spike_rates_torch import rate_maps

    chosen = _choose(row)
    shown = [
        recordings.read(find_recording(comparison, said.clip_id, runs, data)) for said in chosen
    ]
    maps = rate_maps(row, weights, shown, _MOST_LAYERS)
    if not any(maps):
        return ()
    spike_maps = []
    for said, recording, layers in zip(chosen, shown, maps, strict=True):
        events, size = recording.events, recording.sensor_size
        end = int(events["t"][-1]) + 1 if len(events) else 1
        counts = accumulate(events, size, 0, end)
        # whole clips are full of events: only where there are many shows the face
        busy = np.maximum(0, counts - np.quantile(counts.max(axis=0), 0.7)).astype(np.int64)
        picture = event_picture(busy, LIGHT)
        label, answer = row.classes[said.label], row.classes[said.prediction]
        spike_maps.append(
            ClipSpikes(said, label, answer, picture, tuple(RateMap(n, r) for n, r in layers))
        )
    return tuple(spike_maps)


def _choose(row: ResultRow) -> list[Prediction]:
    """Choose the surest right answers of different classes, and the surest wrong ones."""
    chosen: list[Prediction] = []
    for right in (True, False):
        said = [item for item in row.predictions if item.right == right]
        said.sort(key=lambda item: (-(item.confidence or 0.0), item.clip_id))
        first: dict[int, Prediction] = {}
        for item in said:
            first.setdefault(item.label, item)
        chosen += list(first.values())[: _MOST_CLIPS // 2]
    return chosen


def spike_figure(
    comparison: Comparison, setting: Setting, spike_maps: Sequence[ClipSpikes], name: str
) -> Figure:
    """Draw a row a clip: its events, and beside them where each layer fired."""
    layers = [item.layer for item in spike_maps[0].maps]
    spans = [_span([clip.maps[i].rates for clip in spike_maps]) for i in range(len(layers))]
    columns = 1 + len(layers)

    def draw(drawing: Drawing) -> None:
        # one drawing for all, since laying many out takes seconds
        axes, theme = drawing.axes(), drawing.theme
        for row, clip in enumerate(spike_maps):
            _place(axes, _fit(clip.events, Image.Resampling.BOX), 0, row)
            mark = "right" if clip.said.right else "wrong"
            sure = "" if clip.said.confidence is None else f"\n{clip.said.confidence:.0%} sure"
            text = f"{shorten(clip.label, 14)}\n{mark}: {shorten(clip.answer, 14)}{sure}"
            axes.text(-0.1, row + 0.46, text, color=theme.ink, fontsize=8, ha="right", va="center")
            for column, item in enumerate(clip.maps, 1):
                picture = _paint(item.rates, spans[column - 1])
                _place(axes, _fit(picture, Image.Resampling.NEAREST), column, row)
        style: Any = {"color": theme.faint, "fontsize": 8, "ha": "center", "va": "bottom"}
        axes.text(0.46, -0.06, "events", **style)
        for column, (layer, span) in enumerate(zip(layers, spans, strict=True), 1):
            text = f"{shorten(layer, 16)}\n{span[0]:.2f} to {span[1]:.2f}"
            axes.text(column + 0.46, -0.06, text, **style)
        axes.set_xlim(-1.1, columns)
        axes.set_ylim(len(spike_maps), -0.45)
        axes.set_aspect("equal")
        axes.set_axis_off()

    said = (
        f"clip {clip.said.clip_id}, true {clip.label}, predicted {clip.answer}"
        for clip in spike_maps
    )
    title = f"Where {setting.name} fired on {comparison.name}"
    size = (1.1 * (columns + 1.1), 1.1 * (len(spike_maps) + 0.45))
    return finish(name, title, "; ".join(said), size, draw)


def _place(axes: Axes, picture: NDArray[np.uint8], column: int, row: int) -> None:
    height, width = picture.shape[:2]
    across, down = (0.92 * side / max(height, width) for side in (width, height))
    where = (column, column + across, row + down, row)
    axes.imshow(picture, interpolation="nearest", extent=where, aspect="auto")


def _span(maps: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    return min(float(rates.min()) for rates in maps), max(float(rates.max()) for rates in maps)


def _paint(rates: NDArray[np.float64], span: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = span
    share = ((rates - low) / (high - low) if high > low else np.zeros_like(rates))[..., None]
    return np.rint(255 * (1 - share * (1 - np.array(_DARKEST)))).astype(np.uint8)


def _fit(picture: NDArray[np.uint8], how: Image.Resampling) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    scale = _SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, how))
