"""Looks back: scores by hand on small tables, no sight of the future, origins by the length of the data."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import backtest, value
from ltvlab_utils.i18n import say
from ltvlab_utils.value import answers, scores
from ltvlab_utils.value.order_choice import choose
from ltvlab_utils.value.outcomes import outcomes, year_seen
from tests.value_world import AS_OF, company, order_lines, settings, staged, terms

SEGMENTED = {"models": {"segment_by": "industry", "draws": 200}}


def rng(seed=1):
    return np.random.default_rng(seed)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_point_scores_by_hand():
    """Predicted 1, 2, 3 against 0, 2, 7: total 6 of 9, errors 1, 0, -4."""
    found = scores.point_scores(np.array([1.0, 2, 3]), np.array([0.0, 2, 7]))
    assert found["actual"] == 9 and found["predicted"] == 6
    assert found["bias"] == pytest.approx(-1 / 3)
    assert found["mae"] == found["crps"] == pytest.approx(5 / 3)
    assert found["rmse"] == pytest.approx(np.sqrt(17 / 3))
    assert found["calibration_slope"] == pytest.approx(3.5)  # (-1)(-3) + 0 + 1 * 4 over 2
    assert found["gini"] == pytest.approx(1.0)  # the order is right


def test_gini_is_one_for_the_best_order_minus_one_for_the_worst_and_zero_without_any():
    actual = np.array([5.0, 1, 0, 9, 2])
    assert scores.gini(actual**3, actual) == pytest.approx(1)
    assert scores.gini(-actual, actual) == pytest.approx(-1)
    assert scores.gini(np.zeros(5), actual) == pytest.approx(0)
    assert np.isnan(scores.gini(actual, np.full(5, 3.0)))


def test_decile_lift_shares_ties_and_does_not_depend_on_row_order():
    """Ten customers, the best by prediction brought 7 of 10: lift 7. Two tied in front, 7 and 1: (7 + 1) / 2 = 4."""
    actual = np.array([7.0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert scores.decile_lift(np.arange(10.0)[::-1], actual) == pytest.approx(7)
    tied = np.array([9.0, 9, 7, 6, 5, 4, 3, 2, 1, 0])
    assert scores.decile_lift(tied, actual) == pytest.approx(4)
    assert scores.decile_lift(np.zeros(10), actual) == pytest.approx(1)
    mixed = rng().permutation(10)
    assert scores.decile_lift(tied[mixed], actual[mixed]) == pytest.approx(4)


def test_draw_scores_take_the_interval_of_the_total_from_totals_of_draws():
    """Two customers whose draws cancel: each is 0 or 10, the total always 10. Bounds of customers would say 0 to 20."""
    draws = np.array([[0.0, 10] * 50, [10.0, 0] * 50])
    actual = np.array([10.0, 0])
    found = scores.draw_scores(draws, actual, scores.pit(draws, actual, rng()))
    assert found["predicted_low"] == found["predicted_high"] == 10
    assert found["total_covered_50"] == found["total_covered_80"] == found["total_covered_90"] == 1
    missed = scores.draw_scores(draws, actual + 1, scores.pit(draws, actual + 1, rng()))
    assert missed["total_covered_90"] == 0
    # E|X - y| - E|X - X'| / 2 = 5 - 2.5
    assert found["crps"] == pytest.approx(2.5)


def test_crps_of_draws_that_all_agree_is_the_absolute_error():
    assert scores.crps(np.full((2, 30), 4.0), np.array([4.0, 9.0])) == pytest.approx([0, 5])


def test_deciles_hold_every_customer_once_and_their_means():
    draws = np.arange(25.0)[:, None] + np.array([[-1.0, 0, 1]])
    found = backtest.deciles(draws, np.arange(25.0) * 2)
    assert found["customers"].sum() == 25 and found["decile"].tolist() == list(range(1, 11))
    assert found["predicted"].is_monotonic_increasing
    assert (found["actual"] == 2 * found["predicted"]).all()
    assert found.loc[0, "predicted"] == pytest.approx(1.0)  # customers 0, 1, 2


def test_renewal_scores_by_hand():
    asked = pd.DataFrame({"model_segment": "all", "p_renew_next": [0.9, 0.5, 0.8, 0.6], "renewed": [1.0, 0, 1, 1]})
    found = backtest.renewal_scores(asked, base=0.75).set_index(["model", "metric"])["value"]
    assert found["ltvlab", "renewal_brier"] == pytest.approx((0.01 + 0.25 + 0.04 + 0.16) / 4)
    assert found["base_rate", "renewal_brier"] == pytest.approx((3 * 0.0625 + 0.5625) / 4)
    assert found["ltvlab", "renewal_predicted"] == pytest.approx(0.7)
    assert found["ltvlab", "renewal_actual"] == pytest.approx(0.75)


# --- origins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "as_of", "months", "cuts"),
    [
        # 48 months: windows of 12 months that do not overlap
        (date(2021, 7, 5), date(2025, 6, 30), 12, ["2024-06-30", "2023-06-30", "2022-06-30"]),
        (date(2022, 7, 1), date(2025, 6, 30), 12, ["2024-06-30", "2023-12-31", "2023-06-30"]),
        (date(2024, 1, 9), date(2025, 6, 30), 6, ["2024-12-31", "2024-09-30", "2024-06-30"]),  # 18 months
        (date(2024, 8, 1), date(2025, 6, 30), 3, ["2025-03-31", "2025-02-28", "2025-01-31"]),  # 11 months
        (date(1997, 1, 1), date(1997, 9, 30), 3, ["1997-06-30"]),  # 9 months: one look back
        (date(2024, 12, 1), date(2025, 6, 30), 0, []),  # 7 months: none
    ],
)
def test_origins_follow_from_the_length_of_the_data(first, as_of, months, cuts):
    found, days = backtest.origins(first, as_of)
    assert (found, [str(d) for d in days]) == (months, cuts)


# --- what happened ----------------------------------------------------------------------------------------------------


def test_outcomes_count_what_lies_in_the_window_net_of_returns():
    lines = order_lines(
        [
            ("o1", "a", "2025-01-31", "sale", 100, 1),  # the first day does not count
            ("o2", "a", "2025-02-01", "sale", 200, 1),
            ("o3", "a", "2025-02-01", "sale", 50, 1),  # the same day
            ("o4", "a", "2025-02-28", "sale", 80, 1),
            ("o5", "a", "2025-02-28", "return", -80, -1),  # nothing is left of that day
            ("o6", "b", "2025-03-01", "sale", 900, 1),  # too late
        ]
    )
    found = outcomes({"order_lines": lines}, [(date(2025, 1, 31), date(2025, 2, 28))], date(2025, 3, 31))[0]
    assert found.to_dict("records") == [
        {"customer_id": "a", "purchase_days": 1.0, "order_revenue": 250.0, "contract_revenue": 0.0}
    ]


def test_outcomes_of_contracts_are_what_was_delivered_between():
    """100 a month from January, 120 from mid-February, ended on 31 March: in (31 Jan, 31 Mar] 110 + 120."""
    rows = terms([("k1", 1, "2025-01-01", "2025-03-31", 100.0, "churned", "2025-03-31", None)])
    rows = rows.assign(billing="monthly", product_id=None).drop(columns="notice")
    changes = pd.DataFrame(
        {
            "contract_id": ["k1"], "customer_id": ["K1"], "changed_on": [pd.Timestamp("2025-02-15")],
            "amount_before": [100.0], "amount_after": [120.0], "reason": ["upsell"],
        }
    )  # fmt: skip
    tables = {"contract_terms": staged("contract_terms", rows), "contract_changes": staged("contract_changes", changes)}
    found = outcomes(tables, [(date(2025, 1, 31), date(2025, 4, 30))], date(2025, 4, 30))[0]
    assert found["contract_revenue"].tolist() == pytest.approx([230.0])


def test_a_level_of_the_last_year_knows_how_much_of_it_the_data_cover():
    facts = value.gather({"order_lines": order_lines([("o", "a", "2025-01-01", "sale", 1, 1)])}, settings(), AS_OF)
    assert year_seen(facts) == pytest.approx(6.0, abs=0.05)
    facts = value.gather({"order_lines": order_lines([("o", "a", "2021-01-01", "sale", 1, 1)])}, settings(), AS_OF)
    assert year_seen(facts) == 12


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    tables = company()
    chosen = settings(value_basis="net_profit", **SEGMENTED)
    return tables, chosen, backtest.look_back(tables, chosen, AS_OF, rng(3))


def test_a_look_back_grades_both_quantities_and_renewals_by_segment_and_origin(world):
    _, _, found = world
    table = found.scores
    assert found.months == 12 and table["origin"].nunique() >= 1 and found.sampled is None
    assert not table.duplicated(["model", "model_segment", "origin", "metric"]).any()
    assert {"all", "north", "south"} <= set(table["model_segment"])
    own = set(table.loc[table["model"] == "ltvlab", "metric"])
    for prefix in ("", "revenue_"):
        told = "bias rmse mae crps coverage_50 coverage_80 coverage_90 total_covered_50 total_covered_80 "
        told += "total_covered_90 gini decile_lift calibration_slope"
        assert {prefix + m for m in told.split()} <= own
    assert {"renewal_brier", "renewal_actual", "renewal_predicted"} <= own
    naive = {"naive_rate", "naive_last_12_months", "naive_segment_mean", "naive_zero"}
    assert naive <= set(table["model"])
    values = table.set_index(["origin", "model", "model_segment", "metric"])["value"].sort_index()
    for origin in table["origin"].unique():  # parts add up
        for model in ("ltvlab", "naive_rate"):
            of = lambda s, model=model, origin=origin: values[origin, model, s, "predicted"]  # noqa: E731
            assert of("all") == pytest.approx(of("north") + of("south"))
        actual = values[origin, "ltvlab", "all", "actual"]
        assert actual == values[origin, "naive_zero", "all", "actual"] > 0
        assert values[origin, "naive_zero", "all", "bias"] == -1


def test_the_model_beats_the_naive_readings_where_its_assumptions_hold(world):
    table = world[2].scores
    of_all = table[(table["model_segment"] == "all") & (table["metric"] == "crps")]
    by = of_all.groupby("model")["value"].mean()
    assert by["ltvlab"] < by.drop("ltvlab").min()


@pytest.fixture
def latest(monkeypatch):
    """One origin alone, for what is asked of a second look back: its draws do not depend on how many there are."""
    monkeypatch.setattr(backtest, "ORIGINS", 1)


def test_what_comes_after_the_cut_changes_no_prediction(world, latest):
    """Every order after the latest cut is doubled in amount and number: predictions stay, what happened does not."""
    tables, chosen, found = world
    cut = found.scores["origin"].max()
    lines = tables["order_lines"].to_pandas()
    later = lines[pd.to_datetime(lines["ordered_at"]) > cut + pd.Timedelta(days=1)].copy()
    moved = later.assign(order_id=later["order_id"] + "x", ordered_at=later["ordered_at"] + pd.Timedelta(days=1))
    more = staged("order_lines", pd.concat([lines, moved], ignore_index=True))
    again = backtest.look_back({**tables, "order_lines": more}, chosen, AS_OF, rng(3))
    keys = ["model", "model_segment", "origin", "metric"]
    one, two = (t.scores.set_index(keys)["value"].sort_index() for t in (found, again))
    at = lambda t, metric: t[(t.index.get_level_values("metric") == metric) & (t.index.get_level_values(2) == cut)]  # noqa: E731
    for metric in ("predicted", "predicted_low", "revenue_predicted", "renewal_predicted"):
        pd.testing.assert_series_equal(at(one, metric), at(two, metric))
    assert (at(two, "actual") > 1.5 * at(one, "actual")).all()


def test_the_same_seed_gives_the_same_look_back(world, latest):
    tables, chosen, found = world
    again = backtest.look_back(tables, chosen, AS_OF, rng(3))
    cut = found.scores["origin"].max()
    assert again.scores["origin"].unique().tolist() == [cut] and found.scores["origin"].nunique() == 3
    pd.testing.assert_frame_equal(found.scores[found.scores["origin"] == cut].reset_index(drop=True), again.scores)
    pd.testing.assert_frame_equal(found.deciles, again.deciles)


def test_many_customers_are_sampled_and_it_is_said(world, latest, monkeypatch):
    tables, chosen, found = world
    monkeypatch.setattr(backtest, "CUSTOMERS", 60)
    few = backtest.look_back(tables, chosen, AS_OF, rng(3))
    assert few.sampled == 60
    count = lambda t: t.loc[(t["model_segment"] == "all") & (t["metric"] == "revenue_crps"), "customers"].max()  # noqa: E731
    assert count(few.scores) <= 60 < count(found.scores)


def test_short_data_are_not_looked_back_on():
    tables = {"order_lines": order_lines([("o", "a", "2025-05-01", "sale", 1, 1)])}
    found = backtest.look_back(tables, settings(), AS_OF, rng())
    assert found.scores.empty and found.months == 0


def test_tracking_counts_repeats_of_those_born_by_the_cut(world):
    tables, _, found = world
    track = found.tracking
    cut = found.scores["origin"].max()
    lines = tables["order_lines"].to_pandas()
    days = lines.assign(day=pd.to_datetime(lines["ordered_at"]).dt.normalize())[["customer_id", "day"]]
    days = days.drop_duplicates()
    first = days.groupby("customer_id")["day"].min()
    born = first[first <= cut]
    repeats = days[days["customer_id"].isin(born.index) & (days["day"] > days["customer_id"].map(first))]
    assert track["cumulative_actual"].iloc[-1] == len(repeats)
    assert track["actual"].sum() == len(repeats)
    assert track.loc[track["after_cut"], "month_end"].min() > cut
    assert track["expected"].sum() == pytest.approx(track["cumulative_expected"].iloc[-1])
    assert track["cumulative_expected"].iloc[-1] == pytest.approx(len(repeats), rel=0.25)


# --- the order model by look back -------------------------------------------------------------------------------------


def forecasts(gains: list[np.ndarray]) -> list[pd.DataFrame]:
    """`compared` of several dates: the rival's CRPS is 2 less the gain of each customer."""
    ids = lambda n: [f"c{i:03d}" for i in range(n)]  # noqa: E731
    return [pd.DataFrame({"customer_id": ids(len(g)), "pareto_nbd": 2.0, "mbg_nbd": 2.0 - g}) for g in gains]


