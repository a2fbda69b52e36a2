"""What a customer was at its start and how it goes on to order and renew (floor 2): covariates on the model card.

Attributes of the CRM are as of the extract and no features of the past, so one counts only where company.yaml declares
that it was known at the start (models.covariates). Each has a Pareto/NBD and a shifted Beta-geometric of its own, with
model segments (and lengths of term) as covariates beside it, and is tested against those alone. Values do not use them:
they rest on posteriors that lean on each other by segment, so an attribute that matters is better made the segment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.models import ParetoNBD, ShiftedBetaGeometric
from ltvlab_utils.models.covariates import LikelihoodRatio, WithCovariates, dummies
from ltvlab_utils.value.choice import ALL, card_rows
from ltvlab_utils.value.facts import Facts
from ltvlab_utils.value.renewal_fits import term_class

LEAST = 30  # customers or contracts that a value of an attribute needs for a coefficient of its own
MODELS = {"orders": "pareto_nbd", "renewals": "shifted_beta_geometric"}


@dataclass(frozen=True)
class Attribute:
    """`name` of a declared attribute and its `test` in the model of `what` (orders or renewals), against the model with
    segments alone; None where it cannot be fitted, for `reason` (codes of a fit, or too_few)."""

    name: str
    what: str
    test: LikelihoodRatio | None
    reason: str = ""


def tested(facts: Facts, settings) -> tuple[list[Attribute], list[dict]]:
    """Each declared attribute's test, and its rows of the model card."""
    found, card = [], []
    for name in settings.models.covariates if facts.attributes is not None else []:
        value_of = facts.attributes.set_index("customer_id")[name]
        # orders on a clock of months have no days, which Pareto/NBD would read
        h = facts.some_histories if settings.models.time_unit != "month" else facts.some_histories[:0]
        for what, rows, fit in (("orders", h, ParetoNBD.fit), ("renewals", _renewals(facts), ShiftedBetaGeometric.fit)):
            if len(rows):
                attribute, own = _one(name, what, rows.assign(value=rows["customer_id"].map(value_of)), fit)
                found.append(attribute)
                card += own
    return found, card


def _renewals(facts: Facts) -> pd.DataFrame:
    if not len(facts.renewals):
        return facts.renewals
    rows = facts.renewals.merge(facts.customers[["customer_id", "model_segment"]], on="customer_id")
    return rows.assign(kind=term_class(rows["term_months"]))


def _one(name: str, what: str, rows: pd.DataFrame, fit: Callable) -> tuple[Attribute, list[dict]]:
    """The test of one attribute (column `value`), on one row a customer or contract."""
    beside = {"model_segment": "segment", "kind": "term"}
    controls = [dummies(rows[c], LEAST).add_prefix(f"{word}=") for c, word in beside.items() if c in rows]
    own = dummies(rows["value"], LEAST).add_prefix(f"{name}=")
    if not len(own.columns):
        return Attribute(name, what, None, "too_few"), []
    data = ["frequency", "recency", "T"] if what == "orders" else ["renewals_made", "churned", "renewals_at_entry"]
    table = pd.concat([rows[data].astype(float), *controls, own], axis=1)
    table = table.groupby(list(table.columns), sort=True).size().rename("n").reset_index()
    weights = table["n"].to_numpy()
    names = [c for part in controls for c in part.columns]
    try:
        full = fit(table, weights, covariates=[*names, *own.columns])
        smaller = fit(table, weights, covariates=names) if names else full.plain
    except (Refused, ArithmeticError, ValueError, np.linalg.LinAlgError):
        return Attribute(name, what, None, "fit_failed"), []
    if not (full.converged and smaller.converged):
        return Attribute(name, what, None, ",".join(full.warnings or smaller.warnings)), _card(name, what, full, None)
    test = full.against(smaller)
    return Attribute(name, what, test), _card(name, what, full, test)


def _card(name: str, what: str, model: WithCovariates, test: LikelihoodRatio | None) -> list[dict]:
    """Parameters and coefficients with their standard errors, and the test."""
    values = dict(model.params)
    if test is not None:
        values |= {
            "likelihood_ratio": test.statistic, "degrees_of_freedom": test.degrees_of_freedom, "p_value": test.p_value,
        }  # fmt: skip
    return card_rows(
        f"{MODELS[what]}_by_{name}", "ltvlab", ALL, values, model.standard_errors, model.log_likelihood,
        model.customers, model.converged, ",".join(model.warnings),
    )  # fmt: skip
