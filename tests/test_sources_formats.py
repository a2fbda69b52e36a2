"""One company in every export form: what is written is what the systems write, and what is read again is the same."""

from __future__ import annotations

import csv
import hashlib
import io
import textwrap
from datetime import datetime
from zipfile import ZipFile

import ibis
import openpyxl
import pandas as pd
import pytest
import yaml

from ltvlab_utils import sample, sources
from ltvlab_utils.errors import Refused
from ltvlab_utils.sources import formats, ready
from ltvlab_utils.sources.formats import FORMS, WORKBOOK, settings, write
from tests.sources_world import params

# SHA-256 of the header rows of real exports (EC-CUBE 4 in cp932, Shopify 2025), without the line end
REAL_HEADER = {
    "order.csv": (70, "043d0f0b8b63d70ce1460fcdca192e415f7764bc4506d70dd9e1ce6ebf8e21dc"),
    "customer.csv": (28, "8cd7d3062d3526c701d30af5bdf914c980f375739c2fc71524ab9a3aaad0250a"),
    "orders_export.csv": (61, "3625cb523eb766dc48a42b0c2b901ad9d1f318d2a02498b4dc346cf423e5758b"),
}
NAMES = {
    "C0001": "=cmd|' /C calc'!A0",
    "C0002": '"引用符", 株式会社',
    "C0003": "改行\n商会",
    "C0004": "工場🏭",
    "C0005": "𠮷野家具",
    "C0006": "髙島〜屋①㈱",
    "007": "#N/A",
    "C0008": " 空白 ",
}
# order, line, customer, ordered at, status, product, quantity, net, discount, tax rate, kind, order that it reduces
ROWS = """
A01,1,C0001,2024-04-01 09:00,confirmed,P-01,3,1000,0,0.1,sale,
A01,2,C0001,2024-04-01 09:00,confirmed,P-02,1,2505,195,0.1,sale,
A01,3,C0001,2024-04-01 09:00,confirmed,P-03,7,999,0,0.08,sale,
A02,1,C0002,2024-04-02 10:30,confirmed,P-01,12,12000,0,0.1,sale,
A03,1,C0003,2024-05-07 11:00,confirmed,P-02,2,5000,400,0.1,sale,
A03,2,C0003,2024-05-07 11:00,confirmed,P-04,1,0,0,0.1,sale,
A04,1,C0004,2024-05-08 12:00,cancelled,P-01,1,90000,0,0.1,sale,
A05,1,C0005,2024-06-30 23:59,confirmed,P-05,4,333,0,0.1,sale,
A05,2,C0005,2024-06-30 23:59,confirmed,P-01,4,4000,0,0.1,sale,
A06,1,C0006,2024-07-01 00:00,confirmed,P-01,1,1005,0,0.1,sale,
R01,1,C0002,2024-07-02 09:00,confirmed,P-01,-6,-6000,0,0.1,return,A02
R02,1,C0001,2024-07-03 09:00,confirmed,P-02,-1,-2505,0,0.1,return,A01
A07,1,007,2024-08-01 09:00,confirmed,P-05,2.5,2505,0,0.1,sale,
A07,2,007,2024-08-01 09:00,confirmed,P-05,1,1000,0,0,sale,
A08,1,C0008,2024-09-01 09:00,confirmed,P-03,30,30000,1500,0.08,sale,
A09,1,C0006,2024-10-01 09:00,confirmed,P-01,1,1000,0,0.1,sale,
R03,1,C0006,2024-10-09 09:00,confirmed,P-01,-1,-1000,0,0.1,return,A09
A10,1,C0002,2024-12-28 09:00,backlog,P-02,5,11000,0,0.1,sale,
A10,2,C0002,2024-12-28 09:00,backlog,P-04,1,1,0,0.1,sale,
A11,1,C0001,2024-12-29 09:00,confirmed,P-01,1,1000,0,0.1,sale,
"""


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    """Orders, customers (one without an order), products, a contract, contacts: visible rows."""
    columns = "order_id line_no customer_id ordered_at status product_id quantity net_amount discount_amount tax_rate"
    lines = pd.read_csv(
        io.StringIO(ROWS), header=None, names=[*columns.split(), "kind", "returns_order_id"], dtype={"customer_id": str}
    )
    ordered = pd.to_datetime(lines["ordered_at"])
    shipped = (ordered.dt.normalize() + pd.Timedelta(days=2)).where(lines["status"] == "confirmed")
    lines = lines.assign(ordered_at=ordered, shipped_on=shipped)
    lines["cost_amount"] = (lines["net_amount"] // 2).where(lines.index != 3)
    customers = pd.DataFrame({"customer_id": [*NAMES, "C0009"], "customer_name": [*NAMES.values(), "注文なし"]})
    customers["acquired_on"] = pd.to_datetime(["2024-03-01", None, *["2024-04-01"] * 7])
    products = pd.DataFrame({"product_id": [f"P-0{i}" for i in range(1, 6)], "line": "goods", "kind": "goods"})
    products["name"] = ["部品", "=1+1", "食品", "説明書", "布"]
    terms = {
        "contract_id": "K1", "customer_id": "007", "product_id": None, "term_no": 1,
        "starts_on": pd.Timestamp("2024-01-01"), "ends_on": pd.Timestamp("2024-12-31"), "term_months": 12,
        "billing": "monthly", "monthly_amount": 50_000, "auto_renew": True, "outcome": "open", "outcome_on": pd.NaT,
    }  # fmt: skip
    contacts = {
        "contact_id": "T1", "customer_id": "C0002", "name": "山田 太郎", "email": "taro@example.com",
        "postal_code": "0600001", "address": "札幌市中央区北一条西二丁目",
    }  # fmt: skip
    return {
        "order_lines": lines,
        "customers": customers,
        "products": products,
        "contract_terms": pd.DataFrame([terms]),
        "contacts": pd.DataFrame([contacts]),
    }


def staged(frames, folder, form) -> tuple[sources.Staged, formats.Written]:
    written = write(frames, folder, form)
    tables = textwrap.indent(yaml.safe_dump(settings(form, frames), allow_unicode=True), "  ")
    parameters = params(tables, period="2024-12", more="tax: {rounding: half_up}")
    assert len(sources.survey(parameters, folder)) >= 1
    return sources.stage(parameters, folder, ibis.duckdb.connect()), written


def rows(file, encoding="utf-8") -> pd.DataFrame:
    """A csv as the csv module reads it, columns by position where a name stands twice."""
    with file.open(encoding=encoding, newline="") as text:
        header, *records = csv.reader(text)
    frame = pd.DataFrame(records, columns=header)
    return frame.loc[:, ~frame.columns.duplicated()]


def refusal(frames, folder, form) -> str:
    with pytest.raises(Refused) as error:
        write(frames, folder, form)
    assert "\n" not in str(error.value)
    return str(error.value)


def with_lines(frames, **changes) -> dict[str, pd.DataFrame]:
    """The company with values of its first order line replaced."""
    lines = frames["order_lines"].astype(object)
    for column, value in changes.items():
        lines.loc[0, column] = value
    return {**frames, "order_lines": lines}


@pytest.mark.parametrize(
    ("form", "tables"), [("csv", 5), ("parquet", 2), pytest.param("xlsx", 5, marks=pytest.mark.slow)]
)
def test_csv_and_parquet_are_read_again_whole(frames, tmp_path, form, tables):
    frames = dict(list(frames.items())[:tables])
    read, written = staged(frames, tmp_path, form)
    assert sorted(written) == ([WORKBOOK] if form == "xlsx" else sorted(f"{name}.{form}" for name in frames))
    assert not read.report["rows_rejected"].any() and read.report["columns_unknown"].isna().all()
    lines = read.tables["order_lines"].order_by(["ordered_at", "order_id", "line_no"]).to_pandas()
    wanted = frames["order_lines"].sort_values(["ordered_at", "order_id", "line_no"], ignore_index=True)
    assert lines["net_amount"].sum() == int(wanted["net_amount"].sum())
    for column in ("order_id", "customer_id", "status", "kind", "product_id"):
        assert lines[column].tolist() == wanted[column].tolist()
    for column in ("quantity", "net_amount", "cost_amount", "tax_rate"):
        pd.testing.assert_series_equal(lines[column].astype(float), wanted[column].astype(float), check_names=False)
    assert lines["ordered_at"].tolist() == wanted["ordered_at"].tolist()
    names = read.tables["customers"].to_pandas().set_index("customer_id")["customer_name"]
    assert {k: names[k] for k in NAMES} == {k: v.strip() for k, v in NAMES.items()}


def test_a_workbook_holds_the_same(frames, tmp_path):
    assert write(frames, tmp_path, "xlsx") == [WORKBOOK]
    book = openpyxl.load_workbook(tmp_path / WORKBOOK)
    assert book.sheetnames == list(frames)
    for name, frame in frames.items():
        header, *records = book[name].iter_rows(values_only=True)
        assert list(header) == list(frame.columns)
        plain = frame.astype(object).where(frame.notna(), None)
        assert [list(r) for r in records] == [[_native(v) for v in r] for r in plain.to_numpy().tolist()]
    sheet = book["customers"]
    assert [sheet.cell(2, 2).data_type, sheet.cell(8, 1).value, sheet.cell(8, 2).data_type] == ["s", "007", "s"]
    moment, day = (book["order_lines"].cell(2, 1 + list(frames["order_lines"]).index(c)) for c in
                   ("ordered_at", "shipped_on"))  # fmt: skip
    assert moment.is_date and moment.value == datetime(2024, 4, 1, 9) and day.number_format == "yyyy-mm-dd"
    assert book.properties.modified == book.properties.created == datetime(2000, 1, 1)
    with ZipFile(tmp_path / WORKBOOK) as parts:  # no clock
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def _native(value):
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def test_a_workbook_refuses_what_it_would_cut_or_break(frames, tmp_path, monkeypatch):
    assert "control character" in refusal(with_lines(frames, product_id="P\x07"), tmp_path, "xlsx")
    assert "32,767 characters" in refusal(with_lines(frames, product_id="x" * 32_768), tmp_path, "xlsx")
    monkeypatch.setattr(formats, "SHEET_ROWS", len(frames["order_lines"]))
    assert "order_lines has 20 rows, but a sheet holds 20" in refusal(frames, tmp_path, "xlsx")
    assert not list(tmp_path.iterdir())  # nothing half written


@pytest.mark.parametrize("form", FORMS)
def test_equal_frames_are_equal_bytes(frames, tmp_path, form):
    first, second = write(frames, tmp_path / "a", form), write(frames, tmp_path / "b", form)
    assert first == second and sorted(first) == sorted(p.name for p in (tmp_path / "b").iterdir())
    for name in first:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.parametrize(("form", "name"), [("eccube", "order.csv"), ("eccube", "customer.csv"),
                                            ("shopify", "orders_export.csv")])  # fmt: skip
def test_headers_are_those_of_the_real_systems(frames, tmp_path, form, name):
    write(frames, tmp_path, form)
    header = (tmp_path / name).read_bytes().split(b"\r\n")[0]
    assert (header.count(b",") + 1, hashlib.sha256(header).hexdigest()) == REAL_HEADER[name]


def test_eccube_orders(frames, tmp_path):
    written = write(frames, tmp_path, "eccube")
    table = rows(tmp_path / "order.csv", "cp932")
    assert len(table) == len(frames["order_lines"]) and written.left_out == 0
    first = table[table["注文番号"] == "A01"]
    # by hand: 1000 + 100, 2505 + 251 (250.5 half up), 999 + 80 (79.92)
    assert set(first["小計"]) == {"4935"} and set(first["税金"]) == {"431"} and set(first["支払合計"]) == {"4935"}
    assert first["価格"].tolist() == ["1000", "2505", "999"] and first["税率"].tolist() == ["10", "10", "8"]
    # 1000 does not divide by 3, nor 999 by 7: one lot each; 12000 divides by 12
    assert first["規格分類名1"].tolist() == ["3", "1", "7"] and set(first["個数"]) == {"1"}
    assert table[table["注文番号"] == "A02"][["価格", "個数", "規格分類名1"]].to_numpy().tolist() == [
        ["1000", "12", "1"]
    ]
    assert first["受注日"].iloc[0] == "2024-04-01 09:00:00" and first["発送日"].iloc[0] == "2024-04-03 00:00:00"
    back = table[table["注文番号"] == "R02"].iloc[0]
    assert back[["対応状況(ID)", "対応状況(名称)", "価格", "合計", "ショップ用メモ欄"]].tolist() == [
        "9", "返品", "-2505", "-2756", "A01",
    ]  # fmt: skip
    states = table.drop_duplicates("注文番号").set_index("注文番号")
    assert states.loc[["A02", "A04", "A10"], "対応状況(名称)"].tolist() == ["発送済み", "注文取消し", "新規受付"]
    assert states.loc["A02", ["お名前(姓)", "お名前(名)", "郵便番号"]].tolist() == ["山田", "太郎", "0600001"]
    assert states["受注日"].is_monotonic_increasing and table["注文詳細ID"].is_unique


def test_eccube_members(frames, tmp_path):
    write(frames, tmp_path, "eccube")
    members = rows(tmp_path / "customer.csv", "cp932").set_index("会員ID")
    assert list(members.index) == [*NAMES, "C0009"]
    bought = members[["購入回数", "購入金額", "初回購入日", "最終購入日"]]
    # A02 12,000 and A10 11,001, each with 10 % (1200; 1100 + 0); R01 is no purchase
    assert bought.loc["C0002"].tolist() == ["2", "25301", "2024-04-02 10:30:00", "2024-12-28 09:00:00"]
    assert bought.loc["C0004"].tolist() == ["0", "0", "", ""]  # cancelled


def test_eccube_is_read_again_to_the_yen(frames, tmp_path):
    read, _ = staged(frames, tmp_path, "eccube")
    lines = read.tables["order_lines"].order_by(["order_id", "line_no"]).to_pandas()
    wanted = frames["order_lines"].sort_values(["order_id", "line_no"], ignore_index=True)
    assert not read.report["rows_rejected"].any()
    assert lines.loc[lines["order_id"].isin(["A02", "R01", "A10"]), "quantity"].tolist() == [12, 5, 1, -6]
    same = "order_id customer_id status kind product_id net_amount tax_rate ordered_at shipped_on"
    for column in same.split():
        as_number = lines[column].astype(float) if wanted[column].dtype.kind in "if" else lines[column]
        shown = pd.to_datetime(as_number) if wanted[column].dtype.kind == "M" else as_number
        left, right = shown.tolist(), wanted[column].tolist()
        assert [v for v in left if pd.notna(v)] == [v for v in right if pd.notna(v)], column
    back = lines[lines["kind"] == "return"]
    assert back["returns_order_id"].tolist() == ["A02", "A01", "A09"]
    people = read.tables["customers"].to_pandas().set_index("customer_id")
    assert people["acquired_on"].notna().sum() == 8 and people.loc["C0001", "acquired_on"] == pd.Timestamp("2024-03-01")


def test_what_cp932_lacks_is_counted_and_codes_are_never_changed(frames, tmp_path):
    written = write(frames, tmp_path, "eccube")
    names = rows(tmp_path / "customer.csv", "cp932").set_index("会員ID")["会社名"]
    kept = {k: v for k, v in NAMES.items() if k not in ("C0004", "C0005", "C0006")}
    assert {k: names[k] for k in kept} == kept
    assert names[["C0004", "C0005", "C0006"]].tolist() == ["工場〓", "〓野家具", "髙島～屋①㈱"]
    # 🏭 once as member and on one order line, 𠮷 on two, each as customer and as ship-to
    assert written.replaced == (1 + 2 * 1) + (1 + 2 * 2)
    for code in ("A〜1", "A¥1", "A🏭"):
        assert f"order_lines.order_id is {code}" in refusal(with_lines(frames, order_id=code), tmp_path, "eccube")


def test_shopify_orders(frames, tmp_path):
    written = write(frames, tmp_path, "shopify")
    table = rows(tmp_path / "orders_export.csv")
    sales = frames["order_lines"].query("kind == 'sale'")
    assert table["Name"].tolist() == sales["order_id"].tolist() and written.left_out == 0
    first = ~table["Name"].duplicated()
    of_item = [c for c in table if c.startswith("Lineitem") and c != "Lineitem compare at price"]
    blank = table.columns.difference([*of_item, "Name", "Email"])
    assert (table.loc[~first, blank] == "").all(axis=None) and (table[of_item] != "").all(axis=None)
    numbers = table[["Lineitem price", "Lineitem quantity", "Lineitem discount"]].astype(int)
    full = numbers["Lineitem price"] * numbers["Lineitem quantity"]
    sums = (full - numbers["Lineitem discount"]).groupby(table["Name"]).sum()
    orders = table[first].set_index("Name")
    assert sums.to_dict() == sales.groupby("order_id")["net_amount"].sum().to_dict()
    assert sums.to_dict() == orders["Subtotal"].astype(int).to_dict()
    assert table.loc[0, of_item].tolist() == ["3", "部品", "334", "P-01", "true", "true", "fulfilled", "2"]
    wanted = "paid partially_refunded refunded voided pending"
    seen = orders.loc[["A03", "A02", "A09", "A04", "A10"], "Financial Status"]
    assert seen.tolist() == wanted.split()
    a01 = orders.loc["A01", ["Subtotal", "Taxes", "Total", "Discount Amount", "Refunded Amount", "Created at"]]
    assert a01.tolist() == ["4504", "431", "4935", "199", "2756", "2024-04-01 09:00:00 +0900"]
    assert set(orders["Currency"]) == {"JPY"} and orders.loc["A02", "Billing Zip"] == "'0600001"
    assert orders.loc["A05", "Billing Company"] == "𠮷野家具" and orders.loc["A03", "Billing Company"] == "改行\n商会"


def test_shopify_reads_again_with_its_refunds(frames, tmp_path):
    read, _ = staged(frames, tmp_path, "shopify")
    lines = read.tables["order_lines"].order_by(["order_id", "line_no"]).to_pandas()
    wanted = frames["order_lines"].query("kind == 'sale'").sort_values(["order_id", "line_no"], ignore_index=True)
    assert read.rejected.empty
    sales, back = (lines[lines["kind"] == kind].reset_index(drop=True) for kind in ("sale", "return"))
    assert len(lines) == len(sales) + len(back)
    for column in ("order_id", "customer_id", "ordered_at", "status", "product_id"):
        assert sales[column].tolist() == wanted[column].tolist(), column
    assert sales["net_amount"].astype(int).tolist() == wanted["net_amount"].tolist()
    # the tax of an order is known as a whole: 2505 at 10 % beside a line at 8 % reads as 2515
    assert back["net_amount"].astype(int).tolist() == [-2515, -6000, -1000]
    assert back["order_id"].tolist() == back["returns_order_id"].tolist() == ["A01", "A02", "A09"]
    assert back["ordered_at"].dt.strftime("%m-%d").tolist() == ["04-01", "04-02", "10-01"]


def months(lines: pd.DataFrame) -> dict:
    """Revenue of confirmed lines by month, sales and returns together."""
    counted = lines[lines["status"] == "confirmed"]
    month = pd.to_datetime(counted["ordered_at"]).dt.strftime("%Y-%m")
    return counted["net_amount"].astype(float).groupby(month).sum().to_dict()


@pytest.fixture(scope="module")
def small_company() -> dict[str, pd.DataFrame]:
    made = sample.generate(sample.Setting(customers=40, months=14, seed=11), faulty=False).frames
    return {name: made[name] for name in ("order_lines", "customers", "contacts")}


def read_by_its_ready_mapping(frames, folder, form, name) -> pd.DataFrame:
    """What the files of a form hold for somebody who names the ready mapping and nothing else."""
    write(frames, folder, form)
    file = {"eccube": "order.csv", "shopify": "orders_export.csv", "uriage": "売上明細.xlsx"}[form]
    more = "skip: 2, " if form == "uriage" else ""
    company = "".join(f"{key}: {value}\n" for key, value in ready.read(name).settings.items())
    parameters = params(f"  order_lines: [{{{more}path: {file}, mapping: {name}}}]", more=company)
    read = sources.stage(parameters, folder, ibis.duckdb.connect())
    assert read.rejected.empty
    return read.tables["order_lines"].to_pandas()


@pytest.mark.parametrize(("form", "name"), [("eccube", "eccube4_orders"), ("uriage", "uriage_meisai")])
def test_revenue_by_month_is_the_same_from_another_system(small_company, tmp_path, form, name):
    assert months(read_by_its_ready_mapping(small_company, tmp_path, form, name)) == months(
        small_company["order_lines"]
    )


def test_revenue_by_month_is_the_same_from_shopify_before_refunds_which_have_no_day(small_company, tmp_path):
    lines = small_company["order_lines"]
    read = read_by_its_ready_mapping(small_company, tmp_path, "shopify", "shopify_orders")
    assert months(read[read["kind"] != "return"]) == months(lines[lines["kind"] != "return"])
    back, wanted = read[read["kind"] == "return"], lines[(lines["kind"] == "return") & (lines["status"] == "confirmed")]
    # the export says what an order's tax is, not a line's: off by the rounding of its lines at most
    assert len(wanted) and abs(float(back["net_amount"].sum()) - wanted["net_amount"].sum()) <= len(wanted)


def test_returns_without_their_order_are_counted(frames, tmp_path):
    lines = frames["order_lines"]
    kept = {**frames, "order_lines": lines[lines["order_id"] != "A02"]}
    written = write(kept, tmp_path, "shopify")
    assert (written.left_out, written.left_out_amount) == (1, -6000)


def test_shipping_fees_and_guests(frames, tmp_path):
    lines = frames["order_lines"].iloc[:5].assign(returns_order_id=None)
    lines.loc[1, "kind"], lines.loc[2, "kind"] = "shipping", "fee"
    lines.loc[3, "customer_id"] = None
    mixed = {"order_lines": lines}
    write(mixed, tmp_path, "eccube"), write(mixed, tmp_path, "shopify")
    table = rows(tmp_path / "order.csv", "cp932")
    assert table["明細区分(名称)"].tolist() == ["商品", "送料", "手数料", "商品", "商品"]
    assert table.loc[:2, "価格"].tolist() == ["1000", "2756", "1079"]  # 送料 and 手数料 with tax, as EC-CUBE has them
    assert table.loc[0, ["小計", "送料", "合計"]].tolist() == ["1100", "2756", "4935"]
    assert table.loc[3, ["会員ID", "会社名"]].tolist() == ["", ""]
    shop = rows(tmp_path / "orders_export.csv")
    assert shop.loc[0, ["Subtotal", "Shipping", "Taxes", "Total"]].tolist() == ["1999", "2505", "431", "4935"]
    assert shop["Lineitem name"].tolist() == ["P-01", "P-03", "P-01", "P-02"] and shop.loc[2, "Tags"] == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"net_amount": 10.5}, "net_amount is 10.5"),
        ({"net_amount": None}, "whole yen"),
        ({"ordered_at": "未定"}, "ordered_at is 未定: not a time"),
        ({"status": "保留"}, "status is 保留: not a code"),
        ({"order_id": None}, "every line needs its order"),
    ],
)
def test_shops_refuse_lines_that_they_cannot_hold(frames, tmp_path, change, said):
    for form in ("eccube", "shopify"):
        assert said in refusal(with_lines(frames, **change), tmp_path, form)


def test_other_refusals(frames, tmp_path):
    assert "lines differ in status" in refusal(with_lines(frames, status="backlog"), tmp_path, "shopify")
    assert "order_lines is missing" in refusal({"customers": frames["customers"]}, tmp_path, "eccube")
    no_kind = {"order_lines": frames["order_lines"].drop(columns="kind")}
    assert "has no column kind" in refusal(no_kind, tmp_path, "shopify")
    assert 'No form is called "excel"' in refusal(frames, tmp_path, "excel")
    assert 'Did you mean "customers"?' in refusal({"customer": frames["customers"]}, tmp_path, "csv")
    assert "no table" in refusal({}, tmp_path, "csv")
    assert "cannot be written as Parquet" in refusal(with_lines(frames, net_amount="about 5"), tmp_path, "parquet")


def test_tables_without_rows(frames, tmp_path):
    empty = {name: frame.iloc[:0] for name, frame in frames.items()}
    for form in FORMS:
        assert write(empty, tmp_path / form, form)
    assert len(rows(tmp_path / "eccube" / "order.csv", "cp932")) == 0
