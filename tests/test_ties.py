"""Equal scores are ties, in words and in order, whatever stands first."""

import dataclasses

import pytest
from report_rows import Page, comparisons_of, make_rows, write_run

from evfer import report, study
from evfer.metrics import tie_key
from evfer.report.say import sentences
from evfer.study.effects import Fit
from evfer.study.outcome import Cell, Outcome
from evfer.study.results import name_tied


def same_score(model, n_right=5, *, first=0, **changes):
    """Rows of one model with so many right answers in each fold, the first clip that is right."""
    rows = make_rows(model, 1.0, **changes)
    for row in rows:
        n = len(row["predictions"])
        right = {(first + i) % n for i in range(n_right)}
        for i, item in enumerate(row["predictions"]):
            item["prediction"] = item["label"] if i in right else (item["label"] + 1) % 3
        row |= {"accuracy": n_right / n, "confusion": []}
    return rows


def test_equal_scores_are_told_as_a_tie(tmp_path):
    (comparison,) = comparisons_of(tmp_path, same_score("one"), same_score("other", first=3))
    lead, *rest = sentences.headlines(comparison)
    assert lead == "one and other score alike, with 55.6% of the test clips: neither is ahead."
    assert "no difference between the two is shown" in rest[0]
    text = Page(report.render(tmp_path).page).text
    assert lead in text
    assert "scores highest" not in text


def test_a_tie_stays_one_when_folds_are_summed_in_another_order(tmp_path):
    rows = [same_score("b"), same_score("a")]
    for group, scores in zip(rows, ((0.1, 0.2, 0.3), (0.3, 0.2, 0.1)), strict=True):
        for row, accuracy in zip(group, scores, strict=True):
            row |= {"accuracy": accuracy, "predictions": []}
    assert sum((0.1, 0.2, 0.3)) != sum((0.3, 0.2, 0.1))
    (comparison,) = comparisons_of(tmp_path, *rows)
    assert [group.name for group in comparison.settings] == ["a", "b"]
    lead, rest = sentences.headlines(comparison)
    assert lead.startswith("a and b score alike, with 20.0% of the test clips: neither is ahead.")
    assert "b reaches 20.0%, as much; the two were not tested on the same clips" in rest


def test_many_ties_are_counted_and_help_is_named(tmp_path):
    names = [f"m{i}" for i in range(6)]
    runs = [same_score(name) for name in names]
    (comparison,) = comparisons_of(tmp_path / "a", *runs)
    said = sentences.headlines(comparison)
    assert said[0] == (
        "6 sets of results score alike, with 55.6% of the test clips: none is ahead."
    )
    assert said[-1] == "2 more reach 55.6%; the table of accuracies names them."
    for row in runs[1]:
        row["selected_on"] = "best_test_epoch"
    (comparison,) = comparisons_of(tmp_path / "b", *runs[:3])
    assert sentences.headlines(comparison)[0] == (
        "m0, m1 and m2 score alike, with 55.6% of the test clips: none is ahead, "
        "with help from the test data for m1."
    )


def test_a_lead_however_small_is_no_tie(tmp_path):
    (comparison,) = comparisons_of(tmp_path, same_score("a"), same_score("b", 6))
    assert sentences.headlines(comparison)[0].startswith("b scores highest, with 66.7%")


def test_means_that_tie_while_one_is_better_clip_by_clip_are_told_so(tmp_path):
    (comparison,) = comparisons_of(tmp_path, same_score("a"), same_score("b"))
    (found,) = comparison.differences
    better = dataclasses.replace(found, mean=0.1, interval=(0.05, 0.15))
    said = " ".join(sentences.headlines(dataclasses.replace(comparison, differences=(better,))))
    assert "clip by clip a is better, although the means over folds are equal" in said


@pytest.mark.parametrize(("share", "text"), [(0.0, "0.0"), (-0.0001, "0.0"), (0.001, "+0.1")])
def test_no_sign_where_there_is_no_difference(share, text):
    assert sentences.points(share) == text


def outcome_of(means, validations):
    cells = [
        Cell(f"set{i}", 3, 3, mean, 0.1, validation, 0)
        for i, (mean, validation) in enumerate(zip(means, validations, strict=True))
    ]
    best = max(cells, key=lambda cell: tie_key(cell.mean))
    chosen = max(cells, key=lambda cell: tie_key(cell.validation or 0))
    nothing = Fit("ols", 3, 3)
    return Outcome(
        "demo", "m", tuple(cells), nothing, nothing, chosen, best,
        tied_chosen=name_tied(cells, "validation", chosen),
        tied_highest=name_tied(cells, "mean", best),
    )  # fmt: skip


def test_sets_of_augmentations_that_tie_are_named_together():
    tied = outcome_of((0.3, 0.1 + 0.2, 0.1), (0.5, 0.4, 0.5))
    said = study.describe_choice(tied, "accuracy")
    assert said[:2] == [
        "Highest on the test clips: set0 and set1 alike, accuracy 30.0%. "
        "OPTIMISTIC: the test clips chose them.",
        "Chosen on inner validation: set0, with a test accuracy of 30.0%, the first of the "
        "study's sets; set2 validated as well.",
    ]
    alike = study.describe_choice(outcome_of((0.3, 0.3), (0.5, 0.4)), "accuracy")
    assert alike[0] == "All sets score alike on the test clips, accuracy 30.0%: none is the best."
    clear = study.describe_choice(outcome_of((0.3, 0.4), (0.5, 0.4)), "accuracy")
    assert clear[0].startswith("Highest on the test clips: set1, accuracy 40.0%.")
    assert clear[1].endswith("with a test accuracy of 30.0%.")


def augmented(*scores):
    runs = []
    for name, n_right in scores:
        runs.append(same_score("net", n_right, recipe=f"demo {name}", recipe_sha256=name))
    return runs


def test_a_study_on_the_page_names_all_sets_at_an_end(tmp_path):
    for number, rows in enumerate(augmented(("none", 4), ("hflip", 6), ("noise", 6))):
        write_run(tmp_path / "a" / f"run{number}", rows)
    text = Page(report.render(tmp_path / "a").page).text
    assert "net reaches 44.4% (none) to 66.7% (hflip and noise)." in text
    for number, rows in enumerate(augmented(("none", 5), ("hflip", 5))):
        write_run(tmp_path / "b" / f"run{number}", rows)
    text = Page(report.render(tmp_path / "b").page).text
    assert "net reaches 55.6% with each of them." in text
    assert "All sets score alike on the test clips" in text
