"""What a plan lets slip from training into testing, and what guessing would score on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evfer.datasets import people
from evfer.folds.plan import FoldPlan, Split
from evfer.recordings.index import IndexEntry, class_names

__all__ = [
    "FoldFacts",
    "LeakReport",
    "explain",
    "explain_classes",
    "fold_facts",
    "leak",
    "missing_classes",
    "summary",
]

_NAMED = 5


@dataclass(frozen=True)
class LeakReport:
    """What a plan lets slip from training into testing; all shares are from 0 to 1.

    Args:
        subject_overlap: share of test clips whose subject is in training too, over all folds.
        never_tested: share of clips that are in no test part.
        multiply_tested: share of clips that are in more than one test part.
        left_out: share of the set's clips that the plan does not name at all.
        majority: mean over folds of the accuracy of always naming the label that training holds
            most of; None if not known.
        chance: accuracy of guessing evenly among the set's labels; None if not known.
        most_tested: in how many test parts one clip is at most; 0 if not known.
        n_clips: clips in the plan; 0 if not known.
        missing: the clips that the plan does not name.
        alike: groups of people on both sides of a fold who may be one: their names resemble each
            other, or the same clip stands under both.
        copies: which clips the set holds twice, a sentence each.
    """

    subject_overlap: float
    never_tested: float
    multiply_tested: float
    left_out: float = 0.0
    majority: float | None = None
    chance: float | None = None
    most_tested: int = 0
    n_clips: int = 0
    missing: tuple[str, ...] = ()
    alike: tuple[tuple[str, ...], ...] = ()
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoldFacts:
    """One fold in numbers.

    Args:
        fold: its number.
        train: clips to train on.
        test: clips to test on.
        test_subjects: people in the test part.
        shared_subjects: those of them who are in the training part too.
        majority: test accuracy of always naming the label that training holds most of.
    """

    fold: int
    train: int
    test: int
    test_subjects: int
    shared_subjects: int
    majority: float


def leak(plan: FoldPlan, entries: Sequence[IndexEntry]) -> LeakReport:
    """Count what a plan lets slip from training into testing.

    Args:
        plan: a set's folds.
        entries: the set's index.
    """
    subject = {entry.clip_id: entry.subject for entry in entries}
    tested: Counter[int] = Counter()
    shared = total = 0
    for split in plan.splits:
        training = {subject[plan.clip_ids[i]] for i in split.train}
        shared += sum(subject[plan.clip_ids[i]] in training for i in split.test)
        total += len(split.test)
        tested.update(split.test)
    n_clips = len(plan.clip_ids)
    facts = fold_facts(plan, entries)
    named = set(plan.clip_ids)
    return LeakReport(
        subject_overlap=shared / total if total else 0.0,
        never_tested=1 - len(tested) / n_clips,
        multiply_tested=sum(times > 1 for times in tested.values()) / n_clips,
        left_out=1 - n_clips / len(entries),
        majority=sum(fold.majority for fold in facts) / len(facts),
        chance=1 / len({entry.label for entry in entries}),
        most_tested=max(tested.values(), default=0),
        n_clips=n_clips,
        missing=tuple(sorted(entry.clip_id for entry in entries if entry.clip_id not in named)),
        alike=_alike(plan, entries),
        copies=tuple(people.describe_copies(group) for group in people.copies(entries)),
    )


def _alike(plan: FoldPlan, entries: Sequence[IndexEntry]) -> tuple[tuple[str, ...], ...]:
    """Group people who may be one and stand on both sides of a fold under different names."""
    name = {entry.clip_id: entry.person or entry.subject for entry in entries}
    twice = (sorted({name[e.clip_id] for e in group}) for group in people.copies(entries))
    groups = {
        *people.spellings(name.values()),
        *(tuple(group) for group in twice if len(group) > 1),
    }
    sides = (
        [
            [{name[plan.clip_ids[i]] for i in part} for part in (split.train, split.test)]
            for split in plan.splits
        ]
        if groups
        else []
    )
    return tuple(
        group
        for group in sorted(groups)
        if any(
            a in train and b in test
            for train, test in sides
            for a in group
            for b in group
            if a != b
        )
    )


def fold_facts(plan: FoldPlan, entries: Sequence[IndexEntry]) -> tuple[FoldFacts, ...]:
    """Give each fold's numbers of clips and people, and what naming one label would score."""
    of = {entry.clip_id: entry for entry in entries}
    return tuple(_facts(split, plan, of) for split in plan.splits)


def _facts(split: Split, plan: FoldPlan, of: Mapping[str, IndexEntry]) -> FoldFacts:
    train = [of[plan.clip_ids[i]] for i in split.train]
    test = [of[plan.clip_ids[i]] for i in split.test]
    tested = {entry.subject for entry in test}
    labels = Counter(entry.label for entry in train)
    # of equally frequent labels the lowest code counts, as for the scores of a bench
    most = min(labels, key=lambda label: (-labels[label], label), default=None)
    return FoldFacts(
        split.fold,
        len(train),
        len(test),
        len(tested),
        len(tested & {entry.subject for entry in train}),
        sum(entry.label == most for entry in test) / len(test) if test else 0.0,
    )


