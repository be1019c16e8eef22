"""Result rows, runs and recordings for the tests of the report, and pages as browsers read them."""

import html.parser
import json

import numpy as np

from evfer import metrics, recordings
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.report.read.comparison import group_rows
from evfer.report.read.results import read_results

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
        recordings.write(path, events, SensorSize(60, 40), {}, duration_us=500_000)
        label = int(sequence)
        entries.append(
            recordings.IndexEntry(
                clip_id, f"{clip_id}.h5", subject, label, label, CLASSES[label - 1],
                1000, 500_000, 1, "", "", "", 25.0, 12,
            )
        )  # fmt: skip
    recordings.write_index(folder, entries)
    return data


def comparisons_of(tmp_path, *runs):
    for number, rows in enumerate(runs):
        write_run(tmp_path / f"run{number}", rows)
    return group_rows(read_results(tmp_path).rows)


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
