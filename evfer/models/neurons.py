"""Spiking neurons over a whole sequence: integrate-and-fire, plain and leaky.

Every step t of every neuron does

    charge   H = V + X                      IF
             H = V + (X - (V - V_r)) / tau  LIF, decayed input
    fire     S = 1 where H >= V_th, else 0
    reset    V = V_r where S, else H        hard
             V = H - V_th * S               soft (V_r is then 0)

from V = V_r, which is where every sequence starts: a node keeps no state between calls.

Two back ends compute the same: SpikingJelly's nodes, and a fused one that runs all steps inside
one autograd function. The fused one keeps only its input for the backward pass and works out the
potentials again there, in pieces that fit the processor's cache. It gives the very spikes and
gradients that SpikingJelly gives, to the bit (`tests/test_models_parts.py`), for less time and
memory (`tests/bench/models.py`).
In half precision it integrates in float32, SpikingJelly's nodes in the input's own type.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evfer.errors import ConfigError
from evfer.models.surrogate import ATan, Surrogate

__all__ = ["Neuron", "SpikingJellyNode", "SpikingNode", "build_node", "fire", "fire_step"]

# Potentials worked on at a time. Smaller pieces cost calls, larger ones leave the cache.
_PIECE = 1 << 20


@dataclass(frozen=True)
class Neuron:
    """What a neuron does at each step.

    Args:
        kind: "if" or "lif".
        tau: the leak's time constant in steps, above 1; LIF only.
        v_threshold: potential at which the neuron fires; infinity never fires.
        v_reset: potential after a spike; None subtracts the threshold instead (soft reset).
        detach_reset: keep the gradient from flowing through the reset.
        surrogate_function: stands in for the spike's derivative.

    Raises:
        ConfigError: if `tau` is not above 1 or a potential is not a number.
    """

    kind: Literal["if", "lif"] = "if"
    tau: float = 2.0
    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    detach_reset: bool = True
    surrogate_function: Surrogate = field(default_factory=ATan)

    def __post_init__(self) -> None:
        if self.kind not in ("if", "lif"):
            raise ConfigError(f'neuron "{self.kind}"', expected='"if" or "lif"')
        if not self.tau > 1:
            raise ConfigError(f"neuron tau {self.tau}", expected="more than 1 step")
        if math.isnan(self.v_threshold) or self.v_threshold == -math.inf:
            raise ConfigError(f"v_threshold {self.v_threshold}", expected="a number or inf")
        if self.v_reset is not None and not math.isfinite(self.v_reset):
            raise ConfigError(f"v_reset {self.v_reset}", expected="a finite number, or None")

    @property
    def v_start(self) -> float:
        """Potential before the first step."""
        return 0.0 if self.v_reset is None else self.v_reset


def build_node(neuron: Neuron, backend: str = "fused") -> SpikingNode | SpikingJellyNode:
    """Build the layer of spiking neurons that a back end offers.

    Args:
        neuron: what each neuron does.
        backend: "fused" or "spikingjelly".

    Raises:
        ConfigError: for another back end.
    """
    if backend == "fused":
        return SpikingNode(neuron)
    if backend == "spikingjelly":
        return SpikingJellyNode(neuron)
    raise ConfigError(f'neuron backend "{backend}"', expected='"fused" or "spikingjelly"')


class SpikingNode(nn.Module):
    """A layer of neurons, all steps at once.

    Args:
        neuron: what each neuron does.
    """

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.neuron = neuron

    def forward(self, x: Tensor, n_steps: int) -> Tensor:
        """Give the spikes; see `fire`."""
        return fire(x, n_steps, self.neuron)

    def extra_repr(self) -> str:
        """Name the neuron in the module's printed form."""
        return repr(self.neuron)


class SpikingJellyNode(nn.Module):
    """The same layer, computed by SpikingJelly's own node.

    Args:
        neuron: what each neuron does.
    """

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.neuron = neuron
        self.node = _spikingjelly_node(neuron)

    def forward(self, x: Tensor, n_steps: int) -> Tensor:
        """Give the spikes; see `fire`."""
        self.node.reset()
        spikes: Tensor = self.node(x.unflatten(0, (n_steps, -1))).flatten(0, 1)
        # a node left alone would hold the last potential, and its graph, until the next call
        self.node.reset()
        return spikes


