"""The file that holds SuperSloMo's weights: where it is, and which one it is."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from evfer.errors import ConfigError, MissingExtra
from evfer.files import sha256_file

__all__ = ["ENVIRONMENT_VARIABLE", "find_weights", "weights_sha256"]

ENVIRONMENT_VARIABLE = "EVFER_SLOMO_WEIGHTS"


def find_weights(given: str) -> Path:
    """Find the file of the weights.

    Args:
        given: its path; if empty, the environment variable EVFER_SLOMO_WEIGHTS says it.

    Raises:
        MissingExtra: if neither does; the message says where the weights come from.
        ConfigError: if there is no such file.
    """
    said = given or os.environ.get(ENVIRONMENT_VARIABLE, "")
    if not said:
        raise MissingExtra(
            'interpolation method "superslomo" without its weights',
            expected="the checkpoint SuperSloMo39.ckpt (151 MB), which the README of "
            "https://github.com/SensorsINI/v2e links: Super SloMo (Jiang et al. 2018), trained "
            "with the code of https://github.com/avinashpaliwal/Super-SloMo",
            hint=f"Give it with --set interpolation.weights=FILE or {ENVIRONMENT_VARIABLE}=FILE, "
            "or choose --set interpolation.method=flow, which needs none",
        )
    path = Path(said).expanduser()
    if not path.is_file():
        source = "interpolation.weights" if given else ENVIRONMENT_VARIABLE
        raise ConfigError(
            f"{source} = {said}: no such file", expected="SuperSloMo's checkpoint, a file"
        )
    return path


def weights_sha256(given: str) -> str:
    """Give the SHA-256 of the file of the weights, as hexadecimal.

    Raises:
        MissingExtra: if no weights are given.
        ConfigError: if there is no such file, or it cannot be read.
    """
    path = find_weights(given)
    try:
        state = path.stat()
        return _sha256(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", expected="a readable file") from error


@functools.lru_cache(maxsize=2)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    # every recording names the weights; the file is read anew only when it has changed
    return sha256_file(path)
