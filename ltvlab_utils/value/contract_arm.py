"""Contracts of a block of customers, played through draw by draw (floor 2).

Renewals at their notice deadlines, early cancellation in between, changes of the amount, and further contracts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.models.hazard import HIGHEST, LOWEST
from ltvlab_utils.value import movement as moving
from ltvlab_utils.value import prices
from ltvlab_utils.value import renewal_hazard as renewal
from ltvlab_utils.value.calendar import at
from ltvlab_utils.value.renewal_fits import term_class


def contract_arm(part, decisions, place, size, segment, fits, shared, horizon, draws, rng) -> dict[str, np.ndarray]:
    """Contracts of a block (rows `part`, of customer `place`, sorted by it; `decisions`: their rows of
    facts.decisions) -> (size, draws) arrays: revenue at today's amount, expansion, cost, fiscal-year revenue and cost,
    months until the last one ends. `each`: what was added up, as stretches of one amount (flat arrays: cell of the
    block, begin and end in months, amount a month, cost share)."""
    shape = (len(part), draws)
    if shared.hazard is None:
        renewals = _renewals_of_sbg(part, segment, fits, shared, draws, rng)
    else:
        renewals = _renewals(part, decisions, fits.hazard, shared, horizon, draws, rng)
    decided = part["decided"].to_numpy()
    renewals = np.where((decided == "churned")[:, None], 0.0, renewals)
    # a renewal that is known already stands in `renewals_made`; the term that it opens is still to come
    renewals += (decided == "renewed")[:, None]
    term, left = part["term_months"].to_numpy(float)[:, None], part["months_left"].to_numpy()[:, None]
    end = np.minimum(left + renewals * term, horizon.months)
    rates = shared.movement
    if rates is not None:
        end = np.minimum(end, rng.standard_exponential(shape) / np.maximum(rates[(segment, moving.EARLY)], 1e-12))
    amount, share = part["amount"].to_numpy()[:, None], part["cost_share"].to_numpy()[:, None]
    level, plain = horizon.annuity(), horizon.annuity(discounted=False)
    revenue = amount * at(level, end)
    fiscal_end = np.minimum(end, horizon.fiscal_months)
    fiscal = amount * at(plain, fiscal_end)
    expansion, more, longest = np.zeros(shape), np.zeros(shape), end
    changed: list[dict] = []
    if rates is not None and fits.movement.known:
        rise = _rises(part, fits.movement.prices, rates, rng)
        grown, fiscal_grown, steps = _changes(segment, fits.movement, rates, end, left, term, rise, horizon, rng)
        expansion, fiscal = amount * grown, fiscal + amount * fiscal_grown
        changed = [{**one, "amount": one["amount"] * amount.ravel()[one["cell"] // draws]} for one in steps]
    if rates is not None:
        first = np.diff(place, prepend=-1) > 0
        more, fiscal_more, last, opened = _further(segment, fits, shared, amount, end, first, horizon, draws, rng)
        changed.append(opened)
        expansion, fiscal, longest = expansion + more, fiscal + fiscal_more, np.maximum(end, last)
    found = {
        "revenue": revenue, "expansion": expansion, "cost": share * (revenue + expansion), "fiscal": fiscal,
        "fiscal_cost": share * fiscal,
    }  # fmt: skip
    first = np.flatnonzero(np.diff(place, prepend=-1))
    who, out = place[first], {}
    for name, values in found.items():
        out[name] = np.zeros((size, draws))
        out[name][who] = np.add.reduceat(values, first, axis=0)
    every = np.arange(end.size)
    flat = np.broadcast_to(amount, shape).ravel()
    changed.insert(0, {"cell": every, "begin": np.zeros(end.size), "end": end.ravel(), "amount": flat})
    out["each"] = []
    for one in changed:
        row, draw = one["cell"] // draws, one["cell"] % draws
        out["each"].append({**one, "cell": place[row] * draws + draw, "share": share.ravel()[row]})
    out["end"] = np.zeros((size, draws))
    out["end"][who] = np.maximum.reduceat(longest, first, axis=0)
    return out


def _renewals_of_sbg(part, segment, fits, shared, draws, rng) -> np.ndarray:
    """Renewals still to come where there is no hazard: theta of each contract from its Beta posterior."""
    kinds = term_class(part["term_months"])
    theta = np.empty((len(part), draws))
    made = part["renewals_made"].to_numpy()
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        model = fits.renewals[(segment, kind)].model
        theta[rows] = model.sample_churn_probability(made[rows], draws, rng, shared.params[id(model)])
    passed = rng.standard_exponential(theta.shape) / np.maximum(-np.log1p(-np.minimum(theta, 1 - 1e-12)), 1e-300)
    return np.floor(np.minimum(passed, 1e6))


def _renewals(part, decisions, hazard, shared, horizon, draws, rng) -> np.ndarray:
    """Renewals still to come within the horizon. The contract's frailty is drawn given what it has stayed through; it
    leaves at the first decision by which its hazards sum to more than an exponential number over it. What is known of
    a customer today counts less for each later decision, down to what its frailty, tenure and term say."""
    params, model = shared.hazard, hazard.model
    v = params["variance"]
    z = rng.standard_gamma(np.broadcast_to(1 / v, (len(part), draws)))
    z /= 1 / v + renewal.lived(hazard, decisions, part["contract_id"], params)
    limit = rng.standard_exponential(z.shape) / np.maximum(z, 1e-300)
    ahead = decisions[decisions["told"] == "next"]
    at_row = pd.Series(np.arange(len(part)), index=part["contract_id"].to_numpy())[ahead["contract_id"]].to_numpy()
    x, is_moving, b = hazard.design.rows(ahead), model.prior.moving, params["b"].T
    steady, seen = x[:, ~is_moving] @ b[~is_moving], x[:, is_moving] @ b[is_moving]
    of_tenure = b[hazard.design.tenure_at]
    lead, made = ahead["lead"].to_numpy(float), ahead["made"].to_numpy(float)
    term = ahead["term_months"].to_numpy(float)
    left = part["months_left"].to_numpy(float)[at_row]
    left = left + np.where(part["decided"].to_numpy()[at_row] == "renewed", term, 0.0)
    total, renewals = np.zeros(seen.shape), np.zeros(seen.shape)
    number = 0
    while len(left) and (left + number * term < horizon.months).any():
        when = lead + number * term
        months = np.clip(when.astype(int), 0, horizon.months - 1)
        longer = renewal.tenure(made + number) - renewal.tenure(made)
        eta = steady + np.exp(-np.outer(when, params["fade"])) * seen + np.outer(longer, of_tenure)
        total += np.exp(np.clip(eta, LOWEST, HIGHEST)) * shared.renewal_shock[:, months].T
        renewals += total <= limit[at_row]
        number += 1
    out = np.zeros(z.shape)
    out[at_row] = renewals
    return out


def _spread(number: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Flat cells of events, one entry each, and a uniform number of each."""
    cell = np.repeat(np.arange(number.size), number.ravel())
    return cell, rng.random(len(cell))


