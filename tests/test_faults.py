"""What can go wrong around a conversion: deaths, full disks, foreign files, thousands of clips."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from evfer import convert, recordings
from evfer.cli import main
from evfer.datasets.demo import DemoHeads
from evfer.errors import OutputError
from evfer.files import host_tag
from evfer.recordings.verify import verify_set

DEMO = DemoHeads(people=2, repetitions=1, frames=10)
PLAIN = convert.load_config("default", {"interpolation": {"method": "none"}})
GIVEN = ["--dataset", "demo", "--set", "interpolation.method=none", "--set", "dataset.people=2"]
GIVEN += ["--set", "dataset.repetitions=1", "--set", "dataset.frames=10"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return convert.convert(DEMO, None, tmp_path_factory.mktemp("whole"), PLAIN)


@pytest.fixture
def copied(undisturbed, tmp_path):
    """A data folder with a whole set, to be spoilt."""
    shutil.copytree(undisturbed.folder, tmp_path / "FerDVS" / "DemoDVS")
    return tmp_path


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, " ".join(said.out.split()), " ".join(said.err.split())


def wait_for(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow  # ten seconds of processes
def test_a_killed_worker_costs_no_clip(undisturbed, tmp_path):
    def kill(progress):
        if progress.done == 2:
            children = [p for p in multiprocessing.active_children() if p.name.startswith("Spawn")]
            os.kill(children[0].pid, signal.SIGKILL)

    found = convert.convert(DEMO, None, tmp_path, PLAIN, n_workers=2, on_progress=kill)
    assert (found.converted, found.failures) == (12, ())
    assert found.fingerprint == undisturbed.fingerprint
    convert.convert(DEMO, None, tmp_path, PLAIN)
    assert not list(tmp_path.rglob("*.part*"))


def hold(progress):
    """Stay in the middle, however slowly those who wait for it look."""
    if progress.done == 3:
        print("three clips", flush=True)
        time.sleep(600)


@pytest.mark.slow  # ten seconds of processes
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_workers_end_with_a_killed_parent(undisturbed, tmp_path, capsys):
    script = tmp_path / "script.py"
    script.write_text(
        "from test_faults import *\n"
        "if __name__ == '__main__':\n"
        f"    convert.convert(DEMO, None, Path({str(tmp_path)!r}), PLAIN, n_workers=2,"
        " on_progress=hold)\n"
    )
    here = Path(__file__).parent
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
    )  # fmt: skip
    folder = tmp_path / "FerDVS" / "DemoDVS"
    assert parent.stdout.readline() == "three clips\n"
    found = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    children = [int(pid) for pid in found]
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not any(is_alive(pid) for pid in children), 60)
    assert not (folder / "index.csv").exists()
    (folder / "S001" / f".007.{host_tag()}-{children[0]}.part.h5").write_bytes(b"half")
    code, out, _ = run(capsys, "convert", *GIVEN, "--out", tmp_path, "--workers", 2)
    assert code == 0
    assert undisturbed.fingerprint in out
    assert not list(tmp_path.rglob("*.part*"))
    assert verify_set(folder, undisturbed.folder / "fingerprint.txt").ok


def is_alive(pid):
    try:
        # a zombie whose new parent has not looked yet does no harm
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def in_own_mounts(script, folder):
    """Run a shell script as its own root, in mounts of its own, at an empty folder."""
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-Urm", "true"], check=False).returncode:
        pytest.skip("no file systems of one's own can be mounted here")
    convert = " ".join([sys.executable, "-m evfer convert", *GIVEN, "--out", str(folder)])
    return subprocess.run(
        [unshare, "-Urm", "sh", "-c", script],
        env={**os.environ, "D": str(folder), "CONVERT": convert},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_space_left(undisturbed, tmp_path, workers):
    sizes = [entry.bytes for entry in undisturbed.entries]
    room = sum(sizes[:4]) + 2 * max(sizes)  # what is written beside counts too, page by page
    assert room < sum(sizes)
    script = f"""
        mount -t tmpfs -o size={room} tmpfs $D || exit 99
        $CONVERT --workers {workers}; echo code $?
        find $D -name '*.part*'
        mount -o remount,size=50m $D
        $CONVERT --workers {workers}; echo code $?
        find $D -name '*.part*'
    """
    done = in_own_mounts(script, tmp_path)
    out, err = " ".join(done.stdout.split()), " ".join(done.stderr.split())
    first, _, second = out.partition("code 2")
    assert "fingerprint" not in first
    assert "No space left on device" in err
    assert "make room on the disk" in err
    assert "Traceback" not in err
    kept = int(re.search(r"(\d+) kept", second)[1])
    assert 2 <= kept <= 8
    assert f"fingerprint {undisturbed.fingerprint} code 0" in second
    assert ".part" not in out


def test_no_write_permission(tmp_path):
    script = "mount -t tmpfs -o ro tmpfs $D || exit 99; $CONVERT; echo code $?"
    done = in_own_mounts(script, tmp_path)
    assert "code 2" in done.stdout
    assert "Read-only file system" in " ".join(done.stderr.split())
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_no_write_permission_for_a_user(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        convert.convert(DEMO, None, tmp_path, PLAIN, limit=1)


def test_a_set_may_not_be_written_any_more(copied, monkeypatch):
    shutil.rmtree(copied / "FerDVS" / "DemoDVS" / "S002")
    (copied / "FerDVS" / "DemoDVS" / "S002").write_text("a file where a folder must be")
    with pytest.raises(OutputError, match="S002"):
        convert.convert(DEMO, None, copied, PLAIN)
    assert len(recordings.read_index(copied / "FerDVS" / "DemoDVS")) == 6


def test_another_recipe_is_told_and_converted_anew(capsys, copied):
    more = ["--set", "emulator.pos_thres=0.3", "--set", "seed=4"]
    code, out, _ = run(capsys, "convert", *GIVEN, *more, "--out", copied, "--dry-run")
    assert code == 0
    why = "another recipe: emulator.pos_thres 0.2, now 0.3; seed 0, now 4"
    assert f"12 recordings stale, converted anew: {why}" in out
    assert "12 to convert (0 missing, 12 stale), 0 up to date" in out
    assert len(recordings.read_index(copied / "FerDVS" / "DemoDVS")) == 12
    given = ["--out", copied, "--subjects", "S002", "--limit", 2, "--workers", 1]
    code, out, err = run(capsys, "convert", *GIVEN, *more, *given)
    assert code == 0
    assert f"2 recordings stale, converted anew: {why}" in err
    assert f"10 recordings stale, not selected, left out of the index: {why}" in err
    folder = copied / "FerDVS" / "DemoDVS"
    # recordings of two recipes never stand in one index
    assert [entry.clip_id for entry in recordings.read_index(folder)] == ["S002/001", "S002/002"]
    assert len(verify_set(folder).unlisted) == 10
    again = convert.convert(DEMO, None, copied, PLAIN)
    assert (again.converted, again.kept) == (2, 10)


def test_reasons_for_stale_recordings(copied):
    folder = copied / "FerDVS" / "DemoDVS"

    def change(name, **attributes):
        with h5py.File(folder / "S001" / name, "r+") as file:
            file.attrs.update(attributes)

    change("001.h5", generator_version="0.0.1")
    change("002.h5", label_name="joy")
    change("003.h5", source_sha256="0" * 64)
    change("004.h5", complete=0)
    cut = folder / "S001" / "005.h5"
    cut.write_bytes(cut.read_bytes()[:3000])
    (folder / "S001" / "006.h5").unlink()
    found = convert.plan(DEMO, None, copied, PLAIN)
    assert {item.clip_id: item.reason for item in found.stale} == {
        "S001/001": "made by evfer 0.0.1",
        "S001/002": "another label",
        "S001/003": "its source has changed, or the frame rate or labels asked for",
        "S001/004": "the file is damaged",
        "S001/005": "the file is damaged",
    }
    assert (len(found.todo), found.n_missing, len(found.kept)) == (6, 1, 6)


def test_files_of_other_tools_are_left_alone(capsys, undisturbed, copied):
    folder = copied / "FerDVS" / "DemoDVS"
    table = np.zeros((5, 4), np.uint32)
    other, text = folder / "S001" / "003.h5", folder / "S002" / "001.h5"
    with h5py.File(other, "w") as file:  # as the published recordings are
        file["events"] = table
    text.write_text("my notes")
    (folder / "S002" / "099.h5").write_text("mine too")
    before = {path: path.read_bytes() for path in (other, text, folder / "S002" / "099.h5")}
    code, out, err = run(capsys, "convert", *GIVEN, "--out", copied, "--workers", 1)
    assert code == 3
    for name in ("S001/003.h5", "S002/001.h5", "S002/099.h5"):
        assert f"left alone {name}: not a recording of these clips" in err
    assert "S001/003.h5: not a recording of evfer, left alone; expected no file" in err
    assert "Move it away" in err
    assert "0 converted, 10 kept, 2 failed" in out
    assert all(path.read_bytes() == content for path, content in before.items())
    other.unlink()
    text.unlink()
    again = convert.convert(DEMO, None, copied, PLAIN)
    assert again.fingerprint == undisturbed.fingerprint


@pytest.mark.parametrize("damage", ["cut", "binary", "gone", "foreign"])
def test_a_damaged_index_is_written_anew(capsys, undisturbed, copied, damage):
    path = copied / "FerDVS" / "DemoDVS" / "index.csv"
    if damage == "cut":
        path.write_text(path.read_text()[:700])
    elif damage == "binary":
        path.write_bytes(os.urandom(500))
    elif damage == "foreign":
        path.write_text("a,b\n1,2\n")
    else:
        path.unlink()
    code, _, err = run(capsys, "verify", path.parent)
    assert code == 3
    assert "Traceback" not in err
    assert "onvert" in err  # again, or first
    again = convert.convert(DEMO, None, copied, PLAIN)
    assert (again.converted, again.kept) == (0, 12)
    assert again.fingerprint == undisturbed.fingerprint
    assert verify_set(path.parent).ok


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_a_clip(tmp_path):
    drawn = [np.asarray(frame) for frame in DEMO.open(DEMO.survey(None).clips[2], None)]
    wide = [cv2.copyMakeBorder(f, 80, 80, 160, 160, cv2.BORDER_REPLICATE) for f in drawn]
    wide = [f if f.ndim == 3 else cv2.cvtColor(f, cv2.COLOR_GRAY2BGR) for f in wide]
    peaks = []
    for n_frames in (40, 2000):
        source = tmp_path / str(n_frames)
        path = source / "surprise" / "anna" / "clip.avi"
        path.parent.mkdir(parents=True)
        code = cv2.VideoWriter.fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 30.0, (640, 480))
        for k in range(n_frames):
            writer.write(wide[abs(k % 18 - 9)])
        writer.release()
        script = (
            "import sys; from evfer.cli import main; code = main(sys.argv[1:])\n"
            "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])\n"
            "sys.exit(code)"
        )
        given = ["convert", "--dataset", "folder", "--source", source, "--out", source / "out"]
        done = subprocess.run(
            [sys.executable, "-c", script, *given, "--workers", "1"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert max(peaks) < 1024
    # the luma of 128 MiB is kept, and the events; 2,000 crops or frames would be 80 or 600 more
    assert peaks[1] - peaks[0] < 250


@pytest.mark.slow
def test_thousands_of_clips_are_planned_in_seconds(tmp_path):
    many = DemoHeads(people=167, repetitions=2, frames=10)
    clips = many.survey(None).clips
    assert len(clips) > 2000
    folder = convert.convert(many, None, tmp_path, PLAIN, limit=1).folder
    content = (folder / "S001" / "001.h5").read_bytes()
    for clip in clips[1:]:
        path = folder / clip.subject / f"{clip.sequence:03d}.h5"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        attributes = dataclasses.asdict(clip) | {"clip_id": clip.clip_id}
        attributes["source_sha256"] = many.source_digest(clip, None)
        with h5py.File(path, "r+") as file:
            file.attrs.update({k: v for k, v in attributes.items() if k in file.attrs})
    checked = []
    start = time.process_time()
    again = convert.convert(many, None, tmp_path, PLAIN, on_check=lambda *at: checked.append(at))
    seconds = time.process_time() - start
    assert (again.converted, again.kept) == (0, len(clips))
    assert checked == [(k, len(clips)) for k in range(1, len(clips) + 1)]
    assert seconds < 60  # 3 ms a clip, seen on an ordinary machine; with room for a slow one
    tracemalloc.start()
    start = time.process_time()
    fresh = convert.plan(many, None, tmp_path / "empty", PLAIN)
    seconds, memory = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(fresh.todo) == len(clips)
    assert seconds < 2
    assert memory < 10e6
    assert recordings.verify_recording(folder / "S167" / "012.h5") == again.entries[0].events_sha256
