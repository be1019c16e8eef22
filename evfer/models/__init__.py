"""Networks that classify event frames, by name.

    frames (n, t, 2, h, w), channel 0 = polarity off -> create(...) -> logits (n, n_classes)

A model is a function of `n_classes`, `n_steps` and options that gives a `torch.nn.Module`; it may
take `in_channels` and `size` too. See `evfer.plugins` for how to bring one's own. One that is not
trained by gradients fits itself; see `Estimator`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from evfer import config, plugins
from evfer.errors import ConfigError, UnknownNameError
from evfer.models.estimator import Estimator

__all__ = ["Estimator", "count_parameters", "create", "resolve_options", "structure_digest"]


def create(
    name: str,
    n_classes: int = 6,
    n_steps: int = 6,
    *,
    seed: int | None = None,
    shape: Sequence[int] | None = None,
    **options: Any,
) -> nn.Module:
    """Build a network by name.

    Args:
        name: "spiking-fer", "resnet18", a plug-in's name, or `module:attribute`.
        n_classes: number of classes, at least 2.
        n_steps: frames of a sequence, at least 1.
        seed: seed of the initial weights, leaving PyTorch's global generator as it was; None
            draws them from the global generator.
        shape: of what it will be fed, (t, c, h, w). A model that takes `in_channels` or `size`
            is told c and (h, w); one that does not ask is not told. Parameters whose shapes hang on
            these (PyTorch's lazy ones) are made by one batch of zeros.
        options: the model's own, such as `SpikingFERParams` has.

    Returns:
        A module that maps frames (n, n_steps, 2, h, w) to logits (n, n_classes).

    Raises:
        UnknownNameError: for a model, or an option of it, that does not exist.
        ConfigError: for a value that cannot be used, or a plug-in that builds no module.
    """
    for name_, value in (("n_classes", n_classes), ("n_steps", n_steps)):
        if not isinstance(value, int):
            raise ConfigError(f"{name_} = {value!r}"[:80], expected="a whole number")
    if n_classes < 2 or n_steps < 1:
        raise ConfigError(
            f"n_classes = {n_classes}, n_steps = {n_steps}",
            expected="at least 2 classes and 1 step",
        )
    factory = plugins.load("evfer.models", name)
    _check_options(name, factory, options)
    if shape is not None:
        asked = inspect.signature(factory).parameters
        fed = {"in_channels": shape[1], "size": tuple(shape[2:])}
        options = {key: value for key, value in fed.items() if key in asked} | options
    with (
        torch.random.fork_rng(devices=[], enabled=seed is not None),
        plugins.blaming_outsiders(),
    ):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        module = factory(n_classes=n_classes, n_steps=n_steps, **options)
        if not isinstance(module, nn.Module):
            raise ConfigError(
                f'the model "{name}" gave {type(module).__name__}', expected="a torch.nn.Module"
            )
        if shape is not None and any(is_lazy(p) for p in _state(module)):
            _make_lazy_parameters(module, (1, *shape))
    return module


def structure_digest(module: nn.Module) -> str:
    """Digest a network as built: its layers in words, and its state's names, types and shapes."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(module))  # addresses change from run to run
    state = [
        (key, str(value.dtype), None if is_lazy(value) else list(value.shape))
        for key, value in module.state_dict().items()
        if isinstance(value, torch.Tensor)
    ]
    return config.digest([text, state])


def _state(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _make_lazy_parameters(module: nn.Module, shape: tuple[int, ...]) -> None:
    training = [(part, part.training) for part in module.modules()]
    module.eval()  # running means keep their first values
    with torch.no_grad():
        module(torch.zeros(shape))
    for part, mode in training:
        part.training = mode
        if any(kind.__module__.startswith("spikingjelly.") for kind in type(part).__mro__):
            getattr(part, "reset", lambda: None)()  # potentials are not kept from clip to clip


def count_parameters(module: nn.Module) -> int:
    """Count a network's trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def resolve_options(module: nn.Module, options: Mapping[str, Any]) -> dict[str, Any]:
    """Give a network's options, those that were left at their defaults included.

    Args:
        module: what `create` built.
        options: what it was given. A network that keeps no dataclass `params` of all its options
            is known by these alone.
    """
    params = getattr(module, "params", None)
    if not dataclasses.is_dataclass(params) or isinstance(params, type):
        return dict(options)
    return {**options, **config.to_dict(params)}


def _check_options(name: str, factory: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuse options that a plug-in's own signature does not have, before it raises TypeError."""
    if not callable(factory):
        raise ConfigError(f'the model "{name}" cannot be called', expected="a function or class")
    parameters = inspect.signature(factory).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    known = [key for key in parameters if key not in ("n_classes", "n_steps")]
    for key in ("n_classes", "n_steps", *options):
        if key not in parameters:
            if key in ("n_classes", "n_steps"):
                raise ConfigError(
                    f'the model "{name}" takes no {key}',
                    expected="a function of n_classes, n_steps and options",
                )
            raise UnknownNameError(f"option of {name}", key, known)
