"""How order lines are read by what the columns of a stranger's file hold: amounts, tax, discounts, returns."""

from __future__ import annotations

import re
import unicodedata

from ltvlab_utils.errors import Refused
from ltvlab_utils.sources.guess import Guess
from ltvlab_utils.sources.proposed import REASONABLE_CODES, Proposed
from ltvlab_utils.sources.traits import Trait, is_japanese

STANDARD_TAX = 0.1  # the usual rate of consumption tax


def order_lines(made: Proposed, found: Guess) -> None:
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
    if is_japanese(name) and "税抜" not in name and "本体" not in name:
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
