"""Tables as people hand them in: blanks, commas alone, semicolons, UTF-16, Latin-1."""

from __future__ import annotations

import codecs

import pytest
from fold_sets import entries_of

from evfer import folds
from evfer.convert.span import read_table
from evfer.csv_files import read_cells
from evfer.datasets.folder import Folder
from evfer.datasets.labels import read_fold_labels
from evfer.datasets.published import PublishedId, read_ids
from evfer.errors import ConfigError, EvferError, RecordingError, SourceError
from evfer.events import SensorSize
from evfer.faces.landmark_files import read_landmarks
from evfer.formats import EventSource, write

DIALECTS = {
    "plain": lambda text: text.encode(),
    "blanks": lambda text: text.replace(",", " , ").encode(),
    "empty rows": lambda text: text.replace("\n", ",,\r\n,,,,\r\n").encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "old line ends": lambda text: text.replace("\n", "\r").encode(),
}
dialects = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())


@dialects
def test_clips_of_ones_own(tmp_path, make_events, dialect):
    events = make_events(50, width=64, height=48, duration_us=300_000, seed=1)
    write(tmp_path / "a.npz", EventSource(events, SensorSize(64, 48), 0), "npz")
    (tmp_path / "clips.csv").write_bytes(dialect("path,label,subject\na.npz,happy,Jörg\n"))
    (clip,) = Folder(sensor="64x48").survey(tmp_path).clips
    assert (clip.locator, clip.label_name, clip.person) == ("a.npz", "happy", "Jörg")


@dialects
def test_fold_files_labels_and_ids(tmp_path, dialect):
    path = tmp_path / "file.csv"
    path.write_bytes(dialect("S001,001,1,0,1\nS002,001,2,1,0\n"))
    plan = folds.read_foreign(path, entries_of([("S001", 1), ("S002", 2)])).plan
    assert [split.test for split in plan.splits] == [(1,), (0,)]
    assert read_fold_labels(path) == {PublishedId("S001", 1): 1, PublishedId("S002", 1): 2}
    path.write_bytes(dialect("subject,sequence,sid\nS003,001,S003-012\n"))
    assert read_ids(path) == {PublishedId("S003", 1): "S003-012"}


@dialects
def test_clip_ranges_and_landmarks(tmp_path, dialect):
    path = tmp_path / "file.csv"
    path.write_bytes(dialect("clip,first,last\nS001/104,0,37\n"))
    assert read_table(path) == {"S001/104": (0, 37)}
    names = ",".join(f"{axis}_{k}" for axis in "xy" for k in range(68))
    path.write_bytes(dialect(f"{names}\n{','.join(map(str, range(136)))}\n"))
    assert read_landmarks(path)[0, 67].tolist() == [67.0, 135.0]


def test_numbers_with_decimal_commas(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text(";".join(f"{k},5" for k in range(136)))
    assert read_landmarks(path)[0, 0].tolist() == [0.5, 1.5]


READERS = {
    "clips": (lambda path: Folder().survey(path.parent), SourceError),
    "folds": (lambda path: folds.read_foreign(path, []), RecordingError),
    "labels": (read_fold_labels, SourceError),
    "ids": (read_ids, SourceError),
    "ranges": (read_table, ConfigError),
    "landmarks": (read_landmarks, RecordingError),
}


@pytest.mark.parametrize(("read", "kind"), READERS.values(), ids=READERS.keys())
def test_latin_1_is_named_by_line_and_byte(tmp_path, read, kind):
    path = tmp_path / "clips.csv"
    path.write_bytes(b"path,label,subject\r\na.mp4,fr\xf6hlich,1\r\n")
    with pytest.raises(kind, match=r"clips.csv, line 2: byte 9 is 0xF6.*'ö'.*UTF-8.*iconv"):
        read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(EvferError, match="none.csv: No such file"):
        read_cells(tmp_path / "none.csv")
