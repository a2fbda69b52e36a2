"""Measures and what they really do: pushes on a customer's order rate, satisfaction, renewal and expansion by month.

The models never see this table. Some measures work once, one only pulls orders forward, some last, one does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

LEAST = 0.02  # of its own pace is what a customer keeps at least
MONTHS = 120  # pushes are kept this long after the start of a measure


@dataclass(frozen=True)
class Action:
    """`rate`: push on the log order rate by month from the start; `half_life`: months in which its last value halves
    (0 = nothing after the list); `satisfaction`, `renewal` (log odds), `expansion` (log hazard): likewise by month,
    without decay. `cost`: yen a customer; `hours`: of staff; `kind`: in a word."""

    kind: str
    cost: int
    hours: float
    rate: tuple[float, ...] = ()
    half_life: float = 0.0
    satisfaction: tuple[float, ...] = ()
    renewal: tuple[float, ...] = ()
    expansion: tuple[float, ...] = ()


ACTIONS = {
    "reorder_offer": Action("one-off", 4_000, 0.2, rate=(0.45, 0.45)),
    "early_order_offer": Action("pull-forward", 6_000, 0.2, rate=(0.45, 0.35, -0.68, -0.68)),
    "seminar": Action("no effect", 18_000, 0.5),
    "visit": Action("lasting", 12_000, 3.0, rate=(0.18, 0.18, 0.18), half_life=9.0),
    "renewal_offer": Action("renewal", 8_000, 1.0, renewal=(0.7,) * 6),
    "success_plan": Action("satisfaction", 30_000, 6.0, satisfaction=(0.06,) * 18),
    "upsell_proposal": Action("expansion", 10_000, 2.0, expansion=(0.8,) * 6),
}
CHANNELS = ("rate", "satisfaction", "renewal", "expansion")


def profile(action: str, channel: str, months: int = MONTHS) -> np.ndarray:
    """Push of an action on a channel in each of `months` months from its start, at the mean response."""
    does = ACTIONS[action]
    out = np.zeros(months)
    values = getattr(does, channel)[:months]
    out[: len(values)] = values
    if channel == "rate" and does.half_life and values:
        later = np.arange(1, months - len(values) + 1)
        out[len(values) :] = values[-1] * 0.5 ** (later / does.half_life)
    return out


@dataclass(frozen=True)
class Applied:
    """An action begun for some customers. `weight`: per customer, 0 = not reached; own response and spill included.
    `start`: month of the start per customer, -1 = not reached."""

    action: str
    weight: np.ndarray
    start: np.ndarray


def pushes(applied: list[Applied], month: int, rows: np.ndarray | slice = slice(None)) -> dict[str, np.ndarray | float]:
    """Push on each channel in a month, per customer of `rows`; 0.0 where no action has one.

    The response scales the extra share of orders and not its logarithm, so that orders which are only pulled forward
    are missing later to the same number, however strongly a customer responds.
    """
    out: dict[str, np.ndarray | float] = dict.fromkeys(CHANNELS, 0.0)
    for one in applied:
        since = month - one.start[rows]
        running = (since >= 0) & (since < MONTHS) & (one.weight[rows] > 0)
        if not running.any():
            continue
        for channel in CHANNELS:
            if getattr(ACTIONS[one.action], channel):
                shape = profile(one.action, channel)[since.clip(0, MONTHS - 1)]
                if channel == "rate":
                    push = np.log(np.maximum(1 + one.weight[rows] * np.expm1(shape), LEAST))
                else:
                    push = one.weight[rows] * shape
                out[channel] = out[channel] + np.where(running, push, 0.0)
    return out


def with_spill(
    start: np.ndarray, response: np.ndarray, group: np.ndarray, spill: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of a measure and month of its start per customer, -1 = not reached. The treated (`start` of at least 0)
    have their own response; the others of a treated customer's group (`group` = number of the parent, -1 = none) a
    part `spill` of theirs, from the first start in the group on."""
    treated, grouped = start >= 0, group >= 0
    weight, begins = np.where(treated, response, 0.0), start.copy()
    if spill and grouped.any():
        first = np.full(group.max() + 1, np.iinfo(start.dtype).max)
        np.minimum.at(first, group[treated & grouped], start[treated & grouped])
        earliest = first[group.clip(0)]
        near = ~treated & grouped & (earliest < np.iinfo(start.dtype).max)
        weight, begins = np.where(near, spill * response, weight), np.where(near, earliest, begins)
    return weight, begins


def registry() -> pd.DataFrame:
    """The actions: action, kind (what it does, in a word), cost_amount (yen a customer), hours (of staff)."""
    return pd.DataFrame(
        [{"action": k, "kind": a.kind, "cost_amount": a.cost, "hours": a.hours} for k, a in ACTIONS.items()]
    )
