"""A miniature copy of CK+, and of the ways in which copies of it differ.

Six clips count with the six expressions, one more with contempt; one sequence has no label, and
one not even a folder for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evfer.events import SensorSize
from evfer.testing.trees.base import Tree, draw, encode, to_grey, write_bytes

__all__ = ["TREE"]

_WIDE, _TALL = SensorSize(640, 480), SensorSize(640, 490)


@dataclass(frozen=True)
class _Take:
    """A sequence: `code` is CK+'s own, None where no label file is; `more` frames than asked."""

    subject: str
    sequence: str
    label: str
    code: int | None
    size: SensorSize = _TALL
    colour: bool = False
    label_folder: bool = True
    more: int = 0

    @property
    def stem(self) -> str:
        return f"{self.subject}_{self.sequence}"

    @property
    def place(self) -> str:
        return f"{self.subject}/{self.sequence}"


_TAKES = (
    _Take("S005", "001", "disgust", 3, more=1),
    _Take("S010", "001", "surprise", None),
    _Take("S010", "002", "surprise", 7, more=2),
    _Take("S010", "003", "anger", 1),
    _Take("S022", "001", "happy", 5, _WIDE),
    _Take("S034", "003", "anger", 1),
    _Take("S118", "001", "sadness", None, label_folder=False),
    _Take("S502", "002", "contempt", 2, _WIDE, colour=True),
    _Take("S999", "001", "fear", 4, _WIDE, colour=True),
)


def _make(folder: Path, variant: str, n_frames: int) -> Path:
    root = folder / "CK+"
    _write_plain(root, n_frames)
    return _CHANGES[variant](root)


def _write_plain(root: Path, n_frames: int) -> None:
    for take in _TAKES:
        count = n_frames + take.more
        for k, frame in enumerate(_frames(take, count), start=1):
            name = f"{take.stem}_{k:08d}.png"
            write_bytes(root / "cohn-kanade-images" / take.place / name, encode(frame, ".png"))
        labels = root / "Emotion" / take.place
        if take.label_folder:
            labels.mkdir(parents=True)
        if take.code is not None:
            text = f"   {take.code:.7e}\n"
            write_bytes(labels / f"{take.stem}_{count:08d}_emotion.txt", text)


def _frames(take: _Take, count: int) -> Iterator[NDArray[np.uint8]]:
    # as few people as will do, since drawing takes longer than anything else here
    frames = draw(int(take.subject[1:]) % 3, take.label, count, take.size)
    yield from frames if take.colour else to_grey(frames)


def _as_is(root: Path) -> Path:
    return root


def _too_high(root: Path) -> Path:
    inside = root.parent / "downloads"
    inside.mkdir()
    shutil.move(root, inside)
    return root.parent


def _images_alone(root: Path) -> Path:
    return root / "cohn-kanade-images"


def _one_subject(root: Path) -> Path:
    return root / "cohn-kanade-images" / "S005"


def _one_sequence(root: Path) -> Path:
    return root / "cohn-kanade-images" / "S005" / "001"


def _labels_alone(root: Path) -> Path:
    return root / "Emotion"


def _nested_zips(root: Path) -> Path:
    for name, outer in (
        ("cohn-kanade-images", "extended-cohn-kanade-images"),
        ("Emotion", "Emotion_labels"),
    ):
        (root / outer).mkdir()
        (root / name).rename(root / outer / name)
    return root


def _nested_images_alone(root: Path) -> Path:
    return _nested_zips(root) / "extended-cohn-kanade-images" / "cohn-kanade-images"


def _short_names(root: Path) -> Path:
    (root / "cohn-kanade-images").rename(root / "images")
    (root / "Emotion").rename(root / "emotions")
    return root


def _labels_in_zip_folder(root: Path) -> Path:
    (root / "Emotion").rename(root / "Emotion_labels")
    return root


