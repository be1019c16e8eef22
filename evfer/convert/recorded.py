"""A clip that an event camera recorded: kept as it is, in evfer's form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evfer import config, recordings
from evfer.convert.recipe import PIPELINE_VERSION
from evfer.datasets.base import Dataset
from evfer.formats import EventSource, ReadParams
from evfer.provenance import __version__

__all__ = ["GENERATOR", "shaping", "write"]

GENERATOR = "sensor"
"""What such a recording names as its generator."""


def shaping(dataset: Dataset) -> dict[str, Any]:
    """Every setting that shapes a recording's events, as plain data; no recipe has a part."""
    reading = getattr(dataset, "reading", None)
    settings = config.to_dict(reading) if isinstance(reading, ReadParams) else {}
    return {"pipeline": PIPELINE_VERSION, "generator": GENERATOR, "reading": settings}


def write(
    path: Path,
    source: EventSource,
    dataset: Dataset,
    attributes: Mapping[str, str | int | float],
) -> None:
    """Write a camera's events as a recording.

    Args:
        path: the recording.
        source: the events.
        dataset: the reader they come from.
        attributes: what to store beside them: clip, label, source.

    Raises:
        OutputError: if it cannot be written.
    """
    settings = shaping(dataset)
    said: dict[str, str | int | float] = {
        **attributes,
        "faces": "null",
        "generator": GENERATOR,
        "generator_version": __version__,
        "params": config.canonical_json(settings),
        "params_sha256": config.digest(settings),
    }
    recordings.write(path, source.events, source.sensor_size, said, duration_us=source.duration_us)
