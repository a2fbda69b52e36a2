"""The past of a generated company: one path from before its data to their end, with campaigns, and a log of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ltvlab_utils.periods import Period
from ltvlab_utils.sample import campaigns as camp
from ltvlab_utils.sample import draws, measures
from ltvlab_utils.sample.dynamics import Month, shocks, step
from ltvlab_utils.sample.knobs import Kind, Knobs, knobs
from ltvlab_utils.sample.people import BURN, people, season
from ltvlab_utils.sample.state import Cast, State

PAST = 0  # number of the path that happened
PARTNERS = 6
AHEAD = 36  # months after the data for which the path that happens is known


@dataclass(frozen=True)
class Setting:
    """What makes a company: everything else follows from it."""

    seed: int = 7
    customers: int = 1200
    months: int = 36
    last_period: str = "2025-06"
    world: Kind = "misspecified"

    @property
    def end(self) -> Period:
        return Period.parse(self.last_period)

    @property
    def first_day(self) -> np.datetime64:
        return np.datetime64(self.end.shift(1 - self.months).first_day, "D")

    @property
    def last_day(self) -> np.datetime64:
        return np.datetime64(self.end.last_day, "D")

    @property
    def days(self) -> int:
        return int((self.last_day - self.first_day).astype(int)) + 1

    def month_day(self, month) -> np.ndarray:
        """First day of a month, 0 = the first of the data."""
        return (self.first_day.astype("datetime64[M]") + np.asarray(month)).astype("datetime64[D]")


@dataclass
class Log:
    """What happened, month by month. `orders`: columns of flat arrays (row, month, place, count, amount, net,
    cancelled); `contracts`: events with candidate numbers; the others hold an array of customers per month of the
    data."""

    orders: list[dict[str, np.ndarray]] = field(default_factory=list)
    contracts: list[dict] = field(default_factory=list)
    counts: list[np.ndarray] = field(default_factory=list)
    alive: list[np.ndarray] = field(default_factory=list)
    mood: list[np.ndarray] = field(default_factory=list)
    tickets: list[np.ndarray] = field(default_factory=list)
    revenue: list[np.ndarray] = field(default_factory=list)
    cost: list[np.ndarray] = field(default_factory=list)
    turned: list[np.ndarray] = field(default_factory=list)
    fading: list[np.ndarray] = field(default_factory=list)


@dataclass
class History:
    """The company at the end of its data. `state`: of the last month, paths = 1; `before`: state at the start of each
    campaign's month; `shock`: (months since -BURN, lines, 1), on to AHEAD months after the data."""

    setting: Setting
    knobs: Knobs
    cast: Cast
    state: State
    shock: np.ndarray
    assigned: list[camp.Assigned]
    before: dict[str, State]
    log: Log

    @property
    def people(self) -> pd.DataFrame:
        return self.cast.people

    @property
    def applied(self) -> list[measures.Applied]:
        return [a.applied for a in self.assigned]


def make_cast(setting: Setting, rows: pd.DataFrame, world: Knobs, paths: np.ndarray) -> Cast:
    """Customers with the keys of some paths."""
    first = int(str(setting.first_day)[5:7]) - 1
    partner = rows["partner"].to_numpy()[:, None] + 1
    who = rows["candidate"].to_numpy()[:, None]
    return Cast(
        people=rows,
        knobs=world,
        season=season(world),
        keys=draws.keys(setting.seed, "path", who, paths[None, :]),
        first_month=first,
        partner_keys=draws.keys(setting.seed, "partner path", partner, paths[None, :]),
    )


