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
potentials again there, in pieces that fit the processor's cache. It gives the very spikes that
SpikingJelly gives (`tests/test_models.py`) for less time and memory (`tests/bench/models.py`).
In half precision it integrates in float32, SpikingJelly's nodes in the input's own type.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evfer.errors import ConfigError
from evfer.models.surrogate import ATan, Surrogate

__all__ = ["Neuron", "SpikingJellyNode", "SpikingNode", "build_node", "fire"]

# Elements of one piece times steps. Smaller pieces cost calls, larger ones leave the cache.
_PIECE = 1 << 20


@dataclass(frozen=True)
class Neuron:
    """What a neuron does at each step.

    Args:
        kind: "if" or "lif".
        tau: the leak's time constant in steps, at least 1; LIF only.
        v_threshold: potential at which the neuron fires; infinity never fires.
        v_reset: potential after a spike; None subtracts the threshold instead (soft reset).
        detach_reset: keep the gradient from flowing through the reset.
        surrogate_function: stands in for the spike's derivative.

    Raises:
        ConfigError: if `tau` is below 1 or a potential is not a number.
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
        if not self.tau >= 1:
            raise ConfigError(f"neuron tau {self.tau}", expected="at least 1 step")
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
    # imported on use: nobody who trains with the fused nodes should wait for it
    from spikingjelly.activation_based import neuron as nodes
    from spikingjelly.activation_based import surrogate

    kind = type(neuron.surrogate_function).__name__
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
        inputs, outputs = _flatten_steps(x, n_steps), _flatten_steps(spikes, n_steps)
        low = _is_low(x)
        scratch = _Scratch(inputs, 3)
        for start, stop in scratch.pieces:
            u, n, s = scratch.cut(stop - start)
            n.fill_(-neuron.v_start)
            for t in range(n_steps):
                _charge(u, n, inputs[t, start:stop], neuron)
                target = s if low else outputs[t, start:stop]
                torch.le(u, -neuron.v_threshold, out=target)
                if low:
                    outputs[t, start:stop] = s
                if t + 1 < n_steps:
                    _reset(n, u, target, neuron)
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
        inputs, grads = _flatten_steps(x, n_steps), _flatten_steps(grad, n_steps)
        outputs = _flatten_steps(grad_x, n_steps)
        low = _is_low(x)
        scratch = _Scratch(inputs, n_steps + 4)
        for start, stop in scratch.pieces:
            *potentials, n, s, slope, g = scratch.cut(stop - start)
            n.fill_(-neuron.v_start)
            for t, u in enumerate(potentials):
                _charge(u, n, inputs[t, start:stop], neuron)
                if t + 1 < n_steps:
                    if neuron.v_reset is None:
                        torch.le(u, -neuron.v_threshold, out=s)
                    _reset(n, u, s, neuron)
            grad_v = n.zero_()  # nobody looks at the potential after the last step
            for t in reversed(range(n_steps)):
                u = potentials[t]
                torch.add(u, neuron.v_threshold, out=slope)
                neuron.surrogate_function.derivative_(slope)
                grad_s = grads[t, start:stop]
                if low:
                    grad_s = g.copy_(grad_s)
                if t + 1 < n_steps:
                    _reset_backward(grad_v, u, slope, s, neuron)
                grad_h = grad_v.addcmul_(grad_s, slope)
                if neuron.kind == "lif":
                    outputs[t, start:stop] = torch.div(grad_h, neuron.tau, out=s)
                    grad_h.sub_(s)
                else:
                    outputs[t, start:stop] = grad_h
        return grad_x, None, None


def _charge(u: Tensor, n: Tensor, x: Tensor, neuron: Neuron) -> None:
    """Write -H into `u`, from n = -V and the input."""
    if neuron.kind == "if":
        torch.sub(n, x, out=u)
        return
    torch.add(n, neuron.v_start, out=u) if neuron.v_start else u.copy_(n)
    u.add_(x).div_(neuron.tau)
    torch.sub(n, u, out=u)


def _reset(n: Tensor, u: Tensor, s: Tensor, neuron: Neuron) -> None:
    """Write -V after the spikes `s` into `n`, from u = -H. Hard resets do not look at `s`."""
    if neuron.v_reset is not None:
        torch.ops.aten.threshold.out(u, -neuron.v_threshold, -neuron.v_reset, out=n)
    elif math.isinf(neuron.v_threshold):
        n.copy_(u)  # infinity times no spike would be no number
    else:
        torch.add(u, s, alpha=neuron.v_threshold, out=n)


def _reset_backward(grad_v: Tensor, u: Tensor, slope: Tensor, s: Tensor, neuron: Neuron) -> None:
    """Turn the gradient of V in place into that of H, for the way past the spike's output."""
    if neuron.detach_reset:
        through_spike = None
    elif neuron.v_reset is None:
        through_spike = torch.mul(grad_v, -neuron.v_threshold, out=s)
    else:
        through_spike = torch.mul(torch.add(u, neuron.v_reset, out=s), grad_v, out=s)
    if neuron.v_reset is not None:
        torch.ops.aten.threshold_backward.grad_input(
            grad_v, u, -neuron.v_threshold, grad_input=grad_v
        )
    if through_spike is not None:
        grad_v.addcmul_(through_spike, slope)


def _memory_format(x: Tensor) -> torch.memory_format:
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def _flatten_steps(x: Tensor, n_steps: int) -> Tensor:
    """View a sequence as (n_steps, elements of a step), in the order of its memory."""
    if _memory_format(x) == torch.channels_last:
        x = x.permute(0, 2, 3, 1)
    return x.view(n_steps, -1)


def _is_low(x: Tensor) -> bool:
    return x.dtype in (torch.bfloat16, torch.float16)


class _Scratch:
    """Rows of working memory, and the pieces of a step that are worked on one after another."""

    def __init__(self, x: Tensor, n_rows: int) -> None:
        n_steps, size = x.shape
        length = max(_PIECE // n_steps, 1 << 15) if x.device.type == "cpu" else size
        length = max(min(length, size), 1)
        dtype = torch.float32 if _is_low(x) else x.dtype
        self._rows = [torch.empty(length, dtype=dtype, device=x.device) for _ in range(n_rows)]
        self.pieces = [(start, min(start + length, size)) for start in range(0, size, length)]

    def cut(self, length: int) -> list[Tensor]:
        return [row[:length] for row in self._rows]
