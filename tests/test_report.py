"""Reports: numbers as the rows state them, honest words, one page that needs nothing else."""

import csv
import dataclasses
import html.parser
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evfer import index, metrics, report, store
from evfer.errors import DataError, SourceError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.report import words
from evfer.report.examples import collect
from evfer.report.results import read_results
from evfer.report.summary import bring_together
from evfer.report.tables import all_tables

CLASSES = ["happy", "fear", "surprise"]
HOSTILE = "<script>alert(1)</script>\"'&$\\frac{|=\x00\ud800"


def make_rows(model="spiking-fer", accuracy=0.8, *, folds=3, n_subjects=9, seed=0, **changes):
    """Rows of one run, with right answers drawn by chance."""
    rng = np.random.default_rng([len(model), seed])
    rows = []
    for fold in range(folds):
        said = []
        for subject in range(fold, n_subjects, folds):
            for label in range(3):
                right = rng.random() < accuracy
                said.append(
                    {
                        "clip_id": f"S{subject:03d}/{label + 1:03d}",
                        "subject": f"S{subject:03d}",
                        "label": label,
                        "prediction": label if right else (label + 1) % 3,
                        "confidence": round(rng.uniform(0.4, 1), 3),
                    }
                )
        labels, found = ([p[k] for p in said] for k in ("label", "prediction"))
        scores = metrics.score(labels, found)
        rows.append(
            {
                "format": 1,
                "run": f"run-{model}",
                "dataset": "demo",
                "set": "DemoDVS",
                "model": model,
                "recipe": "demo",
                "recipe_sha256": "ab" * 32,
                "protocol": "strict",
                "folds_sha256": "cd" * 32,
                "data_fingerprint": "ef" * 32,
                "fold": fold,
                "n_folds": folds,
                "seed": seed,
                "selected_on": "inner_validation",
                "selected_epoch": 2,
                "epochs": 2,
                "n_train": 18,
                "n_test": len(said),
                "classes": CLASSES,
                "accuracy": scores.accuracy,
                "uar": scores.uar,
                "macro_f1": scores.macro_f1,
                "chance": 1 / 3,
                "majority": 0.4,
                "collapsed": scores.collapsed,
                "confusion": metrics.confusion(labels, found, 3).tolist(),
                "predictions": said,
                "curve": [
                    {"epoch": e, "train_loss": 2.0 - e / 2, "train_accuracy": e / 3}
                    | {"validation_accuracy": None, "lr": 0.01, "seconds": 1.0}
                    for e in (1, 2)
                ],
                "leak": {
                    "subject_overlap": 0.0,
                    "never_tested": 0.0,
                    "multiply_tested": 0.0,
                    "test_chose": [],
                },
                "parameters": 11_439_104,
                "train_seconds": 12.0,
                "test_seconds": 1.0,
                "device": "cpu",
                "precision": "no",
                "versions": {"evfer": "0.1.0", "torch": "2.13.0"},
                "machine": {"system": "Linux", "cores": 2},
                **changes,
            }
        )
    return rows


def write_run(folder, rows, text="", command="evfer bench --model spiking-fer --seed 0", data=""):
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines + text, encoding="utf-8")
    settings = f"command = {json.dumps(command)}\ndata = {json.dumps(str(data))}\n"
    (folder / "run.toml").write_text(settings + "[train]\nepochs = 2\n", encoding="utf-8")
    return folder


def write_set(data, clip_ids):
    folder = data / "FerDVS" / "DemoDVS"
    entries = []
    for clip_id in clip_ids:
        subject, sequence = clip_id.split("/")
        events = np.array(
            [(i % 60, (7 * i) % 40, i % 2, 500 * i) for i in range(1000)], EVENT_DTYPE
        )
        path = folder / f"{clip_id}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write(path, events, SensorSize(60, 40), {}, duration_us=500_000)
        label = int(sequence)
        entries.append(
            index.IndexEntry(
                clip_id, f"{clip_id}.h5", subject, label, label, CLASSES[label - 1],
                1000, 500_000, 1, "", "", "", 25.0, 12,
            )
        )  # fmt: skip
    index.write_index(folder, entries)
    return data


