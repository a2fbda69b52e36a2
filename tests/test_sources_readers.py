"""What companies really export comes in as it stands: packed, in any encoding, as workbooks, from databases."""

from __future__ import annotations

import datetime
import gzip
import io

import ibis
import pandas as pd
import pytest

from ltvlab_utils import sources
from tests.sources_world import HEADER, params, stage, survey, write
from tests.test_sources_files import refusal
from tests.workbook_world import ods, with_cached, xls, xlsx

ROW = "A1,1,東京商事,2025-05-01,confirmed,2,1000,sale\n"
TABLE = HEADER + ROW + "A2,1,㈱髙島電機,2025-05-31,confirmed,1,500,sale\n"
NAMES = HEADER.strip().split(",")
ROWS = [NAMES, *(line.split(",") for line in TABLE.splitlines()[1:])]


def lines(staged: sources.Staged) -> list[tuple]:
    table = staged.tables["order_lines"].order_by("order_id")
    frame = table.select("order_id", "customer_id", "ordered_at", "quantity", "net_amount").to_pandas()
    return [(a, b, str(c), d, float(e)) for a, b, c, d, e in frame.itertuples(index=False)]


WANTED = [
    ("A1", "東京商事", "2025-05-01 00:00:00", 2.0, 1000.0),
    ("A2", "㈱髙島電機", "2025-05-31 00:00:00", 1.0, 500.0),
]


def source(more: str) -> str:
    return f"  order_lines: [{{{more}}}]"


def parquet(text: str) -> bytes:
    pd.read_csv(io.StringIO(text), dtype=str).to_parquet(out := io.BytesIO())
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("o.csv", TABLE.encode()),
        ("o.CSV.GZ", gzip.compress(TABLE.encode())),
        ("o.txt", TABLE.encode("cp932")),
        ("o.tsv", TABLE.replace(",", "\t").encode()),
        ("o.tsv.gz", gzip.compress(TABLE.replace(",", "\t").encode("cp932"))),
        ("o.parquet", parquet(TABLE)),
        ("o.xlsx", xlsx(ROWS)),
        ("o.xls", xls(ROWS)),
        ("o.ods", ods(ROWS)),
    ],
)
def test_the_name_says_the_format(tmp_path, name, content):
    assert lines(stage(tmp_path, {name: content}, source(f"path: {name}"))) == WANTED


ENCODINGS = ("utf-8", "utf-8-sig", "cp932", "utf-16")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoding_is_found(tmp_path, encoding):
    assert lines(stage(tmp_path, {"orders.csv": TABLE.encode(encoding)})) == WANTED


@pytest.mark.parametrize("encoding", ["euc_jp", "iso2022_jp", "utf-16-be", "cp932"])
def test_old_encodings_are_found(tmp_path, encoding):
    plain = TABLE.replace("㈱髙島", "島")
    data = "\ufeff".encode(encoding) if encoding.startswith("utf") else b""
    staged = stage(tmp_path, {"orders.csv": data + plain.encode(encoding)})
    assert [line[1] for line in lines(staged)] == ["東京商事", "島電機"]


def test_an_encoding_is_found_where_only_the_last_line_tells(tmp_path):
    many = "".join(f"B{i},1,plain,2025-05-01,confirmed,1,1,sale\n" for i in range(120_000))
    staged = stage(tmp_path, {"orders.csv": (HEADER + many + ROW).encode("cp932")})
    assert "東京商事" in set(staged.tables["order_lines"].customer_id.to_pandas())


def test_no_encoding_fits(tmp_path):
    said = refusal(survey, tmp_path, {"orders.csv": TABLE.encode() + b"A3,\xff\xff,x\n"})
    assert "data/acme/orders.csv, line 4: in no encoding that is known" in said and "`encoding`" in said


def test_a_declared_encoding_that_does_not_fit_is_refused(tmp_path):
    said = refusal(stage, tmp_path, {"orders.csv": TABLE.encode("cp932")}, source("path: orders.csv, encoding: utf-8"))
    assert "line 2: not utf-8" in said and "encoding: cp932" in said
    said = refusal(stage, tmp_path, {"orders.csv": TABLE.encode()}, source("path: orders.csv, encoding: ascii"))
    assert "line 2: not ascii. It reads as utf-8" in said


