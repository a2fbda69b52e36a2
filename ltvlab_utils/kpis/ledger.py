"""The ledger behind every KPI: what each customer brought, day by day and month by month, as Ibis expressions.

Definitions
- Revenue of orders: net amount of confirmed lines (sale, return, shipping, fee) on the day that `date_basis` names.
- Revenue of contracts: each month's share by days: monthly_amount x days in force / days of the month, rounded to four
  decimals; a term in force for the whole month counts its monthly_amount. Days of a pause do not count.
- A term is in force from starts_on to ends_on, but ends earlier on the day of an early cancellation, on the day before
  it is superseded, and on the day before the next term of the same contract starts.
- monthly_amount is the amount at the start of the term; a change on a later day of the term adds
  amount_after - amount_before from that day on, and the cost moves with the amount.
- MRR of a month: monthly amounts in force on its last day; a paused contract counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.periods import Period
from ltvlab_utils.tables.kept import count, kept

Tables = Mapping[str, ir.Table]
MONEY = "decimal(18, 4)"
DAY = ibis.interval(days=1)
DATE_COLUMN = {
    "ordered": "ordered_at",
    "shipped": "shipped_on",
    "recognised": "recognised_on",
    "invoiced": "invoiced_on",
}
LOST = ("churned", "cancelled_early")


@dataclass(frozen=True)
class Ledger:
    """Expressions over the staged tables of one as-of date.

    months: month (first day), last_day, days, year_ago (month, 12 months before), two_years_ago
    entries: customer_id, on, month, arm (orders, contracts), order_id (of sale lines), revenue, cost (null = unknown)
    pieces: contract_id, term_no, customer_id, from_on, to_on, monthly_amount, ... one row a stretch of equal amount
    start, contracts_start: first month whose revenue, whose contracts are known; None = no such table
    undated_lines: confirmed lines without the date that counts; None = no order lines
    """

    as_of: date
    start: Period
    contracts_start: Period | None
    months: ir.Table
    entries: ir.Table
    pieces: ir.Table | None
    undated_lines: int | None

    @property
    def month(self) -> Period:
        return Period(self.as_of.year, self.as_of.month)

    @property
    def recurring(self) -> ir.Table | None:
        """MRR by customer: month, customer_id, amount, contracts."""
        if self.pieces is None:
            return None
        running = in_force(self.pieces, self.months)
        return running.group_by("month", "customer_id").agg(
            amount=lambda t: t.monthly_amount.sum(), contracts=lambda t: t.contract_id.nunique()
        )


def months_between(first: Period, last: Period) -> ir.Table:
    """One row a calendar month: month, last_day, days, year_ago, two_years_ago (first days)."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    periods = [first.shift(i) for i in range(count)]
    frame = pd.DataFrame(
        {
            "month": [p.first_day for p in periods],
            "last_day": [p.last_day for p in periods],
            "days": [p.last_day.day for p in periods],
            "year_ago": [p.shift(-12).first_day for p in periods],
            "two_years_ago": [p.shift(-24).first_day for p in periods],
        }
    )
    return ibis.memtable(
        frame,
        schema={"month": "date", "last_day": "date", "days": "int64", "year_ago": "date", "two_years_ago": "date"},
    )


def confirmed_lines(order_lines: ir.Table, as_of: date, date_basis: str) -> ir.Table:
    """Confirmed lines with `on`, the day that counts; lines without that day are not yet revenue."""
    on = order_lines[DATE_COLUMN[date_basis]].cast("date")
    lines = order_lines.mutate(on=on).filter(lambda t: t.status == "confirmed")
    return lines.filter(lambda t: t.on.notnull() & (t.on <= ibis.literal(as_of)))


