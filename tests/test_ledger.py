"""The sealed record: what is sealed, kept, settled and noticed, on companies small enough to count by hand."""

import hashlib
import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import store, value
from ltvlab_utils.i18n import say
from ltvlab_utils.runner import plan
from ltvlab_utils.store import publish
from ltvlab_utils.tables import contract_of
from ltvlab_utils.tables.check import check_frame
from ltvlab_utils.value import answers, exhibits, ledger, paths
from tests.value_world import AS_OF, company, order_lines, settings

MARCH = date(2025, 3, 31)


def row(**changes) -> pd.DataFrame:
    """One sealed forecast of March for the three months to June."""
    plain = {
        "forecast_of": "2025-03", "scope": "company", "metric": "purchase_days", "horizon_months": 3, "forecast": 4.0,
        "low": 2.0, "high": 6.0, "naive": 9.0, "actual": np.nan,
    }  # fmt: skip
    frame = pd.DataFrame([plain | changes])
    return frame.assign(sealed_hash=ledger.seal(frame))


@pytest.fixture(scope="module")
def shop():
    """Two customers by March, one who comes later."""
    lines = order_lines(
        [
            ("o1", "a", "2024-01-10", "sale", 100, 1),
            ("o2", "a", "2024-03-10", "sale", 100, 1),
            ("o3", "a", "2025-03-31", "sale", 100, 1),  # the day of the forecast: before it
            ("o4", "a", "2025-04-01", "sale", 110, 1),
            ("o5", "a", "2025-06-30", "sale", 120, 1),  # the last day of the horizon
            ("o6", "b", "2024-05-05", "sale", 40, 1),
            ("o7", "b", "2025-05-05", "sale", 50, 1),
            ("o8", "c", "2025-04-20", "sale", 9000, 1),  # not yet a customer in March
        ]
    )
    tables, chosen = {"order_lines": lines}, settings()
    return tables, chosen, value.gather(tables, chosen, AS_OF)


def test_the_seal_is_sha256_of_the_sealed_fields():
    told = json.dumps(["2025-03", "company", "purchase_days", 3, 4.0, 2.0, 6.0, 9.0])
    assert row()["sealed_hash"].iloc[0] == hashlib.sha256(told.encode()).hexdigest()


@pytest.mark.parametrize("field", ["forecast", "low", "high", "naive"])
def test_a_changed_number_breaks_its_seal_by_the_last_digit(field):
    good = row(forecast=1234.5678)
    assert ledger.broken(good).empty
    bad = good.assign(**{field: np.nextafter(good[field], np.inf)})
    assert ledger.broken(bad).index.tolist() == [0]


@pytest.mark.parametrize("field", ["forecast_of", "scope", "metric"])
def test_a_changed_name_breaks_its_seal(field):
    assert len(ledger.broken(row().assign(**{field: "2024-01"}))) == 1


def test_filling_in_what_happened_leaves_the_seal_whole():
    assert ledger.broken(row().assign(actual=5.0)).empty


def test_the_seal_survives_the_way_to_disk_and_back(tmp_path):
    from ltvlab_utils.store import parquet

    rows = pd.concat([row(forecast=1 / 3, metric=m) for m in ("revenue", "purchase_days")], ignore_index=True)
    contract = contract_of("forecast_ledger")
    parquet.write_frame(contract, rows, tmp_path)
    again = check_frame(contract, pd.read_parquet(tmp_path / parquet.PART))
    assert ledger.broken(again).empty and len(again) == 2


def test_a_horizon_that_has_passed_is_settled_by_hand(shop):
    """Of a and b, in (31 March, 30 June]: three purchase days, 110 + 120 + 50; what c bought is no part of it."""
    rows = pd.concat([row(), row(metric="revenue"), row(scope="segment:all"), row(horizon_months=6)], ignore_index=True)
    found = ledger.settle(rows, *shop)
    assert found["actual"].tolist()[:3] == [3.0, 280.0, 3.0]
    assert np.isnan(found["actual"].iloc[3])  # due at the end of September
    pd.testing.assert_frame_equal(found.drop(columns="actual"), rows.drop(columns="actual"))


