"""What networks are made of: neurons, surrogate gradients, convolution."""

from __future__ import annotations

import itertools
import math

import hypothesis
import pytest
import torch
from exploring import examples
from hypothesis import strategies as st
from spiking_inputs import random
from torch.nn import functional as F

from evfer.errors import ConfigError, UnknownNameError
from evfer.models import convolution, neurons
from evfer.models.neurons import Neuron, build_node, fire
from evfer.models.surrogate import ATan, Rect, Sigmoid, build_surrogate

pytestmark = pytest.mark.usefixtures("one_thread")


SURROGATES = [ATan(), ATan(5.0), Sigmoid(), Rect()]


class TestNeurons:
    @hypothesis.settings(max_examples=examples(60))
    @hypothesis.given(
        kind=st.sampled_from(["if", "lif"]),
        tau=st.sampled_from([1.3, 2.0, 3.0, 10.0]),
        v_threshold=st.sampled_from([0.3, 1.0, 2.5]),
        v_reset=st.sampled_from([0.0, None, -0.4, 0.25]),
        detach_reset=st.booleans(),
        surrogate=st.sampled_from(SURROGATES),
        n_steps=st.integers(1, 7),
        shape=st.sampled_from([(1,), (3, 5), (2, 3, 4, 4), (1, 1, 1, 1)]),
        channels_last=st.booleans(),
        scale=st.floats(0.1, 4.0),
        seed=st.integers(0, 2**20),
    )
    def test_fused_equals_spikingjelly(
        self,
        kind,
        tau,
        v_threshold,
        v_reset,
        detach_reset,
        surrogate,
        n_steps,
        shape,
        channels_last,
        scale,
        seed,
    ):
        neuron = Neuron(kind, tau, v_threshold, v_reset, detach_reset, surrogate)
        x = random(n_steps * shape[0], *shape[1:], seed=seed) * scale + 0.2
        if channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        grad = random(*x.shape, seed=seed + 1)
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        spikes = build_node(neuron)(ours, n_steps)
        expected = build_node(neuron, "spikingjelly")(theirs, n_steps)
        assert torch.equal(spikes, expected)
        assert spikes.stride() == x.stride()
        spikes.backward(grad)
        expected.backward(grad)
        if isinstance(surrogate, Sigmoid):  # PyTorch rounds its exponential by place in a row
            size = theirs.grad.abs().max()
            assert (ours.grad - theirs.grad).abs().max() <= 1e-6 * size
        else:
            assert torch.equal(ours.grad, theirs.grad)

    def test_potentials_worked_out_by_hand(self):
        x = torch.tensor([0.6, 0.6, 0.5, 2.7, 0.0, 0.5])[:, None]
        hard = fire(x, 6, Neuron())
        soft = fire(x, 6, Neuron(v_reset=None))
        # hard: .6, 1.2 fires, .5, 3.2 fires, 0, .5; soft: .6, 1.2, .7, 3.4, 2.4, 1.9
        assert hard[:, 0].tolist() == [0, 1, 0, 1, 0, 0]
        assert soft[:, 0].tolist() == [0, 1, 0, 1, 1, 1]
        # leaky, tau 2: .3, .45, .475, 1.5875 fires, 0, .25
        assert fire(x, 6, Neuron("lif"))[:, 0].tolist() == [0, 0, 0, 1, 0, 0]

    def test_a_potential_equal_to_the_threshold_fires(self):
        assert fire(torch.tensor([[1.0], [0.5], [0.5]]), 3, Neuron())[:, 0].tolist() == [1, 0, 1]

    @pytest.mark.parametrize("backend", ["fused", "spikingjelly"])
    def test_a_node_starts_anew_at_each_call(self, backend):
        node = build_node(Neuron(), backend)
        x = torch.full((1, 3), 0.7)
        assert node(x, 1).sum() == 0
        assert node(x, 1).sum() == 0
        assert node(torch.full((2, 4), 0.7), 2).tolist() == [[0.0] * 4, [1.0] * 4]

    @pytest.mark.parametrize("v_reset", [0.0, None])
    @pytest.mark.parametrize("detach_reset", [True, False])
    def test_an_infinite_threshold_never_fires_and_gives_no_nan(self, v_reset, detach_reset):
        neuron = Neuron(v_threshold=math.inf, v_reset=v_reset, detach_reset=detach_reset)
        x = (random(12, 5) * 10).requires_grad_()
        spikes = fire(x, 4, neuron)
        spikes.sum().backward()
        assert not spikes.any()
        assert not x.grad.any()

    @pytest.mark.parametrize("kind", ["if", "lif"])
    def test_no_input_gives_no_spike(self, kind):
        x = torch.zeros(6, 4, requires_grad=True)
        spikes = fire(x, 3, Neuron(kind))
        spikes.sum().backward()
        assert not spikes.any()
        assert x.grad.isfinite().all()

    def test_every_layout_of_memory_gives_the_same(self):
        x = random(8, 3, 4, 5)
        wide = random(8, 3, 4, 10)
        wide[..., ::2] = x
        layouts = [x, x.contiguous(memory_format=torch.channels_last), wide[..., ::2]]
        results = []
        for layout in layouts:
            leaf = layout.detach().requires_grad_()
            spikes = fire(leaf, 2, Neuron())
            # a gradient that lies differently from the input
            spikes.backward(random(4, 8, 5, 3, seed=4).permute(1, 3, 0, 2))
            results.append((spikes.detach(), leaf.grad))
        for spikes, grad in results[1:]:
            assert torch.equal(spikes, results[0][0])
            assert torch.equal(grad, results[0][1])

    @pytest.mark.parametrize("neuron", [Neuron(), Neuron("lif", v_reset=None, detach_reset=False)])
    def test_the_size_of_a_piece_changes_nothing(self, neuron, monkeypatch):
        x = random(3 * 2, 37).requires_grad_()

        def run():
            x.grad = None
            spikes = fire(x, 3, neuron)
            spikes.backward(random(6, 37, seed=5))
            return spikes.detach(), x.grad

        whole = run()
        monkeypatch.setattr(neurons, "_PIECE", 3 * 10)
        assert all(torch.equal(a, b) for a, b in zip(whole, run(), strict=True))

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_integrates_in_single(self, dtype):
        low = (random(5 * 4, 200) * 0.4).to(dtype).requires_grad_()
        single = low.detach().float().requires_grad_()
        grad = random(20, 200, seed=2).to(dtype)
        spikes, expected = fire(low, 5, Neuron()), fire(single, 5, Neuron())
        spikes.backward(grad)
        expected.backward(grad.float())
        assert spikes.dtype == dtype
        assert torch.equal(spikes.float(), expected)
        assert torch.equal(low.grad, single.grad.to(dtype))

    def test_settings_that_make_no_neuron_are_refused(self):
        for settings in (
            {"kind": "izhikevich"},
            {"tau": 1.0},
            {"v_threshold": math.nan},
            {"v_reset": math.inf},
        ):
            with pytest.raises(ConfigError):
                Neuron(**settings)
        with pytest.raises(ConfigError, match="backend"):
            build_node(Neuron(), "cupy")
        with pytest.raises(ConfigError, match="3 steps"):
            fire(torch.zeros(4, 1), 3, Neuron())

    def test_a_surrogate_of_ones_own_needs_the_fused_backend(self):
        class Flat:
            alpha = 1.0

            def derivative_(self, u):
                return u.fill_(0.25)

        x = torch.zeros(2, 1, requires_grad=True)
        build_node(Neuron(surrogate_function=Flat()))(x, 2).sum().backward()
        assert x.grad[:, 0].tolist() == [0.5, 0.25]
        with pytest.raises(ConfigError, match="Flat"):
            build_node(Neuron(surrogate_function=Flat()), "spikingjelly")


