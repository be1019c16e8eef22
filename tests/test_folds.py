"""Folds: counts of the published recipe, disjoint parts, subjects apart, files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from exploring import examples
from fold_sets import entries_of
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer import config, folds, metrics, recordings
from evfer.bench.fold import FoldJob
from evfer.errors import ConfigError, RecordingError, UnknownNameError
from evfer.training.recipe import load_config
from evfer.training.validation import validation_split

DEMO = entries_of((f"S{s:03d}", label) for s in range(1, 13) for label in range(1, 7) for _ in "ab")

clips = st.lists(
    st.tuples(st.integers(1, 9).map("S{:03d}".format), st.integers(1, 4)), min_size=4, max_size=60
).filter(lambda rows: len({subject for subject, _ in rows}) > 2)


@settings(max_examples=examples(60))
@given(clips, st.integers(2, 3), st.integers(0, 5), st.sampled_from(["strict", "loso", "kfold"]))
def test_partition(rows, n_folds, seed, protocol):
    entries = entries_of(rows)
    n_folds = None if protocol == "loso" else n_folds
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


@settings(max_examples=examples(60))
@given(clips, st.integers(1, 4))
def test_hold_outs_are_disjoint_whole_and_of_one_size(rows, n_folds):
    plan = folds.build(entries_of(rows), "published", n_folds)
    for split in plan.splits:
        assert not set(split.train) & set(split.test)
        assert set(split.train) | set(split.test) == set(range(len(rows)))
        assert len(split.test) == max(1, int(0.2 * len(rows)))
    assert folds.build(entries_of(rows), "published", n_folds, seed=9).sha256 == plan.sha256


@settings(max_examples=examples(60))
@given(clips, st.integers(2, 3), st.integers(0, 5))
def test_strict_folds_differ_by_one_person_at_most(rows, n_folds, seed):
    entries = entries_of(rows)
    sizes = [len(split.test) for split in folds.build(entries, "strict", n_folds, seed).splits]
    clips_of = [sum(e.subject == s for e in entries) for s in {e.subject for e in entries}]
    assert max(sizes) - min(sizes) <= max(clips_of)


@settings(max_examples=examples(60))
@given(clips, st.integers(0, 5), st.sampled_from(["strict", "loso"]))
def test_validation_people_are_neither_trained_on_nor_tested(rows, seed, protocol):
    entries = entries_of(rows)
    for split in folds.build(entries, protocol, 2 if protocol == "strict" else None, seed).splits:
        people = [entries[i].subject for i in split.train]
        if len(set(people)) < 2:
            continue
        labels = [entries[i].label for i in split.train]
        kept, held = validation_split(people, labels, 0.2, seed=seed, fold=split.fold)
        assert sorted(kept + held) == list(range(len(people)))
        inner, outer = {people[i] for i in kept}, {people[i] for i in held}
        tested = {entries[i].subject for i in split.test}
        assert inner
        assert outer
        assert not inner & outer
        assert not (inner | outer) & tested


def test_strict_balances_classes_better_than_chance():
    # people of one size, each with labels of their own: only the choice of fold can balance
    rng = np.random.default_rng(1)
    rows = [
        (f"S{s:03d}", int(label))
        for s in range(24)
        for label in rng.choice(6, size=5, p=rng.dirichlet(np.full(6, 0.3))) + 1
    ]
    entries = entries_of(rows)
    labels = np.array([e.label for e in entries])
    people = np.array([e.subject for e in entries])

    def imbalance(fold_of):
        counts = [[np.sum(labels[fold_of == k] == c) for c in range(1, 7)] for k in range(4)]
        return np.abs(np.array(counts) - np.mean(counts, axis=0)).sum()

    drawn = []
    for _ in range(200):
        order = rng.permutation(np.unique(people))
        place = {person: i % 4 for i, person in enumerate(order)}
        drawn.append(imbalance(np.array([place[p] for p in people])))
    found = []
    for seed in range(10):
        fold_of = np.zeros(len(rows), int)
        for split in folds.build(entries, "strict", 4, seed).splits:
            fold_of[list(split.test)] = split.fold
        assert np.bincount(fold_of).tolist() == [30] * 4
        found.append(imbalance(fold_of))
    assert np.median(found) < np.quantile(drawn, 0.05)


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


def test_published_recipe_leaks_and_says_so():
    plan = folds.build(DEMO, "code", 10)
    assert plan.kind == "published"
    report = folds.leak(plan, DEMO)
    assert report.subject_overlap > 0.9
    assert report.never_tested > 0
    assert report.multiply_tested > 0
    words = " ".join(folds.explain(report))
    assert "LEAK" in words
    assert "never tested" in words


def test_leak_report_counts_by_hand():
    entries = entries_of([("A", 1), ("A", 1), ("A", 2), ("B", 2), ("B", 1), ("C", 3)])
    splits = (
        folds.Split(0, (1, 2, 4), (0, 3)),  # A and B shared; 1 is the majority, right once
        folds.Split(1, (2, 3, 4), (0, 5)),  # A shared, C not; 2 is the majority, never right
    )
    plan = folds.FoldPlan("imported", 0, tuple(e.clip_id for e in entries), splits)
    report = folds.leak(plan, entries)
    assert report.subject_overlap == 3 / 4
    assert report.never_tested == pytest.approx(3 / 6)  # A/002, A/003, B/002
    assert (report.multiply_tested, report.most_tested) == (1 / 6, 2)
    assert (report.majority, report.chance) == (0.25, 1 / 3)
    facts = folds.fold_facts(plan, entries)
    assert [(f.train, f.test, f.test_subjects, f.shared_subjects) for f in facts] == [
        (3, 2, 2, 2),
        (3, 2, 2, 1),
    ]
    words = " ".join(folds.explain(report))
    assert "3 of 6 clips (50%) are never tested" in words
    assert "up to 2 times" in words
    assert "To beat: 25.0%" in words
    assert "33.3% by guessing" in words


@settings(max_examples=examples(40))
@given(clips, st.integers(2, 3), st.sampled_from(["strict", "kfold", "published"]))
def test_majority_is_that_of_the_scores(rows, n_folds, protocol):
    entries = entries_of(rows)
    plan = folds.build(entries, protocol, n_folds)
    for split, facts in zip(plan.splits, folds.fold_facts(plan, entries), strict=True):
        train, test = ([entries[i].label for i in part] for part in (split.train, split.test))
        assert facts.majority == metrics.majority(train, test)


@pytest.mark.parametrize("n_folds", [0, 1, 13])
def test_strict_refuses_more_folds_than_subjects(n_folds):
    with pytest.raises(ConfigError, match=f"{n_folds} folds of 12 subjects"):
        folds.build(DEMO, "strict", n_folds)


def test_unknown_protocol():
    with pytest.raises(UnknownNameError, match='"strikt".*"strict"'):
        folds.build(DEMO, "strikt")


@pytest.mark.parametrize("protocol", ["strict", "kfold", "published"])
def test_files_round_trip(tmp_path, protocol):
    recordings.write_index(tmp_path, DEMO)
    plan, report = folds.renew(tmp_path, protocol, 4, 0)
    back = folds.read(tmp_path, recordings.read_index(tmp_path))
    assert back == plan
    assert folds.leak(back, DEMO) == report
    first = (tmp_path / "folds.csv").read_text().splitlines()[0]
    assert first.split(";")[:3] == ["S001", "001", "1"]
    again, _ = folds.renew(tmp_path, "", imported=tmp_path / "folds.csv")
    assert again.kind == "imported"
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
    recordings.write_index(tmp_path, DEMO)
    folds.renew(tmp_path, "kfold", 2)
    part = tmp_path / "part.csv"
    part.write_text("".join((tmp_path / "folds.csv").read_text().splitlines(True)[:36]))
    _, report = folds.renew(tmp_path, "", imported=part)
    assert report.left_out == 0.75
    words = " ".join(folds.explain(report))
    assert "108 of the set's 144 clips are not in the plan" in words
    assert "(S004/001, S004/002, S004/003, S004/004, S004/005 and 103 more)" in words
    # a row of results tells the share alone
    told = " ".join(folds.explain(folds.LeakReport(0.0, 0.0, 0.0, 0.75)))
    assert "75% of the set's clips are not in the plan" in told
    assert "left_out = 0.75" in (tmp_path / "manifest.toml").read_text()


def published_loader(path, fold):
    """Read a fold file as the published code does: ten columns of folds, by their numbers."""
    train, test = [], []
    for line in path.read_text().splitlines():
        subject, sequence, _, *columns = line.split(";")
        (test if columns[:10][fold] == "1" else train).append(f"{subject}/{sequence}")
    assert len(columns) >= 10
    return train, test


@pytest.mark.parametrize("n_folds", [2, 3, 5, 9, 10, 12])
def test_the_published_loader_finds_ten_columns(tmp_path, n_folds):
    recordings.write_index(tmp_path, DEMO)
    plan, _ = folds.renew(tmp_path, "strict", n_folds)
    assert f"n_folds = {n_folds}\n" in (tmp_path / "manifest.toml").read_text()
    for k in range(10):
        train, test = published_loader(tmp_path / "folds.csv", k)
        split = plan.splits[k % n_folds]
        assert train == [plan.clip_ids[i] for i in split.train]
        assert test == [plan.clip_ids[i] for i in split.test]
    assert folds.read(tmp_path, DEMO) == plan
    imported = tmp_path / "theirs.csv"
    folds.export(imported, plan, DEMO)
    assert folds.read_foreign(imported, DEMO).plan.sha256 == plan.sha256


def test_folds_of_before_still_read(tmp_path):
    recordings.write_index(tmp_path, DEMO)
    plan, _ = folds.renew(tmp_path, "strict", 4)
    path = tmp_path / "folds.csv"
    lines = (line.split(";")[:7] for line in path.read_text().splitlines())
    path.write_text("".join(";".join(line) + "\n" for line in lines))
    assert folds.read(tmp_path, DEMO) == plan


def test_columns_that_do_not_repeat_the_folds_are_refused(tmp_path):
    recordings.write_index(tmp_path, DEMO)
    folds.renew(tmp_path, "strict", 4)
    path = tmp_path / "folds.csv"
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first[:-2] + ("0" if first[-2] == "1" else "1") + "\n", *rest]))
    with pytest.raises(RecordingError, match="10 columns of folds; expected 4 folds.*evfer folds"):
        folds.read(tmp_path, DEMO)


def test_ten_different_folds_stay_ten(tmp_path):
    recordings.write_index(tmp_path, DEMO)
    plan, _ = folds.renew(tmp_path, "published")
    imported = tmp_path / "theirs.csv"
    folds.export(imported, plan, DEMO)
    assert len(folds.read_foreign(imported, DEMO).plan.splits) == 10


def test_the_jobs_of_a_study_share_one_digest(monkeypatch, tmp_path):
    plan = folds.build(DEMO, "loso")
    first = FoldJob(
        folder=tmp_path,
        dataset="demo",
        fingerprint="f",
        labels_sha256="l",
        model="spiking-fer",
        model_sha256="",
        config=load_config("spiking-fer", "spiking-fer"),
        plan=plan,
        fold=0,
        leak=folds.leak(plan, DEMO),
        protocol="loso",
        seed=0,
        out=tmp_path,
    )
    digested = []
    digest = config.digest

    def count(value):
        digested.append(value)
        return digest(value)

    monkeypatch.setattr("evfer.folds.plan.config.digest", count)
    jobs = [dataclasses.replace(first, seed=s, fold=f) for s in range(4) for f in range(12)]
    assert len({job.key for job in jobs}) == 48
    assert sum("test" in value for value in digested if isinstance(value, dict)) == 1


def test_folds_of_one_person_say_that_two_are_needed(tmp_path):
    one = [entry for entry in DEMO if entry.subject == "S001"]
    recordings.write_index(tmp_path, one)
    with pytest.raises(ConfigError, match=r"one subject; expected at least two.*--protocol kfold"):
        folds.read(tmp_path, one)
    plan, _ = folds.renew(tmp_path, "kfold", 3)
    assert folds.read(tmp_path, one) == plan
