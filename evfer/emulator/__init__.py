"""The emulated event camera: v2e's pixel model, event for event, many times faster."""

from evfer.emulator.camera import Camera, create, require_backend
from evfer.emulator.checks import Seed
from evfer.emulator.emulator import DVSEmulator
from evfer.emulator.original import V2EEmulator
from evfer.emulator.params import MIN_THRESHOLD, PRESETS, DVSParams
from evfer.emulator.response import log_response

__all__ = [
    "MIN_THRESHOLD",
    "PRESETS",
    "Camera",
    "DVSEmulator",
    "DVSParams",
    "Seed",
    "V2EEmulator",
    "create",
    "log_response",
    "require_backend",
]
