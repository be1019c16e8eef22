"""Which frames are converted: cards, tables, the apex; and that a cut clip is a shorter clip."""

from __future__ import annotations

import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest
from face_scenes import expression, neutral, with_noise

from evfer import cli, config, convert, recordings
from evfer.convert import span
from evfer.convert.span import ClipParams, Part
from evfer.datasets.base import Clip
from evfer.datasets.demo import DemoHeads
from evfer.datasets.folder import Folder
from evfer.errors import ConfigError, SourceError, UnknownNameError

QUICK = {"interpolation": {"method": "none"}}
CLIP = Clip("S001", 4, 1, "happy", "x", "F01/Joy/forward")


def recipe(**clip):
    return convert.load_config("default", {**QUICK, "clip": clip})


class TestTable:
    def write(self, folder, text):
        path = folder / "frames.csv"
        path.write_text(text, encoding="utf-8")
        return path

    def test_lines(self, tmp_path):
        path = self.write(
            tmp_path, "\ufeffclip, first,last\nS001/004,0,37\n\nF01/Joy/forward,5,9\n"
        )
        assert span.read_table(path) == {"S001/004": (0, 37), "F01/Joy/forward": (5, 9)}

    def test_an_index_is_a_table(self, tmp_path):
        path = self.write(tmp_path, "clip_id,label,first_frame,last_frame\nS001/004,1,0,12\n")
        assert span.read_table(path) == {"S001/004": (0, 12)}

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("S001/001,0,12\nS001/002,3", r"frames\.csv, line 3: S001/002,3,; expected first and"),
            ("S001/001,12,12", "line 2: S001/001,12,12"),
            ("S001/001,-1,12", "line 2"),
            ("S001/001,0,1.5", "line 2"),
            (",0,12", "line 2: ,0,12; expected the id of a clip"),
            ("S001/001,0,5\nS001/001,0,6", r"line 3: a second line for S001/001.*line 2"),
        ],
    )
    def test_faults_are_named_by_line(self, tmp_path, line, said):
        with pytest.raises(ConfigError, match=said):
            span.read_table(self.write(tmp_path, f"clip,first,last\n{line}\n"))

    @pytest.mark.parametrize("text", ["", "clip,first\nS001/001,0\n", "S001/001,0,5\n"])
    def test_columns(self, tmp_path, text):
        with pytest.raises(ConfigError, match=r"frames\.csv, line 1: no column"):
            span.read_table(self.write(tmp_path, text))

    def test_no_text(self, tmp_path):
        path = tmp_path / "frames.csv"
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ConfigError, match=r"frames\.csv"):
            span.read_table(path)


class TestResolve:
    def test_the_card_decides(self):
        assert span.resolve(ClipParams(), "demo").range == "full"
        assert span.resolve(ClipParams(), "adfes").range == "to-apex"
        assert span.resolve(ClipParams(), "my_module:Reader").range == "full"
        assert span.resolve(ClipParams("full"), "adfes").range == "full"

    def test_a_table_covers_the_card(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text("clip,first,last\nF01/Joy/forward,2,9\n")
        resolved = span.resolve(ClipParams(str(path)), "adfes")
        assert span.resolve(resolved, "adfes") == resolved
        assert span.given(resolved, CLIP) == (2, 9)
        assert span.given(resolved, dataclasses.replace(CLIP, native_id="M01/Joy/forward")) is None
        assert span.shaping(resolved, CLIP) == {"range": "frames", "first": 2, "last": 9}
        # the others are shaped as without the table, and no path takes part
        assert span.shaping(resolved) == span.shaping(span.resolve(ClipParams(), "adfes"))
        assert span.warn_unknown(resolved, [CLIP]) == ()
        (warning,) = span.warn_unknown(resolved, [])
        assert "F01/Joy/forward" in warning

    def test_neither_word_nor_file(self, tmp_path):
        with pytest.raises(UnknownNameError, match=r'"to_apex".*Did you mean "to-apex"'):
            span.resolve(ClipParams("to_apex"), "demo")
        with pytest.raises(UnknownNameError, match=r"no file .*none\.csv"):
            span.resolve(ClipParams(str(tmp_path / "none.csv")), "demo")

    @pytest.mark.parametrize("pair", [[3, 3], [-1, 4], [1], "0-4", [0.0, 4.0], [True, 4]])
    def test_frames_in_a_recipe(self, pair):
        assert recipe(frames={"S001/001": [0, 4]}).clip.frames == {"S001/001": [0, 4]}
        with pytest.raises(ConfigError, match="S001/001"):
            recipe(frames={"S001/001": pair})

    def test_recipes_leave_it_to_the_card(self):
        for name in ("default", "paper"):
            assert convert.load_config(name).clip == ClipParams("auto")


class TestPart:
    def test_frames_behind_the_last_are_not_decoded(self):
        decoded = []

        class Frames:
            times_s = np.arange(10) / 25

            def __iter__(self):
                for k in range(10):
                    decoded.append(k)
                    yield np.full((2, 2), k, np.uint8)

            def __len__(self):
                return 10

        part = Part(Frames(), 3, 6)
        assert [int(frame[0, 0]) for frame in part] == [3, 4, 5, 6]
        assert [int(frame[0, 0]) for frame in part] == [3, 4, 5, 6]
        assert max(decoded) == 6
        assert len(part) == 4
        np.testing.assert_allclose(part.times_s, np.arange(4) / 25)


def write_clip(folder, frames):
    folder.mkdir(parents=True)
    for k, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{k:03d}.png"), frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two faces: one that shows surprise and falls back, one that does nothing."""
    root = tmp_path_factory.mktemp("source")
    frames, _ = expression(2, "surprise")
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames])
    rise_and_fall = np.concatenate([grey, grey[-1:], grey[::-2]])
    write_clip(root / "surprise" / "anna" / "one", with_noise(rise_and_fall))
    write_clip(root / "neutral" / "ben" / "one", with_noise([neutral(1)] * 12))
    return root


