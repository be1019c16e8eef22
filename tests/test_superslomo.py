"""SuperSloMo: equal to the real v2e where asked, without its faults where not.

No trained weights are needed: `slomo_weights` draws some from a seed, and weights of nothing but
zeros make both networks say nothing, so that only the path around them is seen.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import slomo_weights
import torch

from evfer.errors import EventsError
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


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "silent.ckpt"
    torch.save(slomo_weights.zeros(), path)
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
    # another processor's convolutions may round otherwise and so cut off at another grey level;
    # of two kinds of processor one differs nowhere, the other in 4.4 % of the first case's pixels
    away = np.abs(made.astype(int) - data["pictures"])
    assert away.max() <= 1
    assert np.mean(away > 0) < 0.1


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


def save_answers(path, flow, mending):
    """Weights of networks that answer the same everywhere, whatever they see."""
    states = slomo_weights.zeros()
    for name, answer in (("state_dictFC", flow), ("state_dictAT", mending)):
        answer = torch.tensor(answer, dtype=torch.float32)
        # the last leaky ReLU leaves a tenth of what is negative
        states[name]["conv3.bias"] = torch.where(answer < 0, 10 * answer, answer)
    torch.save(states, path)
    return path


def test_a_known_flow_moves_the_picture(tmp_path):
    columns = np.arange(64) - 4 * np.arange(2)[:, np.newaxis]
    frames = np.rint(120 + 90 * np.sin(columns / 6)).astype(np.uint8)
    frames = np.repeat(frames[:, np.newaxis], 32, axis=1)
    path = save_answers(tmp_path / "right.ckpt", [4, 0, -4, 0], [0] * 5)
    made, _ = interpolate(frames, [0, 1], params=settings(path, factor=4))
    for j in range(4):  # j pixels to the right
        np.testing.assert_allclose(made[j][:, 8:56], frames[0][:, 8 - j : 56 - j], atol=1)
    # v2e looks half a pixel before the place it means, so that all lies half a pixel late
    slow = settings(path, factor=4, compat="v2e", times="v2e")
    late, _ = interpolate(frames, [0, 1], params=slow)
    for j, picture in enumerate(late):
        moved = 120 + 90 * np.sin((np.arange(8, 56) - (j + 0.5) - 0.5) / 6)
        np.testing.assert_allclose(picture[1:, 8:56], np.tile(moved, (31, 1)), atol=2)


@pytest.mark.parametrize(("voice", "seen"), [(50, 0), (-50, 1)])
def test_what_is_hidden_in_one_picture_comes_from_the_other(voice, seen, tmp_path):
    frames = np.array([40, 200], np.uint8)[:, np.newaxis, np.newaxis].repeat(32, 1).repeat(32, 2)
    path = save_answers(tmp_path / "one.ckpt", [0] * 4, [0, 0, 0, 0, voice])
    made, _ = interpolate(frames, [0, 1], params=settings(path, factor=3))
    np.testing.assert_array_equal(made[1:-1], np.stack([frames[seen]] * 2))


def test_the_flow_is_mended(tmp_path):
    frames = np.repeat(moving(1, 32, 64), 2, axis=0)
    path = save_answers(tmp_path / "mended.ckpt", [0] * 4, [3, -2, 3, -2, 0])
    made, _ = interpolate(frames, [0, 1], params=settings(path, factor=2))
    np.testing.assert_array_equal(made[1][5:-5, 5:-5], frames[0][3:-7, 8:-2])


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

    assert factors(path=weights) == [6, 8, 1]
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
