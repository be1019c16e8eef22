"""Batches, epoch by epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from evfer.errors import ConfigError
from evfer.inputs.base import Inputs
from evfer.transforms import sample_rng

__all__ = ["Batch", "Loader"]


@dataclass(frozen=True)
class Batch:
    """Some samples, ready for a network.

    Args:
        frames: shape (n, t, c, h, w), uint8 or float32.
        targets: class indices, int64, shape (n,), or shares of classes, float32, shape
            (n, classes).
        clips: positions of the samples (n).
    """

    frames: torch.Tensor
    targets: torch.Tensor
    clips: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches of some samples, epoch by epoch.

    Args:
        inputs: what is fed to the network.
        clips: positions of the samples to give.
        batch_size: samples a batch; a last batch of one joins the one before, unless it is to be
            kept.
        training: whether samples are shuffled and augmented; else they come as they are, in order.
        seed: the run's seed.
        fold: number of the fold.
        workers: threads that make batches ahead; 0 makes each when it is asked for.
        keep_last: leave a last batch of one sample alone.

    Raises:
        ConfigError: if there is no sample, or a setting cannot be used.
    """

    inputs: Inputs
    clips: tuple[int, ...]
    batch_size: int
    training: bool = False
    seed: int = 0
    fold: int = 0
    workers: int = 1
    keep_last: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"train.batch_size = {self.batch_size}", expected="1 or more")
        if not self.clips:
            raise ConfigError("no clip to load", expected="one or more")

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
            torch.from_numpy(self.inputs.targets[list(clips)]),
            tuple(clips),
        )

    def _sample(self, clip: int, epoch: int) -> torch.Tensor:
        name = self.inputs.ids[clip]
        rng = sample_rng(self.seed, self.fold, name, epoch) if self.training else None
        sample = self.inputs.make(clip, rng)
        if isinstance(sample, torch.Tensor):
            return sample
        return torch.from_numpy(np.ascontiguousarray(sample))

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
