"""What the rows say about energy, beside what the paper states.

A row's field `energy` is `evfer.energy.EnergyReport.summary()`: means over the clips of its fold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evfer.pictures.drawing import shorten

__all__ = [
    "PUBLISHED_ANN_MJ",
    "PUBLISHED_SNN_MJ",
    "RowEnergy",
    "explain",
    "mean_energy",
    "parse_energy",
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


@dataclass(frozen=True)
class RowEnergy:
    """What a clip costs, in millijoules; None where a row does not say.

    Attributes:
        clips: clips that were counted.
        dense_macs: products of a dense computation of all steps.
        macs: multiply-accumulations that happen.
        acs: accumulations that happen.
        rate_per_step: spikes a neuron and step.
        rate_total: spikes a neuron and clip.
        full_mj: everything that happens, whole numbers as several accumulations.
        full_mac_mj: the same, with one multiply-accumulation for each whole number.
        memory_mj: reading weights.
        paper_ann_mj: the paper's formula, network without spikes.
        paper_snn_mj: the paper's formula, spiking network.
        legacy_ann_mj: the published development code's formula, network without spikes.
        legacy_snn_mj: the same, spiking network.
        dense_ann_mj: every product of a network without spikes.
        sparse_ann_mj: its products with inputs that are not zero.
        int8_ann_mj: every product, in 8-bit whole numbers.
        twin: the network without spikes that those are of; empty for the layers of its own.
    """

    clips: float | None = None
    dense_macs: float | None = None
    macs: float | None = None
    acs: float | None = None
    rate_per_step: float | None = None
    rate_total: float | None = None
    full_mj: float | None = None
    full_mac_mj: float | None = None
    memory_mj: float | None = None
    paper_ann_mj: float | None = None
    paper_snn_mj: float | None = None
    legacy_ann_mj: float | None = None
    legacy_snn_mj: float | None = None
    dense_ann_mj: float | None = None
    sparse_ann_mj: float | None = None
    int8_ann_mj: float | None = None
    twin: str = ""


_NUMBERS = tuple(name for name in RowEnergy.__dataclass_fields__ if name != "twin")
_INSIDE = {"paper": ("ann_mj", "snn_mj"), "legacy": ("ann_mj", "snn_mj")}
_BASELINES = ("dense_ann_mj", "sparse_ann_mj", "int8_ann_mj")


def parse_energy(value: Any) -> RowEnergy | None:
    """Read a row's field `energy` with patience; None where it says nothing that can be used."""
    if not isinstance(value, Mapping):
        return None
    flat = dict(value)
    for table, names in _INSIDE.items():
        inside = _table(value.get(table))
        flat |= {f"{table}_{name}": inside.get(name) for name in names}
    baselines = _table(value.get("baselines"))
    flat |= {name: baselines.get(name) for name in _BASELINES}
    numbers = {name: _amount(flat.get(name)) for name in _NUMBERS}
    if not any(number is not None for name, number in numbers.items() if name != "clips"):
        return None
    twin = value.get("twin")
    return RowEnergy(**numbers, twin=shorten(twin, 200) if isinstance(twin, str) else "")


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def mean_energy(rows: Iterable[RowEnergy | None]) -> RowEnergy | None:
    """Give the mean over folds, and the clips of all of them; None if no row says anything."""
    known = [row for row in rows if row is not None]
    if not known:
        return None
    means: dict[str, float | None] = {}
    for name in _NUMBERS:
        values = [value for row in known if (value := getattr(row, name)) is not None]
        total = math.fsum(values)
        means[name] = (total if name == "clips" else total / len(values)) if values else None
    twins = dict.fromkeys(row.twin for row in known)
    return RowEnergy(**means, twin=next(iter(twins)) if len(twins) == 1 else "")


def explain(energies: Sequence[RowEnergy]) -> str:
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
