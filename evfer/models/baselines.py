"""What a network has to beat: the commonest class, and logistic regression on event histograms.

Both fit themselves to all training clips at once; see `evfer.models.estimator`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from evfer import config
from evfer.errors import ConfigError

__all__ = ["Logistic", "LogisticParams", "Majority", "logistic", "majority"]

_UNSEEN = -30.0
"""Logit, below the lowest other, of a class that no training clip shows."""


def majority(n_classes: int = 6, n_steps: int = 6) -> Majority:
    """Name the class that most training clips show; takes no options."""
    return Majority(n_classes)


class Majority(nn.Module):
    """How often each class is shown in training, whatever the frames.

    Of equally frequent classes the first is named, as `evfer.metrics.majority` does.

    Args:
        n_classes: number of classes.
    """

    log_shares: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("log_shares", torch.zeros(n_classes))

    def fit_batches(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Count the classes."""
        n_classes = len(self.log_shares)
        counts = torch.ones(n_classes)  # one each to begin with, so that no share is zero
        for _, labels in batches:
            counts += torch.bincount(labels.cpu(), minlength=n_classes)
        self.log_shares.copy_((counts / counts.sum()).log())

    def forward(self, frames: Tensor) -> Tensor:
        """Give the same logits, (n, n_classes), for all frames (n, t, c, h, w)."""
        return self.log_shares.expand(len(frames), -1).clone()


@dataclass(frozen=True)
class LogisticParams:
    """The regression's options.

    Args:
        cells: cells a side of the grid in which events are counted.
        per_step: count each step apart; else the whole clip at once.
        c: how far weights may go, the inverse of the strength of their L2 penalty.
        max_iter: most iterations of the solver.
        in_channels: channels of a frame.
    """

    cells: int = 8
    per_step: bool = True
    c: float = 0.01
    max_iter: int = 1000
    in_channels: int = 2

    def __post_init__(self) -> None:
        for name in ("cells", "c", "max_iter", "in_channels"):
            value = getattr(self, name)
            if value <= 0:
                raise ConfigError(f"model.{name} {value}", expected="more than 0")


def logistic(n_classes: int = 6, n_steps: int = 6, **options: Any) -> Logistic:
    """Logistic regression on histograms of events; options as in `LogisticParams`.

    Raises:
        UnknownNameError: for an option or value that does not exist.
        ConfigError: for a value that cannot be used.
    """
    return Logistic(n_classes, n_steps, config.build(LogisticParams, options, "model"))


class Logistic(nn.Module):
    """Multinomial logistic regression on the events in each cell, step and polarity.

    Counts enter as square roots, which makes their spread alike, and standardised by the
    training clips. Where frames are binary, pixels with an event are counted.

    Args:
        n_classes: number of classes.
        n_steps: steps of its input, exactly.
        params: the options.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, n_classes: int = 6, n_steps: int = 6, params: LogisticParams | None = None
    ) -> None:
        super().__init__()
        self.n_steps, self.params = n_steps, params or LogisticParams()
        steps = n_steps if self.params.per_step else 1
        n_features = steps * self.params.in_channels * self.params.cells**2
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.linear = nn.Linear(n_features, n_classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def features(self, frames: Tensor) -> Tensor:
        """Give the histograms, (n, features), of frames (n, t, c, h, w), before standardising.

        Raises:
            ConfigError: for frames of another shape.
        """
        channels, cells = self.params.in_channels, self.params.cells
        if frames.ndim != 5 or frames.shape[1:3] != (self.n_steps, channels) or 0 in frames.shape:
            raise ConfigError(
                f"model input of shape {tuple(frames.shape)}",
                expected=f"(clips, {self.n_steps}, {channels}, height, width)",
            )
        counted = frames if self.params.per_step else frames.sum(1, keepdim=True)
        shares = functional.adaptive_avg_pool2d(counted.flatten(1, 2).float(), cells)
        return (shares * (frames.shape[3] * frames.shape[4] / cells**2)).sqrt().flatten(1)

    def fit_batches(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fit the weights.

        Raises:
            ConfigError: if there is no clip.
        """
        found = [(self.features(frames.cpu()), labels.cpu()) for frames, labels in batches]
        if not found:
            raise ConfigError("no clip to fit to", expected="one or more")
        features = torch.cat([part for part, _ in found]).double().numpy()
        labels = torch.cat([part for _, part in found]).numpy()
        mean, spread = features.mean(axis=0), features.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
        weight, bias = self._solve((features - mean) / scale, labels)
        for target, value in (
            (self.mean, mean),
            (self.scale, scale),
            (self.linear.weight, weight),
            (self.linear.bias, bias),
        ):
            with torch.no_grad():
                target.copy_(torch.from_numpy(value))

    def _solve(
        self, features: NDArray[np.float64], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from sklearn.linear_model import LogisticRegression  # on use: it takes a second

        n_classes = self.linear.out_features
        weight, bias = np.zeros((n_classes, features.shape[1])), np.zeros(n_classes)
        seen = np.unique(labels)
        if len(seen) > 1:
            solver = LogisticRegression(C=self.params.c, max_iter=self.params.max_iter)
            solver.fit(features, labels)
            # of two classes scikit-learn gives the second's weights alone; the first's are zero
            rows = seen[1:] if len(seen) == 2 else seen
            weight[rows], bias[rows] = solver.coef_, solver.intercept_
        unseen = np.setdiff1d(np.arange(n_classes), seen)
        bias[unseen] = bias[seen].min() + _UNSEEN
        return weight, bias

    def forward(self, frames: Tensor) -> Tensor:
        """Give logits, (n, n_classes), of frames (n, t, c, h, w)."""
        logits: Tensor = self.linear((self.features(frames) - self.mean) / self.scale)
        return logits