def test_what_is_settled_stays_and_what_cannot_be_told_stays_empty(shop):
    rows = pd.concat([row(actual=77.0), row(scope="segment:gone"), row(metric="net_profit")], ignore_index=True)
    found = ledger.settle(rows, *shop)
    assert found["actual"].iloc[0] == 77.0
    assert found["actual"].iloc[1:].isna().all()  # no such segment today; no cost, so no profit


def test_profit_is_settled_on_the_basis_that_was_sealed(shop):
    """Cost 30 a line: gross profit of a and b is 280 - 90, and it is not called net profit."""
    lines = shop[0]["order_lines"].mutate(cost_amount=30)
    lines = lines.mutate(cost_amount=lines.cost_amount.cast("decimal(18, 4)"))
    chosen = settings(value_basis="gross_profit")
    tables = {"order_lines": lines}
    facts = value.gather(tables, chosen, AS_OF)
    rows = pd.concat([row(metric="gross_profit"), row(metric="net_profit")], ignore_index=True)
    found = ledger.settle(rows, tables, chosen, facts)
    assert found["actual"].iloc[0] == pytest.approx(190)
    assert np.isnan(found["actual"].iloc[1])


def test_a_preliminary_review_neither_settles_nor_seals(shop):
    rows = row()
    found = ledger.opened(rows, None, "preliminary", *shop)
    pd.testing.assert_frame_equal(found, rows)
    new = row(forecast_of="2025-06")
    assert ledger.close(found, new, "preliminary")["forecast_of"].tolist() == ["2025-03"]
    assert ledger.close(found, new, "lab")["forecast_of"].tolist() == ["2025-03"]
    assert ledger.close(found, new, "final")["forecast_of"].tolist() == ["2025-03", "2025-06"]


def test_a_final_review_made_again_keeps_the_first_seal(shop):
    first, second = row(forecast_of="2025-06", forecast=4.0), row(forecast_of="2025-06", forecast=5.0)
    opened = ledger.opened(row(), first, "final", *shop)
    closed = ledger.close(opened, second, "final")
    assert closed.loc[closed["forecast_of"] == "2025-06", "forecast"].tolist() == [4.0]
    assert closed["actual"].tolist()[0] == 3.0  # March is settled all the same


def test_the_record_outlives_a_lost_review_before(shop):
    """The review of this period that is replaced still has the rows that it carried."""
    replaced = pd.concat([row(), row(forecast_of="2025-06")], ignore_index=True)
    assert ledger.carried(None, replaced, "2025-06")["forecast_of"].tolist() == ["2025-03", "2025-06"]
    assert ledger.carried(None, None, "2025-06").empty
    later = pd.concat([replaced, row(forecast_of="2025-07")], ignore_index=True)
    assert "2025-07" not in set(ledger.carried(later, None, "2025-06")["forecast_of"])


@pytest.fixture(scope="module")
def valued():
    tables = company()
    chosen = settings(value_basis="net_profit", models={"segment_by": "industry"})
    facts = value.gather(tables, chosen, AS_OF)
    fits = value.fit(facts, chosen)
    return tables, chosen, facts, value.evaluate(facts, fits, chosen, np.random.default_rng(5))


