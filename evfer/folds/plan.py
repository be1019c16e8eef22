"""A plan: the folds of a set, as positions in its list of clips."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

from evfer import config

__all__ = ["FoldPlan", "Split", "make_plan"]


@dataclass(frozen=True)
class Split:
    """One fold: positions in the plan's clip list, ascending."""

    fold: int
    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class FoldPlan:
    """All folds of one set.

    Args:
        kind: kind of split, such as strict or imported.
        seed: seed of the random choices.
        clip_ids: the set's clips, sorted.
        splits: the folds; positions point into `clip_ids`.
        notes: what one must know to use it, in sentences; they play no part in comparisons.
    """

    kind: str
    seed: int
    clip_ids: tuple[str, ...]
    splits: tuple[Split, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)

    @functools.cached_property  # every job asks, and a hundred folds take a while
    def sha256(self) -> str:
        """Digest of who is tested when; the same for plans that split alike."""
        tested = [[self.clip_ids[i] for i in split.test] for split in self.splits]
        trained = [[self.clip_ids[i] for i in split.train] for split in self.splits]
        return config.digest({"test": tested, "train": trained})


def make_plan(
    kind: str,
    seed: int,
    clip_ids: Sequence[str],
    tests: Sequence[Sequence[int]],
    notes: Sequence[str] = (),
) -> FoldPlan:
    """Make a plan from each fold's test clips; all others train.

    Args:
        kind: kind of split, see `FoldPlan`.
        seed: seed of the random choices.
        clip_ids: the clips, sorted.
        tests: positions in `clip_ids`, one sequence a fold, in any order.
        notes: see `FoldPlan`.
    """
    splits = []
    for fold, test in enumerate(tests):
        held_out = set(test)
        train = tuple(i for i in range(len(clip_ids)) if i not in held_out)
        splits.append(Split(fold, train, tuple(sorted(held_out))))
    return FoldPlan(
        kind=kind,
        seed=seed,
        clip_ids=tuple(clip_ids),
        splits=tuple(splits),
        notes=tuple(notes),
    )
