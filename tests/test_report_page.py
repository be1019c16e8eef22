"""The page and what lies beside it: whole, escaped, and the same each time."""

import base64
import csv
import hashlib
import html
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_rows import CLASSES, HOSTILE, Page, comparisons_of, make_rows, write_run, write_set

from evfer import metrics, report
from evfer.datasets import cards
from evfer.errors import SourceError
from evfer.report.draw.diagnostics import calibration_figure, energy_figure
from evfer.report.draw.drawing import colour_of
from evfer.report.draw.examples import choose_examples, collect
from evfer.report.read.comparison import group_rows
from evfer.report.read.results import read_results


def test_the_page_needs_nothing_else(tmp_path):
    rows = make_rows()
    data = write_set(tmp_path / "data", {p["clip_id"] for r in rows for p in r["predictions"]})
    write_run(tmp_path / "results" / "a", rows, data=data)
    written = report.render(tmp_path / "results")
    assert written.page == tmp_path / "results" / "report" / "report.html"
    source = written.page.read_text(encoding="utf-8")
    page = Page(written.page)
    assert page.addresses
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    code = re.search(r"<script>(.*)</script>", source, re.DOTALL)[1]
    assert not re.search(r"https?:|//|@import|<link|<iframe|<object", source.replace(code, ""))
    assert not re.search(r"https?:|fetch|XMLHttp|eval|Function\(|innerHTML|import\(", code)
    # the browser is told to run this script and nothing else, and to fetch nothing
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', source)[1]
    policy = html.unescape(policy)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}';" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert all(a[1:] in page.ids for a in page.addresses if a.startswith("#"))
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("script") == 1
    assert len(source) < 10e6
    assert "prefers-color-scheme: dark" in source
    assert "@media print" in source
    assert {"#010203", "#010300"}.isdisjoint(re.findall("#[0-9a-f]{6}", source))
    for reference in re.findall(r"url\(#([^)]+)\)", source):
        assert reference in page.ids
    parts = (
        *("Summary", "Accuracy", "Confusion", "Learning curves", "Augmentations", "Energy"),
        *("Comparisons", "Example clips", "Where the network looked", "Leaks", "Provenance"),
    )
    for part in parts:
        assert part in page.text


def test_same_rows_same_bytes(tmp_path):
    write_run(tmp_path / "a", make_rows())
    first = report.render(tmp_path, tmp_path / "one")
    second = report.render(tmp_path, tmp_path / "two")
    paths = zip(
        (first.page, *first.tables, *first.figures),
        (second.page, *second.tables, *second.figures),
        strict=True,
    )
    for one, two in paths:
        assert one.name == two.name
        assert one.read_bytes() == two.read_bytes(), one.name


def test_tables_and_page_state_the_rows_numbers(tmp_path):
    rows = make_rows() + make_rows("resnet18", 0.5)
    write_run(tmp_path / "a", rows)
    written = report.render(tmp_path / "a", tmp_path / "out")
    tables = {
        path.name: list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        for path in written.tables
        if path.suffix == ".csv"
    }
    text = Page(written.page).text
    markdown = (tmp_path / "out" / "tables" / "accuracy.md").read_text(encoding="utf-8")
    assert len(tables["folds.csv"]) == 6
    for summary in tables["accuracy.csv"]:
        of_model = [row for row in rows if row["model"] == summary["model"]]
        scores = [row["accuracy"] for row in of_model]
        said = [p for row in of_model for p in row["predictions"]]
        assert float(summary["accuracy"]) == pytest.approx(np.mean(scores), abs=1e-12)
        assert float(summary["accuracy_std"]) == pytest.approx(np.std(scores, ddof=1))
        bounds = metrics.subject_bootstrap(said)
        assert (float(summary["interval_low"]), float(summary["interval_high"])) == bounds
        assert int(summary["n_subjects"]) == 9
        assert float(summary["chance"]) == pytest.approx(1 / 3)
        assert float(summary["majority"]) == pytest.approx(0.4)
        stated = [
            float(f["accuracy"]) for f in tables["folds.csv"] if f["model"] == summary["model"]
        ]
        assert stated == scores
        for number in (np.mean(scores), np.std(scores, ddof=1), 1 / 3):
            assert f"{number:.1%}" in text
            assert f"{number:.1%}" in markdown
        interval = f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}%"
        assert interval in text
        assert interval in markdown
        cells = {
            (cell["true"], cell["predicted"]): int(cell["count"])
            for cell in tables["confusion.csv"]
            if cell["model"] == summary["model"]
        }
        pooled = np.sum([row["confusion"] for row in of_model], axis=0)
        assert cells == {
            (a, b): pooled[i, j] for i, a in enumerate(CLASSES) for j, b in enumerate(CLASSES)
        }
    lines = markdown.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 4
    latex = (tmp_path / "out/tables/accuracy.tex").read_text(encoding="utf-8")
    assert latex.count("\\\\\n") == 3
    for path in written.tables:
        if path.suffix == ".json":
            records = json.loads(path.read_text(encoding="utf-8"))
            assert len(records) == len(tables.get(f"{path.stem}.csv", []))


