"""How the files of a new company could be read: the keys of each source, with a word wherever a person should look.

proposal = propose({"order_lines": [look(Path("orders.csv"))]})
proposal.sources[0].keys            # {"columns": {…}, "constants": {…}, "date_format": …}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ltvlab_utils.errors import Refused
from ltvlab_utils.params import Source
from ltvlab_utils.sources import files, ready
from ltvlab_utils.sources.guess import Guess, Pick, guess, plain
from ltvlab_utils.sources.look import Look
from ltvlab_utils.sources.proposed import Proposed, codes, contract_terms, dates, others
from ltvlab_utils.sources.proposed_orders import order_lines
from ltvlab_utils.sources.traits import is_japanese
from ltvlab_utils.tables import CONTRACTS

CURRENCIES = {"¥": "JPY", "￥": "JPY", "円": "JPY", "€": "EUR", "£": "GBP", "$": "USD"}


@dataclass
class Proposal:
    """Sources by table in the order of the contracts, and what the files say of the company."""

    sources: list[Proposed]
    japanese: bool
    currency: str
    currencies_seen: tuple[str, ...]
    time_zone: str

    def tables(self) -> list[str]:
        return list(dict.fromkeys(s.table for s in self.sources))

    def lacks_cost(self) -> bool:
        """True where a table of revenue names no cost."""
        costs = {"order_lines": ("cost_amount", "unit_cost"), "contract_terms": ("monthly_cost",)}
        return any(not set(costs[s.table]) & s.filled() for s in self.sources if s.table in costs)


def propose(looks: Mapping[str, Sequence[Look]], folders: Sequence[Path] = (), ready_ones: bool = True) -> Proposal:
    """The proposal for files by table: files of one folder that look alike are one source. Where `ready_ones`, a ready
    mapping is preferred to a guess. Raises Refused where a file can be no such table."""
    sources = []
    for table in (n for n in CONTRACTS if n in looks):
        for group in _groups(looks[table], folders):
            sources.append((_from_ready(table, group) if ready_ones else None) or proposed(table, group))
    sources += named(sources)
    every = [one for group in looks.values() for one in group]
    japanese = any(is_japanese(" ".join((*one.header, *(c for row in one.rows[:50] for c in row)))) for one in every)
    implied = {k: v for s in sources if s.mapping for k, v in ready.read(s.mapping).settings.items()}
    currencies = _currencies(every)
    return Proposal(
        sources,
        japanese,
        implied.get("currency") or (currencies[0] if currencies else "JPY" if japanese else "USD"),
        (implied["currency"],) if "currency" in implied and not currencies else currencies,
        implied.get("time_zone") or _time_zone(every) or ("Asia/Tokyo" if japanese else "UTC"),
    )


def named(sources: list[Proposed]) -> list[Proposed]:
    """Names of customers from the one file of orders or contracts that tells them beside their codes, where no list of
    customers is given."""
    told = [s for s in sources if s.tells_names() and s.table in ("order_lines", "contract_terms")]
    if not told or any(s.table == "customers" for s in sources):
        return []
    first = told[0]
    if sum(s.table == first.table for s in told) > 1:
        return []
    made = Proposed("customers", first.looks, mapping=first.mapping, derived=True)
    _file_keys(made, first.looks[0])
    if first.mapping:
        made.keys = {k: v for k, v in first.keys.items() if k in made.keys}
    else:
        made.keys |= {"repeats": True, "columns": {"customer_id": first.columns["customer_id"]}}
        made.keys["columns"]["customer_name"] = first.name_column
        made.comments["repeats"] = f"names come from the file of {first.table}"
    return [made]


def _groups(looks: Sequence[Look], folders: Sequence[Path]) -> list[list[Look]]:
    """Looks of a folder together where all files in it are alike, every other look alone."""
    made: list[list[Look]] = []
    for folder in dict.fromkeys(one.path.parent for one in looks):
        own = [one for one in looks if one.path.parent == folder]
        kinds = {(one.header, one.format, one.encoding, one.delimiter, one.header_row, one.sheet) for one in own}
        made += [own] if folder in folders and len(kinds) == 1 else [[one] for one in own]
    return made


def _from_ready(table: str, looks: list[Look]) -> Proposed | None:
    """The source by a ready mapping that fits the header; None where none feeds this table. Raises Refused where the
    file is the export of a product that holds another table."""
    fits = ready.recognise(looks[0].header)
    name = next((n for n in fits if table in ready.read(n).sources), "")
    if not name:
        return None
    made, base = Proposed(table, looks, mapping=name), ready.read(name).sources[table]
    _file_keys(made, looks[0])
    said = {"encoding": "utf-8", "delimiter": ",", "skip": 0}
    for key, usual in said.items():
        mine = made.keys.get(key, usual)
        if mine == base.get(key, usual):
            made.keys.pop(key, None)
        else:
            made.keys[key] = mine
    made.comments["mapping"] = ready.read(name).title.en
    return made


def proposed(table: str, looks: list[Look]) -> Proposed:
    """A source from what its columns are called and hold; no ready mapping is asked. Raises Refused."""
    made, found = Proposed(table, looks), guess(table, looks[0])
    _refuse_strangers(found)
    _file_keys(made, looks[0])
    made.name_column = found.columns["_customer_name"].name if "_customer_name" in found.columns else ""
    columns: dict[str, str] = {}
    for name in (*CONTRACTS[table].names, *HELPER_KEYS):
        key = HELPER_KEYS.get(name, name)
        if (pick := found.columns.get(name)) and (name != "_unit_price" or "net_amount" not in found.columns):
            if name == "_unit_cost" and "cost_amount" in found.columns:
                continue
            columns[key] = pick.name
            _comment(made, key, pick)
    made.keys["columns"] = columns
    dates(made, found)
    codes(made, found)
    {"order_lines": order_lines, "contract_terms": contract_terms}.get(table, others)(made, found)
    made.keys = {k: v for k, v in made.keys.items() if v not in ({}, "", None)}
    return made


HELPER_KEYS = {"_unit_price": "unit_price", "_unit_cost": "unit_cost"}


def _comment(made: Proposed, key: str, pick: Pick) -> None:
    if pick.others:
        made.ask(f"columns.{key}", "or " + ", ".join(pick.others[:3]))
    elif not pick.sure:
        column = CONTRACTS[made.table].column.get(key)
        made.ask(f"columns.{key}", column.meaning if column else key.replace("_", " "))


def _refuse_strangers(found: Guess) -> None:
    """Refused for a file in which nothing can be a date or a customer, where the table needs both."""
    name, contract = found.look.path.name, CONTRACTS[found.table]
    seen = ", ".join(list(found.traits)[:6])
    for column in ("ordered_at", "starts_on", "occurred_on", "customer_id"):
        if column in contract.column and not contract.column[column].optional and column not in found.columns:
            what = "a customer" if column == "customer_id" else "a date"
            raise Refused(
                f"{name}: no column can be {what} ({contract.column[column].meaning}), which {found.table} needs. Its "
                f"columns are {seen}{', …' if len(found.traits) > 6 else ''}. Is it the right file?"
            )


def _file_keys(made: Proposed, seen: Look) -> None:
    keys = made.keys
    if seen.format != files.format_of(Source(path="any"), seen.path):
        keys["format"] = seen.format
    if seen.encoding != "utf-8" and seen.format in ("csv", "text"):
        keys["encoding"] = seen.encoding
    usual = "\t" if seen.path.name.lower().endswith((".tsv", ".tsv.gz")) else ","
    if seen.format == "csv" and seen.delimiter != usual:
        keys["delimiter"] = seen.delimiter
    if len(seen.sheets) > 1:
        keys["sheet"] = seen.sheet
        made.ask("sheet", f"of {', '.join(seen.sheets[:6])}")
    if seen.header_row > 1:
        keys["skip"] = seen.header_row - 1
        made.comments["skip"] = f"the header stands in row {seen.header_row}"
    if not seen.header_row:
        keys["header"] = list(seen.header)
        made.ask("header", "the file has no header row; name its columns")


# --- what the files say of the company --------------------------------------------------------------------------------


def _currencies(looks: list[Look]) -> tuple[str, ...]:
    """Codes of a currency column, else signs of amounts, the most frequent first."""
    found: dict[str, int] = {}
    for one in looks:
        for name in (n for n in one.header if plain(n) in ("currency", "通貨", "通貨コード", "currencycode")):
            for cell in one.column(name):
                if re.fullmatch(r"[A-Za-z]{3}", cell):
                    found[cell.upper()] = found.get(cell.upper(), 0) + 1
    if not found:
        for cell in islice((c for one in looks for row in one.rows[:100] for c in row), 20_000):
            sign = re.fullmatch(r"[-▲]? ?([¥￥€£$])? ?[\d,.]+(円)?", cell.strip())
            if sign and (mark := sign[1] or sign[2]):
                found[CURRENCIES[mark]] = found.get(CURRENCIES[mark], 0) + 1
    return tuple(sorted(found, key=lambda code: -found[code]))


def _time_zone(looks: list[Look]) -> str:
    """Asia/Tokyo where times carry +09:00; nothing where they carry nothing or another offset."""
    cells = (c for one in looks for row in one.rows[:20] for c in row)
    return "Asia/Tokyo" if any(re.fullmatch(r"\d{4}-\d{2}-\d{2}[ T].*\+09:?00", c) for c in cells) else ""
