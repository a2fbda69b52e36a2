"""Invoices taken for orders: dates on closing days, months as the clock, BG/BB by its posterior."""

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import backtest, histories, value
from ltvlab_utils.models import BGBB
from ltvlab_utils.models.monthly import MonthlyBGBB
from ltvlab_utils.models.pareto_cnbd import PastClock
from ltvlab_utils.value import answers, month_clock
from ltvlab_utils.value.order_families import Monthly, Regular
from tests.value_world import AS_OF, order_lines, settings

AUTO = {"models": {"time_unit": "auto"}}


def lines(days: list[str]):
    return order_lines([(f"{i}", "c", day, "sale", 10, 1) for i, day in enumerate(days)])


def billed(random: np.random.Generator, customers=150, months=36, closing=None):
    """Invoices of customers who order at random within the month (gamma rates, mean 0.8 a month; exponential lives,
    mean 30 months), one invoice a month with an order, dated to its last working day, or to the day `closing`."""
    rows, starts = [], pd.period_range("2022-07", periods=months, freq="M")
    for c in range(customers):
        born, rate, life = random.integers(0, 20), random.gamma(1.2, 0.8 / 1.2), random.exponential(30)
        for m in range(born, months):
            if m == born or (m - born < life and random.random() < -np.expm1(-rate)):
                end = starts[m].end_time.normalize()
                day = pd.offsets.BMonthEnd().rollback(end) if closing is None else end.replace(day=closing)
                rows.append((f"{c}-{m}", f"c{c:03d}", f"{day:%Y-%m-%d}", "sale", round(random.gamma(4, 25), 2), 1))
    return {"order_lines": order_lines(rows)}


def test_days_of_the_month_and_its_end_on_a_weekend():
    """31 August 2024 is a Saturday, 30 June 2024 a Sunday: Friday and what comes after are the end of the month."""
    days = [
        "2024-08-29",
        "2024-08-30",
        "2024-08-31",
        "2024-06-27",
        "2024-06-28",
        "2024-06-30",
        "2024-07-30",
        "2024-02-29",
    ]
    found = month_clock.by_day_of_month(lines(days), AS_OF).to_pandas().set_index("slot")["n"].to_dict()
    assert found == {27: 1, 29: 1, 30: 1, month_clock.MONTH_END: 5}


@pytest.mark.parametrize("closing", [None, 20])
def test_closing_days_are_seen_and_months_are_the_clock_where_asked(closing):
    tables = billed(np.random.default_rng(5), closing=closing)
    _, kept, told = value.on_clock(tables, settings(**AUTO), AS_OF)
    assert told.clustered and kept.models.time_unit == "week"  # asked for, not taken: totals on months do not hold yet
    moved, chosen, told = value.on_clock(tables, settings(models={"time_unit": "month"}), AS_OF)
    assert told.share == 1 and told.closing_days == ((closing or month_clock.MONTH_END),)
    assert told.unit == chosen.models.time_unit == "month"
    days = moved["order_lines"].ordered_at.date().to_pandas()
    assert (pd.to_datetime(days) == pd.to_datetime(days) + pd.offsets.MonthEnd(0)).all()
    assert moved["order_lines"].schema() == tables["order_lines"].schema()
    assert "BG/BB" in answers.histories(value.gather(moved, chosen, AS_OF), chosen, dating=told)


def test_random_days_keep_weeks_and_a_setting_is_kept_with_a_warning():
    random = np.random.default_rng(2)
    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(random.integers(0, 800, 400), unit="D")
    tables = {"order_lines": lines([f"{d:%Y-%m-%d}" for d in days.unique()])}
    same, chosen, told = value.on_clock(tables, settings(**AUTO), AS_OF)
    assert not told.clustered and told.unit == chosen.models.time_unit == "week"
    assert same["order_lines"] is tables["order_lines"]
    invoices = billed(random)
    same, chosen, told = value.on_clock(invoices, settings(models={"time_unit": "week"}), AS_OF)
    assert told.clustered and chosen.models.time_unit == "week" and same["order_lines"] is invoices["order_lines"]
    facts = value.gather(same, chosen, AS_OF)
    assert "Warning: 100% of the purchase days" in answers.histories(facts, chosen, dating=told)
    assert "警告" in answers.histories(facts, chosen, "ja", told)
    few = {"order_lines": lines(["2025-04-30", "2025-05-31"])}
    assert value.on_clock(few, settings(**AUTO), AS_OF)[1].models.time_unit == "week"


def test_histories_count_whole_months_and_orders_of_a_month_are_one():
    """January, twice in March, May, seen at the end of June 2025: two repeats, recency 4 months, age 5."""
    days = ["2025-01-08", "2025-03-31", "2025-03-02", "2025-05-20"]
    moved = month_clock.at_month_ends(lines(days))
    h = histories.histories(moved, None, AS_OF, "month").to_pandas().iloc[0]
    assert (h["frequency"], h["recency"], h["T"], h["monetary_value"]) == (2, 4, 5, 15)
    assert h["log_interval_sum"] == pytest.approx(2 * np.log(2))


