"""Random numbers that belong to a pixel and a frame, in machine code.

Every number follows from (key, stream, frame, pixel) alone, so noise is the same whether a clip
comes whole, in blocks or frame by frame, and one frame's numbers are made many at a time.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

__all__ = ["fill_words", "normal", "uniform"]

_WORDS = types.uint32[::1]
_ROUNDS = 10
_MULTIPLY_0, _MULTIPLY_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_STEP_0, _STEP_1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF_WORD = np.uint64(32)


@numba.njit(
    types.void(types.Array(types.uint32, 1, "C", readonly=True), types.int64, types.int64, _WORDS),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def fill_words(key: Any, stream: int, frame: int, words: Any) -> None:
    """Fill an array with random words.

    Args:
        key: two words.
        stream: what the words are for; streams are independent.
        frame: number of the frame; frames are independent.
        words: receives the words, shape (n,), n a multiple of 4.

    Source:
        Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" SC 2011, Philox 4x32-10 on
        the counter (word, frame, stream, 0); deviates: none.
    """
    n = words.size // 4
    a, b, c, d = words[:n], words[n : 2 * n], words[2 * n : 3 * n], words[3 * n : 4 * n]
    for i in range(n):
        c0, c1, c2, c3 = np.uint32(i), np.uint32(frame), np.uint32(stream), np.uint32(0)
        k0, k1 = key[0], key[1]
        for _ in range(_ROUNDS):
            product_0, product_1 = _MULTIPLY_0 * np.uint64(c0), _MULTIPLY_1 * np.uint64(c2)
            c0 = np.uint32(product_1 >> _HALF_WORD) ^ c1 ^ k0
            c1 = np.uint32(product_1 & _LOW)
            c2 = np.uint32(product_0 >> _HALF_WORD) ^ c3 ^ k1
            c3 = np.uint32(product_0 & _LOW)
            k0 = np.uint32(k0 + _STEP_0)
            k1 = np.uint32(k1 + _STEP_1)
        a[i], b[i], c[i], d[i] = c0, c1, c2, c3


@numba.njit(types.float32(types.uint32), cache=True, inline="always")
def uniform(word: Any) -> Any:
    """Give a number from 0 up to, but without, 1: one of 2**24, evenly."""
    return np.float32(word >> np.uint32(8)) * np.float32(2.0**-24)


_BINS = 2048
_TAIL = 32  # the last 1 / _TAIL of each side has a table of its own


def _quantiles() -> NDArray[np.float32]:
    from scipy.special import ndtri

    share = np.arange(_BINS + 1) / _BINS
    # no word lies nearer to 0 than half of one in 2**31
    tail = np.maximum(share / _TAIL, 2.0**-32)
    return np.stack([-ndtri(np.maximum(share, 2.0**-32) / 2), -ndtri(tail / 2)]).astype(np.float32)


_QUANTILES = _quantiles()


@numba.njit(types.float32(types.uint32), cache=True, inline="always")
def normal(word: Any) -> Any:
    """Give a number of the standard normal distribution, by its quantiles.

    Between 2 x 2048 tabulated quantiles it goes straight, so the largest is 6.3 and a number is
    off by at most 0.01, far out; the distribution's share between two quantiles is exact.
    """
    rest = word >> np.uint32(1)  # 31 bits in 2048 bins, or those of the tail
    tail = rest < np.uint32(2**31 // _TAIL)
    row, shift = (1, np.uint32(15)) if tail else (0, np.uint32(20))
    k = np.int64(rest >> shift)
    part = np.float32(rest - (np.uint32(k) << shift)) * np.float32(2.0**-15 if tail else 2.0**-20)
    size = _QUANTILES[row, k] + part * (_QUANTILES[row, k + 1] - _QUANTILES[row, k])
    return -size if word & np.uint32(1) else size