@pytest.mark.parametrize("name", ["hex", "rot13", "undefined", "zip"])
def test_a_codec_that_is_no_encoding(tmp_path, name):
    said = refusal(survey, tmp_path, {"orders.csv": TABLE}, source(f"path: orders.csv, encoding: {name}"))
    assert f'no encoding is called "{name}"' in said


def test_rows_before_the_header_are_skipped_and_counted(tmp_path):
    table = "売上明細 2025年5月\n\n" + HEADER + ROW + ",,,,,,,\n" + ROW.replace("A1,", ",")
    for name, content in {"o.csv": table.encode(), "o.gz": gzip.compress(table.encode("cp932"))}.items():
        staged = stage(tmp_path / name, {name: content}, source(f"path: {name}, skip: 2"))
        assert staged.report["rows_read"].tolist() == [3]
        assert staged.rejected["row_no"].tolist() == [5, 6]  # as a spreadsheet numbers them


CELLS = [
    ["売上明細（2025年5月度）"],
    [],
    [*NAMES, None, "備考欄外"],
    ["A1", 1, 100234, datetime.date(2025, 5, 1), "confirmed", 2, 1000, "sale"],
    [],
    ["A2", 1.0, "C-7", datetime.datetime(2025, 5, 2, 13, 5, 9), "confirmed", 0.5, 1234567.25, "sale", None, "メモ"],
    ["A3", 1, "C-7", "2025/5/3", "confirmed", 1, "1,000円", "sale"],
    ["合計", None, None, None, None, None, 1236567.25, None],
]


def test_cells_of_a_workbook_come_as_their_texts(tmp_path):
    staged = stage(tmp_path, {"o.xlsx": xlsx(CELLS)}, source("path: o.xlsx, skip: 1"))
    assert lines(staged) == [
        ("A1", "100234", "2025-05-01 00:00:00", 2.0, 1000.0),
        ("A2", "C-7", "2025-05-02 13:05:09", 0.5, 1234567.25),
        ("A3", "C-7", "2025-05-03 00:00:00", 1.0, 1000.0),
    ]
    assert staged.report[["rows_read", "rows_rejected"]].to_numpy().tolist() == [[4, 1]]
    assert staged.rejected[["file", "row_no"]].to_numpy().tolist() == [["acme/o.xlsx", 8]]


def test_dates_of_an_opendocument_sheet(tmp_path):
    row = ["A1", 1.0, "東京商事", "date:2025-05-01", "confirmed", 2.0, 1000.5, "sale"]
    staged = stage(tmp_path, {"o.ods": ods([NAMES, row])}, source("path: o.ods"))
    assert lines(staged) == [("A1", "東京商事", "2025-05-01 00:00:00", 2.0, 1000.5)]


def test_a_formula_counts_by_its_saved_value(tmp_path):
    row = ["A1", 1, "alpha", datetime.date(2025, 5, 1), "confirmed", 2, "=F2*500", "sale"]
    book = with_cached(xlsx([NAMES, row]), "F2*500", "1000")
    assert lines(stage(tmp_path, {"o.xlsx": book}, source("path: o.xlsx")))[0][4] == 1000.0


def test_a_formula_in_csv_stays_text(tmp_path):
    row = 'A1,1,"=HYPERLINK(""x"")",2025-05-01,confirmed,1,=1+1,sale\n'
    staged = stage(tmp_path, {"orders.csv": TABLE + row.replace("A1", "=2+2")})
    assert staged.rejected[["column", "value"]].to_numpy().tolist() == [["net_amount", "=1+1"]]


