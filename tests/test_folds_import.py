"""Fold files of others: ids, labels, rows without a clip, clips without a row; and writing them."""

from __future__ import annotations

import json

import pytest
from fold_sets import entries_of, entry

from evfer import folds, recordings
from evfer.cli import main
from evfer.datasets.published import PublishedId, native_id
from evfer.errors import ConfigError, RecordingError

HAPPY, FEAR, SURPRISE, ANGER, DISGUST, SADNESS = range(1, 7)

# S001's and S002's rows of the published file, whose clips a public list names
MMI_ROWS = [("S001", k, 1 + k % 6) for k in (1, 2, 5, 6, 7, 8, 9, 10, 15, 16, 17, 18)] + [
    ("S002", k, 1 + k % 6) for k in (1, 2, 5, 6, 7, 9, 10, 15, 16, 19, 20)
]


def text_of(rows, n_folds=3):
    """A fold file: row i is tested in fold i % (n_folds + 1), so that some never are."""
    return "".join(
        f"{subject};{sequence:03d};{label};"
        + ";".join(str(int(i % (n_folds + 1) == fold)) for fold in range(n_folds))
        + "\n"
        for i, (subject, sequence, label) in enumerate(rows)
    )


def mmi_entries(ids=None):
    found = []
    for subject, sequence, label in MMI_ROWS:
        native = native_id("MMIDVS", subject, sequence, ids)
        found.append(entry(native[:4], int(native[5:]), label, native))
    return found


def said(plan):
    return " ".join(plan.notes)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "theirs.csv"


def test_mmi_rows_meet_their_clips(file):
    unknown = [("S003", k, HAPPY) for k in (1, 3, 5)]
    file.write_text(text_of(MMI_ROWS + unknown))
    # clips of the same numbers as published rows have, which are other clips
    decoys = [entry("S003", k, FEAR, f"S003-{k:03d}") for k in (1, 3, 5)]
    entries = sorted(mmi_entries() + decoys, key=lambda e: e.clip_id)
    reading = folds.read_foreign(file, entries, "MMIDVS")
    assert reading.numbering == "published"
    assert reading.unmapped == ("S003;001", "S003;003", "S003;005")
    assert reading.unnamed == ("S003/001", "S003/003", "S003/005")
    assert (reading.n_rows, len(reading.plan.clip_ids), reading.absent) == (26, 23, ())
    by_native = {e.native_id: e.clip_id for e in entries}
    for fold, split in enumerate(reading.plan.splits):
        tested = {reading.plan.clip_ids[i] for i in split.test}
        rows = [row for i, row in enumerate(MMI_ROWS) if i % 4 == fold]
        assert tested == {by_native[native_id("MMIDVS", s, k)] for s, k, _ in rows}
    assert "3 of 26 rows have ids that no public rule leads to a clip" in said(reading.plan)
    assert "--ids" in said(reading.plan)


def test_chance_agreement_does_not_speak_for_the_sets_own_ids(file):
    # a whole set has clips of the numbers that published rows have: other clips, of which one in
    # six shows the same by chance, more in all than the rows that a rule leads to their clips
    rows = [(f"S{s:03d}", k, 1 + k % 6) for s in range(3, 27) for k in range(1, 9)]
    chance = [entry(s, k, 1 + (k + i) % 6, f"{s}-{k:03d}") for i, (s, k, _) in enumerate(rows)]
    agreeing = sum(e.label == label for e, (_, _, label) in zip(chance, rows, strict=True))
    assert agreeing > len(MMI_ROWS)
    file.write_text(text_of(MMI_ROWS + rows))
    reading = folds.read_foreign(file, mmi_entries() + chance, "MMIDVS")
    assert reading.numbering == "published"
    assert len(reading.plan.clip_ids) == len(MMI_ROWS)


def test_the_users_table_leads_the_other_mmi_rows(file):
    file.write_text(text_of([*MMI_ROWS, ("S003", 1, HAPPY)]))
    ids = {PublishedId("S003", 1): "S005-012"}
    entries = [*mmi_entries(), entry("S005", 12, HAPPY, "S005-012")]
    reading = folds.read_foreign(file, entries, "MMIDVS", ids=ids)
    assert (reading.unmapped, reading.absent, reading.unnamed) == ((), (), ())
    twice = {PublishedId("S003", 1): "S001-100"}
    with pytest.raises(RecordingError, match="S001;001 are both clip S001/100"):
        folds.read_foreign(file, entries, "MMIDVS", ids=twice)


