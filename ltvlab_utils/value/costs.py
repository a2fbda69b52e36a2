"""Cost shares, support cost a month, and what may be called profit (floor 2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltvlab_utils.periods import add_months
from ltvlab_utils.value.facts import Facts

COVERAGE = 0.8  # share of revenue that must carry a cost before cost counts as known
SUPPORT_PRIOR_MONTHS = 6.0  # weight of the segment's support rate, in months of a customer's own record
MARGIN_SD = 0.10  # spread of cost shares where too few dates have one to measure it


@dataclass(frozen=True)
class Rates:
    """Per customer, in the order of `facts.customers`; NaN = unknown. `cost_share`, `cost_share_sd`: cost per revenue
    of orders; `contract_share`: the same of contracts without an own cost; `support_rate` a month alive and
    `support_shape` (gamma shape of its uncertainty). `value_basis` holds for the whole company. `notes`: codes."""

    value_basis: str
    cost_share: np.ndarray
    cost_share_sd: np.ndarray
    contract_share: np.ndarray
    support_rate: np.ndarray
    support_shape: np.ndarray
    credit_loss_rate: float
    servicing_cost: float
    notes: tuple[str, ...]
    pooled_margin: np.ndarray


@dataclass(frozen=True)
class Pool:
    """What all customers together say of cost. `sums` of SUMMED; by segment: cost per revenue of orders and of
    `contracts`, `support` cost a month; `within` and `between`: variance of cost shares of order dates within customers
    and between them; `running`: contracts run."""

    sums: pd.Series
    orders: pd.Series
    contracts: pd.Series
    support: pd.Series
    within: float
    between: float
    running: bool


SUMMED = ["gross_amount", "gross_costed", "contract_revenue", "costed_contract_revenue"]
RATIOS = ["order_cost", "costed_revenue", "contract_cost", "costed_contract_revenue", "support_year", "months"]


def _ratio(customers: pd.DataFrame, above: str, below: str) -> pd.Series:
    """Ratio of sums by segment; of all customers where the segment has nothing."""
    sums = customers.groupby("model_segment")[[above, below]].sum()
    total = sums.sum()
    overall = total[above] / total[below] if total[below] > 0 else np.nan
    return (sums[above] / sums[below].where(sums[below] > 0)).fillna(overall)


def _of(c: pd.DataFrame, ratio: pd.Series) -> np.ndarray:
    return c["model_segment"].map(ratio).to_numpy(dtype=float)


def _dates(c: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order dates with a cost share of each customer, the mean share over them, and its squares about that mean."""
    n = np.where(c["costed_revenue"] > 0, c["share_days"].to_numpy(), 0.0)
    mean = np.divide(c["share_sum"], n, out=np.zeros(len(c)), where=n > 0)
    return n, mean, np.where(n > 0, np.maximum(c["share_squares"] - n * mean**2, 0.0), 0.0)


def _variances(dates: float, squared: float, customers: float, inside: float, about: float) -> tuple[float, float]:
    """One-way analysis of variance of the cost shares of order dates: variance within and between customers. `squared`:
    sum of squared numbers of dates; `inside`: squares about customers' means; `about`: squares of those, weighted by
    dates, about the segment's share."""
    w = inside / (dates - customers) if dates - customers >= 20 else MARGIN_SD**2
    w = max(float(w), 1e-6)
    b = (about - (customers - 1) * w) / (dates - squared / dates) if customers >= 10 else MARGIN_SD**2
    return w, max(float(b), 1e-6)


def pool(facts: Facts) -> Pool:
    """The pool of all customers of `facts`."""
    c = facts.customers.assign(months=_support_months(facts))
    orders = _ratio(c, "order_cost", "costed_revenue")
    n, mean, inside = _dates(c)
    some = n > 0
    about = (n * (mean - _of(c, orders)) ** 2)[some].sum()
    within, between = _variances(n.sum(), (n**2).sum(), some.sum(), inside[some].sum(), about)
    return Pool(
        c[SUMMED].sum(), orders, _ratio(c, "contract_cost", "costed_contract_revenue"),
        _ratio(c, "support_year", "months"), within, between, len(facts.contracts) > 0,
    )  # fmt: skip