@pytest.mark.slow
def test_sheets_by_name_and_the_first_where_none_is_named(tmp_path):
    book = xlsx(ROWS[:2], "4月", **{"5月": [NAMES, ROWS[2]], "空": []})
    assert [line[0] for line in lines(stage(tmp_path, {"o.xlsx": book}, source("path: o.xlsx")))] == ["A1"]
    both = "  order_lines: [{path: o.xlsx, sheet: 4月}, {path: o.xlsx, sheet: 5月}]"
    staged = stage(tmp_path, {"o.xlsx": book}, both)
    assert lines(staged) == WANTED and sorted(staged.report["file"]) == ["acme/o.xlsx [4月]", "acme/o.xlsx [5月]"]
    said = refusal(survey, tmp_path, {"o.xlsx": book}, source("path: o.xlsx, sheet: 6月"))
    assert 'has no sheet "6月"' in said and "5月" in said
    twice = "  order_lines: [{path: o.xlsx, sheet: 4月}, {path: 'o.*', sheet: 4月}]"
    assert "matched twice" in refusal(survey, tmp_path, {"o.xlsx": book}, twice)
    assert 'no column "' in refusal(survey, tmp_path, {"o.xlsx": book}, source("path: o.xlsx, sheet: 空"))


@pytest.mark.slow
def test_a_workbook_without_a_header_row(tmp_path):
    named = source(f"path: o.xlsx, header: [{', '.join([*NAMES, 'cost_amount'])}]")
    staged = stage(tmp_path, {"o.xlsx": xlsx(ROWS[1:])}, named)
    assert lines(staged) == WANTED and staged.tables["order_lines"].cost_amount.count().to_pandas() == 0
    said = refusal(survey, tmp_path, {"o.xlsx": xlsx(ROWS[1:])}, source("path: o.xlsx, header: [order_id]"))
    assert "8 columns" in said and "names 1" in said


def test_a_folder_of_mixed_files(tmp_path):
    rows = [NAMES] + [[f"A{i}", *ROWS[1][1:]] for i in range(5)]

    def text(i: int) -> str:
        return HEADER + ",".join(rows[i + 1]) + "\n"

    files = {
        "in/a.csv": text(0), "in/b.tsv": text(1).replace(",", "\t"), "in/c.csv.gz": gzip.compress(text(2).encode()),
        "in/d.parquet": parquet(text(3)), "in/e.xlsx": xlsx([NAMES, rows[5]]),
    }  # fmt: skip
    staged = stage(tmp_path, files, source("path: in"))
    assert [line[0] for line in lines(staged)] == ["A0", "A1", "A2", "A3", "A4"]
    assert staged.report["rows_read"].tolist() == [1] * 5


def test_a_packed_copy_is_the_same_file(tmp_path):
    files = {"in/a.csv": TABLE, "in/a.csv.gz": gzip.compress(TABLE.encode())}
    assert "byte for byte" in refusal(survey, tmp_path, files, source("path: in"))


@pytest.mark.slow
def test_a_large_packed_file_is_read_by_the_engine_and_packs_well(tmp_path):
    text = HEADER + ROW + "".join(f"B{i},1,c,2025-05-01,confirmed,1,1,sale\n" for i in range(200_000))
    text += "C,1,c,2025-05-01,confirmed,1,1,sale" + " " * 40_000 + "\n"
    staged = sources.stage(
        params(source("path: o.csv.gz")), write(tmp_path, {"o.csv.gz": gzip.compress(text.encode())}),
        ibis.duckdb.connect(),
    )  # fmt: skip
    assert staged.report["rows_accepted"].tolist() == [200_002]


@pytest.mark.parametrize("name", ["o[1].parquet", "a*?.parquet", "o[1].csv.gz", "[x].csv", "o'[1].xlsx"])
def test_names_that_look_like_patterns(tmp_path, name):
    files = {name: parquet(TABLE), "o1.parquet": b"x", "o1.csv.gz": b"x", "x.csv": "x"}
    files[name] = {".gz": gzip.compress(TABLE.encode()), "csv": TABLE.encode(), "lsx": xlsx(ROWS)}.get(
        name[-3:], parquet(TABLE)
    )
    shown = name.replace("'", "''")
    assert lines(stage(tmp_path, files, source(f"path: '{shown}'"))) == WANTED
