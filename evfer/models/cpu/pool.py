"""Max pooling that keeps a byte an output for the backward pass, not its input and eight bytes.

In training on a CPU; elsewhere it is PyTorch's, whose results it gives to the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evfer.models.threads import share

__all__ = ["MaxPool"]

_TYPES = (torch.float32, torch.float64, torch.bfloat16)


class MaxPool(nn.MaxPool2d):
    """The largest of 3 x 3 pixels, at every second one."""

    def __init__(self) -> None:
        super().__init__(3, 2, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Pool; shape (n, c, h, w) to (n, c, (h + 1) // 2, (w + 1) // 2)."""
        # a wide pixel is worked on at a time: without channels it would be slow
        wide = input.ndim == 4 and input.shape[1] >= 16 and input.dtype in _TYPES
        if not (self.training and wide and input.device.type == "cpu"):
            return super().forward(input)
        out: Tensor = _MaxPool.apply(input)
        return out


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        # imported on use: numba takes longer to load than the networks
        from evfer.models.cpu import pool_kernels

        n, channels, height, width = x.shape
        out = x.new_empty(n, (height + 1) // 2, (width + 1) // 2, channels)
        taps = torch.empty_like(out, dtype=torch.uint8)
        maps = x.permute(0, 2, 3, 1).contiguous()
        _each_image(pool_kernels.pool, maps, out, taps)
        ctx.save_for_backward(taps)
        ctx.size = x.shape[2:]
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        from evfer.models.cpu import pool_kernels

        (taps,) = ctx.saved_tensors
        grads = grad.permute(0, 2, 3, 1).contiguous()
        out = grads.new_empty(len(grads), *ctx.size, grads.shape[-1])
        _each_image(pool_kernels.pool_backward, grads, taps, out)
        return out.permute(0, 3, 1, 2)


def _each_image(kernel: Any, *tensors: Tensor) -> None:
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    kind = np.empty(0, np.float64 if double else np.float32)
    arrays = [
        (t.view(torch.uint16) if t.dtype == torch.bfloat16 else t).detach().numpy() for t in tensors
    ]

    def work(first: int, stop: int) -> None:
        kernel(*(array[first:stop] for array in arrays), kind)

    share(work, len(arrays[0]))
