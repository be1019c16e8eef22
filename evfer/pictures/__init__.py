"""Pictures of events, and how figures are drawn and saved.

`events` turns events into colour pictures and rate curves with numpy alone; `drawing` sets up
matplotlib so that the same figure always gives the same bytes and texts from data stay plain text.
"""

from __future__ import annotations

from evfer.pictures.events import (
    DARK,
    GROUNDS,
    LIGHT,
    Colours,
    accumulate,
    event_picture,
    event_rates,
    show_frame,
    time_windows,
)

__all__ = [
    "DARK",
    "GROUNDS",
    "LIGHT",
    "Colours",
    "accumulate",
    "event_picture",
    "event_rates",
    "show_frame",
    "time_windows",
]
