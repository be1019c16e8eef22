"""The MMI facial expression database, as its site packs a selection of sessions.

    Sessions/1767/   S001-103.avi   S001-103.xml   session.xml
    Sessions/1768/   ...

A session's number says nothing; the clip's name does: subject S001, clip 103. A flat folder of
`S001-103.avi` with `S001-103.xml` beside it is read as well. The layout, the values and their
confidence come from public readers of the database; the database itself was not at hand.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from evfer import config, video
from evfer.datasets import cards, published
from evfer.datasets.base import LABEL_CODES, Clip, SkipKind, Skipped, Survey, require_folder
from evfer.datasets.labels import (
    LabelSource,
    check_label_options,
    read_fold_labels,
    warn_missing,
)
from evfer.datasets.mmi_files import Emotion, Shown, read_emotion, read_view
from evfer.datasets.published import PublishedId
from evfer.datasets.tree import Listing, find_anchors, list_folder, locate, name_some, the_one
from evfer.datasets.views import FirstField, Stored, Viewed, choose_view
from evfer.errors import ConfigError, FaceError, SourceError

__all__ = ["MMI", "Views"]

Views: TypeAlias = Literal["all", "frontal", "dual"]

_FALLBACK_FPS = 25.0  # PAL
_SID = re.compile(r"(S\d{3})-(\d{3})", re.IGNORECASE)
_NAMES = {code: name for name, code in LABEL_CODES.items()}


@dataclass(frozen=True)
class MMI:
    """Reader of the MMI database: `Sessions/<number>/S001-103.avi` with its XML files.

    Args:
        fps: frames a second of every clip; by default what each video says, and 25 for one that
            says nothing.
        views: which clips count. "frontal" are those of one camera from the front, "dual" those
            with front and profile side by side; "all" takes both, and those that do not say.
        deinterlace: whether each frame's odd rows are made anew from the even ones. Use it where
            moving edges look like combs; what a copy holds, only its user can see.
        labels: "official" reads each clip's own XML file, "published" takes clips and labels
            from a fold file.
        fold_file: path of your copy of the published fold file.
        ids_file: path of a table `subject;sequence;sid` that says which clip a published id
            means; public facts reach for S001 and S002 only.
    """

    fps: float | None = None
    views: Views = "all"
    deinterlace: bool = False
    labels: LabelSource = "official"
    fold_file: str = ""
    ids_file: str = ""

    name = "mmi"
    set_name = "MMIDVS"
    needs_source = True

    def __post_init__(self) -> None:
        check_label_options(self.labels, self.fold_file)
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ConfigError(f"fps {self.fps}", expected="a rate above 0 and up to 1000")
        if self.ids_file and self.labels != "published":
            raise ConfigError(
                f"dataset.ids_file = {self.ids_file} with the official labels",
                expected='dataset.labels = "published" beside it',
            )

    def survey(self, source: Path | None) -> Survey:
        """List the clips; see `Dataset.survey`."""
        card = cards.find(self.name)
        layout, access = (card.layout.strip(), card.access) if card else ("", "")
        root = require_folder(source, layout, access)
        anchor, folders = _find_sessions(root, layout, access)
        sessions = [_read_session(folder, root) for folder in folders]
        found: dict[str, list[_Take]] = defaultdict(list)
        for session in sessions:
            for take in session.takes:
                found[take.sid].append(take)
        if any(session.laughter for session in sessions) and not any(
            take.emotion.name for takes in found.values() for take in takes
        ):
            raise SourceError(
                f"{root}: the MAHNOB laughter database, by its recordings of a microphone",
                expected="the MMI facial expression database, whose clips name an Emotion",
                hint=access,
            )
        wanted = self._read_wanted()
        clips: list[Clip] = []
        skipped = [item for session in sessions for item in session.skipped]
        for sid, takes in found.items():
            clip, reasons = self._choose(sid, takes, wanted)
            skipped += reasons
            clips += [clip] if clip else []
        if not clips:
            raise _nothing(root, skipped, layout, access)
        warnings = [warning for session in sessions for warning in session.warnings]
        unsaid = [
            clip.native_id for clip in clips if _first(found[clip.native_id]).shown == "unknown"
        ]
        if unsaid:
            clips_have = "1 clip has" if len(unsaid) == 1 else f"{len(unsaid)} clips have"
            warnings.append(
                f"{clips_have} no session.xml that names the view, so the face detector finds it: "
                f"{name_some(unsaid)}"
            )
        if wanted:
            warnings += wanted.warn(found)
        kind = "a flat folder of clips" if folders == (anchor,) else "sessions"
        return Survey(
            tuple(sorted(clips, key=lambda clip: (clip.subject, clip.sequence))),
            tuple(sorted(skipped, key=lambda item: video.natural_key(item.path))),
            tuple(warnings),
            f"{kind} in {locate(anchor, root)}",
        )

    def open(self, clip: Clip, source: Path | None) -> Viewed:
        """Open a clip's frames, upright and of one face; see `Dataset.open`.

        Raises:
            FaceError: if the face detector finds no way to look at it.
        """
        path = Path(source or ".") / clip.locator
        frames = video.open_frames(path, clip.fps, fallback_fps=_FALLBACK_FPS)
        frames = FirstField(frames) if self.deinterlace else frames
        stored = _stored(path)
        notes = {
            "labels": self.labels,
            "view": stored,
            **({"fields": "first"} if self.deinterlace else {}),
        }
        try:
            return Viewed(frames, choose_view(frames, stored), notes)
        except FaceError as error:
            raise FaceError(
                f"{path}: {error.found}", expected=error.expected, hint=error.hint
            ) from error

    def source_digest(self, clip: Clip, source: Path | None) -> str:
        """Digest a clip's video, view and rate; see `Dataset.source_digest`."""
        path = Path(source or ".") / clip.locator
        shaping = [_stored(path), clip.fps, self.deinterlace, self.labels]
        return config.digest([video.digest(path), *shaping])

    def _read_wanted(self) -> _Wanted | None:
        if self.labels == "official":
            return None
        ids = published.read_ids(Path(self.ids_file)) if self.ids_file else None
        rows = read_fold_labels(Path(self.fold_file))
        sids = {
            row: sid
            for row in rows
            if (sid := published.native_id(self.set_name, row.subject, row.sequence, ids))
        }
        return _Wanted(rows, sids)

    def _choose(
        self, sid: str, takes: list[_Take], wanted: _Wanted | None
    ) -> tuple[Clip | None, list[Skipped]]:
        """Make a clip of what goes by one name, or say why not."""
        first = _first(takes)
        if len({take.emotion.name for take in takes} - {""}) > 1:
            reason = f"{sid} is there {len(takes)} times, with different labels"
            return None, [Skipped(take.locator, reason, "doubled") for take in takes]
        skipped = [
            Skipped(take.locator, f"{sid} again, beside {first.locator}", "doubled")
            for take in takes
            if take != first
        ]
        refusal = self._refuse(first, sid, wanted)
        if refusal:
            return None, [Skipped(first.locator, *refusal), *skipped]
        name = _NAMES[wanted.labels[sid]] if wanted else first.emotion.name
        subject, _, number = sid.partition("-")
        clip = Clip(subject, int(number), LABEL_CODES[name], name, first.locator, sid, self.fps)
        return clip, skipped

    def _refuse(self, take: _Take, sid: str, wanted: _Wanted | None) -> tuple[str, SkipKind] | None:
        if wanted and sid not in wanted.labels:
            return "not among the published clips", "deselected"
        if not wanted and not take.emotion.name:
            return take.emotion.reason, take.emotion.kind
        if take.shown == "profile":
            return "shows a profile", "deselected"
        if self.views not in ("all", take.shown):
            return f"its view is {take.shown}; asked for {self.views}", "deselected"
        if int(sid.partition("-")[2]) < 1:
            return "clip number 000; they count from 1", "odd"
        return None


