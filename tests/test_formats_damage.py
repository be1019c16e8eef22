"""Event files that are damaged, or need a package that is not there."""

from __future__ import annotations

import contextlib
import sys

import numpy as np
import pytest
from event_files import FIVE, SIZE, dsec, events_of, npy, plain, put, zipped
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from prophesee_words import dat_file, evt2_file, evt3_file, evt3_single
from test_formats_prophesee import VECTORS

from evfer import formats
from evfer.errors import EvferError, MissingExtra
from evfer.events import validate
from evfer.formats import ReadParams, read


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
    with contextlib.suppress(MissingExtra):  # by chance it may begin as a file of faery does
        formats.sensor_size(path)


@pytest.mark.filterwarnings("default")
@given(
    seed=st.sampled_from([*seeds()]),
    cut=st.integers(0, 400),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
)
@settings(max_examples=examples(250))
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
@settings(max_examples=examples(300))
def test_random_bytes_are_refused_or_read(tmp_path, suffix, start, body):
    check_damaged(put(tmp_path, f"a{suffix}", start + body))


@pytest.mark.filterwarnings("default")
@given(cut=st.integers(0, 3000), place=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(max_examples=examples(60))
def test_damaged_hdf5_is_refused_or_read(tmp_path, cut, place, value):
    data = bytearray(dsec(tmp_path / "whole.h5").read_bytes())
    data = data[: len(data) - cut]
    data[place % len(data)] = value
    check_damaged(put(tmp_path, "a.h5", bytes(data)))


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
