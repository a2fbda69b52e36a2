"""What the company's own people write: the customer master, owners, activities, deals, invoices, targets."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.dynamics import LOST_SHARE
from ltvlab_utils.sample.futures import unpaid
from ltvlab_utils.sample.history import History
from ltvlab_utils.sample.names import SALES, SUCCESS, company_names
from ltvlab_utils.sample.people import LINES

CHANNELS = {"referral": 40_000, "exhibition": 260_000, "web": 90_000, "outbound": 190_000}
NONE = np.datetime64("NaT")
LOST_REASONS = ("価格", "競合", "時期尚早", "機能不足")
OPEN_STAGES = ("提案", "見積", "稟議")


def industries(history: History) -> np.ndarray:
    """Industry of each customer: the line of business that serves it."""
    return np.array(LINES)[history.people["line"].to_numpy()]


def _corporate_numbers(seed: int, candidate: np.ndarray) -> np.ndarray:
    """13 digits: a check digit (9 less the weighted sum of the others modulo 9), then 12 of the firm."""
    key = draws.keys(seed, "corporate number", candidate)
    digits = np.stack([(10 * draws.below(key, "digit", i)).astype(int) for i in range(12)], axis=1)
    weights = np.array([2, 1] * 6)  # 1 for the last digit, 2 for the one before, and so on
    check = 9 - (digits * weights).sum(axis=1) % 9
    number = check * 10**12 + digits @ (10 ** np.arange(11, -1, -1))
    return pd.Series(number).astype(str).to_numpy()  # the check digit is never 0


def master(history: History, ids: np.ndarray) -> pd.DataFrame:
    """customers; a third of the old customers has no day of acquisition, and cost of it is often unknown."""
    setting, people = history.setting, history.people
    rng = draws.stream(setting.seed, "master")
    n = len(people)
    channel = rng.choice(list(CHANNELS), n, p=[0.3, 0.25, 0.3, 0.15])
    cost = np.round(np.array([CHANNELS[c] for c in channel]) * rng.lognormal(0, 0.5, n), -2)
    born = people["born"].to_numpy()
    dated = (born >= 0) | (rng.random(n) < 0.65)
    first = setting.month_day(born)
    length = (setting.month_day(born + 1) - first).astype(int)
    part = np.where(people["subscribes"], 0.0, people["born_part"])  # a contract begins with the month
    acquired = first + np.floor(part * length).astype("timedelta64[D]")
    parent = people["parent"].to_numpy()
    role = np.where(people["leads"] >= 0, "distributor", np.where(people["through"] >= 0, "end_user", None))
    size = people["size"].to_numpy()
    number = _corporate_numbers(setting.seed, people["candidate"].to_numpy())
    return pd.DataFrame(
        {
            "customer_id": ids,
            "customer_name": company_names(rng, industries(history)),
            "parent_id": np.where(parent >= 0, ids[parent.clip(0)], None),
            "corporate_number": np.where(rng.random(n) < 0.85, number, None),
            "role": role,
            "industry": industries(history),
            "size_band": np.select([size < -0.5, size < 0.8], ["small", "middle"], "large"),
            "region": rng.choice(["関東", "関西", "中部", "東北", "九州"], n, p=[0.42, 0.22, 0.18, 0.08, 0.10]),
            "acquired_on": np.where(dated, acquired, NONE),
            "acquisition_channel": channel,
            "acquisition_cost": np.where(rng.random(n) < np.where(born < 0, 0.78, 0.92), cost, np.nan),
            "credit_limit": np.where(people["rate"] > 0, np.round(people["spend"] * 6, -5).clip(lower=300_000), np.nan),
            "billing_close_day": rng.choice([31, 31, 31, 20, 15], n),
            "payment_days": rng.choice([30, 30, 60], n),
        }
    )


def owners(history: History, ids: np.ndarray) -> pd.DataFrame:
    """Sales owners of all, success owners of those under contract; each April a quarter of the customers changes."""
    setting, people = history.setting, history.people
    rng = draws.stream(setting.seed, "owners")
    begin = np.maximum(setting.month_day(people["born"].to_numpy()), setting.first_day)
    aprils = [m for m in range(1, setting.months) if str(setting.month_day(m))[5:7] == "04"]
    parts = []
    for role, names, department, rows in (
        ("sales", SALES, "営業部", np.arange(len(ids))),
        ("success", SUCCESS, "カスタマーサクセス部", history.cast.holders),
    ):
        since, owner = begin[rows], rng.integers(0, len(names), len(rows))
        for month in [*aprils, None]:
            day = NONE if month is None else setting.month_day(month)
            moves = np.ones(len(rows), bool) if month is None else (since < day) & (rng.random(len(rows)) < 0.25)
            until = NONE if month is None else day - np.timedelta64(1, "D")
            part = {"customer_id": ids[rows[moves]], "role": role, "owner": np.array(names)[owner[moves]]}
            parts.append(
                pd.DataFrame({**part, "department": department, "valid_from": since[moves], "valid_to": until})
            )
            if month is not None:
                since = np.where(moves, day, since)
                owner = np.where(moves, (owner + rng.integers(1, len(names), len(rows))) % len(names), owner)
    both = pd.concat(parts, ignore_index=True)
    return both.sort_values(["customer_id", "role", "valid_from"], ignore_index=True)


def owner_at(table: pd.DataFrame, customer: np.ndarray, day: np.ndarray, role: str = "sales") -> np.ndarray:
    """Owner of each customer on each day; the first owner for days before."""
    own = table[table["role"] == role].sort_values("valid_from")
    days = pd.to_datetime(day).as_unit("s")
    asked = pd.DataFrame({"customer_id": np.asarray(customer, dtype=object), "day": days, "at": np.arange(len(days))})
    own = own.assign(valid_from=pd.to_datetime(own["valid_from"]).dt.as_unit("s"))
    asked, own = (frame.astype({"customer_id": "str"}) for frame in (asked, own))
    found = pd.merge_asof(
        asked.sort_values("day", kind="stable"), own[["customer_id", "valid_from", "owner"]],
        left_on="day", right_on="valid_from", by="customer_id",
    ).sort_values("at")  # fmt: skip
    first = own.drop_duplicates("customer_id").set_index("customer_id")["owner"]
    return found["owner"].fillna(found["customer_id"].map(first)).to_numpy()


def activities(history: History, ids: np.ndarray, table: pd.DataFrame, touches: pd.DataFrame) -> pd.DataFrame:
    """Contacts by the sales owner, more often with large customers; visits of campaigns; some promise a follow-up."""
    setting = history.setting
    rng = draws.stream(setting.seed, "activities")
    mean = np.array(history.log.alive) * (0.18 * np.exp(0.4 * history.people["size"].to_numpy()))
    number = rng.poisson(mean)
    month, row = (np.repeat(i, number[np.nonzero(number)]) for i in np.nonzero(number))
    first = setting.month_day(month)
    length = (setting.month_day(month + 1) - first).astype(int)
    day = first + np.floor(length * rng.random(len(row))).astype("timedelta64[D]")
    kind = rng.choice(["visit", "call", "mail", "meeting"], len(row), p=[0.3, 0.35, 0.2, 0.15])
    own = pd.DataFrame({"customer_id": ids[row], "occurred_on": day, "kind": kind})
    visits = touches[touches["kind"] == "visit"]
    visits = pd.DataFrame({"customer_id": visits["customer_id"], "occurred_on": visits["touched_at"], "kind": "visit"})
    out = pd.concat([own, visits], ignore_index=True)
    out["occurred_on"] = pd.to_datetime(out["occurred_on"])
    out = out.sort_values(["occurred_on", "customer_id", "kind"], ignore_index=True)
    out["owner"] = owner_at(table, out["customer_id"].to_numpy(), out["occurred_on"].to_numpy())
    out["hours"] = np.round(rng.uniform(0.2, 3.0, len(out)), 1)
    later = out["occurred_on"] + pd.to_timedelta(rng.integers(10, 60, len(out)), unit="D")
    out["next_due_on"] = later.where(rng.random(len(out)) < 0.3)
    return out


def deals(history: History, ids: np.ndarray, table: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Deals by owner: renewals with the discount that was offered, new customers, lost prospects, open ones.

    Two of the owners write half as much again into the probability as comes true.
    """
    setting, people, last = history.setting, history.people, history.setting.last_day
    rng = draws.stream(setting.seed, "deals")
    d = decisions[(decisions["month"] >= 0) & (decisions["month"] < setting.months)]
    closed = setting.month_day(d["month"].to_numpy() + 1) - np.timedelta64(1, "D")
    renewals = pd.DataFrame(
        {
            "customer_id": ids[d["row"]],
            "kind": "renewal",
            "stage": np.where(d["renews"], "受注", "失注"),
            "amount": d["amount"].to_numpy() * 12,
            "discount_rate": d["discount"].to_numpy(),
            "opened_on": closed - np.timedelta64(60, "D"),
            "closed_on": closed,
        }
    )
    new = np.flatnonzero(people["born"].to_numpy() >= 0)
    won_on = setting.month_day(people["born"].to_numpy()[new])
    yearly = (people["rate"] * people["spend"] + people["fee"] * people["subscribes"]).to_numpy() * 12
    won = pd.DataFrame(
        {
            "customer_id": ids[new], "kind": "new", "stage": "受注", "amount": np.round(yearly[new], -4),
            "discount_rate": 0.0, "opened_on": won_on - np.timedelta64(75, "D"), "closed_on": won_on,
        }
    )  # fmt: skip
    n = int(1.6 * len(new)) + 6
    opened = setting.first_day + np.sort(rng.integers(0, setting.days, n)).astype("timedelta64[D]")
    ended = opened + rng.integers(20, 150, n).astype("timedelta64[D]")
    over = ended <= last
    tried = pd.DataFrame(
        {
            "customer_id": None, "kind": "new", "stage": np.where(over, "失注", rng.choice(OPEN_STAGES, n)),
            "amount": np.round(rng.choice(yearly, n), -4), "discount_rate": np.where(rng.random(n) < 0.3, 0.1, 0.0),
            "opened_on": opened, "closed_on": np.where(over, ended, NONE),
        }
    )  # fmt: skip
    out = pd.concat([renewals, won, tried], ignore_index=True)
    for column in ("opened_on", "closed_on"):
        out[column] = pd.to_datetime(out[column])
    out = out[out["opened_on"] <= pd.Timestamp(last)]
    out = out.sort_values(["opened_on", "kind", "customer_id", "amount"], ignore_index=True)
    free = np.array(SALES)[rng.integers(0, len(SALES), len(out))]
    known = out["customer_id"].notna().to_numpy()
    out["owner"] = free
    out.loc[known, "owner"] = owner_at(
        table, out.loc[known, "customer_id"].to_numpy(), out.loc[known, "opened_on"].to_numpy()
    )
    honest = np.where(out["stage"] == "受注", rng.beta(5, 3, len(out)), rng.beta(3, 4, len(out)))
    hopeful = out["owner"].isin(SALES[:2])
    out["probability"] = np.round(np.minimum(np.where(hopeful, 1.5 * honest, honest), 0.95), 2)
    lost = out["stage"] == "失注"
    out["lost_reason"] = np.where(lost & (rng.random(len(out)) < 0.7), rng.choice(LOST_REASONS, len(out)), None)
    expected = out["opened_on"] + pd.to_timedelta(rng.integers(30, 120, len(out)), unit="D")
    out["expected_close_on"] = expected
    out["deal_id"] = "D" + pd.Series(np.arange(1, len(out) + 1)).astype(str).str.zfill(5)
    out["amount"] = out["amount"].round().astype(int)
    names = "deal_id customer_id owner kind stage amount probability discount_rate opened_on expected_close_on"
    return out[[*names.split(), "closed_on", "lost_reason"]]


