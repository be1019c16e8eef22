"""Turn facial-expression video into event-camera benchmarks and measure spiking networks on them.

Names are loaded on first use, so that `import evfer` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evfer.provenance import __version__

if TYPE_CHECKING:
    from evfer.bench.trained import Trained, load
    from evfer.events import EVENT_DTYPE, SensorSize
    from evfer.ferdvs import FerDVS

__all__ = ["EVENT_DTYPE", "FerDVS", "SensorSize", "Trained", "__version__", "load"]

_HOMES = {
    "EVENT_DTYPE": "evfer.events",
    "FerDVS": "evfer.ferdvs",
    "SensorSize": "evfer.events",
    "Trained": "evfer.bench.trained",
    "load": "evfer.bench.trained",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'evfer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
