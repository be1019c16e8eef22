"""ADFES: names, groups, options, doubles, and what is passed over and why."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from evfer.datasets import cards, published
from evfer.datasets.adfes import ADFES
from evfer.errors import ConfigError, SourceError, UnknownNameError, VideoError
from evfer.testing import check_dataset, faults, make_tree, variants

ALPHABET = ("anger", "disgust", "fear", "happy", "sadness", "surprise")
CLIPS = {
    **{f"S001/{k:03d}": name for k, name in enumerate(ALPHABET, 1)},
    **{f"S010/{k:03d}": name for k, name in enumerate(ALPHABET[:5], 1)},
    "S011/001": "anger",
    "S017/004": "happy",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_tree("adfes", tmp_path_factory.mktemp("adfes"), frames=6)


@pytest.fixture
def tree(tmp_path):
    def make(variant):
        return make_tree("adfes", tmp_path / variant, variant, frames=2)

    return make


def found(survey):
    return {clip.clip_id: clip.label_name for clip in survey.clips}


def reasons(survey):
    return {item.path: (item.reason, item.kind) for item in survey.skipped}


@pytest.mark.parametrize("variant", variants("adfes"))
def test_every_layout_gives_the_same_clips(tree, variant):
    source = tree(variant)
    survey = ADFES().survey(source)
    assert found(survey) == CLIPS
    assert all((source / clip.locator).is_file() for clip in survey.clips)
    assert len(survey.skipped) == 3


def test_names_and_labels(plain):
    survey = check_dataset(ADFES(), plain)
    clips = {clip.clip_id: clip for clip in survey.clips}
    assert clips["S001/004"].native_id == "F01/Joy/forward"
    assert clips["S011/001"].native_id == "M01/Anger/forward"
    assert [clips[f"S001/{k:03d}"].label for k in range(1, 7)] == [4, 5, 2, 1, 6, 3]
    for clip in survey.clips:
        row = published.PublishedId(clip.subject, clip.sequence)
        assert published.native_id("ADFESDVS", *row) == clip.native_id
        assert published.published_id("ADFESDVS", clip.native_id) == row
    assert reasons(survey) == {
        "F01-Pride-Face Forward.mpeg": (
            "pride is not one of the six; see dataset.with_extra",
            "deselected",
        ),
        "M07-Fear-Turn Towards.mpeg": ("the view is towards; asked for forward", "deselected"),
        "M07-Joy-Turn Away.mpeg": ("the view is away; asked for forward", "deselected"),
    }
    frames = ADFES().open(clips["S017/004"], plain)
    assert frames.times_s[1] == 1 / 25
    assert next(iter(frames)).shape == (576, 720, 3)


@pytest.mark.parametrize(
    ("options", "clips"),
    [
        ({"view": "towards"}, {"S017/013": "fear"}),
        ({"view": "away"}, {"S017/024": "happy"}),
        ({"with_extra": True}, {**CLIPS, "S001/010": "pride"}),
        ({"culture": "north-european"}, {k: v for k, v in CLIPS.items() if k < "S002"}),
        ({"culture": "mediterranean"}, {k: v for k, v in CLIPS.items() if k > "S002"}),
    ],
)
def test_options(plain, options, clips):
    assert found(ADFES(**options).survey(plain)) == clips


def test_cultures_are_twelve_and_ten(tmp_path):
    for k in range(1, 13):
        for sex in ("F", "M") if k < 11 else ("M",):
            (tmp_path / f"{sex}{k:02d}-Sadness-Face Forward.mpeg").write_bytes(b"x")
    models = {
        culture: {clip.native_id[:3] for clip in ADFES(culture=culture).survey(tmp_path).clips}
        for culture in ("all", "north-european", "mediterranean")
    }
    assert len(models["all"]) == 22
    assert models["mediterranean"] == {
        *("F06", "F07", "F08", "F09", "F10", "M01", "M05", "M07", "M09", "M10")
    }
    assert models["north-european"] == models["all"] - models["mediterranean"]


@pytest.mark.parametrize(
    ("name", "clip_id"),
    [
        ("F01-Anger-Face Forward.mpeg", "S001/001"),
        ("f02_joy_FaceForward.MPG", "S002/004"),
        ("M12 - Sadness - face-forward_2.wmv", "S022/005"),
        ("M03-Happy-Face_Forward-1 copy.mkv", "S013/004"),
        ("F05-Surprised-Face Forward.mov", "S005/006"),
        ("F01-Sad-Face Forward.avi", "S001/005"),
        ("F01-Embarrass-Face Forward.mpeg", "S001/008"),
        ("F01-Embarrassment-Face Forward.mpeg", "S001/008"),
        ("F01-Contempt-Face Forward.mpeg", "S001/007"),
        ("F01-Neutral-Face Forward.mpeg", "S001/009"),
        ("F01-Anger-Turn Toward.mpeg", "S001/011"),
        ("F01-Anger-TurnTowards.mpeg", "S001/011"),
        ("F01-Pride-Turn-Away-3.mpeg", "S001/030"),
        ("F01-Anger-Face Forwarding.mpeg", None),
        ("F01-None-Face Forward.mpeg", None),
        ("F00-Anger-Face Forward.mpeg", None),
        ("F1-Anger-Face Forward.mpeg", None),
        ("F01-Anger-Face Forward.gif", None),
        ("F01-Anger-Face Forward.txt", None),
    ],
)
def test_spellings(tmp_path, name, clip_id):
    (tmp_path / name).write_bytes(b"x")
    clips = []
    for view in ("forward", "towards", "away"):
        with contextlib.suppress(SourceError):
            clips += ADFES(view=view, with_extra=True).survey(tmp_path).clips
    assert [clip.clip_id for clip in clips] == ([clip_id] if clip_id else [])
    if clip_id is None:
        with pytest.raises(SourceError, match="no ADFES clip found"):
            ADFES().survey(tmp_path)


@pytest.mark.parametrize(
    ("fault", "path", "reason", "kind"),
    [
        ("copies", "more/F01-Joy-Face Forward.mpeg", "F01/Joy/forward again", "doubled"),
        ("both", "F01-Joy-Face Forward-7.mpeg", "F01/Joy/forward again", "doubled"),
        ("tokens", "F01-MouthOpening-Face Forward.mpeg", "MouthOpening is no emotion", "odd"),
        ("tokens", "F11-Joy-Face Forward.mpeg", "no model F11", "odd"),
        ("mixed", "F02-Anger-high.mp4", "of the ADFES-BIV", "odd"),
        ("mixed", "introduction.mpeg", "not of the form", "odd"),
        ("empty-video", "F01-Anger-Face Forward.mpeg", "an empty file", "unreadable"),
    ],
)
def test_faults_are_named(tree, fault, path, reason, kind):
    survey = ADFES().survey(tree(fault))
    told, told_kind = reasons(survey)[path]
    assert reason in told
    assert told_kind == kind
    lost = {"S001/001"} if fault == "empty-video" else set()
    assert set(CLIPS) - set(found(survey)) == lost


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("doubled", r"differ: F01-Joy.*mpeg and more/F01-Joy.*expected one file for each model"),
        ("biv", r"this is the ADFES-BIV, another set.*University of Amsterdam"),
        ("stills", r"(?s)no ADFES clip found.*SOURCE/.*Ask"),
    ],
)
def test_sources_that_are_refused(tree, fault, message):
    with pytest.raises(SourceError, match=message):
        ADFES().survey(tree(fault))


def test_two_tails_and_none_without(tmp_path):
    for tail, content in (("-1", b"x"), ("_freigestellt", b"y")):
        (tmp_path / f"F01-Anger-Face Forward{tail}.mp4").write_bytes(content)
    with pytest.raises(SourceError, match="files of one name that differ"):
        ADFES().survey(tmp_path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("cut-short", r"Forward\.mpeg: the video ends after frame"),
        ("codec", r'Forward\.avi: the video cannot be opened; .* codec "ZZ9z" cannot be decoded'),
    ],
)
def test_clips_that_cannot_be_opened(tree, fault, message):
    source = tree(fault)
    clip = ADFES().survey(source).clips[0]
    with pytest.raises(VideoError, match=message):
        ADFES().open(clip, source)


def test_every_fault_has_its_test():
    told = {"copies", "both", "tokens", "mixed", "empty-video", "doubled", "biv", "stills"}
    # a clip without a face is the face stage's to refuse
    assert set(faults("adfes")) == told | {"cut-short", "codec", "no-face"}


def test_length(plain):
    clip = ADFES().survey(plain).clips[0]
    whole, short = ADFES(), ADFES(max_seconds=0.2)
    assert len(whole.open(clip, plain)) == 6
    frames = ADFES(fps=10, max_seconds=0.2)
    cut = frames.open(dataclasses.replace(clip, fps=10.0), plain)
    assert (len(cut), len(list(cut))) == (3, 3)
    assert cut.remarks == {"labels": "official", "shortened": "3 of 6 frames"}
    assert short.source_digest(clip, plain) != whole.source_digest(clip, plain)
    fields = ADFES(deinterlace=True)
    assert fields.open(clip, plain).remarks == {"labels": "official", "fields": "first"}
    assert fields.source_digest(clip, plain) != whole.source_digest(clip, plain)
    with pytest.raises(ConfigError, match="max_seconds"):
        ADFES(max_seconds=0)


def test_published_labels(plain, tmp_path):
    table = tmp_path / "folds.csv"
    table.write_text("S001;001;6;0;1\nS010;006;3;1;0\nS017;004;1;0;0\n")
    survey = ADFES(labels="published", fold_file=str(table)).survey(plain)
    assert found(survey) == {"S001/001": "sadness", "S017/004": "happy"}
    assert any("S010;006" in warning for warning in survey.warnings)
    assert reasons(survey)["F10-Anger-Face Forward.mpeg"] == (
        "not among the published clips",
        "deselected",
    )
    with pytest.raises(ConfigError, match='"forward"'):
        ADFES(labels="published", fold_file=str(table), view="away")


def test_cards_hold_the_published_facts():
    for name, clips, subjects in (("mmi", 207, 31), ("adfes", 131, 22)):
        card = cards.find(name)
        assert (card.published.clips, card.published.subjects) == (clips, subjects)
        assert sum(card.published.counts.values()) == clips
        assert card.published.drawn - (card.published.deleted >= 0) == clips
        assert card.range == "to-apex"
        assert cards.find_by_set(card.set) == card


def test_unknown_options_are_named():
    from evfer import config

    with pytest.raises(UnknownNameError, match=r"dataset\.culture"):
        config.build(ADFES, {"culture": "nordic"}, "dataset")
