"""The lock of a folder, as two processes meet it."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
import threading

import pytest

from evfer.errors import BusyError, OutputError
from evfer.locks import folder_lock

HOLD = """
import sys, time
from pathlib import Path
from evfer.locks import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

COUNT = """
import sys
from pathlib import Path
from evfer.locks import folder_lock
file = Path(sys.argv[1]) / "count"
for _ in range(50):
    with folder_lock(file.parent):
        file.write_text(str(int(file.read_text()) + 1))
"""


def test_a_held_folder_names_its_process_and_a_killed_one_frees_it(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError) as caught, folder_lock(tmp_path, wait=False):
            pass
        assert f"process {other.pid} on {platform.node()}" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert caught.value.exit_code == 3
        other.kill()
    with folder_lock(tmp_path, wait=False):
        pass


def test_processes_take_turns(tmp_path):
    (tmp_path / "count").write_text("0")
    command = [sys.executable, "-c", COUNT, tmp_path]
    others = [subprocess.Popen(command) for _ in range(3)]
    assert [other.wait() for other in others] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "150"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_a_thread_waits(tmp_path):
    order = []

    def second():
        with folder_lock(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    with folder_lock(tmp_path):
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_other_names_are_other_locks(tmp_path):
    with folder_lock(tmp_path), folder_lock(tmp_path, name="rows.lock", wait=False):
        pass


def test_an_error_in_the_block_passes_and_frees(tmp_path):
    with pytest.raises(OSError, match="mine"), folder_lock(tmp_path):
        raise OSError("mine")
    with folder_lock(tmp_path, wait=False):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_no_obstacle(tmp_path, monkeypatch, code):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    done = False
    with folder_lock(tmp_path):
        done = True
    assert done


def test_other_errors_are_told_as_they_are(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(OutputError, match=r"cannot lock .*Input/output error"),
        folder_lock(tmp_path),
    ):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), folder_lock(tmp_path / "file" / "folder"):
        pass


def test_a_colleagues_lock_file_serves_too(tmp_path, monkeypatch):
    (tmp_path / ".lock").write_text("1 elsewhere\n")
    opened = os.open

    def other_users(path, flags, *rest):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", other_users)
    with (
        folder_lock(tmp_path),
        pytest.raises(BusyError),
        folder_lock(tmp_path, wait=False),
    ):
        pass
