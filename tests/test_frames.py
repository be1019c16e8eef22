"""Events to frames: against plain definitions, torch's pooling and tonic."""

import dataclasses

import numpy as np
import pytest
import torch
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer.errors import ConfigError, EventsError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.frames import FramesParams, fill_frames, step_bounds, to_frames, used_fraction
from evfer.region import Region

SENSOR = SensorSize(20, 14)


def make_events(n, seed=0, sensor=SENSOR, last_us=5000, first_us=0):
    rng = np.random.default_rng(seed)
    events = np.empty(n, EVENT_DTYPE)
    events["x"] = rng.integers(0, sensor.width, n)
    events["y"] = rng.integers(0, sensor.height, n)
    events["p"] = rng.random(n) < 0.5
    events["t"] = np.sort(rng.integers(first_us, last_us, n))
    return events


def counted(events, bins, n_steps, sensor=SENSOR):
    """Count events by a list of step numbers; -1 drops one."""
    frames = np.zeros((n_steps, 2, sensor.height, sensor.width))
    kept = bins >= 0
    np.add.at(
        frames,
        (bins[kept], events["p"][kept].astype(int), events["y"][kept], events["x"][kept]),
        1,
    )
    return frames


clips = st.builds(
    make_events,
    st.integers(0, 60),
    st.integers(0, 1000),
    last_us=st.sampled_from([1, 2, 7, 50, 100_000]),
)


@given(clips, st.integers(1, 9))
@settings(max_examples=examples(60))
def test_exact_bins_are_the_published_formula_and_lose_nothing(events, n_steps):
    frames = to_frames(events, SENSOR, n_steps=n_steps, binary=False)
    t = events["t"]
    if len(events):
        bins = n_steps * (t - t[0]) // (t[-1] - t[0] + 1)
        np.testing.assert_array_equal(frames, counted(events, bins, n_steps))
    assert frames.sum() == len(events)
    assert frames.dtype == np.float32
    assert frames.shape == (n_steps, 2, 14, 20)


@given(clips, st.integers(1, 9), st.sampled_from(["time_bins", "event_bins", "count_or_bins"]))
@settings(max_examples=examples(60))
def test_binary_says_where_counts_are_and_steps_never_overlap(events, n_steps, kind):
    params = FramesParams(n_steps=n_steps, kind=kind, event_count=3, size=None)
    settings_ = dataclasses.asdict(params) | {"binary": False}
    counts = to_frames(events, SENSOR, **settings_)
    binary = to_frames(events, SENSOR, **dataclasses.asdict(params))
    np.testing.assert_array_equal(binary, counts > 0)
    bounds = step_bounds(events["t"], params)
    assert bounds.shape == (n_steps, 2)
    assert (bounds[1:, 0] >= bounds[:-1, 1]).all()
    assert counts.sum() == pytest.approx(
        len(events) * used_fraction(events["t"], params) if len(events) else 0
    )


@pytest.mark.parametrize("n", [300, 301, 1000])
@pytest.mark.parametrize("n_steps", [1, 4, 6])
def test_equals_tonic(n, n_steps):
    from tonic.transforms import ToFrame

    events = make_events(n, seed=n, first_us=77)
    size = SENSOR.tonic
    expected = ToFrame(size, n_time_bins=n_steps)(events)
    found = to_frames(events, SENSOR, n_steps=n_steps, edge="tonic", binary=False)
    np.testing.assert_array_equal(found, expected)
    expected = ToFrame(size, n_event_bins=n_steps)(events)
    found = to_frames(events, SENSOR, n_steps=n_steps, kind="event_bins", binary=False)
    np.testing.assert_array_equal(found, expected)
    expected = ToFrame(size, event_count=70)(events)
    found = to_frames(events, SENSOR, kind="count", event_count=70, binary=False)
    np.testing.assert_array_equal(found, expected)
    assert len(found) == n // 70


def test_tonic_edges_drop_the_end_that_exact_edges_keep():
    events = make_events(6, last_us=2)
    events["t"] = [0, 10, 20, 30, 40, 49]  # 49 // 4 = 12: windows end at 48
    exact = to_frames(events, SENSOR, n_steps=4, binary=False)
    tonic = to_frames(events, SENSOR, n_steps=4, edge="tonic", binary=False)
    assert exact.sum() == 6
    assert tonic.sum() == 5


