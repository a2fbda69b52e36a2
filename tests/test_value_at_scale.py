"""Twins in place of customers against the simulation of each customer, on the same customers."""

import ibis
import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import value
from ltvlab_utils.tables import check_table, contract_of
from ltvlab_utils.value import exhibits, ledger, wide
from tests.value_world import AS_OF, company, settings, staged

CUSTOMERS = 3_000
DRAWS = 600
MANY = {"per_customer": 1_000, "twins": 1_500}
# Standard errors of the spread of DRAWS draws: 1 / sqrt(2 n) = 2.9 %, of a ratio of two 4.1 %; four of these.
SPREAD = 4 * np.sqrt(2 / (2 * DRAWS))


def order_tables(seed: int = 11) -> dict:
    """3,000 buyers of two segments, drawn here: own rate, own spend and margin, death at random; support cost of some;
    every tenth belongs to the parent of the ten."""
    rng, n, days = np.random.default_rng(seed), CUSTOMERS, 1000
    rate, death = rng.gamma(1.2, 1 / 45, n), rng.exponential(1 / rng.gamma(1.5, 1 / 900, n))
    born = np.floor(rng.uniform(0, 700, n))
    stop = np.minimum(born + death, days)
    number = rng.poisson(rate * (stop - born))
    who = np.concatenate([np.arange(n), np.repeat(np.arange(n), number)])
    day = np.concatenate([born, born[who[n:]] + np.ceil(rng.random(len(who) - n) * (stop - born)[who[n:]])])
    mean = 6 / rng.gamma(4.0, 1 / 500, n)
    amount = rng.gamma(6.0, mean[who] / 6).round(2)
    share = rng.normal(0.6, 0.08, n)[who] + rng.normal(0, 0.05, len(who))
    ids = np.array([f"c{i:05d}" for i in range(n)])
    start = pd.Timestamp(AS_OF) - pd.Timedelta(days=days)
    lines = pd.DataFrame(
        {
            "order_id": [f"o{i}" for i in range(len(who))],
            "line_no": 1,
            "customer_id": ids[who],
            "ordered_at": start + pd.to_timedelta(day, unit="D"),
            "status": "confirmed",
            "quantity": 1.0,
            "net_amount": amount,
            "cost_amount": (amount * share).round(2),
            "kind": "sale",
        }
    )
    people = pd.DataFrame(
        {
            "customer_id": [*ids, "nobody"],
            "industry": ["north" if i % 3 else "south" for i in range(n + 1)],
            "parent_id": [*(ids[i - i % 10] if i % 10 < 3 else None for i in range(n)), None],
            "acquisition_cost": [None if i % 5 == 0 else 50.0 for i in range(n + 1)],
        }
    )
    helped = rng.choice(ids, 4_000)
    support = pd.DataFrame(
        {
            "entry_id": [f"s{i}" for i in range(len(helped))],
            "customer_id": helped,
            "occurred_on": pd.Timestamp("2024-07-02") + pd.to_timedelta(rng.integers(0, 350, len(helped)), unit="D"),
            "cost_amount": rng.gamma(2, 10, len(helped)).round(2),
            "kind": "ticket",
        }
    )
    tables = {"customers": people, "order_lines": lines, "support_costs": support}
    return {name: staged(name, rows) for name, rows in tables.items()}


CHOSEN = settings(
    value_basis="net_profit", models={"segment_by": "industry", "draws": DRAWS}, servicing_cost_per_order=3.0,
    credit_loss_rate=0.01,
)  # fmt: skip


