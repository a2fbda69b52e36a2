"""The `kpis` and `kpi_history` tables from the figures of the ledger, the values of 02 and the targets."""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd

from ltvlab_utils.kpis.ledger import Ledger, Tables, first_activity, owners_then
from ltvlab_utils.kpis.metrics import METRICS, NOTICE_DAYS, START_UNKNOWN_MONTHS, money_by_month, notices
from ltvlab_utils.periods import Period

READS = (
    "order_lines",
    "contract_terms",
    "contract_changes",
    "support_costs",
    "customers",
    "customer_owners",
    "activities",
    "targets",
)
READS_BEFORE = ("kpi_history", "segments_by_customer", "ltv_by_customer")  # of the review before
NO_OWNER = "none"  # scope_id of what nobody was in charge of
HISTORY_MONTHS = 24
YEAR_TO_DATE = {"revenue_fytd": "revenue", "gross_profit_fytd": "gross_profit"}


def forward(ledger: Ledger, ltv: pd.DataFrame, totals: pd.DataFrame) -> pd.DataFrame:
    """What only the models of 02 can tell, for the period itself: metric_id, month, value, n, low, high.

    future_value with its interval from `ltv_totals`; notice_90_at_risk = sum of the yearly amount x (1 - chance of
    renewal) over the contracts of notice_90_amount. A contract whose chance is not known counts as the others do on
    average; null where none is known.
    """
    company = totals[totals["scope"] == "company"].iloc[0]
    rows = [("future_value", company["value"], int(company["customers"]), company["low"], company["high"])]
    if ledger.pieces is not None:
        due = notices(ledger).filter(lambda t: t.month == ibis.literal(ledger.month.first_day))
        due = due.filter(lambda t: t.days_left <= NOTICE_DAYS)
        due = due.order_by("customer_id", "contract_id", "renewal_on").to_pandas()  # a double sum depends on the order
        amount, chance = due["annual_amount"].astype("float64"), renewal_chance(due, ltv)
        known = amount[chance.notna()].sum()
        risk = (amount * (1 - chance)).sum() * (amount.sum() / known if known > 0 else np.nan) if len(due) else 0.0
        rows.append(("notice_90_at_risk", risk, len(due), None, None))
    else:
        rows.append(("notice_90_at_risk", None, 0, None, None))
    frame = pd.DataFrame(rows, columns=["metric_id", "value", "n", "low", "high"])
    return frame.assign(month=str(ledger.month)).astype({"value": "float64", "low": "float64", "high": "float64"})


def renewal_chance(due: pd.DataFrame, ltv: pd.DataFrame) -> pd.Series:
    """Chance that a contract of `due` (customer_id, renewal_on) is renewed, by row: p_renew_next where the customer's
    next renewal is that of this contract; null for its later ones, of which 02 says nothing."""
    both = due[["customer_id", "renewal_on"]].merge(
        ltv[["customer_id", "p_renew_next", "next_renewal_on"]], "left", "customer_id"
    )
    same = pd.to_datetime(both["renewal_on"]) == pd.to_datetime(both["next_renewal_on"])
    return both["p_renew_next"].where(same).set_axis(due.index)


def targets_of(tables: Tables, start_month: int) -> pd.DataFrame:
    """Targets by month: metric_id, scope_type, scope_id, month, target, of the last version of each.

    The target of a year-to-date metric is the sum of the monthly ones since the year began, null if one is missing.
    """
    names = ["metric_id", "scope_type", "scope_id", "month", "target"]
    if "targets" not in tables:
        return pd.DataFrame(columns=names)
    frame = tables["targets"].to_pandas().sort_values("version", kind="stable")
    keys = ["fiscal_period", "scope_type", "scope_id", "metric_id"]
    frame = frame.drop_duplicates(keys, keep="last")
    monthly = frame[frame["fiscal_period"].str.fullmatch(r"\d{4}-\d{2}")].rename(columns={"fiscal_period": "month"})
    monthly = monthly[names].sort_values(["metric_id", "scope_type", "scope_id", "month"], ignore_index=True)
    parts = [monthly]
    for metric, of in YEAR_TO_DATE.items():
        base = monthly[monthly["metric_id"] == of]
        months = base["month"].map(Period.parse)
        years = months.map(lambda m: m.fiscal_year_start(start_month))
        by = [base["scope_type"], base["scope_id"], years.map(str)]
        passed = [(m.year - y.year) * 12 + m.month - y.month + 1 for m, y in zip(months, years, strict=True)]
        grouped = base.groupby(by)["target"]
        whole = (grouped.cumcount() + 1).to_numpy() == passed
        parts.append(base.assign(metric_id=metric, target=grouped.cumsum().where(whole)))
    return pd.concat(parts, ignore_index=True).dropna(subset="target").drop_duplicates(names[:-1], keep="first")


