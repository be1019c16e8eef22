"""One clip to one recording: a pure function of the clip, its source and the recipe."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer import config, recordings
from evfer.convert import recorded, span
from evfer.convert.recipe import ConversionConfig, open_dataset
from evfer.datasets.base import Clip, Dataset, open_frames
from evfer.emulator import Seed, create
from evfer.errors import SourceError, VideoError
from evfer.events import Events, SensorSize, from_raw
from evfer.faces import FaceClip, FaceCut, align, find_apex, plan_cut, track
from evfer.faces.apex import LEAST_HEIGHT
from evfer.files import sha256_file
from evfer.formats import EventSource
from evfer.interpolation import interpolate_pairs
from evfer.provenance import __version__
from evfer.recordings.index import IndexEntry
from evfer.video import FrameSource

__all__ = [
    "AlignedClip",
    "ConvertedClip",
    "aligned_clip",
    "convert_clip",
    "events_of_frames",
    "index_entry",
    "recording_path",
    "recover_frames",
]


def convert_clip(
    dataset: Dataset,
    clip: Clip,
    source: Path | None,
    folder: Path,
    settings: ConversionConfig,
) -> IndexEntry:
    """Convert one clip and write its recording.

    An event camera's recording is kept as it is, in evfer's form.

    Raises:
        VideoError: if its frames cannot be read.
        RecordingError: if its events cannot be read.
        FaceError: if no face can be followed.
        OutputError: if the recording cannot be written.
    """
    settings = settings.resolved(dataset.name)
    source_sha256 = dataset.source_digest(clip, source)
    path = recording_path(folder, clip)
    frames = dataset.open(clip, source)
    if isinstance(frames, EventSource):
        said = _identity(dataset, clip, source_sha256) | _remarks(frames)
        recorded.write(path, frames, dataset, said)
        return index_entry(path, clip, recordings.inspect(path))
    converted = events_of_frames(frames, clip, settings, dataset.name)
    found, aligned, times_s = converted.aligned, converted.aligned.face, converted.aligned.times_s
    shaping = settings.shaping_of(clip)
    attributes: dict[str, str | int | float] = {
        **_identity(dataset, clip, source_sha256),
        "source_frames": found.n_source,
        "source_fps": _rate(times_s),
        **found.attributes,
        **_remarks(frames),
        "faces": config.canonical_json(config.to_dict(aligned.report)),
        "generator": "evfer",
        "generator_version": __version__,
        "params": config.canonical_json(shaping),
        "params_sha256": config.digest(shaping),
        "seed": settings.seed,
    }
    recordings.write(
        path,
        converted.events,
        converted.sensor_size,
        attributes,
        duration_us=round(float(times_s[-1]) * 1e6),
    )
    return index_entry(path, clip, recordings.inspect(path))


@dataclass(frozen=True, eq=False)
class ConvertedClip:
    """A clip's events, and the faces that they were made of.

    Args:
        events: structured events of `EVENT_DTYPE`, sorted by time.
        sensor_size: the sensor that they lie on.
        aligned: the faces and their times.
    """

    events: Events
    sensor_size: SensorSize
    aligned: AlignedClip


def events_of_frames(
    frames: FrameSource, clip: Clip, settings: ConversionConfig, dataset: str
) -> ConvertedClip:
    """Make events of a clip's frames: follow the face, cut it out, make frames between, emulate.

    Args:
        frames: the frames.
        clip: names the clip; its sensor's pattern is drawn from its name and the data set's.
        settings: the recipe, resolved.
        dataset: the data set's name.

    Raises:
        VideoError: if the frames cannot be read.
        FaceError: if no face can be followed.
    """
    aligned = _align_frames(frames, clip, settings)
    camera = create(settings.emulator, _seed(settings, dataset, clip))
    # crop by crop and pair by pair, so that a clip of any length fits
    pieces = []
    for piece, times_s in interpolate_pairs(aligned.face, aligned.times_s, settings.interpolation):
        pieces.append(from_raw(camera.run(piece, times_s)))
    size = SensorSize(settings.faces.size, settings.faces.size)
    return ConvertedClip(np.concatenate(pieces), size, aligned)


def aligned_clip(
    dataset: Dataset, clip: Clip, source: Path | None, settings: ConversionConfig
) -> tuple[FaceClip, NDArray[np.float64]]:
    """Read a clip and give its aligned face crops and their times in seconds.

    Raises:
        VideoError: if its frames cannot be read, or are fewer than two.
        FaceError: if no face can be followed.
    """
    settings = settings.resolved(dataset.name)
    found = _align_frames(open_frames(dataset, clip, source), clip, settings)
    return found.face.collect(), found.times_s


@dataclass(frozen=True, eq=False)
class AlignedClip:
    """The part of a clip that is converted: faces, times from 0, and where it lies."""

    face: FaceCut
    times_s: NDArray[np.float64]
    range: str
    first: int
    last: int
    n_source: int
    apex: int | None = None

    @property
    def attributes(self) -> dict[str, str | int]:
        """What a recording says of the part."""
        said: dict[str, str | int] = {
            "range": self.range,
            "first_frame": self.first,
            "last_frame": self.last,
        }
        return said if self.apex is None else {**said, "apex_frame": self.apex}


def _align_frames(frames: FrameSource, clip: Clip, settings: ConversionConfig) -> AlignedClip:
    times_s = np.asarray(frames.times_s, np.float64)
    n_source = len(times_s)
    if n_source < 2:
        raise VideoError(
            f"{clip.native_id}: {n_source} frame", expected="at least two, or nothing changes"
        )
    chosen = span.given(settings.clip, clip)
    if chosen is not None:
        span.check_frames(chosen, n_source, clip)
        part = span.Part(frames, *chosen)
        tracked = track(part, settings.faces)
        face = plan_cut(tracked, settings.faces, _rate(part.times_s))
        return AlignedClip(face, part.times_s, "frames", *chosen, n_source)
    fps = _rate(times_s)
    if settings.clip.range == "full":
        face = plan_cut(track(frames, settings.faces), settings.faces, fps)
        return AlignedClip(face, times_s, "full", 0, n_source - 1, n_source)
    return _align_to_apex(frames, times_s, fps, settings)


def _align_to_apex(
    frames: FrameSource, times_s: NDArray[np.float64], fps: float, settings: ConversionConfig
) -> AlignedClip:
    tracked = track(frames, settings.faces)
    found = find_apex(tracked.track.points, fps, settings.faces, missed=tracked.track.missed)
    if found.frame:
        part = span.Part(frames, 0, found.frame)
        face = plan_cut(tracked, settings.faces, _rate(part.times_s), stop=found.frame + 1)
        return AlignedClip(face, part.times_s, "to-apex", 0, found.frame, len(times_s), found.frame)
    face = plan_cut(tracked, settings.faces, fps)
    remark = (
        f"No apex was found, so that the whole clip is kept: brows and mouth stay displaced by "
        f"{found.height:.3f} of the eyes' distance at most; {LEAST_HEIGHT} are an expression."
    )
    report = dataclasses.replace(face.report, warnings=(*face.report.warnings, remark))
    face = dataclasses.replace(face, report=report)
    return AlignedClip(face, times_s, "full", 0, len(times_s) - 1, len(times_s))


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
        VideoError: if it comes from an event camera, and so from no frames.
    """
    attributes = recordings.inspect(recording)
    if attributes.get("generator") == recorded.GENERATOR:
        raise VideoError(f"{recording}: recorded by an event camera, and so from no frames")
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
        frames = open_frames(dataset, clip, source)
        # recordings of before that clips could be cut hold whole ones
        last = attributes.get("last_frame", len(frames) - 1)
        part = span.Part(frames, attributes.get("first_frame", 0), last)
        aligned = align(part, settings.faces, fps=_rate(part.times_s))
        return aligned.frames, part.times_s
    raise SourceError(
        f"{recording}: its source is not what it was made from",
        expected=f"the clip {attributes.get('native_id')} as it was",
        hint="Give the unchanged source with --source, or convert again",
    )