@pytest.fixture(scope="module")
def both():
    """Valuations by customer and by twins of the same customers with the same fits."""
    tables = order_tables()
    facts, many = value.gather(tables, CHOSEN, AS_OF), value.gather(tables, CHOSEN, AS_OF, **MANY)
    assert facts.wide is None and many.wide is not None
    fits = value.fit(facts, CHOSEN)
    cohorts = [value.watch_cohorts(tables, f, CHOSEN) for f in (facts, many)]
    one = value.evaluate(facts, fits, CHOSEN, np.random.default_rng(1), watch=cohorts[:1])
    twins = value.evaluate(many, fits, CHOSEN, np.random.default_rng(2), watch=cohorts[1:])
    return {
        "tables": tables, "facts": facts, "many": many, "fits": fits, "one": one, "twins": twins, "cohorts": cohorts,
        "frame": in_order(twins.by_customer),
    }  # fmt: skip


def in_order(table) -> pd.DataFrame:
    return table.to_pandas().sort_values("customer_id", ignore_index=True)


def errors(valuation, metric: str) -> float:
    """Monte Carlo standard error of a total, as a share of it."""
    total = valuation.paths.cumulative(metric)[:, -1]
    return total.std() / np.sqrt(len(total)) / total.mean()


@pytest.mark.slow
def test_parts_of_a_large_company_are_the_facts_of_a_small_one(both):
    parts = list(both["many"].wide.parts(700))
    for name in ("customers", "histories"):
        joined = pd.concat([getattr(p, name) for p in parts], ignore_index=True)
        joined = joined.sort_values("customer_id", ignore_index=True)
        whole = getattr(both["facts"], name)
        pd.testing.assert_frame_equal(joined[whole.columns], whole, check_dtype=False, rtol=1e-12)
    assert both["many"].report == both["facts"].report
    for name in ("back", "of_year", "orders"):
        assert getattr(both["many"].months, name).tolist() == getattr(both["facts"].months, name).tolist()


@pytest.mark.slow
def test_a_twin_has_the_mean_of_its_customers_and_they_are_alike(both):
    facts = value.gather(both["tables"], CHOSEN, AS_OF, per_customer=1_000)  # as fine as can be
    h = pd.concat([p.histories.merge(p.customers[["customer_id", "twin"]]) for p in facts.wide.parts()])
    twins = facts.histories.set_index(facts.histories["customer_id"].str[5:].astype(int))
    assert facts.customers["weight"].sum() == CUSTOMERS + 1 and len(h) == CUSTOMERS
    assert 1.1 < len(h) / len(twins) < 3
    by = h.groupby("twin")
    assert (by.size() == twins["weight"]).all() and by["model_segment"].nunique().max() == 1
    for column in ("T", "recency"):
        np.testing.assert_allclose(by[column].mean(), twins[column], rtol=1e-9)
    few = h[h["frequency"] <= wide.EXACT].groupby("twin")
    assert few["frequency"].nunique().max() == 1
    for values, start, steps in (
        (h["T"], 90, wide.AGE_STEPS), (h["days_since_last_order"], 14, wide.SILENT_STEPS),
    ):  # fmt: skip
        spread = np.log(values + start).groupby(h["twin"]).agg(np.ptp)
        assert spread.max() <= 1 / steps + 1e-9


@pytest.mark.slow
def test_what_is_known_is_the_same_to_the_last_digit(both):
    a, b = both["frame"], both["one"].by_customer
    for name in ("customer_id", "model_segment", "basis", "value_basis", "model", "note"):
        assert a[name].fillna("").tolist() == b[name].fillna("").tolist(), name
    for name in ("realised_profit", "acquisition_cost", "pooled_weight"):
        np.testing.assert_allclose(a[name].to_numpy(float), b[name].to_numpy(float), rtol=1e-9)
    assert (pd.to_datetime(a["realised_since"]) == b["realised_since"]).sum() == CUSTOMERS
    assert (a["p_alive"] - b["p_alive"]).abs().mean() < 0.01


