"""The value engine against closed forms, hand-computed facts and known truth."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import histories as hist
from ltvlab_utils import value
from ltvlab_utils.models import MBGNBD, NBD, GammaGamma, ParetoNBD, ShiftedBetaGeometric
from ltvlab_utils.value import contracts
from ltvlab_utils.value.calendar import Horizon, shock_factors
from ltvlab_utils.value.choice import Choice, Fits
from ltvlab_utils.value.costs import Rates
from ltvlab_utils.value.facts import Facts, orders_only
from tests.value_world import AS_OF, settings, terms

DELTA = np.log(1.10) / 365.25  # a day
HORIZON = 1096  # days from 2025-06-30 to 2028-06-30


def rng(seed=1):
    return np.random.default_rng(seed)


def rates_of(n: int, basis="net_profit", servicing=np.nan, cost=0.0) -> Rates:
    zero, none = np.zeros(n), np.zeros(n, bool)
    return Rates(basis, zero + cost, zero, zero + cost, zero, zero + 1, np.nan, servicing, (), none)


def order_facts(histories: pd.DataFrame) -> Facts:
    frame = histories.assign(
        customer_id=[f"c{i:05d}" for i in range(len(histories))],
        model_segment="all",
        monetary_value=histories.get("monetary_value", 0.0),
    )
    return orders_only(frame, AS_OF)


def contract_facts(rows: list[dict], histories: pd.DataFrame | None = None) -> Facts:
    part = pd.DataFrame(rows).assign(
        contract_id=[f"k{i:05d}" for i in range(len(rows))],
        cost_share=0.0,
        overdue=False,
        next_renewal_on=pd.Timestamp("2025-10-01"),
        notice_due_on=pd.NaT,
    )
    if "discount_rate" not in part:
        part["discount_rate"] = 0.0
    if "customer_id" not in part:
        part["customer_id"] = [f"c{i:05d}" for i in range(len(part))]
    people = pd.DataFrame({"customer_id": part["customer_id"].unique(), "model_segment": "all", "parent_id": None})
    h = hist.empty() if histories is None else histories
    return Facts(AS_OF, people, h, part, part.iloc[:0], None, False, False, None)


def known(orders=None, spend=None, renewals=None, kind="annual") -> Fits:
    """Fits of known parameters."""
    spend = spend or GammaGamma(p=6.0, q=4.0, v=15.0)
    fits = Fits(spend={"all": Choice("gamma_gamma", spend, "own")})
    if orders is not None:
        fits.orders["all"] = Choice("pareto_nbd", orders, "own")
    if renewals is not None:
        fits.renewals[("all", kind)] = Choice("shifted_beta_geometric", renewals, "own")
    return fits


# --- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        ParetoNBD(r=0.9, alpha=40.0, s=0.7, beta=200.0),
        MBGNBD(r=0.9, alpha=40.0, a=0.8, b=6.0),
        NBD(r=0.9, alpha=40.0),
    ],
    ids=lambda m: type(m).__name__,
)
def test_discounted_orders_have_the_mean_of_the_closed_form(model):
    """With known parameters and no shock the mean of the sum of discount factors is DET with a horizon."""
    kinds = pd.DataFrame({"frequency": [0, 3, 20], "recency": [0.0, 200.0, 690.0], "T": [300.0, 500.0, 700.0]})
    copies = 250
    facts = order_facts(kinds.loc[np.repeat([0, 1, 2], copies)].reset_index(drop=True))
    rates = rates_of(len(facts.customers), servicing=1.0)
    found = value.simulate(facts, known(model), rates, settings(), rng(), shocks=False, certain=True).by_customer
    means = found["expected_servicing_cost"].to_numpy().reshape(3, copies)
    error = means.std(axis=1) / np.sqrt(copies)
    truth = model.discounted_expected_transactions(kinds, DELTA, HORIZON)
    assert (np.abs(means.mean(axis=1) - truth) < 4 * error + 2e-4 * truth).all(), (means.mean(axis=1), truth)
    # and without discount the expected number of orders
    count = found["expected_orders"].to_numpy().reshape(3, copies)
    truth = model.conditional_expected_purchases(kinds, HORIZON)
    assert (np.abs(count.mean(axis=1) - truth) < 4 * count.std(axis=1) / np.sqrt(copies)).all()


def test_order_revenue_has_the_mean_of_orders_times_spend():
    spend, model = GammaGamma(p=6.0, q=4.0, v=15.0), NBD(r=1.0, alpha=40.0)
    kinds = pd.DataFrame({"frequency": [5], "recency": [400.0], "T": [500.0], "monetary_value": [60.0]})
    facts = order_facts(kinds.loc[np.zeros(400, int)].reset_index(drop=True))
    rates = rates_of(400, "revenue")
    found = value.simulate(facts, known(model, spend), rates, settings(), rng(), shocks=False, certain=True)
    revenue = found.by_customer["expected_order_revenue"]
    truth = model.discounted_expected_transactions(kinds, DELTA, HORIZON) * spend.conditional_expected_spend(kinds)
    assert abs(revenue.mean() - truth[0]) < 4 * revenue.std() / 20 + 2e-4 * truth[0]


def test_orders_until_the_fiscal_year_ends():
    """An immortal customer of a known rate orders rate x 274 days until 2026-03-31."""
    facts = order_facts(pd.DataFrame({"frequency": [0] * 200, "recency": 0.0, "T": 10.0, "monetary_value": 0.0}))
    steady = NBD(r=1e8, alpha=1e8 / 0.05)
    spend = GammaGamma(p=1e6, q=1e6, v=1.0)  # every order 1
    found = value.simulate(
        facts, known(steady, spend), rates_of(200, "revenue"), settings(), rng(), shocks=False, certain=True
    )
    total = found.segments["all"]["fiscal_year_revenue"]
    assert abs(total.mean() / 200 - 0.05 * 274) < 4 * total.std() / 200 / 20


def test_the_shared_shock_has_mean_one_and_widens_totals():
    factors = shock_factors(36, 40_000, rng())
    assert np.abs(factors.mean(axis=0) - 1).max() < 4 * factors.std() / 200
    # the innovation's sd has mean 0.05 sqrt(2 / pi), so log factors stay within a few percent in half of the draws
    assert 0.02 < np.median(np.abs(np.log(factors[:, 0]))) < 0.06
    steps = np.log(factors)
    assert np.corrcoef(steps[:, 5], steps[:, 6])[0, 1] > 0.7  # phi has mean 0.8
    facts = order_facts(pd.DataFrame({"frequency": [20] * 500, "recency": 390.0, "T": 400.0, "monetary_value": 50.0}))
    fits, rates = known(NBD(r=2.0, alpha=50.0)), rates_of(500, "revenue")
    spread = [
        value.simulate(facts, fits, rates, settings(), rng(), shocks, True).segments["all"]["future_value"].std()
        for shocks in (False, True)
    ]
    assert spread[1] > 2 * spread[0]


# --- loss within twelve months ----------------------------------------------------------------------------------------

YEAR = 365  # days from 2025-06-30 to 2026-06-30


def lost(facts, fits, **changes):
    found = value.simulate(facts, fits, rates_of(len(facts.customers), "revenue"), settings(**changes), rng())
    return found.by_customer["p_lost"].to_numpy()


def test_a_customer_with_orders_alone_is_lost_when_they_end():
    """Pareto/NBD: 1 - P(alive) ((beta + T) / (beta + T + t))^s (Fader & Hardie 2005); without death nobody is lost."""
    model = ParetoNBD(r=0.9, alpha=40.0, s=0.7, beta=200.0)
    kinds = pd.DataFrame({"frequency": [0, 3, 20], "recency": [0.0, 200.0, 690.0], "T": [300.0, 500.0, 700.0]})
    copies = 200
    facts = order_facts(kinds.loc[np.repeat([0, 1, 2], copies)].reset_index(drop=True))
    truth = 1 - model.probability_alive(kinds) * ((200 + kinds["T"]) / (200 + kinds["T"] + YEAR)) ** 0.7
    found = lost(facts, known(model)).reshape(3, copies).mean(axis=1)
    assert found == pytest.approx(truth.to_numpy(), abs=4 * 0.5 / np.sqrt(copies * 400))
    assert (lost(facts, known(NBD(r=0.9, alpha=40.0))) == 0).all()
    assert np.isnan(lost(facts, known(model), horizon_months=6)).all(), "a horizon of six months cannot say"


def test_a_death_at_an_order_counts_like_any_other():
    """MBG/NBD against customers drawn from the prior and kept where they bought x times and live at T."""
    model, age, n = MBGNBD(r=0.8, alpha=35.0, a=0.9, b=2.5), 140.0, 400_000
    random = rng(3)
    rate, drop = random.gamma(0.8, 1 / 35.0, n), random.beta(0.9, 2.5, n)
    bought, later = random.poisson(rate * age), random.poisson(rate * YEAR)
    alive = random.random(n) < (1 - drop) ** (bought + 1)  # MBG: the first purchase may kill too
    stays = random.random(n) < (1 - drop) ** later
    for x in (0, 3):
        h = pd.DataFrame({"frequency": [x] * 100, "recency": [age / 2 if x else 0.0] * 100, "T": age})
        rows = alive & (bought == x)
        truth = 1 - model.probability_alive(h)[0] * stays[rows].mean()
        error = np.sqrt(0.25 / rows.sum() + 0.25 / 40_000)
        assert lost(order_facts(h), known(model)).mean() == pytest.approx(truth, abs=4 * error)


def test_every_contract_must_end_and_known_decisions_stand():
    """One churn probability of 0.2 a renewal, to a millionth."""
    theta = ShiftedBetaGeometric(alpha=2e6, beta=8e6)
    row = {"term_months": 12, "amount": 1.0, "renewals_made": 1, "months_left": 6.0, "decided": "open"}
    gone, far = row | {"decided": "churned"}, row | {"months_left": 14.0}
    cases = {
        "one decision": ([row], 0.2),
        "notice given": ([gone], 1.0),
        "notice given, another contract open": ([gone, row], 0.2),
        "two decisions": ([row, row], 0.2**2),
        "its decision lies beyond": ([row, far], 0.0),
        "renewed already": ([row | {"decided": "renewed"}], 0.0),
        "ends on the last day": ([row | {"months_left": 12.0}], 0.0),
        "due now and again in a year": ([row | {"months_left": 0.0}], 0.2),
    }
    copies = 60
    rows = [r | {"customer_id": f"{i}-{j:02d}"} for i, (of, _) in enumerate(cases.values()) for j in range(copies)
            for r in of]  # fmt: skip
    found = lost(contract_facts(rows), known(renewals=theta)).reshape(len(cases), copies).mean(axis=1)
    for (name, (_, truth)), chance in zip(cases.items(), found, strict=True):
        assert chance == pytest.approx(truth, abs=4 * 0.4 / np.sqrt(copies * 400) if 0 < truth < 1 else 1e-12), name
    # a monthly contract whose next renewal is known: eleven more decisions
    monthly = row | {"term_months": 1, "months_left": 0.0, "decided": "renewed"}
    found = lost(contract_facts([monthly] * copies), known(renewals=theta, kind="monthly")).mean()
    assert found == pytest.approx(1 - 0.8**11, abs=0.02)


# --- contracts --------------------------------------------------------------------------------------------------------

SBG = ShiftedBetaGeometric(alpha=3.80, beta=15.20)


def test_contract_value_is_the_sum_over_terms_of_the_closed_form():
    """Five months left of an annual term, m renewals made: remaining months and S(m + k)/S(m) of each later term."""
    copies = 300
    row = {"term_months": 12, "amount": 100.0, "months_left": 5.0, "decided": "open"}
    facts = contract_facts([row | {"renewals_made": m} for m in (0, 2) for _ in range(copies)])
    rates = rates_of(len(facts.customers), "revenue")
    found = value.simulate(facts, known(renewals=SBG), rates, settings(), rng(), certain=True).by_customer
    means = found["expected_contract_revenue"].to_numpy().reshape(2, copies)
    ends = pd.date_range("2025-07-31", periods=36, freq="ME")
    discount = 1.10 ** (-(ends - pd.Timestamp(AS_OF)).days.to_numpy() / 365.25)
    for found, m in zip(means, (0, 2), strict=True):
        term = np.ceil((np.arange(1, 37) - 5) / 12).clip(0).astype(int)  # renewals needed to reach month 1 … 36
        truth = 100 * (discount * SBG.survival(m + term) / SBG.survival(m)).sum()
        assert abs(found.mean() - truth) < 4 * found.std() / np.sqrt(copies), (found.mean(), truth)


def test_at_the_renewal_a_long_horizon_gives_derl():
    """Just before the decision, d = 100 % a year, 120 months: months of a year x DERL of the model."""
    row = {"term_months": 12, "amount": 1.0, "months_left": 0.0, "decided": "open", "renewals_made": 3}
    facts = contract_facts([row] * 400)
    chosen = settings(horizon_months=120, discount_rate_annual=1.0)
    found = value.simulate(facts, known(renewals=SBG), rates_of(400, "revenue"), chosen, rng(), certain=True)
    revenue = found.by_customer["expected_contract_revenue"]
    year = (
        2.0 ** (-(pd.date_range("2025-07-31", periods=12, freq="ME") - pd.Timestamp(AS_OF)).days.to_numpy() / 365.25)
    ).sum()
    truth = year * SBG.discounted_expected_residual_lifetime(3, 1.0)
    assert abs(revenue.mean() - truth) < 4 * revenue.std() / 20 + 2e-3 * truth


def test_known_decisions_are_not_drawn():
    row = {"term_months": 12, "amount": 10.0, "months_left": 4.0, "renewals_made": 1}
    facts = contract_facts([row | {"decided": "churned"}, row | {"decided": "renewed"}])
    found = value.simulate(facts, known(renewals=SBG), rates_of(2, "revenue"), settings(), rng()).by_customer
    ends = pd.date_range("2025-07-31", periods=16, freq="ME")
    months = 10 * 1.10 ** (-(ends - pd.Timestamp(AS_OF)).days.to_numpy() / 365.25)
    leaving, staying = found["future_value"], found["future_value_low"]
    assert abs(leaving[0] - months[:4].sum()) < 1e-9
    assert found["future_value_low"][0] == pytest.approx(found["future_value_high"][0])
    assert staying[1] >= months.sum() - 1e-9  # the term that it opens is certain


@pytest.mark.parametrize(("factor", "days"), [(0.0, 92), (0.5, 92 + 0.5 * (1096 - 92)), (1.0, 1096)])
def test_after_the_last_contract_orders_fall_by_the_assumed_factor(factor, days):
    """Contracts that end for certain on 2025-09-30 (92 days): orders = rate x (92 + factor x the rest)."""
    n = 300
    row = {"term_months": 12, "amount": 1.0, "months_left": 3.0, "renewals_made": 0, "decided": "churned"}
    ids = [f"c{i:05d}" for i in range(n)]
    h = pd.DataFrame(
        {"customer_id": ids, "model_segment": "all", "frequency": 0, "recency": 0.0, "T": 10.0, "monetary_value": 0.0}
    )
    facts = contract_facts([row] * n, h)
    chosen = settings(models={"order_rate_after_lapse": factor})
    fits = known(NBD(r=1e8, alpha=1e8 / 0.1), renewals=SBG)
    found = value.simulate(facts, fits, rates_of(n, "revenue"), chosen, rng(), shocks=False, certain=True).by_customer
    orders = found["expected_orders"]
    assert abs(orders.mean() - 0.1 * days) < 4 * orders.std() / np.sqrt(n) + 1e-9


TERMS = [
    # seen from its third term, renewed once more, runs to 2025-12-31
    ("a", 3, "2023-01-01", "2023-12-31", 100.0, "renewed", "2023-11-01", None),
    ("a", 4, "2024-01-01", "2025-12-31", 120.0, "open", None, None),
    # its end is known after as-of: reads as open
    ("b", 1, "2024-09-15", "2025-09-14", 200.0, "churned", "2025-07-02", None),
    # notice given before as-of
    ("c", 1, "2024-10-01", "2025-09-30", 300.0, "open", None, "2025-06-15"),
    ("d", 1, "2024-01-01", "2024-12-31", 400.0, "cancelled_early", "2024-06-30", None),
    ("e", 1, "2023-01-01", "2023-12-31", 500.0, "churned", "2023-12-01", None),
    ("f", 1, "2024-07-01", "2025-06-30", 600.0, "renewed", "2025-05-01", None),
    ("f", 2, "2025-07-01", "2026-06-30", 660.0, "open", None, None),  # begins after as-of
    ("g", 1, "2024-06-01", "2025-05-31", 700.0, "open", None, None),  # no outcome though it has ended
]
CHANGES = pd.DataFrame(
    [("a", "2024-07-01", 120.0, 150.0, "upsell"), ("b", "2025-08-01", 200.0, 400.0, "upsell")],
    columns=["contract_id", "changed_on", "amount_before", "amount_after", "reason"],
)


def facts_of_terms():
    known_terms = contracts.known_at(terms(TERMS), AS_OF)
    return contracts.amounts(known_terms, CHANGES, AS_OF)


def test_contract_money_to_date_by_hand():
    found = facts_of_terms().set_index(["contract_id", "term_no"])
    assert found.loc[("a", 3), "revenue"] == pytest.approx(12 * 100)
    # 6 months at 120, 12 at 150
    assert found.loc[("a", 4), "revenue"] == pytest.approx(6 * 120 + 12 * 150)
    assert found.loc[("a", 4), "amount"] == 150
    assert found.loc[("b", 1), "revenue"] == pytest.approx((16 / 30 + 9) * 200)  # from the 15th of September
    assert found.loc[("d", 1), "revenue"] == pytest.approx(6 * 400)  # until it was cancelled
    assert found["cost"].sum() == pytest.approx(0.4 * found["revenue"].sum())


def test_decisions_and_running_contracts_by_hand():
    found = facts_of_terms()
    made = contracts.renewals_made(found).set_index("contract_id")
    assert made["renewals_made"].to_dict() == {"a": 3, "b": 0, "c": 0, "d": 0, "e": 0, "f": 1, "g": 0}
    assert made["renewals_at_entry"].to_dict() == {"a": 2} | dict.fromkeys("bcdefg", 0)
    assert made.index[made["churned"]].tolist() == ["e"] and made.index[made["early"]].tolist() == ["d"]
    running = contracts.running(found, made.reset_index(), AS_OF).set_index("contract_id")
    assert running["decided"].to_dict() == {"a": "open", "b": "open", "c": "churned", "f": "renewed", "g": "open"}
    assert running["months_left"].round(4).to_dict() == {
        "a": 6.0,
        "b": round(2 + 14 / 30, 4),
        "c": 3.0,
        "f": 0.0,
        "g": 0.0,
    }
    assert running.index[running["overdue"]].tolist() == ["g"]


def test_the_horizon_is_made_of_calendar_months():
    h = Horizon.after(date(2025, 2, 28), 36, 0.10, 4)
    assert h.ends[:3].tolist() == [0, 31, 61] and h.end == date(2028, 2, 29)
    assert h.discount(np.array([365.25]))[0] == pytest.approx(1 / 1.10)
    assert h.fiscal_days == 31 and Horizon.after(date(2025, 3, 31), 1, 0.1, 4).fiscal_days == 0
    assert h.annuity(discounted=False)[-1] == 36
    assert contracts.months_after(
        pd.Series(pd.to_datetime(["2025-03-31", "2025-03-15"])), date(2025, 2, 28)
    ).tolist() == [
        1.0,
        pytest.approx(15 / 31),
    ]