def test_count_or_bins_takes_the_middle_or_falls_back():
    events = make_events(100)
    # 100 // 11 = 9 frames, 6 wanted, so frames 1 to 6
    bins = np.arange(100) // 11 - 1
    bins[(bins > 5)] = -1
    found = to_frames(events, SENSOR, kind="count_or_bins", event_count=11, binary=False)
    np.testing.assert_array_equal(found, counted(events, bins, 6))
    # 100 // 20 = 5 frames are too few: six bins of 16 events, four dropped
    bins = np.arange(100) // 16
    bins[bins > 5] = -1
    found = to_frames(events, SENSOR, kind="count_or_bins", event_count=20, binary=False)
    np.testing.assert_array_equal(found, counted(events, bins, 6))
    few = to_frames(events[:5], SENSOR, kind="count_or_bins", binary=False)
    assert few.shape == (6, 2, 14, 20)
    assert few.sum() == 0


def test_published_clip_of_69_thousand_events_uses_a_fifth():
    params = FramesParams(kind="count_or_bins")
    assert used_fraction(np.arange(69_000), params) == pytest.approx(0.217, abs=0.001)


@pytest.mark.parametrize("kind", ["time_bins", "event_bins", "count_or_bins"])
@pytest.mark.parametrize("size", [None, 8])
def test_an_empty_clip_gives_zeros(kind, size):
    frames = to_frames(make_events(0), SENSOR, kind=kind, size=size)
    assert frames.shape == (6, 2, size or 14, size or 20)
    assert not frames.any()
    assert used_fraction(np.zeros(0, np.int64), FramesParams(kind=kind)) == 1.0


def test_one_instant_keeps_its_events():
    events = make_events(9, last_us=1)
    assert to_frames(events, SENSOR, binary=False)[0].sum() == 9


@pytest.mark.parametrize("size", [7, 8, 14, 20, 33])
@pytest.mark.parametrize("binary", [True, False])
def test_maxpool_is_torchs_adaptive_pooling(size, binary):
    events = make_events(150, seed=size)
    plain = to_frames(events, SENSOR, binary=binary)
    expected = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(plain), size).numpy()
    np.testing.assert_array_equal(to_frames(events, SENSOR, binary=binary, size=size), expected)


@pytest.mark.parametrize("size", [7, 8, 14, 20, 33])
@pytest.mark.parametrize("binary", [True, False])
def test_nearest_reads_one_pixel_a_cell(size, binary):
    events = make_events(150, seed=size)
    plain = to_frames(events, SENSOR, binary=binary)
    rows, columns = np.arange(size) * 14 // size, np.arange(size) * 20 // size
    found = to_frames(events, SENSOR, binary=binary, size=size, resize="nearest")
    np.testing.assert_array_equal(found, plain[:, :, rows][..., columns])


def test_nearest_from_200_to_128_keeps_16384_pixels():
    sensor = SensorSize(200, 200)
    events = np.zeros(40_000, EVENT_DTYPE)
    events["x"], events["y"] = np.arange(40_000) % 200, np.arange(40_000) // 200
    found = to_frames(events, sensor, n_steps=1, binary=False, size=128, resize="nearest")
    assert found.sum() == 16_384
    assert found.max() == 1


@pytest.mark.parametrize("size", [7, 8, 14])
def test_event_resize_moves_events_and_loses_none(size):
    events = make_events(150, seed=size)
    moved = events.copy()
    moved["x"], moved["y"] = events["x"] * size // 20, events["y"] * size // 14
    found = to_frames(events, SENSOR, binary=False, size=size, resize="event")
    np.testing.assert_array_equal(found, to_frames(moved, SensorSize(size, size), binary=False))
    assert found.sum() == 150


