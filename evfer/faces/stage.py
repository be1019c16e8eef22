"""The face stage: a clip's frames in, aligned crops out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError, EventsError, FaceError
from evfer.faces.alignment import clip_transforms, smooth_points
from evfer.faces.crop import interocular_distance, oversampling, resample, share_outside
from evfer.faces.params import AlignParams
from evfer.faces.pixels import Frame, Frames, LumaFrames
from evfer.faces.report import FaceReport, summarise
from evfer.faces.tracking import Track, bridge, follow

__all__ = ["FaceClip", "FaceCut", "TrackedFace", "align", "cut_out", "plan_cut", "track"]


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face that has been followed through a clip and not been cut out yet.

    Args:
        pictures: the clip.
        track: the face's points in every frame, as they were found.
    """

    pictures: LumaFrames
    track: Track


@dataclass(frozen=True, eq=False)
class FaceClip:
    """A face, cut out of a clip.

    Args:
        frames: crops, shape (n, size, size), uint8 luma.
        landmarks: the 68 points of every frame as the alignment used them, that is smoothed,
            shape (n, 68, 2), float64, source pixels (x, y).
        transforms: from the crop's pixels to the source's, shape (n, 2, 3), float64.
        report: how well it went.
    """

    frames: Frame
    landmarks: NDArray[np.float64]
    transforms: NDArray[np.float64]
    report: FaceReport


@dataclass(frozen=True, eq=False)
class FaceCut:
    """A face that is cut out of its clip crop by crop, each time it is walked through.

    Args:
        pictures: the clip.
        landmarks: see `FaceClip`.
        transforms: see `FaceClip`.
        report: how well it went.
        size: side of the crops, pixels.
        whole: whether the transforms are those of all pictures, or of the first ones.
    """

    pictures: LumaFrames
    landmarks: NDArray[np.float64]
    transforms: NDArray[np.float64]
    report: FaceReport
    size: int
    whole: bool

    def __len__(self) -> int:
        return len(self.transforms)

    def __iter__(self) -> Iterator[Frame]:
        """Cut out one crop after the other, each of shape (size, size), uint8 luma.

        Raises:
            EventsError: at the end, if the clip has more or fewer frames than points.
        """
        n_frames = len(self.transforms)
        # one density of sampling for the whole clip: a change would show as events everywhere
        samples = oversampling(self.transforms[0])
        count = 0
        for grey in self.pictures:
            if count < n_frames:
                yield resample(grey, self.transforms[count], self.size, samples)
            count += 1
            if count == n_frames and not self.whole:
                break
        if count != n_frames:
            raise EventsError(
                f"{count} frames and the points of {n_frames}",
                expected="points for every frame",
                hint="Check that the points belong to this clip",
            )

    def collect(self) -> FaceClip:
        """Cut out all crops and hold them, 40 kB each at a size of 200."""
        crops = np.empty((len(self), self.size, self.size), np.uint8)
        for index, crop in enumerate(self):
            crops[index] = crop
        return FaceClip(crops, self.landmarks, self.transforms, self.report)


def align(
    frames: Frames,
    params: AlignParams | None = None,
    fps: float = 30.0,
    *,
    landmarks: NDArray[np.float64] | None = None,
) -> FaceClip:
    """Follow the face in a clip and cut it out, aligned to frame 0.

    The frames are walked through twice, once for the points and once for the crops, one at a
    time; memory holds the crops, and the luma of clips short enough not to be decoded again.

    Args:
        frames: (h, w) luma or (h, w, 3) blue-green-red uint8 frames of one size, as an array,
            a list or a video reader.
        params: settings; the defaults if None.
        fps: frames per second, which scales the smoothing window.
        landmarks: the points of every frame, shape (n, 68, 2), source pixels, from elsewhere
            (see `read_landmarks`); NaN where there are none. Without them, dlib finds the points.

    Returns:
        Crops, points and report.

    Raises:
        ConfigError: if `fps` is not positive.
        EventsError: if the frames or points break the rules of shape, type or number.
        FaceError: if there is no face, or it is missing for too long.
        MissingExtra: if `landmarks` is None and dlib or its weights are not installed.
    """
    params = params or AlignParams()
    _check_rate(fps)  # before the long work
    return cut_out(track(frames, params, landmarks=landmarks), params, fps)


