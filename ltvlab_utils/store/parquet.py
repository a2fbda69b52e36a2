"""Tables on disk: a folder of Parquet parts, sorted by key, the contract's version in each file, equal bytes for equal
content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ltvlab_utils.errors import ContractError
from ltvlab_utils.tables import Contract, check_frame, check_schema
from ltvlab_utils.tables.contract import KINDS

TAG = "ltvlab_contract"
PART = "part-0.parquet"


def _arrow_schema(contract: Contract) -> pa.Schema:
    types = ibis.schema({c.name: KINDS[c.kind][1] for c in contract.columns}).to_pyarrow()
    return types.with_metadata({TAG: contract.tag})


def write_frame(contract: Contract, frame: pd.DataFrame, folder: Path) -> None:
    """Checks the frame against its contract and writes it into `folder` (which exists and is empty)."""
    checked = check_frame(contract, frame)
    arrays = []
    for field in (schema := _arrow_schema(contract)):
        values = checked[field.name]
        if pa.types.is_decimal(field.type):
            arrays.append(pa.array(values.round(4), from_pandas=True).cast(field.type, safe=False))
        else:
            arrays.append(pa.array(values, type=field.type, from_pandas=True))
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / PART)


def write_expression(contract: Contract, table: ir.Table, folder: Path) -> None:
    """Writes an Ibis table in contract order, sorted by key, without passing through Python. Values are checked on
    the written file, so that the expression runs once."""
    check_schema(contract, table)
    ordered = table.select(contract.names).order_by(list(contract.keys))
    ordered.to_parquet(folder / PART, kv_metadata={TAG: contract.tag})


def read_table(connection: ibis.BaseBackend, contract: Contract, folder: Path) -> ir.Table:
    """The table as an Ibis table; its version, columns and types are checked, no row is read."""
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        raise ContractError(f'Table "{contract.name}" has no part in {folder.name}/: run the notebook that writes it.')
    for part in parts:
        try:
            tag = (pq.read_schema(part).metadata or {}).get(TAG.encode(), b"").decode()
        except pa.ArrowInvalid:
            raise ContractError(
                f'Table "{contract.name}" is damaged ({folder.parent.parent.name}/tables/{contract.name}/{part.name}): '
                "run the period again, it will be made anew."
            ) from None
        if tag != contract.tag:
            raise ContractError(
                f'Table "{contract.name}" was written under contract "{tag or "none"}", this version reads '
                f'"{contract.tag}": run the period again.'
            )
    table = connection.read_parquet([str(p) for p in parts])
    check_schema(contract, table)
    return table


def content_hash(folder: Path) -> str:
    """SHA-256 over the parts of a table, in order."""
    digest = hashlib.sha256()
    for part in sorted(folder.glob("*.parquet")):
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def row_count(folder: Path) -> int:
    return sum(pq.read_metadata(part).num_rows for part in folder.glob("*.parquet"))


def values_where(folder: Path, column: str, key: str, equals: str) -> list[str]:
    """Values of a column in the rows of a written table whose `key` equals a text, in order of the file; [] where it is
    damaged or not there."""
    try:
        rows = pq.read_table(folder, columns=[column], filters=[(key, "=", equals)])
    except (OSError, pa.ArrowException):
        return []
    return rows[column].to_pylist()
