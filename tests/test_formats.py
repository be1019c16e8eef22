"""Event files of cameras and other tools: what is read, what is refused, and what others read."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prophesee_words import dat_file, evt2_file, evt3_file, evt3_single, evt21_file

from evfer import formats, store
from evfer.errors import ConfigError, EvferError, MissingExtra, RecordingError
from evfer.events import EVENT_DTYPE, SensorSize, validate
from evfer.formats import ReadParams, read
from evfer.formats.names import column_name
from evfer.formats.words import Evt2, Evt3

SIZE = SensorSize(346, 260)
SAID = ReadParams(sensor="346x260", start="file")
FIVE = [(3, 0, 0, 1), (64, 10, 20, 1), (64, 345, 259, 0), (5000, 11, 20, 1), (70_000, 7, 8, 0)]


def events_of(rows):
    events = np.zeros(len(rows), EVENT_DTYPE)
    for k, (t, x, y, p) in enumerate(rows):
        events[k] = (x, y, p, t)
    return events


def plain(events):
    return [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["p"])) for e in events]


def put(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


# --- Prophesee


def expelliarmus(path, encoding):
    wizard = pytest.importorskip("expelliarmus").Wizard(encoding=encoding)
    return [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["p"])) for e in wizard.read(path)]


def faery(path):
    stream = pytest.importorskip("faery").events_stream_from_file(path)
    return [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["on"])) for part in stream for e in part]


@pytest.mark.parametrize("others", [expelliarmus, faery])
@pytest.mark.parametrize(
    ("name", "encoding", "make"),
    [
        ("a.raw", "evt2", evt2_file),
        ("a.raw", "evt3", lambda rows: evt3_file(evt3_single(rows))),
        ("a.dat", "dat", dat_file),
    ],
)
def test_prophesee_files_read_as_others_read_them(tmp_path, name, encoding, make, others):
    path = put(tmp_path, name, make(FIVE))
    found = read(path, ReadParams(start="file"))
    assert plain(found.events) == FIVE
    assert found.sensor_size == formats.sensor_size(path) == SIZE
    if others is faery:
        assert faery(path) == FIVE
        return
    if encoding == "evt3":  # expelliarmus 1.1 counts a turn of the lower 12 bits of time twice
        path.write_bytes(make(FIVE[:3]))
    assert expelliarmus(path, encoding) == plain(read(path, ReadParams(start="file")).events)


VECTORS = [
    0x8000, 0x6010, 0x0005,  # time 16, row 5
    # ON from column 100: two of twelve, one of eight, the last of twelve; then OFF at 7
    0x3800 | 100, 0x4000 | 0b1001, 0x5000 | 0b10, 0x4000 | 0x800, 0x2000 | 7,
    0x0006, 0x3000 | 50, 0x50FF,  # row 6, OFF from 50
    0x7001, 0xE123, 0xF456,  # continued, others: nothing
    0x6011, 0x2800 | 300,
]  # fmt: skip
SPREAD = [
    (16, 100, 5, 1), (16, 103, 5, 1), (16, 113, 5, 1), (16, 131, 5, 1), (16, 7, 5, 0),
    *((16, 50 + k, 6, 0) for k in range(8)), (17, 300, 6, 1),
]  # fmt: skip


@pytest.mark.parametrize("others", [None, expelliarmus, faery])
def test_vectors_of_evt3(tmp_path, others):
    path = put(tmp_path, "a.raw", evt3_file(VECTORS))
    if others is None:
        assert plain(read(path, ReadParams(start="file")).events) == SPREAD
    else:
        assert others(path, *["evt3"] * (others is expelliarmus)) == SPREAD


@pytest.mark.parametrize("order", ["", "little", "legacy"])
def test_evt21_in_both_word_orders(tmp_path, order):
    path = put(
        tmp_path,
        "a.raw",
        evt21_file([(100, 32, 9, 1, 0b101), (165, 64, 3, 0, 1 << 31)], order=order),
    )
    rows = [(100, 32, 9, 1), (100, 34, 9, 1), (165, 95, 3, 0)]
    assert plain(read(path, ReadParams(start="file")).events) == rows


def test_evt3_time_goes_on_past_its_24_bits(tmp_path):
    turn = 1 << 24
    rows = [
        (turn - 5, 1, 1, 1),
        (turn + 3, 2, 1, 0),
        (turn + turn // 2, 4, 1, 1),
        (2 * turn, 3, 1, 1),
    ]
    path = put(tmp_path, "a.raw", evt3_file(evt3_single(rows)))
    assert plain(read(path, ReadParams(start="file")).events) == rows
    found = read(path)
    assert found.remarks["time_offset_us"] == str(turn - 5)
    assert found.events["t"].tolist() == [0, 8, turn // 2 + 5, turn + 5]
    assert found.duration_us == turn + 6


def slow_evt3(words):
    """Decode word by word, as the vendor's tables tell it."""
    events, high, turns, low, row, base, polarity = [], -1, 0, 0, -1, -1, 0
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        if kind == 8:
            turns += high >= 0 and value < high - 16
            if value != high:
                low = 0
            high = value
        elif kind == 6:
            low = value
        elif kind == 0:
            row = value & 0x7FF
        elif kind == 3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind == 2:
            if high >= 0 and row >= 0:
                events.append((turns << 24 | high << 12 | low, value & 0x7FF, row, value >> 11))
        elif kind in (4, 5):
            width = 12 if kind == 4 else 8
            if high >= 0 and row >= 0 and base >= 0:
                for k in range(width):
                    if value >> k & 1:
                        t = turns << 24 | high << 12 | low
                        events.append((t, min(base + k, 32767), row, polarity))
            if base >= 0:
                base += width
    return events


