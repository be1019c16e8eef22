"""The original v2e as a back end; needs a checkout, named by EVFER_V2E, to run whole."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import v2e_checkout

from evfer import config, convert, recordings
from evfer.cli import main
from evfer.datasets.demo import DemoHeads
from evfer.emulator import PRESETS, DVSEmulator, DVSParams, V2EEmulator, create
from evfer.errors import ConfigError, EventsError, MissingExtra
from evfer.events import canonical_order

CHECKOUT = os.environ.get("EVFER_V2E", "")
PAPER = DVSParams(pattern="v2e", backend="v2e")
NOISY = dataclasses.replace(PRESETS["noisy"], backend="v2e")
NOISE = DVSParams(
    cutoff_hz=200, shot_noise_rate_hz=50, photoreceptor_noise=True, pattern="v2e", backend="v2e"
)


@pytest.fixture
def forgotten():
    """Takes v2e out of the loaded modules, and puts back what was there."""

    def take():
        names = [name for name in sys.modules if name.partition(".")[0] == "v2ecore"]
        return {name: sys.modules.pop(name) for name in names}

    loaded = take()
    yield
    take()
    sys.modules.update(loaded)


@pytest.fixture
def absent(forgotten, monkeypatch):
    monkeypatch.setitem(sys.modules, "v2ecore", None)


@pytest.fixture(scope="module")
def v2e():
    if CHECKOUT:
        v2e_checkout.add_to_path(Path(CHECKOUT))
    elif importlib.util.find_spec("v2ecore") is None:
        pytest.skip("v2e is not installed, and EVFER_V2E names no checkout of it")


@pytest.fixture(scope="module")
def textured():
    """A texture that slides and brightens, and its times."""
    rng = np.random.default_rng(3)
    texture = rng.uniform(1, 255, (24, 60)).repeat(2, axis=1)
    frames = [texture[:, k : k + 40] * (0.6 + 0.04 * k) for k in range(10)]
    return np.clip(frames, 0, 255).astype(np.uint8), np.arange(10) / 30


def in_order(events):
    return events[canonical_order(events)]


def test_what_is_missing_stops_the_conversion_first(absent, capsys, tmp_path):
    line = "convert --dataset demo --limit 1 --set emulator.backend=v2e --out"
    code = main([*line.split(), str(tmp_path / "data")])
    message = " ".join(capsys.readouterr().err.split())
    assert code == 4
    assert 'backend "v2e": v2e is not installed' in message
    assert 'pip install "v2e @ git+https://github.com/SensorsINI/v2e"' in message
    assert "Traceback" not in message
    assert not (tmp_path / "data").exists()


def test_a_package_that_v2e_lacks_is_named(forgotten, tmp_path, monkeypatch):
    package = tmp_path / "v2ecore"
    package.mkdir()
    (package / "emulator.py").write_text("import screeninfo_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match="installed, but not its screeninfo_is_not_there"):
        create(PAPER)
    (package / "emulator.py").write_text("raise OSError('no display')")
    with pytest.raises(MissingExtra, match=r"cannot be imported \(OSError: no display\)"):
        create(PAPER)


def test_nothing_is_imported_before_it_is_asked_for():
    script = "import sys, evfer.emulator; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & {"torch", "v2ecore", "numba"}


@pytest.mark.parametrize("backend", ["evfer", "v2e"])
def test_settings_choose_the_camera(backend, request):
    if backend == "v2e":
        request.getfixturevalue("v2e")
    camera = create(DVSParams(backend=backend))
    assert type(camera) is {"evfer": DVSEmulator, "v2e": V2EEmulator}[backend]


@pytest.mark.parametrize("seed", [0, -1, 2**31, 1.5, True, "3", (1, 2)])
def test_v2e_takes_one_number_as_seed(seed):
    with pytest.raises(ConfigError, match='pattern "v2e"; expected a whole number from 1'):
        V2EEmulator(PAPER, seed=seed)


def test_settings_that_v2e_has_not():
    with pytest.raises(ConfigError, match="slot"):
        V2EEmulator(DVSParams(timing="crossing"))
    with pytest.raises(ConfigError, match="dict"):
        V2EEmulator({})


def test_equal_to_the_golden_data(v2e, golden):
    data = np.load(golden / "01-paper-s0-small.npz")
    events = V2EEmulator(DVSParams(sigma_thres=0)).run(data["frames"], data["timestamps"])
    order = np.lexsort((data["p"], data["x"], data["y"], data["t"]))
    for name in "txyp":
        np.testing.assert_array_equal(events[name], data[name][order])


@pytest.mark.parametrize(
    "params",
    [
        PAPER,
        DVSParams(pattern="v2e", pos_thres=0.3, neg_thres=0.1, sigma_thres=0.05),
        DVSParams(pattern="v2e", cutoff_hz=30, refractory_period_s=0.01),
        DVSParams(pattern="v2e", leak_rate_hz=3, leak_jitter_fraction=0),
    ],
    ids=["paper", "thresholds", "low-pass", "leak"],
)
def test_both_back_ends_make_the_same_events(v2e, textured, params):
    theirs = V2EEmulator(params, seed=7).run(*textured)
    ours = DVSEmulator(dataclasses.replace(params, backend="evfer"), seed=7).run(*textured)
    assert len(ours) > 1000
    np.testing.assert_array_equal(in_order(ours), theirs)


def test_noise_comes_at_the_same_rate(v2e):
    frames = np.full((200, 40, 40), 128, np.uint8)
    times = np.arange(200) / 200
    params = DVSParams(shot_noise_rate_hz=10, refractory_period_s=0)
    theirs = len(V2EEmulator(params, seed=1).run(frames, times))
    ours = len(DVSEmulator(params, seed=1).run(frames, times))
    assert abs(ours - theirs) < 4 * np.sqrt(ours + theirs)


def test_blocks_and_resets_change_nothing(v2e, textured):
    frames, times = textured
    camera = create(NOISY, seed=5)
    whole = camera.run(frames, times)
    assert np.all(np.diff(whole["t"]) >= 0)
    camera.reset()
    parts = [camera.run(frames[:4], times[:4]), camera.run(frames[4:9], times[4:9])]
    parts.append(camera.step(frames[9], times[9]))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_emulators_disturb_neither_each_other_nor_the_process(v2e, textured):
    frames, times = textured
    alone = create(NOISY, seed=5).run(frames, times)
    torch.manual_seed(0)
    random.seed(0)
    expected = (torch.rand(3).tolist(), random.random())
    torch.manual_seed(0)
    random.seed(0)
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002 - v2e seeds it
    one, two = create(NOISY, seed=5), create(NOISY, seed=6)
    mixed = []
    for frame, time in zip(frames, times, strict=True):
        mixed.append(one.step(frame, time))
        two.step(frame, time)
    np.testing.assert_array_equal(np.concatenate(mixed), alone)
    assert (torch.rand(3).tolist(), random.random()) == expected
    assert np.array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002 - v2e seeds it


def test_seeds_give_other_patterns(v2e, textured):
    def run(seed):
        return create(DVSParams(backend="v2e"), seed=seed).run(*textured)

    np.testing.assert_array_equal(run((0, 1)), run((0, 1)))
    assert not np.array_equal(run((0, 1)), run((0, 2)))
    assert not np.array_equal(run(0), run(1))


def test_photoreceptor_noise(v2e, textured):
    frames, times = np.full((60, 40, 40), 20, np.uint8), np.arange(60) / 2000
    camera = create(NOISE, seed=1)
    assert len(camera.run(frames, times)) > 10
    with pytest.raises(EventsError, match="frame 61 at the time of the one before"):
        camera.run(frames[:2], [1, 1])
    camera.step(frames[0], 1.0)
    with pytest.raises(EventsError, match="frame 61 at the time"):
        camera.step(frames[0], 1.0)
    # the first interval counts from 0 and not from the first frame
    camera.reset()
    camera.run(frames[:2], [0.5, 0.5])


def test_each_emulator_has_its_own_strength_of_photoreceptor_noise(v2e, monkeypatch):
    from v2ecore.emulator_utils import compute_photoreceptor_noise_voltage as kept

    # as someone else's run in this process would leave it
    monkeypatch.setattr(kept, "last_sample_rate", 2000.0)
    monkeypatch.setattr(kept, "last_vn", 0.0)
    frames, times = np.full((200, 40, 40), 20, np.uint8), np.arange(200) / 2000
    loud, quiet = create(NOISE), create(dataclasses.replace(NOISE, shot_noise_rate_hz=0.1))
    assert len(loud.run(frames, times)) > max(20 * len(quiet.run(frames, times)), 20)
    assert (kept.last_sample_rate, kept.last_vn) == (2000.0, 0.0)


def test_refusals_name_the_frame_and_leave_all_as_it_was(v2e, textured):
    frames, times = textured
    camera = create(PAPER, seed=1)
    first = camera.run(frames[:5], times[:5])
    for wrong, when, message in [
        (np.full((1, 24, 40), np.nan), [1.0], "frame 5 has the value nan"),
        (frames[5:7], [1.0, 0.9], "frame 6 at 0.9 s stands after"),
        (frames[5:6], [0.0], "frame 5 at 0.0 s stands after"),
        (frames[5:6, :9], [1.0], "frame 5 of shape"),
        (frames[5:6].astype(int), [1.0], "dtype int64"),
        (frames[:0], [], "no frames"),
    ]:
        with pytest.raises(EventsError, match=message):
            camera.run(wrong, when)
    rest = camera.run(frames[5:], times[5:])
    expected = create(PAPER, seed=1).run(frames, times)
    np.testing.assert_array_equal(np.concatenate([first, rest]), expected)


def test_nothing_is_said(v2e, textured, capfd, caplog):
    bright = textured[0].copy()
    bright[5] = 0
    create(NOISY, seed=1).run(bright, textured[1] * 100)
    create(PAPER, seed=1).run(np.zeros((3, 9, 9)), [0, 1, 2])
    said = capfd.readouterr()
    assert (said.out, said.err, caplog.text) == ("", "", "")


def test_a_recording_is_the_same_from_both(v2e, tmp_path):
    demo = DemoHeads(people=1, repetitions=1, frames=10)
    files = {}
    for backend in ("evfer", "v2e"):
        recipe = {"interpolation": {"method": "none"}, "seed": 9}
        emulator = {"pattern": "v2e", "backend": backend, "timing": "slot"}
        settings = convert.load_config("default", {**recipe, "emulator": emulator})
        summary = convert.convert(demo, None, tmp_path / backend, settings, limit=1)
        (entry,) = recordings.read_index(summary.folder)
        files[backend] = recordings.read(summary.folder / entry.path)
        record = config.read_toml(summary.folder / "conversion.toml")
        assert record["recipe"]["emulator"]["backend"] == backend
        assert ("torch" in record["versions"]) == (backend == "v2e")
    assert len(files["v2e"].events) > 1000
    np.testing.assert_array_equal(files["v2e"].events, files["evfer"].events)


def test_errors_cross_process_borders(absent):
    with pytest.raises(MissingExtra) as caught:
        create(PAPER)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
