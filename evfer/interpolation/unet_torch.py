"""The network that SuperSloMo uses twice: a U-net of five halvings, by the checkpoint's names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MULTIPLE", "UNet"]

MULTIPLE = 32
"""Height and width must be multiples of this: five halvings and back."""

_SLOPE = 0.1  # of every leaky ReLU


class UNet(nn.Module):
    """A U-net from pictures to pictures, as deep as SuperSloMo's.

    Every convolution, the last one too, is followed by a leaky ReLU.

    Args:
        n_in: planes of the input.
        n_out: planes of the output.

    Source:
        Jiang et al., "Super SloMo: High quality estimation of multiple intermediate frames for
        video interpolation" CVPR 2018, section 3.3; names and shapes of the parameters are
        those of the published checkpoint.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = _convolution(n_in, 32, 7)
        self.conv2 = _convolution(32, 32, 7)
        self.down1 = _Down(32, 64, 5)
        self.down2 = _Down(64, 128, 3)
        self.down3 = _Down(128, 256, 3)
        self.down4 = _Down(256, 512, 3)
        self.down5 = _Down(512, 512, 3)
        self.up1 = _Up(512, 512)
        self.up2 = _Up(512, 256)
        self.up3 = _Up(256, 128)
        self.up4 = _Up(128, 64)
        self.up5 = _Up(64, 32)
        self.conv3 = _convolution(32, n_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network.

        Args:
            x: shape (n, n_in, h, w), float32; h and w multiples of `MULTIPLE`.

        Returns:
            Shape (n, n_out, h, w), float32.
        """
        skipped = [_leak(self.conv2(_leak(self.conv1(x))))]
        for down in (self.down1, self.down2, self.down3, self.down4):
            skipped.append(down(skipped[-1]))
        x = self.down5(skipped[-1])
        for up in (self.up1, self.up2, self.up3, self.up4, self.up5):
            x = up(x, skipped.pop())
        return _leak(self.conv3(x))


class _Down(nn.Module):
    """Half the size, other planes."""

    def __init__(self, n_in: int, n_out: int, side: int) -> None:
        super().__init__()
        self.conv1 = _convolution(n_in, n_out, side)
        self.conv2 = _convolution(n_out, n_out, side)

    def forward(self, x: Tensor) -> Tensor:
        return _leak(self.conv2(_leak(self.conv1(functional.avg_pool2d(x, 2)))))


class _Up(nn.Module):
    """Twice the size, joined by what was there before at that size."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = _convolution(n_in, n_out, 3)
        self.conv2 = _convolution(2 * n_out, n_out, 3)

    def forward(self, x: Tensor, skipped: Tensor) -> Tensor:
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = _leak(self.conv1(x))
        return _leak(self.conv2(torch.cat((x, skipped), 1)))


def _convolution(n_in: int, n_out: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, side, padding=side // 2)


def _leak(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE)
