"""Campaigns from staged tables to verdicts: hand-counted windows, known effects, designs that forbid a number."""

import dataclasses
from datetime import date

import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from ltvlab_utils.errors import Refused
from ltvlab_utils.experiments import (
    action_effects,
    answers,
    campaign_balance,
    campaign_effects,
    campaign_outcomes,
    headline,
    left_out,
)
from ltvlab_utils.plots.effects import forest
from ltvlab_utils.tables import check_frame, contract_of
from tests.experiments_world import AS_OF, START, campaign, lines, shop, tables

matplotlib.use("Agg")
DAY = pd.Timedelta(days=1)


def assigned(customers, arms, campaign_id="A", **more) -> pd.DataFrame:
    frame = pd.DataFrame({"campaign_id": campaign_id, "customer_id": customers, "arm": arms})
    return frame.assign(**{"assigned_at": START - 3 * DAY, "version": "1", **more})


def evaluated(frames: dict, as_of=AS_OF, **how):
    outcomes = campaign_outcomes(tables(frames), as_of)
    return outcomes, campaign_effects(outcomes, np.random.default_rng(1), **how)


def main(effects: pd.DataFrame, campaign_id="A") -> pd.Series:
    return headline(effects).set_index("campaign_id").loc[campaign_id]


@pytest.fixture(scope="module")
def working():
    """A shop of 800 customers whose treated order 0.6 times more within the window."""
    return evaluated(shop(np.random.default_rng(21), 800, extra=0.6))


# --- what counts in the window ----------------------------------------------------------------------------------------


def test_the_window_and_the_year_before_by_hand():
    """Window 2025-02-01 to 2025-04-01 (60 days), pre-period from 2024-02-01."""
    order_lines = pd.concat(
        [
            lines("a", ["2024-01-31 23:59", "2024-02-01", "2025-01-31 23:59"], 100.0),
            lines("a", ["2025-02-01 00:00", "2025-02-01 18:00", "2025-04-01 23:59", "2025-04-02"], 1000.0),
            lines("b", ["2025-02-10"], 500.0, 200.0),
            lines("b", ["2025-02-11"], 0.0, 0.0),  # a free order is a purchase day
            lines("b", ["2025-02-12"], 90.0, 10.0, kind="shipping"),  # no purchase day
            lines("b", ["2025-03-01"], 7000.0, status="cancelled"),
            lines("b", ["2025-03-02"], 7000.0, status="backlog"),
            lines("c", ["2025-03-20"], 800.0, 300.0, product_id="x"),
            lines("c", ["2025-05-20"], -800.0, -300.0, kind="return", product_id="x"),  # after the window, of it
            lines("d", ["2025-01-20", "2025-03-01"], 800.0, 300.0, product_id=["x", "y"]),
            lines("d", ["2025-03-10"], -800.0, -300.0, kind="return", product_id="x"),  # in the window, not of it
        ],
        ignore_index=True,
    ).assign(order_id=lambda f: [f"O{i:03d}" for i in range(len(f))])
    frames = {
        "order_lines": order_lines,
        "campaigns": pd.DataFrame([campaign()]),
        "assignments": assigned(list("abcde"), ["treatment", "control"] * 2 + ["control"]),
    }
    found = campaign_outcomes(tables(frames), AS_OF).customers.set_index("customer_id")
    assert found["orders"].to_dict() == {"a": 2, "b": 2, "c": 0, "d": 1, "e": 0}
    assert found["revenue"].to_dict() == {"a": 3000, "b": 590, "c": 0, "d": 800, "e": 0}
    assert found["gross_profit"].to_dict() == {"a": 1200, "b": 300, "c": 0, "d": 500, "e": 0}
    assert found["any_order"].to_dict() == {"a": 1, "b": 1, "c": 0, "d": 1, "e": 0}
    assert found["pre_orders"].to_dict() == {"a": 2, "b": 0, "c": 0, "d": 0, "e": 0}
    assert found["tenure_months"]["a"] == pytest.approx(367 / (365.25 / 12))
    assert found["tenure_months"]["e"] == 0


def test_a_missing_cost_is_not_zero():
    frames = shop(np.random.default_rng(2), 100)
    inside = frames["order_lines"]["ordered_at"].between(START, START + 59 * DAY)
    frames["order_lines"].loc[frames["order_lines"].index[inside][0], "cost_amount"] = np.nan
    outcomes, effects = evaluated(frames)
    assert outcomes.customers["gross_profit"].isna().all()
    assert "gross_profit" not in set(effects["metric"]) and "revenue" in set(effects["metric"])
    actions = action_effects(effects, outcomes)
    revenue = main(effects[effects["metric"] == "revenue"].assign(primary=True))
    assert actions["effect"].item() == pytest.approx(revenue["effect"])  # revenue, no cost taken off it


