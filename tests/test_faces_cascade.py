"""The 68 points in machine code: dlib's own, point for point."""

from __future__ import annotations

import numpy as np
import pytest

from evfer.errors import DataError
from evfer.faces.cascade import predict, read_cascade
from evfer.faces.landmarks import find_weights
from evfer.heads import HeadClip


@pytest.fixture(scope="module")
def cascade():
    return read_cascade(find_weights())


@pytest.fixture(scope="module")
def peer():
    import dlib

    found = dlib.shape_predictor(str(find_weights()))

    def look(grey, box):
        points = found(grey, dlib.rectangle(*(int(side) for side in box))).parts()
        return [(point.x, point.y) for point in points]

    return look


@pytest.mark.parametrize("person", range(4))
def test_points_are_dlibs(cascade, peer, rng, person):
    frame = list(HeadClip(0, person, "surprise", 0, 9, 30.0, 320))[-1]
    grey = frame if frame.ndim == 2 else np.ascontiguousarray(frame[:, :, 0])
    middle, width = rng.normal(160, 12, (10, 1, 2)), rng.normal(150, 15, (10, 1, 1))
    # and some that lie anywhere, outside of the picture too
    middle[6:], width[6:] = rng.uniform(-50, 370, (4, 1, 2)), rng.uniform(5, 400, (4, 1, 1))
    sides = np.concatenate([middle - width / 2, middle + width / 2], axis=1).reshape(-1, 4)
    boxes = np.rint(sides).astype(np.int64)
    expected = np.array([peer(grey, box) for box in boxes])
    np.testing.assert_array_equal(predict(cascade, grey, boxes), expected)
    np.testing.assert_array_equal(predict(cascade, grey, boxes[3:4]), expected[3:4])


def test_points_in_noise_and_in_tiny_pictures_are_dlibs(cascade, peer, rng):
    for shape in ((1, 1), (7, 30), (200, 200)):
        grey = rng.integers(0, 256, shape).astype(np.uint8)
        boxes = np.array([[0, 0, shape[1] - 1, shape[0] - 1], [-5, 2, 20, 27], [3, 3, 3, 3]])
        expected = np.array([peer(grey, box) for box in boxes])
        np.testing.assert_array_equal(predict(cascade, grey, boxes), expected)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:700],
        lambda content: content[:1],
        lambda content: b"",
        lambda content: content + b"\0",
        lambda content: b"\x01\x02" + content[2:],
        lambda content: bytes(5000),
        lambda content: bytes([0xFF] * 5000),
        lambda content: b"not weights at all" * 300,
    ],
)
def test_damaged_weights_are_told(tmp_path, spoil):
    path = tmp_path / "weights.dat"
    path.write_bytes(spoil(find_weights().read_bytes()))
    with pytest.raises(DataError, match=r"weights\.dat: not the weights"):
        read_cascade(path)
