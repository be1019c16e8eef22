"""SuperSloMo: a network finds the flow, a second one mends it and says what is hidden.

Two ways lead from frames to the networks and back, and they are the whole difference between
compat "v2e" and "corrected":

| | v2e, as it runs on a CPU | corrected |
|---|---|---|
| size | resized to a multiple of 32, and back | edges repeated up to one |
| brightness | 0 to 1 | less 0.428, as the networks were trained |
| warp | half a pixel off, black beyond the edge | exact, the edge goes on |
| grey levels | cut off | rounded |
| factor | one for a batch, its largest motion | one for a pair, what shows of its motion |
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from evfer.errors import ConfigError, DataError, EventsError
from evfer.interpolation.checkpoint_torch import load_networks
from evfer.interpolation.motion import StepChooser
from evfer.interpolation.pairs import Frame, Pairs, Places
from evfer.interpolation.params import InterpolationParams
from evfer.interpolation.unet_torch import MULTIPLE
from evfer.interpolation.weights import find_weights

__all__ = ["CorrectedPictures", "PicturesOfV2e", "SuperSloMo"]

_MEAN = 0.428  # brightness of the pictures that the networks were trained with


class SuperSloMo:
    """The method "superslomo".

    Args:
        params: the settings.
        n_frames: frames of the clip; v2e takes smaller batches for short ones.

    Raises:
        MissingExtra: if no weights are given.
        ConfigError: if the given weights or device are not there.
        DataError: if the file holds other things than the weights.

    Source:
        Jiang et al., "Super SloMo: High quality estimation of multiple intermediate frames for
        video interpolation" CVPR 2018, as SensorsINI/v2e, `v2ecore/slomo.py`, has it; deviates
        with compat "corrected" as the table above says.
    """

    def __init__(self, params: InterpolationParams, n_frames: int) -> None:
        self.device = _find_device(params.device)
        networks = load_networks(find_weights(params.weights))
        # planes last are faster, but round otherwise than v2e does
        layout = torch.contiguous_format if params.compat == "v2e" else torch.channels_last
        self.flow_network, self.mending_network = (
            # torch's own types do not know this argument
            network.to(self.device, memory_format=layout)  # type: ignore[call-overload]
            for network in networks
        )
        self.chooser = StepChooser(params.max_factor)
        self.shares_factor = params.compat == "v2e"
        self.pictures: _Pictures
        if self.shares_factor:
            self.pictures = PicturesOfV2e()
            self.n_pairs = _shrink_batch(params.batch_size, n_frames)
        else:
            self.pictures = CorrectedPictures()
            # on a CPU a batch is no faster, and rounds otherwise than its pictures one by one
            self.n_pairs = params.batch_size if self.device.type == "cuda" else 1

    def study(self, frames: Sequence[Frame]) -> Pairs:
        """Look at successive frames, at most one more than `n_pairs`."""
        return _Studied(self, frames)


class _Pictures(Protocol):
    """Takes frames to the networks and pictures back."""

    def encode(self, frames: Sequence[Frame]) -> Tensor: ...

    def decode(self, pictures: Tensor, shape: tuple[int, int]) -> Frame: ...

    def warp(self, pictures: Tensor, flow: Tensor) -> Tensor: ...


class PicturesOfV2e:
    """Pictures as v2e has them on a CPU, its faults included.

    Source:
        SensorsINI/v2e, `v2ecore/dataloader.py`, `v2ecore/slomo.py` and `v2ecore/model.py`;
        deviates: none.
    """

    def encode(self, frames: Sequence[Frame]) -> Tensor:
        """Resize frames to a multiple of 32, 0 to 1, shape (n, 1, h', w')."""
        height, width = (side // MULTIPLE * MULTIPLE for side in frames[0].shape)
        if not height or not width:
            raise EventsError(
                f"frames of shape {frames[0].shape}",
                expected=f"at least {MULTIPLE} pixels each way with interpolation.compat v2e",
                hint='Choose compat "corrected", which takes any size',
            )
        resized = [
            np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))
            for frame in frames
        ]
        return torch.from_numpy(np.stack(resized)).unsqueeze(1).float() / 255

    def decode(self, pictures: Tensor, shape: tuple[int, int]) -> Frame:
        """Cut fractions of grey levels off and resize, shape (n, h, w), uint8."""
        # pictures are weighted means of pixels from 0 to 1, so that no grey level can wrap
        cut = (pictures[:, 0].numpy() * 255).astype(np.uint8)
        size = shape[1], shape[0]
        resized = [Image.fromarray(each).resize(size, Image.Resampling.BILINEAR) for each in cut]
        return np.stack([np.asarray(picture) for picture in resized])

    def warp(self, pictures: Tensor, flow: Tensor) -> Tensor:
        """Read pictures half a pixel up and left of where the flow leads; black is beyond."""
        height, width = pictures.shape[2:]
        y, x = _reach(flow)
        grid = torch.stack((2 * (x / width - 0.5), 2 * (y / height - 0.5)), dim=3)
        return functional.grid_sample(pictures, grid, align_corners=False)


class CorrectedPictures:
    """Pictures without v2e's faults."""

    def encode(self, frames: Sequence[Frame]) -> Tensor:
        """Pad frames to a multiple of 32 and take the mean off, shape (n, 1, h', w')."""
        sides = [(0, 0), *(_pad(side) for side in frames[0].shape)]
        padded = np.pad(np.stack(frames), sides, mode="edge")
        return torch.from_numpy(padded).unsqueeze(1).float() / 255 - _MEAN

    def decode(self, pictures: Tensor, shape: tuple[int, int]) -> Frame:
        """Put the mean back, cut the padding off and round half up, shape (n, h, w), uint8."""
        top, left = _pad(shape[0])[0], _pad(shape[1])[0]
        inside = pictures[:, 0, top : top + shape[0], left : left + shape[1]].numpy()
        levels = (inside + np.float32(_MEAN)) * 255
        return np.floor(levels + np.float32(0.5)).clip(0, 255).astype(np.uint8)

    def warp(self, pictures: Tensor, flow: Tensor) -> Tensor:
        """Read pictures where the flow leads; beyond their edge it goes on."""
        height, width = pictures.shape[2:]
        y, x = _reach(flow)
        grid = torch.stack((2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1), dim=3)
        return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=True)


