"""Rows in, rows out: every row of small hand-written files, and whole files counted by another program."""

from __future__ import annotations

import csv
import importlib.util
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import ibis
import pandas as pd
import pytest

from ltvlab_utils import sources
from ltvlab_utils.errors import Refused
from ltvlab_utils.sources import answers
from ltvlab_utils.store import layout
from ltvlab_utils.tables import check_frame, check_table, contract_of
from tests.sources_world import HEADER, stage

ROWS = HEADER + (
    "A1,1,alpha,2025-05-01,confirmed,1,1000,sale\n"  # row 2
    "A1,2,alpha,2025-05-01,confirmed,1,500,sale\n"
    "A2,1,,2025-05-02,confirmed,1,300,sale\n"  # row 4: a guest
    "A3,1,beta,2025-02-30,confirmed,1,70,sale\n"  # row 5: no such day
    "A4,1,beta,2025-05-03,confirmed,1,about 5,sale\n"  # row 6: no number
    "A5,1,beta,2025-05-03,shipped,1,90,sale\n"  # row 7: no such status
    "A1,2,alpha,2025-05-01,confirmed,1,500,sale\n"  # row 8: the key of row 3 again
    "A6,1,beta,2025-05-04,confirmed,1,,sale\n"  # row 9: no amount
    "A7,1,beta,2025-07-01,confirmed,1,40,sale\n"  # row 10: later than as-of
    "A8,-1,beta,2025-05-04,confirmed,1,20,sale\n"  # row 11: a line number below 0
    "A9,1,,someday,lost,x,y,z\n"  # row 12: everything is wrong, the customer first
)
REFUSED = [
    (4, "customer_id", None, "missing_customer", 300),
    (5, "ordered_at", "2025-02-30", "not_a_date", 70),
    (6, "net_amount", "about 5", "not_a_number", 0),
    (7, "status", "shipped", "unknown_code", 90),
    (8, "order_id", "A1", "duplicate_key", 500),
    (9, "net_amount", None, "missing_value", 0),
    (11, "line_no", "-1", "out_of_range", 20),
    (12, "customer_id", None, "missing_customer", 0),
]


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    return stage(tmp_path_factory.mktemp("hand"), {"orders.csv": ROWS})


def test_each_faulty_row_is_refused_with_its_first_fault(hand):
    found = hand.rejected[["row_no", "column", "value", "reason", "amount"]].sort_values("row_no")
    rows = [tuple(None if pd.isna(v) else v for v in row) for row in found.itertuples(index=False)]
    assert rows == REFUSED


def test_the_report_reconciles_by_hand(hand):
    row = hand.report.iloc[0]
    assert (row["rows_read"], row["rows_accepted"], row["rows_rejected"]) == (11, 3, 8)
    assert (row["rows_after_as_of"], row["rows_without_customer"]) == (1, 2)
    assert (row["amount_read"], row["amount_accepted"], row["amount_rejected"]) == (2520, 1540, 980)
    assert row["amount_after_as_of"] == 40
    assert hand.tables["order_lines"].net_amount.sum().to_pandas() == Decimal(1500)


def test_what_is_staged_keeps_its_contract(hand):
    for name, table in hand.outputs.items():
        check_table(contract_of(name), hand.tables.get(name, table).select(contract_of(name).names))
    check_frame(contract_of("ingest_report"), hand.report)
    check_frame(contract_of("rejected_rows"), hand.rejected)


def test_customers_are_made_from_orders_where_no_list_is_delivered(hand):
    table = hand.tables["customers"].order_by("customer_id").to_pandas()
    assert table["customer_id"].tolist() == ["alpha"]  # beta has no accepted order up to as-of
    assert table["customer_name"].tolist() == ["alpha"] and table["acquisition_cost"].isna().all()


