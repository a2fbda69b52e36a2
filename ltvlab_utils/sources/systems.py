"""Customer numbers of systems that number customers on their own: they carry their system's name, shop:1001."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

# columns that hold a customer's number
REFERENCES = ("customer_id", "parent_id", "bill_to_id", "ship_to_id", "end_user_id")
BETWEEN = ":"


def qualified(system: str, column: str, value: ir.Value) -> ir.Value:
    """The number of a customer with its system in front; anything else as it is."""
    if not system or column not in REFERENCES:
        return value
    return ibis.literal(system + BETWEEN) + value


def of_systems(ids: ir.StringValue, systems: list[str]) -> ir.StringValue:
    """The system that a number belongs to; null for the company's own numbers."""
    if not systems:
        return ibis.null("string")
    head = ids.split(BETWEEN)[0]
    return ibis.ifelse(ids.contains(BETWEEN) & head.isin(systems), head, ibis.null("string"))
