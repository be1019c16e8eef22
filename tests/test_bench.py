"""The bench: a row per fold, resumable at any moment, the same whoever trains it."""

import dataclasses
import json
import os
import sys
import tomllib

import numpy as np
import pytest
import torch
from benching import MODEL, Killed, lines, run, timeless, write_set
from learning import SENSOR, make_config, make_set, small_net

from evfer import config, folds, metrics, recordings
from evfer.bench import load, load_config, make_jobs, prepare_set, row_key
from evfer.bench import run as run_jobs
from evfer.bench.claims import Claims
from evfer.bench.rows import RowWriter
from evfer.errors import (
    BusyError,
    ConfigError,
    OutputError,
    RecordingError,
    SourceError,
    UnknownNameError,
)
from evfer.inputs import EventInputs, Loader, load_set
from evfer.training import predict
from evfer.training.recipe import BenchConfig, default_recipe

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "undisturbed"
    return run(tiny, out), out


def test_rows_say_everything_and_agree_with_themselves(tiny, undisturbed):
    rows, out = undisturbed
    assert lines(out) == rows
    assert [row["fold"] for row in rows] == [0, 1, 2, 3]
    plan = folds.read(tiny, recordings.read_index(tiny))
    for row, split in zip(rows, plan.splits, strict=True):
        assert row.problems == ()  # what was written has no fault for the reader
        assert row.run == "undisturbed"
        assert (row["dataset"], row["set"], row["model"]) == ("tiny", "TinyDVS", MODEL)
        assert (row["protocol"], row["n_folds"], row["seed"]) == ("strict", 4, 0)
        assert row["folds_sha256"] == plan.sha256
        assert (row["selected_on"], row["selected_epoch"], row["epochs"]) == ("last", 3, 3)
        assert (row["n_train"], row["n_test"], row["n_validation"]) == (36, 12, 0)
        assert row["classes"] == ["happy", "fear", "surprise"]
        assert [p["clip_id"] for p in row["predictions"]] == [plan.clip_ids[i] for i in split.test]
        right = [p["label"] == p["prediction"] for p in row["predictions"]]
        assert row["accuracy"] == pytest.approx(sum(right) / 12)
        assert sum(row["confusion"][i][i] for i in range(3)) == sum(right)
        assert row["chance"] == row["majority"] == pytest.approx(1 / 3)
        assert row["used_fraction"] == 1.0
        sure = np.array([p["confidence"] for p in row["predictions"]])
        assert row["ece"] == metrics.calibrate(sure, right).error
        assert 0 <= row["ece"] <= 1
        assert row["anytime"] is None
        assert row["leak"] == {
            "subject_overlap": 0.0, "never_tested": 0.0, "multiply_tested": 0.0, "test_chose": [],
        }  # fmt: skip
        assert row["parameters"] == sum(p.numel() for p in small_net(3, 3).parameters())
        assert row["precision"] == "no"
        assert row["versions"]["torch"] == torch.__version__
        assert row["machine"]["threads"] == 1
        assert len(row["curve"]) == 3
    tested = [p["clip_id"] for row in rows for p in row["predictions"]]
    assert sorted(tested) == sorted(plan.clip_ids)


def test_no_person_is_trained_and_tested(tiny, undisturbed):
    plan = folds.read(tiny, recordings.read_index(tiny))
    for row in undisturbed[0]:
        tested = {p["subject"] for p in row["predictions"]}
        trained = {plan.clip_ids[i].split("/")[0] for i in plan.splits[row["fold"]].train}
        assert not tested & trained


def test_a_plan_may_leave_clips_out(tiny, tmp_path):
    entries = recordings.read_index(tiny)[7:]
    plan = folds.build(entries, "strict", 3)
    (row,) = run(tiny, tmp_path, plans=[plan], only_folds=[1])
    split = plan.splits[1]
    assert [p["clip_id"] for p in row["predictions"]] == [plan.clip_ids[i] for i in split.test]
    assert row["n_train"] == len(split.train)


