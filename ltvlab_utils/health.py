"""Who needs someone now: rhythm, alarms, the watchlist and the renewal calendar (floor 2).

An alarm needs evidence: the customer's own behaviour, or a decision that is due. The money at risk orders the list; its
length is what the team can look after. Reasons, the first that holds is the main one:
- notice (deadline where the chance of renewal is not known): a notice deadline within 90 days, no decision yet, of a
  contract with terms of at least three months
- silent: the silence since the last purchase would come up in fewer than 1 of 20 cases by the customer's own rhythm
- renewal: the next renewal is less likely than not, deadline further away
- support: support cost of the last 90 days at least twice the customer's own earlier level, with three entries or more

Silence is judged in two ways and the smaller chance counts. (1) With x gaps in t days and exponential gaps of unknown
rate, P(silence > s) = (t / (t + s))^x (gamma predictive). (2) Free of any distribution: if s exceeds all x earlier
gaps, at most 1 / (x + 1), by exchangeability of the gaps. Customers with fewer than three gaps have no rhythm yet.
"""

from __future__ import annotations

import json
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.i18n import money
from ltvlab_utils.kpis import NOTICE_DAYS, Ledger, notices, owner_on, renewal_chance
from ltvlab_utils.kpis.ledger import Tables, first_activity
from ltvlab_utils.segments import GONE

SURPRISE = 0.05  # a silence that comes up less often than this is an alarm
MIN_GAPS = 3
MIN_TERM_MONTHS = 3  # shorter terms always have a deadline near
SUPPORT_DAYS, SUPPORT_RATIO, SUPPORT_ENTRIES = 90, 2.0, 3
CONTACT_DAYS = 30
WINDOWS = (30, 90, 180)
ACTIONS = {
    "notice": "renewal_talk",
    "deadline": "renewal_talk",
    "silent": "call",
    "renewal": "visit",
    "support": "support_review",
}
REASONS = tuple(ACTIONS)


def rhythm(order_lines: ir.Table, as_of: date) -> ir.Table:
    """Gaps between purchase days: customer_id, last_on, silent_days, gaps, span_days (sum of the gaps), usual_days
    (median gap), longest_days, last_gap_days. One row a customer with a purchase day; gaps 0 = no repeat."""
    days = hist.purchase_days(order_lines, as_of)
    days = days.filter(days.counts)
    before = days.day.lag().over(ibis.window(group_by=days.customer_id, order_by=days.day))
    days = days.mutate(gap=days.day.delta(before, unit="day"))
    own = days.group_by("customer_id").agg(
        last_on=lambda t: t.day.max(),
        gaps=lambda t: t.gap.count(),
        span_days=lambda t: t.gap.sum().fill_null(0),
        usual_days=lambda t: t.gap.median(),
        longest_days=lambda t: t.gap.max(),
        last_gap_days=lambda t: t.gap.argmax(t.day),
    )
    return own.mutate(silent_days=ibis.literal(as_of).delta(own.last_on, unit="day"))


def surprise(rhythms: pd.DataFrame) -> pd.Series:
    """Chance of a silence this long for a customer that is still one (see the module); null below three gaps."""
    names = ("gaps", "span_days", "silent_days", "longest_days")  # a column of nulls alone arrives without a type
    gaps, span, silent, longest = (rhythms[c].astype("float64") for c in names)
    poisson = (span / (span + silent)) ** gaps
    free = (1 / (gaps + 1)).where(silent > longest, 1.0)
    return np.minimum(poisson, free).where(gaps >= MIN_GAPS)


def lifecycle_facts(ledger: Ledger, tables: Tables) -> pd.DataFrame:
    """What segments.lifecycle reads: customer_id, first_on, start_unknown, last_on, last_gap_days."""
    facts = first_activity(ledger).to_pandas()
    known_from = pd.Timestamp(ledger.start.shift(12).first_day)
    facts["start_unknown"] = pd.to_datetime(facts["first_on"]) < known_from
    if "order_lines" not in tables:
        return facts.assign(last_on=pd.NaT, last_gap_days=np.nan)
    own = rhythm(tables["order_lines"], ledger.as_of).select("customer_id", "last_on", "last_gap_days").to_pandas()
    return facts.merge(own, "outer", "customer_id")


