"""Scores of forecasts against what happened (floor 2): a customer a row, draws of its future in the columns."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

LEVELS = (50, 80, 90)


def crps(draws: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score a row, from draws (rows, draws): E|X - y| - E|X - X'| / 2."""
    x = np.sort(draws, axis=1)
    n = x.shape[1]
    weight = 2 * np.arange(1, n + 1) - n - 1
    return np.abs(x - actual[:, None]).mean(axis=1) - (x * weight).sum(axis=1) / n**2


def pit(draws: np.ndarray, actual: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Randomised probability integral transform a row: u ~ U[F(y-), F(y)], uniform where the forecast holds, although
    values have atoms (no order at all)."""
    low, high = (draws < actual[:, None]).mean(axis=1), (draws <= actual[:, None]).mean(axis=1)
    return low + rng.random(len(actual)) * (high - low)


def inside(u: np.ndarray, share: float) -> float:
    """Share of PIT values in the central `share`."""
    return float(((u >= (1 - share) / 2) & (u <= (1 + share) / 2)).mean())


def covered(draws: np.ndarray, actual: np.ndarray, share: float, rng: np.random.Generator) -> float:
    """Share of rows in the central `share` by the randomised PIT."""
    return inside(pit(draws, actual, rng), share)


def gini(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Gini of `actual` ordered by `predicted` over that of the best order: 1 = every customer in its place, 0 = no
    better than chance. Equal predictions share their mean rank. NaN where the actual values do not differ."""
    y = np.asarray(actual, float)
    centred = y - y.mean()
    best = float(centred @ rankdata(y))
    return float(centred @ rankdata(predicted)) / best if best > 0 else np.nan


def decile_lift(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Mean of `actual` in the tenth with the highest prediction over the mean of all; customers of equal prediction
    stand in for each other. NaN where the mean of all is not above 0."""
    y = np.asarray(actual, float)
    if not len(y) or y.mean() <= 0:
        return np.nan
    _, level = np.unique(-np.asarray(predicted, float), return_inverse=True)
    sums, counts = np.bincount(level, y), np.bincount(level)
    first = np.interp(len(y) / 10, np.append(0, np.cumsum(counts)), np.append(0.0, np.cumsum(sums)))
    return float(first / y.sum() * 10)


def calibration_slope(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Slope of the regression of `actual` on `predicted`: 1 = differences between customers come out as predicted,
    below 1 = they are overstated. NaN where the predictions do not differ."""
    x = np.asarray(predicted, float)
    centred = x - x.mean()
    spread = float(centred @ centred)
    return float(centred @ np.asarray(actual, float)) / spread if spread > 1e-12 * max(1.0, float(x @ x)) else np.nan


def point_scores(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Scores of a number a customer: totals, bias of the total, mae, rmse, crps (of a number: its absolute error),
    gini, decile_lift, calibration_slope."""
    error, total = predicted - actual, float(actual.sum())
    mae = float(np.abs(error).mean())
    return {
        "actual": total,
        "predicted": float(predicted.sum()),
        "bias": float(predicted.sum()) / total - 1 if total else np.nan,
        "mae": mae,
        "rmse": float(np.sqrt((error**2).mean())),
        "crps": mae,
        "gini": gini(predicted, actual),
        "decile_lift": decile_lift(predicted, actual),
        "calibration_slope": calibration_slope(predicted, actual),
    }


def draw_scores(draws: np.ndarray, actual: np.ndarray, u: np.ndarray) -> dict[str, float]:
    """`point_scores` of the mean of `draws` (rows, draws), and of the distribution: crps, coverage_50, _80, _90 by the
    PIT values `u` of the rows; predicted_low and _high (80 % interval of the total, from totals of draws), and
    total_covered_50, _80, _90 (1 = the interval of the total held it)."""
    totals, total = draws.sum(axis=0), float(actual.sum())
    out = point_scores(draws.mean(axis=1), actual) | {"crps": float(crps(draws, actual).mean())}
    for level in LEVELS:
        low, high = np.quantile(totals, [0.5 - level / 200, 0.5 + level / 200])
        out |= {f"coverage_{level}": inside(u, level / 100), f"total_covered_{level}": float(low <= total <= high)}
        if level == 80:
            out |= {"predicted_low": float(low), "predicted_high": float(high)}
    return out
