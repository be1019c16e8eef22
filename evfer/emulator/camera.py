"""One way to get a camera, whichever back end makes the events."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import ArrayLike

from evfer.emulator.checks import Seed
from evfer.emulator.emulator import DVSEmulator
from evfer.emulator.original import V2EEmulator, load_original
from evfer.emulator.params import DVSParams
from evfer.events import Events

__all__ = ["Camera", "create", "require_backend"]


class Camera(Protocol):
    """What turns frames into events; its state carries across calls."""

    def run(self, frames: ArrayLike, times_s: ArrayLike) -> Events:
        """Watch a block of frames; see `DVSEmulator.run`."""
        ...

    def step(self, frame: ArrayLike, t_s: float) -> Events:
        """Watch one frame; see `DVSEmulator.step`."""
        ...

    def reset(self) -> None:
        """Forget the frames seen, so that another clip can follow."""
        ...


def create(params: DVSParams | None = None, seed: Seed = 42) -> Camera:
    """Make the camera that the settings name.

    Args:
        params: the pixel's settings, `backend` among them; the benchmark's by default.
        seed: fixes what is drawn.

    Raises:
        ConfigError: for a seed that cannot be used.
        MissingExtra: if the back end is not installed.

    Examples:
        >>> type(create(DVSParams(backend="evfer"))).__name__
        'DVSEmulator'
    """
    if params is not None and params.backend == "v2e":
        return V2EEmulator(params, seed)
    return DVSEmulator(params, seed)


def require_backend(params: DVSParams) -> None:
    """Make sure, ahead of long work, that the back end is there.

    Raises:
        MissingExtra: if it is not installed.
    """
    if params.backend == "v2e":
        load_original()
