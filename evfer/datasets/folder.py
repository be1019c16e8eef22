"""Your own clips: any tree `label/subject/clip`, or a table `clips.csv`.

source/
  happy/anna/smile_1.mp4          a video: mp4, avi, mov, mkv, webm, mpeg, wmv, gif
  happy/anna/smile_2/0001.png     a folder of pictures, in the order of their numbers
  anger/ben/take_1.avi
  anger/ben/take_2.raw            or an event camera's recording, see `evfer.formats`

clips.csv: path,label,subject and, if you like, fps; paths are relative to the table
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from evfer import config, formats, video
from evfer.csv_files import read_cells
from evfer.datasets import tree
from evfer.datasets.base import LABEL_CODES, Clip, Skipped, Survey, expression, require_folder
from evfer.datasets.people import warn_spellings
from evfer.errors import ConfigError, RecordingError, SourceError
from evfer.events import SensorSize
from evfer.formats import EventSource, ReadParams, Start, TimeUnit

__all__ = ["Folder"]

_LAYOUT = (
    "label/subject/clip, each clip a video, a folder of pictures or an event recording, "
    "or a clips.csv"
)


@dataclass(frozen=True)
class Folder:
    """Reader of a tree of one's own clips.

    Args:
        title: name of the set; its recordings go to `<Title>DVS`.
        fps: frames a second of every clip; by default a video's own, and 30 for pictures.
        sensor: size of the event camera, such as `346x260`, where its files do not name it.
        crop: part of the sensor to keep, `left,top,width,height` in pixels.
        columns: order of the columns of event tables without names, such as `txyp`.
        time_unit: unit of the times of events that name none.
        start: what becomes a recording's time 0; see `evfer.formats.ReadParams`.
    """

    title: str = "Folder"
    fps: float | None = None
    sensor: str = ""
    crop: str = ""
    columns: str = ""
    time_unit: TimeUnit = "auto"
    start: Start = "auto"

    name = "folder"
    needs_source = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.title):
            raise ConfigError(
                f'data set title "{self.title}"', expected="letters and digits, a letter first"
            )
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ConfigError(f"fps {self.fps}", expected="a rate above 0 and up to 1000")
        self.reading  # noqa: B018 (it checks the texts)

    @property
    def reading(self) -> ReadParams:
        """How event recordings are read."""
        return ReadParams(self.sensor, self.crop, self.columns, self.time_unit, self.start)

    @property
    def set_name(self) -> str:
        """Name of the set's folder."""
        return f"{self.title[0].upper()}{self.title[1:].removesuffix('DVS')}DVS"

    def survey(self, source: Path | None) -> Survey:
        """List the clips; see `Dataset.survey`."""
        root = require_folder(source, _LAYOUT, "Give the folder with --source")
        table = root / "clips.csv"
        try:
            rows, skipped = _read_table(table) if table.is_file() else _walk(root)
        except OSError as error:
            raise SourceError(
                f"{error.filename}: {error.strerror}", expected="folders that can be listed"
            ) from error
        if not rows:
            reasons = f" ({skipped[0].path}: {skipped[0].reason})" if skipped else ""
            raise SourceError(f"{root}: no clip found{reasons}", expected=_LAYOUT)
        _check_sensors(root, rows, self.reading)
        clips = _number(rows)
        return Survey(
            tuple(replace(clip, fps=self.fps or clip.fps) for clip in clips),
            skipped,
            (*_warn_names(rows), *_find_gaps(root, rows)),
            f"{'a table clips.csv' if table.is_file() else 'label/subject/clip'} in {root}",
        )

    def open(self, clip: Clip, source: Path | None) -> video.FrameSource | EventSource:
        """Open a clip's frames or read its events; see `Dataset.open`."""
        path = Path(source or ".") / clip.locator
        if not _is_recording(path):
            return video.open_frames(path, clip.fps)
        found = formats.read(path, self.reading)
        if not len(found.events):
            raise RecordingError(
                f"{path}: no event in it", expected="events" + (" in the crop" * bool(self.crop))
            )
        return found

    def source_digest(self, clip: Clip, source: Path | None) -> str:
        """Digest a clip's files; see `Dataset.source_digest`."""
        return config.digest([video.digest(Path(source or ".") / clip.locator), clip.fps])


