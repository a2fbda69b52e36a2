"""From order lines on disk to `histories`: seconds, peak memory and its growth, beside lifetimes' own pandas summary.

`python -m benchmarks.ingest [--lines 1000000 10000000 100000000] [--folder KEPT]`

A generated company of each size (20 lines a customer) is written once. Each measurement has a process of its own, so
that its peak memory is its own:
- `ingest`: what notebook 01 and 02 do: `sources.stage`, the staged order lines written, then `histories` from them;
- `summary` and `lifetimes`: frequency, recency, T and monetary value, in days, from the same Parquet files of clean
  lines (sales of confirmed orders), read and summed by `histories` and by
  `lifetimes.utils.summary_data_from_transaction_data`. lifetimes is tried up to 10 million lines. Their values are
  compared customer by customer: `differ` counts the customers of whom any differs.
Figures are recorded where all three sizes were run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from benchmarks.results import record
from ltvlab_utils import sources
from ltvlab_utils.histories import histories
from ltvlab_utils.params import resolve
from ltvlab_utils.sources.at_scale import write_at_scale

SIZES = (1_000_000, 10_000_000, 100_000_000)
LINES_A_CUSTOMER, MONTHS, LAST_PERIOD, AS_OF = 20, 36, "2025-06", date(2025, 6, 30)
LIFETIMES_UP_TO = 10_000_000
MEMORY = "4GB"  # of the engine, as a run has it
IN_KILOBYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss
COMPANY = """
sources:
  order_lines: [{name: orders, path: order_lines/*.parquet}]
  customers: [{name: crm, path: customers.parquet}]
"""
VALUES = ["frequency", "recency", "T", "monetary_value"]


def make(folder: Path, lines: int) -> None:
    """The company, and beside it its clean lines."""
    data = folder / "acme"
    customers = max(lines // LINES_A_CUSTOMER, 60_000)
    write_at_scale(
        data, folder / "truth", seed=7, customers=customers, lines=lines, months=MONTHS, last_period=LAST_PERIOD
    )
    _run(
        _engine(folder),
        f"COPY (SELECT order_id, line_no, customer_id, ordered_at, status, kind, product_id, returns_order_id, "
        f"quantity, net_amount::DECIMAL(18,4) AS net_amount FROM read_parquet('{data}/order_lines/*.parquet') "
        f"WHERE kind = 'sale' AND status = 'confirmed') TO '{folder}/clean' (FORMAT PARQUET, PER_THREAD_OUTPUT)",
    )


def _engine(folder: Path) -> ibis.BaseBackend:
    return ibis.duckdb.connect(memory_limit=MEMORY, temp_directory=str(folder / "spill"))


def _run(engine: ibis.BaseBackend, sql: str) -> None:
    engine.raw_sql(sql).fetchall()


def ingest(folder: Path) -> dict[str, float]:
    """Staging, the staged lines on disk, and histories in weeks from them."""
    engine, params, started = _engine(folder), resolve("acme", LAST_PERIOD, COMPANY), time.perf_counter()
    staged = sources.stage(params, folder / "acme", engine)
    rows = int(staged.report.set_index("table_name").loc["order_lines", "rows_read"].sum())
    _run(engine, f"COPY ({engine.compile(staged.tables['order_lines'])}) TO '{folder}/staged' (FORMAT PARQUET)")
    staging = time.perf_counter() - started
    started = time.perf_counter()
    made = histories(engine.read_parquet(f"{folder}/staged"), None, AS_OF, "week")
    _run(engine, f"COPY ({engine.compile(made)}) TO '{folder}/histories.parquet' (FORMAT PARQUET)")
    return {"lines": rows, "stage_seconds": staging, "histories_seconds": time.perf_counter() - started}


def summary(folder: Path) -> dict[str, float]:
    engine, started = _engine(folder), time.perf_counter()
    made = histories(engine.read_parquet(f"{folder}/clean/*.parquet"), None, AS_OF, "day")
    made = made.select("customer_id", *VALUES)
    _run(engine, f"COPY ({engine.compile(made)}) TO '{folder}/summary.parquet' (FORMAT PARQUET)")
    return {"seconds": time.perf_counter() - started}


def theirs(folder: Path) -> dict[str, float]:
    from lifetimes.utils import summary_data_from_transaction_data

    started = time.perf_counter()
    lines = pd.read_parquet(folder / "clean", columns=["customer_id", "ordered_at", "net_amount"])
    lines["net_amount"] = lines["net_amount"].astype(float)
    made = summary_data_from_transaction_data(
        lines, "customer_id", "ordered_at", monetary_value_col="net_amount", observation_period_end=AS_OF.isoformat()
    )
    made.reset_index().to_parquet(folder / "lifetimes.parquet")
    return {"seconds": time.perf_counter() - started}


def differ(folder: Path) -> int:
    """Customers of whom a value of the two summaries differs (money: by more than a millionth of itself)."""
    ours, others = (
        pd.read_parquet(folder / f"{n}.parquet").set_index("customer_id").sort_index() for n in ("summary", "lifetimes")
    )
    if not ours.index.equals(others.index):
        return len(ours.index.symmetric_difference(others.index))
    same = np.isclose(ours[VALUES].to_numpy(float), others[VALUES].to_numpy(float), rtol=1e-6, atol=1e-9)
    return int((~same.all(axis=1)).sum())


MEASURES = {"ingest": ingest, "summary": summary, "lifetimes": theirs}


def measured(name: str, folder: Path) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--measure", name, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(lines: int, folder: Path) -> dict[str, float]:
    subprocess.run([sys.executable, "-m", "benchmarks.ingest", "--make", str(lines), str(folder)], check=True)
    figures = {}
    for name in MEASURES:
        if name == "lifetimes" and lines > LIFETIMES_UP_TO:
            continue
        figures |= {f"{name}.{k}": v for k, v in measured(name, folder).items()}
        print(lines, name, {k: round(v, 2) for k, v in figures.items() if k.startswith(name)}, flush=True)
    if lines <= LIFETIMES_UP_TO:
        figures["differ"] = differ(folder)
        figures["times_faster"] = figures["lifetimes.seconds"] / figures["summary.seconds"]
    return {f"{lines}.{k}": round(v, 2) for k, v in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.make:
        return make(Path(asked.make[1]), int(asked.make[0]))
    if asked.measure:
        figures = MEASURES[asked.measure[0]](Path(asked.measure[1]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * IN_KILOBYTES
        print(json.dumps(figures | {"peak_gb": peak / 1e9}))
        return None
    figures: dict[str, float] = {}
    for lines in asked.lines:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            figures |= compare(lines, Path(folder))
    for a, b in zip(asked.lines, asked.lines[1:], strict=False):
        grown = figures[f"{b}.ingest.peak_gb"] / figures[f"{a}.ingest.peak_gb"]
        figures[f"{b}.ingest.peak_growth"] = round(grown, 2)
    for key, value in figures.items():
        print(f"{key}: {value:g}")
    if set(asked.lines) >= set(SIZES):
        record("ingest", figures)
    return None


if __name__ == "__main__":
    main()