def support_load(support_costs: ir.Table, as_of: date) -> ir.Table:
    """Support cost of the last 90 days against the customer's own earlier level: customer_id, recent_cost,
    usual_cost (per 90 days, from its first entry on), entries (recent). Only customers with at least 90 days before."""
    age = ibis.literal(as_of).delta(support_costs.occurred_on, unit="day")
    t = support_costs.mutate(age=age).filter(lambda t: t.age >= 0)
    own = t.group_by("customer_id").agg(
        recent_cost=lambda t: ibis.ifelse(t.age < SUPPORT_DAYS, t.cost_amount, 0).sum().cast("float64"),
        entries=lambda t: (t.age < SUPPORT_DAYS).ifelse(1, 0).sum(),
        earlier=lambda t: ibis.ifelse(t.age >= SUPPORT_DAYS, t.cost_amount, 0).sum().cast("float64"),
        oldest=lambda t: t.age.max(),
    )
    seen = own.oldest - SUPPORT_DAYS + 1
    return own.filter(seen >= SUPPORT_DAYS).select(
        "customer_id", "recent_cost", "entries", usual_cost=own.earlier * SUPPORT_DAYS / seen
    )


def _deadlines(ledger: Ledger) -> pd.DataFrame | None:
    """Open deadlines of contracts in force at as-of, nearest first."""
    if ledger.pieces is None:
        return None
    due = notices(ledger).filter(lambda t: t.month == ibis.literal(ledger.month.first_day))
    return due.order_by(["notice_due_on", "contract_id"]).to_pandas()


def alarms(ledger: Ledger, tables: Tables, ltv: pd.DataFrame) -> pd.DataFrame:
    """The main reason of every customer that has one: customer_id, reason, reason_values (JSON), deadline_on,
    days_left (of the nearest open deadline, whatever the reason; null without).

    Silence is no alarm where the orders have as good as ended (p_alive_orders below 0.1), such as those of a contract
    customer that stopped to order years ago.
    """
    out = ltv[["customer_id"]].assign(deadline_on=pd.NaT, days_left=np.nan, p_renew=np.nan)
    deadlines = _deadlines(ledger)
    if deadlines is not None:
        deadlines["p_renew"] = renewal_chance(deadlines, ltv)
        lasting = deadlines[deadlines["term_months"] >= MIN_TERM_MONTHS].drop_duplicates("customer_id")
        lasting = lasting.rename(columns={"notice_due_on": "deadline_on"})
        out = ltv[["customer_id"]].merge(
            lasting[["customer_id", "deadline_on", "days_left", "p_renew"]], "left", "customer_id"
        )
    if "order_lines" in tables:
        own = rhythm(tables["order_lines"], ledger.as_of).to_pandas()
        own["surprise"] = surprise(own)
        out = out.merge(own[["customer_id", "usual_days", "silent_days", "surprise"]], "left", "customer_id")
    else:
        out[["usual_days", "silent_days", "surprise"]] = np.nan
    if "support_costs" in tables:
        out = out.merge(support_load(tables["support_costs"], ledger.as_of).to_pandas(), "left", "customer_id")
    else:
        out[["recent_cost", "usual_cost", "entries"]] = np.nan
    figures = out.columns.drop(["customer_id", "deadline_on"])
    out[figures] = out[figures].astype("float64")
    ended = out["customer_id"].isin(ltv.loc[ltv["p_alive_orders"] < GONE, "customer_id"])
    loaded = (out["entries"] >= SUPPORT_ENTRIES) & (out["recent_cost"] >= SUPPORT_RATIO * out["usual_cost"])
    out["reason"] = np.select(
        [
            (out["days_left"] <= NOTICE_DAYS) & out["p_renew"].notna(),
            out["days_left"] <= NOTICE_DAYS,
            (out["surprise"] < SURPRISE) & ~ended,
            out["deadline_on"].notna() & (out["p_renew"] < 0.5),
            loaded & (out["usual_cost"] > 0),
        ],
        REASONS,
        "",
    )
    out = out[out["reason"] != ""].sort_values("customer_id", ignore_index=True)
    out["reason_values"] = _values(out)
    return out[["customer_id", "reason", "reason_values", "deadline_on", "days_left"]]