def test_nothing_after_as_of_enters():
    frames = shop(np.random.default_rng(3), 60)
    _, known = evaluated(frames, date(2025, 4, 30))
    later = frames["order_lines"]["ordered_at"] > pd.Timestamp("2025-05-01")
    assert later.any()
    _, cut = evaluated({**frames, "order_lines": frames["order_lines"][~later]}, date(2025, 4, 30))
    pd.testing.assert_frame_equal(known, cut)


# --- known effects ----------------------------------------------------------------------------------------------------


def test_a_known_effect_is_recovered_from_order_lines(working):
    """0.6 extra orders a treated customer, each of 1,000 with cost 600; days that coincide take a little off."""
    _, effects = working
    rows = effects.set_index(["metric", "estimator"])
    for estimator in ("neyman", "lin", "cuped"):
        assert rows.loc[("orders", estimator), "low"] < 0.6 < rows.loc[("orders", estimator), "high"]
        assert rows.loc[("gross_profit", estimator), "low"] < 240 < rows.loc[("gross_profit", estimator), "high"]
    row = main(effects)
    assert (row["metric"], row["estimator"], row["verdict"], row["causal"]) == ("orders", "lin", "works", True)
    assert row["total_effect"] == pytest.approx(row["effect"] * 400)
    assert row["naive"] > 3 * row["effect"]  # they order anyway


def test_harm_is_called_harm():
    """Treatment and control swapped: the same effect with the other sign."""
    frames = shop(np.random.default_rng(21), 800, extra=0.6)
    flipped = frames["assignments"]["arm"].map({"treatment": "control", "control": "treatment"})
    _, effects = evaluated({**frames, "assignments": frames["assignments"].assign(arm=flipped)})
    assert main(effects)["verdict"] == "harms" and main(effects)["high"] < 0


def test_pre_period_covariates_narrow_the_interval(working):
    _, effects = working
    width = (effects["high"] - effects["low"]).groupby([effects["metric"], effects["estimator"]]).first()
    assert width["orders", "lin"] < 0.9 * width["orders", "neyman"]
    assert width["orders", "cuped"] < 0.9 * width["orders", "neyman"]


def again(outcomes, rng):
    """The same customers, drawn anew: whatever is found now is chance."""
    customers = outcomes.customers.assign(arm=rng.permutation(outcomes.customers["arm"].to_numpy()))
    return dataclasses.replace(outcomes, customers=customers)


def false_verdicts(draws, seed=31):
    outcomes, _ = evaluated(shop(np.random.default_rng(22), 120))
    rng = np.random.default_rng(seed)
    verdicts = [main(campaign_effects(again(outcomes, rng), rng))["verdict"] for _ in range(draws)]
    return sum(v in ("works", "harms") for v in verdicts)


def test_without_effect_a_verdict_is_rare():
    assert false_verdicts(40) <= stats.binom.ppf(0.9999, 40, 0.05)


@pytest.mark.slow
def test_without_effect_a_verdict_is_rare_over_many_draws():
    assert false_verdicts(1000) <= stats.binom.ppf(0.9999, 1000, 0.05)


def test_intention_to_treat_ignores_who_was_reached(working):
    _, effects = working
    frames = shop(np.random.default_rng(21), 800, extra=0.6)
    reached = frames["assignments"]["customer_id"].head(50)
    touches = pd.DataFrame({"touch_id": reached, "campaign_id": "A", "customer_id": reached, "touched_at": START,
                            "kind": "mail", "cost_amount": 10})  # fmt: skip
    pd.testing.assert_frame_equal(evaluated({**frames, "touches": touches})[1], effects)


def test_several_campaigns_are_adjusted_by_holm():
    rng = np.random.default_rng(5)
    frames = shop(rng, 300, extra=0.4)
    ids = list("ABCD")
    others = [assigned(frames["assignments"]["customer_id"], rng.permutation(frames["assignments"]["arm"]), i)
              for i in ids[1:]]  # fmt: skip
    frames["campaigns"] = pd.DataFrame([campaign(i) for i in ids])
    alone = [evaluated({**frames, "campaigns": frames["campaigns"][frames["campaigns"]["campaign_id"] == i],
                        "assignments": pd.concat([frames["assignments"], *others])})[1] for i in ids]  # fmt: skip
    raw = np.array([main(e, i)["p_value"] for e, i in zip(alone, ids, strict=True)])
    _, together = evaluated({**frames, "assignments": pd.concat([frames["assignments"], *others])})
    order = np.argsort(raw)
    by_hand = np.minimum(np.maximum.accumulate(raw[order] * [4, 3, 2, 1]), 1)
    assert headline(together)["p_value"].to_numpy()[order] == pytest.approx(by_hand)


