"""Augmentations from a recipe's tables, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from evfer import config, plugins
from evfer.errors import ConfigError, UnknownNameError
from evfer.transforms.base import Augmentation, Transform
from evfer.transforms.presets import AUGMENTATIONS

__all__ = ["build", "describe"]


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
