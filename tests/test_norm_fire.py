"""Batch norm and neurons as one function: against the layers one after the other."""

from __future__ import annotations

import math

import hypothesis
import numpy as np
import pytest
import torch
from exploring import examples
from hypothesis import strategies as st
from torch import nn

from evfer.models import create
from evfer.models.cpu import norm_fire, norm_fire_kernels
from evfer.models.cpu.norm_fire import norm_and_fire
from evfer.models.neurons import Neuron, SpikingNode, build_node
from evfer.models.surrogate import ATan, Sigmoid


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def make_norm(channels, seed=0, dtype=torch.float32):
    norm = nn.BatchNorm2d(channels)
    generator = torch.Generator().manual_seed(seed)
    nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
    nn.init.uniform_(norm.bias, -0.3, 0.5, generator=generator)
    return norm.to(dtype)


def outcome(x, added, n_steps, node, grad, dtype=torch.float32):
    """Give output, gradients and the norm's state."""
    norm = make_norm(x.shape[1], dtype=dtype)
    leaves = [x.detach().requires_grad_(), norm.weight, norm.bias]
    if added is not None:
        leaves.insert(1, added.detach().requires_grad_())
    out = norm_and_fire(leaves[0], norm, node, n_steps, None if added is None else leaves[1])
    state = [part.clone() for part in norm.state_dict().values()]
    return out.detach(), torch.autograd.grad(out, leaves, grad), state


@pytest.fixture
def apart(monkeypatch):
    """Make the same call go the long way."""

    def run(*arguments, **named):
        with monkeypatch.context() as patch:
            patch.setattr(norm_fire, "fuses", lambda *_: False)
            return outcome(*arguments, **named)

    return run


class TestNormAndFire:
    @hypothesis.settings(max_examples=examples(40))
    @hypothesis.given(
        n_steps=st.integers(1, 7),
        n=st.integers(1, 4),
        channels=st.sampled_from([1, 3, 64, 100, 512, 600]),
        height=st.integers(1, 9),
        width=st.integers(1, 9),
        v_threshold=st.sampled_from([0.3, 1.0, 2.5]),
        v_reset=st.sampled_from([0.0, -0.4, 0.25]),
        alpha=st.sampled_from([2.0, 5.0]),
        has_added=st.booleans(),
        channels_last=st.booleans(),
        dtype=st.sampled_from([torch.float32, torch.float64]),
        seed=st.integers(0, 2**20),
    )
    def test_equals_the_layers_one_after_the_other(
        self,
        apart,
        n_steps,
        n,
        channels,
        height,
        width,
        v_threshold,
        v_reset,
        alpha,
        has_added,
        channels_last,
        dtype,
        seed,
    ):
        hypothesis.assume(n_steps * n * height * width > 7)  # fewer are ill-conditioned
        shape = n_steps * n, channels, height, width
        x = random(*shape, seed=seed, dtype=dtype) * 3 + 0.5
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        added = (random(*shape, seed=seed + 1, dtype=dtype) > 0).to(dtype) if has_added else None
        grad = random(*shape, seed=seed + 2, dtype=dtype)
        node = SpikingNode(Neuron("if", 2.0, v_threshold, v_reset, True, ATan(alpha)))
        given = x, added, n_steps, node, grad, dtype
        out, grads, state = outcome(*given)
        expected, expected_grads, expected_state = apart(*given)
        if dtype == torch.float32:  # PyTorch rounds float64's shift in another way
            assert torch.equal(out, expected)
        else:
            assert (out != expected).double().mean() < 1e-3
        for a, b in zip(state, expected_state, strict=True):
            assert torch.equal(a, b)
        if torch.equal(out, expected):
            scale = max(grad.abs().max(), 1)
            for a, b in zip(grads, expected_grads, strict=True):
                size = max(b.abs().max(), scale) * math.sqrt(n_steps * n * height * width)
                assert (a - b).abs().max() <= (2e-6 if dtype == torch.float32 else 1e-12) * size

    @pytest.mark.parametrize("alpha", [2.0, 5.0])
    @pytest.mark.parametrize("v_reset", [0.0, 0.25])
    def test_neurons_alone_are_spikingjellys_to_the_bit(self, alpha, v_reset):
        neuron = Neuron("if", 2.0, 1.0, v_reset, True, ATan(alpha))
        x, grad = random(6, 4096) + 0.2, random(6, 4096, seed=1)
        leaf = x.clone().requires_grad_()
        spikes = build_node(neuron, "spikingjelly")(leaf, 6)
        spikes.backward(grad)
        ones, zeros = np.ones(512, np.float32), np.zeros(512, np.float32)
        found, found_grad = np.empty((2, 6, 4096), np.float32)
        place = 1.0, v_reset
        norm_fire_kernels.fire(x.numpy(), ones, zeros, x[:0].numpy(), found, *place, 0, 4096)
        norm_fire_kernels.fire_backward(
            *(x.numpy(), ones, zeros, zeros, grad.numpy(), found_grad, np.empty((2, 512))),
            *(*place, alpha, 0, 4096),
        )
        assert np.array_equal(found, spikes.detach().numpy())
        assert np.array_equal(found_grad, leaf.grad.numpy())

    def test_gradients_on_many_neurons_are_those_of_double_precision(self, apart):
        x, added = random(6 * 8, 64, 16, 16) * 3, None
        grad = random(*x.shape, seed=1)
        node = SpikingNode(Neuron())
        out, grads, _ = outcome(x, added, 6, node, grad)
        exact, truth, _ = apart(x.double(), added, 6, node, grad.double(), torch.float64)
        keep = (out == exact).all()
        for a, b in zip(grads, truth, strict=True):
            assert not keep or (a - b).abs().max() <= 1e-5 * b.abs().max()
        assert (out != exact).double().mean() < 1e-5

    def test_half_precision_computes_in_single(self):
        x = (random(5 * 4, 64, 6, 6) * 2).bfloat16().contiguous(memory_format=torch.channels_last)
        added = (random(*x.shape, seed=1) > 0).bfloat16() * 3
        grad = random(*x.shape, seed=2).bfloat16()
        node = SpikingNode(Neuron())
        out, grads, state = outcome(x, added, 5, node, grad)
        expected, truth, _ = outcome(x.float(), added.float(), 5, node, grad.float())
        assert out.dtype == grads[0].dtype == grads[1].dtype == torch.bfloat16
        assert grads[2].dtype == grads[3].dtype == state[2].dtype == torch.float32
        # the mean of halves is PyTorch's, and may be rounded another way
        assert (out.float() != expected).float().mean() < 1e-3
        assert torch.equal(grads[1], grad)
        assert (grads[0].float() - truth[0]).norm() <= 0.03 * truth[0].norm()

    def test_rounding_to_half_is_to_the_nearest_even_and_keeps_nan(self):
        values = torch.tensor([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 3.14159, -2.71828, 1e-30, 65504.0])
        ones = torch.ones(1, 7, dtype=torch.bfloat16)
        factors = torch.stack([values, 0 * values, 0 * values]).numpy()
        bits = ones.view(torch.uint16).numpy()
        norm_fire_kernels.norm_backward(bits.copy(), factors, bits, 0, 7)
        assert torch.equal(ones[0], values.bfloat16())
        x, grad = random(4, 64, 2, 2).bfloat16(), random(4, 64, 2, 2, seed=1).bfloat16()
        grad[0, 3, 0, 0] = math.nan
        _, grads, _ = outcome(x, None, 2, SpikingNode(Neuron()), grad)
        assert grads[0][:, 3].isnan().all()
        assert grads[0][:, 4].isfinite().all()

    def test_threads_change_no_bit(self, monkeypatch):
        x, grad = random(4 * 6, 64, 16, 16), random(4 * 6, 64, 16, 16, seed=1)
        node = SpikingNode(Neuron())
        # but for the statistics: PyTorch sums those in an order that depends on its threads
        norm = make_norm(64)
        statistics = torch.batch_norm_update_stats(x, norm.running_mean, norm.running_var, 0.1)
        monkeypatch.setattr(torch, "batch_norm_update_stats", lambda *_: statistics)
        alone = outcome(x, x.sign(), 4, node, grad)
        torch.set_num_threads(3)
        shared = outcome(x, x.sign(), 4, node, grad)
        assert torch.equal(alone[0], shared[0])
        for a, b in zip(alone[1], shared[1], strict=True):
            assert torch.equal(a, b)

    def test_the_input_is_left_alone(self):
        x = random(4, 64, 3, 3).contiguous(memory_format=torch.channels_last)
        grad, added = random(4, 64, 3, 3, seed=1), random(4, 64, 3, 3, seed=2)
        before = [part.clone() for part in (x, grad, added)]
        outcome(x, added, 2, SpikingNode(Neuron()), grad)
        for part, old in zip((x, grad, added), before, strict=True):
            assert torch.equal(part, old)


