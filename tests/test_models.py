"""Networks: shapes and parameters, neurons against SpikingJelly's, whole nets against oracles."""

from __future__ import annotations

import math
import sys
import types

import pytest
import torch
from spiking_inputs import random
from spikingjelly_sew import SpikingJellySEW
from torch import nn
from torch.nn import functional as F

from evfer.errors import ConfigError, UnknownNameError
from evfer.models import count_parameters, create
from evfer.models.neurons import Neuron, SpikingJellyNode, SpikingNode
from evfer.models.sew_resnet import Accumulator, SpikingFERParams
from evfer.models.surrogate import Rect

pytestmark = pytest.mark.usefixtures("one_thread")


def spike_frames(n=2, t=3, side=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand((n, t, 2, side, side), generator=generator) < 0.15).float()


def gradients(module, frames, seed=9):
    """Logits, and the gradients of a fixed weighting of them."""
    module.zero_grad()
    logits = module(frames)
    (logits * random(*logits.shape, seed=seed).to(logits)).sum().backward()
    return logits.detach(), {name: p.grad.clone() for name, p in module.named_parameters()}


def awake(module, seed=1):
    """Give batch norms random weights, so that no gradient is zero by construction."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(part.bias, -0.3, 0.5, generator=generator)
    return module


class TestCreate:
    @pytest.mark.parametrize(
        ("name", "options", "count"),
        [
            ("spiking-fer", {}, 11_439_104),
            ("spiking-fer", {"head": "paper"}, 11_439_104 - 512),
            ("spiking-fer", {"head": "linear"}, 11_173_376 + 3_072),
            ("resnet18", {}, 11_207_808),
            ("resnet18", {"head": "matched"}, 11_470_464),
        ],
    )
    def test_parameter_counts_are_the_published_ones(self, name, options, count):
        assert count_parameters(create(name, **options)) == count

    @pytest.mark.parametrize("name", ["spiking-fer", "resnet18"])
    @pytest.mark.parametrize("n_steps", [1, 4])
    def test_gives_logits_of_the_asked_shape(self, name, n_steps):
        module = create(name, 5, n_steps, seed=0)
        frames = spike_frames(3, n_steps)
        logits = module(frames)
        assert logits.shape == (3, 5)
        assert logits.dtype == torch.float32
        assert module.n_steps == n_steps
        assert torch.equal(module.eval()(frames.to(torch.uint8)), module(frames))

    @pytest.mark.parametrize("name", ["spiking-fer", "resnet18"])
    def test_odd_sizes_and_a_batch_of_one(self, name):
        module = create(name, 6, 2, seed=0, head="linear")
        assert module(torch.ones(1, 2, 2, 70, 45)).isfinite().all()
        assert module.eval()(torch.ones(1, 2, 2, 9, 9)).isfinite().all()

    @pytest.mark.parametrize("name", ["spiking-fer", "resnet18"])
    def test_the_seed_decides_the_weights_and_leaves_the_global_generator(self, name):
        before = torch.get_rng_state()
        first, again, other = (create(name, seed=seed).state_dict() for seed in (3, 3, 0))
        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(first[key], again[key]) for key in first)
        assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])
        torch.manual_seed(3)
        unseeded = create(name).state_dict()
        assert all(torch.equal(first[key], unseeded[key]) for key in first)

    @pytest.mark.parametrize("name", ["spiking-fer", "resnet18"])
    def test_two_trainings_from_one_seed_agree_to_the_bit(self, name):
        def train():
            module = create(name, 6, 2, seed=0)
            torch.manual_seed(0)
            optimiser = torch.optim.SGD(module.parameters(), lr=0.01)
            for i in range(2):
                gradients(module, spike_frames(2, 2, seed=i))
                optimiser.step()
            return module.state_dict()

        first, again = train(), train()
        assert all(torch.equal(first[key], again[key]) for key in first)

    def test_unknown_names_name_the_nearest(self):
        with pytest.raises(UnknownNameError, match="spiking-fer"):
            create("spiking-fre")
        with pytest.raises(UnknownNameError, match=r"model\.detach_reset"):
            create("spiking-fer", detach_rest=True)
        with pytest.raises(UnknownNameError, match="IAND"):
            create("spiking-fer", cnf="IANDD")
        with pytest.raises(UnknownNameError, match=r"model\.head"):
            create("resnet18", haed="matched")

    @pytest.mark.parametrize(
        "options",
        [
            {"dropout": 1.0},
            {"tau": 1.0, "neuron": "lif"},
            {"in_channels": 0},
            {"surrogate_alpha": -1.0},
            {"n_classes": 1},
            {"n_steps": 0},
            {"zero_init_gamma": 1},
        ],
    )
    def test_values_that_cannot_be_used_are_refused(self, options):
        with pytest.raises(ConfigError):
            create("spiking-fer", **options)

    @pytest.mark.parametrize("name", ["spiking-fer", "resnet18"])
    @pytest.mark.parametrize(
        "shape", [(2, 2, 32, 32), (2, 2, 3, 32, 32), (0, 2, 2, 32, 32), (2, 0, 2, 32, 32)]
    )
    def test_input_of_another_shape_is_refused(self, name, shape):
        with pytest.raises(ConfigError, match="shape"):
            create(name, 6, 2)(torch.zeros(shape))

    def test_the_twin_wants_its_own_number_of_steps(self):
        with pytest.raises(ConfigError, match=r"clips, 4, 2, height"):
            create("resnet18", 6, 4)(spike_frames(2, 3))


class TestPlugins:
    @pytest.fixture
    def install(self, monkeypatch):
        def put(factory):
            module = types.ModuleType("a_script")
            module.build = factory
            monkeypatch.setitem(sys.modules, "a_script", module)
            return "a_script:build"

        return put

    def test_a_function_of_ones_own(self, install):
        def build(n_classes, n_steps, width=4):
            return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.Linear(width, n_classes))

        module = create(install(build), 6, 2, width=7)
        assert module(spike_frames(2, 2)).shape == (2, 6)
        with pytest.raises(UnknownNameError, match='"width"'):
            create("a_script:build", widht=7)

    def test_options_of_any_name_pass_where_they_are_welcome(self, install):
        assert isinstance(create(install(lambda **options: nn.Identity()), colour=3), nn.Identity)

    def test_what_builds_no_network_is_refused(self, install):
        with pytest.raises(ConfigError, match="int"):
            create(install(lambda n_classes, n_steps: 3))
        with pytest.raises(ConfigError, match="takes no n_steps"):
            create(install(lambda n_classes: nn.Identity()))
        with pytest.raises(ConfigError, match="called"):
            create(install("no function"))


class TestSpikingFER:
    @pytest.mark.parametrize(
        ("head", "cnf", "kind", "reset"),
        [
            ("code", "ADD", "if", "hard"),
            ("linear", "ADD", "if", "soft"),
            ("code", "AND", "if", "hard"),
            ("linear", "IAND", "lif", "hard"),
        ],
    )
    def test_equals_a_network_of_spikingjelly_layers(self, head, cnf, kind, reset):
        # double precision, so that no spike hangs on the order of a sum
        oracle = awake(SpikingJellySEW(head, cnf, kind, reset)).double()
        module = create(
            "spiking-fer",
            head=head,
            cnf=cnf,
            neuron=kind,
            reset=reset,
            dropout=0.0,
            logit_scale="mean" if head == "linear" else "sum",
        ).double()
        module.load_state_dict(oracle.state_dict())
        frames = spike_frames(3, 4)
        logits, grads = gradients(module, frames)
        expected, expected_grads = gradients(oracle, frames.double())
        assert torch.allclose(logits, expected)
        assert grads.keys() == expected_grads.keys()
        for name, grad in grads.items():
            size = expected_grads[name].abs().max()
            assert size > 0, name
            assert (grad - expected_grads[name]).abs().max() <= 1e-8 * size, name
        assert torch.allclose(module.eval()(frames), oracle.eval()(frames.double()))

    @pytest.mark.parametrize("delay", [1, 2])
    def test_a_delay_equals_spikingjelly_layers_that_hear_late(self, delay):
        def late(module, args):
            return torch.cat([torch.zeros_like(args[0][:delay]), args[0][:-delay]])

        oracle = awake(SpikingJellySEW()).double()
        for part in (oracle.average, *(p for b in oracle.blocks for p in b.children())):
            part.register_forward_pre_hook(late)
        module = create("spiking-fer", 6, 9, dropout=0.0, delay=delay).double()
        module.load_state_dict(oracle.state_dict())
        frames = spike_frames(2, 9)
        logits, grads = gradients(module, frames)
        expected, expected_grads = gradients(oracle, frames.double())
        assert torch.allclose(logits, expected)
        for name, grad in grads.items():
            size = expected_grads[name].abs().max()
            assert size > 0, name
            assert (grad - expected_grads[name]).abs().max() <= 1e-8 * size, name
        # frames whose spikes would come too late say nothing
        module.eval()
        last = 9 - 1 - 4 * delay
        given = module(frames)
        for t, matters in ((last, True), (last + 1, False)):
            other = frames.clone()
            other[:, t] = 1 - other[:, t]
            assert torch.equal(module(other), given) != matters
        assert torch.equal(module.forward_steps(frames)[-1], given)

    def test_a_delay_that_no_spike_survives_is_refused(self):
        with pytest.raises(ConfigError, match=r"model.delay = 1 in 4 steps; expected more than 4"):
            create("spiking-fer", 6, 4, delay=1)
        with pytest.raises(ConfigError, match=r"model.delay -1"):
            create("spiking-fer", 6, 4, delay=-1)
        with pytest.raises(ConfigError, match=r"model.delay"):
            create("spiking-fer", 6, 9, delay=0.5)

    def test_both_backends_give_the_same_network(self):
        modules = [
            awake(create("spiking-fer", 6, 3, seed=0, dropout=0.0, backend=backend))
            for backend in ("fused", "spikingjelly")
        ]
        kinds = [{type(m) for m in module.modules()} for module in modules]
        assert SpikingNode in kinds[0]
        assert SpikingJellyNode in kinds[1]
        (ours, our_grads), (theirs, their_grads) = (gradients(m, spike_frames()) for m in modules)
        assert torch.equal(ours, theirs)
        for name, grad in their_grads.items():
            assert (our_grads[name] - grad).abs().max() <= 2e-5 * grad.abs().max(), name

    def test_nothing_is_kept_between_sequences(self):
        module = awake(create("spiking-fer", 6, 3, seed=0)).eval()
        frames = spike_frames()
        first = module(frames)
        module(spike_frames(1, 5, seed=8))
        assert torch.equal(module(frames), first)
        assert torch.allclose(module(frames.flip(0)).flip(0), first, rtol=1e-4, atol=1e-5)

    def test_logits_after_each_step_are_those_of_the_shorter_sequence(self):
        for scale in ("sum", "mean"):
            module = awake(create("spiking-fer", 6, 4, seed=0, logit_scale=scale)).eval()
            frames = spike_frames(2, 4)
            steps = module.forward_steps(frames)
            assert steps.shape == (4, 2, 6)
            assert torch.equal(steps[-1], module(frames))
            for t in range(1, 5):
                shorter = module(frames[:, :t])
                assert torch.allclose(steps[t - 1], shorter, rtol=1e-4, atol=1e-5)
            assert not torch.allclose(steps[0], steps[1])

    def test_the_mean_is_the_sum_over_the_number_of_steps(self):
        frames = spike_frames(2, 4)
        total, mean = (
            awake(create("spiking-fer", seed=0, logit_scale=scale)).eval()(frames)
            for scale in ("sum", "mean")
        )
        assert torch.equal(total / 4, mean)

    def test_options_reach_every_neuron(self):
        options = {"neuron": "lif", "tau": 3.0, "v_threshold": 0.7, "detach_reset": False}
        module = create("spiking-fer", reset="soft", surrogate_function="rect", **options)
        nodes = [part for part in module.modules() if isinstance(part, SpikingNode)]
        assert len(nodes) == 20
        assert {node.neuron for node in nodes} == {Neuron("lif", 3.0, 0.7, None, False, Rect())}

    def test_without_input_nothing_is_nan(self):
        module = create("spiking-fer", 6, 3, seed=0, zero_init_gamma=False)
        logits, grads = gradients(module, torch.zeros(2, 3, 2, 32, 32))
        assert logits.isfinite().all()
        assert all(grad.isfinite().all() for grad in grads.values())

    def test_initial_weights(self):
        module = create("spiking-fer", seed=0)
        for block in module.blocks:
            assert not block.second.norm.weight.any()
            assert (block.first.norm.weight == 1).all()
            weight = block.second.conv.weight
            assert weight.std().item() == pytest.approx(
                math.sqrt(2 / (9 * weight.shape[0])), rel=0.05
            )
        # the stem is PyTorch's default: uniform within 1 / sqrt(fan-in)
        bound = 1 / math.sqrt(2 * 49)
        weight = module.stem.conv.weight
        assert weight.abs().max().item() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        awake_module = create("spiking-fer", seed=0, zero_init_gamma=False)
        assert all((block.second.norm.weight == 1).all() for block in awake_module.blocks)

    @pytest.mark.parametrize(("cnf", "expected"), [("ADD", 4.0), ("AND", 3.0), ("IAND", 0.0)])
    def test_blocks_join_their_shortcut(self, cnf, expected):
        module = create("spiking-fer", seed=0, cnf=cnf)
        block = module.blocks[0]
        nn.init.zeros_(block.second.norm.weight)
        nn.init.constant_(block.second.norm.bias, 1.5)  # so that every neuron fires
        assert (block(torch.full((2, 64, 4, 4), 3.0), 2) == expected).all()

    def test_autocast_gives_nearly_the_same_first_spikes_and_single_precision_logits(self):
        module = awake(create("spiking-fer", 6, 3, seed=0, head="linear"))
        spikes = []
        module.stem.register_forward_hook(lambda *arguments: spikes.append(arguments[-1]))
        frames = spike_frames(4, 3)
        with torch.autocast("cpu", torch.bfloat16):
            logits, grads = gradients(module, frames)
        assert logits.dtype == torch.float32
        assert all(g.dtype == torch.float32 and g.isfinite().all() for g in grads.values())
        module(frames)
        assert spikes[0].dtype == torch.bfloat16
        assert 0.1 < spikes[1].mean() < 0.9
        assert (spikes[0].float() == spikes[1]).float().mean() > 0.98

    def test_it_learns(self):
        module = create(
            "spiking-fer", 2, 2, seed=0, head="linear", logit_scale="mean", zero_init_gamma=False
        )
        frames = torch.zeros(8, 2, 2, 16, 16)
        frames[:4, :, 0, :8], frames[4:, :, 1, 8:] = 1, 1
        labels = torch.tensor([0] * 4 + [1] * 4)
        optimiser = torch.optim.AdamW(module.parameters(), lr=2e-3)
        losses = []
        for _ in range(8):
            loss = F.cross_entropy(module(frames), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.2 < 0.5 < losses[0]


class TestAccumulator:
    @pytest.mark.parametrize("head", ["code", "paper", "linear"])
    def test_equals_the_sum_of_each_steps_currents(self, head):
        readout = Accumulator(8, 3, SpikingFERParams(head=head, dropout=0.0))
        features = random(5, 4, 8)
        currents = features
        if head != "linear":
            assert (readout.current.bias is not None) == (head == "code")
            currents = F.linear(features, readout.current.weight, readout.current.bias)
        expected = F.linear(currents.sum(0), readout.classes.weight)
        assert torch.allclose(readout(features), expected, rtol=1e-5, atol=1e-6)

    def test_dropout_belongs_to_the_code_head_and_is_drawn_for_each_step(self):
        features = torch.ones(2, 1, 64)
        readout = Accumulator(64, 64, SpikingFERParams(dropout=0.5))
        nn.init.eye_(readout.current.weight)
        nn.init.zeros_(readout.current.bias)
        nn.init.eye_(readout.classes.weight)
        torch.manual_seed(0)
        # a current of one that is kept counts twice; one mask for both steps would give 0 and 4
        assert sorted(set(readout(features)[0].tolist())) == [0, 2, 4]
        assert (readout.eval()(features) == 2).all()
        paper = Accumulator(64, 6, SpikingFERParams(head="paper"))
        assert torch.equal(paper(features), paper(features))

    def test_autocast_does_not_reach_it(self):
        readout = Accumulator(64, 6, SpikingFERParams(dropout=0.0))
        features = random(6, 2, 64)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(readout(features), Accumulator.forward(readout, features))
            logits = readout(features)
        assert torch.equal(logits, readout(features))


class TestResNet18:
    @pytest.mark.parametrize("head", ["linear", "matched"])
    def test_equals_the_network_written_out(self, head):
        module = awake(create("resnet18", 6, 3, seed=0, head=head)).eval()
        frames = spike_frames(2, 3, side=40)
        w = module.state_dict()

        def conv_norm(x, name, stride):
            weight = w[f"{name}.conv.weight"]
            x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
            norm = [
                w[f"{name}.norm.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
            ]
            return F.batch_norm(x, *norm)

        x = torch.stack([frames[:, t, p] for t in range(3) for p in range(2)], 1)
        x = F.max_pool2d(F.relu(conv_norm(x, "stem", 2)), 3, 2, 1)
        for i in range(8):
            stride = 2 if i in (2, 4, 6) else 1
            y = F.relu(conv_norm(x, f"blocks.{i}.first", stride))
            y = conv_norm(y, f"blocks.{i}.second", 1)
            x = F.relu(y + (conv_norm(x, f"blocks.{i}.shortcut", 2) if stride == 2 else x))
        x = x.mean((2, 3))
        if head == "matched":
            x = F.linear(x, w["hidden.0.weight"], w["hidden.0.bias"])
        expected = F.linear(x, w["classes.weight"])
        assert torch.allclose(module(frames), expected, rtol=1e-4, atol=1e-5)

    def test_every_parameter_gets_a_gradient(self):
        _, grads = gradients(awake(create("resnet18", 6, 2, seed=0)), spike_frames(3, 2))
        assert all(grad.isfinite().all() and grad.any() for grad in grads.values())

    def test_zero_init_gamma(self):
        module = create("resnet18", seed=0, zero_init_gamma=True)
        assert all(not block.second.norm.weight.any() for block in module.blocks)

    def test_autocast_gives_single_precision_logits(self):
        module = create("resnet18", 6, 2, seed=0)
        with torch.autocast("cpu", torch.bfloat16):
            logits = module(spike_frames(3, 2))
        assert logits.dtype == torch.float32
