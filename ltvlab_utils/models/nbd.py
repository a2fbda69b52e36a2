"""NBD: orders without death, the last rung of the ladder (floor 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import gammaln

from ltvlab_utils.models.base import Model, check_delta
from ltvlab_utils.models.columns import counts_and_times, distinct, order_histories, time_of, weights_of
from ltvlab_utils.models.special import log_rising, psi_rise


def count_probability(n: np.ndarray, t: np.ndarray, r: float, alpha: float) -> np.ndarray:
    """P(N(t) = n) of a Poisson count with rate ~ Gamma(r, alpha)."""
    n, t = np.asarray(n, float), np.asarray(t, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_share = np.where(n > 0, n * (np.log(t) - np.log(alpha + t)), 0.0)
    return np.exp(log_rising(r, n) - gammaln(n + 1) - r * np.log1p(t / alpha) + log_share)


class NBD(Model):
    """Orders of customers who never leave: the fallback where the data show no death.

    1. A customer orders at random (Poisson) with rate λ.
    2. λ varies between customers: Gamma(r, rate alpha), mean r/alpha per time unit.
    3. Nobody leaves: P(alive) = 1.

    Columns: frequency, recency, T; recency carries no information here. Ehrenberg (1959). `log_likelihood` is that of
    the order times, Γ(r + x)/Γ(r) · α^r/(α + T)^(r + x), so that it compares with Pareto/NBD and BG/NBD, whose limit
    without death it is; `count_log_likelihood` is that of the counts, P(X(T) = x).
    """

    names = ("r", "alpha")
    count_log_likelihood = np.nan

    def __init__(self, *, r: float, alpha: float):
        super().__init__(r=r, alpha=alpha)

    @classmethod
    def fit(cls, histories: pd.DataFrame, weights: np.ndarray | None = None) -> NBD:
        """Fit on frequency, recency, T; `weights` counts the customers behind each row."""
        x, _, T = order_histories(histories, cls.__name__)
        (x, T), w = distinct((x, T), weights_of(weights, len(histories), cls.__name__))
        if not len(w) or not T.max() > 0:
            return cls._gave_up("no_rows", w.sum())
        if not x.max() > 0:
            return cls._gave_up("no_repeats", w.sum())
        rate = (w @ x) / (w @ T)
        starts = [{"r": r, "alpha": r / rate} for r in (0.5, 2, 20)]
        fitted = cls._maximise((x, T), w, starts, {"alpha": 1 / rate})
        seen = x > 0
        fitted.count_log_likelihood = fitted.log_likelihood + float(
            w[seen] @ (x[seen] * np.log(T[seen]) - gammaln(x[seen] + 1))
        )
        return fitted

    @classmethod
    def _log_likelihood_rows(cls, params, x, T):
        r, alpha = params["r"], params["alpha"]
        rows = log_rising(r, x) - r * np.log1p(T / alpha) - x * np.log(alpha + T)
        return rows, [psi_rise(r, x) - np.log1p(T / alpha), r / alpha - (r + x) / (alpha + T)]

    def probability_alive(self, h: pd.DataFrame) -> np.ndarray:
        """1 in every row: the model knows no death."""
        return np.ones(len(order_histories(h, type(self).__name__)[0]))

    def conditional_expected_purchases(self, h: pd.DataFrame, t: np.ndarray | float) -> np.ndarray:
        """E of the orders in (T, T + t] given the history, one value a row; t for all rows or one a row."""
        r, alpha = self._values()
        x, _, T = order_histories(h, type(self).__name__)
        return (r + x) / (alpha + T) * time_of(t, type(self).__name__)

    def expected_purchases(self, t: np.ndarray | float) -> np.ndarray | float:
        """E of the repeat orders of a new customer in (0, t]."""
        r, alpha = self._values()
        return (r / alpha * time_of(t, type(self).__name__))[()]

    def probability_of_n_purchases(self, n: np.ndarray | int, t: np.ndarray | float) -> np.ndarray | float:
        """P(X(t) = n) of a new customer."""
        return count_probability(*counts_and_times(n, t, type(self).__name__), *self._values())[()]

    def discounted_expected_transactions(
        self, h: pd.DataFrame, delta: float, horizon: float | None = None
    ) -> np.ndarray:
        """E of the orders after T, each discounted by e^(-delta u); infinite with neither discount nor horizon."""
        check_delta(delta, horizon, type(self).__name__)
        if delta == 0:
            time = np.inf if horizon is None else horizon
        else:
            time = 1 / delta if horizon is None else -np.expm1(-delta * horizon) / delta
        return self.conditional_expected_purchases(h, 1.0) * time

    def sample_latents(
        self, h: pd.DataFrame, draws: int, rng: np.random.Generator, params: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Draws (rows, draws): alive (all True), rate, lifetime (infinite), dropout (0)."""
        x, _, T = order_histories(h, type(self).__name__)
        r, alpha = self._per_draw(params, draws)
        shape = (len(x), draws)
        rate = rng.standard_gamma(np.broadcast_to(r + x[:, None], shape)) / (alpha + T[:, None])
        forever, zero = np.full(shape, np.inf), np.zeros(shape)
        return {"alive": np.ones(shape, bool), "rate": rate, "lifetime": forever, "dropout": zero}

    def sample_future_purchases(self, h: pd.DataFrame, t: float, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (rows, draws) of the orders in (T, T + t]."""
        t = time_of(t, type(self).__name__)
        return rng.poisson(self.sample_latents(h, draws, rng)["rate"] * t)
