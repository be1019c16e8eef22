"""Event files of other tools: what is read, what is refused, and what becomes of times."""

from __future__ import annotations

import pickle
import struct
import sys

import h5py
import numpy as np
import pytest
from event_files import FIVE, SAID, SIZE, dsec, events_of, npy, plain, put, zipped
from prophesee_words import evt2_file

from evfer import formats, recordings
from evfer.errors import ConfigError, MissingExtra, RecordingError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.formats import ReadParams, read
from evfer.formats.column_names import column_name

# --- NumPy


@pytest.mark.parametrize(
    "dtype",
    [
        EVENT_DTYPE,
        [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "i1")],
        [("timestamp", "<i8"), ("polarity", "?"), ("y", "u1"), ("x", "<i4")],
        [("ts", ">u4"), ("x", "f4"), ("y", "f8"), ("p", "f4"), ("extra", "f8")],
    ],
)
def test_structured_arrays_of_any_order_and_type(tmp_path, dtype):
    rows = [(3, 0, 0, 1), (64, 100, 200, 0), (64, 10, 20, 1)]
    array = np.zeros(3, dtype)
    names = {column_name(name): name for name in array.dtype.names}
    for column, name in ((c, names[c]) for c in "txyp"):
        array[name] = [row["txyp".index(column)] for row in rows]
    assert plain(read(put(tmp_path, "a.npy", npy(array)), SAID).events) == rows


def test_dtypes_of_tonic(tmp_path):
    tonic_io = pytest.importorskip("tonic.io")
    array = tonic_io.make_structured_array(*np.array(FIVE).T[[1, 2, 0, 3]])
    assert plain(read(put(tmp_path, "a.npy", npy(array)), SAID).events) == FIVE


def test_a_table_needs_its_order(tmp_path):
    path = put(tmp_path, "a.npy", npy(np.array(FIVE)[:, [1, 2, 3, 0]]))
    with pytest.raises(RecordingError, match="dataset.columns"):
        read(path, SAID)
    said = ReadParams(sensor="346x260", start="file", columns="x, y, p, t")
    assert plain(read(path, said).events) == FIVE


def test_npz_names_its_sensor(tmp_path):
    path = tmp_path / "a.npz"
    t, x, y, p = np.array(FIVE).T
    np.savez(path, ts=t, x=x, y=y, pol=p * 2 - 1, width=346, height=260, duration_us=80_000)
    found = read(path, ReadParams(start="file"))
    assert plain(found.events) == FIVE
    assert (found.sensor_size, found.duration_us) == (SIZE, 80_000)
    assert read(path).duration_us == 80_000 - 3
    np.savez(path, events=events_of(FIVE))
    assert plain(read(path, SAID).events) == FIVE


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


def header(shape, dtype="'<i8'"):
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("a.npy", header((1,), "'|O'") + pickle.dumps([Trap()]), "Python objects"),
        ("a.npz", zipped(t=header((1,), "'|O'") + pickle.dumps([Trap()])), "Python objects"),
        ("a.npy", header((10**15, 4)), "1,000,000,000,000,000 events"),
        ("a.npy", header((10**7, 4)) + bytes(64), "more than it holds"),
        ("a.npy", header((2**40, 2**40)), "events"),
        ("a.npy", header((-1, 4)), "a.npy"),
        ("a.npz", zipped(t=header((10**8,))), "more than it holds"),
        ("a.npy", npy(np.array(FIVE, "<i8"))[:-3], "more than it holds|cut short"),
        ("a.npy", npy(np.zeros((3, 5))), "shape (3, 5)"),
        ("a.npy", npy(np.zeros(3, [("t", "<i8"), ("x", "<i8"), ("y", "<i8")])), "fields t, x, y"),
        ("a.npz", zipped(t=npy(np.arange(3)), x=npy(np.arange(3))), "arrays t, x"),
        ("a.npz", zipped(t=npy(np.arange(3)), x=npy(np.arange(2)), y=npy(np.arange(3)),
                         p=npy(np.zeros(3, int))), "x of shape (2,)"),
        ("a.npz", b"PK\x03\x04 and no more", "a.npz"),
    ],
)  # fmt: skip
def test_numpy_files_that_are_refused(tmp_path, name, data, word):
    with pytest.raises(RecordingError) as caught:
        read(put(tmp_path, name, data), SAID)
    assert any(part in str(caught.value) for part in word.split("|"))


# --- HDF5


