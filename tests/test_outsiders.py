"""Outsiders' code: its sources name its results, and its faults are told as its own."""

import dataclasses
import importlib
import sys

import pytest
import torch
from benching import run, write_set

from evfer import cli, models, plugins, provenance, workers
from evfer.bench import make_jobs, prepare_set
from evfer.bench.rows import ResultRow, RowWriter, read_rows
from evfer.errors import ConfigError
from evfer.testing import check_model

NET = """
import torch
from {parts} import Body

def build(n_classes, n_steps):
    return Body(n_classes)
"""
PARTS = """
import torch
WIDTH = {width}

class Body(torch.nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.first = torch.nn.Linear(2, WIDTH)
        self.last = torch.nn.Linear(WIDTH, n_classes)

    def forward(self, x):
        return self.last(self.first(x.mean((1, 3, 4))))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write modules into a folder of their own, and forget those that were there before."""
    monkeypatch.syspath_prepend(str(tmp_path / "own"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / "own" / (name.replace(".", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name in [name for name in sys.modules if name.startswith("own_")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    yield write
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def digest(name):
    return plugins.source_digest("evfer.models", name)


def test_a_change_in_a_second_file_is_measured_again(own, tmp_path):
    folder, out = write_set(tmp_path / "data"), tmp_path / "out"
    kinds = []

    def bench(width):
        own(own_net=NET.format(parts="own_parts"), own_parts=PARTS.format(width=width))
        kinds.clear()
        run(folder, out, model="own_net:build", only_folds=[0],
            progress=lambda event: kinds.append(event.kind))  # fmt: skip
        return kinds[-1]

    assert [bench(4), bench(4), bench(32), bench(32), bench(4)] == [
        "row", "kept", "row", "kept", "kept",
    ]  # fmt: skip


def test_what_a_file_of_settings_changes_shows_in_the_structure(own, tmp_path):
    folder, out = write_set(tmp_path / "data"), tmp_path / "out"
    width = tmp_path / "width"
    reading = f"int(__import__('pathlib').Path({str(width)!r}).read_text())"
    own(own_net=PARTS.replace("{width}", reading)
        + "\ndef build(n_classes, n_steps):\n    return Body(n_classes)\n")  # fmt: skip
    kinds = []
    for number in ("4", "4", "8"):
        width.write_text(number)
        own()
        run(folder, out, model="own_net:build", only_folds=[0],
            progress=lambda event: kinds.append(event.kind))  # fmt: skip
    assert [kind for kind in kinds if kind != "train"] == ["row", "kept", "row"]


def test_rows_from_before_the_structure_still_count(tmp_path):
    folder, out = write_set(tmp_path / "data"), tmp_path / "out"
    run(folder, out, only_folds=[0])
    path = out / "rows.jsonl"
    (row,) = read_rows(path).rows
    assert row["structure_sha256"]
    old = {name: value for name, value in row.items() if name != "structure_sha256"}
    path.unlink()
    RowWriter(path).append(ResultRow.parse(old, "out"))
    kinds = []
    (kept,) = run(folder, out, only_folds=[0], progress=lambda event: kinds.append(event.kind))
    assert kinds == ["kept"]
    assert kept.key == ResultRow.parse(old, "out").key != row.key


@pytest.mark.parametrize(
    ("files", "target"),
    [
        ({"own_a": "from own_b import make\n"}, "own_a:make"),
        ({"own_a": "def make():\n    import own_b\n"}, "own_a:make"),
        ({"own_a": "import importlib\nb = importlib.import_module('own_' + 'b')\nmake = id\n"},
         "own_a:make"),
        ({"own_a": "import functools, own_b\nmake = functools.partial(own_b.make)\n"},
         "own_a:make"),
        ({"own_a": "import own_c\nclass Make: pass\nmake = Make()\n",
          "own_c": "from own_b import make\n"}, "own_a:make"),
        ({"own_p.__init__": "", "own_p.a": "from .deep import c\ndef make(): pass\n",
          "own_p.deep.__init__": "", "own_p.deep.c": "from ... import own_b\n"
          .replace("from ... import", "import")}, "own_p.a:make"),
    ],
    ids=["from", "in a function", "importlib", "partial", "instance", "relative"],
)  # fmt: skip
def test_every_imported_file_counts(own, files, target):
    own(**files, own_b="def make(): pass\n")
    before = digest(target)
    assert digest(target) == before
    own(own_b="def make(): return 1\n")
    assert digest(target) != before
    own(own_b="def make(): pass\n", own_other="x = 1\n")
    assert digest(target) == before


def test_one_file_keeps_its_digest(own, tmp_path):
    own(own_one="import torch, numpy, evfer\ndef make(): pass\n")
    from evfer.files import sha256_file

    assert digest("own_one:make") == sha256_file(tmp_path / "own" / "own_one.py")


def test_rows_tell_the_versions_that_frame_clips():
    names = {"numpy", "numba", "scipy", "opencv-python-headless", "h5py"}
    assert names <= {*provenance.versions(provenance.LEARNING_PACKAGES)}


FAULTS = {
    "raises": "raise RuntimeError('shapes do not fit')",
    "exits": "import sys; sys.exit(7)",
    "exits without a word": "raise SystemExit",
    "inside PyTorch": "return torch.zeros(2, 3) @ torch.zeros(2, 3)",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("where", ["forward", "factory", "import"])
def test_a_fault_of_ones_own_network(own, tmp_path, capsys, fault, where):
    if where == "import" and "return" in fault:
        fault = fault.replace("return ", "")
    lines = {"forward": "pass", "factory": "pass", "import": "pass", where: fault}
    own(
        own_bad=f"""import torch
{lines["import"]}
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(2, 3)
    def forward(self, x):
        {lines["forward"]}
        return self.last(x.mean((1, 3, 4)))
def build(n_classes, n_steps):
    {lines["factory"]}
    return Net()
"""
    )
    write_set(tmp_path / "data", "DemoDVS")
    code = cli.main(["bench", "--model", "own_bad:build", "--dataset", "demo", "--workers", "1",
        "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])  # fmt: skip
    text = capsys.readouterr().err
    assert code == 2, text
    line = {"import": 2, "forward": 8, "factory": 11}[where]
    assert f"own_bad.py, line {line}" in text.replace("\n", " ")
    assert "bug in evfer" not in text


def fail_in_a_process(task, callback):
    sys.path.insert(0, task)
    importlib.import_module("own_task").work()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["import sys; sys.exit(3)", "{}['a']"])
def test_a_fault_in_a_worker_process(own, tmp_path, fault):
    own(own_task=f"def work():\n    {fault}\n")
    tasks = [str(tmp_path / "own")] * 2
    for _, result in workers.run(fail_in_a_process, tasks, 2):
        assert isinstance(result, ConfigError)
        assert "own_task.py, line 2, in work" in result.found


def test_what_a_listener_raises_is_no_fault():
    class End(Exception):
        pass

    def listen(task, message):
        raise End

    with pytest.raises(End):
        list(workers.run(lambda task, send: send(1), [1], on_message=listen))


class Lazy(torch.nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.last = torch.nn.LazyLinear(n_classes)

    def forward(self, x):
        return self.last(x.flatten(1))


def lazy(n_classes, n_steps):
    return Lazy(n_classes)


def test_lazy_parameters_are_made(tmp_path):
    torch.manual_seed(1)
    module = models.create("test_outsiders:lazy", 3, 2, seed=0, shape=(2, 2, 4, 4))
    assert module.last.weight.shape == (3, 64)
    assert module.training
    again = models.create("test_outsiders:lazy", 3, 2, seed=0, shape=(2, 2, 4, 4))
    assert torch.equal(module.last.weight, again.last.weight)
    run(write_set(tmp_path / "data"), tmp_path / "out", model="test_outsiders:lazy", only_folds=[0])


def test_evfers_networks_have_no_structure_in_their_rows(tmp_path):
    from learning import make_config

    folder = write_set(tmp_path / "data")
    job = make_jobs([prepare_set(folder, "logistic", make_config())], tmp_path)[0]
    assert "structure_sha256" not in job.naming
    assert job.keys[0] == job.keys[1]
    other = dataclasses.replace(job, structure_sha256="12" * 32)
    assert other.keys[1] == job.key != other.key


def test_lazy_networks_keep_the_contract():
    check_model("test_outsiders:lazy_for_contract", 3, 2, 16)


def lazy_for_contract(n_classes, n_steps):
    return Lazy(n_classes)
