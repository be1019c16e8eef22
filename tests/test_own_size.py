"""Frames of the region's own size, whose regions augmentations choose."""

import dataclasses

import numpy as np
import pytest
import torch
from learning import CLASSES, feed, make_clip, make_config, make_set, small_net

from evfer import transforms
from evfer.errors import ConfigError
from evfer.events import SensorSize
from evfer.frames import FramesParams, to_frames
from evfer.inputs import EventInputs, EventsOnDevice, Loader, make_frames, pack_events
from evfer.inputs.device import make_frames_on
from evfer.region import Region
from evfer.training import FoldTask, fit

WIDE = SensorSize(48, 32)
CHANGES = ["crop", "scale", "scale+crop", "shift"]


def wide_set():
    labels = [0, 1, 2] * 2
    clips = [make_clip(label, i) for i, label in enumerate(labels)]
    return pack_events(clips, labels, list("aabbcc"), WIDE, CLASSES)


def hold(data):
    packed = data.packed
    device = torch.device("cpu")
    return EventsOnDevice.on(packed.columns, packed.offsets, packed.sensor_size, device)


@pytest.mark.parametrize("eda", CHANGES)
@pytest.mark.parametrize("resize", ["maxpool", "nearest", "event"])
@pytest.mark.parametrize("binary", [True, False])
def test_a_batch_has_the_sensors_size(eda, resize, binary):
    augmentation = transforms.build(transforms.parse_names(eda))
    params = FramesParams(n_steps=2, size=None, binary=binary, resize=resize)
    loader = Loader(
        EventInputs(wide_set(), params, augmentation), tuple(range(6)), 3, training=True
    )
    for batch in loader.epoch(0):
        assert batch.frames.shape == (3, 2, 2, 32, 48)
        assert batch.frames.any()


@pytest.mark.parametrize("eda", CHANGES)
@pytest.mark.parametrize("binary", [True, False])
def test_it_is_what_the_sensors_side_gives(eda, binary):
    data, plain = make_set(2, 3), FramesParams(n_steps=2, size=None, binary=binary)
    augmentation = transforms.build(transforms.parse_names(eda))
    for clip in range(len(data)):
        found, expected = (
            make_frames(data, clip, params, augmentation, np.random.default_rng(clip))
            for params in (plain, dataclasses.replace(plain, size=32))
        )
        np.testing.assert_array_equal(found, expected)
        held = hold(data)
        made = make_frames_on(
            held, data.columns(clip), clip, plain, augmentation, np.random.default_rng(clip)
        )
        assert made is None or np.array_equal(made.numpy(), expected)


def test_real_values_are_resized_too():
    augmentation = transforms.build(transforms.parse_names("crop"))
    params = FramesParams(n_steps=2, size=None, binary=False, kind="voxel_grid")
    for clip, data in enumerate([wide_set()] * 6):
        found = make_frames(data, clip, params, augmentation, np.random.default_rng(clip))
        assert found.shape == (2, 2, 32, 48)


def test_a_region_of_ones_own_keeps_its_size():
    found = to_frames(make_clip(0, 0), WIDE, region=Region(3, 4, 20, 14))
    assert found.shape == (6, 2, 14, 20)


def test_no_way_to_resize_is_said_before_the_first_step():
    config = make_config(
        frames={"n_steps": 2, "size": None, "resize": "none"}, augment=[{"name": "crop"}]
    )
    task = FoldTask(feed(make_set(4, 3), config), tuple(range(9)), (9, 10, 11), config)
    with pytest.raises(ConfigError, match=r'resize = "none".*other augmentations'):
        fit(lambda: small_net(3, 2), task, device="cpu")


@pytest.mark.parametrize("eda", CHANGES)
def test_a_network_learns_from_them(eda):
    tables = transforms.parse_names(eda)
    config = make_config(
        frames={"n_steps": 2, "size": None}, augment=list(tables), train={"epochs": 1}
    )
    task = FoldTask(feed(make_set(4, 3), config), tuple(range(9)), (9, 10, 11), config)
    assert len(fit(lambda: small_net(3, 2), task, device="cpu").curve) == 1
