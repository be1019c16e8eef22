"""Fold protocols: who trains and who is tested, as data that can be read and checked.

A plan is built from the index alone; nothing here trains and nothing that trains splits.

    strict     subjects apart: each subject is tested in exactly one fold
    loso       one subject a fold
    kfold      one permutation of the clips cut into k parts (Spiking-FER, the paper's words)
    published  k independent random 80/20 hold-outs (Spiking-FER, the fold files): they overlap,
               and nearly every test subject is in training too
    imported   a fold file of the published format, taken as it is
"""

from __future__ import annotations

import csv
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evfer import config
from evfer.errors import ConfigError, RecordingError, UnknownNameError
from evfer.files import write_text
from evfer.index import IndexEntry, class_names, read_index

__all__ = [
    "ALIASES",
    "PROTOCOLS",
    "FoldPlan",
    "LeakReport",
    "Split",
    "build",
    "canonical_protocol",
    "explain",
    "leak",
    "read",
    "read_published",
    "renew",
    "write",
]

PROTOCOLS = ("strict", "loso", "kfold", "published")
ALIASES = {"paper": "kfold", "code": "published"}
"""Names of whole bench protocols, and the kind of split each uses."""

_FEW_SUBJECTS = 30


@dataclass(frozen=True)
class Split:
    """One fold: positions in the plan's clip list, ascending."""

    fold: int
    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class FoldPlan:
    """All folds of a protocol over one set.

    Args:
        protocol: what made it.
        seed: seed of the random choices.
        clip_ids: the set's clips, sorted.
        splits: the folds; positions point into `clip_ids`.
    """

    protocol: str
    seed: int
    clip_ids: tuple[str, ...]
    splits: tuple[Split, ...]

    @property
    def sha256(self) -> str:
        """Digest of who is tested when; the same for plans that split alike."""
        tested = [[self.clip_ids[i] for i in split.test] for split in self.splits]
        trained = [[self.clip_ids[i] for i in split.train] for split in self.splits]
        return config.digest({"test": tested, "train": trained})


@dataclass(frozen=True)
class LeakReport:
    """What a plan lets slip from training into testing; all are shares from 0 to 1.

    Args:
        subject_overlap: test clips whose subject is in training too, over all folds.
        never_tested: clips that are in no test part.
        multiply_tested: clips that are in more than one test part.
        left_out: clips of the set that the plan does not name at all.
    """

    subject_overlap: float
    never_tested: float
    multiply_tested: float
    left_out: float = 0.0


def canonical_protocol(name: str) -> str:
    """Give the kind of split that a protocol name stands for.

    Raises:
        UnknownNameError: if there is no such protocol.
    """
    kind = ALIASES.get(name, name)
    if kind not in (*PROTOCOLS, "imported"):
        raise UnknownNameError("protocol", name, (*PROTOCOLS, *ALIASES))
    return kind


def build(
    entries: Sequence[IndexEntry], protocol: str, n_folds: int | None = None, seed: int = 0
) -> FoldPlan:
    """Make a set's folds.

    Args:
        entries: the set's index.
        protocol: strict, loso, kfold or published; paper and code are other names of the last
            two.
        n_folds: number of folds; by default 10; for `strict` with fewer than 30 subjects 5, or
            one a subject where there are fewer.
        seed: seed of the random choices. `published` ignores it: fold k always has seed k.

    Raises:
        ConfigError: if the set has too few clips or subjects for so many folds.
    """
    kind = canonical_protocol(protocol)
    ordered = sorted(entries, key=lambda entry: entry.clip_id)
    subjects = [entry.subject for entry in ordered]
    n_subjects = len(set(subjects))
    if kind == "imported":
        raise ConfigError('protocol "imported"', expected="a fold file given with --import")
    if kind == "loso":
        n_folds = n_subjects
    elif n_folds is None:
        few = kind == "strict" and n_subjects < _FEW_SUBJECTS
        n_folds = min(5, n_subjects) if few else 10
    unit, available = (
        ("subjects", n_subjects) if kind in ("strict", "loso") else ("clips", len(ordered))
    )
    fewest = 1 if kind == "published" else 2
    if not fewest <= n_folds <= available or available < 2:
        raise ConfigError(
            f"{n_folds} folds of {available} {unit}",
            expected=f"{fewest} to {max(available, fewest)} folds, and at least two {unit}",
            hint="Choose fewer folds with --folds, or convert more clips",
        )
    tests: list[list[int]]
    if kind == "published":
        tests = [_published_test(len(ordered), k) for k in range(n_folds)]
    elif kind == "kfold":
        order = np.random.default_rng(seed).permutation(len(ordered))
        tests = [part.tolist() for part in np.array_split(order, n_folds)]
    else:
        fold_of = (
            {subject: k for k, subject in enumerate(sorted(set(subjects)))}
            if kind == "loso"
            else _subject_folds(ordered, n_folds, seed)
        )
        tests = [
            [i for i, subject in enumerate(subjects) if fold_of[subject] == k]
            for k in range(n_folds)
        ]
    return _plan(kind, seed, [entry.clip_id for entry in ordered], tests)


