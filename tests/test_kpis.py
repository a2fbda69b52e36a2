"""KPIs against rows that were added up by hand, and against SQL written apart from the package."""

from datetime import date

import duckdb
import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import bridges, kpis, landing
from ltvlab_utils.errors import Refused
from ltvlab_utils.i18n import knows
from ltvlab_utils.kpis.table import NO_OWNER
from ltvlab_utils.tables import CONTRACTS, check_frame

from .review_rows import order, staged, tables, term, valued, values

JUNE = date(2025, 6, 30)


def figures(ts, as_of=JUNE, start_month=4):
    """value by metric and month."""
    ledger = kpis.open_ledger(ts, as_of)
    return kpis.figures(ledger, ts, start_month).set_index(["metric_id", "month"])["value"]


def totals(value=100.0, low=80.0, high=120.0, customers=2):
    return pd.DataFrame([{"scope": "company", "customers": customers, "value": value, "low": low, "high": high}])


# --- revenue ----------------------------------------------------------------------------------------------------------


def test_revenue_counts_confirmed_sales_returns_shipping_and_fees():
    ts = tables(
        order_lines=[
            order("A", "c1", "2025-06-30 23:59", 1000, 600),
            order("R", "c1", "2025-06-30", -200, -120, kind="return"),
            order("A", "c1", "2025-06-30", 50, 50, kind="shipping", line_no=2),
            order("B", "c1", "2025-06-01", 9999, 1, status="cancelled"),
            order("C", "c1", "2025-06-01", 7777, 1, status="backlog"),
            order("D", "c2", "2025-05-31", 400, 300),
        ]
    )
    value = figures(ts)
    assert value["revenue", "2025-06"] == 850
    assert value["gross_profit", "2025-06"] == 320  # 400 - 80 + 0
    assert value["revenue", "2025-05"] == 400
    assert value["orders", "2025-06"] == 1  # the return and the shipping line are no orders
    assert value["average_order", "2025-06"] == 850


def test_a_line_without_cost_leaves_gross_profit_unknown_and_states_the_coverage():
    ts = tables(order_lines=[order("A", "c1", "2025-06-01", 750, 500), order("B", "c2", "2025-06-02", 250)])
    value = figures(ts)
    assert np.isnan(value["gross_profit", "2025-06"])
    assert np.isnan(value["gross_profit_fytd", "2025-06"])
    assert value["cost_coverage", "2025-06"] == 0.75


def test_contract_revenue_accrues_by_days():
    """Whole months count the amount; 15 to 30 April is 16 of 30 days; a pause of 1 to 10 May takes 10 of 31."""
    ts = tables(
        contract_terms=[
            term("K1", "c1", "2025-04-15", "2026-04-14", 3000, monthly_cost=1500),
            term("K2", "c2", "2025-04-01", "2026-03-31", 3100, monthly_cost=0, paused_from="2025-05-01",
                 paused_to="2025-05-10"),
        ]
    )  # fmt: skip
    value = figures(ts)
    assert value["revenue", "2025-04"] == pytest.approx(3000 * 16 / 30 + 3100)
    assert value["revenue", "2025-05"] == pytest.approx(3000 + 3100 * 21 / 31)
    assert value["revenue", "2025-06"] == 6100
    assert value["gross_profit", "2025-04"] == pytest.approx(1500 * 16 / 30 + 3100)
    # April is the first month of contracts; the amounts by hand, to the yen
    assert value["revenue_fytd", "2025-06"] == pytest.approx(1600 + 3100 + 3000 + 2100 + 6100)


def test_a_term_ends_with_early_cancellation_and_with_the_next_term():
    """K1 is cancelled on 10 June (10 of 30 days); K2 is superseded by its second term on 16 June."""
    ts = tables(
        contract_terms=[
            term("K1", "c1", "2025-01-01", "2025-12-31", 3000, outcome="cancelled_early", outcome_on="2025-06-10"),
            term("K2", "c2", "2025-01-01", "2025-12-31", 1000, outcome="superseded", outcome_on="2025-06-16"),
            term("K2", "c2", "2025-06-16", "2026-06-15", 2000, term_no=2),
        ]
    )
    value = figures(ts)
    assert value["revenue", "2025-06"] == pytest.approx(1000 + 1000 * 15 / 30 + 2000 * 15 / 30)
    assert value["mrr", "2025-06"] == 2000
    assert value["churned_customers", "2025-06"] == 1


