"""Gamma-Gamma: spend per order (floor 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import gammaln

from ltvlab_utils.models.base import Model
from ltvlab_utils.models.columns import distinct, numbers, refuse, weights_of
from ltvlab_utils.models.special import log_rising, psi_rise


class GammaGamma(Model):
    """Spend per order day.

    1. A customer's amounts vary at random around the customer's own mean: Gamma(p, rate ν).
    2. ν varies between customers: Gamma(q, rate v). The mean spend of the population is p v / (q − 1), for q > 1.
    3. Means do not change over time and do not depend on how often a customer orders.

    Columns: frequency (repeat order days, x) and monetary_value (mean amount of those days). Rows of frequency 0 tell
    nothing and do not enter the fit. An amount of 0 or less has no density: such rows are left out of the fit, counted
    in `left_out` and warned of; in predictions it counts as 0. Fader & Hardie (2013), "The Gamma-Gamma model of
    monetary value"; Fader, Hardie & Lee (2005), "RFM and CLV".
    """

    names = ("p", "q", "v")
    left_out = 0.0

    def __init__(self, *, p: float, q: float, v: float):
        super().__init__(p=p, q=q, v=v)
        if q <= 1:
            self.warnings = ["q_below_one"]

    @staticmethod
    def _columns(h: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """x and the mean spend; the latter is 0 where x is 0, whatever stands there (it may be empty)."""
        (x,) = numbers(h, ["frequency"], "GammaGamma")
        refuse(x < 0, x, "frequency", "GammaGamma", "is negative", h)
        refuse(x != np.floor(x), x, "frequency", "GammaGamma", "is not a whole number", h)
        filled = h.assign(monetary_value=h["monetary_value"].where(x > 0, 0.0)) if "monetary_value" in h else h
        (z,) = numbers(filled, ["monetary_value"], "GammaGamma")
        return x, z

    @classmethod
    def fit(cls, histories: pd.DataFrame, weights: np.ndarray | None = None) -> GammaGamma:
        """Fit on frequency and monetary_value; `weights` counts the customers behind each row."""
        x, z = cls._columns(histories)
        w = weights_of(weights, len(histories), cls.__name__)
        if not w.sum() > 0:
            return cls._gave_up("no_rows", 0.0)
        left_out = float(w[(x > 0) & (z <= 0)].sum())
        w = np.where((x > 0) & (z > 0), w, 0.0)
        (x, z), w = distinct((x, z), w)
        if not len(w):
            fitted = cls._gave_up("no_repeats", 0.0)
        else:
            mean = (w * x) @ z / (w @ x)
            starts = [{"p": p, "q": q, "v": mean * (q - 1) / p} for p, q in ((2, 3), (6, 4), (1, 2), (20, 10))]
            fitted = cls._maximise((x, z), w, starts, {"v": mean})
            if fitted.params["q"] <= 1:
                fitted.warnings.append("q_below_one")
                fitted.converged = False
        fitted.left_out = left_out
        if left_out:
            fitted.warnings.append("left_out_nonpositive_spend")
        return fitted

    @classmethod
    def _log_likelihood_rows(cls, params, x, z):
        p, q, v = (params[n] for n in cls.names)
        spent = x * z
        share = -np.log1p(v / spent)  # ln of x z / (v + x z)
        rest = -np.log1p(spent / v)  # ln of v / (v + x z)
        rows = log_rising(p * x, q) - gammaln(q) + q * rest + p * x * share - np.log(z)
        slopes = [
            x * (psi_rise(p * x, q) + share),
            psi_rise(q, p * x) + rest,
            (q * spent - p * x * v) / (v * (v + spent)),
        ]
        return rows, slopes

    def population_mean(self) -> float:
        """Mean spend per order over all customers, p v / (q − 1); NaN for q <= 1, where it does not exist."""
        p, q, v = self._values()
        return p * v / (q - 1) if q > 1 else np.nan

    def conditional_expected_spend(self, h: pd.DataFrame) -> np.ndarray:
        """E of a customer's mean spend given x and z: p (v + x z) / (p x + q − 1); NaN where it does not exist."""
        p, q, v = self._values()
        x, z = self._columns(h)
        below = p * x + q - 1
        return np.where(below > 0, p * (v + x * np.maximum(z, 0)) / np.where(below > 0, below, 1), np.nan)

    def sample_spend_rate(
        self, h: pd.DataFrame, draws: int, rng: np.random.Generator, params: dict[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """Draws (rows, draws) of ν ~ Gamma(q + p x, rate v + x z); one order is then Gamma(p, rate ν), mean p / ν."""
        x, z = self._columns(h)
        p, q, v = self._per_draw(params, draws)
        x, spent = x[:, None], (x * np.maximum(z, 0))[:, None]
        return rng.standard_gamma(np.broadcast_to(q + p * x, (len(x), draws))) / (v + spent)
