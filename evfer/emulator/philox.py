"""Random numbers that belong to a pixel and a frame, in machine code.

Every number follows from (key, stream, frame, pixel) alone, so noise is the same whether a clip
comes whole, in blocks or frame by frame, and one frame's numbers are made many at a time.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types

__all__ = ["fill_normals", "fill_words", "uniform"]

_WORDS, _NUMBERS = types.uint32[::1], types.float32[::1]
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


def _narrow(*coefficients: float) -> tuple[Any, ...]:
    return tuple(np.float32(each) for each in coefficients)


# polynomials of least largest error, below 1e-7, lowest power first: log(1.5 + x) for |x| up to
# a half; sin(pi t) / t and cos(pi t) in t^2 for |t| up to 1
_LOG = _narrow(
    0.4054651, 0.66666615, -0.22222137, 0.09879175, -0.049409617, 0.02596733, -0.0143383425,
    0.010243828, -0.006151471,
)  # fmt: skip
_SINE = _narrow(
    3.1415927, -5.1677127, 2.5501604, -0.5992423, 0.08208189, -0.007275316, 0.00039528045
)
_COSINE = _narrow(1.0, -4.934801, 4.058695, -1.3351585, 0.2350298, -0.025358984, 0.0015939107)
_LOG_2 = np.float32(np.log(2))


@numba.njit(cache=True, inline="always")
def _polynomial(coefficients: Any, x: Any) -> Any:
    value = coefficients[-1]
    for k in range(len(coefficients) - 2, -1, -1):
        value = value * x + coefficients[k]
    return value


@numba.njit(types.void(_WORDS, _NUMBERS), cache=True, nogil=True, error_model="numpy")
def fill_normals(words: Any, numbers: Any) -> None:
    """Fill an array with numbers of the standard normal distribution, float32, up to 5.8.

    Arithmetic alone, no library's logarithm: the same words give the same numbers everywhere.

    Args:
        words: random words, shape (n,), n a multiple of 4.
        numbers: receives the numbers, shape (n,).

    Source:
        Box and Muller, "A note on the generation of random normal deviates" 1958; deviates: none.
    """
    half = words.size // 2
    for i in range(half):
        # a length from 24 bits, 1 to 2**24 over 2**24, so that its logarithm is finite
        share = np.float32(np.int32(np.int32(words[i] >> np.uint32(8)) + np.int32(1)))
        bits = share.view(np.int32)
        power = np.int32(np.int32(bits >> np.int32(23)) - np.int32(127 + 24))
        rest = np.int32(np.int32(bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000))
        log = _polynomial(_LOG, rest.view(np.float32) - np.float32(1.5))
        log += np.float32(power) * _LOG_2
        length = np.sqrt(max(np.float32(-2) * log, np.float32(0)))
        # and a direction, in half turns
        turn = np.float32(np.int32(words[half + i])) * np.float32(2.0**-31)
        square = turn * turn
        numbers[i] = length * _polynomial(_COSINE, square)
        numbers[half + i] = length * turn * _polynomial(_SINE, square)
