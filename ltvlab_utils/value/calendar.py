"""The months after as-of, their discount factors, and the shared shock path (floor 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ltvlab_utils.periods import DAYS_PER_YEAR, Period, add_months

SHOCK_SD, SHOCK_PHI = 0.05, (8.0, 2.0)  # sd ~ HalfNormal(0.05) of a month's innovation, phi ~ Beta(8, 2)


@dataclass(frozen=True)
class Horizon:
    """Calendar months after as-of. `ends` (months + 1): days from as-of to the end of month k, ends[0] = 0."""

    as_of: date
    months: int
    delta: float
    ends: np.ndarray
    fiscal_days: int

    @classmethod
    def after(cls, as_of: date, months: int, discount_rate_annual: float, fiscal_year_start_month: int) -> Horizon:
        """`discount_rate_annual`: effective; the fiscal year is the one that holds as-of."""
        period = Period(as_of.year, as_of.month)
        month_end = as_of == period.last_day
        ends = [(period.shift(k).last_day if month_end else add_months(as_of, k)) for k in range(months + 1)]
        fiscal_end = period.fiscal_year_start(fiscal_year_start_month).shift(11).last_day
        days = np.array([(e - as_of).days for e in ends], dtype=float)
        return cls(as_of, months, float(np.log1p(discount_rate_annual)), days, (fiscal_end - as_of).days)

    @property
    def of_year(self) -> np.ndarray:
        """(months,) month of the year, 0 to 11, of each month after as-of; its middle counts."""
        middle = (self.ends[:-1] + self.ends[1:]) / 2
        return (pd.Timestamp(self.as_of) + pd.to_timedelta(middle, unit="D")).month.to_numpy() - 1

    @property
    def days(self) -> float:
        return float(self.ends[-1])

    @property
    def end(self) -> date:
        return self.as_of + timedelta(days=int(self.ends[-1]))

    def discount(self, days: np.ndarray) -> np.ndarray:
        """Discount factor of a cash flow `days` after as-of: (date - as_of) / 365.25 years."""
        return np.exp(-self.delta / DAYS_PER_YEAR * days)

    def months_of(self, days: np.ndarray) -> np.ndarray:
        """Days after as-of as (fractional) months of the grid."""
        return np.interp(days, self.ends, np.arange(self.months + 1.0))

    def days_of(self, months: np.ndarray) -> np.ndarray:
        return np.interp(months, np.arange(self.months + 1.0), self.ends)

    @property
    def fiscal_months(self) -> float:
        return float(self.months_of(np.array(min(self.fiscal_days, self.days))))

    def annuity(self, growth: np.ndarray | None = None, discounted: bool = True) -> np.ndarray:
        """(months + 1,) value of 1 a month until month k, counted on the last day of each month; with `growth`
        (draws,), the monthly log growth of the amount, (draws, months + 1)."""
        v = self.discount(self.ends[1:]) if discounted else np.ones(self.months)
        if growth is not None:
            v = v * np.exp(np.outer(growth, np.arange(1, self.months + 1)))
        return np.concatenate([np.zeros((*v.shape[:-1], 1)), np.cumsum(v, axis=-1)], axis=-1)


def month_index(days: pd.Series) -> pd.Series:
    """Dates as fractional calendar months: year * 12 + month - 1 + (day - 1) / days of that month."""
    return days.dt.year * 12 + days.dt.month - 1 + (days.dt.day - 1) / days.dt.days_in_month


def months_after(days: pd.Series, start: date) -> pd.Series:
    """Calendar months from the day after `start` to the day after `days` (both ends of a day counted once)."""
    origin = month_index(pd.Series([pd.Timestamp(start) + pd.Timedelta(days=1)])).iloc[0]
    return month_index(days + pd.Timedelta(days=1)) - origin


def at(table: np.ndarray, months: np.ndarray) -> np.ndarray:
    """A cumulative month table read at fractional months: `table` (months + 1,) or (draws, months + 1) with `months`
    (rows, draws)."""
    if table.ndim == 1:
        return np.interp(months, np.arange(len(table)), table)
    whole = np.minimum(months.astype(np.int64), table.shape[1] - 2)
    draw = np.arange(table.shape[0])
    low = table[draw, whole]
    return low + (months - whole) * (table[draw, whole + 1] - low)


def shock_factors(months: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, months) factors on the order rate of all customers: exp of an AR(1) path on log scale, stationary at
    as-of, with sd and phi drawn from their priors for each draw, scaled so that the factor's mean is 1."""
    sd = np.abs(rng.normal(0.0, SHOCK_SD, draws))
    phi = rng.beta(*SHOCK_PHI, draws)
    level_sd = sd / np.sqrt(1 - phi**2)
    path = np.empty((draws, months))
    path[:, 0] = rng.normal(0.0, level_sd)
    for month in range(1, months):
        path[:, month] = phi * path[:, month - 1] + rng.normal(0.0, sd)
    return np.exp(path - level_sd[:, None] ** 2 / 2)


class Clock:
    """Calendar days to exposure and back, a draw a row: exposure runs at the shock factor of the month.

    One np.interp serves all draws: each draw's piece is moved to its own stretch of the axis.
    """

    def __init__(self, horizon: Horizon, factors: np.ndarray):
        """factors: (draws, months)."""
        draws = len(factors)
        exposure = np.concatenate([np.zeros((draws, 1)), np.cumsum(factors * np.diff(horizon.ends), axis=1)], axis=1)
        self._day_step = horizon.days + 1.0
        self._exposure_step = float(exposure.max()) + 1.0
        draw = np.arange(draws)[:, None]
        self._days = (horizon.ends + draw * self._day_step).ravel()
        self._moved = (exposure + draw * self._exposure_step).ravel()

    def exposure(self, days: np.ndarray, draw: np.ndarray) -> np.ndarray:
        return np.interp(days + draw * self._day_step, self._days, self._moved) - draw * self._exposure_step

    def days(self, exposure: np.ndarray, draw: np.ndarray) -> np.ndarray:
        return np.interp(exposure + draw * self._exposure_step, self._moved, self._days) - draw * self._day_step
