"""Companies at the edge of what data can tell, as staged tables: small, drawn here from a seed, nothing of the
models."""

import numpy as np
import pandas as pd

from tests.value_world import AS_OF, order_lines, staged, terms

START = pd.Timestamp("2023-01-12")


def orders(gaps: np.ndarray, first: np.ndarray, stop: np.ndarray, amounts, start=START, cost: float | None = 0.6):
    """Order lines of customers who order at exponential gaps (days) from `first` until `stop` (days after `start`);
    `amounts(i)` draws an amount of customer i; cost as a share of it."""
    rng = np.random.default_rng(7)
    last = (pd.Timestamp(AS_OF) - start).days
    rows = []
    for i, (gap, born, end) in enumerate(zip(gaps, first, stop, strict=True)):
        later = born + np.cumsum(rng.exponential(gap, int(3 * last / gap) + 20))
        for day in np.unique(np.floor([born, *later[later < min(end, last)]]).astype(int)):
            amount = amounts(i)
            spent = None if cost is None else round(amount * cost, 4)
            on = str((start + pd.Timedelta(days=int(day))).date())
            rows.append((f"{i}-{day}", f"c{i:03d}", on, "sale", amount, 1, "P", None, "confirmed", spent))
    return {"order_lines": order_lines(rows)}


def mixed(n: int, seed: int, start=START, **changes):
    """n customers with rates, starts and deaths of their own, amounts around 100."""
    rng = np.random.default_rng(seed)
    days = (pd.Timestamp(AS_OF) - start).days
    first = rng.uniform(0, 0.6 * days, n)
    means = rng.gamma(6, 100 / 6, n)
    amounts = changes.pop("amounts", lambda i: round(float(means[i] * rng.gamma(5, 0.2)), 2) + 1)
    stop = first + rng.exponential(1.2 * days, n)
    return orders(rng.gamma(2, 22, n) + 4, first, stop, amounts, start, **changes)


def loyal():
    """60 customers who order each month on their own day and amount and never leave."""
    rows = []
    for i in range(60):
        for month in pd.date_range("2023-01-01", AS_OF, freq="MS"):
            day = str((month + pd.Timedelta(days=i % 25)).date())
            rows.append((f"{i}-{day}", f"c{i:03d}", day, "sale", 100.0 + i, 1, "P", None, "confirmed", 60.0))
    return {"order_lines": order_lines(rows)}


def whale():
    """80 customers around 100 an order; one of them buys for a million."""
    rng = np.random.default_rng(5)
    return mixed(80, 5, amounts=lambda i: round(float((1e6 if i == 0 else 100) * rng.gamma(6, 1 / 6)), 2) + 1)


def one_time():
    """100 customers, one order each."""
    first = np.linspace(0, 850, 100)
    rng = np.random.default_rng(3)
    return orders(np.full(100, 30.0), first, first, lambda i: round(float(rng.gamma(4, 25)), 2) + 1)


def contracts(starts: list[str], outcomes: list[str], amount: float = 500.0, months: int = 12):
    """A contract a customer, one term each; an outcome falls on the last day of the term."""
    rows = []
    for k, (start, outcome) in enumerate(zip(starts, outcomes, strict=True)):
        begins = pd.Timestamp(start)
        ends = begins + pd.DateOffset(months=months) - pd.Timedelta(days=1)
        rows.append((f"k{k:03d}", 1, begins, ends, amount + k, outcome, None if outcome == "open" else ends, None))
    found = terms(rows).assign(billing="monthly", product_id=None)
    return {"contract_terms": staged("contract_terms", found.drop(columns="notice"))}


def first_term():
    """40 annual contracts that all began this year."""
    return contracts([f"2025-0{1 + k % 5}-01" for k in range(40)], ["open"] * 40)


def nobody_renewed():
    """30 annual contracts: of the 10 that came up for renewal none was renewed, 20 are in their first term."""
    starts = ["2024-04-01"] * 10 + [f"2024-{8 + k % 5:02d}-01" for k in range(20)]
    return contracts(starts, ["churned"] * 10 + ["open"] * 20)
