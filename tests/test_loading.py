"""A set in memory and its batches: whole, fair, and the same whoever makes them."""

import dataclasses

import numpy as np
import pytest
import torch
from event_sets import SENSOR, make_events, write_set
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer import recordings, transforms
from evfer.errors import ConfigError, DataError, RecordingError, SourceError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.frames import FramesParams, to_frames
from evfer.inputs import EventInputs, EventsOnDevice, Loader, load_set, make_frames, pack_events
from evfer.inputs.cache import PackedEvents
from evfer.inputs.device import make_frames_on

CLASSES = ("happy", "fear", "surprise")


@pytest.fixture
def clips():
    return [make_events(n, n) for n in (40, 0, 90, 7, 55, 61, 33)]


@pytest.fixture
def data(clips):
    return pack_events(clips, [0, 1, 2, 0, 1, 2, 0], list("aabbccc"), SENSOR, CLASSES)


@pytest.fixture
def folder(tmp_path, clips):
    return write_set(tmp_path, clips)


def test_a_set_from_disk_holds_the_recordings(folder, clips):
    found = load_set(folder)
    assert found.name == "TinyDVS"
    assert found.classes == ("label2", "label5", "label9")
    assert found.labels.tolist() == [1, 0, 2, 1, 0, 2, 1]
    assert found.subjects == ("S000", "S000", "S001", "S001", "S002", "S002", "S003")
    assert found.sensor_size == SENSOR
    assert found.fingerprint == (folder / "fingerprint.txt").read_text().splitlines()[-1]
    assert len(found) == 7
    for i, events in enumerate(clips):
        assert found.events(i).dtype == EVENT_DTYPE
        assert np.sort(found.events(i)).tobytes() == np.sort(events).tobytes()


def test_sets_that_cannot_be_used_are_refused(folder, tmp_path):
    with pytest.raises(SourceError, match=r"no index\.csv"):
        load_set(tmp_path)
    entries = recordings.read_index(folder)
    recordings.write_index(folder, [dataclasses.replace(entries[0], n_events=41), *entries[1:]])
    with pytest.raises(RecordingError, match="40 events"):
        load_set(folder)
    other = SensorSize(31, 20)
    recordings.write(folder / entries[2].path, make_events(90, 90), other, {}, duration_us=50_000)
    recordings.write_index(folder, entries)
    with pytest.raises(RecordingError, match="one size a set"):
        load_set(folder)
    recordings.write_index(folder, [])
    with pytest.raises(DataError, match="lists no clip"):
        load_set(folder)


@pytest.mark.parametrize("binary", [True, False])
def test_frames_of_a_clip_are_to_frames(data, clips, binary):
    params = FramesParams(size=8, binary=binary)
    for i, events in enumerate(clips):
        found = make_frames(data, i, params)
        assert found.dtype == (np.uint8 if binary else np.float32)
        expected = to_frames(events, SENSOR, **dataclasses.asdict(params))
        np.testing.assert_array_equal(found, expected)


def test_augmented_frames_follow_their_stages(data, clips):
    augmentation = transforms.build(transforms.parse_names("code_default"))
    params = FramesParams(size=8)
    for clip in range(len(data)):
        rng = np.random.default_rng(clip)
        events = augmentation.on_events(clips[clip], SENSOR, rng)
        region = augmentation.on_region(SENSOR, rng)
        frames = to_frames(events, SENSOR, **dataclasses.asdict(params), region=region)
        expected = augmentation.on_frames(frames, rng)
        found = make_frames(data, clip, params, augmentation, np.random.default_rng(clip))
        np.testing.assert_array_equal(found, expected)


def loader(data, workers=0, held=None, **settings):
    defaults = {
        "training": True,
        "seed": 3,
        "fold": 1,
    }
    clips = settings.pop("clips", tuple(range(7)))
    size = settings.pop("batch_size", 2)
    default = transforms.build(transforms.parse_names("hflip,noise,eventdrop,crop"))
    inputs = EventInputs(data, FramesParams(size=8), settings.pop("augmentation", default), held)
    return Loader(inputs, clips, size, workers=workers, **defaults | settings)


def hold(data):
    packed = data.packed
    device = torch.device("cpu")
    return EventsOnDevice.on(packed.columns, packed.offsets, packed.sensor_size, device)


def flatten(batches):
    return b"".join(b.frames.numpy().tobytes() + b.targets.numpy().tobytes() for b in batches)


def test_workers_change_nothing(data):
    alone = flatten(loader(data).epoch(4))
    assert all(flatten(loader(data, workers).epoch(4)) == alone for workers in (1, 4))