class _Studied:
    """Successive pairs; their flow is found when first needed."""

    def __init__(self, owner: SuperSloMo, frames: Sequence[Frame]) -> None:
        self._owner = owner
        self._frames = frames
        self._shape = (frames[0].shape[0], frames[0].shape[1])

    @functools.cached_property
    def _seen(self) -> tuple[Tensor, Tensor]:
        """Pictures, shape (n + 1, 1, h', w'), and flows, shape (n, 4, h', w')."""
        pictures = self._owner.pictures.encode(self._frames).to(self._owner.device)
        with _exactly():
            flows = self._owner.flow_network(torch.cat((pictures[:-1], pictures[1:]), dim=1))
        if not bool(torch.isfinite(flows).all()):
            raise DataError("SuperSloMo's flow is not finite", expected="weights that were trained")
        return pictures, flows

    def choose_factors(self) -> list[int]:
        if self._owner.shares_factor:
            return [self._choose_as_v2e()] * (len(self._frames) - 1)
        _, flows = self._seen
        (top, _), (left, _) = (_pad(side) for side in self._shape)
        inside = flows[:, :, top : top + self._shape[0], left : left + self._shape[1]]
        there_and_back = inside.permute(0, 2, 3, 1).cpu().numpy()
        return [
            self._owner.chooser.choose(first, second, _split(both))
            for first, second, both in zip(
                self._frames, self._frames[1:], there_and_back, strict=False
            )
        ]

    def _choose_as_v2e(self) -> int:
        _, flows = self._seen
        x, y = flows[:, 0::2], flows[:, 1::2]
        return max(math.ceil(torch.sqrt(x * x + y * y).max().item()), 2)

    def make(self, places: Sequence[Places]) -> list[Frame]:
        made = [np.empty((len(own), *self._shape), np.uint8) for own in places]
        for batch in self._batches(places):
            pairs = torch.tensor([pair for pair, _ in batch])
            when = np.array([places[pair][step] for pair, step in batch])
            drawn = self._owner.pictures.decode(self._draw(pairs, when).cpu(), self._shape)
            for (pair, step), picture in zip(batch, drawn, strict=True):
                made[pair][step] = picture
        return made

    def _batches(self, places: Sequence[Places]) -> Iterator[list[tuple[int, int]]]:
        """Give what goes through the second network together: pairs and steps."""
        if self._owner.shares_factor:  # v2e takes one step of all pairs, then the next
            for step in range(max(map(len, places))):
                yield [(pair, step) for pair, own in enumerate(places) if step < len(own)]
            return
        todo = [(pair, step) for pair, own in enumerate(places) for step in range(len(own))]
        for start in range(0, len(todo), self._owner.n_pairs):
            yield todo[start : start + self._owner.n_pairs]

    def _draw(self, pairs: Tensor, when: NDArray[np.float64]) -> Tensor:
        pictures, flows = self._seen
        warp = self._owner.pictures.warp
        first, second, flow = pictures[pairs], pictures[pairs + 1], flows[pairs]
        forward, backward = flow[:, :2], flow[:, 2:]
        both, ahead, behind, later, sooner = (
            torch.from_numpy(weight.astype(np.float32)).to(flow.device)[:, None, None, None]
            for weight in (-when * (1 - when), when * when, (1 - when) * (1 - when), when, 1 - when)
        )
        to_first = both * forward + ahead * backward
        to_second = behind * forward + both * backward
        with _exactly():
            mended = self._owner.mending_network(
                torch.cat(
                    (
                        first,
                        second,
                        forward,
                        backward,
                        to_second,
                        to_first,
                        warp(second, to_second),
                        warp(first, to_first),
                    ),
                    dim=1,
                )
            )
        to_first = mended[:, :2] + to_first
        to_second = mended[:, 2:4] + to_second
        seen_first = torch.sigmoid(mended[:, 4:5])
        seen_second = 1 - seen_first
        drawn = (
            sooner * seen_first * warp(first, to_first)
            + later * seen_second * warp(second, to_second)
        ) / (sooner * seen_first + later * seen_second)
        if not bool(torch.isfinite(drawn).all()):
            raise DataError("SuperSloMo's picture is not finite", expected="trained weights")
        return drawn


