"""Which order model each segment rests on (floor 2).

Ladder: own segment -> pooled over all segments -> "cannot tell" (exponential prior around the pooled
rate; P(alive) unknown). On each of the first two rungs: the configured model; NBD without death, only where it fits as
well; Pareto/NBD with one death rate for all, where the data do not tell how far death rates differ; the other model
with death. So customers who leave are never held to stay for ever. The pooled weight is 0 or 1: a segment rests on its
own fit or on the pooled one. Partial pooling is not done.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.models import NBD
from ltvlab_utils.models.pareto_cnbd import PastClock
from ltvlab_utils.periods import DAYS_PER_YEAR
from ltvlab_utils.value.choice import (
    ALL,
    MIN_CUSTOMERS,
    MIN_REPEATERS,
    ONE_DEATH,
    ORDER_MODELS,
    Choice,
    Fits,
    attempt,
    card_rows,
    fit_rows,
    usable,
)
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.order_posterior import Data, Posterior, posteriors, regularity
from ltvlab_utils.value.pace import fit_pace

DEATH_MODELS = ("pareto_nbd", "mbg_nbd")
WITH_DEATH = (*DEATH_MODELS, ONE_DEATH)
POSTERIOR = 2  # names the random stream
RATES, DEATHS = 0, 2  # coordinates of phi
UNKNOWN, KNOWN = 0.2, 0.9  # share of precision from own customers: below, nothing is known; above, nearly all is
HARDLY_ANY = 0.02  # deaths a year
NO_DEATH = 2.0  # nats that a model with death must gain over NBD before it counts as evidence of death


def _too_few(h: pd.DataFrame) -> bool:
    return len(h) < MIN_CUSTOMERS or int((h["frequency"] > 0).sum()) < MIN_REPEATERS


def _cannot_tell(h: pd.DataFrame) -> Choice:
    exposure = max(float(h["T"].sum()), 1.0)
    model = NBD(r=1.0, alpha=exposure / (float(h["frequency"].sum()) + 1.0))
    return Choice("nbd", model, "cannot_tell", ("orders_cannot_tell",))


def _no_death(found: dict) -> bool:
    """True when NBD fits as well as the models with death: the data show nobody leaving."""
    others = [found[n][0].log_likelihood for n in WITH_DEATH if n in found and found[n][0] is not None]
    best = max((v for v in others if np.isfinite(v)), default=-np.inf)
    return usable(found["nbd"][0]) and found["nbd"][0].log_likelihood > best - NO_DEATH


def _choose(found: dict, chosen: str, rung: str, notes: tuple[str, ...]) -> Choice | None:
    """The first usable model of one set of fits: the configured one (Pareto/NBD also in its limit of one death rate),
    NBD if nobody leaves, the other one with death."""
    if usable(found[chosen][0]):
        return Choice(chosen, found[chosen][0], rung, notes)
    if _no_death(found):
        return Choice("nbd", found["nbd"][0], rung, (*notes, "fit_without_death"))
    ladder = [(ONE_DEATH, "one_death_rate"), *((n, "other_order_model") for n in DEATH_MODELS if n != chosen)]
    for name, note in ladder if chosen == "pareto_nbd" else reversed(ladder):
        if name in found and usable(found[name][0]):
            return Choice(name, found[name][0], rung, (*notes, note))
    return None


def _order_models(h: pd.DataFrame, limit: bool = True) -> dict:
    """Name -> (model, warning); with `limit` also Pareto/NBD with one death rate where its own fit failed."""
    rows = hist.distinct(h)
    weights = rows["weight"].to_numpy()
    found = {name: attempt(name, rows, weights) for name in ORDER_MODELS}
    if limit and not usable(found["pareto_nbd"][0]):
        found[ONE_DEATH] = attempt(ONE_DEATH, rows, weights)
    return found


def _posteriors(fits: Fits, facts: Facts, settings) -> None:
    """The posterior of each segment on the seasonal clock of all."""
    h, unit = facts.histories, hist.DAYS_PER_UNIT[settings.models.time_unit]
    parts = {}
    known = "log_interval_sum" in h
    for segment, part in h.groupby("model_segment", sort=True):
        rows = hist.distinct(part)
        columns = (rows[c].to_numpy(float) for c in ("frequency", "recency", "T", "weight"))
        parts[segment] = Data(*columns, float(part["log_interval_sum"].sum()) if known else None)
    k = regularity(list(parts.values()), unit)
    clock = PastClock()
    if facts.months is not None:
        everyone = (np.concatenate([getattr(d, c) for d in parts.values()]) for c in ("x", "tx", "T", "weights"))
        fits.pace = fit_pace(facts.months, *everyone, k)
        clock = fits.pace.clock
    seed = np.random.SeedSequence([settings.models.seed, POSTERIOR])
    found = posteriors(parts, k, clock, unit, np.random.default_rng(seed))
    for segment, posterior in found.items():
        fits.orders[segment] = _choice(posterior, len(found) > 1, unit)


def _choice(posterior: Posterior, several: bool, unit: float) -> Choice:
    model, own = posterior.model, posterior.own_weight
    name = "pareto_nbd" if model.k == 1 and model.clock.plain else "pareto_cnbd"
    notes = []
    deaths_a_year = np.median(posterior.sets[:, 2] / posterior.sets[:, 3]) * DAYS_PER_YEAR / unit
    rung = "own"
    if own[DEATHS] < UNKNOWN and own[RATES] < KNOWN:
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


def fit_orders(fits: Fits, facts: Facts, settings) -> None:
    """Fits all order models; values rest on the posterior of the Pareto/CNBD-k, or on the ladder of MBG/NBD where the
    settings name it."""
    h, chosen = facts.histories, settings.models.orders
    parts = dict(iter(h.groupby("model_segment", sort=True)))
    bayes = chosen == "pareto_nbd"
    pooled = _order_models(h, limit=not bayes and (len(parts) == 1 or any(_too_few(p) for p in parts.values())))
    found = {
        s: pooled if len(parts) == 1 else _order_models(p, limit=not bayes) for s, p in parts.items() if not _too_few(p)
    }
    if bayes:
        _posteriors(fits, facts, settings)
    for segment in () if bayes else parts:
        choice = _choose(found[segment], chosen, "own", ()) if segment in found else None
        if choice is None and not _too_few(h):
            choice = _choose(pooled, chosen, "pooled", ("fit_pooled",))
            if choice is None and usable(pooled["nbd"][0]):
                choice = Choice("nbd", pooled["nbd"][0], "pooled", ("fit_pooled", "fit_without_death"))
        fits.orders[segment] = choice or _cannot_tell(h)
    if len(parts) > 1 or not found:
        found = {**found, ALL: pooled}
    for segment, models in found.items():
        size = len(h) if segment == ALL else len(parts[segment])
        for name, (model, warning) in models.items():
            fits.models[(name, segment)] = model
            users = [s for s, c in fits.orders.items() if c.model is model]
            if name in ("nbd", ONE_DEATH) and not users:
                continue  # fitted to see whether anybody leaves; shown where values rest on it
            more = f"used_by:{'+'.join(users)}" if users and segment == ALL and len(parts) > 1 else ""
            fits.card += fit_rows(name, segment, model, warning, size, bool(users), more)
    for segment, choice in sorted(fits.orders.items()):
        if choice.posterior is not None:
            fits.card += _posterior_rows(segment, choice, float(parts[segment].shape[0]))
    if fits.pace is not None:
        for name, (mean, sd) in fits.pace.moments().items():
            fits.card += card_rows("pace", "ltvlab", ALL, {name: mean}, {name: sd}, np.nan, len(h), True, "", bayes)


def _posterior_rows(segment: str, choice: Choice, customers: float) -> list[dict]:
    """The posterior on the card: median and half the central 68 % of each parameter, the regularity k, weights."""
    posterior = choice.posterior
    low, middle, high = np.quantile(posterior.sets, [0.16, 0.5, 0.84], axis=0)
    names = choice.model.names
    values = dict(zip(names, middle, strict=True)) | {"k": choice.model.k, "pooled_weight": choice.pooled_weight}
    spread = dict(zip(names, (high - low) / 2, strict=True))
    return card_rows(
        "posterior", "ltvlab", segment, values, spread, posterior.log_likelihood, customers, posterior.usable,
        ",".join(choice.notes), True,
    )  # fmt: skip
