"""The transforms of Winograd's F(4 x 4, 3 x 3), compiled: maps to tiles and back.

Maps lie as (n, h, w, c), tiles as (n * rows * columns, 36, c) with the tiles of an image in the
order of its rows. A tile covers 4 x 4 outputs; tiles at the lower and right edge may reach over it.
Loops run over up to 64 channels of one tile at a time, held in buffers that fit the first cache.
Nothing here rounds differently with the number of images at once.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["gather_weights", "read_tiles", "spread_tiles", "transform_weights", "write_tiles"]

_Array = NDArray[Any]

_WIDTH = 64  # channels at once


@intrinsic
def copy(_: Any, target: Any, to: Any, source: Any, start: Any) -> Any:
    """Copy `_WIDTH` elements, counted from the arrays' first; a loop takes five times longer."""

    def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointers = []
        for kind, array, index in ((target, *values[:2]), (source, *values[2:])):
            data = cgutils.create_struct_proxy(kind)(context, builder, array).data
            pointers.append(builder.gep(data, [index]))
        size = context.get_abi_sizeof(context.get_data_type(target.dtype))
        count = context.get_constant(types.intp, _WIDTH)
        cgutils.raw_memcpy(builder, *pointers, count, size)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), write


@numba.njit(nogil=True, cache=True)
def read_tiles(x: _Array, tiles: _Array) -> None:
    """Transform inputs: `B^T d B` of the 6 x 6 pixels around every tile, zeros beyond the edge.

    Args:
        x: maps, shape (n, h, w, c).
        tiles: overwritten with the tiles.
    """
    n, height, width, channels = x.shape
    rows, columns = (height + 3) // 4, (width + 3) // 4
    zeros = np.zeros(_WIDTH, x.dtype)
    a, b = np.zeros(36 * _WIDTH, x.dtype), np.zeros(36 * _WIDTH, x.dtype)
    for tile in range(n * rows * columns):
        image, place = divmod(tile, rows * columns)
        top, left = place // columns * 4 - 1, place % columns * 4 - 1
        for start in range(0, channels, _WIDTH):
            for i in range(6):
                for j in range(6):
                    k = (i * 6 + j) * _WIDTH
                    if 0 <= top + i < height and 0 <= left + j < width:
                        pixel = (image * height + top + i) * width + left + j
                        copy(a, k, x, pixel * channels + start)
                    else:
                        copy(a, k, zeros, 0)
            _read_rows(a, b)
            _read_columns(b, a)
            for k in range(36):
                copy(tiles, (tile * 36 + k) * channels + start, a, k * _WIDTH)


@numba.njit(nogil=True, cache=True)
def spread_tiles(x: _Array, tiles: _Array) -> None:
    """Transform the gradients of outputs: `A d A^T` of the 4 x 4 pixels of every tile.

    Args:
        x: maps, shape (n, h, w, c).
        tiles: overwritten with the tiles.
    """
    n, height, width, channels = x.shape
    rows, columns = (height + 3) // 4, (width + 3) // 4
    zeros = np.zeros(_WIDTH, x.dtype)
    a, b = np.zeros(36 * _WIDTH, x.dtype), np.zeros(24 * _WIDTH, x.dtype)
    for tile in range(n * rows * columns):
        image, place = divmod(tile, rows * columns)
        top, left = place // columns * 4, place % columns * 4
        for start in range(0, channels, _WIDTH):
            for i in range(4):
                for j in range(4):
                    k = (i * 4 + j) * _WIDTH
                    if top + i < height and left + j < width:
                        pixel = (image * height + top + i) * width + left + j
                        copy(a, k, x, pixel * channels + start)
                    else:
                        copy(a, k, zeros, 0)
            _spread_rows(a, b)
            _spread_columns(b, a)
            for k in range(36):
                copy(tiles, (tile * 36 + k) * channels + start, a, k * _WIDTH)


