"""Late, corrected and lost rows: a re-delivered file against the review before, counted by hand."""

from __future__ import annotations

from datetime import date

import ibis
import pandas as pd
import pytest

from ltvlab_utils import sources
from ltvlab_utils.sources import restate
from ltvlab_utils.tables import check_frame, contract_of
from tests.sources_world import HEADER, params, write

MAY = HEADER.replace("kind", "kind,shipped_on") + (
    "A1,1,a,2025-04-10,confirmed,1,100,sale,2025-04-12\n"
    "A2,1,a,2025-05-10,confirmed,1,200,sale,2025-06-02\n"  # shipped after the end of May
    "A3,1,b,2025-05-11,confirmed,1,400,sale,\n"
    "A4,1,b,2025-05-12,confirmed,1,800,sale,\n"
)
JUNE = HEADER.replace("kind", "kind,shipped_on") + (
    "A1,1,a,2025-04-10,confirmed,1,100,sale,2025-04-12\n"
    "A2,1,a,2025-05-10,confirmed,1,200,sale,2025-06-02\n"
    "A3,1,b,2025-05-11,cancelled,1,400,sale,\n"  # changed: counts no more
    "A5,1,c,2025-05-30,confirmed,1,1600,sale,\n"  # late
    "A6,1,c,2025-06-01,confirmed,1,3200,sale,\n"  # June: no restatement
)


def staged(folder, text: str, period: str, connection, tables="  order_lines: [{path: orders.csv}]"):
    return sources.stage(params(tables, period), write(folder, {"orders.csv": text}), connection)


def compared(tmp_path, before: str, now: str, tables="  order_lines: [{path: orders.csv}]") -> pd.DataFrame:
    connection = ibis.duckdb.connect()
    then = staged(tmp_path / "then", before, "2025-05", connection, tables)
    new = staged(tmp_path / "now", now, "2025-06", connection, tables)
    found = restate.compare(new.tables, then.tables, date(2025, 5, 31), new.made_keys)
    check_frame(contract_of("restatements"), found)
    return found


def test_added_changed_and_lost_rows_move_the_month_by_hand(tmp_path):
    found = compared(tmp_path, MAY, JUNE)
    assert found["month"].tolist() == [pd.Timestamp("2025-05-01")] and found["table_name"].tolist() == ["order_lines"]
    row = found.iloc[0]
    assert row[["rows_added", "rows_changed", "rows_gone"]].tolist() == [1, 1, 1]
    parts = ["amount_before", "amount_added", "amount_changed", "amount_gone", "amount_after"]
    assert row[parts].tolist() == [1400, 1600, -400, -800, 1800]


@pytest.mark.slow
def test_the_same_extract_a_month_later_restates_nothing(tmp_path):
    assert compared(tmp_path, JUNE, JUNE).empty


@pytest.mark.slow
def test_a_row_that_moves_to_another_month_takes_its_amount_along(tmp_path):
    found = compared(tmp_path, MAY, MAY.replace("A4,1,b,2025-05-12", "A4,1,b,2025-04-30")).set_index("month")
    assert found["rows_changed"].tolist() == [1, 0] and found["amount_changed"].tolist() == [800, -800]
    assert found["amount_after"].tolist() == [900, 600]
    gone = compared(tmp_path, MAY, MAY.replace("A4,1,b,2025-05-12", "A4,1,b,2025-06-12")).iloc[0]
    assert (gone["rows_gone"], gone["amount_gone"]) == (1, -800)  # to a month that the review before had not seen


def test_rows_without_a_number_are_told_by_content_and_not_by_their_place(tmp_path):
    """Staging numbers them by file and row: one more row on top moves them all."""
    head = "order_id,customer_id,ordered_at,status,quantity,net_amount,kind\n"
    rows = "A,a,2025-05-0{},confirmed,1,{},sale\n"
    then = head + rows.format(1, 10) + rows.format(1, 10) + rows.format(3, 30)
    now = head + rows.format(2, 20) + rows.format(1, 10) + rows.format(3, 30)
    row = compared(tmp_path, then, now).iloc[0]
    assert row[["rows_added", "rows_changed", "rows_gone"]].tolist() == [1, 0, 1]
    assert row[["amount_before", "amount_added", "amount_gone", "amount_after"]].tolist() == [50, 20, -10, 60]


@pytest.mark.slow
def test_outcomes_that_became_known_later_are_no_restatement(tmp_path):
    head = (
        "contract_id,customer_id,product_id,term_no,starts_on,ends_on,term_months,billing,monthly_amount,outcome,"
        "outcome_on\n"
    )
    tables = "  contract_terms: [{path: orders.csv}]"
    then = head + "K1,a,P,1,2024-07-01,2025-06-30,12,annual,100,open,\n"
    later = head + "K1,a,P,1,2024-07-01,2025-06-30,12,annual,100,renewed,2025-06-10\n"
    assert compared(tmp_path, then, later, tables).empty
    known = head + "K1,a,P,1,2024-07-01,2025-06-30,12,annual,100,churned,2025-05-10\n"
    row = compared(tmp_path, then, known, tables).iloc[0]
    assert (row["rows_changed"], row["amount_changed"], row["month"]) == (1, 0, pd.Timestamp("2024-07-01"))


def test_a_table_that_is_new_or_gone_is_not_compared():
    assert restate.compare({}, {}, date(2025, 5, 31)).empty
    assert restate.compare({"order_lines": None}, {"order_lines": None}, date(2025, 5, 31)).empty


@pytest.mark.parametrize("before", [True, False])
def test_files_by_their_fingerprint(before):
    def report(*rows):
        return pd.DataFrame(rows, columns=["table_name", "source", "file", "rows_read", "fingerprint"])

    now = report(("t", "s", "a", 3, "x"), ("t", "s", "b", 4, "y"), ("t", "s", "d", 1, "z"))
    then = report(("t", "s", "a", 3, "x"), ("t", "s", "b", 2, "w"), ("t", "s", "c", 9, "v"))
    found = restate.deliveries(now, then if before else None)
    states = found.set_index("file")["state"].to_dict()
    assert states == (
        {"a": "same", "b": "replaced", "c": "gone", "d": "new"} if before else dict.fromkeys("abd", "new")
    )
