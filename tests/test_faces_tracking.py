"""Following rendered heads: gaps, other people, late faces, large motion."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from face_scenes import expression, moving, neutral, with_noise

from evfer.errors import EventsError, FaceError
from evfer.faces import AlignParams, align
from evfer.faces import landmarks as by_dlib
from evfer.faces.alignment import STABLE_POINTS, compose
from evfer.faces.crop import interocular_distance
from evfer.faces.report import yaw_degrees

STABLE = list(STABLE_POINTS)


def still(n, person=0):
    return with_noise([neutral(person)] * n)


def without_face(frame, seed=5):
    """The same light, no face: a wall of soft clouds."""
    rng = np.random.default_rng(seed)
    clouds = cv2.GaussianBlur(rng.normal(size=frame.shape[:2]), (0, 0), 12)
    wall = frame.mean() + 20 * clouds / clouds.std()
    return np.clip(np.rint(wall), 0, 255).astype(np.uint8)


def covered(frames, start, stop):
    frames = frames.copy()
    for index in range(start, stop):
        frames[index] = without_face(frames[index], index)
    return frames


class TestPlainClips:
    def test_a_demo_clip(self):
        frames, yaw = expression()
        clip = align(frames)
        assert clip.frames.shape == (24, 200, 200)
        assert clip.frames.dtype == np.uint8
        assert clip.landmarks.shape == (24, 68, 2)
        report = clip.report
        assert (report.detection_rate, report.redetections, report.warnings) == (1.0, 0, ())
        assert 60 < report.median_iod < 80
        assert report.residual < 0.015
        assert report.outside < 0.02
        assert report.yaw_first == pytest.approx(yaw[0], abs=4)
        assert report.yaw_last == pytest.approx(yaw[-1], abs=4)

    def test_grey_and_colour_agree(self):
        frames, _ = expression()
        grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames[:6]])
        assert (align(grey).frames == align(frames[:6]).frames).all()

    def test_list_array_and_reader_agree(self):
        frames = still(5)

        class Reader:
            walks = 0

            def __iter__(self):
                self.walks += 1
                buffer = np.empty_like(frames[0])
                for frame in frames:
                    buffer[:] = frame
                    yield buffer

        reader = Reader()
        wanted = align(frames)
        for given in (list(frames), reader):
            found = align(given)
            assert (found.frames == wanted.frames).all()
            assert (found.landmarks == wanted.landmarks).all()
            assert found.report == wanted.report
        assert reader.walks == 1, "a short clip need not be decoded again"

    def test_one_frame(self):
        clip = align(still(1))
        assert clip.frames.shape == (1, 200, 200)
        assert clip.report.residual == 0
        assert clip.report.yaw_first == clip.report.yaw_last

    def test_face_lies_where_the_geometry_says(self):
        clip = align(still(1), AlignParams(crop_scale=2.5))
        again = align(np.repeat(clip.frames, 1, axis=0), AlignParams(crop_scale=2.5))
        assert interocular_distance(again.landmarks)[0] == pytest.approx(200 / 2.5, rel=0.02)
        assert again.landmarks[0, 30] == pytest.approx([99.5, 99.5], abs=2)

    def test_yaw_of_turned_heads(self):
        turned = {}
        for yaw in (-20, 20):
            frame = neutral(2, yaw=yaw)
            points, _ = by_dlib.settle(frame, by_dlib.detect(frame)[0], 720, 4, 5)
            turned[yaw] = yaw_degrees(points)
        assert turned[-20] == pytest.approx(-20, abs=4)
        assert turned[20] == pytest.approx(20, abs=4)

    def test_points_do_not_depend_on_the_enlargement(self):
        shifts = []
        for person in range(4):
            frame = neutral(person)
            _, box = by_dlib.settle(frame, by_dlib.detect(frame)[0], 720, 4, 5)
            coarse, fine = (by_dlib.find_points(frame, box, size, 5) for size in (200, 900))
            shifts.append((fine - coarse).mean(axis=0))
        assert np.mean(shifts, axis=0) == pytest.approx([0, 0], abs=0.15)

    def test_large_pictures_keep_their_scale(self):
        small, large = (align(still(1), AlignParams()), align(neutral(0, 960)[None]))
        assert large.report.median_iod == pytest.approx(3 * small.report.median_iod, rel=0.02)
        difference = large.frames[0].astype(int) - small.frames[0]
        assert np.abs(difference).mean() < 6


class TestMotion:
    def test_follows_known_motion(self):
        frames, motions = moving(40)
        clip = align(with_noise(frames))
        stable = clip.landmarks[:, STABLE]
        true = stable[0] @ np.swapaxes(motions[:, :, :2], 1, 2) + motions[:, None, :, 2]
        error = np.linalg.norm(stable - true, axis=-1).mean() / clip.report.median_iod
        assert error < 0.006
        assert clip.report.residual < 0.004
        # the crop's corners stay within a third of a source pixel of perfect alignment
        corners = np.array([[0, 0, 1], [199, 0, 1], [0, 199, 1], [199, 199, 1]]).T
        perfect = compose(motions, clip.transforms[:1]) @ corners
        assert np.abs(clip.transforms @ corners - perfect).mean() < 0.4

    def test_follows_a_leaning_head(self):
        # the detector alone loses a face at about 25 degrees
        frame, angles = neutral(1), np.linspace(0, 50, 26)
        frames, motions = [], []
        for angle in angles:
            motion = cv2.getRotationMatrix2D((160, 150), -angle, 1)
            frames.append(
                cv2.warpAffine(frame, motion, (320, 320), borderMode=cv2.BORDER_REPLICATE)
            )
            motions.append(motion)
        assert not by_dlib.detect(frames[-1])
        clip = align(with_noise(frames))
        stable, last = clip.landmarks[:, STABLE], motions[-1]
        true = stable[0] @ last[:, :2].T + last[:, 2]
        error = np.linalg.norm(stable[-1] - true, axis=-1).mean() / clip.report.median_iod
        assert error < 0.03
        assert clip.report.detection_rate == 1
        assert clip.report.redetections == 0

    def test_finds_a_face_again_that_jumped(self):
        frames = still(16)
        frames[6:] = np.roll(frames[6:], (0, 100), axis=(1, 2))
        clip = align(frames, AlignParams(smooth="off"))
        assert clip.report.redetections == 1
        assert clip.landmarks[10, 30] - clip.landmarks[0, 30] == pytest.approx([100, 0], abs=1.5)


class TestGaps:
    def test_short_gap_is_bridged(self):
        clip = align(covered(still(20), 8, 13), AlignParams(smooth="off"))
        report = clip.report
        assert report.detection_rate == pytest.approx(15 / 20)
        assert "missing in 5 of 20 frames, first in frame 8" in report.warnings[0]
        drift = np.abs(clip.landmarks[:, STABLE] - clip.landmarks[0, STABLE])
        assert drift.max() < 2.5

    def test_long_gap_is_refused(self):
        with pytest.raises(FaceError, match="lost from frame 8 to frame 13; expected a face") as e:
            align(covered(still(20), 8, 14))
        assert "at most 5 frames in a row" in e.value.expected
        assert "Cut the clip" in e.value.hint

    def test_gaps_are_counted_one_by_one(self):
        frames = covered(covered(still(16), 3, 7), 10, 14)
        assert align(frames).report.detection_rate == 0.5

    def test_max_misses_is_obeyed(self):
        frames = covered(still(12), 5, 7)
        assert align(frames, AlignParams(max_misses=2)).report.detection_rate < 1
        with pytest.raises(FaceError, match="lost from frame 5 to frame 6"):
            align(frames, AlignParams(max_misses=1))

    def test_gap_at_the_end_holds_the_last_points(self):
        clip = align(covered(still(10), 7, 10), AlignParams(smooth="off"))
        assert (clip.landmarks[7:] == clip.landmarks[6]).all()

    @pytest.mark.parametrize("level", [0, 128, 255])
    def test_blank_frames_count_as_gaps(self, level):
        frames = still(10)
        frames[4:6] = level
        assert align(frames).report.detection_rate == pytest.approx(0.8)

    def test_face_that_comes_late(self):
        clip = align(covered(still(12), 0, 4), AlignParams(smooth="off"))
        assert clip.report.detection_rate == pytest.approx(8 / 12)
        assert (clip.landmarks[:4] == clip.landmarks[4]).all()
        with pytest.raises(FaceError, match="no face in frames 0 to 5"):
            align(covered(still(12), 0, 6))

    def test_first_frames_are_followed_backwards(self):
        # leaning so far that the detector is blind, then upright
        frame, frames = neutral(1), []
        for angle in [56, 52, 48, 44, 40, 36, 24, 12, 0, 0]:
            motion = cv2.getRotationMatrix2D((160, 150), -angle, 1)
            frames.append(
                cv2.warpAffine(frame, motion, (320, 320), borderMode=cv2.BORDER_REPLICATE)
            )
        clip = align(np.stack(frames), AlignParams(smooth="off"))
        assert 0.5 <= clip.report.detection_rate < 1
        left, right = clip.landmarks[0, 36:42].mean(0), clip.landmarks[0, 42:48].mean(0)
        lean = np.degrees(np.arctan2(*(right - left)[::-1]))
        upright = clip.landmarks[-1]
        rest = np.degrees(np.arctan2(*(upright[42:48].mean(0) - upright[36:42].mean(0))[::-1]))
        assert lean - rest == pytest.approx(56, abs=4)


class TestNoFace:
    def test_no_face_at_all(self):
        with pytest.raises(FaceError, match="no face in frames 0 to 5; expected a face"):
            align(np.stack([without_face(neutral(), seed) for seed in range(30)]))
        with pytest.raises(FaceError, match="no face in frame 0; expected"):
            align(without_face(neutral())[None])

    def test_no_frame(self):
        with pytest.raises(EventsError, match="a clip without frames"):
            align([])

    @pytest.mark.parametrize("shape", [(1, 1), (1, 400), (9, 7), (81, 81)])
    def test_tiny_frames(self, shape):
        with pytest.raises(FaceError, match="no face"):
            align(np.full((2, *shape), 80, np.uint8))


class TestTwoPeople:
    def side_by_side(self, n, *, right_size=240):
        left, right = still(n, 0), still(n, 2)
        small = np.stack([cv2.resize(f, (right_size, right_size)) for f in right])
        canvas = np.full((n, 320, 620), 128, np.uint8)
        canvas[:, :, :320] = left
        canvas[:, 40 : 40 + right_size, 340 : 340 + right_size] = small
        return canvas

    def test_the_largest_is_followed(self):
        clip = align(self.side_by_side(6))
        assert (clip.landmarks[:, 30, 0] < 320).all()
        mirrored = align(self.side_by_side(6)[:, :, ::-1].copy())
        assert (mirrored.landmarks[:, 30, 0] > 300).all()

    def test_the_other_is_no_replacement(self):
        frames = self.side_by_side(20)
        for index in range(6, 9):
            frames[index, :, :320] = without_face(frames[index, :, :320], index)
        clip = align(frames)
        assert (clip.landmarks[:, 30, 0] < 320).all()
        assert clip.report.detection_rate == pytest.approx(17 / 20)
        for index in range(6, 20):
            frames[index, :, :320] = without_face(frames[index, :, :320], index)
        with pytest.raises(FaceError, match="lost from frame 6"):
            align(frames)

    def test_growing_neighbours_do_not_draw_the_box(self):
        frames = self.side_by_side(40, right_size=260)
        clip = align(frames, AlignParams(redetect_interval=1))
        assert (clip.landmarks[:, 30, 0] < 320).all()
        assert clip.report.redetections == 0


def test_the_detector_looks_again_as_often_as_asked(monkeypatch):
    looks = []
    near = by_dlib.detect_near

    def counted(*arguments):
        looks.append(arguments)
        return near(*arguments)

    monkeypatch.setattr(by_dlib, "detect_near", counted)
    align(still(31), AlignParams(redetect_interval=10))
    assert len(looks) == 3


def test_points_are_bit_reproducible():
    frames, _ = expression()
    first, second = align(frames), align(frames)
    assert (first.frames == second.frames).all()
    assert (first.landmarks == second.landmarks).all()
