"""Texts from data, made safe to show."""

from __future__ import annotations

import re

__all__ = ["shorten"]

_UNPRINTABLE = re.compile(
    r"[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]"
    # marks that turn the direction of the text around them
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def shorten(text: str, length: int) -> str:
    """Give a text without unprintable characters and at most so many characters long.

    Examples:
        >>> shorten("a very long name", 8)
        'a very …'
    """
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"
