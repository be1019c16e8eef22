"""Say what a path is: a recording, a data set or a results folder."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from evfer import formats, recordings
from evfer.errors import RecordingError, SourceError, UnreadableError

__all__ = ["describe"]


def describe(path: Path) -> dict[str, Any]:
    """Describe a path in plain data.

    Args:
        path: a recording, another tool's event file, a set's folder, a data folder, a run's
            folder or a results folder.

    Returns:
        `kind` and what belongs to it; nested values are mappings.

    Raises:
        SourceError: if it is none of these.
        RecordingError: if it is one, but damaged.
    """
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        try:
            return {"kind": "recording", "path": str(path), **recordings.inspect(path)}
        except UnreadableError:
            raise
        except RecordingError:
            if formats.sensor_size(path) is None:  # damaged, rather than another tool's
                raise
    if path.is_file() and formats.is_event_file(path):
        return _describe_events(path)
    if (path / "index.csv").is_file():
        return _describe_set(path)
    if (path / "FerDVS").is_dir():
        return {"kind": "data folder", "path": str(path), "sets": recordings.list_sets(path)}
    if (path / "rows.jsonl").is_file():
        return _describe_run(path)
    runs = sorted(file.parent for file in path.glob("*/rows.jsonl"))
    if runs:
        return {
            "kind": "results folder",
            "path": str(path),
            "runs": {run.name: _describe_run(run) for run in runs},
        }
    found = "nothing there" if not path.exists() else "not a recording, data set or results folder"
    raise SourceError(
        f"{path}: {found}",
        expected="a .h5 recording, <data>/FerDVS/<Set>, a data folder or a results folder",
    )


def _describe_events(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "event file", "path": str(path), "bytes": path.stat().st_size}
    if formats.sensor_size(path) is None:
        return found | {"format": formats.identify(path), "sensor": "not named, or damaged"}
    source = formats.read(path)
    size = source.sensor_size
    return found | {
        **source.remarks,
        "sensor": f"{size.width}x{size.height}",
        "n_events": len(source.events),
        "duration_us": source.duration_us,
    }


def _describe_set(folder: Path) -> dict[str, Any]:
    entries = recordings.read_index(folder)
    _, fingerprint = recordings.fingerprint_text((e.clip_id, e.events_sha256) for e in entries)
    found: dict[str, Any] = {
        "kind": "data set",
        "path": str(folder),
        "set": folder.name,
        "clips": len(entries),
        "subjects": len({entry.subject for entry in entries}),
        "labels": dict(Counter(entry.label_name for entry in entries)),
        "events": sum(entry.n_events for entry in entries),
        "without_events": sum(not entry.n_events for entry in entries),
        "seconds": round(sum(entry.duration_us for entry in entries) / 1e6, 3),
        "bytes": sum(entry.bytes for entry in entries),
        "fingerprint": fingerprint,
    }
    for name in ("conversion", "manifest"):
        file = folder / f"{name}.toml"
        if file.is_file():
            try:
                found[name] = tomllib.loads(file.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                found[name] = f"damaged: {error}"
    return found


def _describe_run(folder: Path) -> dict[str, Any]:
    from evfer.bench.rows import read_rows  # on use: the bench loads PyTorch

    stored = read_rows(folder / "rows.jsonl")
    scores = [row.accuracy for row in stored.rows if row.accuracy is not None]
    return {
        "kind": "run",
        "path": str(folder),
        "rows": len(stored.rows),
        "damaged_rows": stored.n_damaged,
        "models": sorted({row.model for row in stored.rows}),
        "datasets": sorted({row.dataset or row.set_name for row in stored.rows}),
        "mean_accuracy": round(sum(scores) / len(scores), 4) if scores else None,
    }