def test_customers_that_the_list_lacks_are_added_and_counted(tmp_path):
    files = {"orders.csv": ROWS, "c.csv": "customer_id,customer_name\ngamma,<b>Gamma</b>\n"}
    staged = stage(tmp_path, files, "  order_lines: [{path: orders.csv}]\n  customers: [{path: c.csv}]")
    names = staged.tables["customers"].order_by("customer_id").to_pandas()["customer_name"].tolist()
    assert names == ["alpha", "<b>Gamma</b>"] and staged.made_customers == 1


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1000", 1000),
        (" 1000 ", 1000),
        ('"1,234,567"', 1234567),
        ('"¥1,000"', 1000),
        ('"￥１，２００"', 1200),
        ('"$1,000.50"', Decimal("1000.50")),
        ("-300", -300),
        ("▲1200", -1200),
        ('"-¥1,200"', -1200),
        ("1200円", 1200),
        ("0", 0),
        ("12.34567", Decimal("12.3457")),
        ("1e3", 1000),
        ('"12,34"', None),  # a decimal comma, or a thousands separator in a wrong place: not guessed
        ('"1.234,56"', None),
        ("10%", None),
        ("nan", None),
        ("inf", None),
        ("1320円(税込)", None),
        ("99999999999999999", None),  # does not fit DECIMAL(18,4)
        ("--5", None),
        (".", None),
    ],
)
def test_amounts_are_read_or_refused_never_guessed(tmp_path, text, amount):
    good = "Z,1,zeta,2025-05-01,confirmed,1,1,sale\n"
    staged = stage(tmp_path, {"orders.csv": HEADER + good + f"A,1,alpha,2025-05-01,confirmed,1,{text},sale\n"})
    lines = staged.tables["order_lines"].to_pandas().set_index("order_id")["net_amount"]
    if amount is None:
        assert "A" not in lines and staged.rejected["reason"].tolist() == ["not_a_number"]
    else:
        assert lines["A"] == amount


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-05-03", datetime(2025, 5, 3)),
        ("2025/5/3", datetime(2025, 5, 3)),
        ("2025.05.03", datetime(2025, 5, 3)),
        ("2025年5月3日", datetime(2025, 5, 3)),
        ("2025-05-03 14:05", datetime(2025, 5, 3, 14, 5)),
        ("2025/05/03 9:05:30", datetime(2025, 5, 3, 9, 5, 30)),
        ("2025-05-03T14:05:00.250", datetime(2025, 5, 3, 14, 5, 0, 250_000)),
        ("2025-05-03T20:00:00Z", datetime(2025, 5, 4, 5)),  # Tokyo is nine hours ahead of UTC
        ("2025-05-03T20:00:00+00:00", datetime(2025, 5, 4, 5)),
        ("2025-05-03 20:00:00-0500", datetime(2025, 5, 4, 10)),
        ("2025-05-03T20:00:00+09:00", datetime(2025, 5, 3, 20)),
        ("5/3/2025", None),  # month or day first: needs date_format
        ("20250503", None),
        ("45780", None),
        ("2025-02-29", None),
        ("2025-05-03 25:00", None),
        ("2025-05", None),
        ("1025-05-03", None),
        ("infinity", None),
        ("today", None),
    ],
)
def test_dates_are_read_as_company_local_time(tmp_path, text, moment):
    good = "Z,1,zeta,2025-05-01,confirmed,1,1,sale\n"
    staged = stage(tmp_path, {"orders.csv": HEADER + good + f"A,1,alpha,{text},confirmed,1,5,sale\n"})
    lines = staged.tables["order_lines"].to_pandas().set_index("order_id")["ordered_at"]
    if moment is None:
        assert "A" not in lines and staged.rejected["column"].tolist() == ["ordered_at"]
    else:
        assert lines["A"] == moment


def test_a_time_of_another_zone_may_fall_into_the_next_month(tmp_path):
    rows = "A,1,a,2025-06-30 10:00,confirmed,1,5,sale\nB,1,a,2025-06-30 16:00,confirmed,1,7,sale\n"
    files = {"orders.csv": HEADER + rows}
    there = stage(tmp_path, files, "  order_lines: [{path: orders.csv, time_zone: UTC}]")
    assert there.report["amount_after_as_of"].tolist() == [7]  # 16:00 UTC is 01:00 of 1 July in Tokyo
    here = stage(tmp_path, files)
    assert here.report["amount_after_as_of"].tolist() == [0]


def test_a_declared_form_of_dates_is_followed(tmp_path):
    rows = "A,1,a,03/05/2025,confirmed,1,5,sale\n"
    staged = stage(
        tmp_path, {"orders.csv": HEADER + rows}, "  order_lines: [{path: orders.csv, date_format: '%d/%m/%Y'}]"
    )
    assert staged.tables["order_lines"].ordered_at.max().to_pandas() == pd.Timestamp("2025-05-03")


