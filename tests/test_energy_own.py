"""Operations without a rule, and rules of one's own."""

import pytest
import torch
from torch import nn

from evfer.energy import build_report
from evfer.energy.counting_torch import count
from evfer.energy.rules_torch import _REGISTERED, register
from evfer.energy.synapses_torch import tally_linear


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.last = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.rnn(x.mean((3, 4)))[0][:, -1])


class Own(nn.Module):
    """A linear layer through a function that has no rule."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 2))

    def forward(self, x):
        return torch.einsum("bi,oi->bo", x, self.weight)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.own = Own()

    def forward(self, x):
        return self.own(x.mean((1, 3, 4)))


FRAMES = torch.ones(1, 2, 2, 4, 4)


@pytest.mark.parametrize("network", [Recurrent, Network])
@pytest.mark.parametrize(
    ("ran", "columns"), [(True, "full, paper and dense ANN"), (False, "paper and dense ANN")]
)
def test_the_remark_names_each_column(network, ran, columns):
    (remark,) = build_report(count(network(), FRAMES), ran=ran).remarks
    assert remark.startswith(f"Not counted, and so missing from {columns}: ")


def test_the_twin_has_its_own_remark():
    counts, twin = (
        count(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), FRAMES),
        count(Recurrent(), FRAMES),
    )
    (remark,) = build_report(counts, twin=twin).remarks
    assert "the network without spikes" in remark
    assert "paper and dense ANN" in remark


def test_a_rule_of_ones_own(monkeypatch):
    for kind in list(_REGISTERED):
        monkeypatch.delitem(_REGISTERED, kind)
    assert count(Network(), FRAMES).uncounted

    def rule(watch, name, layer, x, output):
        site = watch.site(name, "linear", about="2->3", weights=layer.weight.numel())
        watch.synapses(site, x, output, 1, lambda rows, values: tally_linear(rows, values, 3))

    monkeypatch.setitem(_REGISTERED, Own, None)
    register(Own, rule)
    counts = count(Network(), FRAMES)
    assert not counts.uncounted
    assert counts.by_name["own"].total.dense == 6
