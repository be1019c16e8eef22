"""Validation people: some of a fold's training subjects, kept back to choose the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from evfer.errors import ConfigError

__all__ = ["require_people", "validation_split"]

_DRAWS = 64


def validation_split(
    subjects: Sequence[str], labels: Sequence[int], share: float, *, seed: int, fold: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split training clips in two, so that no person is on both sides.

    People are drawn several times, and the draw is taken whose classes come nearest to those of
    all clips.

    Args:
        subjects: who is shown, one a training clip (n).
        labels: class indices, one a training clip.
        share: share of the subjects to hold out, above 0 and below 1; at least one is held out
            and at least one is kept.
        seed: the run's seed.
        fold: number of the fold.

    Returns:
        Positions of the clips to train on and of those held out, both ascending.

    Raises:
        ConfigError: if the share is none, or there are fewer than two subjects.
    """
    if not 0 < share < 1:
        raise ConfigError(f"select.share = {share}", expected="more than 0 and less than 1")
    require_people(subjects, fold)
    people = sorted(set(subjects))
    number = min(max(1, round(share * len(people))), len(people) - 1)
    row = {person: i for i, person in enumerate(people)}
    counts = np.zeros((len(people), max(labels) + 1))
    np.add.at(counts, ([row[subject] for subject in subjects], list(labels)), 1)
    expected = counts.sum(axis=0) * number / len(people)
    rng = np.random.default_rng([seed, fold])
    draws = [np.sort(rng.permutation(len(people))[:number]) for _ in range(_DRAWS)]
    best = min(draws, key=lambda draw: float(np.abs(counts[draw].sum(axis=0) - expected).sum()))
    held = {people[i] for i in best}
    kept = tuple(i for i, subject in enumerate(subjects) if subject not in held)
    return kept, tuple(i for i, subject in enumerate(subjects) if subject in held)


def require_people(subjects: Iterable[str], fold: int) -> None:
    """Make sure that a fold has people enough to hold some out.

    Args:
        subjects: who is shown, one a training clip.
        fold: number of the fold.

    Raises:
        ConfigError: if there are fewer than two.
    """
    number = len(set(subjects))
    if number < 2:
        raise ConfigError(
            f"{number} training subject{'' if number == 1 else 's'} in fold {fold}",
            expected="two or more, to hold some out for validation",
            hint="Choose --set select.on=last, or a set with more people",
        )
