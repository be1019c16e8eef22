"""What a report says: differences, warnings and leaks, no more than the rows hold."""

import csv
import io

import numpy as np
import pytest
from report_rows import comparisons_of, make_rows, write_run

from evfer import metrics, report
from evfer.report.read.comparison import group_rows
from evfer.report.read.results import read_results
from evfer.report.say import sentences
from evfer.report.say.table import to_csv
from evfer.report.say.tables import build_tables


def test_overlapping_scores_are_not_called_a_win(tmp_path):
    (comparison,) = comparisons_of(tmp_path, make_rows("one", 0.7), make_rows("other", 0.66))
    (difference,) = comparison.differences
    assert difference.interval[0] < 0 < difference.interval[1]
    text = " ".join(sentences.headlines(comparison))
    assert "no difference between the two is shown" in text
    assert "is better" not in text


def test_a_clear_difference_is_called_one_and_is_paired(tmp_path):
    strong, weak = make_rows("strong", 1.0), make_rows("weak", 0.2)
    (comparison,) = comparisons_of(tmp_path, weak, strong)
    assert [group.name for group in comparison.settings] == ["strong", "weak"]
    (difference,) = comparison.differences
    right = [
        np.mean([p["label"] == p["prediction"] for r in rows for p in r["predictions"]])
        for rows in (strong, weak)
    ]
    assert difference.mean == pytest.approx(right[0] - right[1])
    assert difference.n_clips == 27
    assert difference.interval[0] > 0
    assert "strong is better here" in " ".join(sentences.headlines(comparison))
    # a constant gain on every clip leaves nothing to chance
    lift = [dict(row, model="m", run="m") for row in make_rows("weak", 0.0)]
    (sure,) = comparisons_of(tmp_path / "2", make_rows("strong", 1.0), lift)
    assert sure.differences[0].interval == (1.0, 1.0)


def test_a_win_that_a_test_does_not_confirm_is_not_called_one(tmp_path):
    # nine people gain alike, but three folds are few for a t-test with what it corrects for
    strong, weak = make_rows("strong", 0.9), make_rows("weak", 0.4, seed=3)
    (comparison,) = comparisons_of(tmp_path, strong, weak)
    (found,) = comparison.differences
    assert found.interval[0] > 0
    assert found.resampled_t.p_value > 0.05
    text = " ".join(sentences.headlines(comparison))
    assert "not every test agrees" in text
    assert "strong is ahead here, and not yet shown to be better" in text
    assert "is better here" not in text


def test_the_interval_of_a_difference_is_as_wide_as_people_differ(tmp_path):
    rows = [make_rows(name, 0.6, n_subjects=60, seed=0) for name in ("one", "second")]
    (comparison,) = comparisons_of(tmp_path, *rows)
    (difference,) = comparison.differences
    right = [{} for _ in rows]
    for found, of_model in zip(right, rows, strict=True):
        for said in (said for row in of_model for said in row["predictions"]):
            found.setdefault(said["subject"], []).append(said["label"] == said["prediction"])
    gains = [np.mean(right[0][s]) - np.mean(right[1][s]) for s in right[0]]
    # all subjects have as many clips, so the mean of their gains is near normal
    width = 2 * 1.96 * np.std(gains, ddof=1) / np.sqrt(len(gains))
    low, high = difference.interval
    assert high - low == pytest.approx(width, rel=0.15)
    assert abs(difference.mean) == pytest.approx(abs(np.mean(gains)))


