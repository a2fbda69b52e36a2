"""The watchlist and the renewal calendar: rhythms by hand, a simulation of false alarms, capacity, order, owners."""

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import health, kpis, segments
from ltvlab_utils.i18n import say
from ltvlab_utils.tables import CONTRACTS, check_frame

from .review_rows import order, tables, term, valued, values

JUNE = date(2025, 6, 30)


def every(customer: str, days: int, gaps: int, silent: int) -> list[dict]:
    """Orders every `days` days, `gaps` gaps long, the last one `silent` days before as-of."""
    last = JUNE - timedelta(days=silent)
    return [order(f"{customer}{i}", customer, str(last - timedelta(days=days * i)), 10, 5) for i in range(gaps + 1)]


def reviewed(ts, ltv, capacity=20, churn=0.5):
    """The watchlist of customers that all have the same chance of loss."""
    ledger = kpis.open_ledger(ts, JUNE)
    stage = pd.Series("active", ltv.index)
    ltv = ltv.assign(p_lost_12_months=churn)
    table = segments.table(ltv, stage, None)
    listed = health.watchlist(ledger, ts, table, health.alarms(ledger, ts, ltv), capacity)
    return check_frame(CONTRACTS["watchlist"], listed).set_index("customer_id")


# --- rhythm -----------------------------------------------------------------------------------------------------------


def test_an_alarm_is_a_break_of_the_customers_own_rhythm():
    """Weekly and silent for 41 days: an alarm. Every 90 days and silent for 60: none. Two orders: no rhythm yet."""
    ts = tables(
        order_lines=every("weekly", 7, 20, 41)
        + every("slow", 90, 8, 60)
        + every("fresh", 3, 1, 100)
        + every("late", 90, 8, 300)
    )
    ltv = values(*(valued(c, 100) for c in ("weekly", "slow", "fresh", "late")))
    listed = reviewed(ts, ltv)
    assert set(listed.index) == {"weekly"}  # for late: (720 / 1020)^8 = 0.06
    row = listed.loc["weekly"]
    assert (row["reason"], row["action"]) == ("silent", "call")
    assert json.loads(row["reason_values"]) == {"usual_days": 7, "silent_days": 41}
    assert say("reason.silent", "ja", **json.loads(row["reason_values"])) == "通常7日ごとの注文が41日なし"


def test_rhythm_counts_days_not_lines_and_nets_returns():
    rows = [
        order("a", "c1", "2025-01-01", 10), order("b", "c1", "2025-01-01", 10), order("c", "c1", "2025-01-11", 10),
        order("d", "c1", "2025-02-10", 10), order("r", "c1", "2025-03-01", -10, kind="return", returns_order_id="d",
                                                  quantity=-1.0),
        order("e", "c2", "2025-06-30", 10),
    ]  # fmt: skip
    found = health.rhythm(tables(order_lines=rows)["order_lines"], JUNE).to_pandas().set_index("customer_id")
    c1 = found.loc["c1"]  # 10 February came back whole: purchase days are 1 and 11 January
    assert (c1["gaps"], c1["span_days"], c1["longest_days"], c1["silent_days"]) == (1, 10, 10, 170)
    assert found.loc["c2", "gaps"] == 0 and found.loc["c2", "silent_days"] == 0


def test_surprise_by_hand():
    rows = pd.DataFrame(
        {"gaps": [8, 30, 24, 2], "span_days": [720, 360, 240, 10], "silent_days": [60, 41, 15, 99],
         "longest_days": [95, 50, 14, 9]}
    )  # fmt: skip
    found = health.surprise(rows)
    assert found[0] == pytest.approx((720 / 780) ** 8)
    assert found[1] == pytest.approx((360 / 401) ** 30)
    assert found[2] == pytest.approx(1 / 25)  # longer than each of 24 gaps; the exponential reading says 0.23
    assert np.isnan(found[3])


