"""What a file of tested weights says of itself, for those that lie without their rows."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch

from evfer.errors import RecordingError

__all__ = ["WeightsFile", "read_weights_file"]


@dataclass(frozen=True)
class WeightsFile:
    """What a file of tested weights says of itself.

    Args:
        key: digest of what names its row.
        model: the network's name.
        n_steps: frames of a clip.
        n_classes: number of classes.
    """

    key: str
    model: str
    n_steps: int
    n_classes: int


def read_weights_file(path: Path) -> WeightsFile:
    """Read what a file of tested weights says of itself; nothing in it can run as code.

    Raises:
        RecordingError: if the file is missing, damaged, or not one that `evfer bench` wrote.
    """
    expected = "a file <run>/checkpoints/*.weights.pt that evfer bench wrote"
    if not path.is_file():
        raise RecordingError(f"{path}: no such file", expected=expected)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise RecordingError(f"{path}: cannot be read", expected=expected) from error
    wanted = {"key": str, "model": str, "n_steps": int, "n_classes": int, "weights": dict}
    known = isinstance(state, dict) and all(
        isinstance(state.get(name), kind) for name, kind in wanted.items()
    )
    if not known:
        raise RecordingError(f"{path}: no weights of a tested network", expected=expected)
    return WeightsFile(state["key"], state["model"], state["n_steps"], state["n_classes"])
