"""Who is who: names that may spell one person, and clips that a set holds twice."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from evfer.recordings.index import IndexEntry

__all__ = ["copies", "describe_copies", "name_key", "name_people", "spellings", "warn_spellings"]


def name_key(name: str) -> str:
    """Give what all spellings of a name share.

    Those are its forms in Unicode, full width among them, blanks around it, the case of its letters
    and zeros before its numbers.

    Examples:
        >>> {name_key(name) for name in ("S01", "s1 ", "\uff33\uff10\uff11")}
        {'s1'}
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")
    return re.sub(r"(?<!\d)0+(?=\d)", "", " ".join(seen.split()))


def spellings(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Group the names that may be one person's; those that resemble no other are left out."""
    groups: dict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[name_key(name)].add(name)
    return tuple(sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1))


def name_people(groups: Iterable[Sequence[str]]) -> str:
    """Write groups of names, such as `01 and 1; 02 and 2`; those that look alike are escaped."""

    def write(group: Sequence[str]) -> str:
        forms = {unicodedata.normalize("NFC", name).strip() for name in group}
        return " and ".join(group if len(forms) == len(group) else map(ascii, group))

    return "; ".join(map(write, groups))


def warn_spellings(names: Iterable[str]) -> tuple[str, ...]:
    """Say in one sentence, or none, which names may be one person's but count as several."""
    groups = spellings(names)
    if not groups:
        return ()
    return (
        "people whose names differ only in the case of letters, leading zeros, blanks or the form "
        f"of a letter count as several: {name_people(groups)}",
    )


def copies(entries: Sequence[IndexEntry]) -> tuple[tuple[IndexEntry, ...], ...]:
    """Group the recordings of a set that were made from the same source."""
    groups: dict[str, list[IndexEntry]] = defaultdict(list)
    for entry in entries:
        if entry.source_sha256:  # sets of before do not say it
            groups[entry.source_sha256].append(entry)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def describe_copies(group: Sequence[IndexEntry]) -> str:
    """Say of recordings of one source whether they stand under several labels or people."""
    labels = sorted({entry.label_name for entry in group})
    people = sorted({entry.person or entry.subject for entry in group})
    under = [
        f"under {len(names)} {what} ({', '.join(names)})"
        for what, names in (("labels", labels), ("people", people))
        if len(names) > 1
    ]
    same = " and ".join(entry.clip_id for entry in group)
    return f"{same} are the same clip" + (", " + " and ".join(under) if under else "")
