"""Names that may spell one person, and clips that stand in a set twice."""

from __future__ import annotations

import dataclasses
import unicodedata

import pytest
from fold_sets import entries_of
from report_rows import comparisons_of, make_rows

from evfer import folds
from evfer.cli import main
from evfer.convert import convert, find_concerns, load_config, plan
from evfer.datasets.check import check
from evfer.datasets.folder import Folder
from evfer.datasets.people import name_key, warn_spellings
from evfer.errors import ConfigError, RecordingError
from evfer.events import SensorSize
from evfer.formats import EXPORTS, EventSource, write
from evfer.recordings.index import read_index
from evfer.report.say import sentences

READER = Folder(title="Lab", sensor="64x48")
SETTINGS = load_config("default")
WIDE = "\uff10\uff11"
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Jörg") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    "names",
    [
        ("01", "1", " 01 ", WIDE, "\u200b01", "001"),
        ("S01", "s1", "S001", "s01\u3000"),
        (COMPOSED, DECOMPOSED, COMPOSED.upper(), f"{DECOMPOSED}\ufeff"),
        ("Anna  K", "anna k", "ANNA\u00a0K"),
    ],
)
def test_spellings_of_one_name(names):
    assert len({name_key(name) for name in names}) == 1
    (warning,) = warn_spellings(names)
    assert sum(warning.count(word) for word in (" and ",)) == len(names) - 1


def test_other_names_are_other_people():
    names = ("1", "10", "100", "S1", "0", "anna", "anna1", "jorg", COMPOSED)
    assert len({name_key(name) for name in names}) == len(names)
    assert warn_spellings(names) == ()


@pytest.fixture
def source(tmp_path, make_events):
    """A table that spells three people in two ways each, one of them by a blank alone."""
    root = tmp_path / "source"
    lines = ["path, label, subject"]
    rows = [("happy", "01"), ("sad", "02"), ("happy", "03"), ("sad", "1"), ("happy ", "2")]
    for k, (label, who) in enumerate([*rows, ("sad", "03 ")]):
        name = f"{k}{EXPORTS['npz']}"
        events = make_events(50, width=64, height=48, duration_us=300_000, seed=k)
        write(root / name, EventSource(events, SensorSize(64, 48), 0), "npz")
        lines.append(f"{name}, {label}, {who}")
    (root / "clips.csv").write_text("\n".join(lines) + "\n")
    return root


def test_one_warning_names_all_and_the_leak_report_assures_nothing(source, tmp_path, capsys):
    found = plan(READER, source, tmp_path, SETTINGS)
    warned = [line for line in found.warnings if "count as several" in line]
    assert len(warned) == 1
    assert "01 and 1; 02 and 2" in warned[0]
    assert "03" not in warned[0]
    assert [line for line in check(READER, source).warnings if "several" in line] == warned
    made = convert(READER, source, tmp_path, SETTINGS)
    assert {entry.subject for entry in made.entries} == {"01", "1", "02", "2", "03"}
    assert main(["folds", str(made.folder)]) == 0
    out = capsys.readouterr().out
    assert "It cannot be assured that nobody is in training and test" in out
    assert "01 and 1; 02 and 2" in out
    assert "No subject is in training and test" not in out


def test_people_who_are_never_on_both_sides_are_no_doubt():
    entries = entries_of([("01", 1), ("1", 1), ("02", 2), ("03", 2)])
    numbers = {entry.subject: i for i, entry in enumerate(entries)}
    test = tuple(sorted((numbers["01"], numbers["1"])))
    train = tuple(sorted((numbers["02"], numbers["03"])))
    clips = tuple(entry.clip_id for entry in entries)
    splits = (folds.Split(0, train, test), folds.Split(1, test, train))
    report = folds.leak(folds.FoldPlan("strict", 0, clips, splits), entries)
    assert report.alike == ()
    assert "No subject is in training" in folds.explain(report)[0]


def test_folder_names_in_two_forms_of_unicode(tmp_path, make_events):
    for k, who in enumerate((COMPOSED, DECOMPOSED, "ben")):
        events = make_events(50, width=64, height=48, duration_us=300_000, seed=k)
        path = tmp_path / "source" / "happy" / who / "a.npz"
        write(path, EventSource(events, SensorSize(64, 48), 0), "npz")
    made = convert(READER, tmp_path / "source", tmp_path / "data", SETTINGS)
    report = folds.leak(folds.read(made.folder, made.entries), made.entries)
    assert report.alike == (tuple(sorted((COMPOSED, DECOMPOSED))),)
    assert ascii(DECOMPOSED) in " ".join(folds.explain(report))
    assert read_index(made.folder) == list(made.entries)


def test_subjects_as_the_source_or_the_folder_spells_them(source, tmp_path):
    with pytest.raises(ConfigError, match=r'subject "001".*Here the name is spelt 01 and 1'):
        plan(READER, source, tmp_path, SETTINGS, subjects=["001"])
    table = source / "clips.csv"
    table.write_text(table.read_text().replace(", 02", f", {COMPOSED}"), encoding="utf-8")
    for name in (COMPOSED, DECOMPOSED, "J_rg"):
        assert len(plan(READER, source, tmp_path, SETTINGS, subjects=[name]).todo) == 1


def test_a_fold_file_that_spells_people_otherwise(tmp_path):
    entries = entries_of([("01", 1), ("02", 2), ("02", 1)])
    path = tmp_path / "theirs.csv"
    path.write_text("1;001;1;0;1\n2;001;2;1;0\n")
    with pytest.raises(RecordingError, match=r"none of its 2 rows.*01 and 1; 02 and 2"):
        folds.read_foreign(path, entries)
    path.write_text("1;001;1;0;1\n02;001;2;1;0\n02;002;1;0;1\n")
    assert "01 and 1" in " ".join(folds.read_foreign(path, entries).plan.notes)


def test_the_same_clip_under_two_labels_or_people_is_told(source, tmp_path, capsys):
    (source / "3.npz").write_bytes((source / "2.npz").read_bytes())
    (source / "5.npz").write_bytes((source / "2.npz").read_bytes())
    command = ["convert", "--dataset", "folder", "--source", str(source), "--out", str(tmp_path)]
    assert main([*command, "--set", "dataset.sensor=64x48", "--workers", "1"]) == 0
    said = "are the same clip, under 2 labels (happy, sadness) and under 2 people (03, 1)"
    assert said in capsys.readouterr().err
    folder = tmp_path / "FerDVS" / "FolderDVS"
    assert main(["folds", str(folder)]) == 0
    out = capsys.readouterr().out
    assert said in out
    assert "03 and 1" in out.partition("may be one person")[2]
    assert main(["folds", str(folder), "--json"]) == 0


def test_empty_recordings_are_counted():
    entries = entries_of([("A", 1), ("A", 2), ("B", 1)])
    empty = [dataclasses.replace(entry, n_events=0) for entry in entries[:2]]
    assert "2 of 3 clips hold no event: A/001, A/002" in find_concerns([*empty, entries[2]])
    assert find_concerns(entries) == ()


def test_the_report_assures_no_more_than_the_rows(tmp_path):
    rows = make_rows()
    rows[1]["leak"]["alike"] = [["01", "1"], "no group", 3]
    (comparison,) = comparisons_of(tmp_path, rows)
    (setting,) = comparison.settings
    assert setting.leak.alike == (("01", "1"),)
    text = " ".join(sentences._leaks(setting))
    assert "It cannot be assured that nobody is in training and test" in text
    assert "No subject is in training and test" not in text
