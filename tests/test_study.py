"""Studies: a balanced grid, folds that are kept, a budget that is held, files that say it all."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from benching import lines, timeless, write_set
from stopping import stop

from evfer import metrics, study, transforms
from evfer.bench import ResultRow, RunOptions
from evfer.cli import main
from evfer.errors import ConfigError, SourceError, UnknownNameError
from evfer.study.recipe import StudyParams

RECIPE = """
name = "tiny-study"
[study]
models = ["logistic"]
augmentations = ["none", "hflip", "noise", "hflip+noise"]
recipe = "{bench}"
[frames]
n_steps = 3
size = 16
"""
# so weak that scores differ
WEAK = "[models.logistic.model]\ncells = 2\nper_step = false\n"
BENCH = 'name = "tiny"\n[train]\nepochs = 1\nbatch_size = 8\n[select]\non = "last"\n'


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folder with a converted set and the recipe of a study."""
    folder = tmp_path_factory.mktemp("place")
    write_set(folder / "data", n_folds=3)
    (folder / "bench.toml").write_text(BENCH + WEAK)
    (folder / "study.toml").write_text(RECIPE.format(bench=folder / "bench.toml"))
    return folder


def grid_of(place, out, options=RunOptions(), **changes):  # noqa: B008
    found = study.load_study(str(place / "study.toml"), {"study": changes})
    return study.lay_out(found, place / "data", out, options)


@pytest.fixture(scope="module")
def whole(place, tmp_path_factory):
    grid = grid_of(place, tmp_path_factory.mktemp("results") / "whole", seeds=[0, 1])
    state = study.run_study(grid)
    return grid, state


def test_the_shipped_study_is_the_published_grid():
    found = study.load_study("eda-study")
    sets = found.study.sets()
    assert {name for name in sets} == set(transforms.common_subsets())
    assert found.study.models == ("spiking-fer", "resnet18")
    assert found.citations
    assert found.about


def test_any_beginning_of_the_32_subsets_is_near_balanced():
    sets = list(StudyParams().sets().values())
    on = np.array(
        [[any(t["name"] == n for t in s) for n in transforms.COMMON] for s in sets], float
    )
    assert len(np.unique(on, axis=0)) == 32
    for n in range(4, 33, 4):
        np.testing.assert_array_equal(on[:n].sum(axis=0), n / 2)
    for n in range(10, 33):
        assert np.linalg.matrix_rank(np.column_stack([np.ones(n), on[:n]])) == 6
    half = np.column_stack([np.ones(16), on[:16]])
    np.testing.assert_array_equal((2 * half[:, 1:] - 1).T @ (2 * half[:, 1:] - 1), 16 * np.eye(5))


def test_cells_stay_together(place, tmp_path):
    grid = grid_of(place, tmp_path, models=["logistic", "majority"], seeds=[0, 1])
    assert len(grid.jobs) == len(grid.places) == 4 * 3 * 2 * 2
    assert len({job.key for job in grid.jobs}) == len(grid.jobs)
    counts = {}
    for done, where in enumerate(grid.places, 1):
        cell = (where.model, where.augmentation)
        counts[cell] = counts.get(cell, 0) + 1
        if done >= 8:
            assert max(counts.values()) - min(counts.values()) <= 1
    assert grid.factors == ("hflip", "noise")
    for job, where in zip(grid.jobs, grid.places, strict=True):
        assert (job.seed, job.fold, job.model) == (where.seed, where.fold, where.model)
        assert {table["name"] for table in job.config.augment} == where.factors
        assert (job.config.frames.n_steps, job.config.frames.size) == (3, 16)
        assert where.augmentation in job.config.name
    assert not list(tmp_path.iterdir())


def test_every_fold_gets_its_row(whole):
    grid, state = whole
    rows = lines(grid.out)
    assert (state.done, state.total, state.out_of_time) == (24, 24, False)
    assert len(rows) == 24
    assert [grid.rows()[i] for i in range(24)] == rows
    assert len({row["recipe_sha256"] for row in rows}) == 4
    for i, row in enumerate(rows):
        assert (row["fold"], row["seed"]) == (grid.places[i].fold, grid.places[i].seed)
    # weights of so many folds would fill disks
    assert not list(grid.out.glob("checkpoints/*"))


