"""Workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods): a sheet as rows of text, with the row numbers that a spreadsheet shows.

python-calamine reads them: dates as dates whatever their display, formulas by the value that was saved with them. What
a hostile workbook could do is stopped before (what its parts unpack to) and around it (a process with bounded memory).
"""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.sources import workbook_child
from ltvlab_utils.sources.files import SourceFile
from ltvlab_utils.sources.scratch import scratch
from ltvlab_utils.sources.streams import RATIO, UNPACKED, unpacks_too_far

MEMORY = 2 * 10**9  # bytes that reading one may take
MOST = 1_500_000_000  # bytes that one may unpack to, however well it packs: a full sheet of a million rows has fewer
SECONDS = 900
PIECE = 1 << 20
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # the stream of a workbook with a password


def converted(file: SourceFile) -> Path:
    """A Parquet file of the sheet: row_no, c0, c1, … as text, rows that are not blank. Raises Refused."""
    return _converted(file.path, file.fingerprint, file.settings.sheet, file.where)


@lru_cache(maxsize=64)  # a survey asks for the header, staging for the rows
def _converted(path: Path, fingerprint: str, sheet: str, where: str) -> Path:
    _refuse_strange(path, where)
    part = scratch("sheet.parquet")
    command = [sys.executable, "-I", workbook_child.__file__, str(path), sheet, str(part), str(MEMORY)]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise Refused(f"{where} was not read within {SECONDS} seconds: deliver it as csv.") from None
    if done.returncode == 0:
        return part
    code, *more = done.stdout.decode(errors="replace").splitlines() or [""]
    if done.returncode != workbook_child.TOLD:
        code = "large" if _out_of_memory(done) else "broken"
    sentences = {
        "password": "has a password: save it without one, or deliver csv.",
        "sheet": f'has no sheet "{sheet}".{nearest(sheet, more)}',
        "wide": f"spans {''.join(more)} columns, more than a spreadsheet has: export the table alone.",
        "large": f"takes more than {MEMORY / 1e9:g} GB to read: a cell may stand far outside the table. Deliver it as "
        "csv or Parquet, or copy the table alone into a new workbook.",
    }
    detail = f" ({more[0]})" if code == "broken" and more else ""
    raise Refused(f"{where} {sentences.get(code, f'is not a readable workbook{detail}: save it again, or as csv.')}")


def _out_of_memory(done: subprocess.CompletedProcess) -> bool:
    return done.returncode < 0 or b"memory" in done.stderr.lower()


def _refuse_strange(path: Path, where: str) -> None:
    """Raises Refused for what is no workbook by its first bytes, has a password, or unpacks to too much."""
    with path.open("rb") as file:
        head = file.read(8)
        if head == OLE:
            _refuse_password(file, where)
            return
        if not head.startswith(ZIP):
            what = "an HTML page" if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") else "no workbook"
            raise Refused(
                f"{where} is {what} inside, whatever its name says: open it in a spreadsheet and save it as .xlsx, or "
                "set `format: csv` at this source if it is text."
            )
        try:
            parts = zipfile.ZipFile(file).infolist()
            if (declared := sum(p.file_size for p in parts)) > MOST or unpacks_too_far(declared, path.stat().st_size):
                raise Refused(_bomb(path, where, f"says that it unpacks to {declared:,} bytes"))
            if any(p.flag_bits & 1 for p in parts):
                raise Refused(f"{where} has a password: save it without one, or deliver csv.")
            _unpack(file, parts, path, where)
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, OSError):
            raise Refused(f"{where} is not a whole workbook: copy or save it again.") from None


def _unpack(file: BinaryIO, parts: list[zipfile.ZipInfo], path: Path, where: str) -> None:
    """Follows every part to its end, since what a zip declares may be a lie."""
    total, size = 0, path.stat().st_size
    for part in parts:
        if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile
        file.seek(part.header_offset)
        name, extra = struct.unpack("<HH", file.read(30)[26:30])
        file.seek(name + extra, 1)
        left, unpacker = part.compress_size, zlib.decompressobj(-15)
        while left > 0 and not unpacker.eof:
            data = file.read(min(PIECE, left))
            if not data:
                raise EOFError
            left -= len(data)
            if part.compress_type == zipfile.ZIP_STORED:
                total += len(data)
                continue
            while data and not unpacker.eof:
                total += len(unpacker.decompress(data, PIECE))
                data = unpacker.unconsumed_tail
                if total > MOST or unpacks_too_far(total, size):
                    raise Refused(_bomb(path, where, f"unpacks to more than {min(MOST, total):,} bytes"))


def _bomb(path: Path, where: str, what: str) -> str:
    most = min(MOST, max(UNPACKED, RATIO * path.stat().st_size))
    return (
        f"{where} has {path.stat().st_size:,} bytes and {what}, more than the {most:,} that are read: deliver it as "
        "csv or Parquet if it is real."
    )


def _refuse_password(file: BinaryIO, where: str) -> None:
    tail = b""
    while chunk := file.read(PIECE):
        if ENCRYPTED in tail + chunk:
            raise Refused(f"{where} has a password: save it without one, or deliver csv.")
        tail = chunk[-len(ENCRYPTED) :]
