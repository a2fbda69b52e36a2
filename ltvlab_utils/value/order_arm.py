"""Orders of a block of customers, played through draw by draw (floor 2)."""

from __future__ import annotations

import numpy as np

from ltvlab_utils import histories as hist
from ltvlab_utils.value.facts import Facts

SPEND_CAP = 2.0


def spend_cap(facts: Facts, segment: str) -> float:
    """Mean spend per order that a draw may reach: SPEND_CAP times the largest of a customer of the segment. Beyond it
    lies only the tail of GammaGamma, whose variance does not exist for q <= 2."""
    h = facts.histories
    top = h.loc[h["model_segment"] == segment, "monetary_value" if facts.wide is None else "top"].max()
    return SPEND_CAP * float(top) if top > 0 else np.inf


def every(k: int, number: np.ndarray, phase: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of `number` events a cell, at random in (0, 1), those that complete k when `phase` came before: cell, moment.

    Sorted uniforms are partial sums of exponentials over their total: nothing need be sorted.
    """
    cell = np.repeat(np.arange(len(number)), number + 1)
    run = np.cumsum(rng.standard_exponential(len(cell)))
    last = np.cumsum(number + 1) - 1
    start = np.concatenate([[0.0], run[last[:-1]]])
    rank = np.arange(len(cell)) - (last - number)[cell] + 1
    kept = ((rank + phase[cell]) % k == 0) & (rank <= number[cell])
    cell = cell[kept]
    return cell, (run[kept] - start[cell]) / (run[last] - start)[cell]


def order_arm(h, spend_cap, lapse, segment, fits, shared, horizon, settings, draws, rng) -> dict[str, np.ndarray]:
    """Orders of customers with histories `h` -> arrays (rows, draws): orders, discounted (sum of discount factors),
    revenue (discounted), fiscal (revenue to the fiscal year's end), end (days after as-of until death). `each`: one
    element an order: cell (row * draws + draw), day after as-of, amount.
    `lapse`: days after as-of of the last contract's end; infinite where there is none."""
    unit = hist.DAYS_PER_UNIT[settings.models.time_unit]
    choice = fits.orders[segment]
    with np.errstate(over="ignore"):  # a death too far away to write down lies beyond the horizon all the same
        latent = choice.model.sample_latents(h, draws, rng, shared.params[id(choice.model)])
    after = np.full(draws, settings.models.order_rate_after_lapse)
    if shared.after_lapse is not None:
        after = shared.after_lapse
    played = (
        by_month(latent, lapse, after, shared, horizon, rng)
        if "months" in latent
        else by_day(latent, lapse, after, shared, horizon, unit, getattr(choice.model, "k", 1), rng)
    )
    return _money(h, spend_cap, *played, segment, fits, shared, horizon, draws, rng)


def by_month(latent, lapse, after, shared, horizon, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orders of a monthly model, dated to the end of their month: cell and day of each, and end (rows, draws). The pace
    of a month acts on the rate -ln(1 - p) behind the chance p of an order in it."""
    shape = latent["p"].shape
    draw = np.arange(shape[1])
    rate = -np.log1p(-np.minimum(latent["p"], 1 - 1e-12))
    exposure = shared.clock.exposure(np.broadcast_to(horizon.ends[:, None], (len(horizon.ends), shape[1])), draw)
    pace = np.diff(exposure, axis=0) / np.diff(horizon.ends)[:, None]
    cells, days = [], []
    for month, end in enumerate(horizon.ends[1:]):
        own = pace[month] * np.where(lapse < end, after, 1.0)
        ordered = (rng.random(shape) < -np.expm1(-rate * own)) & (latent["months"] > month)
        cells.append(np.flatnonzero(ordered))
        days.append(np.full(len(cells[-1]), end))
    lived = horizon.ends[np.minimum(latent["months"], horizon.months).astype(int)]
    return np.concatenate(cells), np.concatenate(days), lived


def by_day(latent, lapse, after, shared, horizon, unit, k, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orders of a model in continuous time: cell and day of each, and end (rows, draws)."""
    shape = latent["rate"].shape
    draws = shape[1]
    draw = np.broadcast_to(np.arange(draws), shape)
    rate, dropout = latent["rate"] / unit, latent["dropout"]
    by_order = bool(dropout.any())  # MBG/NBD: death falls at an order, so it runs on the orders' own clock
    end = np.where(latent["alive"], horizon.days, 0.0)
    if not by_order:
        end = np.minimum(latent["lifetime"] * unit, end)
    turn = np.minimum(lapse, end)
    before = shared.clock.exposure(turn, draw)
    exposure = before + after * (shared.clock.exposure(end, draw) - before)
    with np.errstate(over="ignore"):
        last = latent["lifetime"] * unit if by_order else np.full(shape, np.inf)
    stop = np.minimum(exposure, last)
    number = rng.poisson(rate * (1 - dropout) * stop)
    final = latent["alive"] & (last <= exposure) if by_order else np.zeros(shape, bool)

    if k == 1:
        cell = np.repeat(np.arange(number.size), number.ravel())
        moment = rng.random(len(cell)) * stop.ravel()[cell]
    else:  # an order whenever k events have passed, `phase` of them before as-of
        cell, moment = every(k, number.ravel(), latent["phase"].ravel(), rng)
        moment = moment * stop.ravel()[cell]
    if final.any():
        cell = np.concatenate([cell, np.flatnonzero(final)])
        moment = np.concatenate([moment, last[final]])

    def day_of(exposed: np.ndarray, where: np.ndarray) -> np.ndarray:
        lapsed = before.ravel()[where]
        slow = exposed > lapsed
        if slow.any():  # none where orders end with the contract
            factor = after[draw.ravel()[where]]
            exposed = np.where(slow, lapsed + (exposed - lapsed) / np.maximum(factor, 1e-12), exposed)
        return shared.clock.days(exposed, draw.ravel()[where])

    if by_order:
        gone = np.flatnonzero(final)
        end = end.copy()
        end.ravel()[gone] = day_of(last.ravel()[gone], gone)
    return cell, np.ceil(day_of(moment, cell)), end  # an order has a date


def _money(h, spend_cap, cell, day, end, segment, fits, shared, horizon, draws, rng) -> dict[str, np.ndarray]:
    """What the orders of `cell` and `day` bring."""
    shape = end.shape
    factor = horizon.discount(day)
    early = day <= horizon.fiscal_days
    count = lambda w=None: np.bincount(cell, w, end.size).reshape(shape)  # noqa: E731
    orders, soon = count(), count(early.astype(float))
    discounted, discounted_soon = count(factor), count(factor * early)
    spend = fits.spend[segment].model
    params = shared.params[id(spend)]
    usable = h.assign(
        frequency=h["frequency"].where(h["monetary_value"] > 0, 0),
        monetary_value=h["monetary_value"].clip(lower=0.0),
    )
    nu = spend.sample_spend_rate(usable, draws, rng, params)
    if spend_cap < np.inf:
        nu = np.maximum(nu, params["p"] / spend_cap)
    # n orders of one customer add up to Gamma(p n, nu): once for the fiscal year, once for what comes later
    p = params["p"]
    sum_soon = rng.standard_gamma(p * soon) / nu
    sum_later = rng.standard_gamma(p * (orders - soon)) / nu
    mean = lambda total, n: np.divide(total, n, out=np.zeros(shape), where=n > 0)  # noqa: E731
    later = mean(discounted - discounted_soon, orders - soon)
    revenue = sum_soon * mean(discounted_soon, soon) + sum_later * later
    amount = np.where(early, mean(sum_soon, soon).ravel()[cell], mean(sum_later, orders - soon).ravel()[cell])
    each = {"cell": cell, "day": day, "amount": amount}
    return {
        "orders": orders, "discounted": discounted, "revenue": revenue, "fiscal": sum_soon, "end": end, "each": each,
    }  # fmt: skip
