"""Baselines that fit themselves, and a network that sees one frame."""

import numpy as np
import pytest
import torch
from learning import CLASSES, feed, make_config, make_set
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evfer import metrics
from evfer.errors import ConfigError, UnknownNameError
from evfer.models import Estimator, count_parameters, create
from evfer.training import FoldTask, fit
from evfer.training.recipe import default_recipe, load_config


def task_of(data, **sections):
    train = tuple(i for i, who in enumerate(data.subjects) if who < "S005")
    test = tuple(i for i in range(len(data)) if i not in train)
    config = make_config(**({"augment": [], "train": {"epochs": 1}} | sections))
    return FoldTask(feed(data, config), train, test, config)


def clips(n=60, n_classes=3, seed=0, steps=2, side=8):
    """Make clips whose events sit in another corner for each class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    frames = (rng.random((n, steps, 2, side, side)) < 0.2).astype(np.float32)
    for i, label in enumerate(labels):
        frames[i, :, :, label : label + 2] = 1
    return torch.from_numpy(frames), torch.from_numpy(labels)


def test_majority_names_the_commonest_class_and_how_often():
    model = create("majority", 4, 2)
    assert isinstance(model, Estimator)
    labels = torch.tensor([2, 2, 1, 2, 0, 1])
    model.fit_batches(
        [(torch.zeros(4, 2, 2, 4, 4), labels[:4]), (torch.zeros(2, 2, 2, 4, 4), labels[4:])]
    )
    shares = model(torch.zeros(3, 2, 2, 4, 4)).softmax(1)
    np.testing.assert_allclose(shares[0].numpy(), np.array([2, 3, 4, 1]) / 10, rtol=1e-6)
    assert (shares == shares[0]).all()
    # of two that are as common the first, as the row's own figure has it
    model.fit_batches([(torch.zeros(2, 2, 2, 4, 4), torch.tensor([3, 1]))])
    assert model(torch.zeros(1, 2, 2, 4, 4)).argmax() == 1
    assert count_parameters(model) == 0


def test_majority_scores_what_the_row_says_it_would():
    data = make_set()
    task = task_of(data)
    found = fit(lambda: create("majority", len(CLASSES), 3), task)
    wanted = metrics.majority(data.labels[list(task.train)], data.labels[list(task.test)])
    assert found.predictions.accuracy == wanted
    assert metrics.collapsed(found.predictions.predictions)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_equals_scikit_learns_pipeline(n_classes):
    frames, labels = clips(n_classes=n_classes)
    model = create("logistic", n_classes, 2, cells=4, c=0.3)
    model.fit_batches([(frames[:25], labels[:25]), (frames[25:], labels[25:])])
    own = np.sqrt(frames.numpy().reshape(60, 4, 4, 2, 4, 2).sum((3, 5))).reshape(60, -1)
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000))
    peer.fit(own, labels.numpy())
    others, _ = clips(seed=1, n_classes=n_classes)
    unseen = np.sqrt(others.numpy().reshape(60, 4, 4, 2, 4, 2).sum((3, 5))).reshape(60, -1)
    with torch.no_grad():
        shares = model(others).softmax(1).numpy()
    np.testing.assert_allclose(shares, peer.predict_proba(unseen), atol=2e-3)
    assert count_parameters(model) == (64 + 1) * n_classes


def test_logistic_learns_and_needs_the_steps_for_motion():
    data = make_set()
    found = fit(lambda: create("logistic", 3, 3), task_of(data))
    assert found.predictions.accuracy > 0.8
    assert (found.selected_on, found.selected_epoch, found.n_validation) == ("last", 1, 0)
    assert found.n_train == 30
    assert found.curve[0].train_accuracy >= found.predictions.accuracy
    again = fit(lambda: create("logistic", 3, 3), task_of(data))
    assert again.predictions.confidences.tolist() == found.predictions.confidences.tolist()
    # up and down look alike once the steps are summed
    blind = fit(lambda: create("logistic", 3, 3, per_step=False), task_of(data))
    assert blind.predictions.accuracy < found.predictions.accuracy - 0.1


def test_an_estimator_sees_augmented_clips_as_often_as_there_are_epochs():
    seen = []

    class Watcher(torch.nn.Linear):
        def fit_batches(self, batches):
            seen.extend(frames.sum().item() for frames, _ in batches)

        def forward(self, frames):
            return super().forward(frames.sum((1, 2, 3, 4))[:, None])

    data = make_set()
    sections = {"train": {"epochs": 3, "batch_size": 30}, "select": {"on": "inner_validation"}}
    events = []
    fit(lambda: Watcher(1, 3), task_of(data, **sections), progress=events.append)
    assert len(seen) == 3
    assert len(set(seen)) == 1  # the same clips three times
    assert [(e.kind, e.epoch, e.epochs) for e in events] == [("epoch", 3, 3)]
    seen.clear()
    fit(lambda: Watcher(1, 3), task_of(data, **sections, augment=[{"name": "noise", "p": 1.0}]))
    assert len(set(seen)) == 3


def test_classes_and_clips_that_are_missing():
    frames, labels = clips(n_classes=2)
    model = create("logistic", 4, 2)
    model.fit_batches([(frames, labels)])
    with torch.no_grad():
        logits = model(frames)
    assert torch.isfinite(logits).all()
    assert set(logits.argmax(1).tolist()) == {0, 1}
    assert logits.softmax(1)[:, 2:].max() < 1e-9
    model.fit_batches([(frames[:1], labels[:1])])  # one class alone
    with torch.no_grad():
        assert (model(frames).argmax(1) == labels[0]).all()
    with pytest.raises(ConfigError, match="no clip to fit to"):
        model.fit_batches([])
    with pytest.raises(ConfigError, match="model input of shape"):
        model(frames[:, :1])
    with pytest.raises(ConfigError, match=r"model\.c 0"):
        create("logistic", 4, 2, c=0)
    with pytest.raises(UnknownNameError, match="cells"):
        create("logistic", 4, 2, cell=3)
    assert torch.isfinite(create("logistic", 4, 2)(torch.zeros(2, 2, 2, 5, 5))).all()


def test_one_frame_cnn_sees_no_order():
    model = create("cnn1", 3, 4, seed=0).eval()
    frames = (torch.rand(2, 4, 2, 24, 24) < 0.1).float()
    with torch.no_grad():
        np.testing.assert_allclose(model(frames), model(frames.flip(1)), atol=1e-5)
        assert model(frames[:, :1]).shape == (2, 3)
        assert not torch.allclose(model(frames), model(frames.flip(3)))
        small = create("cnn1", 3, 4, accumulate="any", widths=[4], seed=0).eval()
        twice = torch.cat([frames, frames], 1)
        np.testing.assert_allclose(small(frames), small(twice), atol=1e-6)
    for options in ({"widths": []}, {"dropout": 1.0}, {"in_channels": 0}):
        with pytest.raises(ConfigError):
            create("cnn1", 3, 4, **options)
    with pytest.raises(ConfigError, match="model input of shape"):
        model(frames[0])


def test_one_frame_cnn_learns():
    data = make_set()
    config = {"train": {"epochs": 12}}
    found = fit(lambda: create("cnn1", 3, 3, widths=[16, 16]), task_of(data, **config))
    assert found.curve[-1].train_accuracy > found.curve[0].train_accuracy
    assert found.curve[-1].train_loss < 0.9 * found.curve[0].train_loss


@pytest.mark.parametrize("protocol", ["strict", "paper", "code"])
@pytest.mark.parametrize("model", ["majority", "logistic", "cnn1"])
def test_every_protocol_has_a_recipe_for_them(model, protocol):
    found = load_config(default_recipe(model), model, protocol)
    networks = load_config(default_recipe("resnet18"), "resnet18", protocol)
    assert found.frames == networks.frames
    if model == "cnn1":
        assert (found.augment, found.train) == (networks.augment, networks.train)
    else:
        assert (found.train.epochs, found.augment, found.select.on) == (1, (), "last")
