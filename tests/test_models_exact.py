"""Every closed form of the public models against mpmath, at parameters from 1e-3 to 1e4, up to 5,000 orders, recency =
T in two of five histories. Tolerance: 1e-8 of the value (of 1e-290 where a double holds no more), log-likelihoods also
1e-9."""

import math

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from ltvlab_utils.models import BGBB, BGNBD, MBGNBD, NBD, BetaDiscreteWeibull, GammaGamma, ParetoNBD
from ltvlab_utils.models import ShiftedBetaGeometric as SBG
from tests import exact
from tests.models_worlds import history

AT_LENGTH = 6  # the slow tier draws so many times as many points


def sizes(low=1e-3, high=1e4):
    return st.floats(math.log(low), math.log(high)).map(math.exp)


def often(value, other):
    return st.one_of(other, other, other, st.just(value))


COUNTS = st.one_of(st.integers(0, 3), sizes(1, 5000).map(int))


@st.composite
def histories(draw):
    age, x = draw(sizes()), draw(COUNTS)
    share = draw(st.one_of(st.just(1.0), st.just(1.0), st.floats(0.001, 1), st.sampled_from([1e-6, 1 - 1e-9])))
    recency = age * share if x else 0.0
    return x, recency, age


@st.composite
def opportunities(draw):
    n = draw(st.integers(0, 20))
    last = draw(st.integers(0, n))
    return draw(st.integers(1, last)) if last else 0, last, n


def close(got, want, absolute=1e-290, digits=1e-8):
    assert np.isfinite(got) and abs(mp.mpf(float(got)) - want) <= digits * abs(want) + absolute, (got, want)


def log_likelihood(model, *row):
    rows, _ = model._log_likelihood_rows(model.params, *(np.array([float(v)]) for v in row))
    return rows[0]


def built(model, values):
    return model(**dict(zip(model.names, values, strict=True)))


FOUR = st.tuples(sizes(), sizes(), often(1.0, sizes()), sizes())  # a, s and gamma are 1 in one of four


def pareto(params, who, t, delta, horizon):
    model, (x, recency, age), row = built(ParetoNBD, params), who, history(*who)
    log_l, alive = exact.pareto(*params, x, recency, age)
    close(log_likelihood(model, *who), log_l, 1e-9)
    close(model.probability_alive(row)[0], alive)
    orders = exact.pareto_conditional(*params, x, age, t)
    close(model.conditional_expected_purchases(row, t)[0], alive * orders)
    close(model.expected_purchases(t), exact.pareto_expected(*params, t))
    for end in (None, horizon):
        orders = exact.pareto_discounted(*params, x, age, delta, end)
        close(model.discounted_expected_transactions(row, delta, end)[0], alive * orders)


def pareto_counts(params, n, t):
    close(built(ParetoNBD, params).probability_of_n_purchases(n, t), exact.pareto_count(*params, n, t))


def beta_geometric(kind, params, who, n, t):
    model, (x, recency, age), row, first = built(kind, params), who, history(*who), kind.first
    r, alpha, a, b = params
    log_l, alive = exact.beta_geometric(*params, x, recency, age, first)
    close(log_likelihood(model, *who), log_l, 1e-9)
    close(model.probability_alive(row)[0], alive)
    close(model.probability_of_n_purchases(n, t), exact.beta_geometric_count(*params, n, t, first))
    close(model.expected_purchases(t), exact.beta_geometric_expected(*params, t, first))
    orders = exact.beta_geometric_orders(r + x, alpha + age, a, b + x + first, t)
    close(model.conditional_expected_purchases(row, t)[0], alive * orders)


def beta_geometric_discounted(kind, params, who, delta, horizon):
    model, (x, recency, age), row, first = built(kind, params), who, history(*who), kind.first
    r, alpha, a, b = params
    _, alive = exact.beta_geometric(*params, x, recency, age, first)
    orders = exact.beta_geometric_discounted(r + x, alpha + age, a, b + x + first, delta, horizon)
    close(model.discounted_expected_transactions(row, delta, horizon)[0], alive * orders)


def nbd(params, who, n, t, delta, horizon):
    model, (x, _, age), row = built(NBD, params), who, history(*who)
    r, alpha = map(mp.mpf, params)
    close(log_likelihood(model, x, age), exact.nbd(r, alpha, x, age), 1e-9)
    close(model.probability_of_n_purchases(n, t), exact.nbd_count(r, alpha, n, t))
    close(model.expected_purchases(t), r / alpha * t)
    rate = (r + x) / (alpha + age)
    close(model.conditional_expected_purchases(row, t)[0], rate * t)
    close(model.discounted_expected_transactions(row, delta)[0], rate / delta)
    ended = rate * -mp.expm1(-mp.mpf(delta) * horizon) / delta
    close(model.discounted_expected_transactions(row, delta, horizon)[0], ended)


