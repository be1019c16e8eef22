"""Which recordings of a data set's folder stand for it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evfer import store
from evfer.errors import RecordingError

__all__ = ["ChosenClip", "ChosenClips", "choose_clips"]


@dataclass(frozen=True, order=True)
class ChosenClip:
    """One recording of a data set: its label, name and place in the folder."""

    label: int
    label_name: str
    subject: str
    clip_id: str
    path: str


@dataclass(frozen=True)
class ChosenClips:
    """The recordings to show, by label, and the data set's size in words."""

    clips: tuple[ChosenClip, ...]
    facts: str


def choose_clips(folder: Path, per_class: int) -> ChosenClips:
    """Choose a few recordings of every class, of as many people as possible.

    The choice depends on the names alone, so it stays the same from run to run.

    Args:
        folder: a converted data set: `index.csv`, or at least recordings that name their label.
        per_class: how many of each class.

    Raises:
        RecordingError: if there are no recordings, or the index cannot be read.
    """
    rows = _read_index(folder) if (folder / "index.csv").is_file() else _read_files(folder)
    if not rows:
        raise RecordingError(
            f"{folder}: no recordings",
            expected="a converted data set's folder, such as data/FerDVS/DemoDVS",
        )
    chosen: list[ChosenClip] = []
    for label in sorted({(row.label, row.label_name) for row in rows}):
        of_class = [row for row in rows if (row.label, row.label_name) == label]
        chosen += _spread(of_class, per_class)
    subjects = len({row.subject for row in rows})
    classes = len({row.label for row in rows})
    parts = ((len(rows), "recording"), (subjects, "subject"), (classes, "class"))
    facts = " · ".join(_count(number, noun) for number, noun in parts)
    return ChosenClips(tuple(chosen), facts)


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _spread(rows: Sequence[ChosenClip], count: int) -> list[ChosenClip]:
    # the first clip of each person, then the second of each: people differ more than clips do
    turn: dict[str, int] = {}
    ordered = []
    for row in sorted(rows):
        turn[row.subject] = turn.get(row.subject, 0) + 1
        ordered.append((turn[row.subject], row.subject, row))
    return [row for _, _, row in sorted(ordered)[:count]]


def _read_index(folder: Path) -> list[ChosenClip]:
    path = folder / "index.csv"
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                place = PurePosixPath(row["path"])
                if place.is_absolute() or ".." in place.parts:
                    raise RecordingError(f'{path}: the path "{place}" leads out of the folder')
                rows.append(
                    ChosenClip(
                        int(row["label"]),
                        row["label_name"],
                        row["subject"],
                        row["clip_id"],
                        str(place),
                    )
                )
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise RecordingError(
            f"{path}: {error!r}",
            expected="columns clip_id, path, subject, label, label_name",
            hint="Convert again; finished clips are kept",
        ) from error
    return rows


def _read_files(folder: Path) -> list[ChosenClip]:
    rows = []
    for path in sorted(folder.glob("*/*.h5")):
        said = store.inspect(path)
        place = path.relative_to(folder)
        label = said.get("label", 0)
        rows.append(
            ChosenClip(
                label if isinstance(label, int) else 0,
                str(said.get("label_name", "no label")),
                place.parts[0],
                str(said.get("clip_id", place.with_suffix("").as_posix())),
                place.as_posix(),
            )
        )
    return rows