def test_names_aliases_constants_and_codes_of_company_yaml(tmp_path):
    text = '\ufeff 得意先 ,日付,"金額 ""税抜""",区分\r\nalpha,2025-05-01,100,売\r\nbeta,2025-05-02,-30,返\r\n'
    tables = """
  order_lines:
    - path: orders.csv
      columns: {customer_id: [顧客, 得意先], ordered_at: 日付, net_amount: '金額 "税抜"', kind: 区分}
      constants: {status: confirmed, quantity: 1}
      values: {kind: {売: sale, 返: return}}"""
    staged = stage(tmp_path, {"orders.csv": text}, tables)
    frame = staged.tables["order_lines"].order_by("ordered_at").to_pandas()
    assert frame["customer_id"].tolist() == ["alpha", "beta"]
    assert frame["net_amount"].tolist() == [100, -30] and frame["kind"].tolist() == ["sale", "return"]
    assert frame["order_id"].tolist() == ["orders.csv:2", "orders.csv:3"] and frame["line_no"].tolist() == [1, 1]


@pytest.mark.parametrize("encoding", ["utf-8", "cp932", "euc_jp", "utf-16"])
def test_japanese_text_survives_its_encoding(tmp_path, encoding):
    name = "高橋産業" if encoding == "euc_jp" else "髙橋㈱"  # EUC-JP knows neither of these two characters
    rows = HEADER + f"A1,1,{name},2025-05-01,confirmed,1,1000,sale\n"
    tables = f"  order_lines: [{{path: orders.csv, encoding: {encoding}}}]"
    staged = stage(tmp_path, {"orders.csv": rows.encode(encoding)}, tables)
    assert staged.tables["order_lines"].customer_id.to_pandas()[0] == rows.splitlines()[1].split(",")[2]


def test_row_numbers_are_those_of_a_spreadsheet(tmp_path):
    text = HEADER + '\nA1,1,"al\npha",2025-05-01,confirmed,1,5,sale\n\nA2,1,,2025-05-01,confirmed,1,5,sale\n'
    staged = stage(tmp_path, {"orders.csv": text})
    assert staged.rejected["row_no"].tolist() == [5]  # 1 header, 2 blank, 3 over two lines, 4 blank


def test_an_order_may_go_on_in_the_next_file(tmp_path):
    text = "order_id,customer_id,ordered_at,status,quantity,net_amount,kind\nA,a,2025-05-01,confirmed,1,{},sale\n"
    files = {"in/2.csv": text.format(2), "in/1.csv": text.format(1)}
    staged = stage(tmp_path, files, "  order_lines: [{path: in}]")
    assert staged.report["file"].tolist() == ["acme/in/1.csv", "acme/in/2.csv"]
    assert staged.tables["order_lines"].net_amount.sum().to_pandas() == 3 and staged.rejected.empty


TERMS = (
    "contract_id,customer_id,product_id,term_no,starts_on,ends_on,term_months,billing,monthly_amount,notice_given_on,"
    "paused_from,paused_to,outcome,outcome_on,outcome_reason\n"
    "K1,a,P,1,2024-07-01,2025-06-30,12,annual,100,,,,renewed,2025-06-30,\n"  # known on the last day
    "K2,a,P,1,2024-08-01,2025-07-31,12,annual,200,2025-07-01,,,churned,2025-07-01,price\n"  # known a day later
    "K3,a,P,1,2025-07-01,2026-06-30,12,annual,400,,,,open,,\n"  # begins after as-of
    "K4,a,P,1,2024-07-01,2025-06-30,12,annual,800,,2025-07-05,2025-07-20,cancelled_early,2025-03-01,moved\n"
    "K5,a,P,1,2024-07-01,2025-06-30,12,annual,1600,,,,churned,,\n"  # an outcome without its day
    "K6,a,P,1,2025-06-30,2025-06-01,12,annual,3200,,,,open,,\n"  # ends before it starts
)


def test_what_became_known_after_as_of_is_masked(tmp_path):
    staged = stage(tmp_path, {"t.csv": TERMS}, "  contract_terms: [{path: t.csv}]")
    frame = staged.tables["contract_terms"].to_pandas().set_index("contract_id").sort_index()
    assert frame["outcome"].to_dict() == {"K1": "renewed", "K2": "open", "K4": "cancelled_early"}
    masked = ["notice_given_on", "outcome_on", "outcome_reason"]
    assert frame.loc["K2", masked].isna().all()
    assert frame.loc["K4", ["paused_from", "paused_to"]].isna().all() and frame.loc["K4", "outcome_reason"] == "moved"
    assert pd.Timestamp(frame.loc["K1", "outcome_on"]) == pd.Timestamp(2025, 6, 30)
    assert staged.rejected[["row_no", "column", "reason"]].to_numpy().tolist() == [
        [6, "outcome_on", "missing_value"],
        [7, "ends_on", "out_of_range"],
    ]
    row = staged.report.iloc[0]
    assert (row["amount_read"], row["amount_accepted"], row["amount_after_as_of"]) == (6300, 1500, 400)