def owner_figures(ledger: Ledger, tables: Tables) -> pd.DataFrame:
    """revenue, gross_profit and new_customers of each sales owner, in charge on the day itself: metric_id, month,
    scope_id, value, n. Contract revenue of a month belongs to the owner on its last day in force; what nobody was in
    charge of stands under "none", so that owners add up to the company."""
    names = ["metric_id", "month", "scope_id", "value", "n"]
    if "customer_owners" not in tables:
        return pd.DataFrame(columns=names)
    owners = owners_then(tables["customer_owners"]).rename(owned="customer_id")

    def owned(rows, day):
        then = [rows.customer_id == owners.owned, day >= owners.from_on, day <= owners.to_on]
        return rows.left_join(owners, then).mutate(scope_id=lambda t: ibis.coalesce(t.owner, NO_OWNER))

    entries = owned(ledger.entries, ledger.entries.on)
    money = money_by_month(entries, "scope_id").to_pandas()
    money["month"] = pd.to_datetime(money["month"]).dt.strftime("%Y-%m")
    parts = [
        money.assign(metric_id=metric, value=money[column].astype("float64"), n=money["customers"])[names]
        for metric, column in (("revenue", "revenue"), ("gross_profit", "profit"))
    ]
    first = first_activity(ledger)
    new = owned(first, first.first_on)
    new = new.group_by("scope_id", month=new.first_on.truncate("M").cast("date").strftime("%Y-%m"))
    new = new.agg(value=lambda t: t.count()).to_pandas()
    known = new["month"] >= str(ledger.start.shift(START_UNKNOWN_MONTHS))
    parts.append(new[known].assign(metric_id="new_customers", n=lambda f: f["value"])[names])
    frame = pd.concat(parts, ignore_index=True)
    return frame[frame["month"] >= str(ledger.start)]


def table(
    ledger: Ledger,
    past: pd.DataFrame,
    ahead: pd.DataFrame,
    earlier: pd.DataFrame | None,
    owners: pd.DataFrame,
    targets: pd.DataFrame,
) -> pd.DataFrame:
    """The `kpis` table of the period: every metric for the company, three of them for each owner.

    `past` from `figures`, `ahead` from `forward`, `earlier` = kpi_history of the review before (None = first review),
    `owners` from `owner_figures`, `targets` from `targets_of`. prior = the month before, last_year = the same month of
    last year: recomputed with today's data, except for what only an earlier review knew, which stays as published.
    """
    company = pd.concat([past, ahead, _known_earlier(earlier, ledger)], ignore_index=True)
    company = company.assign(scope_type="company", scope_id="-")
    both = pd.concat([company, owners.assign(scope_type="owner")], ignore_index=True)
    keys = ["metric_id", "scope_type", "scope_id"]
    now, before, last_year = (
        both[both["month"] == str(ledger.month.shift(shift))].set_index(keys) for shift in (0, -1, -12)
    )
    rows = now.index.union(before.index[before.index.get_level_values("scope_type") == "owner"])
    wanted = targets[targets["month"] == str(ledger.month)].set_index(keys)["target"]
    out = now.reindex(rows)[["value", "n", "low", "high"]].astype("float64")
    is_owner = rows.get_level_values("scope_type") == "owner"
    out["value"] = out["value"].mask(is_owner & out["n"].isna(), 0.0)  # an owner of last month without sales now
    out["n"] = out["n"].fillna(0).astype("int64")
    out["prior"] = before["value"].astype("float64").reindex(rows)
    out["last_year"] = last_year["value"].astype("float64").reindex(rows)
    out["target"] = wanted.astype("float64").reindex(rows)
    out = out.reset_index()
    out["timing"] = out["metric_id"].map(lambda m: METRICS[m].timing)
    out["unit"] = out["metric_id"].map(lambda m: METRICS[m].unit)
    return out


def _known_earlier(earlier: pd.DataFrame | None, ledger: Ledger) -> pd.DataFrame:
    """future_value and notice_90_at_risk of earlier months, as their reviews published them."""
    names = ["metric_id", "month", "value", "n"]
    if earlier is None:
        return pd.DataFrame(columns=names)
    chosen = earlier["metric_id"].isin(["future_value", "notice_90_at_risk"]) & (earlier["month"] < str(ledger.month))
    return earlier[chosen].assign(n=0)[names]


def history(
    ledger: Ledger, past: pd.DataFrame, ahead: pd.DataFrame, earlier: pd.DataFrame | None, targets: pd.DataFrame
) -> pd.DataFrame:
    """The `kpi_history` table: each metric for the last 24 months, as far as the data or earlier reviews reach."""
    first = str(ledger.month.shift(1 - HISTORY_MONTHS))
    frame = pd.concat([past, ahead, _known_earlier(earlier, ledger)], ignore_index=True)
    frame = frame[frame["month"].between(first, str(ledger.month)) & frame["value"].notna()]
    company = targets[targets["scope_type"] == "company"]
    frame = frame[["metric_id", "month", "value"]].merge(
        company[["metric_id", "month", "target"]], "left", ["metric_id", "month"]
    )
    return frame.astype({"value": "float64", "target": "float64"})


def missing(kpis: pd.DataFrame) -> pd.DataFrame:
    """Metrics of the company that are null, with the input that would unlock each: metric_id, unlocked_by."""
    null = kpis[(kpis["scope_type"] == "company") & kpis["value"].isna()]
    return pd.DataFrame(
        {"metric_id": null["metric_id"], "unlocked_by": null["metric_id"].map(lambda m: METRICS[m].table)}
    ).reset_index(drop=True)