def test_leaks_are_told(tiny, tmp_path):
    entries = recordings.read_index(tiny)
    plan = folds.build(entries, "published", 2)
    recipe = make_config(train={"epochs": 1}, select={"on": "best_test_epoch"})
    rows = run(tiny, tmp_path, config=recipe, plans=[plan], protocol="code")
    for row in rows:
        assert row["protocol"] == "code"
        assert row["leak"]["subject_overlap"] > 0.8
        assert row["leak"]["never_tested"] == pytest.approx(folds.leak(plan, entries).never_tested)
        assert row["leak"]["test_chose"] == ["epoch"]


def test_what_is_done_is_not_done_again(tiny, undisturbed, tmp_path):
    events = []
    run(tiny, tmp_path, only_folds=[2, 0])
    assert [row["fold"] for row in lines(tmp_path)] == [0, 2]
    rows = run(tiny, tmp_path, progress=events.append)
    assert [row["fold"] for row in rows] == [0, 1, 2, 3]
    assert [row["fold"] for row in lines(tmp_path)] == [0, 2, 1, 3]
    assert [(e.kind, e.fold) for e in events if e.kind != "train"] == [
        ("kept", 0), ("kept", 2), ("row", 1), ("row", 3),
    ]  # fmt: skip
    assert {e.fold for e in events if e.kind == "train"} == {1, 3}
    assert events[-1].done == events[-1].total == 4
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed[0]]
    before = lines(tmp_path)
    assert run(tiny, tmp_path) == rows
    assert lines(tmp_path) == before


def test_another_seed_recipe_model_plan_or_set_is_another_result(tiny, tmp_path):
    first = {"only_folds": [0]}
    run(tiny, tmp_path, **first)
    run(tiny, tmp_path, **first, seed=1)
    run(tiny, tmp_path, **first, config=make_config(train={"epochs": 2}))
    run(tiny, tmp_path, **first, model="benching:small_net")
    entries = recordings.read_index(tiny)
    run(tiny, tmp_path, **first, plans=[folds.build(entries, "strict", 2)])
    other = write_set(tmp_path / "other")
    entries = recordings.read_index(other)
    events = make_set().events(5)[:-1]
    digest = recordings.write(other / entries[5].path, events, SENSOR, {}, duration_us=60_000)
    entries[5] = dataclasses.replace(entries[5], n_events=len(events), events_sha256=digest)
    recordings.write_index(other, entries)
    run(other, tmp_path, **first)
    found = lines(tmp_path)
    assert len(found) == 6
    assert len({row_key(row) for row in found}) == 6
    # a recipe's name, and a default that is spelled out, change nothing
    same = make_config(name="renamed", train={"epochs": 3, "momentum": 0.9, "clip_norm": "none"})
    run(tiny, tmp_path, **first, config=same)
    assert len(lines(tmp_path)) == 6


def test_a_row_that_was_cut_short_is_mended(tiny, undisturbed, tmp_path):
    rows, _ = undisturbed
    path = tmp_path / "rows.jsonl"
    whole = [json.dumps(dict(row)) for row in rows]
    path.write_text(f"{whole[0]}\nnot json\n{whole[1]}\n{whole[2][:100]}")
    run(tiny, tmp_path)
    kept = path.read_text().splitlines()
    assert kept[:3] == [whole[0], "not json", whole[1]]
    assert [json.loads(line)["fold"] for line in kept[3:]] == [2, 3]
    # a whole row that only lacks its line end is kept
    path.write_text("\n".join(whole))
    assert run(tiny, tmp_path) == rows
    path.write_text("\n".join(whole[:3]))
    run(tiny, tmp_path)
    kept = path.read_text().splitlines()
    assert kept[:3] == whole[:3]
    assert json.loads(kept[3])["fold"] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on files there")
