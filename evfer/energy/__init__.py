"""What a network's work costs: operations counted as they happen, priced in several accountings.

    counting_torch.count(module, frames) -> NetworkCounts    what really flows, by layer and step
    build_report(counts, model)          -> EnergyReport     full, paper, legacy, baselines

Everything here but the files named `*_torch.py` works on plain numbers. `evfer.bench.meter` finds a
trained network and its test clips by name and does both. A layer class of one's own is counted by
the rule that its module hands to `evfer.energy.rules_torch.register`.
"""

from __future__ import annotations

from evfer.energy.accountings import (
    Baselines,
    LegacyEnergy,
    PaperEnergy,
    compute_baselines,
    legacy_energy,
    paper_energy,
)
from evfer.energy.counts import LayerCounts, NetworkCounts, Tally
from evfer.energy.pricing import UNIT_ENERGIES, Bill, Cost, LayerBill, Pricing, UnitEnergy, price
from evfer.energy.report import EnergyReport, LayerLine, build_report, write_report

__all__ = [
    "UNIT_ENERGIES",
    "Baselines",
    "Bill",
    "Cost",
    "EnergyReport",
    "LayerBill",
    "LayerCounts",
    "LayerLine",
    "LegacyEnergy",
    "NetworkCounts",
    "PaperEnergy",
    "Pricing",
    "Tally",
    "UnitEnergy",
    "build_report",
    "compute_baselines",
    "legacy_energy",
    "paper_energy",
    "price",
    "write_report",
]