def test_differences_are_tested_over_folds_and_clips(tmp_path):
    strong, weak = make_rows("strong", 0.9), make_rows("weak", 0.4, seed=3)
    (comparison,) = comparisons_of(tmp_path, strong, weak)
    (found,) = comparison.differences
    right = [
        [[p["label"] == p["prediction"] for p in row["predictions"]] for row in rows]
        for rows in (strong, weak)
    ]
    gains = [np.mean(a) - np.mean(b) for a, b in zip(*right, strict=True)]
    trained, tested = strong[0]["n_train"], len(right[0][0])
    wanted = metrics.corrected_resampled_t(gains, trained, tested)
    assert found.resampled_t.statistic == pytest.approx(wanted.statistic)
    assert found.resampled_t.p_value == pytest.approx(wanted.p_value)
    assert found.resampled_t.n_splits == 3
    assert found.mcnemar == metrics.mcnemar(np.concatenate(right[0]), np.concatenate(right[1]))
    said = " ".join(sentences.headlines(comparison))
    assert "Corrected resampled t-test over 3 folds: p = 0." in said
    assert "McNemar's test over 27 clips" in said
    # a clip that is tested in two folds is no independent pair, one fold has no spread
    twice = [dict(row, fold=0) | {"predictions": strong[0]["predictions"]} for row in strong[:1]]
    twice += [dict(twice[0], fold=1)]
    others = [dict(row, model="weak", run="weak") for row in twice]
    others[0]["predictions"] = weak[0]["predictions"]
    (comparison,) = comparisons_of(tmp_path / "2", twice, others)
    assert comparison.differences[0].mcnemar is None
    assert comparison.differences[0].resampled_t is not None
    (comparison,) = comparisons_of(tmp_path / "3", strong[:1], weak[:1])
    assert comparison.differences[0].resampled_t is None
    assert comparison.differences[0].mcnemar is not None


def test_calibration_and_single_steps_are_told(tmp_path):
    rows = make_rows("snn", 0.7)
    for i, row in enumerate(rows):
        row |= {"ece": 0.1 + 0.1 * i, "anytime": [0.25, 0.5, row["accuracy"]]}
    write_run(tmp_path / "snn", rows)
    (comparison,) = group_rows(read_results(tmp_path).rows)
    (group,) = comparison.settings
    said = group.predictions
    pooled = metrics.calibrate([s.confidence for s in said], [s.right for s in said]).error
    assert pooled != pytest.approx(0.2, abs=1e-3)
    assert group.ece == pooled
    assert group.anytime == pytest.approx((0.25, 0.5, group.accuracy.mean))
    text = " ".join(sentences.describe(comparison))
    assert f"expected calibration error {pooled:.1%}, all answers together." in text
    assert "accuracy after step 1 to 3: 25%, 50%, " in text
    tables = {name: to_csv(table) for name, table in build_tables([comparison]).items()}
    steps = list(csv.DictReader(io.StringIO(tables["anytime"])))
    assert [row["accuracy"] for row in steps[:2]] == ["0.25", "0.5"]
    people = list(csv.DictReader(io.StringIO(tables["subjects"])))
    assert sum(int(row["n_tests"]) for row in people) == 27
    right = sum(int(row["n_tests"]) * float(row["accuracy"]) for row in people)
    assert right / 27 == pytest.approx(group.pooled)
    bins = list(csv.DictReader(io.StringIO(tables["calibration"])))
    assert sum(int(row["n"]) for row in bins) == 27
    # older rows say neither, and a step that is no share spoils its row
    rows[0]["anytime"] = [0.25, "half", 0.6]
    del rows[1]["ece"], rows[1]["anytime"]
    for row in rows:
        for item in row["predictions"]:
            del item["confidence"]
    write_run(tmp_path / "snn", rows)
    (comparison,) = group_rows(read_results(tmp_path).rows)
    assert comparison.settings[0].anytime == ()
    assert comparison.settings[0].ece == pytest.approx(0.2)
    assert "calibration error 20.0%, mean over results." in " ".join(sentences.describe(comparison))


def test_what_was_not_tested_alike_is_not_compared(tmp_path):
    fewer = make_rows("fewer", 0.2)[:2]
    (comparison,) = comparisons_of(tmp_path, make_rows(), fewer)
    assert comparison.differences == ()
    assert "is not judged" in " ".join(sentences.headlines(comparison))
    other_folds = make_rows("b", folds_sha256="00" * 32)
    other_data = make_rows("c", data_fingerprint="00" * 32)
    comparisons = comparisons_of(tmp_path / "2", make_rows(), other_folds, other_data)
    assert [len(comparison.settings) for comparison in comparisons] == [1, 1, 1]
    assert len({comparison.name for comparison in comparisons}) == 3


