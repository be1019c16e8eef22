"""A converted data set on disk: its folder, its index, its fingerprint.

    <data>/FerDVS/<Set>/index.csv        one line a recording
    <data>/FerDVS/<Set>/fingerprint.txt  `clip_id  events_sha256` a line, then their SHA-256

The folder is named FerDVS because tonic's loaders look in a folder named after their class.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from evfer.config import read_toml
from evfer.errors import ConfigError, RecordingError, SourceError
from evfer.files import write_text

__all__ = [
    "IndexEntry",
    "class_names",
    "find_set",
    "fingerprint_text",
    "labels_digest",
    "list_sets",
    "read_fingerprint",
    "read_index",
    "read_table",
    "set_folder",
    "write_index",
    "write_table",
]

Row = TypeVar("Row")


@dataclass(frozen=True)
class IndexEntry:
    """One recording of a data set.

    Args:
        clip_id: `<subject>/<sequence, 3 digits>`, unique in the set.
        path: the file, relative to the set's folder.
        subject: the person, as the set names them.
        sequence: number of the clip among the person's.
        label: the published code; 1 to 6 are happy, fear, surprise, anger, disgust, sadness.
        label_name: the label in words.
        n_events: number of events.
        duration_us: length of the clip in microseconds.
        bytes: size of the file.
        file_sha256: digest of the file.
        events_sha256: digest of the events alone, the same for every HDF5 library.
        native_id: the clip's name in the source.
        fps: source frames a second; None of an event camera's recording.
        n_frames: source frames that were converted.
        detection_rate: share of frames in which a face was detected or followed.
        redetections: how often the whole frame had to be searched again.
        median_iod: median distance of the eye centres, source pixels.
        residual: root mean square distance of the stable points after alignment, in
            inter-ocular distances.
        yaw_first: estimated turn of the head in the first frame, degrees.
        yaw_last: the same in the last frame.
        outside: share of the crop that lies outside the source picture.
        range: what part of the clip was converted: "full", "to-apex", or "frames" as given.
        first_frame: number of the first converted frame in the source, from 0.
        last_frame: number of the last one.
        source_frames: frames of the whole clip.
        source_sha256: digest of what the recording was made from.
        person: the person as the source spells them, where a folder cannot be named so.
    """

    clip_id: str
    path: str
    subject: str
    sequence: int
    label: int
    label_name: str
    n_events: int
    duration_us: int
    bytes: int
    file_sha256: str
    events_sha256: str
    native_id: str
    fps: float | None
    n_frames: int
    detection_rate: float | None = None
    redetections: int | None = None
    median_iod: float | None = None
    residual: float | None = None
    yaw_first: float | None = None
    yaw_last: float | None = None
    outside: float | None = None
    range: str | None = None
    first_frame: int | None = None
    last_frame: int | None = None
    source_frames: int | None = None
    source_sha256: str | None = None
    person: str | None = None


def set_folder(data: Path, set_name: str) -> Path:
    """Give the folder of a set under a data folder."""
    return Path(data) / "FerDVS" / set_name


def list_sets(data: Path) -> list[str]:
    """Name the converted sets under a data folder."""
    return sorted(path.parent.name for path in (Path(data) / "FerDVS").glob("*/index.csv"))


def find_set(data: Path, dataset: str) -> Path:
    """Find a converted set's folder.

    Args:
        data: the data folder.
        dataset: a set's name, with or without the ending "DVS", in any case; "ck+" finds
            CKPlusDVS.

    Raises:
        SourceError: if it is not there; the message names the sets that are.
    """
    wanted = _key(dataset)
    there = list_sets(data)
    for name in there:
        if _key(name) == wanted:
            return set_folder(data, name)
    titled = [name for name in there if _made_from(set_folder(data, name)) == dataset]
    again = f"Run: evfer convert --dataset {dataset} --out {data}"
    raise SourceError(
        f'no converted set "{dataset}" under {Path(data) / "FerDVS"}',
        expected="one of " + ", ".join(there) if there else "a folder that evfer convert made",
        hint=f"It was converted under another title: --dataset {titled[0]}" if titled else again,
    )


def _made_from(folder: Path) -> object:
    with contextlib.suppress(ConfigError):
        return read_toml(folder / "conversion.toml").get("dataset")
    return None


def _key(name: str) -> str:
    return name.casefold().removesuffix("dvs").replace("+", "plus").replace("-", "")


def read_index(folder: Path) -> list[IndexEntry]:
    """Read a set's index, sorted by clip.

    Raises:
        SourceError: if the folder holds no index.
        RecordingError: if the index is damaged; the message names the line.
    """
    path = Path(folder) / "index.csv"
    if not path.is_file():
        raise SourceError(
            f"{folder}: no index.csv",
            expected="the folder of a converted set, <data>/FerDVS/<Set>",
            hint="Run evfer convert first",
        )
    entries = read_table(path, IndexEntry)
    for entry in entries:
        place = PurePosixPath(entry.path)
        if place.is_absolute() or ".." in place.parts:
            raise RecordingError(
                f"{path}: the path {entry.path} leads out of the set's folder",
                expected="a path below it",
            )
    return entries


def write_index(folder: Path, entries: Iterable[IndexEntry]) -> str:
    """Write a set's index and fingerprint, sorted by clip.

    Returns:
        The set's fingerprint: the SHA-256 of the clips' lines.
    """
    ordered = sorted(entries, key=lambda entry: entry.clip_id)
    write_table(folder / "index.csv", ordered, IndexEntry)
    text, digest = fingerprint_text((entry.clip_id, entry.events_sha256) for entry in ordered)
    write_text(folder / "fingerprint.txt", text)
    return digest


def fingerprint_text(clips: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Compose a fingerprint file from (clip_id, events_sha256) pairs.

    Returns:
        The file's text and the set's fingerprint, its last line.
    """
    lines = "".join(f"{clip}  {digest}\n" for clip, digest in sorted(clips))
    total = hashlib.sha256(lines.encode()).hexdigest()
    return f"{lines}{total}\n", total


