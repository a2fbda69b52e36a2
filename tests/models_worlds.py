"""Data for the tests of the models: the CDNOW log, and customers drawn in continuous time with known parameters."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd


def lifetimes_file(name: str) -> Path:
    """A data file in the wheel of lifetimes, found without importing it."""
    return Path(importlib.util.find_spec("lifetimes").origin).parent / "datasets" / name


CDNOW_END = pd.Timestamp("1997-09-30")  # 39 weeks of calibration


@cache
def _cdnow_days() -> pd.DataFrame:
    """Purchase days (customer, day, amount) of the 1/10 sample of CDNOW in 78 weeks; orders of one day are one."""
    names = ["master_id", "customer", "day", "units", "amount"]
    log = pd.read_csv(lifetimes_file("CDNOW_sample.txt"), sep=r"\s+", header=None, names=names)
    log["day"] = pd.to_datetime(log["day"].astype(str))
    return log.groupby(["customer", "day"], as_index=False)["amount"].sum()


@cache
def cdnow() -> pd.DataFrame:
    """Histories of the 1/10 sample of CDNOW, calibration to 1997-09-30 in weeks."""
    days = _cdnow_days()
    days = days[days["day"] <= CDNOW_END]
    by = days.groupby("customer")["day"]
    first = by.min()
    repeats = days[days["day"] > days["customer"].map(first)].groupby("customer")["amount"].mean()
    return pd.DataFrame(
        {
            "frequency": by.size() - 1,
            "recency": (by.max() - first).dt.days / 7,
            "T": (CDNOW_END - first).dt.days / 7,
            "monetary_value": repeats.reindex(first.index).fillna(0.0),
        }
    ).reset_index()


def cdnow_later() -> np.ndarray:
    """Purchase days of each of those customers in the 39 weeks after, in the order of `cdnow()`."""
    days = _cdnow_days()
    weeks = (days["day"] - CDNOW_END).dt.days / 7
    later = days[(weeks > 0) & (weeks <= 39)].groupby("customer").size()
    return cdnow()["customer"].map(later).fillna(0).to_numpy(dtype=float)


def history(x, recency, age) -> pd.DataFrame:
    """One row."""
    return pd.DataFrame({"frequency": [x], "recency": [float(recency)], "T": [float(age)]})


def pareto_customers(n, r, alpha, s, beta, rng) -> tuple[pd.DataFrame, np.ndarray]:
    """Histories, and whether each customer is truly alive at T."""
    rate, death = rng.gamma(r, 1 / alpha, n), rng.exponential(1, n) / rng.gamma(s, 1 / beta, n)
    age = rng.uniform(20, 60, n)
    lived = np.minimum(death, age)
    x = rng.poisson(rate * lived)
    last = lived * rng.random(n) ** (1 / np.maximum(x, 1))  # the latest of x uniform times
    return pd.DataFrame({"frequency": x, "recency": np.where(x > 0, last, 0.0), "T": age}), death > age


def beta_geometric_customers(n, r, alpha, a, b, rng, first_may_be_last: bool, most: int = 400) -> pd.DataFrame:
    """Orders one by one; after each one (the first, too, in MBG/NBD) a customer leaves with its own probability."""
    rate, p, age = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n), rng.uniform(20, 60, n)
    times = np.cumsum(rng.exponential(1, (n, most)) / rate[:, None], axis=1)
    leaves = rng.random((n, most + 1)) < p[:, None]
    if not first_may_be_last:
        leaves[:, 0] = False
    gone_before = np.cumsum(leaves, axis=1)[:, :most] > 0
    seen = (times <= age[:, None]) & ~gone_before
    x = seen.sum(axis=1)
    return pd.DataFrame({"frequency": x, "recency": np.where(x > 0, (times * seen).max(axis=1), 0.0), "T": age})
