"""Pareto/NBD (floor 2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.special import gammaln

from ltvlab_utils.models.base import Model, check_delta
from ltvlab_utils.models.columns import counts_and_times, distinct, order_histories, time_of, weights_of
from ltvlab_utils.models.covariates import WithCovariates, fit_with_covariates
from ltvlab_utils.models.nbd import count_probability
from ltvlab_utils.models.special import (
    LOG_DROP,
    by_distinct,
    count_before_death,
    discount_nodes,
    gauss,
    log_rising,
    power_integral,
    psi_rise,
)


class ParetoNBD(Model):
    """Orders of customers who may leave at any moment, unseen.

    1. While alive a customer orders at random (Poisson) with rate λ.
    2. λ varies between customers: Gamma(r, rate alpha), mean r/alpha per time unit.
    3. A customer stays alive for an exponential time with rate μ.
    4. μ varies between customers: Gamma(s, rate beta), mean s/beta per time unit.
    5. λ and μ are independent.

    Columns: frequency (repeat order days), recency (first to last order), T (first order to as-of), in one time unit.
    Schmittlein, Morrison & Colombo (1987); Fader & Hardie (2005), "A note on deriving the Pareto/NBD model". The
    unobserved time of death is integrated by quadrature on the log scale instead of by differences of ₂F₁, so
    nothing cancels at recency = T or at frequencies in the thousands.
    """

    names = ("r", "alpha", "s", "beta")
    fragile = ("s", "beta")
    scales: ClassVar = {"order_rate": ("alpha", -1), "death_rate": ("beta", -1)}

    def __init__(self, *, r: float, alpha: float, s: float, beta: float):
        super().__init__(r=r, alpha=alpha, s=s, beta=beta)

    @classmethod
    def fit(
        cls, histories: pd.DataFrame, weights: np.ndarray | None = None, covariates: Sequence[str] | None = None
    ) -> ParetoNBD | WithCovariates:
        """Fit on frequency, recency, T; `weights` counts the customers behind each row. `covariates`: numeric columns,
        known at the first order, that shift the mean order rate and the mean death rate (models.covariates)."""
        columns = order_histories(histories, cls.__name__)
        if covariates:
            w = weights_of(weights, len(histories), cls.__name__)
            plain = partial(cls.fit, histories, weights)
            return fit_with_covariates(cls, columns, histories, covariates, w, plain)
        (x, tx, T), w = distinct(columns, weights_of(weights, len(histories), cls.__name__))
        if not len(w) or not T.max() > 0:
            return cls._gave_up("no_rows", w.sum())
        if not x.max() > 0:
            return cls._gave_up("no_repeats", w.sum())
        unit, rate = w @ T / w.sum(), (w @ x) / (w @ T)
        starts = [
            {"r": r, "alpha": r / (k * rate), "s": s, "beta": b * unit}
            for r, k, s, b in ((0.5, 1.5, 0.5, 0.5), (1, 1.2, 0.5, 2), (2, 2, 1, 1), (1, 1, 0.2, 1), (5, 1, 1, 5))
        ]
        return cls._maximise((x, tx, T), w, starts, {"alpha": 1 / rate, "beta": unit})

    @staticmethod
    def _terms(r, alpha, s, beta, x, tx, T) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Times of death y (rows, nodes), ln(1 + y/alpha), ln(1 + y/beta), and log of the likelihood's parts there;
        the last column is "alive at T".

        The integral over the time of death y runs in z = ln((m + y)/(m + tx)), m the smaller of alpha and beta: there
        the integrand is log-concave and analytic in a strip of half-width pi. It is cut where it has dropped by
        LOG_DROP: Newton from the right end never passes that point.
        """
        m, base = min(alpha, beta), np.minimum(alpha, beta) + tx

        at_birth = x * np.log(alpha) + np.log(beta)

        def log_f(y):
            return -(r + x) * np.log1p(y / alpha) - (s + 1) * np.log1p(y / beta) - at_birth

        full = np.log1p((T - tx) / base)
        end, target = full, log_f(tx) - LOG_DROP
        for _ in range(6):
            y = tx + base * np.expm1(end)
            slope = 1 - (r + x) * (m + y) / (alpha + y) - (s + 1) * (m + y) / (beta + y)
            short = np.maximum(0, target - (log_f(y) + end))
            end = np.where((short > 0) & (slope < 0), end + short / np.minimum(slope, -1e-12), end)
        end = np.clip(end, 0, full)
        g, log_w = _nodes(end)
        z = end[:, None] * g
        y = tx[:, None] + base[:, None] * np.expm1(z)
        near = np.log1p(tx / m)[:, None] + z  # ln(1 + y/m)
        far = np.log1p(y / max(alpha, beta))
        by_alpha, by_beta = (near, far) if alpha <= beta else (far, near)
        with np.errstate(divide="ignore"):
            level = np.log(end * base * s) - at_birth
        dead = level[:, None] + log_w + z - (r + x)[:, None] * by_alpha - (s + 1) * by_beta
        alive = log_f(T) + np.log(beta + T)
        with_end = lambda nodes, last: np.concatenate([nodes, last[:, None]], axis=1)
        return (
            with_end(y, T), with_end(by_alpha, np.log1p(T / alpha)), with_end(by_beta, np.log1p(T / beta)),
            with_end(dead, alive),
        )  # fmt: skip

    @classmethod
    def _log_likelihood_rows(cls, params, x, tx, T):
        r, alpha, s, beta = (params[n] for n in cls.names)
        y, by_alpha, by_beta, log_part = cls._terms(r, alpha, s, beta, x, tx, T)
        top = log_part.max(axis=1)
        part = np.exp(log_part - top[:, None])
        total = part.sum(axis=1)
        mean = lambda values: np.einsum("ij,ij->i", part, values) / total
        alive = part[:, -1] / total
        to_death = 1 / (beta + y)
        slopes = [
            psi_rise(r, x) - mean(by_alpha),
            r / alpha - (r + x) * mean(1 / (alpha + y)),
            (1 - alive) / s - mean(by_beta),
            s / beta - (s + 1) * mean(to_death) + alive * to_death[:, -1],
        ]
        return log_rising(r, x) + top + np.log(total), slopes

    def probability_alive(self, h: pd.DataFrame) -> np.ndarray:
        """P(alive at T | history), one value a row."""
        values = self._values()
        return by_distinct(lambda *d: self._alive(values, *d), *order_histories(h, type(self).__name__))

    @classmethod
    def _alive(cls, values, x, tx, T) -> np.ndarray:
        *_, log_part = cls._terms(*values, x, tx, T)
        part = np.exp(log_part - log_part.max(axis=1, keepdims=True))
        return part[:, -1] / part.sum(axis=1)

    def conditional_expected_purchases(self, h: pd.DataFrame, t: np.ndarray | float) -> np.ndarray:
        """E of the orders in (T, T + t] given the history, one value a row; t for all rows or one a row."""
        r, alpha, s, beta = self._values()
        x, _, T = order_histories(h, type(self).__name__)
        t = time_of(t, type(self).__name__)
        return self.probability_alive(h) * (r + x) / (alpha + T) * power_integral(t, s, beta + T)

    def expected_purchases(self, t: np.ndarray | float) -> np.ndarray | float:
        """E of the repeat orders of a new customer in (0, t]."""
        r, alpha, s, beta = self._values()
        return (r / alpha * power_integral(time_of(t, type(self).__name__), s, beta))[()]

    def probability_of_n_purchases(self, n: np.ndarray | int, t: np.ndarray | float) -> np.ndarray | float:
        """P(X(t) = n) of a new customer (Fader & Hardie 2005), the time of death integrated out."""
        r, alpha, s, beta = self._values()
        n, t = counts_and_times(n, t, type(self).__name__)
        later = np.where(t > 0, t, 1.0)
        scale = log_rising(r, n) - gammaln(n + 1) + r * np.log(alpha) + np.log(s) + s * np.log(beta)
        dead = np.where(t > 0, np.exp(scale + count_before_death(n, later, r, alpha, s, beta)), 0.0)
        return (dead + count_probability(n, t, r, alpha) * np.exp(-s * np.log1p(t / beta)))[()]

    def discounted_expected_transactions(
        self, h: pd.DataFrame, delta: float, horizon: float | None = None
    ) -> np.ndarray:
        """E of the orders after T, each discounted by e^(-delta u); delta is continuous, per time unit of the model.

        Without horizon this is the DET of Fader, Hardie & Lee (2005), "RFM and CLV", appendix B; with delta = 0 and
        no horizon it is infinite for s <= 1.
        """
        check_delta(delta, horizon, type(self).__name__)
        r, alpha, s, beta = self._values()
        x, _, T = order_histories(h, type(self).__name__)

        def alive_time(ages: np.ndarray) -> np.ndarray:
            if delta == 0:
                if horizon is None:
                    return (beta + ages) / (s - 1) if s > 1 else np.full(len(ages), np.inf)
                return power_integral(horizon, s, beta + ages)
            base = beta + ages
            # (base/(base + u))^s falls on the scale base/s, and nothing is left once it has lost LOG_DROP.
            nothing_after = base * np.expm1(np.minimum(LOG_DROP / max(s - 1, 1e-9), 600.0))
            u, weight = discount_nodes(delta, horizon, base / (1 + s), nothing_after)
            return (weight * np.exp(-s * np.log1p(u / base[:, None]))).sum(axis=1)

        return self.probability_alive(h) * (r + x) / (alpha + T) * by_distinct(alive_time, T)

    def sample_latents(
        self, h: pd.DataFrame, draws: int, rng: np.random.Generator, params: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Draws of what is hidden at T, each array (rows, draws).

        alive (bool); rate: orders per time unit while alive; lifetime: time from T to death, 0 where dead; dropout: 0
        (death falls at any moment, not at an order). `params` (name -> array of draws) gives each draw its own
        parameters, as `draw_params` returns them.
        """
        x, tx, T = order_histories(h, type(self).__name__)
        r, alpha, s, beta = self._per_draw(params, draws)
        shape = (len(x), draws)
        if r.size == 1:
            p = by_distinct(lambda *d: self._alive([v.item() for v in (r, alpha, s, beta)], *d), x, tx, T)[:, None]
        else:
            sets = list(zip(*(v.ravel() for v in (r, alpha, s, beta)), strict=True))
            p = by_distinct(lambda *d: np.column_stack([self._alive(v, *d) for v in sets]), x, tx, T)
        alive = rng.random(shape) < p
        rate = rng.standard_gamma(np.broadcast_to(r + x[:, None], shape)) / (alpha + T[:, None])
        # mu ~ Gamma(s, beta + T) and an exponential time with that rate: together a Lomax.
        lifetime = (beta + T[:, None]) * np.expm1(rng.standard_exponential(shape) / s)
        return {"alive": alive, "rate": rate, "lifetime": np.where(alive, lifetime, 0.0), "dropout": np.zeros(shape)}

    def sample_future_purchases(self, h: pd.DataFrame, t: float, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (rows, draws) of the orders in (T, T + t] at the model's own parameters."""
        t = time_of(t, type(self).__name__)
        latent = self.sample_latents(h, draws, rng)
        return rng.poisson(latent["rate"] * np.minimum(latent["lifetime"], t))


def _nodes(end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and log weights for integrals of the given lengths: 32 for a row below 8, else 96. Where
    lengths are mixed, short rows keep their 32 (the rest weigh nothing), so that no row depends on its neighbours."""
    short = end < 8
    few, many = gauss(32), gauss(96)
    if short.all():
        return few[0], np.log(few[1])
    wide = np.zeros(96), np.full(96, -np.inf)
    wide[0][:32], wide[1][:32] = few[0], np.log(few[1])
    return np.where(short[:, None], wide[0], many[0]), np.where(short[:, None], wide[1], np.log(many[1]))
