"""Batches, epoch by epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from evfer.errors import ConfigError
from evfer.frames import FramesParams
from evfer.loading.device import DeviceSet, make_frames_on
from evfer.loading.samples import make_frames
from evfer.loading.sets import EventSet
from evfer.transforms import Augmentation, sample_rng

__all__ = ["Batch", "Loader"]


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
        batch_size: clips a batch; a last batch of one clip joins the one before, unless it is to
            be kept.
        training: whether clips are shuffled and augmented; else they come as they are, in order.
        augmentation: what to change in training.
        seed: the run's seed.
        fold: number of the fold.
        workers: threads that make batches ahead; 0 makes each when it is asked for.
        held: the set on a device, where the frames are then made; None makes them on the CPU.
        keep_last: leave a last batch of one clip alone.

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
    held: DeviceSet | None = None
    keep_last: bool = False

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
        if len(starts) > 1 and len(clips) - starts[-1] < 2 and not self.keep_last:
            starts.pop()  # batch normalisation cannot learn from one clip
        return tuple(
            clips[start:end] for start, end in zip(starts, [*starts[1:], len(clips)], strict=True)
        )

    def batch(self, clips: Sequence[int], epoch: int) -> Batch:
        """Make the batch of some clips in an epoch."""
        return Batch(
            torch.stack([self._sample(clip, epoch) for clip in clips]),
            torch.from_numpy(self.data.labels[list(clips)]),
            tuple(clips),
        )

    def _sample(self, clip: int, epoch: int) -> torch.Tensor:
        def rng() -> np.random.Generator | None:
            name = self.data.clip_ids[clip]
            return sample_rng(self.seed, self.fold, name, epoch) if self.training else None

        if self.held is not None:
            made = make_frames_on(self.held, clip, self.frames, self.augmentation, rng())
            if made is not None:
                return made
        frames = make_frames(self.data, clip, self.frames, self.augmentation, rng())
        found = torch.from_numpy(np.ascontiguousarray(frames))
        return found if self.held is None else found.to(self.held.t.device)

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
