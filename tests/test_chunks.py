"""Columns unpacked chunk by chunk are those that HDF5 gives."""

from __future__ import annotations

import struct
from io import FileIO

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evfer.recordings.chunks import locate, narrowed
from evfer.recordings.chunks import unpack as unpack_chunks

OWN = {"shuffle": True, "compression": "gzip", "compression_opts": 1}
LAYOUTS = {
    "own": {"chunks": (7, 1), **OWN},
    "one chunk": {"chunks": (50, 1), **OWN},
    "rows": {"chunks": (7, 4), **OWN},
    "not shuffled": {"chunks": (7, 1), "compression": "gzip"},
    "with sums": {"chunks": (7, 1), "fletcher32": True, **OWN},
    "lzf": {"chunks": (7, 1), "compression": "lzf"},
    "unpacked": {"chunks": (7, 1)},
    "in one piece": {},
}


def unpack(stored, column, limit):
    """Read a column as `evfer.recordings` does, chunk by chunk where they can be found."""
    if stored.file.mode == "r+":
        stored.file.flush()
    chunks = locate(stored)
    if chunks is None:
        return narrowed(stored[:, column], limit)
    with FileIO(stored.file.filename) as file:
        return unpack_chunks(file, chunks, column, np.min_scalar_type(limit - 1))


@pytest.fixture
def table(tmp_path):
    files = []

    def make(values, kind="<u4", **layout):
        files.append(h5py.File(tmp_path / f"{len(files)}.h5", "w"))
        return files[-1].create_dataset("events", data=np.asarray(values, kind), **layout)

    yield make
    for file in files:
        file.close()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("limit", [2, 200, 256, 257, 30_000, 2**32])
@pytest.mark.parametrize("n", [1, 7, 8, 50])
def test_every_layout_gives_its_values(table, layout, limit, n):
    given_values = np.random.default_rng(n).integers(0, limit, (n, 4))
    chunks = LAYOUTS[layout].get("chunks", (1, 1))
    stored = table(
        given_values,
        **LAYOUTS[layout] | ({"maxshape": (None, 4)} if layout != "in one piece" else {}),
    )
    assert stored.chunks in (chunks, None)
    for column in range(4):
        found = unpack(stored, column, limit)
        np.testing.assert_array_equal(found, given_values[:, column])
        assert found.dtype == np.min_scalar_type(limit - 1)


def test_a_file_with_a_block_of_its_user(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        stored = file.create_dataset(
            "events", data=[[1, 2, 3, 0]], dtype="<u4", chunks=(1, 1), **OWN
        )
        assert unpack(stored, 1, 200).tolist() == [2]


@pytest.mark.parametrize("kind", ["<i8", ">u4", "<u2", "<i4"])
def test_other_numbers_are_narrowed_too(table, kind):
    stored = table([[1, 2, 3, 0], [4, 5, 6, 1]], kind, chunks=(1, 1), **OWN)
    found = unpack(stored, 1, 200)
    assert found.dtype == np.uint8
    assert found.tolist() == [2, 5]


@pytest.mark.parametrize("value", [256, 65_536, 2**31])
def test_a_value_that_is_too_wide_stays_whole(table, value):
    stored = table([[0, 1, 0, 0], [0, value, 0, 0]], chunks=(1, 1), **OWN)
    assert unpack(stored, 1, 200).tolist() == [1, value]


def test_a_negative_value_stays_negative(table):
    assert unpack(table([[0, -1, 0, 0]], "<i4"), 1, 200).tolist() == [-1]


def test_a_chunk_that_was_stored_without_packing(tmp_path):
    values = np.array([5, 6, 7, 8], "<u4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stored = file.create_dataset("events", data=np.ones((4, 4), "<u4"), chunks=(4, 1), **OWN)
        stored.id.write_direct_chunk((0, 1), values.tobytes(), filter_mask=3)
    with h5py.File(tmp_path / "a.h5", "r") as file:  # HDF5 tells the mask of what is on disk
        assert unpack(file["events"], 1, 200).tolist() == [5, 6, 7, 8]


@given(st.binary(min_size=1, max_size=40))
def test_what_is_no_chunk_is_refused(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("junk") / "a.h5"
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("events", data=np.ones((4, 4), "<u4"), chunks=(4, 1), **OWN)
        stored.id.write_direct_chunk((0, 1), junk)
        with pytest.raises((OSError, ValueError)):
            unpack(stored, 1, 200)


@pytest.mark.parametrize("address", [2**63 + 8, 2**64 - 1, 2**63 - 8, 2**40])
def test_addresses_that_no_chunk_has_are_refused(tmp_path, address):
    with pytest.raises((OSError, ValueError)):
        read_patched(tmp_path, address=address)


@pytest.mark.parametrize("column", [4, 7, 2**40])
def test_columns_that_no_table_has_are_refused(tmp_path, column):
    with pytest.raises((OSError, ValueError, RuntimeError)):
        read_patched(tmp_path, column=column)


def test_what_is_patched_is_read_as_it_was(tmp_path):
    assert read_patched(tmp_path).tolist() == [1, 5]


def read_patched(folder, **changes):
    """Read a column after changing where the file's tree of chunks says that it lies."""
    with h5py.File(folder / "a.h5", "w") as file:
        table = [[0, 1, 2, 3], [4, 5, 6, 7]]
        stored = file.create_dataset("events", data=table, dtype="<u4", chunks=(2, 1), **OWN)
        places = []
        stored.id.chunk_iter(places.append)
    raw = bytearray((folder / "a.h5").read_bytes())
    # a key of the tree ends in the offsets of row, column and element; the address follows
    address = raw.index(struct.pack("<QQQQ", 0, 1, 0, places[1].byte_offset)) + 24
    if "address" in changes:
        raw[address : address + 8] = struct.pack("<Q", changes["address"])
    if "column" in changes:
        raw[address - 16 : address - 8] = struct.pack("<Q", changes["column"])
    (folder / "a.h5").write_bytes(raw)
    with h5py.File(folder / "a.h5", "r") as file:
        return unpack(file["events"], 1, 200)


def test_a_chunk_that_is_missing_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stored = file.create_dataset("events", (4, 4), "<u4", chunks=(4, 1), **OWN)
        with pytest.raises(ValueError, match="chunks are missing"):
            unpack(stored, 1, 200)
