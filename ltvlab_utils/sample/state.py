"""The state of a world: who is there, who fades, how content, which contracts run, how long to the next order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ltvlab_utils.sample.knobs import Knobs

SLOTS = 2  # contracts a customer can hold at a time
NEVER = np.int16(32_000)


@dataclass
class Slot:
    """One contract a customer may hold: (holders, paths) arrays."""

    active: np.ndarray
    leaving: np.ndarray
    left: np.ndarray  # months left of the term, this one included
    term_no: np.ndarray
    listed: np.ndarray  # yen a month before discount
    discount: np.ndarray
    offer: np.ndarray  # discount of the next term
    paused: np.ndarray  # months of pause left

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Slot:
        types = (bool, bool, np.int16, np.int16, float, float, float, np.int16)
        return cls(*(np.zeros(shape, kind) for kind in types))


@dataclass
class State:
    """All that later months depend on; arrays are (customers, paths), slots (holders, paths)."""

    alive: np.ndarray
    fading: np.ndarray  # months left of fading, 0 = not fading
    fade_from: np.ndarray
    since: np.ndarray  # month of (re)birth
    gone: np.ndarray  # month of the end, NEVER = not gone
    satisfaction: np.ndarray
    elapsed: np.ndarray  # operational time since the last order
    until: np.ndarray  # and to the next
    made: np.ndarray  # orders so far
    had: np.ndarray  # holders that ever had a contract
    slots: tuple[Slot, ...]

    @classmethod
    def unborn(cls, customers: int, holders: int, paths: int = 1) -> State:
        shape = (customers, paths)
        small = lambda value=0: np.full(shape, value, np.int16)  # noqa: E731
        return cls(
            np.zeros(shape, bool), small(), small(), small(), small(NEVER), np.zeros(shape), np.zeros(shape),
            np.zeros(shape), np.zeros(shape, np.int32), np.zeros((holders, paths), bool),
            tuple(Slot.empty((holders, paths)) for _ in range(SLOTS)),
        )  # fmt: skip

    def take(self, rows: np.ndarray, holders: np.ndarray, paths: int = 1) -> State:
        """A copy for some customers (and their positions among holders), each repeated over `paths` paths."""
        wide = lambda a, at: np.repeat(a[at], paths, axis=1)  # noqa: E731
        own = {k: wide(v, holders if k == "had" else rows) for k, v in vars(self).items() if k != "slots"}
        slots = tuple(Slot(**{k: wide(v, holders) for k, v in vars(s).items()}) for s in self.slots)
        return State(**own, slots=slots)


@dataclass
class Cast:
    """The customers of a simulation. `people`: rows of people.people; `keys`: (customers, paths)."""

    people: pd.DataFrame
    knobs: Knobs
    season: np.ndarray
    keys: np.ndarray
    first_month: int  # calendar month (0 = January) of month 0
    partner_keys: np.ndarray  # (customers, paths): the same for all customers of a partner
    own: dict[str, np.ndarray] = field(init=False)
    holders: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.own = {c: self.people[c].to_numpy()[:, None] for c in self.people.columns}
        self.holders = np.flatnonzero(self.people["subscribes"].to_numpy())

    def of_holders(self, column: str) -> np.ndarray:
        return self.own[column][self.holders]


def price_level(knobs: Knobs, month: int) -> float:
    """Price level against the first month of the data."""
    return (1 + knobs.inflation) ** (month / 12)