def test_a_change_in_mid_term_counts_from_its_day_and_a_change_at_renewal_not_twice():
    ts = tables(
        contract_terms=[
            term("K", "c1", "2024-04-01", "2025-03-31", 1000, outcome="renewed", outcome_on="2025-01-31",
                 monthly_cost=400),
            term("K", "c1", "2025-04-01", "2026-03-31", 1200, term_no=2, monthly_cost=480),
        ],
        contract_changes=[
            {"contract_id": "K", "customer_id": "c1", "changed_on": "2025-04-01", "amount_before": 1000,
             "amount_after": 1200, "reason": "price"},
            {"contract_id": "K", "customer_id": "c1", "changed_on": "2025-06-16", "amount_before": 1200,
             "amount_after": 1500, "reason": "upsell"},
            {"contract_id": "K", "customer_id": "c1", "changed_on": "2025-06-16", "amount_before": 1500,
             "amount_after": 1800, "reason": "cross_sell"},
        ],
    )  # fmt: skip
    value = figures(ts)
    assert value["mrr", "2025-03"] == 1000
    assert value["mrr", "2025-05"] == 1200
    assert value["mrr", "2025-06"] == 1800
    assert value["revenue", "2025-06"] == pytest.approx(1200 * 15 / 30 + 1800 * 15 / 30)
    assert value["gross_profit", "2025-06"] == pytest.approx(0.6 * 1500)  # the cost moves with the amount


# --- windows and years ------------------------------------------------------------------------------------------------


def test_fiscal_year_to_date_and_last_year_and_nothing_before_the_data():
    days = [f"{y}-{m:02d}-10" for y, m in [(2024, m) for m in range(2, 13)] + [(2025, m) for m in range(1, 7)]]
    ts = tables(order_lines=[order(d, "c1", d, 100 + i, 50) for i, d in enumerate(days)])
    past = kpis.figures(kpis.open_ledger(ts, JUNE), ts, 4)
    value = past.set_index(["metric_id", "month"])["value"]
    # April to June 2025 are the 15th to 17th order: 114 + 115 + 116
    assert value["revenue_fytd", "2025-06"] == 345
    assert value["revenue_fytd", "2025-03"] == sum(100 + i for i in range(2, 14))  # April 2024 to March 2025
    assert np.isnan(value["revenue_fytd", "2024-02"])  # the data begin within that fiscal year
    assert np.isnan(value["active_customers", "2024-12"])  # only 11 months are known
    assert value["active_customers", "2025-01"] == 1
    assert np.isnan(value["existing_revenue_yoy", "2025-06"])  # 17 of 24 months
    ahead = pd.DataFrame(columns=["metric_id", "month", "value", "n", "low", "high"])
    ledger = kpis.open_ledger(ts, JUNE)
    table = kpis.table(ledger, past, ahead, None, kpis.owner_figures(ledger, ts), kpis.targets_of(ts, 4))
    row = table.set_index("metric_id").loc["revenue"]
    assert (row["value"], row["prior"], row["last_year"]) == (116, 115, 104)
    earlier = kpis.open_ledger(ts, date(2024, 12, 31))
    past = kpis.figures(earlier, ts, 4)
    table = kpis.table(earlier, past, ahead, None, kpis.owner_figures(earlier, ts), kpis.targets_of(ts, 4))
    assert np.isnan(table.set_index("metric_id").loc["revenue", "last_year"])


def test_existing_revenue_counts_customers_that_left():
    """c1 grows 1200 -> 1800, c2 stops (600 -> 0), c3 is new and does not count: 1800 / 1800."""
    rows = [order(f"a{m}", "c1", f"2023-{m:02d}-05", 100) for m in range(7, 13)]
    rows += [order(f"b{m}", "c1", f"2024-{m:02d}-05", 100) for m in range(1, 7)]
    rows += [
        order("x", "c2", "2023-07-01", 600),
        order("y", "c1", "2025-01-01", 1800),
        order("z", "c3", "2025-02-01", 9),
    ]
    value = figures(tables(order_lines=rows))
    assert value["existing_revenue_yoy", "2025-06"] == 1.0


