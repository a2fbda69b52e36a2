"""Purchase histories from order lines, as Ibis expressions (floor 2): nothing per order line enters Python.

Rules, in this order:
1. Only lines of confirmed orders count, up to as-of by the company-local date of `ordered_at`.
2. A purchase day is a date with at least one `sale` line, zero amounts included; several orders of a day are one.
   Shipping and fees are revenue of their day but never make a purchase day.
3. A return reduces one sale day of the same customer, not later than the return: the day of the order that it names
   (`returns_order_id`), else the latest day on which the same product was sold, else the latest sale day. It reduces
   that day's amount; the day stops counting only if nothing is left of its sales, by quantity or by amount. What
   exceeds the day is not carried to an earlier one: it stays in `revenue_total` alone.
4. A return without such a day is unmatched: `report` counts it, and it stays in `revenue_total`.
5. The first purchase is not a repeat. Recency and T are differences of dates, in the model's time unit.
"""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.periods import DAYS_PER_YEAR
from ltvlab_utils.tables import contract_of
from ltvlab_utils.tables.kept import count, kept

# auto: weeks, as long as value.month_clock has not found that dates are month ends
DAYS_PER_UNIT = {"day": 1.0, "week": 7.0, "auto": 7.0, "month": DAYS_PER_YEAR / 12}
START_UNKNOWN_MONTHS = 12
ALL = "all"
UNKNOWN = "unknown"


def _confirmed(order_lines: ir.Table, as_of: date) -> ir.Table:
    lines = order_lines.mutate(day=order_lines.ordered_at.date())
    return lines.filter(lines.status == "confirmed", lines.day <= ibis.literal(as_of))


def matched_returns(order_lines: ir.Table, as_of: date) -> ir.Table:
    """One row a return line: order_id, line_no, customer_id, net_amount, quantity, day (the sale day that it reduces,
    null = unmatched)."""
    lines = _confirmed(order_lines, as_of)
    sold = (
        lines.filter(lines.kind == "sale")
        .select(buyer=lines.customer_id, sold_on=lines.day, sold_order=lines.order_id, sold_product=lines.product_id)
        .distinct()
    )
    back = lines.filter(lines.kind == "return").select(
        "order_id", "line_no", "customer_id", "day", "product_id", "returns_order_id", "net_amount", "quantity"
    )
    pairs = back.left_join(sold, [back.customer_id == sold.buyer, sold.sold_on <= back.day])
    keys = ["order_id", "line_no", "customer_id", "net_amount", "quantity"]
    best = pairs.group_by(keys).aggregate(
        named=lambda t: t.sold_on.max(where=t.sold_order == t.returns_order_id),
        product=lambda t: t.sold_on.max(where=t.sold_product == t.product_id),
        latest=lambda t: t.sold_on.max(),
    )
    return best.select(*keys, day=ibis.coalesce(best.named, best["product"], best.latest))


def purchase_days(order_lines: ir.Table, as_of: date) -> ir.Table:
    """One row a customer and date with a sale: customer_id, day, amount (net of returns, shipping and fees included),
    returned (bool), counts (bool: something is left of the day)."""
    lines = _confirmed(order_lines, as_of)
    is_sale = lines.kind == "sale"
    days = (
        lines.filter(lines.kind != "return")
        .group_by(["customer_id", "day"])
        .aggregate(
            sales=lambda t: t.net_amount.sum(where=t.kind == "sale"),
            other=lambda t: t.net_amount.sum(where=t.kind != "sale"),
            units=lambda t: t.quantity.sum(where=t.kind == "sale"),
        )
    )
    days = days.semi_join(lines.filter(is_sale), ["customer_id", "day"])
    back = matched_returns(order_lines, as_of)
    back = (
        back.filter(back.day.notnull())
        .group_by(["customer_id", "day"])
        .aggregate(back_amount=lambda t: t.net_amount.sum(), back_units=lambda t: t.quantity.sum())
    )
    both = days.left_join(back, ["customer_id", "day"])
    left_amount = both.sales + both.back_amount.fill_null(0)
    # rounded, since 0.1 + 0.2 - 0.3 units are nothing and not 5e-17
    left_units = (both.units + both.back_units.fill_null(0)).round(6)
    returned = both.back_amount.notnull()
    nothing_left = returned & ((left_units <= 0) | ((left_amount <= 0) & (both.sales > 0)))
    return both.select(
        "customer_id",
        "day",
        amount=left_amount + both.other.fill_null(0),
        returned=returned,
        counts=~nothing_left,
    )