def summary(plan: FoldPlan, entries: Sequence[IndexEntry]) -> dict[str, Any]:
    """Give a plan and what leaks in plain data, as `manifest.toml` holds it."""
    report = leak(plan, entries)
    named = set(plan.clip_ids)
    return {
        "protocol": plan.kind,
        "seed": plan.seed,
        "n_folds": len(plan.splits),
        "folds_sha256": plan.sha256,
        "classes": list(class_names(entries)),
        "n_clips": len(plan.clip_ids),
        "n_subjects": len({entry.subject for entry in entries if entry.clip_id in named}),
        "notes": list(plan.notes),
        "left_out": list(report.missing),
        "leak": {
            "subject_overlap": report.subject_overlap,
            "never_tested": report.never_tested,
            "multiply_tested": report.multiply_tested,
            "most_tested": report.most_tested,
            "left_out": report.left_out,
            "majority": report.majority,
            "chance": report.chance,
            "alike": [list(group) for group in report.alike],
            "copies": list(report.copies),
        },
    }


def explain(report: LeakReport) -> tuple[str, ...]:
    """Say in sentences what a leak report means."""
    sentences = []
    if report.subject_overlap:
        sentences.append(
            f"LEAK: the subject of {report.subject_overlap:.0%} of the test clips is in training "
            "too, so a network can score by knowing the face."
        )
    elif not report.alike:
        sentences.append("No subject is in training and test of the same fold.")
    if report.alike:
        sentences.append(
            "It cannot be assured that nobody is in training and test of the same fold under "
            f"different names. These may be one person: {people.name_people(report.alike)}."
        )
    sentences += [f"{copy}." for copy in report.copies[:_NAMED]]
    if len(report.copies) > _NAMED:
        sentences.append(f"{len(report.copies) - _NAMED} more clips are there twice.")
    if report.never_tested:
        sentences.append(f"{_clips(report.never_tested, report.n_clips)} are never tested.")
    if report.multiply_tested:
        often = f", up to {report.most_tested} times" if report.most_tested > 1 else ""
        sentences.append(
            f"{_clips(report.multiply_tested, report.n_clips)} are tested in several folds{often}, "
            "so the folds' scores are not independent."
        )
    if report.left_out:
        sentences.append(_left_out(report))
    if report.majority is not None and report.chance is not None:
        sentences.append(
            f"To beat: {report.majority:.1%} by always naming the label that training holds most "
            f"of, {report.chance:.1%} by guessing evenly."
        )
    return tuple(sentences)


def missing_classes(
    plan: FoldPlan, entries: Sequence[IndexEntry], fold: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the classes that a fold tests without a training clip, and those it never tests.

    Args:
        plan: a set's folds.
        entries: the set's index.
        fold: number of the fold.

    Returns:
        Names of classes, in the order of the set's.
    """
    label = {entry.clip_id: entry.label for entry in entries}
    split = plan.splits[fold]
    train, test = ({label[plan.clip_ids[i]] for i in part} for part in (split.train, split.test))
    names = dict(zip(sorted({e.label for e in entries}), class_names(entries), strict=True))
    untrained = tuple(name for code, name in names.items() if code in test - train)
    untested = tuple(name for code, name in names.items() if code not in test)
    return untrained, untested


def explain_classes(plan: FoldPlan, entries: Sequence[IndexEntry]) -> tuple[str, ...]:
    """Say in sentences which folds lack a class; none if all folds hold all."""
    sentences, untested = [], []
    for split in plan.splits:
        untrained, absent = missing_classes(plan, entries, split.fold)
        if untrained:
            sentences.append(
                f"Fold {split.fold} tests {', '.join(untrained)} without a training clip of it, so "
                "that no network can be right there."
            )
        if absent:
            untested.append(f"{split.fold} ({', '.join(absent)})")
    if untested:
        named = "; ".join(untested[:_NAMED]) + ("; ..." if len(untested) > _NAMED else "")
        sentences.append(
            f"{len(untested)} of {len(plan.splits)} folds do not test every class: {named}. Their "
            "UAR is over the classes that they test."
        )
    return tuple(sentences)


def _left_out(report: LeakReport) -> str:
    end = "not in the plan: they neither train nor are tested"
    if not report.missing:
        return f"{report.left_out:.0%} of the set's clips are {end}."
    number = len(report.missing)
    named = ", ".join(report.missing[:_NAMED])
    more = f" and {number - _NAMED} more" if number > _NAMED else ""
    return f"{number} of the set's {report.n_clips + number} clips are {end} ({named}{more})."


def _clips(share: float, n_clips: int) -> str:
    if not n_clips:
        return f"{share:.0%} of the clips"
    return f"{round(share * n_clips)} of {n_clips} clips ({share:.0%})"
