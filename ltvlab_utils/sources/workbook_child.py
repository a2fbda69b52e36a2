"""A sheet of a workbook into a Parquet file, in a process of its own: python -I workbook_child.py FILE SHEET PART BYTES

Writes row_no (as the spreadsheet shows it) and c0, c1, … as text, one row for each that is not blank. A workbook can
ask for any amount of memory (two cells, a million rows apart), and what cannot have it ends its process: this one,
which may take BYTES more than it has. Ends with 0, or with 3 and a code on its output: password, sheet (and the names
that there are, a line each), broken, wide. Imports nothing of the package: it starts once for each workbook.
"""

from __future__ import annotations

import datetime
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine

BATCH = 20_000
EXACT = 10**15  # a whole number up to here is one in a double too
TOLD = 3


def text(value: object) -> str | None:
    """A cell as the readers of cells know it: ISO dates, whole numbers without ".0"; null where it is empty."""
    if value == "" or value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < EXACT else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return str(value)


def limit_memory(more: int) -> None:
    """At most this much on top of what is mapped now, where the system can hold a process to it."""
    try:
        import resource

        with open("/proc/self/statm") as file:  # noqa: PTH123
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        return


def tell(code: str, *more: str) -> None:
    print("\n".join([code, *more]))
    sys.exit(TOLD)


def write(file: str, wanted: str, part: str, most_columns: int = 16_384) -> None:
    try:
        book = python_calamine.load_workbook(file)
    except python_calamine.PasswordError:
        tell("password")
    except (python_calamine.CalamineError, OSError) as error:
        tell("broken", " ".join(str(error).split())[:120])
    if wanted and wanted not in book.sheet_names:
        tell("sheet", *(" ".join(n.split()) for n in book.sheet_names))
    shown = [m.name for m in book.sheets_metadata if m.typ == python_calamine.SheetTypeEnum.WorkSheet]
    try:
        sheet = book.get_sheet_by_name(wanted or (shown or book.sheet_names)[0])
    except (python_calamine.CalamineError, IndexError) as error:
        tell("broken", " ".join(str(error).split())[:120])
    left, width = (sheet.start[1], sheet.width) if sheet.start else (0, 1)
    if left + width > most_columns:
        tell("wide", str(left + width))
    schema = pa.schema([("row_no", pa.int64()), *((f"c{i}", pa.string()) for i in range(left + width))])
    numbers, rows = [], []
    with pq.ParquetWriter(part, schema) as out:

        def flush() -> None:
            columns = [pa.array(c, pa.string()) for c in zip(*rows, strict=True)] or [[]] * width
            empty = [pa.nulls(len(rows), pa.string())] * left
            out.write_table(pa.table([pa.array(numbers, pa.int64()), *empty, *columns], schema=schema))
            numbers.clear()
            rows.clear()

        for number, cells in enumerate(sheet.iter_rows(), 1):
            texts = [text(c) for c in cells]
            if any(t and t.strip() for t in texts):
                numbers.append(number)
                rows.append(texts)
            if len(rows) >= BATCH:
                flush()
        flush()


if __name__ == "__main__":
    limit_memory(int(sys.argv[4]))
    write(*sys.argv[1:4])
