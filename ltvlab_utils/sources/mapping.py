"""Where each contract column of a file comes from: a column of the file, a constant, made by us, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.tables import CONTRACTS

# required columns that are made from source, file and row (or from another column) where a file has none
MADE = {
    "customers": {"customer_name"},
    "order_lines": {"order_id", "line_no"},
    "support_costs": {"entry_id"},
    "activities": {"activity_id"},
    "milestones": {"milestone_id"},
    "surveys": {"survey_id"},
    "touches": {"touch_id"},
}


def mapped(file: SourceFile, header: Sequence[str]) -> SourceFile:
    """The file with its header and origins: ("column", index), ("constant", text), ("made", ""), ("absent", "").

    Raises Refused for a missing column with the nearest name in the file.
    """
    contract, wanted = CONTRACTS[file.table], file.settings
    names = list(header)
    asked_for = {o for c in contract.columns for o in _options(wanted.columns.get(c.name, []), c.name)}
    twice = [n for n in dict.fromkeys(names) if n in asked_for and names.count(n) > 1]
    if twice:
        raise Refused(f'{file.where}: the column "{twice[0]}" stands twice in the header; rename one of them.')
    origin: dict[str, tuple[str, object]] = {}
    for column in contract.columns:
        asked = wanted.columns.get(column.name, [])
        options = _options(asked, column.name)
        present = [o for o in options if o in names]
        made = column.name in MADE.get(file.table, ())
        if present:
            origin[column.name] = ("column", names.index(present[0]))
        elif column.name in wanted.constants:
            origin[column.name] = ("constant", _text(wanted.constants[column.name]))
        elif asked or not (column.optional or made):
            raise Refused(_missing(file, column, options, names, bool(asked)))
        else:
            origin[column.name] = ("made" if made else "absent", "")
    used = {at for kind, at in origin.values() if kind == "column"}
    return replace(
        file,
        header=tuple(names),
        origin=origin,
        columns_unknown=tuple(n for i, n in enumerate(names) if i not in used),
        columns_missing=tuple(n for n, (kind, _) in origin.items() if kind == "absent"),
    )


def _options(asked: str | list[str], name: str) -> list[str]:
    """Names that a column may have in the file."""
    return [o.strip() for o in ([asked] if isinstance(asked, str) else asked)] or [name]


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
