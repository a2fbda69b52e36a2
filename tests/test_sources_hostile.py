"""Broken and hostile files: one sentence, nothing written, memory that is bounded whatever the file asks for."""

from __future__ import annotations

import gzip
import io
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import ibis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltvlab_utils import sources
from ltvlab_utils.errors import Refused
from ltvlab_utils.sources import files, readers, streams, workbooks
from tests.sources_world import HEADER, params, stage, survey, write
from tests.test_sources_files import refusal
from tests.test_sources_readers import NAMES, ROWS, TABLE, lines, parquet, source
from tests.workbook_world import compound, ods, repacked, xls, xlsx

SHEET = "xl/worksheets/sheet1.xml"


# --- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("x" * 2_100_000, "line 1"),
        ("a," * 1_100_000, "line 1"),
        (TABLE + "A3,1," + "x" * 2_100_000, "line 4"),
        (TABLE + "A3,1," + "x," * 1_100_000 + "\n", "line 4"),
        (TABLE + 'A3,"' + '\n"",' * 600_000, "line "),
        (TABLE + '"a\n",' * 500_000, "line "),
    ],
    ids=["header", "wide header", "row", "wide row", "open quote", "row of many lines"],
)
def test_a_row_without_end(tmp_path, content, where):
    for name, data in {"o.csv": content.encode(), "p.csv": content.encode("cp932"), "o.gz": content.encode()}.items():
        data = gzip.compress(data, 1) if name == "o.gz" else data
        said = refusal(stage, tmp_path / name, {name: data}, source(f"path: {name}"))
        assert f"data/acme/{name}, {where}" in said and len(said) < 400
        assert "a row of more than 2,000,000 characters" in said or "quote is not closed" in said


def test_a_header_of_too_many_columns(tmp_path):
    said = refusal(survey, tmp_path, {"orders.csv": "a," * 20_000 + "\n1\n"})
    assert "20,001 columns, more than the 16,384" in said and len(said) < 300


