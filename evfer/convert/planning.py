"""What a conversion would do: what is there already, and whether it is what would be made.

Whether a recording is kept is settled by digests: of the settings that shaped it, of the source
it came from, of the version that made it. That a file is there says nothing.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evfer import config, recordings
from evfer.convert import recorded, span
from evfer.convert.clip import index_entry, recording_path
from evfer.convert.recipe import ConversionConfig
from evfer.datasets.base import Clip, Dataset, Skipped, Survey
from evfer.datasets.people import name_key, warn_spellings
from evfer.emulator import require_backend
from evfer.errors import ConfigError, EvferError, RecordingError, SourceError, UnreadableError
from evfer.files import as_text
from evfer.interpolation import require_method
from evfer.provenance import __version__
from evfer.recordings.index import IndexEntry

__all__ = ["Failure", "Plan", "Stale", "add_others", "describe_failure", "plan"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NAMED = 3  # differing settings that a reason names


@dataclass(frozen=True)
class Failure:
    """A clip that could not be converted."""

    clip_id: str
    native_id: str
    error: str
    reason: str


@dataclass(frozen=True)
class Stale:
    """A recording that a run would not make as it is.

    Args:
        clip_id: its clip.
        reason: why, in words, the same for all recordings with the same reason.
        redo: whether the clip is among those to convert now; otherwise its recording stays, out
            of the index, since it does not belong to the others.
    """

    clip_id: str
    reason: str
    redo: bool


@dataclass(frozen=True)
class Plan:
    """What a conversion would do.

    Args:
        folder: the set's folder.
        todo: clips to convert: those without a recording, and those whose recording is stale.
        kept: index entries of clips that are up to date.
        skipped: things in the source that are no clips.
        unreadable: clips that cannot be converted, as their source cannot even be digested, or
            a file of another tool stands in their recording's place.
        foreign: recordings in the folder that belong to no clip, or that evfer did not make;
            they are left alone.
        stale: recordings that are out of date, and why.
        untried: clips that are not selected and have no recording.
        clips: all clips of the source.
        warnings: what looks wrong with the source or the settings without costing a clip.
    """

    folder: Path
    todo: tuple[Clip, ...]
    kept: tuple[IndexEntry, ...]
    skipped: tuple[Skipped, ...]
    unreadable: tuple[Failure, ...]
    foreign: tuple[str, ...]
    stale: tuple[Stale, ...] = ()
    warnings: tuple[str, ...] = ()
    untried: frozenset[str] = frozenset()
    clips: tuple[Clip, ...] = ()

    @property
    def n_missing(self) -> int:
        """Clips to convert that have no recording yet."""
        return len(self.todo) - sum(item.redo for item in self.stale)

    @property
    def stale_reasons(self) -> dict[tuple[str, bool], int]:
        """Number of stale recordings by (reason, redo), the most frequent first."""
        counts: dict[tuple[str, bool], int] = {}
        for item in self.stale:
            counts[item.reason, item.redo] = counts.get((item.reason, item.redo), 0) + 1
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def plan(
    dataset: Dataset,
    source: Path | None,
    data: Path,
    settings: ConversionConfig,
    *,
    limit: int | None = None,
    subjects: Iterable[str] = (),
    on_check: Callable[[int, int], None] | None = None,
) -> Plan:
    """Find out what there is to convert; nothing is written.

    Args:
        dataset: the data set's reader.
        source: its source folder, or None for sets that are rendered.
        data: the data folder; recordings go to `<data>/FerDVS/<Set>`.
        settings: the recipe.
        limit: convert at most this many of the clips.
        subjects: convert these subjects only; empty means all.
        on_check: called with (done, total) after each recording that was there and is checked.

    Raises:
        SourceError: if the source is missing or not laid out as expected.
        ConfigError: if a subject is not in the source.
        MissingExtra: if the recipe names a back end that is not installed, or needs weights.
        DataError: if the weights given are no such thing.
    """
    require_backend(settings.emulator)
    require_method(settings.interpolation)
    settings = settings.resolved(dataset.name)
    survey = dataset.survey(source)
    wanted = _select(survey, limit, tuple(subjects))
    folder = recordings.set_folder(data, dataset.set_name)
    found = _Findings()
    present = set(folder.glob("*/[!.]*.h5"))
    there = [clip for clip in survey.clips if recording_path(folder, clip) in present]
    looked = {}
    states = _look(there, _listed(folder), folder, dataset, source, settings)
    for number, (clip, result) in enumerate(states, start=1):
        looked[clip.clip_id] = result
        if on_check:
            on_check(number, len(there))
    for clip in survey.clips:
        found.sort(clip, looked.get(clip.clip_id), clip.clip_id in wanted)
    known = {recording_path(folder, clip) for clip in survey.clips}
    strangers = {str(p.relative_to(folder)) for p in present - known} | set(found.foreign)
    return Plan(
        folder,
        tuple(found.todo),
        tuple(found.kept),
        tuple(item for item in survey.skipped if item.kind != "unreadable"),
        (*found.unreadable, *_lost(survey)),
        tuple(sorted(strangers)),
        tuple(found.stale),
        tuple(
            dict.fromkeys(
                (
                    *survey.warnings,
                    *warn_spellings(clip.person or clip.subject for clip in survey.clips),
                    *span.warn_unknown(settings.clip, survey.clips),
                )
            )
        ),
        frozenset(clip.clip_id for clip in survey.clips) - wanted - set(looked),
        survey.clips,
    )


def add_others(
    found: Plan,
    done: Sequence[IndexEntry],
    dataset: Dataset,
    source: Path | None,
    settings: ConversionConfig,
) -> list[IndexEntry]:
    """Add the recordings that other processes have put into the index since the plan was made.

    Args:
        found: the plan.
        done: what this run kept and converted.
        dataset: see `plan`, as for the next two.
        source: the source folder.
        settings: the recipe, resolved.

    Returns:
        What the index should list now, those of the others only if this run would keep them.
    """
    listed = _listed(found.folder)
    kept = {entry.clip_id: entry.file_sha256 for entry in found.kept}
    mine = {entry.clip_id for entry in done}
    theirs = [
        clip
        for clip in found.clips
        if clip.clip_id in listed
        # one that was kept may have been made again meanwhile
        and (
            clip.clip_id not in mine
            or kept.get(clip.clip_id, listed[clip.clip_id]) != listed[clip.clip_id]
        )
    ]
    states = dict(_look(theirs, listed, found.folder, dataset, source, settings))
    changed = {clip.clip_id for clip in theirs}
    own = [entry for entry in done if entry.clip_id not in changed]
    return own + [state for state in states.values() if isinstance(state, IndexEntry)]


def describe_failure(clip: Clip, error: BaseException) -> Failure:
    """Give a clip's failure with the error's message on one line."""
    message = as_text(" ".join(str(error).split()))
    return Failure(clip.clip_id, clip.native_id, type(error).__name__, message)


def _listed(folder: Path) -> dict[str, str]:
    """Give the digests of the recordings as they were written; what index.csv lacks is checked."""
    try:
        return {entry.clip_id: entry.file_sha256 for entry in recordings.read_index(folder)}
    except (RecordingError, SourceError):
        return {}


def _lost(survey: Survey) -> tuple[Failure, ...]:
    """Give what is a clip but cannot be read as failures, so that none goes missing quietly."""
    return tuple(
        Failure("", as_text(item.path), SourceError.__name__, as_text(item.reason))
        for item in survey.skipped
        if item.kind == "unreadable"
    )


@dataclass(frozen=True)
class _Outdated:
    reason: str


@dataclass(frozen=True)
class _Foreign:
    path: str


@dataclass
class _Findings:
    todo: list[Clip] = field(default_factory=list)
    kept: list[IndexEntry] = field(default_factory=list)
    unreadable: list[Failure] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    stale: list[Stale] = field(default_factory=list)

    def sort(
        self, clip: Clip, state: IndexEntry | _Outdated | _Foreign | EvferError | None, wanted: bool
    ) -> None:
        if isinstance(state, IndexEntry):
            self.kept.append(state)
            return
        if isinstance(state, EvferError):
            self.unreadable.append(describe_failure(clip, state))
            return
        if isinstance(state, _Foreign):
            self.foreign.append(state.path)
            if wanted:
                error = RecordingError(
                    f"{state.path}: not a recording of evfer, left alone",
                    expected="no file in the recording's place, or one that evfer made",
                    hint="Move it away, or choose another folder with --out",
                )
                self.unreadable.append(describe_failure(clip, error))
            return
        if isinstance(state, _Outdated):
            self.stale.append(Stale(clip.clip_id, state.reason, wanted))
        if wanted:
            self.todo.append(clip)


def _look(
    clips: list[Clip],
    listed: Mapping[str, str],
    folder: Path,
    dataset: Dataset,
    source: Path | None,
    settings: ConversionConfig,
) -> Iterator[tuple[Clip, IndexEntry | _Outdated | _Foreign | EvferError]]:
    """Tell of clips that have a recording whether a new run would make it again."""
    shaping = settings.shaping

    def look(clip: Clip) -> IndexEntry | _Outdated | _Foreign | EvferError:
        own = settings.shaping_of(clip, shaping)
        try:
            path = recording_path(folder, clip)
            state = _examine(path, clip, own, dataset, source)
        except EvferError as error:
            return error
        # what it says of itself is not enough: its bytes must be those that were written
        if isinstance(state, IndexEntry) and state.file_sha256 != listed.get(clip.clip_id):
            try:
                recordings.verify_recording(path)
            except UnreadableError as error:
                return error
            except RecordingError:
                return _Outdated("the file is damaged")
        return state

    # digesting is reading and hashing, which leave Python's lock to others
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield from zip(clips, pool.map(look, clips), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _examine(
    path: Path, clip: Clip, shaping: Mapping[str, Any], dataset: Dataset, source: Path | None
) -> IndexEntry | _Outdated | _Foreign:
    """Tell whether a new run would make a recording again, byte for byte."""
    try:
        found = recordings.inspect(path)
    except UnreadableError:
        raise
    except RecordingError:
        return _Outdated("the file is damaged") if _may_be_ours(path) else _foreign(path)
    if found.get("format") != recordings.FORMAT:
        return _foreign(path)
    version = found.get("generator_version")
    if version != __version__:
        return _Outdated(f"made by evfer {version}")
    if found.get("generator") == recorded.GENERATOR:
        shaping = recorded.shaping(dataset)
    if found.get("params_sha256") != config.digest(shaping):
        return _Outdated(f"another recipe: {_differences(found.get('params'), shaping)}")
    for what, before, now in (
        ("label", found.get("label_name"), clip.label_name),
        ("label's code", found.get("label"), clip.label),
        ("clip in the source", found.get("native_id"), clip.native_id),
    ):
        if before != now:
            return _Outdated(f"another {what}")
    if found.get("source_sha256") != dataset.source_digest(clip, source):
        return _Outdated("its source has changed, or the frame rate or labels asked for")
    try:
        return index_entry(path, clip, found)
    except (OSError, KeyError, TypeError):
        return _Outdated("the file is damaged")


def _may_be_ours(path: Path) -> bool:
    """Tell whether a file that cannot be read may be one of evfer's, cut short."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_HDF5))
    except OSError:
        return False
    return start in (_HDF5, b"")


