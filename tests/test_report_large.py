"""Reports on very many rows, groups and classes: still built soon, still light, still whole."""

import json
import re
import time

import numpy as np
import pytest
from report_rows import Page, make_rows, write_run

from evfer import metrics, report
from evfer.report.draw.markup import table_html
from evfer.report.read.comparison import MOST_COMPARED, group_rows
from evfer.report.read.results import read_results
from evfer.report.say.table import to_csv, to_json
from evfer.report.say.tables import build_tables


def many_rows(number):
    base = make_rows()
    for i in range(number):
        yield base[i % 3] | {"fold": i % 10, "seed": i // 100, "model": f"m{i // 10 % 10}"}


def test_ten_thousand_rows_give_tables_soon(tmp_path):
    write_run(tmp_path / "a", many_rows(10_000))
    found = read_results(tmp_path)
    assert len(found.rows) == 10_000
    began = time.process_time()
    comparisons = group_rows(found.rows)
    tables = build_tables(comparisons)
    pages = [table_html(table) for table in tables.values()]
    files = [write(table) for table in tables.values() for write in (to_csv, to_json)]
    # 0.7 s of one core where this was written
    assert time.process_time() - began < 4
    assert sum(map(len, pages)) < 4e6
    assert files[2].count("\n") == 10_001
    assert len(comparisons[0].settings) == 10


@pytest.mark.slow  # nine seconds of drawing
def test_a_page_of_many_models_stays_light(tmp_path):
    rows = [row | {"model": f"m{i}"} for i in range(150) for row in make_rows(folds=3)]
    write_run(tmp_path / "a", rows)
    written = report.render(tmp_path / "a", tmp_path / "out")
    assert written.page.stat().st_size < 10e6
    text = Page(written.page).text
    assert "The best 12 of 150 sets of results are drawn." in text
    assert "146 more reach" in text
    assert "144 sets of results that are not among the best have no confusion matrix" in text
    pairs = json.loads((tmp_path / "out/tables/differences.json").read_text(encoding="utf-8"))
    assert len(pairs) == MOST_COMPARED * (MOST_COMPARED - 1) // 2
    source = written.page.read_text(encoding="utf-8")
    rest = re.findall(r'<script type="application/json" class="rest"[^>]*>(.*?)</script>', source)
    assert len(json.loads(rest[0])) == 450 - 200


def test_the_mean_over_many_rows_is_the_mean(tmp_path):
    rows = list(many_rows(300))
    write_run(tmp_path / "a", rows)
    (comparison,) = group_rows(read_results(tmp_path).rows)
    for group in comparison.settings:
        scores = [row["accuracy"] for row in rows if row["model"] == group.name]
        assert group.accuracy == metrics.spread(scores)
    people = {person.subject: person.n for person in comparison.settings[0].people}
    wanted = metrics.score_subjects([said._asdict() for said in comparison.settings[0].predictions])
    assert comparison.settings[0].people == wanted
    assert sum(people.values()) == len(comparison.settings[0].predictions)


def test_very_many_classes_get_no_matrix_drawn(tmp_path):
    names = [f"class number {i}" for i in range(60)]
    counts = np.eye(60, dtype=int).tolist()
    write_run(tmp_path / "a", make_rows(classes=names, confusion=counts, predictions=[]))
    written = report.render(tmp_path / "a", tmp_path / "out")
    assert not any(path.name.startswith("confusion") for path in written.figures)
    assert len(written.page.read_text(encoding="utf-8")) < 2e6
