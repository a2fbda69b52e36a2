"""Estimates and tests of randomised designs against published moments, other libraries, hand computation, and truth."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import linalg, stats

from ltvlab_utils.errors import Refused
from ltvlab_utils.experiments import (
    balance_p_value,
    estimate,
    merge_thin_blocks,
    minimum_detectable_effect,
    randomisation_p_value,
    sample_ratio_p_value,
)


def with_moments(rng, mean, sd, n):
    z = rng.normal(size=n)
    return mean + sd * (z - z.mean()) / z.std(ddof=1)


def drawn(rng, n, treated):
    return rng.permutation(np.arange(n) < treated).astype(int)


@pytest.fixture
def trial():
    rng = np.random.default_rng(5)
    n = 240
    x = rng.normal(size=(n, 2))
    d = drawn(rng, n, 90)
    return pd.DataFrame({"y": 1 + 0.5 * d + x @ [1.0, -0.5] + d * x[:, 0] + rng.normal(size=n) * (1 + d), "d": d,
                         "x1": x[:, 0], "x2": 1e6 * x[:, 1], "block": rng.integers(0, 4, n)})  # fmt: skip


# --- against published numbers and other implementations --------------------------------------------------------------


def test_lalonde_from_its_published_moments():
    """NSW, Dehejia & Wahba (1999): earnings 1978 of 185 treated and 260 controls; ATE 1794.34, Neyman SE 671.00."""
    rng = np.random.default_rng(1)
    y = np.r_[with_moments(rng, 6349.144, 7867.402, 185), with_moments(rng, 4554.801, 5483.836, 260)]
    found = estimate(y, np.r_[np.ones(185), np.zeros(260)])
    assert found.estimate == pytest.approx(1794.34, abs=0.01)
    assert found.standard_error == pytest.approx(671.00, abs=0.01)
    assert (found.n_treatment, found.n_control) == (185, 260)


def test_neyman_is_welch_as_scipy_computes_it(trial):
    y, d = trial["y"].to_numpy(), trial["d"].to_numpy()
    found = estimate(y, d, level=0.9)
    welch = stats.ttest_ind(y[d == 1], y[d == 0], equal_var=False)
    interval = welch.confidence_interval(0.9)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-10)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)


def test_lin_is_the_interacted_regression_with_hc2(trial):
    centred = trial.assign(x1=trial.x1 - trial.x1.mean(), x2=(trial.x2 - trial.x2.mean()) / 1e6)
    fit = smf.ols("y ~ d * (x1 + x2)", centred).fit(cov_type="HC2", use_t=True)
    found = estimate(trial["y"], trial["d"], "lin", trial[["x1", "x2"]])
    assert found.estimate == pytest.approx(fit.params["d"], rel=1e-9)
    assert found.standard_error == pytest.approx(fit.bse["d"], rel=1e-9)
    assert found.p_value == pytest.approx(fit.pvalues["d"], rel=1e-8)
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int().loc["d"]), rel=1e-8)


def test_a_constant_or_doubled_covariate_changes_nothing(trial):
    plain = estimate(trial["y"], trial["d"], "lin", trial[["x1"]])
    doubled = estimate(trial["y"], trial["d"], "lin", trial[["x1", "x1"]].to_numpy() * [1, 7] + [0, 3])
    constant = estimate(trial["y"], trial["d"], "lin", trial[["x1"]].assign(one=1.0))
    for found in (doubled, constant):
        assert vars(found) == pytest.approx(vars(plain), rel=1e-8)


def test_cuped_takes_theta_from_the_pooled_covariance(trial):
    """Deng et al. (2013): theta = cov(y, x) / var(x); then the plain difference."""
    theta = np.cov(trial["y"], trial["x1"])[0, 1] / trial["x1"].var()
    expected = estimate(trial["y"] - theta * (trial["x1"] - trial["x1"].mean()), trial["d"])
    assert vars(estimate(trial["y"], trial["d"], "cuped", trial["x1"])) == pytest.approx(vars(expected), rel=1e-9)


def test_blocks_by_hand():
    """Two blocks of 4 and 6: differences 2 and 1, weights 0.4 and 0.6; variances 1/2+1/2 and 1/3+1/3."""
    y = [3, 5, 1, 3, 1, 2, 3, 0, 1, 2]
    d = [1, 1, 0, 0, 1, 1, 1, 0, 0, 0]
    found = estimate(y, d, block=["a"] * 4 + ["b"] * 6)
    variance = 0.4**2 * (2 / 2 + 2 / 2) + 0.6**2 * (1 / 3 + 1 / 3)
    assert found.estimate == pytest.approx(0.4 * 2 + 0.6 * 1)
    assert found.standard_error == pytest.approx(np.sqrt(variance))
    parts = np.array([0.16, 0.16, 0.12, 0.12])
    df = parts.sum() ** 2 / (parts**2 / [1, 1, 2, 2]).sum()
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, df) * np.sqrt(variance))


def cr2_and_df(X, y, groups, column):
    """CR2 and the Bell-McCaffrey degrees of freedom straight from their definition, with full matrices."""
    bread = np.linalg.inv(X.T @ X)
    residual_maker = np.eye(len(y)) - X @ bread @ X.T
    e, score, G = residual_maker @ y, [], []
    for g in np.unique(groups):
        rows = groups == g
        root = np.real(linalg.sqrtm(np.linalg.inv(residual_maker[np.ix_(rows, rows)])))
        weight = bread[column] @ X[rows].T @ root
        score.append(weight @ e[rows])
        G.append(weight @ residual_maker[rows])
    gram = np.array(G) @ np.array(G).T
    return np.sqrt(np.sum(np.square(score))), np.trace(gram) ** 2 / np.sum(gram**2)


def test_clusters_are_cr2():
    rng = np.random.default_rng(3)
    size = rng.integers(1, 9, 24)
    groups = np.repeat(np.arange(24), size)
    d = (groups % 3 == 0).astype(int)
    y = rng.normal(size=24)[groups] + rng.normal(size=len(groups)) + d
    found = estimate(y, d, cluster=groups)
    X = np.column_stack([np.ones(len(y)), d])
    assert found.standard_error == pytest.approx(cr2_and_df(X, y, groups, 1)[0], rel=1e-9)
    # Welch over the arms, each with its own Bell-McCaffrey degrees of freedom
    parts = [cr2_and_df(np.ones(((d == a).sum(), 1)), y[d == a], groups[d == a], 0) for a in (1, 0)]
    v, df = np.array([p[0] ** 2 for p in parts]), np.array([p[1] for p in parts])
    half = stats.t.ppf(0.975, v.sum() ** 2 / (v**2 / df).sum()) * np.sqrt(v.sum())
    assert found.high - found.estimate == pytest.approx(half, rel=1e-9)
    x = rng.normal(size=len(y))
    lin = estimate(y, d, "lin", x, cluster=groups)
    X = np.column_stack([np.ones(len(y)), d, x - x.mean(), d * (x - x.mean())])
    assert lin.standard_error == pytest.approx(cr2_and_df(X, y, groups, 1)[0], rel=1e-6)


def test_one_unit_a_cluster_is_no_cluster(trial):
    alone = estimate(trial["y"], trial["d"], block=trial["block"], cluster=np.arange(len(trial)))
    assert vars(alone) == pytest.approx(vars(estimate(trial["y"], trial["d"], block=trial["block"])), rel=1e-9)


def test_minimum_detectable_effect_is_the_formula_and_has_its_power():
    found = minimum_detectable_effect(10, 100, 400)
    assert found == pytest.approx((1.959964 + 0.841621) * 10 * np.sqrt(1 / 100 + 1 / 400), rel=1e-6)
    assert minimum_detectable_effect(10, 100, 400, r2=0.75) == pytest.approx(found / 2)
    error = 10 * np.sqrt(1 / 100 + 1 / 400)
    power = stats.norm.sf(1.959964 - found / error) + stats.norm.cdf(-1.959964 - found / error)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_sample_ratio():
    assert sample_ratio_p_value([520, 480], [0.5, 0.5]) == pytest.approx(stats.chi2.sf(1.6, 1))
    assert sample_ratio_p_value({"b": 480, "a": 520}, {"a": 0.5, "b": 0.5}) == pytest.approx(stats.chi2.sf(1.6, 1))
    assert sample_ratio_p_value([5, 0], [0.5, 0.5]) == pytest.approx(2 / 32)  # too few for chi-square: exact
    assert sample_ratio_p_value({"a": 9, "b": 1}, {"a": 1.0, "b": 0.0}) == 0
    with pytest.raises(Refused, match="sum to 1"):
        sample_ratio_p_value([1, 2], [0.5, 0.6])
    with pytest.raises(Refused, match='"c" has units but no planned share'):
        sample_ratio_p_value({"a": 1, "c": 2}, {"a": 0.5, "b": 0.5})


# --- the randomisation test -------------------------------------------------------------------------------------------


def test_randomisation_test_counts_all_assignments():
    """Of the 20 ways to treat three of 1, 2, 3, 4, 5, 10, only {4, 5, 10} and {1, 2, 3} part the values entirely."""
    assert randomisation_p_value([1, 2, 3, 4, 5, 10], [0, 0, 0, 1, 1, 1]) == pytest.approx(2 / 20)


def test_randomisation_test_by_draws_agrees_with_scipy():
    rng = np.random.default_rng(8)
    y, d = rng.lognormal(0, 1.5, 60), drawn(rng, 60, 25)
    y = y + 0.8 * d

    def welch(a, b):
        return stats.ttest_ind(a, b, equal_var=False).statistic

    oracle = stats.permutation_test((y[d == 1], y[d == 0]), lambda a, b: abs(welch(a, b)), n_resamples=1999,
                                    alternative="greater", rng=np.random.default_rng(1)).pvalue  # fmt: skip
    found = randomisation_p_value(y, d, draws=20_000, rng=np.random.default_rng(2))
    assert found == pytest.approx(oracle, abs=4 * np.sqrt(oracle * (1 - oracle) / 1999))
    assert randomisation_p_value(y, d, rng=np.random.default_rng(3)) == randomisation_p_value(y, d, rng=3)


def test_randomisation_stays_within_blocks():
    """Within each block the arms are equal; between blocks they are far apart, and treatment is mostly in one."""
    y = np.r_[np.zeros(20), 100 * np.ones(20)] + np.tile([0.0, 1.0], 20)
    d = np.r_[np.tile([1, 1, 0, 0], 1), np.zeros(16), np.ones(16), [1, 1, 0, 0]].astype(int)
    block = np.repeat(["low", "high"], 20)
    assert randomisation_p_value(y, d) < 0.01
    assert randomisation_p_value(y, d, block) > 0.5


# --- error rates and coverage -----------------------------------------------------------------------------------------

POPULATIONS = {
    "binary": lambda rng, n: (rng.random(n) < 0.15).astype(float),
    "counts": lambda rng, n: rng.poisson(rng.gamma(0.5, 2.0, n)).astype(float),
    "money": lambda rng, n: (rng.random(n) < 0.4) * rng.lognormal(8, 1.3, n),
}


def rejections(kind, n, treated, draws, test, blocks=False, seed=11):
    """Rejections at 5 % over re-randomisations of fixed outcomes: nobody has an effect."""
    rng = np.random.default_rng(seed)
    y = POPULATIONS[kind](rng, n)
    block = np.arange(n) // (n // 4) if blocks else None
    count = 0
    for _ in range(draws):
        d = drawn(rng, n, treated)
        if blocks:
            d = np.concatenate([drawn(rng, n // 4, treated // 4) for _ in range(4)])
        count += test(y, d, block, rng) < 0.05
    return count


def by_t(y, d, block, rng):
    return estimate(y, d, block=block).p_value


def by_lot(y, d, block, rng):
    return randomisation_p_value(y, d, block, draws=199, rng=rng)


def above(draws, level=0.05):
    """More rejections than this are improbable (1 in 10,000) at a true rate of `level`."""
    return stats.binom.ppf(0.9999, draws, level)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("kind", POPULATIONS)
def test_no_effect_is_rarely_called_one(kind, blocks):
    assert rejections(kind, 400, 200, 500, by_t, blocks) <= above(500)


def test_heavy_tails_need_the_randomisation_test():
    """Small, unequal arms of money: z says "effect" too often, the studentised randomisation test does not."""

    def by_z(y, d, block, rng):
        found = estimate(y, d)
        return 2 * stats.norm.sf(abs(found.estimate) / found.standard_error)

    assert rejections("money", 80, 12, 400, by_z) > above(400)
    assert rejections("money", 80, 12, 400, by_lot) <= above(400)


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("kind", POPULATIONS)
def test_error_rates_over_many_assignments(kind, blocks):
    draws = 4000
    assert rejections(kind, 400, 200, draws, by_t, blocks) <= above(draws)
    assert rejections(kind, 60, 20, draws, by_lot, blocks) <= above(draws)


def covered(draws, seed, **how):
    """Coverage of a constant effect and mean standard error, over re-randomisations of one population."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=200)
    base = 2 * x + rng.normal(size=200)
    gain = 1.0 + 0.5 * x  # the effect differs between units; its mean is what is estimated
    hits, errors = 0, []
    for _ in range(draws):
        d = drawn(rng, 200, 60)
        found = estimate(base + gain * d, d, covariates=x, **how)
        hits += found.low <= gain.mean() <= found.high
        errors.append(found.standard_error)
    return hits, float(np.mean(errors))


