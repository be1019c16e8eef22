"""Example clips: what the camera saw and what the models said, right and wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evfer import recordings
from evfer.bench.row_fields import Prediction
from evfer.errors import EvferError, SourceError
from evfer.pictures import (
    DARK,
    accumulate,
    event_picture,
    event_rates,
    show_frame,
    time_windows,
)
from evfer.report.read.comparison import Comparison
from evfer.report.read.results import Run
from evfer.report.read.setting import Setting

__all__ = [
    "Answer",
    "Example",
    "Examples",
    "FrameLookup",
    "choose_examples",
    "collect",
    "find_recording",
]

N_STEPS = 24
"""Pictures in an example's film."""

Frames = tuple[NDArray[Any], NDArray[np.float64]]
FrameLookup = Callable[[Path], Frames | None]
"""From a recording's path to its aligned grey frames (n, h, w) and their times in seconds, such
as `evfer.convert.recover_frames`; may raise any `EvferError`."""

_SIDE = 200
"""Widest film in pixels; larger sensors are made smaller to keep the page light."""
_MOST = 12
_MOST_MODELS = 6
"""Settings of a comparison, the best first, whose answers are shown."""


@dataclass(frozen=True)
class Answer:
    """What one model said about a clip."""

    model: str
    prediction: str
    right: bool
    confidence: float | None


@dataclass(frozen=True)
class Example:
    """One clip as the page shows it.

    Attributes:
        events: `data:` address of a strip of `N_STEPS` event pictures side by side.
        frames: the same of source frames, or empty.
        on, off: outlines of the rate curve, as points of a 100 x 40 drawing.
        peak: the step with the most events, which still pictures show.
    """

    clip_id: str
    set_name: str
    label: str
    answers: tuple[Answer, ...]
    fold: int | None
    events: str
    frames: str
    aspect: float
    on: str
    off: str
    peak: int
    n_events: int
    seconds: float


@dataclass(frozen=True)
class Examples:
    """Clips to show, and in words why there are not more."""

    shown: tuple[Example, ...]
    note: str = ""


def choose_examples(comparison: Comparison) -> list[str]:
    """Choose clips by name: of each model its surest right and its surest wrong answer.

    A clip that an earlier model has taken is passed over for the next surest.
    """
    chosen: dict[str, None] = {}
    for right in (True, False):
        for setting in comparison.settings[:_MOST_MODELS]:
            said = [
                item
                for item in setting.predictions
                if item.right == right and item.clip_id not in chosen
            ]
            best = max(said, key=lambda item: (item.confidence or 0.0, item.clip_id), default=None)
            if best is not None:
                chosen[best.clip_id] = None
    return list(chosen)


def collect(
    comparisons: Sequence[Comparison],
    runs: Mapping[str, Run],
    data: Path | None,
    frames: FrameLookup | None,
) -> Examples:
    """Find the recordings of the chosen clips and make their films.

    Args:
        comparisons: what was tested.
        runs: for the data folders that the runs read.
        data: the data folder, if the caller knows it.
        frames: gives the source frames of a recording, where there are any.

    Returns:
        The films; a recording that is not there is told about and is no error.
    """
    wanted = [
        (comparison, clip_id)
        for comparison in comparisons
        for clip_id in choose_examples(comparison)
    ]
    if not wanted:
        return Examples((), "The rows hold no predictions, so there is no clip to show.")
    shown: list[Example] = []
    missing: list[str] = []
    for comparison, clip_id in wanted[:_MOST]:
        try:
            path = find_recording(comparison, clip_id, runs, data)
            recording = recordings.read(path)
        except EvferError as error:
            missing.append(str(error))
            continue
        beside = None
        try:
            beside = frames(path) if frames else None
        except EvferError as error:
            missing.append(str(error))
        shown.append(_example(comparison, clip_id, recording, beside))
    note = ""
    if missing:
        what = "clips cannot be shown in full"
        note = f"{len(missing)} of {len(wanted[:_MOST])} {what}: {missing[0]}"
    return Examples(tuple(shown), note)


