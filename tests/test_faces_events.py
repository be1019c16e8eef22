"""What alignment costs in events: the reason for smoothing, counted as threshold crossings.

Under one grey level of noise on a still face, every event beyond those of the kept first crop is
made by the face stage itself.
"""

from __future__ import annotations

import numpy as np
import pytest
from face_scenes import log_crossings, moving, neutral, with_noise

from evfer.faces import AlignParams, align
from evfer.faces.alignment import compose
from evfer.faces.crop import resample

N_FRAMES = 40


def perfect(frames, motions, first):
    transforms = compose(motions, first[None])
    return np.stack([resample(f, t, 200, (1, 1)) for f, t in zip(frames, transforms, strict=True)])


def count(frames, **settings):
    return log_crossings(align(frames, AlignParams(**settings)).frames)


def compare_still(people):
    made, lowest = 0.0, 0.0
    for person in people:
        frames = with_noise([neutral(person)] * N_FRAMES)
        clip = align(frames)
        made += log_crossings(clip.frames)
        still = np.repeat(np.eye(2, 3)[None], N_FRAMES, axis=0)
        lowest += log_crossings(perfect(frames, still, clip.transforms[0]))
    return made, lowest


def test_still_faces_make_hardly_more_events_than_their_noise():
    made, lowest = compare_still([0, 4])
    assert lowest > 4
    assert made <= 1.5 * lowest


@pytest.mark.slow
def test_still_faces_of_many_people():
    made, lowest = compare_still(range(12))
    assert made <= 1.5 * lowest


def test_order_of_the_ways_to_align():
    frames = with_noise([neutral(0)] * N_FRAMES)
    naive = count(frames, align="none", smooth="off")
    similar = count(frames, align="similarity", smooth="off")
    smooth = count(frames, align="similarity", smooth="sg")
    kept = count(frames, align="first")
    assert naive > 2 * similar > 10 * smooth
    assert smooth < 2 * kept


def test_moving_faces():
    frames, motions = moving(N_FRAMES)
    frames = with_noise(frames)
    clip = align(frames)
    lowest = log_crossings(perfect(frames, motions, clip.transforms[0]))
    assert log_crossings(clip.frames) <= 1.5 * lowest
    assert count(frames, align="none", smooth="off") > 2 * lowest
    assert count(frames, align="first") > 10 * lowest
