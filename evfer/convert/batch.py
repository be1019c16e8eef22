"""All clips of a data set, in this process or several, resumable."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from evfer import config, folds, index, provenance, workers
from evfer.convert.clip import convert_clip, recording_path, up_to_date
from evfer.convert.recipe import ConversionConfig
from evfer.datasets.base import Clip, Dataset, Skipped, Survey
from evfer.emulator import require_backend
from evfer.errors import ConfigError, EvferError, RecordingError
from evfer.files import make_folder, write_text
from evfer.index import IndexEntry
from evfer.interpolation import require_method

__all__ = ["ConversionSummary", "Failure", "Plan", "Progress", "convert", "plan"]


@dataclass(frozen=True)
class Failure:
    """A clip that could not be converted."""

    clip_id: str
    native_id: str
    error: str
    reason: str


@dataclass(frozen=True)
class ConversionSummary:
    """What a conversion did.

    Args:
        folder: the set's folder.
        converted: clips converted now.
        kept: clips that were there and up to date.
        failures: clips that failed.
        skipped: things in the source that are no clips.
        fingerprint: the set's fingerprint.
        entries: the index.
        note: what became of the set's folds, if that needs telling.
    """

    folder: Path
    converted: int
    kept: int
    failures: tuple[Failure, ...]
    skipped: tuple[Skipped, ...]
    fingerprint: str
    entries: tuple[IndexEntry, ...]
    note: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a conversion is; passed to the caller's function after each clip."""

    done: int
    total: int
    clip: Clip
    failure: Failure | None


@dataclass(frozen=True)
class Plan:
    """What a conversion would do.

    Args:
        folder: the set's folder.
        todo: clips to convert.
        kept: index entries of clips that are up to date.
        skipped: things in the source that are no clips.
        unreadable: clips whose source cannot even be digested.
        foreign: recordings in the folder that belong to no clip of the source.
    """

    folder: Path
    todo: tuple[Clip, ...]
    kept: tuple[IndexEntry, ...]
    skipped: tuple[Skipped, ...]
    unreadable: tuple[Failure, ...]
    foreign: tuple[str, ...]


@dataclass(frozen=True)
class _Task:
    dataset: Dataset
    source: Path | None
    folder: Path
    config: ConversionConfig
    clip: Clip


def plan(
    dataset: Dataset,
    source: Path | None,
    data: Path,
    settings: ConversionConfig,
    *,
    limit: int | None = None,
    subjects: Iterable[str] = (),
) -> Plan:
    """Find out what there is to convert; nothing is written.

    Args:
        dataset: the data set's reader.
        source: its source folder, or None for sets that are rendered.
        data: the data folder; recordings go to `<data>/FerDVS/<Set>`.
        settings: the recipe.
        limit: convert at most this many of the clips.
        subjects: convert these subjects only; empty means all.

    Raises:
        SourceError: if the source is missing or not laid out as expected.
        ConfigError: if a subject is not in the source.
        MissingExtra: if the recipe names a back end that is not installed, or needs weights.
        DataError: if the weights given are no such thing.
    """
    require_backend(settings.emulator)
    require_method(settings.interpolation)
    survey = dataset.survey(source)
    wanted = _select(survey, limit, tuple(subjects))
    folder = index.set_folder(data, dataset.set_name)
    todo, kept, unreadable = [], [], []
    params_sha256 = config.digest(settings.shaping)
    for clip in survey.clips:
        path = recording_path(folder, clip)
        if not path.exists() and clip.clip_id not in wanted:
            continue
        try:
            source_sha256 = dataset.source_digest(clip, source)
        except EvferError as error:
            unreadable.append(_failure(clip, error))
            continue
        entry = up_to_date(path, clip, params_sha256, source_sha256)
        if entry:
            kept.append(entry)
        elif clip.clip_id in wanted:
            todo.append(clip)
    known = {recording_path(folder, clip) for clip in survey.clips}
    foreign = sorted(
        str(p.relative_to(folder)) for p in folder.glob("*/[!.]*.h5") if p not in known
    )
    return Plan(folder, tuple(todo), tuple(kept), survey.skipped, tuple(unreadable), tuple(foreign))