def test_a_secondary_metric_is_called_only_where_the_primary_is(working):
    """Orders rise by 0.6, but the campaign was to be judged by a metric that chance alone moves."""
    outcomes, effects = working
    assert (effects.query("metric == 'revenue'")["verdict"] == "works").all()
    coin = np.random.default_rng(4).permutation(np.arange(800) % 2).astype(float)
    other = dataclasses.replace(
        outcomes,
        customers=outcomes.customers.assign(any_order=coin),
        campaigns=outcomes.campaigns.assign(primary="any_order"),
    )
    judged = campaign_effects(other, np.random.default_rng(1))
    assert (judged.query("metric == 'orders'")["p_value"] < 0.01).all()
    assert set(judged["verdict"]) == {"cannot_tell"}


# --- designs and data that forbid a number ----------------------------------------------------------------------------


def test_a_targeted_campaign_never_gets_an_effect():
    """The best customers were chosen: naive readings flatter; even with others to compare there is no effect."""
    rng = np.random.default_rng(7)
    frames = shop(rng, 400, arm=lambda rate: (rate > np.quantile(rate, 0.7)).astype(int))
    frames["campaigns"] = pd.DataFrame([campaign(design="targeted")])
    outcomes, effects = evaluated(frames)
    assert set(effects["verdict"]) == {"not_causal"} and not effects["causal"].any()
    assert effects[["effect", "low", "high", "p_value", "total_effect"]].isna().all(axis=None)
    assert set(effects["estimator"]) == {"naive_response"}
    response = outcomes.customers.query("arm == 'treatment'")["any_order"].mean()
    assert effects.set_index("metric")["naive"]["any_order"] == pytest.approx(response)
    assert action_effects(effects, outcomes).empty


def test_a_chosen_list_that_is_called_random_is_found_out():
    rng = np.random.default_rng(8)
    frames = shop(rng, 400, arm=lambda rate: (rate > np.median(rate)).astype(int))
    _, effects = evaluated(frames)
    assert set(effects["verdict"]) == {"broken_randomisation"}
    assert effects["effect"].isna().all() and not effects["causal"].any()


def test_assigned_after_the_start_is_broken():
    frames = shop(np.random.default_rng(9), 100)
    late = frames["assignments"]["assigned_at"].where(frames["assignments"].index > 0, START + 5 * DAY)
    _, effects = evaluated({**frames, "assignments": frames["assignments"].assign(assigned_at=late)})
    assert set(effects["verdict"]) == {"broken_randomisation"}


def test_the_split_is_tested_against_a_planned_share_only():
    frames = shop(np.random.default_rng(10), 400, extra=0.6)
    _, unplanned = evaluated(frames)
    _, planned = evaluated(frames, planned_share={"A": 0.5})
    _, other = evaluated(frames, planned_share={"A": 0.6})
    assert unplanned["sample_ratio_p"].isna().all()
    assert planned["sample_ratio_p"].unique().tolist() == [1.0] and planned["effect"].notna().all()
    assert other["sample_ratio_p"].max() < 0.001 and set(other["verdict"]) == {"broken_randomisation"}


def test_a_window_that_is_not_over_is_not_read():
    frames = shop(np.random.default_rng(11), 100, extra=1.0)
    last = date(2025, 4, 1)
    assert main(evaluated(frames, last)[1])["estimator"] != "none"
    _, early = evaluated(frames, date(2025, 3, 31))
    row = early.iloc[0]
    assert (len(early), row["verdict"], row["estimator"]) == (1, "not_finished", "none")
    assert pd.isna(row["effect"]) and pd.isna(row["naive"]) and row["window_ends_on"] == pd.Timestamp(last)


def test_a_customer_in_two_arms_is_refused():
    frames = shop(np.random.default_rng(12), 20)
    double = frames["assignments"].head(1).assign(arm="control")
    twice = pd.concat([frames["assignments"], double], ignore_index=True)
    with pytest.raises(Refused, match="1 customers stand twice in a campaign, for example customer_id=K0000"):
        campaign_outcomes(tables({**frames, "assignments": twice}), AS_OF)


