"""The convolution that both networks use, with two short ways on a CPU.

The smallest maps: at 64 x 64 pixels the last stage of a ResNet-18 works on maps of 2 x 2, where a
padded 3 x 3 kernel spends five of nine products on zeros, and where oneDNN's kernels run far below
their speed. There every output sees every input, so the layer is a fully connected one whose matrix
repeats the kernel's taps. That takes a third of the time (`tests/bench/models.py`); the results are
the same up to the order of the sums.

Larger maps, in training: where Winograd's algorithm pays (`evfer.models.cpu.winograd`). It rounds a
little coarser, so networks that are not in training, whose results are reported, do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evfer.models.cpu import winograd
from evfer.models.steps import MATRIX_ROWS, apply_to_rows

__all__ = ["Conv2d", "Way", "initialise_convolutions"]

Way = Literal["auto", "direct"]

_IMAGES = 2  # from so many on, oneDNN rounds each as in a larger batch


class Conv2d(nn.Conv2d):
    """A square convolution without bias, groups or dilation; its weights lie channels-last.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel, pixels.
        stride: pixels between neighbouring outputs.
        padding: zeros on each side of the input, pixels.
        way: "auto" takes the short ways where they pay, "direct" always PyTorch's convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        padding: int,
        way: Way = "auto",
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.way = way
        weight = self.weight.detach().contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve; shape (n, c, h, w) to (n, out_channels, h', w')."""
        stride, padding = self.stride[0], int(self.padding[0])
        if self.way == "direct" or input.device.type != "cpu":
            return super().forward(input)
        weight, autocast = self.weight, torch.is_autocast_enabled("cpu")
        if not _is_dense(input, weight, stride, padding):
            pays = self.training and not autocast
            if pays and winograd.pays(input, weight, stride, padding):
                return winograd.convolve(input, weight)
            return super().forward(input)
        if autocast:
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)
        out: Tensor = _DenseConvolution.apply(input, weight, stride, padding)
        return out

    def forward_step(self, input: Tensor) -> Tensor:
        """Convolve the few images of one step, rounded as among the many of a sequence."""
        stride, padding = self.stride[0], int(self.padding[0])
        if input.device.type != "cpu":
            n_rows = len(input)
        elif self.way == "auto" and _is_dense(input, self.weight, stride, padding):
            n_rows = -(-len(input) // MATRIX_ROWS) * MATRIX_ROWS
        else:
            n_rows = max(len(input), _IMAGES)
        return apply_to_rows(self, input, n_rows)


def initialise_convolutions(module: nn.Module, *, leave: nn.Module) -> None:
    """Draw the weights of convolutions from Kaiming's normal distribution, by fan-out.

    Args:
        module: every convolution inside it is drawn anew, in place.
        leave: one convolution that keeps PyTorch's default.
    """
    for inner in module.modules():
        if isinstance(inner, nn.Conv2d) and inner is not leave:
            nn.init.kaiming_normal_(inner.weight, mode="fan_out", nonlinearity="relu")


def _is_dense(x: Tensor, weight: Tensor, stride: int, padding: int) -> bool:
    """Tell whether every output pixel sees every input pixel, through a tap of its own."""
    side, size = weight.shape[-1], max(x.shape[-2:])
    # the first output reaches inputs below side - padding, the last one those from last - padding
    last = (size + 2 * padding - side) // stride * stride
    return size <= side - padding and 0 <= last <= padding


class _DenseConvolution(torch.autograd.Function):
    """A convolution in which every output pixel sees every input pixel, as one matrix product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        n, _, *size = x.shape
        height, width = ((side + 2 * padding - weight.shape[-1]) // stride + 1 for side in size)
        pixels = _channels_last(x).reshape(n, -1)
        y = pixels @ _matrix(weight, size, (height, width), stride, padding).t()
        return y.view(n, height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        inputs, grads = _channels_last(x), _channels_last(grad)
        (n, height, width, n_in), (_, out_height, out_width, n_out) = inputs.shape, grads.shape
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            matrix = _matrix(weight, (height, width), (out_height, out_width), stride, padding)
            flat = grads.reshape(n, -1) @ matrix
            grad_x = flat.view(n, height, width, n_in).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            # one product a tap, so that a tap's gradient is rounded once however often it is used
            side = weight.shape[-1]
            taps = weight.new_empty(n_out, side, side, n_in)
            for row in range(side):
                out_rows, in_rows = _meet(row, height, out_height, stride, padding)
                for column in range(side):
                    out_columns, in_columns = _meet(column, width, out_width, stride, padding)
                    left = grads[:, out_rows, out_columns].reshape(-1, n_out)
                    right = inputs[:, in_rows, in_columns].reshape(-1, n_in)
                    # a tap that meets no input has no rows here, and so a product of 0
                    taps[:, row, column] = left.t() @ right
            grad_weight = taps.permute(0, 3, 1, 2)
        return grad_x, grad_weight, None, None


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _matrix(
    weight: Tensor, size: Sequence[int], out_size: Sequence[int], stride: int, padding: int
) -> Tensor:
    """Lay out the kernel's taps for every pair of pixels: (out pixels and channels, in ...)."""
    (height, width), (out_height, out_width) = size, out_size
    taps = _channels_last(weight)
    matrix = weight.new_empty(
        out_height, out_width, weight.shape[0], height, width, weight.shape[1]
    )
    for row in range(out_height):
        for column in range(out_width):
            top, left = padding - row * stride, padding - column * stride
            matrix[row, column] = taps[:, top : top + height, left : left + width]
    return matrix.view(out_height * out_width * weight.shape[0], -1)


def _meet(tap: int, size: int, out_size: int, stride: int, padding: int) -> tuple[slice, slice]:
    """Give the outputs that use a tap along one axis, and the inputs that they see through it."""
    outs = [out for out in range(out_size) if 0 <= out * stride + tap - padding < size]
    if not outs:
        return slice(0), slice(0)
    first, last = outs[0] * stride + tap - padding, outs[-1] * stride + tap - padding
    return slice(outs[0], outs[-1] + 1), slice(first, last + 1, stride)
