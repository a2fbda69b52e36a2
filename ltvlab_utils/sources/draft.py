"""A new company's company.yaml from its files, tried on their first rows before anybody sees it (floor 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.params import Params, resolve
from ltvlab_utils.sources import ready
from ltvlab_utils.sources.look import Look
from ltvlab_utils.sources.propose import Proposal, propose, proposed
from ltvlab_utils.sources.proposal_text import questions, text_of
from ltvlab_utils.sources.trial import FAR, last_full_month, overview, trial

MAY_REFUSE = 0.05  # the default of limits.rejected_share
SHOWN_ROWS = 3
GUEST = "missing_customer"


@dataclass(frozen=True)
class Draft:
    """`text`: company.yaml; `first`: the first rows of each table of revenue as staging understood them; `tried` and
    `refused`: sampled rows by table, and those refused but for guests; `problem`: why staging refused the sample."""

    text: str
    params: Params
    questions: tuple[str, ...]
    first: dict[str, pd.DataFrame]
    tried: dict[str, int]
    refused: dict[str, int]
    guests: int
    month: str
    problem: str = ""


def draft(
    company: str,
    looks: Mapping[str, Sequence[Look]],
    folders: Sequence[Path],
    placed: Mapping[Path, str],
    today: date,
    ask_margin,
) -> Draft:
    """The proposal in words, tried. `ask_margin(proposal)`: the margin to assume, None for none. Raises Refused where
    a file can be no such table."""
    proposal = propose(looks, folders)
    made = _tried(company, proposal, placed, today, None)
    for number, source in enumerate(proposal.sources):
        if source.mapping and (made.problem or _too_many(made, source.table)):
            proposal.sources[number] = proposed(source.table, source.looks)
            made = _tried(company, proposal, placed, today, None)
    margin = ask_margin(proposal)
    guests = made.guests / max(made.tried.get("order_lines", 0), 1)
    allowed = min(1.0, math.ceil(guests * 1.5 * 20) / 20) if guests > 0.8 * MAY_REFUSE else 0.0
    return _tried(company, proposal, placed, today, margin, allowed)


def _too_many(made: Draft, table: str) -> bool:
    return made.refused.get(table, 0) > MAY_REFUSE * made.tried.get(table, 0)


def _tried(
    company: str, proposal: Proposal, placed: Mapping[Path, str], today: date, margin: float | None, allowed: float = 0
) -> Draft:
    text = text_of(company, proposal, placed, margin, allowed)
    params = resolve(company, FAR, text, ready=ready.keys_of)
    samples = {table: [s.looks[0] for s in proposal.sources if s.table == table] for table in proposal.tables()}
    asked = tuple(questions(proposal))
    try:
        with trial(params, samples) as staged:
            report, rejected = staged.report, staged.rejected
            covered = overview(staged, today)
            first = {t: _rows(t, staged.tables[t]) for t in ("order_lines", "contract_terms") if t in staged.tables}
    except Refused as error:
        return Draft(text, params, asked, {}, {}, {}, 0, "", str(error))
    refused = rejected[rejected["reason"] != GUEST].groupby("table_name").size().to_dict()
    try:
        with trial(params, samples, SHOWN_ROWS) as staged:
            first |= {t: _rows(t, staged.tables[t]) for t in first}
    except Refused:
        pass  # the first rows are guests: the first that are accepted are shown
    return Draft(
        text, params, (*asked, *_why_refused(rejected)), first, report.groupby("table_name")["rows_read"].sum().to_dict(),
        refused, int((rejected["reason"] == GUEST).sum()), last_full_month(covered, today),
    )  # fmt: skip


def _why_refused(rejected: pd.DataFrame) -> list[str]:
    """The most frequent reason of each table, with an example."""
    told = []
    for (table, column, reason), rows in rejected[rejected["reason"] != GUEST].groupby(
        ["table_name", "column", "reason"], sort=False
    ):
        example = rows["value"].dropna()
        shown = f', such as "{str(example.iloc[0])[:40]}"' if len(example) else ""
        told.append((len(rows), f"{table}: in {len(rows):,} sampled rows {column} is {reason}{shown}"))
    return [text for _, text in sorted(told, reverse=True)[:5]]


FIRST = {
    "order_lines": ("customer_id", "ordered_at", "net_amount", "quantity", "cost_amount", "kind", "status"),
    "contract_terms": ("customer_id", "starts_on", "ends_on", "monthly_amount", "monthly_cost", "outcome"),
}


def _rows(name: str, table) -> pd.DataFrame:
    order = ["ordered_at", "order_id", "line_no"] if name == "order_lines" else ["starts_on", "contract_id"]
    return table.order_by(order).limit(SHOWN_ROWS).select(*FIRST[name]).to_pandas()
