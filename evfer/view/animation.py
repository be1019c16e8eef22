"""Films of a recording: source frames beside events over a curve of the rate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from evfer.errors import MissingExtra
from evfer.files import whole_file
from evfer.pictures import accumulate, event_picture, event_rates, show_frame
from evfer.pictures.text import shorten
from evfer.view.clip import Clip, ViewParams
from evfer.view.gif import FilmPalette, write_frames

__all__ = ["draw_film", "write_gif", "write_mp4"]

Progress = Callable[[int, int], None]

_PANEL = 400
"""Width that a panel is brought to, in pixels, by whole factors so that no event is blurred."""
_MARGIN = 20
_HEAD = 64
_CURVE = 84
_GAP = 12
_CODECS = ("avc1", "vp09", "mp4v")
"""H.264 plays everywhere but is often left out of OpenCV's builds; VP9 plays in browsers and
most players; MPEG-4 part 2 in players only."""


def write_gif(clip: Clip, path: Path, params: ViewParams, progress: Progress | None = None) -> None:
    """Write the film as an animated GIF that repeats; same input, same bytes."""
    # GIF counts in hundredths of a second, so the film is cut to what it can say
    hundredths = max(2, round(100 / params.fps))
    pictures = draw_film(clip, params, 100 / hundredths, progress)
    with whole_file(path) as part, part.open("wb") as file:
        write_frames(file, pictures, FilmPalette(params.colours), hundredths)


def write_mp4(clip: Clip, path: Path, params: ViewParams, progress: Progress | None = None) -> None:
    """Write the film as MP4, in the most widely played codec that OpenCV has here.

    Raises:
        MissingExtra: if this build of OpenCV can write no MP4.
    """
    import cv2

    with whole_file(path) as part:
        writer: Any = None
        try:
            for picture in draw_film(clip, params, params.fps, progress):
                if writer is None:
                    size = (picture.shape[1], picture.shape[0])
                    writer = _open_writer(cv2, part, params.fps, size)
                writer.write(picture[..., ::-1])
        finally:
            if writer is not None:
                writer.release()


def _open_writer(cv2: Any, path: Path, fps: int, size: tuple[int, int]) -> Any:
    # OpenCV's Linux wheels hold no H.264 encoder, and asking for it fills the terminal with noise
    codecs = _CODECS[1:] if sys.platform.startswith("linux") else _CODECS
    for codec in codecs:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), float(fps), size)
        if writer.isOpened():
            return writer
    raise MissingExtra(
        "this OpenCV can write no MP4",
        expected=f"a build with one of {', '.join(codecs)}",
        hint="Write .gif instead, or: pip install opencv-python-headless",
    )


def draw_film(
    clip: Clip, params: ViewParams, fps: float, progress: Progress | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Draw a film's pictures one by one.

    Args:
        clip: what to show.
        params: how; `fps` is taken from the argument beside.
        fps: pictures per second.
        progress: told how many pictures are done, and of how many: first 0, then after each.

    Yields:
        Red, green and blue, 0 to 255, shape (h, w, 3), h and w even.
    """
    stage = _Stage(clip, params)
    steps = clip.film_steps(params, fps)
    for done, (now_us, start_us, end_us) in enumerate(steps):
        if progress is not None:
            progress(done, len(steps))
        yield stage.picture(now_us, start_us, end_us)
    if progress is not None:
        progress(len(steps), len(steps))


