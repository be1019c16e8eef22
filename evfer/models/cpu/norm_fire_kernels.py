"""Batch norm and integrate-and-fire neurons in one go, compiled.

Sequences lie as (steps, neurons), neurons in the order of memory, channels innermost; a neuron's
channel follows from its place. A run of neurons, some whole pixels, is worked on at a time, in
buffers that fit the cache. Numbers come as `evfer.models.cpu.cast_kernels` has them.

Every multiplication that is followed by an addition is rounded once, as in PyTorch's batch norm,
but for those of the surrogate, which are rounded apart, as in SpikingJelly's nodes.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from evfer.models.cpu.cast_kernels import narrow, widen

__all__ = ["RUN", "fire", "fire_backward", "norm_backward"]

RUN = 512  # neurons of a run, at most, unless there are more channels

_Array = NDArray[Any]


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
def fire(
    x: _Array,
    scale: _Array,
    shift: _Array,
    added: _Array,
    out: _Array,
    v_threshold: float,
    v_reset: float,
    first: int,
    stop: int,
) -> None:
    """Fire where a potential driven by `scale * x + shift` reaches the threshold; hard reset.

    Args:
        x: inputs, shape (steps, neurons).
        scale: factor of each neuron of a run; runs begin at multiples of its length.
        shift: summand, likewise.
        added: what is added to the spikes, as `x`, or of no steps for nothing.
        out: overwritten, as `x`.
        v_threshold: potential at which a neuron fires.
        v_reset: potential before the first step and after a spike.
        first: first neuron, the first of a run.
        stop: last neuron but one.
    """
    threshold, rest = scale.dtype.type(v_threshold), scale.dtype.type(v_reset)
    zero, one = scale.dtype.type(0), scale.dtype.type(1)
    v, values, others = np.empty_like(scale), np.empty_like(scale), np.zeros_like(scale)
    for start in range(first, stop, len(scale)):
        n = min(len(scale), stop - start)
        v[:] = rest
        for t in range(len(x)):
            widen(x[t], start, values, n)
            if len(added):
                widen(added[t], start, others, n)
            for i in range(n):
                h = v[i] + (scale[i] * values[i] + shift[i])
                v[i] = rest if h >= threshold else h
                values[i] = one if h >= threshold else zero
            for i in range(n):
                values[i] += others[i]
            narrow(values, out[t], start, n)


@numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy")  # else it is its caller's
def _slope(over: Any, one: Any, bend: Any, half: Any) -> Any:
    """Give the arc tangent's derivative where a potential is `over` the threshold."""
    z = over * bend
    return one / (one + z * z) * half


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
def fire_backward(
    x: _Array,
    scale: _Array,
    shift: _Array,
    mean: _Array,
    grad: _Array,
    out: _Array,
    sums: _Array,
    v_threshold: float,
    v_reset: float,
    alpha: float,
    first: int,
    stop: int,
) -> None:
    """Give the gradients of `scale * x + shift`, with an arc tangent's derivative for a spike's.

    Args:
        x: as for `fire`.
        scale: as for `fire`.
        shift: as for `fire`.
        mean: is taken from `x` in the second of the sums, for each neuron of a run.
        grad: gradients of the spikes, as `x`.
        out: overwritten with the gradients, as `x`.
        sums: overwritten with the sum of the gradients, and of the gradients times `x - mean`, over
            steps and runs, shape (2, neurons of a run), float64.
        v_threshold: as for `fire`.
        v_reset: as for `fire`.
        alpha: steepness of the arc tangent.
        first: as for `fire`.
        stop: as for `fire`.
    """
    kind = scale.dtype.type
    threshold, rest, zero, one = kind(v_threshold), kind(v_reset), kind(0), kind(1)
    bend, half = kind(np.pi / 2 * alpha), kind(alpha / 2)
    n_steps = len(x)
    v, values, carried = np.empty_like(scale), np.empty_like(scale), np.empty_like(scale)
    total, product = np.empty_like(scale), np.empty_like(scale)
    inputs = np.empty((n_steps, len(scale)), scale.dtype)
    potentials = np.empty((n_steps, len(scale)), scale.dtype)
    sums[:] = 0
    for start in range(first, stop, len(scale)):
        n = min(len(scale), stop - start)
        v[:] = rest
        for t in range(n_steps):
            row, h = inputs[t], potentials[t]
            widen(x[t], start, row, n)
            for i in range(n):
                h[i] = v[i] + (scale[i] * row[i] + shift[i])
                v[i] = rest if h[i] >= threshold else h[i]
        carried[:] = zero
        total[:] = zero
        product[:] = zero
        for t in range(n_steps - 1, -1, -1):
            row, h = inputs[t], potentials[t]
            widen(grad[t], start, values, n)
            for i in range(n):
                values[i] = values[i] * _slope(h[i] - threshold, one, bend, half)
            # what V passes on; after a spike it has been reset, and passes nothing
            for i in range(n):
                values[i] += zero if h[i] >= threshold else carried[i]
            for i in range(n):
                carried[i] = values[i]
                total[i] += values[i]
            for i in range(n):
                product[i] += values[i] * (row[i] - mean[i])
            narrow(values, out[t], start, n)
        for i in range(n):
            sums[0, i] += total[i]
            sums[1, i] += product[i]


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
def norm_backward(x: _Array, factors: _Array, grad: _Array, first: int, stop: int) -> None:
    """Turn gradients of a normalised input into those of the input, in place.

    Args:
        x: inputs, shape (steps, neurons).
        factors: of the gradient and of `x`, and a summand, for each neuron of a run, (3, run).
        grad: overwritten by `factors[0] * grad + factors[1] * x + factors[2]`, as `x`.
        first: first neuron, the first of a run.
        stop: last neuron but one.
    """
    of_grad, of_x, shift = factors[0], factors[1], factors[2]
    values, inputs = np.empty_like(shift), np.empty_like(shift)
    for start in range(first, stop, len(shift)):
        n = min(len(shift), stop - start)
        for t in range(len(x)):
            widen(x[t], start, inputs, n)
            widen(grad[t], start, values, n)
            for i in range(n):
                values[i] = of_grad[i] * values[i] + (of_x[i] * inputs[i] + shift[i])
            narrow(values, grad[t], start, n)
