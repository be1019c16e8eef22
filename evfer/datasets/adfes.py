"""The Amsterdam Dynamic Facial Expression Set: clips whose names say everything.

    ADFES/[<group>/]F01-Anger-Face Forward.mpeg      model, expression, view

Folders may group the clips in any way. Names, numbers and their confidence come from public
readers of the set and its own page; the set itself was not at hand.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from evfer import config, video
from evfer.datasets import cards, published
from evfer.datasets.base import (
    LABEL_CODES,
    Clip,
    SkipKind,
    Skipped,
    Survey,
    expression,
    require_folder,
)
from evfer.datasets.labels import LabelSource, check_label_options, read_fold_labels, warn_missing
from evfer.datasets.published import PublishedId
from evfer.datasets.tree import Listing, find_anchors, locate, name_some, walk
from evfer.datasets.views import FirstField, Start
from evfer.errors import ConfigError, SourceError

__all__ = ["ADFES", "Culture", "View"]

View: TypeAlias = Literal["forward", "towards", "away"]
Culture: TypeAlias = Literal["all", "north-european", "mediterranean"]

_FALLBACK_FPS = 25.0  # PAL
_DEPTH = 3  # folders below the given one

_NAME = re.compile(
    r"([FM]\d{2})[-_ ]+([A-Za-z]+)[-_ ]+(face[-_ ]?forward|turn[-_ ]?towards?|turn[-_ ]?away)"
    r"([-_ ].*)?",
    re.IGNORECASE,
)
"""Model, expression, view, and a tail that some copies add, such as `-48`."""

_BIV = re.compile(
    r"[FM]\d{2}[-_ ]+[A-Za-z]+[-_ ]+(low|medium|med|intermediate|high|\d{1,2})", re.IGNORECASE
)
"""Names of the Bath Intensity Variations, a set made from this one."""

_MODELS = tuple([f"F{k:02d}" for k in range(1, 11)] + [f"M{k:02d}" for k in range(1, 13)])
_NORTH_EUROPEAN = frozenset(
    "F01 F02 F03 F04 F05 M02 M03 M04 M06 M08 M11 M12".split()
)  # the site gives 12 such models, and the BIV, made from them, names these

_ORDER = (
    *("anger", "disgust", "fear", "happy", "sadness", "surprise"),
    *("contempt", "embarrassment", "neutral", "pride"),
)
"""The expression's place is its number in a clip id: the six as published, then ours."""
_SIX = 6
_WORDS = {"happy": "Joy"}
"""What the set calls an expression, where the shared name is another."""
_OFFSETS: Mapping[View, int] = {"forward": 0, "towards": 10, "away": 20}
_NAMES = {code: name for name, code in LABEL_CODES.items()}