def test_false_alarms_of_customers_that_are_still_there():
    """10,000 customers, gaps exponential or regular (gamma, shape 4), each with its own rate, seen at the end of a new
    gap drawn from the same law: at most 1 in 20 by either test, 1 in 10 by both."""
    rng = np.random.default_rng(2)
    for shape in (1.0, 4.0):
        n, gaps = 10_000, 30
        rate = rng.lognormal(-3, 1, n)
        drawn = rng.gamma(shape, 1 / shape, (n, gaps + 1)) / rate[:, None]
        rows = pd.DataFrame(
            {"gaps": gaps, "span_days": drawn[:, :-1].sum(axis=1), "silent_days": drawn[:, -1],
             "longest_days": drawn[:, :-1].max(axis=1)}
        )  # fmt: skip
        share = (health.surprise(rows) < health.SURPRISE).mean()
        assert 0.01 < share < 0.08
        exact = (rows["span_days"] / (rows["span_days"] + rows["silent_days"])) ** gaps
        if shape == 1.0:  # the predictive distribution is exact for exponential gaps
            assert (exact < 0.05).mean() == pytest.approx(0.05, abs=0.01)


# --- watchlist --------------------------------------------------------------------------------------------------------


def test_capacity_takes_the_most_money_and_leaves_out_the_lost():
    names = [f"c{i}" for i in range(6)]
    ts = tables(order_lines=[row for c in names for row in every(c, 7, 20, 41)])
    ltv = values(*(valued(c, 100.0 * (i + 1)) for i, c in enumerate(names)))
    listed = reviewed(ts, ltv, capacity=3)
    assert listed.sort_values("rank").index.tolist() == ["c5", "c4", "c3"]
    assert listed["value_at_risk"].sort_values(ascending=False).tolist() == [300, 250, 200]
    ledger = kpis.open_ledger(ts, JUNE)
    stage = pd.Series(["active"] * 5 + ["lost"])
    ltv = ltv.assign(p_lost_12_months=0.5)
    table = segments.table(ltv, stage, None)
    rest = health.watchlist(ledger, ts, table, health.alarms(ledger, ts, ltv), 2)
    assert rest["customer_id"].tolist() == ["c4", "c3"]


def test_customers_of_one_order_each_have_no_rhythm_and_no_alarm():
    ts = tables(order_lines=[order(f"o{i}", f"c{i}", "2025-01-10", 100) for i in range(3)])
    assert reviewed(ts, values(*(valued(f"c{i}", 100) for i in range(3)))).empty


def test_orders_that_ended_long_ago_are_no_alarm():
    ts = tables(order_lines=every("c1", 7, 20, 600))
    ltv = values(valued("c1", 100, "both"))
    assert reviewed(ts, ltv.assign(p_alive_orders=0.01)).empty
    assert list(reviewed(ts, ltv.assign(p_alive_orders=0.4)).index) == ["c1"]


CONTRACTED = {
    "contract_terms": [
        term("near", "c1", "2025-01-01", "2025-12-31", 100, notice_due_on="2025-09-28"),
        term("far", "c2", "2025-01-01", "2026-03-31", 100, notice_due_on="2025-12-27"),
        term("beyond", "c3", "2025-01-01", "2026-03-31", 100, notice_due_on="2025-12-28"),
        term("monthly", "c4", "2025-06-01", "2025-07-10", 100, term_months=1),
        term("decided", "c5", "2025-01-01", "2025-12-31", 100, notice_due_on="2025-08-01", outcome="renewed",
             outcome_on="2025-06-01"),
        term("plain", "c6", "2025-01-01", "2025-07-31", 100),
    ],
    "customers": [{"customer_id": f"c{i}", "customer_name": f"=cmd|'{i}"} for i in range(1, 7)],
    "customer_owners": [{"customer_id": "c1", "owner": "Then", "valid_from": "2024-01-01", "valid_to": "2025-06-29"},
                        {"customer_id": "c1", "owner": "Now", "valid_from": "2025-06-30"}],
}  # fmt: skip


@pytest.fixture
def contracted():
    ltv = values(
        valued("c1", 10, "contracts", p_renew_next=0.9, next_renewal_on="2026-01-01"),
        valued("c2", 10, "contracts", p_renew_next=0.4, next_renewal_on="2026-04-01"),
        valued("c3", 10, "contracts", p_renew_next=0.9, next_renewal_on="2026-04-01"),
        valued("c4", 10, "contracts", p_renew_next=0.9, next_renewal_on="2025-07-11"),
        valued("c5", 10, "contracts", p_renew_next=1.0, next_renewal_on="2026-01-01"),
        valued("c6", 10, "contracts"),
    )
    return tables(**CONTRACTED), ltv


