"""Study recipes: a grid of networks, data sets, augmentations and seeds, as data.

A study's TOML file has `name`, `about`, `citations` and `[study]`; tables `[frames]`, `[model]`,
`[train]` and `[select]` are laid over each network's own bench recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evfer import config, transforms
from evfer.errors import ConfigError

__all__ = ["StudyConfig", "StudyParams", "load_study"]


@dataclass(frozen=True)
class StudyParams:
    """The grid.

    Args:
        models: networks, see `evfer.models.create`.
        datasets: names of converted sets; by default all that are there.
        augmentations: sets of augmentations as `--eda` takes them; "common" stands for the 32
            subsets of the five common ones, "common_paper" for them as the paper's words say.
        seeds: of the training; each fold is trained once with each.
        split_seed: of the folds, the same for the whole study.
        recipe: bench recipe in place of each network's own.
        protocol: how people are split and the epoch is chosen; by default each set's own folds.
        n_folds: number of folds; by default the set's or the protocol's.
        measure: score that effects are estimated on.
        keep_weights: keep each fold's tested weights, 46 MB for the networks with 11 million.
    """

    models: tuple[str, ...] = ("spiking-fer",)
    datasets: tuple[str, ...] = ()
    augmentations: tuple[str, ...] = ("common",)
    seeds: tuple[int, ...] = (0,)
    split_seed: int = 0
    recipe: str | None = None
    protocol: str | None = None
    n_folds: int | None = None
    measure: Literal["accuracy", "uar", "macro_f1"] = "accuracy"
    keep_weights: bool = False

    def __post_init__(self) -> None:
        for name in ("models", "augmentations", "seeds"):
            if not getattr(self, name):
                raise ConfigError(f"study.{name} is empty", expected="one or more")
        for name in ("models", "datasets", "seeds"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ConfigError(f"study.{name} names one twice", expected="each once")
        if min(*self.seeds, self.split_seed) < 0:
            raise ConfigError("a negative seed in [study]", expected="0 or more")
        self.sets()

    def sets(self) -> dict[str, tuple[dict[str, Any], ...]]:
        """Give the tables of each set of augmentations by its name, in the order of the grid.

        Raises:
            ConfigError: for a name that does not exist, or two that mean the same.
        """
        names: list[str] = []
        for name in self.augmentations:
            readings = {"common": "code", "common_paper": "paper"}
            plain = name.strip()
            names += _balanced(readings[plain]) if plain in readings else [plain]
        found: dict[str, tuple[dict[str, Any], ...]] = {}
        seen: dict[str, str] = {}
        for name in names:
            tables = transforms.parse_names(name)
            meaning = config.digest(list(transforms.describe(transforms.build(tables))))
            if meaning in seen:
                raise ConfigError(
                    f'study.augmentations: "{name}" and "{seen[meaning]}" are the same',
                    expected="each once",
                )
            seen[meaning], found[name] = name, tables
        return found


def _balanced(reading: str) -> list[str]:
    """Order the 32 subsets so that a study that is cut short is near balanced.

    Subsets with an even number of members come first: half of the full design, from which the
    five effects can be told apart. Inside a half, binary numbers from both ends take turns, so
    that after every fourth subset each member was in half of them.
    """
    names = transforms.COMMON
    subsets = [
        [name for bit, name in enumerate(names) if number >> bit & 1]
        for number in range(2 ** len(names))
    ]
    ordered: list[list[str]] = []
    for parity in (0, 1):
        half = [subset for subset in subsets if len(subset) % 2 == parity]
        while half:
            ordered.append(half.pop(0))
            if half:
                ordered.append(half.pop())
    return [transforms.common(subset, reading) for subset in ordered]


@dataclass(frozen=True)
class StudyConfig:
    """A study.

    Args:
        name: its name, and that of its folder.
        about: what it is for.
        citations: whose design it is.
        study: the grid.
        frames: changes to each bench recipe's `[frames]`, as for the next three.
        model: changes to `[model]`.
        train: changes to `[train]`.
        select: changes to `[select]`.
    """

    name: str = "study"
    about: str = ""
    citations: tuple[str, ...] = ()
    study: StudyParams = field(default_factory=StudyParams)
    frames: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    select: dict[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, Any]:
        """What is laid over each bench recipe."""
        tables = {name: getattr(self, name) for name in ("frames", "model", "train", "select")}
        return {name: table for name, table in tables.items() if table}


def load_study(recipe: str, overrides: Mapping[str, Any] | None = None) -> StudyConfig:
    """Read a study recipe.

    Args:
        recipe: a path, or the name of a shipped recipe.
        overrides: settings that count above all, as `--set` gives them.

    Raises:
        ConfigError: for an unknown recipe, key or name, or a value that cannot be used.
    """
    values = config.read_toml(config.find_shipped("pipelines", recipe))
    if "study" not in values:
        raise ConfigError(
            f'the recipe "{recipe}" has no [study]',
            expected="a recipe for evfer study",
            hint="Try: evfer study eda-study; other recipes are for evfer convert and evfer bench",
        )
    return config.build(StudyConfig, config.merge(values, overrides or {}))
