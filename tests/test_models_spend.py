"""Gamma-Gamma against published numbers, an independent density, and simulations with known truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from ltvlab_utils.errors import Refused
from ltvlab_utils.models import GammaGamma
from tests.models_worlds import cdnow

PUBLISHED = GammaGamma(p=6.25, q=3.74, v=15.44)


def spenders(n, p, q, v, rng) -> pd.DataFrame:
    x = rng.integers(1, 12, n)
    return pd.DataFrame({"frequency": x, "monetary_value": rng.gamma(p * x) / rng.gamma(q, 1 / v, n) / x})


def test_fit_reproduces_fader_hardie_2013():
    fit = GammaGamma.fit(cdnow())
    assert fit.converged and fit.customers == 946 and fit.warnings == []
    assert fit.params == pytest.approx({"p": 6.25, "q": 3.74, "v": 15.44}, rel=2e-3)
    assert fit.log_likelihood == pytest.approx(-4055.918, abs=6e-4)


def test_predictions_reproduce_fader_hardie_2013():
    assert PUBLISHED.population_mean() == pytest.approx(35.22, abs=5e-3)
    first_ten = [24.66, 18.92, 35.22, 35.22, 35.22, 71.47, 18.92, 35.22, 27.29, 35.22]
    assert PUBLISHED.conditional_expected_spend(cdnow().head(10)) == pytest.approx(first_ten, abs=5.1e-3)


def test_likelihood_is_the_mixture_of_gammas():
    """z | ν ~ Gamma(p x, rate ν x), ν ~ Gamma(q, rate v), integrated numerically."""
    x, z = 3, 20.0
    model = GammaGamma(p=2.5, q=3.0, v=12.0)

    def density(nu):
        return stats.gamma.pdf(z, 2.5 * x, scale=1 / (nu * x)) * stats.gamma.pdf(nu, 3.0, scale=1 / 12.0)

    exact = np.log(integrate.quad(density, 0, 10, points=[0.05, 0.2, 0.6], epsabs=0, epsrel=1e-11)[0])
    rows, _ = model._log_likelihood_rows(model.params, np.array([3.0]), np.array([z]))
    assert rows[0] == pytest.approx(exact, rel=1e-9)


def test_gradient_is_that_of_the_likelihood():
    data, point = [np.array([1.0, 7, 400]), np.array([3.0, 50, 900])], np.array([6.2, 3.7, 15.0])

    def value(v):
        return GammaGamma._log_likelihood_rows(dict(zip("pqv", v, strict=True)), *data)[0]

    _, slopes = GammaGamma._log_likelihood_rows(dict(zip("pqv", point, strict=True)), *data)
    for i in range(3):
        step = np.eye(3)[i] * 1e-5
        assert slopes[i] == pytest.approx((value(point + step) - value(point - step)) / 2e-5, rel=1e-5, abs=1e-6)


def test_parameters_are_recovered():
    truth = {"p": 4.0, "q": 3.5, "v": 30.0}
    fit = GammaGamma.fit(spenders(4000, **truth, rng=np.random.default_rng(6)))
    for name, value in truth.items():
        assert abs(fit.params[name] - value) < 3 * fit.standard_errors[name], name


def test_row_order_weights_and_currency_change_nothing():
    h, fit = cdnow(), GammaGamma.fit(cdnow())
    again = GammaGamma.fit(pd.concat([h, h]).sample(frac=1, random_state=1), np.full(2 * len(h), 0.5))
    assert again.params == pytest.approx(fit.params, rel=1e-8)
    yen = GammaGamma.fit(h.assign(monetary_value=h["monetary_value"] * 150))
    assert yen.params == pytest.approx({**fit.params, "v": fit.params["v"] * 150}, rel=1e-7)


def test_spend_draws_have_the_mean_of_the_closed_form():
    """E p/ν under ν ~ Gamma(q + p x, v + x z) is the conditional expectation."""
    h = cdnow().iloc[[0, 2, 5]]
    nu = PUBLISHED.sample_spend_rate(h, 200_000, np.random.default_rng(9))
    mean = 6.25 / nu
    error = mean.std(axis=1) / np.sqrt(200_000)
    assert (np.abs(mean.mean(axis=1) - PUBLISHED.conditional_expected_spend(h)) < 4.5 * error).all()
    doubled = {"p": np.full(100, 6.25), "q": np.full(100, 3.74), "v": np.full(100, 30.88)}
    again = PUBLISHED.sample_spend_rate(h.iloc[[1]], 100, np.random.default_rng(9), doubled)
    same = PUBLISHED.sample_spend_rate(h.iloc[[1]], 100, np.random.default_rng(9))
    assert again == pytest.approx(same / 2)  # no order yet: ν ~ Gamma(q, rate v)


def test_a_mean_that_does_not_exist_is_not_a_number():
    """At q < 1 lifetimes returns −450 for new customers without a word."""
    heavy = GammaGamma(p=2.0, q=0.8, v=10.0)
    assert np.isnan(heavy.population_mean()) and heavy.warnings == ["q_below_one"]
    h = pd.DataFrame({"frequency": [0, 2], "monetary_value": [0.0, 50.0]})
    spend = heavy.conditional_expected_spend(h)
    assert np.isnan(spend[0]) and spend[1] == pytest.approx(2 * (10 + 100) / (4 + 0.8 - 1))
    fit = GammaGamma.fit(spenders(3000, 3.0, 0.8, 10.0, np.random.default_rng(2)))
    assert not fit.converged and fit.warnings == ["q_below_one"]


def test_amounts_of_zero_or_less_are_left_out_and_counted():
    h = spenders(800, 4.0, 3.5, 30.0, np.random.default_rng(1))
    worse = pd.concat([h, pd.DataFrame({"frequency": [2, 3], "monetary_value": [0.0, -5.0]})], ignore_index=True)
    fit = GammaGamma.fit(worse)
    assert fit.params == pytest.approx(GammaGamma.fit(h).params, rel=1e-9)
    assert fit.converged and fit.left_out == 2 and fit.warnings == ["left_out_nonpositive_spend"]


def test_verdicts_and_refusals():
    equal = pd.DataFrame({"frequency": [2, 3, 4], "monetary_value": [10.0, 10.0, 10.0]})
    assert GammaGamma.fit(equal).warnings == ["boundary"] and not GammaGamma.fit(equal).converged
    assert GammaGamma.fit(equal.assign(frequency=0)).warnings == ["no_repeats"]
    assert GammaGamma.fit(equal.iloc[:0]).warnings == ["no_rows"]
    with pytest.raises(Refused, match='"monetary_value" is not a finite number in 1 of 3 rows'):
        GammaGamma.fit(equal.assign(monetary_value=[10.0, np.nan, 9.0]))
    with pytest.raises(Refused, match='needs the column "monetary_value"'):
        GammaGamma.fit(equal[["frequency"]])
    empty_for_new = pd.DataFrame({"frequency": [0, 1], "monetary_value": [None, 40.0]})
    assert PUBLISHED.conditional_expected_spend(empty_for_new)[0] == pytest.approx(35.22, abs=5e-3)
