"""Columns of an event table, unpacked chunk by chunk.

HDF5 unpacks a chunk of `evfer.recordings` with zlib, byte by byte into 32-bit numbers. The same
chunks taken as they lie in the file, unpacked by libdeflate and put together in the narrowest type,
give the same column in a third of the time. Tables of any other layout go through HDF5.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import FileIO
from typing import Any

import deflate
import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["Chunks", "locate", "narrowed", "unpack"]

_BYTES = 4


@dataclass(frozen=True, eq=False)
class Chunks:
    """Where a table's chunks lie in its file.

    Args:
        n: rows of the table.
        rows: rows of a chunk.
        places: the byte at which each chunk begins and how many it has, int64, shape
            (chunks, columns, 2).
    """

    n: int
    rows: int
    places: NDArray[np.int64]


def locate(table: h5py.Dataset) -> Chunks | None:
    """Find a table's chunks.

    Args:
        table: the table, shape (n, columns), n at least 1.

    Returns:
        Where they lie; None for a layout that only HDF5 unpacks: `unpack` takes chunks of 32-bit
        numbers of one column, shuffled, then packed, no more.

    Raises:
        ValueError: if a chunk is missing.
        OSError, RuntimeError: if the file is damaged otherwise.
    """
    settings = table.id.get_create_plist()
    filters = [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]
    if (
        filters != [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE]
        or table.dtype != np.dtype("<u4")
        or settings.get_chunk()[1] != 1
        or h5py.h5i.get_file_id(table.id).get_create_plist().get_userblock()
    ):
        return None
    rows, (n, columns) = settings.get_chunk()[0], table.shape
    places = np.zeros((-(-n // rows), columns, 2), np.int64)
    found: list[Any] = []
    table.id.chunk_iter(found.append)
    for offset, mask, address, size in found:
        if offset is None or offset[0] >= n:  # without an address, or behind the last row
            continue
        if mask:  # the writer left a filter out
            return None
        if offset[1] >= columns or address >= 2**63:
            raise ValueError("chunks that are nowhere")
        places[offset[0] // rows, offset[1]] = address, size
    if not places[:, :, 1].all():
        raise ValueError("chunks are missing")
    return Chunks(n, rows, places)


def unpack(file: FileIO, chunks: Chunks, column: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """Read one column.

    Args:
        file: the file that holds the chunks.
        chunks: where they lie.
        column: the column.
        kind: an unsigned type for its values.

    Returns:
        The values, shape (n,), as `kind`, or as uint32 where one does not fit, so that the
        caller may name it.

    Raises:
        OSError, ValueError: if the file is damaged.
    """
    values = np.empty(chunks.n, kind)
    for chunk, first in enumerate(range(0, chunks.n, chunks.rows)):
        part = values[first : first + chunks.rows]
        planes = _planes(file, chunks.places[chunk, column], chunks.rows)[:, : len(part)]
        if kind.itemsize < _BYTES and planes[kind.itemsize :].max():  # any() is ten times slower
            return unpack(file, chunks, column, np.dtype(np.uint32))
        part[:] = planes[0]
        for i in range(1, kind.itemsize):
            part |= planes[i].astype(kind) << (8 * i)
    return values


def _planes(file: FileIO, place: NDArray[np.int64], rows: int) -> NDArray[np.uint8]:
    """Unpack a chunk: the lowest bytes of all numbers, then the next ones; shape (4, rows)."""
    file.seek(int(place[0]))
    try:
        raw = deflate.zlib_decompress(file.read(int(place[1])), _BYTES * rows)
    except deflate.DeflateError as error:
        raise ValueError(f"a chunk is damaged: {error}") from error
    if len(raw) != _BYTES * rows:
        raise ValueError(f"a chunk of {len(raw)} bytes instead of {_BYTES * rows}")
    return np.frombuffer(raw, np.uint8).reshape(_BYTES, rows)


def narrowed(values: NDArray[Any], limit: int) -> NDArray[Any]:
    """Give whole numbers in the narrowest unsigned type for those below a limit, if all are."""
    fits = not len(values) or (values.min() >= 0 and values.max() < limit)
    return values.astype(np.min_scalar_type(limit - 1)) if fits else values
