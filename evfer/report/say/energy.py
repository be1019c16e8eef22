"""Why published and counted energies differ, in words."""

from __future__ import annotations

from collections.abc import Sequence

from evfer.bench.row_fields import RowEnergy

__all__ = ["explain_energy"]


def explain_energy(energies: Sequence[RowEnergy]) -> str:
    """Say in two sentences why the published energies and the full accounting differ."""
    times = [
        e.legacy_ann_mj / e.paper_ann_mj for e in energies if e.legacy_ann_mj and e.paper_ann_mj
    ]
    more = f", here {max(times):,.0f} times the products there are" if times else ""
    return (
        "The published figures follow the development code's formula (legacy), which squares the "
        "area of every feature map, takes the 1x1 shortcuts as 3x3, always assumes 128x128 pixels "
        f"and leaves the time steps out{more}. The full accounting counts the operations that "
        "happen, step by step and by what each layer is fed, and prices neurons, biases, pooling "
        "and shortcuts too, so the two are not measures of the same thing."
    )