def test_recipes_of_one_model_stay_apart(tmp_path):
    runs = [
        make_rows(),
        make_rows(recipe="wide"),
        make_rows(recipe="wide", recipe_sha256="12" * 32),
        make_rows(selected_on="last"),
    ]
    for number, rows in enumerate(runs):
        for row in rows:
            row["run"] = f"run{number}"
    (comparison,) = comparisons_of(tmp_path, *runs)
    names = [group.name for group in comparison.settings]
    assert len(set(names)) == 4
    assert all(name.startswith("spiking-fer, ") for name in names)
    seeds = make_rows(seed=1)
    (comparison,) = comparisons_of(tmp_path / "2", make_rows(), seeds)
    (group,) = comparison.settings
    assert (group.name, group.seeds, group.folds) == ("spiking-fer", (0, 1), (0, 1, 2))
    assert sentences.tally(group) == "3 folds, 2 seeds"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"selected_on": "best_test_epoch"}, "OPTIMISTIC: the test clips chose the epoch"),
        ({"collapsed": True}, "COLLAPSED: in 3 fold results of 3"),
        ({"n_folds": 10}, "INCOMPLETE: 3 of 10 folds"),
        ({"predictions": []}, "No interval"),
        ({}, "One seed (0)"),
        ({}, "Only 9 subjects"),
    ],
)
def test_warnings(tmp_path, changes, sentence):
    (comparison,) = comparisons_of(tmp_path, make_rows(**changes))
    assert any(sentence in found for found in sentences.comparison_warnings(comparison))
    (clean,) = comparisons_of(
        tmp_path / "2", make_rows(n_subjects=30), make_rows(seed=1, n_subjects=30)
    )
    assert sentences.comparison_warnings(clean) == []


def test_single_folds_and_single_subjects_say_so(tmp_path):
    (comparison,) = comparisons_of(tmp_path, make_rows(folds=1, n_subjects=1))
    (group,) = comparison.settings
    assert group.interval is None
    assert group.accuracy.std is None
    found = sentences.warnings(group)
    assert any("SINGLE FOLD" in sentence for sentence in found)
    assert any("No interval" in sentence for sentence in found)
    assert "without an interval that shows little" in sentences.describe(comparison)[0]
    write_run(tmp_path / "b", make_rows(folds=1, n_subjects=1))
    assert report.render(tmp_path / "b").page.is_file()


def test_scores_at_chance_are_not_called_learning(tmp_path):
    (comparison,) = comparisons_of(tmp_path, make_rows("m", 1 / 3, n_subjects=12))
    assert (
        "not shown to do better than guessing evenly (33.3%) and always"
        in sentences.describe(comparison)[0]
    )
    (comparison,) = comparisons_of(tmp_path / "2", make_rows("m", 1.0))
    assert "lies above guessing evenly" in sentences.describe(comparison)[0]
    (comparison,) = comparisons_of(tmp_path / "3", make_rows("m", 0.0))
    assert "lies below" in sentences.describe(comparison)[0]


def test_the_leak_report_warns_in_words(tmp_path):
    leak = {
        "subject_overlap": 0.93,
        "never_tested": 0.11,
        "multiply_tested": 0.6,
        "test_chose": ["epoch", "augmentations"],
    }
    (comparison,) = comparisons_of(tmp_path, make_rows(leak=leak))
    text = " ".join(sentences.leak_sentences(comparison))
    for part in ("LEAK", "93%", "11%", "60%", "The test clips chose the epoch and augmentations."):
        assert part in text
    (comparison,) = comparisons_of(tmp_path / "2", make_rows())
    text = " ".join(sentences.leak_sentences(comparison))
    assert text.startswith("No subject is in training and test")
    assert text.endswith("The test clips chose nothing.")
    (comparison,) = comparisons_of(tmp_path / "3", make_rows(leak=None))
    assert "do not say" in sentences.leak_sentences(comparison)[0]
