"""Campaigns of the sample company: one randomised that works, one randomised that does not, one targeted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

WINDOW = 60  # days in which each campaign is judged
EXTRA_ORDERS = 0.7  # orders that C1 adds per treated customer within its window; C2 adds none


@dataclass(frozen=True)
class Plan:
    """What was planned and done, and the orders with the effect of C1 in them."""

    orders: pd.DataFrame
    campaigns: pd.DataFrame
    assignments: pd.DataFrame
    touches: pd.DataFrame


# id, days from its start to the end of the data, design, name, channel, action, department, cost, share treated
CAMPAIGNS = (
    ("C1", 167, "randomised", "定期補充のご案内", "mail", "reorder_offer", "営業企画", 900_000, 0.5),
    ("C2", 120, "randomised", "新製品セミナー", "seminar", "seminar", "マーケティング", 1_800_000, 0.5),
    ("C3", 242, "targeted", "重点先訪問", "visit", "visit", "営業", 2_400_000, 1.0),
)


def plan(rng: np.random.Generator, people: pd.DataFrame, orders: pd.DataFrame, first: np.datetime64, days: int) -> Plan:
    """Chooses the customers of each campaign from the orders of the year before it, and adds the effect of C1."""
    rows, assigned, touched, extra = [], [], [], []
    for code, back, design, name, channel, action, department, cost, share in CAMPAIGNS:
        start = days - back
        recent = orders[orders["day"].between(start - 365, start - 1)].groupby("customer").size()
        known = recent.index[people["born"].to_numpy()[recent.index] < start].to_numpy()
        if design == "targeted":
            known = np.sort(recent.loc[known].sort_values(kind="stable").index[-max(len(known) // 6, 4) :].to_numpy())
        block = people["industry"].to_numpy()[known]
        treated = _randomised(rng, block, share) if design == "randomised" else np.ones(len(known), bool)
        if code == "C1":
            alive = people["dies"].to_numpy()[known[treated]] > start + WINDOW
            who = np.repeat(known[treated], rng.poisson(EXTRA_ORDERS, treated.sum()) * alive)
            extra.append(pd.DataFrame({"customer": who, "day": start + rng.integers(1, WINDOW, len(who))}))
        rows.append(
            (code, name, department, channel, action, start, start + WINDOW - 1, cost, "orders", WINDOW, design, "1")
        )
        ids = people["customer_id"].to_numpy()[known]
        assigned.append(
            pd.DataFrame(
                {
                    "campaign_id": code,
                    "customer_id": ids,
                    "arm": np.where(treated, "treatment", "control"),
                    "assigned_at": start - 3,
                    "block": block,
                    "version": "1",
                }
            )
        )
        touched.append(
            pd.DataFrame(
                {
                    "campaign_id": code,
                    "customer_id": ids[treated],
                    "touched_at": start + rng.integers(0, 5, treated.sum()),
                    "kind": channel,
                    "cost_amount": round(cost / max(treated.sum(), 1)),
                }
            )
        )
    columns = "campaign_id name department channel action starts_on ends_on cost_amount primary_metric window_days"
    table = pd.DataFrame(rows, columns=[*columns.split(), "design", "version"])
    dated = [table, pd.concat(assigned, ignore_index=True), pd.concat(touched, ignore_index=True)]
    for frame, names in zip(dated, (("starts_on", "ends_on"), ("assigned_at",), ("touched_at",)), strict=True):
        for column in names:
            frame[column] = first + frame[column].to_numpy().astype("timedelta64[D]")
    both = pd.concat([orders, *extra], ignore_index=True).sort_values(["day", "customer"], kind="stable")
    return Plan(both.reset_index(drop=True), *dated)


def _randomised(rng: np.random.Generator, block: np.ndarray, share: float) -> np.ndarray:
    """Complete randomisation within each block: exactly the share is treated, in every block both arms."""
    rank = pd.Series(rng.random(len(block))).groupby(block).rank(method="first")
    return (rank <= (pd.Series(block).groupby(block).transform("size") * share).round()).to_numpy()
