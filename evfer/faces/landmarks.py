"""Sixty-eight points on a face, and the face's box, by dlib.

The points' numbers are those of iBUG 300-W: 0-16 jaw, 17-26 brows, 27-35 nose, 36-47 eyes,
48-67 mouth, left and right as seen in the picture.

Licence of the weights: dlib itself is free under the Boost licence, but the 68-point weights,
installed by the package face_recognition_models, were trained on the iBUG 300-W data, whose
licence excludes commercial use. They are for research, as are the face databases. Points found
by other means can be given to `evfer.faces.align` instead, see `evfer.faces.read_landmarks`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evfer.errors import MissingExtra
from evfer.faces.alignment import STABLE_POINTS, fit_similarity
from evfer.faces.crop import Transform, oversampling, resample
from evfer.faces.pixels import Frame

if TYPE_CHECKING:
    from evfer.faces.cascade import Cascade

__all__ = [
    "FaceBox",
    "Models",
    "appearance",
    "box_of",
    "detect",
    "detect_near",
    "find_points",
    "find_weights",
    "frontal_score",
    "load",
    "settle",
]

_WEIGHTS = "shape_predictor_68_face_landmarks.dat"
_INSTALL = "pip install dlib-bin face_recognition_models, or give the points of every frame"

_SHIFTS = (
    (0.0, 0.0, 0.0),
    (0.03, 0.0, 0.0),
    (-0.03, 0.0, 0.0),
    (0.0, 0.03, 0.03),
    (0.0, -0.03, -0.03),
)
"""The boxes that are averaged: shift in x and y, and every side further out, in box widths."""

_PATCH_MARGIN = 1.5
"""Side of the patch that points are searched in, in box widths. At 1.3 the chin of a long face
moves by pixels, since dlib takes what lies outside for black."""

_STABLE_IN_BOX = np.array(
    [
        (0.000, -0.234), (0.000, -0.154), (0.000, -0.076), (0.000, 0.006), (-0.092, 0.070),
        (-0.048, 0.085), (0.000, 0.099), (0.048, 0.085), (0.092, 0.070), (-0.303, -0.208),
        (-0.127, -0.201), (0.127, -0.201), (0.303, -0.208),
    ]
)  # fmt: skip
"""Where the stable points lie in the detector's box, in box widths from its centre: means over
ten photographs and fifteen rendered heads, made symmetric. Boxes derived from points by this one
relation converge to a fixed place on the face, while the detector's own jump in steps of its
search grid, 8 pixels and a fifth of the size."""

_LOOKING_ASIDE = frozenset({1, 2})  # numbers of dlib's detectors for faces turned aside
_LOOKS_EXTENT = 0.75  # of the part whose look is compared, in box widths
_SETTLED = 0.06  # change of a box under which its points hardly depend on it
_DETECTED_WIDTH = 110  # pixels to which a known face is scaled for the detector: it sees 80 and up


@dataclass(frozen=True)
class FaceBox:
    """A square around a face as dlib's detector draws it, from the brows to the chin.

    Args:
        x: centre column, pixels.
        y: centre row, pixels.
        width: side, pixels.
        angle: by how much the face leans, radians; positive turns x towards y.
    """

    x: float
    y: float
    width: float
    angle: float = 0.0

    def distance(self, other: FaceBox) -> float:
        """Give the distance between the centres, in this box's widths."""
        return math.hypot(self.x - other.x, self.y - other.y) / self.width

    def growth(self, other: FaceBox) -> float:
        """Give the ratio of the widths, the larger over the smaller."""
        return max(self.width / other.width, other.width / self.width)

    def same_place(self, other: FaceBox, tolerance: float) -> bool:
        """Tell whether the boxes differ by less than a share of their width, however one looks."""
        turn = abs(math.remainder(self.angle - other.angle, 2 * math.pi))
        grown = self.growth(other) - 1
        return max(self.distance(other), grown, turn) < tolerance

    def patch(self, extent: float, size: int) -> Transform:
        """Give the transform from an upright square patch to the frame.

        Args:
            extent: side of the patch, in widths of the box; both share their centre.
            size: side of the patch, in its own pixels.
        """
        step = extent * self.width / size
        cosine, sine = step * math.cos(self.angle), step * math.sin(self.angle)
        middle = (size - 1) / 2
        return np.array(
            [
                [cosine, -sine, self.x - (cosine - sine) * middle],
                [sine, cosine, self.y - (sine + cosine) * middle],
            ]
        )


