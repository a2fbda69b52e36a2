"""Repeat orders month by month beside what the models expect of the same cohorts (floor 2)."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.periods import Period
from ltvlab_utils.value.choice import Fits

AGES = 400  # ages at which the expectation is computed; those between are read off a line


def expected_repeats(histories: pd.DataFrame, fits: Fits, ends: list[date], time_unit: str) -> np.ndarray:
    """Expected repeat purchase days of all customers from their first one to each of `ends`: by segment and day of the
    first purchase, customers x E[X(t)] of a new customer."""
    unit, total = hist.DAYS_PER_UNIT[time_unit], np.zeros(len(ends))
    stops = np.array(ends, dtype="datetime64[D]")
    for segment, part in histories.groupby("model_segment", sort=True):
        first = pd.to_datetime(part["first_order_on"]).to_numpy("datetime64[D]")
        born, place = np.unique(first, return_inverse=True)
        customers = np.bincount(place, hist.weights(part))
        ages = np.maximum((stops[None, :] - born[:, None]).astype(float) / unit, 0.0)
        grid = np.linspace(0.0, max(ages.max(), 1e-9), AGES + 1)
        curve = np.append(0.0, np.asarray(fits.orders[segment].model.expected_purchases(grid[1:]), float))
        total += customers @ np.interp(ages, grid, curve)
    return total


def tracking(
    order_lines: ir.Table, histories: pd.DataFrame, fits: Fits, cut: date, until: date, time_unit: str
) -> pd.DataFrame:
    """Repeat purchase days of the customers of `histories` (born by `cut`) by calendar month: month_end, actual,
    expected, cumulative_actual, cumulative_expected, after_cut (bool: the fits had not seen it)."""
    start = pd.to_datetime(histories["first_order_on"]).min()
    month, ends = Period(start.year, start.month), []
    while month.last_day < until:
        ends.append(month.last_day)
        month = month.shift(1)
    ends.append(until)
    days = hist.purchase_days(order_lines, until)
    days = days.filter(days.counts)
    first = days.group_by("customer_id").aggregate(first=lambda t: t.day.min())
    first = first.filter(first["first"] <= ibis.literal(cut))
    repeats = days.join(first, "customer_id").filter(lambda t: t.day > t["first"])
    by_day = repeats.group_by("day").aggregate(n=lambda t: t.count()).to_pandas().sort_values("day")
    seen = np.append(0, np.cumsum(by_day["n"].to_numpy(dtype=float)))
    stops = np.array(ends, dtype="datetime64[D]")
    at = np.searchsorted(pd.to_datetime(by_day["day"]).to_numpy("datetime64[D]"), stops, side="right")
    expected = expected_repeats(histories, fits, ends, time_unit)
    return pd.DataFrame(
        {
            "month_end": pd.to_datetime(ends),
            "actual": np.diff(seen[at], prepend=0.0),
            "expected": np.diff(expected, prepend=0.0),
            "cumulative_actual": seen[at],
            "cumulative_expected": expected,
            "after_cut": stops > np.datetime64(cut),
        }
    )