def _spikingjelly_node(neuron: Neuron) -> Any:
    # where there is no Triton, as on every machine without a GPU, torch would log four lines that
    # say so when SpikingJelly's kernels are registered
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)
    # imported on use: nobody who trains with the fused nodes should wait for it
    from spikingjelly.activation_based import neuron as nodes
    from spikingjelly.activation_based import surrogate

    kind = type(neuron.surrogate_function).__name__
    if not hasattr(surrogate, kind):
        raise ConfigError(
            f'the surrogate "{kind}" with the backend "spikingjelly"',
            expected="a surrogate that SpikingJelly has",
            hint='Use the backend "fused"',
        )
    # every setting by name: release 2.0 has other defaults than 0.x had
    settings: dict[str, Any] = {
        "v_threshold": neuron.v_threshold,
        "v_reset": neuron.v_reset,
        "surrogate_function": getattr(surrogate, kind)(alpha=neuron.surrogate_function.alpha),
        "detach_reset": neuron.detach_reset,
        "step_mode": "m",
    }
    if neuron.kind == "lif":
        return nodes.LIFNode(tau=neuron.tau, decay_input=True, **settings)
    return nodes.IFNode(**settings)


def fire(x: Tensor, n_steps: int, neuron: Neuron) -> Tensor:
    """Give the spikes of neurons that are driven by an input sequence.

    Args:
        x: input, shape (n_steps * n, ...), steps outermost, floating point. Sequences of images
            may lie in memory as channels-last.
        n_steps: steps of the sequence, at least 1.
        neuron: what each neuron does.

    Returns:
        1 where a neuron fires, else 0, with the shape, type and memory format of `x`.

    Raises:
        ConfigError: if the first axis of `x` is not a multiple of `n_steps`.
    """
    if n_steps < 1 or x.shape[0] % n_steps:
        raise ConfigError(
            f"a sequence of shape {tuple(x.shape)} and {n_steps} steps",
            expected="a first axis of n_steps * n, with n_steps at least 1",
        )
    spikes: Tensor = _Fire.apply(x, n_steps, neuron)
    return spikes


def fire_step(x: Tensor, potential: Tensor | None, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """Give the spikes of one step, and the potentials after it; rounded as in `fire`.

    Args:
        x: input of the step, floating point.
        potential: V before it, with the shape of `x`; None before the first step.
        neuron: what each neuron does.

    Returns:
        Spikes in the type of `x`, and V, float32 or better.

    Raises:
        ConfigError: if the potentials are those of inputs of another shape.
    """
    current = x.to(torch.promote_types(x.dtype, torch.float32))
    v = torch.full_like(current, neuron.v_start) if potential is None else potential
    if v.shape != x.shape:
        raise ConfigError(
            f"a state for inputs of shape {tuple(v.shape)} at an input of shape {tuple(x.shape)}",
            expected="the state of the same streams, one step before",
            hint="Begin a stream with None for its state",
        )
    if neuron.kind == "lif":
        driven = neuron.v_start - v if neuron.v_start else -v
        current = (driven + current) / neuron.tau
    h = v + current
    spikes = h >= neuron.v_threshold
    after = h - neuron.v_threshold if neuron.v_reset is None else neuron.v_reset
    return spikes.to(x.dtype), torch.where(spikes, after, h)


# Below, potentials are kept with their sign turned: n = -V and u = -H. Then "V = H below the
# threshold, else V_r" is one built-in kernel, `threshold`, and its gradient is another. Turning
# the sign of every term of a sum turns the sign of the rounded result, so no bit is lost.


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, n_steps: int, neuron: Neuron) -> Tensor:
        x = x.contiguous(memory_format=_memory_format(x))
        ctx.save_for_backward(x)
        ctx.n_steps, ctx.neuron = n_steps, neuron
        spikes = torch.empty_like(x)
        if math.isinf(neuron.v_threshold):
            return spikes.zero_()  # a soft reset would take infinity times no spike
        outputs = _flatten_steps(spikes, n_steps)
        for start, stop, u in _integrate(_flatten_steps(x, n_steps), neuron):
            torch.le(u, -neuron.v_threshold, out=outputs[:, start:stop])
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        n_steps, neuron = ctx.n_steps, ctx.neuron
        grad = grad.contiguous(memory_format=_memory_format(x))
        grad_x = torch.empty_like(x)
        if math.isinf(neuron.v_threshold):
            return grad_x.zero_(), None, None
        grads, outputs = _flatten_steps(grad, n_steps), _flatten_steps(grad_x, n_steps)
        slopes = grads_h = None
        threshold = torch.tensor(neuron.v_threshold, dtype=torch.float64)
        for start, stop, u in _integrate(_flatten_steps(x, n_steps), neuron):
            if slopes is None or grads_h is None:
                slopes, grads_h = torch.empty_like(u), torch.empty_like(u)
            slope, grad_h = slopes[:, : stop - start], grads_h[:, : stop - start]
            torch.sub(-threshold, u, out=slope)
            neuron.surrogate_function.derivative_(slope)
            spike_grads = grads[:, start:stop]
            torch.mul(slope, spike_grads, out=grad_h)  # what comes through the spikes
            for t in range(n_steps - 2, -1, -1):
                grad_v = grad_h[t + 1]
                if neuron.kind == "lif":
                    grad_v = grad_v - grad_v / neuron.tau
                _reset_backward(grad_h[t], spike_grads[t], grad_v, u[t], slope[t], neuron)
            if neuron.kind == "lif":
                grad_h.div_(neuron.tau)
            outputs[:, start:stop] = grad_h
        return grad_x, None, None


