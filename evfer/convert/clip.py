"""One clip to one recording: a pure function of the clip, its source and the recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import evfer
from evfer import config, store
from evfer.convert.recipe import ConversionConfig, open_dataset
from evfer.datasets.base import Clip, Dataset
from evfer.emulator import Seed, create
from evfer.errors import RecordingError, SourceError, VideoError
from evfer.events import SensorSize, from_raw
from evfer.faces import FaceClip, align
from evfer.files import sha256_file
from evfer.index import IndexEntry
from evfer.interpolation import interpolate_pairs
from evfer.video import FrameSource

__all__ = [
    "aligned_clip",
    "convert_clip",
    "recording_path",
    "recover_frames",
    "up_to_date",
]


def convert_clip(
    dataset: Dataset,
    clip: Clip,
    source: Path | None,
    folder: Path,
    settings: ConversionConfig,
) -> IndexEntry:
    """Convert one clip and write its recording.

    Raises:
        VideoError: if its frames cannot be read.
        FaceError: if no face can be followed.
        OutputError: if the recording cannot be written.
    """
    source_sha256 = dataset.source_digest(clip, source)
    frames = dataset.open(clip, source)
    aligned, times_s = _align_frames(frames, clip, settings)
    camera = create(settings.emulator, _seed(settings, dataset.name, clip))
    # pair by pair, since the frames between can be a hundred times those of the clip
    pieces = [
        from_raw(camera.run(frames, frame_times))
        for frames, frame_times in interpolate_pairs(
            aligned.frames, times_s, settings.interpolation
        )
    ]
    events = np.concatenate(pieces)
    size = settings.faces.size
    fps = _rate(times_s)
    attributes: dict[str, str | int | float] = {
        "dataset": dataset.name,
        "subject": clip.subject,
        "sequence": clip.sequence,
        "clip_id": clip.clip_id,
        "native_id": clip.native_id,
        "label": clip.label,
        "label_name": clip.label_name,
        "source_sha256": source_sha256,
        "source_frames": len(times_s),
        "source_fps": fps,
        **_remarks(frames),
        "faces": config.canonical_json(config.to_dict(aligned.report)),
        "generator": "evfer",
        "generator_version": evfer.__version__,
        "params": config.canonical_json(settings.shaping),
        "params_sha256": config.digest(settings.shaping),
        "seed": settings.seed,
    }
    path = recording_path(folder, clip)
    store.write(
        path,
        events,
        SensorSize(size, size),
        attributes,
        duration_us=round(float(times_s[-1]) * 1e6),
    )
    return _entry(path, clip, store.inspect(path))


def aligned_clip(
    dataset: Dataset, clip: Clip, source: Path | None, settings: ConversionConfig
) -> tuple[FaceClip, NDArray[np.float64]]:
    """Read a clip and give its aligned face crops and their times in seconds.

    Raises:
        VideoError: if its frames cannot be read, or are fewer than two.
        FaceError: if no face can be followed.
    """
    return _align_frames(dataset.open(clip, source), clip, settings)


def _align_frames(
    frames: FrameSource, clip: Clip, settings: ConversionConfig
) -> tuple[FaceClip, NDArray[np.float64]]:
    times_s = np.asarray(frames.times_s, np.float64)
    if len(times_s) < 2:
        raise VideoError(
            f"{clip.native_id}: {len(times_s)} frame", expected="at least two, or nothing changes"
        )
    return align(frames, settings.faces, fps=_rate(times_s)), times_s


def recover_frames(
    recording: Path, source: Path | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Make the face crops again that a recording's events came from.

    Args:
        recording: a recording inside a converted set; the set's `conversion.toml` says how.
        source: the set's source folder; not needed for rendered sets.

    Returns:
        Crops, shape (n, size, size), uint8, and their times in seconds, shape (n,).

    Raises:
        RecordingError: if the recording cannot be read.
        SourceError: if it is no part of a converted set, or its source is missing or changed.
    """
    attributes = store.inspect(recording)
    table = recording.resolve().parent.parent / "conversion.toml"
    if not table.is_file() or "clip_id" not in attributes:
        raise SourceError(
            f"{recording}: not inside a converted set",
            expected="<data>/FerDVS/<Set>/<subject>/<sequence>.h5 and a conversion.toml",
        )
    record = config.read_toml(table)
    settings = config.build(ConversionConfig, record.get("recipe", {}))
    dataset = open_dataset(str(record.get("dataset")), settings)
    for clip in dataset.survey(source).clips:
        if clip.clip_id != attributes["clip_id"]:
            continue
        if dataset.source_digest(clip, source) != attributes.get("source_sha256"):
            break
        aligned, times_s = aligned_clip(dataset, clip, source, settings)
        return aligned.frames, times_s
    raise SourceError(
        f"{recording}: its source is not what it was made from",
        expected=f"the clip {attributes.get('native_id')} as it was",
        hint="Give the unchanged source with --source, or convert again",
    )


def recording_path(folder: Path, clip: Clip) -> Path:
    """Give the place of a clip's recording in a set's folder."""
    return folder / clip.subject / f"{clip.sequence:03d}.h5"


def up_to_date(path: Path, clip: Clip, params_sha256: str, source_sha256: str) -> IndexEntry | None:
    """Give the index entry of a recording that a new run would make again, byte for byte."""
    if not path.exists():
        return None
    try:
        found = store.inspect(path)
        same = (
            found.get("params_sha256") == params_sha256
            and found.get("source_sha256") == source_sha256
            and found.get("generator_version") == evfer.__version__
            and (found.get("label"), found.get("label_name")) == (clip.label, clip.label_name)
            and found.get("native_id") == clip.native_id
        )
        return _entry(path, clip, found) if same else None
    except RecordingError:
        return None


def _entry(path: Path, clip: Clip, found: Mapping[str, Any]) -> IndexEntry:
    report = found["faces"]
    return IndexEntry(
        clip_id=clip.clip_id,
        path=path.relative_to(path.parent.parent).as_posix(),
        subject=clip.subject,
        sequence=clip.sequence,
        label=clip.label,
        label_name=clip.label_name,
        n_events=found["n_events"],
        duration_us=found["duration_us"],
        bytes=path.stat().st_size,
        file_sha256=sha256_file(path),
        events_sha256=found["events_sha256"],
        native_id=clip.native_id,
        fps=found["source_fps"],
        n_frames=found["source_frames"],
        detection_rate=report["detection_rate"],
        redetections=report["redetections"],
        median_iod=report["median_iod"],
        residual=report["residual"],
        yaw_first=report["yaw_first"],
        yaw_last=report["yaw_last"],
        outside=report["outside"],
    )


def _remarks(frames: FrameSource) -> dict[str, str]:
    """Name what a source chose on opening, such as a rotation, as attributes."""
    remarks: Mapping[str, str] = getattr(frames, "remarks", {})
    return {f"source_{key}": value for key, value in sorted(remarks.items())}


def _rate(times_s: NDArray[np.float64]) -> float:
    # rounded, since 30 should not become 30.000000000000004 in every file
    return round(float((len(times_s) - 1) / (times_s[-1] - times_s[0])), 6)


def _seed(settings: ConversionConfig, dataset: str, clip: Clip) -> Seed:
    if settings.emulator.pattern == "v2e":  # as --dvs_emulator_seed, which is one for all clips
        return settings.seed
    name = hashlib.sha256(f"{dataset}/{clip.clip_id}".encode()).digest()
    return (settings.seed, int.from_bytes(name[:8], "little"))
