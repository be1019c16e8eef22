"""A set's folds on disk: `folds.csv` in the published format, and `manifest.toml` beside it."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from evfer import config
from evfer.datasets import published
from evfer.datasets.published import PublishedId
from evfer.errors import ConfigError, RecordingError
from evfer.files import write_text
from evfer.folds.foreign import Numbering, read_foreign
from evfer.folds.leaks import LeakReport, leak, summary
from evfer.folds.plan import FoldPlan, make_plan
from evfer.folds.protocols import build, require_people
from evfer.folds.table import (
    count_folds,
    fold_lines,
    is_of_folds,
    read_rows,
    require_both_parts,
)
from evfer.locks import folder_lock
from evfer.recordings.index import IndexEntry, read_index

__all__ = ["export", "read", "read_published", "renew", "write"]


def write(folder: Path, plan: FoldPlan, entries: Sequence[IndexEntry]) -> None:
    """Write `folds.csv` in the published format and `manifest.toml` beside it.

    Whoever calls holds the folder's lock, see `evfer.locks`, so that the two fit each other.
    """
    by_id = {entry.clip_id: entry for entry in entries}
    kept = [by_id[clip_id] for clip_id in plan.clip_ids]
    write_text(folder / "folds.csv", fold_lines(plan, map(_own_row, kept)))
    write_text(folder / "manifest.toml", config.to_toml(summary(plan, entries)))


def _own_row(entry: IndexEntry) -> tuple[str, int, int]:
    return entry.subject, entry.sequence, entry.label


def renew(
    folder: Path,
    protocol: str,
    n_folds: int | None = None,
    seed: int = 0,
    imported: Path | None = None,
    *,
    numbering: Numbering | None = None,
    ids: Mapping[PublishedId, str] | None = None,
) -> tuple[FoldPlan, LeakReport]:
    """Make a set's folds anew, or take them from a fold file, and write them beside its index.

    Args:
        folder: the set's folder.
        protocol: see `build`; not used with `imported`.
        n_folds: number of folds; see `build`.
        seed: seed of the random choices.
        imported: a fold file of the published format.
        numbering: how that file names clips; see `read_foreign`.
        ids: the user's table of published ids, see `evfer.datasets.published.read_ids`.

    Raises:
        SourceError: if the folder holds no index.
        ConfigError: if the set is too small for so many folds.
        RecordingError: if the fold file does not fit the set.
    """
    read_index(folder)  # a folder that is no set gets no lock either
    with folder_lock(folder):
        entries = read_index(folder)
        set_name = folder.resolve().name
        if imported is None:
            plan = build(entries, protocol, n_folds, seed, set_name=set_name, ids=ids)
        else:
            plan = read_foreign(imported, entries, set_name, numbering=numbering, ids=ids).plan
        write(folder, plan, entries)
    return plan, leak(plan, entries)


def read(folder: Path, entries: Sequence[IndexEntry]) -> FoldPlan:
    """Read a set's own plan, and make sure that it fits the set.

    Raises:
        ConfigError: if the set has none, as it is of one person.
        RecordingError: if a file is missing or damaged, or the set has changed since.
    """
    path = folder / "manifest.toml"
    if not path.exists():
        require_people(entries, folder)
    try:
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
        kind, seed = str(manifest["protocol"]), int(manifest["seed"])
        n_folds = int(manifest["n_folds"])
        notes = tuple(map(str, manifest.get("notes", ())))
        left_out = set(map(str, manifest.get("left_out", ())))
    except (OSError, ValueError, TypeError, KeyError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, KeyError):
            said = f"no {error}"
        raise RecordingError(
            f"{path}: {said}",
            expected="the manifest of the set's folds",
            hint=f"Run: evfer folds {folder} --protocol strict",
        ) from error
    again = "--import FILE" if kind == "imported" else f"--protocol {kind}"
    try:
        plan = read_published(folder / "folds.csv", entries, n_folds)
    except RecordingError as error:
        hint = error.hint or f"Run: evfer folds {folder} {again}"
        raise RecordingError(error.found, expected=error.expected, hint=hint) from error
    plan = dataclasses.replace(plan, kind=kind, seed=seed, notes=notes)
    # a plan speaks of every clip; one that was imported may leave some out
    there = {entry.clip_id for entry in entries}
    complete = kind == "imported" or there <= left_out.union(plan.clip_ids)
    if plan.sha256 != manifest.get("folds_sha256") or not complete:
        raise RecordingError(
            f"{folder}: folds.csv does not fit manifest.toml and index.csv",
            expected="folds made for the clips that are there",
            hint=f"Run: evfer folds {folder} {again}",
        )
    return plan


def read_published(
    path: Path, entries: Sequence[IndexEntry], n_folds: int | None = None
) -> FoldPlan:
    """Read a fold file that fits the set to the row: `subject;sequence;label;fold0;...`.

    Args:
        path: the file; no header, 1 is test.
        entries: the set's index; clips that the file does not name are left out of the plan.
        n_folds: how many of its columns are folds; by default all that repeat no others.

    Raises:
        RecordingError: naming the line that does not fit the format or the set.
    """
    by_key = {(entry.subject, entry.sequence): entry for entry in entries}
    flags: dict[str, tuple[bool, ...]] = {}
    rows = read_rows(path)
    for row in rows:
        entry = by_key.get((row.subject, row.sequence))
        where = f"{path}, line {row.line}"
        if entry is None:
            raise RecordingError(
                f"{where}: clip {row.subject}/{row.sequence:03d} is not in the set",
                expected="clips that index.csv lists",
                hint="Is it the fold file of another set, or is a clip still to be converted?",
            )
        if entry.label != row.label:
            raise RecordingError(
                f"{where}: label {row.label} for clip {entry.clip_id}",
                expected=f"{entry.label} ({entry.label_name}), as converted",
            )
        flags[entry.clip_id] = row.flags
    clip_ids = sorted(flags)
    if n_folds is None:
        n_folds = count_folds(rows)
    elif not is_of_folds(rows, n_folds):
        raise RecordingError(
            f"{path}: {len(rows[0].flags)} columns of folds",
            expected=f"{n_folds} folds as manifest.toml says, repeated in turn if there are more",
        )
    tests = [[i for i, clip in enumerate(clip_ids) if flags[clip][k]] for k in range(n_folds)]
    require_both_parts(path, tests, len(clip_ids))
    return make_plan("imported", 0, clip_ids, tests)


def export(
    path: Path,
    plan: FoldPlan,
    entries: Sequence[IndexEntry],
    set_name: str = "",
    *,
    numbering: Numbering | None = None,
    ids: Mapping[PublishedId, str] | None = None,
) -> tuple[str, ...]:
    """Write a plan in the published format, for others.

    Args:
        path: the file to write.
        plan: the folds.
        entries: the set's index.
        set_name: the set's folder, such as "MMIDVS"; says how its ids meet the published ones.
        numbering: how to name clips; by default as the published files do, if that is known of
            every clip.
        ids: the user's table of published ids, see `evfer.datasets.published.read_ids`.

    Returns:
        What the reader of the file must know of its ids, in sentences.

    Raises:
        ConfigError: if published ids are asked for and not known of every clip, or the file is
            a converted set's own.
        OutputError: if the file cannot be written.
    """
    if path.name == "folds.csv" and (path.parent / "index.csv").is_file():
        raise ConfigError(
            f"{path} belongs to a converted set",
            expected="another file to export to",
            hint="evfer folds without --export writes a set's own folds",
        )
    by_id = {entry.clip_id: entry for entry in entries}
    kept = [by_id[clip_id] for clip_id in plan.clip_ids]
    named = list(map(_own_row, kept))
    rule = published.rule(set_name)
    notes: tuple[str, ...] = (f"Ids: {rule}",) if rule else ()
    if set_name in published.RENUMBERED and numbering != "own":
        rows = [published.published_id(set_name, entry.native_id, ids) for entry in kept]
        known = [row for row in rows if row is not None]
        if len(known) == len(kept):
            named = [(*row, entry.label) for row, entry in zip(known, kept, strict=True)]
            notes += ("The file names clips by published ids.",)
        else:
            missing = f"the published ids of {len(kept) - len(known)} of {len(kept)} clips"
            if numbering == "published":
                raise ConfigError(
                    f"{missing} are not known",
                    expected="a published id for every clip",
                    hint="Give a table subject;sequence;sid with --ids, or --ids own",
                )
            notes += (f"The file names clips by the set's own ids, since {missing} are not known.",)
    write_text(path, fold_lines(plan, named))
    return notes
