"""Augmentations: what each does, and what none may do."""

import dataclasses

import numpy as np
import pytest
from exploring import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from evfer import transforms
from evfer.config import build as build_config
from evfer.errors import ConfigError, UnknownNameError
from evfer.events import EVENT_DTYPE, SensorSize, validate
from evfer.frames import to_frames
from evfer.region import Region
from evfer.transforms.base import Augmentation, sample_rng

SENSOR = SensorSize(30, 20)


def make_events(n, seed=0, first_us=0, last_us=10_000):
    rng = np.random.default_rng(seed)
    events = np.empty(n, EVENT_DTYPE)
    events["x"] = rng.integers(0, SENSOR.width, n)
    events["y"] = rng.integers(0, SENSOR.height, n)
    events["p"] = rng.random(n) < 0.3
    events["t"] = np.sort(rng.integers(first_us, last_us, n))
    events.setflags(write=False)
    return events


def rng(seed=0):
    return np.random.default_rng(seed)


def of_stage(stage):
    return [name for name, kind in transforms.AUGMENTATIONS.items() if kind.stage == stage]


def always(name):
    """Build an augmentation that acts on every clip."""
    fields = {field.name for field in dataclasses.fields(transforms.AUGMENTATIONS[name])}
    settings_ = {"p": 1.0} if "p" in fields and name != "polflip" else {}
    return transforms.build([{"name": name, **settings_}]).steps[0]


@given(
    st.sampled_from(of_stage("events")),
    st.integers(0, 50),
    st.integers(0, 10_000),
    st.sampled_from([1, 2, 500, 10_000]),
)
@settings(max_examples=examples(300))
def test_events_stay_events(name, n, seed, last_us):
    """Bounds, order, dtype, the input untouched, and the same for the same seed."""
    events = make_events(n, seed, last_us=last_us)
    before = events.copy()
    step = always(name)
    found = step(events, SENSOR, rng(seed))
    validate(found, SENSOR)
    again = step(events, SENSOR, rng(seed))
    assert found.tobytes() == again.tobytes()
    assert events.tobytes() == before.tobytes()
    if n:
        assert found["t"].max(initial=0) <= before["t"][-1]


@pytest.mark.parametrize("name", list(transforms.AUGMENTATIONS))
def test_every_augmentation_does_something(name):
    step = always(name)
    events = make_events(400)
    frames = to_frames(events, SENSOR)
    changed = 0
    for seed in range(12):
        if step.stage == "events":
            changed += step(events, SENSOR, rng(seed)).tobytes() != events.tobytes()
        elif step.stage == "region":
            changed += step(Region(0, 0, 30, 20), rng(seed)) != Region(0, 0, 30, 20)
        else:
            changed += step(frames, rng(seed)).tobytes() != frames.tobytes()
    assert changed >= 6


@pytest.mark.parametrize("name", ["hflip", "noise", "reverse", "mirror", "mirror_events", "crop"])
def test_probability_is_kept(name):
    step = transforms.build([{"name": name, "p": 0.3}]).steps[0]
    events = make_events(50)
    start = {
        "events": (events, SENSOR),
        "region": (Region(0, 0, 30, 20),),
        "frames": (to_frames(events, SENSOR, n_steps=1),),
    }[step.stage]
    generator = rng(1)
    untouched = sum(step(*start, generator) is start[0] for _ in range(2000)) / 2000
    assert untouched == pytest.approx(0.7, abs=0.04)


def test_flipping_twice_gives_the_clip_back():
    events = make_events(100)
    flip = transforms.RandomFlipLR(p=1)
    once = flip(events, SENSOR, rng())
    np.testing.assert_array_equal(once["x"], 29 - events["x"])
    assert flip(once, SENSOR, rng()).tobytes() == events.tobytes()


