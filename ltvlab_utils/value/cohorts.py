"""What acquisition brought: value by channel and cohort over a fixed horizon from the day of acquisition (floor 2).

Customers of 60 and of 12 months cannot be compared by what they have brought to date. So each customer counts from its
first purchase or contract over the same `horizon_months`, discounted to that day, before acquisition cost, the dead
ones included: what has happened as it did, what is still to come by the draws of the values, cut at the customer's own
end of the horizon. Customers whose start is unknown are left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.periods import DAYS_PER_YEAR, add_months
from ltvlab_utils.tables import contract_of
from ltvlab_utils.value import contracts
from ltvlab_utils.value.calendar import Horizon, at
from ltvlab_utils.value.costs import COVERAGE, Rates, rates
from ltvlab_utils.value.facts import Facts

EXACT = "decimal(38, 8)"
UNKNOWN = "unknown"


def starts(facts: Facts, horizon_months: int) -> pd.DataFrame:
    """One row a customer that ever bought or had a contract: customer_id, started_on, until (the day after its
    horizon), known (bool: False where the first order lies in the first 12 months of the order data, or a contract
    began before the data do)."""
    c = facts.customers
    begun = c[["first_order_line_on", "first_contract_on"]].min(axis=1)
    out = pd.DataFrame({"customer_id": c["customer_id"], "started_on": begun}).dropna(subset="started_on")
    known = pd.Series(True, out.index)
    first = c["first_order_line_on"].min()
    if pd.notna(first):
        known &= out["started_on"] >= pd.Timestamp(add_months(first.date(), hist.START_UNKNOWN_MONTHS))
    if len(facts.renewals):
        older = facts.renewals.loc[facts.renewals["renewals_at_entry"] > 0, "customer_id"]
        known &= ~out["customer_id"].isin(set(older))
    until = out["started_on"] + pd.DateOffset(months=horizon_months)
    return out.assign(until=until, known=known).reset_index(drop=True)


def discounted(
    table: ir.Table, day: ir.Value, who: ir.Table, delta: float, as_of: date, by: str | list[str] = "customer_id",
    **amounts,
) -> pd.DataFrame:  # fmt: skip
    """Sums by customer (or by other columns of `who`) of `amounts` (name -> column) from the start to the end of its
    horizon, discounted to the start."""
    rows = table.select("customer_id", day=day.cast("date"), **amounts).inner_join(who, "customer_id")
    rows = rows.filter(rows.day <= ibis.literal(as_of), rows.day >= rows.started_on, rows.day < rows.until)
    factor = (rows.day.delta(rows.started_on, unit="day").cast("float64") * (-delta / DAYS_PER_YEAR)).exp()
    rows = rows.mutate(**{n: (rows[n].cast("float64") * factor).cast(EXACT) for n in amounts})
    sums = rows.group_by(by).aggregate(**{n: rows[n].sum().cast("float64") for n in amounts})
    return sums.to_pandas().set_index(by)


def past_contracts(tables: Mapping[str, ir.Table], who: pd.DataFrame, delta: float, as_of: date) -> pd.DataFrame:
    """Revenue and cost (of what has one) of contracts to date by customer, each term spread evenly over its days:
    revenue, cost, uncosted."""
    terms = contracts.known_at(tables["contract_terms"].select(contracts.TERM_COLUMNS).to_pandas(), as_of)
    changes = tables.get("contract_changes")
    columns = ["contract_id", "changed_on", "amount_before", "amount_after", "reason"]
    changes = changes.to_pandas() if changes is not None else pd.DataFrame(columns=columns)
    terms = contracts.amounts(terms, changes, as_of).merge(who, on="customer_id")
    stop = contracts.stop_of(terms).clip(upper=pd.Timestamp(as_of)) + pd.Timedelta(days=1)
    years = lambda day: (day - terms["started_on"]).dt.days.to_numpy() / DAYS_PER_YEAR  # noqa: E731
    begin, end, last = years(terms["starts_on"]), years(stop), years(terms["until"])
    span = np.maximum(end - begin, 1e-9)
    cut = np.clip(last, begin, end)
    share = (np.exp(-delta * begin) - np.exp(-delta * cut)) / delta / span if delta > 0 else (cut - begin) / span
    revenue = terms["revenue"] * share
    found = pd.DataFrame({
        "customer_id": terms["customer_id"], "revenue": revenue, "cost": (terms["cost"] * share).fillna(0.0),
        "uncosted": revenue.where(terms["cost"].isna(), 0.0),
    })  # fmt: skip
    return found.groupby("customer_id")[["revenue", "cost", "uncosted"]].sum()


def past(tables: Mapping[str, ir.Table], facts: Facts, found: Rates, who: pd.DataFrame, delta: float) -> np.ndarray:
    """Value to date of the customers of `who` within their horizon, discounted to the start, on the value basis; lines
    and terms without an own cost take the customer's or segment's cost share, as in realised_profit."""
    ids = who["customer_id"]
    place = pd.Series(np.arange(len(facts.customers)), facts.customers["customer_id"])[ids].to_numpy()
    spine = who[["customer_id", "started_on", "until"]]
    engine = ibis.memtable(spine.assign(started_on=spine["started_on"].dt.date, until=spine["until"].dt.date))
    engine = engine.mutate(started_on=engine.started_on.cast("date"), until=engine.until.cast("date"))
    terms = past_contracts(tables, spine, delta, facts.as_of) if "contract_terms" in tables else None
    off = bool(np.isfinite(facts.customers["written_off"]).any())
    return past_by(tables, found, place, engine, terms, off, ids, "customer_id", delta, facts.as_of)


def past_by(
    tables: Mapping[str, ir.Table], found: Rates, place: np.ndarray, engine: ir.Table, terms: pd.DataFrame | None,
    off: bool, index: pd.Index | pd.Series, by: str | list[str], delta: float, as_of: date,
) -> np.ndarray:  # fmt: skip
    """`past` summed `by` columns of `engine` (customer_id, started_on, until and those columns), in the order of
    `index`; `place` of each row of `index` in `found`; `terms`: `past_contracts` by the same columns; `off`: write-offs
    are kept."""
    of = lambda frame, column: frame[column].reindex(index).fillna(0.0).to_numpy(dtype=float)  # noqa: E731
    sums_of = partial(discounted, who=engine, delta=delta, as_of=as_of, by=by)
    revenue, cost = np.zeros(len(index)), np.zeros(len(index))
    days = np.zeros(len(index))
    lines = tables.get("order_lines")
    if lines is not None:
        lines = lines.filter(lines.status == "confirmed")
        uncosted = ibis.ifelse(lines.cost_amount.isnull(), lines.net_amount, 0)
        sums = sums_of(lines, lines.ordered_at, net=lines.net_amount, cost=lines.cost_amount, rest=uncosted)
        revenue += of(sums, "net")
        cost += of(sums, "cost") + of(sums, "rest") * np.nan_to_num(found.cost_share[place])
        bought = hist.purchase_days(lines, as_of)
        bought = bought.filter(bought.counts)
        days = of(sums_of(bought, bought.day, n=ibis.literal(1)), "n")
    if terms is not None:
        revenue += of(terms, "revenue")
        cost += of(terms, "cost") + of(terms, "uncosted") * np.nan_to_num(found.contract_share[place])
    if found.value_basis == "revenue":
        return revenue
    if found.value_basis == "gross_profit":
        return revenue - cost
    value = revenue - cost - np.nan_to_num(found.servicing_cost) * days
    support = tables["support_costs"]
    value -= of(sums_of(support, support.occurred_on, c=support.cost_amount), "c")
    if off:
        bills = tables["receivables"]
        return value - of(sums_of(bills, bills.invoiced_on, w=bills.written_off), "w")
    return value - np.nan_to_num(found.credit_loss_rate) * revenue


class Cohorts:
    """Watches `simulate` (as `watch` of `evaluate`) and makes `table`, the cohort_ltv contract. `left_out`: customers
    whose start is unknown."""

    def __init__(self, tables: Mapping[str, ir.Table], facts: Facts, settings):
        self._facts, self._rates = facts, rates(facts, settings)
        self._horizon = Horizon.after(
            facts.as_of, settings.horizon_months, settings.discount_rate_annual, settings.fiscal_year_start_month
        )
        who = starts(facts, settings.horizon_months)
        self.left_out = int((~who["known"]).sum())
        who = who[who["known"]].reset_index(drop=True)
        who["acquisition_channel"] = UNKNOWN
        if "customers" in tables:
            people = tables["customers"].select("customer_id", "acquisition_channel").to_pandas()
            own = who["customer_id"].map(people.set_index("customer_id")["acquisition_channel"])
            who["acquisition_channel"] = own.fillna(UNKNOWN).astype("str")
        who["cohort"] = who["started_on"].dt.year.astype("str")
        who["past"] = past(tables, facts, self._rates, who, self._horizon.delta) if len(who) else 0.0
        who["age_days"] = (pd.Timestamp(facts.as_of) - who["started_on"]).dt.days
        groups = who.groupby(["acquisition_channel", "cohort"], sort=True)
        who["group"] = groups.ngroup()
        self._who, self._groups = who, groups
        self._future: np.ndarray | None = None
        position = pd.Series(np.arange(len(facts.customers)), facts.customers["customer_id"])
        self._row = np.full(len(facts.customers), -1)
        self._row[position[who["customer_id"]].to_numpy()] = np.arange(len(who))

    def __call__(self, segment: str, rows: np.ndarray, parts: dict) -> None:
        draws = parts["future_value"].shape[1]
        if self._future is None:
            self._future = np.zeros((self._groups.ngroups, draws))
        mine = self._row[rows]
        inside = np.flatnonzero(mine >= 0)
        if not len(inside):
            return
        who = self._who.iloc[mine[inside]]
        days = np.full(len(rows), -1.0)
        left = (who["until"] - pd.Timestamp(self._facts.as_of)).dt.days.to_numpy() - 1
        days[inside] = np.clip(left, 0, self._horizon.days)
        value = self._within(days, parts)[inside]
        value = value * np.exp(-self._horizon.delta / DAYS_PER_YEAR * who["age_days"].to_numpy())[:, None]
        np.add.at(self._future, who["group"].to_numpy(), value)

    def _within(self, days: np.ndarray, parts: dict) -> np.ndarray:
        """(rows, draws) value until `days` after as-of of each row, discounted to as-of."""
        horizon, r = self._horizon, self._rates
        shape = parts["future_value"].shape
        net = r.value_basis == "net_profit"
        loss = float(np.nan_to_num(r.credit_loss_rate)) if net else 0.0
        value = np.zeros(shape)
        if (each := parts["each_order"]) is not None:
            cell, day = each["cell"], each["day"]
            amount = each["amount"] * (1 - loss)
            if "cost_share" in parts:
                amount = amount - each["amount"] * parts["cost_share"].ravel()[cell]
            amount = amount - (np.nan_to_num(r.servicing_cost) if net else 0.0)
            amount = amount * horizon.discount(day) * (day <= days[cell // shape[1]])
            value += np.bincount(cell, amount, value.size).reshape(shape)
        months = horizon.months_of(np.maximum(days, 0.0))
        if (each := parts["each_contract"]) is not None:
            table = horizon.annuity()
            for s in each:
                cell = s["cell"]
                limit = months[cell // shape[1]]
                held = at(table, np.minimum(s["end"], limit)) - at(table, np.minimum(s["begin"], limit))
                unit = s["amount"] * (1 - loss - (s["share"] if "cost_share" in parts else 0.0))
                value += np.bincount(cell, unit * held, value.size).reshape(shape)
        if "support_a_month" in parts:
            alive = np.minimum(parts["months_alive"], months[:, None])
            value -= parts["support_a_month"] * at(horizon.annuity(), alive)
        return value

    @property
    def table(self) -> pd.DataFrame:
        """The cohort_ltv contract: means a customer; low and high from totals of draws."""
        if not len(self._who):
            return pd.DataFrame(columns=contract_of("cohort_ltv").names)
        out = self._groups.agg(customers=("customer_id", "size"), past=("past", "sum")).reset_index()
        costs = self._facts.customers.set_index("customer_id")["acquisition_cost"]
        cost = self._who["customer_id"].map(costs).groupby(self._who["group"])
        return cohort_table(out, self._future, cost.mean(), cost.count())


def cohort_table(sums: pd.DataFrame, future: np.ndarray | None, cost: pd.Series, known: pd.Series) -> pd.DataFrame:
    """cohort_ltv from acquisition_channel, cohort, customers and past by group (`sums`), draws of the future (groups,
    draws), mean acquisition cost and the number of customers with one."""
    future = np.zeros((len(sums), 1)) if future is None else future
    customers = sums["customers"].to_numpy()
    mean = (sums["past"].to_numpy()[:, None] + future) / customers[:, None]
    low, high = np.quantile(mean, [0.10, 0.90], axis=1)
    cac = cost.where((known >= COVERAGE * customers).to_numpy()).to_numpy()
    out = sums.assign(value=mean.mean(axis=1), low=low, high=high, acquisition_cost=cac)
    return out[contract_of("cohort_ltv").names]
