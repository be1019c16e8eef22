"""Tasks on a Dask cluster of real worker processes: results, deaths, differences."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from evfer import convert, provenance, workers
from evfer.cli import main
from evfer.convert import batch
from evfer.datasets.demo import DemoHeads
from evfer.errors import ClusterError, ConfigError, DataError, MissingExtra, VideoError

distributed = pytest.importorskip("distributed")

DEMO = DemoHeads(people=2, repetitions=1, frames=10)
PLAIN = convert.load_config("default", {"interpolation": {"method": "none"}})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    # a scheduler and two workers, each a process of its own as a user would start them
    folder = tmp_path_factory.mktemp("cluster")
    code = (
        "import sys, dask; from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        # else it gives up a worker that happens to be between two lives 15 s after a death
        "    dask.config.set({'distributed.deploy.lost-worker-timeout': '1 hour'})\n"
        "    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,\n"
        "                      scheduler_kwargs={'allowed_failures': 1}) as cluster:\n"
        "        print(cluster.scheduler_address, flush=True); sys.stdin.read()\n"
    )
    script = folder / "cluster.py"
    script.write_text(code)
    # it stands in another folder, as other machines do; tests define tasks of their own
    path = os.pathsep.join([os.path.dirname(__file__), os.getcwd()])
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(script)], cwd=folder, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
    )  # fmt: skip
    address = process.stdout.readline().strip()
    assert address.startswith("tcp://")
    yield address
    process.communicate(timeout=120)
    assert process.returncode == 0


def double(value, callback):
    if value == 3:
        raise VideoError("three.avi: cut short", expected="more")
    return 2 * value


def die(value, callback):
    if value == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def whoami(value, callback):
    time.sleep(0.1)
    return os.getpid()


def rest(value, callback):
    time.sleep(3)
    return value


def test_results_and_errors(cluster):
    found = dict(workers.run(double, range(6), None, cluster))
    assert {k: v for k, v in found.items() if k != 3} == {0: 0, 1: 2, 2: 4, 4: 8, 5: 10}
    assert isinstance(found[3], VideoError)
    assert "three.avi: cut short; expected more." in str(found[3])


def count_up(value, callback):
    for i in range(3):
        callback({"pid": os.getpid(), "i": i})
    return value


def test_messages_come_through_the_scheduler(cluster):
    received = []
    for task, result in workers.run(
        count_up, range(4), None, cluster, on_message=lambda *message: received.append(message)
    ):
        assert task == result
    assert {message["pid"] for _, message in received} & {os.getpid()} == set()
    for task in {task for task, _ in received}:
        counted = [message["i"] for t, message in received if t == task]
        assert counted == [0, 1, 2][: len(received)]
    assert received


def test_all_workers_take_part(cluster):
    pids = {pid for _, pid in workers.run(whoami, range(8), None, cluster)}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_a_task_that_kills_its_worker_harms_no_other(cluster):
    found = dict(workers.run(die, range(5), None, cluster))
    assert isinstance(found.pop(2), DataError)
    assert found == {0: 0, 1: 1, 3: 3, 4: 4}


def forget(dask_scheduler):
    dask_scheduler.report({"op": "cancelled-keys", "keys": list(dask_scheduler.tasks)})


@pytest.mark.parametrize("how", ["word", "restart"])
def test_what_the_scheduler_forgets_is_done_again(cluster, how):
    with distributed.Client(cluster, set_as_default=False) as other:
        results = workers.run(whoami, range(12), None, cluster)
        seen = [next(results)[0]]
        if how == "word":
            other.run_on_scheduler(forget)
        else:
            other.restart()
        seen += [value for value, pid in results if isinstance(pid, int)]
    assert sorted(seen) == list(range(12))


def test_a_scheduler_that_forgets_again_and_again(cluster):
    with distributed.Client(cluster, set_as_default=False) as other:
        results = workers.run(rest, [0], None, cluster)
        end = threading.Event()

        def go_on():
            while not end.wait(0.2):
                other.run_on_scheduler(forget)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            with pytest.raises(ClusterError, match="forgotten a task 3 times .*cancelled"):
                next(results)
        finally:
            end.set()
            thread.join()


@pytest.mark.slow  # half a minute
def test_a_worker_is_killed_in_the_middle(cluster, tmp_path, monkeypatch):
    whole = convert.convert(DEMO, None, tmp_path / "one", PLAIN)
    victims = sorted({pid for _, pid in workers.run(whoami, range(8), None, cluster)})
    monkeypatch.chdir(tmp_path)

    def kill(progress):
        if progress.done == 2:
            os.kill(victims[0], signal.SIGKILL)

    seen = []
    found = convert.convert(
        DEMO, None, type(tmp_path)("two"), PLAIN, n_workers=None, scheduler=cluster,
        on_progress=lambda progress: (seen.append(progress), kill(progress)),
    )  # fmt: skip
    with pytest.raises(ProcessLookupError):
        os.kill(victims[0], 0)
    assert (found.converted, found.failures) == (12, ())
    assert found.fingerprint == whole.fingerprint
    assert [p.done for p in seen] == list(range(1, 13))
    for entry in whole.entries:
        here, there = (folder / entry.path for folder in (whole.folder, found.folder))
        assert here.read_bytes() == there.read_bytes()
    workers.remove_stale_parts(found.folder)
    assert not [p for p in found.folder.rglob(".*") if ".mark." in p.name]
    again = convert.convert(DEMO, None, tmp_path / "two", PLAIN, scheduler=cluster)
    assert (again.converted, again.kept) == (0, 12)


def test_a_worker_with_other_versions_is_refused(cluster, tmp_path, monkeypatch):
    own = provenance.versions
    monkeypatch.setattr(provenance, "versions", lambda names: own(names) | {"numpy": "0.1"})
    with pytest.raises(ClusterError, match=r"other versions: numpy .* for 0\.1.*constraints"):
        convert.convert(DEMO, None, tmp_path, PLAIN, scheduler=cluster, limit=2)
    assert not list(tmp_path.rglob("*.h5"))


def test_a_worker_that_sees_other_folders_is_refused(tmp_path):
    clip = DEMO.survey(None).clips[0]
    versions = provenance.versions(provenance.CONVERSION_PACKAGES)
    shared = workers.SharedFolder((tmp_path / ".mark", "text"), versions)
    task = batch._Task(DEMO, None, tmp_path, PLAIN, clip, shared)
    with pytest.raises(ClusterError, match="does not see the folder"):
        batch._convert_task(task, print)
    (tmp_path / ".mark").write_text("another folder's")
    with pytest.raises(ClusterError, match="does not see the folder"):
        batch._convert_task(task, print)
    (tmp_path / ".mark").write_text("text")
    with pytest.raises(ClusterError, match="does not see the folder .*source"):
        batch._convert_task(dataclasses.replace(task, source=tmp_path / "source"), print)
    assert batch._convert_task(task, print).clip_id == clip.clip_id


def test_ctrl_c_keeps_what_is_done(cluster, tmp_path):
    command = [sys.executable, "-m", "evfer", "convert", "--dataset", "demo", "--out", tmp_path]
    command += ["--scheduler", cluster, "--set", "dataset.people=12", "--set", "dataset.frames=9"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    folder = tmp_path / "FerDVS" / "DemoDVS"
    deadline = time.monotonic() + 300
    while len(list(folder.glob("*/[0-9]*.h5"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "What is finished is kept" in err
    assert "Traceback" not in err
    assert not list(folder.rglob(".mark*"))


@pytest.mark.slow  # waits for one that is not there
def test_no_cluster_there(capsys, tmp_path):
    given = ["convert", "--dataset", "demo", "--out", str(tmp_path / "data"), "--scheduler"]
    for address in ("127.0.0.1:1", "nonsense", "foo://127.0.0.1:1"):
        start = time.monotonic()
        assert main([*given, address]) == 2
        assert time.monotonic() - start < 60  # 8 s to connect; a client would go on trying
        said = " ".join(capsys.readouterr().err.split())
        assert f"{address}: no Dask scheduler answers" in said
        assert "dask scheduler" in said
        assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


def test_the_scheduler_goes_away(tmp_path):
    code = (
        "import sys; from distributed import LocalCluster\n"
        "with LocalCluster(n_workers=1, processes=False, protocol='tcp://',\n"
        "                  dashboard_address=None) as cluster:\n"
        "    print(cluster.scheduler_address, flush=True); sys.stdin.read()\n"
    )
    path = os.path.dirname(__file__)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    address = process.stdout.readline().strip()
    results = workers.run(whoami, range(50), None, address)
    assert len([next(results) for _ in range(3)]) == 3
    process.kill()
    with pytest.raises(ClusterError, match="has gone away"):
        list(results)
    process.communicate(timeout=10)


def test_dask_is_not_installed(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "distributed.core", None)
    given = ["convert", "--dataset", "demo", "--out", str(tmp_path / "d"), "--scheduler", "a:1"]
    assert main(given) == 4
    assert 'pip install "evfer[dask]"' in " ".join(capsys.readouterr().err.split())
    with pytest.raises(MissingExtra):
        list(workers.run(double, [1], None, "a:1"))
    with pytest.raises(ConfigError, match="0 workers"):
        list(workers.run(double, [1], 0, "a:1"))


@pytest.mark.slow
def test_folds_on_a_cluster(cluster, tmp_path, monkeypatch):
    """The same rows as in this process, a worker's death or not."""
    from benching import run, timeless, write_set

    folder = write_set(tmp_path / "data")
    here = run(folder, tmp_path / "here", threads=1)
    monkeypatch.chdir(tmp_path)
    seen = []
    rows = run(
        type(tmp_path)("data") / folder.relative_to(tmp_path / "data"),
        type(tmp_path)("there"),
        workers=None,
        scheduler=cluster,
        progress=seen.append,
    )
    assert [timeless(row) for row in rows] == [timeless(row) for row in here]
    assert {event.fold for event in seen if event.kind == "train"} == {0, 1, 2, 3}
    assert not list((tmp_path / "there").glob(".mark*"))
    assert len((tmp_path / "there" / "rows.jsonl").read_text().splitlines()) == 4
