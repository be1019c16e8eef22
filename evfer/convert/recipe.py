"""Conversion recipes: what shapes a recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evfer import config, plugins
from evfer.convert import span
from evfer.convert.span import ClipParams
from evfer.datasets.base import Clip, Dataset
from evfer.emulator import PRESETS, DVSParams
from evfer.errors import ConfigError, UnknownNameError
from evfer.faces import AlignParams
from evfer.interpolation import InterpolationParams

__all__ = ["ConversionConfig", "load_config", "open_dataset"]

PIPELINE_VERSION = 2
"""Raised whenever the same recipe starts to give other events, so that old files count as stale."""

_SHAPING = ("faces", "interpolation", "emulator", "seed")


@dataclass(frozen=True)
class ConversionConfig:
    """A conversion recipe.

    Args:
        name: the recipe's name.
        about: what it is for.
        seed: seed of the sensor patterns; each clip draws its own from (seed, clip), unless the
            emulator's pattern is v2e's, which is one for all clips.
        dataset: options of the data set's reader, such as fps.
        clip: what part of a clip is converted.
        faces: how faces are found, aligned and cropped.
        interpolation: how frames are made between frames.
        emulator: the event camera.
    """

    name: str = "default"
    about: str = ""
    seed: int = 0
    dataset: Mapping[str, Any] = field(default_factory=dict)
    clip: ClipParams = field(default_factory=ClipParams)
    faces: AlignParams = field(default_factory=AlignParams)
    interpolation: InterpolationParams = field(default_factory=InterpolationParams)
    emulator: DVSParams = field(default_factory=DVSParams)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}", expected="0 or more")
        if self.seed == 0 and self.emulator.pattern == "v2e":
            raise ConfigError(
                'seed 0 with emulator.pattern "v2e"',
                expected="1 or more",
                hint="v2e takes 0 for no seed. Add --set seed=1",
            )

    @property
    def shaping(self) -> dict[str, Any]:
        """Every setting that shapes a recording's events, as plain data.

        It holds for all clips but those whose frames are given; see `shaping_of`.

        Raises:
            MissingExtra: if the interpolation needs weights and none are given.
            ConfigError: if the given weights cannot be read.
        """
        # weights stand by what they hold, not by where they lie
        settings = config.to_dict(self) | {"interpolation": self.interpolation.shaping}
        shaping = {name: settings[name] for name in _SHAPING}
        return {"pipeline": PIPELINE_VERSION, **shaping, "clip": span.shaping(self.clip)}

    def shaping_of(self, clip: Clip, shaping: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Every setting that shapes one clip's events, as plain data.

        Args:
            clip: the clip.
            shaping: `shaping`, where it is known, since weights take time to digest.
        """
        return {**(shaping or self.shaping), "clip": span.shaping(self.clip, clip)}

    def resolved(self, dataset: str) -> ConversionConfig:
        """Give the recipe with what a data set's card and a table of frames say put in.

        Args:
            dataset: the data set's name.

        Raises:
            ConfigError: if `clip.range` cannot be used.
        """
        return dataclasses.replace(self, clip=span.resolve(self.clip, dataset))


def load_config(recipe: str, overrides: Mapping[str, Any] | None = None) -> ConversionConfig:
    """Read a conversion recipe, shipped or of one's own, and lay overrides over it.

    `emulator.preset` names what the pixels are like. In a recipe that lies under the recipe's
    own settings; in the overrides it takes the place of all that the recipe says of pixels, but
    not of its timing, pattern or back end. `emulator.backend = "v2e"` brings v2e's timing.

    Raises:
        ConfigError: for an unknown recipe or key, or a value that cannot be used.
        UnknownNameError: for a preset that does not exist.
    """
    values = config.read_toml(config.find_shipped("pipelines", recipe))
    if "train" in values:
        raise ConfigError(
            f'the recipe "{recipe}" is for evfer bench',
            expected="a recipe for evfer convert, without [train]",
            hint="evfer list names both",
        )
    merged = config.merge(_expand_emulator(values), _expand_emulator(overrides or {}))
    return config.build(ConversionConfig, merged)


def _expand_emulator(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put settings in the place of a name for several of them."""
    section = values.get("emulator")
    if not isinstance(section, Mapping):
        return values
    own, implied = dict(section), {}
    if "preset" in own:
        name = str(own.pop("preset"))
        if name not in PRESETS:
            raise UnknownNameError("emulator preset", name, PRESETS)
        # every setting of a pixel, so that it covers whatever lies below
        implied = config.to_dict(PRESETS[name])
        for apart in ("timing", "pattern", "backend"):
            del implied[apart]
    if own.get("backend") == "v2e":
        implied["timing"] = "slot"
    return {**values, "emulator": {**implied, **own}}


def open_dataset(name: str, settings: ConversionConfig) -> Dataset:
    """Make a data set's reader with the options of a recipe's `[dataset]`.

    Args:
        name: a data set's name, or `module:attribute` of a factory.
        settings: the recipe.

    Raises:
        UnknownNameError: if there is no such data set, or it has no such option.
    """
    factory = plugins.load("evfer.datasets", name)
    if dataclasses.is_dataclass(factory) and isinstance(factory, type):
        made = config.build(factory, settings.dataset, "dataset")
    else:
        made = factory(**settings.dataset)
    if not isinstance(made, Dataset):
        raise ConfigError(
            f'the data set "{name}" is a {type(made).__name__}',
            expected="an object with name, set_name, needs_source, survey, open, source_digest",
        )
    return made
