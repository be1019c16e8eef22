"""What a tested network's work on the test clips costs, for its row."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from evfer.energy import build_report
from evfer.energy.counting_torch import count
from evfer.errors import EvferError
from evfer.inputs import Loader
from evfer.training import FoldTask

__all__ = ["bill"]


def bill(
    module: nn.Module, model: str, task: FoldTask, device: torch.device | str = "cpu"
) -> tuple[dict[str, Any] | None, str]:
    """Count a network's operations on a fold's test clips, and price them.

    Counting takes about as long as three passes over the test clips.

    Args:
        module: the network with the tested weights.
        model: its name.
        task: the fold.
        device: where to run it.

    Returns:
        `EnergyReport.summary` with the precision that was counted in, and why there is none if it
        is None; a result that took hours is not lost because a network is built in a way that
        cannot be counted.
    """
    loader = Loader(task.inputs, task.test, task.config.train.batch_size)
    try:
        counts = count(module.to(device), (batch.frames for batch in loader.epoch(0)))
        # `count` runs the network so, whatever it was trained in
        return build_report(counts, model).summary() | {"precision": "float32"}, ""
    except EvferError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 (whatever a foreign network does; it is told)
        return None, f"{type(error).__name__}: {error}"