@given(
    st.integers(-6, 12),
    st.integers(-6, 9),
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from([None, 6, 17]),
    st.sampled_from(["maxpool", "nearest"]),
    st.booleans(),
)
@settings(max_examples=examples(80))
def test_a_region_is_a_cut_of_the_frames(left, top, width, height, size, resize, binary):
    """Cropping by region equals cropping the whole frames, padded with zeros, then resizing."""
    events = make_events(200, seed=3)
    region = Region(left, top, width, height)
    plain = to_frames(events, SENSOR, n_steps=2, binary=binary)
    padded = np.pad(plain, ((0, 0), (0, 0), (40, 40), (40, 40)))
    cut = padded[:, :, 40 + top : 40 + top + height, 40 + left : 40 + left + width]
    if size is None:
        expected = cut
    elif resize == "maxpool":
        expected = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(cut), size).numpy()
    else:
        rows, columns = np.arange(size) * height // size, np.arange(size) * width // size
        expected = cut[:, :, rows][..., columns]
    found = to_frames(
        events, SENSOR, n_steps=2, binary=binary, size=size, resize=resize, region=region
    )
    np.testing.assert_array_equal(found, expected)


def test_other_layouts_of_the_same_events_give_the_same_frames():
    events = make_events(80)
    other = np.empty(80, [("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "i1")])
    for name in ("t", "x", "y"):
        other[name] = events[name]
    other["p"] = np.where(events["p"], 1, -1)
    np.testing.assert_array_equal(to_frames(events, SENSOR), to_frames(other, SENSOR))


def test_input_stays_as_it_was():
    events = make_events(80)
    events.setflags(write=False)
    to_frames(events, SENSOR, size=8)


def test_filling_bytes_equals_floats():
    events = make_events(80)
    params = FramesParams(size=8)
    region = Region(0, 0, 20, 14)
    frames = np.zeros(params.shape(region), np.uint8)
    columns = [np.ascontiguousarray(events[name]) for name in ("x", "y", "p", "t")]
    fill_frames(frames, *columns, SENSOR, params, region)
    np.testing.assert_array_equal(frames, to_frames(events, SENSOR, size=8))


@pytest.mark.parametrize(("field", "value"), [("x", 20), ("x", -1), ("y", 14), ("y", -3)], ids=str)
def test_events_off_the_sensor_are_refused(field, value):
    events = make_events(10)
    events[field][4] = value
    with pytest.raises(EventsError, match=f"{field} = {value}"):
        to_frames(events, SENSOR)
    columns = [np.ascontiguousarray(events[name]) for name in ("x", "y", "p", "t")]
    params, region = FramesParams(size=None), Region(0, 0, 20, 14)
    with pytest.raises(EventsError, match="event 4 at"):
        fill_frames(np.zeros(params.shape(region), np.uint8), *columns, SENSOR, params, region)


def test_wrong_input_is_refused():
    events = make_events(10)
    events["t"][5] = 10_000
    with pytest.raises(EventsError, match="back in time"):
        to_frames(events, SENSOR)
    with pytest.raises(EventsError, match="fields t, x, y and p"):
        to_frames(np.zeros((3, 4)), SENSOR)
    with pytest.raises(ConfigError, match=r"frames\.n_steps = 0"):
        to_frames(make_events(3), SENSOR, n_steps=0)
    with pytest.raises(ConfigError, match=r"frames\.resize"):
        to_frames(make_events(3), SENSOR, size=8, resize="none")
    with pytest.raises(ConfigError, match="shape"):
        fill_frames(
            np.zeros((1, 2, 3, 4)),
            *[np.ascontiguousarray(make_events(3)[name]) for name in ("x", "y", "p", "t")],
            SENSOR,
            FramesParams(),
            Region(0, 0, 20, 14),
        )
    with pytest.raises(ConfigError, match="region"):
        Region(0, 0, 0, 3)


REAL = ["voxel_grid", "time_surface", "decay", "binary_code"]


def spread_out(events):
    """Give tonic's own dtype: signed polarity, which its bool would lose."""
    kinds = [("x", "<i2"), ("y", "<i2"), ("p", "<i2"), ("t", "<i8")]
    plain = np.empty(len(events), kinds)
    for name in ("x", "y", "p", "t"):
        plain[name] = events[name]
    return plain


@pytest.mark.parametrize("n_steps", [1, 4, 6])
def test_voxel_grid_equals_tonic(n_steps):
    from tonic.transforms import ToVoxelGrid

    events = make_events(500, seed=n_steps, first_us=77)
    expected = ToVoxelGrid(SENSOR.tonic, n_time_bins=n_steps)(spread_out(events))
    found = to_frames(
        events, SENSOR, n_steps=n_steps, kind="voxel_grid", edge="tonic", binary=False
    )
    np.testing.assert_allclose(found[:, 1] - found[:, 0], expected[:, 0], atol=1e-5)


def test_exact_voxel_grid_shares_out_every_event():
    events = make_events(300)
    found = to_frames(events, SENSOR, kind="voxel_grid", binary=False)
    assert found.sum() == pytest.approx(300, rel=1e-5)  # tonic's loses the last instant


def test_time_surface_equals_tonic():
    from tonic.transforms import ToTimesurface

    events = make_events(500, last_us=6001)
    events["t"][0], events["t"][-1] = 0, 6000
    expected = ToTimesurface(SENSOR.tonic, dt=1000, tau=700.0)(spread_out(events))
    found = to_frames(events, SENSOR, kind="time_surface", edge="tonic", binary=False, tau_us=700.0)
    assert len(expected) == 6
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_decay_sums_what_is_left_of_every_event():
    events = make_events(200, last_us=4000)
    events["t"][0], events["t"][-1] = 0, 3999  # so that a step is 1000
    found = to_frames(events, SENSOR, n_steps=4, kind="decay", binary=False, tau_us=900.0)
    expected = np.zeros_like(found, np.float64)
    for x, y, p, t in zip(*(events[name].tolist() for name in "xypt"), strict=True):
        for step in range(t // 1000, 4):
            expected[step, int(p), y, x] += np.exp(-(1000 * (step + 1) - t) / 900)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_binary_code_equals_tonic():
    from tonic.transforms import ToBinaRep

    events = make_events(400)
    ones = to_frames(events, SENSOR, n_steps=3 * 4)
    expected = ToBinaRep(n_frames=3, n_bits=4)(ones)
    found = to_frames(events, SENSOR, n_steps=3, kind="binary_code", binary=False, bits=4)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", REAL)
@pytest.mark.parametrize("resize", ["maxpool", "nearest", "event"])
def test_real_values_are_resized_like_pictures(kind, resize):
    events = make_events(400)
    small = to_frames(events, SENSOR, kind=kind, binary=False, size=7, resize=resize)
    assert small.shape == (6, 2, 7, 7)
    whole = to_frames(events, SENSOR, kind=kind, binary=False)
    if resize == "maxpool":
        pooled = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(whole), 7)
        np.testing.assert_array_equal(small, pooled.numpy())
    elif resize == "nearest":
        rows, columns = np.arange(7) * 14 // 7, np.arange(7) * 20 // 7
        np.testing.assert_array_equal(small, whole[:, :, rows][..., columns])
    elif kind == "voxel_grid":
        assert small.sum() == pytest.approx(400, rel=1e-5)


@pytest.mark.parametrize("kind", REAL)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_real_values_of_next_to_nothing(kind, n):
    events = make_events(n, last_us=2)
    found = to_frames(events, SENSOR, kind=kind, binary=False)
    assert found.shape == (6, 2, 14, 20)
    assert np.isfinite(found).all()
    assert (found.sum() > 0) == (n > 0)


@pytest.mark.parametrize("kind", REAL)
def test_real_values_are_not_ones(kind):
    with pytest.raises(ConfigError, match="binary = false"):
        FramesParams(kind=kind)


@pytest.mark.parametrize("kind", REAL)
def test_real_values_of_an_event_off_the_sensor(kind):
    events = make_events(5)
    columns = (events["x"].copy(), events["y"].copy(), events["p"].copy(), events["t"].copy())
    columns[0][3] = 20
    params = FramesParams(kind=kind, binary=False, size=None)
    frames = np.zeros((6, 2, 14, 20), np.float32)
    with pytest.raises(EventsError, match="event 3"):
        fill_frames(frames, *columns, SENSOR, params, Region(0, 0, 20, 14))
