"""From clips to recordings: faces, frames between frames, events, files.

One clip is one task, a pure function of the clip, its source and the recipe. Tasks run in this
process or in worker processes; the files are the same whatever the number of workers, the order
or the interruptions, and a second run does only what is missing or out of date.
"""

from evfer.convert.batch import ConversionSummary, Progress, convert
from evfer.convert.clip import aligned_clip, convert_clip, recover_frames
from evfer.convert.planning import Failure, Plan, Stale, plan
from evfer.convert.quality import find_concerns
from evfer.convert.recipe import ConversionConfig, load_config, open_dataset

__all__ = [
    "ConversionConfig",
    "ConversionSummary",
    "Failure",
    "Plan",
    "Progress",
    "Stale",
    "aligned_clip",
    "convert",
    "convert_clip",
    "find_concerns",
    "load_config",
    "open_dataset",
    "plan",
    "recover_frames",
]
