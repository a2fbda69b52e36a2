"""Whole generated companies, by line of business: what orders and contracts brought in a year, held against its
forecast.

    python -m benchmarks.companies [customers] [seeds] [first seed]

Each company is misspecified (docs/sample.md), 48 months. Everything is taken as of 12 months before the end, fitted as
a run fits it (the drift that earlier forecasts teach included), and played 12 months forward. Graded are purchase days
and revenue of the customers known at as-of: the randomised PIT a customer, CRPS beside naive readings, and by line and
for the company the total against its 50, 80 and 90 % intervals and its bias.
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

from benchmarks.renewals import AHEAD, MONTHS, settings, staged
from benchmarks.results import record
from ltvlab_utils import backtest, value
from ltvlab_utils.periods import Period
from ltvlab_utils.sample import Setting, generate
from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.outcomes import outcomes
from ltvlab_utils.value.scores import pit

LEVELS = (50, 80, 90)
QUANTITIES = {"purchase_days": ("expected_orders", ""), "revenue": ("future_value", "revenue_")}


def graded(customers: int, seed: int) -> pd.DataFrame:
    """Rows quantity, line, actual, mean, u (PIT of the total), and u_50, u_80, u_90 (share of customers inside), crps
    of the model and of naive readings."""
    setting = Setting(seed=seed, customers=customers, months=MONTHS)
    frames = generate(setting, faulty=False).frames
    tables = {name: staged(name, frames[name]) for name in value.READS if name in frames}
    end = Period.parse(setting.last_period)
    cut, last, chosen = end.shift(-AHEAD).last_day, end.last_day, settings()
    facts = backtest.born(value.gather(tables, chosen, cut))
    fits = value.fit(facts, chosen)
    fits.drift = value.learned(fits, value.earlier(tables, chosen, cut), chosen)
    horizon = Horizon.after(cut, AHEAD, 0.0, chosen.fiscal_year_start_month)
    draws = {q: np.zeros((len(facts.customers), chosen.models.draws)) for q in QUANTITIES}

    def watch(segment: str, rows: np.ndarray, parts: dict) -> None:
        for quantity, (part, _) in QUANTITIES.items():
            draws[quantity][rows] = parts[part]

    rng = np.random.default_rng([seed, 3])
    value.simulate(facts, fits, value.rates(facts, chosen), chosen, rng, horizon=horizon, watch=watch)
    came, before = outcomes(tables, [(cut, last), (end.shift(-2 * AHEAD).last_day, cut)], last, netted=False)
    came = came.set_index("customer_id").reindex(facts.customers["customer_id"]).fillna(0.0)
    actual = {
        "purchase_days": came["purchase_days"].to_numpy(),
        "revenue": (came["order_revenue"] + came["contract_revenue"]).to_numpy(),
    }
    naive = backtest.naive(facts, before, horizon, chosen)
    lines, rows = facts.customers["model_segment"].to_numpy(), []
    bought = facts.customers["customer_id"].isin(facts.histories["customer_id"]).to_numpy()
    for quantity, (_, prefix) in QUANTITIES.items():
        part = bought if quantity == "purchase_days" else np.ones(len(lines), bool)
        d, y, here = draws[quantity][part], actual[quantity][part], lines[part]
        guesses = {name: guess[part] for name, guess in naive[quantity].items()}
        scores = backtest.grade(d, guesses, y, here, prefix, rng)
        of = scores.set_index(["model_segment", "model", "metric"])["value"]
        u = pit(d, y, rng)
        for line in ["all", *sorted(set(here))]:
            own = np.full(len(here), True) if line == "all" else here == line
            if not own.any():
                continue
            total = d[own].sum(axis=0)
            row = {"quantity": quantity, "line": line, "customers": int(own.sum()), "actual": y[own].sum()}
            row |= {"mean": total.mean(), "u": (total <= y[own].sum()).mean()}
            row |= {f"inside_{p}": (np.abs(u[own] - 0.5) <= p / 200).mean() for p in LEVELS}
            row |= {f"crps.{m}": of.get((line, m, prefix + "crps"), np.nan) for m in (backtest.MODEL, *guesses)}
            rows.append(row)
    return pd.DataFrame(rows).assign(seed=seed)


def figures(found: pd.DataFrame) -> dict[str, float]:
    """By quantity and line: shares of customers and of totals inside their intervals, bias of totals (mean, and mean of
    its size), CRPS of the model over that of the best naive reading."""
    out: dict[str, float] = {}
    for (quantity, line), g in found.groupby(["quantity", "line"]):
        name, bias = f"{quantity}.{line}", g["mean"] / g["actual"] - 1
        for p in LEVELS:
            out[f"{name}.customers_{p}"] = 100 * np.average(g[f"inside_{p}"], weights=g["customers"])
            out[f"{name}.totals_{p}"] = 100 * (np.abs(g["u"] - 0.5) <= p / 200).mean()
        out |= {f"{name}.bias": bias.mean(), f"{name}.size_of_bias": bias.abs().mean()}
        crps = {c: np.average(g[c], weights=g["customers"]) for c in g if c.startswith("crps.")}
        own = crps.pop(f"crps.{backtest.MODEL}")
        out[f"{name}.crps_to_best_naive"] = own / min(crps.values())
    return {k: round(float(v), 4) for k, v in out.items()}


def main(customers: int = 300, seeds: int = 100, first: int = 1) -> None:
    todo = range(first, first + seeds)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        parts = []
        for part in pool.map(graded, [customers] * seeds, todo):
            parts.append(part)
            print(part.loc[part["line"] == "all", ["seed", "quantity", "actual", "mean", "u"]].to_string(header=False))
    record(f"companies_{customers}", {"seeds": seeds, "first_seed": first} | figures(pd.concat(parts)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
