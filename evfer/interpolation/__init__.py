"""Frames between frames, so that an emulated event camera sees small steps."""

from evfer.interpolation.frames import interpolate, interpolate_pairs
from evfer.interpolation.methods import require_method
from evfer.interpolation.params import METHODS, InterpolationParams

__all__ = ["METHODS", "InterpolationParams", "interpolate", "interpolate_pairs", "require_method"]
