"""What networks are given and made of where spikes are counted or compared."""

from __future__ import annotations

import torch
from torch import nn


def spike_frames(n=2, t=3, c=2, side=32, share=0.15, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand((n, t, c, side, side), generator=generator) < share).float()


def awake(module, seed=1):
    """Give batch norms random weights, so that spikes flow through every block."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(part.bias, 0.1, 0.5, generator=generator)
    return module


class Folded(nn.Module):
    """Runs layers on (t * n, ...), steps outermost, and sums the rest up."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, frames):
        out = self.layers(frames.transpose(0, 1).flatten(0, 1))
        return out.flatten(1).unflatten(0, (frames.shape[1], -1))[-1]


def steps(layer, name):
    return [getattr(tally, name) for tally in layer.steps]


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
