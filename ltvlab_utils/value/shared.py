"""What all customers share in each draw (floor 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ltvlab_utils.value import fits as fits_
from ltvlab_utils.value import movement
from ltvlab_utils.value.calendar import Clock, Horizon, shock_factors
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.renewal_hazard import renewal_shocks


@dataclass(frozen=True)
class Shared:
    """What all customers share in each draw. `params`: id of a model -> its parameters by draw; `hazard` of renewals
    and `renewal_shock` (draws, months), the factor on it; `movement` of contracts; `after_lapse` (draws,), the factor
    on the order rate once the last contract has lapsed."""

    clock: Clock
    params: dict[int, dict[str, np.ndarray]]
    hazard: dict[str, np.ndarray] | None
    renewal_shock: np.ndarray
    movement: dict | None
    after_lapse: np.ndarray | None

    @classmethod
    def of(cls, fits: fits_.Fits, facts: Facts, horizon: Horizon, draws: int, rng, shocks=True, certain=False):
        """`shocks` False: a steady order rate and hazard; `certain` True: parameters at their estimates."""
        clock_rng, params_rng, contract_rng, drift_rng = rng.spawn(4)
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
        months = horizon.months
        shock = renewal_shocks(months, draws, contract_rng) if shocks else np.ones((draws, months))
        hazard = None if fits.hazard is None else fits.hazard.model.draw(draws, contract_rng, certain)
        moves = None if fits.movement is None else movement.draw(fits.movement, draws, contract_rng, certain)
        after = None if fits.lapse is None else fits.lapse.draw(draws, contract_rng, certain)
        return cls(Clock(horizon, factors), params, hazard, shock, moves, after)
