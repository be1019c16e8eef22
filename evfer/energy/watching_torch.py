"""Watch a network while it works: where something happens, at which step, with which numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from evfer.energy.counts import Kind, LayerCounts, Tally, Values
from evfer.energy.synapses_torch import inspect_values, worse
from evfer.errors import ConfigError
from evfer.models.sew_resnet import Accumulator

__all__ = ["Call", "FunctionRule", "ModuleRule", "Site", "Watch"]


@dataclass
class Site:
    """A place where something works, while it is being counted."""

    name: str
    kind: Kind
    about: str = ""
    weights: int = 0
    biases: int = 0
    folded: bool = False
    neuron: Literal["if", "lif", "integrator", ""] = ""
    feeds: str = ""
    values: Values = ""
    calls: list[list[Tally]] = field(default_factory=list)
    steps: list[Tally] = field(default_factory=list)

    def close(self, n_steps: int) -> None:
        """Lay a clip's calls onto its steps."""
        if not self.calls:
            return
        rows: list[Tally]
        if all(len(call) == n_steps for call in self.calls):
            rows = [Tally.sum(step) for step in zip(*self.calls, strict=True)]
        elif all(len(call) == 1 for call in self.calls) and len(self.calls) % n_steps == 0:
            each = len(self.calls) // n_steps
            flat = [call[0] for call in self.calls]
            rows = [Tally.sum(flat[i * each : (i + 1) * each]) for i in range(n_steps)]
        else:
            rows = [Tally.sum(tally for call in self.calls for tally in call)]
        self.calls.clear()
        if self.steps and len(self.steps) != len(rows):
            # it worked at every step of one clip and not of another
            self.steps, rows = [Tally.sum(self.steps)], [Tally.sum(rows)]
        before = self.steps or [Tally()] * len(rows)
        self.steps = [a + b for a, b in zip(before, rows, strict=True)]

    def counts(self) -> LayerCounts:
        """Give what was counted here."""
        return LayerCounts(
            self.name,
            self.kind,
            tuple(self.steps),
            self.values,
            self.about,
            self.weights,
            self.biases,
            self.folded,
            self.neuron,
            self.feeds,
        )