def test_figures_lie_beside_as_png_and_svg(tmp_path):
    write_run(tmp_path / "a", make_rows() + make_rows("resnet18"))
    written = report.render(tmp_path / "a", tmp_path / "out")
    assert len(written.figures) == 3 * (1 + 2 + 2 + 2)
    for path in written.figures:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.width > 600
                # the page's placeholder colours must not reach a file
                assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        elif path.suffix == ".pdf":
            content = path.read_bytes()
            assert content.startswith(b"%PDF")
            # publishers refuse letters that are drawings
            assert b"/Type3" not in content
        else:
            text = path.read_text(encoding="utf-8")
            assert text.startswith("<?xml")
            assert "var(--" not in text


@pytest.mark.parametrize("name", ["spiking-fer, common(hflip+noise)", "WWWWWWWWWWWWWWWWWWWWWWWWWW"])
def test_no_legend_leaves_its_figure(tmp_path, name):
    energy = {"full_mj": 0.5, "legacy": {"snn_mj": 8.4}}
    runs = [make_rows(f"{name} {i}", 0.4 + 0.1 * i, energy=energy) for i in range(6)]
    (comparison,) = comparisons_of(tmp_path, *runs)
    colours = colour_of([comparison])
    drawn = [calibration_figure(comparison, "a", colours), energy_figure(comparison, "b", colours)]
    for figure in drawn:
        pixels = np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB"))
        for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]):
            assert edge.min() == 255


def test_names_from_the_rows_are_only_text(tmp_path):
    changes = {
        name: HOSTILE
        for name in ("run", "set", "recipe", "protocol", "selected_on", "device", "recipe_sha256")
    }
    rows = make_rows(HOSTILE, **changes, classes=[HOSTILE, HOSTILE + "2", "喜び"])
    for row in rows:
        row["versions"] = {HOSTILE: HOSTILE}
        row["machine"] = {HOSTILE: HOSTILE}
        row["energy"] = {"full_mj": 0.5, "twin": HOSTILE, "clips": HOSTILE}
        row["energy_note"] = HOSTILE
        row["anytime"] = [0.5, 0.6]
        row["later"] = {HOSTILE: [HOSTILE]}
        row["leak"]["test_chose"] = [HOSTILE]
        for said in row["predictions"]:
            said["clip_id"] = said["subject"] = "../../" + HOSTILE
    clean = HOSTILE.replace("\x00", "").replace("\ud800", "")
    write_run(tmp_path / "a<b>", rows, command=clean, data=clean)
    written = report.render(tmp_path, tmp_path / "out")
    page = Page(written.page)
    assert page.tags.count("script") == 1
    assert "<script>alert(1)</script>" in page.text
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    for path in (*written.tables, *written.figures):
        assert path.parent.parent == tmp_path / "out"
        assert re.fullmatch(r"[a-z0-9-]+\.(csv|json|md|tex|svg|pdf|png)", path.name)
    summary = (tmp_path / "out/tables/accuracy.csv").read_text(encoding="utf-8")
    assert next(csv.DictReader(summary.splitlines()))["model"].startswith("<script>")
    markdown = (tmp_path / "out/tables/accuracy.md").read_text(encoding="utf-8")
    assert "<script>" not in markdown
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines()}) == 1


