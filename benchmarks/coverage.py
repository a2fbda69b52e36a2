"""Do the intervals of orders hold where the truth is known? Light worlds, home and misspecified, many seeds.

`python -m benchmarks.coverage [kind] [customers] [seeds] [first seed]`: share of the randomised PIT in the central
50/80/90 %, totals inside their intervals, bias, CRPS beside the oracle's (home worlds) and naive baselines'.
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import date

import numpy as np
import pandas as pd

from benchmarks.results import record
from ltvlab_utils import value
from ltvlab_utils.models import ParetoNBD
from ltvlab_utils.params import Settings
from ltvlab_utils.sample.light import MONTH, light_world
from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.drift import drift
from ltvlab_utils.value.facts import orders_only
from ltvlab_utils.value.futures import look_back, order_draws
from ltvlab_utils.value.pace import Months
from ltvlab_utils.value.scores import crps

WEEKS, AHEAD = 104, 52
CUTS = (26, 39, 52)  # weeks before as-of, as value.origins.MONTHS
LEVELS = (50, 80, 90)
DRAWS = 400


class WeekHorizon(Horizon):
    """The months of a light world after as-of, by their own month of the year."""

    @property
    def of_year(self) -> np.ndarray:
        return self.labels


def horizon_of(world, ahead: int, at: float = WEEKS) -> WeekHorizon:
    first = int(at / MONTH) + 1
    edges = np.arange(first, int((at + ahead) / MONTH) + 1) * MONTH
    edges = np.unique(np.concatenate([[at], edges, [at + ahead]]))
    start = int(world.parameters.get("start_month", 0))
    middle = (edges[:-1] + edges[1:]) / 2
    horizon = WeekHorizon(date(2025, 6, 30), len(edges) - 1, 0.0, (edges - at) * 7, 10**6)
    object.__setattr__(horizon, "labels", (start + (middle / MONTH).astype(int)) % 12)
    return horizon


def months_of(world, at: float = WEEKS) -> Months:
    log = world.orders[world.orders["week"] <= at]
    number = int(at / MONTH) + 1
    count = np.bincount((log["week"] / MONTH).astype(int), minlength=number).astype(float)
    last = log.groupby("customer")["week"].last()
    count -= np.bincount((last / MONTH).astype(int), minlength=number)
    edges = np.minimum(np.arange(number, -1, -1) * MONTH, at)
    start = int(world.parameters.get("start_month", 0))
    return Months(at - edges, (start + np.arange(number - 1, -1, -1)) % 12, count[::-1])


def earlier_facts(world, cut: int):
    """The facts `cut` weeks before as-of, and the rows of the customers who had bought by then."""
    log, at = world.orders, WEEKS - cut
    born = WEEKS - world.histories["T"].to_numpy()
    here = born < at
    past = log[(log["week"] <= at) & here[log["customer"]]]
    by = past.groupby("customer")["week"]
    x, last = (by.agg(f).reindex(range(len(born))) for f in ("size", "max"))
    gap = past["week"] - past.groupby("customer")["week"].shift().fillna(pd.Series(born[past["customer"]], past.index))
    logs = np.log(gap.clip(lower=1e-9)).groupby(past["customer"]).sum().reindex(range(len(born))).fillna(0.0)
    h = world.histories.assign(
        frequency=x.fillna(0), recency=(last - born).fillna(0.0), T=at - born, log_interval_sum=logs,
        model_segment="all", revenue_total=0.0, monetary_value=0.0,
    )[here]  # fmt: skip
    facts = orders_only(h.reset_index(drop=True), date(2025, 6, 30), months_of(world, at))
    return facts, np.flatnonzero(here)


def earlier(world, cut: int, fits, chosen, rng) -> tuple[float, np.ndarray]:
    """Actual and drawn total of the orders between `cut` (weeks before as-of) and as-of, seen from the cut."""
    facts, rows = earlier_facts(world, cut)
    actual = (world.orders["week"] > WEEKS - cut) & world.orders["customer"].isin(rows)
    return float(actual.sum()), look_back(facts, fits, chosen, horizon_of(world, cut, WEEKS - cut), rng)


def settings(draws: int = DRAWS, unit: str = "week") -> Settings:
    models = {"draws": draws, "time_unit": unit}
    return Settings.model_validate({"sources": {"order_lines": [{"path": "x.csv"}]}, "models": models})


def graded(seed: int, kind: str, customers: int) -> dict[str, float]:
    world = light_world(seed, customers, kind, weeks=WEEKS, horizons=(AHEAD,))
    rng = np.random.default_rng([seed, customers])
    blank = {"model_segment": "all", "revenue_total": 0.0, "monetary_value": 0.0}
    h = world.histories.assign(**blank)
    facts = orders_only(h, date(2025, 6, 30), months_of(world))
    chosen = settings()
    fits = value.fit(facts, chosen)
    fits.drift = drift([earlier(world, cut, fits, chosen, rng) for cut in CUTS])
    draws = order_draws(facts, fits, chosen, horizon_of(world, AHEAD), rng)
    actual = world.futures["orders"].to_numpy(float)
    out = scores(draws, actual, rng)
    out["drift"], out["drift_sd"] = fits.drift.mean, fits.drift.sd
    out["k"] = fits.orders["all"].model.k
    out["shock_sd"] = fits.pace.moments()["shock_sd"][0]
    out["season_sd"] = fits.pace.moments()["season_sd"][0]
    x, T = h["frequency"].to_numpy(float), h["T"].to_numpy(float)
    rate = x / np.maximum(T, 1) * AHEAD
    out["naive_rate"] = np.abs(rate - actual).mean()
    out["naive_mean"] = np.abs(rate.mean() - actual).mean()
    out["naive_zero"] = np.abs(actual).mean()
    if kind == "home" and "s" in world.parameters:
        truth = ParetoNBD(**{n: world.parameters[n] for n in ParetoNBD.names})
        out["oracle_crps"] = crps(truth.sample_future_purchases(h, AHEAD, DRAWS, rng), actual).mean()
    return out


def scores(draws: np.ndarray, actual: np.ndarray, rng) -> dict[str, float]:
    low, high = (draws < actual[:, None]).mean(axis=1), (draws <= actual[:, None]).mean(axis=1)
    u = low + rng.random(len(actual)) * (high - low)
    totals, total = draws.sum(axis=0), actual.sum()
    out = {"bias": totals.mean() / max(total, 1) - 1, "crps": crps(draws, actual).mean()}
    out["total_pit"] = (totals < total).mean() + 0.5 * (totals == total).mean()
    out["width"] = (np.quantile(totals, 0.9) - np.quantile(totals, 0.1)) / max(total, 1)
    for level in LEVELS:
        edge = (1 - level / 100) / 2
        out[f"customers_{level}"] = ((u >= edge) & (u <= 1 - edge)).mean()
        out[f"totals_{level}"] = float(np.quantile(totals, edge) <= total <= np.quantile(totals, 1 - edge))
    return out


def main(kind: str = "home", customers: str = "300", seeds: str = "400", first: str = "0", cores: str = "2") -> None:
    many = [(s, kind, int(customers)) for s in range(int(first), int(first) + int(seeds))]
    with ProcessPoolExecutor(int(cores), mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pd.DataFrame(list(pool.map(graded, *zip(*many, strict=True), chunksize=4)))
    summary = found.mean().to_dict() | {"mean_absolute_bias": found["bias"].abs().mean(), "worlds": len(found)}
    if "oracle_crps" in found:
        summary["crps_to_oracle"] = summary["crps"] / summary["oracle_crps"]
    record(f"coverage_{kind}_{customers}", {k: round(float(v), 4) for k, v in summary.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
