"""What each augmentation adds to a fold's score: the regressions of a study.

Ordinary least squares takes every fold's score as an observation of its own, as published. The
mixed model knows that the scores of one split share its people: a split has an effect of its own,
drawn from a normal distribution.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evfer.errors import ConfigError

__all__ = ["Effect", "Fit", "Observation", "fit_mixed", "fit_ols"]

_LEVEL = 0.95
INTERCEPT = "intercept"
"""Name of the score without any augmentation."""


@dataclass(frozen=True)
class Observation:
    """One fold's score.

    Args:
        score: from 0 to 1.
        factors: the augmentations that were on.
        split: what the fold was tested on; folds of one split share it.
    """

    score: float
    factors: Collection[str]
    split: str


@dataclass(frozen=True)
class Effect:
    """What one augmentation adds to the score.

    Args:
        name: the augmentation, or "intercept" for the score without any.
        estimate: its effect.
        std_error: standard error.
        low: lower bound of the 95 % interval.
        high: upper bound.
        p_value: probability of an estimate as far from zero if there were no effect.
    """

    name: str
    estimate: float
    std_error: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Fit:
    """A regression.

    Args:
        method: "ols", or "mixed" for the model with splits as random effects.
        n: observations.
        n_splits: different splits among them.
        effects: the intercept first; empty if there is a problem.
        r_squared: share of the scores' variance that "ols" explains.
        split_std: standard deviation of the splits' own effects, for "mixed".
        residual_std: standard deviation of what is left.
        problem: why there is no fit, in words; else empty.
        notes: what limits it, in sentences.
    """

    method: Literal["ols", "mixed"]
    n: int
    n_splits: int
    effects: tuple[Effect, ...] = ()
    r_squared: float | None = None
    split_std: float | None = None
    residual_std: float | None = None
    problem: str = ""
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class _Design:
    names: tuple[str, ...]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    splits: NDArray[Any]
    notes: tuple[str, ...]
    problem: str


def fit_ols(observations: Sequence[Observation], factors: Sequence[str]) -> Fit:
    """Regress scores on augmentations by ordinary least squares.

    Args:
        observations: the folds.
        factors: augmentations to estimate effects of.

    Returns:
        The fit, or why there is none.

    Source:
        Barchid et al., Spiking-FER, CBMI 2023, section 4 (regression of scores on five
        indicators); deviates: none.
    """
    design = _build(observations, factors)
    n, n_splits = len(design.y), len(set(design.splits.tolist()))
    if design.problem:
        return Fit("ols", n, n_splits, problem=design.problem, notes=design.notes)
    import statsmodels.api as sm  # on use: it takes two seconds

    found = sm.OLS(design.y, design.x).fit()
    return Fit(
        "ols",
        n,
        n_splits,
        _effects(design.names, found.params, found.bse, found.conf_int(1 - _LEVEL), found.pvalues),
        r_squared=float(found.rsquared),
        residual_std=float(np.sqrt(found.scale)),
        notes=design.notes,
    )


def fit_mixed(observations: Sequence[Observation], factors: Sequence[str]) -> Fit:
    """Regress scores on augmentations with the split as a random effect.

    Args:
        observations: the folds.
        factors: augmentations to estimate effects of.

    Returns:
        The fit by restricted maximum likelihood, with normal intervals, or why there is none.

    Source:
        Laird and Ware, Random-effects models for longitudinal data, Biometrics 38, 1982;
        deviates: none.
    """
    design = _build(observations, factors)
    n, n_splits = len(design.y), len(set(design.splits.tolist()))

    def give_up(problem: str) -> Fit:
        return Fit("mixed", n, n_splits, problem=problem, notes=design.notes)

    if design.problem:
        return give_up(design.problem)
    if n_splits < 2:
        return give_up("All results are of one split, so its effect cannot be told from the rest.")
    if n_splits == n:
        return give_up("Every result is of another split, so nothing is shared by a split.")
    notes = list(design.notes)
    if n_splits < 5:
        notes.append(f"Only {n_splits} splits: the mixed model's intervals are rough.")
    if _splits_alike(design):
        notes.append("Splits differ no more than chance has it, so that this is OLS.")
        return _mixed_without_splits(design, n_splits, notes)
    from statsmodels.regression.mixed_linear_model import MixedLM

    k, unit = design.x.shape[1], float(design.y.std())
    with warnings.catch_warnings():
        # what they say is in what is looked at below
        warnings.simplefilter("ignore")
        try:
            model = MixedLM(design.y / unit, design.x, groups=design.splits)
            # a line search, since only one ratio of variances is sought; searches along the
            # gradient step over a small one and end where matrices are singular
            found = model.fit(reml=True, method="powell")
            errors, p_values = np.asarray(found.bse_fe), np.asarray(found.pvalues)[:k]
            bounds = np.asarray(found.conf_int(1 - _LEVEL))[:k]
        except (np.linalg.LinAlgError, ValueError) as error:
            return give_up(f"The mixed model cannot be fitted to these rows ({error}).")
    if not np.isfinite(errors).all() or not np.isfinite(bounds).all():
        return give_up("The mixed model gives no standard errors for these rows.")
    if not found.converged:
        notes.append("The mixed model's fit did not settle; its figures are rough.")
    return Fit(
        "mixed",
        n,
        n_splits,
        _effects(design.names, found.fe_params * unit, errors * unit, bounds * unit, p_values),
        split_std=unit * float(np.sqrt(np.asarray(found.cov_re)[0, 0])),
        residual_std=unit * float(np.sqrt(found.scale)),
        notes=tuple(notes),
    )


def _splits_alike(design: _Design) -> bool:
    """Say whether the likelihood falls from a split variance of zero on.

    There its search would end at the edge of what is possible, where its matrices are singular.
    With residuals r and hat matrix H of OLS and indicators Z of the splits, the restricted
    likelihood's slope at zero has the sign of |Z'r|^2 / s^2 - tr Z'(I - H)Z.
    """
    x, y = design.x, design.y
    q, _ = np.linalg.qr(x)
    residue = y - q @ (q.T @ y)
    scale = float(residue @ residue) / (len(y) - x.shape[1])
    z = (design.splits[:, None] == np.unique(design.splits)).astype(np.float64)
    between = float(((z.T @ residue) ** 2).sum())
    return between / scale <= len(y) - float(((q.T @ z) ** 2).sum())


def _mixed_without_splits(design: _Design, n_splits: int, notes: Sequence[str]) -> Fit:
    import statsmodels.api as sm

    found = sm.OLS(design.y, design.x).fit(use_t=False)
    return Fit(
        "mixed",
        len(design.y),
        n_splits,
        _effects(design.names, found.params, found.bse, found.conf_int(1 - _LEVEL), found.pvalues),
        split_std=0.0,
        residual_std=float(np.sqrt(found.scale)),
        notes=tuple(notes),
    )


def _build(observations: Sequence[Observation], factors: Sequence[str]) -> _Design:
    known = set(factors)
    for item in observations:
        if stray := set(item.factors) - known:
            raise ConfigError(
                f'an observation of "{sorted(stray)[0]}"', expected=", ".join(factors)
            )
    y = np.array([item.score for item in observations], np.float64)
    splits = np.array([item.split for item in observations])
    notes, names, columns = [], [INTERCEPT], [np.ones(len(y))]
    for factor in factors:
        column = np.array([factor in item.factors for item in observations], np.float64)
        if len(y) and np.ptp(column) == 0:
            which = "every" if column[0] else "no"
            notes.append(f"{factor} is in {which} result so far, so its effect cannot be told.")
            continue
        names.append(factor)
        columns.append(column)
    x = np.stack(columns, axis=1)
    return _Design(tuple(names), x, y, splits, tuple(notes), _fault(names, x, y))


def _fault(names: Sequence[str], x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Say why a design cannot be fitted; empty where it can."""
    n, k = x.shape
    if n < k + 1:
        return (
            f"Too few results: {n}, for {k} unknowns and their errors at least {k + 1} are needed."
        )
    if k == 1:
        return "No augmentation is in some of the results and not in others."
    if np.linalg.matrix_rank(x) < k:
        mixed = [
            name
            for i, name in enumerate(names)
            if i and np.linalg.matrix_rank(np.delete(x, i, axis=1)) == np.linalg.matrix_rank(x)
        ]
        return (
            f"The effects of {' and '.join(mixed)} cannot be told apart: the results hold too few "
            "different sets of augmentations."
        )
    if np.ptp(y) == 0:
        return "All results have the same score, so there is nothing to explain."
    residue = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    if (residue**2).sum() < 1e-20:
        return "The augmentations explain every score without a rest, so no error can be estimated."
    return ""


def _effects(names: Sequence[str], *columns: Any) -> tuple[Effect, ...]:
    estimates, errors, bounds, p_values = (np.asarray(column, np.float64) for column in columns)
    return tuple(
        Effect(name, *map(float, (estimate, error, low, high, p_value)))
        for name, estimate, error, (low, high), p_value in zip(
            names, estimates, errors, bounds, p_values, strict=True
        )
    )