def _flat_labels(root: Path) -> Path:
    for path in sorted((root / "Emotion").rglob("*.txt")):
        path.rename(root / "Emotion" / path.name)
    for path in sorted((root / "Emotion").rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
    return root


def _labels_twice(root: Path) -> Path:
    shutil.copytree(root / "Emotion", root / "Emotion_labels" / "Emotion")
    return root


def _lower_case(root: Path) -> Path:
    _rename(root / "cohn-kanade-images", str.lower)
    (root / "Emotion").rename(root / "emotion")
    _rename(root / "emotion", str.lower)
    return root


def _upper_case_endings(root: Path) -> Path:
    _rename(root / "cohn-kanade-images", lambda name: name.replace(".png", ".PNG"))
    _rename(root / "Emotion", str.upper)
    return root


def _rename(top: Path, change: Callable[[str], str]) -> None:
    for path in sorted(top.rglob("*"), reverse=True):
        path.rename(path.with_name(change(path.name)))


def _litter(root: Path) -> Path:
    first = root / "cohn-kanade-images/S005/001"
    for name in (".DS_Store", "cohn-kanade-images/.DS_Store", "Emotion/S005/.DS_Store"):
        write_bytes(root / name, b"\0\0\0\1Bud1")
    for name in ("Thumbs.db", "desktop.ini", "._S005_001_00000001.png", ".~lock.x.png#"):
        write_bytes(first / name, b"litter")
    write_bytes(root / "Emotion/S005/001/._S005_001_00000011_emotion.txt", b"\0\5\x16\7")
    write_bytes(root / "__MACOSX/cohn-kanade-images/S005/001/._S005_001_00000001.png", b"litter")
    for name in ("ReadMeCohnKanadeDatabase_website.txt", "Consent-for-publication.doc"):
        write_bytes(root / name, "loose files of the archive")
    (root / "cohn-kanade-images/S011").mkdir()
    return root


def _facs_and_landmarks(root: Path) -> Path:
    for path in sorted((root / "cohn-kanade-images").rglob("*.png")):
        place = path.relative_to(root / "cohn-kanade-images").parent
        name = f"{path.stem}_landmarks.txt"
        write_bytes(root / "Landmarks" / place / name, "   3.0e+02   2.0e+02\n" * 68)
    name = "FACS/S005/001/S0005_001_00000011_facs.txt"  # the misprint of the set's own description
    write_bytes(root / name, "   9.0000000e+00   4.0000000e+00\n")
    return root


def _link_circles(root: Path) -> Path:
    for name, target in (
        ("again", root),
        ("cohn-kanade-images/S005/001/up", root),
        ("Emotion/S005/up", root / "Emotion"),
        ("images", root / "cohn-kanade-images"),
    ):
        (root / name).symlink_to(target, target_is_directory=True)
    (root / "itself").symlink_to("itself")
    return root


def _first_label(root: Path) -> Path:
    return next((root / "Emotion/S005/001").glob("*.txt"))


def _label_two_numbers(root: Path) -> Path:
    write_bytes(_first_label(root), "   3.0000000e+00   5.0000000e+00\n")
    return root


def _label_word(root: Path) -> Path:
    write_bytes(_first_label(root), "disgust\n")
    return root


def _label_unknown_code(root: Path) -> Path:
    write_bytes(_first_label(root), "   9.0000000e+00\n")
    return root


def _label_empty(root: Path) -> Path:
    write_bytes(_first_label(root), b"")
    return root


def _labels_differ(root: Path) -> Path:
    path = _first_label(root)
    write_bytes(root / "Emotion_labels" / path.name, "   5.0000000e+00\n")
    return root


def _label_of_another_frame(root: Path) -> Path:
    _first_label(root).rename(root / "Emotion/S005/001/S005_001_00000002_emotion.txt")
    return root


def _label_without_pictures(root: Path) -> Path:
    shutil.rmtree(root / "cohn-kanade-images/S005/001")
    return root


def _no_labels(root: Path) -> Path:
    shutil.rmtree(root / "Emotion")
    return root


def _gap(root: Path) -> Path:
    (root / "cohn-kanade-images/S005/001/S005_001_00000002.png").unlink()
    return root


def _subject_twice_alike(root: Path) -> Path:
    images = root / "cohn-kanade-images"
    shutil.copytree(images / "S005", images / "s005")
    return root


def _subject_twice(root: Path) -> Path:
    _subject_twice_alike(root)
    frame = "cohn-kanade-images/{}/001/S005_001_00000002.png"
    shutil.copy(
        root / frame.format("S010").replace("S005_001", "S010_001"), root / frame.format("s005")
    )
    return root


def _frame_twice(root: Path) -> Path:
    first = root / "cohn-kanade-images/S005/001/S005_001_00000001.png"
    shutil.copy(first, first.with_suffix(".bmp"))
    return root


def _foreign_frame(root: Path) -> Path:
    images = root / "cohn-kanade-images"
    shutil.copy(images / "S010/001/S010_001_00000001.png", images / "S005/001")
    return root


def _two_copies(root: Path) -> Path:
    shutil.copytree(root / "cohn-kanade-images", root / "cropped")
    return root


def _truncated_picture(root: Path) -> Path:
    path = root / "cohn-kanade-images/S005/001/S005_001_00000002.png"
    path.write_bytes(path.read_bytes()[:1000])
    return root


def _text_named_png(root: Path) -> Path:
    write_bytes(root / "cohn-kanade-images/S005/001/S005_001_00000002.png", "no picture")
    return root


def _sizes_differ(root: Path) -> Path:
    images = root / "cohn-kanade-images"
    shutil.copy(
        images / "S022/001/S022_001_00000001.png", images / "S005/001/S005_001_00000002.png"
    )
    return root


def _cohn_kanade_one(root: Path) -> Path:
    _no_labels(root)
    images = root / "cohn-kanade-images"
    for path in sorted(images.rglob("*.png"), reverse=True):
        stem, number = path.stem.rsplit("_", 1)
        path.rename(path.with_name(f"{stem}_{1_595_900 + int(number):08d}.png"))
    images.rename(root / "cohn-kanade")
    return root


def _ck_plus_48(root: Path) -> Path:
    shutil.rmtree(root)
    small = draw(0, "happy", 3, SensorSize(64, 64))
    for word in ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"):
        for k, frame in enumerate(to_grey(small)[:, 8:56, 8:56], start=5):
            write_bytes(root / "CK+48" / word / f"S010_004_{k:08d}.png", encode(frame, ".png"))
    return root


def _ck_extended(root: Path) -> Path:
    shutil.rmtree(root)
    write_bytes(root / "ckextended.csv", "emotion,pixels,Usage\n6,36 39 35,Training\n")
    return root


def _not_unpacked(root: Path) -> Path:
    shutil.rmtree(root)
    write_bytes(root / "extended-cohn-kanade-images.zip", b"PK\5\6" + bytes(18))
    return root


def _empty(root: Path) -> Path:
    shutil.rmtree(root)
    root.mkdir()
    return root


_VARIANTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "plain": (_as_is, "as the archives unpack"),
    "too-high": (_too_high, "the source three levels above the pictures"),
    "images": (_images_alone, "the source is the folder of pictures, labels beside it"),
    "one-subject": (_one_subject, "the source is a subject's folder"),
    "one-sequence": (_one_sequence, "the source is a sequence's folder"),
    "labels": (_labels_alone, "the source is the folder of labels, pictures beside it"),
    "nested-zips": (_nested_zips, "every archive in a folder of its own name"),
    "nested-images": (_nested_images_alone, "likewise, and the source is the folder of pictures"),
    "short-names": (_short_names, "images/ and emotions/"),
    "labels-in-zip-folder": (_labels_in_zip_folder, "Emotion_labels/ right above the subjects"),
    "flat-labels": (_flat_labels, "all label files in one folder"),
    "labels-twice": (_labels_twice, "two copies of the labels that agree"),
    "lower-case": (_lower_case, "all names in lower case"),
    "upper-case-endings": (_upper_case_endings, ".PNG and .TXT"),
    "litter": (_litter, "files that systems leave, loose files, an empty folder"),
    "facs-and-landmarks": (_facs_and_landmarks, "with the other two archives"),
    "link-circles": (_link_circles, "symbolic links that lead round"),
}
_FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "label-two-numbers": (_label_two_numbers, "a label file with two numbers"),
    "label-word": (_label_word, "a label file with a word"),
    "label-unknown-code": (_label_unknown_code, "a label file with a code that does not exist"),
    "label-empty": (_label_empty, "an empty label file"),
    "labels-differ": (_labels_differ, "two label files for one clip, with different labels"),
    "label-of-another-frame": (_label_of_another_frame, "a label file named after another frame"),
    "label-without-pictures": (_label_without_pictures, "a label file whose sequence is missing"),
    "no-labels": (_no_labels, "pictures alone"),
    "gap": (_gap, "a frame is missing in the middle"),
    "subject-twice-alike": (_subject_twice_alike, "S005 and s005 that hold the same"),
    "subject-twice": (_subject_twice, "S005 and s005 that differ"),
    "frame-twice": (_frame_twice, "a frame as PNG and as BMP"),
    "foreign-frame": (_foreign_frame, "a frame in another sequence's folder"),
    "two-copies": (_two_copies, "two folders of pictures"),
    "truncated-picture": (_truncated_picture, "a picture that is cut short"),
    "text-named-png": (_text_named_png, "a text named like a picture"),
    "sizes-differ": (_sizes_differ, "frames of two sizes in a clip"),
    "ck-1": (_cohn_kanade_one, "the first Cohn-Kanade set: time codes, no labels"),
    "ck+48": (_ck_plus_48, "single faces of 48 x 48 pixels in folders"),
    "ckextended": (_ck_extended, "single faces as a table"),
    "not-unpacked": (_not_unpacked, "archives"),
    "empty": (_empty, "an empty folder"),
}  # fmt: skip
_CHANGES = {name: change for name, (change, _) in (_VARIANTS | _FAULTS).items()}

TREE = Tree(
    {name: words for name, (_, words) in _VARIANTS.items()},
    {name: words for name, (_, words) in _FAULTS.items()},
    _make,
)
"""The tree that `make_tree("ck+", ...)` makes."""
