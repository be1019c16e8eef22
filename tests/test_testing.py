"""What authors of plug-ins get: the contract check finds what breaks it; miniature copies."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import pytest

from evfer import testing
from evfer.datasets.base import Clip, Survey, require_folder
from evfer.datasets.demo import DemoHeads
from evfer.errors import ConfigError, UnknownNameError
from evfer.events import SensorSize
from evfer.testing.trees import base

CLIP = Clip("A", 1, 1, "happy", "x", "a", 10.0)
PICTURE = np.zeros((6, 8), np.uint8)


@dataclass(frozen=True)
class Frames:
    """Frames from memory; `second` is what a second pass gives."""

    first: tuple = (PICTURE, PICTURE)
    second: tuple | None = None
    times_s: tuple = (0.0, 0.1)
    passes: list = field(default_factory=list)

    def __len__(self):
        return 2

    def __iter__(self):
        self.passes.append(1)
        again = len(self.passes) > 1 and self.second is not None
        return iter(self.second if again else self.first)


@dataclass(frozen=True)
class Bars:
    """A reader that keeps the contract, unless it is told otherwise."""

    clips: tuple = (CLIP, replace(CLIP, sequence=2))
    frames: Frames = field(default_factory=Frames)
    name: str = "bars"
    set_name: str = "BarsDVS"
    needs_source: bool = True
    picky: bool = True
    more: object = None

    def survey(self, source):
        if self.picky:
            require_folder(source, "any folder")
        return Survey(self.clips)

    def open(self, clip, source):
        return self.frames

    def source_digest(self, clip, source):
        return clip.native_id


class NoDigest:
    name, set_name, needs_source = "bars", "BarsDVS", True
    survey = open = None


class Forgetful(Bars):
    def __reduce__(self):
        return Forgetful, (self.clips[:1],)


def test_a_reader_that_keeps_the_contract(tmp_path):
    assert len(testing.check_dataset(Bars(), tmp_path).clips) == 2


def test_a_set_without_a_source():
    testing.check_dataset(DemoHeads(people=1, repetitions=1, frames=10, size=64))


def one(**values):
    return Bars((replace(CLIP, **values),))


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (NoDigest(), "lacks one of name, set_name"),
        (Bars(name="My Bars"), '"My Bars" is not of small letters'),
        (Bars(set_name="Bars"), '"Bars" is not of letters and digits, ending in DVS'),
        (Bars(picky=False), "expected a SourceError"),
        (Bars(more=lambda: 1), "cannot be pickled"),
        (Forgetful(), "another answer from a pickled copy"),
        (Bars(()), "no clip"),
        (Bars((replace(CLIP, sequence=2), CLIP)), "not sorted"),
        (Bars((CLIP, CLIP)), "two clips of one subject and sequence"),
        (Bars((CLIP, replace(CLIP, subject="a"))), "differ in case alone"),
        (Bars((CLIP, replace(CLIP, sequence=2, label_name="joy"))), "label 1 has two names"),
        (one(subject="../A"), "no folder name"),
        (one(sequence=0), "sequence 0"),
        (one(label=0), "label 0"),
        (one(native_id=""), "no native_id"),
        (one(locator="/x"), "locator is absolute"),
        (one(fps=0.0), "fps 0"),
        (Bars(frames=Frames(times_s=(0.0, 0.1, 0.2))), "3,. times, 2 frames"),
        (Bars(frames=Frames(times_s=(0.0, 0.0))), "times do not rise"),
        (Bars(frames=Frames((PICTURE / 2, PICTURE))), "frames of float64"),
        (Bars(frames=Frames((np.zeros((6, 8, 4), np.uint8),))), r"shape \(6, 8, 4\)"),
        (Bars(frames=Frames((PICTURE,))), "1 of 2 frames, pass 1"),
        (Bars(frames=Frames(second=())), "0 of 2 frames, pass 2"),
        (Bars(frames=Frames((PICTURE, PICTURE.T))), "several sizes"),
    ],
)
def test_what_breaks_the_contract_is_named(tmp_path, reader, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_dataset(reader, tmp_path)


def test_trees_have_names_and_words():
    assert set(testing.tree_names()) == {"ck+", "casia", "mmi", "adfes"}
    for name in testing.tree_names():
        assert next(iter(testing.variants(name))) == "plain"
        assert all({**testing.variants(name), **testing.faults(name)}.values())
        assert not set(testing.variants(name)) & set(testing.faults(name))
    assert testing.variants("CKPlus") == testing.variants("ck+")


def test_trees_that_do_not_exist(tmp_path):
    with pytest.raises(UnknownNameError, match='"fer2013"'):
        testing.make_tree("fer2013", tmp_path)
    with pytest.raises(UnknownNameError, match='variant of ck. "nested".*nested-'):
        testing.make_tree("ck+", tmp_path, "nested")
    with pytest.raises(ConfigError, match="1 frames"):
        testing.make_tree("ck+", tmp_path, frames=1)


def test_drawn_clips():
    size = SensorSize(80, 64)
    frames = base.draw(0, "happy", 3, size)
    assert frames.shape == (3, 64, 80, 3)
    assert base.draw(0, "happy", 3, size) is frames
    with pytest.raises(ValueError, match="read-only"):
        frames[0] = 0
    still = base.draw(0, "neutral", 3, size)
    assert (still == still[0]).all()
    assert not (frames == frames[0]).all()
    assert base.draw(0, "contempt", 2, size).shape == (2, 64, 80, 3)
    assert base.to_grey(frames).shape == (3, 64, 80)


def test_files_are_what_their_names_say(tmp_path):
    frames = base.draw(0, "happy", 2, SensorSize(80, 64))
    base.write_pictures(tmp_path / "a/b", ["1.png", "2.jpeg"], frames)
    assert (tmp_path / "a/b/1.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "a/b/2.jpeg").read_bytes()[:2] == b"\xff\xd8"
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a/b/1.png")), frames[0])
    base.write_video(tmp_path / "v/clip.avi", frames, 25, "MJPG")
    assert (tmp_path / "v/clip.avi").read_bytes()[:4] == b"RIFF"


def test_the_table_of_trees_is_complete():
    for name in testing.tree_names():
        home = importlib.import_module(importlib.import_module("evfer.testing.trees")._HOMES[name])
        assert home.TREE.make