def recording_path(folder: Path, clip: Clip) -> Path:
    """Give the place of a clip's recording in a set's folder."""
    return folder / clip.subject / f"{clip.sequence:03d}.h5"


def index_entry(path: Path, clip: Clip, found: Mapping[str, Any]) -> IndexEntry:
    """Describe a recording for the index.

    Args:
        path: the recording, in its place.
        clip: its clip.
        found: what `recordings.inspect` says of it.
    """
    filmed = found["generator"] != recorded.GENERATOR
    report = found["faces"] if filmed else {}
    n_source = found["source_frames"] if filmed else 0
    first, last = found.get("first_frame", 0), found.get("last_frame", n_source - 1)
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
        fps=found.get("source_fps"),
        n_frames=last - first + 1,
        detection_rate=report.get("detection_rate"),
        redetections=report.get("redetections"),
        median_iod=report.get("median_iod"),
        residual=report.get("residual"),
        yaw_first=report.get("yaw_first"),
        yaw_last=report.get("yaw_last"),
        outside=report.get("outside"),
        range=found.get("range", "full") if filmed else None,
        first_frame=first if filmed else None,
        last_frame=last if filmed else None,
        source_frames=n_source if filmed else None,
        source_sha256=found.get("source_sha256"),
        person=clip.person or None,
    )


def _identity(dataset: Dataset, clip: Clip, source_sha256: str) -> dict[str, str | int | float]:
    return {
        "dataset": dataset.name,
        "subject": clip.subject,
        "sequence": clip.sequence,
        "clip_id": clip.clip_id,
        "native_id": clip.native_id,
        "label": clip.label,
        "label_name": clip.label_name,
        "source_sha256": source_sha256,
    }


def _remarks(frames: FrameSource | EventSource) -> dict[str, str]:
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