def test_forecasts_come_from_totals_of_the_draws_of_the_values(valued):
    tables, chosen, facts, valuation = valued
    rows = ledger.forecasts(tables, chosen, facts, valuation.paths)
    check_frame(contract_of("forecast_ledger"), rows)
    assert set(rows["metric"]) == {"purchase_days", "revenue", "net_profit"}
    assert set(rows["scope"]) == {"company", "segment:north", "segment:south"}
    assert ledger.broken(rows).empty and rows["actual"].isna().all()
    by = rows.set_index(["scope", "metric", "horizon_months"]).sort_index()
    for metric in ("purchase_days", "revenue", "net_profit"):
        company_, north, south = (by.loc[s, metric] for s in ("company", "segment:north", "segment:south"))
        assert (north["forecast"] + south["forecast"]).tolist() == pytest.approx(company_["forecast"].tolist())
        assert (north["low"] + south["low"] < company_["low"]).all()  # bounds do not add up
        assert company_["forecast"].is_monotonic_increasing
    path = valuation.paths.cumulative("revenue")[:, 6]
    assert by.loc[("company", "revenue", 6), "forecast"] == path.mean()
    assert by.loc[("company", "revenue", 6), "low"] == np.quantile(path, 0.1)


def test_the_paths_end_in_the_values(valued):
    """At the horizon's end the discounted path is the future value, draw by draw, and the orders are the orders."""
    _, _, _, valuation = valued
    total = valuation.totals.set_index("scope")
    for scope, segment in (("company", None), ("segment:north", "north"), ("segment:south", "south")):
        end = valuation.paths.cumulative("value", segment)[:, -1]
        assert end.mean() == pytest.approx(total.loc[scope, "value"], rel=1e-9)
        assert np.quantile(end, 0.9) == pytest.approx(total.loc[scope, "high"], rel=1e-9)
    orders = valuation.by_customer["expected_orders"].sum()
    assert valuation.paths.cumulative("purchase_days")[:, -1].mean() == pytest.approx(orders, rel=1e-9)


def test_a_stretch_of_a_contract_counts_in_the_months_that_it_covers():
    """One draw, 5 months: 100 a month from 2.5 to 4.25 months after as-of."""
    one = lambda months: paths._in_force(np.array([0]), np.array([months]), np.array([100.0]), 1, 5)  # noqa: E731
    assert (one(4.25) - one(2.5)).ravel().tolist() == [0, 0, 50, 100, 25]
    assert one(5.0).ravel().tolist() == [100] * 5 and not one(0.0).any()


def test_the_naive_forecast_is_the_last_year_carried_on(valued):
    tables, chosen, facts, valuation = valued
    rows = ledger.forecasts(tables, chosen, facts, valuation.paths).set_index(["scope", "metric", "horizon_months"])
    lines = tables["order_lines"].to_pandas()
    day = pd.to_datetime(lines["ordered_at"])
    last = lines[(day > "2024-06-30") & (day < "2025-07-01")].assign(day=day.dt.normalize())
    days = len(last.drop_duplicates(["customer_id", "day"]))
    assert rows.loc[("company", "purchase_days", 6), "naive"] == pytest.approx(days / 2)


def test_forecasts_settle_against_what_the_same_customers_do(valued):
    """Sealed in March, settled in June: the model's own mean and what came are of the same customers and size."""
    tables, chosen, facts, _ = valued
    then = value.gather(tables, chosen, MARCH)
    found = value.evaluate(then, value.fit(then, chosen), chosen, np.random.default_rng(5))
    sealed = ledger.forecasts(tables, chosen, then, found.paths)
    done = ledger.settle(sealed, tables, chosen, facts)
    due = done[done["horizon_months"] == 3]
    assert due["actual"].notna().all() and done.loc[done["horizon_months"] > 3, "actual"].isna().all()
    assert ((due["forecast"] / due["actual"]).between(0.5, 2)).all()
    scopes = due.pivot(index="metric", columns="scope", values="actual")
    assert scopes["company"].tolist() == pytest.approx((scopes["segment:north"] + scopes["segment:south"]).tolist())


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_record_is_said_whatever_its_state(language):
    assert answers.record(row().iloc[:0], AS_OF, language) == say("note.record_first", language)
    assert answers.record(row(forecast_of="2025-06"), AS_OF, language) == say("note.record_first", language)  # its own
    waiting = answers.record(row(horizon_months=6), AS_OF, language)
    assert waiting == say(
        "note.record_waiting", language, count=1, month={"en": "September 2025", "ja": "2025年9月"}[language]
    )
    assert answers.record(row(), AS_OF, language) == say("note.record_untold", language, count=1)  # due in June, empty
    due = pd.concat([row(actual=5.0), row(horizon_months=6, actual=7.0)], ignore_index=True)
    said = answers.record(due, AS_OF, language)
    assert said == say(
        "note.record_due", language, metric=say("forecast.purchase_days", language), held="1", count=2,
        miss="31.4%", naive="54.3%",
    )  # fmt: skip  # |4-5|/5 and |4-7|/7: 0.2, 0.4286; |9-5|/5 and |9-7|/7: 0.8, 0.2857