@given(
    words=st.lists(
        st.one_of(
            st.integers(0, 0xFFFF),
            st.sampled_from([0x8000, 0x8001, 0x8FFF, 0x3000, 0x4FFF, 0x50FF, 0x6001, 0x0001]),
        ),
        max_size=60,
    ),
    cuts=st.lists(st.integers(0, 60), max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_evt3_in_blocks_equals_word_by_word(words, cuts):
    decoder, found = Evt3(), []
    for part in np.split(np.array(words, np.uint16), sorted(min(c, len(words)) for c in cuts)):
        made = decoder.decode(part)
        found += [*zip(*(made[name].tolist() for name in ("t", "x", "y", "p")), strict=True)]
    assert [(t, x, y, int(p)) for t, x, y, p in found] == slow_evt3(words)


@pytest.mark.parametrize("cut", range(len(VECTORS)))
def test_vectors_go_on_in_the_next_block(cut):
    decoder = Evt3()
    made = [decoder.decode(part) for part in np.split(np.array(VECTORS, np.uint16), [cut])]
    found = [np.concatenate([part[name] for part in made]).tolist() for name in "txyp"]
    assert [*zip(*found, strict=True)] == SPREAD


def test_vectors_without_end_do_not_come_round_again(tmp_path):
    words = [0x8000, 0x6000, 0x0000, 0x3000, *[0x4000] * 5462, 0x4001]  # column 65544
    with pytest.raises(RecordingError, match="event 0 has x = 32767"):
        read(put(tmp_path, "a.raw", evt3_file(words)))


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 2**33), st.integers(0, 2047), st.integers(0, 2047), st.integers(0, 1)
        ),
        max_size=20,
    ),
    cut=st.integers(0, 40),
)
@settings(max_examples=100, deadline=None)
def test_evt2_in_blocks(rows, cut):
    rows = sorted(rows)
    words = np.frombuffer(evt2_file(rows, head=""), "<u4")
    decoder = Evt2()
    made = [decoder.decode(part) for part in np.split(words, [min(cut, len(words))])]
    found = [np.concatenate([part[name] for part in made]).tolist() for name in ("t", "x", "y")]
    assert [*zip(*found, strict=True)] == [row[:3] for row in rows]


def test_events_before_the_first_time_are_told(tmp_path):
    path = put(tmp_path, "a.raw", evt3_file([0x0005, 0x2000 | 7, *evt3_single(FIVE)]))
    found = read(path, ReadParams(start="file"))
    assert plain(found.events) == FIVE
    assert found.remarks["before_first_time"].startswith("1 event")


def test_a_word_that_is_cut_short_is_told(tmp_path):
    for name, data in (("a.raw", evt2_file(FIVE)), ("a.dat", dat_file(FIVE))):
        found = read(put(tmp_path, name, data[:-1]))
        assert len(found.events) == 4
        assert found.remarks["trailing_bytes"][0] in "37"


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("a.raw", evt2_file(FIVE, head="% date 2020\n"), "no encoding named"),
        ("a.raw", evt2_file(FIVE, head="% evt 4.0\n"), "no encoding named"),
        ("a.raw", evt2_file(FIVE, head="% format HISTO3D;width=3\n"), "HISTO3D"),
        ("a.raw", evt2_file(FIVE, head="% evt 2.0\n"), "does not name its sensor"),
        ("a.raw", evt2_file(FIVE, size=(300, 260)), "event 2 has x = 345"),
        ("a.raw", b"\x00\x01\x02", "no encoding"),
        ("a.dat", dat_file(FIVE, version=1), "DAT version 1"),
        ("a.dat", dat_file(FIVE, kind=0x0E), "type and size (14, 8)"),
        ("a.dat", b"% Version 2\n", "type and size ()"),
    ],
)
def test_prophesee_files_that_are_refused(tmp_path, name, data, word):
    path = put(tmp_path, name, data)
    with pytest.raises(RecordingError, match="a.(raw|dat)") as caught:
        read(path)
    assert word in str(caught.value)