def contract_pieces(terms: ir.Table, changes: ir.Table | None) -> ir.Table:
    """Terms cut at changes of the amount: one row a stretch of days with one monthly amount.

    Keeps term_months, monthly_cost, notice_due_on, ends_on, outcome, outcome_on, paused_from, paused_to of the term.
    """
    after = ibis.window(group_by=terms.contract_id, order_by=terms.starts_on)
    stop = ibis.cases(
        (terms.outcome == "cancelled_early", terms.outcome_on),
        (terms.outcome == "superseded", terms.outcome_on - DAY),
        else_=terms.ends_on,
    )
    next_start = terms.starts_on.lead().over(after)
    last = ibis.least(terms.ends_on, ibis.coalesce(stop, terms.ends_on), ibis.coalesce(next_start - DAY, terms.ends_on))
    cut = terms.mutate(last_on=last.cast("date"), first_amount=terms.monthly_amount)
    keep = [
        "contract_id", "term_no", "customer_id", "term_months", "monthly_cost", "notice_due_on", "ends_on", "outcome",
        "outcome_on", "paused_from", "paused_to", "last_on", "first_amount",
    ]  # fmt: skip
    starts = cut.select(*keep, from_on=cut.starts_on, step=cut.monthly_amount.cast(MONEY))
    if changes is not None:
        moved = changes.select("contract_id", "changed_on", move=changes.amount_after - changes.amount_before)
        moved = moved.group_by("contract_id", "changed_on").agg(move=lambda t: t.move.sum())
        inside = cut.join(moved, "contract_id").filter(
            lambda t: (t.changed_on > t.starts_on) & (t.changed_on <= t.last_on)
        )
        starts = starts.union(inside.select(*keep, from_on=inside.changed_on, step=inside.move.cast(MONEY)))
    of_term = ibis.window(group_by=["contract_id", "term_no"], order_by="from_on")
    to_date = ibis.window(group_by=["contract_id", "term_no"], order_by="from_on", preceding=(None, 0))
    pieces = starts.mutate(
        monthly_amount=starts.step.sum().over(to_date).cast(MONEY),
        to_on=ibis.coalesce(starts.from_on.lead().over(of_term) - DAY, starts.last_on).cast("date"),
    )
    change = pieces.monthly_amount.cast("float64") / pieces.first_amount.cast("float64").nullif(0)
    cost = (pieces.monthly_cost.cast("float64") * ibis.coalesce(change, 1.0)).cast(MONEY)
    return pieces.mutate(monthly_cost=cost).filter(lambda t: t.to_on >= t.from_on).drop("step", "first_amount")


def in_force(pieces: ir.Table, months: ir.Table) -> ir.Table:
    """Pieces in force on the last day of each month, not paused: all columns of pieces, month, last_day."""
    spine = months.select("month", "last_day")
    running = pieces.join(spine, [pieces.from_on <= spine.last_day, pieces.to_on >= spine.last_day])
    paused = ibis.coalesce(
        (running.paused_from <= running.last_day)
        & (ibis.coalesce(running.paused_to, running.last_day) >= running.last_day),
        False,
    )
    return running.filter(~paused)


def running_now(ledger: Ledger) -> pd.DataFrame | None:
    """Contracts that go on after as-of: customer_id, contract_id, term_months; None without contracts.

    A term that ends on as-of goes on unless it was lost. A paused contract goes on.
    """
    if ledger.pieces is None:
        return None
    as_of = ibis.literal(ledger.as_of)
    on = ledger.pieces.filter(
        lambda t: (t.from_on <= as_of) & ((t.to_on > as_of) | ((t.to_on == as_of) & ~t.outcome.isin(LOST)))
    )
    columns = on.select("customer_id", "contract_id", "term_months").distinct()
    return columns.order_by(["customer_id", "contract_id"]).to_pandas()


def _days(first: ir.Value, last: ir.Value) -> ir.Value:
    """Days from first to last, both included, at least 0; 0 where one is null."""
    return ibis.greatest(ibis.coalesce(last.delta(first, unit="day") + 1, 0), 0)


def contract_months(pieces: ir.Table, months: ir.Table, as_of: date) -> ir.Table:
    """Revenue and cost of contracts accrued by month: one row a piece and month."""
    spine = months.select("month", "last_day", "days")
    both = pieces.join(spine, [pieces.from_on <= spine.last_day, pieces.to_on >= spine.month])
    both = both.mutate(
        first_in=ibis.greatest(both.from_on, both.month),
        last_in=ibis.least(both.to_on, both.last_day, ibis.literal(as_of)),
    )
    pause_end = ibis.coalesce(both.paused_to, both.last_in)
    paused = ibis.ifelse(
        both.paused_from.notnull(),
        _days(ibis.greatest(both.first_in, both.paused_from), ibis.least(both.last_in, pause_end)),
        0,
    )
    share = (_days(both.first_in, both.last_in) - paused).cast("float64") / both.days

    def accrued(amount: ir.Value) -> ir.Value:
        # to the fixed decimals row by row, so that the engine sums exactly and in any order
        return (amount.cast("float64") * share).cast(MONEY)

    return both.mutate(revenue=accrued(both.monthly_amount), cost=accrued(both.monthly_cost), share=share).filter(
        lambda t: t.share > 0
    )


