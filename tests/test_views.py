"""Which way up a clip is stored and which half shows the face from the front."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from evfer.datasets import views
from evfer.datasets.views import UPRIGHT, FirstField, Start, View, Viewed, choose_view
from evfer.errors import FaceError
from evfer.events import SensorSize
from evfer.faces.landmarks import frontal_score
from evfer.testing.trees.base import draw
from evfer.testing.trees.mmi import draw_turned

SMALL, TALL = SensorSize(240, 200), SensorSize(200, 240)
TURNS = {"none": 0, "90 clockwise": 1, "90 counter-clockwise": -1, "180": 2}


class Frames:
    """A source that counts how many frames were asked for."""

    def __init__(self, frames):
        self.frames = frames
        self.given = 0

    @property
    def times_s(self):
        return np.arange(len(self.frames)) / 25

    def __len__(self):
        return len(self.frames)

    def __iter__(self):
        for frame in self.frames:
            self.given += 1
            yield frame


@functools.lru_cache(maxsize=8)
def head(person, size=SMALL):
    return draw(person, "happy", 8, size)


def stored(frames, turn):
    """Frames that `turn` sets upright."""
    return np.ascontiguousarray(np.rot90(frames, TURNS[turn], axes=(1, 2)))


@pytest.mark.parametrize("person", [0, 1, 2, 3])
@pytest.mark.parametrize("turn", TURNS)
def test_lying_clips_are_set_upright(person, turn):
    upright = head(person, SMALL if person % 2 else TALL)
    frames = Frames(stored(upright, turn))
    view = choose_view(frames, "frontal")
    assert view == View(turn)
    seen = Viewed(frames, view)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(seen)), upright)
    assert seen.remarks == {"rotation": turn, "half": "whole"}
    assert next(iter(seen)).flags.c_contiguous


@pytest.mark.parametrize("person", [0, 2])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("known", ["dual", "unknown"])
def test_the_half_from_the_front(person, side, known):
    size = SensorSize(360, 480)
    front, profile = draw(person, "anger", 4, size), draw_turned(person, "anger", 4, 80)
    pair = (front, profile) if side == "left" else (profile, front)
    frames = Frames(np.concatenate(pair, axis=2))
    view = choose_view(frames, known)
    if known == "dual":
        assert view == View(half=side)
    # a detector that is blind to profiles sees one face, which the whole picture shows as well
    assert view in (View(half=side), UPRIGHT)
    np.testing.assert_array_equal(next(iter(Viewed(frames, View(half=side)))), front[0])


@pytest.mark.parametrize("person", [0, 1, 2, 3])
@pytest.mark.parametrize("degrees", [-35, 30])
def test_of_two_faces_the_less_turned_counts(person, degrees):
    here = draw(person, "anger", 2, SensorSize(360, 480))
    there = draw_turned(person, "anger", 2, degrees)
    for pair, half in (((here, there), "left"), ((there, here), "right")):
        frames = Frames(np.concatenate(pair, axis=2))
        assert choose_view(frames, "unknown") == View(half=half)
        assert choose_view(frames, "dual") == View(half=half)


def test_a_dual_view_that_is_none():
    assert choose_view(Frames(head(1)), "dual") == UPRIGHT
    assert choose_view(Frames(head(1)), "unknown") == UPRIGHT


@pytest.mark.parametrize(("size", "looks"), [(280, {0}), (140, {0}), (90, {0, 1})])
def test_faces_too_small_for_the_first_look(monkeypatch, size, looks):
    used = set()

    def spy(grey, upsample=0):
        used.add(upsample)
        return frontal_score(grey, upsample)

    monkeypatch.setattr(views, "frontal_score", spy)
    large = np.full((4, 300, 480, 3), 120, np.uint8)
    large[:, 10 : 10 + size, 100 : 100 + size] = draw(1, "happy", 4, SensorSize(size, size))
    assert choose_view(Frames(large), "frontal") == UPRIGHT
    assert choose_view(Frames(stored(large, "180")), "frontal") == View("180")
    assert used == looks


def test_no_face():
    rng = np.random.default_rng(0)
    noise = Frames(rng.integers(0, 255, (8, 120, 160), np.uint8))
    for known, words in (("frontal", "first frames upright"), ("dual", "whole or halved")):
        with pytest.raises(FaceError, match=words):
            choose_view(noise, known)
    with pytest.raises(FaceError):
        choose_view(Frames(noise.frames[:0]), "unknown")


def test_only_the_first_frames_are_read():
    frames = Frames(np.concatenate([head(1)] * 5))
    choose_view(frames, "frontal")
    assert frames.given <= 8
    next(iter(Viewed(frames, UPRIGHT)))
    assert frames.given <= 9


def test_halves_of_an_odd_width():
    frame = np.arange(7 * 4, dtype=np.uint8).reshape(4, 7)
    np.testing.assert_array_equal(View(half="left")(frame), frame[:, :3])
    np.testing.assert_array_equal(View(half="right")(frame), frame[:, 4:])
    turned = View("90 clockwise", "left")(frame)
    np.testing.assert_array_equal(turned, np.rot90(frame, -1)[:, :2])


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.0, 1), (0.11, 3), (0.12, 4), (0.16, 5), (9.0, 8), (np.inf, 8)]
)
def test_the_first_seconds(seconds, count):
    frames = Frames(head(1))
    start = Start.of(frames, seconds, {"labels": "official"})
    assert len(start) == len(start.times_s) == count
    for number in (1, 2):
        np.testing.assert_array_equal(np.stack(list(start)), head(1)[:count])
        assert frames.given == number * count
    cut = {"shortened": f"{count} of 8 frames"} if count < 8 else {}
    assert start.remarks == {"labels": "official", **cut}


@pytest.mark.parametrize("height", [2, 3, 6, 7])
def test_odd_rows_lie_between_even_ones(height):
    rng = np.random.default_rng(height)
    frames = rng.integers(0, 256, (2, height, 5, 3), np.uint8)
    before = frames.copy()
    found = np.stack(list(FirstField(Frames(frames))))
    np.testing.assert_array_equal(frames, before)
    np.testing.assert_array_equal(found[:, ::2], frames[:, ::2])
    below = np.concatenate([frames[:, 2::2], frames[:, -2:-1]], axis=1)
    even = frames[:, 0 : height - 1 : 2]
    mean = (even.astype(int) + below[:, : even.shape[1]]) / 2
    assert np.abs(found[:, 1::2] - mean).max() <= 1


def test_a_moving_edge_loses_its_comb():
    columns = np.arange(40)
    early, late = (np.where(columns < at, 200, 20).astype(np.uint8) for at in (16, 20))
    combed = np.tile(early, (30, 1))
    combed[1::2] = late
    (frame,) = FirstField(Frames(combed[None]))
    np.testing.assert_array_equal(frame, np.tile(early, (30, 1)))
