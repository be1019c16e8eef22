"""Counts of whole networks, and what cannot be counted."""

from __future__ import annotations

import pytest
import torch
from spiking_inputs import Folded, awake, spike_frames, steps
from spikingjelly_sew import SpikingJellySEW
from torch import nn
from torch.nn import functional as F

from evfer.energy import build_report
from evfer.energy.counting_torch import count
from evfer.energy.counts import NetworkCounts
from evfer.errors import ConfigError, DataError
from evfer.models import create
from evfer.models.sew_resnet import Accumulator, SpikingFERParams

pytestmark = pytest.mark.usefixtures("one_thread")


class TestNetworks:
    @pytest.mark.parametrize(
        ("channels", "steps", "side", "macs"),
        [
            (2, 1, 128, 579_338_240),
            (3, 1, 128, 592_183_296),
            (2, 6, 128, 707_788_800),
            (2, 1, 200, 1_524_500_480),
            (2, 6, 200, 1_838_100_480),
            (3, 1, 224, 1_813_561_344),
        ],
    )
    def test_dense_products_of_resnet18s_convolutions(self, channels, steps, side, macs):
        net = create("resnet18", 6, steps, in_channels=channels)
        counts = count(net, torch.zeros(1, steps, channels, side, side))
        assert sum(n.total.dense for n in counts.layers if n.kind == "conv") == macs
        assert counts.dense == counts.dense_pass == macs + 512 * 6

    def test_spiking_fers_dense_products_are_those_of_a_step_times_the_steps(self):
        counts = count(create("spiking-fer", 6, 3), torch.zeros(1, 3, 2, 128, 128))
        conv = sum(n.total.dense for n in counts.layers if n.kind == "conv")
        assert conv == 3 * 579_338_240
        assert counts.dense == conv + 3 * 512 * 512 + 512 * 6
        # the head's bias reaches the readout, and nothing else does
        assert (counts.pairs, counts.mean_rate()) == (512 * 6, 0)

    @pytest.mark.parametrize("cnf", ["ADD", "AND", "IAND"])
    def test_the_same_network_in_spikingjellys_own_layers(self, cnf):
        ours = awake(create("spiking-fer", 6, 3, seed=0, dropout=0.0, cnf=cnf))
        theirs = SpikingJellySEW("code", cnf)
        theirs.load_state_dict(ours.state_dict())
        # sums in another order flip spikes on the threshold; in double precision none lies there
        ours.double()
        theirs.double().register_forward_pre_hook(lambda _, args: (args[0].double(),))
        frames = spike_frames(2, 3, side=32)
        mine, other = count(ours, frames), count(theirs, frames)
        assert mine.uncounted == other.uncounted == ()
        shared = mine.by_name.keys() & other.by_name.keys()
        assert len([n for n in shared if n.endswith(".conv")]) == 20
        assert len([n for n in shared if n.endswith(".node")]) == 20
        for name in shared - {"head.classes"}:  # theirs reads out each step
            a, b = mine.by_name[name], other.by_name[name]
            assert (a.kind, a.values, a.folded, a.feeds) == (b.kind, b.values, b.folded, b.feeds)
            assert a.steps == b.steps, name
        assert mine.mean_rate() > 0.05

    def test_blocks_that_add_feed_whole_numbers_and_others_zeros_and_ones(self):
        frames = spike_frames(1, 3, side=32)

        def values(cnf):
            counts = count(awake(create("spiking-fer", 6, 3, seed=0, cnf=cnf)), frames)
            found = {n.name: n.values for n in counts.layers if n.kind == "conv"}
            return counts, set(found.values()) - {"silent"}

        counts, found = values("ADD")
        assert found == {"binary", "integer"}
        assert counts.by_name["blocks.1.first.conv"].values == "integer"
        assert counts.by_name["blocks.0.add()"].total.additions > 0
        for cnf in ("AND", "IAND"):
            counts, found = values(cnf)
            assert found == {"binary"}
            gate = counts.by_name["blocks.0.mul()"].total
            assert (gate.products, gate.additions) == (0, 0)  # gates cost nothing
            assert gate.comparisons > 0

    def test_what_must_hold_of_any_network(self):
        for name in ("spiking-fer", "resnet18", "cnn1", "logistic"):
            net = awake(create(name, 6, 3, seed=0))
            report = build_report(count(net, spike_frames(2, 3, side=32)), name)
            counts = report.counts
            assert counts.uncounted == ()
            for layer in counts.layers:
                for tally in layer.steps:
                    assert 0 <= tally.pairs <= tally.dense
                    assert tally.unit_pairs + tally.larger_pairs in (0, tally.pairs)
                    assert tally.nonzero <= tally.inputs
                    assert tally.spikes <= tally.outputs
            lines, stages = report.layers(), report.stages()
            total = report.full.total
            for found in (lines, stages):
                assert sum(line.energy_nj for line in found) == pytest.approx(total.energy_pj / 1e3)
                assert sum(line.acs for line in found) == pytest.approx(total.acs)
            assert total.energy_pj == pytest.approx(4.6 * total.macs + 0.9 * total.acs)

    def test_the_head_integrates_each_step_and_reads_out_once(self):
        net = awake(create("spiking-fer", 6, 3, seed=0))
        counts = count(net, spike_frames(2, 3, side=48))
        current, classes, potential = (
            counts.by_name[f"head.{name}"] for name in ("current", "classes", "potential")
        )
        assert (len(current.steps), len(classes.steps)) == (3, 1)
        assert current.values == classes.values == "real"
        # one addition a feature and step, for two clips
        assert steps(potential, "outputs") == [2 * 512] * 3
        assert potential.neuron == "integrator"
        assert potential not in counts.spiking
        assert len(counts.spiking) == 20  # stem, 16 in blocks, 3 in shortcuts

    def test_the_accumulator_is_exact_in_whole_numbers(self):
        # sums of whole numbers below 2^24 have no rounding, so order cannot hide anything
        head = Accumulator(16, 4, SpikingFERParams(dropout=0.0))
        generator = torch.Generator().manual_seed(0)
        for parameter in head.parameters():
            parameter.data = torch.randint(-4, 5, parameter.shape, generator=generator).float()
        features = torch.randint(0, 5, (6, 3, 16), generator=generator).float()
        summed = sum(F.linear(f, head.current.weight, head.current.bias) for f in features)
        assert torch.equal(head(features), F.linear(summed, head.classes.weight))


