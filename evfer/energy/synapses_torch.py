"""Which products a layer needs: inputs that are not zero, and the weights that each of them meets.

A convolution's input pixel meets as many taps of the kernel as there are outputs that see it:
fewer at the border, and fewer with strides. Along each axis that number depends on the place
alone, so one vector an axis says it, and the count is exact in whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from evfer.energy.counts import Tally, Values

__all__ = ["Convolution", "inspect_values", "tally_convolution", "tally_linear", "worse"]

_WHOLE_FLOATS = 2**24
_RANK: tuple[Values, ...] = ("", "silent", "binary", "integer", "real")


@dataclass(frozen=True)
class Convolution:
    """How a convolution's taps meet its input; a sequence holds a number an axis of space.

    Args:
        kernel: taps.
        stride: input pixels between neighbouring outputs; of a transposed one, output pixels
            between neighbouring inputs.
        padding: pixels before and after the input, as pairs; of a transposed one, what is cut.
        dilation: pixels between neighbouring taps.
        groups: parts that channels fall into.
        out_channels: channels of the output.
        padding_mode: what stands in the padding: "zeros", "reflect", "replicate" or "circular".
        transposed: whether inputs are spread over outputs.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    out_channels: int
    padding_mode: str = "zeros"
    transposed: bool = False

    @staticmethod
    def of(
        weight: Tensor,
        stride: Sequence[int] | int,
        padding: Sequence[int] | int | str,
        dilation: Sequence[int] | int,
        groups: int,
        padding_mode: str = "zeros",
        transposed: bool = False,
    ) -> Convolution:
        """Spell out what PyTorch lets one shorten."""
        kernel = tuple(weight.shape[2:])
        axes = len(kernel)
        steps, spread = _per_axis(stride, axes), _per_axis(dilation, axes)
        if padding == "same":
            margins = [d * (k - 1) for k, d in zip(kernel, spread, strict=True)]
            pads = tuple((margin // 2, margin - margin // 2) for margin in margins)
        elif isinstance(padding, str):  # "valid"
            pads = ((0, 0),) * axes
        else:
            pads = tuple((p, p) for p in _per_axis(padding, axes))
        channels = weight.shape[1] * groups if transposed else weight.shape[0]
        return Convolution(kernel, steps, pads, spread, groups, channels, padding_mode, transposed)

    def uses(self, size: Sequence[int], out_size: Sequence[int]) -> list[Tensor]:
        """Count, along each axis, the taps that each place of the input meets.

        Args:
            size: of the input, with its padding unless that is zeros.
            out_size: of the output.

        Returns:
            A vector an axis, int64, as long as the input.
        """
        found = []
        for axis, (n_in, n_out) in enumerate(zip(size, out_size, strict=True)):
            before = self.padding[axis][0] if self.padding_mode == "zeros" else 0
            n_wide, n_narrow = (n_out, n_in) if self.transposed else (n_in, n_out)
            narrow, tap = torch.arange(n_narrow)[:, None], torch.arange(self.kernel[axis])
            wide = narrow * self.stride[axis] + tap * self.dilation[axis] - before
            met = (wide >= 0) & (wide < n_wide)
            if self.transposed:
                found.append(met.sum(1))
            else:
                found.append(torch.bincount(wide[met], minlength=n_wide))
        return found


def _per_axis(value: Sequence[int] | int, axes: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * axes
    return tuple(value) * (axes if len(value) == 1 else 1)


def inspect_values(x: Tensor) -> Values:
    """Say what a tensor holds: zeros, zeros and ones, whole numbers, or anything else."""
    if not x.is_floating_point():
        if x.is_complex():
            return "real"
        return "silent" if not bool(x.any()) else ("binary" if _is_binary(x) else "integer")
    if not bool(x.any()):
        return "silent"
    if _is_binary(x):
        return "binary"
    # beyond it a float32 has no fraction left: that is size, and no count of spikes
    counts = bool((x == x.round()).all()) and float(x.abs().max()) < _WHOLE_FLOATS
    return "integer" if counts else "real"


def _is_binary(x: Tensor) -> bool:
    return x.dtype == torch.bool or bool(((x == 0) | (x == 1)).all())


def worse(first: Values, second: Values) -> Values:
    """Give the kind of value that covers both."""
    return max(first, second, key=_RANK.index)


def tally_convolution(
    x: Tensor, values: Values, out_size: Sequence[int], convolution: Convolution
) -> list[Tally]:
    """Count a convolution's work.

    Args:
        x: its input, shape (rows, channels, *space).
        values: what that holds; see `inspect_values`.
        out_size: space of its output.
        convolution: how its taps meet its input.

    Returns:
        A tally a row.
    """
    axes = len(convolution.kernel)
    fan_out = convolution.out_channels // convolution.groups
    outputs = convolution.out_channels * math.prod(out_size)
    dense = x[0].numel() * math.prod(convolution.kernel) * fan_out
    if not convolution.transposed:
        dense = outputs * math.prod(convolution.kernel) * (x.shape[1] // convolution.groups)
    if convolution.padding_mode != "zeros":
        # what stands in such padding is input like any other
        pads = [n for pair in reversed(convolution.padding) for n in pair]
        padded = functional.pad(x, pads, mode=convolution.padding_mode)
    else:
        padded = x
    uses = [u.to(x.device) for u in convolution.uses(padded.shape[2:], out_size)]

    def count(numbers: Tensor) -> Tensor:
        """Sum numbers (rows, channels, *space), each times the weights it meets, by row."""
        found = numbers.sum(1, dtype=torch.int64)
        for axis in range(axes):
            shape = [1] * (axes + 1)
            shape[axis + 1] = -1
            found = found * uses[axis].view(shape)
        return found.flatten(1).sum(1) * fan_out

    return _tallies(x, padded, values, count, dense, outputs)


def tally_linear(x: Tensor, values: Values, out_features: int) -> list[Tally]:
    """Count a fully connected layer's work.

    Args:
        x: its input, shape (rows, ..., features).
        values: what that holds; see `inspect_values`.
        out_features: how many outputs each input meets.

    Returns:
        A tally a row.
    """
    rows = x.flatten(1)
    vectors = rows.shape[1] // x.shape[-1] if x.shape[-1] else 0

    def count(numbers: Tensor) -> Tensor:
        return numbers.sum(1, dtype=torch.int64) * out_features

    dense = rows.shape[1] * out_features
    return _tallies(rows, rows, values, count, dense, vectors * out_features)


def _tallies(
    x: Tensor,
    met: Tensor,
    values: Values,
    count: Callable[[Tensor], Tensor],
    dense: int,
    outputs: int,
) -> list[Tally]:
    """Tell a layer's inputs apart and count their pairs, row by row."""
    nonzero = (x != 0).flatten(1).sum(1).tolist()
    pairs = count(met != 0).tolist()
    n = len(x)
    unit, larger, sums = pairs, [0] * n, [0] * n
    graded = [False] * n
    if values == "integer":
        size = met.abs().to(torch.int64)
        unit = count(size == 1).tolist()
        larger = count(size > 1).tolist()
        sums = count(torch.where(size > 1, size, 0)).tolist()
        graded = (size > 1).flatten(1).any(1).tolist()
    elif values == "real":
        unit, graded = [0] * n, [True] * n
    return [
        Tally(
            inputs=x[row].numel(),
            nonzero=nonzero[row],
            outputs=outputs,
            dense=dense,
            pairs=pairs[row],
            unit_pairs=unit[row],
            larger_pairs=larger[row],
            larger_sum=sums[row],
            graded_dense=dense if graded[row] else 0,
            plain_pairs=0 if graded[row] else pairs[row],
        )
        for row in range(n)
    ]