def pool_of(parts: Iterable[Facts]) -> Pool:
    """The pool of customers that come in parts, from sums by segment."""
    sums, running = None, False
    for part in parts:
        c = part.customers.assign(months=_support_months(part))
        n, mean, inside = _dates(c)
        c = c[["model_segment", *dict.fromkeys(SUMMED + RATIOS)]].assign(
            dates=n, squared=n**2, some=(n > 0).astype(float), inside=inside, mean=n * mean, mean_squared=n * mean**2
        )
        own = c.groupby("model_segment").sum()
        sums = own if sums is None else sums.add(own, fill_value=0.0)
        running = running or len(part.contracts) > 0
    c = sums.reset_index()
    orders = _ratio(c, "order_cost", "costed_revenue")
    of = np.nan_to_num(_of(c, orders))
    about = (c["mean_squared"] - 2 * of * c["mean"] + of**2 * c["dates"]).sum()
    total = sums.sum()
    within, between = _variances(total["dates"], total["squared"], total["some"], total["inside"], about)
    return Pool(
        total[SUMMED], orders, _ratio(c, "contract_cost", "costed_contract_revenue"),
        _ratio(c, "support_year", "months"), within, between, running,
    )  # fmt: skip


def _order_shares(c: pd.DataFrame, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    """Shrunken cost share of orders and its sd, with w the variance within customers and b between them.

    share_i = (n_i b own_i + w segment) / (n_i b + w), own_i = cost_i / revenue_i over n_i dates; it may
    pass 1 (a customer served at a loss). sd_i = (n_i / w + 1 / b)^(-1/2).
    """
    segment = _of(c, pool.orders)
    n = c["share_days"].to_numpy()
    own = np.where(c["costed_revenue"] > 0, c["order_cost"] / c["costed_revenue"].where(c["costed_revenue"] > 0), 0.0)
    own, n = np.clip(np.nan_to_num(own), -10, 10), np.where(c["costed_revenue"] > 0, n, 0.0)
    w, b = pool.within, pool.between
    return (n * b * own + w * segment) / (n * b + w), np.sqrt(1 / (n / w + 1 / b))


def _support_months(facts: Facts) -> pd.Series:
    """Months of the last 12 in which each customer was there."""
    c, as_of = facts.customers, pd.Timestamp(facts.as_of)
    start = c[["first_order_line_on", "first_contract_on"]].min(axis=1)
    orders = c["customer_id"].isin(facts.histories["customer_id"]) & c["first_order_line_on"].notna()
    stop = c["last_contract_on"].where(~orders, as_of).clip(upper=as_of)
    year_ago = pd.Timestamp(add_months(facts.as_of, -12))
    return ((stop - start.clip(lower=year_ago)).dt.days / (365.25 / 12)).clip(lower=0.0).fillna(0.0)


def _support(facts: Facts, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    """Support cost a month alive: (cost of the last 12 months + k * segment rate) / (months + k), k =
    SUPPORT_PRIOR_MONTHS; months = those of the last 12 in which the customer was there. Gamma shape: entries + 1."""
    c, months = facts.customers, _support_months(facts)
    segment = _of(c, pool.support)
    k = SUPPORT_PRIOR_MONTHS
    rate = (c["support_year"].to_numpy() + k * segment) / (months.to_numpy() + k)
    return np.nan_to_num(rate), c["support_entries"].to_numpy() + 1.0


def rates(facts: Facts, settings, of_all: Pool | None = None) -> Rates:
    """What is known of cost, and with it the value basis: net_profit only where cost and support cost are known,
    gross_profit where cost is, else revenue; never more than `settings.value_basis` asks for. A margin that a person
    assumed counts as cost and is noted `margin_assumed`. `of_all`: the pool of all customers where `facts` hold a part
    of them."""
    of_all = of_all or pool(facts)
    c, wanted = facts.customers, settings.value_basis
    n, notes = len(c), []
    nothing = np.full(n, np.nan)
    sums = of_all.sums
    orders_known = sums["gross_costed"] >= COVERAGE * sums["gross_amount"]
    contracts_known = sums["costed_contract_revenue"] >= COVERAGE * sums["contract_revenue"]
    has_orders, has_contracts = sums["gross_amount"] > 0, sums["contract_revenue"] > 0 or of_all.running
    assumed = settings.assumed_margin_rate
    unknown = (has_orders and not orders_known) or (has_contracts and not contracts_known)
    basis = "revenue"
    if wanted != "revenue" and not (unknown and assumed is None):
        basis = "net_profit" if wanted == "net_profit" and facts.has_support else "gross_profit"
    if basis == "revenue":
        notes += ["cost_unknown"] if unknown else []
        return Rates(
            basis, nothing, nothing, nothing, nothing, nothing, np.nan, np.nan, tuple(notes), np.zeros(n, bool)
        )
    share, sd = np.zeros(n), np.zeros(n)
    pooled = np.zeros(n, bool)
    if has_orders and orders_known:
        share, sd = _order_shares(c, of_all)
        pooled = ((c["share_days"] == 0) & (c["order_revenue"] != 0)).to_numpy()
        if sums["gross_costed"] < sums["gross_amount"]:
            notes.append("cost_partly_unknown")
    elif has_orders:
        share = np.full(n, 1.0 - assumed)
    contract_share = np.zeros(n)
    if has_contracts and contracts_known:
        contract_share = np.nan_to_num(_of(c, of_all.contracts))
    elif has_contracts:
        contract_share = np.full(n, 1.0 - assumed)
    if unknown:
        notes.append("margin_assumed")
    if basis == "gross_profit":
        if wanted == "net_profit":
            notes.append("support_unknown")
        return Rates(basis, share, sd, contract_share, nothing, nothing, np.nan, np.nan, tuple(notes), pooled)
    support, shape = _support(facts, of_all)
    servicing = settings.servicing_cost_per_order
    loss = facts.credit_loss_rate
    notes += ["servicing_unknown"] if servicing is None and has_orders else []
    notes += ["credit_loss_unknown"] if loss is None else []
    as_number = lambda v: np.nan if v is None else float(v)  # noqa: E731
    return Rates(
        basis, share, sd, contract_share, support, shape, as_number(loss), as_number(servicing), tuple(notes), pooled
    )


def realised(facts: Facts, rates: Rates) -> np.ndarray:
    """Value of each customer to date on the same basis, not discounted. Lines and terms without an own cost take the
    customer's (orders) or segment's (contracts) cost share. Support, servicing and losses as far as they are known."""
    c = facts.customers
    value = (c["order_revenue"] + c["contract_revenue"]).to_numpy(dtype=float)
    if rates.value_basis == "revenue":
        return value
    cost = c["order_cost"] + (c["order_revenue"] - c["costed_revenue"]) * rates.cost_share
    cost += c["contract_cost"] + (c["contract_revenue"] - c["costed_contract_revenue"]) * rates.contract_share
    value = value - cost.to_numpy()
    if rates.value_basis == "gross_profit":
        return value
    days = c["customer_id"].map(facts.histories.set_index("customer_id")["frequency"] + 1).fillna(0).to_numpy()
    revenue = (c["order_revenue"] + c["contract_revenue"]).to_numpy()
    lost = c["written_off"].to_numpy()
    lost = np.nan_to_num(lost) if np.isfinite(lost).any() else np.nan_to_num(rates.credit_loss_rate) * revenue
    return value - c["support_cost"].to_numpy() - np.nan_to_num(rates.servicing_cost) * days - lost
