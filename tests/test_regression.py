"""A study's regressions: known effects are found, and what cannot be told is said."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import optimize, stats

from evfer.errors import ConfigError
from evfer.study import Observation, fit_mixed, fit_ols
from evfer.transforms import COMMON

EFFECTS = {"hflip": 0.05, "noise": -0.02, "reverse": 0.0, "polflip": 0.01, "crop": 0.1}


def observe(seed=0, splits=10, split_std=0.05, std=0.02, subsets=None):
    """Make the scores of a full study whose effects are `EFFECTS`."""
    rng = np.random.default_rng(seed)
    shifts = rng.normal(0, split_std, splits)
    if subsets is None:
        subsets = [
            [name for name, on in zip(COMMON, bits, strict=True) if on]
            for bits in itertools.product([0, 1], repeat=5)
        ]
    return [
        Observation(
            0.5 + sum(EFFECTS[name] for name in subset) + shifts[split] + rng.normal(0, std),
            subset,
            f"fold {split}",
        )
        for split in range(splits)
        for subset in subsets
    ]


def matrix(observations, factors=COMMON):
    rows = [[1.0, *(float(name in o.factors) for name in factors)] for o in observations]
    return np.array(rows), np.array([o.score for o in observations])


def by_name(fit):
    return {effect.name: effect for effect in fit.effects}


def test_ols_is_numpys_least_squares():
    found = observe()
    x, y = matrix(found)
    solution, residue, rank, _ = np.linalg.lstsq(x, y, rcond=None)
    assert rank == 6
    fit = fit_ols(found, COMMON)
    assert [e.name for e in fit.effects] == ["intercept", *COMMON]
    np.testing.assert_allclose([e.estimate for e in fit.effects], solution, atol=1e-12)
    variance = residue[0] / (len(y) - 6)
    errors = np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))
    np.testing.assert_allclose([e.std_error for e in fit.effects], errors, rtol=1e-9)
    t = solution / errors
    p_values = 2 * stats.t.sf(np.abs(t), len(y) - 6)
    np.testing.assert_allclose([e.p_value for e in fit.effects], p_values, rtol=1e-6, atol=1e-300)
    reach = stats.t.ppf(0.975, len(y) - 6) * errors
    np.testing.assert_allclose([e.low for e in fit.effects], solution - reach, atol=1e-10)
    np.testing.assert_allclose([e.high for e in fit.effects], solution + reach, atol=1e-10)
    assert fit.r_squared == pytest.approx(1 - residue[0] / ((y - y.mean()) ** 2).sum())
    assert (fit.n, fit.n_splits) == (320, 10)


def test_the_mixed_model_finds_known_effects_and_variances():
    fit = fit_mixed(observe(splits=40), COMMON)
    for name, wanted in EFFECTS.items():
        effect = by_name(fit)[name]
        assert effect.estimate == pytest.approx(wanted, abs=4 * effect.std_error)
        assert effect.low < effect.estimate < effect.high
    assert fit.split_std == pytest.approx(0.05, rel=0.3)
    assert fit.residual_std == pytest.approx(0.02, rel=0.1)
    assert by_name(fit)["crop"].p_value < 1e-6
    assert by_name(fit)["reverse"].p_value > 0.001
    assert fit.notes == ()


def test_the_mixed_model_is_surer_than_ols_where_splits_differ():
    found = observe()
    ols, mixed = fit_ols(found, COMMON), fit_mixed(found, COMMON)
    # every split saw every subset, so that both estimate the same
    for name in COMMON:
        assert by_name(mixed)[name].estimate == pytest.approx(by_name(ols)[name].estimate)
        assert by_name(mixed)[name].std_error < 0.6 * by_name(ols)[name].std_error
    assert by_name(mixed)["intercept"].std_error > by_name(ols)["intercept"].std_error


@pytest.mark.filterwarnings("ignore:The MLE may be on the boundary")  # of its own fixed bound
def test_the_mixed_model_agrees_with_the_formula_interface():
    found = observe(seed=3, splits=12)
    columns = {name: [float(name in o.factors) for o in found] for name in COMMON}
    columns |= {"score": [o.score for o in found], "split": [o.split for o in found]}
    table = pd.DataFrame(columns)
    peer = smf.mixedlm("score ~ " + " + ".join(COMMON), table, groups=table["split"]).fit(
        method="powell"
    )
    fit = fit_mixed(found, COMMON)
    np.testing.assert_allclose([e.estimate for e in fit.effects], peer.fe_params, atol=1e-6)
    np.testing.assert_allclose([e.std_error for e in fit.effects], peer.bse_fe, rtol=1e-3)
    assert fit.split_std == pytest.approx(float(np.sqrt(peer.cov_re.iloc[0, 0])), rel=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_the_mixed_model_keeps_its_promise_for_any_variance(seed):
    """Where splits do not differ it is OLS, and it never fails on a full design."""
    found = observe(seed=seed, splits=4, split_std=0.0, std=0.03)
    fit, ols = fit_mixed(found, COMMON), fit_ols(found, COMMON)
    assert fit.problem == ""
    for ours, theirs in zip(fit.effects[1:], ols.effects[1:], strict=True):
        assert ours.estimate == pytest.approx(theirs.estimate, abs=1e-6)
        assert ours.std_error == pytest.approx(theirs.std_error, rel=0.1)
    if fit.split_std == 0:
        assert any("this is OLS" in note for note in fit.notes)
        assert fit.effects[1].std_error == pytest.approx(ols.effects[1].std_error)


def restricted_likelihood(ratio, found):
    """REML of a ratio of the splits' variance to the rest's, as its definition says."""
    x, y = matrix(found)
    z = np.array([[o.split == name for name in sorted({o.split for o in found})] for o in found])
    v = np.eye(len(y)) + ratio * z.astype(float) @ z.T.astype(float)
    inverse = np.linalg.inv(v)
    inside = x.T @ inverse @ x
    rest = y - x @ np.linalg.solve(inside, x.T @ inverse @ y)
    free = len(y) - x.shape[1]
    scale = rest @ inverse @ rest / free
    logs = [np.linalg.slogdet(a)[1] for a in (v, inside)]
    return -(free * np.log(scale) + sum(logs)) / 2, scale


def test_variances_are_where_the_likelihood_is_highest():
    edges = 0
    for seed in range(10):
        found = observe(seed=seed, splits=4, split_std=0.004, std=0.03)
        fit = fit_mixed(found, COMMON)
        peak = optimize.minimize_scalar(
            lambda log, found=found: -restricted_likelihood(np.exp(log), found)[0],
            bounds=(-18, 3),
            method="bounded",
        )
        at_zero = restricted_likelihood(0.0, found)[0] >= -peak.fun - 1e-9
        assert at_zero == (fit.split_std == 0)
        edges += at_zero
        ratio = 0.0 if at_zero else np.exp(peak.x)
        scale = restricted_likelihood(ratio, found)[1]
        assert fit.residual_std == pytest.approx(np.sqrt(scale), rel=1e-3)
        assert fit.split_std == pytest.approx(np.sqrt(ratio * scale), rel=0.02)
    assert 0 < edges < 10


def test_what_cannot_be_told_is_said():
    few = observe(splits=1)[-5:] + observe(splits=1)[:1]
    assert "Too few results: 6" in fit_ols(few, COMMON).problem
    assert fit_ols([], COMMON).problem.startswith("Too few results: 0")
    assert fit_mixed([], COMMON).effects == ()
    # two that only come together
    pairs = observe(
        splits=4, subsets=[[], ["crop"], ["hflip", "noise"], ["hflip", "noise", "crop"]]
    )
    fit = fit_ols(pairs, COMMON)
    assert fit.problem.startswith("The effects of hflip and noise cannot be told apart")
    assert len(fit.notes) == 2
    # one that is in all, one in none
    fit = fit_ols(observe(subsets=[["crop"], ["crop", "hflip"]]), ["hflip", "crop", "noise"])
    assert [e.name for e in fit.effects] == ["intercept", "hflip"]
    assert fit.notes == (
        "crop is in every result so far, so its effect cannot be told.",
        "noise is in no result so far, so its effect cannot be told.",
    )
    assert "No augmentation" in fit_ols(observe(subsets=[["crop"]]), COMMON).problem
    flat = [Observation(0.25, o.factors, o.split) for o in observe()]
    assert "same score" in fit_ols(flat, COMMON).problem
    exact = observe(split_std=0.0, std=0.0)
    assert "without a rest" in fit_ols(exact, COMMON).problem
    one = observe(splits=1)
    assert fit_ols(one, COMMON).problem == ""
    assert "one split" in fit_mixed(one, COMMON).problem
    apart = [Observation(o.score, o.factors, str(i)) for i, o in enumerate(one)]
    assert "another split" in fit_mixed(apart, COMMON).problem
    with pytest.raises(ConfigError, match="mirror"):
        fit_ols([Observation(0.5, ["mirror"], "a")], COMMON)
    assert "Only 3 splits" in " ".join(fit_mixed(observe(splits=3), COMMON).notes)
