"""Contracts in depth: decisions and what was known of them by hand, chances, simulated futures, lapses."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import histories as hist
from ltvlab_utils import value
from ltvlab_utils.i18n import say
from ltvlab_utils.models.hazard import Cell, FrailtyHazard, log_hazard
from ltvlab_utils.value import answers, contracts, decisions, lapse, movement, prices, renewal_hazard, result, signals
from ltvlab_utils.value.calendar import Horizon
from tests.test_value import contract_facts, rates_of
from tests.value_world import AS_OF, company, order_lines, settings, staged, terms, valued


def rng(seed=1):
    return np.random.default_rng(seed)


TERMS = [
    # older than the data, renewed on the day of its deadline, mid-term now
    ("a", 3, "2023-07-01", "2024-06-30", 100.0, "renewed", "2024-04-30", None),
    ("a", 4, "2024-07-01", "2025-06-30", 100.0, "renewed", "2025-04-30", None),
    ("a", 5, "2025-07-01", "2026-06-30", 100.0, "open", None, None),  # begins after as-of
    # amended: the first term is no decision
    ("b", 1, "2024-01-01", "2025-12-31", 100.0, "superseded", "2024-09-30", None),
    ("b", 2, "2024-10-01", "2026-09-30", 150.0, "open", None, None),
    # refused, notice three weeks before the deadline
    ("c", 1, "2024-02-01", "2025-01-31", 100.0, "churned", "2024-11-09", "2024-11-09"),
    ("d", 1, "2024-01-01", "2024-12-31", 400.0, "cancelled_early", "2024-06-30", None),
    # no deadline is known: decided at its end
    ("e", 1, "2024-04-15", "2025-04-14", 500.0, "renewed", "2025-04-14", None),
    ("e", 2, "2025-04-15", "2026-04-14", 500.0, "open", None, None),
    # notice given, deadline still ahead
    ("f", 1, "2024-10-01", "2025-09-30", 300.0, "open", None, "2025-06-15"),
]
NOTICE = pd.Timedelta(days=61)


def of_terms(paused=()):
    frame = terms(TERMS)
    frame["product_id"], frame["discount_rate"] = "P", 0.05
    due = pd.to_datetime(frame["ends_on"]) - NOTICE
    frame["notice_due_on"] = due.where(frame["contract_id"] != "e")
    for contract, start, stop in paused:
        rows = frame["contract_id"] == contract
        frame.loc[rows, ["paused_from", "paused_to"]] = [pd.Timestamp(start), pd.Timestamp(stop)]
    found = contracts.amounts(contracts.known_at(frame, AS_OF), no_changes(), AS_OF)
    made = contracts.renewals_made(found)
    return found, made, contracts.running(found, made, AS_OF)


def no_changes():
    return pd.DataFrame(columns=["contract_id", "changed_on", "amount_before", "amount_after", "reason"])


def test_past_decisions_by_hand():
    """An amendment and an early cancellation are no decision, renewals before the data count from the entry on."""
    found = decisions.past(of_terms()[0], AS_OF)
    told = found[["contract_id", "told", "count", "made"]].values.tolist()
    assert told == [
        ["a", "before", 2, 1.0],
        ["a", "stayed", 1, 2],
        ["a", "stayed", 1, 3],
        ["c", "left", 1, 0],
        ["e", "stayed", 1, 0],
    ]
    due = found.set_index(["contract_id", "told"])["due_on"]
    assert due[("c", "left")] == pd.Timestamp("2024-12-01")
    assert due[("e", "stayed")] == pd.Timestamp("2025-04-14")  # its end


def test_a_decision_too_young_to_be_known_both_ways_is_left_out():
    """Renewals that are recorded 40 days after the deadline: what was decided in the last 40 days would be refusals
    only."""
    rows = [(f"k{i}", 1, "2024-01-01", "2024-12-31", 10.0, "renewed", "2025-02-09", None) for i in range(30)]
    rows += [("late", 1, "2024-06-11", "2025-06-10", 10.0, "churned", "2025-06-01", "2025-06-01")]
    frame = terms(rows)
    found = contracts.amounts(contracts.known_at(frame, AS_OF), no_changes(), AS_OF)
    assert set(decisions.past(found, AS_OF)["told"]) == {"stayed"}
    assert set(decisions.past(found, date(2025, 7, 31))["told"]) == {"stayed", "left"}


def test_days_of_sight_by_hand():
    found, _, running = of_terms()
    seen = decisions.sightings(found, running, AS_OF)
    of_c = seen[seen["contract_id"] == "c"].set_index("lead")["seen_on"]
    # the deadline is 2024-12-01, but notice came on the 9th of November: nobody forecasts what is known
    assert of_c[0.0] == of_c[1.0 - 1.0] == pd.Timestamp("2024-11-08")
    assert of_c[1.0] == pd.Timestamp("2024-11-01") and of_c[9.0] == pd.Timestamp("2024-03-01")
    ahead = seen[seen["told"] == "next"].set_index("contract_id")
    assert sorted(ahead.index) == ["a", "b", "e"], "a decision that is known is not ahead"
    # a: renewed, so the next one is that of the term from July: a year after 2025-04-30, ten months
    assert ahead.loc["a", "lead"] == pytest.approx(10.0, abs=0.05) and ahead.loc["a", "made"] == 4
    assert ahead.loc["b", "lead"] == pytest.approx(13.0, abs=0.05) and ahead.loc["b", "made"] == 0
    assert ahead.loc["e", "lead"] == pytest.approx(9.5, abs=0.1) and ahead.loc["e", "made"] == 1
    assert (ahead["seen_on"] == pd.Timestamp(AS_OF)).all()


def test_a_pause_is_neither_delivered_nor_exposure():
    plain, made, _ = of_terms()
    paused, made_paused, _ = of_terms([("b", "2025-01-01", "2025-03-31")])
    months = lambda t: t.set_index(["contract_id", "term_no"])["months"][("b", 2)]  # noqa: E731
    assert months(plain) - months(paused) == pytest.approx(3.0)
    sums = lambda t, m: movement.moves(t, m, None, AS_OF).contracts.set_index("contract_id")["months"]["b"]  # noqa: E731
    assert sums(plain, made) - sums(paused, made_paused) == pytest.approx(3.0)


# --- what was known ---------------------------------------------------------------------------------------------------


def look(day="2025-03-31", customer="C", amount=100.0):
    return pd.DataFrame(
        {"customer_id": [customer], "seen_on": [pd.Timestamp(day)], "monthly_amount": [amount], "product_id": ["P"]}
    )


def weeks(values, last="2025-03-24", metric="logins", customer="C"):
    """Weekly values that end with the week of `last` (a Monday)."""
    monday = pd.Timestamp(last) - pd.to_timedelta(7 * np.arange(len(values))[::-1], unit="D")
    return staged("usage", pd.DataFrame({"customer_id": customer, "week": monday, "metric": metric, "value": values}))


def test_usage_against_the_customers_own_earlier_weeks():
    """44 weeks at 10, four at 5, two at 0, two at 5: 30/8 = 3.75 a week of the last eight; a floor of a tenth of the
    usual is added on both sides."""
    table = weeks([10.0] * 44 + [5.0] * 4 + [0.0] * 2 + [5.0] * 2)
    found = signals.signals({"usage": table}, look()).iloc[0]
    assert found["usage_level"] == pytest.approx(np.log((3.75 + 1) / (10 + 1)))
    # last four: 2.5 a week; the eight before: four weeks at 10 and four at 5
    assert found["usage_trend"] == pytest.approx(np.log((2.5 + 1) / (7.5 + 1)))
    assert found["usage_silent"] == pytest.approx(2 / 8)


def test_nothing_later_than_the_day_of_sight_enters():
    steady = [10.0] * 52
    for day, level in (("2025-03-30", np.log(11 / 11)), ("2025-04-06", np.log((10 + 90 / 8 + 1) / (10 + 1)))):
        table = weeks([*steady, 100.0], last="2025-03-31")  # a week that is over on the 6th of April
        found = signals.signals({"usage": table}, look(day)).iloc[0]
        assert found["usage_level"] == pytest.approx(level)
    with_later = {
        "surveys": staged(
            "surveys",
            pd.DataFrame(
                {
                    "survey_id": ["1", "2"], "customer_id": ["C", "D"],
                    "sent_on": pd.to_datetime(["2025-02-01", "2025-02-01"]),
                    "answered_on": pd.to_datetime(["2025-04-01", "2025-02-03"]), "score": [2.0, 8.0],
                }
            ),
        ),
        "contacts": staged(
            "contacts",
            pd.DataFrame(
                {"contact_id": ["p", "q"], "customer_id": ["C", "D"], "left_on": pd.to_datetime(["2025-04-01"] * 2)}
            ),
        ),
    }  # fmt: skip
    found = signals.signals(with_later, pd.concat([look(), look(customer="D")], ignore_index=True))
    assert found["survey_silent"].tolist() == [1.0, 0.0]  # C's answer came after the day of sight
    assert found["survey_score"].tolist() == [0.0, 0.0]  # the mean of the only answer known
    assert found["contact_left"].tolist() == [0.0, 0.0]


def test_support_payment_and_contacts_by_hand():
    entries = pd.DataFrame(
        {
            "entry_id": list("abcd"), "customer_id": "C", "kind": "ticket", "cost_amount": 1.0,
            "occurred_on": pd.to_datetime(["2025-03-01", "2025-02-01", "2024-12-01", "2024-06-01"]),
        }
    )  # fmt: skip
    invoices = pd.DataFrame(
        {
            "invoice_id": list("abcd"), "customer_id": list("CCDD"), "amount": 1.0,
            "invoiced_on": pd.Timestamp("2024-12-01"), "due_on": pd.Timestamp("2025-01-31"),
            "paid_on": pd.to_datetime(["2025-02-01", None, "2025-01-31", "2025-02-05"]),
        }
    )  # fmt: skip
    people = pd.DataFrame({"contact_id": ["p"], "customer_id": ["C"], "left_on": pd.to_datetime(["2025-01-31"])})
    tables = {"support_costs": entries, "receivables": invoices, "contacts": people}
    tables = {name: staged(name, rows) for name, rows in tables.items()}
    both = pd.concat([look(), look(customer="D")], ignore_index=True)
    found = signals.signals(tables, both)
    assert found["support_recent"].tolist() == pytest.approx([np.log(4 / 1.5), 0.0])  # three, one in the year before
    assert found["late_payment"].tolist() == pytest.approx([0.25 / 2, -0.25 / 2])  # half and none late, of two each
    assert found["contact_left"].tolist() == [1.0, 0.0]


def test_missing_tables_and_customers_break_nothing():
    assert signals.signals({}, look()).shape == (1, 0)
    found = signals.signals({"usage": weeks([1.0] * 20, customer="another")}, look())
    assert (found == 0).all(axis=None)
    short = signals.signals({"usage": weeks([1.0] * 5)}, look())
    assert (short == 0).all(axis=None), "five weeks say nothing"


# --- chances ----------------------------------------------------------------------------------------------------------


def hazard_of(b: dict, frailty=0.5, fade=0.1, moving=(), groups=()) -> renewal_hazard.RenewalHazard:
    """A hazard of known coefficients."""
    design = renewal_hazard.Design(groups, moving, np.zeros(len(moving)), np.ones(len(moving)))
    mean = np.array([b.get(name, 0.0) for name in design.names])
    cell = Cell(frailty, 0.3, fade, 1.0, mean, np.zeros((len(mean), len(mean))))
    return renewal_hazard.RenewalHazard(FrailtyHazard([cell], design.names, design.prior, 0.0, 100), design, 100, 20)


def looks(copies: int, lead: float, made: int, past: int, usage=0.0, term=12) -> pd.DataFrame:
    """Open decisions of contracts in the way of contract_facts, with `past` renewals seen."""
    row = {"product_id": "", "term_months": term, "discount_rate": 0.0, "monthly_amount": 1.0, "count": 1,
           "seen_on": pd.Timestamp(AS_OF), "model_segment": "all"}  # fmt: skip
    rows = []
    for i in range(copies):
        ids = {"contract_id": f"k{i:05d}", "customer_id": f"c{i:05d}"}
        rows += [row | ids | {"told": "stayed", "made": k, "lead": 0.0, "usage_level": 0.0} for k in range(past)]
        rows.append(row | ids | {"told": "next", "made": made, "lead": lead, "usage_level": usage})
    return pd.DataFrame(rows)


def test_chance_of_renewal_by_hand():
    """Two renewals stayed through at h = e^-2 (1 + tenure): frailty 0.5, so z ~ Gamma(4, 4 + H)."""
    hazard = hazard_of({"base": -2.0, "tenure": 0.2, "usage_level": -0.5}, moving=("usage_level",))
    rows = looks(1, lead=5.0, made=2, past=2, usage=-1.0)
    found = renewal_hazard.p_renew(hazard, rows, hazard.model.draw(3, rng(), certain=True))
    lived = np.exp(-2) + np.exp(-2 + 0.2)
    ahead = np.exp(-2 + 0.2 * np.log2(3) + 0.5 * np.exp(-0.1 * 5))
    assert found["k00000"] == pytest.approx(((4 + lived) / (4 + lived + ahead)) ** 4)


def test_simulated_contracts_have_the_mean_of_the_closed_form():
    """Renewal after renewal: the chance to pass k decisions is ((4 + H) / (4 + H + h_1 + … + h_k))^4, what is known of
    use fading by 12 months each."""
    copies = 400
    hazard = hazard_of({"base": -1.5, "tenure": -0.2, "usage_level": -0.6}, moving=("usage_level",))
    rows = looks(copies, lead=3.0, made=1, past=1, usage=-1.5)
    facts = contract_facts(
        [{"term_months": 12, "amount": 100.0, "months_left": 5.0, "decided": "open", "renewals_made": 1}] * copies
    )
    facts = value.Facts(**{**vars(facts), "decisions": rows.drop(columns="model_segment")})
    fits = value.Fits(hazard=hazard)
    found = value.simulate(facts, fits, rates_of(copies, "revenue"), settings(), rng(), shocks=False, certain=True)
    revenue = found.by_customer["expected_contract_revenue"]
    h = [np.exp(-1.5 - 0.2 * np.log2(2 + k) + 0.9 * np.exp(-0.1 * (3 + 12 * k))) for k in range(3)]
    lived = np.exp(-1.5)
    passed = ((4 + lived) / (4 + lived + np.cumsum([0, *h]))) ** 4
    ends = pd.date_range("2025-07-31", periods=36, freq="ME")
    discount = 1.10 ** (-(ends - pd.Timestamp(AS_OF)).days.to_numpy() / 365.25)
    terms_passed = np.ceil((np.arange(1, 37) - 5) / 12).clip(0).astype(int)
    truth = 100 * (discount * passed[terms_passed]).sum()
    assert abs(revenue.mean() - truth) < 4 * revenue.std() / np.sqrt(copies)
    # and p_renew_next is the first of these
    chance = result.renewal_chances(facts, fits, rng()).to_numpy()
    assert chance == pytest.approx(passed[1], abs=1e-9)


def test_a_shock_shared_by_all_contracts_widens_totals_and_keeps_the_mean_hazard():
    factors = renewal_hazard.renewal_shocks(24, 40_000, rng())
    assert factors.mean(axis=0) == pytest.approx(1.0, abs=0.02)
    assert np.corrcoef(np.log(factors[:, 0]), np.log(factors[:, 12]))[0, 1] == pytest.approx(0.9**12, abs=0.03)
    copies = 300
    hazard = hazard_of({"base": -1.5})
    facts = contract_facts(
        [{"term_months": 12, "amount": 100.0, "months_left": 2.0, "decided": "open", "renewals_made": 0}] * copies
    )
    facts = value.Facts(**{**vars(facts), "decisions": looks(copies, 0.0, 0, 0).drop(columns="model_segment")})
    spread = {}
    for shocks in (True, False):
        rates = rates_of(copies, "revenue")
        found = value.simulate(facts, value.Fits(hazard=hazard), rates, settings(), rng(), shocks=shocks, certain=True)
        spread[shocks] = found.segments["all"]["future_value"].std()
    assert spread[True] > 1.5 * spread[False]


def test_discount_is_a_control_that_predictions_hold_where_it_is():
    """The discount of the term that is up for decision is a covariate; nothing in the package moves it."""
    hazard = hazard_of({"base": -2.0, "discount_control": 0.3})
    x = hazard.design.rows(looks(1, 0.0, 0, 0).assign(discount_rate=0.2))
    eta = log_hazard(x, np.zeros(1), hazard.model.prior.moving, hazard.model.draw(1, rng(), certain=True))
    assert eta[0, 0] == pytest.approx(-2.0 + 0.6)


def test_a_company_whose_contracts_have_not_come_up_yet():
    """One cohort in its first term: the prior speaks, and says so."""
    rows = [(f"k{i:02d}", 1, "2025-01-01", "2025-12-31", 10.0, "open", None, None) for i in range(30)]
    table = {"contract_terms": staged("contract_terms", terms(rows).assign(billing="monthly").drop(columns="notice"))}
    _, fits, found = valued(table, models={}, value_basis="revenue")
    by = found.by_customer
    assert by["note"].str.contains("renewals_cannot_tell").all()
    assert by["p_renew_next"].between(0.6, 0.95).all()
    assert fits.hazard.decisions == 0
    # refusals from 5 to 33 %: exp of Normal(-2, 0.7^2) at its 10th and 90th percentile
    low, high = np.quantile(np.exp(fits.hazard.model.draw(20_000, rng())["b"][:, 0]), [0.1, 0.9])
    assert (low, high) == pytest.approx((np.exp(-2 - 1.2816 * 0.7), np.exp(-2 + 1.2816 * 0.7)), rel=0.05)
    company_ = found.totals.set_index("scope").loc["company"]
    assert company_["high"] > 1.3 * company_["low"]


# --- between renewals -------------------------------------------------------------------------------------------------

CHANGES = pd.DataFrame(
    [
        ("a", "2024-09-01", 100.0, 125.0, "upsell"), ("a", "2025-07-01", 125.0, 500.0, "upsell"),
        ("b", "2025-02-01", 150.0, 120.0, "downsell"), ("a", "2024-07-01", 90.0, 100.0, "price"),
        ("e", "2025-04-15", 0.0, 500.0, "price"),
    ],
    columns=["contract_id", "changed_on", "amount_before", "amount_after", "reason"],
)  # fmt: skip


def test_moves_by_hand():
    found, made, _ = of_terms()
    moves = movement.moves(found, made, CHANGES, AS_OF)
    by = moves.contracts.set_index("contract_id")
    assert by["up"].to_dict() == {"a": 1, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0}  # one is later than as-of
    assert by["down"].sum() == by["down"]["b"] == 1 and by["early"].sum() == by["early"]["d"] == 1
    assert moves.renewals.groupby("contract_id")["step"].sum()["a"] == pytest.approx(np.log(100 / 90))
    assert moves.unusable == 1
    assert moves.sizes["up"] == pytest.approx([np.log(1.25)])
    assert by["months"]["d"] == 6


@pytest.mark.parametrize("language", ["ja", "en"])
def test_changes_that_cannot_be_used_are_told(language):
    """Changes from or to nothing, and of unknown contracts, leave no estimate without a word."""
    found, made, _ = of_terms()
    facts = value.gather(company(), settings(), AS_OF)
    of = lambda changes: replace(facts, moves=movement.moves(found, made, changes, AS_OF))  # noqa: E731
    told = answers.histories(of(CHANGES), settings(), language)
    assert say("note.ltv_changes_left_out", language, count=1) in told
    good = CHANGES[CHANGES["contract_id"] != "e"]
    assert say("note.ltv_changes_left_out", language, count=0)[-12:] not in answers.histories(
        of(good), settings(), language
    )


def test_rates_are_shrunken_to_the_company_and_that_to_its_prior():
    found, made, _ = of_terms()
    moves = movement.moves(found, made, CHANGES, AS_OF)
    segments = pd.Series({"A": "x", "B": "x", "C": "y", "D": "y", "E": "y", "F": "y"})
    fit = movement.fit(moves, segments)
    total = moves.contracts["months"].sum()
    company_rate = (0.003 * 200 + 1) / (200 + total)
    months = moves.contracts.loc[moves.contracts["contract_id"].isin(list("cdef")), "months"].sum()
    assert fit.rates[("y", "early")] == pytest.approx((company_rate * 400 + 1, 400 + months))
    assert fit.rates[("x", "early")][0] == pytest.approx(company_rate * 400)
    nothing = movement.moves(found, made, None, AS_OF)
    assert not movement.fit(nothing, segments).known


def test_a_further_contract_beside_a_running_one_is_cross_sell():
    rows = [
        ("a", 1, "2023-01-01", "2025-12-31", 100.0, "open", None, None),
        ("a2", 1, "2024-01-01", "2025-12-31", 40.0, "open", None, None),
        ("b", 1, "2023-01-01", "2023-12-31", 100.0, "churned", "2023-10-01", None),
        ("b2", 1, "2024-03-01", "2026-02-28", 50.0, "open", None, None),  # came back: not beside a running one
    ]
    frame = terms(rows).assign(customer_id=["A", "A", "B", "B"])
    found = contracts.amounts(contracts.known_at(frame, AS_OF), no_changes(), AS_OF)
    moves = movement.moves(found, contracts.renewals_made(found), None, AS_OF)
    assert moves.customers.set_index("customer_id")["further"].to_dict() == {"A": 1.0, "B": 0.0}
    assert moves.shares == pytest.approx([0.4])


def steady(**rates) -> movement.Movement:
    """Known rates a month, known sizes."""
    of = {("all", what): (rates.get(what, 1e-12) * 1e12, 1e12) for what in movement.RATES}
    sizes = {w: (rates.get(f"{w}_size", 0.2), 1e12, 1e6) for w in ("up", "down")}
    known = prices.Prices(np.array([rates.get("rise", 0.0), rates.get("regain", 0.0)]), np.zeros((2, 2)), 0.0, 0.0, 99)
    return movement.Movement(of, sizes, known, (0.5, 1e12), True)


def simulated(moves: movement.Movement, copies=300, months=36, **row):
    hazard = hazard_of({"base": -30.0})  # nobody refuses
    row = {"term_months": 12, "amount": 100.0, "months_left": 12.0, "decided": "open", "renewals_made": 0} | row
    facts = contract_facts([row] * copies)
    seen = looks(copies, 0.0, 0, 0).drop(columns="model_segment").assign(term_months=row["term_months"])
    facts = value.Facts(**{**vars(facts), "decisions": seen})
    chosen = settings(discount_rate_annual=0.0, horizon_months=months)
    fits = value.Fits(hazard=hazard, movement=moves)
    return value.simulate(facts, fits, rates_of(copies, "revenue"), chosen, rng(), shocks=False, certain=True)


def test_growth_stops_after_its_cap_and_does_not_compound():
    """Up at 2 % a month by 22 %, for 24 months; each adds from its time to the end: 100 · 0.2214 · 0.02 · (36 · 24 -
    24² / 2), less what counting on the last day of a month costs (half a month each)."""
    found = simulated(steady(up=0.02)).by_customer
    truth = 100 * np.expm1(0.2) * 0.02 * (36 * 24 - 24**2 / 2)
    assert found["expected_contract_revenue"].mean() == pytest.approx(3600)
    assert found["expected_expansion"].mean() == pytest.approx(truth, rel=0.03)
    down = simulated(steady(down=0.02)).by_customer["expected_expansion"].mean()
    assert down == pytest.approx(100 * np.expm1(-0.2) * 0.02 * (36 * 24 - 24**2 / 2), rel=0.03)


def test_prices_rise_at_renewals_within_the_cap():
    """At months 12 (and not at 24, the cap): 5 % of 100 for the 24 months after; a term of half a year, half of it a
    time: at 6, 12 and 18."""
    found = simulated(steady(rise=np.log(1.05))).by_customer
    assert found["expected_expansion"].mean() == pytest.approx(5 * 24)
    half = simulated(steady(rise=np.log(1.05)), term_months=6, months_left=6.0).by_customer
    assert half["expected_expansion"].mean() == pytest.approx(100 * (1.05**0.5 - 1) * (30 + 24 + 18))


def test_a_discount_that_ends_comes_back_once():
    """A fifth off, of which half comes back at month 12; later renewals start from what is usual."""
    found = simulated(steady(regain=0.5), discount_rate=0.2, months=36).by_customer
    assert found["expected_expansion"].mean() == pytest.approx(100 * (0.8**-0.5 - 1) * 24)
    short = simulated(steady(regain=0.5), discount_rate=0.2, term_months=6, months_left=6.0).by_customer
    assert short["expected_expansion"].mean() == pytest.approx(100 * (0.8**-0.5 - 1) * 30)


def renewed(steps: np.ndarray, discount=0.0, months=12, each=1):
    """Terms of contracts renewed in June 2024, `each` changes of the amount at that renewal."""
    rows = [(f"c{i}", 1, "2023-07-01", "2024-06-30", 100.0, "renewed", "2024-04-01", None) for i in range(len(steps))]
    frame = contracts.known_at(terms(rows).assign(term_months=months, discount_rate=discount), AS_OF)
    moved = pd.DataFrame({"contract_id": frame["contract_id"], "changed_on": pd.Timestamp("2024-07-01")})
    moved["step"] = np.asarray(steps, dtype=float)[frame["contract_id"].str[1:].astype(int)]
    return prices.renewals(frame, moved)


def test_prices_at_renewals_are_learned_with_their_discount():
    """1 % a year and seven tenths of each discount back, by 200 contracts with a noise of 5 %."""
    rng_, n = rng(), 200
    discount = np.where(rng_.random(n) < 0.5, 0.0, 0.15)
    depth = -np.log1p(-discount)
    truth = 0.01 * 2 + 0.7 * (depth - depth.mean()) + rng_.normal(0, 0.05, n)
    rows = [(f"c{i:03d}", 1, "2022-07-01", "2024-06-30", 100.0, "renewed", "2024-04-01", None) for i in range(n)]
    frame = contracts.known_at(terms(rows).assign(term_months=24, discount_rate=discount), AS_OF)
    moved = frame[["contract_id"]].assign(changed_on=pd.Timestamp("2024-07-01"), step=truth)
    found, at_renewal = prices.renewals(frame, moved)
    learned = prices.fit(found)
    sd = np.sqrt(np.diag(learned.covariance))
    assert at_renewal.all() and len(found) == n
    assert (abs(learned.mean - [0.01, 0.7]) < 3 * sd).all() and sd[0] < 0.004 and sd[1] < 0.08
    assert learned.own_sd == pytest.approx(0.05, rel=0.15)


def test_a_few_renewals_without_a_change_prove_little():
    alike, _ = renewed(np.zeros(4))
    found, many = prices.fit(alike), prices.fit(renewed(np.zeros(200))[0])
    assert found.mean[0] == 0 and np.sqrt(found.covariance[0, 0]) > 0.01 > np.sqrt(many.covariance[0, 0])
    assert prices.fit(alike.iloc[:0]).renewals == 0
    assert np.sqrt(prices.fit(alike.iloc[:2]).covariance[0, 0]) == prices.RISE_SD


def test_one_change_of_unit_does_not_set_the_price_of_all():
    steps = np.full(40, 0.02)
    steps[0] = np.log(1000)
    found, plain = prices.fit(renewed(steps)[0]), prices.fit(renewed(np.full(40, 0.02))[0])
    assert abs(found.mean[0] - plain.mean[0]) < 0.015 and found.own_sd < 0.2


def test_a_change_of_price_in_mid_term_is_a_move_and_no_renewal():
    found, made, _ = of_terms()
    late = pd.DataFrame([("b", "2025-02-01", 100.0, 120.0, "price")], columns=CHANGES.columns)
    moves = movement.moves(found, made, late, AS_OF)
    assert moves.contracts.set_index("contract_id")["up"]["b"] == 1 and (moves.renewals["step"] == 0).all()


def test_early_cancellation_has_its_own_risk():
    """2 % a month from now on: the sum over months of e^(-0.02 t), the month of the end in part."""
    found = simulated(steady(early=0.02)).by_customer
    truth = 100 * -np.expm1(-0.02 * 36) / 0.02
    assert found["expected_contract_revenue"].mean() == pytest.approx(truth, rel=0.01)


def test_further_contracts_bring_their_share_for_their_own_life():
    """0.5 % a month for 24 months, half of 100 a month, and nobody refuses: until the end."""
    found = simulated(steady(cross=0.005)).by_customer
    truth = 50 * 0.005 * (36 * 24 - 24**2 / 2)
    assert found["expected_expansion"].mean() == pytest.approx(truth, rel=0.05)
    # beside a contract that ends early they go on
    short = simulated(steady(cross=0.05), decided="churned", months_left=3.0).by_customer
    assert short["expected_contract_revenue"].mean() == pytest.approx(300)
    assert short["expected_expansion"].mean() == pytest.approx(50 * 0.05 * (36 * 3 - 9 / 2), rel=0.05)


# --- the lapse of the last contract -----------------------------------------------------------------------------------


def test_lapses_by_hand():
    """A's contract ended on 2024-06-30: four orders in the six months before, one in the six after; K keeps its own."""
    rows = [
        ("a", 1, "2023-07-01", "2024-06-30", 100.0, "churned", "2024-04-01", None),
        ("k", 1, "2023-01-01", "2025-12-31", 100.0, "open", None, None),
        ("n", 1, "2024-07-01", "2025-05-31", 100.0, "churned", "2025-04-01", None),  # too young to judge
    ]
    found = contracts.known_at(terms(rows), AS_OF)
    days = {
        "A": ["2023-08-01", "2024-01-05", "2024-02-05", "2024-06-30", "2024-05-05", "2024-07-01", "2025-01-01"],
        "K": ["2023-08-01", "2024-01-05", "2024-03-05", "2024-07-05", "2024-08-05", "2024-12-31", "2025-01-01"],
    }
    lines = [(f"{c}{d}", c, d, "sale", 10, 1) for c, of in days.items() for d in of]
    seen = lapse.lapses(hist.purchase_days(order_lines(lines), AS_OF), found, AS_OF).rows.iloc[0]
    assert seen[["before", "after", "kept_before", "kept_after"]].tolist() == [4, 1, 2, 3]