def receivables(history: History, lines: pd.DataFrame, ids: np.ndarray, customers: pd.DataFrame) -> pd.DataFrame:
    """One invoice a customer and month of orders, to its distributor where it buys through one, due at the end of the
    next month or the one after; those that the truth does not see paid are written off 90 days after they were due."""
    setting, last = history.setting, pd.Timestamp(history.setting.last_day)
    rng = draws.stream(setting.seed, "receivables")
    month = lines["ordered_at"].dt.to_period("M")
    kept = lines["status"] == "confirmed"
    payer = lines["bill_to_id"].fillna(lines["customer_id"])
    sold = lines[kept].groupby([month[kept], lines["customer_id"][kept], payer[kept]])["net_amount"].sum()
    table = sold[sold > 0].rename_axis(["month", "customer_id", "payer"]).reset_index(name="amount")
    number = (table["month"] - pd.Period(str(setting.first_day)[:7], "M")).map(lambda d: d.n).to_numpy()
    row = pd.Series(np.arange(len(ids)), index=ids).reindex(table["customer_id"]).to_numpy(int)
    lost = np.array([unpaid(history.cast, m)[:, 0] for m in range(setting.months)])[number, row]
    days = customers.set_index("customer_id")["payment_days"].reindex(table["customer_id"]).to_numpy()
    invoiced = table["month"].dt.end_time.dt.normalize()
    due = (table["month"] + np.where(days > 30, 2, 1)).dt.end_time.dt.normalize()
    slow = rng.random(len(table)) < np.where(history.people["credit"].to_numpy()[row] > 0.01, 0.5, 0.10)
    paid = due + pd.to_timedelta(
        np.where(slow, rng.integers(5, 60, len(table)), rng.integers(-3, 1, len(table))), unit="D"
    )
    written = lost & (due < last - pd.Timedelta(days=90)).to_numpy()
    return pd.DataFrame(
        {
            "invoice_id": "INV" + pd.Series(np.arange(1, len(table) + 1)).astype(str).str.zfill(6),
            "customer_id": table["payer"],
            "invoiced_on": invoiced,
            "due_on": due,
            "paid_on": paid.where((paid <= last) & ~lost),
            "amount": table["amount"],
            "written_off": np.where(written, np.round(table["amount"] * LOST_SHARE), np.nan),
        }
    )


