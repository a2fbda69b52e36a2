"""Contracts of a block of customers, played through draw by draw (floor 2)."""

from __future__ import annotations

import numpy as np

from ltvlab_utils.value.calendar import at
from ltvlab_utils.value.renewal_fits import term_class


def contract_arm(part, place, size, segment, fits, shared, horizon, draws, rng) -> dict[str, np.ndarray]:
    """Contracts of a block (rows `part`, of customer `place`) -> (size, draws) arrays: revenue, expansion, cost share
    weighted sums, fiscal-year revenue and cost, months until the last one ends. `each`: what was added up, as
    stretches of one amount (one element a contract and draw: cell of the block, begin and end in months, amount a
    month, cost share) and the monthly log growth of amounts by draw (None = none)."""
    kinds = term_class(part["term_months"])
    theta = np.empty((len(part), draws))
    decided = part["decided"].to_numpy()
    made = part["renewals_made"].to_numpy()
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        model = fits.renewals[(segment, kind)].model
        theta[rows] = model.sample_churn_probability(made[rows], draws, rng, shared.params[id(model)])
    passed = rng.standard_exponential(theta.shape) / np.maximum(-np.log1p(-np.minimum(theta, 1 - 1e-12)), 1e-300)
    renewals = np.floor(np.minimum(passed, 1e6))
    renewals = np.where((decided == "churned")[:, None], 0.0, renewals)
    # a renewal that is known already stands in `renewals_made`; the term that it opens is still to come
    renewals += (decided == "renewed")[:, None]
    term, left = part["term_months"].to_numpy(float)[:, None], part["months_left"].to_numpy()[:, None]
    end = np.minimum(left + renewals * term, horizon.months)
    amount, share = part["amount"].to_numpy()[:, None], part["cost_share"].to_numpy()[:, None]
    level, plain = horizon.annuity(), horizon.annuity(discounted=False)
    revenue = amount * at(level, end)
    fiscal_end = np.minimum(end, horizon.fiscal_months)
    fiscal = amount * at(plain, fiscal_end)
    expansion = np.zeros_like(revenue)
    if shared.growth is not None:
        expansion = amount * at(horizon.annuity(shared.growth), end) - revenue
        fiscal = amount * at(horizon.annuity(shared.growth, discounted=False), fiscal_end)
    found = {
        "revenue": revenue, "expansion": expansion, "cost": share * (revenue + expansion), "fiscal": fiscal,
        "fiscal_cost": share * fiscal,
    }  # fmt: skip
    first = np.flatnonzero(np.diff(place, prepend=-1))
    who, out = place[first], {}
    for name, values in found.items():
        out[name] = np.zeros((size, draws))
        out[name][who] = np.add.reduceat(values, first, axis=0)
    cell = (place[:, None] * draws + np.arange(draws)).ravel()
    flat = lambda values: np.broadcast_to(values, end.shape).ravel()  # noqa: E731
    whole = {"cell": cell, "begin": 0.0, "end": end.ravel(), "amount": flat(amount), "share": flat(share)}
    out["each"] = {"stretches": [whole], "growth": shared.growth}
    out["end"] = np.zeros((size, draws))
    out["end"][who] = np.maximum.reduceat(end, first, axis=0)
    return out
