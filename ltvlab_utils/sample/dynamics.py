"""One month of a world, for customers x paths at once: the past is one path, the future of a customer thousands.

The order of a month: births, satisfaction, leaving (drawn first, it ends orders and contracts alike), contracts,
orders, support. Everything that later months depend on is in `State`, so a future may start from the state at any
month. Orders are a renewal process in operational time: a customer's rate, the season, the shock of its line, fading,
the lapse of its last contract and measures speed the clock up or slow it down, and an order falls whenever the time to
the next one has passed. Every number is drawn by key (draws.py): month, count of the order, number of the slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gamma, gammainc, gammaincinv

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.contract_arm import contracts
from ltvlab_utils.sample.knobs import Knobs
from ltvlab_utils.sample.people import BURN, LINES
from ltvlab_utils.sample.state import NEVER, Cast, State, price_level

LAPSE = 0.6  # factor on the order rate once the last contract has lapsed
SATISFACTION_SD = 0.8
RETURNED, CANCELLED = 0.015, 0.006  # share of orders
LOST_SHARE = 0.8  # of an invoice that is not paid
TICKETS, HOURS, YEN_AN_HOUR = 0.25, 1.8, 6_000  # a month and customer; hours a ticket (mean); yen an hour
SERVICING = 1_500  # yen an order: picking, packing, paper
REACTIVATION_MONTHS = 24


@dataclass
class Month:
    """What happened in a month. `cells`: flat position (customer x paths + path) of each order, with `place` in the
    month (0 to 1), `count` (order number), `amount` (yen), `net` (after returns, 0 if cancelled), `cancelled`.
    `contract`, `contract_cost`: (holders, paths) yen; `tickets`: (customers, paths) expected number;
    `events`: what became of contracts (contract_arm.contracts); `turned`: (customers, paths) a contact changed."""

    cells: np.ndarray
    place: np.ndarray
    count: np.ndarray
    amount: np.ndarray
    net: np.ndarray
    cancelled: np.ndarray
    contract: np.ndarray
    contract_cost: np.ndarray
    tickets: np.ndarray
    events: list[dict[str, np.ndarray]]
    turned: np.ndarray


def interval(knobs: Knobs, key: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Operational time between two orders, mean 1, by the number of the order."""
    u = draws.below(key, "interval", count)
    if knobs.interval == "weibull":
        return (-np.log(u)) ** (1 / knobs.shape) / gamma(1 + 1 / knobs.shape)
    total = -np.log(u)
    for extra in range(1, round(knobs.shape)):  # Erlang
        total -= np.log(draws.below(key, f"interval {extra}", count))
    return total / round(knobs.shape)