def test_too_few_customers_cannot_tell():
    frames = shop(np.random.default_rng(13), 30)
    _, effects = evaluated(
        {**frames, "assignments": frames["assignments"].iloc[:2].assign(arm=["treatment", "control"])}
    )
    assert set(effects["verdict"]) == {"cannot_tell"} and effects["effect"].isna().all()


def test_customers_without_a_comparison_are_reported():
    frames = shop(np.random.default_rng(14), 100)
    block = np.where(frames["assignments"].index < 97, "main", "rest")
    arm = frames["assignments"]["arm"].where(block == "main", "treatment")
    outcomes, effects = evaluated({**frames, "assignments": frames["assignments"].assign(block=block, arm=arm)})
    assert left_out(outcomes).to_dict("records") == [
        {"campaign_id": "A", "reason": "note.effects_thin_block", "customers": 3}
    ]
    assert (effects["n_treatment"] + effects["n_control"]).unique().tolist() == [97]


def test_a_metric_that_is_not_in_the_data_is_said():
    frames = shop(np.random.default_rng(15), 100)
    frames["campaigns"] = pd.DataFrame([campaign(primary_metric="upsell meetings")])
    _, effects = evaluated(frames)
    row = main(effects)
    assert (row["metric"], row["verdict"], row["causal"]) == ("upsell meetings", "cannot_tell", False)
    assert effects.loc[effects["metric"] == "orders", "effect"].notna().all()
    frames["campaigns"] = pd.DataFrame([campaign(primary_metric="Purchase days")])
    assert main(evaluated(frames)[1])["metric"] == "orders"


def test_two_versions_are_compared_but_no_action_learns_from_them(working):
    """Arm b against arm a tells which version is better, not what either does against nothing."""
    frames = shop(np.random.default_rng(21), 800, extra=0.6)
    versions = frames["assignments"]["arm"].map({"treatment": "b", "control": "a"})
    outcomes, effects = evaluated({**frames, "assignments": frames["assignments"].assign(arm=versions)})
    assert main(effects)["effect"] == pytest.approx(main(working[1])["effect"])
    assert action_effects(effects, outcomes).empty


def test_touches_alone_name_who_was_treated():
    frames = shop(np.random.default_rng(16), 50)
    frames.pop("assignments")
    frames["campaigns"] = pd.DataFrame([campaign(design="targeted")])
    who = ["K0001", "K0001", "K0002"]
    frames["touches"] = pd.DataFrame({"touch_id": list("abc"), "campaign_id": "A", "customer_id": who,
                                      "touched_at": START, "kind": "visit", "cost_amount": 5})  # fmt: skip
    _, effects = evaluated(frames)
    assert effects["n_treatment"].unique().tolist() == [2] and effects["effect"].isna().all()


@pytest.mark.parametrize("missing", [("campaigns", "assignments"), ("assignments",), ("order_lines",)])
def test_missing_files_stop_nothing(missing):
    frames = shop(np.random.default_rng(17), 40)
    outcomes, effects = evaluated({k: v for k, v in frames.items() if k not in missing})
    balance, actions = campaign_balance(outcomes), action_effects(effects, outcomes)
    for name, frame in (("campaign_balance", balance), ("campaign_effects", effects), ("action_effects", actions)):
        check_frame(contract_of(name), frame)
    assert effects["effect"].isna().all() and actions.empty
    if "campaigns" in missing:
        assert effects.empty and "assignments" in answers.designs(outcomes) and "campaigns" in answers.designs(outcomes)


# --- staggered --------------------------------------------------------------------------------------------------------


def test_a_staggered_roll_out_is_read_by_group_and_time():
    """Two waves (February, March) get 0.5 more orders a month; the window is two months; the rest waits."""
    rng = np.random.default_rng(18)
    frames = shop(rng, 900)
    waves = np.array([pd.Timestamp("2025-02-01"), pd.Timestamp("2025-03-01"), pd.NaT])[np.arange(900) % 3]
    names = frames["assignments"]["customer_id"].to_numpy()
    more = []
    for wave in (0, 1):
        who = np.repeat(names[np.arange(900) % 3 == wave], rng.poisson(1.0, 300))
        more.append(lines(who, waves[wave] + pd.to_timedelta(rng.integers(0, 59, len(who)), unit="D")))
    orders = pd.concat([frames["order_lines"], *more], ignore_index=True)
    frames["order_lines"] = orders.assign(order_id=[f"O{i}" for i in range(len(orders))])
    arms = np.where(pd.isna(waves), "control", "treatment")
    frames["assignments"] = assigned(names, arms, starts_on=waves)
    frames["campaigns"] = pd.DataFrame([campaign(design="staggered", window_days=61)])
    outcomes, effects = evaluated(frames)
    row = main(effects)
    assert (row["estimator"], row["causal"], row["verdict"]) == ("group_time_att", True, "works")
    assert row["low"] < 1.0 < row["high"] and row["n_treatment"] == 600
    assert row["window_ends_on"] == pd.Timestamp("2025-04-30")
    assert action_effects(effects, outcomes)["grade"].item() == "quasi"
    assert main(evaluated(frames, date(2025, 3, 31))[1])["verdict"] == "not_finished"