@numba.njit(nogil=True, cache=True)
def write_tiles(x: _Array, tiles: _Array) -> None:
    """Transform products to outputs: `A^T m A`, the 4 x 4 pixels of every tile.

    Args:
        x: overwritten with the maps, shape (n, h, w, c).
        tiles: the products.
    """
    n, height, width, channels = x.shape
    rows, columns = (height + 3) // 4, (width + 3) // 4
    a, b = np.zeros(36 * _WIDTH, x.dtype), np.zeros(24 * _WIDTH, x.dtype)
    for tile in range(n * rows * columns):
        image, place = divmod(tile, rows * columns)
        top, left = place // columns * 4, place % columns * 4
        for start in range(0, channels, _WIDTH):
            for k in range(36):
                copy(a, k * _WIDTH, tiles, (tile * 36 + k) * channels + start)
            _write_rows(a, b)
            _write_columns(b, a)
            for i in range(min(4, height - top)):
                for j in range(min(4, width - left)):
                    k = (i * 4 + j) * _WIDTH
                    pixel = (image * height + top + i) * width + left + j
                    copy(x, pixel * channels + start, a, k)


@numba.njit(nogil=True, cache=True)
def transform_weights(
    weight: _Array, out: _Array, start_out: int, start_in: int, turned: bool, first: int, stop: int
) -> None:
    """Transform kernels: `G w G^T` for some output and input channels.

    Args:
        weight: kernels, shape (all output channels, 3, 3, all input channels).
        out: overwritten, shape (36, output channels, input channels).
        start_out: first of the output channels.
        start_in: first of the input channels.
        turned: take the kernels back to front.
        first: first output channel to do, counted from `start_out`.
        stop: last but one.
    """
    channels = weight.shape[3]
    _, n_out, n_in = out.shape
    a, b = np.zeros(36 * _WIDTH, weight.dtype), np.zeros(18 * _WIDTH, weight.dtype)
    for channel in range(first, stop):
        for start in range(0, n_in, _WIDTH):
            for k in range(9):
                tap = 8 - k if turned else k
                at = ((start_out + channel) * 9 + tap) * channels + start_in + start
                copy(a, k * _WIDTH, weight, at)
            _weight_rows(a, b)
            _weight_columns(b, a)
            for k in range(36):
                copy(out, (k * n_out + channel) * n_in + start, a, k * _WIDTH)


@numba.njit(nogil=True, cache=True)
def gather_weights(products: _Array, weight: _Array, start_out: int, first: int, stop: int) -> None:
    """Transform gradients of transformed kernels to those of kernels: `G^T p G`.

    Args:
        products: gradients for some output channels, shape (36, output channels, input channels).
        weight: overwritten at these, shape (all output channels, 3, 3, input channels).
        start_out: first of the output channels.
        first: first output channel to do, counted from `start_out`.
        stop: last but one.
    """
    _, n_out, n_in = products.shape
    a, b = np.zeros(36 * _WIDTH, weight.dtype), np.zeros(18 * _WIDTH, weight.dtype)
    for channel in range(first, stop):
        for start in range(0, n_in, _WIDTH):
            for k in range(36):
                copy(a, k * _WIDTH, products, (k * n_out + channel) * n_in + start)
            _gather_rows(a, b)
            _gather_columns(b, a)
            for k in range(9):
                copy(weight, ((start_out + channel) * 9 + k) * n_in + start, a, k * _WIDTH)


# The constants get the arrays' type: a Python number would turn float32 sums into float64. Each
# loop is a function of its own, with one index and fixed distances, so that it becomes vector code.


@numba.njit(nogil=True, cache=True)
def _read_rows(a: _Array, b: _Array) -> None:
    two, four, five = a.dtype.type(2), a.dtype.type(4), a.dtype.type(5)
    for k in range(6 * _WIDTH):
        d0, d1, d2 = a[k], a[k + 6 * _WIDTH], a[k + 12 * _WIDTH]
        d3, d4, d5 = a[k + 18 * _WIDTH], a[k + 24 * _WIDTH], a[k + 30 * _WIDTH]
        even, odd = d4 - four * d2, d3 - four * d1
        wide_even, wide_odd = d4 - d2, two * (d3 - d1)
        b[k] = four * d0 - five * d2 + d4
        b[k + 6 * _WIDTH] = even + odd
        b[k + 12 * _WIDTH] = even - odd
        b[k + 18 * _WIDTH] = wide_even + wide_odd
        b[k + 24 * _WIDTH] = wide_even - wide_odd
        b[k + 30 * _WIDTH] = four * d1 - five * d3 + d5


