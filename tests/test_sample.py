"""The generated company is what it says it is: repeatable, complete, and not the models' own world."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import sources
from ltvlab_utils.params import resolve
from ltvlab_utils.sample import generate
from ltvlab_utils.store import layout

YAML = """
generator: {{seed: {seed}, customers: {customers}, months: 24, last_period: "2024-12"}}
sources:
  order_lines: [{{path: order_lines.csv}}]
"""


@pytest.fixture(scope="module")
def frames():
    return generate(7, 1200, 36, "2025-06")


@pytest.fixture(scope="module")
def lines(frames):
    """Order lines without the faulty rows."""
    table = frames["order_lines"].drop_duplicates(["order_id", "line_no"])
    day = pd.to_datetime(table["ordered_at"], format="%Y/%m/%d %H:%M", errors="coerce")
    table = table.assign(day=day, net_amount=pd.to_numeric(table["net_amount"]))
    return table.dropna(subset=["day", "customer_id", "net_amount"])


def test_same_seed_same_bytes_another_seed_another_company(tmp_path):
    made = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        parameters = resolve("acme", "2024-12", YAML.format(seed=seed, customers=60))
        assert sources.ensure_generated(parameters, tmp_path / name)
        made[name] = {f.name: f.read_bytes() for f in sorted((tmp_path / name).glob("[!.]*"))}
    assert made["a"] == made["b"] and len(made["a"]) == 14
    assert made["a"]["order_lines.csv"] != made["c"]["order_lines.csv"]


def test_extracts_are_made_anew_only_when_needed(tmp_path):
    small, larger = (resolve("acme", "2024-12", YAML.format(seed=3, customers=n)) for n in (40, 60))
    assert sources.ensure_generated(small, tmp_path)
    before = {f.name: f.stat().st_mtime_ns for f in tmp_path.glob("[!.]*")}
    assert not sources.ensure_generated(small, tmp_path)
    assert before == {f.name: f.stat().st_mtime_ns for f in tmp_path.glob("[!.]*")}
    (tmp_path / "customers.csv").unlink()
    assert sources.ensure_generated(small, tmp_path) and (tmp_path / "customers.csv").is_file()
    assert sources.ensure_generated(larger, tmp_path)
    stamp = json.loads((tmp_path / ".generated.json").read_text())
    stamp["key"] = "code of another version"
    (tmp_path / ".generated.json").write_text(json.dumps(stamp))
    assert sources.ensure_generated(larger, tmp_path)


def test_it_is_made_in_seconds(tmp_path):
    start = time.perf_counter()
    sources.ensure_generated(layout.resolve_params("sample", "2025-06"), tmp_path)
    assert time.perf_counter() - start < 15  # about one second on a quiet machine
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 20e6


def test_nothing_lies_after_the_last_period(frames):
    ahead = {"ends_on", "notice_due_on", "next_due_on", "due_on"}
    for name, table in frames.items():
        for column in table.select_dtypes("datetime").columns:
            if column not in ahead:
                assert table[column].max() < pd.Timestamp("2025-07-01"), (name, column)


def test_every_kind_of_customer_is_there(frames, lines):
    orders, terms = set(lines["customer_id"]), set(frames["contract_terms"]["customer_id"])
    sizes = (len(orders - terms), len(terms - orders), len(orders & terms))
    assert min(sizes) > 100 and len(frames["customers"]) == 1200
    assert frames["customers"]["customer_name"].is_unique
    assert 60_000 <= len(frames["order_lines"]) <= 120_000


def test_revenue_grows_and_wholesale_buys_in_march(frames, lines):
    industry = lines["customer_id"].map(frames["customers"].set_index("customer_id")["industry"])
    month = lines["day"].dt.to_period("M")
    total = lines.groupby(month)["net_amount"].sum()
    assert total["2024-07":].sum() > 1.2 * total[:"2023-06"].sum()
    assert total.min() > 5e7 and total.max() < 1e9
    wholesale = lines[industry == "wholesale"].groupby(month)["net_amount"].sum()
    for year in (2023, 2024, 2025):
        assert (
            wholesale[f"{year}-03"] > 1.4 * wholesale[f"{year}-02"]
            and wholesale[f"{year}-04"] < wholesale[f"{year}-03"] / 2
        )


def test_intervals_are_more_regular_than_a_poisson_process(lines):
    days = lines[lines["kind"] == "sale"].drop_duplicates("order_id").sort_values("day")
    gaps = days.groupby("customer_id")["day"].diff().dt.total_seconds() / 86400
    busy = gaps.groupby(days["customer_id"]).agg(["mean", "std", "count"]).query("count >= 20")
    variation = (busy["std"] / busy["mean"]).median()
    assert 0.6 < variation < 0.95  # 1 for exponential gaps; 1/sqrt(1.8) = 0.75 without season


def test_renewal_improves_with_tenure_and_differs_between_customers(frames):
    decided = frames["contract_terms"].query("outcome in ('renewed', 'churned')")
    share = decided.groupby(decided["term_no"].clip(upper=4))["outcome"].apply(lambda o: (o == "renewed").mean())
    assert share[4] > share[1] + 0.08
    notice = (decided["ends_on"] - decided["notice_due_on"]).dt.days
    assert set(notice) == {60, 90}


def test_terms_of_a_contract_follow_each_other(frames):
    terms = frames["contract_terms"].sort_values(["contract_id", "term_no"])
    later = terms["contract_id"].eq(terms["contract_id"].shift())
    assert (terms["starts_on"] - terms["ends_on"].shift())[later].dt.days.eq(1).all()
    assert terms["outcome"].shift()[later].eq("renewed").all()
    assert terms["outcome_on"].isna().eq(terms["outcome"] == "open").all()
    assert set(terms["term_months"]) == {12, 24} and set(terms["billing"]) == {"monthly", "annual"}


def test_changes_lead_to_the_amount_of_the_next_term(frames):
    changes, terms = frames["contract_changes"], frames["contract_terms"]
    assert not changes.duplicated(["contract_id", "changed_on", "reason"]).any()
    at_start = terms.merge(changes, left_on=["contract_id", "starts_on"], right_on=["contract_id", "changed_on"])
    assert len(at_start) > 50 and (at_start["amount_after"] == at_start["monthly_amount"]).all()


def test_campaigns_do_what_the_design_says(frames, lines):
    campaigns, arms = frames["campaigns"].set_index("campaign_id"), frames["assignments"]
    assert campaigns["design"].to_dict() == {"C1": "randomised", "C2": "randomised", "C3": "targeted"}
    ends = campaigns["starts_on"] + pd.to_timedelta(campaigns["window_days"], unit="D")
    assert ends.max() < pd.Timestamp("2025-05-31")
    counts = arms.groupby(["campaign_id", "block", "arm"]).size().unstack(fill_value=0)
    assert (counts.loc["C3", "control"] == 0).all()
    assert ((counts["treatment"] - counts["control"]).abs().loc[["C1", "C2"]] <= 1).all()
    treated = arms[arms["arm"] == "treatment"]
    assert set(map(tuple, frames["touches"][["campaign_id", "customer_id"]].to_numpy())) == set(
        map(tuple, treated[["campaign_id", "customer_id"]].to_numpy())
    )
    orders = lines[lines["kind"] == "sale"].drop_duplicates("order_id")
    for code, effect in (("C1", 0.7), ("C2", 0.0)):
        start = campaigns.loc[code, "starts_on"]
        window = orders[orders["day"].between(start, start + pd.Timedelta(days=60))]
        own = arms[arms["campaign_id"] == code]
        n = own["customer_id"].map(window.groupby("customer_id").size()).fillna(0)
        by = n.groupby(own["arm"]).agg(["mean", "var", "count"])
        error = np.sqrt((by["var"] / by["count"]).sum())
        # some treated customers leave within the window and get no extra orders
        assert abs(by.loc["treatment", "mean"] - by.loc["control", "mean"] - effect) < 3.5 * error


def test_costs_are_unknown_for_some_and_above_revenue_for_some(frames, lines):
    known = frames["customers"]["acquisition_cost"].notna().mean()
    assert 0.8 < known < 0.9
    sums = lines.assign(cost=pd.to_numeric(lines["cost_amount"])).groupby("customer_id")[["net_amount", "cost"]].sum()
    negative = (sums["cost"] > sums["net_amount"]).mean()
    assert 0.01 < negative < 0.10
    returns = lines[lines["kind"] == "return"]
    assert (
        len(returns) > 100
        and (returns["net_amount"] < 0).all()
        and returns["returns_order_id"].isin(lines["order_id"]).all()
    )
    lost = frames["receivables"]["written_off"].notna()
    assert 5 < lost.sum() < 0.01 * len(lost)


def test_targets_of_the_year_are_those_of_its_months(frames):
    table = frames["targets"].pivot_table(index="fiscal_period", columns="metric_id", values="target")
    months = [f"2025-{m:02d}" for m in range(4, 13)] + [f"2026-{m:02d}" for m in range(1, 4)]
    assert table.loc[months].sum().to_dict() == pytest.approx(table.loc["FY2025"].to_dict())
    assert set(frames["targets"]["metric_id"]) == {"revenue", "gross_profit"}


@pytest.mark.parametrize(("customers", "months", "last"), [(20, 12, "2025-06"), (300, 60, "2024-02")])
def test_other_sizes_work_too(customers, months, last):
    small = generate(1, customers, months, last)
    assert len(small["customers"]) == customers and len(small["order_lines"]) > 50