@dataclass(frozen=True)
class _Row:
    label: str
    subject: str
    locator: str
    fps: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label.strip())
        object.__setattr__(self, "subject", self.subject.strip())


def _walk(root: Path) -> tuple[list[_Row], tuple[Skipped, ...]]:
    rows, skipped = [], []
    top = tree.list_folder(root)
    skipped += [Skipped(file.name, "not a folder; labels are folders") for file in top.files]
    for label in top.folders:
        inside = tree.list_folder(label)
        for file in inside.files:
            reason = "no subject folder between label and clip"
            skipped.append(Skipped(f"{label.name}/{file.name}", reason))
        for subject in inside.folders:
            place = f"{label.name}/{subject.name}"
            clips = tree.list_folder(subject)
            if video.is_clip(subject) and not clips.folders:
                reason = "pictures right under the subject; expected a folder a clip"
                skipped.append(Skipped(place, reason))
                continue
            for clip in (*clips.folders, *clips.files):
                locator = f"{place}/{clip.name}"
                if video.is_clip(clip):
                    rows.append(_Row(label.name, subject.name, locator))
                elif clip.is_dir():
                    skipped.append(Skipped(locator, "no picture in this folder"))
                elif _is_recording(clip):
                    rows.append(_Row(label.name, subject.name, locator))
                else:
                    reason = f"{clip.suffix or 'no'} ending is no video and no event recording"
                    skipped.append(Skipped(locator, reason))
    return rows, tuple(skipped)


def _is_recording(path: Path) -> bool:
    return formats.is_event_file(path) and not video.is_clip(path)


def _check_sensors(root: Path, rows: Iterable[_Row], reading: ReadParams) -> None:
    """Make sure that all recordings of the set will share one size.

    Raises:
        SourceError: if they come from sensors of several sizes, or lie among videos.
        MissingExtra: if a package is needed to read them.
    """
    sizes: dict[SensorSize, str] = {}
    videos, recordings = [], []
    for row in rows:
        if not _is_recording(root / row.locator):
            videos.append(row.locator)
            continue
        recordings.append(row.locator)
        if size := formats.sensor_size(root / row.locator) or reading.size:
            sizes.setdefault(size, row.locator)
    if reading.crop or not recordings:
        return
    hint = "Cut the same part out of all with --set dataset.crop=left,top,width,height"
    if len(sizes) > 1:
        found = (f"{size.width} x {size.height} ({place})" for size, place in sizes.items())
        raise SourceError(
            f"{root}: sensors of several sizes, {', '.join(found)}",
            expected="one size a set",
            hint=f"{hint}, or make a set of each",
        )
    if videos:
        raise SourceError(
            f"{root}: videos ({videos[0]}) and event recordings ({recordings[0]}) together",
            expected="one kind a set, or recordings cut to the size of the videos' face crops",
            hint=f"{hint}, 200 wide and high unless faces.size says otherwise",
        )


def _find_gaps(root: Path, rows: Iterable[_Row]) -> tuple[str, ...]:
    gaps = {}
    for row in rows:
        folder = root / row.locator
        if folder.is_dir() and (gap := tree.find_frames(tree.list_folder(folder).files).gap):
            gaps[row.locator] = gap
    return tree.warn_gaps(gaps)


