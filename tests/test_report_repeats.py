"""Repeats draw their folds anew and are one result all the same; sources of a network are not."""

import csv
import io
import json

import numpy as np
import pytest
from report_rows import Page, comparisons_of, make_rows, write_run

from evfer import metrics, report
from evfer.bench import ResultRow
from evfer.cli.bench import print_rows
from evfer.report.read.results import read_results
from evfer.report.say import sentences
from evfer.report.say.table import to_csv
from evfer.report.say.tables import build_tables


def make_repeats(model="cnn1", accuracy=0.7, *, repeats=3, kind="strict", **changes):
    """Rows of one bench with `split.repeats`: each repeat has a seed and folds of its own."""
    rows = []
    for seed in range(repeats):
        split = {"split": {"kind": kind, "seed": seed}, "folds_sha256": f"{seed:02d}" * 32}
        rows += make_rows(model, accuracy, seed=seed, **{**split, **changes})
    return rows


def test_repeats_are_one_result(tmp_path):
    rows = make_repeats()
    (comparison,) = comparisons_of(tmp_path, rows)
    (group,) = comparison.settings
    assert (comparison.name, group.name) == ("DemoDVS, strict protocol", "cnn1")
    assert group.accuracy.n == 9
    assert group.accuracy.mean == pytest.approx(np.mean([row["accuracy"] for row in rows]))
    means = [np.mean([row["accuracy"] for row in rows if row["seed"] == s]) for s in range(3)]
    assert group.over_rounds.std == pytest.approx(np.std(means, ddof=1))
    # a person is drawn with the tests of all repeats
    said = [said for row in rows for said in row["predictions"]]
    assert group.interval == metrics.subject_bootstrap(said)
    assert group.confusion.sum() == len(said) == 81
    assert {person.n for person in group.people} == {9}
    assert (group.n_subjects, sentences.tally(group)) == (9, "3 folds, 3 repeats")
    warned = " ".join(sentences.comparison_warnings(comparison))
    assert "One seed" not in warned
    assert "INCOMPLETE" not in warned
    assert f"differ by {100 * group.over_rounds.std:.1f} points" in " ".join(
        sentences.describe(comparison)
    )


def test_page_exports_and_console_agree_on_repeats(tmp_path, capsys):
    rows = make_repeats()
    write_run(tmp_path / "run", rows)
    written = report.render(tmp_path / "run", tmp_path / "out")
    (line,) = json.loads((tmp_path / "out/tables/accuracy.json").read_text(encoding="utf-8"))
    assert (line["n_results"], line["n_folds"], line["n_splits"], line["n_seeds"]) == (9, 3, 3, 3)
    assert line["accuracy_std_repeats"] > 0
    print_rows([ResultRow.parse(row, "run") for row in rows])
    told = " ".join(capsys.readouterr().out.split())
    wanted = f"accuracy {line['accuracy']:.3f}, standard deviation {line['accuracy_std']:.3f}"
    assert f"{wanted} over 9 folds of 3 seeds" in told
    text = Page(written.page).text
    assert f"cnn1 is right on {line['accuracy']:.1%} of the test clips" in text
    assert "± repeats" in text
    assert "One seed" not in text


def test_models_are_paired_within_repeats(tmp_path):
    strong, weak = make_repeats("strong", 0.9), make_repeats("weak", 0.5)
    (comparison,) = comparisons_of(tmp_path, strong, weak)
    (found,) = comparison.differences
    right = [
        [[p["label"] == p["prediction"] for p in row["predictions"]] for row in rows]
        for rows in (strong, weak)
    ]
    gains = [np.mean(a) - np.mean(b) for a, b in zip(*right, strict=True)]
    wanted = metrics.corrected_resampled_t(gains, strong[0]["n_train"], 9)
    assert found.resampled_t.n_splits == 9
    assert found.resampled_t.p_value == pytest.approx(wanted.p_value)
    assert found.mean == pytest.approx(np.mean(gains))
    # the same clips are tested in each repeat, so each counts once, as most of its tests went
    votes = [{}, {}]
    for vote, rows in zip(votes, (strong, weak), strict=True):
        for said in (said for row in rows for said in row["predictions"]):
            vote.setdefault(said["clip_id"], []).append(said["label"] == said["prediction"])
    most = [[sum(vote[clip]) >= 2 for clip in votes[0]] for vote in votes]
    assert found.mcnemar == metrics.mcnemar(*most)
    assert (found.n_clips, found.n_different) == (81, 27)
    said = " ".join(sentences.headlines(comparison))
    assert "t-test over 9 folds" in said
    assert "McNemar's test over 27 clips, each right if more than half of its tests are," in said
    table = to_csv(build_tables([comparison])["differences"])
    (line,) = csv.DictReader(io.StringIO(table))
    assert (line["n_clips"], line["n_different_clips"], line["n_folds"]) == ("81", "27", "9")


