"""Contracts of the sample company: terms, notice deadlines, renewals whose hazard falls with tenure, changes."""

from __future__ import annotations

import numpy as np
import pandas as pd


def month_start(first: np.datetime64, month: np.ndarray) -> np.ndarray:
    """First day of month number `month` (0 = the first month of the data)."""
    return (first.astype("datetime64[M]") + month).astype("datetime64[D]")


def _day(rng, low, high):
    return np.floor(rng.uniform(low, high)).astype("timedelta64[D]")


def terms_and_changes(
    rng: np.random.Generator, holders: pd.DataFrame, first: np.datetime64, months: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Terms and changes of one contract a row of `holders` (contract_id, customer_id, start_month, amount, ...).

    The extract holds contracts that lived when the data begin: terms that ended before are not in it.
    """
    n = len(holders)
    last = month_start(first, np.array(months)) - np.timedelta64(1, "D")
    length = np.where(rng.random(n) < 0.8, 12, 24)
    billing = np.where(rng.random(n) < 0.55, "annual", "monthly")
    notice = np.where(rng.random(n) < 0.5, 60, 90).astype("timedelta64[D]")
    leaning = rng.normal(-1.5, 0.9, n)  # of each customer, log odds not to renew the first time
    start, amount = holders["start_month"].to_numpy().copy(), holders["amount"].to_numpy().astype(float)
    alive, terms, changes = np.ones(n, bool), [], []
    for term in range(1, 40):
        alive = alive & (month_start(first, start) <= last)
        if not alive.any():
            break
        starts, ends = month_start(first, start), month_start(first, start + length) - np.timedelta64(1, "D")
        due = ends - notice
        stays = rng.random(n) > 1 / (1 + np.exp(-(leaning - 0.3 * (term - 1))))
        early = rng.random(n) < 0.025 * length / 12
        given = due - _day(rng, 0, np.full(n, 25))
        quits = starts + _day(rng, 45, np.maximum(length * 30 - 100, 46))
        decided = np.where(early, quits, np.where(stays, due, given))
        known = decided <= last
        outcome = np.where(~known, "open", np.where(early, "cancelled_early", np.where(stays, "renewed", "churned")))
        terms.append(
            pd.DataFrame(
                {
                    "contract_id": holders["contract_id"],
                    "customer_id": holders["customer_id"],
                    "product_id": holders["product_id"],
                    "term_no": term,
                    "starts_on": starts,
                    "ends_on": ends,
                    "term_months": length,
                    "billing": billing,
                    "monthly_amount": amount.astype(int),
                    "monthly_cost": np.round(amount * holders["cost_share"]).astype(int),
                    "discount_rate": holders["discount_rate"],
                    "auto_renew": True,
                    "notice_due_on": due,
                    "notice_given_on": np.where(outcome == "churned", given, np.datetime64("NaT")),
                    "outcome": outcome,
                    "outcome_on": np.where(known, decided, np.datetime64("NaT")),
                }
            )[alive]
        )
        # one change in mid-term for some, and a new amount at renewal
        turn = rng.random(n)
        factor = np.select([turn < 0.12, turn < 0.17], [rng.uniform(1.1, 1.5, n), rng.uniform(0.6, 0.9, n)], 1.0)
        when = month_start(first, start + rng.integers(2, np.maximum(length - 2, 3)))
        factor = np.where(early & (when >= quits), 1.0, factor)
        changes.append(_changed(holders, alive, when, amount, factor, np.where(factor > 1, "upsell", "downsell")))
        amount = np.round(amount * factor, -2)
        turn = rng.random(n)
        factor = np.select([turn < 0.10, turn < 0.16, turn < 0.6], [1.2, 0.85, 1.03], 1.0)
        alive = alive & stays & ~early
        start = start + length
        reason = np.select([turn < 0.10, turn < 0.16], ["upsell", "downsell"], "price")
        changes.append(_changed(holders, alive, month_start(first, start), amount, factor, reason))
        amount = np.round(amount * factor, -2)
    table = pd.concat(terms, ignore_index=True)
    stopped = table["outcome_on"].where(table["outcome"] == "cancelled_early", table["ends_on"])
    table = table[stopped >= first].sort_values(["contract_id", "term_no"], ignore_index=True)
    moved = pd.concat(changes, ignore_index=True)
    inside = (moved["changed_on"] >= first) & (moved["changed_on"] <= last)
    moved = moved[inside & moved["contract_id"].isin(table["contract_id"])]
    return table, moved.sort_values(["contract_id", "changed_on"], ignore_index=True)


def _changed(holders, alive, when, before, factor, reason) -> pd.DataFrame:
    after = np.round(before * factor, -2)
    frame = pd.DataFrame(
        {
            "contract_id": holders["contract_id"],
            "customer_id": holders["customer_id"],
            "changed_on": when,
            "amount_before": before.astype(int),
            "amount_after": after.astype(int),
            "reason": reason,
        }
    )
    return frame[alive & (after != before)]


def monthly_amounts(terms: pd.DataFrame, changes: pd.DataFrame, first: np.datetime64, months: int) -> pd.DataFrame:
    """Contract amounts by contract and month of the data: contract_id, customer_id, month, amount, cost."""
    grid = terms.merge(pd.DataFrame({"month": month_start(first, np.arange(months))}), how="cross")
    stops = grid["outcome_on"].where(grid["outcome"] == "cancelled_early", grid["ends_on"])
    grid = grid[(grid["month"] >= grid["starts_on"]) & (grid["month"] <= stops)].sort_values("month", kind="stable")
    newest = changes.sort_values("changed_on", kind="stable")[["contract_id", "changed_on", "amount_after"]]
    grid = pd.merge_asof(grid, newest, left_on="month", right_on="changed_on", by="contract_id")
    current = grid["amount_after"].where(grid["changed_on"] >= grid["starts_on"], grid["monthly_amount"])
    ratio = grid["monthly_cost"] / grid["monthly_amount"].clip(lower=1)
    return grid[["contract_id", "customer_id", "month"]].assign(amount=current, cost=(current * ratio).round())