def _integrate(x: Tensor, neuron: Neuron) -> Iterator[tuple[int, int, Tensor]]:
    """Work out -H for piece after piece of the neurons.

    Args:
        x: input, shape (n_steps, neurons).
        neuron: what each neuron does.

    Yields:
        First and last-but-one neuron of a piece, and their -H, shape (n_steps, piece), float32
        or better; the next piece overwrites it.
    """
    n_steps, size = x.shape
    length = max(min(_PIECE // n_steps, size), 1) if x.device.type == "cpu" else size
    dtype = torch.promote_types(x.dtype, torch.float32)
    potentials = torch.empty(n_steps, length, dtype=dtype, device=x.device)
    before = potentials.new_empty(length)
    for start in range(0, size, max(length, 1)):
        stop = min(start + length, size)
        u, n, inputs = potentials[:, : stop - start], before[: stop - start], x[:, start:stop]
        if x.dtype != dtype:
            inputs = u.copy_(inputs)
        n.fill_(-neuron.v_start)
        for t in range(n_steps):
            _charge(u[t], n, inputs[t], neuron)
            if t + 1 < n_steps:
                _reset(n, u[t], neuron)
        yield start, stop, u


def _charge(u: Tensor, n: Tensor, x: Tensor, neuron: Neuron) -> None:
    """Write -H into `u`, which may be `x`, from n = -V and the input."""
    if neuron.kind == "if":
        torch.sub(n, x, out=u)
        return
    driven = n + neuron.v_start if neuron.v_start else n
    torch.add(driven, x, out=u).div_(neuron.tau)
    torch.sub(n, u, out=u)


def _reset(n: Tensor, u: Tensor, neuron: Neuron) -> None:
    """Write -V after the step into `n`, from u = -H."""
    if neuron.v_reset is not None:
        torch.ops.aten.threshold.out(u, -neuron.v_threshold, -neuron.v_reset, out=n)
    else:
        torch.le(u, -neuron.v_threshold, out=n)
        torch.add(u, n, alpha=neuron.v_threshold, out=n)


def _reset_backward(
    grad_h: Tensor, grad_s: Tensor, grad_v: Tensor, u: Tensor, slope: Tensor, neuron: Neuron
) -> None:
    """Add to the gradient of H what comes from V after the step.

    Args:
        grad_h: gradient of H, so far what comes through the spike alone; overwritten.
        grad_s: gradient of the spike, so far.
        grad_v: gradient of V after the step.
        u: -H.
        slope: the spike's derivative.
        neuron: what each neuron does.
    """
    if not neuron.detach_reset:
        if neuron.v_reset is None:
            total = grad_s - grad_v * neuron.v_threshold
        else:
            total = grad_s + grad_v * u + grad_v * neuron.v_reset
        torch.mul(total, slope, out=grad_h)
    if neuron.v_reset is not None:
        grad_v = torch.ops.aten.threshold_backward(grad_v, u, -neuron.v_threshold)
    grad_h += grad_v


def _memory_format(x: Tensor) -> torch.memory_format:
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def _flatten_steps(x: Tensor, n_steps: int) -> Tensor:
    """View a sequence as (n_steps, neurons), neurons in the order of memory."""
    if _memory_format(x) == torch.channels_last:
        x = x.permute(0, 2, 3, 1)
    return x.view(n_steps, -1)
