"""Decoders of Prophesee's event words.

Each decoder is fed blocks of words in order and keeps what later words refer to: the time's upper
bits, the row, the base column. Nothing is looped over in Python; what a word refers to is found
by carrying the index of the last word of a kind forward.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns", "Decoder", "Evt2", "Evt3", "Evt21"]

Columns = dict[str, NDArray[Any]]
"""t (int64, microseconds), x and y (int16), p (bool), each of shape (n,)."""

_GLITCH = 16
"""A counter that steps back by less than this has stumbled; by more, it has begun anew."""


_FAR = 2**15 - 1


class Decoder(ABC):
    """A decoder with the state that one block leaves to the next.

    Attributes:
        dropped: events before the first time or place, which belong nowhere.
    """

    def __init__(self) -> None:
        self.dropped = 0

    @abstractmethod
    def decode(self, words: NDArray[Any]) -> Columns:
        """Give the events of the next block of words, in their order."""


class _Counter:
    """The upper bits of the time, counted on past the end of their field."""

    def __init__(self, bits: int) -> None:
        self._span = 1 << bits
        self._last = -1
        self._turns = 0

    def unrolled(self, high: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give a block's counts, shape (n,), with the field's overflows added."""
        if not high.size:
            return high
        before = np.concatenate([[high[0] if self._last < 0 else self._last], high[:-1]])
        turns = self._turns + np.cumsum(high < before - _GLITCH)
        self._last, self._turns = int(high[-1]), int(turns[-1])
        return high + turns * self._span


