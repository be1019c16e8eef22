"""What evfer offers here: data sets, recipes, protocols, models and their state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from evfer import config, formats, plugins, recordings
from evfer.datasets import cards
from evfer.emulator import PRESETS
from evfer.errors import EvferError, MissingExtra
from evfer.folds import ALIASES, PROTOCOLS
from evfer.interpolation import METHODS, InterpolationParams, require_method
from evfer.interpolation.params import Method

__all__ = ["Item", "Section", "catalog"]

_PROTOCOL_WORDS = {
    "strict": "subjects apart, each tested once; the default",
    "loso": "one subject a fold",
    "kfold": "the clips cut into k parts; subjects are shared",
    "published": "the recipe of the published fold files; parts overlap, subjects are shared",
}


_PRESET_WORDS = {
    "paper": "the published benchmark's pixels; the default",
    "clean": "v2e's --dvs_params clean: no noise, no refractory period",
    "noisy": "v2e's --dvs_params noisy: low-pass, leak and shot noise",
}


@dataclass(frozen=True)
class Item:
    """One name that can be used, what it is, and whether it works here."""

    name: str
    about: str
    state: str = "ready"


@dataclass(frozen=True)
class Section:
    """Names of one kind."""

    title: str
    option: str
    items: tuple[Item, ...]


def catalog(data: Path) -> tuple[Section, ...]:
    """List everything that has a name.

    Args:
        data: the data folder, to say which sets are converted.
    """
    from evfer.transforms import AUGMENTATIONS, READINGS

    recipes = {name: _recipe(name) for name in config.list_shipped("pipelines")}
    studying = {n: r for n, r in recipes.items() if "study" in r}
    benching = {n: r for n, r in recipes.items() if "train" in r and n not in studying}
    converting = {n: r for n, r in recipes.items() if n not in studying and n not in benching}
    protocols = [Item(name, _PROTOCOL_WORDS[name]) for name in PROTOCOLS]
    protocols += [Item(name, f"as {kind}, see its recipe") for name, kind in ALIASES.items()]
    return (
        Section("Data sets", "--dataset", tuple(_datasets(data))),
        Section("Recipes for evfer convert", "--recipe", _recipes(converting)),
        Section("Recipes for evfer bench", "--recipe", _recipes(benching)),
        Section("Recipes for evfer study", "RECIPE", _recipes(studying)),
        Section("Protocols", "--protocol", tuple(protocols)),
        Section(
            "Interpolation",
            "--set interpolation.method=",
            tuple(Item(name, text, _method_state(name)) for name, text in METHODS.items()),
        ),
        Section(
            "Event cameras",
            "--set emulator.preset=",
            tuple(Item(name, _PRESET_WORDS[name]) for name in PRESETS),
        ),
        Section(
            "Augmentations",
            "--eda",
            (
                *(Item(name, _first_line(kind)) for name, kind in AUGMENTATIONS.items()),
                *(Item(name, about) for name, (_, _, about) in READINGS.items()),
            ),
        ),
        Section("Sets of augmentations", "--eda", _augmentation_sets()),
        Section("Models", "--model", tuple(_plugin_items("evfer.models"))),
        Section("Event files", "--dataset folder", tuple(map(_event_file, formats.supported()))),
    )


def _augmentation_sets() -> tuple[Item, ...]:
    from evfer.transforms import COMMON, PRESETS

    named = (Item(name, "+".join(names) or "nothing") for name, names in PRESETS.items())
    about = f"one of the {2 ** len(COMMON)} subsets S of {'+'.join(COMMON)}"
    return (
        *named,
        Item("common(S)", f"{about}; such as common(hflip+noise)"),
        Item("common_paper(S)", "likewise, as the paper's words describe them"),
    )


def _datasets(data: Path) -> list[Item]:
    converted = set(recordings.list_sets(data))
    items = []
    for item in _plugin_items("evfer.datasets"):
        card, state = cards.find(item.name), item.state
        if card and card.set in converted:
            entries = recordings.read_index(recordings.set_folder(data, card.set))
            state = f"converted, {len(entries)} clips"
        items.append(Item(item.name, card.about if card else item.about, state))
    return items


def _plugin_items(group: str) -> list[Item]:
    items = []
    for plugin in plugins.available(group):
        try:
            about, state = _first_line(plugins.load(group, plugin.name)), "ready"
        except EvferError as error:
            about, state = "", f"broken: {error.found}"
        origin = "" if plugin.origin == "evfer" else f" (from {plugin.origin})"
        items.append(Item(plugin.name, about + origin, state))
    return items


def _event_file(support: formats.Support) -> Item:
    state = "ready" if support.ready else f"needs {support.package}"
    return Item(support.suffix, support.about, state)


def _method_state(name: str) -> str:
    try:
        require_method(InterpolationParams(method=cast(Method, name)))
        return "ready"
    except EvferError as error:
        return "needs its weights" if isinstance(error, MissingExtra) else f"broken: {error.found}"


def _recipe(name: str) -> Mapping[str, Any]:
    return config.read_toml(config.find_shipped("pipelines", name))


def _recipes(recipes: Mapping[str, Mapping[str, Any]]) -> tuple[Item, ...]:
    return tuple(Item(name, str(recipe.get("about", ""))) for name, recipe in recipes.items())


def _first_line(value: Any) -> str:
    return (getattr(value, "__doc__", None) or "").strip().partition("\n")[0].rstrip(".")
