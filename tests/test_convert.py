"""Conversion: resumable, the same for any number of workers, honest about failures."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import weakref

import cv2
import numpy as np
import pytest
from PIL import Image

from evfer import convert, folds, recordings
from evfer.datasets.demo import DemoHeads
from evfer.datasets.folder import Folder
from evfer.emulator import DVSEmulator
from evfer.errors import ConfigError, OutputError, SourceError
from evfer.events import canonical_order, from_raw
from evfer.interpolation import interpolate_pairs
from evfer.recordings.verify import verify_set

DEMO = DemoHeads(people=2, repetitions=1, frames=10)
PLAIN = convert.load_config("default", {"interpolation": {"method": "none"}})


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    seen = []
    summary = convert.convert(DEMO, None, data, PLAIN, on_progress=seen.append)
    assert [p.done for p in seen] == list(range(1, 13))
    return data, summary


def test_a_set_is_written(converted):
    data, summary = converted
    assert (summary.converted, summary.kept, summary.failures) == (12, 0, ())
    folder = data / "FerDVS" / "DemoDVS"
    assert summary.folder == folder
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "S001", "S002", "index.csv", "folds.csv", "manifest.toml", "conversion.toml",
        "failures.csv", "fingerprint.txt",
    }  # fmt: skip
    entries = recordings.read_index(folder)
    assert tuple(entries) == summary.entries
    assert recordings.class_names(entries) == (
        "happy",
        "fear",
        "surprise",
        "anger",
        "disgust",
        "sadness",
    )
    assert [e.label for e in entries] == [1, 2, 3, 4, 5, 6] * 2
    for entry in entries:
        found = recordings.read(folder / entry.path)
        assert found.attributes["clip_id"] == entry.clip_id
        assert found.attributes["duration_us"] == round(9 / 30 * 1e6)
        assert len(found.events) == entry.n_events > 100
        assert found.events["t"][-1] <= found.attributes["duration_us"]
        assert entry.detection_rate == 1
        assert entry.median_iod > 40
    assert verify_set(folder).ok
    plan = folds.read(folder, entries)
    assert (plan.kind, len(plan.splits)) == ("strict", 2)


def test_two_workers_write_the_same_bytes(converted, tmp_path):
    _, one = converted
    two = convert.convert(DEMO, None, tmp_path, PLAIN, n_workers=2)
    assert two.fingerprint == one.fingerprint
    for entry in one.entries:
        assert (two.folder / entry.path).read_bytes() == (one.folder / entry.path).read_bytes()
    check = verify_set(two.folder, one.folder / "fingerprint.txt")
    assert check.ok
    assert check.fingerprint == one.fingerprint


@pytest.mark.parametrize("method", ["none", "linear", "flow"])
@pytest.mark.parametrize("times", ["exact", "v2e"])
def test_clips_stream_pair_by_pair(tmp_path, monkeypatch, method, times):
    clip = DEMO.survey(None).clips[0]
    settings = convert.load_config("default", {"interpolation": {"method": method, "times": times}})
    made, alive = [], []

    def watched(*arguments):
        for frames, times_s in interpolate_pairs(*arguments):
            made.append((frames.copy(), times_s))
            alive.append(weakref.ref(frames))
            yield frames, times_s
            del frames
            # what the camera saw last may still be its own
            assert sum(reference() is not None for reference in alive) <= 2

    monkeypatch.setattr("evfer.convert.clip.interpolate_pairs", watched)
    convert.convert_clip(DEMO, clip, None, tmp_path, settings)
    assert len(made) >= 9
    seed = (0, int.from_bytes(hashlib.sha256(b"demo/S001/001").digest()[:8], "little"))
    frames, when = (np.concatenate(parts) for parts in zip(*made, strict=True))
    expected = from_raw(DVSEmulator(settings.emulator, seed).run(frames, when))
    # two instants within a microsecond become one, whose events stand row by row
    found = recordings.read(tmp_path / "S001" / "001.h5").events
    np.testing.assert_array_equal(found, expected[canonical_order(expected)])


def test_only_what_is_missing_or_stale_is_done(converted, tmp_path):
    data, whole = converted
    shutil.copytree(data, tmp_path / "data")
    folder = tmp_path / "data" / "FerDVS" / "DemoDVS"
    (folder / "S001" / "002.h5").unlink()
    cut = folder / "S002" / "003.h5"
    cut.write_bytes(cut.read_bytes()[:2000])
    (folder / "S002" / "099.h5").write_bytes(b"foreign")
    plan = convert.plan(DEMO, None, tmp_path / "data", PLAIN)
    assert [clip.clip_id for clip in plan.todo] == ["S001/002", "S002/003"]
    assert plan.foreign == ("S002/099.h5",)
    again = convert.convert(DEMO, None, tmp_path / "data", PLAIN)
    assert (again.converted, again.kept) == (2, 10)
    assert again.fingerprint == whole.fingerprint
    assert (folder / "S002" / "099.h5").read_bytes() == b"foreign"


def test_another_recipe_or_source_makes_all_stale(converted):
    data, _ = converted
    other = convert.load_config("default", {"interpolation": {"method": "none"}, "seed": 1})
    assert len(convert.plan(DEMO, None, data, other).todo) == 12
    assert len(convert.plan(dataclasses.replace(DEMO, seed=1), None, data, PLAIN).todo) == 12
    renamed = dataclasses.replace(PLAIN, name="other", about="words shape nothing")
    assert convert.plan(DEMO, None, data, renamed).todo == ()


def test_limit_and_subjects(tmp_path):
    plan = convert.plan(DEMO, None, tmp_path, PLAIN, limit=2, subjects=["S002"])
    assert [clip.clip_id for clip in plan.todo] == ["S002/001", "S002/002"]
    assert not (tmp_path / "FerDVS").exists()
    with pytest.raises(ConfigError, match='subject "S009"; expected one of S001, S002'):
        convert.plan(DEMO, None, tmp_path, PLAIN, subjects=["S009"])


def test_an_interrupted_run_keeps_what_is_done(converted, tmp_path):
    _, whole = converted

    def stop(progress):
        if progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert.convert(DEMO, None, tmp_path, PLAIN, on_progress=stop)
    folder = tmp_path / "FerDVS" / "DemoDVS"
    assert len(recordings.read_index(folder)) == 5
    assert not list(folder.rglob("*.part*"))
    again = convert.convert(DEMO, None, tmp_path, PLAIN)
    assert (again.converted, again.kept) == (7, 5)
    assert again.fingerprint == whole.fingerprint


def test_frames_are_recovered(converted, tmp_path):
    _, summary = converted
    recording = summary.folder / "S001" / "001.h5"
    frames, times_s = convert.recover_frames(recording)
    assert frames.shape == (10, 200, 200)
    np.testing.assert_allclose(times_s, np.arange(10) / 30)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A tree with one good clip and one of each kind of bad one."""
    root = tmp_path_factory.mktemp("source")
    (clip,) = DEMO.survey(None).clips[:1]
    good = list(DEMO.open(clip, None))
    places = {name: root / "happy" / "anna" / name for name in ("good", "noface", "one", "bad")}
    for name, folder in places.items():
        folder.mkdir(parents=True)
        for k, frame in enumerate(good[: 1 if name == "one" else None]):
            shown = np.full_like(frame, 90) if name == "noface" else frame
            cv2.imwrite(str(folder / f"{k:03d}.png"), shown)
    cut = places["bad"] / "003.png"
    cut.write_bytes(cut.read_bytes()[:-5000])
    (root / "happy" / "anna" / "text.mp4").write_text("no video")
    (root / "happy" / "anna" / "empty.avi").write_bytes(b"")
    (root / "happy" / "anna" / "hollow").mkdir()
    return root