def track(
    frames: Frames,
    params: AlignParams | None = None,
    *,
    landmarks: NDArray[np.float64] | None = None,
) -> TrackedFace:
    """Follow the face in a clip: the first half of `align`, with its arguments and errors."""
    params = params or AlignParams()
    pictures = LumaFrames(frames)
    found = follow(pictures, params) if landmarks is None else _imported(landmarks, params)
    return TrackedFace(pictures, found)


def cut_out(
    face: TrackedFace,
    params: AlignParams | None = None,
    fps: float = 30.0,
    *,
    stop: int | None = None,
) -> FaceClip:
    """Cut a followed face out of its clip: the second half of `align`.

    Args:
        face: see `plan_cut`.
        params: see `plan_cut`.
        fps: see `plan_cut`.
        stop: see `plan_cut`.

    Returns:
        Crops, points and report.
    """
    return plan_cut(face, params, fps, stop=stop).collect()


def plan_cut(
    face: TrackedFace,
    params: AlignParams | None = None,
    fps: float = 30.0,
    *,
    stop: int | None = None,
) -> FaceCut:
    """Settle how a followed face is cut out of its clip; nothing is cut out yet.

    Args:
        face: what `track` gave for the clip.
        params: settings; the defaults if None.
        fps: frames per second, which scales the smoothing window.
        stop: cut out the frames before this one alone, as if the clip ended there. Frames behind
            it are not decoded again and do not shape those before: neither through smoothing nor
            otherwise, as long as the face was not missing in frame `stop - 1`.

    Returns:
        Crops to be walked through, points and report.
    """
    _check_rate(fps)
    params = params or AlignParams()
    part = face.track if stop is None else face.track.until(stop)
    points = smooth_points(part.points, fps, params)
    transforms = clip_transforms(points, params)
    outside = _largest_share_outside(face.pictures, transforms, params.size)
    report = summarise(points, transforms, part.missed, part.redetections, outside)
    return FaceCut(face.pictures, points, transforms, report, params.size, stop is None)


def _check_rate(fps: float) -> None:
    if not (math.isfinite(fps) and fps > 0):
        raise ConfigError(f"a frame rate of {fps}", expected="a positive number of frames a second")


def _largest_share_outside(
    pictures: LumaFrames, transforms: NDArray[np.float64], size: int
) -> float:
    # frames of one clip have one size
    height, width = next(iter(pictures)).shape
    return max(share_outside(transform, size, width, height) for transform in transforms)


def _imported(points: NDArray[np.float64], params: AlignParams) -> Track:
    given = np.asarray(points)
    if given.ndim != 3 or given.shape[1:] != (68, 2) or not np.issubdtype(given.dtype, np.number):
        raise EventsError(
            f"landmarks of shape {given.shape} and type {given.dtype}",
            expected="numbers of shape (n, 68, 2): x and y of 68 points in every frame",
        )
    if not len(given):
        raise EventsError("landmarks of no frame", expected="points for every frame")
    known = given.astype(np.float64)
    missed = np.logical_not(np.isfinite(known).all(axis=(1, 2)))
    _refuse_gaps(missed, params.max_misses)
    points = bridge(known, missed)
    flat = np.flatnonzero(interocular_distance(points) < 1)
    if flat.size:
        raise EventsError(
            f"landmarks of frame {flat[0]} with both eyes in one place",
            expected="68 points in source pixels, numbered as in iBUG 300-W",
        )
    return Track(points, missed)


def _refuse_gaps(missed: NDArray[np.bool_], max_misses: int) -> None:
    run = 0
    for index, missing in enumerate(missed):
        run = run + 1 if missing else 0
        if run > max_misses or run == len(missed):
            raise FaceError(
                f"no landmarks from frame {index - run + 1} to frame {index}",
                expected=f"points in every frame, missing for at most {max_misses} in a row",
                hint="Cut the clip to the part that shows the face",
            )
