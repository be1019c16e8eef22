"""The packed cache: made on first use, filled as events are asked for, never trusted blindly."""

import dataclasses
import hashlib
import pickle
import shutil
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from event_sets import SENSOR, make_events, write_set

from evfer import recordings, transforms
from evfer.errors import RecordingError
from evfer.events import Columns
from evfer.files import host_tag, sha256_file
from evfer.frames import FramesParams
from evfer.inputs import cache, load_set, make_frames, pack_events

LENGTHS = (40, 0, 90, 7, 55, 61, 33)


@pytest.fixture
def folder(tmp_path):
    return write_set(tmp_path, [make_events(n, n) for n in LENGTHS])


def caches(folder):
    return sorted(path for path in (folder / ".cache").iterdir() if path.is_dir())


def everything(data):
    """Ask for all events, and give them as bytes."""
    return [tuple(column.tobytes() for column in data.columns(i)) for i in range(len(data))]


@pytest.fixture
def truth():
    made = [make_events(n, n) for n in LENGTHS]
    made = [events[np.lexsort([events[k] for k in "pxyt"])] for events in made]
    kinds = {"x": np.uint8, "y": np.uint8, "p": np.bool_, "t": np.uint32}
    return [tuple(e[name].astype(kind).tobytes() for name, kind in kinds.items()) for e in made]


def pack_truth(truth):
    """Pack the same events into memory."""
    kinds = (np.uint8, np.uint8, np.bool_, np.uint32)
    clips = []
    for clip in truth:
        columns = [np.frombuffer(raw, kind) for raw, kind in zip(clip, kinds, strict=True)]
        clips.append(Columns(*columns).events())
    return pack_events(clips, [0] * 7, list("aabbccc"), SENSOR, ["happy"])


def test_the_cache_is_made_once_and_holds_seven_bytes_an_event(folder, monkeypatch, truth):
    first = load_set(folder)
    (place,) = caches(folder)
    assert isinstance(first.packed.columns.t.base, np.memmap)
    assert sum(column.nbytes for column in first.packed.columns) == 7 * sum(LENGTHS)
    assert everything(first) == truth
    with monkeypatch.context() as patch:
        patch.setattr(recordings, "layout", None)  # what is cached is not looked up again
        assert everything(load_set(folder)) == truth
    assert caches(folder) == [place]
    assert not [path for path in (folder / ".cache").iterdir() if path.name.startswith(".")]


def test_clips_are_read_when_they_are_asked_for(folder, monkeypatch):
    asked = []
    read = recordings.Layout.columns
    monkeypatch.setattr(
        recordings.Layout, "columns", lambda self: asked.append(self.path.name) or read(self)
    )
    data = load_set(folder)
    assert asked == []
    make_frames(data, 2, FramesParams(2, "count_or_bins", size=None, event_count=10))
    assert asked == ["002.h5"]
    make_frames(data, 2, FramesParams(2, size=None))
    make_frames(load_set(folder), 2, FramesParams(2, size=None))
    assert asked == ["002.h5"]
    everything(data)
    assert sorted(asked) == ["000.h5", "002.h5", "003.h5", "004.h5", "005.h5", "006.h5"]


def test_threads_that_ask_at_once_get_the_same(folder, truth):
    data = load_set(folder)
    rng = np.random.default_rng(0)

    def ask(clip):
        return tuple(column.tobytes() for column in data.columns(clip)) == truth[clip]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, [int(i) for i in rng.integers(0, 7, 300)]))
    assert everything(data) == truth


FILL = """
import hashlib, random, sys
from pathlib import Path
from evfer.inputs import load_set
data = load_set(Path(sys.argv[1]))
found = {}
for i in random.Random(int(sys.argv[2])).sample(range(len(data)), len(data)):
    found[i] = b"".join(column.tobytes() for column in data.columns(i))
print(hashlib.sha256(b"".join(found[i] for i in range(len(data)))).hexdigest())
"""


