"""Augmentations for training: named, frozen, and with no chance but the generator they are given.

A recipe lists them in order, each a table with its name and settings:

    [[augment]]
    name = "noise"
    severity = 0.1
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from evfer import config, plugins
from evfer.errors import ConfigError, UnknownNameError
from evfer.transforms.base import Augmentation, Transform, sample_rng
from evfer.transforms.drop import DropEvent, DropEventByArea, DropEventByTime, EventDrop
from evfer.transforms.mirror import RandomMirror, RandomMirrorEvents
from evfer.transforms.noise import UniformNoise
from evfer.transforms.space import RandomFlipLR, RandomResizedCrop, RandomScale, RandomShift
from evfer.transforms.time import RandomFlipPolarity, RandomTimeReversal

__all__ = [
    "AUGMENTATIONS",
    "COMMON",
    "PRESETS",
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
    "describe",
    "parse_names",
    "sample_rng",
]

AUGMENTATIONS: dict[str, type[Any]] = {
    "hflip": RandomFlipLR,
    "noise": UniformNoise,
    "reverse": RandomTimeReversal,
    "polflip": RandomFlipPolarity,
    "eventdrop": EventDrop,
    "drop_events": DropEvent,
    "drop_time": DropEventByTime,
    "drop_area": DropEventByArea,
    "mirror_events": RandomMirrorEvents,
    "shift": RandomShift,
    "scale": RandomScale,
    "crop": RandomResizedCrop,
    "mirror": RandomMirror,
}
"""Names of the augmentations, in the order in which a preset or `--eda` applies them."""

COMMON = ("hflip", "noise", "reverse", "polflip", "crop")
"""The five common augmentations whose 32 subsets the Spiking-FER study compares."""

PRESETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "best_common": ("hflip", "noise", "crop"),
    "fig6_A": ("hflip", "noise", "crop"),
    "fig6_B": ("hflip", "noise", "crop", "eventdrop"),
    "fig6_C": ("hflip", "noise", "crop", "eventdrop", "mirror"),
    "code_default": ("hflip", "noise", "crop", "reverse", "mirror", "eventdrop"),
}
"""Named sets of augmentations, each with its default settings."""


def build(tables: Iterable[Mapping[str, Any]]) -> Augmentation:
    """Build augmentations from a recipe's `[[augment]]` tables.

    Args:
        tables: each with `name` (one of `AUGMENTATIONS`, or `module:class`) and the settings that
            differ from the class's defaults. None at all is fine.

    Raises:
        UnknownNameError: for a name or setting that does not exist; it names the nearest.
        ConfigError: for a value that cannot be used, or an impossible order.
    """
    return Augmentation(tuple(_build_one(table) for table in tables))


def _build_one(table: Mapping[str, Any]) -> Transform:
    settings = dict(table)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(
            "an augmentation without a name", expected='a line name = "..." in each [[augment]]'
        )
    if name not in AUGMENTATIONS and ":" not in name:
        raise UnknownNameError("augmentation", name, AUGMENTATIONS)
    kind = AUGMENTATIONS[name] if name in AUGMENTATIONS else plugins.load("evfer.transforms", name)
    if not dataclasses.is_dataclass(kind) or not hasattr(kind, "stage"):
        raise ConfigError(
            f'the augmentation "{name}" is a {type(kind).__name__}',
            expected="a frozen dataclass with a stage, as evfer.transforms.base describes",
        )
    return config.build(kind, settings, f"augment.{name}")  # type: ignore[return-value]


def describe(augmentation: Augmentation) -> tuple[dict[str, Any], ...]:
    """Give an augmentation as tables for a recipe, with every setting, defaults included."""
    names = {kind: name for name, kind in AUGMENTATIONS.items()}
    tables = []
    for step in augmentation.steps:
        kind = type(step)
        name = names.get(kind, f"{kind.__module__}:{kind.__qualname__}")
        tables.append({"name": name, **config.to_dict(step)})
    return tuple(tables)


def parse_names(text: str) -> tuple[dict[str, Any], ...]:
    """Read names of augmentations, as `--eda` takes them.

    Args:
        text: a preset's name, or names with commas or plus signs between them, in any order;
            nothing at all, or "none", means no augmentation.

    Returns:
        One table each, with default settings, in the order in which they act.

    Raises:
        UnknownNameError: for a name that does not exist.

    Example:
        >>> parse_names("crop,hflip")
        ({'name': 'hflip'}, {'name': 'crop'})
    """
    wanted = PRESETS.get(text.strip())
    if wanted is None:
        wanted = tuple(name.strip() for name in text.replace("+", ",").split(",") if name.strip())
    for name in wanted:
        if name not in AUGMENTATIONS:
            raise UnknownNameError("augmentation", name, [*AUGMENTATIONS, *PRESETS])
    return tuple({"name": name} for name in AUGMENTATIONS if name in wanted)
