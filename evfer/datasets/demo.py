"""The demo set: rendered heads, so that every command runs without anyone's face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evfer.datasets.base import EXPRESSIONS, LABEL_CODES, Clip, Survey
from evfer.errors import ConfigError
from evfer.heads import HeadClip
from evfer.video import FrameSource

__all__ = ["DemoHeads"]

_SHORTEST_S = 0.3


@dataclass(frozen=True)
class DemoHeads:
    """Rendered CC0 heads that make the six expressions.

    Args:
        people: number of people.
        repetitions: clips of each person and expression.
        frames: frames a clip.
        fps: frames a second; the motion stays the same, more frames show it more finely.
        size: width and height of the frames, pixels.
        seed: another seed gives other people.
    """

    people: int = 12
    repetitions: int = 2
    frames: int = 24
    fps: float = 30.0
    size: int = 320
    seed: int = 0

    name = "demo"
    set_name = "DemoDVS"
    needs_source = False

    def __post_init__(self) -> None:
        for what, value, limit in (
            ("people", self.people, 999),
            ("repetitions", self.repetitions, 166),
            ("frames", self.frames, 100_000),
        ):
            if not 1 <= value <= limit:
                raise ConfigError(f"dataset.{what} = {value}", expected=f"1 to {limit}")
        if self.frames / self.fps < _SHORTEST_S:
            raise ConfigError(
                f"dataset.frames = {self.frames} at {self.fps:g} frames a second",
                expected=f"{_SHORTEST_S} s or more, in which an expression can rise",
            )

    def survey(self, source: Path | None) -> Survey:
        """List the clips; see `Dataset.survey`."""
        clips = []
        for person in range(self.people):
            for k, label in enumerate(EXPRESSIONS):
                for repetition in range(self.repetitions):
                    number = 1 + k * self.repetitions + repetition
                    locator = f"{person}/{label}/{repetition}"
                    native = f"person{person + 1:03d}/{label}_{repetition + 1}"
                    subject = f"S{person + 1:03d}"
                    clips.append(
                        Clip(subject, number, LABEL_CODES[label], label, locator, native, self.fps)
                    )
        return Survey(tuple(clips))

    def open(self, clip: Clip, source: Path | None) -> FrameSource:
        """Render a clip; see `Dataset.open`."""
        return _Rendered(self._head_clip(clip))

    def source_digest(self, clip: Clip, source: Path | None) -> str:
        """Digest what a clip is rendered from; see `Dataset.source_digest`."""
        return self._head_clip(clip).digest

    def _head_clip(self, clip: Clip) -> HeadClip:
        person, label, repetition = clip.locator.split("/")
        return HeadClip(
            self.seed, int(person), label, int(repetition), self.frames, self.fps, self.size
        )


class _Rendered:
    """A clip that is rendered once, however often it is read."""

    def __init__(self, clip: HeadClip) -> None:
        self._clip = clip

    @property
    def times_s(self) -> NDArray[np.float64]:
        return self._clip.times_s

    @cached_property
    def _frames(self) -> list[NDArray[np.uint8]]:
        return list(self._clip)

    def __len__(self) -> int:
        return len(self._clip)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return iter(self._frames)
