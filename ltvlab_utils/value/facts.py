"""What the staged tables say about each customer's money to date (floor 2): sums in the engine, small frames out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.errors import Refused
from ltvlab_utils.periods import add_months
from ltvlab_utils.value import contracts, decisions, lapse, movement, signals
from ltvlab_utils.value.pace import Months

if TYPE_CHECKING:
    from ltvlab_utils.value.wide import Wide

READS = (
    "customers", "order_lines", "contract_terms", "contract_changes", "support_costs", "receivables", "usage",
    "surveys", "contacts",
)  # fmt: skip
EXACT = "decimal(18, 8)"  # sums of doubles differ from run to run, sums of decimals do not


@dataclass(frozen=True)
class Facts:
    """What is known at as-of. `customers`: one row a customer, sorted by customer_id (columns as made by `gather`).
    `histories`: the histories contract. `contracts`: running contracts; `renewals`: decisions of all contracts;
    `moves` of contracts between renewals, None without contracts. `report`: counts. `decisions`: past renewal decisions
    as seen at several leads and the coming ones as seen today, with what was known of the customer (decisions.COLUMNS,
    signals.signals); `lapses`: past lapses of the last contract. `months`: orders by month.
    None where there are none.

    Of a large company a row of `customers` and `histories` stands for `weight` customers alike (value/wide.py);
    `attributes`: customer_id and the declared covariates, of the customers of `some_histories` at least.
    `fitted` and `spends` are the weighted rows that models are fitted on; `wide` has each customer."""

    as_of: date
    customers: pd.DataFrame
    histories: pd.DataFrame
    contracts: pd.DataFrame
    renewals: pd.DataFrame
    moves: movement.Moves | None
    has_support: bool
    has_changes: bool
    credit_loss_rate: float | None
    report: dict[str, float] = field(default_factory=dict)
    decisions: pd.DataFrame | None = None
    lapses: lapse.Lapses | None = None
    months: Months | None = None
    wide: Wide | None = None
    fitted: pd.DataFrame | None = None
    spends: pd.DataFrame | None = None
    attributes: pd.DataFrame | None = None

    @property
    def each_history(self) -> pd.DataFrame | ir.Table:
        """The histories contract, a row a customer: of a large company a table of the engine."""
        return self.histories if self.wide is None else self.wide.histories

    @property
    def some_histories(self) -> pd.DataFrame:
        """Histories of single customers: all, of a large company a sample."""
        return self.histories if self.wide is None else self.wide.sample

    def only(self, customer_ids) -> Facts:
        """The same facts of some customers."""
        ids = set(customer_ids)
        keep = lambda t: None if t is None else t[t["customer_id"].isin(ids)].reset_index(drop=True)  # noqa: E731
        return Facts(
            self.as_of, keep(self.customers), keep(self.histories), keep(self.contracts), keep(self.renewals),
            self.moves and self.moves.only(ids), self.has_support, self.has_changes, self.credit_loss_rate,
            self.report, keep(self.decisions), self.lapses and lapse.Lapses(keep(self.lapses.rows)), self.months,
            attributes=keep(self.attributes),
        )  # fmt: skip


def order_money(order_lines: ir.Table, as_of: date) -> ir.Table:
    """Per customer: revenue, cost and the revenue that has a cost, first date; and of the cost share of an order date
    its count, sum and sum of squares."""
    lines = order_lines.mutate(day=order_lines.ordered_at.date())
    lines = lines.filter(lines.status == "confirmed", lines.day <= ibis.literal(as_of))
    sums = lines.group_by("customer_id").aggregate(
        order_revenue=lambda t: t.net_amount.sum().cast("float64"),
        costed_revenue=lambda t: t.net_amount.sum(where=t.cost_amount.notnull()).cast("float64"),
        order_cost=lambda t: t.cost_amount.sum().cast("float64"),
        gross_amount=lambda t: t.net_amount.abs().sum().cast("float64"),
        gross_costed=lambda t: t.net_amount.abs().sum(where=t.cost_amount.notnull()).cast("float64"),
        first_order_line_on=lambda t: t.day.min(),
    )
    days = (
        lines.filter((lines.kind != "return") & lines.cost_amount.notnull())
        .group_by(["customer_id", "day"])
        .aggregate(amount=lambda t: t.net_amount.sum(), cost=lambda t: t.cost_amount.sum())
    )
    days = days.filter(days.amount > 0)
    share = (days.cost.cast("float64") / days.amount.cast("float64")).clip(-10, 10)
    days = days.select("customer_id", share=share.cast(EXACT), square=(share * share).cast(EXACT))
    spread = days.group_by("customer_id").aggregate(
        share_days=lambda t: t.count(),
        share_sum=lambda t: t.share.sum().cast("float64"),
        share_squares=lambda t: t.square.sum().cast("float64"),
    )
    return sums.left_join(spread, "customer_id").drop("customer_id_right")


def support(support_costs: ir.Table, as_of: date) -> ir.Table:
    """Per customer: support cost to date, and of the last 12 months with its number of entries."""
    year_ago = ibis.literal(add_months(as_of, -12))
    rows = support_costs.filter(support_costs.occurred_on <= ibis.literal(as_of))
    return rows.group_by("customer_id").aggregate(
        support_cost=lambda t: t.cost_amount.sum().cast("float64"),
        support_year=lambda t: t.cost_amount.sum(where=t.occurred_on > year_ago).cast("float64"),
        support_entries=lambda t: t.count(where=t.occurred_on > year_ago),
    )


def losses(receivables: ir.Table, as_of: date) -> ir.Table:
    """Per customer: amounts invoiced and written off."""
    rows = receivables.filter(receivables.invoiced_on <= ibis.literal(as_of))
    return rows.group_by("customer_id").aggregate(
        invoiced=lambda t: t.amount.sum().cast("float64"), written_off=lambda t: t.written_off.sum().cast("float64")
    )


def _losses(receivables: ir.Table, as_of: date) -> tuple[pd.DataFrame, float | None]:
    """Per customer: amount written off; and the share of invoiced amounts that was. Null when no write-off is kept."""
    by = losses(receivables, as_of).to_pandas().sort_values("customer_id")
    if by["written_off"].notna().sum() == 0 or by["invoiced"].sum() <= 0:
        return by.assign(written_off=np.nan), None
    return by, float(by["written_off"].sum() / by["invoiced"].sum())


def _empty(columns: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})


@dataclass(frozen=True)
class UnderContract:
    """What contracts say: `running`, `renewals`, `moves`, `looks` (Facts.decisions), `lapses` and `report` as in
    `Facts`; `money`: per customer the sums of contracts."""

    running: pd.DataFrame
    renewals: pd.DataFrame
    moves: movement.Moves | None = None
    looks: pd.DataFrame | None = None
    lapses: lapse.Lapses | None = None
    has_changes: bool = False
    money: pd.DataFrame | None = None
    report: dict[str, float] = field(default_factory=dict)


def under_contract(tables: Mapping[str, ir.Table], as_of: date, days: ir.Table | None) -> UnderContract:
    """All contracts, in frames whatever their number. `days`: purchase days at as-of, None without orders."""
    if "contract_terms" not in tables:
        none = _empty({"contract_id": "str", "customer_id": "str"})
        return UnderContract(none, none)
    terms = tables["contract_terms"].select([*contracts.TERM_COLUMNS, *contracts.MAY_LACK]).to_pandas()
    terms = contracts.known_at(terms, as_of)
    changes = tables["contract_changes"].to_pandas() if "contract_changes" in tables else None
    moved = changes if changes is not None else _empty(
        {"contract_id": "str", "changed_on": "datetime64[us]", "amount_before": "f8", "amount_after": "f8",
         "reason": "str"})  # fmt: skip
    terms = contracts.amounts(terms, moved, as_of)
    renewals = contracts.renewals_made(terms)
    running = contracts.running(terms, renewals, as_of)
    moves = movement.moves(terms, renewals, changes, as_of)
    looks = decisions.sightings(terms, running, as_of)
    looks = pd.concat([looks, signals.signals(tables, looks)], axis=1)
    lapses = lapse.lapses(days, terms, as_of) if days is not None else None
    costed = terms["cost"].notna()
    money = (
        terms.assign(costed=terms["revenue"].where(costed, 0.0), stop=terms["ends_on"])
        .groupby("customer_id", as_index=False)
        .agg(
            contract_revenue=("revenue", "sum"),
            contract_cost=("cost", "sum"),
            costed_contract_revenue=("costed", "sum"),
            contract_months=("months", "sum"),
            first_contract_on=("starts_on", "min"),
            last_contract_on=("stop", "max"),
        )
    )
    report = {
        "contracts": len(renewals),
        "left_truncated": int((renewals["renewals_at_entry"] > 0).sum()),
        "cancelled_early": int(renewals["early"].sum()),
        "overdue": int(running["overdue"].sum()),
    }
    return UnderContract(running, renewals, moves, looks, lapses, changes is not None, money, report)


def gather(tables: Mapping[str, ir.Table], settings, as_of: date, counted: bool = True) -> Facts:
    """The facts at as-of from staged tables by name (READS; all but order_lines or contract_terms may be absent);
    `counted` False leaves out the report of what the histories leave out.

    `customers` of the result: customer_id, model_segment, parent_id, acquisition_cost, order_revenue, costed_revenue,
    order_cost, gross_amount, gross_costed, first_order_line_on, share_days, share_sum, share_squares,
    contract_revenue, contract_cost, costed_contract_revenue, contract_months, first_contract_on, last_contract_on,
    support_cost, support_year, support_entries, written_off. Sums without rows are 0; null means unknown.
    """
    people, segment_by = tables.get("customers"), settings.models.segment_by
    frames, report, months = [], {}, None
    histories = hist.empty()
    orders, days = tables.get("order_lines"), None
    if orders is not None:
        days = hist.kept_days(orders, as_of)
        histories = hist.histories(orders, people, as_of, settings.models.time_unit, segment_by, days).to_pandas()
        histories = histories.sort_values("customer_id", ignore_index=True)
        if len(histories) and histories["revenue_total"].sum() < 0 and not (histories["revenue_total"] > 0).any():
            raise Refused(
                f"order_lines: none of {len(histories):,} customers has bought for more than it returned (in all "
                f"{histories['revenue_total'].sum():,.0f}). Look at the sign of net_amount, and at kind."
            )
        frames.append(order_money(orders, as_of).to_pandas())
        months = months_of(hist.orders_by_month(days).to_pandas(), histories, as_of, settings.models.time_unit)
        report |= hist.report(orders, as_of, days).to_pandas().iloc[0].to_dict() if counted else {}
    under = under_contract(tables, as_of, days)
    frames += [under.money] if under.money is not None else []
    report |= under.report
    rate = settings.credit_loss_rate
    if "support_costs" in tables:
        frames.append(support(tables["support_costs"], as_of).to_pandas())
    if "receivables" in tables:
        lost, observed = _losses(tables["receivables"], as_of)
        frames.append(lost.drop(columns="invoiced"))
        rate = observed if rate is None else rate
    customers = _customers(people, frames, segment_by)
    return Facts(
        as_of, customers, histories, under.running, under.renewals, under.moves, "support_costs" in tables,
        under.has_changes, rate, report, under.looks, under.lapses, months, attributes=attributes(people, settings),
    )  # fmt: skip


def attributes(people: ir.Table | None, settings, ids: pd.Series | None = None) -> pd.DataFrame | None:
    """customer_id and the declared covariates, of the customers `ids` or of all; None where none is declared."""
    if people is None or not settings.models.covariates:
        return None
    own = people if ids is None else people.semi_join(ibis.memtable(pd.DataFrame({"customer_id": ids})), "customer_id")
    return own.select("customer_id", *settings.models.covariates).to_pandas()


def months_of(by_month: pd.DataFrame, histories: pd.DataFrame, as_of: date, time_unit: str) -> Months | None:
    """Orders but each customer's first and last, by calendar month before as-of. `by_month`: month (first day), orders
    (histories.orders_by_month)."""
    if not len(by_month):
        return None
    last = histories.loc[histories["frequency"] > 0, "last_order_on"]
    ends = [month(days).value_counts() for days in (histories["first_order_on"], last)]
    return middle_orders(by_month, ends, as_of, time_unit)


def month(days: pd.Series) -> pd.Series:
    return pd.to_datetime(days).dt.to_period("M")


def middle_orders(by_month: pd.DataFrame, ends: list[pd.Series], as_of: date, time_unit: str) -> Months:
    """`months_of` from the number of first and of last orders by month (index: monthly periods)."""
    count = pd.Series(by_month["orders"].to_numpy(float), index=pd.PeriodIndex(month(by_month["month"])))
    for of_month in ends:
        count = count.sub(of_month, fill_value=0.0)
    periods = pd.period_range(count.index.min(), pd.Timestamp(as_of).to_period("M"), freq="M")[::-1]
    starts = (pd.Timestamp(as_of) - periods.start_time.normalize()).days.to_numpy(float) + 1
    back = np.concatenate([[0.0], starts]) / hist.DAYS_PER_UNIT[time_unit]
    if time_unit == "month":
        back = np.arange(len(back), dtype=float)
    return Months(back, periods.month.to_numpy() - 1, count.reindex(periods, fill_value=0.0).to_numpy().clip(min=0))


def orders_only(histories: pd.DataFrame, as_of: date, months: Months | None = None) -> Facts:
    """Facts of order histories alone, without money: what a look back at orders needs."""
    none = _empty({"contract_id": "str", "customer_id": "str"})
    people = histories[["customer_id", "model_segment"]].assign(parent_id=None)
    return Facts(as_of, people, histories, none, none, None, False, False, None, months=months)


SUMS = (
    "order_revenue", "costed_revenue", "order_cost", "gross_amount", "gross_costed", "share_days", "share_sum",
    "share_squares", "contract_revenue", "contract_cost", "costed_contract_revenue", "contract_months",
    "support_cost", "support_year", "support_entries",
)  # fmt: skip
DATES = ("first_order_line_on", "first_contract_on", "last_contract_on")


def _customers(people: ir.Table | None, frames: list[pd.DataFrame], segment_by: str) -> pd.DataFrame:
    """All customers that any table knows, with the sums of each frame."""
    ids = [f["customer_id"] for f in frames]
    base = _empty({"customer_id": "str", "parent_id": "str", "acquisition_cost": "f8"})
    if people is not None:
        base = people.select("customer_id", "parent_id", "acquisition_cost").to_pandas()
        ids.append(base["customer_id"])
    out = pd.DataFrame({"customer_id": sorted(set(pd.concat(ids)))}).astype("str").merge(base, how="left")
    split = hist.segments(people, segment_by)
    if split is None:
        out["model_segment"] = hist.ALL
    else:
        out = out.merge(split.to_pandas(), how="left", on="customer_id")
        out["model_segment"] = out["model_segment"].fillna(hist.UNKNOWN)
    for frame in frames:
        out = out.merge(frame, how="left", on="customer_id")
    out["acquisition_cost"] = pd.to_numeric(out["acquisition_cost"]).astype("float64")
    for column in SUMS:
        out[column] = pd.to_numeric(out[column]).astype("float64").fillna(0.0) if column in out else 0.0
    for column in DATES:
        out[column] = pd.to_datetime(out[column]).astype("datetime64[us]") if column in out else pd.NaT
    out["written_off"] = pd.to_numeric(out["written_off"]).astype("float64") if "written_off" in out else np.nan
    return out
