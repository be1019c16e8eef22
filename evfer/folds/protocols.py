"""The kinds of split, and how each is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evfer.datasets import cards, published
from evfer.datasets.cards import Published
from evfer.datasets.published import PublishedId
from evfer.errors import ConfigError, UnknownNameError
from evfer.folds.plan import FoldPlan, make_plan
from evfer.recordings.index import IndexEntry

__all__ = ["ALIASES", "PROTOCOLS", "build", "canonical_protocol", "require_people"]

PROTOCOLS = ("strict", "loso", "kfold", "published")
ALIASES = {"paper": "kfold", "code": "published", "group_kfold": "strict"}
"""Names of whole bench protocols, and the kind of split each uses; and another name of one."""

_FEW_SUBJECTS = 30
_PUBLISHED_FOLDS = 10
_NAMED = 5


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
    entries: Sequence[IndexEntry],
    protocol: str,
    n_folds: int | None = None,
    seed: int = 0,
    *,
    stratify: bool | None = None,
    set_name: str = "",
    ids: Mapping[PublishedId, str] | None = None,
) -> FoldPlan:
    """Make a set's folds.

    Args:
        entries: the set's index.
        protocol: strict, loso, kfold or published; paper and code are other names of the last
            two.
        n_folds: number of folds; by default 10; for `strict` with fewer than 30 subjects 5, or
            one a subject where there are fewer. `loso` has as many as subjects, and takes no
            other number.
        seed: seed of the random choices. `published` ignores it: fold k always has seed k.
        stratify: whether each fold is to hold the classes as evenly as can be; by default
            `strict` does, and `kfold` does not. For the others there is nothing to choose.
        set_name: the set's folder, such as "CASIADVS". `published` then gives the published
            folds themselves where the set holds the published clips; else, and for any other
            set, folds drawn by the same recipe.
        ids: the user's table of published ids, see `evfer.datasets.published.read_ids`.

    Raises:
        ConfigError: if the set has too few clips or subjects for so many folds, or folds of a
            kind that cannot be balanced are to be.
    """
    kind = canonical_protocol(protocol)
    ordered = sorted(entries, key=lambda entry: entry.clip_id)
    subjects = [entry.subject for entry in ordered]
    n_subjects = len(set(subjects))
    if kind == "imported":
        raise ConfigError('protocol "imported"', expected="a fold file given with --import")
    if stratify and kind not in ("strict", "kfold"):
        raise ConfigError(
            f'split.stratify = true with "{kind}" folds',
            expected="strict or kfold, which leave something to balance",
            hint="Leave split.stratify away, or set split.kind",
        )
    wanted = n_folds
    if kind == "loso":
        n_folds = n_subjects
    elif n_folds is None:
        few = kind == "strict" and n_subjects < _FEW_SUBJECTS
        n_folds = min(5, n_subjects) if few else _PUBLISHED_FOLDS
    unit, available = (
        ("subjects", n_subjects) if kind in ("strict", "loso") else ("clips", len(ordered))
    )
    if unit == "subjects":
        require_people(ordered)
    elif available < 2:
        raise ConfigError(
            "a set of one clip",
            expected="at least two clips, to train on some and test on others",
            hint="Convert more clips",
        )
    if wanted not in (None, n_folds):
        raise ConfigError(
            f"{wanted} loso folds of {n_subjects} people",
            expected=f"{n_subjects}, as loso has one fold a person",
            hint="Leave --folds and split.n_folds away, or choose --protocol strict",
        )
    fewest = 1 if kind == "published" else 2
    if not fewest <= n_folds <= available:
        raise ConfigError(
            f"{n_folds} folds of {available} {unit}",
            expected=f"{fewest} to {available} folds",
            hint="Choose fewer folds with --folds, or convert more clips",
        )
    if kind == "published":
        return _published(ordered, n_folds, set_name, ids)
    tests: list[list[int]]
    if kind == "kfold":
        order = np.random.default_rng(seed).permutation(len(ordered))
        if stratify:
            # class by class, each fold takes the next clip in turn
            dealt = sorted(order.tolist(), key=lambda i: ordered[i].label)
            tests = [dealt[k::n_folds] for k in range(n_folds)]
        else:
            tests = [part.tolist() for part in np.array_split(order, n_folds)]
    else:
        fold_of = (
            {subject: k for k, subject in enumerate(sorted(set(subjects)))}
            if kind == "loso"
            else _subject_folds(ordered, n_folds, seed, stratify is not False)
        )
        tests = [
            [i for i, subject in enumerate(subjects) if fold_of[subject] == k]
            for k in range(n_folds)
        ]
    return make_plan(kind, seed, [entry.clip_id for entry in ordered], tests)


def require_people(entries: Sequence[IndexEntry], folder: Path | None = None) -> None:
    """Make sure that a set has people to train on and others to test on.

    Args:
        entries: the set's index.
        folder: the set's folder, for the message.

    Raises:
        ConfigError: if all its clips are of one person.
    """
    if len({entry.subject for entry in entries}) < 2:
        raise ConfigError(
            (f"{folder}: " if folder else "") + "a set of one subject",
            expected="at least two subjects, to train on some and test on others",
            hint="Convert clips of more people, or split the clips of this one with "
            f"evfer folds {folder or 'FOLDER'} --protocol kfold",
        )


def _published(
    ordered: Sequence[IndexEntry],
    n_folds: int,
    set_name: str,
    ids: Mapping[PublishedId, str] | None,
) -> FoldPlan:
    card = cards.find_by_set(set_name) if set_name else None
    facts = card.published if card else None
    chosen, drawn, deleted = list(ordered), len(ordered), -1
    notes: list[str] = []
    if facts:
        found = _published_clips(set_name, facts, ordered)
        if found:
            chosen = found
            drawn, deleted = facts.drawn, facts.deleted
            chosen, notes = _in_published_order(set_name, chosen, ids)
            if len(chosen) < len(ordered):
                notes.append(_not_listed(set_name, ordered, chosen))
        else:
            notes.append(_other_clips(facts, ordered))
        if facts.note:
            notes.append(f"Ids: {published.rule(set_name)}")
    # positions in the drawn list, in which a row stood that was deleted afterwards
    drawn_rows = [row for row in range(drawn) if row != deleted]
    clip_of = {row: entry.clip_id for row, entry in zip(drawn_rows, chosen, strict=True)}
    clip_ids = sorted(clip_of.values())
    place = {clip: i for i, clip in enumerate(clip_ids)}
    tests = [
        [place[clip_of[row]] for row in _draw(drawn, fold) if row in clip_of]
        for fold in range(n_folds)
    ]
    return make_plan("published", 0, clip_ids, tests, notes)


def _draw(n_clips: int, fold: int) -> list[int]:
    # the published files come from numpy's legacy generator, so it has to be that one
    order = np.random.RandomState(fold).permutation(n_clips)
    n_test = max(1, int(0.2 * n_clips))
    return [int(i) for i in order[-n_test:]]


def _published_clips(
    set_name: str, facts: Published, entries: Sequence[IndexEntry]
) -> list[IndexEntry] | None:
    """Pick the published clips out of a set, or give None where it does not hold them all."""
    rows = published.listing(set_name)
    if rows is not None:
        by_row = {((entry.subject, entry.sequence), entry.label): entry for entry in entries}
        found = [by_row[row] for row in rows if row in by_row]
        return found if len(found) == len(rows) else None
    # the rows of the other sets follow no rule, so that numbers have to speak for them
    same = (
        len(entries) == facts.clips
        and len({entry.subject for entry in entries}) == facts.subjects
        and facts.counts in ({}, Counter(entry.label_name for entry in entries))
    )
    return list(entries) if same else None


def _in_published_order(
    set_name: str, entries: Sequence[IndexEntry], ids: Mapping[PublishedId, str] | None
) -> tuple[list[IndexEntry], list[str]]:
    if set_name not in published.RENUMBERED:
        ordered = sorted(entries, key=lambda entry: (entry.subject, entry.sequence))
        return ordered, ["These are the published folds: drawn over the published clips."]
    rows = {
        entry.clip_id: published.published_id(set_name, entry.native_id, ids) for entry in entries
    }
    unknown = sum(row is None for row in rows.values())
    if unknown:
        return list(entries), [
            "The set has as many clips, people and labels as the published one, and the folds "
            f"have its sizes; but the published order of {unknown} of {len(entries)} clips is not "
            "known, so they need not be the published folds. Give a table of ids with --ids, or "
            "the published file with --import."
        ]
    ordered = sorted(entries, key=lambda entry: rows[entry.clip_id] or ("", 0))
    return ordered, [
        "These are the published folds, if the table of ids is right: drawn over the clips in the "
        "order of their published ids."
    ]


def _not_listed(set_name: str, entries: Sequence[IndexEntry], chosen: Sequence[IndexEntry]) -> str:
    kept = {entry.clip_id for entry in chosen}
    extra = [entry.clip_id for entry in entries if entry.clip_id not in kept]
    named = ", ".join(extra[:_NAMED]) + (", ..." if len(extra) > _NAMED else "")
    return f"{len(extra)} clips of the set are not among the published ones and left out: {named}."


def _other_clips(facts: Published, entries: Sequence[IndexEntry]) -> str:
    n_subjects = len({entry.subject for entry in entries})
    return (
        f"These are not the published folds: the set's {len(entries)} clips of {n_subjects} people "
        f"are not the published {facts.clips} of {facts.subjects}. They are drawn by the same "
        "recipe; for the published ones, import their file with --import."
    )


def _subject_folds(
    entries: Sequence[IndexEntry], n_folds: int, seed: int, balanced: bool
) -> dict[str, int]:
    """Assign subjects to folds, largest first, each to the fold that stays most even."""
    labels = {label: i for i, label in enumerate(sorted({entry.label for entry in entries}))}
    counts = {subject: np.zeros(len(labels)) for subject in sorted({e.subject for e in entries})}
    for entry in entries:
        counts[entry.subject][labels[entry.label]] += 1
    # a seeded shuffle, then a stable sort: ties in size fall by the seed, not by the alphabet
    shuffled = np.random.default_rng(seed).permutation(sorted(counts))
    by_size = sorted(shuffled.tolist(), key=lambda subject: -int(counts[subject].sum()))
    ideal = sum(counts.values()) / n_folds
    held = np.zeros((n_folds, len(labels)))
    result = {}
    for subject in by_size:
        after = held + counts[subject]
        imbalance = np.abs(after - ideal).sum(axis=1) - np.abs(held - ideal).sum(axis=1)
        if not balanced:
            imbalance[:] = 0
        # first the fewest clips, then the least class imbalance, then the first fold
        fold = int(np.lexsort((imbalance, held.sum(axis=1)))[0])
        held[fold] += counts[subject]
        result[subject] = fold
    return result
