"""params/<company>/links.csv: proposals put beside the decisions that are there; no decision is ever lost."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd

from ltvlab_utils import links
from ltvlab_utils.store import layout

MOST = 1000  # proposals that are written; nobody looks through more at once


def merged(text: str, file: str, proposals: pd.DataFrame, today: date, most: int = MOST) -> tuple[str, dict[str, int]]:
    """The new text of links.csv, and counts: decided (rows that a person decided), waiting (proposals written), more
    (proposals left out).

    Decided rows stay as they are, a day is put to those that have none; rows that nobody decided make way for
    `proposals` (link_proposals), those with the largest amount at stake first. Raises Refused for an unreadable file.
    """
    links.decisions(text, file)
    kept = [row for row in links.read(text, file) if row["decision"]]
    for row in kept:
        row["decided_on"] = row["decided_on"] or today.isoformat()
    taken = {_pair(row) for row in kept}
    ordered = proposals.sort_values(
        ["amount_at_stake", "amount_of_both", "confidence", *links.KEYS],
        ascending=[False, False, False, True, True, True, True],
    )
    free = [row for row in ordered.to_dict("records") if _pair(row) not in taken]
    for row in free[:most]:
        row["amount_at_stake"] = f"{row['amount_at_stake']:.0f}"
    counts = {"decided": len(kept), "waiting": min(len(free), most), "more": max(len(free) - most, 0)}
    return links.write([*free[:most], *kept]), counts


def _pair(row: dict) -> frozenset[tuple[str, str]]:
    return frozenset({(row["left_source"], row["left_key"]), (row["right_source"], row["right_key"])})


def update(company: str, proposals: pd.DataFrame, today: date, most: int = MOST) -> tuple[Path, dict[str, int]]:
    """Writes links.csv of a company anew, whole or not at all. Raises Refused for an unreadable file."""
    file = layout.params_dir(company) / links.FILE
    text, counts = merged(layout.links_text(company), f"params/{company}/{links.FILE}", proposals, today, most)
    temporary = file.with_name(f".{links.FILE}.tmp")
    temporary.write_bytes(b"\xef\xbb\xbf" + text.encode("utf-8"))  # the mark by which Excel knows UTF-8
    temporary.replace(file)
    return file, counts
