"""Values of another type than a public function takes are told as such, and not by Python."""

import numpy as np
import pytest

from evfer.emulator import DVSEmulator, DVSParams
from evfer.errors import ConfigError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.faces.params import AlignParams
from evfer.frames import FramesParams, to_frames
from evfer.interpolation import interpolate
from evfer.models import create
from evfer.training.recipe import SelectParams, TrainParams

SENSOR = SensorSize(8, 6)
NONE = np.zeros(0, EVENT_DTYPE)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: to_frames(NONE, SENSOR, FramesParams()), "frames.n_steps = FramesParams"),
        (lambda: to_frames(NONE, FramesParams()), "a sensor's size of type FramesParams"),
        (lambda: to_frames(NONE, (8, 6)), "a sensor's size of type tuple"),
        (lambda: FramesParams(n_steps="6"), "frames.n_steps = '6'"),
        (lambda: FramesParams(binary="no"), "frames.binary = 'no'"),
        (lambda: FramesParams(size=(32, 32)), "frames.size = (32, 32)"),
        (lambda: FramesParams(n_steps=True), "frames.n_steps = True"),
        (lambda: DVSParams(pos_thres="0.2"), "emulator.pos_thres = '0.2'"),
        (lambda: DVSParams(pos_thres=DVSParams()), "emulator.pos_thres = DVSParams"),
        (lambda: DVSEmulator(DVSParams(cutoff_hz=None)), "emulator.cutoff_hz = None"),
        (lambda: AlignParams(size="200"), "faces.size = '200'"),
        (lambda: TrainParams(epochs=2.5), "train.epochs = 2.5"),
        (lambda: TrainParams(lr="fast"), "train.lr = 'fast'"),
        (lambda: SelectParams(share="half"), "select.share = 'half'"),
        (lambda: create("resnet18", FramesParams()), "n_classes = FramesParams"),
        (
            lambda: interpolate(np.zeros((2, 4, 4)), np.arange(2.0), method=FramesParams()),
            "interpolation.method = FramesParams",
        ),
    ],
)
def test_another_type_is_told(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert words in str(caught.value)
    assert caught.value.expected


def test_numbers_of_numpy_are_numbers():
    assert FramesParams(n_steps=np.int64(3), binary=np.bool_(False)).n_steps == 3
    assert TrainParams(lr=np.float32(0.5), epochs=np.int16(2)).epochs == 2
    assert TrainParams(lr=1, clip_norm=None).lr == 1
