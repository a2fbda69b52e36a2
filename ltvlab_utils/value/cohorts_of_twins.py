"""What acquisition brought, of a company of twins (floor 2): `cohorts` with the customers in the engine.

A twin stands for customers of several channels and years; each counts by its own expected spend over that of the twin
and its own discount to the day it was won. The end of its horizon is the mean of its twin's customers (their ages
differ by a few percent), and order lines without an own cost take the twin's cost share.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.periods import DAYS_PER_YEAR, add_months
from ltvlab_utils.value.at_scale import Company
from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.cohorts import UNKNOWN, Cohorts, cohort_table, past_by, past_contracts
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.wide import forget, stored

GROUP = ["acquisition_channel", "cohort"]
KEYS = [*GROUP, "twin"]
EXACT = "decimal(38, 8)"


def watch_cohorts(tables: Mapping[str, ir.Table], facts: Facts, settings) -> Cohorts:
    """The watcher that makes cohort_ltv, of a small company or a large one."""
    return Cohorts(tables, facts, settings) if facts.wide is None else CohortsOfTwins(tables, facts, settings)


class CohortsOfTwins(Cohorts):
    """As `Cohorts`; `begin` is called by `evaluate` before the simulation."""

    def __init__(self, tables: Mapping[str, ir.Table], facts: Facts, settings):
        self._tables, self._facts, self.left_out = tables, facts, 0
        self._horizon = Horizon.after(
            facts.as_of, settings.horizon_months, settings.discount_rate_annual, settings.fiscal_year_start_month
        )

    def begin(self, company: Company) -> None:
        """Reads the customers: their groups, and what they have brought to date."""
        self._rates, wide = company.rates, self._facts.wide
        who = self._who(company)
        self.left_out = int(who.aggregate(n=(~who.known).sum()).to_pandas()["n"].fillna(0).iloc[0])
        who = stored(who.filter(who.known), wide.customers.get_backend())
        self._members = who.group_by(KEYS).aggregate(
            customers=who.count(),
            factor=who.factor.cast(EXACT).sum().cast("float64"),
            left=who.left.sum(),
            cost=who.acquisition_cost.cast(EXACT).sum().cast("float64"),
            with_cost=who.acquisition_cost.count(),
        )
        self._members = self._members.to_pandas().sort_values(["twin", *GROUP], ignore_index=True)
        keys = pd.MultiIndex.from_frame(self._members[KEYS])
        terms = None
        if "contract_terms" in self._tables:
            spine = who.filter(who.under).select("customer_id", "started_on", "until", *KEYS).to_pandas()
            for day in ("started_on", "until"):
                spine[day] = pd.to_datetime(spine[day])
            terms = past_contracts(self._tables, spine[["customer_id", "started_on", "until"]], self._horizon.delta,
                                   self._facts.as_of)  # fmt: skip
            terms = spine.merge(terms.reset_index(), on="customer_id").set_index(KEYS)[list(terms.columns)]
        off = wide.customers.aggregate(n=wide.customers.written_off.count()).to_pandas()["n"].iloc[0] > 0
        place = self._members["twin"].to_numpy()
        spine = who.select("customer_id", "started_on", "until", *KEYS)
        self._members["past"] = past_by(
            self._tables, self._rates, place, spine, terms, bool(off), keys, KEYS, self._horizon.delta,
            self._facts.as_of,
        )  # fmt: skip
        forget(who)
        groups = self._members.groupby(GROUP, sort=True)
        self._members["group"] = groups.ngroup()
        n = len(self._facts.customers)
        of = lambda column: np.bincount(place, self._members[column], n)  # noqa: E731
        self._days = np.divide(of("left"), of("customers"), out=np.zeros(n), where=of("customers") > 0)
        self._first = np.searchsorted(place, np.arange(n + 1))
        self._future = None

    def _who(self, company: Company) -> ir.Table:
        """Customers that ever bought or had a contract: customer_id, twin, groups, started_on, until, known, under (had
        a contract), acquisition_cost, factor (own over the twin's spend, discounted to the start), left (days of the
        horizon after as-of)."""
        facts, horizon = self._facts, self._horizon
        c, h = facts.wide.customers, facts.wide.numbered
        orders, contracts = (c[d].cast("date") for d in ("first_order_line_on", "first_contract_on"))
        either = ibis.coalesce(orders, contracts)
        begun = ibis.least(either, ibis.coalesce(contracts, either))
        c = c.mutate(started_on=begun, under=contracts.notnull())
        c = c.filter(c.started_on.notnull())
        known = ibis.literal(True)
        first = facts.customers["first_order_line_on"].min()
        if pd.notna(first):
            known = c.started_on >= ibis.literal(add_months(first.date(), hist.START_UNKNOWN_MONTHS))
        if len(facts.renewals):
            older = facts.renewals.loc[facts.renewals["renewals_at_entry"] > 0, "customer_id"]
            known &= ~c.customer_id.isin(sorted(set(older))) if len(older) else ibis.literal(True)
        c = c.mutate(known=known)
        spent = pd.DataFrame(
            [(s, *params) for s, params in company.spends.items()], columns=["model_segment", "p", "q", "v"]
        )
        h = h.select("row", x=(h.monetary_value > 0).ifelse(h.frequency, 0), z=ibis.greatest(h.monetary_value, 0.0))
        c = c.left_join(h, "row").drop("row_right")
        c = c.left_join(ibis.memtable(spent.astype({"model_segment": "str"})), "model_segment")
        spend = (c.p * (c.v + c.x * c.z) / (c.p * c.x + c.q - 1)).fill_null(1.0)
        twins = ibis.memtable(pd.DataFrame({"twin": np.arange(len(company.spend)), "of_twin": company.spend}))
        c = c.mutate(spend=spend).inner_join(twins, "twin")
        age = ibis.literal(facts.as_of).delta(c.started_on, unit="day")
        until = (c.started_on + ibis.interval(months=horizon.months)).cast("date")
        left = until.delta(ibis.literal(facts.as_of), unit="day") - 1
        c = c.mutate(
            until=until,
            cohort=c.started_on.year().cast("string"),
            factor=c.spend / c.of_twin * (age.cast("float64") * (-horizon.delta / DAYS_PER_YEAR)).exp(),
            left=left.clip(0, int(horizon.days)),
        )
        channel = ibis.literal(UNKNOWN)
        if "customers" in self._tables:
            people = self._tables["customers"]
            c = c.left_join(people.select("customer_id", channel=people.acquisition_channel), "customer_id")
            channel = c.channel.fill_null(UNKNOWN)
        return c.select(
            "customer_id", "twin", "cohort", "started_on", "until", "known", "under", "acquisition_cost", "factor",
            "left", acquisition_channel=channel,
        )  # fmt: skip

    def __call__(self, segment: str, rows: np.ndarray, parts: dict) -> None:
        groups = int(self._members["group"].max() + 1) if len(self._members) else 0
        if self._future is None:
            self._future = np.zeros((groups, parts["future_value"].shape[1]))
        low, high = self._first[rows[0]], self._first[rows[-1] + 1]  # twins of a segment stand together
        if low == high:
            return
        members = self._members.iloc[low:high]
        weights = np.zeros((groups, len(rows)))
        weights[members["group"], members["twin"] - rows[0]] = members["factor"]
        self._future += weights @ self._within(self._days[rows], parts)

    @property
    def table(self) -> pd.DataFrame:
        """The cohort_ltv contract."""
        members = self._members
        sums = members.groupby(GROUP)[["customers", "past", "cost", "with_cost"]].sum().reset_index()
        return cohort_table(sums, self._future, sums["cost"] / sums["with_cost"], sums["with_cost"])
