"""BG/NBD and MBG/NBD: orders, with death only right after an order (floor 2)."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import pandas as pd
from scipy.special import betainc, expit, exprel

from ltvlab_utils.models.base import Model, check_delta
from ltvlab_utils.models.columns import counts_and_times, distinct, order_histories, time_of, weights_of
from ltvlab_utils.models.nbd import count_probability
from ltvlab_utils.models.special import beta_expectation, by_distinct, discount_nodes, log_rising, psi_rise


class _BetaGeometric(Model):
    """What BG/NBD and MBG/NBD share; `first` = 1 where the first order, too, may be the last."""

    names = ("r", "alpha", "a", "b")
    fragile = ("a", "b")
    first: ClassVar[int]

    def __init__(self, *, r: float, alpha: float, a: float, b: float):
        super().__init__(r=r, alpha=alpha, a=a, b=b)

    @classmethod
    def fit(cls, histories: pd.DataFrame, weights: np.ndarray | None = None) -> Self:
        """Fit on frequency, recency, T; `weights` counts the customers behind each row."""
        columns = order_histories(histories, cls.__name__)
        (x, tx, T), w = distinct(columns, weights_of(weights, len(histories), cls.__name__))
        if not len(w) or not T.max() > 0:
            return cls._gave_up("no_rows", w.sum())
        if not x.max() > 0:
            return cls._gave_up("no_repeats", w.sum())
        rate = (w @ x) / (w @ T)
        starts = [
            {"r": r, "alpha": r / (k * rate), "a": a, "b": b}
            for r, k, a, b in ((0.5, 2, 0.8, 2.4), (1, 1.5, 0.3, 3), (2, 1, 1, 10), (0.5, 4, 0.5, 0.5), (5, 1, 2, 20))
        ]
        return cls._maximise((x, tx, T), w, starts, {"alpha": 1 / rate})

    @classmethod
    def _log_odds_dead(cls, r, alpha, a, b, x, tx, T):
        """ln P(dead at T) / P(alive at T); minus infinity where no order could have been the last."""
        chances = x + cls.first
        with np.errstate(divide="ignore"):
            log_hazard = np.where(chances > 0, np.log(a) - np.log(np.where(chances > 0, b + chances - 1, 1)), -np.inf)
        return log_hazard + (r + x) * np.log1p((T - tx) / (alpha + tx))

    @classmethod
    def _log_likelihood_rows(cls, params, x, tx, T):
        r, alpha, a, b = (params[n] for n in cls.names)
        n = x + cls.first
        k = cls._log_odds_dead(r, alpha, a, b, x, tx, T)
        dead, silent = expit(k), np.log1p((T - tx) / (alpha + tx))
        rows = log_rising(r, x) - r * np.log1p(T / alpha) - x * np.log(alpha + T)
        rows = rows + log_rising(b, n) - log_rising(a + b, n) + np.logaddexp(0, k)
        both = psi_rise(a + b, n)
        slopes = [
            psi_rise(r, x) - np.log1p(T / alpha) + dead * silent,
            r / alpha - (r + x) / (alpha + T) - dead * (r + x) * (T - tx) / ((alpha + T) * (alpha + tx)),
            dead / a - both,
            psi_rise(b, n) - both - dead / np.where(n > 0, b + n - 1, 1),
        ]
        return rows, slopes

    def probability_alive(self, h: pd.DataFrame) -> np.ndarray:
        """P(alive at T | history), one value a row."""
        return expit(-self._log_odds_dead(*self._values(), *order_histories(h, type(self).__name__)))

    @staticmethod
    def _orders_if_alive(shape, rate, a, b, t) -> np.ndarray:
        """E of the orders within t of a customer alive now: λ ~ Gamma(shape, rate), p ~ Beta(a, b), p after each.

        E (1 − (1 + p t/rate)^−shape) / p, an average of positive terms: smooth through a = 1, where the ₂F₁ form of
        the papers is 0/0.
        """
        reach = t / rate

        def orders(p, q):
            z = np.maximum(p * reach[:, None], 1e-300)
            grown = np.log1p(z)
            return exprel(-shape[:, None] * grown) * grown / z

        return shape * reach * beta_expectation(orders, a, b, 1 / (reach * (1 + shape)))

    def conditional_expected_purchases(self, h: pd.DataFrame, t: np.ndarray | float) -> np.ndarray:
        """E of the orders in (T, T + t] given the history, one value a row; t for all rows or one a row."""
        r, alpha, a, b = self._values()
        x, _, T = order_histories(h, type(self).__name__)
        t = np.broadcast_to(time_of(t, type(self).__name__), len(x))
        orders = lambda x, T, t: self._orders_if_alive(r + x, alpha + T, a, b + x + self.first, t)
        found = by_distinct(orders, x, T, np.maximum(t, 1e-300))
        return np.where(t > 0, self.probability_alive(h) * found, 0.0)

    def expected_purchases(self, t: np.ndarray | float) -> np.ndarray | float:
        """E of the repeat orders of a new customer in (0, t]."""
        r, alpha, a, b = self._values()
        times = time_of(t, type(self).__name__)
        flat = np.maximum(times.ravel(), 1e-300)
        n = np.full(len(flat), r)
        stays = b / (a + b) if self.first else 1.0
        orders = stays * self._orders_if_alive(n, np.full(len(flat), alpha), a, b + self.first, flat)
        return np.where(times > 0, orders.reshape(times.shape), 0.0)[()]

    def probability_of_n_purchases(self, n: np.ndarray | int, t: np.ndarray | float) -> np.ndarray | float:
        """P(X(t) = n) of a new customer."""
        r, alpha, a, b = self._values()
        n, t = counts_and_times(n, t, type(self).__name__)
        k = n + self.first
        stays = np.exp(log_rising(b, k) - log_rising(a + b, k))
        # B(a + 1, b + k − 1)/B(a, b): the k-th chance to leave is taken.
        leaves = np.where(k > 0, stays * a / np.where(k > 0, b + k - 1, 1), 0.0)
        at_least = np.where(n > 0, betainc(np.maximum(n, 1), r, t / (alpha + t)), 1.0)
        return (stays * count_probability(n, t, r, alpha) + leaves * at_least)[()]

    def discounted_expected_transactions(
        self, h: pd.DataFrame, delta: float, horizon: float | None = None
    ) -> np.ndarray:
        """E of the orders after T, each discounted by e^(-delta u); delta is continuous, per time unit of the model.

        With delta = 0 and no horizon it is infinite for a <= 1.
        """
        check_delta(delta, horizon, type(self).__name__)
        r, alpha, a, b = self._values()
        x, _, T = order_histories(h, type(self).__name__)
        if delta == 0 and horizon is not None:
            return self.conditional_expected_purchases(h, horizon)
        if delta == 0:
            ever = (a + b + x + self.first - 1) / (a - 1) if a > 1 else np.full(len(x), np.inf)
            return self.probability_alive(h) * ever

        def orders(x, T):
            shape, rate, beta = r + x, alpha + T, b + x + self.first
            u, weight = discount_nodes(delta, horizon, rate / (1 + shape * a / (a + beta)))

            def discounted_orders(p, q):
                total = np.zeros_like(p)
                for k in range(u.shape[1]):
                    reach = (u[:, k] / rate)[:, None]
                    total += weight[:, k, None] * np.exp(-(shape[:, None] + 1) * np.log1p(p * reach))
                return total

            scale = rate / ((shape + 1) * u[:, -1] + 1e-300)
            return shape / rate * beta_expectation(discounted_orders, a, beta, scale)

        return self.probability_alive(h) * by_distinct(orders, x, T)

    def sample_latents(
        self, h: pd.DataFrame, draws: int, rng: np.random.Generator, params: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Draws of what is hidden at T, each array (rows, draws).

        alive (bool); rate: orders per time unit while alive; dropout: the chance that an order is the last; lifetime:
        time from T to death, 0 where dead. Death falls right after an order: a geometric number of exponential gaps,
        which is exponential with rate · dropout. So a path has one order at `lifetime`, and before it orders at
        rate · (1 − dropout). `params` (name -> array of draws) gives each draw its own parameters.
        """
        x, tx, T = (c[:, None] for c in order_histories(h, type(self).__name__))
        r, alpha, a, b = self._per_draw(params, draws)
        shape = (len(x), draws)
        alive = rng.random(shape) < expit(-self._log_odds_dead(r, alpha, a, b, x, tx, T))
        rate = rng.standard_gamma(np.broadcast_to(r + x, shape)) / (alpha + T)
        dropout = rng.beta(np.broadcast_to(a, shape), np.broadcast_to(b + x + self.first, shape))
        with np.errstate(divide="ignore"):
            lifetime = rng.standard_exponential(shape) / (rate * dropout)
        return {"alive": alive, "rate": rate, "lifetime": np.where(alive, lifetime, 0.0), "dropout": dropout}

    def sample_future_purchases(self, h: pd.DataFrame, t: float, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (rows, draws) of the orders in (T, T + t] at the model's own parameters."""
        t = time_of(t, type(self).__name__)
        latent = self.sample_latents(h, draws, rng)
        # Up to the last order at rate · (1 − dropout), and the last one itself.
        before = rng.poisson(latent["rate"] * (1 - latent["dropout"]) * np.minimum(latent["lifetime"], t))
        return before + (latent["alive"] & (latent["lifetime"] <= t))


class BGNBD(_BetaGeometric):
    """Orders of customers who may leave right after a repeat order.

    1. While alive a customer orders at random (Poisson) with rate λ.
    2. λ varies between customers: Gamma(r, rate alpha).
    3. After each repeat order a customer leaves with probability p.
    4. p varies between customers: Beta(a, b).
    5. λ and p are independent.

    A customer without a repeat order is alive for certain here, so the model never alerts on one-time buyers; see
    MBGNBD. Columns: frequency, recency, T. Fader, Hardie & Lee (2005), "Counting your customers the easy way".
    """

    first = 0


class MBGNBD(_BetaGeometric):
    """Orders of customers who may leave right after any order, the first included.

    1. While alive a customer orders at random (Poisson) with rate λ.
    2. λ varies between customers: Gamma(r, rate alpha).
    3. After each order, the first included, a customer leaves with probability p.
    4. p varies between customers: Beta(a, b).
    5. λ and p are independent.

    Columns: frequency, recency, T. Batislam, Denizel & Filiztekin (2007); Hoppe & Wagner (2007), "CBG/NBD".
    """

    first = 1