@numba.njit(nogil=True, cache=True)
def _read_columns(a: _Array, b: _Array) -> None:
    two, four, five = a.dtype.type(2), a.dtype.type(4), a.dtype.type(5)
    for i in range(6):
        for c in range(_WIDTH):
            k = i * 6 * _WIDTH + c
            d0, d1, d2 = a[k], a[k + _WIDTH], a[k + 2 * _WIDTH]
            d3, d4, d5 = a[k + 3 * _WIDTH], a[k + 4 * _WIDTH], a[k + 5 * _WIDTH]
            even, odd = d4 - four * d2, d3 - four * d1
            wide_even, wide_odd = d4 - d2, two * (d3 - d1)
            b[k] = four * d0 - five * d2 + d4
            b[k + _WIDTH] = even + odd
            b[k + 2 * _WIDTH] = even - odd
            b[k + 3 * _WIDTH] = wide_even + wide_odd
            b[k + 4 * _WIDTH] = wide_even - wide_odd
            b[k + 5 * _WIDTH] = four * d1 - five * d3 + d5


@numba.njit(nogil=True, cache=True)
def _spread_rows(a: _Array, b: _Array) -> None:
    two, four = a.dtype.type(2), a.dtype.type(4)
    for k in range(4 * _WIDTH):
        d0, d1, d2, d3 = a[k], a[k + 4 * _WIDTH], a[k + 8 * _WIDTH], a[k + 12 * _WIDTH]
        even, odd = d0 + d2, d1 + d3
        wide_even, wide_odd = d0 + four * d2, two * (d1 + four * d3)
        b[k] = d0
        b[k + 4 * _WIDTH] = even + odd
        b[k + 8 * _WIDTH] = even - odd
        b[k + 12 * _WIDTH] = wide_even + wide_odd
        b[k + 16 * _WIDTH] = wide_even - wide_odd
        b[k + 20 * _WIDTH] = d3


@numba.njit(nogil=True, cache=True)
def _spread_columns(a: _Array, b: _Array) -> None:
    two, four = a.dtype.type(2), a.dtype.type(4)
    for i in range(6):
        for c in range(_WIDTH):
            k, to = i * 4 * _WIDTH + c, i * 6 * _WIDTH + c
            d0, d1, d2, d3 = a[k], a[k + _WIDTH], a[k + 2 * _WIDTH], a[k + 3 * _WIDTH]
            even, odd = d0 + d2, d1 + d3
            wide_even, wide_odd = d0 + four * d2, two * (d1 + four * d3)
            b[to] = d0
            b[to + _WIDTH] = even + odd
            b[to + 2 * _WIDTH] = even - odd
            b[to + 3 * _WIDTH] = wide_even + wide_odd
            b[to + 4 * _WIDTH] = wide_even - wide_odd
            b[to + 5 * _WIDTH] = d3


@numba.njit(nogil=True, cache=True)
def _write_rows(a: _Array, b: _Array) -> None:
    two, four, eight = a.dtype.type(2), a.dtype.type(4), a.dtype.type(8)
    for k in range(6 * _WIDTH):
        d1, d2 = a[k + 6 * _WIDTH], a[k + 12 * _WIDTH]
        d3, d4 = a[k + 18 * _WIDTH], a[k + 24 * _WIDTH]
        even, odd, wide_even, wide_odd = d1 + d2, d1 - d2, d3 + d4, d3 - d4
        b[k] = a[k] + even + wide_even
        b[k + 6 * _WIDTH] = odd + two * wide_odd
        b[k + 12 * _WIDTH] = even + four * wide_even
        b[k + 18 * _WIDTH] = odd + eight * wide_odd + a[k + 30 * _WIDTH]


@numba.njit(nogil=True, cache=True)
def _write_columns(a: _Array, b: _Array) -> None:
    two, four, eight = a.dtype.type(2), a.dtype.type(4), a.dtype.type(8)
    for i in range(4):
        for c in range(_WIDTH):
            k, to = i * 6 * _WIDTH + c, i * 4 * _WIDTH + c
            d1, d2 = a[k + _WIDTH], a[k + 2 * _WIDTH]
            d3, d4 = a[k + 3 * _WIDTH], a[k + 4 * _WIDTH]
            even, odd, wide_even, wide_odd = d1 + d2, d1 - d2, d3 + d4, d3 - d4
            b[to] = a[k] + even + wide_even
            b[to + _WIDTH] = odd + two * wide_odd
            b[to + 2 * _WIDTH] = even + four * wide_even
            b[to + 3 * _WIDTH] = odd + eight * wide_odd + a[k + 5 * _WIDTH]


