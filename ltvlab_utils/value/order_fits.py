"""Which order model each segment rests on (floor 2).

Values rest on the posterior of the Pareto/CNBD-k (order_posterior), which always exists: with many customers it is the
maximum-likelihood fit, with few it leans on the other segments and on the stated prior, and says how much. Where the
settings or the look back (order_choice) name MBG/NBD, a segment rests on its own maximum-likelihood fit of that
instead, if it is usable. Both maximum-likelihood fits stand on the card beside what is used, since those are what
papers and lifetimes give. Where dates are month ends (month_clock), the posterior is that of BG/BB with a month as the
opportunity, and its maximum-likelihood fit stands beside it: the others would read days that are not there.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.models.monthly import MonthlyBGBB, whole_months
from ltvlab_utils.models.pareto_cnbd import PastClock
from ltvlab_utils.periods import DAYS_PER_YEAR
from ltvlab_utils.value.choice import (
    ALL,
    MIN_CUSTOMERS,
    MIN_REPEATERS,
    ORDER_MODELS,
    Choice,
    Fits,
    attempt,
    card_rows,
    fit_rows,
    usable,
)
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.order_families import Monthly, Regular
from ltvlab_utils.value.order_posterior import Data, Posterior, posteriors, regularity
from ltvlab_utils.value.pace import fit_pace

MONTH, MONTHLY = "month", "bg_bb_posterior"
POSTERIOR = 2  # names the random stream
DEATHS = 2  # coordinate of phi
UNKNOWN = 1.0  # sd of ln death rate: known to a factor of three at best, so P(alive) is anybody's guess
HARDLY_ANY = 0.03  # deaths a customer and year


def _too_few(h: pd.DataFrame) -> bool:
    return hist.customers(h) < MIN_CUSTOMERS or hist.customers(h[h["frequency"] > 0]) < MIN_REPEATERS


def _likelihood_fits(h: pd.DataFrame, monthly: bool) -> dict:
    """Name -> (model, warning) by maximum likelihood."""
    rows = hist.distinct(h)
    if monthly:
        x, tx, T = whole_months(*(rows[c].to_numpy(float) for c in ("frequency", "recency", "T")))
        model, warning = attempt("bg_bb", rows.assign(frequency=x, recency=tx, n_periods=T), rows["weight"].to_numpy())
        return {"bg_bb": (model, warning)}
    weights = rows["weight"].to_numpy()
    return {name: attempt(name, rows, weights) for name in ORDER_MODELS}


def _posteriors(fits: Fits, h: pd.DataFrame, facts: Facts, settings, exact: bool) -> None:
    """The posterior of each segment on the seasonal clock of all."""
    unit, monthly = hist.DAYS_PER_UNIT[settings.models.time_unit], settings.models.time_unit == MONTH
    parts = {}
    known = "log_interval_sum" in h
    for segment, part in h.groupby("model_segment", sort=True):
        rows = hist.distinct(part)
        x, tx, T, weight = (rows[c].to_numpy(float) for c in ("frequency", "recency", "T", "weight"))
        if monthly:
            x, tx, T = whole_months(x, tx, T)
        parts[segment] = Data(x, tx, T, weight, float(part["log_interval_sum"].sum()) if known else None)
    k = 1 if monthly else regularity(list(parts.values()), unit)
    clock = PastClock()
    if facts.months is not None:
        everyone = [np.concatenate([getattr(d, c) for d in parts.values()]) for c in ("x", "tx", "T", "weights")]
        if monthly:  # orders between fall in the months between, not in the last one's own
            everyone[1] = np.maximum(everyone[1] - 1, 0)
        fits.pace = fit_pace(facts.months, *everyone, k)
        clock = fits.pace.clock
    family = Monthly() if monthly else Regular(k, clock, unit)
    seed = np.random.SeedSequence([settings.models.seed, POSTERIOR])
    found = posteriors(parts, family, np.random.default_rng(seed), exact)
    for segment, posterior in found.items():
        fits.orders[segment] = _choice(posterior, len(found) > 1, unit)


def _choice(posterior: Posterior, several: bool, unit: float) -> Choice:
    model, own = posterior.model, posterior.own_weight
    if isinstance(model, MonthlyBGBB):
        name = MONTHLY
    else:
        name = "pareto_nbd" if model.k == 1 and model.clock.plain else "pareto_cnbd"
    notes = []
    deaths_a_year = np.median(posterior.sets[:, 2] / posterior.sets[:, 3]) * DAYS_PER_YEAR / unit
    rung = "own"
    if posterior.phi[:, DEATHS].std() > UNKNOWN:
        rung = "cannot_tell"
        notes.append("orders_cannot_tell")
    elif own.mean() < 0.5:
        rung = "pooled"
        notes.append("fit_pooled" if several else "prior_decides")
    if rung != "cannot_tell" and deaths_a_year < HARDLY_ANY:
        notes.append("fit_without_death")
    if not posterior.usable:
        notes.append("search_ended_early")
    return Choice(name, model, rung, tuple(notes), posterior=posterior)


def fit_orders(fits: Fits, facts: Facts, settings, named: str, quick: bool = False) -> None:
    """Fits all order models; values rest on the `named` one."""
    h = facts.histories if facts.fitted is None else facts.fitted
    parts = dict(iter(h.groupby("model_segment", sort=True)))
    _posteriors(fits, h, facts, settings, not quick)
    monthly = settings.models.time_unit == MONTH
    if quick and monthly:
        return
    if quick and named == "pareto_nbd":
        return
    enough = {s: p for s, p in parts.items() if not _too_few(p)} if len(parts) > 1 else {}
    for segment, part in {**enough, (ALL if len(parts) > 1 else next(iter(parts))): h}.items():
        for name, (model, warning) in _likelihood_fits(part, monthly).items():
            fits.models[(name, segment)] = model
            chosen = not monthly and name == named != "pareto_nbd" and segment in parts and usable(model)
            if chosen:
                fits.orders[segment] = Choice(name, model, "own")
            fits.card += fit_rows(name, segment, model, warning, hist.customers(part), chosen)
    for segment, choice in sorted(fits.orders.items()):
        if choice.posterior is not None:
            fits.card += _posterior_rows(segment, choice, hist.customers(parts[segment]))
    if fits.pace is not None:
        for name, (mean, sd) in fits.pace.moments().items():
            fits.card += card_rows(
                "pace", "ltvlab", ALL, {name: mean}, {name: sd}, np.nan, hist.customers(h), True, "", True
            )


def _posterior_rows(segment: str, choice: Choice, customers: int) -> list[dict]:
    """The posterior on the card: median and half the central 68 % of each parameter, the regularity k, weights."""
    posterior = choice.posterior
    low, middle, high = np.quantile(posterior.sets, [0.16, 0.5, 0.84], axis=0)
    names = choice.model.names
    values = dict(zip(names, middle, strict=True)) | {"pooled_weight": choice.pooled_weight}
    name = MONTHLY
    if not isinstance(choice.model, MonthlyBGBB):
        name, values = "pareto_cnbd", values | {"k": choice.model.k}
    spread = dict(zip(names, (high - low) / 2, strict=True))
    return card_rows(
        name, "ltvlab", segment, values, spread, posterior.log_likelihood, customers, posterior.usable,
        ",".join(choice.notes), True,
    )  # fmt: skip
