"""Numerics that the models share: ratios of gamma functions, integrals over a Beta (floor 2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import exprel, gammaln, psi

from ltvlab_utils.models.columns import grouped

LOG_DROP = 40.0  # an integrand this far (in logs) below its highest point adds nothing that a double can hold


@cache
def gauss(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    x, w = leggauss(nodes)
    return (x + 1) / 2, w / 2


def _stirling(z: np.ndarray) -> np.ndarray:
    i = 1 / (z * z)
    return (1 / 12 - i * (1 / 360 - i * (1 / 1260 - i / 1680))) / z


def _by_run(f: Callable[[np.ndarray], np.ndarray], n: np.ndarray) -> np.ndarray:
    """f(n), computed once per run of equal values: distinct histories are sorted by frequency, so runs are long."""
    new = np.flatnonzero(n[1:] != n[:-1]) + 1
    if 2 * len(new) > len(n):
        return f(n)
    first = np.concatenate([[0], new])
    return np.repeat(f(n[first]), np.diff(first, append=len(n)))


def _runs(f: Callable[[np.ndarray, np.ndarray], np.ndarray], z: np.ndarray, n: np.ndarray) -> np.ndarray:
    """f(z, n) by runs where one of the two is a number and the other a column."""
    if z.ndim == 0 and n.ndim == 1 and len(n):
        return _by_run(lambda m: f(z, m), n)
    if n.ndim == 0 and z.ndim == 1 and len(z):
        return _by_run(lambda y: f(y, n), z)
    return f(z, n)


def log_rising(z: np.ndarray | float, n: np.ndarray | float) -> np.ndarray:
    """ln Γ(z + n) − ln Γ(z), without the cancellation that a large z brings."""
    return _runs(_log_rising, np.asarray(z, float), np.asarray(n, float))


def _log_rising(z: np.ndarray, n: np.ndarray) -> np.ndarray:
    z, n = np.broadcast_arrays(z, n)
    large = z >= 20
    safe = np.where(large, z, 20.0)
    stable = (safe - 0.5) * np.log1p(n / safe) + n * np.log(safe + n) - n + _stirling(safe + n) - _stirling(safe)
    return np.where(large, stable, gammaln(z + n) - gammaln(z))


def psi_rise(z: np.ndarray | float, n: np.ndarray | float) -> np.ndarray:
    """ψ(z + n) − ψ(z), the derivative of `log_rising` in z."""
    return _runs(lambda y, m: psi(y + m) - psi(y), np.asarray(z, float), np.asarray(n, float))


def power_integral(t: np.ndarray | float, power: np.ndarray | float, base: np.ndarray | float) -> np.ndarray:
    """∫₀ᵗ (base / (base + u))^power du, smooth through power = 1."""
    length = np.log1p(np.asarray(t, float) / base)
    return base * length * exprel(-(np.asarray(power, float) - 1) * length)


def _log_beta_kernel(u: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return -a * np.logaddexp(0, -u) - b * np.logaddexp(0, u)


def beta_expectation(
    f: Callable[[np.ndarray, np.ndarray], np.ndarray],
    a: np.ndarray | float,
    b: np.ndarray | float,
    scale: np.ndarray | float = 1.0,
    nodes: int = 192,
) -> np.ndarray:
    """E f(p, 1 − p) for p ~ Beta(a, b), one value per row; f is positive and sees arrays (rows, nodes).

    On the logit scale the density is log-concave and f is analytic in a strip, so the trapezoidal rule over the whole
    line is exact to about 1e-11. Below `scale` f must be flat, and near p = 1 too: there the rest of the line is a
    geometric series, added in closed form. No cancellation: all terms are positive.
    """
    a, b, scale = (v.ravel() for v in np.broadcast_arrays(*(np.asarray(v, float) for v in (a, b, scale))))
    mode = np.log(a) - np.log(b)
    target = _log_beta_kernel(mode, a, b) - LOG_DROP
    low = np.log(1e-14 * np.minimum(np.minimum(1, scale), np.minimum(1 / b, a / b)))
    high = -np.log(1e-14 * np.minimum(1, np.minimum(1 / a, b / a)))
    # Newton from outside: the kernel is concave, so the steps never pass the point where it has dropped by LOG_DROP.
    for _ in range(8):
        low = low + np.maximum(0, target - _log_beta_kernel(low, a, b)) / _slope(low, a, b)
        high = high + np.maximum(0, target - _log_beta_kernel(high, a, b)) / _slope(high, a, b)
    step = (high - low) / (nodes - 1)
    u = low[:, None] + step[:, None] * np.arange(nodes)
    log_mass = _log_beta_kernel(u, a[:, None], b[:, None])
    log_mass[:, 0] -= np.log(-np.expm1(-a * step))  # 1 + e^(−a h) + e^(−2 a h) + …
    log_mass[:, -1] -= np.log(-np.expm1(-b * step))
    mass = np.exp(log_mass - log_mass.max(axis=1, keepdims=True))
    p, q = 1 / (1 + np.exp(-u)), 1 / (1 + np.exp(u))
    return (mass * f(p, q)).sum(axis=1) / mass.sum(axis=1)


def _slope(u: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a / (1 + np.exp(u)) - b / (1 + np.exp(-u))


def by_distinct(f: Callable[..., np.ndarray], *columns: np.ndarray, chunk: int = 4000) -> np.ndarray:
    """f(*columns), one value or row of values each, computed once per distinct row and in pieces, so that memory stays
    small."""
    if not len(columns[0]):
        return np.zeros(0)
    rows, place = grouped(columns)
    parts = [f(*(r[i : i + chunk] for r in rows)) for i in range(0, len(rows[0]), chunk)]
    return np.concatenate(parts)[place]


def discount_nodes(
    delta: float, horizon: float | None, base: np.ndarray, nothing_after: np.ndarray | float = np.inf
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes u and weights, each (rows, 96), of ∫₀ᴴ e^{−δu} f(u) du for f that varies on the scale (base + u) and, per
    row, is nothing beyond `nothing_after`."""
    end = np.inf if horizon is None else horizon
    end = np.minimum(min(end, LOG_DROP / delta) if delta > 0 else end, nothing_after)
    x, w = gauss(96)
    base = np.asarray(base, float)[:, None]
    length = np.log1p(np.broadcast_to(end, len(base))[:, None] / base)
    u = base * np.expm1(length * x)
    return u, w * length * (base + u) * np.exp(-delta * u)


