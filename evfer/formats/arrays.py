"""NumPy's files: `.npy` with a structured array or a table, `.npz` with columns.

Nothing is unpickled, and a header's size is held against the file's before memory is asked for.
"""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError, RecordingError
from evfer.events import SensorSize
from evfer.formats.assemble import EventSource, ReadParams, assemble, check_count
from evfer.formats.column_names import column_name

__all__ = ["MAGIC_NPY", "npz_size", "read_npy", "read_npz"]

MAGIC_NPY = b"\x93NUMPY"
_EXPECTED = "a structured array with fields t, x, y and p, or a table of four columns"


def read_npy(path: Path, params: ReadParams) -> EventSource:
    """Read a `.npy` file: a structured array in any order and type, or a table (n, 4).

    Raises:
        RecordingError: if it holds something else, or a table without a stated order.
    """
    with path.open("rb") as file:
        array = _load(path, file, path.stat().st_size)
    return _from_structured(path, array, params, None, {"format": "NumPy"})


def read_npz(path: Path, params: ReadParams) -> EventSource:
    """Read a `.npz` file: columns t, x, y and p, or one array as in a `.npy` file.

    Scalars `width` and `height` name the sensor's size, `duration_us` the clip's length.

    Raises:
        RecordingError: if it holds something else, or is damaged.
    """
    arrays = _members(path)
    size = _sensor(path, arrays)
    said = {"format": "NumPy archive"}
    columns = {column_name(name): array for name, array in arrays.items() if column_name(name)}
    tables = [array for array in arrays.values() if array.dtype.names or array.ndim == 2]
    if len(columns) < 4 and len(tables) == 1:
        return _from_structured(path, tables[0], params, size, said)
    if set(columns) != {"t", "x", "y", "p"}:
        raise RecordingError(
            f"{path}: arrays {', '.join(sorted(arrays)) or 'none'}",
            expected="arrays t, x, y and p, or one structured array",
        )
    stored = arrays.get("duration_us")
    known = stored is not None and stored.ndim == 0 and stored.dtype.kind in "iu"
    return assemble(
        path,
        columns,
        size,
        params,
        duration_us=int(stored) if stored is not None and known else None,
        remarks=said,
    )


def npz_size(path: Path) -> SensorSize | None:
    """Give the sensor's size that a `.npz` file names, without reading its columns.

    Raises:
        RecordingError: if the file is damaged.
    """
    return _sensor(path, _members(path, ("width", "height")))


def _members(path: Path, only: tuple[str, ...] = ()) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name != info.filename and (not only or name in only):
                    with archive.open(info) as member:
                        arrays[name] = _load(path, member, info.file_size)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError,
            RuntimeError, ValueError, OverflowError) as error:  # fmt: skip
        raise RecordingError(f"{path}: {error}", expected="an undamaged .npz file") from error
    return arrays


def _from_structured(
    path: Path,
    array: NDArray[Any],
    params: ReadParams,
    size: SensorSize | None,
    remarks: Mapping[str, str],
) -> EventSource:
    """Make events of a structured array or a table; see `assemble` for what may be wrong.

    Raises:
        RecordingError: also if a table's columns have no stated order.
    """
    if array.dtype.names:
        found = {column_name(name): name for name in array.dtype.names if column_name(name)}
        if set(found) != {"t", "x", "y", "p"} or array.ndim != 1:
            raise RecordingError(
                f"{path}: an array of shape {array.shape} with fields "
                f"{', '.join(array.dtype.names)}",
                expected=_EXPECTED,
            )
        columns = {name: array[field] for name, field in found.items()}
    elif array.ndim == 2 and array.shape[1] == 4 and array.dtype.kind in "iufb":
        if not params.columns:
            raise RecordingError(
                f"{path}: a table of four columns without names",
                expected="the order of its columns, which nothing in it tells",
                hint="Name it with --set dataset.columns=txyp, or whatever it is",
            )
        columns = {name: array[:, k] for k, name in enumerate(params.order)}
    else:
        raise RecordingError(
            f"{path}: an array of shape {array.shape} and type {array.dtype}", expected=_EXPECTED
        )
    for name, values in columns.items():
        if values.ndim != 1:
            raise RecordingError(f"{path}: {name} of shape {values.shape}", expected=_EXPECTED)
    return assemble(path, columns, size, params, remarks=remarks)


def _load(path: Path, file: IO[bytes], n_bytes: int) -> NDArray[Any]:
    """Read one array of `n_bytes` with its header, which is checked before the array is."""
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"NumPy format {version[0]}.{version[1]}")
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are never loaded")
        count = math.prod(shape)
        check_count(path, max(shape, default=1))
        if any(n < 0 for n in shape) or not 0 <= count * dtype.itemsize <= n_bytes:
            raise ValueError(f"its header tells of an array of shape {shape}, more than it holds")
        data = file.read(count * dtype.itemsize)
        if len(data) < count * dtype.itemsize:
            raise ValueError("it is cut short")
        array = np.frombuffer(data, dtype, count) if data else np.zeros(count, dtype)
        return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
    except (ValueError, TypeError, OverflowError, MemoryError, EOFError, SyntaxError,
            RecursionError, tokenize.TokenError, io.UnsupportedOperation) as error:  # fmt: skip
        raise RecordingError(f"{path}: {error}", expected="a whole NumPy file") from error


def _sensor(path: Path, arrays: Mapping[str, NDArray[Any]]) -> SensorSize | None:
    sides = [arrays.get(name) for name in ("width", "height")]
    found = [int(side) for side in sides if side is not None and side.shape == ()
             and side.dtype.kind in "iu"]  # fmt: skip
    if len(found) < 2:
        return None
    try:
        return SensorSize(*found)
    except EventsError as error:
        raise RecordingError(f"{path}: {error.found}", expected=error.expected) from error
