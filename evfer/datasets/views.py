"""Which part of a stored picture shows the face, and which way up.

Some clips are stored lying on their side, some hold two cameras' pictures side by side, one of
the front and one of the profile. The face detector looks at a few frames as stored, turned and
halved, and the choice that shows the best upright frontal face holds for the whole clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evfer.errors import FaceError
from evfer.faces.landmarks import frontal_score
from evfer.faces.pixels import luma
from evfer.video import FrameSource

__all__ = [
    "UPRIGHT",
    "FirstField",
    "Half",
    "Rotation",
    "Start",
    "Stored",
    "View",
    "Viewed",
    "choose_view",
]

Rotation: TypeAlias = Literal["none", "90 clockwise", "90 counter-clockwise", "180"]
Half: TypeAlias = Literal["whole", "left", "right"]
Stored: TypeAlias = Literal["frontal", "dual", "unknown"]

_TURNS: Mapping[Rotation, int] = {
    "none": 0,
    "90 clockwise": 3,
    "90 counter-clockwise": 1,
    "180": 2,
}
"""Quarter turns counter-clockwise that do what each name says, in the order of trying."""

_LOOKED_AT = (0, 3, 6)
"""Frames that decide. The face stage gives up a clip whose first frames show no face."""

_LARGE = 480  # pixels; pictures from here on are halved for a first look

_SURE = 0.5
"""Mean score from which nothing else is tried: upright heads get 1 to 2.5 from dlib's detector,
those upside down at most 0, those on their side nothing."""


@dataclass(frozen=True)
class View:
    """What is done to each stored picture, in this order.

    Args:
        rotation: how the picture is turned.
        half: the part of the turned picture that is kept.
    """

    rotation: Rotation = "none"
    half: Half = "whole"

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give the part of a frame, shape (h, w) or (h, w, 3), turned; the frame stays as is."""
        turned = np.rot90(frame, _TURNS[self.rotation])
        middle = turned.shape[1] // 2
        if self.half == "left":
            turned = turned[:, :middle]
        elif self.half == "right":
            turned = turned[:, -middle:]
        return np.ascontiguousarray(turned)

    @property
    def remarks(self) -> Mapping[str, str]:
        """The choice as a recording keeps it."""
        return {"rotation": self.rotation, "half": self.half}


UPRIGHT = View()
_TURNED = tuple(View(rotation) for rotation in _TURNS if rotation != "none")
_HALVES = (View(half="left"), View(half="right"))


@dataclass(frozen=True)
class Viewed:
    """Frames seen through a view, one at a time, as often as needed.

    Args:
        frames: the stored ones.
        view: what to do to each.
        notes: what else was chosen on opening.
    """

    frames: FrameSource
    view: View
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Times of the frames in seconds, shape (n,)."""
        return self.frames.times_s

    @property
    def remarks(self) -> Mapping[str, str]:
        """What was chosen on opening."""
        return {**self.notes, **self.view.remarks}

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return map(self.view, self.frames)


@dataclass(frozen=True)
class Start:
    """The first frames of a clip, or all of them.

    Args:
        frames: the clip's.
        count: number of frames to keep.
        notes: what was chosen on opening.
    """

    frames: FrameSource
    count: int
    notes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, frames: FrameSource, seconds: float, notes: Mapping[str, str]) -> Start:
        """Keep the frames of the first seconds; a frame at that very time still counts."""
        return cls(frames, int(np.searchsorted(frames.times_s, seconds, side="right")), notes)

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Times of the frames in seconds, shape (count,)."""
        return self.frames.times_s[: self.count]

    @property
    def remarks(self) -> Mapping[str, str]:
        """What was chosen on opening."""
        if self.count == len(self.frames):
            return self.notes
        return {**self.notes, "shortened": f"{self.count} of {len(self.frames)} frames"}

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        # the count comes first, so that no frame too many is decoded
        for _, frame in zip(range(self.count), self.frames, strict=False):
            yield frame


@dataclass(frozen=True)
class FirstField:
    """Frames whose odd rows, taken a moment later by an interlacing camera, are made anew.

    Moving edges otherwise show as combs, and every tooth of a comb makes events.

    Args:
        frames: interlaced ones.
    """

    frames: FrameSource

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Times of the frames in seconds, shape (n,)."""
        return self.frames.times_s

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return map(_fill_rows, self.frames)


def _fill_rows(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    filled = frame.copy()
    between = filled[1:-1:2]
    above, below = frame[:-2:2][: len(between)], frame[2::2][: len(between)]
    # the mean, rounded up, without leaving eight bits
    between[:] = above // 2 + below // 2 + (above % 2 | below % 2)
    if len(frame) % 2 == 0:
        filled[-1] = frame[-2]
    return filled


def choose_view(frames: FrameSource, stored: Stored) -> View:
    """Find out how a clip must be turned and halved to show an upright frontal face.

    Args:
        frames: as stored.
        stored: what is known of them. "frontal": one face, tried upright, then turned. "dual":
            two cameras side by side; the half with the better frontal face, else as frontal.
            "unknown": as frontal, but where both halves show a face the better one counts, and
            the halves are tried before the turns.

    Returns:
        The view, the same for the same frames.

    Raises:
        FaceError: if no view shows a face.
        VideoError: if the first frames cannot be read.
        MissingExtra: if dlib is not installed.
    """
    samples = [
        luma(frame)
        for number, frame in zip(range(max(_LOOKED_AT) + 1), frames, strict=False)
        if number in _LOOKED_AT
    ]
    # halved pictures take a quarter of the time; small faces are seen only in doubled ones
    halved = [_halve(grey) for grey in samples if max(grey.shape) >= _LARGE]
    best = _search(halved, stored, 0) or _search(samples, stored, 0) or _search(samples, stored, 1)
    if best is None:
        parts = "" if stored == "frontal" else ", whole or halved,"
        raise FaceError(
            f"no face in the first frames{parts} upright or turned by 90 degrees either way or 180",
            expected="an upright or lying frontal face from the first frames on",
            hint="Look at the clip; one that shows a profile only cannot be converted",
        )
    return best


def _halve(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    height, width = grey.shape
    half: NDArray[np.uint8] = cv2.resize(
        grey, (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )
    return half


def _search(samples: list[NDArray[np.uint8]], stored: Stored, upsample: int) -> View | None:
    def score(view: View) -> float:
        # a sample without a face counts as zero
        return sum(frontal_score(view(grey), upsample) for grey in samples)

    if not samples:
        return None
    groups: tuple[tuple[View, ...], ...] = ((UPRIGHT,), _TURNED)
    if stored == "dual":
        groups = (_HALVES, (UPRIGHT,), _TURNED)
    elif stored == "unknown":
        left, right = map(score, _HALVES)
        if left > 0 and right > 0:
            return _HALVES[right > left]
        groups = ((UPRIGHT,), _HALVES, _TURNED)
    best, best_score = None, 0.0
    for group in groups:
        for view in group:
            if (found := score(view)) > best_score:
                best, best_score = view, found
        if best_score >= _SURE * len(samples):
            break
    return best
