"""Operation counts against numbers worked out by hand, against loops, and against other authors."""

from __future__ import annotations

import itertools

import hypothesis
import numpy as np
import pytest
import torch
from exploring import examples
from hypothesis import strategies as st
from spiking_inputs import Folded, awake, spike_frames, steps
from spikingjelly.activation_based import layer as sj_layer
from spikingjelly.activation_based import neuron as sj_neuron
from torch import nn
from torch.nn import functional as F

from evfer.energy import Pricing, build_report, price
from evfer.energy.counting_torch import count
from evfer.energy.counts import Tally
from evfer.models import create
from evfer.models.convolution import Conv2d

pytestmark = pytest.mark.usefixtures("one_thread")


class Stacked(nn.Module):
    """Runs layers once on (n, t * c, ...), as a network without time does."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, frames):
        return self.layers(frames.flatten(1, 2))


class TestByHand:
    def test_a_padded_strided_convolution_over_two_clips_and_two_steps(self):
        net = Folded(nn.Conv2d(1, 3, 3, stride=2, padding=1, bias=False))
        frames = torch.zeros(2, 2, 1, 4, 4)
        frames[0, 0, 0, 0, 0] = frames[0, 0, 0, 1, 1] = 1
        frames[1, 0, 0, 3, 3] = 1
        frames[1, 1] = 1
        counts = count(net, frames)
        (conv,) = counts.layers
        # 2 x 2 outputs, centred on rows and columns 0 and 2, so they see -1..1 and 1..3: row 1 is
        # seen twice, rows 0, 2 and 3 once, and likewise columns.
        # step 0: (0, 0) once, (1, 1) four times, (3, 3) once: 6 places x 3 channels = 18 pairs
        # step 1: nothing, and all ones: (1 + 2 + 1 + 1)^2 = 25 places x 3 = 75
        assert steps(conv, "pairs") == [18, 75]
        assert steps(conv, "nonzero") == [3, 16]
        # dense, padding and all: 9 taps x 4 outputs x 3 channels = 108 a clip
        assert steps(conv, "dense") == [216, 216]
        assert steps(conv, "outputs") == [24, 24]
        assert conv.values == "binary"
        # a clip on average: 93 pairs / 2 clips, each an addition of 0.9 pJ
        cost = price(counts).total
        assert (cost.macs, cost.acs) == (0, 46.5)
        assert cost.energy_pj == pytest.approx(46.5 * 0.9)

    def test_groups(self):
        net = Stacked(nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False))
        frames = torch.zeros(1, 2, 2, 3, 3)
        frames[0, 0, 0, 1, 1] = 1  # channel 0, seen by all 9 outputs of its group's 3 channels
        frames[0, 1, 1, 0, 0] = 1  # channel 3, a corner, seen by 4
        (conv,) = count(net, frames).layers
        assert steps(conv, "pairs") == [9 * 3 + 4 * 3]
        assert steps(conv, "dense") == [9 * 2 * 6 * 9]  # taps x channels in x channels out x places

    def test_whole_numbers_are_told_from_ones_and_from_halves(self):
        net = Folded(nn.Flatten(), nn.Linear(4, 5, bias=False))
        whole = torch.tensor([[0.0, 1, 3, 2], [1, 1, 0, 0]]).reshape(1, 2, 1, 2, 2)
        counts = count(net, whole)
        (linear,) = counts.layers
        assert linear.values == "integer"
        assert steps(linear, "pairs") == [15, 10]
        assert steps(linear, "unit_pairs") == [5, 10]
        assert steps(linear, "larger_pairs") == [10, 0]
        assert steps(linear, "larger_sum") == [25, 0]
        bills = {
            "multi_ac": (0, 5 + 25 + 10),
            "mac": (10, 5 + 10),
            "dense_mac": (20, 10),  # all 4 x 5 of step 0, which holds a 3, and step 1 as it is
            "as_one": (0, 15 + 10),
        }
        for integers, expected in bills.items():
            cost = price(counts, Pricing(integers=integers)).total
            assert (cost.macs, cost.acs) == expected
            assert cost.energy_pj == pytest.approx(4.6 * expected[0] + 0.9 * expected[1])
        # one half among them, and every pair needs a product
        counts = count(net, torch.cat([whole, whole * 0.5]))
        cost = price(counts).total
        assert counts.layers[0].values == "real"
        assert (cost.macs, cost.acs) == (25, 0)  # 50 pairs over two clips

    def test_minus_one_is_a_subtraction(self):
        net = Folded(nn.Flatten(), nn.Linear(4, 2, bias=False))
        counts = count(net, torch.tensor([-1.0, 1, -2, 0]).reshape(1, 1, 1, 2, 2))
        cost = price(counts).total
        assert (cost.macs, cost.acs) == (0, 2 + 2 + 4)

    def test_neurons_norms_and_their_bias(self):
        net = Folded(
            nn.Conv2d(1, 2, 1, bias=True),
            nn.BatchNorm2d(2),
            sj_neuron.LIFNode(tau=2.0, v_threshold=0.5, step_mode="s"),
        )
        # the two channels copy the pixel; a node that sees steps as a batch fires on H >= .5 at
        # once: H = x / 2 = .5 for a one, so every one becomes a spike in both channels
        net.layers[0].weight.data.fill_(1)
        net.layers[0].bias.data.zero_()
        net.layers[1].eps = 0.0
        frames = torch.zeros(1, 2, 1, 2, 2)
        frames[0, 0, 0, 0] = 1  # two pixels at step 0
        frames[0, 1] = 1  # four at step 1
        counts = count(net, frames)
        conv, _, node = counts.layers
        assert steps(conv, "pairs") == [4, 8]
        assert steps(node, "spikes") == [4, 8]
        assert (node.neuron, node.total.outputs) == ("lif", 16)
        assert counts.rate(node) == 12 / 16
        assert counts.rate(node, "total") == 12 / 8
        assert conv.feeds == node.name
        # folded: 12 pairs, 16 biases; LIF: 16 MAC and 16 AC
        cost = price(counts).total
        assert (cost.macs, cost.acs) == (16, 12 + 16 + 16)
        # not folded: the convolution's own bias is added, and the norm multiplies
        cost = price(counts, Pricing(fold_norm=False)).total
        assert (cost.macs, cost.acs) == (16 + 16, 12 + 16 + 16)

    def test_a_norm_folds_into_products_alone(self):
        frames = spike_frames(1, 1, 2, 4)
        for net, folds in (
            (Folded(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), True),
            (Folded(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)), False),
            (Folded(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.BatchNorm2d(2)), False),
            (Folded(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)), False),
            (Folded(nn.Conv2d(2, 2, 1), nn.GroupNorm(1, 2)), False),
        ):
            (norm,) = (layer for layer in count(net, frames).layers if layer.kind == "norm")
            assert norm.folded is folds
            bill = price(count(net, frames))
            (cost,) = (line.total for line in bill.layers if line.name == norm.name)
            assert (cost.macs, cost.acs) == ((0, 32) if folds else (32, 0))

    @pytest.mark.parametrize("decode", ["last_mem", None])
    def test_a_node_that_gives_its_potential_fires_nothing(self, decode):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = sj_layer.Linear(4, 3, step_mode="m")
                self.node = sj_neuron.NonSpikingIFNode(decode)

            def forward(self, frames):
                out = self.node(self.linear(frames.transpose(0, 1).flatten(2)))
                return out[-1] if decode is None else out

        net = Net()
        nn.init.ones_(net.linear.weight)  # whole potentials are no spikes either
        nn.init.zeros_(net.linear.bias)
        counts = count(net, torch.ones(2, 5, 1, 2, 2))
        node = counts.by_name["node"]
        assert (node.neuron, node.total.spikes, counts.spiking) == ("integrator", 0, ())
        # three neurons a clip, each of which adds to its potential at all five steps
        assert steps(node, "outputs") == [2 * 3] * 5
        assert counts.mean_rate() is None
        assert price(counts).total.acs == 5 * (12 + 3 + 3)  # pairs, biases, potentials

    def test_products_with_a_spike_are_gates(self):
        class Net(nn.Module):
            def forward(self, frames):
                spikes, x = frames[:, 0], frames[:, 0] * 0.7 + torch.eye(2)
                return (self.gate(spikes, x) + self.scale(x, x)).flatten(1)

            def gate(self, spikes, x):
                return spikes * x

            def scale(self, x, y):
                return torch.multiply(x, y)

        frames = torch.zeros(2, 1, 1, 2, 2)
        frames[:, 0, 0, 0, 1] = 1
        by_name = count(Net(), frames).by_name
        # x holds two ones and one 0.7 a clip; it is gated by the spike, and squared
        assert by_name["mul()"].total.products == 0
        assert by_name["multiply()"].total.products == 2 * 3

    def test_pools_and_sums(self):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.average, self.maximum = nn.AvgPool2d(2), nn.MaxPool2d(2)

            def forward(self, frames):
                x = frames.flatten(0, 1)
                x = self.average(x) + self.maximum(x)
                return x.mean((2, 3)).sum(0)

        frames = torch.zeros(1, 2, 1, 4, 4)
        frames[0, 0, 0, 0, 0] = 1
        by_name = count(Net(), frames).by_name
        assert steps(by_name["average"], "additions") == [4 * 3, 4 * 3]  # 4 windows of 4 numbers
        assert steps(by_name["maximum"], "comparisons") == [12, 12]
        assert steps(by_name["add()"], "additions") == [1, 0]  # where either side is not zero
        assert steps(by_name["mean()"], "additions") == [3, 3]
        assert steps(by_name["sum()"], "additions") == [1]  # over both steps, so none's own

    @pytest.mark.parametrize("integers", ["multi_ac", "mac"])
    def test_precision_and_memory(self, integers):
        counts = count(Folded(nn.Flatten(), nn.Linear(4, 5)), torch.ones(1, 2, 1, 2, 2))
        # 2 x 20 pairs and 2 x 5 biases
        for precision, energy, size in (("fp32", 0.9, 4), ("fp16", 0.4, 2), ("int8", 0.03, 1)):
            cost = price(counts, Pricing(integers, precision, memory="weights_once")).total
            assert cost.energy_pj == pytest.approx(50 * energy)
            assert cost.memory_pj == pytest.approx(25 * size * 24.96)
            cost = price(counts, Pricing(integers, precision, memory="per_use")).total
            assert cost.memory_pj == pytest.approx(40 * size * 24.96)
            assert price(counts, Pricing(integers, precision)).total.memory_pj == 0


class TestSteps:
    """Where a network keeps its steps makes no difference to what is counted."""

    def layers(self, step_mode):
        torch.manual_seed(0)
        net = nn.Sequential(
            sj_layer.Conv2d(2, 4, 3, padding=1, bias=False, step_mode=step_mode),
            sj_layer.BatchNorm2d(4, step_mode=step_mode),
            sj_neuron.IFNode(v_threshold=0.3, step_mode=step_mode),
            sj_layer.AvgPool2d(2, step_mode=step_mode),
            sj_layer.Conv2d(4, 3, 3, padding=1, stride=2, step_mode=step_mode),
            sj_neuron.IFNode(v_threshold=0.3, step_mode=step_mode),
            sj_layer.Flatten(step_mode=step_mode),
            sj_layer.Linear(3 * 4, 5, step_mode=step_mode),
        )
        return net.eval()

    def multi(self):
        class Multi(nn.Module):
            def __init__(self, net):
                super().__init__()
                self.net = net

            def forward(self, frames):
                return self.net(frames.transpose(0, 1)).mean(0)

        return Multi(self.layers("m"))

    def loop(self):
        class Loop(nn.Module):
            def __init__(self, net):
                super().__init__()
                self.net = net

            def forward(self, frames):
                return sum(self.net(frames[:, t]) for t in range(frames.shape[1]))

        return Loop(self.layers("s"))

    def test_a_loop_counts_as_much_as_a_sequence(self):
        frames = spike_frames(3, 4, 2, 8, share=0.3)
        multi, loop = count(self.multi(), frames), count(self.loop(), frames)
        assert multi.uncounted == loop.uncounted == ()
        for mine, other in zip(multi.layers[:7], loop.layers[:7], strict=True):
            assert mine == other
            assert len(mine.steps) == 4
        nodes = multi.spiking
        assert all(0 < multi.rate(node) < 1 for node in nodes)
        # potentials build up, so steps differ
        assert len(set(steps(nodes[0], "spikes"))) > 1

    def test_a_stem_that_runs_once_counts_once(self):
        class Static(nn.Module):
            def __init__(self):
                super().__init__()
                self.stem = nn.Conv2d(2, 3, 3, padding=1)
                self.node = sj_neuron.IFNode(step_mode="m")
                self.late = sj_layer.Linear(3 * 16, 2, step_mode="m")

            def forward(self, frames):
                x = self.stem(frames[:, 0]).expand(frames.shape[1], -1, -1, -1, -1)
                return self.late(self.node(x).flatten(2)).mean(0)

        counts = count(Static(), spike_frames(2, 4, 2, 4))
        by_name = counts.by_name
        assert len(by_name["stem"].steps) == 1
        assert len(by_name["late"].steps) == len(by_name["node"].steps) == 4
        assert by_name["stem"].total.dense == 2 * 9 * 2 * 3 * 16
        assert by_name["late"].total.dense == 2 * 4 * 48 * 2
        assert counts.dense_pass == 9 * 2 * 3 * 16 + 48 * 2

    def test_as_many_channels_as_steps_confuse_nobody(self):
        net = Folded(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), sj_neuron.IFNode())
        frames = spike_frames(4, 4, 4, 4, share=0.4)
        conv = count(net, frames).layers[0]
        expected = [brute(frames[:, t], net.layers[0]) for t in range(4)]
        assert steps(conv, "pairs") == expected

    def test_nodes_that_nobody_resets_do_not_carry_one_clip_into_the_next(self):
        node = sj_neuron.IFNode(step_mode="s")
        net = Folded(nn.Identity(), node)
        # 0.6 stays below the threshold of 1, and two of them do not
        counts = count(net, torch.full((3, 1, 1, 2, 2), 0.6))
        assert counts.mean_rate() == 0
        assert node.v == 0  # as if it had never run

    def test_clips_are_independent_and_batches_do_not_matter(self):
        net = awake(create("spiking-fer", 6, 3, seed=0, zero_init_gamma=False))
        frames = spike_frames(3, 3)
        whole = count(net, frames)
        parts = [count(net, clip[None]) for clip in frames]
        assert count(net, frames.split(2)) == whole
        for i, layer in enumerate(whole.layers):
            for t, tally in enumerate(layer.steps):
                assert tally == Tally.sum(part.layers[i].steps[t] for part in parts)
        assert net.training  # as it was


def brute(x, conv):
    """Count pairs by loops: every output, tap and channel that meets something."""
    pairs = 0
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (
        conv.kernel_size, conv.stride, conv.padding, conv.dilation,
    )  # fmt: skip
    n, c, height, width = x.shape
    out_h = (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    out_w = (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    values = (x != 0).numpy()
    each = c // conv.groups
    places = itertools.product(
        range(n), range(conv.out_channels), range(out_h), range(out_w), range(kh), range(kw)
    )
    for clip, out, oy, ox, ky, kx in places:
        y, x_ = oy * sh + ky * dh - ph, ox * sw + kx * dw - pw
        if 0 <= y < height and 0 <= x_ < width:
            group = out // (conv.out_channels // conv.groups)
            pairs += int(values[clip, group * each : (group + 1) * each, y, x_].sum())
    return pairs


class TestAgainstLoops:
    @hypothesis.settings(max_examples=examples(60))
    @hypothesis.given(
        groups=st.integers(1, 3),
        channels=st.tuples(st.integers(1, 2), st.integers(1, 2)),
        kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
        stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
        dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
        size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
        seed=st.integers(0, 1000),
    )
    def test_pairs_of_random_convolutions(
        self, groups, channels, kernel, stride, padding, dilation, size, seed
    ):
        spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        hypothesis.assume(
            all(s + 2 * p >= span for s, p, span in zip(size, padding, spans, strict=True))
        )
        n_in, n_out = channels[0] * groups, channels[1] * groups
        conv = nn.Conv2d(n_in, n_out, kernel, stride, padding, dilation, groups, bias=False)
        x = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, (2, 1, n_in, *size)))
        (found,) = count(Folded(conv), x).layers
        assert found.total.pairs == brute(x[:, 0], conv)
        ones = x.float()[:, 0]
        twin = nn.Conv2d(n_in, n_out, kernel, stride, padding, dilation, groups, bias=False)
        nn.init.ones_(twin.weight)
        with torch.no_grad():
            # with weights of one, outputs are what the inputs add up to
            assert found.total.pairs == twin((ones != 0).float()).sum()
            assert found.total.unit_pairs + found.total.larger_sum == (
                twin(ones).sum() if found.values == "integer" else found.total.pairs
            )

    @pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
    def test_what_stands_in_the_padding_counts_if_it_is_no_zero(self, mode):
        conv = nn.Conv2d(2, 3, 3, padding="same", padding_mode=mode, bias=False)
        nn.init.ones_(conv.weight)
        x = spike_frames(2, 1, 2, 5, share=0.4)
        (found,) = count(Folded(conv), x).layers
        with torch.no_grad():
            assert found.total.pairs == conv(x[:, 0]).sum()

    @pytest.mark.parametrize(
        ("kind", "shape"),
        [(nn.Conv1d, (2, 9)), (nn.Conv3d, (2, 4, 5, 6)), (nn.ConvTranspose2d, (2, 5, 4))],
    )
    def test_other_numbers_of_axes(self, kind, shape):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = kind(2, 3, 3, stride=2, padding=1, bias=False)

            def forward(self, frames):
                return self.conv(frames.reshape(len(frames), *shape))

        net = Net()
        nn.init.ones_(net.conv.weight)
        x = torch.from_numpy(np.random.default_rng(0).random((2, *shape)) < 0.3).float()
        (found,) = count(net, x.reshape(2, 1, 1, 2, -1)).layers
        with torch.no_grad():
            assert found.total.pairs == net.conv(x).sum()

    @pytest.mark.parametrize("side", [2, 4, 9])
    def test_the_short_way_of_evfers_own_convolution_counts_the_same(self, side):
        frames = spike_frames(2, 3, 2, side, share=0.5)
        for size, stride in ((3, 1), (3, 2), (1, 2), (7, 2)):
            own = Conv2d(2, 4, size, stride, size // 2)
            plain = nn.Conv2d(2, 4, size, stride, size // 2, bias=False)
            assert count(Folded(own), frames) == count(Folded(plain), frames)

    def test_functions_count_as_layers_do(self):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(2, 4, 3, padding=1, stride=2)
                self.norm = nn.BatchNorm2d(4)
                self.linear = nn.Linear(64, 3)

        class Layers(Net):
            def forward(self, frames):
                return self.linear(F.relu(self.norm(self.conv(frames[:, 0]))).flatten(1))

        class Functions(Net):
            def forward(self, frames):
                conv, norm = self.conv, self.norm
                x = F.conv2d(frames[:, 0], conv.weight, conv.bias, stride=2, padding=1)
                x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
                x = F.relu(x).flatten(1)
                return F.linear(x, self.linear.weight, self.linear.bias)

        torch.manual_seed(0)
        layers, functions = Layers(), Functions()
        functions.load_state_dict(layers.state_dict())
        frames = spike_frames(2, 1, 2, 8)
        mine, other = count(layers, frames), count(functions, frames)
        for a, b in zip(mine.layers, other.layers, strict=True):
            assert (a.kind, a.steps, a.values, a.folded) == (b.kind, b.steps, b.values, b.folded)


def test_large_activations_are_no_counts_of_spikes():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        net[1].weight.fill_(1e15)  # as a network that training has blown up
        net[1].bias.zero_()
    report = build_report(count(net, torch.ones(1, 1, 1, 2, 2)), "net")
    assert 0 < report.summary()["full_mj"] < 1e-6
