"""Checks that find rows: each takes the evidence and the table, and gives the rows it finds (None = cannot be asked).

Everything is an expression of the engine; what comes to Python is aggregates (days, clock times, counts).
"""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir
import pandas as pd
from scipy import stats

from ltvlab_utils.sources import judge
from ltvlab_utils.sources.checks import calendar, names
from ltvlab_utils.sources.checks.evidence import Evidence

EMPTY_AHEAD = 6  # months without a row after which what follows cannot belong to the extract
RARE = 1e-6  # probability below which a heap of equal clock times is no chance


def repeated_lines(seen: Evidence, name: str) -> ir.Table:
    """Sale lines that repeat an earlier one in all that a customer would see, under another number."""
    lines = seen.used(name)
    lines = lines.filter((lines.kind == "sale") & (lines.net_amount != 0))
    same = ["customer_id", "ordered_at", "product_id", "category", "quantity", "net_amount", "status"]
    print_of = lines.mutate(print_=_print(lines, same))
    twice = print_of.group_by("print_").aggregate(n_=lambda t: t.count()).filter(lambda t: t.n_ > 1)
    few = print_of.semi_join(twice, "print_")  # the sort below sees only what may be a repeat
    window = ibis.window(group_by=same, order_by=["order_", "row_no_"])
    return few.mutate(nth_=ibis.row_number().over(window)).filter(lambda t: t.nth_ > 0)


def _print(table: ir.Table, columns: list[str]) -> ir.IntegerValue:
    """One number of several columns: equal rows have equal numbers."""
    text = ibis.literal("\x1f").join([table[c].cast("string").fill_null("\x1e") for c in columns])
    return text.hash()


def other_currency(seen: Evidence, name: str) -> ir.Table | None:
    other = seen.foreign.get(name)
    rows = seen.rows[name]
    return None if other is None else rows.semi_join(
        other, [rows.file_ == other.file_, rows.row_no_ == other.row_no]
    )  # fmt: skip


def future_dates(seen: Evidence, name: str) -> ir.Table | None:
    """Rows later than as-of that stand apart from the extract: at least EMPTY_AHEAD months without a row lie before."""
    rows = seen.rows[name]
    rows = rows.filter(rows.reason_.isnull() & judge.after_as_of(name, rows, seen.as_of))
    month = rows[judge.DATED[name]].truncate("M").cast("date")
    months = pd.to_datetime(rows.select(month=month).distinct().order_by("month").to_pandas()["month"])
    before = pd.Timestamp(seen.as_of)
    for found in months:
        if (found.year - before.year) * 12 + found.month - before.month > EMPTY_AHEAD:
            return rows.filter(rows[judge.DATED[name]].cast("date") >= ibis.literal(found.date()))
        before = found
    return rows.filter(ibis.literal(False))


def returns_without_sale(seen: Evidence, name: str) -> ir.Table:
    """Returns that `histories` cannot take off any sale: confirmed, nothing sold to the customer up to that day."""
    lines = seen.used(name)
    lines = lines.filter(lines.status == "confirmed").mutate(day_=lambda t: t.ordered_at.date())
    first = lines.filter(lines.kind == "sale").group_by(buyer_="customer_id").aggregate(first_=lambda t: t.day_.min())
    back = lines.filter(lines.kind == "return")
    both = back.left_join(first, back.customer_id == first.buyer_)
    return both.filter(both.first_.isnull() | (both.first_ > both.day_))


def orders_of_two_customers(seen: Evidence, name: str) -> ir.Table:
    lines = seen.used(name)
    of_two = lines.group_by("order_id").aggregate(low=lambda t: t.customer_id.min(), high=lambda t: t.customer_id.max())
    return lines.semi_join(of_two.filter(of_two.low < of_two.high), "order_id")


def overlapping_terms(seen: Evidence, name: str) -> ir.Table:
    """Terms that start before an earlier term of the same contract and product has ended, or was given up."""
    terms = seen.used(name)
    given_up = terms.outcome.isin(["superseded", "cancelled_early"]) & terms.outcome_on.notnull()
    after = (terms.ends_on + ibis.interval(days=1)).cast("date")
    terms = terms.mutate(until_=ibis.ifelse(given_up, ibis.least(after, terms.outcome_on), after))
    earlier = ibis.window(
        group_by=["contract_id", "product_id"], order_by=["starts_on", "term_no"], preceding=(None, 1)
    )
    return terms.mutate(taken_=terms.until_.max().over(earlier)).filter(lambda t: t.starts_on < t.taken_)


def unknown_products(seen: Evidence, name: str) -> ir.Table | None:
    if "products" not in seen.rows:
        return None
    rows, known = seen.used(name), seen.used("products")
    return rows.filter(rows.product_id.notnull()).anti_join(known, "product_id")


