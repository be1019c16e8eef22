"""The extended Cohn-Kanade data set (CK+): pictures from neutral to apex, labels in files beside.

Of 593 sequences 327 carry an official label, 309 of them one of the six expressions. The
benchmark's published fold file has 357 clips, 132 of them without an official label: those come
with `labels = "published"` and the user's copy of that file, never by mixing the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evfer import config, video
from evfer.datasets import ckplus_files as files
from evfer.datasets import tree
from evfer.datasets.base import EXPRESSIONS, LABEL_CODES, Clip, Skipped, Survey, require_folder
from evfer.datasets.labels import (
    LabelSource,
    check_label_options,
    read_fold_labels,
    warn_missing,
)
from evfer.datasets.published import PublishedId
from evfer.errors import ConfigError, SourceError

__all__ = ["CKPlus"]


@dataclass(frozen=True)
class CKPlus:
    """CK+, the extended Cohn-Kanade data set.

    Args:
        labels: "official" takes CK+'s label files, "published" the fold file.
        fold_file: path of your copy of the published fold file, for labels = "published".
        classes: 6 expressions, or 7 with contempt; for the official labels.
        fps: frames a second; nothing on disk says it.
    """

    labels: LabelSource = "official"
    fold_file: str = ""
    classes: Literal[6, 7] = 6
    fps: float = 30.0

    name = "ck+"
    set_name = "CKPlusDVS"
    needs_source = True

    def __post_init__(self) -> None:
        check_label_options(self.labels, self.fold_file)
        if not 0 < self.fps <= 1000:
            raise ConfigError(f"fps {self.fps}", expected="a rate above 0 and up to 1000")

    def survey(self, source: Path | None) -> Survey:
        """List the clips; see `Dataset.survey`."""
        layout, access = files.card_texts()
        given = require_folder(source, layout, access)
        images = files.find_images(given)
        found = files.read_images(images, given)
        labels = files.read_labels(images, given)
        if self.labels == "published":
            rows = read_fold_labels(Path(self.fold_file))
            chosen = self._choose_published(found, labels, rows)
        else:
            if not labels.values:
                raise files.explain_no_labels(given, images, found)
            chosen = self._choose_official(found, labels)
        skipped = sorted((*found.skipped, *chosen.skipped), key=lambda s: (s.path, s.reason))
        if not chosen.clips:
            first = f"; {skipped[0].path}: {skipped[0].reason}" if skipped else ""
            raise SourceError(
                f"{given}: {len(found.sequences)} sequences, none with a label that counts{first}",
                expected=layout,
                hint="Do the labels belong to these pictures?",
            )
        return Survey(
            tuple(sorted(chosen.clips, key=lambda clip: (clip.subject, clip.sequence))),
            tuple(skipped),
            (*found.warnings, *chosen.warnings),
            f"CK+ with {self.labels} labels, pictures in {images}{_say_outside(labels.outside)}",
        )

    def open(self, clip: Clip, source: Path | None) -> video.FrameSource:
        """Open a clip's frames; see `Dataset.open`."""
        found = _frames(clip, source)
        return video.open_pictures(found.files, clip.fps or self.fps, {"labels": self.labels})

    def source_digest(self, clip: Clip, source: Path | None) -> str:
        """Digest a clip's pictures; see `Dataset.source_digest`."""
        pictures = video.digest_pictures(_frames(clip, source).files)
        return config.digest([pictures, clip.fps, self.labels])

    def _choose_official(self, found: files.Images, labels: files.LabelFiles) -> Survey:
        clips, odd_ends = [], []
        skipped = list(labels.unclear)
        unclear = {item.path for item in labels.unclear}
        for name, sequence in found.sequences.items():
            label = labels.values.get(name)
            if label is None:
                if name not in unclear:
                    skipped.append(Skipped(name, "no label file", "unlabelled"))
                continue
            last = sequence.frames.numbers[-1]
            if label.frame != last:
                odd_ends.append(f"{name} ({label.frame}, the last is {last})")
            if label.word in EXPRESSIONS or (label.word == "contempt" and self.classes == 7):
                clips.append(self._clip(name, sequence, label.word))
                continue
            more = "; --set dataset.classes=7 takes it" if label.word == "contempt" else ""
            skipped.append(Skipped(name, f"labelled {label.word}{more}", "deselected"))
        warnings = []
        if odd_ends:
            warnings.append(
                f"label files named after another frame than the last ({len(odd_ends)}): "
                + tree.name_some(odd_ends)
            )
        known = {*found.sequences, *(item.path for item in found.skipped)}
        lone = sorted(set(labels.values) - known)
        if lone:
            warnings.append(
                f"label files of sequences that are not here ({len(lone)}): {tree.name_some(lone)}"
            )
        return Survey(tuple(clips), tuple(skipped), tuple(warnings))

    def _choose_published(
        self, found: files.Images, labels: files.LabelFiles, rows: Mapping[PublishedId, int]
    ) -> Survey:
        words = {code: word for word, code in LABEL_CODES.items()}
        clips, skipped, clashes, there = [], [], [], []
        for name, sequence in found.sequences.items():
            key = PublishedId(name[:4], int(name[5:]))
            if key not in rows:
                skipped.append(Skipped(name, "not in the fold file", "deselected"))
                continue
            there.append(key)
            word = words[rows[key]]
            official = labels.values.get(name)
            if official and official.word != word:
                clashes.append(f"{name} (officially {official.word}, here {word})")
            clips.append(self._clip(name, sequence, word))
        warnings = list(warn_missing(rows, there))
        if clashes:
            warnings.append(
                f"published labels that are not the official ones ({len(clashes)}): "
                + tree.name_some(clashes)
            )
        return Survey(tuple(clips), tuple(skipped), tuple(warnings))

    def _clip(self, name: str, sequence: files.Sequence, word: str) -> Clip:
        return Clip(
            name[:4], int(name[5:]), LABEL_CODES[word], word, sequence.locator, name, self.fps
        )


def _frames(clip: Clip, source: Path | None) -> tree.Frames:
    return files.frames_in(Path(source or ".") / clip.locator, clip.native_id)


def _say_outside(places: tuple[str, ...]) -> str:
    """Name label files outside the folder that was given, as they could be another copy's."""
    return f"; labels from outside it, such as {places[0]}" if places else ""