def _foreign(path: Path) -> _Foreign:
    return _Foreign(f"{path.parent.name}/{path.name}")


def _differences(before: object, now: Mapping[str, Any]) -> str:
    """Name the settings that differ, with their values then and now."""
    found = config.differences(before if isinstance(before, Mapping) else {}, now)
    said = [f"{key} {_spell(old)}, now {_spell(new)}" for key, old, new in found[:_NAMED]]
    if len(found) > _NAMED:
        said.append(f"{len(found) - _NAMED} more")
    return "; ".join(said)


def _spell(value: object) -> str:
    return "not there" if value is None else str(value)


def _select(survey: Survey, limit: int | None, subjects: tuple[str, ...]) -> set[str]:
    # as the source spells people, or as their folders are named
    names = {clip.person or clip.subject for clip in survey.clips}
    known = {_same_text(n): n for n in {clip.subject for clip in survey.clips} | names}
    wanted = [_same_text(subject) for subject in subjects]
    for subject, text in zip(subjects, wanted, strict=True):
        if text not in known:
            like = sorted(name for name in names if name_key(name) == name_key(subject))
            raise ConfigError(
                f'subject "{subject}"',
                expected="one of " + ", ".join(sorted(names)),
                hint=f"Here the name is spelt {' and '.join(like)}" if like else "",
            )
    chosen = [
        clip
        for clip in survey.clips
        if not subjects or {_same_text(clip.subject), _same_text(clip.person)} & set(wanted)
    ]
    return {clip.clip_id for clip in chosen[:limit]}


def _same_text(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()
