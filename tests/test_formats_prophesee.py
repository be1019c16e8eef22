"""Prophesee's files: the vendor's tables word by word, and what other readers make of them."""

from __future__ import annotations

import numpy as np
import pytest
from event_files import FIVE, SIZE, plain, put
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from prophesee_words import dat_file, evt2_file, evt3_file, evt3_single, evt21_file

from evfer import formats
from evfer.errors import RecordingError
from evfer.formats import ReadParams, read
from evfer.formats.evt import Evt2, Evt3


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
@settings(max_examples=examples(300))
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
@settings(max_examples=examples(100))
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


@pytest.mark.parametrize(
    ("lines", "size"),
    [
        ("% plugin_name hal_plugin_gen41_evk3", (1280, 720)),
        ("% plugin_name hal_plugin_gen3_fx3", (640, 480)),
        ("% plugin_name hal_plugin_gen31_fx3\n% system_ID 28", (640, 480)),
        ("% sensor_name IMX636\n% sensor_generation 4.2", (1280, 720)),
        ("% generation 4.1", (1280, 720)),
        ("% generation 3.1", (640, 480)),
        ("% plugin_name hal_plugin_imx636_evk4", (1280, 720)),
        ("% sensor_name GenX320\n% camera_integrator_name Prophesee", (320, 320)),
    ],
)
def test_a_header_that_names_its_sensor_alone(tmp_path, lines, size):
    path = tmp_path / "a.raw"
    path.write_bytes(evt2_file([(10, 300, 200, 1)], head=f"% evt 2.0\n{lines}\n% end\n"))
    found = read(path)
    assert (found.sensor_size.width, found.sensor_size.height) == size
    assert found.events["x"].tolist() == [300]


def test_a_sensor_that_nobody_knows_is_asked_for(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(evt2_file([(10, 3, 2, 1)], head="% evt 2.0\n% plugin_name gen9\n% end\n"))
    with pytest.raises(RecordingError, match="does not name its sensor's size"):
        read(path)
