"""Columns of an event table, unpacked chunk by chunk.

HDF5 unpacks a chunk of `evfer.store` with zlib, byte by byte into 32-bit numbers. The same chunks
taken as they are on disk, unpacked by libdeflate and put together in the narrowest type give the
same column in a third of the time. Tables of any other layout go through HDF5.
"""

from __future__ import annotations

from typing import Any

import deflate
import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["unpack"]

_BYTES = 4


def unpack(table: h5py.Dataset, column: int, limit: int) -> NDArray[Any]:
    """Read one column of a table of whole numbers.

    Args:
        table: the table, shape (n, columns).
        column: which of them.
        limit: what its values should stay below.

    Returns:
        Its values, shape (n,): in the narrowest unsigned type for numbers below `limit`, and in
        a wider one where a value does not fit, so that the caller may name it.

    Raises:
        OSError, ValueError, RuntimeError: if the file is damaged.
    """
    kind = np.min_scalar_type(limit - 1)
    if _is_plain(table):
        found = _from_chunks(table, column, kind)
        if found is not None:
            return found
    values: NDArray[Any] = table[:, column]
    fits = not len(values) or (values.min() >= 0 and values.max() < limit)
    return values.astype(kind) if fits else values


def _is_plain(table: h5py.Dataset) -> bool:
    """Say whether chunks hold 32-bit numbers of one column, shuffled, then packed; no more."""
    settings = table.id.get_create_plist()
    filters = [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]
    return (
        filters == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE]
        and table.dtype == np.dtype("<u4")
        and table.chunks[1] == 1
    )


def _from_chunks(
    table: h5py.Dataset, column: int, kind: np.dtype[Any]
) -> NDArray[np.unsignedinteger[Any]] | None:
    """Unpack a column, or give None where a number is too wide or a chunk packed otherwise."""
    rows, n = table.chunks[0], len(table)
    if table.id.get_num_chunks() < -(-n // rows) * table.shape[1]:
        # asked for one that is not there, HDF5 gives a size that means nothing
        raise ValueError("chunks are missing")
    found = np.empty(n, kind)
    for start in range(0, n, rows):
        skipped, packed = table.id.read_direct_chunk((start, column))
        if skipped:  # the writer left a filter out
            return None
        raw = _inflated(packed, _BYTES * rows)
        # shuffled: the lowest bytes of all numbers, then the next ones
        planes = np.frombuffer(raw, np.uint8).reshape(_BYTES, rows)[:, : n - start]
        if kind.itemsize < _BYTES and planes[kind.itemsize :].max():  # any() is ten times slower
            return None
        part = found[start : start + rows]
        part[:] = planes[0]
        for i in range(1, kind.itemsize):
            part |= planes[i].astype(kind) << (8 * i)
    return found


def _inflated(packed: bytes, size: int) -> bytearray:
    try:
        raw: bytearray = deflate.zlib_decompress(packed, size)
    except deflate.DeflateError as error:
        raise ValueError(f"a chunk is damaged: {error}") from error
    if len(raw) != size:
        raise ValueError(f"a chunk of {len(raw)} bytes instead of {size}")
    return raw
