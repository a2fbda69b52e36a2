"""One source of a proposal, and how its orders, contracts or other rows are read by what the columns hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from ltvlab_utils.errors import Refused
from ltvlab_utils.params import load_yaml
from ltvlab_utils.sources import ready
from ltvlab_utils.sources.guess import Guess, plain
from ltvlab_utils.sources.look import Look
from ltvlab_utils.tables import CONTRACTS

REASONABLE_CODES = 30


@dataclass
class Proposed:
    """One source: keys of company.yaml without its path, and comments by key ("columns.net_amount", "constants", …).
    A comment that begins with ? marks a guess. `derived`: names of customers from a file given for something else."""

    table: str
    looks: list[Look]
    keys: dict[str, object] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    mapping: str = ""
    name_column: str = ""
    derived: bool = False

    @property
    def columns(self) -> dict[str, str]:
        return self.keys.get("columns", {})

    def filled(self) -> set[str]:
        """Contract columns that come from columns of the file, those of the ready mapping included."""
        base = ready.read(self.mapping).sources[self.table].get("columns", {}) if self.mapping else {}
        there = {c for c, names in base.items() if set(_listed(names)) & set(self.looks[0].header)}
        return there | set(self.columns)

    def tells_names(self) -> bool:
        """True where the file tells the names of its customers beside their codes."""
        return bool(self.name_column) or bool(self.mapping and "customers" in ready.read(self.mapping).sources)

    def ask(self, key: str, text: str) -> None:
        """Marks a key as a guess; a second word about it is added to the first."""
        before = self.comments.get(key, "").removeprefix("? ")
        self.comments[key] = "? " + "; ".join(part for part in (before, text) if part)


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


# --- what every table has ---------------------------------------------------------------------------------------------


def dates(made: Proposed, found: Guess) -> None:
    """date_format, where dates are not read without; asked where the cells do not decide."""
    contract = CONTRACTS[made.table]
    forms: dict[str, str] = {}
    for name in made.columns:
        column, held = contract.column.get(name), found.of(name)
        if column and held and column.kind in ("date", "timestamp"):
            if held.date_choices:
                example = held.filled[0][:25]
                made.ask("date_format", f"{example} is read as {held.date_choices[0]}; or {held.date_choices[1]}")
                forms[name] = held.date_choices[0]
            elif held.dates:
                forms[name] = held.dates
    needed = [f for f in dict.fromkeys(forms.values()) if f not in ("iso", "era")]
    if needed:
        made.keys["date_format"] = needed[0]
    if any(found.of(c) and found.of(c).comma_decimal for c in found.columns):
        raise Refused(
            f"{made.looks[0].path.name}: amounts are written with a decimal comma (12,50): export them with a decimal "
            "point (12.50)."
        )
    for name, form in forms.items():
        if form not in ("iso", "era") and form != needed[0]:
            made.ask(f"columns.{name}", f"its dates are {form}, but a source has one date_format")


def codes(made: Proposed, found: Guess) -> None:
    """`values` of every column of codes, from the words that it holds."""
    values: dict[str, dict[str, str]] = {}
    for name in list(made.columns):
        column, held = CONTRACTS[made.table].column.get(name), found.of(name)
        if column is None or held is None or not column.values:
            continue
        words = {cell: code_of(name, cell, column.values) for cell in held.distinct[:REASONABLE_CODES]}
        named = plain(made.columns[name]) == plain(name)  # read under its own name whether mapped or not
        if not any(words.values()) and not named:
            del made.keys["columns"][name]
            made.comments.pop(f"columns.{name}", None)
            continue
        usual = {"status": "confirmed", "kind": "sale", "outcome": "open"}.get(name, column.values[0])
        unknown = [cell for cell, code in words.items() if not code]
        changed = {cell: code or usual for cell, code in words.items() if code != cell.lower()}
        if changed:
            values[name] = changed
        if unknown:
            made.ask(f"values.{name}", f"taken for {usual}: {', '.join(unknown[:5])}")
    if values:
        made.keys["values"] = values


@cache
def _words() -> dict[str, list[list[str]]]:
    file = resources.files("ltvlab_utils.sources") / "words.yaml"
    return load_yaml(file.read_text(encoding="utf-8"), file.name)


def code_of(column: str, cell: str, codes: Sequence[str]) -> str:
    """The code that a cell's words stand for; empty where none is known."""
    text = unicodedata.normalize("NFKC", cell).lower()
    if text in codes:
        return text
    return next((code for pattern, code in _words().get(column, []) if re.search(pattern, text)), "")


# --- contracts and the rest -------------------------------------------------------------------------------------------


def contract_terms(made: Proposed, found: Guess) -> None:
    columns, constants = made.keys["columns"], {}
    if "monthly_amount" not in columns and (yearly := found.columns.get("_annual_amount")):
        columns["interval_amount"] = yearly.name
        constants["interval"] = "year"
    if "ends_on" not in columns and "interval" not in constants:
        raise Refused(f"{made.looks[0].path.name}: no column can be the end of a contract, which contract_terms needs.")
    if "contract_id" not in columns:
        raise Refused(
            f"{made.looks[0].path.name}: no column can be the number of a contract, which contract_terms needs: add "
            "one to the file."
        )
    for name, value, why in (
        ("term_no", 1, "one row a contract"),
        ("billing", "monthly", "billed by the month"),
        ("outcome", "open", "all run on"),
    ):
        if name not in columns:
            constants[name] = value
            made.ask("constants", why)
    if "outcome" in columns and "outcome_on" not in columns:
        columns["outcome_on"] = columns.get("ends_on", "")
        made.ask("columns.outcome_on", "the end of the term stands for the day it was decided")
    elif "outcome" in columns and "ends_on" in columns:
        columns["outcome_on"] = [columns["outcome_on"], columns["ends_on"]]
        made.comments["columns.outcome_on"] = "the end of the term where no day is told"
    if constants:
        made.keys["constants"] = constants


def others(made: Proposed, found: Guess) -> None:
    """Constants for required columns that only a person can tell; the first code or the table's own word."""
    constants = {}
    for column in CONTRACTS[made.table].columns:
        missing = column.name not in made.columns and not column.optional and not column.nullable
        if missing and column.name in ("kind", "role", "valid_from", "line", "owner"):
            usual = {"valid_from": "2000-01-01", "role": "sales", "line": "all", "owner": "unknown"}
            constants[column.name] = usual.get(column.name, "all")
            made.ask("constants", f"no column tells {column.name}")
    if constants:
        made.keys["constants"] = constants
