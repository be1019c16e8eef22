"""What a network is fed: the inputs of a set, and their batches.

A set's events are columns in a cache on disk, 7 bytes an event, mapped into memory and so shared
by processes. A batch is a pure function of the inputs, the seed, the fold and the epoch, so
threads may make batches ahead in any number.
"""

from evfer.inputs.base import Inputs, class_indices
from evfer.inputs.device import EventsOnDevice
from evfer.inputs.events import EventInputs, EventSet, load_set, make_frames, pack_events
from evfer.inputs.loader import Batch, Loader

__all__ = [
    "Batch",
    "EventInputs",
    "EventSet",
    "EventsOnDevice",
    "Inputs",
    "Loader",
    "class_indices",
    "load_set",
    "make_frames",
    "pack_events",
]