def test_every_epoch_seed_and_fold_is_another_draw(data):
    seen = {
        flatten(loader(data, **settings).epoch(epoch))
        for settings, epoch in [({}, 0), ({}, 1), ({"seed": 4}, 0), ({"fold": 2}, 0)]
    }
    assert len(seen) == 4


def test_a_sample_does_not_depend_on_its_batch(data):
    whole = {
        clip: frames.numpy()
        for batch in loader(data).epoch(2)
        for clip, frames in zip(batch.clips, batch.frames, strict=True)
    }
    assert sorted(whole) == list(range(7))
    for clip in range(7):
        (alone,) = loader(data, clips=(clip,), batch_size=5).epoch(2)
        np.testing.assert_array_equal(alone.frames[0].numpy(), whole[clip])


def test_every_clip_is_changed_in_its_own_way():
    events = make_events(200, 1)
    alike = pack_events([events] * 7, [0] * 7, list("abcdefg"), SENSOR, CLASSES)
    shift = transforms.build([{"name": "shift"}, {"name": "scale"}])
    batches = loader(alike, augmentation=shift).epoch(0)
    seen = {frames.numpy().tobytes() for batch in batches for frames in batch.frames}
    assert len(seen) == 7


def test_batches_hold_every_clip_once_and_never_one_alone(data):
    batches = list(loader(data, batch_size=3).epoch(0))
    assert [len(batch.clips) for batch in batches] == [3, 4]
    assert len(loader(data, batch_size=3)) == 2
    assert sorted(clip for batch in batches for clip in batch.clips) == list(range(7))
    for batch in batches:
        assert batch.frames.shape == (len(batch.clips), 6, 2, 8, 8)
        assert batch.frames.dtype == torch.uint8
        assert batch.targets.tolist() == data.labels[list(batch.clips)].tolist()
    assert [len(c) for c in loader(data, batch_size=3, clips=(1, 2, 3, 4, 5)).order(0)] == [3, 2]
    assert [len(c) for c in loader(data, batch_size=4, clips=(6,)).order(0)] == [1]


def test_testing_keeps_order_and_changes_nothing(data):
    found = list(loader(data, training=False, batch_size=4, workers=2).epoch(9))
    assert [batch.clips for batch in found] == [(0, 1, 2, 3), (4, 5, 6)]
    plain = [make_frames(data, i, FramesParams(size=8)) for i in range(7)]
    np.testing.assert_array_equal(torch.cat([b.frames for b in found]).numpy(), plain)


def test_an_epoch_left_early_ends_its_threads(data):
    import threading

    before = threading.active_count()
    batches = loader(data, workers=3, batch_size=2).epoch(0)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before


def test_a_fault_in_a_worker_reaches_the_caller(data):
    columns = data.packed.columns
    columns = columns._replace(x=columns.x + np.uint8(25))
    packed = PackedEvents(SENSOR, data.packed.offsets, columns)
    broken = dataclasses.replace(data, packed=packed)
    with pytest.raises(DataError, match="at x ="):
        list(loader(broken, workers=2, augmentation=transforms.Augmentation()).epoch(0))


def test_settings_that_cannot_be_used_are_refused(data):
    with pytest.raises(ConfigError, match="batch_size"):
        loader(data, batch_size=0)
    with pytest.raises(ConfigError, match="no clip"):
        loader(data, clips=())
    with pytest.raises(ConfigError, match=r"frames\.kind"):
        EventInputs(data, FramesParams(kind="count"))


STEPS = ["hflip", "noise", "reverse", "polflip", "eventdrop", "drop_events", "drop_time"]


@given(
    st.permutations(STEPS).flatmap(lambda steps: st.integers(0, 7).map(lambda n: steps[:n])),
    st.sampled_from([[], ["mirror_events", "hflip", "noise"], ["crop"], ["drop_area", "shift"]]),
    st.integers(0, 10_000),
    st.sampled_from(["time_bins", "event_bins", "count_or_bins"]),
    st.sampled_from(["exact", "tonic"]),
    st.sampled_from([(None, "maxpool"), (8, "maxpool"), (9, "nearest"), (64, "event")]),
    st.booleans(),
    st.sampled_from([0, 1, 2, 30, 90]),
)
@settings(max_examples=examples(400))
def test_the_fused_walk_gives_the_frames_of_numpy(names, more, seed, kind, edge, size, binary, n):
    often = {"p": 0.8}
    tables = [
        {"name": name} | (often if name in ("hflip", "noise", "reverse") else {})
        for name in (*names, *more)
    ]
    augmentation = transforms.build(tables)
    events = make_events(n, seed)
    events["t"] //= 1 if seed % 2 else 4000  # many events of one instant
    data = pack_events([events], [0], ["a"], SENSOR, CLASSES)
    params = FramesParams(4, kind, edge, binary, size[0], size[1], event_count=5)
    found = make_frames(data, 0, params, augmentation, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    changed = augmentation.on_events(events, SENSOR, rng)
    region = augmentation.on_region(SENSOR, rng)
    expected = to_frames(changed, SENSOR, **dataclasses.asdict(params), region=region)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(None, "maxpool"), (40, "nearest"), (8, "maxpool")])