def test_nrr_and_grr_hold_churned_customers():
    """MRR a year ago 100 + 200 + 300 + 400; now 150, 120, nothing, 400; a new one does not count.

    NRR = 670 / 1000, GRR = (100 + 120 + 0 + 400) / 1000, one logo of four lost.
    """
    year = {"starts_on": "2024-04-01", "ends_on": "2025-03-31", "outcome": "renewed", "outcome_on": "2025-01-31"}
    then = [("a", 100), ("b", 200), ("c", 300), ("d", 400)]
    rows = [{"contract_id": c, "customer_id": c, "monthly_amount": a, **year} for c, a in then]
    rows[2] |= {"outcome": "churned"}
    now = [("a", 150), ("b", 120), ("d", 400)]
    rows += [term(c, c, "2025-04-01", "2026-03-31", a, term_no=2) for c, a in now]
    rows += [term("e", "e", "2025-04-01", "2026-03-31", 5000)]
    value = figures(tables(contract_terms=rows))
    assert value["nrr", "2025-06"] == pytest.approx(0.67)
    assert value["grr", "2025-06"] == pytest.approx(0.62)
    assert value["logo_churn", "2025-06"] == 0.25
    assert value["churned_customers", "2025-03"] == 1 and value["churned_customers", "2025-04"] == 0
    assert np.isnan(value["nrr", "2025-03"])  # contracts are known from April 2024 on


def test_new_customers_leave_out_those_of_unknown_start():
    rows = [order("a", "c1", "2024-01-05", 1), order("b", "c2", "2024-12-31", 1), order("c", "c3", "2025-01-01", 1),
            order("d", "c3", "2025-06-01", 1), order("e", "c4", "2025-06-30", 1)]  # fmt: skip
    value = figures(tables(order_lines=rows))
    assert np.isnan(value["new_customers", "2024-12"])  # within 12 months of the start of the data
    assert value["new_customers", "2025-01"] == 1
    assert value["new_customers", "2025-06"] == 1


def test_orders_only_and_contracts_only_know_what_they_cannot_know():
    only_orders = figures(tables(order_lines=[order("a", "c1", "2025-06-05", 1)]))
    for metric in ("mrr", "nrr", "grr", "logo_churn", "churned_customers", "notice_90_amount", "support_cost_ratio"):
        assert np.isnan(only_orders[metric, "2025-06"])
    only_contracts = figures(tables(contract_terms=[term("K", "c1", "2025-06-01", "2026-05-31", 100)]))
    assert only_contracts["revenue", "2025-06"] == 100
    for metric in ("orders", "average_order", "gross_profit"):
        assert np.isnan(only_contracts[metric, "2025-06"])
    with pytest.raises(Refused, match="Nothing was ordered"):
        kpis.open_ledger(tables(order_lines=[order("a", "c1", "2025-07-01", 1)]), JUNE)


def test_a_line_without_the_date_that_counts_waits_and_is_reported():
    shipped = tables(order_lines=[order("a", "c1", "2025-06-05", 1, shipped_on="2025-06-06"),
                                  order("b", "c1", "2025-06-29", 5)])  # fmt: skip
    ledger = kpis.open_ledger(shipped, JUNE, "shipped")
    assert "1 confirmed lines have no such date" in kpis.undated_words(ledger, "shipped")
    assert kpis.figures(ledger, shipped, 4).set_index(["metric_id", "month"])["value"]["revenue", "2025-06"] == 1