def test_noise_adds_a_share_everywhere_after_what_was_there():
    events = make_events(4000, first_us=3000)
    found = transforms.UniformNoise(p=1, severity=0.2)(events, SENSOR, rng())
    assert len(found) == 4800
    assert found["t"][0] >= 3000
    # every old event is still there, in order: remove the multiset of new ones
    keys, counts = np.unique(found, return_counts=True)
    old_keys, old_counts = np.unique(events, return_counts=True)
    left = dict(zip(keys.tolist(), counts.tolist(), strict=True))
    for key, count in zip(old_keys.tolist(), old_counts.tolist(), strict=True):
        left[key] -= count
    assert min(left.values()) == 0
    new = np.array([key for key, n in left.items() for _ in range(n)], EVENT_DTYPE)
    assert len(new) == 800
    assert new["p"].mean() == pytest.approx(0.5, abs=0.07)  # events have 0.3
    assert np.bincount(new["x"], minlength=30).min() > 8
    assert np.bincount(new["y"], minlength=20).min() > 15
    assert new["t"].max() < events["t"][-1]
    assert new["t"].mean() == pytest.approx(6500, abs=300)


def test_noise_comes_last_within_an_instant():
    events = make_events(10, last_us=1)
    found = transforms.UniformNoise(p=1, severity=0.5)(events, SENSOR, rng())
    assert found[:10].tobytes() == events.tobytes()
    assert len(found) == 15


def test_reversal_turns_time_order_and_polarity():
    events = make_events(50, first_us=200)
    found = transforms.RandomTimeReversal(p=1)(events, SENSOR, rng())
    np.testing.assert_array_equal(found["t"], (events["t"][-1] - events["t"])[::-1])
    np.testing.assert_array_equal(found["p"], ~events["p"][::-1])
    np.testing.assert_array_equal(found["x"], events["x"][::-1])
    plain = transforms.RandomTimeReversal(p=1, invert_polarity=False)(events, SENSOR, rng())
    np.testing.assert_array_equal(plain["p"], events["p"][::-1])


def test_polarity_flips_by_event_or_by_clip():
    events = make_events(5000)
    by_event = transforms.RandomFlipPolarity(p=0.2)(events, SENSOR, rng())
    assert (by_event["p"] != events["p"]).mean() == pytest.approx(0.2, abs=0.02)
    by_clip = transforms.RandomFlipPolarity(p=0.5, scope="clip")
    shares = {float((by_clip(events, SENSOR, rng(i))["p"] != events["p"]).mean()) for i in range(9)}
    assert shares == {0.0, 1.0}


def test_drop_by_time_leaves_a_closed_gap_from_zero_on():
    events = make_events(2000, last_us=1000)
    lengths = set()
    for seed in range(60):
        found = transforms.DropEventByTime()(events, SENSOR, rng(seed))
        # what is missing is one run of events
        gone = ~np.isin(events["t"], found["t"])
        gone_at = np.flatnonzero(gone)
        assert len(gone_at) == len(events) - len(found)
        assert (np.diff(gone_at) == 1).all()
        lengths.add(round((events["t"][gone_at[-1]] - events["t"][gone_at[0]]) / 999, 1))
    assert lengths == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}


def test_drop_by_time_of_a_late_clip():
    late = make_events(2000, first_us=1_000_000, last_us=1_010_000)
    zero, first = (
        np.mean(
            [
                len(transforms.DropEventByTime((0.3,), origin)(late, SENSOR, rng(seed)))
                for seed in range(80)
            ]
        )
        for origin in ("zero", "first")
    )
    assert zero > 1900  # the span hardly ever meets the clip
    assert first == pytest.approx(1400, abs=60)


def test_drop_by_area_leaves_a_rectangle_of_the_ratio_of_each_side():
    every = np.zeros(600, EVENT_DTYPE)
    every["x"], every["y"] = np.arange(600) % 30, np.arange(600) // 30
    sizes = set()
    for seed in range(60):
        found = transforms.DropEventByArea()(every, SENSOR, rng(seed))
        gone = every[~np.isin(every[["x", "y"]], found[["x", "y"]])]
        width, height = (int(np.ptp(gone[n])) + 1 if len(gone) else 0 for n in ("x", "y"))
        assert len(gone) == width * height
        sizes.add((width, height))
    assert sizes == {(1, 1), (3, 2), (4, 3), (6, 4), (7, 5)}


