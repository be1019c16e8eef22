"""Following one face through a clip.

The detector looks at the whole first frame and then only now and then: between its looks the
box follows from the points of the frame before, and so does the way the head leans. That is
faster than detecting in every frame, trembles less, and carries over frames in which the
detector is blind (a head turned or leaning, a hand in front). The points alone cannot tell when
they have lost the face: on a blank wall they still make one. So a gate decides in every frame:
the box must not have jumped, and what lies under it must look like the face that the detector
last saw. Where either fails, the detector has the word.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evfer.errors import EventsError, FaceError
from evfer.faces import landmarks
from evfer.faces.landmarks import FaceBox
from evfer.faces.params import AlignParams
from evfer.faces.pixels import Frame, LumaFrames

__all__ = ["Track", "bridge", "follow"]

_UNMOVED = 0.01  # change of a box that is taken for tremble
_LEAST_LIKENESS = 0.6  # correlation of edges with the face as last detected
_LARGEST_JUMP = 0.5  # of the box between two frames, in box widths
_LARGEST_GROWTH = 1.35  # of the box between two frames, either way
_SAME_PLACE = 0.3  # box widths within which detector and points mean the same face
_REACH = 1.0  # box widths within which a lost face is found again; beyond it is another person's
_SAME_SIZE = 2.0  # growth within which a box may be the lost face
_HINT = (
    "Cut the clip to the part that shows the face, upright and at least 80 pixels wide, "
    "or give the points of every frame"
)


@dataclass(frozen=True)
class Track:
    """The points of one face through a clip.

    Args:
        points: shape (n, 68, 2), float64, source pixels; interpolated where the face was missing.
        missed: shape (n,), True where the face was neither detected nor followed.
        redetected: frames in which the face had been lost and was found again.
    """

    points: NDArray[np.float64]
    missed: NDArray[np.bool_]
    redetected: tuple[int, ...] = ()

    @property
    def redetections(self) -> int:
        """How often the face was lost and had to be found again."""
        return len(self.redetected)

    def until(self, stop: int) -> Track:
        """Give the track of the frames before `stop`."""
        found = tuple(frame for frame in self.redetected if frame < stop)
        return Track(self.points[:stop], self.missed[:stop], found)


def follow(frames: LumaFrames, params: AlignParams) -> Track:
    """Follow one face through a clip: the largest in the first frame that shows any.

    Args:
        frames: walked through once.
        params: the tracking settings are used.

    Raises:
        EventsError: if there is no frame, or a frame breaks the rules.
        FaceError: if no face is found in the first frames, or it is missing for more than
            `max_misses` frames in a row.
    """
    tracker = _Tracker(params)
    for grey in frames:
        tracker.step(grey)
    return tracker.finish()


def bridge(points: NDArray[np.float64], missed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill the points of missed frames, linearly between their neighbours, held at the ends.

    Args:
        points: shape (n, 68, 2); what stands in missed frames is not looked at.
        missed: shape (n,); at least one frame is not missed.

    Returns:
        Shape (n, 68, 2).
    """
    result = points.copy()
    if missed.any():
        at, known = np.flatnonzero(missed), np.flatnonzero(~missed)
        flat = result.reshape(len(points), -1)
        for column in range(flat.shape[1]):
            flat[at, column] = np.interp(at, known, flat[known, column])
    return result