def residual(knobs: Knobs, key: np.ndarray, elapsed: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Operational time to the next order, given that `elapsed` has passed without one."""
    u = draws.below(key, "residual", count)
    if knobs.interval == "weibull":
        scale = gamma(1 + 1 / knobs.shape)
        return ((elapsed * scale) ** knobs.shape - np.log(u)) ** (1 / knobs.shape) / scale - elapsed
    if knobs.shape == 1:
        return -np.log(u)
    k = round(knobs.shape)
    passed = gammainc(k, elapsed * k)
    return np.maximum(gammaincinv(k, np.minimum(passed + u * (1 - passed), 1 - 1e-12)) / k - elapsed, 1e-9)


def step(
    cast: Cast,
    state: State,
    month: int,
    shock: np.ndarray,
    push: dict[str, np.ndarray | float],
    births: bool = False,
    discount: float | None = None,
) -> Month:
    """Moves `state` on by one month (in place) and tells what happened.

    `shock`: (lines, paths) on the log order rate; `push`: per customer (measures.pushes); `births`: customers born in
    this month begin; `discount`: the offer at every renewal decision, in place of what sales would give.
    """
    push = {k: v[:, None] if isinstance(v, np.ndarray) else v for k, v in push.items()}
    begin = np.zeros((len(cast.people), 1))
    if births:
        begin = _births(cast, state, month)
    turned = _satisfaction(cast, state, month, push["satisfaction"])
    end, gone = _leaving(cast, state, month, begin)
    held = contracts(cast, state, month, gone, push, discount)
    rate = _pace(cast, state, month, shock, push["rate"], begin, end, gone)
    orders = _orders(cast, state, rate, begin, end, month)
    here = state.alive | gone
    tickets = here * (TICKETS * cast.own["load"]) * np.exp(-0.35 * state.satisfaction)
    under = np.full(tickets.shape, 0.8)
    under[cast.holders] = np.where(held[2], 1.6, 0.8)
    return Month(*orders, held[0], held[1], tickets * under, held[3], turned)


def _births(cast: Cast, state: State, month: int) -> np.ndarray:
    new = (cast.own["born"] == month) & ~state.alive
    state.alive |= new
    state.since[new] = month
    start = cast.own["base"] + _sat_sd(cast) * draws.normal(cast.keys, "satisfaction at birth")
    state.satisfaction = np.where(new, start, state.satisfaction)
    return np.where(cast.own["born"] == month, cast.own["born_part"], 0.0)


def _sat_sd(cast: Cast) -> float:
    return 0.0 if cast.knobs.kind == "home" else SATISFACTION_SD


def _satisfaction(cast: Cast, state: State, month: int, push) -> np.ndarray:
    """AR(1) around the customer's own mean; a new contact in April or October starts afresh, a little lower."""
    memory, sd, base = cast.knobs.satisfaction_memory, _sat_sd(cast), cast.own["base"]
    turned = np.zeros(state.alive.shape, bool)
    if sd == 0:
        return turned
    at = month + BURN
    noise = draws.normal(cast.keys, "satisfaction", at) * (sd * np.sqrt(1 - memory**2))
    moved = base + memory * (state.satisfaction - base) + noise + push
    if (cast.first_month + month) % 12 in (3, 9):
        turned = state.alive & (draws.below(cast.keys, "turnover", at) < cast.knobs.turnover)
        fresh = base - 0.4 + sd * draws.normal(cast.keys, "new contact", at)
        moved = np.where(turned, fresh, moved)
    state.satisfaction = moved
    return turned


def _leaving(cast: Cast, state: State, month: int, begin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Who starts to fade, who is gone, who returns. Part of the month that counts, and who left in it."""
    knobs, at = cast.knobs, month + BURN
    end = np.ones((len(cast.people), 1))
    if knobs.reactivation:
        away = ~state.alive & (month - state.gone > 1) & (month - state.gone <= REACTIVATION_MONTHS)
        if away.any():
            back = away & (draws.below(cast.keys, "return", at) < knobs.reactivation)
            state.alive |= back
            state.since[back], state.gone[back], state.fading[back] = month, NEVER, 0
            state.elapsed[back], state.until[back] = 0.0, 0.0  # returns with an order
            state.satisfaction = np.where(back, cast.own["base"], state.satisfaction)
    steady = state.alive & (state.fading == 0)
    years = (month - state.since) / 12
    hazard = cast.own["hazard"] * np.exp(knobs.gompertz * years) * (1 - begin)
    leaves = steady & (draws.below(cast.keys, "leave", at) < 1 - np.exp(-hazard))
    if knobs.distributor_loss:
        lost = draws.below(cast.partner_keys, "partner lost", at) < knobs.distributor_loss / 12
        leaves |= steady & lost & (cast.own["partner"] >= 0)
    gone = np.zeros_like(leaves)
    if not knobs.fade_months:
        gone = leaves
        end = np.where(gone, begin + (1 - begin) * draws.below(cast.keys, "day of leaving", at), 1.0)
    else:
        length = 3 + np.floor(draws.below(cast.keys, "fade", at) * (knobs.fade_months - 2)).astype(np.int16)
        state.fade_from = np.where(leaves, length, state.fade_from)
        state.fading = np.where(leaves, length, state.fading - (state.alive & (state.fading > 0))).astype(np.int16)
        gone = state.alive & ~leaves & ~steady & (state.fading == 0)
    state.alive &= ~gone
    state.gone[gone] = month
    return end, gone


def _pace(cast: Cast, state: State, month: int, shock, push, begin, end, gone) -> np.ndarray:
    """Operational time that passes in the month, per customer and path."""
    calendar = (cast.first_month + month) % 12
    here = state.alive | gone
    season = cast.season[cast.own["profile"], calendar]
    pace = (
        here
        * (cast.own["rate"] * season * np.exp(push))
        * np.exp(shock[cast.people["line"].to_numpy()] - cast.knobs.shock_sd**2 / 2)
    )
    if cast.knobs.fade_months:
        fades = state.alive & (state.fading > 0)
        pace *= np.where(
            fades, state.fading / (state.fade_from + 1.0), np.where(gone, 1 / (state.fade_from + 1.0), 1.0)
        )
    if len(cast.holders):
        lapsed = state.had & ~np.logical_or.reduce([s.active for s in state.slots])
        pace[cast.holders] *= np.where(lapsed, LAPSE, 1.0)
    return pace * (end - begin)


def _orders(cast: Cast, state: State, pace, begin, end, month: int):
    """Orders of the month as flat arrays: cell, place in the month, count, amount, net, cancelled."""
    paths = pace.shape[1]
    flat = {k: getattr(state, k).reshape(-1) for k in ("until", "elapsed", "made")}
    pace = pace.reshape(-1)
    cells = np.flatnonzero((flat["until"] <= pace) & (pace > 0))
    at = flat["until"][cells]
    flat["until"] -= pace
    flat["elapsed"] += pace
    found = []
    while cells.size:
        count = flat["made"][cells]
        found.append((cells, at / pace[cells], count))
        flat["made"][cells] += 1
        gap = interval(cast.knobs, cast.keys.reshape(-1)[cells], count)
        done = at + gap > pace[cells]
        flat["elapsed"][cells] = pace[cells] - at
        flat["until"][cells[done]] = (at + gap - pace[cells])[done]
        cells, at = cells[~done], (at + gap)[~done]
    cells, part, count = (np.concatenate(c) for c in zip(*found, strict=True)) if found else (np.zeros(0, int),) * 3
    who, path = np.divmod(cells, paths)
    first, last = (np.broadcast_to(a, (a.shape[0], paths))[who, path] for a in (begin, end))
    key = cast.keys.reshape(-1)[cells]
    own = lambda c: cast.own[c][who, 0]  # noqa: E731
    level = own("spend") * price_level(cast.knobs, month)
    if cast.knobs.kind == "home":
        amount = level * gammaincinv(6.0, draws.below(key, "amount", count)) / 6.0
    else:
        sd = own("spend_sd")
        amount = level * np.exp(sd * draws.normal(key, "amount", count) - sd**2 / 2)
    fate = draws.below(key, "fate", count)
    cancelled = fate < CANCELLED
    back = (fate >= CANCELLED) & (fate < CANCELLED + RETURNED)
    amount = np.maximum(np.round(amount), 100.0)
    net = np.where(cancelled, 0.0, amount * np.where(back, 1 - back_share(key, count), 1.0))
    return cells, first + part * (last - first), count, amount, net, cancelled


def back_share(key: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Share of a returned order that comes back: a third all of it, else a part."""
    return np.minimum(0.3 + 1.05 * draws.below(key, "back", count), 1.0)


def shocks(seed: int, knobs: Knobs, paths: np.ndarray, months: int, start: np.ndarray | None = None) -> np.ndarray:
    """(months, lines, paths) shocks on the log order rate by AR(1), on from `start` (lines,) or from their long run.
    They vary around 0; `step` takes half their variance off, so that the mean factor is 1 in the long run."""
    key = draws.keys(seed, "shock", np.arange(len(LINES))[:, None], np.asarray(paths)[None, :])
    noise = knobs.shock_sd * np.sqrt(1 - knobs.shock_memory**2)
    now = knobs.shock_sd * draws.normal(key, "start") if start is None else np.repeat(start[:, None], len(paths), 1)
    out = np.empty((months, len(LINES), len(paths)))
    for m in range(months):
        now = knobs.shock_memory * now + noise * draws.normal(key, "step", m)
        out[m] = now
    return out
