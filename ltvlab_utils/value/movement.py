"""Contracts between their renewals (floor 2): early cancellation, more or less of the same, prices, further contracts.

Three parts: the chance that a contract goes up, the chance that it goes down, and by how much; all by contract and
month, each with its own uncertainty. Prices move at a renewal. Few events: gamma priors, whose weight is in
contract-months; a segment's prior is what all segments show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from ltvlab_utils.value.calendar import month_index

CAP_MONTHS = 24  # changes later than that are not counted: no growth goes on for ever
EARLY, UP, DOWN, CROSS = "early", "up", "down", "cross"
# prior mean a contract-month (`cross`: customer-month under contract), and its weight in months
RATES = {EARLY: 0.003, UP: 0.005, DOWN: 0.003, CROSS: 0.001}
PRIOR_MONTHS, SEGMENT_MONTHS = 200.0, 400.0
SIZE, SIZE_EVENTS = 0.15, 5.0  # prior mean of |log(after / before)|, and its weight in events
PRICE_SD = 0.03  # prior of the mean log change of the amount at a renewal: normal around 0
CROSS_SHARE = 0.4  # prior of a further contract's amount, as a share of what the customer pays already


@dataclass(frozen=True)
class Moves:
    """What the past shows, by segment-free rows. `contracts`: customer_id, months, early, up, down, price_sum (of log
    changes), renewals; `customers`: customer_id, months, further (contracts opened beside a running one); `sizes`: up
    and down -> |log changes|; `shares`: amounts of further contracts as a share of what was paid already; `unusable`:
    changes from or to an amount of 0 or below; `term_months`: of further contracts, the median."""

    contracts: pd.DataFrame
    customers: pd.DataFrame
    sizes: dict[str, np.ndarray]
    shares: np.ndarray
    unusable: int
    changes: int
    known: bool

    def only(self, ids: set) -> Moves:
        keep = lambda t: t[t["customer_id"].isin(ids)].reset_index(drop=True)  # noqa: E731
        return Moves(keep(self.contracts), keep(self.customers), self.sizes, self.shares, self.unusable, self.changes,
                     self.known)  # fmt: skip


def moves(terms: pd.DataFrame, made: pd.DataFrame, changes: pd.DataFrame | None, as_of: date) -> Moves:
    """Counts of what happened to contracts to date. `terms`: of contracts.amounts; `made`: of contracts.renewals_made;
    `changes`: contract_changes, None where it is not there."""
    out = made[["contract_id", "customer_id"]].assign(
        early=made["early"].astype("float64"),
        renewals=(made["renewals_made"] - made["renewals_at_entry"]).astype("float64"),
    )
    out["months"] = made["months"].astype("float64")
    sizes, unusable, count = {UP: np.zeros(0), DOWN: np.zeros(0)}, 0, 0
    for column in (UP, DOWN, "price_sum"):
        out[column] = 0.0
    if changes is not None:
        known = changes[pd.to_datetime(changes["changed_on"]) <= pd.Timestamp(as_of)]
        before, after = (pd.to_numeric(known[c]).astype("float64") for c in ("amount_before", "amount_after"))
        usable = (before > 0) & (after > 0) & known["contract_id"].isin(out["contract_id"])
        step = np.log(after[usable] / before[usable])
        of, price = known.loc[usable, "contract_id"], known.loc[usable, "reason"] == "price"
        unusable, count = int((~usable).sum()), int(usable.sum())
        sizes = {UP: step[~price & (step > 0)].to_numpy(), DOWN: -step[~price & (step < 0)].to_numpy()}
        for name, rows in ((UP, ~price & (step > 0)), (DOWN, ~price & (step < 0))):
            out[name] = out["contract_id"].map(of[rows].value_counts()).fillna(0.0).astype("float64")
        out["price_sum"] = out["contract_id"].map(step[price].groupby(of[price]).sum()).fillna(0.0).astype("float64")
    customers, shares = _further(terms, as_of)
    return Moves(out, customers, sizes, shares, unusable, count, changes is not None)


def _further(terms: pd.DataFrame, as_of: date) -> tuple[pd.DataFrame, np.ndarray]:
    """Per customer: months under contract, and contracts opened while another one ran."""
    span = terms.groupby(["customer_id", "contract_id"], sort=True).agg(
        start=("starts_on", "min"), stop=("ends_on", "max"), first_term=("term_no", "min"), amount=("amount", "first")
    )
    span = span.reset_index().sort_values(["customer_id", "start", "contract_id"], ignore_index=True)
    span["stop"] = span["stop"].clip(upper=pd.Timestamp(as_of))
    by = span.groupby("customer_id", sort=True)
    until = by["stop"].transform(lambda s: s.cummax().shift())
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
    `price`: (mean, sd) of the log change at a renewal; `share`: (mean, number) of further contracts; `known`: a record
    of changes is there (else amounts stay)."""

    rates: dict[tuple[str, str], tuple[float, float]]
    sizes: dict[str, tuple[float, float, float]]
    price: tuple[float, float]
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
    return Movement(rates, sizes, _price(found.contracts), (share, SIZE_EVENTS + len(found.shares)), found.known)


def _price(contracts: pd.DataFrame) -> tuple[float, float]:
    """Mean log change of the amount at a renewal, those without a change included; standard error from sums by contract
    (renewals of one contract are not independent); posterior under Normal(0, PRICE_SD squared)."""
    n, sums = contracts["renewals"].to_numpy(), contracts["price_sum"].to_numpy()
    total, k = n.sum(), (n > 0).sum()
    if k < 2:
        return 0.0, PRICE_SD
    mean = sums.sum() / total
    variance = max(((sums - mean * n) ** 2).sum() / total**2 * k / (k - 1), 1e-12)
    weight = PRICE_SD**2 / (PRICE_SD**2 + variance)
    return float(mean * weight), float(np.sqrt(variance * weight))


def draw(movement: Movement, draws: int, rng: np.random.Generator, certain: bool = False) -> dict:
    """Rates a month by (segment, what), mean sizes by what, `price` and `share`: arrays (draws,); with `certain` the
    posterior means."""
    gamma = lambda shape: np.full(draws, float(shape)) if certain else rng.standard_gamma(shape, draws)  # noqa: E731
    out: dict = {key: gamma(shape) / months for key, (shape, months) in sorted(movement.rates.items())}
    for what, (mean, events, shape) in sorted(movement.sizes.items()):
        out[what] = mean * gamma(events * shape) / (events * shape)
    noise = 0.0 if certain else rng.standard_normal(draws)
    out["price"] = movement.price[0] + movement.price[1] * noise + np.zeros(draws)
    out["share"] = movement.share[0] * gamma(movement.share[1]) / movement.share[1]
    return out