class TestLimits:
    def test_what_cannot_be_counted_is_named(self):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.memory = nn.LSTM(8, 4)
                self.scale = nn.Parameter(torch.ones(4))
                self.hidden = nn.Parameter(torch.ones(4, 2))

            def forward(self, frames):
                x, _ = self.memory(frames.flatten(2).transpose(0, 1))
                return torch.einsum("nf,fc->nc", x[-1] * self.scale, self.hidden)

        counts = count(Net(), spike_frames(1, 3, 2, 2))
        assert counts.uncounted == ("memory, a LSTM", "einsum(), a call of einsum")
        assert any("memory, a LSTM" in remark for remark in build_report(counts).remarks)

    def test_weights_that_nobody_saw_at_work_are_named(self):
        class Strange(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(8, 3))

            def forward(self, x):
                return torch.cdist(x, self.weight.T)

        net = Folded(nn.Flatten(), Strange())
        assert count(net, torch.ones(1, 1, 2, 2, 2)).uncounted == (
            "layers.1, a Strange with weights",
        )

    def test_neurons_of_ones_own_are_priced_by_what_they_compute(self):
        class Leak(nn.Module):
            def forward(self, x):
                v, spikes = torch.zeros_like(x[0]), []
                for t in range(len(x)):
                    v = v * 0.5 + x[t]
                    spikes.append((v >= 1).float())
                    v = v * (1 - spikes[-1])
                return torch.stack(spikes)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.leak, self.linear = Leak(), nn.Linear(8, 2)

            def forward(self, frames):
                return self.linear(self.leak(frames.transpose(0, 1).flatten(2))).sum(0)

        counts = count(Net(), torch.ones(1, 3, 2, 2, 2))
        assert steps(counts.by_name["leak.add()"], "additions") == [8, 8, 8]
        linear = counts.by_name["linear"]
        assert (linear.values, steps(linear, "pairs")) == ("binary", [16, 16, 16])

    def test_in_place_sums_are_looked_at_before_they_happen(self):
        class Net(nn.Module):
            def forward(self, frames):
                x = frames[:, 0].clone()
                x += -frames[:, 0]
                return x.flatten(1)

        counts = count(Net(), torch.ones(1, 1, 2, 2, 2))
        assert (
            counts.by_name["add_()" if "add_()" in counts.by_name else "add()"].total.additions == 8
        )

    def test_frames_that_cannot_be_used_are_refused(self):
        net = create("resnet18", 6, 2)
        with pytest.raises(ConfigError, match="steps, channels"):
            count(net, torch.zeros(2, 2, 32, 32))
        with pytest.raises(ConfigError, match="as before"):
            count(net, [torch.zeros(1, 2, 2, 32, 32), torch.zeros(1, 2, 2, 16, 16)])
        with pytest.raises(DataError, match="no clip"):
            count(net, [])
        with pytest.raises(DataError, match="one clip"):
            NetworkCounts((), 0, 1, (1, 1, 1))

    def test_a_network_is_left_as_it_was(self):
        net = create("spiking-fer", 6, 2, seed=0)
        net.head.eval()
        before = {name: value.clone() for name, value in net.state_dict().items()}
        count(net, spike_frames(1, 2))
        assert net.training
        assert not net.head.training
        assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())

    def test_hooks_go_even_if_a_forward_fails(self):
        net = create("resnet18", 6, 2)
        with pytest.raises(ConfigError, match="model input"):
            count(net, torch.zeros(1, 3, 2, 32, 32))
        assert not any(part._forward_hooks for part in net.modules())
        assert net(torch.zeros(2, 2, 2, 32, 32)).isfinite().all()
