"""Settings of 名寄せ, and what persons decided about pairs: the text of links.csv in, typed decisions out (floor 1).

params/<company>/links.csv, one row a pair of records: decision (same, different, parent = the left is the parent of the
right; empty = not decided yet), decided_by, decided_on, valid_from, valid_to, left_source, left_key, left_name,
right_source, right_key, right_name, relation, evidence, confidence, amount_at_stake. A row that is deleted undoes its
link at the next run. Nothing here reads a file or a clock.
"""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from typing import Literal

from pydantic import Field

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.source_keys import Strict

FILE = "links.csv"
DECISIONS = ("same", "different", "parent")
KEYS = ("left_source", "left_key", "right_source", "right_key")
DATES = ("decided_on", "valid_from", "valid_to")
TEXTS = (
    "decision", "decided_by", "decided_on", "valid_from", "valid_to", "left_source", "left_key", "left_name",
    "right_source", "right_key", "right_name", "relation", "evidence",
)  # fmt: skip
COLUMNS = (*TEXTS, "confidence", "amount_at_stake")
# what people type for a decision
WORDS = {"同じ": "same", "同一": "same", "別": "different", "別会社": "different", "親": "parent", "親会社": "parent"}
MOST_BYTES = 64 << 20


class Identity(Strict):
    """Which records of several systems are one customer."""

    links: Literal["off", "decided", "auto"] = Field(
        "off",
        description="links between records that are made: none; what persons decided and customer_links delivers; "
        "certain ones by rule too | | 01",
    )
    parents: Literal["none", "file", "rule"] = Field(
        "file",
        description="parent companies: none; parent_id as delivered; groups by name and domain proposed too | | 01",
    )


class Decision(Strict):
    """A row of links.csv that a person decided."""

    row: int
    decision: Literal["same", "different", "parent"]
    decided_by: str = ""
    decided_on: date | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    left_source: str
    left_key: str
    right_source: str
    right_key: str

    def holds(self, day: date) -> bool:
        """Whether it is in force on a day; without dates it is in force on every day."""
        return (self.valid_from or day) <= day <= (self.valid_to or day)


def read(text: str, file: str) -> list[dict[str, str]]:
    """Every row of links.csv as text by column, `row` as a spreadsheet counts. Raises Refused in one sentence."""
    try:
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    except csv.Error as error:
        raise Refused(f"{file} is broken csv ({error}): save it as CSV again.") from None
    if not rows:
        return []
    header = [name.strip() for name in rows[0]]
    missing = [c for c in ("decision", *KEYS) if c not in header]
    if missing:
        raise Refused(f'{file}: no column "{missing[0]}" in the header.{nearest(missing[0], header)}')
    found = []
    for number, cells in enumerate(rows[1:], 2):
        if not any(c.strip() for c in cells):
            continue
        if len(cells) != len(header):
            raise Refused(f"{file}, row {number}: {len(cells)} columns, but the header has {len(header)}.")
        values = {name: _bare(cell.strip()) for name, cell in zip(header, cells, strict=True) if name in COLUMNS}
        found.append({**dict.fromkeys(COLUMNS, ""), **values, "row": str(number)})
    return found


def decisions(text: str, file: str) -> tuple[Decision, ...]:
    """The rows of links.csv that a person decided. Raises Refused for an unknown word, a bad date or a missing key."""
    return tuple(_decision(row, f"{file}, row {row['row']}") for row in read(text, file) if row["decision"])


def _decision(row: dict[str, str], where: str) -> Decision:
    word = row["decision"].casefold()
    word = WORDS.get(word, word)
    if word not in DECISIONS:
        raise Refused(f'{where}: decision is "{row["decision"][:40]}".{nearest(word, DECISIONS)}')
    if empty := next((c for c in KEYS if not row[c]), None):
        raise Refused(f"{where}: {empty} is empty: a decision needs the source and the key of both records.")
    if (row["left_source"], row["left_key"]) == (row["right_source"], row["right_key"]) and word != "same":
        raise Refused(f"{where}: {row['left_source']} {row['left_key']} stands on both sides: delete the row.")
    days = {c: _day(row[c], f"{where}: {c}") for c in DATES}
    keys = {c: row[c] for c in (*KEYS, "decided_by")}
    return Decision(row=int(row["row"]), decision=word, **days, **keys)


def _day(text: str, where: str) -> date | None:
    if not text:
        return None
    parts = re.fullmatch(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})", text)
    try:
        return date(*map(int, parts.groups())) if parts else date.fromisoformat(text)
    except ValueError:
        raise Refused(f'{where} is "{text[:40]}", which is no day such as 2025-06-30.') from None


def write(rows: list[dict[str, object]]) -> str:
    """Rows as the text of links.csv. No cell can act as a formula, and no key turns into a number or a date when a
    spreadsheet opens it: such cells begin with an apostrophe, which reading takes off."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_guarded(row.get(c), c) if c in TEXTS else _plain(row.get(c)) for c in COLUMNS])
    return out.getvalue()


def _plain(value: object) -> str:
    return "" if value is None or value != value else str(value)


def _guarded(value: object, column: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in _plain(value)).strip()
    looks_like_a_number = column.endswith("_key") and re.search(r"^[\d０-９(]", text)
    return f"'{text}" if looks_like_a_number or text.startswith(tuple("'=+-@＝＋－＠")) else text


def _bare(text: str) -> str:
    return text[1:] if text.startswith("'") else text