def kept_days(order_lines: ir.Table, as_of: date) -> ir.Table:
    """`purchase_days`, worked out once where several questions follow."""
    return kept(purchase_days(order_lines, as_of), count(order_lines))


def segments(customers: ir.Table | None, segment_by: str) -> ir.Table | None:
    """customer_id and model_segment; None where no segmentation is configured. Empty cells become 'unknown'."""
    if not segment_by or customers is None:
        return None
    known = contract_of("customers").column
    if segment_by not in known or known[segment_by].kind != "text" or segment_by in ("customer_id", "customer_name"):
        usable = ", ".join(c for c in ("industry", "size_band", "region", "role", "acquisition_channel"))
        raise Refused(f'models.segment_by is "{segment_by}", which cannot split customers. Usable: {usable}.')
    return customers.select("customer_id", model_segment=customers[segment_by].cast("string").fill_null(UNKNOWN))


def histories(
    order_lines: ir.Table, customers: ir.Table | None, as_of: date, time_unit: str, segment_by: str = "",
    days: ir.Table | None = None,
) -> ir.Table:  # fmt: skip
    """The `histories` contract, one row a customer with at least one purchase day, as one expression.

    `order_lines`, `customers`: staged tables (`customers` may be None without `segment_by`). `as_of`: nothing later
    enters. `time_unit`: "day", "week" or "month" (whole ones). `days`: purchase_days at as-of, where it is at hand.
    Raises Refused for a `segment_by` that cannot split customers.
    """
    end = ibis.literal(as_of)
    days = purchase_days(order_lines, as_of) if days is None else days
    lines = _confirmed(order_lines, as_of)
    revenue = lines.group_by("customer_id").aggregate(revenue_total=lambda t: t.net_amount.sum().cast("float64"))
    counted = days.filter(days.counts)
    in_turn = ibis.window(group_by="customer_id", order_by="day")
    counted = counted.mutate(gap=_between(counted.day, counted.day.lag().over(in_turn), time_unit))
    own = (
        # sums of doubles differ from run to run, sums of decimals do not
        counted.mutate(log_gap=counted.gap.ln().cast("decimal(18, 8)"))
        .group_by("customer_id")
        .aggregate(
            days=lambda t: t.count(),
            log_interval_sum=lambda t: t.log_gap.sum().cast("float64").fill_null(0.0),
            first_order_on=lambda t: t.day.min(),
            last_order_on=lambda t: t.day.max(),
            amount=lambda t: t.amount.sum(),
            first_amount=lambda t: t.amount.argmin(t.day),
        )
    )
    start = own.aggregate(data_start=own.first_order_on.min())
    own = own.cross_join(start).inner_join(revenue, "customer_id")
    split = segments(customers, segment_by)
    if split is not None:
        own = own.left_join(split, "customer_id")
    frequency = own.days - 1
    repeat_amount = (own.amount - own.first_amount).cast("float64")
    known_from = (own.data_start + ibis.interval(months=START_UNKNOWN_MONTHS)).cast("date")
    return own.select(
        "customer_id",
        model_segment=ibis.literal(ALL) if split is None else own.model_segment.fill_null(UNKNOWN),
        frequency=frequency.cast("int64"),
        recency=_between(own.last_order_on, own.first_order_on, time_unit),
        T=_between(end, own.first_order_on, time_unit),
        monetary_value=(frequency > 0).ifelse(repeat_amount / (own.days - 1).nullif(0), 0.0).cast("float64"),
        first_order_on=own.first_order_on,
        last_order_on=own.last_order_on,
        days_since_last_order=end.delta(own.last_order_on, unit="day").cast("int64"),
        revenue_total=own.revenue_total,
        start_unknown=own.first_order_on < known_from,
        log_interval_sum=own.log_interval_sum,
    )


