"""The renewal hazard as a model: its likelihood against an integral, its derivatives, known coefficients recovered."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from ltvlab_utils.errors import Refused
from ltvlab_utils.models.hazard import (
    BEFORE,
    LEFT,
    STAYED,
    Decisions,
    FrailtyHazard,
    Prior,
    _Problem,
    log_hazard,
)


def rng(seed=1):
    return np.random.default_rng(seed)


def small() -> Decisions:
    """Three contracts: two renewals before sight, one seen, then gone; stayed twice; gone at once."""
    x = rng().normal(size=(6, 2))
    told = np.array([BEFORE, STAYED, LEFT, STAYED, STAYED, LEFT])
    return Decisions(
        x, np.array([0.0, 2, 2, 1, 1, 5]), told, np.array([2.0, 1, 1, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 2]),
        np.array([1.0, 0.5, 2.0]),
    )  # fmt: skip


@pytest.mark.parametrize("v", [0.05, 0.5, 2.0])
def test_likelihood_is_the_integral_over_the_frailty(v):
    """P(told) = integral over z ~ Gamma(mean 1, variance v) of the product over decisions, over P(in sight)."""
    data, b = small(), np.array([0.3, -0.4])
    h = np.exp(data.x @ b) * data.count
    total = 0.0
    for group in range(3):
        rows = data.group == group
        of = lambda told: h[rows & (data.told == told)].sum()  # noqa: B023, E731
        density = lambda z: gamma.pdf(z, 1 / v, scale=v)  # noqa: E731
        leaves = of(LEFT)
        told = quad(
            lambda z: np.exp(-z * (of(BEFORE) + of(STAYED))) * (-np.expm1(-z * leaves) if leaves else 1) * density(z),  # noqa: B023
            0, np.inf, epsabs=1e-13, limit=400,
        )[0]  # fmt: skip
        seen = quad(lambda z: np.exp(-z * of(BEFORE)) * density(z), 0, np.inf, epsabs=1e-13, limit=400)[0]  # noqa: B023
        total += data.weight[group] * np.log(told / seen)
    value = _Problem(data, np.array([False, False]), 0.0)(b, v)[0]
    assert value == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("fade", [0.0, 0.3])
def test_gradient_and_hessian_are_those_of_the_value(fade):
    problem, b, v, step = _Problem(small(), np.array([False, True]), fade), np.array([0.3, -0.4]), 0.7, 1e-5
    _, gradient, hessian = problem(b, v)
    for i, e in enumerate(np.eye(2) * step):
        up, down = problem(b + e, v), problem(b - e, v)
        assert gradient[i] == pytest.approx((up[0] - down[0]) / (2 * step), rel=1e-7)
        assert hessian[i] == pytest.approx((up[1] - down[1]) / (2 * step), rel=1e-6)


def world(random, contracts, b, frailty, fade, leads=(0.0, 3.0, 6.0), terms=5):
    """Contracts that decide up to `terms` times: z gamma; a covariate that moves from decision to decision and is seen
    at each lead through exp(-fade lead) plus noise, so that the regression on what is seen is b exp(-fade lead). Half
    of the contracts came into sight at their third decision, if they had stayed."""
    v = frailty**2
    z = random.gamma(1 / v, v, contracts)
    rows = []
    late = random.random(contracts) < 0.5
    for i in range(contracts):
        first = 2 if late[i] else 0
        history = []
        for _ in range(terms):
            kind, now = float(i % 2), random.normal()
            h = z[i] * np.exp(b[0] + b[1] * kind + b[2] * now)
            left = random.random() < -np.expm1(-h)
            seen = [np.exp(-fade * m) * now + np.sqrt(1 - np.exp(-2 * fade * m)) * random.normal() for m in leads]
            history.append((left, kind, seen))
            if left:
                break
        if len(history) <= first:
            continue  # gone before it came into sight
        for number, lead in enumerate(leads):
            if first:
                rows.append((i, number, lead, BEFORE, float(first), float(i % 2), 0.0))
            for left, kind, seen in history[first:]:
                rows.append((i, number, lead, LEFT if left else STAYED, 1.0, kind, seen[number]))
    table = np.array(rows)
    _, group = np.unique(table[:, 0] * 10 + table[:, 1], return_inverse=True)
    order = np.argsort(group, kind="stable")
    table, group = table[order], group[order]
    x = np.column_stack([np.ones(len(table)), table[:, 5], table[:, 6]])
    weight = np.full(group.max() + 1, 1 / len(leads))
    return Decisions(x, table[:, 2], table[:, 3].astype(int), table[:, 4], group, weight)


PRIOR = Prior(np.array([-2.0, 0.0, 0.0]), np.array([1.5, 0.4, 1.0]), np.array([False, False, True]))
NAMES = ("base", "kind", "usage")


def test_known_coefficients_are_recovered():
    """1,500 contracts, b = (-1.6, 0.4, -0.5), frailty 0.6, fade 0.1: each within 4 posterior sds, and those sds small
    enough to say so. (Before-sight hazards count the mean covariate, which blurs the base a little.)"""
    fit = FrailtyHazard.fit(world(rng(3), 1500, (-1.6, 0.4, -0.5), 0.6, 0.1), PRIOR, NAMES)
    found = fit.summary()
    for name, truth in {"base": -1.6, "kind": 0.4, "usage": -0.5}.items():
        mean, sd = found[name]
        assert abs(mean - truth) < 4 * sd, (name, mean, sd)
        assert sd < 0.2, (name, sd)
    assert found["usage"][0] < -0.3 and 0.02 < found["fade"][0] < 0.2


@pytest.mark.slow
def test_posterior_intervals_hold_over_worlds():
    """40 companies of 150 contracts whose coefficients are drawn from the prior's shape: 80 % intervals of the moving
    coefficient hold the truth within the 99.9 % range of Binomial(40, 0.8), 23 to 39."""
    hits, random = 0, rng(11)
    for _ in range(40):
        b = (random.normal(-1.8, 0.3), random.normal(0, 0.3), random.normal(0, 0.3))
        fit = FrailtyHazard.fit(world(random, 150, b, 0.5, 0.08, leads=(0.0, 4.0)), PRIOR, NAMES)
        low, high = np.quantile(fit.draw(2000, random)["b"][:, 2], [0.1, 0.9])
        hits += low < b[2] < high
    assert 23 <= hits <= 39, hits


def test_few_decisions_keep_to_the_base_rate():
    """Ten contracts, one refusal: the moving coefficient stays near nothing with a wide interval, the chance to leave
    is wide."""
    random = rng(5)
    x = np.column_stack([np.ones(10), np.zeros(10), random.normal(size=10)])
    told = np.array([LEFT] + [STAYED] * 9)
    data = Decisions(x, np.zeros(10), told, np.ones(10), np.arange(10), np.ones(10))
    fit = FrailtyHazard.fit(data, PRIOR, NAMES)
    mean, sd = fit.summary()["usage"]
    assert abs(mean) < 0.3 and sd > 0.2
    draws = fit.draw(4000, random)
    leave = -np.expm1(-np.exp(log_hazard(np.array([[1.0, 0, 0]]), np.zeros(1), PRIOR.moving, draws)))[0]
    low, high = np.quantile(leave, [0.1, 0.9])
    assert low < 0.1 < high and high - low > 0.15


def test_without_a_decision_the_prior_stands():
    empty = Decisions(np.zeros((0, 3)), np.zeros(0), np.zeros(0, int), np.zeros(0), np.zeros(0, int), np.zeros(0))
    found = FrailtyHazard.fit(empty, PRIOR, NAMES).summary()
    assert found["base"] == pytest.approx((-2.0, 1.5)) and found["kind"] == pytest.approx((0.0, 0.4))


def test_weights_stand_for_copies_and_order_means_nothing():
    data = world(rng(7), 120, (-1.6, 0.4, -0.5), 0.6, 0.1)
    once = FrailtyHazard.fit(data, PRIOR, NAMES)
    n = data.group.max() + 1
    both = lambda a: np.concatenate([a, a])  # noqa: E731
    doubled = Decisions(
        both(data.x), both(data.lead), both(data.told), both(data.count), np.concatenate([data.group, data.group + n]),
        both(data.weight) / 2,
    )  # fmt: skip
    turned = np.argsort(-data.group, kind="stable")
    back = Decisions(
        data.x[turned], data.lead[turned], data.told[turned], data.count[turned], n - 1 - data.group[turned],
        data.weight[::-1],
    )  # fmt: skip
    for other in (doubled, back):
        fit = FrailtyHazard.fit(other, PRIOR, NAMES)
        assert fit.mean() == pytest.approx(once.mean(), abs=1e-8)
        assert fit.log_evidence == pytest.approx(once.log_evidence, abs=1e-7)


def test_what_does_not_fit_is_refused():
    data = small()
    with pytest.raises(Refused, match="3 names, but covariates of shape"):
        FrailtyHazard.fit(data, PRIOR, NAMES)
    data.x[0, 0] = np.nan
    two = Prior(np.zeros(2), np.ones(2), np.zeros(2, bool))
    with pytest.raises(Refused, match="not finite"):
        FrailtyHazard.fit(data, two, ("a", "b"))
