"""How fast orders came and will come, apart from who is alive: season and shared shocks by month (floor 2).

What a customer's first and last order and their number leave open is when the orders between came. Given those, the
chance of each stretch of time is proportional to its pace (for regular orders, away from both ends), whatever the
customer's rate and however likely its death. So the orders between first and last, summed by month, tell season and
shocks without knowing who is still alive, and a quiet month is not read as a leaving (the idea of a self-controlled
case series, Farrington 1995).

log(seen / expected) of month m = level + season(month of year) + shock(m) + sampling error, shock an AR(1). Priors:
season ~ N(0, tau²), tau ~ HalfNormal(0.3), none with less than two years of data; innovation sd ~ HalfNormal(0.05),
phi ~ Beta(8, 2). The posterior of (tau, sd, phi) stands on a grid, everything else is Gaussian given those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import betainc

from ltvlab_utils.models.pareto_cnbd import PastClock

TWO_YEARS = 23.5  # months: 104 weeks are two years
TAU_SCALE, SD_SCALE, PHI = 0.3, 0.05, (8.0, 2.0)
TAU = np.array([0.0, 0.03, 0.06, 0.1, 0.15, 0.22, 0.32, 0.45, 0.65])
SD = np.array([0.002, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08, 0.11, 0.15])
PHIS = np.array([0.4, 0.55, 0.7, 0.8, 0.88, 0.95])
LEVEL = 10.0  # prior sd of the level: it is left free
TABLE = 24  # orders up to which the spread between first and last is exact
ROUNDS = 3


@dataclass(frozen=True)
class Months:
    """Months before as-of, the latest first. `back`: (m + 1,) times before as-of at their edges, starting at 0, in the
    model's unit; `of_year`: (m,) 0 to 11; `orders`: (m,) purchase days but a customer's first and last."""

    back: np.ndarray
    of_year: np.ndarray
    orders: np.ndarray


@dataclass(frozen=True)
class Pace:
    """Posterior of season and shocks. `weights` of the grid `points` (tau, sd, phi); `season`: (12,) posterior mean of
    the log factors; `months` behind it, `expected` orders, log `residual` and its sampling `variance` of each; `clock`
    of the past. `linked` False: shocks to come do not go on from those of the months seen (for a look back)."""

    points: np.ndarray
    weights: np.ndarray
    season: np.ndarray
    months: Months
    expected: np.ndarray
    residual: np.ndarray
    variance: np.ndarray
    clock: PastClock
    linked: bool = True

    def moments(self) -> dict[str, tuple[float, float]]:
        """Posterior mean and sd of season_sd, shock_sd and shock_phi."""
        mean = self.weights @ self.points
        sd = np.sqrt(np.maximum(self.weights @ self.points**2 - mean**2, 0))
        return dict(zip(("season_sd", "shock_sd", "shock_phi"), zip(mean, sd, strict=True), strict=True))

    def sample(self, of_year: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
        """(draws, months) factors of the coming months, of the given months of the year: season (mean 1 over a year)
        times the shock path that goes on from the months seen (mean 1 in the long run)."""
        which = rng.choice(len(self.weights), draws, p=self.weights)
        out = np.empty((draws, len(of_year)))
        for point in np.unique(which):
            rows = np.flatnonzero(which == point)
            mean, root = self._ahead(self.points[point], len(of_year))
            both = mean + rng.standard_normal((len(rows), len(mean))) @ root.T
            if not self.linked:
                both[:, :12] = self.season
            season = np.exp(both[:, :12])
            season /= season.mean(axis=1, keepdims=True)
            _, sd, phi = self.points[point]
            out[rows] = season[:, of_year] * np.exp(both[:, 12:] - sd**2 / (1 - phi**2) / 2)
        return out

    def _ahead(self, point: np.ndarray, ahead: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and a root of the covariance of (season (12), shock of the coming months) given the months seen."""
        tau, sd, phi = point
        level_variance = sd**2 / (1 - phi**2)
        future = np.arange(ahead)
        prior = np.zeros((12 + ahead, 12 + ahead))
        prior[:12, :12] = tau**2 * np.eye(12)
        prior[12:, 12:] = level_variance * phi ** np.abs(future[:, None] - future)
        kept = self.variance < np.inf
        if not kept.any() or not self.linked:
            return np.zeros(12 + ahead), _root(prior)
        at = np.flatnonzero(kept)
        factor = cho_factor(_covariance(point, self.months.of_year[at], at, self.variance[at]))
        cross = np.zeros((12 + ahead, len(at)))
        cross[self.months.of_year[at], np.arange(len(at))] = tau**2
        cross[12:] = level_variance * phi ** (future[:, None] + 1 + at[None, :])
        mean = cross @ cho_solve(factor, self.residual[at])
        return mean, _root(prior - cross @ cho_solve(factor, cross.T))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))


def _covariance(point: np.ndarray, of_year: np.ndarray, at: np.ndarray, variance: np.ndarray) -> np.ndarray:
    tau, sd, phi = point
    shared = sd**2 / (1 - phi**2) * phi ** np.abs(at[:, None] - at)
    return shared + tau**2 * (of_year[:, None] == of_year) + LEVEL**2 + np.diag(variance)


