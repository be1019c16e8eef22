"""A miniature copy of ADFES: clips whose names say model, expression and view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evfer.datasets.base import expression
from evfer.events import SensorSize
from evfer.testing.trees.base import Tree, draw, encode, write_bytes, write_video

__all__ = ["TREE"]

_PAL = SensorSize(720, 576)
_FPS = 25.0
_HELD = 2
"""Frames that hold the apex for each one that rises; the set holds it for about five seconds."""

_SIX = ("Anger", "Disgust", "Fear", "Joy", "Sadness", "Surprise")
_NORTH_EUROPEAN = frozenset("F01 F02 F03 F04 F05 M02 M03 M04 M06 M08 M11 M12".split())
_PEOPLE = ("F01", "F10", "M01", "M07")


@dataclass(frozen=True)
class _Clip:
    """A clip: its model, the word for its expression, its view's words, and what follows them."""

    model: str
    word: str
    view: str = "Face Forward"
    tail: str = ""
    suffix: str = ".mpeg"

    @property
    def stem(self) -> str:
        return f"{self.model}-{self.word}-{self.view}{self.tail}"


_CLIPS = (
    *(_Clip("F01", word) for word in (*_SIX, "Pride")),
    *(_Clip("F10", word) for word in _SIX if word != "Surprise"),
    _Clip("M01", "Anger", tail="-48", suffix=".mp4"),
    _Clip("M07", "Joy", suffix=".mpg"),
    _Clip("M07", "Joy", view="Turn Away"),
    _Clip("M07", "Fear", view="Turn Towards"),
)
_CODECS = {".mpeg": "MPEG", ".mpg": "PIM1", ".mp4": "mp4v", ".avi": "XVID"}

_VARIANTS = {
    "plain": "all clips in one folder",
    "grouped": "clips in folders by where the models come from",
    "deep": "in folders of the archive's name, the source two above",
    "documents": "the source is a folder of documents beside the clips, a level too deep",
    "small": "names in small letters, with underscores and single words",
    "tails": "a tail at every name, as after some conversions",
    "litter": "with what systems leave behind, and other files",
}
_FAULTS = {
    "doubled": "one clip twice, with other pictures",
    "copies": "one clip twice, the same bytes",
    "both": "one clip with a tail and without",
    "tokens": "expressions and models that are none of the set's",
    "biv": "the ADFES-BIV, another set",
    "mixed": "with one clip of the ADFES-BIV and one of another name",
    "stills": "pictures instead of clips",
    "no-face": "a clip without a face",
    "empty-video": "a clip of no bytes",
    "cut-short": "a clip whose end is missing",
    "codec": "a clip in a codec that OpenCV lacks",
}


def _make(folder: Path, variant: str, frames: int) -> Path:
    if variant == "biv":
        for name in ("F01-Anger-high", "F01-Anger-low", "F02-Neutral-1"):
            _write(folder / f"{name}.mp4", _Clip("F01", "Anger"), frames)
        return folder
    if variant == "stills":
        for clip in _CLIPS[:3]:
            picture = draw(0, expression(clip.word) or "", 2, _PAL)[1]
            write_bytes(folder / f"{clip.model}-{clip.word}.jpg", encode(picture, ".jpg"))
        return folder
    for clip in _CLIPS:
        _write(_place(folder, clip, variant), clip, frames)
    if variant in _CHANGES:
        _CHANGES[variant](folder)
    if variant == "documents":
        write_bytes(folder / "documents/manual.pdf", b"%PDF")
        return folder / "documents"
    return folder


def _place(folder: Path, clip: _Clip, variant: str) -> Path:
    stem = clip.stem
    if variant == "grouped":
        culture = "North-European" if clip.model in _NORTH_EUROPEAN else "Mediterranean"
        folder = folder / culture
    elif variant == "deep":
        folder = folder / "ADFES" / "ADFES clips"
    elif variant == "small":
        stem = stem.lower().replace("face forward", "faceforward").replace("-", "_")
    elif variant == "tails" and not clip.tail:
        stem += "_freigestellt"
    return folder / (stem + clip.suffix)


def _write(path: Path, clip: _Clip, frames: int) -> None:
    person = _PEOPLE.index(clip.model)
    rise = draw(person, expression(clip.word) or clip.word, max(2, frames // (1 + _HELD)), _PAL)
    held = np.repeat(rise[-1:], max(0, frames - len(rise)), axis=0)
    write_video(path, np.concatenate([rise, held]), _FPS, _CODECS[path.suffix])


def _cut(folder: Path) -> None:
    path = folder / "F01-Anger-Face Forward.mpeg"
    path.write_bytes(path.read_bytes()[:-3000])


def _foreign_codec(folder: Path) -> None:
    path = folder / "F01-Anger-Face Forward.mpeg"
    path.unlink()
    path = path.with_suffix(".avi")
    _write(path, _CLIPS[0], 4)
    path.write_bytes(path.read_bytes().replace(b"XVID", b"ZZ9z"))


def _litter(folder: Path) -> None:
    places: Mapping[str, bytes] = {
        ".DS_Store": b"\0",
        "Thumbs.db": b"\0",
        "._F01-Anger-Face Forward.mpeg": b"\0",
        "__MACOSX/._F01-Anger-Face Forward.mpeg": b"\0",
        "readme.txt": b"as received",
        "codes.sav": b"\0",
    }
    for name, content in places.items():
        write_bytes(folder / name, content)
    (folder / "new folder").mkdir()


def _copy(folder: Path, name: str, *, changed: bool = False) -> None:
    content = (folder / "F01-Joy-Face Forward.mpeg").read_bytes()
    write_bytes(folder / name, content + b"\xff" * 16 if changed else content)


def _blank(folder: Path) -> None:
    frames = np.full((8, _PAL.height, _PAL.width, 3), 90, np.uint8)
    write_video(folder / "F01-Anger-Face Forward.mpeg", frames, _FPS, "MPEG")


def _other_words(folder: Path) -> None:
    for name in ("F01-MouthOpening-Face Forward.mpeg", "F11-Joy-Face Forward.mpeg"):
        _copy(folder, name)


def _other_names(folder: Path) -> None:
    for name in ("F02-Anger-high.mp4", "introduction.mpeg"):
        _copy(folder, name)


_CHANGES: Mapping[str, Callable[[Path], None]] = {
    "litter": _litter,
    "doubled": lambda folder: _copy(folder, "more/F01-Joy-Face Forward.mpeg", changed=True),
    "copies": lambda folder: _copy(folder, "more/F01-Joy-Face Forward.mpeg"),
    "both": lambda folder: _copy(folder, "F01-Joy-Face Forward-7.mpeg", changed=True),
    "tokens": _other_words,
    "mixed": _other_names,
    "no-face": _blank,
    "empty-video": lambda folder: write_bytes(folder / "F01-Anger-Face Forward.mpeg"),
    "cut-short": _cut,
    "codec": _foreign_codec,
}

TREE = Tree(_VARIANTS, _FAULTS, _make)
