"""One network's energy report: every accounting side by side, as a value that can be stored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evfer.energy.accountings import (
    LEGACY_LAYERS,
    Baselines,
    LegacyEnergy,
    PaperEnergy,
    compute_baselines,
    legacy_energy,
    paper_energy,
)
from evfer.energy.counts import LayerCounts, NetworkCounts
from evfer.energy.pricing import Bill, Cost, Pricing, price
from evfer.files import write_text
from evfer.recordings.index import write_table

__all__ = ["EnergyReport", "LayerLine", "build_report", "write_report"]

FORMAT = 1
_MJ_PER_PJ = 1e-9


@dataclass(frozen=True)
class LayerLine:
    """One layer of a report; numbers of operations are means over clips.

    Args:
        name: the layer.
        kind: what it does.
        about: its geometry.
        n_steps: steps at which it works; 1 for a layer that works once a clip.
        values: what it is fed: silent, binary, integer or real; layers with weights only.
        nonzero: share of what it is fed that is not zero; likewise.
        dense_macs: products of a dense computation.
        pairs: products that are needed.
        macs: MACs, whole numbers priced as the report's pricing says.
        acs: ACs, likewise.
        energy_nj: what these cost, nanojoules.
        energy_mac_nj: the same with one MAC for each whole number beyond 1.
        memory_nj: cost of reading weights; None if it was not asked for.
        rate_per_step: spikes a neuron and step; neurons only.
        rate_total: spikes a neuron and clip; neurons only.
        comparisons: comparisons, which are free.
    """

    name: str
    kind: str
    about: str
    n_steps: int
    values: str
    nonzero: float | None
    dense_macs: float | None
    pairs: float | None
    macs: float | None
    acs: float | None
    energy_nj: float | None
    energy_mac_nj: float | None
    memory_nj: float | None
    rate_per_step: float | None
    rate_total: float | None
    comparisons: float | None


@dataclass(frozen=True)
class EnergyReport:
    """A network's operations and energies; see `build_report`.

    Args:
        model: the network.
        dataset: the set whose clips it ran on; empty without.
        weights: where its weights come from, in words.
        ran: whether it ran on clips; without, spikes and zeros are not known.
        counts: what it did.
        full: price of everything that happens.
        full_mac: the same with one MAC for each whole number beyond 1.
        paper: energy as the paper states it.
        legacy: energy by the published development code; None for a network of another shape.
        baselines: what networks without spikes would cost.
        twin: the network without spikes behind `paper` and `baselines`; empty for its own layers.
        twin_weights: where that one's weights come from, in words.
        remarks: what a reader has to know, in sentences.
    """

    model: str
    dataset: str
    weights: str
    ran: bool
    counts: NetworkCounts
    full: Bill
    full_mac: Bill
    paper: PaperEnergy
    legacy: LegacyEnergy | None
    baselines: Baselines
    twin: str = ""
    twin_weights: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def full_mj(self) -> float | None:
        """Energy of everything that happens, millijoules a clip; None where it never ran."""
        return self.full.total.energy_pj * _MJ_PER_PJ if self.ran else None

    @property
    def full_mac_mj(self) -> float | None:
        """The same with one MAC for each whole number beyond 1."""
        return self.full_mac.total.energy_pj * _MJ_PER_PJ if self.ran else None

    @property
    def memory_mj(self) -> float | None:
        """Energy of reading weights, millijoules a clip; None if it was not asked for."""
        asked = self.full.pricing.memory != "none"
        return self.full.total.memory_pj * _MJ_PER_PJ if asked and self.ran else None

    def layers(self) -> tuple[LayerLine, ...]:
        """Give a line for every layer, in the order in which they work."""
        return tuple(
            self._line(layer.name, [i], layer) for i, layer in enumerate(self.counts.layers)
        )

    def stages(self) -> tuple[LayerLine, ...]:
        """Give a line for each layer with weights, together with what follows it.

        Norms, neurons, pools and sums up to the next such layer are part of its line, so that the
        lines add up to the whole.
        """
        groups: list[list[int]] = []
        for i, layer in enumerate(self.counts.layers):
            if layer.synaptic or not groups:
                groups.append([])
            groups[-1].append(i)
        return tuple(self._line(*self._name_stage(group)) for group in groups)

    def _name_stage(self, group: list[int]) -> tuple[str, list[int], LayerCounts]:
        layers = self.counts.layers
        first = layers[group[0]]
        parent, _, last = first.name.rpartition(".")
        inside = parent and any(layers[i].name.startswith(f"{parent}.") for i in group[1:])
        return (parent if inside and last == "conv" else first.name), group, first

    def _line(self, name: str, group: list[int], first: LayerCounts) -> LayerLine:
        n, total = self.counts.n_clips, first.total
        spiking = [
            layer
            for layer in (self.counts.layers[i] for i in group)
            if layer.kind == "neuron" and layer.neuron != "integrator"
        ]
        cost = sum((self.full.layers[i].total for i in group), Cost())
        other = sum((self.full_mac.layers[i].total for i in group), Cost())
        node = spiking[0] if len(spiking) == 1 and self.ran else None
        asked = self.full.pricing.memory != "none"
        comparisons = sum(self.counts.layers[i].total.comparisons for i in group)

        def known(value: float) -> float | None:
            return value if self.ran else None

        return LayerLine(
            name,
            first.kind,
            first.about,
            len(first.steps),
            first.values if self.ran else "",
            known(total.nonzero / total.inputs) if first.synaptic and total.inputs else None,
            total.dense / n if first.synaptic else None,
            known(total.pairs / n) if first.synaptic else None,
            known(cost.macs),
            known(cost.acs),
            known(cost.energy_pj / 1e3),
            known(other.energy_pj / 1e3),
            known(cost.memory_pj / 1e3) if asked else None,
            self.counts.rate(node) if node else None,
            self.counts.rate(node, "total") if node else None,
            comparisons / n,
        )

    def explain(self) -> tuple[str, ...]:
        """Say in two sentences why the accountings differ."""
        first = (
            "full counts the products that really occur, by what each layer is fed, leaves the "
            "padding out, and prices neurons, biases, pools and shortcuts too; paper multiplies "
            "one dense pass by how often each layer's own neurons fire in a clip, and prices "
            "nothing else."
        )
        if self.legacy is None:
            return (
                first,
                "legacy is a formula for Spiking-FER alone, and this network is another.",
            )
        times = self.legacy.ann_mj / self.paper.ann_mj if self.paper.ann_mj else 0.0
        return (
            first,
            "legacy is the published development code's formula, kept to be recognised: it squares "
            "the area of each map, takes the shortcuts as 3x3 and every input as 128x128 pixels, "
            f"and knows one step, which makes its ANN {times:,.0f} times that of paper.",
        )

    def summary(self) -> dict[str, Any]:
        """Give the figures that a result row keeps, as plain data."""
        counts, cost = self.counts, self.full.total
        return {
            "format": FORMAT,
            "clips": counts.n_clips if self.ran else 0,
            "steps": counts.n_steps,
            "frame": list(counts.frame),
            "pricing": dataclasses.asdict(self.full.pricing),
            "dense_macs": counts.dense,
            "pairs": counts.pairs if self.ran else None,
            "macs": cost.macs if self.ran else None,
            "acs": cost.acs if self.ran else None,
            "rate_per_step": counts.mean_rate() if self.ran else None,
            "rate_total": counts.mean_rate("total") if self.ran else None,
            "full_mj": self.full_mj,
            "full_mac_mj": self.full_mac_mj,
            "memory_mj": self.memory_mj,
            "paper": dataclasses.asdict(self.paper),
            "legacy": None if self.legacy is None else dataclasses.asdict(self.legacy),
            "baselines": dataclasses.asdict(self.baselines),
            "twin": self.twin,
            "uncounted": list(counts.uncounted),
        }

    def to_dict(self) -> dict[str, Any]:
        """Give the whole report as plain data, with each layer's steps."""
        lines = []
        for i, line in enumerate(self.layers()):
            layer, bill = self.counts.layers[i], self.full.layers[i]
            n = self.counts.n_clips
            steps = [
                {
                    "pairs": tally.pairs / n,
                    "spikes": tally.spikes / n,
                    "macs": cost.macs,
                    "acs": cost.acs,
                    "energy_nj": cost.energy_pj / 1e3,
                }
                for tally, cost in zip(layer.steps, bill.steps, strict=True)
            ]
            lines.append(dataclasses.asdict(line) | {"steps": steps if self.ran else []})
        return {
            "model": self.model,
            "dataset": self.dataset,
            "weights": self.weights,
            "twin_weights": self.twin_weights,
            **self.summary(),
            "explanation": list(self.explain()),
            "remarks": list(self.remarks),
            "layers": lines,
        }