@dataclass(frozen=True)
class ADFES:
    """Reader of the ADFES: clips named like `F01-Joy-Face Forward.mpeg`, in folders of any kind.

    Args:
        view: which way the models look. In the other two they first turn their heads.
        with_extra: whether contempt, embarrassment, neutral and pride count beside the six.
        culture: which models count.
        fps: frames a second of every clip; by default what each video says, and 25 for one that
            says nothing.
        max_seconds: length to which clips are cut, seconds; whole clips by default. The apex is
            held for five seconds, in which little happens.
        deinterlace: whether each frame's odd rows are made anew from the even ones. Use it where
            moving edges look like combs; what a copy holds, only its user can see.
        labels: "official" reads the names, "published" takes clips and labels from a fold file.
        fold_file: path of your copy of the published fold file.
    """

    view: View = "forward"
    with_extra: bool = False
    culture: Culture = "all"
    fps: float | None = None
    max_seconds: float | None = None
    deinterlace: bool = False
    labels: LabelSource = "official"
    fold_file: str = ""

    name = "adfes"
    set_name = "ADFESDVS"
    needs_source = True

    def __post_init__(self) -> None:
        check_label_options(self.labels, self.fold_file)
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ConfigError(f"fps {self.fps}", expected="a rate above 0 and up to 1000")
        if self.max_seconds is not None and not 0.2 <= self.max_seconds < math.inf:
            raise ConfigError(f"dataset.max_seconds = {self.max_seconds}", expected="0.2 s or more")
        if self.labels == "published" and self.view != "forward":
            raise ConfigError(
                f'dataset.view = "{self.view}" with the published labels',
                expected='"forward", which the published clips are taken to be',
            )

    def survey(self, source: Path | None) -> Survey:
        """List the clips; see `Dataset.survey`."""
        card = cards.find(self.name)
        layout, access = (card.layout.strip(), card.access) if card else ("", "")
        root = require_folder(source, layout, access)
        top = _find_top(root)
        skipped: list[Skipped] = []
        takes: dict[tuple[str, str, View], list[_Take]] = defaultdict(list)
        for folder, listing in walk(top, _DEPTH) if top else ():
            for file in listing.files:
                take = _read_name(file, locate(folder, root))
                if isinstance(take, Skipped):
                    skipped.append(take)
                elif take:
                    takes[take.key].append(take)
        chosen, doubled = _choose(takes, root)
        skipped += doubled
        rows = read_fold_labels(Path(self.fold_file)) if self.labels == "published" else None
        clips = []
        for take in chosen:
            refusal = self._refuse(take, rows)
            if refusal:
                skipped.append(Skipped(take.locator, *refusal))
            else:
                clips.append(self._clip(take, rows))
        if not clips:
            raise _nothing(root, skipped, layout, access)
        warnings: tuple[str, ...] = ()
        if rows is not None:
            there = (published.published_id(self.set_name, take.native_id) for take in chosen)
            warnings = warn_missing(rows, (row for row in there if row))
        return Survey(
            tuple(sorted(clips, key=lambda clip: (clip.subject, clip.sequence))),
            tuple(sorted(skipped, key=lambda item: video.natural_key(item.path))),
            warnings,
            f"named clips in {locate(top, root)}" if top else "",
        )

    def open(self, clip: Clip, source: Path | None) -> video.FrameSource:
        """Open a clip's frames; see `Dataset.open`."""
        path = Path(source or ".") / clip.locator
        frames = video.open_frames(path, clip.fps, fallback_fps=_FALLBACK_FPS)
        frames = FirstField(frames) if self.deinterlace else frames
        notes = {"labels": self.labels, **({"fields": "first"} if self.deinterlace else {})}
        return Start.of(frames, self.max_seconds or math.inf, notes)

    def source_digest(self, clip: Clip, source: Path | None) -> str:
        """Digest a clip's video, rate and length; see `Dataset.source_digest`."""
        path = Path(source or ".") / clip.locator
        return config.digest(
            [video.digest(path), clip.fps, self.max_seconds, self.deinterlace, self.labels]
        )

    def _refuse(
        self, take: _Take, rows: Mapping[PublishedId, int] | None
    ) -> tuple[str, SkipKind] | None:
        if take.view != self.view:
            return f"the view is {take.view}; asked for {self.view}", "deselected"
        culture = "north-european" if take.model in _NORTH_EUROPEAN else "mediterranean"
        if self.culture not in ("all", culture):
            return f"the model is {culture}; asked for {self.culture}", "deselected"
        if rows is not None:
            row = published.published_id(self.set_name, take.native_id)
            return None if row in rows else ("not among the published clips", "deselected")
        if take.label not in _ORDER[:_SIX] and not self.with_extra:
            return f"{take.label} is not one of the six; see dataset.with_extra", "deselected"
        return None

    def _clip(self, take: _Take, rows: Mapping[PublishedId, int] | None) -> Clip:
        subject = f"S{_MODELS.index(take.model) + 1:03d}"
        sequence = _ORDER.index(take.label) + 1 + _OFFSETS[take.view]
        row = published.published_id(self.set_name, take.native_id)
        name = _NAMES[rows[row]] if rows is not None and row else take.label
        code = LABEL_CODES[name]
        return Clip(subject, sequence, code, name, take.locator, take.native_id, self.fps)