def arenas_of(tmp_path, *runs):
    for number, rows in enumerate(runs):
        write_run(tmp_path / f"run{number}", rows)
    return bring_together(read_results(tmp_path).rows)


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: its tags, addresses and text."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.tags, self.addresses, self.ids, self.words = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), "no script hides in an attribute"
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_data(self, data):
        self.words.append(data)


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
    assert not re.search(r"https?:|//|@import|<link|<iframe|<object", source.replace("<!--", ""))
    assert all(a[1:] in page.ids for a in page.addresses if a.startswith("#"))
    assert len(page.ids) == len(set(page.ids))
    assert "script" not in page.tags
    assert len(source) < 10e6
    assert "prefers-color-scheme: dark" in source
    assert "@media print" in source
    assert {"#010203", "#010300"}.isdisjoint(re.findall("#[0-9a-f]{6}", source))
    for reference in re.findall(r"url\(#([^)]+)\)", source):
        assert reference in page.ids
    for part in ("Summary", "Accuracy", "Confusion", "Learning curves", "Example clips", "Leaks"):
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


def test_figures_lie_beside_as_png_and_svg(tmp_path):
    write_run(tmp_path / "a", make_rows() + make_rows("resnet18"))
    written = report.render(tmp_path / "a", tmp_path / "out")
    assert len(written.figures) == 2 * (1 + 2 + 2)
    for path in written.figures:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.width > 600
                # the page's placeholder colours must not reach a file
                assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        else:
            text = path.read_text(encoding="utf-8")
            assert text.startswith("<?xml")
            assert "var(--" not in text