def test_random_drop_leaves_out_the_exact_number():
    events = make_events(105)
    numbers = {len(transforms.DropEvent()(events, SENSOR, rng(seed))) for seed in range(80)}
    assert numbers == {105 - int(r / 10 * 105 + 0.5) for r in range(1, 10)}
    assert len(transforms.DropEvent((1.0,))(events, SENSOR, rng())) == 0
    shares = sum(
        np.isin(np.arange(105), transforms.DropEvent((0.4,))(numbered(105), SENSOR, rng(s))["t"])
        for s in range(300)
    )
    assert shares.min() > 130  # every event stays about 180 times of 300
    assert shares.max() < 230


def numbered(n):
    events = make_events(n).copy()
    events["t"] = np.arange(n)
    return events


def test_eventdrop_takes_each_way_a_quarter_of_the_time():
    events = make_events(1000)
    step = transforms.EventDrop(time_ratios=(1.0,), area_ratios=(0.0,), random_ratios=(0.5,))
    lengths = [len(step(events, SENSOR, rng(seed))) for seed in range(800)]
    assert lengths.count(0) == pytest.approx(200, abs=45)  # by time, all of it
    assert lengths.count(500) == pytest.approx(200, abs=45)  # at random
    assert lengths.count(1000) == pytest.approx(400, abs=60)  # identity, or an empty area


@given(st.integers(0, 5000))
@settings(max_examples=examples(100))
def test_crops_lie_inside(seed):
    region = Region(5, -3, 40, 30)
    found = transforms.RandomResizedCrop()(region, rng(seed))
    assert found.left >= 5
    assert found.left + found.width <= 45
    assert found.top >= -3
    assert found.top + found.height <= 27
    assert 0.06 < found.width * found.height / 1200 <= 1
    assert 0.6 < found.width / found.height < 1.6
    same_ratio = transforms.RandomResizedCrop(isotropic=True)(region, rng(seed))
    assert same_ratio.width / same_ratio.height == pytest.approx(4 / 3, rel=0.15)


def test_a_crop_fits_a_region_that_no_draw_fits():
    found = transforms.RandomResizedCrop(area=(1, 1), aspect=(1, 1))(Region(0, 0, 10, 40), rng())
    assert found == Region(0, 15, 10, 10)


def test_shift_moves_the_picture_and_loses_what_leaves():
    shift = transforms.RandomShift(pixels=4)
    events = make_events(300)
    frames = to_frames(events, SENSOR, n_steps=1)
    seen = set()
    for seed in range(200):
        region = shift(Region(0, 0, 30, 20), rng(seed))
        seen.add((region.left, region.top))
    assert len(seen) > 70
    assert max(abs(left) for left, _ in seen) == 4
    moved = to_frames(events, SENSOR, n_steps=1, region=Region(-3, 2, 30, 20))
    np.testing.assert_array_equal(moved[..., :18, 3:], frames[..., 2:, :27])
    assert not moved[..., :3].any()
    assert not moved[..., 18:, :].any()


def test_scale_keeps_the_centre():
    scale = transforms.RandomScale(amount=0.2)
    widths = []
    for seed in range(100):
        region = scale(Region(0, 0, 200, 200), rng(seed))
        assert abs(region.left + region.width / 2 - 100) <= 0.5
        assert region.width == region.height
        widths.append(region.width)
    assert 166 <= min(widths) < 172
    assert 240 < max(widths) <= 250


@pytest.mark.parametrize("width", [8, 9, 1])
def test_mirrored_frames_are_symmetric_and_keep_one_half(width):
    frames = np.random.default_rng(0).random((3, 2, 4, width), np.float32)
    sides = set()
    for seed in range(20):
        found = transforms.RandomMirror(p=1)(frames, rng(seed))
        np.testing.assert_array_equal(found, found[..., ::-1])
        half = width // 2
        left = np.array_equal(found[..., : width - half], frames[..., : width - half])
        right = np.array_equal(found[..., half:], frames[..., half:])
        assert left or right
        sides.add(left)
    assert width == 1 or sides == {True, False}


@pytest.mark.parametrize("midline", [None, 10, 12.5])
def test_mirrored_events_are_symmetric_frames(midline):
    events = make_events(200)
    step = transforms.RandomMirrorEvents(p=1, midline=midline)
    found = step(events, SENSOR, rng(3))
    frames = to_frames(found, SENSOR, binary=False)
    twice = 29 if midline is None else round(2 * midline)  # column x mirrors to twice - x
    part = frames[..., max(0, twice - 29) : min(twice, 29) + 1]
    np.testing.assert_array_equal(part, part[..., ::-1])
    assert part.any()