def _last_index(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give for each place the last place up to it where the mask is true, or -1."""
    places = np.where(mask, np.arange(len(mask)), -1)
    return np.maximum.accumulate(places) if len(places) else places


def _carried(
    mask: NDArray[np.bool_], values: NDArray[np.int64], before: int
) -> tuple[NDArray[np.int64], int]:
    """Spread values that stand where a mask is true over the places after them.

    Returns:
        The value in force at each place, and the one in force after the last.
    """
    index = _last_index(mask)
    filled = np.where(index >= 0, values[index], before) if len(values) else values
    return filled, int(filled[-1]) if len(filled) else before


def _set_bits(masks: NDArray[Any], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give row and number of every bit that is set, row by row, lowest bit first."""
    bits = masks[:, None] >> np.arange(width, dtype=masks.dtype) & masks.dtype.type(1)
    rows, numbers = np.nonzero(bits)
    return rows, numbers


class Evt2(Decoder):
    """EVT 2.0: 32-bit words; bits 31..28 type, 27..22 time, 21..11 x, 10..0 y."""

    def __init__(self) -> None:
        super().__init__()
        self._counter = _Counter(28)
        self._high = -1

    def decode(self, words: NDArray[Any]) -> Columns:
        """Give the events of the next block of words; see `Decoder.decode`."""
        kind = words >> np.uint32(28)
        is_high = kind == 8
        counts = np.full(len(words), -1, np.int64)
        counts[is_high] = self._counter.unrolled((words[is_high] & 0xFFFFFFF).astype(np.int64))
        high, self._high = _carried(is_high, counts, self._high)
        event = np.flatnonzero(kind <= 1)
        timed = event[high[event] >= 0]
        self.dropped += len(event) - len(timed)
        word = words[timed]
        return {
            "t": high[timed] << 6 | (word >> np.uint32(22) & 63).astype(np.int64),
            "x": (word >> np.uint32(11) & 0x7FF).astype(np.int16),
            "y": (word & 0x7FF).astype(np.int16),
            "p": kind[timed] == 1,
        }


class Evt21(Decoder):
    """EVT 2.1: 64-bit words; EVT 2.0's fields in the upper half, 32 pixels in the lower."""

    def __init__(self) -> None:
        super().__init__()
        self._upper = Evt2()

    def decode(self, words: NDArray[Any]) -> Columns:
        """Give the events of the next block of words; see `Decoder.decode`."""
        upper = (words >> np.uint64(32)).astype(np.uint32)
        # pixels of words without a time are dropped with them
        pixels = (words & np.uint64(0xFFFFFFFF)).astype(np.uint32)[(upper >> np.uint32(28)) <= 1]
        found = self._upper.decode(upper)
        lost = len(pixels) - len(found["t"])
        self.dropped += int(np.unpackbits(pixels[:lost].view(np.uint8)).sum())
        rows, numbers = _set_bits(pixels[lost:], 32)
        spread = {name: values[rows] for name, values in found.items()}
        spread["x"] = (spread["x"] + numbers).astype(np.int16)
        return spread


class Evt3(Decoder):
    """EVT 3.0: 16-bit words; bits 15..12 type, the rest as the type says."""

    _ADDR_Y, _ADDR_X, _BASE_X, _VECT_12, _VECT_8, _TIME_LOW, _TIME_HIGH = 0, 2, 3, 4, 5, 6, 8

    def __init__(self) -> None:
        super().__init__()
        self._counter = _Counter(12)
        self._high = self._y = self._base = -1
        self._low = self._polarity = 0

    def decode(self, words: NDArray[Any]) -> Columns:
        """Give the events of the next block of words; see `Decoder.decode`."""
        kind = words >> np.uint16(12)
        value = (words & 0xFFF).astype(np.int64)
        time = self._times(kind, value)
        y, self._y = _carried(kind == self._ADDR_Y, value & 0x7FF, self._y)
        base, polarity = self._bases(kind, value)
        single = np.flatnonzero(kind == self._ADDR_X)
        vector = np.flatnonzero((kind == self._VECT_12) | (kind == self._VECT_8))
        masks = value[vector] & np.where(kind[vector] == self._VECT_8, 0xFF, 0xFFF)
        rows, numbers = _set_bits(masks, 12)
        place = np.concatenate([single, vector[rows]])
        x = np.concatenate([value[single] & 0x7FF, base[vector[rows]] + numbers])
        p = np.concatenate([value[single] >> 11, polarity[vector[rows]]])
        known = (time[place] >= 0) & (y[place] >= 0)
        known[len(single) :] &= base[vector[rows]] >= 0
        self.dropped += int((~known).sum())
        # bits of one word keep their order, since the sort is stable
        order = np.argsort(place[known], kind="stable")
        place = place[known][order]
        return {
            "t": time[place],
            # vectors without end lead past every sensor; they must not come round again
            "x": np.minimum(x[known][order], _FAR).astype(np.int16),
            "y": y[place].astype(np.int16),
            "p": p[known][order] != 0,
        }

    def _times(self, kind: NDArray[Any], value: NDArray[np.int64]) -> NDArray[np.int64]:
        is_high, is_low = kind == self._TIME_HIGH, kind == self._TIME_LOW
        counts = np.full(len(kind), -1, np.int64)
        counts[is_high] = self._counter.unrolled(value[is_high])
        high, last = _carried(is_high, counts, self._high)
        # upper bits that change stand for a new time, of which the lower bits are yet to come
        changed = np.diff(high, prepend=self._high) != 0
        low, self._low = _carried(is_low | changed, np.where(is_low, value, 0), self._low)
        self._high = last
        return np.where(high >= 0, high << 12 | low, -1)

    def _bases(
        self, kind: NDArray[Any], value: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the column that each word's first pixel would have, and the polarity."""
        is_base = kind == self._BASE_X
        width = np.select([kind == self._VECT_12, kind == self._VECT_8], [12, 8], 0)
        passed = np.cumsum(width) - width
        index = _last_index(is_base)
        start = np.where(index >= 0, (value & 0x7FF)[index], self._base)
        since = passed - np.where(index >= 0, passed[index], 0)
        base = np.where(start >= 0, start + since, -1)
        polarity, self._polarity = _carried(is_base, value >> 11, self._polarity)
        if len(base) and base[-1] >= 0:
            self._base = int(base[-1] + width[-1])
        return base, polarity
