"""Declared attributes on the model card: tested beside segments, in words, values untouched."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ltvlab_utils import value
from ltvlab_utils.errors import Refused
from ltvlab_utils.models import ParetoNBD
from ltvlab_utils.params import resolve
from ltvlab_utils.tables import check_frame, contract_of
from ltvlab_utils.value import answers, attributes
from ltvlab_utils.value.facts import orders_only
from tests.test_models_covariates import SHIFTS, shifted_customers
from tests.value_world import AS_OF, company, settings, staged, terms

DECLARED = {"time_unit": "week", "covariates": ["acquisition_channel"]}


def bought(n: int = 500):
    """Facts of customers of two segments whose channels shift how fast they order and leave
    (test_models_covariates)."""
    h = shifted_customers(n, np.random.default_rng(4), SHIFTS)
    channel = np.select([h["web"] == 1, h["fair"] == 1], ["web", "fair"], "agent")
    ids = [f"c{i:04d}" for i in range(len(h))]
    segment = np.where(np.arange(len(h)) % 2, "north", "south")
    h = h.assign(customer_id=ids, model_segment=segment, monetary_value=0.0, revenue_total=0.0)
    return replace(orders_only(h, AS_OF), attributes=pd.DataFrame({"customer_id": ids, "acquisition_channel": channel}))


@pytest.mark.slow
def test_what_sets_customers_apart_is_seen_and_said_and_values_stay():
    """The test is 2 (LL with the channel - LL without), both with segments beside; posteriors do not know of it."""
    facts, declared, plain = bought(), settings(models=DECLARED), settings(models={"time_unit": "week"})
    fits, without = value.fit(facts, declared), value.fit(facts, plain)
    card = value.model_card(fits, facts)
    check_frame(contract_of("model_card"), card)
    own = card[card["model"] == "pareto_nbd_by_acquisition_channel"].set_index("parameter")
    h = facts.histories.assign(south=(facts.histories["model_segment"] == "south").astype(float))
    names = [c for c in own.index if ":" in c]
    assert len(names) == 6 and sum("segment=" in n for n in names) == 2
    both = ParetoNBD.fit(h, covariates=["south", "web", "fair"]), ParetoNBD.fit(h, covariates=["south"])
    statistic = 2 * (both[0].log_likelihood - both[1].log_likelihood)
    test = next(a for a in fits.attributes if a.what == "orders").test
    assert test.statistic == pytest.approx(statistic, rel=1e-6) and test.degrees_of_freedom == 4
    assert own.loc["likelihood_ratio", "estimate"] == pytest.approx(statistic, rel=1e-6)
    found = both[0].params["order_rate:web"]
    assert own.loc["order_rate:acquisition_channel=web", "estimate"] == pytest.approx(found, rel=1e-6)
    assert test.p_value < 0.01 and not own["chosen"].any()
    said = answers.models(fits, card)
    assert "taken as known at the start since models.covariates declares it, tells customers apart" in said
    assert "Values do not use it" in said and "models.covariates の宣言" in answers.models(fits, card, "ja")
    for segment, choice in without.orders.items():
        assert (choice.posterior.sets == fits.orders[segment].posterior.sets).all()
    assert not without.attributes


def test_gathered_attributes_are_those_declared():
    tables = company()
    people = tables["customers"].to_pandas().assign(acquisition_channel="web")
    tables |= {"customers": staged("customers", people)}
    facts = value.gather(tables, settings(models=DECLARED), AS_OF)
    assert facts.attributes.columns.tolist() == ["customer_id", "acquisition_channel"] and len(facts.attributes) == 161
    assert value.gather(tables, settings(), AS_OF).attributes is None
    told, card = attributes.tested(facts, settings(models=DECLARED))
    assert {a.reason for a in told} == {"too_few"} and not card  # one channel for all


def test_renewals_are_tested_by_contract():
    """400 contracts, refused at 40 % a year by one channel and at 10 % by the other, on average."""
    random, rows = np.random.default_rng(6), []
    for k in range(400):
        start, term = pd.Timestamp("2020-01-01") + pd.DateOffset(months=int(random.integers(0, 12))), 1
        refuses = random.beta(1.2, 1.8) if k % 2 else random.beta(0.6, 5.4)
        while start <= pd.Timestamp(AS_OF):
            end = start + pd.DateOffset(months=12) - pd.Timedelta(days=1)
            stays = random.random() > refuses
            outcome = "open" if end > pd.Timestamp(AS_OF) else "renewed" if stays else "churned"
            rows.append((f"k{k:03d}", term, start, end, 50.0, outcome, None if outcome == "open" else end, None))
            if not stays or outcome == "open":
                break
            start, term = end + pd.Timedelta(days=1), term + 1
    found = terms(rows).assign(billing="monthly", product_id=None).drop(columns="notice")
    ids = sorted(found["customer_id"].unique())
    people = pd.DataFrame({"customer_id": ids, "customer_name": "x"})
    people["acquisition_channel"] = ["fair" if int(i[1:]) % 2 else "web" for i in ids]  # K000, K001, …
    tables = {"customers": staged("customers", people), "contract_terms": staged("contract_terms", found)}
    chosen = settings(models={"covariates": ["acquisition_channel", "size_band"]})
    told, card = attributes.tested(value.gather(tables, chosen, AS_OF), chosen)
    by = {a.name: a for a in told}
    assert by["acquisition_channel"].test.p_value < 1e-6 and by["acquisition_channel"].what == "renewals"
    assert by["size_band"].test is None and by["size_band"].reason == "too_few"  # unknown for all
    assert {r["model"] for r in card} == {"shifted_beta_geometric_by_acquisition_channel"}


def test_only_attributes_of_customers_can_be_declared():
    text = "sources: {order_lines: [{path: x.csv}]}\nmodels: {covariates: [stage]}\n"
    with pytest.raises(Refused, match="covariates"):
        resolve("acme", "2025-06", text)