@pytest.fixture(scope="module")
def cut(source, tmp_path_factory):
    """Both, converted up to the apex."""
    data = tmp_path_factory.mktemp("data")
    return convert.convert(Folder(), source, data, recipe(range="to-apex"))


class TestConversion:
    def test_what_a_recording_says(self, cut, source):
        anna, ben = cut.entries
        found = recordings.inspect(cut.folder / anna.path)
        apex = found["apex_frame"]
        assert 10 <= apex <= 25
        assert (found["range"], found["first_frame"], found["last_frame"]) == ("to-apex", 0, apex)
        assert found["source_frames"] == 37
        assert found["duration_us"] == round(apex / 30 * 1e6)
        assert found["params"]["clip"] == {"range": "to-apex"}
        assert (anna.range, anna.first_frame, anna.last_frame) == ("to-apex", 0, apex)
        assert (anna.n_frames, anna.source_frames) == (apex + 1, 37)
        assert recordings.read_index(cut.folder) == list(cut.entries)
        # nothing moves: the whole clip, and a remark
        assert (ben.range, ben.n_frames, ben.source_frames) == ("full", 12, 12)
        found = recordings.inspect(cut.folder / ben.path)
        assert "apex_frame" not in found
        assert "No apex was found" in found["faces"]["warnings"][-1]

    def test_a_cut_clip_is_a_shorter_clip(self, cut, source, tmp_path):
        """The same events as from a source that ends there, and as from a table that says so."""
        anna = cut.entries[0]
        shorter = tmp_path / "source" / "surprise" / "anna" / "one"
        shutil.copytree(source / "surprise" / "anna" / "one", shorter)
        for k in range(anna.last_frame + 1, 37):
            (shorter / f"{k:03d}.png").unlink()
        whole = convert.convert(Folder(), tmp_path / "source", tmp_path / "a", recipe(range="full"))
        assert whole.entries[0].events_sha256 == anna.events_sha256
        frames = {"anna/001": [0, anna.last_frame]}
        given = convert.convert(Folder(), source, tmp_path / "b", recipe(frames=frames), limit=1)
        assert given.entries[0].events_sha256 == anna.events_sha256
        assert given.entries[0].range == "frames"

    def test_from_the_middle(self, source, tmp_path):
        frames = {"surprise/anna/one": [6, 20]}
        made = convert.convert(Folder(), source, tmp_path / "a", recipe(frames=frames), limit=1)
        (entry,) = made.entries
        assert (entry.first_frame, entry.last_frame, entry.n_frames) == (6, 20, 15)
        assert entry.duration_us == round(14 / 30 * 1e6)
        shorter = tmp_path / "source" / "surprise" / "anna" / "one"
        shutil.copytree(source / "surprise" / "anna" / "one", shorter)
        for k in (*range(6), *range(21, 37)):
            (shorter / f"{k:03d}.png").unlink()
        whole = convert.convert(Folder(), tmp_path / "source", tmp_path / "b", recipe())
        assert whole.entries[0].events_sha256 == entry.events_sha256

    def test_frames_are_recovered(self, cut, source, tmp_path):
        anna = cut.entries[0]
        recording = cut.folder / anna.path
        frames, times_s = convert.recover_frames(recording, source)
        assert len(frames) == len(times_s) == anna.n_frames
        aligned, expected = convert.aligned_clip(
            Folder(), Folder().survey(source).clips[0], source, recipe(range="to-apex")
        )
        np.testing.assert_array_equal(frames, aligned.frames)
        np.testing.assert_array_equal(times_s, expected)
        out = tmp_path / "view.png"
        assert cli.main(["view", str(recording), "--source", str(source), "--out", str(out)]) == 0
        assert out.stat().st_size > 10_000

    def test_frames_of_a_table_are_recovered_without_it(self, source, tmp_path):
        table = tmp_path / "frames.csv"
        table.write_text("clip,first,last\nanna/001,4,9\n")
        made = convert.convert(Folder(), source, tmp_path / "d", recipe(range=str(table)), limit=1)
        table.unlink()
        frames, _ = convert.recover_frames(made.folder / made.entries[0].path, source)
        assert len(frames) == 6
        said = (made.folder / "conversion.toml").read_text()
        assert str(tmp_path) not in said
        assert config.read_toml(made.folder / "conversion.toml")["recipe"]["clip"] == {
            "range": "full",
            "frames": {"anna/001": [4, 9]},
        }

    def test_a_changed_line_makes_that_clip_stale_alone(self, source, tmp_path):
        def lines(*lines):
            table = tmp_path / f"{len(list(tmp_path.glob('*.csv')))}.csv"
            table.write_text("\n".join(("clip,first,last", *lines)))
            return recipe(range=str(table))

        data = tmp_path / "data"

        def todo(settings):
            return [clip.clip_id for clip in convert.plan(Folder(), source, data, settings).todo]

        convert.convert(Folder(), source, data, lines("anna/001,0,9", "ben/001,0,5"))
        # another file with the same lines, by either name
        assert todo(lines("ben/001,0,5", "surprise/anna/one,0,9")) == []
        assert todo(lines("anna/001,0,9", "ben/001,0,6")) == ["ben/001"]
        assert todo(lines("ben/001,0,5")) == ["anna/001"]
        assert todo(recipe(range="full")) == ["anna/001", "ben/001"]
        plan = convert.plan(
            Folder(), source, data, lines("anna/001,0,9", "ben/001,0,5", "ed/1,0,5")
        )
        assert plan.todo == ()
        assert "ed/1" in plan.warnings[-1]

    def test_auto_is_what_the_card_says(self, source, cut, tmp_path):
        convert.convert(Folder(), source, tmp_path, recipe(range="auto"), limit=1)
        assert convert.plan(Folder(), source, tmp_path, recipe(range="full"), limit=1).todo == ()
        (clip,) = convert.plan(Folder(), source, tmp_path, recipe(range="to-apex"), limit=1).todo
        assert clip.subject == "anna"

    def test_a_clip_too_short_for_its_line(self, source, tmp_path):
        made = convert.convert(
            Folder(), source, tmp_path, recipe(frames={"anna/001": [0, 37]}), limit=1
        )
        (failure,) = made.failures
        assert "frames 0 to 37 are asked for; expected at most 36" in failure.reason

    def test_a_changed_source_is_no_ground_for_frames(self, cut, source, tmp_path):
        changed = tmp_path / "source"
        shutil.copytree(source, changed)
        (changed / "surprise" / "anna" / "one" / "036.png").unlink()
        with pytest.raises(SourceError, match="not what it was made from"):
            convert.recover_frames(cut.folder / cut.entries[0].path, changed)