def test_a_long_recording_is_read_in_blocks(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 10**6, 3000))
    rows = [(int(t), int(x), int(x) % 260, int(x) & 1)
            for t, x in zip(times, rng.integers(0, 346, 3000), strict=True)]  # fmt: skip
    monkeypatch.setattr("evfer.formats.prophesee._BLOCK_BYTES", 400)
    for data in (evt2_file(rows), evt3_file(evt3_single(rows))):
        assert plain(read(put(tmp_path, "a.raw", data), ReadParams(start="file")).events) == rows


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


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


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


def dsec(path, rows=FIVE, **options):
    t, x, y, p = np.array(rows).T
    with h5py.File(path, "w") as file:
        for name, values, kind in (("t", t, "<u4"), ("x", x, "<u2"), ("y", y, "<u2"),
                                   ("p", p, "u1")):  # fmt: skip
            file.create_dataset(f"events/{name}", data=values.astype(kind), **options)
        file["ms_to_idx"] = np.searchsorted(t, np.arange(71) * 1000).astype("<u8")
        file["t_offset"] = np.int64(51_648_500_652)
    return path


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
    store.write(path, events_of(FIVE), SIZE, {}, duration_us=90_000)
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
    store.write(recording, events_of(FIVE), SIZE, {}, duration_us=90_000)
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


# --- damage


def seeds():
    yield ".raw", evt2_file(FIVE)
    yield ".raw", evt3_file([*evt3_single(FIVE), *VECTORS])
    yield ".dat", dat_file(FIVE)
    yield ".npy", npy(events_of(FIVE))
    yield ".npz", zipped(**{name: npy(events_of(FIVE)[name]) for name in "txyp"})
    yield ".csv", b"t,x,y,p\n3,0,0,1\n64,345,259,0\n"


def check_damaged(path):
    for look in (lambda: read(path, ReadParams(sensor="346x260")), lambda: read(path)):
        try:
            found = look()
        except EvferError as error:
            said = str(error)
        else:
            validate(found.events, found.sensor_size)
            said = path.name
        assert path.name in said
    formats.sensor_size(path)


@pytest.mark.filterwarnings("default")
@given(
    seed=st.sampled_from([*seeds()]),
    cut=st.integers(0, 400),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
)
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_are_refused_or_read(tmp_path, seed, cut, flips):
    suffix, data = seed
    damaged = bytearray(data[: len(data) - cut] if cut < len(data) else data)
    for place, value in flips:
        damaged[place % len(damaged)] = value
    check_damaged(put(tmp_path, f"a{suffix}", bytes(damaged)))


@pytest.mark.filterwarnings("default")
@given(
    suffix=st.sampled_from(sorted(formats.SUFFIXES)),
    start=st.sampled_from([b"", b"% evt 3.0\n", b"% evt 2.1\n% geometry 9x9\n", b"% Version 2\n",
                           b"\x93NUMPY", b"PK\x03\x04", b"t,x,y,p\n", b"\x89HDF\r\n\x1a\n"]),
    body=st.binary(max_size=300),
)  # fmt: skip
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_random_bytes_are_refused_or_read(tmp_path, suffix, start, body):
    check_damaged(put(tmp_path, f"a{suffix}", start + body))


@pytest.mark.filterwarnings("default")
@given(cut=st.integers(0, 3000), place=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_hdf5_is_refused_or_read(tmp_path, cut, place, value):
    data = bytearray(dsec(tmp_path / "whole.h5").read_bytes())
    data = data[: len(data) - cut]
    data[place % len(data)] = value
    check_damaged(put(tmp_path, "a.h5", bytes(data)))


# --- faery


@pytest.mark.parametrize("name", ["a.es", "a.aedat4"])
def test_without_faery_the_line_that_installs_it(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "faery", None)
    magic = b"Event Stream" if name == "a.es" else b"#!AER-DAT4.0\r\n"
    path = put(tmp_path, name, magic + bytes(20))
    for look in (read, formats.sensor_size):
        with pytest.raises(MissingExtra, match=r'pip install "evfer\[export\]"') as caught:
            look(path)
        assert caught.value.exit_code == 4


@pytest.mark.parametrize("suffix", [".es", ".aedat4"])
def test_files_that_faery_wrote(tmp_path, suffix):
    other = pytest.importorskip("faery")
    made = np.zeros(5, other.EVENTS_DTYPE)
    for column, name in enumerate(("t", "x", "y", "on")):
        made[name] = [row[column] for row in FIVE]
    path = tmp_path / f"a{suffix}"
    other.events_stream_from_array(made, (346, 260)).to_file(path, zero_t0=False)
    assert plain(read(path, ReadParams(start="file")).events) == FIVE
    assert formats.sensor_size(path) == SIZE


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("suffix", [".es", ".aedat4"])
def test_damaged_files_of_faery(tmp_path, suffix):
    other = pytest.importorskip("faery")
    made = np.zeros(200, other.EVENTS_DTYPE)
    made["t"] = np.arange(200)
    path = tmp_path / f"whole{suffix}"
    other.events_stream_from_array(made, (346, 260)).to_file(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(0, 256)
        check_damaged(put(tmp_path, f"a{suffix}", bytes(data)))
