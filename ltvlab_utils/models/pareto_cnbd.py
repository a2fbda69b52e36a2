"""Pareto/CNBD-k on a clock of its own: regular orders, seasons, death by the calendar (floor 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammaln

from ltvlab_utils.errors import Refused
from ltvlab_utils.models.base import Model
from ltvlab_utils.models.columns import order_histories
from ltvlab_utils.models.nbd import count_probability
from ltvlab_utils.models.special import by_distinct, gauss, log_rising, psi_rise

DROP = 30.0  # an integrand this far (in logs) below its value at the last order is left out
NODES = 40


@dataclass(frozen=True)
class PastClock:
    """How fast orders came, by the time before as-of.

    `back`: increasing times before as-of, starting at 0, in the model's unit; `pace`: (len(back) - 1) factors between
    them; 1 beyond the last. Without knots the clock is the calendar.
    """

    back: tuple[float, ...] = ()
    pace: tuple[float, ...] = ()

    @property
    def plain(self) -> bool:
        return not self.pace

    def since(self, back: np.ndarray) -> np.ndarray:
        """Exposure of the last `back` time units before as-of."""
        if self.plain:
            return np.asarray(back, float)
        knots = np.array(self.back)
        total = np.concatenate([[0.0], np.cumsum(np.array(self.pace) * np.diff(knots))])
        return np.interp(back, knots, total) + np.maximum(np.asarray(back, float) - knots[-1], 0.0)

    def until(self, age: np.ndarray, T: np.ndarray) -> np.ndarray:
        """Exposure of a customer of age T from its first order until it was of the given age."""
        return age if self.plain else self.since(T) - self.since(T - age)


@dataclass(frozen=True)
class Nodes:
    """Of each row: ages `y` (rows, NODES + 1; the last is T), log weights of all but the last, exposure until each, and
    ln of the exposure since the last order."""

    y: np.ndarray
    log_weight: np.ndarray
    exposed: np.ndarray
    log_silent: np.ndarray


class ParetoCNBD(Model):
    """Orders at regular or random intervals, on a seasonal clock, of customers who may leave at any moment, unseen.

    1. While alive a customer orders whenever k events of a Poisson process with rate λ have passed on the clock: k = 1
       is the Pareto/NBD, larger k more regular (intervals have a coefficient of variation of k^-1/2).
    2. λ varies between customers: Gamma(r, rate alpha), mean order rate r / (alpha k) per unit of the clock.
    3. A customer stays alive for an exponential time with rate μ, on the calendar: a quiet season does not pause it.
    4. μ varies between customers: Gamma(s, rate beta).
    5. λ and μ are independent; the first order starts an interval.

    Columns: frequency, recency, T as of ParetoNBD; the clock is a function of the time before as-of, so that T and
    recency give all exposures. Schmittlein, Morrison & Colombo (1987) for k = 1; Chatfield & Goodhardt (1973) for the
    condensed NBD; Platzer & Reutterer (2016) for regularity with death. The time of death is integrated by quadrature.
    """

    names = ("r", "alpha", "s", "beta")

    def __init__(self, *, r: float, alpha: float, s: float, beta: float, k: int = 1, clock: PastClock | None = None):
        super().__init__(r=r, alpha=alpha, s=s, beta=beta)
        if not (isinstance(k, (int, np.integer)) and 1 <= k <= 8):
            raise Refused(f"ParetoCNBD: the regularity k must be a whole number from 1 to 8, not {k!r}.")
        self.k, self.clock = int(k), clock or PastClock()

    def rows(self, x, tx, T, values: tuple[float, ...] | None = None, slopes: bool = True, nodes: Nodes | None = None):
        """ln likelihood per row (without the terms that depend on the data and k alone, `constant`) and its slopes in
        r, alpha, s, beta. `nodes`: those of `nodes(x, tx, T)` at parameters not far away."""
        r, alpha, s, beta = values or self._values()
        nodes = nodes or self.nodes(x, tx, T, (r, alpha, s, beta))
        log_exposed, log_part = self._parts(r, alpha, s, beta, x, nodes)
        top = log_part.max(axis=(1, 2))
        part = np.exp(log_part - top[:, None, None])
        total = part.sum(axis=(1, 2))
        found = top + np.log(total)
        if not slopes:
            return found, None
        part /= total[:, None, None]
        node = part.sum(axis=2)
        alive = node[:, -1]
        n = self.k * x[:, None] + np.arange(self.k)
        gone = 1 / (beta + nodes.y)
        return found, [
            (part.sum(axis=1) * psi_rise(r, n)).sum(axis=1) - (node * (log_exposed - np.log(alpha))).sum(axis=1),
            r / alpha
            - ((part @ np.ones(self.k) * r + (part * n[:, None, :]).sum(axis=2)) / (alpha + nodes.exposed)).sum(axis=1),
            (1 - alive) / s - (node * np.log1p(nodes.y / beta)).sum(axis=1),
            s / beta - (s + 1) * (node * gone).sum(axis=1) + alive * gone[:, -1],
        ]

    def on(self, clock: PastClock) -> ParetoCNBD:
        """The same parameters on another clock, for histories at another as-of."""
        return ParetoCNBD(**self.params, k=self.k, clock=clock)

    def at(self, params: dict[str, float]) -> ParetoCNBD:
        """The same regularity and clock at other parameters."""
        return ParetoCNBD(**params, k=self.k, clock=self.clock)

    @staticmethod
    def constant(k: int, x: np.ndarray, log_interval_sum: np.ndarray) -> np.ndarray:
        """Per row: (k - 1) Σ ln interval - x ln (k - 1)!, which compares regularities."""
        return (k - 1) * log_interval_sum - x * gammaln(k)

    def nodes(self, x, tx, T, values: tuple[float, ...] | None = None) -> Nodes:
        """Where the time of death is integrated: Gauss-Legendre in ln of the age, from the last order to where the
        count of orders alone has brought the integrand down by DROP."""
        r, alpha, _, beta = values or self._values()
        seen = self.clock.until(tx, T)
        factor = np.exp(np.minimum(DROP / (0.5 * r + self.k * x), 60.0))
        last = self._age_at(seen + (alpha + seen) * (factor - 1), T)
        last = np.clip(last, tx + 1e-12 * (1 + tx), T)
        base = min(alpha, beta) + tx
        g, w = gauss(NODES)
        length = np.log1p((last - tx) / base)
        z = length[:, None] * g
        y = tx[:, None] + base[:, None] * np.expm1(z)
        with np.errstate(divide="ignore"):
            log_weight = np.log(length * base)[:, None] + np.log(w) + z
        y = np.column_stack([y, T])
        exposed = y if self.clock.plain else self.clock.until(y, T[:, None])
        with np.errstate(divide="ignore"):
            log_silent = np.log(np.maximum(exposed - seen[:, None], 0.0))
        return Nodes(y, log_weight, exposed, log_silent)

    def _parts(self, r, alpha, s, beta, x, nodes: Nodes) -> tuple[np.ndarray, np.ndarray]:
        """ln(alpha + exposure) at the nodes, and the log of the likelihood's parts (rows, nodes + 1, k): death at y
        (the last node: alive at T), j events since the last order."""
        k = self.k
        log_exposed = np.log(alpha + nodes.exposed)
        log_age = np.log1p(nodes.y / beta)
        common = r * np.log(alpha) - (r + k * x)[:, None] * log_exposed - s * log_age
        common[:, :-1] += nodes.log_weight + np.log(s / beta) - log_age[:, :-1]
        n = k * x[:, None] + np.arange(k)
        rising = log_rising(r, n) - gammaln(np.arange(k) + 1)
        log_part = np.empty((*common.shape, k))
        log_part[:, :, 0] = common + rising[:, :1]
        share = nodes.log_silent - log_exposed if k > 1 else None
        for j in range(1, k):
            log_part[:, :, j] = common + rising[:, j : j + 1] + j * share
        return log_exposed, log_part

    def _age_at(self, exposure: np.ndarray, T: np.ndarray) -> np.ndarray:
        """Age at which a customer of age T had the given exposure (beyond T: any larger number)."""
        if self.clock.plain:
            return exposure
        knots = np.array(self.clock.back)
        total = self.clock.since(knots)
        left = self.clock.since(T) - exposure  # exposure still to come until as-of
        back = np.interp(left, total, knots) + np.maximum(left - total[-1], 0.0)
        return np.where(left < 0, T + 1.0, T - back)

    def _posterior(self, values, x, nodes: Nodes) -> tuple[np.ndarray, np.ndarray]:
        """P(alive), and the chance of j events since the last order of who is alive (rows, k)."""
        _, log_part = self._parts(*values, x, nodes)
        part = np.exp(log_part - log_part.max(axis=(1, 2), keepdims=True))
        here = part[:, -1]
        return here.sum(axis=1) / part.sum(axis=(1, 2)), here / here.sum(axis=1, keepdims=True)

    def probability_alive(self, h: pd.DataFrame) -> np.ndarray:
        """P(alive at T | history), one value a row."""
        values = self._values()
        alive = lambda x, tx, T: self._posterior(values, x, self.nodes(x, tx, T))[0]
        return by_distinct(alive, *order_histories(h, type(self).__name__))

    def _left_over(self, log_root: Callable[[complex], np.ndarray], start: np.ndarray | int = 0) -> np.ndarray:
        """E of (start + N) mod k, where exp(log_root(1 - z)) is E z^N: by the roots of unity."""
        total = 0.0
        for m in range(self.k):
            z = np.exp(2j * np.pi * m / self.k)
            weight = sum(j * z**-j for j in range(self.k)) / self.k
            total = total + (weight * z**start * np.exp(log_root(1 - z))).real
        return total

    def _orders(self, y: np.ndarray, shape: np.ndarray, rate: np.ndarray, phase: np.ndarray | int = 0) -> np.ndarray:
        """E of the orders within y of a customer who lives on, events ~ Gamma(shape, rate), `phase` of them before."""
        if self.k == 1:
            return shape * y / rate
        left = self._left_over(lambda lost: -shape * np.log(1 + y * lost / rate), phase)
        return (phase + shape * y / rate - left) / self.k

    def expected_purchases(self, t: np.ndarray | float) -> np.ndarray | float:
        """E of the repeat orders of a new customer in (0, t], on a clock that runs like the calendar."""
        r, alpha, s, beta = self._values()
        times = np.asarray(t, float)
        y, weight = _until(times.reshape(-1, 1), min(alpha, beta))
        death = weight * s / (beta + y) * np.exp(-s * np.log1p(y / beta))
        lived = np.exp(-s * np.log1p(times.ravel() / beta)) * self._orders(times.ravel(), r, alpha)
        return ((death * self._orders(y, r, alpha)).sum(axis=1) + lived).reshape(times.shape)[()]

    def probability_of_n_purchases(self, n: np.ndarray | int, t: float) -> np.ndarray | float:
        """P(X(t) = n) of a new customer, on a clock that runs like the calendar."""
        r, alpha, s, beta = self._values()
        n = np.asarray(n, float)
        y, weight = (v[0] for v in _until(np.full((1, 1), float(t)), min(alpha, beta), 200))
        death = weight * s / (beta + y) * np.exp(-s * np.log1p(y / beta))
        found = 0.0
        for j in range(self.k):
            events = self.k * n[..., None] + j
            found = found + count_probability(events, y, r, alpha) @ death
            found = found + count_probability(events[..., 0], t, r, alpha) * np.exp(-s * np.log1p(t / beta))
        return found[()]

    def conditional_expected_purchases(self, h: pd.DataFrame, t: float) -> np.ndarray:
        """E of the orders in (T, T + t] given the history, on a clock that runs like the calendar from as-of."""
        values = self._values()
        r, alpha, s, beta = values

        def each(x, tx, T):
            alive, phases = self._posterior(values, x, self.nodes(x, tx, T))
            exposed, base = (alpha + self.clock.until(T, T))[:, None], (beta + T)[:, None]
            y, weight = _until(np.full((1, 1), float(t)), base)
            y, weight = (np.broadcast_to(v, (len(x), v.shape[1])) for v in (y, weight))
            death = weight * s / (base + y) * np.exp(-s * np.log1p(y / base))
            lived = np.exp(-s * np.log1p(t / base[:, 0]))
            total = np.zeros(len(x))
            for j in range(self.k):
                shape = (r + self.k * x + j)[:, None]
                within = (death * self._orders(y, shape, exposed, j)).sum(axis=1)
                orders = within + lived * self._orders(np.full((1, 1), float(t)), shape, exposed, j)[:, 0]
                total += phases[:, j] * orders
            return alive * total

        return by_distinct(each, *order_histories(h, type(self).__name__))

    def sample_latents(
        self, h: pd.DataFrame, draws: int, rng: np.random.Generator, params: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Draws of what is hidden at T, each array (rows, draws).

        alive (bool); rate: events per unit of the clock while alive, an order every k; phase: events since the last
        order; lifetime: calendar time from T to death, 0 where dead; dropout: 0. `params` (name -> array of draws)
        gives each draw its own parameters; equal sets are computed once.
        """
        x, tx, T = order_histories(h, type(self).__name__)
        columns = self._per_draw(params, draws)
        shape = (len(x), draws)
        sets = np.column_stack([np.broadcast_to(c, (1, draws)).ravel() for c in columns])
        sets, which = np.unique(sets, axis=0, return_inverse=True)

        middle = tuple(np.exp(np.log(sets).mean(axis=0)))

        def both(x, tx, T):
            nodes = self.nodes(x, tx, T, middle)
            found = [self._posterior(tuple(v), x, nodes) for v in sets]
            return np.stack([np.column_stack([p, j]) for p, j in found], axis=1)

        found = by_distinct(both, x, tx, T)[:, which.ravel()]
        alive = rng.random(shape) < found[..., 0]
        phase = np.zeros(shape, dtype=np.int64)
        if self.k > 1:
            u = rng.random(shape)
            phase = (u[..., None] > np.cumsum(found[..., 1:], axis=2)).sum(axis=2).clip(max=self.k - 1)
        r, alpha, s, beta = (np.broadcast_to(c, (1, draws)) for c in columns)
        exposed = self.clock.until(T, T)[:, None]
        rate = rng.standard_gamma(r + self.k * x[:, None] + phase) / (alpha + exposed)
        lifetime = (beta + T[:, None]) * np.expm1(rng.standard_exponential(shape) / s)
        lifetime, dropout = np.where(alive, lifetime, 0.0), np.zeros(shape)
        return {"alive": alive, "rate": rate, "phase": phase, "lifetime": lifetime, "dropout": dropout}


def _until(t: np.ndarray, base: np.ndarray | float, count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (rows, count) of an integral over (0, t) of what varies on the scale (base + y)."""
    g, w = gauss(count)
    length = np.log1p(t / base)
    y = base * np.expm1(length * g)
    return y, w * length * (base + y)
