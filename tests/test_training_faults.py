"""Training that is killed, runs out of memory, or comes to no numbers."""

import dataclasses
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from learning import SmallNet, make_set
from learning_folds import build, same, task
from torch import nn

from evfer.errors import ConfigError
from evfer.training import fit
from evfer.training.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data():
    return make_set()


class Killed(Exception):
    pass


def kill_at(epoch, step=None):
    def progress(event):
        if event.epoch == epoch and event.step == (step or event.steps):
            raise Killed

    return progress


@pytest.mark.parametrize("on", ["last", "inner_validation", "best_test_epoch"])
def test_a_killed_run_resumes_to_the_same_numbers(data, tmp_path, on):
    job = task(data, select={"on": on})
    path = tmp_path / "state.pt"
    with pytest.raises(Killed):  # in the middle of the fourth epoch
        fit(build, job, checkpoint=path, checkpoint_every_s=0, progress=kill_at(4, 2))
    seen = []
    found = fit(build, job, checkpoint=path, checkpoint_every_s=0, progress=seen.append)
    assert seen[0].epoch == 4
    assert seen[0].step == 1
    assert same(found, fit(build, job))
    # a run whose last epoch was saved only has to be tested again
    seen.clear()
    assert same(fit(build, job, checkpoint=path, progress=seen.append), found)
    assert not seen


def test_the_process_may_be_killed_at_any_time(data, tmp_path):
    """A real SIGKILL, in the middle of a batch or of writing a checkpoint."""
    path = tmp_path / "state.pt"
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from learning import make_set\n"
        "from learning_folds import build, task\n"
        "from evfer.training import fit\n"
        f"fit(build, task(make_set(), train={{'epochs': 40_000}}), checkpoint=Path({str(path)!r}),"
        " checkpoint_every_s=0)\n"
    )
    here = Path(__file__).parent
    child = subprocess.Popen([sys.executable, "-c", script], cwd=here.parent, env=_paths(here))
    try:
        deadline = time.monotonic() + 300
        while (state := load_checkpoint(path, "key")) is None or not state["curve"]:
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    state = load_checkpoint(path, "key")
    assert state is not None
    assert 0 < len(state["curve"]) < 40_000
    assert not [p for p in tmp_path.iterdir() if p.name != "state.pt" and ".part" not in p.name]


def _paths(here):
    import os

    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}


def test_checkpoints_of_others_and_damaged_ones_are_passed_over(data, tmp_path):
    path = tmp_path / "state.pt"
    job = task(data, train={"epochs": 2})
    expected = fit(build, job)
    fit(build, dataclasses.replace(job, key="other"), checkpoint=path, checkpoint_every_s=0)
    assert load_checkpoint(path, "other") is not None
    assert load_checkpoint(path, "key") is None
    assert same(fit(build, job, checkpoint=path), expected)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no checkpoint at all"):
        path.write_bytes(damaged)
        assert same(fit(build, job, checkpoint=path), expected)


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    path = tmp_path / "state.pt"
    torch.save({"key": "key", "evil": Evil()}, path)
    assert load_checkpoint(path, "key") is None
    assert not (tmp_path / "owned").exists()
    save_checkpoint(path, {"key": "key", "x": torch.ones(2)})
    assert load_checkpoint(path, "key")["x"].sum() == 2


def test_checkpoints_keep_their_distance(data, tmp_path):
    path = tmp_path / "state.pt"
    fit(build, task(data), checkpoint=path, checkpoint_every_s=3600)
    assert not path.exists()


class Full(SmallNet):
    """A network for which no machine is large enough."""

    error: Exception = MemoryError()

    def forward(self, frames):
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), "the GPU ran"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory ran out"),
        (MemoryError("Unable to allocate 3 TiB"), "memory ran out"),
    ],
)
def test_too_little_memory_gives_advice(data, error, words):
    Full.error = error
    with pytest.raises(ConfigError, match=f"{words} .*with 8 clips a batch") as found:
        fit(lambda: Full(3, 3), task(data))
    assert "train.batch_size" in found.value.hint
    assert "bf16" in found.value.hint
    Full.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        fit(lambda: Full(3, 3), task(data))


def test_memory_really_runs_out(data):
    with pytest.raises(ConfigError, match="memory ran out"):
        fit(lambda: nn.Linear(2**30, 2**30), task(data))


def test_a_loss_that_is_no_number_stops_the_run(data):
    class Bad(SmallNet):
        def forward(self, frames):
            self.calls = getattr(self, "calls", 0) + 1
            return super().forward(frames) * (math.inf if self.calls == 8 else 1)

    with pytest.raises(ConfigError, match=r"the loss is nan in fold 0, epoch 2, batch 3") as error:
        fit(lambda: Bad(3, 3), task(data))
    assert "train.lr" in error.value.hint


def test_a_gradient_that_is_no_number_stops_the_run(data):
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.gain = SmallNet(3, 3), nn.Parameter(torch.zeros(()))

        def forward(self, frames):
            return self.inner(frames) + self.gain.sqrt()  # slope at 0 is infinite

    with pytest.raises(ConfigError, match=r"the gradient's length is (nan|inf) in fold 0, epoch 1"):
        fit(Root, task(data))


def test_answers_that_are_no_numbers_stop_the_run(data):
    class Bad(SmallNet):
        def forward(self, frames):
            logits = super().forward(frames)
            return logits if self.training else logits * math.nan

    with pytest.raises(ConfigError, match="predictions are no longer finite"):
        fit(lambda: Bad(3, 3), task(data, train={"epochs": 1}))


def test_a_wild_learning_rate_is_named(data):
    wild = {"optimizer": "sgd", "lr": 1e25, "momentum": 0.0, "schedule": "constant"}
    with pytest.raises(ConfigError, match=r"at a learning rate of 1e\+25"):
        fit(build, task(data, train=wild))
