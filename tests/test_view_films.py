"""Films: any length in little memory, told of as they grow, nothing left of those cut short."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import weakref

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evfer import recordings, view
from evfer.cli import cli
from evfer.errors import ConfigError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.pictures import DARK
from evfer.view import animation
from evfer.view.gif import FilmPalette, write_frames

SENSOR = SensorSize(30, 20)
DURATION_US = 200_000


@pytest.fixture
def recording(tmp_path, make_events):
    path = tmp_path / "004.h5"
    events = make_events(4000, width=30, height=20, duration_us=DURATION_US)
    said = {"clip_id": "S001/004", "label": 1, "label_name": "happy"}
    recordings.write(path, events, SENSOR, said, duration_us=DURATION_US)
    return path


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_a_film_s_pictures_are_let_go_one_by_one(tmp_path, recording, monkeypatch, ending):
    alive, most = [], []
    draw = animation.draw_film

    def watched(*args):
        for picture in draw(*args):
            fresh = picture.copy()
            alive.append(weakref.ref(fresh))
            yield fresh
            del fresh, picture
            most.append(sum(ref() is not None for ref in alive))

    monkeypatch.setattr(animation, "draw_film", watched)
    params = view.ViewParams(slowdown=3, fps=20)
    view.render(recording, tmp_path / f"a{ending}", params=params)
    assert len(most) == 12
    assert max(most) <= 1  # the one that the writer's loop still names


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_progress_counts_every_picture(tmp_path, recording, ending):
    told = []
    view.render(
        recording,
        tmp_path / f"a{ending}",
        params=view.ViewParams(slowdown=5, fps=10),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 10) for done in range(11)]


def test_a_gif_holds_its_pictures_pixel_for_pixel(tmp_path, rng):
    palette = FilmPalette(DARK)
    table = palette.table[:255].astype(np.uint8)
    pictures = [table[rng.integers(0, 255, (21, 34))]]
    changed = pictures[0].copy()
    changed[5:9, 30:34] = DARK.on
    pictures += [changed, changed.copy(), table[rng.integers(0, 255, (21, 34))]]
    with (tmp_path / "a.gif").open("wb") as file:
        write_frames(file, iter(pictures), palette, 7)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (4, (34, 21), 0)
        for number, picture in enumerate(pictures):
            film.seek(number)
            assert film.info["duration"] == 70
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), picture)


def test_what_does_not_change_takes_no_room(tmp_path):
    palette = FilmPalette(DARK)
    picture = np.full((200, 300, 3), DARK.page, np.uint8)
    sizes = []
    for count in (1, 101):
        with (tmp_path / "a.gif").open("wb") as file:
            write_frames(file, [picture] * count, palette, 4)
        sizes.append((tmp_path / "a.gif").stat().st_size)
    assert sizes[1] - sizes[0] < 100 * 40


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_a_film_cut_short_leaves_nothing(tmp_path, recording, ending):
    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    out = tmp_path / f"a{ending}"
    out.write_bytes(b"of before")
    with pytest.raises(KeyboardInterrupt):
        view.render(recording, out, progress=stop)
    assert out.read_bytes() == b"of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["004.h5", out.name]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without asking")
@pytest.mark.parametrize("ending", [".gif", ".mp4"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_killed_command_leaves_nothing(tmp_path, recording, ending, number):
    out = tmp_path / "film" / f"a{ending}"
    command = [sys.executable, "-m", "evfer", "view", str(recording), "--out", str(out)]
    settings = ["--slowdown", "900", "--fps", "50", "--no-frames"]
    process = subprocess.Popen([*command, *settings], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not list(out.parent.glob(".*.part*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped" in said
    assert list(out.parent.iterdir()) == []


def test_a_film_may_be_long_but_not_endless(make_events):
    clip = view.Clip(make_events(10, width=30, height=20), SENSOR, 2_000_000)
    assert len(clip.film_steps(view.ViewParams(slowdown=300), 25)) == 15_000
    with pytest.raises(ConfigError, match="15025"):
        clip.film_steps(view.ViewParams(slowdown=300.5), 25)


@pytest.mark.parametrize(
    ("ending", "options", "said"),
    [
        (".png", ["--slowdown", "3"], ["--slowdown has no effect on a .png of a recording"]),
        (".png", ["--fps", "9", "--seed", "4"], ["--fps has no effect", "--seed has no effect"]),
        (".html", ["--fps", "9", "--ground", "light"], ["--fps has no", "--ground has no"]),
        (".gif", ["--set", "frames.n_steps=3"], ["--set has no effect on a .gif"]),
        (".gif", ["--slowdown", "3", "--fps", "9"], []),
        (".html", ["--slowdown", "3", "--eda", "noise", "--seed", "1"], []),
        (".png", [], []),
    ],
)
def test_settings_without_effect_are_told(tmp_path, recording, ending, options, said):
    arguments = ["view", str(recording), "--out", str(tmp_path / f"a{ending}"), "--no-frames"]
    found = CliRunner().invoke(cli, [*arguments, *options])
    assert found.exit_code == 0, found.output
    told = [line for line in found.stderr.splitlines() if "no effect" in line]
    assert len(told) == len(said)
    for line, words in zip(told, said, strict=True):
        assert words in line


def test_an_empty_film_is_one_picture(tmp_path):
    path = view.render_events(np.zeros(0, EVENT_DTYPE), SENSOR, tmp_path / "a.gif")
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 1) == 1


@pytest.mark.parametrize(("slowdown", "told"), [("10", False), ("20", True)])
def test_long_films_show_how_far_they_are(tmp_path, recording, slowdown, told):
    arguments = ["view", str(recording), "--out", str(tmp_path / "a.gif"), "--no-frames"]
    found = CliRunner().invoke(cli, [*arguments, "--slowdown", slowdown])
    assert found.exit_code == 0, found.output
    assert ("a.gif: 100/100 pictures" in found.stderr) == told
    assert told or found.stderr == ""
