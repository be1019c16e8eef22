"""The published folds: their recipe on sets of the published make-up, and what their ids mean."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from fold_sets import PUBLISHED, entries_of, entry, published_set
from hypothesis import given
from hypothesis import strategies as st

from evfer import folds
from evfer.datasets import cards, published
from evfer.datasets.published import PublishedId, native_id, own_id, published_id, read_ids
from evfer.errors import RecordingError, SourceError

# clips never tested, and how often one is at most
COVERAGE = {"ADFESDVS": (10, 5), "CASIADVS": (45, 6), "CKPlusDVS": (39, 6), "MMIDVS": (23, 6)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_cards_hold_what_was_published(name):
    drawn, deleted, people, counts, _ = PUBLISHED[name]
    card = cards.find_by_set(name)
    assert card is not None
    facts = card.published
    assert facts is not None
    assert (facts.drawn, facts.deleted, facts.subjects) == (drawn, deleted, people)
    assert facts.clips == drawn - (deleted >= 0) == len(published_set(name))
    if counts and facts.counts:
        words = ("happy", "fear", "surprise", "anger", "disgust", "sadness")
        assert dict(facts.counts) == dict(zip(words, counts, strict=True))
    assert len(facts.note) > 20
    assert published.rule(name).endswith(".")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts_and_coverage(name):
    entries = published_set(name)
    plan = folds.build(entries, "published", set_name=name)
    assert [len(split.test) for split in plan.splits] == PUBLISHED[name][4]
    assert len(plan.clip_ids) == len(entries)
    report = folds.leak(plan, entries)
    never, most = COVERAGE[name]
    assert round(report.never_tested * len(entries)) == never
    assert report.most_tested == most
    assert f"{never} of {len(entries)} clips" in " ".join(folds.explain(report))


@pytest.mark.parametrize(("name", "people"), [("ADFESDVS", 14), ("CASIADVS", 61)])
def test_everybody_of_the_first_published_fold_is_in_training_too(name, people):
    entries = published_set(name)
    plan = folds.build(entries, "code", set_name=name)
    first = folds.fold_facts(plan, entries)[0]
    assert (first.test_subjects, first.shared_subjects) == (people, people)
    assert folds.leak(plan, entries).subject_overlap == 1
    assert any("These are the published folds" in note for note in plan.notes)


def test_a_row_deleted_after_the_draw_moves_the_later_ones():
    entries = published_set("CKPlusDVS")
    plan = folds.build(entries, "published", set_name="CKPlusDVS")
    whole = folds.build([*entries, entry("S999", 1, 1)], "published")
    for split, other in zip(plan.splits, whole.splits, strict=True):
        moved = tuple(i - (i > 239) for i in other.test if i != 239)
        assert split.test == moved


def test_clips_beyond_the_published_ones_are_left_out_and_named(tmp_path):
    entries = published_set("CASIADVS")
    more = sorted([*entries, entry("S018", 2, 5), entry("S040", 5, 6)], key=lambda e: e.clip_id)
    plan = folds.build(more, "published", set_name="CASIADVS")
    assert plan.sha256 == folds.build(entries, "published", set_name="CASIADVS").sha256
    assert "S018/002, S040/005" in " ".join(plan.notes)
    folds.write(tmp_path, plan, more)
    back = folds.read(tmp_path, more)
    assert (back, back.notes) == (plan, plan.notes)
    assert folds.leak(back, more).missing == ("S018/002", "S040/005")
    with pytest.raises(RecordingError, match="does not fit"):
        folds.read(tmp_path, [*more, entry("S081", 1, 4)])


@pytest.mark.parametrize("name", PUBLISHED)
def test_other_clips_take_the_recipe_alone_and_say_so(name):
    entries = published_set(name)[:-1]
    plan = folds.build(entries, "published", set_name=name)
    assert plan.sha256 == folds.build(entries, "published").sha256
    assert "not the published folds" in plan.notes[0]
    # as many clips and people, but another label
    other = [*entries, replace(published_set(name)[-1], label=7, label_name="contempt")]
    assert "not the published folds" in folds.build(other, "code", set_name=name).notes[0]


def test_a_set_without_a_card_takes_the_recipe_in_silence():
    entries = entries_of([("A", 1), ("B", 2)] * 5)
    assert folds.build(entries, "published", set_name="OtherDVS").notes == ()


def test_mmi_folds_follow_the_users_table_of_ids():
    rows = published_set("MMIDVS")
    # the same clips under native ids, in which people and clips stand in another order
    people = sorted({row.subject for row in rows})
    native = dict(zip(people, random.Random(0).sample(range(1, 60), len(people)), strict=True))
    numbers = random.Random(1).sample(range(1, 999), len(rows))
    ids = {
        PublishedId(row.subject, row.sequence): f"S{native[row.subject]:03d}-{number:03d}"
        for row, number in zip(rows, numbers, strict=True)
    }
    entries = [
        entry(name[:4], int(name[5:]), row.label, name)
        for row, name in zip(rows, ids.values(), strict=True)
    ]
    plan = folds.build(entries, "published", set_name="MMIDVS", ids=ids)
    assert "if the table of ids is right" in plan.notes[0]
    wanted = folds.build(rows, "published", set_name="MMIDVS")
    tested = [
        {ids[PublishedId(rows[i].subject, rows[i].sequence)] for i in split.test}
        for split in wanted.splits
    ]
    found = [{plan.clip_ids[i].replace("/", "-") for i in split.test} for split in plan.splits]
    assert found == tested
    # without the table the order is unknown, and the plan says so
    without = folds.build(entries, "published", set_name="MMIDVS")
    assert [len(s.test) for s in without.splits] == PUBLISHED["MMIDVS"][4]
    assert f"published order of {len(rows)} of {len(rows)} clips is not known" in without.notes[0]
    assert without.sha256 != plan.sha256


# names


def test_ids_of_mmi_agree_with_a_public_list_of_its_clips():
    # rows S001;1, 2, 5 ... are clips 100, 101, 104 ...; gaps in the file are clips of no emotion
    first = [int(native_id("MMIDVS", "S001", k)[5:]) for k in (1, 2, 5, 6, 7, 8, 9, 10)]
    assert first == [100, 101, 104, 105, 106, 107, 108, 109]
    assert [native_id("MMIDVS", "S001", k) for k in (15, 18)] == ["S001-114", "S001-117"]
    second = [native_id("MMIDVS", "S002", k) for k in (1, 2, 5, 6, 7, 9, 15, 16, 19, 20)]
    assert second == [f"S002-{n:03d}" for n in (99, 100, 103, 104, 105, 107, 113, 114, 117, 118)]
    assert native_id("MMIDVS", "S003", 1) is None


def test_names_of_the_other_sets():
    assert native_id("CKPlusDVS", "S034", 3) == "S034/003"
    casia = [native_id("CASIADVS", "S007", k) for k in range(1, 7)]
    words = ["Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"]
    assert casia == [f"P007/VL/Strong/{word}" for word in words]
    assert native_id("ADFESDVS", "S010", 6) == "F10/Surprise/forward"
    assert native_id("ADFESDVS", "S022", 1) == "M12/Anger/forward"
    for name, subject, sequence in (
        ("CASIADVS", "S081", 1), ("CASIADVS", "S001", 7), ("ADFESDVS", "S023", 1),
        ("ADFESDVS", "S001", 0), ("CKPlusDVS", "1", 1), ("DemoDVS", "S001", 1),
    ):  # fmt: skip
        assert native_id(name, subject, sequence) is None
    assert published_id("ADFESDVS", "F01/Joy/away") is None
    assert published_id("CASIADVS", "P001/NI/Dark/Anger") is None
    assert published_id("MMIDVS", "S001-008") is None
    assert published_id("CASIADVS", "P001/VL/Strong/waving") is None


@given(st.sampled_from(sorted(PUBLISHED)), st.integers(1, 99), st.integers(1, 30))
def test_names_lead_back(name, person, sequence):
    row = PublishedId(f"S{person:03d}", sequence)
    native = native_id(name, *row)
    if native is not None:
        assert published_id(name, native) == row
        assert published_id(name, native.lower()) == row


@pytest.mark.parametrize("name", ["ADFESDVS", "CASIADVS"])
def test_listing_is_the_published_set(name):
    rows = published.listing(name)
    assert rows is not None
    assert [(r.subject, r.sequence, label) for r, label in rows] == [
        (e.subject, e.sequence, e.label) for e in published_set(name)
    ]
    assert not {row for row, _ in rows} & published.ABSENT[name]


def test_own_ids_differ_for_renumbered_sets_alone():
    assert own_id("MMIDVS", "S002", 1) == ("S002", 99)
    assert own_id("MMIDVS", "S004", 1) is None
    assert own_id("MMIDVS", "S004", 1, {PublishedId("S004", 1): "S021-007"}) == ("S021", 7)
    assert own_id("FolderDVS", "anna", 3) == ("anna", 3)


def test_users_table_of_ids(tmp_path):
    path = tmp_path / "mmi_ids.csv"
    path.write_text("\ufeffsubject;sequence;sid\nS003;001;S005-012\n\nS003; 3 ;s005-020\n")
    ids = read_ids(path)
    assert ids == {PublishedId("S003", 1): "S005-012", PublishedId("S003", 3): "S005-020"}
    assert native_id("MMIDVS", "S003", 3, ids) == "S005-020"
    assert published_id("MMIDVS", "S005-012", ids) == ("S003", 1)
    assert native_id("MMIDVS", "S001", 1, ids) == "S001-100"
    path.write_text("subject;sequence;sid\n")
    assert read_ids(path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S003;001\n", "line 1.*subject;sequence;sid"),
        ("S003;one;S003-001\n", "line 1"),
        ("003;1;S003-001\n", "line 1"),
        ("S003;1;S3-1\n", "as MMI names it"),
        ("S003;1;S003-001\nS003;2;S003-001\n", "line 2.*once"),
        ("S003;1;S003-001\nS003;1;S003-002\n", "line 2.*once"),
    ],
)
def test_table_of_ids_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "mmi_ids.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        read_ids(path)
    with pytest.raises(SourceError, match="none.csv"):
        read_ids(tmp_path / "none.csv")
