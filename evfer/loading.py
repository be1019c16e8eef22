"""A converted set in memory, and its batches.

All events of a set are kept as columns, 9 bytes an event: the four published sets together hold
some 270 million events and so take about 2.5 GB. A batch is a pure function of the set, the
settings, the seed, the fold and the epoch, so threads may make batches ahead in any number.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evfer import store
from evfer.errors import ConfigError, DataError, RecordingError
from evfer.events import EVENT_DTYPE, Events, SensorSize
from evfer.frames import FramesParams, fill_frames
from evfer.index import class_names, fingerprint_text, read_index
from evfer.region import Region
from evfer.transforms import Augmentation, sample_rng

__all__ = ["Batch", "EventSet", "Loader", "load_set", "make_frames", "pack_events"]

MAX_EVENTS = 1_000_000_000
"""Events that `load_set` takes into memory at most, unless told otherwise (9 GB)."""


@dataclass(frozen=True, eq=False)
class EventSet:
    """All clips of a set, their events as columns.

    Args:
        name: the set's name, such as "DemoDVS".
        fingerprint: digest of all clips' events.
        sensor_size: the sensor that all clips share.
        classes: names of the classes.
        clip_ids: the clips (n).
        subjects: who is shown, one a clip.
        labels: class indices, int64, shape (n,).
        offsets: where each clip's events begin, int64, shape (n + 1,).
        x: columns of all events, int16.
        y: rows of all events, int16.
        p: polarities of all events, bool.
        t: times of all events in microseconds, uint32, sorted within each clip.
    """

    name: str
    fingerprint: str
    sensor_size: SensorSize
    classes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    labels: NDArray[np.int64]
    offsets: NDArray[np.int64]
    x: NDArray[np.int16]
    y: NDArray[np.int16]
    p: NDArray[np.bool_]
    t: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.clip_ids)

    def span(self, clip: int) -> slice:
        """Give the place of a clip's events in the columns."""
        return slice(int(self.offsets[clip]), int(self.offsets[clip + 1]))

    def events(self, clip: int) -> Events:
        """Copy a clip's events into a structured array of `EVENT_DTYPE`."""
        span = self.span(clip)
        events: Events = np.empty(span.stop - span.start, EVENT_DTYPE)
        for name in ("x", "y", "p", "t"):
            events[name] = getattr(self, name)[span]
        return events


def load_set(folder: Path, max_events: int = MAX_EVENTS) -> EventSet:
    """Read a converted set into memory.

    Args:
        folder: the set's folder, `<data>/FerDVS/<Set>`.
        max_events: refuse larger sets before reading them.

    Raises:
        SourceError: if there is no converted set.
        RecordingError: if a recording cannot be read, or does not fit the index.
        DataError: if the set is too large, or empty.
    """
    folder = Path(folder)
    entries = read_index(folder)
    total = sum(entry.n_events for entry in entries)
    if not entries:
        raise DataError(f"{folder}: its index lists no clip", hint="Convert the set again")
    if total > max_events:
        raise DataError(
            f"{folder}: {total:,} events",
            expected=f"at most {max_events:,} ({9 * max_events / 1e9:.1f} GB)",
            hint="Raise the limit where the memory is there, or convert fewer clips",
        )
    codes = sorted({entry.label for entry in entries})
    sizes: set[SensorSize] = set()

    def read() -> Iterator[Events]:
        for entry in entries:
            recording = store.read(folder / entry.path)
            sizes.add(recording.sensor_size)
            if len(recording.events) != entry.n_events:
                raise RecordingError(
                    f"{folder / entry.path}: {len(recording.events)} events",
                    expected=f"{entry.n_events}, as index.csv says",
                    hint="Convert again to write both anew",
                )
            yield recording.events

    columns = _pack(read(), [entry.n_events for entry in entries])
    if len(sizes) > 1:
        raise RecordingError(
            f"{folder}: recordings of {len(sizes)} sensor sizes", expected="one size a set"
        )
    return EventSet(
        folder.name,
        fingerprint_text((entry.clip_id, entry.events_sha256) for entry in entries)[1],
        sizes.pop(),
        class_names(entries),
        tuple(entry.clip_id for entry in entries),
        tuple(entry.subject for entry in entries),
        np.array([codes.index(entry.label) for entry in entries], np.int64),
        *columns,
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
        sensor_size,
        tuple(classes),
        clip_ids,
        tuple(subjects),
        np.array(labels, np.int64),
        *_pack(iter(clips), [len(events) for events in clips]),
    )


