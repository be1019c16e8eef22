"""Benching by name, and what must not be mistaken for a result that is already there."""

from __future__ import annotations

import dataclasses

import pytest
from benching import write_set

from evfer import plugins, recordings, study
from evfer.bench import RunOptions, make_jobs, prepare, run
from evfer.bench.optimism import explain_choices
from evfer.bench.rows import read_rows
from evfer.cli import main
from evfer.errors import ConfigError, SourceError, UnknownNameError

TINY = {
    "frames": {"n_steps": 3, "size": 16},
    "train": {"epochs": 1, "batch_size": 16, "precision": "no"},
    "select": {"on": "last"},
}
NET = """
from torch import nn

def build(n_classes, n_steps):
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * n_steps * 256, n_classes))
"""


@pytest.fixture
def data(tmp_path):
    write_set(tmp_path)
    return tmp_path


def test_recipe_and_folds_are_found(data):
    (found,) = prepare(data, "resnet18")
    assert (found.folder.name, found.config.name, found.protocol) == (
        "TinyDVS",
        "resnet18",
        "strict",
    )
    assert len(found.plan.splits) == 4
    assert len(prepare(data, "resnet18", n_folds=3)[0].plan.splits) == 3
    with pytest.raises(SourceError, match="no converted set"):
        prepare(data, "resnet18", datasets=["other"])


@pytest.mark.parametrize("protocol", ["paper", "code"])
def test_published_protocols_are_whole_or_refused(tmp_path, protocol):
    write_set(tmp_path, "DemoDVS")
    assert prepare(tmp_path, "spiking-fer")[0].config.name == "demo"  # as the card says
    (found,) = prepare(tmp_path, "spiking-fer", protocol=protocol)
    assert found.config.name == "spiking-fer"
    assert found.config.select.on == "best_test_epoch"
    assert "LEAK" in found.leak[0]
    with pytest.raises(ConfigError, match=f"does not say what protocol {protocol} means"):
        prepare(tmp_path, "spiking-fer", protocol=protocol, recipe="demo")


def test_what_test_clips_choose_is_said(tmp_path):
    for name in ("CKPlusDVS", "TinyDVS"):
        write_set(tmp_path, name)

    def said(name, **given):
        (found,) = prepare(tmp_path, "spiking-fer", datasets=[name], recipe="spiking-fer", **given)
        return found.chosen

    paper = "the published study found best on test clips of this data set"
    assert paper in said("CKPlusDVS")
    assert paper in said("CKPlusDVS", eda="fig6_C")
    nothing = "Test clips choose nothing: neither the epoch nor augmentations nor any setting."
    assert said("CKPlusDVS", eda="hflip") == nothing
    assert said("TinyDVS") == nothing
    both = said("CKPlusDVS", protocol="paper")
    assert both.startswith("OPTIMISTIC: the test clips choose the epoch")
    assert paper in both


@pytest.mark.parametrize(
    ("name", "recipe", "eda", "chose"),
    [
        ("DemoDVS", "demo", None, ("settings",)),
        ("DemoDVS", "demo-full", "none", ("settings",)),
        ("DemoDVS", "resnet18", "none", ()),
        ("TinyDVS", "demo", None, ()),
        ("CKPlusDVS", "resnet18", "fig6_C", ("augmentations",)),
        ("CKPlusDVS", "resnet18", "none", ()),
    ],
)
def test_console_row_and_report_say_the_same(tmp_path, name, recipe, eda, chose):
    write_set(tmp_path, name)
    once = TINY | {"split": {"repeats": 1}}
    found = prepare(
        tmp_path, "learning:small_net", recipe=recipe, eda=eda, overrides=once, only_folds=[0]
    )
    assert found[0].chosen == explain_choices(chose)
    (row,) = run(make_jobs(found, tmp_path / "out", RunOptions(energy=False)))
    assert tuple(row["leak"]["test_chose"]) == chose
    assert row.leak.test_chose == chose
    tuned = "The recipe's settings were chosen on this set's test clips, so figures are a little"
    assert (tuned in found[0].chosen) == ("settings" in chose)


