"""Oulu-CASIA: every layout gives the same clips, every fault its own words."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from evfer import plugins
from evfer.config import build
from evfer.datasets import cards, published
from evfer.datasets.base import LABEL_CODES
from evfer.datasets.casia import Casia
from evfer.errors import ConfigError, SourceError, UnknownNameError, VideoError
from evfer.testing import check_dataset, faults, make_tree, variants

CLIPS = {
    "P001/VL/Strong/Anger", "P001/VL/Strong/Disgust", "P001/VL/Strong/Happiness",
    "P001/VL/Strong/Surprise", "P002/VL/Strong/Disgust", "P002/VL/Strong/Fear",
    "P002/VL/Strong/Sadness", "P018/VL/Strong/Anger", "P018/VL/Strong/Happiness",
}  # fmt: skip
LATE = "P002/VL/Strong/Fear"


def tree(tmp_path, variant="plain", frames=3):
    return make_tree("casia", tmp_path, variant, frames=frames)


def names(survey):
    return {clip.native_id for clip in survey.clips}


def skipped(survey):
    return {(item.path, item.kind): item.reason for item in survey.skipped}


@pytest.mark.parametrize("variant", variants("casia"))
def test_every_layout_gives_the_same(tmp_path, variant):
    source = tree(tmp_path, variant)
    survey = Casia().survey(source)
    assert names(survey) == CLIPS
    assert survey.skipped == ()
    (warning,) = survey.warnings
    assert re.search(rf"gaps .*\(1\): {LATE} \(\d+, then \d+\)", warning)
    assert {clip.fps for clip in survey.clips} == {25.0}
    for clip in survey.clips:
        assert published.native_id("CASIADVS", clip.subject, clip.sequence) == clip.native_id
        assert clip.label == LABEL_CODES[clip.label_name]
    frames = Casia().open(survey.clips[0], source)
    assert len(frames) == 3
    np.testing.assert_allclose(frames.times_s, [0, 0.04, 0.08])


@pytest.mark.parametrize("variant", variants("oulu"))
def test_every_layout_from_a_level_above(tmp_path, variant):
    tree(tmp_path / "mine", variant)
    survey = Casia().survey(tmp_path / "mine")
    assert names(survey) == CLIPS
    assert survey.skipped == ()
    assert len(Casia().open(survey.clips[0], tmp_path / "mine")) == 3


def test_layouts_give_one_digest(tmp_path):
    digests = set()
    for variant in ("plain", "lower-case", "one-clip", "renumbered", "both-parts"):
        source = tree(tmp_path / variant, variant)
        clips = Casia().survey(source).clips
        digests.add(tuple(Casia().source_digest(clip, source) for clip in clips))
    assert len(digests) == 1


def test_contract_and_pictures(tmp_path):
    source = tree(tmp_path, frames=4)
    survey = check_dataset(Casia(), source)
    (late,) = [clip for clip in survey.clips if clip.native_id == LATE]
    frames = list(Casia().open(late, source))
    assert [frame.shape for frame in frames] == [(240, 320, 3)] * 4
    first = frames[0].astype(float)
    changes = [np.abs(first - frame).mean() for frame in frames]
    assert changes == sorted(changes)  # neutral to apex, so the numbers' order was kept


def test_order_is_that_of_the_integers(tmp_path):
    for number in (8, 9, 10, 101):
        folder = tmp_path / "VL/Strong/P001/Anger"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpeg").write_bytes(bytes([number]))
    (clip,) = Casia().survey(tmp_path).clips
    names = [path.stem for path in Casia().open(clip, tmp_path).files]
    assert names == ["8", "9", "10", "101"]


def test_frames_of_another_name_serve_where_numbers_are_missing(tmp_path):
    folder = tmp_path / "VL/Strong/P001/Anger"
    folder.mkdir(parents=True)
    for name in ("P001_Anger_10.bmp", "P001_Anger_9.bmp", "cover.bmp"):
        (folder / name).write_bytes(b"x")
    survey = Casia().survey(tmp_path)
    assert len(Casia().open(survey.clips[0], tmp_path)) == 2
    assert list(skipped(survey)) == [("VL/Strong/P001/Anger/cover.bmp", "odd")]


@pytest.mark.parametrize(("modality", "lighting"), [("VL", "Dark"), ("NI", "Strong")])
def test_camera_and_light(tmp_path, modality, lighting):
    source = tree(tmp_path, "both-parts")
    reader = Casia(modality=modality, lighting=lighting)
    survey = reader.survey(source)
    assert names(survey) == {name.replace("VL/Strong", f"{modality}/{lighting}") for name in CLIPS}
    assert f"original frames of {modality}/{lighting}" in survey.layout
    frames = reader.open(survey.clips[0], source)
    assert frames.remarks == {
        "modality": modality, "lighting": lighting, "part": "original", "labels": "official",
    }  # fmt: skip
    picture = next(iter(frames))
    assert picture.shape == ((240, 320, 3) if modality == "VL" else (240, 320))
    strong = next(iter(Casia().open(Casia().survey(source).clips[0], source)))
    assert (picture.mean() < 0.5 * strong.mean()) == (lighting == "Dark")


@pytest.mark.parametrize("variant", ["both-parts", "cropped-alone", "cropped-old-names"])
def test_cropped_faces(tmp_path, variant):
    survey = Casia(part="cropped").survey(tree(tmp_path, variant))
    assert names(survey) == CLIPS
    assert "PreProcessImg" in survey.layout or "croppedfaces" in survey.layout


@pytest.mark.parametrize(
    "root", ["PreProcessImg", "PreProcess_Img", "PreProcess", "PreProcess Img", "croppedfaces"]
)
def test_every_name_of_the_cropped_part(tmp_path, root):
    source = tree(tmp_path)
    (source / "OriginalImg").rename(source / root)
    assert names(Casia(part="cropped").survey(source)) == CLIPS
    with pytest.raises(SourceError, match="no original VL/Strong here; .*cropped VL/Strong"):
        Casia().survey(source)


def test_a_part_that_was_not_asked_for_is_not_taken(tmp_path):
    source = tree(tmp_path)
    with pytest.raises(SourceError, match="no original VL/Weak here; .*original VL/Dark"):
        Casia(lighting="Weak").survey(source)
    # the user points at one light and asks for another
    with pytest.raises(SourceError, match=r"no original VL/Strong.*dataset\.lighting=Strong"):
        Casia().survey(source / "OriginalImg/VL/Dark")


def test_a_light_without_a_name_is_told(tmp_path):
    source = tree(tmp_path, "lighting-alone")
    survey = Casia().survey(source)
    assert names(survey) == CLIPS
    assert "taken to be VL/Strong" in survey.warnings[0]


@pytest.mark.parametrize(
    ("fault", "lost", "told"),
    [
        (
            "subject-twice-alike",
            set(),
            {
                ("P018/VL/Strong/Anger", "doubled"): "hold the same",
                ("P018/VL/Strong/Happiness", "doubled"): "P018/Happiness and p018/Happiness",
            },
        ),
        (
            "emotion-twice",
            {"P001/VL/Strong/Happiness"},
            {("P001/VL/Strong/Happiness", "doubled"): "claim to be the same and differ"},
        ),
        (
            "frame-twice",
            {"P001/VL/Strong/Anger"},
            {("P001/VL/Strong/Anger", "doubled"): r"001\.jpeg and 001\.jpg"},
        ),
        (
            "strange-folders",
            set(),
            {
                ("OriginalImg/VL/Strong/P001 - Copy", "odd"): "no subject's folder",
                ("OriginalImg/VL/Strong/P001/Contempt", "odd"): "six expressions",
            },
        ),
    ],
)
def test_faults_of_single_clips(tmp_path, fault, lost, told):
    survey = Casia().survey(tree(tmp_path, fault))
    assert names(survey) == CLIPS - lost
    reasons = skipped(survey)
    assert set(reasons) == set(told)
    assert all(re.search(told[key], reason) for key, reason in reasons.items())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("infrared-alone", "no original VL/Strong here; .*original NI/Dark, original NI/Strong"),
        ("two-copies", "2 folders are original VL/Strong: B_OriginalImg/VL/Strong, OriginalImg"),
        ("videos", r"Strong: videos.*VL/Strong/P001/Anger/000\.jpeg"),
        ("not-unpacked", "archives that are not unpacked"),
        ("empty", "nothing of Oulu-CASIA.*University of Oulu"),
    ],
)
def test_what_cannot_be_read(tmp_path, fault, message):
    source = tree(tmp_path, fault)
    with pytest.raises(SourceError, match=f"(?s){message}"):
        Casia().survey(source)


def test_a_damaged_picture_is_named_when_it_is_reached(tmp_path):
    source = tree(tmp_path, "truncated-picture")
    survey = Casia().survey(source)
    assert names(survey) == CLIPS
    with pytest.raises(VideoError, match=r"Anger.001\.jpeg: the picture cannot be read"):
        list(Casia().open(survey.clips[0], source))


def test_published_labels(tmp_path):
    source = tree(tmp_path / "set")
    path = tmp_path / "folds.csv"
    path.write_text("S001;001;4;0;1\nS001;004;2;0;1\nS018;002;5;1;0\n")
    reader = Casia(labels="published", fold_file=str(path))
    survey = reader.survey(source)
    assert [(clip.clip_id, clip.label_name) for clip in survey.clips] == [
        ("S001/001", "anger"),
        ("S001/004", "fear"),
    ]
    _, missing, clash = survey.warnings
    assert "(1 of 3): S018;002" in missing
    assert "P001/VL/Strong/Happiness (in the file fear)" in clash
    assert skipped(survey)["P001/VL/Strong/Disgust", "deselected"] == "not in the fold file"
    assert reader.open(survey.clips[0], source).remarks["labels"] == "published"


def test_options():
    with pytest.raises(ConfigError, match="without a fold file"):
        Casia(labels="published")
    with pytest.raises(ConfigError, match="fps"):
        Casia(fps=-1)
    with pytest.raises(UnknownNameError, match="Strong"):
        build(Casia, {"lighting": "strong"}, "dataset")


def test_every_fault_is_tried():
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in faults("casia") if f'"{name}"' not in text] == []


def test_survey_of_a_whole_copy_is_quick(tmp_path):
    words = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
    for person in range(1, 81):
        for word in words:
            folder = tmp_path / f"VL/Strong/P{person:03d}/{word}"
            folder.mkdir(parents=True)
            for k in range(20):
                (folder / f"{k:03d}.jpeg").write_bytes(b"not opened")
    start = time.process_time()
    survey = Casia().survey(tmp_path)
    assert time.process_time() - start < 2  # takes 0.1 s
    assert len(survey.clips) == 480
    assert survey.warnings == survey.skipped == ()


def test_card_and_names():
    card = cards.find("casia")
    assert card is not None
    assert card.set == Casia.set_name
    assert card.clips == sum(card.counts.values()) == 480
    assert card.published is not None
    assert card.published.clips == sum(card.published.counts.values()) == 478
    rows = published.listing("CASIADVS")
    assert rows is not None
    assert len(rows) == card.published.clips
    for name in ("casia", "Oulu-CASIA", "oulu"):
        assert plugins.load("evfer.datasets", name) is Casia
