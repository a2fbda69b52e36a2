"""Files as they are: every cell as text, every row with the number that a spreadsheet shows (the header is row 1).

DuckDB reads plain UTF-8 csv itself, strictly. Whatever else comes (other encodings, blank lines, columns split by
blanks), and whatever DuckDB refuses, goes through Python, whose sentence names the file and the line.
"""

from __future__ import annotations

import codecs
import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.sources.files import SourceFile

BATCH = 50_000
GUESSES = ("utf-8", "cp932", "euc_jp", "utf-16")
BOM = "\ufeff"


def read_header(file: SourceFile) -> tuple[str, ...]:
    """Names of the columns without the blanks around them. Raises Refused."""
    given, form = file.settings.header, file.settings.format
    if form == "parquet":
        return tuple(_parquet_schema(file).names)
    first = next(_records(file), (1, []))[1]
    if given:
        if len(given) != len(first):
            raise Refused(
                f"{file.where}, line 1: {len(first)} columns, but company.yaml names {len(given)} in `header` "
                f"({', '.join(given[:6])}). Correct the list."
            )
        return tuple(n.strip() for n in given)
    return tuple(n.strip() for n in first)


def load(connection: ibis.BaseBackend, file: SourceFile) -> ir.Table:
    """A temporary table of the engine: row_no and c0, c1, … as text, one column for each of the header."""
    name = ibis.util.gen_name("ltvlab_raw")
    if file.settings.format == "parquet":
        _load_parquet(connection, file, name)
    elif not (_is_plain(file) and _load_plain(connection, file, name)):
        with tempfile.TemporaryDirectory(prefix="ltvlab-") as folder:
            part = Path(folder) / "rows.parquet"
            _write_rows(file, part)
            _run(connection, f"CREATE TEMP TABLE {name} AS SELECT * FROM read_parquet({_quoted(part)})")
    return connection.table(name)


def _quoted(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _run(connection: ibis.BaseBackend, sql: str) -> None:
    connection.raw_sql(sql).fetchall()


# --- csv and text -----------------------------------------------------------------------------------------------------


def _encoding(file: SourceFile) -> str:
    """Python's name of the encoding; a byte order mark says more than company.yaml."""
    wanted = file.settings.encoding
    try:
        name = codecs.lookup(wanted).name
    except LookupError:
        raise Refused(
            f'{file.where}: no encoding is called "{wanted}".{nearest(wanted, [*GUESSES, "shift_jis"])}'
        ) from None
    with file.path.open("rb") as start:
        has_mark = start.read(3) == codecs.BOM_UTF8
    return "utf-8-sig" if has_mark or name == "utf-8" else name


def _is_plain(file: SourceFile) -> bool:
    special = any(c in str(file.path) for c in "*?[")  # DuckDB would take them for a pattern
    one = len(file.header) > 1  # an empty value alone on its line is a blank line
    return file.settings.format == "csv" and file.plain and one and not special and _encoding(file) == "utf-8-sig"


def _load_plain(connection: ibis.BaseBackend, file: SourceFile, name: str) -> bool:
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(file.header)))
    first = 1 if file.settings.header else 2
    sql = (
        f"CREATE TEMP TABLE {name} AS SELECT row_number() OVER () + {first - 1} AS row_no, * FROM read_csv("
        f"{_quoted(file.path)}, auto_detect = false, delim = {_quoted(file.settings.delimiter)}, quote = '\"', "
        f"escape = '\"', header = {str(not file.settings.header).lower()}, strict_mode = true, "
        f"columns = {{{columns}}})"
    )
    try:
        _run(connection, sql)
    except Exception:  # whatever DuckDB cannot read strictly, Python reads, or says why not
        return False
    return True


def _lines(file: SourceFile) -> Iterator[str]:
    encoding = _encoding(file)
    try:
        with file.path.open(encoding=encoding, newline="") as text:
            yield from text
    except UnicodeError:
        raise Refused(_not_decoded(file, encoding)) from None


def _not_decoded(file: SourceFile, encoding: str) -> str:
    data, works = file.path.read_bytes(), []
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # the mark of UTF-16
    for guess in GUESSES[::-1] if marked else GUESSES:
        try:
            if guess == "utf-16" or "\0" not in data.decode(guess):
                data.decode(guess)
                works.append(guess)
        except UnicodeError:
            continue
    try:
        data.decode(encoding)
        line = 1
    except UnicodeError as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
    hint = f" It reads as {works[0]}: set `encoding: {works[0]}` at this source." if works else " Export it as UTF-8."
    return f"{file.where}, line {line}: not {file.settings.encoding}.{hint}"


def _records(file: SourceFile) -> Iterator[tuple[int, list[str]]]:
    """Row number and cells of every row that is not blank, the header row included."""
    if file.settings.format == "text":
        for number, line in enumerate(_lines(file), 1):
            cells = line.strip(" \t\r\n\x1a" + BOM).split()
            if cells:
                yield number, cells
        return
    if len(file.settings.delimiter) != 1:
        raise Refused(f'{file.where}: delimiter is "{file.settings.delimiter}", but must be one character.')
    reader = csv.reader(_lines(file), delimiter=file.settings.delimiter, strict=True)
    try:
        for number, cells in enumerate(reader, 1):
            if any(c.strip(" \t\x1a") for c in cells) or len(cells) > 1:
                yield number, cells
    except csv.Error as error:
        raise Refused(
            f"{file.where}, line {reader.line_num}: broken csv ({error}). Often a quote is not closed: export it again."
        ) from None


def _write_rows(file: SourceFile, part: Path) -> None:
    width = len(file.header)
    schema = pa.schema([("row_no", pa.int64()), *((f"c{i}", pa.string()) for i in range(width))])
    records = _records(file)
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
                    f'the delimiter "{file.settings.delimiter}" without quotes: export it again.'
                )
            numbers.append(number)
            rows.append(cells)
            if len(rows) >= BATCH:
                flush()
        flush()


# --- parquet ----------------------------------------------------------------------------------------------------------


def _parquet_schema(file: SourceFile) -> pa.Schema:
    try:
        return pq.read_schema(file.path)
    except (pa.ArrowInvalid, OSError) as error:
        raise Refused(f"{file.where} is not a readable Parquet file: {str(error)[:80]}.") from None


def _load_parquet(connection: ibis.BaseBackend, file: SourceFile, name: str) -> None:
    cells = []
    for i, field in enumerate(_parquet_schema(file)):
        column = '"' + field.name.replace('"', '""') + '"'
        if pa.types.is_floating(field.type):  # pandas writes a missing number as NaN
            column = f"CASE WHEN isnan({column}) THEN NULL ELSE {column} END"
        cells.append(f"CAST({column} AS VARCHAR) AS c{i}")
    source = f"read_parquet({_quoted(file.path)}, file_row_number = true)"
    sql = f"SELECT file_row_number + 2 AS row_no, {', '.join(cells)} FROM {source}"
    try:
        _run(connection, f"CREATE TEMP TABLE {name} AS {sql}")
    except Exception as error:
        raise Refused(f"{file.where} cannot be read as Parquet: {str(error).splitlines()[0][:120]}.") from None