@dataclass(frozen=True)
class _Take:
    """A clip as its name describes it."""

    model: str
    label: str
    view: View
    tail: str
    locator: str

    @property
    def key(self) -> tuple[str, str, View]:
        return self.model, self.label, self.view

    @property
    def native_id(self) -> str:
        word = _WORDS.get(self.label, self.label.capitalize())
        return f"{self.model}/{word}/{self.view}"


def _find_top(root: Path) -> Path | None:
    """Give the folder below which all clips lie: the given one, or one above it."""
    found = find_anchors(root, _holds_clips)
    if not found:
        return None
    below = all(".." not in folder.parts[len(root.parts) :] for folder in found)
    return root if below else found[0]


def _holds_clips(listing: Listing) -> bool:
    return any(
        _is_video(file) and (_NAME.fullmatch(file.stem) or _BIV.fullmatch(file.stem))
        for file in listing.files
    )


def _is_video(file: Path) -> bool:
    return file.suffix.lower() in video.VIDEO_SUFFIXES - {".gif"}


def _read_name(file: Path, folder: str) -> _Take | Skipped | None:
    """Read a clip's name; None for a file that is no video."""
    if not _is_video(file):
        return None
    locator = file.name if folder == "." else f"{folder}/{file.name}"
    match = _NAME.fullmatch(file.stem)
    if match is None:
        if _BIV.fullmatch(file.stem):
            return Skipped(locator, "of the ADFES-BIV, another set")
        return Skipped(locator, "its name is not of the form F01-Anger-Face Forward")
    model, label = match[1].upper(), expression(match[2])
    if model not in _MODELS:
        return Skipped(locator, f"no model {model}; they are F01 to F10 and M01 to M12")
    if label not in _ORDER:
        return Skipped(locator, f"{match[2]} is no emotion of the set")
    if file.stat().st_size == 0:
        return Skipped(locator, "an empty file", "unreadable")
    word = match[3].casefold()
    view: View = "away" if word.endswith("away") else "towards" if "to" in word else "forward"
    return _Take(model, label, view, match[4] or "", locator)


def _choose(
    takes: Mapping[tuple[str, str, View], list[_Take]], root: Path
) -> tuple[list[_Take], list[Skipped]]:
    """Take one video of each model, emotion and view: the one whose name has no tail.

    Raises:
        SourceError: if the names do not tell which, and the files differ.
    """
    chosen, skipped, unclear = [], [], []
    for several in takes.values():
        plain = [take for take in several if not take.tail] or several
        first = plain[0]
        if len(plain) > 1 and len({video.digest(root / take.locator) for take in plain}) > 1:
            unclear.append(" and ".join(take.locator for take in plain))
            continue
        chosen.append(first)
        for take in several:
            if take != first:
                reason = f"{take.native_id} again, beside {first.locator}"
                skipped.append(Skipped(take.locator, reason, "doubled"))
    if unclear:
        raise SourceError(
            f"{root}: files of one name that differ: {name_some(unclear)}",
            expected="one file for each model, emotion and view",
            hint="Give the folder of one copy with --source, or move the others away",
        )
    return chosen, skipped


def _nothing(root: Path, skipped: list[Skipped], layout: str, access: str) -> SourceError:
    if skipped and all("ADFES-BIV" in item.reason for item in skipped):
        return SourceError(
            f"{root}: this is the ADFES-BIV, another set: the same faces at three intensities",
            expected="the ADFES itself, with names such as F01-Anger-Face Forward.mpeg",
            hint=access,
        )
    more = f" ({skipped[0].path}: {skipped[0].reason})" if skipped else ""
    return SourceError(f"{root}: no ADFES clip found{more}", expected=layout, hint=access)
