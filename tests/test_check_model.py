"""The contract of models: ours keep it, and each way of breaking it is named."""

import re
from pathlib import Path

import pytest
import torch
from learning import small_net
from torch import nn

from evfer import plugins
from evfer.errors import ConfigError, UnknownNameError
from evfer.testing import check_model


@pytest.mark.parametrize("name", plugins.BUILTIN["evfer.models"])
def test_our_models_keep_the_contract(name):
    check_model(name, n_classes=4, n_steps=3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(
            "spiking-fer",
            {"head": "linear", "neuron": "lif", "zero_init_gamma": False},
            marks=pytest.mark.slow,
        ),
        pytest.param("resnet18", {"head": "matched"}, marks=pytest.mark.slow),
        ("logistic", {"per_step": False}),
        ("cnn1", {"accumulate": "any"}),
        ("learning:small_net", {"width": 4}),
    ],
)
def test_so_do_their_options(name, options):
    assert isinstance(check_model(name, 3, 2, 32, **options), nn.Module)


class Base(nn.Module):
    def __init__(self, n_classes, n_steps):
        super().__init__()
        self.n_classes = n_classes
        self.net = small_net(n_classes, n_steps)

    def forward(self, frames):
        return self.net(frames)


class Transposed(Base):
    def forward(self, frames):
        return self.net(frames).T


class Remembers(Base):
    """Keeps a state, as a spiking network does that nobody resets."""

    def forward(self, frames):
        logits = self.net(frames) + getattr(self, "state", 0.0)
        self.state = logits.detach().mean(0)
        return logits


class Together(Base):
    def forward(self, frames):
        logits = self.net(frames)
        return logits - logits.mean(0)


class Writes(Base):
    def forward(self, frames):
        logits = self.net(frames)
        frames.clamp_(max=0.5)
        return logits


class Idle(Base):
    def __init__(self, n_classes, n_steps):
        super().__init__(n_classes, n_steps)
        self.unused = nn.Linear(2, 2)


class Emptied(Base):
    def forward(self, frames):
        return self.net(frames / frames.sum((1, 2, 3, 4), keepdim=True))


class Unseeded(Base):
    calls = 0

    def __init__(self, n_classes, n_steps):
        super().__init__(n_classes, n_steps)
        Unseeded.calls += 1
        self.bias = nn.Parameter(torch.tensor(float(Unseeded.calls)))

    def forward(self, frames):
        return self.net(frames) * self.bias


class Hides(Base):
    """Learns where no state_dict looks."""

    def fit_batches(self, batches):
        self.shift = sum(labels.sum() for _, labels in batches)

    def forward(self, frames):
        return self.net(frames) + getattr(self, "shift", 0) * torch.arange(self.n_classes)


class Steps(Base):
    def forward_steps(self, frames):
        return self.net(frames)[None].repeat(frames.shape[1], 1, 1) + 1


class Forgets(Base):
    """Takes a step as if it were the first."""

    def step(self, frame, state):
        return self.net(torch.stack([torch.zeros_like(frame), frame], 1)), None


class Mixes(Base):
    """Keeps the frames in itself, so that the second stream hears the first."""

    def __init__(self, n_classes, n_steps):
        super().__init__(n_classes, n_steps)
        self.before = None

    def step(self, frame, state):
        before = frame if self.before is None else self.before
        self.before = frame
        return self.net(torch.stack([before, frame], 1)), None


class Fixed(Base):
    def __init__(self, n_classes, n_steps):
        super().__init__(5, n_steps)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Transposed, "logits of shape"),
        (Remembers, "asked again"),
        (Together, "others of its batch"),
        (Writes, "changes its input"),
        (Idle, r"unused\.weight: no gradient"),
        (Emptied, "without events"),
        (Unseeded, "bias: one seed, other weights"),
        (Hides, "not in its parameters"),
        (Steps, "its last step is not the answer"),
        (Forgets, "step: its last logits"),
        (Mixes, "step: its last logits"),
        (Fixed, "logits of shape"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_contract_is_named(broken, words):
    with pytest.raises(AssertionError, match=words):
        check_model(f"test_check_model:{broken.__name__}", n_classes=3, n_steps=2, size=16)


def test_a_sound_one_passes():
    check_model("test_check_model:Base", n_classes=3, n_steps=2, size=16)
    with pytest.raises(UnknownNameError):
        check_model("spiking-far")
    with pytest.raises(ConfigError):
        check_model("test_check_model:nothing")


def test_the_readmes_example_keeps_the_contract(tmp_path, monkeypatch):
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(# my_net\.py.*?)```", text, re.DOTALL)
    (tmp_path / "my_net.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    check_model("my_net:build")
    check_model("my_net:build", n_classes=3, n_steps=1, size=128)