@pytest.mark.slow
def test_parts_add_up_at_scale(both):
    a, twins = both["frame"], both["twins"]
    costs = ["expected_cogs", "expected_servicing_cost", "expected_support_cost", "expected_credit_loss"]
    added = (
        a["expected_order_revenue"] + a["expected_contract_revenue"] + a["expected_expansion"] - a[costs].sum(axis=1)
    )
    assert (added - a["future_value"]).abs().max() < 1e-6
    totals = twins.totals.set_index("scope")["value"]
    assert totals["company"] == pytest.approx(a["future_value"].sum(), rel=1e-9)
    by_segment = a.groupby("model_segment")["future_value"].sum()
    assert totals[[f"segment:{s}" for s in by_segment.index]].to_numpy() == pytest.approx(by_segment.to_numpy())
    assert twins.by_parent.future_value.sum().to_pandas() == pytest.approx(a["future_value"].sum(), rel=1e-6)
    path = twins.paths.cumulative("value", "north")[:200, -1]
    drawn = twins.draws.query("model_segment == 'north'")["future_value"].to_numpy()
    np.testing.assert_allclose(path, drawn, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("expected_orders", "purchase_days"), ("expected_servicing_cost", "purchase_days"),
        ("expected_order_revenue", "revenue"), ("expected_cogs", "revenue"), ("expected_credit_loss", "revenue"),
        ("expected_support_cost", "purchase_days"), ("future_value", "value"),
    ],
)  # fmt: skip
def test_totals_agree_within_monte_carlo_error(both, name, metric):
    """Four standard errors of the difference of two simulations."""
    a, b = both["frame"][name].sum(), both["one"].by_customer[name].sum()
    assert a == pytest.approx(b, rel=4 * np.hypot(errors(both["one"], metric), errors(both["twins"], metric)))


@pytest.mark.slow
def test_customers_agree_as_far_as_two_simulations_can(both):
    """Means of DRAWS draws have an error; with it alone two simulations correlate by signal / (signal + error)."""
    a, b = both["frame"]["future_value"], both["one"].by_customer
    sd = (b["future_value_high"] - b["future_value_low"]) / 2.56
    error = (sd**2).mean() / DRAWS
    best = 1 - error / b["future_value"].var()
    assert 0.99 < best < 1 and a.corr(b["future_value"]) > best - 0.005
    lost, true = both["frame"]["p_lost_12_months"], both["one"].by_customer["p_lost_12_months"]
    assert (lost - true).abs().mean() < 2 * np.sqrt(2 * (true * (1 - true)).mean() / DRAWS)


@pytest.mark.slow
def test_quantiles_agree_in_every_tenth_of_customers(both):
    """In tenths by value the mean low and high of customers agree within 2 % of the tenth's mean range, or of all
    customers' where that is larger (the lowest tenths are dead: their range is nothing). A quantile of 600 draws has an
    error of 7 % of the standard deviation, 2.7 % of the range; the mean of 300 customers in two runs 0.3 %. What all
    share moves both bounds by some 8 % / sqrt(600) of the value, up to 0.5 % of the range. 2 % is three such errors."""
    a, b = both["frame"], both["one"].by_customer
    tenth = pd.qcut(b["future_value"], 10, labels=False)
    width = b["future_value_high"] - b["future_value_low"]
    width = width.groupby(tenth).mean().clip(lower=width.mean())
    for name in ("future_value_low", "future_value_high"):
        off = (a[name] - b[name]).groupby(tenth).mean() / width
        assert off.abs().max() < 0.02, (name, off.round(3).tolist())


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["purchase_days", "revenue", "profit", "value"])
def test_spread_of_totals_agrees_month_by_month(both, metric):
    """Although customers of a twin share its dice: without the correction the spread would be half as large again."""
    a, b = (both[k].paths.cumulative(metric)[:, [3, 6, 12, 36]].std(axis=0) for k in ("twins", "one"))
    assert np.abs(np.log(a / b)).max() < SPREAD, (a / b).round(3).tolist()


