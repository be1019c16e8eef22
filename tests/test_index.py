"""The index of a set: round trip, fingerprint, finding sets, damage."""

from __future__ import annotations

import dataclasses

import pytest

from evfer import recordings
from evfer.errors import RecordingError, SourceError
from evfer.recordings.index import IndexEntry

ENTRY = IndexEntry(
    "S001/001", "S001/001.h5", "S001", 1, 1, "happy",
    10, 1000, 2000, "ab", "cd", 'a "native", näme', 29.97, 24, 1.0, 0, 70.5, 0.01, None, -2.0, 0.0,
)  # fmt: skip


def others(n):
    return [
        dataclasses.replace(ENTRY, clip_id=f"S001/{k:03d}", sequence=k, events_sha256=f"{k:064x}")
        for k in range(1, n + 1)
    ]


def test_round_trip(tmp_path):
    entries = others(3)
    digest = recordings.write_index(tmp_path, reversed(entries))
    assert recordings.read_index(tmp_path) == entries
    pairs = recordings.read_fingerprint(tmp_path / "fingerprint.txt")
    assert pairs == {entry.clip_id: entry.events_sha256 for entry in entries}
    assert (tmp_path / "fingerprint.txt").read_text().splitlines()[-1] == digest


def test_changed_fingerprint_is_refused(tmp_path):
    recordings.write_index(tmp_path, others(3))
    path = tmp_path / "fingerprint.txt"
    path.write_text(path.read_text().replace("S001/002", "S001/004"))
    with pytest.raises(RecordingError, match="last line"):
        recordings.read_fingerprint(path)
    path.write_text("hello\nworld\n")
    with pytest.raises(RecordingError, match="not a fingerprint"):
        recordings.read_fingerprint(path)
    with pytest.raises(RecordingError, match=r"none\.txt"):
        recordings.read_fingerprint(tmp_path / "none.txt")


@pytest.mark.parametrize("name", ["ck+", "CKPlusDVS", "ckplus", "CKPlus"])
def test_sets_are_found_by_any_of_their_names(tmp_path, name):
    folder = recordings.set_folder(tmp_path, "CKPlusDVS")
    recordings.write_index(folder, [ENTRY])
    assert recordings.find_set(tmp_path, name) == folder
    assert recordings.list_sets(tmp_path) == ["CKPlusDVS"]
    with pytest.raises(SourceError, match=r"one of CKPlusDVS.*evfer convert --dataset mmi"):
        recordings.find_set(tmp_path, "mmi")


def test_damage_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"no index\.csv"):
        recordings.read_index(tmp_path)
    recordings.write_index(tmp_path, others(3))
    path = tmp_path / "index.csv"
    whole = path.read_text()
    path.write_text(whole.replace("29.97", "fast", 1))
    with pytest.raises(RecordingError, match="line 2"):
        recordings.read_index(tmp_path)
    path.write_text(whole[:-40])
    with pytest.raises(RecordingError, match="line 4"):
        recordings.read_index(tmp_path)


def test_paths_stay_in_the_folder(tmp_path):
    for path in ("../other.h5", "/etc/passwd"):
        recordings.write_index(tmp_path, [dataclasses.replace(ENTRY, path=path)])
        with pytest.raises(RecordingError, match="leads out"):
            recordings.read_index(tmp_path)


def test_classes_follow_the_codes():
    entries = [
        dataclasses.replace(ENTRY, label=c, label_name=n) for c, n in ((8, "neutral"), (2, "fear"))
    ]
    assert recordings.class_names(entries) == ("fear", "neutral")