def _read_table(table: Path) -> tuple[list[_Row], tuple[Skipped, ...]]:
    rows: list[_Row] = []
    skipped: list[Skipped] = []
    lines = read_cells(table, "CSV in UTF-8 with the columns path,label,subject", SourceError)
    header = [name.casefold() for name in lines[0][1]] if lines else []
    listed: dict[str, _Row] = {}
    for number, cells in lines[1:]:
        record = dict(zip(header, cells, strict=False))
        missing = [name for name in ("path", "label", "subject") if not record.get(name)]
        if missing:
            raise SourceError(
                f"{table}, line {number}: no {missing[0]}",
                expected="the columns path,label,subject and optionally fps, divided by commas",
                hint=f"The first line has: {', '.join(header)}",
            )
        locator = PurePosixPath(record["path"].replace("\\", "/"))
        if locator.is_absolute() or ".." in locator.parts:
            raise SourceError(
                f"{table}, line {number}: the path {locator} leads out of the folder",
                expected="a path below the table's folder",
            )
        try:
            fps = float(record["fps"].replace(",", ".")) if record.get("fps") else None
        except ValueError:
            fps = 0.0
        if fps is not None and not 0 < fps <= 1000:
            raise SourceError(f"{table}, line {number}: fps {record['fps']}", expected="a rate")
        if not (table.parent / locator).exists():
            skipped.append(Skipped(str(locator), "no such file or folder", "unreadable"))
            continue
        row = _Row(record["label"], record["subject"], str(locator), fps)
        first = listed.setdefault(row.locator, row)
        if first is not row:
            same = (first.label, first.subject) == (row.label, row.subject)
            what = "the same" if same else f"{first.label}, {first.subject} before"
            reason = f"listed twice in clips.csv, line {number}: {what}"
            skipped.append(Skipped(row.locator, reason, "doubled"))
            if not same and first in rows:
                rows.remove(first)  # nobody can tell which is right
            continue
        rows.append(row)
    return rows, tuple(skipped)


def _warn_names(rows: Iterable[_Row]) -> list[str]:
    """Tell names that look like slips: labels nobody knows, people of like names.

    Args:
        rows: the clips.
    """
    labels = {row.label for row in rows}
    odd = sorted(label for label in labels if expression(label) is None)
    said = []
    if odd:
        said.append(
            f"labels that are none of the known expressions: {tree.name_some(odd)}; "
            "each is a class of its own (is the tree label/subject/clip?)"
        )
    return [*said, *warn_spellings(row.subject for row in rows)]


def _number(rows: Iterable[_Row]) -> list[Clip]:
    """Give every clip its label code and its number among its subject's clips."""
    ordered = sorted(rows, key=lambda row: _order(row))
    names = {row.label: expression(row.label) or _plain(row.label) for row in ordered}
    unknown = sorted({name for name in names.values() if name not in LABEL_CODES})
    codes = LABEL_CODES | {name: len(LABEL_CODES) + k for k, name in enumerate(unknown, 1)}
    folders = _subject_folders({row.subject for row in ordered})
    counts: dict[str, int] = defaultdict(int)
    clips = []
    for row in ordered:
        subject = folders[row.subject]
        counts[subject] += 1
        name = names[row.label]
        clips.append(
            Clip(
                subject=subject,
                sequence=counts[subject],
                label=codes[name],
                label_name=name,
                locator=row.locator,
                native_id=row.locator,
                fps=row.fps,
                person="" if subject == row.subject else row.subject,
            )
        )
    return sorted(clips, key=lambda clip: (clip.subject, clip.sequence))


def _plain(label: str) -> str:
    return unicodedata.normalize("NFC", label).casefold()


def _order(row: _Row) -> tuple[object, ...]:
    code = LABEL_CODES.get(expression(row.label) or "", len(LABEL_CODES) + 1)
    return (code, video.natural_key(row.label), video.natural_key(row.locator))


def _subject_folders(subjects: set[str]) -> dict[str, str]:
    """Give each subject a folder name that every file system takes, and no two the same."""
    result: dict[str, str] = {}
    taken: set[str] = set()
    for subject in sorted(subjects):
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", subject).strip("_") or "subject"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        result[subject] = name
    return result
