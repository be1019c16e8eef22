"""Conversion: nothing damaged kept, nothing lost or forgotten, nothing odd without a word."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from evfer import recordings
from evfer.cli import main
from evfer.convert import convert, find_concerns, load_config
from evfer.datasets.demo import DemoHeads
from evfer.datasets.folder import Folder
from evfer.errors import SourceError


class TestNothingQuietlyLost:
    """What a reviewer found: damage that was kept, failures that were forgotten."""

    def test_a_recording_whose_bytes_changed_is_made_anew(self, tmp_path):
        reader, data = DemoHeads(people=1, repetitions=1, frames=10, size=160), tmp_path / "data"
        settings = load_config("default", {"interpolation": {"method": "none"}})
        first = convert(reader, None, data, settings, limit=2)
        path = first.folder / first.entries[0].path
        whole = path.read_bytes()
        with h5py.File(path, "r+") as file:
            file["events"][0, 1] ^= 1
        found = convert(reader, None, data, settings, limit=2)
        assert (found.converted, found.kept) == (1, 1)
        assert found.fingerprint == first.fingerprint
        assert path.read_bytes() == whole

    def test_failures_of_clips_not_tried_now_are_remembered(self, tmp_path):
        source = tmp_path / "source"
        for name in ("happy/anna/a", "happy/ben/b"):
            (source / name).mkdir(parents=True)
            for k in range(3):
                Image.new("L", (64, 48), 40 * k).save(source / name / f"{k}.png")
        settings = load_config("default")
        data = tmp_path / "data"
        first = convert(Folder(), source, data, settings, subjects=["anna"])
        assert [failure.clip_id for failure in first.failures] == ["anna/001"]
        second = convert(Folder(), source, data, settings, subjects=["ben"])
        assert [failure.clip_id for failure in second.failures] == ["ben/001"]
        table = (second.folder / "failures.csv").read_text()
        assert "anna/001" in table
        assert "ben/001" in table

    def test_a_folder_of_another_set_is_refused(self, tmp_path):
        reader, data = DemoHeads(people=1, repetitions=1, frames=10, size=160), tmp_path / "data"
        settings = load_config("default", {"interpolation": {"method": "none"}})
        convert(reader, None, data, settings, limit=1)
        source = tmp_path / "source"
        (source / "happy/anna/a").mkdir(parents=True)
        for k in range(3):
            Image.new("L", (64, 48)).save(source / f"happy/anna/a/{k}.png")
        with pytest.raises(SourceError, match='recordings of the data set "demo"'):
            convert(Folder("Demo"), source, data, settings)

    def test_other_versions_of_what_is_kept_are_told(self, tmp_path):
        reader, data = DemoHeads(people=1, repetitions=1, frames=10, size=160), tmp_path / "data"
        settings = load_config("default", {"interpolation": {"method": "none"}})
        table = convert(reader, None, data, settings, limit=1).folder / "conversion.toml"
        text = re.sub(r'numpy = "[^"]+"', 'numpy = "1.0"', table.read_text())
        table.write_text(text)
        assert "numpy 1.0, now" in convert(reader, None, data, settings, limit=1).note


def test_faces_to_look_at_are_named(tmp_path):
    entry = recordings.IndexEntry(
        "a/001", "a/001.h5", "a", 1, 1, "happy", 5, 5, 5, "", "", "", 30.0, 9,
        detection_rate=0.5, median_iod=24.0, residual=0.04, outside=0.3,
    )  # fmt: skip
    fine = dataclasses.replace(
        entry, detection_rate=1.0, median_iod=80.0, residual=0.0, outside=0.0
    )
    found = find_concerns([entry, fine])
    assert len(found) == 4
    assert all("1 clip:" in line and "a/001" in line for line in found)
    assert find_concerns([fine]) == ()


def pictures(folder):
    folder.mkdir(parents=True)
    for k in range(3):
        Image.new("L", (64, 48), 40 * k).save(folder / f"{k}.png")


def test_one_clip_under_two_labels_is_nobodys(tmp_path):
    for name in ("a", "b"):
        pictures(tmp_path / name)
    lines = ["path,label,subject", "a,happy,anna", "a,anger,ben", "b,fear,cleo", "c,fear,cleo"]
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    found = Folder().survey(tmp_path)
    assert [clip.locator for clip in found.clips] == ["b"]
    assert {item.path: item.kind for item in found.skipped} == {"a": "doubled", "c": "unreadable"}


def test_names_that_look_like_slips_are_told(tmp_path):
    for name in ("hapy/Anna/1", "happy/anna/2", "happy/ben/3"):
        pictures(tmp_path / name)
    first, second = Folder().survey(tmp_path).warnings
    assert "none of the known expressions: hapy" in first
    assert "Anna and anna" in second


def test_a_stray_picture_costs_no_clip(tmp_path):
    pictures(tmp_path / "happy/anna/1")
    Image.new("L", (8, 8)).save(tmp_path / "happy/anna/stray.png")
    found = Folder().survey(tmp_path)
    assert len(found.clips) == 1
    assert [item.path for item in found.skipped] == ["happy/anna/stray.png"]


def test_headers_that_do_not_fit_are_shown(tmp_path):
    (tmp_path / "clips.csv").write_text("Path|Label|Subject\na|happy|anna\n")
    with pytest.raises(SourceError, match="The first line has: path.label.subject"):
        Folder().survey(tmp_path)


NO_TEXT = pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")


def latin_folder(tmp_path):
    """A folder as old archives hold it, named in Latin-1, beside one in UTF-8."""
    for name in (b"b\xe4r", b"anna"):
        os.makedirs(os.fsencode(tmp_path) + b"/source/happy/" + name)
    return [Path(os.fsdecode(os.fsencode(tmp_path) + b"/source/happy/" + n)) for n in
            (b"b\xe4r", b"anna")]  # fmt: skip


@NO_TEXT
def test_events_whose_names_are_no_text_are_converted(tmp_path, make_events):
    for folder in latin_folder(tmp_path):
        np.save(folder / "2.npy", make_events(60))
    words = ["--source", tmp_path / "source", "--out", tmp_path / "data", "--workers", "1"]
    words += ["--set", "dataset.sensor=346x260"]
    assert main(["convert", "--dataset", "folder", *map(str, words)]) == 0
    folder = tmp_path / "data" / "FerDVS" / "FolderDVS"
    entries = recordings.read_index(folder)
    assert [e.native_id for e in entries] == ["happy/anna/2.npy", r"happy/b\udce4r/2.npy"]
    assert all(len(recordings.read(folder / entry.path).events) == 60 for entry in entries)
    assert main(["verify", str(folder)]) == 0


@NO_TEXT
def test_films_whose_names_are_no_text_are_named_and_the_others_go_on(tmp_path, capsys):
    latin, plain = latin_folder(tmp_path)
    writer = cv2.VideoWriter(str(plain / "3.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 64))
    for i in range(4):
        writer.write(np.full((64, 64, 3), 50 * i, np.uint8))
    writer.release()
    (latin / "3.avi").write_bytes((plain / "3.avi").read_bytes())
    pictures(latin / "1")
    words = ["--source", tmp_path / "source", "--out", tmp_path / "data", "--workers", "1"]
    assert main(["convert", "--dataset", "folder", *map(str, words)]) == 3
    failures = (tmp_path / "data/FerDVS/FolderDVS/failures.csv").read_text(encoding="utf-8")
    assert "a name that is no text" in failures
    assert "happy/anna/3" in failures  # it shows no face
    assert main(["check", "--dataset", "folder", "--source", str(tmp_path / "source")]) in (0, 3)
    assert "Traceback" not in capsys.readouterr().err