def test_names_from_the_rows_are_only_text(tmp_path):
    changes = {
        name: HOSTILE
        for name in ("run", "set", "recipe", "protocol", "selected_on", "device", "recipe_sha256")
    }
    rows = make_rows(HOSTILE, **changes, classes=[HOSTILE, HOSTILE + "2", "喜び"])
    for row in rows:
        row["versions"] = {HOSTILE: HOSTILE}
        row["machine"] = {HOSTILE: HOSTILE}
        row["leak"]["test_chose"] = [HOSTILE]
        for said in row["predictions"]:
            said["clip_id"] = said["subject"] = "../../" + HOSTILE
    clean = HOSTILE.replace("\x00", "").replace("\ud800", "")
    write_run(tmp_path / "a<b>", rows, command=clean, data=clean)
    written = report.render(tmp_path, tmp_path / "out")
    page = Page(written.page)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    for path in (*written.tables, *written.figures):
        assert path.parent.parent == tmp_path / "out"
        assert re.fullmatch(r"[a-z0-9-]+\.(csv|md|svg|png)", path.name)
    summary = (tmp_path / "out/tables/accuracy.csv").read_text(encoding="utf-8")
    assert next(csv.DictReader(summary.splitlines()))["model"].startswith("<script>")
    markdown = (tmp_path / "out/tables/accuracy.md").read_text(encoding="utf-8")
    assert "<script>" not in markdown
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines()}) == 1


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
    arenas = bring_together(found.rows)
    for arena in arenas:
        for group in arena.groups:
            text = " ".join(
                [
                    *words.headlines(arena),
                    *words.describe(arena),
                    *words.leak_sentences(arena),
                    *words.warnings(group),
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
    (arena,) = bring_together(read_results(tmp_path / "a").rows)
    kept = [rows[0]["accuracy"], rows[2]["accuracy"]]
    assert arena.groups[0].accuracy == metrics.spread(kept)
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


def test_overlapping_scores_are_not_called_a_win(tmp_path):
    (arena,) = arenas_of(tmp_path, make_rows("one", 0.7), make_rows("other", 0.66))
    (difference,) = arena.differences
    assert difference.interval[0] < 0 < difference.interval[1]
    text = " ".join(words.headlines(arena))
    assert "no difference between the two is shown" in text
    assert "is better" not in text


def test_a_clear_difference_is_called_one_and_is_paired(tmp_path):
    strong, weak = make_rows("strong", 1.0), make_rows("weak", 0.2)
    (arena,) = arenas_of(tmp_path, weak, strong)
    assert [group.name for group in arena.groups] == ["strong", "weak"]
    (difference,) = arena.differences
    right = [
        np.mean([p["label"] == p["prediction"] for r in rows for p in r["predictions"]])
        for rows in (strong, weak)
    ]
    assert difference.mean == pytest.approx(right[0] - right[1])
    assert difference.n_clips == 27
    assert difference.interval[0] > 0
    assert "strong is better here" in " ".join(words.headlines(arena))
    # a constant gain on every clip leaves nothing to chance
    lift = [dict(row, model="m", run="m") for row in make_rows("weak", 0.0)]
    (sure,) = arenas_of(tmp_path / "2", make_rows("strong", 1.0), lift)
    assert sure.differences[0].interval == (1.0, 1.0)


def test_the_interval_of_a_difference_is_as_wide_as_people_differ(tmp_path):
    rows = [make_rows(name, 0.6, n_subjects=60, seed=0) for name in ("one", "second")]
    (arena,) = arenas_of(tmp_path, *rows)
    (difference,) = arena.differences
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
    (arena,) = arenas_of(tmp_path, strong, weak)
    (found,) = arena.differences
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
    said = " ".join(words.headlines(arena))
    assert "Corrected resampled t-test over 3 folds: p = 0." in said
    assert "McNemar's test over 27 clips" in said
    # a clip that is tested in two folds is no independent pair, one fold has no spread
    twice = [dict(row, fold=0) | {"predictions": strong[0]["predictions"]} for row in strong[:1]]
    twice += [dict(twice[0], fold=1)]
    others = [dict(row, model="weak", run="weak") for row in twice]
    others[0]["predictions"] = weak[0]["predictions"]
    (arena,) = arenas_of(tmp_path / "2", twice, others)
    assert arena.differences[0].mcnemar is None
    assert arena.differences[0].resampled_t is not None
    (arena,) = arenas_of(tmp_path / "3", strong[:1], weak[:1])
    assert arena.differences[0].resampled_t is None
    assert arena.differences[0].mcnemar is not None


def test_calibration_and_single_steps_are_told(tmp_path):
    rows = make_rows("snn", 0.7)
    for i, row in enumerate(rows):
        row |= {"ece": 0.1 + 0.1 * i, "anytime": [0.25, 0.5, row["accuracy"]]}
    write_run(tmp_path / "snn", rows)
    (arena,) = bring_together(read_results(tmp_path).rows)
    (group,) = arena.groups
    assert group.ece == pytest.approx(0.2)
    assert group.anytime == pytest.approx((0.25, 0.5, group.accuracy.mean))
    text = " ".join(words.describe(arena))
    assert "differ by 20.0 points" in text
    assert "accuracy after step 1 to 3: 25%, 50%, " in text
    tables = dict(all_tables([arena]))
    steps = list(csv.DictReader(io.StringIO(tables["anytime.csv"])))
    assert [row["accuracy"] for row in steps[:2]] == ["0.25", "0.5"]
    people = list(csv.DictReader(io.StringIO(tables["subjects.csv"])))
    assert sum(int(row["n_tests"]) for row in people) == 27
    right = sum(int(row["n_tests"]) * float(row["accuracy"]) for row in people)
    assert right / 27 == pytest.approx(group.pooled)
    bins = list(csv.DictReader(io.StringIO(tables["calibration.csv"])))
    assert sum(int(row["n"]) for row in bins) == 27
    # older rows say neither, and a step that is no share spoils its row
    rows[0]["anytime"] = [0.25, "half", 0.6]
    del rows[1]["ece"], rows[1]["anytime"]
    write_run(tmp_path / "snn", rows)
    (arena,) = bring_together(read_results(tmp_path).rows)
    assert arena.groups[0].anytime == ()
    assert arena.groups[0].ece == pytest.approx(0.2)


def test_what_was_not_tested_alike_is_not_compared(tmp_path):
    fewer = make_rows("fewer", 0.2)[:2]
    (arena,) = arenas_of(tmp_path, make_rows(), fewer)
    assert arena.differences == ()
    assert "is not judged" in " ".join(words.headlines(arena))
    other_folds = make_rows("b", folds_sha256="00" * 32)
    other_data = make_rows("c", data_fingerprint="00" * 32)
    arenas = arenas_of(tmp_path / "2", make_rows(), other_folds, other_data)
    assert [len(arena.groups) for arena in arenas] == [1, 1, 1]
    assert len({arena.name for arena in arenas}) == 3


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
    (arena,) = arenas_of(tmp_path, *runs)
    names = [group.name for group in arena.groups]
    assert len(set(names)) == 4
    assert all(name.startswith("spiking-fer, ") for name in names)
    seeds = make_rows(seed=1)
    (arena,) = arenas_of(tmp_path / "2", make_rows(), seeds)
    (group,) = arena.groups
    assert (group.name, group.seeds, group.folds) == ("spiking-fer", (0, 1), (0, 1, 2))
    assert words.tally(group) == "3 folds, 2 seeds"


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
    (arena,) = arenas_of(tmp_path, make_rows(**changes))
    assert any(sentence in found for found in words.arena_warnings(arena))
    (clean,) = arenas_of(tmp_path / "2", make_rows(n_subjects=30), make_rows(seed=1, n_subjects=30))
    assert words.arena_warnings(clean) == []


def test_single_folds_and_single_subjects_say_so(tmp_path):
    (arena,) = arenas_of(tmp_path, make_rows(folds=1, n_subjects=1))
    (group,) = arena.groups
    assert group.interval is None
    assert group.accuracy.std is None
    found = words.warnings(group)
    assert any("SINGLE FOLD" in sentence for sentence in found)
    assert any("No interval" in sentence for sentence in found)
    assert "without an interval that shows little" in words.describe(arena)[0]
    write_run(tmp_path / "b", make_rows(folds=1, n_subjects=1))
    assert report.render(tmp_path / "b").page.is_file()


def test_scores_at_chance_are_not_called_learning(tmp_path):
    (arena,) = arenas_of(tmp_path, make_rows("m", 1 / 3, n_subjects=12))
    assert (
        "not shown to do better than guessing evenly (33.3%) and always" in words.describe(arena)[0]
    )
    (arena,) = arenas_of(tmp_path / "2", make_rows("m", 1.0))
    assert "lies above guessing evenly" in words.describe(arena)[0]
    (arena,) = arenas_of(tmp_path / "3", make_rows("m", 0.0))
    assert "lies below" in words.describe(arena)[0]


def test_the_leak_report_warns_in_words(tmp_path):
    leak = {
        "subject_overlap": 0.93,
        "never_tested": 0.11,
        "multiply_tested": 0.6,
        "test_chose": ["epoch", "augmentations"],
    }
    (arena,) = arenas_of(tmp_path, make_rows(leak=leak))
    text = " ".join(words.leak_sentences(arena))
    for part in ("LEAK", "93%", "11%", "60%", "The test clips chose the epoch and augmentations."):
        assert part in text
    (arena,) = arenas_of(tmp_path / "2", make_rows())
    text = " ".join(words.leak_sentences(arena))
    assert text.startswith("No subject is in training and test")
    assert text.endswith("The test clips chose nothing.")
    (arena,) = arenas_of(tmp_path / "3", make_rows(leak=None))
    assert "do not say" in words.leak_sentences(arena)[0]


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


def test_without_recordings_the_report_says_why(tmp_path):
    write_run(tmp_path / "a", make_rows())
    text = Page(report.render(tmp_path / "a").page).text
    assert "the runs do not say where the recordings lie" in text
    found = read_results(tmp_path)
    arenas = bring_together(found.rows)
    nowhere = collect(arenas, found.runs, tmp_path / "nowhere", None)
    assert nowhere.shown == ()
    assert 'no converted set "DemoDVS"' in nowhere.note
    data = write_set(tmp_path / "data", ["S777/001"])
    assert "is not in" in collect(arenas, found.runs, data, None).note
    clip_ids = {p["clip_id"] for row in found.rows for p in make_rows()[row.fold]["predictions"]}

    def refuse(recording):
        raise SourceError(f"{recording.name}: its source is gone")

    there = collect(arenas, found.runs, write_set(tmp_path / "data", clip_ids), refuse)
    assert [example.frames for example in there.shown] == ["", ""]
    assert "its source is gone" in there.note
    silent = collect(arenas_of(tmp_path / "b", make_rows(predictions=[])), {}, data, None)
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


def test_rows_are_frozen(tmp_path):
    row = (
        bring_together(read_results(write_run(tmp_path / "a", make_rows())).rows)[0].groups[0].first
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.fold = 3


def test_a_line_that_is_no_result_is_left_out(tmp_path):
    from evfer.report.rows import read_rows

    path = tmp_path / "rows.jsonl"
    path.write_text('{"x": 1}\n{"model": "m", "accuracy": 0.5}\n')
    rows, problems = read_rows(path, "run")
    assert [row.model for row in rows] == ["m"]
    assert "line 1: not a result row" in problems[0]
