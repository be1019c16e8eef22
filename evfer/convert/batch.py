"""All clips of a data set, in this process, in several or on a cluster, resumable."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from evfer import config, folds, provenance, recordings, workers
from evfer.convert.clip import convert_clip
from evfer.convert.planning import Failure, Plan, add_others, describe_failure, plan
from evfer.convert.recipe import ConversionConfig
from evfer.datasets.base import Clip, Dataset, Skipped
from evfer.errors import ConfigError, EvferError, OutputError, RecordingError, SourceError
from evfer.files import make_folder, write_text
from evfer.interpolation.weights import find_weights
from evfer.locks import folder_lock
from evfer.recordings.index import IndexEntry

__all__ = ["ConversionSummary", "Progress", "convert"]


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
class _Task:
    """One clip, and all that a process needs to know to convert it; a few kilobytes."""

    dataset: Dataset
    source: Path | None
    folder: Path
    config: ConversionConfig
    clip: Clip
    shared: workers.SharedFolder | None = None


def convert(
    dataset: Dataset,
    source: Path | None,
    data: Path,
    settings: ConversionConfig,
    *,
    n_workers: int | None = 1,
    scheduler: str | None = None,
    limit: int | None = None,
    subjects: Iterable[str] = (),
    on_check: Callable[[int, int], None] | None = None,
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
        n_workers: number of processes; 1 or None converts in this one. With a scheduler the most
            clips to have under way together; None leaves that to the size of the cluster.
        scheduler: address of a running Dask scheduler whose workers share the file system.
        limit: convert at most this many of the clips.
        subjects: convert these subjects only; empty means all.
        on_check: called with (done, total) after each recording that was there and is checked.
        on_plan: called once, before the first clip.
        on_progress: called after each clip.

    Raises:
        SourceError: if the source is missing or not laid out as expected.
        OutputError: if the data folder cannot be written.
        ClusterError: if no scheduler answers, or its workers cannot do the work.
        MissingExtra: if something is not installed, Dask for one if a scheduler is named.
    """
    settings = settings.resolved(dataset.name)
    if scheduler is not None:
        workers.require_scheduler(scheduler)
        # a worker stands in another folder
        data, source = data.absolute(), source and source.absolute()
        settings = _anywhere(settings)
    found = plan(dataset, source, data, settings, limit=limit, subjects=subjects, on_check=on_check)
    _refuse_other_set(found.folder, dataset)
    make_folder(found.folder)
    workers.remove_stale_parts(found.folder)
    if on_plan:
        on_plan(found)
    done = list(found.kept)
    failures = list(found.unreadable)
    try:
        with workers.share_folder(found.folder, scheduler, _packages(settings)) as shared:
            tasks = [
                _Task(dataset, source, found.folder, _for_clip(settings, clip), clip, shared)
                for clip in found.todo
            ]
            running = workers.run(_convert_task, tasks, n_workers, scheduler)
            with contextlib.closing(running) as results:
                for number, (task, result) in enumerate(results, start=1):
                    failure = None
                    if isinstance(result, IndexEntry):
                        done.append(result)
                    else:
                        failure = describe_failure(task.clip, result)
                        failures.append(failure)
                    if on_progress:
                        on_progress(Progress(number, len(tasks), task.clip, failure))
    except BaseException:
        # workers that were stopped could not tidy up themselves
        workers.remove_stale_parts(found.folder)
        # on a full disk this fails too, but the first error says more
        with contextlib.suppress(OutputError), folder_lock(found.folder):
            _write_tables(found, dataset, source, settings, done, failures)
        raise
    with folder_lock(found.folder):
        older = _other_versions(found, settings)
        entries, fingerprint = _write_tables(found, dataset, source, settings, done, failures)
        # not after an interruption: a plan for the few clips of a half-done run would be no use
        note = _renew_folds(found.folder, entries)
    return ConversionSummary(
        found.folder,
        len(done) - len(found.kept),
        len(found.kept),
        tuple(sorted(failures, key=lambda failure: failure.clip_id)),
        found.skipped,
        fingerprint,
        tuple(sorted(entries, key=lambda entry: entry.clip_id)),
        " ".join(filter(None, (note, older))),
    )


def _refuse_other_set(folder: Path, dataset: Dataset) -> None:
    """Make sure that a folder does not hold another data set's recordings.

    Raises:
        ConfigError: naming both.
    """
    with contextlib.suppress(ConfigError):
        other = config.read_toml(folder / "conversion.toml").get("dataset", dataset.name)
        if other == dataset.name:
            return
        raise SourceError(
            f'{folder}: holds recordings of the data set "{other}"',
            expected=f'a folder for "{dataset.name}"',
            hint="Choose another --out, or another --set dataset.title",
        )