def targets(history: History, lines: pd.DataFrame, ids: np.ndarray, table: pd.DataFrame) -> pd.DataFrame:
    """Budget of revenue and gross profit by month and fiscal year from April, a little above what then came, and of
    revenue by sales owner and month."""
    setting = history.setting
    rng = draws.stream(setting.seed, "targets")
    end = setting.end
    every = pd.period_range(str(end.shift(1 - setting.months)), str(end), freq="M")
    kept = lines[lines["status"] != "cancelled"]
    by_month = [kept["ordered_at"].dt.to_period("M").rename("month"), kept["customer_id"]]
    goods = kept.groupby(by_month)[["net_amount", "cost_amount"]].sum().set_axis(["revenue", "cost"], axis=1)
    fees = pd.DataFrame(
        {"revenue": np.array(history.log.revenue).ravel(), "cost": np.array(history.log.cost).ravel()},
        index=pd.MultiIndex.from_product([every, ids], names=["month", "customer_id"]),
    )
    both = goods.add(fees[fees["revenue"] > 0], fill_value=0)
    actual = both.groupby("month").sum().reindex(every, fill_value=0)
    wide = pd.DataFrame({"revenue": actual["revenue"], "gross_profit": actual["revenue"] - actual["cost"]})
    smooth = wide.rolling(3, center=True, min_periods=1).mean() * 0.5 + wide * 0.5
    planned = smooth * 1.03 * rng.lognormal(0, 0.02, (len(wide), 1))
    coming = pd.period_range(str(end.shift(1)), str(end.fiscal_year_start(4).shift(11)), freq="M")
    if len(coming):
        planned = pd.concat([planned, (planned.shift(12, freq="M") * 1.08).loc[lambda p: p.index.isin(coming)]])
    long = planned.round(-4).rename_axis("month").reset_index().melt("month", var_name="metric_id", value_name="target")
    year = long.assign(fiscal_period="FY" + (long["month"] - 3).dt.year.astype(str))
    year = (
        year.groupby(["fiscal_period", "metric_id"]).agg(target=("target", "sum"), n=("target", "size")).reset_index()
    )
    company = pd.concat([long.assign(fiscal_period=long["month"].astype(str)), year[year["n"] == 12]])
    company = company.assign(scope_type="company", scope_id="-")
    own = both.reset_index()
    own["scope_id"] = owner_at(table, own["customer_id"].to_numpy(), own["month"].dt.start_time.to_numpy())
    own = own.groupby(["month", "scope_id"])["revenue"].sum().mul(1.05).round(-4).reset_index(name="target")
    own = own.assign(fiscal_period=own["month"].astype(str), scope_type="owner", metric_id="revenue")
    out = pd.concat([company, own], ignore_index=True).assign(version="1")
    out = out[["fiscal_period", "scope_type", "scope_id", "metric_id", "target", "version"]]
    return out.sort_values(["fiscal_period", "scope_type", "scope_id", "metric_id"], ignore_index=True)
