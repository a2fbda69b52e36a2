"""Whether order dates have days (floor 2): invoices taken for orders are dated to closing days.

Where a company bills by the month, the dates in its extract are month ends (締め日): how long a customer has been
silent is then known to the month alone, and no customer can have two orders in one. A model in days reads certainty
into that: after two months without an invoice, P(alive) of a monthly customer was 0.91 in place of 0.29. With months
as the clock, each of them one opportunity to order (BG/BB), the customers' chances are right. They have to be asked
for: where customers fade, as in misspecified worlds, totals on months came 9 % too high and their 80 % interval held a
third of them, while on weeks it held (`benchmarks.month_ends`). Notebook 02 says what is at stake.

tables, settings, dating = on_clock(tables, settings, as_of)   # before anything else reads the orders
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np

MONTH_END = 31
CROWDED = 4.0  # times what the calendar gives a day of the month, from where it is a closing day
MOST = 0.5  # of all purchase days on closing days: dates are invoices
LEAST = 100  # purchase days below which nothing is told
DAYS_A_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Dating:
    """`share` of the purchase days that fall on `closing_days` (of the month; MONTH_END = its last working day or
    later), of `days`; `calendar`: the share that the calendar gives those days. `unit`: the clock of the models;
    `asked`: the setting."""

    share: float
    calendar: float
    closing_days: tuple[int, ...]
    days: int
    unit: str
    asked: str

    @property
    def clustered(self) -> bool:
        return self.share >= MOST and self.days >= LEAST


def _month_end(day: ir.Value) -> ir.Value:
    return (day.truncate("month") + ibis.interval(months=1) - ibis.interval(days=1)).cast("date")


def by_day_of_month(order_lines: ir.Table, as_of: date) -> ir.Table:
    """Days with a sale by day of the month: slot (1 to 30, MONTH_END), n. The last working day of a month and what
    comes after it are its end, since a closing day on a weekend is brought forward."""
    lines = order_lines.mutate(day=order_lines.ordered_at.date())
    lines = lines.filter(lines.status == "confirmed", lines.kind == "sale", lines.day <= ibis.literal(as_of))
    days = lines.select("customer_id", "day").distinct()
    days = days.mutate(last=_month_end(days.day))
    weekend = (days["last"].day_of_week.index() - 4).clip(lower=0)
    at_end = days.day.day() >= days["last"].day() - weekend
    days = days.mutate(slot=at_end.ifelse(MONTH_END, days.day.day()).cast("int64"))
    return days.group_by("slot").aggregate(n=lambda t: t.count()).order_by("slot")


def dating(order_lines: ir.Table, as_of: date, asked: str) -> Dating:
    """How order dates lie in the month, and the clock that follows from it and from the setting."""
    found = by_day_of_month(order_lines, as_of).to_pandas()
    total = int(found["n"].sum())
    share = found["n"].to_numpy(float) / max(total, 1)
    slots = found["slot"].to_numpy()
    # an end on a Saturday has two days, one on a Sunday three
    calendar = np.where(slots == MONTH_END, 1 + 3 / 7, 1.0) / DAYS_A_MONTH
    closing = share > CROWDED * calendar
    told = Dating(
        float(share[closing].sum()), float(calendar[closing].sum()), tuple(map(int, slots[closing])), total, "", asked
    )
    unit = "week" if asked == "auto" else asked
    return Dating(told.share, told.calendar, told.closing_days, total, unit, asked)


def on_clock(
    tables: Mapping[str, ir.Table], settings, as_of: date
) -> tuple[dict[str, ir.Table], object, Dating | None]:
    """The tables and settings on the clock that dates carry; None without order lines. On a monthly clock each order
    stands at the end of its month, so that orders of a month are one, as the rules of histories make orders of a day;
    an as-of within a month leaves that month's orders to the next review, for it is no whole opportunity yet."""
    if "order_lines" not in tables:
        return dict(tables), settings, None
    told = dating(tables["order_lines"], as_of, settings.models.time_unit)
    settings = settings.model_copy(update={"models": settings.models.model_copy(update={"time_unit": told.unit})})
    if told.unit != "month":
        return dict(tables), settings, told
    return {**tables, "order_lines": at_month_ends(tables["order_lines"])}, settings, told


def at_month_ends(order_lines: ir.Table) -> ir.Table:
    """Order lines with ordered_at at the end of its month."""
    kind = order_lines.schema()["ordered_at"]
    return order_lines.mutate(ordered_at=_month_end(order_lines.ordered_at.date()).cast(kind))