GIANT = """
import resource, sys
from pathlib import Path
from ltvlab_utils.errors import Refused
from tests.sources_world import HEADER, params
from ltvlab_utils import sources
import ibis, pyarrow.parquet
folder = Path(sys.argv[1]); folder.mkdir()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with (folder / "orders.csv").open("w") as file:
    file.write(HEADER if sys.argv[2] == "row" else "")
    for _ in range(200):
        file.write("x," * 500_000 if sys.argv[3] == "wide" else "x" * 1_000_000)
try:
    sources.stage(params("  order_lines: [{path: orders.csv}]"), folder, ibis.duckdb.connect())
except Refused as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["row", "header"])
@pytest.mark.parametrize("shape", ["wide", "narrow"])
def test_two_hundred_megabytes_of_one_line(tmp_path, where, shape):
    command = [sys.executable, "-c", GIANT, str(tmp_path / "acme"), where, shape]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=300)
    said, megabytes = done.stdout.splitlines()
    assert "a row of more than 2,000,000 characters" in said and len(said) < 300
    assert int(megabytes) < 400, "memory follows the line"


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_nul_bytes(tmp_path, encoding):
    said = refusal(stage, tmp_path, {"orders.csv": TABLE.encode(encoding).replace(b",500,", b",5\x0000,")})
    assert "data/acme/orders.csv, line 3: holds NUL bytes" in said
    said = refusal(survey, tmp_path, {"orders.csv": TABLE.encode("utf-16-le")})
    assert "line 1" in said and ("NUL" in said or "no encoding" in said)
    told = source("path: orders.csv, encoding: utf-16-le")
    assert len(lines(stage(tmp_path, {"orders.csv": TABLE.encode("utf-16-le")}, told))) == 2


@pytest.mark.parametrize("quote", ['"', 'x"', '"x"x', '""x'])
def test_unbalanced_quotes(tmp_path, quote):
    odd = f"A3,1,{quote},2025-05-01,confirmed,1,5,sale\n"
    try:
        staged = stage(tmp_path, {"orders.csv": TABLE + odd + TABLE.splitlines()[1].replace("A1", "A4") + "\n"})
    except Refused as error:
        assert re.search(r"data/acme/orders.csv, line [45]: broken csv", str(error))
    else:  # a quote inside a value is a character
        assert quote == 'x"' and staged.report["rows_read"].tolist() == [4]


@pytest.mark.parametrize("delimiter", ["'\"'", '"\\n"', '"\\0"', "';;'"])
def test_what_is_no_delimiter(tmp_path, delimiter):
    said = refusal(survey, tmp_path, {"orders.csv": TABLE}, source(f"path: orders.csv, delimiter: {delimiter}"))
    assert "must be one character, and no quote" in said


# --- packed -----------------------------------------------------------------------------------------------------------


def test_a_packed_bomb_is_left_before_it_has_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "UNPACKED", 10**7)
    bomb = gzip.compress(TABLE.encode() + b"\n" * 30_000_000, 9)
    assert len(bomb) * 200 < 10**7
    said = refusal(survey, tmp_path, {"o.csv.gz": bomb}, source("path: o.csv.gz"))
    assert "data/acme/o.csv.gz" in said and "unpacks to more than 10,000,000" in said


def test_an_extract_that_packs_a_hundred_times_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "UNPACKED", 10**6)
    row = "A{:06d},1,株式会社東京中央商事ホールディングス,2025-05-01,confirmed,1,1000,sale" + " " * 300 + "\n"
    text = (HEADER + "".join(row.format(i) for i in range(40_000))).encode()
    packed = gzip.compress(text, 9)
    assert 100 <= len(text) / len(packed) <= 200
    staged = stage(tmp_path, {"o.csv.gz": packed}, source("path: o.csv.gz"))
    assert staged.report["rows_accepted"].tolist() == [40_000]


@pytest.mark.parametrize(
    "damage", [lambda d: d[: len(d) // 2], lambda d: d[:-6] + b"\0" * 6, lambda d: TABLE.encode(), lambda d: d[:4]]
)
def test_a_damaged_gz(tmp_path, damage):
    said = refusal(survey, tmp_path, {"o.gz": damage(gzip.compress(TABLE.encode()))}, source("path: o.gz"))
    assert "data/acme/o.gz is not a whole gzip file" in said


# --- workbooks --------------------------------------------------------------------------------------------------------


def refused_book(tmp_path, data: bytes, name: str = "o.xlsx") -> str:
    said = refusal(stage, tmp_path, {name: data}, source(f"path: {name}"))
    assert f"data/acme/{name}" in said and len(said) < 400 and "/tmp" not in said
    assert {p.name for p in tmp_path.rglob("*")} <= {"acme", "o.xlsx", name}
    return said


def declared(data: bytes, part: str, size: int) -> bytes:
    """The zip with another unpacked size of a part in its directory."""
    at = data.rindex(part.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    return data[: at + 24] + struct.pack("<I", size) + data[at + 28 :]


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(streams, "UNPACKED", 10**7)


def test_a_bomb_by_what_it_declares(tmp_path):
    said = refused_book(tmp_path, declared(xlsx(ROWS), SHEET, 3_000_000_000))
    assert "says that it unpacks to 3,000," in said


def test_a_bomb_that_declares_less(tmp_path, small_limits):
    bomb = repacked(
        xlsx(ROWS), SHEET, lambda sheet: sheet.replace(b"</sheetData>", b" " * 20_000_000 + b"</sheetData>")
    )
    assert "says that it unpacks to 20," in refused_book(tmp_path, bomb)
    assert "and unpacks to more than" in refused_book(tmp_path, declared(bomb, SHEET, 1000))


def test_two_cells_a_million_rows_apart_do_not_take_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(workbooks, "MEMORY", 5 * 10**8)
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    said = refused_book(tmp_path, repacked(xlsx(ROWS), SHEET, lambda sheet: sheet.replace(b"</sheetData>", far)))
    assert "takes more than 0.5 GB to read" in said


def test_a_password(tmp_path):
    encrypted = compound({"EncryptedPackage": b"\1" * 5000})
    assert "has a password" in refused_book(tmp_path, encrypted)
    flagged = bytearray(xlsx(ROWS))
    flagged[flagged.index(b"PK\x01\x02") + 8] |= 1
    assert "has a password" in refused_book(tmp_path, bytes(flagged))
    book = xls(ROWS)
    begin = struct.pack("<HH", 0x809, 16)
    at = book.index(begin) + 20
    filepass = struct.pack("<HH", 0x2F, 54) + b"\1\0" + b"\1\0\1\0" + b"\x55" * 48
    assert "has a password" in refused_book(tmp_path, book[:at] + filepass + book[at : -len(filepass)], "o.xls")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("o.xls", b"\xef\xbb\xbf<html><table><tr><td>1</td></tr></table></html>", "is an HTML page inside"),
        ("o.xls", TABLE.replace(",", "\t").encode("cp932"), "is no workbook inside"),
        ("o.xlsx", xlsx(ROWS)[:-30], "is not a whole workbook"),
        ("o.xlsx", xlsx(ROWS)[: len(xlsx(ROWS)) // 2], "is not a whole workbook"),
        ("o.xlsx", repacked(xlsx(ROWS), SHEET, lambda sheet: sheet[: len(sheet) // 2]), "is not a readable workbook"),
        ("o.xlsx", repacked(xlsx(ROWS), "xl/workbook.xml", lambda _: b"<a>"), "is not a readable workbook"),
        ("o.xls", xls(ROWS)[:700], "is not a readable workbook"),
        ("o.ods", repacked(ods(ROWS), "content.xml", lambda _: b"\0\1"), "is not a readable workbook"),
        ("o.xlsx", b"PK\x05\x06" + b"\0" * 18, "is no workbook inside"),
    ],
)
def test_what_is_no_workbook(tmp_path, name, data, words):
    assert words in refused_book(tmp_path, data, name)


def test_a_part_packed_in_a_way_that_no_spreadsheet_writes(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("xl/workbook.xml", "x" * 1000)
    assert "is not a whole workbook" in refused_book(tmp_path, out.getvalue())


def test_names_of_parts_lead_nowhere(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(xlsx(ROWS))) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.namelist():
            new.writestr(part, old.read(part))
        new.writestr("../../evil.txt", "evil")
        new.writestr("/tmp/ltvlab-evil.txt", "evil")
    staged = stage(tmp_path, {"o.xlsx": out.getvalue()}, source("path: o.xlsx"))
    assert staged.report["rows_accepted"].tolist() == [2]
    assert not list(tmp_path.rglob("evil.txt")) and not Path("/tmp/ltvlab-evil.txt").exists()


def test_an_entity_is_not_followed(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]>'.encode()

    def change(sheet: bytes) -> bytes:
        start = sheet.index(b"<worksheet")
        return sheet[:start] + entity + sheet[start:].replace("東京商事".encode(), b"&e;")

    try:
        staged = stage(tmp_path, {"o.xlsx": repacked(xlsx(ROWS), SHEET, change)}, source("path: o.xlsx"))
    except Refused:
        return
    assert "secret" not in staged.tables["customers"].to_pandas().to_string()


# --- links, paths, sheets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["o.xlsx", "o.csv.gz", "o.parquet"])
def test_links_out_of_the_folder_in_any_format(tmp_path, name):
    outside = tmp_path / name
    outside.write_bytes({"o.xlsx": xlsx(ROWS), "o.csv.gz": gzip.compress(TABLE.encode())}.get(name, parquet(TABLE)))
    folder = write(tmp_path, {"here.csv": TABLE})
    (folder / name).symlink_to(outside)
    for path in (name, "o.*", "."):
        said = refusal(sources.survey, params(source(f"path: '{path}'")), folder)
        assert "leads out of data/acme/" in said, path


@pytest.mark.parametrize("sheet", ["../../etc", "a\\b", "*", "[x]", "a\\0b", "a\\nb"])
def test_tricks_in_the_name_of_a_sheet(sheet):
    with pytest.raises(Refused, match="no sheet can be called so"):
        params(source(f'path: o.xlsx, sheet: "{sheet}"'.replace("\\b", "\\\\b")))


# --- whatever comes ---------------------------------------------------------------------------------------------------

CELL = st.one_of(st.text(max_size=8), st.sampled_from(["", '"', "A1", "2025-05-01", "1,000", "\0", "\r", "\n", "sale"]))
TAIL = st.one_of(
    st.binary(max_size=200), st.lists(CELL, max_size=16).map(lambda c: ",".join(c).encode("utf-8", "ignore"))
)


def one(folder: Path, name: str, content: bytes, more: str = "") -> files.SourceFile:
    path = folder / "acme" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    (found,) = files.find(params(source(f"path: {name}{more}")), path.parent)
    return found


def read(file: files.SourceFile) -> list[tuple]:
    """Rows as the engine gets them: number and cells."""
    from dataclasses import replace

    file = replace(file, header=readers.read_header(file))
    if not file.header:
        return []
    connection = ibis.duckdb.connect()
    table = readers.load(connection, file)
    rows = connection.raw_sql(f'SELECT * FROM "{table.get_name()}" ORDER BY row_no').fetchall()
    assert all(len(row) == len(file.header) + 1 for row in rows)
    assert len({row[0] for row in rows}) == len(rows)
    return rows


FUZZ = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def sentence(error: Refused) -> bool:
    said = str(error)
    return "data/acme/" in said and "\n" not in said and len(said) < 700


@given(content=st.binary(min_size=1, max_size=300), name=st.sampled_from(["o.csv", "o.txt", "o.tsv", "o.gz"]))
@FUZZ
def test_any_bytes_as_text(tmp_path, content, name):
    try:
        read(one(tmp_path, name, content))
    except Refused as error:
        assert sentence(error)


@given(tail=TAIL)
@FUZZ
def test_the_engine_and_python_read_the_same(tmp_path, tail):
    """DuckDB and Python read every plain file alike; what one of them refuses does not come in by the other."""
    content = TABLE.encode() + tail + b"\n"
    try:
        file = one(tmp_path, "o.csv", content)
        found = read(file)
    except Refused as error:
        assert sentence(error)
        return
    records = list(readers._records(file))
    assert [(n, [c or "" for c in cells]) for n, *cells in found] == records[1:]


@given(content=st.binary(min_size=1, max_size=200), name=st.sampled_from(["o.xlsx", "o.xls", "o.parquet", "o.ods"]))
@settings(FUZZ, max_examples=40)
def test_any_bytes_as_a_binary_file(tmp_path, content, name):
    heads = {"o.xlsx": b"PK\x03\x04", "o.xls": workbooks.OLE, "o.parquet": b"PAR1", "o.ods": b""}
    try:
        read(one(tmp_path, name, heads[name] + content))
    except Refused as error:
        assert sentence(error)
    else:
        raise AssertionError("these bytes are no file of that kind")


BOOKS = {"o.xlsx": xlsx(ROWS), "o.xls": xls(ROWS), "o.ods": ods(ROWS), "o.parquet": parquet(TABLE)}
BOOKS["o.csv.gz"] = gzip.compress(TABLE.encode())


@given(data=st.data(), name=st.sampled_from(sorted(BOOKS)))
@settings(FUZZ, max_examples=20)
def test_a_file_with_some_bytes_changed(tmp_path, data, name):
    content = bytearray(BOOKS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert len(read(one(tmp_path, name, bytes(content)))) <= 100
    except Refused as error:
        assert sentence(error)


@given(changed=st.binary(min_size=1, max_size=60), at=st.integers(0, 400))
@settings(FUZZ, max_examples=12)
@pytest.mark.slow
def test_a_sheet_with_some_xml_changed(tmp_path, changed, at):
    book = repacked(xlsx(ROWS), SHEET, lambda sheet: sheet[: 300 + at] + changed + sheet[300 + at :])
    try:
        read(one(tmp_path, "o.xlsx", book))
    except Refused as error:
        assert sentence(error)


@given(rows=st.lists(st.lists(CELL, min_size=len(NAMES), max_size=len(NAMES)), max_size=6))
@settings(FUZZ, max_examples=12)
def test_rows_read_are_rows_accepted_and_rows_refused(tmp_path, rows):
    import csv

    csv.writer(out := io.StringIO(), lineterminator="\n").writerows(rows)
    content = (TABLE + out.getvalue()).encode("utf-8", "ignore")
    try:
        staged = stage(tmp_path, {"orders.csv": content})
    except Refused as error:
        assert sentence(error)
        return
    report = staged.report.iloc[0]
    assert report["rows_read"] == report["rows_accepted"] + report["rows_rejected"]
    assert report["rows_rejected"] == len(staged.rejected)
    assert report["amount_read"] == report["amount_accepted"] + report["amount_rejected"]
