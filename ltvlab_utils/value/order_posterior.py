"""Posterior of the order model of each segment, with partial pooling (floor 2).

Parameters are seen as phi = (ln order rate, ln r, ln death rate, ln s), nearly orthogonal: how fast and how different
for orders and for deaths (pooling log r and log alpha apart is worse than not pooling). One segment: phi ~ the stated
prior (`top_prior`). Several: phi_s ~ N(m, tau²) in each coordinate, tau ~ HalfNormal(0.5), m ~ the stated prior;
m and tau are found from the segments' own estimates, then each segment's posterior is taken under N(m, tau² + var m).
So a segment of 20 customers leans on the others, one of 2,000 on itself, and no fit runs off to infinity.

Draws: the Laplace approximation, for up to EXACT distinct histories corrected by importance resampling from a t
distribution with heavier tails (Rubin 1988), since with few customers the posterior is skewed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln

from ltvlab_utils.models.base import thinned
from ltvlab_utils.models.fitting import maximise
from ltvlab_utils.models.monthly import MonthlyBGBB
from ltvlab_utils.models.pareto_cnbd import ParetoCNBD, PastClock
from ltvlab_utils.value.order_families import DEATH_RATE_SD, PRIOR_SD, Family, Regular

TAU_SCALE = 0.5
SETS = 200  # parameter sets that stand for the posterior
EXACT, PROPOSALS, DEGREES = 2_500, 800, 5
REGULAR = (1, 2, 3, 4)
EDGE = 14.0
ALL_OF = 50_000  # customers from which a search begins on a part of the rows


@dataclass(frozen=True)
class Data:
    """Distinct histories of a segment: frequency, recency, age, customers a row, and of all rows together the sum of ln
    intervals (None: not known, then orders are held to be random)."""

    x: np.ndarray
    tx: np.ndarray
    T: np.ndarray
    weights: np.ndarray
    log_intervals: float | None = None

    @property
    def customers(self) -> float:
        return float(self.weights.sum())


@dataclass(frozen=True)
class Prior:
    """Independent normals on phi: `mean`, `sd`, each (4,)."""

    mean: np.ndarray
    sd: np.ndarray

    def log(self, phi: np.ndarray) -> np.ndarray:
        return -(((phi - self.mean) / self.sd) ** 2).sum(axis=-1) / 2

    def wider(self, factor: float) -> Prior:
        return Prior(self.mean, self.sd * factor)


@dataclass(frozen=True)
class Posterior:
    """`model` at the posterior mode; `sets`: (SETS, 4) draws of its parameters; `phi` the same draws as phi;
    `mode`, `covariance` of the Laplace approximation of phi; `own_weight`: share of each coordinate's precision that
    the segment's own customers bring; `prior` under which it stands; `log_likelihood` at the mode."""

    model: ParetoCNBD | MonthlyBGBB
    sets: np.ndarray
    phi: np.ndarray
    mode: np.ndarray
    covariance: np.ndarray
    own_weight: np.ndarray
    prior: Prior
    log_likelihood: float
    usable: bool


def top_prior(data: list[Data], family: Family) -> Prior:
    """The prior where nothing is pooled, in the model's time unit."""
    orders = sum(float(d.weights @ d.x) for d in data) + 0.5
    time = sum(float(d.weights @ d.T) for d in data) + 1.0
    return Prior(family.prior_mean(orders, time), PRIOR_SD)


def _objective(data: Data, prior: Prior, family: Family, near: np.ndarray):
    """ln posterior and its slope, on what suits parameters `near`."""
    likelihood = family.rows(data.x, data.tx, data.T, near)

    def value(phi: np.ndarray) -> tuple[float, np.ndarray]:
        values = tuple(family.natural(phi))
        rows, slopes = likelihood(values, True)
        by_log = np.array([v * (data.weights @ g) for v, g in zip(values, slopes, strict=True)])
        slope = family.chain(values, by_log) - (phi - prior.mean) / prior.sd**2
        return float(data.weights @ rows) + float(prior.log(phi)), slope

    return value


def _climb(data: Data, prior: Prior, family: Family) -> tuple[np.ndarray, float]:
    """Near the mode of phi, and the log posterior there to a hundredth or so."""
    size, bounds = max(data.customers, 1.0), zip(prior.mean - EDGE, prior.mean + EDGE, strict=True)
    objective = _objective(data, prior, family, prior.mean)
    with np.errstate(all="ignore"):
        found = minimize(
            lambda phi: tuple(-v / size for v in objective(phi)), prior.mean, jac=True, method="L-BFGS-B",
            bounds=list(bounds), options={"ftol": 1e-9},
        )  # fmt: skip
    return found.x, -float(found.fun) * size


def mode(data: Data, prior: Prior, family: Family) -> tuple[np.ndarray, np.ndarray, float, bool]:
    """Posterior mode of phi, its Laplace covariance, the log posterior there, and whether the search ended well."""
    some = data if data.customers <= ALL_OF else _thinned(data)
    near, _ = _climb(some, prior, family)
    starts = [near, prior.mean + np.array([0.3, -0.7, 0.8, -0.7])]
    objective = _objective(data, prior, family, near)
    rough = _objective(some, prior, family, near) if some is not data else None
    with np.errstate(all="ignore"):
        best = maximise(
            objective, starts, prior.mean - EDGE, prior.mean + EDGE, max(data.customers, 1.0), ["boundary"] * 4, rough
        )
    covariance = best.covariance
    if not np.isfinite(covariance).all():
        covariance = np.diag(prior.sd**2)
    return best.theta, covariance, best.log_likelihood, not best.codes


