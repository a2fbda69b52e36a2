"""Database tables as sources: read in batches into a Parquet file, in an order that their rows alone decide.

The URL of a database stands in the environment variable LTVLAB_DATABASE_<NAME> and nowhere else: no parameter,
notebook, log or error holds it, nor what a driver says, since that may repeat host and user.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.source_paths import DATABASE
from ltvlab_utils.sources.scratch import scratch

BATCH = 50_000
MEMORY = "1GB"  # of the engine that sorts; what is more goes to disk
URL = "LTVLAB_DATABASE_"
# kinds that every database writes in its own way: read as text, exact
AS_TEXT = ("is_decimal", "is_uuid", "is_json", "is_array", "is_map", "is_struct", "is_binary", "is_interval")


def fetched(path: str, key: str) -> Path:
    """A Parquet file of the table at `database:NAME/TABLE`, sorted by all its columns, so that equal rows are equal
    files. Raises Refused for a database or table that is not there or cannot be read; `key` is where it was asked."""
    name, _, table = path.removeprefix(DATABASE).partition("/")
    variable = URL + name.upper()
    url = os.environ.get(variable, "")
    if not url:
        raise Refused(
            f"{key}: the database {name} is not known here: set the environment variable {variable} to its URL "
            "(postgres://…, sqlite:///…, duckdb:///…)."
        )
    raw, part = scratch("fetched.parquet"), scratch("rows.parquet")
    try:
        _write(_batches(url, table, path), raw)
        _sort(raw, part)
    except Refused as refusal:
        raise Refused(f"{key}: {refusal}") from None
    except Exception as error:  # its words may hold host, user or password
        raise Refused(
            f"{key}: {path} cannot be read ({type(error).__name__}): see that the database named by {variable} answers "
            "from this machine, that its driver is installed, and that its user may read the table."
        ) from None
    finally:
        raw.unlink(missing_ok=True)
    return part


def _batches(url: str, table: str, path: str) -> Iterator[pa.RecordBatch]:
    schema, _, name = table.rpartition(".")
    if url.startswith("sqlite:"):
        yield from _sqlite(url, schema or "main", name, path)
        return
    if url.startswith("duckdb:"):
        yield from _duckdb(url, schema or "main", name, path)
        return
    connection = ibis.connect(url)
    try:
        place = {"database": schema} if schema else {}
        known = connection.list_tables(**place)
        if name not in known:
            raise _no_table(path, known)
        reader = _plain(connection.table(name, **place)).to_pyarrow_batches(chunk_size=BATCH)
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)  # a table may have no row
        yield from reader
    finally:
        connection.disconnect()


def _duckdb(url: str, schema: str, name: str, path: str) -> Iterator[pa.RecordBatch]:
    """Read by DuckDB itself: Ibis 12 asks DuckDB 2 for batches by a name that it no longer has."""
    with duckdb.connect(unquote(url.removeprefix("duckdb://")), read_only=True) as engine:
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?"
        known = [r[0] for r in engine.execute(tables, [schema]).fetchall()]
        if name not in known:
            raise _no_table(path, known)
        reader = engine.sql(f"SELECT * FROM {_quoted(schema)}.{_quoted(name)}").to_arrow_reader(BATCH)
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)
        yield from reader


def _plain(table: ir.Table) -> ir.Table:
    """The table with every column in a kind that Parquet holds as it is."""
    odd = [n for n, t in table.schema().items() if any(getattr(t, kind)() for kind in AS_TEXT)]
    return table.mutate(**{n: table[n].cast("string") for n in odd}) if odd else table


def _sqlite(url: str, schema: str, name: str, path: str) -> Iterator[pa.RecordBatch]:
    """A column of SQLite may hold values of any kind, so all of them are read as the text that SQLite makes of them."""
    file = Path(unquote(urlsplit(url).path)[1:])
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        quoted = f"{_quoted(schema)}.sqlite_master"
        known = [r[0] for r in connection.execute(f"SELECT name FROM {quoted} WHERE type IN ('table', 'view')")]
        if name not in known:
            raise _no_table(path, known)
        columns = [r[1] for r in connection.execute(f"PRAGMA {_quoted(schema)}.table_info({_quoted(name)})")]
        cells = ", ".join(f"CAST({_quoted(c)} AS TEXT)" for c in columns)
        cursor = connection.execute(f"SELECT {cells} FROM {_quoted(schema)}.{_quoted(name)}")
        kind = pa.schema([(c, pa.string()) for c in columns])
        yield pa.RecordBatch.from_pylist([], schema=kind)
        while rows := cursor.fetchmany(BATCH):
            arrays = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=kind)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _no_table(path: str, known: list[str]) -> Refused:
    return Refused(f"{path} does not exist.{nearest(path.partition('/')[2].rpartition('.')[2], known)}")


def _write(batches: Iterator[pa.RecordBatch], part: Path) -> None:
    first = next(batches)
    with pq.ParquetWriter(part, first.schema) as out:
        out.write_batch(first)
        for batch in batches:
            out.write_batch(batch)


def _sort(raw: Path, part: Path) -> None:
    """Rows of a database come in any order: all columns decide theirs."""
    config = {"memory_limit": MEMORY, "temp_directory": str(scratch("spill"))}
    with duckdb.connect(config=config) as engine:
        source, target = (str(p).replace("'", "''") for p in (raw, part))
        engine.execute(f"COPY (SELECT * FROM read_parquet('{source}') ORDER BY ALL) TO '{target}' (FORMAT PARQUET)")


def fingerprint(part: Path) -> str:
    """SHA-256 of names and values of a fetched table, column by column in batches: of the rows, not of the file."""
    digest = hashlib.sha256()
    with pq.ParquetFile(part) as file:
        digest.update("\x1f".join(file.schema_arrow.names).encode())
        for batch in _even(file.iter_batches(batch_size=BATCH)):
            for column in batch.columns:
                text = column.combine_chunks().cast(pa.string()).cast(pa.large_string())
                lengths = text.is_null().to_numpy(zero_copy_only=False).astype(np.int8)
                ends = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
                digest.update(lengths.tobytes())
                digest.update((ends[1:] - ends[:-1]).tobytes())
                digest.update(memoryview(text.buffers()[2] or b"")[ends[0] : ends[-1]])
    return digest.hexdigest()


def _even(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of BATCH rows, whatever the row groups of the file: they depend on the version of the engine."""
    waiting, rows = [], 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= BATCH:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, BATCH)
            waiting, rows = table.slice(BATCH).to_batches(), rows - BATCH
    if rows:
        yield pa.Table.from_batches(waiting)