def test_the_gain_of_the_rival_and_its_error_by_hand():
    """40 customers at two dates, each with the same gain at both, 0.1 or 0.3: mean 0.2; an error of sums a customer is
    that of 40 means of sd 0.1, not of 80."""
    gain = np.tile([0.1, 0.3], 20)
    found = choose(forecasts([gain, gain]))
    assert (found.name, found.reason, found.customers, found.origins, found.wins) == ("mbg_nbd", "better", 40, 2, 2)
    assert found.gain == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(0.1 / np.sqrt(39))
    card = pd.DataFrame(found.card()).set_index("parameter")
    assert card["estimate"].to_dict() == pytest.approx({"crps_pareto_nbd": 2, "crps_mbg_nbd": 1.8, "crps_gain": 0.2})
    assert (card["warning"] == "better:mbg_nbd").all() and not card["chosen"].any()


@pytest.mark.parametrize(
    ("gains", "reason"),
    [
        ([np.tile([-0.1, 0.1], 20) + 0.02], "not_clearly"),  # 1.2 standard errors
        ([np.tile([-0.1, 0.1], 20) + 0.2, np.full(40, -0.01)], "not_clearly"),  # not at every date
        ([np.full(5, 0.5)], "cannot_tell"),  # five customers
        ([np.zeros(40)], "cannot_tell"),  # the same forecasts
        ([], "cannot_tell"),
    ],
)
def test_the_default_stays_unless_the_rival_is_clearly_better_at_every_date(gains, reason):
    found = choose(forecasts(gains))
    assert (found.name, found.reason) == ("pareto_nbd", reason)


