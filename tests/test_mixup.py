"""Mixup: blends, their labels, and a training with them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learning import make_set
from learning_folds import build, same, task
from torch.nn import functional

from evfer.errors import ConfigError
from evfer.training import fit
from evfer.training.losses import load_loss, mix

pytestmark = pytest.mark.usefixtures("one_thread")


def batch(n=5):
    # each clip's value is its label, so that a blend says which clips it was made of
    labels = torch.arange(n)
    return labels.float()[:, None, None, None, None].expand(n, 2, 2, 3, 3), labels


@given(st.integers(0, 1000), st.sampled_from([0.1, 0.4, 1.0, 8.0]))
def test_blends_are_of_two_clips_and_answer_for_both(seed, alpha):
    frames, labels = batch()
    torch.manual_seed(seed)
    mixed = mix(frames, labels, alpha)
    assert 0 <= mixed.share <= 1
    assert sorted(mixed.others.tolist()) == labels.tolist()
    expected = mixed.share * labels + (1 - mixed.share) * mixed.others
    torch.testing.assert_close(mixed.frames[:, 1, 0, 2, 1], expected)
    logits = torch.randn(5, 5)
    target = mixed.share * torch.eye(5)[labels] + (1 - mixed.share) * torch.eye(5)[mixed.others]
    torch.testing.assert_close(
        mixed.loss(load_loss("cross_entropy", 0.0), logits),
        functional.cross_entropy(logits, target),
    )
    hits = target[torch.arange(5), logits.argmax(1)].sum()
    assert mixed.right(logits) == pytest.approx(float(hits), abs=1e-5)


def test_without_mixup_nothing_changes():
    frames, labels = batch()
    before = torch.random.get_rng_state()
    mixed = mix(frames, labels, 0.0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert mixed.frames is frames
    logits = torch.randn(5, 5)
    assert torch.equal(
        mixed.loss(load_loss("cross_entropy", 0.1), logits),
        functional.cross_entropy(logits, labels, label_smoothing=0.1),
    )
    assert mixed.right(logits) == int((logits.argmax(1) == labels).sum())


def test_large_alphas_blend_half_and_half():
    torch.manual_seed(0)
    shares = [mix(*batch(), 1000.0).share for _ in range(50)]
    assert max(abs(share - 0.5) for share in shares) < 0.05


@pytest.fixture(scope="module")
def data():
    return make_set()


def test_it_learns_from_blends(data):
    found = fit(build, task(data, train={"epochs": 12, "mixup": 0.4}))
    assert found.predictions.accuracy >= 0.8
    # nobody is right about both labels of a blend
    assert found.curve[-1].train_accuracy < 0.99
    assert found.curve[-1].train_loss > fit(build, task(data)).curve[-1].train_loss


def test_a_training_with_blends_goes_on_where_it_was(data, tmp_path):
    job = task(data, train={"mixup": 0.4})
    found, path = fit(build, job), tmp_path / "state.pt"

    class Stop(Exception):
        pass

    def stop(event):
        if event.kind == "step" and event.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        fit(build, job, checkpoint=path, checkpoint_every_s=0, progress=stop)
    assert path.is_file()
    assert same(fit(build, job, checkpoint=path, checkpoint_every_s=0), found)


@pytest.mark.parametrize("alpha", [-1.0, 1e-3, 1e39, float("inf")])
def test_what_alpha_may_not_be(data, alpha):
    with pytest.raises(ConfigError, match=r"train\.mixup = "):
        task(data, train={"mixup": alpha})


def test_the_least_alpha_leaves_most_clips_alone():
    torch.manual_seed(0)
    shares = [mix(*batch(), 0.01).share for _ in range(200)]
    assert sum(0.01 < share < 0.99 for share in shares) < 20
    assert 60 < sum(share > 0.5 for share in shares) < 140
