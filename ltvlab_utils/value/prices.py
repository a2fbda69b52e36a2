"""What a renewal does to the amount of a contract (floor 2): prices rise year by year, discounts come and go.

ln(after / before) at a renewal = rise · years of the term + regain · (depth of the discount that ends - its mean) +
what the contract alone gets. Depth = -ln(1 - discount_rate). A discount that comes and goes does not add up: the
contract's own part counts once, at the next renewal, and from then on prices rise alone.

Prior: rise ~ N(0, RISE_SD²) a year, regain ~ N(0, REGAIN_SD²). The likelihood is normal around the least squares, its
covariance robust to contracts (Liang & Zeger 1986): renewals of one contract are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

RISE_SD, REGAIN_SD = 0.03, 0.5
OWN_SD, OWN_RENEWALS = 0.05, 5.0  # prior of the contract's own part, and its weight in renewals
NEAR = 31  # days after a term within which a change counts as made at its renewal
LARGEST = 1.0  # of |ln(after / before)|: beyond, it is another contract or another unit
LEAST, MANY = 3, 30  # contracts with a renewal: below LEAST the prior stands


@dataclass(frozen=True)
class Prices:
    """`mean` (2,) and `covariance` (2, 2) of rise and regain; `usual`: mean depth; `own_sd`: of the contract's part;
    `renewals` behind it."""

    mean: np.ndarray
    covariance: np.ndarray
    usual: float
    own_sd: float
    renewals: int


def depth(discount_rate: pd.Series) -> np.ndarray:
    """-ln(1 - discount); what is no discount counts as none."""
    return -np.log1p(-discount_rate.fillna(0.0).clip(0.0, 0.95).to_numpy(dtype=float))


def renewals(terms: pd.DataFrame, price_changes: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """One row a renewal on record: contract_id, customer_id, years, depth, step (0 without a change); and whether each
    of `price_changes` (contract_id, changed_on, step) was made at one. `terms`: of contracts.known_at."""
    made = terms.loc[terms["outcome"] == "renewed"].copy()
    made["years"], made["depth"] = made["term_months"].astype("float64") / 12, depth(made["discount_rate"])
    made = made[["contract_id", "customer_id", "term_no", "ends_on", "years", "depth"]]
    pairs = price_changes.reset_index(names="change").merge(made[["contract_id", "term_no", "ends_on"]], "inner")
    late = (pairs["changed_on"] - pairs["ends_on"]).dt.days
    pairs = pairs[(late > 0) & (late <= NEAR)].sort_values(["change", "ends_on"]).drop_duplicates("change", keep="last")
    steps = pairs.groupby(["contract_id", "term_no"])["step"].sum().reset_index()
    rows = made.merge(steps, "left", on=["contract_id", "term_no"]).fillna({"step": 0.0})
    return rows.drop(columns=["term_no", "ends_on"]), price_changes.index.isin(pairs["change"])


def fit(rows: pd.DataFrame) -> Prices:
    """`rows` of `renewals`."""
    prior = np.diag([RISE_SD**2, REGAIN_SD**2])
    usual = float(rows["depth"].mean()) if len(rows) else 0.0
    contracts = rows["contract_id"].nunique()
    if contracts < LEAST:
        return Prices(np.zeros(2), prior, usual, OWN_SD, len(rows))
    x = np.column_stack([rows["years"], rows["depth"] - usual]).astype(float)
    y = rows["step"].clip(-LARGEST, LARGEST).to_numpy(dtype=float)
    told = np.array([True, np.ptp(x[:, 1]) > 1e-9])
    x = x[:, told]
    bread = np.linalg.inv(x.T @ x)
    least_squares = bread @ (x.T @ y)
    left = y - x @ least_squares
    own = np.sqrt((OWN_SD**2 * OWN_RENEWALS + left @ left) / (OWN_RENEWALS + len(y)))
    scores = pd.DataFrame(x * left[:, None]).groupby(rows["contract_id"].to_numpy()).sum().to_numpy()
    robust = bread @ (scores.T @ scores) @ bread * contracts / (contracts - 1)
    # few contracts look alike by chance: a few renewals without any change do not prove that none comes
    covariance = robust + own**2 * bread if contracts < MANY else robust
    mean, posterior = np.zeros(2), prior.copy()
    weight = prior[np.ix_(told, told)] @ np.linalg.inv(prior[np.ix_(told, told)] + covariance)
    mean[told] = weight @ least_squares
    posterior[np.ix_(told, told)] -= weight @ prior[np.ix_(told, told)]
    return Prices(mean, (posterior + posterior.T) / 2, usual, float(own), len(y))


def draw(prices: Prices, draws: int, rng: np.random.Generator, certain: bool = False) -> dict[str, np.ndarray]:
    """`rise` and `regain`, arrays (draws,); with `certain` their means."""
    noise = np.zeros((draws, 2)) if certain else rng.standard_normal((draws, 2))
    values, vectors = np.linalg.eigh(prices.covariance)
    both = prices.mean + noise @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    return {"rise": both[:, 0], "regain": both[:, 1]}
