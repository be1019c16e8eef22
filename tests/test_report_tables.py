"""Tables of a report: the same numbers in every form, and nothing in them unescaped."""

import csv
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from report_rows import HOSTILE, comparisons_of, make_rows
from statsmodels.stats.multitest import multipletests

from evfer.report.draw.markup import MOST_ROWS, table_html
from evfer.report.say.table import Column, Table, show, to_csv, to_json, to_latex, to_markdown
from evfer.report.say.tables import build_tables, correct_for_number

COLUMNS = (
    Column("model", "model"),
    Column("accuracy", "accuracy", "share"),
    Column("interval", "95% interval", "interval"),
    Column("hidden"),
)


def table(*rows):
    return Table("some", "Some", COLUMNS, tuple(rows), main=True)


def test_files_hold_every_column_and_people_see_the_titled_ones():
    found = table(("a", 0.123456, (0.1, 0.25), 7), ("b", None, None, None))
    assert list(csv.DictReader(io.StringIO(to_csv(found)))) == [
        {"model": "a", "accuracy": "0.123456", "interval_low": "0.1", "interval_high": "0.25"}
        | {"hidden": "7"},
        {"model": "b", "accuracy": "", "interval_low": "", "interval_high": "", "hidden": ""},
    ]
    assert json.loads(to_json(found)) == [
        {"model": "a", "accuracy": 0.123456, "interval_low": 0.1, "interval_high": 0.25}
        | {"hidden": 7},
        dict.fromkeys(("accuracy", "interval_low", "interval_high", "hidden")) | {"model": "b"},
    ]
    assert to_markdown(found).splitlines()[2] == "| a | 12.3% | 10.0 to 25.0% |"
    assert r"a & 12.3\% & 10.0 to 25.0\% \\" in to_latex(found)
    assert r"b & -- & -- \\" in to_latex(found)
    for line in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lrr}"):
        assert line in to_latex(found)


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r"])
def test_spreadsheets_run_no_name(mark):
    found = table((f"{mark}cmd", -0.5, (-0.2, 0.25), f"a{mark}b"))
    (row,) = csv.DictReader(io.StringIO(to_csv(found), newline=""))
    kept = mark.replace("\r", "\n")
    assert row["model"] == f"'{kept}cmd"
    assert row["hidden"] == f"a{kept}b"
    assert (row["accuracy"], row["interval_low"]) == ("-0.5", "-0.2")
    assert json.loads(to_json(found))[0]["model"] == f"{mark}cmd"


def test_what_json_does_not_know_is_null_or_a_word():
    found = table(("a", float("nan"), None, float("inf")))
    assert json.loads(to_json(found))[0] == {
        "model": "a", "accuracy": None, "interval_low": None, "interval_high": None,
        "hidden": "inf",
    }  # fmt: skip
    assert show(float("nan"), "share") == show(None, "share")


@given(st.text(max_size=60))
@example("\\{}$&#%_^~<>|\"'[]`*")
@example("-\u200b-")
def test_names_break_no_form(name):
    found = table((name, 0.5, None, name))
    assert json.loads(to_json(found))[0]["model"] == name
    markdown = to_markdown(found).rstrip("\n").split("\n")
    assert len(markdown) == 3
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", markdown[2])) == 4
    row = to_latex(found).split("\n")[6]
    # what is left after known commands holds none of LaTeX's own letters
    known = r"\\text[a-z]+\{\}|\\ldots\{\}|\\[#$%&_{}]|\$\\pm\$|\$-\$|\{[][]?\}"
    plain = re.sub(known, "", row)
    # two hyphens would join to a dash, which no name means
    assert not name or "\N{EN DASH}" in name or "--" not in row.split(" & ")[0]
    assert plain.count("&") == 2
    assert not set(plain.removesuffix(r" \\")) & set("\\{}$#%_^~")
    written = str(table_html(found))
    cell = re.search(r'<th scope="row"><span>(.*?)</span></th>', written, re.DOTALL)[1]
    assert not set(cell) & set("<>\"'")


NAMES = (
    "a_b & 50% {x} ~^\\ #$",
    HOSTILE.replace("\ud800", ""),
    "\"quoted\" 'single' <b> | [x] --",
    "%comment",
    "\\input{/etc/passwd}",
    "^^M ^^41",
    "[1pt] star*",
    "*",
    "a`b ?` !` ''",
    "one - two -- three --- four",
    "Ünïcödé ß \N{MINUS SIGN} … ±",
    "\N{REPLACEMENT CHARACTER} \u200b\u202ex",
)


