"""From clips to recordings: faces, frames between frames, events, files.

One clip is one task, a pure function of the clip, its source and the recipe. Tasks run in this
process or in worker processes; the files are the same whatever the number of workers, the order
or the interruptions, and a second run does only what is missing or out of date.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import evfer
from evfer import config, folds, index, plugins, provenance, store, workers
from evfer.datasets.base import Clip, Dataset, Skipped, Survey
from evfer.emulator import DVSEmulator, DVSParams
from evfer.errors import ConfigError, EvferError, RecordingError, VideoError
from evfer.events import SensorSize, from_raw
from evfer.faces import AlignedClip, AlignParams, align
from evfer.files import make_folder, sha256_file, write_text
from evfer.index import IndexEntry
from evfer.interpolation import InterpolationParams, interpolate

__all__ = [
    "ConversionConfig",
    "ConversionSummary",
    "Failure",
    "Progress",
    "aligned_clip",
    "convert",
    "convert_clip",
    "load_config",
    "open_dataset",
    "plan",
]

PIPELINE_VERSION = 1
"""Raised whenever the same recipe starts to give other events, so that old files count as stale."""

_PROTECTED = ("pipeline", "faces", "interpolation", "emulator", "seed")


@dataclass(frozen=True)
class ConversionConfig:
    """A conversion recipe.

    Args:
        name: the recipe's name.
        about: what it is for.
        seed: seed of the sensor patterns; each clip draws its own from (seed, clip).
        dataset: options of the data set's reader, such as fps.
        faces: how faces are found, aligned and cropped.
        interpolation: how frames are made between frames.
        emulator: the event camera.
    """

    name: str = "default"
    about: str = ""
    seed: int = 0
    dataset: Mapping[str, Any] = field(default_factory=dict)
    faces: AlignParams = field(default_factory=AlignParams)
    interpolation: InterpolationParams = field(default_factory=InterpolationParams)
    emulator: DVSParams = field(default_factory=DVSParams)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}", expected="0 or more")

    @property
    def shaping(self) -> dict[str, Any]:
        """Every setting that shapes a recording's events, as plain data."""
        settings = config.to_dict(self)
        return {
            "pipeline": PIPELINE_VERSION,
            **{name: settings[name] for name in _PROTECTED if name in settings},
        }


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
    """

    folder: Path
    converted: int
    kept: int
    failures: tuple[Failure, ...]
    skipped: tuple[Skipped, ...]
    fingerprint: str
    entries: tuple[IndexEntry, ...]


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


def load_config(recipe: str, overrides: Mapping[str, Any] | None = None) -> ConversionConfig:
    """Read a conversion recipe, shipped or of one's own, and lay overrides over it.

    Raises:
        ConfigError: for an unknown recipe or key, or a value that cannot be used.
    """
    values = config.read_toml(config.find_shipped("pipelines", recipe))
    return config.build(ConversionConfig, config.merge(values, overrides or {}))


def open_dataset(name: str, settings: ConversionConfig) -> Dataset:
    """Make a data set's reader with the options of a recipe's `[dataset]`.

    Args:
        name: a data set's name, or `module:attribute` of a factory.
        settings: the recipe.

    Raises:
        UnknownNameError: if there is no such data set, or it has no such option.
    """
    factory = plugins.load("evfer.datasets", name)
    if dataclasses.is_dataclass(factory) and isinstance(factory, type):
        made = config.build(factory, settings.dataset, "dataset")
    else:
        made = factory(**settings.dataset)
    if not isinstance(made, Dataset):
        raise ConfigError(
            f'the data set "{name}" is a {type(made).__name__}',
            expected="an object with name, set_name, needs_source, survey, open, source_digest",
        )
    return made


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
    """
    survey = dataset.survey(source)
    wanted = _select(survey, limit, tuple(subjects))
    folder = index.set_folder(data, dataset.set_name)
    todo, kept, unreadable = [], [], []
    params_sha256 = config.digest(settings.shaping)
    for clip in survey.clips:
        path = _recording_path(folder, clip)
        if not path.exists() and clip.clip_id not in wanted:
            continue
        try:
            source_sha256 = dataset.source_digest(clip, source)
        except EvferError as error:
            unreadable.append(_failure(clip, error))
            continue
        entry = _up_to_date(path, clip, params_sha256, source_sha256)
        if entry:
            kept.append(entry)
        elif clip.clip_id in wanted:
            todo.append(clip)
    known = {_recording_path(folder, clip) for clip in survey.clips}
    foreign = sorted(str(p.relative_to(folder)) for p in folder.glob("*/*.h5") if p not in known)
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
    fingerprint, the folds and the list of failures are written at the end, and also when the
    run is interrupted, so that what is finished can be used.

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
            workers.run(convert_task, tasks, n_workers), start=1
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
    return ConversionSummary(
        found.folder,
        len(done) - len(found.kept),
        len(found.kept),
        tuple(sorted(failures, key=lambda failure: failure.clip_id)),
        found.skipped,
        fingerprint,
        tuple(sorted(done, key=lambda entry: entry.clip_id)),
    )


def convert_task(task: _Task) -> IndexEntry:
    """Convert one clip as a worker does; see `convert_clip`."""
    return convert_clip(task.dataset, task.clip, task.source, task.folder, task.config)