def test_payment_handover_answer_and_loss_are_unknown_before_their_day(tmp_path):
    files = {
        "orders.csv": ROWS,
        "r.csv": "invoice_id,customer_id,invoiced_on,due_on,paid_on,amount,written_off\n"
        "I1,alpha,2025-05-31,2025-06-30,2025-07-02,100,\n"
        "I2,alpha,2025-05-31,2025-07-31,,100,80\n"
        "I3,alpha,2025-03-31,2025-04-30,,100,80\n",
        "o.csv": "customer_id,role,owner,valid_from,valid_to\nalpha,sales,X,2025-01-01,2025-07-31\n"
        "beta,sales,Y,2025-01-01,2025-05-31\nbeta,sales,Z,2025-07-01,\n",
    }
    tables = "  order_lines: [{path: orders.csv}]\n  receivables: [{path: r.csv}]\n  customer_owners: [{path: o.csv}]"
    staged = stage(tmp_path, files, tables)
    bills = staged.tables["receivables"].order_by("invoice_id").to_pandas()
    assert bills["paid_on"].isna().all() and bills["due_on"].notna().all()
    assert bills["written_off"].isna().tolist() == [True, True, False]
    owners = staged.tables["customer_owners"].order_by("owner").to_pandas()
    assert owners["owner"].tolist() == ["X", "Y"] and owners["valid_to"].isna().tolist() == [True, False]


def test_tax_is_taken_off_at_the_rate_of_the_line(tmp_path):
    text = HEADER.replace("kind", "kind,tax_rate,cost_amount")
    text += "A,1,a,2025-05-01,confirmed,1,1100,sale,0.1,600\nB,1,a,2025-05-01,confirmed,1,1080,sale,0.08,600\n"
    text += "C,1,a,2025-05-01,confirmed,1,1080,sale,,600\n"
    tables = "  order_lines: [{path: orders.csv, amounts_include_tax: true}]"
    staged = stage(tmp_path, {"orders.csv": text}, tables)
    frame = staged.tables["order_lines"].order_by("order_id").to_pandas()
    assert frame["net_amount"].tolist() == [1000, 1000] and frame["cost_amount"].tolist() == [600, 600]
    assert staged.rejected[["column", "reason"]].to_numpy().tolist() == [["tax_rate", "missing_value"]]


def test_parquet_and_csv_give_the_same_table(tmp_path):
    frame = pd.DataFrame(
        {
            "customer_id": ["a", "b", None],
            "week": pd.to_datetime(["2025-06-02", "2025-06-09", "2025-06-09"]),
            "metric": "logins",
            "value": [1.5, float("nan"), 2.0],
        }
    )
    (tmp_path / "acme").mkdir()
    frame.to_parquet(tmp_path / "acme" / "u.parquet", index=False)
    frame.to_csv(tmp_path / "acme" / "u.csv", index=False)
    found = []
    for form in ("csv", "parquet"):
        tables = f"  order_lines: [{{path: orders.csv}}]\n  usage: [{{path: u.{form}, format: {form}}}]"
        staged = stage(tmp_path, {"orders.csv": ROWS}, tables)
        own = staged.rejected[staged.rejected["table_name"] == "usage"]
        found.append((staged.tables["usage"].to_pandas().to_csv(), own[["row_no", "column", "reason"]].to_csv()))
    assert found[0] == found[1]
    assert "3,value,missing_value" in found[0][1] and "4,customer_id,missing_customer" in found[0][1]


def test_cdnow_is_the_published_sample():
    """2,357 customers, 6,919 transactions: Fader, Hardie & Lee (2005), the 1/10 sample; counted here line by line."""
    home = Path(importlib.util.find_spec("lifetimes").submodule_search_locations[0])
    rows = [line.split() for line in (home / "datasets" / "CDNOW_sample.txt").read_text().splitlines()]
    parameters = layout.resolve_params("cdnow", "1997-09")
    staged = sources.stage(parameters, layout.data_dir("cdnow"), ibis.duckdb.connect())
    assert staged.report[["rows_read", "rows_rejected"]].to_numpy().tolist() == [[6919, 0]]
    kept = [r for r in rows if r[2] <= "19970930"]
    table = staged.tables["order_lines"]
    assert table.count().to_pandas() == len(kept)
    assert table.net_amount.sum().to_pandas() == sum(Decimal(r[4]) for r in kept)
    assert staged.tables["customers"].count().to_pandas() == len({r[1] for r in rows}) == 2357


