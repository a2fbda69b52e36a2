"""Small companies for the tests of sources: files as text or bytes, company.yaml as text."""

from __future__ import annotations

from pathlib import Path

import ibis

from ltvlab_utils import sources
from ltvlab_utils.params import Params, resolve
from ltvlab_utils.sources import ready

HEADER = "order_id,line_no,customer_id,ordered_at,status,quantity,net_amount,kind\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """The company's data folder with these files."""
    for name, content in files.items():
        path = folder / "acme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return folder / "acme"


def params(tables: str, period: str = "2025-06", more: str = "") -> Params:
    text = f"limits: {{rejected_share: 1.0}}\n{more}\nsources:\n{tables}"
    return resolve("acme", period, text, ready=ready.keys_of)


def stage(
    folder: Path,
    files: dict[str, str | bytes],
    tables: str = "  order_lines: [{path: orders.csv}]",
    period: str = "2025-06",
    more: str = "",
) -> sources.Staged:
    return sources.stage(params(tables, period, more), write(folder, files), ibis.duckdb.connect())


def survey(folder: Path, files: dict[str, str | bytes], tables: str = "  order_lines: [{path: orders.csv}]", **more):
    return sources.survey(params(tables, **more), write(folder, files))
