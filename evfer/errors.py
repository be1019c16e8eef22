"""Every error that evfer raises on purpose, and the exit code each one leads to.

    EvferError
    ├── ConfigError          2  a flag, recipe or argument that cannot be used
    │   ├── UnknownNameError    a name that is not among the known ones
    │   ├── OutputError         a folder or file that cannot be written
    │   └── ClusterError        a Dask cluster that cannot do the work
    ├── DataError            3  data that cannot be used
    │   ├── SourceError         a source tree that is missing or not laid out as expected
    │   ├── VideoError          an image or video that cannot be read
    │   ├── FaceError           a clip in which no face can be followed
    │   ├── EventsError         frames, times or events that break the rules
    │   ├── RecordingError      a recording or table that is cut short, foreign or changed
    │   │   └── UnreadableError one that the system does not hand out, be it whole or not
    │   └── BusyError           a folder in which another process writes
    └── MissingExtra         4  an optional part that is not installed

A message has three parts: what was found, what was expected, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BusyError",
    "ClusterError",
    "ConfigError",
    "DataError",
    "EventsError",
    "EvferError",
    "FaceError",
    "MissingExtra",
    "OutputError",
    "RecordingError",
    "SourceError",
    "UnknownNameError",
    "UnreadableError",
    "VideoError",
]


class EvferError(Exception):
    """An error with a message in three parts.

    Args:
        found: what was found, naming the file, flag or value.
        expected: what was expected instead.
        hint: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, found: str, *, expected: str = "", hint: str = "") -> None:
        super().__init__(found, expected, hint)
        self.found = found
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        message = self.found.rstrip(".")
        gap = " "
        if self.expected:
            # a layout of several lines stands by itself
            gap = "\n" if "\n" in self.expected else " "
            message += f"; expected{gap}" + self.expected.rstrip(". \n")
        message += "." if gap == " " else ""
        if not self.hint:
            return message
        return f"{message}{gap}{self.hint}" + ("" if self.hint[-1] in ".?!" else ".")

    def __reduce__(self) -> tuple[object, ...]:
        # exceptions cross process borders by pickle, which drops keyword arguments
        return (_rebuild, (type(self), self.found, self.expected, self.hint))


def _rebuild(kind: type[EvferError], found: str, expected: str, hint: str) -> EvferError:
    error = kind.__new__(kind)
    EvferError.__init__(error, found, expected=expected, hint=hint)
    return error


class ConfigError(EvferError):
    """A flag, recipe key, argument or configuration value that cannot be used."""

    exit_code = 2


class UnknownNameError(ConfigError):
    """A name that is not among the known ones; the message names the nearest.

    Args:
        kind: what the name stands for, such as "recipe key" or "model".
        name: the name that was given.
        known: the names that exist.
        hint: what the user can do; by default the nearest known name.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        if not hint and near:
            hint = f'Did you mean "{near[0]}"?'
        super().__init__(
            f'unknown {kind} "{name}"',
            expected="one of " + ", ".join(names) if names else "no such name here",
            hint=hint,
        )


class OutputError(ConfigError):
    """A folder or file that cannot be written."""


class ClusterError(ConfigError):
    """A Dask cluster that cannot do the work."""


class DataError(EvferError):
    """Data that cannot be used."""

    exit_code = 3


class SourceError(DataError):
    """A source tree that is missing or not laid out as expected."""


class VideoError(DataError):
    """An image or video that cannot be read."""


class FaceError(DataError):
    """A clip in which no face can be followed."""


class EventsError(DataError):
    """Frames, times or events that break the rules of shape, order or range."""


class RecordingError(DataError):
    """A recording or table that is cut short, foreign or changed."""


class UnreadableError(RecordingError):
    """A recording that the system does not hand out, which says nothing of what it holds."""


class BusyError(DataError):
    """A folder in which another process writes."""


class MissingExtra(EvferError):
    """An optional part that is not installed."""

    exit_code = 4