@dataclass(frozen=True)
class _Take:
    """A video under a clip's name."""

    sid: str
    locator: str
    emotion: Emotion
    shown: Shown


def _first(takes: Sequence[_Take]) -> _Take:
    """Give the first video of a name that has a label, or the first."""
    return next((take for take in takes if take.emotion.name), takes[0])


@dataclass(frozen=True)
class _Session:
    """What a folder holds."""

    takes: tuple[_Take, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    laughter: bool = False


@dataclass(frozen=True)
class _Wanted:
    """The rows of a fold file with their labels, and the clips they mean where that is known."""

    rows: Mapping[PublishedId, int]
    sids: Mapping[PublishedId, str]

    @property
    def labels(self) -> Mapping[str, int]:
        return {sid: self.rows[row] for row, sid in self.sids.items()}

    def warn(self, there: Container[str]) -> Iterator[str]:
        unknown = len(self.rows) - len(self.sids)
        if unknown:
            yield (
                f"{unknown} of {len(self.rows)} published clips have no known number in MMI; "
                "a table given by dataset.ids_file can name them"
            )
        known = {row: self.rows[row] for row in self.sids}
        yield from warn_missing(known, (row for row, sid in self.sids.items() if sid in there))


def _find_sessions(root: Path, layout: str, access: str) -> tuple[Path, tuple[Path, ...]]:
    """Give the folder that the layout hangs on, and those that hold clips."""
    found = find_anchors(root, _holds_sessions)
    if found:
        hint = "Move the sessions into one folder, or name one of these with --source"
        anchor = the_one(found, root, "folders of sessions", hint)
        return anchor, tuple(filter(_is_numbered, list_folder(anchor).folders))
    found = find_anchors(root, _holds_clips)
    if found:
        hint = "Move the clips into one folder, or name one of these with --source"
        anchor = the_one(found, root, "folders of clips", hint)
        return anchor, (anchor,)
    raise SourceError(f"{root}: no MMI session found", expected=layout, hint=access)


def _holds_sessions(listing: Listing) -> bool:
    def is_session(folder: Path) -> bool:
        try:
            inside = list_folder(folder)
        except SourceError:
            return False
        names = {file.name.casefold() for file in inside.files}
        return "session.xml" in names or _holds_clips(inside)

    return any(is_session(folder) for folder in listing.folders if _is_numbered(folder))


def _holds_clips(listing: Listing) -> bool:
    return any(_SID.fullmatch(file.stem) and _is_video(file) for file in listing.files)


def _is_numbered(folder: Path) -> bool:
    return folder.name.isdecimal()


def _is_video(file: Path) -> bool:
    return file.suffix.lower() in video.VIDEO_SUFFIXES - {".gif"}


def _read_session(folder: Path, root: Path) -> _Session:
    """Read what one folder holds: its videos with their labels, or why there is none."""
    place = locate(folder, root)
    try:
        listing = list_folder(folder)
    except SourceError as error:
        return _Session(skipped=(Skipped(place, error.found, "unreadable"),))
    files = {file.name.casefold(): file for file in listing.files}
    laughter = any(file.stem.casefold().endswith("_mic") for file in listing.files)
    videos = [file for file in listing.files if _is_video(file)]
    if not videos:
        if any(file.suffix.lower() in video.IMAGE_SUFFIXES for file in listing.files):
            return _Session(skipped=(Skipped(place, "a still picture", "deselected"),))
        return _Session(skipped=(Skipped(place, "no video in this session"),), laughter=laughter)
    shown: Shown = "unknown"
    warnings = []
    if session := files.get("session.xml"):
        try:
            shown = read_view(session)
        except SourceError as error:
            warnings.append(error.found.replace(str(session), locate(session, root), 1))
    takes, skipped = [], []
    for file in videos:
        locator = locate(file, root)
        if not _SID.fullmatch(file.stem):
            skipped.append(Skipped(locator, "not named by subject and clip, such as S001-103"))
            continue
        if file.stat().st_size == 0:
            skipped.append(Skipped(locator, "an empty file", "unreadable"))
            continue
        label = files.get(f"{file.stem}.xml".casefold())
        emotion = read_emotion(label) if label else Emotion(reason=f"no {file.stem}.xml beside it")
        takes.append(_Take(file.stem.upper(), locator, emotion, shown))
    return _Session(tuple(takes), tuple(skipped), tuple(warnings), laughter)


def _stored(path: Path) -> Stored:
    """Give what the session of a clip says of its view; a profile counts as unknown."""
    try:
        names = {file.name.casefold(): file for file in list_folder(path.parent).files}
        shown = read_view(names["session.xml"])
    except (SourceError, KeyError):
        return "unknown"
    return "unknown" if shown == "profile" else shown


def _nothing(root: Path, skipped: list[Skipped], layout: str, access: str) -> SourceError:
    kinds = Counter(re.sub(r"\S+\.xml|S\d{3}-\d{3}", "...", item.reason) for item in skipped)
    reasons = ", ".join(f"{count} times: {reason}" for reason, count in kinds.most_common(3))
    return SourceError(
        f"{root}: no clip to convert" + (f" ({reasons})" if reasons else ""),
        expected=layout,
        hint=access,
    )
