"""The small tables behind the figures of notebook 02 (floor 2)."""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.stats import norm

from ltvlab_utils import histories as hist
from ltvlab_utils.periods import Period
from ltvlab_utils.value.choice import Fits
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.ledger import COMPANY, PROFITS, broken
from ltvlab_utils.value.paths import Paths
from ltvlab_utils.value.renewal_fits import term_class
from ltvlab_utils.value.tracking import tracking

MOST_FREQUENCY, STEPS = 40, 24  # classes of the map over frequency and time since the last order
DAYS_A_MONTH, YEAR = 365.25 / 12, 365.25
FEW = 5  # contracts at a decision below which an actual share says nothing


def track(found: pd.DataFrame, tables: Mapping[str, ir.Table], facts: Facts, fits: Fits, settings) -> pd.DataFrame:
    """The tracking of a look back (`found`), or of the run's own fits where the data are too short for one; empty
    without orders."""
    if len(found) or not len(facts.histories):
        return found
    return tracking(tables["order_lines"], facts.histories, fits, facts.as_of, facts.as_of, settings.models.time_unit)


def history_map(facts: Facts, fits: Fits, settings) -> pd.DataFrame:
    """What the order model of the largest segment says of a customer that has been there since the median first order
    of those who ordered again: model_segment, months_known, frequency, months_silent (since the last order), p_alive,
    expected_orders (purchase days in the next 12 months). Empty without orders."""
    h = facts.histories
    if not len(h):
        return pd.DataFrame()
    customers = h.groupby("model_segment").apply(hist.customers, include_groups=False)
    segment = customers.sort_index().idxmax()
    h = facts.some_histories
    own = h[h["model_segment"] == segment] if (h["model_segment"] == segment).any() else h
    again = own[own["frequency"] > 0] if (own["frequency"] > 0).any() else own
    age = max(float(again["T"].median()), 1.0)
    most = int(np.clip(np.quantile(again["frequency"], 0.9), 4, MOST_FREQUENCY))
    unit = hist.DAYS_PER_UNIT[settings.models.time_unit]
    silent = (np.arange(STEPS) + 0.5) / STEPS * age
    frequency = np.unique(np.linspace(1, most, min(most, STEPS)).round().astype(int))
    grid = pd.DataFrame(
        [(f, age - s, age) for f in frequency for s in silent], columns=["frequency", "recency", "T"]
    ).assign(monetary_value=0.0)
    model = fits.orders[segment].model
    return pd.DataFrame(
        {
            "model_segment": segment,
            "months_known": age * unit / DAYS_A_MONTH,
            "frequency": grid["frequency"],
            "months_silent": (age - grid["recency"]) * unit / DAYS_A_MONTH,
            "p_alive": np.asarray(model.probability_alive(grid), dtype=float),
            "expected_orders": np.asarray(model.conditional_expected_purchases(grid, YEAR / unit), dtype=float),
        }
    )


def renewal_curve(facts: Facts, fits: Fits) -> pd.DataFrame:
    """Contracts of the commonest length of term by renewal decision: term_class, decision, at_risk, renewed, actual
    (share that got past it, product-limit over those that reached each decision; contracts older than the data enter
    where the data begin), low, high (80 %, Greenwood on the log-log scale), expected (the models, by the contracts of
    each segment). Decisions with fewer than FEW contracts have no actual. Empty without contracts."""
    if not len(facts.renewals):
        return pd.DataFrame()
    rows = facts.renewals.merge(facts.customers[["customer_id", "model_segment"]], on="customer_id")
    rows = rows.assign(kind=term_class(rows["term_months"]))
    kind = rows["kind"].value_counts().sort_index().idxmax()
    rows = rows[rows["kind"] == kind]
    made, entry, churned = (rows[c].to_numpy() for c in ("renewals_made", "renewals_at_entry", "churned"))
    decisions = np.arange(1, int((made + churned).max()) + 1)
    if not len(decisions):
        return pd.DataFrame()
    n = decisions[:, None]
    lost = ((made + 1 == n) & churned & (entry < n)).sum(axis=1)
    passed = ((made >= n) & (entry < n)).sum(axis=1)
    at_risk = lost + passed
    enough = np.logical_and.accumulate(at_risk >= FEW)
    with np.errstate(divide="ignore", invalid="ignore"):
        actual = np.cumprod(np.where(at_risk > 0, passed / at_risk, np.nan))
        spread = np.sqrt(np.cumsum(lost / (at_risk * np.maximum(passed, 1e-9)))) / np.abs(np.log(actual))
        power = np.exp(norm.ppf(0.9) * spread)
        low, high = actual**power, actual ** (1 / power)
    counts = rows["model_segment"].value_counts().sort_index()
    expected = (
        sum(
            k * np.array([fits.renewals[(s, kind)].model.survival(int(d)) for d in decisions])
            for s, k in counts.items()
        )
        / counts.sum()
    )
    some = enough & (actual < 1)
    return pd.DataFrame(
        {
            "term_class": kind, "decision": decisions, "at_risk": at_risk, "renewed": passed,
            "actual": np.where(enough, actual, np.nan), "low": np.where(some, low, np.nan),
            "high": np.where(some, high, np.nan), "expected": expected,
        }
    )  # fmt: skip


