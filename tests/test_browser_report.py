"""The report's page in a real browser: no fetch, no complaint, no overflow, tables that sort."""

from __future__ import annotations

import json

import numpy as np
import pytest
from browser import WIDTHS, open_browser, open_page, overflow

from evfer import metrics, recordings, report
from evfer.events import EVENT_DTYPE, SensorSize

CLASSES = ["happy", "fear", "surprise"]
HOSTILE = "</script><b onclick=alert(1)>\"'&`${1}"
LONG = "a-model-whose-name-has-no-end-" * 4


@pytest.fixture(scope="module")
def browser():
    with open_browser() as started:
        yield started


def predictions(fold, accuracy, rng):
    for subject in range(fold, 12, 4):
        for label in range(3):
            right = rng.random() < accuracy
            yield {
                "clip_id": f"S{subject:03d}/{label + 1:03d}",
                "subject": f"S{subject:03d}",
                "label": label,
                "prediction": label if right else (label + 1) % 3,
                "confidence": round(rng.uniform(0.4, 1), 3),
            }


def rows(model, accuracy):
    rng = np.random.default_rng(len(model))
    for fold in range(4):
        said = list(predictions(fold, accuracy, rng))
        labels, found = ([p[k] for p in said] for k in ("label", "prediction"))
        scores = metrics.score(labels, found)
        yield {
            "format": 1,
            "run": "run",
            "dataset": "demo",
            "set": "DemoDVS",
            "model": model,
            "recipe": "demo",
            "recipe_sha256": "ab" * 32,
            "protocol": "strict",
            "folds_sha256": "cd" * 32,
            "data_fingerprint": "ef" * 32,
            "fold": fold,
            "n_folds": 4,
            "seed": 0,
            "selected_on": "last",
            "selected_epoch": 3,
            "epochs": 3,
            "n_train": 27,
            "n_test": len(said),
            "classes": CLASSES,
            "accuracy": scores.accuracy,
            "uar": scores.uar,
            "macro_f1": scores.macro_f1,
            "chance": 1 / 3,
            "majority": 1 / 3,
            "collapsed": scores.collapsed,
            "confusion": metrics.confusion(labels, found, 3).tolist(),
            "predictions": said,
            "curve": [
                {"epoch": e, "train_loss": 2 / e, "train_accuracy": e / 4}
                | {"validation_accuracy": e / 5, "lr": 0.01, "seconds": 1.0}
                for e in (1, 2, 3)
            ],
            "parameters": 1000 * len(model),
            "train_seconds": 12.0 * (fold + 1),
            "device": "cpu",
        }


def write_data(folder):
    """A small set, so that the page has clips to show."""
    entries = []
    rng = np.random.default_rng(0)
    for subject in range(12):
        for label, name in enumerate(CLASSES, 1):
            clip_id = f"S{subject:03d}/{label:03d}"
            events = np.zeros(1500, EVENT_DTYPE)
            events["t"] = np.sort(rng.integers(0, 500_000, 1500))
            events["x"] = np.clip(rng.normal(10 + 40 * events["t"] / 5e5, 4), 0, 59)
            events["y"] = rng.integers(0, 40, 1500)
            events["p"] = rng.random(1500) < 0.5
            path = folder / f"{clip_id}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            recordings.write(path, events, SensorSize(60, 40), {}, duration_us=500_000)
            entries.append(
                recordings.IndexEntry(
                    clip_id, f"{clip_id}.h5", f"S{subject:03d}", label, label, name, 1500, 500_000,
                    1, "", "", "", 25.0, 12,
                )
            )  # fmt: skip
    recordings.write_index(folder, entries)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    write_data(root / "data" / "FerDVS" / "DemoDVS")
    for name, model, accuracy in (
        ("a", "spiking-fer", 0.9),
        ("b", "resnet18", 0.6),
        ("c", HOSTILE, 0.4),
        ("d", LONG, 0.5),
    ):
        folder = root / "results" / name
        folder.mkdir(parents=True)
        lines = [json.dumps(row) for row in rows(model, accuracy)]
        if name == "b":  # half a row, and one from the future
            lines += [lines[-1].replace("0.6", "NaN")[:200], '{"format": 9, "model": "later"}']
        (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        data = json.dumps(str(root / "data"))
        (folder / "run.toml").write_text(f'command = "evfer bench"\ndata = {data}\n', "utf-8")
    report.render(root / "results", root / "report")
    return next((root / "report").glob("*.html"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_opens_and_overflows_nowhere(browser, page_file, width, scheme):
    watched = open_page(browser, page_file, width=width, color_scheme=scheme)
    page = watched.page
    assert overflow(page) == []
    # everything folded away is unfolded, and everything that loads late is scrolled to
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_timeout(200)
    assert overflow(page) == []
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.querySelectorAll('[onclick]').length") == 0
    watched.check()


def cells(table, column):
    """A column's texts, as they stand."""
    return table.evaluate(
        "(table, column) => [...table.tBodies[0].rows].map((row) => row.cells[column].innerText)",
        column,
    )


def numbers(texts):
    found = []
    for text in texts:
        digits = "".join(c for c in text.replace("−", "-") if c.isdigit() or c in ".-")  # noqa: RUF001
        try:
            found.append(float(digits))
        except ValueError:
            return None
    return found


def test_tables_sort_by_what_is_clicked(browser, page_file):
    watched = open_page(browser, page_file)
    page = watched.page
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    tables = page.locator("table:has(th[aria-sort])")
    assert tables.count() >= 1, "no table whose columns say how they are sorted"
    sorted_columns = 0
    for i in range(min(tables.count(), 4)):
        table = tables.nth(i)
        heads = table.locator("thead th")
        for column in range(heads.count()):
            values = numbers(cells(table, column))
            if values is None or len(set(values)) < 3:
                continue
            head = heads.nth(column)
            button = head.locator("button")
            for _ in range(2):
                (button if button.count() else head).click()
                down = {"ascending": False, "descending": True}[head.get_attribute("aria-sort")]
                now = numbers(cells(table, column))
                assert sorted(now) == sorted(values)
                assert now == sorted(now, reverse=down)
            sorted_columns += 1
    assert sorted_columns >= 1
    watched.check()


def test_example_clips_play_and_pause(browser, page_file):
    watched = open_page(browser, page_file)
    card = watched.page.locator("article:has(input[type=range])").first
    card.scroll_into_view_if_needed()
    button = card.get_by_role("button", name="Play").or_(card.get_by_role("button", name="Pause"))
    if button.inner_text() == "Play":
        button.click()
    slider = card.locator("input[type=range]")
    moments = {slider.input_value()}
    for _ in range(200):
        watched.page.wait_for_timeout(20)
        moments.add(slider.input_value())
        if len(moments) > 3:
            break
    assert len(moments) > 3
    button.click()
    assert button.inner_text() == "Play"
    halted = slider.input_value()
    watched.page.wait_for_timeout(300)
    assert slider.input_value() == halted
    watched.check()