def test_as_a_user_types_it(source, tmp_path, capsys):
    table = tmp_path / "frames.csv"
    table.write_text("clip,first,last\nanna/001,0,8\nben/002,0,4\n")
    arguments = ["convert", "--dataset", "folder", "--source", str(source), "--out", str(tmp_path)]
    arguments += ["--workers", "1", "--set", "interpolation.method=none"]
    assert cli.main([*arguments, "--set", f"clip.range={table}"]) == 0
    said = capsys.readouterr()
    assert "ben/002" in said.err + said.out
    assert cli.main(["info", str(tmp_path / "FerDVS/FolderDVS/anna/001.h5"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["range"], found["first_frame"], found["last_frame"]) == ("frames", 0, 8)
    assert cli.main([*arguments, "--set", "clip.range=to-apex"]) == 0
    assert "No apex was found in ben/001" in capsys.readouterr().err
    assert cli.main([*arguments, "--set", "clip.range=apex"]) == 2
    assert "to-apex" in capsys.readouterr().err
    table.write_text("clip,first,last\nanna/001,0\n")
    assert cli.main([*arguments, "--set", f"clip.range={table}"]) == 2
    assert "frames.csv, line 2" in capsys.readouterr().err


def test_demo_clips_stay_whole():
    settings = recipe().resolved("demo")
    assert settings.shaping["clip"] == {"range": "full"}
    clip = DemoHeads(people=1).survey(None).clips[0]
    assert settings.shaping_of(clip) == settings.shaping