def test_support_cost_ratio():
    ts = tables(
        order_lines=[order("a", "c1", "2025-05-05", 500), order("b", "c1", "2025-06-05", 1000)],
        support_costs=[{"entry_id": "1", "customer_id": "c1", "occurred_on": "2025-06-30", "cost_amount": 30},
                       {"entry_id": "2", "customer_id": "c1", "occurred_on": "2025-06-01", "cost_amount": 20}],
    )  # fmt: skip
    value = figures(ts)
    assert value["support_cost_ratio", "2025-06"] == 0.05
    assert np.isnan(value["support_cost_ratio", "2025-05"])  # support is known from June on


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_the_90_day_window_holds_day_90_and_not_day_91_nor_today():
    def due(name, day, **more):
        return term(name, name, "2025-01-01", "2025-12-31", 100, notice_due_on=day, **more)

    rows = [
        due("today", "2025-06-30"), due("first", "2025-07-01"), due("day90", "2025-09-28"), due("day91", "2025-09-29"),
        due("decided", "2025-08-01", outcome="churned", outcome_on="2025-06-01"),
        due("later", "2025-08-01", outcome="renewed", outcome_on="2025-07-15"),  # not known at as-of
    ]  # fmt: skip
    assert date(2025, 9, 28) - JUNE == pd.Timedelta(days=90)
    ts = tables(contract_terms=rows)
    value = figures(ts)
    assert value["notice_90_contracts", "2025-06"] == 3
    assert value["notice_90_amount", "2025-06"] == 3 * 1200
    # as of May 'decided' had no decision yet and 'today' was still to come
    assert value["notice_90_contracts", "2025-05"] == 4
    ltv = values(*(valued(c, 1, "contracts", p_renew_next=p, next_renewal_on="2026-01-01")
                   for c, p in (("first", 0.9), ("day90", 0.5), ("later", None), ("today", 0.0))))  # fmt: skip
    ahead = kpis.forward(kpis.open_ledger(ts, JUNE), ltv, totals()).set_index("metric_id")
    # 120 + 600 of the two that are known; the third counts as they do on average: 720 x 3600 / 2400
    assert ahead.loc["notice_90_at_risk", "value"] == pytest.approx(1080)
    assert tuple(ahead.loc["future_value", ["value", "low", "high"]]) == (100, 80, 120)


# --- owners and targets -----------------------------------------------------------------------------------------------


@pytest.fixture
def april():
    """Owner X up to 15 April, then Y; c2 has nobody. A late end of X does not make April count twice."""
    return tables(
        order_lines=[
            order("a", "c1", "2025-04-15", 100, 60), order("b", "c1", "2025-04-16", 1000, 600),
            order("c", "c2", "2025-04-20", 10), order("d", "c1", "2024-01-01", 1, 1),
        ],
        contract_terms=[term("K", "c1", "2025-04-01", "2026-03-31", 30, monthly_cost=10)],
        customer_owners=[
            {"customer_id": "c1", "owner": "X", "valid_from": "2024-01-01", "valid_to": "2025-04-30"},
            {"customer_id": "c1", "owner": "Y", "valid_from": "2025-04-16"},
            {"customer_id": "c1", "owner": "S", "valid_from": "2024-01-01", "role": "success"},
        ],
    )  # fmt: skip


def test_revenue_belongs_to_the_owner_of_its_day(april):
    ledger = kpis.open_ledger(april, date(2025, 4, 30))
    owners = kpis.owner_figures(ledger, april)
    of = owners[owners["month"] == "2025-04"].set_index(["metric_id", "scope_id"])["value"]
    assert of["revenue", "X"] == 100
    assert of["revenue", "Y"] == 1030  # the contract's month belongs to the owner on its last day
    assert of["revenue", NO_OWNER] == 10
    assert of["gross_profit", "X"] == 40 and np.isnan(of["gross_profit", NO_OWNER])
    company = kpis.figures(ledger, april, 4).set_index(["metric_id", "month"])["value"]
    assert of["revenue"].sum() == company["revenue", "2025-04"]
    assert of["new_customers", NO_OWNER] == 1


def test_the_last_version_of_a_target_counts_and_a_year_needs_every_month():
    rows = [
        {"fiscal_period": f"2025-{m:02d}", "metric_id": "revenue", "target": t, "version": v}
        for m, t, v in [(4, 100, "1"), (5, 100, "1"), (5, 120, "2"), (6, 140, "1")]
    ]
    rows += [{"fiscal_period": "2025-06", "metric_id": "gross_profit", "target": 50}]
    rows += [{"fiscal_period": "FY2025", "metric_id": "revenue", "target": 9999}]
    found = kpis.targets_of(tables(targets=rows), 4).set_index(["metric_id", "month"])["target"]
    assert found["revenue", "2025-05"] == 120
    assert found["revenue_fytd", "2025-06"] == 360
    assert ("gross_profit_fytd", "2025-06") not in found.index  # April and May are missing


