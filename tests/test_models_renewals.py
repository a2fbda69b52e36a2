"""Renewal models against Fader & Hardie, closed forms at high precision, simulations with known truth."""

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

from ltvlab_utils.errors import Refused
from ltvlab_utils.models import BetaDiscreteWeibull, ShiftedBetaGeometric

# Fader & Hardie (2007), table 1: survivors of 1,000 customers after 0 to 7 renewals.
HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491]
REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241]


def cohort(survivors: list[int]) -> pd.DataFrame:
    """renewals_made, churned and the number of customers; the last survivors are censored."""
    lost = -np.diff(survivors)
    rows = [(m, True, n) for m, n in enumerate(lost)] + [(len(lost), False, survivors[-1])]
    return pd.DataFrame(rows, columns=["renewals_made", "churned", "customers"])


@pytest.mark.parametrize(
    ("survivors", "alpha", "beta", "log_likelihood"),
    [(HIGH_END, 0.668, 3.806, -1611.16), (REGULAR, 0.704, 1.182, -1680.27)],
)
def test_sbg_reproduces_fader_hardie_2007(survivors, alpha, beta, log_likelihood):
    data = cohort(survivors)
    fit = ShiftedBetaGeometric.fit(data, data["customers"])
    assert fit.converged and fit.warnings == [] and fit.customers == 1000
    assert fit.params == pytest.approx({"alpha": alpha, "beta": beta}, abs=6e-4)
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=6e-3)


def test_sbg_projects_the_survival_of_fader_hardie_2007():
    data = cohort(HIGH_END)
    fit = ShiftedBetaGeometric.fit(data, data["customers"])
    assert 100 * fit.survival(np.arange(8, 13)) == pytest.approx([46.04, 43.58, 41.42, 39.51, 37.80], abs=6e-3)
    assert fit.survival(0) == 1
    assert fit.retention_rate(np.arange(1, 5)) == pytest.approx(
        fit.survival(np.arange(1, 5)) / fit.survival(np.arange(4))
    )


@pytest.mark.parametrize(
    "model", [ShiftedBetaGeometric(alpha=3.80, beta=15.20), BetaDiscreteWeibull(alpha=3.80, beta=15.20, c=1.0)]
)
def test_derl_reproduces_fader_hardie_2010(model):
    """d = 10 %, 0 to 4 renewals made."""
    derl = model.discounted_expected_residual_lifetime(np.arange(5), 0.10)
    assert derl == pytest.approx([3.31, 3.45, 3.59, 3.72, 3.84], abs=5e-3)
    assert model.discounted_expected_lifetime(0.10) == pytest.approx(1 + derl[0] / 1.1)


@pytest.mark.parametrize("alpha", [0.05, 1.0, 3.8, 40.0])
@pytest.mark.parametrize("beta", [0.02, 15.0, 900.0])
@pytest.mark.parametrize("d", [1e-6, 0.008, 0.1])
@pytest.mark.parametrize("model", [ShiftedBetaGeometric, BetaDiscreteWeibull])
def test_derl_is_the_hypergeometric_form(model, alpha, beta, d):
    extra = {"c": 1.0} if model is BetaDiscreteWeibull else {}
    fitted = model(alpha=alpha, beta=beta, **extra)
    for m in (0, 60):
        with mp.workdps(40):
            series = mp.hyp2f1(1, mp.mpf(beta) + m + 1, mp.mpf(alpha) + beta + m + 1, 1 / (1 + mp.mpf(d)))
            exact = float((mp.mpf(beta) + m) / (mp.mpf(alpha) + beta + m) * series)
        assert fitted.discounted_expected_residual_lifetime(m, d) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("c", "d"), [(1.7, 0.1), (0.6, 0.02), (1.4, 0.0)])
def test_bdw_derl_is_the_sum_of_its_survival(c, d):
    model = BetaDiscreteWeibull(alpha=3.0, beta=6.0, c=c)
    k = np.arange(1, 400_001)
    exact = (model.survival(3 + k) / model.survival(3)) @ (1 + d) ** -(k - 1.0)
    assert model.discounted_expected_residual_lifetime(3, d) == pytest.approx(exact, rel=1e-9)


def test_without_discount_the_mean_may_be_infinite():
    assert ShiftedBetaGeometric(alpha=0.7, beta=4).discounted_expected_lifetime(0) == np.inf
    assert BetaDiscreteWeibull(alpha=0.5, beta=4, c=1.5).discounted_expected_residual_lifetime(0, 0) == np.inf
    assert ShiftedBetaGeometric(alpha=3, beta=4).discounted_expected_residual_lifetime(2, 0) == pytest.approx(6 / 2)


