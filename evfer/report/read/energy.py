"""What the rows say about energy, beside what the paper states."""

from __future__ import annotations

import math
from collections.abc import Iterable

from evfer.bench.row_fields import RowEnergy

__all__ = [
    "PUBLISHED_ANN_MJ",
    "PUBLISHED_SNN_MJ",
    "mean_energy",
]

PUBLISHED_ANN_MJ = 1428.67
"""Millijoules a clip of the ResNet-18, the same for each data set.

Source:
    Barchid et al., Spiking-FER, CBMI 2023, table 3.
"""

PUBLISHED_SNN_MJ = (21.85, 26.22, 27.15, 30.13)
"""Millijoules a clip of Spiking-FER on the four data sets, the lowest first.

Source:
    Barchid et al., Spiking-FER, CBMI 2023, table 3.
"""


def mean_energy(rows: Iterable[RowEnergy | None]) -> RowEnergy | None:
    """Give the mean over folds, and the clips of all of them; None if no row says anything."""
    known = [row for row in rows if row is not None]
    if not known:
        return None
    means: dict[str, float | None] = {}
    for name in [name for name in RowEnergy.__dataclass_fields__ if name != "twin"]:
        values = [value for row in known if (value := getattr(row, name)) is not None]
        total = math.fsum(values)
        means[name] = (total if name == "clips" else total / len(values)) if values else None
    twins = dict.fromkeys(row.twin for row in known)
    return RowEnergy(**means, twin=next(iter(twins)) if len(twins) == 1 else "")