def open_ledger(tables: Tables, as_of: date, date_basis: str = "ordered") -> Ledger:
    """The ledger of the staged tables (order_lines, contract_terms, contract_changes; absent ones left out).

    Raises Refused where neither orders nor contracts hold anything up to as-of.
    """
    month = Period(as_of.year, as_of.month)
    lines, undated, start = None, None, None
    if "order_lines" in tables:
        lines = confirmed_lines(tables["order_lines"], as_of, date_basis)
        start = _period(lines.on.min().to_pandas())
        without_day = tables["order_lines"].filter(
            lambda t: (t.status == "confirmed") & t[DATE_COLUMN[date_basis]].isnull()
        )
        undated = int(without_day.count().to_pandas())
    pieces, contracts_start = None, None
    if "contract_terms" in tables:
        terms = tables["contract_terms"].filter(lambda t: t.starts_on <= ibis.literal(as_of))
        changes = tables.get("contract_changes")
        pieces = kept(contract_pieces(terms, changes), count(terms, changes))
        contracts_start = _period(terms.starts_on.min().to_pandas())
    if start is None and contracts_start is None:
        raise Refused(
            f"Nothing was ordered and no contract ran up to {as_of}: check the period, or the dates in order_lines "
            "and contract_terms."
        )
    if start is None:
        start = contracts_start
    elif contracts_start is not None:
        # terms that began before the orders do are those that survived until the extract begins
        contracts_start = max(start, contracts_start)
    months = months_between(start, month)
    parts = []
    if lines is not None:
        parts.append(
            lines.select(
                "customer_id",
                "on",
                month=lines.on.truncate("M").cast("date"),
                arm=ibis.literal("orders"),
                order_id=ibis.ifelse(lines.kind == "sale", lines.order_id, ibis.null("string")),
                revenue=lines.net_amount.cast(MONEY),
                cost=lines.cost_amount.cast(MONEY),
            )
        )
    if pieces is not None:
        accrued = contract_months(pieces, months, as_of)
        parts.append(
            accrued.select(
                "customer_id",
                on=accrued.last_in.cast("date"),
                month=accrued.month,
                arm=ibis.literal("contracts"),
                order_id=ibis.null("string"),
                revenue=accrued.revenue,
                cost=accrued.cost,
            )
        )
    entries = parts[0] if len(parts) == 1 else parts[0].union(parts[1])
    # an order line is one entry, a stretch of a contract at most one a month
    entries = kept(entries, count(lines) + count(pieces) * count(months))
    return Ledger(as_of, start, contracts_start, months, entries, pieces, undated)


def _period(day: object) -> Period | None:
    if day is None or pd.isna(day):
        return None
    day = pd.Timestamp(day)
    return Period(day.year, day.month)


def first_activity(ledger: Ledger) -> ir.Table:
    """The first day of each customer with a sale or a contract in force: customer_id, first_on."""
    parts = ledger.entries.filter(lambda t: t.order_id.notnull()).select("customer_id", "on")
    if ledger.pieces is not None:
        parts = parts.union(ledger.pieces.select("customer_id", on=ledger.pieces.from_on))
    return parts.group_by("customer_id").agg(first_on=lambda t: t.on.min())


def owners_then(customer_owners: ir.Table, role: str = "sales") -> ir.Table:
    """Who was in charge when: customer_id, owner, department, from_on, to_on; at most one owner a day.

    A later entry ends the one before it, so that no amount counts twice.
    """
    mine = customer_owners.filter(lambda t: t.role == role)
    after = ibis.window(group_by=mine.customer_id, order_by=mine.valid_from)
    forever = ibis.date(9999, 12, 31)
    next_from = ibis.coalesce(mine.valid_from.lead().over(after) - DAY, forever).cast("date")
    return mine.select(
        "customer_id",
        "owner",
        "department",
        from_on=mine.valid_from,
        to_on=ibis.least(ibis.coalesce(mine.valid_to, forever), next_from),
    )


def owner_on(customer_owners: ir.Table, day: date, role: str = "sales") -> ir.Table:
    """The owner of each customer on one day: customer_id, owner."""
    owners = owners_then(customer_owners, role)
    return owners.filter(lambda t: (t.from_on <= ibis.literal(day)) & (t.to_on >= ibis.literal(day))).select(
        "customer_id", "owner"
    )
