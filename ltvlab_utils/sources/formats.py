"""A company written as the exports of real systems, and the mapping by which it is read again.

write(frames, folder, "eccube")              # names of the files written, and what the form could not hold
settings("eccube")                           # the `sources:` mapping of company.yaml for those files

`frames` are input tables by name, as the contracts have them: whole yen without tax, times company-local, codes of the
contract. Equal frames give equal bytes in every form.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pandas as pd
import pyarrow as pa
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.writer.excel import ExcelWriter

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.sources import formats_ledger, formats_shop
from ltvlab_utils.sources.formats_ledger import LEDGER
from ltvlab_utils.sources.formats_shop import csv_text
from ltvlab_utils.tables import CONTRACTS

FORMS = ("csv", "parquet", "xlsx", "eccube", "shopify", "uriage")
WORKBOOK = "company.xlsx"
LEDGER_BOOK = f"{LEDGER}.xlsx"
SHEET_ROWS = 1_048_576
CELL_CHARACTERS = 32_767
STAMPED = datetime(2000, 1, 1)  # of every workbook, so that equal content is equal bytes


class Written(list[str]):
    """Names of the files written. `replaced`: characters that the encoding cannot hold, each written as 〓. `left_out`
    and `left_out_amount` (yen without tax): order lines for which the form has no place. All 0 where nothing is lost.
    """

    replaced: int = 0
    left_out: int = 0
    left_out_amount: int = 0


def write(frames: Mapping[str, pd.DataFrame], folder: str | Path, form: str) -> Written:
    """Writes input tables below `folder` in one of FORMS, replacing what is there file by file.

    csv      TABLE.csv each, UTF-8, contract names; every text as it stands, also one that a spreadsheet would run.
    parquet  TABLE.parquet each.
    xlsx     company.xlsx, a sheet a table; days and times are Excel's, codes text; a line break in a cell becomes \\n.
    eccube   order.csv and customer.csv of EC-CUBE 4, see `formats_shop.eccube`.
    shopify  orders_export.csv, see `formats_shop.shopify`.

    uriage   売上明細.xlsx, see `formats_ledger.uriage`.

    The two shops hold orders and customers alone: the other tables stay with the other systems of the company, as do
    cost and consent. Raises Refused for an unknown form or table, and for what the form cannot hold.
    """
    _known("form", form, FORMS)
    for name in frames:
        _known("input table", name, [n for n, c in CONTRACTS.items() if c.step == "input"])
    if not frames:
        raise Refused("There is no table to write.")
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    if form == "xlsx":
        _replace(home / WORKBOOK, lambda file: _workbook(frames, file))
        return Written([WORKBOOK])
    if form == "uriage":
        ledger = formats_ledger.uriage(frames)
        _replace(home / LEDGER_BOOK, lambda file: _workbook({LEDGER: ledger.rows}, file, ledger.titles))
        written = Written([LEDGER_BOOK])
        written.left_out, written.left_out_amount = ledger.left_out, ledger.left_out_amount
        return written
    if form in ("eccube", "shopify"):
        export = formats_shop.eccube(frames) if form == "eccube" else formats_shop.shopify(frames)
        files = export.files
    else:
        export, encode = None, _parquet if form == "parquet" else _csv
        files = {f"{name}.{form}": encode(name, frame) for name, frame in frames.items()}
    for name, data in files.items():
        _replace(home / name, lambda file, data=data: file.write_bytes(data))
    written = Written(files)
    if export:
        written.replaced, written.left_out, written.left_out_amount = (
            export.replaced, export.left_out, export.left_out_amount,
        )  # fmt: skip
    return written


def settings(form: str, tables: Iterable[str] | None = None) -> dict[str, object]:
    """The `sources:` mapping of company.yaml that reads what `write` wrote in a form.

    `tables`: what was written as csv, parquet or xlsx (frames will do); every input table where left out. These are
    read whole, the others by their ready mappings, whose notes say what such an export lacks; the customer_id of a
    Shopify export of this module stands in Tags.
    """
    _known("form", form, FORMS)
    if form == "eccube":
        return {
            "order_lines": [{"name": form, "path": "order.csv", "mapping": "eccube4_orders"}],
            "customers": [{"name": form, "path": "customer.csv", "mapping": "eccube4_members"}],
        }
    if form in ("shopify", "uriage"):
        keys = {
            "shopify": {"path": "orders_export.csv", "mapping": "shopify_orders", "columns": {"customer_id": "Tags"}},
            "uriage": {"path": LEDGER_BOOK, "mapping": "uriage_meisai", "skip": 2},
        }[form]
        return {name: [{"name": form, **keys}] for name in ("order_lines", "customers")}
    names = [n for n, c in CONTRACTS.items() if c.step == "input"] if tables is None else list(tables)
    if form == "xlsx":
        return {name: [{"name": form, "path": WORKBOOK, "sheet": name}] for name in names}
    return {name: [{"name": form, "path": f"{name}.{form}"}] for name in names}


def _known(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise Refused(f'No {what} is called "{name}".{nearest(name, known)}')


def _replace(file: Path, fill: Callable[[Path], object]) -> None:
    """The file appears whole or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        fill(temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Floats without a fraction as whole numbers: 1000 and not 1000.0, null beside them."""
    floats = frame.select_dtypes("float")
    whole = [c for c in floats if floats[c].dropna().mod(1).eq(0).all()]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _csv(name: str, frame: pd.DataFrame) -> bytes:
    return csv_text(_whole(frame)).encode("utf-8")


def _parquet(name: str, frame: pd.DataFrame) -> bytes:
    try:
        return _whole(frame).to_parquet(index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise Refused(f"{name} cannot be written as Parquet: {' '.join(map(str, error.args))[:160]}.") from None


# --- workbook ---------------------------------------------------------------------------------------------------------


class _Archive(ZipFile):
    """A zip whose bytes depend on its content alone: no clock, no system."""

    def writestr(self, name, data, *_) -> None:
        with self.open(self._entry(name), "w") as out:
            out.write(data.encode("utf-8") if isinstance(data, str) else data)

    def write(self, filename, arcname=None, *_) -> None:
        with Path(filename).open("rb") as source, self.open(self._entry(arcname), "w", force_zip64=True) as out:
            shutil.copyfileobj(source, out)

    @staticmethod
    def _entry(name) -> ZipInfo:
        entry = ZipInfo(str(name))  # its date is 1980-01-01
        entry.compress_type, entry.create_system = ZIP_DEFLATED, 0
        return entry


def _workbook(frames: Mapping[str, pd.DataFrame], file: Path, titles: Sequence[str] = ()) -> None:
    for name, frame in frames.items():
        _refuse_cells(name, frame)
    book = Workbook(write_only=True)
    book.properties.created = book.properties.modified = STAMPED
    for name, frame in frames.items():
        sheet = book.create_sheet(name)
        sheet.freeze_panes = f"A{len(titles) + 2}"
        for title in titles:
            sheet.append([title])
        sheet.append(list(frame.columns))
        for row in zip(*(_cells(sheet, name, column) for _, column in _whole(frame).items()), strict=True):
            sheet.append(row)
    ExcelWriter(book, _Archive(file, "w")).save()


def _is_text(values: pd.Series) -> pd.Series:
    return values.map(lambda v: isinstance(v, str)).astype(bool)


def _refuse_cells(table: str, frame: pd.DataFrame) -> None:
    """Refused for what a workbook would cut or break, before it is begun."""
    if len(frame) >= SHEET_ROWS:
        raise Refused(
            f"{table} has {len(frame):,} rows, but a sheet holds {SHEET_ROWS:,} with its header: choose csv or "
            "parquet, or fewer months."
        )
    for name, values in frame.select_dtypes(["object", "string"]).items():
        texts = values[_is_text(values)].astype("string")
        if (bad := texts.str.contains(ILLEGAL_CHARACTERS_RE.pattern)).any():
            raise Refused(
                f"{table}.{name} holds a control character ({texts[bad].iloc[0][:40]!r}), which no workbook can: write "
                "csv."
            )
        if (texts.str.len() > CELL_CHARACTERS).any():
            raise Refused(
                f"{table}.{name} holds a text of more than {CELL_CHARACTERS:,} characters, too long for a cell."
            )


def _cells(sheet, table: str, values: pd.Series) -> list[object]:
    """A column as a workbook holds it: None where null, days without a time, every text as text and never a formula."""
    empty = values.isna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(values):
        column = CONTRACTS[table].column.get(values.name) if table in CONTRACTS else None
        is_day = column is not None and column.kind == "date" and (values.dt.normalize() == values)[~empty].all()
        moments = values.dt.date if is_day else values.dt.to_pydatetime()
        return pd.Series(moments, dtype=object).reset_index(drop=True).where(~empty, None).tolist()
    cells = values.astype(object).where(~empty, None).tolist()
    return [_text(sheet, v) if isinstance(v, str) else v for v in cells]


def _text(sheet, text: str) -> str | WriteOnlyCell:
    """The text as a cell; openpyxl alone would take =… for a formula and #N/A for an error."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.startswith(("=", "#")):
        return text
    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type = "s"
    return cell
