"""Which recordings somebody should look at, from what the index says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from evfer.datasets import people
from evfer.datasets.tree import name_some
from evfer.faces.report import LARGE_OUTSIDE, LARGE_RESIDUAL, SMALL_IOD
from evfer.recordings.index import IndexEntry

__all__ = ["find_concerns"]

_NAMED = 5


def find_concerns(entries: Sequence[IndexEntry]) -> tuple[str, ...]:
    """Say where the face was missing, small, turned or cut off, and what is empty or twice there.

    Args:
        entries: a set's index.
    """
    kinds = (
        ("the face is missing in some frames, whose points are interpolated", _missing(entries)),
        (
            f"the eyes are less than {SMALL_IOD:g} pixels apart, too coarse to hold the face still",
            [
                (e, f"{e.median_iod:.0f}")
                for e in entries
                if (e.median_iod or SMALL_IOD) < SMALL_IOD
            ],
        ),
        (
            "the head turns, or the points are wrong",
            [(e, f"{e.residual:.3f}") for e in entries if (e.residual or 0) > LARGE_RESIDUAL],
        ),
        (
            "the crop reaches out of the picture",
            [(e, f"{e.outside:.0%}") for e in entries if (e.outside or 0) > LARGE_OUTSIDE],
        ),
    )
    still = [entry.clip_id for entry in entries if not entry.n_events]
    empty = f"{len(still)} of {len(entries)} clips hold no event: {name_some(still)}"
    return (
        *([empty] if still else []),
        *map(people.describe_copies, people.copies(entries)),
        *_describe(kinds),
    )


def _describe(
    kinds: Iterable[tuple[str, Sequence[tuple[IndexEntry, str]]]],
) -> Iterator[str]:
    yield from (
        f"{len(found)} clip{'s' * (len(found) > 1)}: {what}: {_name(found)}"
        for what, found in kinds
        if found
    )


def _missing(entries: Sequence[IndexEntry]) -> list[tuple[IndexEntry, str]]:
    rates = [
        (entry, 1 if entry.detection_rate is None else entry.detection_rate) for entry in entries
    ]
    return [(entry, f"{1 - rate:.0%}") for entry, rate in rates if rate < 1]


def _name(found: Sequence[tuple[IndexEntry, str]]) -> str:
    names = ", ".join(f"{entry.clip_id} ({value})" for entry, value in found[:_NAMED])
    more = len(found) - _NAMED
    return names + (f" and {more} more" if more > 0 else "")
