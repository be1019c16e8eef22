"""How each kind of layer and function is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from evfer.energy.counts import Tally
from evfer.energy.synapses_torch import (
    Convolution,
    inspect_values,
    tally_convolution,
    tally_linear,
)
from evfer.energy.watching_torch import Call, FunctionRule, ModuleRule, Watch
from evfer.models.neurons import SpikingJellyNode, SpikingNode

__all__ = ["FUNCTION_RULES", "find_rule", "register"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_NORMS = (*_BATCH_NORMS, nn.GroupNorm, nn.LayerNorm)
_CLOSED = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Bilinear)
"""Modules that work inside where nobody can look, and have no rule here."""

_ADDITIONS = {"add", "add_", "__add__", "__radd__", "__iadd__"}
_ADDITIONS |= {"sub", "sub_", "__sub__", "__rsub__", "__isub__", "rsub"}
_PRODUCTS = {"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply"}
_MATMULS = {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv"}
_SUMS = {"mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d"}
_SUMS |= {"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"}
_UNKNOWN = {"einsum", "tensordot", "addmm", "baddbmm", "addbmm", "bilinear", "unfold"}
_UNKNOWN |= {"scaled_dot_product_attention", "lstm", "gru", "multi_head_attention_forward"}
_UNKNOWN |= {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}


_REGISTERED: dict[type, ModuleRule] = {}


def register(kind: type[nn.Module], rule: ModuleRule) -> None:
    """Say how a layer class of one's own is counted, its subclasses included.

    Args:
        kind: the class; a rule that it has already, evfer's own too, is replaced.
        rule: called as `rule(watch, name, layer, x, output)` after each call of a layer. It opens
            the layer's line by `watch.site` and counts products by `watch.synapses`, or other
            work by `watch.steps`; what the layer calls inside is not counted besides.
    """
    _REGISTERED[kind] = rule


def find_rule(part: nn.Module) -> ModuleRule | None:
    """Find how a module's work is counted; None for one whose parts are looked at instead."""
    for kind in type(part).__mro__:
        if kind in _REGISTERED:
            return _REGISTERED[kind]
    if isinstance(part, SpikingNode | SpikingJellyNode) or _is_spikingjelly_neuron(part):
        return _neurons
    for kinds, rule in _MODULES:
        if isinstance(part, kinds):
            return rule
    return None


def _is_spikingjelly_neuron(module: nn.Module) -> bool:
    home = "spikingjelly.activation_based.neuron"
    return any(kind.__module__.startswith(home) for kind in type(module).__mro__)


def _convolve(watch: Watch, name: str, part: Any, x: Tensor, output: Tensor) -> None:
    convolution = Convolution.of(
        part.weight,
        part.stride,
        part.padding,
        part.dilation,
        part.groups,
        part.padding_mode,
        isinstance(part, _TRANSPOSED),
    )
    _take_convolution(watch, name, convolution, part.weight, part.bias, x, output)


def _take_convolution(
    watch: Watch,
    name: str,
    convolution: Convolution,
    weight: Tensor,
    bias: Tensor | None,
    x: Tensor,
    output: Tensor,
) -> None:
    axes = len(convolution.kernel)
    out_size = output.shape[output.ndim - axes :]
    n_in = x.shape[x.ndim - axes - 1]
    sizes = ["x".join(map(str, size)) for size in (convolution.kernel, out_size)]
    site = watch.site(
        name,
        "conv",
        about=f"{sizes[0]} {n_in}->{convolution.out_channels} {sizes[1]}",
        weights=weight.numel(),
        biases=0 if bias is None else bias.numel(),
    )
    watch.synapses(
        site,
        x,
        output,
        axes + 1,
        lambda rows, values: tally_convolution(rows, values, out_size, convolution),
    )


def _connect(watch: Watch, name: str, part: Any, x: Tensor, output: Tensor) -> None:
    _take_linear(watch, name, part.weight, part.bias, x, output)


def _take_linear(
    watch: Watch, name: str, weight: Tensor, bias: Tensor | None, x: Tensor, output: Tensor
) -> None:
    n_out, n_in = weight.shape
    site = watch.site(
        name,
        "linear",
        about=f"{n_in}->{n_out}",
        weights=weight.numel(),
        biases=0 if bias is None else bias.numel(),
    )
    watch.synapses(site, x, output, 1, lambda rows, values: tally_linear(rows, values, n_out))


