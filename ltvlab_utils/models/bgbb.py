"""BG/BB: orders at discrete opportunities (floor 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import gammaln

from ltvlab_utils.errors import Refused
from ltvlab_utils.models.base import Model, check_delta
from ltvlab_utils.models.columns import counts_and_times, distinct, order_histories, refuse, weights_of
from ltvlab_utils.models.special import beta_expectation, by_distinct, log_rising, psi_rise


class BGBB(Model):
    """Orders at discrete opportunities (a month's invoice, a yearly fair, a donation drive), with death in between.

    1. While alive a customer orders at each opportunity with probability p.
    2. p varies between customers: Beta(alpha, beta).
    3. Before each opportunity a living customer dies with probability θ.
    4. θ varies between customers: Beta(gamma, delta).
    5. p and θ are independent.

    Columns: frequency (opportunities used), recency (number of the last opportunity used, 0 = none), n_periods
    (opportunities so far). Fader, Hardie & Shang (2010), "Customer-base analysis in a discrete-time noncontractual
    setting".
    """

    names = ("alpha", "beta", "gamma", "delta")
    fragile = names

    def __init__(self, *, alpha: float, beta: float, gamma: float, delta: float):
        super().__init__(alpha=alpha, beta=beta, gamma=gamma, delta=delta)

    @staticmethod
    def _columns(h: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, tx, n = order_histories(h, "BGBB", age="n_periods")
        for column, name in ((tx, "recency"), (n, "n_periods")):
            refuse(column != np.floor(column), column, name, "BGBB", "is not a whole number", h)
        refuse(x > tx, x, "frequency", "BGBB", 'is larger than "recency"', h)
        return x, tx, n

    @classmethod
    def fit(cls, histories: pd.DataFrame, weights: np.ndarray | None = None) -> BGBB:
        """Fit on frequency, recency, n_periods; `weights` counts the customers behind each row."""
        columns = cls._columns(histories)
        (x, tx, n), w = distinct(columns, weights_of(weights, len(histories), cls.__name__))
        if not len(w) or not n.max() > 0:
            return cls._gave_up("no_rows", w.sum())
        if not x.max() > 0:
            return cls._gave_up("no_repeats", w.sum())
        share = min(max((w @ x) / (w @ np.maximum(tx, 1)), 0.02), 0.98)
        starts = [
            {"alpha": k * share, "beta": k * (1 - share), "gamma": g, "delta": d}
            for k, g, d in ((2, 0.7, 3), (1, 0.3, 3), (4, 1, 10), (2, 1, 1))
        ]
        return cls._maximise((x, tx, n), w, starts, {})

    @staticmethod
    def _terms(alpha, beta, gamma, delta, x, tx, n) -> tuple[np.ndarray, np.ndarray]:
        """Columns e = 0 … max n: log of the part "alive for exactly e opportunities" (e = n: still alive)."""
        e = np.arange(int(n.max(initial=0)) + 1, dtype=float)[None, :]
        x, tx, n = x[:, None], tx[:, None], n[:, None]
        part = log_rising(beta, np.maximum(e - x, 0)) - log_rising(alpha + beta, e)
        part = part + log_rising(delta, e) - log_rising(gamma + delta, e)
        part = part + np.where(e < n, np.log(gamma) - np.log(gamma + delta + e), 0.0)
        return e, np.where((e >= tx) & (e <= n), part, -np.inf)

    @classmethod
    def _log_likelihood_rows(cls, params, x, tx, n):
        alpha, beta, gamma, delta = (params[k] for k in cls.names)
        e, log_part = cls._terms(alpha, beta, gamma, delta, x, tx, n)
        top = log_part.max(axis=1)
        part = np.exp(log_part - top[:, None])
        total = part.sum(axis=1)
        mean = lambda values: (part * values).sum(axis=1) / total
        dead = e < n[:, None]
        orders, deaths = psi_rise(alpha + beta, e), psi_rise(gamma + delta, e)
        ended = dead / (gamma + delta + e)
        slopes = [
            psi_rise(alpha, x) - mean(orders),
            mean(psi_rise(beta, np.maximum(e - x[:, None], 0)) - orders),
            mean(dead / gamma - ended - deaths),
            mean(psi_rise(delta, e) - deaths - ended),
        ]
        return log_rising(alpha, x) + top + np.log(total), slopes

    def _alive_now(self, x, tx, n) -> np.ndarray:
        """P(alive at the last opportunity seen | history)."""
        _, log_part = self._terms(*self._values(), x, tx, n)
        part = np.exp(log_part - log_part.max(axis=1, keepdims=True))
        last = part[np.arange(len(n)), n.astype(int)]
        return last / part.sum(axis=1)

    def probability_alive(self, h: pd.DataFrame) -> np.ndarray:
        """P(alive at the next opportunity, n_periods + 1, | history), one value a row."""
        *_, gamma, delta = self._values()
        x, tx, n = self._columns(h)
        return by_distinct(self._alive_now, x, tx, n) * (delta + n) / (gamma + delta + n)

    def _future(self, x, tx, n, f, scale) -> np.ndarray:
        alpha, beta, gamma, delta = self._values()
        each = lambda x, tx, n: (
            self._alive_now(x, tx, n) * (alpha + x) / (alpha + beta + n)
            * beta_expectation(f, gamma, delta + n, scale)
        )  # fmt: skip
        return by_distinct(each, x, tx, n)

    def conditional_expected_purchases(self, h: pd.DataFrame, t: int) -> np.ndarray:
        """E of the orders at the next t opportunities given the history, one value a row."""
        _whole(t)
        left = lambda p, q: q * -np.expm1(t * np.log1p(-np.minimum(p, 1 - 1e-16))) / p
        return self._future(*self._columns(h), left, 1 / max(t, 1)) if t else np.zeros(len(h))

    def expected_purchases(self, t: np.ndarray | int) -> np.ndarray | float:
        """E of the orders of a new customer at its first t opportunities."""
        alpha, beta, gamma, delta = self._values()
        _whole(t, several=True)
        times = np.asarray(t, int)
        k = np.arange(1, times.max(initial=0) + 1)
        alive = np.exp(log_rising(delta, k) - log_rising(gamma + delta, k))
        return (alpha / (alpha + beta) * np.concatenate([[0.0], np.cumsum(alive)]))[times]

    def probability_of_n_purchases(self, n: np.ndarray | int, t: np.ndarray | int) -> np.ndarray | float:
        """P(X(t) = n) of a new customer at its first t opportunities."""
        values = self._values()
        _whole(t, several=True)
        n, t = counts_and_times(n, t, "BGBB")
        x, t = n.reshape(-1, 1), t.ravel()
        # A life of e opportunities gives C(e, n) ways to use n of them.
        e, log_part = self._terms(*values, x[:, 0], np.minimum(x[:, 0], t), t)
        ways = gammaln(e + 1) - gammaln(x + 1) - gammaln(np.maximum(e - x, 0) + 1)
        total = np.exp(log_part + ways + log_rising(values[0], x)).sum(axis=1)
        return np.where(x[:, 0] <= t, total, 0.0).reshape(n.shape)[()]

    def discounted_expected_transactions(self, h: pd.DataFrame, delta: float, horizon: int | None = None) -> np.ndarray:
        """E of the orders at the coming opportunities k = 1, 2, …, each discounted by e^(-delta k).

        `delta` is the continuous rate per opportunity, `horizon` a number of opportunities (None = no end).
        """
        check_delta(delta, horizon, "BGBB")
        if delta == 0:
            if horizon is not None:
                return self.conditional_expected_purchases(h, horizon)
            alpha, beta, gamma, death = self._values()
            x, tx, n = self._columns(h)
            ever = (death + n) / (gamma - 1) if gamma > 1 else np.full(len(n), np.inf)
            return by_distinct(self._alive_now, x, tx, n) * (alpha + x) / (alpha + beta + n) * ever
        if horizon is not None:
            _whole(horizon)
        z, lost = np.exp(-delta), -np.expm1(-delta)
        log_z = -delta

        def left(p, q):
            endless = q * z / (lost + z * p)
            if horizon is None:
                return endless
            return endless * -np.expm1(horizon * (np.log1p(-np.minimum(p, 1 - 1e-16)) + log_z))

        return self._future(*self._columns(h), left, lost)

    def sample_future_purchases(self, h: pd.DataFrame, t: int, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (rows, draws) of the orders at the next t opportunities."""
        _whole(t)
        alpha, beta, gamma, delta = self._values()
        x, tx, n = self._columns(h)
        shape = (len(x), draws)
        alive = rng.random(shape) < by_distinct(self._alive_now, x, tx, n)[:, None]
        theta = rng.beta(gamma, np.broadcast_to((delta + n)[:, None], shape))
        p = rng.beta(np.broadcast_to((alpha + x)[:, None], shape), np.broadcast_to((beta + n - x)[:, None], shape))
        with np.errstate(divide="ignore"):
            lived = np.floor(rng.standard_exponential(shape) / -np.log1p(-theta))
        return rng.binomial(np.where(alive, np.minimum(lived, t), 0).astype(np.int64), p)


def _whole(t: np.ndarray | int, several: bool = False) -> None:
    times = np.asarray(t, float)
    if times.ndim and not several:
        raise Refused("BGBB: give one t, the same number of opportunities for all rows.")
    if not ((times >= 0) & (times == np.floor(times))).all():
        raise Refused(f"BGBB counts opportunities: t must be a whole number of 0 or more, not {t!r}.")
