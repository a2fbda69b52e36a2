"""Which model values rest on, the ladder of fallbacks, the published numbers on the model card."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import value
from ltvlab_utils.errors import Refused
from ltvlab_utils.tables import check_frame, contract_of
from ltvlab_utils.value import answers
from ltvlab_utils.value.facts import orders_only
from tests.value_world import company, order_lines, settings, staged, valued


def rng(seed=1):
    return np.random.default_rng(seed)


def test_a_small_segment_takes_the_pooled_fit_and_says_so():
    tables = company(contracts_too=False)
    people = tables["customers"].to_pandas()
    people["industry"] = ["rare" if i < 8 else "common" for i in range(len(people))]
    _, fits, found = valued(tables | {"customers": staged("customers", people)})
    assert (fits.orders["rare"].rung, fits.orders["common"].rung) == ("pooled", "own")
    by = found.by_customer[found.by_customer["basis"] == "orders"].groupby("model_segment")
    weight = by["pooled_weight"].first()
    assert weight["rare"] > 0.5 > weight["common"]
    assert by["note"].first().str.contains("fit_pooled").to_dict() == {"rare": True, "common": False}


def test_three_customers_cannot_tell():
    rows = [(f"{c}{d}", c, f"2025-0{d}-01", "sale", 10, 1) for c in "abc" for d in (1, 3, 5)]
    _, fits, found = valued({"order_lines": order_lines(rows)}, models={}, value_basis="revenue")
    assert fits.orders["all"].rung == "cannot_tell"
    assert found.by_customer["p_alive"].isna().all()
    assert found.by_customer["note"].str.contains("orders_cannot_tell").all()
    assert (found.by_customer["future_value_high"] > 2 * found.by_customer["future_value_low"]).all()


def test_a_base_that_nobody_leaves_is_not_given_a_death():
    """Loyal customers: a gap of about 30 days, all bought within the last weeks. No death, no divergence reported as
    a fit."""
    random, rows = rng(2), []
    for i in range(120):
        days = np.cumsum(random.exponential(30 * random.gamma(4, 0.25) + 1, 80)).astype(int)
        for d in days[days < 900]:
            rows.append(
                (f"{i}-{d}", f"c{i}", str(pd.Timestamp("2023-01-12") + pd.Timedelta(days=int(d))), "sale", 9, 1)
            )
    _, fits, found = valued({"order_lines": order_lines(rows)}, models={"time_unit": "week"}, value_basis="revenue")
    assert found.by_customer["p_alive"].median() > 0.97
    assert fits.orders["all"].posterior.usable and "fit_without_death" in fits.orders["all"].notes


def test_cdnow_card_holds_the_published_numbers_and_the_second_opinion():
    """Pareto/NBD r 0.5533, alpha 10.578, s 0.6062, beta 11.669, LL -9594.976; Gamma-Gamma p 6.25, q 3.74, v 15.44 on
    946 repeaters (Fader, Hardie & Lee 2005; BTYD vignette)."""
    from tests.test_histories import cdnow, cdnow_lines

    chosen = settings(models={"time_unit": "week"})
    facts = value.gather({"order_lines": cdnow_lines(cdnow())}, chosen, date(1997, 9, 30))
    card = value.model_card(value.fit(facts, chosen), facts)
    check_frame(contract_of("model_card"), card)
    published = {"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669, "p": 6.25, "q": 3.74, "v": 15.44}
    for engine in ("ltvlab", "lifetimes"):
        own = card[(card["engine"] == engine) & card["model"].isin(["pareto_nbd", "gamma_gamma"])]
        found = own.set_index("parameter")["estimate"].to_dict()
        assert found == pytest.approx(published, rel=2e-3)
        ll = own.groupby("model")["log_likelihood"].first()
        assert ll["pareto_nbd"] == pytest.approx(-9594.976, abs=0.02)
        assert ll["gamma_gamma"] == pytest.approx(-4055.918, abs=0.02)
        assert own.groupby("model")["customers"].first().to_dict() == {"pareto_nbd": 2357, "gamma_gamma": 946}
    assert card["warning"].isna().all() and card["converged"].all()
    assert sorted(card.loc[card["chosen"], "model"].unique()) == ["gamma_gamma", "pace", "pareto_cnbd"]
    # values rest on the posterior: with 2,357 customers the maximum-likelihood fit itself, orders held to be random
    posterior = card[card["model"] == "pareto_cnbd"].set_index("parameter")["estimate"]
    error = card[(card["model"] == "pareto_cnbd")].set_index("parameter")["standard_error"]
    assert posterior["k"] == 1 and posterior["pooled_weight"] < 0.1
    for name in ("r", "alpha", "s", "beta"):
        assert abs(posterior[name] - published[name]) < error[name]


def test_whether_those_who_buy_often_spend_more_is_said():
    random = rng()
    n = 400
    x = random.integers(1, 30, n)
    h = pd.DataFrame({"frequency": x, "recency": 1.0, "T": 2.0, "monetary_value": 1.0 * x, "revenue_total": 1.0})
    h = h.assign(customer_id=[f"c{i}" for i in range(n)], model_segment=np.where(np.arange(n) < 200, "a", "b"))
    alone = h.assign(monetary_value=random.gamma(2, 50, n))
    told = [answers.spend_and_frequency(orders_only(f, date(2025, 6, 30))) for f in (h, alone, h.head(5))]
    assert ": +1.00 (400 repeat buyers)" in told[0] and "too few repeat buyers" in told[2]
    assert abs(float(told[1].split(": ")[1].split(" ")[0].replace("−", "-"))) < 0.15


def test_a_whale_keeps_to_itself():
    """60 customers of twelve orders, one of them a thousand times larger: each is worth what its own orders say."""
    random, rows = rng(), []
    for c in range(60):
        size = 1e7 if c == 0 else 1e4
        for m in range(1, 13):
            day = f"{pd.Timestamp('2024-06-05') + pd.DateOffset(months=m):%Y-%m-%d}"
            rows.append((f"{c}-{m}", f"c{c:02d}", day, "sale", size * random.uniform(0.5, 1.5), 1))
    _, fits, found = valued({"order_lines": order_lines(rows)}, models={}, value_basis="revenue")
    by = found.by_customer.set_index("customer_id")
    assert fits.spend["all"].notes == ("spend_heavy_tail",) and by["note"].str.contains("spend_heavy_tail").all()
    per_order = by["expected_order_revenue"] / by["expected_orders"]
    assert 4e6 < per_order["c00"] < 2e7
    assert per_order.drop("c00").between(4e3, 2.5e4).all()
    assert (by.drop("c00")["future_value_high"] < 3e6).all()


def test_nothing_but_returns_is_refused_in_a_sentence():
    rows = [(f"{c}{d}", f"c{c}", f"2025-0{d}-01", "sale", -10, 1) for c in range(5) for d in (1, 3, 5)]
    with pytest.raises(Refused, match="none of 5 customers has bought for more than it returned"):
        valued({"order_lines": order_lines(rows)}, models={}, value_basis="revenue")
