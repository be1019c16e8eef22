"""Frames and their times, from a folder of pictures or a video file.

A source is opened once and read as often as needed, one frame at a time, so that memory stays
bounded by one frame whatever the clip's length.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evfer.errors import VideoError
from evfer.files import sha256_file

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

# these containers store their number of frames; others do not, and FFmpeg estimates it
_COUNTED = frozenset({".mp4", ".mov", ".m4v", ".avi"})
# and these the length in seconds
_TIMED = frozenset({".mkv", ".webm", ".wmv"})


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

    Example:
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
    return _open_video(path, fps, fallback_fps)


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
            return _to_bgr(ImageOps.exif_transpose(image))
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
    rgb = np.asarray(image.convert("RGB"))
    return np.ascontiguousarray(rgb[:, :, ::-1])


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


@dataclass(frozen=True)
class _Video:
    path: Path
    fps: float
    count: int

    @property
    def times_s(self) -> NDArray[np.float64]:
        return np.arange(self.count) / self.fps

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        capture = _capture(self.path)
        try:
            for k in range(self.count):
                ok, frame = capture.read()
                if not ok:
                    raise VideoError(
                        f"{self.path}: frame {k} cannot be read",
                        expected=f"{self.count} frames, as before",
                        hint="Did the file change meanwhile?",
                    )
                yield frame
        finally:
            capture.release()


def _open_video(path: Path, fps: float | None, fallback_fps: float | None) -> _Video:
    import cv2

    capture = _capture(path)
    try:
        named = float(capture.get(cv2.CAP_PROP_FPS))
        announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        # the announced number can be an estimate, so it takes a pass to know
        stamps_ms = []
        while capture.grab():
            stamps_ms.append(float(capture.get(cv2.CAP_PROP_POS_MSEC)))
    finally:
        capture.release()
    count = len(stamps_ms)
    if count == 0:
        raise VideoError(f"{path}: no frame can be decoded", expected="a whole video", hint=_RECODE)
    stamps = np.array(stamps_ms)
    expected = _missing_end(path, named, announced, stamps)
    if expected:
        raise VideoError(
            f"{path}: the video ends after frame {count}",
            expected=expected,
            hint="Is the file cut short? Copy it again",
        )
    fps = fps or _frame_rate(named, stamps) or fallback_fps
    if fps is None:
        raise VideoError(
            f"{path}: the file names no usable frame rate ({named:g})",
            hint="Give it with --set dataset.fps=25",
        )
    return _Video(path, fps, count)


def _missing_end(path: Path, named: float, announced: int, stamps_ms: NDArray[np.float64]) -> str:
    """Say what a video should have held, if its end is missing; nothing if it is whole."""
    suffix, count = path.suffix.lower(), len(stamps_ms)
    # some files announce a frame or two more than they hold
    allowed = max(2, announced // 50)
    if suffix in _COUNTED and announced - count > allowed:
        return f"{announced} frames, as the file says"
    if suffix in _TIMED and named > 0:
        # the number announced is the length times a rate that can be wrong
        length_s, end_s = announced / named, float(stamps_ms.max()) / 1000
        if length_s - end_s > (allowed + 1) * max(1 / named, end_s / count):
            return f"{length_s:.2f} s, as the file says"
    return "a whole last packet" if _packet_cut_short(path) else ""


def _frame_rate(named: float, stamps_ms: NDArray[np.float64]) -> float | None:
    """Give a video's frames a second, or None if nothing in the file says it.

    Of interlaced video some containers name the fields a second, which are twice the frames;
    the frames' own time stamps give that away.
    """
    steps = np.diff(stamps_ms)
    steps = steps[steps > 0]
    # half of the stamps can be missing in files that store frames in another order than shown
    seen = 1000 / float(np.median(steps)) if 2 * len(steps) >= len(stamps_ms) > 2 else 0.0
    if not 0 < named <= 1000:
        return seen if 0 < seen <= 1000 else None
    return named / 2 if 1.9 < named / max(seen, 1e-9) < 2.1 else named


def _capture(path: Path) -> Any:
    # FFmpeg would write its own remarks between ours; the errors below say what matters
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise _not_opened(path)
    return capture


_RECODE = "Make a copy that can be read, without loss: ffmpeg -i FILE -c:v ffv1 COPY.mkv"


def _not_opened(path: Path) -> VideoError:
    """Say why a video cannot be opened, by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(2**16)
            file.seek(max(file.tell(), file.seek(0, os.SEEK_END) - 2**20))
            tail = file.read()
    except OSError as error:
        return VideoError(f"{path}: {error.strerror or error}", expected="a file that can be read")
    container = next((name for name, at, magic in _MAGIC if head[at:].startswith(magic)), None)
    if container is None:
        return VideoError(
            f"{path}: the video cannot be opened; it does not begin as one",
            expected="a file of a format that FFmpeg reads",
            hint="Is it another kind of file under a video's name?",
        )
    code = _codec(head + tail)
    if container == "MP4" and b"moov" not in head + tail:
        return VideoError(
            f"{path}: the video cannot be opened; its table of frames is missing",
            expected="a whole file",
            hint="Is it cut short or still being copied?",
        )
    named = f' "{code}"' if code else ""
    return VideoError(
        f"{path}: the video cannot be opened; its {container} is cut short, or its codec{named} "
        "cannot be decoded here",
        expected="a whole file of a format that FFmpeg reads",
        hint=_RECODE,
    )


_MAGIC = (
    ("AVI", 0, b"RIFF"),
    ("MP4", 4, b"ftyp"),
    ("MP4", 4, b"moov"),
    ("MPEG", 0, b"\x00\x00\x01\xba"),
    ("MPEG", 0, b"\x00\x00\x01\xb3"),
    ("Matroska", 0, b"\x1a\x45\xdf\xa3"),
    ("WMV", 0, b"\x30\x26\xb2\x75"),
)
"""Containers, and the bytes they show at an offset near the start."""


def _codec(content: bytes) -> str:
    """Give the four letters by which an AVI or MP4 names its video's codec, or nothing."""
    for mark, skip in ((b"vids", 4), (b"stsd", 16)):
        at = content.find(mark)
        code = content[at + skip : at + skip + 4] if at >= 0 else b""
        if len(code) == 4 and code.isascii() and code.decode("ascii").isprintable():
            return code.decode("ascii").strip()
    return ""


def _packet_cut_short(path: Path) -> bool:
    """Tell whether an MPEG program stream, which does not count its frames, ends in a packet.

    Source:
        ISO/IEC 13818-1, 2.5.3 and ISO/IEC 11172-1, 2.4.3: a stream is a row of pack headers
        (code 0xBA) and packets (0xBB and up), and each packet names its length.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        place = 0
        while True:
            file.seek(place)
            head = file.read(14)
            if len(head) < 6 or head[:3] != b"\x00\x00\x01" or head[3] < 0xBA:
                # not such a stream, or padding behind its last packet
                return False
            if head[3] == 0xBA:
                mpeg2 = head[4] & 0xC0 == 0x40
                place += 14 + (head[13] & 7 if len(head) == 14 else 0) if mpeg2 else 12
            else:
                place += 6 + int.from_bytes(head[4:6], "big")
            if place > size:
                return True


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
