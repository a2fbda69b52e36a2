"""Acquisition by channel and cohort: by hand where all has happened, against the values where all is to come."""

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import value
from ltvlab_utils.tables import contract_of
from ltvlab_utils.tables.check import check_frame
from ltvlab_utils.value.cohorts import starts
from tests.value_world import AS_OF, company, order_lines, settings, staged, terms

D = 1.10  # a year


def grown(days: int) -> float:
    return D ** (-days / 365.25)


@pytest.fixture(scope="module")
def shop():
    """Horizon 12 months, all of it past; data begin in January 2022."""
    lines = order_lines(
        [
            ("o0", "old", "2022-01-03", "sale", 500, 1),  # may have been a customer before
            ("o1", "x", "2023-02-01", "sale", 100, 1),
            ("o2", "x", "2023-08-01", "sale", 200, 1),  # 181 days later
            ("o3", "x", "2024-01-31", "sale", 300, 1),  # 364 days later, the last day
            ("o4", "x", "2024-02-01", "sale", 7000, 1),  # after the horizon
            ("o5", "y", "2023-06-01", "sale", 50, 1),  # never again: counts all the same
            ("o6", "y", "2023-06-11", "return", -20, -0.4),
            ("o7", "z", "2024-03-01", "sale", 900, 1),
        ]
    )
    people = pd.DataFrame(
        {
            "customer_id": ["old", "x", "y", "z", "prospect"],
            "customer_name": "n",
            "acquisition_channel": ["web", "web", "web", None, "web"],
            "acquisition_cost": [9.0, 30.0, 50.0, None, 1.0],
        }
    )
    return {"customers": staged("customers", people), "order_lines": lines}


def evaluated(tables, chosen):
    facts = value.gather(tables, chosen, AS_OF)
    cohorts = value.Cohorts(tables, facts, chosen)
    found = value.evaluate(facts, value.fit(facts, chosen), chosen, np.random.default_rng(2), watch=[cohorts])
    return facts, cohorts, found


def test_cohorts_by_hand(shop):
    _, cohorts, _ = evaluated(shop, settings(horizon_months=12))
    assert cohorts.left_out == 1  # old; the prospect is no customer
    table = check_frame(contract_of("cohort_ltv"), cohorts.table).set_index(["acquisition_channel", "cohort"])
    assert table["customers"].to_dict() == {("unknown", "2024"): 1, ("web", "2023"): 2}
    x = 100 + 200 * grown(181) + 300 * grown(364)
    y = 50 - 20 * grown(10)
    assert table.loc[("web", "2023"), "value"] == pytest.approx((x + y) / 2, abs=1e-4)
    assert table.loc[("unknown", "2024"), "value"] == pytest.approx(900)
    # nothing is to come, so nothing is uncertain; cost is that of the customers, unknown where it is not known
    assert table.loc[("web", "2023"), "low"] == pytest.approx(table.loc[("web", "2023"), "high"])
    assert table.loc[("web", "2023"), "acquisition_cost"] == 40
    assert np.isnan(table.loc[("unknown", "2024"), "acquisition_cost"])


def test_a_longer_horizon_adds_what_is_to_come_with_an_interval(shop):
    short = evaluated(shop, settings(horizon_months=12))[1].table
    long = evaluated(shop, settings(horizon_months=36))[1].table
    both = short.merge(long, on=["acquisition_channel", "cohort"])
    assert (both["value_y"] > both["value_x"]).all()
    assert (long["high"] > long["low"]).all() and (long["value"] > long["low"]).all()


def test_contracts_count_by_days_and_older_ones_are_left_out():
    """100 a month over a year, spread over its days and discounted to its start: 1,200 (1 - e^-d) / d, d = ln 1.1."""
    rows = terms(
        [
            ("k1", 1, "2023-01-01", "2023-12-31", 100.0, "churned", "2023-12-31", None),
            ("k2", 3, "2023-01-01", "2023-12-31", 900.0, "churned", "2023-12-31", None),  # its third term
        ]
    )
    tables = {"contract_terms": staged("contract_terms", rows.assign(billing="monthly").drop(columns="notice"))}
    chosen = settings(horizon_months=36)
    facts, cohorts, _ = evaluated(tables, chosen)
    assert starts(facts, 36).set_index("customer_id")["known"].to_dict() == {"K1": True, "K2": False}
    assert cohorts.left_out == 1 and cohorts.table["customers"].tolist() == [1]
    years, delta = 365 / 365.25, np.log(D)
    truth = 1200 * (1 - np.exp(-delta * years)) / (delta * years)
    assert cohorts.table["value"].iloc[0] == pytest.approx(truth, rel=1e-6)


@pytest.mark.slow
def test_the_part_to_come_is_that_of_the_values_cut_at_the_customers_own_end():
    """Cut at the horizon it is the future value of every customer and draw; cut after 12 months the path of totals."""
    tables = company()
    chosen = settings(value_basis="net_profit", models={"segment_by": "industry", "draws": 200})
    facts = value.gather(tables, chosen, AS_OF)
    cohorts = value.Cohorts(tables, facts, chosen)
    year, seen = np.zeros(200), 0

    def compare(segment, rows, parts):
        nonlocal year, seen
        ends = cohorts._horizon.ends
        whole = cohorts._within(np.full(len(rows), ends[-1]), parts)
        np.testing.assert_allclose(whole, parts["future_value"], rtol=1e-9, atol=1e-6)
        assert not cohorts._within(np.zeros(len(rows)), parts).any()
        year = year + cohorts._within(np.full(len(rows), ends[12]), parts).sum(axis=0)
        seen += len(rows)

    found = value.evaluate(facts, value.fit(facts, chosen), chosen, np.random.default_rng(2), watch=[compare])
    assert seen == len(facts.customers)
    np.testing.assert_allclose(year, found.paths.cumulative("value")[:, 12], rtol=1e-9)


def test_value_to_date_agrees_with_realised_profit_where_nothing_is_discounted_or_cut(monkeypatch):
    """With no discount and a long horizon the past of a customer is its realised profit (contracts by days and months
    differ by the lengths of months)."""
    monkeypatch.setattr("ltvlab_utils.histories.START_UNKNOWN_MONTHS", 0)  # all start in the first months of this world
    tables = company()
    chosen = settings(
        value_basis="net_profit", horizon_months=120, discount_rate_annual=0.0, models={"segment_by": "industry"}
    )
    facts = value.gather(tables, chosen, AS_OF)
    cohorts = value.Cohorts(tables, facts, chosen)
    done = pd.Series(value.realised(facts, value.rates(facts, chosen)), facts.customers["customer_id"])
    who = cohorts._who.set_index("customer_id")["past"]
    orders_only = who.index.difference(facts.renewals["customer_id"])
    assert len(orders_only) > 20
    np.testing.assert_allclose(who[orders_only], done[orders_only], rtol=1e-6, atol=0.01)
    np.testing.assert_allclose(who.sum(), done[who.index].sum(), rtol=1e-3)
