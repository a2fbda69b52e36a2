"""The value of each customer, draw by draw (floor 2).

A draw is one possible future: one set of model parameters per fit, one shock path on the order rate shared by all
customers, another on the hazard of contracts, rates at which contracts change; and for each customer a hidden state
(alive, rate, lifetime, spend, margin, frailty), the dates of its orders, the ends and changes of its contracts.
Components are means over draws, so they add up to the value; totals and their intervals come from totals of draws.

Orders fall as a Poisson process of the customer's own rate on the shared clock, within its life; each is discounted
from its own date. Contract revenue and support cost count on the last day of each month. A contract ends at a term's
end by the renewal hazard, or early, and is renewed for the same length otherwise. Once the last contract of a customer
with orders has lapsed, its order rate is multiplied by the factor of value/lapse.py.

Memory: customers are taken in blocks of at most CELLS / draws (and of ORDERS expected orders): about 25 arrays of
CELLS float64, 100 MB, and 6 of ORDERS, 100 MB, whatever the number of customers; beside them one row of draws per
segment and per parent of several customers. Streams run by block: a customer's own draws depend on who shares its
block, so valuing a part of the customers alone agrees within Monte Carlo error only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.models.pareto_cnbd import PastClock
from ltvlab_utils.value import fits as fits_
from ltvlab_utils.value.calendar import Horizon, at
from ltvlab_utils.value.contract_arm import contract_arm
from ltvlab_utils.value.costs import Rates
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.order_arm import order_arm, spend_cap
from ltvlab_utils.value.pace import past_clock
from ltvlab_utils.value.shared import Shared

CELLS, ORDERS = 500_000, 2_000_000
COMPONENTS = (
    "expected_orders", "expected_order_revenue", "expected_contract_revenue", "expected_expansion", "expected_cogs",
    "expected_servicing_cost", "expected_support_cost", "expected_credit_loss",
)  # fmt: skip
LOW, HIGH = 0.10, 0.90
LOST_MONTHS = 12  # a customer whose orders and contracts have all ended by then is lost


@dataclass
class Simulated:
    """`by_customer`: p_lost (share of draws), components, value, low, high, sd (between draws) by row of
    facts.customers. `segments`: segment -> (draws,) arrays future_value, fiscal_year_revenue, fiscal_year_profit, each
    row as often as its weight says. `parents`: parent_id -> (draws,) value. `params`: segment -> parameters of its
    order model, each (draws,)."""

    by_customer: pd.DataFrame
    segments: dict[str, dict[str, np.ndarray]]
    parents: dict[str, np.ndarray]
    params: dict[str, dict[str, np.ndarray]]


def _blocks(facts: Facts, horizon: Horizon, draws: int, unit: float) -> Iterator[tuple[str, np.ndarray]]:
    """Rows of facts.customers by segment, in blocks of bounded work."""
    c = facts.customers
    h = facts.histories.set_index("customer_id")
    # twice the past rate plus a few: an upper guess of the orders of a draw
    guess = (h["frequency"] + 1) / (h["T"] * unit + 30.0) * horizon.days * 1.5 + 2
    load = c["customer_id"].map(guess).fillna(0.0).to_numpy() * draws
    for segment in sorted(c["model_segment"].unique()):
        rows = np.flatnonzero((c["model_segment"] == segment).to_numpy())
        work = np.maximum(np.cumsum(load[rows]) / ORDERS, np.arange(1, len(rows) + 1) * draws / CELLS)
        block = np.floor(work).astype(int)
        for number in np.unique(block):
            yield segment, rows[block == number]


def _block(rows, segment, facts, fits, rates: Rates, shared, horizon, settings, draws, rng) -> dict[str, np.ndarray]:
    """All components of a block of customers: (rows, draws) each, plus fiscal_year_revenue and fiscal_year_profit; and
    what they are made of: each_order (of the arm; cells of the block), each_contract, cost_share, support_a_month,
    months_alive."""
    people = facts.customers["customer_id"].iloc[rows]
    size, shape = len(rows), (len(rows), draws)
    position = pd.Series(np.arange(size), index=people)
    zero = np.zeros(shape)
    contract = dict.fromkeys(("revenue", "expansion", "cost", "fiscal", "fiscal_cost", "end"), zero)
    part = facts.contracts[facts.contracts["customer_id"].isin(people)] if len(facts.contracts) else facts.contracts
    if len(part):
        place = part["customer_id"].map(position).to_numpy()
        part = part.assign(
            cost_share=part["cost_share"].fillna(pd.Series(rates.contract_share[rows][place], part.index))
        )
        looks = None
        if facts.decisions is not None:
            looks = facts.decisions[facts.decisions["contract_id"].isin(part["contract_id"])]
            looks = looks.assign(model_segment=segment)
        contract = contract_arm(part, looks, place, size, segment, fits, shared, horizon, draws, rng)
    order = dict.fromkeys(("orders", "discounted", "revenue", "fiscal", "end"), zero)
    h = facts.histories[facts.histories["customer_id"].isin(people)]
    if len(h):
        place = h["customer_id"].map(position).to_numpy()
        months = contract["end"][place]
        has = np.isin(place, part["customer_id"].map(position).to_numpy()) if len(part) else np.zeros(len(h), bool)
        # a contract that outlives the horizon does not lapse within it
        lapse = np.where(has[:, None] & (months < horizon.months), horizon.days_of(months), np.inf)
        arm = order_arm(h, spend_cap(facts, segment), lapse, segment, fits, shared, horizon, settings, draws, rng)
        each = arm.pop("each")
        order = {"each": each | {"cell": place[each["cell"] // draws] * draws + each["cell"] % draws}}
        for name, values in arm.items():
            order[name] = np.zeros(shape)
            order[name][place] = values
    over = (contract["end"] < LOST_MONTHS - 1e-9) & (order["end"] < horizon.days_of(np.array(float(LOST_MONTHS))))
    revenue = order["revenue"] + contract["revenue"] + contract["expansion"]
    fiscal = order["fiscal"] + contract["fiscal"]
    out = {
        "p_lost": over if horizon.months >= LOST_MONTHS else np.full(shape, np.nan),
        "expected_orders": order["orders"],
        "expected_order_revenue": order["revenue"],
        "expected_contract_revenue": contract["revenue"],
        "expected_expansion": contract["expansion"],
        "fiscal_year_revenue": fiscal,
        "fiscal_year_profit": fiscal,
        "each_order": order.get("each"),
        "each_contract": contract.get("each"),
    }
    if rates.value_basis != "revenue":
        share = rates.cost_share[rows][:, None] + rates.cost_share_sd[rows][:, None] * rng.standard_normal(shape)
        out["expected_cogs"] = share * order["revenue"] + contract["cost"]
        out["fiscal_year_profit"] = fiscal - share * order["fiscal"] - contract["fiscal_cost"]
        out["cost_share"] = share
    if rates.value_basis == "net_profit":
        alive = np.maximum(contract["end"], horizon.months_of(order["end"]))
        a = np.broadcast_to(rates.support_shape[rows][:, None], shape)
        monthly = rates.support_rate[rows][:, None] * rng.standard_gamma(a) / a
        out["expected_support_cost"] = monthly * at(horizon.annuity(), alive)
        out |= {"support_a_month": monthly, "months_alive": alive}
        if np.isfinite(rates.servicing_cost):
            out["expected_servicing_cost"] = rates.servicing_cost * order["discounted"]
        if np.isfinite(rates.credit_loss_rate):
            out["expected_credit_loss"] = rates.credit_loss_rate * revenue
    return out


def value_of(parts: dict[str, np.ndarray]) -> np.ndarray:
    """future_value from its components; an unknown one is absent, and the value basis says so."""
    total = parts["expected_order_revenue"] + parts["expected_contract_revenue"] + parts["expected_expansion"]
    for name in COMPONENTS[4:]:
        if name in parts:
            total = total - parts[name]
    return total


def simulate(
    facts: Facts, fits: fits_.Fits, rates: Rates, settings, rng: np.random.Generator, shocks: bool = True,
    certain: bool = False, horizon: Horizon | None = None, watch: Callable[[str, np.ndarray, dict], None] | None = None,
) -> Simulated:  # fmt: skip
    """Simulates all customers over the horizon with `settings.models.draws` draws.

    `shocks` False and `certain` True leave out the shared shock and the uncertainty of parameters (for checks against
    closed forms). `watch` is called with each block's segment, rows of facts.customers and parts (`_block`, and the
    `weight` of each row where rows stand for several customers). Same inputs and seed give the same result.
    """
    draws = settings.models.draws
    horizon = horizon or Horizon.after(
        facts.as_of, settings.horizon_months, settings.discount_rate_annual, settings.fiscal_year_start_month
    )
    shared_rng, block_rng = rng.spawn(2)
    shared = Shared.of(fits, facts, horizon, draws, shared_rng, shocks, certain)
    c = facts.customers
    columns = ["p_lost", *COMPONENTS, "future_value", "future_value_low", "future_value_high", "draw_sd"]
    found = {name: np.full(len(c), np.nan) for name in columns}
    totals = ("future_value", "fiscal_year_revenue", "fiscal_year_profit")
    segments = {s: {t: np.zeros(draws) for t in totals} for s in sorted(c["model_segment"].unique())}
    parent = c["parent_id"].fillna(c["customer_id"])
    shared_parents = sorted(parent[parent.duplicated()].unique())
    parents = np.zeros((len(shared_parents), draws))
    code = parent.map(pd.Series(np.arange(len(shared_parents)), index=shared_parents)).fillna(-1).astype(int).to_numpy()
    unit = hist.DAYS_PER_UNIT[settings.models.time_unit]
    weights = hist.weights(c)
    for segment, rows in _blocks(facts, horizon, draws, unit):
        parts = _block(rows, segment, facts, fits, rates, shared, horizon, settings, draws, block_rng)
        parts["future_value"] = value_of(parts)
        if weights is not None:
            parts["weight"] = weights[rows]
        if watch is not None:
            watch(segment, rows, parts)
        for name in totals:
            segments[segment][name] += parts[name].sum(axis=0) if weights is None else weights[rows] @ parts[name]
        for name in ("p_lost", *COMPONENTS):
            if name in parts:
                found[name][rows] = parts[name].mean(axis=1)
        value = parts["future_value"]
        found["future_value"][rows] = value.mean(axis=1)
        found["future_value_low"][rows], found["future_value_high"][rows] = np.quantile(value, [LOW, HIGH], axis=1)
        found["draw_sd"][rows] = value.std(axis=1)
        grouped = code[rows] >= 0
        np.add.at(parents, code[rows][grouped], value[grouped])
    by = pd.DataFrame(found).assign(customer_id=c["customer_id"].to_numpy())
    params = {segment: shared.params[id(choice.model)] for segment, choice in fits.orders.items()}
    return Simulated(by, segments, dict(zip(shared_parents, parents, strict=True)), params)


def look_back(facts: Facts, fits: fits_.Fits, settings, horizon: Horizon, rng: np.random.Generator) -> np.ndarray:
    """(draws,) totals of purchase days within the horizon of customers as they stood at an earlier as-of (`facts` of
    that day), at the parameters of the present fit. What happened then, set against these, shows what the model leaves
    out (drift.py): the parameters have seen it, so luck in them is not counted twice."""
    season = fits.pace.season if fits.pace is not None else None
    clock = past_clock(facts.months, season) if season is not None and facts.months is not None else PastClock()
    orders = {
        s: replace(c, model=c.model.on(clock), posterior=None) if c.posterior is not None else c
        for s, c in fits.orders.items()
    }
    then = replace(fits, orders=orders, drift=None, pace=fits.pace and replace(fits.pace, linked=False))
    return order_draws(facts, then, settings, horizon, rng, certain=True).sum(axis=0)


def order_draws(
    facts: Facts, fits: fits_.Fits, settings, horizon: Horizon, rng: np.random.Generator, shocks: bool = True,
    certain: bool = False,
) -> np.ndarray:  # fmt: skip
    """Draws (customers, draws) of the number of purchase days within the horizon, contracts left aside; `shocks` and
    `certain` as in `simulate`."""
    draws = settings.models.draws
    shared_rng, block_rng = rng.spawn(2)
    shared = Shared.of(fits, facts, horizon, draws, shared_rng, shocks, certain)
    out = np.zeros((len(facts.customers), draws))
    for segment, rows in _blocks(facts, horizon, draws, hist.DAYS_PER_UNIT[settings.models.time_unit]):
        h = facts.histories.iloc[rows]
        lapse = np.full((len(rows), draws), np.inf)
        arm = order_arm(h, np.inf, lapse, segment, fits, shared, horizon, settings, draws, block_rng)
        out[rows] = arm["orders"]
    return out