def garbled_names(seen: Evidence, name: str) -> ir.Table:
    rows = seen.used(name)
    suspects = rows.filter(names.suspect(rows.customer_name)).select("customer_name").distinct().to_pandas()
    bad = [n for n in suspects["customer_name"] if names.is_garbled(n)]
    if not bad:
        return rows.filter(ibis.literal(False))
    return rows.semi_join(ibis.memtable({"customer_name": bad}), "customer_name")


def closing_day_lines(seen: Evidence, name: str) -> ir.Table:
    """Sale lines on the closing day with a mark of an invoice: shipped before, later than the rest of the order, at a
    clock time or by a customer seen on closing days far more often than the other days give."""
    lines = seen.used(name)
    lines = lines.filter(lines.kind == "sale")
    lines = lines.mutate(day_=lines.ordered_at.date(), clock_=lines.ordered_at.strftime("%H:%M"))
    lines = lines.mutate(closing_=calendar.is_closing_day(lines.day_, seen.params.settings.closing_day))
    spread = lines.group_by("order_id").aggregate(first_=lambda t: t.day_.min(), last_=lambda t: t.day_.max())
    spread = spread.filter(spread.first_ < spread.last_)
    on_day = lines.filter(lines.closing_)
    keys = ["source_", "file_", "row_no_"]
    later = on_day.inner_join(spread, "order_id").filter(lambda t: t.first_ < t.day_)
    found = [
        on_day.filter((on_day.shipped_on < on_day.day_).fill_null(False)),
        later,
        on_day.filter(on_day.clock_.isin(_heaped_clock_times(lines))),
        on_day.semi_join(_closing_customers(seen, lines), "customer_id"),
    ]
    return on_day.semi_join(ibis.union(*(f.select(keys) for f in found)), keys)


def _heaped_clock_times(lines: ir.Table) -> list[str]:
    """Clock times at which orders of closing days heap up: more than the clock times of other days make likely."""
    orders = lines.select("order_id", "day_", "clock_", "closing_").distinct()
    counted = orders.group_by("clock_").aggregate(
        here=lambda t: t.closing_.ifelse(1, 0).sum(), there=lambda t: t.closing_.ifelse(0, 1).sum()
    )
    clock = counted.order_by("clock_").to_pandas()
    if len(clock) < 2 or not clock["there"].sum():  # dates without times
        return []
    # half an order each, so that a time that other days never show is rare and not impossible
    usual = (clock["there"] + 0.5) / (clock["there"].sum() + 0.5 * len(clock))
    chance = stats.binom.sf(clock["here"] - 1, clock["here"].sum(), usual)
    return clock.loc[chance < RARE, "clock_"].tolist()


def _closing_customers(seen: Evidence, lines: ir.Table) -> ir.Table:
    """Customers whose order days fall on closing days beyond chance (Bonferroni over the customers)."""
    usual = calendar.expected_share(calendar.by_day(seen))
    days = lines.select("customer_id", "day_", "closing_").distinct()
    own = days.group_by("customer_id").aggregate(n=lambda t: t.count(), x=lambda t: t.closing_.ifelse(1, 0).sum())
    pairs = own.group_by(["n", "x"]).aggregate(customers=lambda t: t.count()).to_pandas()
    chance = stats.binom.sf(pairs["x"] - 1, pairs["n"], usual)
    odd = pairs[(chance * max(pairs["customers"].sum(), 1) < RARE) & (pairs["x"] > 0.5 * pairs["n"])]
    if odd.empty:
        return own.filter(ibis.literal(False)).select("customer_id")
    return own.semi_join(ibis.memtable(odd[["n", "x"]]), ["n", "x"]).select("customer_id")


FINDERS: dict[str, Callable[[Evidence, str], ir.Table | None]] = {
    f.__name__: f
    for f in (
        repeated_lines, other_currency, future_dates, returns_without_sale, orders_of_two_customers,
        overlapping_terms, unknown_products, garbled_names, closing_day_lines,
    )
}  # fmt: skip
# checks of rows that are refused: which they are among (table_name, column, reason) of rejected_rows
REFUSED: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "refused_rows": lambda bad: ~bad["reason"].isin(["missing_customer", "duplicate_key"]),
    "guests": lambda bad: bad["reason"] == "missing_customer",
    "repeated_keys": lambda bad: bad["reason"] == "duplicate_key",
    "terms_end_before_start": lambda bad: (bad["column"] == "ends_on") & (bad["reason"] == "out_of_range"),
    "unnamed_customers": lambda bad: (bad["column"] == "customer_name") & (bad["reason"] == "missing_value"),
}
