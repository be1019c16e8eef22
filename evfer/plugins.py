"""Names that stand for objects: a built-in table first, then outsiders' entry points.

Groups are entry-point groups: `evfer.datasets`, `evfer.models` and `evfer.losses`. A package
adds a model with

    [project.entry-points."evfer.models"]
    my-net = "my_package.net:build"

and a script without packaging says `my_module:build`. A plug-in that cannot be loaded is named
by `available` and harms nobody else.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from evfer.errors import ConfigError, UnknownNameError
from evfer.files import sha256_file

__all__ = [
    "BUILTIN",
    "Plugin",
    "available",
    "canonical",
    "file_digest",
    "load",
    "names",
    "source_digest",
]

BUILTIN: dict[str, dict[str, str]] = {
    "evfer.datasets": {
        "adfes": "evfer.datasets.adfes:ADFES",
        "casia": "evfer.datasets.casia:Casia",
        "ck+": "evfer.datasets.ckplus:CKPlus",
        "demo": "evfer.datasets.demo:DemoHeads",
        "folder": "evfer.datasets.folder:Folder",
        "mmi": "evfer.datasets.mmi:MMI",
    },
    "evfer.losses": {"cross_entropy": "torch.nn.functional:cross_entropy"},
    "evfer.models": {
        "cnn1": "evfer.models.cnn:cnn1",
        "logistic": "evfer.models.baselines:logistic",
        "majority": "evfer.models.baselines:majority",
        "resnet18": "evfer.models.resnet:resnet18",
        "spiking-fer": "evfer.models.sew_resnet:spiking_fer",
    },
}

_ALIASES = {
    "evfer.datasets": {"ckplus": "ck+", "ck": "ck+", "oulu-casia": "casia", "oulu": "casia"},
}
"""Other names that people write; `canonical` gives the one that files are named after."""


@dataclass(frozen=True)
class Plugin:
    """One name of a group.

    Args:
        name: what the user writes.
        target: the object, as `module:attribute`.
        origin: "evfer", or the distribution that brings it.
    """

    name: str
    target: str
    origin: str


def available(group: str) -> list[Plugin]:
    """List a group's names, built-in ones first; nothing is imported.

    Raises:
        ConfigError: if two packages, or a package and evfer, use one name.
    """
    found = {name: Plugin(name, target, "evfer") for name, target in BUILTIN[group].items()}
    for point in metadata.entry_points(group=group):
        origin = point.dist.name if point.dist else "an unnamed package"
        if point.name in found:
            raise ConfigError(
                f'the name "{point.name}" of {group} is used by {found[point.name].origin} '
                f"and by {origin}",
                expected="one owner for each name",
                hint="Uninstall one of them, or name the object as module:attribute",
            )
        found[point.name] = Plugin(point.name, point.value, origin)
    return list(found.values())


def names(group: str) -> list[str]:
    """Give a group's names."""
    return [plugin.name for plugin in available(group)]


def canonical(group: str, name: str) -> str:
    """Give the name that an alias stands for, or the name itself, in any case of its letters."""
    plain = name.casefold()
    return _ALIASES.get(group, {}).get(plain, plain if plain in BUILTIN.get(group, {}) else name)


def load(group: str, name: str) -> Any:
    """Import the object that a name stands for.

    Args:
        group: the entry-point group.
        name: a name of that group, or `module:attribute`.

    Raises:
        UnknownNameError: if no such name exists.
        ConfigError: if the object cannot be imported; the message says why.
    """
    kind = group.removeprefix("evfer.").removesuffix("s").replace("dataset", "data set")
    kind = kind.replace("losse", "loss")
    name = canonical(group, name)
    if ":" in name:
        target = name
    else:
        targets = {plugin.name: plugin.target for plugin in available(group)}
        if name not in targets:
            raise UnknownNameError(kind, name, targets)
        target = targets[name]
    return _import(kind, name, target)


def source_digest(group: str, name: str) -> str:
    """Digest the source of an outsider's object, so that a change to it shows.

    Returns:
        SHA-256 of the file that holds the object; empty for evfer's own, which its version
        names, and where there is no source file.
    """
    return "" if name in BUILTIN[group] else file_digest(load(group, name))


def file_digest(value: Any) -> str:
    """Digest the source file that holds an object; empty where there is none."""
    file = getattr(inspect.getmodule(value), "__file__", None)
    return sha256_file(Path(file)) if file and Path(file).is_file() else ""


def _import(kind: str, name: str, target: str) -> Any:
    module_name, _, attribute = target.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f'the {kind} "{name}" cannot be loaded from {target}: {error}',
            expected="an importable module:attribute",
            hint="Is its folder on PYTHONPATH, or its package installed here?",
        ) from error
    return value