def test_failures_are_collected_and_the_rest_goes_on(videos, tmp_path):
    summary = convert.convert(Folder("Mine"), videos, tmp_path, PLAIN)
    assert summary.converted == 1
    found = {f.native_id.rpartition("/")[2]: f for f in summary.failures}
    assert set(found) == {"noface", "one", "bad", "text.mp4", "empty.avi"}
    assert found["noface"].error == "FaceError"
    assert "003.png" in found["bad"].reason
    assert "at least two" in found["one"].reason
    assert "empty file" in found["empty.avi"].reason
    assert [s.path for s in summary.skipped] == ["happy/anna/hollow"]
    table = (summary.folder / "failures.csv").read_text()
    assert table.count("\n") == 6
    assert [e.native_id for e in summary.entries] == ["happy/anna/good"]
    # one subject cannot be split, so no folds are written
    assert not (summary.folder / "folds.csv").exists()


def test_a_changed_source_is_converted_again(videos, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(videos / "happy" / "anna" / "good", source / "happy" / "anna" / "good")
    data = tmp_path / "data"
    convert.convert(Folder(), source, data, PLAIN)
    assert convert.plan(Folder(), source, data, PLAIN).todo == ()
    picture = source / "happy" / "anna" / "good" / "004.png"
    with Image.open(picture) as image:
        image.point(lambda v: v // 2).save(picture)
    assert len(convert.plan(Folder(), source, data, PLAIN).todo) == 1
    with pytest.raises(SourceError, match="not what it was made from"):
        convert.recover_frames(data / "FerDVS" / "FolderDVS" / "anna" / "001.h5", source)


def test_unwritable_output_stops_at_once(tmp_path):
    (tmp_path / "FerDVS").write_text("a file")
    with pytest.raises(OutputError, match="FerDVS"):
        convert.convert(DEMO, None, tmp_path, PLAIN, limit=1)


def test_reader_options_come_from_the_recipe():
    settings = convert.load_config("default", {"dataset": {"people": 3}})
    assert convert.open_dataset("demo", settings) == DemoHeads(people=3)
    wrong = convert.load_config("default", {"dataset": {"persons": 3}})
    with pytest.raises(
        ConfigError, match='"dataset.persons".*Did you mean "dataset.repetitions"|dataset.people'
    ):
        convert.open_dataset("demo", wrong)
    with pytest.raises(ConfigError, match="expected an object with name"):
        convert.open_dataset("pathlib:Path", convert.load_config("default"))


def test_the_users_folds_survive_more_clips_and_interruptions(converted, tmp_path):
    data, whole = converted
    shutil.copytree(data, tmp_path / "data")
    folder = tmp_path / "data" / "FerDVS" / "DemoDVS"
    folds.renew(folder, "loso")
    more = dataclasses.replace(DEMO, people=3)

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert.convert(more, None, tmp_path / "data", PLAIN, on_progress=stop)
    assert 'protocol = "loso"' in (folder / "manifest.toml").read_text()
    again = convert.convert(more, None, tmp_path / "data", PLAIN)
    assert "loso" in again.note
    plan = folds.read(folder, again.entries)
    assert (plan.kind, len(plan.splits)) == ("loso", 3)
    folds.renew(folder, "", imported=folder / "folds.csv")
    assert convert.convert(DEMO, None, tmp_path / "data", PLAIN).note.startswith("The imported")
    assert (folder / "folds.csv").exists()
    assert verify_set(folder).unlisted == tuple(f"S003/{k:03d}.h5" for k in range(1, 7))
    assert whole.note == ""


def test_a_file_that_cannot_be_opened_is_a_failure_like_others(videos, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(videos / "happy" / "anna" / "good", source / "happy" / "anna" / "good")
    (source / "happy" / "anna" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    summary = convert.convert(Folder(), source, tmp_path / "data", PLAIN)
    assert summary.converted == 1
    assert [f.error for f in summary.failures] == ["VideoError"]
    assert "gone.mp4" in summary.failures[0].reason
