"""Values of a small company: what adds up, what degrades, what rates rest on."""

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import value
from ltvlab_utils.tables import check_frame, contract_of
from ltvlab_utils.value.costs import Rates
from tests.value_world import AS_OF, company, order_lines, settings, staged, valued


def rng(seed=1):
    return np.random.default_rng(seed)


COSTS = ["expected_cogs", "expected_servicing_cost", "expected_support_cost", "expected_credit_loss"]


def test_components_add_up_for_customers_parents_and_totals():
    _, fits, found = valued(company(), servicing_cost_per_order=3.0, credit_loss_rate=0.01)
    by = found.by_customer
    for name, table in (("ltv_by_customer", by), ("ltv_by_parent", found.by_parent), ("ltv_totals", found.totals)):
        check_frame(contract_of(name), table)
    check_frame(contract_of("ltv_draws"), found.draws)
    check_frame(contract_of("model_card"), pd.DataFrame(fits.card))
    assert set(by["basis"]) == {"orders", "contracts", "both", "none"} - ({"contracts"} - set(by["basis"]))
    assert (by["value_basis"] == "net_profit").all() and by[COSTS].notna().all().all()
    revenue = by["expected_order_revenue"] + by["expected_contract_revenue"] + by["expected_expansion"]
    assert (revenue - by[COSTS].sum(axis=1) - by["future_value"]).abs().max() < 1e-6
    ltv = by["realised_profit"] + by["future_value"] - by["acquisition_cost"]
    assert (ltv - by["ltv"]).abs().max() < 1e-6
    assert by["ltv"].isna().equals(by["acquisition_cost"].isna()) and by["ltv"].isna().any()
    assert (by["future_value_low"] <= by["future_value_high"]).all()
    totals = found.totals.set_index("scope")["value"]
    assert totals["company"] == pytest.approx(by["future_value"].sum(), rel=1e-12)
    by_segment = by.groupby("model_segment")["future_value"].sum()
    assert totals[[f"segment:{s}" for s in by_segment.index]].to_numpy() == pytest.approx(by_segment.to_numpy())
    assert found.by_parent["future_value"].sum() == pytest.approx(by["future_value"].sum())
    assert found.by_parent.set_index("parent_id").loc["c000", "customers"] == 3
    assert found.draws.groupby("model_segment").size().eq(200).all()
    nobody = by.set_index("customer_id").loc["nobody"]
    assert (nobody["basis"], nobody["future_value"], nobody["p_alive"]) == ("none", 0.0, None) or nobody.isna()[
        "p_alive"
    ]
    assert "nothing_to_value" in nobody["note"]


def test_the_interval_of_a_total_is_no_sum_of_bounds():
    _, _, found = valued(company())
    by, company_row = found.by_customer, found.totals.set_index("scope").loc["company"]
    assert by["future_value_low"].sum() < company_row["low"] < company_row["value"] < company_row["high"]
    assert company_row["high"] < by["future_value_high"].sum()


def test_the_same_seed_gives_the_same_values_to_the_last_bit():
    tables = company()
    first, second = valued(tables)[2], valued(tables)[2]
    pd.testing.assert_frame_equal(first.by_customer, second.by_customer, check_exact=True)
    pd.testing.assert_frame_equal(first.draws, second.draws, check_exact=True)


def test_some_customers_alone_are_worth_what_they_are_among_all():
    """Same fits: equal within Monte Carlo error (streams run by block, so not to the bit)."""
    facts, fits, _ = valued(company())
    some = facts.customers["customer_id"].iloc[::3]
    chosen = settings(value_basis="net_profit", models={"segment_by": "industry"})
    rates = value.rates(facts, chosen)
    keep = facts.customers["customer_id"].isin(some).to_numpy()
    part = Rates(
        rates.value_basis,
        *(getattr(rates, n)[keep] for n in ("cost_share", "cost_share_sd", "contract_share", "support_rate")),
        rates.support_shape[keep],
        rates.credit_loss_rate,
        rates.servicing_cost,
        rates.notes,
        rates.pooled_margin[keep],
    )
    alone = value.simulate(facts.only(some), fits, part, chosen, rng(11)).by_customer.set_index("customer_id")
    among = value.simulate(facts, fits, rates, chosen, rng(12)).by_customer.set_index("customer_id").loc[alone.index]
    error = np.sqrt((alone["draw_sd"] ** 2 + among["draw_sd"] ** 2) / 400)
    z = (alone["future_value"] - among["future_value"]) / error.where(error > 0)
    assert z.abs().dropna().max() < 5 and abs(z.mean()) < 0.6


def test_without_cost_nothing_is_profit():
    _, _, found = valued(company(cost=False))
    by = found.by_customer
    assert (by["value_basis"] == "revenue").all()
    assert by[COSTS].isna().all().all()
    assert by["note"].str.contains("cost_unknown").all()
    revenue = by["expected_order_revenue"] + by["expected_contract_revenue"] + by["expected_expansion"]
    assert (revenue - by["future_value"]).abs().max() < 1e-9


