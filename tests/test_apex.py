"""Finding the apex: on drawn points whose motion is known, and on rendered heads."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from exploring import examples
from face_scenes import expression, face, with_noise
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer.errors import ConfigError, EventsError
from evfer.faces import AlignParams, apex, find_apex, track
from evfer.faces.apex import LEAST_HEIGHT, displacement
from evfer.heads import make_person, plan_clip, unit_weights

FPS = 25.0
BROWS, MOUTH = list(range(17, 27)), list(range(48, 68))
LIDS = [37, 38, 40, 41, 43, 44, 46, 47]


def smooth_step(u):
    u = np.clip(u, 0, 1)
    return u * u * (3 - 2 * u)


def course(onset=0.6, rise=0.5, hold=1.0, fall=0.6, tail=0.4, fps=FPS):
    """The strength of an expression over time, from 0 to 1, and the frame where it is there."""
    total = onset + rise + hold + (fall + tail if fall else 0)
    t = np.arange(round(total * fps)) / fps
    strength = smooth_step((t - onset) / rise)
    if fall:
        strength = strength - smooth_step((t - onset - rise - hold) / fall)
    return strength, int(np.argmax(strength >= 0.97))


def clip(strength, iod=80.0, height=0.15, noise=0.15, seed=0):
    """Points of a face whose mouth and brows follow a course; `height` in IOD."""
    rng = np.random.default_rng(seed)
    points = np.repeat(face(iod=iod)[None], len(strength), axis=0)
    points[:, MOUTH, 0] += np.sign(face()[MOUTH, 0] - 160) * iod * height * strength[:, None]
    points[:, BROWS, 1] -= 0.5 * iod * height * strength[:, None]
    return points + rng.normal(0, noise, points.shape)


def turned(points, depths, yaw, pitch, iod=80.0):
    """Turn the head: what stands out moves against what lies deep; angles in degrees."""
    moved = points.copy()
    moved[..., 0] += iod * np.sin(np.deg2rad(yaw))[:, None] * depths
    moved[..., 1] += iod * np.sin(np.deg2rad(pitch))[:, None] * depths
    return moved


class TestDrawnPoints:
    @pytest.mark.parametrize("fps", [15.0, 25.0, 30.0, 60.0, 120.0])
    @pytest.mark.parametrize("fall", [0.6, 0])
    def test_rise_and_fall_and_rise_and_hold(self, fps, fall):
        strength, truth = course(fall=fall, hold=1.0 if fall else 3.0, fps=fps)
        found = find_apex(clip(strength), fps)
        assert found.frame == pytest.approx(truth, abs=max(2, 0.08 * fps))
        # the root mean square over brows and mouth
        assert found.height == pytest.approx(0.15 * np.sqrt((20 + 10 / 4) / 30), rel=0.1)
        assert found.displacement.shape == strength.shape
        assert found.displacement[0] < 1e-9

    def test_a_clip_that_ends_at_the_apex_is_hardly_cut(self):
        strength, _ = course(hold=0.0, fall=0, tail=0)
        found = find_apex(clip(strength), FPS)
        assert len(strength) - 3 <= found.frame < len(strength)

    def test_the_hold_may_creep_and_tremble(self):
        strength, truth = course(hold=4.0, fall=0)
        creeping = strength * (1 + 0.12 * np.linspace(0, 1, len(strength)))
        trembling = creeping + 0.03 * np.sin(np.arange(len(strength)) / 3) * (strength > 0.9)
        assert find_apex(clip(trembling), FPS).frame == pytest.approx(truth, abs=3)

    def test_a_face_at_rest_has_no_apex(self):
        found = find_apex(clip(np.zeros(60)), FPS)
        assert found.frame is None
        assert found.height < LEAST_HEIGHT / 3
        assert find_apex(clip(np.zeros(1)), FPS).frame is None

    @pytest.mark.parametrize("when", [0.0, 0.1, 0.4])
    def test_a_blink_is_no_expression(self, when):
        strength, truth = course()
        t = np.arange(len(strength)) / FPS
        shut = np.clip(1.25 - np.abs(t - when) / 0.08, 0, 1)

        def blinking(strength):
            points = clip(strength)
            middle = points[:, LIDS, 1].mean(axis=1, keepdims=True)
            points[:, LIDS, 1] += shut[:, None] * (middle - points[:, LIDS, 1])
            # the brows go along a little, and so do the points that follow them
            points[:, BROWS, 1] += 8 * shut[:, None]
            return points

        assert find_apex(blinking(strength), FPS).frame == pytest.approx(truth, abs=2)
        assert find_apex(blinking(0 * strength), FPS).frame is None or when == 0.0

    def test_the_heads_own_motion_counts_for_nothing(self):
        strength, truth = course()
        t = np.arange(len(strength)) / FPS
        angle, scale = 0.15 * np.sin(2 * t), 1 + 0.1 * t
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
        turn = turn.reshape(-1, 2, 2) * scale[:, None, None]
        drift = np.stack([40 * t, -25 * t], -1)[:, None]

        def drifting(points):
            return points @ np.swapaxes(turn, -1, -2) + drift

        still = find_apex(clip(strength), FPS)
        found = find_apex(drifting(clip(strength)), FPS)
        assert found.frame == still.frame == pytest.approx(truth, abs=2)
        assert find_apex(drifting(clip(0 * strength)), FPS).frame is None

    def test_turning_and_nodding_is_taken_out(self, monkeypatch):
        strength, truth = course(hold=1.5)
        # a plain head: the nose stands out, brows and mouth bend backwards at their ends
        depths = np.zeros(68)
        across = np.abs(face()[:, 0] - 160) / 60
        depths[27:36] = (0.0, 0.1, 0.2, 0.3, 0.06, 0.11, 0.15, 0.11, 0.06)
        depths[17:27] = -0.5 * across[17:27] ** 1.5
        depths[36:48] = -0.2 - 0.1 * across[36:48]
        depths[48:] = 0.1 - 0.5 * across[48:]
        t = np.arange(len(strength)) / FPS
        motion = turned(clip(strength), depths, 4 * t, -2 * t)
        assert find_apex(motion, FPS).frame == pytest.approx(truth, abs=3)
        rest = turned(clip(0 * strength), depths, 4 * t, -2 * t)
        assert find_apex(rest, FPS).frame is None
        left = displacement(rest, FPS)[-1]
        monkeypatch.setattr(apex, "_DEPTHS", np.zeros(51))
        assert left < 0.6 * displacement(rest, FPS)[-1]

    def test_a_missed_frame_is_never_the_apex(self):
        strength, _ = course()
        points = clip(strength)
        plain = find_apex(points, FPS).frame
        missed = np.zeros(len(points), bool)
        missed[plain : plain + 3] = True
        assert find_apex(points, FPS, missed=missed).frame == plain + 3
        assert find_apex(points, FPS, missed=np.ones(len(points), bool)).frame is None

    def test_smoothing_is_on_whatever_the_recipe_says(self):
        points = clip(course()[0], noise=0.8)
        plain = find_apex(points, FPS)
        off = find_apex(points, FPS, AlignParams(smooth="off"))
        np.testing.assert_array_equal(plain.displacement, off.displacement)

    def test_what_cannot_be_used(self):
        for shape in ((0, 68, 2), (5, 67, 2), (5, 136)):
            with pytest.raises(EventsError, match="points of shape"):
                find_apex(np.zeros(shape), FPS)
        for fps in (0.0, -1.0, np.nan):
            with pytest.raises(ConfigError, match="frame rate"):
                find_apex(clip(np.zeros(5)), fps)

    @settings(max_examples=examples(40))
    @given(
        onset=st.floats(0.3, 1.0), rise=st.floats(0.2, 1.2), hold=st.floats(0.3, 4.0),
        fall=st.sampled_from([0, 0.3, 1.0]), height=st.floats(0.08, 0.4), seed=st.integers(0, 99),
        iod=st.floats(50, 200),
    )  # fmt: skip
    def test_any_course(self, onset, rise, hold, fall, height, seed, iod):
        strength, truth = course(onset, rise, hold, fall)
        points = clip(strength, iod=iod, height=height, seed=seed)
        before = points.copy()
        found = find_apex(points, FPS)
        assert abs(found.frame - truth) <= 4
        np.testing.assert_array_equal(points, before)


def there_and_back(person, emotion, hold=8):
    """A rendered clip that rises, holds and falls, and the frame where it is at its height."""
    frames, _ = expression(person, emotion)
    who = make_person(0, person)
    plan = plan_clip(who, emotion, 0, 24)
    rises = [motion for motion in plan.motions if hasattr(motion.curve, "start_s")]
    shown = unit_weights(dataclasses.replace(plan, motions=tuple(rises), blink=None), plan.times_s)
    strength = shown.sum(axis=1)
    truth = int(np.argmax(strength >= 0.97 * strength[-1]))
    parts = [frames, np.repeat(frames[-1:], hold, axis=0), frames[::-2]]
    return with_noise(np.concatenate(parts)), truth


def test_rendered_heads_that_rise_hold_and_fall():
    errors = []
    for person, emotion in enumerate(("happy", "surprise", "anger", "disgust")):
        frames, truth = there_and_back(person, emotion)
        tracked = track(frames)
        found = find_apex(tracked.track.points, 30.0, missed=tracked.track.missed)
        # a weak expression may count as none; a wrong frame may not
        if found.frame is not None:
            errors.append(found.frame - truth)
    assert len(errors) >= 3
    assert np.median(np.abs(errors)) <= 3
    assert np.abs(errors).max() <= 6
