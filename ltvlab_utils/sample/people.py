"""Latent facts of every candidate for a customer, by key: candidate 17 is the same firm however many are asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import betaincinv, gammaincinv, ndtr, ndtri

from ltvlab_utils.sample import draws
from ltvlab_utils.sample.knobs import Knobs

BURN = 72  # months before the data in which customers may have begun
LINES = ("software", "manufacturing", "wholesale")
SHARE = (0.30, 0.38, 0.32)
# by line: share with contracts only, share with both (the rest orders only)
ONLY, BOTH = (0.62, 0.08, 0.0), (0.30, 0.30, 0.10)
ORDERS_A_MONTH, YEN_AN_ORDER, MARGIN = (0.30, 0.75, 1.10), (420_000, 380_000, 210_000), (0.45, 0.33, 0.24)
YEN_A_MONTH = (110_000, 70_000, 45_000)  # median monthly amount of a contract
LIFE_MONTHS = (75.0, 110.0, 80.0)  # 1 / median monthly hazard to leave
LEANING = (1.6, 2.0, 1.8)  # mean log odds to renew at satisfaction 0
# season profiles: factor on the order rate, January to December; March and the off-season are set by the knobs
FLAT, WORKS, TRADE, SUMMER, WINTER = range(5)
PROFILES = (
    (1.0,) * 12,
    (1, 1, 1.25, 0.95, 1, 1, 1, 0.8, 1, 1, 1, 1),
    (0.9, 1.1, 2.0, 0.6, 0.95, 1, 1, 0.85, 1, 1, 1, 1.1),
    (0.0, 0.0, 0.4, 1.3, 2.2, 2.6, 2.4, 1.6, 0.3, 0.0, 0.0, 0.0),
    (1.4, 0.8, 0.2, 0.0, 0.0, 0.0, 0.0, 0.2, 1.0, 2.4, 2.8, 2.6),
)


def season(knobs: Knobs) -> np.ndarray:
    """(profile, calendar month) factors on the order rate; without a year end every profile is flat."""
    table = np.array(PROFILES, dtype=float)
    if knobs.year_end == 1.0:
        return np.ones_like(table)
    table[TRADE, 2] = knobs.year_end
    table[WORKS, 2] = 1 + (knobs.year_end - 1) / 4
    return table


def people(seed: int, knobs: Knobs, count: int, months: int) -> pd.DataFrame:
    """The first `count` candidates, one row each, in an order that never changes.

    Columns: candidate, line (0 to 2), born (month, 0 = first of the data), born_part (share of that month gone),
    rate (orders a month; 0 = never orders), spend (mean yen an order), spend_sd (log), margin, profile, hazard
    (monthly, to leave), subscribes, second (may hold a second contract), fee (yen a month, list), cost_share (of the
    list price), term (months), notice (months), billing, leaning (log odds to renew), churn (home worlds: chance not
    to renew, else NaN), base (mean satisfaction), load (support), credit (chance that a month's invoice is lost),
    parent, partner (candidate numbers, -1 = none), size, whale, response (own factor on measures).
    """
    i = np.arange(count)
    key = draws.keys(seed, "candidate", i)
    u = lambda name: draws.below(key, name)  # noqa: E731
    z = lambda name: draws.normal(key, name)  # noqa: E731
    home = knobs.kind == "home"
    line = np.searchsorted(np.cumsum(SHARE), u("line"), side="right").clip(max=2)
    of = lambda values: np.array(values)[line]  # noqa: E731
    z_rate, z_spend, z_death = _correlated(z("rate"), z("spend"), z("death"), knobs.copula)
    size = 0.6 * z_spend + 0.8 * z("size")
    before = u("before") < 0.55
    arrival = months * (np.sqrt(1 + 3 * u("arrival")) - 1)  # the base grows: twice the pace at the end
    born = np.where(before, -1 - np.floor(BURN * u("age") ** 1.2), np.floor(arrival)).astype(int)
    whale = u("whale") < knobs.whales
    tail = np.where(whale, 3.0 * u("tail") ** (-1 / knobs.whale_tail), 1.0)
    draw = u("mix")
    only, both = of(ONLY), of(BOTH)
    subscribes = draw < only + both
    profile = np.where(u("season") < 0.10, np.where(u("summer") < 0.5, SUMMER, WINTER), TRADE)
    profile = np.select([line == 0, line == 1], [FLAT, WORKS], profile)
    poor = u("poor") < 0.04
    margin = np.where(poor, -0.08, np.clip(of(MARGIN) + 0.07 * z("margin"), 0.05, 0.8))
    hazard = _hazard(knobs, z_death, size) / of(LIFE_MONTHS) * np.where(subscribes, 0.2, 1.0)
    # home: inverse gamma with mean 1, as Gamma-Gamma has it
    spend_factor = (
        3.0 / gammaincinv(4.0, ndtr(-z_spend)) if home else np.exp(knobs.spend_sd * (z_spend - knobs.spend_sd / 2))
    )
    rate = of(ORDERS_A_MONTH) * _rates(knobs, z_rate) * np.where(u("trial") < knobs.trial, 0.05, 1.0)
    parent = np.where(u("has parent") < 0.12, np.floor(u("parent") * i).astype(int), -1)
    parent = np.where((parent >= 0) & (parent[parent] >= 0), -1, parent)  # one level of parents
    return pd.DataFrame(
        {
            "candidate": i,
            "line": line,
            "born": born,
            "born_part": u("day"),
            "rate": np.where(draw < only, 0.0, np.clip(rate, 0.02, 6.0)),
            "spend": of(YEN_AN_ORDER) * spend_factor * tail,
            "spend_sd": 0.5,
            "margin": margin,
            "profile": profile,
            "hazard": hazard,
            "subscribes": subscribes,
            "second": subscribes & (u("second") < 0.5),
            "fee": of(YEN_A_MONTH) * np.exp(0.6 * size + 0.4 * z("fee")) * np.sqrt(tail),
            "cost_share": np.where(poor, 1.15, 0.25 + 0.2 * u("cost")),
            "term": np.array([12, 24, 36])[np.searchsorted([0.72, 0.92], u("term"))],
            "notice": np.where(u("notice") < 0.5, 2, 3),
            "billing": np.array(["annual", "monthly", "upfront"])[np.searchsorted([0.45, 0.92], u("billing"))],
            "leaning": of(LEANING) + 0.7 * z("leaning"),
            "churn": betaincinv(0.8, 3.5, u("churn")) if home else np.nan,
            "base": 0.0 if home else 0.5 * z("base"),
            "load": np.where(u("heavy") < 0.05, 6.0, 1.0) * np.exp(0.6 * z("load") - 0.3),
            "credit": np.where(u("weak") < 0.05, 0.02, 0.0015),
            "parent": parent,
            "partner": np.where((line == 1) & (u("partner") < 0.18), np.floor(6 * u("which")).astype(int), -1),
            "size": size,
            "whale": whale,
            "response": np.exp(knobs.effect_spread * z("response") - knobs.effect_spread**2 / 2),
        }
    )


def _correlated(a, b, c, copula) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ab, ac, bc = copula
    root = np.linalg.cholesky(np.array([[1, ab, ac], [ab, 1, bc], [ac, bc, 1]]))
    return tuple(root @ np.vstack([a, b, c]))


def _rates(knobs: Knobs, z: np.ndarray) -> np.ndarray:
    if knobs.rates == "gamma":
        return _gamma_factor(z, 1 / knobs.rate_sd**2)
    if knobs.rates == "log-normal":
        return np.exp(knobs.rate_sd * z)
    # occasional and regular buyers, 40 and 60 %, little between them
    regular = z > ndtri(0.4)
    return np.where(regular, np.exp(0.6 * knobs.rate_sd), np.exp(-1.2 * knobs.rate_sd)) * np.exp(0.15 * z)


def _hazard(knobs: Knobs, z: np.ndarray, size: np.ndarray) -> np.ndarray:
    if knobs.kind == "home":
        return _gamma_factor(z, 1.5)
    return np.exp(0.6 * z - 0.2 * size)


def _gamma_factor(z: np.ndarray, shape: float) -> np.ndarray:
    """Gamma numbers with mean 1 from normal ones."""
    return gammaincinv(shape, ndtr(z)) / shape
