"""Fold files of others: their ids met with a set's own, their labels held against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from evfer.datasets import people, published
from evfer.datasets.base import LABEL_CODES
from evfer.datasets.published import PublishedId
from evfer.errors import RecordingError
from evfer.folds.plan import FoldPlan, make_plan
from evfer.folds.table import FoldRow, count_folds, read_rows, require_both_parts
from evfer.recordings.index import IndexEntry

__all__ = ["Numbering", "Reading", "read_foreign", "read_numbering"]

Numbering = Literal["own", "published"]
"""Whether a fold file names clips as a converted set does, or as the published files do."""

_NAMED = 5
_NAMES = {code: name for name, code in LABEL_CODES.items()}
_Key = tuple[str, int]


@dataclass(frozen=True)
class Reading:
    """What became of a fold file's rows.

    Args:
        plan: the folds of the clips that are in the set; its notes say the rest in sentences.
        numbering: how the file names clips.
        n_rows: rows of the file.
        absent: rows whose clip is not in the set, as `subject;sequence`.
        unmapped: rows whose id no rule leads to a clip, likewise.
        relabelled: clips whose label in the file is known to differ from the official one.
        unnamed: clips of the set that the file does not name.
    """

    plan: FoldPlan
    numbering: Numbering
    n_rows: int
    absent: tuple[str, ...]
    unmapped: tuple[str, ...]
    relabelled: tuple[str, ...]
    unnamed: tuple[str, ...]


def read_foreign(
    path: Path,
    entries: Sequence[IndexEntry],
    set_name: str = "",
    *,
    numbering: Numbering | None = None,
    ids: Mapping[PublishedId, str] | None = None,
) -> Reading:
    """Read a fold file that was made elsewhere, as far as it fits the set.

    Args:
        path: the file, in the published format.
        entries: the set's index.
        set_name: the set's folder, such as "MMIDVS"; says how published ids meet its own.
        numbering: how the file names clips; by default "published" if a table of ids is given,
            else whichever fits more of its rows.
        ids: the user's table of published ids, see `evfer.datasets.published.read_ids`.

    Raises:
        RecordingError: if the file is damaged, names no clip of the set, gives clips other
            labels than the set does, or leaves a fold without clips to test or to train on.
    """
    rows = read_rows(path)
    by_key = {(entry.subject, entry.sequence): entry for entry in entries}
    chosen = numbering or ("published" if ids else _likelier(rows, by_key, set_name))
    found: dict[str, FoldRow] = {}
    absent: list[str] = []
    unmapped: list[str] = []
    relabelled: list[IndexEntry] = []
    differing: list[IndexEntry] = []
    for row in rows:
        key = _own_key(row, set_name, chosen, ids)
        entry = by_key.get(key) if key else None
        if key is None:
            unmapped.append(row.name)
        elif entry is None:
            absent.append(row.name)
        elif entry.clip_id in found:
            raise RecordingError(
                f"{path}, line {row.line}: {row.name} and {found[entry.clip_id].name} are both "
                f"clip {entry.clip_id}",
                expected="one line a clip",
            )
        else:
            found[entry.clip_id] = row
            if entry.label != row.label:
                known = _is_known_clash(set_name, row, entry)
                (relabelled if known else differing).append(entry)
    if not found:
        raise RecordingError(
            f"{path}: none of its {len(rows)} rows names a clip of the set",
            expected=f"rows such as {_spell(entries[0])}",
            hint=_table_hint(set_name)
            if unmapped
            else _spelt(rows, entries)
            or "Is it the fold file of another set, or are its clips still to be converted?",
        )
    if differing:
        raise _label_error(path, differing, found)
    clip_ids = sorted(found)
    tests = [
        [i for i, clip in enumerate(clip_ids) if found[clip].flags[fold]]
        for fold in range(count_folds(rows))
    ]
    require_both_parts(path, tests, len(clip_ids))
    reading = Reading(
        make_plan("imported", 0, clip_ids, tests),
        chosen,
        len(rows),
        tuple(absent),
        tuple(unmapped),
        tuple(entry.clip_id for entry in relabelled),
        tuple(sorted(entry.clip_id for entry in entries if entry.clip_id not in found)),
    )
    return replace(
        reading,
        plan=replace(
            reading.plan, notes=(*_notes(reading, set_name), *filter(None, [_spelt(rows, entries)]))
        ),
    )


def _spelt(rows: Sequence[FoldRow], entries: Sequence[IndexEntry]) -> str:
    """Name the people whom the file spells otherwise than the set, or nothing."""
    known = {entry.subject for entry in entries}
    strangers = {row.subject for row in rows} - known
    groups = [g for g in people.spellings(known | strangers) if strangers & set(g)]
    if not groups:
        return ""
    return f"File and set may spell people differently: {people.name_people(groups)}."


def read_numbering(text: str | None) -> tuple[Numbering | None, dict[PublishedId, str]]:
    """Understand what a user says of a fold file's ids.

    Args:
        text: "own", "published", the path of a table `subject;sequence;sid` of published ids,
            or None.

    Returns:
        The numbering, None if nothing was said; and the table, empty if none was given.

    Raises:
        SourceError: if the table cannot be read.
    """
    if text is None:
        return None, {}
    if text == "own":
        return "own", {}
    if text == "published":
        return "published", {}
    return "published", published.read_ids(Path(text))


def _own_key(
    row: FoldRow, set_name: str, numbering: Numbering, ids: Mapping[PublishedId, str] | None
) -> _Key | None:
    if numbering == "own":
        return row.subject, row.sequence
    return published.own_id(set_name, row.subject, row.sequence, ids)


def _likelier(
    rows: Sequence[FoldRow], by_key: Mapping[_Key, IndexEntry], set_name: str
) -> Numbering:
    if set_name not in published.RENUMBERED:
        return "own"

    def fit(numbering: Numbering) -> int:
        # a clip with another label speaks against a numbering as loudly as one with the same
        # label speaks for it, for by chance five of six differ
        score = 0
        for row in rows:
            key = _own_key(row, set_name, numbering, None)
            entry = by_key.get(key) if key else None
            if entry is not None:
                score += 1 if entry.label == row.label else -1
        return score

    return "published" if fit("published") > fit("own") else "own"


def _is_known_clash(set_name: str, row: FoldRow, entry: IndexEntry) -> bool:
    clashes = published.CLASHES.get(set_name, {})
    labels = clashes.get(PublishedId(row.subject, row.sequence))
    return labels is not None and {LABEL_CODES[name] for name in labels} == {
        row.label,
        entry.label,
    }


def _label_error(
    path: Path, differing: Sequence[IndexEntry], found: Mapping[str, FoldRow]
) -> RecordingError:
    entry = differing[0]
    row = found[entry.clip_id]
    more = f", and likewise {len(differing) - 1} more" if len(differing) > 1 else ""
    return RecordingError(
        f"{path}, line {row.line}: label {row.label} ({_NAMES.get(row.label, 'no label')}) for "
        f"clip {entry.clip_id}{more}; {len(found)} of its rows name a clip of the set",
        expected=f"{entry.label} ({entry.label_name}), as converted",
        hint="Is it the fold file of another set, or are its ids other than the set's? "
        "See --ids; or convert with --set dataset.labels=published, if the file's labels count",
    )


def _notes(reading: Reading, set_name: str) -> tuple[str, ...]:
    notes = []
    if set_name in published.RENUMBERED:
        whose = "published ids" if reading.numbering == "published" else "the set's own ids"
        notes.append(f"The file was read by {whose}; --ids own or --ids published says otherwise.")
    if rule := published.rule(set_name):
        notes.append(f"Ids: {rule}")
    if reading.unmapped:
        notes.append(
            f"{len(reading.unmapped)} of {reading.n_rows} rows have ids that no public rule leads "
            f"to a clip, and are left out: {_some(reading.unmapped)}. {_table_hint(set_name)}."
        )
    if reading.absent:
        notes.append(
            f"{len(reading.absent)} of {reading.n_rows} rows name clips that are not in the set, "
            f"and are left out: {_some(reading.absent)}."
        )
    if reading.unmapped or reading.absent:
        notes.append(
            f"Folds of {len(reading.plan.clip_ids)} of {reading.n_rows} rows: scores on them do "
            "not compare with scores on the whole file."
        )
    for clip in reading.relabelled:
        official, labelled = published.CLASHES[set_name][_published_id(clip)]
        notes.append(
            f"Clip {clip} is {labelled} in the published file and {official} by the official "
            "labels; the label it was converted with holds."
        )
    return tuple(notes)


def _published_id(clip_id: str) -> PublishedId:
    subject, _, sequence = clip_id.rpartition("/")
    return PublishedId(subject, int(sequence))


def _table_hint(set_name: str) -> str:
    return (
        "Write the clips you know into a table subject;sequence;sid, such as S003;001;S003-012, "
        "and give it with --ids"
        if set_name in published.RENUMBERED
        else ""
    )


def _spell(entry: IndexEntry) -> str:
    return f"{entry.subject};{entry.sequence:03d};{entry.label};..."


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
