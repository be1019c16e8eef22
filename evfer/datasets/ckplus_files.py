"""Where CK+'s pictures and label files are, in whatever way the archives were unpacked.

Labels are keyed by the names of their files, not by folders, so that flat and nested copies read
alike. Nothing here decodes a picture.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evfer import video
from evfer.datasets import cards, tree
from evfer.datasets.base import Skipped, expression
from evfer.errors import SourceError, VideoError

__all__ = [
    "Images",
    "LabelFiles",
    "OfficialLabel",
    "Sequence",
    "card_texts",
    "explain_no_labels",
    "find_images",
    "frames_in",
    "read_images",
    "read_labels",
]

_SUBJECT = re.compile(r"S\d{3}", re.IGNORECASE)
_SEQUENCE = re.compile(r"\d{3}")
# one path in the set's own description has a zero too many
_LABEL_FILE = re.compile(r"S0*(\d{3})_(\d{3})_(\d+)_emotion\.txt", re.IGNORECASE)
_LABEL_FOLDER = r"emotions?([ _-]?labels?)?|labels"
_BESIDE = rf"{_LABEL_FOLDER}|(FACS|Landmarks)([ _-]?labels?)?"
_NO_LABELS_INSIDE = re.compile(r"(FACS|Landmarks)([ _-]?labels?)?", re.IGNORECASE)
_LEVELS_DOWN = 4
"""An archive adds a level, its contents' own folder one, and the user may stand two above."""
_LABEL_DEPTH = 4
_LONGEST_LABEL = 200  # bytes; a label file holds about 17

_WORDS = {
    0: "neutral", 1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sadness",
    7: "surprise",
}  # fmt: skip
"""CK+'s own codes; none of them passes through."""


@dataclass(frozen=True)
class Sequence:
    """One sequence's folder, from the source on, and its pictures."""

    locator: str
    frames: tree.Frames


@dataclass(frozen=True)
class Images:
    """The sequences by names such as "S005/001", and what looks wrong."""

    sequences: Mapping[str, Sequence]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class OfficialLabel:
    """What a label file says: the expression, and in its name the number of a frame."""

    word: str
    frame: int


@dataclass(frozen=True)
class LabelFiles:
    """What the label files say, by sequences' names.

    Args:
        values: the labels.
        unclear: sequences with label files of which none can be used.
        outside: label files that lie outside the folder that was given, and count all the same.
    """

    values: Mapping[str, OfficialLabel]
    unclear: tuple[Skipped, ...]
    outside: tuple[str, ...] = ()


def card_texts() -> tuple[str, str]:
    """Give the layout and the way to the data, as the card has them."""
    card = cards.find("ck+")
    return (card.layout.strip(), card.access) if card else ("", "")


def find_images(given: Path) -> Path:
    """Find the folder of the subjects' folders.

    Raises:
        SourceError: if there is none, or several; the message says what was found instead.
    """
    found = tree.find_anchors(given, _is_images, down=_LEVELS_DOWN, beside=_BESIDE)
    if not found:
        raise _explain_no_images(given)
    return tree.the_one(
        found, given, "folders hold sequences", "Give one of them, or its parent, with --source"
    )


def _is_images(listing: tree.Listing) -> bool:
    for subject in _matching(listing.folders, _SUBJECT):
        for sequence in _matching(_folders(subject), _SEQUENCE):
            if any(file.suffix.lower() in video.IMAGE_SUFFIXES for file in _files(sequence)):
                return True
    return False


def _matching(paths: Iterable[Path], pattern: re.Pattern[str]) -> Iterator[Path]:
    return (path for path in paths if pattern.fullmatch(path.name))


def _folders(folder: Path) -> tuple[Path, ...]:
    try:
        return tree.list_folder(folder).folders
    except SourceError:
        return ()


def _files(folder: Path) -> tuple[Path, ...]:
    try:
        return tree.list_folder(folder).files
    except SourceError:
        return ()


