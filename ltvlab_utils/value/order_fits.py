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
from ltvlab_utils.value.choice import (
    ALL,
    MIN_CUSTOMERS,
    MIN_REPEATERS,
    ONE_DEATH,
    ORDER_MODELS,
    Choice,
    Fits,
    attempt,
    fit_rows,
    usable,
)

DEATH_MODELS = ("pareto_nbd", "mbg_nbd")
WITH_DEATH = (*DEATH_MODELS, ONE_DEATH)
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


def fit_orders(fits: Fits, h: pd.DataFrame, chosen: str) -> None:
    parts = dict(iter(h.groupby("model_segment", sort=True)))
    pooled = _order_models(h, limit=len(parts) == 1 or any(_too_few(p) for p in parts.values()))
    found = {s: pooled if len(parts) == 1 else _order_models(p) for s, p in parts.items() if not _too_few(p)}
    for segment in parts:
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