def counts(n: int, before: float, after: float, random=None) -> lapse.Lapses:
    draw = (lambda m: random.poisson(m, n)) if random else (lambda m: np.full(n, m))
    return lapse.Lapses(
        pd.DataFrame({"before": draw(before), "after": draw(after), "kept_before": 1000.0, "kept_after": 1000.0})
    )


def test_the_factor_is_learned_and_shrunken_to_the_setting():
    none = lapse.factor(None, 0.5)
    assert np.exp(none.mean) == pytest.approx(0.5) and none.sd == lapse.PRIOR_SD and none.weight == 0
    many = lapse.factor(counts(200, 6.0, 1.8, rng()), 0.9)
    assert np.exp(many.mean) == pytest.approx(0.3, rel=0.1) and many.weight > 0.9 and many.sd < 0.1
    few = lapse.factor(counts(2, 3.0, 0.0), 0.5)
    assert 0.1 < np.exp(few.mean) < 0.5 and few.sd > 0.3
    assert lapse.factor(many, 0.0) is None


def test_a_few_who_order_much_do_not_pass_for_many():
    """The same totals from 50 customers alike and from one that decides all: the second says less."""
    alike = lapse.factor(counts(50, 4.0, 2.0), 0.5)
    rows = counts(50, 4.0, 0.0).rows
    rows.loc[0, "after"] = 100.0
    assert lapse.factor(lapse.Lapses(rows), 0.5).weight < 0.4 < alike.weight