# --- actions, answers, figure -----------------------------------------------------------------------------------------


def test_actions_pool_by_inverse_variance_net_of_cost():
    """Against DerSimonian-Laird of statsmodels, on effects less cost per treated customer."""
    rng = np.random.default_rng(19)
    frames = shop(rng, 400, extra=0.5)
    names = frames["assignments"]["customer_id"]
    frames["assignments"] = pd.concat(
        [frames["assignments"], *(assigned(names, rng.permutation(frames["assignments"]["arm"]), i) for i in "BC")]
    )
    frames["campaigns"] = pd.DataFrame([campaign("A"), campaign("B"), campaign("C", action="seminar")])
    outcomes, effects = evaluated(frames)
    rows = effects[(effects["metric"] == "gross_profit") & (effects["estimator"] == "lin")].set_index("campaign_id")
    net = rows["effect"] - 100_000 / 200
    variance = ((rows["high"] - rows["low"]) / (2 * 1.959964)) ** 2
    oracle = combine_effects(
        net[["A", "B"]].to_numpy(), variance[["A", "B"]].to_numpy(), method_re="dl"
    ).summary_frame()
    found = action_effects(effects, outcomes).set_index("action")
    assert found.loc["reorder_offer", "effect"] == pytest.approx(oracle.loc["random effect", "eff"])
    assert found.loc["reorder_offer", "low"] == pytest.approx(oracle.loc["random effect", "ci_low"])
    assert found.loc["seminar", "effect"] == pytest.approx(net["C"])
    assert found["campaigns"].to_dict() == {"reorder_offer": "A,B", "seminar": "C"}
    assert found["half_life_months"].isna().all() and set(found["half_life_source"]) == {"none"}


def test_balance_is_the_difference_over_the_pooled_deviation(working):
    outcomes, _ = working
    row = campaign_balance(outcomes).set_index("covariate").loc["pre_orders"]
    t, c = (outcomes.customers.query("arm == @a")["pre_orders"] for a in ("treatment", "control"))
    assert row["standardised_difference"] == pytest.approx((t.mean() - c.mean()) / np.sqrt((t.var() + c.var()) / 2))


def test_tables_keep_their_contracts_and_are_the_same_each_time(working):
    outcomes, effects = working
    check_frame(contract_of("campaign_effects"), effects)
    check_frame(contract_of("campaign_balance"), campaign_balance(outcomes))
    check_frame(contract_of("action_effects"), action_effects(effects, outcomes))
    pd.testing.assert_frame_equal(effects, campaign_effects(outcomes, np.random.default_rng(1)))


@pytest.mark.parametrize("language", ["en", "ja"])
def test_hostile_names_are_one_line_of_text(language):
    name = "<script>alert(1)</script>\x1b[31m$\\frac{1\n"
    frames = shop(np.random.default_rng(20), 60)
    frames["campaigns"] = pd.DataFrame([campaign(name=name, action=name)])
    outcomes, effects = evaluated(frames)
    axes = forest(headline(effects), language)
    axes[0].figure.canvas.draw()  # "$" must not be read as mathematics
    said = answers.next_plan(action_effects(effects, outcomes), effects, language)
    assert "\x1b" not in said and len(said.splitlines()) == 2


def test_the_figure_shows_an_effect_only_where_there_is_one(working):
    """A dot and its interval for a causal effect; for a targeted campaign the open diamond alone."""
    chosen = pd.DataFrame([campaign(design="targeted")])
    _, targeted = evaluated({**shop(np.random.default_rng(23), 60), "campaigns": chosen})
    drawn = [forest(headline(e))[0] for e in (working[1], targeted)]
    marks = [[line.get_marker() for line in axis.lines if line.get_marker() != "None"] for axis in drawn]
    assert marks == [["o", "D"], ["D"]]
    dot = next(line for line in drawn[0].lines if line.get_marker() == "o")
    assert dot.get_xdata()[0] == pytest.approx(main(working[1])["effect"])