def convert(
    dataset: Dataset,
    source: Path | None,
    data: Path,
    settings: ConversionConfig,
    *,
    n_workers: int = 1,
    limit: int | None = None,
    subjects: Iterable[str] = (),
    on_plan: Callable[[Plan], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> ConversionSummary:
    """Convert a data set's clips to recordings.

    Clips that are there, made from the same source by the same recipe, are kept. The index, the
    fingerprint and the list of failures are written at the end, and also when the run is
    interrupted, so that what is finished can be used. Folds that no longer fit are made anew
    at the end, by the rule that made them.

    Args:
        dataset: the data set's reader.
        source: its source folder, or None for sets that are rendered.
        data: the data folder; recordings go to `<data>/FerDVS/<Set>`.
        settings: the recipe.
        n_workers: number of processes; 1 converts in this one.
        limit: convert at most this many of the clips.
        subjects: convert these subjects only; empty means all.
        on_plan: called once, before the first clip.
        on_progress: called after each clip.

    Raises:
        SourceError: if the source is missing or not laid out as expected.
        OutputError: if the data folder cannot be written.
    """
    found = plan(dataset, source, data, settings, limit=limit, subjects=subjects)
    make_folder(found.folder)
    workers.remove_stale_parts(found.folder)
    if on_plan:
        on_plan(found)
    done = list(found.kept)
    failures = list(found.unreadable)
    tasks = [_Task(dataset, source, found.folder, settings, clip) for clip in found.todo]
    try:
        for number, (task, result) in enumerate(
            workers.run(_convert_task, tasks, n_workers), start=1
        ):
            failure = None
            if isinstance(result, IndexEntry):
                done.append(result)
            else:
                failure = _failure(task.clip, result)
                failures.append(failure)
            if on_progress:
                on_progress(Progress(number, len(tasks), task.clip, failure))
    finally:
        fingerprint = _write_tables(found.folder, dataset, settings, done, failures)
    # not after an interruption: a plan for the few clips of a half-done run would be no use
    note = _renew_folds(found.folder, done)
    return ConversionSummary(
        found.folder,
        len(done) - len(found.kept),
        len(found.kept),
        tuple(sorted(failures, key=lambda failure: failure.clip_id)),
        found.skipped,
        fingerprint,
        tuple(sorted(done, key=lambda entry: entry.clip_id)),
        note,
    )


def _convert_task(task: _Task) -> IndexEntry:
    """Convert one clip as a worker does; see `convert_clip`."""
    return convert_clip(task.dataset, task.clip, task.source, task.folder, task.config)


def _select(survey: Survey, limit: int | None, subjects: tuple[str, ...]) -> set[str]:
    known = {clip.subject for clip in survey.clips}
    for subject in subjects:
        if subject not in known:
            raise ConfigError(f'subject "{subject}"', expected="one of " + ", ".join(sorted(known)))
    chosen = [clip for clip in survey.clips if not subjects or clip.subject in subjects]
    return {clip.clip_id for clip in chosen[:limit]}


def _failure(clip: Clip, error: BaseException) -> Failure:
    return Failure(clip.clip_id, clip.native_id, type(error).__name__, " ".join(str(error).split()))


def _write_tables(
    folder: Path,
    dataset: Dataset,
    settings: ConversionConfig,
    entries: list[IndexEntry],
    failures: list[Failure],
) -> str:
    fingerprint = index.write_index(folder, entries)
    ordered = sorted(failures, key=lambda failure: failure.clip_id)
    index.write_table(folder / "failures.csv", ordered, Failure)
    # a reader made in Python may have options that no recipe names
    options = config.to_dict(dataset) if dataclasses.is_dataclass(dataset) else settings.dataset
    more = ("v2e",) * (settings.emulator.backend == "v2e")
    more += ("torch", "pillow") * (bool(more) or settings.interpolation.method == "superslomo")
    record = {
        "dataset": dataset.name,
        "set": dataset.set_name,
        "recipe": config.to_dict(dataclasses.replace(settings, dataset=options)),
        "params_sha256": config.digest(settings.shaping),
        "fingerprint": fingerprint,
        "versions": provenance.versions(provenance.CONVERSION_PACKAGES + more),
    }
    write_text(folder / "conversion.toml", config.to_toml(record))
    return fingerprint


def _renew_folds(folder: Path, entries: list[IndexEntry]) -> str:
    """Make the folds fit the clips that are there now, by the rule that was chosen before.

    Returns:
        What the user should know, or nothing.
    """
    protocol, seed, n_folds, note = "strict", 0, None, ""
    try:
        folds.read(folder, entries)
        return ""
    except RecordingError:
        if (folder / "manifest.toml").is_file():
            with contextlib.suppress(EvferError, ValueError, KeyError, TypeError):
                manifest = config.read_toml(folder / "manifest.toml")
                protocol, seed = str(manifest["protocol"]), int(manifest["seed"])
                n_folds = int(manifest["n_folds"])
            if protocol == "imported":
                return (
                    "The imported folds no longer fit the clips; they are kept, and the set has no "
                    "usable folds until evfer folds is run."
                )
            note = f"The folds ({protocol}) were made anew for the clips that are there now."
    for count in (n_folds, None):
        with contextlib.suppress(ConfigError):
            folds.write(folder, folds.build(entries, protocol, count, seed), entries)
            return note
    for name in ("folds.csv", "manifest.toml"):  # one subject cannot be split
        (folder / name).unlink(missing_ok=True)
    return ""
