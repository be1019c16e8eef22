"""A trained network in one file: what it says, what it takes, and what it never does."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from benching import MODEL, run, write_set
from learning import make_config
from safetensors.torch import load_file, save_file

import evfer
from evfer import convert, folds, recordings
from evfer.bench.trained import SUFFIX, read_trained
from evfer.convert import load_config
from evfer.datasets.demo import DemoHeads
from evfer.errors import ConfigError, RecordingError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "run"
    config = make_config(augment=[], train={"epochs": 1})
    (row,) = run(tiny, out, model="logistic", config=config, only_folds=[1])
    return evfer.load(out), row


def test_it_says_the_rows_predictions_of_recordings(tiny, trained):
    network, row = trained
    paths = {e.clip_id: tiny / e.path for e in recordings.read_index(tiny)}
    for said in row["predictions"]:
        shares = network.predict(paths[said["clip_id"]])
        assert shares.shape == (1, 3)
        assert shares.sum() == pytest.approx(1, abs=1e-5)
        assert shares.argmax() == said["prediction"]
        assert shares.max() == pytest.approx(said["confidence"], abs=1e-5)


def test_events_frames_and_batches_are_the_same(tiny, trained):
    network, _ = trained
    path = next(tiny.glob("*/*.h5"))
    expected = network.predict(path)
    frames = network.inputs_for(path)
    assert frames.shape == (1, *network.about.shape)
    for source in (recordings.read(path).events, frames, frames.numpy()[0], str(path)):
        np.testing.assert_array_equal(network.predict(source), expected)
    np.testing.assert_allclose(network.predict(torch.cat([frames] * 3))[2], expected[0], rtol=1e-6)
    with pytest.raises(ConfigError, match="as it was trained on"):
        network.predict(np.zeros((1, 2, 2, 8, 8)))
    with pytest.raises(ConfigError, match="a source of type int"):
        network.predict(3)
    with pytest.raises(RecordingError, match="no such file"):
        network.predict("nowhere.mp4")


def test_its_file_says_all_it_takes(trained):
    network, row = trained
    about = network.about
    assert about.key == row.key
    assert (about.model, about.dataset) == ("logistic", "tiny")
    assert about.classes == tuple(row["classes"]) == network.classes
    assert about.scores["accuracy"] == row["accuracy"]
    assert about.fingerprint == row["data_fingerprint"]
    assert about.versions == row["versions"]
    assert network.frames.n_steps == about.shape[0] == about.n_steps
    assert read_trained(network.path) == about


def test_one_of_ones_own_is_built_only_where_it_is_named(tiny, tmp_path):
    run(tiny, tmp_path, only_folds=[0], config=make_config(train={"epochs": 1}))
    with pytest.raises(ConfigError, match="does not say which code is run"):
        evfer.load(tmp_path)
    assert evfer.load(tmp_path, model=MODEL).about.model == MODEL
    with pytest.raises(ConfigError, match="weights of learning:small_net"):
        evfer.load(tmp_path, model="resnet18")


def test_files_that_cannot_be_used(trained, tmp_path):
    network, _ = trained
    with pytest.raises(RecordingError, match="0 trained networks"):
        evfer.load(tmp_path)
    with pytest.raises(RecordingError, match="no such file"):
        evfer.load(tmp_path / f"a{SUFFIX}")
    old = tmp_path / "demo-fold0-12345678.weights.pt"
    torch.save({"key": "x"}, old)
    with pytest.raises(RecordingError, match="older evfer.*Measure it again"):
        evfer.load(old)
    path = tmp_path / f"b{SUFFIX}"
    path.write_bytes(network.path.read_bytes()[:-9])
    with pytest.raises(RecordingError, match="cannot be read"):
        evfer.load(path)
    about = {"format": 1, **dataclasses.asdict(network.about)}
    for wrong in ({}, {"format": 2}, about | {"classes": 3}, about | {"frames": []}):
        save_file(load_file(network.path), path, {"evfer": json.dumps(wrong)})
        with pytest.raises(RecordingError, match="no trained network"):
            evfer.load(path)
    save_file({"x": torch.ones(1)}, path, {"evfer": json.dumps(about)})
    with pytest.raises(RecordingError, match="weights of another network"):
        evfer.load(path)
    # what a later version adds is passed over
    save_file(load_file(network.path), path, {"evfer": json.dumps(about | {"later": 1})})
    assert evfer.load(path).about == network.about


def test_videos_become_events_as_the_sets_did(tiny, trained, tmp_path):
    network, _ = trained
    heads = DemoHeads(people=2, repetitions=1)
    clip = heads.survey(None).clips[0]
    frames = heads.open(clip, None)
    pictures, times_s = np.stack([*frames]), frames.times_s
    with pytest.raises(ConfigError, match=r"no conversion\.toml"):
        network.predict(pictures, times_s)
    settings = load_config("default", {"interpolation": {"method": "none"}})
    summary = convert.convert(heads, None, tmp_path, settings, limit=6)
    out = tmp_path / "results" / "run"
    config = make_config(augment=[], train={"epochs": 1})
    entries = recordings.read_index(summary.folder)
    run(summary.folder, out, model="majority", config=config, only_folds=[0],
        plans=[folds.build(entries, "kfold", 2)])  # fmt: skip
    of_heads = evfer.load(out)
    assert of_heads.about.conversion["interpolation"]["method"] == "none"
    made = of_heads.inputs_for(pictures, times_s).numpy()
    stored = of_heads.inputs_for(summary.folder / entries[0].path).numpy()
    # the same face, cut out and turned to events alike; another pattern of the sensor's noise
    assert np.corrcoef(made.ravel(), stored.ravel())[0, 1] > 0.5
    assert of_heads.predict(pictures, times_s).shape == (1, len(of_heads.classes))
