"""The tables behind the figures of notebook 02, and the figures: what they draw is what the tables say."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import value
from ltvlab_utils.backtest import Record
from ltvlab_utils.i18n import say
from ltvlab_utils.models import ParetoNBD, ShiftedBetaGeometric
from ltvlab_utils.plots import ltv as figures
from ltvlab_utils.plots import record as tracks
from ltvlab_utils.value import answers, exhibits, tracking
from ltvlab_utils.value.choice import Choice, Fits
from ltvlab_utils.value.facts import Facts, orders_only
from ltvlab_utils.value.ledger import seal
from tests.value_world import AS_OF, settings

matplotlib.use("Agg")
LANGUAGES = pytest.mark.parametrize("language", ["en", "ja"])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def contracts_of(rows: list[tuple]) -> Facts:
    """Facts of contracts alone from (renewals_at_entry, renewals_made, churned, how many)."""
    frame = pd.DataFrame(rows, columns=["renewals_at_entry", "renewals_made", "churned", "n"])
    frame = frame.loc[frame.index.repeat(frame["n"])].reset_index(drop=True)
    ids = [f"c{i:03d}" for i in range(len(frame))]
    renewals = frame.assign(customer_id=ids, contract_id=ids, term_months=12, early=False)
    people = pd.DataFrame({"customer_id": ids, "model_segment": "all", "parent_id": None})
    empty = pd.DataFrame({"customer_id": []})
    return Facts(AS_OF, people, empty, empty, renewals, None, False, False, None)


def test_the_renewal_curve_is_the_product_limit_by_hand():
    """Decision 1: 20 decide, 5 leave: 0.75. Decision 2: 10 of those and 10 that enter there, 4 leave: 0.75 * 0.8.
    A contract in mid-term is at risk of no further decision."""
    facts = contracts_of([(0, 0, True, 5), (0, 1, False, 5), (0, 2, False, 8), (0, 1, True, 2), (1, 2, False, 8),
                          (1, 1, True, 2)])  # fmt: skip
    model = ShiftedBetaGeometric(alpha=1.0, beta=3.0)
    fits = Fits(renewals={("all", "annual"): Choice("shifted_beta_geometric", model, "own")})
    curve = exhibits.renewal_curve(facts, fits)
    assert curve["at_risk"].tolist() == [20, 20] and curve["renewed"].tolist() == [15, 16]
    assert curve["actual"].tolist() == pytest.approx([0.75, 0.6])
    assert curve["expected"].tolist() == pytest.approx([0.75, 0.6])  # S(n) of alpha 1, beta 3: 3/4, 3/4 * 4/5
    assert (curve["low"] < curve["actual"]).all() and (curve["actual"] < curve["high"]).all()
    # Greenwood at the first decision: var(log S) = 5 / (20 * 15); log-log limits at 80 %
    power = np.exp(1.2815516 * np.sqrt(5 / 300) / -np.log(0.75))
    assert curve["low"].iloc[0] == pytest.approx(0.75**power, rel=1e-6)


def test_a_decision_that_few_contracts_reached_has_no_actual_share():
    facts = contracts_of([(0, 0, True, 6), (0, 1, False, 6), (0, 2, False, 2)])
    model = ShiftedBetaGeometric(alpha=1.0, beta=3.0)
    fits = Fits(renewals={("all", "annual"): Choice("shifted_beta_geometric", model, "own")})
    curve = exhibits.renewal_curve(facts, fits)
    assert curve["actual"].notna().tolist() == [True, False]
    assert exhibits.renewal_curve(contracts_of([]), fits).empty


def test_the_map_shows_what_the_model_says():
    h = pd.DataFrame({
        "customer_id": ["a", "b", "c"], "model_segment": "all", "frequency": [6, 4, 0], "recency": [60.0, 50.0, 0.0],
        "T": [100.0, 100.0, 100.0], "monetary_value": 1.0,
    })  # fmt: skip
    model = ParetoNBD(r=0.9, alpha=10.0, s=0.7, beta=50.0)
    fits = Fits(orders={"all": Choice("pareto_nbd", model, "own")})
    grid = exhibits.history_map(orders_only(h, AS_OF), fits, settings(models={"time_unit": "week"}))
    one = grid.iloc[[30]]
    weeks = one["months_silent"] * 365.25 / 12 / 7
    there = pd.DataFrame({"frequency": one["frequency"], "recency": 100 - weeks, "T": 100.0, "monetary_value": 0.0})
    assert one["p_alive"].iloc[0] == pytest.approx(model.probability_alive(there)[0])
    assert one["expected_orders"].iloc[0] == pytest.approx(model.conditional_expected_purchases(there, 365.25 / 7)[0])
    silent = grid.groupby("frequency")["p_alive"].apply(lambda p: (p.diff().dropna() < 0).all())
    assert silent.all()  # the longer silent, the less likely alive


def test_expected_repeats_of_one_cohort_are_those_of_a_new_customer_times_its_size():
    h = pd.DataFrame({"model_segment": "all", "first_order_on": pd.to_datetime(["2025-01-01"] * 3 + ["2025-03-02"])})
    model = ParetoNBD(r=0.9, alpha=40.0, s=0.7, beta=200.0)
    fits = Fits(orders={"all": Choice("pareto_nbd", model, "own")})
    ends = [pd.Timestamp("2025-02-01").date(), pd.Timestamp("2025-04-11").date()]
    found = tracking.expected_repeats(h, fits, ends, "day")
    truth = [3 * model.expected_purchases(31.0), 3 * model.expected_purchases(100.0) + model.expected_purchases(40.0)]
    assert found.tolist() == pytest.approx([float(np.squeeze(t)) for t in truth], rel=1e-4)


def ledger_of(actual: list[float]) -> pd.DataFrame:
    rows = pd.DataFrame({
        "forecast_of": "2025-01", "scope": "company", "metric": ["revenue", "revenue", "gross_profit", "gross_profit"],
        "horizon_months": [3, 6, 3, 6], "forecast": [10.0, 20, 4, 8], "low": [8.0, 16, 3, 6], "high": [12.0, 24, 5, 9],
        "naive": 1.0, "actual": actual,
    })  # fmt: skip
    return rows.assign(sealed_hash=seal(rows))


def test_the_track_shows_profit_where_it_is_known_and_only_what_is_due():
    track = exhibits.ledger_track(ledger_of([9.0, np.nan, 4.5, 9.5]))
    assert track["label"].tolist() == ["2025-01 +3", "2025-01 +6"] and track["actual"].tolist() == [4.5, 9.5]
    assert exhibits.ledger_track(ledger_of([9.0, 1, np.nan, np.nan]))["forecast"].tolist() == [10.0, 20.0]
    assert exhibits.ledger_track(ledger_of([np.nan] * 4)).empty


@LANGUAGES
def test_the_record_draws_interval_forecast_naive_and_what_happened(language):
    axis = tracks.record(exhibits.ledger_track(ledger_of([9.0, np.nan, 4.5, 9.5])), "JPY", language)
    spans = [line.get_xdata().tolist() for line in axis.lines if len(line.get_xdata()) == 2]
    assert spans == [[3.0, 5.0], [6.0, 9.0]]
    dots = {line.get_xdata()[0]: line.get_color() for line in axis.lines if line.get_marker() == "o"}
    assert dots == {4.5: figures.INK, 9.5: figures.ORANGE}  # what lay outside stands out
    words = [t.get_text() for t in axis.get_legend().get_texts()]
    assert words == [say(f"figure.record_{c}", language) for c in ("forecast", "actual", "naive")]


@LANGUAGES
def test_figures_without_anything_to_show_say_so(language):
    empty = pd.DataFrame()
    assert tracks.record(empty, "JPY", language).texts[0].get_text() == say("figure.record_none", language)
    for axis in (
        tracks.calibration(empty, "x", language), tracks.tracking(empty, language), tracks.renewals(empty, language),
        figures.history_maps(empty, language), figures.cohorts(empty, 36, "JPY", language),
    ):  # fmt: skip
        assert axis.texts[0].get_text() == say("figure.nothing", language)


@LANGUAGES
def test_calibration_and_tracking_draw_their_tables(language):
    tenths = pd.DataFrame(
        {"decile": [1, 2], "predicted": [1.0, 5], "low": [0.5, 4], "high": [1.5, 6], "actual": [1, 9]}
    )
    axis = tracks.calibration(tenths, "x", language)
    assert [line.get_ydata()[0] for line in axis.lines if line.get_marker() == "o"] == [1, 9]
    month = pd.date_range("2025-01-31", periods=4, freq="ME")
    track = pd.DataFrame({
        "month_end": month, "actual": [1.0, 2, 3, 4], "expected": [1.0, 2, 2, 2], "cumulative_actual": [1.0, 3, 6, 10],
        "cumulative_expected": [1.0, 3, 5, 7], "after_cut": [False, False, True, True],
    })  # fmt: skip
    left, right = tracks.tracking(track, language)
    assert left.lines[0].get_ydata().tolist() == [1, 3, 6, 10] and right.lines[1].get_ydata().tolist() == [1, 2, 2, 2]
    assert any(line.get_linestyle() == ":" for line in left.lines)  # the cut
    assert answers.tracked(track, "en").count("%") == 2


@LANGUAGES
def test_cohorts_draw_names_as_text(language):
    table = pd.DataFrame({
        "acquisition_channel": ["$a^2$", "web"], "cohort": ["2023", "2023"], "customers": [3, 4], "value": [10.0, 20],
        "low": [8.0, 15], "high": [12.0, 25], "acquisition_cost": [2.0, np.nan],
    })  # fmt: skip
    axis = figures.cohorts(table, 36, "JPY", language)
    assert axis.get_yticklabels()[0].get_text() == r"\$a^2\$  2023"
    plt.gcf().canvas.draw()
    said = answers.cohorts(table, 2, settings(), language)
    assert "web" in said and "2" in said


def test_numbers_on_an_axis_carry_no_empty_zeros():
    said = {5e8: "5億", 1.25e8: "1.25億", 2.5e3: "2,500", 0: "0", 1e9: "10億", 200: "200", -1.5e4: "−1.5万"}
    assert {v: figures.short(v, "ja") for v in said} == said
    assert [figures.short(v, "en") for v in (2e7, 1.5e3, 1e4)] == ["20m", "1.5k", "10k"]


def test_the_fan_ends_in_the_total():
    from ltvlab_utils.value.calendar import Horizon
    from ltvlab_utils.value.paths import Paths
    from tests.test_value import known, order_facts, rates_of

    facts = order_facts(pd.DataFrame({"frequency": [3] * 20, "recency": 90.0, "T": 120.0, "monetary_value": 50.0}))
    horizon = Horizon.after(AS_OF, 36, 0.1, 4)
    paths = Paths(horizon, rates_of(20, "revenue"))
    fits = known(ParetoNBD(r=0.9, alpha=40.0, s=0.7, beta=200.0))
    found = value.simulate(
        facts, fits, rates_of(20, "revenue"), settings(), np.random.default_rng(1), horizon=horizon, watch=paths
    )
    path = exhibits.fan(paths)
    total = found.segments["all"]["future_value"]
    last = path.iloc[-1]
    assert last["expected"] == pytest.approx(total.mean()) and last["high_80"] == pytest.approx(np.quantile(total, 0.9))
    assert path["month_end"].iloc[[0, -1]].dt.date.tolist() == [AS_OF, AS_OF.replace(year=2028)]
    assert (path["low_80"] <= path["low_50"]).all() and path["expected"].is_monotonic_increasing
    assert figures.fan(path).get_ylim()[0] == 0


# --- words of a look back ---------------------------------------------------------------------------------------------


def looked(bias=0.02, coverage=0.8, crps=1.0, origins=("2024-06-30", "2023-06-30"), sampled=None) -> Record:
    rows = []
    for origin in origins:
        told = {"bias": bias, "total_covered_80": 1.0, "coverage_80": coverage, "crps": crps}
        rows += [("ltvlab", "all", pd.Timestamp(origin), m, v, 50) for m, v in told.items()]
        rows += [("naive_zero", "all", pd.Timestamp(origin), m, v, 50) for m, v in (("bias", -1.0), ("crps", 2.0))]
    columns = ["model", "model_segment", "origin", "metric", "value", "customers"]
    return Record(pd.DataFrame(rows, columns=columns), pd.DataFrame(), pd.DataFrame(), 12, sampled)


@LANGUAGES
def test_a_look_back_passes_or_says_why_not(language):
    passes = say("note.look_passes", language, bias="10%", points={"en": "7 pts", "ja": "7ポイント"}[language])
    assert passes in answers.looked_back(looked(), language)
    for fault in ({"bias": 0.2}, {"coverage": 0.6}, {"crps": 2.5}):
        said = answers.looked_back(looked(**fault), language)
        assert passes not in said
        code = next(iter(fault))
        words = say(f"fault.{code}", language, bias="10%", points={"en": "7 pts", "ja": "7ポイント"}[language])
        assert say("note.look_fails", language, faults=words) in said


def test_a_look_back_says_overlap_sample_and_shortness():
    assert say("note.look_overlap", "en") not in answers.looked_back(looked())
    assert say("note.look_overlap", "en") in answers.looked_back(looked(origins=("2024-06-30", "2023-12-31")))
    assert say("note.look_one", "en") in answers.looked_back(looked(origins=("2024-06-30",)))
    assert say("note.look_sampled", "en", count=20_000) in answers.looked_back(looked(sampled=20_000))
    none = Record(looked().scores.iloc[:0], pd.DataFrame(), pd.DataFrame(), 0, None)
    assert answers.looked_back(none) == say("note.look_short", "en")