def test_history_keeps_what_earlier_reviews_published():
    ts = tables(order_lines=[order("a", "c1", "2025-01-05", 1), order("b", "c1", "2025-06-05", 1)])
    ledger = kpis.open_ledger(ts, JUNE)
    past, none = kpis.figures(ledger, ts, 4), kpis.targets_of(ts, 4)
    ahead = kpis.forward(ledger, values(valued("c1", 100)), totals())
    earlier = pd.DataFrame(
        {"metric_id": ["future_value", "future_value", "revenue"], "month": ["2025-05", "2024-06", "2025-05"],
         "value": [90.0, 70.0, 12345.0], "target": np.nan}
    )  # fmt: skip
    table = kpis.table(ledger, past, ahead, earlier, kpis.owner_figures(ledger, ts), none).set_index("metric_id")
    assert tuple(table.loc["future_value", ["value", "prior", "last_year"]]) == (100, 90, 70)
    assert table.loc["revenue", "prior"] == 0  # recomputed: no order in May
    history = kpis.history(ledger, past, ahead, earlier, none)
    check_frame(CONTRACTS["kpi_history"], history)
    assert list(history.loc[history["metric_id"] == "future_value", "month"].sort_values()) == [
        "2024-06", "2025-05", "2025-06",
    ]  # fmt: skip
    check_frame(CONTRACTS["kpis"], table.reset_index())


def test_every_metric_has_words_and_a_formula_in_both_languages(april):
    past = kpis.figures(kpis.open_ledger(april, date(2025, 4, 30)), april, 4)
    assert set(past["metric_id"]) | {"future_value", "notice_90_at_risk"} == set(kpis.METRICS)
    for metric in kpis.METRICS:
        assert knows(f"metric.{metric}") and knows(f"metric.{metric}.formula"), metric


# --- bridges ----------------------------------------------------------------------------------------------------------

BRIDGED = tables(
    order_lines=[
        order("1", "old", "2025-01-05", 5),
        order("2", "grows", "2025-05-05", 100), order("3", "grows", "2025-06-05", 250),
        order("4", "shrinks", "2025-05-05", 100), order("5", "shrinks", "2025-06-05", 40),
        order("6", "pauses", "2025-05-05", 77),
        order("7", "back", "2025-02-05", 9), order("8", "back", "2025-06-05", 60),
        order("9", "new", "2025-06-05", 30),
        order("10", "same", "2025-05-05", 11), order("11", "same", "2025-06-05", 11),
    ],
    contract_terms=[
        term("K1", "churns", "2024-06-01", "2025-05-31", 500, outcome="churned", outcome_on="2025-04-01"),
        term("K2", "renewed", "2024-06-01", "2025-05-31", 300, outcome="renewed", outcome_on="2025-04-01"),
        term("K3", "newcontract", "2025-06-16", "2026-06-15", 1000),
    ],
)  # fmt: skip


def test_each_customer_stands_in_the_step_of_what_it_did():
    table = bridges.revenue_bridge(kpis.open_ledger(BRIDGED, JUNE)).set_index("step")["value"]
    assert table["opening"] == 100 + 100 + 77 + 11 + 500 + 300
    assert table["new"] == 30 + 500
    assert table["expansion"] == 150
    assert table["return"] == 60
    assert table["contraction"] == -60
    assert table["churn"] == -500
    assert table["pause"] == -77 - 300  # K2 was renewed, but its next term is not in the data: not a churn
    assert table["closing"] == 250 + 40 + 60 + 30 + 11 + 500


