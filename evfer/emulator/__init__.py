"""The emulated event camera: v2e's pixel model, event for event, many times faster."""

from evfer.emulator.emulator import DVSEmulator, Seed, log_response
from evfer.emulator.params import MIN_THRESHOLD, PRESETS, DVSParams

__all__ = ["MIN_THRESHOLD", "PRESETS", "DVSEmulator", "DVSParams", "Seed", "log_response"]
