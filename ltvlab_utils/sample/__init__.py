"""A small generated company (floor 2): frames of every extract from a seed. Same seed, same frames.

It is not the models' own world: order intervals are gamma, rates log-normal, buying peaks in March, customers fade
before they leave, renewal hazards differ per customer and fall with tenure. No common shocks, no inflation beyond
2 % a year. It imports nothing of the models, so that what they find has not been put in by them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ltvlab_utils.periods import Period
from ltvlab_utils.sample import campaigns, contracts, orders, service
from ltvlab_utils.sample.names import company_names

__all__ = ["generate"]

# share of the base; share with contracts only, with both (the rest orders only); yen a month of a contract (median)
MIX = {
    "software": (0.30, 0.62, 0.30, 110_000),
    "manufacturing": (0.38, 0.08, 0.27, 70_000),
    "wholesale": (0.32, 0.0, 0.14, 45_000),
}
CHANNELS = {"referral": 40_000, "exhibition": 260_000, "web": 90_000, "outbound": 190_000}


def generate(seed: int, customers: int, months: int, last_period: str) -> dict[str, pd.DataFrame]:
    """Extracts of a company by input table, nothing later than `last_period`; order_lines holds a few faulty rows.

    Column names are those of the contracts; amounts are whole yen without tax.
    """
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(8)]
    end = Period.parse(last_period)
    first = np.datetime64(end.shift(1 - months).first_day, "D")
    days = int((np.datetime64(end.last_day, "D") - first).astype(int)) + 1
    people = _people(streams[0], customers, months, days)
    terms, changes = contracts.terms_and_changes(streams[1], _holders(streams[1], people), first, months)
    people["lapses"] = _lapse_days(people, terms, first)
    buyers = people[people["buys"]].reset_index(drop=True)
    bought = orders.order_days(streams[2], buyers, first, days)
    plan = campaigns.plan(streams[3], buyers, bought, first, days)
    lines = orders.order_lines(streams[4], plan.orders, buyers, first, days)
    monthly = contracts.monthly_amounts(terms, changes, first, months)
    life = service.spans(people, lines, monthly, first, days)
    owners = service.owners(streams[5], people, life, first)
    return {
        "customers": _master(streams[6], people, first),
        "customer_owners": owners,
        "products": orders.products(),
        "order_lines": orders.with_faults(streams[4], lines),
        "contract_terms": terms,
        "contract_changes": changes,
        "support_costs": service.support(streams[5], people, life, first),
        "usage": service.usage(streams[5], terms, first, days),
        "activities": service.activities(streams[5], people, life, owners, first),
        "receivables": service.receivables(streams[5], lines, first, days),
        "targets": service.targets(streams[7], lines, monthly, end, months),
        "campaigns": plan.campaigns,
        "assignments": plan.assignments,
        "touches": plan.touches,
    }


def _people(rng: np.random.Generator, n: int, months: int, days: int) -> pd.DataFrame:
    """Latent facts of each customer; `born`, `dies` count days from the first day of the data."""
    industry = rng.choice(list(MIX), n, p=[share[0] for share in MIX.values()])
    only, both, fee = (np.array([MIX[k][c] for k in industry]) for c in (1, 2, 3))
    draw = rng.random(n)
    median, spread, spend, margin = (np.array([orders.SHAPE[k][c] for k in industry]) for c in range(4))
    rate = median * rng.lognormal(0, 1, n) ** spread
    size = rng.normal(0, 1, n)
    # the base grows: arrivals in the data come at twice the pace at its end, 45 % were customers before
    before = rng.random(n) < 0.45
    arrival = days * (np.sqrt(1 + 3 * rng.random(n)) - 1)
    born = np.where(before, -np.floor(1 + 2000 * rng.random(n) ** 1.5), np.floor(arrival)).astype(int)
    # Weibull lives with growing hazard; large customers stay longer; those of before lived to the first day
    scale = 2300 * rng.lognormal(0, 0.5, n) * np.exp(0.2 * size)
    age = np.maximum(-born, 0)
    life = scale * ((age / scale) ** 1.3 - np.log(rng.random(n))) ** (1 / 1.3)
    poor = rng.random(n) < 0.04
    return pd.DataFrame(
        {
            "customer_id": "C" + pd.Series(np.arange(1, n + 1)).astype(str).str.zfill(5),
            "customer_name": company_names(rng, industry),
            "industry": industry,
            "line": pd.Series(industry).map({k: i for i, k in enumerate(MIX)}),
            "buys": draw >= only,
            "subscribes": draw < only + both,
            "born": born,
            "dies": born + np.ceil(life),
            "rate": rate,
            "spend": spend * np.exp(0.8 * size),
            "margin": np.where(poor, -0.08, np.clip(margin + rng.normal(0, 0.07, n), 0.05, 0.8)),
            "fee": fee * np.exp(0.8 * size + rng.normal(0, 0.4, n)),
            "load": np.where(rng.random(n) < 0.05, 6.0, 1.0) * rng.lognormal(-0.3, 0.6, n),
            "size": size,
            "months": months,
        }
    )


def _holders(rng: np.random.Generator, people: pd.DataFrame) -> pd.DataFrame:
    """One row a contract; some customers take a second one later."""
    own = people[people["subscribes"]]
    second = own[rng.random(len(own)) < 0.15]
    rows = pd.concat([own, second], ignore_index=True)
    later = np.r_[np.zeros(len(own), int), rng.integers(4, 24, len(second))]
    rate = np.where(rng.random(len(rows)) < 0.3, rng.choice([0.05, 0.1, 0.15, 0.2], len(rows)), 0.0)
    return pd.DataFrame(
        {
            "contract_id": "K" + pd.Series(np.arange(1, len(rows) + 1)).astype(str).str.zfill(5),
            "customer_id": rows["customer_id"],
            "product_id": np.where(rows["industry"] == "software", "S-001", "S-002"),
            "start_month": np.floor(rows["born"] / 30.4375).astype(int) + 1 + later,
            "amount": np.round(rows["fee"] * (1 - rate) * np.where(later > 0, 0.4, 1), -2).clip(lower=5000),
            "cost_share": np.where(rows["margin"] < 0, 1.15, rng.uniform(0.25, 0.45, len(rows))),
            "discount_rate": rate,
        }
    )


def _lapse_days(people: pd.DataFrame, terms: pd.DataFrame, first: np.datetime64) -> pd.Series:
    """Day on which the last contract ended for good; infinite while one goes on or there never was one."""
    stop = terms["outcome_on"].where(terms["outcome"] == "cancelled_early", terms["ends_on"])
    gone = terms["outcome"].isin(["churned", "cancelled_early"])
    day = (stop - first).dt.days.astype(float).where(gone | (terms["outcome"] == "renewed"), np.inf)
    return people["customer_id"].map(day.groupby(terms["customer_id"]).max()).fillna(np.inf)


def _master(rng: np.random.Generator, people: pd.DataFrame, first: np.datetime64) -> pd.DataFrame:
    n = len(people)
    channel = rng.choice(list(CHANNELS), n, p=[0.3, 0.25, 0.3, 0.15])
    cost = np.round(np.array([CHANNELS[c] for c in channel]) * rng.lognormal(0, 0.5, n), -2)
    old = people["born"].to_numpy() < 0
    dated = ~old | (rng.random(n) < 0.5)
    acquired = first + np.where(dated, people["born"], 0).astype("timedelta64[D]")
    parent = people["customer_id"].to_numpy()[rng.integers(0, max(n // 10, 1), n)]
    has_parent = (rng.random(n) < 0.06) & (parent != people["customer_id"].to_numpy())
    return pd.DataFrame(
        {
            "customer_id": people["customer_id"],
            "customer_name": people["customer_name"],
            "parent_id": np.where(has_parent, parent, None),
            "industry": people["industry"],
            "size_band": np.select([people["size"] < -0.5, people["size"] < 0.8], ["small", "middle"], "large"),
            "region": rng.choice(["関東", "関西", "中部", "東北", "九州"], n, p=[0.42, 0.22, 0.18, 0.08, 0.10]),
            "acquired_on": np.where(dated, acquired, np.datetime64("NaT")),
            "acquisition_channel": channel,
            "acquisition_cost": np.where(rng.random(n) < np.where(old, 0.78, 0.92), cost, np.nan),
            "credit_limit": np.where(people["buys"], np.round(people["spend"] * 6, -5).clip(lower=300_000), np.nan),
            "payment_days": rng.choice([30, 30, 60], n),
        }
    )