@numba.njit(nogil=True, cache=True)
def _weight_rows(a: _Array, b: _Array) -> None:
    quarter, sixth = a.dtype.type(1 / 4), a.dtype.type(1 / 6)
    small, middle = a.dtype.type(1 / 24), a.dtype.type(1 / 12)
    for k in range(3 * _WIDTH):
        d0, d1, d2 = a[k], a[k + 3 * _WIDTH], a[k + 6 * _WIDTH]
        even, odd = -sixth * (d0 + d2), sixth * d1
        wide_even, wide_odd = small * d0 + sixth * d2, middle * d1
        b[k] = quarter * d0
        b[k + 3 * _WIDTH] = even - odd
        b[k + 6 * _WIDTH] = even + odd
        b[k + 9 * _WIDTH] = wide_even + wide_odd
        b[k + 12 * _WIDTH] = wide_even - wide_odd
        b[k + 15 * _WIDTH] = d2


@numba.njit(nogil=True, cache=True)
def _weight_columns(a: _Array, b: _Array) -> None:
    quarter, sixth = a.dtype.type(1 / 4), a.dtype.type(1 / 6)
    small, middle = a.dtype.type(1 / 24), a.dtype.type(1 / 12)
    for i in range(6):
        for c in range(_WIDTH):
            k, to = i * 3 * _WIDTH + c, i * 6 * _WIDTH + c
            d0, d1, d2 = a[k], a[k + _WIDTH], a[k + 2 * _WIDTH]
            even, odd = -sixth * (d0 + d2), sixth * d1
            wide_even, wide_odd = small * d0 + sixth * d2, middle * d1
            b[to] = quarter * d0
            b[to + _WIDTH] = even - odd
            b[to + 2 * _WIDTH] = even + odd
            b[to + 3 * _WIDTH] = wide_even + wide_odd
            b[to + 4 * _WIDTH] = wide_even - wide_odd
            b[to + 5 * _WIDTH] = d2


@numba.njit(nogil=True, cache=True)
def _gather_rows(a: _Array, b: _Array) -> None:
    quarter, sixth = a.dtype.type(1 / 4), a.dtype.type(1 / 6)
    small, middle = a.dtype.type(1 / 24), a.dtype.type(1 / 12)
    for k in range(6 * _WIDTH):
        d1, d2 = a[k + 6 * _WIDTH], a[k + 12 * _WIDTH]
        d3, d4 = a[k + 18 * _WIDTH], a[k + 24 * _WIDTH]
        even, wide_even = sixth * (d1 + d2), d3 + d4
        b[k] = quarter * a[k] - even + small * wide_even
        b[k + 6 * _WIDTH] = sixth * (d2 - d1) + middle * (d3 - d4)
        b[k + 12 * _WIDTH] = sixth * wide_even - even + a[k + 30 * _WIDTH]


@numba.njit(nogil=True, cache=True)
def _gather_columns(a: _Array, b: _Array) -> None:
    quarter, sixth = a.dtype.type(1 / 4), a.dtype.type(1 / 6)
    small, middle = a.dtype.type(1 / 24), a.dtype.type(1 / 12)
    for i in range(3):
        for c in range(_WIDTH):
            k, to = i * 6 * _WIDTH + c, i * 3 * _WIDTH + c
            d1, d2 = a[k + _WIDTH], a[k + 2 * _WIDTH]
            d3, d4 = a[k + 3 * _WIDTH], a[k + 4 * _WIDTH]
            even, wide_even = sixth * (d1 + d2), d3 + d4
            b[to] = quarter * a[k] - even + small * wide_even
            b[to + _WIDTH] = sixth * (d2 - d1) + middle * (d3 - d4)
            b[to + 2 * _WIDTH] = sixth * wide_even - even + a[k + 5 * _WIDTH]
