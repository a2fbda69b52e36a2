"""The contract of each hand-off table (floor 1): grain, keys, units, meaning, nullability; enforced, and printed."""

from __future__ import annotations

from ltvlab_utils.errors import Refused, nearest
from ltvlab_utils.tables.check import check_frame, check_schema, check_table
from ltvlab_utils.tables.contract import Column, Contract
from ltvlab_utils.tables.effects import EFFECTS
from ltvlab_utils.tables.ingest import INGEST
from ltvlab_utils.tables.inputs import INPUTS
from ltvlab_utils.tables.ltv import LTV
from ltvlab_utils.tables.review import REVIEW

__all__ = ["CONTRACTS", "Column", "Contract", "check_frame", "check_schema", "check_table", "contract_of"]

CONTRACTS: dict[str, Contract] = {c.name: c for c in (*INPUTS, *INGEST, *LTV, *REVIEW, *EFFECTS)}


def contract_of(name: str) -> Contract:
    """The contract of a table by name. Raises Refused with the nearest name."""
    if name not in CONTRACTS:
        raise Refused(f'No table is called "{name}".{nearest(name, CONTRACTS)}')
    return CONTRACTS[name]
