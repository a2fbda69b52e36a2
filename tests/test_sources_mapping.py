"""The mapping language: what each key of a source does to rows, and how rows and amounts still reconcile."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import ibis
import pandas as pd
import pytest

from ltvlab_utils import sources
from ltvlab_utils.errors import Refused
from ltvlab_utils.store import layout
from tests.sources_world import HEADER, stage, survey

PRICED = "order_id,line_no,customer_id,ordered_at,status,kind,quantity,unit_price,unit_cost,line_discount\n"
ONE = "Z,1,z,2025-05-01,confirmed,1,1,sale\n"


def source(keys: str) -> str:
    return f"  order_lines: [{{path: orders.csv, {keys}}}]"


def lines(staged) -> pd.DataFrame:
    return staged.tables["order_lines"].order_by(["order_id", "line_no"]).to_pandas()


def reconciles(staged) -> bool:
    report = staged.report
    rows = (report["rows_read"] == report["rows_accepted"] + report["rows_rejected"]).all()
    return rows and (report["amount_read"] == report["amount_accepted"] + report["amount_rejected"]).all()


def test_amounts_are_price_times_quantity_to_the_last_decimal(tmp_path):
    text = PRICED + (
        "A,1,a,2025-05-01,confirmed,sale,3,0.333333,0.1,\n"  # 0.999999
        "A,2,a,2025-05-01,confirmed,sale,1000000,19.99,10,90\n"
        "A,3,a,2025-05-01,confirmed,return,-2,19.99,10,0\n"
        "A,4,a,2025-05-01,confirmed,sale,2,about 5,1,0\n"
        "A,5,a,2025-05-01,confirmed,sale,99999999999999,999999999999,1,0\n"
    )
    columns = "columns: {unit_price: unit_price, unit_cost: unit_cost, line_discount: line_discount}"
    staged = stage(tmp_path, {"orders.csv": text}, source(columns))
    found = lines(staged)[["net_amount", "cost_amount", "discount_amount"]].to_numpy().tolist()
    assert found == [
        [Decimal("1.0000"), Decimal("0.3000"), 0],
        [Decimal("19989910.0000"), 10_000_000, 90],
        [Decimal("-39.9800"), -20, 0],
    ]
    assert staged.rejected[["row_no", "column", "reason"]].to_numpy().tolist() == [
        [5, "unit_price", "not_a_number"],
        [6, "net_amount", "out_of_range"],
    ]
    assert reconciles(staged)


def test_an_amount_that_the_file_has_is_not_worked_out(tmp_path):
    text = HEADER.replace("kind", "kind,price") + ONE.replace("sale", "sale,999")
    staged = stage(tmp_path, {"orders.csv": text}, source("columns: {unit_price: price}"))
    assert lines(staged)["net_amount"].tolist() == [1]


def test_half_a_rule_is_refused(tmp_path):
    said = "line_discount is mapped, but unit_price is not"
    with pytest.raises(Refused, match=said):
        survey(tmp_path, {"orders.csv": HEADER + ONE}, source("columns: {line_discount: quantity}"))
    no_order = HEADER.replace("order_id", "no") + ONE
    with pytest.raises(Refused, match="need the order of a line: map order_id"):
        survey(tmp_path, {"orders.csv": no_order}, source("fill_down: [customer_id]"))
    with pytest.raises(Refused, match='no column "送料"'):
        survey(tmp_path, {"orders.csv": HEADER + ONE}, source("further_lines: [{kind: shipping, amount: 送料}]"))
    with pytest.raises(Refused, match='no column "区分"'):
        survey(tmp_path, {"orders.csv": HEADER + ONE}, source("only: {区分: [売上]}"))


RETURNS = HEADER + (
    "A1,1,a,2025-05-01,confirmed,5,500,sale\n"
    "A2,1,a,2025-05-02,confirmed,-1,-100,sale\n"
    "C3,1,a,2025-05-03,confirmed,1,-100,sale\n"
    "A4,1,a,2025-05-04,confirmed,1,100,return\n"
    "A5,1,a,2025-05-05,confirmed,1,80,shipping\n"
)


@pytest.mark.parametrize(
    ("rule", "kinds", "amounts", "quantities", "refused"),
    [
        ("", "sale sale shipping sale", [500, -100, 80, -100], [5, -1, 1, 1], [5]),
        ("returns: {negative_quantity: true}", "sale return shipping sale", [500, -100, 80, -100], [5, -1, 1, 1], [5]),
        ("returns: {order_prefix: C}", "sale sale shipping return", [500, -100, 80, -100], [5, -1, 1, -1], [5]),
        ("returns: {positive: negated}", "sale sale return shipping sale", [500, -100, -100, 80, -100],
         [5, -1, -1, 1, 1], []),
        ("returns: {positive: cancelled}", "sale sale sale shipping sale", [500, -100, 100, 80, -100],
         [5, -1, 1, 1, 1], []),
        ("returns: {where: {status: [Confirmed, confirmed]}, positive: negated}",
         "return return return shipping return", [-500, -100, -100, 80, -100], [-5, -1, -1, 1, -1], []),
    ],
)  # fmt: skip
def test_returns(tmp_path, rule, kinds, amounts, quantities, refused):
    staged = stage(tmp_path, {"orders.csv": RETURNS}, source(rule) if rule else source("delimiter: ','"))
    found = lines(staged)
    assert found["kind"].tolist() == kinds.split()
    assert found["net_amount"].astype(int).tolist() == amounts and found["quantity"].tolist() == quantities
    assert staged.rejected["row_no"].tolist() == refused and reconciles(staged)
    if "cancelled" in rule:
        assert found["status"].tolist() == ["confirmed", "confirmed", "cancelled", "confirmed", "confirmed"]


ORDERS = (
    "order_id,line_no,customer_id,ordered_at,status,quantity,net_amount,kind,送料,返金,返金日,受注計\n"
    "A,1,a,2025-05-01,confirmed,1,100,sale,50,30,2025-06-20,\n"
    "A,2,,,confirmed,1,200,sale,50,30,2025-06-20,\n"
    "B,1,,2025-05-02,confirmed,1,300,sale,50,0,,\n"
    "C,1,c,2025-05-03,confirmed,1,400,sale,x,0,,\n"
    "D,1,d,2025-05-04,confirmed,1,500,sale,,40,2025-07-02,\n"
    "E,1,e,2025-05-05,confirmed,1,600,sale,,,,570\n"
    "E,2,e,2025-05-05,confirmed,1,10,sale,,,,570\n"
)


def test_amounts_of_an_order_are_lines_of_their_own_once(tmp_path):
    keys = (
        "fill_down: [customer_id, ordered_at], columns: {goods_amount: 受注計}, "
        "further_lines: [{kind: shipping, amount: 送料}, {kind: return, amount: 返金, on: 返金日}]"
    )
    staged = stage(tmp_path, {"orders.csv": ORDERS}, source(keys))
    found = lines(staged)[["order_id", "customer_id", "kind", "net_amount", "quantity", "returns_order_id"]]
    assert found.astype(object).where(found.notna(), None).to_numpy().tolist() == [
        ["A", "a", "sale", 100, 1, None],
        ["A", "a", "sale", 200, 1, None],
        ["A", "a", "shipping", 50, 0, None],
        ["A", "a", "return", -30, 0, "A"],
        ["D", "d", "sale", 500, 1, None],  # its refund came after as-of
        ["E", "e", "sale", 600, 1, None],
        ["E", "e", "sale", 10, 1, None],
        ["E", "e", "fee", -40, 0, None],
    ]
    assert lines(staged)["ordered_at"].iloc[3] == pd.Timestamp(2025, 6, 20)
    # a row stands or falls with all of its lines: B has 300 and 50 of shipping
    assert staged.rejected[["row_no", "column", "reason", "amount"]].to_numpy().tolist() == [
        [4, "customer_id", "missing_customer", 350],
        [5, "送料", "not_a_number", 400],
    ]
    row = staged.report.iloc[0]
    assert (row["rows_read"], row["amount_read"], row["amount_after_as_of"]) == (7, 2110 + 100 - 30 - 40 - 40, -40)
    assert reconciles(staged)
    assert lines(staged)["net_amount"].sum() == row["amount_accepted"] - row["amount_after_as_of"]


def test_kinds_that_include_tax_and_lines_that_are_discount_or_tax(tmp_path):
    text = HEADER.replace("kind", "kind,tax_rate") + (
        "A,1,a,2025-05-01,confirmed,1,1000,sale,0.1\nA,2,a,2025-05-01,confirmed,1,550,shipping,0.1\n"
        "A,3,a,2025-05-01,confirmed,1,110,discount,0.1\nA,4,a,2025-05-01,confirmed,1,145,tax,\n"
    )
    staged = stage(tmp_path, {"orders.csv": text}, source("amounts_include_tax: [shipping, discount]"))
    found = lines(staged)
    assert found["kind"].tolist() == ["sale", "shipping", "fee", "fee"]
    assert found["net_amount"].astype(int).tolist() == [1000, 500, -100, 0] and reconciles(staged)


@pytest.mark.parametrize(
    ("rounding", "nets"),
    [("down", [91, 91, 91, -50]), ("half_up", [91, 91, 91, -50]), ("up", [91, 91, 90, -50])],
)
def test_tax_is_rounded_once_an_order_and_rate(tmp_path, rounding, nets):
    """245 with tax at 10 % holds 22.27: 22, or 23 rounded up; the lines share 223, or 222, in whole yen."""
    text = HEADER.replace("kind", "kind,tax_rate")
    text += "".join(f"D,{i},a,2025-05-01,confirmed,1,{n},sale,0.1\n" for i, n in enumerate([100, 100, 100, -55], 1))
    text += "D,5,a,2025-05-01,confirmed,1,108,sale,0.08\nE,1,a,2025-05-01,confirmed,1,1100,sale,0.1\n"
    more = f"tax: {{basis: included, rounding: {rounding}}}"
    staged = stage(tmp_path, {"orders.csv": text}, source("name: it"), more=more)
    assert lines(staged)["net_amount"].astype(int).tolist() == [*nets, 100, 1000] and reconciles(staged)


def test_tax_by_the_share_that_it_has_of_the_order(tmp_path):
    text = HEADER.replace("kind", "kind,total,tax") + (
        "A,1,a,2025-05-01,confirmed,1,660,sale,1100,100\nA,2,a,2025-05-01,confirmed,1,440,sale,1100,100\n"
        "B,1,a,2025-05-01,confirmed,1,440,sale,,\n"
    )
    keys = "amounts_include_tax: true, columns: {order_total: total, order_tax: tax}"
    staged = stage(tmp_path, {"orders.csv": text}, source(keys))
    assert lines(staged)["net_amount"].astype(int).tolist() == [600, 400]
    assert staged.rejected[["column", "reason"]].to_numpy().tolist() == [["tax_rate", "missing_value"]]


def need(company: str, *files: str) -> Path:
    folder = layout.data_root() / company
    if missing := [f for f in files if not (folder / f).is_file()]:
        pytest.skip(f"public data that the repository does not hold: {', '.join(missing)} in data/{company}/")
    return folder


def test_online_retail_is_the_published_file():
    """541,909 lines and GBP 9,747,747.93 in all; 397,884 lines of 4,338 customers for 8,911,407.90 with a customer and
    a positive quantity and price: counts of the UCI file as its users publish them."""
    folder = need("online_retail", "onlineretail.csv.gz")
    staged = sources.stage(layout.resolve_params("online_retail", "2011-12"), folder, ibis.duckdb.connect())
    row = staged.report.iloc[0]
    assert (row["rows_read"], row["rows_without_customer"]) == (541_909, 135_080) and reconciles(staged)
    assert round(row["amount_read"], 2) == 9_747_747.93
    table = staged.tables["order_lines"]
    sold = table.filter(table.quantity > 0, table.net_amount > 0)
    found = sold.aggregate(n=sold.count(), c=sold.customer_id.nunique(), net=sold.net_amount.sum()).to_pandas().iloc[0]
    assert (found["n"], found["c"], round(float(found["net"]), 2)) == (397_884, 4_338, 8_911_407.90)
    back = table.filter(table.kind == "return")
    assert back.count().to_pandas() == 8_905 and back.net_amount.max().to_pandas() <= 0


def test_northwind_adds_up():
    """2,155 lines, 830 orders, 89 buyers, 1,265,793.04 after discounts (README of the data)."""
    folder = need("northwind", "orders.csv", "customers.csv", "products.csv")
    staged = sources.stage(layout.resolve_params("northwind", "1998-05"), folder, ibis.duckdb.connect())
    found = lines(staged)
    assert (len(found), found["order_id"].nunique(), found["customer_id"].nunique()) == (2155, 830, 89)
    assert found["net_amount"].sum() == Decimal("1265793.0395") and staged.rejected.empty and reconciles(staged)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("令和6年1月5日", datetime(2024, 1, 5)),
        ("令和元年5月1日", datetime(2019, 5, 1)),
        ("R6.1.5", datetime(2024, 1, 5)),
        ("Ｒ６．１．５", datetime(2024, 1, 5)),
        ("H31.4.30", datetime(2019, 4, 30)),
        ("S64.1.7 09:30", datetime(1989, 1, 7, 9, 30)),
        ("H31.5.1", None),  # the era was over
        ("R1.4.30", None),
        ("R6.13.5", None),
        ("２０２４／１／５", datetime(2024, 1, 5)),
        ("2025-06-01 10:00:00 +0900", datetime(2025, 6, 1, 10)),
        ("2025-06-01 10:00:00 UTC", datetime(2025, 6, 1, 19)),
        ("1/5/2024", None),
    ],
)
def test_dates_of_exports(tmp_path, text, moment):
    row = f"A,1,alpha,{text},confirmed,1,5,sale\n"
    staged = stage(tmp_path, {"orders.csv": HEADER + ONE + row})
    at = lines(staged).set_index("order_id")["ordered_at"]
    assert (at["A"] == moment) if moment else ("A" not in at and len(staged.rejected) == 1)


@pytest.mark.parametrize(
    ("keys", "cell", "amount"),
    [
        ("amounts_include_tax: true", '"1,320円(税込)"', 1200),
        ("name: it", '"1,320円(税込)"', None),
        ("name: it", "1200円（税抜）", 1200),
        ("amounts_include_tax: true", "1200円（税抜）", None),
        ("amount_unit: minor", "123456", Decimal("1234.56")),
    ],
)
def test_amounts_of_exports(tmp_path, keys, cell, amount):
    text = HEADER.replace("kind", "kind,tax_rate") + f"A,1,a,2025-05-01,confirmed,1,{cell},sale,0.1\n"
    text += "Z,1,z,2025-05-01,confirmed,1,110,sale,0.1\n"
    staged = stage(tmp_path, {"orders.csv": text}, source(keys), more="currency: USD")
    found = lines(staged).set_index("order_id")["net_amount"]
    assert (found["A"] == amount) if amount else ("A" not in found)


def test_keys_lose_what_spreadsheets_and_pandas_add_where_the_whole_column_has_it(tmp_path):
    text = HEADER + "'0012,1,17850.0,2025-05-01,confirmed,1,5,sale\nX,1,12347.0,2025-05-01,confirmed,1,5,sale\n"
    staged = stage(tmp_path, {"orders.csv": text})
    assert lines(staged)["customer_id"].tolist() == ["17850", "12347"] and "0012" in lines(staged)["order_id"].tolist()
    mixed = stage(tmp_path, {"orders.csv": text + "Y,1,12.0.0,2025-05-01,confirmed,1,5,sale\n"})
    assert set(lines(mixed)["customer_id"]) == {"17850.0", "12347.0", "12.0.0"}


def test_the_first_column_that_holds_something_counts(tmp_path):
    text = HEADER.replace("customer_id", "会社名,メール") + "A,1,,x@y.jp,2025-05-01,confirmed,1,5,sale\n"
    text += "B,1,甲社,x@y.jp,2025-05-01,confirmed,1,5,sale\n"
    staged = stage(tmp_path, {"orders.csv": text}, source("columns: {customer_id: [会社名, メール, 電話]}"))
    assert lines(staged)["customer_id"].tolist() == ["x@y.jp", "甲社"]


def test_rows_that_are_not_meant_for_a_table_are_passed_over_and_counted(tmp_path):
    text = (
        HEADER.replace("kind", "kind,区分")
        + ONE.replace("sale", "sale,売")
        + ONE.replace("Z,", "Y,", 1).replace("sale", "sale,見積")
    )
    staged = stage(tmp_path, {"orders.csv": text}, source("only: {区分: [売]}"))
    row = staged.report.iloc[0]
    assert (row["rows_read"], row["rows_passed_over"], row["amount_read"]) == (1, 1, 1)
    assert lines(staged)["order_id"].tolist() == ["Z"]
