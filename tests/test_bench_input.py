"""What a bench is given at the command line, and what it says to what cannot be used."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import tomllib

import numpy as np
import pytest
import torch
from learning import SENSOR, SmallNet, make_clip
from stopping import stop

from evfer import folds, recordings
from evfer.bench import load, row_key
from evfer.bench.rows import read_rows
from evfer.cli import main
from evfer.errors import RecordingError
from evfer.models.sew_resnet import SpikingFERParams
from evfer.training.checkpoint import save_checkpoint

NAMES = ("happy", "fear", "surprise")
SMALL = [
    "--set", "frames.n_steps=3", "--set", "frames.size=16", "--set", "train.batch_size=8",
    "--set", "select.on=last", "--set", "train.precision=no", "--epochs", "1", "--eda", "none",
    "--set", "split.repeats=1",
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


def write(data, shown, n_folds=2, empty=()):
    """Write a set of people and the labels that each shows, and its folds."""
    root = recordings.set_folder(data, "TinyDVS")
    entries = []
    for subject, labels in shown.items():
        for number, label in enumerate(labels, 1):
            events = make_clip(label, len(entries))
            clip_id = f"{subject}/{number:03d}"
            if clip_id in empty:
                events = events[:0]
            path = f"{clip_id}.h5"
            digest = recordings.write(root / path, events, SENSOR, {}, duration_us=60_000)
            entries.append(
                recordings.IndexEntry(
                    clip_id, path, subject, number, label + 1, NAMES[label], len(events), 60_000,
                    1, "", digest, "", 25.0, 9,
                )
            )  # fmt: skip
    recordings.write_index(root, entries)
    if n_folds:
        folds.write(root, folds.build(entries, "strict", n_folds), entries)
    return root


PEOPLE = {f"S{i:03d}": (0, 1, 2, 0, 1, 2) for i in range(4)}


@pytest.fixture
def data(tmp_path):
    write(tmp_path, PEOPLE)
    return tmp_path


def bench(capsys, data, *given, model="learning:small_net", recipe=True):
    arguments = ["bench", "--model", model, "--data", str(data), "--out", str(data / "out")]
    code = main([*arguments, "--run", "run", *(SMALL if recipe else ()), *map(str, given)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, " ".join(said.err.split())


def rows(data):
    return list(read_rows(data / "out" / "run" / "rows.jsonl").rows)


def test_it_runs_and_says_what_it_does(capsys, data):
    code, out, err = bench(capsys, data)
    assert code == 0
    assert "strict split of 2 folds; 3 time_bins of 16 pixels by maxpool; no augmentation" in err
    assert "No subject is in training and test of the same fold" in err
    assert "Test clips choose nothing: neither the epoch nor augmentations nor any setting" in err
    assert "over 2 folds; chance 0.333, epoch chosen by last" in out
    assert "energy, mJ" in out
    for row in rows(data):
        assert row["energy"]["full_mj"] > 0
        assert row["energy"]["clips"] == row["n_test"]
        assert row["split"] == {"kind": "strict", "seed": 0}
        assert (row["untrained"], row["untested"]) == ([], [])
        assert 0 <= row["loader_share"] <= 1
        assert row["epochs_run"] == 1
        assert row["settings"]["train"]["weight_decay"] == 5e-4
        assert row["settings"]["train"]["last_batch"] == "merge"
        assert row["settings"]["frames"]["size"] == 16
        assert row["settings"]["augment"] == []
        used = {"kind": "strict", "n_folds": 2, "seed": 0, "stratify": True, "repeats": 1}
        assert row["settings"]["split"] == used


def test_a_row_holds_every_switch(capsys, data):
    given = ["--only-folds", "0", "--no-energy", "--set", "model.reset=soft"]
    code, out, err = bench(capsys, data, *given, "--dry-run", model="spiking-fer")
    assert code == 0, err
    assert 'reset = "soft"' in out
    assert "delay = 0" in out
    code, _, err = bench(capsys, data, *given, model="spiking-fer")
    assert code == 0, err
    (row,) = rows(data)
    options = dataclasses.asdict(SpikingFERParams(reset="soft"))
    # and so does the record beside, for which no value is none
    text = (data / "out" / "run" / "run.toml").read_text()
    (kept,) = tomllib.loads(text)["bench"].values()
    for stored in (row["settings"], kept["recipe"]):
        spelled = {k: None if v == "none" else v for k, v in stored["model"].items()}
        assert spelled == options
        assert {"frames", "train", "select", "split"} < set(stored)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    "more",
    [[], pytest.param(["--workers", "2", "--no-resume"], marks=pytest.mark.slow)],
    ids=["here", "two"],
)
def test_ctrl_c_keeps_and_shows_what_is_done(capsys, data, more):
    arguments = ["bench", "--model", "learning:small_net", "--data", data, "--out", data / "out"]
    arguments += ["--run", "run", *SMALL, "--set", "split.repeats=40", "--no-energy", *more]
    code, out, err = stop(arguments, data / "out" / "run" / "rows.jsonl", 3)
    found = rows(data)
    assert code == 130
    assert 3 <= len(found) < 80
    # the last may be whole on disk and yet too late for the table
    counts = [int(number) for number in re.findall(r"(\d+) of 80 folds have a result", out)]
    assert counts in ([len(found)], [len(found) - 1])
    assert f"over {counts[0]} folds" in out
    assert "What is finished is kept" in err
    assert ("starts anew" in err) == ("--no-resume" in more)
    code, out, _ = bench(capsys, data, "--no-energy", "--set", "split.repeats=2")
    assert code == 0
    assert rows(data)[: len(found)] == found
    # the first two folds were there
    assert len(rows(data)) == max(len(found), 4)


def test_a_fault_shows_what_is_done(capsys, data, monkeypatch):
    model = "test_bench_input:fragile"
    assert bench(capsys, data, "--only-folds", "0", model=model)[0] == 0
    before = rows(data)
    monkeypatch.setattr("test_bench_input.BROKEN", True)
    code, out, err = bench(capsys, data, model=model)
    assert code == 2
    assert "1 of 2 folds have a result; 1 is left" in " ".join(out.split())
    assert "the loss is nan in fold 1, epoch 1" in err
    assert rows(data) == before


BROKEN = False


def fragile(n_classes, n_steps):
    """A network that may answer with no numbers."""
    net = SmallNet(n_classes, n_steps)
    net.register_forward_hook(lambda module, args, out: out * float("nan") if BROKEN else out)
    return net


def test_the_test_never_chooses_unsaid(capsys, data):
    _, out, err = bench(capsys, data, "--set", "select.on=best_test_epoch")
    assert "OPTIMISTIC: the test clips choose the epoch" in err
    assert "OPTIMISTIC: the test clips chose the epoch" in out
    assert all(row["leak"]["test_chose"] == ["epoch"] for row in rows(data))
    _, out, err = bench(capsys, data, "--set", "select.optimistic=true")
    assert "OPTIMISTIC" not in out + err
    assert "best (optimistic)" in out
    mine = [row for row in rows(data) if row["selected_on"] == "last"]
    assert all(row["leak"]["test_chose"] == [] for row in mine)
    assert all(row["accuracy_best"] >= row["accuracy"] for row in mine)


def test_repeats_take_the_next_seeds(capsys, data):
    code, out, err = bench(capsys, data, "--set", "split.repeats=2", "--workers", "1")
    assert code == 0
    assert "2 times with seeds 0 to 1" in err
    found = rows(data)
    assert [(r["seed"], r["split"]["seed"], r["fold"]) for r in found] == [
        (0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1),
    ]  # fmt: skip
    assert len({row_key(row) for row in found}) == 4
    assert "over 4 folds of 2 seeds" in out
    for seed in (0, 1):
        tested = [p["clip_id"] for r in found if r["seed"] == seed for p in r["predictions"]]
        assert len(tested) == len(set(tested)) == 24


@pytest.mark.parametrize(
    ("given", "kind", "n_folds", "seed"),
    [
        (["--set", "split.kind=loso"], "loso", 4, 0),
        (["--set", "split.kind=kfold", "--set", "split.n_folds=3"], "kfold", 3, 0),
        (["--set", "split.kind=group_kfold", "--set", "split.seed=5"], "strict", 4, 5),
        (["--set", "split.kind=published"], "published", 10, 0),
        (["--set", "split.seed=5"], "strict", 2, 5),
        (["--set", "split.stratify=false"], "strict", 2, 0),
        (["--set", "split.kind=kfold", "--set", "split.stratify=true"], "kfold", 10, 0),
        (["--folds", "4"], "strict", 4, 0),
        (["--protocol", "loso"], "loso", 4, 0),
    ],
)
def test_splits_are_switches(capsys, data, given, kind, n_folds, seed):
    code, _, err = bench(capsys, data, *given, "--only-folds", "0")
    assert code == 0, err
    (row,) = rows(data)
    assert (row["split"], row["n_folds"]) == ({"kind": kind, "seed": seed}, n_folds)


def test_settings_are_shown_without_training(capsys, data):
    code, out, _ = bench(capsys, data, "--dry-run", "--set", "train.patience=none")
    assert code == 0
    for line in ("n_steps = 3", "repeats = 1", 'on = "last"', 'schedule = "cosine"'):
        assert line in out
    assert not (data / "out").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--set", "train.epoch=3"], 'unknown recipe key "train.epoch"'),
        (["--set", "selct.on=last"], 'unknown recipe key "selct"'),
        (["--set", "split.kind=strickt"], 'unknown protocol "strickt"'),
        (["--set", "split.repeats=0"], "split.repeats = 0"),
        (["--set", "split.stratify=maybe"], "split.stratify = 'maybe'"),
        (["--protocol", "loso", "--set", "split.stratify=true"], 'with "loso" folds'),
        (["--protocol", "loso", "--folds", "3"], "3 loso folds of 4 people"),
        (["--set", "train.last_batch=drop"], 'unknown value of train.last_batch "drop"'),
        (["--set", "model.wdth=3"], 'unknown option of learning:small_net "wdth"'),
        (["--set", "select.on=best"], 'unknown value of select.on "best"'),
        (["--set", "train.patience=5"], "whose people say when to stop"),
        (["--set", "frames.n_steps=0"], "n_steps"),
        (["--set", "frames.resize=none", "--set", "frames.size=9"], 'resize = "none" for a region'),
        (
            [
                "--set",
                "frames.resize=none",
                "--set",
                f"frames.size={SENSOR.width}",
                "--eda",
                "crop",
            ],
            'resize = "none" for a region',
        ),
        (["--set", "eda.name=x"], "eda.preset"),
        (["--only-folds", "0,7"], "fold 7"),
        (["--folds", "9"], "9 folds of 4 subjects"),
        (["--protocol", "stict"], "unknown protocol"),
        pytest.param(
            ["--scheduler", "127.0.0.1:1"], "no Dask scheduler answers", marks=pytest.mark.slow
        ),
        (["--device", "cuda"], 'device "cuda"'),
    ],
)
def test_switches_that_are_not_there(capsys, data, given, words):
    if "cuda" in given and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    eda = [] if "eda" not in str(given) or "--eda" in given else ["--eda", "none"]
    code, _, err = bench(capsys, data, *given, *eda)
    assert code == 2
    assert words in err
    assert not (data / "out").exists()


def test_a_fold_whose_training_lacks_a_class(capsys, tmp_path):
    """Only one person shows surprise, so the fold that tests them cannot have learnt it."""
    shown = {"S000": (0, 1, 2, 2), "S001": (0, 1, 0, 1), "S002": (0, 1, 0, 1), "S003": (0, 1, 1, 0)}
    write(tmp_path, shown, n_folds=4)
    code, _, err = bench(capsys, tmp_path)
    assert code == 0
    found = rows(tmp_path)
    assert [row["untrained"] for row in found if row["untrained"]] == [["surprise"]]
    assert [row["untested"] for row in found if row["untested"]] == [["surprise"]] * 3
    fold = next(row["fold"] for row in found if row["untrained"])
    assert f"Fold {fold} tests surprise without a training clip of it" in err
    assert "3 of 4 folds do not test every class" in err


def test_a_set_of_two_people(capsys, tmp_path):
    write(tmp_path, {"S000": (0, 1, 2), "S001": (0, 1, 2)})
    code, _, err = bench(capsys, tmp_path, "--set", "select.on=inner_validation")
    assert code == 2
    assert "1 training subject in fold 0; expected two or more" in err
    assert "--set select.on=last" in err
    assert not rows(tmp_path)
    assert bench(capsys, tmp_path)[0] == 0
    assert len(rows(tmp_path)) == 2


@pytest.mark.parametrize("shown", [{"S000": (0,)}, {"S000": (0, 1, 2)}])
def test_one_clip_or_one_person(capsys, tmp_path, shown):
    write(tmp_path, shown, n_folds=0)
    for protocol in ((), ("--protocol", "strict")):
        code, _, err = bench(capsys, tmp_path, *protocol)
        assert code == 2
        assert "a set of one subject; expected at least two subjects" in err
        assert "Run: evfer folds" not in err


def test_two_clips_are_the_least(capsys, tmp_path):
    write(tmp_path, {"S000": (0,), "S001": (1,)})
    code, _, err = bench(capsys, tmp_path, model="resnet18")
    assert code == 2
    assert "batch normalisation cannot learn from one clip" in err
    code, _, err = bench(capsys, tmp_path)
    assert code == 0, err
    assert [row["n_train"] for row in rows(tmp_path)] == [1, 1]


def test_a_clip_without_events(capsys, tmp_path):
    write(tmp_path, PEOPLE, empty=("S000/001", "S003/002"))
    code, _, err = bench(capsys, tmp_path)
    assert code == 0, err
    assert sum(row["n_test"] for row in rows(tmp_path)) == 24
    code, _, err = bench(capsys, tmp_path, "--eda", "hflip+noise+crop+reverse+eventdrop+mirror")
    assert code == 0, err


@pytest.mark.parametrize("model", ["spiking-fer", "resnet18"])
def test_a_single_step(capsys, data, model):
    given = ["--set", "frames.n_steps=1", "--set", "frames.size=32", "--only-folds", "0"]
    code, _, err = bench(capsys, data, *given, model=model)
    assert code == 0, err
    (row,) = rows(data)
    assert row["anytime"] == ([row["accuracy"]] if model == "spiking-fer" else None)


def test_folds_that_are_missing_or_foreign(capsys, data, tmp_path):
    root = data / "FerDVS" / "TinyDVS"
    other = write(tmp_path / "other", {f"P{i:03d}": (0, 1, 2) for i in range(4)})
    for name in ("folds.csv", "manifest.toml"):
        whole = (root / name).read_bytes()
        (root / name).unlink()
        code, _, err = bench(capsys, data)
        assert code == 3
        assert name in err
        assert "evfer folds" in err
        (root / name).write_bytes(b"\xff garbage [")
        code, _, err = bench(capsys, data)
        assert code in (2, 3)
        assert name in err
        shutil.copy(other / name, root / name)
        code, _, err = bench(capsys, data)
        assert code == 3
        assert str(root) in err
        (root / name).write_bytes(whole)
    assert not rows(data)
    assert bench(capsys, data)[0] == 0


def test_a_loss_that_is_no_number_keeps_earlier_rows(capsys, data):
    assert bench(capsys, data, "--only-folds", "0")[0] == 0
    before = rows(data)
    wild = ["--set", "train.lr=1e30", "--set", "train.momentum=0.0"]
    code, _, err = bench(capsys, data, *wild)
    assert code == 2
    assert "in fold 0, epoch 1" in err or "no longer finite" in err
    assert "Lower train.lr" in err
    assert rows(data) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fold_that_fails_stops_no_other(capsys, tmp_path, workers):
    write(tmp_path, PEOPLE, n_folds=4, empty=("S002/001",))
    code, out, err = bench(
        capsys, tmp_path, "--workers", workers, "--no-energy", model="learning:fastidious"
    )
    assert code == 2
    assert err.count("FAILED: learning:fastidious on tiny") == 3
    assert "3 folds failed; the same command tries again. The first:" in err
    assert "Lower train.lr" in err
    assert "1 of 4 folds have a result; 3 are left" in out
    (row,) = rows(tmp_path)
    assert "S002" in {said["subject"] for said in row["predictions"]}


def test_where_all_folds_fail_the_third_is_the_last(capsys, tmp_path):
    write(tmp_path, PEOPLE | {"S009": (0, 1, 2)}, n_folds=5)
    wild = ["--set", "train.lr=1e30", "--set", "train.momentum=0.0"]
    code, _, err = bench(capsys, tmp_path, *wild)
    assert code == 2
    assert err.count("FAILED") == 3
    assert not rows(tmp_path)


def test_a_cache_of_another_version_is_made_anew(capsys, data):
    assert bench(capsys, data)[0] == 0
    before = rows(data)
    (meta,) = (data / "FerDVS" / "TinyDVS" / ".cache").glob("*/meta.json")
    said = json.loads(meta.read_text())
    meta.write_text(json.dumps(said | {"version": said["version"] + 1}))
    np.save(meta.parent / "x.npy", np.zeros(3))
    from evfer.bench.fold import remember_set

    remember_set.cache_clear()
    assert bench(capsys, data, "--no-resume")[0] == 0
    assert [r["predictions"] for r in rows(data)] == [r["predictions"] for r in before]
    assert json.loads(meta.read_text()) == said


def wide_net(n_classes, n_steps):
    """A network that another version of its module built narrower."""
    return SmallNet(n_classes, n_steps, WIDTH)


WIDTH = 8


def test_checkpoints_and_weights_that_do_not_fit(capsys, data, monkeypatch):
    model = "test_bench_input:wide_net"
    given = ["--only-folds", "0", "--no-energy"]
    code, _, err = bench(capsys, data, *given, model=model)
    assert code == 0, err
    (row,) = rows(data)
    assert "energy" not in row
    checkpoints = data / "out" / "run" / "checkpoints"
    (weights,) = checkpoints.glob("*.trained.safetensors")
    key = row_key(row)
    narrow = {"key": key, "weights": SmallNet(3, 3, 4).state_dict(), "optimizer": {}, "curve": []}
    for wrong in (narrow, {"key": key}, {"key": key, "weights": 3, "curve": "x"}):
        save_checkpoint(
            checkpoints / weights.name.replace("trained.safetensors", "state.pt"), wrong
        )
        (data / "out" / "run" / "rows.jsonl").unlink()
        code, _, err = bench(capsys, data, *given, model=model)
        assert code == 0, err
        (again,) = rows(data)
        assert again["predictions"] == row["predictions"]
    monkeypatch.setattr("test_bench_input.WIDTH", 4)
    with pytest.raises(RecordingError, match="weights of another network than"):
        load(weights, model)


def test_a_network_that_cannot_be_counted_is_measured_all_the_same(capsys, data):
    code, _, err = bench(capsys, data, "--only-folds", "0", model="test_bench_input:uncountable")
    assert code == 0, err
    (row,) = rows(data)
    assert row["energy"] is None
    assert "one clip at a time" in row["energy_note"]


def uncountable(n_classes, n_steps):
    """A network that refuses single clips, by which operations are counted."""
    net = SmallNet(n_classes, n_steps)

    def refuse(module, args):
        if len(args[0]) == 1:
            raise RuntimeError("not one clip at a time")

    net.register_forward_pre_hook(refuse)
    return net


def test_imported_folds_are_fixed(capsys, data):
    root = data / "FerDVS" / "TinyDVS"
    entries = recordings.read_index(root)
    plan = dataclasses.replace(folds.read(root, entries), kind="imported")
    folds.write(root, plan, entries)
    code, _, err = bench(capsys, data, "--folds", "3")
    assert code == 2
    assert "the 2 folds that were imported" in err
    assert bench(capsys, data)[0] == 0