def _rises(part, found, rates, rng) -> tuple[np.ndarray, np.ndarray]:
    """(contracts, draws) log change of the amount at the next renewal, and at each one after it (prices.py)."""
    years, regained = part["term_months"].to_numpy(float) / 12, prices.depth(part["discount_rate"]) - found.usual
    later = np.outer(years, rates["rise"])
    own = found.own_sd * rng.standard_normal(later.shape) - found.own_sd**2 / 2
    return later + np.outer(regained, rates["regain"]) + own, later


def _changes(
    segment, movement, rates, end, left, term, rise, horizon, rng
) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """Discounted and fiscal-year revenue, per unit of today's amount, that changes within CAP_MONTHS add, both
    (contracts, draws), and the changes as stretches. Each is a share of today's amount and stays until the contract
    ends; what goes down takes at most all of it (the stretches do not know that)."""
    level, plain = horizon.annuity(), horizon.annuity(discounted=False)
    fiscal_end = np.minimum(end, horizon.fiscal_months)
    cap = np.minimum(end, moving.CAP_MONTHS)
    add, fiscal = np.zeros(end.shape), np.zeros(end.shape)
    full, fiscal_full = at(level, end), at(plain, fiscal_end)
    steps = []
    for what, sign in ((moving.UP, 1.0), (moving.DOWN, -1.0)):
        shape = movement.sizes[what][2]
        cell, where = _spread(rng.poisson(rates[(segment, what)] * cap), rng)
        when = where * cap.ravel()[cell]
        size = rates[what][cell % end.shape[1]] * rng.standard_gamma(shape, len(cell)) / shape
        step = np.expm1(sign * np.minimum(size, 2.0))
        steps.append({"cell": cell, "begin": when, "end": end.ravel()[cell], "amount": step})
        add += np.bincount(cell, step * (full.ravel()[cell] - at(level, when)), end.size).reshape(end.shape)
        late = np.minimum(when, horizon.fiscal_months)
        fiscal += np.bincount(cell, step * (fiscal_full.ravel()[cell] - at(plain, late)), end.size).reshape(end.shape)
    number = 0
    while (left + number * term < moving.CAP_MONTHS).any():
        when = np.where(left + number * term < moving.CAP_MONTHS, left + number * term, np.inf)
        when = np.minimum(when, end)  # nothing where it has ended before
        step = np.expm1(rise[min(number, 1)])
        add += step * (full - at(level, when))
        fiscal += step * (fiscal_full - at(plain, np.minimum(when, fiscal_end)))
        cell = np.arange(end.size)
        steps.append({"cell": cell, "begin": when.ravel(), "end": end.ravel(), "amount": step.ravel()})
        number += 1
    return np.maximum(add, -full), np.maximum(fiscal, -fiscal_full), steps


