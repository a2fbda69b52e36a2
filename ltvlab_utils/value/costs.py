"""Cost shares, support cost a month, and what may be called profit (floor 2)."""

from __future__ import annotations

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


def _by_segment(customers: pd.DataFrame, above: str, below: str) -> np.ndarray:
    """Ratio of sums of the customer's segment; of all customers where the segment has nothing."""
    sums = customers.groupby("model_segment")[[above, below]].sum()
    total = sums.sum()
    overall = total[above] / total[below] if total[below] > 0 else np.nan
    ratio = (sums[above] / sums[below].where(sums[below] > 0)).fillna(overall)
    return customers["model_segment"].map(ratio).to_numpy(dtype=float)


def _order_shares(c: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Shrunken cost share of orders and its sd.

    One-way analysis of variance of the cost shares of order dates: within-customer variance w, between-customer
    variance b. share_i = (n_i b own_i + w segment) / (n_i b + w), own_i = cost_i / revenue_i over n_i dates; it may
    pass 1 (a customer served at a loss). sd_i = (n_i / w + 1 / b)^(-1/2).
    """
    segment = _by_segment(c, "order_cost", "costed_revenue")
    n = c["share_days"].to_numpy()
    own = np.where(c["costed_revenue"] > 0, c["order_cost"] / c["costed_revenue"].where(c["costed_revenue"] > 0), 0.0)
    own, n = np.clip(np.nan_to_num(own), -10, 10), np.where(c["costed_revenue"] > 0, n, 0.0)
    mean = np.divide(c["share_sum"], n, out=np.zeros(len(c)), where=n > 0)
    dates, customers = n.sum(), (n > 0).sum()
    inside = np.maximum(c["share_squares"] - n * mean**2, 0.0)[n > 0].sum()
    w = inside / (dates - customers) if dates - customers >= 20 else MARGIN_SD**2
    w = max(float(w), 1e-6)
    if customers >= 10:
        spread = (n * (mean - segment) ** 2)[n > 0].sum() - (customers - 1) * w
        b = spread / (dates - (n**2).sum() / dates)
    else:
        b = MARGIN_SD**2
    b = max(float(b), 1e-6)
    return (n * b * own + w * segment) / (n * b + w), np.sqrt(1 / (n / w + 1 / b))


def _support(facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """Support cost a month alive: (cost of the last 12 months + k * segment rate) / (months + k), k =
    SUPPORT_PRIOR_MONTHS; months = those of the last 12 in which the customer was there. Gamma shape: entries + 1."""
    c, as_of = facts.customers, pd.Timestamp(facts.as_of)
    start = c[["first_order_line_on", "first_contract_on"]].min(axis=1)
    orders = c["customer_id"].isin(facts.histories["customer_id"]) & c["first_order_line_on"].notna()
    stop = c["last_contract_on"].where(~orders, as_of).clip(upper=as_of)
    year_ago = pd.Timestamp(add_months(facts.as_of, -12))
    months = ((stop - start.clip(lower=year_ago)).dt.days / (365.25 / 12)).clip(lower=0.0).fillna(0.0)
    segment = _by_segment(c.assign(months=months), "support_year", "months")
    k = SUPPORT_PRIOR_MONTHS
    rate = (c["support_year"].to_numpy() + k * segment) / (months.to_numpy() + k)
    return np.nan_to_num(rate), c["support_entries"].to_numpy() + 1.0


def rates(facts: Facts, settings) -> Rates:
    """What is known of cost, and with it the value basis: net_profit only where cost and support cost are known,
    gross_profit where cost is, else revenue; never more than `settings.value_basis` asks for. A margin that a person
    assumed counts as cost and is noted `margin_assumed`."""
    c, wanted = facts.customers, settings.value_basis
    n, notes = len(c), []
    nothing = np.full(n, np.nan)
    sums = c[["gross_amount", "gross_costed", "contract_revenue", "costed_contract_revenue"]].sum()
    orders_known = sums["gross_costed"] >= COVERAGE * sums["gross_amount"]
    contracts_known = sums["costed_contract_revenue"] >= COVERAGE * sums["contract_revenue"]
    has_orders, has_contracts = sums["gross_amount"] > 0, sums["contract_revenue"] > 0 or len(facts.contracts) > 0
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
        share, sd = _order_shares(c)
        pooled = ((c["share_days"] == 0) & (c["order_revenue"] != 0)).to_numpy()
        if sums["gross_costed"] < sums["gross_amount"]:
            notes.append("cost_partly_unknown")
    elif has_orders:
        share = np.full(n, 1.0 - assumed)
    contract_share = np.zeros(n)
    if has_contracts and contracts_known:
        contract_share = np.nan_to_num(_by_segment(c, "contract_cost", "costed_contract_revenue"))
    elif has_contracts:
        contract_share = np.full(n, 1.0 - assumed)
    if unknown:
        notes.append("margin_assumed")
    if basis == "gross_profit":
        if wanted == "net_profit":
            notes.append("support_unknown")
        return Rates(basis, share, sd, contract_share, nothing, nothing, np.nan, np.nan, tuple(notes), pooled)
    support, shape = _support(facts)
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
