"""Video files that are damaged, odd or of no format that can be read."""

from __future__ import annotations

import re
import struct

import cv2
import numpy as np
import pytest

from evfer import video
from evfer.errors import VideoError
from evfer.video import containers

CODECS = {"mpeg": "MPEG", "mpg": "PIM1", "avi": "XVID", "mkv": "mp4v", "mp4": "mp4v"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One video of each kind: 30 frames of a moving texture at 25 a second."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (144, 176, 3), np.uint8), (0, 0), 2)
    folder = tmp_path_factory.mktemp("videos")
    for suffix, codec in CODECS.items():
        code = cv2.VideoWriter_fourcc(*codec)
        writer = cv2.VideoWriter(str(folder / f"a.{suffix}"), code, 25, (176, 144))
        assert writer.isOpened()
        for k in range(30):
            writer.write(np.roll(texture, 3 * k, 1))
        writer.release()
    return folder


@pytest.mark.parametrize("suffix", CODECS)
def test_whole_files(files, suffix):
    frames = video.open_frames(files / f"a.{suffix}")
    assert len(frames) == len(list(frames)) == 30
    np.testing.assert_allclose(frames.times_s, np.arange(30) / 25)


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("share", [0.97, 0.7, 0.3])
def test_files_cut_short(files, tmp_path, suffix, share):
    share = min(share, 0.9) if suffix == "mkv" else share  # whole ones lack a frame or two
    content = (files / f"a.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    keep = int(len(content) * share)
    path.write_bytes(content[:keep])
    with pytest.raises(VideoError, match=rf"cut\.{suffix}: .*(ends after|cut short|missing)"):
        video.open_frames(path)


def test_a_stream_cut_between_packets(files, tmp_path):
    """Copying stops at a multiple of some block, and packets have 2048 bytes."""
    content = (files / "a.mpeg").read_bytes()
    packs = [match.start() for match in re.finditer(b"\x00\x00\x01\xba", content)]
    path = tmp_path / "cut.mpeg"
    told = []
    for at in packs[-5:]:
        path.write_bytes(content[:at])
        try:
            video.open_frames(path)
        except VideoError as error:
            told.append(str(error))
    # it goes unnoticed where the cut falls into the last row of a picture
    assert len(told) >= 4
    assert any("expected a whole last picture" in message for message in told)


@pytest.mark.parametrize("codec", ["MPEG", "PIM1"])
@pytest.mark.parametrize("n", [1, 2, 3, 13])
def test_whole_streams_are_no_false_alarm(tmp_path, codec, n):
    path = tmp_path / "a.mpeg"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, (176, 144))
    for k in range(n):
        writer.write(np.full((144, 176, 3), 10 * k, np.uint8))  # next to nothing to store
    writer.release()
    assert len(video.open_frames(path)) == n


@pytest.mark.parametrize("suffix", CODECS)
def test_files_of_no_bytes(tmp_path, suffix):
    path = tmp_path / f"none.{suffix}"
    path.touch()
    with pytest.raises(VideoError, match=rf"none\.{suffix}: an empty file"):
        video.open_frames(path)


def test_codecs_that_are_missing(files, tmp_path):
    unknown = tmp_path / "unknown.avi"
    unknown.write_bytes((files / "a.avi").read_bytes().replace(b"XVID", b"ZZ9z"))
    with pytest.raises(VideoError, match=r'unknown\.avi.*AVI.*codec "ZZ9z".*ffmpeg -i'):
        video.open_frames(unknown)
    # pictures of another kind in an MPEG stream, which has no place to name them
    foreign = tmp_path / "foreign.mpeg"
    code = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(foreign), code, 25, (64, 48))
    for k in range(9):
        writer.write(np.full((48, 64, 3), 9 * k, np.uint8))
    writer.release()
    with pytest.raises(VideoError, match=r"foreign\.mpeg.*its codec cannot be decoded"):
        video.open_frames(foreign)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mpeg"])
def test_other_things_under_the_name_of_a_video(tmp_path, name):
    path = tmp_path / name
    path.write_text("Not a video. " * 50)
    with pytest.raises(VideoError, match=rf"{name}.*does not begin as one.*another kind of file"):
        video.open_frames(path)


def test_a_table_of_frames_that_is_missing(files, tmp_path):
    path = tmp_path / "a.mp4"
    content = (files / "a.mp4").read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 4])
    with pytest.raises(VideoError, match=r"table of frames is missing.*still being copied"):
        video.open_frames(path)


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_the_turn_that_a_file_asks_for_is_made(files, tmp_path, quarter):
    """Phones store pictures as the sensor has them, and in the file how to turn them."""
    content = bytearray((files / "a.mp4").read_bytes())
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter]
    matrix = [65536 * cosine, 65536 * sine, 0, -65536 * sine, 65536 * cosine, 0, 0, 0, 2**30]
    at = content.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of other things
    assert struct.unpack_from(">9i", content, at)[8] == 2**30
    struct.pack_into(">9i", content, at, *matrix)
    path = tmp_path / "turned.mp4"
    path.write_bytes(content)
    stored = next(iter(video.open_frames(files / "a.mp4"))).astype(int)
    shown = next(iter(video.open_frames(path))).astype(int)
    expected = np.rot90(stored, -quarter)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 2


def test_fields_are_not_frames(tmp_path):
    """MPEG-1 in WMV is announced at twice its rate, and with twice its frames."""
    path = tmp_path / "a.wmv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mpg1"), 25, (64, 48))
    assert writer.isOpened()
    for k in range(20):
        writer.write(np.full((48, 64, 3), 9 * k, np.uint8))
    writer.release()
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == 50
    capture.release()
    frames = video.open_frames(path)
    np.testing.assert_allclose(frames.times_s, np.arange(20) / 25)


STEADY = np.arange(30) * 40.0


@pytest.mark.parametrize(
    ("named", "stamps_ms", "rate"),
    [
        (25.0, STEADY, 25.0),
        (50.0, STEADY, 25.0),  # fields
        (59.94, np.arange(30) * 33.37, 29.97),
        (30.0, STEADY, 30.0),  # the file's word counts where the two differ otherwise
        (0.0, STEADY, 25.0),
        (90000.0, STEADY, 25.0),
        (0.0, np.zeros(30), None),
        (0.0, STEADY[:1], None),
        (25.0, np.zeros(30), 25.0),
    ],
)
def test_frame_rates(named, stamps_ms, rate):
    found = containers.frame_rate(named, stamps_ms)
    assert found == (None if rate is None else pytest.approx(rate))


def test_a_rate_to_fall_back_on(files, monkeypatch):
    path = files / "a.mpeg"
    monkeypatch.setattr(containers, "frame_rate", lambda *_: None)
    with pytest.raises(VideoError, match=r"a\.mpeg: the file names no usable frame rate.*fps=25"):
        video.open_frames(path)
    assert video.open_frames(path, fallback_fps=24).times_s[1] == 1 / 24
    assert video.open_frames(path, 50, fallback_fps=24).times_s[1] == 1 / 50
