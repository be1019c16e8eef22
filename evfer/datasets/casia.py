"""Oulu-CASIA NIR&VIS: pictures from neutral to apex, in two kinds of light and three strengths.

    OriginalImg/VL/Strong/P001/Anger/000.jpeg    VL visible light, NI near infrared
                                                 Strong, Weak, Dark

The folder's name is the label. Releases number the frames differently, so only their order
counts. Names and their variants come from public readers of the set, which was not at hand.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from evfer import config, video
from evfer.datasets import cards, tree
from evfer.datasets.base import (
    EXPRESSIONS,
    LABEL_CODES,
    Clip,
    Skipped,
    Survey,
    expression,
    require_folder,
)
from evfer.datasets.labels import (
    LabelSource,
    check_label_options,
    read_fold_labels,
    warn_missing,
)
from evfer.datasets.published import PublishedId
from evfer.errors import ConfigError, SourceError, VideoError

__all__ = ["Casia", "Lighting", "Modality", "Part"]

Modality: TypeAlias = Literal["VL", "NI"]
Lighting: TypeAlias = Literal["Strong", "Weak", "Dark"]
Part: TypeAlias = Literal["original", "cropped"]

_WORDS = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
"""The folders' names; the place in this order is a clip's number, as published."""

_SUBJECT = re.compile(r"P(\d{3})", re.IGNORECASE)
_MODALITY = re.compile(r"(VL|NI)([ _-]*A?[ _-]*cropped)?", re.IGNORECASE)
_LIGHTING = re.compile(r"(Strong|Weak|Dark)", re.IGNORECASE)
_CROPPED_ROOT = re.compile(r"(C_)?Pre[ _-]?Process([ _-]?Img)?|cropped[ _-]?faces?", re.IGNORECASE)
_FRAME, _NAMED_FRAME = r"(\d+)", r".*?(\d+)"

# two to the subjects from the folder of VL and NI, which archives put up to four deep
_LEVELS_DOWN = 6
_LEVELS_NAMED = 5
"""Folders above the subjects whose names tell the light and the part."""


@dataclass(frozen=True)
class Casia:
    """Oulu-CASIA NIR&VIS, one of its cameras and lightings.

    Args:
        modality: "VL" for the visible light's camera, "NI" for the near infrared one's.
        lighting: "Strong", "Weak" or "Dark".
        part: "original" frames, or the "cropped" faces that come with them.
        labels: "official" takes the folders' names, "published" the fold file.
        fold_file: path of your copy of the published fold file, for labels = "published".
        fps: frames a second; nothing on disk says it.
    """

    modality: Modality = "VL"
    lighting: Lighting = "Strong"
    part: Part = "original"
    labels: LabelSource = "official"
    fold_file: str = ""
    fps: float = 25.0

    name = "casia"
    set_name = "CASIADVS"
    needs_source = True

    def __post_init__(self) -> None:
        check_label_options(self.labels, self.fold_file)
        if not 0 < self.fps <= 1000:
            raise ConfigError(f"fps {self.fps}", expected="a rate above 0 and up to 1000")

    def survey(self, source: Path | None) -> Survey:
        """List the clips; see `Dataset.survey`."""
        layout, access = _card_texts()
        given = require_folder(source, layout, access)
        place, assumed = self._find_place(given)
        found = self._read(place.folder, given)
        if self.labels == "published":
            found = self._choose(found, read_fold_labels(Path(self.fold_file)))
        if not found.clips:
            first = (
                f" ({found.skipped[0].path}: {found.skipped[0].reason})" if found.skipped else ""
            )
            raise SourceError(f"{place.folder}: no clip found{first}", expected=layout, hint=access)
        return Survey(
            tuple(sorted(found.clips, key=lambda clip: (clip.subject, clip.sequence))),
            tuple(sorted(found.skipped, key=lambda item: (item.path, item.reason))),
            (*assumed, *found.warnings),
            f"Oulu-CASIA, {self.part} frames of {self.modality}/{self.lighting} in {place.folder}",
        )

    def open(self, clip: Clip, source: Path | None) -> video.FrameSource:
        """Open a clip's frames; see `Dataset.open`."""
        remarks = {
            "modality": self.modality,
            "lighting": self.lighting,
            "part": self.part,
            "labels": self.labels,
        }
        files = _frames_in(Path(source or ".") / clip.locator).files
        return video.open_pictures(files, clip.fps or self.fps, remarks)

    def source_digest(self, clip: Clip, source: Path | None) -> str:
        """Digest a clip's pictures; see `Dataset.source_digest`."""
        pictures = _digest(Path(source or ".") / clip.locator)
        return config.digest([pictures, clip.fps, self.labels])

    def _find_place(self, given: Path) -> tuple[_Place, tuple[str, ...]]:
        """Find the folder of the subjects under the asked camera and light."""
        places = [
            _describe(folder, given)
            for folder in tree.find_anchors(given, _holds_subjects, down=_LEVELS_DOWN)
        ]
        if not places:
            raise _explain_nothing(given)
        asked = _Place(given, self.modality, self.lighting, self.part)
        for fits in (asked.equals, asked.agrees):
            fitting = {place.folder: place for place in places if fits(place)}
            if fitting:
                hint = "Give one of them, or the folder above it, with --source"
                what = f"folders are {self.part} {self.modality}/{self.lighting}"
                place = fitting[tree.the_one(fitting, given, what, hint)]
                return place, asked.warn_assumed(place)
        there = sorted({place.words for place in places})
        raise SourceError(
            f"{given}: no {asked.words} here",
            expected=f"one of what is here: {', '.join(there)}",
            hint="Choose with --set dataset.modality=VL|NI, dataset.lighting=Strong|Weak|Dark, "
            "dataset.part=original|cropped",
        )

    def _read(self, folder: Path, given: Path) -> Survey:
        """Read all clips under a camera and light, with the folders' names as labels."""
        skipped: list[Skipped] = []
        copies: dict[tuple[str, str], list[Path]] = defaultdict(list)
        for subject in tree.list_folder(folder).folders:
            match = _SUBJECT.fullmatch(subject.name)
            if match is None:
                skipped.append(_odd(subject, given, "no subject's folder such as P001"))
                continue
            try:
                inside = tree.list_folder(subject)
            except SourceError as error:
                skipped.append(Skipped(tree.locate(subject, given), error.found, "unreadable"))
                continue
            for path in inside.folders:
                label = expression(path.name)
                if label in EXPRESSIONS:
                    copies[match[1], label].append(path)
                else:
                    skipped.append(_odd(path, given, "no name of one of the six expressions"))
        clips: list[Clip] = []
        gaps = {}
        for (number, label), folders in sorted(copies.items()):
            clip, gap, told = self._take(number, label, folders, given)
            skipped += told
            if clip:
                clips.append(clip)
            if clip and gap:
                gaps[clip.native_id] = gap
        return Survey(tuple(clips), tuple(skipped), tree.warn_gaps(gaps))

    def _take(
        self, number: str, label: str, folders: list[Path], given: Path
    ) -> tuple[Clip | None, tuple[int, int] | None, list[Skipped]]:
        """Make a clip of a folder, or of several that hold the same."""
        sequence = 1 + sorted(EXPRESSIONS).index(label)
        native = f"P{number}/{self.modality}/{self.lighting}/{_WORDS[sequence - 1]}"
        try:
            chosen = tree.choose_copy(folders, _digest)
            frames = _frames_in(chosen.folder) if chosen.folder else None
        except (SourceError, VideoError) as error:
            return None, None, [Skipped(native, error.found, "unreadable")]
        told = [Skipped(native, chosen.reason, "doubled")] if chosen.reason else []
        if chosen.folder is None or frames is None:
            return None, None, told
        told += [
            _odd(file, given, "a picture whose name is no number") for file in frames.strangers
        ]
        if frames.repeated:
            pair = " and ".join(path.name for path in frames.repeated)
            return (
                None,
                None,
                [*told, Skipped(native, f"a frame is there twice: {pair}", "doubled")],
            )
        if not frames.files:
            return None, None, told
        locator = tree.locate(chosen.folder, given)
        code = LABEL_CODES[label]
        clip = Clip(f"S{number}", sequence, code, label, locator, native, self.fps)
        return clip, frames.gap, told

    def _choose(self, found: Survey, rows: Mapping[PublishedId, int]) -> Survey:
        """Keep what the fold file names, with its labels."""
        names = {code: name for name, code in LABEL_CODES.items()}
        clips, clashes, there = [], [], []
        skipped = list(found.skipped)
        for clip in found.clips:
            key = PublishedId(clip.subject, clip.sequence)
            if key not in rows:
                skipped.append(Skipped(clip.native_id, "not in the fold file", "deselected"))
                continue
            there.append(key)
            if rows[key] != clip.label:
                clashes.append(f"{clip.native_id} (in the file {names[rows[key]]})")
            label = names[rows[key]]
            place = (clip.locator, clip.native_id, clip.fps)
            clips.append(Clip(clip.subject, clip.sequence, rows[key], label, *place))
        warnings = [*found.warnings, *warn_missing(rows, there)]
        if clashes:
            warnings.append(
                f"published labels that are not the folders' names ({len(clashes)}): "
                + tree.name_some(clashes)
            )
        return Survey(tuple(clips), tuple(skipped), tuple(warnings))


