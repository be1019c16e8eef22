"""Prophesee's words, written one by one from the vendor's tables; the tests' own encoder."""

from __future__ import annotations

import struct


def evt2_words(events):
    """Words of EVT 2.0 for (t, x, y, p) tuples, with a time word before each event."""
    for t, x, y, p in events:
        yield 0x8 << 28 | t >> 6 & 0xFFFFFFF
        yield (1 if p else 0) << 28 | (t & 63) << 22 | x << 11 | y


def evt2_file(events, size=(346, 260), head=None):
    if head is None:
        head = f"% evt 2.0\n% geometry {size[0]}x{size[1]}\n"
    words = list(evt2_words(events))
    return head.encode() + struct.pack(f"<{len(words)}I", *words)


def evt3_single(events):
    """Words of EVT 3.0 for (t, x, y, p) tuples; what does not change is not sent again."""
    high = low = row = None
    for t, x, y, p in events:
        if t >> 12 != high:
            high, low = t >> 12, None
            yield 0x8 << 12 | high & 0xFFF
        if t & 0xFFF != low:
            low = t & 0xFFF
            yield 0x6 << 12 | low
        if y != row:
            row = y
            yield y
        yield 0x2 << 12 | (1 if p else 0) << 11 | x


def evt3_file(words, size=(346, 260), head=None):
    if head is None:
        head = f"% evt 3.0\n% format EVT3;height={size[1]};width={size[0]}\n% end\n"
    words = list(words)
    return head.encode() + struct.pack(f"<{len(words)}H", *words)


def evt21_file(groups, size=(346, 260), order=""):
    """EVT 2.1 for (t, x, y, p, mask) tuples, a time word before each."""
    head = f"% evt 2.1\n% geometry {size[0]}x{size[1]}\n"
    if order:
        head += f"% format EVT21;height={size[1]};width={size[0]};endianness={order}\n"
    body = b"% end\n"
    for t, x, y, p, mask in groups:
        upper = (1 if p else 0) << 28 | (t & 63) << 22 | x << 11 | y
        for half in (0x8 << 28 | t >> 6 & 0xFFFFFFF, 0), (upper, mask):
            # the older sensor sends the upper half first
            body += struct.pack("<2I", *(half if order == "legacy" else half[::-1]))
    return head.encode() + body


def dat_file(events, size=(346, 260), version=2, kind=0x0C):
    head = f"% Data file containing CD events\n% Version {version}\n"
    head += f"% Width {size[0]}\n% Height {size[1]}\n"
    body = b"".join(struct.pack("<2I", t, (p << 28) | (y << 14) | x) for t, x, y, p in events)
    return head.encode() + bytes([kind, 8]) + body
