"""Pictures and films of recordings, read back with other libraries."""

import html
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from evfer import formats, recordings, view
from evfer.cli import main
from evfer.errors import ConfigError, EventsError, RecordingError, SourceError, UnknownNameError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.pictures import DARK, LIGHT
from evfer.view.dataset import choose_clips, describe_set
from evfer.view.gallery import write_gallery

SENSOR = SensorSize(40, 40)
DURATION_US = 400_000


def bar_events():
    """A bar that runs to the right: ON events before it, OFF events behind it."""
    rows = []
    for step in range(36):
        for y in range(10, 30):
            rows += [(step + 3, y, True, step * 11_000)] * 6
            rows += [(step, y, False, step * 11_000)] * 6
    return np.array(rows, EVENT_DTYPE)


def write_recording(path, events=None, **attributes):
    events = bar_events() if events is None else events
    said = {"clip_id": "S001/004", "label": 1, "label_name": "happy", **attributes}
    recordings.write(path, events, SENSOR, said, duration_us=DURATION_US)
    return path


def read_film(path):
    film = cv2.VideoCapture(str(path))
    pictures = []
    while True:
        read, picture = film.read()
        if not read:
            return pictures, film.get(cv2.CAP_PROP_FPS)
        pictures.append(picture[..., ::-1])


def near(picture, colour, tolerance=0):
    return (np.abs(picture.astype(int) - colour) <= tolerance).all(axis=-1)


def test_gif_shows_each_moment_in_the_right_colours(tmp_path):
    path = write_recording(tmp_path / "004.h5")
    out = view.render(path, tmp_path / "a.gif", params=view.ViewParams(slowdown=1, fps=25))
    with Image.open(out) as film:
        assert film.n_frames == 10  # 0.4 s at 25 pictures a second
        assert film.info["loop"] == 0
        columns = []
        for index in range(film.n_frames):
            film.seek(index)
            assert film.info["duration"] == 40
            picture = np.asarray(film.convert("RGB"))[84:484, 20:420]  # the panel of events
            on, off = near(picture, DARK.on, 3), near(picture, DARK.off, 3)
            rows, at = np.nonzero(on)
            assert rows.min() == 100
            assert rows.max() == 299
            assert off.any()
            assert np.nonzero(off)[1].mean() < at.mean()
            columns.append(at.mean())
    assert np.all(np.diff(columns) > 0)


def test_mp4_plays_back_with_as_many_pictures(tmp_path):
    path = write_recording(tmp_path / "004.h5")
    out = view.render(path, tmp_path / "a.mp4", params=view.ViewParams(slowdown=2, fps=20))
    pictures, fps = read_film(out)
    assert fps == 20
    assert len(pictures) == 16
    assert pictures[0].shape[0] % 2 == pictures[0].shape[1] % 2 == 0
    panel = pictures[8][84:484, 20:420]
    assert near(panel, DARK.on, 40).any()
    assert near(panel, DARK.off, 40).any()


def test_png_sheet_holds_panels_and_both_colours(tmp_path):
    path = write_recording(tmp_path / "004.h5")
    out = view.render(path, tmp_path / "a.png", params=view.ViewParams(ground="light"))
    with Image.open(out) as image:
        assert image.format == "PNG"
        picture = np.asarray(image.convert("RGB"))
    assert near(picture, LIGHT.on, 2).any()
    assert near(picture, LIGHT.off, 2).any()
    assert near(picture, LIGHT.ground).sum() > 6 * 100 * 100


@pytest.mark.parametrize("ending", [".png", ".gif"])
def test_same_input_same_bytes(tmp_path, ending):
    path = write_recording(tmp_path / "004.h5")
    first = view.render(path, tmp_path / f"1{ending}").read_bytes()
    assert view.render(path, tmp_path / f"2{ending}").read_bytes() == first


