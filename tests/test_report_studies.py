"""Studies of augmentations in a report: found in any rows, figures 4, 5 and 6 on them."""

import json

import pytest
from report_rows import Page, make_rows, write_run

from evfer import report
from evfer.report.draw.study_figures import effects_figure, sets_figure, steps_figure
from evfer.report.read.comparison import group_rows
from evfer.report.read.results import read_results
from evfer.report.read.studies import find_studies
from evfer.study import Observation, fit_ols
from evfer.transforms import COMMON

PLAIN = ((), ("hflip",), ("noise",), ("hflip", "noise"))


def write_study(folder, sets, *, recipes=True, **changes):
    rows, tables = [], []
    for number, names in enumerate(sets):
        digest = f"{number:02d}" * 32
        name = f"spiking-fer common({'+'.join(names)})"
        made = make_rows("m", 0.4 + 0.07 * len(names), recipe=name, recipe_sha256=digest, **changes)
        for row in made:
            row["run"] = "study"
        rows += made
        augment = ", ".join(f"{{ name = {json.dumps(n)}, p = 0.5 }}" for n in names)
        if recipes:
            tables.append(
                f'[bench.b{number}]\nmodel = "m"\nrecipe_sha256 = "{digest}"\n'
                f'[bench.b{number}.recipe]\nname = "{name}"\naugment = [{augment}]\n'
                "[bench.b%d.recipe.train]\nepochs = 2\n" % number
            )
    write_run(folder, rows)
    (folder / "run.toml").write_text("".join(tables), encoding="utf-8")
    return rows


def studies_of(folder):
    found = read_results(folder)
    return find_studies(group_rows(found.rows), found)


@pytest.mark.parametrize("recipes", [True, False])
def test_sets_are_known_by_their_recipes_or_else_their_names(tmp_path, recipes):
    rows = write_study(tmp_path / "study", PLAIN, recipes=recipes)
    (study,) = studies_of(tmp_path)
    assert {variant.label for variant in study.variants} == {
        "none", "hflip", "noise", "hflip+noise",
    }  # fmt: skip
    assert study.factors == ("hflip", "noise")
    assert study.subsets == 4
    means = [variant.mean for variant in study.variants]
    assert means == sorted(means, reverse=True)
    observations = [
        Observation(
            row["accuracy"],
            [n for n in ("hflip", "noise") if n in row["recipe"]],
            f"fold {row['fold']}",
        )
        for row in rows
    ]
    wanted = fit_ols(observations, ("hflip", "noise"))
    for found, other in zip(study.ols.effects, wanted.effects, strict=True):
        assert found.name == other.name
        assert (found.estimate, found.p_value) == pytest.approx((other.estimate, other.p_value))


def test_one_set_is_no_study_and_other_settings_are_another(tmp_path):
    write_study(tmp_path / "one", PLAIN[:1])
    assert studies_of(tmp_path) == ()
    write_study(tmp_path / "two", PLAIN)
    longer = (tmp_path / "two" / "run.toml").read_text(encoding="utf-8")
    first = longer.index("epochs = 2")
    changed = longer[:first] + "epochs = 3" + longer[first + 10 :]
    (tmp_path / "two" / "run.toml").write_text(changed, encoding="utf-8")
    (study,) = studies_of(tmp_path / "two")
    assert len(study.variants) == 3


def test_two_studies_of_one_network_keep_to_their_own(tmp_path):
    for name, epochs, sets in (("a", 2, PLAIN), ("b", 3, PLAIN[:2])):
        rows = write_study(tmp_path / name, sets, epochs=epochs)
        for row in rows:
            row |= {"run": name, "recipe_sha256": row["recipe_sha256"][:-1] + name}
        write_run(tmp_path / name, rows)
    first, second = studies_of(tmp_path)
    assert first.digest != second.digest
    wanted = {study.digest: len(study.variants) for study in (first, second)}
    assert sorted(wanted.values()) == [2, len(PLAIN)]
    out = report.render(tmp_path, tmp_path / "report")
    text = out.page.read_text(encoding="utf-8")
    for settings, number in wanted.items():
        assert f", settings {settings}</h3>" in text
        article = text.split(f", settings {settings}</h3>")[1].split("</article>")[0]
        found = article.split('aria-label="Sets of augmentations')[1].split("</table>")[0]
        assert found.count("<tr>") == 1 + number
    said = json.loads((tmp_path / "report" / "tables" / "augmentations.json").read_text("utf-8"))
    kept = [row["settings"] for row in said]
    assert {settings: kept.count(settings) for settings in kept} == wanted
    assert "| settings |" in (tmp_path / "report" / "tables" / "effects.md").read_text("utf-8")


