"""Landmarks from files and from dlib's weights; frames that break the rules."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import numpy as np
import pytest
from face_scenes import face

from evfer.errors import ConfigError, EventsError, FaceError, MissingExtra, RecordingError
from evfer.faces import AlignParams, align, find_weights, read_landmarks, write_landmarks
from evfer.faces import landmarks as by_dlib


def sway(n):
    return np.stack([face(160 + np.sin(k / 5)) for k in range(n)])


class TestFiles:
    def test_round_trip(self, tmp_path, rng):
        points = rng.uniform(0, 700, (7, 68, 2))
        points[3] = np.nan
        write_landmarks(tmp_path / "points.csv", points)
        back = read_landmarks(tmp_path / "points.csv")
        assert back.dtype == np.float64
        assert np.allclose(back, points, atol=5.1e-5, equal_nan=True)

    def test_openface_table(self, tmp_path):
        names = [f" {axis}_{k}" for axis in "xy" for k in range(68)]
        rows = [",".join(["frame", " timestamp", " success", *names])]
        for frame, found in ((1, 1), (2, 0)):
            rows.append(",".join([str(frame), "0.0", str(found), *map(str, face().T.ravel())]))
        path = tmp_path / "openface.csv"
        path.write_text("\n".join(rows) + "\n")
        points = read_landmarks(path)
        assert np.allclose(points[0], face())
        assert np.isnan(points[1]).all()

    def test_plain_table(self, tmp_path):
        path = tmp_path / "plain.csv"
        path.write_text("\n".join(",".join(map(str, frame.ravel())) for frame in sway(3)))
        assert np.allclose(read_landmarks(path), sway(3))

    def test_folder_of_points(self, tmp_path):
        for index, frame in enumerate(sway(3)):
            lines = [f"   {x:.7e}   {y:.7e}" for x, y in frame]
            (tmp_path / f"S005_001_{index:08d}_landmarks.txt").write_text("\n".join(lines) + "\n")
        assert np.allclose(read_landmarks(tmp_path), sway(3), atol=1e-4)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "holds no landmarks"),
            ("1,2,3\n", r"line 1 has 3 cells; expected 136"),
            (",".join(["1"] * 135 + ["wet"]), 'line 1 has "wet"'),
            ("frame,x_0\n", "has no column x_1"),
        ],
    )
    def test_odd_tables_are_refused(self, tmp_path, text, message):
        path = tmp_path / "points.csv"
        path.write_text(text)
        with pytest.raises(RecordingError, match=message):
            read_landmarks(path)

    def test_left_out_frames_are_noticed(self, tmp_path):
        path = tmp_path / "points.csv"
        write_landmarks(path, sway(4))
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:2] + lines[3:]))
        with pytest.raises(RecordingError, match="line 3 is of frame 2; expected frame 1"):
            read_landmarks(path)
        path.write_text("\n".join([*lines[:2], lines[2] + ",7"]))
        with pytest.raises(RecordingError, match="line 3 has 139 cells; expected 138"):
            read_landmarks(path)

    def test_missing_and_short_files(self, tmp_path):
        with pytest.raises(RecordingError, match=r"nothing\.csv: No such file"):
            read_landmarks(tmp_path / "nothing.csv")
        (tmp_path / "a.txt").write_text("1 2\n3 4\n")
        with pytest.raises(RecordingError, match=r"a\.txt has 2 lines; expected 68"):
            read_landmarks(tmp_path)


class TestGivenPoints:
    frames = np.random.default_rng(0).integers(0, 256, (12, 240, 320), np.uint8)

    def test_needs_no_dlib(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "dlib", None)
        by_dlib.load.cache_clear()
        clip = align(self.frames, landmarks=sway(12))
        assert clip.frames.shape == (12, 200, 200)
        assert clip.frames.dtype == np.uint8
        assert clip.landmarks.shape == (12, 68, 2)
        assert clip.transforms.shape == (12, 2, 3)
        assert clip.report.detection_rate == 1

    def test_short_gaps_are_bridged_and_long_ones_refused(self):
        points = sway(12)
        points[3:8] = np.nan
        clip = align(self.frames, landmarks=points)
        assert clip.report.detection_rate == pytest.approx(7 / 12)
        assert np.abs(clip.landmarks - sway(12)).max() < 1
        points[8] = np.nan
        with pytest.raises(FaceError, match="no landmarks from frame 3 to frame 8; expected"):
            align(self.frames, landmarks=points)
        with pytest.raises(FaceError, match="no landmarks from frame 0 to frame 1"):
            align(self.frames[:2], landmarks=np.full((2, 68, 2), np.nan))

    @pytest.mark.parametrize(
        ("points", "message"),
        [
            (sway(11), "12 frames and the points of 11"),
            (sway(13), "12 frames and the points of 13"),
            (sway(12)[:, :67], r"landmarks of shape \(12, 67, 2\)"),
            (np.full((12, 68, 2), "a"), "type <U1"),
            (np.zeros((12, 68, 2)), "frame 0 with both eyes in one place"),
            (np.zeros((0, 68, 2)), "landmarks of no frame"),
        ],
    )
    def test_points_that_do_not_fit(self, points, message):
        with pytest.raises(EventsError, match=message):
            align(self.frames, landmarks=points)

    def test_input_is_left_alone(self):
        points, frames = sway(12), self.frames.copy()
        align(frames, landmarks=points)
        assert (points == sway(12)).all()
        assert (frames == self.frames).all()

    def test_colour_is_rec_601_luma(self):
        colour = np.zeros((6, 240, 320, 3), np.uint8)
        colour[..., 0], colour[..., 1], colour[..., 2] = 10, 100, 200
        clip = align(colour, landmarks=sway(6))
        assert np.unique(clip.frames).tolist() == [round(0.114 * 10 + 0.587 * 100 + 0.299 * 200)]

    def test_shrinking_takes_the_mean_all_through_the_clip(self):
        stripes = np.tile(np.array([0, 255], np.uint8), (2, 900, 450))
        large = np.stack([face(450, 450, iod=210)] * 2)
        assert align(stripes, landmarks=large).frames.std() < 45
        # one crop pixel covers 1.98, then 2.04 source pixels: no change of method between
        growing = np.stack([face(450, 450, iod=132), face(450, 450, iod=136)])
        first, second = align(stripes, AlignParams(align="none"), landmarks=growing).frames
        assert first.std() == pytest.approx(second.std(), rel=0.2)

    def test_a_reader_that_reuses_its_array(self):
        class Reader:
            walks = 0

            def __iter__(self):
                self.walks += 1
                buffer = np.empty((240, 320), np.uint8)
                for frame in TestGivenPoints.frames:
                    buffer[:] = frame
                    yield buffer

        reader = Reader()
        clip = align(reader, landmarks=sway(12))
        assert (clip.frames == align(self.frames, landmarks=sway(12)).frames).all()
        assert reader.walks == 2  # once for the first frame's size, once for the crops


class TestRules:
    def frames(self, n=3):
        return [np.zeros((120, 160), np.uint8) for _ in range(n)]

    @pytest.mark.parametrize(
        ("odd", "message"),
        [
            (np.full((120, 160), np.nan), "frame 2 has pixels of type float64; expected uint8"),
            (np.zeros((120, 160), np.int32), "frame 2 has pixels of type int32"),
            (np.zeros((120, 161), np.uint8), "frame 2 has 161 x 120 pixels; expected 160 x 120"),
            (np.zeros((120, 160, 4), np.uint8), r"frame 2 has the shape \(120, 160, 4\)"),
            (np.zeros(120, np.uint8), r"frame 2 has the shape \(120,\)"),
            (np.zeros((0, 160), np.uint8), r"frame 2 has the shape \(0, 160\)"),
            ([[0]], "frame 2 is a list"),
            (None, "frame 2 is a NoneType"),
        ],
    )
    def test_odd_frames_are_named(self, odd, message):
        with pytest.raises(EventsError, match=message):
            align([*self.frames(2), odd], landmarks=sway(3))

    def test_iterators_are_refused(self):
        with pytest.raises(EventsError, match="generator, which can be read only once"):
            align(frame for frame in self.frames())

    @pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
    def test_odd_rates_are_refused(self, fps):
        with pytest.raises(ConfigError, match="a frame rate of"):
            align(self.frames(), fps=fps, landmarks=sway(3))

    def test_one_picture_is_no_clip(self):
        with pytest.raises(EventsError, match=r"frame 0 has the shape \(160,\)"):
            align(np.zeros((120, 160), np.uint8))


class TestWeights:
    def test_are_found_without_importing_their_package(self):
        assert find_weights().name == "shape_predictor_68_face_landmarks.dat"
        assert "face_recognition_models" not in sys.modules

    def test_missing_package_says_how_to_install(self, monkeypatch):
        def missing(name):
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, "distribution", missing)
        with pytest.raises(MissingExtra, match="pip install dlib-bin face_recognition_models"):
            find_weights()

    def test_missing_dlib_says_how_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "dlib", None)
        by_dlib.load.cache_clear()
        with pytest.raises(MissingExtra, match="dlib cannot be imported .* pip install dlib-bin"):
            align(np.zeros((3, 120, 160), np.uint8))

    def test_import_loads_nothing_heavy(self):
        script = "import sys, evfer.faces; evfer.faces.AlignParams(); print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert not set(done.stdout.split()) & {"dlib", "cv2", "scipy", "numba", "torch"}


def test_params_reach_the_crop():
    frames = TestGivenPoints.frames
    clip = align(frames, AlignParams(size=64, align="first", smooth="off"), landmarks=sway(12))
    assert clip.frames.shape == (12, 64, 64)
    assert (clip.transforms == clip.transforms[0]).all()
    assert (clip.landmarks == sway(12)).all()
