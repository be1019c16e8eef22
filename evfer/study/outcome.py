"""What a study found, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evfer.study.effects import Fit

__all__ = ["Cell", "Nested", "Outcome"]


@dataclass(frozen=True)
class Cell:
    """All folds and seeds of one network, data set and set of augmentations.

    Args:
        augmentation: name of the set of augmentations.
        n: results so far.
        total: results of the whole grid.
        mean: mean of their scores; None without results.
        std: sample standard deviation; None for fewer than two.
        validation: mean accuracy for the people who chose the epoch; None where there were none.
        collapsed: results in which nearly all predictions were one class.
    """

    augmentation: str
    n: int
    total: int
    mean: float | None
    std: float | None
    validation: float | None
    collapsed: int


@dataclass(frozen=True)
class Nested:
    """Scores where each fold chooses its own set of augmentations, by its own validation.

    No test clip has a say in that, not even as somebody who is held out in another fold.

    Args:
        mean: mean of the scores.
        std: sample standard deviation; None for fewer than two.
        n: folds and seeds.
        picks: how often each set was chosen.
    """

    mean: float
    std: float | None
    n: int
    picks: Mapping[str, int]


@dataclass(frozen=True)
class Outcome:
    """What a study found about one network on one data set.

    Args:
        dataset: short name of the set.
        model: the network.
        cells: the best first, those without results last.
        ols: the published regression.
        mixed: the one with splits as random effects.
        chosen: set of augmentations with the best validation accuracy over all folds, of equals
            the first of the grid; None where there was no validation, or results are missing. A
            fold's test clips did not choose it in that fold, but may have in others.
        highest: set with the best test score: chosen by the test clips, and so optimistic; of
            equals the first.
        test_chose: what the test clips chose in each fold, such as the epoch.
        nested: scores where each fold chose for itself; None where `chosen` is.
        tied_chosen: names of all sets with that validation accuracy.
        tied_highest: names of all sets with that test score.
    """

    dataset: str
    model: str
    cells: tuple[Cell, ...]
    ols: Fit
    mixed: Fit
    chosen: Cell | None
    highest: Cell | None
    test_chose: tuple[str, ...] = ()
    nested: Nested | None = None
    tied_chosen: tuple[str, ...] = ()
    tied_highest: tuple[str, ...] = ()
