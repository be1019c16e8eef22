"""Augmentations for training: named, frozen, and with no chance but the generator they are given.

A recipe lists them in order, each a table with its name and settings:

    [[augment]]
    name = "noise"
    severity = 0.1
"""

from __future__ import annotations

from evfer.transforms.base import Augmentation, sample_rng
from evfer.transforms.drop import DropEvent, DropEventByArea, DropEventByTime, EventDrop
from evfer.transforms.mirror import RandomMirror, RandomMirrorEvents
from evfer.transforms.noise import UniformNoise
from evfer.transforms.presets import (
    AUGMENTATIONS,
    COMMON,
    PRESETS,
    READINGS,
    common,
    common_subsets,
    parse_names,
)
from evfer.transforms.space import RandomFlipLR, RandomResizedCrop, RandomScale, RandomShift
from evfer.transforms.tables import build, describe
from evfer.transforms.time import RandomFlipPolarity, RandomTimeReversal

__all__ = [
    "AUGMENTATIONS",
    "COMMON",
    "PRESETS",
    "READINGS",
    "Augmentation",
    "DropEvent",
    "DropEventByArea",
    "DropEventByTime",
    "EventDrop",
    "RandomFlipLR",
    "RandomFlipPolarity",
    "RandomMirror",
    "RandomMirrorEvents",
    "RandomResizedCrop",
    "RandomScale",
    "RandomShift",
    "RandomTimeReversal",
    "UniformNoise",
    "build",
    "common",
    "common_subsets",
    "describe",
    "parse_names",
    "sample_rng",
]
