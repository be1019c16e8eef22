"""One's own clips: trees, tables, names, what is passed over and why."""

from __future__ import annotations

import pytest
from PIL import Image

from evfer.datasets.base import Dataset
from evfer.datasets.folder import Folder
from evfer.errors import ConfigError, SourceError


def clip(root, place, n=3):
    folder = root / place
    folder.mkdir(parents=True)
    for k in range(n):
        Image.new("L", (8, 6), k).save(folder / f"{k}.png")


def test_tree(tmp_path):
    for place in ("Joy/Anna/b", "Joy/Anna/a10", "Joy/Anna/a2", "anger/Anna/x", "waving/Bo B/x"):
        clip(tmp_path, place)
    (tmp_path / "anger/Anna/film.mp4").write_bytes(b"x")
    survey = Folder().survey(tmp_path)
    assert [(c.clip_id, c.label, c.label_name, c.native_id) for c in survey.clips] == [
        ("Anna/001", 1, "happy", "Joy/Anna/a2"),
        ("Anna/002", 1, "happy", "Joy/Anna/a10"),
        ("Anna/003", 1, "happy", "Joy/Anna/b"),
        ("Anna/004", 4, "anger", "anger/Anna/film.mp4"),
        ("Anna/005", 4, "anger", "anger/Anna/x"),
        ("Bo_B/001", 12, "waving", "waving/Bo B/x"),
    ]
    assert survey.skipped == ()
    assert isinstance(Folder(), Dataset)


def test_what_is_no_clip_is_named(tmp_path):
    clip(tmp_path, "happy/anna/one")
    clip(tmp_path, "happy/direct")
    (tmp_path / "happy/anna/empty").mkdir()
    (tmp_path / "happy/anna/notes.txt").write_text("x")
    (tmp_path / "happy/loose.mp4").write_text("x")
    (tmp_path / "readme.md").write_text("x")
    (tmp_path / ".DS_Store").write_text("x")
    (tmp_path / "__MACOSX").mkdir()
    survey = Folder().survey(tmp_path)
    assert len(survey.clips) == 1
    reasons = {item.path: item.reason for item in survey.skipped}
    assert set(reasons) == {
        "happy/direct", "happy/anna/empty", "happy/anna/notes.txt", "happy/loose.mp4", "readme.md",
    }  # fmt: skip
    assert "no picture" in reasons["happy/anna/empty"]


def test_table(tmp_path):
    clip(tmp_path, "one")
    clip(tmp_path, "deep/two")
    (tmp_path / "clips.csv").write_text(
        "path,label,subject,fps\none,fear,A,\ndeep\\two,Sad,A,25\nnone.mp4,sad,A,\n",
        encoding="utf-8-sig",
    )
    survey = Folder().survey(tmp_path)
    assert [(c.clip_id, c.label_name, c.fps) for c in survey.clips] == [
        ("A/001", "fear", None),
        ("A/002", "sadness", 25.0),
    ]
    assert survey.skipped[0].path == "none.mp4"
    assert Folder(fps=50).survey(tmp_path).clips[1].fps == 50
    assert len(Folder().open(survey.clips[1], tmp_path)) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../x,fear,A,", "leads out of the folder"),
        ("/etc,fear,A,", "leads out of the folder"),
        ("one,,A,", "line 2: no label"),
        ("one,fear,A,fast", "fps fast"),
    ],
)
def test_table_that_cannot_be_used(tmp_path, line, message):
    clip(tmp_path, "one")
    (tmp_path / "clips.csv").write_text(f"path,label,subject,fps\n{line}\n")
    with pytest.raises(SourceError, match=message):
        Folder().survey(tmp_path)


def test_no_clip_anywhere(tmp_path):
    with pytest.raises(SourceError, match="no clip found"):
        Folder().survey(tmp_path)
    with pytest.raises(SourceError, match=r"none: no such folder.*label/subject/clip"):
        Folder().survey(tmp_path / "none")
    with pytest.raises(SourceError, match="no source"):
        Folder().survey(None)


def test_subjects_that_differ_in_odd_letters_stay_apart(tmp_path):
    for place in ("happy/a b/1", "happy/a_b/1", "happy/A B/1"):
        clip(tmp_path, place)
    subjects = {c.subject for c in Folder().survey(tmp_path).clips}
    assert len({s.casefold() for s in subjects}) == 3


def test_gaps_are_told(tmp_path):
    clip(tmp_path, "happy/a/1")
    clip(tmp_path, "happy/a/2")
    (tmp_path / "happy/a/2/1.png").unlink()
    survey = Folder().survey(tmp_path)
    (warning,) = survey.warnings
    assert "clips with gaps" in warning
    assert "happy/a/2 (0, then 2)" in warning
    assert "label/subject/clip" in survey.layout


def test_links_in_circles(tmp_path):
    clip(tmp_path, "happy/a/1")
    (tmp_path / "happy/a/round").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "happy/self").symlink_to("self")
    survey = Folder().survey(tmp_path)
    assert [c.native_id for c in survey.clips] == ["happy/a/1"]
    assert {item.path for item in survey.skipped} == {"happy/a/round", "happy/self"}


@pytest.mark.parametrize(("title", "name"), [("faces", "FacesDVS"), ("LabDVS", "LabDVS")])
def test_title(title, name):
    assert Folder(title).set_name == name
    with pytest.raises(ConfigError, match="title"):
        Folder("../x")


def test_digest_follows_content(tmp_path):
    clip(tmp_path, "happy/a/1")
    reader = Folder()
    (first,) = reader.survey(tmp_path).clips
    before = reader.source_digest(first, tmp_path)
    Image.new("L", (8, 6), 99).save(tmp_path / "happy/a/1/0.png")
    assert reader.source_digest(first, tmp_path) != before
