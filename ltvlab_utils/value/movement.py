"""Contracts between their renewals (floor 2): early cancellation, more or less of the same, prices, further contracts.

Three parts: the chance that a contract goes up, the chance that it goes down, and by how much; all by contract and
month, each with its own uncertainty. What a renewal does to the amount is in prices.py. Few events: gamma priors, whose
weight is in contract-months; a segment's prior is what all segments show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from ltvlab_utils.value import prices
from ltvlab_utils.value.calendar import month_index

CAP_MONTHS = 24  # changes later than that are not counted: no growth goes on for ever
EARLY, UP, DOWN, CROSS = "early", "up", "down", "cross"
# prior mean a contract-month (`cross`: customer-month under contract), and its weight in months
RATES = {EARLY: 0.003, UP: 0.005, DOWN: 0.003, CROSS: 0.001}
PRIOR_MONTHS, SEGMENT_MONTHS = 200.0, 400.0
SIZE, SIZE_EVENTS = 0.15, 5.0  # prior mean of |log(after / before)|, and its weight in events
CROSS_SHARE = 0.4  # prior of a further contract's amount, as a share of what the customer pays already


@dataclass(frozen=True)
class Moves:
    """What the past shows, by segment-free rows. `contracts`: customer_id, months, early, up, down; `customers`:
    customer_id, months, further (contracts opened beside a running one); `renewals`: of prices.renewals; `sizes`: up
    and down -> |log changes|; `shares`: amounts of further contracts as a share of what was paid already; `unusable`:
    changes from or to an amount of 0 or below; `known`: a record of changes is there."""

    contracts: pd.DataFrame
    customers: pd.DataFrame
    renewals: pd.DataFrame
    sizes: dict[str, np.ndarray]
    shares: np.ndarray
    unusable: int
    known: bool

    def only(self, ids: set) -> Moves:
        keep = lambda t: t[t["customer_id"].isin(ids)].reset_index(drop=True)  # noqa: E731
        return Moves(keep(self.contracts), keep(self.customers), keep(self.renewals), self.sizes, self.shares,
                     self.unusable, self.known)  # fmt: skip


def moves(terms: pd.DataFrame, made: pd.DataFrame, changes: pd.DataFrame | None, as_of: date) -> Moves:
    """Counts of what happened to contracts to date. `terms`: of contracts.amounts; `made`: of contracts.renewals_made;
    `changes`: contract_changes, None where it is not there."""
    out = made[["contract_id", "customer_id"]].assign(early=made["early"].astype("float64"))
    out["months"] = made["months"].astype("float64")
    sizes, unusable = {}, 0
    steps = pd.DataFrame({"contract_id": [], "changed_on": [], "reason": [], "step": []}).astype(
        {"contract_id": "str", "changed_on": "datetime64[us]", "reason": "str", "step": "float64"}
    )
    if changes is not None:
        known = changes[pd.to_datetime(changes["changed_on"]) <= pd.Timestamp(as_of)]
        before, after = (pd.to_numeric(known[c]).astype("float64") for c in ("amount_before", "amount_after"))
        usable = (before > 0) & (after > 0) & known["contract_id"].isin(out["contract_id"])
        unusable = int((~usable).sum())
        steps = known.loc[usable, ["contract_id", "changed_on", "reason"]].reset_index(drop=True)
        steps["changed_on"] = pd.to_datetime(steps["changed_on"])
        steps["step"] = np.log(after[usable] / before[usable]).to_numpy()
    of_price = steps[steps["reason"] == "price"]
    renewals, at_renewal = prices.renewals(terms, of_price)
    rest = steps.drop(index=of_price.index[at_renewal])
    for name, rows in ((UP, rest[rest["step"] > 0]), (DOWN, rest[rest["step"] < 0])):
        sizes[name] = rows["step"].abs().to_numpy(dtype=float)
        out[name] = out["contract_id"].map(rows["contract_id"].value_counts()).fillna(0.0).astype("float64")
    customers, shares = _further(terms, as_of)
    return Moves(out, customers, renewals, sizes, shares, unusable, changes is not None)


def _further(terms: pd.DataFrame, as_of: date) -> tuple[pd.DataFrame, np.ndarray]:
    """Per customer: months under contract, and contracts opened while another one ran."""
    span = terms.groupby(["customer_id", "contract_id"], sort=True).agg(
        start=("starts_on", "min"), stop=("ends_on", "max"), first_term=("term_no", "min"), amount=("amount", "first")
    )
    span = span.reset_index().sort_values(["customer_id", "start", "contract_id"], ignore_index=True)
    span["stop"] = span["stop"].clip(upper=pd.Timestamp(as_of))
    by = span.groupby("customer_id", sort=True)
    until = by["stop"].cummax().groupby(span["customer_id"], sort=True).shift()
    own = by["amount"].cumsum() - span["amount"]
    new = (span["first_term"] == 1) & (span["start"] < until)
    months = month_index(by["stop"].max() + pd.Timedelta(days=1)) - month_index(by["start"].min())
    further = new.groupby(span["customer_id"]).sum()
    customers = pd.DataFrame({"months": months.clip(lower=0.0), "further": further.astype("float64")}).reset_index()
    share = (span["amount"] / own.where(own > 0))[new].dropna()
    return customers, share.to_numpy(dtype=float)


@dataclass(frozen=True)
class Movement:
    """Posteriors. `rates`: (segment, what) -> (shape, months) of a gamma; `sizes`: what -> (mean, events, shape);
    `prices` at renewals; `share`: (mean, number) of further contracts; `known`: a record of changes is there (else
    amounts stay)."""

    rates: dict[tuple[str, str], tuple[float, float]]
    sizes: dict[str, tuple[float, float, float]]
    prices: prices.Prices
    share: tuple[float, float]
    known: bool


def fit(found: Moves, segment_of: pd.Series) -> Movement:
    """`segment_of`: model_segment by customer_id."""
    rates = {}
    for what in RATES:
        rows = found.customers if what == CROSS else found.contracts
        column = "further" if what == CROSS else what
        by = rows.groupby(rows["customer_id"].map(segment_of))[[column, "months"]].sum()
        total = by.sum()
        company = (RATES[what] * PRIOR_MONTHS + total[column]) / (PRIOR_MONTHS + total["months"])
        for segment, (events, months) in zip(by.index, by.to_numpy(), strict=True):
            rates[(segment, what)] = (company * SEGMENT_MONTHS + events, SEGMENT_MONTHS + months)
    sizes = {}
    for what in (UP, DOWN):
        seen = found.sizes[what]
        mean = (SIZE * SIZE_EVENTS + seen.sum()) / (SIZE_EVENTS + len(seen))
        spread = seen.std() / seen.mean() if len(seen) >= 5 else 0.7
        sizes[what] = (mean, SIZE_EVENTS + len(seen), float(np.clip(spread, 0.2, 1.0) ** -2))
    share = (CROSS_SHARE * SIZE_EVENTS + found.shares.sum()) / (SIZE_EVENTS + len(found.shares))
    return Movement(rates, sizes, prices.fit(found.renewals), (share, SIZE_EVENTS + len(found.shares)), found.known)


def draw(movement: Movement, draws: int, rng: np.random.Generator, certain: bool = False) -> dict:
    """Rates a month by (segment, what), mean sizes by what, `rise`, `regain` and `share`: arrays (draws,); with
    `certain` the posterior means."""
    gamma = lambda shape: np.full(draws, float(shape)) if certain else rng.standard_gamma(shape, draws)  # noqa: E731
    out: dict = {key: gamma(shape) / months for key, (shape, months) in sorted(movement.rates.items())}
    for what, (mean, events, shape) in sorted(movement.sizes.items()):
        out[what] = mean * gamma(events * shape) / (events * shape)
    out |= prices.draw(movement.prices, draws, rng, certain)
    out["share"] = movement.share[0] * gamma(movement.share[1]) / movement.share[1]
    return out
