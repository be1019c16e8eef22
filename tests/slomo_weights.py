"""Weights for SuperSloMo, drawn from a seed; a true checkpoint is not needed to compare code.

Every layer keeps the strength of what it is given, so that deep ones still matter, and flows are
some pixels long.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SHAPES = json.loads((Path(__file__).parent / "golden" / "slomo" / "shapes.json").read_text())
FLOW, _ = SHAPES


def draw(seed: int, flow: float) -> dict[str, dict[str, np.ndarray]]:
    """Draw both networks; `flow` stretches what the first one gives."""
    rng = np.random.default_rng(seed)
    networks = {}
    for name, shapes in SHAPES.items():
        networks[name] = {}
        for key, shape in shapes.items():
            values = 2 * rng.random(shape, np.float32) - 1
            if key.endswith("weight"):
                values *= np.float32(np.sqrt(6 / np.prod(shape[1:])))
            else:
                values *= np.float32(0.05)
            networks[name][key] = values
    for key in ("conv3.weight", "conv3.bias"):
        networks[FLOW][key] *= np.float32(flow)
    return networks


def sha256(networks: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    found = hashlib.sha256()
    for weights in networks.values():
        for value in weights.values():
            found.update(value.tobytes())
    return found.hexdigest()


def save(networks: Mapping[str, Mapping[str, np.ndarray]], path: Path, **others: object) -> Path:
    import torch

    states = {
        name: {key: torch.from_numpy(value) for key, value in weights.items()}
        for name, weights in networks.items()
    }
    torch.save({**states, **others}, path)
    return path


def zeros() -> dict[str, dict[str, object]]:
    """Give weights of one zero each, seen as many: small when saved."""
    import torch

    return {
        name: {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
        for name, shapes in SHAPES.items()
    }