@pytest.mark.parametrize(
    ("given", "split", "used"),
    [
        ({}, {}, ("strict", 4, 0, True)),
        ({"n_folds": 2, "seed": 5}, {}, ("strict", 2, 0, True)),
        ({"protocol": "loso"}, {}, ("loso", 8, 0, False)),
        ({"protocol": "strict", "seed": 5}, {"stratify": False}, ("strict", 5, 5, False)),
        ({}, {"kind": "kfold", "stratify": True}, ("kfold", 10, 0, True)),
        ({}, {"kind": "kfold", "n_folds": 3, "seed": 2}, ("kfold", 3, 2, False)),
        (
            {"protocol": "code", "recipe": "resnet18"},
            {"kind": "published"},
            ("published", 10, 0, False),
        ),
    ],
)
@pytest.mark.parametrize("repeats", [1, 3])
def test_settings_say_which_folds_were_used(data, given, split, used, repeats):
    given = {"overrides": TINY | {"split": split | {"repeats": repeats}}} | given
    found = prepare(data, "learning:small_net", only_folds=[0], **given)
    jobs = make_jobs(found, data / "out")
    drawn = used[0] in ("strict", "kfold")
    for repeat, job in enumerate(jobs):
        kind, n_folds, seed, stratify = used
        assert job.settings["split"] == {
            "kind": kind,
            "n_folds": n_folds,
            "seed": seed + repeat * drawn,
            "stratify": stratify,
            "repeats": repeats,
        }
    assert len(jobs) == repeats


@pytest.mark.parametrize("model", ["majority", "learning:small_net"])
def test_an_estimator_has_no_optimiser(data, capsys, model):
    small = ["frames.n_steps=3", "frames.size=16", "split.repeats=1", "train.precision=bf16"]
    given = [word for pair in small for word in ("--set", pair)]
    place = ["--data", str(data), "--out", str(data / "out"), "--run", "run", "--recipe", "demo"]
    bench = ["bench", "--model", model, *place, *given, "--epochs", "1", "--only-folds", "0"]
    assert main([*bench, "--device", "cpu"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    (row,) = read_rows(data / "out" / "run" / "rows.jsonl").rows
    trained = model != "majority"
    assert row["precision"] == ("bf16" if trained else "no")
    assert row["energy"]["precision"] == "float32"  # as it was counted
    for words in ("adamw at", "precision bf16", "epoch chosen by last"):
        assert (words in said.split("No subject")[0]) == trained
    assert ("fitted once to the clips of 1 epoch" in said) != trained
    assert "16 clips a batch" in said


def test_a_study_repeats_nothing(data):
    config = study.load_study("eda-study", {"study": {"augmentations": ["none"], "n_folds": 2}})
    jobs = study.lay_out(config, data, data / "out").jobs
    assert {job.config.split.repeats for job in jobs} == {3}  # as the recipe says for a bench
    assert {job.settings["split"]["repeats"] for job in jobs} == {1}


def test_what_is_wrong_shows_before_any_training(data):
    with pytest.raises(UnknownNameError, match="one of code, loso, paper, strict"):
        prepare(data, "resnet18", protocol="published")
    with pytest.raises(ConfigError, match="fold 9 of TinyDVS; expected 0 to 3"):
        prepare(data, "resnet18", only_folds=[0, 9])
    with pytest.raises(UnknownNameError, match="model"):
        prepare(data, "resnet")
    with pytest.raises(ConfigError, match="head"):
        prepare(data, "resnet18", overrides={"model": {"head": "none"}})


def rows_of(data, model, out):
    kinds = []
    found = prepare(data, model, overrides=TINY, only_folds=[0])
    jobs = make_jobs(found, out, RunOptions(device="cpu"))
    run(jobs, progress=lambda event: kinds.append(event.kind))
    return kinds[-1]


def test_changed_labels_or_a_changed_model_are_another_result(data, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "own_net_of_test.py"
    source.write_text(NET)
    model, out = "own_net_of_test:build", tmp_path / "results"
    assert rows_of(data, model, out) == "row"
    assert rows_of(data, model, out) == "kept"
    source.write_text(NET + "\n# another\n")
    assert rows_of(data, model, out) == "row"
    folder = recordings.find_set(data, "tiny")
    entries = recordings.read_index(folder)
    codes = {e.label: e.label_name for e in entries}
    first, second = sorted(codes)[:2]
    turned = {first: second, second: first}
    recordings.write_index(
        folder,
        [
            dataclasses.replace(
                e,
                label=turned.get(e.label, e.label),
                label_name=codes[turned.get(e.label, e.label)],
            )
            for e in entries
        ],
    )
    from evfer import folds

    folds.renew(folder, "strict", 4)
    assert rows_of(data, model, out) == "row"


def test_source_digest():
    assert plugins.source_digest("evfer.models", "resnet18") == ""
    assert len(plugins.source_digest("evfer.models", "benching:failing_net")) == 64