def test_a_study_that_was_killed_goes_on(place, whole, tmp_path):
    class Killed(Exception):
        pass

    def kill(event):
        if event.row is not None and event.done == 9:
            raise Killed

    grid = grid_of(place, tmp_path / "tiny", seeds=[0, 1])
    with pytest.raises(Killed):
        study.run_study(grid, progress=kill)
    before = lines(grid.out)
    assert len(before) == 9
    assert study.examine(grid).done == 9
    events = []
    state = study.run_study(grid, progress=events.append)
    assert state.done == 24
    assert [e.kind for e in events if e.kind != "train"] == ["kept"] * 9 + ["row"] * 15
    assert lines(grid.out)[:9] == before
    ours, theirs = (sorted(map(str, map(timeless, lines(g.out)))) for g in (grid, whole[0]))
    assert ours == theirs
    # anew on demand
    study.run_study(grid, resume=False)
    assert len(lines(grid.out)) == 24


@pytest.mark.slow
def test_workers_change_nothing(place, whole, tmp_path):
    grid = grid_of(place, tmp_path / "tiny", RunOptions(workers=2), seeds=[0, 1])
    assert study.run_study(grid).done == 24
    ours, theirs = (sorted(map(str, map(timeless, lines(g.out)))) for g in (grid, whole[0]))
    assert ours == theirs


