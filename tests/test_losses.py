"""Losses by name: one's own trains, and one that cannot be used is named."""

import pytest
import torch
from learning import make_set
from learning_folds import build, same, task
from torch import nn
from torch.nn import functional

from evfer.errors import ConfigError, UnknownNameError
from evfer.training import fit
from evfer.training.losses import load_loss

pytestmark = pytest.mark.usefixtures("one_thread")

LOGITS, LABELS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.arange(4) % 3


def with_smoothing(logits, targets, label_smoothing):
    return functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def each_clip(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none")


def of_logits(logits):
    return logits.mean()


def of_three(logits, targets, subjects):
    return functional.cross_entropy(logits, targets)


whole_module = nn.CrossEntropyLoss()
number = 3


@pytest.fixture(scope="module")
def data():
    return make_set()


def test_a_loss_of_ones_own_trains(data):
    sections = {"epochs": 1, "label_smoothing": 0.1}
    own = fit(build, task(data, train={**sections, "loss": f"{__name__}:with_smoothing"}))
    assert same(own, fit(build, task(data, train=sections)))


def test_a_loss_is_told_of_label_smoothing_if_it_asks():
    expected = functional.cross_entropy(LOGITS, LABELS, label_smoothing=0.2)
    for name in (
        "cross_entropy",
        "torch.nn.functional:cross_entropy",
        f"{__name__}:with_smoothing",
    ):
        assert torch.equal(load_loss(name, 0.2)(LOGITS, LABELS), expected)
    margin = load_loss("torch.nn.functional:multi_margin_loss", 0.0)
    assert torch.equal(margin(LOGITS, LABELS), functional.multi_margin_loss(LOGITS, LABELS))
    assert load_loss(f"{__name__}:whole_module", 0.0)(LOGITS, LABELS).ndim == 0
    with pytest.raises(ConfigError, match=r"train\.label_smoothing = 0\.2"):
        load_loss("torch.nn.functional:multi_margin_loss", 0.2)


def test_shares_of_classes_are_targets_too():
    shares = functional.one_hot(LABELS, 3).float()
    loss = load_loss("cross_entropy", 0.0)
    torch.testing.assert_close(loss(LOGITS, shares), loss(LOGITS, LABELS))


@pytest.mark.parametrize(
    "name", ["each_clip", "of_logits", "of_three", "number", "torch.nn:CrossEntropyLoss"]
)
def test_a_loss_that_cannot_be_used_is_named(name):
    name = name if ":" in name else f"{__name__}:{name}"
    with pytest.raises(ConfigError, match=f'the loss "{name}"'):
        load_loss(name, 0.0)(LOGITS, LABELS)


def test_a_name_that_no_loss_has(data):
    with pytest.raises(UnknownNameError, match="cross_entropy"):
        load_loss("cross_entrophy", 0.0)
    with pytest.raises(UnknownNameError, match="cross_entropy"):  # before any training
        _ = task(data, train={"loss": "cross_entrophy"}).config.sha256
