"""Augmentations in space: flip, shift, scale, crop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from evfer.errors import ConfigError
from evfer.region import Region
from evfer.transforms.base import DrawnTransform, check_amount, check_share
from evfer.transforms.edits import ClipSummary, FlipX

__all__ = ["RandomFlipLR", "RandomResizedCrop", "RandomScale", "RandomShift"]


@dataclass(frozen=True)
class RandomFlipLR(DrawnTransform):
    """Mirror a clip left to right: x becomes width - 1 - x.

    Args:
        p: probability.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_share("hflip.p", self.p)

    def draw(self, summary: ClipSummary, rng: np.random.Generator) -> FlipX | None:
        """Flip with probability `p`."""
        return FlipX() if rng.random() < self.p else None


@dataclass(frozen=True)
class RandomShift:
    """Move the picture by a whole number of sensor pixels, each axis apart.

    Args:
        pixels: largest shift; every shift from -pixels to pixels is as likely.
    """

    pixels: int = 12
    stage: ClassVar[Literal["region"]] = "region"

    def __post_init__(self) -> None:
        check_amount("shift.pixels", self.pixels)

    def __call__(self, region: Region, rng: np.random.Generator) -> Region:
        """Give the region, moved."""
        right, down = rng.integers(-self.pixels, self.pixels + 1, size=2)
        return Region(region.left - int(right), region.top - int(down), region.width, region.height)


@dataclass(frozen=True)
class RandomScale:
    """Make the picture larger or smaller about its centre.

    Args:
        amount: the factor is uniform from 1 - amount to 1 + amount.
    """

    amount: float = 0.1
    stage: ClassVar[Literal["region"]] = "region"

    def __post_init__(self) -> None:
        check_amount("scale.amount", self.amount, below=1)

    def __call__(self, region: Region, rng: np.random.Generator) -> Region:
        """Give the region, larger where the picture gets smaller."""
        factor = rng.uniform(1 - self.amount, 1 + self.amount)
        width = max(1, round(region.width / factor))
        height = max(1, round(region.height / factor))
        left = region.left + (region.width - width) // 2
        top = region.top + (region.height - height) // 2
        return Region(left, top, width, height)


@dataclass(frozen=True)
class RandomResizedCrop:
    """Let a random rectangle of the picture fill the frame.

    Args:
        p: probability.
        area: smallest and largest share of the picture's area.
        aspect: smallest and largest ratio of width to height, drawn log-uniformly.
        isotropic: keep the picture's own ratio instead.

    Source:
        Barchid et al., Spiking-FER, CBMI 2023, section 3.3, and its published code (always,
        0.08 to 1, 3/4 to 4/3, at most ten tries, then the largest rectangle that fits);
        deviates: the frame's cells read the rectangle by `frames.resize`, the code by nearest.
    """

    p: float = 1.0
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    isotropic: bool = False
    stage: ClassVar[Literal["region"]] = "region"

    def __post_init__(self) -> None:
        check_share("crop.p", self.p)
        check_share("crop.area", *self.area)
        for name, (low, high) in (("area", self.area), ("aspect", self.aspect)):
            if not 0 < low <= high:
                raise ConfigError(
                    f"crop.{name} = [{low}, {high}]", expected="two rising positive numbers"
                )

    def __call__(self, region: Region, rng: np.random.Generator) -> Region:
        """Give a rectangle inside the region."""
        if rng.random() >= self.p:
            return region
        for _ in range(10):
            area = region.width * region.height * rng.uniform(*self.area)
            ratio = region.width / region.height
            if not self.isotropic:
                low, high = self.aspect
                ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= region.width and 0 < height <= region.height:
                left = int(rng.integers(0, region.width - width + 1))
                top = int(rng.integers(0, region.height - height + 1))
                return Region(region.left + left, region.top + top, width, height)
        ratio = min(max(region.width / region.height, self.aspect[0]), self.aspect[1])
        width = min(region.width, max(1, round(region.height * ratio)))
        height = min(region.height, max(1, round(region.width / ratio)))
        left, top = (region.width - width) // 2, (region.height - height) // 2
        return Region(region.left + left, region.top + top, width, height)