def test_a_fold_whose_row_a_full_disk_cuts_short_is_not_done(tiny, undisturbed, tmp_path):
    import resource

    path = tmp_path / "rows.jsonl"
    before = json.dumps(dict(undisturbed[0][0])) + "\n" + "not json\n" * 200_000
    path.write_text(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 300, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"rows\.jsonl: File too large"):
            run(tiny, tmp_path, only_folds=[0, 1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == before
    assert len(list((tmp_path / "checkpoints").glob("*fold1*.state.pt"))) == 1
    events = []
    rows = run(tiny, tmp_path, only_folds=[0, 1], progress=events.append)
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed[0][:2]]
    # what was trained is not trained again
    assert [event.kind for event in events] == ["kept", "row"]
    assert path.read_text().startswith(before)


def jobs_of(tiny, out):
    return make_jobs([prepare_set(tiny, MODEL, make_config(train={"epochs": 3}))], out)


def test_folds_that_another_process_measures_are_left_to_it(tiny, undisturbed, tmp_path):
    claims, jobs = Claims(tmp_path), jobs_of(tiny, tmp_path)
    claims.take(jobs[1])
    with pytest.raises(BusyError, match=rf"held by process {os.getpid()} on .*fold 1 of TinyDVS;"):
        run(tiny, tmp_path)
    assert [row["fold"] for row in lines(tmp_path)] == [0, 2, 3]
    # at once, where none is left
    events = []
    with pytest.raises(BusyError):
        run(tiny, tmp_path, only_folds=[1], progress=events.append)
    assert events == []
    with pytest.raises(BusyError):  # nothing is thrown away that another process builds on
        run(tiny, tmp_path, resume=False)
    assert len(lines(tmp_path)) == 3
    claims.close()  # as when the other process dies
    rows = run(tiny, tmp_path)
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed[0]]
    assert not list(tmp_path.glob(".fold-*"))


def test_a_fold_that_another_process_ended_meanwhile_is_not_measured_again(
    tiny, undisturbed, tmp_path
):
    jobs, events = jobs_of(tiny, tmp_path), []
    others = Claims(tmp_path)
    others.take(jobs[2])

    def end_fold(event):
        events.append(event)
        if event.kind == "row" and event.fold == 3:
            RowWriter(tmp_path / "rows.jsonl").append(undisturbed[0][2])
            others.release(jobs[2], done=True)

    rows = run(tiny, tmp_path, progress=end_fold)
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed[0]]
    assert [(e.kind, e.fold) for e in events if e.kind != "train"] == [
        ("row", 0), ("row", 1), ("row", 3), ("kept", 2),
    ]  # fmt: skip
    assert [row["fold"] for row in lines(tmp_path)] == [0, 1, 3, 2]


def test_starting_anew_replaces_its_own_rows_alone(tiny, tmp_path):
    run(tiny, tmp_path, only_folds=[0, 1])
    run(tiny, tmp_path, only_folds=[0], seed=1)
    before = lines(tmp_path)
    events = []
    run(tiny, tmp_path, only_folds=[1], resume=False, progress=events.append)
    assert [e.kind for e in events if e.kind != "train"] == ["row"]
    after = lines(tmp_path)
    assert after[:2] == [before[0], before[2]]
    assert timeless(after[2]) == timeless(before[1])


def test_the_run_is_described_and_several_benches_share_a_folder(tiny, tmp_path):
    recipe = make_config(train={"epochs": 1}, citations=["Someone, somewhere"])
    run(tiny, tmp_path, only_folds=[0], config=recipe, command="evfer bench --model x")
    run(tiny, tmp_path, only_folds=[0], config=recipe, seed=7)
    described = tomllib.loads((tmp_path / "run.toml").read_text())
    assert described["versions"]["torch"] == torch.__version__
    assert len(described["bench"]) == 2
    first, second = described["bench"].values()
    assert (first["command"], first["seed"], first["sets"]) == (
        "evfer bench --model x", 0, ["TinyDVS"],
    )  # fmt: skip
    assert second["seed"] == 7
    assert first["data"] == str(tiny.parent.parent)
    other = write_set(tmp_path / "data", "OtherDVS")
    run(other, tmp_path, only_folds=[0], config=recipe)
    described = tomllib.loads((tmp_path / "run.toml").read_text())
    assert next(iter(described["bench"].values()))["sets"] == ["OtherDVS", "TinyDVS"]
    # the recipe in it is complete: it builds the same bench again
    values = {k: v for k, v in first["recipe"].items() if k != "bench"}
    assert config.build(BenchConfig, values).sha256 == recipe.sha256 == first["recipe_sha256"]
    assert values["augment"][1] == {"name": "noise", "p": 0.5, "severity": 0.2}


