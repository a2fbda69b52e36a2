"""Results that several questions rest on, worked out once (floor 1)."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

MOST = 2_000_000  # rows; a narrow table of so many takes some 150 MB


def kept(result: ir.Table, rows: int) -> ir.Table:
    """`result` as a table in memory, if it cannot have more than MOST rows (`rows`: its bound); else as it is.

    Ibis writes out the whole of an expression for each query that rests on it: of deep ones that takes longer than the
    engine needs for the answer.
    """
    return ibis.memtable(result.to_pyarrow()) if rows <= MOST else result


def count(*tables: ir.Table | None) -> int:
    """Rows of the tables together; None has none."""
    return sum(int(t.count().to_pandas()) for t in tables if t is not None)
