"""The emulator equals v2e event for event: see tests/golden/v2e."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evfer.emulator import DVSEmulator, DVSParams, log_response
from evfer.events import canonical_order

GOLDEN = Path(__file__).parent / "golden" / "v2e"
CASES = sorted(path.stem for path in GOLDEN.glob("[01]*.npz"))
FIELDS = ("t", "x", "y", "p")


def load(case):
    data = np.load(GOLDEN / f"{case}.npz")
    settings = json.loads(str(data["params"]))
    names = DVSParams.__dataclass_fields__.keys() & settings
    params = DVSParams(**{name: settings[name] for name in names})
    return data, params, (data["pos_thres"], data["neg_thres"])


def assert_equal_to_v2e(raw, data):
    v2e = np.empty(len(data["t"]), raw.dtype)
    for name in FIELDS:
        v2e[name] = data[name]
    np.testing.assert_array_equal(raw[canonical_order(raw)], v2e[canonical_order(v2e)])


def test_cases_are_there():
    assert len(CASES) == 23


@pytest.mark.parametrize("case", CASES)
def test_events_and_memory_equal_v2e(case):
    data, params, thresholds = load(case)
    emulator = DVSEmulator(params, thresholds=thresholds)
    raw = emulator.run(data["frames"], data["timestamps"])
    assert_equal_to_v2e(raw, data)
    np.testing.assert_array_equal(emulator.log_memory, data["base_log_final"])
    assert (np.diff(raw["t"]) >= 0).all()


@pytest.mark.parametrize("case", CASES)
def test_whole_levels_as_float_frames_equal_v2e(case):
    data, params, thresholds = load(case)
    emulator = DVSEmulator(params, thresholds=thresholds)
    raw = emulator.run(data["frames"].astype(np.float32), data["timestamps"])
    assert_equal_to_v2e(raw, data)
    np.testing.assert_array_equal(emulator.log_memory, data["base_log_final"])


@pytest.mark.parametrize("case", CASES)
def test_frame_by_frame_equals_v2e(case):
    data, params, thresholds = load(case)
    emulator = DVSEmulator(params, thresholds=thresholds)
    frames = zip(data["frames"], data["timestamps"], strict=True)
    pieces = [emulator.step(frame, t_s) for frame, t_s in frames]
    assert [len(piece) for piece in pieces] == data["events_per_frame"].tolist()
    assert [len(np.unique(piece["t"])) for piece in pieces] == data["unique_times"].tolist()
    assert_equal_to_v2e(np.concatenate(pieces), data)
    np.testing.assert_array_equal(emulator.log_memory, data["base_log_final"])


def test_log_response_equals_v2e():
    data = np.load(GOLDEN / "lut.npz")
    np.testing.assert_array_equal(log_response(data["gray"]), data["lin_log"])
    np.testing.assert_array_equal(log_response(data["x"]), data["lin_log_x"])
