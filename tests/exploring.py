"""How many examples a property is tried on."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> int:
    """Examples for a property that takes `count` by default; a profile that explores takes more.

    Hypothesis's own default is 100, so a profile with 2,500 takes 25 times as many of all.
    """
    return count * settings.default.max_examples // 100