def test_a_file_in_the_sets_own_ids_is_told_from_a_published_one(file):
    entries = mmi_entries()
    file.write_text(text_of([(e.subject, e.sequence, e.label) for e in entries]))
    reading = folds.read_foreign(file, entries, "MMIDVS")
    assert (reading.numbering, len(reading.plan.clip_ids)) == ("own", len(entries))
    with pytest.raises(RecordingError, match="none of its 23 rows"):
        folds.read_foreign(file, entries, "MMIDVS", numbering="published")


def test_ck_plus_label_that_is_known_to_differ(file):
    entries = [entry("S034", k, label) for k, label in ((1, HAPPY), (2, FEAR), (3, ANGER))]
    rows = [("S034", 1, HAPPY), ("S034", 2, FEAR), ("S034", 3, SADNESS)]
    file.write_text(text_of(rows, 2))
    reading = folds.read_foreign(file, entries, "CKPlusDVS")
    assert reading.relabelled == ("S034/003",)
    assert "sadness in the published file and anger by the official labels" in said(reading.plan)
    # nowhere else, and for no other pair of labels
    with pytest.raises(RecordingError, match=r"line 3: label 6 \(sadness\) for clip S034/003"):
        folds.read_foreign(file, entries, "FolderDVS")
    file.write_text(text_of([*rows[:2], ("S034", 3, DISGUST)], 2))
    with pytest.raises(RecordingError, match=r"label 5 \(disgust\).*expected 4 \(anger\)"):
        folds.read_foreign(file, entries, "CKPlusDVS")


def test_several_labels_that_differ_are_counted(file):
    entries = entries_of([("A", 1), ("A", 2), ("B", 1), ("B", 2)])
    file.write_text(text_of([("A", 1, 1), ("A", 2, 1), ("B", 1, 1), ("B", 2, 1)], 2))
    with pytest.raises(RecordingError, match="line 2.*likewise 1 more; 4 of its rows"):
        folds.read_foreign(file, entries)


def test_rows_and_clips_that_do_not_meet_are_counted_and_named(tmp_path, file):
    entries = entries_of([("A", 1), ("A", 2), ("B", 1), ("B", 2), ("C", 1)])
    recordings.write_index(tmp_path, entries)
    rows = [(e.subject, e.sequence, e.label) for e in entries[:4]]
    absent = [("D", k, 1) for k in range(1, 8)]
    file.write_text(text_of(rows + absent, 2))
    plan, leak = folds.renew(tmp_path, "", imported=file)
    assert "7 of 11 rows name clips that are not in the set" in said(plan)
    assert "D;005 and 2 more" in said(plan)
    assert "Folds of 4 of 11 rows" in said(plan)
    assert leak.missing == ("C/001",)
    assert "(C/001)" in " ".join(folds.explain(leak))
    back = folds.read(tmp_path, entries)
    assert (back, back.notes) == (plan, plan.notes)


def test_a_file_of_another_set_is_refused(file):
    file.write_text(text_of([("D", k, 1) for k in range(1, 8)]))
    with pytest.raises(RecordingError, match=r"none of its 7 rows.*expected rows such as A;001;1"):
        folds.read_foreign(file, entries_of([("A", 1), ("B", 1)]))


def test_a_fold_that_is_left_without_test_clips_is_named(file):
    entries = entries_of([("A", 1), ("A", 2), ("B", 1)])
    file.write_text("A;1;1;1;0\nA;2;2;0;0\nB;1;1;0;0\nD;1;1;0;1\n")
    with pytest.raises(RecordingError, match="fold 1 has 0 test clips of 3"):
        folds.read_foreign(file, entries)


def test_spellings_that_mean_the_same(file):
    entries = entries_of([("A", 1), ("A", 2), ("B", 1)])
    lines = (
        "\ufeffsubject;sequence;label;fold0;fold1",
        "A; 1;1;1;0",
        "A;02;2;0;1",
        "",
        "B;001;1;0;0",
    )
    file.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    plan = folds.read_foreign(file, entries).plan
    assert [split.test for split in plan.splits] == [(0,), (1,)]


# writing


def test_mmi_folds_go_out_under_published_ids_and_come_back(tmp_path):
    entries = mmi_entries()
    plan = folds.build(entries, "strict", 2)
    out = tmp_path / "ours.csv"
    notes = folds.export(out, plan, entries, "MMIDVS")
    assert "by published ids" in " ".join(notes)
    first = out.read_text().splitlines()[0].split(";")
    assert first[:3] == ["S001", "001", "2"]
    reading = folds.read_foreign(out, entries, "MMIDVS")
    assert reading.numbering == "published"
    assert reading.plan.sha256 == plan.sha256
    folds.export(out, plan, entries, "MMIDVS", numbering="own")
    assert out.read_text().startswith("S001;100;")
    again = folds.read_foreign(out, entries, "MMIDVS")
    assert (again.numbering, again.plan.sha256) == ("own", plan.sha256)


