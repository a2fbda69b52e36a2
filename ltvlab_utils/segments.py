"""Who needs what: value and risk classes, lifecycle, RFM, and how customers moved between segments (floor 2).

Every customer stands in exactly one value_segment, written VALUE_RISK (high_low, ...).

Value class: customers sorted by future_value; a customer's slice is its share of all positive future value. It is high
when the middle of its slice lies in the first half of that value, middle up to 80 %, else low. Equal values share one
slice, so they share a class; values of zero and less are low.

The churn probability is `p_lost_12_months` of ltv_by_customer: the share of simulated futures in which neither orders
nor any contract go on 12 months later.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ltvlab_utils.periods import add_months

HIGH_SHARE, MIDDLE_SHARE = 0.5, 0.8
RISKS = (0.2, 0.5)  # below: low risk, below: middle, else high
GONE, DORMANT = 0.1, 0.5  # chance of being alive below which a customer without contract is lost, dormant
RETURN_DAYS = 365  # silence before the last purchase that makes a customer a returned one
RISK_NAMES, VALUE_NAMES = ("low", "middle", "high"), ("high", "middle", "low")


def value_class(future_value: pd.Series) -> pd.Series:
    """high, middle or low by the share of all positive value (see the module)."""
    positive = future_value.clip(lower=0).fillna(0)
    total = positive.sum()
    if total <= 0:
        return pd.Series("low", future_value.index)
    slices = positive.groupby(positive).sum().sort_index(ascending=False)
    middle = ((slices.cumsum() - slices / 2) / total).reindex(positive).set_axis(future_value.index)
    classes = np.select([positive <= 0, middle < HIGH_SHARE, middle < MIDDLE_SHARE], ["low", "high", "middle"], "low")
    return pd.Series(classes, future_value.index)


def risk_class(churn: pd.Series) -> pd.Series:
    """low below 0.2, middle below 0.5, else high; middle where it is not known."""
    known = churn.fillna((RISKS[0] + RISKS[1]) / 2)
    return pd.Series(np.select([known < RISKS[0], known < RISKS[1]], RISK_NAMES[:2], "high"), churn.index)


def rfm(histories: pd.DataFrame) -> pd.Series:
    """Digits 1 to 5 for days_since_last_order (5 = most recent), frequency and revenue_total, by customer_id.

    Fifths of ranks; equal values share the middle of their ranks, so they share a digit.
    """
    n = len(histories)

    def digit(values: pd.Series) -> pd.Series:
        return np.ceil(5 * (values.rank(method="average") - 0.5) / n).clip(1, 5).astype(int).astype(str)

    digits = (
        digit(-histories["days_since_last_order"]) + digit(histories["frequency"]) + digit(histories["revenue_total"])
    )
    return digits.set_axis(histories["customer_id"])


def lifecycle(ltv: pd.DataFrame, rhythm: pd.DataFrame, running: pd.DataFrame | None, as_of: date) -> pd.Series:
    """prospect, lost, dormant, new, returned, at_risk or active; the first that holds.

    prospect: nothing bought yet. lost, dormant: no running contract and P(alive) below 0.1, 0.5; a contract that ended
    with no orders beside it is lost. new: first activity within 12 months, start known. returned: last purchase
    within 12 months after a silence of more than a year. at_risk: lost within 12 months with a chance of half or more.
    `rhythm`: customer_id, first_on, start_unknown, last_on, last_gap_days (health.lifecycle_facts); `running` from
    kpis.running_now.
    """
    own = rhythm.set_index("customer_id").reindex(ltv["customer_id"]).set_axis(ltv.index)
    year_ago = pd.Timestamp(add_months(as_of, -12))
    has_contract = ltv["customer_id"].isin([] if running is None else running["customer_id"])
    alive = ltv["p_alive"].fillna(1.0)
    lapsed = ltv["basis"].isin(["contracts", "none"]) & ~has_contract
    conditions = [
        (ltv["basis"] == "none") & own["first_on"].isna(),
        lapsed | (~has_contract & (alive < GONE)),
        ~has_contract & (alive < DORMANT),
        (pd.to_datetime(own["first_on"]) > year_ago) & ~own["start_unknown"].eq(True),
        (own["last_gap_days"] > RETURN_DAYS) & (pd.to_datetime(own["last_on"]) > year_ago),
        ltv["p_lost_12_months"] >= RISKS[1],
    ]
    names = ["prospect", "lost", "dormant", "new", "returned", "at_risk"]
    return pd.Series(np.select(conditions, names, "active"), ltv.index)


def table(ltv: pd.DataFrame, stage: pd.Series, histories: pd.DataFrame | None) -> pd.DataFrame:
    """The `segments_by_customer` table. `stage` by row of `ltv`; without histories rfm is null."""
    churn = ltv["p_lost_12_months"]
    classes, risks = value_class(ltv["future_value"]), risk_class(churn)
    digits = ltv["customer_id"].map(rfm(histories)) if histories is not None and len(histories) else None
    return pd.DataFrame(
        {
            "customer_id": ltv["customer_id"],
            "value_segment": classes + "_" + risks,
            "value_class": classes,
            "risk_class": risks,
            "lifecycle": stage,
            "rfm": digits,
            "future_value": ltv["future_value"],
            "churn_probability": churn,
            "value_at_risk": ltv["future_value"].clip(lower=0) * churn.fillna(0.0),
        }
    )


def profile(segments: pd.DataFrame, ltv: pd.DataFrame) -> pd.DataFrame:
    """The `segment_profile` table: one row a value_segment that holds a customer."""
    both = segments.merge(ltv[["customer_id", "realised_profit"]], "left", "customer_id")
    grouped = both.groupby("value_segment", sort=True)
    return grouped.agg(
        customers=("customer_id", "size"),
        future_value=("future_value", "sum"),
        future_value_median=("future_value", "median"),
        value_at_risk=("value_at_risk", "sum"),
        realised_profit=("realised_profit", "sum"),
    ).reset_index()


def moves(before: pd.DataFrame | None, after: pd.DataFrame) -> pd.DataFrame | None:
    """The `segment_moves` table from two `segments_by_customer`; None without a review before.

    from 'none': not a customer then; to 'none': no longer in the data. Stayers are rows too.
    """
    if before is None:
        return None
    then = before[["customer_id", "value_segment"]].rename(columns={"value_segment": "from_segment"})
    now = after[["customer_id", "value_segment", "future_value"]].rename(columns={"value_segment": "to_segment"})
    both = then.merge(now, "outer", "customer_id")
    both[["from_segment", "to_segment"]] = both[["from_segment", "to_segment"]].fillna("none")
    both["future_value"] = both["future_value"].fillna(0.0)
    grouped = both.groupby(["from_segment", "to_segment"], sort=True)
    return grouped.agg(customers=("customer_id", "size"), future_value=("future_value", "sum")).reset_index()


def grid_words(segments: pd.DataFrame) -> str:
    """One sentence: what the high-value customers carry, and how many of them are at high risk."""
    high = segments[segments["value_class"] == "high"]
    total, risk = segments["future_value"].clip(lower=0).sum(), segments["value_at_risk"].sum()
    if not len(segments) or total <= 0:
        return f"None of the {len(segments):,} customers has a positive future value, so there is nothing to rank."
    endangered = (high["risk_class"] == "high").sum()
    return (
        f"{len(high):,} of {len(segments):,} customers carry {high['future_value'].sum() / total:.0%} of the positive "
        f"future value, {endangered:,} of them at high risk; {risk / total:.0%} of that value is at risk."
    )


def move_words(moved: pd.DataFrame | None) -> str:
    """One sentence: how many customers stayed in their segment, rose and fell in risk."""
    if moved is None:
        return "This is the first review: there is no earlier segment to compare with."
    known = moved[(moved["from_segment"] != "none") & (moved["to_segment"] != "none")]
    risk = {name: i for i, name in enumerate(RISK_NAMES)}
    change = known["to_segment"].str.split("_").str[1].map(risk) - known["from_segment"].str.split("_").str[1].map(risk)
    stayed = known.loc[known["from_segment"] == known["to_segment"], "customers"].sum()
    new = moved.loc[moved["from_segment"] == "none", "customers"].sum()
    return (
        f"{stayed:,} of {known['customers'].sum():,} customers stayed in their segment; risk rose for "
        f"{known.loc[change > 0, 'customers'].sum():,} and fell for {known.loc[change < 0, 'customers'].sum():,}. "
        f"New to the review: {new:,}."
    )
