"""BG/BB on the calendar's months, with what values need of an order model (floor 2)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.models.bgbb import BGBB
from ltvlab_utils.models.columns import order_histories
from ltvlab_utils.models.special import by_distinct, log_rising


class MonthlyBGBB(BGBB):
    """BG/BB where each month is one opportunity: what is dated to month ends has no days.

    Assumptions of BGBB. Columns: frequency (months with an order after the first one), recency (months from the first
    to the last one), T (whole months since the first one). Where a row stands for several customers alike, or lies on
    a grid, its times are means: they are rounded to whole months, and frequency to what fits into them.
    """

    @staticmethod
    def _columns(h: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return whole_months(*order_histories(h, "MonthlyBGBB"))

    def on(self, clock) -> MonthlyBGBB:
        """The same model: its clock is the calendar."""
        return self

    @classmethod
    def rows(cls, x, tx, T, values: tuple[float, ...], slopes: bool = True):
        """ln likelihood per row, and its slopes in alpha, beta, gamma, delta."""
        if slopes:
            return cls._log_likelihood_rows(dict(zip(cls.names, values, strict=True)), x, tx, T)
        _, log_part = cls._terms(*values, x, tx, T)
        top = log_part.max(axis=1)
        return log_rising(values[0], x) + top + np.log(np.exp(log_part - top[:, None]).sum(axis=1)), None

    def expected_purchases(self, t: np.ndarray | float) -> np.ndarray | float:
        """E of the orders of a new customer in its first t months; between whole months on a line."""
        times = np.asarray(t, float)
        grid = np.arange(int(np.ceil(times.max(initial=0.0))) + 1)
        return np.interp(times, grid, super().expected_purchases(grid))[()]

    def probability_of_n_purchases(self, n: np.ndarray | int, t: np.ndarray | float) -> np.ndarray | float:
        """P(X(t) = n) of a new customer, t rounded to whole months."""
        return super().probability_of_n_purchases(n, np.rint(t))

    def conditional_expected_purchases(self, h: pd.DataFrame, t: float) -> np.ndarray:
        """E of the orders in the next t months given the history, t rounded to whole months."""
        return super().conditional_expected_purchases(h, int(np.rint(t)))

    def sample_latents(
        self, h: pd.DataFrame, draws: int, rng: np.random.Generator, params: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Draws of what is hidden at T, each array (rows, draws).

        alive (bool, at the last month seen); p: the chance of an order in a month while alive; months: whole months
        that the customer still lives, 0 where dead. `params` (name -> array of draws): each draw's own parameters.
        """
        x, tx, n = self._columns(h)
        alpha, beta, gamma, delta = self._per_draw(params, draws)
        shape = (len(x), draws)
        sets = np.column_stack([np.broadcast_to(c, (1, draws)).ravel() for c in (alpha, beta, gamma, delta)])
        sets, which = np.unique(sets, axis=0, return_inverse=True)
        models = [type(self)(**dict(zip(self.names, map(float, v), strict=True))) for v in sets]
        each = lambda x, tx, n: np.column_stack([m._alive_now(x, tx, n) for m in models])
        alive = rng.random(shape) < by_distinct(each, x, tx, n)[:, which.ravel()]
        x, n = x[:, None], n[:, None]
        theta = rng.beta(np.broadcast_to(gamma, shape), np.broadcast_to(delta + n, shape))
        p = rng.beta(np.broadcast_to(alpha + x, shape), np.broadcast_to(beta + n - x, shape))
        with np.errstate(divide="ignore"):
            lived = np.floor(rng.standard_exponential(shape) / -np.log1p(-theta))
        return {"alive": alive, "p": p, "months": np.where(alive, lived, 0.0)}


def whole_months(x: np.ndarray, tx: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequency, recency and T in whole months, of which frequency takes no more than there are."""
    T = np.rint(T)
    tx = np.where(x > 0, np.clip(np.rint(tx), np.minimum(1.0, T), T), 0.0)
    return np.minimum(x, tx), tx, T