def test_tested_weights_give_the_rows_predictions(tiny, undisturbed):
    rows, out = undisturbed
    data = load_set(tiny)
    files = sorted((out / "checkpoints").glob("*.trained.safetensors"))
    assert len(files) == 4
    for row, path in zip(rows, files, strict=True):
        trained = load(path, MODEL)
        assert trained.about.key == row_key(row)
        clips = tuple(data.clip_ids.index(p["clip_id"]) for p in row["predictions"])
        recipe = make_config(train={"epochs": 3})
        found = predict(trained.module, Loader(EventInputs(data, recipe.frames), clips, 8))
        assert found.predictions.tolist() == [p["prediction"] for p in row["predictions"]]


def test_a_model_that_fits_itself_is_measured_like_a_network(tiny, tmp_path):
    recipe = make_config(augment=[], train={"epochs": 1}, select={"on": "best_test_epoch"})
    rows = run(tiny, tmp_path, config=recipe, model="logistic", only_folds=[0, 1])
    assert rows == run(tiny, tmp_path, config=recipe, model="logistic", only_folds=[0, 1])
    assert len(lines(tmp_path)) == 2
    data = load_set(tiny)
    files = sorted((tmp_path / "checkpoints").iterdir())
    for row, path in zip(rows, files, strict=True):
        # no epoch to choose, so that the test chose none
        assert (row["selected_on"], row["leak"]["test_chose"]) == ("last", [])
        assert row["accuracy"] > 0.6
        assert row.problems == ()
        clips = tuple(data.clip_ids.index(p["clip_id"]) for p in row["predictions"])
        found = predict(load(path).module, Loader(EventInputs(data, recipe.frames), clips, 8))
        assert found.predictions.tolist() == [p["prediction"] for p in row["predictions"]]


def test_weights_and_curves_are_options(tiny, tmp_path):
    run(tiny, tmp_path, only_folds=[0], keep_weights=False)
    assert not (tmp_path / "checkpoints").exists() or not any((tmp_path / "checkpoints").iterdir())
    assert not (tmp_path / "tensorboard").exists()