def test_without_support_cost_it_is_gross_profit_and_an_assumed_margin_is_named():
    _, _, gross = valued(company(support=False))
    by = gross.by_customer
    assert (by["value_basis"] == "gross_profit").all() and by["note"].str.contains("support_unknown").all()
    assert by["expected_cogs"].notna().all() and by[COSTS[1:]].isna().all().all()
    _, _, assumed = valued(company(cost=False, support=False), assumed_margin_rate=0.25)
    by = assumed.by_customer
    assert (by["value_basis"] == "gross_profit").all() and by["note"].str.contains("margin_assumed").all()
    revenue = by["expected_order_revenue"] + by["expected_contract_revenue"] + by["expected_expansion"]
    assert (by["expected_cogs"] - 0.75 * revenue).abs().max() < 1e-6


def test_without_acquisition_cost_there_is_no_ltv():
    tables = company()
    people = tables["customers"].to_pandas().assign(acquisition_cost=None)
    _, _, found = valued(tables | {"customers": staged("customers", people)})
    assert found.by_customer[["ltv", "ltv_low", "ltv_high"]].isna().all().all()
    assert found.by_customer["note"].str.contains("acquisition_cost_unknown").all()
    assert found.by_parent["ltv"].isna().all()


def test_contracts_alone_and_orders_alone():
    tables = company()
    only = {k: v for k, v in tables.items() if k in ("customers", "contract_terms")}
    _, fits, found = valued(only)
    by = found.by_customer
    assert not fits.orders and set(by["basis"]) == {"contracts", "none"}
    running = by[by["basis"] == "contracts"]
    assert (running["p_alive"] == 1).all() and running["p_renew_next"].between(0, 1).all()
    assert (by["value_basis"] == "gross_profit").all()
    del tables["contract_terms"]
    _, fits, found = valued(tables)
    assert not fits.renewals and set(found.by_customer["basis"]) == {"orders", "none"}


def test_realised_profit_by_hand():
    lines = order_lines(
        [
            ("1", "a", "2025-01-01", "sale", 1000, 1, "P", None, "confirmed", 600),
            ("2", "a", "2025-02-01", "sale", 500, 1, "P", None, "confirmed", 300),
            ("3", "a", "2025-02-10", "return", -500, -1, "P", "2", "confirmed", -300),
            ("4", "b", "2025-03-01", "sale", 100, 1, "P", None, "confirmed", 130),  # served at a loss
            ("5", "b", "2025-04-01", "sale", 100, 1, "P", None, "cancelled", 1),
        ]
    )
    facts = value.gather({"order_lines": lines}, settings(value_basis="gross_profit"), AS_OF)
    rates = value.rates(facts, settings(value_basis="gross_profit"))
    assert value.realised(facts, rates).tolist() == [400.0, -30.0]
    assert value.realised(facts, value.rates(facts, settings())).tolist() == [1000.0, 100.0]


def test_shrunken_margins_beat_own_ratios_and_the_segment_mean():
    """True cost shares 0.6 +- 0.1, dates +- 0.1, 1 to 12 dates: the mean squared error is below both naive ways."""
    random, rows, truth = rng(9), [], {}
    for i in range(200):
        truth[f"c{i:03d}"] = share = random.normal(0.6, 0.1)
        for d in range(int(random.integers(1, 13))):
            day = str(pd.Timestamp("2024-01-01") + pd.Timedelta(days=30 * d))
            cost = 100 * (share + random.normal(0, 0.1))
            rows.append((f"{i}-{d}", f"c{i:03d}", day, "sale", 100, 1, "P", None, "confirmed", round(cost, 4)))
    facts = value.gather({"order_lines": order_lines(rows)}, settings(value_basis="gross_profit"), AS_OF)
    found = value.rates(facts, settings(value_basis="gross_profit"))
    true = facts.customers["customer_id"].map(truth).to_numpy()
    own = (facts.customers["order_cost"] / facts.customers["order_revenue"]).to_numpy()
    error = ((found.cost_share - true) ** 2).mean()
    assert error < 0.95 * ((own - true) ** 2).mean() and error < 0.5 * ((own.mean() - true) ** 2).mean()
    z = (true - found.cost_share) / found.cost_share_sd
    assert 0.85 < z.std() < 1.15


def test_support_rate_by_hand():
    """(cost of 12 months + 6 x segment rate) / (months + 6)."""
    lines = order_lines([("1", "a", "2023-01-01", "sale", 10, 1), ("2", "b", "2025-01-01", "sale", 10, 1)])
    rows = pd.DataFrame(
        {
            "entry_id": ["1", "2"],
            "customer_id": ["a", "a"],
            "occurred_on": pd.to_datetime(["2025-01-05", "2024-01-05"]),  # the second is older than a year
            "cost_amount": [120.0, 999.0],
            "kind": "x",
        }
    )
    chosen = settings(value_basis="net_profit", assumed_margin_rate=0.3)
    facts = value.gather({"order_lines": lines, "support_costs": staged("support_costs", rows)}, chosen, AS_OF)
    found = value.rates(facts, chosen)
    months = np.array([365, 180]) / (365.25 / 12)
    segment = 120 / months.sum()
    assert found.support_rate == pytest.approx((np.array([120, 0]) + 6 * segment) / (months + 6))