@dataclass
class _Tracker:
    """The state from frame to frame."""

    params: AlignParams
    points: list[NDArray[np.float64] | None] = field(default_factory=list)
    missed: list[bool] = field(default_factory=list)
    waiting: list[Frame] = field(default_factory=list)  # frames before the first face
    box: FaceBox | None = None
    looks: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # as last detected
    since_detection: int = 0
    misses: int = 0  # in a row, up to now
    redetected: list[int] = field(default_factory=list)

    def step(self, grey: Frame) -> None:
        """Take one frame."""
        if self.box is None:
            self._search_first(grey)
            return
        points, box = self._settle(grey, self.box)
        steady = self._steady(self.box, box)
        alike = steady and self._alike(grey, box)
        self.since_detection += 1
        if not alike or self.since_detection >= self.params.redetect_interval:
            found = self._ask_detector(grey, points, box if steady else self.box, steady, alike)
        else:
            found = points
        if found is None:
            self._miss()
            return
        self.points.append(found)
        self.missed.append(False)
        # a box that stays where it is adds no tremble of its own to the next points
        box = landmarks.box_of(found)
        self.box = self.box if self.box.same_place(box, _UNMOVED) else box
        self.misses = 0

    def finish(self) -> Track:
        """Give what was found.

        Raises:
            EventsError: if there was no frame.
            FaceError: if there was no face.
        """
        if not self.points:
            if not self.waiting:
                raise EventsError("a clip without frames", expected="at least one frame")
            raise self._no_face()
        known = np.zeros((len(self.points), 68, 2))
        for index, points in enumerate(self.points):
            if points is not None:
                known[index] = points
        blank = np.array([points is None for points in self.points])
        return Track(bridge(known, blank), np.array(self.missed), tuple(self.redetected))

    def _search_first(self, grey: Frame) -> None:
        boxes = landmarks.detect(grey) or landmarks.detect(grey, upsample=1)
        if not boxes:
            self.waiting.append(grey.copy())  # a reader may fill its array again
            if len(self.waiting) > self.params.max_misses:
                raise self._no_face()
            return
        points = self._settle_anew(grey, boxes[0])
        self.box = landmarks.box_of(points)
        # the frames before it are walked backwards from here; the detector missed them
        earlier: list[NDArray[np.float64] | None] = []
        box = self.box
        for frame in reversed(self.waiting):
            followed, new = self._settle(frame, box)
            if self._steady(box, new) and self._alike(frame, new):
                box = new
                earlier.append(followed)
            else:
                earlier.append(None)
        self.points = [*reversed(earlier), points]
        self.missed = [True] * len(self.waiting) + [False]
        self.waiting = []

    def _steady(self, before: FaceBox, after: FaceBox) -> bool:
        return before.distance(after) < _LARGEST_JUMP and before.growth(after) < _LARGEST_GROWTH

    def _alike(self, grey: Frame, box: FaceBox) -> bool:
        likeness = float(self.looks @ landmarks.appearance(grey, box))
        return likeness >= _LEAST_LIKENESS

    def _ask_detector(
        self,
        grey: Frame,
        points: NDArray[np.float64],
        expected: FaceBox,
        steady: bool,
        alike: bool,
    ) -> NDArray[np.float64] | None:
        """Give the points of the face that the detector sees near the expected place.

        These are `points` themselves where it agrees with them, and where they passed the gate:
        then it only refreshes what the face looks like. None where the face is missing.
        """
        self.since_detection = 0
        boxes = landmarks.detect_near(grey, expected, self.params.search_scale)
        if steady and boxes and expected.distance(boxes[0]) < _SAME_PLACE:
            self.looks = landmarks.appearance(grey, expected)
            return points
        if alike:
            return points
        if not boxes:
            boxes = [one for one in landmarks.detect(grey) if expected.distance(one) < _REACH]
            boxes.sort(key=expected.distance)
        boxes = [one for one in boxes if expected.growth(one) < _SAME_SIZE]
        if not boxes:
            return None
        self.redetected.append(len(self.points))
        return self._settle_anew(grey, boxes[0])

    def _settle(self, grey: Frame, box: FaceBox) -> tuple[NDArray[np.float64], FaceBox]:
        return landmarks.settle(
            grey, box, self.params.patch_size, rounds=3, n_boxes=self.params.n_boxes
        )

    def _settle_anew(self, grey: Frame, box: FaceBox) -> NDArray[np.float64]:
        _, settled = landmarks.settle(grey, box, self.params.patch_size, rounds=4, n_boxes=1)
        points = landmarks.find_points(grey, settled, self.params.patch_size, self.params.n_boxes)
        self.looks = landmarks.appearance(grey, landmarks.box_of(points))
        self.since_detection = 0
        return points

    def _miss(self) -> None:
        self.points.append(None)
        self.missed.append(True)
        self.misses += 1
        if self.misses > self.params.max_misses:
            index = len(self.points) - 1
            raise FaceError(
                f"the face is lost from frame {index - self.misses + 1} to frame {index}",
                expected=f"a face in every frame, missing for at most {self.params.max_misses} "
                "frames in a row",
                hint=_HINT,
            )

    def _no_face(self) -> FaceError:
        last = len(self.waiting) - 1
        where = "frame 0" if last == 0 else f"frames 0 to {last}"
        return FaceError(
            f"no face in {where}", expected="a face from the first frames on", hint=_HINT
        )
