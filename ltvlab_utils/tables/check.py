"""Enforces contracts: frames by pandera, engine tables by Ibis expressions (nothing is read into Python).

Both give the same sentences: table, column, how many rows, an example, the remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from ltvlab_utils.errors import ContractError, nearest
from ltvlab_utils.tables.contract import KINDS, Column, Contract

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandera.pandas as pa


def _remedy(problem: str, column: Column) -> str:
    unit = f" [{column.unit}]" if column.unit else ""
    if problem == "empty":
        return f"Every row needs a value ({column.meaning}): fill it, or reject these rows with a reason."
    if problem == "values":
        return f"Allowed are: {', '.join(column.values)}."
    if problem == "range":
        return f"The contract allows {_bounds(column)}{unit} ({column.meaning})."
    return f"A finite number{unit} is needed ({column.meaning})."


def _bounds(column: Column) -> str:
    if column.minimum is not None and column.maximum is not None:
        return f"{column.minimum:g} to {column.maximum:g}"
    return f"at least {column.minimum:g}" if column.minimum is not None else f"at most {column.maximum:g}"


def _problem(contract: Contract, column: str, bad: int, rows: int, what: str, example: str, remedy: str) -> str:
    example = f", for example {example}" if example else ""
    return f'Table "{contract.name}", column "{column}": {bad:,} of {rows:,} rows {what}{example}. {remedy}'


def _sentence(contract: Contract, column: Column, problem: str, bad: int, rows: int, example: str) -> str:
    what = {
        "empty": "are empty",
        "values": "hold an unknown code",
        "range": "lie outside the range",
        "infinite": "are infinite",
    }[problem]
    return _problem(contract, column.name, bad, rows, what, example, _remedy(problem, column))


def _duplicates(contract: Contract, bad: int, rows: int, example: str) -> str:
    remedy = f"The grain is {contract.grain}: keep one row a key, or correct the key."
    return _problem(contract, ", ".join(contract.keys), bad, rows, "share a key with another row", example, remedy)


def check_columns(contract: Contract, found: list[str]) -> None:
    """Every column of the contract, no other. Raises ContractError."""
    missing = [c for c in contract.names if c not in found]
    unknown = [c for c in found if c not in contract.column]
    if missing:
        near = nearest(missing[0], unknown) if unknown else ""
        raise ContractError(
            f'Table "{contract.name}" lacks the column{"s" * (len(missing) > 1)} '
            f"{', '.join(missing)} ({contract.column[missing[0]].meaning}).{near} "
            f"`ltvlab show --contract {contract.name}` prints what the table holds."
        )
    if unknown:
        raise ContractError(
            f'Table "{contract.name}" has a column "{unknown[0]}" that its contract does not know.'
            f"{nearest(unknown[0], contract.names)}"
        )


# --- frames -----------------------------------------------------------------------------------------------------------


def _as_frame_type(contract: Contract, column: Column, values: pd.Series) -> pd.Series:
    """The column in the frame type of its kind; only changes that lose nothing."""
    try:
        if column.kind == "text":
            return values.astype("str").where(values.notna()).astype("str")
        if column.kind in ("number", "money"):
            return pd.to_numeric(values).astype("float64")
        if column.kind == "integer":
            whole = pd.to_numeric(values)
            if whole.isna().any():
                return whole.astype("float64")  # an empty one is reported as such
            if not np.array_equal(whole, np.floor(whole)):
                raise ValueError("not whole")
            return whole.astype("int64")
        if column.kind in ("date", "timestamp"):
            return pd.to_datetime(values).astype("datetime64[us]")
        flags = values.dropna()
        if not flags.isin([True, False]).all():
            raise ValueError("neither true nor false")
        return values.astype("bool") if not values.isna().any() else values.astype("object")
    except (ValueError, TypeError) as problem:
        example = values.dropna().iloc[0] if values.notna().any() else "nothing"
        raise ContractError(
            f'Table "{contract.name}", column "{column.name}" should hold {KINDS[column.kind][2]} ({column.meaning}), '
            f"but has values such as {example!r}: {str(problem)[:80]}."
        ) from None


def pandera_schema(contract: Contract) -> pa.DataFrameSchema:
    """The contract as a pandera schema for a frame in frame types."""
    import pandera.pandas as pa  # costs a second: only where a frame is checked

    columns = {}
    for c in contract.columns:
        checks = []
        if c.values:
            checks.append(pa.Check.isin(list(c.values), error="values"))
        if c.minimum is not None:
            checks.append(pa.Check.ge(c.minimum, error="range"))
        if c.maximum is not None:
            checks.append(pa.Check.le(c.maximum, error="range"))
        if c.kind in ("number", "money"):
            checks.append(pa.Check(lambda s: ~np.isinf(s), error="infinite"))
        columns[c.name] = pa.Column(None, checks=checks, nullable=c.nullable)
    return pa.DataFrameSchema(columns, unique=list(contract.keys), strict=True)


def check_frame(contract: Contract, frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of the frame in contract order and types, sorted by key, or a ContractError that names every fault."""
    from pandera.errors import SchemaErrors

    check_columns(contract, [str(c) for c in frame.columns])
    typed = pd.DataFrame(
        {c.name: _as_frame_type(contract, c, frame[c.name]) for c in contract.columns}, index=frame.index
    ).reset_index(drop=True)
    try:
        pandera_schema(contract).validate(typed, lazy=True)
    except SchemaErrors as errors:
        raise ContractError(" ".join(_frame_sentences(contract, typed, errors.failure_cases))) from None
    return typed.sort_values(list(contract.keys), kind="stable", ignore_index=True)


