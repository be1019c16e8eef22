"""The face stage: a clip's frames in, aligned 200 x 200 crops of its face out.

    >>> from evfer.faces import align
    >>> clip = align(frames)                                            # doctest: +SKIP
    >>> clip.frames.shape, clip.landmarks.shape, clip.report.residual   # doctest: +SKIP
    ((24, 200, 200), (24, 68, 2), 0.006)

One pass over the frames finds 68 points on the face (`landmarks`, `tracking`). They are smoothed
over time and turned into one transform per frame, from the crop to the source (`alignment`,
`crop`); a second pass samples every crop once from its original frame.

The weights that find the points were trained on iBUG 300-W and are not for commercial use; see
`evfer.faces.landmarks`. Points from elsewhere can be given instead, see `read_landmarks`.
"""

from evfer.faces.apex import Apex, find_apex
from evfer.faces.landmark_files import read_landmarks, write_landmarks
from evfer.faces.landmarks import find_weights
from evfer.faces.params import AlignParams
from evfer.faces.report import FaceReport
from evfer.faces.stage import FaceClip, FaceCut, TrackedFace, align, cut_out, plan_cut, track

__all__ = [
    "AlignParams",
    "Apex",
    "FaceClip",
    "FaceCut",
    "FaceReport",
    "TrackedFace",
    "align",
    "cut_out",
    "find_apex",
    "find_weights",
    "plan_cut",
    "read_landmarks",
    "track",
    "write_landmarks",
]