def _further(segment, fits, shared, amount, end, first, horizon, draws, rng):
    """Contracts opened beside the running ones within CAP_MONTHS, by row of the first contract of each customer:
    discounted revenue, fiscal-year revenue, months until the last one ends. They last by the hazard of a new contract
    of this segment, for a customer of which nothing is known, term by term of 12 months."""
    rates, shape = shared.movement, end.shape
    level, plain = horizon.annuity(), horizon.annuity(discounted=False)
    cap = np.where(first[:, None], np.minimum(end, moving.CAP_MONTHS), 0.0)
    cell, where = _spread(rng.poisson(rates[(segment, moving.CROSS)] * cap), rng)
    when, draw = where * cap.ravel()[cell], cell % draws
    if shared.hazard is None:
        lives = np.ones(len(cell))
    else:
        v, h = shared.hazard["variance"][draw], renewal.of_new(fits.hazard, segment, shared.hazard)[draw]
        z = rng.standard_gamma(1 / v) * v
        lives = 1 + np.floor(np.minimum(rng.standard_exponential(len(cell)) / np.maximum(z * h, 1e-12), 1e3))
    until = np.minimum(when + 12 * lives, horizon.months)
    worth = rates["share"][draw] * amount.ravel()[cell // draws]
    sums = lambda values: np.bincount(cell, values, end.size).reshape(shape)  # noqa: E731
    late, stop = np.minimum(when, horizon.fiscal_months), np.minimum(until, horizon.fiscal_months)
    last = np.zeros(end.size)
    np.maximum.at(last, cell, until)
    opened = {"cell": cell, "begin": when, "end": until, "amount": worth}
    return (
        sums(worth * (at(level, until) - at(level, when))), sums(worth * (at(plain, stop) - at(plain, late))),
        last.reshape(shape), opened,
    )  # fmt: skip
