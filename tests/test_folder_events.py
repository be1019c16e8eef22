"""An event camera's recordings as clips of a set: converted, kept, checked, used."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

import evfer
from evfer import config, recordings
from evfer.cli import main
from evfer.convert import convert, load_config, plan, recover_frames
from evfer.datasets.folder import Folder
from evfer.errors import ConfigError, MissingExtra, RecordingError, SourceError, VideoError
from evfer.events import SensorSize
from evfer.formats import EXPORTS, EventSource, read, write
from evfer.info import describe
from evfer.inputs import load_set
from evfer.recordings.index import read_index, set_folder
from evfer.recordings.verify import verify_set
from evfer.testing import check_dataset

SIZE = SensorSize(64, 48)
HERE = ("npy", "npz", "csv", "evt2", "dsec")
SETTINGS = load_config("default")


@pytest.fixture
def source(tmp_path, make_events):
    """Two people, two labels, files of every format that needs no package; an odd file."""
    root = tmp_path / "source"
    for k, place in enumerate(
        ("happy/anna/a", "happy/ben/a", "sad/anna/a", "sad/ben/a", "sad/ben/b")
    ):
        to = HERE[k]
        events = make_events(400, width=64, height=48, duration_us=300_000, seed=k)
        if to != "dsec":
            events["t"] += 10_000_000
        write(root / f"{place}{EXPORTS[to]}", EventSource(events, SIZE, 0), to)
    (root / "sad/ben/b.bias").write_text("thresholds")
    (root / "sad/ben/notes.txt").write_text("he laughed twice")
    return root


READER = Folder(title="Lab", sensor="64x48")


def test_they_become_recordings(tmp_path, source):
    made = convert(READER, source, tmp_path / "data", SETTINGS)
    assert (made.converted, made.failures) == (5, ())
    assert sorted(item.path for item in made.skipped) == ["sad/ben/b.bias", "sad/ben/notes.txt"]
    for entry in made.entries:
        assert (entry.fps, entry.n_frames, entry.residual, entry.range) == (None, 0, None, None)
        found = read(source / entry.native_id, READER.reading)
        recording = recordings.read(made.folder / entry.path)
        assert recording.sensor_size == SIZE
        assert np.array_equal(np.sort(recording.events), np.sort(found.events))
        assert entry.duration_us == found.duration_us
        said = recordings.inspect(made.folder / entry.path)
        assert (said["generator"], said["faces"]) == ("sensor", None)
        assert said["params"]["reading"] == config.to_dict(READER.reading)
        assert said["params_sha256"] == config.digest(said["params"])
        if not entry.native_id.endswith(".h5"):
            assert int(said["source_time_offset_us"]) >= 10_000_000
        assert said["t_first_us"] < 5_000
    assert read_index(made.folder) == list(made.entries)


def test_a_second_run_keeps_them_and_a_changed_option_does_not(tmp_path, source):
    data = tmp_path / "data"
    first = convert(READER, source, data, SETTINGS)
    again = convert(READER, source, data, SETTINGS)
    assert (again.converted, again.kept, again.fingerprint) == (0, 5, first.fingerprint)
    other = load_config("default", {"emulator": {"pos_thres": 0.4}})
    assert convert(READER, source, data, other).kept == 5  # no recipe has a part in them
    cut = Folder(title="Lab", sensor="64x48", crop="8,8,40,40")
    found = plan(cut, source, data, SETTINGS)
    assert len(found.todo) == 5
    assert all("crop" in item.reason for item in found.stale)
    (source / "sad/ben/b.h5").write_bytes((source / "sad/ben/b.h5").read_bytes())
    assert convert(READER, source, data, SETTINGS).kept == 5
    changed = source / "happy/anna/a.npy"
    np.save(changed, np.load(changed)[:-1])
    assert convert(READER, source, data, SETTINGS).converted == 1


def test_everything_after_works_on_such_a_set(tmp_path, source, capsys):
    data = tmp_path / "data"
    folder = convert(READER, source, data, SETTINGS).folder
    assert verify_set(folder).ok
    assert describe(folder)["labels"] == {"happy": 2, "sadness": 3}
    loaded = load_set(folder)
    assert (len(loaded), loaded.sensor_size) == (5, SIZE)
    ours = evfer.FerDVS(data, dataset="lab", fold=0)
    assert ours.sensor_size == (64, 48, 2)
    assert len(ours[0][0]) == 400
    recording = folder / "anna/001.h5"
    for argument in (folder, recording):
        out = tmp_path / "picture.png"
        assert main(["view", str(argument), "--out", str(out)]) == 0
        with Image.open(out) as picture:
            assert picture.width > 300
    assert "recorded by an event camera" in capsys.readouterr().err
    with pytest.raises(VideoError, match="recorded by an event camera"):
        recover_frames(recording, source)


def test_command(tmp_path, source, capsys):
    said = ["--set", "dataset.title=Lab", "--set", "dataset.sensor=64x48"]
    convert_it = ["convert", "--dataset", "folder", "--source", str(source), "--out",
                  str(tmp_path / "data"), "--workers", "1"]  # fmt: skip
    assert main([*convert_it, *said, "--set", "dataset.crop=4,4,40,40"]) == 0
    folder = set_folder(tmp_path / "data", "LabDVS")
    assert recordings.sensor_size(folder / "ben/001.h5") == SensorSize(40, 40)
    assert main(["check", "--dataset", "folder", "--source", str(source), *said]) == 0
    assert "64x48" in capsys.readouterr().out
    assert main(["verify", str(folder)]) == 0
    # three of five files do not name their sensor
    assert main([*convert_it, "--set", "dataset.title=Other"]) == 3
    assert "dataset.sensor=346x260" in capsys.readouterr().err
    assert main([*convert_it, "--set", "dataset.sensor=wide"]) == 2


def test_readers_contract(source):
    assert len(check_dataset(READER, source).clips) == 5


def test_one_sensor_a_set(tmp_path, source, make_events):
    wide = make_events(10, width=100, height=48)
    write(source / "happy/ben/wide.npz", EventSource(wide, SensorSize(100, 48), 0), "npz")
    with pytest.raises(SourceError, match=r"64 x 48 .* 100 x 48 .*one size a set.*dataset\.crop"):
        Folder().survey(source)
    cut = Folder(crop="0,0,40,40")
    assert len(cut.survey(source).clips) == 6


def test_videos_beside_recordings_need_a_crop(source):
    (source / "happy/anna/video").mkdir()
    Image.new("L", (8, 8)).save(source / "happy/anna/video/1.png")
    with pytest.raises(SourceError, match=r"videos \(happy/anna/video\) and event recordings"):
        READER.survey(source)
    cut = Folder(sensor="64x48", crop="0,0,40,40")
    assert len(cut.survey(source).clips) == 6


def test_a_table_of_clips(tmp_path, source):
    (source / "clips.csv").write_text("path,label,subject\nhappy/anna/a.npy,fear,A\n")
    clips = READER.survey(source).clips
    assert [(c.subject, c.label_name) for c in clips] == [("A", "fear")]
    assert len(READER.open(clips[0], source).events) == 400


def test_a_missing_package_stops_before_the_work(source, monkeypatch):
    (source / "happy/anna/b.aedat4").write_bytes(b"#!AER-DAT4.0\r\n")
    monkeypatch.setitem(sys.modules, "faery", None)
    with pytest.raises(MissingExtra, match=r'b\.aedat4.*pip install "evfer\[export\]"'):
        READER.survey(source)


def test_damaged_and_empty_recordings_fail_alone(tmp_path, source):
    (source / "happy/anna/a.npy").write_bytes(b"\x93NUMPY and no more")
    (source / "sad/anna/a.csv").write_text("t,x,y,p\n")
    made = convert(READER, source, tmp_path / "data", SETTINGS)
    assert made.converted == 3
    reasons = {failure.native_id: failure.reason for failure in made.failures}
    assert set(reasons) == {"happy/anna/a.npy", "sad/anna/a.csv"}
    assert "no event in it" in reasons["sad/anna/a.csv"]


def test_a_crop_without_events_fails(source):
    reader = Folder(sensor="64x48", crop="0,0,1,1")
    clip = reader.survey(source).clips[0]
    with pytest.raises(RecordingError, match="events in the crop"):
        reader.open(clip, source)


@pytest.mark.parametrize("options", [{"sensor": "no"}, {"crop": "1"}, {"columns": "abcd"}])
def test_options_are_checked_when_given(options):
    with pytest.raises(ConfigError):
        Folder(**options)


def test_ferdvs_refuses_a_set_of_two_sensors(tmp_path, source, make_events):
    folder = convert(READER, source, tmp_path / "data", SETTINGS).folder
    recording = folder / "ben/003.h5"
    recordings.write(recording, make_events(9), SensorSize(200, 200), {}, duration_us=10**6)
    ours = evfer.FerDVS(tmp_path / "data", dataset="lab")
    sizes = [ours.data.index(path) for path in ours.data if path.endswith("ben/003.h5")]
    with pytest.raises(RecordingError, match="as of the set's first recording"):
        ours[sizes[0]]