def test_the_generator_depends_on_each_part_and_nothing_else():
    draws = {
        args: sample_rng(*args).integers(2**62)
        for args in [
            (0, 0, "S001/001", 0),
            (1, 0, "S001/001", 0),
            (0, 1, "S001/001", 0),
            (0, 0, "S001/002", 0),
            (0, 0, "S001/001", 1),
        ]
    }
    assert len(set(draws.values())) == 5
    assert sample_rng(0, 0, "S001/001", 0).integers(2**62) == draws[0, 0, "S001/001", 0]
    with pytest.raises(ConfigError, match="seed -1"):
        sample_rng(-1, 0, "a", 0)


def test_one_stage_after_another():
    events = make_events(300)
    augmentation = transforms.build(transforms.parse_names("code_default"))
    assert [type(step).__name__ for step in augmentation.steps] == [
        "RandomFlipLR",
        "UniformNoise",
        "RandomTimeReversal",
        "EventDrop",
        "RandomResizedCrop",
        "RandomMirror",
    ]
    generator = rng(4)
    changed = augmentation.on_events(events, SENSOR, generator)
    validate(changed, SENSOR)
    region = augmentation.on_region(SENSOR, generator)
    assert region != Region(0, 0, 30, 20)
    frames = to_frames(changed, SENSOR, size=8, region=region)
    assert augmentation.on_frames(frames, generator).shape == frames.shape


def test_no_augmentation_is_one_too():
    events = make_events(5)
    nothing = transforms.build(transforms.parse_names("none"))
    assert nothing == Augmentation()
    assert nothing.on_events(events, SENSOR, rng()) is events
    assert nothing.on_region(SENSOR, rng()) == Region(0, 0, 30, 20)
    assert transforms.parse_names("") == ()


def test_impossible_orders_are_refused():
    with pytest.raises(ConfigError, match="acts on events but stands after one that acts on reg"):
        transforms.build([{"name": "crop"}, {"name": "hflip"}])


def test_names_and_settings_come_from_the_recipe():
    found = transforms.build(
        [{"name": "noise", "severity": 0.03}, {"name": "eventdrop", "time_ratios": [0.1, 0.2]}]
    )
    assert found.steps[0] == transforms.UniformNoise(severity=0.03)
    assert found.steps[1] == transforms.EventDrop(time_ratios=(0.1, 0.2))
    assert transforms.build(transforms.describe(found)) == found
    with pytest.raises(UnknownNameError, match='Did you mean "eventdrop"'):
        transforms.build([{"name": "eventdrp"}])
    with pytest.raises(UnknownNameError, match=r'Did you mean "augment\.noise\.severity"'):
        transforms.build([{"name": "noise", "severty": 0.1}])
    with pytest.raises(ConfigError, match="without a name"):
        transforms.build([{"severity": 0.1}])
    with pytest.raises(UnknownNameError, match="noise"):
        transforms.parse_names("hflip,nois")


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({"name": "hflip", "p": 1.5}, r"hflip\.p = 1\.5"),
        ({"name": "noise", "severity": -0.1}, r"noise\.severity = -0\.1"),
        ({"name": "scale", "amount": 1.0}, r"scale\.amount = 1\.0"),
        ({"name": "shift", "pixels": -1}, r"shift\.pixels = -1"),
        ({"name": "crop", "area": [0.5, 0.1]}, r"crop\.area"),
        ({"name": "crop", "aspect": [0.0, 1.0]}, r"crop\.aspect"),
        ({"name": "eventdrop", "time_ratios": []}, r"eventdrop\.time_ratios is empty"),
        ({"name": "drop_area", "ratios": [1.1]}, r"drop_area\.ratios = 1\.1"),
        ({"name": "polflip", "scope": "frame"}, r"augment\.polflip\.scope"),
        ({"name": "evfer.config:build"}, "is a function"),
    ],
)
def test_settings_that_cannot_be_used_are_named(table, found):
    with pytest.raises(ConfigError, match=found):
        transforms.build([table])


