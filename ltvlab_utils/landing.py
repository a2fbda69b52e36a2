"""Landing of the fiscal year (着地見込み): what is in the books, the backlog, and draws of the existing customers.

New business is left out, not assumed: the landing is what the customers of today bring. Floor 2.
"""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd

from ltvlab_utils.i18n import money, money_range
from ltvlab_utils.kpis import Ledger
from ltvlab_utils.kpis.ledger import DATE_COLUMN, Tables

DRAWS = {"revenue": "fiscal_year_revenue", "gross_profit": "fiscal_year_profit"}


def fiscal_year(ledger: Ledger, start_month: int) -> str:
    """FY2025 = the fiscal year that starts in 2025."""
    return f"FY{ledger.month.fiscal_year_start(start_month).year}"


def backlog(tables: Tables, ledger: Ledger, date_basis: str = "ordered") -> dict[str, float | None]:
    """受注残: net amount of backlog lines ordered up to as-of, and their gross profit; None where there is none, or
    where a cost is unknown."""
    nothing = {"revenue": None, "gross_profit": None}
    if "order_lines" not in tables:
        return nothing
    lines = tables["order_lines"]
    waiting = lines.status == "backlog"
    if date_basis != "ordered":
        # a confirmed line whose date is not reached is not revenue yet: it waits as well
        waiting = waiting | ((lines.status == "confirmed") & lines[DATE_COLUMN[date_basis]].isnull())
    open_ = lines.filter(waiting & (lines.ordered_at.cast("date") <= ibis.literal(ledger.as_of)))
    row = open_.aggregate(
        rows=open_.count(),
        revenue=open_.net_amount.sum(),
        profit=(open_.net_amount - open_.cost_amount).sum(),
        unknown=open_.cost_amount.isnull().ifelse(1, 0).sum(),
    ).to_pandas()
    if not row["rows"].iloc[0]:
        return nothing
    profit = float(row["profit"].iloc[0]) if row["unknown"].iloc[0] == 0 else None
    return {"revenue": float(row["revenue"].iloc[0]), "gross_profit": profit}


def table(
    ledger: Ledger,
    tables: Tables,
    past: pd.DataFrame,
    draws: pd.DataFrame,
    start_month: int,
    date_basis: str = "ordered",
) -> pd.DataFrame:
    """The `landing` table: revenue, and gross profit where the cost of the year to date is known.

    `past` from kpis.figures, `draws` = ltv_draws. The interval is that of the totals of draws (10th and 90th
    percentile), moved by what is certain; p_reach_budget = share of draws that reach the budget of the fiscal year.
    A metric whose year to date is not known has no row.
    """
    year, waiting, rows = fiscal_year(ledger, start_month), backlog(tables, ledger, date_basis), []
    totals = draws.groupby("draw")[list(DRAWS.values())].sum()
    for metric, column in DRAWS.items():
        known = past[(past["metric_id"] == f"{metric}_fytd") & (past["month"] == str(ledger.month))]["value"]
        to_date = known.iloc[0] if len(known) else np.nan
        if np.isnan(to_date):
            continue
        future = totals[column].to_numpy()
        fixed = to_date + (waiting[metric] or 0.0)
        landing = fixed + future
        budget = _budget(tables, year, metric)
        rows.append(
            {
                "fiscal_year": year,
                "metric_id": metric,
                "to_date": to_date,
                "backlog": waiting[metric],
                "existing_customers": future.mean(),
                "new_business": None,
                "landing": fixed + future.mean(),
                "low": np.quantile(landing, 0.1),
                "high": np.quantile(landing, 0.9),
                "budget": budget,
                "p_reach_budget": None if budget is None else float((landing >= budget).mean()),
            }
        )
    names = ["to_date", "backlog", "existing_customers", "new_business", "landing", "low", "high"]
    frame = pd.DataFrame(rows, columns=["fiscal_year", "metric_id", *names, "budget", "p_reach_budget"])
    return frame.astype(dict.fromkeys([*names, "budget", "p_reach_budget"], "float64"))


def _budget(tables: Tables, year: str, metric: str) -> float | None:
    """The budget of the fiscal year, last version; else None."""
    if "targets" not in tables:
        return None
    t = tables["targets"]
    mine = t.filter((t.fiscal_period == year) & (t.scope_type == "company") & (t.metric_id == metric)).order_by(
        ibis.desc("version")
    )
    frame = mine.limit(1).to_pandas()
    return float(frame["target"].iloc[0]) if len(frame) else None


def words(landing: pd.DataFrame, currency: str) -> str:
    """One sentence: where the year lands, how sure, and the chance to reach the budget."""
    if landing.empty:
        return "The landing cannot be told: the data do not reach back to the start of the fiscal year."
    profit = landing[landing["metric_id"] == "gross_profit"]
    row = (profit if len(profit) else landing).iloc[0]
    name = "gross profit" if len(profit) else "revenue (costs are not known, so this is not profit)"
    chance = ""
    if pd.notna(row["budget"]):
        budget = money(row["budget"], "en", currency)
        chance = f", against a budget of {budget}: {row['p_reach_budget']:.0%} of draws reach it"
    return (
        f"{row['fiscal_year']} lands at {money(row['landing'], 'en', currency)} of {name} "
        f"({money_range(row['low'], row['high'], 'en', currency)}, 80 %) without new business{chance}."
    )
