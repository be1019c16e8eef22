"""3 x 3 convolutions by Winograd's F(4 x 4, 3 x 3): four times fewer products, on a CPU.

A map is cut into tiles of 4 x 4 outputs. Transformed, each becomes 36 numbers a channel, and the
convolution becomes 36 matrix products over the channels, for the output, for the input's gradient
(a convolution of the output's gradient with the kernel turned round) and for the weights' alike.
The transforms of the maps are compiled (`evfer.models.cpu.winograd_kernels`); the input's are
worked out again for the backward pass, so nothing but the input is kept.

Rounding is coarser than a direct convolution's: about 2e-6 of the size of the result in the mean
and 1e-5 at most, against 5e-7 and 2e-6 (`tests/test_winograd.py`). It does not depend on the
number of threads.

Source:
    Lavin & Gray, Fast algorithms for convolutional neural networks, CVPR 2016, sections 4.1 and
    4.3; deviates: products run over some images and output channels at a time, to suit the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from evfer.models.threads import share

__all__ = ["convolve", "pays"]

_TILES = 256  # transformed at a time: enough for quick products, few enough for the cache
_NUMBERS = 36 * 512 * 128  # of a transformed kernel at a time, for the same reason


def pays(x: Tensor, weight: Tensor, stride: int, padding: int) -> bool:
    """Tell whether `convolve` gives the convolution, and sooner than a direct one.

    Args:
        x: input, shape (n, c, h, w).
        weight: kernel, shape (out channels, c, side, side).
        stride: pixels between neighbouring outputs.
        padding: zeros on each side of the input, pixels.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or weight.dtype != torch.float32:
        return False
    if weight.shape[2:] != (3, 3) or stride != 1 or padding != 1:
        return False
    height, width = x.shape[2:]
    tiles = _tiles(height, width)
    # few tiles do not pay for the kernel's transform, nor do tiles that lie half outside
    whole = height * width >= 10 * tiles
    return whole and len(x) * tiles >= 32 and weight.shape[0] % 64 == weight.shape[1] % 64 == 0


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve with 3 x 3 kernels, stride 1, a border of one zero.

    Args:
        x: input on a CPU, shape (n, c, h, w), c a multiple of 64, float32 or float64; best
            channels-last.
        weight: kernels, shape (out channels, c, 3, 3), out channels a multiple of 64.

    Returns:
        Shape (n, out channels, h, w), channels-last.
    """
    out: Tensor = _Winograd.apply(x, weight)
    return out


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, turned=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = _convolve(grad, weight, turned=True) if ctx.needs_input_grad[0] else None
        return grad_x, _weigh(x, grad) if ctx.needs_input_grad[1] else None


def _convolve(x: Tensor, weight: Tensor, *, turned: bool) -> Tensor:
    """Convolve; `turned` takes the kernel back to front, from its outputs to its inputs."""
    # imported on use: numba takes longer to load than the networks
    from evfer.models.cpu.winograd_kernels import read_tiles, write_tiles

    maps = _channels_last(x)
    n, height, width, channels = maps.shape
    n_out = weight.shape[1 if turned else 0]
    y = maps.new_empty(n, height, width, n_out)
    per_map = _tiles(height, width)
    inputs, outputs = _new_tiles(maps, channels), _new_tiles(maps, n_out)
    pieces = list(_pieces(n_out, channels))
    numbers, kernel = maps.new_empty(36 * pieces[0][1] * channels), None
    for first, last in _images(n, per_map):
        _each_image(read_tiles, maps[first:last], inputs, per_map)
        tiles = inputs[: (last - first) * per_map].transpose(0, 1)
        products = outputs[: (last - first) * per_map].transpose(0, 1)
        for start, stop in pieces:
            if kernel is None or len(pieces) > 1:
                kernel = _transform(weight, start, stop, numbers, turned=turned)
            # one product for each of a tile's 36 numbers: (tiles, in) by (in, out)
            _each_product(tiles, kernel, products[:, :, start:stop], 0)
        _each_image(write_tiles, y[first:last], outputs, per_map)
    return y.permute(0, 3, 1, 2)


def _transform(weight: Tensor, start: int, stop: int, numbers: Tensor, *, turned: bool) -> Tensor:
    """Give the 36 numbers of a kernel for some of the channels that it gives, (36, in, out).

    They lie in `numbers`, which has room for them.
    """
    from evfer.models.cpu.winograd_kernels import transform_weights

    taps = _channels_last(weight)
    n_out, _, _, n_in = taps.shape
    # the order of memory stays that of the weights: turned, they take outputs in
    size = (36, n_out, stop - start) if turned else (36, stop - start, n_in)
    kernel = numbers[: math.prod(size)].view(size)
    starts = (0, start) if turned else (start, 0)
    arrays = taps.detach().numpy(), kernel.numpy()
    share(partial(transform_weights, *arrays, *starts, turned), size[1])
    return kernel if turned else kernel.transpose(1, 2)


def _weigh(x: Tensor, grad: Tensor) -> Tensor:
    """Give the gradient of the kernel."""
    from evfer.models.cpu.winograd_kernels import gather_weights, read_tiles, spread_tiles

    maps, grads = _channels_last(x), _channels_last(grad)
    n, height, width, channels = maps.shape
    n_out, per_map = grads.shape[-1], _tiles(height, width)
    inputs, outputs = _new_tiles(maps, channels), _new_tiles(maps, n_out)
    chunks = list(_images(n, per_map))
    weight = maps.new_empty(n_out, 3, 3, channels)
    pieces = list(_pieces(n_out, channels))
    numbers = maps.new_empty(36 * pieces[0][1] * channels)
    for start, stop in pieces:
        products = numbers[: 36 * (stop - start) * channels].view(36, -1, channels)
        for first, last in chunks:
            if start == 0 or len(chunks) > 1:
                _each_image(read_tiles, maps[first:last], inputs, per_map)
                _each_image(spread_tiles, grads[first:last], outputs, per_map)
            count = (last - first) * per_map
            spread = outputs[:count, :, start:stop].permute(1, 2, 0)
            _each_product(spread, inputs[:count].transpose(0, 1), products, int(first > 0))
        arrays = products.numpy(), weight.numpy(), start
        share(partial(gather_weights, *arrays), stop - start)
    return weight.permute(0, 3, 1, 2)


def _each_image(kernel: Callable[..., None], maps: Tensor, tiles: Tensor, per_map: int) -> None:
    """Call a transform for all images, in as many parts as there are threads."""
    pixels, numbers = maps.detach().numpy(), tiles.numpy()

    def work(first: int, stop: int) -> None:
        kernel(pixels[first:stop], numbers[first * per_map : stop * per_map])

    share(work, len(maps))


def _each_product(left: Tensor, right: Tensor, out: Tensor, beta: int) -> None:
    """Write `left @ right + beta * out` into `out`, batches of matrices."""

    def work(first: int, stop: int) -> None:
        part = out[first:stop]
        if beta:
            part.baddbmm_(left[first:stop], right[first:stop], beta=beta)
        else:
            torch.bmm(left[first:stop], right[first:stop], out=part)

    share(work, len(out))


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


def _tiles(height: int, width: int) -> int:
    """Count the tiles of a map."""
    return math.ceil(height / 4) * math.ceil(width / 4)


def _new_tiles(maps: Tensor, channels: int) -> Tensor:
    """Make room for the tiles of the images that are worked on at a time."""
    per_map = _tiles(*maps.shape[1:3])
    images = min(len(maps), max(_TILES // per_map, 1))
    return maps.new_empty(images * per_map, 36, channels)


def _images(n: int, per_map: int) -> Iterator[tuple[int, int]]:
    """Cut images into those that are worked on at a time."""
    step = max(_TILES // per_map, 1)
    return ((first, min(first + step, n)) for first in range(0, n, step))


def _pieces(n_out: int, n_in: int) -> Iterator[tuple[int, int]]:
    """Cut a kernel's output channels into those that are worked on at a time."""
    step = max(_NUMBERS // (36 * n_in) // 64, 1) * 64
    return ((start, min(start + step, n_out)) for start in range(0, n_out, step))
