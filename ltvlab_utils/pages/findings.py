"""What the tables say, as codes with their figures: the headings of a page are made of these.

A finding is (code, values): numbers stay numbers here and are written out by the section that says them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import pandas as pd

from ltvlab_utils.i18n import is_known

FLAT = 0.005  # a change below half a per cent is "about the same"
Z80, Z95 = NormalDist().inv_cdf(0.90), NormalDist().inv_cdf(0.975)
ESTIMATORS = ("lin", "cuped", "neyman", "group_time_att")


@dataclass(frozen=True)
class Finding:
    """A code of the catalogue and the numbers that fill it."""

    code: str
    values: dict[str, float] = field(default_factory=dict)


def direction(change: float | None) -> str:
    """up, down, flat or unknown of a relative change."""
    if not is_known(change):
        return "unknown"
    return "flat" if abs(change) < FLAT else "up" if change > 0 else "down"


def revenue_moved(bridge: pd.DataFrame) -> Finding:
    """How revenue moved from opening to closing. Values: change (fraction; absent where the opening is 0)."""
    level = bridge.set_index("step")["value"]
    opening, closing = float(level.get("opening", 0.0)), float(level.get("closing", 0.0))
    if opening <= 0:
        return Finding("finding.revenue_unknown")
    change = closing / opening - 1
    return Finding(f"finding.revenue_{direction(change)}", {"change": abs(change)})


def losses_against_gains(bridge: pd.DataFrame) -> Finding:
    """How much of what was won (new, expansion, return) was lost again (contraction, pause, churn).

    Values: share = lost / won, won, lost (positive amounts).
    """
    changes = bridge[~bridge["step"].isin(["opening", "closing"])]["value"]
    won, lost = float(changes[changes > 0].sum()), float(-changes[changes < 0].sum())
    values = {"won": won, "lost": lost}
    if won == 0 and lost == 0:
        return Finding("finding.nothing_moved", values)
    if won == 0:
        return Finding("finding.only_lost", values)
    share = lost / won
    size = "none" if share < 0.05 else "part" if share < 0.95 else "all" if share <= 1.05 else "more"
    return Finding(f"finding.lost_{size}", {**values, "share": share})


def value_moved(value: float, low: float, high: float, prior: float | None) -> Finding:
    """Change of future value since the prior review, and whether it stays inside the interval of today's forecast."""
    if prior is None or prior <= 0:
        return Finding("finding.value_first", {"value": value})
    change = value / prior - 1
    where = "inside" if low <= prior <= high else "outside"
    return Finding(f"finding.value_{direction(change)}_{where}", {"change": abs(change), "value": value})


def concentration(future_value: pd.Series) -> tuple[Finding, list[float]]:
    """Share of all future value by tenth of customers, most valuable first (ten shares of the net total).

    Values: share of the first tenth, count = its customers. A total that is not positive has no shares.
    """
    values = np.sort(future_value.to_numpy(dtype=float))[::-1]
    total = float(values.sum())
    if total <= 0 or len(values) < 10:
        return Finding("finding.concentration_unknown"), []
    shares = [float(part.sum()) / total for part in np.array_split(values, 10)]
    count = len(np.array_split(values, 10)[0])
    return Finding("finding.concentration", {"share": shares[0], "count": count}), shares


def watch(watchlist: pd.DataFrame | None) -> Finding:
    """Customers that need someone now. Values: count, at_risk, soon (deadline within 30 days)."""
    if watchlist is None or watchlist.empty:
        return Finding("finding.watch_none")
    soon = int((watchlist["days_left"].notna() & (watchlist["days_left"] <= 30)).sum())
    values = {"count": len(watchlist), "at_risk": float(watchlist["value_at_risk"].sum()), "soon": soon}
    return Finding("finding.watch_soon" if soon else "finding.watch", values)


def grid(segments: pd.DataFrame) -> Finding:
    """What the valuable customers carry. Values: count and share of high value, endangered = of them at high risk."""
    high = segments[segments["value_class"] == "high"]
    total = float(segments["future_value"].sum())
    endangered = int((high["risk_class"] == "high").sum())
    values = {"count": len(high), "endangered": endangered}
    if total <= 0 or high.empty:
        return Finding("finding.grid_plain", {"count": len(segments)})
    return Finding("finding.grid_endangered" if endangered else "finding.grid_safe",
                   {**values, "share": float(high["future_value"].sum()) / total})  # fmt: skip


