"""Spiking-FER written with SpikingJelly's own layers alone: the oracle for evfer's network.

Module names are those of `evfer.models.sew_resnet`, so that weights can be carried over.
"""

from __future__ import annotations

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn


def make_node(kind: str = "if", reset: str = "hard") -> nn.Module:
    settings = {
        "v_threshold": 1.0,
        "v_reset": 0.0 if reset == "hard" else None,
        "surrogate_function": surrogate.ATan(alpha=2.0),
        "detach_reset": True,
        "step_mode": "m",
    }
    if kind == "lif":
        return neuron.LIFNode(tau=2.0, decay_input=True, **settings)
    return neuron.IFNode(**settings)


class ConvNormNode(nn.Module):
    def __init__(self, n_in, n_out, side, stride, kind, reset):
        super().__init__()
        self.conv = layer.Conv2d(n_in, n_out, side, stride, side // 2, bias=False, step_mode="m")
        self.norm = layer.BatchNorm2d(n_out, step_mode="m")
        self.node = make_node(kind, reset)

    def forward(self, x):
        return self.node(self.norm(self.conv(x)))


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride, cnf, kind, reset):
        super().__init__()
        self.cnf = cnf
        self.first = ConvNormNode(n_in, n_out, 3, stride, kind, reset)
        self.second = ConvNormNode(n_out, n_out, 3, 1, kind, reset)
        self.shortcut = None
        if stride != 1:
            self.shortcut = ConvNormNode(n_in, n_out, 1, stride, kind, reset)

    def forward(self, x):
        identity = x if self.shortcut is None else self.shortcut(x)
        out = self.second(self.first(x))
        if self.cnf == "ADD":
            return out + identity
        if self.cnf == "AND":
            return out * identity
        return identity * (1.0 - out)


class SpikingJellySEW(nn.Module):
    """Frames (n, t, 2, h, w) to logits (n, 6): "linear" head and mean, or "code" head and sum."""

    def __init__(self, head="code", cnf="ADD", kind="if", reset="hard", dropout=0.0):
        super().__init__()
        self.head_kind = head
        self.stem = ConvNormNode(2, 64, 7, 2, kind, reset)
        self.pool = layer.MaxPool2d(3, 2, 1, step_mode="m")
        blocks, n_in = [], 64
        for n_out in (64, 128, 256, 512):
            stride = 1 if n_out == 64 else 2
            blocks.append(Block(n_in, n_out, stride, cnf, kind, reset))
            blocks.append(Block(n_out, n_out, 1, cnf, kind, reset))
            n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.average = layer.AdaptiveAvgPool2d((1, 1), step_mode="m")
        self.head = nn.Module()
        if head == "code":
            self.head.current = layer.Linear(512, 512, step_mode="m")
        self.head.classes = layer.Linear(512, 6, bias=False, step_mode="m")
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor) -> Tensor:
        functional.reset_net(self)
        x = frames.transpose(0, 1)
        features = self.average(self.blocks(self.pool(self.stem(x)))).flatten(2)
        if self.head_kind == "linear":
            return self.head.classes(features).mean(0)
        # each step's own logits, summed: the definition, not the short cut
        return self.head.classes(self.dropout(self.head.current(features))).sum(0)


def as_channels_last(network: nn.Module) -> nn.Module:
    """Lay 4-axis weights channels-last, which makes the convolutions work that way."""
    return network.to(memory_format=torch.channels_last)