def build_report(
    counts: NetworkCounts,
    model: str = "",
    *,
    pricing: Pricing = Pricing(),  # noqa: B008 (frozen)
    twin: NetworkCounts | None = None,
    ran: bool = True,
    **about: Any,
) -> EnergyReport:
    """Price what a network did in every accounting.

    Args:
        counts: what it did, see `evfer.energy.counting_torch.count`.
        model: its name.
        pricing: how operations are priced.
        twin: what a network without spikes did on the same clips, to compare with.
        ran: whether `counts` are of real clips; if not, only dense products are reported.
        about: further fields of `EnergyReport`: `dataset`, `weights`, `twin`'s name as
            `twin_name`, `twin_weights` and `remarks`.

    Returns:
        The report; every number is a mean over clips.
    """
    remarks = list(about.pop("remarks", ()))
    other = dataclasses.replace(pricing, integers="mac")
    legacy = _legacy(counts, ran)
    if counts.uncounted:
        columns = ["full"] if ran else []  # the columns that are made from these counts
        columns += ["paper"] if twin is None or counts.spiking else []
        columns += ["dense ANN"] if twin is None else []
        columns += ["legacy"] if legacy else []
        remarks.append(_missing("", columns, counts))
    if twin is not None and twin.uncounted:
        remarks.append(_missing(" of the network without spikes", ["paper", "dense ANN"], twin))
    return EnergyReport(
        model=model,
        dataset=about.pop("dataset", ""),
        weights=about.pop("weights", ""),
        ran=ran,
        counts=counts,
        full=price(counts, pricing),
        full_mac=price(counts, other),
        paper=paper_energy(counts, twin, ran=ran),
        legacy=legacy,
        baselines=compute_baselines(counts, twin, ran=ran),
        twin=about.pop("twin_name", ""),
        remarks=tuple(remarks),
        **about,
    )


