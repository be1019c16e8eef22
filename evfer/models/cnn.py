"""A small convolutional network that sees all steps of a clip on one frame.

What it lacks beside the others is time: how much of a network's accuracy needs the order of the
steps shows in the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from evfer import config
from evfer.errors import ConfigError

__all__ = ["CNN1", "CNN1Params", "cnn1"]


@dataclass(frozen=True)
class CNN1Params:
    """The network's options.

    Args:
        widths: channels of its convolutions, each followed by batch norm, ReLU and 2 x 2 pooling.
        accumulate: "mean" averages the steps; "any" says whether there was an event in any.
        dropout: share of the features that is dropped before the classes.
        in_channels: channels of a frame.
    """

    widths: tuple[int, ...] = (32, 64, 128, 128)
    accumulate: Literal["mean", "any"] = "mean"
    dropout: float = 0.2
    in_channels: int = 2

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ConfigError(f"model.widths {list(self.widths)}", expected="one or more, from 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout {self.dropout}", expected="0 to below 1")
        if self.in_channels < 1:
            raise ConfigError(f"model.in_channels {self.in_channels}", expected="at least 1")


def cnn1(n_classes: int = 6, n_steps: int = 6, **options: Any) -> CNN1:
    """Small CNN on one frame that all steps are gathered on; options as in `CNN1Params`.

    Raises:
        UnknownNameError: for an option or value that does not exist.
        ConfigError: for a value that cannot be used.
    """
    return CNN1(n_classes, config.build(CNN1Params, options, "model"))


class CNN1(nn.Module):
    """The network.

    Args:
        n_classes: number of classes.
        params: the options.
    """

    def __init__(self, n_classes: int = 6, params: CNN1Params | None = None) -> None:
        super().__init__()
        self.params = params = params or CNN1Params()
        layers: list[nn.Module] = []
        before = params.in_channels
        for width in params.widths:
            layers += [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.MaxPool2d(2, ceil_mode=True),
            ]
            before = width
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(params.dropout)
        self.classes = nn.Linear(before, n_classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Classify sequences.

        Args:
            frames: shape (n, t, c, h, w), t at least 1, any real dtype.

        Returns:
            Logits, shape (n, n_classes), float32.

        Raises:
            ConfigError: for another shape.
        """
        channels = self.params.in_channels
        if frames.ndim != 5 or frames.shape[2] != channels or 0 in frames.shape:
            raise ConfigError(
                f"model input of shape {tuple(frames.shape)}",
                expected=f"(clips, steps, {channels}, height, width)",
            )
        kind = self.classes.weight.dtype
        gathered = frames.to(kind).mean(1)
        if self.params.accumulate == "any":
            gathered = (gathered > 0).to(kind)
        x = self.layers(gathered.contiguous(memory_format=torch.channels_last))
        features = x.mean((2, 3), dtype=kind)
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.classes(self.dropout(features))
        return logits
