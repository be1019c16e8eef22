"""Other ways to state an energy: as published, as once computed, as without spikes.

All of them price products alone: no neurons, norms, biases, pools or shortcuts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evfer.energy.counts import LayerCounts, NetworkCounts
from evfer.energy.pricing import UNIT_ENERGIES

__all__ = [
    "LEGACY_LAYERS",
    "Baselines",
    "LegacyEnergy",
    "LegacyLayer",
    "PaperEnergy",
    "compute_baselines",
    "legacy_energy",
    "paper_energy",
]

_MJ_PER_PJ = 1e-9
_FP32, _INT8 = UNIT_ENERGIES["fp32"], UNIT_ENERGIES["int8"]


@dataclass(frozen=True)
class PaperEnergy:
    """Energy as the paper states it, a clip.

    Args:
        ann_macs: products of the network without spikes, computed densely.
        ann_mj: what they cost, millijoules.
        snn_acs: sum over layers of the products of one dense pass times the layer's firing
            rate; None for a network without spikes, or where its spikes are not known.
        snn_mj: what they cost, millijoules.
    """

    ann_macs: float
    ann_mj: float
    snn_acs: float | None = None
    snn_mj: float | None = None


def paper_energy(
    counts: NetworkCounts, twin: NetworkCounts | None = None, *, ran: bool = True
) -> PaperEnergy:
    """Give the energy by the paper's equations 4 to 8.

    `E_ANN = 4.6 * sum_l F_l` and `E_SNN = 0.9 * sum_l F_l * R_l` in picojoules, where `F_l` are
    the products of one dense pass through layer l (`k^2 Ho Wo Cin Cout`) and `R_l` is the spikes
    a neuron of that layer fires in a whole clip, so that the number of steps is in it.

    Args:
        counts: what the network did.
        twin: what its counterpart without spikes did; by default its own layers stand for it.
        ran: whether `counts` are of real clips; without, spikes are not known.

    Source:
        Barchid et al., Spiking-FER, CBMI 2023, equations 4 to 8; deviates: a layer that drives no
        neurons, such as the head, counts as dense each time it works.
    """
    macs = _ann_macs(twin or counts)
    ann_mj = macs * _FP32.mac_pj * _MJ_PER_PJ
    if not counts.spiking or not ran:
        return PaperEnergy(macs, ann_mj)
    acs = sum(counts.one_pass(layer) * _driven_rate(counts, layer) for layer in counts.synaptic)
    return PaperEnergy(macs, ann_mj, acs, acs * _FP32.ac_pj * _MJ_PER_PJ)


def _ann_macs(counts: NetworkCounts) -> float:
    # without spikes a layer that works several times has to; with them, steps are the spikes' own
    return counts.dense_pass if counts.spiking else counts.dense


def _driven_rate(counts: NetworkCounts, layer: LayerCounts) -> float:
    driven = counts.by_name.get(layer.feeds)
    return counts.rate(driven, "total") if driven else float(len(layer.steps))


@dataclass(frozen=True)
class LegacyLayer:
    """One layer of Spiking-FER as the development formula sees it.

    Args:
        name: the layer's name in evfer's network; its neurons are `<name>.node`.
        macs: what the formula gives for it.
    """

    name: str
    macs: int


def _legacy_layers() -> Iterator[LegacyLayer]:
    def conv(name: str, side: int, scale: int, n_in: int, n_out: int) -> LegacyLayer:
        area = (128 // scale) ** 2
        # the square of an area: this is the formula's slip, and the reason to keep it apart
        return LegacyLayer(name, side**2 * area**2 * n_in * n_out)

    yield conv("stem", 7, 2, 2, 64)
    n_in = 64
    for stage, n_out in enumerate((64, 128, 256, 512)):
        for block in (2 * stage, 2 * stage + 1):
            scale = 4 << stage
            yield conv(f"blocks.{block}.first", 3, scale, n_in, n_out)
            yield conv(f"blocks.{block}.second", 3, scale, n_out, n_out)
            if n_in != n_out:
                yield conv(f"blocks.{block}.shortcut", 3, scale, n_in, n_out)  # in truth 1x1
            n_in = n_out
    yield LegacyLayer("head", 512 * 4)


LEGACY_LAYERS: tuple[LegacyLayer, ...] = tuple(_legacy_layers())
"""Spiking-FER's layers in the development formula, which knows 128 x 128 pixels and no steps."""


@dataclass(frozen=True)
class LegacyEnergy:
    """Energy by the formula of the published development code, a clip.

    Args:
        macs: products of the network without spikes.
        ann_mj: what they cost, millijoules.
        mean_rate: mean firing rate a step, weighted with the layers' products; None where spikes
            are not known.
        snn_mj: what the spiking network costs, millijoules.
    """

    macs: int
    ann_mj: float
    mean_rate: float | None = None
    snn_mj: float | None = None


def legacy_energy(rates: Mapping[str, float] | None = None) -> LegacyEnergy:
    """Give Spiking-FER's energy by the formula of the published development code.

    It takes the square of each layer's area, 3x3 kernels in the shortcuts, 4 classes and one
    step, so the numbers are no energy of anything; they are here to be recognised.

    Args:
        rates: firing rates a step, by the names of `LEGACY_LAYERS`; the head takes that of the
            layer before it. None leaves the spiking network out.
    """
    macs = sum(layer.macs for layer in LEGACY_LAYERS)
    ann_mj = macs * _FP32.mac_pj * _MJ_PER_PJ
    if rates is None:
        return LegacyEnergy(macs, ann_mj)
    weighted, rate = 0.0, 0.0
    for layer in LEGACY_LAYERS:
        rate = rates[layer.name] if layer.name != "head" else rates.get("head", rate)
        weighted += layer.macs * rate
    return LegacyEnergy(macs, ann_mj, weighted / macs, weighted * _FP32.ac_pj * _MJ_PER_PJ)


@dataclass(frozen=True)
class Baselines:
    """What networks without spikes would cost, a clip, in millijoules.

    Args:
        dense_ann_mj: every product of one pass, float32.
        sparse_ann_mj: only products with inputs that are not zero, float32; None where no network
            without spikes was run.
        int8_ann_mj: every product of one pass, in 8-bit whole numbers.
        macs: products of one pass.
        sparse_macs: those whose input is not zero.
    """

    dense_ann_mj: float
    sparse_ann_mj: float | None
    int8_ann_mj: float
    macs: float
    sparse_macs: float | None


def compute_baselines(
    counts: NetworkCounts, twin: NetworkCounts | None = None, *, ran: bool = True
) -> Baselines:
    """Give what networks without spikes would cost.

    Args:
        counts: what the network did.
        twin: what a counterpart without spikes did; by default the network itself where it has no
            spikes, else one dense pass through its layers.
        ran: whether the counts are of real clips.
    """
    ann = twin or counts
    macs = _ann_macs(ann)
    sparse = ann.pairs if ran and not ann.spiking else None
    return Baselines(
        macs * _FP32.mac_pj * _MJ_PER_PJ,
        None if sparse is None else sparse * _FP32.mac_pj * _MJ_PER_PJ,
        macs * _INT8.mac_pj * _MJ_PER_PJ,
        macs,
        sparse,
    )