def _missing(of: str, columns: list[str], counts: NetworkCounts) -> str:
    names = " and ".join(filter(None, (", ".join(columns[:-1]), columns[-1])))
    return f"Not counted{of}, and so missing from {names}: {'; '.join(counts.uncounted)}"


def _legacy(counts: NetworkCounts, ran: bool) -> LegacyEnergy | None:
    """Give the legacy energy of a network that has Spiking-FER's layers."""
    layers = counts.by_name
    names = [layer.name for layer in LEGACY_LAYERS if layer.name != "head"]
    if not all(f"{name}.conv" in layers for name in names):
        return None
    nodes: Mapping[str, LayerCounts | None] = {n: layers.get(f"{n}.node") for n in names}
    rates = {name: counts.rate(node) for name, node in nodes.items() if node is not None}
    return legacy_energy(rates if ran and len(rates) == len(names) else None)


def write_report(report: EnergyReport, folder: Path) -> tuple[Path, Path]:
    """Write a report as `energy.json`, and its layers as `energy-layers.csv`.

    Returns:
        The two files.

    Raises:
        OutputError: if the folder cannot be written.
    """
    whole, layers = folder / "energy.json", folder / "energy-layers.csv"
    write_text(whole, json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    write_table(layers, report.layers(), LayerLine)
    return whole, layers
