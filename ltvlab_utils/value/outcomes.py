"""What customers did between two dates (floor 2): what forecasts are held against, and what naive ones rest on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.value import contracts
from ltvlab_utils.value.facts import Facts


def outcomes(tables: Mapping[str, ir.Table], start: date, end: date, known: date) -> pd.DataFrame:
    """One row a customer with anything in (start, end], as the tables tell it at `known`: customer_id, purchase_days,
    order_revenue (net amount of confirmed lines), contract_revenue (as delivered)."""
    frames = []
    if "order_lines" in tables:
        days = hist.purchase_days(tables["order_lines"], known)
        days = days.filter(days.counts, days.day > ibis.literal(start), days.day <= ibis.literal(end))
        lines = tables["order_lines"].mutate(day=tables["order_lines"].ordered_at.date())
        lines = lines.filter(
            lines.status == "confirmed", lines.day > ibis.literal(start), lines.day <= ibis.literal(end)
        )
        count = days.group_by("customer_id").aggregate(purchase_days=lambda t: t.count())
        money = lines.group_by("customer_id").aggregate(order_revenue=lambda t: t.net_amount.sum().cast("float64"))
        frames.append(money.left_join(count, "customer_id").drop("customer_id_right").to_pandas())
    if "contract_terms" in tables:
        frames.append(_contract_revenue(tables, start, end, known))
    out = pd.DataFrame({"customer_id": pd.Series([], dtype="str")})
    for frame in frames:
        out = out.merge(frame.astype({"customer_id": "str"}), how="outer", on="customer_id")
    columns = ["purchase_days", "order_revenue", "contract_revenue"]
    out = out.reindex(columns=["customer_id", *columns])
    out[columns] = out[columns].astype("float64").fillna(0.0)
    return out.sort_values("customer_id", ignore_index=True)


def year_seen(facts: Facts) -> float:
    """Months of the last 12 that the data cover, at least 1: what a level of the last 12 months is divided by."""
    first = facts.customers["first_order_line_on"].min()
    first = facts.customers["first_contract_on"].min() if pd.isna(first) else first
    as_of = pd.Timestamp(facts.as_of)
    months = (as_of.year - first.year) * 12 + as_of.month - first.month + (as_of.day - first.day + 1) / 30.4
    return float(min(max(months, 1.0), 12.0))


def _contract_revenue(tables: Mapping[str, ir.Table], start: date, end: date, known: date) -> pd.DataFrame:
    """customer_id, contract_revenue: what was delivered to `end` less what was delivered to `start`."""
    terms = contracts.known_at(tables["contract_terms"].select(contracts.TERM_COLUMNS).to_pandas(), known)
    changes = (
        tables["contract_changes"].to_pandas()
        if "contract_changes" in tables
        else pd.DataFrame(columns=["contract_id", "changed_on", "amount_before", "amount_after", "reason"])
    )
    to = {day: contracts.amounts(terms, changes, day)["revenue"].where(terms["starts_on"] <= pd.Timestamp(day), 0.0)
          for day in (start, end)}  # fmt: skip
    found = terms[["customer_id"]].assign(contract_revenue=to[end].to_numpy() - to[start].to_numpy())
    return found.groupby("customer_id", as_index=False)["contract_revenue"].sum()
