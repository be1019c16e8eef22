"""Folds: counts of the published recipe, disjoint parts, subjects apart, files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer import folds, index
from evfer.errors import ConfigError, RecordingError, UnknownNameError
from evfer.index import IndexEntry


def entries_of(clips):
    """Entries from (subject, label) pairs."""
    counts, made = {}, []
    for subject, label in clips:
        counts[subject] = counts.get(subject, 0) + 1
        name = f"{subject}/{counts[subject]:03d}"
        made.append(
            IndexEntry(
                name, f"{name}.h5", subject, counts[subject], label, f"label{label}",
                1, 1, 1, "0", "0", name, 30.0, 2,
            )
        )  # fmt: skip
    return made


DEMO = entries_of((f"S{s:03d}", label) for s in range(1, 13) for label in range(1, 7) for _ in "ab")

clips = st.lists(
    st.tuples(st.integers(1, 9).map("S{:03d}".format), st.integers(1, 4)), min_size=4, max_size=60
).filter(lambda rows: len({subject for subject, _ in rows}) > 2)


@settings(max_examples=60, deadline=None)
@given(clips, st.integers(2, 3), st.integers(0, 5), st.sampled_from(["strict", "loso", "kfold"]))
def test_partition(rows, n_folds, seed, protocol):
    entries = entries_of(rows)
    plan = folds.build(entries, protocol, n_folds, seed)
    tested = [i for split in plan.splits for i in split.test]
    assert sorted(tested) == list(range(len(entries)))
    for split in plan.splits:
        assert not set(split.train) & set(split.test)
        assert set(split.train) | set(split.test) == set(range(len(entries)))
    report = folds.leak(plan, entries)
    assert (report.never_tested, report.multiply_tested) == (0, 0)
    if protocol != "kfold":
        assert report.subject_overlap == 0
    assert plan == folds.build(entries[::-1], protocol, n_folds, seed)


def test_strict_is_even_and_balanced():
    plan = folds.build(DEMO, "strict", 4)
    assert [len(split.test) for split in plan.splits] == [36] * 4
    for split in plan.splits:
        labels = [DEMO[i].label for i in split.test]
        assert np.bincount(labels)[1:].tolist() == [6] * 6
    assert len(folds.build(DEMO, "strict").splits) == 5
    other = folds.build(DEMO, "strict", 4, seed=1)
    assert other.sha256 != plan.sha256


def test_strict_keeps_classes_even_when_subjects_differ():
    rows = [("A", 1)] * 4 + [("B", 1)] * 4 + [("C", 2)] * 4 + [("D", 2)] * 4
    plan = folds.build(entries_of(rows), "strict", 2)
    for split in plan.splits:
        assert sorted(entries_of(rows)[i].label for i in split.test) == [1] * 4 + [2] * 4


# sizes of the published sets before a row was deleted, and the test counts of their fold files
@pytest.mark.parametrize(
    ("n_clips", "deleted", "sizes"),
    [
        (131, None, [26] * 10),
        (478, None, [95] * 10),
        (358, 239, [71, 70, 71, 71, 71, 71, 71, 71, 71, 70]),
        (208, 27, [41, 41, 41, 41, 41, 40, 41, 41, 41, 41]),
    ],
)
def test_published_recipe_gives_the_published_counts(n_clips, deleted, sizes):
    entries = entries_of((f"S{k:03d}", 1) for k in range(n_clips))
    plan = folds.build(entries, "published", 10)
    assert [sum(i != deleted for i in split.test) for split in plan.splits] == sizes


def test_published_recipe_leaks_and_says_so():
    plan = folds.build(DEMO, "code", 10)
    assert plan.protocol == "published"
    report = folds.leak(plan, DEMO)
    assert report.subject_overlap > 0.9
    assert report.never_tested > 0
    assert report.multiply_tested > 0
    words = " ".join(folds.explain(report))
    assert "LEAK" in words
    assert "never tested" in words


@pytest.mark.parametrize("n_folds", [0, 1, 13])
def test_strict_refuses_more_folds_than_subjects(n_folds):
    with pytest.raises(ConfigError, match=f"{n_folds} folds of 12 subjects"):
        folds.build(DEMO, "strict", n_folds)


def test_unknown_protocol():
    with pytest.raises(UnknownNameError, match='"strikt".*"strict"'):
        folds.build(DEMO, "strikt")


@pytest.mark.parametrize("protocol", ["strict", "kfold", "published"])
def test_files_round_trip(tmp_path, protocol):
    index.write_index(tmp_path, DEMO)
    plan, report = folds.renew(tmp_path, protocol, 4, 0)
    back = folds.read(tmp_path, index.read_index(tmp_path))
    assert back == plan
    assert folds.leak(back, DEMO) == report
    first = (tmp_path / "folds.csv").read_text().splitlines()[0]
    assert first.split(";")[:3] == ["S001", "001", "1"]
    again, _ = folds.renew(tmp_path, "", imported=tmp_path / "folds.csv")
    assert again.protocol == "imported"
    assert again.sha256 == plan.sha256
    assert folds.read(tmp_path, DEMO) == again


def test_a_plan_for_other_clips_is_refused(tmp_path):
    folds.write(tmp_path, folds.build(DEMO, "strict", 4), DEMO)
    with pytest.raises(RecordingError, match="not in the set"):
        folds.read(tmp_path, DEMO[:-1])
    more = entries_of([(e.subject, e.label) for e in DEMO] + [("S012", 1)])
    with pytest.raises(RecordingError, match="does not fit"):
        folds.read(tmp_path, more)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line"),
        ("S001;001;1\n", "line 1"),
        ("S001;001;1;0;2\n", "line 1"),
        ("S001;001;1;0;1\nS001;002;1;0\n", "line 2"),
        ("S001;one;1;1\n", "sequence one"),
        ("S099;001;1;1\n", "S099/001 is not in the set"),
        ("S001;001;2;1\n", "label 2 for clip S001/001"),
        ("S001;001;1;1\nS001;001;1;1\n", "stands twice"),
        ("S001;001;1;0\nS001;002;1;0\n", "fold 0 has 0 test clips"),
    ],
)
def test_fold_file_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "folds.csv"
    path.write_text(text)
    with pytest.raises(RecordingError, match=message):
        folds.read_published(path, DEMO)


def test_clips_that_a_fold_file_leaves_out_are_told(tmp_path):
    index.write_index(tmp_path, DEMO)
    folds.renew(tmp_path, "kfold", 2)
    part = tmp_path / "part.csv"
    part.write_text("".join((tmp_path / "folds.csv").read_text().splitlines(True)[:36]))
    _, report = folds.renew(tmp_path, "", imported=part)
    assert report.left_out == 0.75
    assert "75% of the set's clips are not in the plan" in " ".join(folds.explain(report))
    assert "left_out = 0.75" in (tmp_path / "manifest.toml").read_text()
