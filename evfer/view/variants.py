"""Frames for the player: made here by the very code that trains, and only shown in the page.

A page of bounded size holds the clip's frames as the recipe and a few other framings make them,
and as the recipe makes them of a few draws of every augmentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError
from evfer.events import Events, SensorSize
from evfer.frames import FramesParams, step_bounds, to_frames, used_fraction
from evfer.frames.slicing import time_edges
from evfer.region import Region
from evfer.transforms import AUGMENTATIONS, build, sample_rng
from evfer.transforms.base import Augmentation
from evfer.view.packing import pack_cells

__all__ = ["PlayerParams", "framings", "make_variants"]

Tables = Sequence[Mapping[str, Any]]

_MOST_LETTERS = 8_000_000
"""Of packed frames in a page; what the recipe makes of the clip itself is always in it."""
_MOST_STEPS = 64
"""Of one variant; frames of a fixed number of events can be thousands."""
_N_STEPS = (1, 2, 3, 4, 6, 8, 10, 12, 16)

_ALWAYS = ("hflip", "noise", "reverse", "mirror_events", "mirror")
"""Shown alone, these act; with their own probability some draws would show nothing."""

_WORDS = {
    "hflip": "mirrored left to right",
    "noise": "events that nothing caused",
    "reverse": "played backwards, ON and OFF swapped",
    "polflip": "polarity of single events swapped",
    "eventdrop": "a time span, an area or single events left out, or nothing",
    "drop_events": "a share of the events left out",
    "drop_time": "a time span left out",
    "drop_area": "a rectangle left out",
    "mirror_events": "one half of the sensor stands for both",
    "shift": "the frame reads the sensor some pixels off",
    "scale": "the frame reads a larger or smaller part",
    "crop": "the frame reads a random rectangle",
    "mirror": "one half of the frame stands for both",
}


@dataclass(frozen=True)
class PlayerParams:
    """What a player offers beside the events.

    Args:
        frames: how the network gets them.
        recipe: name of the recipe that `frames` and `augment` are of; may be empty.
        augment: the recipe's augmentations, as `evfer.transforms.build` takes them.
        eda: more to choose from: a name to show, and its augmentations.
        seed: of all chance, 0 or more.
        draws: how often each augmentation is drawn, 1 to 9; draw k is that of epoch k of a run
            with this seed on fold 0.
        others: more framings to choose from: a name to show, and its settings.
    """

    frames: FramesParams = field(default_factory=FramesParams)
    recipe: str = ""
    augment: tuple[Mapping[str, Any], ...] = ()
    eda: tuple[tuple[str, Tables], ...] = ()
    seed: int = 0
    draws: int = 4
    others: tuple[tuple[str, FramesParams], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.draws <= 9:
            raise ConfigError(f"draws = {self.draws}", expected="1 to 9")
        if self.seed < 0:
            raise ConfigError(f"seed = {self.seed}", expected="0 or more")
        build(self.augment)
        for _, tables in self.eda:
            build(tables)


def framings(params: PlayerParams) -> list[tuple[str, FramesParams]]:
    """List the framings that a player offers: the recipe's, others, and other numbers of steps."""
    own = params.frames
    offered = [(f"recipe {params.recipe}" if params.recipe else "as set", own), *params.others]
    if own.kind != "count":  # which takes as many steps as the events fill
        offered += [(f"{n} step{'s' if n > 1 else ''}", replace(own, n_steps=n)) for n in _N_STEPS]
    # each once, under its first name
    names: dict[FramesParams, str] = {}
    for name, frames in offered:
        names.setdefault(frames, name)
    return [(name, frames) for frames, name in names.items()]


def make_variants(
    events: Events, sensor_size: SensorSize, clip_id: str, params: PlayerParams
) -> dict[str, Any]:
    """Make the frames that the player shows.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor that they lie on.
        clip_id: names the sample, as training names it.
        params: which, and how often.

    Returns:
        Plain data: `framings`, each with its frames; `augmentations`, each with what it does and
        how its draws differ from training's in words, and its draws, one where all are the same;
        and `left_out`, how many variants the page had no room for.
    """
    room, left_out = _MOST_LETTERS, 0
    shown: list[dict[str, Any]] = []
    augmentations: list[dict[str, Any]] = []

    def add(variants: list[dict[str, Any]], variant: dict[str, Any]) -> None:
        nonlocal room, left_out
        size = len(variant["cells"]["data"])
        if shown and size > room:
            left_out += 1
            return
        room -= size
        variants.append(variant)

    plain, *others = framings(params)
    add(shown, {"name": plain[0], **_variant(events, sensor_size, plain[1])})
    offered = _offered(params)
    built = [build(tables) for *_, tables in offered]
    augmentations += [
        {"name": name, "about": about, "chance": chance, "draws": []}
        for name, about, chance, _ in offered
    ]
    # the first draw of each, then the second, so that each is there where room is short
    for epoch in range(params.draws):
        for entry, augmentation in zip(augmentations, built, strict=True):
            rng = sample_rng(params.seed, 0, clip_id, epoch)
            add(
                entry["draws"],
                _variant(events, sensor_size, params.frames, augmentation, rng),
            )
    for name, frames in others:
        add(shown, {"name": name, **_variant(events, sensor_size, frames)})
    for entry in augmentations:
        # some leave nothing to chance
        if all(draw == entry["draws"][0] for draw in entry["draws"]):
            del entry["draws"][1:]
    augmentations = [entry for entry in augmentations if entry["draws"]]
    return {"framings": shown, "augmentations": augmentations, "left_out": left_out}