def test_an_outsiders_augmentation_goes_by_module_and_class():
    name = "evfer.transforms.space:RandomFlipLR"
    assert transforms.build([{"name": name}]).steps == (transforms.RandomFlipLR(),)


def test_every_class_is_frozen_and_buildable_from_nothing():
    for kind in transforms.AUGMENTATIONS.values():
        step = build_config(kind, {})
        field = dataclasses.fields(step)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(step, field, 1)


def test_every_subset_of_the_common_five_has_a_name():
    names = transforms.common_subsets()
    assert len(set(names)) == 32
    assert names[0] == "common()"
    assert names[-1] == "common(hflip+noise+reverse+polflip+crop)"
    found = [tuple(t["name"] for t in transforms.parse_names(name)) for name in names]
    assert len(set(found)) == 32
    for names_of, tables in zip(names, found, strict=True):
        inside = names_of.removeprefix("common(").removesuffix(")")
        assert set(tables) == {part for part in inside.split("+") if part}
    assert transforms.parse_names("common()") == transforms.parse_names("none") == ()
    assert transforms.parse_names("common(crop+hflip)") == transforms.parse_names("hflip+crop")
    assert transforms.common(["crop", "noise"]) == "common(noise+crop)"
    with pytest.raises(UnknownNameError, match="common augmentation"):
        transforms.parse_names("common(hflip+mirror)")
    with pytest.raises(UnknownNameError, match="common augmentation"):
        transforms.common(["mirror"])
    with pytest.raises(UnknownNameError, match="reading"):
        transforms.common([], reading="text")


def test_both_readings_have_a_name():
    build, parse = transforms.build, transforms.parse_names
    of = {name: build(parse(name)).steps[0] for name in transforms.READINGS}
    for name in ("reverse", "polflip", "crop", "mirror"):
        (plain,) = transforms.build(transforms.parse_names(name)).steps
        assert of[f"{name}_code"] == plain
    assert of["reverse_paper"] == transforms.RandomTimeReversal(0.2, invert_polarity=False)
    assert of["polflip_paper"] == transforms.RandomFlipPolarity(0.5, "clip")
    assert of["crop_isotropic"] == transforms.RandomResizedCrop(isotropic=True)
    assert of["mirror_paper"] == transforms.RandomMirrorEvents()
    paper = transforms.build(transforms.parse_names("common_paper(polflip+reverse+hflip)")).steps
    assert paper == (
        transforms.RandomFlipLR(),
        transforms.RandomTimeReversal(invert_polarity=False),
        transforms.RandomFlipPolarity(0.5, "clip"),
    )
    assert len(set(transforms.common_subsets("paper"))) == 32


def test_settings_stand_in_parentheses():
    found = transforms.build(
        transforms.parse_names("crop(area=[0.5,1],isotropic=true) + noise(severity=0.03, p=1)")
    )
    assert found.steps == (
        transforms.UniformNoise(1.0, 0.03),
        transforms.RandomResizedCrop(area=(0.5, 1.0), isotropic=True),
    )
    assert transforms.parse_names("hflip()") == ({"name": "hflip"},)
    for name, presets in transforms.PRESETS.items():
        assert {t["name"] for t in transforms.parse_names(name)} == set(presets)
    for wrong in ("noise(severity=0.1", "noise)", "noise((p=1))", "noise(p=1)x"):
        with pytest.raises(ConfigError):
            transforms.parse_names(wrong)
    with pytest.raises(ConfigError, match="twice"):
        transforms.parse_names("noise(p=1)+noise")
    with pytest.raises(ConfigError, match="as a setting"):
        transforms.parse_names("noise(name=1)")


@given(
    st.lists(st.sampled_from(of_stage("events")), max_size=6),
    st.integers(0, 60),
    st.integers(0, 10_000),
    st.sampled_from([1, 2, 500, 10_000]),
)
@settings(max_examples=examples(300))
def test_edits_done_together_are_edits_done_one_by_one(names, n, seed, last_us):
    events = make_events(n, seed, last_us=last_us)
    steps = tuple(always(name) for name in names)
    together = Augmentation(steps).on_events(events, SENSOR, rng(seed))
    one_by_one, generator = events, rng(seed)
    for step in steps:
        one_by_one = step(one_by_one, SENSOR, generator)
    assert together.tobytes() == one_by_one.tobytes()