def find_weights() -> Path:
    """Find the file of the 68-point weights.

    Raises:
        MissingExtra: if face_recognition_models is not installed, or not whole.
    """
    # importing that package would need pkg_resources, which new set-ups no longer have
    try:
        files = importlib.metadata.distribution("face_recognition_models").files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == _WEIGHTS and path.is_file():
            return path
    raise MissingExtra(
        "no weights for the 68 face points",
        expected=f"{_WEIGHTS} from the package face_recognition_models",
        hint=_INSTALL,
    )


@dataclass(frozen=True)
class Models:
    """The face detector, which is dlib's, and the weights of the points."""

    detector: Any
    cascade: Cascade


@functools.lru_cache(maxsize=1)
def load() -> Models:
    """Load dlib and the weights, once per process (about 70 MB and a second).

    Raises:
        MissingExtra: if either is not installed.
        DataError: if the weights are damaged.
    """
    try:
        import dlib
    except ImportError as error:
        raise MissingExtra(
            f"dlib cannot be imported ({error})", expected="the package dlib-bin", hint=_INSTALL
        ) from error
    # numba takes long to load, and a recipe needs the settings only
    from evfer.faces.cascade import read_cascade

    return Models(dlib.get_frontal_face_detector(), read_cascade(find_weights()))


def detect(grey: Frame, upsample: int = 0) -> list[FaceBox]:
    """Find frontal faces with dlib's histogram-of-gradients detector, largest first.

    Args:
        grey: luma, shape (h, w), uint8.
        upsample: how often to double the picture first; the detector sees faces of 80 pixels.
    """
    found = load().detector(np.ascontiguousarray(grey), upsample)
    boxes = [
        FaceBox((r.left() + r.right()) / 2, (r.top() + r.bottom()) / 2, float(r.width()))
        for r in found
    ]
    return sorted(boxes, key=lambda box: (-box.width, box.x, box.y))


def frontal_score(grey: Frame, upsample: int = 0) -> float:
    """Tell how surely a picture shows an upright face from the front.

    dlib's detector is five in one: for faces from the front, looking left, looking right, and
    leaning either way. What only those for turned faces find counts half.

    Args:
        grey: luma, shape (h, w), uint8.
        upsample: see `detect`.

    Returns:
        The detector's best score; 0 where it finds no face, 1 to 2.5 on plain frontal faces.
    """
    _, scores, kinds = load().detector.run(np.ascontiguousarray(grey), upsample, 0.0)
    weighed = (
        score * (0.5 if kind in _LOOKING_ASIDE else 1.0)
        for score, kind in zip(scores, kinds, strict=True)
    )
    return max(0.0, float(max(weighed, default=0.0)))


def detect_near(grey: Frame, box: FaceBox, search_scale: float) -> list[FaceBox]:
    """Find faces in the region around a known one, turned upright and scaled to be quick.

    Args:
        grey: luma, shape (h, w), uint8.
        box: where the face was.
        search_scale: side of the region, in widths of `box`.

    Returns:
        Boxes in `grey`'s coordinates, leaning like `box`, the nearest first.
    """
    size = round(search_scale * _DETECTED_WIDTH)
    transform = box.patch(search_scale, size)
    scale = search_scale * box.width / size
    found = []
    for one in detect(resample(grey, transform, size, oversampling(transform))):
        x, y = transform @ (one.x, one.y, 1.0)
        found.append(FaceBox(float(x), float(y), one.width * scale, box.angle))
    return sorted(found, key=box.distance)


