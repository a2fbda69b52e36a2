"""What earlier forecasts teach about this one: a common factor on future orders (floor 2).

A model leaves things out (customers that order ever less before they are gone, ageing, returns), and then its totals
are off in the same direction at every origin. ln(actual / predicted) of earlier origins estimates that error; it also
holds the luck of those months, whose size the predictive distribution tells. Prior of the error: N(0, PRIOR_SD²).
Origins overlap: their luck is held to be correlated by OVERLAP. The posterior shifts and widens all draws alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PRIOR_SD = 0.08
OVERLAP = 0.6


@dataclass(frozen=True)
class Drift:
    """ln of the factor on future orders: `mean` and `sd`; `origins` behind it."""

    mean: float
    sd: float
    origins: int

    def sample(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """(draws,) factors."""
        return np.exp(self.mean + self.sd * rng.standard_normal(draws))


def drift(origins: Sequence[tuple[float, np.ndarray]]) -> Drift:
    """From (actual total, draws of the total) of each origin."""
    found = [(actual, totals) for actual, totals in origins if totals.mean() > 0 and len(totals) > 1]
    if not found:
        return Drift(0.0, PRIOR_SD, 0)
    # half an order more on both sides, so that a quiet base has a logarithm
    error = np.array([np.log((actual + 0.5) / (totals.mean() + 0.5)) for actual, totals in found])
    luck = np.array([np.log(totals + 0.5).var() for _, totals in found])
    weight = 1 / np.maximum(luck, 1e-8)
    variance = (1 + (len(found) - 1) * OVERLAP) / weight.sum()
    kept = PRIOR_SD**2 / (PRIOR_SD**2 + variance)
    return Drift(float(kept * (weight @ error) / weight.sum()), float(np.sqrt(kept * variance)), len(found))
