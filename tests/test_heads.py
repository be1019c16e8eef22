"""The demo heads: the same seed draws the same people, who move as planned at any frame rate."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from exploring import examples
from golden.make_heads import CLIPS, coarse
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer.datasets.base import EXPRESSIONS
from evfer.errors import ConfigError, UnknownNameError
from evfer.heads import (
    EMOTIONS,
    RENDERER_VERSION,
    HeadClip,
    change_rate,
    exposure,
    head_pose,
    make_person,
    plan_clip,
    render_clip,
    render_digest,
    render_frames,
    unit_weights,
)
from evfer.heads.asset import HAIR, asset_sha256, load_asset
from evfer.heads.expression import RECIPES, Blink, Rise, Wander
from evfer.heads.hair import STYLES, grow_hair
from evfer.heads.raster import EMPTY, find_visible, rasterise, vertex_normals

ROOT = Path(__file__).parent.parent
SMALL = 96


def difference(one, other):
    return np.abs(one.astype(int) - other.astype(int))


# ---- the same numbers, the same bytes


PRINT_DIGEST = """
import hashlib
from evfer.heads import HeadClip
pictures = hashlib.sha256()
for frame in HeadClip(5, 2, "fear", 1, 10, size=96):
    pictures.update(frame.tobytes())
print(pictures.hexdigest())
"""


def test_another_process_with_other_threads_draws_the_same_bytes():
    pictures = hashlib.sha256()
    for frame in HeadClip(5, 2, "fear", 1, 10, size=96):
        pictures.update(frame.tobytes())
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    made = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        env={**os.environ, **threads, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.strip() == pictures.hexdigest()


def test_a_clip_can_be_walked_through_again():
    clip = HeadClip(0, 1, "anger", 0, 10, size=SMALL)
    first, second = np.stack(list(clip)), np.stack(list(clip))
    assert len(clip) == len(first) == len(clip.times_s) == 10
    np.testing.assert_array_equal(first, second)
    person = make_person(0, 1)
    again = render_clip(person, plan_clip(person, "anger", 0, 10), SMALL)
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.uint8
    assert first.shape == (10, SMALL, SMALL, 3)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"person": 2}, {"emotion": "fear"}, {"repetition": 1}],
    ids=lambda change: next(iter(change)),
)
def test_every_number_makes_another_clip(change):
    clip = HeadClip(0, 1, "anger", 0, 10, size=SMALL)
    other = dataclasses.replace(clip, **change)
    assert difference(np.stack(list(clip))[-1], np.stack(list(other))[-1]).mean() > 2
    assert clip.digest != other.digest


def test_digest_covers_size_rate_and_length():
    clip = HeadClip(0, 1, "anger", 0, 12)
    changed = [dataclasses.replace(clip, **c) for c in ({"size": 96}, {"fps": 60}, {"n_frames": 9})]
    assert len({c.digest for c in (clip, *changed)}) == 4
    assert clip.digest == HeadClip(0, 1, "anger", 0, 12).digest


def test_digest_of_the_renderer_names_asset_and_version():
    text = f"evfer.heads {RENDERER_VERSION} {asset_sha256()}"
    assert render_digest() == hashlib.sha256(text.encode()).hexdigest()


def test_pictures_have_not_changed_without_a_new_version():
    with np.load(ROOT / "tests" / "golden" / "heads.npz") as stored:
        assert int(stored["version"]) == RENDERER_VERSION, "run tests/golden/make_heads.py"
        expected = stored["pictures"]
    for clip, picture in zip(CLIPS, expected, strict=True):
        worst = np.abs(coarse(*clip) - picture).max()
        assert worst < 1.0, "the renderer draws anew: raise RENDERER_VERSION"


def test_a_person_is_read_only():
    person = make_person(0, 1)
    for value in vars(person).values():
        if isinstance(value, np.ndarray):
            assert not value.flags.writeable


# ---- the plan as functions of time


def test_labels_in_the_published_order():
    assert EMOTIONS == EXPRESSIONS == tuple(RECIPES)
    person = make_person(0, 0)
    assert [plan_clip(person, e, 0, 16).label for e in EMOTIONS] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_neutral_first_and_expression_last(emotion):
    person = make_person(3, 1)
    for repetition in range(20):
        plan = plan_clip(person, emotion, repetition, 24)
        weights = unit_weights(plan, plan.times_s)
        assert not weights[0].any()
        assert weights.min() >= 0
        # an idle twitch stays under 0.3, an expression does not
        assert weights[-1].max() > 0.3 * plan.intensity * person.gain
        assert plan.onset_s > 0
        assert plan.onset_s + plan.rise_s <= plan.times_s[-1] + 1e-9


def test_first_frame_looks_alike_whatever_follows():
    person = make_person(0, 4)
    plans = [plan_clip(person, emotion, 0, 12) for emotion in EMOTIONS]
    # same camera and lamp, so that the face alone could differ
    same = [
        dataclasses.replace(
            plan,
            light=plans[0].light,
            scale=1.0,
            gaze=(0.0, 0.0),
            **{
                name: dataclasses.replace(getattr(plan, name), start=0.0)
                for name in ("yaw_deg", "pitch_deg", "roll_deg", "shift_x", "shift_y")
            },
        )
        for plan in plans
    ]
    firsts, lasts = [], []
    for plan in same:
        # the backdrop's blotches and the noise belong to the clip: look at the face
        frames = render_clip(person, plan, SMALL, noise=False)[:, 20:72, 36:60]
        firsts.append(frames[0])
        lasts.append(frames[-1])
    for one, other in pairwise(firsts):
        np.testing.assert_array_equal(one, other)
    for one, other in pairwise(lasts):
        assert difference(one, other).mean() > 1


def test_same_motion_at_any_rate():
    person = make_person(0, 2)
    slow, fast = plan_clip(person, "happy", 0, 12, 30.0), plan_clip(person, "happy", 0, 24, 60.0)
    frames = render_clip(person, slow, SMALL, noise=False)
    np.testing.assert_array_equal(render_clip(person, fast, SMALL, noise=False)[::2], frames)
    faster = change_rate(slow, 120.0)
    assert (faster.n_frames, faster.fps) == (48, 120.0)
    np.testing.assert_array_equal(render_clip(person, faster, SMALL, noise=False)[::4], frames)


@settings(max_examples=examples(30))
@given(
    st.integers(0, 3),
    st.sampled_from(EMOTIONS),
    st.integers(0, 50),
    st.floats(0, 0.79),
)
def test_motion_is_smooth(person, emotion, repetition, time_s):
    plan = plan_clip(make_person(9, person), emotion, repetition, 24)
    near = np.array([time_s, time_s + 1e-4])
    assert np.abs(np.diff(unit_weights(plan, near), axis=0)).max() < 0.01
    assert np.abs(np.diff(head_pose(plan, near), axis=0)).max() < 0.02
    assert np.abs(np.diff(exposure(plan, near))).max() < 1e-3


def test_head_motion_does_not_depend_on_the_expression_but_for_a_nod():
    person = make_person(0, 0)
    starts = {
        emotion: np.array(
            [head_pose(plan_clip(person, emotion, r, 24), np.array([0.0, 0.8])) for r in range(150)]
        )
        for emotion in EMOTIONS
    }
    for emotion, pose in starts.items():
        drift = (pose[:, 1] - pose[:, 0]).mean(0)
        spread = (pose[:, 1] - pose[:, 0]).std(0) / np.sqrt(150)
        expected = np.array([0, 0.8 * person.sway if emotion == "sadness" else 0, 0, 0, 0])
        assert (np.abs(drift - expected) < 4.5 * spread).all(), emotion


def test_curves():
    times_s = np.linspace(0, 1, 101)
    rise = Rise(2.0, 0.2, 0.5).at(times_s)
    assert rise[20] == 0
    assert rise[45] == pytest.approx(1.0)
    assert rise[70:] == pytest.approx(2.0)
    assert (np.diff(rise) >= -1e-12).all()
    blink = Blink(0.5, 0.08).at(times_s)
    assert blink[50] == pytest.approx(0.95)
    assert blink[39] == blink[61] == 0
    rng = np.random.default_rng(0)
    values = [
        Wander(0.5, tuple(rng.normal(0, 4, 16)), tuple(rng.uniform(0, 7, 16))).at(
            np.array([0.0, 50.0])
        )
        for _ in range(800)
    ]
    assert not np.array(values)[:, 0].any()
    assert np.array(values)[:, 1].std() == pytest.approx(0.5, rel=0.1)


# ---- the picture


def test_sensor_noise_is_as_planned():
    person = make_person(0, 0)
    plan = plan_clip(person, "anger", 0, 10)
    noisy = render_clip(person, plan, SMALL).astype(float)
    clean = render_clip(person, plan, SMALL, noise=False).astype(float)
    grain = (noisy - clean)[:, :20, :20]  # backdrop, neither black nor white
    assert grain.std() == pytest.approx(np.hypot(plan.light.noise, 0.4), rel=0.25)
    assert abs(np.corrcoef(grain[0].ravel(), grain[1].ravel())[0, 1]) < 0.1


def test_size_scales_the_picture():
    person = make_person(0, 0)
    plan = plan_clip(person, "happy", 0, 10)
    small = next(render_frames(person, plan, 160, noise=False))
    for size in (320, 640):  # the larger one uses the whole texture
        large = next(render_frames(person, plan, size, noise=False))
        shrunk = cv2.resize(large, (160, 160), interpolation=cv2.INTER_AREA)
        assert difference(small, shrunk).mean() < 1.5


def test_the_eyes_are_where_the_camera_looks():
    person = make_person(0, 0)
    plan = plan_clip(person, "happy", 0, 10)
    still = {
        name: dataclasses.replace(getattr(plan, name), start=0.0)
        for name in ("yaw_deg", "pitch_deg", "roll_deg")
    }
    plan = dataclasses.replace(plan, scale=1.0, gaze=(0.0, 0.0), **still)
    grey = next(render_frames(person, plan, 320, noise=False)).mean(2)
    # the irises, 70 pixels apart and at 0.44 of the height, are darker than what is around them
    for column in (125, 195):
        iris = grey[136:146, column - 5 : column + 5].mean()
        assert iris < 0.8 * grey[150:165, column - 10 : column + 10].mean()


def test_every_hair_style_grows():
    asset = load_asset()
    for style in STYLES:
        hair = grow_hair(np.random.default_rng(0), asset, asset.vertices, style)
        assert np.isfinite(hair.vertices).all()
        assert hair.triangles.max() < len(hair.vertices)
        assert (hair.materials[: hair.n_outer] == HAIR).all()
        normals = vertex_normals(hair.vertices, hair.triangles[: hair.n_outer])
        outwards = hair.vertices - np.array([0, 7.45, 0.35], np.float32)
        on_top = hair.vertices[:, 1] > 7.7
        facing = (normals * outwards)[on_top].sum(1) > 0
        assert facing.mean() > 0.95, f"{style}: the outside faces inwards"
        assert hair.vertices[:, 1].max() > asset.vertices[:, 1].max()
    with pytest.raises(UnknownNameError, match="bob"):
        grow_hair(np.random.default_rng(0), asset, asset.vertices, "bop")


def test_people_differ_in_face_and_hair():
    people = [make_person(0, number) for number in range(4)]
    faces = [person.vertices[: len(load_asset().vertices)] for person in people]
    for one, other in pairwise(faces):
        assert np.abs(one - other).max() > 0.03
    assert len({person.gain for person in people}) == 4


# ---- kernels


def square(z=0.0, turned=False):
    points = np.array([[2, 2, z], [2, 6, z], [6, 6, z], [6, 2, z]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return points, triangles[:, ::-1].copy() if turned else triangles


def draw(points, triangles):
    depth, owner = np.empty((8, 8), np.float32), np.empty((8, 8), np.int32)
    rasterise(points, triangles, depth, owner)
    return depth, owner


def test_a_square_covers_its_samples_without_seam():
    _, owner = draw(*square())
    expected = np.zeros((8, 8), bool)
    expected[2:6, 2:6] = True
    np.testing.assert_array_equal(owner != EMPTY, expected)


def test_what_faces_away_is_not_drawn():
    _, owner = draw(*square(turned=True))
    assert (owner == EMPTY).all()


def test_the_nearer_triangle_wins_whatever_the_order():
    (near, triangles), (far, _) = square(2.0), square(1.0)
    for first, second in ((near, far), (far, near)):
        depth, owner = draw(np.vstack([first, second]), np.vstack([triangles, triangles + 4]))
        assert (depth[2:6, 2:6] == 2.0).all()
        winner = 0 if first is near else 1
        assert (owner[2:6, 2:6] // 2 == winner).all()


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32 - 1))
def test_raster_agrees_with_barycentric_weights(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-3, 11, (3, 3)).astype(np.float32)
    depth, owner = draw(points, np.array([[0, 1, 2]], np.int32))
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = points.astype(float)
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    for row in range(8):
        for column in range(8):
            px, py = column + 0.5, row + 0.5
            w0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) / area
            w1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) / area
            w2 = 1 - w0 - w1
            least = min(w0, w1, w2)
            if abs(least) < 1e-3:
                continue  # on the edge
            inside = area < 0 and least > 0
            assert (owner[row, column] == 0) == inside
            if inside:
                assert depth[row, column] == pytest.approx(w0 * z0 + w1 * z1 + w2 * z2, abs=1e-3)


def test_a_roof_hides_the_sky_from_the_floor():
    floor = np.array([[-1, 6, -1], [-1, 6, 1], [1, 6, 1], [1, 6, -1]], np.float32)
    roof = floor * np.array([1.3, 1, 1.3], np.float32) + np.array([0, 1, 0], np.float32)
    vertices = np.vstack([floor, roof])
    triangles = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], np.int32)
    normals = np.tile(np.array([0, 1, 0], np.float32), (8, 1))
    towards = np.array([[0.0, 0.9, 0.1]], np.float32)
    towards /= np.linalg.norm(towards)
    seen = find_visible(vertices, normals, triangles, towards, 200)
    assert (seen[0, 4:] == 1).all()
    assert (seen[0, :4] == 0).all()
    alone = find_visible(vertices, normals, triangles[:2], towards, 200)
    assert (alone[0, :4] == 1).all()


# ---- the asset


# ---- what is refused


def test_unknown_emotion_names_the_nearest():
    with pytest.raises(UnknownNameError, match='Did you mean "happy"'):
        plan_clip(make_person(0, 0), "hapy", 0, 24)


@pytest.mark.parametrize(
    ("n_frames", "fps"), [(1, 1.0), (8, 30.0), (24, 0.0), (24, float("nan")), (24, -30.0)]
)
def test_too_short_or_senseless_clips_are_refused(n_frames, fps):
    with pytest.raises(ConfigError):
        plan_clip(make_person(0, 0), "happy", 0, n_frames, fps)


def test_bad_numbers_are_refused():
    person = make_person(0, 0)
    plan = plan_clip(person, "happy", 0, 24)
    with pytest.raises(ConfigError, match="seed"):
        make_person(-1, 0)
    with pytest.raises(ConfigError, match="person"):
        make_person(0, 1.5)
    with pytest.raises(ConfigError, match="repetition"):
        plan_clip(person, "happy", -1, 24)
    for size in (63, 1025):
        with pytest.raises(ConfigError, match="size"):
            render_frames(person, plan, size)
    with pytest.raises(ConfigError, match="person 0"):
        render_frames(make_person(0, 1), plan)
    for fps in (0.0, float("inf"), 0.5):
        with pytest.raises(ConfigError, match="fps"):
            change_rate(plan, fps)


def test_the_package_is_light():
    code = "import evfer.heads, sys; print({'numba', 'cv2', 'dlib'} & set(sys.modules))"
    made = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.strip() == "set()"