def _neurons(watch: Watch, name: str, part: Any, x: Tensor, output: Tensor) -> None:
    # a node that gives anything but whole numbers has no spikes; it gives its potential
    silent = any("NonSpiking" in base.__name__ for base in _kinds(part))
    fires = not silent and inspect_values(output) != "real"
    kind: Literal["if", "lif"] = "lif"
    if isinstance(part, SpikingNode | SpikingJellyNode):
        kind = part.neuron.kind
    elif any(
        base.__name__.endswith("IFNode") and "LIF" not in base.__name__ for base in _kinds(part)
    ):
        kind = "if"
    site = watch.site(name, "neuron", neuron=kind)
    if not fires:
        site.neuron = "integrator"

    def fire(given: Tensor, got: Tensor) -> list[Tally]:
        n = given.shape[1]  # a neuron an input
        if not fires:
            return [Tally(inputs=n, outputs=n)] * len(given)
        spikes = got.count_nonzero(1).tolist()
        return [Tally(inputs=n, outputs=n, spikes=s, comparisons=n) for s in spikes]

    # what a node without spikes gives may be its last potential alone
    watch.steps(site, x, output if fires else x, fire)
    watch.reach_neurons(name)


def _kinds(part: nn.Module) -> tuple[type, ...]:
    return type(part).__mro__


def _normalise(watch: Watch, name: str, part: Any, x: Tensor, output: Tensor) -> None:
    fixed = isinstance(part, _BATCH_NORMS) and part.running_mean is not None
    sizes = [0 if p is None else p.numel() for p in (part.weight, part.bias)]
    _take_norm(watch, name, fixed, sizes, x, output)


def _take_norm(
    watch: Watch, name: str, fixed: bool, sizes: list[int], x: Tensor, output: Tensor
) -> None:
    before = watch.follows_synapses(x) if fixed else None
    site = watch.site(name, "norm", weights=sizes[0], biases=sizes[1], folded=True)
    site.folded &= before is not None
    if before is not None and site.folded:
        before.folded = True
    watch.steps(site, x, output, _tally_alike)


def _tally_alike(
    given: Tensor, got: Tensor, additions: int = 0, comparisons: int = 0
) -> list[Tally]:
    """Tally a layer whose work at a step depends on shapes alone."""
    tally = Tally(
        inputs=given.shape[1], outputs=got.shape[1], additions=additions, comparisons=comparisons
    )
    return [tally] * len(given)


def _average(watch: Watch, name: str, part: Any, x: Tensor, output: Tensor) -> None:
    axes = _AVERAGES.index(next(kind for kind in _AVERAGES if isinstance(part, kind))) + 1
    _take_average(watch, name, _area(part.kernel_size, axes), x, output)


def _average_all(watch: Watch, name: str, part: Any, x: Tensor, output: Tensor) -> None:
    _take_average(watch, name, None, x, output)


def _take_average(watch: Watch, name: str, area: int | None, x: Tensor, output: Tensor) -> None:
    """Count a sum over windows of some area, or over all that went in."""

    def work(given: Tensor, got: Tensor) -> list[Tally]:
        n_in, n_out = given.shape[1], got.shape[1]
        sums = n_in - n_out if area is None else n_out * (area - 1)
        return _tally_alike(given, got, additions=max(sums, 0))

    watch.steps(watch.site(name, "avg_pool"), x, output, work)


def _maximum(watch: Watch, name: str, part: Any, x: Tensor, output: Tensor) -> None:
    axes = _MAXIMA.index(next(kind for kind in _MAXIMA if isinstance(part, kind))) + 1
    area = _area(part.kernel_size, axes)
    watch.steps(
        watch.site(name, "max_pool"),
        x,
        output,
        lambda given, got: _tally_alike(given, got, comparisons=got.shape[1] * (area - 1)),
    )


def _area(kernel: Any, axes: int) -> int:
    sides = kernel if isinstance(kernel, tuple | list) else (kernel,) * axes
    return math.prod(sides * (axes if len(sides) == 1 else 1))


def _close(watch: Watch, name: str, part: Any, x: Tensor, output: Tensor) -> None:
    watch.give_up(f"{name}, a {type(part).__name__}")


_MODULES: tuple[tuple[tuple[type[nn.Module], ...], ModuleRule], ...] = (
    (_CLOSED, _close),
    (_CONVOLUTIONS + _TRANSPOSED, _convolve),
    ((nn.Linear,), _connect),
    (_NORMS, _normalise),
    (_AVERAGES, _average),
    (_ADAPTIVE, _average_all),
    (_MAXIMA, _maximum),
)


def _call_convolution(watch: Watch, call: Call) -> Callable[[Tensor], None]:
    x, weight, bias = call.get(0, "input"), call.get(1, "weight"), call.get(2, "bias")
    convolution = Convolution.of(
        weight,
        call.get(3, "stride", 1),
        call.get(4, "padding", 0),
        call.get(5, "dilation", 1),
        call.get(6, "groups", 1),
    )
    watch.mark(call.home)
    return lambda output: _take_convolution(watch, call.name, convolution, weight, bias, x, output)