def fan(paths: Paths) -> pd.DataFrame:
    """Cumulative value of all customers by month from totals of draws, discounted: month_end, expected, low_80,
    high_80, low_50, high_50; the first row is as-of with nothing."""
    total = paths.cumulative("value")
    bounds = np.quantile(total, [0.10, 0.25, 0.75, 0.90], axis=0)
    day = pd.Timestamp(paths.horizon.as_of) + pd.to_timedelta(paths.horizon.ends, unit="D")
    return pd.DataFrame(
        {
            "month_end": day, "expected": total.mean(axis=0), "low_80": bounds[0], "low_50": bounds[1],
            "high_50": bounds[2], "high_80": bounds[3],
        }
    )  # fmt: skip


TRACK = ["label", "forecast", "low", "high", "naive", "actual"]


def due(ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows of the ledger that have come due and whose seal is whole."""
    return ledger[ledger["actual"].notna() & ~ledger.index.isin(broken(ledger).index)]


def ledger_track(ledger: pd.DataFrame) -> pd.DataFrame:
    """Forecasts of the company that have come due, of profit where it is known, else of revenue: label (period and
    horizon), forecast, low, high, naive, actual."""
    rows = due(ledger)
    rows = rows[rows["scope"] == COMPANY]
    metric = next((m for m in (*PROFITS, "revenue") if (rows["metric"] == m).any()), None)
    rows = rows[rows["metric"] == metric].sort_values(["forecast_of", "horizon_months"])
    labels = [f"{p} +{int(h)}" for p, h in zip(rows["forecast_of"], rows["horizon_months"], strict=True)]
    return rows.assign(label=labels)[TRACK].reset_index(drop=True)


def backtest_track(scores: pd.DataFrame, quantity: str = "revenue") -> pd.DataFrame:
    """Totals of a look back by origin, earliest first, as `ledger_track`; naive: the last 12 months go on."""
    prefix = "revenue_" if quantity == "revenue" else ""
    rows = scores[scores["model_segment"] == hist.ALL]
    wide = rows.pivot_table(index="origin", columns=["model", "metric"], values="value")
    if not len(wide) or ("ltvlab", f"{prefix}predicted") not in wide:
        return pd.DataFrame(columns=TRACK)
    of = lambda model, metric: wide[(model, prefix + metric)].to_numpy()  # noqa: E731
    return pd.DataFrame(
        {
            "label": [str(Period(o.year, o.month)) for o in wide.index], "forecast": of("ltvlab", "predicted"),
            "low": of("ltvlab", "predicted_low"), "high": of("ltvlab", "predicted_high"),
            "naive": of("naive_last_12_months", "predicted"), "actual": of("ltvlab", "actual"),
        }
    )  # fmt: skip


KEY_SCORES = (
    "bias", "crps", "mae", "rmse", "coverage_50", "coverage_80", "coverage_90", "gini", "decile_lift",
    "calibration_slope",
)  # fmt: skip


def scores_by_model(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores of all customers, means over the origins: a metric a row, a model a column; the naive ones beside it."""
    shown = [p + m for p in ("", "revenue_") for m in KEY_SCORES] + ["renewal_brier", "renewal_calibration_slope"]
    rows = scores[(scores["model_segment"] == hist.ALL) & scores["metric"].isin(shown)]
    wide = rows.pivot_table(index="metric", columns="model", values="value", aggfunc="mean")
    return wide.reindex([m for m in shown if m in wide.index]).rename_axis(columns=None)