def convert_clip(
    dataset: Dataset,
    clip: Clip,
    source: Path | None,
    folder: Path,
    settings: ConversionConfig,
) -> IndexEntry:
    """Convert one clip and write its recording.

    Raises:
        VideoError: if its frames cannot be read.
        FaceError: if no face can be followed.
        OutputError: if the recording cannot be written.
    """
    source_sha256 = dataset.source_digest(clip, source)
    aligned, times_s = aligned_clip(dataset, clip, source, settings)
    frames, frame_times = interpolate(aligned.frames, times_s, params=settings.interpolation)
    emulator = DVSEmulator(settings.emulator, seed=_seed(settings.seed, dataset.name, clip))
    events = from_raw(emulator.run(frames, frame_times))
    size = settings.faces.size
    fps = _rate(times_s)
    attributes: dict[str, str | int | float] = {
        "dataset": dataset.name,
        "subject": clip.subject,
        "sequence": clip.sequence,
        "clip_id": clip.clip_id,
        "native_id": clip.native_id,
        "label": clip.label,
        "label_name": clip.label_name,
        "source_sha256": source_sha256,
        "source_frames": len(times_s),
        "source_fps": fps,
        "faces": config.canonical_json(config.to_dict(aligned.report)),
        "generator": "evfer",
        "generator_version": evfer.__version__,
        "params": config.canonical_json(settings.shaping),
        "params_sha256": config.digest(settings.shaping),
        "seed": settings.seed,
    }
    path = _recording_path(folder, clip)
    store.write(
        path,
        events,
        SensorSize(size, size),
        attributes,
        duration_us=round(float(times_s[-1]) * 1e6),
    )
    return _entry(path, clip, store.inspect(path))


def aligned_clip(
    dataset: Dataset, clip: Clip, source: Path | None, settings: ConversionConfig
) -> tuple[AlignedClip, NDArray[np.float64]]:
    """Read a clip and give its aligned face crops and their times in seconds.

    Raises:
        VideoError: if its frames cannot be read, or are fewer than two.
        FaceError: if no face can be followed.
    """
    frames = dataset.open(clip, source)
    times_s = np.asarray(frames.times_s, np.float64)
    if len(times_s) < 2:
        raise VideoError(
            f"{clip.native_id}: {len(times_s)} frame", expected="at least two, or nothing changes"
        )
    return align(frames, settings.faces, fps=_rate(times_s)), times_s


def _rate(times_s: NDArray[np.float64]) -> float:
    return float((len(times_s) - 1) / (times_s[-1] - times_s[0]))


def _seed(seed: int, dataset: str, clip: Clip) -> tuple[int, int]:
    name = hashlib.sha256(f"{dataset}/{clip.clip_id}".encode()).digest()
    return (seed, int.from_bytes(name[:8], "little"))


def _select(survey: Survey, limit: int | None, subjects: tuple[str, ...]) -> set[str]:
    known = {clip.subject for clip in survey.clips}
    for subject in subjects:
        if subject not in known:
            raise ConfigError(f'subject "{subject}"', expected="one of " + ", ".join(sorted(known)))
    chosen = [clip for clip in survey.clips if not subjects or clip.subject in subjects]
    return {clip.clip_id for clip in chosen[:limit]}


def _recording_path(folder: Path, clip: Clip) -> Path:
    return folder / clip.subject / f"{clip.sequence:03d}.h5"


def _up_to_date(
    path: Path, clip: Clip, params_sha256: str, source_sha256: str
) -> IndexEntry | None:
    """Give the index entry of a recording that a new run would make again, byte for byte."""
    if not path.exists():
        return None
    try:
        found = store.inspect(path)
        same = (
            found.get("params_sha256") == params_sha256
            and found.get("source_sha256") == source_sha256
            and found.get("generator_version") == evfer.__version__
            and (found.get("label"), found.get("label_name")) == (clip.label, clip.label_name)
            and found.get("native_id") == clip.native_id
        )
        return _entry(path, clip, found) if same else None
    except RecordingError:
        return None


def _entry(path: Path, clip: Clip, found: Mapping[str, Any]) -> IndexEntry:
    report = found["faces"]
    return IndexEntry(
        clip_id=clip.clip_id,
        path=path.relative_to(path.parent.parent).as_posix(),
        subject=clip.subject,
        sequence=clip.sequence,
        label=clip.label,
        label_name=clip.label_name,
        n_events=found["n_events"],
        duration_us=found["duration_us"],
        bytes=path.stat().st_size,
        file_sha256=sha256_file(path),
        events_sha256=found["events_sha256"],
        native_id=clip.native_id,
        fps=found["source_fps"],
        n_frames=found["source_frames"],
        detection_rate=report["detection_rate"],
        redetections=report["redetections"],
        median_iod=report["median_iod"],
        residual=report["residual"],
        yaw_first=report["yaw_first"],
        yaw_last=report["yaw_last"],
        outside=report["outside"],
    )


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
    record = {
        "dataset": dataset.name,
        "set": dataset.set_name,
        "recipe": config.to_dict(settings),
        "params_sha256": config.digest(settings.shaping),
        "fingerprint": fingerprint,
        "versions": provenance.versions(provenance.CONVERSION_PACKAGES),
    }
    write_text(folder / "conversion.toml", config.to_toml(record))
    _renew_folds(folder, entries)
    return fingerprint


def _renew_folds(folder: Path, entries: list[IndexEntry]) -> None:
    """Write the default folds, unless the folder holds a plan that still fits."""
    try:
        folds.read(folder, entries)
    except RecordingError:
        for name in ("folds.csv", "manifest.toml"):
            (folder / name).unlink(missing_ok=True)
        n_subjects = len({entry.subject for entry in entries})
        if n_subjects >= 2:
            n_folds = min(n_subjects, 5) if n_subjects < 30 else None
            folds.write(folder, folds.build(entries, "strict", n_folds), entries)