def _call_linear(watch: Watch, call: Call) -> Callable[[Tensor], None]:
    x, weight, bias = call.get(0, "input"), call.get(1, "weight"), call.get(2, "bias")
    watch.mark(call.home)
    return lambda output: _take_linear(watch, call.name, weight, bias, x, output)


def _call_matmul(watch: Watch, call: Call) -> Callable[[Tensor], None]:
    """Count a product of matrices; the left one is the input, its zeros save products."""
    x, other = call.get(0, "input"), call.get(1, "mat2", call.kwargs.get("other"))
    if call.word == "__rmatmul__":
        x, other = other, x
    watch.mark(call.home)
    if not (isinstance(x, Tensor) and isinstance(other, Tensor)) or min(x.ndim, other.ndim) < 1:
        return lambda output: None
    n_out = 1 if other.ndim == 1 else other.shape[-1]
    is_weight = isinstance(other, nn.Parameter)
    site = watch.site(
        call.name,
        "matmul",
        about=f"{x.shape[-1]}->{n_out}",
        weights=other.numel() if is_weight else 0,
    )
    return lambda output: watch.synapses(
        site, x, output, 1, lambda rows, values: tally_linear(rows, values, n_out)
    )


def _call_norm(watch: Watch, call: Call) -> Callable[[Tensor], None]:
    x, mean = call.get(0, "input"), call.get(1, "running_mean")
    training = call.get(5, "training", False)
    sizes = [0 if p is None else p.numel() for p in (call.get(3, "weight"), call.get(4, "bias"))]
    watch.mark(call.home)
    fixed = mean is not None and not training
    return lambda output: _take_norm(watch, call.name, fixed, sizes, x, output)


def _call_sum(watch: Watch, call: Call) -> Callable[[Tensor], None]:
    x = call.get(0, "input")
    if not isinstance(x, Tensor):
        return lambda output: None
    area = None
    if call.word.startswith("avg_pool"):
        area = _area(call.get(1, "kernel_size"), int(call.word[-2]))

    def take(output: Tensor) -> None:
        if area or output.numel() < x.numel():
            _take_average(watch, call.name, area, x, output)

    return take


def _call_add(watch: Watch, call: Call) -> Callable[[Tensor], None]:
    pair = _pair(watch, call)
    if pair is not None:
        first, second = pair
        site = watch.site(call.name, "add")
        either = (first != 0) | (second != 0)
        watch.steps(site, either, either, lambda given, _: _tally_elements(given, "additions"))
    return lambda output: None


def _tally_elements(marked: Tensor, what: str) -> list[Tally]:
    """Tally work that is done for the marked elements of a step alone."""
    n = marked.shape[1]
    numbers = marked.count_nonzero(1).tolist()
    return [Tally(inputs=n, outputs=n, **{what: number}) for number in numbers]


def _call_product(watch: Watch, call: Call) -> Callable[[Tensor], None]:
    """Count products element by element; where one side is 0 or 1 they are gates, and free."""
    pair = _pair(watch, call)
    if pair is not None:
        kinds = [inspect_values(side) for side in pair]
        gate = any(kind in ("silent", "binary") for kind in kinds)
        site = watch.site(call.name, "product")
        # a gate has to be looked at wherever it is, a product only where neither side is 0
        marked = torch.ones_like(pair[0]) if gate else (pair[0] != 0) & (pair[1] != 0)
        what = "comparisons" if gate else "products"
        watch.steps(site, marked, marked, lambda given, _: _tally_elements(given, what))
    return lambda output: None


def _pair(watch: Watch, call: Call) -> tuple[Tensor, Tensor] | None:
    """Give the two tensors of an element-wise call, in one shape; None for a single number.

    A sum or product with one number is part of the weights before or after.
    """
    sides = [call.get(0, "input"), call.get(1, "other")]
    tensors = [side for side in sides if isinstance(side, Tensor)]
    if any(isinstance(side, nn.Parameter) for side in tensors):
        watch.mark(call.home)
    if len(tensors) < 2 or any(side.numel() < 2 for side in tensors):
        return None
    first, second = torch.broadcast_tensors(*tensors)
    return first, second


def _call_unknown(watch: Watch, call: Call) -> Callable[[Tensor], None]:
    watch.give_up(f"{call.name}, a call of {call.word}")
    return lambda output: None


FUNCTION_RULES: Mapping[str, FunctionRule] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _call_convolution),
    "linear": _call_linear,
    "batch_norm": _call_norm,
    **dict.fromkeys(_MATMULS, _call_matmul),
    **dict.fromkeys(_SUMS, _call_sum),
    **dict.fromkeys(_ADDITIONS, _call_add),
    **dict.fromkeys(_PRODUCTS, _call_product),
    **dict.fromkeys(_UNKNOWN, _call_unknown),
}
