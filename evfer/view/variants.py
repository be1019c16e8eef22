"""Augmentations for the player: chance is drawn here, what was drawn is done in the page.

What an augmentation changes is one of a few edits of whole numbers (`evfer.transforms.edits`), so
the page's script does exactly what training does; only drawing needs NumPy's generator. Events
that an augmentation from elsewhere gives are stored whole instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evfer.errors import ConfigError
from evfer.events import Columns, Events, SensorSize
from evfer.frames import FramesParams
from evfer.region import Region
from evfer.transforms import AUGMENTATIONS, build, sample_rng
from evfer.transforms.base import Augmentation, DrawnTransform
from evfer.transforms.edits import (
    ClipSummary,
    DropMask,
    DropSpan,
    Edit,
    EditPlan,
    FlipX,
    Insert,
    Reverse,
    SwapPolarity,
)
from evfer.transforms.mirror import RandomMirror, RandomMirrorEvents
from evfer.view.packing import pack_bits, pack_events

__all__ = ["PlayerParams", "Variant", "draw_variant", "variants"]

Tables = Sequence[Mapping[str, Any]]

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
        frames: how the network gets them; the page can change it.
        recipe: name of the recipe that `frames` and `augment` are of; may be empty.
        augment: the recipe's augmentations, as `evfer.transforms.build` takes them.
        eda: more to choose from: a name to show, and its augmentations.
        seed: of all chance, 0 or more.
        draws: how often each augmentation is drawn, 1 to 9; draw k is that of epoch k of a run
            with this seed on fold 0.
    """

    frames: FramesParams = field(default_factory=FramesParams)
    recipe: str = ""
    augment: tuple[Mapping[str, Any], ...] = ()
    eda: tuple[tuple[str, Tables], ...] = ()
    seed: int = 0
    draws: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.draws <= 9:
            raise ConfigError(f"draws = {self.draws}", expected="1 to 9")
        if self.seed < 0:
            raise ConfigError(f"seed = {self.seed}", expected="0 or more")
        build(self.augment)
        for _, tables in self.eda:
            build(tables)


@dataclass(frozen=True, eq=False)
class Variant:
    """One draw of an augmentation.

    Args:
        edits: what to do to the events, in order, as `events.js` reads it.
        region: the part of the sensor that the frames read.
        mirror: the half of the frames that stands for both, or None.
        words: what was drawn, in words.
    """

    edits: tuple[dict[str, Any], ...]
    region: Region
    mirror: str | None
    words: str

    def data(self) -> dict[str, Any]:
        """Give it as plain data for the page."""
        region = self.region
        return {
            "edits": list(self.edits),
            "region": [region.left, region.top, region.width, region.height],
            "mirror": self.mirror,
            "words": self.words,
        }


def variants(
    events: Events, sensor_size: SensorSize, clip_id: str, params: PlayerParams
) -> list[dict[str, Any]]:
    """Draw every augmentation that the player offers.

    Args:
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor that they lie on.
        clip_id: names the sample, as training names it.
        params: which, and how often.

    Returns:
        For each augmentation its name, what it does in words, how its draws differ from
        training's in words, and its draws; one where all are the same.
    """
    offered: list[tuple[str, str, Tables]] = []
    if params.augment:
        names = " + ".join(str(table.get("name")) for table in params.augment)
        offered.append((f"recipe {params.recipe}".strip(), names, params.augment))
    offered += [
        (name, " + ".join(str(t.get("name")) for t in tables) or "nothing", tables)
        for name, tables in params.eda
    ]
    as_drawn = f"Drawn as training draws them, with seed {params.seed}, in its first epochs"
    shown = [(name, about, as_drawn, tables) for name, about, tables in offered]
    shown += [(name, _WORDS[name], *_alone(name, params.seed)) for name in AUGMENTATIONS]
    return [
        {
            "name": name,
            "about": about,
            "chance": chance,
            "draws": _draws(tables, events, sensor_size, clip_id, params),
        }
        for name, about, chance, tables in shown
    ]


def _alone(name: str, seed: int) -> tuple[str, Tables]:
    """Say how an augmentation is drawn that is shown alone, and give its tables."""
    if name in _ALWAYS:
        usual = AUGMENTATIONS[name].p
        words = f"Always acting here, so that it can be seen; training does so with p = {usual:g}"
        return f"{words} unless a recipe says otherwise", [{"name": name, "p": 1.0}]
    words = f"Drawn as training with seed {seed} draws it where a recipe changes no setting"
    return words, [{"name": name}]


