"""Tasks in processes: results, errors, deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evfer import workers
from evfer.errors import ConfigError, DataError, OutputError, VideoError
from evfer.files import host_tag, whole_file


def double(value, callback):
    if value == 3:
        raise VideoError("three.avi: cut short", expected="more")
    return 2 * value


def die(value, callback):
    if value == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die_once(path, callback):
    path = Path(path)
    if not path.exists():
        path.write_text("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def fail_to_write(value, callback):
    raise OutputError(f"cannot write {value}")


@pytest.mark.parametrize("n_workers", [1, 2])
def test_results_and_errors(n_workers):
    found = dict(workers.run(double, range(6), n_workers))
    assert {k: v for k, v in found.items() if k != 3} == {0: 0, 1: 2, 2: 4, 4: 8, 5: 10}
    assert isinstance(found[3], VideoError)
    assert "three.avi: cut short; expected more." in str(found[3])


def test_a_task_that_kills_its_process_harms_no_other():
    found = dict(workers.run(die, range(5), 2))
    assert isinstance(found.pop(2), DataError)
    assert found == {0: 0, 1: 1, 3: 3, 4: 4}


def test_a_process_that_dies_once_is_forgiven(tmp_path):
    tasks = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert dict(workers.run(die_once, tasks, 2)) == dict.fromkeys(tasks, "done")


@pytest.mark.parametrize("n_workers", [1, 2])
def test_nothing_goes_on_when_nothing_can_be_written(n_workers):
    with pytest.raises(OutputError, match="cannot write"):
        list(workers.run(fail_to_write, range(3), n_workers))


def count_up(value, callback):
    for i in range(3):
        callback((os.getpid(), i))
    if value == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


@pytest.mark.parametrize("n_workers", [1, 2])
def test_messages_come_in_order_and_before_the_result(n_workers):
    received, ended = [], []
    tasks = [0, 2, 3, 4]
    for task, result in workers.run(
        count_up, tasks, n_workers, on_message=lambda *message: received.append(message)
    ):
        assert result == task
        ended.append(task)
        assert [i for t, (_, i) in received if t == task] == [0, 1, 2]
    assert sorted(ended) == tasks
    assert (os.getpid() in {pid for _, (pid, _) in received}) == (n_workers == 1)


def test_messages_of_others_survive_a_death():
    received = []
    results = dict(
        workers.run(
            count_up, [0, 1, 2, 3], 2, on_message=lambda task, m: received.append((task, m[1]))
        )
    )
    assert isinstance(results.pop(1), DataError)
    assert results == {0: 0, 2: 2, 3: 3}
    for task in results:
        # what was under way at a death is done again
        assert [i for t, i in received if t == task][-3:] == [0, 1, 2]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_who_takes_messages_may_end_everything(n_workers):
    class EnoughError(Exception):
        pass

    def stop(task, message):
        raise EnoughError

    with pytest.raises(EnoughError):
        list(workers.run(count_up, [0, 2, 3], n_workers, on_message=stop))


def name_caller(value, callback):
    frames, frame = [], sys._getframe(1)
    while frame:
        frames.append(frame.f_code)
        frame = frame.f_back
    package = Path(workers.__file__).parent
    return [code.co_name for code in frames if Path(code.co_filename).parent == package]


def test_a_task_done_here_is_two_calls_away():
    for _, callers in workers.run(name_caller, [1, 2], 1):
        assert callers == ["submit", "run"]


def test_tasks_are_asked_for_when_there_is_someone_to_do_them():
    asked = []

    def tasks():
        for value in range(6):
            asked.append(value)
            yield value

    results = workers.run(double, tasks(), 1)
    for value in range(6):
        assert next(results)[0] == value
        assert asked == list(range(value + 1))


def test_what_died_is_named():
    ((_, result),) = workers.run(die, iter([2]), 2, what=lambda task: f"task {task}")
    assert "the process that worked on task 2 died" in str(result)
    ((_, result),) = workers.run(die, iter([2]), 2)
    assert "on this clip died" in str(result)


def test_no_workers():
    with pytest.raises(ConfigError, match="0 workers"):
        list(workers.run(double, [1], 0))


def test_stale_parts_are_removed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead, live = int(done.stdout), os.getpid()
    old, young = (tmp_path / f".00{k}.{'0' * 8}-{dead}.part.h5" for k in (2, 3))
    kept = [tmp_path / f".001.{host_tag()}-{live}.part.h5", young, tmp_path / "001.h5"]
    for path in (*kept, old, tmp_path / f".001.{host_tag()}-{dead}.part.h5"):
        path.write_text("x")
    os.utime(old, (0, time.time() - 4000))
    workers.remove_stale_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_stale_folders_are_removed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead, live, cache = int(done.stdout), os.getpid(), tmp_path / ".cache"
    mine, other = f".ab.{host_tag()}", f".ab.{'0' * 8}"
    names = [f"{mine}-{dead}.part", f"{mine}-{live}.part", f"{other}-1.part", f"{other}-2.part"]
    for name in names:
        (cache / name).mkdir(parents=True)
        (cache / name / "x.npy").write_text("x")
    for path in (cache / names[2], cache / names[2] / "x.npy", cache / names[3]):
        os.utime(path, (0, time.time() - 4000))  # the last one's file is still written
    workers.remove_stale_parts(tmp_path)
    assert sorted(path.name for path in cache.iterdir()) == sorted([names[1], names[3]])


def test_temporary_files_bear_the_tag(tmp_path):
    with whole_file(tmp_path / "001.h5") as part:
        assert part.name == f".001.{host_tag()}-{os.getpid()}.part.h5"
        part.write_text("x")
