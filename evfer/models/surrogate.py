"""Surrogate gradients: what stands in for the derivative of a spike.

A spike is a step of `u`, the membrane potential less the threshold. Its true derivative is zero
almost everywhere, so training uses a bump around `u = 0` instead. The forward pass is untouched.

Every operation is rounded as in SpikingJelly's nodes, so that gradients agree to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from evfer.errors import ConfigError, UnknownNameError

__all__ = ["SURROGATES", "ATan", "Rect", "Sigmoid", "Surrogate", "build_surrogate"]


class Surrogate(Protocol):
    """A bump around zero, symmetric: `derivative(u) == derivative(-u)`."""

    @property
    def alpha(self) -> float:
        """Steepness; the bump's height grows and its width shrinks with it."""
        ...

    def derivative_(self, u: Tensor) -> Tensor:
        """Turn `u` in place into the surrogate's derivative at `u`, and give it back."""
        ...


@dataclass(frozen=True)
class ATan:
    """Derivative of an arc tangent: `(alpha / 2) / (1 + (pi / 2 * alpha * u)^2)`.

    Args:
        alpha: steepness, per unit of potential, positive.

    Source:
        Fang et al., Incorporating learnable membrane time constant, ICCV 2021, eq. 12 (alpha 2).
    """

    alpha: float = 2.0

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def derivative_(self, u: Tensor) -> Tensor:
        """Turn `u` in place into the surrogate's derivative at `u`, and give it back."""
        u.mul_(math.pi / 2 * self.alpha)
        u.mul_(u).add_(1).reciprocal_()
        return u if self.alpha == 2 else u.mul_(self.alpha / 2)


@dataclass(frozen=True)
class Sigmoid:
    """Derivative of a logistic curve: `alpha * s * (1 - s)`, with `s = 1 / (1 + exp(-alpha * u))`.

    Args:
        alpha: steepness, per unit of potential, positive.
    """

    alpha: float = 4.0

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def derivative_(self, u: Tensor) -> Tensor:
        """Turn `u` in place into the surrogate's derivative at `u`, and give it back."""
        u.mul_(self.alpha).sigmoid_()
        return u.mul_(1 - u).mul_(self.alpha)


@dataclass(frozen=True)
class Rect:
    """A box of height `alpha` and width `1 / alpha`: `alpha` where `|u| < 1 / (2 alpha)`, else 0.

    Args:
        alpha: height of the box, per unit of potential, positive.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def derivative_(self, u: Tensor) -> Tensor:
        """Turn `u` in place into the surrogate's derivative at `u`, and give it back."""
        return u.abs_().lt_(0.5 / self.alpha).mul_(self.alpha)


SURROGATES: dict[str, type[ATan] | type[Sigmoid] | type[Rect]] = {
    "atan": ATan,
    "sigmoid": Sigmoid,
    "rect": Rect,
}


def build_surrogate(name: str, alpha: float | None = None) -> ATan | Sigmoid | Rect:
    """Build a surrogate by name.

    Args:
        name: one of `SURROGATES`.
        alpha: steepness; None for the surrogate's own default.

    Raises:
        UnknownNameError: for a name that is not in `SURROGATES`.
        ConfigError: if `alpha` is not positive and finite.
    """
    if name not in SURROGATES:
        raise UnknownNameError("surrogate function", name, SURROGATES)
    kind = SURROGATES[name]
    return kind() if alpha is None else kind(alpha)


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < math.inf:
        raise ConfigError(f"surrogate alpha {alpha}", expected="a positive, finite number")
