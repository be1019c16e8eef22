"""The step form of spiking networks against whole sequences, to the bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spiking_inputs import awake, spike_frames

from evfer.errors import ConfigError
from evfer.models import create
from evfer.models.neurons import Neuron, fire, fire_step
from evfer.models.steps import SpikingNetwork, require_steps

pytestmark = pytest.mark.usefixtures("one_thread")


def step_through(module, frames):
    logits, state = [], None
    for frame in frames.transpose(0, 1):
        out, state = module.step(frame, state)
        logits.append(out)
    return torch.stack(logits)


@settings(max_examples=8)
@given(
    n=st.integers(1, 3),
    n_steps=st.integers(4, 7),
    side=st.sampled_from([32, 40]),
    delay=st.integers(0, 1),
    options=st.fixed_dictionaries(
        {
            "cnf": st.sampled_from(["ADD", "AND", "IAND"]),
            "neuron": st.sampled_from(["if", "lif"]),
            "reset": st.sampled_from(["hard", "soft"]),
            "head": st.sampled_from(["code", "paper", "linear"]),
            "logit_scale": st.sampled_from(["sum", "mean"]),
            "convolution": st.sampled_from(["auto", "direct"]),
            "v_threshold": st.sampled_from([0.3, 1.0]),
            "backend": st.sampled_from(["fused", "spikingjelly"]),
        }
    ),
    seed=st.integers(0, 99),
)
def test_logits_after_each_step_equal_the_whole_sequence_to_the_bit(
    n, n_steps, side, delay, options, seed
):
    module = create("spiking-fer", 4, 5, seed=seed, delay=delay, **options)
    awake(module, seed).eval()
    frames = spike_frames(n, n_steps, side=side, seed=seed)
    with torch.no_grad():
        steps = step_through(module, frames)
        assert torch.equal(steps, module.forward_steps(frames))
        assert torch.equal(steps[-1], module(frames))


@settings(max_examples=60)
@given(
    neuron=st.builds(
        Neuron,
        kind=st.sampled_from(["if", "lif"]),
        tau=st.sampled_from([2.0, 3.3]),
        v_threshold=st.sampled_from([0.3, 1.0, float("inf")]),
        v_reset=st.sampled_from([None, 0.0, -0.2]),
    ),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 99),
)
def test_neurons_fire_as_over_the_whole_sequence(neuron, dtype, seed):
    x = torch.randn(6, 50, generator=torch.Generator().manual_seed(seed)).to(dtype)
    potential, spikes = None, []
    for current in x:
        fired, potential = fire_step(current, potential, neuron)
        spikes.append(fired)
    assert torch.equal(torch.stack(spikes), fire(x, 6, neuron))
    assert potential.isfinite().all()


@pytest.mark.parametrize("delay", [0, 1])
def test_streams_may_take_turns(delay):
    module = awake(create("spiking-fer", 4, 5, seed=0, delay=delay)).eval()
    first, second = (spike_frames(2, 6, seed=seed) for seed in (1, 2))
    states, logits = [None, None], [[], []]
    for t in range(6):
        for i, frames in enumerate((first, second)):
            kept = None if states[i] is None else {k: v.clone() for k, v in states[i].items()}
            out, after = module.step(frames[:, t], states[i])
            assert kept is None or all(torch.equal(kept[k], v) for k, v in states[i].items())
            states[i] = after
            logits[i].append(out)
    for frames, outs in zip((first, second), logits, strict=True):
        assert torch.equal(torch.stack(outs), step_through(module, frames))
    assert logits[0][-1].any()
    assert not any(out.requires_grad for out in logits[0])


def test_what_has_no_steps_or_other_streams_is_refused():
    module = create("spiking-fer", 4, 5, seed=0)
    assert isinstance(module, SpikingNetwork)
    assert require_steps(module) is module
    with pytest.raises(ConfigError, match="ResNet18 has no step form"):
        require_steps(create("resnet18"))
    frame = spike_frames()[:, 0]
    with pytest.raises(ConfigError, match="training mode"):
        module.step(frame, None)
    module.eval()
    with pytest.raises(ConfigError, match=r"a frame of shape \(2, 3, 2, 32, 32\)"):
        module.step(spike_frames(), None)
    _, state = module.step(frame, None)
    with pytest.raises(ConfigError, match="a state for inputs of shape"):
        module.step(frame[:1], state)
