"""Bridges (増減要因): what moved revenue from the month before, and future value from the review before (floor 2).

Steps of the revenue bridge, each customer in at most one of them:
- new: revenue this month, never any before in the data; return: none in the month before, but earlier
- expansion, contraction: revenue in both months
- churn: revenue only in the month before, and its last contract has ended and was not renewed
- pause: revenue only in the month before, everyone else. A month without an order is no churn.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.i18n import money
from ltvlab_utils.kpis import Ledger
from ltvlab_utils.kpis.ledger import LOST

REVENUE_STEPS = ("opening", "new", "expansion", "return", "contraction", "pause", "churn", "closing")
SAID = {"grown": "customers that grew", "shrunk": "customers that shrank", "won": "customers won"}
LTV_STEPS = ("opening", "won", "grown", "shrunk", "lost", "closing")


def revenue_by_customer(ledger: Ledger) -> ir.Table:
    """Revenue of the month before and of this month by customer, and the step it belongs to: customer_id, before,
    after, step (null where nothing moved)."""
    now, previous = ibis.literal(ledger.month.first_day), ibis.literal(ledger.month.previous.first_day)
    entries = ledger.entries
    both = entries.group_by("customer_id").agg(
        before=lambda t: ibis.ifelse(t.month == previous, t.revenue, 0).sum(),
        after=lambda t: ibis.ifelse(t.month == now, t.revenue, 0).sum(),
        earliest=lambda t: t.month.min(),
    )
    ended = _contract_ended(ledger)
    if ended is not None:
        both = both.left_join(ended, both.customer_id == ended.holder)
    churned = ibis.coalesce(both.ended, False) if ended is not None else ibis.literal(False)
    step = ibis.cases(
        ((both.before == 0) & (both.after != 0) & (both.earliest >= now), "new"),
        ((both.before == 0) & (both.after != 0), "return"),
        ((both.before != 0) & (both.after == 0) & churned, "churn"),
        ((both.before != 0) & (both.after == 0), "pause"),
        (both.after > both.before, "expansion"),
        (both.after < both.before, "contraction"),
    )
    return both.select("customer_id", "before", "after", step=step)


def _contract_ended(ledger: Ledger) -> ir.Table | None:
    """Customers that held a contract, and whether it is over without renewal at as-of: holder, ended."""
    if ledger.pieces is None:
        return None
    held = ledger.pieces.group_by(holder=ledger.pieces.customer_id).agg(
        last_on=lambda t: t.to_on.max(),
        kept_until=lambda t: ibis.ifelse(t.outcome.isin(LOST), ibis.null("date"), t.to_on).max(),
    )
    over = (held.last_on <= ibis.literal(ledger.as_of)) & ~ibis.coalesce(held.kept_until >= held.last_on, False)
    return held.select("holder", ended=over)


def revenue_bridge(ledger: Ledger) -> pd.DataFrame | None:
    """The `revenue_bridge` table, month before to this month; it closes exactly. None in the data's first month."""
    if ledger.month == ledger.start:
        return None
    rows = revenue_by_customer(ledger)
    totals = rows.aggregate(
        opening=rows.before.sum(),
        closing=rows.after.sum(),
        opened=(rows.before != 0).ifelse(1, 0).sum(),
        closed=(rows.after != 0).ifelse(1, 0).sum(),
    ).to_pandas()
    moved = rows.filter(rows.step.notnull()).group_by("step")
    moved = moved.agg(value=lambda t: (t.after - t.before).sum(), customers=lambda t: t.count()).to_pandas()
    opening = ("opening", totals["opening"].iloc[0], totals["opened"].iloc[0])
    closing = ("closing", totals["closing"].iloc[0], totals["closed"].iloc[0])
    found = pd.DataFrame([opening, closing], columns=["step", "value", "customers"])
    found = pd.concat([found, moved]).set_index("step").reindex(REVENUE_STEPS).fillna(0).reset_index()
    found["position"] = range(len(found))
    return found.astype({"value": "float64", "customers": "int64"})[["position", "step", "value", "customers"]]


def ltv_bridge(before: pd.DataFrame | None, after: pd.DataFrame) -> pd.DataFrame | None:
    """The `ltv_bridge` table from two `ltv_by_customer`: won = not valued in the review before, lost = no longer in
    this one, grown and shrunk = what the others gained and lost. None without a review before.

    Grown and shrunk hold customers, the time that passed and any change of model, cost or data together: those are
    not told apart, so no step carries the calculation flag.
    """
    if before is None:
        return None
    keys = ["customer_id", "future_value"]
    both = before[keys].merge(after[keys], "outer", "customer_id", suffixes=("_then", "_now"), indicator="known")
    change = both["future_value_now"].fillna(0) - both["future_value_then"].fillna(0)
    stayed = both["known"] == "both"
    steps = {
        "opening": (before["future_value"].sum(), len(before)),
        "won": (change[both["known"] == "right_only"].sum(), (both["known"] == "right_only").sum()),
        "grown": (change[stayed & (change > 0)].sum(), (stayed & (change > 0)).sum()),
        "shrunk": (change[stayed & (change < 0)].sum(), (stayed & (change < 0)).sum()),
        "lost": (change[both["known"] == "left_only"].sum(), (both["known"] == "left_only").sum()),
        "closing": (after["future_value"].sum(), len(after)),
    }
    frame = pd.DataFrame([(s, *steps[s]) for s in LTV_STEPS], columns=["step", "value", "customers"])
    return frame.assign(position=range(len(frame)), calculation=False)[
        ["position", "step", "value", "customers", "calculation"]
    ]


def gap(bridge: pd.DataFrame) -> float:
    """Opening plus steps minus closing: 0 but for rounding. Raises Refused when it is not within 1 unit of currency."""
    level = bridge.set_index("step")["value"]
    left = level["opening"] + level.drop(["opening", "closing"]).sum() - level["closing"]
    if abs(left) > 1:
        raise Refused(f"The bridge does not close: opening and steps differ from the closing level by {left:,.2f}.")
    return float(left)


def words(bridge: pd.DataFrame | None, what: str, currency: str) -> str:
    """One sentence: from where to where, and the largest gain and loss. Raises Refused where it does not close."""
    if bridge is None:
        return f"There is no bridge of {what}: nothing earlier to compare with."
    gap(bridge)
    level = bridge.set_index("step")["value"]
    steps = level.drop(["opening", "closing"])
    ends = " to ".join(money(level[step], "en", currency) for step in ("opening", "closing"))
    said = f"{what[:1].upper()}{what[1:]} went from {ends}"
    parts = []
    for word, step in (("gained", steps.idxmax()), ("lost", steps.idxmin())):
        if (steps[step] > 0) == (word == "gained") and steps[step] != 0:
            parts.append(f"most {word} by {SAID.get(step, step)} ({money(steps[step], 'en', currency, sign=True)})")
    return f"{said}: {', '.join(parts) or 'nothing moved'}."