class TestSurrogates:
    def test_values(self):
        u = torch.linspace(-3, 3, 61, dtype=torch.float64)
        atan = 1 / (1 + (math.pi * u) ** 2)
        assert torch.allclose(ATan().derivative_(u.clone()), atan, rtol=1e-12)
        s = 1 / (1 + torch.exp(-4 * u))
        assert torch.allclose(Sigmoid().derivative_(u.clone()), 4 * s * (1 - s), rtol=1e-9)
        assert Rect(2.0).derivative_(torch.tensor([-0.3, -0.2, 0.0, 0.25])).tolist() == [0, 2, 2, 0]

    @pytest.mark.parametrize("surrogate", SURROGATES)
    def test_a_bump_has_area_one_is_even_and_vanishes_far_away(self, surrogate):
        u = torch.linspace(-400, 400, 4_000_001, dtype=torch.float64)
        bump = surrogate.derivative_(u.clone())
        assert torch.trapezoid(bump, u) == pytest.approx(1, abs=2e-3)
        assert torch.allclose(bump, bump.flip(0), rtol=1e-6, atol=1e-12)
        assert surrogate.derivative_(torch.tensor([-math.inf])).item() == 0

    def test_names(self):
        assert build_surrogate("sigmoid") == Sigmoid(4.0)
        assert build_surrogate("atan", 3.0) == ATan(3.0)
        with pytest.raises(UnknownNameError, match="sigmoid"):
            build_surrogate("sigmoidal")


