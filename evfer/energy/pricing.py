"""What operations cost: counts into accumulations, multiply-accumulations and picojoules.

An input of 0 or 1 needs no product: its weight is added or it is not. That is an accumulation,
AC. Any other input multiplies its weight first, MAC. Whole numbers lie between: a 3 may be three
accumulations, or one product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from evfer.energy.counts import LayerCounts, NetworkCounts, Tally
from evfer.errors import ConfigError

__all__ = [
    "MEMORY_PJ_PER_BYTE",
    "UNIT_ENERGIES",
    "Bill",
    "Cost",
    "LayerBill",
    "Precision",
    "Pricing",
    "UnitEnergy",
    "price",
]

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class UnitEnergy:
    """What one operation costs.

    Args:
        mac_pj: a multiply-accumulation, picojoules.
        ac_pj: an accumulation, picojoules.
        number_bytes: size of a number.
    """

    mac_pj: float
    ac_pj: float
    number_bytes: int


UNIT_ENERGIES: Mapping[Precision, UnitEnergy] = MappingProxyType(
    {
        "fp32": UnitEnergy(4.6, 0.9, 4),
        "fp16": UnitEnergy(1.5, 0.4, 2),
        "int8": UnitEnergy(0.23, 0.03, 1),
    }
)
"""Energies of arithmetic in 45 nm CMOS.

Source:
    Horowitz, Computing's energy problem, ISSCC 2014, figure 1.1.9 (a MAC is the sum of a product
    and an addition there).
"""

MEMORY_PJ_PER_BYTE = 24.96
"""Energy of moving one byte from memory, picojoules."""


@dataclass(frozen=True)
class Pricing:
    """How operations are priced.

    Args:
        integers: price of a pair whose input is a whole number beyond 1 and -1: "multi_ac" as
            many ACs as the number says, "mac" one MAC, "as_one" one AC; "dense_mac" prices the
            layer's whole step as dense MACs once any such input is there.
        precision: of numbers and so of unit energies.
        fold_norm: whether batch norms are folded into the layer before them, which leaves one
            AC an output for the bias; else they cost a MAC an output.
        memory: what is read of the weights: "none" leaves that out, "weights_once" each weight
            once a clip, "per_use" once a pair.
    """

    integers: Literal["multi_ac", "mac", "dense_mac", "as_one"] = "multi_ac"
    precision: Precision = "fp32"
    fold_norm: bool = True
    memory: Literal["none", "weights_once", "per_use"] = "none"

    @property
    def unit(self) -> UnitEnergy:
        """Energies of one operation."""
        if self.precision not in UNIT_ENERGIES:
            raise ConfigError(
                f'precision "{self.precision}"', expected="one of " + ", ".join(UNIT_ENERGIES)
            )
        return UNIT_ENERGIES[self.precision]


@dataclass(frozen=True)
class Cost:
    """What something costs a clip, on average.

    Args:
        macs: multiply-accumulations.
        acs: accumulations.
        energy_pj: of those, picojoules.
        memory_pj: of reading weights, picojoules; not part of `energy_pj`.
    """

    macs: float = 0.0
    acs: float = 0.0
    energy_pj: float = 0.0
    memory_pj: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.acs + other.acs,
            self.energy_pj + other.energy_pj,
            self.memory_pj + other.memory_pj,
        )


@dataclass(frozen=True)
class LayerBill:
    """What one layer costs a clip.

    Args:
        name: the layer.
        steps: its cost at each time step, or a single one.
    """

    name: str
    steps: tuple[Cost, ...]

    @property
    def total(self) -> Cost:
        """All steps together."""
        return sum(self.steps, Cost())


@dataclass(frozen=True)
class Bill:
    """What a network costs a clip.

    Args:
        pricing: how it was priced.
        layers: its layers, in the order of the counts.
    """

    pricing: Pricing
    layers: tuple[LayerBill, ...]

    @property
    def total(self) -> Cost:
        """All layers together."""
        return sum((layer.total for layer in self.layers), Cost())


def price(counts: NetworkCounts, pricing: Pricing = Pricing()) -> Bill:
    """Price every layer of a network.

    Args:
        counts: what the network did.
        pricing: how to price it.

    Returns:
        The cost of each layer and step, a mean over clips.
    """
    layers = []
    for layer in counts.layers:
        steps = tuple(_cost(layer, tally, counts.n_clips, pricing) for tally in layer.steps)
        layers.append(LayerBill(layer.name, steps))
    return Bill(pricing, tuple(layers))


def _cost(layer: LayerCounts, tally: Tally, n_clips: int, pricing: Pricing) -> Cost:
    macs, acs = _operations(layer, tally, pricing)
    unit = pricing.unit
    moved = 0.0
    if pricing.memory == "per_use":
        moved = tally.pairs / n_clips if layer.weights else 0.0
    elif pricing.memory == "weights_once":
        moved = _numbers(layer, pricing) / len(layer.steps)
    return Cost(
        macs / n_clips,
        acs / n_clips,
        (macs * unit.mac_pj + acs * unit.ac_pj) / n_clips,
        moved * unit.number_bytes * MEMORY_PJ_PER_BYTE,
    )


def _numbers(layer: LayerCounts, pricing: Pricing) -> int:
    """Give how many numbers a layer holds in memory."""
    if not (layer.folded and pricing.fold_norm):
        return layer.weights + layer.biases
    # scale goes into the weights before, shift becomes the bias there
    return layer.biases if layer.kind == "norm" else layer.weights


def _operations(layer: LayerCounts, tally: Tally, pricing: Pricing) -> tuple[int, int]:
    """Give the MACs and ACs of a layer at a step, summed over clips."""
    if layer.synaptic:
        macs, acs = _synapses(layer, tally, pricing)
        # a folded norm's bias takes the place of the layer's own, and is priced with the norm
        if layer.biases and not (layer.folded and pricing.fold_norm):
            acs += tally.outputs
        return macs, acs
    if layer.kind == "neuron":
        return (tally.outputs if layer.neuron == "lif" else 0), tally.outputs
    if layer.kind == "norm":
        return (0, tally.outputs) if layer.folded and pricing.fold_norm else (tally.outputs, 0)
    return tally.products, tally.additions


def _synapses(layer: LayerCounts, tally: Tally, pricing: Pricing) -> tuple[int, int]:
    if layer.values == "real":
        return tally.pairs, 0
    match pricing.integers:
        case "multi_ac":
            return 0, tally.unit_pairs + tally.larger_sum
        case "mac":
            return tally.larger_pairs, tally.unit_pairs
        case "dense_mac":
            return tally.graded_dense, tally.plain_pairs
        case "as_one":
            return 0, tally.pairs
    raise ConfigError(
        f'price of whole numbers "{pricing.integers}"',
        expected="multi_ac, mac, dense_mac or as_one",
    )