def measures(effects: pd.DataFrame | None) -> pd.DataFrame:
    """One row a campaign: its primary metric with the verdict, and beside it what it brought in money.

    Money is gross profit, where no campaign has it revenue; the estimator is the first of ESTIMATORS that is there.
    Adds money_metric, effect_money, net, net_low, net_high (total effect, for gross profit less the full cost; 95 %;
    null where no effect is known), naive_net (the same from the naive reading) and decision (continue, stop,
    cannot_tell). A decision needs the whole interval on one side of zero, and "continue" a primary metric that works.
    """
    if effects is None or effects.empty:
        return pd.DataFrame()
    rank = {name: i for i, name in enumerate(ESTIMATORS)}
    ordered = effects.assign(_order=effects["estimator"].map(rank).fillna(len(rank)))
    ordered = ordered.sort_values(["campaign_id", "_order", "metric"])
    rows = ordered[ordered["primary"]].drop_duplicates("campaign_id").set_index("campaign_id")
    metric = "gross_profit" if (ordered["metric"] == "gross_profit").any() else "revenue"
    money = ordered[ordered["metric"] == metric].drop_duplicates("campaign_id").set_index("campaign_id")
    money = money.reindex(rows.index)
    cost = rows["cost_amount"] if metric == "gross_profit" else 0.0
    rows["money_metric"] = metric
    for net, total in (("net", "total_effect"), ("net_low", "total_low"), ("net_high", "total_high")):
        rows[net] = (money[total] - cost).where(rows["causal"])
    rows["naive_net"] = money["naive"] * money["n_treatment"] - cost
    rows = rows.drop(columns="_order").reset_index()
    rows["decision"] = [_decision(row) for row in rows.to_dict("records")]
    return rows


def _decision(row: dict) -> str:
    if not row["causal"] or row["verdict"] == "harms":
        return "stop" if row["causal"] else "cannot_tell"
    if not (is_known(row["net_low"]) and is_known(row["net_high"])):
        return "continue" if row["verdict"] == "works" else "cannot_tell"
    least = 0.0 if row["money_metric"] == "gross_profit" else row["cost_amount"]
    if row["net_high"] < least:  # even the high end does not cover the cost
        return "stop"
    paid = row["money_metric"] == "gross_profit" and row["net_low"] > 0 and row["verdict"] == "works"
    return "continue" if paid else "cannot_tell"


def net_total(rows: pd.DataFrame) -> dict[str, float] | None:
    """Sum over the campaigns whose effect in money is known, with an 80 % interval: net, low, high, cost, campaigns.

    Campaigns are taken as independent; each 95 % interval is read as a normal one and narrowed by z(0.90)/z(0.975).
    """
    known = rows.dropna(subset=["net", "net_low", "net_high"]) if len(rows) else rows
    if known.empty:
        return None
    sd = np.sqrt((((known["net_high"] - known["net_low"]) / (2 * Z95)) ** 2).sum())
    net = float(known["net"].sum())
    return {
        "net": net,
        "low": net - Z80 * float(sd),
        "high": net + Z80 * float(sd),
        "cost": float(known["cost_amount"].sum()),
        "campaigns": len(known),
    }


def evaluated(rows: pd.DataFrame) -> Finding:
    """Values: count, continue_, stop, cannot_tell."""
    if rows.empty:
        return Finding("finding.measures_none")
    counts = rows["decision"].value_counts()
    values = {"count": len(rows), "cannot_tell": int(counts.get("cannot_tell", 0))}
    values |= {"go": int(counts.get("continue", 0)), "stop": int(counts.get("stop", 0))}
    if values["go"] and values["stop"]:
        return Finding("finding.measures_both", values)
    if values["go"]:
        return Finding("finding.measures_paid", values)
    return Finding("finding.measures_stop" if values["stop"] else "finding.measures_cannot_tell", values)