def _draws(
    tables: Tables, events: Events, sensor_size: SensorSize, clip_id: str, params: PlayerParams
) -> list[dict[str, Any]]:
    augmentation = build(tables)
    drawn = [
        draw_variant(
            augmentation, events, sensor_size, sample_rng(params.seed, 0, clip_id, epoch)
        ).data()
        for epoch in range(params.draws)
    ]
    # some leave nothing to chance
    return drawn[:1] if all(data == drawn[0] for data in drawn) else drawn


def draw_variant(
    augmentation: Augmentation, events: Events, sensor_size: SensorSize, rng: np.random.Generator
) -> Variant:
    """Draw augmentations in the order and with the numbers that training would.

    Args:
        augmentation: what to draw.
        events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
        sensor_size: the sensor that they lie on.
        rng: the sample's generator.

    Raises:
        ConfigError: for an augmentation of frames from elsewhere, which a page cannot do.
    """
    columns = Columns.of(events)
    edits: list[dict[str, Any]] = []
    said: list[str] = []
    for step in augmentation.of_stage("events"):
        if isinstance(step, DrawnTransform):
            summary = ClipSummary.of(columns, sensor_size)
            edit = step.draw(summary, rng)
            if edit is None:
                continue
            columns = EditPlan().then(edit, summary)[0](columns, sensor_size)
            data, words = _describe(edit, summary)
        elif isinstance(step, RandomMirrorEvents):
            side = step.draw(rng)
            if side is None:
                continue
            twice = step.twice_midline(sensor_size)
            columns = Columns.of(step.mirrored(columns.events(), sensor_size, side))
            data = {"do": "mirror", "side": side, "twice": twice}
            words = f"the sensor's {'right' if side > 0 else 'left'} half stands for both"
        else:
            columns = Columns.of(step(columns.events(), sensor_size, rng))
            data = {"do": "replace", "events": pack_events(columns)}
            words = f"{type(step).__name__}: {len(columns.t):,} events"
        edits.append(data)
        said.append(words)
    region = augmentation.on_region(sensor_size, rng)
    if augmentation.of_stage("region"):
        said.append(
            f"frames read {region.width} × {region.height} pixels "  # noqa: RUF001
            f"from column {region.left}, row {region.top}"
        )
    mirror: str | None = None
    for step in augmentation.of_stage("frames"):
        if not isinstance(step, RandomMirror):
            raise ConfigError(
                f"the augmentation {type(step).__name__} of frames in a player",
                expected="one of " + ", ".join(AUGMENTATIONS),
            )
        half = step.draw(rng)
        mirror = mirror or half  # a second copy finds both halves alike
        if half:
            said.append(f"the frames' {half} half stands for both")
    return Variant(tuple(edits), region, mirror, "; ".join(said) or "nothing was drawn")


def _describe(edit: Edit, summary: ClipSummary) -> tuple[dict[str, Any], str]:
    """Give an edit as plain data, and in words."""
    if isinstance(edit, FlipX):
        return {"do": "flip"}, "mirrored left to right"
    if isinstance(edit, Reverse):
        swapped = ", ON and OFF swapped" if edit.invert_polarity else ""
        return {"do": "reverse", "invert": edit.invert_polarity}, f"backwards{swapped}"
    if isinstance(edit, SwapPolarity):
        if edit.mask is None:
            return {"do": "swap"}, "ON and OFF swapped"
        count = int(edit.mask.sum())
        return {"do": "swap", "mask": pack_bits(edit.mask)}, f"polarity of {count:,} events swapped"
    if isinstance(edit, Insert):
        data = {"do": "insert", "events": pack_events(edit.events)}
        return data, f"{len(edit.events.t):,} events added"
    if isinstance(edit, DropMask):
        share = edit.mask.mean() if len(edit.mask) else 0.0
        return {"do": "drop", "mask": pack_bits(edit.mask)}, f"{share:.0%} of the events left out"
    if isinstance(edit, DropSpan):
        words = f"{edit.start / 1e6:.2f} to {edit.end / 1e6:.2f} s left out"
        return {"do": "span", "start": edit.start, "end": edit.end}, words
    box = {"left": edit.left, "top": edit.top, "right": edit.right, "bottom": edit.bottom}
    words = (
        f"columns {edit.left} to {edit.right - 1}, rows {edit.top} to {edit.bottom - 1} left out"
    )
    return {"do": "box", **box}, words
