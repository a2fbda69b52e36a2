"""Histories against rows computed by hand, against pandas on the public CDNOW log, and as bytes."""

import importlib.util
from datetime import date
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import histories as hist
from ltvlab_utils.errors import Refused
from ltvlab_utils.store import parquet
from ltvlab_utils.tables import check_frame, contract_of
from tests.value_world import AS_OF, order_lines, staged


def computed(rows, **changes) -> pd.DataFrame:
    """Histories in days, by customer."""
    arguments = {"customers": None, "as_of": AS_OF, "time_unit": "day"} | changes
    return hist.histories(order_lines(rows), **arguments).to_pandas().set_index("customer_id")


def cdnow() -> pd.DataFrame:
    folder = Path(importlib.util.find_spec("lifetimes").origin).parent / "datasets"
    names = ["master_id", "customer_id", "date", "discs", "dollars"]
    return pd.read_csv(folder / "CDNOW_sample.txt", sep=r"\s+", names=names, dtype={"customer_id": str, "date": str})


def cdnow_lines(log: pd.DataFrame):
    return staged(
        "order_lines",
        pd.DataFrame(
            {
                "order_id": "o" + log.index.astype(str),
                "line_no": 1,
                "customer_id": log["customer_id"],
                "ordered_at": pd.to_datetime(log["date"]),
                "status": "confirmed",
                "quantity": log["discs"].astype(float),
                "net_amount": log["dollars"],
                "kind": "sale",
            }
        ),
    )


def test_the_first_purchase_is_no_repeat_and_orders_of_a_day_are_one():
    h = computed(
        [
            ("1", "a", "2025-01-01 09:00", "sale", 500, 1),
            ("2", "a", "2025-02-01 09:00", "sale", 100, 1),
            ("3", "a", "2025-02-01 23:59", "sale", 60, 1),
            ("4", "a", "2025-03-01 00:00", "sale", 40, 1),
            ("5", "b", "2025-06-30 23:59", "sale", 70, 1),
            ("6", "b", "2025-07-01 00:00", "sale", 999, 1),  # after as-of
        ]
    )
    a, b = h.loc["a"], h.loc["b"]
    assert (a.frequency, a.recency, a["T"], a.monetary_value) == (2, 59, 180, (160 + 40) / 2)
    assert (a.revenue_total, a.days_since_last_order) == (700, 121)
    assert (b.frequency, b.recency, b["T"], b.monetary_value, b.revenue_total) == (0, 0, 0, 0, 70)


def test_zero_amounts_count_but_shipping_cancelled_and_backlog_do_not():
    h = computed(
        [
            ("1", "a", "2025-01-01", "sale", 100, 1),
            ("2", "a", "2025-02-01", "sale", 0, 1),  # a free sample is a purchase
            ("3", "a", "2025-03-01", "shipping", 30, 1),  # revenue, no purchase
            ("4", "a", "2025-04-01", "sale", 900, 1, "P", None, "cancelled"),
            ("5", "a", "2025-05-01", "sale", 900, 1, "P", None, "backlog"),
            ("6", "b", "2025-05-01", "fee", 10, 1),
        ]
    )
    assert list(h.index) == ["a"]
    assert (h.loc["a", "frequency"], h.loc["a", "monetary_value"], h.loc["a", "revenue_total"]) == (1, 0, 130)


def test_shipping_of_a_purchase_day_is_revenue_of_that_day():
    h = computed(
        [
            ("1", "a", "2025-01-01", "sale", 100, 1),
            ("2", "a", "2025-02-01", "sale", 50, 1),
            ("2", "a", "2025-02-01", "shipping", 7, 1),
        ]
    )
    assert h.loc["a", "monetary_value"] == 57


SALES = [
    ("1", "a", "2025-01-01", "sale", 100, 10, "P"),
    ("2", "a", "2025-02-01", "sale", 200, 10, "Q"),
    ("3", "a", "2025-03-01", "sale", 300, 10, "P"),
    ("4", "a", "2025-04-01", "sale", 400, 10, "R"),
]


@pytest.mark.parametrize(
    ("back", "frequency", "monetary_value", "why"),
    [
        (("r", "a", "2025-05-01", "return", -30, -1, "Q"), 3, (170 + 300 + 400) / 3, "its product first"),
        (("r", "a", "2025-05-01", "return", -30, -1, "Z"), 3, (200 + 300 + 370) / 3, "else the latest sale day"),
        (("r", "a", "2025-03-15", "return", -30, -1, "R"), 3, (200 + 270 + 400) / 3, "never a later one"),
        (("r", "a", "2025-05-01", "return", -30, -1, "P", "2"), 3, (170 + 300 + 400) / 3, "the order it names"),
        (("r", "a", "2025-05-01", "return", -300, -10, "P"), 2, (200 + 400) / 2, "the day goes if nothing is left"),
        (("r", "a", "2025-05-01", "return", -290, -10, "P"), 2, (200 + 400) / 2, "by quantity"),
        (("r", "a", "2025-05-01", "return", -300, 0, "P"), 2, (200 + 400) / 2, "or by amount"),
        (("r", "a", "2025-05-01", "return", -299, -9, "P"), 3, (200 + 1 + 400) / 3, "and stays if something is"),
        (("r", "a", "2025-07-01", "return", -300, -10, "P"), 3, (200 + 300 + 400) / 3, "nothing after as-of"),
        (("r", "a", "2025-05-01", "return", -300, -10, "P", None, "cancelled"), 3, 300, "nor a cancelled return"),
    ],
)
def test_a_return_reduces_one_earlier_sale_day(back, frequency, monetary_value, why):
    h = computed([*SALES, back]).loc["a"]
    assert (h.frequency, h.monetary_value) == (frequency, monetary_value), why


