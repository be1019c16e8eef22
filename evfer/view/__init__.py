"""Pictures and films of recordings and data sets, for looking at them.

`render` takes a path, `render_events` events in memory, with source frames where there are some.
"""

from __future__ import annotations

from evfer.view.clip import Clip, ViewParams
from evfer.view.rendering import clip_of, render, render_events
from evfer.view.variants import PlayerParams

__all__ = ["Clip", "PlayerParams", "ViewParams", "clip_of", "render", "render_events"]
