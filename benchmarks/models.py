"""Fit and score of the order and spend models beside lifetimes, on the same histories in the same run.

`python -m benchmarks.models [--sizes 10000 100000] [--units week day] [--models bg_nbd …] [--limit 600]`

Each measurement has a process of its own, so that its peak memory is its own (interpreter, libraries and data
included). lifetimes gets what its users give it, one row a customer, and in a second line its rows grouped with weights
(`lifetimes_grouped`). Where it takes longer than the limit it is stopped, larger sizes are not tried, and the figures
say so: `seconds` is then the limit, `stopped` is 1, and `times_faster` is a lower bound. Log-likelihoods are those of
each one's parameters, on the papers' scale. Customers of both units are the same, drawn here: gamma order rates and
death rates (Pareto/NBD), first orders over two years, 730 days.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lifetimes
import numpy as np
import pandas as pd

from benchmarks.results import record
from ltvlab_utils.models.columns import distinct
from ltvlab_utils.models.second_opinion import OURS, THEIRS

DAYS = {"week": 7.0, "day": 1.0}
SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
ORDER_MODELS = ("bg_nbd", "mbg_nbd", "pareto_nbd")
MODELS = (*ORDER_MODELS, "gamma_gamma")
WINDOW, AHEAD, SEED = 730, 364, 2026  # days of the data, days to predict
IN_KILOBYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def customers(n: int, unit: str) -> pd.DataFrame:
    """Histories of n customers in whole weeks or days: frequency, recency, T, monetary_value."""
    rng, days = np.random.default_rng(SEED), DAYS[unit]
    rate, death = rng.gamma(0.8, 1 / 60, n), rng.exponential(1 / rng.gamma(0.7, 1 / 250, n))
    born = rng.integers(0, WINDOW, n)
    alive = np.minimum(death, WINDOW - born)
    who = np.repeat(np.arange(n), rng.poisson(rate * alive))
    when = np.ceil(rng.random(len(who)) * alive[who] / days).astype(np.int64)
    orders = np.unique(who * (WINDOW + 1) + when)  # several orders of one day, or week, are one
    who, when = np.divmod(orders, WINDOW + 1)
    frequency, recency = np.bincount(who, minlength=n), np.zeros(n, np.int64)
    recency[who] = when  # sorted: the last one stays
    spend = rng.standard_gamma(6.0 * np.maximum(frequency, 1)) / rng.gamma(4.0, 1 / 15, n) / np.maximum(frequency, 1)
    return pd.DataFrame(
        {
            "frequency": frequency,
            "recency": recency,
            "T": np.ceil((WINDOW - born) / days).astype(np.int64),
            "monetary_value": np.where(frequency > 0, np.round(spend, 2), 0.0),
        }
    )


def columns_of(model: str) -> list[str]:
    return ["frequency", "monetary_value"] if model == "gamma_gamma" else ["frequency", "recency", "T"]


def ours(model: str, h: pd.DataFrame, ahead: float) -> tuple[dict, float]:
    started = time.perf_counter()
    fitted = OURS[model].fit(h)
    fit = time.perf_counter() - started
    if model == "gamma_gamma":
        fitted.conditional_expected_spend(h)
    else:
        fitted.probability_alive(h)
        fitted.conditional_expected_purchases(h, ahead)
    return fitted.params, fit


def theirs(model: str, h: pd.DataFrame, ahead: float, grouped: bool) -> tuple[dict, float]:
    np.random.seed(SEED)  # noqa: NPY002 lifetimes' Pareto/NBD starts at random, from this stream
    started = time.perf_counter()
    fitter = getattr(lifetimes, THEIRS[model])()
    rows = h[h["frequency"] > 0] if model == "gamma_gamma" else h
    names, weights = columns_of(model), None
    if grouped:
        rows = rows.groupby(names, sort=True).size().rename("weight").reset_index()
        weights = rows["weight"]
    fitter.fit(*(rows[c] for c in names), weights=weights)
    fit = time.perf_counter() - started
    if model == "gamma_gamma":
        fitter.conditional_expected_average_profit(h["frequency"], h["monetary_value"])
    else:
        past = [h[c] for c in names]
        fitter.conditional_probability_alive(*past)
        fitter.conditional_expected_number_of_purchases_up_to_time(ahead, *past)
    return fitter.params_.to_dict(), fit


def measure(engine: str, model: str, file: str, ahead: float) -> None:
    """The work itself; prints one line of JSON."""
    h = pd.read_parquet(file, columns=columns_of(model))
    started = time.perf_counter()
    params, fit = ours(model, h, ahead) if engine == "ltvlab" else theirs(model, h, ahead, engine.endswith("grouped"))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * IN_KILOBYTES
    print(json.dumps({"fit_seconds": fit, "seconds": seconds, "peak_gb": peak / 1e9, "params": params}))


def log_likelihood(model: str, params: dict[str, float], h: pd.DataFrame) -> float:
    """Of the parameters, on the papers' scale."""
    kind = OURS[model]
    rows = h[h["frequency"] > 0] if model == "gamma_gamma" else h
    data, weights = distinct([rows[c].to_numpy(float) for c in columns_of(model)], np.ones(len(rows)))
    with np.errstate(all="ignore"):
        return kind._total(data, weights, np.log([params[n] for n in kind.names]))[0]


