"""Where each column comes from: columns of the file, a constant, made by us, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.source_keys import HELPERS
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.tables import CONTRACTS

# required columns that are made from source, file and row (or from another column) where a file has none
MADE = {
    "customers": {"customer_name"},
    "contract_terms": {"term_months"},
    "order_lines": {"order_id", "line_no"},
    "support_costs": {"entry_id"},
    "activities": {"activity_id"},
    "milestones": {"milestone_id"},
    "surveys": {"survey_id"},
    "touches": {"touch_id"},
}
# columns that are worked out where the file has the helper and not the column itself
WORKED_OUT = {
    "unit_price": ("net_amount",),
    "unit_cost": ("cost_amount",),
    "line_discount": ("discount_amount",),
    "line_discount_rate": ("discount_amount",),
    "interval": ("term_no", "ends_on", "term_months", "billing", "monthly_amount", "outcome", "outcome_on"),
}
# what a helper cannot do without
NEEDS = {
    "line_discount": "unit_price", "line_discount_rate": "unit_price", "order_tax": "order_total",
    "order_total": "order_tax", "interval": "interval_amount", "interval_count": "interval",
    "interval_amount": "interval", "units": "interval", "ended_on": "interval",
}  # fmt: skip


def mapped(file: SourceFile, header: Sequence[str]) -> SourceFile:
    """The file with its header and origins: ("columns", (index, …)), ("constant", text), ("made", ""), ("absent", "").

    Origins hold the helper columns that the file has, too. Raises Refused for a missing column with the nearest name in
    the file.
    """
    contract, wanted = CONTRACTS[file.table], file.settings
    names = list(header)
    origin: dict[str, tuple[str, object]] = {}
    for helper in HELPERS.get(file.table, {}):
        asked = _options(wanted.columns.get(helper, []))
        if found := _found(asked, names):
            origin[helper] = ("columns", found)
        elif helper in wanted.constants:
            origin[helper] = ("constant", _text(wanted.constants[helper]))
        elif asked and helper not in wanted.may_lack:
            raise Refused(_not_there(file, helper, asked, names))
    _refuse_half(file, origin, names)
    worked_out = {c for helper, columns in WORKED_OUT.items() if helper in origin for c in columns}
    for column in contract.columns:
        asked = _options(wanted.columns.get(column.name, []))
        made = column.name in MADE.get(file.table, ()) or column.name in worked_out
        may_be_empty = column.optional or (column.nullable and column.name in wanted.may_lack)
        lenient = column.name in wanted.may_lack and may_be_empty
        if found := _found(asked or [column.name], names):
            origin[column.name] = ("columns", found)
        elif column.name in wanted.constants:
            origin[column.name] = ("constant", _text(wanted.constants[column.name]))
        elif made and (not asked or column.name in wanted.may_lack):
            origin[column.name] = ("made", "")
        elif (asked and not lenient) or not may_be_empty:
            raise Refused(_missing(file, column, asked or [column.name], names, bool(asked)))
        else:
            origin[column.name] = ("absent", "")
    further = [_further(file, line, names) for line in wanted.further_lines]
    only = tuple((_place(file, name, names), tuple(t.strip() for t in texts)) for name, texts in wanted.only.items())
    used = (
        {i for i, _ in only}
        | {i for kind, at in origin.values() if kind == "columns" for i in at}
        | {i for at in further for i in at}
    )
    doubled = {n: [i for i, other in enumerate(names) if other == n] for n in names}
    return replace(
        file,
        header=tuple(names),
        origin=origin,
        further=tuple(further),
        only=only,
        doubled=tuple((at[0], i) for n, at in doubled.items() if at[0] in used for i in at[1:]),
        columns_unknown=tuple(n for i, n in enumerate(names) if i not in used and doubled[n][0] not in used),
        columns_missing=tuple(c for c in contract.names if origin[c][0] == "absent"),
    )


def has(file: SourceFile, *names: str) -> bool:
    """Whether the file (or a constant) holds all of these columns."""
    return all(file.origin.get(name, ("absent", ""))[0] in ("columns", "constant") for name in names)


def _found(options: Sequence[str], names: list[str]) -> tuple[int, ...]:
    """Places of the options in the header, each once, in the order of the options."""
    return tuple(names.index(o) for o in dict.fromkeys(options) if o in names)


def _options(asked: str | list[str]) -> list[str]:
    """Names that a column may have in the file."""
    return [o.strip() for o in ([asked] if isinstance(asked, str) else asked)]


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refuse_half(file: SourceFile, origin: dict, names: list[str]) -> None:
    for helper in origin:
        if (needed := NEEDS.get(helper)) and needed not in origin:
            raise Refused(
                f"{file.where}: {helper} is mapped, but {needed} is not, without which it means nothing: map both at "
                f"the source {file.source}, or neither."
            )
    keyed = _found(_options(file.settings.columns.get("order_id", "order_id")), names)
    if file.table == "order_lines" and not keyed and (file.settings.fill_down or file.settings.further_lines):
        raise Refused(f"{file.where}: fill_down and further_lines need the order of a line: map order_id.")


def _further(file: SourceFile, line, names: list[str]) -> tuple[int, ...]:
    """Places of the columns of a further line: its amount, then its day. A ready mapping's may be absent."""
    options = _options(line.amount)
    amount, day = _found(options, names), _found(_options(line.on), names)
    if not amount or (line.on and not day):
        if file.settings.mapping:
            return ()
        raise Refused(_not_there(file, f"further_lines ({line.kind})", [line.on] if amount else options, names))
    return (amount[0], *day)


def _place(file: SourceFile, name: str, names: list[str]) -> int:
    if not (found := _found([name.strip()], names)):
        raise Refused(_not_there(file, "only", [name], names))
    return found[0]


def _not_there(file: SourceFile, what: str, options: list[str], names: list[str]) -> str:
    looked = " or ".join(f'"{o}"' for o in options)
    return (
        f"{file.where}: no column {looked} in the header, which the source {file.source} names for {what}."
        f"{nearest(options[0], [n for n in names if n])} Correct it in company.yaml."
    )


def _missing(file: SourceFile, column, options: list[str], names: list[str], asked: bool) -> str:
    if len(names) == 1 and (other := next((d for d in (";", "\t", "|") if d in names[0]), None)):
        shown = {"\t": "\\t"}.get(other, other)
        return (
            f'{file.where}: the header is one column, "{names[0][:60]}": set `delimiter: "{shown}"` of the source '
            f"{file.source}."
        )
    looked = " or ".join(f'"{o}"' for o in options)
    known = [n for n in names if n]
    remedy = f"map it in `columns` of the source {file.source}"
    example = column.values[0] if column.values else 1 if column.kind in ("integer", "number") else ""
    if not asked and example:
        remedy += f", or set it for all rows in `constants` (for example {column.name}: {example})"
    return (
        f"{file.where}: no column {looked} in the header, which the table {file.table} needs as {column.name} "
        f"({column.meaning}).{nearest(options[0], known)} Or {remedy}."
    )
