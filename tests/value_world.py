"""Small tables and a simulator of their own for the tests of histories and values; nothing here uses the models."""

from datetime import date

import ibis
import numpy as np
import pandas as pd

from ltvlab_utils import value
from ltvlab_utils.params import Settings
from ltvlab_utils.tables import contract_of
from ltvlab_utils.tables.contract import KINDS

AS_OF = date(2025, 6, 30)


def staged(name: str, rows: pd.DataFrame):
    """Rows with some columns of a contract as the staged Ibis table, absent columns null."""
    columns = contract_of(name).columns
    amounts = [c.name for c in columns if c.kind in ("money", "number") and c.name in rows]
    table = ibis.memtable(rows.assign(**{c: pd.to_numeric(rows[c]).astype("float64") for c in amounts}))
    return table.select(
        **{c.name: (table[c.name] if c.name in rows else ibis.null()).cast(KINDS[c.kind][1]) for c in columns}
    )


def order_lines(rows: list[tuple], columns: str = "order_id customer_id day kind amount units product of status cost"):
    """Order lines from tuples; the tail of a tuple may be left out (product P, names no order, confirmed, no cost)."""
    names, rest = columns.split(), ("P", None, "confirmed", None)
    full = [(*r, *rest[len(r) - 6 :]) for r in rows]
    frame = pd.DataFrame(full, columns=names)
    return staged(
        "order_lines",
        pd.DataFrame(
            {
                "order_id": frame["order_id"],
                "line_no": np.arange(1, len(frame) + 1),
                "customer_id": frame["customer_id"],
                "ordered_at": pd.to_datetime(frame["day"]),
                "status": frame["status"],
                "product_id": frame["product"].astype("str"),
                "quantity": frame["units"].astype(float),
                "net_amount": frame["amount"].astype(float),
                "cost_amount": frame["cost"].astype(float),
                "kind": frame["kind"],
                "returns_order_id": frame["of"].astype("str").where(frame["of"].notna()),
            }
        ),
    )


def settings(**changes) -> Settings:
    models = {"draws": 400, "time_unit": "day", **changes.pop("models", {})}
    base = {"sources": {"order_lines": [{"path": "x.csv"}]}, "models": models, "value_basis": "revenue"}
    return Settings.model_validate({**base, **changes})


def buyers(rng: np.random.Generator, n: int, days: int, r=1.2, alpha=40.0, s=1.5, beta=900.0) -> dict:
    """Customers who order at random with their own rate and die at a random time, in days; first purchase within the
    first third. Returns arrays rate, death, born, and the repeat purchase times of each as one flat pair."""
    rate = rng.gamma(r, 1 / alpha, n)
    death = rng.exponential(1 / rng.gamma(s, 1 / beta, n))
    born = np.floor(rng.uniform(0, days / 3, n))
    return {"rate": rate, "death": born + death, "born": born}


def purchases(rng: np.random.Generator, people: dict, start: float, end: float) -> pd.DataFrame:
    """Purchase days (customer, day) of the living in (start, end]."""
    low = np.maximum(people["born"], start)
    high = np.clip(people["death"], low, end)
    number = rng.poisson(people["rate"] * (high - low))
    who = np.repeat(np.arange(len(number)), number)
    day = np.ceil(rng.uniform(low[who], high[who])).astype(int)
    return pd.DataFrame({"customer": who, "day": day}).drop_duplicates()


def terms(rows: list[tuple]) -> pd.DataFrame:
    columns = ["contract_id", "term_no", "starts_on", "ends_on", "monthly_amount", "outcome", "outcome_on", "notice"]
    frame = pd.DataFrame(rows, columns=columns)
    months = (pd.to_datetime(frame["ends_on"]) - pd.to_datetime(frame["starts_on"])).dt.days.add(1).div(30.4).round()
    return frame.assign(
        customer_id=frame["contract_id"].str.upper(),
        term_months=months.astype(int),
        monthly_cost=frame["monthly_amount"] * 0.4,
        notice_due_on=pd.NaT,
        notice_given_on=pd.to_datetime(frame["notice"]),
    )


def company(contracts_too=True, cost=True, support=True, seed=3):
    """Tables of a small company of two segments, made here."""
    random = np.random.default_rng(seed)
    n, lines = 160, []
    ids = [f"c{i:03d}" for i in range(n)]
    for i, c in enumerate(ids):
        gap = random.gamma(2.0, 20.0) + 5
        days = np.cumsum(random.exponential(gap, 60)).astype(int) + random.integers(0, 200)
        stop = random.exponential(900)
        for d in days[(days < 900) & (days < stop)]:
            amount = round(float(random.gamma(6, 20) * (1 + i % 3)), 2)
            day = str(pd.Timestamp("2023-01-12") + pd.Timedelta(days=int(d)))
            spent = round(amount * float(random.normal(0.6, 0.05)), 2) if cost else None
            lines.append((f"{c}-{d}", c, day, "sale", amount, 1, "P", None, "confirmed", spent))
    people = pd.DataFrame(
        {
            "customer_id": [*ids, "nobody"],
            "customer_name": "x",
            "industry": ["north" if i % 2 else "south" for i in range(n + 1)],
            "parent_id": ["c000" if i < 3 else None for i in range(n + 1)],
            "acquisition_cost": [None if i % 5 == 0 else 50.0 for i in range(n + 1)],
        }
    )
    tables = {"customers": staged("customers", people), "order_lines": order_lines(lines)}
    if contracts_too:
        rows = []
        for k in range(60):
            start, term = pd.Timestamp("2022-01-01") + pd.DateOffset(months=int(random.integers(0, 30))), 1
            while start <= pd.Timestamp(AS_OF):
                end = start + pd.DateOffset(months=12) - pd.Timedelta(days=1)
                stays = random.random() > 0.3
                outcome = "open" if end > pd.Timestamp(AS_OF) else "renewed" if stays else "churned"
                rows.append(
                    (f"k{k:02d}", term, start, end, 50.0 + k, outcome, None if outcome == "open" else end, None)
                )
                if not stays:
                    break
                start, term = end + pd.Timedelta(days=1), term + 1
        found = terms(rows).assign(
            billing="monthly", product_id=None, customer_id=lambda t: "c" + t["contract_id"].str[1:]
        )
        found["customer_id"] = "c0" + found["contract_id"].str[1:]
        if not cost:
            found["monthly_cost"] = None
        tables["contract_terms"] = staged("contract_terms", found.drop(columns="notice"))
    if support:
        rows = pd.DataFrame(
            {
                "entry_id": [f"s{i}" for i in range(300)],
                "customer_id": random.choice(ids, 300),
                "occurred_on": pd.Timestamp("2024-07-02") + pd.to_timedelta(random.integers(0, 350, 300), unit="D"),
                "cost_amount": random.gamma(2, 10, 300).round(2),
                "kind": "ticket",
            }
        )
        tables["support_costs"] = staged("support_costs", rows)
    return tables


def valued(tables, look_back=False, quick=True, **changes):
    """Facts, fits and valuation of staged tables; with `look_back` the fits know their drift."""
    chosen = settings(**({"value_basis": "net_profit", "models": {"segment_by": "industry"}} | changes))
    facts = value.gather(tables, chosen, AS_OF)
    fits = value.fit(facts, chosen, quick)
    if look_back:
        fits.drift = value.learned(fits, value.earlier(tables, chosen, AS_OF), chosen)
    return facts, fits, value.evaluate(facts, fits, chosen, np.random.default_rng(5))
