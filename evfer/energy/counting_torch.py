"""Count what really flows through a network: every layer, every time step, every clip.

Modules are watched by hooks, and calls of PyTorch's functions outside known modules by a function
mode, so that `torch.relu(x) + y` in somebody's forward counts as well as a layer does. What is
counted at a layer is the tensor that it consumes.

Clips go through one at a time, in evaluation mode, where no clip touches another. That leaves no
doubt about steps: along an axis that is as long as the clip, or from call to call, rows are steps
and nothing else, whether a network keeps steps outermost, innermost, folded into the batch, or
runs them in a loop. A layer that works once a clip gets a single tally.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from evfer.energy.counts import NetworkCounts
from evfer.energy.rules_torch import FUNCTION_RULES, find_rule
from evfer.energy.watching_torch import Watch
from evfer.errors import ConfigError, DataError

__all__ = ["count"]


def count(module: nn.Module, frames: Iterable[Tensor]) -> NetworkCounts:
    """Run a network on clips and count what it does.

    Args:
        module: the network; it maps (n, t, c, h, w) to logits. It is run in evaluation mode and
            left in the mode it was in. SpikingJelly's nodes are reset before each clip.
        frames: batches of clips, shape (n, t, c, h, w), any real type, all of one t, c, h and w;
            a single tensor of that shape also serves.

    Returns:
        The counts, summed over all clips.

    Raises:
        ConfigError: if frames have another shape, or the network is compiled.
        DataError: if there is no clip.
    """
    batches = [frames] if isinstance(frames, Tensor) else frames
    watch, shape, n_clips = Watch(module, find_rule, FUNCTION_RULES), None, 0
    modes = [(part, part.training) for part in module.modules()]
    first = next(module.parameters(), torch.empty(0))
    module.eval()
    try:
        with torch.inference_mode(), watch.hooks():
            for batch in batches:
                shape = _check(batch, shape)
                for clip in batch:
                    _reset(module)
                    with watch.clip(shape[0]):
                        module(clip[None].to(first.device, torch.float32))
                    n_clips += 1
    finally:
        for part, training in modes:
            part.training = training
        _reset(module)
    if shape is None:
        raise DataError("no clip to count operations on", expected="one clip or more")
    return NetworkCounts(
        tuple(site.counts() for site in watch.sites.values()),
        n_clips,
        shape[0],
        (shape[1], shape[2], shape[3]),
        watch.uncounted(),
    )


def _check(batch: Tensor, before: tuple[int, ...] | None) -> tuple[int, ...]:
    shape = tuple(batch.shape[1:])
    if batch.ndim != 5 or 0 in shape or (before is not None and shape != before):
        raise ConfigError(
            f"frames of shape {tuple(batch.shape)}",
            expected="(clips, steps, channels, height, width)"
            + ("" if before is None else f" with {before} after the clips, as before"),
        )
    return shape


def _reset(module: nn.Module) -> None:
    """Reset what SpikingJelly's modules remember, as its `reset_net` does."""
    for part in module.modules():
        if _is_spikingjelly(part, "MemoryModule"):
            part.reset()  # type: ignore[operator]


def _is_spikingjelly(module: nn.Module, name: str) -> bool:
    # by name, since importing SpikingJelly takes seconds
    return any(
        kind.__module__.startswith("spikingjelly.") and name in (kind.__name__, kind.__module__)
        for kind in type(module).__mro__
    )