def test_the_monthly_model_is_bgbb_on_months():
    """Row for row the published model, whose numbers test_models_exact and test_models_orders hold."""
    values = {"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.8}
    h = pd.DataFrame({"frequency": [0, 3, 6, 2], "recency": [0, 5, 6, 2], "T": [6, 6, 6, 9]})
    ours, theirs = MonthlyBGBB(**values), BGBB(**values)
    as_theirs = h.assign(n_periods=h["T"])
    assert ours.probability_alive(h) == pytest.approx(theirs.probability_alive(as_theirs), rel=1e-12)
    expected = theirs.conditional_expected_purchases(as_theirs, 7)
    assert ours.conditional_expected_purchases(h, 7.2) == pytest.approx(expected, rel=1e-12)
    assert ours.expected_purchases(2.5) == pytest.approx(np.mean(theirs.expected_purchases([2, 3])), rel=1e-12)
    latent = ours.sample_latents(
        h, 40_000, np.random.default_rng(1), {k: np.full(40_000, v) for k, v in values.items()}
    )
    coming = (latent["p"] * np.minimum(latent["months"], 7)).mean(axis=1)
    assert coming == pytest.approx(expected, abs=0.03)
    columns = [h[c].to_numpy(float) for c in ("frequency", "recency", "T")]
    both = [MonthlyBGBB.rows(*columns, tuple(values.values()), slopes)[0] for slopes in (True, False)]
    assert both[0] == pytest.approx(both[1], rel=1e-12)


@pytest.mark.parametrize("family", [Monthly(), Regular(2, PastClock(), 7.0)], ids=["monthly", "regular"])
def test_the_slopes_in_phi_are_those_of_differences(family):
    x, tx, T = np.array([0.0, 3, 6]), np.array([0.0, 5, 9]), np.array([8.0, 9, 9])
    phi = np.array([-0.8, 0.4, -2.1, 0.7])
    rows = family.rows(x, tx, T, phi)
    total = lambda p: rows(tuple(family.natural(p)), False)[0].sum()  # noqa: E731
    values = tuple(family.natural(phi))
    by_log = np.array([v * g.sum() for v, g in zip(values, rows(values, True)[1], strict=True)])
    for c, slope in enumerate(family.chain(values, by_log)):
        step = np.eye(4)[c] * 1e-5
        assert slope == pytest.approx((total(phi + step) - total(phi - step)) / 2e-5, rel=1e-5)


@pytest.fixture(scope="module")
def company():
    """A billed company on the clock of months and on that of weeks: settings, facts, fits of each."""
    tables, out = billed(np.random.default_rng(11), customers=300), {}
    for unit in ("month", "week"):
        moved, chosen, _ = value.on_clock(tables, settings(models={"time_unit": unit}), AS_OF)
        facts = value.gather(moved, chosen, AS_OF)
        out[unit] = moved, chosen, facts, value.fit(facts, chosen)
    return out


@pytest.mark.slow
def test_two_silent_months_of_a_monthly_customer(company):
    """Billed in each of 24 months, then not in the last two, against the posterior with the true parameters of `billed`
    (averaged over a million rates). A clock of weeks, on which months without an invoice are a gap of thirteen weeks in
    place of four, takes much of it for chance."""
    rate = np.random.default_rng(0).gamma(1.2, 0.8 / 1.2, 1_000_000)
    p, stays = -np.expm1(-rate), np.exp(-1 / 30)
    alive = stays**2 * (p**23 * (1 - p) ** 2).mean()
    dead = (1 - stays) * ((p**23).mean() + stays * (p**23 * (1 - p)).mean())
    truth = stays * alive / (alive + dead)  # alive at the next opportunity
    found = {}
    for unit, month in (("month", 1.0), ("week", 365.25 / 12 / 7)):
        h = pd.DataFrame({"frequency": [23], "recency": [23 * month], "T": [25 * month]})
        found[unit] = float(company[unit][3].orders["all"].model.probability_alive(h)[0])
    assert abs(found["month"] - truth) < 0.07 and found["week"] - truth > 0.3, (truth, found)


@pytest.mark.slow
def test_a_billed_company_is_valued_by_months(company):
    moved, chosen, facts, fits = company["month"]
    card = value.model_card(fits, facts)
    orders = card[card["model"].str.startswith("bg_bb")].set_index(["model", "parameter"])["estimate"]
    for ours in (("alpha", "beta"), ("gamma", "delta")):  # the posterior lies where the likelihood does
        a, b = (orders.xs(name, level="parameter") for name in ours)
        mean = (a / (a + b)).to_numpy()
        assert mean[0] == pytest.approx(mean[1], rel=0.15)
    fits.drift = value.learned(fits, value.earlier(moved, chosen, AS_OF), chosen)
    found = value.evaluate(facts, fits, chosen, np.random.default_rng(3))
    by = found.by_customer
    assert (by["model"] == "bg_bb_posterior+gamma_gamma").all() and by["p_alive"].between(0, 1).all()
    assert (by["expected_orders"] <= 36).all() and by["expected_orders"].max() > 12
    assert by["future_value"].sum() == pytest.approx(found.totals["value"].iloc[0], rel=1e-9)
    assert found.other_priors["value"].notna().all()
    looked = backtest.look_back(moved, chosen, AS_OF, np.random.default_rng(2))
    crps = looked.scores.query("metric == 'crps' and model_segment == 'all'").groupby("model")["value"].mean()
    assert crps.idxmin() == "ltvlab"
    assert abs(looked.tracking["expected"].sum() / looked.tracking["actual"].sum() - 1) < 0.15


@pytest.mark.slow
def test_intervals_hold_on_months_and_not_on_weeks():
    """Of 12 light worlds whose dates are moved to month ends: customers within 5 points of 50, 80 and 90 %, nearer than
    on a clock of weeks at each level, and the better mean CRPS (8 of the 12 worlds have it)."""
    from benchmarks.month_ends import graded

    found = pd.DataFrame([graded(seed, "misspecified", 300) for seed in range(20_101, 20_113)]).mean()
    for level in (50, 80, 90):
        off = {unit: abs(found[f"{unit}_customers_{level}"] - level / 100) for unit in ("month", "week")}
        assert off["month"] < 0.05 and off["month"] < off["week"], (level, off)
    assert found["month_crps"] < found["week_crps"]
