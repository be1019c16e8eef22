"""`evfer check`: what a source holds, what is wrong with it, and what the user is told."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from evfer import cli
from evfer.datasets.check import check
from evfer.datasets.demo import DemoHeads
from evfer.datasets.folder import Folder
from evfer.errors import UnknownNameError
from evfer.testing import make_tree


def write_clip(folder, n_frames=4, size=(32, 24), suffix=".png"):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(str(folder)))
    for k in range(n_frames):
        picture = rng.integers(0, 255, (size[1], size[0]), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{k:03d}{suffix}"), picture)


@pytest.fixture
def clips(tmp_path):
    """Two people, two labels, three clips; all is well."""
    root = tmp_path / "source"
    write_clip(root / "happy" / "anna" / "one")
    write_clip(root / "happy" / "ben" / "take", 6, suffix=".jpg")
    write_clip(root / "anger" / "anna" / "two", size=(40, 24))
    return root


def run(*arguments):
    return cli.main(["check", *map(str, arguments)])


class TestReport:
    def test_counts(self, clips):
        report = check(Folder(), clips)
        assert report.ok
        assert [(row.label, row.clips, row.subjects) for row in report.labels] == [
            ("happy", 2, 2),
            ("anger", 1, 1),
        ]
        assert report.labels[0].expected is report.labels[0].missing is None
        assert report.subjects == {"anna": {"happy": 1, "anger": 1}, "ben": {"happy": 1}}
        assert (report.n_clips, report.n_subjects, report.expected_clips) == (3, 2, None)
        assert report.sizes == {"32x24": 2, "40x24": 1}
        assert report.rates == {"30": 3}
        assert report.lengths == (4, 4, 6)
        assert (report.skipped, report.unreadable, report.warnings) == ((), (), ())
        assert "label/subject/clip" in report.layout

    def test_progress(self, clips):
        seen = []
        check(Folder(), clips, on_progress=lambda *now: seen.append(now))
        assert seen == [(1, 3), (2, 3), (3, 3)]

    def test_a_quick_check_opens_no_clip(self, clips):
        (clips / "happy" / "anna" / "one" / "000.png").write_bytes(b"")
        report = check(Folder(), clips, depth="quick")
        assert report.ok
        assert (report.sizes, report.lengths) == ({}, ())

    def test_a_rendered_set_is_not_drawn(self, monkeypatch):
        monkeypatch.setattr(DemoHeads, "open", lambda *_: pytest.fail("drawn"))
        report = check(DemoHeads(people=2), None)
        assert (report.ok, report.n_clips, report.expected_clips) == (True, 24, 144)

    def test_what_conversion_would_refuse_is_unreadable(self, clips):
        folder = clips / "fear" / "carl"
        for name in ("cut", "cut_jpeg", "sizes", "single", "text"):
            write_clip(folder / name, 1 if name == "single" else 3, suffix=".png")
        picture = folder / "cut" / "001.png"
        picture.write_bytes(picture.read_bytes()[:-400])
        for k in range(3):
            (folder / "cut_jpeg" / f"{k:03d}.png").unlink()
        rng = np.random.default_rng(0)
        for k in range(3):
            large = rng.integers(0, 255, (200, 200), dtype=np.uint8)
            cv2.imwrite(str(folder / "cut_jpeg" / f"{k}.jpeg"), large)
        jpeg = folder / "cut_jpeg" / "2.jpeg"
        jpeg.write_bytes(jpeg.read_bytes()[:-6000])
        cv2.imwrite(str(folder / "sizes" / "002.png"), np.zeros((30, 30), np.uint8))
        (folder / "text" / "000.png").write_text("no picture")
        (folder / "empty.mp4").write_bytes(b"")
        report = check(Folder(), clips)
        assert not report.ok
        assert report.n_clips == 9
        found = {fault.native_id: fault.reason for fault in report.unreadable}
        reasons = {
            "cut": "001.png", "cut_jpeg": "2.jpeg", "sizes": "002.png: a picture of 30 x 30",
            "single": "at least two", "text": "000.png", "empty.mp4": "an empty file",
        }  # fmt: skip
        assert found.keys() == {f"fear/carl/{name}" for name in reasons}
        for name, reason in reasons.items():
            assert reason in found[f"fear/carl/{name}"]
        deep = check(Folder(), clips, depth="deep")
        assert {fault.native_id for fault in deep.unreadable} == found.keys()

    def test_a_jpeg_with_something_behind_its_end_is_whole(self, clips):
        picture = clips / "happy" / "ben" / "take" / "002.jpg"
        picture.write_bytes(picture.read_bytes() + bytes(10_000))
        assert check(Folder(), clips).ok

    def test_damage_inside_shows_in_a_deep_check_alone(self, clips):
        write_clip(clips / "fear" / "dora" / "bmp", 3, suffix=".bmp")
        picture = clips / "fear" / "dora" / "bmp" / "001.bmp"
        picture.write_bytes(picture.read_bytes()[:-300])
        assert check(Folder(), clips).ok
        (fault,) = check(Folder(), clips, depth="deep").unreadable
        assert "001.bmp" in fault.reason

    def test_copies_show_in_a_deep_check(self, clips):
        shutil.copytree(clips / "happy" / "anna" / "one", clips / "fear" / "anna" / "again")
        assert check(Folder(), clips).warnings == ()
        report = check(Folder(), clips, depth="deep")
        assert report.ok
        (warning,) = report.warnings
        assert "happy/anna/one" in warning
        assert "fear/anna/again" in warning

    def test_what_is_passed_over_is_grouped(self, clips):
        for k in range(5):
            (clips / "happy" / "anna" / f"note_{k}.txt").write_text("x")
        (clips / "readme.md").write_text("x")
        (counts,) = check(Folder(), clips).skip_counts
        assert (counts.kind, counts.count) == ("odd", 6)
        assert [reason.count for reason in counts.reasons] == [5, 1]
        assert len(counts.reasons[0].examples) == 3
        assert counts.reasons[1].examples == ("readme.md",)

    def test_a_wrong_tree_is_a_problem_of_the_report(self, tmp_path):
        report = check(Folder(), tmp_path)
        assert not report.ok
        assert "no clip found" in report.problem.found
        assert report.right_layout.startswith("label/subject/clip")


@pytest.fixture(scope="module")
def ck(tmp_path_factory):
    return make_tree("ck+", tmp_path_factory.mktemp("ck"))


class TestLicensedSets:
    """On miniature copies; what each reader makes of its layouts is tested with the reader."""

    def test_ck_beside_a_whole_copy(self, ck, capsys):
        assert run("--dataset", "ckplus", "--source", ck, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found["ok"]
        assert found["dataset"] == "ck+"
        rows = {row["label"]: row for row in found["labels"]}
        # the order of the published codes, with those that are missing altogether
        assert list(rows) == ["happy", "fear", "surprise", "anger", "disgust", "sadness"]
        assert rows["anger"]["expected"] == 45
        assert rows["anger"]["missing"] == 45 - rows["anger"]["clips"]
        assert (rows["sadness"]["clips"], rows["sadness"]["missing"]) == (0, 28)
        assert found["expected_clips"] == 309
        kinds = {count["kind"]: count["count"] for count in found["skip_counts"]}
        assert kinds["unlabelled"] >= 2
        assert kinds["deselected"] >= 1

    def test_a_label_that_the_card_does_not_count(self, ck, capsys):
        assert run("--dataset", "ck+", "--source", ck, "--json", "--set", "dataset.classes=7") == 0
        found = json.loads(capsys.readouterr().out)
        rows = {row["label"]: row["expected"] for row in found["labels"]}
        assert list(rows)[-1] == "contempt"
        assert (rows["contempt"], rows["anger"]) == (None, 45)
        assert found["expected_clips"] is None

    def test_published_labels(self, ck, tmp_path, capsys):
        file = tmp_path / "folds.csv"
        file.write_text("S005;001;5;0;1\nS118;001;6;1;0\nS120;009;6;0;0\n")
        short = ("--dataset", "ck+", "--source", ck, "--json", "--fold-file", file)
        assert run(*short) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["labels_from"] == "published"
        assert (found["expected_clips"], found["expected_subjects"]) == (357, 99)
        assert found["n_clips"] == 2
        assert any("S120" in warning for warning in found["warnings"])
        long = ("--set", "dataset.labels=published", "--set", f"dataset.fold_file={file}")
        assert run(*short[:-2], *long) == 0
        assert json.loads(capsys.readouterr().out) == found
        assert run(*short, "--labels", "official") == 2
        assert "official labels" in capsys.readouterr().err
        # the same short forms convert
        assert cli.main(["convert", *map(str, (*short[:4], *short[5:])), "--out", str(tmp_path),
                         "--dry-run"]) == 0  # fmt: skip
        assert "2 to convert" in capsys.readouterr().out

    def test_the_wrong_tree_is_shown_the_right_one(self, ck, tmp_path, capsys):
        assert run("--dataset", "mmi", "--source", ck) == 3
        said = capsys.readouterr().out
        assert "session.xml" in said
        assert "Access:" in said
        assert run("--dataset", "ck+", "--source", tmp_path / "none") == 3
        said = capsys.readouterr().out
        assert "no such folder" in said
        assert "S005_001_00000001.png" in said

    @pytest.mark.parametrize("name", ["mmi", "adfes"])
    def test_videos(self, name, tmp_path, capsys):
        source = make_tree(name, tmp_path, "empty-video")
        assert run("--dataset", name, "--source", source) == 3
        said = capsys.readouterr().out
        assert "unreadable" in said
        assert "cannot be read" in said


class TestAsTyped:
    def test_all_is_well(self, clips, capsys):
        assert run("--dataset", "folder", "--source", clips) == 0
        said = capsys.readouterr()
        assert "3 clips of 2 people; all can be opened" in said.out
        assert "1 with 1, 1 with 2" in said.out
        assert "3/3 clips" in said.err
        assert run("--dataset", "folder", "--source", clips, "--quick") == 0
        said = capsys.readouterr()
        assert "not opened" in said.out
        assert said.err == ""
        assert run("--dataset", "folder", "--source", clips, "--deep") == 0
        assert "every frame decoded" in capsys.readouterr().out

    def test_unreadable(self, clips, capsys):
        for k in range(12):
            (clips / "happy" / "anna" / f"video_{k:02d}.avi").write_bytes(b"")
        assert run("--dataset", "folder", "--source", clips) == 3
        said = capsys.readouterr().out
        assert said.count("unreadable happy/anna/") == 10
        assert "2 more" in said
        assert "12 cannot be read" in said

    def test_the_default_source(self, clips, tmp_path, capsys):
        data = tmp_path / "data"
        shutil.copytree(clips, data / "sources" / "folder")
        assert run("--dataset", "folder", "--data", data) == 0
        assert str(data / "sources" / "folder") in capsys.readouterr().out

    def test_json_of_a_problem(self, tmp_path, capsys):
        assert run("--dataset", "folder", "--source", tmp_path, "--json") == 3
        found = json.loads(capsys.readouterr().out)
        assert found["ok"] is False
        assert "no clip found" in found["problem"]["found"]

    def test_demo(self, capsys):
        assert run("--dataset", "demo", "--set", "dataset.people=3") == 0
        said = capsys.readouterr().out
        assert "36 clips of 3 people" in said
        assert "rendered on demand" in said

    def test_wrong_use(self, clips, capsys):
        assert run("--dataset", "nothing", "--source", clips) == 2
        assert run("--dataset", "folder", "--source", clips, "--labels", "published") == 2
        assert "dataset.labels" in capsys.readouterr().err
        with pytest.raises(UnknownNameError):
            cli.cli.main(["check", "--dataset", "nothing"], standalone_mode=False)

    def test_it_writes_nothing(self, clips, tmp_path):
        before = sorted(tmp_path.rglob("*"))
        run("--dataset", "folder", "--source", clips, "--deep")
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("depth", ["normal", "deep"])
def test_clips_that_do_not_change_are_counted(tmp_path, depth):
    for name, moves in (("still", False), ("moving", True)):
        folder = tmp_path / "happy" / "anna" / name
        folder.mkdir(parents=True)
        for k in range(4):
            pixels = np.random.default_rng(k * moves).integers(0, 255, (32, 32), np.uint8)
            cv2.imwrite(str(folder / f"{k:03d}.png"), pixels)
    warnings = " ".join(check(Folder(), tmp_path, depth=depth).warnings)
    assert "1 of 2 clips do not change from frame to frame" in warnings
    assert "happy/anna/still" in warnings
