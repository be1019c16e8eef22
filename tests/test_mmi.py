"""MMI: layouts, labels, views, and what is passed over and why."""

from __future__ import annotations

import dataclasses
import os
import shutil

import numpy as np
import pytest

from evfer.datasets.mmi import MMI
from evfer.datasets.mmi_files import read_elements, read_emotion, read_view
from evfer.errors import ConfigError, FaceError, SourceError, VideoError
from evfer.testing import check_dataset, faults, make_tree, variants
from evfer.video import containers

CLIPS = {
    "S001/103": ("S001-103", "happy", 1),
    "S001/116": ("S001-116", "surprise", 3),
    "S002/099": ("S002-099", "anger", 4),
    "S002/113": ("S002-113", "sadness", 6),
    "S003/010": ("S003-010", "anger", 4),
    "S003/011": ("S003-011", "fear", 2),
    "S004/002": ("S004-002", "disgust", 5),
}
CHOICES = {
    "S001-103": ("90 clockwise", "whole"),
    "S001-116": ("none", "whole"),
    "S002-099": ("90 counter-clockwise", "whole"),
    "S002-113": ("180", "whole"),
    "S003-010": ("none", "left"),
    "S003-011": ("none", "right"),
    "S004-002": ("90 clockwise", "whole"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_tree("mmi", tmp_path_factory.mktemp("mmi"), frames=8)


@pytest.fixture
def tree(tmp_path):
    def make(variant, frames=2):
        return make_tree("mmi", tmp_path / variant, variant, frames=frames)

    return make


def found(survey):
    return {clip.clip_id: (clip.native_id, clip.label_name, clip.label) for clip in survey.clips}


def reasons(survey):
    return {os.path.basename(item.path): (item.reason, item.kind) for item in survey.skipped}


@pytest.mark.parametrize("variant", [*variants("mmi"), "flat", "mpeg"])
def test_every_layout_gives_the_same_clips(tree, variant):
    source = tree(variant)
    survey = MMI().survey(source)
    assert found(survey) == CLIPS
    for clip in survey.clips:
        assert (source / clip.locator).is_file()
        assert clip.fps is None


def test_what_is_passed_over(plain):
    survey = MMI().survey(plain)
    assert reasons(survey) == {
        "S001-001.avi": ("no Emotion in S001-001.xml: a display of other movements", "unlabelled"),
        "S003-012.avi": ("shows a profile", "deselected"),
        "S003-013.avi": ("Emotion 7 in S003-013.xml is none of 1 to 6", "deselected"),
        "2200": ("a still picture", "deselected"),
    }
    assert survey.warnings == (
        "1 clip has no session.xml that names the view, so the face detector finds it: S004-002",
    )
    assert survey.layout == "sessions in Sessions"


def test_clips_come_upright_and_from_the_front(plain):
    reader = MMI()
    survey = check_dataset(reader, plain)
    for clip in survey.clips:
        frames = reader.open(clip, plain)
        chosen = (frames.remarks["rotation"], frames.remarks["half"])
        assert chosen == CHOICES[clip.native_id], clip.native_id
        assert len(frames) == 8
        np.testing.assert_allclose(frames.times_s, np.arange(8) / 25)
        height, width = next(iter(frames)).shape[:2]
        assert (height, width) == {
            "90 clockwise": (720, 576),
            "90 counter-clockwise": (720, 576),
            "180": (576, 720),
            "none": (480, 720 if chosen[1] == "whole" else 360),
        }[chosen[0]]
    assert frames.remarks["view"] == "unknown"
    assert frames.remarks["labels"] == "official"


def test_views_can_be_chosen(plain):
    counts = {views: len(MMI(views=views).survey(plain).clips) for views in ("frontal", "dual")}
    assert counts == {"frontal": 4, "dual": 2}
    skipped = reasons(MMI(views="dual").survey(plain))
    assert skipped["S004-002.avi"] == ("its view is unknown; asked for dual", "deselected")


@pytest.mark.parametrize(
    ("fault", "name", "reason", "kind"),
    [
        ("doubled", "S001-116.avi", "S001-116 again, beside", "doubled"),
        ("two-labels", "S001-116.avi", "there 2 times, with different labels", "doubled"),
        ("two-emotions", "S001-116.avi", "two emotions in S001-116.xml: 4 and 6", "doubled"),
        ("words", "S002-099.avi", "Emotion flummoxed in S002-099.xml is none of 1 to 6", "odd"),
        ("entities", "S001-116.avi", "S001-116.xml: declares entities", "unreadable"),
        ("broken-xml", "S001-116.avi", "S001-116.xml: no XML", "unreadable"),
        ("no-label", "S001-116.avi", "no S001-116.xml beside it", "unlabelled"),
        ("empty-video", "S001-116.avi", "an empty file", "unreadable"),
    ],
)
def test_faults_are_named(tree, fault, name, reason, kind):
    survey = MMI().survey(tree(fault))
    told, told_kind = reasons(survey)[name]
    assert reason in told
    assert told_kind == kind
    lost = set(CLIPS) - set(found(survey))
    assert lost == {"doubled": set(), "words": {"S002/099", "S003/010"}}.get(fault, {"S001/116"})


def test_labels_in_words(tree):
    labels = {clip.native_id: clip.label_name for clip in MMI().survey(tree("words")).clips}
    assert labels["S001-103"] == "happy"
    assert labels["S001-116"] == "surprise"


def test_a_broken_session_file_costs_no_clip(tree):
    source = tree("broken-xml", frames=4)
    survey = MMI().survey(source)
    assert survey.warnings[0].startswith("Sessions/1770/session.xml: no XML")
    (clip,) = [clip for clip in survey.clips if clip.native_id == "S002-099"]
    assert MMI().open(clip, source).remarks["rotation"] == "90 counter-clockwise"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("laughter", r"MAHNOB laughter database.*mmifacedb"),
        ("two-archives", r"2 folders of sessions: first/Sessions, second/Sessions; expected one"),
        ("nothing", r"no clip to convert \(1 times: no Emotion"),
    ],
)
def test_sources_that_are_refused(tree, fault, message):
    with pytest.raises(SourceError, match=message):
        MMI().survey(tree(fault))