@pytest.mark.parametrize("ending", [".png", ".gif", ".mp4"])
def test_source_frames_stand_beside_the_events(tmp_path, ending):
    frames = np.full((4, 40, 40), 255, np.uint8)
    times = np.arange(4) / 10
    sizes, white = [], []
    for beside in (None, frames):
        out = view.render_events(
            bar_events(),
            SENSOR,
            tmp_path / f"{beside is None}{ending}",
            frames=beside,
            frame_times_s=None if beside is None else times,
            title="happy",
        )
        if ending == ".mp4":
            picture = read_film(out)[0][0]
        else:
            with Image.open(out) as image:
                picture = np.asarray(image.convert("RGB"))
        sizes.append(picture.shape[:2])
        white.append(near(picture, (255, 255, 255), 6).sum())
    assert sizes[0] != sizes[1]
    assert white[1] - white[0] > 0.9 * (400 * 400 if ending != ".png" else 6 * 200 * 200)


@pytest.mark.parametrize("ending", [".png", ".gif", ".mp4"])
def test_a_recording_without_events_is_shown_too(tmp_path, ending):
    path = write_recording(tmp_path / "004.h5", np.zeros(0, EVENT_DTYPE))
    out = view.render(path, tmp_path / f"a{ending}")
    assert out.stat().st_size > 500


@pytest.mark.parametrize("ending", [".png", ".gif"])
def test_names_from_the_data_are_only_text(tmp_path, ending):
    title = "$\\frac{ <b> 喜\n" * 30
    out = view.render_events(bar_events(), SENSOR, tmp_path / f"a{ending}", title=title)
    with Image.open(out) as image:
        assert image.width < 3000


def index_entry(subject, sequence, label, name):
    clip_id = f"{subject}/{sequence:03d}"
    return recordings.IndexEntry(
        clip_id, f"{clip_id}.h5", subject, sequence, label, name, 1, 1, 1, "", "", "", 25.0, 10
    )


def write_set(folder, n_subjects=3):
    entries = []
    for subject in range(n_subjects):
        for label, name in ((1, "happy"), (2, "fear")):
            entry = index_entry(f"S{subject:03d}", label, label, name)
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            write_recording(path, clip_id=entry.clip_id, label=label, label_name=name)
            entries.append(entry)
    recordings.write_index(folder, entries)
    return folder


def test_a_data_set_gives_one_row_a_class(tmp_path):
    folder = write_set(tmp_path / "DemoDVS")
    sizes = {}
    for per_class in (2, 3):
        params = view.ViewParams(clips_per_class=per_class)
        out = view.render(folder, tmp_path / "a.png", params=params)
        with Image.open(out) as image:
            sizes[per_class] = image.size
            picture = np.asarray(image.convert("RGB"))
        # the bar fills the middle half of each picture: 20 of 40 rows, in two rows of pictures
        rows = near(picture, DARK.on, 6).any(axis=1).sum()
        assert abs(rows / (2 * 1.75 * 150 / 2) - 1) < 0.15
    assert sizes[3][1] == sizes[2][1]
    assert sizes[3][0] > sizes[2][0]


def test_every_person_comes_before_any_comes_twice():
    entries = [index_entry(s, n, 1, "happy") for s in "CAB" for n in range(4)]
    entries.append(index_entry("A", 9, 6, "sadness"))
    chosen = choose_clips(entries, 4)
    assert list(chosen) == ["happy", "sadness"]
    assert [e.clip_id for e in chosen["happy"]] == ["A/000", "B/000", "C/000", "A/001"]
    assert [e.clip_id for e in chosen["sadness"]] == ["A/009"]
    assert describe_set(entries) == "13 recordings · 3 subjects · 2 classes"


@pytest.mark.parametrize(
    ("sides", "said", "tiles"),
    [
        ((300, 40), "A pixel here is 1 x 1 to 3 x 3 of the sensor's, as each clip says.", [3, 1]),
        ((150, 150), "A pixel here is 2 x 2 of the sensor's.", []),
        ((40, 100), "", []),
    ],
)
def test_a_gallery_tells_each_clip_s_pixels(tmp_path, sides, said, tiles):
    clips = [view.Clip(bar_events(), SensorSize(side, 40), DURATION_US) for side in sides]
    write_gallery({"happy": clips}, tmp_path / "a.html", title="set", subtitle="")
    text = html.unescape((tmp_path / "a.html").read_text(encoding="utf-8"))
    text = text.replace("\N{MULTIPLICATION SIGN}", "x")
    assert said in text
    assert ("A pixel here" in text) == bool(said)
    assert [int(n) for n in re.findall(r"s, pixels of (\d) x \d</span>", text)] == tiles


