"""Recordings in the formats of other tools, as those tools read them."""

from __future__ import annotations

import csv
import dataclasses
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer import recordings
from evfer.cli import main
from evfer.datasets.folder import Folder
from evfer.errors import MissingExtra, RecordingError, SourceError, UnknownNameError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.formats import EXPORTS, EventSource, ReadParams, export, read, write
from evfer.info import describe
from evfer.recordings.index import IndexEntry, write_index

SIZE = SensorSize(346, 260)
THROUGH_FAERY = ("es", "aedat4")
SAID = ReadParams(sensor="346x260", start="file")


def need(to):
    if to in THROUGH_FAERY:
        pytest.importorskip("faery")


def same(found, events):
    return all(np.array_equal(found[name], events[name]) for name in ("t", "x", "y", "p"))


def write_set(folder, make_events):
    """Write a set of four clips by hand."""
    entries = []
    for number, (subject, label) in enumerate((("S001", 1), ("S001", 2), ("S002", 1), ("S002", 2))):
        path = folder / subject / f"{label:03d}.h5"
        events = make_events(50, width=346, height=260, seed=number)
        digest = recordings.write(path, events, SIZE, {}, duration_us=1_000_000)
        name = ("happy", "fear")[label - 1]
        entries.append(
            IndexEntry(
                f"{subject}/{label:03d}", f"{subject}/{label:03d}.h5", subject, label, label, name,
                50, 1_000_000, path.stat().st_size, "", digest, "", 30.0, 31,
            )
        )  # fmt: skip
    write_index(folder, entries)
    return folder


@pytest.mark.parametrize("to", EXPORTS)
@pytest.mark.parametrize("n", [0, 1, 3000])
def test_round_trip(tmp_path, make_events, to, n):
    need(to)
    events = make_events(n, width=346, height=260)
    path = tmp_path / f"a{EXPORTS[to]}"
    write(path, EventSource(events, SIZE, 1_234_567), to)
    found = read(path, SAID)
    assert found.events.dtype == EVENT_DTYPE
    assert np.array_equal(found.events, events)
    if to in ("dsec", "npz"):  # these name the clip's length, and the sensor
        assert found.duration_us == 1_234_567
        assert read(path, ReadParams(start="file")).sensor_size == SIZE
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 2**32 - 2), st.integers(0, 345), st.integers(0, 259), st.booleans()
        ),
        max_size=30,
    ),
    to=st.sampled_from(["dsec", "npy", "npz", "csv", "evt2"]),
)
@settings(max_examples=examples(60))
def test_any_events_come_back(tmp_path, rows, to):
    events = np.array([(x, y, p, t) for t, x, y, p in sorted(rows)], EVENT_DTYPE)
    if len(events):  # milliseconds of more than an hour would make the index long
        events["t"] %= 10_000_000 if to == "dsec" else 2**32 - 1
        events = events[np.argsort(events["t"], kind="stable")]
    path = tmp_path / f"a{EXPORTS[to]}"
    write(path, EventSource(events, SIZE, 0), to)
    assert np.array_equal(read(path, SAID).events, events)


def test_dsec_as_h5py_reads_it(tmp_path, make_events):
    events = make_events(500, width=346, height=260, duration_us=20_000)
    events["t"][::7] -= events["t"][::7] % 1000  # some at the very beginning of a millisecond
    events = events[np.argsort(events["t"], kind="stable")]
    path = tmp_path / "a.h5"
    write(path, EventSource(events, SIZE, 20_000), "dsec")
    with h5py.File(path) as file:
        columns = {name: file["events"][name][:] for name in "txyp"}
        starts, offset = file["ms_to_idx"][:], file["t_offset"][()]
        assert [columns[name].dtype.str for name in "txyp"] == ["<u4", "<u2", "<u2", "|u1"]
        assert (file.attrs["sensor_width"], file.attrs["sensor_height"]) == (346, 260)
    assert same(columns, events)
    assert offset == 0
    # t[ms_to_idx[ms]] >= ms * 1000 and t[ms_to_idx[ms] - 1] < ms * 1000, to the clip's end
    expected = [sum(t < ms * 1000 for t in events["t"]) for ms in range(22)]
    assert starts.tolist() == expected
    assert starts[-1] == len(events)


def test_npy_and_npz_as_numpy_reads_them(tmp_path, make_events):
    events = make_events(500, width=346, height=260)
    write(tmp_path / "a.npy", EventSource(events, SIZE, 10**6), "npy")
    write(tmp_path / "a.npz", EventSource(events, SIZE, 10**6), "npz")
    assert np.array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), events)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert same(archive, events)
        assert (int(archive["width"]), int(archive["height"])) == (346, 260)


