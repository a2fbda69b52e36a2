"""The generated company is what it says it is: repeatable, complete, dirty where it says so, and true to its truth."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import ltvlab_utils
from ltvlab_utils import sample, sources, store
from ltvlab_utils.errors import Refused
from ltvlab_utils.params import generator_of, resolve
from ltvlab_utils.sample import Setting, Truth, draws, generate, knobs
from ltvlab_utils.sample.measures import ACTIONS, profile
from ltvlab_utils.sources import generated
from ltvlab_utils.store import layout
from ltvlab_utils.tables import CONTRACTS

YAML = """
generator: {{seed: {seed}, customers: {customers}, months: 24, last_period: "2024-12"}}
sources:
  order_lines: [{{path: order_lines.csv}}]
"""


@pytest.fixture(scope="module")
def company():
    return generate(Setting())


@pytest.fixture(scope="module")
def frames(company):
    return company.frames


@pytest.fixture(scope="module")
def clean():
    """The same company without faulty rows."""
    return generate(Setting(), faulty=False).frames


@pytest.fixture(scope="module")
def truth(company):
    return Truth(company.history)


@pytest.fixture(scope="module")
def small():
    """A company small enough for thousands of futures."""
    return Truth.of(Setting(seed=5, customers=90, months=30))


# --- repeatable -------------------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_another_seed_another_company(tmp_path):
    made = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        parameters = resolve("acme", "2024-12", YAML.format(seed=seed, customers=60))
        assert sources.ensure_generated(parameters, tmp_path / name / "acme")
        files = [f for f in sorted((tmp_path / name).rglob("*")) if f.is_file() and f.suffix in (".csv", ".parquet")]
        made[name] = {str(f.relative_to(tmp_path / name)): f.read_bytes() for f in files}
    assert made["a"] == made["b"] and len(made["a"]) == 21 + 8
    for file in ("acme/order_lines.csv", ".truth/acme/customers.parquet"):
        assert made["a"][file] != made["c"][file]


def test_extracts_are_made_anew_only_when_needed(tmp_path):
    small, larger = (resolve("acme", "2024-12", YAML.format(seed=3, customers=n)) for n in (40, 60))
    folder = tmp_path / "acme"
    assert sources.ensure_generated(small, folder)
    before = {f.name: f.stat().st_mtime_ns for f in folder.glob("[!.]*")}
    assert not sources.ensure_generated(small, folder)
    assert before == {f.name: f.stat().st_mtime_ns for f in folder.glob("[!.]*")}
    (folder / "customers.csv").unlink()
    assert sources.ensure_generated(small, folder) and (folder / "customers.csv").is_file()
    assert sources.ensure_generated(larger, folder)
    stamp = json.loads((folder / ".generated.json").read_text())
    stamp["key"] = "code of another version"
    (folder / ".generated.json").write_text(json.dumps(stamp))
    assert sources.ensure_generated(larger, folder)


def test_a_customer_is_the_same_in_a_larger_company():
    """Candidates, and with them all futures, do not depend on how many are asked for."""
    world = knobs.misspecified(3)
    few, many = (sample.people.people(3, world, n, 24) for n in (50, 400))
    pd.testing.assert_frame_equal(few, many.head(50))


def test_draws_are_uniform_independent_and_keyed():
    key = draws.keys(1, "test", np.arange(400)[:, None], np.arange(500)[None, :])
    u, v, w = draws.below(key, "a", 1), draws.below(key, "a", 2), draws.below(key, "b", 1)
    assert u.min() > 0 and u.max() < 1
    counts = np.bincount((u.ravel() * 100).astype(int), minlength=100)
    assert ((counts - 2000) ** 2 / 2000).sum() < 160  # chi-square with 99 degrees of freedom, p = 1e-4
    for other in (v, w, np.roll(u, 1, axis=0), np.roll(u, 1, axis=1)):
        assert abs(np.corrcoef(u.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(u.size)
    np.testing.assert_array_equal(u[7:9, 3:5], draws.below(key[7:9, 3:5], "a", 1))


# --- complete ---------------------------------------------------------------------------------------------------------


def test_every_table_has_the_columns_of_its_contract(frames):
    made = {"order_id", "line_no", "entry_id", "activity_id", "milestone_id", "survey_id", "touch_id"}
    assert set(frames) == {n for n, c in CONTRACTS.items() if c.step == "input"} - {"customer_links"}
    for name, table in frames.items():
        contract = CONTRACTS[name]
        assert set(table.columns) <= set(contract.names), name
        needed = {c.name for c in contract.columns if not c.optional} - made
        assert needed <= set(table.columns), name
        assert len(table) > 0, name


def test_nothing_lies_after_the_last_period(frames):
    ahead = {"ends_on", "notice_due_on", "next_due_on", "due_on", "expected_close_on", "paused_to"}
    for name, table in frames.items():
        for column in table.select_dtypes("datetime").columns:
            if column not in ahead and (name, column) != ("campaigns", "ends_on"):
                assert not (table[column] >= pd.Timestamp("2025-07-01")).any(), (name, column)


def test_every_kind_of_customer_is_there(frames, clean):
    orders, terms = set(clean["order_lines"]["customer_id"]), set(frames["contract_terms"]["customer_id"])
    assert min(len(orders - terms), len(terms - orders), len(orders & terms)) > 80
    assert len(clean["customers"]) == 1200 and clean["customers"]["customer_id"].is_unique
    assert set(clean["customers"]["role"].dropna()) == {"distributor", "end_user"}
    assert clean["customers"]["parent_id"].isin(clean["customers"]["customer_id"]).sum() > 50
    lines = clean["order_lines"]
    through = lines["bill_to_id"].notna()
    heads = clean["customers"].query("role == 'distributor'")["customer_id"]
    assert through.any() and lines.loc[through, "bill_to_id"].isin(heads).all()
    assert (lines.loc[through, "end_user_id"] == lines.loc[through, "customer_id"]).all()


def test_corporate_numbers_have_their_check_digit(clean):
    """Check digit of the corporate number (法人番号): 9 - sum(P_n Q_n) mod 9, Q = 1, 2, 1, 2 … from the last digit."""
    for number in clean["customers"]["corporate_number"].dropna().head(200):
        digits = [int(d) for d in number]
        total = sum(d * (1 if i % 2 == 0 else 2) for i, d in enumerate(reversed(digits[1:])))
        assert len(digits) == 13 and digits[0] == 9 - total % 9


def test_lines_of_an_order_add_up_to_what_the_truth_counts(company, clean):
    lines = clean["order_lines"].query("kind == 'sale'")
    days = sample.orders.order_days(company.history)
    assert lines["net_amount"].sum() == days["amount"].sum() and lines["order_id"].nunique() == len(days)
    back = clean["order_lines"].query("kind == 'return'")
    assert (
        len(back) > 100 and (back["net_amount"] <= 0).all() and back["returns_order_id"].isin(lines["order_id"]).all()
    )
    sold = lines.drop_duplicates("order_id").set_index("order_id")["ordered_at"]
    assert (back["ordered_at"].to_numpy() > sold.reindex(back["returns_order_id"]).to_numpy()).all()


def test_revenue_grows_and_wholesale_buys_in_march(clean):
    lines = clean["order_lines"]
    industry = lines["customer_id"].map(clean["customers"].set_index("customer_id")["industry"])
    month = lines["ordered_at"].dt.to_period("M")
    total = lines.groupby(month)["net_amount"].sum()
    assert total["2024-07":].sum() > 1.1 * total[:"2023-06"].sum()
    wholesale = lines[industry == "wholesale"].groupby(month)["order_id"].nunique()
    for year in (2023, 2024, 2025):
        assert wholesale[f"{year}-03"] > 1.3 * max(wholesale[f"{year}-02"], wholesale[f"{year}-04"])


def test_off_season_buyers_are_silent_for_months(company, clean):
    people = company.history.people
    summer = np.flatnonzero((people["profile"] == sample.people.SUMMER) & (people["rate"] > 0.5))
    ids = sample.customer_ids(len(people))[summer]
    orders = clean["order_lines"][clean["order_lines"]["customer_id"].isin(ids)]
    by_month = orders["ordered_at"].dt.month.value_counts()
    assert len(ids) > 5 and by_month.get(6, 0) > 20 and by_month.reindex([10, 11, 12, 1, 2]).fillna(0).sum() == 0


def test_intervals_are_more_regular_than_a_poisson_process(clean):
    days = clean["order_lines"].query("kind == 'sale'").drop_duplicates("order_id").sort_values("ordered_at")
    gaps = days.groupby("customer_id")["ordered_at"].diff().dt.total_seconds() / 86400
    busy = gaps.groupby(days["customer_id"]).agg(["mean", "std", "count"]).query("count >= 20")
    assert 0.5 < (busy["std"] / busy["mean"]).median() < 0.97  # 1 for exponential gaps


def test_terms_of_a_contract_follow_each_other(clean):
    terms = clean["contract_terms"].sort_values(["contract_id", "term_no"])
    later = terms["contract_id"].eq(terms["contract_id"].shift())
    before = terms.shift()[later]
    follows = (terms["starts_on"][later] - before["ends_on"]).dt.days.eq(1)
    anew = (terms["starts_on"][later] - before["outcome_on"]).dt.days.eq(1)
    assert np.where(before["outcome"] == "superseded", anew, follows).all()
    assert set(before["outcome"]) == {"renewed", "superseded"}
    assert terms["outcome_on"].isna().eq(terms["outcome"] == "open").all()
    assert {12, 24, 36} <= set(terms["term_months"]) and set(terms["billing"]) == {"monthly", "annual", "upfront"}
    assert set(terms["outcome"]) == {"renewed", "churned", "cancelled_early", "superseded", "open"}
    assert terms["paused_from"].notna().any() and (~terms["auto_renew"]).any()
    co_terms = terms.merge(terms, on=["customer_id", "ends_on"]).query("contract_id_x < contract_id_y")
    assert len(co_terms) and (co_terms["term_months_x"] != co_terms["term_months_y"]).any()


def test_some_customers_return_after_they_left(clean):
    terms = clean["contract_terms"]
    ended = terms[terms["outcome"].isin(["churned", "cancelled_early"])].groupby("customer_id")["ends_on"].min()
    started = terms[terms["term_no"] == 1].groupby("customer_id")["starts_on"].max()
    both = pd.concat([ended, started], axis=1, join="inner")
    assert (both["starts_on"] > both["ends_on"]).any()


def test_changes_lead_to_the_amount_of_the_next_term(clean):
    changes, terms = clean["contract_changes"], clean["contract_terms"]
    assert not changes.duplicated(["contract_id", "changed_on", "reason"]).any()
    assert set(changes["reason"]) == {"upsell", "downsell", "price"}
    at_start = terms.merge(changes, left_on=["contract_id", "starts_on"], right_on=["contract_id", "changed_on"])
    at_start = at_start[at_start["reason"] == "price"]
    assert len(at_start) > 50 and (at_start["amount_after"] == at_start["monthly_amount"]).all()


def test_amounts_of_the_extracts_are_those_that_the_truth_bills(company, clean):
    """Terms, changes and pauses, month by month, against what the simulator billed."""
    setting, terms, moved = company.setting, clean["contract_terms"], clean["contract_changes"]
    month = pd.DataFrame({"month": pd.to_datetime(setting.month_day(np.arange(setting.months)))})
    grid = terms.merge(month, how="cross")
    stop = grid["outcome_on"].where(grid["outcome"].isin(["cancelled_early", "superseded"]), grid["ends_on"])
    paused = (grid["paused_from"] <= grid["month"]) & (grid["paused_to"] >= grid["month"])
    grid = grid[(grid["month"] >= grid["starts_on"]) & (grid["month"] <= stop) & ~paused].sort_values("month")
    moved = moved[["contract_id", "changed_on", "amount_after"]].sort_values("changed_on", kind="stable")
    moved["changed_on"], grid["month"] = moved["changed_on"].dt.as_unit("s"), grid["month"].dt.as_unit("s")
    grid = pd.merge_asof(grid, moved, left_on="month", right_on="changed_on", by="contract_id")
    amount = grid["amount_after"].where(grid["changed_on"] > grid["starts_on"], grid["monthly_amount"])
    found = amount.groupby([grid["month"], grid["customer_id"]]).sum()
    ids = sample.customer_ids(len(company.history.people))
    months = pd.Index(month["month"].dt.as_unit("s"), name="month")
    billed = pd.DataFrame(np.array(company.history.log.revenue), index=months, columns=ids).stack()
    wrong = (found.reindex(billed.index).fillna(0) - billed).abs() > 3  # each amount is rounded to a yen
    assert wrong.mean() < 0.0005, billed[wrong]


def test_owners_change_each_april_and_every_day_has_one(clean):
    owners = clean["customer_owners"].query("role == 'sales'").sort_values(["customer_id", "valid_from"])
    later = owners["customer_id"].eq(owners["customer_id"].shift())
    assert later.sum() > 300 and set(owners["valid_from"][later].dt.strftime("%m-%d")) == {"04-01"}
    assert (owners["valid_from"][later] - owners["valid_to"].shift()[later]).dt.days.eq(1).all()
    assert owners.groupby("customer_id")["valid_to"].apply(lambda v: v.isna().sum()).eq(1).all()


def test_content_customers_answer_surveys_more_often(clean, truth):
    asked = clean["surveys"].merge(truth.latents()[["customer_id", "base"]], on="customer_id")
    answered = asked["answered_on"].notna()
    assert 0.2 < answered.mean() < 0.8
    assert asked.loc[answered, "base"].mean() > asked.loc[~answered, "base"].mean() + 0.1
    assert asked["score"].notna().eq(answered).all() and asked["score"].dropna().between(0, 10).all()


def test_usage_falls_before_a_customer_gives_notice(clean):
    usage = clean["usage"].assign(week=pd.to_datetime(clean["usage"]["week"]))
    terms = clean["contract_terms"]
    shares = {}
    for outcome in ("churned", "renewed"):
        decided = terms[(terms["outcome"] == outcome) & (terms["outcome_on"] > "2023-07-01")]
        near = usage.merge(decided[["customer_id", "outcome_on"]], on="customer_id")
        before = (near["outcome_on"] - near["week"]).dt.days
        own = near.groupby([near["customer_id"], before.between(1, 90)])["value"].mean().unstack()
        shares[outcome] = (own[True] / own[False]).median()  # of each customer's own level
    assert shares["churned"] < shares["renewed"] - 0.1


def test_late_onboarding_and_unpaid_invoices_are_there(clean):
    late = (clean["milestones"]["done_on"] - clean["milestones"]["due_on"]).dt.days
    assert (late > 14).mean() > 0.02 and clean["milestones"]["done_on"].isna().any()
    lost = clean["receivables"]["written_off"].notna()
    assert 5 < lost.sum() < 0.02 * len(lost)
    assert clean["receivables"].loc[lost, "paid_on"].isna().all()


def test_costs_are_unknown_for_some_and_above_revenue_for_some(clean):
    assert 0.75 < clean["customers"]["acquisition_cost"].notna().mean() < 0.95
    sums = clean["order_lines"].groupby("customer_id")[["net_amount", "cost_amount"]].sum()
    assert 0.01 < (sums["cost_amount"] > sums["net_amount"]).mean() < 0.10


def test_targets_of_the_year_are_those_of_its_months(clean):
    own = clean["targets"].query("scope_type == 'company'")
    table = own.pivot_table(index="fiscal_period", columns="metric_id", values="target")
    months = [f"2025-{m:02d}" for m in range(4, 13)] + [f"2026-{m:02d}" for m in range(1, 4)]
    assert table.loc[months].sum().to_dict() == pytest.approx(table.loc["FY2025"].to_dict())
    assert set(clean["targets"]["scope_type"]) == {"company", "owner"}


def test_campaigns_are_split_as_their_design_says(clean):
    campaigns, arms = clean["campaigns"].set_index("campaign_id"), clean["assignments"]
    assert set(campaigns["design"]) == {"randomised", "targeted", "staggered"}
    counts = arms.groupby(["campaign_id", "block", "arm"]).size().unstack(fill_value=0)
    assert ((counts["treatment"] - counts["control"]).abs() <= 1).all()
    assert set(arms.query("campaign_id == 'C3'")["arm"]) == {"treatment"}
    waves = arms.query("campaign_id == 'C7'").groupby("starts_on", dropna=False).size()
    assert len(waves) == 4 and waves.max() - waves.min() <= 3
    treated = arms.query("arm == 'treatment'")
    touched = set(map(tuple, clean["touches"][["campaign_id", "customer_id"]].to_numpy()))
    assert touched <= set(map(tuple, treated[["campaign_id", "customer_id"]].to_numpy()))


@pytest.mark.parametrize(
    ("customers", "months", "last", "world"),
    [(20, 12, "2025-06", "misspecified"), (200, 60, "2024-02", "misspecified"), (60, 24, "2025-06", "home")],
)
def test_other_sizes_and_worlds_work_too(customers, months, last, world):
    other = generate(Setting(1, customers, months, last, world)).frames
    assert other["customers"]["customer_id"].nunique() >= customers and len(other["order_lines"]) > 50
    assert len(other["contract_terms"]) > 5


# --- dirty where it says so -------------------------------------------------------------------------------------------


def test_every_fault_stands_in_the_truth_and_where_it_says(company, frames, clean):
    faults, lines = company.faults, frames["order_lines"]
    assert set(faults["kind"]) == {
        "cancelled_order", "guest", "missing_amount", "bad_date", "unknown_status", "future_date", "month_end_invoice",
        "duplicate", "return_without_sale", "overlapping_term", "wrong_encoding", "entered_twice",
    }  # fmt: skip
    keys = lines["order_id"] + "/" + lines["line_no"].astype(str)
    of = lambda kind: faults[faults["kind"] == kind]["key"]  # noqa: E731
    row = lambda kind: lines[keys.isin(of(kind))]  # noqa: E731
    assert row("guest")["customer_id"].isna().all() and lines["customer_id"].isna().sum() == len(of("guest"))
    assert row("missing_amount")["net_amount"].isna().all()
    assert set(keys[keys.duplicated()]) == set(of("duplicate"))
    assert (row("future_date")["ordered_at"].str[:4].astype(int) > 2040).all()
    assert row("unknown_status")["status"].eq(sample.faults.UNKNOWN_STATUS).all()
    assert (
        not pd.to_datetime(row("bad_date")["ordered_at"], format=sample.faults.MOMENT_FORM, errors="coerce")
        .notna()
        .any()
    )
    strays = row("return_without_sale")
    first = clean["order_lines"].groupby("customer_id")["ordered_at"].min()
    at = pd.to_datetime(strays["ordered_at"], format=sample.faults.MOMENT_FORM)
    assert len(strays) and (at.to_numpy() < first.reindex(strays["customer_id"]).to_numpy()).all()
    names = frames["customers"].set_index("customer_id")["customer_name"]
    right = clean["customers"].set_index("customer_id")["customer_name"]
    garbled = faults[faults["kind"] == "wrong_encoding"]
    assert (right.reindex(garbled["key"]).to_numpy() == garbled["detail"].to_numpy()).all()
    assert (names.reindex(garbled["key"]).to_numpy() != garbled["detail"].to_numpy()).all()
    term = frames["contract_terms"]["contract_id"] + "/" + frames["contract_terms"]["term_no"].astype(str)
    assert of("overlapping_term").isin(term).all() and len(frames["contract_terms"]) - len(clean["contract_terms"]) == 3


def test_a_firm_is_written_four_ways(company, clean):
    links = company.links
    names = links.pivot(index="customer_id", columns="source", values="name").dropna()
    crm = clean["customers"].set_index("customer_id")["customer_name"].reindex(names.index)
    ways = names.assign(crm=crm).nunique(axis=1)
    assert len(ways) > 100 and (ways == 4).all()
    for source, table in company.other.items():
        own = links[links["source"] == source].set_index("source_key")["name"]
        assert (own.reindex(table["key"]).to_numpy() == table["name"].to_numpy()).all()


# --- true to its truth ------------------------------------------------------------------------------------------------


def test_other_futures_agree_with_what_is_expected_by_line(small):
    """Mean over 200 realised paths, shocks shared, tickets and unpaid invoices drawn, against the expectation."""
    expected = small.expected(paths=600, horizons=(36,)).set_index("customer_id")
    paths = small.realised_paths(200)
    line = small.latents().set_index("customer_id")["line"]
    totals = paths.groupby(line).sum()
    error = np.hypot(totals.std(axis=1) / np.sqrt(200), (expected["standard_error"] ** 2).groupby(line).sum() ** 0.5)
    z = (totals.mean(axis=1) - expected["value"].groupby(line).sum()) / error
    assert (z.abs() < 3.5).all(), z


def test_the_path_that_happens_is_the_one_that_longer_data_show():
    """true_realised of a company is what the same company with more months of data turns out to order and to bill."""
    past = Setting(seed=5, customers=60, months=24, last_period="2024-06")
    truth = Truth.of(past)
    with pytest.raises(Refused, match="known for 36 months"):
        truth.realised(horizons=(48,))
    realised = truth.realised(horizons=(12,)).set_index("customer_id")
    longer = sample.history.run(past)
    state, log = longer.state, {"orders": 0.0, "contract": np.zeros(60)}
    for k in range(12):
        month = past.months + k
        push = sample.measures.pushes(longer.applied, month)
        shock = longer.shock[month + sample.people.BURN]
        done = sample.dynamics.step(longer.cast, state, month, shock, push)
        log["orders"] += done.net.sum()
        log["contract"][longer.cast.holders] += done.contract[:, 0]
    assert realised["order_revenue"].sum() == pytest.approx(log["orders"])
    np.testing.assert_allclose(realised["contract_revenue"], log["contract"])


def test_the_dead_are_worth_nothing_unless_they_return(small):
    latents = small.latents().set_index("customer_id")
    expected = small.expected(paths=200, horizons=(36,)).set_index("customer_id")
    dead = latents["died_on"].notna()
    assert dead.sum() >= 10
    long_gone = dead & (latents["died_on"] < pd.Timestamp("2025-06-30") - pd.DateOffset(months=26))
    assert (expected.loc[long_gone, "value"] == 0).all()
    assert expected.loc[dead, "value"].mean() < 0.15 * expected.loc[~dead, "value"].mean()


def test_a_campaign_without_effect_changes_nothing_at_all(truth):
    effects = truth.campaign_effects(paths=4, horizons=(12,))
    seminar = effects[effects["action"] == "seminar"]
    assert len(seminar) and (seminar[["effect", "total", "spill_total", "standard_error"]] == 0).all(axis=None)
    others = effects.query("action in ('reorder_offer', 'visit') and metric == 'orders' and window")
    assert (others["effect"] > 0.05).all() and (others["spill_total"] >= 0).all()


def test_a_staggered_campaign_counts_its_window_from_each_customers_own_start(truth):
    one = next(a for a in truth.history.assigned if a.campaign.design == "staggered")
    own, reached = one.applied, one.applied.weight > 0
    assert set(one.start) == {-1, one.month, one.month + 3, one.month + 6}
    assert (own.start[reached] >= one.month).all() and (own.start[~reached] == -1).all()
    group, people = truth.history.people["group"].to_numpy(), np.arange(len(own.weight))
    spilled = np.setdiff1d(people[reached], one.rows[one.treated])
    for row in spilled:  # nothing spills before its cause
        causes = one.rows[one.treated & (group[one.rows] == group[row])]
        assert own.start[row] == own.start[causes].min()
    effects = truth.campaign_effects(paths=4, horizons=(12,))
    renewed = effects.query("campaign_id == @one.campaign.code and metric == 'renewals' and window")
    assert renewed["horizon_months"].eq(6).all() and renewed["n_treatment"].eq(one.treated.sum()).all()


def test_the_cost_of_a_campaign_is_what_its_action_costs(clean):
    campaigns, touches = clean["campaigns"].set_index("campaign_id"), clean["touches"]
    treated = clean["assignments"].query("arm == 'treatment'").groupby("campaign_id").size()
    each = campaigns["action"].map({name: action.cost for name, action in ACTIONS.items()})
    assert (campaigns["cost_amount"] == each * treated.reindex(campaigns.index)).all()
    assert (touches["cost_amount"].to_numpy() == each.reindex(touches["campaign_id"]).to_numpy()).all()


def test_a_home_world_is_the_models_own():
    """Constant chances that measures alone move, no discount, spend Gamma-Gamma: p and q are those of the world."""
    truth = Truth.of(Setting(seed=2, customers=500, months=48, world="home"))
    d = truth.decisions()
    assert (d["discount"] == 0).all() and np.allclose(d["chance"], d["chance_without"])
    latents = truth.latents()
    assert latents["satisfaction"].eq(0).all()
    orders = sample.orders.order_days(truth.history).query("not cancelled")
    spend = latents["spend"].to_numpy()[orders["row"]]
    share = orders["amount"] / spend  # gamma with shape 6 and mean 1
    assert share.mean() == pytest.approx(1, abs=0.02) and share.var() == pytest.approx(1 / 6, rel=0.1)
    inverse = 420_000 * 3 / latents.query("line == 'software' and rate > 0")["spend"]  # gamma with shape 4
    assert inverse.mean() == pytest.approx(4, rel=0.15)


def test_tiny_companies_have_a_truth_too():
    truth = Truth.of(Setting(seed=1, customers=20, months=24))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        effects, discount = truth.campaign_effects(20, (12,)), truth.discount_effect(20, (12,))
    assert (effects["n_treatment"] > 0).all() and len(discount) >= 2


def test_what_is_pulled_forward_is_missing_later():
    shape = np.exp(profile("early_order_offer", "rate")) - 1
    assert shape[:2].sum() > 0.8 and abs(shape.sum()) < 0.05
    one = sample.measures.Applied("early_order_offer", np.array([0.4, 1.0, 1.7]), np.zeros(3, int))
    extra = sum(np.expm1(sample.measures.pushes([one], month)["rate"]) for month in range(6))
    assert (np.abs(extra) < 0.05).all()  # whatever the response
    assert profile("reorder_offer", "rate")[2:].sum() == 0
    lasting = profile("visit", "rate")
    assert lasting[11] == pytest.approx(lasting[2] / 2)  # half-life of nine months
    assert all(not profile("seminar", c).any() for c in sample.measures.CHANNELS) and len(ACTIONS) == 7


def test_a_naive_reading_of_discounts_is_wrong_and_the_truth_knows_better(truth, clean):
    told = truth.discount_effect(paths=20, horizons=(12,)).set_index("quantity")
    deals = clean["deals"].query("kind == 'renewal'")
    won = deals["stage"].eq("受注").groupby(deals["discount_rate"] > 0).mean()
    naive, true = won[True] - won[False], told.loc["renewal, those with a discount", "true"]
    assert naive == pytest.approx(told.loc["renewal, those with a discount", "naive"])
    assert true > 0.02 and abs(naive - true) > 0.3 * true


@pytest.mark.parametrize("seed", range(5))
def test_discounts_are_confounded_in_every_world(seed):
    truth = Truth.of(Setting(seed=seed, customers=600, months=36))
    d = truth.decisions()
    given = d["discount"] > 0
    true = (d["chance"] - d["chance_without"])[given].mean()
    # chances in place of outcomes: the naive reading without its sampling noise
    naive = d.loc[given, "chance"].mean() - d.loc[~given, "chance"].mean()
    assert true > 0.02 and naive < 0.7 * true
    assert d.loc[given, "satisfaction"].mean() < d.loc[~given, "satisfaction"].mean() - 0.3


def test_a_plan_is_simulated_with_the_same_numbers_in_both_arms(small):
    latents = small.latents()
    buyers = latents[(latents["rate"] > 0.5) & latents["died_on"].isna()]["customer_id"].head(4).tolist()
    plan = pd.DataFrame({"customer_id": buyers, "action": ["reorder_offer", "seminar", "none", "visit"]})
    found = small.simulate(plan, paths=200, horizons=(12,)).set_index("customer_id")
    own = found.loc[buyers].set_index("action")
    assert own.loc["reorder_offer", "effect"] > 3 * own.loc["reorder_offer", "standard_error"] > 0
    assert own.loc["visit", "effect"] > 0 and own.loc["visit", "hours"] == ACTIONS["visit"].hours
    np.testing.assert_allclose(found["value_with"] - found["value_without"], found["effect"], atol=1e-6)
    alone = small.action_effect(buyers[0], "reorder_offer", paths=200).set_index("horizon_months")
    spill = small.history.people.loc[small.rows[small.ids == buyers[0]][0], "group"]
    if spill < 0:  # nobody else's measure reaches the first customer
        assert alone.loc[12, "effect"] == pytest.approx(own.loc["reorder_offer", "effect"])


def test_wrong_plans_are_refused_in_a_sentence(small):
    with pytest.raises(Refused, match=r'No action is called "seminr"\. Did you mean "seminar"'):
        small.action_effect("C00001", "seminr")
    with pytest.raises(Refused, match="No customer C99999"):
        small.action_effect("C99999", "seminar")
    twice = pd.DataFrame({"customer_id": ["C00001", "C00001"], "action": ["seminar", "visit"]})
    with pytest.raises(Refused, match="stands in the plan twice"):
        small.simulate(twice)


@pytest.mark.slow
def test_realised_equals_expected_over_200_companies():
    """The mean over 200 seeds of what happened equals what was expected, by line of business."""
    rows = []
    for seed in range(200):
        truth = Truth.of(Setting(seed=1000 + seed, customers=30, months=12))
        line = truth.latents().set_index("customer_id")["line"]
        expected = truth.expected(paths=200, horizons=(36,)).set_index("customer_id")["value"]
        realised = truth.realised(horizons=(36,)).set_index("customer_id")["value"]
        rows.append((realised - expected).groupby(line).sum())
    differences = pd.DataFrame(rows).fillna(0.0)
    z = differences.mean() / (differences.std() / np.sqrt(len(differences)))
    assert (z.abs() < 3.5).all(), z


# --- where the truth is -----------------------------------------------------------------------------------------------


def test_only_its_writer_knows_the_folder_of_the_truth():
    """No module but the writer of generated companies and the two guards names the folder, and none reads from it."""
    package = Path(ltvlab_utils.__file__).parent
    naming = {str(f.relative_to(package)) for f in package.rglob("*.py") if '".truth"' in f.read_text(encoding="utf-8")}
    assert naming == {"sources/files.py", "store/layout.py"}  # both refuse it
    users = {
        str(f.relative_to(package))
        for f in package.rglob("*.py")
        for node in ast.walk(ast.parse(f.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id in ("TRUTH", "truth_dir")
    }
    assert users == {"sources/files.py", "store/layout.py", "sources/generated.py"}
    writer = (package / "sources" / "generated.py").read_text(encoding="utf-8")
    assert "read_parquet" not in writer and "read_csv" not in writer


def test_the_truth_cannot_be_reached_by_a_source_or_a_setting(tmp_path, monkeypatch):
    settings = "sources: {order_lines: [{path: .truth/customers.parquet, format: parquet}]}"
    with pytest.raises(Refused, match="never read"):
        sources.survey(resolve("acme", "2024-12", settings), tmp_path / "acme")
    monkeypatch.setenv("LTVLAB_DATA", str(tmp_path / ".truth"))
    with pytest.raises(Refused, match="never read"):
        layout.data_root()
    with pytest.raises(Refused, match="never read"):
        layout.reports_root(tmp_path / ".truth" / "acme")


@pytest.mark.slow
def test_a_review_is_the_same_with_and_without_the_truth(workspace, monkeypatch):
    """`ltvlab sample`, then `ltvlab run`, and again with the truth deleted: every table has the same bytes."""
    ltvlab = Path(sys.executable).with_name("ltvlab")
    words = [ltvlab, "sample", "acme", "--customers", "60", "--months", "30", "--seed", "7", "--paths", "20"]
    subprocess.run(words, check=True, capture_output=True)
    hashes = []
    for reports in ("with", "without"):
        monkeypatch.setenv("LTVLAB_REPORTS", str(workspace / reports))
        subprocess.run([ltvlab, "run", "acme", "2025-06"], check=True, capture_output=True)
        hashes.append(store.read("acme", "2025-06").manifest["tables"])
        shutil.rmtree(workspace / "data" / ".truth", ignore_errors=True)
    assert hashes[0] == hashes[1] and "ltv_by_customer" in hashes[0]
    assert not (workspace / "data" / ".truth").exists()


def test_the_mapping_of_the_sample_is_the_one_that_new_companies_get():
    text = (layout.workspace() / "params" / "sample" / "company.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["sources"] == generated.sources_of(generator_of({}))
    made = resolve("acme", "2025-06", sources.company_yaml("acme", generator_of({"customers": 300, "months": 48})))
    assert made.settings.generator.customers == 300 and made.settings.value_basis == "net_profit"
    large = generator_of({"customers": 60_000, "lines": 500_000})
    made = resolve("acme", "2025-06", sources.company_yaml("acme", large))
    assert made.settings.sources["order_lines"][0].format == "parquet"