@dataclass(frozen=True)
class _Place:
    """A folder of subjects, and what the names above it say of its light; None says nothing."""

    folder: Path
    modality: str | None
    lighting: str | None
    part: str

    @property
    def words(self) -> str:
        return f"{self.part} {self.modality or '(no name)'}/{self.lighting or '(no name)'}"

    def equals(self, other: _Place) -> bool:
        return (self.modality, self.lighting, self.part) == (
            *(other.modality, other.lighting, other.part),
        )

    def agrees(self, other: _Place) -> bool:
        """Tell whether nothing that the other's names say speaks against it."""
        return (
            other.modality in (None, self.modality)
            and other.lighting in (None, self.lighting)
            and other.part == self.part
        )

    def warn_assumed(self, other: _Place) -> tuple[str, ...]:
        if other.modality and other.lighting:
            return ()
        return (
            f"the folders' names do not say which camera and light these are; taken to be "
            f"{self.modality}/{self.lighting}",
        )


def _card_texts() -> tuple[str, str]:
    card = cards.find("casia")
    return (card.layout.strip(), card.access) if card else ("", "")


def _holds_subjects(listing: tree.Listing) -> bool:
    for subject in listing.folders:
        if _SUBJECT.fullmatch(subject.name):
            try:
                inside = tree.list_folder(subject).folders
            except SourceError:
                continue
            if any(expression(folder.name) in EXPRESSIONS for folder in inside):
                return True
    return False


