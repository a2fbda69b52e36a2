"""What a stranger's file is: its format, encoding, delimiter, sheet, header row and a bounded sample of its rows.

look(Path("orders.csv"))       # <Look orders.csv: csv cp932, header in row 3, 8 columns, 1,000 rows sampled>

Nothing is declared and nothing is written. A text file of any size costs its first megabyte, some pieces from its
middle and one pass that finds the encoding; a workbook is read whole, as its readers do.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ltvlab_utils.errors import Refused
from ltvlab_utils.sources import streams, workbooks

HEAD_BYTES = 1 << 20
PIECE_BYTES = 1 << 16
PIECES = 8
HEAD_ROWS = 1_000
PIECE_ROWS = 100
TITLE_ROWS = 20
UNPACKED_BYTES = 1 << 29  # how far a packed file is followed for the sample
DELIMITERS = ",\t;|"
KINDS = {  # what the first bytes of a file say
    b"PAR1": "parquet", b"\xd0\xcf\x11\xe0": "xls", b"\x1f\x8b": "gz",
    b"%PDF": "a PDF", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"GIF8": "a picture",
    b"Rar!": "an archive", b"7z\xbc\xaf": "an archive", b"BZh": "an archive", b"\xfd7zXZ": "an archive",
    b"SQLite format 3": "a database file",
}  # fmt: skip
EXPORT = "export it as CSV or Excel (xlsx)"
NUMBER = re.compile(r"[+-]?[¥\\$€£]?[+-]? ?(\d[\d,.]*|\.\d+)([eE][+-]?\d+)?(円|%)?")
DATED = re.compile(r"(\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}日?|\d{1,2}[- ][A-Za-z]{3,9}[- ,]+\d{2,4})([ T].*)?")


@dataclass(frozen=True)
class Look:
    """A file as it is. `header_row`: where the header stands, 1 = first row, 0 = there is none and `header` holds made
    names. `rows`: the sample, each as wide as the header, first rows first. `ragged`: rows of another width seen."""

    path: Path
    format: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    encoding: str = "utf-8"
    delimiter: str = ","
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    header_row: int = 1
    ragged: int = 0
    whole: bool = True

    def __repr__(self) -> str:
        how = {"csv": self.encoding, "text": self.encoding}.get(self.format, self.sheet)
        header = f"header in row {self.header_row}" if self.header_row else "no header"
        return (
            f"<Look {self.path.name}: {self.format} {how}, {header}, {len(self.header)} columns, "
            f"{len(self.rows):,} rows sampled>"
        )

    def column(self, name: str) -> tuple[str, ...]:
        """The sampled cells of a column, blanks around them taken off."""
        at = self.header.index(name)
        return tuple(row[at].strip(" \t\r\n\u3000\u00a0") for row in self.rows)


def look(path: Path) -> Look:
    """Looks at one file. Raises Refused in one sentence for what is no table."""
    try:
        if not path.exists():
            raise Refused(f"{path} does not exist: check the name.")
        if path.is_dir():
            raise Refused(f"{path} is a folder: name a file in it.")
        if not path.is_file():
            raise Refused(f"{path} is no file.")
        with path.open("rb") as opened:
            start = opened.read(4096)
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    kind = _kind(path, start)
    try:
        if kind == "parquet":
            return _parquet(path)
        if kind in ("xlsx", "xls", "ods"):
            return _workbook(path)
        return _text(path, kind == "gz")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}.") from None


def _kind(path: Path, start: bytes) -> str:
    """parquet, xlsx, xls, ods, gz or text. Raises Refused for what holds no table."""
    if not start.removeprefix(codecs.BOM_UTF8).strip():
        raise Refused(f"{path.name} is empty: export it again.")
    if start.startswith(b"PK"):
        return _zip_kind(path)
    found = next((kind for mark, kind in KINDS.items() if start.startswith(mark)), "text")
    if " " in found:
        raise Refused(f"{path.name} is {found}, not a table: {EXPORT}.")
    low = start.lstrip(codecs.BOM_UTF8 + b" \t\r\n").lower()
    if low.startswith((b"<!doctype", b"<html", b"<table", b"<?xml", b"<meta")):
        raise Refused(
            f"{path.name} is a web page or XML, whatever its name says: open it in Excel and save it as xlsx or CSV."
        )
    if re.match(rb"[\[{]\s*[\"\[{]", low):
        raise Refused(f"{path.name} is JSON, not a table: {EXPORT}.")
    return found


def _zip_kind(path: Path) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        raise Refused(f"{path.name} is a broken archive or workbook: export it again.") from None
    if any(name.startswith("xl/workbook.") for name in names):
        return "xlsx"
    if "content.xml" in names and "mimetype" in names:
        return "ods"
    inside = next((n for n in sorted(names) if n.lower().endswith((".csv", ".xlsx", ".tsv", ".txt"))), "")
    raise Refused(f"{path.name} is a zip archive: unpack it{f' and name {Path(inside).name}' if inside else ''}.")


# --- text -------------------------------------------------------------------------------------------------------------


def _text(path: Path, packed: bool) -> Look:
    encoding = _encoding(path, packed)
    pieces, whole = _pieces(path, packed, encoding)
    head = pieces[0]
    longest = max((len(line) for line in head.splitlines()), default=0)
    if not whole and longest >= HEAD_BYTES // 4:
        raise Refused(f"{path.name} has a line of more than {longest:,} characters: that is no table; {EXPORT}.")
    delimiter, rows = _table(path, head)
    form = "text" if delimiter == " " else "csv"
    if not whole:
        rows = rows[:-1]  # it may be cut
    header_row, names = _header(path, rows)
    width = len(names)
    body = [r for r in rows[header_row:] if r]
    fitting = [r for r in body if len(r) == width]
    sample = _spread(fitting)
    ragged = len(body) - len(fitting)
    for piece in pieces[1:]:
        more = _cells(piece, delimiter)
        sample += [r for r in more if len(r) == width][:PIECE_ROWS]
    return Look(
        path, form, names, tuple(map(tuple, sample)), encoding, delimiter, header_row=header_row, ragged=ragged,
        whole=whole and len(body) <= HEAD_ROWS,
    )  # fmt: skip


def _encoding(path: Path, packed: bool) -> str:
    """What the readers of a run would take it for. Raises Refused."""
    if packed and not streams.is_packed(path):
        raise Refused(f"{path.name} is packed by gzip, but not called so: rename it to {path.name}.gz.")
    seen = streams.look(path, str(path), True)
    if seen.empty:
        raise Refused(f"{path.name} is empty: export it again.")
    with streams.opened(path, str(path)) as file:
        if seen.encoding != "utf-16" and b"\0" in file.read(HEAD_BYTES):
            raise Refused(f"{path.name} is no text file and no workbook that is known here: {EXPORT}.")
    return "utf-8" if seen.encoding == "utf-8-sig" else seen.encoding


def _pieces(path: Path, packed: bool, encoding: str) -> tuple[list[str], bool]:
    """Text of the first megabyte and of pieces of whole lines from further on; whether the first is all there is."""
    with streams.opened(path, str(path)) as file:
        head = file.read(HEAD_BYTES + 1)
        whole = len(head) <= HEAD_BYTES
        raws = [head[:HEAD_BYTES]]
        if not whole and encoding not in ("utf-16", "iso2022_jp"):
            further = _unpacked_pieces(file) if packed else _seeked_pieces(file, path.stat().st_size)
            raws += [raw.partition(b"\n")[2].rpartition(b"\n")[0] for raw in further]
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    return [raw.decode(name, "replace") for raw in raws], whole


def _seeked_pieces(file, size: int) -> list[bytes]:
    """Pieces from all over the file, its end among them."""
    made = []
    for i in range(1, PIECES + 1):
        file.seek(max(HEAD_BYTES, size * i // PIECES - PIECE_BYTES))
        made.append(file.read(PIECE_BYTES))
    return made


def _unpacked_pieces(file) -> list[bytes]:
    """The same of a packed file, which can only be read on."""
    made, every, block, seen = [], 1, b"", 0
    while seen < UNPACKED_BYTES and (chunk := file.read(HEAD_BYTES)):
        before, block = block, chunk
        if seen // HEAD_BYTES % every == 0:
            made.append(chunk[:PIECE_BYTES])
        if len(made) >= 2 * PIECES:
            made, every = made[::2], every * 2
        seen += len(chunk)
    return [*made, (before + block)[-PIECE_BYTES:]] if block else made


def _cells(text: str, delimiter: str) -> list[list[str]]:
    """Rows in order, a blank one as an empty list, read up to a broken one."""
    if delimiter == " ":
        return [line.strip("\x1a").split() for line in text.splitlines()]
    rows: list[list[str]] = []
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            rows.append(cells if any(c.strip(" \t\x1a") for c in cells) else [])
    except csv.Error:
        pass  # staging says where; here what stands before it is enough
    return rows


def _spread(rows: list[list[str]]) -> list[list[str]]:
    """The first rows, and as many from all over the rest, its last one among them."""
    head, rest = rows[:HEAD_ROWS], rows[HEAD_ROWS:]
    step = max(1, len(rest) // HEAD_ROWS)
    return head + rest[::-step][::-1]


def _table(path: Path, text: str) -> tuple[str, list[list[str]]]:
    """The delimiter (a blank for columns set by blanks) under which most rows are equally wide, and the rows."""
    best: tuple[float, str, list[list[str]]] = (0.0, "", [])
    start = "".join(text.splitlines(keepends=True)[:200])
    for delimiter in DELIMITERS:
        widths = Counter(len(r) for r in _cells(start, delimiter) if r)
        wide = [(count, width) for width, count in widths.items() if width > 1]
        if wide and (score := max(count * min(width, 5) for count, width in wide) / sum(widths.values())) > best[0]:
            best = (score, delimiter, [])
    if not best[1]:
        widths = Counter(len(r) for r in _cells(start, " ") if r)
        width, count = max(widths.items(), key=lambda item: item[1], default=(0, 0))
        if width > 2 and count == sum(widths.values()) and count > 1:
            return " ", _cells(text, " ")
        seen = " ".join(start.split())[:40]
        raise Refused(f'{path.name}: only one column ("{seen}") is seen: {EXPORT}, with a header row.')
    return best[1], _cells(text, best[1])


# --- workbooks and Parquet --------------------------------------------------------------------------------------------


def _workbook(path: Path) -> Look:
    """The first sheet that holds a table; the other sheets are named."""
    names = workbooks.sheet_names(path, str(path))
    problem = Refused(f"{path.name} has no sheet with a table: {EXPORT}.")
    for sheet in names:
        rows, further, count = _sheet_rows(path, sheet)
        try:
            header_row, header = _header(path, rows)
        except Refused as error:
            problem = error
            continue
        header = tuple(_trimmed(list(header)))
        sample = _spread([r for r in rows[header_row:] if r]) + further
        padded = tuple(tuple((*r, *[""] * len(header))[: len(header)]) for r in sample)
        return Look(
            path, "workbook", header, padded, sheet=sheet, sheets=tuple(names), header_row=header_row,
            whole=count <= HEAD_ROWS,
        )  # fmt: skip
    raise problem


def _parquet(path: Path) -> Look:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = tuple(str(n).strip() for n in file.schema_arrow.names)
            batch = next(file.iter_batches(HEAD_ROWS), None)
            cells = [] if batch is None else [_as_text(column) for column in batch.columns]
            whole = file.metadata.num_rows <= HEAD_ROWS
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refused(f"{path.name} is not a readable Parquet file: {str(error).splitlines()[0][:80]}.") from None
    _refuse_thin(path, names, bool(cells and cells[0]))
    return Look(path, "parquet", names, tuple(zip(*cells, strict=True)), whole=whole)


def _sheet_rows(path: Path, sheet: str) -> tuple[list[list[str]], list[list[str]], int]:
    """The first rows as the spreadsheet numbers them, a blank one as an empty list; rows from further on; how many
    there are."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(workbooks.sheet_of(path, sheet, str(path))) as file:
        groups, count = file.num_row_groups, file.metadata.num_rows
        if not count:
            return [], [], 0
        first = file.read_row_group(0)
        head = first.slice(0, 2 * HEAD_ROWS)
        ends = [first.slice(2 * HEAD_ROWS)] if groups == 1 else []
        places = sorted({max(1, groups * i // PIECES - 1) for i in range(1, PIECES + 1)}) if groups > 1 else []
        ends += [file.read_row_group(place) for place in places]
    rows: list[list[str]] = []
    for number, row in zip(head.column("row_no").to_pylist(), _texts(head), strict=True):
        rows += [[]] * (number - 1 - len(rows)) if number - len(rows) < 2 * HEAD_ROWS else []
        rows.append(row)
    further = [row for end in ends for row in _texts(end.slice(max(0, end.num_rows - PIECE_ROWS)))]
    return rows, further, count


def _texts(table) -> list[list[str]]:
    return [list(row) for row in zip(*(_as_text(c) for c in table.columns[1:]), strict=True)]


def _as_text(column) -> list[str]:
    return ["" if v is None or v != v else str(v) for v in column.to_pylist()]


# --- header -----------------------------------------------------------------------------------------------------------


def _header(path: Path, rows: list[list[str]]) -> tuple[int, tuple[str, ...]]:
    """The row of the header (1 = first, 0 = none) and its names; titles above it are narrower or hold few cells.

    Raises Refused where no row follows or fewer than two columns are seen.
    """
    if not any(rows):
        raise Refused(f"{path.name} holds no row: export it again.")
    usual = Counter(len(_trimmed(r)) for r in rows[:200] if len(_trimmed(r)) > 1)
    width = max(usual, key=lambda w: (usual[w], w), default=0)
    at = next((i for i, r in enumerate(rows[:TITLE_ROWS]) if _is_header(r, width)), None)
    if at is None:
        first = next((r for r in rows if len(r) == width), [])
        if sum(map(bool, rows)) > 1 and any(_is_value(c) for c in first):
            return 0, tuple(f"column {i}" for i in range(1, len(first) + 1))
        at = next((i for i, r in enumerate(rows[:TITLE_ROWS]) if len(_trimmed(r)) > 1), 0)
    names = tuple(c.strip() for c in rows[at])
    _refuse_thin(path, names, any(rows[at + 1 :]))
    return at + 1, names


def _refuse_thin(path: Path, names: tuple[str, ...], followed: bool) -> None:
    if len([n for n in names if n]) < 2:
        raise Refused(f'{path.name}: only one column ("{"".join(names)[:40]}") is seen: {EXPORT}, with a header row.')
    if not followed:
        raise Refused(f"{path.name} has a header but no row below it: export it again.")


def _trimmed(row: list[str]) -> list[str]:
    last = max((i for i, c in enumerate(row) if c.strip()), default=-1)
    return row[: last + 1]


def _is_header(row: list[str], width: int) -> bool:
    """Words in nearly every column, none of them a date or a number."""
    filled = [c.strip() for c in row if c.strip()]
    return len(filled) > 1 and len(filled) >= 0.6 * width and not any(_is_value(c) for c in filled)


def _is_value(cell: str) -> bool:
    plain = unicodedata.normalize("NFKC", cell.strip()).replace("▲", "-").replace("△", "-")
    return bool(NUMBER.fullmatch(plain) or DATED.fullmatch(plain))
