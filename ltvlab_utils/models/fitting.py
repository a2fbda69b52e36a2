"""Maximum likelihood on the log-parameter scale, with a verdict (floor 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

GRADIENT = 1e-9  # scaled by the number of customers; what the Newton steps aim at
TOLERATED = 1e-7  # above this a fit did not converge
FLAT = 3.0  # a standard error on the log scale beyond this (a factor of e³ both ways) is not an estimate

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]  # log-parameters -> total LL, its gradient


@dataclass
class Optimum:
    """Where the search ended: log-parameters, log-likelihood, covariance (NaN where there is none), codes."""

    theta: np.ndarray
    log_likelihood: float
    covariance: np.ndarray
    codes: list[str] = field(default_factory=list)


def hessian(objective: Objective, theta: np.ndarray, step: float = 2e-4) -> np.ndarray:
    """Second derivatives from the exact gradient, by central differences: right to about 1e-7 of their size."""
    h = np.array([(objective(theta + e)[1] - objective(theta - e)[1]) / (2 * step) for e in np.eye(len(theta)) * step])
    return (h + h.T) / 2


def maximise(
    objective: Objective, starts: list[np.ndarray], low: np.ndarray, high: np.ndarray, size: float,
    codes_at_edge: list, rough: Objective | None = None,
) -> Optimum:  # fmt: skip
    """L-BFGS-B from the best starts, then Newton steps; `codes_at_edge[i]` is what parameter i at a bound means.

    `rough`: the same on a part of the data. The search then runs there, and all data take over where it ends.
    """
    none = np.full((len(low), len(low)), np.nan)
    search = rough or objective
    value = lambda theta: search(theta)[0]
    starts = sorted((np.clip(s, low, high) for s in starts), key=lambda s: -np.nan_to_num(value(s), nan=-np.inf))
    finite = [s for s in starts if np.isfinite(value(s))]
    if not finite:
        return Optimum(starts[0], np.nan, none, ["not_finite"])

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = search(theta)
        return (-f / size, -g / size) if np.isfinite(f) else (1e10, np.zeros_like(g))

    bounds = list(zip(low, high, strict=True))
    climb = lambda start: minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-13})
    ends = [climb(s) for s in finite[:3]]
    # Two ends that differ in the last digits only are one optimum: take the first, so that rounding decides nothing.
    best = min(e.fun for e in ends)
    theta = next(e.x for e in ends if e.fun <= best + 1e-9)
    if rough:
        inside = ((theta > low) & (theta < high)).all()
        h = hessian(rough, theta) if inside else None
        search = objective
        if h is None or not np.isfinite(_covariance(h)).all():
            theta, h = climb(theta).x, None
        theta, h = _newton(objective, theta, low, high, size, h)
    else:
        theta, h = _newton(objective, theta, low, high, size)
    f, g = objective(theta)
    codes = []
    if not (np.isfinite(f) and np.isfinite(g).all()):
        return Optimum(theta, np.nan, none, ["not_finite"])
    edge = (theta <= low + 1e-6) | (theta >= high - 1e-6)
    covariance = _covariance(h)
    spread = np.sqrt(np.diag(covariance))
    for i in range(len(theta)):
        if edge[i] or not spread[i] < FLAT:
            codes.append(codes_at_edge[i])
    if not edge.any() and np.abs(g).max() / size > TOLERATED:
        moved = any(np.abs(theta - s).max() > 1e-8 for s in starts)
        codes.append("gradient_not_zero" if moved else "did_not_move")
    return Optimum(theta, f, none if edge.any() else covariance, list(dict.fromkeys(codes)))


def _covariance(h: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(-h)
    if not np.isfinite(values).all() or values.min() <= 1e-12 * max(values.max(), 1e-300):
        return np.full_like(h, np.nan)
    return (vectors / values) @ vectors.T


def _newton(objective: Objective, theta: np.ndarray, low: np.ndarray, high: np.ndarray, size: float, near=None):
    """Newton steps inside the bounds until gradient and step are nothing; the Hessian is renewed when it no longer
    helps. `near`: a Hessian that is good enough to begin with."""
    f, g = objective(theta)
    h, fresh = (hessian(objective, theta), True) if near is None else (near, False)
    for _ in range(60):
        held = ((theta <= low) & (g < 0)) | ((theta >= high) & (g > 0))
        free = ~held
        if not free.any() or not np.isfinite(h).all():
            break
        values, vectors = np.linalg.eigh(-h[np.ix_(free, free)])
        values = np.maximum(np.abs(values), 1e-10 * size)
        step = np.zeros_like(theta)
        step[free] = vectors @ ((vectors.T @ g[free]) / values)
        step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        was = np.abs(g[free]).max()
        if was / size < GRADIENT and np.abs(step).max() < 1e-9:
            break
        for shrink in 0.5 ** np.arange(12):
            trial = np.clip(theta + shrink * step, low, high)
            f_new, g_new = objective(trial)
            # Near the top the value no longer moves and the gradient alone tells progress.
            level = 1e-12 * max(abs(f), 1.0)
            if np.isfinite(f_new) and (f_new > f + level or (f_new > f - level and np.abs(g_new[free]).max() < was)):
                break
        else:
            if fresh:
                break
            h, fresh = hessian(objective, theta), True
            continue
        slow = np.abs(g_new[free]).max() > 0.1 * was
        theta, f, g, fresh = trial, f_new, g_new, False
        if slow:
            h, fresh = hessian(objective, theta), True
    return theta, h if fresh else hessian(objective, theta)
