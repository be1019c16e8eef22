"""Nothing but the face's motion tells the demo set's expressions apart, and that does.

A linear classifier, tested on people that it has not seen, must fail on everything that is there
before or beside the expression, and must succeed, not perfectly, on the events.
"""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import dlib
import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evfer.emulator import DVSEmulator, DVSParams
from evfer.faces import align
from evfer.heads import EMOTIONS, head_pose, make_person, plan_clip, render_clip

pytestmark = pytest.mark.slow

PEOPLE, REPETITIONS, FRAMES = 20, 2, 20
CELLS, SIDE = 10, 200


def count_events(events, duration_s):
    """Events by half of the clip, polarity and cell of a 10 x 10 grid, flat."""
    half = (events["t"] >= duration_s / 2).astype(int)
    on = (events["p"] > 0).astype(int)
    row, column = events["y"] * CELLS // SIDE, events["x"] * CELLS // SIDE
    place = ((half * 2 + on) * CELLS + row) * CELLS + column
    return np.bincount(place, minlength=4 * CELLS * CELLS)


@pytest.fixture(scope="module")
def clips():
    detect = dlib.get_frontal_face_detector()
    rows = {name: [] for name in ("person", "label", "pixels", "points", "pose", "events")}
    missed = []
    for number in range(PEOPLE):
        person = make_person(0, number)
        for label, emotion in enumerate(EMOTIONS):
            for repetition in range(REPETITIONS):
                plan = plan_clip(person, emotion, repetition, FRAMES)
                frames = render_clip(person, plan)
                for k in (0, FRAMES // 2, FRAMES - 1):
                    if len(detect(cv2.cvtColor(frames[k], cv2.COLOR_BGR2GRAY), 0)) != 1:
                        missed.append((number, emotion, repetition, k))
                face = align(frames)
                events = DVSEmulator(DVSParams(), seed=number).run(face.frames, plan.times_s)
                small = cv2.resize(face.frames[0], (20, 20), interpolation=cv2.INTER_AREA)
                rows["person"].append(number)
                rows["label"].append(label)
                rows["pixels"].append(small.ravel() / 255)
                rows["points"].append(face.landmarks[0].ravel())
                rows["pose"].append(head_pose(plan, plan.times_s)[::3].ravel())
                rows["events"].append(count_events(events, plan.times_s[-1]))
    return SimpleNamespace(missed=missed, **{name: np.array(rows[name]) for name in rows})


def accuracy(clips, features):
    """Accuracy of LDA in five folds, each of people of its own; chance is 1/6."""
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model = make_pipeline(StandardScaler(), lda)
    guesses = cross_val_predict(model, features, clips.label, groups=clips.person, cv=GroupKFold(5))
    return float((guesses == clips.label).mean())


def test_every_face_is_found(clips):
    assert len(clips.label) == PEOPLE * len(EMOTIONS) * REPETITIONS
    assert not clips.missed


@pytest.mark.parametrize("beside", ["pixels", "points", "pose"])
def test_nothing_beside_the_expression_tells(clips, beside):
    assert accuracy(clips, getattr(clips, beside)) < 0.30


def test_the_number_of_events_does_not_tell(clips):
    total = clips.events.sum(1, keepdims=True)
    assert accuracy(clips, np.log1p(total)) < 0.40


def test_the_place_and_time_of_events_tell(clips):
    assert 0.55 <= accuracy(clips, np.log1p(clips.events)) <= 0.95
