"""Frames as they come in: checks, luma, and one walk per pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError

__all__ = ["Frame", "Frames", "LumaFrames", "luma", "luma_frames"]

_KEPT_BYTES = 2**27
"""Luma that is kept for the second reading of a source that must decode or draw its frames."""

Frame: TypeAlias = NDArray[np.uint8]
"""One picture: (h, w) luma or (h, w, 3) blue, green, red; uint8."""


class Frames(Protocol):
    """Frames that can be walked through more than once: an array, a list, a video reader."""

    def __iter__(self) -> Iterator[Frame]:
        """Start again at frame 0."""
        ...


def luma(frame: Frame) -> Frame:
    """Give Rec. 601 luma, shape (h, w), uint8; a frame that is luma already passes through."""
    if frame.ndim == 2:
        return frame
    import cv2

    grey: Frame = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return grey


def luma_frames(frames: Frames) -> Iterator[Frame]:
    """Walk through the frames once, checking each.

    Args:
        frames: (h, w) or (h, w, 3) uint8 frames of one size; a video reader or an array of
            shape (n, h, w) or (n, h, w, 3).

    Yields:
        Luma, shape (h, w), uint8.

    Raises:
        EventsError: if a frame is no such array, or its size differs from frame 0's; or if
            `frames` is an iterator, which could be read only once.
    """
    iterator = iter(frames)
    if iterator is frames:
        raise EventsError(
            f"frames given as a {type(frames).__name__}, which can be read only once",
            expected="an array, a list or a video reader",
            hint="The face stage reads the frames twice; list(frames) makes a list of them",
        )
    size: tuple[int, ...] | None = None
    for index, frame in enumerate(iterator):
        _check(frame, index)
        if size is None:
            size = frame.shape[:2]
        elif frame.shape[:2] != size:
            raise EventsError(
                f"frame {index} has {frame.shape[1]} x {frame.shape[0]} pixels",
                expected=f"{size[1]} x {size[0]}, as frame 0 has",
                hint="Frames of one clip must have one size",
            )
        yield luma(frame)


class LumaFrames:
    """A clip's luma, to be walked through twice.

    What a video reader or a renderer gave the first time is kept, as long as it fits into
    128 MiB, so that a short clip is decoded or drawn only once.

    Args:
        frames: see `luma_frames`.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._kept: list[Frame] | None = None

    def __iter__(self) -> Iterator[Frame]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Frame] | None = None if isinstance(self._frames, np.ndarray | list) else []
        size = 0
        for grey in luma_frames(self._frames):
            size += grey.nbytes
            if size > _KEPT_BYTES:
                kept = None
            if kept is not None:
                # a reader may fill one and the same array again and again
                kept.append(grey.copy())
            yield grey
        self._kept = kept


def _check(frame: object, index: int) -> None:
    if not isinstance(frame, np.ndarray):
        raise EventsError(
            f"frame {index} is a {type(frame).__name__}", expected="an array of uint8"
        )
    if frame.dtype != np.uint8:
        hint = "Scale the pixels to 0..255 and round them: np.rint(frame).astype(np.uint8)"
        raise EventsError(
            f"frame {index} has pixels of type {frame.dtype}", expected="uint8", hint=hint
        )
    if frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] != 3) or frame.size == 0:
        raise EventsError(
            f"frame {index} has the shape {frame.shape}",
            expected="(h, w) luma or (h, w, 3) blue, green, red, not empty",
        )
