"""What test clips choose or have chosen, for the console and for rows."""

from __future__ import annotations

from collections.abc import Sequence

from evfer import transforms
from evfer.datasets import cards
from evfer.training.recipe import BenchConfig

__all__ = ["explain_choices", "name_choices"]

_BEST_IN_PAPER = ("fig6_A", "fig6_B", "fig6_C")
_SENTENCES = {
    "epoch": "OPTIMISTIC: the test clips choose the epoch, as the published results do.",
    "augmentations": "The augmentations are those that the published study found best on test "
    "clips of this data set; evfer study chooses without them.",
    "settings": "The recipe's settings were chosen on this set's test clips, so figures are a "
    "little optimistic.",
}


def name_choices(config: BenchConfig, set_name: str, selected_on: str) -> tuple[str, ...]:
    """Name what test clips of a set choose or have chosen, as rows store it.

    Args:
        config: the recipe.
        set_name: the set's folder, such as "DemoDVS".
        selected_on: what chooses the epoch; see `SelectParams`.

    Returns:
        Some of "epoch", "augmentations" and "settings".
    """
    card = cards.find_by_set(set_name)
    taken = transforms.describe(config.augmentation())
    best = any(
        taken == transforms.describe(transforms.build(transforms.parse_names(preset)))
        for preset in _BEST_IN_PAPER
    )
    there = {
        "epoch": selected_on == "best_test_epoch",
        "augmentations": best and card is not None and card.published is not None,
        "settings": set_name in config.tuned_on,
    }
    return tuple(name for name, holds in there.items() if holds)


def explain_choices(names: Sequence[str]) -> str:
    """Say in sentences what `name_choices` names."""
    return " ".join(_SENTENCES[name] for name in names) or (
        "Test clips choose nothing: neither the epoch nor augmentations nor any setting."
    )
