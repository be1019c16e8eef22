"""evfer.FerDVS under tonic's contract: its transforms, slicers and caches, and plain h5py."""

from __future__ import annotations

import pickle
import shutil

import h5py
import numpy as np
import pytest
import tonic
from tonic.slicers import SliceByTime
from torch.utils.data import DataLoader

import evfer
from evfer import folds, recordings
from evfer.errors import ConfigError, RecordingError, SourceError
from evfer.events import SensorSize
from evfer.recordings.index import IndexEntry

LABELS = ("happy", "fear", "surprise", "anger", "disgust", "sadness")


@pytest.fixture
def data(tmp_path, make_events):
    """A small set of random events: 4 subjects, 6 clips each; one clip is empty."""
    folder = recordings.set_folder(tmp_path, "CKPlusDVS")
    entries = []
    for s in range(1, 5):
        for k, name in enumerate(LABELS, 1):
            clip, n = f"S{s:03d}/{k:03d}", 0 if (s, k) == (1, 1) else 2000 + 10 * s + k
            path = folder / f"{clip}.h5"
            events = make_events(n, seed=10 * s + k)
            digest = recordings.write(path, events, SensorSize(200, 200), {}, duration_us=10**6)
            entries.append(
                IndexEntry(
                    clip, f"{clip}.h5", f"S{s:03d}", k, k, name,
                    n, 10**6, path.stat().st_size, "", digest, clip, 30.0, 31,
                )
            )  # fmt: skip
    recordings.write_index(folder, entries)
    folds.renew(folder, "strict", 2)
    return tmp_path


def test_contract(data):
    ds = evfer.FerDVS(data, dataset="ck+", fold=0)
    assert isinstance(ds, tonic.Dataset)
    assert (ds.sensor_size, ds.dtype, ds.ordering) == (
        (200, 200, 2),
        evfer.EVENT_DTYPE,
        ("x", "y", "p", "t"),
    )
    assert ds.classes == LABELS
    assert len(ds) == 12
    events, target = ds[1]
    assert events.dtype == evfer.EVENT_DTYPE
    assert target == 1
    assert (np.diff(events["t"]) >= 0).all()
    assert len(list(ds)) == 12  # iterating stops at IndexError


def test_folds_keep_people_apart(data):
    sides = [evfer.FerDVS(data, "ck+", fold=1, train=train) for train in (True, False)]
    clips = [{entry.clip_id for entry in side.entries} for side in sides]
    assert clips[0] | clips[1] == {e.clip_id for e in evfer.FerDVS(data, "ck+").entries}
    assert not {e.subject for e in sides[0].entries} & {e.subject for e in sides[1].entries}
    with pytest.raises(ConfigError, match="fold 2; expected 0 to 1"):
        evfer.FerDVS(data, "ck+", fold=2)
    with pytest.raises(SourceError, match="no converted set"):
        evfer.FerDVS(data, "mmi")


def test_a_set_of_another_title_is_named(data, tmp_path):
    folder = tmp_path / "FerDVS" / "LabDVS"
    shutil.copytree(data / "FerDVS" / "CKPlusDVS", folder)
    (folder / "conversion.toml").write_text('dataset = "folder"\n')
    with pytest.raises(SourceError, match="under another title: --dataset LabDVS"):
        evfer.FerDVS(tmp_path, "folder")
    (folder / "conversion.toml").write_text("not TOML")
    with pytest.raises(SourceError, match="evfer convert --dataset folder"):
        evfer.FerDVS(tmp_path, "folder")


def test_transforms_of_tonic(data):
    steps = [
        tonic.transforms.RandomFlipLR(evfer.FerDVS(data, "ck+").sensor_size, p=1.0),
        tonic.transforms.ToFrame(sensor_size=(200, 200, 2), n_time_bins=6),
    ]
    ds = evfer.FerDVS(
        data, "ck+", transform=tonic.transforms.Compose(steps), target_transform=lambda t: t + 1
    )
    frames, target = ds[3]
    assert frames.shape == (6, 2, 200, 200)
    plain, _ = evfer.FerDVS(data, "ck+")[3]
    assert target == 4
    assert len(plain) - 5 <= frames.sum() <= len(plain)  # tonic's bins lose the tail
    both = evfer.FerDVS(data, "ck+", transforms=lambda e, t: (e[:7], -t))
    assert (len(both[3][0]), both[3][1]) == (7, -3)


def test_caches_and_slicer_of_tonic(data, tmp_path):
    ds = evfer.FerDVS(data, "ck+", fold=0)
    plain = [events for events, _ in ds]
    memory = tonic.MemoryCachedDataset(ds)
    for _ in range(2):
        np.testing.assert_array_equal(memory[2][0], plain[2])
    frames = evfer.FerDVS(
        data, "ck+", fold=0, transform=tonic.transforms.ToFrame((200, 200, 2), n_time_bins=4)
    )
    disk = tonic.DiskCachedDataset(frames, cache_path=str(tmp_path / "cache"))
    for _ in range(2):
        np.testing.assert_array_equal(disk[2][0], frames[2][0])
    slicer = SliceByTime(time_window=200_000)
    sliced = tonic.SlicedDataset(
        evfer.FerDVS(data, "ck+", fold=1), slicer, metadata_path=str(tmp_path / "slices")
    )
    assert len(sliced) > 12
    piece, _ = sliced[0]
    assert piece["t"].max() - piece["t"].min() <= 200_000


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes(data, method):
    ds = evfer.FerDVS(data, "ck+", transform=Shorten())
    assert len(pickle.loads(pickle.dumps(ds))) == 24
    loader = DataLoader(ds, batch_size=4, num_workers=2, multiprocessing_context=method)
    lengths = [n for batch, _ in loader for n in batch.tolist()]
    assert lengths == [entry.n_events for entry in ds.entries]


class Shorten:
    """A transform that can be sent to a worker."""

    def __call__(self, events):
        return len(events)


def test_plain_h5py_reads_the_same(data):
    ds = evfer.FerDVS(data, "ck+")
    for i in (0, 5):
        events, _ = ds[i]
        with h5py.File(ds.data[i]) as file:
            table = np.array(file["events"])
        assert table.shape == (len(events), 4)
        for column, name in enumerate("txyp"):
            np.testing.assert_array_equal(table[:, column], events[name])


def test_damage_is_named(data):
    ds = evfer.FerDVS(data, "ck+")
    with open(ds.data[3], "r+b") as file:
        file.truncate(500)
    with pytest.raises(RecordingError, match=r"004\.h5"):
        ds[3]