def read_fingerprint(path: Path) -> dict[str, str]:
    """Read a fingerprint file.

    Returns:
        clip_id to events_sha256.

    Raises:
        RecordingError: if it is no fingerprint file, or was changed after it was made.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: {error}", expected="a fingerprint.txt") from error
    pairs = [line.rsplit("  ", 1) for line in lines[:-1]]
    if not lines or any(len(pair) != 2 for pair in pairs):
        raise RecordingError(
            f"{path}: not a fingerprint file", expected="lines of clip_id  events_sha256"
        )
    if fingerprint_text((clip, digest) for clip, digest in pairs)[1] != lines[-1]:
        raise RecordingError(
            f"{path}: its last line does not fit the lines above",
            expected="the fingerprint file as evfer wrote it",
        )
    return {clip: digest for clip, digest in pairs}


def class_names(entries: Sequence[IndexEntry]) -> tuple[str, ...]:
    """Give the classes of a set, in the order of their codes.

    A sample's class index is the position of its label here; where all six published labels
    are there, it is their code less one.
    """
    return tuple(dict(sorted({(entry.label, entry.label_name) for entry in entries})).values())


def labels_digest(entries: Sequence[IndexEntry]) -> str:
    """Digest who shows what in a set; the fingerprint covers the events alone."""
    said = sorted((e.clip_id, e.subject, str(e.label), e.label_name) for e in entries)
    return hashlib.sha256("\n".join("\t".join(row) for row in said).encode()).hexdigest()


def write_table(path: Path, rows: Iterable[Any], cls: type[Any]) -> None:
    """Write dataclass rows as CSV, whole or not at all; None becomes an empty field."""
    buffer = io.StringIO(newline="")
    names = [field.name for field in dataclasses.fields(cls)]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = (getattr(row, name) for name in names)
        writer.writerow(["" if value is None else value for value in values])
    write_text(path, buffer.getvalue())


def read_table(path: Path, cls: type[Row]) -> list[Row]:
    """Read dataclass rows from CSV; columns that the dataclass does not have are passed over.

    Raises:
        RecordingError: naming the line and column that do not fit.
    """
    fields = {field.name: str(field.type) for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for record in csv.DictReader(file):
                rows.append(
                    cls(**{k: _parse(fields[k], k, v) for k, v in record.items() if k in fields})
                )
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
        raise RecordingError(
            f"{path}, line {len(rows) + 2}: {error}", hint="Convert again to write it anew"
        ) from error
    return rows


def _parse(kind: str, name: str, text: str | None) -> Any:
    if not text and kind.endswith("None"):
        return None
    if text is None:
        raise ValueError(f"no value for {name}")
    if kind.startswith("int"):
        return int(text)
    return float(text) if kind.startswith("float") else text