def _plan(
    kind: str, seed: int, clip_ids: Sequence[str], tests: Sequence[Sequence[int]]
) -> FoldPlan:
    splits = []
    for fold, test in enumerate(tests):
        held_out = set(test)
        train = tuple(i for i in range(len(clip_ids)) if i not in held_out)
        splits.append(Split(fold, train, tuple(sorted(held_out))))
    return FoldPlan(kind, seed, tuple(clip_ids), tuple(splits))


def _published_test(n_clips: int, fold: int) -> list[int]:
    # the published files come from numpy's legacy generator, so it has to be that one
    order = np.random.RandomState(fold).permutation(n_clips)
    n_test = max(1, int(0.2 * n_clips))
    return [int(i) for i in order[-n_test:]]


def _subject_folds(entries: Sequence[IndexEntry], n_folds: int, seed: int) -> dict[str, int]:
    """Assign subjects to folds, largest first, each to the fold that stays most even."""
    labels = sorted({entry.label for entry in entries})
    counts = {
        subject: np.array(
            [sum(e.subject == subject and e.label == label for e in entries) for label in labels]
        )
        for subject in sorted({entry.subject for entry in entries})
    }
    # a seeded shuffle, then a stable sort: ties in size fall by the seed, not by the alphabet
    shuffled = np.random.default_rng(seed).permutation(sorted(counts))
    by_size = sorted(shuffled.tolist(), key=lambda subject: -int(counts[subject].sum()))
    ideal = sum(counts.values()) / n_folds
    held = np.zeros((n_folds, len(labels)))
    result = {}
    for subject in by_size:
        after = held + counts[subject]
        imbalance = np.abs(after - ideal).sum(axis=1) - np.abs(held - ideal).sum(axis=1)
        # first the fewest clips, then the least class imbalance, then the first fold
        fold = int(np.lexsort((imbalance, held.sum(axis=1)))[0])
        held[fold] += counts[subject]
        result[subject] = fold
    return result


def leak(plan: FoldPlan, entries: Sequence[IndexEntry]) -> LeakReport:
    """Count what a plan lets slip from training into testing."""
    subject = {entry.clip_id: entry.subject for entry in entries}
    tested: Counter[int] = Counter()
    shared = total = 0
    for split in plan.splits:
        training = {subject[plan.clip_ids[i]] for i in split.train}
        shared += sum(subject[plan.clip_ids[i]] in training for i in split.test)
        total += len(split.test)
        tested.update(split.test)
    n_clips = len(plan.clip_ids)
    return LeakReport(
        subject_overlap=shared / total if total else 0.0,
        never_tested=1 - len(tested) / n_clips,
        multiply_tested=sum(times > 1 for times in tested.values()) / n_clips,
        left_out=1 - n_clips / len(entries),
    )


def write(folder: Path, plan: FoldPlan, entries: Sequence[IndexEntry]) -> None:
    """Write `folds.csv` in the published format and `manifest.toml` beside it."""
    by_id = {entry.clip_id: entry for entry in entries}
    lines = []
    tested = [set(split.test) for split in plan.splits]
    for i, clip_id in enumerate(plan.clip_ids):
        entry = by_id[clip_id]
        flags = ";".join(str(int(i in test)) for test in tested)
        lines.append(f"{entry.subject};{entry.sequence:03d};{entry.label};{flags}\n")
    found = leak(plan, entries)
    manifest = {
        "protocol": plan.protocol,
        "seed": plan.seed,
        "n_folds": len(plan.splits),
        "folds_sha256": plan.sha256,
        "classes": list(class_names(entries)),
        "n_clips": len(plan.clip_ids),
        "n_subjects": len({by_id[clip_id].subject for clip_id in plan.clip_ids}),
        "leak": {
            "subject_overlap": found.subject_overlap,
            "never_tested": found.never_tested,
            "multiply_tested": found.multiply_tested,
            "left_out": found.left_out,
        },
    }
    write_text(folder / "folds.csv", "".join(lines))
    write_text(folder / "manifest.toml", config.to_toml(manifest))


def renew(
    folder: Path,
    protocol: str,
    n_folds: int | None = None,
    seed: int = 0,
    imported: Path | None = None,
) -> tuple[FoldPlan, LeakReport]:
    """Make a set's folds anew, or take them from a fold file, and write them beside its index.

    Args:
        folder: the set's folder.
        protocol: see `build`; not used with `imported`.
        n_folds: number of folds; see `build`.
        seed: seed of the random choices.
        imported: a fold file of the published format.

    Raises:
        SourceError: if the folder holds no index.
        ConfigError: if the set is too small for so many folds.
        RecordingError: if the fold file does not fit the set.
    """
    entries = read_index(folder)
    if imported is None:
        plan = build(entries, protocol, n_folds, seed)
    else:
        plan = read_published(imported, entries)
    write(folder, plan, entries)
    return plan, leak(plan, entries)


