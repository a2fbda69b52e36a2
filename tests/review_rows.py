"""Visible rows as staged tables: columns a row does not name are null, types are those of the contract."""

from __future__ import annotations

import ibis
import pandas as pd

from ltvlab_utils.tables import CONTRACTS
from ltvlab_utils.tables.contract import KINDS

DEFAULTS = {
    "order_lines": {"status": "confirmed", "kind": "sale", "quantity": 1.0, "line_no": 1},
    "contract_terms": {"billing": "monthly", "outcome": "open", "term_no": 1, "term_months": 12},
    "targets": {"scope_type": "company", "scope_id": "-", "version": "1"},
    "customer_owners": {"role": "sales"},
    "support_costs": {"kind": "ticket"},
    "activities": {"kind": "call", "owner": "o"},
}


def staged(name: str, rows: list[dict]) -> ibis.Table:
    """An Ibis table that keeps the contract `name`."""
    contract = CONTRACTS[name]
    frame = pd.DataFrame([{**DEFAULTS.get(name, {}), **row} for row in rows]).reindex(columns=contract.names)
    for column in contract.columns:
        if column.kind in ("date", "timestamp"):
            frame[column.name] = pd.to_datetime(frame[column.name], format="ISO8601")
        elif column.kind in ("money", "number"):
            frame[column.name] = pd.to_numeric(frame[column.name])
        elif column.kind in ("text", "flag"):
            frame[column.name] = frame[column.name].astype(object).where(frame[column.name].notna(), None)
    loose = {"money": "float64", "date": "timestamp(6)"}
    table = ibis.memtable(frame, schema={c.name: loose.get(c.kind, KINDS[c.kind][1]) for c in contract.columns})
    return table.cast({c.name: KINDS[c.kind][1] for c in contract.columns})


def order(order_id: str, customer: str, day: str, amount: float, cost: float | None = None, **more) -> dict:
    row = {"order_id": order_id, "customer_id": customer, "ordered_at": day}
    return {**row, "net_amount": amount, "cost_amount": cost, **more}


def term(contract: str, customer: str, starts: str, ends: str, amount: float, **more) -> dict:
    row = {"contract_id": contract, "customer_id": customer, "starts_on": starts, "ends_on": ends}
    return {**row, "monthly_amount": amount, **more}


def tables(**rows: list[dict]) -> dict[str, ibis.Table]:
    return {name: staged(name, r) for name, r in rows.items()}


def valued(customer: str, value: float, basis: str = "orders", **more) -> dict:
    """A row of ltv_by_customer as far as 03 reads it."""
    return {
        "customer_id": customer, "basis": basis, "p_alive": 1.0, "p_alive_orders": 1.0, "p_lost_12_months": 0.0,
        "p_renew_next": None, "next_renewal_on": None,
        "future_value": value, "realised_profit": 0.0, "model_segment": "all", **more,
    }  # fmt: skip


def values(*rows: dict) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    return frame.astype({c: "float64" for c in frame.columns if c.startswith("p_")}).assign(
        next_renewal_on=pd.to_datetime(frame["next_renewal_on"])
    )