def _other_failures(found: Plan) -> list[Failure]:
    """Give the failures of other runs whose clips this one does not try."""
    with contextlib.suppress(RecordingError):
        known = recordings.read_table(found.folder / "failures.csv", Failure)
        return [failure for failure in known if failure.clip_id in found.untried]
    return []


def _other_versions(found: Plan, settings: ConversionConfig) -> str:
    """Say whether recordings that are kept were made with other versions than today's."""
    if not found.kept:
        return ""
    before: dict[str, str] = {}
    with contextlib.suppress(ConfigError):
        before = dict(config.read_toml(found.folder / "conversion.toml").get("versions", {}))
    now = provenance.versions(_packages(settings))
    changed = [f"{k} {before[k]}, now {now[k]}" for k in now if before.get(k, now[k]) != now[k]]
    if not changed:
        return ""
    return (
        f"{len(found.kept)} kept recordings were made with other versions ({'; '.join(changed)}); "
        "delete them to make them anew."
    )


def _anywhere(settings: ConversionConfig) -> ConversionConfig:
    """Give a recipe whose files are found from any folder and by other users' processes."""
    params = settings.interpolation
    if params.method != "superslomo":
        return settings
    weights = str(find_weights(params.weights).absolute())
    params = dataclasses.replace(params, weights=weights)
    return dataclasses.replace(settings, interpolation=params)


def _for_clip(settings: ConversionConfig, clip: Clip) -> ConversionConfig:
    """Give a recipe without what it says of other clips, which may be thousands."""
    names = (clip.clip_id, clip.native_id)
    frames = {name: settings.clip.frames[name] for name in names if name in settings.clip.frames}
    part = dataclasses.replace(settings.clip, frames=frames)
    return dataclasses.replace(settings, clip=part)


def _convert_task(task: _Task, callback: workers.Callback) -> IndexEntry:
    """Convert one clip as a worker does; see `convert_clip`."""
    if task.shared:
        task.shared.require(() if task.source is None else (task.source,))
    return convert_clip(task.dataset, task.clip, task.source, task.folder, task.config)


def _packages(settings: ConversionConfig) -> tuple[str, ...]:
    more = ("v2e",) * (settings.emulator.backend == "v2e")
    more += ("torch",) * (bool(more) or settings.interpolation.method == "superslomo")
    return provenance.CONVERSION_PACKAGES + more


def _write_tables(
    found: Plan,
    dataset: Dataset,
    source: Path | None,
    settings: ConversionConfig,
    done: list[IndexEntry],
    failures: list[Failure],
) -> tuple[list[IndexEntry], str]:
    """Write index, failures and recipe, with what others have written since the plan was made.

    Whoever calls holds the folder's lock.

    Returns:
        The index and the set's fingerprint.
    """
    folder = found.folder
    entries = add_others(found, done, dataset, source, settings)
    whole = {entry.clip_id for entry in entries}
    failed = [f for f in (*failures, *_other_failures(found)) if f.clip_id not in whole]
    fingerprint = recordings.write_index(folder, entries)
    ordered = sorted(failed, key=lambda failure: failure.clip_id)
    recordings.write_table(folder / "failures.csv", ordered, Failure)
    # a reader made in Python may have options that no recipe names
    options = config.to_dict(dataset) if dataclasses.is_dataclass(dataset) else settings.dataset
    record = {
        "dataset": dataset.name,
        "set": dataset.set_name,
        "recipe": config.to_dict(dataclasses.replace(settings, dataset=options)),
        "params_sha256": config.digest(settings.shaping),
        "fingerprint": fingerprint,
        "versions": provenance.versions(_packages(settings)),
    }
    write_text(folder / "conversion.toml", config.to_toml(record))
    return entries, fingerprint


def _renew_folds(folder: Path, entries: list[IndexEntry]) -> str:
    """Make the folds fit the clips that are there now, by the rule that was chosen before.

    Returns:
        What the user should know, or nothing.
    """
    protocol, seed, n_folds, note = "strict", 0, None, ""
    try:
        folds.read(folder, entries)
        return ""
    except (RecordingError, ConfigError):
        if (folder / "manifest.toml").is_file():
            with contextlib.suppress(EvferError, ValueError, KeyError, TypeError):
                manifest = config.read_toml(folder / "manifest.toml")
                protocol, seed = str(manifest["protocol"]), int(manifest["seed"])
                n_folds = int(manifest["n_folds"])
                # a fold a person, as there were no more people then
                if protocol == "strict" and n_folds == manifest["n_subjects"]:
                    n_folds = None
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
    for name in ("folds.csv", "manifest.toml"):
        (folder / name).unlink(missing_ok=True)
    return "The set has no folds yet, as all its clips are of one person." if entries else ""
