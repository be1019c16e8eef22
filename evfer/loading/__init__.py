"""A converted set and its batches.

A set's events are columns in a cache on disk, 7 bytes an event, mapped into memory and so shared
by processes. A batch is a pure function of the set, the settings, the seed, the fold and the
epoch, so threads may make batches ahead in any number.
"""

from evfer.loading.device import DeviceSet
from evfer.loading.loader import Batch, Loader
from evfer.loading.samples import make_frames
from evfer.loading.sets import EventSet, load_set, pack_events

__all__ = ["Batch", "DeviceSet", "EventSet", "Loader", "load_set", "make_frames", "pack_events"]
