"""Which recordings of a data set stand for it."""

from __future__ import annotations

from collections.abc import Sequence

from evfer.recordings.index import IndexEntry

__all__ = ["choose_clips", "describe_set"]


def choose_clips(entries: Sequence[IndexEntry], per_class: int) -> dict[str, list[IndexEntry]]:
    """Choose a few recordings of every class, of as many people as possible.

    The choice depends on the names alone, so it stays the same from run to run.

    Args:
        entries: the set's index.
        per_class: how many of each class.

    Returns:
        The chosen recordings by the class's name, in the order of the published codes.
    """
    labels = sorted({(entry.label, entry.label_name) for entry in entries})
    return {
        name: _spread([entry for entry in entries if entry.label == label], per_class)
        for label, name in labels
    }


def describe_set(entries: Sequence[IndexEntry]) -> str:
    """Give a set's size in words."""
    subjects = len({entry.subject for entry in entries})
    classes = len({entry.label for entry in entries})
    parts = ((len(entries), "recording"), (subjects, "subject"), (classes, "class"))
    return " · ".join(_count(number, noun) for number, noun in parts)


def _spread(entries: Sequence[IndexEntry], count: int) -> list[IndexEntry]:
    # the first clip of each person, then the second of each: people differ more than clips do
    turns: dict[str, int] = {}
    ordered = []
    for entry in sorted(entries, key=lambda entry: (entry.subject, entry.sequence)):
        turn = turns[entry.subject] = turns.get(entry.subject, 0) + 1
        ordered.append((turn, entry.subject, entry))
    return [entry for _, _, entry in sorted(ordered, key=lambda item: item[:2])[:count]]


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"