def _explain_no_images(given: Path) -> SourceError:
    layout, access = card_texts()
    for folder, listing in tree.walk(given, 2):
        names = {file.name.casefold(): file.name for file in listing.files}
        words = [path for path in listing.folders if expression(path.name)]
        if "ckextended.csv" in names:
            return SourceError(
                f"{folder / names['ckextended.csv']}: a table of single faces of 48 x 48 pixels, "
                "without sequences",
                expected=layout,
                hint=access,
            )
        if len(words) >= 3 and any(video.is_clip(path) for path in words):
            return SourceError(
                f"{folder}: a folder of single pictures for each expression, as CK+48 has them, "
                "without sequences",
                expected=layout,
                hint=access,
            )
        archives = [name for name in names.values() if name.endswith((".zip", ".tgz", ".tar.gz"))]
        if archives:
            return SourceError(
                f"{folder}: archives that are not unpacked: {tree.name_some(archives)}",
                expected=layout,
                hint="Unpack them, each where it is",
            )
    return SourceError(f"{given}: no sequences of CK+ found", expected=layout, hint=access)


def read_images(images: Path, given: Path) -> Images:
    """List the sequences in the folder of the subjects' folders.

    Args:
        images: that folder.
        given: the user's folder, from which paths are told.
    """
    copies: dict[str, list[Path]] = defaultdict(list)
    skipped = []
    for subject in tree.list_folder(images).folders:
        if not _SUBJECT.fullmatch(subject.name):
            skipped.append(_odd(subject, given, "no subject's folder such as S005"))
            continue
        try:
            inside = tree.list_folder(subject)
        except SourceError as error:
            skipped.append(Skipped(tree.locate(subject, given), error.found, "unreadable"))
            continue
        for folder in inside.folders:
            if _SEQUENCE.fullmatch(folder.name):
                copies[f"{subject.name.upper()}/{folder.name}"].append(folder)
            else:
                skipped.append(_odd(folder, given, "no sequence's folder such as 001"))
    sequences, gaps = {}, {}
    for name, folders in sorted(copies.items()):
        try:
            chosen = tree.choose_copy(folders, functools.partial(_digest, name=name))
            frames = frames_in(chosen.folder, name) if chosen.folder else None
        except (SourceError, VideoError) as error:
            skipped.append(Skipped(name, error.found, "unreadable"))
            continue
        if chosen.reason:
            skipped.append(Skipped(name, chosen.reason, "doubled"))
        if chosen.folder is None or frames is None:
            continue
        skipped += [
            _odd(file, given, f"a picture whose name is not that of a frame of {name}")
            for file in frames.strangers
        ]
        if not frames.files:
            continue
        if frames.repeated:
            pair = " and ".join(path.name for path in frames.repeated)
            skipped.append(Skipped(name, f"a frame is there twice: {pair}", "doubled"))
            continue
        if frames.gap:
            gaps[name] = frames.gap
        sequences[name] = Sequence(tree.locate(chosen.folder, given), frames)
    return Images(sequences, tuple(skipped), tree.warn_gaps(gaps))


def _odd(path: Path, given: Path, reason: str) -> Skipped:
    return Skipped(tree.locate(path, given), reason, "odd")


def _digest(folder: Path, name: str) -> str:
    return video.digest_pictures(frames_in(folder, name).files)


def frames_in(folder: Path, name: str) -> tree.Frames:
    """List the frames in a sequence's folder, in order.

    Args:
        folder: the folder.
        name: the sequence, such as "S005/001", which its frames' names begin with.

    Raises:
        SourceError: if the folder cannot be listed.
    """
    subject, _, sequence = name.partition("/")
    files = tree.list_folder(folder).files
    return tree.find_frames(files, rf"{subject}_{sequence}_(\d+)")


