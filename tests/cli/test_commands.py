"""The command line as a user types it: output, messages, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from evfer.cli import COMMANDS, main
from evfer.datasets.demo import DemoHeads

QUICK = ["--set", "dataset.people=2", "--set", "dataset.repetitions=1", "--set", "dataset.frames=9"]
NAMES = [name for names in COMMANDS.values() for name in names]


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    assert (
        main(["convert", "--dataset", "demo", "--out", str(folder), "--workers", "1", *QUICK]) == 0
    )
    return folder


def test_help_is_fast_and_names_every_command():
    def once():
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "evfer", "--help"], capture_output=True, text=True, check=True
        )
        return time.perf_counter() - start, done.stdout

    times, texts = zip(*(once() for _ in range(3)), strict=True)
    assert all(name in texts[0] for name in NAMES)
    # what it must not load is tested elsewhere; this bound is loose, for a busy machine
    assert min(times) < 2


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(capsys, name):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert f"evfer {name}" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fly"], 2, "No such command"),
        (["convert"], 2, "--dataset"),
        (["convert", "--dataset", "demo", "--fast"], 2, "--fast"),
        (["convert", "--dataset", "dmeo"], 2, 'unknown data set "dmeo".*Did you mean "demo"'),
        (["convert", "--dataset", "demo", "--recipe", "defualt"], 2, 'Did you mean "default"'),
        (["convert", "--dataset", "demo", "--set", "faces.sise=3"], 2, '"faces.size"'),
        (["convert", "--dataset", "demo", "--set", "faces.size"], 2, "key=value"),
        (["convert", "--dataset", "demo", "--set", "emulator.pos_thres=-1"], 2, "pos_thres"),
        (["convert", "--dataset", "demo", "--workers", "0"], 2, "--workers"),
        (["convert", "--dataset", "folder", "--source", "none"], 3, "none: no such folder"),
        (["convert", "--dataset", "folder"], 3, "label/subject/clip"),
        (["info", "none.h5"], 3, r"none\.h5: nothing there"),
        (["verify", "none"], 3, "no index.csv"),
        (["folds", "none"], 3, "no index.csv"),
        (["view", "none.h5", "--out", "a.png"], 3, r"none\.h5"),
        (["report", "none"], 3, "none"),
    ],
)
def test_messages_and_exit_codes(capsys, tmp_path, monkeypatch, arguments, code, message):
    import re

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVFER_DATA", str(tmp_path / "data"))
    found, _, err = run(capsys, *arguments)
    assert found == code
    assert re.search(message, " ".join(err.split())), err
    assert "Traceback" not in err
    assert not (tmp_path / "data").exists()


def test_unwritable_output(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(
        capsys, "convert", "--dataset", "demo", "--out", tmp_path / "file" / "x", "--limit", 1
    )
    assert code == 2
    assert "cannot make the folder" in err
    assert "--out" in err


def test_convert_again_keeps_everything(capsys, data):
    code, out, err = run(capsys, "convert", "--dataset", "demo", "--out", data, *QUICK)
    assert code == 0
    assert "0 converted, 12 kept, 0 failed" in out
    assert "12 clips are up to date" in err


def test_dry_run_writes_nothing(capsys, tmp_path):
    code, out, _ = run(
        capsys, "convert", "--dataset", "demo", "--out", tmp_path / "d", "--dry-run", *QUICK
    )
    assert code == 0
    assert "12 to convert (12 missing, 0 stale), 0 up to date" in out
    assert not (tmp_path / "d").exists()


def test_failures_give_exit_code_3(capsys, tmp_path):
    source = tmp_path / "source" / "happy"
    reader = DemoHeads(people=1, repetitions=1, frames=9)
    frames = list(reader.open(reader.survey(None).clips[0], None))
    for subject, blank in (("anna", False), ("ben", True)):
        folder = source / subject / "clip"
        folder.mkdir(parents=True)
        for k, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{k}.png"), np.zeros_like(frame) if blank else frame)
    code, out, err = run(
        capsys, "convert", "--dataset", "folder", "--source", source.parent, "--out", tmp_path,
        "--workers", 1,
    )  # fmt: skip
    assert code == 3
    assert "failed happy/ben/clip" in err
    assert "1 converted, 0 kept, 1 failed" in out
    assert (tmp_path / "FerDVS" / "FolderDVS" / "anna" / "001.h5").exists()


def test_verify(capsys, data, tmp_path):
    folder = data / "FerDVS" / "DemoDVS"
    code, out, _ = run(capsys, "verify", folder, "--against", folder / "fingerprint.txt")
    assert code == 0
    assert "the same 12 clips" in out
    other = tmp_path / "fingerprint.txt"
    from evfer.recordings.index import fingerprint_text, read_fingerprint

    pairs = read_fingerprint(folder / "fingerprint.txt")
    pairs["S001/002"] = "0" * 64
    pairs["S009/001"] = pairs.pop("S002/006")
    other.write_text(fingerprint_text(pairs.items())[0])
    code, out, _ = run(capsys, "verify", folder, "--against", other)
    assert code == 3
    assert "differs: S001/002" in out
    assert "only here: S002/006" in out
    assert "missing here: S009/001" in out


@pytest.mark.parametrize("keep", [100, -1])
def test_verify_finds_a_recording_cut_short(capsys, data, tmp_path, keep):
    import shutil

    folder = tmp_path / "DemoDVS"
    shutil.copytree(data / "FerDVS" / "DemoDVS", folder)
    path = folder / "S001" / "002.h5"
    path.write_bytes(path.read_bytes()[:keep])
    code, out, _ = run(capsys, "verify", folder)
    assert code == 3
    assert "damaged S001/002" in out


def test_info(capsys, data):
    folder = data / "FerDVS" / "DemoDVS"
    for path, kind in (
        (folder / "S001" / "001.h5", "recording"),
        (folder, "data set"),
        (data, "data folder"),
    ):
        code, out, _ = run(capsys, "info", path, "--json")
        assert code == 0
        assert json.loads(out)["kind"] == kind
    code, out, _ = run(capsys, "info", folder)
    assert code == 0
    assert "labels.happy" in out


def test_folds(capsys, data):
    folder = data / "FerDVS" / "DemoDVS"
    code, out, _ = run(capsys, "folds", folder, "--protocol", "code", "--folds", 10)
    assert code == 0
    assert "LEAK" in out
    code, out, _ = run(capsys, "folds", folder, "--folds", 2)
    assert code == 0
    assert "No subject is in training and test" in out
    code, _, err = run(capsys, "folds", folder, "--folds", 7)
    assert code == 2
    assert "7 folds of 2 subjects" in err


def test_list_and_doctor(capsys, data):
    code, out, _ = run(capsys, "list", "--data", data, "--json")
    assert code == 0
    sections = {section["title"]: section["items"] for section in json.loads(out)}
    states = {item["name"]: item["state"] for item in sections["Data sets"]}
    assert states["demo"] == "converted, 12 clips"
    assert states["ck+"] == "ready"
    assert {item["name"] for item in sections["Models"]} >= {"spiking-fer", "resnet18"}
    assert not [item for items in sections.values() for item in items if "broken" in item["state"]]
    code, out, _ = run(capsys, "doctor", "--json", "--data", data)
    assert code == 0
    assert not [finding for finding in json.loads(out) if finding["state"] == "broken"]


@pytest.mark.parametrize("suffix", ["png", "gif", "mp4"])
def test_view_a_clip_beside_its_frames(capsys, data, tmp_path, suffix):
    recording = data / "FerDVS" / "DemoDVS" / "S001" / "001.h5"
    code, _, err = run(capsys, "view", recording, "--out", tmp_path / f"a.{suffix}")
    assert code == 0
    assert err == ""
    assert (tmp_path / f"a.{suffix}").stat().st_size > 5000


def test_view_refuses_an_unknown_ending(capsys, data, tmp_path):
    recording = data / "FerDVS" / "DemoDVS" / "S001" / "001.h5"
    code, _, err = run(capsys, "view", recording, "--out", tmp_path / "a.xyz")
    assert code == 2
    assert ".png" in err


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_keeps_what_is_done(tmp_path, workers):
    command = [sys.executable, "-m", "evfer", "convert", "--dataset", "demo", "--workers", workers]
    more = ["--set", "dataset.people=6", "--set", "dataset.frames=9"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path), *more], stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    folder = tmp_path / "FerDVS" / "DemoDVS"
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*/[0-9]*.h5"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "What is finished is kept" in err
    assert "Traceback" not in err
    from evfer.recordings.index import read_index

    entries = read_index(folder)
    # each worker's latest may be whole on disk, yet too late for the index; the next run finds it
    assert 3 - int(workers) <= len(entries) < 72
    assert not list(Path(tmp_path).rglob("*.part*"))


def test_debug_shows_where(capsys, tmp_path):
    code, _, err = run(capsys, "--debug", "info", tmp_path / "none")
    assert code == 3
    assert "Traceback" in err
