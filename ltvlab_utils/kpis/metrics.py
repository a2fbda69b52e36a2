"""The metric dictionary, and the figures of every month: metric_id, month, value, n (long, company scope).

A figure whose window reaches back before the data do is null, not zero. Words and formulas stand in the catalogue as
metric.<id> and metric.<id>.formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.kpis.ledger import DAY, LOST, Ledger, Tables, first_activity, in_force
from ltvlab_utils.periods import Period

START_UNKNOWN_MONTHS = 12
NOTICE_DAYS = 90
COSTS = "order_lines.cost_amount, contract_terms.monthly_cost"
CONTRACT_METRICS = ["mrr", "nrr", "grr", "logo_churn", "churned_customers", "notice_90_amount", "notice_90_contracts"]


@dataclass(frozen=True)
class Metric:
    """One entry of the dictionary; `table` = the input that would unlock it where it is null for lack of data."""

    id: str
    unit: str
    timing: str
    department: str
    table: str


METRICS: dict[str, Metric] = {
    m.id: m
    for m in (
        Metric("revenue", "currency", "lagging", "executive", "order_lines or contract_terms"),
        Metric("gross_profit", "currency", "lagging", "executive", COSTS),
        Metric("revenue_fytd", "currency", "lagging", "executive", "order_lines of the whole fiscal year"),
        Metric("gross_profit_fytd", "currency", "lagging", "executive", COSTS),
        Metric("cost_coverage", "fraction", "lagging", "executive", COSTS),
        Metric("orders", "count", "lagging", "sales", "order_lines"),
        Metric("average_order", "currency", "lagging", "sales", "order_lines"),
        Metric("active_customers", "count", "lagging", "sales", "order_lines of 12 months"),
        Metric("new_customers", "count", "leading", "marketing", "order_lines of more than 12 months"),
        Metric("existing_revenue_yoy", "fraction", "lagging", "sales", "order_lines of 24 months"),
        Metric("churned_customers", "count", "lagging", "success", "contract_terms"),
        Metric("logo_churn", "fraction", "lagging", "success", "contract_terms of 12 months"),
        Metric("mrr", "currency", "lagging", "success", "contract_terms"),
        Metric("nrr", "fraction", "lagging", "success", "contract_terms of 12 months"),
        Metric("grr", "fraction", "lagging", "success", "contract_terms of 12 months"),
        Metric("notice_90_amount", "currency", "leading", "success", "contract_terms"),
        Metric("notice_90_contracts", "count", "leading", "success", "contract_terms"),
        Metric("notice_90_at_risk", "currency", "leading", "success", "contract_terms"),
        Metric("future_value", "currency", "leading", "executive", "order_lines or contract_terms"),
        Metric("support_cost_ratio", "fraction", "lagging", "success", "support_costs"),
    )
}  # fmt: skip


def figures(ledger: Ledger, tables: Tables, fiscal_year_start_month: int) -> pd.DataFrame:
    """Every metric that the past can tell, for every month since the data begin: metric_id, month (YYYY-MM), value, n.

    `value` is null where it cannot be known; `n` = customers behind it (orders for average_order, contracts for
    notice_90_contracts and its amount).
    """
    spine = pd.Index([str(ledger.start.shift(i)) for i in range(ledger.months.count().to_pandas())], name="month")
    parts = [
        _long(metric, frame.reindex(spine), known_from, empty, ledger)
        for metric, frame, known_from, empty in _all(ledger, tables, fiscal_year_start_month)
    ]
    return pd.concat(parts, ignore_index=True)


def _long(metric: str, frame: pd.DataFrame, known_from: Period | None, empty: float, ledger: Ledger) -> pd.DataFrame:
    """value and n by month -> long; before `known_from` null, a month without rows from then on is `empty`."""
    known = np.zeros(len(frame), bool) if known_from is None else np.asarray(frame.index >= str(known_from))
    value = pd.to_numeric(frame["value"]).astype("float64")
    n = pd.to_numeric(frame["n"]).fillna(0).astype("int64")
    value = value.where(~frame["n"].isna(), empty).where(known)
    return pd.DataFrame(
        {"metric_id": metric, "month": frame.index, "value": value.to_numpy(), "n": n.where(known, 0).to_numpy()}
    )


def by_month(expression: ir.Table) -> pd.DataFrame:
    """An expression with month, value, n as a frame by month (YYYY-MM); sums of money end as float64 here."""
    frame = expression.select(
        month=expression.month.cast("date").strftime("%Y-%m"),
        value=expression.value.cast("float64"),
        n=expression.n.cast("int64"),
    ).to_pandas()
    return frame.set_index("month").sort_index()


def money_by_month(entries: ir.Table, *by: str) -> ir.Table:
    """Revenue and gross profit of entries by month (and `by`): revenue, known_revenue, profit (null where the cost of
    one entry is unknown), orders, order_revenue, customers."""
    return entries.group_by(["month", *by]).agg(
        revenue=lambda t: t.revenue.sum(),
        known_revenue=lambda t: ibis.ifelse(t.cost.notnull(), t.revenue, 0).sum(),
        profit=lambda t: ibis.ifelse(
            t.cost.isnull().ifelse(1, 0).sum() == 0, (t.revenue - t.cost).sum(), ibis.null("decimal(38, 4)")
        ),
        absolute=lambda t: t.revenue.abs().sum(),
        known_absolute=lambda t: ibis.ifelse(t.cost.notnull(), t.revenue.abs(), 0).sum(),
        orders=lambda t: t.order_id.nunique(),
        order_revenue=lambda t: ibis.ifelse(t.arm == "orders", t.revenue, 0).sum(),
        customers=lambda t: t.customer_id.nunique(),
    )


Part = tuple[str, pd.DataFrame, Period | None, float]


def _all(ledger: Ledger, tables: Tables, start_month: int) -> Iterator[Part]:
    """metric_id, frame(value, n) by month, first month that can be known, value of a month without rows."""
    yield from _money(ledger, tables, start_month)
    yield from _customers(ledger)
    yield from _contracts(ledger)


def _money(ledger: Ledger, tables: Tables, start_month: int) -> Iterator[Part]:
    start = ledger.start
    money = money_by_month(ledger.entries).to_pandas().assign(month=lambda f: _text(f["month"]))
    money = money.set_index("month").sort_index().astype("float64")
    every = pd.Index([str(start.shift(i)) for i in range(_count(start, ledger.month))], name="month")
    money = money.reindex(every)
    money["profit"] = money["profit"].where(money["customers"].notna(), 0.0)
    money = money.fillna({c: 0.0 for c in money.columns if c != "profit"})
    n = money["customers"]
    yield "revenue", _pair(money["revenue"], n), start, 0.0
    yield "gross_profit", _pair(money["profit"], n), start, 0.0
    coverage = (money["known_absolute"] / money["absolute"]).where(money["absolute"] > 0)
    yield "cost_coverage", _pair(coverage, n), start, np.nan
    whole_year = start if start.month == start_month else start.fiscal_year_start(start_month).shift(12)
    year = pd.Series([str(Period.parse(m).fiscal_year_start(start_month)) for m in every], every)
    customers = _customers_of_fiscal_year(ledger, start_month, year)
    yield "revenue_fytd", _pair(money["revenue"].groupby(year).cumsum(), customers), whole_year, 0.0
    # skipna=False: one month without a known profit leaves the year to date unknown from there on
    profit = money["profit"].groupby(year).transform(lambda s: s.cumsum(skipna=False))
    yield "gross_profit_fytd", _pair(profit, customers), whole_year, 0.0
    has_orders = start if "order_lines" in tables else None
    yield "orders", _pair(money["orders"], n), has_orders, 0.0
    average = (money["order_revenue"] / money["orders"]).where(money["orders"] > 0)
    yield "average_order", _pair(average, money["orders"]), has_orders, np.nan
    support = pd.Series(np.nan, every)
    served = pd.Series(0, every)
    if "support_costs" in tables:
        costs = tables["support_costs"].filter(lambda t: t.occurred_on <= ibis.literal(ledger.as_of))
        costs = costs.group_by(month=costs.occurred_on.truncate("M")).agg(
            value=lambda t: t.cost_amount.sum(), n=lambda t: t.customer_id.nunique()
        )
        spent = by_month(costs).reindex(every)
        first = spent["value"].first_valid_index()
        support = (spent["value"].fillna(0.0) / money["revenue"]).where(money["revenue"] > 0)
        support = support.where(every >= first) if first else support * np.nan
        served = spent["n"].fillna(0)
    yield "support_cost_ratio", _pair(support, served), start, np.nan


def _customers(ledger: Ledger) -> Iterator[Part]:
    start, months = ledger.start, ledger.months
    bought = ledger.entries.filter(lambda t: t.order_id.notnull()).select("customer_id", "month").distinct()
    windows = months.select("year_ago", at=months.month)
    active = bought.join(windows, [bought.month > windows.year_ago, bought.month <= windows["at"]])
    active = active.select("customer_id", month=active["at"])
    if ledger.recurring is not None:
        active = active.union(ledger.recurring.select("customer_id", "month"))
    active = active.distinct().group_by("month").agg(value=lambda t: t.count(), n=lambda t: t.count())
    yield "active_customers", by_month(active), start.shift(11), 0.0
    first = first_activity(ledger)
    new = first.group_by(month=first.first_on.truncate("M")).agg(value=lambda t: t.count(), n=lambda t: t.count())
    yield "new_customers", by_month(new), start.shift(START_UNKNOWN_MONTHS), 0.0
    # revenue of 12 months by customer, then the same comparison as NRR
    spent = ledger.entries.group_by("customer_id", "month").agg(revenue=lambda t: t.revenue.sum())
    rolling = spent.join(windows, [spent.month > windows.year_ago, spent.month <= windows["at"]])
    rolling = rolling.group_by("customer_id", month=rolling["at"]).agg(amount=lambda t: t.revenue.sum())
    both = retention(rolling, months)
    yield (
        "existing_revenue_yoy",
        by_month(both.select("month", value=both.net, n=both.customers)),
        start.shift(23),
        np.nan,
    )


def retention(levels: ir.Table, months: ir.Table) -> ir.Table:
    """Customers with a positive amount 12 months ago, lost ones included: month, net (their amount now / then), gross
    (growth of a customer not counted), lost (share of customers without an amount now), customers.

    `levels`: customer_id, month, amount.
    """
    then = levels.filter(lambda t: t.amount > 0).select("customer_id", then_month="month", then="amount")
    spine = months.select("month", "year_ago")
    base = then.join(spine, then.then_month == spine.year_ago).select("customer_id", "month", "then")
    now = levels.select(now_customer="customer_id", now_month="month", now="amount")
    both = base.left_join(now, [base.customer_id == now.now_customer, base.month == now.now_month])
    both = both.mutate(now=ibis.coalesce(both.now, 0))
    return both.group_by("month").agg(
        net=lambda t: t.now.sum().cast("float64") / t.then.sum().cast("float64"),
        gross=lambda t: (
            ibis.greatest(ibis.least(t.now, t.then), 0).sum().cast("float64") / t.then.sum().cast("float64")
        ),
        lost=lambda t: (t.now <= 0).ifelse(1.0, 0.0).mean(),
        customers=lambda t: t.count(),
    )


def _contracts(ledger: Ledger) -> Iterator[Part]:
    start, nothing = ledger.contracts_start, pd.DataFrame({"value": [], "n": []}, dtype="float64")
    if ledger.pieces is None or start is None:
        for metric in CONTRACT_METRICS:
            yield metric, nothing, None, np.nan
        return
    mrr = ledger.recurring.group_by("month").agg(value=lambda t: t.amount.sum(), n=lambda t: t.count())
    yield "mrr", by_month(mrr), start, 0.0
    kept = retention(ledger.recurring, ledger.months)
    for metric, column in (("nrr", kept.net), ("grr", kept.gross), ("logo_churn", kept.lost)):
        yield metric, by_month(kept.select("month", value=column, n=kept.customers)), start.shift(12), np.nan
    ended = lapses(ledger)
    ended = ended.group_by("month").agg(value=lambda t: t.count(), n=lambda t: t.count())
    yield "churned_customers", by_month(ended), start, 0.0
    due = notices(ledger).filter(lambda t: t.days_left <= NOTICE_DAYS)
    due = due.group_by("month").agg(
        amount=lambda t: t.annual_amount.sum(), contracts=lambda t: t.contract_id.nunique(), n=lambda t: t.count()
    )
    yield "notice_90_amount", by_month(due.select("month", value=due.amount, n=due.contracts)), start, 0.0
    yield "notice_90_contracts", by_month(due.select("month", value=due.contracts, n=due.contracts)), start, 0.0


def lapses(ledger: Ledger) -> ir.Table:
    """Customers whose last contract ended within a month and was not renewed: month, customer_id.

    As of each month: only terms that had started by its end count, and a customer that holds another term beyond
    that day, or whose ending term was renewed or is undecided, has not lapsed.
    """
    months = ledger.months.select("month", "last_day")
    pieces = ledger.pieces
    seen = pieces.join(months, pieces.from_on <= months.last_day)
    last = seen.group_by("month", "last_day", "customer_id").agg(
        ended_on=lambda t: t.to_on.max(),
        kept_until=lambda t: ibis.ifelse(t.outcome.isin(LOST), ibis.null("date"), t.to_on).max(),
    )
    gone = (last.ended_on >= last.month) & (last.ended_on <= last.last_day)
    renewed = ibis.coalesce(last.kept_until >= last.ended_on, False)
    return last.filter(gone & ~renewed).select("month", "customer_id")


def notices(ledger: Ledger) -> ir.Table:
    """Contracts in force at each month's end with a deadline still to come and no decision yet: month, contract_id,
    customer_id, notice_due_on, renewal_on, days_left (from 1), annual_amount (12 x the amount then), term_months.

    The deadline is notice_due_on; a term without one can be left until its last day.
    """
    running = in_force(ledger.pieces, ledger.months)
    decided = (running.outcome != "open") & (running.outcome_on <= running.last_day)
    due = ibis.coalesce(running.notice_due_on, running.ends_on)
    open_ = running.mutate(due=due).filter(~ibis.coalesce(decided, False)).filter(lambda t: t.due > t.last_day)
    return open_.select(
        "month",
        "contract_id",
        "customer_id",
        "term_months",
        notice_due_on=open_.due,
        renewal_on=(open_.ends_on + DAY).cast("date"),
        days_left=open_.due.delta(open_.last_day, unit="day"),
        annual_amount=open_.monthly_amount * 12,
    )


def _customers_of_fiscal_year(ledger: Ledger, start_month: int, year: pd.Series) -> pd.Series:
    """Customers with revenue from the start of the fiscal year to the end of each month."""
    seen = ledger.entries.select("customer_id", "month").distinct()
    of_year = (seen.month - ibis.interval(months=start_month - 1)).cast("date").year()
    first = seen.group_by("customer_id", fiscal_year=of_year).agg(month=lambda t: t.month.min())
    new = by_month(first.group_by("month").agg(value=lambda t: t.count(), n=lambda t: t.count()))
    return new["n"].reindex(year.index, fill_value=0).groupby(year).cumsum()


def _pair(value: pd.Series, n: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"value": value, "n": n})


def _text(month: pd.Series) -> pd.Series:
    return pd.to_datetime(month).dt.strftime("%Y-%m")


def _count(first: Period, last: Period) -> int:
    return (last.year - first.year) * 12 + last.month - first.month + 1