def run(setting: Setting) -> History:
    """The company's past, from BURN months before the data to their end. Raises Refused for an unknown world."""
    world = knobs(setting.world, setting.seed)
    shock = shocks(setting.seed, world, np.array([PAST]), BURN + setting.months + AHEAD)
    count = int(setting.customers * 1.9) + 40
    while True:
        rows = people(setting.seed, world, count, setting.months)
        cast = make_cast(setting, rows, world, np.array([PAST]))
        state, log = State.unborn(count, len(cast.holders)), Log()
        for month in range(-BURN, 0):
            done = step(cast, state, month, shock[month + BURN], measures.pushes([], month), births=True)
            _note_contracts(log, cast, state, done)
        seen = np.flatnonzero(state.alive[:, 0] | (rows["born"].to_numpy() >= 0))[: setting.customers]
        if len(seen) == setting.customers:
            break
        count *= 2
    cast, state = _selected(setting, world, cast, state, seen)
    assigned: list[camp.Assigned] = []
    before: dict[str, State] = {}
    for month in range(setting.months):
        for campaign in camp.starting(month, setting.months):
            orders = np.array(log.counts).T
            assigned.append(camp.assign(setting.seed, campaign, month, cast, state, orders, world.spill))
            before[campaign.code] = state.take(np.arange(len(cast.people)), np.arange(len(cast.holders)))
        push = measures.pushes([a.applied for a in assigned], month)
        done = step(cast, state, month, shock[month + BURN], push, births=True)
        _note(log, cast, state, done, month)
    return History(setting, world, cast, state, shock, assigned, before, log)


def _selected(setting: Setting, world: Knobs, cast: Cast, state: State, seen: np.ndarray) -> tuple[Cast, State]:
    """The customers that the data will know, with parents, partners and groups by row."""
    rows = cast.people.iloc[seen].reset_index(drop=True)
    place = np.full(len(cast.people) + 1, -1)
    place[seen] = np.arange(len(seen))
    parent = place[rows["parent"].to_numpy()]  # -1 reads the last place, which is -1
    is_parent = np.zeros(len(rows), bool)
    is_parent[parent[parent >= 0]] = True
    group = np.where(parent >= 0, parent, np.where(is_parent, np.arange(len(rows)), -1))
    makers = np.flatnonzero((rows["line"] == 1) & (rows["partner"] < 0) & (rows["rate"] > 0) & (rows["born"] < 0))
    head = makers[np.argsort(-rows["spend"].to_numpy()[makers], kind="stable")][:PARTNERS]
    served = rows["partner"].to_numpy() < len(head)
    partner = np.where(served, rows["partner"], -1)
    leads = np.full(len(rows), -1)
    leads[head] = np.arange(len(head))
    through = head[partner.clip(0)] if len(head) else np.zeros(len(rows), int)
    rows = rows.assign(
        parent=parent, group=group, partner=partner, leads=leads, through=np.where(partner >= 0, through, -1)
    )
    at = np.searchsorted(cast.holders, seen[np.isin(seen, cast.holders)])
    return make_cast(setting, rows, world, np.array([PAST])), state.take(seen, at)


def _note(log: Log, cast: Cast, state: State, done: Month, month: int) -> None:
    n = len(cast.people)
    log.orders.append(
        {
            "row": done.cells, "month": np.full(len(done.cells), month), "place": done.place, "count": done.count,
            "amount": done.amount, "net": done.net, "cancelled": done.cancelled,
        }
    )  # fmt: skip
    log.counts.append(np.bincount(done.cells[~done.cancelled], minlength=n))
    log.alive.append(state.alive[:, 0].copy())
    log.mood.append(state.satisfaction[:, 0].copy())
    log.tickets.append(done.tickets[:, 0])
    whole = np.zeros((2, n))
    whole[:, cast.holders] = done.contract[:, 0], done.contract_cost[:, 0]
    log.revenue.append(whole[0])
    log.cost.append(whole[1])
    log.turned.append(done.turned[:, 0])
    log.fading.append(np.where(state.fading > 0, state.fading / (state.fade_from + 1.0), 1.0)[:, 0])
    _note_contracts(log, cast, state, done)


def _note_contracts(log: Log, cast: Cast, state: State, done: Month) -> None:
    """Events with the candidates' numbers and the terms' values after the month."""
    who = cast.people["candidate"].to_numpy()[cast.holders]
    for event in done.events:
        slot, at = state.slots[event["slot"]], event["at"]
        values = {c: getattr(slot, c)[at, 0] for c in ("listed", "discount", "left", "term_no")}
        log.contracts.append({**event, **values, "who": who[at]})
