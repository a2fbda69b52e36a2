"""The closing day (締め日) and what the calendar gives it: orders fall on weekdays, invoices on closing days."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.sources.checks.evidence import Evidence


def is_closing_day(day: ir.DateValue, closing_day: int) -> ir.BooleanValue:
    """True on the closing day of a month; 31, or a day that a month lacks, is its last."""
    tomorrow = (day.cast("timestamp") + ibis.interval(days=1)).cast("date")
    last = tomorrow.month() != day.month()
    return (day.day() == closing_day) | (last & (day.day() < closing_day))


def by_day(seen: Evidence) -> pd.DataFrame:
    """Each day from the first order line to the last: day, rows, closing, usual (rows that its weekday has on other
    days than closing days)."""
    found = seen.days["order_lines"].set_index("day")["rows"]
    if found.empty:
        return pd.DataFrame({"day": [], "rows": [], "closing": [], "usual": []})
    days = pd.date_range(found.index[0], found.index[-1], freq="D")
    frame = pd.DataFrame({"day": days, "rows": found.reindex(days, fill_value=0).to_numpy(dtype="float64")})
    closing_day = np.minimum(seen.params.settings.closing_day, frame["day"].dt.days_in_month)
    frame["closing"] = frame["day"].dt.day == closing_day
    weekday = frame["day"].dt.day_of_week
    other = frame[~frame["closing"]].groupby(weekday)["rows"].mean()
    frame["usual"] = weekday.map(other).fillna(0.0)
    return frame


def expected_share(frame: pd.DataFrame) -> float:
    """Share of rows that fall on closing days if these were days as others."""
    if frame.empty:
        return 12 / 365
    total = frame["usual"].sum()
    return float(frame.loc[frame["closing"], "usual"].sum() / total) if total else float(frame["closing"].mean())


def clustering(frame: pd.DataFrame) -> tuple[float, float]:
    """Share of rows on closing days as a multiple of `expected_share`, and how many standard errors that lies above 1
    (from how much other days vary). Less than six closing days say nothing: (1, 0)."""
    if frame.empty or frame["closing"].sum() < 6 or not frame["rows"].sum():
        return 1.0, 0.0
    expected = expected_share(frame)
    if not expected:  # no closing day on a weekday with orders
        expected = float(frame["closing"].mean())
    ratio = frame.loc[frame["closing"], "rows"].sum() / frame["rows"].sum() / expected
    other = frame[~frame["closing"] & (frame["usual"] > 0)]
    spread = float((other["rows"] / other["usual"]).std()) if len(other) > 1 else 0.0
    error = max(spread, 1e-9) / np.sqrt(frame["closing"].sum())
    return float(ratio), float((ratio - 1) / error)
