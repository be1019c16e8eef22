"""Rendered heads that make facial expressions: the demo data set's source of frames.

    person = make_person(seed=0, person=3)
    plan = plan_clip(person, "happy", repetition=0, n_frames=24)
    frames = render_clip(person, plan)            # (24, 320, 320, 3), blue green red

`HeadClip` does the same from plain numbers, frame by frame. Shapes come from CC0 data (see
`demo-heads.LICENSE.txt`), everything else is drawn from the seed: the same seed gives the same
bytes on one platform. Importing this package loads neither numba nor OpenCV; using it does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evfer.heads.labels import EMOTIONS

if TYPE_CHECKING:
    from evfer.heads.expression import (
        ClipPlan,
        change_rate,
        exposure,
        head_pose,
        plan_clip,
        unit_weights,
    )
    from evfer.heads.identity import Person, make_person
    from evfer.heads.render import (
        RENDERER_VERSION,
        HeadClip,
        render_clip,
        render_digest,
        render_frames,
    )

__all__ = [
    "EMOTIONS",
    "RENDERER_VERSION",
    "ClipPlan",
    "HeadClip",
    "Person",
    "change_rate",
    "exposure",
    "head_pose",
    "make_person",
    "plan_clip",
    "render_clip",
    "render_digest",
    "render_frames",
    "unit_weights",
]

_HOME = {
    "ClipPlan": "expression",
    "change_rate": "expression",
    "exposure": "expression",
    "head_pose": "expression",
    "plan_clip": "expression",
    "unit_weights": "expression",
    "Person": "identity",
    "make_person": "identity",
    "RENDERER_VERSION": "render",
    "HeadClip": "render",
    "render_clip": "render",
    "render_digest": "render",
    "render_frames": "render",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
