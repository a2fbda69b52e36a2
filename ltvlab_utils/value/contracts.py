"""What contract terms say at as-of: running contracts, renewal decisions made, amounts to date (floor 2)."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ltvlab_utils.value.calendar import month_index, months_after

GAP_DAYS = 45  # a contract renewed without a later term is held to run on for so long after its term

TERM_COLUMNS = [
    "contract_id", "customer_id", "term_no", "starts_on", "ends_on", "term_months", "monthly_amount", "monthly_cost",
    "notice_due_on", "notice_given_on", "outcome", "outcome_on",
]  # fmt: skip
MAY_LACK = ["product_id", "discount_rate", "paused_from", "paused_to"]  # columns of terms; absent = null


def known_at(terms: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Terms that have begun by as-of, sorted; an outcome dated later reads as open. Money as float."""
    end = pd.Timestamp(as_of)
    terms = terms.reindex(columns=[*TERM_COLUMNS, *MAY_LACK])
    for column in (
        "starts_on",
        "ends_on",
        "notice_due_on",
        "notice_given_on",
        "outcome_on",
        "paused_from",
        "paused_to",
    ):
        terms[column] = pd.to_datetime(terms[column])
    terms["product_id"] = terms["product_id"].astype("object").where(terms["product_id"].notna(), "").astype("str")
    terms["discount_rate"] = pd.to_numeric(terms["discount_rate"]).astype("float64").fillna(0.0)
    for column in ("monthly_amount", "monthly_cost"):
        terms[column] = pd.to_numeric(terms[column]).astype("float64")
    terms = terms[terms["starts_on"] <= end]
    later = ~(terms["outcome_on"] <= end)
    terms["outcome"] = terms["outcome"].mask(later, "open")
    terms["notice_given_on"] = terms["notice_given_on"].where(terms["notice_given_on"] <= end)
    return terms.sort_values(["contract_id", "term_no"], ignore_index=True)


def stop_of(terms: pd.DataFrame) -> pd.Series:
    """Last day of each term: the day of its outcome where it ended early or was superseded."""
    cut = terms["outcome"].isin(["cancelled_early", "superseded"]) & terms["outcome_on"].notna()
    return terms["ends_on"].where(~cut, terms[["ends_on", "outcome_on"]].min(axis=1))


def paused_months(terms: pd.DataFrame, as_of: date) -> pd.Series:
    """Calendar months of each term, up to as-of, in which it was paused."""
    stop = stop_of(terms).clip(upper=pd.Timestamp(as_of))
    end = terms["paused_to"].fillna(stop).where(terms["paused_to"] <= stop, stop)
    months = month_index(end + pd.Timedelta(days=1)) - month_index(terms["paused_from"])
    return months.clip(lower=0.0).fillna(0.0)


