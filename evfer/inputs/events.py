"""A converted set's events, and the frames that a network gets of them."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evfer import recordings
from evfer.errors import ConfigError, DataError, RecordingError
from evfer.events import Columns, Events, SensorSize
from evfer.files import sha256_file
from evfer.frames import FramesParams, fill_frames, used_fraction
from evfer.inputs import cache, fused
from evfer.inputs.cache import PackedEvents
from evfer.inputs.device import EventsOnDevice, make_frames_on
from evfer.recordings import IndexEntry
from evfer.region import Region
from evfer.transforms import Augmentation
from evfer.transforms.edits import ClipSummary, EditPlan

__all__ = ["EventInputs", "EventSet", "load_set", "make_frames", "pack_events"]


@dataclass(frozen=True, eq=False)
class EventSet:
    """All clips of a set, their events as columns.

    Args:
        name: the set's name, such as "DemoDVS".
        fingerprint: digest of all clips' events.
        classes: names of the classes.
        clip_ids: the clips (n).
        subjects: who is shown, one a clip.
        labels: class indices, int64, shape (n,).
        packed: the events.
        labels_sha256: digest of who shows what; empty for sets in memory.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    labels: NDArray[np.int64]
    packed: PackedEvents
    labels_sha256: str = ""

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def sensor_size(self) -> SensorSize:
        """The sensor that all clips share."""
        return self.packed.sensor_size

    def columns(self, clip: int) -> Columns:
        """View a clip's events; times in microseconds, sorted."""
        return self.packed.clip(clip)

    def events(self, clip: int) -> Events:
        """Copy a clip's events into a structured array of `EVENT_DTYPE`."""
        return self.columns(clip).events()