def test_processes_that_fill_one_cache_at_once_get_the_same(folder, truth):
    fills = [
        subprocess.Popen(
            [sys.executable, "-c", FILL, str(folder), str(i)], stdout=subprocess.PIPE, text=True
        )
        for i in range(2)
    ]
    told = hashlib.sha256(b"".join(b"".join(clip) for clip in truth)).hexdigest()
    assert [fill.communicate(timeout=120)[0].strip() for fill in fills] == [told, told]
    assert len(caches(folder)) == 1
    assert everything(load_set(folder)) == truth


@pytest.mark.parametrize("column", Columns._fields)
def test_a_clip_that_was_not_written_to_its_end_is_read_again(folder, column, truth):
    everything(load_set(folder))
    (place,) = caches(folder)
    values = np.load(place / f"{column}.npy", mmap_mode="r+")
    values[60:70] = np.logical_not(values[60:70]) if column == "p" else values[60:70] + 1
    values.flush()
    assert everything(load_set(folder)) == truth
    assert np.array_equal(np.load(place / f"{column}.npy"), values)  # and it was mended on disk


def test_checksums_are_crc32(folder):
    everything(load_set(folder))
    (place,) = caches(folder)
    total = 0
    for name in Columns._fields:
        total = zlib.crc32(np.load(place / f"{name}.npy")[40:130].tobytes(), total)
    assert np.load(place / "sums.npy")[2] == total


@pytest.mark.parametrize("after", [0, 1, 9])
def test_when_the_disk_gets_full_the_rest_is_kept_in_memory(folder, monkeypatch, after, truth):
    write, written = cache._write, []

    def until_full(*arguments):
        if len(written) == after:
            raise OSError(28, "No space left on device")
        written.append(write(*arguments))

    monkeypatch.setattr(cache, "_write", until_full)
    augmentation = transforms.build(
        [{"name": "noise", "p": 1.0}, {"name": "reverse", "p": 1.0}, {"name": "drop_time"}]
    )
    params = FramesParams(2, "count_or_bins", binary=False, size=None, event_count=4)
    framed = [
        [
            make_frames(data, clip, params, augmentation, np.random.default_rng(clip))
            for clip in range(7)
        ]
        for data in (load_set(folder), pack_truth(truth))
    ]
    for one, other in zip(*framed, strict=True):
        np.testing.assert_array_equal(one, other)
    written.clear()
    data = load_set(folder)
    assert everything(data) == truth
    monkeypatch.setattr(cache, "_write", write)
    assert everything(load_set(folder)) == truth


def test_a_cache_that_may_not_be_written_is_read(folder, monkeypatch, truth):
    data = load_set(folder)
    data.columns(0)
    (place,) = caches(folder)
    sums = (place / "sums.npy").read_bytes()
    monkeypatch.setattr(cache.os, "access", lambda *_: False)
    assert everything(load_set(folder)) == truth
    assert (place / "sums.npy").read_bytes() == sums


def test_without_room_for_a_cache_the_set_is_in_memory(folder, monkeypatch, truth):
    monkeypatch.setenv("EVFER_CACHE", str(folder / "index.csv" / "nowhere"))
    found = load_set(folder)
    assert found.packed.columns.t.base is None  # nothing is mapped
    assert everything(found) == truth


def test_the_room_is_taken_at_once(folder, monkeypatch, truth):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "posix_fallocate", full, raising=False)
    found = load_set(folder)
    assert found.packed.columns.t.base is None
    assert everything(found) == truth
    assert caches(folder) == []


