"""What a study found, in sentences that claim no more than it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evfer.study.effects import Fit
    from evfer.study.outcome import Outcome

__all__ = ["describe_choice", "describe_fit", "spell_probability", "spell_share"]

_MOST_NAMED = 4
"""Sets with the same score that a sentence names."""


def spell_probability(p_value: float) -> str:
    """Write a p-value with two digits that count; tiny ones as a bound.

    Examples:
        >>> spell_probability(0.0321), spell_probability(1e-9)
        ('0.032', '<0.0001')
    """
    return "<0.0001" if p_value < 1e-4 else f"{p_value:#.2g}"


def describe_fit(fit: Fit) -> list[str]:
    """Say what a regression rests on, and what limits it; one sentence an item."""
    if fit.problem:
        return [fit.problem, *fit.notes]
    found = [f"{fit.n} results over {fit.n_splits} splits."]
    if fit.r_squared is not None:
        found.append(f"The augmentations explain {fit.r_squared:.1%} of the variance.")
    if fit.method == "ols":
        found.append(
            "Folds share training clips, which OLS does not know: it is surer than it may be."
        )
    if fit.split_std is not None and fit.residual_std is not None:
        found.append(
            f"Splits differ by {100 * fit.split_std:.1f} points (standard deviation), results of "
            f"one split by {100 * fit.residual_std:.1f}."
        )
    return [*found, *fit.notes]


def describe_choice(outcome: Outcome, measure: str) -> list[str]:
    """Say which set of augmentations is best, and who chose it."""
    chose = " and the ".join(outcome.test_chose)
    warning = [f"OPTIMISTIC: the test clips chose the {chose} of each fold."] if chose else []
    if outcome.highest is None:
        missing = "The sets do not have the same folds yet, so none is named the best."
        return [*warning, missing]
    highest = outcome.highest
    tied, score = outcome.tied_highest, f"{measure} {spell_share(highest.mean)}"
    if len(tied) == len(outcome.cells) > 1:
        found = [*warning, f"All sets score alike on the test clips, {score}: none is the best."]
    elif len(tied) > 1:
        found = [
            *warning,
            f"Highest on the test clips: {_name_some(tied)} alike, {score}. OPTIMISTIC: the test "
            "clips chose them.",
        ]
    else:
        found = [
            *warning,
            f"Highest on the test clips: {highest.augmentation}, {score}. OPTIMISTIC: the test "
            "clips chose it.",
        ]
    if outcome.chosen:
        others = [name for name in outcome.tied_chosen if name != outcome.chosen.augmentation]
        alike = f", the first of the study's sets; {_name_some(others)} validated as well"
        found.append(
            f"Chosen on inner validation: {outcome.chosen.augmentation}, with a test {measure} of "
            f"{spell_share(outcome.chosen.mean)}{alike if others else ''}."
        )
        if outcome.nested:
            picks = ", ".join(f"{name} {n} times" for name, n in outcome.nested.picks.items())
            found.append(
                f"Chosen anew in each fold, so that no test clip has a say in any: {measure} "
                f"{spell_share(outcome.nested.mean)} over {outcome.nested.n} results ({picks})."
            )
    else:
        found.append(
            'No set was chosen without the test clips: that needs select.on = "inner_validation".'
        )
    return found


def _name_some(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def spell_share(share: float | None) -> str:
    """Write a share as a percentage; a dash where it is not known."""
    return "-" if share is None else f"{100 * share:.1f}%"
