"""SuperSloMo: equal to the real v2e where asked, without its faults where not.

No trained weights are needed: `slomo_weights` draws some from a seed, and weights of nothing but
zeros make both networks say nothing, so that only the path around them is seen.
"""

from __future__ import annotations

import datetime
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slomo_weights
import torch

from evfer import convert, store
from evfer.config import digest
from evfer.datasets.demo import DemoHeads
from evfer.errors import ConfigError, DataError, EventsError, MissingExtra
from evfer.files import sha256_file
from evfer.interpolation import (
    InterpolationParams,
    interpolate,
    interpolate_pairs,
    require_method,
)
from evfer.interpolation.superslomo_torch import CorrectedPictures, PicturesOfV2e, SuperSloMo
from evfer.interpolation.unet_torch import UNet

GOLDEN = Path(__file__).parent / "golden" / "slomo"
CASES = sorted(path.stem for path in GOLDEN.glob("*.npz"))
COMPATS = ("v2e", "corrected")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def networks():
    case = np.load(GOLDEN / "wide.npz")
    drawn = slomo_weights.draw(int(case["seed"]), float(case["flow"]))
    assert slomo_weights.sha256(drawn) == str(case["weights_sha256"])
    return drawn


@pytest.fixture(scope="module")
def weights(networks, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "drawn.ckpt"
    return slomo_weights.save(networks, path)


def zeros():
    """Weights of one zero each, seen as many: a small file."""
    return {
        name: {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
        for name, shapes in slomo_weights.SHAPES.items()
    }


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "silent.ckpt"
    torch.save(zeros(), path)
    return path


def settings(path, **keywords):
    return InterpolationParams(method="superslomo", device="cpu", weights=str(path), **keywords)


def moving(n, height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.stack(
        [
            np.rint(120 + 80 * np.sin((columns - 2 * k) / 4) * np.cos((rows + k) / 5))
            for k in range(n)
        ]
    ).astype(np.uint8)


# as v2e


def test_cases_are_there():
    assert CASES == ["fixed", "flat", "wide"]


@pytest.mark.parametrize("case", CASES)
def test_pictures_and_times_equal_v2e(case, weights):
    data = np.load(GOLDEN / f"{case}.npz")
    params = settings(
        weights,
        compat="v2e",
        times="v2e",
        batch_size=int(data["batch_size"]),
        factor=int(data["factor"]) or "auto",
    )
    times = np.arange(len(data["frames"])) / data["fps"]
    made, when = interpolate(data["frames"], times, params=params)
    np.testing.assert_array_equal(when, data["times_s"])
    assert made.shape == data["pictures"].shape
    # another processor's convolutions may round otherwise and so cut off at another grey level
    away = np.abs(made.astype(int) - data["pictures"])
    assert away.max() <= 1
    assert np.mean(away > 0) < 0.01


def test_v2e_batches_share_their_factor(weights):
    frames = np.load(GOLDEN / "wide.npz")["frames"]
    # for 8 frames v2e halves 64 to 4; it knows no greatest factor
    params = settings(weights, compat="v2e", times="v2e", batch_size=64, max_factor=3)
    pieces = interpolate_pairs(frames, np.arange(8) / 30, params)
    assert [len(made) for made, _ in pieces] == [8, 8, 8, 8, 7, 7, 7]


def test_v2e_pictures_at_exact_times(weights):
    frames = moving(4, 32, 32)
    params = settings(weights, compat="v2e", factor=2)
    more, when = interpolate(frames, np.arange(4.0), params=params)
    np.testing.assert_array_equal(more[::2], frames)
    assert when.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    # frames at one time get none between, so that one batch holds pairs of many steps
    times = [0, 1, 1, 2]
    more, when = interpolate(frames, times, params=settings(weights, compat="v2e", factor=3))
    assert when.tolist() == [0, 1 / 3, 2 / 3, 1, 1, 1 + 1 / 3, 1 + 2 / 3, 2]
    np.testing.assert_array_equal(more[[0, 3, 4, 7]], frames)


def test_v2e_has_a_dark_rim_and_corrected_has_none(silent):
    frames = np.full((3, 64, 64), 200, np.uint8)
    wrong, _ = interpolate(frames, [0, 1, 2], params=settings(silent, compat="v2e", factor=2))
    right, _ = interpolate(frames, [0, 1, 2], params=settings(silent, factor=2))
    np.testing.assert_array_equal(right, 200)
    assert wrong[1][0, 1:].tolist() == wrong[1][1:, 0].tolist() == [100] * 63
    assert wrong[1][0, 0] == 50
    np.testing.assert_array_equal(wrong[1][1:, 1:], 200)


def test_v2e_warps_half_a_pixel_off(rng):
    picture = torch.from_numpy(rng.random((1, 1, 32, 64), np.float32))
    warped = PicturesOfV2e().warp(picture, torch.zeros(1, 2, 32, 64))[0, 0, 1:, 1:]
    p = picture[0, 0]
    mean = (p[1:, 1:] + p[:-1, 1:] + p[1:, :-1] + p[:-1, :-1]) / 4
    torch.testing.assert_close(warped, mean, atol=1e-5, rtol=0)


def test_v2e_refuses_what_it_cannot_resize(silent):
    with pytest.raises(EventsError, match=r"shape \(31, 40\).*32 pixels.*corrected"):
        interpolate(moving(3, 31, 40), [0, 1, 2], params=settings(silent, compat="v2e"))


# corrected


@pytest.mark.parametrize("shape", [(32, 32), (40, 50), (1, 1), (5, 70)])
def test_no_flow_leaves_the_picture(shape, silent, rng):
    frames = np.repeat(rng.integers(0, 256, (1, *shape), dtype=np.uint8), 3, axis=0)
    more, _ = interpolate(frames, [0, 1, 2], params=settings(silent, factor=3))
    np.testing.assert_array_equal(more, np.repeat(frames[:1], 7, axis=0))


def test_no_flow_is_a_fade(silent):
    frames = moving(2, 40, 50)
    made, _ = interpolate(frames, [0, 1], params=settings(silent, factor=4))
    faded, _ = interpolate(frames, [0, 1], method="linear", factor=4)
    away = made.astype(int) - faded
    assert np.abs(away).max() <= 1  # halves may be rounded either way
    assert np.mean(away != 0) < 0.01


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, -2), (-40, 5)])
def test_warp_is_exact_and_goes_on_beyond_the_edge(right, down, rng):
    picture = rng.random((32, 64), np.float32)
    flow = torch.tensor([right, down], dtype=torch.float32)[None, :, None, None]
    warped = CorrectedPictures().warp(
        torch.from_numpy(picture)[None, None], flow.expand(1, 2, 32, 64)
    )
    rows, columns = np.mgrid[:32, :64]
    expected = picture[(rows + down).clip(0, 31), (columns + right).clip(0, 63)]
    np.testing.assert_allclose(warped[0, 0].numpy(), expected, atol=2e-5)


