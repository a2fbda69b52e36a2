"""What the lapse of the last contract does to orders, learned from past lapses (floor 2).

Orders of the six months after against the six months before the last contract ended, beside customers who kept theirs
over the same months. Customers who left altogether with their contract are in it: from the orders' side that is what a
lapse means.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils.periods import add_months
from ltvlab_utils.value.contracts import stop_of

WINDOW = 6  # months on each side
PRIOR_SD = 0.5  # of the log factor around that of the settings
LOWEST, HIGHEST = 0.02, 1.5


@dataclass(frozen=True)
class Lapses:
    """One row a past lapse of a customer that had orders: before, after (purchase days in the windows), kept_before,
    kept_after (those of all customers who kept their contracts over the same months)."""

    rows: pd.DataFrame


@dataclass(frozen=True)
class Factor:
    """Posterior of the log factor: normal. `weight` of the data against the setting; `lapses` behind it."""

    mean: float
    sd: float
    weight: float
    lapses: int

    def draw(self, draws: int, rng: np.random.Generator, certain: bool = False) -> np.ndarray:
        noise = 0.0 if certain else rng.standard_normal(draws)
        return np.clip(np.exp(self.mean + self.sd * noise + np.zeros(draws)), LOWEST, HIGHEST)


def spans(terms: pd.DataFrame) -> pd.DataFrame:
    """Per customer: under contract from `since` to `until` (last day, of running contracts that of the term)."""
    terms = terms.assign(stop=stop_of(terms))
    ends = terms.groupby("customer_id").agg(since=("starts_on", "min"), until=("stop", "max"))
    last = terms.sort_values(["customer_id", "stop", "contract_id"]).groupby("customer_id")["outcome"].last()
    return ends.assign(ended=last.isin(["churned", "cancelled_early"])).reset_index()


def lapses(days: ir.Table, terms: pd.DataFrame, as_of: date) -> Lapses | None:
    """Past lapses with complete windows; None without any. `days`: purchase days at as-of; `terms`: known then."""
    held = spans(terms)
    window = pd.DateOffset(months=WINDOW)
    days = days.filter(days.counts).select("customer_id", "day")
    start = days.day.min().to_pandas()
    if pd.isna(start) or held.empty:
        return None
    done = held["ended"] & (held["until"] <= pd.Timestamp(add_months(as_of, -WINDOW)))
    done &= (held["until"] - window >= held["since"]) & (held["until"] - window >= pd.Timestamp(start))
    gone = held[done]
    if gone.empty:
        return None
    # lapses are counted by the month in which they fall, so that keepers are counted once a month
    turn = gone["until"].dt.to_period("M").dt.to_timestamp() + pd.offsets.MonthBegin(1)
    gone = gone.assign(turn=turn)
    at = ibis.memtable(pd.DataFrame({"turn": pd.to_datetime(turn.drop_duplicates()).dt.date}), schema={"turn": "date"})
    who = ibis.memtable(
        held.assign(
            since=held["since"].dt.date,
            # a contract that runs is kept beyond the end of its term
            until=held["until"].where(held["ended"], pd.Timestamp(as_of) + window).dt.date,
        )[["customer_id", "since", "until"]],
        schema={"customer_id": "string", "since": "date", "until": "date"},
    )
    six = ibis.interval(months=WINDOW)
    near = days.inner_join(who, "customer_id").cross_join(at)
    near = near.filter((near.day >= (near.turn - six).cast("date")) & (near.day < (near.turn + six).cast("date")))
    near = near.mutate(late=near.day >= near.turn)
    kept = near.filter((near.since <= (near.turn - six).cast("date")) & (near.until >= (near.turn + six).cast("date")))
    count = lambda t, late: t.count(where=t.late if late else ~t.late)  # noqa: E731
    kept = (
        kept.group_by("turn")
        .aggregate(kept_before=lambda t: count(t, False), kept_after=lambda t: count(t, True))
        .to_pandas()
    )
    own = (
        near.group_by(["customer_id", "turn"])
        .aggregate(before=lambda t: count(t, False), after=lambda t: count(t, True))
        .to_pandas()
    )
    for frame in (kept, own):
        frame["turn"] = pd.to_datetime(frame["turn"]).astype("datetime64[us]")
    gone = gone.assign(turn=gone["turn"].astype("datetime64[us]"))
    rows = gone[["customer_id", "turn"]].merge(own, how="inner").merge(kept, how="left", on="turn")
    rows = rows.sort_values(["customer_id", "turn"], ignore_index=True).fillna(0.0)
    return Lapses(rows) if len(rows) else None


def factor(found: Lapses | None, setting: float) -> Factor | None:
    """The factor on the order rate after a lapse. Prior: log-normal around `setting`; None where that is 0 (orders are
    held to end with the contract). Variance by customer, so that a few who order much do not pass for many."""
    if setting <= 0:
        return None
    prior = np.log(setting)
    if found is None:
        return Factor(prior, PRIOR_SD, 0.0, 0)
    f = found.rows
    total_before, total_after = f["kept_before"].sum(), f["kept_after"].sum()
    # what keepers did over the same months, pulled to all months where they had few orders
    pace = (
        (f["kept_after"] + total_after / max(total_before, 1) * 10) / (f["kept_before"] + 10) if total_before else 1.0
    )
    expected = (f["before"] * pace).to_numpy(dtype=float)
    if expected.sum() < 1:
        return Factor(prior, PRIOR_SD, 0.0, len(f))
    after = f["after"].to_numpy(dtype=float)
    ratio = (after.sum() + 0.5) / (expected.sum() + 0.5)
    spread = ((after - ratio * expected) ** 2).sum() / (ratio * expected.sum()) ** 2
    variance = max(spread, 1 / (after.sum() + 0.5)) + 1 / max(expected.sum(), 1)
    weight = PRIOR_SD**2 / (PRIOR_SD**2 + variance)
    return Factor(
        float(prior + weight * (np.log(ratio) - prior)), float(np.sqrt(variance * weight)), float(weight), len(f)
    )
