"""Renewal decisions and the days from which they are looked at (floor 2).

A decision falls at the notice deadline, without one at the end of the term. A term that was superseded (an amendment, a
co-term) or cancelled early is no decision; a contract in mid-term is censored; one older than the data counts from its
entry on. Dates are those of the contract system, which carries the extension of a pause.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ltvlab_utils.value.calendar import month_index

LEADS = (0, 1, 3, 6, 9)  # months before the deadline at which a past decision is looked at, as a forecast would be
MOST = 20_000  # contracts whose decisions are looked at; of more, every k-th
COLUMNS = (
    "contract_id", "customer_id", "product_id", "term_months", "discount_rate", "monthly_amount", "told", "count",
    "made", "lead", "seen_on",
)  # fmt: skip


def deadline(terms: pd.DataFrame) -> pd.Series:
    """Day on which each term's renewal is decided."""
    return terms["notice_due_on"].fillna(terms["ends_on"])


def _known_late(terms: pd.DataFrame) -> pd.Timedelta:
    """How long after its deadline the system knows of a renewal: 95 % of renewed terms do by then. A refusal is known
    at once, so younger decisions would be refusals only."""
    renewed = terms[terms["outcome"] == "renewed"]
    late = (renewed["outcome_on"] - deadline(renewed)).dropna().clip(lower=pd.Timedelta(0))
    return late.quantile(0.95) if len(late) else pd.Timedelta(0)


def past(terms: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row a decision made by as-of, and one a contract for those made before it came into sight: contract_id,
    customer_id, product_id, term_months, discount_rate, monthly_amount, told (before, stayed, left), count (decisions
    behind the row), made (renewals made before it), due_on, notice_on (of one that left). `terms`: known at as-of,
    sorted by contract and term."""
    by_contract = terms.groupby("contract_id", sort=False)
    renewed = terms["outcome"] == "renewed"
    entry = by_contract["term_no"].transform("min") - 1
    made = entry + renewed.groupby(terms["contract_id"], sort=False).cumsum() - renewed
    due = deadline(terms)
    rows = terms.assign(
        told=np.select([renewed, terms["outcome"] == "churned"], ["stayed", "left"], ""),
        count=1,
        made=made,
        due_on=due,
        notice_on=terms["outcome_on"].where(terms["outcome"] == "churned"),
    )
    known = (rows["told"] != "") & (due + _known_late(terms) <= pd.Timestamp(as_of))
    first = rows[(entry > 0) & ~rows["contract_id"].duplicated()]
    first = first.assign(told="before", count=first["made"], due_on=first["starts_on"], made=first["made"] / 2)
    found = pd.concat([first, rows[known]]).sort_values(["contract_id", "term_no"], kind="stable", ignore_index=True)
    names = [c for c in COLUMNS if c not in ("lead", "seen_on")]
    return found[[*names, "due_on", "notice_on"]]


def coming(terms: pd.DataFrame, running: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row a running contract whose next decision is open: the columns of COLUMNS, told `next`, seen at as-of. Where
    a renewal is known, the decision is that of the term which it opens."""
    last = terms.drop_duplicates("contract_id", keep="last").set_index("contract_id")
    rows = running[running["decided"] != "churned"]
    term = last.loc[rows["contract_id"]].reset_index()
    today = pd.Timestamp(as_of)
    ahead = month_index(deadline(term)) - month_index(pd.Series([today])).iloc[0]
    later = np.where(rows["decided"] == "renewed", term["term_months"], 0)
    found = term.assign(
        told="next", count=1, made=rows["renewals_made"].to_numpy(), lead=(ahead + later).clip(lower=0.0), seen_on=today
    )
    return found[list(COLUMNS)]


def sightings(terms: pd.DataFrame, running: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Past decisions as seen at each of LEADS, and the coming ones as seen at as-of: COLUMNS, sorted by contract, lead
    and order of the decisions (`before` stands in every lead). A refusal is looked at from before its notice."""
    done = past(terms, as_of)
    contracts = done["contract_id"].drop_duplicates()
    if len(contracts) > MOST:
        done = done[done["contract_id"].isin(contracts.iloc[:: -(-len(contracts) // MOST)])]
    parts = []
    for lead in LEADS:
        seen = done["due_on"] - pd.DateOffset(months=lead)
        seen = pd.concat([seen, done["notice_on"] - pd.Timedelta(days=1)], axis=1).min(axis=1)
        parts.append(done.assign(lead=float(lead), seen_on=seen, order=np.arange(len(done))))
    done = pd.concat(parts, ignore_index=True).sort_values(["contract_id", "lead", "order"], ignore_index=True)
    ahead = coming(terms, running, as_of)
    return pd.concat([done[list(COLUMNS)], ahead], ignore_index=True) if len(ahead) else done[list(COLUMNS)]
