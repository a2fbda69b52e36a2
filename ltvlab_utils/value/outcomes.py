"""What customers did between two dates (floor 2): what forecasts are held against, and what naive ones rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import ibis
import ibis.expr.types as ir
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.value import contracts
from ltvlab_utils.value.facts import Facts

Window = tuple[date, date]  # what lies after the first day, up to and with the second


def outcomes(
    tables: Mapping[str, ir.Table], windows: Sequence[Window], known: date, netted: bool = True
) -> list[pd.DataFrame]:
    """For each window a row a customer with anything in it, as the tables tell it at `known`: customer_id,
    purchase_days (by the rules of histories; `netted` False: days with a sale, whatever came back), order_revenue (net
    amount of confirmed lines), contract_revenue (as delivered)."""
    names = ["purchase_days", "order_revenue", "contract_revenue"]
    found = [pd.DataFrame({"customer_id": pd.Series([], dtype="str")}) for _ in windows]
    for each in (_order_outcomes, contract_outcomes):
        for place, frame in enumerate(each(tables, windows, known, netted)):
            found[place] = found[place].merge(frame.astype({"customer_id": "str"}), how="outer", on="customer_id")
    out = []
    for frame in found:
        frame = frame.reindex(columns=["customer_id", *names])
        frame[names] = frame[names].astype("float64").fillna(0.0)
        out.append(frame[(frame[names] != 0).any(axis=1)].sort_values("customer_id", ignore_index=True))
    return out


def order_outcomes(tables, windows: Sequence[Window], known: date, netted: bool = True) -> ir.Table:
    """By customer with lines: m0, m1, … net amount and n0, n1, … purchase days of each window."""
    lit, all_ = ibis.literal, range(len(windows))
    inside = lambda t, k: (t.day > lit(windows[k][0])) & (t.day <= lit(windows[k][1]))  # noqa: E731
    lines = tables["order_lines"].mutate(day=tables["order_lines"].ordered_at.date())
    lines = lines.filter(lines.status == "confirmed", lines.day <= lit(known))
    money = lines.group_by("customer_id").aggregate(
        **{f"m{k}": lines.net_amount.sum(where=inside(lines, k)).cast("float64") for k in all_}
    )
    if netted:
        days = hist.purchase_days(tables["order_lines"], known)
        days = days.filter(days.counts)
        count = {f"n{k}": days.count(where=inside(days, k)) for k in all_}
    else:
        days = lines.filter(lines.kind == "sale")
        count = {f"n{k}": days.day.nunique(where=inside(days, k)) for k in all_}
    count = days.group_by("customer_id").aggregate(**count)
    return money.left_join(count, "customer_id").drop("customer_id_right")


def _order_outcomes(tables, windows: Sequence[Window], known: date, netted: bool) -> list[pd.DataFrame]:
    if "order_lines" not in tables:
        return []
    both, all_ = order_outcomes(tables, windows, known, netted).to_pandas(), range(len(windows))
    names = [{f"n{k}": "purchase_days", f"m{k}": "order_revenue"} for k in all_]
    return [both[["customer_id", *n]].rename(columns=n) for n in names]


def contract_outcomes(tables, windows: Sequence[Window], known: date, netted: bool = True) -> list[pd.DataFrame]:
    """What was delivered to the end of each window less what was delivered to its start."""
    if "contract_terms" not in tables:
        return []
    terms = contracts.known_at(tables["contract_terms"].select(contracts.TERM_COLUMNS).to_pandas(), known)
    changes = (
        tables["contract_changes"].to_pandas()
        if "contract_changes" in tables
        else pd.DataFrame(columns=["contract_id", "changed_on", "amount_before", "amount_after", "reason"])
    )
    to = {}
    for day in sorted({d for window in windows for d in window}):
        begun = terms["starts_on"] <= pd.Timestamp(day)
        to[day] = contracts.amounts(terms, changes, day)["revenue"].where(begun, 0.0).to_numpy()
    frames = [terms[["customer_id"]].assign(contract_revenue=to[end] - to[start]) for start, end in windows]
    return [f.groupby("customer_id", as_index=False)["contract_revenue"].sum() for f in frames]


def year_seen(facts: Facts) -> float:
    """Months of the last 12 that the data cover, at least 1: what a level of the last 12 months is divided by."""
    first = facts.customers["first_order_line_on"].min()
    first = facts.customers["first_contract_on"].min() if pd.isna(first) else first
    as_of = pd.Timestamp(facts.as_of)
    months = (as_of.year - first.year) * 12 + as_of.month - first.month + (as_of.day - first.day + 1) / 30.4
    return float(min(max(months, 1.0), 12.0))