def run(engine: str, model: str, file: Path, ahead: float, limit: float) -> dict | None:
    """What one process measured; None where it was stopped at the limit; a reason where it raised."""
    command = [sys.executable, "-m", "benchmarks.models", "--measure", engine, model, str(file), str(ahead)]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    except subprocess.CalledProcessError as error:
        return {"raised": (error.stderr.strip().splitlines() or ["killed"])[-1][:100]}
    return json.loads(done.stdout.splitlines()[-1])


def compare(sizes: list[int], units: list[str], models: list[str], limit: float) -> dict[str, float]:
    figures: dict[str, float] = {}
    gave_up: set[tuple[str, str, str]] = set()
    with tempfile.TemporaryDirectory() as folder:
        for unit in units:
            for n in sizes:
                h = customers(n, unit)
                h.to_parquet(file := Path(folder) / f"{unit}.parquet")
                figures[f"{unit}.{n}.distinct_histories"] = len(h[columns_of("bg_nbd")].drop_duplicates())
                for model in models:
                    found = {}
                    for engine in ("ltvlab", "lifetimes", "lifetimes_grouped"):
                        name = f"{unit}.{n}.{model}.{engine}"
                        if (unit, model, engine) in gave_up:
                            print(f"{name}: not tried, a smaller size took longer than {limit:g} s")
                            continue
                        one = run(engine, model, file, AHEAD / DAYS[unit], limit)
                        if one is None:
                            gave_up.add((unit, model, engine))
                            figures |= {f"{name}.seconds": limit, f"{name}.stopped": 1}
                            one = {"seconds": limit}
                        elif "raised" in one:
                            figures[f"{name}.raised"] = 1
                            print(f"{name}: {one['raised']}")
                            continue
                        else:
                            one["log_likelihood"] = log_likelihood(model, one["params"], h)
                            shown = ("fit_seconds", "seconds", "peak_gb", "log_likelihood")
                            figures |= {f"{name}.{k}": round(one[k], 3) for k in shown}
                        found[engine] = one
                        if engine != "ltvlab" and "ltvlab" in found:
                            own = found["ltvlab"]
                            figures[f"{name}.times_faster"] = round(one["seconds"] / own["seconds"], 2)
                            if "log_likelihood" in one:
                                gain = own["log_likelihood"] - one["log_likelihood"]
                                figures[f"{name}.log_likelihood_gain"] = round(gain, 4)
                        print(f"{name}: {one['seconds']:.1f} s", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--units", nargs="+", choices=DAYS, default=list(DAYS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a measurement is stopped")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        engine, model, file, ahead = chosen.measure
        measure(engine, model, file, float(ahead))
    else:
        record("models", compare(chosen.sizes, chosen.units, chosen.models, chosen.limit))


if __name__ == "__main__":
    main()