class TestWhere:
    def can(self, x=None, norm=None, node=None, n_steps=2, added=None):
        x = random(4, 8, 3, 3) if x is None else x
        norm = norm or make_norm(8)
        takes = norm_fire._takes(x, norm.weight, n_steps, added) if norm.affine else True
        return norm_fire.fuses(norm, node or SpikingNode(Neuron())) and takes

    def test_in_training_with_the_published_neuron(self):
        assert self.can()
        assert not self.can(norm=make_norm(8).eval())

    @pytest.mark.parametrize(
        "neuron",
        [
            Neuron("lif"),
            Neuron(v_reset=None),
            Neuron(detach_reset=False),
            Neuron(surrogate_function=Sigmoid()),
            Neuron(v_threshold=math.inf),
        ],
    )
    def test_other_neurons_go_the_long_way(self, neuron):
        node = SpikingNode(neuron)
        assert not self.can(node=node)
        x, norm, twin = random(4, 8, 3, 3), make_norm(8), make_norm(8)
        assert torch.equal(norm_and_fire(x, norm, node, 2), node(twin(x), 2))

    def test_other_layers_go_the_long_way(self):
        assert not self.can(node=build_node(Neuron(), "spikingjelly"))
        assert not self.can(norm=nn.BatchNorm2d(8, affine=False))
        assert not self.can(norm=nn.BatchNorm2d(8, momentum=None))
        assert not self.can(norm=nn.BatchNorm2d(8, track_running_stats=False))
        assert not self.can(x=random(4, 8, 3, 3).half())
        assert not self.can(x=random(1, 8, 1, 1), n_steps=1)  # nothing to take a mean over

    def test_watched_layers_are_called(self):
        seen = []
        norm, node = make_norm(8), SpikingNode(Neuron())
        norm.register_forward_hook(lambda *_: seen.append("norm"))
        node.register_forward_hook(lambda *_: seen.append("node"))
        norm_and_fire(random(4, 8, 3, 3), norm, node, 2)
        assert seen == ["norm", "node"]

    def test_a_network_in_training_uses_it_everywhere(self, monkeypatch):
        calls = []
        fuse = norm_fire._fuse
        monkeypatch.setattr(norm_fire, "_fuse", lambda *given: calls.append(1) or fuse(*given))
        module = create("spiking-fer", 6, 2, seed=0)
        frames = (random(2, 2, 2, 32, 32) > 1).float()
        module(frames)
        assert len(calls) == 20
        module.eval()(frames)
        assert len(calls) == 20