def test_mmi_folds_go_out_under_own_ids_where_others_are_not_known(tmp_path):
    entries = [entry("S000", 12, HAPPY, "S000-012"), *mmi_entries()]
    plan = folds.build(entries, "strict", 2)
    out = tmp_path / "ours.csv"
    notes = folds.export(out, plan, entries, "MMIDVS")
    assert "own ids, since the published ids of 1 of 24 clips are not known" in " ".join(notes)
    assert out.read_text().startswith("S000;012;")
    with pytest.raises(ConfigError, match="published ids of 1 of 24"):
        folds.export(out, plan, entries, "MMIDVS", numbering="published")
    ids = {PublishedId("S003", 7): "S000-012"}
    folds.export(out, plan, entries, "MMIDVS", numbering="published", ids=ids)
    lines = out.read_text().splitlines()
    assert lines == sorted(lines)
    assert lines[-1].startswith("S003;007;1;")
    assert folds.read_foreign(out, entries, "MMIDVS", ids=ids).plan.sha256 == plan.sha256


def test_export_does_not_write_over_a_sets_own_folds(tmp_path):
    entries = entries_of([("A", 1), ("B", 2)] * 3)
    recordings.write_index(tmp_path, entries)
    plan, _ = folds.renew(tmp_path, "strict", 2)
    with pytest.raises(ConfigError, match="belongs to a converted set"):
        folds.export(tmp_path / "folds.csv", plan, entries)


# the command


@pytest.fixture
def mmi(tmp_path):
    folder = tmp_path / "MMIDVS"
    recordings.write_index(folder, mmi_entries())
    return folder


def command(capsys, *arguments):
    code = main(["folds", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_command_imports_reports_and_exports(capsys, mmi, file):
    file.write_text(text_of([*MMI_ROWS, ("S003", 1, HAPPY)]))
    code, out, _ = command(capsys, mmi, "--import", file)
    assert code == 0
    for words in ("published ids", "1 of 24 rows", "also in training", "never tested", "To beat"):
        assert words in out
    # alone, --export leaves the folds as they are
    before = (mmi / "manifest.toml").read_bytes()
    code, out, _ = command(capsys, mmi, "--export", mmi.parent / "out.csv", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["protocol"] == "imported"
    assert [fold["test"] for fold in found["folds"]] == [6, 6, 6]
    assert found["leak"]["never_tested"] > 0
    assert (mmi / "manifest.toml").read_bytes() == before
    rows = (mmi.parent / "out.csv").read_text().splitlines()
    assert rows == [f"{row}{row[-6:] * 2}{row[-6:-4]}" for row in text_of(MMI_ROWS).splitlines()]


def test_command_takes_a_table_of_ids(capsys, mmi, file):
    recordings.write_index(mmi, [*mmi_entries(), entry("S005", 12, HAPPY, "S005-012")])
    file.write_text(text_of([*MMI_ROWS, ("S003", 1, HAPPY)]))
    table = mmi.parent / "mmi_ids.csv"
    table.write_text("subject;sequence;sid\nS003;001;S005-012\n")
    code, out, _ = command(capsys, mmi, "--import", file, "--ids", table, "--json")
    assert code == 0
    assert json.loads(out)["n_clips"] == 24
    code, _, err = command(capsys, mmi, "--import", file, "--ids", mmi.parent / "none.csv")
    assert code == 3
    assert "none.csv" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--import", "none.csv"], 3, "none.csv"),
        (["--import", "x.csv", "--protocol", "kfold"], 2, "one of them"),
        (["--import", "x.csv", "--folds", "3"], 2, "one of them"),
        (["--protocol", "strikt"], 2, "strikt"),
        (["--export", "x.csv"], 3, "manifest.toml"),
    ],
)
def test_command_that_cannot_be_run(capsys, mmi, arguments, code, words):
    found, _, err = command(capsys, mmi, *arguments)
    assert found == code
    assert words in err


@pytest.mark.parametrize("protocol", ["strict", "loso", "kfold", "published", "paper", "code"])
def test_command_makes_every_protocol(capsys, mmi, protocol):
    code, out, _ = command(capsys, mmi, "--protocol", protocol, "--seed", 3, "--json")
    assert code == 0
    found = json.loads(out)
    assert len(found["folds"]) == found["n_folds"]
    assert found["leak"]["chance"] == pytest.approx(1 / 6)