def test_pictures_come_back_rounded_and_clipped():
    pictures = CorrectedPictures()
    frames = moving(2, 33, 20)
    seen = pictures.encode(frames)
    assert tuple(seen.shape) == (2, 1, 64, 32)
    assert float(seen.mean()) == pytest.approx(120 / 255 - 0.428, abs=0.03)
    np.testing.assert_array_equal(pictures.decode(seen, (33, 20)), frames)
    np.testing.assert_array_equal(pictures.decode(seen + 0.49 / 255, (33, 20)), frames)
    np.testing.assert_array_equal(pictures.decode(seen + 0.51 / 255, (33, 20)), frames + 1)
    assert pictures.decode(seen + 3, (33, 20)).min() == 255
    assert pictures.decode(seen - 3, (33, 20)).max() == 0


@pytest.mark.parametrize("times", ["exact", "v2e"])
def test_batch_size_makes_no_difference(weights, times):
    frames = moving(4, 32, 32)
    results = [
        interpolate(frames, np.arange(4) / 30, params=settings(weights, batch_size=b, times=times))
        for b in (1, 3)
    ]
    for more, when in results[1:]:
        np.testing.assert_array_equal(more, results[0][0])
        np.testing.assert_array_equal(when, results[0][1])
    if times == "exact":
        assert (np.diff(results[0][1]) > 0).all()
        for frame in frames:
            assert (results[0][0] == frame).all(axis=(1, 2)).any()