def _describe(folder: Path, given: Path) -> _Place:
    """Tell a folder's camera, light and part from its name and those above it."""
    whole = Path(os.path.realpath(given), tree.locate(folder, given))
    names = os.path.normpath(whole).split(os.sep)[::-1][:_LEVELS_NAMED]
    lighting = modality = None
    cropped = False
    for name in names:
        if lighting is None and (match := _LIGHTING.fullmatch(name)):
            lighting = match[1].capitalize()
        if modality is None and (match := _MODALITY.fullmatch(name)):
            modality = match[1].upper()
            cropped = match[2] is not None
        cropped = cropped or _CROPPED_ROOT.fullmatch(name) is not None
    return _Place(folder, modality, lighting, "cropped" if cropped else "original")


def _explain_nothing(given: Path) -> SourceError:
    layout, access = _card_texts()
    for folder, listing in tree.walk(given, _LEVELS_DOWN):
        suffixes = {file.suffix.lower() for file in listing.files}
        if suffixes & video.VIDEO_SUFFIXES:
            return SourceError(
                f"{folder}: videos; this looks like the video part of Oulu-CASIA",
                expected=f"the part with the original frames:\n{layout}",
                hint="evfer reads the frames; the videos' names are not known",
            )
        if suffixes & {".zip", ".rar", ".tar", ".gz"}:
            return SourceError(
                f"{folder}: archives that are not unpacked",
                expected=layout,
                hint="Unpack them where they are",
            )
    return SourceError(f"{given}: nothing of Oulu-CASIA found", expected=layout, hint=access)


def _odd(path: Path, given: Path, reason: str) -> Skipped:
    return Skipped(tree.locate(path, given), reason, "odd")


def _frames_in(folder: Path) -> tree.Frames:
    """List a clip's frames; numbers alone are their names, or else names end in numbers.

    Raises:
        SourceError: if the folder cannot be listed.
    """
    files = tree.list_folder(folder).files
    frames = tree.find_frames(files, _FRAME)
    return frames if frames.files else tree.find_frames(files, _NAMED_FRAME)


def _digest(folder: Path) -> str:
    return video.digest_pictures(_frames_in(folder).files)