def find_points(grey: Frame, box: FaceBox, patch_size: int, n_boxes: int) -> NDArray[np.float64]:
    """Find the 68 points of the face in a box.

    Args:
        grey: luma, shape (h, w), uint8.
        box: the face, in pixels of `grey`.
        patch_size: side to which the patch around the box is enlarged, pixels; at most 4 times.
        n_boxes: how many boxes to average over, 1 to 5; 1 is quick and coarse.

    Returns:
        Shape (68, 2), float64, pixels of `grey`: the mean over boxes that differ by 3 % of their
        width. dlib gives whole pixels, and its answer depends a little on the box: on an
        enlarged patch and over five boxes the points of a still face tremble a third as much.
        The patch is turned upright first; leaning by 35 degrees, faces are lost otherwise.
    """
    import cv2

    from evfer.faces.cascade import predict

    native = max(8, round(_PATCH_MARGIN * box.width))
    transform = box.patch(_PATCH_MARGIN, native)
    # turned at the picture's own size and enlarged after: a third of the cost of doing both at
    # once, and the points tremble less, not more
    upright = resample(grey, transform, native, (1, 1))
    side = round(native * min(4.0, max(1.0, patch_size / native)))
    factor = side / native
    patch = cv2.resize(upright, (side, side), interpolation=cv2.INTER_LINEAR)
    width, middle = side / _PATCH_MARGIN, (side - 1) / 2
    right, down, grow = np.array(_SHIFTS[:n_boxes]).T
    x, y, half = middle + right * width, middle + down * width, width * (0.5 + grow)
    boxes = np.rint(np.stack([x - half, y - half, x + half, y + half], axis=1)).astype(np.int64)
    total = predict(load().cascade, patch, boxes).sum(axis=0)
    # the middle of pixel 0 lies at (factor - 1) / 2 in the enlarged patch
    in_upright = (total / n_boxes - (factor - 1) / 2) / factor
    points: NDArray[np.float64] = in_upright @ transform[:, :2].T + transform[:, 2]
    return points


def box_of(points: NDArray[np.float64]) -> FaceBox:
    """Give the box that the detector would, on average, draw around a face with these points."""
    (cosine, _, x), (sine, _, y) = fit_similarity(_STABLE_IN_BOX, points[list(STABLE_POINTS)])
    return FaceBox(
        float(x), float(y), math.hypot(cosine, sine), math.atan2(float(sine), float(cosine))
    )


def settle(
    grey: Frame, box: FaceBox, patch_size: int, rounds: int, n_boxes: int
) -> tuple[NDArray[np.float64], FaceBox]:
    """Find points in a box, and again in the points' own box until it stays where it is.

    Args:
        grey: luma, shape (h, w), uint8.
        box: a first guess.
        patch_size: see `find_points`.
        rounds: how often to look at most.
        n_boxes: see `find_points`.

    Returns:
        The points, shape (68, 2), and their box.
    """
    for _ in range(rounds):
        points = find_points(grey, box, patch_size, n_boxes)
        start, box = box, box_of(points)
        if start.same_place(box, _SETTLED):
            break
    return points, box


def appearance(grey: Frame, box: FaceBox) -> NDArray[np.float64]:
    """Give the edges of brows, eyes and nose as a vector whose dot products are correlations.

    Edges, since anything dark above and bright below correlates with a face's luma: clouds reach
    0.56 where a face that makes an expression keeps 0.61; of the edges, 0.53 and 0.68.

    Args:
        grey: luma, shape (h, w), uint8.
        box: the face, in pixels of `grey`.

    Returns:
        Shape (800,): slopes along x and y on a grid of 20 x 20 over the upright box's middle,
        zero mean, unit length; zeros where the picture is flat.
    """
    import cv2

    transform = box.patch(_LOOKS_EXTENT, 20)
    small = resample(grey, transform, 20, oversampling(transform)).astype(np.float32)
    soft = cv2.GaussianBlur(small, (0, 0), 0.8)
    slopes = [cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)]
    vector = np.stack(slopes).astype(np.float64).ravel()
    vector -= vector.mean()
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