def test_csv_as_anybody_reads_it(tmp_path, make_events):
    events = make_events(50, width=346, height=260)
    write(tmp_path / "a.csv", EventSource(events, SIZE, 10**6), "csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert same({name: np.array([int(row[name]) for row in rows]) for name in "txyp"}, events)


def test_evt2_as_expelliarmus_reads_it(tmp_path, make_events):
    wizard = pytest.importorskip("expelliarmus").Wizard(encoding="evt2")
    events = make_events(5000, width=346, height=260, duration_us=30_000_000)
    write(tmp_path / "a.raw", EventSource(events, SIZE, 10**6), "evt2")
    assert same(wizard.read(tmp_path / "a.raw"), events)


@pytest.mark.parametrize("to", ["evt2", "es", "aedat4", "csv"])
def test_as_faery_reads_them(tmp_path, make_events, to):
    faery = pytest.importorskip("faery")
    events = make_events(5000, width=346, height=260)
    path = tmp_path / f"a{EXPORTS[to]}"
    write(path, EventSource(events, SIZE, 10**6), to)
    stream = faery.events_stream_from_file(path)
    found = np.concatenate(list(stream))
    assert same({n: found["on" if n == "p" else n] for n in "txyp"}, events)
    if to != "csv":
        assert stream.dimensions() == (346, 260)


@pytest.mark.parametrize("to", EXPORTS)
def test_a_set_goes_out_and_comes_back(tmp_path, make_events, to):
    need(to)
    folder = write_set(tmp_path / "FerDVS" / "LabDVS", make_events)
    seen = []
    made = export(folder, to, tmp_path / "out", on_progress=lambda *now: seen.append(now))
    assert made.folder == tmp_path / "out" / "LabDVS"
    assert (len(made.files), made.n_events) == (4, 200)
    assert seen == [(k, 4) for k in range(1, 5)]
    back = Folder(sensor="346x260", start="file")
    survey = back.survey(made.folder)
    assert [(c.subject, c.label_name) for c in survey.clips] == [
        ("S001", "happy"), ("S001", "fear"), ("S002", "happy"), ("S002", "fear"),
    ]  # fmt: skip
    for clip, native in zip(survey.clips, ("S001/001", "S001/002", "S002/001", "S002/002"),
                            strict=True):  # fmt: skip
        assert clip.native_id == f"{native}{EXPORTS[to]}"
        original = recordings.read(folder / f"{native}.h5").events
        assert np.array_equal(back.open(clip, made.folder).events, original)


def test_nothing_half_done_stays(tmp_path, make_events, monkeypatch):
    def fail(path, source):
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(sys.modules["evfer.formats.export"]._WRITERS, "npy", fail)
    old = tmp_path / "a.npy"
    old.write_bytes(b"before")
    with pytest.raises(Exception, match="No space left"):
        write(old, EventSource(make_events(5), SensorSize(200, 200), 10), "npy")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]


def test_what_cannot_be_exported(tmp_path, make_events, monkeypatch):
    recording = tmp_path / "a.h5"
    recordings.write(recording, make_events(5), SensorSize(200, 200), {}, duration_us=10**6)
    with pytest.raises(UnknownNameError, match='Did you mean "dsec"'):
        export(recording, "dsek", tmp_path)
    with pytest.raises(SourceError, match="no such file"):
        export(tmp_path / "none", "npy", tmp_path)
    with pytest.raises(SourceError, match=r"index\.csv"):
        export(tmp_path, "npy", tmp_path / "out")
    with pytest.raises(RecordingError, match="that is the file that is read"):
        export(recording, "dsec", tmp_path)
    wide = EventSource(np.zeros(0, EVENT_DTYPE), SensorSize(2049, 10), 0)
    with pytest.raises(RecordingError, match="at most 2048"):
        write(tmp_path / "b.raw", wide, "evt2")
    assert not (tmp_path / "b.raw").exists()
    monkeypatch.setitem(sys.modules, "faery", None)
    with pytest.raises(MissingExtra, match=r'pip install "evfer\[export\]"'):
        export(recording, "es", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_command(tmp_path, make_events, capsys, monkeypatch):
    folder = write_set(tmp_path / "FerDVS" / "LabDVS", make_events)
    out = tmp_path / "out"
    assert main(["export", str(folder), "--to", "npz", "--out", str(out)]) == 0
    assert "4 files, 200 events" in capsys.readouterr().out
    assert main(["export", str(folder / "S001/001.h5"), "--to", "csv", "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["001.csv", "LabDVS"]
    assert main(["export", str(folder), "--to", "nothing"]) == 2
    (folder / "S001/001.h5").write_bytes(b"damaged")
    assert main(["export", str(folder), "--to", "npz", "--out", str(out)]) == 3
    monkeypatch.setitem(sys.modules, "faery", None)
    assert main(["export", str(folder), "--to", "es", "--out", str(out)]) == 4
    assert 'pip install "evfer[export]"' in capsys.readouterr().err


def test_info_says_what_was_exported(tmp_path, make_events):
    source = EventSource(make_events(20, width=346, height=260), SIZE, 10**6)
    for to in ("dsec", "evt2", "npz"):
        write(tmp_path / f"a{EXPORTS[to]}", source, to)
        said = describe(tmp_path / f"a{EXPORTS[to]}")
        assert (said["kind"], said["sensor"], said["n_events"]) == ("event file", "346x260", 20)
    write(tmp_path / "a.csv", source, "csv")
    assert describe(tmp_path / "a.csv")["sensor"].startswith("not named")
    (tmp_path / "b.h5").write_bytes(b"damaged")
    with pytest.raises(RecordingError, match="b.h5"):
        describe(tmp_path / "b.h5")


def test_recordings_without_an_event_are_counted(tmp_path, make_events, capsys):
    folder = write_set(tmp_path / "LabDVS", make_events)
    entries = recordings.read_index(folder)
    n_empty = sum(entry.n_events == 0 for entry in entries)
    entry = dataclasses.replace(entries[0], n_events=0)
    recordings.write_index(folder, [entry, *entries[1:]])
    assert describe(folder)["without_events"] == n_empty + 1
    main(["verify", str(folder)])
    expected = f"without an event: {n_empty + 1} of {len(entries)} recordings"
    assert expected in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")
@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_a_name_that_is_no_text_is_shown_escaped(tmp_path, encoding):
    path = os.fsencode(tmp_path) + b"/b\xe4r.npy"
    with open(path, "wb") as file:
        np.save(file, np.zeros(0))
    done = subprocess.run(
        [sys.executable, "-m", "evfer", "info", path],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert rb"b\udce4r.npy" in done.stdout