def test_a_returned_last_or_first_day_moves_recency_and_t():
    last = computed([*SALES, ("r", "a", "2025-04-10", "return", -400, -10, "R")]).loc["a"]
    assert (last.recency, last["T"], str(last.last_order_on.date())) == (59, 180, "2025-03-01")
    first = computed([*SALES, ("r", "a", "2025-01-10", "return", -100, -10, "P")]).loc["a"]
    assert (first.recency, first["T"], first.frequency) == (59, 149, 2)


def test_the_report_counts_what_is_left_out():
    rows = [
        *SALES,
        ("r1", "a", "2025-05-01", "return", -300, -10, "P"),
        ("r2", "a", "2024-12-01", "return", -55, -1, "P"),  # before any sale
        ("r3", "b", "2025-05-01", "return", -45, -1, "P"),  # of a customer without a sale
        ("9", "c", "2025-05-01", "sale", 1, 1, "P", None, "cancelled"),
        ("8", "c", "2025-05-01", "sale", 1, 1, "P", None, "backlog"),
    ]
    found = hist.report(order_lines(rows), AS_OF).to_pandas().iloc[0].to_dict()
    assert found == {
        "lines": 9,
        "cancelled_lines": 1,
        "backlog_lines": 1,
        "return_lines": 3,
        "unmatched_returns": 2,
        "unmatched_amount": -100.0,
        "purchase_days": 3,
        "days_removed": 1,
        "customers_without_purchase": 1,
    }
    # unmatched returns stay in revenue
    assert computed(rows).loc["a", "revenue_total"] == 1000 - 300 - 55


def test_start_unknown_is_a_first_order_within_12_months_of_the_data():
    h = computed(
        [
            ("1", "a", "2023-03-31", "sale", 1, 1),
            ("2", "b", "2024-03-30", "sale", 1, 1),
            ("3", "c", "2024-03-31", "sale", 1, 1),
        ]
    )
    assert h["start_unknown"].to_dict() == {"a": True, "b": True, "c": False}


def test_segments_come_from_customers_and_an_empty_one_is_unknown():
    people = staged(
        "customers",
        pd.DataFrame({"customer_id": ["a", "b"], "customer_name": ["A", "B"], "industry": ["software", None]}),
    )
    rows = [(c, c, "2025-01-01", "sale", 1, 1) for c in "abc"]
    h = computed(rows, customers=people, segment_by="industry")
    assert h["model_segment"].to_dict() == {"a": "software", "b": "unknown", "c": "unknown"}
    with pytest.raises(Refused, match=r"customer_name.*cannot split"):
        computed(rows, customers=people, segment_by="customer_name")


def test_cdnow_as_published_and_as_pandas_computes_it():
    """2,357 customers, of whom 1,411 did not buy again; customers 1 and 1516 of Fader, Hardie & Lee (2005)."""
    log = cdnow()
    as_of = date(1997, 9, 30)
    h = hist.histories(cdnow_lines(log), None, as_of, "week").to_pandas().set_index("customer_id").sort_index()
    assert len(h) == 2357 and (h["frequency"] == 0).sum() == 1411
    one, best = h.loc["0001"], h.loc["1516"]
    assert (one.frequency, round(one.recency, 2), round(one["T"], 2)) == (2, 30.43, 38.86)
    assert (best.frequency, round(best.recency, 2), round(best["T"], 2)) == (26, 30.86, 31.0)

    log = log.assign(day=pd.to_datetime(log["date"]))
    days = log[log["day"] <= "1997-09-30"].groupby(["customer_id", "day"])["dollars"].sum().reset_index()
    by = days.groupby("customer_id")
    first, last, n = by["day"].min(), by["day"].max(), by.size()
    pd.testing.assert_series_equal(h["frequency"], n - 1, check_names=False)
    np.testing.assert_allclose(h["recency"], (last - first).dt.days / 7, rtol=1e-15)
    np.testing.assert_allclose(h["T"], (pd.Timestamp(as_of) - first).dt.days / 7, rtol=1e-15)
    repeat = days[days["day"] > days["customer_id"].map(first)].groupby("customer_id")["dollars"].mean()
    np.testing.assert_allclose(h["monetary_value"], repeat.reindex(h.index).fillna(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(h["revenue_total"], by["dollars"].sum(), rtol=1e-12)
    assert h["start_unknown"].all()

    groups = hist.distinct(h.reset_index())
    assert groups["weight"].sum() == 2357 and not groups.duplicated(["frequency", "recency", "T"]).any()


def test_equal_orders_in_any_order_of_rows_give_equal_bytes(tmp_path):
    log, contract, found = cdnow(), contract_of("histories"), []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        lines = cdnow_lines(log.sample(frac=1, random_state=seed))
        with_types = hist.histories(lines, None, date(1997, 9, 30), "week")
        frame = check_frame(contract, with_types.to_pandas())
        parquet.write_frame(contract, frame, folder)
        found.append(parquet.content_hash(folder))
    assert len(set(found)) == 1


def test_the_expression_keeps_its_contract_and_can_be_written_without_python(tmp_path):
    h = hist.histories(cdnow_lines(cdnow()), None, date(1997, 9, 30), "week")
    parquet.write_expression(contract_of("histories"), h, tmp_path)
    back = parquet.read_table(ibis.duckdb.connect(), contract_of("histories"), tmp_path)
    assert back.count().to_pandas() == 2357