def count_before_death(
    n: np.ndarray, t: np.ndarray, r: float, alpha: float, s: float, beta: float, nodes: int = 192
) -> np.ndarray:
    """ln of ∫₀ᵗ yⁿ (α + y)^−(r + n) (β + y)^−(s + 1) dy, one value per pair (n, t), t > 0.

    In z = ln y the integrand is log-concave and analytic in a strip of half-width π. It is cut on both sides where it
    has dropped by LOG_DROP: Newton steps from outside never pass those points.
    """
    n, t = np.asarray(n, float), np.asarray(t, float)

    def log_f(z, n):
        y = np.exp(z)
        return (n + 1) * z - (r + n) * np.log(alpha + y) - (s + 1) * np.log(beta + y)

    def slope(z):
        y = np.exp(z)
        return (n + 1) - (r + n) * y / (alpha + y) - (s + 1) * y / (beta + y)

    # The highest point: the root of (n + 1)(α + y)(β + y) = (r + n) y (β + y) + (s + 1) y (α + y), or t.
    linear = (n + 1) * (alpha + beta) - (r + n) * beta - (s + 1) * alpha
    root = np.sqrt(linear**2 + 4 * (r + s) * (n + 1) * alpha * beta)
    mode = np.where(linear > 0, (linear + root) / (2 * (r + s)), 2 * (n + 1) * alpha * beta / np.abs(root - linear))
    right = np.log(t)
    top = log_f(np.minimum(np.log(mode), right), n)
    target = top - LOG_DROP
    # Both asymptotes lie above the integrand.
    low = (target + (r + n) * np.log(alpha) + (s + 1) * np.log(beta)) / (n + 1)
    high = np.minimum(right, -target / (r + s))
    for _ in range(8):
        low = low + np.maximum(0, target - log_f(low, n)) / np.maximum(slope(low), 1e-12)
        short = np.maximum(0, target - log_f(high, n))
        high = high - short / np.where(short > 0, np.maximum(-slope(high), 1e-12), 1.0)
    x, w = gauss(nodes)
    z = low[..., None] + (high - low)[..., None] * x
    return top + np.log(high - low) + np.log(np.exp(log_f(z, n[..., None]) - top[..., None]) @ w)
