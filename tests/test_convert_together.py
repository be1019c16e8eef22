"""Several runs that convert parts of one source into one set, as the jobs of an array do."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from evfer import folds, recordings
from evfer.convert import convert, load_config
from evfer.datasets.folder import Folder
from evfer.events import SensorSize
from evfer.formats import EXPORTS, EventSource, write
from evfer.locks import folder_lock
from evfer.recordings.verify import verify_set

PEOPLE = ("anna", "ben", "cleo")
READER = Folder(title="Lab", sensor="64x48")
SETTINGS = load_config("default")


@pytest.fixture
def source(tmp_path, make_events):
    root = tmp_path / "source"
    for k in range(12):
        label, person, name = ("happy", "sad")[k % 2], PEOPLE[k // 4], f"c{k % 4 // 2}"
        events = make_events(50, width=64, height=48, duration_us=300_000, seed=k)
        path = root / label / person / f"{name}{EXPORTS['npz']}"
        write(path, EventSource(events, SensorSize(64, 48), 0), "npz")
    return root


def names(folder):
    return [entry.clip_id for entry in recordings.read_index(folder)]


def meanwhile(action):
    """Do something once, after the plan was made and before the tables are written."""
    todo = [action]
    return lambda progress: todo.pop()() if todo else None


def test_what_others_add_meanwhile_stays_in_the_index(source, tmp_path):
    whole = convert(READER, source, tmp_path / "whole", SETTINGS)

    def ben():
        convert(READER, source, tmp_path / "parts", SETTINGS, subjects=["ben"])

    def cleo():
        convert(
            READER,
            source,
            tmp_path / "parts",
            SETTINGS,
            subjects=["cleo"],
            on_progress=meanwhile(ben),
        )

    parts = convert(
        READER,
        source,
        tmp_path / "parts",
        SETTINGS,
        subjects=["anna"],
        on_progress=meanwhile(cleo),
    )
    assert parts.converted == 4
    assert names(parts.folder) == names(whole.folder)
    assert len(parts.entries) == 12
    assert parts.fingerprint == whole.fingerprint
    assert verify_set(parts.folder).ok
    for name in ("index.csv", "fingerprint.txt", "folds.csv", "manifest.toml", "conversion.toml"):
        assert (parts.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert not [path for path in parts.folder.iterdir() if path.name.startswith(".")]


def test_processes_that_convert_one_person_each(source, tmp_path):
    whole = convert(READER, source, tmp_path / "whole", SETTINGS)
    code = (
        "import sys; from pathlib import Path\n"
        "from evfer.convert import convert, load_config; from evfer.datasets.folder import Folder\n"
        "convert(Folder(title='Lab', sensor='64x48'), Path(sys.argv[1]), Path(sys.argv[2]),"
        " load_config('default'), subjects=sys.argv[3:])"
    )
    command = [sys.executable, "-c", code, source, tmp_path / "parts"]
    jobs = [subprocess.Popen([*command, person]) for person in PEOPLE]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    folder = recordings.set_folder(tmp_path / "parts", "LabDVS")
    assert names(folder) == names(whole.folder)
    assert (folder / "fingerprint.txt").read_bytes() == (
        whole.folder / "fingerprint.txt"
    ).read_bytes()
    assert len(folds.read(folder, recordings.read_index(folder)).splits) == 3


def test_failures_of_others_stay_until_their_clips_are_made(source, tmp_path):
    path = source / "happy" / "ben" / "c0.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])

    def ben():
        convert(READER, source, tmp_path, SETTINGS, subjects=["ben"])

    parts = convert(
        READER, source, tmp_path, SETTINGS, subjects=["anna"], on_progress=meanwhile(ben)
    )
    assert "happy/ben/c0.npz" in (parts.folder / "failures.csv").read_text()
    assert parts.failures == ()
    path.write_bytes(whole)

    again = convert(
        READER, source, tmp_path, SETTINGS, subjects=["cleo"], on_progress=meanwhile(ben)
    )
    assert "c0" not in (again.folder / "failures.csv").read_text()
    assert len(again.entries) == 12


def test_what_others_make_by_another_recipe_is_not_mixed_in(source, tmp_path):
    other = Folder(title="Lab", sensor="64x48", crop="8,8,40,40")

    def ben():
        convert(other, source, tmp_path, SETTINGS, subjects=["ben"])

    parts = convert(
        READER, source, tmp_path, SETTINGS, subjects=["anna"], on_progress=meanwhile(ben)
    )
    assert {entry.subject for entry in parts.entries} == {"anna"}
    assert names(parts.folder) == [entry.clip_id for entry in parts.entries]


def test_a_kept_recording_that_another_run_made_anew(source, tmp_path):
    convert(READER, source, tmp_path, SETTINGS, subjects=["anna", "ben"])
    other = Folder(title="Lab", sensor="64x48", crop="8,8,40,40")

    def anna():
        convert(other, source, tmp_path, SETTINGS, subjects=["anna"])

    parts = convert(
        READER, source, tmp_path, SETTINGS, subjects=["cleo"], on_progress=meanwhile(anna)
    )
    # ben was left out by the run with the other recipe, and found again by this one
    assert {entry.subject for entry in parts.entries} == {"ben", "cleo"}
    assert verify_set(parts.folder).unlisted == tuple(f"anna/{k:03d}.h5" for k in range(1, 5))


def test_one_person_has_no_folds_and_that_is_said(source, tmp_path):
    made = convert(READER, source, tmp_path, SETTINGS, subjects=["anna"])
    assert "all its clips are of one person" in made.note
    assert not (made.folder / "folds.csv").exists()


def test_folds_wait_for_the_folders_lock(source, tmp_path):
    folder = convert(READER, source, tmp_path, SETTINGS).folder
    before = (folder / "manifest.toml").read_bytes()
    thread = threading.Thread(target=folds.renew, args=(folder, "kfold", 2))
    with folder_lock(folder):
        thread.start()
        thread.join(0.2)
        assert (folder / "manifest.toml").read_bytes() == before
    thread.join()
    assert folds.read(folder, recordings.read_index(folder)).kind == "kfold"
