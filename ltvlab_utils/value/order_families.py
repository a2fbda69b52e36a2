"""The kinds of order model that have a posterior (floor 2), each seen as four coordinates phi: how fast and how
different for orders, and the same for deaths (order_posterior.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, logit

from ltvlab_utils.models.monthly import MonthlyBGBB
from ltvlab_utils.models.pareto_cnbd import ParetoCNBD, PastClock
from ltvlab_utils.periods import DAYS_PER_YEAR

DEATH_RATE, DEATH_RATE_SD = 0.4, 1.3  # a year; sd on log scale
SHAPE, SHAPE_SD = 0.9, 1.0  # of r and s
RATE_SD = 1.5  # of the order rate, around the crude rate of all customers
PRIOR_SD = np.array([RATE_SD, SHAPE_SD, DEATH_RATE_SD, SHAPE_SD])

Rows = Callable[[tuple[float, ...], bool], tuple[np.ndarray, list[np.ndarray] | None]]


class Family(Protocol):
    """phi to parameters and back: `natural` (phi (..., 4) -> parameters), `chain` (slopes in the logs of the parameters
    -> slopes in phi), `model` at phi, `rows` (log-likelihood per row of x, tx, T and its slopes, near phi),
    `prior_mean` of phi from the orders and the time of all customers."""

    def natural(self, phi: np.ndarray) -> np.ndarray: ...
    def chain(self, values: tuple[float, ...], by_log: np.ndarray) -> np.ndarray: ...
    def model(self, phi: np.ndarray): ...
    def rows(self, x: np.ndarray, tx: np.ndarray, T: np.ndarray, near: np.ndarray) -> Rows: ...
    def prior_mean(self, orders: float, time: float) -> np.ndarray: ...


@dataclass(frozen=True)
class Regular:
    """Pareto/CNBD-k on a seasonal clock; phi = (ln order rate, ln r, ln death rate, ln s) per unit of `unit_days`."""

    k: int
    clock: PastClock
    unit_days: float

    def natural(self, phi: np.ndarray) -> np.ndarray:
        rate, r, death, s = np.moveaxis(np.clip(phi, -40, 40), -1, 0)
        return np.stack([np.exp(r), np.exp(r - rate) / self.k, np.exp(s), np.exp(s - death)], axis=-1)

    def chain(self, values: tuple[float, ...], by_log: np.ndarray) -> np.ndarray:
        g_r, g_alpha, g_s, g_beta = by_log
        return np.array([-g_alpha, g_r + g_alpha, -g_beta, g_s + g_beta])

    def model(self, phi: np.ndarray) -> ParetoCNBD:
        r, alpha, s, beta = map(float, self.natural(phi))
        return ParetoCNBD(r=r, alpha=alpha, s=s, beta=beta, k=self.k, clock=self.clock)

    def rows(self, x: np.ndarray, tx: np.ndarray, T: np.ndarray, near: np.ndarray) -> Rows:
        """The time of death is integrated on the nodes that suit `near`: they stay while parameters move."""
        model = self.model(near)
        nodes = model.nodes(x, tx, T)
        return lambda values, slopes: model.rows(x, tx, T, values, slopes, nodes)

    def prior_mean(self, orders: float, time: float) -> np.ndarray:
        return np.log([orders / time, SHAPE, DEATH_RATE / DAYS_PER_YEAR * self.unit_days, SHAPE])


@dataclass(frozen=True)
class Monthly:
    """BG/BB with a month as the opportunity; phi = (logit of the mean chance of an order a month, ln(alpha + beta),
    logit of the mean chance to leave a month, ln(gamma + delta)). The prior is that of Regular where chances are small:
    gamma shapes of SHAPE."""

    def natural(self, phi: np.ndarray) -> np.ndarray:
        order, orders, death, deaths = np.moveaxis(np.clip(phi, -30, 30), -1, 0)
        parts = (expit(order), expit(-order)), (expit(death), expit(-death))
        return np.stack([p * np.exp(n) for n, part in zip((orders, deaths), parts, strict=True) for p in part], axis=-1)

    def chain(self, values: tuple[float, ...], by_log: np.ndarray) -> np.ndarray:
        found = []
        for (a, b), (g_a, g_b) in zip((values[:2], values[2:]), (by_log[:2], by_log[2:]), strict=True):
            found += [(b * g_a - a * g_b) / (a + b), g_a + g_b]
        return np.array(found)

    def model(self, phi: np.ndarray) -> MonthlyBGBB:
        return MonthlyBGBB(**dict(zip(MonthlyBGBB.names, map(float, self.natural(phi)), strict=True)))

    def rows(self, x: np.ndarray, tx: np.ndarray, T: np.ndarray, near: np.ndarray) -> Rows:
        return lambda values, slopes: MonthlyBGBB.rows(x, tx, T, values, slopes)

    def prior_mean(self, orders: float, time: float) -> np.ndarray:
        order = float(np.clip(orders / time, 1e-3, 0.95))
        death = -np.expm1(-DEATH_RATE / 12)
        return np.array([logit(order), np.log(SHAPE / order), logit(death), np.log(SHAPE / death)])
