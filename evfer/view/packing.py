"""Numbers as text inside a page: planes of bytes, deflated, base64."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer.events import Columns

__all__ = ["pack", "pack_bits", "pack_cells", "pack_events", "pack_sorted"]


def pack(values: NDArray[Any]) -> dict[str, Any]:
    """Pack whole numbers from 0 to 4294967295.

    All lowest bytes come first, then all second ones, and so on, which deflates far better than
    number after number.

    Args:
        values: any integer type, shape (n,).

    Returns:
        `n`, `bytes` (of one number: 1, 2 or 4) and `data`, as `bytes.js` reads them.

    Examples:
        >>> pack(np.array([3, 300]))["bytes"]
        2
    """
    highest = int(values.max()) if len(values) else 0
    width = 1 if highest < 1 << 8 else 2 if highest < 1 << 16 else 4
    table = np.ascontiguousarray(values, f"<u{width}")
    planes = table.view(np.uint8).reshape(len(values), width).T
    return {"n": len(values), "bytes": width, "data": _text(planes.tobytes())}


def pack_sorted(values: NDArray[Any]) -> dict[str, Any]:
    """Pack whole numbers that never fall, as the steps between them."""
    steps = np.diff(values.astype(np.int64), prepend=0)
    return {**pack(steps), "steps": True}


def pack_bits(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Pack yes and no, eight to a byte."""
    return {"n": len(mask), "bits": True, "data": _text(np.packbits(mask).tobytes())}


def pack_cells(frames: NDArray[Any]) -> dict[str, Any]:
    """Pack frames; nothing is lost.

    Args:
        frames: float32 or uint8, any shape; zeros and ones take a bit each, counts a byte or two.
    """
    cells = frames.ravel()
    if np.array_equal(cells, cells > 0):
        return pack_bits(cells > 0)
    if np.array_equal(cells, np.rint(cells)) and 0 <= cells.min() and cells.max() < 1 << 24:
        return pack(cells.astype(np.uint32))
    return {**pack(cells.astype("<f4").view("<u4")), "float": True}


def pack_events(columns: Columns) -> dict[str, Any]:
    """Pack events sorted by time; nothing is lost."""
    return {
        "x": pack(columns.x),
        "y": pack(columns.y),
        "p": pack_bits(columns.p),
        "t": pack_sorted(columns.t),
    }


def _text(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")