def test_tampering_is_told_first_and_does_not_count():
    rows = pd.concat([row(actual=5.0), row(horizon_months=6, actual=7.0)], ignore_index=True)
    rows.loc[1, ["low", "high"]] = 0.0, 100.0  # somebody widens an interval after the fact
    said = answers.record(rows, AS_OF).splitlines()
    assert said[0].startswith("Warning: 1 of the sealed forecasts") and "2025-03 company purchase_days +6" in said[0]
    assert "of 1 forecasts" in said[1] and "1 held" in said[1]
    assert exhibits.due(rows)["horizon_months"].tolist() == [3]


# --- a run that replaces another -------------------------------------------------------------------------------------


def publish_run(workspace, run_id: str, kind: str, rows: pd.DataFrame, before: str = "") -> store.Run:
    """A published run with a ledger, made by hand; the period's earlier one stays in its folder."""
    params = store.resolve_params("small", "2025-06")
    folder = workspace / "reports" / "small" / "2025-06"
    publish.start_run(folder, run_id, params.to_json(), {"kind": kind})
    run = store.open("small", "2025-06", run_id)
    assert run.kind == kind
    assert (run.replaced.run_id if run.replaced else "") == before
    prior, replaced = run.before("forecast_ledger")
    assert prior is None
    opened = ledger.carried(prior, replaced, "2025-06")
    run.write("forecast_ledger", ledger.close(opened, rows, run.kind))
    manifest = {
        "run_id": run_id,
        "status": "complete",
        "kind": kind,
        "tables": {"forecast_ledger": {"rows": len(rows)}},
    }
    publish.write_manifest(folder / run_id, manifest | {"steps": {"02_ltv": {"key": f"key of {run_id}"}}})
    publish.publish(folder, run_id)
    return store.read("small", "2025-06")


def test_a_run_finds_the_seal_of_the_run_that_it_replaces(workspace):
    first, second = row(forecast_of="2025-06", forecast=4.0), row(forecast_of="2025-06", forecast=5.0)
    folder = workspace / "reports" / "small" / "2025-06"
    assert plan.find_sealed(folder) is None
    early = publish_run(workspace, "20250625-000000-aa", "preliminary", first)
    assert early.frame("forecast_ledger").empty and plan.find_sealed(folder) is None
    sealed = publish_run(workspace, "20250701-000000-bb", "final", first, before="20250625-000000-aa")
    assert sealed.frame("forecast_ledger")["forecast"].tolist() == [4.0]
    key, seal_ = plan.find_sealed(folder)
    assert key == "key of 20250701-000000-bb"
    again = publish_run(workspace, "20250702-000000-cc", "final", second, before="20250701-000000-bb")
    assert again.frame("forecast_ledger")["forecast"].tolist() == [4.0]
    assert plan.find_sealed(folder) == ("key of 20250702-000000-cc", seal_)  # another run, the same seal
    lab = store.open("small", "2025-06")
    assert lab.kind == "lab" and lab.before("forecast_ledger")[1]["forecast"].tolist() == [4.0]
