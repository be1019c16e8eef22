"""Spike rates of a trained network on some clips, where on the frame its neurons fired."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based.neuron import BaseNode
from torch import nn

from evfer.bench import ResultRow, load
from evfer.errors import RecordingError
from evfer.frames import to_frames
from evfer.models.neurons import SpikingJellyNode, SpikingNode
from evfer.recordings.file import Recording

__all__ = ["rate_maps"]

_SMALLEST = 2
"""Maps of fewer pixels a side tell nothing about places."""

NamedMap = tuple[str, NDArray[np.float64]]


def rate_maps(
    row: ResultRow,
    weights: Path,
    recordings: Sequence[Recording],
    most: int,
) -> list[list[NamedMap]]:
    """Run clips through a row's network and give its layers' spike rates.

    Args:
        row: the result.
        weights: the file of its weights.
        recordings: the clips.
        most: layers to give, one for each size of map, the last of its size.

    Returns:
        For each clip, each layer's name and rates, spikes a neuron and step, shape (h, w); no
        layers for a network without spiking ones that keep places apart.

    Raises:
        EvferError: if the weights cannot be used.
    """
    # a report runs no code that results name, so networks of others are refused
    trained = load(weights)
    if trained.about.key != row.key:
        raise RecordingError(f"{weights.name}: no weights of this row", expected="those of it")
    module, frames = trained.module, trained.frames
    if not _nodes(module):
        return [[] for _ in recordings]
    found = []
    for recording in recordings:
        shown = to_frames(recording.events, recording.sensor_size, **dataclasses.asdict(frames))
        x = torch.from_numpy(shown)[None]
        found.append(_run(module, x))
    names = _spread(
        [(name, rates.shape) for name, rates in found[0].items()] if found else [], most
    )
    return [
        [(name.removesuffix(".node"), maps[name]) for name in names if name in maps]
        for maps in found
    ]


def _run(module: nn.Module, x: torch.Tensor) -> dict[str, NDArray[np.float64]]:
    """Give each spiking layer's rates on one clip, over channels and steps."""
    sums: dict[str, list[NDArray[np.float64]]] = {}

    def watch(name: str) -> Callable[..., None]:
        def take(_: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim >= 3:
                spikes = output.detach().double()
                rates = spikes.flatten(0, spikes.ndim - 3).mean(dim=0)
                # a node in a loop of steps is called once for each
                sums.setdefault(name, []).append(rates.numpy())

        return take

    kinds = (SpikingNode, SpikingJellyNode, BaseNode)
    # a node may stand inside another that gives the same spikes
    nodes = [(name, part) for name, part in module.named_modules() if isinstance(part, kinds)]
    inner = {name for name, _ in nodes if any(name.startswith(f"{n}.") for n, _ in nodes)}
    handles = [part.register_forward_hook(watch(name)) for name, part in nodes if name not in inner]
    try:
        with torch.inference_mode():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    maps = {name: np.mean(rates, axis=0) for name, rates in sums.items() if _alike(rates)}
    return {name: rates for name, rates in maps.items() if min(rates.shape) >= _SMALLEST}


def _nodes(module: nn.Module) -> dict[str, nn.Module]:
    """Give layers of spiking neurons; of one inside another, which fires alike, the outer one."""
    kinds = (SpikingNode, SpikingJellyNode, BaseNode)
    found = {name: part for name, part in module.named_modules() if isinstance(part, kinds)}
    return {
        name: part
        for name, part in found.items()
        if not any(name.startswith(f"{other}.") for other in found)
    }


def _alike(maps: Sequence[NDArray[np.float64]]) -> bool:
    return len({item.shape for item in maps}) == 1


def _spread(layers: Sequence[tuple[str, tuple[int, ...]]], most: int) -> list[str]:
    """Choose the first layer and the last of each size."""
    last: dict[tuple[int, ...], str] = {}
    for name, shape in layers:
        last[shape] = name
    chosen = dict.fromkeys([*(name for name, _ in layers[:1]), *last.values()])
    return [name for name, _ in layers if name in chosen][:most]
