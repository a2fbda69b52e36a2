"""Which renewal model each segment and term class rests on (floor 2).

Ladder: own sBG -> one churn probability for the segment (where its contracts do not show that they differ) -> pooled
sBG -> one churn probability for all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.models import ShiftedBetaGeometric
from ltvlab_utils.value.choice import ALL, Choice, Fits, attempt, card_rows, fit_rows, usable
from ltvlab_utils.value.facts import Facts

MIN_CONTRACTS, MIN_CHURNED = 20, 5
ALIKE = 1e6  # sBG parameters so large that contracts do not differ


def term_class(term_months: pd.Series) -> np.ndarray:
    """Terms that renew alike: monthly (1), short (2 to 11 months), annual (12 months and longer)."""
    return np.select([term_months <= 1, term_months < 12], ["monthly", "short"], "annual")


def _renewal_fit(rows: pd.DataFrame):
    """sBG on all contracts; those that began before the data count from their entry on (left-truncated), so that
    survivors do not pass for loyal ones."""
    if len(rows) < MIN_CONTRACTS or rows["churned"].sum() < MIN_CHURNED:
        return None, "too_few", len(rows)
    keys = ["renewals_made", "churned", "renewals_at_entry"]
    distinct = rows.groupby(keys, sort=True).size().rename("weight").reset_index()
    model, warning = attempt("shifted_beta_geometric", distinct, distinct["weight"].to_numpy())
    return model, warning, len(rows)


def _one_churn(rows: pd.DataFrame, rung: str, notes: tuple[str, ...], at_least: int = MIN_CONTRACTS) -> Choice | None:
    """One churn probability for all contracts: the limit of sBG where they do not differ."""
    renewed = float((rows["renewals_made"] - rows["renewals_at_entry"]).sum())
    churned = float(rows["churned"].sum())
    if renewed + churned < at_least:
        return None
    model = ShiftedBetaGeometric(alpha=(1 + churned) * ALIKE, beta=(1 + renewed) * ALIKE)
    return Choice("shifted_beta_geometric", model, rung, (*notes, "one_churn_rate"), (churned, renewed))


def _one_churn_card(segment: str, choice: Choice) -> list[dict]:
    """The posterior mean and sd of the one churn probability."""
    if choice.known is None:
        return []
    a, b = 1 + choice.known[0], 1 + choice.known[1]
    sd = float(np.sqrt(a * b / (a + b) ** 2 / (a + b + 1)))
    warning = ",".join(choice.notes)
    return card_rows(
        "one_churn_rate", "ltvlab", segment, {"theta": a / (a + b)}, {"theta": sd}, np.nan, sum(choice.known), True,
        warning, True,
    )  # fmt: skip


def fit_renewals(fits: Fits, facts: Facts) -> None:
    rows = facts.renewals.merge(facts.customers[["customer_id", "model_segment"]], how="left", on="customer_id")
    rows = rows.assign(kind=term_class(rows["term_months"]))
    kinds, segments = sorted(rows["kind"].unique()), sorted(rows["model_segment"].unique())
    label = lambda segment, kind: segment if len(kinds) == 1 else f"{segment}:{kind}"  # noqa: E731
    for kind in kinds:
        of_kind = rows[rows["kind"] == kind]
        pooled, pooled_warning, pooled_n = _renewal_fit(of_kind)
        stands_in = []
        for segment in sorted(of_kind["model_segment"].unique()):
            part = of_kind[of_kind["model_segment"] == segment]
            model, warning, n = (pooled, pooled_warning, pooled_n) if len(segments) == 1 else _renewal_fit(part)
            choice = Choice("shifted_beta_geometric", model, "own") if usable(model) else _one_churn(part, "own", ())
            if choice is None and usable(pooled):
                choice = Choice("shifted_beta_geometric", pooled, "pooled", ("renewal_pooled",))
            choice = choice or _one_churn(of_kind, "pooled", ("renewal_pooled",), at_least=0)
            if choice.model is pooled:
                stands_in.append(segment)
            fits.renewals[(segment, kind)] = choice
            fits.card += _one_churn_card(label(segment, kind), choice)
            fits.card += fit_rows(
                "shifted_beta_geometric", label(segment, kind), model, warning, n, choice.model is model
            )
        if len(segments) > 1:
            more = f"used_by:{'+'.join(stands_in)}" if stands_in else ""
            fits.card += fit_rows(
                "shifted_beta_geometric", label(ALL, kind), pooled, pooled_warning, pooled_n, bool(stands_in), more
            )
