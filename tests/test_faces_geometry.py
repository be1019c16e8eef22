"""Crop geometry, similarity, smoothing, sampling and report: numbers in, numbers out."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest
from exploring import examples
from face_scenes import face
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer.config import build
from evfer.errors import ConfigError, UnknownNameError
from evfer.faces import AlignParams
from evfer.faces.alignment import (
    STABLE_POINTS,
    clip_transforms,
    compose,
    fit_similarity,
    invert,
    residuals,
    smooth_points,
    window_length,
)
from evfer.faces.crop import (
    crop_extent,
    crop_transform,
    interocular_distance,
    oversampling,
    resample,
    share_outside,
)
from evfer.faces.report import summarise, yaw_degrees

IDENTITY = np.eye(2, 3)


def moved(points, transform):
    return points @ transform[:, :2].T + transform[:, 2]


class TestParams:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"crop_scale": 0.1}, r"faces\.crop_scale = 0\.1; expected 0\.5 to 20"),
            ({"crop_scale": math.nan}, "crop_scale = nan"),
            ({"size": 4}, "size = 4"),
            ({"smooth_window": 8}, "smooth_window = 8; expected an odd number"),
            ({"rest_window": 26}, "rest_window = 26"),
            ({"max_misses": -1}, "max_misses = -1"),
            ({"n_boxes": 6}, "n_boxes = 6"),
            ({"redetect_interval": 0}, "redetect_interval = 0"),
        ],
    )
    def test_refuses_what_cannot_work(self, values, message):
        with pytest.raises(ConfigError, match=message):
            AlignParams(**values)

    @pytest.mark.parametrize("key", ["geometry", "align", "smooth"])
    def test_names_the_choices(self, key):
        with pytest.raises(UnknownNameError, match=f'unknown faces.{key} "offf"; expected one of'):
            AlignParams(**{key: "offf"})

    def test_serves_as_a_section_of_a_recipe(self):
        params = build(AlignParams, {"geometry": "paper-fixed", "crop_scale": 2}, "faces")
        assert params == AlignParams(geometry="paper-fixed", crop_scale=2.0)
        with pytest.raises(UnknownNameError, match=r"faces\.crop_scale"):
            build(AlignParams, {"crop_scal": 2}, "faces")


class TestCrop:
    def test_square_is_level_and_centred_on_the_nose(self):
        points = face(100, 120, iod=50, angle=0.3)
        transform = crop_transform(points, AlignParams())
        in_crop = moved(points, invert(transform))
        left, right = in_crop[36:42].mean(0), in_crop[42:48].mean(0)
        assert left[1] == pytest.approx(right[1])
        assert right[0] - left[0] == pytest.approx(200 / 3.0)
        assert in_crop[30] == pytest.approx([99.5, 99.5])

    @pytest.mark.parametrize(
        ("geometry", "width", "height"),
        [("iod", 180, 180), ("paper-literal", 80, 53.6), ("paper-fixed", 120, 134)],
    )
    def test_extent_of_each_geometry(self, geometry, width, height):
        # 60 px between the eyes, 36 px between their inner corners, 40.2 px of nose
        assert crop_extent(face(), AlignParams(geometry=geometry)) == pytest.approx((width, height))

    def test_extent_scales_with_the_face(self):
        small, large = (crop_extent(face(iod=iod), AlignParams(crop_scale=2.6)) for iod in (30, 90))
        assert small == pytest.approx((78, 78))
        assert large == pytest.approx((234, 234))

    def test_outside(self):
        half_out = np.array([[1.0, 0, -100], [0, 1, 0]])
        assert share_outside(half_out, 200, 400, 400) == pytest.approx(0.5)
        assert share_outside(IDENTITY, 200, 200, 200) == 0
        assert share_outside(IDENTITY, 200, 100, 100) == pytest.approx(0.75)
        gone = np.array([[1.0, 0, 999], [0, 1, 0]])
        assert share_outside(gone, 200, 400, 400) == 1


class TestResample:
    def test_identity_copies(self, rng):
        grey = rng.integers(0, 256, (40, 40), dtype=np.uint8)
        assert (resample(grey, IDENTITY, 40, (1, 1)) == grey).all()

    def test_repeats_the_border(self):
        grey = np.full((10, 10), 30, np.uint8)
        grey[:, -1] = 200
        shifted = resample(grey, np.array([[1.0, 0, 5], [0, 1, 0]]), 10, (1, 1))
        assert (shifted[:, 4:] == 200).all()

    @pytest.mark.parametrize("factor", [3, 4])
    def test_shrinking_is_the_mean_of_the_area(self, factor, rng):
        grey = rng.integers(0, 256, (20 * factor, 20 * factor), dtype=np.uint8)
        offset = (factor - 1) / 2
        transform = np.array([[factor, 0, offset], [0, factor, offset]], float)
        crop = resample(grey, transform, 20, oversampling(transform))
        wanted = cv2.resize(grey, (20, 20), interpolation=cv2.INTER_AREA)
        assert np.abs(crop.astype(int) - wanted).max() <= 1

    def test_samples_per_pixel(self):
        assert oversampling(np.array([[2.0, 0, 0], [0, 0.5, 0]])) == (1, 1)
        assert oversampling(np.array([[2.2, 0, 0], [0, 1.5, 0]])) == (3, 2)

    def test_shrinking_does_not_alias(self):
        stripes = np.tile(np.array([0, 255], np.uint8), (300, 150))
        transform = np.array([[3.0, 0, 1], [0, 3.0, 1]])
        crop = resample(stripes, transform, 100, oversampling(transform))
        assert crop.std() < 45 < resample(stripes, transform, 100, (1, 1)).std()


class TestSimilarity:
    @given(
        angle=st.floats(-3, 3),
        scale=st.floats(0.2, 5),
        x=st.floats(-200, 200),
        y=st.floats(-200, 200),
    )
    def test_recovers_any_similarity(self, angle, scale, x, y):
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        true = np.array([[cosine, -sine, x], [sine, cosine, y]])
        points = face()[list(STABLE_POINTS)]
        assert np.allclose(fit_similarity(points, moved(points, true)), true, atol=1e-6)
        assert np.allclose(compose(invert(true), true), IDENTITY, atol=1e-6)

    def test_is_the_least_squares_fit(self, rng):
        source = rng.normal(size=(13, 2))
        target = 1.3 * source + rng.normal(0, 0.3, (13, 2))
        fit = fit_similarity(source, target)
        best = ((moved(source, fit) - target) ** 2).sum()
        for _ in range(50):
            turn, sine, x, y = rng.normal(0, 0.01, 4)
            other = fit + np.array([[turn, -sine, x], [sine, turn, y]])
            assert ((moved(source, other) - target) ** 2).sum() >= best

    def test_follows_the_head_and_not_the_expression(self):
        still, open_mouth = face(), face()
        open_mouth[48:] += (0, 12)
        open_mouth[:17] += (0, 9)
        open_mouth[17:27] -= (0, 6)
        transforms = clip_transforms(np.stack([still, open_mouth]), AlignParams())
        assert np.allclose(transforms[0], transforms[1])

    @pytest.mark.parametrize("align", ["none", "first", "similarity"])
    def test_each_way_of_aligning(self, align):
        points = np.stack([face(), face(175, 140, iod=66, angle=0.2)])
        transforms = clip_transforms(points, AlignParams(align=align))
        residual = residuals(points, transforms)
        assert residual[0] == pytest.approx(0)
        if align == "first":
            assert np.allclose(transforms[0], transforms[1])
            assert residual[1] > 15
        else:
            assert residual[1] == pytest.approx(0, abs=1e-9)


class TestSmoothing:
    def test_window_scales_with_the_rate(self):
        assert [window_length(9, 2, fps, 99) for fps in (24.0, 25.0, 30.0, 50.0)] == [7, 7, 9, 15]

    @pytest.mark.parametrize(("n_frames", "window"), [(4, 1), (5, 5), (6, 5), (8, 7), (9, 9)])
    def test_window_stays_inside_the_clip(self, n_frames, window):
        assert window_length(9, 2, 30.0, n_frames) == window

    def test_short_clips_and_off_leave_points_alone(self, rng):
        points = rng.normal(size=(9, 68, 2))
        for smooth in (
            smooth_points(points, 30.0, AlignParams(smooth="off")),
            smooth_points(points, 5.0, AlignParams()),
        ):
            assert (smooth == points).all()
            assert smooth is not points
        assert (smooth_points(points[:4], 30.0, AlignParams()) == points[:4]).all()

    @given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.integers(5, 60))
    @settings(max_examples=examples(25))
    def test_parabolas_pass_unchanged(self, coefficients, n_frames):
        times = np.linspace(-1, 1, n_frames)
        path = np.polyval(coefficients, times)
        points = face()[None] + path[:, None, None]
        assert np.allclose(smooth_points(points, 30.0, AlignParams()), points, atol=1e-7)

    def test_still_heads_are_smoothed_longer(self, rng):
        points = face()[None] + rng.normal(0, 0.2, (60, 68, 2))
        kept = {}
        for window in (1, 27):
            smooth = smooth_points(points, 30.0, AlignParams(rest_window=window))
            kept[window] = (smooth - face())[:, list(STABLE_POINTS)].std()
        assert kept[27] < 0.7 * kept[1]

    def test_moving_heads_are_not_cut_short(self, rng):
        sway = 8 * np.sin(2 * np.pi * np.arange(60) / 24)
        truth = face()[None] + sway[:, None, None]
        points = truth + rng.normal(0, 0.2, truth.shape)
        short = smooth_points(points, 30.0, AlignParams(rest_window=1))
        assert np.abs(smooth_points(points, 30.0, AlignParams()) - short).max() < 0.02

    def test_expressions_keep_the_short_window(self, rng):
        points = face()[None] + rng.normal(0, 0.2, (60, 68, 2))
        long, short = (
            smooth_points(points, 30.0, AlignParams(rest_window=window)) for window in (27, 1)
        )
        others = [p for p in range(68) if p not in STABLE_POINTS]
        assert (long[:, others] == short[:, others]).all()


class TestReport:
    def test_yaw(self):
        turned = face()
        turned[30] += (0.56 * 60 * math.tan(math.radians(10)), 0)
        assert yaw_degrees(face()) == pytest.approx(0, abs=1e-9)
        assert yaw_degrees(turned) == pytest.approx(10)
        assert yaw_degrees(face(angle=0.4)) == pytest.approx(0, abs=1e-9)

    def report(self, points, *, missed=(), outside=0.0):
        away = np.zeros(len(points), bool)
        away[list(missed)] = True
        transforms = clip_transforms(points, AlignParams())
        return summarise(points, transforms, away, 2, outside)

    def test_a_good_clip_has_no_warnings(self):
        report = self.report(np.stack([face(), face(170, angle=0.1)]))
        assert report.warnings == ()
        assert report.detection_rate == 1
        assert report.redetections == 2
        assert report.median_iod == pytest.approx(60)
        assert report.residual == pytest.approx(0, abs=1e-9)
        assert all(type(v) is float for k, v in dataclasses.asdict(report).items()
                   if k not in ("warnings", "redetections"))  # fmt: skip

    def test_warnings_say_what_is_wrong(self):
        bent = face(iod=30)
        bent[27:31] += (6, 0)
        report = self.report(np.stack([face(iod=30), bent, bent, bent]), missed=[1], outside=0.25)
        assert report.detection_rate == 0.75
        text = " ".join(report.warnings)
        assert len(report.warnings) == 4
        assert "missing in 1 of 4 frames, first in frame 1" in text
        assert "only 30 pixels apart" in text
        assert "still move by" in text
        assert "25%" in text

    def test_residual_is_in_eye_distances(self):
        for iod in (30.0, 90.0):
            bent = face(iod=iod)
            bent[30] += (0.1 * iod, 0)
            report = self.report(np.stack([face(iod=iod), bent]))
            # one of thirteen points off by 0.1, in one of two frames; the fit takes a part
            assert 0.9 * 0.1 / math.sqrt(13) / 2 < report.residual < 0.1 / math.sqrt(13) / 2

    def test_distance_of_the_eyes(self):
        assert interocular_distance(np.stack([face(iod=50), face(iod=70)])) == pytest.approx(
            [50, 70]
        )
