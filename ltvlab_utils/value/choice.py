"""What a fit of the value models comes down to: the model that values rest on, and its rows of the model card
(floor 2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ltvlab_utils import histories as hist
from ltvlab_utils.errors import Refused
from ltvlab_utils.models import BGBB, MBGNBD, GammaGamma, ParetoNBD, ShiftedBetaGeometric
from ltvlab_utils.value.drift import Drift
from ltvlab_utils.value.order_posterior import Posterior
from ltvlab_utils.value.pace import Pace

if TYPE_CHECKING:
    from ltvlab_utils.value.attributes import Attribute
    from ltvlab_utils.value.lapse import Factor
    from ltvlab_utils.value.movement import Movement
    from ltvlab_utils.value.order_choice import OrderChoice
    from ltvlab_utils.value.renewal_hazard import RenewalHazard

ORDER_MODELS = {"pareto_nbd": ParetoNBD, "mbg_nbd": MBGNBD}
NAMES = {**ORDER_MODELS, "bg_bb": BGBB, "gamma_gamma": GammaGamma, "shifted_beta_geometric": ShiftedBetaGeometric}
MIN_CUSTOMERS, MIN_REPEATERS = 30, 10  # below, a segment takes the pooled fit

ALL = hist.ALL


@dataclass(frozen=True)
class Choice:
    """The model that a segment's values rest on. `rung`: own, pooled, cannot_tell. `known`: (churned, renewed) where
    one churn probability is held for all contracts: its uncertainty is Beta(1 + churned, 1 + renewed).
    `posterior`: of an order model that has one."""

    name: str
    model: object
    rung: str
    notes: tuple[str, ...] = ()
    known: tuple[float, float] | None = None
    posterior: Posterior | None = None

    @property
    def pooled_weight(self) -> float:
        """Share of what is known of this segment's parameters that does not come from its own customers."""
        if self.posterior is not None:
            return float(1 - self.posterior.own_weight.mean())
        return float(self.rung != "own")


@dataclass
class Fits:
    """`orders` and `spend`: segment -> Choice; `renewals`: (segment, term class) -> Choice, which knows
    tenure alone and stands in where there is no `hazard`; `movement` of contracts, `lapse`: what the end of the last
    contract does to orders; `card`: model_card rows; `choice` of the order model, where the settings leave it open;
    `attributes`: tests of the declared covariates."""

    orders: dict[str, Choice] = field(default_factory=dict)
    spend: dict[str, Choice] = field(default_factory=dict)
    renewals: dict[tuple[str, str], Choice] = field(default_factory=dict)
    hazard: RenewalHazard | None = None
    movement: Movement | None = None
    lapse: Factor | None = None
    card: list[dict] = field(default_factory=list)
    models: dict[tuple[str, str], object] = field(default_factory=dict)  # (name, segment) -> fit, usable or not
    pace: Pace | None = None
    drift: Drift | None = None
    choice: OrderChoice | None = None
    attributes: list[Attribute] = field(default_factory=list)


def attempt(name: str, data: pd.DataFrame, weights: np.ndarray | None = None):
    """A fit that always answers: on refusal or a numeric fault None and the reason as a code."""
    try:
        model = NAMES[name].fit(data, weights)
        return model, ",".join(model.warnings)
    except (Refused, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None, "fit_failed"


def usable(model) -> bool:
    return model is not None and model.converged


def card_rows(
    name: str, engine: str, segment: str, params: dict, errors: dict, log_likelihood: float, customers: float,
    converged: bool, warning: str = "", chosen: bool = False,
) -> list[dict]:  # fmt: skip
    """model_card rows of one fit, a parameter a row."""
    symbols = list(params) or list(getattr(NAMES.get(name), "names", ())) or ["-"]
    finite = lambda v: float(v) if v is not None and np.isfinite(v) else np.nan  # noqa: E731
    return [
        {
            "model": name,
            "engine": engine,
            "model_segment": segment,
            "parameter": s,
            "estimate": finite(params.get(s)),
            "standard_error": finite(errors.get(s)),
            "log_likelihood": finite(log_likelihood),
            "customers": round(customers),
            "converged": bool(converged),
            "chosen": bool(chosen),
            "warning": warning or None,
        }
        for s in symbols
    ]


def fit_rows(
    name: str, segment: str, model, warning: str, customers: float, chosen: bool, more: str = ""
) -> list[dict]:
    warning = ",".join(w for w in (warning, more) if w)
    if model is None:
        return card_rows(name, "ltvlab", segment, {}, {}, np.nan, customers, False, warning, False)
    return card_rows(
        name, "ltvlab", segment, model.params, model.standard_errors, model.log_likelihood, customers,
        model.converged, warning, chosen,
    )  # fmt: skip