@pytest.mark.parametrize("model", [ShiftedBetaGeometric, BetaDiscreteWeibull])
def test_gradients_are_those_of_the_likelihood(model):
    data = [np.array([0.0, 0, 1, 7, 7, 90]), np.array([1.0, 0, 1, 1, 0, 1])]
    point = np.array([0.7, 3.8, 1.3][: len(model.names)])

    def value(v):
        return model._log_likelihood_rows(dict(zip(model.names, v, strict=True)), *data)[0]

    _, slopes = model._log_likelihood_rows(dict(zip(model.names, point, strict=True)), *data)
    for i, name in enumerate(model.names):
        step = np.eye(len(point))[i] * 1e-5
        numeric = (value(point + step) - value(point - step)) / 2e-5
        assert slopes[i] == pytest.approx(numeric, rel=1e-6, abs=1e-7), name


@pytest.mark.parametrize("c", [1.0, 1.6])
def test_parameters_are_recovered_from_churn_one_decision_at_a_time(c):
    rng, n = np.random.default_rng(17), 8000
    truth = {"alpha": 1.2, "beta": 5.0, "c": c}
    theta, decisions = rng.beta(1.2, 5.0, n), rng.integers(2, 11, n)
    made, alive = np.zeros(n, int), np.ones(n, bool)
    for k in range(10):
        stays = rng.random(n) < (1 - theta) ** ((k + 1) ** c - k**c)
        open_now = alive & (k < decisions)
        made += open_now & stays
        alive &= ~open_now | stays
    data = pd.DataFrame({"renewals_made": made, "churned": ~alive})
    for model in (ShiftedBetaGeometric, BetaDiscreteWeibull) if c == 1 else (BetaDiscreteWeibull,):
        fit = model.fit(data)
        assert fit.converged
        for name in model.names:
            assert abs(fit.params[name] - truth[name]) < 3 * fit.standard_errors[name], (model, name)


@pytest.mark.parametrize(
    "model", [ShiftedBetaGeometric(alpha=0.7, beta=3.8), BetaDiscreteWeibull(alpha=0.7, beta=3.8, c=1.5)]
)
def test_lifetime_draws_survive_as_the_model_says(model):
    """P(at least k more renewals | m made) = S(m + k)/S(m)."""
    made, draws = np.array([0, 3]), 100_000
    more = model.sample_lifetimes(made, draws, np.random.default_rng(3), max_renewals=50)
    assert more.shape == (2, draws) and more.max() == 50
    for k in (1, 2, 6):
        share = model.survival(made + k) / model.survival(made)
        assert (more >= k).mean(axis=1) == pytest.approx(share, abs=4.5 * 0.5 / np.sqrt(draws))


def test_churn_probability_draws_follow_their_beta():
    model = ShiftedBetaGeometric(alpha=0.7, beta=3.8)
    theta = model.sample_churn_probability(np.array([4]), 100_000, np.random.default_rng(1))
    assert theta.mean() == pytest.approx(0.7 / (0.7 + 3.8 + 4), abs=2e-3)
    params = {"alpha": np.tile([0.7, 7.0], 50_000), "beta": np.full(100_000, 3.8)}
    theta = model.sample_churn_probability(np.array([4]), 100_000, np.random.default_rng(1), params)
    assert theta[0, 1::2].mean() == pytest.approx(7.0 / (7.0 + 7.8), abs=2e-3)


def test_row_order_and_grouping_change_nothing():
    data = cohort(HIGH_END)
    fit = ShiftedBetaGeometric.fit(data, data["customers"])
    one_by_one = data.loc[data.index.repeat(data["customers"])].sample(frac=1, random_state=2)
    assert ShiftedBetaGeometric.fit(one_by_one).params == pytest.approx(fit.params, rel=1e-8)


def test_verdicts_and_refusals():
    censored = pd.DataFrame({"renewals_made": [3, 2], "churned": [False, False]})
    first_only = pd.DataFrame({"renewals_made": [0] * 10, "churned": [True] * 3 + [False] * 7})
    one_decision = pd.DataFrame({"renewals_made": [0] * 3 + [1] * 7, "churned": [True] * 3 + [False] * 7})
    for model in (ShiftedBetaGeometric, BetaDiscreteWeibull):
        assert model.fit(censored).warnings == ["no_churn"] and not model.fit(censored).converged
        assert model.fit(censored.iloc[:0]).warnings == ["no_rows"]
        assert not model.fit(first_only).converged
        # One decision tells the mean churn, not how it varies.
        assert model.fit(one_decision).warnings == ["not_identified"]
    with pytest.raises(Refused, match="no_churn"):
        ShiftedBetaGeometric.fit(censored).survival(3)
    with pytest.raises(Refused, match="neither true nor false in 1 of 2 rows"):
        ShiftedBetaGeometric.fit(censored.assign(churned=[0, 2]))
    with pytest.raises(Refused, match='"renewals_made" is not a whole number'):
        ShiftedBetaGeometric.fit(censored.assign(renewals_made=[1.5, 2]))
    with pytest.raises(Refused, match='needs the column "churned"'):
        ShiftedBetaGeometric.fit(censored[["renewals_made"]])