class TestConvolution:
    @pytest.mark.parametrize("side", [1, 3, 5])
    def test_equals_the_library_on_every_small_map(self, side):
        n_dense = 0
        for padding, stride, height, width in itertools.product(
            (0, 1, 2), (1, 2, 3), (1, 2, 3, 4), (1, 2, 3)
        ):
            if min(height, width) + 2 * padding < side:
                continue
            layer = convolution.Conv2d(3, 4, side, stride, padding).double()
            x = random(2, 3, height, width, dtype=torch.float64).requires_grad_()
            n_dense += convolution._is_dense(x, layer.weight, stride, padding)
            ours, theirs = layer(x), F.conv2d(x, layer.weight, None, stride, padding)
            assert torch.allclose(ours, theirs)
            grad = random(*ours.shape, seed=1, dtype=torch.float64)
            inputs = (x, layer.weight)
            for a, b in zip(
                torch.autograd.grad(ours, inputs, grad),
                torch.autograd.grad(theirs, inputs, grad),
                strict=True,
            ):
                assert torch.allclose(a, b)
        assert n_dense >= (1 if side == 1 else 10)

    def test_takes_the_short_way_where_every_output_sees_every_input(self):
        def is_dense(height, width, side, stride, padding):
            x, weight = torch.zeros(1, 1, height, width), torch.zeros(1, 1, side, side)
            return convolution._is_dense(x, weight, stride, padding)

        assert is_dense(2, 2, 3, 1, 1)
        assert is_dense(1, 1, 3, 1, 1)
        assert is_dense(2, 2, 3, 2, 1)
        assert not is_dense(3, 3, 3, 1, 1)
        assert not is_dense(4, 2, 3, 2, 1)
        assert not is_dense(2, 2, 1, 1, 0)

    def test_follows_autocast(self):
        layer = convolution.Conv2d(8, 8, 3, 1, 1)
        x = random(4, 8, 2, 2).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        assert y.dtype == torch.bfloat16
        y.float().sum().backward()
        assert layer.weight.grad.dtype == x.grad.dtype == torch.float32
        assert torch.allclose(y.float(), layer(x), rtol=0.05, atol=0.05)
        assert torch.allclose(
            layer.weight.grad, torch.autograd.grad(layer(x).sum(), layer.weight)[0], atol=0.1
        )

    def test_weights_keep_their_layout_when_loaded(self):
        layer = convolution.Conv2d(4, 4, 3, 1, 1)
        layer.load_state_dict({"weight": random(4, 4, 3, 3)})
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(layer.weight, random(4, 4, 3, 3))
