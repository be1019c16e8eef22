"""What predictions are worth: scores, how sure one can be of them, and tests between models.

Everything works on class indices: labels and predictions are whole numbers from 0 to C - 1.
"""

from __future__ import annotations

from evfer.metrics.calibration import Bin, Calibration, calibrate
from evfer.metrics.comparison import (
    McNemar,
    ResampledT,
    corrected_resampled_t,
    mcnemar,
    paired_bootstrap,
    tie_key,
)
from evfer.metrics.scores import (
    COLLAPSE_SHARE,
    Scores,
    SubjectScore,
    chance,
    collapsed,
    confusion,
    majority,
    score,
    score_subjects,
)
from evfer.metrics.spread import Spread, spread, subject_bootstrap

__all__ = [
    "COLLAPSE_SHARE",
    "Bin",
    "Calibration",
    "McNemar",
    "ResampledT",
    "Scores",
    "Spread",
    "SubjectScore",
    "calibrate",
    "chance",
    "collapsed",
    "confusion",
    "corrected_resampled_t",
    "majority",
    "mcnemar",
    "paired_bootstrap",
    "score",
    "score_subjects",
    "spread",
    "subject_bootstrap",
    "tie_key",
]
