"""Frames and their times, from a folder of pictures or a video file.

A source is opened once and read as often as needed, one frame at a time, so that memory stays
bounded by one frame whatever the clip's length.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evfer.errors import VideoError
from evfer.files import as_text, sha256_file
from evfer.video.containers import open_video

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FrameSource",
    "digest",
    "digest_pictures",
    "image_files",
    "is_clip",
    "natural_key",
    "open_frames",
    "open_pictures",
]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset(
    {".avi", ".mpg", ".mpeg", ".mp4", ".mov", ".wmv", ".m4v", ".mkv", ".webm", ".gif"}
)
DEFAULT_FPS = 30.0
"""Frame rate of picture folders, which do not name theirs."""


class FrameSource(Protocol):
    """Frames that can be read more than once.

    Iterating gives uint8 frames, shape (h, w) grey or (h, w, 3) blue, green, red, all of one
    size; `len` gives their number and `times_s` their times, float64 seconds from the clip's
    start, shape (n,).
    """

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Times of the frames in seconds, shape (n,)."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[NDArray[np.uint8]]: ...


def is_clip(path: Path) -> bool:
    """Tell whether a path is a video file or a folder that holds pictures."""
    if path.is_dir():
        return any(True for _ in _images(path))
    return path.suffix.lower() in VIDEO_SUFFIXES and not _is_litter(path)


def image_files(folder: Path) -> list[Path]:
    """List a folder's pictures in the order of the numbers in their names."""
    return sorted(_images(folder), key=lambda path: natural_key(path.name))


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Give a sort key that puts `2.png` before `10.png` and ignores case.

    Examples:
        >>> sorted(["b10", "b2", "B1"], key=natural_key)
        ['B1', 'b2', 'b10']
    """
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((1, int(p), p) if p.isdecimal() else (0, 0, p) for p in parts if p)


def _images(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not _is_litter(path):
            yield path


def _is_litter(path: Path) -> bool:
    return path.name.startswith("._") or path.name.startswith(".~")


def digest(path: Path) -> str:
    """Give the SHA-256 of a clip's bytes: a file's own, or that of a folder's pictures in order.

    Raises:
        VideoError: if a file cannot be read.
    """
    try:
        if not path.is_dir():
            return sha256_file(path)
        return digest_pictures(image_files(path))
    except OSError as error:
        raise VideoError(f"{error.filename or path}: {error.strerror or error}") from error


def digest_pictures(files: Iterable[Path]) -> str:
    """Give the SHA-256 of pictures in the given order; their names do not count.

    Raises:
        VideoError: if a file cannot be read.
    """
    found = hashlib.sha256()
    for path in files:
        try:
            found.update(bytes.fromhex(sha256_file(path)))
        except OSError as error:
            raise VideoError(f"{path}: {error.strerror or error}") from error
    return found.hexdigest()


def open_frames(
    path: Path, fps: float | None = None, *, fallback_fps: float | None = None
) -> FrameSource:
    """Open a video file or a folder of pictures.

    Args:
        path: the file or folder.
        fps: frames a second. By default a video's own, and 30 for a folder of pictures; an
            animated GIF keeps the times it stores.
        fallback_fps: frames a second where neither `fps` nor the file names any.

    Returns:
        The frames; frame k of n lies at k / fps seconds.

    Raises:
        VideoError: if there is nothing to read. What cannot be decoded, is cut short or changes
            its size raises when that frame is reached; the message names the file.
    """
    if path.is_dir():
        files = image_files(path)
        if not files:
            raise VideoError(f"{path}: no picture in this folder", expected="png, jpg, bmp or tiff")
        return open_pictures(files, fps or fallback_fps or DEFAULT_FPS)
    if not path.is_file():
        raise VideoError(f"{path}: no such file or folder")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: an empty file", expected="a video")
    if path.suffix.lower() == ".gif":
        return _open_gif(path, fps)
    if as_text(str(path)) != str(path):  # OpenCV ends the process over it
        raise VideoError(
            f"{path}: a name that is no text",
            expected="folders and files named in UTF-8",
            hint="Rename it, as with convmv -f latin1 -t utf8 -r --notest FOLDER",
        )
    return open_video(path, fps, fallback_fps)


def open_pictures(
    files: Sequence[Path], fps: float, remarks: Mapping[str, str] | None = None
) -> FrameSource:
    """Open pictures as the frames of one clip, in the order they are given.

    Args:
        files: the pictures.
        fps: frames a second.
        remarks: what was chosen on opening, for the recording.

    Raises:
        VideoError: if there is no picture. What cannot be decoded or changes its size raises when
            that frame is reached; the message names the file.
    """
    if not files:
        raise VideoError("a clip without pictures", expected="one or more")
    return _Pictures(tuple(files), fps, dict(remarks or {}))


@dataclass(frozen=True)
class _Pictures:
    files: tuple[Path, ...]
    fps: float
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def times_s(self) -> NDArray[np.float64]:
        return np.arange(len(self.files)) / self.fps

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return _of_one_size(map(_read_picture, self.files), self.files)


def _read_picture(path: Path) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    # Pillow refuses a picture that is cut short; OpenCV fills the rest with grey
    try:
        with Image.open(path) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return _to_bgr(image)
    except UnidentifiedImageError as error:
        empty = path.stat().st_size == 0
        raise VideoError(
            f"{path}: {'an empty file' if empty else 'no picture, whatever its name says'}",
            expected="a picture such as PNG or JPEG",
            hint="Was the copy or download interrupted? Fetch the file again",
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VideoError(
            f"{path}: the picture cannot be read ({reason})", expected="a whole picture"
        ) from error


_BEHIND = 128
"""Grey level behind what is see-through: the one with the weakest edges to light and dark."""


def _to_bgr(image: Any) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image, np.float64)
        # 16-bit pictures keep their own scale; floats are taken as 0..255
        scale = 257.0 if image.mode != "F" else 1.0
        return np.clip(np.rint(values / scale), 0, 255).astype(np.uint8)
    if "A" in image.mode[1:] or "transparency" in image.info:
        return _to_bgr(_fill_behind(image))
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    import cv2

    rgb = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    # a tenth of the time that NumPy takes to turn the colours around
    bgr: NDArray[np.uint8] = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return bgr


def _fill_behind(image: Any) -> Any:
    """Lay a see-through picture over plain grey; whatever hides under it does not show."""
    from PIL import Image

    above = image.convert("RGBA")
    filled = Image.alpha_composite(Image.new("RGBA", above.size, (_BEHIND,) * 3 + (255,)), above)
    return filled.convert("L" if image.mode in ("L", "LA", "La", "1") else "RGB")


@dataclass(frozen=True)
class _Gif:
    path: Path
    times: tuple[float, ...]

    @property
    def times_s(self) -> NDArray[np.float64]:
        return np.array(self.times)

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        from PIL import Image, ImageSequence

        try:
            with Image.open(self.path) as image:
                for frame in ImageSequence.Iterator(image):
                    yield _to_bgr(frame.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise VideoError(f"{self.path}: the GIF cannot be read ({error})") from error


def _open_gif(path: Path, fps: float | None) -> _Gif:
    from PIL import Image, ImageSequence

    times, now = [], 0.0
    try:
        with Image.open(path) as image:
            for frame in ImageSequence.Iterator(image):
                times.append(now)
                # browsers show a frame without a duration for a tenth of a second
                now += (frame.info.get("duration") or 100) / 1000
    except (OSError, SyntaxError, ValueError) as error:
        raise VideoError(f"{path}: the GIF cannot be read ({error})") from error
    if fps is not None:
        times = [k / fps for k in range(len(times))]
    return _Gif(path, tuple(times))


def _of_one_size(
    frames: Iterator[NDArray[np.uint8]], files: tuple[Path, ...]
) -> Iterator[NDArray[np.uint8]]:
    size = None
    for frame, path in zip(frames, files, strict=True):
        size = size or frame.shape[:2]
        if frame.shape[:2] != size:
            raise VideoError(
                f"{path}: a picture of {frame.shape[1]} x {frame.shape[0]} pixels",
                expected=f"{size[1]} x {size[0]}, as the clip's first",
            )
        yield frame
