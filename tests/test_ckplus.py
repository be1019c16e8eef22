"""CK+: every layout gives the same clips, every fault its own words."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from evfer import plugins
from evfer.config import build
from evfer.datasets import cards
from evfer.datasets.base import LABEL_CODES
from evfer.datasets.ckplus import CKPlus
from evfer.errors import ConfigError, SourceError, UnknownNameError, VideoError
from evfer.testing import check_dataset, faults, make_tree, variants

CLIPS = {
    "S005/001": "disgust", "S010/002": "surprise", "S010/003": "anger", "S022/001": "happy",
    "S034/003": "anger", "S999/001": "fear",
}  # fmt: skip
SKIPPED = {
    ("S010/001", "unlabelled"),
    ("S118/001", "unlabelled"),
    ("S502/002", "deselected"),
}


def labels(survey):
    return {clip.native_id: clip.label_name for clip in survey.clips}


def skipped(survey):
    return {(item.path, item.kind) for item in survey.skipped}


def extra(survey):
    """What a fault adds to the things passed over: reason by kind."""
    return {
        (item.path, item.kind): item.reason
        for item in survey.skipped
        if (item.path, item.kind) not in SKIPPED
    }


def tree(tmp_path, variant="plain", frames=2):
    return make_tree("ck+", tmp_path, variant, frames=frames)


@pytest.mark.parametrize("variant", variants("ck+"))
def test_every_layout_gives_the_same(tmp_path, variant):
    source = tree(tmp_path, variant)
    survey = CKPlus().survey(source)
    assert labels(survey) == CLIPS
    assert skipped(survey) == SKIPPED
    assert survey.warnings == ()
    assert {clip.clip_id for clip in survey.clips} == set(CLIPS)
    assert all(clip.label == LABEL_CODES[clip.label_name] for clip in survey.clips)
    assert {clip.fps for clip in survey.clips} == {30.0}
    first = survey.clips[0]
    frames = CKPlus().open(first, source)
    assert len(frames) == 3
    assert CKPlus().source_digest(first, source)


@pytest.mark.parametrize("variant", variants("ckplus"))
def test_every_layout_from_a_level_above(tmp_path, variant):
    tree(tmp_path / "mine", variant)
    above = tmp_path / "mine"
    survey = CKPlus().survey(above)
    assert labels(survey) == CLIPS
    assert skipped(survey) == SKIPPED
    assert len(CKPlus().open(survey.clips[0], above)) == 3


def test_layouts_give_one_digest(tmp_path):
    digests = set()
    for variant in ("plain", "lower-case", "one-sequence", "labels", "nested-images"):
        source = tree(tmp_path / variant, variant)
        survey = CKPlus().survey(source)
        digests.add(tuple(CKPlus().source_digest(clip, source) for clip in survey.clips))
    assert len(digests) == 1


def test_contract_and_pictures(tmp_path):
    source = tree(tmp_path, frames=3)
    survey = check_dataset(CKPlus(), source)
    clips = {clip.native_id: clip for clip in survey.clips}
    grey = list(CKPlus().open(clips["S005/001"], source))
    colour = list(CKPlus().open(clips["S999/001"], source))
    assert grey[0].shape == (490, 640)
    assert colour[0].shape == (480, 640, 3)
    assert len(grey) == 4
    change = np.abs(grey[0].astype(float) - grey[-1]).mean()
    assert change > np.abs(grey[0].astype(float) - grey[1]).mean() > 0  # neutral to apex
    assert CKPlus(fps=50).open(clips["S005/001"], source).times_s[1] == pytest.approx(1 / 30)
    again = CKPlus(fps=50).survey(source).clips[0]
    assert CKPlus(fps=50).open(again, source).times_s[1] == pytest.approx(1 / 50)
    assert CKPlus().open(clips["S005/001"], source).remarks == {"labels": "official"}


def test_contempt_on_request(tmp_path):
    survey = CKPlus(classes=7).survey(tree(tmp_path))
    assert labels(survey) == {**CLIPS, "S502/002": "contempt"}
    assert {clip.label for clip in survey.clips if clip.label_name == "contempt"} == {7}
    default = CKPlus().survey(tmp_path)
    (reason,) = [item.reason for item in default.skipped if item.path == "S502/002"]
    assert "dataset.classes=7" in reason


def fold_file(tmp_path, *rows):
    path = tmp_path / "folds.csv"
    path.write_text("".join(f"{row};0;1\n" for row in rows))
    return str(path)


def test_published_labels_are_those_of_the_file_alone(tmp_path):
    source = tree(tmp_path / "set")
    # one without an official label, one with another label, one that is not here
    rows = ("S010;001;3", "S022;001;1", "S034;003;6", "S050;004;2")
    reader = CKPlus(labels="published", fold_file=fold_file(tmp_path, *rows))
    survey = reader.survey(source)
    assert labels(survey) == {"S010/001": "surprise", "S022/001": "happy", "S034/003": "sadness"}
    assert ("S005/001", "deselected") in skipped(survey)
    assert not [item for item in survey.skipped if item.kind == "unlabelled"]
    missing, clash = survey.warnings
    assert "not here (1 of 4): S050;004" in missing
    assert "S034/003 (officially anger, here sadness)" in clash
    assert reader.open(survey.clips[0], source).remarks == {"labels": "published"}
    shutil.rmtree(source / "Emotion")
    assert labels(reader.survey(source)) == labels(survey)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("S005;001",), "line 1: S005;001"),
        (("S005;001;1", "S006;one;2"), "line 2: S006;one;2"),
        (("S005;001;12",), "line 1"),
        (("S005;001;1", "S005;001;2"), "line 2: .*each clip once"),
        ((), "an empty file"),
    ],
)
def test_fold_file_that_cannot_be_used(tmp_path, rows, message):
    source = tree(tmp_path / "set")
    path = tmp_path / "folds.csv"
    path.write_text("\n".join(rows))
    with pytest.raises(SourceError, match=message):
        CKPlus(labels="published", fold_file=str(path)).survey(source)


def test_options(tmp_path):
    with pytest.raises(ConfigError, match="without a fold file"):
        CKPlus(labels="published")
    with pytest.raises(ConfigError, match="with the official labels"):
        CKPlus(fold_file="x.csv")
    with pytest.raises(SourceError, match="x.csv: no such file"):
        CKPlus(labels="published", fold_file=str(tmp_path / "x.csv")).survey(tree(tmp_path))
    with pytest.raises(ConfigError, match="fps"):
        CKPlus(fps=0)
    with pytest.raises(UnknownNameError, match='"8"; expected one of 6, 7'):
        build(CKPlus, {"classes": 8}, "dataset")


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("label-two-numbers", "unreadable", "more than one number"),
        ("label-word", "unreadable", '"disgust" is no number'),
        ("label-unknown-code", "unreadable", "no code from 0 to 7"),
        ("label-empty", "unreadable", "empty label file"),
        ("labels-differ", "doubled", "disgust in Emotion/.*happy in Emotion_labels/"),
        ("subject-twice", "doubled", "S005/001 and s005/001 claim to be the same and differ"),
        ("frame-twice", "doubled", "00000001.bmp and S005_001_00000001.png"),
    ],
)
def test_faults_that_cost_a_clip(tmp_path, fault, kind, message):
    survey = CKPlus().survey(tree(tmp_path, fault))
    assert set(CLIPS) - set(labels(survey)) == {"S005/001"}
    assert list(extra(survey)) == [("S005/001", kind)]
    assert re.search(message, extra(survey)["S005/001", kind])
    assert survey.warnings == ()


def test_faults_that_cost_nothing(tmp_path):
    survey = CKPlus().survey(tree(tmp_path / "a", "subject-twice-alike"))
    assert labels(survey) == CLIPS
    assert "hold the same" in extra(survey)["S005/001", "doubled"]
    source = tree(tmp_path / "b", "foreign-frame")
    survey = CKPlus().survey(source)
    assert labels(survey) == CLIPS
    stranger = "cohn-kanade-images/S005/001/S010_001_00000001.png"
    assert list(extra(survey)) == [(stranger, "odd")]
    assert len(CKPlus().open(survey.clips[0], source)) == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("label-of-another-frame", r"another frame than the last \(1\): S005/001 \(2, the last"),
        ("gap", r"gaps in the numbers of their frames \(1\): S005/001 \(1, then 3\)"),
        ("label-without-pictures", r"sequences that are not here \(1\): S005/001"),
    ],
)
def test_faults_that_are_worth_a_warning(tmp_path, fault, message):
    survey = CKPlus().survey(tree(tmp_path, fault))
    assert set(CLIPS) - set(labels(survey)) <= {"S005/001"}
    assert skipped(survey) == SKIPPED
    (warning,) = survey.warnings
    assert re.search(message, warning)


def test_a_gap_does_not_stretch_time(tmp_path):
    source = tree(tmp_path, "gap")
    frames = CKPlus().open(CKPlus().survey(source).clips[0], source)
    np.testing.assert_allclose(frames.times_s, [0, 1 / 30])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("two-copies", "2 folders hold sequences: cohn-kanade-images, cropped; expected one"),
        ("no-labels", r"no label file.*Unpack Emotion_labels\.zip"),
        ("ck-1", "the first Cohn-Kanade set"),
        ("ck+48", r"CK\+48: a folder of single pictures.*expected\sSOURCE/"),
        ("ckextended", r"ckextended\.csv: a table of single faces.*Pittsburgh"),
        ("not-unpacked", r"not unpacked: extended-cohn-kanade-images\.zip"),
        ("empty", r"no sequences of CK\+.*S005_001_00000001\.png.*Pittsburgh"),
    ],
)
def test_what_is_no_ck_plus(tmp_path, fault, message):
    source = tree(tmp_path, fault)
    with pytest.raises(SourceError, match=f"(?s){message}"):
        CKPlus().survey(source)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("truncated-picture", "cannot be read"),
        ("text-named-png", "no picture, whatever its name says"),
        ("sizes-differ", "640 x 480 pixels; expected 640 x 490"),
    ],
)
def test_a_damaged_picture_is_named_when_it_is_reached(tmp_path, fault, message):
    source = tree(tmp_path, fault)
    survey = CKPlus().survey(source)
    assert labels(survey) == CLIPS
    with pytest.raises(VideoError, match=rf"S005_001_00000002\.png.*{message}"):
        list(CKPlus().open(survey.clips[0], source))


def test_the_first_set_has_the_published_labels(tmp_path):
    source = tree(tmp_path / "set", "ck-1")
    path = tmp_path / "folds.csv"
    path.write_text("S010;001;3;0;1\n")
    survey = CKPlus(labels="published", fold_file=str(path)).survey(source)
    assert labels(survey) == {"S010/001": "surprise"}
    assert survey.warnings == ()


def test_every_fault_is_tried():
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in faults("ck+") if f'"{name}"' not in text] == []


def test_labels_above_the_given_folder_are_known_by_their_name(tmp_path):
    source = tree(tmp_path, "images")
    (source.parent / "Emotion").rename(source.parent / "my notes")
    assert labels(CKPlus().survey(source.parent)) == CLIPS  # the user's own folder
    with pytest.raises(SourceError, match="no label file"):
        CKPlus().survey(source)


def test_a_link_to_the_pictures_has_its_labels_beside(tmp_path):
    source = tree(tmp_path)
    (source / "cohn-kanade-images").rename(tmp_path / "disk")
    (source / "cohn-kanade-images").symlink_to(tmp_path / "disk", target_is_directory=True)
    assert labels(CKPlus().survey(source)) == CLIPS


def test_survey_of_a_whole_copy_is_quick(tmp_path):
    picture = b"not opened"
    for k in range(600):
        name = f"S{5 + k // 5:03d}/{1 + k % 5:03d}"
        stem = name.replace("/", "_")
        folder = tmp_path / "cohn-kanade-images" / name
        folder.mkdir(parents=True)
        for frame in range(1, 19):
            (folder / f"{stem}_{frame:08d}.png").write_bytes(picture)
        labels_folder = tmp_path / "Emotion" / name
        labels_folder.mkdir(parents=True)
        (labels_folder / f"{stem}_{18:08d}_emotion.txt").write_text(f"   {1 + k % 7:.7e}\n")
    start = time.process_time()
    survey = CKPlus().survey(tmp_path)
    assert time.process_time() - start < 2  # takes 0.2 s
    assert len(survey.clips) == 514
    assert survey.warnings == ()


def test_card_and_names():
    card = cards.find("ck+")
    assert card is not None
    assert card.set == CKPlus.set_name
    assert card.clips == sum(card.counts.values()) == 309
    assert card.published is not None
    assert card.published.clips == sum(card.published.counts.values()) == 357
    assert card.published.drawn == 358
    for name in ("ck+", "CKPlus", "ck"):
        assert plugins.load("evfer.datasets", name) is CKPlus


def test_labels_from_outside_the_given_folder_are_told(tmp_path):
    source = tree(tmp_path, "images")
    assert "; labels from outside it, such as ../" in CKPlus().survey(source).layout
    assert "labels from outside it" not in CKPlus().survey(source.parent).layout
