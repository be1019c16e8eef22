"""Recordings: what is written reads back, here and by others; damage is seen."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys

import h5py
import numpy as np
import pytest
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer import formats, recordings
from evfer.cli import main
from evfer.errors import EventsError, OutputError, RecordingError, UnreadableError
from evfer.events import EVENT_DTYPE, SensorSize, canonical_order
from evfer.files import whole_file

SIZE = SensorSize(200, 200)


def write(path, events, **more):
    given = {"clip_id": "S001/001", "label": 3, "source_fps": 25.0}
    return recordings.write(path, events, SIZE, given, duration_us=1_000_000, **more)


@pytest.mark.parametrize("n", [0, 1, 5, 16384, 40000])
def test_round_trip(tmp_path, make_events, n):
    events = make_events(n)
    path = tmp_path / "001.h5"
    digest = write(path, events)
    found = recordings.read(path)
    assert found.events.dtype == EVENT_DTYPE
    assert found.sensor_size == SIZE
    np.testing.assert_array_equal(found.events, events[canonical_order(events)])
    assert recordings.verify_recording(path) == digest == found.attributes["events_sha256"]
    assert found.attributes["n_events"] == n
    assert found.attributes["source_fps"] == 25.0
    assert list(tmp_path.iterdir()) == [path]


def test_table_is_what_others_expect(tmp_path, make_events):
    events = make_events(20000)
    write(tmp_path / "a.h5", events)
    with h5py.File(tmp_path / "a.h5") as file:
        table = file["events"]
        assert table.dtype == np.uint32
        assert table.shape == (20000, 4)
        assert table.chunks == (16384, 1)
        assert (table.compression, table.compression_opts, table.shuffle) == ("gzip", 1, True)
        whole = np.array(file["events"])  # as the published loader reads it
        assert dict(table.attrs) == {"sensor_width": 200, "sensor_height": 200}
    np.testing.assert_array_equal(np.sort(whole[:, 0]), events["t"])
    assert set(np.unique(whole[:, 3])) == {0, 1}
    digest = hashlib.sha256(whole.astype("<u4").tobytes()).hexdigest()
    assert digest == recordings.inspect(tmp_path / "a.h5")["events_sha256"]


@settings(max_examples=examples(25))
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3, st.booleans()), max_size=30), st.randoms())
def test_canonical_order_forgets_the_order_of_ties(tmp_path_factory, rows, random):
    folder = tmp_path_factory.mktemp("order")
    events = np.array(sorted(rows), dtype=[("t", int), ("x", int), ("y", int), ("p", bool)])
    shuffled = sorted(random.sample(rows, len(rows)), key=lambda row: row[0])
    other = np.array(shuffled, dtype=events.dtype)
    files = []
    for k, array in enumerate((events, other)):
        typed = np.empty(len(array), EVENT_DTYPE)
        for name in EVENT_DTYPE.names:
            typed[name] = array[name]
        write(folder / f"{k}.h5", typed)
        files.append((folder / f"{k}.h5").read_bytes())
    assert files[0] == files[1]


def test_emitted_order_is_kept(tmp_path, make_events):
    events = make_events(1000, duration_us=10)
    write(tmp_path / "a.h5", events, order="emitted")
    np.testing.assert_array_equal(recordings.read(tmp_path / "a.h5").events, events)
    with pytest.raises(EventsError, match="order"):
        write(tmp_path / "a.h5", events, order="random")


def test_reads_a_file_of_v2e(golden):
    path = golden / "sample.h5"
    with pytest.raises(RecordingError, match="sensor's size"):
        recordings.read(path)
    found = recordings.read(path, SensorSize(48, 40))
    case = np.load(golden / "01-paper-s0-small.npz")
    assert len(found.events) == len(case["t"])
    # v2e multiplies in float32 and truncates; the order inside one of its slots is random
    expected = np.empty(len(case["t"]), EVENT_DTYPE)
    expected["t"] = (case["t"].astype(np.float32) * np.float32(1e6)).astype(np.int64)
    expected["x"], expected["y"], expected["p"] = case["x"], case["y"], case["p"] > 0
    np.testing.assert_array_equal(
        found.events[canonical_order(found.events)], expected[canonical_order(expected)]
    )


def test_sensor_size_must_agree(tmp_path, make_events):
    write(tmp_path / "a.h5", make_events(5))
    assert recordings.sensor_size(tmp_path / "a.h5") == SIZE
    with pytest.raises(RecordingError, match="200 x 200; expected 128 x 128"):
        recordings.read(tmp_path / "a.h5", SensorSize(128, 128))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("x", 200, "x = 200"), ("y", -1, "y = -1"), ("t", 2**32, "4294967296")],
)
def test_refuses_events_that_break_the_rules(tmp_path, make_events, field, value, message):
    events = make_events(5)
    events[field][-1] = value
    with pytest.raises(EventsError, match=re.escape(message)):
        write(tmp_path / "a.h5", events)
    assert list(tmp_path.iterdir()) == []


def test_refuses_times_that_go_back(tmp_path, make_events):
    events = make_events(5)
    events["t"] = [3, 7, 0, 8, 9]
    with pytest.raises(EventsError, match="event 2 at 0 us"):
        write(tmp_path / "a.h5", events)


def test_cut_short(tmp_path, make_events):
    path = tmp_path / "a.h5"
    write(path, make_events(50000))
    whole = path.read_bytes()
    for keep in (0, 96, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(RecordingError, match=r"a\.h5"):
            recordings.verify_recording(path)


def test_every_flipped_byte_of_the_data_is_seen(tmp_path, make_events):
    path = tmp_path / "a.h5"
    events = make_events(5000)
    write(path, events)
    whole = bytearray(path.read_bytes())
    expected = recordings.read(path).events
    silent = 0
    for place in np.random.default_rng(1).integers(len(whole) // 2, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        try:
            recordings.verify_recording(path)
            same = np.array_equal(recordings.read(path).events, expected)
        except (RecordingError, KeyError):
            continue
        silent += not same
    assert silent == 0


def test_incomplete_and_newer_files_are_refused(tmp_path, make_events):
    path = tmp_path / "a.h5"
    write(path, make_events(5))
    with h5py.File(path, "a") as file:
        file.attrs["complete"] = 0
    with pytest.raises(RecordingError, match="never completed"):
        recordings.read(path)
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(RecordingError, match="format version 2; expected at most 1"):
        recordings.read(path)


def test_links_are_not_followed(tmp_path, make_events):
    write(tmp_path / "a.h5", make_events(5))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["events"] = h5py.ExternalLink("a.h5", "/events")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("events", (4, 4), "<u4", external=[(str(tmp_path / "a.h5"), 0, 64)])
    for name, message in (("b", "is a link"), ("c", "does not hold its own data")):
        with pytest.raises(RecordingError, match=message):
            recordings.read(tmp_path / f"{name}.h5", SIZE)


@pytest.mark.parametrize(
    "table",
    [np.zeros((5, 3), "u4"), np.zeros((5, 4), "f4"), np.zeros(5, "u4"), np.full((2, 4), 7, "u4")],
)
def test_foreign_tables_are_refused(tmp_path, table):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = table
    with pytest.raises(RecordingError, match=r"a\.h5"):
        recordings.read(tmp_path / "a.h5", SIZE)


def test_missing_file_and_table(tmp_path):
    with pytest.raises(RecordingError, match="no such file"):
        recordings.read(tmp_path / "none.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["other"] = [1]
    with pytest.raises(RecordingError, match="no /events"):
        recordings.read(tmp_path / "a.h5")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(tmp_path, make_events):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "a.h5", make_events(5))


def test_folder_that_is_a_file(tmp_path, make_events):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="taken"):
        write(tmp_path / "taken" / "a.h5", make_events(5))


@pytest.mark.parametrize("n", [2**17, 2**27, 2**33, 2**40])
@pytest.mark.parametrize("own", [True, False])
def test_rows_that_are_declared_but_not_stored(tmp_path, capsys, make_events, n, own):
    path = tmp_path / "a.h5"
    write(path, make_events(20, width=200, height=200))
    with h5py.File(path, "r+") as file:
        file["events"].resize(n, axis=0)
        file.attrs["n_events"] = n
        if not own:
            del file.attrs["format"]
    for use in (recordings.read, recordings.layout, recordings.inspect, formats.read):
        with pytest.raises(RecordingError, match=r"a\.h5: .*(declares|claims)"):
            use(path)
    with pytest.raises(RecordingError, match=r"a\.h5"):
        recordings.verify_recording(path)
    for command in ("info", f"export --to npy --out {tmp_path}"):
        assert main([*command.split(), str(path)]) == 3
        assert "a.h5" in capsys.readouterr().err


def test_a_count_that_is_not_the_table_s(tmp_path, make_events):
    path = tmp_path / "a.h5"
    write(path, make_events(20, width=200, height=200))
    with h5py.File(path, "r+") as file:
        file.attrs["n_events"] = 21
    for use in (recordings.read, recordings.inspect, recordings.verify_recording):
        with pytest.raises(RecordingError, match="20 events; expected 21, as its header says"):
            use(path)


def test_columns_of_other_tools_that_are_declared_but_not_stored(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "txyp":
            file.create_dataset(f"events/{name}", (2**27,), "u4", chunks=(2**20,))
        file.create_dataset("t_offset", data=0)
    with pytest.raises(RecordingError, match="more than the file holds"):
        formats.read(path, formats.ReadParams(sensor="200x200"))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ENOLCK])
def test_an_error_of_the_system_is_no_damage(tmp_path, make_events, monkeypatch, code):
    path = tmp_path / "a.h5"
    write(path, make_events(20, width=200, height=200))

    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(h5py, "File", refuse)
    for use in (recordings.read, recordings.inspect, recordings.verify_recording, formats.read):
        with pytest.raises(UnreadableError, match=os.strerror(code)) as caught:
            use(path)
        assert "damage" not in str(caught.value)
        assert "onvert again" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="no fcntl")
def test_a_disk_without_locks(tmp_path, make_events):
    events = make_events(20, width=200, height=200)
    with (tmp_path / "a.h5").open("xb") as other:
        write(tmp_path / "b.h5", events)
        other.write((tmp_path / "b.h5").read_bytes())
        other.flush()
        import fcntl

        fcntl.flock(other, fcntl.LOCK_EX)  # HDF5 would now refuse to open it
        assert len(recordings.read(tmp_path / "a.h5").events) == 20
        assert recordings.verify_recording(tmp_path / "a.h5")
        assert len(formats.read(tmp_path / "a.h5").events) == 20


@pytest.mark.parametrize(("code", "room"), [(errno.ENOSPC, True), (errno.ENOLCK, False)])
def test_room_on_the_disk_is_asked_for_where_it_lacks(tmp_path, code, room):
    with pytest.raises(OutputError) as caught, whole_file(tmp_path / "a.h5"):
        raise OSError(code, os.strerror(code))
    assert ("room on the disk" in str(caught.value)) is room
