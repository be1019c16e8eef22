"""ResNet-18, the network without spikes that Spiking-FER is measured against.

It sees all steps at once, as channels: frames (n, t, 2, h, w) become images (n, 2 t, h, w) whose
channel is 2 * step + polarity.

Source:
    He et al., Deep residual learning for image recognition, CVPR 2016, table 1 (18 layers);
    deviates: the stem takes 2 t channels and the classifier has no bias, as in Spiking-FER's
    comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from evfer import config
from evfer.errors import ConfigError
from evfer.models.convolution import Conv2d, Way, initialise_convolutions
from evfer.models.cpu.pool import MaxPool

__all__ = ["ResNet18", "ResNet18Params", "resnet18"]

_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True)
class ResNet18Params:
    """The network's options.

    Args:
        head: "linear" reads the classes off the 512 features; "matched" puts Spiking-FER's
            512 x 512 layer with bias and dropout before, so that only the spikes differ.
        dropout: share of the "matched" layer's outputs that is dropped.
        zero_init_gamma: start each block's last batch norm at 0.
        in_channels: channels of a frame.
        convolution: "auto", or "direct" for PyTorch's own always, see `evfer.models.convolution`.
    """

    head: Literal["linear", "matched"] = "linear"
    dropout: float = 0.5
    zero_init_gamma: bool = False
    in_channels: int = 2
    convolution: Way = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout {self.dropout}", expected="0 to below 1")
        if self.in_channels < 1:
            raise ConfigError(f"model.in_channels {self.in_channels}", expected="at least 1")


def resnet18(n_classes: int = 6, n_steps: int = 6, **options: Any) -> ResNet18:
    """ResNet-18 on stacked frames, the twin without spikes; options as in `ResNet18Params`.

    Raises:
        UnknownNameError: for an option or value that does not exist.
        ConfigError: for a value that cannot be used.
    """
    return ResNet18(n_classes, n_steps, config.build(ResNet18Params, options, "model"))


class ResNet18(nn.Module):
    """The residual network.

    Args:
        n_classes: number of classes.
        n_steps: steps of its input, exactly.
        params: the options.
    """

    def __init__(
        self, n_classes: int = 6, n_steps: int = 6, params: ResNet18Params | None = None
    ) -> None:
        super().__init__()
        self.n_classes, self.n_steps = n_classes, n_steps
        self.params = params = params or ResNet18Params()
        self.stem = _NormedConvolution(params.in_channels * n_steps, 64, 7, 2, params.convolution)
        self.pool = MaxPool()
        blocks: list[_Block] = []
        for i, (n_in, n_out) in enumerate(zip((64, *_WIDTHS[:-1]), _WIDTHS, strict=True)):
            blocks += [_Block(n_in, n_out, 1 if i == 0 else 2, params.convolution)]
            blocks += [_Block(n_out, n_out, 1, params.convolution)]
        self.blocks = nn.Sequential(*blocks)
        hidden: list[nn.Module] = []
        if params.head == "matched":
            hidden = [nn.Linear(_WIDTHS[-1], _WIDTHS[-1]), nn.Dropout(params.dropout)]
        self.classes = nn.Linear(_WIDTHS[-1], n_classes, bias=False)
        self.hidden = nn.Sequential(*hidden)
        initialise_convolutions(self, leave=self.stem.conv)
        if params.zero_init_gamma:
            for block in blocks:
                nn.init.zeros_(block.second.norm.weight)

    def forward(self, frames: Tensor) -> Tensor:
        """Classify sequences.

        Args:
            frames: shape (n, n_steps, c, h, w), any real dtype.

        Returns:
            Logits, shape (n, n_classes), float32.

        Raises:
            ConfigError: for another shape.
        """
        channels = self.params.in_channels
        if frames.ndim != 5 or frames.shape[1:3] != (self.n_steps, channels) or 0 in frames.shape:
            raise ConfigError(
                f"model input of shape {tuple(frames.shape)}",
                expected=f"(clips, {self.n_steps}, {channels}, height, width)",
            )
        x = frames.flatten(1, 2).to(self.stem.conv.weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.blocks(self.pool(functional.relu(self.stem(x))))
        features = x.mean((2, 3), dtype=self.classes.weight.dtype)
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.classes(self.hidden(features))
        return logits


class _NormedConvolution(nn.Module):
    """Convolution and batch norm."""

    def __init__(self, n_in: int, n_out: int, side: int, stride: int, way: Way) -> None:
        super().__init__()
        self.conv = Conv2d(n_in, n_out, side, stride, side // 2, way)
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y


class _Block(nn.Module):
    """Two convolutions beside a shortcut, summed."""

    def __init__(self, n_in: int, n_out: int, stride: int, way: Way) -> None:
        super().__init__()
        self.first = _NormedConvolution(n_in, n_out, 3, stride, way)
        self.second = _NormedConvolution(n_out, n_out, 3, 1, way)
        self.shortcut = None if stride == 1 else _NormedConvolution(n_in, n_out, 1, stride, way)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(functional.relu(self.first(x)))
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))
