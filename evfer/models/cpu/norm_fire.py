"""Batch norm, neurons and a shortcut's sum as one function, for training on a CPU.

One pass over the convolution's output normalises it, integrates, fires and adds the shortcut; for
the backward pass nothing but that output is kept. The statistics are PyTorch's, and every number is
rounded as in its batch norm, so the spikes are those of the layers one after the other, to the bit
(`tests/test_norm_fire.py`). In half precision the normalised input is not rounded to it in between.

Networks that are not in training, neurons other than integrate-and-fire ones with a hard, detached
reset and an arc tangent's surrogate, and layers that are watched by hooks go the long way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evfer.models.neurons import Neuron, SpikingJellyNode, SpikingNode
from evfer.models.surrogate import ATan
from evfer.models.threads import share

__all__ = ["fuses", "norm_and_fire"]

_BLOCKS = 32  # parts whose sums are added up in one order, whatever the number of threads


def norm_and_fire(
    x: Tensor,
    norm: nn.BatchNorm2d,
    node: SpikingNode | SpikingJellyNode,
    n_steps: int,
    added: Tensor | None = None,
) -> Tensor:
    """Give `added + node(norm(x), n_steps)`.

    Args:
        x: a convolution's output, shape (n_steps * n, c, h, w), steps outermost.
        norm: normalises it.
        node: fires.
        n_steps: steps of the sequence.
        added: spikes of a shortcut, as `x`; None adds nothing.
    """
    if fuses(norm, node) and _takes(x, norm.weight, n_steps, added):
        return _fuse(x, norm, node.neuron, n_steps, added)
    spikes: Tensor = node(norm(x), n_steps)
    return spikes if added is None else added + spikes


def fuses(norm: nn.BatchNorm2d, node: SpikingNode | SpikingJellyNode) -> bool:
    """Tell whether these layers, as they stand, become one function."""
    if not (norm.training and type(norm) is nn.BatchNorm2d and norm.momentum is not None):
        return False
    if type(node) is not SpikingNode or not _is_plain(node.neuron):
        return False
    weight = norm.weight
    if weight is None or norm.bias is None or norm.running_mean is None:
        return False
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
        return False
    return not any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
        for module in (norm, node)
    )


def _takes(x: Tensor, weight: Tensor, n_steps: int, added: Tensor | None) -> bool:
    """Tell whether the function takes such an input."""
    half = (x.dtype, weight.dtype) == (torch.bfloat16, torch.float32)
    if x.device.type != "cpu" or (x.dtype != weight.dtype and not half):
        return False
    if x.ndim != 4 or len(x) % n_steps or x.numel() <= x.shape[1]:
        return False
    return added is None or added.shape == x.shape


def _is_plain(neuron: Neuron) -> bool:
    hard = neuron.v_reset is not None and neuron.detach_reset
    finite = math.isfinite(neuron.v_threshold)
    return neuron.kind == "if" and hard and finite and type(neuron.surrogate_function) is ATan


def _fuse(
    x: Tensor, norm: nn.BatchNorm2d, neuron: Neuron, n_steps: int, added: Tensor | None
) -> Tensor:
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    momentum = 0.0 if norm.momentum is None else norm.momentum
    with torch.no_grad():
        mean, variance = torch.batch_norm_update_stats(
            x, norm.running_mean, norm.running_var, momentum
        )
        deviation = (variance.double() + norm.eps).sqrt()
        inverse = deviation.reciprocal().to(norm.weight.dtype)
    if added is not None:
        added = added.to(x.dtype).contiguous(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    out: Tensor = _NormFire.apply(x, norm.weight, norm.bias, added, mean, inverse, n_steps, neuron)
    return out


class _NormFire(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        added: Tensor | None,
        mean: Tensor,
        inverse: Tensor,
        n_steps: int,
        neuron: Neuron,
    ) -> Tensor:
        # imported on use: numba takes longer to load than the networks
        from evfer.models.cpu import norm_fire_kernels as kernels

        scale = inverse * weight
        # the product is rounded with the difference, not before
        shift = (bias.double() - mean.double() * scale.double()).to(bias.dtype)
        ctx.save_for_backward(x, weight, mean, inverse, scale, shift)
        ctx.n_steps, ctx.neuron = n_steps, neuron
        out = torch.empty_like(x)
        inputs, outputs = _array(x, n_steps), _array(out, n_steps)
        others = inputs[:0] if added is None else _array(added, n_steps)
        rows = [_repeat(row, kernels.RUN).numpy() for row in (scale, shift)]
        settings = neuron.v_threshold, neuron.v_reset
        _each_block(
            inputs.shape[1],
            len(rows[0]),
            lambda _, first, stop: kernels.fire(
                inputs, *rows, others, outputs, *settings, first, stop
            ),
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from evfer.models.cpu import norm_fire_kernels as kernels

        x, weight, mean, inverse, scale, shift = ctx.saved_tensors
        n_steps, neuron = ctx.n_steps, ctx.neuron
        passed = grad if ctx.needs_input_grad[3] else None
        grad = grad.to(x.dtype).contiguous(memory_format=torch.channels_last)
        grad_x = torch.empty_like(x)
        inputs, grads, outputs = (_array(part, n_steps) for part in (x, grad, grad_x))
        rows = [_repeat(row, kernels.RUN).numpy() for row in (scale, shift, mean)]
        run, n = len(rows[0]), inputs.shape[1]
        settings = neuron.v_threshold, neuron.v_reset, neuron.surrogate_function.alpha
        sums = torch.zeros(_BLOCKS, 2, run, dtype=torch.float64)
        parts = sums.numpy()
        _each_block(
            n,
            run,
            lambda block, first, stop: kernels.fire_backward(
                inputs, *rows, grads, outputs, parts[block], *settings, first, stop
            ),
        )
        total, product = sums.sum(0).view(2, -1, len(mean)).sum(1)
        slope = weight.double() * inverse.double()
        count = x.numel() // len(mean)
        of_x = -slope * inverse.double() ** 2 * product / count
        factors = torch.stack([slope, of_x, -slope * total / count - of_x * mean.double()])
        factors = factors.to(weight.dtype)
        repeated = torch.stack([_repeat(row, kernels.RUN) for row in factors]).numpy()
        _each_block(
            n,
            run,
            lambda _, first, stop: kernels.norm_backward(inputs, repeated, outputs, first, stop),
        )
        grad_weight = (product * inverse.double()).to(weight.dtype)
        return grad_x, grad_weight, total.to(weight.dtype), passed, None, None, None, None


def _array(x: Tensor, n_steps: int) -> Any:
    """View a sequence of channels-last maps as an array (n_steps, neurons), bfloat16 as bits."""
    flat = x.detach().permute(0, 2, 3, 1).view(n_steps, -1)
    return (flat.view(torch.uint16) if x.dtype == torch.bfloat16 else flat).numpy()


def _repeat(row: Tensor, run: int) -> Tensor:
    """Repeat what belongs to each channel for a run of whole pixels."""
    return row.detach().repeat(max(run // len(row), 1))


def _each_block(n: int, run: int, work: Callable[[int, int, int], None]) -> None:
    """Call `work(block, first, stop)` for blocks of whole runs of `n` neurons, threads sharing."""
    runs = math.ceil(n / run)
    blocks = min(_BLOCKS, runs)
    edges = [min(runs * block // blocks * run, n) for block in range(blocks + 1)]

    def part(first: int, stop: int) -> None:
        for block in range(first, stop):
            work(block, edges[block], edges[block + 1])

    share(part, blocks)