def test_a_broken_data_set_is_named(tmp_path):
    out = tmp_path / "a.png"
    with pytest.raises(SourceError, match=r"no index\.csv"):
        view.render(tmp_path, out)
    recordings.write_index(tmp_path, [])
    with pytest.raises(RecordingError, match="no recording"):
        view.render(tmp_path, out)
    recordings.write_index(tmp_path, [index_entry("A", 1, 1, "happy")])
    with pytest.raises(RecordingError, match="no such file"):
        view.render(tmp_path, out)
    assert not out.exists()


def test_endings_that_are_not_written_are_refused_before_the_work(tmp_path):
    for name in ("a.htm", "a.avi", "a"):
        with pytest.raises(ConfigError, match=r"\.png, \.gif, \.mp4"):
            view.render(tmp_path / "missing.h5", tmp_path / name)
    with pytest.raises(ConfigError, match=r"expected \.png, \.html as"):
        view.render(tmp_path, tmp_path / "a.gif")
    with pytest.raises(RecordingError, match="no such file"):
        view.render(tmp_path / "missing.h5", tmp_path / "a.png")


@pytest.mark.parametrize(
    "settings",
    [
        {"n_panels": 0},
        {"fps": 0},
        {"fps": 60},
        {"slowdown": 0},
        {"slowdown": float("nan")},
        {"window_s": -1},
        {"clips_per_class": 0},
    ],
)
def test_settings_are_checked(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        view.ViewParams(**settings)
    with pytest.raises(UnknownNameError, match="dark"):
        view.ViewParams(ground="drak")


def test_what_cannot_be_shown_says_why(tmp_path):
    out = tmp_path / "a.gif"
    with pytest.raises(ConfigError, match="slowdown"):
        view.render_events(
            bar_events(), SENSOR, out, params=view.ViewParams(slowdown=1000), duration_us=10**7
        )
    with pytest.raises(ConfigError, match="frame_times_s"):
        view.render_events(bar_events(), SENSOR, out, frames=np.zeros((1, 4, 4), np.uint8))
    for frames, times in (((2, 4, 4), [0.0]), ((1, 4, 4, 3), [0.0]), ((2, 4, 4), [1.0, 0.0])):
        with pytest.raises(EventsError):
            view.render_events(
                bar_events(),
                SENSOR,
                out,
                frames=np.zeros(frames, np.uint8),
                frame_times_s=np.array(times),
            )
    with pytest.raises(EventsError):
        view.render_events(bar_events()[::-1].copy(), SENSOR, out)
    assert not list(tmp_path.iterdir())


FORMATS = {"npy": ".npy", "npz": ".npz", "csv": ".csv", "evt2": ".raw", "dsec": ".h5"}


@pytest.mark.parametrize("to", [*FORMATS, "aedat4", "es"])
def test_every_format_that_is_read_is_shown_and_described(tmp_path, capsys, to):
    if to in ("aedat4", "es"):
        pytest.importorskip("faery")
    path = write_recording(tmp_path / "004.h5")
    assert main(["export", str(path), "--to", to, "--out", str(tmp_path / to)]) == 0
    (file,) = (tmp_path / to).iterdir()
    view.render(path, tmp_path / "own.png")
    words = ["view", str(file), "--out", str(tmp_path / "other.png")]
    if formats.sensor_size(file) is None:
        assert main(words) == 3
        assert "--sensor" in capsys.readouterr().err
        words += ["--sensor", "40x40"]
    assert main(words) == 0, capsys.readouterr().err
    with Image.open(tmp_path / "other.png") as picture:
        assert picture.width > 400
    assert main(["info", str(file)]) == 0
    again = ["export", str(file), "--to", "npz", "--out", str(tmp_path / "again")]
    again += [] if formats.sensor_size(file) else ["--sensor", "40x40"]
    assert main(again) == 0, capsys.readouterr().err
    with np.load(next((tmp_path / "again").iterdir())) as columns:
        assert len(columns["t"]) == len(bar_events())
