"""A new company's company.yaml from its files, tried on their first rows before anybody sees it (floor 3)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pandas as pd

from ltvlab_utils.errors import Refused
from ltvlab_utils.params import Params, Source, resolve
from ltvlab_utils.sources import ready
from ltvlab_utils.sources.look import Look
from ltvlab_utils.sources.proposal_text import questions, text_of
from ltvlab_utils.sources.propose import Proposal, named, propose, proposed
from ltvlab_utils.sources.trial import FAR, last_full_month, overview, trial
from ltvlab_utils.tables import CONTRACTS

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
    made = _tried(company, proposal, placed, today)
    again = [s for s in proposal.sources if s.mapping and (made.problem or _too_many(made, s.table))]
    if again:  # the export differs from what the ready mapping knows
        given = [s for s in proposal.sources if not s.derived]
        proposal.sources = [proposed(s.table, s.looks) if s in again else s for s in given]
        proposal.sources += named(proposal.sources)
        made = _tried(company, proposal, placed, today)
    guests = made.guests / max(made.tried.get("order_lines", 0), 1)
    allowed = min(1.0, math.ceil(guests * 1.5 * 20) / 20) if guests > 0.8 * MAY_REFUSE else 0.0
    text = text_of(company, proposal, placed, ask_margin(proposal), allowed)
    return replace(made, text=text, params=_resolved(company, text))


def _resolved(company: str, text: str) -> Params:
    return resolve(company, FAR, text, ready=ready.keys_of)


def _too_many(made: Draft, table: str) -> bool:
    return made.refused.get(table, 0) > MAY_REFUSE * made.tried.get(table, 0)


def _tried(company: str, proposal: Proposal, placed: Mapping[Path, str], today: date) -> Draft:
    text = text_of(company, proposal, placed)
    params = _resolved(company, text)
    samples = {table: [s.looks[0] for s in proposal.sources if s.table == table] for table in proposal.tables()}
    asked = tuple(questions(proposal))
    try:
        with trial(params, samples) as staged:
            report, rejected = staged.report, staged.rejected
            covered = overview(staged, today)
            first = {
                name: _first(name, staged.tables[name].to_pandas(), params.settings.sources[name][0], looks[0])
                for name, looks in samples.items()
                if name in FIRST
            }
    except Refused as error:
        told = re.sub(rf"data/{company}/[a-z_]+-\d+/", "", str(error))  # the folders of the trial
        return Draft(text, params, asked, {}, {}, {}, 0, "", told)
    read = report.groupby("table_name")["rows_read"].sum().to_dict()
    refused = rejected[rejected["reason"] != GUEST].groupby("table_name").size().to_dict()
    guests = int((rejected["reason"] == GUEST).sum())
    told = (*asked, *_why_refused(rejected))
    return Draft(text, params, told, first, read, refused, guests, last_full_month(covered, today))


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


KEYS = {"order_lines": "order_id", "contract_terms": "contract_id"}
FIRST = {
    "order_lines": ("customer_id", "ordered_at", "net_amount", "quantity", "cost_amount", "kind", "status"),
    "contract_terms": ("customer_id", "starts_on", "ends_on", "monthly_amount", "monthly_cost", "outcome"),
}


def _first(name: str, staged: pd.DataFrame, source: Source, look: Look) -> pd.DataFrame:
    """The first rows of the file that were accepted, as staged."""
    key = KEYS[name]
    asked = source.columns.get(key, key)
    column = next((n for n in ([asked] if isinstance(asked, str) else asked) if n in look.header), None)
    place = {cell: i for i, cell in reversed(list(enumerate(look.column(column))))} if column else {}
    made = staged[key].str.extract(r":(\d+)$")[0].astype("float64")  # a key made of the file and the row
    order = staged[key].map(place).astype("float64").fillna(made)
    number = staged["line_no" if name == "order_lines" else "term_no"]
    rows = staged.assign(order_=order, number_=number).sort_values(["order_", "number_"], kind="stable")
    money = [c for c in FIRST[name] if CONTRACTS[name].column[c].kind == "money"]
    return rows[list(FIRST[name])].head(SHOWN_ROWS).astype(dict.fromkeys(money, "float64")).reset_index(drop=True)
