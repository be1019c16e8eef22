"""Indexes of sets that nobody here has: ids, people and labels alone, as the fold tests need."""

from __future__ import annotations

from evfer.datasets.base import EXPRESSIONS, LABEL_CODES
from evfer.recordings.index import IndexEntry

# what the published files hold, from their description: rows drawn over, the row deleted
# afterwards, people, rows a label, and test clips in each of ten folds
PUBLISHED = {
    "ADFESDVS": (131, -1, 22, None, [26] * 10),
    "CASIADVS": (478, -1, 80, None, [95] * 10),
    "CKPlusDVS": (
        358, 239, 99, (94, 53, 77, 36, 38, 59), [71, 70, 71, 71, 71, 71, 71, 71, 71, 70],
    ),
    "MMIDVS": (
        208, 27, 31, (41, 28, 41, 33, 32, 32), [41, 41, 41, 41, 41, 40, 41, 41, 41, 41],
    ),
}  # fmt: skip


def entry(subject, sequence, label, native=None):
    """One recording's line of an index."""
    name = f"{subject}/{sequence:03d}"
    said = {code: word for word, code in LABEL_CODES.items()}[label]
    return IndexEntry(
        name, f"{name}.h5", subject, sequence, label, said,
        1, 1, 1, "0", "0", native or name, 30.0, 2,
    )  # fmt: skip


def entries_of(clips):
    """Entries from (subject, label) pairs, numbered in their order, sorted as an index is."""
    counts, made = {}, []
    for subject, label in clips:
        counts[subject] = counts.get(subject, 0) + 1
        made.append(entry(subject, counts[subject], label))
    return sorted(made, key=lambda e: e.clip_id)


def alphabetical_set(people, absent):
    """A set of which everybody shows six emotions, numbered by the alphabet, but for `absent`."""
    return [
        entry(f"S{person:03d}", sequence, EXPRESSIONS.index(word) + 1)
        for person in range(1, people + 1)
        for sequence, word in enumerate(sorted(EXPRESSIONS), start=1)
        if (person, sequence) not in absent
    ]


def counted_set(people, counts):
    """A set with so many people and so many clips of each label, ids in no order of labels."""
    labels = [label for label, number in enumerate(counts, start=1) for _ in range(number)]
    mixed = [labels[(i * 101) % len(labels)] for i in range(len(labels))]
    return entries_of((f"S{i * people // len(mixed) + 1:03d}", x) for i, x in enumerate(mixed))


def published_set(name):
    """A set that holds just as many clips, people and labels as the published one."""
    people, counts = PUBLISHED[name][2:4]
    if name == "ADFESDVS":
        return alphabetical_set(people, {(10, 6)})
    if name == "CASIADVS":
        return alphabetical_set(people, {(18, 2), (40, 5)})
    return counted_set(people, counts)
