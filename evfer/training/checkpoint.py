"""Checkpoints of training: whole or absent, and data alone, never code."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from evfer.files import whole_file

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors, numbers and texts, whole or not at all.

    Raises:
        OutputError: if the file cannot be written.
    """
    with whole_file(path) as part:
        torch.save(dict(state), part)


def load_checkpoint(path: Path, key: str) -> dict[str, Any] | None:
    """Read a checkpoint onto the CPU.

    Args:
        path: the file.
        key: what the checkpoint has to be of.

    Returns:
        The state; None if there is no file, it is damaged, or it is of another key, since
        training can always start anew.
    """
    if not path.is_file():
        return None
    try:
        # weights_only: a checkpoint from elsewhere cannot run code here
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile):
        return None
    return state if isinstance(state, dict) and state.get("key") == key else None