def test_the_cache_can_lie_elsewhere(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EVFER_CACHE", str(tmp_path / "elsewhere"))
    load_set(folder)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1
    assert not (folder / ".cache").exists()


def test_a_recording_that_was_exchanged_is_refused(folder):
    entries = recordings.read_index(folder)
    path = folder / entries[0].path
    mirrored = recordings.read(path).events.copy()
    mirrored["x"] = SENSOR.width - 1 - mirrored["x"]
    recordings.write(path, mirrored, SENSOR, {}, duration_us=50_000)
    with pytest.raises(RecordingError, match="not the recording that was converted"):
        load_set(folder)


def test_a_recording_that_goes_is_missed_where_it_is_needed(folder, truth):
    data = load_set(folder)
    data.columns(0)
    for entry in recordings.read_index(folder)[:3:2]:
        (folder / entry.path).unlink()
    assert tuple(column.tobytes() for column in data.columns(0)) == truth[0]
    with pytest.raises(RecordingError, match=r"002\.h5"):
        data.columns(2)
    with pytest.raises(RecordingError, match="no such file"):
        load_set(folder)


def test_a_recording_that_is_exchanged_while_it_is_used_is_noticed(folder, truth):
    data = load_set(folder)
    data.columns(0)
    for entry in recordings.read_index(folder)[
        :3:2
    ]:  # the same length, the same place of each chunk
        path = folder / entry.path
        events = recordings.read(path).events.copy()
        events["p"] = ~events["p"]
        recordings.write(path, events, SENSOR, {}, duration_us=50_000)
    assert tuple(column.tobytes() for column in data.columns(0)) == truth[0]
    with pytest.raises(RecordingError, match="changed after it was looked at"):
        data.columns(2)


@pytest.mark.parametrize("own", [True, False])
def test_a_recording_of_other_bytes_is_refused(folder, own):
    entries = recordings.read_index(folder)
    path = folder / entries[0].path
    if not own:
        with h5py.File(path, "r+") as file:
            del file.attrs["events_sha256"]
    told = {"file_sha256": sha256_file(path), "bytes": path.stat().st_size}
    recordings.write_index(folder, [dataclasses.replace(entries[0], **told), *entries[1:]])
    load_set(folder)
    shutil.rmtree(folder / ".cache")
    with h5py.File(path, "r+") as file:
        file["events"][0, 1] += 1
        file["events"].attrs["note"] = "x" * 999
    with pytest.raises(RecordingError, match="not the recording that was converted"):
        load_set(folder)


def test_sets_go_to_other_processes(folder, truth):
    data = load_set(folder)
    data.columns(2)
    again = pickle.loads(pickle.dumps(data))
    assert everything(again) == truth
    assert everything(data) == truth


def test_a_recording_of_another_tool_is_looked_through_at_once(folder):
    entries = recordings.read_index(folder)
    found = recordings.layout(folder / entries[0].path)
    assert found.events_sha256 == entries[0].events_sha256
    with h5py.File(folder / entries[0].path, "r+") as file:
        del file.attrs["events_sha256"]
        file["events"][3, 0] = 2**31  # times go back
    with pytest.raises(RecordingError, match="event 4 at"):
        load_set(folder)


def test_a_changed_recording_makes_a_new_cache_and_the_old_one_goes(folder):
    load_set(folder)
    (place,) = caches(folder)
    entries = recordings.read_index(folder)
    events = make_events(40, 99)
    digest = recordings.write(folder / entries[0].path, events, SENSOR, {}, duration_us=50_000)
    recordings.write_index(
        folder, [dataclasses.replace(entries[0], events_sha256=digest), *entries[1:]]
    )
    found = load_set(folder)
    np.testing.assert_array_equal(found.events(0)["t"], events["t"])
    assert len(caches(folder)) == 1
    assert caches(folder) != [place]


@pytest.mark.parametrize("harm", ["cut", "missing", "meta", "version", "sums"])
def test_a_damaged_cache_is_made_anew(folder, harm, truth):
    everything(load_set(folder))
    (place,) = caches(folder)
    meta = place / "meta.json"
    if harm == "cut":
        (place / "t.npy").write_bytes((place / "t.npy").read_bytes()[:-1])
    elif harm == "missing":
        (place / "x.npy").unlink()
    elif harm == "meta":
        meta.write_text("{")
    elif harm == "sums":
        (place / "sums.npy").write_bytes(b"nonsense")
    else:
        meta.write_text(meta.read_text().replace('"version": 3', '"version": 1'))
    assert everything(load_set(folder)) == truth
    assert caches(folder) == [place]
    assert '"version": 3' in meta.read_text()


def test_what_a_killed_process_left_in_the_cache_goes(folder):
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    stale, taken = (
        folder / ".cache" / f".ab.{host_tag()}-{pid}.part" for pid in (int(done.stdout), 1)
    )
    for part in (stale, taken):
        part.mkdir(parents=True)
        (part / "t.npy").write_bytes(b"half")
    load_set(folder)
    assert not stale.exists()
    assert taken.exists()