def _values(rows: pd.DataFrame) -> list[str]:
    """The figures of each reason as JSON, rounded as they are read: days and percent whole, ratios to one decimal."""
    renew = (rows["p_renew"] * 100).round()
    slots = {
        "notice": {"days_left": rows["days_left"], "renew_percent": renew},
        "deadline": {"days_left": rows["days_left"]},
        "silent": {"usual_days": rows["usual_days"].round(), "silent_days": rows["silent_days"]},
        "renewal": {"renew_percent": renew, "days_left": rows["days_left"]},
        "support": {"ratio": (rows["recent_cost"] / rows["usual_cost"]).round(1), "entries": rows["entries"]},
    }
    texts = pd.Series("{}", rows.index)
    for reason, values in slots.items():
        mine = pd.DataFrame(values)[rows["reason"] == reason]
        texts.loc[mine.index] = [
            json.dumps({k: _plain(v) for k, v in record.items()}, sort_keys=True) for record in mine.to_dict("records")
        ]
    return texts.tolist()


def _plain(value: float) -> float | int | None:
    if pd.isna(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def names_of(tables: Tables) -> pd.DataFrame:
    """customer_id, customer_name; empty without customers."""
    if "customers" not in tables:
        return pd.DataFrame({"customer_id": [], "customer_name": []}, dtype="str")
    return tables["customers"].select("customer_id", "customer_name").to_pandas()


def _people(frame: pd.DataFrame, ledger: Ledger, tables: Tables) -> pd.DataFrame:
    """customer_name (the id where there is none) and the sales owner of today (null where nobody is in charge)."""
    out = frame.merge(names_of(tables), "left", "customer_id")
    out["customer_name"] = out["customer_name"].fillna(out["customer_id"])
    if "customer_owners" not in tables:
        return out.assign(owner=None)
    return out.merge(owner_on(tables["customer_owners"], ledger.as_of).to_pandas(), "left", "customer_id")


def watchlist(
    ledger: Ledger, tables: Tables, segments: pd.DataFrame, found: pd.DataFrame, capacity: int
) -> pd.DataFrame:
    """The `watchlist` table: of the customers with an alarm (`found` from `alarms`) the `capacity` with most value at
    risk. Customers that are lost already, and those with nothing at risk, are no alarm."""
    rows = segments[(segments["lifecycle"] != "lost") & (segments["value_at_risk"] > 0)]
    rows = rows[["customer_id", "future_value", "churn_probability", "value_at_risk"]].merge(found, on="customer_id")
    rows = rows.sort_values(["value_at_risk", "customer_id"], ascending=[False, True], kind="stable").head(capacity)
    rows = _people(rows.reset_index(drop=True), ledger, tables)
    return rows.assign(rank=range(1, len(rows) + 1), action=rows["reason"].map(ACTIONS))


def renewal_calendar(ledger: Ledger, tables: Tables, ltv: pd.DataFrame) -> pd.DataFrame | None:
    """The `renewal_calendar` table: contracts with an open deadline within 180 days; None without contracts.

    p_renew is that of kpis.renewal_chance; contacted = an activity in the last 30 days, null without activities.
    """
    due = _deadlines(ledger)
    if due is None:
        return None
    due = due[due["days_left"] <= WINDOWS[-1]].drop(columns=["month", "term_months"])
    due = due.drop_duplicates("contract_id").reset_index(drop=True)
    due = _people(due.assign(p_renew=renewal_chance(due, ltv)), ledger, tables)
    due["annual_amount"] = due["annual_amount"].astype("float64")
    due["value_at_risk"] = due["annual_amount"] * (1 - due["p_renew"])
    due["window"] = np.select([due["days_left"] <= w for w in WINDOWS], [str(w) for w in WINDOWS], "")
    due["contacted"] = None
    if "activities" in tables:
        met = tables["activities"]
        age = ibis.literal(ledger.as_of).delta(met.occurred_on, unit="day")
        recent = met.filter((age >= 0) & (age < CONTACT_DAYS)).select("customer_id").distinct().to_pandas()
        due["contacted"] = due["customer_id"].isin(recent["customer_id"])
    return due


def first_deadlines(calendar: pd.DataFrame | None, rows: int = 10) -> pd.DataFrame | None:
    """The nearest deadlines of the calendar, as notebook 03 shows them."""
    if calendar is None:
        return None
    shown = [
        "contract_id",
        "customer_id",
        "owner",
        "notice_due_on",
        "days_left",
        "annual_amount",
        "p_renew",
        "contacted",
    ]
    return calendar.sort_values(["days_left", "contract_id"])[shown].head(rows)


def at_risk_by_owner(segments: pd.DataFrame, ledger: Ledger, tables: Tables) -> pd.DataFrame:
    """Where the value at risk lies: owner ("none" = nobody), customers, future_value, value_at_risk, most first.

    This says where value may be lost, not what an action would save: it is no effect.
    """
    rows = _people(segments, ledger, tables)
    rows["owner"] = rows["owner"].astype("str").where(rows["owner"].notna(), "none")
    grouped = rows.groupby("owner").agg(
        customers=("customer_id", "size"), future_value=("future_value", "sum"), value_at_risk=("value_at_risk", "sum")
    )
    return grouped.reset_index().sort_values(["value_at_risk", "owner"], ascending=[False, True], ignore_index=True)


def watch_words(listed: pd.DataFrame, segments: pd.DataFrame, currency: str) -> str:
    """One sentence: how many customers are listed, what is at risk with them, and of how much."""
    total = segments["value_at_risk"].sum()
    if listed.empty:
        return "No customer shows an alarm in its own behaviour."
    share = f" ({listed['value_at_risk'].sum() / total:.0%} of all value at risk)" if total > 0 else ""
    reasons = listed["reason"].value_counts()
    said = ", ".join(f"{reasons[r]} {r}" for r in REASONS if r in reasons)
    at_risk = money(listed["value_at_risk"].sum(), "en", currency)
    plural = "s" * (len(listed) != 1)
    return f"{len(listed):,} customer{plural} on the list with {at_risk} at risk{share}; main reasons: {said}."


def renewal_words(calendar: pd.DataFrame | None, currency: str) -> str:
    """One sentence: contracts and yearly amount with a deadline within 90 days, and how many nobody has contacted."""
    if calendar is None:
        return "There are no contracts in the data: contract_terms would unlock the renewal calendar."
    near = calendar[calendar["days_left"] <= NOTICE_DAYS]
    untouched = ""
    if len(near) and near["contacted"].notna().all():
        untouched = f"; {(~near['contacted'].astype(bool)).sum():,} of them without contact in {CONTACT_DAYS} days"
    return (
        f"{len(near):,} contracts worth {money(near['annual_amount'].sum(), 'en', currency)} a year have their notice "
        f"deadline within {NOTICE_DAYS} days{untouched}."
    )


def owner_words(by_owner: pd.DataFrame) -> str:
    """One sentence: who holds most of the value at risk. Not an effect: nothing says how much a measure would save."""
    total = by_owner["value_at_risk"].sum()
    if total <= 0:
        return "No value is at risk."
    if len(by_owner) == 1:
        return "Value at risk cannot be split by owner: customer_owners would unlock it."
    top = by_owner["value_at_risk"].nlargest(3)
    return (
        f"{len(top)} of {len(by_owner):,} owners hold {top.sum() / total:.0%} of the value at risk. That is where "
        "value may be lost, not what a measure would save: only control groups tell that (notebook 04)."
    )