def _pack(
    clips: Iterator[Events], lengths: Sequence[int]
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int16],
    NDArray[np.int16],
    NDArray[np.bool_],
    NDArray[np.uint32],
]:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(offsets[-1])
    x, y = np.empty(total, np.int16), np.empty(total, np.int16)
    p, t = np.empty(total, np.bool_), np.empty(total, np.uint32)
    for i, events in enumerate(clips):
        span = slice(offsets[i], offsets[i + 1])
        x[span], y[span], p[span], t[span] = (events[name] for name in ("x", "y", "p", "t"))
    return offsets, x, y, p, t


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
    size = data.sensor_size
    region = Region(0, 0, size.width, size.height)
    span = data.span(clip)
    columns = (data.x[span], data.y[span], data.p[span], data.t[span])
    if rng is not None:
        if augmentation.of_stage("events"):
            events = augmentation.on_events(data.events(clip), size, rng)
            columns = (
                np.ascontiguousarray(events["x"]),
                np.ascontiguousarray(events["y"]),
                np.ascontiguousarray(events["p"]),
                events["t"].astype(np.uint32),
            )
        region = augmentation.on_region(size, rng)
    frames = np.zeros(params.shape(region), np.uint8 if params.binary else np.float32)
    fill_frames(frames, *columns, size, params, region)
    if rng is not None:
        return augmentation.on_frames(frames, rng)
    return frames


@dataclass(frozen=True)
class Batch:
    """Some clips, ready for a network.

    Args:
        frames: shape (n, t, c, h, w), uint8 or float32.
        labels: class indices, int64, shape (n,).
        clips: positions of the clips in the set (n).
    """

    frames: torch.Tensor
    labels: torch.Tensor
    clips: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches of some clips of a set, epoch by epoch.

    Args:
        data: the set.
        clips: positions of the clips to give.
        frames: how events become frames; the number of steps must be the same for all clips.
        batch_size: clips a batch; a last batch of one clip joins the one before.
        training: whether clips are shuffled and augmented; else they come as they are, in order.
        augmentation: what to change in training.
        seed: the run's seed.
        fold: number of the fold.
        workers: threads that make batches ahead; 0 makes each when it is asked for.

    Raises:
        ConfigError: if there is no clip, or a setting cannot be used.
    """

    data: EventSet
    clips: tuple[int, ...]
    frames: FramesParams
    batch_size: int
    training: bool = False
    augmentation: Augmentation = Augmentation()  # noqa: RUF009 (frozen)
    seed: int = 0
    fold: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"train.batch_size = {self.batch_size}", expected="1 or more")
        if not self.clips:
            raise ConfigError("no clip to load", expected="one or more")
        if self.frames.kind == "count":
            raise ConfigError(
                'frames.kind = "count" gives each clip another number of steps',
                expected="as many steps for every clip",
                hint='Choose frames.kind = "count_or_bins"',
            )

    def __len__(self) -> int:
        """Give the number of batches of an epoch."""
        return len(self._cut(self.clips))

    def order(self, epoch: int) -> tuple[tuple[int, ...], ...]:
        """Give an epoch's clips, batch by batch."""
        if not self.training:
            return self._cut(self.clips)
        # no clip has this name, so its generator belongs to the order alone
        rng = sample_rng(self.seed, self.fold, "*order*", epoch)
        return self._cut(tuple(self.clips[i] for i in rng.permutation(len(self.clips))))

    def _cut(self, clips: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        starts = list(range(0, len(clips), self.batch_size))
        if len(starts) > 1 and len(clips) - starts[-1] < 2:
            starts.pop()  # batch normalisation cannot learn from one clip
        return tuple(
            clips[start:end] for start, end in zip(starts, [*starts[1:], len(clips)], strict=True)
        )

    def batch(self, clips: Sequence[int], epoch: int) -> Batch:
        """Make the batch of some clips in an epoch."""
        made = [self._sample(clip, epoch) for clip in clips]
        return Batch(
            torch.from_numpy(np.stack(made)),
            torch.from_numpy(self.data.labels[list(clips)]),
            tuple(clips),
        )

    def _sample(self, clip: int, epoch: int) -> NDArray[np.uint8] | NDArray[np.float32]:
        if not self.training:
            return make_frames(self.data, clip, self.frames)
        rng = sample_rng(self.seed, self.fold, self.data.clip_ids[clip], epoch)
        return make_frames(self.data, clip, self.frames, self.augmentation, rng)

    def epoch(self, epoch: int) -> Generator[Batch]:
        """Give the batches of an epoch.

        Args:
            epoch: number of the epoch; it chooses the order and every sample's augmentation.
        """
        order = self.order(epoch)
        if self.workers < 1:
            for clips in order:
                yield self.batch(clips, epoch)
            return
        with ThreadPoolExecutor(self.workers, "evfer-loader") as pool:
            ahead: deque[Future[Batch]] = deque()
            try:
                for clips in order:
                    ahead.append(pool.submit(self.batch, clips, epoch))
                    if len(ahead) > self.workers + 1:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)
