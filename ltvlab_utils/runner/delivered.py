"""What the manifest says about the deliveries of a run, read from the tables that notebook 01 wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltvlab_utils.errors import Refused


def _rows(folder: Path, table: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    home = folder / "tables" / table
    return [row for part in sorted(home.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]


def count_inputs(folder: Path, inputs: list[dict[str, Any]]) -> None:
    """Rows of each file as notebook 01 counted them. Refuses a file that changed after the run looked at it."""
    read = {(r["table_name"], r["source"], r["file"]): r for r in _rows(folder, "ingest_report")}
    for source in inputs:
        row = read.get((source["table"], source["source"], source["file"]))
        if row is None:
            continue
        if row["fingerprint"] != source["fingerprint"]:
            raise Refused(f"{source['file']} was changed while the run was at work: start the run again.")
        source["rows"] = row["rows_read"]


def restated(folder: Path) -> list[dict[str, Any]]:
    """What changed in months that the review before had seen: one entry a table and month, latest month first."""
    rows = sorted(_rows(folder, "restatements"), key=lambda r: (r["table_name"], r["month"]), reverse=True)
    return [{**row, "month": f"{row['month']:%Y-%m}"} for row in rows]
