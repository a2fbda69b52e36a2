"""How much of a total the prior decides (floor 2).

The same draws, weighed as if the prior had held customers to leave twice or half as fast (importance weights: new prior
over old at the parameters of each draw; Kallioinen et al. 2024). Few customers leave that to the prior; many do not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ltvlab_utils.value.fits import Fits
from ltvlab_utils.value.order_posterior import DEATH_RATE_SD

FACTORS = (2.0, 0.5)  # on the prior's death rate
DEATH = 2  # its coordinate in phi
LEAST_DRAWS = 40  # effective draws below which the weights tell nothing


def of_prior(totals: Mapping[str, np.ndarray], fits: Fits, params: Mapping[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    """Company's value under other priors: factor, value (NaN where the draws do not reach so far).

    `totals`: segment -> (draws,) future value; `params`: segment -> parameters (s, beta) of its order model by draw.
    Where segments lean on each other, their prior moves by the share of its variance that is the stated prior's.
    """
    rows = []
    for factor in FACTORS:
        value = 0.0
        for segment, total in totals.items():
            choice = fits.orders.get(segment)
            if choice is None or choice.posterior is None or segment not in params:
                value += total.mean()
                continue
            prior, of = choice.posterior.prior, params[segment]
            mean, sd = prior.mean[DEATH], prior.sd[DEATH]
            moved = mean + np.log(factor) * min((sd / DEATH_RATE_SD) ** 2, 1.0)
            rate = np.log(of["s"] / of["beta"]) if "s" in of else np.log(of["gamma"] / of["delta"])
            log_weight = ((rate - mean) ** 2 - (rate - moved) ** 2) / (2 * sd**2)
            weight = np.exp(log_weight - log_weight.max())
            told = weight.sum() ** 2 / (weight @ weight) >= LEAST_DRAWS
            value += weight @ total / weight.sum() if told else np.nan
        rows.append((factor, value))
    return pd.DataFrame(rows, columns=["factor", "value"])