@pytest.mark.slow
def test_the_correction_for_shared_dice_is_what_makes_totals_agree(both):
    """With 400 twins of 3,000 customers. What is taken off is known; the variance that it is taken off from is one of
    DRAWS draws, with an error of sqrt(2 / n) = 5.8 %: four of these, which the uncorrected variance misses by far."""
    few = value.gather(both["tables"], CHOSEN, AS_OF, per_customer=1_000, twins=400)
    assert len(few.customers) <= 402
    found = value.evaluate(few, both["fits"], CHOSEN, np.random.default_rng(5))
    raw = (found.noise * np.sqrt(DRAWS) * found.totals["value"].iloc[0]) ** 2
    variance, true = (v.paths.cumulative("value")[:, -1].var() for v in (found, both["one"]))
    allowed = 4 * np.sqrt(2 / DRAWS) * (raw + true)
    assert raw - true > 1.5 * allowed and abs(variance - true) < allowed


@pytest.mark.slow
def test_intervals_of_totals_agree(both):
    """The width between two quantiles of 600 draws has an error of 3.6 %, a ratio of two one of 5.1 %: four of them."""
    a, b = (both[k].totals.set_index("scope") for k in ("twins", "one"))
    assert a["customers"].to_dict() == b["customers"].to_dict()
    ratio = (a["high"] - a["low"]) / (b["high"] - b["low"])
    assert np.log(ratio).abs().max() < 0.204, ratio.to_dict()


@pytest.mark.slow
def test_intervals_of_parents_agree(both):
    """Parents of three customers, whose bounds come from their customers' at scale and from totals of draws else."""
    a = both["twins"].by_parent.to_pandas().set_index("parent_id").sort_index()
    b = both["one"].by_parent.set_index("parent_id").sort_index()
    assert a.index.tolist() == b.index.tolist() and (a["customers"] == b["customers"]).all()
    a, b = a[a["customers"] == 3], b[b["customers"] == 3]
    assert len(a) == CUSTOMERS // 10
    ours, true = ((t["future_value_high"] - t["future_value_low"]).sum() for t in (a, b))
    assert ours == pytest.approx(true, rel=0.1)


@pytest.mark.slow
def test_cohorts_agree(both):
    a, b = (c.table.set_index(["acquisition_channel", "cohort"]) for c in reversed(both["cohorts"]))
    assert both["cohorts"][0].left_out == both["cohorts"][1].left_out > 0
    assert a["customers"].to_dict() == b["customers"].to_dict()
    pd.testing.assert_series_equal(a["acquisition_cost"], b["acquisition_cost"])
    error = (b["high"] - b["low"]) / 2.56 / np.sqrt(DRAWS)
    assert ((a["value"] - b["value"]).abs() < 4 * np.sqrt(3) * error + 0.002 * b["value"]).all()


@pytest.mark.slow
def test_forecasts_rest_on_the_same_past(both):
    a, b = (
        ledger.forecasts(both["tables"], CHOSEN, both[f], both[v].paths)
        for f, v in (("many", "twins"), ("facts", "one"))
    )
    assert a[ledger.KEYS].equals(b[ledger.KEYS]) and set(a["metric"]) == {"purchase_days", "revenue", "net_profit"}
    np.testing.assert_allclose(a["naive"], b["naive"], rtol=1e-9)
    old = b.assign(forecast_of="2024-12", actual=np.nan)
    settled = [ledger.settle(old, both["tables"], CHOSEN, both[f])["actual"] for f in ("many", "facts")]
    assert settled[1].notna().sum() > 10
    np.testing.assert_allclose(*settled, rtol=1e-9)


@pytest.mark.slow
def test_tables_of_the_engine_keep_their_contracts(both):
    for name in ("by_customer", "by_parent"):
        table = getattr(both["twins"], name)
        assert isinstance(table, ibis.Table)
        check_table(contract_of(f"ltv_{name}"), table)
    check_table(contract_of("histories"), both["many"].each_history)
    fan = exhibits.fan(both["twins"].paths)
    assert fan["expected"].iloc[-1] == pytest.approx(both["twins"].totals["value"].iloc[0], rel=1e-9)


