"""How the ids of Spiking-FER's fold files meet the data sets' own ids.

A fold file names a clip `subject;sequence`. What that means differs from set to set:

    CKPlusDVS  S034;003 is CK+'s own S034/003
    CASIADVS   S001;004 is P001's fourth emotion in the alphabet, happiness
    ADFESDVS   S001;004 likewise, of the models in the order F01 to F10, M01 to M12
    MMIDVS     clips were renumbered; public facts give the numbers of S001 and S002 only, and a
               user who knows the others writes them into a table, `subject;sequence;sid`

Everything here was worked out from the ids in the published files and public lists of the sets'
clips; no data set was at hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from evfer.csv_files import read_cells
from evfer.datasets import cards
from evfer.datasets.base import LABEL_CODES, expression
from evfer.errors import SourceError

__all__ = [
    "ABSENT",
    "CLASHES",
    "RENUMBERED",
    "PublishedId",
    "listing",
    "native_id",
    "own_id",
    "published_id",
    "read_ids",
    "rule",
]


class PublishedId(NamedTuple):
    """A clip as a fold file names it, or as a converted set does."""

    subject: str
    sequence: int


ABSENT: Mapping[str, frozenset[PublishedId]] = {
    "CASIADVS": frozenset({PublishedId("S018", 2), PublishedId("S040", 5)}),
    "ADFESDVS": frozenset({PublishedId("S010", 6)}),
}
"""Clips that the ids leave room for and the published files do not hold."""

CLASHES: Mapping[str, Mapping[PublishedId, tuple[str, str]]] = {
    "CKPlusDVS": {PublishedId("S034", 3): ("anger", "sadness")}
}
"""Clips whose published label is not the official one: (official, published)."""

RENUMBERED = frozenset({"MMIDVS"})
"""Sets whose clips have other ids in the published files than in a converted set."""

_ALPHABET = ("anger", "disgust", "fear", "happy", "sadness", "surprise")
_CASIA_WORDS = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
_CASIA_PEOPLE = 80
_ADFES_WORDS = ("Anger", "Disgust", "Fear", "Joy", "Sadness", "Surprise")
_ADFES_MODELS = tuple([f"F{k:02d}" for k in range(1, 11)] + [f"M{k:02d}" for k in range(1, 13)])
_MMI_OFFSETS = {"S001": 99, "S002": 98}

_SUBJECT = re.compile(r"S(\d{3})")
_CASIA = re.compile(r"P(\d{3})/VL/Strong/([A-Za-z]+)", re.IGNORECASE)
_ADFES = re.compile(r"([FM]\d{2})/([A-Za-z]+)/forward", re.IGNORECASE)
_CKPLUS = re.compile(r"(S\d{3})/(\d{3})", re.IGNORECASE)
_MMI = re.compile(r"(S\d{3})-(\d{3})", re.IGNORECASE)


def native_id(
    set_name: str,
    subject: str,
    sequence: int,
    ids: Mapping[PublishedId, str] | None = None,
) -> str | None:
    """Give a data set's own name of a clip in a published fold file.

    Args:
        set_name: the set's folder, such as "CASIADVS".
        subject: the file's first column, such as "S001".
        sequence: its second column as a number.
        ids: the user's own table of ids, from `read_ids`; it goes before the rule.

    Returns:
        The name as the readers spell it, or None where no rule reaches. Of CASIA that is the
        visible light, strong, which the files are taken to mean; of ADFES the forward view. A
        clip that the files leave out (`ABSENT`) has a name all the same.

    Examples:
        >>> native_id("CASIADVS", "S001", 4), native_id("ADFESDVS", "S011", 4)
        ('P001/VL/Strong/Happiness', 'M01/Joy/forward')
        >>> native_id("MMIDVS", "S001", 4), native_id("MMIDVS", "S005", 4)
        ('S001-103', None)
    """
    if ids and (given := ids.get(PublishedId(subject, sequence))):
        return given
    match = _SUBJECT.fullmatch(subject)
    if match is None or sequence < 1:
        return None
    number = int(match[1])
    if set_name == "CKPlusDVS":
        return f"{subject}/{sequence:03d}"
    if set_name == "CASIADVS" and 1 <= number <= _CASIA_PEOPLE and sequence <= len(_CASIA_WORDS):
        return f"P{number:03d}/VL/Strong/{_CASIA_WORDS[sequence - 1]}"
    if (
        set_name == "ADFESDVS"
        and 1 <= number <= len(_ADFES_MODELS)
        and sequence <= len(_ADFES_WORDS)
    ):
        return f"{_ADFES_MODELS[number - 1]}/{_ADFES_WORDS[sequence - 1]}/forward"
    if set_name == "MMIDVS" and subject in _MMI_OFFSETS:
        return f"{subject}-{_MMI_OFFSETS[subject] + sequence:03d}"
    return None


def published_id(
    set_name: str, native: str, ids: Mapping[PublishedId, str] | None = None
) -> PublishedId | None:
    """Give the id that a fold file has for a clip, the inverse of `native_id`.

    Args:
        set_name: the set's folder.
        native: the clip's name in the data set, as the readers spell it.
        ids: the user's own table of ids, from `read_ids`; it goes before the rule.

    Returns:
        Subject and sequence, or None where no rule reaches.

    Examples:
        >>> published_id("MMIDVS", "S002-099")
        PublishedId(subject='S002', sequence=1)
    """
    for key, given in (ids or {}).items():
        if given.casefold() == native.casefold():
            return key
    if set_name == "CKPlusDVS" and (match := _CKPLUS.fullmatch(native)) and int(match[2]) > 0:
        return PublishedId(match[1].upper(), int(match[2]))
    if set_name == "CASIADVS" and (match := _CASIA.fullmatch(native)):
        word = expression(match[2])
        if word in _ALPHABET and 1 <= int(match[1]) <= _CASIA_PEOPLE:
            return PublishedId(f"S{match[1]}", _ALPHABET.index(word) + 1)
    if set_name == "ADFESDVS" and (match := _ADFES.fullmatch(native)):
        word, model = expression(match[2]), match[1].upper()
        if word in _ALPHABET and model in _ADFES_MODELS:
            return PublishedId(f"S{_ADFES_MODELS.index(model) + 1:03d}", _ALPHABET.index(word) + 1)
    if set_name == "MMIDVS" and (match := _MMI.fullmatch(native)):
        subject = match[1].upper()
        sequence = int(match[2]) - _MMI_OFFSETS.get(subject, 999)
        if sequence > 0:
            return PublishedId(subject, sequence)
    return None


def own_id(
    set_name: str,
    subject: str,
    sequence: int,
    ids: Mapping[PublishedId, str] | None = None,
) -> PublishedId | None:
    """Give subject and sequence of a converted recording from those of a fold file.

    Only renumbered sets differ; everywhere else a converted set has the published ids.

    Returns:
        Subject and sequence as converted, or None where no rule reaches.

    Examples:
        >>> own_id("MMIDVS", "S001", 4), own_id("CASIADVS", "S001", 4)
        (PublishedId(subject='S001', sequence=103), PublishedId(subject='S001', sequence=4))
    """
    if set_name not in RENUMBERED:
        return PublishedId(subject, sequence)
    match = _MMI.fullmatch(native_id(set_name, subject, sequence, ids) or "")
    return PublishedId(match[1].upper(), int(match[2])) if match else None


def listing(set_name: str) -> tuple[tuple[PublishedId, int], ...] | None:
    """List all rows of a published file, with their labels' codes, where the ids say them all.

    Returns:
        The rows, sorted; None for CK+ and MMI, whose rows follow no rule.
    """
    people = {"CASIADVS": _CASIA_PEOPLE, "ADFESDVS": len(_ADFES_MODELS)}.get(set_name)
    if people is None:
        return None
    rows = []
    for number in range(1, people + 1):
        for sequence, label in enumerate(_ALPHABET, start=1):
            row = PublishedId(f"S{number:03d}", sequence)
            if row not in ABSENT[set_name]:
                rows.append((row, LABEL_CODES[label]))
    return tuple(rows)


def rule(set_name: str) -> str:
    """Say in a sentence how the published ids of a set meet its own; empty if none are known."""
    card = cards.find_by_set(set_name)
    note = card.published.note.strip() if card and card.published else ""
    return note if not note or note.endswith(".") else note + "."


def read_ids(path: Path) -> dict[PublishedId, str]:
    """Read a user's own table of ids, `subject;sequence;sid`, with or without that header.

    Args:
        path: the file; subject and sequence as in the fold file, `sid` as MMI names the clip.

    Raises:
        SourceError: naming the line that cannot be used.
    """
    found: dict[PublishedId, str] = {}
    for number, row in read_cells(path, "a table subject;sequence;sid", SourceError):
        if not found and row[0].casefold() == "subject":
            continue
        where = f"{path}, line {number}: {';'.join(row)[:80]}"
        if len(row) != 3 or not _SUBJECT.fullmatch(row[0]) or not row[1].isdecimal():
            raise SourceError(where, expected="subject;sequence;sid, such as S003;001;S003-012")
        if not _MMI.fullmatch(row[2]):
            raise SourceError(where, expected="a clip as MMI names it, such as S003-012")
        key = PublishedId(row[0], int(row[1]))
        if key in found or row[2].upper() in found.values():
            raise SourceError(where, expected="each published id and each clip once")
        found[key] = row[2].upper()
    return found