def test_example_clips_are_films_of_their_recordings(tmp_path):
    rows = make_rows(n_subjects=3)
    said = [p for row in rows for p in row["predictions"]]
    data = write_set(tmp_path / "data", {p["clip_id"] for p in said})
    write_run(tmp_path / "a", rows)
    frames = np.full((2, 40, 60), 200, np.uint8)
    asked = []

    def look_up(recording):
        asked.append(recording.relative_to(data).as_posix())
        return frames, np.array([0.0, 0.2])

    written = report.render(tmp_path / "a", data=data, frames=look_up)
    surest = [
        max(
            (p for p in said if (p["label"] == p["prediction"]) == right),
            key=lambda p: p["confidence"],
        )
        for right in (True, False)
    ]
    assert asked == [f"FerDVS/DemoDVS/{p['clip_id']}.h5" for p in surest]
    page = Page(written.page)
    films = [a for a in page.addresses if a.startswith("data:image/")]
    assert [f.split(";")[0] for f in films] == ["data:image/jpeg", "data:image/png"] * 2
    for p in surest:
        assert (
            f"spiking-fer says {CLASSES[p['prediction']]} {p['confidence']:.1%} sure" in page.text
        )
        assert f"true class {CLASSES[p['label']]}" in page.text


def test_no_clip_is_shown_twice(tmp_path):
    rows = make_rows("one", 0.6)
    write_run(tmp_path / "a", rows)
    # the second network says the same, so its surest clips are those of the first
    write_run(tmp_path / "b", [row | {"model": "two", "run": "two"} for row in rows])
    (comparison,) = group_rows(read_results(tmp_path).rows)
    chosen = choose_examples(comparison)
    assert len(set(chosen)) == 4
    said = {p["clip_id"]: p for row in rows for p in row["predictions"]}
    right = [said[name]["label"] == said[name]["prediction"] for name in chosen]
    assert right == [True, True, False, False]
    sure = [said[name]["confidence"] for name in chosen]
    for wanted, pair in ((True, sure[:2]), (False, sure[2:])):
        of_kind = [p for p in said.values() if (p["label"] == p["prediction"]) == wanted]
        assert pair == sorted((p["confidence"] for p in of_kind), reverse=True)[:2]


def test_without_recordings_the_report_says_why(tmp_path):
    write_run(tmp_path / "a", make_rows())
    text = Page(report.render(tmp_path / "a").page).text
    assert "the runs do not say where the recordings lie" in text
    found = read_results(tmp_path)
    comparisons = group_rows(found.rows)
    nowhere = collect(comparisons, found.runs, tmp_path / "nowhere", None)
    assert nowhere.shown == ()
    assert 'no converted set "DemoDVS"' in nowhere.note
    data = write_set(tmp_path / "data", ["S777/001"])
    assert "is not in" in collect(comparisons, found.runs, data, None).note
    clip_ids = {p["clip_id"] for row in found.rows for p in make_rows()[row.fold]["predictions"]}

    def refuse(recording):
        raise SourceError(f"{recording.name}: its source is gone")

    there = collect(comparisons, found.runs, write_set(tmp_path / "data", clip_ids), refuse)
    assert [example.frames for example in there.shown] == ["", ""]
    assert "its source is gone" in there.note
    silent = collect(comparisons_of(tmp_path / "b", make_rows(predictions=[])), {}, data, None)
    assert silent.note == "The rows hold no predictions, so there is no clip to show."


def test_provenance_repeats_what_the_run_says(tmp_path):
    write_run(tmp_path / "a", make_rows(), command="evfer bench --model 'spiking-fer' --seed 7")
    text = Page(report.render(tmp_path / "a").page).text
    for part in ("ab" * 32, "cd" * 32, "ef" * 32, "torch 2.13.0", "system Linux", "11,439,104"):
        assert part in text
    assert "evfer bench --model 'spiking-fer' --seed 7" in text
    tables = "".join(
        f'[bench.{name}]\ncommand = "evfer bench {name}"\nmodel = "{model}"\ndata = "somewhere"\n'
        for name, model in (("one", "spiking-fer"), ("two", "resnet18"))
    )
    (tmp_path / "a" / "run.toml").write_text(tables)
    found = read_results(tmp_path / "a")
    run = found.runs["a"]
    assert run.commands(found.rows[0]) == ("evfer bench one",)
    assert run.data == Path("somewhere")
    (tmp_path / "a" / "run.toml").write_text("not [ toml")
    problems = read_results(tmp_path / "a").problems
    assert any("run.toml cannot be read" in problem for problem in problems)


def test_published_counts_stand_beside_ours(tmp_path):
    card = cards.find_by_set("CKPlusDVS")
    write_run(tmp_path / "a", make_rows(set="CKPlusDVS"))
    text = Page(report.render(tmp_path / "a").page).text
    theirs = f"the published folds hold {card.published.clips} clips of {card.published.subjects}"
    assert f"27 different test clips of 9 people here; {theirs}" in text
    write_run(tmp_path / "b", make_rows())
    assert "the published folds hold" not in Page(report.render(tmp_path / "b").page).text
