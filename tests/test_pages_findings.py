"""Findings: what a person would say on looking at small tables made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils.pages import findings
from ltvlab_utils.pages.facts import Kpi
from ltvlab_utils.pages.findings import Finding
from ltvlab_utils.pages.sections import lede
from ltvlab_utils.pages.voice import Voice
from tests import fixtures_pages as company


def say(finding: Finding, language: str = "ja") -> str:
    return Voice(company.facts(), language).finding(finding)


@pytest.mark.parametrize(
    ("changes", "code", "change"),
    [
        ({}, "finding.revenue_up", 13 / 469),
        ({"churn": -60.0}, "finding.revenue_down", 42 / 469),
        ({"churn": -17.0}, "finding.revenue_flat", 1 / 469),  # +1 on 469 is 0.2 %: nothing to speak of
    ],
)
def test_revenue_rose_fell_or_held(changes, code, change):
    found = findings.revenue_moved(company.bridge(**changes))
    assert found.code == code
    assert found.values["change"] == pytest.approx(change)


def test_without_a_month_before_no_change_is_claimed():
    assert findings.revenue_moved(company.bridge(opening=0.0)).code == "finding.revenue_unknown"


@pytest.mark.parametrize(
    ("changes", "ja", "en"),
    [
        # won 14 + 21 + 6 = 41; lost 11 + 12 + 5 = 28: 68 %
        (
            {},
            "減額・休止・離反が、増えた分の約\u20607割を打ち消した",
            "Decreases, pauses and churn ate about 68% of what was won",
        ),
        (
            {"contraction": -24.0},
            "増えた分は、減額・休止・離反でほぼ消えた",
            "What was won, decreases, pauses and churn took back",
        ),
        (
            {"churn": -28.0},
            "減額・休止・離反が、増えた分を1,000万円上回った",
            "Decreases, pauses and churn exceeded what was won by ¥10.0m",
        ),
        ({"contraction": -1.0, "pause": 0.0, "churn": 0.0}, "失った売上はわずか", "Almost nothing was lost"),
        (
            {"new": 0.0, "expansion": 0.0, "return": 0.0},
            "増えた先はなく、2,800万円を失った",
            "Nothing was won and ¥28.0m was lost",
        ),
    ],
)
def test_how_much_of_what_was_won_was_lost_again(changes, ja, en):
    found = findings.losses_against_gains(company.bridge(**changes))
    assert say(found) == ja
    assert say(found, "en") == en


@pytest.mark.parametrize(
    ("prior", "code"),
    [
        (6080.0, "finding.value_up_inside"),  # +0.8 %, and 6080 lies within 5780 to 6490
        (6550.0, "finding.value_down_outside"),
        (5700.0, "finding.value_up_outside"),
        (6130.0, "finding.value_flat_inside"),
        (None, "finding.value_first"),
    ],
)
def test_a_change_of_value_is_held_against_its_interval(prior, code):
    assert findings.value_moved(6130.0, 5780.0, 6490.0, prior).code == code


def test_concentration_by_tenths():
    """Twenty customers worth 20, 19, … 1: the first two hold 39 of 210."""
    found, shares = findings.concentration(pd.Series(np.arange(1.0, 21.0)))
    assert found.values == {"share": pytest.approx(39 / 210), "count": 2}
    assert sum(shares) == pytest.approx(1) and shares[-1] == pytest.approx(3 / 210)


def test_concentration_is_not_claimed_of_few_customers_or_no_value():
    assert findings.concentration(pd.Series([1.0] * 9))[1] == []
    assert findings.concentration(pd.Series([-1.0] * 20))[1] == []


def test_the_watchlist_counts_money_and_near_deadlines():
    """Twelve rows; deadlines cycle 23 days, none, 58, none, 81: rows 1, 6 and 11 are within 30 days."""
    rows = company.watchlist()
    found = findings.watch(rows)
    assert found.values == {"count": 12, "soon": 3, "at_risk": pytest.approx(rows["value_at_risk"].sum())}
    assert say(found) == "今動くべき離反懸念先は12社、離反懸念額は2.05億円。うち3社は30日以内に申出期限"
    assert findings.watch(rows.iloc[:0]).code == "finding.watch_none"
    assert say(findings.watch(rows.iloc[1:2]), "en") == "1 customer needs someone now, with ¥35.7m at risk"


def test_the_grid_says_what_the_valuable_carry():
    rows = pd.DataFrame(
        {
            "value_class": ["high", "high", "low"],
            "risk_class": ["high", "low", "low"],
            "future_value": [60.0, 20.0, 20.0],
        }
    )
    found = findings.grid(rows)
    assert found.values == {"count": 2, "endangered": 1, "share": pytest.approx(0.8)}
    assert say(found) == "価値の高い2社が将来価値の80%を占め、うち1社に離反の懸念"
    assert findings.grid(rows.iloc[1:]).code == "finding.grid_safe"


# --- measures ---------------------------------------------------------------------------------------------------------


def measured(*rows: dict) -> pd.DataFrame:
    return findings.measures(company.table("campaign_effects", list(rows)))


@pytest.mark.parametrize(
    ("row", "decision"),
    [
        (company.effect("C", "x", 22, 12, 32, 3, "works"), "continue"),  # 9 to 29 after cost
        (company.effect("C", "x", 22, 12, 32, 15, "works"), "cannot_tell"),  # −3 to 17 after cost
        (company.effect("C", "x", 22, 12, 32, 40, "works"), "stop"),  # even the high end is 8 short of the cost
        (company.effect("C", "x", 1, -3, 5, 6, "cannot_tell"), "stop"),
        (company.effect("C", "x", 4, -3, 11, 2, "cannot_tell"), "cannot_tell"),
        (company.effect("C", "x", -9, -14, -4, 0, "harms"), "stop"),
        (company.effect("C", "x", 22, 12, 32, 3, "not_finished", causal=False), "cannot_tell"),
        (company.effect("C", "x", None, None, None, 3, "not_causal", causal=False, naive=50), "cannot_tell"),
        # revenue is no profit: it may fail to cover the cost, but it cannot prove that the measure paid
        (company.effect("C", "x", 22, 12, 32, 3, "works", metric="revenue"), "cannot_tell"),
        (company.effect("C", "x", 22, 12, 32, 40, "works", metric="revenue"), "stop"),
    ],
)
def test_a_decision_needs_the_whole_interval_on_one_side(row, decision):
    assert measured(row)["decision"].tolist() == [decision]


def test_money_comes_from_gross_profit_and_the_verdict_from_the_primary_metric():
    """The primary metric (orders) cannot tell: gross profit alone, chosen afterwards, makes no decision to continue."""
    profit = company.effect("C", "x", 22, 12, 32, 3, "cannot_tell", primary=False)
    orders = company.effect("C", "x", 0.001, -0.001, 0.003, 3, "cannot_tell", metric="orders")
    found = measured(profit, orders).iloc[0]
    assert (found["net"], found["net_low"], found["net_high"]) == (19e6, 9e6, 29e6)
    assert found["decision"] == "cannot_tell"
    assert measured(profit, {**orders, "verdict": "works"})["decision"].tolist() == ["continue"]


def test_one_row_a_campaign_by_the_adjusted_estimator():
    rows = measured(
        company.effect("C", "x", 30, 5, 55, 3, "works", estimator="neyman"),
        company.effect("C", "x", 22, 12, 32, 3, "works", estimator="lin"),
    )
    assert rows[["estimator", "net"]].values.tolist() == [["lin", 19e6]]


def test_a_measure_whose_effect_is_not_known_adds_neither_effect_nor_cost():
    known = company.effect("C1", "x", 22, 12, 32, 3, "works")
    unknown = company.effect("C2", "x", None, None, None, 50, "not_causal", causal=False, naive=50)
    total = findings.net_total(measured(known, unknown))
    assert total["net"] == 19e6 and total["cost"] == 3e6 and total["campaigns"] == 1
    # one campaign: 95 % half-width 10, so 80 % half-width 10 x 1.2816 / 1.9600
    assert total["high"] - total["net"] == pytest.approx(10e6 * 1.281552 / 1.959964, rel=1e-6)
    assert findings.net_total(measured(unknown)) is None


def test_the_finding_counts_decisions():
    assert say(findings.evaluated(findings.measures(company.effects()))) == (
        "4施策のうち、採算が取れたのは1件、費用に届かなかったのは1件、判断できないのは2件"
    )
    assert findings.evaluated(pd.DataFrame()).code == "finding.measures_none"


# --- the month in a sentence ------------------------------------------------------------------------------------------


def test_the_lede_holds_revenue_against_budget_and_the_odds_of_the_year():
    facts = company.facts()
    assert lede(facts, Voice(facts, "ja")) == (
        "6月の売上は4.82億円、予算に3.1%届かなかった。通期の粗利は22.6億円の着地見込みで、予算に届く見込みは28%"
    )
    assert lede(facts, Voice(facts, "en")) == (
        "June revenue was ¥482m, 3.1% short of budget. "
        "The year is heading for ¥2.26bn of gross profit, with a 28% chance of reaching budget"
    )


def test_without_budget_the_lede_compares_with_last_year():
    facts = company.orders_only()
    assert lede(facts, Voice(facts, "en")) == (
        "June revenue was $482m, +6.4% on the same month last year. The year is heading for $5.65bn of revenue"
    )


def test_a_comparison_with_nothing_is_not_made():
    assert Kpi(value=5.0, prior=0.0).against("prior") is None
    assert Kpi(value=5.0, prior=-2.0).against("prior") is None
    assert Kpi(value=None, prior=2.0).against("prior") is None
    assert Kpi(value=3.0, prior=2.0).against("prior") == pytest.approx(0.5)
