"""Pareto/CNBD-k: its limit k = 1 is the Pareto/NBD; regular orders against a simulator of this file."""

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils.models import ParetoNBD
from ltvlab_utils.models.pareto_cnbd import ParetoCNBD, PastClock

PARAMS = {"r": 1.3, "alpha": 9.0, "s": 0.7, "beta": 40.0}


def lives(k: int, n: int, end: float, ahead: float, seed: int = 4) -> pd.DataFrame:
    """Customers first seen within half of `end`: frequency, recency, T, alive at end, later (orders to end + ahead)."""
    random, rows = np.random.default_rng(seed), []
    rate, death = random.gamma(1.3, 1 / 9.0, n), random.exponential(1 / random.gamma(0.7, 1 / 40.0, n))
    born = random.uniform(0, end / 2, n)
    for lam, dies, first in zip(rate * k, death, born, strict=True):
        last = min(dies, end + ahead - first)
        gaps = random.gamma(k, 1 / lam, int(lam * last / k + 6 * np.sqrt(lam * last) + 10))
        times = np.cumsum(gaps)
        times = times[times < last]
        seen = times[times <= end - first]
        rows.append((len(seen), seen.max(initial=0.0), end - first, dies > end - first, len(times) - len(seen)))
    return pd.DataFrame(rows, columns=["frequency", "recency", "T", "alive", "later"])


def test_with_k_1_it_is_the_pareto_nbd():
    h = lives(1, 200, 80, 10)
    own, known = ParetoCNBD(**PARAMS), ParetoNBD(**PARAMS)
    data = [h[c].to_numpy(float) for c in ("frequency", "recency", "T")]
    rows, slopes = own.rows(*data)
    expected, theirs = ParetoNBD._log_likelihood_rows(PARAMS, *data)
    assert rows == pytest.approx(expected, abs=1e-10)
    for one, other in zip(slopes, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-9)
    assert own.probability_alive(h) == pytest.approx(known.probability_alive(h), abs=1e-10)
    t = np.array([0.5, 13.0, 52.0])
    assert own.expected_purchases(t) == pytest.approx(known.expected_purchases(t), rel=1e-9)
    n = np.arange(6)
    assert own.probability_of_n_purchases(n, 26.0) == pytest.approx(known.probability_of_n_purchases(n, 26.0), rel=1e-9)
    both = (m.conditional_expected_purchases(h, 26.0) for m in (own, known))
    assert next(both) == pytest.approx(next(both), rel=1e-8)


@pytest.mark.parametrize("k", [2, 3])
def test_regular_orders_are_predicted_as_they_come(k):
    """P(alive) by tenths, orders to come, and counts of new customers, within 4 standard errors of the simulator."""
    n, ahead = 20_000, 26.0
    h = lives(k, n, 80, ahead)
    model = ParetoCNBD(**{**PARAMS, "alpha": 9.0 / k}, k=k)
    alive, orders = model.probability_alive(h), model.conditional_expected_purchases(h, ahead)
    for tenth in np.array_split(np.argsort(alive), 10):
        p = alive[tenth]
        assert abs(h["alive"].to_numpy()[tenth].mean() - p.mean()) < 4 * np.sqrt((p * (1 - p)).sum()) / len(p) + 1e-9
    error = h["later"] - orders
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(n)
    new = model.expected_purchases(20.0)
    counts = model.probability_of_n_purchases(np.arange(60), 20.0)
    assert counts.sum() == pytest.approx(1.0, abs=1e-4) and counts @ np.arange(60) == pytest.approx(new, rel=1e-3)


@pytest.mark.parametrize("k", [1, 3])
def test_draws_agree_with_the_means(k):
    h = lives(k, 30, 80, 0)
    model = ParetoCNBD(**{**PARAMS, "alpha": 9.0 / k}, k=k)
    drawn = model.sample_latents(h, 4000, np.random.default_rng(1))
    assert drawn["alive"].mean(axis=1) == pytest.approx(model.probability_alive(h), abs=0.04)
    assert drawn["phase"].max() == k - 1 and (drawn["lifetime"] > 0).sum() == drawn["alive"].sum()


def test_gradients_are_those_of_the_likelihood_on_a_seasonal_clock():
    back = tuple(np.arange(0.0, 100.0, 4.0))
    clock = PastClock(back, tuple(1 + 0.5 * np.sin(np.arange(len(back) - 1))))
    model = ParetoCNBD(**PARAMS, k=2, clock=clock)
    h = lives(2, 40, 80, 0)
    data = [h[c].to_numpy(float) for c in ("frequency", "recency", "T")]
    nodes = model.nodes(*data)
    _, slopes = model.rows(*data, nodes=nodes)
    for i, (name, value) in enumerate(PARAMS.items()):
        step = 1e-5 * value
        high, low = (tuple({**PARAMS, name: value + d}.values()) for d in (step, -step))
        change = model.rows(*data, high, nodes=nodes)[0] - model.rows(*data, low, nodes=nodes)[0]
        assert slopes[i] == pytest.approx(change / (2 * step), rel=1e-5, abs=1e-7)


def test_a_quiet_season_is_not_read_as_leaving():
    """Six months of silence: worse news where orders come as ever than where nobody orders."""
    h = pd.DataFrame({"frequency": [20], "recency": [80.0], "T": [106.0]})
    quiet = PastClock((0.0, 26.0, 200.0), (0.1, 1.0))
    plain, seasonal = (ParetoCNBD(**PARAMS, k=2, clock=c).probability_alive(h)[0] for c in (None, quiet))
    assert plain < 0.05 < 0.5 < seasonal
