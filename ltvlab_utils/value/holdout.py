"""One honest look back: fit at an earlier date, predict what is known by now (floor 2).

Only customers born before the cut, only what was known at the cut; the horizon is the time since. One origin alone: it
can show a gross error, it cannot grade intervals of totals.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.periods import Period, add_months
from ltvlab_utils.tables import contract_of
from ltvlab_utils.value import facts as facts_
from ltvlab_utils.value import fits as fits_
from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.futures import order_draws

LONGEST, SHORTEST = 12, 3  # months that are held out: a third of the data's length within these


def origin_of(first: date, as_of: date) -> date | None:
    """The cut: a third of the months since `first` before as-of, at most 12; None with less than 3 to hold out."""
    months = (as_of.year - first.year) * 12 + as_of.month - first.month + 1
    held = min(LONGEST, months // 3)
    if held < SHORTEST:
        return None
    period = Period(as_of.year, as_of.month)
    return period.shift(-held).last_day if as_of == period.last_day else add_months(as_of, -held)


def crps(draws: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score a row, from draws (rows, draws): E|X - y| - E|X - X'| / 2."""
    x = np.sort(draws, axis=1)
    n = x.shape[1]
    weight = 2 * np.arange(1, n + 1) - n - 1
    return np.abs(x - actual[:, None]).mean(axis=1) - (x * weight).sum(axis=1) / n**2


def covered(draws: np.ndarray, actual: np.ndarray, share: float, rng: np.random.Generator) -> float:
    """Share of rows in the central `share` by the randomised PIT: u ~ U[F(y-), F(y)], since counts have atoms."""
    low, high = (draws < actual[:, None]).mean(axis=1), (draws <= actual[:, None]).mean(axis=1)
    u = low + rng.random(len(actual)) * (high - low)
    return float(((u >= (1 - share) / 2) & (u <= (1 + share) / 2)).mean())


def backtest(order_lines: ir.Table, customers: ir.Table | None, settings, as_of: date, rng) -> pd.DataFrame:
    """The `backtest` contract for purchase days after the cut: the model with its fallbacks, the naive rate
    (frequency + 1) / T with nobody ever leaving, and "nobody buys again". Metrics: actual and predicted (totals), bias
    (predicted / actual - 1), mae, rmse and crps (purchase days a customer), coverage_50, _80, _90 (model only). Empty
    where the data are too short."""
    columns = contract_of("backtest").names
    settings_of = settings.models
    now = hist.purchase_days(order_lines, as_of)
    first = now.filter(now.counts).day.min().to_pandas()
    cut = None if pd.isna(first) else origin_of(pd.Timestamp(first).date(), as_of)
    if cut is None:
        return pd.DataFrame(columns=columns)
    h = hist.histories(order_lines, customers, cut, settings_of.time_unit, settings_of.segment_by).to_pandas()
    h = h.sort_values("customer_id", ignore_index=True)
    later = now.filter(now.counts & (now.day > ibis.literal(cut)))
    bought = later.group_by("customer_id").aggregate(n=lambda t: t.count()).to_pandas().set_index("customer_id")["n"]
    actual = h["customer_id"].map(bought).fillna(0.0).to_numpy(dtype=float)
    months = (as_of.year - cut.year) * 12 + as_of.month - cut.month
    horizon = Horizon.after(cut, months, settings.discount_rate_annual, settings.fiscal_year_start_month)
    facts = facts_.orders_only(h, cut)
    fits = fits_.fit(facts, settings)
    draws = order_draws(facts, fits, settings, horizon, rng)
    unit = hist.DAYS_PER_UNIT[settings_of.time_unit]
    naive = ((h["frequency"] + 1) / h["T"].clip(lower=7.0 / unit) * horizon.days / unit).to_numpy()
    guesses = {"ltvlab": draws.mean(axis=1), "naive_rate": naive, "naive_zero": np.zeros(len(h))}
    rows = []
    for name, guess in guesses.items():
        error = guess - actual
        scores = {
            "actual": actual.sum(),
            "predicted": guess.sum(),
            "bias": guess.sum() / actual.sum() - 1 if actual.sum() else np.nan,
            "mae": np.abs(error).mean(),
            "rmse": np.sqrt((error**2).mean()),
            "crps": crps(draws, actual).mean() if name == "ltvlab" else np.abs(error).mean(),
        }
        if name == "ltvlab":
            scores |= {f"coverage_{s}": covered(draws, actual, s / 100, rng) for s in (50, 80, 90)}
        rows += [(name, hist.ALL, pd.Timestamp(cut), metric, float(v), len(h)) for metric, v in scores.items()]
    return pd.DataFrame(rows, columns=columns).dropna(subset="value")


def holdout(tables: Mapping[str, ir.Table], settings, as_of: date, rng: np.random.Generator) -> pd.DataFrame:
    """`backtest` of the staged tables by name; empty without order lines."""
    if "order_lines" not in tables:
        return pd.DataFrame(columns=contract_of("backtest").names)
    return backtest(tables["order_lines"], tables.get("customers"), settings, as_of, rng)