# --- the whole --------------------------------------------------------------------------------------------------------


def without_orders():
    tables = company()
    return {name: tables[name] for name in ("customers", "contract_terms", "support_costs")}


def test_the_card_and_the_values_name_the_hazard():
    facts, fits, found = valued(without_orders())
    card = value.model_card(fits, facts)
    own = card[card["model"] == "renewal_hazard"].set_index("parameter")
    assert {"base", "tenure", "term_length", "discount_control", "frailty"} <= set(own.index)
    assert own["estimate"].notna().all() and own["chosen"].all()
    under = found.by_customer[found.by_customer["p_renew_next"].notna()]
    assert under["model"].str.contains("renewal_hazard").all()


def test_renaming_customers_moves_no_chance():
    tables = without_orders()
    once = valued(tables)
    renamed = {
        name: table.mutate(customer_id=("z" + table.customer_id).cast("string"))
        if name != "customers"
        else table.mutate(customer_id="z" + table.customer_id, parent_id="z" + table.parent_id)
        for name, table in tables.items()
    }
    again = valued(renamed)
    summary = lambda f: np.array(list(f[1].hazard.model.summary().values()))  # noqa: E731
    assert summary(again) == pytest.approx(summary(once), abs=1e-8)


def test_the_horizon_bounds_every_contract():
    horizon = Horizon.after(AS_OF, 6, 0.1, 4)
    assert horizon.months == 6
    found = simulated(steady(up=0.01, early=0.01, cross=0.01), months=6).by_customer
    assert (found["expected_contract_revenue"] <= 600 + 1e-9).all()
