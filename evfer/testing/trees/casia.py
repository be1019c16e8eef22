"""A miniature copy of Oulu-CASIA, and of the ways in which copies of it differ.

Three people, two cameras, two lightings; P018 has no Disgust, and P002's Fear starts at 014 and
has a gap. With VL/Strong that makes nine clips.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evfer.events import SensorSize
from evfer.testing.trees.base import Tree, draw, encode, to_grey, write_bytes

__all__ = ["TREE"]

_SIZE = SensorSize(320, 240)
_WORDS = {
    "Anger": "anger", "Disgust": "disgust", "Fear": "fear", "Happiness": "happy",
    "Sadness": "sadness", "Surprise": "surprise",
}  # fmt: skip
_CLIPS = {
    "P001": ("Anger", "Disgust", "Happiness", "Surprise"),
    "P002": ("Disgust", "Fear", "Sadness"),
    "P018": ("Anger", "Happiness"),
}
_LATE = ("P002", "Fear")
"""The clip whose numbers start at 014 and have a gap before the last."""

_GAINS = {"Strong": 1.0, "Dark": 0.25}
_ORIGINAL, _CROPPED = "OriginalImg", "PreProcessImg"


def _make(folder: Path, variant: str, n_frames: int) -> Path:
    root = folder / "Oulu-CASIA"
    _write_part(root / _ORIGINAL, n_frames)
    return _CHANGES[variant](root)


def _write_part(part: Path, n_frames: int) -> None:
    for subject, words in _CLIPS.items():
        for word in words:
            # as few people as will do, since drawing takes longer than anything else here
            frames = draw(int(subject[1:]) % 2, _WORDS[word], n_frames, _SIZE)
            infrared = to_grey(frames)
            for lighting, gain in _GAINS.items():
                place = f"{lighting}/{subject}/{word}"
                _write_clip(part / "VL" / place, _dim(frames, gain), (subject, word))
                _write_clip(part / "NI" / place, infrared, (subject, word))


def _dim(frames: NDArray[np.uint8], gain: float) -> NDArray[np.uint8]:
    return frames if gain == 1 else (frames * gain).astype(np.uint8)


def _write_clip(folder: Path, frames: NDArray[np.uint8], clip: tuple[str, str]) -> None:
    late = clip == _LATE
    for k, frame in enumerate(frames):
        number = k + 14 * late + (late and k == len(frames) - 1)
        write_bytes(folder / f"{number:03d}.jpeg", encode(frame, ".jpeg"))


def _as_is(root: Path) -> Path:
    return root


def _part_alone(root: Path) -> Path:
    return root / _ORIGINAL


def _one_camera(root: Path) -> Path:
    return root / _ORIGINAL / "VL"


def _one_lighting(root: Path) -> Path:
    return root / _ORIGINAL / "VL" / "Strong"


def _lighting_alone(root: Path) -> Path:
    (root / _ORIGINAL / "VL" / "Strong").rename(root.parent / "faces")
    shutil.rmtree(root)
    return root.parent / "faces"


def _one_subject(root: Path) -> Path:
    return root / _ORIGINAL / "VL" / "Strong" / "P001"


def _one_clip(root: Path) -> Path:
    return root / _ORIGINAL / "VL" / "Strong" / "P001" / "Anger"


def _under(*names: str) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        place = root.joinpath(*names)
        place.parent.mkdir(parents=True, exist_ok=True)
        (root / _ORIGINAL).rename(place)
        return root

    return change


def _mirror(root: Path) -> Path:
    (root / _ORIGINAL).rename(root.parent / "Oulu_CASIA_NIR_VIS")
    root.rmdir()
    return root.parent


def _both_parts(root: Path) -> Path:
    shutil.copytree(root / _ORIGINAL, root / _CROPPED)
    return _rename_cropped(root, _CROPPED)


def _rename_cropped(root: Path, part: str) -> Path:
    for name in ("VL", "NI"):
        (root / part / name).rename(root / part / f"{name}_Acropped")
    write_bytes(root / part / "change_log.txt", "faces cropped\n")
    return root


def _lower_case(root: Path) -> Path:
    for path in sorted(root.rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))
    return root


def _words_differ(root: Path) -> Path:
    new = {"Anger": "Angry", "Happiness": "Happy", "Sadness": "Sad", "Surprise": "Surprised"}
    for path in sorted(root.rglob("P*/*")):
        if path.name in new:
            path.rename(path.with_name(new[path.name]))
    return root


def _renumbered(root: Path) -> Path:
    for path in sorted(root.rglob("*.jpeg"), reverse=True):
        path.rename(path.with_name(f"{int(path.stem) + 95:03d}.jpeg"))
    return root


def _litter(root: Path) -> Path:
    clip = root / _ORIGINAL / "VL/Strong/P001/Anger"
    for place in (root, root / _ORIGINAL, clip, clip.parent):
        write_bytes(place / ".DS_Store", b"\0\0\0\1Bud1")
        write_bytes(place / "Thumbs.db", b"litter")
    write_bytes(clip / "._000.jpeg", b"litter")
    write_bytes(root / "__MACOSX/OriginalImg/VL/Strong/P001/Anger/._000.jpeg", b"litter")
    write_bytes(root / _ORIGINAL / "VL/label_list.txt", "a user's own\n")
    (root / _ORIGINAL / "VL/Strong/P001/Fear").mkdir()
    return root


def _link_circles(root: Path) -> Path:
    (root / "again").symlink_to(root, target_is_directory=True)
    clip = root / _ORIGINAL / "VL/Strong/P001/Anger"
    (clip / "up").symlink_to(root, target_is_directory=True)
    (root / _ORIGINAL / "itself").symlink_to("itself")
    return root


def _cropped_alone(root: Path) -> Path:
    (root / _ORIGINAL).rename(root / _CROPPED)
    return _rename_cropped(root, _CROPPED)


def _cropped_old_names(root: Path) -> Path:
    (root / _ORIGINAL).rename(root / "croppedfaces")
    return root


def _two_copies(root: Path) -> Path:
    shutil.copytree(root / _ORIGINAL, root / "B_OriginalImg")
    return root


def _infrared_alone(root: Path) -> Path:
    shutil.rmtree(root / _ORIGINAL / "VL")
    return root


def _subject_twice_alike(root: Path) -> Path:
    light = root / _ORIGINAL / "VL/Strong"
    shutil.copytree(light / "P018", light / "p018")
    return root


def _emotion_twice(root: Path) -> Path:
    subject = root / _ORIGINAL / "VL/Strong/P001"
    shutil.copytree(subject / "Surprise", subject / "Happy")
    return root


def _frame_twice(root: Path) -> Path:
    clip = root / _ORIGINAL / "VL/Strong/P001/Anger"
    shutil.copy(clip / "001.jpeg", clip / "001.jpg")
    return root


def _strange_folders(root: Path) -> Path:
    light = root / _ORIGINAL / "VL/Strong"
    shutil.copytree(light / "P001/Anger", light / "P001/Contempt")
    shutil.copytree(light / "P001", light / "P001 - Copy")
    return root


def _truncated_picture(root: Path) -> Path:
    path = root / _ORIGINAL / "VL/Strong/P001/Anger/001.jpeg"
    path.write_bytes(path.read_bytes()[:1000])
    return root


def _videos(root: Path) -> Path:
    shutil.rmtree(root)
    write_bytes(root / "VL/Strong/P001_Anger.avi", b"RIFF")
    return root


def _not_unpacked(root: Path) -> Path:
    shutil.rmtree(root)
    write_bytes(root / "OriginalImg.zip", b"PK\5\6" + bytes(18))
    return root


def _empty(root: Path) -> Path:
    shutil.rmtree(root)
    root.mkdir()
    return root


_VARIANTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "plain": (_as_is, "the source above OriginalImg/"),
    "part": (_part_alone, "the source is OriginalImg/"),
    "camera": (_one_camera, "the source is VL/"),
    "lighting": (_one_lighting, "the source is VL/Strong/"),
    "one-subject": (_one_subject, "the source is a subject's folder"),
    "one-clip": (_one_clip, "the source is a clip's folder"),
    "b-part": (_under("B_OriginalImg"), "B_OriginalImg/"),
    "nested-zip": (_under("B_OriginalImg", "OriginalImg"), "B_OriginalImg/OriginalImg/"),
    "twice-nested-zip": (
        _under("B_OriginalImg", "B_OriginalImg", "OriginalImg"),
        "B_OriginalImg/B_OriginalImg/OriginalImg/",
    ),
    "mirror": (_mirror, "Oulu_CASIA_NIR_VIS/"),
    "both-parts": (_both_parts, "the cropped faces beside the original frames"),
    "lower-case": (_lower_case, "all names in lower case"),
    "words-differ": (_words_differ, "Angry, Happy, Sad, Surprised"),
    "renumbered": (_renumbered, "frame numbers that start elsewhere and need another digit"),
    "litter": (_litter, "files that systems leave, loose files, an empty folder"),
    "link-circles": (_link_circles, "symbolic links that lead round"),
}
_FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "lighting-alone": (_lighting_alone, "subjects under a folder whose name says nothing"),
    "cropped-alone": (_cropped_alone, "PreProcessImg/VL_Acropped/ and no original frames"),
    "cropped-old-names": (_cropped_old_names, "croppedfaces/VL/ and no original frames"),
    "infrared-alone": (_infrared_alone, "no VL/"),
    "two-copies": (_two_copies, "OriginalImg/ and B_OriginalImg/"),
    "subject-twice-alike": (_subject_twice_alike, "P018 and p018 that hold the same"),
    "emotion-twice": (_emotion_twice, "Happiness and Happy that differ"),
    "frame-twice": (_frame_twice, "a frame as .jpeg and as .jpg"),
    "strange-folders": (_strange_folders, "an expression and a subject that do not exist"),
    "truncated-picture": (_truncated_picture, "a picture that is cut short"),
    "videos": (_videos, "the part with the videos"),
    "not-unpacked": (_not_unpacked, "an archive"),
    "empty": (_empty, "an empty folder"),
}
_CHANGES = {name: change for name, (change, _) in (_VARIANTS | _FAULTS).items()}

TREE = Tree(
    {name: words for name, (_, words) in _VARIANTS.items()},
    {name: words for name, (_, words) in _FAULTS.items()},
    _make,
)
"""The tree that `make_tree("casia", ...)` makes."""