def _changes_within(terms: pd.DataFrame, changes: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Changes after the first day of a term that had begun, each with its term: contract_id, term_no, changed_on,
    amount_before, amount_after, stop."""
    keys = terms.assign(stop=stop_of(terms))[["contract_id", "term_no", "starts_on", "stop"]]
    moved = changes.assign(changed_on=pd.to_datetime(changes["changed_on"]))
    for column in ("amount_before", "amount_after"):
        moved[column] = pd.to_numeric(moved[column]).astype("float64")
    moved = moved[moved["changed_on"] <= pd.Timestamp(as_of)].merge(keys, on="contract_id")
    inside = (moved["changed_on"] > moved["starts_on"]) & (moved["changed_on"] <= moved["stop"])
    return moved[inside].sort_values(["contract_id", "term_no", "changed_on", "reason"], kind="stable")


def amounts(terms: pd.DataFrame, changes: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """The terms with `months` delivered to as-of, `revenue` and `cost` to date (null cost = unknown), `amount` a month
    at the end, and `cost_share` of the amount. Revenue counts month by month as delivered, whatever the billing; a
    month of pause is not delivered."""
    moved = _changes_within(terms, changes, as_of)
    by_term = moved.groupby(["contract_id", "term_no"])
    ends = by_term.agg(base=("amount_before", "first"), latest=("amount_after", "last")).reset_index()
    stop = moved["stop"].clip(upper=pd.Timestamp(as_of))
    months_left = month_index(stop + pd.Timedelta(days=1)) - month_index(moved["changed_on"])
    moved = moved.assign(extra=(moved["amount_after"] - moved["amount_before"]) * months_left)
    extra = moved.groupby(["contract_id", "term_no"])["extra"].sum().reset_index()
    out = terms.merge(ends, how="left").merge(extra, how="left")
    stop = stop_of(out).clip(upper=pd.Timestamp(as_of))
    months = month_index(stop + pd.Timedelta(days=1)) - month_index(out["starts_on"]) - paused_months(out, as_of)
    months = months.clip(lower=0)
    share = out["monthly_cost"] / out["monthly_amount"].where(out["monthly_amount"] > 0)
    revenue = out["base"].fillna(out["monthly_amount"]) * months + out["extra"].fillna(0.0)
    return out.assign(
        months=months,
        revenue=revenue,
        cost_share=share,
        cost=revenue * share,
        amount=out["latest"].fillna(out["monthly_amount"]),
    ).drop(columns=["base", "latest", "extra"])


def renewals_made(terms: pd.DataFrame) -> pd.DataFrame:
    """One row a contract for the renewal model: contract_id, customer_id, term_months, renewals_at_entry (made before
    the first term of the data: left-truncated), renewals_made, churned, early (cancelled in mid-term), months
    (delivered to date).

    A decision is known where the outcome says so; a contract in mid-term is censored, and so is one that was cancelled
    early: that is a risk of its own.
    """
    outcome = terms["outcome"]
    marked = terms.assign(
        renewed=(outcome == "renewed").astype("int64"),
        churned=outcome == "churned",
        early=outcome == "cancelled_early",
    )
    out = (
        marked.groupby("contract_id", sort=True)
        .agg(
            customer_id=("customer_id", "last"),
            term_months=("term_months", "last"),
            first_term=("term_no", "min"),
            renewed=("renewed", "sum"),
            churned=("churned", "any"),
            early=("early", "any"),
            months=("months", "sum"),
        )
        .reset_index()
    )
    entry = out["first_term"] - 1
    return out.assign(renewals_at_entry=entry, renewals_made=entry + out["renewed"]).drop(
        columns=["first_term", "renewed"]
    )


def running(terms: pd.DataFrame, made: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row a contract that runs after as-of: contract_id, customer_id, term_months, amount, cost_share,
    discount_rate of the term, renewals_made, months_left of the term (calendar months, 0 = its end is here), decided
    (renewed, churned, open: the next decision), next_renewal_on, notice_due_on, overdue (its term has ended and no
    outcome is known). `terms` are those of `amounts`."""
    end = pd.Timestamp(as_of)
    last = terms.groupby("contract_id", sort=True).tail(1)
    ended = last["outcome"].isin(["cancelled_early", "superseded"]) | (
        (last["outcome"] == "churned") & (last["ends_on"] <= end)
    )
    gap = (last["outcome"] == "renewed") & (last["ends_on"] < end - pd.Timedelta(days=GAP_DAYS))
    last = last[~ended & ~gap].merge(made[["contract_id", "renewals_made"]], on="contract_id")
    leaves = (last["outcome"] == "churned") | ((last["outcome"] == "open") & last["notice_given_on"].notna())
    decided = np.where(leaves, "churned", np.where(last["outcome"] == "renewed", "renewed", "open"))
    return pd.DataFrame(
        {
            "contract_id": last["contract_id"],
            "customer_id": last["customer_id"],
            "term_months": last["term_months"].astype("int64"),
            "amount": last["amount"],
            "cost_share": last["cost_share"],
            "discount_rate": last["discount_rate"],
            "renewals_made": last["renewals_made"].astype("int64"),
            "months_left": months_after(last["ends_on"], as_of).clip(lower=0.0),
            "decided": decided,
            "next_renewal_on": last["ends_on"] + pd.Timedelta(days=1),
            "notice_due_on": last["notice_due_on"],
            "overdue": (last["outcome"] == "open") & (last["ends_on"] < end),
        }
    ).sort_values(["customer_id", "contract_id"], ignore_index=True)