def _offered(params: PlayerParams) -> list[tuple[str, str, str, Tables]]:
    """List the augmentations: name, what it does, how it is drawn, and its tables."""
    named: list[tuple[str, Tables]] = list(params.eda)
    if params.augment:
        named.insert(0, (f"recipe {params.recipe}".strip(), params.augment))
    as_drawn = f"Drawn as training draws them, with seed {params.seed}, in its first epochs"
    offered = [
        (name, " + ".join(str(t.get("name")) for t in tables) or "nothing", as_drawn, tables)
        for name, tables in named
    ]
    return offered + [(name, _WORDS[name], *_alone(name, params.seed)) for name in AUGMENTATIONS]


def _alone(name: str, seed: int) -> tuple[str, Tables]:
    """Say how an augmentation is drawn that is shown alone, and give its tables."""
    if name in _ALWAYS:
        usual = AUGMENTATIONS[name].p
        words = f"Always acting here, so that it can be seen; training does so with p = {usual:g}"
        return f"{words} unless a recipe says otherwise", [{"name": name, "p": 1.0}]
    words = f"Drawn as training with seed {seed} draws it where a recipe changes no setting"
    return words, [{"name": name}]


def _variant(
    events: Events,
    sensor_size: SensorSize,
    params: FramesParams,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
    rng: np.random.Generator | None = None,
) -> dict[str, Any]:
    """Make one variant's frames, and tell what they show."""
    region = whole = Region(0, 0, sensor_size.width, sensor_size.height)
    n_recorded = len(events)
    if params.resize == "none":  # the same where sizes agree, and an augmentation may change them
        params = replace(params, resize="maxpool")
    if rng is not None:
        events = augmentation.on_events(events, sensor_size, rng)
        region = augmentation.on_region(sensor_size, rng)
    frames = to_frames(events, sensor_size, **vars(params), region=region)
    if rng is not None:
        frames = augmentation.on_frames(frames, rng)
    times, counts = _steps(events["t"], params)
    words = f"{len(events):,} events of {n_recorded:,}"
    if region != whole:
        words += (
            f"; frames read {region.width} × {region.height} pixels "  # noqa: RUF001
            f"from column {region.left}, row {region.top}"
        )
    # a region of changed events would lie wrong on those that the page plays
    outlined = region != whole and not augmentation.of_stage("events")
    return {
        "shape": [len(frames), *frames.shape[1:]],
        "real": params.real,
        "kind": params.kind,
        "cells": pack_cells(frames[:_MOST_STEPS]),
        "times_us": times[: _MOST_STEPS + 1],
        "counts": counts[:_MOST_STEPS],
        "used": used_fraction(events["t"], params),
        "region": [region.left, region.top, region.width, region.height] if outlined else None,
        "words": words,
    }


def _steps(times: NDArray[np.int64], params: FramesParams) -> tuple[list[float], list[int]]:
    """Give when each step begins and the last one ends, and each one's number of events."""
    n_events = len(times)
    first, last = (int(times[0]), int(times[-1])) if n_events else (0, 0)
    end = last + 1 if n_events else 0
    if params.kind == "voxel_grid":  # whose steps share events
        return np.linspace(first, end, params.n_steps + 1).tolist(), []
    bounds = step_bounds(times, params)
    if params.by_time:
        # the digits of a binary code are parts of a step
        counts = (bounds[:, 1] - bounds[:, 0]).reshape(params.n_steps, -1).sum(axis=1)
        edges = time_edges(n_events, first, last, params.n_steps, params.edge)
        return [float(edge) for edge in edges], counts.tolist()
    edges = [*bounds[:, 0], *bounds[-1:, 1]]
    begins = [float(times[edge]) if edge < n_events else float(end) for edge in edges]
    return begins or [0.0], (bounds[:, 1] - bounds[:, 0]).tolist()