class Clock:
    """Time that passes by rows alone: each fold takes ten seconds."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def tell(self, event):
        self.now += 10.0 * (event.kind == "row")


def test_no_fold_is_begun_that_would_not_fit(place, tmp_path, monkeypatch):
    monkeypatch.setattr(study.Pace, "expect", lambda self, job: 10.0 if self._seconds else None)
    grid, clock = grid_of(place, tmp_path / "tiny"), Clock()
    state = study.run_study(grid, budget_s=45.0, clock=clock, progress=clock.tell)
    # at 40 seconds the fifth would end at 50
    assert (state.done, state.total, state.out_of_time) == (4, 12, True)
    assert state.seconds_left == 80.0
    assert len(lines(grid.out)) == 4
    state = study.run_study(grid, budget_s=0.0)
    assert (state.done, state.out_of_time) == (4, True)
    state = study.run_study(grid, budget_s=1000.0, clock=clock, progress=clock.tell)
    assert (state.done, state.out_of_time, state.seconds_left) == (12, False, 0)


def test_a_long_fold_is_left_and_goes_on(place, tmp_path, monkeypatch):
    from evfer.study import running

    monkeypatch.setattr(running, "_NEARLY_DONE_S", 0.0)
    found = {"models": ["learning:small_net"], "augmentations": ["none", "hflip"]}
    config = study.load_study(str(place / "study.toml"), {"study": found, "train": {"epochs": 4}})
    grid = study.lay_out(config, place / "data", tmp_path / "tiny")
    now, epochs = [0.0], []

    def tell(event):
        if event.train and event.train.kind == "epoch":
            epochs.append(event.train.epoch)
            now[0] += 10.0

    state = study.run_study(grid, budget_s=15.0, clock=lambda: now[0], progress=tell)
    assert (state.done, state.out_of_time) == (0, True)
    assert epochs == [1, 2]
    assert not lines(grid.out) if (grid.out / "rows.jsonl").exists() else True
    state = study.run_study(grid, budget_s=35.0, clock=lambda: now[0], progress=tell)
    assert state.done >= 0
    assert study.run_study(grid).done == 6


def test_paces_are_learnt_here_alone():
    from evfer import provenance

    class Job:
        class folder:
            name = "TinyDVS"

        model = "m"

    row = {"set": "TinyDVS", "model": "m", "train_seconds": 3.0, "test_seconds": 1.0}
    pace = study.Pace()
    pace.learn(ResultRow.parse(row | {"machine": {"system": "Elsewhere"}}, "run"))
    # another tool's row may hold anything
    pace.learn(ResultRow.parse(row | {"machine": None, "train_seconds": "long"}, "run"))
    assert pace.expect(Job) is None
    assert pace.expect_all([Job, Job]) is None
    for seconds in (1.0, 100.0, 3.0, 3.0, 3.0, 5.0):
        here = provenance.machine() | {"threads": 1}
        learnt = row | {"machine": here, "train_seconds": seconds}
        pace.learn(ResultRow.parse(learnt, "run"))
    assert pace.expect(Job) == 4.0
    assert pace.expect_all([Job] * 3, workers=2) == 6.0


def test_the_summary_says_what_the_rows_say(whole, tmp_path):
    grid, _ = whole
    summary = study.summarise(grid)
    (outcome,) = summary.outcomes
    rows = lines(grid.out)
    assert (outcome.dataset, outcome.model) == ("tiny", "logistic")
    assert (summary.done, summary.total, summary.measure) == (24, 24, "accuracy")
    of = {cell.augmentation: cell for cell in outcome.cells}
    assert [c.mean for c in outcome.cells] == sorted((c.mean for c in outcome.cells), reverse=True)
    for name, cell in of.items():
        scores = [
            r["accuracy"] for r, p in zip(rows, grid.places, strict=True) if p.augmentation == name
        ]
        assert (cell.n, cell.total) == (6, 6)
        assert cell.mean == pytest.approx(metrics.spread(scores).mean)
        assert cell.std == pytest.approx(metrics.spread(scores).std)
    x = np.array([[1.0, "hflip" in p.factors, "noise" in p.factors] for p in grid.places])
    wanted = np.linalg.lstsq(x, np.array([r["accuracy"] for r in rows]), rcond=None)[0]
    np.testing.assert_allclose([e.estimate for e in outcome.ols.effects], wanted, atol=1e-12)
    assert (outcome.mixed.n, outcome.mixed.n_splits) == (24, 3)
    assert outcome.highest == outcome.cells[0]
    assert outcome.chosen is None  # nobody was held out
    said = " ".join(study.describe_choice(outcome, "accuracy"))
    assert "OPTIMISTIC" in said
    assert "No set was chosen without the test clips" in said
    written = study.write_summary(summary, tmp_path)
    assert {path.name for path in written} == {"study.json", "study.md", "effects.csv", "cells.csv"}
    stored = json.loads((tmp_path / "study.json").read_text())
    assert stored["outcomes"][0]["ols"]["effects"][1]["name"] == "hflip"
    effects = list(csv.DictReader((tmp_path / "effects.csv").read_text().splitlines()))
    assert float(effects[0]["estimate"]) == outcome.ols.effects[0].estimate
    assert len(list(csv.DictReader((tmp_path / "cells.csv").read_text().splitlines()))) == 4
    text = (tmp_path / "study.md").read_text()
    assert "24 of 24 folds" in text
    assert "| hflip |" in text


def test_a_summary_of_little_claims_little(place, tmp_path):
    grid = grid_of(place, tmp_path / "tiny")
    empty = study.summarise(grid)
    assert empty.done == 0
    assert empty.outcomes[0].cells[0].mean is None
    assert "Too few" in empty.outcomes[0].ols.problem
    study.write_summary(empty, tmp_path / "empty")
    # five folds of 1000 s each, beside which what they truly take is nothing
    study.run_study(grid, budget_s=5000.0, clock=lambda: len(grid.rows()) * 1000.0)
    (outcome,) = study.summarise(grid).outcomes
    assert sorted(cell.n for cell in outcome.cells) == [1, 1, 1, 2]
    assert (outcome.chosen, outcome.highest) == (None, None)
    assert "none is named the best" in study.describe_choice(outcome, "accuracy")[0]


def test_a_study_says_that_the_test_chose(place, tmp_path):
    changes = {"models": ["learning:small_net"], "augmentations": ["none", "noise"]}
    tables = {"study": changes, "select": {"on": "best_test_epoch"}}
    config = study.load_study(str(place / "study.toml"), tables)
    grid = study.lay_out(config, place / "data", tmp_path / "tiny")
    study.run_study(grid)
    summary = study.summarise(grid)
    assert summary.outcomes[0].test_chose == ("epoch",)
    assert summary.outcomes[0].chosen is None
    study.write_summary(summary, tmp_path)
    assert "OPTIMISTIC: the test clips chose the epoch" in (tmp_path / "study.md").read_text()


def test_validation_chooses_without_the_test(place, tmp_path):
    changes = {"models": ["learning:small_net"], "augmentations": ["none", "noise"]}
    tables = {"study": changes, "train": {"epochs": 2}, "select": {"on": "inner_validation"}}
    config = study.load_study(str(place / "study.toml"), tables)
    grid = study.lay_out(config, place / "data", tmp_path / "tiny")
    study.run_study(grid)
    (outcome,) = study.summarise(grid).outcomes
    for cell in outcome.cells:
        known = [
            row["curve"][row["selected_epoch"] - 1]["validation_accuracy"]
            for row, where in zip(lines(grid.out), grid.places, strict=True)
            if where.augmentation == cell.augmentation
        ]
        assert cell.validation == pytest.approx(np.mean(known))
    assert outcome.chosen == max(outcome.cells, key=lambda cell: cell.validation)
    said = " ".join(study.describe_choice(outcome, "accuracy"))
    assert "Chosen on inner validation" in said
    # each fold chooses for itself too
    picked = []
    for fold in range(3):
        cells = [
            (row["curve"][row["selected_epoch"] - 1]["validation_accuracy"], row["accuracy"], where)
            for row, where in zip(lines(grid.out), grid.places, strict=True)
            if where.fold == fold
        ]
        picked.append(max(cells, key=lambda cell: cell[0]))
    assert outcome.nested.n == 3
    assert outcome.nested.mean == pytest.approx(np.mean([score for _, score, _ in picked]))
    names = [where.augmentation for *_, where in picked]
    assert outcome.nested.picks == {name: names.count(name) for name in names}
    assert "Chosen anew in each fold" in said
    stored = json.loads(study.write_summary(study.summarise(grid), tmp_path)[0].read_text())
    assert stored["outcomes"][0]["nested"]["picks"] == outcome.nested.picks
    # of sets that validation likes alike the grid's first is taken, whatever they score
    for better in ("none", "noise"):
        rows = lines(grid.out)
        for row, where in zip(rows, grid.places, strict=True):
            row["accuracy"] = 0.9 if where.augmentation == better else 0.4
            for record in row["curve"]:
                record["validation_accuracy"] = 0.5
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (grid.out / "rows.jsonl").write_text(text, encoding="utf-8")
        (outcome,) = study.summarise(grid).outcomes
        assert outcome.highest.augmentation == better
        assert outcome.chosen.augmentation == "none"
        assert outcome.nested.picks == {"none": 3}


def test_a_row_without_a_score_is_no_result_yet(whole, tmp_path):
    grid = dataclasses.replace(whole[0], out=tmp_path)
    rows = [*lines(whole[0].out)]
    rows[0]["accuracy"] = float("nan")
    del rows[1]["leak"], rows[1]["curve"]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    summary = study.summarise(grid)
    assert summary.done == len(rows) - 1
    assert summary.outcomes[0].highest is None
    study.examine(grid)
    assert (tmp_path / "rows.jsonl").read_text(encoding="utf-8") == text


def test_readings_of_one_augmentation_are_told_apart(place, tmp_path):
    sets = ["polflip", "polflip_paper+hflip", "none"]
    grid = grid_of(place, tmp_path, augmentations=sets)
    assert grid.factors == ("hflip", "polflip", "polflip(scope=clip,p=0.5)")
    assert grid_of(place, tmp_path, augmentations=["polflip_paper", "none"]).factors == ("polflip",)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"augmentations": ["hflop"]}, UnknownNameError, "hflip"),
        ({"augmentations": ["none", "common()"]}, ConfigError, "are the same"),
        ({"augmentations": ["common", "best_common"]}, ConfigError, "are the same"),
        ({"augmentations": []}, ConfigError, "augmentations is empty"),
        ({"models": []}, ConfigError, "models is empty"),
        ({"models": ["logistic", "logistic"]}, ConfigError, "names one twice"),
        ({"models": ["logistix"]}, UnknownNameError, "logistic"),
        ({"seeds": [-1]}, ConfigError, "negative seed"),
        ({"measure": "auc"}, UnknownNameError, "accuracy"),
        ({"augmentation": ["none"]}, UnknownNameError, r"study\.augmentations"),
        ({"datasets": ["ck+"]}, SourceError, "ck"),
        ({"protocol": "strickt"}, UnknownNameError, "strict"),
    ],
)
def test_what_cannot_be_studied_is_named(place, tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        grid_of(place, tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_other_recipes_are_no_studies(tmp_path):
    with pytest.raises(ConfigError, match=r"has no \[study\]"):
        study.load_study("spiking-fer")
    with pytest.raises(SourceError, match="no converted set"):
        study.lay_out(study.load_study("eda-study"), tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("1h30m", 5400), ("0s", 0), ("1.5 H", 5400), ("1d", 86400)]
)
def test_durations(text, seconds):
    assert study.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2 weeks", "1h30"])
def test_what_is_no_duration_is_named(text):
    with pytest.raises(ConfigError, match="such as 2h"):
        study.parse_duration(text)


def test_the_command_runs_sums_up_and_goes_on(place, tmp_path, capsys):
    arguments = [
        *("study", str(place / "study.toml"), "--data", str(place / "data")),
        *("--out", str(tmp_path), "--eda", "none", "--eda", "hflip", "--seed", "3"),
    ]
    assert main([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "0 of 6 folds have a result; 6 are left" in said.out
    assert "2 sets of augmentations" in said.err
    assert not (tmp_path / "tiny-study").exists()
    assert main([*arguments, "--time", "0s"]) == 0
    assert "Nothing to sum up yet" in capsys.readouterr().err
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "ordinary least squares" in said.out
    assert "All 6 folds have a result" in said.out
    rows = lines(tmp_path / "tiny-study")
    assert {row["seed"] for row in rows} == {3}
    assert main([*arguments, "--time", "0s"]) == 0
    assert lines(tmp_path / "tiny-study") == rows
    assert main([*arguments, "--time", "soon"]) == 2
    assert main(["study", "spiking-fer", "--data", str(place / "data")]) == 2


def test_a_network_that_fails_stops_no_other(place, tmp_path, capsys):
    wild = '[models."learning:small_net".train]\nlr = 1e30\nmomentum = 0.0\n'
    (tmp_path / "bench.toml").write_text(BENCH + WEAK + wild)
    (tmp_path / "study.toml").write_text(RECIPE.format(bench=tmp_path / "bench.toml"))
    arguments = [
        *("study", str(tmp_path / "study.toml"), "--data", str(place / "data"), "--eda", "none"),
        *("--model", "logistic", "--model", "learning:small_net"),
        *("--out", str(tmp_path)),
    ]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.count("FAILED: learning:small_net on tiny") == 3
    assert "Lower train.lr" in " ".join(said.err.split())
    assert "3 of 6 folds have a result; 3 are left" in said.out
    folder = tmp_path / "tiny-study"
    assert {row["model"] for row in lines(folder)} == {"logistic"}
    assert json.loads((folder / "study.json").read_text())["done"] == 3


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_sums_up_what_is_done(place, tmp_path, capsys):
    arguments = ["study", str(place / "study.toml"), "--data", str(place / "data")]
    arguments += ["--out", str(tmp_path), "--set", f"study.seeds={list(range(20))}"]
    folder = tmp_path / "tiny-study"
    code, out, err = stop(arguments, folder / "rows.jsonl", 9)
    assert code == 130
    found = len(lines(folder))
    assert 9 <= found < 240
    summary = json.loads((folder / "study.json").read_text())
    assert summary["total"] == 240
    # the last may be whole on disk and yet too late for the tables
    assert summary["done"] in (found, found - 1)
    assert sum(cell["n"] for cell in summary["outcomes"][0]["cells"]) == summary["done"]
    assert f"{summary['done']} of 240 folds have a result" in out
    assert "ordinary least squares" in out
    assert "What is finished is kept; the same command goes on from there" in err
    assert main([*arguments, "--dry-run"]) == 0
    assert f"{found} of 240 folds have a result" in capsys.readouterr().out


@pytest.mark.slow
def test_the_process_may_be_killed_at_any_time(place, whole, tmp_path):
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    arguments = [sys.executable, "-m", "evfer", "study", str(place / "study.toml")]
    arguments += [
        "--data",
        str(place / "data"),
        "--out",
        str(tmp_path),
        "--set",
        "study.seeds=[0,1]",
    ]
    rows = tmp_path / "tiny-study" / "rows.jsonl"
    for least in (3, 10):
        child = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not rows.exists() or len(rows.read_text().splitlines()) < least:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
    subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL)
    ours, theirs = (sorted(map(str, map(timeless, lines(f)))) for f in (rows.parent, whole[0].out))
    assert ours == theirs


def test_what_test_clips_chose_is_said_of_a_study_where_it_holds_of_all_its_cells():
    assert study.chosen_in_all([("augmentations", "epoch"), ("epoch",)]) == ("epoch",)
    assert study.chosen_in_all([("augmentations",), ()]) == study.chosen_in_all([]) == ()
