"""Which column of a stranger's file is which column of a contract: by its name first, then by what it holds.

guess("order_lines", look).columns      # {"customer_id": Pick("得意先コード"), "ordered_at": Pick("売上日"), …}
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import pairwise

from ltvlab_utils.params import load_yaml
from ltvlab_utils.sources.look import Look
from ltvlab_utils.sources.traits import Trait, trait
from ltvlab_utils.tables import CONTRACTS, Column

# what staging counts or asks for beyond what stands in the file: never guessed from content
BY_CONTENT = {
    "order_lines": ("ordered_at", "customer_id", "net_amount"),
    "contract_terms": ("starts_on", "ends_on", "customer_id", "monthly_amount"),
}
ENOUGH_ROWS = 5


@dataclass(frozen=True)
class Pick:
    """A column of the file. `sure`: its name says so and nothing competes; `others`: columns that could be it too."""

    name: str
    sure: bool = True
    others: tuple[str, ...] = ()


@dataclass
class Guess:
    """`columns`: contract column: Pick; helpers (unit price, tax, currency) stand under their _name."""

    table: str
    look: Look
    traits: dict[str, Trait]
    columns: dict[str, Pick] = field(default_factory=dict)

    def of(self, column: str) -> Trait | None:
        """What the column of the file picked for a contract column holds."""
        pick = self.columns.get(column)
        return self.traits[pick.name] if pick else None

    def taken(self) -> set[str]:
        return {pick.name for pick in self.columns.values()}

    def free(self) -> list[str]:
        taken = self.taken()
        return [name for name in self.traits if name not in taken]


def guess(table: str, look: Look) -> Guess:
    """Every column that can be told. A column of the file serves once."""
    traits = {name: trait(look.column(name)) for name in dict.fromkeys(look.header) if name and _is_one(look, name)}
    made = Guess(table, look, traits)
    ranked: dict[str, list[tuple[float, str]]] = {}
    for column, options in _aliases(table).items():
        scores = [(_score(options, name) * _fit(table, column, traits[name]), name) for name in traits]
        ranked[column] = sorted((s for s in scores if s[0] > 0), key=lambda s: -s[0])
    # what a table needs comes first: an only date is the day of the order, whatever else it could be called
    needed = {c.name for c in CONTRACTS[table].columns if not c.optional}
    every = [(s + 0.1 * (c in needed), c, name) for c, scores in ranked.items() for s, name in scores]
    for score, column, name in sorted(every, key=lambda e: -e[0]):
        if column not in made.columns and name not in made.taken():
            # a column that is better known as something else competes no more
            near = tuple(
                n for s, n in ranked[column] if n != name and s > 0.9 and score > 0.9 and _best(ranked, n) <= s
            )
            made.columns[column] = Pick(name, score > 0.8, near)
    _customer(made)
    if len(look.rows) >= ENOUGH_ROWS:
        _by_content(made)
    _helpers(made)
    return made


def _is_one(look: Look, name: str) -> bool:
    """True unless the name stands twice in the header over different cells."""
    places = [i for i, other in enumerate(look.header) if other == name]
    return all(row[i] == row[places[0]] for row in look.rows for i in places[1:])


def _best(ranked: dict[str, list[tuple[float, str]]], name: str) -> float:
    return max(score for scores in ranked.values() for score, other in scores if other == name)


def _customer(made: Guess) -> None:
    """Where a file tells the customer by name alone, the name is the customer."""
    if "customer_id" not in made.columns and (name := made.columns.pop("_customer_name", None)):
        made.columns["customer_id"] = name


@cache
def _aliases(table: str) -> dict[str, tuple[str, ...]]:
    file = resources.files("ltvlab_utils.sources") / "aliases.yaml"
    known = load_yaml(file.read_text(encoding="utf-8"), file.name).get(table, {})
    own = {c.name: (c.name, *known.get(c.name, ())) for c in CONTRACTS[table].columns}
    return own | {k: tuple(v) for k, v in known.items() if k.startswith("_")}


def plain(name: str) -> str:
    """A column's name for comparison: half width, small, without blanks, brackets and marks."""
    return re.sub(r"[^\w]|_", "", unicodedata.normalize("NFKC", name)).lower()


@cache
def _plain_names(options: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(plain(o) for o in options))


def _score(options: tuple[str, ...], name: str) -> float:
    """1 for the most telling name, a little less for each later one, about half for a name inside a longer one."""
    mine, names = plain(name), _plain_names(options)
    if mine in names:
        return 1.0 - 0.002 * names.index(mine)
    inside = [o for o in names if len(o) >= (2 if re.search(r"[^\x00-\x7f]", o) else 4) and o in mine]
    if not inside:
        return 0.0
    best = max(inside, key=lambda o: (len(o), -names.index(o)))
    return 0.3 + 0.4 * len(best) / len(mine) - 0.001 * names.index(best)


