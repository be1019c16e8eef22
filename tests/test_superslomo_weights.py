"""SuperSloMo's weights: where they come from, what is refused, and which ones made a recording."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from slomo_weights import zeros

from evfer import convert, recordings
from evfer.config import digest
from evfer.datasets.demo import DemoHeads
from evfer.errors import ConfigError, DataError, MissingExtra
from evfer.files import sha256_file
from evfer.interpolation import InterpolationParams, interpolate, require_method


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "silent.ckpt"
    torch.save(zeros(), path)
    return path


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "others.ckpt"
    torch.save({**zeros(), "epoch": 1}, path)
    return path


def settings(path, **keywords):
    return InterpolationParams(method="superslomo", device="cpu", weights=str(path), **keywords)


FRAMES = np.zeros((2, 32, 32), np.uint8)


def test_missing_weights_say_where_they_come_from(monkeypatch):
    monkeypatch.delenv("EVFER_SLOMO_WEIGHTS", raising=False)
    params = InterpolationParams(method="superslomo")
    for needs in (
        lambda: interpolate(FRAMES, [0, 1], params=params),
        lambda: params.shaping,
        lambda: require_method(params),
    ):
        with pytest.raises(MissingExtra) as caught:
            needs()
        for part in (
            "SuperSloMo39.ckpt",
            "SensorsINI/v2e",
            "avinashpaliwal",
            "--set interpolation.weights=FILE",
            "EVFER_SLOMO_WEIGHTS",
            "interpolation.method=flow",
        ):
            assert part in str(caught.value)
        assert caught.value.exit_code == 4


def test_the_environment_names_the_weights(monkeypatch, silent, others):
    monkeypatch.setenv("EVFER_SLOMO_WEIGHTS", str(silent))
    params = InterpolationParams(method="superslomo", device="cpu")
    assert params.shaping["weights_sha256"] == sha256_file(silent)
    require_method(params)
    assert settings(others).shaping["weights_sha256"] == sha256_file(others)
    monkeypatch.setenv("EVFER_SLOMO_WEIGHTS", "/nowhere/weights.ckpt")
    with pytest.raises(ConfigError, match="EVFER_SLOMO_WEIGHTS = /nowhere/weights.ckpt: no such"):
        require_method(params)
    with pytest.raises(ConfigError, match=r"interpolation.weights = lost.ckpt: no such file"):
        require_method(settings("lost.ckpt"))


def test_a_gpu_that_is_not_there_is_refused(silent):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    params = InterpolationParams(method="superslomo", device="cuda", weights=str(silent))
    with pytest.raises(ConfigError, match='device = "cuda".*Choose "auto" or "cpu"'):
        require_method(params)


def without(states, name, key):
    return {**states, name: {k: v for k, v in states[name].items() if k != key}}


def changed(states, name, key, value):
    return {**states, name: {**states[name], key: value}}


WRONG = {
    "lacks a network": (
        lambda s: {"state_dictFC": s["state_dictFC"], "epoch": 3},
        "no weights state_dictAT among state_dictFC, epoch",
    ),
    "holds no network": (lambda s: s | {"state_dictAT": 3}, "state_dictAT is a int"),
    "is a list": (lambda s: [s["state_dictFC"]], "holds a list; expected a checkpoint"),
    "lacks a weight": (
        lambda s: without(s, "state_dictFC", "up3.conv1.bias"),
        "state_dictFC lacks up3.conv1.bias",
    ),
    "has one too many": (
        lambda s: changed(s, "state_dictAT", "up9.bias", torch.zeros(2)),
        "state_dictAT has up9.bias",
    ),
    "has another shape": (
        lambda s: changed(s, "state_dictAT", "conv1.weight", torch.zeros(32, 20, 7, 7)),
        r"state_dictAT, conv1.weight of shape \(32, 20, 7, 7\); expected shape \(32, 12, 7, 7\)",
    ),
    "holds a text": (
        lambda s: changed(s, "state_dictFC", "conv1.bias", "many"),
        "state_dictFC, conv1.bias is 'many'",
    ),
    "holds no number": (
        lambda s: changed(s, "state_dictFC", "conv1.bias", torch.full((32,), torch.nan)),
        "state_dictFC, conv1.bias holds what is no finite number",
    ),
    "holds whole numbers": (
        lambda s: changed(s, "state_dictFC", "conv1.bias", torch.zeros(32, dtype=torch.int64)),
        "state_dictFC, conv1.bias holds what is no finite number",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_checkpoints_are_named(fault, tmp_path):
    spoil, message = WRONG[fault]
    path = tmp_path / "wrong.ckpt"
    torch.save(spoil(zeros()), path)
    with pytest.raises(DataError, match=message) as caught:
        require_method(settings(path))
    assert str(path) in str(caught.value)
    assert "SuperSloMo39.ckpt" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"no pickle at all", b"PK\x03\x04 cut short", b"\x80\x02"]
)
def test_foreign_files_are_refused(content, tmp_path):
    path = tmp_path / "foreign.ckpt"
    path.write_bytes(content)
    with pytest.raises(DataError, match="foreign.ckpt: no checkpoint; expected a checkpoint with"):
        require_method(settings(path))


def test_cut_short_is_refused(silent, tmp_path):
    path = tmp_path / "short.ckpt"
    path.write_bytes(silent.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"short.ckpt: no checkpoint"):
        require_method(settings(path))


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(zipped, tmp_path):
    path, trace = tmp_path / "hostile.ckpt", tmp_path / "trace"
    states = {**zeros(), "epoch": Hostile(trace)}
    torch.save(states, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"hostile.ckpt: holds \w+.mkdir, which is no weight"):
        require_method(settings(path))
    assert not trace.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_what_else_a_checkpoint_holds_does_not_count(zipped, tmp_path):
    # as the published one: written by an old torch, with what its training noted
    path = tmp_path / "published.ckpt"
    noted = {
        "Detail": "End to end Super SloMo.",
        "epoch": 199,
        "timestamp": datetime.datetime(2018, 12, 1, 12, 30, 5, 123),
        "learningRate": 1e-6,
        "loss": [[0.5, 0.25]],
    }
    torch.save({**noted, **zeros()}, path, _use_new_zipfile_serialization=zipped)
    require_method(settings(path))


# recordings


def test_recipes_are_told_apart_by_what_shapes(silent, others, tmp_path):
    copy = tmp_path / "elsewhere.ckpt"
    copy.write_bytes(silent.read_bytes())

    def shape(path, **keywords):
        given = {"method": "superslomo", "weights": str(path), **keywords}
        return digest(convert.load_config("default", {"interpolation": given}).shaping)

    same = {
        shape(silent),
        shape(copy),
        shape(silent, device="cpu"),
        shape(silent, batch_size=2),
    }
    assert len(same) == 1
    different = [
        shape(others),
        shape(silent, compat="v2e"),
        shape(silent, compat="v2e", batch_size=2),
        shape(silent, times="v2e"),
        shape(silent, factor=4),
    ]
    assert len({*same, *different}) == 6
    copy.write_bytes(others.read_bytes())  # another file at the same place
    assert shape(copy) == shape(others)


def test_recordings_name_their_weights(silent, tmp_path):
    given = {"method": "superslomo", "weights": str(silent), "device": "cpu"}
    recipe = convert.load_config("default", {"interpolation": given, "faces": {"size": 64}})
    heads = DemoHeads(people=1, repetitions=1, frames=10)
    summary = convert.convert(heads, None, tmp_path, recipe, limit=1)
    assert summary.converted == 1
    found = recordings.inspect(summary.folder / "S001" / "001.h5")
    made_by = found["params"]["interpolation"]
    assert made_by["weights_sha256"] == sha256_file(silent)
    assert "weights" not in made_by
    again = convert.plan(heads, None, tmp_path, recipe, limit=1)
    assert again.todo == ()


def test_a_plan_without_weights_fails_at_once(monkeypatch, tmp_path):
    monkeypatch.delenv("EVFER_SLOMO_WEIGHTS", raising=False)
    recipe = convert.load_config("default", {"interpolation": {"method": "superslomo"}})
    with pytest.raises(MissingExtra, match="without its weights"):
        convert.plan(DemoHeads(people=1, repetitions=1, frames=10), None, tmp_path, recipe)


def test_naming_a_recipe_loads_no_torch(silent):
    code = (
        "import sys; from evfer import convert; "
        "r = convert.load_config('default', {'interpolation': "
        f"{{'method': 'superslomo', 'weights': {str(silent)!r}}}}}); "
        "assert r.interpolation.shaping['weights_sha256']; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
