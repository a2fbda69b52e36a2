"""Staged tables of a small shop with known effects, for the tests of campaigns."""

from datetime import date

import ibis
import numpy as np
import pandas as pd

from ltvlab_utils.tables import contract_of
from ltvlab_utils.tables.contract import KINDS

AS_OF = date(2025, 6, 30)
START = pd.Timestamp("2025-02-01")


def staged(name: str, frame: pd.DataFrame) -> ibis.Table:
    """A frame as the staged table that notebook 01 would write: all contract columns, contract types."""
    contract = contract_of(name)
    known = {c.name: c for c in contract.columns}
    assert set(frame.columns) <= set(known), set(frame.columns) - set(known)
    schema = ibis.schema({c: KINDS[known[c].kind][1] for c in known})
    full = frame.reindex(columns=list(known)).astype(object)
    text = full.where(full.notna(), None)
    loose = {c: "string" if known[c].kind == "text" else "float64" for c in known}
    loose |= {c: "timestamp(6)" for c in known if known[c].kind in ("date", "timestamp")}
    table = ibis.memtable(text, schema=ibis.schema(loose))
    return table.cast(dict(schema.items()))


def campaign(campaign_id="A", **more) -> dict:
    return {
        "campaign_id": campaign_id,
        "name": f"Campaign {campaign_id}",
        "department": "sales",
        "channel": "mail",
        "action": "reorder_offer",
        "starts_on": START,
        "ends_on": START + pd.Timedelta(days=59),
        "cost_amount": 100_000,
        "primary_metric": "orders",
        "window_days": 60,
        "design": "randomised",
        "version": "1",
        **more,
    }


def lines(customer, day, amount=1000.0, cost=600.0, kind="sale", **more) -> pd.DataFrame:
    """One order a line."""
    frame = pd.DataFrame(
        {"customer_id": customer, "ordered_at": pd.to_datetime(day, format="mixed"), "net_amount": amount}
    )
    frame = frame.assign(**{"cost_amount": cost, "kind": kind, "status": "confirmed", "line_no": 1, **more})
    if "quantity" not in frame:
        frame["quantity"] = np.where(frame["kind"] == "return", -1.0, 1.0)
    if "order_id" not in frame:
        frame["order_id"] = [f"O{i:06d}" for i in range(len(frame))]
    return frame


def shop(rng: np.random.Generator, customers: int, extra: float = 0.0, monthly: float = 0.8, arm=None) -> dict:
    """Tables of a shop whose customers order at random for 18 months, half of them treated from START; `extra` orders
    are added on average within the 60 days of the window of each treated customer, each of 1,000 with a cost of 600."""
    names = np.array([f"K{i:04d}" for i in range(customers)])
    rate = monthly * rng.gamma(2.0, 0.5, customers)
    first = pd.Timestamp("2024-01-01")
    counts = rng.poisson(rate * 18)
    who = np.repeat(np.arange(customers), counts)
    days = first + pd.to_timedelta(rng.integers(0, 546, len(who)), unit="D")
    d = rng.permutation(np.arange(customers) % 2) if arm is None else arm(rate)
    added = np.repeat(np.flatnonzero(d == 1), rng.poisson(extra, int(d.sum())))
    more = START + pd.to_timedelta(rng.integers(0, 60, len(added)), unit="D")
    orders = lines(names[np.r_[who, added]], np.r_[days, more])
    assigned = pd.DataFrame({"campaign_id": "A", "customer_id": names, "arm": np.where(d == 1, "treatment", "control")})
    assigned = assigned.assign(assigned_at=START - pd.Timedelta(days=3), version="1")
    return {"order_lines": orders, "assignments": assigned, "campaigns": pd.DataFrame([campaign()])}


def tables(frames: dict) -> dict:
    return {name: staged(name, frame) for name, frame in frames.items()}