def world(seed=5, customers=60):
    """Random orders, returns and contracts over eight months."""
    rng = np.random.default_rng(seed)
    days = pd.Timestamp("2024-11-01") + pd.to_timedelta(rng.integers(0, 242, 500), unit="D")
    lines = [
        order(str(i), f"c{rng.integers(customers)}", str(d.date()), int(rng.integers(-50, 1000)), 1,
              status=str(rng.choice(["confirmed", "cancelled"], p=[0.9, 0.1])))
        for i, d in enumerate(days)
    ]  # fmt: skip
    lines.append(order("first", "newcomer", "2025-06-09", 321, 1))
    terms = []
    for k in range(40):
        start = pd.Timestamp("2024-08-01") + pd.Timedelta(days=int(rng.integers(0, 300)))
        end = start + pd.Timedelta(days=int(rng.integers(30, 200)))
        lost = bool(end <= pd.Timestamp(JUNE)) and rng.random() < 0.6
        terms.append(
            term(f"K{k}", f"c{rng.integers(customers)}", str(start.date()), str(end.date()), int(rng.integers(1, 9000)),
                 outcome="churned" if lost else "open", outcome_on=str(end.date()) if lost else None)
        )  # fmt: skip
    return tables(order_lines=lines, contract_terms=terms)


SQL = """
with days as (select unnest(generate_series(date '2025-05-01', date '2025-06-30', interval 1 day))::date as d),
accrued as (
  select customer_id, date_trunc('month', d) as m, contract_id,
         sum(monthly_amount::double / day(last_day(d))) as amount
  from contract_terms join days on d between starts_on and ends_on group by all),
entries as (
  select customer_id, date_trunc('month', ordered_at) as m, net_amount::double as amount from order_lines
  where status = 'confirmed'
  union all select customer_id, m, amount from accrued)
select m::date::varchar as month, sum(amount) as amount from entries group by 1
"""


def test_the_bridge_closes_to_one_yen_against_sql_written_apart():
    """Revenue of both months recomputed day by day in DuckDB, without the package."""
    ts = world()
    table = bridges.revenue_bridge(kpis.open_ledger(ts, JUNE))
    check_frame(CONTRACTS["revenue_bridge"], table)
    con = duckdb.connect()
    for name in ("order_lines", "contract_terms"):
        con.register(name, ts[name].to_pyarrow())
    by_month = con.execute(SQL).df().set_index("month")["amount"]
    level = table.set_index("step")["value"]
    assert level["opening"] == pytest.approx(by_month["2025-05-01"], abs=1)
    assert level["closing"] == pytest.approx(by_month["2025-06-01"], abs=1)
    assert abs(level.drop("closing").sum() - level["closing"]) < 1
    assert abs(bridges.gap(table)) < 1e-6
    assert (level[["new", "return", "expansion"]] > 0).all() and (level[["pause", "contraction"]] < 0).all()


def test_a_bridge_that_does_not_close_is_refused():
    table = bridges.revenue_bridge(kpis.open_ledger(BRIDGED, JUNE))
    table.loc[table["step"] == "new", "value"] += 2
    with pytest.raises(Refused, match=r"differ from the closing level by 2\.00"):
        bridges.words(table, "revenue", "JPY")


def test_the_first_month_of_the_data_has_no_bridge():
    ts = tables(order_lines=[order("a", "c1", "2025-06-05", 1)])
    assert bridges.revenue_bridge(kpis.open_ledger(ts, JUNE)) is None


def test_the_value_bridge_of_two_reviews():
    before = values(valued("a", 100), valued("b", 50), valued("gone", 7), valued("same", 3))
    after = values(valued("a", 130), valued("b", 20), valued("won", 11), valued("same", 3))
    table = bridges.ltv_bridge(before, after)
    check_frame(CONTRACTS["ltv_bridge"], table)
    assert dict(zip(table["step"], table["value"], strict=True)) == {
        "opening": 160, "won": 11, "grown": 30, "shrunk": -30, "lost": -7, "closing": 164,
    }  # fmt: skip
    assert dict(zip(table["step"], table["customers"], strict=True)) == {
        "opening": 4, "won": 1, "grown": 1, "shrunk": 1, "lost": 1, "closing": 4,
    }  # fmt: skip
    assert bridges.words(table, "future value", "JPY") == (
        "Future value went from ¥160 to ¥164: most gained by customers that grew (+¥30), most lost by customers that "
        "shrank (−¥30)."
    )
    assert bridges.ltv_bridge(None, after) is None
    still = bridges.ltv_bridge(after, after)
    assert bridges.words(still, "future value", "JPY") == "Future value went from ¥164 to ¥164: nothing moved."


# --- landing ----------------------------------------------------------------------------------------------------------


