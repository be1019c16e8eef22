"""What a network did on some clips: operations by layer and time step, as plain whole numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evfer.errors import DataError

__all__ = ["SYNAPTIC", "Kind", "LayerCounts", "NetworkCounts", "Tally", "Values"]

Kind = Literal[
    "conv", "linear", "matmul", "neuron", "norm", "avg_pool", "max_pool", "add", "product"
]
"""What a layer does; "matmul" is a product of two tensors, "product" one element by element."""

Values = Literal["", "silent", "binary", "integer", "real"]
"""What a layer was fed: nothing but zeros, zeros and ones, whole numbers, or anything else."""

SYNAPTIC: tuple[Kind, ...] = ("conv", "linear", "matmul")
"""Kinds whose work is products of inputs and weights."""


@dataclass(frozen=True)
class Tally:
    """Operations of one layer at one step, summed over clips.

    A pair is an input that is not zero together with a weight that it meets. Padding meets none.

    Args:
        inputs: numbers it was fed.
        nonzero: those of them that were not zero; synaptic layers only.
        outputs: numbers it gave.
        dense: products of a dense computation, padding included.
        pairs: products that are needed.
        unit_pairs: pairs whose input is 1 or -1.
        larger_pairs: pairs whose input is a whole number beyond these.
        larger_sum: sum of the sizes of those inputs, over their pairs.
        graded_dense: `dense` of those calls that were fed anything but 0, 1 and -1.
        plain_pairs: `pairs` of the other calls.
        spikes: spikes fired; neurons only.
        additions: sums of two numbers; pools and element-wise sums.
        products: products of two activations, element by element.
        comparisons: comparisons, which have no price.
    """

    inputs: int = 0
    nonzero: int = 0
    outputs: int = 0
    dense: int = 0
    pairs: int = 0
    unit_pairs: int = 0
    larger_pairs: int = 0
    larger_sum: int = 0
    graded_dense: int = 0
    plain_pairs: int = 0
    spikes: int = 0
    additions: int = 0
    products: int = 0
    comparisons: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(_astuple(self), _astuple(other), strict=True)))

    @staticmethod
    def sum(tallies: Iterable[Tally]) -> Tally:
        """Add tallies up; none give zeros."""
        rows = [_astuple(tally) for tally in tallies]
        return Tally(*(map(sum, zip(*rows, strict=True)))) if rows else Tally()


_FIELDS = tuple(field.name for field in dataclasses.fields(Tally))


def _astuple(tally: Tally) -> tuple[int, ...]:
    # dataclasses.astuple copies deeply, which takes longer than all the rest
    return tuple(getattr(tally, name) for name in _FIELDS)


@dataclass(frozen=True)
class LayerCounts:
    """What one layer did.

    Args:
        name: its place in the network, such as "blocks.0.first.conv".
        kind: what it does.
        steps: a tally a time step, summed over clips; a single one for a layer that does not
            work step by step, such as a stem that runs once or a readout at the end.
        values: what it was fed over all steps and clips; synaptic layers only.
        about: its geometry in short, such as "3x3 64->128 16x16".
        weights: numbers in its weights, or in a norm's scale.
        biases: numbers in its bias, or in a norm's shift.
        folded: whether a norm can be folded into the layer before it; for that layer, whether
            one is folded into it.
        neuron: "if", "lif", or "integrator" for one that never fires; neurons only.
        feeds: the neurons that a synaptic layer drives; empty if it drives none.
    """

    name: str
    kind: Kind
    steps: tuple[Tally, ...]
    values: Values = ""
    about: str = ""
    weights: int = 0
    biases: int = 0
    folded: bool = False
    neuron: Literal["if", "lif", "integrator", ""] = ""
    feeds: str = ""

    @property
    def total(self) -> Tally:
        """All steps together."""
        return Tally.sum(self.steps)

    @property
    def synaptic(self) -> bool:
        """Whether its work is products of inputs and weights."""
        return self.kind in SYNAPTIC


@dataclass(frozen=True)
class NetworkCounts:
    """What a network did on some clips.

    Args:
        layers: its layers in the order in which they first worked.
        n_clips: number of clips.
        n_steps: frames of a clip.
        frame: a frame's shape (c, h, w).
        uncounted: what worked and could not be counted, in words.

    Raises:
        DataError: if there is no clip.
    """

    layers: tuple[LayerCounts, ...]
    n_clips: int
    n_steps: int
    frame: tuple[int, int, int]
    uncounted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.n_clips < 1 or self.n_steps < 1:
            raise DataError(
                f"operations of {self.n_clips} clips of {self.n_steps} steps",
                expected="one clip or more, of one step or more",
            )

    @property
    def by_name(self) -> Mapping[str, LayerCounts]:
        """Its layers by name."""
        return {layer.name: layer for layer in self.layers}

    @property
    def synaptic(self) -> tuple[LayerCounts, ...]:
        """Layers whose work is products of inputs and weights."""
        return tuple(layer for layer in self.layers if layer.synaptic)

    @property
    def spiking(self) -> tuple[LayerCounts, ...]:
        """Layers of neurons that can fire."""
        return tuple(n for n in self.layers if n.kind == "neuron" and n.neuron != "integrator")

    @property
    def dense(self) -> float:
        """Products of a dense computation of all steps, a clip."""
        return sum(layer.total.dense for layer in self.synaptic) / self.n_clips

    @property
    def dense_pass(self) -> float:
        """Products of one dense pass through the layers, each working once, a clip.

        For a network without time that is `dense`; in a spiking one, most layers work at every
        step, and one step's share counts here.
        """
        return sum(self.one_pass(layer) for layer in self.synaptic)

    @property
    def pairs(self) -> float:
        """Products that are needed, a clip."""
        return sum(layer.total.pairs for layer in self.synaptic) / self.n_clips

    def rate(self, layer: LayerCounts, kind: Literal["per_step", "total"] = "per_step") -> float:
        """Give a layer's firing rate.

        Args:
            layer: neurons.
            kind: "per_step", spikes a neuron and step; "total", spikes a neuron and clip.
        """
        total = layer.total
        if not total.outputs:
            return 0.0
        rate = total.spikes / total.outputs
        return rate * len(layer.steps) if kind == "total" else rate

    def mean_rate(self, kind: Literal["per_step", "total"] = "per_step") -> float | None:
        """Give the firing rate of all neurons together; None for a network without spikes."""
        layers = self.spiking
        if not layers:
            return None
        spikes = sum(layer.total.spikes for layer in layers)
        numbers = sum(
            layer.total.outputs / (len(layer.steps) if kind == "total" else 1) for layer in layers
        )
        return spikes / numbers if numbers else 0.0

    def one_pass(self, layer: LayerCounts) -> float:
        """Give the products of a layer that works once, densely, for one clip."""
        return layer.total.dense / (self.n_clips * len(layer.steps))

    def to_dict(self) -> dict[str, Any]:
        """Give all counts as plain data."""
        return dataclasses.asdict(self)
