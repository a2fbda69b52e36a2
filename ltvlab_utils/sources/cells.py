"""Cells of a file by the contract or helper column that they feed: as they stand, as text, typed, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import ibis
import ibis.expr.types as ir
from babel.numbers import get_currency_precision

from ltvlab_utils.errors import Refused
from ltvlab_utils.source_keys import HELPERS
from ltvlab_utils.sources import parse, systems
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.mapping import has
from ltvlab_utils.tables import CONTRACTS, Column

# kinds of helper columns; money of a unit has six decimals, so that prices of a part of a cent stay exact
KIND = {
    "unit_price": "money", "unit_cost": "money", "line_discount": "money", "goods_amount": "money",
    "order_total": "money", "order_tax": "money", "interval_amount": "money", "line_discount_rate": "number",
    "ordered_time": "text", "cancelled_at": "timestamp", "interval": "text", "interval_count": "integer",
    "units": "number", "ended_on": "date",
}  # fmt: skip
WORDS = ("discount", "tax")  # kinds of order lines that files know beside those of the contract
TEXTS = ("quantity", "ordered_time", "interval_amount")  # texts that later steps read once more
FINE = ("unit_price", "unit_cost")
SHARES = ("line_discount_rate",)
POINT_ZERO = r"^\d+\.0$"
LOOKED_AT = 1000  # rows that say whether a whole column is worth looking at


def typed_rows(
    raw: ir.Table, file: SourceFile, zone: str, currency: str, made: Callable[[ir.Table], dict[str, ir.Value]]
) -> ir.Table:
    """The rows with, of each contract or helper column NAME that the file has: cell_NAME as it stands, NAME typed,
    fault_NAME, null where nothing is wrong, and of TEXTS text_NAME; the same of further_i (amount) and further_i_on
    (day) of each further line i. `made`: contract columns that the file has not, from these.

    Step by step, so that the engine works out each column once: see `staged_in_steps`.
    """
    columns, source = _columns(file), file.settings
    there = [name for name in columns if has(file, name)]
    further = {f"further_{i}": at for i, at in enumerate(file.further) if at}
    days = [f"{n}_on" for n, at in further.items() if len(at) > 1]
    moments = [n for n in (*there, *days) if n in days or columns[n].kind in ("date", "timestamp")]
    cells = {n: _cell(raw, file, n) for n in there}
    cells |= {n: raw[f"c{at[0]}"] for n, at in further.items()}
    cells |= {n: raw[f"c{further[n.removesuffix('_on')][1]}"] for n in days}
    texts = {n: _text(cell, file, n) for n, cell in cells.items()}
    kept = ["row_no", *(n for n in ("order_", "first_") if n in raw.columns)]
    rows = raw.select(
        *kept,
        **{f"cell_{n}": cell for n, cell in cells.items()},
        **{f"text_{n}": parse.western(text) if n in moments else text for n, text in texts.items()},
    )

    def money(name: str, taxed: bool) -> ir.Value:
        fine = name in FINE
        value = parse.number(rows[f"text_{name}"], parse.money_type(fine), taxed=taxed)
        if source.amount_unit == "minor":
            return (value / 10 ** get_currency_precision(currency)).cast(parse.money_type(fine))
        return value

    typed = {}
    for name in there:
        is_money = columns[name].kind == "money"
        typed[name] = (
            money(name, bool(source.amounts_include_tax))
            if is_money
            else parse.typed(columns[name], rows[f"text_{name}"], source.date_format, zone, source.time_zone)
        )
    for name in further:
        typed[name] = money(name, source.further_lines[int(name.rpartition("_")[2])].includes_tax)
    for name in days:
        typed[name] = parse.moment(rows[f"text_{name}"], source.date_format, zone, source.time_zone).date()
    typed = {name: systems.qualified(source.system, name, value) for name, value in typed.items()}
    rows = rows.mutate(**typed)
    faults = made(rows)
    for name in there:
        if (rule := parse.fault(columns[name], rows[f"text_{name}"], rows[name])) is not None:
            faults[f"fault_{name}"] = rule
    for name in (*further, *days):
        wrong = "not_a_date" if name.endswith("_on") else "not_a_number"
        bad = rows[f"text_{name}"].notnull() & rows[name].isnull()
        faults[f"fault_{name}"] = ibis.ifelse(bad, wrong, ibis.null("string"))
    used = {f"text_{name}" for name in TEXTS}
    return rows.select(*(c for c in rows.columns if not c.startswith("text_") or c in used), **faults)


@contextmanager
def staged_in_steps() -> Iterator[None]:
    """While this holds, the steps of a table stay steps: Ibis would write each of them into the next, so that a column
    which is used ten times is worked out ten times, and again in the step after that."""
    before = ibis.options.sql.fuse_selects
    ibis.options.sql.fuse_selects = False
    try:
        yield
    finally:
        ibis.options.sql.fuse_selects = before


def _columns(file: SourceFile) -> dict[str, Column]:
    """Helper and contract columns of the file's table by name."""
    helpers = {
        name: Column(name, KIND[name], meaning, nullable=True, optional=True, **_rate(name))
        for name, meaning in HELPERS.get(file.table, {}).items()
    }
    contract = dict(CONTRACTS[file.table].column)
    if file.table == "order_lines":
        contract["kind"] = replace(contract["kind"], values=(*contract["kind"].values, *WORDS))
    return {**contract, **helpers}