@contextlib.contextmanager
def _exactly() -> Iterator[None]:
    """Keep a GPU from shortening numbers, and a CPU from dividing sums among threads.

    Either may move whole grey levels; and workers share the cores already.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_num_threads(threads)


def _find_device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ConfigError(
            'interpolation.device = "cuda"',
            expected="a GPU that torch can use",
            hint='Choose "auto" or "cpu"',
        )
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def _shrink_batch(batch_size: int, n_frames: int) -> int:
    # v2e wants two batches, and counts frames where it means pairs
    while batch_size > 1 and n_frames / batch_size < 2:
        batch_size //= 2
    return batch_size


def _reach(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Give the row and the column that each pixel's flow leads to, each of shape (n, h, w)."""
    height, width = flow.shape[2:]
    rows = torch.arange(height, dtype=torch.float32, device=flow.device)[:, None]
    columns = torch.arange(width, dtype=torch.float32, device=flow.device)
    return rows + flow[:, 1], columns + flow[:, 0]


def _pad(side: int) -> tuple[int, int]:
    """Give the pixels to add before and after a side so that it is a multiple of 32."""
    missing = -side % MULTIPLE
    return missing // 2, missing - missing // 2


def _split(flows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.ascontiguousarray(flows[..., :2]), np.ascontiguousarray(flows[..., 2:])
