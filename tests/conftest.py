"""Fixtures: an empty workspace of one small company, apart from the real one."""

import os
import sys
from pathlib import Path

import pytest

import ltvlab_utils  # noqa: F401  (before any test loads scipy: it sets the number of BLAS threads)

sys.modules.setdefault("rfc3987_syntax", None)  # as in ltvlab_utils.runner: nbformat is imported 3 s faster

ROOT = Path(__file__).resolve().parents[1]

ORDERS = """order_id,line_no,customer_id,ordered_at,quantity,net_amount,cost_amount
A1,1,alpha,2025-01-10,1,1000,600
A2,1,alpha,2025-02-10,1,1200,700
B1,1,beta,2025-01-20,2,500,400
"""
COMPANY = """
name: {ja: 小さな会社, en: Small company}
value_basis: gross_profit
sources:
  order_lines:
    - path: orders.csv
      constants: {status: confirmed, kind: sale}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Folders params/, data/, reports/ of their own, with a company `small` that has three order lines."""
    for variable, name in (("LTVLAB_PARAMS", "params"), ("LTVLAB_DATA", "data"), ("LTVLAB_REPORTS", "reports")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setenv("LTVLAB_WORKERS", "1")  # nothing runs ahead: stub notebooks need less than that costs
    for name, content in (("params/small/company.yaml", COMPANY), ("data/small/orders.csv", ORDERS)):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text(content, encoding="utf-8")
    return tmp_path


@pytest.fixture
def sample_reports() -> Path:
    """The reports folder with the sample review that `make test` runs first."""
    folder = Path(os.environ.get("LTVLAB_REPORTS") or ROOT / "reports")
    if not (folder / "sample" / "2025-06" / "published.json").is_file():
        pytest.fail("the sample review is missing: run `make review` first (make test does)")
    return folder