def test_a_folder_of_other_things(tmp_path):
    (tmp_path / "12").mkdir()
    (tmp_path / "12/notes.avi").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"(?s)no MMI session found; expected\s+SOURCE/.*account"):
        MMI().survey(tmp_path)


def test_clips_that_cannot_be_opened(tree):
    source = tree("no-face")
    clip = next(c for c in MMI().survey(source).clips if c.native_id == "S001-116")
    with pytest.raises(FaceError, match=r"S001-116\.avi: no face in the first frames upright or"):
        MMI().open(clip, source)
    (source / clip.locator).write_bytes(b"RIFF")
    with pytest.raises(VideoError, match=r"S001-116\.avi"):
        MMI().open(clip, source)


def test_every_fault_has_its_test():
    told = {
        *("flat", "mpeg", "doubled", "two-labels", "two-emotions", "words", "entities"),
        *("broken-xml", "no-label", "no-face", "empty-video", "laughter", "two-archives"),
        "nothing",
    }
    assert set(faults("mmi")) == told


def test_rate_and_digest(plain):
    clip = MMI().survey(plain).clips[0]
    faster = MMI(fps=50)
    again = faster.survey(plain).clips[0]
    assert faster.open(again, plain).times_s[1] == 0.02
    assert faster.source_digest(again, plain) != MMI().source_digest(clip, plain)
    with pytest.raises(ConfigError, match="fps 0"):
        MMI(fps=0)


def test_one_field_of_interlaced_clips(plain):
    clip = MMI().survey(plain).clips[1]
    reader = MMI(deinterlace=True)
    frames = reader.open(clip, plain)
    assert frames.remarks["fields"] == "first"
    whole, filled = next(iter(MMI().open(clip, plain))), next(iter(frames))
    np.testing.assert_array_equal(filled[::2], whole[::2])
    assert (filled[1::2] != whole[1::2]).any()
    assert reader.source_digest(clip, plain) != MMI().source_digest(clip, plain)


def test_the_view_counts_in_the_digest(plain, tmp_path):
    source = tmp_path / "copy"
    shutil.copytree(plain, source)
    clip = MMI().survey(source).clips[0]
    before = MMI().source_digest(clip, source)
    assert before == MMI().source_digest(clip, plain)
    session = source / "Sessions/1767/session.xml"
    session.write_text(session.read_text().replace('view="0"', 'view="2"'))
    assert MMI().source_digest(clip, source) != before


