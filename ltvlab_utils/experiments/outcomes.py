"""What each assigned customer did in a campaign's window and in the year before: Ibis expressions over order lines.

Rules:
- The unit is the customer that was assigned, whether it was reached or not (intention to treat); contacts never are.
- The window is [starts_on, starts_on + window_days), by the company-local date of `ordered_at`; the pre-period is
  the 12 months before starts_on.
- `orders` is the number of purchase days, `any_order` 1 with at least one, `revenue` the amount of confirmed lines, net
  of returns, shipping and fees included; a return counts on the sale day that it reduces (see histories), so that a
  return after the window still reduces what the window brought. Unmatched returns do not count.
- `gross_profit` is amount less cost of sale and return lines. It is null for every customer of a campaign in which one
  such line of the window has no cost: a missing cost is never zero.
- A customer with no order has 0, not nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.histories import matched_returns, purchase_days

INPUTS = ("campaigns", "assignments", "touches", "order_lines")
METRICS = ("orders", "revenue", "gross_profit", "any_order")
MONEY = ("revenue", "gross_profit")
SYNONYMS = {
    "orders": "orders purchase_days purchase_count order_count order_days frequency",
    "revenue": "revenue net_revenue sales net_amount order_revenue amount",
    "gross_profit": "gross_profit profit margin gross_margin contribution",
    "any_order": "any_order any_purchase response response_rate conversion converted ordered order_rate reactivated",
}
METRIC_OF = {word: metric for metric, words in SYNONYMS.items() for word in words.split()}
DAYS_PER_MONTH = 365.25 / 12  # tenure as a covariate only; calendar months everywhere else
PRE_MONTHS = 12

CAMPAIGN_COLUMNS = [
    *("campaign_id", "name", "action", "starts_on", "ends_on", "window_days", "window_ends_on"),
    *("cost_amount", "primary_metric", "design"),
]
MEMBER_COLUMNS = ["campaign_id", "customer_id", "arm", "assigned_at", "block", "cluster", "treated_on"]
COVARIATES = ("pre_orders", "pre_revenue", "pre_gross_profit", "pre_any_order", "tenure_months")


@dataclass(frozen=True)
class CampaignOutcomes:
    """Frames of one company: `campaigns` (one row each, with primary = the metric of METRICS or ""), `customers` (one
    row a campaign and customer: arm, block, cluster, METRICS, COVARIATES), `months` (staggered campaigns: one row a
    campaign, customer and month with an order; month = year x 12 + month - 1)."""

    campaigns: pd.DataFrame
    customers: pd.DataFrame
    months: pd.DataFrame
    as_of: date
    strangers: int  # assigned customers of campaigns that the table campaigns does not know

    def of(self, campaign_id: str) -> pd.DataFrame:
        return self.customers[self.customers["campaign_id"] == campaign_id].reset_index(drop=True)


def campaign_outcomes(tables: Mapping[str, ir.Table], as_of: date) -> CampaignOutcomes:
    """Outcomes and pre-period covariates of all campaigns, from the staged tables of INPUTS that are there.

    Without `campaigns` all frames are empty; without `order_lines` outcomes are null. A campaign without assignments
    takes the customers of its touches as treated. Raises Refused where a customer stands in two arms.
    """
    campaigns = _campaigns(tables.get("campaigns"), as_of)
    members = _members(tables.get("assignments"), tables.get("touches"), campaigns)
    strangers = int((~members["campaign_id"].isin(campaigns["campaign_id"])).sum())
    members = members[members["campaign_id"].isin(campaigns["campaign_id"])].reset_index(drop=True)
    lines = tables.get("order_lines")
    if members.empty or lines is None:
        nothing = members.assign(**dict.fromkeys((*METRICS, *COVARIATES), np.nan))
        return CampaignOutcomes(campaigns, nothing, pd.DataFrame(), as_of, strangers)
    daily = daily_outcomes(lines, as_of)
    customers = members.merge(_sums(daily, members, campaigns), on=["campaign_id", "customer_id"], how="left")
    start = customers["campaign_id"].map(campaigns.set_index("campaign_id")["starts_on"])
    tenure = ((start - customers.pop("first_order_on")).dt.days / DAYS_PER_MONTH).clip(lower=0).fillna(0.0)
    filled = customers.columns.difference(MEMBER_COLUMNS)
    customers[filled] = customers[filled].astype(float).fillna(0.0)
    customers["tenure_months"] = tenure
    for prefix in ("", "pre_"):
        customers[f"{prefix}any_order"] = (customers[f"{prefix}orders"] > 0).astype(float)
        unknown = customers.groupby("campaign_id")[f"{prefix}no_cost"].transform("sum") > 0
        customers[f"{prefix}gross_profit"] = customers[f"{prefix}gross_profit"].mask(unknown)
    customers = customers[[*MEMBER_COLUMNS, *METRICS, *COVARIATES]]
    return CampaignOutcomes(campaigns, customers, _months(daily, members, campaigns), as_of, strangers)


def daily_outcomes(order_lines: ir.Table, as_of: date) -> ir.Table:
    """One row a customer and day: orders (1 where the day counts as a purchase day), revenue, gross_profit, no_cost
    (sale and return lines whose cost is unknown)."""
    day = order_lines.ordered_at.date()
    lines = order_lines.filter(order_lines.status == "confirmed", day <= ibis.literal(as_of))
    kept = ["customer_id", "kind", "net_amount", "cost_amount"]
    own = lines.filter(lines.kind != "return").select(*kept, day=lambda t: t.ordered_at.date())
    sale_day = matched_returns(order_lines, as_of).select("order_id", "line_no", "day")
    back = lines.filter(lines.kind == "return").inner_join(sale_day, ["order_id", "line_no"])
    back = back.filter(back.day.notnull()).select(*kept, "day")
    goods = ["sale", "return"]
    amounts = (
        own.union(back)
        .group_by(["customer_id", "day"])
        .aggregate(
            revenue=lambda t: t.net_amount.sum(),
            goods=lambda t: t.net_amount.sum(where=t.kind.isin(goods)),
            cost=lambda t: t.cost_amount.sum(where=t.kind.isin(goods)),
            no_cost=lambda t: (t.kind.isin(goods) & t.cost_amount.isnull()).ifelse(1, 0).sum(),
        )
    )
    days = purchase_days(order_lines, as_of)
    days = days.filter(days.counts).select("customer_id", "day", orders=ibis.literal(1))
    both = amounts.left_join(days, ["customer_id", "day"])
    return both.select(
        "customer_id",
        "day",
        "revenue",
        "no_cost",
        orders=both.orders.fill_null(0),
        gross_profit=both.goods.fill_null(0) - both.cost.fill_null(0),
    )


def _campaigns(table: ir.Table | None, as_of: date) -> pd.DataFrame:
    if table is None:
        return pd.DataFrame(columns=[*CAMPAIGN_COLUMNS, "primary", "finished"])
    frame = table.select([c for c in CAMPAIGN_COLUMNS if c != "window_ends_on"]).to_pandas()
    frame = frame.sort_values("campaign_id", ignore_index=True)
    frame[["starts_on", "ends_on"]] = frame[["starts_on", "ends_on"]].apply(pd.to_datetime)
    frame["cost_amount"] = frame["cost_amount"].astype(float)
    frame["window_ends_on"] = frame["starts_on"] + pd.to_timedelta(frame["window_days"] - 1, unit="D")
    word = frame["primary_metric"].str.strip().str.lower().str.replace(r"[\s-]+", "_", regex=True)
    frame["primary"] = word.map(METRIC_OF).fillna("")
    frame["finished"] = frame["window_ends_on"] <= pd.Timestamp(as_of)
    return frame[[*CAMPAIGN_COLUMNS, "primary", "finished"]]


def _members(assignments: ir.Table | None, touches: ir.Table | None, campaigns: pd.DataFrame) -> pd.DataFrame:
    """One row a campaign and customer, sorted."""
    empty = pd.DataFrame({c: pd.Series(dtype=object) for c in MEMBER_COLUMNS})
    parts = []
    if assignments is not None:
        renamed = assignments.select(*MEMBER_COLUMNS[:-1], treated_on="starts_on")
        parts.append(renamed.to_pandas())
    assigned = set(parts[0]["campaign_id"]) if parts else set()
    if touches is not None and set(campaigns["campaign_id"]) - assigned:
        touched = touches.select("campaign_id", "customer_id").distinct().to_pandas()
        touched = touched[~touched["campaign_id"].isin(assigned)]
        parts.append(touched.assign(arm="treatment").reindex(columns=MEMBER_COLUMNS))
    parts = [p for p in parts if len(p)]
    members = pd.concat(parts, ignore_index=True) if parts else empty
    members = members.sort_values(["campaign_id", "customer_id", "arm"], ignore_index=True)
    double = members.duplicated(["campaign_id", "customer_id"])
    if double.any():
        row = members[double].iloc[0]
        raise Refused(
            f'Table "assignments": {int(double.sum()):,} customers stand twice in a campaign, for example customer_id='
            f"{row['customer_id']} in campaign_id={row['campaign_id']}. A customer has one arm of a campaign: keep the "
            "arm that was drawn, whatever was sent later."
        )
    for column in ("assigned_at", "treated_on"):
        members[column] = pd.to_datetime(members[column])
    return members


def _spans(campaigns: pd.DataFrame) -> ir.Table:
    start = campaigns["starts_on"]
    spans = ibis.memtable(
        pd.DataFrame(
            {
                "campaign_id": campaigns["campaign_id"].astype("str"),
                "pre_from": start - pd.DateOffset(months=PRE_MONTHS),
                "window_from": start,
                "window_to": campaigns["window_ends_on"],
            }
        )
    )
    return spans.mutate(**{c: spans[c].date() for c in ("pre_from", "window_from", "window_to")})


def _sums(daily: ir.Table, members: pd.DataFrame, campaigns: pd.DataFrame) -> pd.DataFrame:
    """Outcome and pre-period sums of each campaign and customer; customers without any order are absent."""
    keys = ibis.memtable(members[["campaign_id", "customer_id"]].astype("str"))
    joined = keys.inner_join(_spans(campaigns), "campaign_id").inner_join(daily, "customer_id")
    columns = ("orders", "revenue", "gross_profit", "no_cost")
    inside = {c: (lambda t, c=c: t[c].sum(where=(t.day >= t.window_from) & (t.day <= t.window_to))) for c in columns}
    before = {
        f"pre_{c}": (lambda t, c=c: t[c].sum(where=(t.day >= t.pre_from) & (t.day < t.window_from))) for c in columns
    }
    first = {"first_order_on": lambda t: t.day.min(where=t.orders > 0)}
    frame = joined.group_by(["campaign_id", "customer_id"]).aggregate(**inside, **before, **first).to_pandas()
    frame["first_order_on"] = pd.to_datetime(frame["first_order_on"])
    return frame


def _months(daily: ir.Table, members: pd.DataFrame, campaigns: pd.DataFrame) -> pd.DataFrame:
    """Sums by month of the customers of staggered campaigns."""
    staggered = campaigns.loc[campaigns["design"] == "staggered", "campaign_id"]
    wanted = members.loc[members["campaign_id"].isin(staggered), ["campaign_id", "customer_id"]]
    if wanted.empty:
        return pd.DataFrame(
            columns=["campaign_id", "customer_id", "month", "orders", "revenue", "gross_profit", "no_cost"]
        )
    joined = ibis.memtable(wanted.astype("str")).inner_join(daily, "customer_id")
    joined = joined.mutate(month=joined.day.year() * 12 + joined.day.month() - 1)
    sums = {c: (lambda t, c=c: t[c].sum().cast("float64")) for c in ("orders", "revenue", "gross_profit", "no_cost")}
    frame = joined.group_by(["campaign_id", "customer_id", "month"]).aggregate(**sums).to_pandas()
    return frame.sort_values(["campaign_id", "customer_id", "month"], ignore_index=True)
