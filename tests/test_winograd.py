"""Winograd's convolution: against the library's, alone and in a training step; threads, memory."""

from __future__ import annotations

import hypothesis
import pytest
import spikingjelly_sew
import torch
from exploring import examples
from hypothesis import strategies as st
from spikingjelly_sew import SpikingJellySEW
from torch import nn
from torch.nn import functional as F

from evfer.models import convolution, create, sew_resnet, threads
from evfer.models.cpu import winograd
from evfer.models.neurons import Neuron, fire


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def spikes(*shape, rate=0.2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = (torch.rand(shape, generator=generator) < rate).float()
    return maps.contiguous(memory_format=torch.channels_last)


def layer(n_in, n_out, seed=0, dtype=torch.float32):
    weight = random(n_out, n_in, 3, 3, seed=seed, dtype=dtype) * (2 / (9 * n_out)) ** 0.5
    return weight.contiguous(memory_format=torch.channels_last).requires_grad_()


def outcome(convolve, x, weight, grad):
    """Give the output and both gradients."""
    x = x.detach().requires_grad_()
    y = convolve(x, weight)
    return y.detach(), *torch.autograd.grad(y, (x, weight), grad)


def direct(x, weight):
    return F.conv2d(x, weight, padding=1)


class TestConvolve:
    @hypothesis.settings(max_examples=examples(25))
    @hypothesis.given(
        n=st.integers(1, 5),
        n_in=st.sampled_from([64, 128]),
        n_out=st.sampled_from([64, 128, 192]),
        height=st.integers(1, 13),
        width=st.integers(1, 13),
        channels_last=st.booleans(),
        seed=st.integers(0, 2**20),
    )
    def test_equals_the_library_in_double(self, n, n_in, n_out, height, width, channels_last, seed):
        x = random(n, n_in, height, width, seed=seed, dtype=torch.float64)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        weight = layer(n_in, n_out, seed + 1, torch.float64)
        grad = random(n, n_out, height, width, seed=seed + 2, dtype=torch.float64)
        ours, theirs = (outcome(f, x, weight, grad) for f in (winograd.convolve, direct))
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            assert (a - b).abs().max() <= 1e-12 * b.abs().max()

    def test_gradients_are_those_of_finite_differences(self):
        x = random(1, 64, 3, 5, dtype=torch.float64).requires_grad_()
        weight = layer(64, 64, dtype=torch.float64)
        assert torch.autograd.gradcheck(winograd.convolve, (x, weight), fast_mode=True)

    @pytest.mark.parametrize(
        ("n", "channels", "side"), [(12, 64, 32), (12, 128, 16), (16, 256, 8), (32, 512, 4)]
    )
    def test_single_precision_is_within_its_tolerance(self, n, channels, side):
        x, weight = spikes(n, channels, side, side), layer(channels, channels)
        grad = random(n, channels, side, side, seed=2)
        truth = outcome(
            direct, x.double(), weight.detach().double().requires_grad_(), grad.double()
        )
        assert winograd.pays(x, weight, 1, 1)
        for a, b in zip(outcome(winograd.convolve, x, weight, grad), truth, strict=True):
            assert (a - b).abs().max() <= 2e-5 * b.abs().max()
            assert (a - b).norm() <= 5e-6 * b.norm()

    def test_pieces_and_chunks_change_nothing(self, monkeypatch):
        x, weight = random(6, 64, 9, 6), layer(64, 192)
        grad = random(6, 192, 9, 6, seed=2)
        whole = outcome(winograd.convolve, x, weight, grad)
        monkeypatch.setattr(winograd, "_TILES", 7)
        monkeypatch.setattr(winograd, "_NUMBERS", 1)
        for a, b in zip(outcome(winograd.convolve, x, weight, grad), whole, strict=True):
            assert (a - b).abs().max() <= 1e-5 * b.abs().max()

    def test_threads_change_no_bit(self):
        x, weight = spikes(20, 128, 16, 16), layer(128, 128)
        grad = random(20, 128, 16, 16, seed=2)
        alone = outcome(winograd.convolve, x, weight, grad)
        for count in (2, 3):
            torch.set_num_threads(count)
            assert torch.get_num_threads() == count
            for a, b in zip(outcome(winograd.convolve, x, weight, grad), alone, strict=True):
                assert torch.equal(a, b)
            assert torch.get_num_threads() == count

    def test_only_what_needs_a_gradient_gets_one(self):
        x, weight = spikes(2, 64, 8, 8), layer(64, 64)
        assert not x.requires_grad
        winograd.convolve(x, weight).sum().backward()
        assert x.grad is None
        frozen = weight.detach()
        x.requires_grad_()
        winograd.convolve(x, frozen).sum().backward()
        expected = torch.autograd.grad(direct(x, frozen).sum(), x)[0]
        assert torch.allclose(x.grad, expected, atol=1e-4)


class TestChoice:
    def test_where_it_pays(self):
        def pays(n, c, side, *, out=None, kernel=3, stride=1, padding=1, dtype=torch.float32):
            x = torch.zeros(n, c, side, side, dtype=dtype)
            weight = torch.zeros(out or c, c, kernel, kernel, dtype=dtype)
            return winograd.pays(x, weight, stride, padding)

        assert pays(48, 64, 32)
        assert pays(48, 512, 4)
        assert not pays(8, 512, 4)  # too few tiles for the kernel's own transform
        assert not pays(48, 64, 5)  # a tile and a quarter a side
        assert not pays(48, 64, 32, stride=2)
        assert not pays(48, 64, 32, kernel=1, padding=0)
        assert not pays(48, 96, 32)
        assert not pays(48, 64, 32, out=70)
        assert not pays(48, 64, 32, dtype=torch.float64)
        assert not pays(48, 64, 32, dtype=torch.bfloat16)

    def test_only_in_training_in_single_precision_and_unless_told_otherwise(self, monkeypatch):
        calls = []
        monkeypatch.setattr(winograd, "convolve", lambda x, w: calls.append(1) or direct(x, w))
        x = spikes(8, 64, 16, 16)
        auto = convolution.Conv2d(64, 64, 3, 1, 1)
        auto(x)
        assert calls == [1]
        auto.eval()(x)
        auto.train()
        with torch.autocast("cpu", torch.bfloat16):
            auto(x)
        assert calls == [1]
        straight = convolution.Conv2d(64, 64, 3, 1, 1, "direct")
        straight.load_state_dict(auto.state_dict())
        assert torch.equal(straight(x), direct(x, auto.weight))
        assert calls == [1]

    @pytest.mark.parametrize("name", ["spiking-fer", "resnet18"])
    def test_the_option_reaches_every_convolution(self, name):
        for way in ("auto", "direct"):
            module = create(name, seed=0, convolution=way)
            ways = [m.way for m in module.modules() if isinstance(m, convolution.Conv2d)]
            assert ways == [way] * 20

    def test_direct_takes_no_short_way_on_the_smallest_maps(self):
        x = random(4, 8, 2, 2)
        straight = convolution.Conv2d(8, 8, 3, 1, 1, "direct")
        assert torch.equal(straight(x), direct(x, straight.weight))


class _Replay(torch.autograd.Function):
    """Spikes that are given; the gradient is that of the potential's own."""

    @staticmethod
    def forward(ctx, h, given):
        ctx.save_for_backward(h)
        return given

    @staticmethod
    def backward(ctx, grad):
        (h,) = ctx.saved_tensors
        return grad / (1 + (torch.pi * (h - 1)) ** 2), None


class TestTrainingStep:
    """One step against a network of SpikingJelly's layers, at a size where every short way pays."""

    def step(self, network, frames, labels):
        network.zero_grad()
        logits = network(frames)
        F.cross_entropy(logits, labels).backward()
        return logits.detach(), {k: p.grad.clone() for k, p in network.named_parameters()}

    def test_gradients_are_equal_with_the_spikes_held_equal(self, monkeypatch):
        # one flipped spike flips others, layer after layer: networks can only be compared with
        # the same spikes, or in double precision, as tests/test_models.py does
        torch.manual_seed(0)
        oracle = SpikingJellySEW("linear")
        ours = create("spiking-fer", head="linear", logit_scale="mean", zero_init_gamma=False)
        ours.load_state_dict(oracle.state_dict())
        frames, labels = (
            spikes(8 * 4, 2, 64, 64, rate=0.1).view(8, 4, 2, 64, 64),
            torch.arange(8) % 6,
        )
        record, convolved = {}, []
        names = {module: name for name, module in oracle.named_modules()}
        names |= {module: name for name, module in ours.named_modules()}

        def replay(current, name):
            given, v, out = record[name], 0.0, []
            for x, spike in zip(current, given, strict=True):
                h = v + x
                out.append(_Replay.apply(h, spike))
                v = h * (1 - spike)
            return torch.stack(out)

        def remember(node, _, output):
            record[names[node].removesuffix(".node")] = output.detach()

        def norm_and_fire(x, norm, node, n_steps, added=None):
            current = norm(x).unflatten(0, (n_steps, -1))
            fired = replay(current, names[node].removesuffix(".node")).flatten(0, 1)
            fired = fired.contiguous(memory_format=torch.channels_last)
            return fired if added is None else added + fired

        for module in oracle.modules():
            if isinstance(module, spikingjelly_sew.ConvNormNode):
                module.node.register_forward_hook(remember)
        logits, grads = self.step(oracle, frames, labels)
        monkeypatch.setattr(sew_resnet, "norm_and_fire", norm_and_fire)
        convolve = winograd.convolve
        monkeypatch.setattr(
            winograd, "convolve", lambda *given: convolved.append(1) or convolve(*given)
        )
        our_logits, our_grads = self.step(ours, frames, labels)
        assert len(convolved) == 10  # all with stride 1 but the last three, on maps of 2 x 2
        assert torch.allclose(our_logits, logits, atol=1e-6)
        for name, grad in grads.items():
            assert (our_grads[name] - grad).abs().max() <= 1e-4 * grad.abs().max(), name

    def test_spikes_flip_only_where_the_potential_meets_the_threshold(self):
        x, weight = spikes(48, 128, 16, 16), layer(128, 128)
        norm = nn.BatchNorm2d(128)
        with torch.no_grad():
            exact = norm(direct(x, weight)).double()
            ours = fire(norm(winograd.convolve(x, weight)), 6, Neuron())
            theirs = fire(exact.float(), 6, Neuron())
        flipped = ours != theirs
        assert flipped.float().mean() < 2e-5
        # the first step at which a neuron's spikes differ; later ones follow from that
        potential, least = torch.zeros_like(exact[:8]), []
        seen = torch.zeros_like(potential, dtype=torch.bool)
        for t, current in enumerate(exact.view(6, 8, 128, 16, 16)):
            h = potential + current
            first = flipped.view(6, 8, 128, 16, 16)[t] & ~seen
            least += (h - 1).abs()[first].tolist()
            seen |= first
            potential = torch.where(theirs.view(6, 8, 128, 16, 16)[t] > 0, 0.0, h)
        assert max(least, default=0.0) < 5e-5


class TestThreads:
    def test_every_item_is_done_once_whatever_the_number(self):
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            for n in (0, 1, 3, 10):
                done = []
                threads.share(lambda first, stop, done=done: done.extend(range(first, stop)), n)
                assert sorted(done) == list(range(n))

    def test_errors_come_through_and_gradients_are_not_recorded(self):
        torch.set_num_threads(2)

        def fail(first, stop):
            assert not torch.is_grad_enabled()
            raise ZeroDivisionError(first, stop)

        with pytest.raises(ZeroDivisionError):
            threads.share(fail, 4)