def fit_pace(months: Months, x, tx, T, weights: np.ndarray, k: int) -> Pace:
    """Season and shocks from orders by month and histories (frequency x, recency tx, age T, customers a row)."""
    middle = x > 1
    x, tx, T, weights = x[middle], tx[middle], T[middle], weights[middle]
    covered = float(np.sum(np.diff(months.back)[months.orders > 0]) / np.mean(np.diff(months.back)))
    taus = TAU if covered >= TWO_YEARS else TAU[:1]
    points = np.array([(t, s, p) for t in taus for s in SD for p in PHIS])
    prior = -(points[:, 0] ** 2) / (2 * TAU_SCALE**2) - points[:, 1] ** 2 / (2 * SD_SCALE**2)
    prior = prior + (PHI[0] - 1) * np.log(points[:, 2]) + (PHI[1] - 1) * np.log1p(-points[:, 2])
    # Cells of the grid are not equally wide.
    for axis, values in enumerate((taus, SD, PHIS)):
        if len(values) > 1:
            width = np.gradient(values)
            prior = prior + np.log(width[np.searchsorted(values, points[:, axis])])
    none = np.full(len(months.orders), np.inf)
    found = Pace(points, _normal(prior), np.zeros(12), months, np.zeros(len(none)), np.zeros(len(none)), none,
                 PastClock())  # fmt: skip
    if not len(x):
        return found
    season = np.zeros(12)
    for _ in range(ROUNDS if len(taus) > 1 else 1):
        clock = past_clock(months, season)
        expected = _expected(months, clock, x, tx, T, weights, k)
        usable = (expected > 0.5) & (months.orders > 0)
        total = months.orders[usable].sum() / max(expected[usable].sum(), 1e-9)
        expected = expected * total
        # Regular orders scatter less than Poisson ones, within a month a little, over longer times by 1/k.
        variance = np.where(usable, (1 + 1 / k) / 2 / np.maximum(expected, 0.5), np.inf)
        pace = np.exp(season)[months.of_year]
        with np.errstate(divide="ignore", invalid="ignore"):
            residual = np.where(usable, np.log(months.orders / expected) + np.log(pace), 0.0)
        likelihood, means = _grid(points, months.of_year, residual, variance)
        posterior = _normal(prior + likelihood)
        season = posterior @ means
        season = season - np.log(np.exp(season).mean())
        found = replace(found, weights=posterior, season=season, expected=expected, residual=residual,
                        variance=variance, clock=past_clock(months, season))  # fmt: skip
    return found


def past_clock(months: Months, season: np.ndarray) -> PastClock:
    if not np.any(season):
        return PastClock()
    return PastClock(tuple(map(float, months.back)), tuple(map(float, np.exp(season)[months.of_year])))


def _normal(log_weights: np.ndarray) -> np.ndarray:
    w = np.exp(log_weights - log_weights.max())
    return w / w.sum()


def _grid(points, of_year, residual, variance) -> tuple[np.ndarray, np.ndarray]:
    """Per grid point: log marginal likelihood, and the posterior mean of the season (points, 12)."""
    at = np.flatnonzero(variance < np.inf)
    likelihood, means = np.zeros(len(points)), np.zeros((len(points), 12))
    if not len(at):
        return likelihood, means
    y = residual[at]
    for i, point in enumerate(points):
        factor = cho_factor(_covariance(point, of_year[at], at, variance[at]), lower=True)
        solved = cho_solve(factor, y)
        likelihood[i] = -y @ solved / 2 - np.log(np.diag(factor[0])).sum()
        np.add.at(means[i], of_year[at], point[0] ** 2 * solved)
    return likelihood, means


@cache
def _spread(k: int, x: int, grid: int = 240) -> np.ndarray:
    """Expected number of the x - 1 middle orders before a share u of the time from first to last, u on a grid: order j
    is event kj of kx - 1 that fall at random, so it lies at Beta(kj, k(x - j))."""
    u = np.linspace(0, 1, grid + 1)
    j = np.arange(1, x)[:, None]
    return betainc(k * j, k * (x - j), u).sum(axis=0)


def _before(k: int, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    """`_spread` for each row x at positions u (rows, columns); large x are exact near both ends, even between."""
    if k == 1:
        return (x[:, None] - 1) * u
    out = np.empty_like(u)
    grid = np.linspace(0, 1, 241)
    for size in np.unique(x[x <= TABLE]).astype(int):
        rows = x == size
        out[rows] = np.interp(u[rows], grid, _spread(k, size))
    many = x > TABLE
    if many.any():
        n, place = x[many][:, None], u[many] * x[many][:, None]
        profile = _spread(k, TABLE)
        near = lambda v: np.interp(v / TABLE, grid, profile)  # noqa: E731
        half = TABLE / 2
        low, high = near(np.minimum(place, half)), near(np.minimum(n - place, half))
        between = np.where(place <= half, low, np.where(n - place <= half, n - 1 - high, near(half) + place - half))
        out[many] = between
    return out


def _expected(months: Months, clock: PastClock, x, tx, T, weights, k: int, chunk: int = 20_000) -> np.ndarray:
    """Middle orders expected in each month given histories and the clock."""
    out = np.zeros(len(months.orders))
    edges = clock.since(months.back)
    for i in range(0, len(x), chunk):
        rows = slice(i, i + chunk)
        first, last = clock.since(T[rows]), clock.since(T[rows] - tx[rows])
        span = np.maximum(first - last, 1e-12)
        u = np.clip((first[:, None] - edges[None, :]) / span[:, None], 0, 1)
        out += weights[rows] @ -np.diff(_before(k, x[rows], u), axis=1)
    return out
