"""Events to frames: cut a clip into steps, then collect each step's events on a grid.

Cutting gives index ranges, one a step (`step_bounds`), since events are sorted by time. Collecting
then visits each used event once and writes the frame cells that its pixel reaches; the table of
those cells is the whole resizing, so a resized frame costs no more than a plain one.
"""

from evfer.frames.clip import fill_frames, to_frames
from evfer.frames.params import FramesParams
from evfer.frames.slicing import step_bounds, used_fraction

__all__ = ["FramesParams", "fill_frames", "step_bounds", "to_frames", "used_fraction"]
