"""A converted set's events as columns, ready for random access."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evfer import store
from evfer.errors import DataError, RecordingError
from evfer.events import Columns, Events, SensorSize
from evfer.files import sha256_file
from evfer.index import IndexEntry, class_names, fingerprint_text, read_index
from evfer.loading import cache
from evfer.loading.cache import Packed

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
        offsets = self.packed.offsets
        return self.packed.columns.take(slice(int(offsets[clip]), int(offsets[clip + 1])))

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
    lengths = [entry.n_events for entry in entries]
    return EventSet(
        folder.name,
        fingerprint_text((entry.clip_id, entry.events_sha256) for entry in entries)[1],
        class_names(entries),
        tuple(entry.clip_id for entry in entries),
        tuple(entry.subject for entry in entries),
        np.array([codes.index(entry.label) for entry in entries], np.int64),
        cache.packed(folder, name, lengths, lambda: _clips(folder, entries)),
    )


def _clips(folder: Path, entries: Sequence[IndexEntry]) -> Iterator[tuple[Columns, SensorSize]]:
    size: SensorSize | None = None
    for entry in entries:
        path = folder / entry.path
        _require_same(path, entry)
        columns, found = store.read_columns(path)
        if len(columns.t) != entry.n_events:
            raise RecordingError(
                f"{path}: {len(columns.t)} events",
                expected=f"{entry.n_events}, as index.csv says",
                hint="Convert again to write both anew",
            )
        size = size or found
        if found != size:
            raise RecordingError(
                f"{path}: a sensor of {found.width} x {found.height} pixels",
                expected=f"{size.width} x {size.height} as in the first recording; one size a set",
            )
        yield columns, found


def _require_same(path: Path, entry: IndexEntry) -> None:
    # by the file's bytes, a fifth of the table's
    if not entry.file_sha256 or not path.is_file():  # reading names what is missing
        return
    if sha256_file(path) != entry.file_sha256:
        raise RecordingError(
            f"{path}: not the file that was converted",
            expected=f"the digest in index.csv, {entry.file_sha256[:12]}...",
            hint="evfer verify tells what differs; convert again to write it anew",
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
    columns = ((Columns.of(events), sensor_size) for events in clips)
    return EventSet(
        name,
        fingerprint_text(zip(clip_ids, digests, strict=True))[1],
        tuple(classes),
        clip_ids,
        tuple(subjects),
        np.array(labels, np.int64),
        cache.memory(columns, [len(events) for events in clips]),
    )
