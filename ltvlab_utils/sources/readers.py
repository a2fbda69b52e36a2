"""Files as they are: every cell as text, every row with the number that a spreadsheet shows (the header is row 1).

DuckDB reads plain UTF-8 csv itself, strictly, packed or not. Whatever else comes (other encodings, blank lines, rows
before the header, columns split by blanks), and whatever DuckDB refuses, goes through Python, whose sentence names the
file and the line. Memory is a batch of rows or, in a file without line ends, LONGEST characters.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from ltvlab_utils.errors import Refused
from ltvlab_utils.sources import workbooks
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.streams import is_packed, not_decoded, opened

BATCH = 50_000
LONGEST = 2_000_000  # characters of a row: as much as DuckDB takes
WIDEST = 16_384  # columns: as many as a spreadsheet has
BOM = "\ufeff"


def read_header(file: SourceFile) -> tuple[str, ...]:
    """Names of the columns without the blanks around them. Raises Refused."""
    given = file.settings.header
    if file.format == "parquet":
        return tuple(_parquet_schema(file).names)
    number, first = next(_rows(file), (1 + file.settings.skip, []))
    if len(first) > WIDEST:
        raise Refused(
            f"{file.where}, row {number}: {len(first):,} columns, more than the {WIDEST:,} of a spreadsheet: the line "
            "ends may be lost. Export it again."
        )
    if file.format == "workbook":  # it is as wide as its widest row, and no cell is written where nothing stands
        first = _without_tail(first)
        first += [""] * (len(given) - len(first))
    if given:
        if len(given) != len(first):
            raise Refused(
                f"{file.where}, line {number}: {len(first)} columns, but company.yaml names {len(given)} in `header` "
                f"({', '.join(given[:6])}). Correct the list."
            )
        return tuple(n.strip() for n in given)
    return tuple(n.strip() for n in first)


def load(connection: ibis.BaseBackend, file: SourceFile) -> ir.Table:
    """A temporary table of the engine: row_no and c0, c1, … as text, one column for each of the header."""
    name = ibis.util.gen_name("ltvlab_raw")
    if file.format == "parquet":
        _load_parquet(connection, file, name)
    elif file.format == "workbook":
        _load_workbook(connection, file, name)
    elif not (_is_plain(file) and _load_plain(connection, file, name)):
        with tempfile.TemporaryDirectory(prefix="ltvlab-") as folder:
            part = Path(folder) / "rows.parquet"
            _write_rows(file, part)
            _run(connection, f"CREATE TEMP TABLE {name} AS SELECT * FROM read_parquet({_file(part)})")
    return connection.table(name)


def _rows(file: SourceFile) -> Iterator[tuple[int, list[str]]]:
    """Row number and cells of every row that is neither blank nor skipped, the header row included."""
    if file.format == "workbook":
        return _sheet(file)
    return (row for row in _records(file) if row[0] > file.settings.skip)


def _file(path: Path) -> str:
    """The path in SQL; what DuckDB would take for a pattern stands for itself."""
    return _quoted(re.sub(r"[*?[]", r"[\g<0>]", str(path)))


def _quoted(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _run(connection: ibis.BaseBackend, sql: str) -> None:
    connection.raw_sql(sql).fetchall()


# --- csv and text -----------------------------------------------------------------------------------------------------


def _is_plain(file: SourceFile) -> bool:
    one = len(file.header) > 1  # an empty value alone on its line is a blank line
    as_utf8 = file.format == "csv" and file.plain and file.encoding == "utf-8-sig"
    return as_utf8 and one and not file.settings.skip


def _load_plain(connection: ibis.BaseBackend, file: SourceFile, name: str) -> bool:
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(file.header)))
    first = 1 if file.settings.header else 2
    packed = "gzip" if is_packed(file.path) else "none"
    sql = (
        f"CREATE TEMP TABLE {name} AS SELECT row_number() OVER () + {first - 1} AS row_no, * FROM read_csv("
        f"{_file(file.path)}, auto_detect = false, delim = {_quoted(file.delimiter)}, quote = '\"', "
        f"escape = '\"', header = {str(not file.settings.header).lower()}, strict_mode = true, "
        f"compression = '{packed}', columns = {{{columns}}})"
    )
    try:
        _run(connection, sql)
        ((rows,),) = connection.raw_sql(f"SELECT count(*) FROM {name}").fetchall()
    except Exception:  # whatever DuckDB cannot read strictly, Python reads, or says why not
        return False
    if file.lines and rows != file.lines + 1 - first:  # it has been seen to leave out a last row without an end
        _run(connection, f"DROP TABLE {name}")
        return False
    return True


class _Lines:
    """Lines of a text file, refused where a row (which may run over lines in quotes) grows too long or holds NUL."""

    def __init__(self, file: SourceFile) -> None:
        self.file, self.line, self.pending = file, 0, 0

    def __iter__(self) -> Iterator[str]:
        file = self.file
        try:
            with opened(file.path, file.file) as raw, io.TextIOWrapper(raw, encoding=file.encoding, newline="") as text:
                while line := text.readline(LONGEST + 1):
                    self.line += 1
                    self.pending += len(line)
                    if self.pending > LONGEST:
                        raise Refused(
                            f"{file.where}, line {self.line}: a row of more than {LONGEST:,} characters. The line ends "
                            "may be lost, or a quote is not closed: export it again."
                        )
                    if "\0" in line:
                        raise Refused(
                            f"{file.where}, line {self.line}: holds NUL bytes, which no text does: it may be damaged, "
                            "packed, or UTF-16 without its mark (then set `encoding: utf-16-le`). Export it again."
                        )
                    yield line
        except UnicodeError:
            raise Refused(not_decoded(file.path, file.file, file.encoding, file.settings.encoding)) from None


def _records(file: SourceFile) -> Iterator[tuple[int, list[str]]]:
    """Row number and cells of every row of a text that is not blank."""
    lines = _Lines(file)
    if file.format == "text":
        for number, line in enumerate(lines, 1):
            lines.pending = 0
            cells = line.strip(" \t\r\n\x1a" + BOM).split()
            if cells:
                yield number, cells
        return
    if len(file.delimiter) != 1 or file.delimiter in '"\r\n\0':
        raise Refused(f"{file.where}: delimiter is {file.delimiter!r}, but must be one character, and no quote.")
    reader = csv.reader(lines, delimiter=file.delimiter, strict=True)
    try:
        for number, cells in enumerate(reader, 1):
            lines.pending = 0
            if any(c.strip(" \t\x1a") for c in cells) or len(cells) > 1:
                yield number, cells
    except csv.Error as error:
        raise Refused(
            f"{file.where}, line {reader.line_num}: broken csv ({error}). Often a quote is not closed: export it again."
        ) from None


def _write_rows(file: SourceFile, part: Path) -> None:
    width = len(file.header)
    schema = pa.schema([("row_no", pa.int64()), *((f"c{i}", pa.string()) for i in range(width))])
    records = _rows(file)
    if not file.settings.header:
        next(records, None)
    with pq.ParquetWriter(part, schema) as out:
        numbers: list[int] = []
        rows: list[list[str]] = []

        def flush() -> None:
            columns = [pa.array(c, pa.string()) for c in zip(*rows, strict=True)] if rows else [[]] * width
            out.write_table(pa.table([pa.array(numbers, pa.int64()), *columns], schema=schema))
            numbers.clear()
            rows.clear()

        for number, cells in records:
            if len(cells) != width:
                what = "header" if not file.settings.header else "list `header` of company.yaml"
                raise Refused(
                    f"{file.where}, row {number}: {len(cells)} columns, but the {what} has {width}. A value may hold "
                    f'the delimiter "{file.delimiter}" without quotes: export it again.'
                )
            numbers.append(number)
            rows.append(cells)
            if len(rows) >= BATCH:
                flush()
        flush()


# --- parquet ----------------------------------------------------------------------------------------------------------


def _parquet_schema(file: SourceFile) -> pa.Schema:
    try:
        schema = pq.read_schema(file.path)
        _ = schema.names  # damaged ones show where they are decoded
        return schema
    except (pa.ArrowException, OSError, ValueError) as error:
        what = " ".join(str(error).split())[:80]
        raise Refused(f"{file.where} is not a readable Parquet file: {what.removesuffix('.')}.") from None


def _load_parquet(connection: ibis.BaseBackend, file: SourceFile, name: str) -> None:
    cells = []
    for i, field in enumerate(_parquet_schema(file)):
        column = '"' + field.name.replace('"', '""') + '"'
        if pa.types.is_floating(field.type):  # pandas writes a missing number as NaN
            column = f"CASE WHEN isnan({column}) THEN NULL ELSE {column} END"
        cells.append(f"CAST({column} AS VARCHAR) AS c{i}")
    source = f"read_parquet({_file(file.path)}, file_row_number = true)"
    sql = f"SELECT file_row_number + 2 AS row_no, {', '.join(cells)} FROM {source}"
    try:
        _run(connection, f"CREATE TEMP TABLE {name} AS {sql}")
    except Exception as error:
        what = " ".join(str(error).split())[:120]
        raise Refused(f"{file.where} cannot be read as Parquet: {what.removesuffix('.')}.") from None


# --- workbooks --------------------------------------------------------------------------------------------------------


def _sheet(file: SourceFile) -> Iterator[tuple[int, list[str]]]:
    """Row number and cells of the rows of a sheet below the skipped ones; only the first batch is read for a header."""
    with pq.ParquetFile(workbooks.converted(file)) as sheet:
        for batch in sheet.iter_batches(batch_size=2_000):
            for row in batch.filter(pa.compute.greater(batch["row_no"], file.settings.skip)).to_pylist():
                number, *cells = row.values()
                yield number, [c or "" for c in cells]


def _without_tail(cells: list[str]) -> list[str]:
    """The cells up to the last that is not blank."""
    last = max((i for i, c in enumerate(cells, 1) if c.strip()), default=0)
    return cells[:last]


def _load_workbook(connection: ibis.BaseBackend, file: SourceFile, name: str) -> None:
    first = next((number for number, _ in _sheet(file)), 0)
    start = file.settings.skip if file.settings.header else first
    sheet = workbooks.converted(file)
    width = len(pq.read_schema(sheet)) - 1
    cells = [f"c{i}" if i < width else f"NULL::VARCHAR AS c{i}" for i in range(len(file.header))]
    sql = f"SELECT {', '.join(['row_no', *cells])} FROM read_parquet({_file(sheet)}) WHERE row_no > {start}"
    _run(connection, f"CREATE TEMP TABLE {name} AS {sql}")
