"""Reading results: rows that are cut short, senseless, repeated or of another version."""

import dataclasses
import json
import re

import pytest
from report_rows import Page, make_rows, write_run

from evfer import metrics, report
from evfer.errors import DataError
from evfer.report.read.comparison import group_rows
from evfer.report.read.results import read_results
from evfer.report.say import sentences


def test_missing_and_senseless_fields_never_stop_a_report(tmp_path):
    rows = make_rows()
    fields = list(rows[0])
    senseless = [None, "x", -1, 1e308, float("nan"), float("inf"), [], {}, [[1]], [{"a": 1}], True]
    broken = [{}]
    for number, name in enumerate(fields):
        row = dict(rows[number % 3])
        row.pop(name)
        broken.append(row | {"run": "missing", "fold": number})
        for other in senseless:
            broken.append(row | {name: other})
    write_run(tmp_path / "a", rows + broken, "7\n[1]\nnull\nnot json\n" + "[" * 5000 + "\n")
    found = read_results(tmp_path)
    comparisons = group_rows(found.rows)
    for comparison in comparisons:
        for group in comparison.settings:
            text = " ".join(
                [
                    *sentences.headlines(comparison),
                    *sentences.describe(comparison),
                    *sentences.leak_sentences(comparison),
                    *sentences.warnings(group),
                ]
            )
            assert not re.search(r"\b(nan|inf|None)\b", text)
            assert all(float(share) <= 100 for share in re.findall(r"([\d.]+)%", text))
    # these are 7, [1], null and {}
    assert sum("not a result row" in problem for problem in found.problems) == 4
    assert sum("not JSON" in problem for problem in found.problems) == 2
    write_run(tmp_path / "b", [broken[0], *broken[-14:]])
    assert report.render(tmp_path / "b").page.is_file()


def test_nan_scores_are_left_out_and_told_about(tmp_path):
    rows = make_rows()
    rows[1]["accuracy"] = float("nan")
    rows[2]["uar"] = None
    write_run(tmp_path / "a", rows)
    written = report.render(tmp_path / "a")
    text = Page(written.page).text
    assert any('line 2: accuracy is "nan"' in problem for problem in written.problems)
    assert "1 of 3 row states no accuracy" in text
    (comparison,) = group_rows(read_results(tmp_path / "a").rows)
    kept = [rows[0]["accuracy"], rows[2]["accuracy"]]
    assert comparison.settings[0].accuracy == metrics.spread(kept)
    assert "NaN" not in text


def test_a_cut_last_line_is_told_about(tmp_path):
    rows = make_rows()
    cut = json.dumps(rows[2])[:200]
    write_run(tmp_path / "a", rows[:2], cut)
    written = report.render(tmp_path / "a")
    assert written.problems == ("run a, line 3: the last line is cut short; it is left out.",)
    text = Page(written.page).text
    assert written.problems[0] in text
    assert "INCOMPLETE: 2 of 3 folds have a result." in text


@pytest.mark.parametrize("kind", ["missing", "empty", "no rows", "cut", "blank"])
def test_nothing_to_report_is_a_clear_error(tmp_path, kind):
    folder = tmp_path / "results"
    if kind != "missing":
        folder.mkdir()
    if kind in ("cut", "blank"):
        (folder / "rows.jsonl").write_text('{"format":1' if kind == "cut" else "\n\n")
    if kind == "no rows":
        (folder / "run").mkdir()
        (folder / "run" / "rows.jsonl").touch()
    with pytest.raises(DataError, match="evfer bench") as caught:
        report.render(folder)
    assert caught.value.exit_code == 3
    assert not (folder / "report").exists()


def test_a_resumed_fold_counts_once(tmp_path):
    rows = make_rows()
    again = dict(rows[0], accuracy=1.0, confusion=None, predictions=[])
    write_run(tmp_path / "a", [*rows, again])
    found = read_results(tmp_path)
    assert len(found.rows) == 3
    assert sorted(row.accuracy for row in found.rows)[-1] == 1.0
    assert any("repeats" in problem for problem in found.problems)
    elsewhere = [dict(rows[0], folds_sha256="00" * 32), dict(rows[0], data_fingerprint="00" * 32)]
    write_run(tmp_path / "a", [*rows, *elsewhere])
    found = read_results(tmp_path)
    assert len(found.rows) == 5
    assert found.problems == ()


def test_a_row_that_contradicts_itself_is_named(tmp_path):
    rows = make_rows()
    rows[0]["accuracy"] = 0.123
    write_run(tmp_path / "a", rows)
    problems = read_results(tmp_path).problems
    assert sum("12.3%, its confusion matrix" in problem for problem in problems) == 1
    assert sum("12.3%, its predictions" in problem for problem in problems) == 1
    assert len(problems) == 2


def test_rows_are_frozen(tmp_path):
    row = group_rows(read_results(write_run(tmp_path / "a", make_rows())).rows)[0].settings[0].first
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.fold = 3
