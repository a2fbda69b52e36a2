"""Campaigns of a generated company: chosen from what it knew at the time, run on its past, and written as tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.measures import ACTIONS, Applied, with_spill

MONTHS_BEFORE = 12  # of data that a campaign needs, to choose customers by


@dataclass(frozen=True)
class Campaign:
    """`back`: months from its start to the end of the data; `who`: buyers (an order in the year before), top (sixth of
    them by orders), renewing (a notice deadline within six months), holders (a running contract); `waves`: months
    after the start in which further groups begin (staggered)."""

    code: str
    back: int
    design: str
    action: str
    name: str
    channel: str
    department: str
    metric: str
    window: int
    who: str
    waves: tuple[int, ...] = (0,)


CAMPAIGNS = (
    Campaign("C1", 6, "randomised", "reorder_offer", "定期補充のご案内", "mail", "営業企画", "orders", 60,
             "buyers"),
    Campaign("C2", 4, "randomised", "seminar", "新製品セミナー", "seminar", "マーケティング", "orders", 60,
             "buyers"),
    Campaign("C3", 8, "targeted", "visit", "重点先訪問", "visit", "営業", "orders", 60, "top"),
    Campaign("C4", 10, "randomised", "renewal_offer", "更新前活用レビュー", "meeting", "カスタマーサクセス",
             "renewals", 183, "renewing"),
    Campaign("C5", 14, "randomised", "early_order_offer", "早期発注キャンペーン", "mail", "営業企画", "orders",
             60, "buyers"),
    Campaign("C6", 20, "randomised", "visit", "定期訪問プログラム", "visit", "営業", "orders", 91, "buyers"),
    Campaign("C7", 18, "staggered", "success_plan", "専任サクセスチーム", "meeting", "カスタマーサクセス",
             "revenue", 183, "holders", (0, 3, 6)),
    Campaign("C8", 1, "randomised", "upsell_proposal", "追加機能のご提案", "call", "カスタマーサクセス",
             "revenue", 90, "holders"),
)  # fmt: skip


@dataclass(frozen=True)
class Assigned:
    """A campaign, the `month` it began, and its customers: `rows` of people, and by row of `rows` `treated`, `start`
    (month, -1 = never) and `block` (line of business); `applied`: weights of all customers of the company."""

    campaign: Campaign
    month: int
    rows: np.ndarray
    treated: np.ndarray
    start: np.ndarray
    block: np.ndarray
    applied: Applied


def starting(month: int, months: int) -> list[Campaign]:
    """Campaigns that begin in a month of the data."""
    return [c for c in CAMPAIGNS if months - c.back == month and month >= MONTHS_BEFORE]


def assign(seed: int, campaign: Campaign, month: int, cast, state, orders: np.ndarray, spill: float) -> Assigned:
    """Chooses customers by the state and the orders so far ((customers, months) purchase counts of the data)."""
    people = cast.people
    last_year = orders[:, month - MONTHS_BEFORE : month].sum(axis=1)
    holds = np.zeros(len(people), bool)
    renews = np.zeros(len(people), bool)
    main = state.slots[0]
    holds[cast.holders] = main.active[:, 0]
    ahead = main.left[:, 0] - people["notice"].to_numpy()[cast.holders]
    renews[cast.holders] = main.active[:, 0] & ~main.leaving[:, 0] & (ahead >= 1) & (ahead <= 6)
    eligible = {"buyers": last_year > 0, "top": last_year > 0, "holders": holds, "renewing": renews}[campaign.who]
    rows = np.flatnonzero(eligible)
    if campaign.who == "top":
        rows = np.sort(rows[np.argsort(-last_year[rows], kind="stable")][: max(len(rows) // 6, 4)])
    block = people["line"].to_numpy()[rows]
    rank = _rank(draws.below(draws.keys(seed, campaign.code, people["candidate"].to_numpy()[rows]), "arm"), block)
    start = np.full(len(rows), -1)
    if campaign.design == "targeted":
        start[:] = month
    elif campaign.design == "randomised":
        start[rank < 0.5] = month
    else:  # equal groups, the last never
        group = (rank * (len(campaign.waves) + 1)).astype(int).clip(max=len(campaign.waves))
        start = np.array([*(month + w for w in campaign.waves), -1])[group]
    begins = np.full(len(people), -1)
    begins[rows] = start
    reached = with_spill(begins, people["response"].to_numpy(), people["group"].to_numpy(), spill)
    return Assigned(campaign, month, rows, start >= 0, start, block, Applied(campaign.action, *reached))


def _rank(draw: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Place of each within its block, from 0 to below 1: exactly the share is treated in every block."""
    frame = pd.Series(draw).groupby(block)
    return ((frame.rank(method="first") - 0.5) / frame.transform("size")).to_numpy()


def tables(seed: int, assigned: list[Assigned], ids: np.ndarray, lines: np.ndarray, month_day, last) -> dict:
    """campaigns, assignments and touches as the company wrote them. `month_day(month)`: first day of a month; `last`:
    last day of the data, after which nothing is known yet."""
    rows, arms, touches = [], [], []
    for one in assigned:
        c, start = one.campaign, month_day(one.month)
        ends = start + np.timedelta64(c.window - 1, "D")
        each = ACTIONS[c.action].cost
        known = (c.code, c.name, c.department, c.channel, c.action, start, ends, each * int(one.treated.sum()))
        rows.append((*known, c.metric, c.window, c.design, "1"))
        began = month_day(np.maximum(one.start, 0))
        arms.append(
            pd.DataFrame(
                {
                    "campaign_id": c.code,
                    "customer_id": ids[one.rows],
                    "arm": np.where(one.treated, "treatment", "control"),
                    "assigned_at": start - np.timedelta64(3, "D"),
                    "block": lines[one.block] if c.design == "randomised" else None,
                    "starts_on": np.where(one.treated, began, np.datetime64("NaT"))
                    if c.design == "staggered"
                    else np.datetime64("NaT"),
                    "version": "1",
                }
            )
        )
        treated = np.flatnonzero(one.treated)
        key = draws.keys(seed, f"touch {c.code}", one.rows[treated])
        at = began[treated] + np.floor(5 * draws.below(key, "day")).astype("timedelta64[D]")
        touches.append(
            pd.DataFrame(
                {
                    "campaign_id": c.code,
                    "customer_id": ids[one.rows[treated]],
                    "touched_at": at,
                    "kind": c.channel,
                    "cost_amount": each,
                }
            )
        )
    names = "campaign_id name department channel action starts_on ends_on cost_amount primary_metric window_days"
    made = (
        pd.concat(touches, ignore_index=True)
        if touches
        else _empty("campaign_id customer_id touched_at kind cost_amount")
    )
    arm_names = "campaign_id customer_id arm assigned_at block starts_on version"
    return {
        "campaigns": pd.DataFrame(rows, columns=[*names.split(), "design", "version"]),
        "assignments": pd.concat(arms, ignore_index=True) if arms else _empty(arm_names),
        "touches": made[made["touched_at"] <= last].reset_index(drop=True) if len(made) else made,
    }


def _empty(names: str) -> pd.DataFrame:
    return pd.DataFrame(columns=names.split())