def test_curves_go_on_where_a_killed_run_stood(tiny, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def kill(event):
        if event.train and event.train.epoch == 3:
            raise Killed

    recipe = make_config(train={"epochs": 5}, select={"on": "inner_validation"})
    settings = {"only_folds": [0], "config": recipe, "tensorboard": True}
    with pytest.raises(Killed):
        run(tiny, tmp_path, progress=kill, **settings)
    (row,) = run(tiny, tmp_path, **settings)
    (folder,) = (tmp_path / "tensorboard").iterdir()
    found = EventAccumulator(str(folder)).Reload()
    for tag, name in (
        ("loss/train", "train_loss"),
        ("accuracy/validation", "validation_accuracy"),
        ("lr", "lr"),
    ):
        scalars = found.Scalars(tag)
        assert [scalar.step for scalar in scalars] == [1, 2, 3, 4, 5]
        assert [scalar.value for scalar in scalars] == pytest.approx(
            [record[name] for record in row["curve"]], abs=2e-6
        )


def test_faults_show_before_any_training(tiny, tmp_path):
    with pytest.raises(ConfigError, match="no fold to run"):
        run_jobs([])
    with pytest.raises(SourceError):
        run(tmp_path, tmp_path / "out")
    with pytest.raises(UnknownNameError, match="spiking-fer"):
        run(tiny, tmp_path / "out", model="spiking-fre")
    with pytest.raises(UnknownNameError, match="width"):
        run(tiny, tmp_path / "out", config=make_config(model={"widht": 3}))
    with pytest.raises(ConfigError, match="fold 4"):
        run(tiny, tmp_path / "out", only_folds=[4])
    with pytest.raises(ConfigError, match="0 workers"):
        run(tiny, tmp_path / "out", workers=0)
    entries = recordings.read_index(tiny)
    stranger = dataclasses.replace(entries[0], clip_id="S999/001", subject="S999", sequence=1)
    plan = folds.build([*entries, stranger], "strict", 2)
    with pytest.raises(RecordingError, match="S999/001"):
        run(tiny, tmp_path / "out", plans=[plan])
    assert not (tmp_path / "out").exists()


def test_a_set_that_changes_between_folds_is_noticed(tmp_path):
    folder = write_set(tmp_path / "data")

    from evfer.bench.fold import remember_set

    run(folder, tmp_path / "out", only_folds=[0])
    row = lines(tmp_path / "out")[0]
    entries = recordings.read_index(folder)
    path = folder / entries[0].path
    events = recordings.read(path).events[:-1]
    digest = recordings.write(path, events, SENSOR, {}, duration_us=60_000)
    changed = {"n_events": len(events), "events_sha256": digest}
    recordings.write_index(folder, [dataclasses.replace(entries[0], **changed), *entries[1:]])
    remember_set.cache_clear()
    with pytest.raises(RecordingError, match="as when the bench began"):
        remember_set(folder, row["data_fingerprint"], row["labels_sha256"])


@pytest.mark.parametrize("protocol", ["strict", "paper", "code"])
@pytest.mark.parametrize("model", ["spiking-fer", "resnet18"])
def test_shipped_recipes_hold_the_published_settings(model, protocol):
    found = load_config(default_recipe(model), model, protocol)
    train = found.train
    assert (train.epochs, train.batch_size, train.optimizer) == (500, 32, "sgd")
    assert (train.momentum, train.weight_decay, train.schedule) == (0.9, 5e-4, "cosine")
    assert train.lr == (0.01 if protocol == "paper" else 0.005)
    assert train.decay_norm
    frames = found.frames
    assert (frames.n_steps, frames.binary) == (6, True)
    assert frames.size == (200 if protocol == "paper" else 128)
    assert frames.resize == ("nearest" if protocol == "code" else "maxpool")
    assert frames.kind == ("count_or_bins" if protocol == "code" else "time_bins")
    names = [table["name"] for table in found.augment]
    expected = ["hflip", "noise", "crop"]
    if protocol == "code":
        expected = ["hflip", "noise", "reverse", "eventdrop", "crop", "mirror"]
    assert names == expected
    chosen = "inner_validation" if protocol == "strict" else "best_test_epoch"
    assert found.select.on == chosen
    assert found.citations
    assert found.about


@pytest.mark.parametrize("model", ["spiking-fer", "resnet18"])
def test_the_demos_recipe_builds_both_networks(model):
    from evfer.models import create

    found = load_config("demo", model)
    create(model, 6, found.frames.n_steps, **found.model)
    assert found.select.on != "best_test_epoch"
    assert found.train.optimizer == "adamw"


def test_recipes_are_laid_over_one_another(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "own"\n[frames]\nn_steps = 2\n[[augment]]\nname = "hflip"\n'
        "[train]\nepochs = 9\nlr = 0.1\n[models.resnet18.train]\nlr = 0.2\n"
        "[protocols.code.train]\nepochs = 8\n"
    )
    plain = load_config(str(path), "spiking-fer")
    assert (plain.frames.n_steps, plain.train.epochs, plain.train.lr) == (2, 9, 0.1)
    both = load_config(str(path), "resnet18", "code", {"train": {"momentum": 0.5}})
    assert (both.train.epochs, both.train.lr, both.train.momentum) == (8, 0.2, 0.5)
    assert plain.augment == ({"name": "hflip"},)
    assert load_config(str(path), "x", augment=[]).augment == ()
    assert default_recipe("resnet18") == "resnet18"
    assert default_recipe("my_module:net") == "resnet18"
    with pytest.raises(UnknownNameError, match=r'Did you mean "train\.epochs"'):
        load_config(str(path), "x", overrides={"train": {"epoch": 3}})
    with pytest.raises(ConfigError, match=r"train\.lr = -1"):
        load_config(str(path), "x", overrides={"train": {"lr": -1}})
    with pytest.raises(UnknownNameError, match="augmentation"):
        load_config(str(path), "x", augment=[{"name": "hflop"}])
    with pytest.raises(ConfigError, match=r"has no \[train\]"):
        load_config("default", "spiking-fer")
    path.write_text("models = 3\n[train]\n")
    with pytest.raises(ConfigError, match="models"):
        load_config(str(path), "x")
