"""What earlier forecasts teach about this one: a common factor on future orders (floor 2).

A model leaves things out (customers that order ever less before they are gone, ageing, returns), and then its totals
are off in the same direction at every origin. ln(actual / predicted) of earlier origins estimates that error; it also
holds the luck of those months, whose size the predictive distribution tells. Prior of the error: N(0, s²) with
s ~ HalfNormal(PRIOR_SD): a model that left nothing out is left alone, a large error is believed. Origins overlap: their
luck is held to be correlated by OVERLAP. The posterior shifts and widens all draws alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import halfnorm, norm

PRIOR_SD = 0.07
OVERLAP = 0.6
SCALES = halfnorm.ppf((np.arange(12) + 0.5) / 12) * PRIOR_SD  # equally likely values of s


@dataclass(frozen=True)
class Drift:
    """ln of the factor on future orders, a mixture of normals: for each scale its `chance`, `centre` and `spread`;
    `origins` behind it."""

    chance: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    origins: int

    @property
    def mean(self) -> float:
        return float(self.chance @ self.centre)

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.chance @ (self.spread**2 + (self.centre - self.mean) ** 2)))

    def sample(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """(draws,) factors."""
        of = rng.choice(len(self.chance), draws, p=self.chance)
        return np.exp(self.centre[of] + self.spread[of] * rng.standard_normal(draws))


def drift(origins: Sequence[tuple[float, np.ndarray]]) -> Drift:
    """From (actual total, draws of the total) of each origin; the prior without any."""
    found = [(actual, totals) for actual, totals in origins if totals.mean() > 0 and len(totals) > 1]
    if not found:
        return Drift(np.full(len(SCALES), 1 / len(SCALES)), np.zeros(len(SCALES)), SCALES, 0)
    # half an order more on both sides, so that a quiet base has a logarithm
    error = np.array([np.log((actual + 0.5) / (totals.mean() + 0.5)) for actual, totals in found])
    luck = np.array([np.log(totals + 0.5).var() for _, totals in found])
    weight = 1 / np.maximum(luck, 1e-8)
    mean, variance = (weight @ error) / weight.sum(), (1 + (len(found) - 1) * OVERLAP) / weight.sum()
    told = norm.logpdf(mean, 0, np.sqrt(SCALES**2 + variance))
    chance = np.exp(told - told.max())
    kept = SCALES**2 / (SCALES**2 + variance)
    return Drift(chance / chance.sum(), kept * mean, np.sqrt(kept * variance), len(found))
