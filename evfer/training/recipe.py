"""Bench recipes: everything that shapes a result row, as data.

A recipe is a TOML file with `name`, `about`, `citations`, `tuned_on`, `[frames]`, `[[augment]]` in
order, `[model]` (options of the network), `[train]`, `[select]` and `[split]`. Two kinds of tables
lay other settings over these:

    [models.<name>.train]       for one network
    [protocols.<name>.train]    for one protocol, such as paper or code
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evfer import config, plugins, transforms
from evfer.errors import ConfigError
from evfer.events import SensorSize
from evfer.frames import FramesParams

__all__ = [
    "BenchConfig",
    "SelectParams",
    "SplitParams",
    "TrainParams",
    "default_recipe",
    "has_protocol",
    "load_config",
    "shipped_framings",
]

_BASELINES = ("majority", "logistic")

BENCH_VERSION = 3
"""Raised whenever the same recipe starts to give other results, so that old rows do not count."""

_LATER = {
    "train": ("patience", "compile", "last_batch", "mixup", "loss"),
    "select": ("optimistic",),
}
"""Settings that came later: they count where they are not as if they had not come, so that older
rows stay good."""


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
        last_batch: "merge" lets a last batch of one clip join the one before, since batch
            normalisation learns little from one; "keep" leaves it alone.
        schedule: "cosine" falls to 0 in steps of an epoch, "cosine_steps" in steps of a batch
            after `warmup`; "constant" stays.
        warmup: share of all batches over which the rate rises from 0, for "cosine_steps".
        loss: what is made small: "cross_entropy", or one's own as `module:function`; see
            `evfer.training.losses.load_loss`.
        label_smoothing: share of the target spread over all classes.
        mixup: alpha of mixup: clips are blended in pairs, by a share from Beta(alpha, alpha), and
            the network answers for both; 0 blends none.
        precision: "no" computes in float32, "bf16" in bfloat16 where that is safe.
        clip_norm: longest gradient; None leaves gradients alone.
        channels_last: keep a pixel's channels together in memory; faster on most machines.
        patience: epochs without a better one, for the people held out, after which training
            ends; None goes on to the last.
        compile: let torch.compile rewrite the network, which needs a C++ compiler.
    """

    epochs: int = 500
    batch_size: int = 32
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.005
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay_norm: bool = True
    last_batch: Literal["merge", "keep"] = "merge"
    schedule: Literal["cosine", "cosine_steps", "constant"] = "cosine"
    warmup: float = 0.0
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    precision: Literal["no", "bf16"] = "no"
    clip_norm: float | None = None
    channels_last: bool = True
    patience: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        config.check_types(self, "train")
        rules = {
            "epochs": (self.epochs >= 1, "1 or more"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "lr": (self.lr > 0, "more than 0"),
            "momentum": (0 <= self.momentum < 1, "0 or more, and less than 1"),
            "weight_decay": (self.weight_decay >= 0, "0 or more"),
            "warmup": (0 <= self.warmup < 1, "0 or more, and less than 1"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "0 or more, and less than 1"),
            # of smaller ones, torch's draws are all one half
            "mixup": (self.mixup == 0 or 0.01 <= self.mixup <= 1000, "0, or 0.01 to 1000"),
            "clip_norm": (self.clip_norm is None or self.clip_norm > 0, "more than 0"),
            "patience": (self.patience is None or self.patience >= 1, "1 or more"),
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
        optimistic: also test after every epoch, and report the best of them beside the epoch
            that was selected. It chooses nothing, and costs a test an epoch.
    """

    on: Literal["last", "inner_validation", "best_test_epoch"] = "inner_validation"
    share: float = 0.2
    optimistic: bool = False

    def __post_init__(self) -> None:
        config.check_types(self, "select")
        if not 0 < self.share < 1:
            raise ConfigError(
                f"select.share = {self.share}", expected="more than 0 and less than 1"
            )


@dataclass(frozen=True)
class SplitParams:
    """How a set is cut into folds, where that is not left to the set's own folds.

    Args:
        kind: strict or group_kfold (people apart), loso, kfold or published; None for that of the
            protocol or, without one, the set's own folds.
        n_folds: number of folds; None for the kind's own.
        seed: seed of the random choices; None for that of the run.
        stratify: whether folds are to hold the classes evenly; None for the kind's own way, which
            is true for strict and false for the others. Only strict and kfold can be told.
        repeats: how often all is done, each time with the next seed for folds and training;
            published and imported folds stay as they are.
    """

    kind: str | None = None
    n_folds: int | None = None
    seed: int | None = None
    stratify: bool | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.kind == "none":  # as None is spelled in TOML and behind --set
            object.__setattr__(self, "kind", None)
        rules = {
            "n_folds": (self.n_folds is None or self.n_folds >= 1, "1 or more"),
            "seed": (self.seed is None or self.seed >= 0, "0 or more"),
            "repeats": (self.repeats >= 1, "1 or more"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise ConfigError(f"split.{name} = {getattr(self, name)}", expected=expected)


@dataclass(frozen=True)
class BenchConfig:
    """A bench recipe, for one network and protocol.

    Args:
        name: the recipe's name.
        about: what it is for.
        citations: whose settings these are.
        tuned_on: sets whose test clips the settings were chosen on, such as DemoDVS.
        frames: how events become frames.
        augment: augmentations of the training clips, in order; see `evfer.transforms`.
        model: options of the network.
        train: how it is trained.
        select: which epoch is tested.
        split: how the set is cut into folds.
    """

    name: str = "bench"
    about: str = ""
    citations: tuple[str, ...] = ()
    tuned_on: tuple[str, ...] = ()
    frames: FramesParams = field(default_factory=FramesParams)
    augment: tuple[dict[str, Any], ...] = ()
    model: dict[str, Any] = field(default_factory=dict)
    train: TrainParams = field(default_factory=TrainParams)
    select: SelectParams = field(default_factory=SelectParams)
    split: SplitParams = field(default_factory=SplitParams)

    def __post_init__(self) -> None:
        if self.train.patience is not None and self.select.on != "inner_validation":
            raise ConfigError(
                f'train.patience = {self.train.patience} with select.on = "{self.select.on}"',
                expected='select.on = "inner_validation", whose people say when to stop',
            )
        self.augmentation()  # so that a name or value that is wrong shows now

    def check_frames(self, sensor_size: SensorSize) -> None:
        """Make sure that frames of a sensor have the wanted size, cropped and scaled ones too.

        Raises:
            ConfigError: if `frames.resize` is "none" and a region is not of that size.
        """
        nothing, augmentation = transforms.Augmentation(), self.augmentation()
        for draw in range(8):  # one that always crops shows at once, a rare one soon
            rng = transforms.sample_rng(0, 0, "*check*", draw)
            self.frames.shape((nothing if draw == 0 else augmentation).on_region(sensor_size, rng))

    def augmentation(self) -> transforms.Augmentation:
        """Build the augmentations."""
        return transforms.build(self.augment)

    @property
    def shaping(self) -> dict[str, Any]:
        """Every setting that shapes a result, defaults included, as plain data.

        How a set is split is none of them: rows name the folds themselves.
        """
        settings = config.to_dict(self)
        for section, names in _LATER.items():
            plain = config.to_dict(getattr(type(self)(), section))
            for name in names:
                if settings[section][name] == plain[name]:
                    del settings[section][name]
        if "loss" in settings["train"]:
            source = plugins.source_digest("evfer.losses", self.train.loss)
            settings["train"]["loss_sha256"] = source
        return {
            "bench": BENCH_VERSION,
            **{name: settings[name] for name in ("frames", "model", "train", "select")},
            "augment": _sourced(self.augmentation()),
        }

    def resolved(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Give every switch as plain data, for a result to say how it came about.

        Args:
            options: all of the network's, see `evfer.models.resolve_options`.
        """
        settings = config.to_dict(self)
        return {
            **{name: settings[name] for name in ("frames", "train", "select", "split")},
            "augment": list(transforms.describe(self.augmentation())),
            "model": dict(options),
        }

    @functools.cached_property  # a study asks thousands of times
    def sha256(self) -> str:
        """Digest of every setting that shapes a result; a recipe's name is none."""
        return config.digest(self.shaping)


def _sourced(augmentation: transforms.Augmentation) -> list[dict[str, Any]]:
    """Describe augmentations, an outsider's by its source too: a change is another recipe."""
    own = set(transforms.AUGMENTATIONS.values())
    return [
        table if type(step) in own else {**table, "source_sha256": plugins.file_digest(type(step))}
        for step, table in zip(augmentation.steps, transforms.describe(augmentation), strict=True)
    ]


def default_recipe(model: str) -> str:
    """Name the recipe that a network is measured with unless told otherwise."""
    if model in _BASELINES:
        return "baselines"
    # resnet18's sets no option of the network, so any network can take it
    return model if model in config.list_shipped("pipelines") else "resnet18"


def shipped_framings() -> tuple[tuple[str, FramesParams], ...]:
    """Give the framing of each shipped recipe that has one, under the recipe's name."""
    tables = (
        (name, config.read_toml(config.find_shipped("pipelines", name)).get("frames"))
        for name in config.list_shipped("pipelines")
    )
    return tuple(
        (f"recipe {name}", config.build(FramesParams, table, where="frames"))
        for name, table in tables
        if table
    )


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
        overrides: settings that count above all, as `--set` gives them; `eda.preset` stands for
            the augmentations that a preset or names joined by "+" mean.
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
    changes = dict(overrides or {})
    if "eda" in changes:
        augment = _named_augmentations(changes.pop("eda"), augment)
    values = config.merge(values, changes)
    if augment is not None:
        values["augment"] = [dict(table) for table in augment]
    if "train" not in values:
        raise ConfigError(
            f'the recipe "{recipe}" has no [train]',
            expected="a recipe for evfer bench",
            hint="Recipes for evfer convert shape events, not networks; evfer list names both",
        )
    return config.build(BenchConfig, values)


def _named_augmentations(
    table: object, augment: Sequence[Mapping[str, Any]] | None
) -> Sequence[Mapping[str, Any]]:
    if not isinstance(table, Mapping) or set(table) != {"preset"}:
        raise ConfigError(f"eda = {table!r}", expected="eda.preset, such as eda.preset=fig6_A")
    if augment is not None:
        raise ConfigError("eda.preset beside other augmentations", expected="one of them")
    return transforms.parse_names(str(table["preset"]))
