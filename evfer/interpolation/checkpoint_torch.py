"""SuperSloMo's published checkpoint: read as data, never as code, and looked at before use."""

from __future__ import annotations

import datetime
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evfer.errors import ConfigError, DataError
from evfer.interpolation.unet_torch import UNet

__all__ = ["NETWORKS", "load_networks"]

NETWORKS = {"state_dictFC": (2, 4), "state_dictAT": (12, 5)}
"""Entries of the checkpoint: the flow network and the mending network, planes in and out."""

_DAMAGED = (
    OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError,
    pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip
"""How torch says that a file is cut short, holds code or is something else."""

_HINT = "SuperSloMo39.ckpt, which v2e's README links, has them"


def load_networks(path: Path) -> tuple[UNet, UNet]:
    """Read the flow network and the mending network of SuperSloMo.

    Args:
        path: a checkpoint with the entries of `NETWORKS`; others do not count.

    Returns:
        Both networks on the CPU, float32, not to be trained.

    Raises:
        ConfigError: if the file cannot be read.
        DataError: if it is no checkpoint, holds code, or lacks a weight of the right shape; the
            message names the first one.
    """
    entries = _read(path)
    flow, mending = (_build(path, entries, name) for name in NETWORKS)
    return flow, mending


def _read(path: Path) -> Mapping[str, Any]:
    expected = "a checkpoint with " + " and ".join(NETWORKS)
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", expected="a readable file") from error
    try:
        # the published file says when it was written, which is no code but counts as such
        with file, torch.serialization.safe_globals([datetime.datetime]):
            found = torch.load(file, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        detail = f"holds {foreign[1]}, which is no weight" if foreign else "no checkpoint"
        raise DataError(f"{path}: {detail}", expected=expected, hint=_HINT) from error
    if not isinstance(found, Mapping):
        raise DataError(f"{path}: holds a {type(found).__name__}", expected=expected, hint=_HINT)
    return found


def _build(path: Path, entries: Mapping[str, Any], name: str) -> UNet:
    given = entries.get(name)
    if not isinstance(given, Mapping):
        has = ", ".join(map(str, entries)) or "nothing"
        raise DataError(
            f"{path}: no weights {name} among {has}"
            if given is None
            else f"{path}: {name} is a {type(given).__name__}",
            expected=" and ".join(NETWORKS),
            hint=_HINT,
        )
    # built without values, since drawing them would take time and random numbers of the caller
    with torch.device("meta"):
        network = UNet(*NETWORKS[name])
    wanted = network.state_dict()
    foreign = [key for key in given if key not in wanted]
    if foreign:
        raise DataError(f"{path}: {name} has {foreign[0]}", expected="no such weight", hint=_HINT)
    weights = {}
    for key, place in wanted.items():
        value = given.get(key)
        if value is None:
            raise DataError(f"{path}: {name} lacks {key}", hint=_HINT)
        weights[key] = _check(f"{path}: {name}, {key}", value, tuple(place.shape))
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False)


def _check(where: str, value: object, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(value, Tensor) or tuple(value.shape) != shape:
        found = (
            f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"is {value!r:.40}"
        )
        raise DataError(f"{where} {found}", expected=f"shape {shape}", hint=_HINT)
    if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
        raise DataError(f"{where} holds what is no finite number", hint=_HINT)
    return value.to(torch.float32).contiguous()