def _between(later: ir.Value, day: ir.Value, time_unit: str) -> ir.Value:
    """Time from one date to a later one; months of the calendar, so that from the end of one to the end of the next is
    one."""
    if time_unit == "month":
        return ((later.year() - day.year()) * 12 + later.month() - day.month()).cast("float64")
    return later.delta(day, unit="day") / DAYS_PER_UNIT[time_unit]


def report(order_lines: ir.Table, as_of: date, days: ir.Table | None = None) -> ir.Table:
    """One row of what the histories leave out: lines of cancelled orders and of backlog, returns, the unmatched ones
    with their amount, purchase days that returns took away, customers with lines but without any purchase day."""
    seen = order_lines.filter(order_lines.ordered_at.date() <= ibis.literal(as_of))
    back = matched_returns(order_lines, as_of)
    days = purchase_days(order_lines, as_of) if days is None else days
    lines = _confirmed(order_lines, as_of)
    a = seen.aggregate(
        lines=seen.count(),
        cancelled_lines=(seen.status == "cancelled").ifelse(1, 0).sum().fill_null(0),
        backlog_lines=(seen.status == "backlog").ifelse(1, 0).sum().fill_null(0),
    )
    b = back.aggregate(
        return_lines=back.count(),
        unmatched_returns=back.day.isnull().ifelse(1, 0).sum().fill_null(0),
        unmatched_amount=back.net_amount.sum(where=back.day.isnull()).cast("float64").fill_null(0.0),
    )
    c = days.aggregate(
        purchase_days=days.counts.ifelse(1, 0).sum().fill_null(0),
        days_removed=days.counts.ifelse(0, 1).sum().fill_null(0),
        buyers=days.customer_id.nunique(where=days.counts),
    )
    d = lines.aggregate(with_lines=lines.customer_id.nunique())
    all_ = a.cross_join(b).cross_join(c).cross_join(d)
    return all_.mutate(customers_without_purchase=all_.with_lines - all_.buyers).drop("with_lines", "buyers")


def orders_by_month(days: ir.Table) -> ir.Table:
    """Purchase days by calendar month: month (its first day), orders."""
    days = days.filter(days.counts).mutate(month=days.day.truncate("month"))
    return days.group_by("month").aggregate(orders=lambda t: t.count()).order_by("month")


def weights(frame: pd.DataFrame) -> np.ndarray | None:
    """Customers that each row stands for; None where each is one."""
    return frame["weight"].to_numpy(float) if "weight" in frame else None


def customers(frame: pd.DataFrame) -> int:
    """Customers behind the rows."""
    return int(frame["weight"].sum()) if "weight" in frame else len(frame)


def distinct(frame: pd.DataFrame) -> pd.DataFrame:
    """Distinct (frequency, recency, T) in order, with `weight` = customers that share it. Models fit on these."""
    if "weight" in frame:
        return frame.groupby(["frequency", "recency", "T"], sort=True)["weight"].sum().reset_index()
    return frame.groupby(["frequency", "recency", "T"], sort=True).size().rename("weight").reset_index()


def empty() -> pd.DataFrame:
    """Histories of a company without order lines."""
    frame = {c: np.array([], dtype=float) for c in contract_of("histories").names}
    return pd.DataFrame(frame).astype({"customer_id": "str", "model_segment": "str"})
