"""Invoices taken for orders: light worlds whose dates are moved to month ends, on a clock of months and of weeks.

`python -m benchmarks.month_ends [home or misspecified] [customers] [seeds] [first seed]`. Of months with an order in
the coming year: share of the randomised PIT in the central 50/80/90 %, totals inside their intervals, bias, CRPS; and
P(alive) of customers who are dead and alive.
"""

from __future__ import annotations

import sys
from datetime import date

import numpy as np
import pandas as pd

from benchmarks.coverage import WEEKS, WeekHorizon, scores, settings
from benchmarks.results import record
from ltvlab_utils import value
from ltvlab_utils.sample.light import MONTH, light_world
from ltvlab_utils.value.drift import drift
from ltvlab_utils.value.facts import Facts, orders_only
from ltvlab_utils.value.futures import look_back, order_draws
from ltvlab_utils.value.pace import Months

AHEAD = 12
CUTS = (6, 9, 12)  # months before as-of, as value.origins.MONTHS


def of_year(world, months: np.ndarray) -> np.ndarray:
    """Month of the year of months counted from as-of (0 ends there)."""
    middle = WEEKS + (months - 0.5) * MONTH
    return (int(world.parameters.get("start_month", 0)) + np.floor(middle / MONTH).astype(int)) % 12


def invoices(world) -> pd.DataFrame:
    """One row a customer and month with a purchase, the first one included: customer, month (0 ends at as-of)."""
    born = WEEKS - world.histories["T"].to_numpy()
    first = pd.DataFrame({"customer": np.arange(len(born)), "week": born})
    log = pd.concat([first, world.orders[["customer", "week"]]])
    month = np.ceil((log["week"].to_numpy() - WEEKS) / MONTH).astype(int)
    return log.assign(month=month)[["customer", "month"]].drop_duplicates().sort_values(["customer", "month"])


def facts_at(world, log: pd.DataFrame, cut: int, unit: str) -> tuple[Facts, np.ndarray]:
    """The facts `cut` months before as-of, on a clock of months or weeks, and the customers they are about."""
    past = log[log["month"] <= -cut]
    step = 1.0 if unit == "month" else MONTH
    by = past.groupby("customer")["month"]
    first, last, n = by.min(), by.max(), by.size()
    gaps = by.diff().fillna(0).to_numpy() * step
    logs = pd.Series(np.log(np.where(gaps > 0, gaps, 1.0))).groupby(past["customer"].to_numpy()).sum()
    h = pd.DataFrame(
        {
            "frequency": n - 1, "recency": (last - first) * step, "T": (-cut - first) * step, "log_interval_sum": logs,
            "model_segment": "all", "revenue_total": 0.0, "monetary_value": 0.0, "customer_id": first.index.astype(str),
        }
    )  # fmt: skip
    number = int(-cut - first.min()) + 1
    ends = [(-cut - m).value_counts() for m in (first, last[n > 1])]
    count = (-cut - past["month"]).value_counts()
    for of_month in ends:
        count = count.sub(of_month, fill_value=0.0)
    orders = count.reindex(range(number), fill_value=0.0).to_numpy().clip(min=0)
    months = Months(np.arange(number + 1) * step, of_year(world, -cut - np.arange(number)), orders)
    return orders_only(h.reset_index(drop=True), date(2025, 6, 30), months), first.index.to_numpy()


def horizon_of(world, ahead: int, cut: int) -> WeekHorizon:
    horizon = WeekHorizon(date(2025, 6, 30), ahead, 0.0, np.arange(ahead + 1) * MONTH * 7, 10**6)
    object.__setattr__(horizon, "labels", of_year(world, -cut + np.arange(1, ahead + 1)))
    return horizon


def graded(seed: int, kind: str, customers: int) -> dict[str, float]:
    horizons = tuple(MONTH * k for k in range(1, AHEAD + 1))
    world = light_world(seed, customers, kind, weeks=WEEKS, horizons=horizons)
    log = invoices(world)
    ahead = world.futures["orders"].to_numpy().reshape(AHEAD, customers)
    actual = (np.diff(ahead, axis=0, prepend=0) > 0).sum(axis=0).astype(float)
    alive = world.latents["alive"].to_numpy()
    out = {}
    for unit in ("month", "week"):
        rng = np.random.default_rng([seed, customers])
        chosen = settings(unit=unit)
        facts, _ = facts_at(world, log, 0, unit)
        fits = value.fit(facts, chosen, quick=True)
        found = []
        for cut in CUTS:
            then, who = facts_at(world, log, cut, unit)
            later = (log["month"] > -cut) & log["customer"].isin(who)
            found.append((float(later.sum()), look_back(then, fits, chosen, horizon_of(world, cut, cut), rng)))
        fits.drift = drift(found)
        draws = order_draws(facts, fits, chosen, horizon_of(world, AHEAD, 0), rng)
        p = fits.orders["all"].model.probability_alive(facts.histories)
        own = scores(draws, actual, rng) | {"p_dead": p[~alive].mean(), "p_alive": p[alive].mean()}
        own |= {"brier_alive": ((p - alive) ** 2).mean(), "drift": fits.drift.mean}
        out |= {f"{unit}_{name}": v for name, v in own.items()}
    return out


def main(kind: str = "home", customers: str = "300", seeds: str = "40", first: str = "20001") -> None:
    found = pd.DataFrame([graded(s, kind, int(customers)) for s in range(int(first), int(first) + int(seeds))])
    summary = found.mean().to_dict()
    summary |= {f"{u}_mean_absolute_bias": found[f"{u}_bias"].abs().mean() for u in ("month", "week")}
    record(f"month_ends_{kind}_{customers}", {k: round(float(v), 4) for k, v in sorted(summary.items())})


if __name__ == "__main__":
    main(*sys.argv[1:])