def test_steps_go_from_common_sets_to_eventdrop_and_mirror(tmp_path):
    base = ("hflip", "noise", "crop")
    drop, mirror = (*base, "eventdrop"), (*base, "eventdrop", "mirror")
    write_study(tmp_path / "study", (base, ("hflip",), drop, mirror))
    (study,) = studies_of(tmp_path)
    assert [(step.letter, step.variant.names) for step in study.steps] == [
        ("A", frozenset(base)), ("B", frozenset(drop)), ("C", frozenset(mirror)),
    ]  # fmt: skip
    figure = steps_figure(study, "steps")
    assert figure is not None
    assert "<title>A, hflip+noise+crop:" in figure.svg
    write_study(tmp_path / "plain", PLAIN)
    (study,) = studies_of(tmp_path / "plain")
    assert study.steps == ()
    assert steps_figure(study, "steps") is None


def test_figures_tell_numbers_on_hovering(tmp_path):
    write_study(tmp_path / "study", PLAIN, n_subjects=12)
    (study,) = studies_of(tmp_path)
    sets, effects = sets_figure(study, "sets"), effects_figure(study, "effects")
    for variant in study.variants:
        assert f"<title>{variant.label}: {variant.mean:.1%} over 3 results" in sets.inline
    assert "<title>hflip, least squares, as published:" in effects.inline
    assert 'id="effects-' in effects.inline


def test_the_page_names_who_chose_the_best_set(tmp_path):
    write_study(tmp_path / "study", PLAIN)
    text = Page(report.render(tmp_path / "study", tmp_path / "out").page).text
    assert "4 sets of augmentations have results, 4 of them among the 32 subsets" in text
    assert "OPTIMISTIC: the test clips chose it." in text
    assert "What each adds (as figure 5)" in text
    for key in ("none", "mean", "one result", "guessing evenly"):
        assert key in text.split("(as figure 4)")[1].split("What each adds")[0]
    assert "There is no comparison A, B, C (figure 6)" in text
    effects = json.loads((tmp_path / "out/tables/effects.json").read_text(encoding="utf-8"))
    assert {row["factor"] for row in effects} == {"intercept", "hflip", "noise"}
    assert (tmp_path / "out/tables/effects.tex").is_file()


@pytest.mark.parametrize("recipes", [True, False])
def test_no_test_score_breaks_a_tie_of_validation(tmp_path, recipes):
    curve = [{"epoch": 2, "validation_accuracy": 0.5}]
    rows = write_study(tmp_path / "study", PLAIN, recipes=recipes, curve=curve)
    if recipes:  # workers write rows as they end, so the recipes tell the grid's order
        lines = "".join(json.dumps(row) + "\n" for row in rows[::-1])
        (tmp_path / "study" / "rows.jsonl").write_text(lines, encoding="utf-8")
    (study,) = studies_of(tmp_path)
    assert study.variants[0].label != "none"  # by test score it is not the best
    (chosen,) = [text for text in study.sentences if text.startswith("Chosen on inner")]
    assert chosen.startswith("Chosen on inner validation: none, with a test accuracy of")
    text = Page(report.render(tmp_path / "study", tmp_path / "out").page).text
    assert chosen in text
    # likewise in each fold, which the page shows too
    first = sum(row["accuracy"] for row in rows[:3]) / 3
    wanted = f"accuracy {100 * first:.1f}% over 3 results (none 3 times)."
    assert f"Chosen anew in each fold, so that no test clip has a say in any: {wanted}" in text


def test_each_fold_chooses_by_its_own_validation(tmp_path):
    rows = write_study(tmp_path / "study", PLAIN)
    for number, row in enumerate(rows):
        # set s has its best validation in fold s
        best = number // 3 == row["fold"]
        row["curve"] = [{"epoch": 2, "validation_accuracy": 0.9 if best else 0.4}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "study" / "rows.jsonl").write_text(lines, encoding="utf-8")
    mean = sum(rows[3 * fold + fold]["accuracy"] for fold in range(3)) / 3
    (study,) = studies_of(tmp_path)
    said = f"accuracy {100 * mean:.1f}% over 3 results (none 1 times, hflip 1 times, noise 1 times)"
    assert any(said in sentence for sentence in study.sentences)


def test_all_subsets_are_told_apart(tmp_path):
    sets = [[n for bit, n in enumerate(COMMON) if number >> bit & 1] for number in range(32)]
    write_study(tmp_path / "study", [tuple(names) for names in sets])
    (study,) = studies_of(tmp_path)
    assert (len(study.variants), study.subsets, study.factors) == (32, 32, COMMON)
    assert len(study.ols.effects) == 6


def test_the_summary_of_a_study_alone_says_that_the_test_clips_chose(tmp_path):
    write_study(tmp_path / "study", PLAIN)
    written = report.render(tmp_path, tmp_path / "out")
    text = Page(written.page).text
    assert "With 4 sets of augmentations, m reaches" in text
    assert "The test clips tell here which set is best, so its score is too good" in text
    assert "scores highest" not in text
    assert not any(path.name.startswith("accuracy-") for path in written.figures)
    # beside another network the scores are drawn and compared as ever
    write_run(tmp_path / "other", make_rows("resnet18", 0.9))
    written = report.render(tmp_path, tmp_path / "out2")
    assert "resnet18 scores highest" in Page(written.page).text
    assert any(path.name.startswith("accuracy-") for path in written.figures)