def _frame_sentences(contract: Contract, frame: pd.DataFrame, cases: pd.DataFrame) -> list[str]:
    def example(rows: pd.Index, column: str | None) -> str:
        row = frame.loc[rows[0]]
        shown = [f"{k}={row[k]}" for k in contract.keys]
        if column and column not in contract.keys:
            shown.append(f"{column}={row[column]}")
        return ", ".join(shown)

    found: list[str] = []
    if (cases["check"] == "multiple_fields_uniqueness").any() or frame.duplicated(list(contract.keys)).any():
        rows = frame.index[frame.duplicated(list(contract.keys), keep=False)]
        found.append(_duplicates(contract, len(rows), len(frame), example(rows, None)))
    problems = cases["check"].replace({"not_nullable": "empty"})
    wanted = cases[problems.isin(["empty", "values", "range", "infinite"])].assign(check=problems)
    for (name, problem), group in wanted.groupby(["column", "check"], sort=True):
        rows = pd.Index(group["index"].dropna().astype(int).unique())
        found.append(
            _sentence(contract, contract.column[name], problem, len(rows), len(frame), example(rows, str(name)))
        )
    return found or [f'Table "{contract.name}": {cases.iloc[0]["check"]}']


# --- engine tables ----------------------------------------------------------------------------------------------------


def check_schema(contract: Contract, table: ir.Table) -> None:
    """Columns and types of an engine table. Raises ContractError; reads no row."""
    check_columns(contract, list(table.columns))
    for c in contract.columns:
        wanted, found = ibis.dtype(KINDS[c.kind][1]), table.schema()[c.name]
        same = found.is_timestamp() if c.kind == "timestamp" else found.copy(nullable=True) == wanted
        if not same:
            raise ContractError(
                f'Table "{contract.name}", column "{c.name}" should hold {KINDS[c.kind][2]} ({c.meaning}), '
                f"but is stored as {found}."
            )


def _violations(column: Column, values: ir.Value) -> dict[str, ir.BooleanValue]:
    rules: dict[str, ir.BooleanValue] = {}
    if not column.nullable:
        rules["empty"] = values.isnull()
    if column.values:
        rules["values"] = values.notnull() & ~values.isin(list(column.values))
    outside = []
    if column.minimum is not None:
        outside.append(values < column.minimum)
    if column.maximum is not None:
        outside.append(values > column.maximum)
    if outside:
        rules["range"] = outside[0] if len(outside) == 1 else outside[0] | outside[1]
    if column.kind == "number":
        rules["infinite"] = values.isinf() | values.isnan()
    return rules


def check_table(contract: Contract, table: ir.Table) -> None:
    """Checks an Ibis table in its engine: one pass for the columns, one grouping for the key. Raises ContractError."""
    check_schema(contract, table)
    rules = {
        (c.name, problem): rule for c in contract.columns for problem, rule in _violations(c, table[c.name]).items()
    }
    # ifelse and not .sum() of booleans alone, so that null never hides a count
    counted = {f"{name}:{problem}": rule.ifelse(1, 0).sum() for (name, problem), rule in rules.items()}
    row = table.aggregate(rows=table.count(), **counted).to_pandas().iloc[0]
    rows, found = int(row["rows"]), []
    for (name, problem), rule in rules.items():
        bad = 0 if pd.isna(row[f"{name}:{problem}"]) else int(row[f"{name}:{problem}"])
        if bad:
            wanted = list(dict.fromkeys([*contract.keys, name]))
            example = table.filter(rule).select(wanted).order_by(wanted).limit(1).to_pandas().iloc[0]
            shown = ", ".join(f"{k}={example[k]}" for k in wanted)
            found.append(_sentence(contract, contract.column[name], problem, bad, rows, shown))
    twice = table.group_by(list(contract.keys)).aggregate(n_rows=lambda t: t.count()).filter(lambda t: t.n_rows > 1)
    bad = twice.n_rows.sum().to_pandas()
    if bad is not None and not pd.isna(bad) and bad:
        example = twice.order_by(list(contract.keys)).limit(1).to_pandas().iloc[0]
        shown = ", ".join(f"{k}={example[k]}" for k in contract.keys)
        found.insert(0, _duplicates(contract, int(bad), rows, shown))
    if found:
        raise ContractError(" ".join(found))


def describe(contract: Contract) -> list[dict[str, str]]:
    """The contract as documentation: one dict a column (column, kind, unit, null, meaning)."""
    rows = []
    for c in contract.columns:
        meaning = c.meaning + (f"; one of {', '.join(c.values)}" if c.values else "")
        null = "optional" if c.optional else "may be empty" if c.nullable else "always"
        rows.append(
            {
                "column": c.name + (" *" if c.name in contract.keys else ""),
                "kind": KINDS[c.kind][2],
                "unit": c.unit,
                "value": null,
                "meaning": meaning,
            }
        )
    return rows
