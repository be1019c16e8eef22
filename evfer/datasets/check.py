"""What a source tree holds, before hours of work: clips, labels, people, and what is wrong.

    report = check(CKPlus(), Path("CK+"))
    report.labels                       # clips and people of each label, beside a whole copy's
    report.unreadable, report.skipped   # what cannot be converted, what is no clip, and why

Nothing is converted and nothing is written.
"""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from evfer.datasets import cards
from evfer.datasets.base import (
    EXPRESSIONS,
    LABEL_CODES,
    Clip,
    Dataset,
    SkipKind,
    Skipped,
    Survey,
)
from evfer.datasets.cards import Card
from evfer.datasets.people import warn_spellings
from evfer.datasets.tree import name_some
from evfer.errors import DataError, SourceError, VideoError
from evfer.files import sha256_file
from evfer.formats import EventSource
from evfer.video import FrameSource

__all__ = [
    "CheckReport",
    "ClipFault",
    "Depth",
    "LabelCount",
    "Problem",
    "SkipCount",
    "SkipReason",
    "check",
]

Depth: TypeAlias = Literal["quick", "normal", "deep"]
"""quick: names and label files. normal: every picture file, the first frame of every video. deep:
every frame is decoded, and clips with the same bytes are found."""

_JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
_JPEG_END = b"\xff\xd9"
_TAIL_BYTES = 4096
_EXAMPLES = 3


@dataclass(frozen=True)
class LabelCount:
    """Clips of one label.

    Args:
        label: the label in words.
        clips: clips found.
        subjects: people who show it.
        expected: clips in a whole copy, or None where nobody can know.
    """

    label: str
    clips: int
    subjects: int
    expected: int | None = None

    @property
    def missing(self) -> int | None:
        """How many clips fewer than in a whole copy."""
        return None if self.expected is None else max(0, self.expected - self.clips)


@dataclass(frozen=True)
class ClipFault:
    """A clip that could not be converted."""

    clip_id: str
    native_id: str
    reason: str


@dataclass(frozen=True)
class SkipReason:
    """Things that are no clips for one reason.

    Args:
        reason: in words.
        count: how many.
        examples: the first few of them.
    """

    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class SkipCount:
    """Things of one kind that are no clips.

    Args:
        kind: why they are none.
        count: how many.
        reasons: the same in detail, the most frequent first.
    """

    kind: SkipKind
    count: int
    reasons: tuple[SkipReason, ...]


@dataclass(frozen=True)
class Problem:
    """Why a source cannot be read at all: what was found, what was expected, what to do."""

    found: str
    expected: str = ""
    hint: str = ""


@dataclass(frozen=True)
class CheckReport:
    """What a source tree holds.

    Args:
        dataset: the data set's name.
        set: name of the folder that its recordings go to.
        title: its full name.
        source: the folder that was given, or nothing for a rendered set.
        layout: which layout was recognised, and where.
        right_layout: what the tree should look like.
        access: where one asks for the data.
        labels_from: "official" or "published", or nothing where there is no choice.
        depth: how closely the files were looked at.
        problem: why the source cannot be read at all, or None.
        n_clips: clips found.
        n_subjects: people found.
        expected_clips: clips in a whole copy, or None.
        expected_subjects: people in a whole copy, or None.
        labels: counts of each label, in the order of their codes.
        subjects: clips of each label for each person.
        skipped: everything that is no clip, and why.
        unreadable: clips that would fail.
        warnings: what looks wrong without costing a clip.
        sizes: clips of each picture or sensor size, such as "640x490"; empty after a quick check.
        rates: clips of each frame rate; empty after a quick check.
        lengths: frames of the shortest, the median and the longest clip; empty after a quick one.
        n_recordings: clips that an event camera recorded, which have no frames.
    """

    dataset: str
    set: str
    title: str
    source: str
    layout: str
    right_layout: str
    access: str
    labels_from: str
    depth: Depth
    problem: Problem | None = None
    n_clips: int = 0
    n_subjects: int = 0
    expected_clips: int | None = None
    expected_subjects: int | None = None
    labels: tuple[LabelCount, ...] = ()
    subjects: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    unreadable: tuple[ClipFault, ...] = ()
    warnings: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, int] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()
    n_recordings: int = 0

    @property
    def skip_counts(self) -> tuple[SkipCount, ...]:
        """What is no clip, by kind."""
        counts = []
        for kind in get_args(SkipKind):
            paths: dict[str, list[str]] = collections.defaultdict(list)
            for item in self.skipped:
                if item.kind == kind:
                    paths[item.reason].append(item.path)
            reasons = [
                SkipReason(reason, len(those), tuple(those[:_EXAMPLES]))
                for reason, those in sorted(paths.items(), key=lambda pair: -len(pair[1]))
            ]
            if reasons:
                counts.append(SkipCount(kind, sum(map(len, paths.values())), tuple(reasons)))
        return tuple(counts)

    @property
    def n_unreadable(self) -> int:
        """Clips and files that cannot be read."""
        return len(self.unreadable) + sum(item.kind == "unreadable" for item in self.skipped)

    @property
    def ok(self) -> bool:
        """Whether there are clips and all can be read; a part of a whole copy is fine."""
        return self.problem is None and self.n_clips > 0 and not self.n_unreadable

    def as_dict(self) -> dict[str, Any]:
        """Give the report as plain data."""
        counts = [{**dataclasses.asdict(count), "missing": count.missing} for count in self.labels]
        skipped = [dataclasses.asdict(count) for count in self.skip_counts]
        plain = dataclasses.asdict(self)
        return {"ok": self.ok, **plain, "labels": counts, "skip_counts": skipped}


