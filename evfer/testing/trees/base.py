"""What a miniature copy of a data set is, and the pictures and videos that all of them hold."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evfer.errors import OutputError
from evfer.events import SensorSize
from evfer.heads import EMOTIONS, HeadClip

__all__ = ["Tree", "draw", "encode", "to_grey", "write_bytes", "write_pictures", "write_video"]

_STAND_INS = {"contempt": "disgust", "pride": "happy", "embarrassment": "sadness"}
"""The heads make six expressions; others borrow the nearest, since names are what counts here."""


@dataclass(frozen=True)
class Tree:
    """A miniature copy of one data set.

    Args:
        variants: layouts that all hold the same clips: name, and what it is in words. "plain"
            is the first.
        faults: copies with something wrong: name, and what that is in words.
        make: (folder, variant or fault, frames a clip) -> the folder to give as the source.
    """

    variants: Mapping[str, str]
    faults: Mapping[str, str]
    make: Callable[[Path, str, int], Path]


@functools.lru_cache(maxsize=64)
def draw(person: int, label: str, n_frames: int, size: SensorSize) -> NDArray[np.uint8]:
    """Draw a clip from neutral to apex, the head in the middle.

    Args:
        person: which person, 0 or more.
        label: an expression; "neutral" keeps still.
        n_frames: number of frames, 2 or more.
        size: of the frames.

    Returns:
        Blue, green, red, shape (n, height, width, 3), uint8, read-only: the same array for the
        same arguments.
    """
    emotion = _STAND_INS.get(label, label)
    side = min(size.width, size.height)
    # a second whatever the number of frames, so that even two show the expression
    clip = HeadClip(
        0, person, emotion if emotion in EMOTIONS else "happy", 0, n_frames, n_frames, side
    )
    frames = np.stack(list(clip))
    if emotion not in EMOTIONS:
        frames = np.repeat(frames[:1], n_frames, axis=0)
    left, top = (size.width - side) // 2, (size.height - side) // 2
    margins = ((0, 0), (top, size.height - side - top), (left, size.width - side - left), (0, 0))
    whole = np.pad(frames, margins, mode="edge")
    whole.setflags(write=False)
    return whole


def to_grey(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn blue, green, red frames, shape (n, h, w, 3), into grey ones, shape (n, h, w)."""
    import cv2

    return np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames])


def encode(frame: NDArray[np.uint8], suffix: str) -> bytes:
    """Give a frame's bytes as a picture file, by its ending such as ".png"."""
    import cv2

    quick = [cv2.IMWRITE_PNG_COMPRESSION, 1] if suffix.lower() == ".png" else []
    ok, data = cv2.imencode(suffix.lower(), frame, quick)
    assert ok
    return data.tobytes()


def write_pictures(folder: Path, names: Sequence[str], frames: Iterable[NDArray[np.uint8]]) -> None:
    """Write frames as picture files of the given names."""
    for name, frame in zip(names, frames, strict=True):
        write_bytes(folder / name, encode(frame, Path(name).suffix))


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, codec: str) -> None:
    """Write blue, green, red frames as a video.

    Args:
        path: the file; its ending chooses the container.
        frames: frames of one size, shape (h, w, 3).
        fps: frames a second.
        codec: four letters, such as "mpg2" or "MJPG".

    Raises:
        OutputError: if OpenCV has no such codec here.
    """
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for frame in frames:
        if writer is None:
            code = cv2.VideoWriter_fourcc(*codec)  # type: ignore[attr-defined,unused-ignore]
            writer = cv2.VideoWriter(str(path), code, fps, frame.shape[1::-1])
            if not writer.isOpened():
                raise OutputError(f"{path}: no writer for the codec {codec}")
        writer.write(frame)
    if writer is not None:
        writer.release()


def write_bytes(path: Path, content: bytes | str = b"") -> None:
    """Write a small file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
