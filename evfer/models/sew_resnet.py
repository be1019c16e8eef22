"""Spiking-FER: a spiking ResNet-18 with spike-element-wise shortcuts, over event frames.

    frames (n, t, c, h, w) -> stem -> 8 blocks -> average pool -> Accumulator -> logits

Inside, the steps are folded into the batch, steps outermost (t * n, c, h, w), channels-last in
memory: convolutions and batch norms see one large batch, and each node sees whole sequences.

Source:
    Barchid et al., Spiking-FER: spiking neural network for facial expression recognition with
    event cameras, CBMI 2023, section 3; Fang et al., Deep residual learning in spiking neural
    networks, NeurIPS 2021, section 4. Deviations are options of `SpikingFERParams`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from evfer import config
from evfer.errors import ConfigError
from evfer.models.convolution import Conv2d, Way, initialise_convolutions
from evfer.models.cpu.norm_fire import fuses, norm_and_fire
from evfer.models.cpu.pool import MaxPool
from evfer.models.neurons import Neuron, build_node, fire_step
from evfer.models.steps import MATRIX_ROWS, State, apply_to_rows
from evfer.models.surrogate import build_surrogate

__all__ = ["Accumulator", "SpikingFER", "SpikingFERParams", "spiking_fer"]

_WIDTHS = (64, 128, 256, 512)
_FEWEST_DELAYS = 4  # on the shortest way from the stem to the classes: three shortcuts, the head


@dataclass(frozen=True)
class SpikingFERParams:
    """The network's options; defaults are those of the published code.

    Args:
        cnf: how a block joins its shortcut: "ADD" sums, "AND" multiplies, "IAND" lets the
            shortcut pass where the block is silent.
        neuron: "if", or "lif" with decayed input.
        tau: time constant of "lif" neurons, steps.
        v_threshold: potential at which a neuron fires.
        reset: "hard" sets the potential to 0 after a spike, "soft" subtracts the threshold.
        detach_reset: keep the gradient from flowing through the reset.
        delay: steps that a spike takes to the layers that it drives, the head included; those of
            shortcuts that only add up, and the frames themselves, take none. The paper's equation
            1 has one, its code none.
        surrogate_function: "atan", "sigmoid" or "rect".
        surrogate_alpha: its steepness; None for its own default (2, 4 and 1).
        head: "code" has a 512 x 512 layer with bias and dropout, "paper" the layer without
            either, "linear" none: the classes are read off the features.
        dropout: share of the "code" head's currents that is dropped, each step anew.
        logit_scale: "sum" over the steps, or their "mean".
        zero_init_gamma: start each block's last batch norm at 0, so that it starts silent.
        in_channels: channels of a frame.
        backend: "fused" or "spikingjelly" neurons, see `evfer.models.neurons`.
        convolution: "auto", or "direct" for PyTorch's own always, see `evfer.models.convolution`.
    """

    cnf: Literal["ADD", "AND", "IAND"] = "ADD"
    neuron: Literal["if", "lif"] = "if"
    tau: float = 2.0
    v_threshold: float = 1.0
    reset: Literal["hard", "soft"] = "hard"
    detach_reset: bool = True
    delay: int = 0
    surrogate_function: Literal["atan", "sigmoid", "rect"] = "atan"
    surrogate_alpha: float | None = None
    head: Literal["code", "paper", "linear"] = "code"
    dropout: float = 0.5
    logit_scale: Literal["sum", "mean"] = "sum"
    zero_init_gamma: bool = True
    in_channels: int = 2
    backend: Literal["fused", "spikingjelly"] = "fused"
    convolution: Way = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout {self.dropout}", expected="0 to below 1")
        if self.in_channels < 1:
            raise ConfigError(f"model.in_channels {self.in_channels}", expected="at least 1")
        if self.delay < 0:
            raise ConfigError(f"model.delay {self.delay}", expected="0 or more steps")
        self.build_neuron()

    def build_neuron(self) -> Neuron:
        """Give the neuron that these options describe."""
        return Neuron(
            kind=self.neuron,
            tau=self.tau,
            v_threshold=self.v_threshold,
            v_reset=0.0 if self.reset == "hard" else None,
            detach_reset=self.detach_reset,
            surrogate_function=build_surrogate(self.surrogate_function, self.surrogate_alpha),
        )


def spiking_fer(n_classes: int = 6, n_steps: int = 6, **options: Any) -> SpikingFER:
    """Spiking-FER, a SEW-ResNet-18 of IF neurons; options as in `SpikingFERParams`.

    Raises:
        UnknownNameError: for an option or value that does not exist.
        ConfigError: for a value that cannot be used.
    """
    return SpikingFER(n_classes, n_steps, config.build(SpikingFERParams, options, "model"))


class SpikingFER(nn.Module):
    """The spiking network. It keeps no potential between calls.

    Args:
        n_classes: number of classes.
        n_steps: steps it is meant for; it takes sequences of any length.
        params: the options.

    Raises:
        ConfigError: if no spike would arrive within the steps, for its delay.
    """

    def __init__(
        self, n_classes: int = 6, n_steps: int = 6, params: SpikingFERParams | None = None
    ) -> None:
        super().__init__()
        self.n_classes, self.n_steps = n_classes, n_steps
        self.params = params = params or SpikingFERParams()
        if params.delay and n_steps <= _FEWEST_DELAYS * params.delay:
            raise ConfigError(
                f"model.delay = {params.delay} in {n_steps} steps",
                expected=f"more than {_FEWEST_DELAYS * params.delay} steps, since spikes pass "
                f"{_FEWEST_DELAYS} layers at least before the classes",
                hint="Raise frames.n_steps, or set model.delay=0",
            )
        self.stem = _SpikingConvolution(params.in_channels, 64, 7, 2, params)
        self.pool = MaxPool()
        blocks: list[_Block] = []
        for i, (n_in, n_out) in enumerate(zip((64, *_WIDTHS[:-1]), _WIDTHS, strict=True)):
            blocks += [_Block(n_in, n_out, 1 if i == 0 else 2, params)]
            blocks += [_Block(n_out, n_out, 1, params)]
        self.blocks = nn.ModuleList(blocks)
        self.head = Accumulator(_WIDTHS[-1], n_classes, params)
        initialise_convolutions(self, leave=self.stem.conv)
        if params.zero_init_gamma:
            for block in blocks:
                nn.init.zeros_(block.second.norm.weight)

    def forward(self, frames: Tensor) -> Tensor:
        """Classify sequences.

        Args:
            frames: shape (n, t, c, h, w), t at least 1, any real dtype.

        Returns:
            Logits after the last step, shape (n, n_classes), float32.

        Raises:
            ConfigError: for another shape.
        """
        logits: Tensor = self.head(self._features(frames))
        return logits

    def forward_steps(self, frames: Tensor) -> Tensor:
        """Classify sequences after every step: what was decided had they ended there.

        Args:
            frames: as for `forward`.

        Returns:
            Logits after steps 1 to t, shape (t, n, n_classes), float32; the last equals `forward`.
        """
        return self.head.forward_steps(self._features(frames))

    def step(self, frame: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Take one frame a stream, in evaluation mode, without gradients.

        In float32, with the convolutions' sums on one thread of a CPU, the logits equal those of
        `forward_steps` to the bit for sequences of four images and more (n * t). Of fewer, and
        with more threads where n * t is below 12 and no multiple of 4, the libraries sum in
        another order, and so the last bits differ.

        Args:
            frame: shape (n, c, h, w), any real dtype.
            state: what the step before gave; None before the first.

        Returns:
            Logits of the sequences so far, shape (n, n_classes), float32, and the state after the
            step.

        Raises:
            ConfigError: for another shape, the state of other streams, or in training mode.
        """
        if self.training:
            raise ConfigError(
                "a step of a network in training mode",
                expected="evaluation mode, where batch norms know their statistics",
                hint="Call eval() first",
            )
        channels = self.params.in_channels
        if frame.ndim != 4 or frame.shape[1] != channels or 0 in frame.shape:
            raise ConfigError(
                f"a frame of shape {tuple(frame.shape)}",
                expected=f"(streams, {channels}, height, width)",
            )
        before, after = state or {}, dict[str, Tensor]()
        with torch.no_grad():
            x = frame.to(self.stem.conv.weight.dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            x = self.pool(self.stem.step(x, before, after, "stem"))
            for i, block in enumerate(self.blocks):
                x = cast("_Block", block).step(x, before, after, f"blocks.{i}")
            x = _delayed_step(x, self.params.delay, before, after, "head.delay")
            features = x.mean((2, 3), dtype=self.head.classes.weight.dtype)
            return self.head.step(features, before, after), after

    def _features(self, frames: Tensor) -> Tensor:
        """Give pooled spikes, shape (t, n, 512), in the type of the head."""
        channels = self.params.in_channels
        if frames.ndim != 5 or frames.shape[2] != channels or 0 in frames.shape:
            raise ConfigError(
                f"model input of shape {tuple(frames.shape)}",
                expected=f"(clips, steps, {channels}, height, width)",
            )
        n_steps = frames.shape[1]
        x = frames.transpose(0, 1).flatten(0, 1).to(self.stem.conv.weight.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.pool(self.stem(x, n_steps))
        for block in self.blocks:
            x = block(x, n_steps)
        x = _delayed(x, n_steps, self.params.delay)
        return x.mean((2, 3), dtype=self.head.classes.weight.dtype).unflatten(0, (n_steps, -1))


def _delayed(spikes: Tensor, n_steps: int, delay: int) -> Tensor:
    """Let spikes (n_steps * n, c, h, w) come some steps later; those too late are lost."""
    if not delay:
        return spikes
    late = torch.zeros_like(spikes)
    first = min(delay, n_steps) * (len(spikes) // n_steps)
    late[first:] = spikes[: len(spikes) - first]
    return late


def _delayed_step(
    spikes: Tensor, delay: int, before: State, after: dict[str, Tensor], name: str
) -> Tensor:
    """Give the spikes (n, c, h, w) of `delay` steps ago; those since wait in the state."""
    if not delay:
        return spikes
    waiting = before.get(name)
    if waiting is None:
        waiting = spikes.new_zeros(delay, *spikes.shape)
    after[name] = torch.cat([waiting[1:], spikes[None]])
    return waiting[0]


class _SpikingConvolution(nn.Module):
    """Convolution, batch norm over clips and steps, neurons."""

    def __init__(
        self, n_in: int, n_out: int, side: int, stride: int, params: SpikingFERParams
    ) -> None:
        super().__init__()
        self.conv = Conv2d(n_in, n_out, side, stride, side // 2, params.convolution)
        self.norm = nn.BatchNorm2d(n_out)
        self.node = build_node(params.build_neuron(), params.backend)

    def forward(self, x: Tensor, n_steps: int, added: Tensor | None = None) -> Tensor:
        return norm_and_fire(self.conv(x), self.norm, self.node, n_steps, added)

    def step(self, x: Tensor, before: State, after: dict[str, Tensor], name: str) -> Tensor:
        currents = self.norm(self.conv.forward_step(x))
        spikes, after[name] = fire_step(currents, before.get(name), self.node.neuron)
        return spikes


class _Block(nn.Module):
    """Two spiking convolutions beside a shortcut, joined element by element."""

    def __init__(self, n_in: int, n_out: int, stride: int, params: SpikingFERParams) -> None:
        super().__init__()
        self.cnf, self.delay = params.cnf, params.delay
        self.first = _SpikingConvolution(n_in, n_out, 3, stride, params)
        self.second = _SpikingConvolution(n_out, n_out, 3, 1, params)
        self.shortcut = None if stride == 1 else _SpikingConvolution(n_in, n_out, 1, stride, params)

    def forward(self, x: Tensor, n_steps: int) -> Tensor:
        driven = _delayed(x, n_steps, self.delay)
        identity: Tensor = x if self.shortcut is None else self.shortcut(driven, n_steps)
        y = _delayed(self.first(driven, n_steps), n_steps, self.delay)
        spikes: Tensor
        if self.cnf == "ADD" and fuses(self.second.norm, self.second.node):
            spikes = self.second(y, n_steps, identity)
            return spikes
        return self._join(identity, self.second(y, n_steps))

    def step(self, x: Tensor, before: State, after: dict[str, Tensor], name: str) -> Tensor:
        driven = _delayed_step(x, self.delay, before, after, f"{name}.delay")
        identity = x
        if self.shortcut is not None:
            identity = self.shortcut.step(driven, before, after, f"{name}.shortcut")
        y = self.first.step(driven, before, after, f"{name}.first")
        y = _delayed_step(y, self.delay, before, after, f"{name}.second.delay")
        return self._join(identity, self.second.step(y, before, after, f"{name}.second"))

    def _join(self, identity: Tensor, spikes: Tensor) -> Tensor:
        if self.cnf == "ADD":
            return identity + spikes
        if self.cnf == "AND":
            return identity * spikes
        return identity * (1 - spikes)


class Accumulator(nn.Module):
    """The head: currents integrated over the steps without a threshold, then the classes.

    Logits are `W * sum_t(A f_t + b)`; heads without the first layer integrate the features.
    Autocast does not reach it: in half precision, sums over steps would lose bits.

    Args:
        n_features: features a step.
        n_classes: number of classes.
        params: `head`, `dropout` and `logit_scale` are used.
    """

    def __init__(self, n_features: int, n_classes: int, params: SpikingFERParams) -> None:
        super().__init__()
        self.logit_scale = params.logit_scale
        self.current: nn.Module = nn.Identity()
        if params.head != "linear":
            self.current = nn.Linear(n_features, n_features, bias=params.head == "code")
        self.dropout = nn.Dropout(params.dropout if params.head == "code" else 0.0)
        self.classes = nn.Linear(n_features, n_classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Give logits after the last step, (n, n_classes), from features (t, n, n_features)."""
        with torch.autocast(features.device.type, enabled=False):
            return self._read(self._integrate(features)[-1], len(features))

    def forward_steps(self, features: Tensor) -> Tensor:
        """Give logits after every step, (t, n, n_classes), from features (t, n, n_features)."""
        with torch.autocast(features.device.type, enabled=False):
            potentials = self._integrate(features)
            return torch.stack([self._read(v, i + 1) for i, v in enumerate(potentials)])

    def step(self, features: Tensor, before: State, after: dict[str, Tensor]) -> Tensor:
        """Give logits of the sequences so far, (n, n_classes), from a step's (n, n_features)."""
        with torch.autocast(features.device.type, enabled=False):
            n_rows = -(-len(features) // MATRIX_ROWS) * MATRIX_ROWS
            potential = self.dropout(apply_to_rows(self.current, features, n_rows))
            n_steps = torch.ones((), dtype=torch.int64, device=features.device)
            if before:
                potential = before["head"] + potential
                n_steps = before["n_steps"] + 1
            after["head"], after["n_steps"] = potential, n_steps
            return self._read(potential, n_steps)

    def _integrate(self, features: Tensor) -> list[Tensor]:
        currents = self.dropout(self.current(features))
        potentials = [currents[0]]
        for current in currents[1:]:
            potentials.append(potentials[-1] + current)
        return potentials

    def _read(self, potential: Tensor, n_steps: int | Tensor) -> Tensor:
        logits: Tensor = self.classes(potential)
        return logits / n_steps if self.logit_scale == "mean" else logits
