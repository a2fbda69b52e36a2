"""Discrete-time proportional hazard of a decision with covariates that move, gamma frailty and a stated prior
(floor 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ltvlab_utils.errors import Refused

BEFORE, STAYED, LEFT = 0, 1, 2  # what a row tells: survived before it came into sight; stayed; left
# prior of the frailty's standard deviation: log-normal around the two cohorts of Fader & Hardie (2007), 0.76 and 1.02
FRAILTY_MEDIAN, FRAILTY_LOG_SD = 0.9, 0.4
SCALE_SD = 0.5  # prior of the sd of the moving coefficients: HalfNormal
FADE_MEAN = 0.10  # prior of the monthly decay of moving covariates: exponential with this mean
FRAILTY_GRID = (0.2, 0.7, 1.2, 1.8)
SCALE_GRID = (0.05, 0.15, 0.35, 0.8)
FADE_GRID = (0.0, 0.08, 0.2)
LOWEST, HIGHEST = -15.0, 4.0  # log hazards are held within: beyond, a chance is 0 or 1 to rounding


@dataclass(frozen=True)
class Decisions:
    """Rows in groups. A group is one contract as seen at one lead; its rows stand together.

    `x` (rows, p) covariates; `lead` (rows,) months between the day they were seen and the decision; `told` (rows,)
    BEFORE, STAYED or LEFT, at most one LEFT a group; `count` (rows,) decisions behind a row (above 1 for BEFORE only);
    `group` (rows,) 0, 1, … in order; `weight` (groups,)."""

    x: np.ndarray
    lead: np.ndarray
    told: np.ndarray
    count: np.ndarray
    group: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Prior:
    """Normal prior of each coefficient: `mean`, `sd` (p,). Where `moving` the sd counts times a scale that is unknown,
    HalfNormal(SCALE_SD) and the same for all of them, and the covariate counts exp(-fade * lead)."""

    mean: np.ndarray
    sd: np.ndarray
    moving: np.ndarray


@dataclass(frozen=True)
class Cell:
    """The posterior at one set of (frailty sd, scale, fade): its weight, mean and a root of the covariance."""

    frailty: float
    scale: float
    fade: float
    weight: float
    mean: np.ndarray
    root: np.ndarray


class FrailtyHazard:
    """The chance to leave at a decision.

    1. Given z, P(leave at decision k) = 1 - exp(-z exp(x_k · b)) (complementary log-log).
    2. z is the contract's own: gamma with mean 1 and sd `frailty`. Those with a high z leave first, so survivors are
       more loyal, as in the shifted Beta-geometric; given that it stayed through the hazards H, z is
       Gamma(1/v, 1/v + H), v = frailty squared. A contract that came into sight late counts given that it had stayed.
    3. What a moving covariate tells fades with the lead between the day it was seen and the decision: exp(-fade lead).

    Posterior: normal (Laplace) for the coefficients within cells of a grid over frailty, scale of the moving
    coefficients and fade; cells weighted by their Laplace evidence and prior. With few decisions the scale runs small:
    the base rate with its uncertainty, and no effect that the data do not show. Prentice & Gloeckler (1978), Meyer
    (1990), Rue, Martino & Chopin (2009) for the grid.
    """

    def __init__(self, cells: list[Cell], names: tuple[str, ...], prior: Prior, log_evidence: float, decisions: float):
        self.cells, self.names, self.prior = cells, names, prior
        self.log_evidence, self.decisions = log_evidence, decisions

    @classmethod
    def fit(cls, data: Decisions, prior: Prior, names: tuple[str, ...]) -> FrailtyHazard:
        """Raises Refused where x, prior and names do not fit together or a number is not finite."""
        if data.x.shape[1] != len(names) or len(prior.mean) != len(names) or len(data.x) != len(data.group):
            raise Refused(f"FrailtyHazard: {len(names)} names, but covariates of shape {data.x.shape}.")
        if not (np.isfinite(data.x).all() and np.isfinite(data.lead).all()):
            raise Refused("FrailtyHazard: a covariate or lead is not finite; set unknown ones to their mean.")
        scales = SCALE_GRID if prior.moving.any() else SCALE_GRID[:1]
        fades = FADE_GRID if prior.moving.any() else FADE_GRID[:1]
        found, start = [], prior.mean
        for fade in fades:
            problem = _Problem(data, prior.moving, fade)
            for scale in scales:
                sd = np.where(prior.moving, scale, 1.0) * prior.sd
                for frailty in FRAILTY_GRID:
                    mean, value, information = problem.maximise(frailty**2, prior.mean, sd, start)
                    start = mean
                    _, size = np.linalg.slogdet(information)
                    evidence = value - np.log(sd).sum() - size / 2 + _log_prior(frailty, scale, fade)
                    evidence += np.log(_width(FRAILTY_GRID, frailty) * _width(scales, scale) * _width(fades, fade))
                    found.append((evidence, frailty, scale, fade, mean, information))
        best = max(f[0] for f in found)
        weights = np.exp([f[0] - best for f in found])
        total, weights = best + np.log(weights.sum()), weights / weights.sum()
        cells = [
            Cell(frailty, scale, fade, float(w), mean, np.linalg.inv(np.linalg.cholesky(information)).T)
            for w, (_, frailty, scale, fade, mean, information) in zip(weights, found, strict=True)
            if w > 1e-4
        ]
        decisions = float((data.weight[data.group] * (data.told != BEFORE)).sum())
        return cls(cells, names, prior, float(total), decisions)

    def draw(self, draws: int, rng: np.random.Generator, certain: bool = False) -> dict[str, np.ndarray]:
        """`b` (draws, p), `variance` (draws,) of the frailty, `fade` (draws,); `certain`: posterior means, repeated."""
        weights = np.array([c.weight for c in self.cells])
        weights = weights / weights.sum()
        of = lambda name: np.array([getattr(c, name) for c in self.cells])
        if certain:
            mean = self.mean()
            one = lambda v: np.full(draws, float(weights @ v))
            return {"b": np.tile(mean, (draws, 1)), "variance": one(of("frailty")) ** 2, "fade": one(of("fade"))}
        which = rng.choice(len(self.cells), draws, p=weights)
        noise = rng.standard_normal((draws, len(self.names)))
        b = of("mean")[which]
        for number in np.unique(which):
            rows = which == number
            b[rows] += noise[rows] @ self.cells[number].root.T
        return {"b": b, "variance": of("frailty")[which] ** 2, "fade": of("fade")[which]}

    def mean(self) -> np.ndarray:
        """Posterior mean of the coefficients."""
        return sum(c.weight * c.mean for c in self.cells) / sum(c.weight for c in self.cells)

    def summary(self) -> dict[str, tuple[float, float]]:
        """Posterior mean and sd of each coefficient and of frailty, scale and fade."""
        w = np.array([c.weight for c in self.cells])
        w = w / w.sum()
        means = np.array([c.mean for c in self.cells])
        inside = np.array([(c.root**2).sum(axis=1) for c in self.cells])
        mean = w @ means
        sd = np.sqrt(w @ (inside + (means - mean) ** 2))
        out = {n: (float(m), float(s)) for n, m, s in zip(self.names, mean, sd, strict=True)}
        for name in ("frailty", "scale", "fade") if self.prior.moving.any() else ("frailty",):
            value = np.array([getattr(c, name) for c in self.cells])
            out[name] = (float(w @ value), float(np.sqrt(w @ (value - w @ value) ** 2)))
        return out

    def __repr__(self) -> str:
        summary = self.summary()
        return f"<FrailtyHazard: {self.decisions:,.0f} decisions, frailty={summary['frailty'][0]:.2f}>"


def log_hazard(x: np.ndarray, lead: np.ndarray, moving: np.ndarray, params: dict[str, np.ndarray]) -> np.ndarray:
    """(rows, draws) x · b, the moving covariates faded by lead (rows,)."""
    b = params["b"].T
    static = x[:, ~moving] @ b[~moving]
    if moving.any():
        static = static + np.exp(-np.outer(lead, params["fade"])) * (x[:, moving] @ b[moving])
    return np.clip(static, LOWEST, HIGHEST)


def _log_prior(frailty: float, scale: float, fade: float) -> float:
    off = np.log(frailty / FRAILTY_MEDIAN) / FRAILTY_LOG_SD
    return -(off**2) / 2 - np.log(frailty) - scale**2 / (2 * SCALE_SD**2) - fade / FADE_MEAN


def _width(grid: tuple[float, ...], value: float) -> float:
    """Length of the stretch that a point of a grid stands for; the first reaches down to 0."""
    if len(grid) == 1:
        return 1.0
    edges = [0.0, *(np.array(grid[:-1]) + np.diff(grid) / 2), grid[-1] + (grid[-1] - grid[-2]) / 2]
    at = grid.index(value)
    return float(edges[at + 1] - edges[at])


class _Problem:
    """Log-likelihood of the coefficients at a fade, with gradient and Hessian."""

    def __init__(self, data: Decisions, moving: np.ndarray, fade: float):
        factor = np.exp(-fade * data.lead)
        self.x = np.where(moving, data.x * factor[:, None], data.x)
        self.data = data
        self.first = np.flatnonzero(np.diff(data.group, prepend=-1))
        self.of = [np.where(data.told == told, data.count, 0.0) for told in (BEFORE, STAYED, LEFT)]
        self.left = np.add.reduceat(self.of[2], self.first) > 0 if len(self.x) else np.zeros(0, bool)

    def __call__(self, b: np.ndarray, v: float) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient, Hessian. Per group: E = hazard before sight, A = E + that of decisions stayed through, C of
        the one at which it left. Given entry: S(A) / S(E) if it stays, (S(A) - S(A + C)) / S(E) if it leaves, with
        S(h) = (1 + v h)^(-1 / v)."""
        w, left = self.data.weight, self.left
        if not len(self.x):
            return 0.0, np.zeros(len(b)), np.zeros((len(b), len(b)))
        h = np.exp(np.clip(self.x @ b, LOWEST, HIGHEST))
        rows = [h * o for o in self.of]
        e, r, c = (np.add.reduceat(row, self.first) for row in rows)
        z_e, z_r, z_c = (np.add.reduceat(row[:, None] * self.x, self.first, axis=0) for row in rows)
        a, z_a = e + r, z_e + z_r
        in_a, in_e, in_b = 1 + v * a, 1 + v * e, 1 + v * (a + c)
        value = (np.log(in_e) - np.log(in_a)) / v
        g_a, g_aa = -1 / in_a, v / in_a**2
        g_c, g_ac, g_cc = np.zeros((3, len(a)))
        if left.any():
            ratio = np.exp(-(np.log(in_b[left]) - np.log(in_a[left])) / v)  # S(B) / S(A)
            drop = -np.expm1(-(np.log(in_b[left]) - np.log(in_a[left])) / v)
            one_a, one_b = -1 / in_a[left], -ratio / in_b[left]  # S' / S(A)
            two_a, two_b = (1 + v) / in_a[left] ** 2, (1 + v) * ratio / in_b[left] ** 2
            value[left] += np.log(drop)
            g_a[left] = (one_a - one_b) / drop
            g_c[left] = -one_b / drop
            g_aa[left] = (two_a - two_b) / drop - g_a[left] ** 2
            g_ac[left] = -two_b / drop - g_a[left] * g_c[left]
            g_cc[left] = -two_b / drop - g_c[left] ** 2
        g_e, g_ee = 1 / in_e, -v / in_e**2
        gradient = z_a.T @ (w * g_a) + z_c.T @ (w * g_c) + z_e.T @ (w * g_e)
        group = self.data.group
        by_row = rows[0] * (w * (g_a + g_e))[group] + rows[1] * (w * g_a)[group] + rows[2] * (w * g_c)[group]
        cross = (z_a * (w * g_ac)[:, None]).T @ z_c
        hessian = (self.x * by_row[:, None]).T @ self.x + cross + cross.T
        for z, second in ((z_a, g_aa), (z_c, g_cc), (z_e, g_ee)):
            hessian += (z * (w * second)[:, None]).T @ z
        return float(w @ value), gradient, hessian

    def maximise(self, v: float, mean: np.ndarray, sd: np.ndarray, start: np.ndarray):
        """Newton steps on the log posterior: mode, value (without constants), information (positive definite)."""
        b = start

        def posterior(b):
            value, gradient, hessian = self(b, v)
            pull = (b - mean) / sd**2
            return value - pull @ (b - mean) / 2, gradient - pull, -hessian + np.diag(1 / sd**2)

        value, gradient, information = posterior(b)
        for _ in range(60):
            roots, vectors = np.linalg.eigh(information)
            step = vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(roots), 1e-6))
            step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
            if np.abs(step).max() < 1e-9:
                break
            for shrink in 0.5 ** np.arange(20):
                trial = posterior(b + shrink * step)
                if trial[0] > value - 1e-12 * max(abs(value), 1.0):
                    break
            else:
                break
            b, (value, gradient, information) = b + shrink * step, trial
        roots, vectors = np.linalg.eigh(information)
        return b, value, (vectors * np.maximum(roots, 1e-6)) @ vectors.T