class _Stage:
    """What stays the same from picture to picture, drawn once."""

    def __init__(self, clip: Clip, params: ViewParams) -> None:
        self.clip, self.colours = clip, params.colours
        width, height = clip.sensor_size.width, clip.sensor_size.height
        self.scale = max(1, round(_PANEL / width))
        self.panel = (width * self.scale, height * self.scale)
        n_panels = 1 if clip.frames is None else 2
        self.width = 2 * _MARGIN + n_panels * self.panel[0] + (n_panels - 1) * _GAP
        self.top = _MARGIN + _HEAD
        self.curve_top = self.top + self.panel[1] + 2 * _GAP
        self.height = self.curve_top + _CURVE + _MARGIN
        self.large, self.small = _font(22, bold=True), _font(13)
        self.slowdown = params.slowdown
        self.ground = self._draw_ground()

    def picture(self, now_us: int, start_us: int, end_us: int) -> NDArray[np.uint8]:
        clip, colours = self.clip, self.colours
        image = self.ground.copy()
        left = _MARGIN
        if clip.frames is not None:
            frame = show_frame(clip.frames, clip.frame_times_s, (start_us + end_us) / 2e6)
            image.paste(Image.fromarray(frame).resize(self.panel).convert("RGB"), (left, self.top))
            left += self.panel[0] + _GAP
        counts = accumulate(clip.events, clip.sensor_size, start_us, end_us)
        events = Image.fromarray(event_picture(counts, colours))
        image.paste(events.resize(self.panel, Image.Resampling.NEAREST), (left, self.top))
        draw = ImageDraw.Draw(image)
        x = round(_MARGIN + min(1.0, now_us / clip.duration_us) * (self.width - 2 * _MARGIN - 1))
        draw.line((x, self.curve_top, x, self.curve_top + _CURVE - 18), colours.ink, 2)
        clock = f"{min(now_us, clip.duration_us) / 1e6:.2f} s"
        bottom = self.curve_top + _CURVE
        draw.text((_MARGIN, bottom), clock, colours.ink, self.small, anchor="ls")
        # video formats want even sides
        even = image.crop((0, 0, self.width + self.width % 2, self.height + self.height % 2))
        return np.asarray(even)

    def _draw_ground(self) -> Image.Image:
        clip, colours = self.clip, self.colours
        image = Image.new("RGB", (self.width + 1, self.height + 1), colours.page)
        draw = ImageDraw.Draw(image)
        right = self.width - _MARGIN
        title = _fit(clip.title or clip.subtitle, self.large, right - _MARGIN)
        draw.text((_MARGIN, _MARGIN + 2), title, colours.ink, self.large, anchor="lt")
        below = " · ".join(
            text for text in (clip.subtitle if clip.title else "", clip.facts) if text
        )
        below = _fit(below, self.small, right - _MARGIN)
        draw.text((_MARGIN, _MARGIN + 34), below, colours.faint, self.small, anchor="lt")
        self._draw_curve(draw)
        pace = "real time" if self.slowdown == 1 else f"{self.slowdown:g} times slower"
        if self.slowdown < 1:
            pace = f"{1 / self.slowdown:.3g} times faster"
        bottom = self.curve_top + _CURVE
        words = ((pace, colours.faint), ("OFF", colours.off), ("ON", colours.on))
        for word, colour in words:
            draw.text((right, bottom), word, colour, self.small, anchor="rs")
            right -= round(self.small.getlength(word)) + 14
        return image

    def _draw_curve(self, draw: ImageDraw.ImageDraw) -> None:
        width = self.width - 2 * _MARGIN
        n_bins = min(width // 2, 200)
        rates = event_rates(self.clip.events, self.clip.duration_us, n_bins)
        highest = max(float(rates.max()), 1e-9)
        half = (_CURVE - 22) // 2
        middle = self.curve_top + half
        for index in range(n_bins):
            x0 = _MARGIN + width * index // n_bins
            x1 = max(x0, _MARGIN + width * (index + 1) // n_bins - 1)
            for row, colour, sign in ((1, self.colours.on, -1), (0, self.colours.off, 1)):
                length = round(half * float(rates[row, index]) / highest)
                if length:
                    y = sorted((middle + sign, middle + sign * length))
                    draw.rectangle((x0, y[0], x1, y[1]), colour)
        draw.line((_MARGIN, middle, _MARGIN + width - 1, middle), self.colours.faint, 1)


def _fit(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    text = shorten(text, 200)
    while font.getlength(text) > width and len(text) > 1:
        text = shorten(text, len(text) - 1)
    return text


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    # matplotlib brings these along, so a picture looks the same on every machine
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf", name)), size)