def _cell(raw: ir.Table, file: SourceFile, name: str) -> ir.StringValue:
    """The cell as it stands; of several columns the first that holds something."""
    kind, at = file.origin[name]
    if kind == "constant":
        return ibis.literal(at, "string")
    cells = [raw[f"c{i}"] for i in at]
    return cells[0] if len(cells) == 1 else ibis.coalesce(*(parse.stripped(c) for c in cells))


def _text(cell: ir.StringValue, file: SourceFile, name: str) -> ir.StringValue:
    text = parse.stripped(cell)
    if known := file.settings.values.get(name):
        return ibis.cases(*((text == old.strip(), new) for old, new in known.items()), else_=text)
    return text


def _rate(name: str) -> dict:
    return {"unit": "fraction", "minimum": 0.0, "maximum": 1.0} if name in SHARES else {}


def meant(raw: ir.Table, file: SourceFile) -> ir.Table:
    """The rows that are meant for the file's table (`only`)."""
    for place, texts in file.only:
        text = parse.stripped(raw[f"c{place}"])
        raw = raw.filter((text.notnull() if "*" in texts else text.isin(texts)).fill_null(False))
    return raw


def prepared(raw: ir.Table, file: SourceFile, taxed: bool) -> ir.Table:
    """The rows with what stands on the first line of an order alone carried to its further lines, order_, their order,
    and first_, true on the first row of an order: where amounts of the order are lines of their own, or tax is taken
    off."""
    settings = file.settings
    if not (settings.fill_down or file.further or taxed or has(file, "goods_amount")):
        return raw
    # a row without an order is an order of its own
    order = ibis.literal("\0") + raw.row_no.cast("string")
    if places := _places(file, "order_id"):
        order = ibis.coalesce(*(parse.stripped(raw[f"c{i}"]) for i in places), order)
    rows = raw.mutate(order_=order)
    places = {i for name in settings.fill_down if has(file, name) for i in _places(file, name)}
    changes = {}
    for i in sorted(places):
        own = parse.stripped(rows[f"c{i}"])
        # nulls last, since the engine's FIRST_VALUE sees them
        order = [own.isnull(), rows.row_no]
        whole = ibis.window(group_by=rows.order_, order_by=order, preceding=None, following=None)
        changes[f"c{i}"] = ibis.coalesce(own, own.first(include_null=True).over(whole))
    first = ibis.row_number().over(group_by=rows.order_, order_by=rows.row_no) == 0
    return rows.mutate(**changes, first_=first)


def _places(file: SourceFile, name: str) -> tuple[int, ...]:
    kind, at = file.origin[name]
    return at if kind == "columns" else ()


def without_point_zero(raw: ir.Table, file: SourceFile) -> ir.Table:
    """The rows with ".0" taken off the keys of a column in which every key has it, as pandas writes whole numbers."""
    keys = sorted({i for name in file.origin if name.endswith("_id") for i in _places(file, name)})
    if not keys:
        return raw

    def all_so(rows: ir.Table) -> set[int]:
        seen = {f"k{i}": parse.stripped(rows[f"c{i}"]).re_search(POINT_ZERO).all() for i in keys}
        found = rows.aggregate(**seen).to_pandas().iloc[0]
        return {i for i in keys if found[f"k{i}"] is not None and bool(found[f"k{i}"] == True)}  # noqa: E712

    if not all_so(raw.limit(LOOKED_AT)):
        return raw
    return raw.mutate(**{f"c{i}": raw[f"c{i}"].re_replace(r"\.0(\s*)$", r"\1") for i in sorted(all_so(raw))})


def refuse_unequal(raw: ir.Table, file: SourceFile) -> None:
    """Raises Refused where a column stands twice in the header with different values."""
    for left, right in file.doubled:
        differs = ~raw[f"c{left}"].identical_to(raw[f"c{right}"])
        first = raw.filter(differs).order_by("row_no").limit(1).to_pandas()
        if len(first):
            row = first.iloc[0]
            raise Refused(
                f'{file.where}: the column "{file.header[left]}" stands twice in the header, and in row '
                f'{row["row_no"]} once as "{str(row[f"c{left}"])[:40]}" and once as "{str(row[f"c{right}"])[:40]}": '
                "rename one of them."
            )
