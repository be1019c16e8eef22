"""Switches of protocols that change how clips are dealt out: balance, and the last batch."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from learning import make_set

from evfer import config, folds
from evfer.errors import ConfigError
from evfer.frames import FramesParams
from evfer.inputs import EventInputs, Loader
from evfer.models.sew_resnet import SpikingFERParams
from evfer.recordings.index import IndexEntry
from evfer.training.recipe import load_config

LABELS = st.lists(st.integers(1, 4), min_size=8, max_size=60)


def entries_of(labels, each=3):
    """Index clips of people who show `each` of the labels."""
    return [
        IndexEntry(
            f"S{i // each:03d}/{i % each:03d}", "", f"S{i // each:03d}", i % each, label,
            f"label{label}", 10, 1000, 1, "", "", "", 25.0, 9,
        )
        for i, label in enumerate(labels)
    ]  # fmt: skip


@hypothesis.given(LABELS, st.integers(2, 6), st.integers(0, 50))
def test_kfold_can_be_balanced(labels, n_folds, seed):
    entries = entries_of(labels)
    plan = folds.build(entries, "kfold", n_folds, seed, stratify=True)
    tested = Counter(i for split in plan.splits for i in split.test)
    assert tested == Counter(range(len(labels)))
    sizes = [len(split.test) for split in plan.splits]
    assert max(sizes) - min(sizes) <= 1
    label_of = {entry.clip_id: entry.label for entry in entries}
    for label in set(labels):
        held = [
            sum(label_of[plan.clip_ids[i]] == label for i in split.test) for split in plan.splits
        ]
        assert max(held) - min(held) <= 1
    assert plan == folds.build(entries, "kfold", n_folds, seed, stratify=True)


def test_balance_is_a_choice():
    rng = np.random.default_rng(0)
    entries = entries_of(rng.integers(1, 7, 240).tolist(), each=6)

    def unevenness(protocol, stratify):
        plan = folds.build(entries, protocol, 5, 0, stratify=stratify)
        labels = np.array([entry.label for entry in entries])
        counts = [np.bincount(labels[list(split.test)], minlength=7) for split in plan.splits]
        return np.std(counts, axis=0).sum(), plan

    for protocol, own in (("kfold", False), ("strict", True)):
        (even, _), (uneven, _) = (unevenness(protocol, way) for way in (True, False))
        assert even < uneven
        assert unevenness(protocol, None)[1] == unevenness(protocol, own)[1]
    for split in unevenness("strict", False)[1].splits:
        assert not {i // 6 for i in split.test} & {i // 6 for i in split.train}


@pytest.mark.parametrize("protocol", ["loso", "published"])
def test_folds_without_a_choice_cannot_be_balanced(protocol):
    entries = entries_of([1, 2, 3] * 8)
    with pytest.raises(ConfigError, match=r"split.stratify = true with .*expected strict or kfold"):
        folds.build(entries, protocol, None, 0, stratify=True)
    assert folds.build(entries, protocol, None, 0, stratify=False).splits


def test_loso_has_a_fold_a_person():
    entries = entries_of([1, 2, 3] * 4)
    assert len(folds.build(entries, "loso", 4).splits) == 4
    for n_folds in (1, 3, 5):
        words = f"{n_folds} loso folds of 4 people; expected 4.*Leave --folds"
        with pytest.raises(ConfigError, match=words):
            folds.build(entries, "loso", n_folds)


def test_one_person_cannot_be_split():
    words = r"a set of one subject.*Convert clips of more people"
    for labels in ([1], [1, 2]):
        with pytest.raises(ConfigError, match=words):
            folds.build(entries_of(labels), "strict")
    with pytest.raises(ConfigError, match="a set of one clip"):
        folds.build(entries_of([1]), "kfold")


def test_a_last_clip_may_stay_alone():
    data = make_set(3, 3)
    given = EventInputs(data, FramesParams(size=16)), tuple(range(9)), 4
    for training in (False, True):
        joined = Loader(*given, training)
        kept = Loader(*given, training, keep_last=True)
        assert [len(clips) for clips in joined.order(0)] == [4, 5]
        assert [len(clips) for clips in kept.order(0)] == [4, 4, 1]
        assert [c for b in joined.order(0) for c in b] == [c for b in kept.order(0) for c in b]
        assert [len(batch.targets) for batch in kept.epoch(0)] == [4, 4, 1]


def test_the_codes_last_batch_is_kept():
    found = {p: load_config("spiking-fer", "spiking-fer", p) for p in ("strict", "paper", "code")}
    assert {p: c.train.last_batch for p, c in found.items()} == {
        "strict": "merge", "paper": "merge", "code": "keep",
    }  # fmt: skip
    assert "last_batch" not in found["strict"].shaping["train"]
    assert found["code"].shaping["train"]["last_batch"] == "keep"


def test_a_change_to_an_outsiders_augmentation_makes_another_recipe(tmp_path, monkeypatch):
    source = tmp_path / "own_edits.py"
    text = "from evfer.transforms import RandomShift\nclass Own(RandomShift):\n    pass\n"
    source.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    first = load_config("resnet18", "resnet18", augment=[{"name": "own_edits:Own"}])
    again = load_config("resnet18", "resnet18", augment=[{"name": "own_edits:Own"}])
    assert first.sha256 == again.sha256
    source.write_text(text + "# changed\n", encoding="utf-8")
    changed = load_config("resnet18", "resnet18", augment=[{"name": "own_edits:Own"}])
    assert changed.sha256 != first.sha256


def documented():
    """Read the table of docs/protocols.md: key, then the value for each protocol."""
    text = (Path(__file__).parent.parent / "docs" / "protocols.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert lines[0] == ["key", "strict", "paper", "code"]
    return {line[0].strip("`"): line[1:] for line in lines[1:]}


@pytest.mark.parametrize(("column", "protocol"), list(enumerate(["strict", "paper", "code"])))
def test_the_documented_switches_are_those_of_the_protocols(column, protocol):
    found = load_config("spiking-fer", "spiking-fer", protocol)
    settings = config.to_dict(found)
    model = dataclasses.asdict(SpikingFERParams(**found.model))
    for key, values in documented().items():
        section, name = key.split(".")
        value = values[column]
        if section == "eda":
            given = config.parse_overrides([f"{key}={value}"])
            same = load_config("spiking-fer", "spiking-fer", protocol, given)
            assert same.shaping == found.shaping, key
            continue
        own = (model if section == "model" else settings[section])[name]
        spelled = str(own).lower() if isinstance(own, bool) or own is None else str(own)
        assert spelled == value, key
        # each can be set to what it is, which changes nothing
        same = load_config(
            "spiking-fer", "spiking-fer", protocol, config.parse_overrides([f"{key}={value}"])
        )
        if section != "model":
            assert same == found, key