def draws(revenue, profit=None):
    profit = revenue if profit is None else profit
    frames = [
        pd.DataFrame({"model_segment": s, "draw": range(len(revenue)), "future_value": 0.0,
                      "fiscal_year_revenue": revenue, "fiscal_year_profit": profit})
        for s in ("x", "y")
    ]  # fmt: skip
    return pd.concat(frames)


def test_landing_adds_books_backlog_and_totals_of_draws():
    """Two segments with the same draws 0, 1, …, 10: the total is 0, 2, …, 20, with percentiles 2 and 18."""
    ts = tables(
        order_lines=[
            order("a", "c1", "2025-03-31", 1000, 1), order("b", "c1", "2025-04-01", 100, 60),
            order("c", "c1", "2025-06-05", 50, 30), order("d", "c1", "2025-06-20", 25, 15, status="backlog"),
        ],
        targets=[{"fiscal_period": "FY2025", "metric_id": "revenue", "target": 189, "version": "1"},
                 {"fiscal_period": "FY2025", "metric_id": "revenue", "target": 187, "version": "2"}],
    )  # fmt: skip
    ledger = kpis.open_ledger(ts, JUNE)
    table = landing.table(ledger, ts, kpis.figures(ledger, ts, 4), draws(np.arange(11.0)), 4).set_index("metric_id")
    check_frame(CONTRACTS["landing"], table.reset_index())
    row = table.loc["revenue"]
    assert row["fiscal_year"] == "FY2025"
    assert (row["to_date"], row["backlog"], row["existing_customers"], row["landing"]) == (150, 25, 10, 185)
    assert (row["low"], row["high"]) == (177, 193)
    assert row["p_reach_budget"] == pytest.approx(5 / 11)  # 175 + 12, 14, …, 20 reach 187
    profit = table.loc["gross_profit"]
    assert (profit["to_date"], profit["backlog"]) == (60, 10) and np.isnan(profit["budget"])


def test_landing_never_calls_revenue_profit():
    ts = tables(order_lines=[order("b", "c1", "2025-03-01", 100), order("c", "c1", "2025-04-01", 100)])
    ledger = kpis.open_ledger(ts, JUNE)
    table = landing.table(ledger, ts, kpis.figures(ledger, ts, 4), draws(np.ones(3)), 4)
    assert list(table["metric_id"]) == ["revenue"] and table["backlog"].isna().all()
    assert "not profit" in landing.words(table, "JPY")
    begun = tables(order_lines=[order("c", "c1", "2025-05-01", 100)])  # in mid-year
    ledger = kpis.open_ledger(begun, JUNE)
    assert landing.table(ledger, begun, kpis.figures(ledger, begun, 4), draws(np.ones(3)), 4).empty


def test_sums_are_exact_in_any_order_of_rows():
    """Amounts whose double sum depends on the order: decimal sums do not."""
    rng = np.random.default_rng(1)
    amounts = rng.choice([0.1, 0.2, 0.3, 1e9 + 0.1, -1e9], 400)
    rows = [order(str(i), "c1", "2025-06-01", round(float(a), 4)) for i, a in enumerate(amounts)]
    exact = sum(round(float(a) * 10) for a in amounts) / 10
    for turned in (rows, rows[::-1]):
        assert figures({"order_lines": staged("order_lines", turned)})["revenue", "2025-06"] == exact


def test_the_opening_sentence():
    ts = tables(
        order_lines=[order("a", "c1", "2025-05-05", 2_000_000), order("b", "c1", "2025-06-05", 1_500_000)],
        targets=[{"fiscal_period": "2025-06", "metric_id": "revenue", "target": 1_000_000}],
    )
    ledger = kpis.open_ledger(ts, JUNE)
    ahead = kpis.forward(ledger, values(valued("c1", 1)), totals())
    table = kpis.table(
        ledger, kpis.figures(ledger, ts, 4), ahead, None, kpis.owner_figures(ledger, ts), kpis.targets_of(ts, 4)
    )
    assert kpis.opening_words(table, "JPY") == (
        "Revenue was ¥1.50m: −25.0% against the month before, +50.0% against target. Gross profit is not known: costs "
        "are missing on some or all of it."
    )
    assert set(kpis.missing(table)["metric_id"]) >= {"gross_profit", "mrr", "support_cost_ratio"}
