"""The emulated event camera: v2e's pixel model, event for event, many times faster."""

from evfer.emulator.checks import Seed
from evfer.emulator.emulator import DVSEmulator
from evfer.emulator.params import MIN_THRESHOLD, PRESETS, DVSParams
from evfer.emulator.response import log_response

__all__ = ["MIN_THRESHOLD", "PRESETS", "DVSEmulator", "DVSParams", "Seed", "log_response"]
