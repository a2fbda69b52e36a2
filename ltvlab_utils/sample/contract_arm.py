"""Contracts of a month: new ones, changes in mid-term, pauses, early ends, renewal decisions at the notice deadline."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.people import BURN
from ltvlab_utils.sample.state import Cast, Slot, State, price_level

WIN_BACK, CROSS_SELL, UP, DOWN, EARLY, PAUSE = 0.008, 0.006, 0.010, 0.004, 0.0008, 0.001  # monthly hazards
DISCOUNTS = np.array([0.05, 0.10, 0.15, 0.20])
DISCOUNT_ODDS = -1.2  # log odds of a discount at satisfaction 0
TENURE_PULL = 0.15  # log odds per renewal made, four at most
PAUSE_MONTHS = 2
FIRST, RENEWED, CHURNED, EARLY_END, SUPERSEDED = "first", "renewed", "churned", "cancelled_early", "superseded"


def contracts(cast: Cast, state: State, month: int, gone, push, discount: float | None):
    """Revenue, cost and holding of the month by holder, and the events: dicts of kind, slot, month, `at` (flat holder
    x path) and what belongs to the kind."""
    rows, knobs, events = cast.holders, cast.knobs, []
    shape = (len(rows), state.alive.shape[1])
    revenue, cost, holding = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    if not len(rows):
        return revenue, cost, holding, events
    key, mood, at = cast.keys[rows], state.satisfaction[rows], month + BURN
    alive, left_now, fading = state.alive[rows], gone[rows], state.fading[rows] > 0
    expansion = push["expansion"][rows] if isinstance(push["expansion"], np.ndarray) else push["expansion"]
    renewal = push["renewal"][rows] if isinstance(push["renewal"], np.ndarray) else push["renewal"]
    length = np.broadcast_to(cast.of_holders("term"), shape)
    tell = lambda **event: events.append(event)  # noqa: E731
    for number, slot in enumerate(state.slots):
        u = draws.below(key, f"contract {number}", at)
        free = ~slot.active & alive & ~fading
        first = free & (cast.of_holders("born") == month) & (number == 0) & ~state.had
        if number == 0:
            start = first | (free & state.had & (u < WIN_BACK))
        else:
            chance = CROSS_SELL * np.exp(0.3 * mood + expansion)
            start = free & state.slots[0].active & cast.of_holders("second") & (u < chance)
        if start.any():
            _start(cast, state, slot, number, start, length, month)
            tell(kind=FIRST, slot=number, at=np.flatnonzero(start), month=month)
        # in mid-term: more, less, an early end, a pause; each needs a month that is neither first nor last
        running = slot.active & ~start & ~slot.leaving & (slot.left > 1) & (slot.left < length)
        edge = UP * np.exp(0.3 * mood + expansion)
        more = running & (u < edge)
        lower = edge + DOWN * np.exp(-0.3 * mood)
        less = running & (u >= edge) & (u < lower)
        early = np.zeros(shape, bool)
        if knobs.kind != "home":
            quits = lower + EARLY * np.exp(-0.5 * mood)
            early = running & (u >= lower) & (u < quits)
            pause = running & (u >= quits) & (u < quits + PAUSE) & (slot.paused == 0) & (slot.left > 4)
            slot.paused = np.where(pause, PAUSE_MONTHS, slot.paused).astype(np.int16)
            if pause.any():
                tell(kind="pause", slot=number, at=np.flatnonzero(pause), month=month)
        changed = more | less
        if changed.any():
            size = draws.below(key, f"size {number}", at)
            before = slot.listed.copy()
            slot.listed = np.where(
                more, before * (1.1 + 0.4 * size), np.where(less, before * (0.6 + 0.3 * size), before)
            )
            # a long term is sometimes replaced by a new one on the occasion
            anew = more & (length > 12) & (draws.below(key, f"anew {number}", at) < 0.3)
            if anew.any():
                tell(kind=SUPERSEDED, slot=number, at=np.flatnonzero(anew), month=month)
                slot.term_no[anew] += 1
                slot.left[anew] = length[anew]
            changed &= ~anew
            tell(kind="change", slot=number, at=np.flatnonzero(changed), month=month, before=before[changed],
                 up=more[changed], after=slot.listed[changed])  # fmt: skip
        slot.leaving |= early
        decides = slot.active & ~slot.leaving & ~early & (slot.left == cast.of_holders("notice") + 1)
        if decides.any():
            _decide(cast, slot, number, np.nonzero(decides), mood, fading, renewal, month, tell, discount)
        pays = slot.active & (slot.paused == 0)
        revenue += np.where(pays, slot.listed * (1 - slot.discount), 0.0)
        cost += np.where(pays, slot.listed * cast.of_holders("cost_share"), 0.0)
        holding |= slot.active
        slot.paused = np.maximum(slot.paused - 1, 0).astype(np.int16)
        _end_of_month(cast, state, slot, number, early | (left_now & slot.active), length, month, tell)
    return revenue, cost, holding, events


def _start(cast: Cast, state: State, slot: Slot, number: int, start, length, month: int) -> None:
    key, at = cast.keys[cast.holders], month + BURN
    aligned = np.zeros(start.shape, bool)
    if number:  # some second contracts end with the first (co-term)
        main = state.slots[0]
        running = (main.left >= 5) & (main.left < length) & ~main.leaving  # its month is over already
        aligned = start & running & (draws.below(key, "co-term", 0) < 0.4)
    state.had |= start
    slot.active |= start
    slot.leaving &= ~start
    slot.left = np.where(start, np.where(aligned, state.slots[0].left + 1, length), slot.left).astype(np.int16)
    slot.term_no[start] = 1
    noise = np.exp(0.2 * draws.normal(key, f"fee {number}", at) - 0.02)
    fee = cast.of_holders("fee") * (0.4 if number else 1.0) * price_level(cast.knobs, month) * noise
    slot.listed = np.where(start, np.maximum(np.round(fee, -2), 5_000), slot.listed)
    lure = draws.below(key, f"first discount {number}", at)
    given = np.where(lure < 0.3, DISCOUNTS[np.minimum((lure / 0.075).astype(int), 3)], 0.0)
    slot.discount = np.where(start, 0.0 if cast.knobs.kind == "home" else given, slot.discount)
    slot.paused[start] = 0


def renewal_odds(cast: Cast, rows, mood, term_no, discount, push, fading) -> np.ndarray:
    """Log odds to renew of holders `rows`. In a home world a constant chance of the customer's own, moved by measures
    alone."""
    if cast.knobs.kind == "home":
        churn = cast.of_holders("churn")[rows, 0]
        return np.log1p(-churn) - np.log(churn) + push
    base = cast.of_holders("leaning")[rows, 0] + cast.knobs.satisfaction_pull * mood
    tenure = TENURE_PULL * np.minimum(term_no - 1, 4)
    return base + tenure + cast.knobs.discount_pull * discount / 0.10 + push - 1.5 * fading


def _decide(cast, slot, number, where, mood, fading, renewal, month, tell, discount) -> None:
    rows = where[0]
    key, at, mood = cast.keys[cast.holders][where], month + BURN, mood[where]
    offer = np.zeros(len(rows))
    if discount is not None:
        offer[:] = discount
    elif cast.knobs.kind != "home":
        odds = DISCOUNT_ODDS - cast.knobs.discount_leaning * mood
        given = draws.below(key, f"discount {number}", at) < expit(odds)
        which = (4 * draws.below(key, f"how much {number}", at)).astype(int)
        offer = np.where(given, DISCOUNTS[which], 0.0)
    push = renewal[rows, 0] if isinstance(renewal, np.ndarray) else renewal
    odds = renewal_odds(cast, rows, mood, slot.term_no[where], offer, push, fading[where])
    chance = expit(odds)
    stays = draws.below(key, f"renewal {number}", at) < chance
    slot.leaving[where] = ~stays
    slot.offer[where] = offer
    tell(kind="decision", slot=number, at=rows * slot.left.shape[1] + where[1], month=month, offer=offer,
         chance=chance, chance_without=expit(odds - cast.knobs.discount_pull * offer / 0.10),
         chance_with=expit(odds + cast.knobs.discount_pull * (1 - offer / 0.10)), renews=stays, mood=mood)  # fmt: skip


def _end_of_month(cast, state, slot, number, cut, length, month, tell) -> None:
    """Terms that end: early or with the customer, by notice, or renewed at the price of the day."""
    slot.left -= slot.active
    due = slot.active & (slot.left <= 0)
    churned, cut = due & slot.leaving & ~cut, cut & slot.active
    renewed = due & ~slot.leaving & ~cut
    for kind, which in ((EARLY_END, cut), (CHURNED, churned), (RENEWED, renewed)):
        if not which.any():
            continue
        if kind == RENEWED:
            before = slot.listed[renewed] * (1 - slot.discount[renewed])
            rise = (1 + cast.knobs.inflation) ** (length[renewed] / 12)
            slot.listed[renewed] = np.round(slot.listed[renewed] * rise, -2)
            slot.discount[renewed] = slot.offer[renewed]
            slot.term_no[renewed] += 1
            slot.left[renewed] = length[renewed]
            tell(kind=RENEWED, slot=number, at=np.flatnonzero(renewed), month=month, before=before)
        else:
            slot.active &= ~which
            tell(kind=kind, slot=number, at=np.flatnonzero(which), month=month)