def visitors(random: np.random.Generator, customers=300, days=1080):
    """Customers who leave right after an order, half of them after two on average, the others hardly ever."""
    rows = []
    for c in range(customers):
        gap, stop = random.gamma(2.0, 6.0) + 3, random.geometric(0.5 if c % 2 else 0.003)
        at = random.integers(0, days // 2) + np.append(0, np.cumsum(random.exponential(gap, 300)))
        for d in np.unique(at[:stop].astype(int)):
            if d < days:
                day = str(pd.Timestamp("2022-07-10") + pd.Timedelta(days=int(d)))
                rows.append((f"{c}-{d}", f"c{c:03d}", day, "sale", 10, 1))
    return {"order_lines": order_lines(rows)}


@pytest.mark.slow
def test_where_customers_leave_with_an_order_the_rival_is_chosen_and_said():
    tables, chosen = visitors(rng(4)), settings(models={"time_unit": "week", "draws": 200})
    looked = backtest.look_back(tables, chosen, AS_OF, rng(2))
    assert looked.choice.name == "mbg_nbd" and looked.choice.wins == looked.choice.origins > 1
    own = looked.scores.query("model == 'ltvlab' and metric == 'crps' and model_segment == 'all'")
    pooled = np.average(own["value"], weights=own["customers"])  # the record is that of the chosen model
    assert pooled == pytest.approx(looked.choice.crps["mbg_nbd"])
    assert pooled < looked.choice.crps["pareto_nbd"]
    fits = value.fit(value.gather(tables, chosen, AS_OF), chosen, choice=looked.choice)
    assert fits.orders["all"].name == "mbg_nbd"
    card = pd.DataFrame(fits.card)
    assert list(card.loc[card["chosen"] & card["model"].isin(["mbg_nbd", "pareto_nbd"]), "model"].unique()) == [
        "mbg_nbd"
    ]
    told = answers.models(fits, card, "en")
    assert "Orders rest on MBG/NBD" in told and f"{looked.choice.crps['mbg_nbd']:.3f}" in told


def test_without_a_look_back_the_default_stays_and_it_is_said():
    tables = company(contracts_too=False)
    facts = value.gather(tables, settings(), AS_OF)
    fits = value.fit(facts, settings(), choice=choose([]))
    assert fits.orders["all"].posterior is not None
    for language in ("ja", "en"):
        assert say("note.order_model_cannot_tell", language) in answers.models(fits, pd.DataFrame(fits.card), language)
