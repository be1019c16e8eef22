"""What an earlier version stored counts today: recordings, fingerprint, folds and rows."""

import json
import shutil
from pathlib import Path

import pytest

from evfer.cli import main

STORED = Path(__file__).parent / "golden" / "stored"
SETTINGS = ("train.batch_size=4", "frames.n_steps=2", "frames.size=32")
COMMANDS = {
    "logistic": ("--model", "logistic"),
    "majority": ("--model", "majority"),
    "resnet18": ("--model", "resnet18"),
    "spiking-fer": ("--model", "spiking-fer", "--eda", "hflip+crop", "--only-folds", "0,1"),
    "own_net:build": ("--model", "own_net:build", "--seed", "3"),
    "cnn1": ("--model", "cnn1", "--protocol", "loso", "--only-folds", "0,5"),
}


@pytest.fixture
def stored(tmp_path, monkeypatch):
    shutil.copytree(STORED, tmp_path, dirs_exist_ok=True)
    (tmp_path / "results" / "run").mkdir(parents=True)
    shutil.copy(STORED / "rows.jsonl", tmp_path / "results" / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    def type_command(*words):
        code = main([*words])
        return code, "".join(capsys.readouterr())

    return type_command


@pytest.mark.parametrize("model", COMMANDS)
def test_rows_of_an_earlier_version_are_kept(stored, run, model):
    rows = stored / "results" / "run" / "rows.jsonl"
    before = rows.read_bytes()
    known = [row for row in map(json.loads, before.splitlines()) if row["model"] == model]
    words = [*COMMANDS[model], "--data", "data", "--dataset", "stored", "--run", "run"]
    words += ["--epochs", "1", "--set", "split.repeats=1"]
    for setting in SETTINGS:
        words += ["--set", setting]
    code, output = run("bench", *words)
    assert code == 0, output
    assert output.count("(kept,") == len(known) > 0
    assert "(done," not in output
    assert rows.read_bytes() == before


def test_recordings_of_an_earlier_version_are_whole(run, stored):
    code, output = run(
        "verify", "data/FerDVS/StoredDVS", "--against", "data/FerDVS/StoredDVS/fingerprint.txt"
    )
    assert code == 0, output
    fingerprint = (STORED / "data/FerDVS/StoredDVS/fingerprint.txt").read_text().split()[-1]
    assert fingerprint in output