@dataclass(frozen=True)
class _Look:
    """What a look at one clip's files told; events have no frames."""

    size: str
    n_frames: int = 0
    rate: str = ""
    still: bool = False


def check(
    dataset: Dataset,
    source: Path | None,
    *,
    depth: Depth = "normal",
    on_progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Look through a source tree without converting anything.

    Args:
        dataset: the data set's reader.
        source: its source folder, or None for sets that are rendered.
        depth: how closely to look at the files, see `Depth`. Clips that are rendered on demand
            are drawn only by a deep check.
        on_progress: called with (done, total) after each clip whose files were looked at.

    Returns:
        The report. A tree that cannot be read at all gives one with a `problem`.

    Raises:
        ConfigError: if an option of the reader does not fit.
        MissingExtra: if the reader needs something that is not installed.
    """
    card = cards.find(dataset.name)
    base = CheckReport(
        dataset=dataset.name,
        set=dataset.set_name,
        title=card.title if card else dataset.set_name,
        source=str(source) if source and dataset.needs_source else "",
        layout="",
        right_layout=card.layout.strip("\n") if card else "",
        access=card.access if card else "",
        labels_from=str(getattr(dataset, "labels", "")),
        depth=depth,
    )
    try:
        survey = dataset.survey(source)
    except SourceError as error:
        return dataclasses.replace(base, problem=Problem(error.found, error.expected, error.hint))
    looks: list[_Look] = []
    still: list[str] = []
    faults: list[ClipFault] = []
    if depth == "deep" or (depth == "normal" and dataset.needs_source):
        for number, clip in enumerate(survey.clips, start=1):
            try:
                looks.append(_look(dataset, clip, source, every_frame=depth == "deep"))
                still += [clip.native_id] if looks[-1].still else []
            except DataError as error:
                reason = " ".join(str(error).split())
                faults.append(ClipFault(clip.clip_id, clip.native_id, reason))
            if on_progress:
                on_progress(number, len(survey.clips))
    spelt = warn_spellings(clip.person or clip.subject for clip in survey.clips)
    warnings = tuple(dict.fromkeys((*survey.warnings, *spelt)))
    if depth == "deep" and dataset.needs_source:
        unread = {fault.clip_id for fault in faults}
        whole = [clip for clip in survey.clips if clip.clip_id not in unread]
        warnings += _same_bytes(dataset, whole, source)
    if still:
        warnings += (
            f"{len(still)} of {len(survey.clips)} clips do not change from frame to frame, and "
            f"become recordings without an event: {name_some(still)}",
        )
    counted = _count(base, survey, card)
    return dataclasses.replace(
        counted,
        layout=survey.layout,
        skipped=survey.skipped,
        unreadable=tuple(faults),
        warnings=warnings,
        sizes=_tally(look.size for look in looks),
        rates=_tally(look.rate for look in looks),
        lengths=_spread([look.n_frames for look in looks if look.n_frames]),
    )


def _count(base: CheckReport, survey: Survey, card: Card | None) -> CheckReport:
    """Put the counts of clips and people beside those of a whole copy."""
    of_label: dict[tuple[int, str], list[Clip]] = collections.defaultdict(list)
    of_subject: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for clip in survey.clips:
        of_label[clip.label, clip.label_name].append(clip)
        of_subject[clip.subject][clip.label_name] += 1
    whole = card.published if card and base.labels_from == "published" else card
    expected: dict[str, int] = dict(whole.counts) if whole else {}
    found = {name: code for code, name in of_label}
    # labels beyond the six are read on demand only, which shows in that there are some
    expected = {name: n for name, n in expected.items() if name in EXPRESSIONS or name in found}
    codes = {name: LABEL_CODES[name] for name in expected if name in LABEL_CODES} | found
    rows = []
    for name in sorted(codes, key=lambda name: (codes[name], name)):
        clips = of_label.get((codes[name], name), [])
        people = len({clip.subject for clip in clips})
        rows.append(LabelCount(name, len(clips), people, expected.get(name)))
    total = sum(expected.values()) or (whole.clips if whole else 0)
    if expected and not found.keys() <= expected.keys():
        total = 0  # the card does not count all of the labels that were asked for
    return dataclasses.replace(
        base,
        n_clips=len(survey.clips),
        n_subjects=len(of_subject),
        expected_clips=total or None,
        expected_subjects=(whole.subjects if whole else 0) or None,
        labels=tuple(rows),
        subjects={subject: dict(counts) for subject, counts in sorted(of_subject.items())},
    )


def _look(dataset: Dataset, clip: Clip, source: Path | None, *, every_frame: bool) -> _Look:
    """Read as much of a clip as tells whether it can be converted.

    Raises:
        DataError: if it cannot.
    """
    frames = dataset.open(clip, source)
    if isinstance(frames, EventSource):  # all of its events have been read
        return _Look(f"{frames.sensor_size.width}x{frames.sensor_size.height}")
    times_s = np.asarray(frames.times_s, np.float64)
    if len(times_s) < 2:
        raise VideoError(
            f"{clip.native_id}: {len(times_s)} frame", expected="at least two, or nothing changes"
        )
    files = _files(frames)
    whole = every_frame or _doubtful(files)
    size, still = _decode(frames, None if whole else 1)
    rate = (len(times_s) - 1) / (times_s[-1] - times_s[0])
    return _Look(size, len(times_s), f"{rate:.5g}", still if whole else _same_files(files))


def _decode(frames: FrameSource, count: int | None) -> tuple[str, bool]:
    """Decode the first frames, or all, and give a picture's size and whether all are the same."""
    size, still = "", True
    first = None
    for number, frame in enumerate(frames, start=1):
        size = size or f"{frame.shape[1]}x{frame.shape[0]}"
        first = frame.copy() if first is None else first
        still = still and np.array_equal(first, frame)
        if number == count:
            break
    return size, still


def _same_files(files: Sequence[Path]) -> bool:
    """Tell whether a clip's pictures are copies of one file; a video has none."""
    if len({file.stat().st_size for file in files}) != 1:
        return False
    return len({sha256_file(file) for file in files}) == 1


def _files(frames: FrameSource) -> Sequence[Path]:
    """Give the picture files of a clip; none for a video."""
    return tuple(getattr(frames, "files", ()))


def _doubtful(files: Sequence[Path]) -> bool:
    """Tell, without decoding, whether a clip's pictures may be damaged or of several sizes."""
    from PIL import Image

    sizes = set()
    for file in files:
        try:
            with Image.open(file) as picture:
                sizes.add(picture.size)
                # PNG has a checksum for each of its parts; a JPEG only has an end
                picture.verify()
            if file.suffix.lower() in _JPEG_SUFFIXES and not _ends_as_jpeg(file):
                return True
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return True
    return len(sizes) > 1


def _ends_as_jpeg(file: Path) -> bool:
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return _JPEG_END in content.read()


def _same_bytes(dataset: Dataset, clips: Iterable[Clip], source: Path | None) -> tuple[str, ...]:
    """Name clips whose files are copies of another clip's."""
    seen: dict[str, Clip] = {}
    copies = []
    for clip in clips:
        first = seen.setdefault(dataset.source_digest(clip, source), clip)
        if first is not clip:
            copies.append(f"{clip.native_id} has the same bytes as {first.native_id}")
    return tuple(copies)


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(collections.Counter(values).most_common())


def _spread(lengths: Sequence[int]) -> tuple[int, ...]:
    if not lengths:
        return ()
    return min(lengths), round(statistics.median(lengths)), max(lengths)
