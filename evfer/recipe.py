"""Bench recipes: everything that shapes a result row, as data.

A recipe is a TOML file with `name`, `about`, `citations`, `[frames]`, `[[augment]]` in order,
`[model]` (options of the network), `[train]` and `[select]`. Two kinds of tables lay other
settings over these:

    [models.<name>.train]       for one network
    [protocols.<name>.train]    for one protocol, such as paper or code
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evfer import config, transforms
from evfer.errors import ConfigError
from evfer.frames import FramesParams

__all__ = [
    "BenchConfig",
    "SelectParams",
    "TrainParams",
    "default_recipe",
    "has_protocol",
    "load_config",
]

_BASELINES = ("majority", "logistic")

BENCH_VERSION = 1
"""Raised whenever the same recipe starts to give other results, so that old rows do not count."""


@dataclass(frozen=True)
class TrainParams:
    """How a network is trained.

    Args:
        epochs: passes over the training clips.
        batch_size: clips a batch.
        optimizer: "sgd" or "adamw".
        lr: highest learning rate.
        momentum: for "sgd".
        weight_decay: pull of the weights towards zero.
        decay_norm: whether that pull acts on normalisation and biases too.
        schedule: "cosine" falls to 0 in steps of an epoch, "cosine_steps" in steps of a batch
            after `warmup`; "constant" stays.
        warmup: share of all batches over which the rate rises from 0, for "cosine_steps".
        label_smoothing: share of the target spread over all classes.
        precision: "no" computes in float32, "bf16" in bfloat16 where that is safe.
        clip_norm: longest gradient; None leaves gradients alone.
        channels_last: keep a pixel's channels together in memory; faster on most machines.
    """

    epochs: int = 500
    batch_size: int = 32
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.005
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay_norm: bool = True
    schedule: Literal["cosine", "cosine_steps", "constant"] = "cosine"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    precision: Literal["no", "bf16"] = "no"
    clip_norm: float | None = None
    channels_last: bool = True

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, "1 or more"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "lr": (self.lr > 0, "more than 0"),
            "momentum": (0 <= self.momentum < 1, "0 or more, and less than 1"),
            "weight_decay": (self.weight_decay >= 0, "0 or more"),
            "warmup": (0 <= self.warmup < 1, "0 or more, and less than 1"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "0 or more, and less than 1"),
            "clip_norm": (self.clip_norm is None or self.clip_norm > 0, "more than 0"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise ConfigError(f"train.{name} = {getattr(self, name)}", expected=expected)


@dataclass(frozen=True)
class SelectParams:
    """Which epoch's weights are tested.

    Args:
        on: "last" takes the last epoch; "inner_validation" the best one for people held out of
            training; "best_test_epoch" the best one for the test clips themselves, as the
            published results do: optimistic, and labelled so.
        share: share of the training subjects held out for "inner_validation".
    """

    on: Literal["last", "inner_validation", "best_test_epoch"] = "inner_validation"
    share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(
                f"select.share = {self.share}", expected="more than 0 and less than 1"
            )


@dataclass(frozen=True)
class BenchConfig:
    """A bench recipe, for one network and protocol.

    Args:
        name: the recipe's name.
        about: what it is for.
        citations: whose settings these are.
        frames: how events become frames.
        augment: augmentations of the training clips, in order; see `evfer.transforms`.
        model: options of the network.
        train: how it is trained.
        select: which epoch is tested.
    """

    name: str = "bench"
    about: str = ""
    citations: tuple[str, ...] = ()
    frames: FramesParams = field(default_factory=FramesParams)
    augment: tuple[dict[str, Any], ...] = ()
    model: dict[str, Any] = field(default_factory=dict)
    train: TrainParams = field(default_factory=TrainParams)
    select: SelectParams = field(default_factory=SelectParams)

    def __post_init__(self) -> None:
        self.augmentation()  # so that a name or value that is wrong shows now

    def augmentation(self) -> transforms.Augmentation:
        """Build the augmentations."""
        return transforms.build(self.augment)

    @property
    def shaping(self) -> dict[str, Any]:
        """Every setting that shapes a result, defaults included, as plain data."""
        settings = config.to_dict(self)
        return {
            "bench": BENCH_VERSION,
            **{name: settings[name] for name in ("frames", "model", "train", "select")},
            "augment": list(transforms.describe(self.augmentation())),
        }

    @functools.cached_property  # a study asks thousands of times
    def sha256(self) -> str:
        """Digest of every setting that shapes a result; a recipe's name is none."""
        return config.digest(self.shaping)


def default_recipe(model: str) -> str:
    """Name the recipe that a network is measured with unless told otherwise."""
    if model in _BASELINES:
        return "baselines"
    # resnet18's sets no option of the network, so any network can take it
    return model if model in config.list_shipped("pipelines") else "resnet18"


def has_protocol(recipe: str, protocol: str) -> bool:
    """Say whether a recipe states what a protocol changes."""
    values = config.read_toml(config.find_shipped("pipelines", recipe))
    return protocol in values.get("protocols", {})


def load_config(
    recipe: str,
    model: str,
    protocol: str = "strict",
    overrides: Mapping[str, Any] | None = None,
    augment: Sequence[Mapping[str, Any]] | None = None,
) -> BenchConfig:
    """Read a bench recipe for one network and protocol.

    Args:
        recipe: a path, or the name of a shipped recipe.
        model: the network, whose `[models.<name>]` tables count.
        protocol: the protocol, whose `[protocols.<name>]` tables count.
        overrides: settings that count above all, as `--set` gives them.
        augment: augmentations in place of the recipe's.

    Raises:
        ConfigError: for an unknown recipe, key or name, or a value that cannot be used.
    """
    values = config.read_toml(config.find_shipped("pipelines", recipe))
    for section, name in (("models", model), ("protocols", protocol)):
        tables = values.pop(section, {})
        table = tables.get(name, {}) if isinstance(tables, Mapping) else tables
        if not isinstance(table, Mapping):
            raise ConfigError(
                f'{recipe}: "{section}" holds a value', expected=f"tables [{section}.<name>.train]"
            )
        values = config.merge(values, table)
    values = config.merge(values, overrides or {})
    if augment is not None:
        values["augment"] = [dict(table) for table in augment]
    if "train" not in values:
        raise ConfigError(
            f'the recipe "{recipe}" has no [train]',
            expected="a recipe for evfer bench",
            hint="Recipes for evfer convert shape events, not networks; evfer list names both",
        )
    return config.build(BenchConfig, values)