def _thinned(data: Data) -> Data:
    """A part of the rows, where a search begins."""
    columns, weights = thinned((data.x, data.tx, data.T), data.weights)
    return Data(*columns, weights)


def regularity(data: list[Data], unit_days: float) -> int:
    """k by the likelihood of order times, on the calendar; 1 where intervals are not known."""
    if any(d.log_intervals is None for d in data):
        return 1
    pooled = Data(*(np.concatenate([getattr(d, n) for d in data]) for n in ("x", "tx", "T", "weights")))
    intervals = sum(d.log_intervals for d in data)
    best, found = -np.inf, 1
    for k in REGULAR:
        family = Regular(k, PastClock(), unit_days)
        _, height = _climb(pooled, top_prior(data, family), family)
        height += (k - 1) * intervals - float(pooled.weights @ pooled.x) * gammaln(k)
        if height > best + 2.0:  # more regular only where the data say so
            best, found = height, k
        else:
            break
    return found


def _draw(data: Data, prior: Prior, family: Family, at: np.ndarray, covariance: np.ndarray, rng, exact):
    """(SETS, 4) draws of phi."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 1e-12))
    if len(data.x) > EXACT or not exact:
        return at + rng.standard_normal((SETS, 4)) @ root.T
    z = rng.standard_normal((PROPOSALS, 4))
    stretch = np.sqrt(DEGREES / rng.chisquare(DEGREES, PROPOSALS))[:, None]
    t = z * stretch * 1.1
    phi = at + t @ root.T
    likelihood = family.rows(data.x, data.tx, data.T, at)
    with np.errstate(all="ignore"):
        height = np.array([data.weights @ likelihood(tuple(v), False)[0] for v in family.natural(phi)])
    height = height + prior.log(phi)
    squared = ((t / 1.1) ** 2).sum(axis=1)
    proposal = -(DEGREES + 4) / 2 * np.log1p(squared / DEGREES)
    log_weight = np.where(np.isfinite(height), height - proposal, -np.inf)
    weight = np.exp(log_weight - log_weight.max())
    # Systematic resampling: each proposal as often as its weight says, give or take one.
    edges = np.cumsum(weight) / weight.sum()
    chosen = np.searchsorted(edges, (np.arange(SETS) + rng.random()) / SETS)
    return rng.permutation(phi[np.minimum(chosen, PROPOSALS - 1)])


def pooled_prior(modes: np.ndarray, variances: np.ndarray, top: Prior) -> Prior:
    """N(m, tau² + var m) per coordinate from the segments' estimates (segments, 4) and their variances; tau's posterior
    mean on a grid, m integrated out."""
    taus = np.linspace(0.01, 2.0, 80)
    mean, sd = np.empty(4), np.empty(4)
    for c in range(4):
        y, v = modes[:, c], variances[:, c]
        total = v[None, :] + taus[:, None] ** 2
        precision = (1 / total).sum(axis=1) + 1 / top.sd[c] ** 2
        m = ((y / total).sum(axis=1) + top.mean[c] / top.sd[c] ** 2) / precision
        log_w = (
            -0.5 * np.log(total).sum(axis=1) - 0.5 * np.log(precision) - 0.5 * (y**2 / total).sum(axis=1)
            + 0.5 * m**2 * precision - taus**2 / (2 * TAU_SCALE**2)
        )  # fmt: skip
        w = np.exp(log_w - log_w.max())
        w /= w.sum()
        mean[c] = w @ m
        sd[c] = np.sqrt(w @ (taus**2 + 1 / precision + (m - mean[c]) ** 2))
    return Prior(mean, sd)


def posteriors(
    data: dict[str, Data], family: Family, rng: np.random.Generator, exact: bool = True
) -> dict[str, Posterior]:
    """The posterior of each segment; streams are spawned in the order of the names. `exact` False: Laplace alone."""
    names = sorted(data)
    top = top_prior(list(data.values()), family)
    priors = dict.fromkeys(names, top)
    if len(names) > 1:
        # The segments' own estimates under a prior that hardly says anything.
        vague = top.wider(2.0)
        first = {n: mode(data[n], vague, family) for n in names}
        shared = pooled_prior(
            np.array([first[n][0] for n in names]), np.array([np.diag(first[n][1]) for n in names]), top
        )
        priors = dict.fromkeys(names, shared)
    out = {}
    for name, stream in zip(names, rng.spawn(len(names)), strict=True):
        prior = priors[name]
        at, covariance, height, usable = mode(data[name], prior, family)
        phi = _draw(data[name], prior, family, at, covariance, stream, exact)
        own = 1 - np.clip(np.diag(covariance) / prior.sd**2, 0, 1)
        likelihood = height - float(prior.log(at))
        out[name] = Posterior(
            family.model(at), family.natural(phi), phi, at, covariance, own, prior, likelihood, usable
        )
    return out


__all__ = ["DEATH_RATE_SD", "Data", "Posterior", "Prior", "mode", "posteriors", "regularity", "top_prior"]