def test_latex_typesets_the_tables_as_they_are_written(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex: install TeX Live (Debian: texlive-latex-recommended)")
    found = table(*((name, 0.5, (0.4, 0.6), name) for name in NAMES))
    source = to_latex(found)
    assert "% engine: pdfLaTeX" in source
    (tmp_path / "table.tex").write_text(source, encoding="utf-8")
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage{array,booktabs}\\usepackage[T1]{fontenc}"
        "\\begin{document}\\input{table}\\end{document}",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-no-shell-escape", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said
    assert not re.search(r"^!|Missing character", said, re.MULTILINE)
    assert (tmp_path / "page.pdf").read_bytes()[:4] == b"%PDF"


def test_latex_tables_fit_their_paper(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex: install TeX Live (Debian: texlive-latex-recommended)")
    leak = {"subject_overlap": 0.93, "never_tested": 0.1, "multiply_tested": 0.6}
    care = {"leak": leak | {"test_chose": ["epoch"]}, "selected_on": "best_test_epoch"}
    energy = {"full_mj": 123456.0, "legacy": {"snn_mj": 8.4}, "paper": {"snn_mj": 0.09}}
    names = ("spiking-fer", "resnet18 eda(hflip + noise) long", "cnn1", "resnet18-ann at 50 epochs")
    runs = [make_rows(name, 0.3 + 0.1 * i, energy=energy) for i, name in enumerate(names)]
    comparisons = comparisons_of(tmp_path, *runs, make_rows("bad", collapsed=True, **care))
    tables = [table for table in build_tables(comparisons).values() if table.main and table.rows]
    assert {"accuracy", "differences", "energy", "leaks"} <= {table.name for table in tables}
    boxes = []
    for some in tables:
        (tmp_path / f"{some.name}.tex").write_text(to_latex(some), encoding="utf-8")
        boxes.append(
            f"\\setbox0\\hbox{{\\input{{{some.name}.tex}}\\unskip}}"
            f"\\typeout{{WIDTH {some.name} \\the\\wd0 \\space of \\the\\textwidth}}"
        )
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage{array,booktabs}\\usepackage[T1]{fontenc}"
        "\\begin{document}" + "\n".join(boxes) + "x\\end{document}",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-no-shell-escape", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    found = re.findall(r"WIDTH (\S+) ([\d.]+)pt of ([\d.]+)pt", done.stdout)
    assert [name for name, *_ in found] == [table.name for table in tables]
    assert all(float(width) <= float(room) for _, width, room in found), found
    assert "Overfull" not in done.stdout
    # what all rows share is no column, and files for machines have every one
    accuracy = build_tables(comparisons)["accuracy"]
    assert to_markdown(accuracy).startswith("| model | accuracy | ± results | 95% interval |")
    assert {"set", "protocol", "uar", "ece"} <= set(json.loads(to_json(accuracy))[0])


def test_latex_that_needs_another_engine_says_so():
    assert "% engine: LuaLaTeX" in to_latex(table(("日本", 0.5, None, 1)))


def test_many_rows_stand_in_the_page_as_data():
    rows = [(f"{HOSTILE}{i}", i / 1000, None, i) for i in range(MOST_ROWS + 50)]
    found = table(*rows)
    written = str(table_html(found))
    assert written.count("<tr>") == MOST_ROWS + 1
    data = re.search(r'class="rest"[^>]*>(.*)</script>', written, re.DOTALL)[1]
    assert "<" not in data
    rest = json.loads(data)
    assert len(rest) == 50
    assert rest[0] == [f"{HOSTILE}{MOST_ROWS}", ["20.0%", 0.2], "–"]  # noqa: RUF001
    assert "50 more rows are in tables/some .csv and .json" in written
    assert "only in" not in written
    many = table(*[("x" * 100, 0.5, None, i) for i in range(20_000)])
    written = str(table_html(many))
    assert len(written) < 2e6
    left = re.search(r"([\d,]+) of 20,000 rows are only in", written)[1]
    data = json.loads(re.search(r'class="rest"[^>]*>(.*)</script>', written, re.DOTALL)[1])
    assert int(left.replace(",", "")) + len(data) + MOST_ROWS == 20_000
    assert 'data-total="20000"' in written


def test_colours_stand_before_models_that_have_one():
    found = table(("a", 0.5, None, 1), ("b", 0.5, None, 1))
    written = str(table_html(found, colours={"a": 3}, hide=("interval",)))
    assert written.count("swatch series-3") == 1
    assert "95% interval" not in written


@pytest.mark.parametrize("seed", range(5))
def test_correction_for_the_number_of_tests_is_holms(seed):
    p_values = np.random.default_rng(seed).random(7) ** 3
    found = correct_for_number(p_values.tolist())
    assert found == pytest.approx(multipletests(p_values, method="holm")[1])
    assert correct_for_number([]) == []


def test_every_pair_is_compared_and_the_number_of_pairs_counted(tmp_path):
    names = ("one", "second", "the third", "number four")
    runs = [make_rows(name, 0.3 + 0.15 * i) for i, name in enumerate(names)]
    (comparison,) = comparisons_of(tmp_path, *runs)
    rows = build_tables([comparison])["differences"].rows
    assert len(rows) == 6
    order = [group.name for group in comparison.settings]
    assert all(order.index(row[2]) < order.index(row[3]) for row in rows)
    keys = [column.key for column in build_tables([comparison])["differences"].columns]
    raw, corrected = (keys.index(f"mcnemar_p{tail}") for tail in ("", "_holm"))
    assert [row[corrected] for row in rows] == correct_for_number([row[raw] for row in rows])
    # the words still speak of the best against each other one
    assert {d.first for d in comparison.differences} == {order[0]}
    assert len(comparison.differences) == 3


def test_scores_to_be_read_with_care_say_why(tmp_path):
    leak = {"subject_overlap": 0.93, "never_tested": 0.1, "multiply_tested": 0.6}
    changes = {"leak": leak | {"test_chose": ["epoch"]}, "selected_on": "best_test_epoch"}
    (comparison,) = comparisons_of(
        tmp_path, make_rows("bad", collapsed=True, **changes), make_rows()
    )
    found = build_tables([comparison])["accuracy"]
    place = [column.key for column in found.columns].index("warning")
    said = {row[0]: row[place] for row in found.rows}
    assert said["spiking-fer"] == "none"
    for word in ("optimistic", "leak: 93% of test clips", "collapsed"):
        assert word in said["bad"]
