"""How the files of a new company could be read: the keys of each source, with a word wherever a person should look.

proposal = propose({"order_lines": [look(Path("orders.csv"))]})
proposal.sources[0].keys            # {"columns": {…}, "constants": {…}, "date_format": …}
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path

from ltvlab_utils.errors import Refused
from ltvlab_utils.params import Source, load_yaml
from ltvlab_utils.periods import DAYS_PER_YEAR
from ltvlab_utils.sources import files, ready
from ltvlab_utils.sources.guess import Guess, Pick, guess, plain
from ltvlab_utils.sources.look import Look
from ltvlab_utils.sources.traits import Trait
from ltvlab_utils.tables import CONTRACTS

STANDARD_TAX = 0.1  # the usual rate of consumption tax
REASONABLE_CODES = 30
CURRENCIES = {"¥": "JPY", "￥": "JPY", "円": "JPY", "€": "EUR", "£": "GBP", "$": "USD"}


@dataclass
class Proposed:
    """One source: keys of company.yaml without its path, and comments by key ("columns.net_amount", "constants", …).
    A comment that begins with ? marks a guess."""

    table: str
    looks: list[Look]
    keys: dict[str, object] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    mapping: str = ""
    name_column: str = ""

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
    sources += _named(sources)
    every = [one for group in looks.values() for one in group]
    japanese = any(_is_japanese(" ".join((*one.header, *(c for row in one.rows[:50] for c in row)))) for one in every)
    implied = {k: v for s in sources if s.mapping for k, v in ready.read(s.mapping).settings.items()}
    currencies = _currencies(every)
    return Proposal(
        sources,
        japanese,
        implied.get("currency") or (currencies[0] if currencies else "JPY" if japanese else "USD"),
        (implied["currency"],) if "currency" in implied and not currencies else currencies,
        implied.get("time_zone") or _time_zone(every) or ("Asia/Tokyo" if japanese else "UTC"),
    )


def _named(sources: list[Proposed]) -> list[Proposed]:
    """Names of customers from the one file of orders or contracts that tells them beside their codes, where no list of
    customers is given."""
    told = [s for s in sources if s.tells_names() and s.table in ("order_lines", "contract_terms")]
    if not told or any(s.table == "customers" for s in sources):
        return []
    first = told[0]
    if sum(s.table == first.table for s in told) > 1:
        return []
    made = Proposed("customers", first.looks, mapping=first.mapping)
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
    _dates(made, found)
    _codes(made, found)
    {"order_lines": _orders, "contract_terms": _contracts}.get(table, _others)(made, found)
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


# --- what every table has ---------------------------------------------------------------------------------------------


def _dates(made: Proposed, found: Guess) -> None:
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


def _codes(made: Proposed, found: Guess) -> None:
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


# --- orders -----------------------------------------------------------------------------------------------------------


def _orders(made: Proposed, found: Guess) -> None:
    columns, name = made.keys["columns"], made.looks[0].path.name
    if "net_amount" not in columns and not {"quantity", "unit_price"} <= set(columns):
        if gross := found.columns.get("_gross_amount"):
            columns["net_amount"] = gross.name
            _with_tax(made, found)
        else:
            raise Refused(
                f"{name}: no column can be the amount of an order, nor a quantity and a unit price. Its columns are "
                f"{', '.join(list(found.traits)[:8])}. Is it the right file?"
            )
    elif any(word in made.columns.get(c, "") for c in ("net_amount", "unit_price") for word in ("税込", "incl")):
        _with_tax(made, found)
    elif "net_amount" not in columns:
        made.comments["columns.unit_price"] = "the amount of a line is quantity x this"
    elif not made.keys.get("amounts_include_tax"):
        _tax_of(made, found)
    _tax_rate(made, found)
    _discount(made, found)
    constants: dict[str, object] = {}
    if "quantity" not in columns:
        constants["quantity"] = 1
    if "status" not in columns:
        constants["status"] = "confirmed"
    if "kind" not in columns:
        constants["kind"] = "sale"
        _returns(made, found)
    elif "return" in made.keys.get("values", {}).get("kind", {}).values() and not _is_signed(found):
        made.keys["returns"] = {"positive": "negated"}
        made.ask("returns", "returns stand without a minus")
    if constants:
        made.keys["constants"] = {**made.keys.get("constants", {}), **constants}
        told = {"quantity": "no quantity is told", "status": "every row is a confirmed order"}
        notes = [text for key, text in told.items() if key in constants]
        if notes:
            made.comments["constants"] = "; ".join(notes)
    _about_rows(made, found)


def _tax_of(made: Proposed, found: Guess) -> None:
    """Whether amounts include tax, by the tax that stands beside them; asked where nothing says it."""
    amounts, taxes = found.of("net_amount"), found.of("_tax_amount")
    if amounts and taxes:
        pairs = [(a, t) for a, t in zip(amounts.numbers, taxes.numbers, strict=True) if a and t]
        for included in (False, True):
            rates = [t / (a - t * included) for a, t in pairs if a != t]
            if rates and sum(0.05 < r < 0.25 and _is_rate(a - t * included, t) for r, (a, t) in
                             zip(rates, pairs, strict=False)) >= 0.9 * len(rates):  # fmt: skip
                if included:
                    _with_tax(made, found)
                return
    name = made.columns["net_amount"]
    if _is_japanese(name) and "税抜" not in name and "本体" not in name:
        made.ask("columns.net_amount", "taken as without tax (税抜)")


def _is_rate(net: float, tax: float) -> bool:
    """True where the tax is 8 or 10 percent of the amount, give or take what rounding does."""
    return any(abs(tax - net * rate) <= 1 for rate in (0.08, 0.1))


def _with_tax(made: Proposed, found: Guess) -> None:
    made.keys["amounts_include_tax"] = True
    if "tax_rate" not in made.columns:
        made.keys["constants"] = {"tax_rate": STANDARD_TAX}
        made.ask("amounts_include_tax", f"the header says so; every line is taken at {STANDARD_TAX:.0%}")


def _tax_rate(made: Proposed, found: Guess) -> None:
    """Rates written as 10 or 10% become fractions."""
    held = found.of("tax_rate") if "tax_rate" in made.columns else None
    if not held:
        return
    rates = {cell: _rate(cell) for cell in held.distinct[:REASONABLE_CODES]}
    if any(r is None for r in rates.values()) or len(held.distinct) > REASONABLE_CODES:
        del made.keys["columns"]["tax_rate"]
        return
    changed = {cell: f"{rate:g}" for cell, rate in rates.items() if cell != f"{rate:g}"}
    if any(float(new) != _plain_number(cell) for cell, new in changed.items()):
        made.keys["values"] = {**made.keys.get("values", {}), "tax_rate": changed}


def _discount(made: Proposed, found: Guess) -> None:
    """A share is no amount; with a unit price it, or the amount, still has to come off."""
    columns, held = made.keys["columns"], found.of("discount_amount")
    if not held:
        return
    is_share = all(n is None or 0 <= n <= 1 for n in held.numbers)
    if "unit_price" in columns:
        key = "line_discount_rate" if is_share else "line_discount"
        columns[key] = columns.pop("discount_amount")
        made.comments.pop("columns.discount_amount", None)
        made.ask(f"columns.{key}", "taken off quantity x unit price")
    elif is_share and any(held.numbers):
        del columns["discount_amount"]
        made.comments.pop("columns.discount_amount", None)


def _plain_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _rate(cell: str) -> float | None:
    text = unicodedata.normalize("NFKC", cell)
    value = _plain_number(text.removesuffix("%"))
    if value is None:
        return None
    return round(value / 100, 6) if text.endswith("%") or value > 1 else value


def _returns(made: Proposed, found: Guess) -> None:
    """How returns show where no column says so: by a negative quantity or amount, or by a number that starts with C."""
    quantity, orders = found.of("quantity"), found.of("order_id")
    negative = [t for t in (quantity, found.of("net_amount")) if t and t.has_negative]
    if not negative:
        return
    rule: dict[str, object] = {}
    if quantity and quantity.has_negative:
        rule["negative_quantity"] = True
    prefix = _prefix(orders, negative[0]) if orders else ""
    if prefix:
        rule["order_prefix"] = prefix
    if rule:
        made.keys["returns"] = rule


def _is_signed(found: Guess) -> bool:
    return any(t and t.has_negative for t in (found.of("quantity"), found.of("net_amount")))


def _prefix(orders: Trait, signed: Trait) -> str:
    """A letter that starts the numbers of negative rows and no other."""
    pairs = [(o[:1], n < 0) for o, n in zip(orders.cells, signed.numbers, strict=True) if o and n is not None]
    below = {letter for letter, minus in pairs if minus}
    above = {letter for letter, minus in pairs if not minus}
    return next(iter(below)) if len(below) == 1 and below.isdisjoint(above) and next(iter(below)).isalpha() else ""


def _about_rows(made: Proposed, found: Guess) -> None:
    orders, people = found.of("order_id"), found.of("customer_id")
    if orders is None:
        made.comments["columns"] = "no order number: every row counts as an order of its own"
    elif len(orders.distinct) == len(orders.filled) > 1:
        made.comments["columns.order_id"] = "one row an order"
    empty = sum(not c for c in people.cells) if people else 0
    if empty:
        note = f"{empty:,} of {len(people.cells):,} sampled rows have no customer: counted apart, with their amount"
        made.comments["columns.customer_id"] = "; ".join(
            filter(None, (made.comments.get("columns.customer_id", ""), note))
        )
    day = made.columns.get("ordered_at", "")
    if re.search(r"売上|計上|請求|納品|invoice|posting", day.lower()):
        made.comments.setdefault("columns.ordered_at", f"{day} stands for the day of the order")


# --- contracts and the rest -------------------------------------------------------------------------------------------


def _contracts(made: Proposed, found: Guess) -> None:
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
    if "term_months" not in columns and "interval" not in constants:
        months = _term_months(found)
        constants["term_months"] = months[0]
        told = f"every term of the sample has {months[0]} months" if len(months) == 1 else (
            f"terms have {', '.join(map(str, sorted(months)[:6]))} months: deliver a column of it"
        )  # fmt: skip
        made.ask("constants", told)
    if "outcome" in columns and "outcome_on" not in columns:
        columns["outcome_on"] = columns.get("ends_on", "")
        made.ask("columns.outcome_on", "the end of the term stands for the day it was decided")
    elif "outcome" in columns and "ends_on" in columns:
        columns["outcome_on"] = [columns["outcome_on"], columns["ends_on"]]
        made.comments["columns.outcome_on"] = "the end of the term where no day is told"
    if constants:
        made.keys["constants"] = constants


def _term_months(found: Guess) -> list[int]:
    """Lengths of the sampled terms in whole months, the most frequent first; 12 where none can be told."""
    starts, ends = found.of("starts_on"), found.of("ends_on")
    if not starts or not ends:
        return [12]
    pairs = zip(starts.days(), ends.days(), strict=True)
    lengths = Counter(round((b - a).days * 12 / DAYS_PER_YEAR) for a, b in pairs if a and b and b > a)
    return [months for months, _ in lengths.most_common() if months > 0] or [12]


def _others(made: Proposed, found: Guess) -> None:
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


# --- what the files say of the company --------------------------------------------------------------------------------


def _is_japanese(text: str) -> bool:
    return bool(re.search(r"[\u3040-\u30ff\u4e00-\u9fff\uff66-\uff9f]", text))


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
