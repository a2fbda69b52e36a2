"""What all customers share in each draw (floor 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ltvlab_utils.value import fits as fits_
from ltvlab_utils.value.calendar import Clock, Horizon, shock_factors
from ltvlab_utils.value.facts import Facts


@dataclass(frozen=True)
class Shared:
    """What all customers share in each draw. `params`: id of a model -> its parameters by draw."""

    clock: Clock
    params: dict[int, dict[str, np.ndarray]]
    growth: np.ndarray | None

    @classmethod
    def of(cls, fits: fits_.Fits, facts: Facts, horizon: Horizon, draws: int, rng, shocks=True, certain=False):
        """`shocks` False: a steady order rate; `certain` True: parameters and growth at their estimates."""
        clock_rng, params_rng, growth_rng, drift_rng = rng.spawn(4)
        if not shocks:
            factors = np.ones((draws, horizon.months))
        elif fits.pace is not None:
            factors = fits.pace.sample(horizon.of_year, draws, clock_rng)
        else:
            factors = shock_factors(horizon.months, draws, clock_rng)
        if shocks and fits.drift is not None:
            factors = factors * fits.drift.sample(draws, drift_rng)[:, None]
        params: dict[int, dict[str, np.ndarray]] = {}
        for group in (fits.orders, fits.spend, fits.renewals):
            for key in sorted(group):
                choice = group[key]
                if id(choice.model) not in params:
                    params[id(choice.model)] = (
                        {k: np.full(draws, v) for k, v in choice.model.params.items()}
                        if certain
                        else fits_.draw(choice, draws, params_rng)
                    )
        growth = None
        if facts.growth is not None:
            noise = 0.0 if certain else growth_rng.standard_normal(draws)
            growth = facts.growth.mean + facts.growth.sd * noise + np.zeros(draws)
        return cls(Clock(horizon, factors), params, growth)
