"""Renewals of generated companies: chances given a year before the end of the data, graded on what came.

    python -m benchmarks.renewals [first seed] [number of seeds]

Each company is misspecified (docs/sample.md), 300 customers, 48 months. Everything is taken as of 12 months before the
end; graded are the decisions that fell in those 12 months, the first one of each contract that ran at as-of. Beside
them the renewal rate of the line to date (base rate) and the shifted Beta-geometric by line and tenure. And the total
of what contracts brought in the 12 months against its 80 % interval. In those 12 months a campaign lifts renewals in
truth, which no forecast of before can know: all of them, base rate included, are 2 to 3 points too low.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
import statsmodels.api as sm

from benchmarks.results import record
from ltvlab_utils import value
from ltvlab_utils.params import Settings
from ltvlab_utils.periods import Period
from ltvlab_utils.sample import Setting, generate
from ltvlab_utils.tables import contract_of
from ltvlab_utils.tables.contract import KINDS
from ltvlab_utils.value import contracts, decisions, result

CUSTOMERS, MONTHS, AHEAD, SEEDS = 300, 48, 12, 40
LEAST = 100  # decisions of a line below which its slope is not told


@dataclass(frozen=True)
class Graded:
    """`decisions`: seed, line, renewed, hazard, base_rate, tenure_only. `totals`: seed, scope, actual, mean, low, high
    (and 50 % bounds) of what contracts brought."""

    decisions: pd.DataFrame
    totals: pd.DataFrame


def staged(name: str, rows: pd.DataFrame) -> ibis.expr.types.Table:
    """A frame as the staged table, absent columns null; entries without a key of their own are numbered."""
    columns = contract_of(name).columns
    for key in contract_of(name).keys:
        rows = rows if key in rows else rows.assign(**{key: np.arange(len(rows)).astype(str)})
    amounts = [c.name for c in columns if c.kind in ("money", "number") and c.name in rows]
    table = ibis.memtable(rows.assign(**{c: pd.to_numeric(rows[c]).astype("float64") for c in amounts}))
    return table.select(
        **{c.name: (table[c.name] if c.name in rows else ibis.null()).cast(KINDS[c.kind][1]) for c in columns}
    )


def settings() -> Settings:
    return Settings.model_validate(
        {
            "sources": {"contract_terms": [{"path": "x.csv"}]},
            "models": {"segment_by": "industry", "draws": 1000},
            "value_basis": "revenue",
            "horizon_months": AHEAD,
            "discount_rate_annual": 0.0,
        }
    )


def graded(seed: int) -> Graded:
    setting = Setting(seed=seed, customers=CUSTOMERS, months=MONTHS)
    frames = generate(setting, faulty=False).frames
    tables = {name: staged(name, frames[name]) for name in value.READS if name != "order_lines"}
    end = Period.parse(setting.last_period)
    as_of, last = end.shift(-AHEAD).last_day, end.last_day
    facts = value.gather(tables, settings(), as_of)
    fits = value.fit(facts, settings())
    running = facts.contracts.merge(facts.customers[["customer_id", "model_segment"]], on="customer_id")
    running = running.assign(
        hazard=result.renewal_chances(facts, fits, np.random.default_rng([seed, 1])).to_numpy(),
        tenure_only=result.by_tenure(facts, fits).to_numpy(),
    )
    made = facts.renewals.merge(facts.customers[["customer_id", "model_segment"]], on="customer_id")
    made = made.assign(renewed=made["renewals_made"] - made["renewals_at_entry"])
    by = made.groupby("model_segment")[["renewed", "churned"]].sum()
    running["base_rate"] = running["model_segment"].map(by["renewed"] / by.sum(axis=1))
    terms = contracts.known_at(tables["contract_terms"].to_pandas(), last)
    came = terms.assign(due_on=decisions.deadline(terms))
    came = came[came["outcome"].isin(["renewed", "churned"]) & (came["due_on"] > pd.Timestamp(as_of))]
    came = came[came["due_on"] <= pd.Timestamp(last)].drop_duplicates("contract_id")
    # of a contract whose renewal is known at as-of, the decision that is graded would be the one after
    found = running[running["decided"] == "open"].merge(came[["contract_id", "outcome"]], on="contract_id")
    found = found.assign(seed=seed, line=found["model_segment"], renewed=(found["outcome"] == "renewed").astype(float))
    return Graded(
        found[["seed", "line", "renewed", "hazard", "base_rate", "tenure_only"]],
        _totals(seed, tables, facts, fits, as_of, last),
    )


def _totals(seed, tables, facts, fits, as_of, last) -> pd.DataFrame:
    """What the contracts of customers under contract at as-of brought until the end of the data, and its prediction."""
    rates = value.rates(facts, settings())
    drawn = value.simulate(facts, fits, rates, settings(), np.random.default_rng([seed, 2]))
    terms, changes = tables["contract_terms"].to_pandas(), tables["contract_changes"].to_pandas()
    to = lambda day: contracts.amounts(contracts.known_at(terms, day), changes, day)  # noqa: E731
    sums = [to(day).groupby("customer_id")["revenue"].sum() for day in (as_of, last)]
    under = facts.customers[facts.customers["customer_id"].isin(facts.contracts["customer_id"])]
    brought = sums[1].reindex(under["customer_id"]) - sums[0].reindex(under["customer_id"])
    actual = brought.fillna(0.0).groupby(under["model_segment"].to_numpy()).sum()
    scopes = {s: drawn.segments[s]["future_value"] for s in actual.index} | {
        "company": sum(p["future_value"] for p in drawn.segments.values())
    }
    actual["company"] = actual.sum()
    rows = []
    for scope, draws in scopes.items():
        low, a, b, high = np.quantile(draws, [0.1, 0.25, 0.75, 0.9])
        rows.append((seed, scope, actual[scope], draws.mean(), low, high, a, b))
    return pd.DataFrame(rows, columns=["seed", "scope", "actual", "mean", "low", "high", "low_50", "high_50"])


def slope(renewed: np.ndarray, chance: np.ndarray) -> tuple[float, float]:
    """Calibration slope and its standard error: logistic regression of the outcome on the log odds of the chance."""
    p = np.clip(chance, 1e-4, 1 - 1e-4)
    fit = sm.Logit(renewed, sm.add_constant(np.log(p / (1 - p)))).fit(disp=0)
    return float(fit.params[1]), float(fit.bse[1])


def within(g: pd.DataFrame) -> tuple[float, float]:
    """The slope among decisions of the same company and its standard error. Pooled, the slope also asks whether the
    level that each company shows in some 25 refusals tells how companies differ, and these differ little in truth."""
    p = np.clip(g["hazard"], 1e-4, 1 - 1e-4)
    odds = np.log(p / (1 - p))
    mean = odds.groupby(g["seed"]).transform("mean")
    fit = sm.Logit(g["renewed"].to_numpy(), np.column_stack([np.ones(len(g)), mean, odds - mean])).fit(disp=0)
    return float(fit.params[2]), float(fit.bse[2])


def figures(found: Graded) -> dict[str, float]:
    """Scores by line, pooled over companies."""
    out: dict[str, float] = {}
    for line, g in [("all", found.decisions), *found.decisions.groupby("line")]:
        out[f"{line}.decisions"] = len(g)
        out[f"{line}.renewed"] = g["renewed"].mean()
        out[f"{line}.predicted"] = g["hazard"].mean()
        for name in ("hazard", "base_rate", "tenure_only"):
            out[f"{line}.brier.{name}"] = ((g["renewed"] - g[name]) ** 2).mean()
        for name in ("base_rate", "tenure_only"):
            gain = (g["renewed"] - g[name]) ** 2 - (g["renewed"] - g["hazard"]) ** 2
            out[f"{line}.gain_over_{name}.in_standard_errors"] = gain.mean() / (gain.std() / np.sqrt(len(g)))
        if len(g) >= LEAST:
            out[f"{line}.slope"], out[f"{line}.slope.standard_error"] = slope(
                g["renewed"].to_numpy(), g["hazard"].to_numpy()
            )
            out[f"{line}.slope.within_companies"], out[f"{line}.slope.within_companies.standard_error"] = within(g)
    for scope, t in found.totals.groupby("scope"):
        out[f"{scope}.total.bias"] = t["mean"].sum() / t["actual"].sum() - 1
        out[f"{scope}.total.inside_80"] = t["actual"].between(t["low"], t["high"]).mean()
        out[f"{scope}.total.inside_50"] = t["actual"].between(t["low_50"], t["high_50"]).mean()
    return {k: round(float(v), 4) for k, v in out.items()}


def run(first: int, seeds: int) -> Graded:
    parts = [graded(seed) for seed in range(first, first + seeds)]
    return Graded(pd.concat([p.decisions for p in parts]), pd.concat([p.totals for p in parts]))


def main(first: int = 1, seeds: int = SEEDS) -> None:
    record("renewals", {"seeds": seeds, "first_seed": first} | figures(run(first, seeds)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
