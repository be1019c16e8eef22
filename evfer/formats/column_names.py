"""What the columns of event files are called."""

from __future__ import annotations

__all__ = ["column_name", "unit_of_name"]

_NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "t_us", "t_ns", "t_ms", "t_s",
          "timestamp_us", "timestamp_ns", "time_us", "time_ns", "time_s"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}  # fmt: skip
_COLUMN = {name: column for column, names in _NAMES.items() for name in names}


def column_name(name: str) -> str:
    """Give t, x, y or p for a name that stands for it, or nothing.

    Examples:
        >>> column_name("Timestamp"), column_name("exposure")
        ('t', '')
    """
    return _COLUMN.get(name.strip().casefold(), "")


def unit_of_name(name: str) -> str:
    """Give the unit that a time's name ends in, or nothing.

    Examples:
        >>> unit_of_name("t_us"), unit_of_name("t")
        ('us', '')
    """
    ending = name.strip().casefold().rpartition("_")[2]
    return ending if "_" in name and ending in ("s", "ms", "us", "ns") else ""