def find_recording(
    comparison: Comparison, clip_id: str, runs: Mapping[str, Run], data: Path | None
) -> Path:
    """Give the path of a clip's recording.

    Raises:
        EvferError: saying why it cannot be found.
    """
    names = dict.fromkeys(row.run for setting in comparison.settings for row in setting.rows)
    stated = [runs[name].data for name in names if name in runs]
    folders = [data] if data is not None else [folder for folder in stated if folder]
    problem: EvferError = SourceError(
        "the runs do not say where the recordings lie", hint="Name the data folder with --data"
    )
    for folder in folders:
        try:
            there = recordings.find_set(folder, comparison.set_name)
            for entry in recordings.read_index(there):
                if entry.clip_id == clip_id:
                    return there / entry.path
            problem = SourceError(f"{clip_id} is not in {there}")
        except EvferError as error:
            problem = error
    raise problem


def _example(
    comparison: Comparison,
    clip_id: str,
    recording: recordings.Recording,
    beside: Frames | None,
) -> Example:
    events, size = recording.events, recording.sensor_size
    last = int(events["t"][-1]) + 1 if len(events) else 1
    stated = recording.attributes.get("duration_us")
    duration_us = max(last, stated if isinstance(stated, int) else 1)
    windows = time_windows(duration_us, N_STEPS)
    # each picture shows a tenth of the clip, longer than its step, or calm faces fall into dots
    trail = duration_us // 10
    pictures = [
        event_picture(accumulate(events, size, max(0, end - trail), end), DARK)
        for _, end in windows
    ]
    moments = [(start + end) / 2e6 for start, end in windows]
    rates = event_rates(events, duration_us, 96)
    label, fold, answers = _answers(comparison.settings[:_MOST_MODELS], clip_id)
    shown = [show_frame(*beside, moment) for moment in moments] if beside else []
    return Example(
        clip_id=clip_id,
        set_name=comparison.set_name,
        label=label,
        answers=answers,
        fold=fold,
        events=_strip(pictures, "PNG"),
        frames=_strip(shown, "JPEG") if shown else "",
        aspect=size.width / size.height,
        on=_outline(rates[1], float(rates.max()), -1),
        off=_outline(rates[0], float(rates.max()), 1),
        peak=int(event_rates(events, duration_us, N_STEPS).sum(axis=0).argmax()),
        n_events=len(events),
        seconds=duration_us / 1e6,
    )


def _answers(
    settings: Sequence[Setting], clip_id: str
) -> tuple[str, int | None, tuple[Answer, ...]]:
    label, fold, answers = "", None, []
    for setting in settings:
        # the first test of the clip stands for the model; others differ by seed or fold
        tests = [(row, s) for row in setting.rows for s in row.predictions if s.clip_id == clip_id]
        if not tests:
            continue
        row, said = tests[0]
        label, fold = row.classes[said.label], row.fold
        answers.append(_answer(setting, row.classes, said))
    return label, fold, tuple(answers)


def _answer(setting: Setting, classes: Sequence[str], said: Prediction) -> Answer:
    return Answer(setting.name, classes[said.prediction], said.right, said.confidence)


def _strip(pictures: Sequence[NDArray[np.uint8]], kind: str) -> str:
    images = [Image.fromarray(picture) for picture in pictures]
    width, height = images[0].size
    if width > _SIDE:
        height = max(1, round(height * _SIDE / width))
        width = _SIDE
        images = [image.resize((width, height), Image.Resampling.BOX) for image in images]
    strip = Image.new(images[0].mode, (width * len(images), height))
    for place, image in enumerate(images):
        strip.paste(image, (place * width, 0))
    buffer = io.BytesIO()
    if kind == "PNG":
        # few colours: a pixel is ground, or one of two colours in some steps
        strip.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            buffer, "PNG", optimize=True
        )
    else:
        strip.save(buffer, "JPEG", quality=82)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"


def _outline(rates: NDArray[np.float64], highest: float, sign: int) -> str:
    steps = np.linspace(0, 100, len(rates) + 1)
    heights = 20 + sign * 19 * rates / max(highest, 1e-9)
    corners = [f"{steps[0]:.1f},20"]
    for left, right, y in zip(steps[:-1], steps[1:], heights, strict=True):
        corners += [f"{left:.1f},{y:.1f}", f"{right:.1f},{y:.1f}"]
    return " ".join([*corners, "100,20"])