def test_reasons_of_contracts(contracted):
    listed = reviewed(*contracted)
    assert listed["reason"].to_dict() == {"c1": "notice", "c2": "renewal", "c6": "deadline"}
    assert listed.loc["c1", "owner"] == "Now" and listed.loc["c1", "days_left"] == 90
    assert listed.loc["c1", "deadline_on"] == pd.Timestamp("2025-09-28")
    assert listed.loc["c6", "days_left"] == 31  # no notice deadline: the last day of the term
    for row in listed.itertuples():
        for language in ("ja", "en"):
            text = say(f"reason.{row.reason}", language, **json.loads(row.reason_values))
            assert "None" not in text and "nan" not in text
            assert say(f"action.{row.action}", language)


def test_the_calendar_ends_after_180_days_and_knows_who_was_contacted(contracted):
    ts, ltv = contracted
    ts |= tables(
        activities=[
            {"activity_id": "1", "customer_id": "c1", "occurred_on": "2025-06-01"},
            {"activity_id": "2", "customer_id": "c2", "occurred_on": "2025-05-31"},
        ]
    )
    calendar = health.renewal_calendar(kpis.open_ledger(ts, JUNE), ts, ltv)
    table = check_frame(CONTRACTS["renewal_calendar"], calendar).set_index("contract_id")
    # 27 December is day 180, 28 December day 181; what is decided needs no date
    assert table["window"].to_dict() == {"near": "90", "far": "180", "monthly": "30", "plain": "90"}
    assert table.loc["near", "renewal_on"] == pd.Timestamp("2026-01-01")
    assert table.loc["near", "value_at_risk"] == pytest.approx(120)
    assert np.isnan(table.loc["plain", "p_renew"])
    assert table["contacted"].to_dict() == {"near": True, "far": False, "monthly": False, "plain": False}
    assert health.renewal_words(calendar, "JPY") == (
        "3 contracts worth ¥3.60k a year have their notice deadline within 90 days; 2 of them without contact in 30 "
        "days."
    )


def test_without_activities_contact_is_unknown_and_without_contracts_there_is_no_calendar(contracted):
    ts, ltv = contracted
    calendar = health.renewal_calendar(kpis.open_ledger(ts, JUNE), ts, ltv)
    assert calendar["contacted"].isna().all()
    check_frame(CONTRACTS["renewal_calendar"], calendar)
    assert "without contact" not in health.renewal_words(calendar, "JPY")
    orders = tables(order_lines=every("c1", 7, 5, 1))
    assert health.renewal_calendar(kpis.open_ledger(orders, JUNE), orders, ltv) is None


def test_support_alarms_compare_with_the_customers_own_level():
    """Both cost 300 in the last 90 days. c1 had 300 in the 270 days before (100 per 90); c2 had 900 (300 per 90)."""

    def work(customer, day, cost):
        return {"entry_id": f"{customer}{day}", "customer_id": customer, "occurred_on": day, "cost_amount": cost}

    rows = [work(c, d, 100) for c in ("c1", "c2") for d in ("2025-06-01", "2025-06-10", "2025-06-20")]
    first = str(JUNE - timedelta(days=359))
    rows += [work("c1", first, 300), work("c2", first, 900), work("c3", "2025-06-01", 500)]
    ts = tables(order_lines=every("c9", 7, 5, 1), support_costs=rows)
    load = health.support_load(ts["support_costs"], JUNE).to_pandas().set_index("customer_id")
    assert load.loc["c1", "usual_cost"] == pytest.approx(100) and load.loc["c2", "usual_cost"] == pytest.approx(300)
    listed = reviewed(ts, values(*(valued(c, 100) for c in ("c1", "c2", "c3"))))
    assert listed["reason"].to_dict() == {"c1": "support"}
    assert json.loads(listed.loc["c1", "reason_values"]) == {"entries": 3, "ratio": 3}


def test_value_at_risk_by_owner_adds_up(contracted):
    ts, ltv = contracted
    table = segments.table(ltv.assign(p_lost_12_months=0.5), pd.Series("active", ltv.index), None)
    by_owner = health.at_risk_by_owner(table, kpis.open_ledger(ts, JUNE), ts)
    assert by_owner.set_index("owner")["customers"].to_dict() == {"none": 5, "Now": 1}
    assert by_owner["value_at_risk"].sum() == table["value_at_risk"].sum()
    assert "not what a measure would save" in health.owner_words(by_owner)