def test_dsec(tmp_path):
    found = read(dsec(tmp_path / "events.h5"), ReadParams(sensor="346x260"))
    assert plain(found.events) == FIVE  # the file's own zero
    assert found.remarks["t_offset_us"] == "51648500652"


def test_v2e(tmp_path):
    path = tmp_path / "v2e.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("events", data=np.array(FIVE, "<u4"), maxshape=(None, 4))
    assert plain(read(path, ReadParams(sensor="346x260")).events) == FIVE
    with pytest.raises(RecordingError, match=r"dataset\.sensor"):
        read(path)


def test_tables_in_hdf5(tmp_path):
    path = tmp_path / "metavision.hdf5"
    table = np.zeros(5, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for column, name in enumerate("txyp"):
        table[name] = [row[column] for row in FIVE]
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = "346x260"
        file["CD/events"] = table
    assert plain(read(path, ReadParams(start="file")).events) == FIVE
    assert formats.sensor_size(path) == SIZE


def test_own_recordings_keep_their_times_and_length(tmp_path):
    path = tmp_path / "a.h5"
    recordings.write(path, events_of(FIVE), SIZE, {}, duration_us=90_000)
    found = read(path)
    assert plain(found.events) == FIVE
    assert (found.duration_us, found.sensor_size) == (90_000, SIZE)


@pytest.mark.parametrize("kind", ["soft", "external", "external data", "virtual", "column"])
def test_nothing_outside_the_file_is_read(tmp_path, kind):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["events"] = np.array(FIVE, "<u4")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        if kind == "soft":
            file["hidden"] = np.array(FIVE, "<u4")
            file["events"] = h5py.SoftLink("/hidden")
        elif kind == "external":
            file["events"] = h5py.ExternalLink(str(secret), "/events")
        elif kind == "external data":
            file.create_dataset("events", (5, 4), "<u4", external=[(str(secret), 0, 80)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((5, 4), "<u4")
            layout[:] = h5py.VirtualSource(str(secret), "events", (5, 4))
            file.create_virtual_dataset("events", layout)
        else:
            for name in ("t", "x", "y"):
                file[f"events/{name}"] = np.arange(3)
            file["events/p"] = h5py.ExternalLink(str(secret), "/events")
    with pytest.raises(RecordingError, match=r"is a link|its own data"):
        read(path, SAID)


def test_packed_files_say_what_unpacks_them(tmp_path, monkeypatch):
    path = dsec(tmp_path / "a.h5", compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    for look in (lambda: read(path, SAID), lambda: formats.sensor_size(path)):
        with pytest.raises(MissingExtra, match="pip install hdf5plugin"):
            look()


def test_blosc(tmp_path):
    plugin = pytest.importorskip("hdf5plugin")
    path = dsec(tmp_path / "a.h5", rows=FIVE * 1, **plugin.Blosc(cname="zstd"))
    assert plain(read(path, SAID).events) == FIVE


@pytest.mark.parametrize(
    "make",
    [
        lambda file: None,
        lambda file: file.create_group("events"),
        lambda file: file.create_dataset("events", data=np.zeros((3, 5), "<u4")),
        lambda file: file.create_dataset("events", data=np.zeros((3, 4))),
        lambda file: file.create_dataset("events", data=np.zeros((3, 4), "<u4")).parent.move(
            "events", "event"
        ),
        lambda file: file.create_dataset("events", (10**12, 4), "<u4", chunks=(4096, 4)),
        lambda file: [file.create_dataset(f"events/{n}", data=np.arange(k))
                      for n, k in (("t", 3), ("x", 3), ("y", 2), ("p", 3))],
        lambda file: [file.create_dataset(f"events/{n}", data=[[1]]) for n in "txyp"],
        lambda file: [file.create_group(f"events/{n}") for n in "txyp"],
    ],
)  # fmt: skip
def test_hdf5_files_that_are_refused(tmp_path, make):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(RecordingError, match="a.h5"):
        read(path, SAID)


# --- text


@pytest.mark.parametrize(
    "text",
    [
        "t,x,y,p\n3,0,0,1\n64,345,259,0\n",
        "# timestamp_us x y polarity\n3 0 0 1\n64 345 259 -1\n",
        "X;Y;Pol;T_ns;note\n0;0;1;3000;a\n345;259;0;64000;b\n",
        "%geometry:346,260\nx,y,p,t\n0,0,1,3\n345,259,0,64\n",
        "x\ty\tp\ttime_s\n0\t0\t1\t0.000003\n345\t259\t-1\t0.000064\n",
        "\ufefft,x,y,p\r\n3,0,0,1\r\n64,345,259,0\r\n",
    ],
)
def test_tables_of_text(tmp_path, text):
    path = put(tmp_path, "a.csv", text.encode())
    said = ReadParams("" if "geometry" in text else "346x260", start="file")
    if "-1" in text:
        assert plain(read(path, said).events) == [(3, 0, 0, 1), (64, 345, 259, 0)]
        assert read(path, said).remarks["polarity"] == "-1 and 1"
    else:
        assert plain(read(path, said).events) == [(3, 0, 0, 1), (64, 345, 259, 0)]
    assert formats.is_event_file(path)


@pytest.mark.parametrize("later", ["0.5", "5e-1", ".5"])
def test_whole_times_at_first_and_broken_ones_later(tmp_path, later):
    text = f"time_s,x,y,p\n0,0,0,1\n{later},345,2.59e2,0\n1,3,4,1\n"
    said = ReadParams("346x260", start="file")
    events = plain(read(put(tmp_path, "a.csv", text.encode()), said).events)
    assert events == [(0, 0, 0, 1), (500_000, 345, 259, 0), (1_000_000, 3, 4, 1)]
    # without a unit, broken numbers may be of any
    with pytest.raises(RecordingError, match="of an unknown unit"):
        read(put(tmp_path, "b.csv", text.replace("time_s", "t").encode()), said)
    # a cell that is no number is named as before
    with pytest.raises(RecordingError, match="could not convert string"):
        read(put(tmp_path, "c.csv", text.replace("345", "left").encode()), said)


def test_text_without_names(tmp_path):
    path = put(tmp_path, "events.txt", b"0.000003 0 0 1\n0.000064 345 259 0\n")
    assert not formats.is_event_file(path)
    said = ReadParams(sensor="346x260", start="file", columns="txyp", time_unit="s")
    assert plain(read(path, said).events) == [(3, 0, 0, 1), (64, 345, 259, 0)]
    with pytest.raises(RecordingError, match="names no columns"):
        read(path, SAID)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("t,x,y,p\n3,0,0\n", "a.csv"),
        ("t,x,y,p\n3,0,0,1\n4,zero,0,1\n", "a.csv"),
        ("t,x,y,p\n3.5,0,0,1\n", "unknown unit"),
        ("t,x,y,p\n3,0.5,0,1\n", "event 0 has x = 0.5"),
        ("t,x,y,p\n3,0,0,7\n", "event 0 has polarity 7"),
        ("t,x,y,p\n3,0,0,1\n4,0,0,-1\n5,0,0,0\n", "event 2 has polarity 0 among"),
        ("t,x,y,p\nnan,0,0,1\n", "unknown unit"),
        ("t_s,x,y,p\nnan,0,0,1\n", "event 0 has t = nan"),
        ("t,x,y,p\n9999999999999999999999,0,0,1\n", "a.csv"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, word):
    with pytest.raises(RecordingError) as caught:
        read(put(tmp_path, "a.csv", text.encode()), SAID)
    assert word in str(caught.value)


# --- times, order, sizes


def table(*rows):
    return npy(np.array([(t, x, y, p) for t, x, y, p in rows],
                        [("t", "<i8"), ("x", "<i8"), ("y", "<i8"), ("p", "<i8")]))  # fmt: skip


def test_times_begin_at_the_first_event_and_the_shift_is_told(tmp_path):
    path = put(tmp_path, "a.npy", table((1_700_000_000_000_123, 1, 2, 1), (1_700_000_000_000_200,
               3, 4, 0)))  # fmt: skip
    found = read(path, ReadParams(sensor="10x10"))
    assert plain(found.events) == [(0, 1, 2, 1), (77, 3, 4, 0)]
    assert found.remarks["time_offset_us"] == "1700000000000123"
    assert found.duration_us == 78
    with pytest.raises(RecordingError, match="71 minutes"):
        read(path, ReadParams(sensor="10x10", start="file"))


def test_negative_times_are_shifted(tmp_path):
    path = put(tmp_path, "a.npy", table((-500, 1, 2, 1), (20, 3, 4, 0)))
    assert plain(read(path, ReadParams(sensor="10x10")).events) == [(0, 1, 2, 1), (520, 3, 4, 0)]


def test_negative_times_are_shifted_where_the_file_has_a_zero_too(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["events"] = np.array([(-500, 1, 2, 1), (20, 3, 4, 0)], "<i4")
    assert plain(read(path, ReadParams(sensor="10x10")).events) == [(0, 1, 2, 1), (520, 3, 4, 0)]


def test_unsorted_times_are_sorted_and_ties_keep_their_order(tmp_path):
    rows = [(5, 1, 1, 1), (3, 9, 2, 0), (5, 0, 3, 1), (3, 2, 4, 0)]
    found = read(put(tmp_path, "a.npy", table(*rows)), ReadParams(sensor="10x10", start="file"))
    assert plain(found.events) == [rows[1], rows[3], rows[0], rows[2]]
    assert found.remarks["unsorted"].startswith("2 events")


def test_many_ties_keep_their_order(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(int(t), k % 300, k // 300, 1) for k, t in enumerate(rng.integers(0, 5, 3000))]
    found = read(put(tmp_path, "a.npy", table(*rows)), SAID)
    assert plain(found.events) == sorted(rows, key=lambda row: row[0])


def test_units(tmp_path):
    path = put(tmp_path, "a.npy", table((2, 1, 1, 1), (1001, 1, 1, 1)))
    for unit, times in (("s", [2 * 10**6, 1001 * 10**6]), ("ms", [2000, 1_001_000]),
                        ("us", [2, 1001]), ("ns", [0, 1])):  # fmt: skip
        said = ReadParams(sensor="10x10", start="file", time_unit=unit)
        assert read(path, said).events["t"].tolist() == times


@pytest.mark.parametrize(
    ("row", "word"),
    [((0, 10, 0, 1), "event 0 has x = 10"), ((0, 0, -1, 1), "event 0 has y = -1"),
     ((0, 70_000, 0, 1), "event 0 has x = 70000"), ((0, 0, 8, 2), "event 0 has y = 8")],
)  # fmt: skip
def test_events_beside_the_sensor_are_refused(tmp_path, row, word):
    path = put(tmp_path, "a.npy", table(row))
    with pytest.raises(RecordingError) as caught:
        read(path, ReadParams(sensor="10x8"))
    assert f"a.npy: {word}; expected 0 to" in str(caught.value)


def test_a_crop_moves_the_origin(tmp_path):
    path = put(tmp_path, "a.npy", table((0, 4, 5, 1), (1, 5, 6, 0), (2, 9, 9, 1)))
    found = read(path, ReadParams(sensor="10x10", crop="5,6,4,3"))
    assert plain(found.events) == [(1, 0, 0, 0)]
    assert found.sensor_size == SensorSize(4, 3)
    with pytest.raises(RecordingError, match="a crop of 4 x 3 at 7, 8"):
        read(path, ReadParams(sensor="10x10", crop="7,8,4,3"))


def test_a_file_and_the_user_must_agree(tmp_path):
    path = put(tmp_path, "a.raw", evt2_file(FIVE))
    with pytest.raises(RecordingError, match="346 x 260; expected 640 x 480"):
        read(path, ReadParams(sensor="640x480"))


@pytest.mark.parametrize(
    "wrong",
    [{"sensor": "346"}, {"sensor": "0x3"}, {"sensor": "99999x3"}, {"crop": "1,2,3"},
     {"crop": "0,0,0,5"}, {"columns": "txy"}, {"columns": "txyy"}],
)  # fmt: skip
def test_options_that_are_refused(wrong):
    with pytest.raises(ConfigError):
        ReadParams(**wrong)


# --- which format


def test_what_is_inside_counts(tmp_path):
    recording = tmp_path / "right.h5"
    recordings.write(recording, events_of(FIVE), SIZE, {}, duration_us=90_000)
    assert plain(read(put(tmp_path, "wrong.npy", recording.read_bytes())).events) == FIVE
    assert formats.identify(put(tmp_path, "b.raw", npy(np.zeros(3)))) == "npy"


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("a.npy", b"", "an empty file"),
        ("a.npy", b"hello, this is text", "named .npy"),
        ("a.es", b"hello, this is text", "named .es"),
        ("a.xyz", b"hello, this is text", "no known format"),
        ("a.aedat4", b"#!AER-DAT2.0\r\n", "older version"),
    ],
)
def test_what_is_not_inside(tmp_path, name, data, word):
    with pytest.raises(RecordingError) as caught:
        read(put(tmp_path, name, data))
    assert word in str(caught.value)
    assert formats.sensor_size(tmp_path / name) is None


def test_a_missing_file(tmp_path):
    with pytest.raises(RecordingError, match="No such file"):
        read(tmp_path / "none.npy")