# --- the sample company, counted by the csv module --------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    parameters = layout.resolve_params("sample", "2025-05")
    sources.ensure_generated(parameters, folder)
    return folder, sources.stage(parameters, folder, ibis.duckdb.connect())


def test_sample_revenue_by_month_and_refused_rows_are_those_of_the_file(sample):
    folder, staged = sample
    months, read, after, refused, seen = defaultdict(Decimal), Decimal(0), Decimal(0), set(), set()
    with (folder / "order_lines.csv").open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            read += Decimal(row["金額（税抜）"] or 0)
            try:
                when = datetime.strptime(row["受注日時"], "%Y/%m/%d %H:%M")
            except ValueError:
                when = None
            key = (row["受注番号"], row["行番号"])
            whole = row["得意先コード"] and row["金額（税抜）"] and row["受注状態"] in ("確定", "取消", "受注残")
            if not (when and whole) or key in seen:
                refused.add(number)
                continue
            seen.add(key)
            if when < datetime(2025, 6, 1):
                months[f"{when:%Y-%m}"] += Decimal(row["金額（税抜）"])
            else:
                after += Decimal(row["金額（税抜）"])
    flow = answers.flow(staged)
    found = flow[flow["accepted"] != 0]
    assert {f"{r.month:%Y-%m}": Decimal(r.accepted) for r in found.itertuples()} == months
    assert (Decimal(flow["later"].sum()), flow["month"].isna().sum()) == (after, 1)
    assert set(staged.rejected["row_no"]) == refused and len(refused) == 60
    report = staged.report.set_index("table_name").loc["order_lines"]
    assert flow["refused"].sum() == report["amount_rejected"]
    assert (Decimal(report["amount_read"]), Decimal(report["amount_after_as_of"])) == (read, after)


def test_nothing_staged_lies_after_as_of(sample):
    _, staged = sample
    known_ahead = {
        "contract_terms": {"ends_on", "notice_due_on", "paused_to"},
        "activities": {"next_due_on"},
        "milestones": {"due_on"},
        "deals": {"expected_close_on"},
        "receivables": {"due_on"},
    }
    checked = 0
    for name, table in staged.tables.items():
        for column in contract_of(name).columns:
            if column.kind in ("date", "timestamp") and column.name not in known_ahead.get(name, ()):
                last = table[column.name].max().to_pandas()
                assert pd.isna(last) or pd.Timestamp(last) < pd.Timestamp("2025-06-01"), (name, column.name)
                checked += 1
    assert checked > 20


def test_two_stagings_are_equal(sample):
    folder, staged = sample
    again = sources.stage(layout.resolve_params("sample", "2025-05"), folder, ibis.duckdb.connect())
    assert again.report.equals(staged.report) and again.rejected.equals(staged.rejected)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_too_many_refused_rows_stop_the_run(tmp_path):
    with pytest.raises(Refused) as error:
        stage(tmp_path, {"orders.csv": ROWS}, more="capacity: {watchlist: 5}", period="2025-06") and None
        stage(tmp_path, {"orders.csv": ROWS.replace("2025-05-0", "5/0")}, period="2025-06")
    assert "nothing to review" in str(error.value)


def test_the_limit_names_the_worst_fault_with_an_example(tmp_path):
    from ltvlab_utils.params import resolve
    from tests.sources_world import write

    folder = write(
        tmp_path, {"orders.csv": HEADER + "".join(f"A{i},1,a,2025-05-01,Confirmd,1,5,sale\n" for i in range(9))}
    )
    parameters = resolve("acme", "2025-06", "sources:\n  order_lines: [{path: orders.csv}]")
    with pytest.raises(Refused) as error:
        sources.stage(parameters, folder, ibis.duckdb.connect())
    said = str(error.value)
    for part in ("9 of 9 rows", "status is unknown_code", "data/acme/orders.csv, row 2", '"Confirmd"', '"confirmed"?'):
        assert part in said
