"""The model taken back to earlier dates and held against what came (floor 2).

Rolling origins: at each cut the histories are made anew from what was known then, the models are fitted anew, and the
customers born by the cut are played forward over a fixed horizon. What is undated (the attribute that splits the
segments) is as of the extract. Cost is bounded: three origins, 200 draws, and above CUSTOMERS a seeded sample. Where
the settings leave the order model open, both are held against what came, and the scores are those of the one that
values will rest on (value.order_choice).

looked = look_back(tables, settings, as_of, rng)   # .scores (the `backtest` contract), .deciles, .tracking
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import date

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.errors import Refused
from ltvlab_utils.periods import months_before
from ltvlab_utils.tables import contract_of
from ltvlab_utils.value import contracts
from ltvlab_utils.value import fits as fits_
from ltvlab_utils.value.calendar import Horizon
from ltvlab_utils.value.costs import rates
from ltvlab_utils.value.drift import drift
from ltvlab_utils.value.facts import READS, Facts, gather
from ltvlab_utils.value.futures import simulate
from ltvlab_utils.value.order_choice import AUTO, DEFAULT, RIVAL, OrderChoice, better, choose, compared, rival
from ltvlab_utils.value.outcomes import outcomes, year_seen
from ltvlab_utils.value.result import next_renewals
from ltvlab_utils.value.scores import draw_scores, pit, point_scores
from ltvlab_utils.value.tracking import tracking
from ltvlab_utils.value.wide import PER_CUSTOMER, sampled, size_of

HORIZONS, STEPS, ORIGINS = (12, 6, 3), (12, 6, 3, 1), 3
LEAST = 6  # months of data that the earliest cut must have seen
CUSTOMERS, DRAWS = 20_000, 200
COLUMNS = ["model", "model_segment", "metric", "value", "customers"]
FEW = 20  # customers below which a segment is not graded apart
MODEL = "ltvlab"
QUANTITIES = {"purchase_days": "", "revenue": "revenue_"}  # quantity -> prefix of its metrics


@dataclass(frozen=True)
class Record:
    """`scores`: the `backtest` contract. `deciles`: quantity, decile (1 = lowest prediction), customers, predicted,
    low, high (80 %, from totals of draws), actual: means a customer at the latest origin. `tracking`: as of
    value.tracking, of the customers born by the latest origin. `months`: the horizon; 0 where the data are too short.
    `sampled`: customers drawn, None for all. `choice` of the order model, None where the settings name it."""

    scores: pd.DataFrame
    deciles: pd.DataFrame
    tracking: pd.DataFrame
    months: int
    sampled: int | None
    choice: OrderChoice | None = None

    def of(self, quantity: str) -> pd.DataFrame:
        """The deciles of one quantity (purchase_days, revenue); empty where it was not graded."""
        return self.deciles[self.deciles["quantity"] == quantity] if len(self.deciles) else self.deciles


def origins(first: date, as_of: date) -> tuple[int, list[date]]:
    """Months of the horizon and the cuts, latest first: as_of - horizon, and back by equal steps.

    The longest horizon with three cuts counts, of its steps the longest (12 months apart, windows of 12 months do not
    overlap); the earliest cut has seen a horizon's length and at least LEAST months. With less, one cut; (0, []) where
    not even that is there.
    """
    months = _months_between(first, as_of) + 1
    fits = lambda h, step, n: months >= h + step * (n - 1) + max(h, LEAST)  # noqa: E731
    plans = [(h, s, ORIGINS) for h in HORIZONS for s in STEPS if s <= h] + [(h, 1, 1) for h in HORIZONS]
    found = next(((h, s, n) for h, s, n in plans if fits(h, s, n)), None)
    if found is None:
        return 0, []
    h, step, n = found
    return h, [months_before(as_of, h + step * k) for k in range(n)]


def _months_between(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month


def _first_day(tables: Mapping[str, ir.Table], as_of: date) -> date | None:
    """The first order; where there are no orders, the first term. Terms that began before the orders do are those that
    survived until the extract begins."""
    if "order_lines" in tables:
        days = hist.purchase_days(tables["order_lines"], as_of)
        first = days.filter(days.counts).day.min().to_pandas()
        if not pd.isna(first):
            return pd.Timestamp(first).date()
    if "contract_terms" in tables:
        first = tables["contract_terms"].starts_on.min().to_pandas()
        if not pd.isna(first) and pd.Timestamp(first).date() <= as_of:
            return pd.Timestamp(first).date()
    return None


class _Keep:
    """Watches `simulate` and keeps the draws of purchase days and revenue a customer."""

    def __init__(self, customers: int, draws: int):
        self.draws = {q: np.zeros((customers, draws)) for q in QUANTITIES}

    def __call__(self, segment: str, rows: np.ndarray, parts: dict) -> None:
        self.draws["purchase_days"][rows] = parts["expected_orders"]
        self.draws["revenue"][rows] = parts["future_value"]


def born(facts: Facts) -> Facts:
    """The facts of customers with an order or a contract by then; the others are prospects."""
    c = facts.customers
    born = c["customer_id"].isin(facts.histories["customer_id"]) | c["first_contract_on"].notna()
    return facts.only(c.loc[born, "customer_id"])


def naive(facts: Facts, last_year: pd.DataFrame, horizon: Horizon, settings) -> dict[str, dict[str, np.ndarray]]:
    """Readings of a spreadsheet, quantity -> model -> a number a customer: repeat purchases over age (x / T) and
    contracts as they stand run on; the level of the last 12 months; its mean over the segment; nothing."""
    c = facts.customers
    h = facts.histories.set_index("customer_id")
    own = c["customer_id"].map(h["frequency"] / h["T"].where(h["T"] > 0)).fillna(0.0).to_numpy(dtype=float)
    rate = own * horizon.days / hist.DAYS_PER_UNIT[settings.models.time_unit]
    spend = c["customer_id"].map(h["revenue_total"] / (h["frequency"] + 1)).fillna(0.0).to_numpy(dtype=float)
    under = facts.contracts.groupby("customer_id")["amount"].sum() if len(facts.contracts) else pd.Series(dtype=float)
    running = c["customer_id"].map(under).fillna(0.0).to_numpy(dtype=float) * horizon.months
    year = last_year.set_index("customer_id").reindex(c["customer_id"]).fillna(0.0) * horizon.months / year_seen(facts)
    level = {
        "purchase_days": year["purchase_days"].to_numpy(),
        "revenue": (year["order_revenue"] + year["contract_revenue"]).to_numpy(),
    }
    found = {}
    for quantity, rated in (("purchase_days", rate), ("revenue", rate * spend + running)):
        mean = pd.Series(level[quantity]).groupby(c["model_segment"].to_numpy()).transform("mean").to_numpy()
        found[quantity] = {
            "naive_rate": rated, "naive_last_12_months": level[quantity], "naive_segment_mean": mean,
            "naive_zero": np.zeros(len(c)),
        }  # fmt: skip
    return found


def _groups(segments: np.ndarray) -> dict[str, np.ndarray]:
    """All customers, and each segment with at least FEW: name -> rows."""
    out = {hist.ALL: np.arange(len(segments))}
    for segment in sorted(set(segments) - {hist.ALL}):
        rows = np.flatnonzero(segments == segment)
        if len(rows) >= FEW:
            out[segment] = rows
    return out


def grade(
    draws: np.ndarray, guesses: Mapping[str, np.ndarray], actual: np.ndarray, segments: np.ndarray, prefix: str,
    rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """Scores of one quantity at one origin: model, model_segment, metric, value, customers. `draws` (customers, draws);
    `guesses`: naive model -> a number a customer; `prefix` of the metrics."""
    u = pit(draws, actual, rng)
    rows = []
    for segment, part in _groups(segments).items():
        found = {MODEL: draw_scores(draws[part], actual[part], u[part])}
        found |= {name: point_scores(guess[part], actual[part]) for name, guess in guesses.items()}
        rows += [
            (model, segment, prefix + metric, value, len(part))
            for model, scores in found.items()
            for metric, value in scores.items()
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def deciles(draws: np.ndarray, actual: np.ndarray) -> pd.DataFrame:
    """Tenths of customers by predicted value, lowest first: decile, customers, predicted, low, high (80 % of the mean
    of the tenth, from totals of draws), actual; means a customer."""
    predicted = draws.mean(axis=1)
    order = np.argsort(predicted, kind="stable")
    rows = []
    for number, part in enumerate(np.array_split(order, min(10, len(order))), start=1):
        low, high = np.quantile(draws[part].mean(axis=0), [0.1, 0.9])
        rows.append((number, len(part), predicted[part].mean(), low, high, actual[part].mean()))
    return pd.DataFrame(rows, columns=["decile", "customers", "predicted", "low", "high", "actual"])


def renewal_scores(asked: pd.DataFrame, base: float) -> pd.DataFrame:
    """Scores of renewal forecasts: `asked` has model_segment, p_renew_next and renewed (0 or 1) of decisions that came;
    `base`: share of earlier decisions that renewed. Metrics renewal_brier (ltvlab, base_rate), renewal_predicted,
    renewal_actual and renewal_calibration_slope."""
    rows = []
    for segment, part in _groups(asked["model_segment"].to_numpy()).items():
        if not len(part):
            continue
        p, y = (asked[c].to_numpy(dtype=float)[part] for c in ("p_renew_next", "renewed"))
        scores = point_scores(p, y)
        told = {
            "brier": ((p - y) ** 2).mean(), "predicted": p.mean(), "actual": y.mean(),
            "calibration_slope": scores["calibration_slope"],
        }  # fmt: skip
        rows += [(MODEL, segment, f"renewal_{m}", float(v), len(part)) for m, v in told.items()]
        rows.append(("base_rate", segment, "renewal_brier", float(((base - y) ** 2).mean()), len(part)))
    return pd.DataFrame(rows, columns=COLUMNS)


def renewals_asked(
    facts: Facts, fits: fits_.Fits, terms: pd.DataFrame, end: date, rng: np.random.Generator
) -> pd.DataFrame:
    """The next renewal of each customer under contract at the cut that was open then and is decided by `end`:
    model_segment, p_renew_next, renewed. `terms`: as known today. Notice given or a known outcome is no forecast."""
    found = next_renewals(facts, fits, rng)
    known = facts.contracts.loc[facts.contracts["decided"] != "open", "customer_id"]
    found = found[~found["customer_id"].isin(known) & (found["next_renewal_on"] <= pd.Timestamp(end))]
    later = terms.assign(next_renewal_on=terms["ends_on"] + pd.Timedelta(days=1))
    later = later[later["outcome"].isin(["renewed", "churned", "cancelled_early"])]
    later = later.drop_duplicates(["customer_id", "next_renewal_on"])
    asked = found.merge(later[["customer_id", "next_renewal_on", "outcome"]], on=["customer_id", "next_renewal_on"])
    asked = asked.merge(facts.customers[["customer_id", "model_segment"]], on="customer_id")
    return asked.assign(renewed=(asked["outcome"] == "renewed").astype(float))


@dataclass(frozen=True)
class _Look:
    """One origin. By order model: `scores`, `deciles` by quantity, `fits`; `compared`: the CRPS of both models."""

    facts: Facts
    scores: dict[str, pd.DataFrame]
    deciles: dict[str, pd.DataFrame]
    fits: dict[str, fits_.Fits]
    compared: pd.DataFrame | None


def _at(
    tables, settings, cut: date, end: date, months: int, came: pd.DataFrame, as_of: date, rng, both_models: bool
) -> _Look:
    """One origin. `came`: outcomes of (cut, end]. `both_models`: the rival is held against what came, too."""
    rng_draws, rng_pit, rng_renewals = rng.spawn(3)
    facts = born(gather(tables, settings, cut, counted=False))
    fits = {DEFAULT: fits_.fit(facts, settings, quick=True)}
    fits[DEFAULT].drift = drift([])  # what it learns by looking back is not known at the cut
    if both_models and (other := rival(fits[DEFAULT], facts)) is not None:
        fits[RIVAL] = other
    horizon = Horizon.after(cut, months, 0.0, settings.fiscal_year_start_month)
    plain = settings.model_copy(
        update={"value_basis": "revenue", "models": settings.models.model_copy(update={"draws": DRAWS})}
    )
    keep = {}
    for model, own in fits.items():  # both play with the same dice
        keep[model] = _Keep(len(facts.customers), DRAWS)
        dice = deepcopy(rng_draws)
        simulate(facts, own, rates(facts, plain), plain, dice, horizon=horizon, watch=keep[model])
    later = came.set_index("customer_id").reindex(facts.customers["customer_id"]).fillna(0.0)
    actual = {
        "purchase_days": later["purchase_days"].to_numpy(),
        "revenue": (later["order_revenue"] + later["contract_revenue"]).to_numpy(),
    }
    guessed = naive(facts, outcomes(tables, [(months_before(cut, 12), cut)], cut, netted=False)[0], horizon, settings)
    segments = facts.customers["model_segment"].to_numpy()
    bought = np.flatnonzero(facts.customers["customer_id"].isin(facts.histories["customer_id"]))
    graded = {"purchase_days": bought, "revenue": np.arange(len(segments))}  # who never bought has no order model
    both = None
    if RIVAL in fits:
        days = {model: k.draws["purchase_days"][bought] for model, k in keep.items()}
        ids = facts.customers["customer_id"].to_numpy()[bought]
        both = compared(ids, days[DEFAULT], days[RIVAL], actual["purchase_days"][bought])
    about = [pd.DataFrame([(MODEL, hist.ALL, "months", float(months), len(segments))], columns=COLUMNS)]
    if len(facts.contracts):
        terms = tables["contract_terms"].select(contracts.TERM_COLUMNS).to_pandas()
        asked = renewals_asked(facts, fits[DEFAULT], contracts.known_at(terms, as_of), end, rng_renewals)
        made, lost = (float(v) for v in _decisions(facts.renewals))
        if len(asked) and made + lost:
            about.append(renewal_scores(asked, made / (made + lost)))
    scores, tenths = {}, {}
    for model in fits:
        if model == RIVAL and not better(both):
            continue
        own, tens, dice = [], [], deepcopy(rng_pit)
        for quantity, prefix in QUANTITIES.items():
            part = graded[quantity]
            if not len(part):
                continue
            draws, true = keep[model].draws[quantity][part], actual[quantity][part]
            guesses = {name: guess[part] for name, guess in guessed[quantity].items()}
            own.append(grade(draws, guesses, true, segments[part], prefix, dice))
            tens.append(deciles(draws, true).assign(quantity=quantity))
        scores[model] = pd.concat([*own, *about], ignore_index=True).assign(origin=pd.Timestamp(cut))
        tenths[model] = pd.concat(tens, ignore_index=True)
    return _Look(facts, scores, tenths, fits, both)


def _decisions(renewals: pd.DataFrame) -> tuple[float, float]:
    """Renewed and churned decisions that the data show."""
    return (renewals["renewals_made"] - renewals["renewals_at_entry"]).sum(), renewals["churned"].sum()


def look_back(tables: Mapping[str, ir.Table], settings, as_of: date, rng: np.random.Generator) -> Record:
    """Scores of the model at up to three earlier dates, beside naive readings. `tables`: staged tables by name
    (value.READS). Empty tables where the data are too short, or too poor at a cut to fit anything."""
    columns = contract_of("backtest").names
    none = Record(pd.DataFrame(columns=columns), pd.DataFrame(), pd.DataFrame(), 0, None)
    first = _first_day(tables, as_of)
    months, cuts = (0, []) if first is None else origins(first, as_of)
    if not cuts:
        return none
    sample_rng, *rngs = rng.spawn(1 + len(cuts))
    read = {n: t for n, t in tables.items() if n in READS and n != "receivables"}
    part, drawn = sampled(read, CUSTOMERS, sample_rng, keep=size_of(tables) > PER_CUSTOMER)
    ends = [months_before(as_of, _months_between(cut, as_of) - months) for cut in cuts]
    came = outcomes(part, list(zip(cuts, ends, strict=True)), as_of)
    looks, undecided = {}, settings.models.orders == AUTO
    for cut, end, happened, own in zip(cuts, ends, came, rngs, strict=True):
        try:
            looks[cut] = _at(part, settings, cut, end, months, happened, as_of, own, undecided)
        except Refused:  # nobody had bought for more than it returned by then
            continue
        # The rule asks for a better forecast at every date, so one that is not ends the comparison.
        undecided = undecided and (looks[cut].compared is None or better(looks[cut].compared))
    if not looks:
        return none
    choice = choose([look.compared for look in looks.values() if look.compared is not None])
    name = choice.name  # the default where the settings name a model: then it is that one
    cut, latest = next(iter(looks.items()))
    track = pd.DataFrame()
    if len(latest.facts.histories):
        fits = latest.fits.get(name, latest.fits[DEFAULT])
        track = tracking(part["order_lines"], latest.facts.histories, fits, cut, as_of, settings.models.time_unit)
    # A date at which the rival could not be fitted has the default's scores, as its values would have been.
    table = pd.concat([look.scores.get(name, look.scores[DEFAULT]) for look in looks.values()], ignore_index=True)
    table = table[columns].dropna(subset="value").reset_index(drop=True)
    tenths = latest.deciles.get(name, latest.deciles[DEFAULT])
    return Record(table, tenths, track, months, drawn, choice if settings.models.orders == AUTO else None)
