"""Where runs, tables and published reviews live; the only way to a table (floor 3).

run = store.open(company, period, run_id, reports_dir)   # a notebook's own run, or the analyst's _lab
run = store.read(company, period, run_id, reports_dir)   # read only: a dashboard, `ltvlab show`, a test
run.table("order_lines")                                 # Ibis table in the company's engine
run.frame("ltv_by_customer")                             # pandas frame, contract checked
run.write("ltv_by_customer", frame)                      # contract checked, sorted by key, atomic
"""

from ltvlab_utils.store.layout import (
    companies,
    data_dir,
    params_dir,
    periods_with_review,
    reports_root,
    resolve_params,
)
from ltvlab_utils.store.publish import published_run_id, read_manifest
from ltvlab_utils.store.run import Run, open, read

__all__ = [
    "Run",
    "companies",
    "data_dir",
    "open",
    "params_dir",
    "periods_with_review",
    "published_run_id",
    "read",
    "read_manifest",
    "reports_root",
    "resolve_params",
]
