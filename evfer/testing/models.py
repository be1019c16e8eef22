"""The contract of a model, as a check that authors of plug-ins can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["check_model"]

_CLIPS = 4
_TOLERANCE = 1e-3
"""Difference of logits, as a share of the largest, that batches of another size may make."""


def check_model(
    name: str, n_classes: int = 6, n_steps: int = 6, size: int = 48, **options: Any
) -> nn.Module:
    """Check that a model keeps the contract of `evfer.models.create`.

    Args:
        name: a model's name, or `module:factory`.
        n_classes: classes to build it for.
        n_steps: steps to build it for.
        size: side of the frames that it is shown, pixels.
        options: the model's own.

    Returns:
        The network, for further checks of one's own.

    Raises:
        AssertionError: if it breaks the contract; the message says how.
        EvferError: if it cannot be built.
    """
    import torch

    from evfer.models import Estimator, create

    def build(seed: int = 0, n_classes: int = n_classes, n_steps: int = n_steps) -> nn.Module:
        shape = (n_steps, 2, size, size)
        return create(name, n_classes, n_steps, seed=seed, shape=shape, **options)

    module, twin = build(), build()
    for key, value in module.state_dict().items():
        _require(torch.equal(value, twin.state_dict()[key]), f"{key}: one seed, other weights")
    generator = torch.Generator().manual_seed(0)
    shape = (_CLIPS, n_steps, 2, size, size)
    frames = (torch.rand(shape, generator=generator) < 0.1).float()
    fits_itself = isinstance(module, Estimator)
    if fits_itself:
        _check_fit(module, twin, frames, n_classes)
    _check_answers(module, frames, n_classes)
    _check_steps(module, frames, n_classes)
    _check_step_form(module, frames)
    if not fits_itself:
        _check_gradients(module, frames, n_classes)
    other = build(seed=1)
    other.load_state_dict(module.state_dict())
    _require(
        _same(_ask(other, frames), _ask(module, frames)),
        "what it learns is not in its parameters and buffers: loaded weights answer otherwise",
    )
    found = _ask(build(n_classes=2, n_steps=1), frames[:, :1])
    _require(found.shape == (_CLIPS, 2), f"2 classes, 1 step: logits {tuple(found.shape)}")
    return module


def _require(holds: object, complaint: str) -> None:
    # no assert statement, which python -O leaves out
    if not holds:
        raise AssertionError(complaint)


def _ask(module: nn.Module, frames: Tensor) -> Tensor:
    import torch

    module.eval()
    with torch.no_grad():
        logits: Tensor = module(frames)
    return logits


def _same(first: Tensor, second: Tensor) -> bool:
    import torch

    reach = float(second.abs().max()) if second.numel() else 0.0
    return torch.allclose(first, second, rtol=_TOLERANCE, atol=_TOLERANCE * max(reach, 1e-6))


def _check_answers(module: nn.Module, frames: Tensor, n_classes: int) -> None:
    import torch

    before = frames.clone()
    logits = _ask(module, frames)
    wanted = (len(frames), n_classes)
    _require(logits.shape == wanted, f"logits of shape {tuple(logits.shape)}, not {wanted}")
    _require(logits.is_floating_point(), f"logits of {logits.dtype}")
    _require(torch.isfinite(logits).all(), "logits that are not finite")
    _require(torch.equal(frames, before), "it changes its input")
    _require(
        _same(_ask(module, frames), logits),
        "it answers otherwise when asked again; is a state kept from clip to clip?",
    )
    alone = torch.cat([_ask(module, frames[i : i + 1]) for i in range(len(frames))])
    _require(_same(alone, logits), "a clip's answer depends on the others of its batch")
    empty = _ask(module, torch.zeros_like(frames))
    _require(torch.isfinite(empty).all(), "clips without events give logits that are not finite")


def _check_gradients(module: nn.Module, frames: Tensor, n_classes: int) -> None:
    import torch

    module.train()
    labels = torch.arange(len(frames)) % n_classes
    logits = module(frames)
    _require(logits.shape == (len(frames), n_classes), f"logits of shape {tuple(logits.shape)}")
    torch.nn.functional.cross_entropy(logits, labels).backward()
    trained = [(name, p.grad) for name, p in module.named_parameters() if p.requires_grad]
    _require(trained, "no parameter to train, and no fit_batches")
    for name, gradient in trained:
        _require(gradient is not None, f"{name}: no gradient reaches it")
        _require(gradient is not None and torch.isfinite(gradient).all(), f"{name}: gradient")
    moved = any(gradient is not None and bool(gradient.any()) for _, gradient in trained)
    _require(moved, "all gradients are zero")
    module.zero_grad()


def _check_fit(module: Any, twin: Any, frames: Tensor, n_classes: int) -> None:
    import torch

    labels = torch.arange(len(frames)) % n_classes
    before = frames.clone()
    module.fit_batches((frames[i : i + 2], labels[i : i + 2]) for i in (0, 2))
    twin.fit_batches((frames[i : i + 2], labels[i : i + 2]) for i in (0, 2))
    _require(torch.equal(frames, before), "fit_batches changes its input")
    _require(
        _same(_ask(module, frames), _ask(twin, frames)), "fit_batches gives another fit each time"
    )


def _check_step_form(module: Any, frames: Tensor) -> None:
    """Check a network that takes single frames, by two streams that take turns."""
    import torch

    if not callable(getattr(module, "step", None)):
        return
    module.eval()
    streams = frames, frames.flip(0)
    states: list[Any] = [None, None]
    logits: list[Any] = [None, None]
    for t in range(frames.shape[1]):
        for i, stream in enumerate(streams):
            with torch.no_grad():
                logits[i], states[i] = module.step(stream[:, t], states[i])
    for stream, last in zip(streams, logits, strict=True):
        _require(_same(last, _ask(module, stream)), "step: its last logits are not the sequence's")


def _check_steps(module: Any, frames: Tensor, n_classes: int) -> None:
    import torch

    if not hasattr(module, "forward_steps"):
        return
    module.eval()
    with torch.no_grad():
        steps = module.forward_steps(frames)
    wanted = (frames.shape[1], len(frames), n_classes)
    _require(steps.shape == wanted, f"forward_steps: shape {tuple(steps.shape)}, not {wanted}")
    _require(
        _same(steps[-1], _ask(module, frames)), "forward_steps: its last step is not the answer"
    )
