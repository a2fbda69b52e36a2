"""How much of a total the prior decides."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils.value import answers, sensitivity
from ltvlab_utils.value.order_posterior import DEATH_RATE_SD, Prior
from tests.value_world import company, settings, valued

MEAN = np.log(0.4)


def normal(sd: float, prior_sd: float = DEATH_RATE_SD, draws: int = 40_000):
    """Totals 100 - 10 (ln death rate) of a segment whose ln death rate is N(MEAN, sd²) by its posterior."""
    rate = np.random.default_rng(3).normal(MEAN, sd, draws)
    prior = Prior(np.array([0.0, 0.0, MEAN, 0.0]), np.array([1.5, 1.0, prior_sd, 1.0]))
    choice = SimpleNamespace(posterior=SimpleNamespace(prior=prior))
    params = {"all": {"s": np.exp(rate), "beta": np.ones(draws)}}
    return {"all": 100 - 10 * rate}, SimpleNamespace(orders={"all": choice}), params


@pytest.mark.parametrize("sd", [0.1, 0.6])
def test_the_weights_give_what_the_other_prior_gives(sd):
    """Normal on normal: the posterior mean moves by (sd of posterior / sd of prior)² of the prior's move."""
    totals, fits, params = normal(sd)
    found = sensitivity.of_prior(totals, fits, params).set_index("factor")["value"]
    for factor in sensitivity.FACTORS:
        truth = -10 * np.log(factor) * (sd / DEATH_RATE_SD) ** 2
        assert found[factor] - totals["all"].mean() == pytest.approx(truth, rel=0.05)


def test_a_pooled_prior_moves_by_the_share_of_the_stated_one():
    pooled = 0.4  # sd of N(m, tau² + var m): what other segments say has narrowed it
    totals, fits, params = normal(0.3, pooled)
    found = sensitivity.of_prior(totals, fits, params).set_index("factor")["value"]
    truth = -10 * np.log(2) * (pooled / DEATH_RATE_SD) ** 2 * (0.3 / pooled) ** 2
    assert found[2.0] - totals["all"].mean() == pytest.approx(truth, rel=0.05)


def test_draws_that_do_not_reach_say_so_and_other_models_stay():
    totals, fits, params = normal(0.6, 0.05)
    params["all"]["s"][0] *= np.exp(30)  # one draw far out takes all the weight
    assert np.isnan(sensitivity.of_prior(totals, fits, params)["value"]).any()
    none = SimpleNamespace(orders={})
    assert (sensitivity.of_prior(totals, none, {})["value"] == totals["all"].mean()).all()


def test_a_valuation_carries_it():
    _, fits, found = valued(company())
    total = found.totals.set_index("scope").loc["company", "value"]
    other = found.other_priors.set_index("factor")["value"]
    assert set(other.index) == {2.0, 0.5} and abs(other / total - 1).max() < 0.02  # 160 customers, 12 to 60 orders each
    assert all(choice.posterior is not None for choice in fits.orders.values())


@pytest.mark.parametrize("language", ["ja", "en"])
def test_it_is_said_in_words(language):
    total = pd.DataFrame({"scope": ["company"], "value": [100.0], "low": [80.0], "high": [120.0]})

    def said(fast, slow):
        other = pd.DataFrame({"factor": [2.0, 0.5], "value": [fast, slow]})
        return answers.prior_share(SimpleNamespace(totals=total, other_priors=other), settings(), language)

    small, large, nothing = said(99.0, 101.0), said(80.0, 110.0), said(np.nan, 101.0)
    assert len({small, large, nothing}) == 3 and "99" in small and "110" in large
