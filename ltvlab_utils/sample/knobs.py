"""The knobs of a generated world, drawn per seed (docs/sample.md says what each does).

A **home** world shares the assumptions of the textbook models: exponential intervals between orders, gamma rates,
exponential lives, spend, rate and death independent, no season, no shock, nothing hidden that moves. It proves code.
A **misspecified** world draws each knob away from that. It proves methods.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.sample import draws

Kind = Literal["misspecified", "home"]


@dataclass(frozen=True)
class Knobs:
    """`interval`: distribution of operational time between orders, with `shape` (1 = exponential). `rates`: how the
    rate differs between customers. `trial`: share of customers that try and hardly order again. `rate_sd`,
    `spend_sd`: on log scale. `copula`: correlation of (rate, spend), (rate, death), (spend, death). `year_end`:
    factor on orders in March (of wholesale; less elsewhere). `fade_months`: longest fading before a customer is
    gone. `gompertz`: growth of the death hazard per year. `reactivation`: monthly chance of a gone customer to
    return, for two years. `satisfaction_memory`: AR(1) coefficient by month; `satisfaction_pull`: its effect on the
    log odds of renewal. `turnover`: chance that the contact changes in April or October. `inflation`: per year.
    `whales`: share of customers with Pareto(`whale_tail`) spend. `shock_sd`, `shock_memory`: AR(1) on log order
    rate, shared by a line of business. `distributor_loss`: yearly chance. `discount_leaning`: how much likelier a
    discount is for a customer less satisfied by 1 (log odds). `discount_pull`: effect of a 10 % discount on the log
    odds of renewal. `spill`: share of a measure's effect that reaches companies of the same parent.
    `effect_spread`: sd of the log of each customer's own response."""

    kind: Kind
    interval: Literal["exponential", "gamma", "weibull"]
    shape: float
    rates: Literal["gamma", "log-normal", "two-class"]
    trial: float
    rate_sd: float
    spend_sd: float
    copula: tuple[float, float, float]
    year_end: float
    fade_months: int
    gompertz: float
    reactivation: float
    satisfaction_memory: float
    satisfaction_pull: float
    turnover: float
    inflation: float
    whales: float
    whale_tail: float
    shock_sd: float
    shock_memory: float
    distributor_loss: float
    discount_leaning: float
    discount_pull: float
    spill: float
    effect_spread: float

    def table(self) -> list[dict[str, object]]:
        """One row a knob: knob, value."""
        return [{"knob": f.name, "value": str(getattr(self, f.name))} for f in fields(self)]


def home() -> Knobs:
    """The textbook's own world."""
    return Knobs(
        kind="home", interval="exponential", shape=1.0, rates="gamma", trial=0.0, rate_sd=0.8, spend_sd=0.8,
        copula=(0.0, 0.0, 0.0), year_end=1.0, fade_months=0, gompertz=0.0, reactivation=0.0, satisfaction_memory=0.0,
        satisfaction_pull=0.0, turnover=0.0, inflation=0.0, whales=0.0, whale_tail=2.0, shock_sd=0.0, shock_memory=0.0,
        distributor_loss=0.0, discount_leaning=0.0, discount_pull=0.0, spill=0.0, effect_spread=0.0,
    )  # fmt: skip


def misspecified(seed: int) -> Knobs:
    """Knobs of the world of a seed."""
    rng = draws.stream(seed, "knobs")
    interval = str(rng.choice(["gamma", "weibull"]))
    return Knobs(
        kind="misspecified",
        interval=interval,
        shape=float(rng.choice([2, 3]) if interval == "gamma" else rng.uniform(1.2, 1.7)),
        rates=str(rng.choice(["log-normal", "two-class"])),
        trial=float(rng.uniform(0.12, 0.30)),
        rate_sd=float(rng.uniform(0.7, 1.0)),
        spend_sd=float(rng.uniform(0.7, 1.0)),
        copula=_copula(rng),
        year_end=float(rng.uniform(1.5, 2.4)),
        fade_months=int(rng.integers(3, 10)),
        gompertz=float(rng.uniform(0.02, 0.12)),
        reactivation=float(rng.uniform(0.002, 0.01)),
        satisfaction_memory=float(rng.uniform(0.80, 0.95)),
        satisfaction_pull=float(rng.uniform(0.7, 1.3)),
        turnover=float(rng.uniform(0.04, 0.12)),
        inflation=float(rng.uniform(0.0, 0.04)),
        whales=float(rng.uniform(0.005, 0.02)),
        whale_tail=float(rng.uniform(1.6, 2.4)),
        shock_sd=float(rng.uniform(0.03, 0.08)),
        shock_memory=float(rng.uniform(0.6, 0.9)),
        distributor_loss=float(rng.uniform(0.02, 0.08)),
        discount_leaning=float(rng.uniform(0.8, 1.4)),
        discount_pull=float(rng.uniform(0.3, 0.7)),
        spill=float(rng.uniform(0.1, 0.4)),
        effect_spread=float(rng.uniform(0.3, 0.6)),
    )


def _copula(rng: np.random.Generator) -> tuple[float, float, float]:
    """Correlations of 0.5 with random signs whose product is not negative, or the matrix would be singular."""
    a, b = (float(s) for s in rng.choice([-0.5, 0.5], 2))
    return a, b, 0.5 if a * b > 0 else -0.5


def knobs(kind: Kind, seed: int) -> Knobs:
    """The knobs of a world. Raises Refused for an unknown kind."""
    if kind not in get_args(Kind):
        raise Refused(f'No world is called "{kind}".{nearest(str(kind), get_args(Kind))}')
    return home() if kind == "home" else misspecified(seed)
