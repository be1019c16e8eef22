"""Event files of cameras and other tools, read into one form and written back out.

`read` looks at what a file holds, not only at what it is called; `write` makes files that other
tools read. Formats that need a package of their own import it on use.
"""

from evfer.formats.assemble import EventSource, ReadParams, Start, TimeUnit
from evfer.formats.export import EXPORTS, Exported, export, write
from evfer.formats.reading import (
    SUFFIXES,
    Support,
    identify,
    is_event_file,
    read,
    read_recording,
    sensor_size,
    supported,
)

__all__ = [
    "EXPORTS",
    "SUFFIXES",
    "EventSource",
    "Exported",
    "ReadParams",
    "Start",
    "Support",
    "TimeUnit",
    "export",
    "identify",
    "is_event_file",
    "read",
    "read_recording",
    "sensor_size",
    "supported",
    "write",
]