def read(folder: Path, entries: Sequence[IndexEntry]) -> FoldPlan:
    """Read a set's own plan, and make sure that it fits the set.

    Raises:
        RecordingError: if a file is missing or damaged, or the set has changed since.
    """
    try:
        manifest = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
        protocol, seed = str(manifest["protocol"]), int(manifest["seed"])
    except (OSError, ValueError, KeyError) as error:
        raise RecordingError(
            f"{folder / 'manifest.toml'}: {error}",
            hint=f"Run: evfer folds {folder} --protocol strict",
        ) from error
    plan = read_published(folder / "folds.csv", entries)
    plan = FoldPlan(protocol, seed, plan.clip_ids, plan.splits)
    complete = protocol == "imported" or len(plan.clip_ids) == len(entries)
    if plan.sha256 != manifest.get("folds_sha256") or not complete:
        raise RecordingError(
            f"{folder}: folds.csv does not fit manifest.toml and index.csv",
            expected="folds made for the clips that are there",
            hint=f"Run: evfer folds {folder} --protocol {protocol}",
        )
    return plan


def read_published(path: Path, entries: Sequence[IndexEntry]) -> FoldPlan:
    """Read a fold file: `subject;sequence;label;fold0;fold1;...`, no header, 1 is test.

    Args:
        path: the file.
        entries: the set's index; clips that the file does not name are left out of the plan.

    Raises:
        RecordingError: naming the line that does not fit the format or the set.
    """
    by_key = {(entry.subject, entry.sequence): entry for entry in entries}
    rows: dict[str, list[int]] = {}
    n_folds = None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: {error}", expected="a fold file") from error
    for number, fields in enumerate(csv.reader(text.splitlines(), delimiter=";"), 1):
        where = f"{path}, line {number}"
        n_folds = len(fields) - 3 if n_folds is None else n_folds
        if n_folds < 1 or len(fields) != n_folds + 3 or not set(fields[3:]) <= {"0", "1"}:
            raise RecordingError(
                f"{where}: {';'.join(fields)[:80]}",
                expected="subject;sequence;label and one 0 or 1 a fold",
            )
        if not (fields[1].isdecimal() and fields[2].isdecimal()):
            raise RecordingError(
                f"{where}: sequence {fields[1]}, label {fields[2]}", expected="whole numbers"
            )
        entry = by_key.get((fields[0], int(fields[1])))
        if entry is None:
            raise RecordingError(
                f"{where}: clip {fields[0]}/{int(fields[1]):03d} is not in the set",
                expected="clips that index.csv lists",
                hint="Is it the fold file of another set, or is a clip still to be converted?",
            )
        if entry.label != int(fields[2]):
            raise RecordingError(
                f"{where}: label {fields[2]} for clip {entry.clip_id}",
                expected=f"{entry.label} ({entry.label_name}), as converted",
            )
        if entry.clip_id in rows:
            raise RecordingError(f"{where}: clip {entry.clip_id} stands twice")
        rows[entry.clip_id] = [int(flag) for flag in fields[3:]]
    if not rows:
        raise RecordingError(f"{path}: no line", expected="one line a clip")
    clip_ids = sorted(rows)
    tests = [[i for i, clip in enumerate(clip_ids) if rows[clip][k]] for k in range(n_folds or 0)]
    empty = [k for k, test in enumerate(tests) if not 0 < len(test) < len(clip_ids)]
    if empty:
        raise RecordingError(
            f"{path}: fold {empty[0]} has {len(tests[empty[0]])} test clips of {len(clip_ids)}",
            expected="some to test and some to train",
        )
    return _plan("imported", 0, clip_ids, tests)


def explain(report: LeakReport) -> tuple[str, ...]:
    """Say in sentences what a leak report means."""
    sentences = []
    if report.subject_overlap:
        sentences.append(
            f"LEAK: the subject of {report.subject_overlap:.0%} of the test clips is in training "
            "too, so a network can score by knowing the face."
        )
    else:
        sentences.append("No subject is in training and test of the same fold.")
    if report.never_tested:
        sentences.append(f"{report.never_tested:.0%} of the clips are never tested.")
    if report.multiply_tested:
        sentences.append(
            f"{report.multiply_tested:.0%} of the clips are tested in several folds, so the folds' "
            "scores are not independent."
        )
    if report.left_out:
        sentences.append(
            f"{report.left_out:.0%} of the set's clips are not in the plan: they neither train nor "
            "are tested."
        )
    return tuple(sentences)
