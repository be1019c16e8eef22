"""Benches that are killed, interrupted or shared out among processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from benching import Killed, lines, run, timeless, write_set
from learning import small_net

from evfer.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "undisturbed"
    return run(tiny, out), out


def dying_net(n_classes, n_steps):
    """A network whose process dies in its second batch."""
    net = small_net(n_classes, n_steps)
    calls = []

    def die(module, args):
        calls.append(1)
        if len(calls) > 1:
            os.kill(os.getpid(), signal.SIGKILL)

    net.register_forward_pre_hook(die)
    return net


def test_a_bench_killed_inside_a_fold_ends_in_the_same_rows(tiny, undisturbed, tmp_path):
    def kill(event):
        if event.train and event.fold == 1 and (event.train.epoch, event.train.step) == (3, 2):
            raise Killed

    with pytest.raises(Killed):
        run(tiny, tmp_path, progress=kill)
    assert [row["fold"] for row in lines(tmp_path)] == [0]
    assert len(list((tmp_path / "checkpoints").glob("*.state.pt"))) == 1
    events = []
    rows = run(tiny, tmp_path, progress=events.append)
    trained = [e.train for e in events if e.kind == "train"]
    assert (trained[0].fold, trained[0].epoch, trained[0].step) == (1, 3, 1)
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed[0]]
    assert not list((tmp_path / "checkpoints").glob("*.state.pt"))


def test_ctrl_c_keeps_finished_rows(tiny, tmp_path):
    def interrupt(event):
        if event.train and event.fold == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny, tmp_path, progress=interrupt)
    assert [row["fold"] for row in lines(tmp_path)] == [0, 1]


@pytest.mark.slow
def test_workers_change_nothing(tiny, undisturbed, tmp_path):
    events = []
    rows = run(tiny, tmp_path, workers=2, threads=1, progress=events.append)
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed[0]]
    assert sorted(row["fold"] for row in lines(tmp_path)) == [0, 1, 2, 3]
    assert {e.fold for e in events if e.kind == "train"} == {0, 1, 2, 3}


@pytest.mark.slow
def test_a_fault_in_a_worker_reaches_the_caller(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"the loss is nan in fold [01], epoch 1, batch 3"):
        run(tiny, tmp_path, model="benching:failing_net", workers=2, threads=1)


@pytest.mark.slow
def test_a_worker_that_dies_is_named(tiny, tmp_path):
    with pytest.raises(DataError, match=r"the process that worked on fold [01] of TinyDVS died"):
        run(tiny, tmp_path, model="test_bench_deaths:dying_net", workers=2, threads=1)


def slow_net(n_classes, n_steps):
    """The small network, slow enough to be killed inside a fold."""
    net = small_net(n_classes, n_steps)
    net.register_forward_pre_hook(lambda module, args: time.sleep(0.05))
    return net


@pytest.fixture(scope="module")
def undisturbed_slow(tiny, tmp_path_factory):
    return run(tiny, tmp_path_factory.mktemp("slow") / "run", model="test_bench_deaths:slow_net")


def start(tmp_path, tiny, arguments):
    """Run the bench of these tests in a process of its own."""
    here = Path(__file__).parent
    (tmp_path / "script.py").write_text(
        "import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from test_bench_deaths import hold, run\n"
        "if __name__ == '__main__':\n"
        f"    run(Path({str(tiny)!r}), Path({str(tmp_path / 'out')!r}), {arguments})\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    return subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], env=environment, start_new_session=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def hold(event):
    """Stay in the middle of the second fold."""
    if event.kind == "train" and (event.fold, event.train.epoch) == (1, 2):
        print("in the middle", flush=True)
        time.sleep(600)


def wait_for(found, child, seconds=300):
    """Wait until something is there while a process lives."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    return found()