def _fit(table: str, name: str, held: Trait) -> float:
    """1 where the cells can be what the contract column holds, 0 where they cannot; little where all are empty."""
    if not held.filled:
        return 0.0
    column = CONTRACTS[table].column.get(name)
    if name == "_customer_name":
        return float(not held.is_number and not held.is_date)
    if column is None:  # a helper
        return float(name == "_currency" or held.is_money or held.comma_decimal)
    if column.kind in ("date", "timestamp"):
        return float(held.is_date)
    if column.kind in ("money", "number", "integer", "share"):
        percent = column.kind == "share" and all(c.endswith(("%", "％")) for c in held.filled)
        return float(held.is_money or held.comma_decimal or percent)
    if column.kind == "flag":
        return float(len(held.distinct) <= 4)
    if column.values:
        return float(len(held.distinct) <= 30)
    if name == "customer_id":
        return float(not held.is_date and not _has_cents(held))
    return 0.0 if held.is_date else 1.0


def _has_cents(held: Trait) -> bool:
    return held.is_number and any(n is not None and n % 1 for n in held.numbers)


# --- by content -------------------------------------------------------------------------------------------------------


def _by_content(made: Guess) -> None:
    """What no name told: the first date, a code that repeats, the numbers with the largest sum."""
    priced = {"quantity", "_unit_price"} <= set(made.columns)
    for name in BY_CONTENT.get(made.table, ()):
        if name not in made.columns and not (priced and name == "net_amount"):
            options = list(_candidates(made, CONTRACTS[made.table].column[name]))
            if options:
                made.columns[name] = Pick(options[0], False, tuple(options[1:4]))


def _candidates(made: Guess, column: Column) -> Iterator[str]:
    free = [(name, made.traits[name]) for name in made.free()]
    if column.kind in ("date", "timestamp"):
        yield from (name for name, held in free if held.is_date and held.filled_share > 0.5)
    elif column.kind == "money":
        sums = [
            (sum(abs(n) for n in held.numbers if n is not None), name)
            for name, held in free
            if held.is_money and held.filled_share > 0.5 and len(held.distinct) > 1 and not _counts_rows(held)
        ]
        yield from (name for _, name in sorted(sums, reverse=True))
    else:
        codes = [
            (abs(held.distinct_share - 0.3), name)
            for name, held in free
            if not held.is_date
            and not _has_cents(held)
            and held.filled_share > 0.5
            and 1 < len(held.distinct) < 0.95 * len(held.filled)
            and not any(len(c) > 60 for c in held.distinct)
        ]
        yield from (name for _, name in sorted(codes))


def _counts_rows(held: Trait) -> bool:
    """1, 2, 3, …: a number of the row and no amount."""
    numbers = [n for n in held.numbers if n is not None]
    return len(numbers) > 2 and all(b - a == 1 for a, b in pairwise(numbers))


def _helpers(made: Guess) -> None:
    """A price that was taken for the amount of a line becomes the unit price it is; so does one that tells the amount
    of the whole order on each of its lines."""
    if made.table != "order_lines":
        return
    amount, price = made.columns.get("net_amount"), made.columns.get("_unit_price")
    prices = _plain_names(_aliases("order_lines")["_unit_price"])
    if amount and not price and "quantity" in made.columns and plain(amount.name) in prices:
        made.columns["_unit_price"] = made.columns.pop("net_amount")
    elif amount and price and "quantity" in made.columns and repeats_per_order(made):
        made.columns.pop("net_amount")
    if "_gross_amount" in made.columns and (pick := made.columns.get("net_amount")) and not pick.sure:
        made.columns.pop("net_amount")


def repeats_per_order(made: Guess) -> bool:
    """True where every order of several lines shows one amount on all of them, and not by chance."""
    orders, amounts, prices = made.of("order_id"), made.of("net_amount"), made.of("_unit_price")
    if not orders or not amounts:
        return False
    several = {o for o, n in Counter(orders.cells).items() if o and n > 1}
    shown: dict[str, set[tuple[str, str]]] = {}
    for order, amount, price in zip(orders.cells, amounts.cells, (prices or amounts).cells, strict=True):
        if order in several:
            shown.setdefault(order, set()).add((amount, price))
    one_amount = all(len({a for a, _ in pairs}) == 1 for pairs in shown.values())
    prices_differ = sum(len({p for _, p in pairs}) > 1 for pairs in shown.values())
    return one_amount and len(shown) >= 3 and (prices_differ >= 3 or prices is None)
