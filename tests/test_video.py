"""Frames from folders and videos: order, times, formats, damage."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from evfer import video
from evfer.errors import VideoError


def frame(k, shape=(48, 64)):
    picture = np.zeros(shape, np.uint8)
    picture[:, : 4 * k + 4] = 200
    return picture


def pictures(folder, names, **more):
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        Image.fromarray(frame(k, **more)).save(folder / name)
    return folder


def write_video(path, n=10, fps=25.0, codec="mp4v", size=(64, 48)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
    assert writer.isOpened()
    for k in range(n):
        writer.write(cv2.merge([frame(k, size[::-1])] * 3))
    writer.release()
    return path


def test_pictures_follow_their_numbers(tmp_path):
    folder = pictures(tmp_path / "clip", ["f2.png", "f10.png", "f1.PNG", "F11.png"])
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._f3.png").write_bytes(b"x")
    frames = video.open_frames(folder, fps=10)
    assert len(frames) == 4
    np.testing.assert_allclose(frames.times_s, [0, 0.1, 0.2, 0.3])
    widths = [int((f > 0).sum()) // 48 for f in frames]
    assert widths == [12, 4, 8, 16]
    assert [f.shape for f in frames] == [(48, 64)] * 4  # a second pass gives the same
    assert video.open_frames(folder).times_s[1] == pytest.approx(1 / 30)


def test_colour_is_blue_green_red(tmp_path):
    tmp_path.joinpath("a").mkdir()
    Image.new("RGB", (8, 6), (250, 100, 5)).save(tmp_path / "a" / "0.png")
    Image.new("P", (8, 6)).save(tmp_path / "a" / "1.png")
    Image.new("RGBA", (8, 6), (1, 2, 3, 255)).save(tmp_path / "a" / "2.png")
    Image.fromarray(np.full((6, 8), 257 * 90, np.uint16)).save(tmp_path / "a" / "3.png")
    first, second, third, fourth = video.open_frames(tmp_path / "a")
    assert first[0, 0].tolist() == [5, 100, 250]
    assert second.shape == (6, 8, 3)
    assert third[0, 0].tolist() == [3, 2, 1]
    assert fourth.shape == (6, 8)
    assert fourth[0, 0] == 90


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.mpg", "mpg1")]
)
def test_videos(tmp_path, name, codec):
    frames = video.open_frames(write_video(tmp_path / name, codec=codec))
    assert len(frames) == 10
    np.testing.assert_allclose(frames.times_s, np.arange(10) / 25, atol=1e-6)
    for _ in range(2):
        shown = list(frames)
        assert len(shown) == 10
        np.testing.assert_allclose(shown[7][:, :, 0], frame(7), atol=40)
    assert video.open_frames(tmp_path / name, fps=50).times_s[1] == 0.02


def test_gif_keeps_its_times(tmp_path):
    images = [Image.fromarray(frame(k)) for k in range(4)]
    images[0].save(
        tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[40, 80, 20, 60]
    )
    frames = video.open_frames(tmp_path / "a.gif")
    np.testing.assert_allclose(frames.times_s, [0, 0.04, 0.12, 0.14])
    assert [int((f[:, :, 0] > 0).sum()) // 48 for f in frames] == [4, 8, 12, 16]


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_video_cut_short(tmp_path, name):
    path = write_video(tmp_path / name, n=80, codec="MJPG" if name.endswith("avi") else "mp4v")
    whole = path.read_bytes()
    for keep in (len(whole) // 2, 20, 0):
        path.write_bytes(whole[:keep])
        with pytest.raises(VideoError, match=name.replace(".", r"\.")):
            list(video.open_frames(path))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_picture_cut_short(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    folder = tmp_path / "clip"
    folder.mkdir()
    for k in range(3):
        Image.fromarray(noise).save(folder / f"{k}.{suffix}")
    bad = folder / f"1.{suffix}"
    bad.write_bytes(bad.read_bytes()[:-900])
    with pytest.raises(VideoError, match=rf"1\.{suffix}"):
        list(video.open_frames(folder))


def test_sixteen_bits_keep_their_scale(tmp_path):
    values = np.array([[0, 257, 257 * 90, 65535]] * 3, np.uint16)
    cv2.imwrite(str(tmp_path / "0.png"), values)
    cv2.imwrite(str(tmp_path / "1.tif"), values)
    cv2.imwrite(str(tmp_path / "2.png"), cv2.merge([values] * 3))
    grey, tiff, colour = video.open_frames(tmp_path)
    assert grey[0].tolist() == tiff[0].tolist() == [0, 1, 90, 255]
    assert colour[0, :, 1].tolist() == [0, 1, 90, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_hides_under_the_see_through_does_not_show(tmp_path, mode):
    hidden = np.random.default_rng(0).integers(0, 255, (6, 8, 4), np.uint8)
    for k, alpha in enumerate((0, 255)):
        hidden[..., 3] = alpha
        picture = Image.fromarray(hidden)
        if mode == "P":
            picture = picture.convert("RGB").quantize(16)
            # the whole palette is see-through, or none of it
            picture.save(tmp_path / f"{k}.png", transparency=bytes([alpha] * 16))
        else:
            picture.convert(mode).save(tmp_path / f"{k}.png")
    clear, opaque = video.open_frames(tmp_path)
    assert np.unique(clear).tolist() == [128]
    assert np.ptp(opaque) > 50
    assert clear.ndim == opaque.ndim == (2 if mode == "LA" else 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is a text, named like a picture", "no picture, whatever its name says"),
        (b"", "an empty file"),
        (b"\x89PNG\r\n\x1a\n", ""),
    ],
)
def test_no_picture_at_all(tmp_path, content, message):
    folder = pictures(tmp_path / "clip", ["0.png", "1.png", "2.png"])
    (folder / "1.png").write_bytes(content)
    with pytest.raises(VideoError, match=rf"1\.png.*{message}"):
        list(video.open_frames(folder))


def test_pictures_in_a_given_order(tmp_path):
    folder = pictures(tmp_path, ["0.png", "1.png", "2.png"])
    files = [folder / name for name in ("2.png", "0.png")]
    frames = video.open_pictures(files, 25, {"labels": "official"})
    assert [int((f > 0).sum()) // 48 for f in frames] == [12, 4]
    assert frames.times_s.tolist() == [0, 0.04]
    assert frames.remarks == {"labels": "official"}
    assert video.digest_pictures(files) != video.digest_pictures(files[::-1])
    assert video.digest_pictures(sorted(folder.iterdir())) == video.digest(folder)
    with pytest.raises(VideoError, match="without pictures"):
        video.open_pictures([], 25)
    with pytest.raises(VideoError, match=r"3\.png"):
        video.digest_pictures([folder / "3.png"])


def test_sizes_must_agree(tmp_path):
    pictures(tmp_path / "a", ["0.png"])
    pictures(tmp_path / "a", ["1.png"], shape=(50, 64))
    with pytest.raises(VideoError, match=r"1\.png: a picture of 64 x 50 pixels; expected 64 x 48"):
        list(video.open_frames(tmp_path / "a"))


def test_nothing_to_read(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    for name, message in (
        ("empty", "no picture"),
        ("text.mp4", "cannot be opened"),
        ("none", "no such"),
    ):
        with pytest.raises(VideoError, match=message):
            video.open_frames(tmp_path / name)


def test_digest_sees_content_and_order_only(tmp_path):
    one = pictures(tmp_path / "one", ["1.png", "2.png"])
    two = pictures(tmp_path / "two", ["a1.png", "a2.png"])
    assert video.digest(one) == video.digest(two)
    (one / "1.png").rename(one / "3.png")
    assert video.digest(one) != video.digest(two)
