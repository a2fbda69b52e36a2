"""Work around the sample company's sales: owners, support, usage, activities, invoices, targets."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.periods import Period
from ltvlab_utils.sample.names import SALES, SUCCESS

HOUR_COST = 6_000  # yen an hour of support


def _date(first: np.datetime64, day) -> np.ndarray:
    return first + np.asarray(day).astype("timedelta64[D]")


def spans(
    people: pd.DataFrame, lines: pd.DataFrame, monthly: pd.DataFrame, first: np.datetime64, days: int
) -> pd.DataFrame:
    """First and last day with business of each customer (rows of `people`; absent ones are left out)."""
    met = pd.concat(
        [
            lines[["customer_id", "ordered_at"]].set_axis(["customer_id", "at"], axis=1),
            monthly[["customer_id", "month"]].set_axis(["customer_id", "at"], axis=1),
            monthly[["customer_id"]].assign(at=monthly["month"] + pd.Timedelta(days=27)),
        ]
    )
    day = (met["at"].dt.normalize() - pd.Timestamp(first)).dt.days.clip(0, days - 1)
    found = day.groupby(met["customer_id"]).agg(["min", "max"])
    return people.join(found, on="customer_id").dropna(subset=["min"]).astype({"min": int, "max": int})


def _events(rng: np.random.Generator, life: pd.DataFrame, per_month: np.ndarray) -> pd.DataFrame:
    """Days of events while a customer is served, at a rate per month: position in `life`, day; sorted by day."""
    length = (life["max"] - life["min"] + 1).to_numpy()
    count = rng.poisson(per_month * length / 30.4375)
    who = np.repeat(np.arange(len(life)), count)
    day = life["min"].to_numpy()[who] + np.floor(rng.random(len(who)) * length[who]).astype(int)
    return pd.DataFrame({"who": who, "day": day}).sort_values(["day", "who"], kind="stable", ignore_index=True)


def owners(rng: np.random.Generator, people: pd.DataFrame, life: pd.DataFrame, first: np.datetime64) -> pd.DataFrame:
    """Sales owners of all, success owners of those under contract; some sales owners hand over after 20 months."""
    begins = pd.DataFrame({"customer_id": life["customer_id"], "valid_from": _date(first, life["min"])})
    seller = np.array(SALES)[rng.integers(0, len(SALES), len(life))]
    sales = begins.assign(role="sales", owner=seller, department="営業部")
    success = begins[life["subscribes"].to_numpy()].assign(role="success", department="カスタマーサクセス部")
    success["owner"] = np.array(SUCCESS)[rng.integers(0, len(SUCCESS), len(success))]
    moved_on = np.datetime64(pd.Timestamp(first) + pd.DateOffset(months=21), "D")
    moves = (rng.random(len(sales)) < 0.15) & (sales["valid_from"] < moved_on).to_numpy()
    sales["valid_to"] = np.where(moves, moved_on - np.timedelta64(1, "D"), np.datetime64("NaT"))
    next_owner = np.array(SALES)[rng.integers(0, len(SALES), moves.sum())]
    after = sales[moves].assign(owner=next_owner, valid_from=moved_on, valid_to=pd.NaT)
    both = pd.concat([sales, after, success], ignore_index=True)
    both = both.sort_values(["customer_id", "role", "valid_from"], ignore_index=True)
    return both[["customer_id", "role", "owner", "department", "valid_from", "valid_to"]]


def support(rng: np.random.Generator, people: pd.DataFrame, life: pd.DataFrame, first: np.datetime64) -> pd.DataFrame:
    """Support entries; a few customers ask for several times as much."""
    found = _events(rng, life, 0.25 * life["load"].to_numpy() * np.where(life["subscribes"], 1.6, 0.8))
    hours = np.maximum(np.round(rng.gamma(1.5, 1.2, len(found)), 1), 0.1)
    return pd.DataFrame(
        {
            "customer_id": life["customer_id"].to_numpy()[found["who"]],
            "occurred_on": _date(first, found["day"]),
            "hours": hours,
            "cost_amount": np.round(hours * HOUR_COST).astype(int),
            "kind": rng.choice(["ticket", "onsite", "training"], len(found), p=[0.75, 0.15, 0.10]),
        }
    )


def usage(rng: np.random.Generator, terms: pd.DataFrame, first: np.datetime64, days: int) -> pd.DataFrame:
    """Active users by week of each customer under contract, falling over the weeks before notice is given."""
    stop = terms["outcome_on"].where(terms["outcome"] == "cancelled_early", terms["ends_on"])
    left = terms["outcome_on"].where(terms["outcome"].isin(["churned", "cancelled_early"]))
    span = terms.assign(stop=stop, left=left).groupby("customer_id", as_index=False)
    span = span.agg(start=("starts_on", "min"), stop=("stop", "max"), left=("left", "max"))
    monday = pd.Timestamp(first) + pd.Timedelta(days=(7 - pd.Timestamp(first).weekday()) % 7)
    end = pd.Timestamp(first) + pd.Timedelta(days=days - 1)
    span["level"] = np.maximum(rng.lognormal(2.6, 0.8, len(span)), 1)
    grid = span.merge(pd.DataFrame({"week": pd.date_range(monday, end, freq="7D")}), how="cross")
    grid = grid[(grid["week"] >= grid["start"]) & (grid["week"] <= grid["stop"])]
    ahead = (grid["left"] - grid["week"]).dt.days
    fading = np.where(ahead < 112, np.clip(ahead / 112, 0.15, 1), 1.0)
    users = rng.poisson(grid["level"].to_numpy() * fading)
    return grid[["customer_id", "week"]].assign(metric="active_users", value=users.astype(float)).reset_index(drop=True)


def activities(
    rng: np.random.Generator, people: pd.DataFrame, life: pd.DataFrame, owner: pd.DataFrame, first: np.datetime64
) -> pd.DataFrame:
    """Contacts by the sales owner, more often with large customers; some promise a follow-up."""
    found = _events(rng, life, 0.18 * np.exp(0.4 * life["size"].to_numpy()))
    current = owner[owner["role"] == "sales"].drop_duplicates("customer_id").set_index("customer_id")["owner"]
    customer = life["customer_id"].to_numpy()[found["who"]]
    due = found["day"].to_numpy() + rng.integers(10, 60, len(found))
    promised = rng.random(len(found)) < 0.3
    return pd.DataFrame(
        {
            "customer_id": customer,
            "occurred_on": _date(first, found["day"]),
            "kind": rng.choice(["visit", "call", "mail", "meeting"], len(found), p=[0.3, 0.35, 0.2, 0.15]),
            "owner": current.reindex(customer).to_numpy(),
            "hours": np.round(rng.uniform(0.2, 3.0, len(found)), 1),
            "next_due_on": np.where(promised, _date(first, due), np.datetime64("NaT")),
        }
    )


def receivables(rng: np.random.Generator, lines: pd.DataFrame, first: np.datetime64, days: int) -> pd.DataFrame:
    """One invoice a customer and month of orders, due at the end of the next month; a few are written off."""
    month = lines["ordered_at"].dt.to_period("M")
    sold = lines[lines["status"] == "confirmed"].groupby([month, "customer_id"])["net_amount"].sum()
    table = sold[sold > 0].rename_axis(["month", "customer_id"]).reset_index(name="amount")
    end = pd.Timestamp(first) + pd.Timedelta(days=days - 1)
    invoiced = table["month"].dt.end_time.dt.normalize()
    due = (table["month"] + 1).dt.end_time.dt.normalize()
    late = np.where(rng.random(len(table)) < 0.12, rng.integers(5, 60, len(table)), rng.integers(-3, 1, len(table)))
    lost = (rng.random(len(table)) < 0.004) & (due < end - pd.Timedelta(days=90)).to_numpy()
    paid = due + pd.to_timedelta(late, unit="D")
    return pd.DataFrame(
        {
            "invoice_id": "INV" + pd.Series(np.arange(1, len(table) + 1)).astype(str).str.zfill(6),
            "customer_id": table["customer_id"],
            "invoiced_on": invoiced,
            "due_on": due,
            "paid_on": paid.where((paid <= end) & ~lost),
            "amount": table["amount"],
            "written_off": np.where(lost, np.round(table["amount"] * 0.8), np.nan),
        }
    )


def targets(
    rng: np.random.Generator, lines: pd.DataFrame, monthly: pd.DataFrame, end: Period, months: int
) -> pd.DataFrame:
    """Budget of revenue and gross profit by month and fiscal year from April: a little above what then came."""
    first = end.shift(1 - months)
    kept = lines[lines["status"] != "cancelled"]
    goods = kept.groupby(kept["ordered_at"].dt.to_period("M"))[["net_amount", "cost_amount"]].sum()
    fees = monthly.groupby(monthly["month"].dt.to_period("M"))[["amount", "cost"]].sum().set_axis(goods.columns, axis=1)
    every = pd.period_range(str(first), str(end), freq="M")
    actual = goods.add(fees, fill_value=0).reindex(every, fill_value=0)
    table = pd.DataFrame(
        {"revenue": actual["net_amount"], "gross_profit": actual["net_amount"] - actual["cost_amount"]}
    )
    smooth = table.rolling(3, center=True, min_periods=1).mean() * 0.5 + table * 0.5
    planned = smooth * 1.03 * rng.lognormal(0, 0.02, (len(table), 1))
    last = end.fiscal_year_start(4).shift(11)
    coming = pd.period_range(str(end.shift(1)), str(last), freq="M")
    if len(coming):
        planned = pd.concat([planned, (planned.shift(12, freq="M") * 1.08).loc[lambda p: p.index.isin(coming)]])
    long = planned.round(-4).rename_axis("month").reset_index().melt("month", var_name="metric_id", value_name="target")
    long["year"] = "FY" + (long["month"] - 3).dt.year.astype(str)
    year = long.groupby(["year", "metric_id"]).agg(target=("target", "sum"), n=("target", "size")).reset_index()
    year = year[year["n"] == 12].rename(columns={"year": "fiscal_period"})
    both = pd.concat([long.assign(fiscal_period=long["month"].astype(str)), year], ignore_index=True)
    both = both.assign(scope_type="company", scope_id="-", version="1")
    both = both[["fiscal_period", "scope_type", "scope_id", "metric_id", "target", "version"]]
    return both.sort_values(["fiscal_period", "metric_id"], ignore_index=True)
