"""Finding one's way in unpacked folders: anchors, links, litter, the order of frames."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer.datasets import tree
from evfer.errors import SourceError


def holds_mark(listing):
    return any(file.name == "mark" for file in listing.files)


def make(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(b"")


def found(given, **more):
    return [tree.locate(path, given) for path in tree.find_anchors(given, holds_mark, **more)]


def test_anchor_at_below_and_above(tmp_path):
    make(tmp_path, "a/b/c/mark", "a/b/c/d/e/f/x")
    c = tmp_path / "a/b/c"
    assert found(c) == ["."]
    assert found(tmp_path) == ["a/b/c"]
    assert found(c / "d") == [".."]
    assert found(c / "d/e") == ["../.."]
    assert found(c / "d/e/f") == []
    assert tree.find_anchors(c / "d/e", holds_mark)[0].resolve() == c
    assert found(tmp_path, down=2) == []


def test_what_lies_below_goes_before_what_lies_above(tmp_path):
    make(tmp_path, "mark", "a/b/mark")
    assert found(tmp_path / "a") == ["b"]


def test_anchors_inside_an_anchor_do_not_count(tmp_path):
    make(tmp_path, "a/mark", "a/b/mark", "c/mark")
    assert found(tmp_path) == ["a", "c"]
    with pytest.raises(SourceError, match="2 marked folders: a, c; expected one. Say which"):
        tree.the_one(
            tree.find_anchors(tmp_path, holds_mark), tmp_path, "marked folders", "Say which"
        )


def test_from_a_folder_beside_the_anchor(tmp_path):
    make(tmp_path, "set/pictures/mark", "set/Labels/Labels/x")
    for place in ("Labels", "Labels/Labels"):
        given = tmp_path / "set" / place
        assert found(given) == []
        (anchor,) = tree.find_anchors(given, holds_mark, beside="labels")
        assert anchor.resolve() == tmp_path / "set/pictures"


def test_a_neighbour_of_the_given_folder_is_not_taken(tmp_path):
    make(tmp_path, "mine/x", "theirs/mark")
    assert found(tmp_path / "mine") == []


def test_links_in_circles_end(tmp_path):
    make(tmp_path, "a/mark", "a/b/x")
    for place, target in (("a/b/up", "."), ("up", "."), ("twin", "a"), ("a/b/c", "a/b")):
        (tmp_path / place).symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "nowhere").symlink_to("gone")
    assert found(tmp_path) == ["a"]
    walked = [os.path.realpath(folder) for folder, _ in tree.walk(tmp_path, 50)]
    assert len(walked) == len(set(walked)) == 3


def test_a_link_to_the_anchor_serves(tmp_path):
    make(tmp_path, "disk/pictures/mark", "home/x")
    (tmp_path / "home/pictures").symlink_to(tmp_path / "disk/pictures", target_is_directory=True)
    assert found(tmp_path / "home") == ["pictures"]


def test_walk_keeps_out(tmp_path):
    make(tmp_path, "a/mark", "a/b/x", "c/d/e/x")
    walked = [tree.locate(f, tmp_path) for f, _ in tree.walk(tmp_path, 2, leave=[tmp_path / "c/d"])]
    assert walked == [".", "a", "c", "a/b"]
    walked = [tree.locate(f, tmp_path) for f, _ in tree.walk(tmp_path, 1, stop=holds_mark)]
    assert walked == [".", "a", "c"]


def test_listing_without_litter(tmp_path):
    make(
        tmp_path, "b10/x", "b2/x", "B1.txt", "b1.txt", "__MACOSX/x", ".DS_Store", "._b1.txt",
        "Thumbs.db", "desktop.ini", ".~lock.b1.txt#",
    )  # fmt: skip
    listing = tree.list_folder(tmp_path)
    assert [path.name for path in listing.folders] == ["b2", "b10"]
    assert [path.name for path in listing.files] == ["B1.txt", "b1.txt"]


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="gone: No such file"):
        tree.list_folder(tmp_path / "gone")
    make(tmp_path, "shut/x", "a/mark")
    whole = os.scandir

    def scan(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    # the tests may run as a user for whom nothing is shut
    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(SourceError, match="shut: Permission denied"):
        tree.list_folder(tmp_path / "shut")
    assert found(tmp_path) == ["a"]


def test_frames_by_their_integers():
    names = ["f_10.png", "f_9.PNG", "F_0011.jpeg", "g_1.png", "f_2.txt", "f_x.png"]
    frames = tree.find_frames(map(Path, names), r"f_(\d+)")
    assert [path.name for path in frames.files] == ["f_9.PNG", "f_10.png", "F_0011.jpeg"]
    assert frames.numbers == (9, 10, 11)
    assert [path.name for path in frames.strangers] == ["f_x.png", "g_1.png"]
    assert frames.gap is None
    assert frames.repeated is None


def test_the_last_integer_of_a_name_counts():
    names = [f"take2_{k}.png" for k in (10, 9)]
    assert tree.find_frames(map(Path, names)).numbers == (9, 10)


@settings(max_examples=examples(50))
@given(st.sets(st.integers(0, 10**8), min_size=1, max_size=20), st.integers(1, 8), st.randoms())
def test_frames_keep_order_whatever_the_digits(numbers, digits, random):
    names = [f"{number:0{digits}d}.png" for number in numbers]
    random.shuffle(names)
    frames = tree.find_frames(map(Path, names), r"(\d+)")
    assert list(frames.numbers) == sorted(numbers)
    assert [int(path.stem) for path in frames.files] == sorted(numbers)
    assert frames.repeated is None
    assert (frames.gap is None) == (max(numbers) - min(numbers) + 1 == len(numbers))


def test_gaps_and_repeated_numbers():
    frames = tree.find_frames([Path(f"{k}.png") for k in (14, 15, 17, 20)])
    assert frames.gap == (15, 17)
    frames = tree.find_frames([Path("7.png"), Path("007.jpg"), Path("8.png")])
    assert frames.repeated is not None
    assert {path.name for path in frames.repeated} == {"7.png", "007.jpg"}
    assert tree.warn_gaps({}) == ()
    (warning,) = tree.warn_gaps({f"S{k}": (k, k + 2) for k in range(8)})
    assert "(8): S0 (0, then 2)" in warning
    assert "and 3 more" in warning


def test_copies(tmp_path):
    a, b, c = tmp_path / "s/1", tmp_path / "S/1", tmp_path / "t/1"
    content = {a: "x", b: "x", c: "y"}
    assert tree.choose_copy([a], content.__getitem__) == tree.Copy(a)
    same = tree.choose_copy([a, b], content.__getitem__)
    assert same.folder == b
    assert "S/1 and s/1 hold the same" in same.reason
    differ = tree.choose_copy([a, c], content.__getitem__)
    assert differ.folder is None
    assert "s/1 and t/1 claim to be the same" in differ.reason


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_names_that_differ_in_case_alone_keep_one_order(tmp_path):
    make(tmp_path, "S1/x", "s1/x")
    assert [path.name for path in tree.list_folder(tmp_path).folders] == ["S1", "s1"]
