"""Renewals of contracts: shifted Beta-geometric and Beta-discrete-Weibull (floor 2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.models.base import Model
from ltvlab_utils.models.columns import distinct, numbers, refuse, weights_of
from ltvlab_utils.models.covariates import WithCovariates, fit_with_covariates
from ltvlab_utils.models.special import beta_expectation, gauss, log_rising, psi_rise


class _Renewals(Model):
    """S(n) = B(alpha, beta + n^c) / B(alpha, beta); c = 1 for the shifted Beta-geometric."""

    fragile = ("alpha", "beta", "c")
    scales: ClassVar = {"alpha": ("alpha", 1), "beta": ("beta", 1)}

    @property
    def _shape(self) -> tuple[float, float, float]:
        values = self._values()
        return (*values, 1.0) if len(values) == 2 else values

    @classmethod
    def fit(
        cls, renewals: pd.DataFrame, weights: np.ndarray | None = None, covariates: Sequence[str] | None = None
    ) -> Self | WithCovariates:
        """Fit on renewals_made (0, 1, …) and churned; `weights` counts the contracts behind each row.

        churned True: the next renewal was refused; False: censored, nothing is known beyond the renewals made.
        Optional column renewals_at_entry: renewals made before the contract came into sight (left-truncated, since
        contracts that had churned by then were never seen); absent means 0. `covariates`: numeric columns, known when
        the contract began, that shift alpha and beta (models.covariates).
        """
        m, churned = numbers(renewals, ["renewals_made", "churned"], cls.__name__)
        (seen,) = (
            numbers(renewals, ["renewals_at_entry"], cls.__name__) if "renewals_at_entry" in renewals else (m * 0,)
        )
        refuse(
            (seen < 0) | (seen > m),
            seen,
            "renewals_at_entry",
            cls.__name__,
            "is not between 0 and renewals_made",
            renewals,
        )
        whole = (m >= 0) & (m == np.floor(m))
        refuse(~whole, m, "renewals_made", cls.__name__, "is not a whole number of 0 or more", renewals)
        refuse(~np.isin(churned, (0, 1)), churned, "churned", cls.__name__, "is neither true nor false", renewals)
        if covariates:
            w = weights_of(weights, len(renewals), cls.__name__)
            plain = partial(cls.fit, renewals, weights)
            return fit_with_covariates(cls, (m, churned, seen), renewals, covariates, w, plain)
        (m, churned, seen), w = distinct((m, churned, seen), weights_of(weights, len(renewals), cls.__name__))
        if not len(w):
            return cls._gave_up("no_rows", 0.0)
        if not churned.any():
            return cls._gave_up("no_churn", w.sum())
        share = (w @ churned) / (w @ (m - seen + churned))  # churned of all decisions seen
        share = min(max(share, 0.01), 0.99)
        starts = [
            {"alpha": n * share, "beta": n * (1 - share)} | ({"c": 1.0} if "c" in cls.names else {})
            for n in (2.0, 0.5, 8.0, 30.0)
        ]
        return cls._maximise((m, churned, seen), w, starts, {})

    @staticmethod
    def _log_left(alpha, beta, n):
        """ln B(alpha, beta + n) / B(alpha, beta), by the form that cancels less."""
        alpha, beta, n = np.broadcast_arrays(*(np.asarray(v, float) for v in (alpha, beta, n)))
        few = log_rising(beta, n) - log_rising(alpha + beta, n)
        return np.where(n <= alpha, few, log_rising(beta, alpha) - log_rising(beta + n, alpha))

    def survival(self, n: np.ndarray | int) -> np.ndarray | float:
        """Share that makes at least n renewals; survival(0) = 1."""
        alpha, beta, c = self._shape
        return np.exp(self._log_left(alpha, beta, self._made(n) ** c))[()]

    def retention_rate(self, n: np.ndarray | int) -> np.ndarray | float:
        """Share of the contracts up for their n-th renewal (n = 1, 2, …) that renew: S(n) / S(n − 1); NaN for n < 1."""
        alpha, beta, c = self._shape
        n = np.asarray(n, float)
        before = np.maximum(n - 1, 0) ** c
        rate = np.exp(self._log_left(alpha, beta + before, np.maximum(n, 1) ** c - before))
        return np.where(n >= 1, rate, np.nan)[()]

    def discounted_expected_lifetime(self, discount_rate: float) -> float:
        """Σ S(n)/(1 + d)ⁿ, n = 0, 1, …: terms of a new contract, the first one included; d effective per term."""
        return float(1 + self.discounted_expected_residual_lifetime(0, discount_rate) / (1 + discount_rate))

    def discounted_expected_residual_lifetime(
        self, renewals_made: np.ndarray | int, discount_rate: float
    ) -> np.ndarray | float:
        """Σ S(m + k)/S(m) / (1 + d)^(k − 1), k = 1, 2, …: terms still to come, just before the next decision.

        m renewals are made; d is effective per term. Infinite for d = 0 where the mean lifetime does not exist.
        Fader & Hardie (2010), "Customer-base valuation in a contractual setting".
        """
        if not (np.isfinite(discount_rate) and discount_rate >= 0):
            raise Refused(f"{type(self).__name__}: the discount rate must be 0 or more, not {discount_rate!r}.")
        m = self._made(renewals_made)
        return self._derl(m.ravel(), float(discount_rate)).reshape(m.shape)[()]

    def _made(self, n: np.ndarray | int) -> np.ndarray:
        n = np.asarray(n, float)
        if not (np.isfinite(n) & (n >= 0)).all():
            raise Refused(f"{type(self).__name__}: a number of renewals must be 0 or more, not {n.min():g}.")
        return n

    def _derl(self, m: np.ndarray, d: float) -> np.ndarray:
        raise NotImplementedError

    def sample_churn_probability(
        self, renewals_made: np.ndarray, draws: int, rng: np.random.Generator, params: dict | None = None
    ) -> np.ndarray:
        """Draws (rows, draws) of θ ~ Beta(alpha, beta + m^c), m renewals made.

        For the shifted Beta-geometric θ is the chance to churn at each decision; for the Beta-discrete-Weibull the
        chance to pass from m to n renewals is (1 − θ)^(n^c − m^c).
        """
        m = self._made(renewals_made).reshape(-1, 1)
        alpha, beta, *c = self._per_draw(params, draws)
        shape = (len(m), draws)
        return rng.beta(np.broadcast_to(alpha, shape), np.broadcast_to(beta + m ** (c[0] if c else 1.0), shape))

    def sample_lifetimes(
        self,
        renewals_made: np.ndarray,
        draws: int,
        rng: np.random.Generator,
        max_renewals: int = 600,
        params: dict | None = None,
    ) -> np.ndarray:
        """Draws (rows, draws) of the renewals still to come; 0 = churns at the next decision; at most max_renewals."""
        theta = self.sample_churn_probability(renewals_made, draws, rng, params)
        m = np.asarray(renewals_made, float).reshape(-1, 1)
        c = self._per_draw(params, draws)[2] if "c" in self.names else 1.0
        with np.errstate(divide="ignore"):
            passed = rng.standard_exponential(theta.shape) / -np.log1p(-theta)
        with np.errstate(over="ignore"):
            more = np.floor((m**c + passed) ** (1 / c)) - m if "c" in self.names else np.floor(passed)
        return np.clip(more, 0, max_renewals).astype(np.int64)


class ShiftedBetaGeometric(_Renewals):
    """How many times a contract is renewed.

    1. At each renewal a contract churns with its own constant probability θ.
    2. θ varies between contracts: Beta(alpha, beta), mean alpha/(alpha + beta).

    Retention of a cohort rises over time because those with a high θ leave first, not because anyone becomes loyal.
    Columns: renewals_made (0, 1, …), churned (bool; False = censored). Fader & Hardie (2007), "How to project customer
    retention".
    """

    names = ("alpha", "beta")

    def __init__(self, *, alpha: float, beta: float):
        super().__init__(alpha=alpha, beta=beta)

    @classmethod
    def _log_likelihood_rows(cls, params, m, churned, seen=0.0):
        alpha, beta = params["alpha"], params["beta"]
        total = alpha + beta + m
        rows = cls._log_left(alpha, beta, m) + churned * (np.log(alpha) - np.log(total))
        rows = rows - cls._log_left(alpha, beta, seen)  # given that it had lived so long
        both = psi_rise(alpha + beta, m) - psi_rise(alpha + beta, seen)
        in_beta = psi_rise(beta, m) - psi_rise(beta, seen)
        return rows, [churned * (1 / alpha - 1 / total) - both, in_beta - both - churned / total]

    def _derl(self, m, d):
        alpha, beta = self._values()
        if d == 0:
            return (beta + m) / (alpha - 1) if alpha > 1 else np.full(len(m), np.inf)
        # (beta + m)/(alpha + beta + m) · ₂F₁(1, beta + m + 1; alpha + beta + m + 1; 1/(1 + d)) as an average over θ.
        return (1 + d) * beta_expectation(lambda p, q: q / (d + p), alpha, beta + m, scale=d)


class BetaDiscreteWeibull(_Renewals):
    """How many times a contract is renewed, where the churn probability may change with age.

    1. A contract makes at least n renewals with probability (1 − θ)^(n^c): c > 1 churn rises with age, c < 1 it falls.
    2. θ varies between contracts: Beta(alpha, beta). c is the same for all; c = 1 is the shifted Beta-geometric.

    Columns: renewals_made (0, 1, …), churned (bool; False = censored). Fader, Hardie, Liu, Davin & Steenburgh (2018),
    "How to project customer retention revisited".
    """

    names = ("alpha", "beta", "c")

    def __init__(self, *, alpha: float, beta: float, c: float):
        super().__init__(alpha=alpha, beta=beta, c=c)

    @classmethod
    def _log_likelihood_rows(cls, params, m, churned, seen=0.0):
        alpha, beta, c = (params[n] for n in cls.names)
        log_m = np.log(np.maximum(m, 1))
        entry, log_seen = np.asarray(seen, float) ** c, np.log(np.maximum(seen, 1))
        now, following = m**c, (m + 1) ** c
        step = following - now
        rows = cls._log_left(alpha, beta, now)
        drop = cls._log_left(alpha, beta + now, step)
        rows = rows + churned * np.log(-np.expm1(drop)) - cls._log_left(alpha, beta, entry)
        # d ln(1 − e^drop) = −d drop / (e^−drop − 1)
        pull = -churned / np.expm1(-drop)
        in_alpha = lambda n: -psi_rise(alpha + beta, n)
        in_beta = lambda n: psi_rise(beta, n) - psi_rise(alpha + beta, n)
        in_n = lambda n: -psi_rise(beta + n, alpha)
        in_c_now, in_c_following = in_n(now) * now * log_m, in_n(following) * following * np.log(m + 1)
        return rows, [
            in_alpha(now) - in_alpha(entry) + pull * (in_alpha(following) - in_alpha(now)),
            in_beta(now) - in_beta(entry) + pull * (in_beta(following) - in_beta(now)),
            in_c_now - in_n(entry) * entry * log_seen + pull * (in_c_following - in_c_now),
        ]

    def _derl(self, m, d, terms: int = 2048):
        """The first terms added one by one, the rest by Euler-Maclaurin: an integral and half of its first term."""
        alpha, beta, c = self._values()
        if d == 0 and c * alpha <= 1:
            return np.full(len(m), np.inf)
        m = m[:, None]

        def log_term(k):
            log_n = np.log(m + 1 + k)
            return self._log_left(alpha, beta + m**c, np.exp(c * log_n) - m**c) - k * np.log1p(d)

        first = np.exp(log_term(np.arange(terms, dtype=float)[None, :])).sum(axis=1)
        start = np.log(m[:, 0] + 1 + terms)
        end = np.full(len(m), 300.0 / c) if d == 0 else np.log(m[:, 0] + 1 + terms + 45 / np.log1p(d))
        end = np.maximum(np.minimum(end, start + 40 / (c * alpha - 1)) if d == 0 else end, start)
        x, w = gauss(200)
        v = start[:, None] + (end - start)[:, None] * x
        n = np.exp(v)
        tail = (np.exp(log_term(n - m - 1) + v) @ w) * (end - start)
        if d == 0:  # beyond the last node S(n) is a power of n
            tail = tail + np.exp(log_term(np.exp(end)[:, None] - m - 1)[:, 0] + end) / (c * alpha - 1)
        edge = np.full((1, 1), float(terms))
        here, slope = np.exp(log_term(edge))[:, 0], np.exp(log_term(edge + 0.5)) - np.exp(log_term(edge - 0.5))
        return first + tail + here / 2 - slope[:, 0] / 12