def read_labels(images: Path, given: Path) -> LabelFiles:
    """Find and read the label files that go with a folder of pictures."""
    files: dict[str, dict[str, tuple[Path, int]]] = defaultdict(dict)
    for path in _label_files(images, given):
        match = _LABEL_FILE.fullmatch(path.name)
        if match:
            files[f"S{match[1]}/{match[2]}"][tree.locate(path, given)] = (path, int(match[3]))
    values, unclear = {}, []
    for name, found in sorted(files.items()):
        labels = {}
        for place, (path, frame) in sorted(found.items()):
            word, reason = _read_label(path)
            if reason:
                unclear.append(Skipped(name, f"{place}: {reason}", "unreadable"))
                break
            labels[place] = OfficialLabel(word, frame)
        else:
            if len({label.word for label in labels.values()}) > 1:
                said = ", ".join(f"{label.word} in {place}" for place, label in labels.items())
                unclear.append(Skipped(name, f"its label files differ: {said}", "doubled"))
            else:
                # the copy that names the last frame, where copies name several
                values[name] = max(labels.values(), key=lambda label: label.frame)
    places = (place for found in files.values() for place in found)
    outside = tuple(sorted(place for place in places if place.startswith("../")))
    return LabelFiles(values, tuple(unclear), outside)


def _label_files(images: Path, given: Path) -> Iterator[Path]:
    """Yield files in the places where label files are: beside the pictures, or further up."""
    for level, (above, is_ours) in enumerate(_folders_above(images, given)):
        try:
            listing = tree.list_folder(above)
        except SourceError:
            return
        if level == 0:
            yield from listing.files
        for folder in listing.folders:
            named = re.fullmatch(_LABEL_FOLDER, folder.name, re.IGNORECASE)
            # what the user gave may be searched through, what lies above it only by its name
            beside = level == 0 and is_ours and not _NO_LABELS_INSIDE.fullmatch(folder.name)
            if named or beside:
                for _, inside in tree.walk(folder, _LABEL_DEPTH, leave=[images]):
                    yield from inside.files


def _folders_above(images: Path, given: Path) -> list[tuple[Path, bool]]:
    """Give the three folders above the pictures, and whether each is the user's or in it."""
    below = images.relative_to(given).parts
    if ".." in below:
        return [(images.joinpath(*[".."] * k), False) for k in (1, 2, 3)]
    # by name as far as the user's folder, so that a link to the pictures has its labels beside
    ours = [(path, True) for path in list(images.parents)[: len(below)]]
    return (ours + [(given.joinpath(*[".."] * k), False) for k in (1, 2, 3)])[:3]


def _read_label(path: Path) -> tuple[str, str]:
    """Give the expression in a label file, or why there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_LABEL).decode("utf-8-sig", errors="replace")
    except OSError as error:
        return "", error.strerror or str(error)
    tokens = text.split()
    if not tokens:
        return "", "an empty label file"
    shown = " ".join(tokens)[:40]
    if len(tokens) > 1:
        return "", f'"{shown}" is more than one number'
    try:
        code = float(tokens[0])
    except ValueError:
        return "", f'"{shown}" is no number'
    word = _WORDS.get(int(code)) if code.is_integer() else None
    return (word, "") if word else ("", f"{shown} is no code from 0 to 7")


def explain_no_labels(given: Path, images: Path, found: Images) -> SourceError:
    """Say what to do about pictures without any label file."""
    layout, access = card_texts()
    starts = [sequence.frames.numbers[0] for sequence in found.sequences.values()]
    if starts and min(starts) > 1:
        return SourceError(
            f"{given}: pictures numbered by the time of day and no label files, like the first "
            "Cohn-Kanade set (CK), which has no labels of expressions",
            expected=layout,
            hint=access,
        )
    return SourceError(
        f"{given}: sequences in {tree.locate(images, given)}, and no label file such as "
        "Emotion/S005/001/S005_001_00000011_emotion.txt",
        expected=layout,
        hint="Unpack Emotion_labels.zip beside the pictures, or give a published fold file with "
        "--set dataset.labels=published --set dataset.fold_file=PATH",
    )
