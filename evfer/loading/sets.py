"""A converted set's events as columns, ready for random access."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evfer import recordings
from evfer.errors import DataError, RecordingError
from evfer.events import Columns, Events, SensorSize
from evfer.files import sha256_file
from evfer.loading import cache
from evfer.loading.cache import Packed, Part
from evfer.recordings.index import IndexEntry, class_names, fingerprint_text, read_index
from evfer.transforms.edits import Facts

__all__ = ["EventSet", "load_set", "pack_events"]


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
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    labels: NDArray[np.int64]
    packed: Packed

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def sensor_size(self) -> SensorSize:
        """The sensor that all clips share."""
        return self.packed.sensor_size

    def columns(self, clip: int) -> Columns:
        """View a clip's events; times in microseconds, sorted."""
        return self.packed.clip(clip)

    def facts(self, clip: int) -> Facts:
        """Give what an augmentation may know of a clip, without reading it all."""
        n = self.packed.length(clip)
        if n:
            self.packed.need(clip, (0, 1), (n - 1, n), names=("t",))
        return Facts.of(self.packed.peek(clip), self.sensor_size)

    def events(self, clip: int) -> Events:
        """Copy a clip's events into a structured array of `EVENT_DTYPE`."""
        return self.columns(clip).events()


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
    entries = read_index(folder)
    if not entries:
        raise DataError(f"{folder}: its index lists no clip", hint="Convert the set again")
    codes = sorted({entry.label for entry in entries})
    name = cache.digest([f"{e.n_events} {e.events_sha256} {e.file_sha256}" for e in entries])
    recordings = _Recordings(folder, entries)
    packed = cache.packed(
        *(folder, name, [entry.n_events for entry in entries]),
        *(lambda: recordings.look(0).sensor_size, recordings.read),
    )
    recordings.size = packed.sensor_size
    # now rather than in the middle of a training
    for clip in packed.blank():
        if recordings.look(clip).events_sha256 is None:  # whole, to see that its events are such
            packed.clip(clip)
    return EventSet(
        folder.name,
        fingerprint_text((entry.clip_id, entry.events_sha256) for entry in entries)[1],
        class_names(entries),
        tuple(entry.clip_id for entry in entries),
        tuple(entry.subject for entry in entries),
        np.array([codes.index(entry.label) for entry in entries], np.int64),
        packed,
    )


class _Recordings:
    """The files of a set's clips; each is looked at once, before any part of it is read."""

    def __init__(self, folder: Path, entries: Sequence[IndexEntry]) -> None:
        self._folder, self._entries = folder, entries
        self._looked: dict[int, recordings.Layout] = {}
        self.size: SensorSize | None = None

    def read(self, clip: int, parts: Sequence[Part]) -> list[NDArray[Any]]:
        """Read parts of a clip's columns."""
        return self.look(clip).read(parts)

    def look(self, clip: int) -> recordings.Layout:
        """Look at a clip's recording.

        Raises:
            RecordingError: if it cannot be read, or does not fit the index or the other ones.
        """
        if clip in self._looked:
            return self._looked[clip]
        entry = self._entries[clip]
        path = self._folder / entry.path
        found = recordings.layout(path)
        if not _is_same(found, entry):
            raise RecordingError(
                f"{path}: not the recording that was converted",
                expected=f"events of the digest in index.csv, {entry.events_sha256[:12]}...",
                hint="evfer verify tells what differs; convert again to write it anew",
            )
        if found.n != entry.n_events:
            raise RecordingError(
                f"{path}: {found.n} events",
                expected=f"{entry.n_events}, as index.csv says",
                hint="Convert again to write both anew",
            )
        size = self.size = self.size or found.sensor_size
        if found.sensor_size != size:
            raise RecordingError(
                f"{path}: a sensor of {found.sensor_size.width} x {found.sensor_size.height}",
                expected=f"{size.width} x {size.height} as in the first recording; one size a set",
            )
        self._looked[clip] = found
        return found


def _is_same(found: recordings.Layout, entry: IndexEntry) -> bool:
    """Compare a recording with its line in the index, by what its header says.

    Whether its events are what the header says takes reading them all, which evfer verify does. A
    file of another tool says nothing, so all its bytes are compared.
    """
    if found.events_sha256 is None:
        return not entry.file_sha256 or sha256_file(found.path) == entry.file_sha256
    size = found.path.stat().st_size
    return found.events_sha256 == entry.events_sha256 and (
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
        name,
        fingerprint_text(zip(clip_ids, digests, strict=True))[1],
        tuple(classes),
        clip_ids,
        tuple(subjects),
        np.array(labels, np.int64),
        cache.memory([Columns.of(events) for events in clips], sensor_size),
    )