def test_who_has_a_contract_plays_alone():
    """p_renew_next and what rests on contracts alone is the same; with the same stream to the last digit."""
    tables = company()
    chosen = settings(value_basis="net_profit", models={"segment_by": "industry", "draws": 2_000})
    facts, many = value.gather(tables, chosen, AS_OF), value.gather(tables, chosen, AS_OF, per_customer=10, twins=60)
    fits = value.fit(facts, chosen)
    twins, one = (value.evaluate(f, fits, chosen, np.random.default_rng(3)) for f in (many, facts))
    a, b = in_order(twins.by_customer), one.by_customer
    pd.testing.assert_series_equal(a["p_renew_next"], b["p_renew_next"])
    ever = set(facts.renewals["customer_id"])
    alone = many.customers[many.customers["customer_id"].isin(ever)]
    assert len(alone) == len(ever) > 30 and (alone["weight"] == 1).all()
    assert b["expected_contract_revenue"].sum() > 0.2 * b["expected_order_revenue"].sum()
    assert a["expected_contract_revenue"].sum() == pytest.approx(
        b["expected_contract_revenue"].sum(), rel=4 * np.hypot(errors(one, "revenue"), errors(twins, "revenue"))
    )


@pytest.mark.slow
def test_orders_alone_without_a_crm_or_cost(both):
    """What is unknown is null in the rows of a large company where it is in those of a small one."""
    tables = {"order_lines": both["tables"]["order_lines"]}
    chosen = settings(value_basis="revenue", models={"draws": 400})
    facts, many = value.gather(tables, chosen, AS_OF), value.gather(tables, chosen, AS_OF, **MANY)
    fits = value.fit(many, chosen, quick=True)
    one, twins = (value.evaluate(f, fits, chosen, np.random.default_rng(4)) for f in (facts, many))
    a, b = in_order(twins.by_customer), one.by_customer
    assert a.isna().sum().to_dict() == b.isna().sum().to_dict() and a["expected_cogs"].isna().all()
    assert a["future_value"].sum() == pytest.approx(
        b["future_value"].sum(), rel=4 * np.hypot(errors(one, "value"), errors(twins, "value"))
    )


@pytest.mark.slow
def test_fits_on_weighted_rows_are_those_on_customers(both):
    """Histories near each other stand at their mean: parameters move by less than a fifth of their standard error,
    which adds at most 4 % to their variance."""
    fits = value.fit(both["many"], CHOSEN)
    checked = 0
    for (name, segment), model in both["fits"].models.items():
        if model is None or not model.converged:
            continue
        other = fits.models[(name, segment)]
        assert other.customers == model.customers
        for symbol, found in model.params.items():
            assert abs(other.params[symbol] - found) < 0.2 * model.standard_errors[symbol], (name, segment, symbol)
            checked += 1
    assert checked > 15
    for segment, choice in both["fits"].orders.items():
        ours, true = fits.orders[segment].posterior, choice.posterior
        assert (np.abs(ours.mode - true.mode) < 0.2 * np.sqrt(np.diag(true.covariance))).all()


def test_a_random_part_of_a_large_company_holds_whole_customers():
    tables = order_tables()
    part, drawn = wide.sampled(tables, 100, np.random.default_rng(1), keep=True)
    again, _ = wide.sampled(tables, 100, np.random.default_rng(1))
    ids = part["customers"].customer_id.to_pandas()
    assert drawn == len(ids) == 100 and sorted(ids) == sorted(again["customers"].customer_id.to_pandas())
    whole = tables["order_lines"].to_pandas()
    assert len(part["order_lines"].to_pandas()) == whole["customer_id"].isin(ids).sum()
    assert wide.sampled(tables, 5_000, np.random.default_rng(1))[1] is None


@pytest.mark.slow
def test_draws_of_the_engine_are_repeatable(both):
    again = value.evaluate(both["many"], both["fits"], CHOSEN, np.random.default_rng(2))
    pd.testing.assert_frame_equal(in_order(again.by_customer), both["frame"], check_exact=True)