@pytest.mark.parametrize("step", ["drop_area", "drop_events", "drop_time"])
@pytest.mark.parametrize("seed", range(8))
def test_frames_of_the_middle_of_a_long_clip(size, step, seed):
    tables = [{"name": "reverse", "p": 0.5}, {"name": "noise"}, {"name": "reverse", "p": 0.5}]
    augmentation = transforms.build([{"name": "hflip"}, *tables, {"name": step}])
    events = make_events(30_000, seed)
    data = pack_events([events], [0], ["a"], SENSOR, CLASSES)
    params = FramesParams(4, "count_or_bins", "exact", bool(seed % 2), *size, event_count=500)
    found = make_frames(data, 0, params, augmentation, np.random.default_rng(seed))
    changed = augmentation.on_events(events, SENSOR, np.random.default_rng(seed))
    expected = to_frames(changed, SENSOR, **dataclasses.asdict(params))
    np.testing.assert_array_equal(found, expected)
    assert found.any()


@pytest.mark.parametrize("kind", ["event_bins", "count_or_bins"])
@pytest.mark.parametrize("seed", range(12))
def test_ties_in_time_fall_alike_when_noise_is_turned_round(kind, seed):
    tables = [{"name": "noise", "p": 1.0, "severity": 0.5}, {"name": "polflip"}]
    augmentation = transforms.build([*tables, {"name": "reverse", "p": 1.0}])
    events = make_events(90, seed)
    events["t"] //= 10_000  # five instants, so that steps are cut within them
    data = pack_events([events], [0], ["a"], SENSOR, CLASSES)
    params = FramesParams(4, kind, binary=False, size=None, event_count=20)
    found = make_frames(data, 0, params, augmentation, np.random.default_rng(seed))
    changed = augmentation.on_events(events, SENSOR, np.random.default_rng(seed))
    expected = to_frames(changed, SENSOR, **dataclasses.asdict(params))
    np.testing.assert_array_equal(found, expected)


@given(
    st.permutations(STEPS).flatmap(lambda steps: st.integers(0, 7).map(lambda n: steps[:n])),
    st.sampled_from([[], ["crop", "mirror"], ["scale"]]),
    st.integers(0, 10_000),
    st.sampled_from(["time_bins", "event_bins", "count_or_bins"]),
    st.sampled_from([(None, "maxpool"), (8, "maxpool"), (9, "nearest"), (64, "event")]),
    st.booleans(),
    st.sampled_from([0, 1, 2, 90]),
)
@settings(max_examples=examples(200))
def test_tensors_give_the_frames_of_the_walk(names, more, seed, kind, size, binary, n):
    augmentation = transforms.build([{"name": name} for name in (*names, *more)])
    events = make_events(n, seed)
    events["t"] //= 1 if seed % 2 else 4000
    data = pack_events([make_events(9, 1), events], [0, 1], ["a", "b"], SENSOR, CLASSES)
    params = FramesParams(4, kind, "exact", binary, *size, event_count=5)
    held = hold(data)
    for rng in (None, seed):
        draws = [None if rng is None else np.random.default_rng(rng) for _ in range(2)]
        found = make_frames_on(held, data.columns(1), 1, params, augmentation, draws[0])
        expected = make_frames(data, 1, params, augmentation, draws[1])
        if found is not None:
            assert found.dtype == torch.from_numpy(np.ascontiguousarray(expected)).dtype
            np.testing.assert_array_equal(found.numpy(), expected)
        elif rng is None:  # only counts that are resized afterwards
            assert not binary


def test_a_loader_on_a_device_gives_the_same_batches(data):
    held = hold(data)
    # the last needs the CPU: two drops in a row
    for names in ("hflip,noise,eventdrop,crop", "drop_events,drop_area"):
        settings_ = {"augmentation": transforms.build(transforms.parse_names(names))}
        plain, on_device = loader(data, **settings_), loader(data, held=held, **settings_)
        for one, other in zip(plain.epoch(2), on_device.epoch(2), strict=True):
            assert torch.equal(one.frames, other.frames)
            assert torch.equal(one.targets, other.targets)