class Watch:
    """What is seen while a network runs.

    Args:
        module: the network.
        find_rule: gives how a module's work is counted, or None to look at its parts instead.
        function_rules: how calls outside such modules are counted, by the function's name.
    """

    def __init__(
        self,
        module: nn.Module,
        find_rule: Callable[[nn.Module], ModuleRule | None],
        function_rules: Mapping[str, FunctionRule],
    ) -> None:
        self.module = module
        self._find_rule, self._function_rules = find_rule, function_rules
        self.sites: dict[str, Site] = {}
        self.n_steps = 1
        self.inside = 0  # depth of known modules: what they call is theirs
        self._path: list[tuple[str, nn.Module]] = []
        self._seen: set[str] = set()
        self._strange: dict[str, None] = {}
        self._last: tuple[Site, Tensor] | None = None  # the last synapses and what they gave
        self._driving: list[Site] = []  # synapses that have not reached neurons yet

    @contextlib.contextmanager
    def hooks(self) -> Iterator[None]:
        """Watch the network's modules."""
        handles = []
        for name, part in self.module.named_modules():
            if isinstance(part, torch.jit.ScriptModule) or hasattr(part, "_orig_mod"):
                raise ConfigError(
                    f"the network's {name or type(part).__name__} is compiled",
                    expected="layers that can be watched while they work",
                    hint="Give the network as it was before torch.compile or torch.jit",
                )
            rule = self._find_rule(part)
            before, after = self._watching(name, part, rule)
            handles.append(part.register_forward_pre_hook(before))
            handles.append(part.register_forward_hook(after, with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextlib.contextmanager
    def clip(self, n_steps: int) -> Iterator[None]:
        """Watch one clip."""
        self.n_steps, self.inside, self._last = n_steps, 0, None
        self._path.clear()
        self._driving.clear()
        with _Functions(self):
            yield
        self._last = None
        for site in self.sites.values():
            site.close(n_steps)

    def _watching(
        self, name: str, part: nn.Module, rule: ModuleRule | None
    ) -> tuple[Callable[..., None], Callable[..., None]]:
        def before(_: nn.Module, args: Any) -> None:
            if rule is None and not self.inside:
                self._path.append((name, part))
            else:
                self.inside += 1

        def after(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if rule is None and not self.inside:
                self._path.pop()
                if isinstance(part, Accumulator):
                    self._integrate(name, part, [*args, *kwargs.values()][0])
                return
            try:
                if self.inside == 1 and rule is not None:
                    given, got = [*args, *kwargs.values()], _one_tensor(output)
                    if given and isinstance(given[0], Tensor) and got is not None:
                        rule(self, name, part, given[0], got)
                        self._seen.add(name)
                    else:
                        self.give_up(f"{name}, a {type(part).__name__}")
            finally:
                self.inside -= 1

        return before, after

    def see(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Callable[[Tensor], None]:
        """Take a call of one of PyTorch's functions, before it is made.

        Returns:
            What to do with its result.
        """
        word = getattr(func, "__name__", "")
        rule = self._function_rules.get(word)
        home, part = self._path[-1] if self._path else ("", None)
        # the sums of evfer's own head are those of its potential
        if rule is None or isinstance(part, Accumulator):
            return lambda output: None
        call = Call(word, f"{home}.{word.strip('_')}()".lstrip("."), home, args, kwargs)
        return rule(self, call)

    def site(self, name: str, kind: Kind, **about: Any) -> Site:
        """Find the place of a name, or open it."""
        if name not in self.sites:
            self.sites[name] = Site(name, kind, **about)
        return self.sites[name]

    def mark(self, home: str) -> None:
        """Note that a module's own weights were seen at work."""
        self._seen.add(home)

    def give_up(self, what: str) -> None:
        """Note that something cannot be counted."""
        self._strange[what] = None

    def uncounted(self) -> tuple[str, ...]:
        """Name what was not counted, with modules that hold weights nobody saw at work."""
        for name, part in self.module.named_modules():
            own = list(part.parameters(recurse=False))
            known = name in self._seen or self._find_rule(part) is not None or not own
            if not known and not isinstance(part, nn.PReLU):
                self._strange[f"{name or 'the network'}, a {type(part).__name__} with weights"] = (
                    None
                )
        return tuple(self._strange)

    def rows(self, x: Tensor, n_features: int | None = None) -> Tensor:
        """Lay a tensor out as (steps or 1, the rest of the batch, *features).

        Args:
            x: any tensor.
            n_features: how many of its last axes are no batch; by default those of an image, or
                the last one where there are too few for an image.
        """
        if n_features is None:
            n_features = 3 if x.ndim > 3 else min(1, x.ndim)
        lead, rest = x.shape[: x.ndim - n_features], x.shape[x.ndim - n_features :]
        for axis, length in enumerate(lead):
            if length == self.n_steps:
                return x.movedim(axis, 0).reshape(length, -1, *rest)
        folded = bool(lead) and lead[0] > 0 and lead[0] % self.n_steps == 0
        return x.reshape(self.n_steps if folded else 1, -1, *rest)

    def synapses(self, site: Site, x: Tensor, output: Tensor, n_features: int, work: Work) -> None:
        """Count products.

        Args:
            site: the layer.
            x: its input.
            output: what it gives.
            n_features: how many of the input's last axes are no batch.
            work: gives a tally a row of (rows, *features), and of what kind their values are.
        """
        if site.calls:
            self._driving.clear()  # the next step of a loop: what is left drove nothing
        rows, values = self.rows(x, n_features), inspect_values(x)
        tallies, each = work(rows.flatten(0, 1), values), rows.shape[1]
        site.calls.append(
            [Tally.sum(tallies[i * each : (i + 1) * each]) for i in range(rows.shape[0])]
        )
        site.values = worse(site.values, values)
        self._last = (site, output)
        self._driving.append(site)

    def follows_synapses(self, x: Tensor) -> Site | None:
        """Give the layer whose products `x` holds, if it holds nothing else."""
        return self._last[0] if self._last and self._last[1] is x else None

    def reach_neurons(self, name: str) -> None:
        """Note that the synapses since the last neurons drive these."""
        for site in self._driving:
            site.feeds = name
        self._driving.clear()

    def steps(self, site: Site, x: Tensor, output: Tensor, work: StepWork) -> None:
        """Count a layer whose work is told by what goes in and out at each step.

        Args:
            site: the layer.
            x: its input.
            output: what it gives.
            work: gives a tally a step from both as (steps or 1, everything of a step).
        """
        given, got = self.rows(x).flatten(1), self.rows(output).flatten(1)
        if len(given) != len(got):
            given, got = x.reshape(1, -1), output.reshape(1, -1)
        site.calls.append(work(given, got))

    def _integrate(self, name: str, head: Accumulator, features: Tensor) -> None:
        """Count a head's potential: a number a feature and step is added to it."""
        width = head.classes.in_features * features[0, ..., 0].numel()
        site = self.site(f"{name}.potential", "neuron", neuron="integrator", about=f"{width}")
        site.calls.append([Tally(inputs=width, outputs=width) for _ in features])


def _one_tensor(output: Any) -> Tensor | None:
    """Give a module's result as one tensor; some give a list of their steps."""
    if isinstance(output, Tensor):
        return output
    steps = output if isinstance(output, list) else []
    alike = all(isinstance(step, Tensor) and step.shape == steps[0].shape for step in steps)
    return torch.stack(steps) if steps and alike else None


class _Functions(TorchFunctionMode):
    """Tell a watch of every call of PyTorch's functions."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if self._watch.inside:
            return func(*args, **(kwargs or {}))
        # before the call, since it may write over its inputs
        take = self._watch.see(func, args, kwargs or {})
        output = func(*args, **(kwargs or {}))
        if isinstance(output, Tensor):
            take(output)
        return output


@dataclass(frozen=True)
class Call:
    """A call of one of PyTorch's functions.

    Args:
        word: the function's name.
        name: a name for the place where it is called.
        home: the module in whose forward that is.
        args: its arguments.
        kwargs: those given by name.
    """

    word: str
    name: str
    home: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """Give an argument."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)


ModuleRule = Callable[[Watch, str, Any, Tensor, Tensor], None]
"""Counts a module's work from its name, itself, its input and its output."""

FunctionRule = Callable[[Watch, Call], Callable[[Tensor], None]]
Work = Callable[[Tensor, Values], list[Tally]]
StepWork = Callable[[Tensor, Tensor], list[Tally]]
