"""The contract of augmentations: ours keep it, and each way of breaking it is named."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from evfer import transforms
from evfer.testing import check_augmentation


@pytest.mark.parametrize("name", transforms.AUGMENTATIONS)
def test_our_augmentations_keep_the_contract(name):
    check_augmentation(name)


@dataclass(frozen=True)
class Good:
    stage: ClassVar = "events"
    share: float = 0.5

    def __call__(self, events, sensor_size, rng):
        return events[rng.random(len(events)) < self.share]


class ChangesInput(Good):
    def __call__(self, events, sensor_size, rng):
        events["p"] = True
        return events


class OwnChance(Good):
    def __call__(self, events, sensor_size, rng):
        return events[np.random.random(len(events)) < 0.5]  # noqa: NPY002


class LosesOrder(Good):
    def __call__(self, events, sensor_size, rng):
        return rng.permutation(events)


class OtherType(Good):
    def __call__(self, events, sensor_size, rng):
        return events["t"].astype(float)


class LeavesTheSensor(Good):
    def __call__(self, events, sensor_size, rng):
        moved = events.copy()
        moved["x"] += sensor_size.width
        return moved


@dataclass(frozen=True)
class Hides(Good):
    def __post_init__(self):
        object.__setattr__(self, "secret", 3)


@dataclass
class Thaws:
    stage: ClassVar = "frames"

    def __call__(self, frames, rng):
        return frames


@dataclass(frozen=True)
class OtherShape:
    stage: ClassVar = "frames"

    def __call__(self, frames, rng):
        return frames[:1]


@dataclass(frozen=True)
class NoRegion:
    stage: ClassVar = "region"

    def __call__(self, region, rng):
        return (0, 0, 10, 10)


def test_one_of_ones_own():
    assert check_augmentation(f"{__name__}:Good", share=0.25) == Good(0.25)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (ChangesInput, "changes its input"),
        (OwnChance, "a chance of its own"),
        (LosesOrder, "2000 events: "),
        (OtherType, "it gives float64"),
        (LeavesTheSensor, "2000 events: "),
        (Hides, "secret: kept, but no field"),
        (Thaws, "not a frozen dataclass"),
        (OtherShape, r"frames \(1, 2, 30, 40\)"),
        (NoRegion, "it gives tuple"),
    ],
)
def test_each_breach_is_named(kind, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_augmentation(f"{__name__}:{kind.__name__}")
