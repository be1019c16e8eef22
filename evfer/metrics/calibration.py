"""Whether a network is as often right as it is sure of being."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evfer.errors import DataError

__all__ = ["Bin", "Calibration", "calibrate"]


@dataclass(frozen=True)
class Bin:
    """Clips of which the network was about as sure.

    Args:
        low: lowest confidence, not itself in the bin but in the first.
        high: highest confidence, itself in the bin.
        n: clips in the bin.
        confidence: their mean confidence; None for an empty bin.
        accuracy: share of them that is right; None for an empty bin.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """How confidences fit accuracies.

    Args:
        error: expected calibration error, 0 (none) to 1.
        bins: the bins it is the mean of.
    """

    error: float
    bins: tuple[Bin, ...]


def calibrate(confidences: ArrayLike, right: ArrayLike, n_bins: int = 15) -> Calibration:
    """Give the expected calibration error of some predictions, and its bins.

    Args:
        confidences: probability that the network gave its prediction, 0 to 1, shape (n,).
        right: whether the prediction is right, shape (n,).
        n_bins: number of bins of equal width.

    Raises:
        DataError: if there is nothing to bin, the two differ in length, or a confidence is no
            probability.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, equation 3 (15 bins);
        deviates: none.

    Examples:
        >>> calibrate([0.9, 0.9, 0.6], [True, False, True]).error
        0.4
    """
    sure = np.asarray(confidences, np.float64)
    hits = np.asarray(right, bool)
    if sure.ndim != 1 or sure.shape != hits.shape or not sure.size or n_bins < 1:
        raise DataError(
            f"{sure.shape} confidences and {hits.shape} answers in {n_bins} bins",
            expected="as many confidences as answers, one or more",
        )
    if not ((sure >= 0) & (sure <= 1)).all():
        raise DataError("a confidence outside 0 to 1", expected="probabilities")
    edges = np.linspace(0, 1, n_bins + 1)
    place = np.searchsorted(edges[1:-1], sure, side="left")
    counts = np.bincount(place, minlength=n_bins)
    totals = [np.bincount(place, values, n_bins) for values in (sure, hits.astype(np.float64))]
    error = float(np.abs(totals[0] - totals[1]).sum() / len(sure))
    bins = []
    for i, n in enumerate(counts.tolist()):
        means = [float(total[i]) / n if n else None for total in totals]
        bins.append(Bin(float(edges[i]), float(edges[i + 1]), n, *means))
    return Calibration(round(error, 12), tuple(bins))
