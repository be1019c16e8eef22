"""Video files: their frames, what their containers say, and why one cannot be read.

FFmpeg, by way of OpenCV, decodes; but it passes over a missing end and does not say why a file
cannot be opened. The few bytes that tell are looked at here.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import VideoError

__all__ = ["VideoFile", "frame_rate", "open_video"]

# these containers store their number of frames; others do not, and FFmpeg estimates it
_COUNTED = frozenset({".mp4", ".mov", ".m4v", ".avi"})
# and these the length in seconds
_TIMED = frozenset({".mkv", ".webm", ".wmv"})

_START = b"\x00\x00\x01"
_CODES = re.compile(_START + rb"([\x00-\xaf\xb7])", re.DOTALL)
_LAST_PACKETS = 400  # of about 2 kB; the last pictures lie in them


@dataclass(frozen=True)
class VideoFile:
    """A video whose frames have been counted.

    Args:
        path: the file.
        fps: frames a second.
        count: number of frames.
    """

    path: Path
    fps: float
    count: int

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Times of the frames in seconds, shape (n,)."""
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


def open_video(path: Path, fps: float | None, fallback_fps: float | None) -> VideoFile:
    """Open a video file and count its frames.

    Args:
        path: the file.
        fps: frames a second; None for what the file says.
        fallback_fps: frames a second of a file that says none.

    Raises:
        VideoError: if it cannot be opened, ends too early or names no rate.
    """
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
    fps = fps or frame_rate(named, stamps) or fallback_fps
    if fps is None:
        raise VideoError(
            f"{path}: the file names no usable frame rate ({named:g})",
            hint="Give it with --set dataset.fps=25",
        )
    return VideoFile(path, fps, count)


def _missing_end(path: Path, named: float, announced: int, stamps_ms: NDArray[np.float64]) -> str:
    """Say what a video should have held, if its end is missing; nothing if it is whole."""
    suffix, count = path.suffix.lower(), len(stamps_ms)
    # some files announce a frame or two more than they hold
    allowed = max(2, announced // 50)
    if suffix in _COUNTED and announced - count > allowed:
        return f"{announced} frames, as the file says"
    if suffix == ".avi" and _riff_cut_short(path, announced):
        return "as many bytes as the file says"
    if suffix in _TIMED and named > 0:
        # the number announced is the length times a rate that can be wrong
        length_s, end_s = announced / named, float(stamps_ms.max()) / 1000
        if length_s - end_s > (allowed + 1) * max(1 / named, end_s / count):
            return f"{length_s:.2f} s, as the file says"
    return "a whole last picture" if _stream_cut_short(path) else ""


def frame_rate(named: float, stamps_ms: NDArray[np.float64]) -> float | None:
    """Give a video's frames a second, or None if nothing in the file says it.

    Args:
        named: what the container says.
        stamps_ms: the frames' own times, milliseconds, shape (n,); zeros where they are missing.

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


def _riff_cut_short(path: Path, n_frames: int) -> bool:
    """Tell whether an AVI file is shorter than its first bytes say, by more than its index."""
    with path.open("rb") as file:
        declared = 8 + int.from_bytes(file.read(8)[4:], "little")
        missing = declared - file.seek(0, os.SEEK_END)
    # what writes as it records leaves the field empty or full of ones
    return declared < 2**31 and missing > 16 * n_frames + 64


def _stream_cut_short(path: Path) -> bool:
    """Tell whether an MPEG program stream, which does not count its frames, ends too early.

    That is in the middle of a packet, or between two with rows missing in the last picture.

    Source:
        ISO/IEC 13818-1, 2.5.3 and ISO/IEC 11172-1, 2.4.3: a stream is a row of pack headers
        (code 0xBA) and packets (0xBB and up, video 0xE0 to 0xEF), each of which names its length.
    """
    last: deque[bytes] = deque(maxlen=_LAST_PACKETS)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        place = 0
        while True:
            file.seek(place)
            head = file.read(14)
            if len(head) < 6 or head[:3] != _START or head[3] < 0xBA:
                # not such a stream, or padding behind its last packet
                return _rows_missing(b"".join(last))
            if head[3] == 0xBA:
                mpeg2 = head[4] & 0xC0 == 0x40
                place += 14 + (head[13] & 7 if len(head) == 14 else 0) if mpeg2 else 12
            else:
                length = 6 + int.from_bytes(head[4:6], "big")
                if head[3] & 0xF0 == 0xE0:
                    file.seek(place)
                    last.append(_payload(file.read(length)))
                place += length
            if place > size:
                return True


def _payload(packet: bytes) -> bytes:
    """Give what a video packet carries behind its header."""
    at = 6
    if packet[at : at + 1] and packet[at] & 0xC0 == 0x80:  # MPEG-2
        return packet[at + 3 + packet[at + 2] :] if len(packet) > at + 2 else b""
    while packet[at : at + 1] == b"\xff":  # MPEG-1: stuffing, buffer size, time stamps
        at += 1
    if at < len(packet) and packet[at] & 0xC0 == 0x40:
        at += 2
    stamps = packet[at] & 0xF0 if at < len(packet) else 0
    return packet[at + {0x20: 5, 0x30: 10}.get(stamps, 1) :]


def _rows_missing(content: bytes) -> bool:
    """Tell whether the last picture of MPEG-1 or 2 video ends above those before it.

    Source:
        ISO/IEC 13818-2, 6.2.1: a picture begins with the code 0, its rows of blocks with the
        codes 1 to 0xAF from top to bottom, the sequence ends with 0xB7.
    """
    lowest: list[int] = []
    for code in (match[1][0] for match in _CODES.finditer(content)):
        if code == 0:
            lowest.append(0)
        elif code == 0xB7:
            return False
        elif lowest:
            lowest[-1] = max(lowest[-1], code)
    # the first picture may have begun before what was kept
    return len(lowest) > 2 and lowest[-1] < min(lowest[1:-1])
