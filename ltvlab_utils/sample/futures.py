"""What happens after a month of a company: many paths from one state, and the value each of them brings.

Value is that of docs/methods.md: revenue less cost of goods, servicing, support and unpaid invoices, each discounted
from its own day (orders) or the last day of its month (contracts, support) to the last day before the first month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltvlab_utils.sample import draws, measures
from ltvlab_utils.sample.dynamics import (
    HOURS,
    LOST_SHARE,
    SERVICING,
    YEN_AN_HOUR,
    Month,
    residual,
    shocks,
    step,
)
from ltvlab_utils.sample.history import History, make_cast
from ltvlab_utils.sample.people import BURN
from ltvlab_utils.sample.state import Cast, State

HORIZONS = (12, 24, 36)
DISCOUNT_RATE = 0.10  # per year, effective
CELLS = 120_000  # customers x paths of a block: its arrays stay in the cache of a core
MOST = 2_000_000  # paths that a company can have; realised paths have numbers from here on
COUNTS = ("value", "orders", "order_revenue", "contract_revenue", "renewals")


@dataclass
class Tally:
    """Sums from the first month on, (customers, paths): value, orders (not cancelled), order_revenue (net),
    contract_revenue, renewals (decided in the time)."""

    value: np.ndarray
    orders: np.ndarray
    order_revenue: np.ndarray
    contract_revenue: np.ndarray
    renewals: np.ndarray

    @classmethod
    def zero(cls, shape: tuple[int, int]) -> Tally:
        return cls(*(np.zeros(shape) for _ in COUNTS))

    @property
    def revenue(self) -> np.ndarray:
        return self.order_revenue + self.contract_revenue

    def copy(self) -> Tally:
        return Tally(*(getattr(self, c).copy() for c in COUNTS))


@dataclass(frozen=True)
class Question:
    """What is asked of the future: `start`: first month; `applied`: measures at work; `paths`: numbers of the paths;
    `discount`: forced offer at renewal decisions; `redraw`: shocks, lives and the time to the next order are drawn
    anew (else the path that happened goes on); `drawn`: support and unpaid invoices happen or not (else their mean)."""

    start: int
    applied: tuple[measures.Applied, ...]
    paths: np.ndarray
    discount: float | None = None
    redraw: bool = True
    drawn: bool = False


def futures(
    history: History, state: State, question: Question, rows: np.ndarray, horizons: Sequence[int] = HORIZONS
) -> dict[int, Tally]:
    """Tallies of customers `rows` at each horizon (months from the start) under `question`."""
    setting, people = history.setting, history.people
    cast = make_cast(setting, people.iloc[rows].reset_index(drop=True), history.knobs, question.paths)
    own = np.searchsorted(history.cast.holders, rows[np.isin(rows, history.cast.holders)])
    state = state.take(rows, own, len(question.paths))
    now = history.shock[question.start - 1 + BURN, :, 0]
    if question.redraw:
        unseen = state.alive & (state.until > 0)  # 0: an order that is sure to come, the first or on return
        state.until = np.where(unseen, residual(cast.knobs, cast.keys, state.elapsed, state.made), state.until)
        shock = shocks(setting.seed, history.knobs, question.paths, max(horizons), now)
    else:
        shock = history.shock[question.start + BURN :]
    tally, found = Tally.zero(state.alive.shape), {}
    days = _days(setting, question.start, max(horizons))
    for k in range(max(horizons)):
        month = question.start + k
        push = measures.pushes(list(question.applied), month, rows)
        # customers not yet born are not valued, so nobody is born here
        done = step(cast, state, month, shock[k], push, discount=question.discount)
        _count(tally, cast, done, month, days[k], days[k + 1], question)
        if k + 1 in horizons:
            found[k + 1] = tally.copy()
    return found


def _days(setting, start: int, months: int) -> np.ndarray:
    """Days from the last day before month `start` to the last day before each month from there on."""
    first = setting.month_day(start + np.arange(months + 1))
    return (first - first[0]).astype(int)


def _count(tally: Tally, cast: Cast, done: Month, month: int, before: int, after: int, question: Question) -> None:
    delta = np.log1p(DISCOUNT_RATE) / 365.25
    shape = tally.value.shape
    day = before + 1 + np.floor(done.place * (after - before))
    margin = cast.own["margin"][done.cells // shape[1], 0]
    worth = (done.net * margin - np.where(done.cancelled, 0.0, SERVICING)) * np.exp(-delta * day)
    sums = lambda weights: np.bincount(done.cells, weights, shape[0] * shape[1]).reshape(shape)  # noqa: E731
    net = sums(done.net)
    tally.value += sums(worth)
    tally.orders += sums(~done.cancelled)
    tally.order_revenue += net
    lost, tickets = cast.own["credit"], done.tickets * HOURS
    if question.drawn:
        lost = unpaid(cast, month)
        tickets = ticket_hours(cast, done.tickets, month)[3]
    last = np.exp(-delta * after)
    tally.value -= (tickets * YEN_AN_HOUR + net * lost * LOST_SHARE) * last
    tally.value[cast.holders] += (done.contract - done.contract_cost) * last
    tally.contract_revenue[cast.holders] += done.contract
    for event in done.events:
        if event["kind"] == "decision":
            who, path = np.divmod(event["at"], shape[1])
            np.add.at(tally.renewals, (cast.holders[who], path), event["renews"])


def unpaid(cast: Cast, month: int) -> np.ndarray:
    """Which customers do not pay the invoice of a month, if there is one."""
    return draws.below(cast.keys, "unpaid", month + BURN) < cast.own["credit"]


def ticket_hours(cast: Cast, mean: np.ndarray, month: int):
    """Tickets of a month, Poisson with the mean given: flat arrays row, count, hours of each, and hours by cell.

    Hours are gamma with shape 1.5, here by the Wilson-Hilferty root of a normal number, brought to their mean."""
    u = draws.below(cast.keys, "tickets", month + BURN)
    mean = np.broadcast_to(mean, u.shape)
    chance, number = np.exp(-mean), np.zeros(u.shape, int)
    below, k = chance.copy(), 0
    while (rest := u > below).any() and k < 60:
        k += 1
        number += rest
        chance = chance * mean / k
        below += chance
    cells = np.repeat(np.arange(u.size), number.ravel())
    count = np.arange(len(cells)) - np.repeat(np.cumsum(number.ravel()) - number.ravel(), number.ravel())
    z = draws.normal(cast.keys.reshape(-1)[cells], "hours", (month + BURN) * 64 + count)
    root = np.maximum(1 - 1 / 13.5 + z * np.sqrt(1 / 13.5), 0.05)
    hours = HOURS * root**3 / _ROOT_MEAN
    return cells, count, hours, np.bincount(cells, hours, u.size).reshape(u.shape)


def _root_mean() -> float:
    z, weight = np.polynomial.hermite_e.hermegauss(80)
    return float((np.maximum(1 - 1 / 13.5 + z * np.sqrt(1 / 13.5), 0.05) ** 3 * weight).sum() / weight.sum())


_ROOT_MEAN = _root_mean()


def blocks(people: pd.DataFrame, rows: np.ndarray, paths: int) -> list[np.ndarray]:
    """`rows` in blocks of at most CELLS cells, customers with and without contracts apart; none empty."""
    size, out = max(CELLS // paths, 1), []
    holds = people["subscribes"].to_numpy()[rows]
    for kind in (False, True):
        own = rows[holds == kind]
        out += [own[i : i + size] for i in range(0, len(own), size)]
    return out
