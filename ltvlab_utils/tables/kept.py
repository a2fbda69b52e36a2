"""Results that several questions rest on, worked out once (floor 1)."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

MOST = 2_000_000  # rows of the source; a narrow result of so many takes some 150 MB


def kept(result: ir.Table, source: ir.Table) -> ir.Table:
    """`result` as a table in memory, if `source`, whose rows bound it, has at most MOST rows; else as it is.

    Ibis writes out the whole of an expression for each query that rests on it: of deep ones that takes longer than the
    engine needs for the answer.
    """
    return ibis.memtable(result.to_pyarrow()) if int(source.count().to_pandas()) <= MOST else result