def test_a_clip_half_right_is_not_right(tmp_path):
    first, second = make_repeats("a", 1.0, repeats=2), make_repeats("b", 1.0, repeats=2)
    for said in first[0]["predictions"]:
        said["prediction"] = (said["label"] + 1) % 3
    for row in second[:2] + second[3:5]:
        for said in row["predictions"]:
            said["prediction"] = (said["label"] + 1) % 3
    for row in (*first, *second):
        del row["confusion"], row["accuracy"]
    (comparison,) = comparisons_of(tmp_path, first, second)
    (found,) = comparison.pairs
    # nine clips are half right in the first, eighteen never in the second
    assert (found.mcnemar.first_only, found.mcnemar.second_only) == (9, 0)


def test_a_repeat_that_only_one_has_in_full_is_not_paired(tmp_path):
    whole, cut = make_repeats("whole", 0.9), make_repeats("cut", 0.5)[:-1]
    (comparison,) = comparisons_of(tmp_path, whole, cut)
    (found,) = comparison.differences
    assert (found.n_clips, found.resampled_t.n_splits) == (54, 6)
    said = sentences.comparison_warnings(comparison)
    assert "cut: INCOMPLETE: 8 of 9 folds in 3 repeats have a result." in said


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "kfold"},
        {"folds": 4},
        {"protocol": "loso"},
        {"labels_sha256": "99" * 32},
        {"data_fingerprint": "99" * 32},
    ],
)
def test_other_splits_stay_apart(tmp_path, changes):
    others = make_repeats(**changes)
    for row in others:
        row["run"] = "others"
        row["folds_sha256"] = "7" + row["folds_sha256"][1:]
    comparisons = comparisons_of(tmp_path, make_repeats(), others)
    assert [len(comparison.settings) for comparison in comparisons] == [1, 1]
    assert len({comparison.name for comparison in comparisons}) == 2


def test_folds_without_chance_and_of_unknown_origin_are_no_repeats(tmp_path):
    assert len(comparisons_of(tmp_path / "1", make_repeats(kind="imported"))) == 3
    assert len(comparisons_of(tmp_path / "2", make_repeats(split=None))) == 3
    # one seed draws one split: two under it were made in two ways
    twice = make_repeats(split={"kind": "strict", "seed": 0}, repeats=2)
    assert len(comparisons_of(tmp_path / "3", twice)) == 2
    # the same folds with other seeds are repeats as well
    (comparison,) = comparisons_of(
        tmp_path / "4", make_repeats(folds_sha256="cd" * 32, kind="loso")
    )
    (group,) = comparison.settings
    assert (sentences.tally(group), group.over_rounds.n) == ("3 folds, 3 seeds", 3)


def test_two_sources_of_one_network_share_no_mean(tmp_path):
    runs = [make_rows("own", accuracy, model_sha256=digit * 64) for digit, accuracy in
            (("1", 0.9), ("2", 0.3))]  # fmt: skip
    write_run(tmp_path / "run", runs[0] + runs[1])
    found = read_results(tmp_path)
    assert len(found.rows) == 6
    assert found.problems == ()
    (comparison,) = comparisons_of(tmp_path, runs[0] + runs[1])
    assert [g.name for g in comparison.settings] == [
        "own (source 11111111)",
        "own (source 22222222)",
    ]
    for group, rows in zip(comparison.settings, runs, strict=True):
        assert group.accuracy.mean == pytest.approx(np.mean([row["accuracy"] for row in rows]))
    assert "own has results of 2 sources, which are kept apart" in " ".join(
        sentences.describe(comparison)
    )
    # even if they followed other recipes, or one does not state it
    other = make_rows("own", recipe="wide", recipe_sha256="34" * 32, model_sha256="")
    write_run(tmp_path / "other" / "run", [*runs[0], *other])
    (comparison,) = comparisons_of(tmp_path / "other")
    assert {g.name for g in comparison.settings} == {
        "own (source 11111111)", "own (source not stated)",
    }  # fmt: skip
    (single,) = comparisons_of(tmp_path / "single", runs[0])
    assert single.settings[0].name == "own"