@pytest.mark.parametrize("method", ["neyman", "lin", "cuped"])
def test_intervals_cover_the_known_mean_effect(method):
    hits, _ = covered(400, 4, method=method)
    assert hits >= stats.binom.ppf(0.0001, 400, 0.95)


def test_a_telling_covariate_makes_lin_and_cuped_precise():
    """The covariate explains 4/5 of the control's variance and more of the treated's: the error more than halves."""
    errors = {m: covered(30, 4, method=m)[1] for m in ("neyman", "lin", "cuped")}
    assert errors["lin"] < 0.5 * errors["neyman"] and errors["cuped"] < 0.55 * errors["neyman"]


def test_contacts_of_one_company_are_not_independent():
    """Ten alike members a cluster: as units the test finds effects that are not there, as clusters it does not."""
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(40), 10)
    wrong = right = 0
    for _ in range(300):
        y = rng.normal(size=40)[groups] + 0.3 * rng.normal(size=400)
        d = drawn(rng, 40, 20)[groups]
        wrong += estimate(y, d).p_value < 0.05
        right += estimate(y, d, cluster=groups).p_value < 0.05
    assert right <= above(300) and wrong > 100


def test_balance_p_value_is_calibrated_and_finds_a_targeted_list():
    rng = np.random.default_rng(9)
    x = np.exp(rng.normal(size=(300, 3)) * 1.5)
    x[:, 2] = x[:, 0] * 3  # collinear
    block = np.arange(300) % 3
    p = [balance_p_value(x, drawn(rng, 300, 100), block) for _ in range(400)]
    assert stats.binom.ppf(0.0001, 400, 0.05) <= np.sum(np.array(p) < 0.05) <= above(400)
    best = (x[:, 1] > np.median(x[:, 1])).astype(int)
    assert balance_p_value(x, best) < 1e-6


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"arm": [1, 2, 0, 0, 1, 0]}, "arm should be 0 .* 1 of 6 units hold something else, for example 2"),
        ({"outcome": [1, 2, np.nan, 4, 5, 6]}, "missing or infinite for 1 of 6 units, for example at position 2"),
        ({"arm": [1, 0, 1]}, "same length"),
        ({"arm": [1] * 6}, r"control \(0\) has 0 units"),
        ({"arm": [1, 0, 0, 0, 0, 0]}, r"treatment \(1\) has 1 unit, but"),
        ({"method": "linn", "covariates": [1] * 6}, 'Did you mean "lin"'),
        ({"method": "cuped"}, "needs covariates that were measured before"),
        ({"method": "lin", "covariates": [1, 2, 3, np.nan, 5, 6]}, "covariates are missing .* 1 of 6"),
        ({"block": ["a"] * 3 + ["b"] * 3}, "2 of 2 blocks have fewer than two units of an arm"),
        ({"block": ["a", None, "a", "a", "a", "a"]}, "block is empty for 1 of 6"),
        ({"cluster": [1, 1, 2, 2, 3, 3]}, "3 clusters hold both arms"),
        ({"cluster": [1, 2, 1, 2, 1, 2]}, "fewer than two clusters"),
        ({"level": 95}, "between 0 and 1"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(how, sentence):
    given = {"outcome": [1, 2, 3, 4, 5, 7], "arm": [0, 1, 0, 1, 0, 1], **how}
    with pytest.raises(Refused, match=sentence):
        estimate(**given)


def test_a_constant_outcome_claims_nothing():
    found = estimate(np.zeros(10), np.arange(10) % 2)
    assert (found.estimate, found.p_value) == (0.0, 1.0)
    with pytest.raises(Refused, match="no standard error"):
        estimate(np.arange(10) % 2, np.arange(10) % 2)


def test_thin_blocks_are_merged_with_their_like_or_left_out():
    arm = np.r_[[1, 1, 0, 0], [1, 0], [1, 0], [1, 1]]
    block = ["big"] * 4 + ["p"] * 2 + ["q"] * 2 + ["only treated"] * 2
    label, keep = merge_thin_blocks(arm, block)
    assert keep.tolist() == [True] * 8 + [False] * 2
    assert len(set(label[:4])) == 1 and len(set(label[4:8])) == 1 and label[0] != label[4]


def test_arguments_are_not_changed(trial):
    before = trial.copy()
    estimate(trial["y"], trial["d"], "lin", trial[["x1"]], block=trial["block"])
    randomisation_p_value(trial["y"], trial["d"], trial["block"], draws=50)
    pd.testing.assert_frame_equal(trial, before)


def test_blocked_lin_is_the_regression_with_block_indicators(trial):
    blocks = pd.get_dummies(trial["block"], drop_first=True, dtype=float)
    x = pd.concat([trial[["x1"]], blocks], axis=1)
    x = x - x.mean()
    X = sm.add_constant(np.column_stack([trial["d"], x, x.mul(trial["d"], axis=0)]))
    fit = sm.OLS(trial["y"].to_numpy(), X).fit(cov_type="HC2")
    found = estimate(trial["y"], trial["d"], "lin", trial[["x1"]], block=trial["block"])
    assert (found.estimate, found.standard_error) == pytest.approx((fit.params[1], fit.bse[1]), rel=1e-8)