@dataclass(frozen=True, eq=False)
class EventInputs:
    """Frames of a converted set's clips; see `evfer.inputs.Inputs`.

    Args:
        data: the set.
        frames: how events become frames; the number of steps must be the same for all clips.
        augmentation: what changes a sample that is drawn with a generator.
        held: the set on a device, where frames are then made; None makes them on the CPU.

    Raises:
        ConfigError: if a setting cannot be used.
    """

    data: EventSet
    frames: FramesParams
    augmentation: Augmentation = Augmentation()  # noqa: RUF009 (frozen)
    held: EventsOnDevice | None = None

    def __post_init__(self) -> None:
        if self.frames.kind == "count":
            raise ConfigError(
                'frames.kind = "count" gives each clip another number of steps',
                expected="as many steps for every clip",
                hint='Choose frames.kind = "count_or_bins"',
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.data.classes

    @property
    def targets(self) -> NDArray[np.int64]:
        """Class indices, shape (n,)."""
        return self.data.labels

    @property
    def ids(self) -> tuple[str, ...]:
        """The clips (n)."""
        return self.data.clip_ids

    @property
    def groups(self) -> tuple[str, ...]:
        """Who is shown in each clip (n)."""
        return self.data.subjects

    @property
    def fingerprint(self) -> str:
        """Digest of all clips' events."""
        return self.data.fingerprint

    @property
    def splits(self) -> None:
        """None: a converted set's folds lie beside it."""
        return None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of a clip's frames, (t, c, h, w)."""
        size = self.data.sensor_size
        return self.frames.shape(Region(0, 0, size.width, size.height))

    def make(self, sample: int, rng: np.random.Generator | None) -> NDArray[Any] | torch.Tensor:
        """Make a clip's frames, augmented where a generator draws them."""
        if self.held is None:
            return make_frames(self.data, sample, self.frames, self.augmentation, rng)
        again, columns = copy.deepcopy(rng), self.data.columns(sample)
        frames = make_frames_on(self.held, columns, sample, self.frames, self.augmentation, rng)
        if frames is None:  # settings that need the CPU
            made = make_frames(self.data, sample, self.frames, self.augmentation, again)
            frames = torch.from_numpy(np.ascontiguousarray(made)).to(self.held.t.device)
        return frames

    def on(self, device: torch.device) -> EventInputs:
        """Copy the events to a GPU, where they fit it, so that frames are made there."""
        if device.type == "cpu":
            return self
        for clip in range(len(self.data)):
            self.data.columns(clip)  # what is not in the cache yet comes now
        packed = self.data.packed
        held = EventsOnDevice.on(packed.columns, packed.offsets, packed.sensor_size, device)
        return dataclasses.replace(self, held=held)

    def describe(self, sample: int) -> Mapping[str, float]:
        """Give the share of a clip's events that reach a frame, as `used_fraction`."""
        return {"used_fraction": used_fraction(self.data.columns(sample).t, self.frames)}


def make_frames(
    data: EventSet,
    clip: int,
    params: FramesParams,
    augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
    rng: np.random.Generator | None = None,
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Make one clip's frames, augmented if asked for.

    Args:
        data: the set.
        clip: position of the clip in the set.
        params: how events become frames.
        augmentation: what to change; nothing by default.
        rng: the sample's generator; without it nothing is changed.

    Returns:
        Frames, shape (t, c, h, w): uint8 zeros and ones, or float32 counts.
    """
    size, columns = data.sensor_size, data.columns(clip)
    region, edits = Region(0, 0, size.width, size.height), EditPlan()
    if rng is not None:
        if augmentation.of_stage("events"):
            summary = ClipSummary.of(columns, size)
            changed, edits = augmentation.plan(summary, lambda: columns, rng)
            columns = changed or columns
        region = augmentation.on_region(size, rng)
    frames = np.zeros(params.shape(region), np.uint8 if params.binary else np.float32)
    if edits.empty or params.real:
        fill_frames(frames, *edits(columns, size), size, params, region)
    else:
        fused.fill(frames, columns, edits, size, params, region)
    return augmentation.on_frames(frames, rng) if rng is not None else frames


def load_set(folder: Path) -> EventSet:
    """Open a converted set, by way of its packed cache.

    Args:
        folder: the set's folder, `<data>/FerDVS/<Set>`.

    Raises:
        SourceError: if there is no converted set.
        RecordingError: if a recording cannot be read, or does not fit the index.
        DataError: if the set is empty.
    """
    folder = Path(folder)
    entries = recordings.read_index(folder)
    if not entries:
        raise DataError(f"{folder}: its index lists no clip", hint="Convert the set again")
    codes = sorted({entry.label for entry in entries})
    name = cache.digest([f"{e.n_events} {e.events_sha256} {e.file_sha256}" for e in entries])
    files = _Recordings(folder, entries)
    packed = cache.open_cache(
        folder,
        name,
        [entry.n_events for entry in entries],
        look=files.sensor,
        read=files.read,
    )
    files.size = packed.sensor_size
    # now rather than in the middle of a training
    for clip in range(len(entries)):
        if not packed.has(clip) and files.look(clip).events_sha256 is None:
            packed.clip(clip)  # whole, to see that its events are such
    return EventSet(
        name=folder.name,
        fingerprint=recordings.fingerprint_text(
            (entry.clip_id, entry.events_sha256) for entry in entries
        )[1],
        classes=recordings.class_names(entries),
        clip_ids=tuple(entry.clip_id for entry in entries),
        subjects=tuple(entry.subject for entry in entries),
        labels=np.array([codes.index(entry.label) for entry in entries], np.int64),
        packed=packed,
        labels_sha256=recordings.labels_digest(entries),
    )


class _Recordings:
    """The files of a set's clips; each is looked at once, before it is read."""

    def __init__(self, folder: Path, entries: Sequence[IndexEntry]) -> None:
        self._folder, self._entries = folder, entries
        self._looked: dict[int, recordings.Layout] = {}
        self.size: SensorSize | None = None

    def sensor(self) -> SensorSize:
        """Give the sensor of the first recording, which all share."""
        return self.look(0).sensor_size

    def read(self, clip: int) -> Columns:
        """Read a clip's events."""
        return self.look(clip).columns()

    def look(self, clip: int) -> recordings.Layout:
        """Look at a clip's recording.

        Raises:
            RecordingError: if it cannot be read, or does not fit the index or the other ones.
        """
        if clip in self._looked:
            return self._looked[clip]
        entry = self._entries[clip]
        path = self._folder / entry.path
        layout = recordings.layout(path)
        if not _is_same(layout, entry):
            raise RecordingError(
                f"{path}: not the recording that was converted",
                expected=f"events of the digest in index.csv, {entry.events_sha256[:12]}...",
                hint="evfer verify tells what differs; convert again to write it anew",
            )
        if layout.n != entry.n_events:
            raise RecordingError(
                f"{path}: {layout.n} events",
                expected=f"{entry.n_events}, as index.csv says",
                hint="Convert again to write both anew",
            )
        size = self.size = self.size or layout.sensor_size
        if layout.sensor_size != size:
            raise RecordingError(
                f"{path}: a sensor of {layout.sensor_size.width} x {layout.sensor_size.height}",
                expected=f"{size.width} x {size.height} as in the first recording; one size a set",
            )
        self._looked[clip] = layout
        return layout


def _is_same(layout: recordings.Layout, entry: IndexEntry) -> bool:
    """Compare a recording with its line in the index, by what its header says.

    Whether its events are what the header says takes reading them all, which evfer verify does. A
    file of another tool says nothing, so all its bytes are compared.
    """
    if layout.events_sha256 is None:
        return not entry.file_sha256 or sha256_file(layout.path) == entry.file_sha256
    size = layout.path.stat().st_size
    return layout.events_sha256 == entry.events_sha256 and (
        not entry.file_sha256 or size == entry.bytes
    )


def pack_events(
    clips: Sequence[Events],
    labels: Sequence[int],
    subjects: Sequence[str],
    sensor_size: SensorSize,
    classes: Sequence[str],
    name: str = "MemoryDVS",
) -> EventSet:
    """Make a set of events that are in memory already.

    Args:
        clips: events of `EVENT_DTYPE`, sorted by time, one array a clip.
        labels: class indices, one a clip.
        subjects: who is shown, one a clip.
        sensor_size: the sensor they lie on.
        classes: names of the classes.
        name: the set's name.

    Returns:
        The set; clips are named `<subject>/<number, 3 digits>`.
    """
    clip_ids = tuple(f"{subject}/{i:03d}" for i, subject in enumerate(subjects))
    digests = [hashlib.sha256(events.tobytes()).hexdigest() for events in clips]
    return EventSet(
        name=name,
        fingerprint=recordings.fingerprint_text(zip(clip_ids, digests, strict=True))[1],
        classes=tuple(classes),
        clip_ids=clip_ids,
        subjects=tuple(subjects),
        labels=np.array(labels, np.int64),
        packed=cache.in_memory([Columns.of(events) for events in clips], sensor_size),
    )