@pytest.mark.slow  # two trainings in other processes
def test_a_fold_killed_by_force_ends_in_the_same_row(tiny, undisturbed_slow, tmp_path):
    """A real SIGKILL in the middle of the second fold, and the same command again."""
    child = start(tmp_path, tiny, "model='test_bench_deaths:slow_net', progress=hold")
    out = tmp_path / "out"
    try:
        assert child.stdout.readline() == "in the middle\n"
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    assert [row["fold"] for row in lines(out)] == [0]
    events = []
    rows = run(tiny, out, model="test_bench_deaths:slow_net", progress=events.append)
    first = next(event.train for event in events if event.kind == "train")
    assert first.fold == 1
    assert first.epoch > 1  # it went on from the checkpoint
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed_slow]
    assert not [p for p in out.rglob(".*.part*")]


@pytest.mark.slow  # trainings in two processes
def test_two_benches_on_one_folder_share_its_folds(tiny, undisturbed_slow, tmp_path):
    children = [
        start(tmp_path, tiny, "model='test_bench_deaths:slow_net', command='evfer bench'")
        for _ in range(2)
    ]
    out = tmp_path / "out"
    try:
        codes = [child.wait(600) for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    rows = sorted(lines(out), key=lambda row: row["fold"])
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed_slow]
    # who ends first may have found the other at work
    assert sorted(codes) in ([0, 0], [0, 1])
    assert not list(out.glob(".fold-*"))
    events = []
    run(tiny, out, model="test_bench_deaths:slow_net", progress=events.append)
    assert {event.kind for event in events} == {"kept"}


@pytest.mark.slow
def test_a_worker_killed_by_force_is_replaced(tiny, undisturbed_slow, tmp_path):
    """Somebody else's SIGKILL, as from a machine that is out of memory, ends nothing."""
    child = start(tmp_path, tiny, "model='test_bench_deaths:slow_net', workers=2, threads=1")
    out = tmp_path / "out"
    try:
        wait_for(lambda: len(list((out / "checkpoints").glob("*.state.pt"))) == 2, child)
        workers = [pid for pid in _children(child.pid) if "spawn_main" in _command(pid)]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        assert child.wait(600) == 0
    finally:
        if _session_lives(child.pid):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()  # closes its pipe too
    rows = sorted(lines(out), key=lambda row: row["fold"])
    assert [timeless(row) for row in rows] == [timeless(row) for row in undisturbed_slow]


def _children(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted({int(child) for task in tasks for child in task.read_text().split()})


def _command(pid):
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.slow  # ten seconds of processes
def test_processes_take_slots_and_leave_them(tmp_path):
    """What spreads processes over GPUs: the lowest number that no living process has."""
    code = (
        "import sys; from pathlib import Path; from evfer.bench.pool import take_slot\n"
        "print(take_slot(Path(sys.argv[1])), take_slot(Path(sys.argv[1])), flush=True)\n"
        "sys.stdin.read()"
    )

    def sit():
        child = subprocess.Popen(
            [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        first, second = map(int, child.stdout.readline().split())
        assert first == second
        return first, child

    (a, first), (b, second) = sit(), sit()
    assert (a, b) == (0, 1)
    first.kill()
    first.communicate()
    c, third = sit()
    assert c == 0
    for child in (second, third):
        child.communicate(b"")
        assert child.returncode == 0


def test_gpus_are_shared_out(tmp_path, monkeypatch):
    from evfer.bench import pool

    monkeypatch.setattr(pool, "take_slot", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    for visible, count, mine in (("", 2, "1"), ("4,5,6,7", 4, "7"), ("", 1, ""), ("", 0, "")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        pool._choose_gpu.__wrapped__()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == mine


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupt", "kill"])
def test_workers_end_with_their_parent(tiny, tmp_path, number):
    here = Path(__file__).parent
    script = (
        "from pathlib import Path\n"
        "from benching import run\n"
        "from learning import make_config\n"
        "if __name__ == '__main__':\n"
        f"    run(Path({str(tiny)!r}), Path({str(tmp_path)!r}), workers=2, threads=1,"
        " config=make_config(train={'epochs': 100000}))\n"
    )
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    child = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], env=environment, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "checkpoints").glob("*.state.pt"))) < 2:
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.1)
        child.send_signal(number)
        assert child.wait(30) != 0
        deadline = time.monotonic() + 30
        while _session_lives(child.pid):
            assert time.monotonic() < deadline, "workers live on"
            time.sleep(0.1)
    finally:
        if _session_lives(child.pid):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _session_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