def bgbb(params, who, t, share, delta):
    model, (x, recency, n) = built(BGBB, params), who
    row = pd.DataFrame({"frequency": [x], "recency": [recency], "n_periods": [n]})
    log_l, alive = exact.bgbb(*params, x, recency, n)
    close(log_likelihood(model, *who), log_l, 1e-9)
    close(model.probability_alive(row)[0], alive)
    gamma, death = map(mp.mpf, params[2:])
    now = alive * (gamma + death + n) / (death + n)  # alive at n, of whom some die before n + 1
    close(model.conditional_expected_purchases(row, t)[0], now * exact.bgbb_conditional(*params, x, n, t))
    close(model.expected_purchases(t), exact.bgbb_conditional(*params, 0, 0, t))
    used = int(share * t)
    close(model.probability_of_n_purchases(used, t), exact.bgbb_count(*params, used, t))
    for end in (None, t):
        orders = now * exact.bgbb_discounted(*params, x, n, delta, end)
        close(model.discounted_expected_transactions(row, delta, end)[0], orders)


def gamma_gamma(params, x, z):
    model, (p, q, v) = built(GammaGamma, params), params
    close(log_likelihood(model, x, z), exact.gamma_gamma(*params, x, z), 1e-9)
    spend = model.conditional_expected_spend(pd.DataFrame({"frequency": [x], "monetary_value": [z]}))[0]
    if p * x + q > 1 + 1e-6:
        close(spend, exact.gamma_gamma_spend(*params, x, z))
    elif p * x + q < 1:
        assert math.isnan(spend)  # the mean does not exist
    if q > 1 + 1e-6:
        close(model.population_mean(), mp.mpf(p) * v / (mp.mpf(q) - 1))


def renewals(params, c, m, more, churned, d):
    alpha, beta = params
    seen = max(m - more, 0)
    for model, power in ((SBG(alpha=alpha, beta=beta), 1), (BetaDiscreteWeibull(alpha=alpha, beta=beta, c=c), c)):
        now = exact.survival(alpha, beta, m, power)
        close(model.survival(m), now)
        close(model.retention_rate(m + 1), exact.survival(alpha, beta, m + 1, power) / now)
        exactly = exact.renewals(alpha, beta, m, churned, power, seen)
        close(log_likelihood(model, m, churned, seen), exactly, 1e-9)
    derl = exact.derl(alpha, beta, m, d)
    for model in (SBG(alpha=alpha, beta=beta), BetaDiscreteWeibull(alpha=alpha, beta=beta, c=1.0)):
        close(model.discounted_expected_residual_lifetime(m, d), derl)
        new = 1 + exact.derl(alpha, beta, 0, d) / (1 + mp.mpf(d))
        close(model.discounted_expected_lifetime(d), new)


def weibull_lifetimes(params, c, m, d):
    model = BetaDiscreteWeibull(alpha=params[0], beta=params[1], c=c)
    close(model.discounted_expected_residual_lifetime(m, d), exact.derl_sum(*params, m, d, c), 1e-13)


T, DELTA, HORIZON = sizes(), sizes(1e-6, 1), sizes()
BETA_GEOMETRIC = st.sampled_from([BGNBD, MBGNBD])
CASES = {
    pareto: (10, FOUR, histories(), T, DELTA, HORIZON),
    pareto_counts: (4, FOUR, COUNTS, T),
    beta_geometric: (25, BETA_GEOMETRIC, FOUR, histories(), COUNTS, T),
    beta_geometric_discounted: (3, BETA_GEOMETRIC, FOUR, histories(), DELTA, st.one_of(st.none(), HORIZON)),
    nbd: (40, st.tuples(sizes(), sizes()), histories(), COUNTS, T, DELTA, HORIZON),
    bgbb: (15, FOUR, opportunities(), st.integers(0, 20), st.floats(0, 1), DELTA),
    gamma_gamma: (60, st.tuples(sizes(), sizes(), sizes()), sizes(1, 5000).map(int), sizes(1e-3, 1e9)),
    renewals: (
        15, st.tuples(sizes(), sizes()), sizes(0.2, 3), st.integers(0, 200), st.integers(0, 200), st.booleans(),
        sizes(1e-4, 1),
    ),
    weibull_lifetimes: (5, st.tuples(sizes(), sizes()), sizes(0.2, 3), st.integers(0, 200), sizes(0.03, 1)),
}  # fmt: skip
DIGITS = {pareto: 100, beta_geometric: 100}  # their published forms cancel


def hold(prove, examples):
    """`prove` at so many drawn points; points at which mpmath is unsure are drawn anew."""

    @settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.tuples(*CASES[prove][1:]))
    def run(point):
        try:
            with mp.workdps(DIGITS.get(prove, 40)):
                prove(*point)
        except (exact.UnsureError, mp.libmp.NoConvergence):
            reject()

    run()


@pytest.mark.parametrize("prove", CASES, ids=lambda p: p.__name__)
def test_closed_forms(prove):
    hold(prove, CASES[prove][0])


@pytest.mark.slow
@pytest.mark.parametrize("prove", CASES, ids=lambda p: p.__name__)
def test_closed_forms_at_length(prove):
    hold(prove, AT_LENGTH * CASES[prove][0])
