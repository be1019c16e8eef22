"""The frames in a player's page are those that training makes."""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib

import numpy as np
import pytest
from browser_clips import DURATION_US, SENSOR, blob_events
from event_sets import make_events, write_set

from evfer import view
from evfer.frames import FramesParams, step_bounds
from evfer.inputs import load_set, make_frames
from evfer.training.recipe import load_config, shipped_framings
from evfer.transforms import build, sample_rng
from evfer.view import variants
from evfer.view.packing import pack_cells

EVENTS = blob_events()


def unpack(cells):
    """Undo `pack_cells`."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(cells["data"])), np.uint8)
    if cells.get("bits"):
        return np.unpackbits(data)[: cells["n"]].astype(np.float32)
    values = np.zeros((cells["n"], 4), np.uint8)
    values[:, : cells["bytes"]] = data.reshape(cells["bytes"], -1).T
    numbers = values.view("<u4")[:, 0]
    return numbers.view("<f4") if cells.get("float") else numbers.astype(np.float32)


def shown(variant):
    """A variant's frames."""
    return unpack(variant["cells"]).reshape(variant["shape"])


@pytest.mark.parametrize(
    "cells",
    [
        np.array([0, 1, 1, 0], np.uint8),
        np.array([0, 3, 255], np.float32),
        np.array([0, 70_000, 2], np.float32),
        np.array([1e-40, 0.1, -2.5], np.float32),
        np.array([-1, 0, 1], np.float32),
        np.zeros(0, np.float32),
    ],
)
def test_packed_cells_come_back(cells):
    packed = pack_cells(cells)
    np.testing.assert_array_equal(unpack(packed), cells.astype(np.float32))


def test_the_page_holds_the_frames_that_training_makes(tmp_path):
    data = load_set(write_set(tmp_path, [make_events(n, n) for n in (900, 400)]))
    settings = load_config("spiking-fer", "spiking-fer")
    framing = dataclasses.replace(settings.frames, size=24, n_steps=3)
    params = view.PlayerParams(framing, "ours", settings.augment, seed=5)
    augmentation = build(settings.augment)
    for sample, clip_id in enumerate(("S000/000", "S000/001")):
        events = data.columns(sample).events()
        made = variants.make_variants(events, data.sensor_size, clip_id, params)
        np.testing.assert_array_equal(
            shown(made["framings"][0]), make_frames(data, sample, framing)
        )
        ours = made["augmentations"][0]
        assert ours["name"] == "recipe ours"
        assert len(ours["draws"]) == 4
        for epoch, draw in enumerate(ours["draws"]):
            rng = sample_rng(5, 0, clip_id, epoch)
            wanted = make_frames(data, sample, framing, augmentation, rng)
            np.testing.assert_array_equal(shown(draw), wanted)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "voxel_grid", "binary": False},
        {"kind": "decay", "binary": False},
        {"kind": "binary_code", "binary": False, "bits": 3},
        {"kind": "count", "event_count": 60},
        {"kind": "event_bins", "binary": False},
        {"resize": "none", "size": None},
    ],
)
def test_every_kind_can_be_shown(settings):
    params = view.PlayerParams(FramesParams(**{"n_steps": 4, "size": 16, **settings}), draws=1)
    for events in (EVENTS, EVENTS[:0]):
        made = variants.make_variants(events, SENSOR, "clip", params)
        first = made["framings"][0]
        n_steps = unpack(first["cells"]).size // int(np.prod(first["shape"][1:]))
        assert len(first["times_us"]) == n_steps + 1
        assert sorted(first["times_us"]) == first["times_us"]
        if params.frames.kind not in ("voxel_grid", "count"):
            bounds = step_bounds(events["t"], params.frames)
            assert sum(first["counts"]) == (bounds[:, 1] - bounds[:, 0]).sum()
        assert len({entry["name"] for entry in made["augmentations"]}) == 13


def test_a_page_stays_small(tmp_path, monkeypatch):
    params = view.PlayerParams(FramesParams(4, "decay", binary=False, size=32), draws=2)
    monkeypatch.setattr(variants, "_MOST_LETTERS", 300_000)
    out = view.render_events(
        EVENTS, SENSOR, tmp_path / "clip.html", duration_us=DURATION_US, player=params
    )
    text = out.read_text(encoding="utf-8")
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["left_out"] > 0
    assert f"{data['left_out']} variants are left out" in text
    draws = [draw for entry in data["augmentations"] for draw in entry["draws"]]
    assert sum(len(v["cells"]["data"]) for v in data["framings"] + draws) <= 300_000
    monkeypatch.setattr(variants, "_MOST_LETTERS", 0)
    made = variants.make_variants(EVENTS, SENSOR, "clip", params)
    assert len(made["framings"]) == 1  # the recipe's own, whatever it takes
    assert made["augmentations"] == []


def test_framings_to_choose_from():
    params = view.PlayerParams(FramesParams(n_steps=4), "ours", others=shipped_framings())
    offered = dict(variants.framings(params))
    assert offered["recipe ours"] == params.frames
    assert offered["recipe demo"] == FramesParams(n_steps=4, size=64)
    assert offered["12 steps"] == FramesParams(n_steps=12)
    assert len(set(offered.values())) == len(offered)