def test_factor_is_limited_and_each_pairs_own(weights, silent):
    frames = np.load(GOLDEN / "flat.npz")["frames"][1:4]

    def factors(**keywords):
        pieces = interpolate_pairs(frames, [0, 1, 2], settings(**keywords))
        return [len(made) for made, _ in pieces]

    assert factors(path=weights) == [3, 4, 1]
    assert factors(path=weights, max_factor=3) == [3, 3, 1]
    assert factors(path=silent) == [1, 1, 1]  # it sees no motion at all


def test_pairs_at_once_are_as_pairs_alone(weights):
    # as a GPU has them; several at once round otherwise in the last place
    frames = list(np.load(GOLDEN / "flat.npz")["frames"])
    places = [np.array([0.25, 0.75]), np.array([0.5]), np.array([]), np.array([0.1, 0.4, 0.8])]
    way = SuperSloMo(settings(weights), len(frames))
    assert way.n_pairs == 1
    alone = [way.study(frames[k : k + 2]).make([own])[0] for k, own in enumerate(places)]
    factors = [way.study(frames[k : k + 2]).choose_factors()[0] for k in range(4)]
    way.n_pairs = 4
    together = way.study(frames)
    assert together.choose_factors() == factors
    for made, right, own in zip(together.make(places), alone, places, strict=True):
        assert made.shape == (len(own), 40, 72)
        assert np.abs(made.astype(int) - right).max(initial=0) <= 1
        assert np.sum(made != right) <= 0.01 * made.size


# form


def test_parameters_are_the_checkpoints():
    for (name, shapes), planes in zip(slomo_weights.SHAPES.items(), [(2, 4), (12, 5)], strict=True):
        with torch.device("meta"):
            state = UNet(*planes).state_dict()
        assert {key: list(value.shape) for key, value in state.items()} == shapes, name
        assert list(state) == list(shapes)
    assert sum(np.prod(s) for s in slomo_weights.SHAPES["state_dictFC"].values()) == 19_787_844


@pytest.mark.parametrize(("compat", "ahead"), [("v2e", 4), ("corrected", 1)])
def test_pairs_come_one_by_one(compat, ahead, silent):
    taken = []

    def camera():
        for k in itertools.count():
            taken.append(k)
            yield np.full((32, 32), k % 256, np.uint8)

    params = settings(silent, compat=compat, batch_size=4, factor=2)
    pairs = interpolate_pairs(camera(), np.arange(1000) / 30, params)
    assert taken == []
    for k, (made, _) in enumerate(itertools.islice(pairs, 9)):
        assert made.shape == (2, 32, 32)
        assert len(taken) <= k + 1 + ahead


def test_callers_random_numbers_stay(silent):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    require_method(settings(silent))
    assert torch.equal(torch.rand(3), expected)


# weights


def test_missing_weights_say_where_they_come_from(monkeypatch):
    monkeypatch.delenv("EVFER_SLOMO_WEIGHTS", raising=False)
    params = InterpolationParams(method="superslomo")
    for needs in (
        lambda: interpolate(moving(2, 32, 32), [0, 1], params=params),
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


def test_the_environment_names_the_weights(monkeypatch, silent, weights):
    monkeypatch.setenv("EVFER_SLOMO_WEIGHTS", str(silent))
    params = InterpolationParams(method="superslomo", device="cpu")
    assert params.shaping["weights_sha256"] == sha256_file(silent)
    require_method(params)
    assert settings(weights).shaping["weights_sha256"] == sha256_file(weights)
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


def test_recipes_are_told_apart_by_what_shapes(silent, weights, tmp_path):
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
    others = [
        shape(weights),
        shape(silent, compat="v2e"),
        shape(silent, compat="v2e", batch_size=2),
        shape(silent, times="v2e"),
        shape(silent, factor=4),
    ]
    assert len({*same, *others}) == 6
    copy.write_bytes(weights.read_bytes())  # another file at the same place
    assert shape(copy) == shape(weights)


def test_recordings_name_their_weights(silent, tmp_path):
    given = {"method": "superslomo", "weights": str(silent), "device": "cpu"}
    recipe = convert.load_config("default", {"interpolation": given, "faces": {"size": 64}})
    heads = DemoHeads(people=1, repetitions=1, frames=10)
    summary = convert.convert(heads, None, tmp_path, recipe, limit=1)
    assert summary.converted == 1
    found = store.inspect(summary.folder / "S001" / "001.h5")
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