def test_a_container_without_a_rate_falls_back(plain, monkeypatch):
    monkeypatch.setattr(containers, "frame_rate", lambda *_: None)
    clip = MMI().survey(plain).clips[1]
    assert MMI().open(clip, plain).times_s[1] == 1 / 25


@pytest.fixture
def fold_file(tmp_path):
    # S001;4 is clip S001-103 and S002;1 is S002-099; S003 has no rule; S001;9 is not here
    path = tmp_path / "folds.csv"
    rows = ["S001;004;6;0;1", "S001;009;1;1;0", "S002;001;2;0;0", "S003;007;5;0;0"]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_published_labels(plain, fold_file):
    survey = MMI(labels="published", fold_file=str(fold_file)).survey(plain)
    assert found(survey) == {
        "S001/103": ("S001-103", "sadness", 6),
        "S002/099": ("S002-099", "fear", 2),
    }
    assert any("1 of 4 published clips have no known number" in w for w in survey.warnings)
    assert any("not here (1 of 3): S001;009" in warning for warning in survey.warnings)
    assert reasons(survey)["S004-002.avi"] == ("not among the published clips", "deselected")


def test_published_labels_with_a_table_of_ids(plain, fold_file, tmp_path):
    ids = tmp_path / "mmi_ids.csv"
    ids.write_text("subject;sequence;sid\nS003;007;S001-001\n")
    reader = MMI(labels="published", fold_file=str(fold_file), ids_file=str(ids))
    survey = reader.survey(plain)
    # a clip without an official label
    assert found(survey)["S001/001"] == ("S001-001", "disgust", 5)
    assert not any("known number" in warning for warning in survey.warnings)


def test_options_that_do_not_go_together(tmp_path):
    with pytest.raises(ConfigError, match="fold_file"):
        MMI(labels="published")
    with pytest.raises(ConfigError, match="ids_file"):
        MMI(ids_file="x.csv")


XML = '<?xml version="1.0"{}?><m xmlns:a="u">{}</m>'


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ('<Metatag Name="Emotion" Value="4"/>', "happy"),
        ('<metatag NAME=" emotion " value=" 4.0 "/>', "happy"),
        ('<a:Metatag Name="X" Value="1"/><a:Metatag Name="Emotion" Value="2"/>', "disgust"),
        ('<Metatag Name="Emotion" Value="3"/><Metatag Name="Emotion" Value="Fear"/>', "fear"),
        ('<Metatag Name="Emotion" Value=""/>', ""),
        ('<Metatag Name="Emotion" Value="0"/>', ""),
        ('<Metatag Name="Emotion" Value="inf"/>', ""),
        ('<Metatag Name="Emotion" Value="1.5"/>', ""),
        ('<Metatag Value="4"/>', ""),
    ],
)
def test_emotions(tmp_path, tags, name):
    path = tmp_path / "S001-001.xml"
    path.write_text(XML.format("", tags))
    emotion = read_emotion(path)
    assert emotion.name == name
    assert bool(emotion.reason) != bool(name)


@pytest.mark.parametrize(
    ("tracks", "view"),
    [
        ('<track view="0"/><track view="2"/>', "frontal"),
        ('<track/><track view="2"/>', "dual"),
        ('<Track View="1"/>', "profile"),
        ('<track view="3"/>', "unknown"),
        ("", "unknown"),
    ],
)
def test_sides(tmp_path, tracks, view):
    path = tmp_path / "session.xml"
    path.write_text(XML.format("", tracks))
    assert read_view(path) == view


def test_xml_is_not_trusted(tmp_path):
    path = tmp_path / "a.xml"
    entities = '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><m>&x;</m>'
    for encoding in ("utf-8", "utf-16"):
        path.write_bytes(entities.encode(encoding))
        with pytest.raises(SourceError, match="declares entities"):
            read_elements(path)
    path.write_text('<!DOCTYPE m SYSTEM "mmi.dtd"><m a="1"/>')  # a plain one harms nobody
    assert read_elements(path) == (("m", {"a": "1"}),)
    path.write_text("<m>" + " " * 2**20 + "</m>")
    with pytest.raises(SourceError, match="larger than 1 MiB"):
        read_elements(path)
    path.write_bytes(XML.format(' encoding="klingon"', "").encode())
    with pytest.raises(SourceError, match="no XML"):
        read_elements(path)


def test_options_are_all_there():
    names = {field.name for field in dataclasses.fields(MMI)}
    assert names == {"fps", "views", "deinterlace", "labels", "fold_file", "ids_file"}
