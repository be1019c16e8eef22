"""Animated GIF, written picture by picture: a film of any length takes the memory of two."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evfer.pictures import Colours

__all__ = ["FilmPalette", "write_frames"]

_SAME = 255
"""Palette entry that leaves a pixel as it was."""


def write_frames(
    file: IO[bytes],
    pictures: Iterable[NDArray[np.uint8]],
    palette: FilmPalette,
    hundredths: int,
) -> None:
    """Write a film that repeats for ever; of each picture only what changed is stored.

    Args:
        file: open for writing, empty.
        pictures: red, green and blue, 0 to 255, all of one shape (h, w, 3); at least one.
        palette: the film's colours.
        hundredths: how long each picture stays, hundredths of a second.

    Source:
        CompuServe, Graphics Interchange Format version 89a, 1990; the repeating is Netscape's
        application extension. deviates: none.
    """
    shown: NDArray[np.uint8] | None = None
    for picture in pictures:
        indices = palette.apply(picture)
        height, width = indices.shape
        if shown is None:
            # a table of 256 colours for all pictures
            file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0))
            file.write(palette.table.astype(np.uint8).tobytes())
            file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
            top, left, part = 0, 0, indices
        else:
            top, left, part = _changed(shown, indices)
        # a picture stays under the next one, and entry _SAME is clear
        file.write(b"\x21\xf9\x04" + struct.pack("<BHBB", 0x05, hundredths, _SAME, 0))
        file.write(b"\x2c" + struct.pack("<HHHHB", left, top, part.shape[1], part.shape[0], 0))
        file.write(b"\x08" + Image.fromarray(part).tobytes("gif", "L") + b"\x00")
        shown = indices
    file.write(b"\x3b")


def _changed(
    before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> tuple[int, int, NDArray[np.uint8]]:
    """Cut out what changed; pixels in it that did not are `_SAME`."""
    differs = before != after
    rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
    if not len(rows):  # a picture must hold a pixel
        return 0, 0, np.full((1, 1), _SAME, np.uint8)
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return int(rows[0]), int(columns[0]), np.where(differs[box], after[box], _SAME).astype(np.uint8)


class FilmPalette:
    """The 255 colours of a GIF: ramps for events and text, greys for source frames.

    Pillow's own mapping to a given palette rounds colours before it compares them, which moves
    even those that the palette holds.
    """

    def __init__(self, colours: Colours) -> None:
        steps = np.linspace(0, 1, 40)[:, None]
        both = np.mean([colours.on, colours.off], axis=0)
        ramps = [
            (1 - steps) * np.array(colours.ground) + steps * np.array(end)
            for end in (colours.on, colours.off, both)
        ]
        ramps += [
            (1 - steps[::3]) * np.array(colours.page) + steps[::3] * np.array(end)
            for end in (colours.ink, colours.faint, colours.on, colours.off)
        ]
        n_left = _SAME - sum(map(len, ramps))
        ramps.append(np.repeat(np.linspace(0, 255, n_left)[:, None], 3, axis=1))
        ramps.append(np.zeros((1, 3)))  # of _SAME, never seen
        self.table = np.rint(np.concatenate(ramps)).astype(np.int64)
        # nearest entry of each colour met so far, by its 24 bits
        self.nearest = np.full(1 << 24, -1, np.int16)

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give the nearest entry of each pixel of a picture, shape (h, w)."""
        red, green, blue = np.moveaxis(picture.astype(np.int32), -1, 0)
        packed = (red << 16) | (green << 8) | blue
        new = np.unique(packed[self.nearest[packed] < 0])
        split = np.stack([new >> 16, (new >> 8) & 255, new & 255], axis=-1)
        distance = ((split[:, None, :] - self.table[:_SAME]) ** 2).sum(axis=-1)
        self.nearest[new] = distance.argmin(axis=1)
        found: NDArray[np.uint8] = self.nearest[packed].astype(np.uint8)
        return found
