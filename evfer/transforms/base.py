"""What an augmentation is, how several follow one another, and where their chance comes from.

There are three kinds, told apart by their `stage`, and they act in this order:

    events   (events, sensor_size, rng) -> events     before framing
    region   (region, rng) -> region                  which part of the sensor fills the frame
    frames   (frames, rng) -> frames                  after framing

Cropping, shifting and scaling choose a region: events keep their places and times, so the cut
into steps stays that of the whole clip, and a picture that grows has no holes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError
from evfer.events import Columns, Events, SensorSize
from evfer.region import Region
from evfer.transforms.edits import ClipSummary, Edit, EditPlan, Insert

__all__ = [
    "Augmentation",
    "DrawnTransform",
    "EventTransform",
    "FrameTransform",
    "RegionTransform",
    "Transform",
    "check_amount",
    "check_share",
    "sample_rng",
]

_STAGES = ("events", "region", "frames")


class EventTransform(Protocol):
    """Changes events; takes and gives `EVENT_DTYPE` sorted by time, and never its own input."""

    stage: ClassVar[Literal["events"]]

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the changed events."""


class DrawnTransform:
    """An event transform in two halves: an edit is drawn, then done; see `evfer.transforms.edits`.

    The loader does the edits of several transforms in one walk over a clip. A transform without
    `draw` is fine too, only slower.
    """

    stage: ClassVar[Literal["events"]] = "events"

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> Edit | None:
        """Give the edit of one clip, or None where nothing is to change."""
        raise NotImplementedError

    def __call__(self, events: Events, sensor_size: SensorSize, rng: np.random.Generator) -> Events:
        """Give the changed events, or the given ones where nothing changed."""
        columns = Columns.of(events)
        summary = ClipSummary.of(columns, sensor_size)
        edit = self.draw(summary, rng)
        if edit is None:
            return events
        return EditPlan().then(edit, summary)[0](columns, sensor_size).events()


class RegionTransform(Protocol):
    """Changes the part of the sensor that fills the frame."""

    stage: ClassVar[Literal["region"]]

    def __call__(self, region: Region, rng: np.random.Generator) -> Region:
        """Give the changed region."""


class FrameTransform(Protocol):
    """Changes frames of shape (t, c, h, w), all steps alike, and never its own input."""

    stage: ClassVar[Literal["frames"]]

    def __call__(self, frames: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Give the changed frames."""


Transform = EventTransform | RegionTransform | FrameTransform


@dataclass(frozen=True)
class Augmentation:
    """Augmentations one after another, from events to frames.

    Args:
        steps: the augmentations in the order in which they act; may be empty.

    Raises:
        ConfigError: if a step stands after one of a later stage, where it could not act.
    """

    steps: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        latest = 0
        for step in self.steps:
            stage = _STAGES.index(step.stage)
            if stage < latest:
                raise ConfigError(
                    f"the augmentation {type(step).__name__} acts on {step.stage} but stands "
                    f"after one that acts on {_STAGES[latest]}",
                    expected="first those on events, then on the region, then on frames",
                )
            latest = stage

    def of_stage(self, stage: Literal["events", "region", "frames"]) -> tuple[Any, ...]:
        """Give the steps of one stage, in order."""
        return tuple(step for step in self.steps if step.stage == stage)

    def plan(
        self, summary: ClipSummary, events: Callable[[], Columns], rng: np.random.Generator
    ) -> tuple[Columns | None, EditPlan]:
        """Draw the steps that change events, and do all but the last walk over the clip.

        Args:
            summary: the clip's summary.
            events: gives the clip's events, sorted by time; only called where one walk is not
                enough.
            rng: the sample's generator.

        Returns:
            The events to walk over, None for the clip's own, and the walk that is left to do.
        """
        size, edits, columns = summary.sensor_size, EditPlan(), None
        for step in self.of_stage("events"):
            drawn = isinstance(step, DrawnTransform)
            if edits.drop is not None or not (drawn or edits.empty):
                columns, edits = edits(columns or events(), size), EditPlan()
                summary = ClipSummary.of(columns, size)
            if not drawn:
                columns = Columns.of(step((columns or events()).events(), size, rng))
                summary = ClipSummary.of(columns, size)
                continue
            edit = step.draw(summary, rng)
            if edit is None:
                continue
            if isinstance(edit, Insert) and edits.insert is not None:
                columns, edits = edits(columns or events(), size), EditPlan()
            # the summary is unknown only after a drop, which the next step does first
            edits, later_summary = edits.then(edit, summary)
            summary = later_summary or summary
        return columns, edits

    def on_events(
        self, events: Events, sensor_size: SensorSize, rng: np.random.Generator
    ) -> Events:
        """Apply the steps that change events.

        Args:
            events: `EVENT_DTYPE`, shape (n,), sorted by time; n may be 0.
            sensor_size: the sensor they lie on.
            rng: the sample's generator.

        Returns:
            New events of the same kind, or the given ones where nothing changed.
        """
        clip = Columns.of(events)
        columns, edits = self.plan(ClipSummary.of(clip, sensor_size), lambda: clip, rng)
        if columns is None and edits.empty:
            return events
        return edits(columns or clip, sensor_size).events()

    def on_region(self, sensor_size: SensorSize, rng: np.random.Generator) -> Region:
        """Apply the steps that choose the region, starting from the whole sensor."""
        side = (sensor_size.width, sensor_size.height)
        region = Region(0, 0, *side)
        for step in self.of_stage("region"):
            region = step(region, rng)
        # the picture keeps its size, whatever part of it is shown
        return region if (region.width, region.height) == side else replace(region, fills=side)

    def on_frames(self, frames: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Apply the steps that change frames of shape (t, c, h, w)."""
        for step in self.of_stage("frames"):
            frames = step(frames, rng)
        return frames


def sample_rng(seed: int, fold: int, clip_id: str, epoch: int) -> np.random.Generator:
    """Give the generator of one sample in one epoch.

    It depends on nothing else, so the number of workers, the batch and the order of samples
    change nothing.

    Args:
        seed: the run's seed, 0 or more; 0 is a seed like any other.
        fold: number of the fold.
        clip_id: the sample.
        epoch: number of the epoch.

    Raises:
        ConfigError: if the seed is negative.
    """
    if seed < 0:
        raise ConfigError(f"seed {seed}", expected="0 or more")
    clip = int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:16], "little")
    return np.random.default_rng([seed, fold, epoch, clip])


def check_share(name: str, *values: float) -> None:
    """Refuse settings that are no shares or probabilities.

    Raises:
        ConfigError: if a value is not from 0 to 1.
    """
    for value in values:
        if not 0 <= value <= 1:
            raise ConfigError(f"{name} = {value}", expected="0 to 1")


def check_amount(name: str, value: float, below: float = float("inf")) -> None:
    """Refuse settings that are negative or too large.

    Raises:
        ConfigError: if the value is not from 0 to just under `below`.
    """
    if not 0 <= value < below:
        raise ConfigError(f"{name} = {value}", expected=f"0 or more, and less than {below:g}")
