"""Notebook 02 on a generated company of 5 million customers, cell by cell: seconds, and peak memory so far.

`python -m benchmarks.ltv_at_scale [--customers N] [--lines M] [--company FOLDER]`; FOLDER keeps the generated company
and what the notebook wrote. The company is written and staged first, in processes of their own, and is not part of what
is measured. The very code cells of notebooks/02_ltv.ipynb are run, in one process, in the analyst's _lab.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import record

CUSTOMERS, LINES, MONTHS, PERIOD = 5_000_000, 100_000_000, 36, "2025-06"
NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "02_ltv.ipynb"
IN_KILOBYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss
COMPANY = """
value_basis: gross_profit
models: {segment_by: industry}
sources:
  order_lines: [{path: order_lines.parquet, format: parquet}]
  customers: [{path: customers.parquet, format: parquet}]
"""


def stage(folder: Path, customers: int, lines: int) -> None:
    """Writes the company, and its tables with every column of their contract as 01 would, part by part."""
    import ibis

    from ltvlab_utils.sources.at_scale import write_at_scale
    from ltvlab_utils.store.parquet import TAG
    from ltvlab_utils.tables import contract_of
    from ltvlab_utils.tables.contract import KINDS

    write_at_scale(
        folder / "data", folder / "truth", seed=7, customers=customers, lines=lines, months=MONTHS, last_period=PERIOD
    )
    (folder / "params" / "large").mkdir(parents=True)
    (folder / "params" / "large" / "company.yaml").write_text(COMPANY, encoding="utf-8")
    connection = ibis.duckdb.connect(memory_limit="3GB")
    for name, files in (("customers", "customers.parquet"), ("order_lines", "order_lines/*.parquet")):
        contract, home = contract_of(name), folder / "reports" / "large" / PERIOD / "_lab" / "tables" / name
        home.mkdir(parents=True)
        for part in sorted((folder / "data").glob(files)):
            table = connection.read_parquet(str(part))
            full = {
                c.name: (table[c.name] if c.name in table.columns else ibis.null()).cast(KINDS[c.kind][1])
                for c in contract.columns
            }
            table.select(**full).to_parquet(home / part.name, kv_metadata={TAG: contract.tag})
            part.unlink()


def cells() -> list[str]:
    """The code cells behind the parameters."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    return ["".join(c["source"]) for c in code if "parameters" not in c["metadata"].get("tags", [])]


def run(folder: Path) -> dict[str, float]:
    """Runs the cells; figures."""
    import ltvlab_utils  # noqa: F401  (first: it sets the number of BLAS threads)

    import matplotlib as mpl  # isort: skip

    mpl.use("Agg")
    space: dict = {"company": "large", "period": PERIOD, "run_id": "", "reports_dir": str(folder / "reports")}
    figures: dict[str, float] = {}
    begun = time.perf_counter()
    for number, source in enumerate(cells(), start=1):
        tree, start = ast.parse(source), time.perf_counter()
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {number}", "exec"), space)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), space)
            if shown is not None:
                print(shown, file=sys.stderr)
        took, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * IN_KILOBYTES
        first = source.removeprefix("# NBVAL_CHECK_OUTPUT\n").splitlines()[0][:60]
        print(f"--- cell {number}: {took:.1f} s, {peak / 1e9:.2f} GB so far: {first}", file=sys.stderr, flush=True)
        figures[f"cell_{number:02d}.seconds"] = round(took, 1)
        figures["peak_gb"] = round(peak / 1e9, 2)
    facts = space["facts"]
    figures |= {"customers": facts.wide.size if facts.wide else len(facts.customers), "twins": len(facts.customers)}
    return figures | {"seconds": round(time.perf_counter() - begun, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--company", type=Path)
    parser.add_argument("--step", choices=("stage", "run"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step == "stage":
        stage(chosen.company, chosen.customers, chosen.lines)
        return
    if chosen.step == "run":
        print(json.dumps(run(chosen.company)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = (chosen.company or Path(name)).resolve()
        command = [sys.executable, "-m", "benchmarks.ltv_at_scale", "--company", str(folder)]
        command += ["--customers", str(chosen.customers), "--lines", str(chosen.lines)]
        there = {"LTVLAB_PARAMS": str(folder / "params"), "LTVLAB_DATA": str(folder / "data")}
        environment = {**os.environ, **there, "LTVLAB_REPORTS": str(folder / "reports")}
        if not (folder / "params").is_dir():
            subprocess.run([*command, "--step", "stage"], check=True, env=environment)
        done = subprocess.run(
            [*command, "--step", "run"], check=True, stdout=subprocess.PIPE, text=True, env=environment
        )
    record("ltv_at_scale", json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
